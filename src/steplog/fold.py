"""What an operation does to a catalog: decided once, here, above every store.

`fold` takes one operation and the rows of a catalog, and either changes the rows or returns why it
did not: a `Refusal` with MLflow's error code and the message text of its SQL store. A store offers
its rows (`steplog.rows`) within a transaction of its own, and decides nothing.

Journals of different processes reach the store in any order, so an operation may speak of a run
whose creation has not arrived yet. Nothing of it is lost: the run becomes a *placeholder*, and the
`CreateRun` that comes later fills it in. The same goes for logged models, and for the experiment of
a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from typing import NamedTuple, TypeVar

from steplog.entities import LifecycleStage
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
from steplog.rows import (
    DEFAULT_EXPERIMENT_ID,
    RUN_NAME_TAG,
    ExperimentRow,
    ModelRow,
    Refusal,
    Rows,
    RunRow,
)

Storable = TypeVar("Storable", bound=NamedTuple)


def ensure_run(run_id: str, rows: Rows, time_ms: int = 0) -> RunRow:
    """Return the run, made as a placeholder in the default experiment where it is not known.

    Args:
        run_id: whole run id.
        rows: the catalog.
        time_ms: start time of a placeholder; 0 where the caller knows none.

    """
    row = rows.run(run_id)
    if row is None:
        row = RunRow(
            run_id=run_id,
            experiment_id=DEFAULT_EXPERIMENT_ID,
            user_id="",
            name=placeholder_name(run_id),
            status="RUNNING",
            start_time=time_ms,
            end_time=None,
            lifecycle_stage=LifecycleStage.ACTIVE,
            artifact_uri="",
            placeholder=True,
        )
        rows.put_run(row)
        rows.put_pairs("tags", run_id, {RUN_NAME_TAG: row.name})
    return row


def filled_in(placeholder: RunRow, created: RunRow) -> RunRow:
    """Return the run as created, with what has been done to its placeholder already."""
    renamed = placeholder.name != placeholder_name(placeholder.run_id)
    updated = placeholder.status != "RUNNING"
    return created._replace(
        name=placeholder.name if renamed else created.name,
        status=placeholder.status if updated else created.status,
        end_time=placeholder.end_time,
        lifecycle_stage=placeholder.lifecycle_stage,
    )


def placeholder_name(run_id: str) -> str:
    """Return what a run is called, or a model, until it is known what it was named."""
    return f"recovered-{run_id[:8]}"


def fold(operation: Operation, rows: Rows) -> Refusal | None:
    """Apply one operation to the rows of a catalog.

    Args:
        operation: what to do.
        rows: the catalog; unchanged where the operation is refused, but for a placeholder.

    Returns:
        Why the operation was refused, or None when it was applied.

    """
    return _fold(storable(operation), rows)


def storable(value: Storable) -> Storable:
    """Return an operation or a series key as every store can keep it.

    Databases take neither the lone surrogates by which Python spells the undecodable bytes of a
    file name, nor integers of more than 64 bits. Journals do; and a record that no store accepts
    would keep all records behind it from being ingested.

    Example:
        >>> storable(SetTags("4f2a", {"source": "caf\\udce9.py"})).tags
        {'source': 'caf?.py'}

    """
    return type(value)._make(map(_storable_field, value))


def _storable_field(field: object) -> object:
    if isinstance(field, str):
        return field if field.isascii() else field.encode("utf-8", "replace").decode("utf-8")
    if isinstance(field, int):
        return max(-(2**63), min(field, 2**63 - 1))
    if isinstance(field, dict):
        return {_storable_field(key): _storable_field(value) for key, value in field.items()}
    if isinstance(field, list):
        return [_storable_field(each) for each in field]
    return field


@singledispatch
def _fold(operation: Operation, rows: Rows) -> Refusal | None:
    raise TypeError(f"not an operation: {operation!r}")


@_fold.register
def _create_experiment(operation: CreateExperiment, rows: Rows) -> Refusal | None:
    known = rows.experiment(operation.experiment_id) or rows.experiment_named(operation.name)
    if known is not None and not known.placeholder:
        return None if operation.exist_ok else _experiment_exists(operation.name)
    row = ExperimentRow(
        operation.experiment_id,
        operation.name,
        operation.artifact_location,
        LifecycleStage.ACTIVE,
        operation.time_ms,
        operation.time_ms,
    )
    if known is not None:
        row = row._replace(
            experiment_id=known.experiment_id,
            name=known.name,
            lifecycle_stage=known.lifecycle_stage,
        )
    rows.put_experiment(row)
    rows.put_pairs("experiment_tags", row.experiment_id, operation.tags)
    return None


@_fold.register
def _update_experiment(operation: UpdateExperiment, rows: Rows) -> Refusal | None:
    row = rows.experiment(operation.experiment_id)
    # As in MLflow, what is deleted cannot be found to be deleted again, nor the active to be
    # restored.
    if row is None or row.lifecycle_stage == operation.lifecycle_stage:
        return _no_experiment(operation.experiment_id)
    if operation.name is not None:
        if row.lifecycle_stage != LifecycleStage.ACTIVE:
            return Refusal("INVALID_STATE", "Cannot rename a non-active experiment.")
        holder = rows.experiment_named(operation.name)
        if holder is not None and holder.experiment_id != row.experiment_id:
            return _experiment_exists(operation.name)
        row = row._replace(name=operation.name)
    if operation.lifecycle_stage is not None:
        row = row._replace(lifecycle_stage=operation.lifecycle_stage)
        rows.set_runs_lifecycle(row.experiment_id, row.lifecycle_stage)
    rows.put_experiment(row._replace(last_update_time=operation.time_ms))
    return None


@_fold.register
def _set_experiment_tags(operation: SetExperimentTags, rows: Rows) -> Refusal | None:
    row = rows.experiment(operation.experiment_id)
    if row is None or row.lifecycle_stage != LifecycleStage.ACTIVE:
        return _no_active_experiment(operation.experiment_id, row)
    rows.put_pairs("experiment_tags", row.experiment_id, operation.tags)
    return None


@_fold.register
def _delete_experiment_tag(operation: DeleteExperimentTag, rows: Rows) -> Refusal | None:
    row = rows.experiment(operation.experiment_id)
    if row is None or row.lifecycle_stage != LifecycleStage.ACTIVE:
        return _no_active_experiment(operation.experiment_id, row)
    if operation.key not in rows.pairs("experiment_tags", row.experiment_id):
        return Refusal(
            "RESOURCE_DOES_NOT_EXIST",
            f"No tag with name: {operation.key} in experiment with id {row.experiment_id}",
        )
    rows.remove_pair("experiment_tags", row.experiment_id, operation.key)
    return None


@_fold.register
def _create_run(operation: CreateRun, rows: Rows) -> Refusal | None:
    known = rows.run(operation.run_id)
    if known is not None and not known.placeholder:
        return None
    experiment = _experiment_of(
        operation.experiment_id, operation.experiment_name, operation.start_time, rows
    )
    if experiment is None or experiment.lifecycle_stage != LifecycleStage.ACTIVE:
        return _no_active_experiment(operation.experiment_id, experiment, operation.run_id)
    row = RunRow(
        operation.run_id,
        experiment.experiment_id,
        operation.user_id,
        operation.name,
        operation.status,
        operation.start_time,
        None,
        LifecycleStage.ACTIVE,
        operation.artifact_uri,
    )
    tags = {**operation.tags, RUN_NAME_TAG: operation.name}
    if known is not None:
        row = filled_in(known, row)
        tags |= rows.pairs("tags", row.run_id) | {RUN_NAME_TAG: row.name}
    rows.put_run(row)
    rows.put_pairs("tags", row.run_id, tags)
    return None


@_fold.register
def _update_run(operation: UpdateRun, rows: Rows) -> Refusal | None:
    row = ensure_run(operation.run_id, rows, operation.time_ms)
    if operation.lifecycle_stage is not None:
        row = row._replace(lifecycle_stage=operation.lifecycle_stage)
    elif row.lifecycle_stage != LifecycleStage.ACTIVE:
        return _run_not_active(row)
    if operation.status is not None:
        row = row._replace(status=operation.status)
    if operation.end_time is not None:
        row = row._replace(end_time=operation.end_time)
    if operation.name:
        row = row._replace(name=operation.name)
        rows.put_pairs("tags", row.run_id, {RUN_NAME_TAG: row.name})
    rows.put_run(row)
    return None


@_fold.register
def _log_params(operation: LogParams, rows: Rows) -> Refusal | None:
    row = ensure_run(operation.run_id, rows)
    if row.lifecycle_stage != LifecycleStage.ACTIVE:
        return _run_not_active(row)
    known = rows.pairs("params", row.run_id)
    if any(known.get(key, value) != value for key, value in operation.params.items()):
        return _param_changed(operation, known)
    rows.put_pairs("params", row.run_id, operation.params)
    return None


@_fold.register
def _set_tags(operation: SetTags, rows: Rows) -> Refusal | None:
    row = ensure_run(operation.run_id, rows)
    if row.lifecycle_stage != LifecycleStage.ACTIVE:
        return _run_not_active(row)
    rows.put_pairs("tags", row.run_id, operation.tags)
    name = operation.tags.get(RUN_NAME_TAG)
    if name:
        rows.put_run(row._replace(name=name))
    return None


@_fold.register
def _delete_tag(operation: DeleteTag, rows: Rows) -> Refusal | None:
    row = ensure_run(operation.run_id, rows)
    if row.lifecycle_stage != LifecycleStage.ACTIVE:
        return _run_not_active(row)
    if operation.key not in rows.pairs("tags", row.run_id):
        return Refusal(
            "RESOURCE_DOES_NOT_EXIST",
            f"No tag with name: {operation.key} in run with id {row.run_id}",
            row.run_id,
        )
    rows.remove_pair("tags", row.run_id, operation.key)
    return None


@_fold.register
def _log_inputs(operation: LogInputs, rows: Rows) -> Refusal | None:
    row = ensure_run(operation.run_id, rows)
    if row.lifecycle_stage != LifecycleStage.ACTIVE:
        return _run_not_active(row)
    rows.add_datasets(row.run_id, operation.datasets)
    rows.add_models(row.run_id, "input", [(model_id, 0) for model_id in operation.models])
    return None


@_fold.register
def _log_outputs(operation: LogOutputs, rows: Rows) -> Refusal | None:
    row = ensure_run(operation.run_id, rows)
    if row.lifecycle_stage != LifecycleStage.ACTIVE:
        return _run_not_active(row)
    rows.add_models(row.run_id, "output", [(model_id, step) for model_id, step in operation.models])
    return None


@_fold.register
def _create_model(operation: CreateModel, rows: Rows) -> Refusal | None:
    known = rows.model(operation.model_id)
    if known is not None and not known.placeholder:
        return None
    experiment = _experiment_of(
        operation.experiment_id, operation.experiment_name, operation.time_ms, rows
    )
    if experiment is None or experiment.lifecycle_stage != LifecycleStage.ACTIVE:
        return _no_active_experiment(operation.experiment_id, experiment)
    row = ModelRow(
        operation.model_id,
        experiment.experiment_id,
        operation.name,
        operation.artifact_location,
        operation.time_ms,
        operation.time_ms,
        operation.model_type,
        operation.source_run_id,
        operation.status,
        None,
        LifecycleStage.ACTIVE,
    )
    tags = operation.tags
    if known is not None:
        row = row._replace(
            status=operation.status if known.status == "PENDING" else known.status,
            status_message=known.status_message,
            lifecycle_stage=known.lifecycle_stage,
            last_updated_timestamp=max(row.last_updated_timestamp, known.last_updated_timestamp),
        )
        tags = tags | rows.pairs("model_tags", row.model_id)
    rows.put_model(row)
    rows.put_pairs("model_params", row.model_id, operation.params)
    rows.put_pairs("model_tags", row.model_id, tags)
    return None


@_fold.register
def _update_model(operation: UpdateModel, rows: Rows) -> Refusal | None:
    row = _ensure_model(operation.model_id, rows)
    rows.put_model(
        row._replace(
            status=operation.status or row.status,
            status_message=operation.status_message or row.status_message,
            lifecycle_stage=operation.lifecycle_stage or row.lifecycle_stage,
            last_updated_timestamp=operation.time_ms,
        )
    )
    return None


@_fold.register
def _log_model_params(operation: LogModelParams, rows: Rows) -> Refusal | None:
    row = _ensure_model(operation.model_id, rows)
    known = rows.pairs("model_params", row.model_id)
    for key, value in operation.params.items():
        if known.get(key, value) != value:
            return Refusal(
                "INVALID_PARAMETER_VALUE",
                f"Changing param values is not allowed. Param with key='{key}' was already logged "
                f"with value='{known[key]}' for model ID='{row.model_id}'. Attempted logging new "
                f"value '{value}'.",
            )
    rows.put_pairs("model_params", row.model_id, operation.params)
    return None


@_fold.register
def _set_model_tags(operation: SetModelTags, rows: Rows) -> Refusal | None:
    row = _ensure_model(operation.model_id, rows)
    rows.put_pairs("model_tags", row.model_id, operation.tags)
    return None


@_fold.register
def _delete_model_tag(operation: DeleteModelTag, rows: Rows) -> Refusal | None:
    row = _ensure_model(operation.model_id, rows)
    if operation.key not in rows.pairs("model_tags", row.model_id):
        return Refusal(
            "RESOURCE_DOES_NOT_EXIST",
            f"No tag with key {operation.key!r} found for model with ID {row.model_id!r}.",
        )
    rows.remove_pair("model_tags", row.model_id, operation.key)
    return None


def _ensure_model(model_id: str, rows: Rows) -> ModelRow:
    """Return the model, made as a placeholder in the default experiment where it is not known."""
    row = rows.model(model_id)
    if row is None:
        row = ModelRow(
            model_id=model_id,
            experiment_id=DEFAULT_EXPERIMENT_ID,
            name=placeholder_name(model_id.removeprefix("m-")),
            artifact_location="",
            creation_timestamp=0,
            last_updated_timestamp=0,
            model_type=None,
            source_run_id=None,
            status="PENDING",
            status_message=None,
            lifecycle_stage=LifecycleStage.ACTIVE,
            placeholder=True,
        )
        rows.put_model(row)
    return row


def _experiment_of(
    experiment_id: str, name: str | None, time_ms: int, rows: Rows
) -> ExperimentRow | None:
    """Return an experiment: by id, else by name, else made where the name is known.

    Two hosts that never met derive one id from one name; but where an experiment was renamed, one
    of them may have had to take another id, and the name is what both meant.
    """
    row = rows.experiment(experiment_id)
    if row is None and name:
        row = rows.experiment_named(name)
    if row is None and name:
        row = ExperimentRow(experiment_id, name, "", LifecycleStage.ACTIVE, time_ms, time_ms, True)
        rows.put_experiment(row)
    return row


def _no_experiment(experiment_id: str, run_id: str | None = None) -> Refusal:
    message = f"No Experiment with id={experiment_id} exists"
    return Refusal("RESOURCE_DOES_NOT_EXIST", message, run_id)


def _no_active_experiment(
    experiment_id: str, row: ExperimentRow | None, run_id: str | None = None
) -> Refusal:
    if row is None:
        return _no_experiment(experiment_id, run_id)
    message = (
        f"The experiment {row.experiment_id} must be in the 'active' state. "
        f"Current state is {row.lifecycle_stage}."
    )
    return Refusal("INVALID_PARAMETER_VALUE", message, run_id)


def _experiment_exists(name: str) -> Refusal:
    return Refusal("RESOURCE_ALREADY_EXISTS", f"Experiment(name={name}) already exists.")


def _run_not_active(row: RunRow) -> Refusal:
    message = (
        f"The run {row.run_id} must be in the 'active' state. "
        f"Current state is {row.lifecycle_stage}."
    )
    return Refusal("INVALID_PARAMETER_VALUE", message, row.run_id)


def _param_changed(operation: LogParams, known: Mapping[str, str]) -> Refusal:
    changes = [
        {"key": key, "old_value": known[key], "new_value": value}
        for key, value in operation.params.items()
        if known.get(key, value) != value
    ]
    if operation.single:
        [change] = changes
        message = (
            f"Changing param values is not allowed. Param with key='{change['key']}' was already"
            f" logged with value='{change['old_value']}' for run ID='{operation.run_id}'."
            f" Attempted logging new value '{change['new_value']}'."
        )
    else:
        message = (
            f"Changing param values is not allowed. Params were already"
            f" logged='{changes}' for run ID='{operation.run_id}'."
        )
    return Refusal("INVALID_PARAMETER_VALUE", message, operation.run_id)
