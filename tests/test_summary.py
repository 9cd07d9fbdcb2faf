"""Summaries against a brute-force oracle that goes through the points one by one."""

from __future__ import annotations

import doctest
import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from hypothesis import example, given
from hypothesis import strategies as st
from plain_points import (
    INTERLEAVED,
    POINTS,
    Point,
    as_columns,
    as_points,
    as_records,
    order,
    value_of,
)

from steplog import summary
from steplog.points import Columns
from steplog.summary import MARKS, SUMMARY, mark, merge, overlaps, summarise, summarise_groups

LARGEST = 0x7FEF_FFFF_FFFF_FFFF  # the bits of the largest finite float


class Known(NamedTuple):
    """Everything that a summary says but the mean, in plain Python."""

    counts: tuple[int, int]
    first: Point
    last: Point
    min: Point | None
    max: Point | None
    times: tuple[int, int]


def known(points: list[Point]) -> Known:
    """Find out by looking at every point."""
    ordered = sorted(points, key=order)
    numbers = [point for point in ordered if not math.isnan(value_of(point))]
    times = [timestamp for _, timestamp, _ in points]
    return Known(
        counts=(len(points), len(points) - len(numbers)),
        first=ordered[0],
        last=ordered[-1],
        # min and max of Python keep the first of equals, as they must here.
        min=min(numbers, key=value_of, default=None),
        max=max(numbers, key=value_of, default=None),
        times=(min(times), max(times)),
    )


def read(summaries: npt.NDArray[np.void]) -> Known:
    """Return what an array of one SUMMARY says."""
    assert summaries.shape == (1,)
    row = dict(zip(SUMMARY.names or (), summaries.tolist()[0], strict=True))
    first, last, low, high = (as_points(mark(summaries, name))[0] for name in MARKS)
    without_number = row["count"] == row["nan_count"]
    if without_number:
        assert low[:2] == high[:2] == (0, 0)
        assert math.isnan(value_of(low)) and math.isnan(value_of(high))
    return Known(
        counts=(row["count"], row["nan_count"]),
        first=first,
        last=last,
        min=None if without_number else low,
        max=None if without_number else high,
        times=(row["time_min"], row["time_max"]),
    )


def mean_fits(mean: float, points: list[Point]) -> bool:
    """Compare with the mean that exact arithmetic gives."""
    numbers = [value for value in map(value_of, points) if not math.isnan(value)]
    infinities = {value for value in numbers if math.isinf(value)}
    if not numbers or len(infinities) == 2:
        return math.isnan(mean)
    if infinities:
        return mean in infinities
    exact = float(sum(map(Fraction, numbers)) / len(numbers))
    slack = 1e-13 * max(map(abs, numbers)) + 1e-322
    return min(numbers) <= mean <= max(numbers) and abs(mean - exact) <= slack


def test_the_examples_in_the_documentation_run() -> None:
    """What the docstrings show is what happens."""
    assert doctest.testmod(summary).failed == 0


@given(POINTS.filter(bool))
@example([(0, 0, LARGEST), (1, 1, LARGEST), (2, 2, LARGEST)])
def test_a_summary_says_what_looking_at_every_point_says(points: list[Point]) -> None:
    """Counts, first, last, min, max and times are exact; the mean is right to rounding."""
    summaries = summarise(as_columns(points))
    assert read(summaries) == known(points)
    assert mean_fits(summaries["mean"].item(), points)


@given(INTERLEAVED)
def test_each_of_interleaved_series_is_summarised_as_if_alone(
    drawn: list[tuple[int, Point]],
) -> None:
    """Grouping mixes no series up, and repeated points count once."""
    numbers, summaries = summarise_groups(as_records(drawn))
    assert numbers.tolist() == sorted({number for number, _ in drawn})
    for at, number in enumerate(numbers.tolist()):
        points = list({point for series, point in drawn if series == number})
        assert read(summaries[at : at + 1]) == known(points)
        assert mean_fits(summaries["mean"][at].item(), points)


@given(st.sets(st.tuples(st.booleans(), POINTS.filter(bool).map(lambda points: points[0]))))
@example({(False, (0, 0, LARGEST)), (True, (0, 1, LARGEST)), (True, (0, 2, LARGEST))})
def test_merging_two_summaries_summarises_their_points(drawn: set[tuple[bool, Point]]) -> None:
    """However points are divided in two, merging gives what all of them together give."""
    right = {point for in_right, point in drawn if in_right}
    left = {point for in_right, point in drawn if not in_right} - right
    if not left | right:
        return
    merged = merge(*(summarise(as_columns(list(points))) for points in (left, right)))
    assert read(merged) == known([*left, *right])
    assert mean_fits(merged["mean"].item(), [*left, *right])


@given(POINTS)
def test_a_record_of_zeros_is_a_summary_of_nothing(points: list[Point]) -> None:
    """Merging with an empty summary, on either side, gives the other back bit for bit."""
    summaries, nothing = summarise(as_columns(points)), np.zeros(1, SUMMARY)
    assert merge(summaries, nothing).tobytes() == summaries.tobytes()
    assert merge(nothing, summaries).tobytes() == summaries.tobytes()


def test_merging_goes_element_by_element() -> None:
    """Many summaries merge at once, each with its own partner."""
    points = [as_columns([(step, step, step)]) for step in range(4)]
    one, two, three, four = (summarise(columns) for columns in points)
    merged = merge(np.concatenate([one, two]), np.concatenate([three, four]))
    assert merged[["first_step", "last_step"]].tolist() == [(0, 2), (1, 3)]


def test_a_merged_mean_stays_right_over_many_merges() -> None:
    """A mean kept batch by batch for a long run stays near the mean of all values."""
    value = np.random.default_rng(2).normal(1e6, 1.0, 5_000)
    columns = Columns(np.arange(5_000), np.arange(5_000), value)
    merged = np.zeros(1, SUMMARY)
    for start in range(0, 5_000, 5):
        merged = merge(merged, summarise(columns.take(slice(start, start + 5))))
    assert math.isclose(merged["mean"].item(), math.fsum(value) / 5_000, rel_tol=1e-14)


@given(POINTS.filter(bool), POINTS.filter(bool))
def test_overlapping_means_that_steps_and_times_both_meet(
    left: list[Point], right: list[Point]
) -> None:
    """Where overlaps says no, no point can be in both; it says no wherever ranges tell it."""
    meet = all(
        min(point[axis] for point in left) <= max(point[axis] for point in right)
        and min(point[axis] for point in right) <= max(point[axis] for point in left)
        for axis in (0, 1)
    )
    says = overlaps(summarise(as_columns(left)), summarise(as_columns(right)))
    assert says.tolist() == [meet]
    assert meet or not set(left) & set(right)


def test_nothing_overlaps_with_nothing() -> None:
    """An empty summary shares no point with any other, whatever its zeros say."""
    nothing, something = np.zeros(1, SUMMARY), summarise(as_columns([(0, 0, 0)]))
    assert not overlaps(nothing, something).any()
    assert not overlaps(something, nothing).any()
