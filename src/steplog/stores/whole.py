"""What a store does with a series that it has whole in memory: pieces of it, and what they tell.

Pure. Stores that keep chunks never have a series whole; what they do instead is in their modules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import numpy.typing as npt

from steplog.points import Columns
from steplog.stores.base import Need
from steplog.summary import SUMMARY, summarise

PIECE_POINTS = 8192


def matches(key: str, patterns: Iterable[str] | None) -> bool:
    """Tell whether a key is one of these, or matches one of these patterns; None for any key."""
    return patterns is None or any(fnmatchcase(key, pattern) for pattern in patterns)


def points(
    columns: Columns, steps: tuple[int, int] | None, times: tuple[int, int] | None
) -> Iterator[Columns]:
    """Yield the points within a window; see `steplog.stores.base.Store.points`."""
    wanted = _within(columns.step, steps) & _within(columns.timestamp, times)
    yield from _cut(columns.take(wanted))


def outline(columns: Columns) -> npt.NDArray[np.void]:
    """Return the summaries of the stretches of a series; see `steplog.stores.base.Store.outline`.

    Args:
        columns: in series order, each point once.

    """
    return _summaries([*_cut(columns)])


def survey(
    columns: Columns, need: Callable[[npt.NDArray[np.void]], npt.NDArray[np.integer[Any]]]
) -> Iterator[npt.NDArray[np.void] | Columns]:
    """Yield what is needed of each stretch; see `steplog.stores.base.Store.survey`."""
    pieces = [*_cut(columns)]
    summaries = _summaries(pieces)
    for index, needed in enumerate(need(summaries).tolist()):
        if needed == Need.SUMMARY:
            yield summaries[index : index + 1]
        elif needed == Need.POINTS:
            yield pieces[index]


def _summaries(pieces: Sequence[Columns]) -> npt.NDArray[np.void]:
    return np.concatenate([np.empty(0, SUMMARY), *map(summarise, pieces)])


def _within(column: npt.NDArray[np.int64], window: tuple[int, int] | None) -> npt.NDArray[np.bool_]:
    if window is None:
        return np.ones(column.size, np.bool_)
    first, last = window
    return (first <= column) & (column <= last)


def _cut(columns: Columns) -> Iterator[Columns]:
    for start in range(0, columns.step.size, PIECE_POINTS):
        yield columns.take(slice(start, start + PIECE_POINTS))
