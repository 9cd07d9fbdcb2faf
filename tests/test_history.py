"""Histories: MLflow's order, any part of it, however points lie in the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from plain_points import INTERLEAVED, Point, as_points, as_records, order

from steplog import history
from steplog.history import read_history
from steplog.operations import SeriesKey
from steplog.points import Columns
from steplog.stores import whole
from steplog.stores.base import START, Batch, Position, Series, Store
from steplog.stores.memory import MemoryStore
from steplog.stores.sqlite import SQLiteStore

RUN = "4" * 32
FEW_TIMES = st.lists(
    st.tuples(
        st.sampled_from([0, 1]),
        st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(0, 5)),
    ),
    max_size=60,
)
"""Points of two series of which many share a timestamp, and some a step, too."""


def filled(store: Store, points: Sequence[tuple[int, Point]]) -> list[Series]:
    """Put points of several series of one metric into a store, and return the series."""
    series = {number: SeriesKey(RUN, "loss", f"m-{number}") for number, _ in points}
    batch = Batch("1" * 32, "2" * 32, START, Position(8192), [], as_records(points), series)
    assert store.apply(batch) == []
    return store.series([RUN])


def read(store: Store, series: Sequence[Series], skip: int = 0) -> list[tuple[str, Point]]:
    """Return a history, with the model of each point."""
    return [
        (series[owner].key.model_id, point)
        for some in read_history(store, series, skip)
        for owner, point in zip(some.series.tolist(), as_points(some.columns), strict=True)
    ]


def in_mlflows_order(each: tuple[str, Point]) -> tuple[int, int, float]:
    step, timestamp, value, _ = order(each[1])
    return timestamp, step, value


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Boxes and pieces of a few points, so that few points are many."""
    monkeypatch.setattr(history, "BOX_POINTS", 4)
    monkeypatch.setattr(history, "MOST_POINTS", 6)
    monkeypatch.setattr(whole, "PIECE_POINTS", 3)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(points=INTERLEAVED | FEW_TIMES, skip=st.integers(0, 45))
@example(points=[(0, (step, 9, 0)) for step in range(30)], skip=7)
@example(points=[(0, (0, 9, bits)) for bits in range(30)], skip=7)
@example(points=[(0, (step, 99 - step, 0)) for step in range(30)], skip=0)
def test_any_points_come_in_mlflows_order(
    tiny: None, points: list[tuple[int, Point]], skip: int
) -> None:
    """By timestamp, step and value, each once in its series, less those that are skipped."""
    store = MemoryStore()
    series = filled(store, points) if points else []
    expected = sorted({(f"m-{number}", point) for number, point in points}, key=in_mlflows_order)
    found = read(store, series, skip)
    assert [in_mlflows_order(each) for each in found] == [
        in_mlflows_order(each) for each in expected[skip:]
    ]
    assert sorted(read(store, series)) == sorted(expected)
    assert all(each in expected for each in found)


def test_pages_read_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page deep in a long history reads the stretches it lies in, and not those before it."""
    points = as_records([(0, (0, 0, 0))] * 100_000)
    points["step"] = points["timestamp"] = np.arange(points.size)
    key = {0: SeriesKey(RUN, "loss")}
    store = SQLiteStore(tmp_path)
    store.apply(Batch("1" * 32, "2" * 32, START, Position(8192), [], points, key))
    sizes = []

    def counted(*window: Any) -> Iterator[Columns]:
        for columns in SQLiteStore.points(store, *window):
            sizes.append(columns.step.size)
            yield columns

    monkeypatch.setattr(store, "points", counted)
    some = next(read_history(store, store.series([RUN]), 90_000))
    assert some.columns.step[0] == 90_000
    assert sum(sizes) < 50_000
