"""Ingest: move what journals hold into a store, exactly once.

The one function that everything calls: the background thread of a writer, a reader before it reads,
whoever finds the journal of a dead process, `steplog ingest`. Any number of them may do so at once,
for the store lets only one of them past each position of each journal.

What is not here: how a journal is read (`steplog.journal_reader`), what a store does with a batch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeAlias

from steplog import journals
from steplog.exceptions import FormatTooNew, JournalDamaged, warn
from steplog.journal import HEARTBEAT, PAGE, SLOT, SUFFIX
from steplog.journal_reader import LOST_SECONDS, STRETCH, JournalReader, Stretch
from steplog.stores.base import START, Batch, Position, Refused, Store
from steplog.tally import tally

_COURTESIES, _COURTESY_SECONDS = 50, 0.02
_MOST_OPEN = 200
"""Journals that are kept open from one time to the next, for a process may not open many files."""


class IngestReport:
    """What one run of ingest did.

    Attributes:
        points: how many points it handed to the store.
        operations: how many operations.
        refused: those of them that the catalog did not accept.
        removed: paths of journals that were ingested to their end and removed.
        damaged: a sentence for each thing that could not be read and was skipped.

    """

    def __init__(self) -> None:
        self.points = 0
        self.operations = 0
        self.refused: list[Refused] = []
        self.removed: set[str] = set()
        self.damaged: list[str] = []


class Ingestor:
    """Moves the journals of one directory into one store. For one thread at a time.

    Args:
        store: where they go.
        directory: where the journals are; need not exist.
        keep: change nothing there: journals that were ingested to their end stay, for other
            readers have stores of their own. There may be thousands, where opening a file takes a
            round trip; so what cannot have changed is not opened again.

    """

    def __init__(self, store: Store, directory: str, *, keep: bool = False) -> None:
        self.store = store
        self.directory = directory
        self._keep = keep
        self._finished: set[str] = set()  # journals that stay, and grow no more
        self._complete: set[str] = set()  # these, and those whose writers are gone
        self._quiet: dict[str, _Look] = {}  # those that seem to, as they looked
        self._readers: dict[str, JournalReader] = {}
        self._positions: dict[str, Position] = {}

    def ingest(
        self, paths: Iterable[str] | None = None, progress: Callable[[int], None] | None = None
    ) -> IngestReport:
        """Ingest all that these journals hold now, and remove those whose writer is gone.

        Args:
            paths: the journals; None for all there are.
            progress: called now and then with the number of points ingested since the last call.

        Raises:
            StoreError: the store cannot take them now, or the directory not be read. Nothing is
                lost; call again later.

        """
        report = IngestReport()
        for path in self._all() if paths is None else self._some(paths):
            if path in self._finished:
                continue
            try:
                if self._keep:
                    self._look(path, report, progress)
                elif (reader := self._open(path, report)) is not None:
                    self._ingest(reader, report, progress, final=reader.abandoned())
            except FileNotFoundError:
                self._forget(path)  # somebody else ingested it to its end
            except OSError as error:
                # One that nobody else may read, or that a server has moved: the others are read.
                self._forget(path)
                report.damaged.append(f"{path} cannot be read now: {error.strerror}.")
            self._close_some(path)
        return report

    def ingest_orphans(self) -> IngestReport:
        """Ingest and remove the journals of writers that are gone, whoever they were."""
        orphans = [r.path for r in journals.readers(self.directory) if r.abandoned()]
        return self.ingest(orphans)

    def live_writers(self) -> frozenset[str]:
        """Return the ids of the writers that lived when their journals were ingested last."""
        return frozenset(
            reader.header.writer_id
            for path, reader in self._readers.items()
            if path not in self._complete and reader.heard()
        )

    def close(self) -> None:
        """Give back the files and the store; the ingestor cannot be used afterwards."""
        while self._readers:
            self._readers.popitem()[1].close()
        self.store.close()

    def position(self, journal_id: str) -> Position:
        """Return up to where the store has a journal."""
        return self.store.positions([journal_id]).get(journal_id, START)

    def _all(self) -> list[str]:
        """Return the paths of all journals there are, and forget those that are gone."""
        found = journals.paths(self.directory)
        for path in {*self._readers, *self._quiet, *self._finished}.difference(found):
            self._forget(path)
        return found

    def _some(self, paths: Iterable[str]) -> Iterable[str]:
        """Return the same paths, and forget journals that are gone."""
        for path in [path for path in self._readers if not os.path.exists(path)]:
            self._forget(path)
        return paths

    def _close_some(self, path: str) -> None:
        reader = self._readers.get(path)
        # One of another host may be replaced by a newer copy, and looks new only when it is opened.
        if reader and (len(self._readers) > _MOST_OPEN or reader.header.liveness == HEARTBEAT):
            reader.close()

    # -- one journal ------------------------------------------------------------------------------

    def _look(
        self, path: str, report: IngestReport, progress: Callable[[int], None] | None
    ) -> None:
        """Ingest a journal that stays, unless it looks as it did when nothing more came."""
        look = _look_of(path)
        if self._quiet.get(path) == look:
            return
        reader = self._open(path, report)
        if reader is None:
            return
        # A shared file system may show that a journal is complete before it shows its last size.
        final = False
        if reader.complete():
            self._complete.add(path)
            final = reader.silence() >= LOST_SECONDS
        self._ingest(reader, report, progress, final=final)
        if final:
            self._forget(path)
            self._finished.add(path)
        elif reader.silence() > LOST_SECONDS:
            reader.rest()
            self._quiet[path] = look

    def _open(self, path: str, report: IngestReport) -> JournalReader | None:
        """Return the journal's reader, kept from the last time; None where there is no journal."""
        try:
            if path not in self._readers:
                self._readers[path] = JournalReader(path)
            elif not self._readers[path].is_open:
                self._readers[path].open()
        except JournalDamaged as error:
            if journals.is_torn(path) and not self._keep:
                _bury(path, error, report)
            return None
        except FormatTooNew as error:
            report.damaged.append(error.message)
            return None
        return self._readers[path]

    def _ingest(
        self,
        reader: JournalReader,
        report: IngestReport,
        progress: Callable[[int], None] | None,
        *,
        final: bool,
    ) -> None:
        """Ingest what a journal holds; `final` was asked before, so that what is read is all."""
        journal_id = reader.header.journal_id
        damaged = len(report.damaged)
        if journal_id not in self._positions:
            self._positions[journal_id] = self.position(journal_id)
        while stretch := reader.read(before := self._positions[journal_id], final=final):
            refused = self.store.apply(self._batch(reader, stretch))
            if refused is None:  # somebody else was faster, or the catalog is another
                self._positions[journal_id] = self._position_at_rest(journal_id)
                continue
            self._positions[journal_id] = stretch.after
            tally.applied(len(stretch.points), len(stretch.operations), len(refused))
            report.points += len(stretch.points)
            report.operations += len(stretch.operations)
            report.refused += refused
            report.damaged += stretch.damaged
            if progress is not None:
                progress(len(stretch.points))
            if not final and stretch.after.offset - before.offset < STRETCH * SLOT:
                break  # that was all: looking again would copy a megabyte of zeros
        if final and not self._keep:
            self._remove(reader, damaged=len(report.damaged) > damaged)
            report.removed.add(reader.path)

    def _batch(self, reader: JournalReader, stretch: Stretch) -> Batch:
        header = reader.header
        before = self._positions[header.journal_id]
        return Batch(
            header.journal_id, header.writer_id, before, stretch.after,
            stretch.operations, stretch.points, stretch.series, header.durable,
        )  # fmt: skip

    def _position_at_rest(self, journal_id: str) -> Position:
        """Wait while somebody else gets on with a journal: two at it would both do all the work."""
        position = self.position(journal_id)
        for _ in range(_COURTESIES):
            time.sleep(_COURTESY_SECONDS)
            later = self.position(journal_id)
            if later == position:
                break
            position = later
        return position

    def _forget(self, path: str) -> None:
        reader = self._readers.pop(path, None)
        if reader is not None:
            self._positions.pop(reader.header.journal_id, None)
            reader.close()
        self._quiet.pop(path, None)
        self._finished.discard(path)
        self._complete.discard(path)

    def _remove(self, reader: JournalReader, *, damaged: bool) -> None:
        """Remove a journal whose points are all in the store; keep one that was damaged, aside."""
        self._forget(reader.path)
        with suppress(FileNotFoundError):  # somebody else was faster
            if damaged:
                kept = reader.path.removesuffix(SUFFIX) + journals.DAMAGED_SUFFIX
                os.replace(reader.path, kept)
                warn(f"A journal was damaged. What could be read is stored; it is kept as {kept}.")
            else:
                os.unlink(reader.path)


_Look: TypeAlias = tuple[int, int]
"""When a file was changed last, and its size."""


def _look_of(path: str) -> _Look:
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size


def _bury(path: str, error: JournalDamaged, report: IngestReport) -> None:
    """Remove a file whose maker died before it wrote a header; nobody ever logged to it."""
    with suppress(FileNotFoundError):
        with open(path, "rb") as file:
            empty = not any(file.read(PAGE))
        if empty:
            os.unlink(path)
        else:
            report.damaged.append(error.message)
