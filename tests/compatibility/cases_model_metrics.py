"""Metrics that are linked to models: which model, what the run shows, what the model shows."""

from __future__ import annotations

import os
import threading
from typing import Any

from compatibility.cases import UNKNOWN_MODEL, attempt, case, experiment_id, new_run, points
from compatibility.cases_models import new_model


def of_model(mlflow: Any, model_id: str) -> list[Any]:
    """Return the metrics of a model, in an order that does not depend on the store."""
    found = mlflow.get_logged_model(model_id).metrics or []
    return sorted(found, key=lambda each: (each.key, each.step, each.timestamp, str(each.value)))


def inputs(mlflow: Any, run_id: str) -> list[str]:
    """Return the ids of the models that are inputs of a run."""
    found = mlflow.get_run(run_id).inputs
    return [each.model_id for each in found.model_inputs] if found else []


def linked(mlflow: Any, model_ids: list[str]) -> list[list[str]]:
    """Return which keys each of the models has."""
    return [sorted(each.key for each in of_model(mlflow, model_id)) for model_id in model_ids]


@case
def given_by_id(mlflow: Any) -> object:
    """A metric logged with a model is the run's and the model's, and makes the model an input."""
    model_id = new_model(mlflow)
    with mlflow.start_run() as run:
        mlflow.log_metric("acc", 0.5, step=3, timestamp=9, model_id=model_id)
        mlflow.log_metrics({"f1": 0.25}, step=4, timestamp=10, model_id=model_id)
    return [
        run.info.run_id,
        of_model(mlflow, model_id),
        mlflow.get_run(run.info.run_id).data.metrics,
        points(mlflow, run.info.run_id, "acc"),
        inputs(mlflow, run.info.run_id) == [model_id],
    ]


@case
def given_to_the_client(mlflow: Any) -> object:
    """The client's functions link to a model too, without making it an input of the run."""
    client, model_id, run_id = mlflow.MlflowClient(), new_model(mlflow), new_run(mlflow)
    client.log_metric(run_id, "acc", 0.5, timestamp=9, step=3, model_id=model_id)
    metric = mlflow.entities.Metric("f1", 0.25, 10, 4, model_id=model_id)
    client.log_batch(run_id, [metric, mlflow.entities.Metric("none", 1, 1, 0)])
    return [run_id, of_model(mlflow, model_id), inputs(mlflow, run_id)]


@case
def every_point(mlflow: Any) -> object:
    """A model shows all points that were logged for it, not only the latest."""
    model_id = new_model(mlflow)
    with mlflow.start_run():
        for step in range(4):
            mlflow.log_metric("loss", 1 / (step + 1), step=step, timestamp=step, model_id=model_id)
    return [[each.step, each.value] for each in of_model(mlflow, model_id)]


@case
def several_runs(mlflow: Any) -> object:
    """A model shows the points of every run that logged for it."""
    model_id = new_model(mlflow)
    runs = [new_run(mlflow, run_name=name) for name in ("a", "b")]
    for number, run_id in enumerate(runs):
        mlflow.log_metric("acc", number, timestamp=number, run_id=run_id, model_id=model_id)
    return [runs, of_model(mlflow, model_id)]


@case
def nan_of_a_model(mlflow: Any) -> object:
    """NaN, infinities and -0.0 of a model come back as they are."""
    model_id = new_model(mlflow)
    with mlflow.start_run():
        for step, value in enumerate([float("nan"), float("inf"), float("-inf"), -0.0]):
            mlflow.log_metric("v", value, step=step, timestamp=step, model_id=model_id)
    return [each.value for each in of_model(mlflow, model_id)]


@case
def two_values_at_one_step(mlflow: Any) -> object:
    """A second value at one step and time is kept beside the first."""
    model_id = new_model(mlflow)
    with mlflow.start_run() as run:
        outcomes = [
            attempt(mlflow.log_metric, "acc", value, step=1, timestamp=5, model_id=model_id)
            for value in (0.25, 0.5)
        ]
    return [
        outcomes,
        [each.value for each in of_model(mlflow, model_id)],
        points(mlflow, run.info.run_id, "acc"),
    ]


@case
def the_same_point_again(mlflow: Any) -> object:
    """The same point logged again for a model is one point."""
    model_id = new_model(mlflow)
    with mlflow.start_run():
        outcomes = [
            attempt(mlflow.log_metric, "acc", 0.25, step=1, timestamp=5, model_id=model_id)
            for _ in range(2)
        ]
    return [outcomes, [each.value for each in of_model(mlflow, model_id)]]


@case
def the_active_one(mlflow: Any) -> object:
    """Metrics without a model are the active model's, through every function."""
    client, model_id, run_id = mlflow.MlflowClient(), new_model(mlflow), new_run(mlflow)
    with mlflow.set_active_model(model_id=model_id):
        with mlflow.start_run(run_id=run_id):
            mlflow.log_metric("one", 1)
            mlflow.log_metrics({"many": 2})
        client.log_metric(run_id, "client", 3)
        client.log_batch(run_id, [mlflow.entities.Metric("batch", 4, 1, 0)])
    client.log_metric(run_id, "after", 5)
    return [linked(mlflow, [model_id]), mlflow.get_run(run_id).data.metrics]


@case
def one_given_beside_the_active_one(mlflow: Any) -> object:
    """A model that is given wins over the active one."""
    first, second = new_model(mlflow, "first"), new_model(mlflow, "second")
    with mlflow.set_active_model(model_id=first), mlflow.start_run():
        mlflow.log_metric("to_first", 1)
        mlflow.log_metric("to_second", 2, model_id=second)
        mlflow.log_metrics({"also_second": 3}, model_id=second)
    return linked(mlflow, [first, second])


@case
def outputs_at_a_step(mlflow: Any) -> object:
    """A metric at the step of a model that the run put out is linked to that model."""
    run_id = new_run(mlflow)
    at_one, at_two = new_model(mlflow, "one"), new_model(mlflow, "two")
    output = mlflow.entities.LoggedModelOutput
    mlflow.MlflowClient().log_outputs(run_id, [output(at_one, 1), output(at_two, 2)])
    with mlflow.start_run(run_id=run_id):
        for step in range(4):
            mlflow.log_metric("loss", step, step=step)
        mlflow.log_metrics({"acc": 5}, step=2)
    models = [of_model(mlflow, model_id) for model_id in (at_one, at_two)]
    return [[[each.key, each.step] for each in metrics] for metrics in models]


@case
def several_outputs_at_a_step(mlflow: Any) -> object:
    """Where the run put out several models at a step, all of them get the metric."""
    run_id = new_run(mlflow)
    models = [new_model(mlflow, name) for name in ("a", "b")]
    output = mlflow.entities.LoggedModelOutput
    mlflow.MlflowClient().log_outputs(run_id, [output(model_id, 1) for model_id in models])
    with mlflow.start_run(run_id=run_id):
        mlflow.log_metric("single", 1, step=1)
        mlflow.log_metrics({"many": 2}, step=1)
    found = linked(mlflow, models)
    return {
        "single": sum("single" in keys for keys in found),
        "many": sum("many" in keys for keys in found),
    }


@case
def outputs_of_the_running_run(mlflow: Any) -> object:
    """What `log_outputs` adds to the active run is not looked at until the run is fetched anew."""
    model_id = new_model(mlflow)
    with mlflow.start_run() as run:
        mlflow.log_outputs([mlflow.entities.LoggedModelOutput(model_id, 1)])
        mlflow.log_metric("before", 1, step=1)
        mlflow.log_metric("named", 1, step=1, run_id=run.info.run_id)
    return linked(mlflow, [model_id])


@case
def unknown_models(mlflow: Any) -> object:
    """A metric for a model that does not exist is refused."""
    client, run_id = mlflow.MlflowClient(), new_run(mlflow)
    outcomes = [
        attempt(mlflow.log_metric, "a", 1, model_id=UNKNOWN_MODEL, run_id=run_id),
        attempt(mlflow.log_metrics, {"b": 1}, model_id=UNKNOWN_MODEL, run_id=run_id),
        attempt(client.log_metric, run_id, "c", 1, model_id=UNKNOWN_MODEL),
    ]
    return [outcomes, sorted(mlflow.get_run(run_id).data.metrics)]


@case
def not_waited_for(mlflow: Any) -> object:
    """A metric that is not waited for is linked like any other."""
    model_id, run_id = new_model(mlflow), new_run(mlflow)
    mlflow.log_metric(
        "m", 1, timestamp=5, model_id=model_id, synchronous=False, run_id=run_id
    ).wait()
    return [run_id, of_model(mlflow, model_id)]


@case
def with_a_dataset(mlflow: Any) -> object:
    """Model and dataset of a metric are kept together, and the model shows both."""
    model_id = new_model(mlflow)
    dataset = mlflow.entities.Dataset("train set", "d1", "local", "here")
    with mlflow.start_run() as run:
        mlflow.log_metric("acc", 0.5, timestamp=5, model_id=model_id, dataset=dataset)
        mlflow.log_metrics({"f1": 0.25}, timestamp=6, model_id=model_id, dataset=dataset)
    found = mlflow.get_run(run.info.run_id).inputs
    return [run.info.run_id, of_model(mlflow, model_id), found.dataset_inputs]


@case
def one_value_per_dataset(mlflow: Any) -> object:
    """A model keeps the values of one metric on several datasets apart."""
    client, model_id, run_id = mlflow.MlflowClient(), new_model(mlflow), new_run(mlflow)
    for number, (name, digest) in enumerate([("a", "1"), ("a", "2"), ("b", "1")]):
        client.log_metric(
            run_id,
            "acc",
            number,
            timestamp=number,
            model_id=model_id,
            dataset_name=name,
            dataset_digest=digest,
        )
    found = of_model(mlflow, model_id)
    return [[each.value, each.dataset_name, each.dataset_digest] for each in found]


@case(alone=True)
def in_searches(mlflow: Any) -> object:
    """A search shows the metrics of each model that it finds."""
    model_id = new_model(mlflow, "measured")
    mlflow.log_metric("acc", 0.5, timestamp=5, model_id=model_id, run_id=new_run(mlflow))
    new_model(mlflow, "not measured")
    found = mlflow.search_logged_models([experiment_id()], output_format="list")
    return {
        each.name: [[metric.key, metric.value] for metric in each.metrics or []] for each in found
    }


@case
def named_by_the_environment(mlflow: Any) -> object:
    """MLFLOW_ACTIVE_MODEL_ID is looked at when a thread first asks which model is active."""
    os.environ["MLFLOW_ACTIVE_MODEL_ID"] = new_model(mlflow, "by environment")
    seen: list[object] = []

    def elsewhere() -> None:
        active = mlflow.get_active_model_id()
        seen.append(active and mlflow.get_logged_model(active).name)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    return seen
