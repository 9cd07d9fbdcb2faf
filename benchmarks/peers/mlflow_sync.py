"""MLflow on SQLite, as it comes: every call is a transaction."""

# ruff: noqa: D103 (what each function does is said once, in `peers.Adapter`)
from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from itertools import islice

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when MLflow is imported

import mlflow
from mlflow.entities import Metric

run: mlflow.ActiveRun


def setup(directory: str) -> Callable[[str, float, int], object]:
    global run
    _connect(directory)
    run = mlflow.start_run()
    return mlflow.log_metric


def log_many(key: str, values: Iterable[float]) -> None:
    client, now_ms = mlflow.MlflowClient(), time.time_ns() // 1_000_000
    metrics = (Metric(key, value, now_ms + step, step) for step, value in enumerate(values))
    while batch := list(islice(metrics, 1000)):  # the most that one call takes
        client.log_batch(run.info.run_id, batch)


def finish() -> None:
    mlflow.end_run()


def read(directory: str, key: str) -> tuple[list[int], list[float]]:
    _connect(directory)
    client = mlflow.MlflowClient()
    (recorded,) = client.search_runs(["0"])
    points = client.get_metric_history(recorded.info.run_id, key)
    return [point.step for point in points], [point.value for point in points]


def _connect(directory: str) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{directory}/mlflow.db")
