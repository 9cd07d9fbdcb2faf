"""What every part of `steplog.client.Client` stands on: one store, and the way to the journal.

Here is also what turns the store's records into the values that users get.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from steplog import rules
from steplog.backend import Backend, backend, shown_status
from steplog.backend import tracking_uri as tracking_uri_in_force
from steplog.entities import (
    Experiment,
    LoggedModel,
    Metric,
    Param,
    Run,
    RunData,
    RunInfo,
    RunTag,
)
from steplog.lookup import lookup, run_inputs, run_outputs
from steplog.operations import Operation, SeriesKey
from steplog.pending import RunOperations, asynchronous, refused
from steplog.query import Condition, Order, Query
from steplog.recorder import Recorder
from steplog.stores.base import ExperimentRecord, Last, ModelRecord, RunRecord, Store


class BaseClient:
    """One store, as this process writes and reads it."""

    def __init__(
        self,
        tracking_uri: str | None = None,
        artifact_root: str | None = None,
        *,
        trusting: bool = True,
    ) -> None:
        self.tracking_uri = tracking_uri_in_force() if tracking_uri is None else tracking_uri
        self._backend = backend(self.tracking_uri)
        self._lookup = lookup(self._backend, trusting)
        self._artifact_root = artifact_root

    @property
    def recorder(self) -> Recorder:
        """What writes this process's journal for the store."""
        return self._backend.recorder

    @property
    def store(self) -> Store:
        """The store, with everything that was logged until now in whichever process.

        Raises:
            StoreError: it cannot be read now.

        """
        return self._backend.store()

    @property
    def backend(self) -> Backend:
        """What the tracking URI of this client means in this process."""
        return self._backend

    @property
    def directory(self) -> str:
        """What belongs to the store on this machine: an absolute path."""
        return self._backend.place.directory

    def runs_query(
        self,
        conditions: tuple[Condition, ...],
        order: tuple[Order, ...],
        experiment_ids: tuple[str, ...],
        stages: tuple[str, ...],
    ) -> Query:
        """Return the query for runs of this store that `Store.search` answers."""
        artifacts = self._artifacts()
        return Query("runs", conditions, order, experiment_ids, stages, artifacts=artifacts)

    def live_writers(self) -> frozenset[str]:
        """Return the ids of the writers that live: a running run without any is LOST."""
        return self._backend.live_writers()

    def statuses(self, records: Iterable[RunRecord]) -> list[str]:
        """Return the status to show of each run: LOST where nobody lives who could end it."""
        live = self.live_writers()
        return [shown_status(record, live) for record in records]

    # The way to the journal -------------------------------------------------------------------

    def _submit(self, operation: Operation, synchronous: bool | None = True) -> RunOperations:
        """Record an operation; where that is synchronous, raise what the store refuses."""
        waits = not asynchronous(synchronous)
        answer = RunOperations(self.recorder, [self.recorder.operate(operation)])
        if not waits:
            answer.watch()
            return answer
        for refusal in answer.refusals():
            raise refused(refusal)
        return answer

    # Where artifacts go -----------------------------------------------------------------------

    def _location(self, experiment_id: str) -> str:
        """Return what to record as the place of an experiment's artifacts: below the given root.

        Without a root nothing is recorded, and artifacts belong inside the store's directory,
        wherever that is when somebody asks.
        """
        root = self._artifact_root
        return f"{root.rstrip('/')}/{experiment_id}" if root else ""

    def _artifacts(self) -> str:
        """Return where experiments keep artifacts for which no place is recorded."""
        return f"{self._backend.place.directory}/artifacts"

    def artifact_uri(self, record: RunRecord) -> str:
        """Return where a run keeps artifacts."""
        row = record.row
        own = f"{self._artifacts()}/{row.experiment_id}/{row.run_id}/artifacts"
        return row.artifact_uri or own

    # From records to values ---------------------------------------------------------------------

    def _experiment(self, record: ExperimentRecord) -> Experiment:
        row = record.row
        return Experiment(
            experiment_id=row.experiment_id,
            name=row.name,
            artifact_location=row.artifact_location or f"{self._artifacts()}/{row.experiment_id}",
            lifecycle_stage=row.lifecycle_stage,
            tags=record.tags,
            creation_time=row.creation_time,
            last_update_time=row.last_update_time,
        )

    def _run_with_metrics(self, record: RunRecord) -> Run:
        """Return a run with the latest value of each of its metrics."""
        latest: dict[str, Last] = {}
        for last in record.last:
            # One key may have several series: one for each model or dataset it was measured on.
            known = latest.get(last.key)
            if known is None or _rank(known) < _rank(last):
                latest[last.key] = last
        return self._run(record, map(_metric, latest.values()))

    def _run(self, record: RunRecord, metrics: Iterable[Metric] = ()) -> Run:
        row = record.row
        info = RunInfo(
            run_id=row.run_id,
            experiment_id=row.experiment_id,
            user_id=row.user_id,
            status=row.status,
            start_time=row.start_time,
            end_time=row.end_time,
            lifecycle_stage=row.lifecycle_stage,
            artifact_uri=self.artifact_uri(record),
            run_name=row.name,
        )
        params = [Param(*param) for param in record.params.items()]
        tags = [RunTag(*tag) for tag in record.tags.items()]
        data = RunData(metrics, params, tags)
        return Run(info, data, run_inputs(record), run_outputs(record))

    def _model(self, record: ModelRecord, metrics: Sequence[Metric] | None = None) -> LoggedModel:
        row = record.row
        below = f"{self._artifacts()}/{row.experiment_id}"
        return LoggedModel(
            experiment_id=row.experiment_id,
            model_id=row.model_id,
            name=row.name,
            artifact_location=row.artifact_location or model_artifacts(below, row.model_id),
            creation_timestamp=row.creation_timestamp,
            last_updated_timestamp=row.last_updated_timestamp,
            model_type=row.model_type,
            source_run_id=row.source_run_id,
            status=row.status,
            status_message=row.status_message,
            tags=record.tags,
            params=record.params,
            metrics=metrics,
        )


def now_ms() -> int:
    """Return the time in ms since 1970."""
    return time.time_ns() // 1_000_000


def texts(pairs: Mapping[Any, Any] | None) -> dict[str, str]:
    """Return pairs as the texts that are stored of them."""
    return {rules.text(key): rules.text(value) for key, value in (pairs or {}).items()}


def in_order(ids: Sequence[str], records: Iterable[Any], id_of: Callable[[Any], str]) -> list[Any]:
    """Return records in the order of their ids; those that are gone are left out."""
    found = {id_of(record): record for record in records}
    return [found[each] for each in ids if each in found]


def model_artifacts(location: str, model_id: str) -> str:
    """Return where a model keeps its files, given where its experiment keeps them."""
    return f"{location}/models/{model_id}/artifacts"


def _rank(last: Last) -> tuple[int, int, float]:
    """MLflow's order of points; NaN counts as 0 in it."""
    return last.step, last.timestamp, 0.0 if last.value != last.value else last.value


def _metric(last: Last) -> Metric:
    key, model_id, name, digest, step, timestamp, value = last
    return Metric(key, value, timestamp, step, model_id or None, name or None, digest or None)


def metric_of(
    key: SeriesKey, step: int, timestamp: int, value: float, run_id: str | None = None
) -> Metric:
    """Return a point of a series as users get it."""
    return Metric(
        key.key,
        value,
        timestamp,
        step,
        key.model_id or None,
        key.dataset_name or None,
        key.dataset_digest or None,
        run_id,
    )
