"""Buckets: what a chart draws instead of points, as few as a screen has columns.

A chart has one *grid*: consecutive intervals of x of equal width, or, where points are few, each x
that occurs. A *bucket* is what is known of the points of one series in one interval: how many there
are, how many of them are NaN and infinite, and the smallest, largest, first, last and mean of the
finite values. So whatever the zoom, no extreme is left out of what is drawn.

The width of a grid is a power of two, and its edges are multiples of that. So a series that grows
keeps its buckets until it has twice as many, and two charts of one window have the same buckets.

Pure: where points and summaries come from is the business of `steplog.charts`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from steplog.summary import first_true

COUNTS = ("count", "nan", "pos_inf", "neg_inf")
VALUES = ("min", "max", "first", "last", "mean")
BUCKET = np.dtype([*((name, "<i8") for name in COUNTS), *((name, "<f8") for name in VALUES)])
"""`count` counts all points; `VALUES` are of the finite ones, first and last in series order, and
NaN where there is none."""

LEAST, MOST = -(1 << 63), (1 << 63) - 1
"""The smallest and the largest step, or time in ms."""
WIDEST = 1023
"""The largest power of two that is a float."""

Buckets = npt.NDArray[np.void]
Index = npt.NDArray[np.int64]


class Grid(NamedTuple):
    """Intervals of x, each as wide as the others.

    Attributes:
        first: number of the first interval: it begins at ``first * 2**exponent``.
        size: how many there are.
        exponent: of the width; 0 or more where x is whole numbers.

    """

    first: int
    size: int
    exponent: int

    @property
    def width(self) -> float:
        """Width of an interval, in units of x."""
        return math.ldexp(1.0, self.exponent)

    def bounds(self) -> tuple[int, int]:
        """Return the first and the last whole number of a grid over whole numbers."""
        return self.first << self.exponent, ((self.first + self.size) << self.exponent) - 1

    @np.errstate(over="ignore")
    def edges(self) -> npt.NDArray[np.float64]:
        """Return where each interval begins."""
        numbers = np.array([float(self.first + i) for i in range(self.size)])
        # The first may be -2**1024, which no float is.
        edges: npt.NDArray[np.float64] = np.maximum(
            np.ldexp(numbers, self.exponent), -sys.float_info.max
        )
        return edges

    def locate(self, x: npt.NDArray[np.int64] | npt.NDArray[np.float64]) -> Index:
        """Return the interval of each x: -1 where it lies before this grid, `size` where behind.

        Args:
            x: int64, or finite float64.

        """
        if x.dtype == np.int64:
            shifted = np.right_shift(x.view(np.int64), min(self.exponent, 63))
            # Clipped before the first is subtracted: the distance of two int64 may be none.
            before = max(self.first - 1, LEAST)
            behind = min(self.first + self.size, MOST)
            numbers: Index = np.minimum(np.maximum(shifted, before), behind) - self.first
            return numbers
        with np.errstate(over="ignore"):
            scaled = np.ldexp(x, -self.exponent)
        # A number next to 0 may become 0, but it lies on its own side of it.
        floors = np.floor(np.where(scaled == 0, x, scaled)) - float(self.first)
        return np.clip(floors, -1, self.size).astype(np.int64)


def whole_grid(low: int, high: int, most: int) -> Grid:
    """Return the finest grid of at most `most` intervals over whole numbers.

    Args:
        low: the smallest x, an int64.
        high: the largest x, at least `low`.
        most: 1 or more.

    Example:
        >>> whole_grid(0, 999_999, 600)
        Grid(first=0, size=489, exponent=11)

    """
    exponent = 0
    while (high >> exponent) - (low >> exponent) >= most:
        exponent += 1
        if exponent == 64 and most == 1:  # around zero no power of two has both on one side
            return Grid(-1, 2, 63)
    return Grid(low >> exponent, (high >> exponent) - (low >> exponent) + 1, exponent)


def float_grid(low: float, high: float, most: int) -> Grid:
    """Return the finest grid of at most `most` intervals over finite floats.

    There may be two where one is asked for, and four over all floats.
    """
    span = high / 2 - low / 2  # the whole span may be infinite
    wanted = math.frexp(span / max(most, 2))[1] if span > 0 else 0
    # Narrower intervals would begin at numbers that are no floats.
    exponent = max(wanted, math.frexp(max(-low, high))[1] - 53, -1073)
    while True:
        first, last = (math.floor(math.ldexp(x, -exponent) or x) for x in (low, high))
        if last - first < max(most, 2) or exponent == WIDEST:
            return Grid(first, last - first + 1, exponent)
        exponent += 1


def empty_buckets(size: int) -> Buckets:
    """Return so many buckets without points."""
    buckets = np.zeros(size, BUCKET)
    for name in VALUES:
        buckets[name] = np.nan
    return buckets


def fold_points(index: Index, value: npt.NDArray[np.float64]) -> tuple[Index, Buckets]:
    """Return the buckets that points fall into, each once, ascending.

    Args:
        index: the bucket of each point.
        value: its value; points are in series order.

    Example:
        >>> numbers, buckets = fold_points(np.array([0, 0, 3]), np.array([1.0, 5.0, np.nan]))
        >>> numbers, buckets["max"], buckets["nan"]
        (array([0, 3]), array([ 5., nan]), array([0, 1]))

    """
    if (index[:-1] > index[1:]).any():
        order = np.argsort(index, kind="stable")
        index, value = index[order], value[order]
    starts = _starts(index)
    lasts = np.append(starts[1:], index.size) - 1
    finite = np.isfinite(value)
    buckets = np.zeros(starts.size, BUCKET)
    buckets["count"] = lasts - starts + 1
    if not starts.size:
        return index, buckets
    if finite.all():
        buckets["first"], buckets["last"] = value[starts], value[lasts]
    else:
        for name, flags in _oddities(value):
            buckets[name] = np.add.reduceat(flags, starts, dtype=np.int64)
        value = np.where(finite, value, np.nan)
        buckets["first"] = value[first_true(finite, starts)]
        buckets["last"] = value[_last_true(finite, starts)]
    buckets["min"] = np.fmin.reduceat(value, starts)
    buckets["max"] = np.fmax.reduceat(value, starts)
    buckets["mean"] = _means_of_points(value, starts, buckets)
    return index[starts], buckets


def of_summaries(summaries: npt.NDArray[np.void]) -> Buckets:
    """Return stretches that `are_enough` says yes to, each as a bucket."""
    buckets = np.zeros(summaries.size, BUCKET)
    buckets["count"], buckets["nan"] = summaries["count"], summaries["nan_count"]
    for name in ("min", "max", "first", "last"):
        buckets[name] = summaries[f"{name}_value"]
    buckets["mean"] = summaries["mean"]
    return buckets


def are_enough(summaries: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Say of which stretches a summary tells all that a bucket tells.

    It does not where values are infinite, or where the first or last of several numbers is NaN.
    """
    known = np.isfinite(summaries["first_value"]) & np.isfinite(summaries["last_value"])
    known &= np.isfinite(summaries["min_value"]) & np.isfinite(summaries["max_value"])
    enough: npt.NDArray[np.bool_] = known | (summaries["count"] == summaries["nan_count"])
    return enough


def gather(index: Index, buckets: Buckets, size: int) -> Buckets:
    """Return the buckets of a grid, from parts of them.

    Args:
        index: the number in the grid of each part; may repeat, in any order.
        buckets: what is known of some of its points; parts of one bucket are in series order.
        size: of the grid; every number lies within it.

    """
    gathered = empty_buckets(size)
    if not index.size:
        return gathered
    if (index[:-1] > index[1:]).any():
        order = np.argsort(index, kind="stable")
        index, buckets = index[order], buckets.take(order)
    starts = _starts(index)
    merged = np.zeros(starts.size, BUCKET)
    for name in COUNTS:
        merged[name] = np.add.reduceat(buckets[name], starts)
    merged["min"] = np.fmin.reduceat(buckets["min"], starts)
    merged["max"] = np.fmax.reduceat(buckets["max"], starts)
    numbers = ~np.isnan(buckets["mean"])
    merged["first"] = buckets["first"][first_true(numbers, starts)]
    merged["last"] = buckets["last"][_last_true(numbers, starts)]
    weights = buckets["count"] - buckets["nan"] - buckets["pos_inf"] - buckets["neg_inf"]
    merged["mean"] = _means(buckets["mean"], weights, starts, merged)
    gathered[index[starts]] = merged
    return gathered


def together(lines: Sequence[Buckets]) -> Buckets:
    """Return the buckets of all points of some lines over one grid, at least one line."""
    if len(lines) == 1:
        return lines[0]
    size = lines[0].size
    return gather(np.tile(np.arange(size), len(lines)), np.concatenate(lines, dtype=BUCKET), size)


def _oddities(value: npt.NDArray[np.float64]) -> list[tuple[str, npt.NDArray[np.bool_]]]:
    return [("nan", np.isnan(value)), ("pos_inf", value == np.inf), ("neg_inf", value == -np.inf)]


def _starts(index: Index) -> npt.NDArray[np.intp]:
    """Return where each number begins in an ascending array."""
    if not index.size:
        return np.empty(0, np.intp)
    return np.flatnonzero(np.concatenate(([True], index[1:] != index[:-1])))


def _last_true(mask: npt.NDArray[np.bool_], starts: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return the last index of each stretch where the mask is set; its last one where none is."""
    lasts = np.append(starts[1:], mask.size) - 1
    found: npt.NDArray[np.intp] = (
        mask.size - 1 - first_true(mask[::-1], mask.size - 1 - lasts[::-1])
    )
    return found[::-1]


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def _means_of_points(
    value: npt.NDArray[np.float64], starts: npt.NDArray[np.intp], buckets: Buckets
) -> npt.NDArray[np.float64]:
    """Return the mean of each stretch of values that are finite or NaN."""
    odd = buckets["nan"] + buckets["pos_inf"] + buckets["neg_inf"]
    numbers = np.where(np.isnan(value), 0.0, value) if odd.any() else value
    means = np.add.reduceat(numbers, starts) / (buckets["count"] - odd)
    if not np.isfinite(means).all():  # a sum that was too large, or nothing to add up
        means = _means(value, np.ones(value.size), starts, buckets)
    clipped: npt.NDArray[np.float64] = np.clip(means, buckets["min"], buckets["max"])
    return clipped


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def _means(
    means: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64] | npt.NDArray[np.int64],
    starts: npt.NDArray[np.intp],
    bounds: Buckets,
) -> npt.NDArray[np.float64]:
    """Return the mean of each stretch, between its bounds; NaN counts for nothing."""
    weights = np.where(np.isnan(means), 0, weights).astype(np.float64)
    total = np.add.reduceat(weights, starts)
    shares = weights / np.repeat(total, np.diff(starts, append=means.size))
    # Weighed before they are added: the sum of finite values may be infinite.
    weighed = np.add.reduceat(np.where(weights > 0, means, 0.0) * shares, starts)
    return np.clip(np.where(total > 0, weighed, np.nan), bounds["min"], bounds["max"])
