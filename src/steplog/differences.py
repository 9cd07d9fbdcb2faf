"""What has to be done to the catalog of one store so that it knows what another one knows.

One store is the *source*, the other the *target*. Here a record of the source (a run, an
experiment, a logged model) is compared with that of the target, and the operations are named that
the target lacks. No I/O; how points are compared is in `steplog.sync`. What wins:

* What only one of them knows stays, and what the target lacks is sent.
* Params and inputs never change. Where the target has another value, it keeps it (`Kept`).
* Of tags, names and descriptions the source's counts.
* Of two states of a run (status and end) the later one counts, and that of a run which is logged to
  just now is the latest; of two states of a logged model, the one that was changed last.
* What was deleted in either of them is deleted in the target.

Who compares again and again (`steplog sync --watch`) can say what the source knew *before*: then
only what changed since counts, removed tags and restored runs included, and what somebody changed
in the target stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from steplog.entities import LifecycleStage
from steplog.fold import filled_in, placeholder_name
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
from steplog.rows import OPEN_STATUSES, RUN_NAME_TAG, ExperimentRow, ModelRow, RunRow
from steplog.stores.base import ExperimentRecord, ModelRecord, RunRecord

ACTIVE, DELETED = LifecycleStage.ACTIVE, LifecycleStage.DELETED


class Kept(NamedTuple):
    """Something that the two stores know differently, and that the target keeps as it is."""

    what: str
    source: str
    target: str


class Differences(NamedTuple):
    """What the target lacks, as operations in their order, and what it keeps otherwise."""

    operations: list[Operation]
    kept: list[Kept]


def run_differences(
    source: RunRecord,
    target: RunRecord | None,
    experiment: ExperimentRow,
    *,
    live: bool = False,
    before: RunRecord | None = None,
) -> Differences:
    """Return what a target lacks of a run. All of it must be applied in one batch.

    Args:
        source: the run as the source knows it.
        target: as the target does; None where it does not.
        experiment: the run's, as the source calls it, with the id that it has in the target.
        live: whether a process that logs to the run lives.
        before: the run as the source knew it when it was compared last.

    """
    made, known = _known_run(source, target, experiment)
    before = None if made else before
    operations: list[Operation] = [
        *_state_of_run(source.row, known.row, live),
        *_missing_params(source, known),
        *_missing_uses(source, known),
        *_changed_tags(source, known, before),
    ]
    run_id = source.row.run_id
    present = known.row.lifecycle_stage
    stage = _stage(source.row.lifecycle_stage, present, before and before.row.lifecycle_stage)
    if operations and present != ACTIVE:  # what is deleted does not change
        operations.insert(0, UpdateRun(run_id, 0, lifecycle_stage=ACTIVE))
        present = ACTIVE
    if stage != present:
        operations.append(UpdateRun(run_id, 0, lifecycle_stage=stage))
    return Differences(made + operations, _kept_of_run(source, known, experiment.experiment_id))


def is_later(source: RunRow, target: RunRow) -> bool:
    """Tell whether a run's status and end in the source are at least as late as in the target.

    A later end is later. A run is later open than ended where it ended before, for then it was
    resumed; and later ended than open where no end is known.
    """

    def age(row: RunRow) -> tuple[bool, int, bool]:
        ended = row.end_time is not None
        return ended, row.end_time or 0, (row.status in OPEN_STATUSES) == ended

    return age(source) >= age(target)


def model_differences(
    source: ModelRecord,
    target: ModelRecord | None,
    experiment: ExperimentRow,
    *,
    before: ModelRecord | None = None,
) -> Differences:
    """Return what a target lacks of a logged model; the arguments are as for `run_differences`."""
    model_id = source.row.model_id
    made, known = _known_model(source, target, experiment)
    before = None if made else before
    operations = _state_of_model(source.row, known.row, before and before.row)
    params = _missing(source.params, known.params)
    if params:
        operations.append(LogModelParams(model_id, params))
    tags, removed = _changed(source.tags, known.tags, before and before.tags)
    if tags:
        operations.append(SetModelTags(model_id, tags))
    operations += [DeleteModelTag(model_id, key) for key in removed]
    kept = _kept_pairs(f"logged model {model_id}: param", source.params, known.params)
    return Differences(made + operations, kept)


def made_experiment(source: ExperimentRecord) -> CreateExperiment:
    """Return the operation that makes an experiment which the target lacks; it is active then."""
    row = source.row
    return CreateExperiment(
        row.experiment_id, row.name, row.artifact_location, source.tags, row.creation_time, True
    )


def experiment_differences(
    source: ExperimentRecord,
    target: ExperimentRecord,
    active_runs: Sequence[str],
    *,
    before: ExperimentRecord | None = None,
) -> list[Operation]:
    """Return what a target that knows an experiment lacks of it, but for its name and its runs.

    All of it must be applied in one batch.

    Args:
        source: the experiment as the source knows it.
        target: as the target does.
        active_runs: the experiment's runs in the target that are active; deleting it and restoring
            it go for all of its runs.
        before: the experiment as the source knew it when it was compared last.

    """
    row, known, experiment_id = source.row, target.row, target.row.experiment_id
    operations: list[Operation] = []
    tags, removed = _changed(source.tags, target.tags, before and before.tags)
    if tags:
        operations.append(SetExperimentTags(experiment_id, tags))
    operations += [DeleteExperimentTag(experiment_id, key) for key in removed]
    stage = _stage(
        row.lifecycle_stage, known.lifecycle_stage, before and before.row.lifecycle_stage
    )
    time_ms = max(row.last_update_time, known.last_update_time)
    if known.lifecycle_stage != ACTIVE and stage == ACTIVE:
        operations.insert(0, UpdateExperiment(experiment_id, time_ms, lifecycle_stage=ACTIVE))
    elif known.lifecycle_stage != ACTIVE and operations:
        operations = reopened(known, operations, active_runs)
    elif known.lifecycle_stage != stage:
        operations += _deleted(experiment_id, time_ms, active_runs)
    # Where it never changed, it says when it was made; the default experiment's, in each store.
    if row.creation_time < row.last_update_time and time_ms != known.last_update_time:
        operations.append(UpdateExperiment(experiment_id, time_ms))
    return operations


def reopened(
    experiment: ExperimentRow, operations: Sequence[Operation], active_runs: Sequence[str]
) -> list[Operation]:
    """Return operations that a deleted experiment would refuse, between its restoring and deleting.

    Args:
        experiment: as the target knows it.
        operations: what is to be done in it.
        active_runs: its runs in the target that are active all the same.

    """
    experiment_id, time_ms = experiment.experiment_id, experiment.last_update_time
    return [
        UpdateExperiment(experiment_id, time_ms, lifecycle_stage=ACTIVE),
        *operations,
        *_deleted(experiment_id, time_ms, active_runs),
    ]


# -- runs ------------------------------------------------------------------------------------------


def _known_run(
    source: RunRecord, target: RunRecord | None, experiment: ExperimentRow
) -> tuple[list[Operation], RunRecord]:
    """Return what makes the run, where that must be done, and the run as it then is."""
    row = source.row
    if target is not None and (row.placeholder or not target.row.placeholder):
        return [], target
    if row.placeholder:
        new = row._replace(name=placeholder_name(row.run_id), status="RUNNING")
        made: Operation = UpdateRun(row.run_id, row.start_time)
        tags = {}
    else:
        new, tags = row, source.tags
        made = CreateRun(
            row.run_id, experiment.experiment_id, row.user_id, row.name, row.start_time,
            source.tags, row.artifact_uri, row.status, experiment.name,
        )  # fmt: skip
    new = new._replace(
        end_time=None, lifecycle_stage=ACTIVE, experiment_id=experiment.experiment_id
    )
    if target is None:
        return [made], RunRecord(new, {}, {**tags, RUN_NAME_TAG: new.name})
    new = filled_in(target.row, new)
    return [made], target._replace(row=new, tags={**tags, **target.tags, RUN_NAME_TAG: new.name})


def _state_of_run(row: RunRow, known: RunRow, live: bool) -> list[Operation]:
    if not (is_later(row, known) or (live and row.status in OPEN_STATUSES)):
        return []
    status = row.status if row.status != known.status else None
    end_time = row.end_time if row.end_time != known.end_time else None
    if status is None and end_time is None:
        return []
    return [UpdateRun(row.run_id, 0, status, end_time)]


def _missing_params(source: RunRecord, known: RunRecord) -> list[Operation]:
    params = _missing(source.params, known.params)
    return [LogParams(source.row.run_id, params)] if params else []


def _missing_uses(source: RunRecord, known: RunRecord) -> list[Operation]:
    run_id = source.row.run_id
    have = {(each.name, each.digest) for each in known.datasets}
    datasets = [each._asdict() for each in source.datasets if (each.name, each.digest) not in have]
    operations: list[Operation] = [LogInputs(run_id, datasets, [])] if datasets else []
    used = {(each.role, each.model_id) for each in known.models}
    missing = [each for each in source.models if (each.role, each.model_id) not in used]
    for role, uses in groupby(missing, key=lambda use: use.role):
        if role == "input":
            operations.append(LogInputs(run_id, [], [use.model_id for use in uses]))
        else:
            operations.append(LogOutputs(run_id, [[use.model_id, use.step] for use in uses]))
    return operations


def _changed_tags(source: RunRecord, known: RunRecord, before: RunRecord | None) -> list[Operation]:
    """Return what changes the tags, and with them the name, which is one of them."""
    run_id, name = source.row.run_id, source.row.name
    have = known.tags
    operations: list[Operation] = []
    unnamed = source.row.placeholder and name == placeholder_name(run_id)
    if name != known.row.name and not unnamed and (before is None or before.row.name != name):
        operations.append(UpdateRun(run_id, 0, name=name))
        have = {**have, RUN_NAME_TAG: name}
    changed, removed = _changed(source.tags, have, before and before.tags)
    # It comes with every run: a run that lacks it has lost it.
    if before is None and RUN_NAME_TAG in have and RUN_NAME_TAG not in source.tags:
        removed.append(RUN_NAME_TAG)
    if unnamed and changed.get(RUN_NAME_TAG) == name:
        del changed[RUN_NAME_TAG]
    if changed:
        operations.append(SetTags(run_id, changed))
    return [*operations, *(DeleteTag(run_id, key) for key in removed)]


def _kept_of_run(source: RunRecord, known: RunRecord, experiment_id: str) -> list[Kept]:
    run_id = source.row.run_id
    kept = _kept_pairs(f"run {run_id}: param", source.params, known.params)
    if source.row.placeholder or known.row.placeholder:
        return kept
    expected = source.row._replace(experiment_id=experiment_id)
    for name in ("experiment_id", "user_id", "start_time", "artifact_uri"):
        ours, theirs = (str(getattr(row, name)) for row in (expected, known.row))
        if "" not in (ours, theirs) and ours != theirs:  # without a place, a store has one for it
            kept.append(Kept(f"run {run_id}: {name}", ours, theirs))
    return kept


# -- models ----------------------------------------------------------------------------------------


def _known_model(
    source: ModelRecord, target: ModelRecord | None, experiment: ExperimentRow
) -> tuple[list[Operation], ModelRecord]:
    """Return what makes the model, where that must be done, and the model as it then is."""
    row = source.row
    if target is not None and (row.placeholder or not target.row.placeholder):
        return [], target
    if row.placeholder:
        made: Operation = UpdateModel(row.model_id, row.last_updated_timestamp)
        new = row._replace(status="PENDING", status_message=None, lifecycle_stage=ACTIVE)
        return [made], ModelRecord(new, {}, {})
    made = CreateModel(
        row.model_id, experiment.experiment_id, row.name, row.artifact_location,
        row.creation_timestamp, row.model_type, row.source_run_id, source.params, source.tags,
        row.status, experiment.name,
    )  # fmt: skip
    new = row._replace(
        last_updated_timestamp=row.creation_timestamp, status_message=None, lifecycle_stage=ACTIVE
    )
    if target is None:
        return [made], ModelRecord(new, source.params, source.tags)
    params, tags = {**target.params, **source.params}, {**source.tags, **target.tags}
    return [made], ModelRecord(target.row, params, tags)


def _state_of_model(row: ModelRow, known: ModelRow, before: ModelRow | None) -> list[Operation]:
    operations: list[Operation] = []
    later = row.last_updated_timestamp - known.last_updated_timestamp
    other = row.status != known.status or row.status_message not in (None, known.status_message)
    if later > 0 or (later == 0 and other):
        operations.append(
            UpdateModel(row.model_id, row.last_updated_timestamp, row.status, row.status_message)
        )
    stage = _stage(row.lifecycle_stage, known.lifecycle_stage, before and before.lifecycle_stage)
    if stage != known.lifecycle_stage:
        time_ms = max(row.last_updated_timestamp, known.last_updated_timestamp)
        operations.append(UpdateModel(row.model_id, time_ms, lifecycle_stage=stage))
    return operations


# -- all of them -----------------------------------------------------------------------------------


def _stage(source: str, target: str, before: str | None) -> str:
    """Return the lifecycle stage that something is to have in the target."""
    if before is None:
        return DELETED if DELETED in (source, target) else ACTIVE
    return target if before == source else source


def _missing(source: Mapping[str, str], target: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in source.items() if key not in target}


def _changed(
    source: Mapping[str, str], target: Mapping[str, str], before: Mapping[str, str] | None
) -> tuple[dict[str, str], list[str]]:
    """Return the pairs that the target lacks, and the keys of those that it has to lose."""
    differing = {key: value for key, value in source.items() if target.get(key) != value}
    if before is None:
        return differing, []
    changed = {key: value for key, value in differing.items() if before.get(key) != value}
    return changed, [key for key in before if key not in source and key in target]


def _kept_pairs(what: str, source: Mapping[str, str], target: Mapping[str, str]) -> list[Kept]:
    return [
        Kept(f"{what} {key}", value, target[key])
        for key, value in source.items()
        if target.get(key, value) != value
    ]


def _deleted(experiment_id: str, time_ms: int, active_runs: Sequence[str]) -> list[Operation]:
    return [
        UpdateExperiment(experiment_id, time_ms, lifecycle_stage=DELETED),
        *(UpdateRun(run_id, 0, lifecycle_stage=ACTIVE) for run_id in active_runs),
    ]
