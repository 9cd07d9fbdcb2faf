"""What a case is, the list of all of them, and the few things that cases share.

A case is a function that takes the module under test, real MLflow or steplog, and returns what a
program sees: numbers, texts, lists, dicts, and MLflow's entities as they come. An error that is to
be compared is caught by `attempt`. Each case finds an empty experiment of its own in force.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

# Each module of cases, and the part of the suite in which it runs.
MODULES = {
    "values": "logging",
    "metrics": "logging",
    "batches": "logging",
    "params": "logging",
    "asynchronous": "logging",
    "runs": "logging",
    "experiments": "logging",
    "models": "reading",
    "model_metrics": "reading",
    "datasets": "reading",
    "history": "reading",
    "search_runs": "reading",
    "search_orders": "reading",
    "search_experiments": "reading",
    "search_models": "reading",
    "store": "reading",
    "rest": "rest",
    "rest_charts": "rest",
    "rest_errors": "rest",
}

UNKNOWN_RUN = "f" * 32
UNKNOWN_EXPERIMENT = "424242"
UNKNOWN_MODEL = "m-" + "f" * 32


class Case(NamedTuple):
    """One thing that is done in the same way to every target."""

    name: str  # module.function: "values.nan"
    function: Callable[[Any], object]
    over_http: bool  # MLflow itself shows something else over HTTP
    imported: bool  # `import steplog as mlflow` can do it too

    @property
    def part(self) -> str:
        """The part of the suite to which the case belongs."""
        return MODULES[self.name.partition(".")[0]]


CASES: dict[str, Case] = {}


def case(
    function: Callable[[Any], object] | None = None,
    *,
    over_http: bool = False,
    imported: bool = True,
) -> Any:
    """Add a function to the cases.

    Args:
        function: takes the module under test, returns what it saw.
        over_http: MLflow's client shows something else where it speaks to a server than where it
            has a database. There, a server is compared with `mlflow server`, which costs more.
        imported: False where only MLflow's own package has what the case uses.

    """
    if function is None:
        return lambda function: case(function, over_http=over_http, imported=imported)
    name = f"{function.__module__.rpartition('cases_')[2]}.{function.__name__.rstrip('_')}"
    assert name not in CASES, name
    CASES[name] = Case(name, function, over_http, imported)
    return function


def load() -> dict[str, Case]:
    """Return all cases, by name."""
    for name in MODULES:
        importlib.import_module(f"compatibility.cases_{name}")
    return CASES


class Raised(NamedTuple):
    """An error that a case caught."""

    error: Exception


def attempt(function: Callable[..., object], *args: object, **kwargs: object) -> object:
    """Call, and return what it returned or raised."""
    try:
        return function(*args, **kwargs)
    except Exception as error:
        return Raised(error)


def experiment_id() -> str:
    """Return the id of the experiment that the case found in force."""
    return os.environ["MLFLOW_EXPERIMENT_ID"]


def new_run(mlflow: Any, **arguments: Any) -> str:
    """Create a run in the case's experiment, with the client, and return its id."""
    run = mlflow.MlflowClient().create_run(experiment_id(), **arguments)
    return str(run.info.run_id)


def points(mlflow: Any, run_id: str, key: str) -> list[list[object]]:
    """Return step, timestamp and value of each point of a metric, in the order they come."""
    history = mlflow.MlflowClient().get_metric_history(run_id, key)
    return [[metric.step, metric.timestamp, metric.value] for metric in history]


def tick() -> None:
    """Wait for the next millisecond, so that what is made before and after has an order in time."""
    now = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 == now:
        pass


def forget_experiment(mlflow: Any) -> None:
    """Let no experiment be in force, as in a program that never chose one."""
    module = importlib.import_module(
        "mlflow.tracking.fluent" if mlflow.__name__ == "mlflow" else "steplog.experiments"
    )
    module._active_experiment_id = None  # type: ignore[attr-defined]  # there is no call for it
    for name in ("MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        os.environ.pop(name, None)
