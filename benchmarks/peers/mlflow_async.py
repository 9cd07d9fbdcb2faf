"""MLflow on SQLite with asynchronous logging: calls queue, threads write."""

# ruff: noqa: D103 (what each function does is said once, in `peers.Adapter`)
from __future__ import annotations

import os
from collections.abc import Callable

import mlflow

from peers import mlflow_sync
from peers.mlflow_sync import log_many, read

__all__ = ["finish", "log_many", "read", "setup"]


def setup(directory: str) -> Callable[[str, float, int], object]:
    os.environ["MLFLOW_ENABLE_ASYNC_LOGGING"] = "true"
    return mlflow_sync.setup(directory)


def finish() -> None:
    mlflow.flush_async_logging()
    mlflow_sync.finish()
