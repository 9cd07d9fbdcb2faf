"""The rows of a catalog, and how one transaction of a store offers them to be read and changed.

Values and a protocol, nothing else. What an operation does to rows is decided in `steplog.fold`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from steplog.entities import LifecycleStage

DEFAULT_EXPERIMENT_ID = "0"
RUN_NAME_TAG = "mlflow.runName"
OPEN_STATUSES = ("RUNNING", "SCHEDULED")
"""The statuses of a run that has not ended."""

Pairs = Literal["experiment_tags", "params", "tags", "model_params", "model_tags"]
"""The kinds of (key, value) that an experiment, a run or a logged model owns."""

Role = Literal["input", "output"]
"""What a logged model is to a run."""


class ExperimentRow(NamedTuple):
    """An experiment as the catalog keeps it; times are in ms.

    `placeholder` is True while the experiment is known only by a run that was created in it.
    """

    experiment_id: str
    name: str
    artifact_location: str
    lifecycle_stage: str
    creation_time: int
    last_update_time: int
    placeholder: bool = False


class RunRow(NamedTuple):
    """A run as the catalog keeps it; times are in ms, `end_time` is None while it has none.

    `placeholder` is True while the run is known only by what was logged to it.
    """

    run_id: str
    experiment_id: str
    user_id: str
    name: str
    status: str
    start_time: int
    end_time: int | None
    lifecycle_stage: str
    artifact_uri: str
    placeholder: bool = False


class ModelRow(NamedTuple):
    """A logged model as the catalog keeps it; times are in ms, `status` is MLflow's name.

    `placeholder` is True while the model is known only by what was done to it.
    """

    model_id: str
    experiment_id: str
    name: str
    artifact_location: str
    creation_timestamp: int
    last_updated_timestamp: int
    model_type: str | None
    source_run_id: str | None
    status: str
    status_message: str | None
    lifecycle_stage: str
    placeholder: bool = False


class Refusal(NamedTuple):
    """Why an operation was not accepted: what an `MlflowException` will say, and of which run."""

    error_code: str
    message: str
    run_id: str | None = None


class Rows(Protocol):
    """The rows of a catalog, as one transaction of a store sees and changes them."""

    def experiment(self, experiment_id: str) -> ExperimentRow | None:
        """Return the experiment with this id."""
        ...

    def experiment_named(self, name: str) -> ExperimentRow | None:
        """Return the experiment that has this name now."""
        ...

    def put_experiment(self, row: ExperimentRow) -> None:
        """Insert the experiment, or replace the row of its id."""
        ...

    def set_runs_lifecycle(self, experiment_id: str, lifecycle_stage: str) -> None:
        """Give every run of the experiment this lifecycle stage."""
        ...

    def run(self, run_id: str) -> RunRow | None:
        """Return the run with this id."""
        ...

    def put_run(self, row: RunRow) -> None:
        """Insert the run, or replace the row of its id."""
        ...

    def model(self, model_id: str) -> ModelRow | None:
        """Return the logged model with this id."""
        ...

    def put_model(self, row: ModelRow) -> None:
        """Insert the model, or replace the row of its id."""
        ...

    def pairs(self, kind: Pairs, owner_id: str) -> dict[str, str]:
        """Return all pairs of one kind that this run, experiment or model has."""
        ...

    def put_pairs(self, kind: Pairs, owner_id: str, pairs: Mapping[str, str]) -> None:
        """Set these pairs and leave the others."""
        ...

    def remove_pair(self, kind: Pairs, owner_id: str, key: str) -> None:
        """Remove the pair of this key, which is there."""
        ...

    def add_datasets(self, run_id: str, datasets: Sequence[Mapping[str, Any]]) -> None:
        """Add inputs to a run (`operations.LogInputs`).

        A dataset that the run's experiment knows by name and digest is not described anew, and one
        that is an input of the run already keeps its tags.
        """
        ...

    def add_models(self, run_id: str, role: Role, models: Sequence[tuple[str, int]]) -> None:
        """Add models, each with a step, to those that a run used or made; once each."""
        ...


def default_experiment(time_ms: int) -> ExperimentRow:
    """Return the experiment that every catalog begins with, as MLflow's does."""
    return ExperimentRow(
        DEFAULT_EXPERIMENT_ID, "Default", "", LifecycleStage.ACTIVE, time_ms, time_ms
    )
