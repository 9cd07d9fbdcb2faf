"""Reading a journal back: from bytes to points, series definitions and operations.

One numpy pass over the kinds of the slots tells what a stretch of a journal holds. The file is read
with ordinary reads, never through a mapping: a file that shrinks under a mapping kills the reader.

What is not here: the format and its writers (`steplog.journal`), and what is done with the records
(`steplog.ingest`). A reader changes nothing.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from steplog import filesystem, operations
from steplog.exceptions import FormatTooNew, JournalDamaged
from steplog.journal import (
    CLOCK,
    CLOSED,
    EMPTY,
    FORMAT,
    LOCKED,
    MORE,
    OPERATION,
    PAGE,
    POINT,
    SERIES,
    SKIP,
    SLOT,
    Header,
    boot_id,
    hostname,
)
from steplog.operations import Operation, SeriesKey
from steplog.points import POINT as SLOTS
from steplog.stores.base import Position

STRETCH = 1 << 15
"""Slots that are read at once: one MiB, which the processor's caches still hold."""
LOST_SECONDS = 60.0
"""A heartbeat older than this, where no lock tells, means that the writer is gone …"""
ABANDONED_SECONDS = 24 * 3600.0
"""… and one older than this that it never comes back: the clocks of two hosts may differ."""

_PART = SLOT - 4
_HEAD = np.dtype(
    [("length", "<u4"), ("crc", "<u4"), ("number", "<u4"), ("reserved", "V16"), ("kind", "<u4")]
)
_BODY = np.dtype([("part", f"V{_PART}"), ("kind", "<u4")])

Slots = npt.NDArray[np.void]


class Stretch(NamedTuple):
    """What a reader found after some position.

    Attributes:
        after: the position behind it.
        operations: ``(offset, operation)`` in the order of the journal.
        points: dtype `steplog.points.POINT`, timestamps in ms.
        series: what the numbers in `points` stand for.
        damaged: a sentence for each record that could not be read and was skipped.

    """

    after: Position
    operations: list[tuple[int, Operation]]
    points: Slots
    series: dict[int, SeriesKey]
    damaged: list[str]


class Pending(NamedTuple):
    """What a store lacks of a journal.

    Attributes:
        points: how many.
        operations: how many.
        since_ms: when the first of the points was logged, ms since the epoch; None without any.

    """

    points: int
    operations: int
    since_ms: int | None


class JournalReader:
    """Reads one journal file from any position on, while it is written or afterwards.

    Args:
        path: the file.

    Attributes:
        header: as it was when it was read last.

    Raises:
        FileNotFoundError: it is not there (any more).
        JournalDamaged: it does not begin with a journal's header (yet).
        FormatTooNew: a newer steplog wrote it.

    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = -1
        self._series: dict[int, SeriesKey] = {}
        self._learned = PAGE  # series definitions before this offset are in _series
        self._heard: float | None = None  # when the last heartbeat came, by the monotonic clock
        self.open()

    def open(self) -> None:
        """Open the file and read its header; raises as the class does.

        On a network file system this is also how to see what others have written since: a file
        that stays open may look for a minute as it did before.
        """
        self.close()
        self._fd = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            self.header = self.read_header()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file; what was learned of it is still known when it is opened again."""
        if self._fd != -1:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def rest(self) -> None:
        """Close the file, and keep in memory only when the last heartbeat came."""
        self.close()
        self._series.clear()
        self._learned = PAGE

    @property
    def is_open(self) -> bool:
        """Whether the file is open."""
        return self._fd != -1

    def read_header(self) -> Header:
        """Read the header as it is now; its heartbeat and its fault change while it is written."""
        header = Header.unpack(filesystem.read_at(self._fd, PAGE, 0))
        if header is None:
            raise JournalDamaged(f"{self.path} has no journal's header.")
        if header.format > FORMAT:
            raise FormatTooNew(
                f"{self.path} is a journal of format {header.format}; this steplog reads formats "
                f"up to {FORMAT}. Upgrade steplog to read it; nothing was changed."
            )
        if self._heard is None:
            # Only once are the clocks of two hosts compared: later a heartbeat is new or is not.
            age = max(time.time() - header.heartbeat_ms / 1000, 0.0)
            self._heard = time.monotonic() - age
        elif header.heartbeat_ms != self.header.heartbeat_ms:
            self._heard = time.monotonic()
        return header

    def complete(self) -> bool:
        """Tell whether the journal is certain not to grow any more. Once True, it stays so."""
        header = self.header = self.read_header()
        if header.state == CLOSED:
            # A shared file system may show the new header, and for a while yet the old size.
            return header.boot_id == boot_id() or self.silence() >= LOST_SECONDS
        if header.boot_id != boot_id() or (header.liveness == LOCKED and self._locked()):
            return False
        if header.host != hostname():
            return header.liveness == LOCKED
        # Where another process runs that has no lock, this may be a copy of its journal.
        return not _runs(header.pid) or (header.liveness == LOCKED and header.pid == os.getpid())

    def alive(self) -> bool:
        """Tell whether the writer seems to live; one that does not may still come back."""
        if self.complete():
            return False
        return (self.header.liveness == LOCKED and self._locked()) or self.heard()

    def heard(self) -> bool:
        """Tell whether the writer gave sign of life lately, as far as was seen when last looked."""
        return self.header.state != CLOSED and self.silence() < LOST_SECONDS

    def abandoned(self) -> bool:
        """Tell whether the journal may be taken for complete, and removed when it was ingested."""
        if self.complete():
            return True
        if self.header.liveness == LOCKED:
            # A lock of another boot: of before a restart, or of a host that shares this file
            # system and not its locks.
            return not self._locked() and self.silence() >= LOST_SECONDS
        return self.silence() >= ABANDONED_SECONDS

    def silence(self) -> float:
        """Return for how many seconds no new heartbeat has come, as far as is known here."""
        return 0.0 if self._heard is None else time.monotonic() - self._heard

    def _locked(self) -> bool:
        free = filesystem.try_lock(self._fd, shared=True)
        if free:
            filesystem.unlock(self._fd)
        return not free

    def pending(self, position: Position) -> Pending:
        """Tell what stands behind a position, without decoding more of it than one time."""
        slots = self._slots(position.offset, os.fstat(self._fd).st_size)
        points = np.flatnonzero(np.isin(slots["kind"], (POINT, CLOCK)))
        operations = int((slots["kind"] == OPERATION).sum())
        since = self._logged_at(slots[points[0]]) if points.size else None
        return Pending(points.size, operations, since)

    def read(self, position: Position, *, final: bool) -> Stretch | None:
        """Read the next stretch after a position; None when there is nothing more (yet).

        Args:
            position: up to where the journal has been read.
            final: the journal does not grow any more: slots that are empty stay so.

        """
        offset, slots = self._next(position.offset, final)
        if (offset, slots.size, position.holes) == (position.offset, 0, ()):
            return None  # at once: who only looks need not know the series
        self._learn(position.offset)
        found = _Findings()
        for start, end in position.holes:
            self._scan(start, self._slots(start, end), found)
        self._scan(offset, slots, found)
        end = offset + len(slots) * SLOT
        self._learned = max(self._learned, end)
        points = self._explained(found, final)
        after = Position(end, () if final else tuple(sorted(found.holes)))
        if after == position:
            return None
        series = {number: self._series[number] for number in np.unique(points["series"]).tolist()}
        return Stretch(after, found.operations, points, series, found.damaged)

    def _logged_at(self, slot: np.void) -> int:
        """Return when a point was logged, in ms: by the clock, or about so by the caller's word."""
        if slot["kind"] == CLOCK:
            return int(slot["timestamp"].view(np.float64) * 1000)
        earliest, latest = self.header.created_ms, time.time_ns() // 1_000_000
        return min(max(int(slot["timestamp"]), earliest), latest)

    # -- slots ----------------------------------------------------------------------------------

    def _slots(self, start: int, end: int) -> Slots:
        # Reading copies a slot from its first byte to its last, just as it is being written: the
        # kind may be there already when the step was not yet. So a slot counts only if its kind was
        # there before the rest was read: everything is read twice.
        return self._again(start, self._copy(start, end))

    def _again(self, start: int, before: Slots) -> Slots:
        slots = self._copy(start, start + before.nbytes)
        late = (before["kind"] == EMPTY) & (slots["kind"] != EMPTY)
        if late.any():
            slots = slots.copy()
            slots["kind"][late] = EMPTY
        return slots

    def _copy(self, start: int, end: int) -> Slots:
        data = filesystem.read_at(self._fd, max(end - start, 0), start)
        return np.frombuffer(data, SLOTS, count=len(data) // SLOT)

    def _next(self, offset: int, final: bool) -> tuple[int, Slots]:
        """Return the next slots, without the empty ones at their end, and the offset of the first.

        A journal that still grows ends before its empty slots. In one that is final they are only
        what a killed thread left, or what was reserved and never used.
        """
        while True:
            before = self._copy(offset, offset + STRETCH * SLOT)
            written = np.flatnonzero(before["kind"])
            if written.size:
                return offset, self._again(offset, before[: written[-1] + 1])
            if not final or not before.size:
                return offset, before[:0]
            offset += before.nbytes

    def _scan(self, start: int, slots: Slots, found: _Findings) -> None:
        """Sort the slots from offset `start` on into what they are."""
        kinds = slots["kind"]
        points = np.flatnonzero((kinds == POINT) | (kinds == CLOCK))
        found.points.append(slots[points])
        found.offsets.append(start + points * SLOT)
        found.holes += _ranges(start, np.flatnonzero(kinds == EMPTY))
        for index in np.flatnonzero((kinds == SERIES) | (kinds == OPERATION)).tolist():
            self._decode(start + index * SLOT, found)
        unknown = int((kinds > SKIP).sum())
        if unknown:
            found.damaged.append(f"{self.path}: {unknown} slots of an unknown kind after {start}")

    def _decode(self, offset: int, found: _Findings) -> None:
        head = self._slots(offset, offset + SLOT).view(_HEAD)[0]
        parts = -(-int(head["length"]) // _PART)
        body = self._slots(offset + SLOT, offset + (1 + parts) * SLOT)
        if len(body) < parts or (body["kind"] == EMPTY).any():
            found.holes.append((offset, offset + SLOT))  # torn, or still being written
            return
        payload = body.view(_BODY)["part"].tobytes()[: int(head["length"])]
        try:
            if (body["kind"] != MORE).any() or crc32(payload) != int(head["crc"]):
                raise JournalDamaged("its checksum does not fit")
            if head["kind"] == SERIES:
                self._series[int(head["number"])] = self._key(payload)
            else:
                found.operations.append((offset, operations.decode(payload)))
        except JournalDamaged as error:
            found.damaged.append(f"{self.path}: the record at {offset} was skipped: {error}")

    def _key(self, payload: bytes) -> SeriesKey:
        return operations.decode_series(payload)._replace(rank=self.header.rank)

    def _learn(self, until: int) -> None:
        """Read the series definitions before an offset, for a reader that does not begin there."""
        ignored = _Findings()
        while self._learned < until:
            slots = self._slots(self._learned, min(self._learned + STRETCH * SLOT, until))
            if not slots.size:
                return
            for index in np.flatnonzero(slots["kind"] == SERIES).tolist():
                self._decode(self._learned + index * SLOT, ignored)
            self._learned += slots.size * SLOT

    def _explained(self, found: _Findings, final: bool) -> Slots:
        """Return the points, in ms; leave out those whose series definition is not there."""
        points = np.concatenate(found.points)
        clock = points["kind"] == CLOCK
        seconds = points["timestamp"][clock].view(np.float64)
        points["timestamp"][clock] = (seconds * 1000).astype(np.int64)
        known = np.isin(points["series"], list(self._series))
        if not known.all():
            # A definition that was still a hole when it was passed has been written since: this
            # point was logged after it, perhaps even while this stretch was being read.
            self._learned = PAGE
            self._learn(os.fstat(self._fd).st_size)
            known = np.isin(points["series"], list(self._series))
        if not known.all() and found.holes and not final:
            # A network file system may show what was written later first: so look at it again.
            found.holes += _ranges(0, np.concatenate(found.offsets)[~known] // SLOT)
        elif not known.all():
            lost = int((~known).sum())
            found.damaged.append(f"{self.path}: {lost} points of a series that is not defined")
        return points[known]


class _Findings:
    """What scanning slots brings to light."""

    def __init__(self) -> None:
        self.operations: list[tuple[int, Operation]] = []
        self.points: list[Slots] = []
        self.offsets: list[npt.NDArray[np.int64]] = []  # of the points
        self.holes: list[tuple[int, int]] = []
        self.damaged: list[str] = []


def _ranges(start: int, indices: npt.NDArray[np.intp]) -> list[tuple[int, int]]:
    """Join neighbouring slots to ranges of offsets."""
    if not indices.size:
        return []
    runs = np.split(indices, np.flatnonzero(np.diff(indices) > 1) + 1)
    return [(start + int(r[0]) * SLOT, start + (int(r[-1]) + 1) * SLOT) for r in runs]


def _runs(pid: int) -> bool:
    """Tell whether a process of this host runs; one that has ended, and whose parent has not asked
    how, still has its number.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            if file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X"):
                return False
    except (OSError, IndexError):
        pass  # there is no /proc here, or no such process
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True
