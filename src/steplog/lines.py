"""Lines: where the points of one line of a chart come from, and how its buckets are made.

A line is one series over an x axis: `WholeLine` over its steps or times, whose buckets are made
from what a store knows of whole stretches, and `JoinedLine` over the values of another metric of
the run, for which every point has to be read.

What is not here: which lines a chart has, and the grid that they share (`steplog.charts`).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from steplog.buckets import (
    Buckets,
    Grid,
    Index,
    are_enough,
    fold_points,
    gather,
    of_summaries,
)
from steplog.points import Columns
from steplog.stores.base import Need, Series, Store
from steplog.summary import SUMMARY

X = npt.NDArray[np.int64] | npt.NDArray[np.float64]
Extent = tuple[float, float]
"""The smallest and the largest x of a line or a window; whole numbers are of type int."""


class Points(NamedTuple):
    """Points over some x, in series order."""

    x: X
    value: npt.NDArray[np.float64]


class Folded(NamedTuple):
    """The buckets of a line, and what they were made from.

    Attributes:
        outline: of the series at that time; empty where it is of no use.
        grid: what the buckets lie on.
        buckets: shape (grid.size,).

    """

    outline: npt.NDArray[np.void]
    grid: Grid
    buckets: Buckets


class Line(Protocol):
    """One series over an x axis."""

    @property
    def series(self) -> Series:
        """What is drawn."""
        ...

    @property
    def identity(self) -> Hashable | None:
        """What its folded buckets are known by; None where they should not be remembered."""
        ...

    @property
    def fingerprint(self) -> Hashable:
        """Another one when any of its points may have changed."""
        ...

    def extent(self, store: Store) -> Extent | None:
        """Return its smallest and largest x, or a little beyond them; None where it has none."""
        ...

    def points(self, store: Store, window: Extent, most: int) -> Points | None:
        """Return its points in a window; None where about `most` or more would have to be read."""
        ...

    def fold(self, store: Store, grid: Grid, window: Extent, known: Folded | None) -> Folded:
        """Return its buckets on a grid.

        Args:
            store: where its points are.
            grid: of the chart.
            window: x of the first and last point that count, whole numbers where x is.
            known: what an earlier call with the same beginning of grid and window has returned.

        """
        ...


class WholeLine(NamedTuple):
    """A series over its steps, its times, or its times since an origin.

    Attributes:
        series: what is drawn.
        times: x is the timestamp in ms; else the step.
        origin: what is subtracted from it.

    """

    series: Series
    times: bool
    origin: int = 0

    @property
    def identity(self) -> Hashable | None:
        """What its folded buckets are known by."""
        return self.series.series_id, self.times, self.origin

    @property
    def fingerprint(self) -> Hashable:
        """Another one when any of its points may have changed."""
        return self.identity, _state(self.series)

    def extent(self, store: Store) -> Extent | None:
        """Return its smallest and largest x."""
        if not self.series.summary["count"]:
            return None
        low, high = self._bounds(self.series.summary)
        return int(low), int(high)

    def points(self, store: Store, window: Extent, most: int) -> Points | None:
        """Return its points in a window, where they stand in few stretches."""
        extent = self.extent(store)
        whole = extent is not None and window[0] <= extent[0] and extent[1] <= window[1]
        many = whole and int(self.series.summary["count"]) > most
        if many:
            return None

        def need(outline: npt.NDArray[np.void]) -> Index:
            nonlocal many
            low, high = self._bounds(outline)
            meets = (high >= window[0]) & (low <= window[1])
            many = int(outline["count"][meets].sum()) > most
            return np.where(meets & (not many), Need.POINTS, Need.NOTHING)

        survey = store.survey(self.series.series_id, need)
        pieces = [self._within(piece, window) for piece in survey if isinstance(piece, Columns)]
        return None if many else _joined(pieces, np.int64)

    def fold(self, store: Store, grid: Grid, window: Extent, known: Folded | None) -> Folded:
        """Return its buckets: what is known of stretches, and points where that is not enough."""
        first, last = grid.bounds()
        window = max(window[0], first), min(window[1], last)
        outline, start = np.zeros(0, SUMMARY), 0

        def need(found: npt.NDArray[np.void]) -> Index:
            nonlocal outline, start
            outline = found
            low, high = self._bounds(found)
            begin, end = grid.locate(low), grid.locate(high)
            start = 0 if known is None else self._unchanged(known, found, begin, grid)
            meets = (high >= window[0]) & (low <= window[1]) & (end >= start)
            inside = (low >= window[0]) & (high <= window[1]) & (begin == end)
            enough = np.where(inside & are_enough(found), Need.SUMMARY, Need.POINTS)
            return np.where(meets, enough, Need.NOTHING)

        parts = [
            self._part(piece, grid, window) for piece in store.survey(self.series.series_id, need)
        ]
        buckets = gather([_from(start, *part) for part in parts], grid.size)
        if known is not None:
            buckets[:start] = known.buckets[:start]
        return Folded(outline, grid, buckets)

    def _part(
        self, piece: npt.NDArray[np.void] | Columns, grid: Grid, window: Extent
    ) -> tuple[Index, Buckets]:
        if isinstance(piece, Columns):
            x, value = self._within(piece, window)
            return fold_points(grid.locate(x), value)
        return grid.locate(self._bounds(piece)[0]), of_summaries(piece)

    def _unchanged(
        self, known: Folded, outline: npt.NDArray[np.void], begin: Index, grid: Grid
    ) -> int:
        """Return how many of the first buckets are as they were, given where stretches begin."""
        size = min(known.outline.size, outline.size)
        bytes_of = (each[:size].view(np.uint8) for each in (known.outline, outline))
        differing = np.flatnonzero(np.not_equal(*bytes_of))
        leading = int(differing[0]) // outline.itemsize if differing.size else size
        gone = grid.locate(self._bounds(known.outline[leading:])[0])
        starts = np.concatenate([begin[leading:], gone, [known.grid.size, grid.size]])
        return max(int(starts.min()), 0)

    def _bounds(
        self, summaries: npt.NDArray[np.void]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the smallest and largest x of stretches."""
        fields = ("time_min", "time_max") if self.times else ("first_step", "last_step")
        low, high = (summaries[field] - np.int64(self.origin) for field in fields)
        return low, high

    def _within(self, columns: Columns, window: Extent) -> Points:
        x = (columns.timestamp if self.times else columns.step) - np.int64(self.origin)
        inside = (x >= window[0]) & (x <= window[1])
        if inside.all():
            return Points(x, columns.value)
        return Points(x[inside], columns.value[inside])


class JoinedLine(NamedTuple):
    """A series over another metric of its run.

    A point's x is the value of the other metric at the same step, or else at the latest step before
    it. Points before all of these, or where that value is not finite, have no place.

    Attributes:
        series: what is drawn.
        over: the series of the other metric.

    """

    series: Series
    over: Series

    @property
    def identity(self) -> Hashable | None:
        """None: all points are read each time."""
        return None

    @property
    def fingerprint(self) -> Hashable:
        """Another one when any of its points may have changed."""
        return _state(self.series), _state(self.over)

    def extent(self, store: Store) -> Extent | None:
        """Return the smallest and largest finite value of the other metric."""
        low, high = math.inf, -math.inf
        for summary in store.outline(self.over.series_id):
            bounds = float(summary["min_value"]), float(summary["max_value"])
            if not all(map(math.isfinite, bounds)):
                bounds = self._finite_bounds(store, summary)
            low, high = min(low, bounds[0]), max(high, bounds[1])
        return (low, high) if low <= high else None

    def points(self, store: Store, window: Extent, most: int) -> Points | None:
        """Return its points in a window, where the whole series is short."""
        if int(self.series.summary["count"]) > most:
            return None
        return _joined([*self._pieces(store, window)], np.float64)

    def fold(self, store: Store, grid: Grid, window: Extent, known: Folded | None) -> Folded:
        """Return its buckets, from all its points, read piece by piece."""
        parts = []
        for x, value in self._pieces(store, window):
            index = grid.locate(x)
            inside = (index >= 0) & (index < grid.size)
            parts.append(fold_points(index[inside], value[inside]))
        return Folded(np.zeros(0, SUMMARY), grid, gather(parts, grid.size))

    def _pieces(self, store: Store, window: Extent) -> Iterator[Points]:
        """Yield its points in a window, some thousands at a time."""
        others = store.points(self.over.series_id)
        steps, values = np.empty(0, np.int64), np.empty(0)
        for columns in store.points(self.series.series_id):
            while not steps.size or steps[-1] <= columns.step[-1]:
                more = next(others, None)
                if more is None:
                    break
                steps = np.concatenate([steps, more.step])
                values = np.concatenate([values, more.value])
            at = np.searchsorted(steps, columns.step, "right") - 1
            x = np.where(at >= 0, values[at], np.nan) if values.size else np.full(at.size, np.nan)
            inside = np.isfinite(x) & (x >= window[0]) & (x <= window[1])
            yield Points(x[inside], columns.value[inside])
            done = max(int(at[-1]), 0)
            steps, values = steps[done:], values[done:]

    def _finite_bounds(self, store: Store, summary: npt.NDArray[np.void]) -> Extent:
        steps = int(summary["first_step"]), int(summary["last_step"])
        low, high = math.inf, -math.inf
        for columns in store.points(self.over.series_id, steps):
            finite = columns.value[np.isfinite(columns.value)]
            low = min(low, float(finite.min(initial=math.inf)))
            high = max(high, float(finite.max(initial=-math.inf)))
        return low, high


def _state(series: Series) -> Hashable:
    return series.key, series.series_id, series.exact, series.summary.tobytes()


def fold_few(points: Points, x: X) -> Buckets:
    """Return the buckets of a line on a grid of every x that occurs.

    Args:
        points: each x of them is in `x`.
        x: ascending, each once.

    """
    return gather([fold_points(np.searchsorted(x, points.x), points.value)], x.size)


def _joined(pieces: Sequence[Points], x: type[np.generic]) -> Points:
    xs, values = [each.x for each in pieces], [each.value for each in pieces]
    return Points(np.concatenate([np.empty(0, x), *xs]), np.concatenate([np.empty(0), *values]))


def _from(start: int, index: Index, buckets: Buckets) -> tuple[Index, Buckets]:
    """Return the part of buckets that lies at `start` or behind it."""
    wanted = index >= start
    return index[wanted], buckets[wanted]
