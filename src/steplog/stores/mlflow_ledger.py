"""The ledger: what this machine remembers of a stock MLflow server, in one small file.

MLflow's server knows nothing of journals, and chooses the ids of runs, experiments and models
itself. So here stand how far each journal has been sent, which of our ids is which of theirs, and
what the server refused. A fact is one line of JSON, appended and flushed to the disk before anybody
relies on it; the latest line on a matter holds. A line that a dying process left half written is
passed over.

It is a plain file and no database, for processes that log may fork at any time, which SQLite does
not survive. Nothing here talks to a server.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal

from steplog import forks
from steplog.exceptions import StoreError
from steplog.filesystem import read_at, try_lock, unlock
from steplog.rows import Refusal
from steplog.stores.base import START, Position, Refused

Kind = Literal["run", "experiment", "model", "placeholder"]

FILE = "mlflow.jsonl"
COMPACT_BYTES = 1 << 20
"""A file that has grown beyond this, and to twice what it would be, is written anew."""
_LOCK_SECONDS = 10.0
_POLL_SECONDS = 0.02
_held: set[int] = set()
"""The open files of locks that this process holds: a forked child closes its copies."""


class Ledger:
    """What is remembered of one server. Its methods may be called from any thread.

    Any number of processes may have the same ledger open; each sees what the others have written.

    Args:
        directory: where the file is, or shall be; made when something is to be remembered.

    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._path = os.path.join(directory, FILE)
        self._lock = threading.RLock()
        self._forget()

    def positions(self, journal_ids: Sequence[str]) -> dict[str, Position]:
        """Return up to where these journals have been sent; those at START are left out."""
        with self._lock:
            self._refresh()
            known = self._positions
            return {each: known[each] for each in journal_ids if known.get(each, START) != START}

    def attempt(self, journal_id: str, before: Position) -> bool:
        """Note that what follows a position is about to be sent; tell whether it was noted before.

        Then a part of it may have arrived already.
        """
        with self._lock:
            self._refresh()
            again = self._attempts.get(journal_id) == before.offset
            if not again:
                self._note({"attempt": journal_id, "offset": before.offset})
            return again

    def advance(self, journal_id: str, after: Position, refused: Sequence[Refused]) -> None:
        """Note that a journal has been sent up to a position, and what of it was refused."""
        self._note(_sent(journal_id, after, refused))

    def refusals(
        self, run_id: str | None = None, journal_ids: Sequence[str] | None = None
    ) -> list[Refused]:
        """Return what was refused so far, of one run, of some journals, or all, oldest first."""
        with self._lock:
            self._refresh()
            return [
                each
                for each in self._refusals
                if run_id in (None, each.refusal.run_id)
                and (journal_ids is None or each.journal_id in journal_ids)
            ]

    def theirs(self, kind: Kind, ours: str) -> str | None:
        """Return the server's id of what we call `ours`; None or nothing where it is not known."""
        with self._lock:
            self._refresh()
            return self._theirs.get((kind, ours))

    def ours(self, kind: Kind, theirs: str) -> str:
        """Return our id of what the server calls `theirs`; the same where we have no other."""
        with self._lock:
            self._refresh()
            return self._ours.get((kind, theirs), theirs)

    def beginning(self, kind: Kind, text: str) -> list[str]:
        """Return our ids that begin so."""
        with self._lock:
            self._refresh()
            return [ours for known, ours in self._theirs if known == kind and ours.startswith(text)]

    def pair(self, kind: Kind, ours: str, theirs: str) -> None:
        """Remember which of the server's ids is ours; the empty text says: none any more."""
        with self._lock:
            if self.theirs(kind, ours) != theirs:
                self._note({"kind": kind, "ours": ours, "theirs": theirs})

    def wrote(self, run_id: str, writer_id: str) -> None:
        """Remember that a writer has logged to a run."""
        with self._lock:
            if writer_id not in self.writers(run_id):
                self._note({"run": run_id, "writer": writer_id})

    def writers(self, run_id: str) -> frozenset[str]:
        """Return the writers of this machine that have logged to a run."""
        with self._lock:
            self._refresh()
            return frozenset(self._writers.get(run_id, ()))

    @contextmanager
    def holding(self, name: str, seconds: float = _LOCK_SECONDS) -> Iterator[None]:
        """Keep all other threads and processes of this machine from doing what `name` says.

        Args:
            name: of a journal, or of what is being created; a name of a file.
            seconds: the longest wait for somebody else.

        Raises:
            StoreError: somebody else still did it after that time, or the file cannot be made.

        """
        path = os.path.join(self._directory, f"{name}.lock")
        with _translated(path):
            os.makedirs(self._directory, exist_ok=True)
            fd = _take(path, seconds)
        try:
            yield
        finally:
            with suppress(OSError):  # while it is held, so the file is nobody else's
                os.unlink(path)
            _leave(fd)

    # -- the file ---------------------------------------------------------------------------------

    def _forget(self) -> None:
        self._identity: tuple[int, int] | None = None
        self._read = 0
        self._positions: dict[str, Position] = {}
        self._attempts: dict[str, int] = {}
        self._refusals: list[Refused] = []
        self._theirs: dict[tuple[str, str], str] = {}
        self._ours: dict[tuple[str, str], str] = {}
        self._writers: dict[str, set[str]] = {}

    def _refresh(self) -> None:
        """Read what has been appended, or all of it where another file has taken the place."""
        with _translated(self._path):
            try:
                with open(self._path, "rb") as file:
                    stat = os.fstat(file.fileno())
                    identity = stat.st_dev, stat.st_ino
                    if identity != self._identity or stat.st_size < self._read:
                        self._forget()
                    file.seek(self._read)
                    data = file.read()
            except FileNotFoundError:
                if self._identity is not None:
                    self._forget()
                return
        self._identity = identity
        whole = data[: data.rfind(b"\n") + 1]  # somebody may be just writing the rest
        self._read += len(whole)
        for line in whole.splitlines():
            with suppress(ValueError, KeyError, TypeError):  # half a line, of a process that died
                self._learn(json.loads(line))

    def _learn(self, fact: dict[str, Any]) -> None:
        if "journal" in fact:
            offset, holes = fact["at"]
            position = Position(offset, tuple((start, end) for start, end in holes))
            journal_id = fact["journal"]
            self._positions[journal_id] = position
            self._attempts.pop(journal_id, None)
            for offset, *refusal in fact["refused"]:
                self._refusals.append(Refused(journal_id, offset, Refusal(*refusal)))
        elif "attempt" in fact:
            self._attempts[fact["attempt"]] = fact["offset"]
        elif "writer" in fact:
            self._writers.setdefault(fact["run"], set()).add(fact["writer"])
        else:
            self._theirs[fact["kind"], fact["ours"]] = fact["theirs"]
            self._ours[fact["kind"], fact["theirs"]] = fact["ours"]

    def _note(self, fact: dict[str, Any]) -> None:
        with self._lock, _translated(self._path):
            os.makedirs(self._directory, exist_ok=True)
            fd = _take(self._path, _LOCK_SECONDS)
            try:
                # Behind half a line, of a process that died in the middle of it, begins a new one.
                size = os.fstat(fd).st_size
                torn = size > 0 and read_at(fd, 1, size - 1) != b"\n"
                os.lseek(fd, 0, os.SEEK_END)
                _write(fd, (b"\n" if torn else b"") + _line(fact))
                self._refresh()
                if self._read > COMPACT_BYTES:
                    self._compact()
            finally:
                _leave(fd)

    def _compact(self) -> None:
        """Write the file anew with what still holds, where that is less than half of it."""
        facts = b"".join(map(_line, self._facts()))
        if len(facts) > self._read // 2:
            return
        fresh = f"{self._path}.{os.urandom(8).hex()}.new"
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            _write(fd, facts)
        finally:
            os.close(fd)
        os.replace(fresh, self._path)

    def _facts(self) -> Iterator[dict[str, Any]]:
        for (kind, ours), theirs in self._theirs.items():
            yield {"kind": kind, "ours": ours, "theirs": theirs}
        for run_id, writers in self._writers.items():
            for writer_id in writers:
                yield {"run": run_id, "writer": writer_id}
        for each in self._refusals:  # in their order; where a journal stands at last comes behind
            yield _sent(each.journal_id, START, [each])
        for journal_id, position in self._positions.items():
            yield _sent(journal_id, position, ())
        for journal_id, offset in self._attempts.items():
            yield {"attempt": journal_id, "offset": offset}


def _sent(journal_id: str, at: Position, refused: Sequence[Refused]) -> dict[str, Any]:
    return {"journal": journal_id, "at": at, "refused": [(r.offset, *r.refusal) for r in refused]}


def _line(fact: dict[str, Any]) -> bytes:
    return json.dumps(fact, separators=(",", ":")).encode("ascii") + b"\n"


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
    os.fsync(fd)


def _take(path: str, seconds: float) -> int:
    """Open a file, made where there is none, and lock it; return its descriptor."""
    until = time.monotonic() + seconds
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        _held.add(fd)
        # Who held it before may have removed the file, or put another in its place.
        with suppress(FileNotFoundError):
            if try_lock(fd) and os.path.samestat(os.fstat(fd), os.stat(path)):
                return fd
        _leave(fd)
        if time.monotonic() > until:
            raise StoreError(f"Somebody else has held {path} for over {seconds:.0f} s.")
        time.sleep(_POLL_SECONDS)


def _leave(fd: int) -> None:
    with suppress(OSError):  # it was never taken
        unlock(fd)  # also for the copy that a child may have
    _held.discard(fd)
    os.close(fd)


@contextmanager
def _translated(path: str) -> Iterator[None]:
    """Turn errors of the file system into steplog's."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path} cannot be used now: {error.strerror or error}.") from error


def _after_fork_in_child() -> None:
    while _held:
        os.close(_held.pop())


forks.around(after_in_child=_after_fork_in_child)
