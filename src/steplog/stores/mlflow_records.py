"""What an MLflow server answers, as the records and points of a store; with our ids.

What is not here: asking (`mlflow_server`), and points on their way there (`mlflow_points`).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from steplog.operations import SeriesKey
from steplog.points import Columns, union
from steplog.rows import ExperimentRow, ModelRow, RunRow
from steplog.stores.base import (
    PARENT_RUN_ID,
    DatasetUse,
    ExperimentRecord,
    Last,
    ModelRecord,
    ModelUse,
    RunRecord,
)
from steplog.stores.mlflow_ids import TAGS, Ids, texts

_MODEL_STATUSES = {
    "LOGGED_MODEL_PENDING": "PENDING",
    "LOGGED_MODEL_READY": "READY",
    "LOGGED_MODEL_UPLOAD_FAILED": "FAILED",
}


def experiment(message: Mapping[str, Any], ids: Ids) -> ExperimentRecord:
    """Return an experiment as it came."""
    tags = texts(message.get("tags"))
    row = ExperimentRow(
        ids.our_experiment(message["experiment_id"], tags),
        message["name"],
        message.get("artifact_location", ""),
        message["lifecycle_stage"],
        int(message.get("creation_time", 0)),
        int(message.get("last_update_time", 0)),
    )
    return ExperimentRecord(row, _own(tags))


def run(
    message: Mapping[str, Any], ids: Ids, writers: Callable[[str], frozenset[str]], last: bool
) -> RunRecord:
    """Return a run as it came.

    Args:
        message: of the server.
        ids: to translate them.
        writers: takes our id of a run and returns who logs to it.
        last: whether its last points are wanted.

    """
    info, data = message["info"], message.get("data", {})
    tags = texts(data.get("tags"))
    run_id = ids.our_run(info["run_id"], tags)
    if PARENT_RUN_ID in tags:
        tags[PARENT_RUN_ID] = ids.our_run(tags[PARENT_RUN_ID])
    row = RunRow(
        run_id,
        ids.our_experiment(info["experiment_id"]),
        info.get("user_id", ""),
        info.get("run_name", ""),
        info["status"],
        int(info.get("start_time", 0)),
        int(info["end_time"]) if info.get("end_time") else None,
        info["lifecycle_stage"],
        info.get("artifact_uri", ""),
    )
    inputs, outputs = message.get("inputs", {}), message.get("outputs", {})
    used = [ModelUse("input", ids.our_model(m["model_id"]), 0) for m in _each(inputs, "model")]
    made = [
        ModelUse("output", ids.our_model(m["model_id"]), int(m.get("step", 0)))
        for m in _each(outputs, "model", "outputs")
    ]
    return RunRecord(
        row,
        texts(data.get("params")),
        _own(tags),
        writers(run_id),
        [_dataset(each) for each in inputs.get("dataset_inputs", ())],
        [*used, *made],
        [_last(each) for each in data.get("metrics", ())] if last else (),
    )


def model(message: Mapping[str, Any], ids: Ids) -> ModelRecord:
    """Return a logged model as it came."""
    info, tags = message["info"], texts(message["info"].get("tags"))
    source = info.get("source_run_id")
    row = ModelRow(
        ids.our_model(info["model_id"], tags),
        ids.our_experiment(info["experiment_id"]),
        info.get("name", ""),
        info.get("artifact_uri", ""),
        int(info.get("creation_timestamp_ms", 0)),
        int(info.get("last_updated_timestamp_ms", 0)),
        info.get("model_type") or None,
        ids.our_run(source) if source else None,
        _MODEL_STATUSES.get(info.get("status", ""), "UNSPECIFIED"),
        info.get("status_message") or None,
        "active",  # the server does not tell of deleted ones
    )
    return ModelRecord(row, texts(message.get("data", {}).get("params")), _own(tags))


def model_series(message: Mapping[str, Any], ids: Ids) -> dict[SeriesKey, Columns]:
    """Return the points that were measured on a logged model, as it came, by their series."""
    model_id = ids.our_model(message["info"]["model_id"], texts(message["info"].get("tags")))
    metrics: dict[SeriesKey, list[Mapping[str, Any]]] = {}
    for each in message.get("data", {}).get("metrics", ()):
        key = SeriesKey(
            ids.our_run(each["run_id"]),
            each["key"],
            model_id,
            each.get("dataset_name") or "",
            each.get("dataset_digest") or "",
        )
        metrics.setdefault(key, []).append(each)
    return {key: columns([some]) for key, some in metrics.items()}


def columns(pages: Iterable[Iterable[Mapping[str, Any]]]) -> Columns:
    """Return the points of one series, as they came page by page, in series order."""
    return union([_columns([*page]) for page in pages])


def _columns(page: list[Mapping[str, Any]]) -> Columns:
    return Columns(
        np.array([int(each.get("step", 0)) for each in page], np.int64),
        np.array([int(each["timestamp"]) for each in page], np.int64),
        np.array([_value(each) for each in page], np.float64),
    )


def _own(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags without those that only say our ids."""
    return {key: value for key, value in tags.items() if key not in TAGS.values()}


def _each(message: Mapping[str, Any], what: str, end: str = "inputs") -> Iterable[Any]:
    found: Iterable[Any] = message.get(f"{what}_{end}", ())
    return found


def _dataset(message: Mapping[str, Any]) -> DatasetUse:
    dataset = message["dataset"]
    return DatasetUse(
        dataset["name"],
        dataset["digest"],
        dataset.get("source_type", ""),
        dataset.get("source", ""),
        dataset.get("schema"),
        dataset.get("profile"),
        texts(message.get("tags")),
    )


def _last(message: Mapping[str, Any]) -> Last:
    return Last(
        message["key"], "", "", "",
        int(message.get("step", 0)), int(message["timestamp"]), _value(message),
    )  # fmt: skip


def _value(message: Mapping[str, Any]) -> float:
    """Return the value of a point. MLflow's database keeps the largest floats for infinities."""
    value = float(message.get("value", 0.0))
    return math.copysign(math.inf, value) if abs(value) == sys.float_info.max else value
