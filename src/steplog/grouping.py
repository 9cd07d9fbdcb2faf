"""Groups of runs: what runs that agree in some params have in common, at every x of a chart.

A run counts at an x where it has points, and between two of its points with the straight line
between them, as it would be drawn; not before its first or after its last point, and not across
values that are not finite. So runs of different lengths, or that log at different steps, are no
problem, and `n` says how many runs each number stands on.

A confidence band has the factor of Student's t distribution for its n: of three runs it is 4.3
standard errors wide to either side, not 1.96.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from steplog.buckets import COUNTS, Buckets

Aggregate = Literal["mean", "median"]
Band = Literal["minmax", "std", "sem", "ci95"]
Floats = npt.NDArray[np.float64]


# What has no number is NaN here, and is meant to be.
@np.errstate(invalid="ignore", over="ignore", divide="ignore")
def group_columns(
    members: Sequence[Buckets], x: Floats, aggregate: Aggregate, band: Band
) -> dict[str, Floats]:
    """Return the columns of a group of runs.

    Args:
        members: the buckets of each run over one grid; at least one.
        x: where the buckets are, shape (size,), ascending.
        aggregate: what the runs have in common, ``center``.
        band: from ``low`` to ``high``: the smallest and largest value of any run; or ``center``
            and as much to either side as the standard deviation (of n - 1), the standard error,
            or the half width of the 95 % confidence interval of the mean.

    Returns:
        Columns of shape (size,): n, center, low, high; and of all points count, nan, pos_inf,
        neg_inf, min, max.

    """
    means = np.stack([bridged(each["mean"], each["count"], x) for each in members])
    n = (~np.isnan(means)).sum(axis=0)
    average = np.where(n > 0, np.where(np.isnan(means), 0.0, means / n).sum(axis=0), np.nan)
    center = average if aggregate == "mean" else _median(means, n)
    smallest = np.fmin.reduce([each["min"] for each in members])
    largest = np.fmax.reduce([each["max"] for each in members])
    if band == "minmax":
        low = np.fmin(np.fmin.reduce(means), smallest)
        high = np.fmax(np.fmax.reduce(means), largest)
    else:
        reach = _reach(means - average, n, band)
        low, high = center - reach, center + reach
    return {
        "n": n.astype(np.float64),
        "center": center,
        "low": low,
        "high": high,
        "min": smallest,
        "max": largest,
        **{name: np.sum([each[name] for each in members], axis=0, dtype=float) for name in COUNTS},
    }


def bridged(mean: Floats, count: npt.NDArray[np.int64], x: Floats) -> Floats:
    """Return a line with its empty buckets filled by the straight lines between their neighbours.

    Args:
        mean: shape (size,); NaN where a bucket has no finite value …
        count: … although it may have points, which no line goes across.
        x: where the buckets are, ascending.

    Example:
        >>> x, count = np.arange(4.0), np.array([1, 0, 1, 0])
        >>> bridged(np.array([1.0, np.nan, 3.0, np.nan]), count, x)
        array([ 1.,  2.,  3., nan])

    """
    known = np.flatnonzero(~np.isnan(mean))
    if not known.size:
        return mean
    filled = np.interp(x, x[known], mean[known], left=np.nan, right=np.nan)
    broken = np.cumsum(np.isnan(mean) & (count > 0))
    after = np.minimum(np.searchsorted(known, np.arange(x.size)), known.size - 1)
    before = np.maximum(np.searchsorted(known, np.arange(x.size), "right") - 1, 0)
    whole = broken[known[after]] == broken[known[before]]
    return np.where(np.isnan(mean) & whole, filled, mean)


@cache
def t_factor(degrees: int) -> float:
    """Return by how many standard errors a 95 % confidence interval reaches to either side.

    Args:
        degrees: of freedom, n - 1; 1 or more.

    Example:
        >>> [round(t_factor(degrees), 3) for degrees in (1, 2, 4, 1000)]
        [12.706, 4.303, 2.776, 1.962]

    """
    low, high = 0.0, math.pi / 2
    while low < (middle := (low + high) / 2) < high:
        if _within(middle, degrees) < 0.95:
            low = middle
        else:
            high = middle
    return math.tan(middle) * math.sqrt(degrees)


def _within(angle: float, degrees: int) -> float:
    """Return the probability that t lies between ±tan(angle)·√degrees.

    For whole degrees it is a finite sum: Abramowitz and Stegun, 26.7.3 and 26.7.4.
    """
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term = total = 0.0 if degrees == 1 else cosine if odd else 1.0
    for k in range(2 + odd, degrees - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def _reach(distances: Floats, n: npt.NDArray[np.int64], band: Band) -> Floats:
    """Return how far a band reaches from its center; NaN where a single run is no statistic."""
    scale = np.fmax.reduce(np.abs(distances))  # squares of large values would be infinite
    squares = np.where(np.isnan(distances), 0.0, distances / np.where(scale > 0, scale, 1.0)) ** 2
    reach = scale * np.sqrt(squares.sum(axis=0) / np.maximum(n - 1, 1))
    if band != "std":
        reach = reach / np.sqrt(n)
    if band == "ci95":
        factors = [t_factor(max(count - 1, 1)) for count in range(int(n.max(initial=0)) + 1)]
        reach = reach * np.array(factors)[n]
    return np.where(n > 1, reach, np.nan)


def _median(means: Floats, n: npt.NDArray[np.int64]) -> Floats:
    in_order = np.sort(means, axis=0)  # NaN stand last
    lower, upper = np.maximum(n - 1, 0) // 2, np.minimum(n // 2, means.shape[0] - 1)
    pair = np.take_along_axis(in_order, np.stack([lower, upper]), axis=0)
    median: Floats = pair[0] / 2 + pair[1] / 2
    return median
