"""Ingest: journals into a store, exactly once, whoever does it and however often."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steplog import journal, operations
from steplog.exceptions import SteplogWarning
from steplog.ingest import Ingestor
from steplog.journal import (
    LOCKED,
    OPERATION,
    POINT,
    SERIES,
    SLOT,
    MappedJournal,
    new_header,
    record,
    save,
)
from steplog.journals import live_writers, states
from steplog.operations import CreateRun, SeriesKey
from steplog.points import POINT as SLOTS
from steplog.points import Columns
from steplog.stores import open_store
from steplog.stores.base import Store
from steplog.stores.memory import MemoryStore

RUN = "c" * 32
INT64 = st.integers(-(2**63), 2**63 - 1)
CREATE = CreateRun(RUN, "0", "ada", "calm-heron-7", 1000, {}, "/artifacts")
OPENING = record(OPERATION, operations.encode(CREATE)) + record(
    SERIES, operations.encode_series(SeriesKey(RUN, "loss")), 1
)


def begin(directory: Path) -> MappedJournal:
    """Begin a journal with a run and a series."""
    mapped = MappedJournal(str(directory), new_header("d" * 32, LOCKED, durable=False))
    mapped.append(OPENING)
    return mapped


def log(mapped: MappedJournal, steps: range) -> None:
    """Log the value step / 2 at each step."""
    for step in steps:
        while mapped.append_points([step, 1000 + step, step / 2, 1, POINT], 1) is None:
            assert mapped.extend(SLOT)


def steps(store: Store) -> list[int]:
    """Return the steps of the loss, in order."""
    (series,) = store.series([RUN])
    return [int(step) for piece in store.points(series.series_id) for step in piece.step]


def test_ingesting_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Each run of ingest adds what was logged since, and nothing twice."""
    store = MemoryStore()
    ingestor = Ingestor(store, str(tmp_path))
    mapped = begin(tmp_path)
    for start, end in ((0, 10), (10, 20), (20, 20), (20, 35)):
        log(mapped, range(start, end))
        assert ingestor.ingest().points == end - start
        assert steps(store) == list(range(end))
    mapped.close()


def test_an_orphan_is_ingested_and_removed(tmp_path: Path) -> None:
    """The journal of a dead writer goes into the store to its last point, and then away."""
    store = MemoryStore()
    mapped = begin(tmp_path)
    log(mapped, range(5))
    ingestor = Ingestor(store, str(tmp_path))
    assert ingestor.ingest_orphans().points == 0
    mapped.close()
    report = ingestor.ingest_orphans()
    assert (report.points, report.operations) == (5, 1)
    assert steps(store) == list(range(5))
    assert list(tmp_path.iterdir()) == []


def test_a_fresh_ingestor_knows_what_the_store_has(tmp_path: Path) -> None:
    """Positions live in the store: another process goes on where the first one stopped."""
    store = MemoryStore()
    mapped = begin(tmp_path)
    log(mapped, range(5))
    Ingestor(store, str(tmp_path)).ingest()
    log(mapped, range(5, 8))
    report = Ingestor(store, str(tmp_path)).ingest()
    assert report.points == 3
    assert steps(store) == list(range(8))
    mapped.close()


def test_many_ingestors_at_once_store_each_point_once(tmp_path: Path) -> None:
    """Threads that ingest the same journals into one store neither lose nor double a point."""
    (tmp_path / "journal").mkdir()
    mapped = begin(tmp_path / "journal")
    stores = [open_store(tmp_path) for _ in range(4)]
    done = threading.Event()

    def ingest(store: Store) -> None:
        ingestor = Ingestor(store, str(tmp_path / "journal"))
        while not done.is_set():
            ingestor.ingest()
        ingestor.ingest()

    threads = [threading.Thread(target=ingest, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    log(mapped, range(20_000))
    done.set()
    for thread in threads:
        thread.join()
    mapped.close()
    (series,) = stores[0].series([RUN])
    assert int(series.summary["count"]) == 20_000
    assert steps(stores[0]) == list(range(20_000))
    for store in stores:
        store.close()


def test_a_stretch_larger_than_one_read_comes_whole(tmp_path: Path) -> None:
    """A journal of several stretches is read to its end, records across their borders included."""
    store = MemoryStore()
    mapped = begin(tmp_path)
    count = 140_000
    flat: list[float] = []
    for step in range(count):
        flat += [step, 1000, 0.5, 1, POINT]
    for start in range(0, count, 20_000):
        while mapped.append_points(flat[5 * start : 5 * (start + 20_000)], 20_000) is None:
            assert mapped.extend(20_000 * SLOT)
    mapped.close()
    assert Ingestor(store, str(tmp_path)).ingest().points == count
    assert np.array_equal(steps(store), np.arange(count))


def test_damage_is_told_and_kept_aside(tmp_path: Path) -> None:
    """What is readable of a damaged journal is stored; the file is kept under another name."""
    definition = bytearray(OPENING)
    torn = bytearray(record(OPERATION, operations.encode(CREATE)))
    torn[40] ^= 0xFF
    save(str(tmp_path), new_header("d" * 32, LOCKED, durable=False), bytes(definition + torn))
    with pytest.warns(SteplogWarning, match="damaged"):
        report = Ingestor(MemoryStore(), str(tmp_path)).ingest()
    assert report.operations == 1
    assert len(report.damaged) == 1
    assert [path.suffix for path in tmp_path.iterdir()] == [".damaged"]


def test_newer_journals_stay_where_they_are(tmp_path: Path) -> None:
    """A journal of a newer format is reported and left for a newer steplog."""
    header = new_header("d" * 32, LOCKED, durable=False)
    save(str(tmp_path), header._replace(format=journal.FORMAT + 1), OPENING)
    report = Ingestor(MemoryStore(), str(tmp_path)).ingest()
    assert "Upgrade steplog" in report.damaged[0]
    assert len(list(tmp_path.iterdir())) == 1


def test_the_state_of_journals_can_be_seen(tmp_path: Path) -> None:
    """Looking at journals tells who writes them and what is pending, and changes nothing."""
    mapped = begin(tmp_path)
    log(mapped, range(3))
    mapped.stamp(1, 2, "disk full")
    ingestor = Ingestor(MemoryStore(), str(tmp_path))
    (state,) = states(str(tmp_path), ingestor.position)
    assert (state.live, state.pending_points, state.held_points) == (True, 3, 2)
    assert (state.dropped_points, state.fault) == (1, "disk full")
    ingestor.ingest()
    (state,) = states(str(tmp_path), ingestor.position)
    assert state.pending_points == 0
    assert live_writers(str(tmp_path)) == {"d" * 32}
    mapped.close()
    assert live_writers(str(tmp_path)) == frozenset()


def test_journals_can_be_seen_without_a_store(tmp_path: Path) -> None:
    """Journals that are too new, damaged or without a store to ask are shown, and say why."""
    mapped = begin(tmp_path)
    header = new_header("d" * 32, LOCKED, durable=False)
    save(str(tmp_path), header._replace(format=journal.FORMAT + 1), OPENING)
    (tmp_path / "aside.damaged").touch()
    live, newer, aside = states(str(tmp_path))
    assert (live.live, live.pending_points) == (True, None)
    assert "Upgrade" in newer.fault
    assert "damaged" in aside.fault
    mapped.close()


def bits(points: np.ndarray[Any, Any] | Columns) -> set[tuple[int, int, int]]:
    """Return step, timestamp and the bits of the value of each point."""
    if not isinstance(points, Columns):
        points = Columns.of(points)
    values = np.ascontiguousarray(points.value).view(np.uint64)
    return set(zip(points.step.tolist(), points.timestamp.tolist(), values.tolist(), strict=True))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(INT64, INT64, st.integers(0, 2**64 - 1)), min_size=1, max_size=30))
def test_every_bit_arrives_in_every_store(rows: list[tuple[int, int, int]]) -> None:
    """Any steps, timestamps and 64 bits of values are the same in journal, memory and SQLite."""
    points = np.zeros(len(rows), SLOTS)
    points["step"], points["timestamp"], words = zip(*rows, strict=True)
    points["value"] = np.array(words, np.uint64).view(np.float64)
    points["series"], points["kind"] = 1, POINT
    for make in (lambda _: MemoryStore(), open_store):
        with tempfile.TemporaryDirectory() as directory:
            header = new_header("d" * 32, LOCKED, durable=False)
            save(directory, header, OPENING + points.tobytes())
            store = make(directory)
            Ingestor(store, directory).ingest()
            for _ in range(2):
                (series,) = store.series([RUN])
                pieces = [bits(piece) for piece in store.points(series.series_id)]
                assert sum(map(len, pieces)) == len(bits(points))
                assert set().union(*pieces) == bits(points)
                store.seal(RUN)
            store.close()
