"""The catalog's rows in SQLite: as `steplog.fold` changes them, and as records to be read.

Everything here works on a connection within a transaction that the caller has begun. Lists go to
SQLite as one JSON text, so that there is one statement for any number of values.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from sqlite3 import Connection
from typing import Any

from steplog.fold import ExperimentRow, Refusal, RunRow
from steplog.operations import SeriesKey
from steplog.stores.base import ExperimentRecord, Refused, RunRecord, Series
from steplog.stores.database import LISTED, SUMMARY_COLUMNS, marks, summaries_of

SERIES_KEY = "key, model_id, dataset_name, dataset_digest, attempt"
"""The columns that tell the series of one run from each other."""

_EXPERIMENT = ", ".join(ExperimentRow._fields)
_RUN = ", ".join(RunRow._fields)
_RUN_NO = "(SELECT run_no FROM runs WHERE run_id = ?)"
_LAST_CHARACTER = "char(0x10ffff)"
_WILDCARDS = frozenset("*?[")


class SQLiteRows:
    """A catalog's rows (`steplog.fold.Rows`) as the transaction of `connection` sees them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def experiment(self, experiment_id: str) -> ExperimentRow | None:
        """Return the experiment with this id."""
        return self._experiment_where("experiment_id = ?", experiment_id)

    def experiment_named(self, name: str) -> ExperimentRow | None:
        """Return the experiment that has this name now."""
        return self._experiment_where("name = ?", name)

    def put_experiment(self, row: ExperimentRow) -> None:
        """Insert the experiment, or replace the row of its id."""
        self._connection.execute(
            f"INSERT INTO experiments ({_EXPERIMENT}) VALUES ({marks(row)}) "
            f"ON CONFLICT (experiment_id) DO UPDATE SET {_excluded(row._fields)}",
            row,
        )

    def set_experiment_tags(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        """Set these tags and leave the others."""
        self._connection.executemany(
            "INSERT OR REPLACE INTO experiment_tags VALUES (?, ?, ?)",
            [(experiment_id, *tag) for tag in tags.items()],
        )

    def set_runs_lifecycle(self, experiment_id: str, lifecycle_stage: str) -> None:
        """Give every run of the experiment this lifecycle stage."""
        self._connection.execute(
            "UPDATE runs SET lifecycle_stage = ? WHERE experiment_id = ?",
            (lifecycle_stage, experiment_id),
        )

    def run(self, run_id: str) -> RunRow | None:
        """Return the run with this id."""
        row = self._connection.execute(f"SELECT {_RUN} FROM runs WHERE run_id = ?", (run_id,))
        return next(map(_run_row, row), None)

    def put_run(self, row: RunRow) -> None:
        """Insert the run, or replace the row of its id."""
        self._connection.execute(
            f"INSERT INTO runs ({_RUN}) VALUES ({marks(row)}) "
            f"ON CONFLICT (run_id) DO UPDATE SET {_excluded(row._fields)}",
            row,
        )

    def params(self, run_id: str) -> dict[str, str]:
        """Return all params of the run."""
        return self._pairs(f"SELECT key, value FROM params WHERE run_no = {_RUN_NO}", run_id)

    def add_params(self, run_id: str, params: Mapping[str, str]) -> None:
        """Add params that the run does not have yet."""
        self._connection.executemany(
            f"INSERT INTO params VALUES ({_RUN_NO}, ?, ?)",
            [(run_id, *param) for param in params.items()],
        )

    def tags(self, run_id: str) -> dict[str, str]:
        """Return all tags of the run."""
        return self._pairs(f"SELECT key, value FROM tags WHERE run_no = {_RUN_NO}", run_id)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set these tags and leave the others."""
        self._connection.executemany(
            f"INSERT OR REPLACE INTO tags VALUES ({_RUN_NO}, ?, ?)",
            [(run_id, *tag) for tag in tags.items()],
        )

    def remove_tag(self, run_id: str, key: str) -> None:
        """Remove this tag, which the run has."""
        self._connection.execute(
            f"DELETE FROM tags WHERE run_no = {_RUN_NO} AND key = ?", (run_id, key)
        )

    def add_writer(self, run_id: str, writer_id: str) -> None:
        """Remember that this writer has logged to the run."""
        self._connection.execute(
            f"INSERT OR IGNORE INTO writers VALUES ({_RUN_NO}, ?)", (run_id, writer_id)
        )

    def add_refusal(self, refused: Refused) -> None:
        """Remember that this operation was not accepted."""
        row = (refused.journal_id, refused.offset, *refused.refusal)
        self._connection.execute(
            "INSERT INTO refusals (journal_id, offset, error_code, message, run_id) "
            f"VALUES ({marks(row)})",
            row,
        )

    def _experiment_where(self, condition: str, value: str) -> ExperimentRow | None:
        rows = self._connection.execute(
            f"SELECT {_EXPERIMENT} FROM experiments WHERE {condition}", (value,)
        )
        return next(map(_experiment_row, rows), None)

    def _pairs(self, query: str, run_id: str) -> dict[str, str]:
        return dict(self._connection.execute(query, (run_id,)))


def read_refusals(connection: Connection, run_id: str | None) -> list[Refused]:
    """Return the operations refused so far, of one run or of all, oldest first."""
    rows = connection.execute(
        "SELECT journal_id, offset, error_code, message, run_id FROM refusals "
        "WHERE ?1 IS NULL OR run_id = ?1 ORDER BY refusal_id",
        (run_id,),
    )
    return [Refused(journal_id, offset, Refusal(*rest)) for journal_id, offset, *rest in rows]


def read_experiments(
    connection: Connection, ids: Sequence[str] | None, name: str | None
) -> list[ExperimentRecord]:
    """Return experiments with their tags, newest first, then by id."""
    where = _Where()
    if ids is not None:
        where.add(f"experiment_id IN {LISTED}", json.dumps(list(ids)))
    if name is not None:
        where.add("name = ?", name)
    rows = connection.execute(
        f"SELECT {_EXPERIMENT} FROM experiments {where} ORDER BY creation_time DESC, experiment_id",
        where.values,
    ).fetchall()
    tags = _grouped(connection, "experiment_tags", "experiment_id", [row[0] for row in rows])
    return [ExperimentRecord(_experiment_row(row), dict(tags[row[0]])) for row in rows]


def read_runs(
    connection: Connection, run_ids: Sequence[str] | None, experiment_ids: Sequence[str] | None
) -> list[RunRecord]:
    """Return runs with their params, tags and writers, newest start first, then by id."""
    where = _Where()
    if run_ids is not None:
        # As a range, because an index can find that; and CROSS JOIN keeps the order of the tables.
        where.add(
            "run_no IN (SELECT run_no FROM json_each(?) CROSS JOIN runs "
            f"ON run_id >= value AND run_id < value || {_LAST_CHARACTER})",
            json.dumps(list(run_ids)),
        )
    if experiment_ids is not None:
        where.add(f"experiment_id IN {LISTED}", json.dumps(list(experiment_ids)))
    rows = connection.execute(
        f"SELECT run_no, {_RUN} FROM runs {where} ORDER BY start_time DESC, run_id", where.values
    ).fetchall()
    run_nos = [row[0] for row in rows]
    params, tags, writers = (
        _grouped(connection, table, "run_no", run_nos) for table in ("params", "tags", "writers")
    )
    return [
        RunRecord(
            _run_row(row),
            dict(params[run_no]),
            dict(tags[run_no]),
            frozenset(writer_id for [writer_id] in writers[run_no]),
        )
        for run_no, *row in rows
    ]


def read_series(
    connection: Connection, run_ids: Sequence[str], keys: Sequence[str] | None
) -> list[Series]:
    """Return the series of these runs, ordered by run (as asked), key, model, dataset, attempt."""
    where = _Where()
    if keys is not None:
        # GLOB negates a set of characters by ^, where everybody else writes !.
        where.add(
            f"(key IN {LISTED} OR EXISTS (SELECT 1 FROM json_each(?) WHERE series.key GLOB value))",
            json.dumps([key for key in keys if not _WILDCARDS.intersection(key)]),
            json.dumps([key.replace("[!", "[^") for key in keys if _WILDCARDS.intersection(key)]),
        )
    rows = connection.execute(
        f"SELECT {', '.join(SUMMARY_COLUMNS)}, series_id, exact, run_id, {SERIES_KEY} "
        "FROM (SELECT id AS place, value AS run_id FROM json_each(?)) "
        "CROSS JOIN runs USING (run_id) JOIN series USING (run_no) "
        f"{where} ORDER BY place, {SERIES_KEY}",
        (json.dumps(list(run_ids)), *where.values),
    ).fetchall()
    width = len(SUMMARY_COLUMNS)
    summaries = summaries_of(row[:width] for row in rows)
    return [
        Series(series_id, SeriesKey(*key), summary, bool(exact))
        for summary, (series_id, exact, *key) in zip(
            summaries, (row[width:] for row in rows), strict=True
        )
    ]


def read_stats(connection: Connection) -> dict[str, Any]:
    """Return counts, and the bytes of the points of each run."""
    [counts] = connection.execute(
        "SELECT (SELECT count(*) FROM experiments), (SELECT count(*) FROM runs), "
        "(SELECT count(*) FROM series), (SELECT coalesce(sum(count), 0) FROM series), "
        "(SELECT coalesce(sum(n), 0) FROM tail)"
    )
    names = ("experiments", "runs", "series", "points", "waiting_points")
    bytes_of = connection.execute(
        "SELECT run_id, (SELECT coalesce(sum(length(bytes)), 0) "
        "  FROM series JOIN chunks USING (series_id) JOIN chunk_bytes USING (chunk_id) "
        "  WHERE series.run_no = runs.run_no) "
        "+ (SELECT coalesce(sum(length(points)), 0) FROM tail WHERE tail.run_no = runs.run_no) "
        "FROM runs"
    )
    return {**dict(zip(names, counts, strict=True)), "runs_bytes": dict(bytes_of)}


def _experiment_row(row: Sequence[Any]) -> ExperimentRow:
    return ExperimentRow._make([*row[:-1], bool(row[-1])])


def _run_row(row: Sequence[Any]) -> RunRow:
    return RunRow._make([*row[:-1], bool(row[-1])])


def _excluded(columns: Sequence[str]) -> str:
    return ", ".join(f"{column} = excluded.{column}" for column in columns)


def _grouped(
    connection: Connection, table: str, column: str, values: Sequence[Any]
) -> defaultdict[Any, list[Any]]:
    """Return the rows that have one of these values in their first column, by that value."""
    groups: defaultdict[Any, list[Any]] = defaultdict(list)
    for group, *rest in connection.execute(
        f"SELECT * FROM {table} WHERE {column} IN {LISTED}", (json.dumps(values),)
    ):
        groups[group].append(rest)
    return groups


class _Where:
    """The conditions of a query, and the values for their question marks."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self._conditions: list[str] = []

    def add(self, condition: str, *values: str) -> None:
        self._conditions.append(condition)
        self.values += values

    def __str__(self) -> str:
        return f"WHERE {' AND '.join(self._conditions)}" if self._conditions else ""
