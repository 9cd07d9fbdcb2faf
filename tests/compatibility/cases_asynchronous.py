"""Logging without waiting: what is handed back, what waiting raises, when the data is there.

Ending a run makes MLflow wait a second for its threads: a case that need not end one does not.
"""

from __future__ import annotations

import os
from typing import Any

from compatibility.cases import attempt, case, new_run, points


@case
def waited_for(mlflow: Any) -> object:
    """`wait()` returns None, as often as it is called, and then the data is there."""
    run_id = new_run(mlflow)
    pending = mlflow.log_metric("m", 1, timestamp=5, synchronous=False, run_id=run_id)
    outcomes = [pending, pending.wait(), pending.wait()]
    return [outcomes, points(mlflow, run_id, "m")]


@case
def flushed(mlflow: Any) -> object:
    """After `flush_async_logging` everything that was not waited for is there."""
    with mlflow.start_run() as run:
        for step in range(5):
            mlflow.log_metric("m", step, step=step, timestamp=5, synchronous=False)
        mlflow.log_metrics({"a": 1, "b": 2}, synchronous=False)
        mlflow.log_param("p", 1, synchronous=False)
        mlflow.set_tag("t", 1, synchronous=False)
        answer = mlflow.flush_async_logging()
        data = mlflow.get_run(run.info.run_id).data
    return [answer, points(mlflow, run.info.run_id, "m"), data.metrics, data.params, data.tags["t"]]


@case
def ended(mlflow: Any) -> object:
    """`end_run` stores what was not waited for before it ends the run."""
    with mlflow.start_run() as run:
        for step in range(5):
            mlflow.log_metric("m", step, step=step, timestamp=5, synchronous=False)
    return [points(mlflow, run.info.run_id, "m"), mlflow.get_run(run.info.run_id).info.status]


@case
def after_the_end(mlflow: Any) -> object:
    """Logging without waiting works again after a run was ended."""
    client = mlflow.MlflowClient()
    with mlflow.start_run() as run:
        mlflow.log_metric("m", 0, timestamp=5, synchronous=False)
    client.log_metric(run.info.run_id, "m", 1, timestamp=6, synchronous=False).wait()
    return points(mlflow, run.info.run_id, "m")


@case
def switched_on_by_config(mlflow: Any) -> object:
    """`config.enable_async_logging` decides for calls that do not say."""
    with mlflow.start_run() as run:
        mlflow.config.enable_async_logging()
        outcomes = [
            mlflow.log_metric("m", 1, 1),
            mlflow.log_metrics({"m": 2}, 2),
            mlflow.log_param("p", 1),
            mlflow.log_params({"q": 1}),
            mlflow.set_tag("t", None),
            mlflow.set_tags({"u": 1}),
            mlflow.log_metric("m", 3, 3, synchronous=True),
        ]
        mlflow.config.enable_async_logging(False)
        outcomes.append(mlflow.log_metric("m", 4, 4))
    return [outcomes, [value for _, _, value in points(mlflow, run.info.run_id, "m")]]


@case
def switched_on_by_environment(mlflow: Any) -> object:
    """MLFLOW_ENABLE_ASYNC_LOGGING does the same, in any spelling of true."""
    seen = {}
    with mlflow.start_run():
        for spelling in ("true", "True", "1", "false", "0"):
            os.environ["MLFLOW_ENABLE_ASYNC_LOGGING"] = spelling
            seen[spelling] = mlflow.log_metric("m", 1)
    return seen


@case
def a_bad_switch(mlflow: Any) -> object:
    """Another value of MLFLOW_ENABLE_ASYNC_LOGGING is an error."""
    with mlflow.start_run():
        os.environ["MLFLOW_ENABLE_ASYNC_LOGGING"] = "maybe"
        return attempt(mlflow.log_metric, "m", 1)


@case
def refused_params(mlflow: Any) -> object:
    """A param that would change is an error of `wait()`, and changes nothing."""
    client, run_id = mlflow.MlflowClient(), new_run(mlflow)
    client.log_param(run_id, "p", 1)
    pending = client.log_param(run_id, "p", 2, synchronous=False)
    outcomes = [attempt(pending.wait), attempt(pending.wait)]
    return [outcomes, client.get_run(run_id).data.params]


@case
def refused_metrics(mlflow: Any) -> object:
    """A metric that the store refuses does not keep the run from being finished."""
    with mlflow.start_run() as run:
        outcome = attempt(
            lambda: mlflow.log_metric("a@b", 1, timestamp=5, synchronous=False).wait()
        )
        mlflow.log_metric("good", 1, synchronous=False)
    found = mlflow.get_run(run.info.run_id)
    return [outcome, found.info.status, found.data.metrics]


@case
def refused_batches(mlflow: Any) -> object:
    """One bad metric of a batch keeps the batch from being stored, waited for or not."""
    run_id = new_run(mlflow)
    outcome = attempt(lambda: mlflow.log_metrics({"good": 1, "a@b": 2}, None, False, run_id).wait())
    mlflow.log_metrics({"fine": 1}, synchronous=False, run_id=run_id).wait()
    return [outcome, mlflow.get_run(run_id).data.metrics]


@case
def refusals_do_not_stop_the_end(mlflow: Any) -> object:
    """Neither flushing nor ending raises what nobody waited for."""
    with mlflow.start_run() as run:
        mlflow.log_param("p", 1)
        mlflow.log_param("p", 2, synchronous=False)
        flushing = attempt(mlflow.flush_async_logging)
    return [flushing, mlflow.get_run(run.info.run_id).info.status]


@case
def deleted_runs(mlflow: Any) -> object:
    """Data for a deleted run is refused by `wait()`."""
    client, run_id = mlflow.MlflowClient(), new_run(mlflow)
    client.delete_run(run_id)
    return attempt(lambda: client.log_metric(run_id, "m", 1, synchronous=False).wait())


@case
def the_client(mlflow: Any) -> object:
    """The client's functions hand back operations too."""
    client, run_id = mlflow.MlflowClient(), new_run(mlflow)
    pending = [
        client.log_metric(run_id, "m", 1, synchronous=False),
        client.log_param(run_id, "p", 1, synchronous=False),
        client.set_tag(run_id, "t", 1, synchronous=False),
    ]
    for each in pending:
        each.wait()
    data = client.get_run(run_id).data
    return [pending, data.metrics, data.params, data.tags["t"]]


@case
def one_bad_item_beside_good_ones(mlflow: Any) -> object:
    """With MLFLOW_ASYNC_LOGGING_BUFFERING_SECONDS, too, each item answers for itself."""
    os.environ["MLFLOW_ASYNC_LOGGING_BUFFERING_SECONDS"] = "1"
    client, run_id = mlflow.MlflowClient(), new_run(mlflow)
    client.log_param(run_id, "p", 1)
    pending = [
        client.log_metric(run_id, "before", 1, synchronous=False),
        client.log_param(run_id, "p", 2, synchronous=False),
        client.log_metric(run_id, "after", 1, synchronous=False),
    ]
    outcomes = [attempt(each.wait) for each in pending]
    return [outcomes, client.get_run(run_id).data.metrics]
