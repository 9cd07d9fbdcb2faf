"""Does cases on one target, and writes what each of them saw, as JSON.

Run as ``python -m compatibility.runner MODULE URI FILE CASE…``: `MODULE` is "mlflow" or "steplog",
`URI` its tracking URI, `FILE` where to write. The cases of raw HTTP requests are handed a `Wire`
to the server at `URI`, the others the module.
"""

from __future__ import annotations

import importlib
import json
import os
import sqlite3
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from compatibility.cases import Case, forget_experiment, load
from compatibility.plain import Plain
from compatibility.wire import Wire

# MLflow counts experiments up from 1. Counting from here, its ids look like ours: 18 digits.
FIRST_EXPERIMENT = 500_000_000_000_000_000


def prepare(database: Path) -> None:
    """Have a database of MLflow's, which must exist, give its next experiment an id of 18 digits.

    And have it wait less often for the disk, which is most of the time that MLflow takes.
    """
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage,"
            " creation_time, last_update_time, workspace)"
            " VALUES (?, 'the first', '', 'deleted', 0, 0, 'default')",
            (FIRST_EXPERIMENT,),
        )
    connection.close()


class Runner:
    """Does cases, one after the other, each in a process that looks as if it had just begun."""

    def __init__(self, module: str, uri: str) -> None:
        self.mlflow: Any = importlib.import_module(module)
        self.uri = uri
        self.mlflow.set_tracking_uri(uri)
        self.mlflow.search_experiments() if module == "mlflow" else None  # creates the database
        if uri.startswith("sqlite:///"):
            prepare(Path(uri.removeprefix("sqlite:///")))
        self.environment = dict(os.environ)
        self.started = time.time()
        self.experiments: dict[str, str] = {}  # name -> id
        port = uri.rpartition(":")[2]
        self.places = {uri: "STORE", f"port={port}": "port=PORT", str(Path.cwd()): "DIRECTORY"}

    def do(self, case: Case) -> Any:
        """Do one case and return what it saw."""
        plain = Plain(self.started, self.places)
        try:
            if case.raw:
                return plain.value(case.function(Wire(self.uri, case.name)))
            self.choose_experiment(case.name if case.alone else case.module)
            return plain.value(case.function(self.mlflow))
        except Exception:
            return {"crashed": plain.text(traceback.format_exc())}
        finally:
            self.clean()

    def choose_experiment(self, name: str) -> None:
        """Put an experiment in force, which is created where it is asked for first."""
        if name in self.experiments:
            self.mlflow.set_experiment(experiment_id=self.experiments[name])
        else:
            self.experiments[name] = self.mlflow.set_experiment(name).experiment_id

    def clean(self) -> None:
        """End what the case left running, and forget what it chose."""
        while self.mlflow.active_run():
            with suppress(Exception):  # it was deleted; it is not active any more
                self.mlflow.end_run()
        self.mlflow.config.enable_async_logging(False)
        with suppress(AttributeError):  # TODO
            self.mlflow.clear_active_model()
        forget_experiment(self.mlflow)
        os.environ.clear()
        os.environ.update(self.environment)


def main(module: str, uri: str, file: str, *names: str) -> None:
    """Do the cases with these names and write what they saw."""
    sys.argv[:] = ["train.py"]  # what runs are tagged with
    cases = load()
    runner = Runner(module, uri)
    answers = {}
    for name in names:
        began = time.perf_counter()
        answers[name] = runner.do(cases[name])
        if time.perf_counter() - began > 1:
            print(f"{name} took {time.perf_counter() - began:.1f} s", file=sys.stderr)
    Path(file).write_text(json.dumps(answers, indent=1), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
