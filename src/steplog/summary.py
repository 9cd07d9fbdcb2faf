"""What is known of a stretch of points without reading it: counts, mean, first, last, extremes.

Summaries are numpy records of dtype `SUMMARY`, computed and merged many at a time, never series by
series in Python. Where they are kept is the stores' business.

* *first* and *last* follow series order (`steplog.points`), so *last* is MLflow's latest value.
* *min* and *max* leave NaN out; of equal values the first in series order counts. Where every value
  is NaN there is none: their value is then NaN, their step and timestamp 0.
* *mean* leaves NaN out too, and lies between min and max. It is NaN where there is no number, or
  where +Inf and -Inf meet.
* A record of zeros (count 0) says that nothing is known: merging with it changes nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from steplog.points import Columns, arrange, compare, series_starts, sort_points

MARKS = ("first", "last", "min", "max")
"""The points a summary names, each by its step, timestamp and value: `first_step`, …."""

MEAN_TOLERANCE = 1e-9
"""How far two means of the same points may lie apart, relative to the largest value."""

SUMMARY = np.dtype(
    [
        ("count", "<i8"),
        ("nan_count", "<i8"),
        ("mean", "<f8"),
        *(
            (f"{mark}_{name}", kind)
            for mark in MARKS
            for name, kind in (("step", "<i8"), ("timestamp", "<i8"), ("value", "<f8"))
        ),
        ("time_min", "<i8"),
        ("time_max", "<i8"),
    ]
)


def summarise(columns: Columns) -> npt.NDArray[np.void]:
    """Return what is known of these points, as an array of one `SUMMARY`.

    Args:
        columns: points of one series, in any order. Repeated points count each time.

    Example:
        >>> points = Columns(*np.array([[0, 1, 2], [10, 11, 12]]), np.array([0.5, np.nan, 0.25]))
        >>> summarise(points)[["count", "nan_count", "mean", "min_step"]].item()
        (3, 1, 0.375, 2)

    """
    if not columns.step.size:
        return np.zeros(1, SUMMARY)
    return summarise_stretches(sort_points(columns), np.zeros(1, np.intp))


def summarise_groups(
    points: npt.NDArray[np.void],
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.void]]:
    """Return the series that occur in these points, ascending, and one `SUMMARY` of each.

    Args:
        points: dtype `steplog.points.POINT`, of any series in any order. Repeated points count
            once.

    """
    return summarise_arranged(arrange(points))


def summarise_arranged(
    points: npt.NDArray[np.void],
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.void]]:
    """Do as `summarise_groups`, for what `steplog.points.arrange` has returned."""
    numbers, starts = series_starts(points)
    return numbers, summarise_stretches(Columns.of(points), starts)


# NaN, Inf and empty summaries are data here: what they make of a mean is said above.
@np.errstate(over="ignore", invalid="ignore")
def merge(a: npt.NDArray[np.void], b: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """Return, element by element, the summary of the points of both.

    Exact but for the rounding of the mean, as long as no point belongs to both (see `overlaps`).

    Args:
        a: dtype `SUMMARY`, shape (k,).
        b: dtype `SUMMARY`, shape (k,).

    """
    merged = np.empty_like(a)
    for name in ("count", "nan_count"):
        merged[name] = a[name] + b[name]
    merged["time_min"] = np.minimum(a["time_min"], b["time_min"])
    merged["time_max"] = np.maximum(a["time_max"], b["time_max"])
    for name in MARKS:
        left, right = mark(a, name), mark(b, name)
        _set_mark(merged, name, _where(_wins(name, left, right), left, right))
    merged["mean"] = _merged_means(a, b, merged["min_value"], merged["max_value"])
    np.copyto(merged, a, where=b["count"] == 0)
    np.copyto(merged, b, where=a["count"] == 0)
    return merged


def overlaps(a: npt.NDArray[np.void], b: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Say, element by element, whether a point summarised in `a` may be summarised in `b` too.

    It may where both the ranges of steps and the ranges of times meet; elsewhere it cannot.
    """
    return (
        ((a["count"] > 0) & (b["count"] > 0))
        & ((a["first_step"] <= b["last_step"]) & (b["first_step"] <= a["last_step"]))
        & ((a["time_min"] <= b["time_max"]) & (b["time_min"] <= a["time_max"]))
    )


@np.errstate(invalid="ignore")
def agree(a: npt.NDArray[np.void], b: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Say, element by element, whether two summaries tell the same.

    Means of the same points may differ by rounding, for that depends on the order of merging.
    """
    same = np.ones(len(a), np.bool_)
    for name in SUMMARY.names or ():
        if name != "mean":
            # As bits, because NaN agrees with NaN, and 0.0 does not with -0.0.
            same &= np.equal(*(np.ascontiguousarray(each[name]).view("<i8") for each in (a, b)))
    largest = np.maximum(np.abs(a["min_value"]), np.abs(a["max_value"]))
    # Below the least normal number rounding is coarser than it is in proportion.
    largest = np.fmax(largest, np.finfo(np.float64).tiny)
    near = np.abs(a["mean"] - b["mean"]) <= MEAN_TOLERANCE * largest
    same &= near | (a["mean"] == b["mean"]) | (np.isnan(a["mean"]) & np.isnan(b["mean"]))
    return same


def mark(summaries: npt.NDArray[np.void], name: str) -> Columns:
    """Return the points that stand in summaries under one of the names in `MARKS`."""
    return Columns(*(summaries[f"{name}_{field}"] for field in Columns._fields))


def extremes(
    value: npt.NDArray[np.float64], starts: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return where the smallest and the largest value of each stretch stand first.

    NaN is neither; a stretch of nothing else gives its start twice.

    Args:
        value: the values of all stretches, one after the other.
        starts: the index where each stretch begins; ascending, the first is 0.

    """
    lengths = np.diff(starts, append=value.size)
    # fmin and fmax prefer numbers to quiet NaN only: a signalling one would be their result.
    nan = np.isnan(value)
    quiet = np.where(nan, np.nan, value) if nan.any() else value
    return (
        first_true(value == np.repeat(np.fmin.reduceat(quiet, starts), lengths), starts),
        first_true(value == np.repeat(np.fmax.reduceat(quiet, starts), lengths), starts),
    )


def first_true(mask: npt.NDArray[np.bool_], starts: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return the first index of each stretch where the mask is set; its start where none is."""
    found = np.flatnonzero(mask)
    edges = np.searchsorted(found, np.append(starts, mask.size))
    some = edges[:-1] < edges[1:]
    first: npt.NDArray[np.intp] = starts.copy()
    first[some] = found[edges[:-1][some]]
    return first


@np.errstate(over="ignore", invalid="ignore")
def summarise_stretches(columns: Columns, starts: npt.NDArray[np.intp]) -> npt.NDArray[np.void]:
    """Return one `SUMMARY` for each of consecutive stretches of points.

    Args:
        columns: points, each stretch in series order.
        starts: where each stretch begins, the first at 0; none is empty.

    """
    summaries = np.zeros(starts.size, SUMMARY)
    if not starts.size:
        return summaries
    lengths = np.diff(starts, append=columns.step.size)
    summaries["count"] = lengths
    summaries["nan_count"] = np.add.reduceat(np.isnan(columns.value), starts, dtype=np.int64)
    summaries["time_min"] = np.minimum.reduceat(columns.timestamp, starts)
    summaries["time_max"] = np.maximum.reduceat(columns.timestamp, starts)
    low, high = extremes(columns.value, starts)
    for name, at in zip(MARKS, (starts, starts + lengths - 1, low, high), strict=True):
        _set_mark(summaries, name, columns.take(at))
    numbers = summaries["count"] - summaries["nan_count"]
    for field in ("min_step", "min_timestamp", "max_step", "max_timestamp"):
        summaries[field][numbers == 0] = 0
    summaries["mean"] = _means(
        columns.value, starts, numbers, summaries["min_value"], summaries["max_value"]
    )
    return summaries


def _set_mark(summaries: npt.NDArray[np.void], name: str, points: Columns) -> None:
    for field, column in zip(Columns._fields, points, strict=True):
        summaries[f"{name}_{field}"] = column


def _where(condition: npt.NDArray[np.bool_], left: Columns, right: Columns) -> Columns:
    return Columns(*(np.where(condition, *pair) for pair in zip(left, right, strict=True)))


def _wins(name: str, left: Columns, right: Columns) -> npt.NDArray[np.bool_]:
    """Of each two points that have one name: does the left one keep it?"""
    before, _ = compare(left, right)
    if name == "first":
        return before
    if name == "last":
        return ~before
    better = left.value < right.value if name == "min" else left.value > right.value
    tie = left.value == right.value
    keeps: npt.NDArray[np.bool_] = better | np.isnan(right.value) | (tie & before)
    return keeps


def _means(
    value: npt.NDArray[np.float64],
    starts: npt.NDArray[np.intp],
    numbers: npt.NDArray[np.int64],
    low: npt.NDArray[np.float64],
    high: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    values = np.where(np.isnan(value), 0.0, value)
    means = np.add.reduceat(values, starts) / numbers
    overflown = ~np.isfinite(means)
    if overflown.any():
        # Fewer than 2^64 values cannot overflow so; what a small value loses, a sum that large
        # never had. And one Inf stays Inf, also where the sum had overflown to the other side.
        small = np.add.reduceat(np.ldexp(values, -64), starts) / numbers
        means = np.where(overflown, np.ldexp(small, 64), means)
    return np.clip(means, low, high)


def _merged_means(
    a: npt.NDArray[np.void],
    b: npt.NDArray[np.void],
    low: npt.NDArray[np.float64],
    high: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    of_a, of_b = (each["count"] - each["nan_count"] for each in (a, b))
    # Weighed before they are added, because the sum of two finite means may be infinite.
    share = of_b / (of_a + of_b)
    means = a["mean"] * (1.0 - share) + b["mean"] * share
    means = np.where(of_a == 0, b["mean"], np.where(of_b == 0, a["mean"], means))
    return np.clip(means, low, high)
