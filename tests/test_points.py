"""The order of points, and when two are one: `steplog.points` against Python's own sorting."""

from __future__ import annotations

import doctest

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from plain_points import (
    INTERLEAVED,
    POINTS,
    Point,
    as_columns,
    as_points,
    as_records,
    from_records,
    order,
)

from steplog import points
from steplog.points import POINT, arrange, series_starts

Interleaved = list[tuple[int, Point]]


def sorted_once(interleaved: Interleaved) -> Interleaved:
    """What `arrange` must return."""
    return sorted(set(interleaved), key=lambda item: (item[0], order(item[1])))


def test_the_examples_in_the_documentation_run() -> None:
    """What the docstrings show is what happens."""
    assert doctest.testmod(points).failed == 0


def test_a_point_has_the_32_bytes_of_a_journal_slot() -> None:
    """POINT lays its fields out as the journal's format page draws them."""
    assert POINT.itemsize == 32
    assert [POINT.fields[name][1] for name in POINT.names] == [0, 8, 16, 24, 28]  # type: ignore[index, union-attr]


@given(POINTS)
def test_sorting_follows_the_documented_order(drawn: list[Point]) -> None:
    """Points are ordered by step, timestamp, value with NaN as 0.0, then bits."""
    columns = points.sort_points(as_columns(drawn))
    assert as_points(columns) == sorted(drawn, key=order)
    assert points.is_sorted(columns)


@given(POINTS)
def test_only_points_in_order_are_called_sorted(drawn: list[Point]) -> None:
    """is_sorted agrees with Python about every list of points."""
    assert points.is_sorted(as_columns(drawn)) == (drawn == sorted(drawn, key=order))


@given(POINTS)
def test_dropping_duplicates_keeps_each_point_once(drawn: list[Point]) -> None:
    """Only points that agree in step, timestamp and every bit of the value are one."""
    ordered = sorted(drawn, key=order)
    once = points.drop_duplicates(as_columns(ordered))
    assert as_points(once) == sorted(set(drawn), key=order)


def test_sorted_points_are_not_copied() -> None:
    """Reading what is in order already costs no copy."""
    columns = as_columns([(0, 0, 0), (1, 0, 0)])
    assert points.sort_points(columns) is columns
    assert points.drop_duplicates(columns) is columns


@given(st.lists(POINTS, max_size=4))
def test_a_union_is_the_set_of_all_points(pieces: list[list[Point]]) -> None:
    """However points are cut into pieces and repeated, their union is one sorted set."""
    union = points.union([as_columns(piece) for piece in pieces])
    assert as_points(union) == sorted({point for piece in pieces for point in piece}, key=order)


@given(POINTS, POINTS)
def test_comparing_agrees_with_the_order(left: list[Point], right: list[Point]) -> None:
    """compare says of each pair whether it is in order, and whether it is one point."""
    pairs = list(zip(left, right, strict=False))
    before, same = points.compare(as_columns(left[: len(pairs)]), as_columns(right[: len(pairs)]))
    assert before.tolist() == [order(a) < order(b) for a, b in pairs]
    assert same.tolist() == [a == b for a, b in pairs]


@given(INTERLEAVED)
def test_arranging_groups_by_series_and_keeps_each_point_once(drawn: Interleaved) -> None:
    """Interleaved points come out by series, in series order, without repetition."""
    assert from_records(arrange(as_records(drawn))) == sorted_once(drawn)


@given(INTERLEAVED)
def test_what_is_arranged_stays_as_it_is(drawn: Interleaved) -> None:
    """Arranging twice gives the same object, so callers need not ask first."""
    arranged = arrange(as_records(drawn))
    assert arrange(arranged) is arranged


def test_arranging_takes_the_kind_along() -> None:
    """A point that moves takes every byte of its record with it."""
    records = as_records([(2, (0, 0, 0)), (1, (0, 0, 0)), (1, (0, 0, 0))])
    records["kind"] = [2, 1, 1]
    assert arrange(records)[["series", "kind"]].tolist() == [(1, 1), (2, 2)]


@given(INTERLEAVED)
def test_every_series_begins_where_it_is_said_to(drawn: Interleaved) -> None:
    """series_starts cuts arranged points into their series, in ascending order."""
    arranged = arrange(as_records(drawn))
    series, starts = series_starts(arranged)
    assert series.tolist() == sorted({number for number, _ in drawn})
    pieces = np.split(arranged, starts)[1:]
    assert all(
        (piece["series"] == number).all() for number, piece in zip(series, pieces, strict=True)
    )
