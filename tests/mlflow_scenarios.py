"""What is done to MLflow and to steplog in the same way, to compare what comes of it.

Run as ``python mlflow_scenarios.py MODULE DIRECTORY``: it does everything in a store below
DIRECTORY and prints, as JSON, what each scenario saw. Ids, times and users are left out of it.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

mlflow: Any = None  # the module under test
SCENARIOS: dict[str, Callable[[], object]] = {}


def scenario(function: Callable[[], object]) -> Callable[[], object]:
    """Add a function to the scenarios, under its name."""
    SCENARIOS[function.__name__] = function
    return function


def attempt(function: Callable[..., object], *args: object, **kwargs: object) -> object:
    """Call, and return what it returned, or what it raised."""
    try:
        result = function(*args, **kwargs)
    except Exception as error:
        # MLflow appends what the database driver said; ours has no such driver.
        text = str(error).split(" Error: (sqlite3")[0]
        return [type(error).__name__, getattr(error, "error_code", None), without_ids(text)]
    return result if isinstance(result, (str, float, int, type(None))) else type(result).__name__


def without_ids(text: str) -> str:
    """Replace run ids and experiment ids by words."""
    text = re.sub(r"\b[0-9a-f]{32}\b", "RUN", text)
    return re.sub(r"(experiment |id=|experiment id `)(?!424242)\d+\b", r"\1EXPERIMENT", text)


def read_back(run_id: str) -> dict[str, object]:
    """Return what a run holds, as far as both must agree."""
    run = mlflow.get_run(run_id)
    client = mlflow.MlflowClient()
    tags = {k: without_ids(v) for k, v in run.data.tags.items() if k not in ("mlflow.user",)}
    generated = tags.get("mlflow.runName") == run.info.run_name and "-" in run.info.run_name
    if generated:
        tags["mlflow.runName"] = "GENERATED"
    tags.pop("mlflow.source.git.commit", None)
    return {
        "status": run.info.status,
        "stage": run.info.lifecycle_stage,
        "ended": run.info.end_time is not None,
        "metrics": {k: repr(v) for k, v in sorted(run.data.metrics.items())},
        "history": {
            key: [[m.step, repr(m.value)] for m in client.get_metric_history(run_id, key)]
            for key in sorted(run.data.metrics)
        },
        "params": dict(sorted(run.data.params.items())),
        "tags": dict(sorted(tags.items())),
    }


@scenario
def values() -> object:
    """Values of every type that becomes a float."""
    import numpy as np

    with mlflow.start_run() as run:
        for step, value in enumerate([1, True, 0.25, "1.5", b"1", np.float32(0.1), np.array([2])]):
            mlflow.log_metric("v", value, step=step, timestamp=1_000 + step)
        mlflow.log_metric("nan", float("nan"), timestamp=5)
    return read_back(run.info.run_id)


@scenario
def latest() -> object:
    """The latest value is that of the greatest step, then time, then value."""
    with mlflow.start_run() as run:
        for value, step, timestamp in [(1, 0, 9), (2, 5, 1), (3, 5, 2), (2.5, 5, 2), (9, -5, 99)]:
            mlflow.log_metric("m", value, step=step, timestamp=timestamp)
        mlflow.log_metric("m", 3, step=5, timestamp=2)
    return read_back(run.info.run_id)


BAD_METRICS: list[tuple[tuple[object, ...], dict[str, object]]] = [
    (("a@b", 1), {}),
    (("", 1), {}),
    (("a//b", 1), {}),
    (("x" * 251, 1), {}),
    ((None, 1), {}),
    ((5, 1), {}),
    (("k", "abc"), {"timestamp": 1000}),
    (("k", None), {}),
    (("k", [1]), {}),
    (("k", 10**400), {}),
    (("k", 1), {"timestamp": -1}),
    (("k", 1), {"step": "7"}),
]


@scenario
def bad_metrics() -> object:
    """Bad keys, values, steps and timestamps."""
    with mlflow.start_run() as run:
        outcomes = [attempt(mlflow.log_metric, *args, **kwargs) for args, kwargs in BAD_METRICS]
        outcomes.append(attempt(mlflow.log_metrics, {"good": 1, "b@d": 2}))
        outcomes.append(attempt(mlflow.log_metrics, {"good": 1, "bad": "abc"}, timestamp=7))
        outcomes.append(attempt(mlflow.log_metrics, {}))
    return [outcomes, read_back(run.info.run_id)]


@scenario
def answers() -> object:
    """What each function returns, synchronous and not."""
    with mlflow.start_run() as run:
        outcomes = [
            attempt(mlflow.log_metric, "a", 1),
            attempt(mlflow.log_metric, "a", 1, 1, False),
            attempt(mlflow.log_metric, "a", 1, 2, False),
            attempt(mlflow.log_metrics, {"a": 1}, 3),
            attempt(mlflow.log_metrics, {"a": 1}, 4, False),
            attempt(mlflow.log_metrics, {}, synchronous=False),
            attempt(mlflow.log_param, "p", 0.5),
            attempt(mlflow.log_param, "q", 0.5, False),
            attempt(mlflow.log_params, {"r": 1}),
            attempt(mlflow.log_params, {"s": 1}, False),
            attempt(mlflow.set_tag, "t", 1),
            attempt(mlflow.set_tag, "u", 1, False),
            attempt(mlflow.set_tags, {"w": 1}, False),
        ]
        mlflow.config.enable_async_logging()
        outcomes += [attempt(mlflow.log_metric, "a", 1, 5), attempt(mlflow.set_tag, "x", None)]
        mlflow.config.enable_async_logging(False)
        outcomes.append(attempt(mlflow.log_metric, "a", 1, 6))
        mlflow.flush_async_logging()
    return [outcomes, read_back(run.info.run_id)]


@scenario
def params() -> object:
    """Params can be repeated and never changed."""
    with mlflow.start_run() as run:
        mlflow.log_param("p", 1)
        outcomes = [
            attempt(mlflow.log_param, "p", "1"),
            attempt(mlflow.log_param, "p", 2),
            attempt(mlflow.log_params, {"n": 1, "p": 2}),
            attempt(mlflow.log_param, "a@b", 1),
            attempt(mlflow.log_param, "none", None),
            attempt(mlflow.log_param("p", 3, synchronous=False).wait),
        ]
    return [outcomes, read_back(run.info.run_id)]


@scenario
def tags() -> object:
    """Tags are set, changed, removed, and rename a run."""
    with mlflow.start_run(tags={"a": 1}, description="why") as run:
        mlflow.set_tags({"a": 2, "b": None})
        mlflow.set_tag("mlflow.runName", "renamed")
        mlflow.delete_tag("b")
        outcomes = [attempt(mlflow.delete_tag, "b"), attempt(mlflow.set_tag, "a@b", 1)]
    both = attempt(mlflow.start_run, tags={"mlflow.note.content": "a"}, description="b")
    name = mlflow.get_run(run.info.run_id).info.run_name
    return [outcomes, both, name, read_back(run.info.run_id)]


@scenario
def nesting() -> object:
    """Nested runs, and starts that must fail."""
    with mlflow.start_run(run_name="outer-1") as outer:
        outcomes = [
            attempt(mlflow.start_run),
            attempt(mlflow.start_run, nested=True, parent_run_id="f" * 32),
        ]
        with mlflow.start_run(nested=True, run_name="inner-1") as inner:
            outcomes.append(mlflow.active_run().info.run_id == inner.info.run_id)
        outcomes.append(mlflow.active_run().info.run_id == outer.info.run_id)
        outcomes.append(mlflow.get_parent_run(inner.info.run_id).info.run_id == outer.info.run_id)
        outcomes.append(mlflow.get_parent_run(outer.info.run_id))
    outcomes.append(mlflow.active_run())
    outcomes.append(mlflow.last_active_run().info.run_id == outer.info.run_id)
    outcomes.append(attempt(mlflow.start_run, parent_run_id="f" * 32))
    with mlflow.start_run(parent_run_id=outer.info.run_id, run_name="inner-2") as adopted:
        pass
    return [outcomes, *(read_back(run.info.run_id) for run in (outer, inner, adopted))]


@scenario
def ends() -> object:
    """Every way in which a run ends."""
    outcomes: list[object] = [attempt(mlflow.end_run)]
    run_ids = []
    for status in ("FINISHED", "FAILED", "KILLED", "RUNNING", "XX"):
        run_ids.append(mlflow.start_run(run_name="a-b").info.run_id)
        outcomes.append(attempt(mlflow.end_run, status))
        outcomes.append(mlflow.active_run())
    try:
        with mlflow.start_run(run_name="a-b") as run:
            run_ids.append(run.info.run_id)
            raise KeyError("training failed")
    except KeyError:
        pass
    with mlflow.start_run(run_name="a-b") as run:
        run_ids.append(run.info.run_id)
        mlflow.end_run("KILLED")
    return [outcomes, [read_back(run_id) for run_id in run_ids]]


@scenario
def resuming() -> object:
    """A run is resumed by id and by environment; a deleted or unknown one is not."""
    with mlflow.start_run(run_name="a-b") as run:
        mlflow.log_metric("m", 1, timestamp=1)
    run_id = run.info.run_id
    with mlflow.start_run(run_id=run_id, tags={"again": 1}) as resumed:
        outcomes = [resumed.info.status, resumed.info.end_time is not None]
        mlflow.log_metric("m", 2, step=1, timestamp=2)
    os.environ["MLFLOW_RUN_ID"] = run_id
    with mlflow.start_run() as resumed:
        outcomes += [resumed.info.run_id == run_id, os.environ.get("MLFLOW_RUN_ID")]
    mlflow.delete_run(run_id)
    mlflow.delete_run(run_id)
    outcomes += [
        attempt(mlflow.start_run, run_id=run_id),
        attempt(mlflow.start_run, parent_run_id=run_id),
        attempt(mlflow.log_metric, "m", 1, run_id="f" * 32),
        attempt(mlflow.log_metric, "m", 1, run_id="bad id!"),
        attempt(mlflow.log_params, {"p": 1}, run_id=run_id),
        attempt(mlflow.start_run, run_id="f" * 32),
        attempt(mlflow.get_run, "bad id!"),
        attempt(mlflow.MlflowClient().set_terminated, run_id),
    ]
    deleted = read_back(run_id)
    mlflow.restore_run(run_id)
    return [outcomes, deleted, read_back(run_id)]


@scenario
def environment() -> object:
    """The environment names the experiment of runs that name none, until a program does."""
    outcomes = []
    os.environ["MLFLOW_EXPERIMENT_ID"] = "424242"
    outcomes.append(attempt(mlflow.start_run))
    mlflow.create_experiment("named")
    os.environ["MLFLOW_EXPERIMENT_NAME"] = "named"
    outcomes.append(attempt(mlflow.start_run))
    del os.environ["MLFLOW_EXPERIMENT_ID"]
    os.environ["MLFLOW_RUN_CONTEXT"] = '{"who": "me"}'
    with mlflow.start_run(run_name="a-b") as run:
        outcomes.append(mlflow.get_experiment(run.info.experiment_id).name)
    del os.environ["MLFLOW_EXPERIMENT_NAME"], os.environ["MLFLOW_RUN_CONTEXT"]
    return [outcomes, read_back(run.info.run_id)]


@scenario
def experiments() -> object:
    """Experiments are created, found, chosen, renamed, deleted and restored."""
    client = mlflow.MlflowClient()
    chosen = mlflow.set_experiment("chosen")
    with mlflow.start_run() as run:
        outcomes = [run.info.experiment_id == chosen.experiment_id]
    outcomes += [
        os.environ["MLFLOW_EXPERIMENT_ID"] == chosen.experiment_id,
        mlflow.set_experiment("chosen").experiment_id == chosen.experiment_id,
        mlflow.set_experiment(experiment_id=chosen.experiment_id).name,
        attempt(mlflow.create_experiment, "chosen"),
        attempt(mlflow.create_experiment, ""),
        attempt(mlflow.create_experiment, None),
        attempt(mlflow.set_experiment, 5),
        attempt(mlflow.set_experiment),
        attempt(mlflow.set_experiment, "a", "b"),
        attempt(mlflow.set_experiment, experiment_id="424242"),
        attempt(mlflow.get_experiment, "424242"),
        attempt(mlflow.get_experiment, "abc"),
        attempt(mlflow.get_experiment_by_name, "nowhere"),
        attempt(mlflow.start_run, experiment_id="424242"),
        attempt(mlflow.start_run, experiment_id=1.5),
        mlflow.get_experiment("0").name,
    ]
    other = mlflow.create_experiment("other", tags={"a": "1"})
    outcomes.append(mlflow.get_experiment(other).tags)
    client.rename_experiment(other, "another")
    outcomes.append(mlflow.get_experiment(other).name)
    client.delete_experiment(other)
    outcomes += [
        attempt(client.delete_experiment, other),
        attempt(client.rename_experiment, other, "third"),
        attempt(client.set_experiment_tag, other, "a", 1),
        attempt(mlflow.set_experiment, "another"),
        attempt(mlflow.start_run, experiment_id=other),
        mlflow.get_experiment(other).lifecycle_stage,
    ]
    client.restore_experiment(other)
    outcomes.append(attempt(client.restore_experiment, other))
    outcomes.append(sorted(each.name for each in client.search_experiments()))
    return outcomes


@scenario
def client_calls() -> object:
    """The client's own functions, by run id."""
    client, entities = mlflow.MlflowClient(), mlflow.entities
    run_id = client.create_run("0", tags={"a": 1}, run_name="a-b").info.run_id
    outcomes = [
        attempt(client.create_run, "0", tags={"mlflow.runName": "x"}, run_name="y"),
        attempt(client.log_metric, run_id, "zero", 1, timestamp=0),
        attempt(client.log_metric, "f" * 32, "m", 1),
        attempt(client.log_param, "f" * 32, "p", 1),
        attempt(client.log_param, run_id, "p", 1),
        attempt(client.log_param, run_id, "p", 2),
        attempt(client.log_batch, run_id),
        attempt(
            client.log_batch,
            run_id,
            metrics=[entities.Metric(f"k{i}", i, 1, 0) for i in range(30)],
            params=[entities.Param("b", 1)],
            tags=[entities.RunTag("c", "2")],
        ),
        attempt(client.log_batch, run_id, params=[entities.Param("d", 1), entities.Param("d", 1)]),
        attempt(client.update_run, run_id, "XX"),
        attempt(client.update_run, run_id, "KILLED", "renamed-run"),
        attempt(client.search_experiments, max_results=0),
        attempt(client.search_experiments, page_token="zz"),
        attempt(client.get_metric_history, run_id, "nothing"),
        [m.timestamp for m in client.get_metric_history(run_id, "zero")],
        len(client.search_runs(["0"], max_results=1)),
    ]
    client.delete_run(run_id)
    outcomes += [
        attempt(client.log_metric, run_id, "m", 1),
        attempt(client.set_tag, run_id, "t", 1),
        attempt(client.log_param, run_id, "t", 1),
    ]
    return [outcomes, read_back(run_id)]


def main(module: str, directory: str) -> None:
    """Do everything with one of the two modules and print what came of it."""
    global mlflow
    mlflow = importlib.import_module(module)
    os.chdir(directory)
    path = Path(directory, "store")
    mlflow.set_tracking_uri(f"sqlite:///{path}.db" if module == "mlflow" else str(path))
    print(json.dumps({name: function() for name, function in SCENARIOS.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
