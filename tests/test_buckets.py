"""Buckets and grids, compared with what their points say one by one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from steplog.buckets import (
    BUCKET,
    COUNTS,
    LEAST,
    MOST,
    WIDEST,
    Buckets,
    are_enough,
    float_grid,
    fold_points,
    gather,
    of_summaries,
    together,
    whole_grid,
)
from steplog.points import Columns
from steplog.summary import summarise_stretches

NAN, INF = math.nan, math.inf
INT64 = st.integers(-50, 50) | st.sampled_from([LEAST, LEAST + 1, MOST]) | st.integers(LEAST, MOST)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
BOUNDS = st.tuples(FLOATS, FLOATS) | FLOATS.map(lambda x: (x, math.nextafter(x, 0.0)))
VALUES = st.sampled_from([NAN, INF, -INF, 0.0, -0.0, 1.7e308, -1.7e308, 5e-324]) | st.floats(-9, 9)
PLACED = st.lists(st.tuples(st.integers(0, 9), VALUES), max_size=40)
"""Points in series order: the bucket of each, and its value."""


def assert_tells(buckets: Buckets, placed: Iterable[tuple[int, float]]) -> None:
    """Each bucket tells exactly what the points say that are placed in it."""
    of: dict[int, list[float]] = {}
    for index, value in placed:
        of.setdefault(index, []).append(value)
    for index, bucket in enumerate(buckets):
        values = of.get(index, [])
        finite = [value for value in values if math.isfinite(value)]
        odd = [sum(map(math.isnan, values)), values.count(INF), values.count(-INF)]
        assert [bucket[name] for name in COUNTS] == [len(values), *odd]
        if not finite:
            assert all(map(math.isnan, list(bucket)[len(COUNTS) :]))
            continue
        assert (bucket["min"], bucket["max"]) == (min(finite), max(finite))
        assert (bucket["first"], bucket["last"]) == (finite[0], finite[-1])
        mean, largest = math.fsum(each / len(finite) for each in finite), max(map(abs, finite))
        assert abs(bucket["mean"] - mean) <= 1e-13 * largest + 1e-320
        assert min(finite) <= bucket["mean"] <= max(finite)


def arrays(
    placed: Sequence[tuple[int, float]],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the buckets and the values of points."""
    index, value = zip(*placed, strict=True) if placed else ((), ())
    return np.array(index, np.int64), np.array(value, np.float64)


@settings(deadline=None)
@given(placed=PLACED, cuts=st.lists(st.integers(0, 40), max_size=4))
def test_parts_make_the_buckets_of_all_points(
    placed: list[tuple[int, float]], cuts: list[int]
) -> None:
    """Wherever a series is cut in parts, their buckets put together tell of all its points."""
    edges = [0, *sorted(min(cut, len(placed)) for cut in cuts), len(placed)]
    parts = [fold_points(*arrays(placed[start:stop])) for start, stop in pairwise(edges)]
    index = np.concatenate([part[0] for part in parts])
    buckets = np.concatenate([part[1] for part in parts], dtype=BUCKET)
    assert_tells(gather(index, buckets, 10), placed)


@settings(deadline=None)
@given(placed=st.lists(PLACED, min_size=1, max_size=3))
def test_lines_together(placed: list[list[tuple[int, float]]]) -> None:
    """The buckets of several lines together are those of all their points."""
    lines = [gather(*fold_points(*arrays(each)), 10) for each in placed]
    assert_tells(together(lines), [point for each in placed for point in each])


@settings(deadline=None)
@given(values=st.lists(VALUES, min_size=1, max_size=20))
def test_a_summary_that_is_enough(values: list[float]) -> None:
    """A summary that is said to be enough makes the bucket that its points make."""
    columns = Columns(np.arange(len(values)), np.arange(len(values)), np.array(values))
    summary = summarise_stretches(columns, np.zeros(1, np.intp))
    all_nan = all(map(math.isnan, values))
    ends_are_finite = math.isfinite(values[0]) and math.isfinite(values[-1])
    assert are_enough(summary)[0] == (
        all_nan or (ends_are_finite and not any(map(math.isinf, values)))
    )
    if are_enough(summary)[0]:
        assert_tells(of_summaries(summary), [(0, value) for value in values])


@settings(deadline=None)
@given(bounds=st.tuples(INT64, INT64).map(sorted), most=st.integers(1, 700), x=INT64)
def test_grids_of_whole_numbers(bounds: list[int], most: int, x: int) -> None:
    """A grid holds all x between two, has its edges at multiples of a power of two, half the
    intervals allowed or more where x are many, and knows what lies outside.
    """
    low, high = bounds
    grid = whole_grid(low, high, most)
    width = 1 << grid.exponent
    assert grid.first * width <= low
    assert high < (grid.first + grid.size) * width
    assert grid.size <= max(most, 2 if low < 0 <= high else 1)
    assert grid.exponent == 0 or grid.size * 2 >= most
    number = x // width - grid.first
    assert grid.locate(np.array([x])).tolist() == [min(max(number, -1), grid.size)]
    first, last = grid.bounds()
    assert (first <= x <= last) == (0 <= number < grid.size)


@settings(max_examples=300, deadline=None)
@given(bounds=BOUNDS.map(sorted), most=st.integers(1, 700), part=st.floats(0, 1))
def test_grids_of_floats(bounds: list[float], most: int, part: float) -> None:
    """A grid holds all x between two floats, each in the interval around it."""
    low, high = bounds
    grid = float_grid(low, high, most)
    assert grid.size <= max(most, 2) or (grid.exponent == WIDEST and grid.size <= 4)
    inside = min(max(low + part * (high / 2 - low / 2) * 2, low), high)
    places = grid.locate(np.array([low, inside, high])).tolist()
    assert places[0] == 0
    assert places[-1] == grid.size - 1
    edges = grid.edges()
    assert np.isfinite([*edges, grid.width]).all()
    assert edges[places[1]] <= inside
    assert places[1] + 1 == grid.size or inside < edges[places[1] + 1]


def test_a_series_that_grows_keeps_its_grid() -> None:
    """While a series becomes twice as long, its grid only gets more intervals at the end."""
    grids = [whole_grid(0, last, 600) for last in range(1_000, 1_000_000, 777)]
    widths = {grid.exponent for grid in grids}
    assert {grid.first for grid in grids} == {0}
    assert len(widths) <= math.log2(1_000_000 / 600) + 1
