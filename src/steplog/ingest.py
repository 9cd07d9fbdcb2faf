"""Ingest: move what journals hold into a store, exactly once.

The one function that everything calls: the background thread of a writer, a reader before it reads,
whoever finds the journal of a dead process, `steplog ingest`. Any number of them may do so at once,
for the store lets only one of them past each position of each journal.

What is not here: how a journal is read (`steplog.journal_reader`), what a store does with a batch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from steplog.exceptions import FormatTooNew, JournalDamaged, warn
from steplog.journal import SUFFIX
from steplog.journal_reader import JournalReader, Stretch
from steplog.stores.base import START, Batch, Position, Refused, Store

DAMAGED_SUFFIX = ".damaged"
_TORN_SECONDS = 60.0


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


class JournalState(NamedTuple):
    """One journal as `steplog status` shows it.

    Attributes:
        path: the file.
        journal_id: 32 hex digits.
        writer_id: 32 hex digits; the process.
        host: where it runs, or ran.
        pid: its process id there.
        created_ms: when the journal was begun, ms since the epoch.
        heartbeat_ms: when its writer last looked after it, ms since the epoch.
        live: True while its writer lives.
        pending_points: points that no store has yet.
        held_points: points that its writer keeps in memory, for want of disk.
        dropped_points: points that its writer could not keep.
        fault: what is wrong just now; empty when nothing is.

    """

    path: str
    journal_id: str
    writer_id: str
    host: str
    pid: int
    created_ms: int
    heartbeat_ms: int
    live: bool
    pending_points: int
    held_points: int
    dropped_points: int
    fault: str


class Ingestor:
    """Moves the journals of one directory into one store. For one thread at a time.

    Args:
        store: where they go.
        directory: where the journals are; need not exist.

    """

    def __init__(self, store: Store, directory: str) -> None:
        self.store = store
        self.directory = directory
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
            StoreError: the store cannot take them now. Nothing is lost; call again later.

        """
        report = IngestReport()
        for path in self.journals() if paths is None else paths:
            reader = self._open(path, report)
            if reader is not None:
                self._ingest(reader, report, progress)
        return report

    def ingest_orphans(self) -> IngestReport:
        """Ingest and remove the journals of writers that are gone, whoever they were."""
        return self.ingest([reader.path for reader in self._all() if not reader.alive()])

    def journals(self) -> list[str]:
        """Return the paths of all journals."""
        with suppress(FileNotFoundError), os.scandir(self.directory) as entries:
            return sorted(entry.path for entry in entries if entry.name.endswith(SUFFIX))
        return []

    def states(self) -> list[JournalState]:
        """Look at every journal without changing anything."""
        return [self._state(reader) for reader in self._all()]

    def _state(self, reader: JournalReader) -> JournalState:
        header = reader.read_header()
        pending = reader.pending(self._stored_position(header.journal_id))
        return JournalState(
            path=reader.path,
            journal_id=header.journal_id,
            writer_id=header.writer_id,
            host=header.host,
            pid=header.pid,
            created_ms=header.created_ms,
            heartbeat_ms=header.heartbeat_ms,
            live=reader.alive(),
            pending_points=pending,
            held_points=header.held,
            dropped_points=header.dropped,
            fault=header.fault,
        )

    def live_writers(self) -> frozenset[str]:
        """Return the ids of the writers that are alive."""
        return frozenset(reader.header.writer_id for reader in self._all() if reader.alive())

    # -- one journal ------------------------------------------------------------------------------

    def _all(self) -> Iterator[JournalReader]:
        paths = self.journals()
        for gone in self._readers.keys() - paths:
            self._readers.pop(gone).close()
        for path in paths:
            reader = self._open(path, IngestReport())
            if reader is not None:
                yield reader

    def _open(self, path: str, report: IngestReport) -> JournalReader | None:
        """Return the journal's reader, kept from the last time; None where there is no journal."""
        if path not in self._readers:
            try:
                self._readers[path] = JournalReader(path)
            except FileNotFoundError:
                return None  # somebody else ingested it to its end
            except JournalDamaged as error:
                # It is just being made; or its maker died before anything was logged to it.
                if time.time() - _modified(path) > _TORN_SECONDS:
                    report.damaged.append(error.message)
                return None
            except FormatTooNew as error:
                report.damaged.append(error.message)
                return None
        return self._readers[path]

    def _ingest(
        self, reader: JournalReader, report: IngestReport, progress: Callable[[int], None] | None
    ) -> None:
        journal_id = reader.header.journal_id
        damaged = len(report.damaged)
        final = not reader.alive()  # asked before reading: what is read then is all there is
        if journal_id not in self._positions:
            self._positions[journal_id] = self._stored_position(journal_id)
        while stretch := reader.read(self._positions[journal_id], final=final):
            refused = self.store.apply(self._batch(reader, stretch))
            if refused is None:  # somebody else was faster, or the catalog is another
                self._positions[journal_id] = self._stored_position(journal_id)
                continue
            self._positions[journal_id] = stretch.after
            report.points += len(stretch.points)
            report.operations += len(stretch.operations)
            report.refused += refused
            report.damaged += stretch.damaged
            if progress is not None:
                progress(len(stretch.points))
        if final:
            self._remove(reader, damaged=len(report.damaged) > damaged)
            report.removed.add(reader.path)

    def _batch(self, reader: JournalReader, stretch: Stretch) -> Batch:
        header = reader.header
        before = self._positions[header.journal_id]
        return Batch(
            header.journal_id, header.writer_id, before, stretch.after,
            stretch.operations, stretch.points, stretch.series, header.durable,
        )  # fmt: skip

    def _stored_position(self, journal_id: str) -> Position:
        return self.store.positions([journal_id]).get(journal_id, START)

    def _remove(self, reader: JournalReader, *, damaged: bool) -> None:
        """Remove a journal whose points are all in the store; keep one that was damaged, aside."""
        self._readers.pop(reader.path, None)
        self._positions.pop(reader.header.journal_id, None)
        reader.close()
        with suppress(FileNotFoundError):  # somebody else was faster
            if damaged:
                kept = reader.path.removesuffix(SUFFIX) + DAMAGED_SUFFIX
                os.replace(reader.path, kept)
                warn(f"A journal was damaged. What could be read is stored; it is kept as {kept}.")
            else:
                os.unlink(reader.path)


def _modified(path: str) -> float:
    with suppress(OSError):
        return os.stat(path).st_mtime
    return time.time()
