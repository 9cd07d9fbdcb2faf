"""Reading a catalog in a database: its rows as the records of `steplog.stores.base`.

Everything here works on a connection within a transaction that the caller has begun. Any number of
values goes to the database as one list, so that there is one statement for all. How rows are
written is in `steplog.stores.rows`, how they are searched in `steplog.stores.searching`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from steplog.operations import SeriesKey
from steplog.rows import ExperimentRow, ModelRow, Refusal, RunRow
from steplog.stores.base import (
    PARENT_RUN_ID,
    DatasetSummary,
    DatasetUse,
    ExperimentRecord,
    KeyUse,
    Last,
    ModelRecord,
    ModelUse,
    PairKeys,
    Refused,
    RunRecord,
    Series,
)
from steplog.stores.connection import Connection, floats_of, summaries_of
from steplog.stores.rows import DATASET, columns, experiment_row, model_row, run_row
from steplog.stores.schema import SUMMARY_COLUMNS

SERIES_KEY = "key, model_id, dataset_name, dataset_digest, attempt, rank"
"""The columns that tell the series of one run from each other."""

_EXPERIMENT, _RUN, _MODEL = columns(ExperimentRow), columns(RunRow), columns(ModelRow)
_LAST_CHARACTER = "\U0010ffff"
_WILDCARDS = frozenset("*?[")


def read_refusals(
    connection: Connection, run_id: str | None, journal_ids: Sequence[str] | None
) -> list[Refused]:
    """Return the operations refused so far, of one run, of some journals, or all, oldest first."""
    where = _Where(connection)
    if run_id is not None:
        where.add("run_id = ?", run_id)
    if journal_ids is not None:
        where.among("journal_id", journal_ids)
    rows = connection.execute(
        f'SELECT journal_id, "offset", error_code, message, run_id FROM refusals {where} '
        "ORDER BY refusal_id",
        where.values,
    )
    return [Refused(journal_id, offset, Refusal(*rest)) for journal_id, offset, *rest in rows]


def read_experiments(
    connection: Connection, ids: Sequence[str] | None, name: str | None
) -> list[ExperimentRecord]:
    """Return experiments with their tags, newest first, then by id."""
    where = _Where(connection)
    if ids is not None:
        where.among("experiment_id", ids)
    if name is not None:
        where.add("name = ?", name)
    rows = connection.execute(
        f"SELECT {_EXPERIMENT} FROM experiments {where} ORDER BY creation_time DESC, experiment_id",
        where.values,
    ).fetchall()
    tags = _grouped(connection, "experiment_tags", "experiment_id", [row[0] for row in rows])
    return [ExperimentRecord(experiment_row(row), dict(tags[row[0]])) for row in rows]


def read_runs(
    connection: Connection,
    run_ids: Sequence[str] | None,
    experiment_ids: Sequence[str] | None,
    *,
    last: bool,
) -> list[RunRecord]:
    """Return runs with their params, tags and writers, newest start first, then by id."""
    where = _Where(connection)
    if run_ids is not None:
        dialect = connection.dialect
        # As a range, because an index can find that.
        where.add(
            f"run_no IN (SELECT run_no FROM {dialect.table('TEXT')} {dialect.join_in_order} runs "
            "ON run_id >= value AND run_id < value || ?)",
            dialect.listed(run_ids),
            _LAST_CHARACTER,
        )
    if experiment_ids is not None:
        where.among("experiment_id", experiment_ids)
    rows = connection.execute(
        f"SELECT run_no, {_RUN} FROM runs {where} ORDER BY start_time DESC, run_id", where.values
    ).fetchall()
    run_nos = [row[0] for row in rows]
    params, tags, writers = (
        _grouped(connection, table, "run_no", run_nos) for table in ("params", "tags", "writers")
    )
    datasets = _grouped(connection, _DATASETS_OF_RUNS, "run_no", run_nos, "use_no")
    models = _grouped(connection, _MODELS_OF_RUNS, "run_no", run_nos, "use_no")
    points = _read_last(connection, run_nos) if last else defaultdict(list)
    return [
        RunRecord(
            run_row(row),
            dict(params[run_no]),
            dict(tags[run_no]),
            frozenset(writer_id for [writer_id] in writers[run_no]),
            [
                DatasetUse._make([*dataset, json.loads(tags)])
                for *dataset, tags, _ in datasets[run_no]
            ],
            [ModelUse(*model) for *model, _ in models[run_no]],
            points[run_no],
        )
        for run_no, *row in rows
    ]


def _read_last(connection: Connection, run_nos: Sequence[int]) -> defaultdict[int, list[Last]]:
    """Return the last points of the series of these runs, by run."""
    rows = connection.execute(
        "SELECT last_value, run_no, key, model_id, dataset_name, dataset_digest, last_step, "
        f"last_timestamp FROM series WHERE {connection.dialect.among('run_no')}",
        (connection.dialect.listed(run_nos),),
    ).fetchall()
    points: defaultdict[int, list[Last]] = defaultdict(list)
    values = floats_of([row[0] for row in rows]).tolist()
    for value, (_, run_no, *rest) in zip(values, rows, strict=True):
        points[run_no].append(Last._make((*rest, value)))
    return points


def read_models(connection: Connection, model_ids: Sequence[str]) -> list[ModelRecord]:
    """Return logged models with their params and tags, in the order of the ids."""
    rows = connection.execute(
        f"SELECT {_MODEL} FROM {connection.dialect.table('TEXT')} JOIN models ON model_id = value "
        "ORDER BY place",
        (connection.dialect.listed(model_ids),),
    ).fetchall()
    params, tags = (
        _grouped(connection, table, "model_id", [row[0] for row in rows])
        for table in ("model_params", "model_tags")
    )
    return [ModelRecord(model_row(row), dict(params[row[0]]), dict(tags[row[0]])) for row in rows]


def read_datasets(
    connection: Connection, experiment_ids: Sequence[str], limit: int
) -> list[DatasetSummary]:
    """Return which datasets the runs of these experiments used, each once for each context."""
    rows = connection.execute(
        "SELECT * FROM (SELECT DISTINCT runs.experiment_id, datasets.name, digest, context "
        "FROM runs JOIN run_datasets USING (run_no) JOIN datasets USING (dataset_no) "
        f"WHERE {connection.dialect.among('runs.experiment_id')}) AS used "
        "ORDER BY experiment_id, name, digest, context IS NOT NULL, context LIMIT ?",
        (connection.dialect.listed(experiment_ids), limit),
    )
    return [DatasetSummary._make(row) for row in rows]


def read_series(
    connection: Connection,
    run_ids: Sequence[str] | None,
    keys: Sequence[str] | None,
    model_ids: Sequence[str] | None,
) -> list[Series]:
    """Return the series of these runs, ordered by run (as asked), and then by their keys."""
    dialect = connection.dialect
    where = _Where(connection)
    if model_ids is not None:  # said twice, because the index holds only series of models
        where.among("model_id", model_ids)
        where.add("model_id <> ''")
    if run_ids is None:
        source, place, values = "series JOIN runs USING (run_no)", "run_id", []
    else:
        source = (
            f"(SELECT place, run_no, run_id FROM {dialect.table('TEXT')} {dialect.join_in_order} "
            "runs ON run_id = value) AS runs JOIN series USING (run_no)"
        )
        place, values = "place", [dialect.listed(run_ids)]
    if keys is not None:
        keys = [*keys]
        if any(map(_WILDCARDS.intersection, keys)):
            query = f"SELECT DISTINCT key FROM {source} {where}"
            found = connection.execute(query, [*values, *where.values])
            keys = _matching([key for [key] in found], keys)
        where.among("key", keys)
    rows = connection.execute(
        f"SELECT {', '.join(SUMMARY_COLUMNS)}, series_id, exact, run_id, {SERIES_KEY} "
        f"FROM {source} {where} ORDER BY {place}, {SERIES_KEY}",
        [*values, *where.values],
    ).fetchall()
    width = len(SUMMARY_COLUMNS)
    summaries = summaries_of(row[:width] for row in rows)
    return [
        Series(series_id, SeriesKey(*key), summary, bool(exact))
        for summary, (series_id, exact, *key) in zip(
            summaries, (row[width:] for row in rows), strict=True
        )
    ]


def read_keys(connection: Connection, run_ids: Sequence[str]) -> list[KeyUse]:
    """Return the metrics that these runs have, ordered by key."""
    rows = connection.execute(
        "SELECT key, count(DISTINCT run_no), CAST(sum(count) AS BIGINT) FROM series WHERE run_no "
        f"IN (SELECT run_no FROM runs WHERE {connection.dialect.among('run_id')}) "
        "GROUP BY key ORDER BY key",
        (connection.dialect.listed(run_ids),),
    )
    return [KeyUse._make(row) for row in rows]


def read_pair_keys(connection: Connection, run_ids: Sequence[str]) -> PairKeys:
    """Return the keys of params and tags that some of these runs have."""
    listed = connection.dialect.listed(run_ids)

    def keys_in(table: str) -> list[str]:
        query = (
            f"SELECT DISTINCT key FROM {table} WHERE run_no IN "
            f"(SELECT run_no FROM runs WHERE {connection.dialect.among('run_id')}) ORDER BY key"
        )
        return [key for [key] in connection.execute(query, (listed,))]

    return PairKeys(keys_in("params"), keys_in("tags"))


def read_children(connection: Connection, run_ids: Sequence[str]) -> dict[str, int]:
    """Return how many active runs are nested in each of these."""
    rows = connection.execute(
        "SELECT value, count(*) FROM tags JOIN runs USING (run_no) "
        f"WHERE key = ? AND {connection.dialect.among('tags.value')} "
        "AND lifecycle_stage = 'active' GROUP BY value",
        (PARENT_RUN_ID, connection.dialect.listed(run_ids)),
    )
    return dict(rows.fetchall())


def read_stats(connection: Connection) -> dict[str, Any]:
    """Return counts, and the bytes of the points of each run."""
    [counts] = connection.execute(
        "SELECT (SELECT count(*) FROM experiments), (SELECT count(*) FROM runs), "
        "(SELECT count(*) FROM series), "
        "(SELECT CAST(coalesce(sum(count), 0) AS BIGINT) FROM series), "
        "(SELECT CAST(coalesce(sum(n), 0) AS BIGINT) FROM tail)"
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


def read_beating(connection: Connection, since_ms: int) -> frozenset[str]:
    """Return the writers that have been alive at this time, in ms since the epoch, or later."""
    query = "SELECT writer_id FROM heartbeats WHERE seen_ms >= ?"
    return frozenset(writer_id for [writer_id] in connection.execute(query, (since_ms,)))


_DATASETS_OF_RUNS = (
    f"(SELECT run_no, {DATASET}, tags, use_no FROM run_datasets JOIN datasets USING (dataset_no))"
)
_MODELS_OF_RUNS = "(SELECT run_no, role, model_id, step, use_no FROM run_models)"


def _matching(keys: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Return the keys that are named, or match a glob pattern."""
    exact = {each for each in patterns if not _WILDCARDS.intersection(each)}
    globs = [each for each in patterns if _WILDCARDS.intersection(each)]
    return [key for key in keys if key in exact or any(fnmatchcase(key, glob) for glob in globs)]


def _grouped(
    connection: Connection, table: str, column: str, values: Sequence[Any], order: str = ""
) -> defaultdict[Any, list[Any]]:
    """Return the rows that have one of these values in their first column, by that value."""
    groups: defaultdict[Any, list[Any]] = defaultdict(list)
    query = f"SELECT * FROM {table} AS grouped WHERE {connection.dialect.among(column)}"
    if order:
        query += f" ORDER BY {order}"
    for group, *rest in connection.execute(query, (connection.dialect.listed(values),)):
        groups[group].append(rest)
    return groups


class _Where:
    """The conditions of a query, and the values for their question marks."""

    def __init__(self, connection: Connection) -> None:
        self.values: list[object] = []
        self._dialect = connection.dialect
        self._conditions: list[str] = []

    def add(self, condition: str, *values: object) -> None:
        self._conditions.append(condition)
        self.values += values

    def among(self, column: str, values: Sequence[object]) -> None:
        self.add(self._dialect.among(column), self._dialect.listed(values))

    def __str__(self) -> str:
        return f"WHERE {' AND '.join(self._conditions)}" if self._conditions else ""
