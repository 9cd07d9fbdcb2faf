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
    BUCKET,
    LEAST,
    MOST,
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
        fingerprint: of the line at that time.
        outline: of the series at that time; empty where it is of no use.
        grid: what the buckets lie on.
        buckets: shape (grid.size,).

    """

    fingerprint: Hashable
    outline: npt.NDArray[np.void]
    grid: Grid
    buckets: Buckets


class _Plan(NamedTuple):
    """What a fold needs of a series.

    Attributes:
        start: the first bucket that may not be as it was.
        known: the stretches that lie in one bucket and whose summary tells all of it.
        read: the stretches whose points have to be read.

    """

    start: int
    known: npt.NDArray[np.intp]
    read: npt.NDArray[np.intp]


_NO_PLAN = _Plan(0, np.empty(0, np.intp), np.empty(0, np.intp))


class Line(Protocol):
    """One series over an x axis."""

    @property
    def series(self) -> Series:
        """What is drawn."""
        ...

    @property
    def identity(self) -> Hashable:
        """What is remembered of it is known by this."""
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
    def identity(self) -> Hashable:
        """What is remembered of it is known by this."""
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
        outline, plan = np.zeros(0, SUMMARY), _NO_PLAN

        def need(found: npt.NDArray[np.void]) -> Index:
            nonlocal outline, plan
            outline, plan = found, self._plan(found, grid, window, known)
            needs = np.full(found.size, Need.NOTHING)
            needs[plan.read] = Need.POINTS
            return needs

        first, last = grid.bounds()
        window = max(window[0], first), min(window[1], last)
        parts = []
        for piece in store.survey(self.series.series_id, need):
            if isinstance(piece, Columns):
                x, value = self._within(piece, window)
                parts.append(fold_points(grid.locate(x), value))
        buckets = gather(*self._parts(outline, plan, parts, grid), grid.size)
        if known is not None:
            buckets[: plan.start] = known.buckets[: plan.start]
        return Folded(self.fingerprint, outline, grid, buckets)

    def _plan(
        self, outline: npt.NDArray[np.void], grid: Grid, window: Extent, known: Folded | None
    ) -> _Plan:
        low, high = self._bounds(outline)
        begin, end = grid.locate(low), grid.locate(high)
        start = 0 if known is None else self._unchanged(known, outline, begin, grid)
        meets = (high >= window[0]) & (low <= window[1]) & (end >= start)
        inside = (low >= window[0]) & (high <= window[1]) & (begin == end)
        enough = inside & are_enough(outline)
        return _Plan(start, np.flatnonzero(meets & enough), np.flatnonzero(meets & ~enough))

    def _parts(
        self,
        outline: npt.NDArray[np.void],
        plan: _Plan,
        read: Sequence[tuple[Index, Buckets]],
        grid: Grid,
    ) -> tuple[Index, Buckets]:
        """Return, in series order, what is known of the points in each bucket."""
        known = outline[plan.known]
        index = np.concatenate([grid.locate(self._bounds(known)[0]), *(part[0] for part in read)])
        # With the type given, for finding it out takes longer than all the rest.
        buckets = np.concatenate([of_summaries(known), *(part[1] for part in read)], dtype=BUCKET)
        sizes = [part[0].size for part in read]
        stretch = np.concatenate([plan.known, np.repeat(plan.read, sizes)])
        order = np.argsort(stretch, kind="stable")
        return index[order], buckets.take(order)

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
        low, high = (_since(self.origin, summaries[field]) for field in fields)
        return low, high

    def _within(self, columns: Columns, window: Extent) -> Points:
        x = _since(self.origin, columns.timestamp if self.times else columns.step)
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
    def identity(self) -> Hashable:
        """What is remembered of it is known by this."""
        return self.series.series_id, "over", self.over.series_id

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
        index, buckets = np.empty(0, np.int64), np.empty(0, BUCKET)
        for x, value in self._pieces(store, window):
            place = grid.locate(x)
            inside = (place >= 0) & (place < grid.size)
            more = fold_points(place[inside], value[inside])
            # At once, for there are as many pieces as the history is long.
            index = np.concatenate([index, more[0]])
            buckets = gather(index, np.concatenate([buckets, more[1]], dtype=BUCKET), grid.size)
            index = np.flatnonzero(buckets["count"])
            buckets = buckets[index]
        buckets = gather(index, buckets, grid.size)
        return Folded(self.fingerprint, np.zeros(0, SUMMARY), grid, buckets)

    def _pieces(self, store: Store, window: Extent) -> Iterator[Points]:
        """Yield its points in a window, some thousands at a time."""
        over = _Latest(store.points(self.over.series_id))
        for columns in store.points(self.series.series_id):
            x = over.at(columns.step)
            inside = np.isfinite(x) & (x >= window[0]) & (x <= window[1])
            yield Points(x[inside], columns.value[inside])

    def _finite_bounds(self, store: Store, summary: npt.NDArray[np.void]) -> Extent:
        steps = int(summary["first_step"]), int(summary["last_step"])
        low, high = math.inf, -math.inf
        for columns in store.points(self.over.series_id, steps):
            finite = columns.value[np.isfinite(columns.value)]
            low = min(low, float(finite.min(initial=math.inf)))
            high = max(high, float(finite.max(initial=-math.inf)))
        return low, high


class _Latest:
    """The latest value of a series at some steps, which must be asked for in ascending order.

    It reads the series once, and holds two pieces of it.
    """

    def __init__(self, pieces: Iterator[Columns]) -> None:
        self._pieces = pieces
        self._steps, self._values = np.empty(0, np.int64), np.array([np.nan])
        self._next = next(pieces, None)

    def at(self, steps: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return the last value at each step or before it; NaN where there is none."""
        found, start = np.empty(steps.size), 0
        while True:
            stop = steps.size
            if self._next is not None:
                stop = int(np.searchsorted(steps, self._next.step[0], "left"))
            # `_values` begins with the one before `_steps`.
            place = np.searchsorted(self._steps, steps[start:stop], "right")
            found[start:stop] = self._values[place]
            if self._next is None or stop == steps.size:
                return found
            start = stop
            self._steps = self._next.step
            self._values = np.append(self._values[-1:], self._next.value)
            self._next = next(self._pieces, None)


def _since(origin: int, x: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return x - origin; the smallest or largest int64 where that is none."""
    if not origin:
        return x
    low, high = max(LEAST + origin, LEAST), min(MOST + origin, MOST)
    since: npt.NDArray[np.int64] = np.clip(x, low, high) - np.int64(origin)
    return since


def _state(series: Series) -> Hashable:
    return series.key, series.series_id, series.exact, series.summary.tobytes()


def fold_few(points: Points, x: X) -> Buckets:
    """Return the buckets of a line on a grid of every x that occurs.

    Args:
        points: each x of them is in `x`.
        x: ascending, each once.

    """
    return gather(*fold_points(np.searchsorted(x, points.x), points.value), x.size)


def _joined(pieces: Sequence[Points], x: type[np.generic]) -> Points:
    xs, values = [each.x for each in pieces], [each.value for each in pieces]
    return Points(np.concatenate([np.empty(0, x), *xs]), np.concatenate([np.empty(0), *values]))
