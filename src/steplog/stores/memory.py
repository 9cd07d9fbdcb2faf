"""The store in memory: the executable specification of every other, and the oracle of their tests.

It keeps the points of a series sorted and free of duplicates at any time, so nothing ever waits to
be sealed, and every summary is computed when it is asked for. It is gone with the process.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from steplog.fold import ensure_run, fold, storable
from steplog.operations import SeriesKey
from steplog.points import Columns, empty_columns, union
from steplog.query import (
    PARTS,
    STATUS_RANKS,
    TIE_BREAKS,
    Field,
    Order,
    Query,
    Value,
    matches,
    sort_key,
    split_part,
)
from steplog.rows import ExperimentRow, ModelRow, Pairs, Role, RunRow, default_experiment
from steplog.stores import whole
from steplog.stores.base import (
    BEAT_SECONDS,
    DATASET_CONTEXT,
    PARENT_RUN_ID,
    START,
    Batch,
    Damage,
    DatasetSummary,
    DatasetUse,
    ExperimentRecord,
    KeyUse,
    Last,
    ModelRecord,
    ModelUse,
    PairKeys,
    Position,
    Refused,
    RunRecord,
    Series,
)
from steplog.summary import summarise


class MemoryRows:
    """A catalog's rows (`steplog.fold.Rows`) as dictionaries."""

    def __init__(self) -> None:
        default = default_experiment(time.time_ns() // 1_000_000)
        self.experiments = {default.experiment_id: default}
        self.runs: dict[str, RunRow] = {}
        self.models: dict[str, ModelRow] = {}
        self.datasets: dict[tuple[str, str, str], Mapping[str, Any]] = {}
        self.run_datasets: dict[str, dict[tuple[str, str], DatasetUse]] = defaultdict(dict)
        self.run_models: dict[str, dict[tuple[Role, str], ModelUse]] = defaultdict(dict)
        self._pairs: dict[tuple[Pairs, str], dict[str, str]] = defaultdict(dict)

    def experiment(self, experiment_id: str) -> ExperimentRow | None:
        """Return the experiment with this id."""
        return self.experiments.get(experiment_id)

    def experiment_named(self, name: str) -> ExperimentRow | None:
        """Return the experiment that has this name now."""
        return next((row for row in self.experiments.values() if row.name == name), None)

    def put_experiment(self, row: ExperimentRow) -> None:
        """Insert the experiment, or replace the row of its id."""
        self.experiments[row.experiment_id] = row

    def set_runs_lifecycle(self, experiment_id: str, lifecycle_stage: str) -> None:
        """Give every run of the experiment this lifecycle stage."""
        for run_id, row in self.runs.items():
            if row.experiment_id == experiment_id:
                self.runs[run_id] = row._replace(lifecycle_stage=lifecycle_stage)

    def run(self, run_id: str) -> RunRow | None:
        """Return the run with this id."""
        return self.runs.get(run_id)

    def put_run(self, row: RunRow) -> None:
        """Insert the run, or replace the row of its id."""
        self.runs[row.run_id] = row

    def remove_run(self, run_id: str) -> bool:
        """Remove a run and what it has; False where there is none of that id."""
        self.run_datasets.pop(run_id, None)
        self.run_models.pop(run_id, None)
        for kind in ("params", "tags"):
            self._pairs.pop((kind, run_id), None)
        return self.runs.pop(run_id, None) is not None

    def model(self, model_id: str) -> ModelRow | None:
        """Return the logged model with this id."""
        return self.models.get(model_id)

    def put_model(self, row: ModelRow) -> None:
        """Insert the model, or replace the row of its id."""
        self.models[row.model_id] = row

    def pairs(self, kind: Pairs, owner_id: str) -> dict[str, str]:
        """Return all pairs of one kind that this run, experiment or model has."""
        return dict(self._pairs[kind, owner_id])

    def put_pairs(self, kind: Pairs, owner_id: str, pairs: Mapping[str, str]) -> None:
        """Set these pairs and leave the others."""
        self._pairs[kind, owner_id].update(pairs)

    def remove_pair(self, kind: Pairs, owner_id: str, key: str) -> None:
        """Remove the pair of this key, which is there."""
        del self._pairs[kind, owner_id][key]

    def add_datasets(self, run_id: str, datasets: Sequence[Mapping[str, Any]]) -> None:
        """Add inputs to a run."""
        for given in datasets:
            key = given["name"], given["digest"]
            first = self.datasets.setdefault((self.runs[run_id].experiment_id, *key), given)
            described = [first.get(name) for name in DatasetUse._fields[:-1]]
            use = DatasetUse._make([*described, dict(given.get("tags", {}))])
            self.run_datasets[run_id].setdefault(key, use)

    def add_models(self, run_id: str, role: Role, models: Sequence[tuple[str, int]]) -> None:
        """Add models to those that a run used or made."""
        for model_id, step in models:
            self.run_models[run_id].setdefault((role, model_id), ModelUse(role, model_id, step))


class MemoryStore:
    """A `steplog.stores.base.Store` that keeps everything in this process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._rows = MemoryRows()
        self._writers: dict[str, set[str]] = defaultdict(set)
        self._positions: dict[str, Position] = {}
        self._refusals: list[Refused] = []
        self._series: dict[SeriesKey, Columns] = {}
        self._beats: dict[str, float] = {}  # by the monotonic clock

    def apply(self, batch: Batch) -> list[Refused] | None:
        """Apply one stretch of one journal, whole or not at all."""
        with self._lock:
            if self._positions.get(batch.journal_id, START) != batch.before:
                return None
            self._positions[batch.journal_id] = batch.after
            refused = list(self._fold_operations(batch))
            self._refusals += refused
            for number in np.unique(batch.points["series"]).tolist():
                self._add(storable(batch.series[number]), batch, number)
            return refused

    def positions(self, journal_ids: Sequence[str]) -> dict[str, Position]:
        """Up to where each of these journals has been applied; those at START are left out."""
        with self._lock:
            return {each: self._positions[each] for each in journal_ids if each in self._positions}

    def refusals(
        self, run_id: str | None = None, journal_ids: Sequence[str] | None = None
    ) -> list[Refused]:
        """Return the operations refused so far, of one run, of some journals, or all."""
        with self._lock:
            return [
                each
                for each in self._refusals
                if run_id in (None, each.refusal.run_id)
                and (journal_ids is None or each.journal_id in journal_ids)
            ]

    def experiments(
        self, ids: Sequence[str] | None = None, name: str | None = None
    ) -> list[ExperimentRecord]:
        """Experiments with these ids, or with this name, or all; newest first, then by id."""
        with self._lock:
            rows = [
                row
                for row in self._rows.experiments.values()
                if (ids is None or row.experiment_id in ids) and name in (None, row.name)
            ]
            rows.sort(key=lambda row: (-row.creation_time, row.experiment_id))
            return [
                ExperimentRecord(row, self._rows.pairs("experiment_tags", row.experiment_id))
                for row in rows
            ]

    def runs(
        self,
        run_ids: Sequence[str] | None = None,
        experiment_ids: Sequence[str] | None = None,
        last: bool = False,
    ) -> list[RunRecord]:
        """Runs with these ids (or ids that start so), or of these experiments, or all."""
        with self._lock:
            rows = [
                row
                for row in self._rows.runs.values()
                if (run_ids is None or row.run_id.startswith(tuple(run_ids)))
                and (experiment_ids is None or row.experiment_id in experiment_ids)
            ]
            rows.sort(key=lambda row: (-row.start_time, row.run_id))
            return [
                RunRecord(
                    row,
                    self._rows.pairs("params", row.run_id),
                    self._rows.pairs("tags", row.run_id),
                    frozenset(self._writers[row.run_id]),
                    [*self._rows.run_datasets[row.run_id].values()],
                    [*self._rows.run_models[row.run_id].values()],
                    [*self._last(row.run_id)] if last else (),
                )
                for row in rows
            ]

    def models(self, model_ids: Sequence[str]) -> list[ModelRecord]:
        """Logged models with these ids, in this order, deleted ones included."""
        with self._lock:
            return [
                ModelRecord(
                    self._rows.models[model_id],
                    self._rows.pairs("model_params", model_id),
                    self._rows.pairs("model_tags", model_id),
                )
                for model_id in model_ids
                if model_id in self._rows.models
            ]

    def datasets(self, experiment_ids: Sequence[str], limit: int) -> list[DatasetSummary]:
        """Which datasets the runs of these experiments used, each once for each context."""
        with self._lock:
            found = {
                DatasetSummary(
                    run.experiment_id, use.name, use.digest, use.tags.get(DATASET_CONTEXT)
                )
                for run in self._rows.runs.values()
                if run.experiment_id in experiment_ids
                for use in self._rows.run_datasets[run.run_id].values()
            }
            return sorted(found, key=lambda each: (*each[:3], each.context or ""))[:limit]

    def search(self, query: Query) -> list[str]:
        """Return the ids of the runs, experiments or logged models that a query asks for."""
        with self._lock:
            subjects = [*getattr(self, f"_{query.what}_subjects")(query)]
            found = [each for each in subjects if matches(query.conditions, each)]
            found.sort(key=lambda each: sort_key((*query.order, *TIE_BREAKS[query.what]), each))
            end = None if query.limit is None else query.offset + query.limit
            return [each.id for each in found[query.offset : end]]

    def series(
        self,
        run_ids: Sequence[str] | None,
        keys: Sequence[str] | None = None,
        model_ids: Sequence[str] | None = None,
    ) -> list[Series]:
        """Return the series of these runs, ordered by run (as asked), key and the rest."""
        with self._lock:
            if run_ids is None:
                run_ids = sorted(self._rows.runs)
            return [
                Series(number, key, summarise(columns)[0], exact=True)
                for run_id in run_ids
                for key, number, columns in sorted(
                    (key, number, columns)
                    for number, (key, columns) in enumerate(self._series.items())
                    if key.run_id == run_id
                    and whole.matches(key.key, keys)
                    and (model_ids is None or key.model_id in model_ids)
                )
            ]

    def keys(self, run_ids: Sequence[str]) -> list[KeyUse]:
        """Return the metrics that these runs have, ordered by key; whole run ids."""
        runs: defaultdict[str, set[str]] = defaultdict(set)
        points: defaultdict[str, int] = defaultdict(int)
        for each in self.series([*set(run_ids)]):
            runs[each.key.key].add(each.key.run_id)
            points[each.key.key] += int(each.summary["count"])
        return [KeyUse(key, len(runs[key]), points[key]) for key in sorted(runs)]

    def pair_keys(self, run_ids: Sequence[str]) -> PairKeys:
        """Return the keys of params and tags that some of these runs have."""
        records = self.runs([*run_ids])
        return PairKeys(
            sorted({key for each in records for key in each.params}),
            sorted({key for each in records for key in each.tags}),
        )

    def children(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Return how many active runs are nested in each of these."""
        nested = [each for each in self.runs() if each.row.lifecycle_stage == "active"]
        parents = [each.tags.get(PARENT_RUN_ID) for each in nested]
        return {run_id: parents.count(run_id) for run_id in run_ids if run_id in parents}

    def points(
        self,
        series_id: int,
        steps: tuple[int, int] | None = None,
        times: tuple[int, int] | None = None,
    ) -> Iterator[Columns]:
        """Yield the points of one series in order, in pieces of bounded size."""
        yield from whole.points(self._columns(series_id), steps, times)

    def outline(self, series_id: int) -> npt.NDArray[np.void]:
        """Summaries (dtype SUMMARY) of consecutive stretches of one series, in order, all exact."""
        return whole.outline(self._columns(series_id))

    def survey(
        self,
        series_id: int,
        need: Callable[[npt.NDArray[np.void]], npt.NDArray[np.integer[Any]]],
    ) -> Iterator[npt.NDArray[np.void] | Columns]:
        """Yield what is needed of each stretch of one series, all of one state of the store."""
        yield from whole.survey(self._columns(series_id), need)

    def beat(self, writer_ids: Sequence[str]) -> None:
        """Note that these writers live, for whoever cannot see their journals."""
        with self._lock:
            self._beats.update(dict.fromkeys(writer_ids, time.monotonic()))

    def beating(self) -> frozenset[str]:
        """Return the writers of which `beat` has told within BEAT_SECONDS."""
        since = time.monotonic() - BEAT_SECONDS
        with self._lock:
            return frozenset(each for each, seen in self._beats.items() if seen >= since)

    def purge(self, run_ids: Sequence[str]) -> int:
        """Remove these runs for good, with their points and all else that was logged to them."""
        with self._lock:
            for key in [key for key in self._series if key.run_id in run_ids]:
                del self._series[key]
            for run_id in run_ids:
                self._writers.pop(run_id, None)
            self._refusals = [e for e in self._refusals if e.refusal.run_id not in run_ids]
            return sum(map(self._rows.remove_run, run_ids))

    def seal(self, run_id: str | None = None) -> int:
        """Return 0: nothing waits here."""
        return 0

    def check(self) -> Iterator[Damage | int]:
        """Find nothing: every summary is computed from the points."""
        yield len(self._series)

    def stats(self) -> dict[str, Any]:
        """Counts and bytes, as the protocol says."""
        with self._lock:
            bytes_of: dict[str, int] = dict.fromkeys(self._rows.runs, 0)
            for key, columns in self._series.items():
                bytes_of[key.run_id] += sum(column.nbytes for column in columns)
            return {
                "experiments": len(self._rows.experiments),
                "runs": len(self._rows.runs),
                "series": len(self._series),
                "points": sum(columns.step.size for columns in self._series.values()),
                "waiting_points": 0,
                "bytes": sum(bytes_of.values()),
                "runs_bytes": bytes_of,
            }

    def close(self) -> None:
        """Do nothing: the points go with the object."""

    def _fold_operations(self, batch: Batch) -> Iterator[Refused]:
        for offset, operation in batch.operations:
            refusal = fold(operation, self._rows)
            if refusal is not None:
                yield Refused(batch.journal_id, offset, refusal)
            run_id = getattr(operation, "run_id", None)
            if run_id in self._rows.runs:
                self._writers[run_id].add(batch.writer_id)

    def _add(self, key: SeriesKey, batch: Batch, number: int) -> None:
        ensure_run(key.run_id, self._rows, int(batch.points["timestamp"].min()))
        self._writers[key.run_id].add(batch.writer_id)
        points = Columns.of(batch.points[batch.points["series"] == number])
        self._series[key] = union([self._series.get(key, empty_columns()), points])

    def _last(self, run_id: str) -> Iterator[Last]:
        for key, columns in self._series.items():
            if key.run_id == run_id:
                yield Last._make((*key[1:5], *(column[-1].item() for column in columns)))

    def _runs_subjects(self, query: Query) -> Iterator[_Subject]:
        for record in self.runs():
            if _wanted(query, record.row):
                row = record.row
                place = f"{query.artifacts}/{row.experiment_id}/{row.run_id}/artifacts"
                record = record._replace(row=row._replace(artifact_uri=row.artifact_uri or place))
                yield _RunSubject(record, self._metric_of(row.run_id))

    def _experiments_subjects(self, query: Query) -> Iterator[_Subject]:
        for record in self.experiments():
            if record.row.lifecycle_stage in query.stages:
                row = record.row
                yield _Subject(row.experiment_id, row._asdict(), {"tag": record.tags})

    def _models_subjects(self, query: Query) -> Iterator[_Subject]:
        for record in self.models([*self._rows.models]):
            points = [
                (key, columns)
                for key, columns in self._series.items()
                if key.model_id == record.row.model_id and _measured_on(key, query.datasets)
            ]
            if _wanted(query, record.row) and (points or not query.datasets):
                yield _ModelSubject(record, points)

    def _metric_of(self, run_id: str) -> Callable[[str], Value | None]:
        def metric(key: str) -> Value | None:
            names = {series.key for series in self._series}
            key, part = (key, "last") if key in names else split_part(key) or (key, "last")
            columns = [
                columns for series, columns in self._series.items() if series[:2] == (run_id, key)
            ]
            return summarise(union(columns))[0][PARTS[part]].item() if columns else None

        return metric

    def _columns(self, series_id: int) -> Columns:
        with self._lock:
            return [*self._series.values()][series_id]


class _Subject:
    """One row as a `steplog.query.Subject`: its attributes, and its pairs by the kind of field."""

    def __init__(
        self, id: str, attributes: Mapping[str, Any], pairs: Mapping[str, Mapping[str, str]]
    ) -> None:
        self.id = id
        self._attributes = attributes
        self._pairs = pairs

    def values(self, field: Field) -> Sequence[Value]:
        """Return its values of a field."""
        value = self.value(field)
        return [] if value is None else [value]

    def ordered_by(self, order: Order) -> Value | None:
        """Return the value that an order goes by."""
        value = self.value(order.field)
        by_number = order.field == Field("attribute", "experiment_id")
        return int(value) if by_number and value is not None else value

    def value(self, field: Field) -> Value | None:
        """Return its only value of a field."""
        return (
            self._attributes if field.kind == "attribute" else self._pairs.get(field.kind, {})
        ).get(field.key)


class _RunSubject(_Subject):
    def __init__(self, record: RunRecord, metric: Callable[[str], Value | None]) -> None:
        attributes = {**record.row._asdict(), "run_name": record.row.name}
        pairs = {"param": record.params, "tag": record.tags}
        super().__init__(record.row.run_id, attributes, pairs)
        self._metric = metric
        self._datasets = record.datasets

    def values(self, field: Field) -> Sequence[Value]:
        if field.kind != "dataset":
            return super().values(field)
        found = (
            use.tags.get(DATASET_CONTEXT) if field.key == "context" else getattr(use, field.key)
            for use in self._datasets
        )
        return [value for value in found if value is not None]

    def value(self, field: Field) -> Value | None:
        return self._metric(field.key) if field.kind == "metric" else super().value(field)


class _ModelSubject(_Subject):
    def __init__(
        self,
        record: ModelRecord,
        points: Sequence[tuple[SeriesKey, Columns]],
    ) -> None:
        pairs = {"param": record.params, "tag": record.tags}
        super().__init__(record.row.model_id, record.row._asdict(), pairs)
        self._points = points

    def values(self, field: Field) -> Sequence[Value]:
        if field.kind != "metric":
            return super().values(field)
        return [
            value
            for key, columns in self._points
            if key.key == field.key
            for value in columns.value.tolist()
        ]

    def ordered_by(self, order: Order) -> Value | None:
        if order.field == Field("attribute", "status"):
            return STATUS_RANKS[self._attributes["status"]]
        if order.field.kind != "metric":
            return super().ordered_by(order)
        columns = [
            columns
            for key, columns in self._points
            if key.key == order.field.key
            and order.dataset_name in (None, key.dataset_name)
            and order.dataset_digest in (None, key.dataset_digest)
        ]
        return summarise(union(columns))[0]["last_value"].item() if columns else None


def _wanted(query: Query, row: RunRow | ModelRow) -> bool:
    return row.lifecycle_stage in query.stages and (
        query.experiment_ids is None or row.experiment_id in query.experiment_ids
    )


def _measured_on(key: SeriesKey, datasets: Sequence[tuple[str, str | None]]) -> bool:
    return not datasets or any(
        key.dataset_name == name and digest in (None, key.dataset_digest)
        for name, digest in datasets
    )
