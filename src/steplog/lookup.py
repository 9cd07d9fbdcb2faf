"""What a write makes sure of first: that the run and the experiment it names exist, and are active.

Each is looked up once in a process, and not at all where this process made it. Looking may fail, or
may not be allowed (STEPLOG_INGEST=off, network file systems); that must stop no training, so what
cannot be looked up is taken on trust. A server can tell its clients to try again, so it does not
trust.

What is not here: reading for its own sake, which raises where the store cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import count
from typing import TypeAlias, TypeVar

from steplog import rules
from steplog.backend import Backend
from steplog.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LifecycleStage,
    LoggedModelInput,
    LoggedModelOutput,
    RunInputs,
    RunOutputs,
)
from steplog.exceptions import StoreDamaged, StoreError, invalid, missing, warn
from steplog.query import Query
from steplog.recorder import Recorder
from steplog.rows import DEFAULT_EXPERIMENT_ID, ExperimentRow, ModelRow, RunRow, default_experiment
from steplog.stores.base import ExperimentRecord, ModelRecord, RunRecord, Store

T = TypeVar("T")

SeriesNumbers: TypeAlias = "dict[str, tuple[Recorder, int]]"
"""Key of a metric -> what a point of it needs, for one run and one model or none, and no dataset.
An entry says that the run and the key have been checked."""


_RUNS_REFRESHED = 1_000


class Expected:
    """A run that may be written to: it was made here, or has been looked up.

    Attributes:
        series: model id, or the empty text -> the series that can be logged to without a check.
        inputs: the models and datasets that the run is known to have used …
        outputs: … and the models that it is known to have made.

    """

    def __init__(self, record: RunRecord | None = None) -> None:
        self.series: dict[str, SeriesNumbers] = {}
        self.inputs = RunInputs([]) if record is None else run_inputs(record)
        self.outputs = RunOutputs([]) if record is None else run_outputs(record)


class Lookup:
    """What one process knows of the runs and experiments of one store. Use `lookup`."""

    def __init__(self, backend: Backend, trusting: bool) -> None:
        self._backend = backend
        self._trusting = trusting
        self._runs: dict[str, Expected] = {}
        self._experiments = {DEFAULT_EXPERIMENT_ID: default_experiment(0)}
        self._models: set[str] = set()
        self._refreshed = 0
        self._warned = False

    def series(self, run_id: str, model_id: str | None = None) -> SeriesNumbers:
        """Return the series of a run that can be logged to without a check.

        The dict is empty at first, and is emptied when the run is forgotten: whoever keeps it may
        always use what is in it.
        """
        expected = self._runs.get(run_id)
        return {} if expected is None else expected.series.setdefault(model_id or "", {})

    def expect_run(self, run_id: str) -> Expected:
        """Make sure, once, that a run exists and is active.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST, or INVALID_PARAMETER_VALUE.

        """
        expected = self._runs.get(run_id)
        if expected is None:
            record = self.run(run_id)
            if record.row.lifecycle_stage != LifecycleStage.ACTIVE:
                raise _not_active(f"The run {run_id}", record.row.lifecycle_stage)
            expected = self._runs.setdefault(run_id, Expected(record))
        return expected

    def remember_run(self, run_id: str) -> None:
        """Know a run that this process made."""
        self._runs[run_id] = Expected()

    def expects(self, run_id: str) -> bool:
        """Tell whether the run would be written to without being looked up."""
        return run_id in self._runs

    def forget_run(self, run_id: str) -> None:
        """Look again when it is logged to again: it has ended, or may have been deleted."""
        # Emptied, not only dropped: active runs, and with them `log_metric`, hold the same dicts.
        for series in self._runs.pop(run_id, Expected()).series.values():
            series.clear()

    def forget_runs(self) -> None:
        """Look again when any run is logged to again."""
        for run_id in list(self._runs):
            self.forget_run(run_id)

    def refresh(self) -> None:
        """Notice what other processes have deleted: it is then looked at again before it is used.

        Of more than a thousand runs, as many are asked for each time, in turn.
        """
        runs, experiments = list(self._runs), list(self._experiments)
        asked = runs[self._refreshed : self._refreshed + _RUNS_REFRESHED]
        more = self._refreshed + len(asked) < len(runs)
        self._refreshed = self._refreshed + len(asked) if more else 0
        if asked and (found := self._ask(lambda store: store.runs(asked))) is not None:
            for run_id in {*asked} - {record.row.run_id for record in found if _active(record)}:
                self.forget_run(run_id)
        if (known := self._ask(lambda store: store.experiments(experiments))) is not None:
            active = {record.row.experiment_id for record in known if _active(record)}
            for experiment_id in {*experiments} - active - {DEFAULT_EXPERIMENT_ID}:
                self.forget_experiment(experiment_id)

    def run(self, run_id: str, last: bool = False) -> RunRecord:
        """Return a run as the store has it; taken on trust, its experiment is the empty text.

        Args:
            run_id: the run.
            last: with the last point of each of its series.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST.

        """
        records = self._ask(lambda store: store.runs([run_id], last=last))
        if records is None:
            row = RunRow(run_id, "", "", "", "RUNNING", 0, None, LifecycleStage.ACTIVE, "")
            return RunRecord(row, {}, {}, frozenset())
        return the_run(run_id, records)

    def expect_experiment(self, experiment_id: str) -> ExperimentRow:
        """Make sure, once, that an experiment exists and is active, and return it.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST, or INVALID_PARAMETER_VALUE.

        """
        if experiment_id not in self._experiments:
            row = self.experiment(experiment_id).row
            if row.lifecycle_stage != LifecycleStage.ACTIVE:
                raise _not_active(f"The experiment {experiment_id}", row.lifecycle_stage)
            self._experiments[experiment_id] = row
        return self._experiments[experiment_id]

    def remember_experiment(self, row: ExperimentRow) -> None:
        """Know an experiment that this process made."""
        self._experiments[row.experiment_id] = row

    def forget_experiment(self, experiment_id: str) -> None:
        """Look again before another run is created in it."""
        self._experiments.pop(experiment_id, None)

    def experiment(self, experiment_id: str) -> ExperimentRecord:
        """Return an experiment as the store has it; taken on trust, its name is the empty text.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST.

        """
        records = self._ask(lambda store: store.experiments([experiment_id]))
        if records:
            return records[0]
        if experiment_id == DEFAULT_EXPERIMENT_ID:  # the store makes it when it is made itself
            return ExperimentRecord(default_experiment(0), {})
        if records is None:
            row = ExperimentRow(experiment_id, "", "", LifecycleStage.ACTIVE, 0, 0)
            return ExperimentRecord(row, {})
        raise missing(f"No Experiment with id={experiment_id} exists")

    def experiment_named(self, name: str) -> ExperimentRecord | None:
        """Return the experiment of this name; None where there is none, or the store cannot say."""
        records = self._ask(lambda store: store.experiments(name=name))
        return records[0] if records else None

    def free_experiment_id(self, name: str) -> str:
        """Derive an experiment's id from its name: the next one where a renamed one holds it."""
        ids = (rules.derive_experiment_id(name, attempt) for attempt in count())
        return next(each for each in ids if not self._is_held(each, name))

    def expect_model(self, model_id: str) -> None:
        """Make sure, once, that a logged model exists; it may be deleted.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST.

        """
        if model_id not in self._models:
            self.model(model_id, allow_deleted=True)
            self._models.add(model_id)

    def remember_model(self, model_id: str) -> None:
        """Know a model that this process made."""
        self._models.add(model_id)

    def model(self, model_id: str, allow_deleted: bool = False) -> ModelRecord:
        """Return a model as the store has it; taken on trust, its name is the empty text.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST.

        """
        rules.check_model_id(model_id)
        records = self._ask(lambda store: store.models([model_id]))
        if records is None:
            stage = LifecycleStage.ACTIVE
            row = ModelRow(model_id, "", "", "", 0, 0, None, None, "READY", None, stage)
            return ModelRecord(row, {}, {})
        return the_model(model_id, records, allow_deleted)

    def models(self, query: Query) -> list[ModelRecord]:
        """Return the logged models that a query asks for; none where the store cannot be asked."""
        return self._ask(lambda store: store.models(store.search(query))) or []

    def _is_held(self, experiment_id: str, name: str) -> bool:
        holders = self._ask(lambda store: store.experiments([experiment_id]))
        return any(holder.row.name != name for holder in holders or ())

    def _ask(self, question: Callable[[Store], list[T]]) -> list[T] | None:
        """Put a question to the store; None where it cannot answer, if that counts as trust."""
        if not self._trusting:
            return question(self._backend.store())
        try:
            store = self._backend.consult()
            if store is None:  # nothing was logged there yet, or this process must not look
                return [] if self._backend.ingests() else None
            answer = question(store)
        except (StoreError, StoreDamaged) as error:
            if not self._warned:
                warn(f"steplog could not look into {self._backend.place.name} and goes on: {error}")
            self._warned = True
            return None
        self._warned = False
        return answer


@cache
def lookup(backend: Backend, trusting: bool, /) -> Lookup:
    """Return what this process knows of a store: the same object for the same arguments.

    Args:
        backend: of the store.
        trusting: what cannot be looked up is taken on trust; else whoever asks gets the store's
            error, a StoreError or StoreDamaged.

    """
    return Lookup(backend, trusting)


def run_inputs(record: RunRecord) -> RunInputs:
    """Return the models and datasets that a run used, as entities."""
    return RunInputs(
        [
            DatasetInput(Dataset(*use[:-1]), [InputTag(*tag) for tag in use.tags.items()])
            for use in record.datasets
        ],
        [LoggedModelInput(use.model_id) for use in record.models if use.role == "input"],
    )


def run_outputs(record: RunRecord) -> RunOutputs:
    """Return the models that a run made, as entities."""
    return RunOutputs(
        [LoggedModelOutput(use.model_id, use.step) for use in record.models if use.role == "output"]
    )


def the_run(run_id: str, records: list[RunRecord]) -> RunRecord:
    """Return the run with this very id: a store also finds runs whose id only begins with it.

    Raises:
        MlflowException: RESOURCE_DOES_NOT_EXIST.

    """
    for record in records:
        if record.row.run_id == run_id:
            return record
    raise missing(f"Run with id={run_id} not found")


def the_model(model_id: str, records: list[ModelRecord], allow_deleted: bool) -> ModelRecord:
    """Return the only model that was found.

    Raises:
        MlflowException: RESOURCE_DOES_NOT_EXIST, also where it is deleted and must not be.

    """
    for record in records:
        if allow_deleted or record.row.lifecycle_stage == LifecycleStage.ACTIVE:
            return record
    raise rules.no_model(model_id)


def _active(record: RunRecord | ExperimentRecord) -> bool:
    return record.row.lifecycle_stage == LifecycleStage.ACTIVE


def _not_active(what: str, stage: str) -> Exception:
    return invalid(f"{what} must be in the 'active' state. Current state is {stage}.")
