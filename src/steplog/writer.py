"""The writer: the journals of one process, one after the other.

At any moment one journal is written and its `head` tells callers where. This module decides when
the next one begins and what becomes of the last:

* the journal is full: its next stretch is reserved, or the next file begun;
* the disk refuses: slots go to memory, at most STEPLOG_MEMORY_LIMIT_MB of it, until it no longer
  does; then they are written out as a journal of their own;
* journals wait for a store far away, and take as much as STEPLOG_SPOOL_LIMIT_MB: as if the disk
  refused;
* somebody deletes the store's directory: it is made again, with what the journals held;
* the process forks: the child lets go of the parent's journals and begins its own.

A full journal is *retired*: nobody claims a slot in it any more, but a thread may have claimed one
and not filled it yet. It is closed, and so left to be ingested and removed, when no such slot is
left.

The lock here is not taken by a caller who finds a slot. It is re-entrant, because a signal handler
may log on top of a thread that holds it; every step under it can be entered again half-way.

What is not here: what the slots say (`steplog.recorder`), and everything that reads them.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import NamedTuple

from steplog import filesystem, ranks, settings
from steplog.exceptions import warn
from steplog.journal import (
    HEARTBEAT,
    LOCKED,
    STRETCH,
    AppendedJournal,
    Head,
    Header,
    Journal,
    MappedJournal,
    MemoryJournal,
    exhausted,
    new_header,
    save,
)

FileJournal = MappedJournal | AppendedJournal

PATIENCE_SECONDS = 60.0
"""How long a retired journal waits for a thread that claimed a slot and does not fill it. After
that the journal is closed: the thread, should it ever go on, finds that and logs anew."""

LOOK_SECONDS = 0.5
"""How long it is remembered how much of the disk a spool takes: it may be thousands of files."""


class Ticket(NamedTuple):
    """Where something stands that was written: a journal, and the offset of its first slot."""

    journal_id: str
    offset: int


class Writer:
    """Writes slots to the journals of this process.

    Args:
        directory: where journals live. It is made on the first write, not before.
        preamble: returns the slots that every journal begins with, so that it can be read alone.
        began: called when the first journal of a process has begun.
        spool: STEPLOG_SPOOL_LIMIT_MB is in force there.

    Attributes:
        head: where slots can be claimed now. A caller reads it once for each slot.
        dropped: points that found no room anywhere, since the process started.
        saved: paths of journals that were written at once, and that nobody has been told of yet.
        lock: who holds it keeps other threads from turning the page.
        fault: what is wrong with the disk just now, for people; empty when nothing is.
        store_fault: the same for the store; `steplog.background` says it.

    """

    def __init__(
        self,
        directory: str,
        preamble: Callable[[], bytes],
        began: Callable[[], None],
        *,
        spool: bool = False,
    ) -> None:
        self.directory = directory
        self._preamble = preamble
        self._began = began
        self._spool = spool
        self._reset()

    def _reset(self) -> None:
        self.head: Head = exhausted()
        self.writer_id = os.urandom(16).hex()
        self.dropped = 0
        self.saved: list[str] = []
        self._dropping = False
        self._limited = self._spool
        self._guessed = False  # some of …
        self._taken = 0  # … the bytes of the disk, else as of …
        self._looked = float("-inf")  # … by the monotonic clock
        self.fault = ""
        self.store_fault = ""
        self.lock = threading.RLock()
        self._journal: FileJournal | MemoryJournal | None = None
        self._retired: dict[FileJournal, float] = {}  # and since when, by the monotonic clock
        self._held: list[MemoryJournal] = []  # oldest first; the last may be the current one

    @property
    def journal_id(self) -> str:
        """Id of the journal that is being written; empty when there is none."""
        return self._journal.journal_id if self._journal is not None else ""

    # -- writing ------------------------------------------------------------------------------

    def write(
        self, append: Callable[[Journal], int | None], size: int, *, keep: bool = False
    ) -> Ticket | None:
        """Append to the journal, or to the next one when it has no room.

        Args:
            append: appends to the journal given; returns the offset, None without room.
            size: bytes of the slots it appends.
            keep: they must not be dropped: memory holds them even beyond its limit.

        Returns:
            Where they stand; None where memory is all that is left, and full.

        """
        while True:
            head, journal = self.head, self._journal
            failed = False
            if journal is not None:
                try:
                    offset = append(journal)
                except (TypeError, ValueError):
                    # Its mapping is closed (packing says the one, slicing the other): it was
                    # retired on the way here, and another journal is written now.
                    if journal is self._journal:
                        raise
                    offset = None
                except OSError as error:
                    offset, failed = None, True
                    self._trouble(error)
                if offset is not None:
                    return Ticket(journal.journal_id, offset)
            if not self._advance(head, size, keep=keep, failed=failed):
                return None

    def drop(self, points: int) -> None:
        """Count points that found no room anywhere."""
        self.dropped += points
        if not self._dropping:
            self._dropping = True
            warn(
                f"steplog drops points: {self.directory} cannot be written, and memory holds as "
                "many as STEPLOG_MEMORY_LIMIT_MB allows. `steplog status` counts them."
            )

    def _advance(self, seen: Head, size: int, *, keep: bool, failed: bool) -> bool:
        """Make room: reserve the next stretch of the journal, or begin the next journal.

        Args:
            seen: the head without room. Where it is not the head any more, another thread, or a
                signal handler on top of this one, was faster, and there is nothing to do.
            size: bytes that must find room.
            keep: see `write`.
            failed: do not try to go on in this journal.

        """
        with self.lock:
            if self.head is not seen:
                return True
            journal = self._journal
            if journal is not None and not failed and self._extended(journal, size):
                if journal is self._journal:  # else a signal handler has turned the page
                    self.head = journal.head
                return True
            fresh = self._begin(size, keep=keep)
            if fresh is None:
                return False
            if self.head is not seen:  # a signal handler logged while this was under way
                fresh.discard()
            else:
                self._turn_to(fresh)
            return True

    def _extended(self, journal: Journal, room: int) -> bool:
        try:
            self._require_room()
            return journal.extend(room)
        except OSError as error:
            self._trouble(error)
            return False

    def _begin(self, size: int, *, keep: bool) -> FileJournal | MemoryJournal | None:
        # While memory holds slots, only `look_after` tries the disk, once a second.
        if not self._held:
            try:
                return self._begin_file(size)
            except OSError as error:
                self._trouble(error)
        if self.held_bytes() >= settings.get("STEPLOG_MEMORY_LIMIT_MB") << 20 and not keep:
            return None
        preamble = self._preamble()
        header = self._new_header(LOCKED)
        memory = MemoryJournal(header, len(preamble) + size)
        memory.append(preamble)
        return memory

    def _begin_file(self, size: int = 0) -> FileJournal:
        os.makedirs(self.directory, exist_ok=True)
        self._require_room()
        kind = filesystem.filesystem_type(self.directory)
        durable = settings.get("STEPLOG_DURABILITY") == "power"
        # Who lets nobody ingest here may know more of the file system than its name tells.
        shared = filesystem.is_network(kind) or settings.get("STEPLOG_INGEST") == "off"
        how = settings.get("STEPLOG_JOURNAL")
        if how == "auto":
            mapped = filesystem.can_map(kind) and not (shared or durable)
            how = "mmap" if mapped else "append"
        liveness = HEARTBEAT if shared else LOCKED
        header = self._new_header(liveness, durable=durable)
        preamble = self._preamble()
        fresh = (MappedJournal if how == "mmap" else AppendedJournal)(
            self.directory, header, len(preamble) + size
        )
        try:
            fresh.append(preamble)
        except BaseException:
            fresh.discard()
            raise
        return fresh

    def _require_room(self) -> None:
        """Make sure that journals may take more of the disk.

        Raises:
            OSError: they take as much as they may.

        """
        if not self._limited:
            return
        limit = settings.get("STEPLOG_SPOOL_LIMIT_MB")
        doubtful = self._guessed and self._taken >= limit << 20
        if doubtful or time.monotonic() - self._looked > LOOK_SECONDS:
            self._taken = filesystem.bytes_in(self.directory)
            self._looked = time.monotonic()
            self._guessed = False
        if self._taken >= limit << 20:
            raise OSError(
                f"what waits there takes {self._taken >> 20} MB, and STEPLOG_SPOOL_LIMIT_MB is "
                f"{limit}"
            )
        self._taken += STRETCH  # what is begun now, at most
        self._guessed = True

    def _new_header(self, liveness: int, *, durable: bool = False) -> Header:
        return new_header(self.writer_id, liveness, durable=durable, rank=ranks.own_rank())

    def _turn_to(self, fresh: FileJournal | MemoryJournal | None) -> None:
        """Let callers write to another journal from now on, and retire the present one."""
        last, self._journal = self._journal, fresh
        if isinstance(fresh, MemoryJournal):
            self._held.append(fresh)
        self.head = fresh.head if fresh is not None else exhausted()
        if last is not None:
            last.seal()
            if not isinstance(last, MemoryJournal):
                last.forget_pages()
                self._retired[last] = time.monotonic()
        elif fresh is not None:
            self._began()

    # -- looking after the journals, about once a second ----------------------------------------

    def look_after(self) -> None:
        """Save what memory holds, restore what was deleted, turn the page early, stamp headers."""
        try:
            self._save_held()
            self._restore_deleted()
            self._turn_early()
            self.fault = ""
            self._dropping = False
        except OSError as error:
            self._trouble(error)
        for journal in self.files():
            journal.forget_pages()
            with suppress(OSError):  # a file system that is full or gone; the fault is known
                journal.stamp(*self._vitals())

    def release_retired(self, *, at_once: bool = False) -> None:
        """Close the retired journals that are complete; somebody may then ingest and remove them.

        Args:
            at_once: do not wait for threads that claimed a slot and have not filled it.

        """
        retired = list(self._retired)
        if self._held and not at_once:
            del retired[-1:]  # it is the only place where others can see the fault
        for journal in retired:
            if journal.vanished() and not at_once:
                continue  # it is the only copy; `look_after` writes another
            if at_once or self._overdue(journal) or not journal.unwritten():
                del self._retired[journal]
                try:
                    journal.end(*self._vitals())
                except OSError as error:  # what a network file system took may fail this late
                    self._trouble(error)

    def delivered(self, paths: Collection[str]) -> None:
        """The store has all that these journals hold. In a spool that is full they make room now,
        those included that were kept to show others what is wrong.
        """
        if self._limited and self._held:
            for journal in [each for each in self._retired if each.path in paths]:
                if not journal.unwritten():
                    del self._retired[journal]
                    journal.end(*self._vitals())

    def _overdue(self, journal: FileJournal) -> bool:
        return time.monotonic() - self._retired[journal] >= PATIENCE_SECONDS

    def files(self) -> list[FileJournal]:
        """Return the journal files that are open here, the one being written last."""
        journal = self._journal
        retired = list(self._retired)
        if journal is None or isinstance(journal, MemoryJournal):
            return retired
        return [*retired, journal]

    def held_points(self) -> int:
        """Count the points that wait in memory for want of disk."""
        return sum(journal.points() for journal in self._held)

    def held_bytes(self) -> int:
        """Return the memory that they take, in bytes."""
        return sum(journal.size for journal in self._held)

    def _vitals(self) -> tuple[int, int, str]:
        faults = [fault for fault in (self.fault, self.store_fault) if fault]
        return self.dropped, self.held_points(), "; ".join(faults)

    def _save_held(self) -> None:
        with self.lock:
            if isinstance(self._journal, MemoryJournal):
                self._turn_to(self._begin_file())  # raises as long as the disk refuses
        for journal in self._held.copy():
            if not journal.unwritten():
                self._require_room()
                self.saved.append(journal.save(self.directory))
                self._held.remove(journal)

    def _restore_deleted(self) -> None:
        for journal in self.files():
            if not journal.vanished():
                continue
            with self.lock:
                if journal is self._journal:
                    self._turn_to(self._begin_file())
            if journal.unwritten() and not self._overdue(journal):
                continue  # a point that is written after the copy was made would be lost
            self._save_deleted(journal)
            self._retired.pop(journal, None)
            with suppress(OSError):
                journal.close()

    def _save_deleted(self, journal: FileJournal) -> None:
        try:
            image = journal.image()
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
            # Deleted on another host: there is no copy here that could be read.
            warn(
                f"{journal.path} was deleted on another host while steplog wrote it. What nobody "
                "had read of it is lost; logging goes on in another journal."
            )
            return
        self.saved.append(save(self.directory, self._new_header(LOCKED), image))
        warn(
            f"{journal.path} was deleted while steplog wrote it. The directory is made again, "
            "with what the journals of this process still hold."
        )

    def _turn_early(self) -> None:
        # A thread that logs should not have to wait for a file to be made.
        head, journal = self.head, self._journal
        if isinstance(journal, MappedJournal) and journal.nearly_full():
            self._advance(head, 0, keep=False, failed=True)

    def _trouble(self, error: Exception) -> None:
        fault = f"cannot write in {self.directory}: {error}"
        if not self.fault:
            limit = settings.get("STEPLOG_MEMORY_LIMIT_MB")
            warn(
                f"steplog {fault}. What is logged is kept in memory (at most {limit} MiB) and "
                "written as soon as that is possible again; `steplog status` tells."
            )
        self.fault = fault

    # -- the end, and the fork ------------------------------------------------------------------

    def seal(self) -> None:
        """End the present journal; the next write begins another. To be called at the end: what
        memory holds would be lost then, so the limit of a spool does not keep it from the disk.
        """
        with self.lock:
            self._limited = False
            if self._journal is not None:
                self._turn_to(None)

    def give_up(self) -> None:
        """Tell what is lost with this process: the points that are held in memory."""
        held = self.held_points()
        if held:
            self.dropped += held
            warn(
                f"steplog lost {held} points at the end of this process: {self.directory} could "
                "not be written, and memory held them."
            )

    def after_fork(self) -> None:
        """In a forked child: let go of the parent's journals without touching what they hold."""
        inherited = self.files()
        self._reset()
        for journal in inherited:
            with suppress(OSError, BufferError):
                journal.close()
