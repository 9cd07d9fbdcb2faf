"""The rows of a catalog in a database, as `steplog.fold` reads and changes them.

Everything here works on a connection within a transaction that the caller has begun. How rows are
read for their own sake is in `steplog.stores.catalog`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from steplog.rows import ExperimentRow, ModelRow, Pairs, Role, RunRow
from steplog.stores.base import DATASET_CONTEXT, DatasetUse, Refused
from steplog.stores.connection import Connection, marks

DATASET = ", ".join(DatasetUse._fields[:-1])
"""The columns that describe a dataset."""

_RUN_NO = "(SELECT run_no FROM runs WHERE run_id = ?)"


class _Table(NamedTuple):
    """A table of (key, value), and how it names who owns them; `owner` takes an id for its mark."""

    name: str
    column: str
    owner: str = "?"


_PAIRS: dict[Pairs, _Table] = {
    "experiment_tags": _Table("experiment_tags", "experiment_id"),
    "params": _Table("params", "run_no", _RUN_NO),
    "tags": _Table("tags", "run_no", _RUN_NO),
    "model_params": _Table("model_params", "model_id"),
    "model_tags": _Table("model_tags", "model_id"),
}


def columns(row: type[NamedTuple]) -> str:
    """Return the names of a row's columns, with commas."""
    return ", ".join(row._fields)


def experiment_row(values: Sequence[Any]) -> ExperimentRow:
    """Return the experiment that these columns tell of."""
    return ExperimentRow._make([*values[:-1], bool(values[-1])])


def run_row(values: Sequence[Any]) -> RunRow:
    """Return the run that these columns tell of."""
    return RunRow._make([*values[:-1], bool(values[-1])])


def model_row(values: Sequence[Any]) -> ModelRow:
    """Return the logged model that these columns tell of."""
    return ModelRow._make([*values[:-1], bool(values[-1])])


class CatalogRows:
    """A catalog's rows (`steplog.fold.Rows`) as the transaction of `connection` sees them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def experiment(self, experiment_id: str) -> ExperimentRow | None:
        """Return the experiment with this id."""
        row = self._row("experiments", ExperimentRow, "experiment_id", experiment_id)
        return None if row is None else experiment_row(row)

    def experiment_named(self, name: str) -> ExperimentRow | None:
        """Return the experiment that has this name now."""
        row = self._row("experiments", ExperimentRow, "name", name)
        return None if row is None else experiment_row(row)

    def put_experiment(self, row: ExperimentRow) -> None:
        """Insert the experiment, or replace the row of its id."""
        self._put("experiments", "experiment_id", row)

    def set_runs_lifecycle(self, experiment_id: str, lifecycle_stage: str) -> None:
        """Give every run of the experiment this lifecycle stage."""
        self._connection.execute(
            "UPDATE runs SET lifecycle_stage = ? WHERE experiment_id = ?",
            (lifecycle_stage, experiment_id),
        )

    def run(self, run_id: str) -> RunRow | None:
        """Return the run with this id."""
        row = self._row("runs", RunRow, "run_id", run_id)
        return None if row is None else run_row(row)

    def put_run(self, row: RunRow) -> None:
        """Insert the run, or replace the row of its id."""
        self._put("runs", "run_id", row)

    def model(self, model_id: str) -> ModelRow | None:
        """Return the logged model with this id."""
        row = self._row("models", ModelRow, "model_id", model_id)
        return None if row is None else model_row(row)

    def put_model(self, row: ModelRow) -> None:
        """Insert the model, or replace the row of its id."""
        self._put("models", "model_id", row)

    def pairs(self, kind: Pairs, owner_id: str) -> dict[str, str]:
        """Return all pairs of one kind that this run, experiment or model has."""
        table = _PAIRS[kind]
        query = f"SELECT key, value FROM {table.name} WHERE {table.column} = {table.owner}"
        return dict(self._connection.execute(query, (owner_id,)))

    def put_pairs(self, kind: Pairs, owner_id: str, pairs: Mapping[str, str]) -> None:
        """Set these pairs and leave the others."""
        table = _PAIRS[kind]
        self._connection.executemany(
            f"INSERT INTO {table.name} VALUES ({table.owner}, ?, ?) "
            f"ON CONFLICT ({table.column}, key) DO UPDATE SET value = excluded.value",
            [(owner_id, *pair) for pair in pairs.items()],
        )

    def remove_pair(self, kind: Pairs, owner_id: str, key: str) -> None:
        """Remove the pair of this key, which is there."""
        table = _PAIRS[kind]
        self._connection.execute(
            f"DELETE FROM {table.name} WHERE {table.column} = {table.owner} AND key = ?",
            (owner_id, key),
        )

    def add_datasets(self, run_id: str, datasets: Sequence[Mapping[str, Any]]) -> None:
        """Add inputs to a run."""
        query = "SELECT run_no, experiment_id FROM runs WHERE run_id = ?"
        [(run_no, experiment_id)] = self._connection.execute(query, (run_id,))
        for dataset in datasets:
            described = [dataset.get(name) for name in DatasetUse._fields[:-1]]
            tags = dict(dataset.get("tags", {}))
            self._connection.execute(
                f"INSERT INTO datasets (experiment_id, {DATASET}) "
                f"VALUES (?, {marks(described)}) ON CONFLICT DO NOTHING",
                (experiment_id, *described),
            )
            self._connection.execute(
                "INSERT INTO run_datasets (run_no, dataset_no, context, tags) "
                "SELECT ?, dataset_no, ?, ? FROM datasets "
                "WHERE (experiment_id, name, digest) = (?, ?, ?) ON CONFLICT DO NOTHING",
                (
                    run_no,
                    tags.get(DATASET_CONTEXT),
                    json.dumps(tags),
                    experiment_id,
                    *described[:2],
                ),
            )

    def add_models(self, run_id: str, role: Role, models: Sequence[tuple[str, int]]) -> None:
        """Add models to those that a run used or made."""
        self._connection.executemany(
            "INSERT INTO run_models (run_no, role, model_id, step) "
            f"VALUES ({_RUN_NO}, ?, ?, ?) ON CONFLICT DO NOTHING",
            [(run_id, role, *model) for model in models],
        )

    def add_writer(self, run_ids: Sequence[str], writer_id: str) -> None:
        """Remember that this writer has logged to these runs."""
        dialect = self._connection.dialect
        self._connection.execute(
            "INSERT INTO writers (run_no, writer_id) SELECT run_no, ? FROM runs "
            f"WHERE {dialect.among('run_id')} ON CONFLICT DO NOTHING",
            (writer_id, dialect.listed(run_ids)),
        )

    def add_refusal(self, refused: Refused) -> None:
        """Remember that this operation was not accepted."""
        row = (refused.journal_id, refused.offset, *refused.refusal)
        self._connection.execute(
            'INSERT INTO refusals (journal_id, "offset", error_code, message, run_id) '
            f"VALUES ({marks(row)})",
            row,
        )

    def _row(self, table: str, kind: type[NamedTuple], column: str, value: str) -> Any:
        query = f"SELECT {columns(kind)} FROM {table} WHERE {column} = ?"
        return self._connection.execute(query, (value,)).fetchone()

    def _put(self, table: str, id_column: str, row: ExperimentRow | RunRow | ModelRow) -> None:
        new = ", ".join(f"{column} = excluded.{column}" for column in row._fields)
        self._connection.execute(
            f"INSERT INTO {table} ({columns(type(row))}) VALUES ({marks(row)}) "
            f"ON CONFLICT ({id_column}) DO UPDATE SET {new}",
            row,
        )
