"""How the points of series are cut into stretches that are summarised, where no bytes bind them.

A chunk that is compressed is a stretch because its bytes are one. Points that lie in ClickHouse can
be cut anywhere, and are cut so that charts need no points: a stretch lies between two neighbouring
multiples of a power of two of steps, as the buckets of charts do (`steplog.buckets`), and is not
wider than the buckets of a chart of a thousand of them over all of its series. It grows with the
points that come, by merging summaries; no point is read for that.

The stretches of a series do not reach over one another. Late points that fall into stretches make
these anew, from their points, where they may be among them already: only so is none counted twice.
(Where points were lost, what is new makes stretches beside the damaged ones.)

Pure: where points and summaries are kept is in `steplog.stores.clickhouse`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from steplog.points import Columns, compare, series_starts, union
from steplog.summary import SUMMARY, mark, merge, overlaps, summarise_stretches

LEAST_POINTS = 1 << 10
"""A stretch of a series that is dense holds no fewer points, when it is full …"""
MOST_POINTS = 1 << 13
"""… and none holds more."""
_BUCKETS = 1 << 10
_READ_AT_ONCE = 128

Summaries = npt.NDArray[np.void]
Index = npt.NDArray[np.int64]


class Grown(NamedTuple):
    """What new points that come after all others make of the last stretches of some series.

    Attributes:
        summaries: the new stretches, ordered by series and within it.
        owners: the index of the series of each.
        replaces: of each series, whether its first new stretch takes the place of the last one.

    """

    summaries: Summaries
    owners: Index
    replaces: npt.NDArray[np.bool_]


class Woven(NamedTuple):
    """What points that come late make of the stretches of a series.

    Attributes:
        gone: which of the stretches are no more.
        summaries: those that take their place.

    """

    gone: Index
    summaries: Summaries


def exponents(totals: Summaries) -> Index:
    """Return, for each series, which power of two of steps a stretch lies within.

    Args:
        totals: what is known of all points of each series.

    Example:
        >>> million = np.zeros(1, SUMMARY)
        >>> million["count"], million["last_step"] = 1_000_000, 999_999
        >>> exponents(million)
        array([10])

    """
    count = np.maximum(totals["count"], 1)
    most = np.exp2(np.floor(np.log2(np.clip(count / _BUCKETS, LEAST_POINTS, MOST_POINTS))))
    # As floats: steps may lie further apart than an int64 says.
    span = totals["last_step"].astype(np.float64) - totals["first_step"].astype(np.float64) + 1
    wanted: Index = np.floor(np.log2(np.maximum(most * span / count, 1.0))).astype(np.int64)
    return np.minimum(wanted, 63)


def are_late(lasts: Summaries, firsts: Columns) -> npt.NDArray[np.bool_]:
    """Say of which series the new points do not all come after those that are known.

    Args:
        lasts: the last stretch of each series; zeros where it has none.
        firsts: the first new point of each.

    """
    after, _ = compare(mark(lasts, "last"), firsts)
    late: npt.NDArray[np.bool_] = ~after & (lasts["count"] > 0)
    return late


def grow(points: npt.NDArray[np.void], totals: Summaries, lasts: Summaries) -> Grown:
    """Return what points make of the stretches of their series, where none is late.

    Args:
        points: arranged (`steplog.points.arrange`).
        totals: what is known of all points of each series, these included.
        lasts: the last stretch of each series; zeros where it has none.

    """
    _, starts = series_starts(points)
    lengths = np.diff(starts, append=points.size)
    exponent = exponents(totals)
    begins = _cut(points["step"], starts, np.repeat(exponent, lengths))
    summaries = summarise_stretches(Columns.of(points), begins)
    owners = np.searchsorted(starts, begins, "right") - 1
    firsts = np.searchsorted(begins, starts)
    replaces = _are_one(lasts, summaries[firsts], exponent)
    summaries[firsts[replaces]] = merge(lasts[replaces], summaries[firsts[replaces]])
    return Grown(summaries, owners, replaces)


def weave(
    known: Summaries,
    new: Columns,
    total: Summaries,
    read: Callable[[slice], Columns],
) -> Woven:
    """Return what late points make of the stretches of one series.

    Args:
        known: its stretches, in order.
        new: its new points, in order and each once; they may be among those known.
        total: what is known of all its points; shape (1,).
        read: returns all points of these stretches.

    """
    [exponent] = exponents(total)
    first, last, place = _ranks(mark(known, "first"), mark(known, "last"), new)
    last = np.maximum.accumulate(last)
    touched = np.zeros(known.size, np.bool_)
    low, high = np.searchsorted(last, place, "left"), np.searchsorted(first, place, "right")
    for begin, end in np.unique(np.stack([low, high], 1)[low < high], axis=0).tolist():
        touched[begin:end] = True
    left = np.ones(place.size, np.bool_)
    parts, ids = [known[~touched]], [np.flatnonzero(~touched)]
    for run in _runs(touched, first, last):
        within = slice(
            np.searchsorted(place, first[run.start], "left"),
            np.searchsorted(place, last[run.stop - 1], "right"),
        )
        extended = None
        if (high[within] - low[within] == 1).all():
            extended = _extended(known[run], new.take(within), low[within] - run.start)
        if extended is None:
            extended = _summarise(union([read(run), new.take(within)]), int(exponent))
        left[within] = False
        parts.append(extended)
    # What lies between stretches is new for certain.
    gaps = np.searchsorted(first, place[left], "right")
    for gap in np.unique(gaps):
        parts.append(_summarise(new.take(left).take(gaps == gap), int(exponent)))
    ids += [np.full(part.size, -1) for part in parts[1:]]
    return _joined(
        np.concatenate(parts, dtype=SUMMARY), np.concatenate(ids), int(exponent), known.size
    )


def _extended(known: Summaries, new: Columns, owners: Index) -> Summaries | None:
    """Return stretches with the points that fall into them, where none may be there already.

    That is so where the new ones have other times: who logs out of order does it later.

    Args:
        known: stretches.
        new: points in order, each within one of these stretches.
        owners: the index of that stretch.

    Returns:
        As many stretches; None where their points have to be read.

    """
    at, starts = np.unique(owners, return_index=True)
    summaries = summarise_stretches(new, starts)
    full = known["count"][at] + summaries["count"] > MOST_POINTS
    if (full | overlaps(known[at], summaries)).any():
        return None
    extended: Summaries = known.copy()
    extended[at] = merge(known[at], summaries)
    return extended


def beside(new: Columns, total: Summaries) -> Summaries:
    """Return the stretches that points of a series, in order and each once, make by themselves."""
    return _summarise(new, int(exponents(total)[0]))


def _joined(summaries: Summaries, ids: Index, exponent: int, known: int) -> Woven:
    """Put stretches in order, and join new ones to their neighbours where they may be one.

    Args:
        summaries: stretches that do not reach over one another.
        ids: the number of each that was known; -1 for new ones.
        exponent: of the series.
        known: how many were known.

    """
    order = np.lexsort((ids, summaries["first_timestamp"], summaries["first_step"]))
    summaries, ids = summaries[order], ids[order]
    kept: list[int] = []
    made: list[Summaries] = []
    last, last_id = summaries[:1], int(ids[0])
    for index in range(1, summaries.size + 1):
        following = summaries[index : index + 1]
        following_id = int(ids[index]) if following.size else -1
        new = following.size and (last_id < 0 or following_id < 0)
        if new and _are_one(last, following, np.array([exponent]))[0]:
            last, last_id = merge(last, following), -1
            continue
        if last_id < 0:
            made.append(last)
        else:
            kept.append(last_id)
        last, last_id = following, following_id
    gone = np.setdiff1d(np.arange(known), np.array(kept, np.int64))
    return Woven(gone, np.concatenate([np.zeros(0, SUMMARY), *made], dtype=SUMMARY))


def _are_one(a: Summaries, b: Summaries, exponent: Index) -> npt.NDArray[np.bool_]:
    """Say of which stretches and their next ones the points may be one stretch."""
    one: npt.NDArray[np.bool_] = (
        (a["count"] > 0)
        & (a["count"] + b["count"] <= MOST_POINTS)
        & (a["first_step"] >> exponent == b["last_step"] >> exponent)
    )
    return one


def _summarise(columns: Columns, exponent: int) -> Summaries:
    """Return the stretches of points of one series, given in order."""
    start = np.zeros(min(1, columns.step.size), np.intp)
    cells = np.full(columns.step.size, exponent)
    return summarise_stretches(columns, _cut(columns.step, start, cells))


def _cut(step: npt.NDArray[np.int64], starts: npt.NDArray[np.intp], exponent: Index) -> Index:
    """Return where stretches begin.

    Args:
        step: of points in order, of any number of series.
        starts: where each series begins.
        exponent: of each point's series.

    """
    cells = step >> exponent
    begins = np.union1d(starts, np.flatnonzero(cells[1:] != cells[:-1]) + 1)
    lengths = np.diff(begins, append=step.size)
    long = np.flatnonzero(lengths > MOST_POINTS)
    more = [
        begins[i] + np.arange(1, -(-lengths[i] // MOST_POINTS)) * MOST_POINTS for i in long.tolist()
    ]
    return np.union1d(begins, np.concatenate(more)) if more else begins


def _ranks(*marks: Columns) -> Iterator[Index]:
    """Return numbers that compare as the steps of points, and then their timestamps, do."""
    keys = np.stack([np.concatenate(each) for each in zip(*(m[:2] for m in marks), strict=True)], 1)
    _, ranks = np.unique(keys, axis=0, return_inverse=True)
    sizes = np.cumsum([m.step.size for m in marks])[:-1]
    yield from np.split(ranks.reshape(-1), sizes)


def _runs(touched: npt.NDArray[np.bool_], first: Index, last: Index) -> Iterator[slice]:
    """Yield stretches that are touched and follow one another, some at a time.

    Stretches that share a step and a timestamp are not separated.
    """
    at = 0
    while at < touched.size:
        if not touched[at]:
            at += 1
            continue
        begin = at
        while at < touched.size and touched[at]:
            at += 1
            shared = at < touched.size and last[at - 1] >= first[at]
            if at - begin >= _READ_AT_ONCE and not shared:
                break
        yield slice(begin, at)
