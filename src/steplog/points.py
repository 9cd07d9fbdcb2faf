"""Points as numpy arrays: their two shapes, the one order they have, and when two of them are one.

A run's points arrive interleaved, as records of dtype `POINT`; the points of one series are read
as `Columns`. What is *known* of them is in `steplog.summary`, how they become bytes in
`steplog.chunk`.

Series order is step, then timestamp, then value with NaN counted as 0.0 (MLflow's rule for the
latest value), then the bits of the value. It is total: equal in all four means the same point.
Steps reach ±2^63, so they are compared and never subtracted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

_Mask: TypeAlias = npt.NDArray[np.bool_]
_Key: TypeAlias = npt.NDArray[Any]

POINT = np.dtype(
    [
        ("step", "<i8"),
        ("timestamp", "<i8"),
        ("value", "<f8"),
        ("series", "<u4"),
        ("kind", "<u4"),
    ]
)
"""One point of some series, in the bytes of a journal's slot (`docs/formats/journal.md`)."""


class Columns(NamedTuple):
    """The points of one series: three arrays of one length, which nobody changes in place.

    Attributes:
        step: int64.
        timestamp: int64, milliseconds since 1970 (UTC).
        value: float64.

    Example:
        >>> columns = Columns(*np.array([[1, 2], [1000, 1001]]), np.array([0.5, np.nan]))
        >>> columns.step.size  # len(columns) is 3: the number of columns
        2

    """

    step: npt.NDArray[np.int64]
    timestamp: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]

    @classmethod
    def of(cls, points: npt.NDArray[np.void]) -> Columns:
        """Return the three columns of a `POINT` array, whatever its series."""
        # Copied, because a view of a 32-byte record is slow to compute with and keeps it alive.
        return cls(*(np.ascontiguousarray(points[name]) for name in cls._fields))

    def take(self, index: _Mask | npt.NDArray[np.intp] | slice) -> Columns:
        """Return the points that a slice, a mask or an array of indices selects."""
        return Columns(self.step[index], self.timestamp[index], self.value[index])


def empty_columns() -> Columns:
    """Return a series without points."""
    return Columns.of(np.empty(0, POINT))


def compare(left: Columns, right: Columns) -> tuple[_Mask, _Mask]:
    """Of each two points: does the left one come before the right one, and are they the same?

    Args:
        left: any points, in any order.
        right: as many points.

    """
    return _compare(zip(_order_keys(left), _order_keys(right), strict=True))


def is_sorted(columns: Columns) -> bool:
    """Say whether the points are in series order; repeated points may stand side by side."""
    before, equal = _compare_neighbours(_order_keys(columns))
    return bool((before | equal).all())


def sort_points(columns: Columns) -> Columns:
    """Return the points in series order; the same object where they are already."""
    if is_sorted(columns):
        return columns
    # lexsort wants the most significant key last.
    return columns.take(np.lexsort([*_order_keys(columns)][::-1]))


def drop_duplicates(columns: Columns) -> Columns:
    """Return the points, given in series order, each once; the same object where they are."""
    _, equal = _compare_neighbours(_order_keys(columns))
    return columns.take(_first_of_equals(equal)) if equal.any() else columns


def union(pieces: Sequence[Columns]) -> Columns:
    """Return the points of all pieces in series order, each once.

    Args:
        pieces: points of one series, in any order, with any repetitions.

    """
    if not pieces:
        return empty_columns()
    joined = Columns(*map(np.concatenate, zip(*pieces, strict=True)))
    return drop_duplicates(sort_points(joined))


def subtract(columns: Columns, others: Columns) -> Columns:
    """Return the points that are not among the others, in their order; the same object where
    none is.

    Args:
        columns: points of one series, each once.
        others: points of the same series, each once.

    Example:
        >>> columns = Columns(*np.array([[1, 2], [10, 11]]), np.array([0.5, np.nan]))
        >>> subtract(columns, columns.take(slice(1))).step
        array([2])

    """
    joined = Columns(*map(np.concatenate, zip(*[others, columns], strict=True)))
    # A stable sort: of two that are the same, the one of the others comes first.
    order = np.lexsort([*_order_keys(joined)][::-1])
    _, equal = _compare_neighbours(_order_keys(joined.take(order)))
    again = order[1:][equal] - others.step.size
    if not again.size:
        return columns
    left = np.ones(columns.step.size, np.bool_)
    left[again] = False
    return columns.take(left)


def arrange(points: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """Return the points grouped by series, each series in its order and each point once.

    Args:
        points: dtype `POINT`, of any series in any order.

    Returns:
        The same object where nothing had to change.

    """
    if (points["series"][:-1] > points["series"][1:]).any():
        # One thread logs its series in order, so grouping them stably is nearly always enough; it
        # costs a quarter of a lexsort. And take, not indexing: that copies records field by field.
        points = points.take(np.argsort(points["series"], kind="stable"))
    before, equal = _compare_neighbours(_arrangement_keys(points))
    if not (before | equal).all():
        points = points.take(np.lexsort([*_arrangement_keys(points)][::-1]))
        _, equal = _compare_neighbours(_arrangement_keys(points))
    return points.compress(_first_of_equals(equal)) if equal.any() else points


def series_starts(
    points: npt.NDArray[np.void],
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.intp]]:
    """Return the series of arranged points, ascending, and the index where each begins."""
    series = points["series"]
    starts = np.flatnonzero(_first_of_equals(series[:-1] == series[1:]))[: series.size]
    return series[starts], starts


def _order_keys(columns: Columns) -> Iterator[_Key]:
    """Yield what series order compares, most significant first; most often two are enough."""
    yield columns.step
    yield columns.timestamp
    yield np.where(np.isnan(columns.value), 0.0, columns.value)
    yield columns.value.view(np.uint64)


def _arrangement_keys(points: npt.NDArray[np.void]) -> Iterator[_Key]:
    yield points["series"]
    yield from _order_keys(Columns.of(points))


def _compare_neighbours(keys: Iterator[_Key]) -> tuple[_Mask, _Mask]:
    return _compare((key[:-1], key[1:]) for key in keys)


def _compare(pairs: Iterator[tuple[_Key, _Key]]) -> tuple[_Mask, _Mask]:
    left, right = next(pairs)
    before, equal = left < right, left == right
    while equal.any() and (pair := next(pairs, None)) is not None:
        left, right = pair
        before |= equal & (left < right)
        equal &= left == right
    return before, equal


def _first_of_equals(equal: _Mask) -> _Mask:
    """Mark each point that does not equal the one before it, the first among them."""
    return np.concatenate(([True], ~equal))
