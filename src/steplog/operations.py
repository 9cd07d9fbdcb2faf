"""Changes to the catalog as values, and the bytes by which a journal keeps them.

An operation says what is wanted; what it does to a catalog, and when it is refused, is decided in
`steplog.fold`. Every operation may be applied twice.

Journals outlive the program that wrote them: the names of operations and of their fields are part
of the format (``docs/formats/journal.md``). Add fields with a default at the end, never rename one.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from steplog.exceptions import JournalDamaged


class SeriesKey(NamedTuple):
    """What tells one series from all others; empty text where there is no model or dataset.

    `rank` is that of the process that logged it, -1 where it was no part of a distributed job. A
    journal says it once for all of its series, in the header.
    """

    run_id: str
    key: str
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""
    attempt: int = 0
    rank: int = -1


class CreateExperiment(NamedTuple):
    """A new experiment; with `exist_ok`, only where there is none of that name."""

    experiment_id: str
    name: str
    artifact_location: str
    tags: dict[str, str]
    time_ms: int
    exist_ok: bool = False


class UpdateExperiment(NamedTuple):
    """Another name, or another lifecycle stage; None leaves it as it is."""

    experiment_id: str
    time_ms: int
    name: str | None = None
    lifecycle_stage: str | None = None


class SetExperimentTags(NamedTuple):
    """Tags of an experiment, new or changed."""

    experiment_id: str
    tags: dict[str, str]


class DeleteExperimentTag(NamedTuple):
    """A tag of an experiment, to be removed."""

    experiment_id: str
    key: str


class CreateRun(NamedTuple):
    """A new run.

    Its experiment is made where it is missing, under `experiment_name`: the journal of another
    process, which created the experiment, may not have been read yet.
    """

    run_id: str
    experiment_id: str
    user_id: str
    name: str
    start_time: int
    tags: dict[str, str]
    artifact_uri: str
    status: str = "RUNNING"
    experiment_name: str | None = None


class UpdateRun(NamedTuple):
    """Another status, end, name or lifecycle stage; None leaves it as it is."""

    run_id: str
    time_ms: int
    status: str | None = None
    end_time: int | None = None
    name: str | None = None
    lifecycle_stage: str | None = None


class LogParams(NamedTuple):
    """Params of a run, all or none; `single` chooses the text that refuses one param alone."""

    run_id: str
    params: dict[str, str]
    single: bool = False


class SetTags(NamedTuple):
    """Tags of a run, new or changed."""

    run_id: str
    tags: dict[str, str]


class DeleteTag(NamedTuple):
    """A tag of a run, to be removed."""

    run_id: str
    key: str


class LogInputs(NamedTuple):
    """Datasets and models that a run used; those that are its inputs already stay as they are.

    A dataset is a dict with the fields of `steplog.entities.Dataset`, and `tags`: a dict of those
    that say how this run used it.
    """

    run_id: str
    datasets: list[dict[str, Any]]
    models: list[str]


class LogOutputs(NamedTuple):
    """Models that a run made: ``[model_id, step]`` of each."""

    run_id: str
    models: list[list[Any]]


class CreateModel(NamedTuple):
    """A new logged model; its experiment is made where it is missing, as that of a run is."""

    model_id: str
    experiment_id: str
    name: str
    artifact_location: str
    time_ms: int
    model_type: str | None
    source_run_id: str | None
    params: dict[str, str]
    tags: dict[str, str]
    status: str = "PENDING"
    experiment_name: str | None = None


class UpdateModel(NamedTuple):
    """Another status, or another lifecycle stage; None leaves it as it is."""

    model_id: str
    time_ms: int
    status: str | None = None
    status_message: str | None = None
    lifecycle_stage: str | None = None


class LogModelParams(NamedTuple):
    """Params of a logged model, all or none."""

    model_id: str
    params: dict[str, str]


class SetModelTags(NamedTuple):
    """Tags of a logged model, new or changed."""

    model_id: str
    tags: dict[str, str]


class DeleteModelTag(NamedTuple):
    """A tag of a logged model, to be removed."""

    model_id: str
    key: str


Operation = (
    CreateExperiment
    | UpdateExperiment
    | SetExperimentTags
    | DeleteExperimentTag
    | CreateRun
    | UpdateRun
    | LogParams
    | SetTags
    | DeleteTag
    | LogInputs
    | LogOutputs
    | CreateModel
    | UpdateModel
    | LogModelParams
    | SetModelTags
    | DeleteModelTag
)

_CLASSES: dict[str, type[Operation]] = {
    "create_experiment": CreateExperiment,
    "update_experiment": UpdateExperiment,
    "set_experiment_tags": SetExperimentTags,
    "delete_experiment_tag": DeleteExperimentTag,
    "create_run": CreateRun,
    "update_run": UpdateRun,
    "log_params": LogParams,
    "set_tags": SetTags,
    "delete_tag": DeleteTag,
    "log_inputs": LogInputs,
    "log_outputs": LogOutputs,
    "create_model": CreateModel,
    "update_model": UpdateModel,
    "log_model_params": LogModelParams,
    "set_model_tags": SetModelTags,
    "delete_model_tag": DeleteModelTag,
}
_NAMES = {cls: name for name, cls in _CLASSES.items()}


def encode(operation: Operation) -> bytes:
    """Return the operation as UTF-8 JSON.

    Example:
        >>> encode(DeleteTag("4f2a", "note"))
        b'{"op":"delete_tag","run_id":"4f2a","key":"note"}'

    """
    return _dump({"op": _NAMES[type(operation)], **operation._asdict()})


def decode(data: bytes) -> Operation:
    """Return the operation that `encode` was given; fields that it does not know are ignored.

    Raises:
        JournalDamaged: `data` is no operation, or one of a kind that this steplog does not know.

    """
    fields = _load(data)
    name = str(fields.get("op"))
    if name not in _CLASSES:
        raise JournalDamaged(f"The journal holds an operation of the unknown kind {name!r}.")
    operation: Operation = _build(_CLASSES[name], fields)
    return operation


def encode_series(key: SeriesKey) -> bytes:
    """Return the definition of a series as UTF-8 JSON, without defaults: there are many."""
    usual = SeriesKey._field_defaults
    return _dump({name: value for name, value in key._asdict().items() if value != usual.get(name)})


def decode_series(data: bytes) -> SeriesKey:
    """Return the key that `encode_series` was given.

    Raises:
        JournalDamaged: `data` is no definition of a series.

    """
    key: SeriesKey = _build(SeriesKey, _load(data))
    return key


def _dump(fields: dict[str, Any]) -> bytes:
    # ASCII with escapes, not plain UTF-8: that can also hold the lone surrogates by which Python
    # spells the undecodable bytes of a file name or an argument.
    return json.dumps(fields, separators=(",", ":")).encode("ascii")


def _load(data: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(data)
    except ValueError as error:
        raise JournalDamaged(f"The journal holds a record that is not JSON: {error}.") from error
    if not isinstance(fields, dict):
        raise JournalDamaged("The journal holds a record that is not a JSON object.")
    return fields


def _build(cls: Any, fields: dict[str, Any]) -> Any:
    try:
        return cls(**{name: fields[name] for name in cls._fields if name in fields})
    except TypeError as error:
        raise JournalDamaged(f"The journal holds an incomplete {cls.__name__}: {error}.") from error
