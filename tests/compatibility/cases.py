"""What a case is, the list of all of them, and the few things that cases share.

A case is a function that takes the module under test, real MLflow or steplog, and returns what a
program sees: numbers, texts, lists, dicts, and MLflow's entities as they come. An error that is to
be compared is caught by `attempt`. A case finds an experiment in force, which it shares with the
others of its module unless it asks to be `alone`.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple, overload

# The modules of cases, in the order in which they are done.
MODULES = [
    "values",
    "metrics",
    "batches",
    "params",
    "asynchronous",
    "runs",
    "active_runs",
    "experiments",
    "models",
    "model_metrics",
    "datasets",
    "history",
    "search_runs",
    "search_orders",
    "search_experiments",
    "search_models",
    "store",
    "rest",
    "rest_charts",
    "rest_errors",
]

UNKNOWN_RUN = "f" * 32
UNKNOWN_EXPERIMENT = "424242"
UNKNOWN_MODEL = "m-" + "f" * 32


Function = Callable[[Any], object]


class Case(NamedTuple):
    """One thing that is done in the same way to every target."""

    name: str  # module.function: "values.nan"
    function: Function
    over_http: bool  # MLflow itself shows something else over HTTP
    imported: bool  # `import steplog as mlflow` can do it too
    local: bool  # only a store in this process can do it, none behind HTTP
    alone: bool  # it needs an experiment of its own

    @property
    def module(self) -> str:
        """The module of the case: which section of MLflow's behaviour it belongs to."""
        return self.name.partition(".")[0]

    @property
    def raw(self) -> bool:
        """Whether it takes a `Wire` to a server, and no module."""
        return self.module.startswith("rest")


CASES: dict[str, Case] = {}


@overload
def case(function: Function) -> Function: ...


@overload
def case(
    *, over_http: bool = ..., imported: bool = ..., local: bool = ..., alone: bool = ...
) -> Callable[[Function], Function]: ...


def case(
    function: Function | None = None,
    *,
    over_http: bool = False,
    imported: bool = True,
    local: bool = False,
    alone: bool = False,
) -> Function | Callable[[Function], Function]:
    """Add a function to the cases.

    Args:
        function: takes the module under test, or a `Wire` to a server, and returns what it saw.
        over_http: MLflow's client shows something else where it speaks to a server than where it
            has a database. There, a server is compared with `mlflow server`, which costs more.
        imported: False where only MLflow's own package has what the case uses.
        local: what the case uses is not there over HTTP.
        alone: nothing else must be in the experiment in force.

    """

    def add(function: Function) -> Function:
        name = f"{function.__module__.rpartition('cases_')[2]}.{function.__name__}"
        assert name not in CASES, name
        CASES[name] = Case(name, function, over_http, imported, local, alone)
        return function

    return add(function) if function else add


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
    """Return the id of the experiment that is in force."""
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
