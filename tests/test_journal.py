"""Journals: what is written is what is read, by every way of writing, torn or whole."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steplog import filesystem, journal, operations
from steplog.exceptions import FormatTooNew, JournalDamaged
from steplog.journal import (
    CLOCK,
    HEARTBEAT,
    LOCKED,
    OPERATION,
    PAGE,
    POINT,
    SERIES,
    SLOT,
    AppendedJournal,
    Header,
    MappedJournal,
    MemoryJournal,
    new_header,
    pack_clock,
    pack_point,
    record,
    release,
    save,
)
from steplog.journal_reader import JournalReader, Stretch
from steplog.operations import DeleteTag, SeriesKey
from steplog.points import POINT as SLOTS
from steplog.stores.base import START, Position

RUN = "a" * 32
KEY = SeriesKey(RUN, "loss")
DEFINITION = record(SERIES, operations.encode_series(KEY), 1)
Make = Callable[[Path], Any]


def header(liveness: int = LOCKED, *, durable: bool = False) -> Header:
    """Return a header of this process."""
    return new_header("b" * 32, liveness, durable=durable)


MAKERS: dict[str, Make] = {
    "mapped": lambda path: MappedJournal(str(path), header()),
    "appended": lambda path: AppendedJournal(str(path), header()),
    "durable": lambda path: AppendedJournal(str(path), header(durable=True)),
    "network": lambda path: AppendedJournal(str(path), header(HEARTBEAT)),
}


@pytest.fixture(params=MAKERS)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Return a journal that is open for writing, made in each way in turn."""
    return MAKERS[request.param](tmp_path)


def read_all(path: str | Path, *, final: bool = True, start: Position = START) -> Stretch:
    """Return all that a journal holds after a position, as one stretch."""
    reader = JournalReader(str(path))
    stretches = []
    position = start
    while stretch := reader.read(position, final=final):
        stretches.append(stretch)
        position = stretch.after
    reader.close()
    return Stretch(
        position,
        [operation for stretch in stretches for operation in stretch.operations],
        np.concatenate([np.empty(0, SLOTS), *(stretch.points for stretch in stretches)]),
        {number: key for stretch in stretches for number, key in stretch.series.items()},
        [sentence for stretch in stretches for sentence in stretch.damaged],
    )


def rows(stretch: Stretch) -> list[tuple[int, int, float]]:
    """Return (step, timestamp, value) of the points, in the order of the journal."""
    return [(int(p["step"]), int(p["timestamp"]), float(p["value"])) for p in stretch.points]


def test_every_way_of_writing_gives_the_same_records(written: Any) -> None:
    """Points, series and operations come back as they were given, whatever wrote the file."""
    written.append(DEFINITION)
    written.append_points([5, 1000, 0.25, 1, POINT, 6, 2, 0.5, 1, POINT], 2)
    written.append(record(OPERATION, operations.encode(DeleteTag(RUN, "x" * 200))))
    found = read_all(written.path, final=False)
    assert rows(found) == [(5, 1000, 0.25), (6, 2, 0.5)]
    assert found.series == {1: KEY}
    assert [operation for _, operation in found.operations] == [DeleteTag(RUN, "x" * 200)]
    assert found.damaged == []


def test_the_time_of_the_clock_becomes_milliseconds(tmp_path: Path) -> None:
    """A point with the clock's time is read with the milliseconds that Python makes of it."""
    mapped = MappedJournal(str(tmp_path), header())
    mapped.append(DEFINITION)
    seconds = [1_700_000_000.1239998, 0.0, 1_700_000_000.9999999, 4e9]
    for step, time in enumerate(seconds):
        buffer, claim = mapped.head
        pack_clock(buffer, claim(), step, time, 0.5, 1, CLOCK)
    found = rows(read_all(mapped.path, final=False))
    assert [time for _, time, _ in found] == [int(time * 1000) for time in seconds]


def test_a_journal_lives_until_it_is_closed(written: Any) -> None:
    """A reader takes the writer for alive while the journal is open, and for gone afterwards."""
    reader = JournalReader(written.path)
    assert reader.alive()
    written.stamp(3, 4, "no space left")
    now = reader.read_header()
    assert (now.dropped, now.held, now.fault) == (3, 4, "no space left")
    written.end(0, 0, "")
    assert not reader.alive()
    reader.close()


def test_a_reader_that_comes_later_knows_the_series(written: Any) -> None:
    """A reader that starts behind the definitions still knows what the numbers mean."""
    written.append(DEFINITION)
    written.append_points([1, 1, 1.0, 1, POINT], 1)
    middle = read_all(written.path, final=False).after
    written.append_points([2, 2, 2.0, 1, POINT], 1)
    assert rows(read_all(written.path, final=False, start=middle)) == [(2, 2, 2.0)]


def test_a_full_journal_takes_no_more(tmp_path: Path) -> None:
    """A mapped journal grows to its full size and then says that it has no room."""
    mapped = MappedJournal(str(tmp_path), header())
    count = 0
    while mapped.append_points([0, 0, 0.0, 1, POINT] * 256, 256) is not None or mapped.extend(SLOT):
        count += 256
    buffer, claim = mapped.head
    for slot in iter(lambda: next(iter([*_claimed(claim)]), None), None):
        release(buffer, slot)
    assert os.path.getsize(mapped.path) == journal.CAPACITY
    assert not mapped.extend(SLOT)
    mapped.seal()
    assert mapped.unwritten() == 0


def _claimed(claim: Callable[[], int]) -> list[int]:
    try:
        return [claim()]
    except StopIteration:
        return []


def test_holes_are_remembered_and_filled_later(tmp_path: Path) -> None:
    """A slot that a thread claimed and fills late is read when it is there, and only once."""
    mapped = MappedJournal(str(tmp_path), header())
    mapped.append(DEFINITION)
    buffer, claim = mapped.head
    late = claim()
    mapped.append_points([2, 2, 2.0, 1, POINT], 1)
    first = read_all(mapped.path, final=False)
    assert rows(first) == [(2, 2, 2.0)]
    assert first.after.holes == ((late, late + SLOT),)
    pack_point(buffer, late, 1, 1, 1.0, 1, POINT)
    second = read_all(mapped.path, final=False, start=first.after)
    assert rows(second) == [(1, 1, 1.0)]
    assert second.after == Position(first.after.offset)


def test_a_late_record_in_a_hole_is_read_whole(tmp_path: Path) -> None:
    """A record whose head appears after later slots were read comes with all its payload."""
    mapped = MappedJournal(str(tmp_path), header())
    slots = record(OPERATION, operations.encode(DeleteTag(RUN, "y" * 90)))
    offset = mapped.append(slots)
    assert offset is not None
    mapped.append(DEFINITION)
    head = bytes(mapped.head[0][offset : offset + SLOT])
    mapped.head[0][offset : offset + SLOT] = bytes(SLOT)
    first = read_all(mapped.path, final=False)
    assert first.operations == []
    mapped.head[0][offset : offset + SLOT] = head
    second = read_all(mapped.path, final=False, start=first.after)
    assert [operation for _, operation in second.operations] == [DeleteTag(RUN, "y" * 90)]


def test_a_point_that_cannot_be_packed_leaves_a_skip(tmp_path: Path) -> None:
    """A slot whose point is refused by the packing says nothing, and nothing is damaged."""
    mapped = MappedJournal(str(tmp_path), header())
    mapped.append(DEFINITION)
    with pytest.raises(Exception, match="int"):
        mapped.append_points([1, 1, 1.0, 1, POINT, "no", 1, 1.0, 1, POINT], 2)  # type: ignore[list-item]
    mapped.append_points([3, 3, 3.0, 1, POINT], 1)
    found = read_all(mapped.path, final=False)
    assert rows(found) == [(3, 3, 3.0)]
    assert (found.after.holes, found.damaged) == ((), [])


def test_memory_is_written_out_as_a_journal(tmp_path: Path) -> None:
    """What memory held while the disk refused becomes an ordinary journal of a dead writer."""
    memory = MemoryJournal(header())
    memory.append(DEFINITION)
    memory.append_points([1, 1, 1.0, 1, POINT], 1)
    memory.seal()
    assert (memory.points(), memory.unwritten()) == (1, 0)
    memory.save(str(tmp_path))
    (path,) = tmp_path.glob("*.journal")
    reader = JournalReader(str(path))
    assert not reader.alive()
    reader.close()
    assert rows(read_all(path)) == [(1, 1, 1.0)]


def sample() -> tuple[bytes, list[tuple[int, int, float]]]:
    """Return the slots of a journal with three records and 40 points, and these points."""
    points = [(i, 10 + i, i / 8) for i in range(40)]
    slots = bytearray(DEFINITION)
    for step, time, value in points:
        slot = bytearray(SLOT)
        pack_point(slot, 0, step, time, value, 1, POINT)
        slots += slot
        if step % 16 == 7:
            slots += record(OPERATION, operations.encode(DeleteTag(RUN, f"tag {step}" * 9)))
    return bytes(slots), points


def test_a_journal_torn_at_any_byte_keeps_all_before_it(tmp_path: Path) -> None:
    """Wherever a file ends, every whole slot before the end is read and nothing is invented."""
    slots, points = sample()
    for cut in range(0, len(slots), 13):
        directory = tmp_path / str(cut)
        directory.mkdir()
        save(str(directory), header(), slots[:cut])
        (path,) = directory.glob("*.journal")
        found = rows(read_all(path))
        assert found == points[: len(found)]
        whole = sum(_is_point(slots[at : at + SLOT]) for at in range(0, cut - SLOT + 1, SLOT))
        assert len(found) == (whole if cut >= len(DEFINITION) else 0)


def _is_point(slot: bytes) -> bool:
    return slot[28] in (POINT, CLOCK)


def test_damage_costs_the_damaged_record_only(tmp_path: Path) -> None:
    """Whatever byte of a record is changed, the other records are read; the damage is reported."""
    slots, points = sample()
    rng = random.Random(7)
    for trial in range(60):
        at = rng.randrange(len(DEFINITION), len(slots))
        torn = bytearray(slots)
        torn[at] ^= 0xA5
        directory = tmp_path / str(trial)
        directory.mkdir()
        save(str(directory), header(), bytes(torn))
        (path,) = directory.glob("*.journal")
        found = read_all(path)
        assert len(set(rows(found)) ^ set(points)) <= 2
        assert len(found.operations) >= 1


def test_a_newer_format_is_left_alone(tmp_path: Path) -> None:
    """A journal of a newer format is refused with a message that names both versions."""
    save(str(tmp_path), header()._replace(format=journal.FORMAT + 1), DEFINITION)
    (path,) = tmp_path.glob("*.journal")
    before = path.read_bytes()
    with pytest.raises(FormatTooNew, match=r"format 2.*up to 1"):
        JournalReader(str(path))
    assert path.read_bytes() == before


def test_a_file_without_a_header_is_not_a_journal(tmp_path: Path) -> None:
    """A file that is just being made, or is something else, is not read as a journal."""
    for name, content in {"new": b"", "other": b"x" * 9000}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(JournalDamaged):
            JournalReader(str(tmp_path / name))


def test_a_header_survives_any_text(tmp_path: Path) -> None:
    """Texts that are too long or not ASCII are cut and read back as far as they fit."""
    page = header()._replace(host="hé" * 200, fault="fäult" * 999).pack()
    assert len(page) == PAGE
    back = Header.unpack(page)
    assert back is not None
    assert back.host.startswith("héhé")
    assert back.fault.startswith("fäultfäult")


bits = st.integers(0, 2**64 - 1)
int64 = st.integers(-(2**63), 2**63 - 1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(int64, int64, bits), min_size=1, max_size=40))
def test_every_bit_of_a_point_comes_back(points: list[tuple[int, int, int]]) -> None:
    """Any step, any timestamp and any 64 bits of a value are read as they were logged."""
    memory = MemoryJournal(header())
    memory.append(DEFINITION)
    values = np.array([b for _, _, b in points], np.uint64).view(np.float64)
    for (step, time, _), value in zip(points, values.tolist(), strict=True):
        memory.append_points([step, time, value, 1, POINT], 1)
    memory.seal()
    slots = bytes(memory.head[0][PAGE:])
    found = np.frombuffer(slots, "<i8,<i8,<u8,<u4,<u4")
    found = found[found["f4"] == POINT]
    expected = [(s, t, int(v)) for (s, t, _), v in zip(points, values.view(np.uint64), strict=True)]
    assert [(int(p[0]), int(p[1]), int(p[2])) for p in found] == expected


def test_a_slot_that_is_filled_while_it_is_read_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that caught a slot's old step beside its new kind is not what a reader returns."""
    mapped = MappedJournal(str(tmp_path), header())
    mapped.append(DEFINITION)
    at = mapped.append_points([7, 1000, 0.25, 1, POINT], 1)
    assert at is not None
    read_at, copies = filesystem.read_at, 0

    def copy_while_it_is_written(fd: int, size: int, offset: int) -> bytes:
        nonlocal copies
        data = bytearray(read_at(fd, size, offset))
        if offset <= at < offset + size and size > PAGE:
            copies += 1
            if copies == 1:
                data[at - offset : at - offset + 16] = bytes(16)  # step and time were not there yet
        return bytes(data)

    monkeypatch.setattr(filesystem, "read_at", copy_while_it_is_written)
    assert rows(read_all(mapped.path, final=False)) == [(7, 1000, 0.25)]
    mapped.close()
