"""Which points of a long series to draw: few enough for a screen, and every extreme among them.

Only chooses; it neither reads points nor averages them. A series too long to read is chosen from
its outline: `downsample(candidates(outline), n)`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from steplog.exceptions import invalid
from steplog.points import Columns, union
from steplog.summary import MARKS, extremes, first_true, mark


def downsample(columns: Columns, max_points: int) -> npt.NDArray[np.intp]:
    """Choose at most `max_points` points and return their indices, ascending.

    The series is cut into stretches of equally many points, and each keeps its first and last
    point, its smallest and largest value and, where it has any, its first NaN. So the extremes of
    the series are always kept, from `max_points` = 4 on; fewer keep the last point, then the
    first, then the smallest.

    Args:
        columns: points in series order.
        max_points: 1 or more.

    Raises:
        MlflowException: `max_points` is not positive.

    Example:
        >>> value = np.array([0.0, 1.0, 9.0, 1.0, 2.0, -9.0, 2.0, 3.0])
        >>> downsample(Columns(np.arange(8), np.arange(8), value), 4)
        array([0, 2, 5, 7])

    """
    if max_points < 1:
        raise invalid(f"max_points must be 1 or more, got {max_points}.")
    value = columns.value
    if value.size <= max_points:
        return np.arange(value.size)
    nan = np.isnan(value)
    stretches = max(1, max_points // (5 if nan.any() else 4))
    starts = np.arange(stretches) * value.size // stretches
    last = np.append(starts[1:], value.size) - 1
    kept = (last, starts, *extremes(value, starts), first_true(nan, starts))
    # Only a single stretch can have more to keep than was asked for: what matters most goes first.
    return np.unique(np.stack(kept)[:max_points])


def candidates(outline: npt.NDArray[np.void]) -> Columns:
    """Return the points that the summaries of a series name, in series order, each once.

    Args:
        outline: dtype `steplog.summary.SUMMARY`: consecutive stretches of one series, as
            `steplog.stores.base.Store.outline` gives them.

    """
    numbers = outline[outline["count"] > outline["nan_count"]]
    known = outline[outline["count"] > 0]
    of = {"first": known, "last": known, "min": numbers, "max": numbers}
    return union([mark(of[name], name) for name in MARKS])
