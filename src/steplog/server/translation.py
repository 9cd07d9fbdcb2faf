"""Between steplog's entities and the messages that travel; nothing is decided here.

What the messages are is said in `steplog.server.messages`, what the entities are in
`steplog.entities`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast, get_args

from steplog import entities
from steplog.exceptions import MlflowException
from steplog.server import messages
from steplog.server.wire import spelled

WORKSPACE = "default"
"""MLflow's servers divide experiments into workspaces where told to; here is only this one."""
_MODEL_STATUSES = {
    entities.LoggedModelStatus.PENDING: "LOGGED_MODEL_PENDING",
    entities.LoggedModelStatus.READY: "LOGGED_MODEL_READY",
    entities.LoggedModelStatus.FAILED: "LOGGED_MODEL_UPLOAD_FAILED",
    entities.LoggedModelStatus.UNSPECIFIED: "LOGGED_MODEL_STATUS_UNSPECIFIED",
}


def view_type(name: messages.ViewType | None) -> int:
    """Return the number of a view type; that of what is not deleted where none is named."""
    return get_args(messages.ViewType).index(name or "ACTIVE_ONLY") + 1


def dictionary(pairs: Iterable[messages.Pair] | None, what: str) -> dict[str, str]:
    """Return params or tags by key.

    Args:
        pairs: as they came.
        what: how the error calls one of them.

    Raises:
        MlflowException: BAD_REQUEST where a key is there twice, as in MLflow.

    """
    values: dict[str, str] = {}
    for pair in pairs or ():
        if pair.key in values:
            raise MlflowException(f"There are two {what} with the key '{pair.key}'.", "BAD_REQUEST")
        values[pair.key] = pair.value
    return values


def experiment(value: entities.Experiment) -> messages.Experiment:
    """Return an experiment as it travels."""
    return messages.Experiment(
        experiment_id=value.experiment_id,
        name=value.name,
        artifact_location=value.artifact_location,
        lifecycle_stage=value.lifecycle_stage,
        last_update_time=value.last_update_time,
        creation_time=value.creation_time,
        tags=_pairs(value.tags),
        workspace=WORKSPACE,
    )


def run(value: entities.Run) -> messages.Run:
    """Return a run as it travels."""
    data = messages.RunData(
        metrics=[metric(each) for each in value.data._metric_objs] or None,
        params=_pairs(value.data.params),
        tags=_pairs(value.data.tags),
    )
    outputs = [
        messages.ModelOutput(each.model_id, each.step) for each in value.outputs.model_outputs
    ]
    return messages.Run(
        info=run_info(value.info),
        data=data,
        inputs=_run_inputs(value.inputs),
        outputs=messages.RunOutputs(outputs or None),
    )


def run_info(value: entities.RunInfo) -> messages.RunInfo:
    """Return what a run is called, where it belongs and how far it has come, as it travels."""
    return messages.RunInfo(
        run_id=value.run_id,
        run_uuid=value.run_id,
        run_name=value.run_name or "",
        experiment_id=value.experiment_id,
        user_id=value.user_id,
        status=cast(messages.RunStatus, value.status),
        start_time=value.start_time,
        artifact_uri=value.artifact_uri or "",
        lifecycle_stage=value.lifecycle_stage,
        end_time=value.end_time,
    )


def metric(value: entities.Metric) -> messages.Metric:
    """Return a point as it travels."""
    return messages.Metric(
        key=value.key,
        value=spelled(value.value),
        timestamp=value.timestamp,
        step=value.step,
        dataset_name=value.dataset_name,
        dataset_digest=value.dataset_digest,
        model_id=value.model_id,
        run_id=value.run_id,
    )


def metric_entity(message: messages.Metric) -> entities.Metric:
    """Return a point that came.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE where it names half a dataset.

    """
    return entities.Metric(
        key=message.key,
        value=float(message.value),
        timestamp=message.timestamp,
        step=message.step or 0,
        model_id=message.model_id or None,
        dataset_name=message.dataset_name or None,
        dataset_digest=message.dataset_digest or None,
    )


def dataset_input_entity(message: messages.DatasetInput) -> entities.DatasetInput:
    """Return a dataset that a run has read, as it came."""
    dataset = message.dataset
    return entities.DatasetInput(
        entities.Dataset(
            name=dataset.name,
            digest=dataset.digest,
            source_type=dataset.source_type,
            source=dataset.source,
            schema=dataset.schema,
            profile=dataset.profile,
        ),
        [entities.InputTag(tag.key, tag.value) for tag in message.tags or ()],
    )


def logged_model(value: entities.LoggedModel) -> messages.LoggedModel:
    """Return a model as it travels."""
    info = messages.LoggedModelInfo(
        model_id=value.model_id,
        experiment_id=value.experiment_id,
        name=value.name,
        creation_timestamp_ms=value.creation_timestamp,
        last_updated_timestamp_ms=value.last_updated_timestamp,
        artifact_uri=value.artifact_location,
        status=cast(messages.LoggedModelStatus, _MODEL_STATUSES[value.status]),
        model_type=value.model_type,
        source_run_id=value.source_run_id,
        status_message=value.status_message,
        tags=_pairs(value.tags),
    )
    metrics = [metric(each) for each in value.metrics or ()]
    return messages.LoggedModel(
        info=info, data=messages.LoggedModelData(_pairs(value.params), metrics or None)
    )


def model_status(name: messages.LoggedModelStatus) -> entities.LoggedModelStatus:
    """Return the status of a model that came."""
    return next(status for status, known in _MODEL_STATUSES.items() if known == name)


def _run_inputs(value: entities.RunInputs) -> messages.RunInputs:
    datasets = [
        messages.DatasetInput(
            messages.Dataset(
                each.dataset.name,
                each.dataset.digest,
                each.dataset.source_type,
                each.dataset.source,
                each.dataset.schema,
                each.dataset.profile,
            ),
            [messages.Pair(tag.key, tag.value) for tag in each.tags] or None,
        )
        for each in value.dataset_inputs
    ]
    models = [messages.ModelInput(each.model_id) for each in value.model_inputs]
    return messages.RunInputs(datasets or None, models or None)


def _pairs(values: Mapping[str, str]) -> list[messages.Pair] | None:
    return [messages.Pair(*pair) for pair in values.items()] or None
