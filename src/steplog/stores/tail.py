"""The tail: where points wait to be sealed, in blobs as they came; writing them and reading them.

A blob holds the points of one batch and run, arranged (`steplog.points.arrange`), their field
``series`` being the series' number in the catalog. So the points of one series are one slice of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from steplog.fold import ensure_run, storable
from steplog.operations import SeriesKey
from steplog.points import POINT, Columns, arrange, series_starts, union
from steplog.stores import chunks
from steplog.stores.base import Batch
from steplog.stores.catalog import SERIES_KEY
from steplog.stores.database import (
    LISTED,
    Connection,
    marks,
    summaries_of,
    summary_rows,
)
from steplog.stores.rows import SQLiteRows
from steplog.stores.schema import SUMMARY_COLUMNS
from steplog.summary import SUMMARY, merge, overlaps, summarise_arranged

_MOST_REMEMBERED = 200_000


class SeriesIds:
    """The numbers that series have in the catalog: looked up once, then remembered."""

    def __init__(self) -> None:
        self._remembered: dict[SeriesKey, int] = {}
        self._catalog: tuple[int, int] | None = None

    def forget(self) -> None:
        """Forget all numbers: the transaction that gave some of them was undone."""
        self._remembered.clear()

    def of(self, connection: Connection, keys: Sequence[SeriesKey]) -> list[int]:
        """Return the number of each series; the runs exist, the series are made if they do not."""
        if connection.catalog != self._catalog or len(self._remembered) > _MOST_REMEMBERED:
            self._remembered.clear()
            self._catalog = connection.catalog
        new = [key for key in keys if key not in self._remembered]
        if new:
            self._remembered.update(zip(new, _define(connection, new), strict=True))
        return [self._remembered[key] for key in keys]


def append(connection: Connection, batch: Batch, series_ids: SeriesIds) -> None:
    """Write the points of a batch, and merge what is known of them.

    They go into the tail, to wait for more. But where a batch brings enough of one series for
    chunks, all of them new and none before them waiting, it makes these chunks at once.
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
        for new in chunks.encode(points.compress(at_once)):
            chunks.write(connection, *new)
        points, run_nos = points.compress(~at_once), run_nos[~direct]
    _write(connection, points, run_nos)


def read_series(connection: Connection, series_id: int) -> Columns:
    """Return the points of a series that wait in the tail, in order and each once."""
    blobs = connection.execute(
        # As they came: then most often all is in order already.
        "SELECT points FROM tail JOIN series USING (run_no) WHERE series_id = ? ORDER BY tail_id",
        (series_id,),
    )
    bounds = np.array([series_id, series_id + 1], POINT["series"])
    pieces = []
    for [blob] in blobs:
        points = np.frombuffer(blob, POINT)
        start, stop = np.searchsorted(points["series"], bounds)
        pieces.append(Columns.of(points[start:stop]))
    return union(pieces)


def records(columns: Columns, series_id: int) -> npt.NDArray[np.void]:
    """Return the points of one series as a `steplog.points.POINT` array."""
    points = np.zeros(columns.step.size, POINT)
    for name, column in zip(Columns._fields, columns, strict=True):
        points[name] = column
    points["series"] = series_id
    return points


def waits(connection: Connection, run_no: int) -> int:
    """Return how many points of a run wait."""
    query = "SELECT coalesce(sum(n), 0) FROM tail WHERE run_no = ?"
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
    connection: Connection, tail_ids: Iterable[int]
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
    connection: Connection, tail_ids: Iterable[int], first: int, last: int
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
    rows = connection.execute(query, (run_no,))
    pieces = [np.frombuffer(blob, POINT) for [blob] in rows]
    return arrange(np.concatenate([np.empty(0, POINT), *pieces]))


def _blobs(connection: Connection, tail_ids: Iterable[int]) -> Iterator[npt.NDArray[np.void]]:
    for tail_id in tail_ids:
        rows = connection.execute("SELECT points FROM tail WHERE tail_id = ?", (tail_id,))
        yield from (np.frombuffer(blob, POINT) for [blob] in rows)


def _ensure_runs(connection: Connection, batch: Batch, run_ids: Iterable[str]) -> None:
    rows = SQLiteRows(connection)
    start_time = int(batch.points["timestamp"].min())
    for key in (storable(SeriesKey(run_id, "")) for run_id in run_ids):
        ensure_run(key.run_id, rows, start_time)
        rows.add_writer(key.run_id, batch.writer_id)


def _define(connection: Connection, keys: Iterable[SeriesKey]) -> list[int]:
    keys = [storable(key) for key in keys]
    run_ids = json.dumps([*{key.run_id for key in keys}])
    query = f"SELECT run_id, run_no FROM runs WHERE run_id IN {LISTED}"
    run_nos = dict(connection.execute(query, (run_ids,)))
    rows = [(run_nos[key.run_id], *key[1:]) for key in keys]
    columns = f"run_no, {SERIES_KEY}"
    connection.executemany(
        f"INSERT OR IGNORE INTO series ({columns}) VALUES ({marks(SeriesKey._fields)})", rows
    )
    connection.executemany(
        "UPDATE series SET alone = 0 WHERE run_no = ?1 AND key = ?2 AND 1 < "
        "(SELECT count(*) FROM series WHERE run_no = ?1 AND key = ?2)",
        [row[:2] for row in rows],
    )
    look_up = f"SELECT series_id FROM series WHERE ({columns}) = ({marks(SeriesKey._fields)})"
    return [connection.execute(look_up, row).fetchone()[0] for row in rows]


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
        f"WHERE series_id IN {LISTED} ORDER BY series_id",
        (json.dumps(series_ids.tolist()),),
    ).fetchall()
    known = summaries_of(row[:-3] for row in rows)
    exact, waiting, run_nos = np.array([row[-3:] for row in rows], np.int64).reshape(-1, 3).T
    repeating = overlaps(known, new)
    direct = (new["count"] >= chunks.CHUNK_POINTS // 2) & ~repeating & (waiting == 0)
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
    names, values = [*SUMMARY_COLUMNS, "exact"], [exact.tolist()]
    if waiting is not None:
        names.append("waiting")
        values.append(waiting.tolist())
    columns = ", ".join(f"{name} = ?" for name in names)
    rows = zip(summary_rows(summaries), *values, series_ids.tolist(), strict=True)
    connection.executemany(
        f"UPDATE series SET {columns} WHERE series_id = ?",
        [(*summary, *rest) for summary, *rest in rows],
    )


def _write(
    connection: Connection, points: npt.NDArray[np.void], run_nos: npt.NDArray[np.int64]
) -> None:
    """Write one blob for each run; `run_nos` names the run of each series in the points."""
    _, starts = series_starts(points)
    run_of_point = np.repeat(run_nos, np.diff(starts, append=points.size))
    for run_no in np.unique(run_nos).tolist():
        blob = points.compress(run_of_point == run_no)
        row = (run_no, blob.size, int((run_nos == run_no).sum()), blob.tobytes())
        connection.execute(
            f"INSERT INTO tail (run_no, n, n_series, points) VALUES ({marks(row)})", row
        )
