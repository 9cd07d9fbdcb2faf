"""Downsampling: what a chart must not lose, from points and from an outline."""

from __future__ import annotations

import doctest
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_points import POINTS, Point, as_columns, as_points, order

from steplog import downsample as module
from steplog.downsample import candidates, downsample
from steplog.exceptions import MlflowException
from steplog.points import Columns
from steplog.summary import SUMMARY, summarise

VALUES = st.lists(
    st.floats(width=16) | st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -0.0]), max_size=60
)


def series(values: list[float]) -> Columns:
    """Return a series of these values, one a step."""
    return Columns(np.arange(len(values)), np.arange(len(values)), np.array(values, np.float64))


def extremes_kept(values: list[float], kept: list[float]) -> bool:
    """Say whether the smallest and the largest number, if there is one, are among those kept."""
    numbers = [value for value in values if value == value]
    return not numbers or {min(numbers), max(numbers)} <= set(kept)


def test_the_examples_in_the_documentation_run() -> None:
    """What the docstrings show is what happens."""
    assert doctest.testmod(module).failed == 0


@given(VALUES, st.integers(1, 70))
def test_never_more_than_asked_and_in_order(values: list[float], max_points: int) -> None:
    """At most max_points indices, strictly ascending; all of them where they suffice."""
    index = downsample(series(values), max_points).tolist()
    assert index == sorted(set(index))
    assert len(index) <= max_points
    if len(values) <= max_points:
        assert index == list(range(len(values)))


@given(VALUES.filter(bool), st.integers(4, 70))
def test_every_extreme_of_the_series_is_kept(values: list[float], max_points: int) -> None:
    """First, last, smallest and largest value are there, however few points are asked for."""
    index = downsample(series(values), max_points)
    assert {0, len(values) - 1} <= set(index.tolist())
    assert extremes_kept(values, [values[at] for at in index])


@given(VALUES, st.integers(5, 70))
def test_every_stretch_keeps_its_extremes(values: list[float], max_points: int) -> None:
    """No stretch of equally many points hides a smallest or largest value, or its NaN."""
    index = downsample(series(values), max_points)
    if len(values) <= max_points:
        return
    per_stretch = 5 if np.isnan(values).any() else 4
    stretches = max_points // per_stretch
    edges = [number * len(values) // stretches for number in range(stretches + 1)]
    for start, end in pairwise(edges):
        kept = [values[at] for at in index if start <= at < end]
        assert extremes_kept(values[start:end], kept)
        assert np.isnan(kept).any() == np.isnan(values[start:end]).any()


@pytest.mark.parametrize(
    ("max_points", "expected"), [(1, [7]), (2, [0, 7]), (3, [0, 5, 7]), (4, [0, 2, 5, 7])]
)
def test_very_few_points_are_the_ones_that_matter_most(
    max_points: int, expected: list[int]
) -> None:
    """The last point comes before the first, the first before the extremes."""
    columns = series([0.0, 1.0, 9.0, np.nan, 2.0, -9.0, 2.0, 3.0])
    assert downsample(columns, max_points).tolist() == expected


def test_of_equal_extremes_the_first_is_kept() -> None:
    """A plateau is shown from where it was reached."""
    columns = series([1.0, 5.0, 5.0, 2.0, -1.0, -1.0, 1.0, 2.0])
    assert downsample(columns, 4).tolist() == [0, 1, 4, 7]


@pytest.mark.parametrize("max_points", [0, -1])
def test_asking_for_no_points_is_an_error(max_points: int) -> None:
    """A bound that nothing can meet is refused with MLflow's code for bad arguments."""
    with pytest.raises(MlflowException) as error:
        downsample(series([1.0]), max_points)
    assert error.value.error_code == "INVALID_PARAMETER_VALUE"


@given(POINTS, st.integers(1, 7))
def test_candidates_are_points_of_the_series(points: list[Point], length: int) -> None:
    """What an outline offers was logged, is in series order, and stands there once."""
    ordered = sorted(set(points), key=order)
    stretches = [ordered[at : at + length] for at in range(0, len(ordered), length)]
    outline = [summarise(as_columns(stretch)) for stretch in stretches]
    found = as_points(candidates(np.concatenate([np.zeros(0, SUMMARY), *outline])))
    assert set(found) <= set(points)
    assert found == sorted(set(found), key=order)


@given(VALUES.filter(bool), st.integers(1, 7), st.integers(4, 20))
def test_an_outline_shows_every_extreme(values: list[float], length: int, max_points: int) -> None:
    """Downsampling the candidates keeps what downsampling all points must keep."""
    columns = series(values)
    pieces = [columns.take(slice(at, at + length)) for at in range(0, len(values), length)]
    found = candidates(np.concatenate([summarise(piece) for piece in pieces]))
    kept = found.take(downsample(found, max_points))
    assert {0, len(values) - 1} <= set(kept.step.tolist())
    assert extremes_kept(values, kept.value.tolist())


def test_an_outline_of_a_series_without_numbers_gives_its_first_and_last_point() -> None:
    """Where every value is NaN there is no minimum, and none is made up."""
    outline = summarise(as_columns([(step, step, 0x7FF8 << 48) for step in (3, 4, 5)]))
    assert candidates(outline).step.tolist() == [3, 5]
