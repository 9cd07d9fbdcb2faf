"""Reading points: whole series, a part of them, or as many as a screen can show.

This module needs numpy, so nothing that only logs imports it.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args, overload

import numpy as np
import numpy.typing as npt

from steplog.backend import backend
from steplog.buckets import fold_points, gather, whole_grid
from steplog.downsample import candidates, downsample
from steplog.entities import Run, Summary
from steplog.exceptions import invalid
from steplog.markup import fragment
from steplog.operations import SeriesKey
from steplog.points import Columns, union
from steplog.ranks import NONE
from steplog.reducing import Reduction, reduce_ranks
from steplog.stores.base import Series, Store
from steplog.summary import SUMMARY, merge, summarise
from steplog.svg import Curve, draw

if TYPE_CHECKING:
    import pandas as pd

Range: TypeAlias = "tuple[int | None, int | None]"
"""First and last, both included; None leaves that side open."""
Ranks: TypeAlias = "Literal['apart'] | Reduction"
"""What is made of the ranks of a distributed job."""

INT64 = np.iinfo(np.int64)
BUCKETS = 300
"""Of a curve in a notebook."""
_EXTREMES = {
    "mean": "mean",
    "min": "min_value",
    "min_step": "min_step",
    "min_timestamp": "min_timestamp",
    "max": "max_value",
    "max_step": "max_step",
    "max_timestamp": "max_timestamp",
}
"""What a `Summary` knows only of series with a value that is not NaN, and where it stands."""
READ_AT_MOST = 1_000_000
"""Points read to choose from. A longer series is chosen from what is known of its stretches."""


class SeriesPoints(NamedTuple):
    """The points of one series that were asked for, by step, then timestamp, then value.

    Attributes:
        key: the run, the metric, what it was measured on, and the rank that logged it; rank is -1
            where there is none, or where the ranks were reduced to one series.
        step: int64.
        timestamp: int64, ms since 1970.
        value: float64; NaN, infinities and -0.0 as they were logged.

    """

    key: SeriesKey
    step: npt.NDArray[np.int64]
    timestamp: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the curve."""
        return fragment(f'<div class="charts">{_drawing([self])}</div>')


class SeriesList(list[SeriesPoints]):
    """A list of series, which a notebook shows as curves: one chart a metric."""

    def _repr_html_(self) -> str:
        by_key: dict[str, list[SeriesPoints]] = {}
        for series in self:
            by_key.setdefault(series.key.key, []).append(series)
        if not by_key:
            return fragment('<p class="empty">No series.</p>')
        return fragment(f'<div class="charts">{"".join(map(_drawing, by_key.values()))}</div>')


@overload
def read(
    runs: str | Run | Iterable[str | Run],
    keys: str | Iterable[str] | None = None,
    steps: Range | None = None,
    times: Range | None = None,
    max_points: int | None = None,
    as_pandas: Literal[False] = False,
    ranks: Ranks = "apart",
) -> list[SeriesPoints]: ...
@overload
def read(
    runs: str | Run | Iterable[str | Run],
    keys: str | Iterable[str] | None = None,
    steps: Range | None = None,
    times: Range | None = None,
    max_points: int | None = None,
    *,
    as_pandas: Literal[True],
    ranks: Ranks = "apart",
) -> pd.DataFrame: ...
def read(
    runs: str | Run | Iterable[str | Run],
    keys: str | Iterable[str] | None = None,
    steps: Range | None = None,
    times: Range | None = None,
    max_points: int | None = None,
    as_pandas: bool = False,
    ranks: Ranks = "apart",
) -> list[SeriesPoints] | pd.DataFrame:
    """Read the points of runs: everything whose call has returned, in whichever process.

    Args:
        runs: a run or its id, or several. Unknown ones have no series.
        keys: names of metrics, or patterns with ``*``, ``?`` and ``[…]``; None for all.
        steps: first and last step wanted, such as ``(1000, None)``.
        times: first and last timestamp wanted, in ms since 1970.
        max_points: at most this many points of each series, every extreme among them: first,
            last, smallest, largest, and NaN, of stretch after stretch. None for all points.
        as_pandas: return one table with a row for each point.
        ranks: what is made of a metric that several processes of a distributed job have logged:
            a series for each, ``apart``; or one point for each step, their ``mean``, ``min`` or
            ``max`` (`steplog.reducing.reduce_ranks` says how). What one process alone has logged
            stays as it is.

    Returns:
        One `SeriesPoints` for each series, in the order of `runs`, then by key, model, dataset and
        rank. Or a pandas frame: run_id, key, model_id, dataset_name, dataset_digest, rank, step,
        timestamp, value.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE where `max_points` is not positive, or `ranks` is
            none of these; TEMPORARILY_UNAVAILABLE where the store cannot be read now.
        ImportError: `as_pandas` without pandas (``pip install 'steplog[pandas]'``).

    Example:
        >>> [loss] = steplog.read(run, "loss", max_points=2_000)
        >>> loss.step, loss.value
        >>> [loss] = steplog.read(run, "loss", ranks="mean")

    """
    several = [runs] if isinstance(runs, (str, Run)) else runs
    run_ids = [run.info.run_id if isinstance(run, Run) else run for run in several]
    patterns = [keys] if isinstance(keys, str) else keys
    result = read_series(backend().store(), run_ids, patterns, steps, times, max_points, ranks)
    return _frame(result) if as_pandas else SeriesList(result)


def read_series(
    store: Store,
    run_ids: Sequence[str],
    keys: Iterable[str] | None = None,
    steps: Range | None = None,
    times: Range | None = None,
    max_points: int | None = None,
    ranks: Ranks = "apart",
) -> list[SeriesPoints]:
    """Read points of a store, as `read` does of the store in force."""
    if max_points is not None and max_points < 1:
        raise invalid(f"max_points must be 1 or more, got {max_points}.")
    if ranks != "apart" and ranks not in get_args(Reduction):
        choices = ", ".join(("apart", *get_args(Reduction)))
        raise invalid(f"ranks must be one of {choices}, got {ranks!r}.")
    window = _Window(_bounds(steps), _bounds(times))
    found = store.series(run_ids, None if keys is None else list(keys))
    return [
        SeriesPoints(key, *_points(store, members, window, max_points, ranks))
        for key, members in _together(found, ranks)
    ]


def sample(
    store: Store, run_id: str, key: str, max_points: int, steps: Range | None = None
) -> Iterator[tuple[SeriesKey, int, int, float]]:
    """Yield points of one metric of a run by step, at most `max_points`, every extreme among them.

    The points of all its series together: series, step, timestamp, value of each.
    """
    found = read_series(store, [run_id], [key], steps, max_points=max_points)
    found = [each for each in found if each.key.key == key]  # a store may take `key` for a pattern
    if not found:
        return
    columns = _joined(Columns(*each[1:]) for each in found)
    owners = np.repeat(np.arange(len(found)), [each.step.size for each in found])
    if len(found) > 1:
        order = np.lexsort((columns.value, columns.timestamp, columns.step))
        order = order[downsample(columns.take(order), max_points)]
        columns, owners = columns.take(order), owners[order]
    for owner, *point in zip(
        owners.tolist(), *(column.tolist() for column in columns), strict=True
    ):
        step, timestamp, value = point
        yield found[owner].key, step, timestamp, value


def summaries(
    store: Store, run_id: str, keys: Sequence[str] | None = None, ranks: Ranks = "apart"
) -> list[Summary]:
    """Return what is known of each series of a run; `keys` and `ranks` are those of `read`."""
    return [
        _summary(key, _exact(store, members, ranks))
        for key, members in _together(store.series([run_id], keys), ranks)
    ]


class _Window(NamedTuple):
    """The steps and the times that are wanted, as `Store.points` takes them; None for all."""

    steps: tuple[int, int] | None
    times: tuple[int, int] | None

    def meets(self, outline: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
        """Say which stretches may hold points of the window."""
        wanted = np.ones(outline.size, bool)
        for (first, last), low, high in self._ranges():
            wanted &= (outline[low] <= last) & (outline[high] >= first)
        return wanted

    def holds(self, outline: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
        """Say of which stretches every point is in the window."""
        wanted = np.ones(outline.size, bool)
        for (first, last), low, high in self._ranges():
            wanted &= (outline[low] >= first) & (outline[high] <= last)
        return wanted

    def _ranges(self) -> Iterator[tuple[tuple[int, int], str, str]]:
        if self.steps is not None:
            yield self.steps, "first_step", "last_step"
        if self.times is not None:
            yield self.times, "time_min", "time_max"


def _together(found: Sequence[Series], ranks: Ranks) -> Iterator[tuple[SeriesKey, list[Series]]]:
    """Yield the series that are read as one, after the key of that one."""
    for key, group in groupby(found, lambda each: each.key._replace(rank=NONE)):
        members = list(group)
        if ranks == "apart" or len(members) == 1:
            yield from ((each.key, [each]) for each in members)
        else:
            yield key, members


def _points(
    store: Store, members: Sequence[Series], window: _Window, max_points: int | None, ranks: Ranks
) -> Columns:
    if ranks != "apart" and len(members) > 1:
        return _reduced(store, members, window, max_points, ranks)
    [series] = members
    if max_points is None:
        return _joined(store.points(series.series_id, *window))
    outline = store.outline(series.series_id)
    outline = outline[window.meets(outline)]
    if outline["count"].sum() <= READ_AT_MOST:
        columns = _joined(store.points(series.series_id, *window))
    elif outline.size * 4 >= max_points:
        columns = _named_points(store, series, window, outline)
    else:
        columns = _thinned(store, series, window, outline, max_points)
    return columns.take(downsample(columns, max_points))


def _reduced(
    store: Store,
    ranks: Sequence[Series],
    window: _Window,
    max_points: int | None,
    how: Reduction,
) -> Columns:
    """Return one point for each step, read some steps after the other; thinned on the way."""
    outline = np.concatenate([store.outline(each.series_id) for each in ranks])
    outline = outline[window.meets(outline)]
    pieces = []
    for steps, share in _stretches(outline):
        inner = window._replace(steps=_overlap(window.steps, *steps))
        points = (_joined(store.points(each.series_id, *inner)) for each in ranks)
        piece = reduce_ranks(list(points), how)
        if max_points is not None:
            piece = piece.take(downsample(piece, max(5, int(share * max_points))))
        pieces.append(piece)
    columns = _joined(pieces)
    return columns if max_points is None else columns.take(downsample(columns, max_points))


def _stretches(outline: npt.NDArray[np.void]) -> Iterator[tuple[tuple[int, int], float]]:
    """Yield the first and last step of stretches that hold some READ_AT_MOST points each, and
    what share of all points that is.

    Args:
        outline: what is known of the stretches of some series, in any order.

    """
    outline = outline[np.argsort(outline["first_step"], kind="stable")]
    starts, index = np.unique(outline["first_step"], return_index=True)
    counts = np.append(0, np.cumsum(outline["count"]))
    # The first step that begins in each READ_AT_MOST of points begins a stretch.
    _, chosen = np.unique(counts[index] // READ_AT_MOST, return_index=True)
    edges = [*starts[chosen].tolist(), int(INT64.max) + 1]
    before = [*counts[index[chosen]].tolist(), int(counts[-1])]
    for (start, stop), (low, high) in zip(pairwise(edges), pairwise(before), strict=True):
        yield (start, stop - 1), (high - low) / before[-1]


def _named_points(
    store: Store, series: Series, window: _Window, outline: npt.NDArray[np.void]
) -> Columns:
    """Return the points that summaries name, and read where summaries are not enough.

    They are not where a stretch is only partly in the window, or holds some NaN: a summary counts
    NaN and does not say where it is.
    """
    some_nan = (outline["nan_count"] > 0) & (outline["nan_count"] < outline["count"])
    enough = window.holds(outline) & ~some_nan
    pieces = [candidates(outline[enough])]
    for stretch in outline[~enough]:
        inner = window._replace(
            steps=_overlap(window.steps, int(stretch["first_step"]), int(stretch["last_step"]))
        )
        columns = _joined(store.points(series.series_id, *inner))
        pieces.append(columns.take(downsample(columns, 5)))
    return union(pieces)


def _thinned(
    store: Store,
    series: Series,
    window: _Window,
    outline: npt.NDArray[np.void],
    max_points: int,
) -> Columns:
    """Read everything piece by piece and keep of each its share of `max_points`, or a few more."""
    share = max_points / int(outline["count"].sum())
    return union(
        [
            piece.take(downsample(piece, max(5, int(share * piece.step.size))))
            for piece in store.points(series.series_id, *window)
        ]
    )


def _overlap(wanted: tuple[int, int] | None, first: int, last: int) -> tuple[int, int]:
    if wanted is None:
        return first, last
    return max(wanted[0], first), min(wanted[1], last)


def _joined(pieces: Iterable[Columns]) -> Columns:
    parts = list(pieces)
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return union([])
    return Columns(*map(np.concatenate, zip(*parts, strict=True)))


def _exact(store: Store, members: Sequence[Series], ranks: Ranks) -> npt.NDArray[np.void]:
    """Return what is known of series that are read as one.

    It is computed from their points where ranks are reduced, or some may have been counted twice.
    """
    if len(members) > 1:
        points = _points(store, members, _Window(None, None), None, ranks)
        reduced: npt.NDArray[np.void] = summarise(points)[0]
        return reduced
    [series] = members
    if series.exact:
        return series.summary
    total = np.zeros(1, SUMMARY)
    for piece in store.points(series.series_id):
        total = merge(total, summarise(piece))
    known: npt.NDArray[np.void] = total[0]
    return known


def _summary(key: SeriesKey, known: npt.NDArray[np.void]) -> Summary:
    of = {name: known[name].item() for name in known.dtype.names or ()}
    extremes = {
        name: of[field] if of["count"] > of["nan_count"] else None
        for name, field in _EXTREMES.items()
    }
    return Summary(
        run_id=key.run_id,
        key=key.key,
        model_id=key.model_id or None,
        dataset_name=key.dataset_name or None,
        dataset_digest=key.dataset_digest or None,
        attempt=key.attempt,
        rank=key.rank,
        count=of["count"],
        nan_count=of["nan_count"],
        first=of["first_value"],
        first_step=of["first_step"],
        first_timestamp=of["first_timestamp"],
        last=of["last_value"],
        last_step=of["last_step"],
        last_timestamp=of["last_timestamp"],
        **extremes,
    )


def _bounds(given: Range | None) -> tuple[int, int] | None:
    if given is None:
        return None
    first, last = given
    return (
        int(INT64.min) if first is None else operator.index(first),
        int(INT64.max) if last is None else operator.index(last),
    )


def _drawing(found: Sequence[SeriesPoints]) -> str:
    """Return one chart of some series of a metric, over their steps."""
    steps = np.unique(np.concatenate([each.step for each in found]))
    if steps.size <= 2 * BUCKETS:
        x, where = steps.astype(np.float64), [np.searchsorted(steps, each.step) for each in found]
    else:
        grid = whole_grid(int(steps[0]), int(steps[-1]), BUCKETS)
        x, where = grid.edges() + grid.width / 2, [grid.locate(each.step) for each in found]
    curves = []
    for series, index in zip(found, where, strict=True):
        buckets = gather(*fold_points(index, series.value), x.size)
        columns = {name: buckets[name].astype(np.float64) for name in buckets.dtype.names or ()}
        key = series.key
        rank = f"rank {key.rank}" if key.rank != NONE else ""
        parts = (key.run_id[:8], key.dataset_name, key.model_id, rank)
        curves.append(Curve(" ".join(filter(None, parts)), columns))
    return draw(found[0].key.key, x, curves)


def _frame(result: Sequence[SeriesPoints]) -> pd.DataFrame:
    # Not at the top: pandas is an extra, and the slowest import of all.
    import pandas as pd

    lengths = [series.step.size for series in result]
    frame = pd.DataFrame(
        {
            name: np.repeat([getattr(series.key, name) or None for series in result], lengths)
            for name in ("run_id", "key", "model_id", "dataset_name", "dataset_digest")
        },
        dtype=object,
    )
    frame["rank"] = np.repeat(np.array([each.key.rank for each in result], np.int64), lengths)
    for name, column in _joined(Columns(*series[1:]) for series in result)._asdict().items():
        frame[name] = column
    return frame
