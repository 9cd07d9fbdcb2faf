"""Reducing: what the processes of a distributed job have logged of a metric, as one series.

Pure: which series belong together, and where their points are, is the business of
`steplog.reading`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from steplog.points import Columns, empty_columns
from steplog.summary import summarise_stretches

Reduction = Literal["mean", "min", "max"]

_FIELDS: dict[Reduction, str] = {"mean": "mean", "min": "min_value", "max": "max_value"}


def reduce_ranks(ranks: Sequence[Columns], how: Reduction) -> Columns:
    """Return one point for each step that some rank has logged: the mean or an extreme of them all.

    A rank counts once at a step, by the last value that it logged there. Ranks without a value at
    a step are left out there, and NaN is left out as in every summary: a step has NaN only where
    no rank has anything else, or where +Inf and -Inf meet in a mean. Of the timestamps the latest
    counts: from then on the step was complete.

    Args:
        ranks: the points of each rank, each in series order.
        how: the mean, the smallest or the largest value.

    Example:
        >>> first = Columns(*np.array([[0, 1], [10, 20]]), np.array([1.0, 3.0]))
        >>> second = Columns(*np.array([[0], [15]]), np.array([2.0]))
        >>> reduce_ranks([first, second], "mean")
        Columns(step=array([0, 1]), timestamp=array([15, 20]), value=array([1.5, 3. ]))

    """
    lasts = [_last_of_each_step(each) for each in ranks if each.step.size]
    if not lasts:
        return empty_columns()
    points = Columns(*map(np.concatenate, zip(*lasts, strict=True)))
    points = points.take(np.argsort(points.step, kind="stable"))
    starts = np.flatnonzero(np.append(True, points.step[1:] != points.step[:-1]))
    known = summarise_stretches(points, starts)
    return Columns(points.step[starts], known["time_max"], known[_FIELDS[how]])


def _last_of_each_step(columns: Columns) -> Columns:
    return columns.take(np.append(columns.step[1:] != columns.step[:-1], True))
