"""The journal: the append-only file of one writer process, and the three ways to write it.

A journal is a header page and a row of slots of 32 bytes. The last four bytes of a slot are its
kind and are written last, so a slot is either whole or not there. `docs/formats/journal.md` draws
every byte; `steplog.journal_reader` reads them back.

Three classes write the same bytes:

* `MappedJournal` stores into a mapping of reserved space. Its `head` lets a caller claim a slot and
  fill it without a system call or a lock: that is what `log_metric` does.
* `AppendedJournal` writes with system calls: on file systems where a mapping is not safe, and where
  every point must survive a power cut.
* `MemoryJournal` stands in while the disk refuses, and is written out when it no longer does.

Claiming a slot is one step of an iterator over the offsets of the free slots. A step of a
``range`` iterator is atomic (one C call under the interpreter's lock), it needs no lock that a
signal handler could find taken, and its end is the signal to reserve more space. Any number of
slots in a row are claimed by ``list(islice(…))``, one C call too.

What is not here: which journal is written when (`steplog.recorder`), what operations mean.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from typing import NamedTuple, Protocol
from zlib import crc32

from steplog import filesystem

MAGIC = b"steplog\0"
FORMAT = 1
PAGE = 4096
SLOT = 32
CAPACITY = 8 << 20
"""Bytes of one journal: a quarter of a million points. A mapped journal counts as memory of the
training process while it is written, so it must not be large."""
STRETCH = 256 << 10
"""Bytes for which a mapped journal reserves space at a time."""
LARGEST_PAYLOAD = 8 << 20
SUFFIX = ".journal"

EMPTY, POINT, CLOCK, SERIES, OPERATION, MORE, SKIP = range(7)
"""The kinds of a slot. A CLOCK point holds the time as the clock gave it, seconds in a float: to
make milliseconds of it would cost `log_metric` a fifth of its time, and whoever reads the journal
does it for thousands at once."""

LOCKED, HEARTBEAT = range(2)
"""How a reader tells that the writer lives: it holds the file's lock, or it stamps the header."""
OPEN, CLOSED = range(2)

pack_point = struct.Struct("<qqdII").pack_into
"""Fill a slot: buffer, offset, step, timestamp in ms, value, series number, POINT. It zeroes the
slot first and then writes field by field, the kind last."""
pack_clock = struct.Struct("<qddII").pack_into
"""The same with the time in seconds, a float, and CLOCK."""
_HEAD = struct.Struct("<III16xI")
_KIND = struct.Struct("<I")
_HEADER = struct.Struct("<8sII16s16sIiqqQQII16s144s768s")
_HEARTBEAT_AT = 64  # heartbeat, dropped, held, state: the part of the header that changes
_VITALS = struct.Struct("<qQQI")
_FAULT_AT = 256
_FAULT_BYTES = 768
_PAYLOAD_BYTES = SLOT - _KIND.size
_VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)
_SKIPPED = bytes(_PAYLOAD_BYTES) + _KIND.pack(SKIP)

Buffer = mmap.mmap | bytearray
Head = tuple[Buffer, Callable[[], int]]
"""Where points go now: a buffer, and the function that claims the offset of a free slot in it. One
tuple, because a thread that took the buffer of one journal and a slot of the next would destroy a
point. The function raises StopIteration when no slot is left."""


def exhausted() -> Head:
    """Return the head of a journal whose slots cannot be claimed: callers take the slow path."""
    return (bytearray(), iter(()).__next__)


class Header(NamedTuple):
    """The first page of a journal.

    Attributes:
        format: version of the format; a reader leaves journals of newer ones alone.
        liveness: LOCKED or HEARTBEAT.
        journal_id: 32 hex digits; also the file's name.
        writer_id: 32 hex digits; the journals of one process share it.
        pid: process id of the writer on its host.
        rank: rank of the process in a distributed job, -1 where there is none.
        created_ms: when it was begun, ms since the epoch.
        heartbeat_ms: when its writer last said that it lives, ms since the epoch.
        dropped: points that could not be kept at all, since the process started.
        held: points that wait in memory because the disk refuses them.
        state: OPEN or CLOSED.
        durable: True where the writer promised that points survive a power cut.
        boot_id: 32 hex digits that change when the host restarts.
        host: name of the host.
        fault: what is wrong just now, for people; empty when nothing is.

    """

    format: int
    liveness: int
    journal_id: str
    writer_id: str
    pid: int
    rank: int
    created_ms: int
    heartbeat_ms: int
    dropped: int
    held: int
    state: int
    durable: bool
    boot_id: str
    host: str
    fault: str

    def pack(self) -> bytes:
        """Return the header's page."""
        return _HEADER.pack(
            MAGIC,
            self.format,
            self.liveness,
            bytes.fromhex(self.journal_id),
            bytes.fromhex(self.writer_id),
            self.pid,
            self.rank,
            self.created_ms,
            self.heartbeat_ms,
            self.dropped,
            self.held,
            self.state,
            self.durable,
            bytes.fromhex(self.boot_id),
            _text(self.host, 144),
            _text(self.fault, _FAULT_BYTES),
        ).ljust(PAGE, b"\0")

    @classmethod
    def unpack(cls, page: bytes) -> Header | None:
        """Read a header; None where the page does not hold one (yet)."""
        if len(page) < PAGE or page[:8] != MAGIC:
            return None
        _, version, liveness, journal, writer, *vitals, durable, boot, host, fault = (
            _HEADER.unpack_from(page)
        )
        pid, rank, created_ms, heartbeat_ms, dropped, held, state = vitals
        return cls(
            version, liveness, journal.hex(), writer.hex(), pid, rank, created_ms, heartbeat_ms,
            dropped, held, state, bool(durable), boot.hex(), _string(host), _string(fault),
        )  # fmt: skip


def new_header(writer_id: str, liveness: int, *, durable: bool, rank: int = -1) -> Header:
    """Return the header of a journal that this process begins now."""
    now = time.time_ns()
    # Ids sort by time, so that the journals of a process are ingested in their order: points that
    # arrive in the order of their steps need no sorting later.
    journal_id = f"{now:016x}{os.urandom(8).hex()}"
    now_ms = now // 1_000_000
    return Header(
        FORMAT,
        liveness,
        journal_id,
        writer_id,
        os.getpid(),
        rank,
        now_ms,
        now_ms,
        0,
        0,
        OPEN,
        durable,
        boot_id(),
        hostname(),
        "",
    )


@lru_cache(maxsize=1)
def boot_id() -> str:
    """Return 32 hex digits that are another after each restart of this host; zeros if unknown."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip().replace("-", "")
    except OSError:
        return "0" * 32


def hostname() -> str:
    """Return the name of this host."""
    if sys.platform == "win32":
        import socket  # elsewhere it would cost an import of 8 ms for nothing

        return socket.gethostname()
    return os.uname().nodename


def record(kind: int, payload: bytes, number: int = 0) -> bytes:
    """Return the slots of a series definition or an operation: a head, and slots that continue it.

    Args:
        kind: SERIES or OPERATION.
        payload: the UTF-8 JSON text of `steplog.operations`.
        number: the number that a series definition gives its series; 0 for operations.

    Raises:
        ValueError: the payload is longer than LARGEST_PAYLOAD.

    """
    if len(payload) > LARGEST_PAYLOAD:
        raise ValueError(f"a record may hold {LARGEST_PAYLOAD} bytes, got {len(payload)}")
    slots = [_HEAD.pack(len(payload), crc32(payload), number, kind)]
    for start in range(0, len(payload), _PAYLOAD_BYTES):
        part = payload[start : start + _PAYLOAD_BYTES]
        slots.append(part.ljust(_PAYLOAD_BYTES, b"\0") + _KIND.pack(MORE))
    return b"".join(slots)


class Journal(Protocol):
    """A journal that is being written.

    Attributes:
        journal_id: 32 hex digits.
        head: where a caller may claim and fill single slots; exhausted where that is not possible.

    """

    journal_id: str
    head: Head

    def append(self, slots: bytes) -> int | None:
        """Write whole slots in a row; return their offset, or None when they do not fit (now)."""
        ...

    def append_points(self, fields: list[float], count: int) -> int | None:
        """Write points given as one flat list of step, timestamp, value, number, kind."""
        ...

    def extend(self, room: int) -> bool:
        """Reserve a stretch for `room` bytes of slots or more; False where there is no space."""
        ...

    def seal(self) -> None:
        """Let nobody claim a slot any more. Who claimed one before may still be filling it."""
        ...

    def unwritten(self) -> int:
        """Count the slots of a sealed journal that were claimed but are not filled (yet)."""
        ...

    def discard(self) -> None:
        """Drop a journal that holds nothing worth keeping."""
        ...


@lru_cache(maxsize=256)
def _points(count: int) -> struct.Struct:
    return struct.Struct("<" + "qqdII" * count)


class _Slots:
    """The free slots of a buffer, and what can be done with them; the base of two journals.

    Invariant: every slot below the next free one was claimed by exactly one caller, who fills it or
    turns it into a SKIP. Only a thread stopped between the two leaves an empty slot behind.
    """

    def __init__(self, journal_id: str, buffer: Buffer, end: int) -> None:
        self.journal_id = journal_id
        self._buffer = buffer
        self._claimed_end: int | None = None
        self._offer(PAGE, end)

    def _offer(self, start: int, end: int) -> None:
        self._end = end
        self._free: Iterator[int] = iter(range(start, end, SLOT))
        self.head = (self._buffer, self._free.__next__)

    def _claim(self, count: int) -> int | None:
        """Claim slots in a row; return the offset of the first, None when there are too few."""
        offsets = list(islice(self._free, count))
        if len(offsets) == count:
            return offsets[0] if count else PAGE
        for offset in offsets:  # the end was reached on the way: nobody else can use them
            release(self._buffer, offset)
        return None

    def append(self, slots: bytes) -> int | None:
        offset = self._claim(len(slots) // SLOT)
        if offset is not None:
            _store(self._buffer, offset, slots)
        return offset

    def append_points(self, fields: list[float], count: int) -> int | None:
        offset = self._claim(count)
        if offset is not None:
            try:
                _points(count).pack_into(self._buffer, offset, *fields)
            except BaseException:
                for slot in range(offset, offset + count * SLOT, SLOT):
                    release(self._buffer, slot)
                raise
        return offset

    def seal(self) -> None:
        if self._claimed_end is None:
            rest = list(self._free)  # all at once: nobody claims a slot in between
            self._claimed_end = rest[0] if rest else self._end

    def unwritten(self) -> int:
        assert self._claimed_end is not None, "only a sealed journal knows"
        # Every kind is below 256, so its lowest byte tells; a slice with a step is one C loop.
        return self._buffer[PAGE + _PAYLOAD_BYTES : self._claimed_end : SLOT].count(0)

    def remaining(self) -> int:
        """Count the reserved slots that nobody has claimed."""
        return self._free.__length_hint__()  # type: ignore[attr-defined, no-any-return]


class _File:
    """The file of a journal: its lock, its header, its end; the base of two journals."""

    def __init__(self, directory: str, header: Header) -> None:
        self.header = header
        self.journal_id = header.journal_id
        self.path = os.path.join(directory, header.journal_id + SUFFIX)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
        self.fd = os.open(self.path, flags | getattr(os, "O_BINARY", 0), 0o666)

    def _begin(self) -> None:
        """Take the lock, then write the header: a file without one is not there yet for readers."""
        if self.header.liveness == LOCKED and not filesystem.try_lock(self.fd):
            # Without locks it would look like an orphan, and be removed while it is written.
            self.header = self.header._replace(liveness=HEARTBEAT)
        filesystem.write_at(self.fd, self.header.pack(), 0)
        if self.header.durable:
            os.fsync(self.fd)
            _sync_directory(os.path.dirname(self.path))

    def stamp(self, dropped: int, held: int, fault: str, state: int = OPEN) -> None:
        """Write the heartbeat, and what is wrong just now, into the header.

        Args:
            dropped: points that could not be kept at all.
            held: points that wait in memory.
            fault: a sentence for people; empty when nothing is wrong.
            state: OPEN or CLOSED.

        """
        now = time.time_ns() // 1_000_000
        filesystem.write_at(self.fd, _text(fault, _FAULT_BYTES), _FAULT_AT)
        filesystem.write_at(self.fd, _VITALS.pack(now, dropped, held, state), _HEARTBEAT_AT)

    def forget_pages(self) -> None:
        """Take what was written so far out of this process's memory; the file keeps it."""

    def vanished(self) -> bool:
        """Tell whether somebody deleted the file, or put another in its place."""
        try:
            return not os.path.samestat(os.fstat(self.fd), os.stat(self.path))
        except OSError as error:
            if error.errno in _VANISHED:
                return True
            raise

    def image(self) -> bytes:
        """Return the slots of the file, also when nobody else can open it any more."""
        return filesystem.read_at(self.fd, os.fstat(self.fd).st_size, PAGE)

    def end(self, dropped: int, held: int, fault: str) -> None:
        """Say in the header that the journal is complete, and close it."""
        try:
            if self.header.liveness == HEARTBEAT:
                # A network file system may show others the last write first; who sees that the
                # journal is complete does not look again.
                os.fsync(self.fd)
            self.stamp(dropped, held, fault, CLOSED)
        finally:
            self.close()

    def close(self) -> None:
        """Close the file, and with it give up the lock: from now on the journal is an orphan.

        In a forked child this leaves the parent's lock alone: a lock lasts as long as any copy of
        the descriptor is open.
        """
        # The number of a closed file may soon be another's: nobody must write there by mistake.
        fd, self.fd = self.fd, -1
        os.close(fd)

    def discard(self) -> None:
        """Close and delete a file that holds nothing worth keeping."""
        self.close()
        os.unlink(self.path)


class MappedJournal(_Slots, _File):
    """A journal in a mapping of space reserved on a local disk.

    Args:
        directory: where journals live; must exist.
        header: of `new_header`.
        room: bytes of slots that must fit; the journal is larger than usual where they are many.

    Raises:
        OSError: the file cannot be made, or its first stretch not be reserved.

    """

    _buffer: mmap.mmap

    def __init__(self, directory: str, header: Header, room: int = 0) -> None:
        _File.__init__(self, directory, header)
        try:
            end = -(-(PAGE + room) // STRETCH) * STRETCH
            self._capacity = max(CAPACITY, 4 * end)
            self._reserving = False
            filesystem.reserve(self.fd, 0, end)
            os.ftruncate(self.fd, self._capacity)  # the rest is a hole, and nobody touches it yet
            self._begin()
            _Slots.__init__(self, self.journal_id, mmap.mmap(self.fd, self._capacity), end)
        except BaseException:
            _File.close(self)  # not `discard`, which would look for the mapping
            os.unlink(self.path)
            raise

    def extend(self, room: int) -> bool:
        # Reserving fills the space with zeros. A signal handler on top of it must not have logged
        # there, and so is told to begin another journal.
        end = self._end + -(-room // STRETCH) * STRETCH
        if self._reserving or end > self._capacity:
            return False
        self._reserving = True
        try:
            filesystem.reserve(self.fd, self._end, end)
        finally:
            self._reserving = False
        if self._claimed_end is None:
            self._offer(self._end, end)
        return True

    def nearly_full(self) -> bool:
        """Tell whether less than half of the last stretch is left."""
        return self._end == self._capacity and self.remaining() * SLOT < STRETCH // 2

    def forget_pages(self) -> None:
        if hasattr(mmap, "MADV_DONTNEED"):
            self._buffer.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Unmap and close. A thread that still holds a slot gets an error and logs again."""
        self._buffer.close()
        super().close()


class AppendedJournal(_File):
    """A journal written with system calls: slower, and safe where a mapping is not.

    With ``header.durable`` each append waits until the disk has it. Arguments as `MappedJournal`.
    """

    def __init__(self, directory: str, header: Header, room: int = 0) -> None:
        super().__init__(directory, header)
        self.head = exhausted()
        self._next = PAGE
        self._end = max(CAPACITY, PAGE + 4 * room)
        # Writing waits for the disk anyway. The lock keeps the file open as long as that takes.
        self._writing = threading.RLock()
        try:
            self._begin()
        except BaseException:
            self.discard()
            raise

    def append(self, slots: bytes) -> int | None:
        with self._writing:
            offset = self._next
            if offset + len(slots) > self._end:
                return None
            self._next += len(slots)
            written = 0
            while written < len(slots):
                written += filesystem.write_at(self.fd, slots[written:], offset + written)
            if self.header.durable:
                getattr(os, "fdatasync", os.fsync)(self.fd)
            return offset

    def append_points(self, fields: list[float], count: int) -> int | None:
        return self.append(_points(count).pack(*fields))

    def extend(self, room: int) -> bool:
        return False

    def seal(self) -> None:
        self._end = 0

    def unwritten(self) -> int:
        with self._writing:  # who is writing ends first; what failed was never acknowledged
            return 0

    def end(self, dropped: int, held: int, fault: str) -> None:
        """Wait for who is writing, then say that the journal is complete, and close it."""
        with self._writing:
            super().end(dropped, held, fault)


class MemoryJournal(_Slots):
    """What is logged while the disk refuses: the same slots, in memory, until `save` succeeds."""

    BYTES = PAGE + (1 << 20)

    def __init__(self, header: Header, room: int = 0) -> None:
        self.size = max(self.BYTES, PAGE + room)
        self.header = header
        super().__init__(header.journal_id, bytearray(self.size), self.size)

    def extend(self, room: int) -> bool:
        return False

    def points(self) -> int:
        """Count the points that wait here."""
        kinds = self._buffer[PAGE + _PAYLOAD_BYTES :: SLOT]
        return kinds.count(POINT) + kinds.count(CLOCK)

    def discard(self) -> None:
        """Nothing to give back."""

    def save(self, directory: str) -> str:
        """Write everything into a journal file of its own, an orphan at once; return its path.

        Raises:
            OSError: the disk still refuses; nothing was left behind.

        """
        return save(directory, self.header, bytes(self._buffer[PAGE:]))


def save(directory: str, header: Header, slots: bytes) -> str:
    """Write a whole journal at once, complete, and return its path.

    Its header comes last: a torn one is no journal at all.

    Raises:
        OSError: the disk refuses; nothing is left behind.

    """
    file = _File(directory, header._replace(liveness=HEARTBEAT, state=CLOSED))
    try:
        written = 0
        while written < len(slots):
            written += filesystem.write_at(file.fd, slots[written:], PAGE + written)
        os.fsync(file.fd)  # a network file system may show others the header before the slots
        file._begin()
    except BaseException:
        file.discard()
        raise
    file.close()
    return file.path


def release(buffer: Buffer, offset: int) -> None:
    """Turn a claimed slot into one that says nothing, because its point could not be written."""
    with suppress(ValueError):  # the journal has been closed meanwhile: nobody looks at the slot
        buffer[offset : offset + SLOT] = _SKIPPED


def _store(buffer: Buffer, offset: int, slots: bytes) -> None:
    # From the last slot to the first, and in each the kind last: a reader that looks in the middle
    # of this sees slots that are not there yet, and never a head without what it heads.
    for at in range(len(slots) - SLOT, -1, -SLOT):
        kind = at + _PAYLOAD_BYTES
        buffer[offset + at : offset + kind] = slots[at:kind]
        buffer[offset + kind : offset + at + SLOT] = slots[kind : at + SLOT]


def _sync_directory(path: str) -> None:
    if sys.platform != "win32":  # Windows cannot open directories; its entries are journalled
        directory = os.open(path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _text(text: str, size: int) -> bytes:
    return text.encode("utf-8", "replace")[: size - 1].ljust(size, b"\0")


def _string(field: bytes) -> str:
    return field.rstrip(b"\0").decode("utf-8", "replace")
