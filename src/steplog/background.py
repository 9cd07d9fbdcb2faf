"""The background thread: ingests what this process has logged, about once a second, and when asked.

It is a daemon: it never keeps a process from ending. Whoever waits for it does so with a deadline,
and talks to it through `queue.SimpleQueue`, which a signal handler may use while the thread below
it is just using it.

Nothing it meets reaches the training: a store that is locked, full, damaged or gone is a fault that
it warns about once, shows in the journal's header, and tries again a second later. Meanwhile the
journals keep everything.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from steplog import filesystem, settings
from steplog.exceptions import MlflowException, warn
from steplog.forks import undisturbed
from steplog.tally import tally

if TYPE_CHECKING:
    from steplog.ingest import Ingestor
    from steplog.places import Place
    from steplog.rows import Refusal
    from steplog.stores.base import Store
    from steplog.writer import Ticket, Writer

PERIOD_SECONDS = 1.0
SWEEP_SECONDS = 60.0
"""How often journals of dead processes are looked for."""
BEAT_SECONDS = 15.0
"""How often a store that cannot see the journals is told that their writer lives."""
AGAIN_SECONDS = 0.25
"""How long a process that ends, with points in memory that its disk does not take, waits before it
tries again."""
BUSY_SECONDS = 10.0
"""How long one attempt waits for other processes that write the store."""


class Answer(NamedTuple):
    """What became of a request: did the store take everything, and what of it did it refuse?"""

    complete: bool
    refusals: list[Refusal]


class Request(NamedTuple):
    """Ingest now. `last`: and leave nothing open, the process ends at this time.

    `until` is by the monotonic clock.
    """

    tickets: Sequence[Ticket]
    last: bool
    until: float
    answer: SimpleQueue[Answer]


class Background:
    """The thread that moves the journals of one writer into the store of their place.

    Use `start`; the methods may be called from any thread.
    """

    def __init__(self, place: Place, writer: Writer) -> None:
        self._place = place
        self._writer = writer
        self._requests: SimpleQueue[Request] = SimpleQueue()
        self._late = False  # somebody waited in vain: nobody else shall, until it works again
        self._ingestor: Ingestor | None = None
        self._paths: set[str] = set()
        self._swept = float("-inf")
        self._beaten = float("-inf")

    @classmethod
    def start(cls, place: Place, writer: Writer) -> Background | None:
        """Start the thread; None where the interpreter is ending and starts no more threads."""
        background = cls(place, writer)
        thread = threading.Thread(target=background._run, name="steplog-ingest", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return None
        return background

    def settle(self, tickets: Sequence[Ticket], timeout: float) -> list[Refusal]:
        """Wait until the store has taken these operations; return what it refused of them."""
        answer = self._ask(tickets, timeout)
        return answer.refusals if answer is not None else []

    def flush(self, timeout: float) -> bool:
        """Wait until the store has taken everything; False where it did not."""
        answer = self._ask((), timeout)
        return answer is not None and answer.complete

    def finish(self, timeout: float) -> None:
        """Ingest what is left and close the journals; the thread ends.

        What is still held in memory then is lost, and that is told.
        """
        self._late = False
        self._ask((), timeout, last=True)
        self._writer.give_up()

    def _ask(self, tickets: Sequence[Ticket], timeout: float, last: bool = False) -> Answer | None:
        if self._late:
            return None
        answer: SimpleQueue[Answer] = SimpleQueue()
        self._requests.put(Request(tickets, last, time.monotonic() + timeout, answer))
        try:
            return answer.get(timeout=timeout)
        except Empty:
            self._late = True
            return None

    # -- in the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            try:
                request = self._requests.get(timeout=PERIOD_SECONDS)
            except Empty:
                request = Request((), False, 0.0, SimpleQueue())
            answer = self._last_rounds(request) if request.last else self._round(request)
            request.answer.put(answer)
            if request.last:
                return

    def _last_rounds(self, request: Request) -> Answer:
        """Ingest what is left; again and again where memory holds what the disk has not taken."""
        self._close_after_fault()
        answer = self._round(request)
        while self._writer.held_points() and time.monotonic() < request.until:
            time.sleep(AGAIN_SECONDS)
            self._close_after_fault()
            answer = self._round(request)
        if self._ingestor is not None:
            self._ingestor.close()
        return answer

    def _close_after_fault(self) -> None:
        # A far store that has failed is patient; another one tries at once.
        if self._writer.store_fault and self._ingestor is not None:
            self._ingestor.close()
            self._ingestor = None

    def _round(self, request: Request) -> Answer:
        refusals: list[Refusal] = []
        complete = False
        try:
            self._writer.look_after()
            self._paths.update(journal.path for journal in self._writer.files())
            while self._writer.saved:
                self._paths.add(self._writer.saved.pop())
            self._writer.release_retired(at_once=request.last)
            complete = ingests(self._place)
            if complete:
                refusals = self._ingest(request)
                self._writer.delivered(self._paths)
            self._late = False
            self._writer.store_fault = ""
        except Exception as error:  # nothing may end this thread; the journals keep everything
            complete = False
            self._trouble(error)
        return Answer(complete, refusals)

    def _ingest(self, request: Request) -> list[Refusal]:
        ingestor = self._ingestor or self._open()
        ingestor.ingest(sorted(self._paths))
        self._paths = {path for path in self._paths if os.path.exists(path)}
        if time.monotonic() - self._swept > SWEEP_SECONDS or request.last:
            ingestor.ingest_orphans()
            self._swept = time.monotonic()
        self._beat(ingestor.store)
        ingestor.store.seal()
        wanted = set(request.tickets)
        if not wanted:
            return []
        refused = ingestor.store.refusals(journal_ids=[*{each.journal_id for each in wanted}])
        return [r.refusal for r in refused if (r.journal_id, r.offset) in wanted]

    def _beat(self, store: Store) -> None:
        # Whoever reads an embedded store sees the journals beside it, and their locks.
        if self._place.kind != "directory" and time.monotonic() - self._beaten > BEAT_SECONDS:
            store.beat([self._writer.writer_id])
            self._beaten = time.monotonic()

    def _open(self) -> Ingestor:
        # numpy and sqlite3 are loaded here and not above: not before the training has begun, and
        # never in a process that only writes its journal.
        with undisturbed:
            from steplog.ingest import Ingestor
            from steplog.stores import open_store

        store = open_store(self._place, timeout=BUSY_SECONDS)
        self._ingestor = Ingestor(store, self._writer.directory, keep=self._place.shared)
        return self._ingestor

    def _trouble(self, error: Exception) -> None:
        fault = error.message if isinstance(error, MlflowException) else repr(error)
        if not self._writer.store_fault:
            warn(
                f"steplog cannot ingest into {self._place.name}: {fault} What is logged stays in "
                "the journal until that is possible again; `steplog status` tells."
            )
        self._writer.store_fault = fault
        tally.failed()


def ingests(place: Place) -> bool:
    """Tell whether processes that log to this place ingest what they log themselves.

    On file systems shared with other hosts they do not, for a store there is not safe; nor where
    every reader has a catalog of its own. Far stores are left alone with STEPLOG_OFFLINE.
    """
    if place.kind != "directory" and settings.get("STEPLOG_OFFLINE"):
        return False
    wish = settings.get("STEPLOG_INGEST")
    if wish != "auto" or place.kind != "directory":
        return wish != "off"
    if place.shared:
        return False
    directory = place.directory
    while not os.path.exists(directory):
        directory = os.path.dirname(directory)
    return not filesystem.is_network(filesystem.filesystem_type(directory))
