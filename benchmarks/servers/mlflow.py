"""MLflow's server on SQLite, with the four worker processes that it starts by itself.

Its jobs (which evaluate models) and its telemetry are turned off, in its favour.
"""

# ruff: noqa: D103 (what each function does is said once, in `servers.Adapter`)
from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing

from servers import PARAMS, START_MS, TAGS, Run, SearchClient


def command(directory: str, port: int) -> list[str]:
    quiet = ["MLFLOW_DISABLE_TELEMETRY=true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false"]
    serve = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", _uri(directory)]
    return ["env", *quiet, *serve, "--host", "127.0.0.1", "--port", str(port)]


def fill(directory: str, runs: Iterable[Run]) -> None:
    with closing(sqlite3.connect(f"{directory}/mlflow.db")) as db, db:
        for run in runs:
            db.execute(
                "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name,"
                " user_id, status, start_time, end_time, source_version, lifecycle_stage,"
                " artifact_uri, experiment_id)"
                " VALUES (?, ?, 'UNKNOWN', '', '', 'me', 'FINISHED', ?, ?, '', 'active', ?, 0)",
                (run.run_id, f"run-{run.run_id[:6]}", run.start_ms, run.start_ms, "file:///none"),
            )
            for table, texts in (("params", PARAMS), ("tags", TAGS)):
                rows = [(key, value, run.run_id) for key, value in texts.items()]
                db.executemany(f"INSERT INTO {table} (key, value, run_uuid) VALUES (?, ?, ?)", rows)
            db.executemany(_insert("metrics"), _points(run))
            db.executemany(_insert("latest_metrics"), _latest(run))


def client(directory: str) -> SearchClient:
    from mlflow import MlflowClient  # two seconds that a measurement of the server can do without

    return MlflowClient(_uri(directory))


def _uri(directory: str) -> str:
    return f"sqlite:///{directory}/mlflow.db"


def _insert(table: str) -> str:
    columns = "key, value, timestamp, step, is_nan, run_uuid"
    return f"INSERT INTO {table} ({columns}) VALUES (?, ?, ?, ?, 0, ?)"


def _points(run: Run) -> Iterator[tuple[str, float, int, int, str]]:
    for key, values in run.metrics.items():
        for step, value in enumerate(values):
            yield key, value, START_MS + step, step, run.run_id


def _latest(run: Run) -> Iterator[tuple[str, float, int, int, str]]:
    for key, values in run.metrics.items():
        yield key, values[-1], START_MS + len(values) - 1, len(values) - 1, run.run_id
