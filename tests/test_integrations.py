"""Frameworks that log to MLflow, unmodified, over steplog: everything they log is there.

`tests/frameworks.py` trains with each of them three times: with MLflow's SQLite store, through the
plugin and through the server. MLflow's client reads back what was logged.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from frameworks import FRAMEWORKS
from serving import serving

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # three trainings share the processors
    # What a logged model requires is guessed. MLflow would import it in a process of its own to
    # find out, which takes longer than all the trainings.
    "MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT": "0",
}


@contextmanager
def training(uri: str, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Train with every framework, in a directory of its own and beside what follows."""
    directory.mkdir()
    with (
        (directory / "output").open("wb") as output,
        subprocess.Popen(
            [sys.executable, Path(__file__).with_name("frameworks.py"), uri, "read_back.json"],
            cwd=directory,
            env={**os.environ, **ENVIRONMENT},
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()  # where another one has failed


def finish(process: subprocess.Popen[bytes], directory: Path) -> dict[str, Any]:
    """Wait for the end of the trainings and return what was logged."""
    assert process.wait() == 0, (directory / "output").read_text("utf-8")
    logged: dict[str, Any] = json.loads((directory / "read_back.json").read_text("utf-8"))
    return logged


@pytest.mark.long
@pytest.mark.slow
def test_everything_is_there(tmp_path: Path, subtests: pytest.Subtests) -> None:
    """Whatever a framework logs to MLflow is in steplog, too: runs, points, params, tags, datasets,
    models and artifacts.
    """
    with (
        serving(tmp_path / "served", "--artifact-root", str(tmp_path / "artifacts")) as server,
        training("sqlite:///mlflow.db", tmp_path / "mlflow") as mlflow,
        training(f"steplog://{tmp_path}/store", tmp_path / "plugin") as plugin,
        training(server.url, tmp_path / "server") as over_http,
    ):
        logged = {
            "mlflow": finish(mlflow, tmp_path / "mlflow"),
            "plugin": finish(plugin, tmp_path / "plugin"),
            "server": finish(over_http, tmp_path / "server"),
        }
    expected = logged.pop("mlflow")
    for way, found in logged.items():
        for framework in FRAMEWORKS:
            with subtests.test(way=way, framework=framework):
                if isinstance(expected[framework], str):
                    pytest.skip(expected[framework])
                assert expected[framework]["runs"]
                assert found[framework] == expected[framework]
