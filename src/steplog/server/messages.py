"""The messages of MLflow's REST API, as one table: a class is a message, a field of it a field.

Everything about the wire is derived from here: decoding and encoding (`steplog.server.wire`) and
the OpenAPI document (`steplog.server.openapi`). The names are those of MLflow's ``service.proto``;
fields stand in the order in which MLflow looks for mistakes in them.

A field without a default must be given, and a `Text` must not be empty. None says that a field is
not there: null in JSON means the same, and what is None is not sent.

What is not here: messages about artifacts, registered models, traces, and others that steplog does
not serve.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Text = Annotated[str, Meta(min_length=1)]
Double: TypeAlias = float | Literal["NaN", "Infinity", "-Infinity"]
"""A number, or the name of what JSON has no number for; ``float()`` makes one of either."""

# Protobuf numbers these names from 1 on, and a number is accepted for its name.
RunStatus: TypeAlias = Literal["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"]
ViewType: TypeAlias = Literal["ACTIVE_ONLY", "DELETED_ONLY", "ALL"]
LoggedModelStatus: TypeAlias = Literal[
    "LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED"
]
ENUMS = (RunStatus, ViewType, LoggedModelStatus)


class Message(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """What travels in the body of a request or of its answer, as a JSON object."""


class Empty(Message):
    """Nothing: what most requests that change something are answered with."""


class Error(Message):
    """Why a request was not done."""

    error_code: str
    message: str


# What runs and experiments are made of -------------------------------------------------------


class Pair(Message):
    """A param, or a tag of an experiment, a run, a model or an input."""

    key: Text
    value: str


class Experiment(Message):
    """A named group of runs; times are in ms since 1970."""

    experiment_id: str
    name: str
    artifact_location: str
    lifecycle_stage: str
    last_update_time: Int64 | None = None
    creation_time: Int64 | None = None
    tags: list[Pair] | None = None
    workspace: str | None = None


class Metric(Message):
    """One point of a metric; the timestamp is in ms since 1970, `step` None means 0."""

    key: Text
    value: Double
    timestamp: Int64
    step: Int64 | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None
    model_id: str | None = None
    run_id: str | None = None


class Dataset(Message):
    """A dataset that was used, known by name and digest."""

    name: Text
    digest: Text
    source_type: str
    source: str
    schema: str | None = None
    profile: str | None = None


class DatasetInput(Message):
    """A dataset that a run has read."""

    dataset: Dataset
    tags: list[Pair] | None = None


class ModelInput(Message):
    """A model that a run has read."""

    model_id: Text


class ModelOutput(Message):
    """A model that a run has made, and at which step."""

    model_id: Text
    step: Int64


class RunInfo(Message):
    """What a run is called, where it belongs, and how far it has come; times are in ms."""

    run_id: str
    run_uuid: str
    run_name: str
    experiment_id: str
    user_id: str
    status: RunStatus
    start_time: Int64
    artifact_uri: str
    lifecycle_stage: str
    end_time: Int64 | None = None


class RunData(Message):
    """The latest point of each metric, the params and the tags of a run."""

    metrics: list[Metric] | None = None
    params: list[Pair] | None = None
    tags: list[Pair] | None = None


class RunInputs(Message):
    """What a run has read."""

    dataset_inputs: list[DatasetInput] | None = None
    model_inputs: list[ModelInput] | None = None


class RunOutputs(Message):
    """What a run has made."""

    model_outputs: list[ModelOutput] | None = None


class Run(Message):
    """A run as it is now."""

    info: RunInfo
    data: RunData
    inputs: RunInputs
    outputs: RunOutputs | None = None


class LoggedModelInfo(Message):
    """What a model is called, where it belongs, and how far it has come; times are in ms."""

    model_id: str
    experiment_id: str
    name: str
    creation_timestamp_ms: Int64
    last_updated_timestamp_ms: Int64
    artifact_uri: str
    status: LoggedModelStatus
    model_type: str | None = None
    source_run_id: str | None = None
    status_message: str | None = None
    tags: list[Pair] | None = None


class LoggedModelData(Message):
    """The params of a model, and every point that was measured on it."""

    params: list[Pair] | None = None
    metrics: list[Metric] | None = None


class LoggedModel(Message):
    """A model as it is now."""

    info: LoggedModelInfo
    data: LoggedModelData


# Experiments -----------------------------------------------------------------------------------


class CreateExperiment(Message):
    """A new experiment."""

    name: Text
    artifact_location: str | None = None
    tags: list[Pair] | None = None


class ExperimentId(Message):
    """Which experiment is meant, or was made."""

    experiment_id: Text


class ExperimentName(Message):
    """Which experiment is meant, by its name."""

    experiment_name: Text


class AnExperiment(Message):
    """The experiment that was asked for."""

    experiment: Experiment


class SearchExperiments(Message):
    """Which experiments are wanted, and how many; `max_results` must be given."""

    view_type: ViewType | None = None
    max_results: Int64 | None = None
    order_by: list[str] | None = None
    filter: str | None = None
    page_token: str | None = None


class FoundExperiments(Message):
    """One page of experiments."""

    experiments: list[Experiment] | None = None
    next_page_token: str | None = None


class UpdateExperiment(Message):
    """Another name for an experiment."""

    experiment_id: Text
    new_name: Text


class SetExperimentTag(Message):
    """A tag of an experiment, new or changed."""

    experiment_id: Text
    key: Text
    value: str


class DeleteExperimentTag(Message):
    """A tag of an experiment, to be removed."""

    experiment_id: Text
    key: Text


class SearchDatasets(Message):
    """Experiments whose datasets are wanted, at most 20."""

    experiment_ids: list[str] | None = None


class DatasetSummary(Message):
    """A dataset that a run of an experiment has read, and as what."""

    experiment_id: str
    name: str
    digest: str
    context: str | None = None


class FoundDatasets(Message):
    """The datasets of some experiments."""

    dataset_summaries: list[DatasetSummary] | None = None


# Runs ------------------------------------------------------------------------------------------


class CreateRun(Message):
    """A new run; `start_time` in ms, None for now."""

    experiment_id: Text
    user_id: str | None = None
    start_time: Int64 | None = None
    run_name: str | None = None
    tags: list[Pair] | None = None


class ARun(Message):
    """The run that was asked for, or that was made."""

    run: Run


class RunId(Message):
    """Which run is meant."""

    run_id: Text
    run_uuid: str | None = None


class UpdateRun(Message):
    """Another status, end or name of a run; None leaves it as it is."""

    run_id: Text
    end_time: Int64 | None = None
    status: RunStatus | None = None
    run_name: str | None = None
    run_uuid: str | None = None


class UpdatedRun(Message):
    """The run as it is after a change."""

    run_info: RunInfo


class SearchRuns(Message):
    """Which runs are wanted, and how many: 1,000 where nothing is said, 50,000 at most."""

    experiment_ids: list[str] | None = None
    filter: str | None = None
    run_view_type: ViewType | None = None
    max_results: Int32 | None = None
    order_by: list[str] | None = None
    page_token: str | None = None


class FoundRuns(Message):
    """One page of runs."""

    runs: list[Run] | None = None
    next_page_token: str | None = None


class LogMetric(Message):
    """One point of a run's metric; `timestamp` in ms, `step` None for 0."""

    run_id: Text
    key: Text
    value: Double
    timestamp: Int64
    step: Int64 | None = None
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None
    run_uuid: str | None = None


class LogParam(Message):
    """A param of a run."""

    run_id: Text
    key: Text
    value: str
    run_uuid: str | None = None


class SetTag(Message):
    """A tag of a run, new or changed."""

    run_id: Text
    key: Text
    value: str
    run_uuid: str | None = None


class DeleteTag(Message):
    """A tag of a run, to be removed."""

    run_id: Text
    key: Text
    run_uuid: str | None = None


class LogBatch(Message):
    """Points, params and tags of one run: at most 1,000, of which 100 params and 100 tags."""

    run_id: Text
    metrics: list[Metric] | None = None
    params: list[Pair] | None = None
    tags: list[Pair] | None = None


class LogInputs(Message):
    """Datasets and models that a run has read."""

    run_id: Text
    datasets: list[DatasetInput] | None = None
    models: list[ModelInput] | None = None


class LogOutputs(Message):
    """Models that a run has made."""

    run_id: Text
    models: list[ModelOutput]


class LogModel(Message):
    """A model that a run has made, as MLflow 2 told of it: the text of a JSON object."""

    run_id: Text
    model_json: Text


# Metrics ---------------------------------------------------------------------------------------


class GetHistory(Message):
    """A metric whose points are wanted: all, or `max_results` of them."""

    run_id: Text
    metric_key: Text
    max_results: Int32 | None = None
    page_token: str | None = None
    run_uuid: str | None = None


class History(Message):
    """Points of one metric, by timestamp, step and value."""

    metrics: list[Metric] | None = None
    next_page_token: str | None = None


class GetHistoryBulk(Message):
    """A metric whose points are wanted of several runs; at most 25,000 points in all."""

    run_id: list[str] | None = None
    metric_key: str | None = None
    max_results: Int32 | None = None


class GetHistoryInterval(Message):
    """A metric whose points are wanted of several runs, thinned to `max_results` of each run.

    Both steps or neither are given; both are included.
    """

    run_ids: list[str]
    metric_key: Text
    start_step: Int64 | None = None
    end_step: Int64 | None = None
    max_results: Int32 | None = None


class Histories(Message):
    """Points of one metric of several runs, run after run."""

    metrics: list[Metric] | None = None


# Logged models -----------------------------------------------------------------------------------


class CreateLoggedModel(Message):
    """A new model."""

    experiment_id: Text
    name: str | None = None
    model_type: str | None = None
    source_run_id: str | None = None
    params: list[Pair] | None = None
    tags: list[Pair] | None = None


class ALoggedModel(Message):
    """The model that was asked for, or that was made."""

    model: LoggedModel


class GetLoggedModel(Message):
    """Whether a deleted model is wanted, too."""

    allow_deleted: bool | None = None


class FinalizeLoggedModel(Message):
    """What became of a model; `model_id` is the one in the path."""

    model_id: Text
    status: LoggedModelStatus


class SetLoggedModelTags(Message):
    """Tags of a model, new or changed."""

    model_id: str | None = None
    tags: list[Pair] | None = None


class LogLoggedModelParams(Message):
    """Params of a model; `model_id` is the one in the path."""

    model_id: Text
    params: list[Pair] | None = None


class ModelDataset(Message):
    """A dataset on which a model was measured; without a digest, any of that name."""

    dataset_name: Text
    dataset_digest: str | None = None


class ModelOrder(Message):
    """What models are ordered by: an attribute, or a metric, measured on a dataset or on any."""

    field_name: Text
    ascending: bool | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None


class SearchLoggedModels(Message):
    """Which models are wanted, and how many: 50 where nothing is said."""

    experiment_ids: list[str]
    filter: str | None = None
    datasets: list[ModelDataset] | None = None
    max_results: Int32 | None = None
    order_by: list[ModelOrder] | None = None
    page_token: str | None = None


class FoundLoggedModels(Message):
    """One page of models."""

    models: list[LoggedModel] | None = None
    next_page_token: str | None = None
