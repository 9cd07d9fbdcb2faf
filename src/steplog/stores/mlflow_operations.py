"""Operations as calls to an MLflow server.

Each may be performed again after an answer was lost, or the ledger was. Most of MLflow's calls do
not mind; where one would do something twice, or be refused for having been done, it is looked up
first what is there.

What is not here: points (`mlflow_points`), in which order things are sent and what becomes of those
that are declined (`mlflow_sending`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import singledispatchmethod
from itertools import islice
from typing import Any

from steplog.entities import LifecycleStage
from steplog.exceptions import StoreError
from steplog.operations import (
    CreateExperiment,
    CreateModel,
    CreateRun,
    DeleteExperimentTag,
    DeleteModelTag,
    DeleteTag,
    LogInputs,
    LogModelParams,
    LogOutputs,
    LogParams,
    Operation,
    SetExperimentTags,
    SetModelTags,
    SetTags,
    UpdateExperiment,
    UpdateModel,
    UpdateRun,
)
from steplog.rows import DEFAULT_EXPERIMENT_ID, RUN_NAME_TAG
from steplog.stores.base import PARENT_RUN_ID
from steplog.stores.mlflow_api import Api, Declined, pairs, quoted
from steplog.stores.mlflow_ids import TAGS, Ids, texts
from steplog.stores.mlflow_ledger import Ledger

MOST_PAIRS = 100
"""Params, or tags, of one call."""
PATIENCE_SECONDS = 60.0
"""How long the creation of a run is waited for that others log to already."""

_MODEL_STATUSES = {
    "PENDING": "LOGGED_MODEL_PENDING",
    "READY": "LOGGED_MODEL_READY",
    "FAILED": "LOGGED_MODEL_UPLOAD_FAILED",
}


class Operations:
    """Performs operations on one server. For one thread at a time."""

    def __init__(self, api: Api, ids: Ids, ledger: Ledger) -> None:
        self._api = api
        self._ids = ids
        self._ledger = ledger
        self._missed: dict[str, float] = {}  # runs that are not there yet, and since when

    def perform(self, operation: Operation, again: bool) -> None:
        """Perform an operation.

        Args:
            operation: what to do.
            again: whether it may have been done already, and only the answer was lost.

        Raises:
            Declined: the server will not do it.
            StoreError: it cannot be done now.

        """
        self._perform(operation, again)

    def run(self, ours: str, time_ms: int = 0) -> str:
        """Return the server's id of a run that is logged to.

        Where nobody has created it, that may still wait in another journal; so it is waited for a
        while, and then the run is made, in the default experiment, so that nothing is lost.

        Raises:
            StoreError: it is not there yet.

        """
        theirs = self._ids.run(ours)
        if theirs is not None:
            self._missed.pop(ours, None)
            return theirs
        since = self._missed.setdefault(ours, time.monotonic())
        if time.monotonic() - since < PATIENCE_SECONDS:
            raise StoreError(f"The run {ours} is not on {self._api.name} yet.")
        with self._ledger.holding(f"run-{ours}"):
            theirs = self._ids.run(ours)
            if theirs is None:
                name = f"recovered-{ours[:8]}"
                theirs = self._new_run(ours, DEFAULT_EXPERIMENT_ID, name, time_ms)
                self._ledger.pair("placeholder", ours, theirs)
        return theirs

    @singledispatchmethod
    def _perform(self, operation: Operation, again: bool) -> None:
        raise TypeError(f"not an operation: {operation!r}")

    # -- experiments ------------------------------------------------------------------------------

    @_perform.register
    def _create_experiment(self, operation: CreateExperiment, again: bool) -> None:
        ours, name = operation.experiment_id, operation.name
        if self._ids.named_experiment(ours, name) is None:
            self._new_experiment(ours, name, operation.tags, operation.artifact_location)
        elif not (operation.exist_ok or again):
            raise Declined(f"Experiment(name={name}) already exists.", "RESOURCE_ALREADY_EXISTS")
        elif operation.tags:
            self._perform(SetExperimentTags(ours, operation.tags), again)

    @_perform.register
    def _update_experiment(self, operation: UpdateExperiment, again: bool) -> None:
        theirs = {"experiment_id": self._experiment(operation.experiment_id)}
        if operation.name is not None:
            self._api.post("experiments/update", {**theirs, "new_name": operation.name})
        if operation.lifecycle_stage is not None:
            verb = "delete" if operation.lifecycle_stage == LifecycleStage.DELETED else "restore"
            # What is deleted already is not found to be deleted.
            with _perhaps_gone(again):
                self._api.post(f"experiments/{verb}", theirs, once=True)

    @_perform.register
    def _set_experiment_tags(self, operation: SetExperimentTags, again: bool) -> None:
        theirs = self._experiment(operation.experiment_id)
        for pair in pairs(operation.tags):
            self._api.post("experiments/set-experiment-tag", {"experiment_id": theirs, **pair})

    @_perform.register
    def _delete_experiment_tag(self, operation: DeleteExperimentTag, again: bool) -> None:
        theirs = self._experiment(operation.experiment_id)
        body = {"experiment_id": theirs, "key": operation.key}
        with _perhaps_gone(again):
            self._api.post("experiments/delete-experiment-tag", body, once=True)

    def _experiment(self, ours: str, name: str | None = None) -> str:
        """Return the server's id of an experiment, which is made where its name is known."""
        theirs = self._ids.experiment(ours, name)
        if theirs is None and name:
            theirs = self._new_experiment(ours, name, {})
        if theirs is None:
            raise Declined(f"No Experiment with id={ours} exists", "RESOURCE_DOES_NOT_EXIST")
        return theirs

    def _new_experiment(
        self, ours: str, name: str, tags: Mapping[str, str], location: str = ""
    ) -> str:
        body: dict[str, Any] = {"name": name, "tags": pairs({**tags, TAGS["experiment"]: ours})}
        if location:
            body["artifact_location"] = location
        try:
            theirs = str(self._api.post("experiments/create", body)["experiment_id"])
        except Declined as declined:
            # Somebody else was faster, or it was this process and the answer was lost.
            found = self._ids.named_experiment(ours, name)
            if found is None or declined.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return found
        self._ledger.pair("experiment", ours, theirs)
        return theirs

    # -- runs -------------------------------------------------------------------------------------

    @_perform.register
    def _create_run(self, operation: CreateRun, again: bool) -> None:
        ours = operation.run_id
        with self._ledger.holding(f"run-{ours}"):
            theirs = self._ledger.theirs("run", ours)
            if theirs and not self._ledger.theirs("placeholder", ours):
                return
            try:
                experiment = self._experiment(operation.experiment_id, operation.experiment_name)
                if theirs:
                    self._fill_in(theirs, operation, experiment)
                elif self._ids.tagged_run(ours, [experiment]) is None:
                    self._begin_run(operation, experiment)
            except Declined:
                self._missed[ours] = float("-inf")  # it will not come any more
                raise

    def _begin_run(self, operation: CreateRun, experiment: str) -> None:
        theirs = self._new_run(
            operation.run_id, experiment, operation.name, operation.start_time,
            self._translated(operation.tags), operation.user_id,
        )  # fmt: skip
        if operation.status != "RUNNING":
            self._api.post("runs/update", {"run_id": theirs, "status": operation.status})

    def _new_run(
        self,
        ours: str,
        experiment: str,
        name: str,
        start_time: int,
        tags: Mapping[str, str] = {},
        user_id: str = "",
    ) -> str:
        body = {
            "experiment_id": experiment,
            "user_id": user_id,
            "run_name": name,
            "start_time": start_time,
            "tags": pairs({**tags, RUN_NAME_TAG: name, TAGS["run"]: ours}),
        }
        theirs = str(self._api.post("runs/create", body, once=True)["run"]["info"]["run_id"])
        self._ledger.pair("run", ours, theirs)
        return theirs

    def _fill_in(self, theirs: str, operation: CreateRun, experiment: str) -> None:
        """Make of a run that had to be made before its creation was known what it should be."""
        tags = {**self._translated(operation.tags), RUN_NAME_TAG: operation.name}
        self._log(theirs, "tags", tags)
        self._ledger.pair("placeholder", operation.run_id, "")
        if experiment != DEFAULT_EXPERIMENT_ID:
            raise Declined(
                f"What was logged to the run {operation.run_id} came before its creation, so the "
                f"run stays in the experiment {DEFAULT_EXPERIMENT_ID}: MLflow moves none.",
                "INVALID_STATE",
            )

    @_perform.register
    def _update_run(self, operation: UpdateRun, again: bool) -> None:
        theirs = {"run_id": self.run(operation.run_id, operation.time_ms)}
        if operation.lifecycle_stage is not None:
            verb = "delete" if operation.lifecycle_stage == LifecycleStage.DELETED else "restore"
            self._api.post(f"runs/{verb}", theirs)
        changes = {
            "status": operation.status,
            "end_time": operation.end_time,
            "run_name": operation.name,
        }
        changes = {name: value for name, value in changes.items() if value is not None}
        if changes:
            self._api.post("runs/update", {**theirs, **changes})

    @_perform.register
    def _log_params(self, operation: LogParams, again: bool) -> None:
        self._log(self.run(operation.run_id), "params", operation.params)

    @_perform.register
    def _set_tags(self, operation: SetTags, again: bool) -> None:
        self._log(self.run(operation.run_id), "tags", self._translated(operation.tags))

    def _log(self, theirs: str, what: str, values: Mapping[str, str]) -> None:
        for some in _portions(values):
            self._api.post("runs/log-batch", {"run_id": theirs, what: pairs(some)})

    @_perform.register
    def _delete_tag(self, operation: DeleteTag, again: bool) -> None:
        body = {"run_id": self.run(operation.run_id), "key": operation.key}
        with _perhaps_gone(again):
            self._api.post("runs/delete-tag", body, once=True)

    @_perform.register
    def _log_inputs(self, operation: LogInputs, again: bool) -> None:
        datasets = [
            {
                "dataset": {
                    name: value
                    for name, value in given.items()
                    if name != "tags" and value is not None
                },
                "tags": pairs(given.get("tags") or {}),
            }
            for given in operation.datasets
        ]
        models = [{"model_id": self._model(ours)} for ours in operation.models]
        body = {"run_id": self.run(operation.run_id), "datasets": datasets, "models": models}
        self._api.post("runs/log-inputs", {name: value for name, value in body.items() if value})

    @_perform.register
    def _log_outputs(self, operation: LogOutputs, again: bool) -> None:
        theirs = self.run(operation.run_id)
        run = self._api.get("runs/get", run_id=theirs)["run"]
        made = {each["model_id"] for each in run.get("outputs", {}).get("model_outputs", ())}
        models = [
            {"model_id": model, "step": step}
            for ours, step in operation.models
            if (model := self._model(ours)) not in made
        ]
        if models:
            self._api.post("runs/outputs", {"run_id": theirs, "models": models}, once=True)

    def _translated(self, tags: Mapping[str, str]) -> dict[str, str]:
        """Return tags with the parent run named as the server calls it, if it is there."""
        parent = tags.get(PARENT_RUN_ID)
        if not parent:
            return {**tags}
        return {**tags, PARENT_RUN_ID: self._ids.run(parent) or parent}

    # -- logged models ----------------------------------------------------------------------------

    @_perform.register
    def _create_model(self, operation: CreateModel, again: bool) -> None:
        ours = operation.model_id
        with self._ledger.holding(f"model-{ours}"):
            theirs = self._ledger.theirs("model", ours)
            theirs = theirs or self._ids.tagged_model(ours) or self._new_model(operation)
        if operation.status != "PENDING":
            self._set_status(theirs, operation.status)

    def _new_model(self, operation: CreateModel) -> str:
        ours, source = operation.model_id, operation.source_run_id
        first, *more = _portions(operation.params) or [{}]
        body = {
            "experiment_id": self._experiment(operation.experiment_id, operation.experiment_name),
            "name": operation.name,
            "model_type": operation.model_type or "",
            "source_run_id": source and (self._ids.run(source) or source),
            "params": pairs(first),
            "tags": pairs({**operation.tags, TAGS["model"]: ours}),
        }
        body = {name: value for name, value in body.items() if value}
        answer = self._api.post("logged-models", body, once=True)
        theirs = str(answer["model"]["info"]["model_id"])
        self._ledger.pair("model", ours, theirs)
        for some in more:
            self._add_params(theirs, some)
        return theirs

    @_perform.register
    def _update_model(self, operation: UpdateModel, again: bool) -> None:
        theirs = self._model(operation.model_id)
        if operation.status is not None:
            self._set_status(theirs, operation.status)
        if operation.lifecycle_stage == LifecycleStage.DELETED:
            with _perhaps_gone(again):
                self._api.call("DELETE", f"logged-models/{quoted(theirs)}", once=True)
        elif operation.lifecycle_stage is not None:
            raise Declined("An MLflow server restores no deleted model.", "NOT_IMPLEMENTED")

    def _set_status(self, theirs: str, status: str) -> None:
        body = {"model_id": theirs, "status": _MODEL_STATUSES[status]}
        self._api.change("PATCH", f"logged-models/{quoted(theirs)}", body)

    @_perform.register
    def _log_model_params(self, operation: LogModelParams, again: bool) -> None:
        theirs = self._model(operation.model_id)
        model = self._api.get(f"logged-models/{quoted(theirs)}")["model"]
        known = texts(model.get("data", {}).get("params"))
        for key, value in operation.params.items():
            if known.get(key, value) != value:
                raise Declined(
                    f"Changing param values is not allowed. Param with key='{key}' was already "
                    f"logged with value='{known[key]}' for model ID='{operation.model_id}'. "
                    f"Attempted logging new value '{value}'.",
                    "INVALID_PARAMETER_VALUE",
                )
        new = {key: value for key, value in operation.params.items() if key not in known}
        for some in _portions(new):
            self._add_params(theirs, some)

    def _add_params(self, theirs: str, params: Mapping[str, str]) -> None:
        body = {"model_id": theirs, "params": pairs(params)}
        self._api.post(f"logged-models/{quoted(theirs)}/params", body, once=True)

    @_perform.register
    def _set_model_tags(self, operation: SetModelTags, again: bool) -> None:
        theirs = self._model(operation.model_id)
        body = {"model_id": theirs, "tags": pairs(operation.tags)}
        self._api.change("PATCH", f"logged-models/{quoted(theirs)}/tags", body)

    @_perform.register
    def _delete_model_tag(self, operation: DeleteModelTag, again: bool) -> None:
        path = f"logged-models/{quoted(self._model(operation.model_id))}/tags"
        with _perhaps_gone(again):
            self._api.call("DELETE", f"{path}/{quoted(operation.key)}", once=True)

    def _model(self, ours: str) -> str:
        theirs = self._ids.model(ours)
        if theirs is None:
            raise Declined(f"Logged model with ID '{ours}' not found.", "RESOURCE_DOES_NOT_EXIST")
        return theirs


@contextmanager
def _perhaps_gone(again: bool) -> Iterator[None]:
    """Take it well that something is not there, if it may have been removed already.

    What is called here is not repeated by the connection (`once`): nobody would know of it.
    """
    try:
        yield
    except Declined as declined:
        if not (again and declined.error_code == "RESOURCE_DOES_NOT_EXIST"):
            raise


def _portions(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Return params or tags in portions that one call may carry."""
    items: Iterator[tuple[str, str]] = iter(values.items())
    return [dict(some) for some in iter(lambda: [*islice(items, MOST_PAIRS)], [])]
