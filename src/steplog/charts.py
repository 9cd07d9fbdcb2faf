"""Charts: the buckets of some series over one grid, at a cost that follows the screen.

A chart of a hundred million points is drawn from what a store knows of their stretches: only where
a stretch reaches over an edge of the grid, or of the window, are its points read. Where points are
few, the grid is every x that occurs, and a chart shows the points themselves.

`Charts` remembers what it has made: when a series has grown, only what is new is folded again, and
who follows a chart is told only what has changed.

What is not here: how one line is folded (`steplog.lines`), statistics over runs
(`steplog.grouping`), what a chart looks like.
"""

from __future__ import annotations

import math
import secrets
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from steplog.buckets import Buckets, Grid, empty_buckets, float_grid, together, whole_grid
from steplog.exceptions import invalid
from steplog.grouping import Aggregate, Band, group_columns
from steplog.lines import Extent, Folded, JoinedLine, Line, Points, WholeLine, fold_few
from steplog.operations import SeriesKey
from steplog.ranks import NONE
from steplog.recent import OVERHEAD_BYTES, Recent
from steplog.stores.base import RunRecord, Series, Store

X = Literal["step", "time", "relative", "metric"]
Ranks = Literal["apart", "together"]
Floats = npt.NDArray[np.float64]

_Values: TypeAlias = "tuple[str | None, ...]"
"""What each field of ``group_by`` is in some run."""

MOST_BUCKETS = 10_000
FEW_POINTS = 1 << 15
"""A line with more points than this in its stretches is not looked at point by point."""
REMEMBERED_BYTES = 64 << 20
"""What `Charts` keeps of points, and as much again each of lines and of charts."""
MOST_CELLS = 4_000_000
"""Lines times buckets of a chart: some hundred bytes each while it is made."""
MOST_FIELDS = 16
"""In ``group_by``."""
_INT64 = np.iinfo(np.int64)


class ChartQuery(NamedTuple):
    """What a chart is to show.

    Attributes:
        run_ids: whole ids; runs that do not exist have no lines.
        keys: of metrics, exactly.
        x: what points are drawn over: their step; their time, in ms since 1970; the time since
            their run started, in ms; or the value of another metric at the same step, or else at
            the latest step before it.
        x_key: that other metric.
        x_min: smallest x wanted; None for no bound …
        x_max: … and the largest.
        buckets: how many there may be.
        group_by: ``params.NAME``, ``tags.NAME``, ``attributes.NAME``: a line for each key and
            group of runs that agree in all of these; None for a line for each series. ``key`` may
            be among them, and changes nothing.
        aggregate: the line of a group: the mean or the median of its runs.
        band: what is around it; see `steplog.grouping.group_columns`.
        ranks: where one run has a metric of several ranks of a distributed job, a line for each,
            or one of them together, with a band as that of a group. In a group a run counts once,
            either way.

    """

    run_ids: tuple[str, ...]
    keys: tuple[str, ...]
    x: X = "step"
    x_key: str | None = None
    x_min: float | None = None
    x_max: float | None = None
    buckets: int = 600
    group_by: tuple[str, ...] | None = None
    aggregate: Aggregate = "mean"
    band: Band = "minmax"
    ranks: Ranks = "apart"


class SeriesLine(NamedTuple):
    """The line of one series.

    `columns` are float64 arrays as long as the chart's x: ``count``, ``nan``, ``pos_inf`` and
    ``neg_inf`` count points; ``min``, ``max``, ``first``, ``last`` and ``mean`` are of the finite
    values, NaN where there is none.
    """

    key: SeriesKey
    columns: Mapping[str, Floats]


class RanksLine(NamedTuple):
    """The line of a metric that several ranks have logged to a run.

    `columns` are those of `steplog.grouping.group_columns`, of ranks instead of runs.
    """

    key: SeriesKey
    ranks: tuple[int, ...]
    columns: Mapping[str, Floats]


class GroupLine(NamedTuple):
    """The line of some runs that agree in what was asked for.

    `columns` are those of `steplog.grouping.group_columns`; `group` says what each field of
    ``group_by`` is in these runs, None where they have none.
    """

    key: str
    group: Mapping[str, str | None]
    run_ids: tuple[str, ...]
    columns: Mapping[str, Floats]


AnyLine: TypeAlias = SeriesLine | RanksLine | GroupLine


class Chart(NamedTuple):
    """Lines over one grid.

    Attributes:
        exact: each x is the x of points; else it begins a bucket.
        width: of each bucket, in units of x; 0 where x are only those that occur.
        x: ascending, shape (size,).
        lines: series in the order of ``run_ids``, key, model, dataset and rank; groups in the order
            of ``keys`` and of their values.

    """

    exact: bool
    width: float
    x: Floats
    lines: tuple[AnyLine, ...]


class Changes(NamedTuple):
    """What has changed since an earlier chart.

    Attributes:
        chart: its x and columns begin at `start`; what is before is as it was.
        start: 0 for a whole chart; `size` where nothing has changed.
        size: how long x is in all.
        cursor: stands for the chart as it is now.

    """

    chart: Chart
    start: int
    size: int
    cursor: str


def chart(store: Store, query: ChartQuery) -> Chart:
    """Return a chart.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE for a query that makes no sense.

    Example:
        >>> chart(store, ChartQuery((run_id,), ("loss",), buckets=500)).lines[0].columns["max"]

    """
    return Charts().chart(store, query)


class Charts:
    """Makes charts of one store, and remembers them. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self._read: Recent[_Read] = Recent(REMEMBERED_BYTES)
        self._folded: Recent[Folded] = Recent(REMEMBERED_BYTES)
        self._followed: Recent[_Followed] = Recent(REMEMBERED_BYTES)

    def chart(self, store: Store, query: ChartQuery) -> Chart:
        """Return a chart, as the function `chart` does."""
        check(query)
        return self._make(store, query, _found(store, query))

    def changes(self, store: Store, query: ChartQuery, cursor: str | None) -> Changes:
        """Return what has changed of a chart.

        Args:
            store: where its points are.
            query: the same as before.
            cursor: of the chart as it was; the whole chart is returned where it is None, or stands
                for a chart that is not remembered, or for one with another grid or other lines.

        Raises:
            MlflowException: as `chart`.

        """
        check(query)
        found = _found(store, query)
        known = None if cursor is None else self._followed.get(cursor)
        if known is not None and known.query == query and known.fingerprint == found.fingerprint:
            size = known.chart.x.size
            return Changes(_from(known.chart, size), size, size, cursor or "")
        made = self._make(store, query, found)
        fresh = secrets.token_hex(8)
        size = _bytes_of(query) + _bytes_of_chart(made)
        self._followed.put(fresh, _Followed(query, found.fingerprint, made), size)
        same = known is not None and known.query == query
        start = _first_difference(known.chart, made) if known is not None and same else 0
        return Changes(_from(made, start), start, made.x.size, fresh)

    def _make(self, store: Store, query: ChartQuery, found: _Found) -> Chart:
        window = _window(query)
        extent = _extent(store, found.lines, window)
        if extent is None:
            nothing = [empty_buckets(0)] * len(found.lines)
            return Chart(True, 0.0, np.empty(0), _lines(query, found, np.empty(0), nothing))
        few = self._few(store, found.lines, window, 2 * query.buckets)
        if few is not None:
            return Chart(True, 0.0, few[0], _lines(query, found, *few))
        low, high = extent
        if isinstance(low, int) and isinstance(high, int):
            grid = whole_grid(low, high, query.buckets)
            single = grid.exponent == 0
        else:
            grid, single = float_grid(low, high, query.buckets), False
        members = [self._fold(store, line, grid, window).buckets for line in found.lines]
        x = grid.edges()
        lines = _lines(query, found, x, members)
        return Chart(single, grid.width, x, lines)

    def _few(
        self, store: Store, lines: Sequence[Line], window: Extent, most: int
    ) -> tuple[Floats, list[Buckets]] | None:
        """Return every x that occurs, and the buckets of each line; None where x are many."""
        points: list[Points] = []
        x: npt.NDArray[Any] | None = None
        for line in lines:
            found = self._points(store, line, window)
            if found is None:
                return None
            x = np.unique(found.x) if x is None else np.union1d(x, found.x)
            if x.size > most:
                return None
            points.append(found)
        if x is None:
            return None
        return x.astype(np.float64), [fold_few(each, x) for each in points]

    def _points(self, store: Store, line: Line, window: Extent) -> Points | None:
        name = (line.identity, window)
        known = self._read.get(name)
        if known is None or known.fingerprint != line.fingerprint:
            points = line.points(store, window, FEW_POINTS)
            known = _Read(line.fingerprint, points)
            size = 0 if points is None else points.x.nbytes + points.value.nbytes
            self._read.put(name, known, size)
        return known.points

    def _fold(self, store: Store, line: Line, grid: Grid, window: Extent) -> Folded:
        name = (line.identity, window, grid.first, grid.exponent)
        known = self._folded.get(name)
        if known is not None and (known.fingerprint, known.grid) == (line.fingerprint, grid):
            return known
        folded = line.fold(store, grid, window, known)
        self._folded.put(name, folded, folded.outline.nbytes + folded.buckets.nbytes)
        return folded


class _Read(NamedTuple):
    """Points that were read of a line, or that they are many, and of which state of it."""

    fingerprint: Hashable
    points: Points | None


class _Found(NamedTuple):
    """What a store has of a query, before any point is read.

    Attributes:
        lines: of all series that are asked for and have an x axis.
        records: the runs, where something of them is needed.
        fingerprint: another one when anything of this has changed.

    """

    lines: list[Line]
    records: Mapping[str, RunRecord]
    fingerprint: Hashable


class _Followed(NamedTuple):
    """A chart that somebody follows."""

    query: ChartQuery
    fingerprint: Hashable
    chart: Chart


def check(query: ChartQuery) -> None:
    """Make sure that a query makes sense.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE.

    """
    for name, value, choices in (
        ("x", query.x, get_args(X)),
        ("aggregate", query.aggregate, get_args(Aggregate)),
        ("band", query.band, get_args(Band)),
        ("ranks", query.ranks, get_args(Ranks)),
    ):
        if value not in choices:
            raise invalid(f"{name} must be one of {', '.join(choices)}, got {value!r}.")
    if query.x == "metric" and not query.x_key:
        raise invalid("x_key must name a metric where x is 'metric'.")
    if not 1 <= query.buckets <= MOST_BUCKETS:
        raise invalid(f"buckets must lie between 1 and {MOST_BUCKETS}, got {query.buckets}.")
    for name, bound in (("x_min", query.x_min), ("x_max", query.x_max)):
        if bound is not None and not math.isfinite(bound):
            raise invalid(f"{name} must be a finite number, got {bound}.")
    if query.x_min is not None and query.x_max is not None and query.x_min > query.x_max:
        raise invalid(f"x_min must not be above x_max, got {query.x_min} and {query.x_max}.")
    fields = query.group_by or ()
    if len(fields) > MOST_FIELDS:
        raise invalid(f"group_by can name at most {MOST_FIELDS} fields, got {len(fields)}.")
    for field in fields:
        kind, _, name = field.partition(".")
        if field == "key":
            continue
        if kind not in _FIELDS or not name or (kind == "attributes" and name not in _ATTRIBUTES):
            raise invalid(
                f"Cannot group by {field!r}: give params.NAME, tags.NAME, key, or one of "
                f"{', '.join(f'attributes.{each}' for each in sorted(_ATTRIBUTES))}."
            )


_ATTRIBUTES: Mapping[str, Callable[[RunRecord], str]] = {
    "run_id": lambda record: record.row.run_id,
    "run_name": lambda record: record.row.name,
    "experiment_id": lambda record: record.row.experiment_id,
    "user_id": lambda record: record.row.user_id,
    "status": lambda record: record.row.status,
}
_FIELDS: Mapping[str, Callable[[RunRecord, str], str | None]] = {
    "params": lambda record, name: record.params.get(name),
    "tags": lambda record, name: record.tags.get(name),
    "attributes": lambda record, name: _ATTRIBUTES[name](record),
}


def _found(store: Store, query: ChartQuery) -> _Found:
    # A store may take a key for a pattern.
    series = [
        each for each in store.series(query.run_ids, query.keys) if each.key.key in query.keys
    ]
    needed = query.group_by is not None or query.x == "relative"
    records = {each.row.run_id: each for each in store.runs(query.run_ids)} if needed else {}
    over = _overs(store, query)
    lines: list[Line] = []
    for each in series:
        run_id = each.key.run_id
        if query.x == "metric":
            across = over.get((run_id, each.key.rank)) or over.get((run_id, None))
            if across is not None:
                lines.append(JoinedLine(each, across))
        else:
            origin = records[run_id].row.start_time if query.x == "relative" else 0
            lines.append(WholeLine(each, query.x != "step", origin))
    if len(lines) * query.buckets > MOST_CELLS:
        raise invalid(
            f"{len(lines):,} lines of up to {query.buckets:,} buckets are too much for a chart: "
            f"{MOST_CELLS:,} in all are the most. Ask for fewer runs, metrics or buckets."
        )
    groups = [_group(query, records, each.series.key) for each in lines]
    return _Found(lines, records, (*(line.fingerprint for line in lines), str(groups)))


def _overs(store: Store, query: ChartQuery) -> dict[tuple[str, int | None], Series]:
    """Return the series that is the x axis of each run and rank, and of its ranks without one.

    It is the one on no model or dataset, if there is one.
    """
    over: dict[tuple[str, int | None], Series] = {}
    if query.x == "metric" and query.x_key is not None:
        for each in store.series(query.run_ids, [query.x_key]):
            if each.key.key == query.x_key:
                for rank in (each.key.rank, None):
                    over.setdefault((each.key.run_id, rank), each)
    return over


def _window(query: ChartQuery) -> Extent:
    """Return the x of the first and the last point that are wanted."""
    if query.x == "metric":
        low, high = query.x_min, query.x_max
        return -math.inf if low is None else low, math.inf if high is None else high
    first = _INT64.min if query.x_min is None else math.ceil(query.x_min)
    last = _INT64.max if query.x_max is None else math.floor(query.x_max)
    return max(int(first), int(_INT64.min)), min(int(last), int(_INT64.max))


def _extent(store: Store, lines: Sequence[Line], window: Extent) -> Extent | None:
    """Return the smallest and largest x of all lines within a window; None where there is none."""
    extents = [extent for line in lines if (extent := line.extent(store)) is not None]
    if not extents:
        return None
    low = max(min(extent[0] for extent in extents), window[0])
    high = min(max(extent[1] for extent in extents), window[1])
    return (low, high) if low <= high else None


def _lines(
    query: ChartQuery, found: _Found, x: Floats, members: Sequence[Buckets]
) -> tuple[AnyLine, ...]:
    pairs = zip(found.lines, members, strict=True)
    if query.group_by is None:
        lines = [SeriesLine(line.series.key, _columns(buckets)) for line, buckets in pairs]
        return tuple(lines if query.ranks == "apart" else _ranks_together(query, lines, members, x))
    groups: dict[tuple[str, _Values], dict[str, list[Buckets]]] = {}
    for line, buckets in pairs:
        key = line.series.key
        runs = groups.setdefault((key.key, _group(query, found.records, key)), {})
        runs.setdefault(key.run_id, []).append(buckets)
    ordered = sorted(groups, key=lambda name: (query.keys.index(name[0]), _sort_key(name[1])))
    return tuple(_group_line(query, key, values, groups[key, values], x) for key, values in ordered)


def _ranks_together(
    query: ChartQuery, lines: Sequence[SeriesLine], members: Sequence[Buckets], x: Floats
) -> Iterator[AnyLine]:
    """Yield the lines of series, those of several ranks of a run as one."""
    pairs = zip(lines, members, strict=True)
    for key, group in groupby(pairs, lambda pair: pair[0].key._replace(rank=NONE)):
        own = list(group)
        if len(own) == 1:
            yield own[0][0]
        else:
            columns = group_columns([each for _, each in own], x, query.aggregate, query.band)
            yield RanksLine(key, tuple(line.key.rank for line, _ in own), columns)


def _group_line(
    query: ChartQuery, key: str, values: _Values, runs: Mapping[str, list[Buckets]], x: Floats
) -> GroupLine:
    # A run counts once, however many models or datasets it was measured on.
    members = [together(lines) for lines in runs.values()]
    group = dict(zip(query.group_by or (), values, strict=True))
    return GroupLine(
        key, group, tuple(runs), group_columns(members, x, query.aggregate, query.band)
    )


def _group(query: ChartQuery, records: Mapping[str, RunRecord], key: SeriesKey) -> _Values:
    """Return what each field of ``group_by`` is in the run of a series."""
    return tuple(
        key.key if field == "key" else _FIELDS[kind](records[key.run_id], name)
        for field in query.group_by or ()
        for kind, _, name in [field.partition(".")]
    )


def _sort_key(values: _Values) -> list[tuple[int, float, str]]:
    """Return what groups are ordered by: numbers, then texts, then what is missing."""
    return [_rank(value) for value in values]


def _rank(value: str | None) -> tuple[int, float, str]:
    if value is None:
        return 2, 0.0, ""
    try:
        number = float(value)
    except ValueError:
        return 1, 0.0, value
    return (1, 0.0, value) if math.isnan(number) else (0, number, value)


def _columns(buckets: Buckets) -> dict[str, Floats]:
    return {name: buckets[name].astype(np.float64) for name in buckets.dtype.names or ()}


def _from(made: Chart, start: int) -> Chart:
    """Return a chart without what lies before an index of its grid."""
    if not start:
        return made
    lines: list[Any] = [*made.lines]
    for index, line in enumerate(lines):
        columns = {name: column[start:] for name, column in line.columns.items()}
        lines[index] = line._replace(columns=columns)
    return made._replace(x=made.x[start:], lines=tuple(lines))


def _first_difference(old: Chart, new: Chart) -> int:
    """Return the first index of the grid where a chart differs; 0 where it is another chart."""
    if (old.exact, old.width) != (new.exact, new.width):
        return 0
    if [line[:-1] for line in old.lines] != [line[:-1] for line in new.lines]:
        return 0
    start = _common(old.x, new.x)
    for before, after in zip(old.lines, new.lines, strict=True):
        for name, column in after.columns.items():
            start = min(start, _common(before.columns[name][:start], column[:start]))
    return start


def _common(old: Floats, new: Floats) -> int:
    """Return how many of the first elements of two arrays are the same, to the bit."""
    size = min(old.size, new.size)
    differing = np.flatnonzero(old[:size].view(np.int64) != new[:size].view(np.int64))
    return int(differing[0]) if differing.size else size


def _bytes_of(query: ChartQuery) -> int:
    # What a caller sends is kept as well, and may name a thousand runs that do not exist.
    texts = (*query.run_ids, *query.keys, *(query.group_by or ()), query.x_key or "")
    return sum(map(sys.getsizeof, texts))


def _bytes_of_chart(made: Chart) -> int:
    columns = sum(column.nbytes for line in made.lines for column in line.columns.values())
    return made.x.nbytes + columns + OVERHEAD_BYTES * len(made.lines)
