"""The points of one metric in MLflow's order, piece by piece, however many there are.

MLflow orders a history by timestamp, then step, then value; a store by step first. Mostly the two
agree, and where they do not, memory must not grow with the history all the same. So it is read in
*boxes*: ranges of timestamps, chosen from what the store knows of each stretch of a series, that
hold some ten thousand points each. A box that turns out to hold many more is halved and read again.

A connection to the store is never held while a client reads.

What is not here: what a history looks like to a client (`steplog.metric_client`) or on the wire
(`steplog.server`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from steplog.points import Columns, compare
from steplog.stores.base import Series, Store
from steplog.summary import mark

BOX_POINTS = 1 << 15
"""Points of a box, more or less …"""
MOST_POINTS = 4 * BOX_POINTS
"""… and where it is halved."""

INT64 = np.iinfo(np.int64)


class Points(NamedTuple):
    """Points of several series; `series` says of each which one, by its index."""

    columns: Columns
    series: npt.NDArray[np.intp]

    def take(self, index: npt.NDArray[np.intp] | slice) -> Points:
        """Return the points at these indices."""
        return Points(self.columns.take(index), self.series[index])


class Box(NamedTuple):
    """Timestamps and steps that are read at once, each from the first to the last."""

    times: tuple[int, int]
    steps: tuple[int, int] = (int(INT64.min), int(INT64.max))

    def halves(self, seen: Sequence[Points]) -> tuple[Box, Box] | None:
        """Return two boxes that follow one another in MLflow's order.

        Args:
            seen: some of the points in this box.

        Returns:
            None where the box is a single timestamp and step.

        """
        for name, column in (("times", "timestamp"), ("steps", "step")):
            first, last = getattr(self, name)
            if first < last:
                values = np.concatenate([getattr(each.columns, column) for each in seen])
                median = np.partition(values, values.size // 2)[values.size // 2]
                middle = min(max(int(median), first), last - 1)
                lower, upper = (first, middle), (middle + 1, last)
                return self._replace(**{name: lower}), self._replace(**{name: upper})
        return None


def read_history(store: Store, series: Sequence[Series], skip: int = 0) -> Iterator[Points]:
    """Yield the points of some series in MLflow's order, all but the first `skip`.

    What is skipped is not read where the store knows how many points it is.

    Args:
        store: where they are.
        series: all of one metric of one run.
        skip: how many points to leave out; 0 or more.

    """
    if not series:
        return
    outlines = [store.outline(each.series_id) for each in series]
    starts, before = _cuts(np.concatenate(outlines))
    first = int(np.searchsorted(before, skip, "right")) - 1
    starts = starts[first:]
    if first:
        skip -= _count_before(store, series, outlines, int(starts[0]))
    ends = [*(starts[1:] - 1).tolist(), int(INT64.max)]
    for times in zip(starts.tolist(), ends, strict=True):
        for points in _read(store, series, Box(times)):
            size = points.series.size
            if skip < size:
                yield points.take(slice(skip, None)) if skip else points
            skip = max(0, skip - size)


def _cuts(outline: npt.NDArray[np.void]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return where boxes begin, and how many points stand before each at the most.

    Args:
        outline: dtype `steplog.summary.SUMMARY`; stretches in any order.

    """
    by_time = outline[np.argsort(outline["time_min"], kind="stable")]
    starts, index = np.unique(by_time["time_min"], return_index=True)
    before = np.concatenate([[0], np.cumsum(by_time["count"])])[index]
    # The first stretch that begins in each BOX_POINTS of points begins a box.
    _, chosen = np.unique(before // BOX_POINTS, return_index=True)
    starts, before = starts[chosen], before[chosen]
    return np.append(INT64.min, starts[1:]), np.append(0, before[1:])


def _count_before(
    store: Store, series: Sequence[Series], outlines: Sequence[npt.NDArray[np.void]], time: int
) -> int:
    """Count the points whose timestamp is smaller, reading only where a stretch spans it."""
    count = 0
    for each, outline in zip(series, outlines, strict=True):
        count += int(outline["count"][outline["time_max"] < time].sum())
        spanning = (outline["time_min"] < time) & (outline["time_max"] >= time)
        for index in np.flatnonzero(spanning):
            stretch = outline[index : index + 1]
            steps = int(stretch["first_step"][0]), int(stretch["last_step"][0])
            for columns in store.points(each.series_id, steps, (int(INT64.min), time - 1)):
                count += int(_within(stretch, columns).sum())
    return count


def _within(stretch: npt.NDArray[np.void], columns: Columns) -> npt.NDArray[np.bool_]:
    """Say which points belong to a stretch: its neighbours may share its first and last step."""
    too_early, _ = compare(columns, mark(stretch, "first"))
    early, last = compare(columns, mark(stretch, "last"))
    within: npt.NDArray[np.bool_] = ~too_early & (early | last)
    return within


def _read(store: Store, series: Sequence[Series], box: Box) -> Iterator[Points]:
    """Yield the points of a box in MLflow's order."""
    parts: list[Points] = []
    size, halves = 0, None
    with closing(_pieces(store, series, box)) as pieces:
        for points in pieces:
            parts.append(points)
            size += points.series.size
            if size > MOST_POINTS:
                halves = box.halves(parts)
                if halves is not None:
                    break
    if halves is not None:
        parts.clear()
        for half in halves:
            yield from _read(store, series, half)
    elif parts:
        yield _ordered(parts)


def _pieces(store: Store, series: Sequence[Series], box: Box) -> Generator[Points, None, None]:
    for index, each in enumerate(series):
        for columns in store.points(each.series_id, box.steps, box.times):
            yield Points(columns, np.full(columns.step.size, index, np.intp))


def _ordered(parts: Sequence[Points]) -> Points:
    columns = Columns(*map(np.concatenate, zip(*(each.columns for each in parts), strict=True)))
    points = Points(columns, np.concatenate([each.series for each in parts]))
    step, timestamp, value = columns
    one_series = points.series[0] == points.series[-1]
    if one_series and (timestamp[:-1] <= timestamp[1:]).all():
        return points  # they stand in the order of the series, so by step and value, too
    numbers = np.where(np.isnan(value), 0.0, value)  # MLflow's database takes NaN for zero
    return points.take(np.lexsort((numbers, step, timestamp)))
