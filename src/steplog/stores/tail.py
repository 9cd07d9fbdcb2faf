"""The tail: where points wait to be sealed, in blobs as they came; writing them and reading them.

A blob holds the points of one batch and run, arranged (`steplog.points.arrange`), their field
``series`` being the series' number in the catalog. So the points of one series are one slice of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from steplog.fold import ensure_run, storable
from steplog.operations import SeriesKey
from steplog.points import POINT, Columns, arrange, series_starts, union
from steplog.stores.base import Batch
from steplog.stores.catalog import SERIES_KEY, SQLiteRows
from steplog.stores.database import (
    LISTED,
    SUMMARY_COLUMNS,
    Connection,
    marks,
    summaries_of,
    summary_rows,
)
from steplog.summary import merge, overlaps, summarise_groups

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
    """Write the points of a batch into the tail, and merge what is known of them."""
    numbers = np.unique(batch.points["series"])
    keys = [batch.series[number] for number in numbers.tolist()]
    _ensure_runs(connection, batch, {key.run_id for key in keys})
    ids = np.array(series_ids.of(connection, keys), POINT["series"])
    points = batch.points.copy()
    points["series"] = ids[np.searchsorted(numbers, points["series"])]
    points = arrange(points)
    _write(connection, points, _merge_summaries(connection, points))


def read_series(connection: Connection, series_id: int) -> Columns:
    """Return the points of a series that wait in the tail, in order and each once."""
    blobs = connection.execute(
        "SELECT points FROM tail JOIN series USING (run_no) WHERE series_id = ?", (series_id,)
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


def read_run(connection: Connection, run_no: int) -> tuple[list[int], npt.NDArray[np.void]]:
    """Return the numbers of the blobs of a run, and their points, arranged together."""
    rows = connection.execute(
        "SELECT tail_id, points FROM tail WHERE run_no = ?", (run_no,)
    ).fetchall()
    points = np.concatenate([np.empty(0, POINT), *(np.frombuffer(row[1], POINT) for row in rows)])
    return [row[0] for row in rows], arrange(points)


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
        f"INSERT OR IGNORE INTO series ({columns}) VALUES (?, ?, ?, ?, ?, ?)", rows
    )
    look_up = f"SELECT series_id FROM series WHERE ({columns}) = (?, ?, ?, ?, ?, ?)"
    return [connection.execute(look_up, row).fetchone()[0] for row in rows]


def _merge_summaries(connection: Connection, points: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
    """Merge what is known of these points into the rows of their series; return their runs."""
    series_ids, new = summarise_groups(points)
    rows = connection.execute(
        f"SELECT {', '.join(SUMMARY_COLUMNS)}, exact, run_no FROM series "
        f"WHERE series_id IN {LISTED} ORDER BY series_id",
        (json.dumps(series_ids.tolist()),),
    ).fetchall()
    known = summaries_of(row[:-2] for row in rows)
    exact = np.array([row[-2] for row in rows], bool) & ~overlaps(known, new)
    write_summaries(connection, series_ids, merge(known, new), exact)
    return np.array([row[-1] for row in rows])


def write_summaries(
    connection: Connection,
    series_ids: npt.NDArray[np.uint32],
    summaries: npt.NDArray[np.void],
    exact: npt.NDArray[np.bool_],
) -> None:
    """Write what is known of these series into their rows."""
    columns = ", ".join(f"{name} = ?" for name in SUMMARY_COLUMNS)
    connection.executemany(
        f"UPDATE series SET {columns}, exact = ? WHERE series_id = ?",
        [
            (*summary, *rest)
            for summary, *rest in zip(
                summary_rows(summaries), exact.tolist(), series_ids.tolist(), strict=True
            )
        ],
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
