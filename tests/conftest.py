"""What every test gets: a directory and an environment of its own, nothing left by the last one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import hypothesis
import pytest
from browser import browser_type_launch_args, opened, spawned
from services import (
    clickhouse_cluster,
    clickhouse_database,
    modern_clickhouse_database,
    postgres_cluster,
    postgres_store_uri,
    postgres_template,
    postgres_uri,
    proxied,
)

from steplog import MlflowException, active_model, backend, experiments, runs
from steplog.settings import SETTINGS, override

__all__ = [
    "browser_type_launch_args",
    "clickhouse_cluster",
    "clickhouse_database",
    "modern_clickhouse_database",
    "opened",
    "postgres_cluster",
    "postgres_store_uri",
    "postgres_template",
    "postgres_uri",
    "proxied",
    "spawned",
]

# How long an example takes tells how busy the machine is, and nothing of the code.
hypothesis.settings.register_profile("steplog", deadline=None)
hypothesis.settings.load_profile("steplog")


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start in an empty directory, with no setting in force.

    Every setting is set before it is deleted, so that monkeypatch also takes away what the code
    under test exports (``set_experiment`` and ``set_tracking_uri`` do).
    """
    for setting in SETTINGS:
        override(setting.name, None)
        monkeypatch.setenv(setting.name, "")
        monkeypatch.delenv(setting.name)
    monkeypatch.setenv("STEPLOG_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def clean_process(clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """End what the test left running: its runs, the recorders and the stores it opened.

    steplog itself has no call for this: to a program, its runs and stores end when it ends.
    """
    monkeypatch.setattr(backend, "_backends", {})
    monkeypatch.setattr(experiments, "_active_experiment_id", None)
    yield
    while runs.started_here():
        with suppress(MlflowException):  # the test deleted the run; it is not active any more
            runs.end("KILLED")
    runs._active.clear()  # of other threads
    active_model.clear()
    runs.refresh()
    for each in backend._backends.values():
        each.recorder.close()
        each.close()
