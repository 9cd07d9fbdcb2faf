"""`get_metric_history`: order, pages, and what is asked of runs that are not there."""

from __future__ import annotations

from typing import Any

from compatibility.cases import UNKNOWN_RUN, attempt, case, new_run, points


@case
def order(mlflow: Any) -> object:
    """Points come by time, then step, then value, whatever the order in which they were logged."""
    client, metric, run_id = mlflow.MlflowClient(), mlflow.entities.Metric, new_run(mlflow)
    spots = [(5, 0, 1), (1, 9, 2), (1, 3, 4), (1, 3, 3), (7, -2, 0), (0, 4, 5)]
    client.log_batch(run_id, [metric("m", value, time, step) for time, step, value in spots])
    return points(mlflow, run_id, "m")


@case
def order_of_special_values(mlflow: Any) -> object:
    """NaN, which counts as 0, and infinities have their place among values of one step."""
    client, metric, run_id = mlflow.MlflowClient(), mlflow.entities.Metric, new_run(mlflow)
    values = [1, float("nan"), -1, 0.5, 2]
    client.log_batch(run_id, [metric("m", value, 5, 0) for value in values])
    return [value for _, _, value in points(mlflow, run_id, "m")]


@case
def every_field(mlflow: Any) -> object:
    """A point of the history, field by field."""
    client, run_id = mlflow.MlflowClient(), new_run(mlflow)
    client.log_metric(run_id, "a/b", 0.5, 7, 3)
    return [run_id, client.get_metric_history(run_id, "a/b")]


@case
def keys_without_points(mlflow: Any) -> object:
    """A key that was never logged has no points, also one that could not be."""
    client, run_id = mlflow.MlflowClient(), new_run(mlflow)
    client.log_metric(run_id, "loss", 1)
    return {
        key: attempt(client.get_metric_history, run_id, key)
        for key in ("nothing", "a@b", "Loss", "los", "../x", "loss ", "lo%s")
    }


@case
def unknown_runs(mlflow: Any) -> object:
    """A run that does not exist has no points."""
    client = mlflow.MlflowClient()
    return [
        attempt(client.get_metric_history, UNKNOWN_RUN, "m"),
        attempt(client.get_metric_history, "bad id!", "m"),
    ]


@case
def deleted_runs(mlflow: Any) -> object:
    """The history of a deleted run can still be read."""
    client, run_id = mlflow.MlflowClient(), new_run(mlflow)
    client.log_metric(run_id, "m", 1, timestamp=5)
    client.delete_run(run_id)
    return points(mlflow, run_id, "m")


@case
def metrics_side_by_side(mlflow: Any) -> object:
    """The points of one key, and of one run, are not mixed up with those of another."""
    client = mlflow.MlflowClient()
    runs = [new_run(mlflow, run_name=name) for name in ("a", "b")]
    for number, run_id in enumerate(runs):
        for key in ("m", "m/1", "n"):
            client.log_metric(run_id, key, number, timestamp=len(key), step=number)
    return [[points(mlflow, run_id, key) for key in ("m", "m/1", "n")] for run_id in runs]


@case
def while_a_run_goes_on(mlflow: Any) -> object:
    """What a call has logged the next one reads, while the run is active."""
    seen = []
    with mlflow.start_run() as run:
        for step in range(3):
            mlflow.log_metric("m", step, step=step, timestamp=step)
            seen.append(len(points(mlflow, run.info.run_id, "m")))
            seen.append(mlflow.get_run(run.info.run_id).data.metrics["m"])
    return seen


@case
def a_few_thousand_points(mlflow: Any) -> object:
    """A longer history is whole."""
    client, metric, run_id = mlflow.MlflowClient(), mlflow.entities.Metric, new_run(mlflow)
    client.log_batch(run_id, [metric("m", i % 7, i, i) for i in range(1_000)])
    found = points(mlflow, run_id, "m")
    return [len(found), found[:3], found[-3:], sum(value for _, _, value in found)]  # type: ignore[misc]
