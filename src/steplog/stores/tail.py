"""The tail: where points wait to be sealed, in blobs as they came; writing them and reading them.

A blob holds the points of one batch and run, arranged (`steplog.points.arrange`), their field
``series`` being the series' number in the catalog. So the points of one series are one slice of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from steplog.fold import ensure_run, storable
from steplog.operations import SeriesKey
from steplog.points import POINT, Columns, arrange, series_starts, union
from steplog.stores import chunks
from steplog.stores.base import Batch
from steplog.stores.catalog import SERIES_KEY
from steplog.stores.connection import Connection, summaries_of, summary_bits
from steplog.stores.rows import CatalogRows
from steplog.stores.schema import SUMMARY_COLUMNS
from steplog.summary import SUMMARY, merge, overlaps, summarise_arranged

_MOST_REMEMBERED = 200_000

_Row = tuple[Any, ...]
"""What tells a series from all others: the number of its run, and the columns of SERIES_KEY."""


class SeriesGone(Exception):
    """A series whose number was remembered has been removed, together with its run."""


class SeriesIds:
    """The numbers that series have in the catalog: looked up once, then remembered.

    Any thread may call it, each within a transaction of its own.
    """

    def __init__(self) -> None:
        self._known: tuple[object, dict[SeriesKey, int]] = (None, {})

    def forget(self) -> None:
        """Forget all numbers: the transaction that gave some of them was undone."""
        self._known = (None, {})

    def of(self, connection: Connection, keys: Sequence[SeriesKey]) -> list[int]:
        """Return the number of each series; the runs exist, the series are made if they do not."""
        catalog, remembered = self._known
        if connection.catalog != catalog or len(remembered) > _MOST_REMEMBERED:
            remembered = {}
            self._known = connection.catalog, remembered
        numbers = {key: remembered[key] for key in keys if key in remembered}
        new = [key for key in keys if key not in numbers]
        if new:
            defined = dict(zip(new, _define(connection, new), strict=True))
            remembered.update(defined)
            numbers.update(defined)
        return [numbers[key] for key in keys]


def append(connection: Connection, batch: Batch, series_ids: SeriesIds) -> None:
    """Write the points of a batch, and merge what is known of them.

    They go into the tail, to wait for more. But where a batch brings enough of one series for
    a chunk, all of them new, it makes chunks of them at once: writing them twice, and the first
    time uncompressed, is what takes long when hours of points are delivered.

    Raises:
        SeriesGone: what is remembered in `series_ids` is not true any more.

    """
    numbers = np.unique(batch.points["series"])
    keys = [batch.series[number] for number in numbers.tolist()]
    _ensure_runs(connection, batch, {key.run_id for key in keys})
    ids = np.array(series_ids.of(connection, keys), POINT["series"])
    points = batch.points.copy()
    points["series"] = ids[np.searchsorted(numbers, points["series"])]
    points = arrange(points)
    run_nos, direct = _merge_summaries(connection, points)
    lengths = np.diff(series_starts(points)[1], append=points.size)
    if direct.any():
        at_once = np.repeat(direct, lengths)
        chunks.write(connection, [*chunks.encode(points.compress(at_once))])
        points, run_nos = points.compress(~at_once), run_nos[~direct]
    _write(connection, points, run_nos)


def read_series(connection: Connection, series_id: int) -> Columns:
    """Return the points of a series that wait in the tail, in order and each once."""
    blobs = connection.stream(
        # As they came: then most often all is in order already.
        "SELECT points FROM tail JOIN series USING (run_no) WHERE series_id = ? ORDER BY tail_id",
        (series_id,),
    )
    return union([of_series(np.frombuffer(blob, POINT), series_id) for [blob] in blobs])


def of_series(points: npt.NDArray[np.void], series_id: int) -> Columns:
    """Return the points of one series among arranged ones."""
    bounds = np.array([series_id, series_id + 1], POINT["series"])
    start, stop = np.searchsorted(points["series"], bounds)
    return Columns.of(points[start:stop])


def records(columns: Columns, series_id: int) -> npt.NDArray[np.void]:
    """Return the points of one series as a `steplog.points.POINT` array."""
    points = np.zeros(columns.step.size, POINT)
    for name, column in zip(Columns._fields, columns, strict=True):
        points[name] = column
    points["series"] = series_id
    return points


def remove(connection: Connection, tail_ids: Sequence[int]) -> None:
    """Remove blobs whose points stand in chunks now."""
    query = f"DELETE FROM tail WHERE {connection.dialect.among('tail_id')}"
    connection.execute(query, (connection.dialect.listed(tail_ids),))


def waits(connection: Connection, run_no: int) -> int:
    """Return how many points of a run wait."""
    query = "SELECT CAST(coalesce(sum(n), 0) AS BIGINT) FROM tail WHERE run_no = ?"
    points: int = connection.execute(query, (run_no,)).fetchone()[0]
    return points


def oldest(connection: Connection, run_no: int, enough: int, per_series: int) -> list[int]:
    """Return the numbers of the blobs of a run that have waited longest.

    Args:
        connection: within a transaction.
        run_no: the run.
        enough: blobs are named until they hold so many points together …
        per_series: … and so many for each of their series, on average.

    """
    tail_ids: list[int] = []
    points = 0
    rows = connection.execute(
        "SELECT tail_id, n, n_series FROM tail WHERE run_no = ? ORDER BY tail_id", (run_no,)
    )
    for tail_id, n, n_series in rows:
        tail_ids.append(tail_id)
        points += n
        if points >= max(enough, per_series * n_series):
            break
    return tail_ids


def summarise_blobs(
    connection: Connection, tail_ids: Sequence[int]
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.void]]:
    """Return the series of these blobs, ascending, and what is known of their points there.

    A point that stands in two blobs counts twice.
    """
    series_ids, known = np.empty(0, np.uint32), np.zeros(0, SUMMARY)
    for points in _blobs(connection, tail_ids):
        present, new = summarise_arranged(points)
        united = np.union1d(series_ids, present)
        both = np.zeros((2, united.size), SUMMARY)
        both[0, np.searchsorted(united, series_ids)] = known
        both[1, np.searchsorted(united, present)] = new
        series_ids, known = united, merge(both[0], both[1])
    return series_ids, known


def read_blobs(
    connection: Connection, tail_ids: Sequence[int], first: int, last: int
) -> list[npt.NDArray[np.void]]:
    """Return what these blobs hold of the series from number `first` to number `last`."""
    bounds = np.array([first, last], POINT["series"])
    found = []
    for points in _blobs(connection, tail_ids):
        start = np.searchsorted(points["series"], bounds[0], "left")
        stop = np.searchsorted(points["series"], bounds[1], "right")
        found.append(points[start:stop].copy())  # a view would keep the whole blob
    return found


def read_run(connection: Connection, run_no: int) -> npt.NDArray[np.void]:
    """Return all points of a run that wait, arranged together."""
    query = "SELECT points FROM tail WHERE run_no = ? ORDER BY tail_id"
    rows = connection.stream(query, (run_no,))
    pieces = [np.frombuffer(blob, POINT) for [blob] in rows]
    return arrange(np.concatenate([np.empty(0, POINT), *pieces]))


def _blobs(connection: Connection, tail_ids: Sequence[int]) -> Iterator[npt.NDArray[np.void]]:
    among = connection.dialect.among("tail_id")
    query = f"SELECT points FROM tail WHERE {among} ORDER BY tail_id"
    for [blob] in connection.stream(query, (connection.dialect.listed(tail_ids),)):
        yield np.frombuffer(blob, POINT)


def _ensure_runs(connection: Connection, batch: Batch, run_ids: Iterable[str]) -> None:
    """See that these runs are there, and remember that the batch's writer has logged to them."""
    dialect, rows = connection.dialect, CatalogRows(connection)
    run_ids = [storable(SeriesKey(run_id, "")).run_id for run_id in run_ids]
    listed = dialect.listed(run_ids)
    query = f"SELECT run_id FROM runs WHERE {dialect.among('run_id')}"
    known = {run_id for [run_id] in connection.execute(query, (listed,))}
    start_time = int(batch.points["timestamp"].min())
    for run_id in run_ids:
        if run_id not in known:
            ensure_run(run_id, rows, start_time)
    rows.add_writer(run_ids, batch.writer_id)


def _define(connection: Connection, keys: Iterable[SeriesKey]) -> list[int]:
    """Return the numbers of series of runs that are there; those that are new are inserted."""
    keys = [storable(key) for key in keys]
    dialect = connection.dialect
    query = f"SELECT run_id, run_no FROM runs WHERE {dialect.among('run_id')}"
    listed = dialect.listed([*{key.run_id for key in keys}])
    run_nos = dict(connection.execute(query, (listed,)))
    rows = [(run_nos[key.run_id], *key[1:]) for key in keys]
    known = _numbers_of(connection, rows)
    new = [row for row in dict.fromkeys(rows) if row not in known]
    if new:
        connection.insert_many("series", ("run_no", *SeriesKey._fields[1:]), new)
        connection.executemany(
            # Only those that are still alone: a metric of many ranks has many series.
            "UPDATE series SET alone = 0 WHERE run_no = ? AND key = ? AND alone = 1 AND "
            "1 < (SELECT count(*) FROM series AS each "
            "WHERE each.run_no = series.run_no AND each.key = series.key)",
            [row[:2] for row in new],
        )
        known.update(_numbers_of(connection, new))
    return [known[row] for row in rows]


def _numbers_of(connection: Connection, rows: Sequence[_Row]) -> dict[_Row, int]:
    """Return the numbers of those of these series that the catalog has, and maybe of others."""
    dialect = connection.dialect
    columns = {"run_no": 0, "key": 1, "rank": -1}
    wanted = [[*{row[place] for row in rows}] for place in columns.values()]
    found = connection.execute(
        f"SELECT series_id, run_no, {SERIES_KEY} FROM series "
        f"WHERE {' AND '.join(map(dialect.among, columns))}",
        [*map(dialect.listed, wanted)],
    )
    return {tuple(row): series_id for series_id, *row in found}


def _merge_summaries(
    connection: Connection, points: npt.NDArray[np.void]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Merge what is known of these points into the rows of their series.

    Returns:
        Of each series, the number of its run, and whether its points need not wait in the tail.

    """
    series_ids, new = summarise_arranged(points)
    rows = connection.execute(
        f"SELECT {', '.join(SUMMARY_COLUMNS)}, exact, waiting, run_no FROM series "
        f"WHERE {connection.dialect.among('series_id')} ORDER BY series_id",
        (connection.dialect.listed(series_ids.tolist()),),
    ).fetchall()
    if len(rows) < series_ids.size:
        raise SeriesGone
    known = summaries_of(row[:-3] for row in rows)
    exact, waiting, run_nos = np.array([row[-3:] for row in rows], np.int64).reshape(-1, 3).T
    repeating = overlaps(known, new)
    direct = (new["count"] >= chunks.CHUNK_POINTS // 4) & ~repeating
    direct &= connection.home.at_once
    waiting += np.where(direct, 0, new["count"])
    exact = exact.astype(bool) & ~repeating
    write_summaries(connection, series_ids, merge(known, new), exact, waiting)
    return run_nos, direct


def write_summaries(
    connection: Connection,
    series_ids: npt.NDArray[np.uint32],
    summaries: npt.NDArray[np.void],
    exact: npt.NDArray[np.bool_],
    waiting: npt.NDArray[np.int64] | None = None,
) -> None:
    """Write what is known of these series into their rows; `waiting` None leaves that as it is."""
    columns, rows = [*SUMMARY_COLUMNS, "exact"], [summary_bits(summaries), exact]
    if waiting is not None:
        columns.append("waiting")
        rows.append(waiting)
    columns.append("series_id")
    table = np.column_stack([*rows, series_ids]).astype(np.int64)
    connection.update_many("series", columns, table)


def _write(
    connection: Connection, points: npt.NDArray[np.void], run_nos: npt.NDArray[np.int64]
) -> None:
    """Write one blob for each run; `run_nos` names the run of each series in the points."""
    _, starts = series_starts(points)
    run_of_point = np.repeat(run_nos, np.diff(starts, append=points.size))
    rows = []
    for run_no in np.unique(run_nos).tolist():
        blob = points.compress(run_of_point == run_no)
        rows.append((run_no, blob.size, int((run_nos == run_no).sum()), blob.tobytes()))
    connection.insert_many("tail", ("run_no", "n", "n_series", "points"), rows)
