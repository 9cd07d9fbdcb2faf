"""`log_batch`: how it is split, and what is stored where one of its items is refused."""

from __future__ import annotations

from typing import Any

from compatibility.cases import UNKNOWN_RUN, attempt, case, new_run


def data(mlflow: Any, run_id: str) -> dict[str, object]:
    """Return what a run holds, without the tag of its name."""
    found = mlflow.get_run(run_id).data
    tags = {key: value for key, value in found.tags.items() if key != "mlflow.runName"}
    return {"metrics": found.metrics, "params": found.params, "tags": tags}


@case
def everything_at_once(mlflow: Any) -> object:
    """One batch logs metrics, params and tags."""
    client, entities = mlflow.MlflowClient(), mlflow.entities
    run_id = new_run(mlflow)
    answer = client.log_batch(
        run_id,
        metrics=[entities.Metric(f"k{i}", i / 2, 5, i) for i in range(30)],
        params=[entities.Param("p", 1), entities.Param("q", "text")],
        tags=[entities.RunTag("t", "2"), entities.RunTag("u", "3")],
    )
    return [answer, data(mlflow, run_id)]


@case
def nothing(mlflow: Any) -> object:
    """A batch of nothing returns None, and asks for no run."""
    client = mlflow.MlflowClient()
    return [
        attempt(client.log_batch, UNKNOWN_RUN),
        attempt(client.log_batch, UNKNOWN_RUN, [], [], []),
        attempt(client.log_batch, new_run(mlflow), synchronous=False),
    ]


@case
def more_than_one_request_holds(mlflow: Any) -> object:
    """The client takes any number of items: it sends as many requests as they need."""
    client, entities = mlflow.MlflowClient(), mlflow.entities
    run_id = new_run(mlflow)
    client.log_batch(
        run_id,
        metrics=[entities.Metric("k", i, 5, i) for i in range(1_001)],
        params=[entities.Param(f"p{i}", i) for i in range(101)],
        tags=[entities.RunTag(f"t{i}", str(i)) for i in range(101)],
    )
    found = data(mlflow, run_id)
    history = client.get_metric_history(run_id, "k")
    return [len(history), history[-1].step, found["metrics"], found["params"], found["tags"]]


@case(over_http=True)
def one_bad_metric(mlflow: Any) -> object:
    """A bad metric keeps the whole request from being stored; the message says which it is."""
    client, entities = mlflow.MlflowClient(), mlflow.entities
    run_id = new_run(mlflow)
    good = entities.Metric("good", 1, 5, 0)
    params, tags = [entities.Param("p", 1)], [entities.RunTag("t", "1")]
    outcomes = [
        attempt(client.log_batch, run_id, [good, bad, good], params, tags)
        for bad in (
            entities.Metric("b@d", 1, 5, 0),
            entities.Metric("bad", "abc", 5, 0),
            entities.Metric("bad", 1, -1, 0),
            entities.Metric("bad", 1, 5, "x"),
            entities.Metric("b" * 251, 1, 5, 0),
        )
    ]
    return [outcomes, data(mlflow, run_id)]


@case
def one_bad_param_or_tag(mlflow: Any) -> object:
    """A bad key of a param or a tag keeps the whole request from being stored."""
    client, entities = mlflow.MlflowClient(), mlflow.entities
    run_id = new_run(mlflow)
    metrics = [entities.Metric("good", 1, 5, 0)]
    good, bad = entities.Param("p", 1), entities.Param("b@d", 1)
    outcomes = [
        attempt(client.log_batch, run_id, metrics, [good, bad]),
        attempt(client.log_batch, run_id, metrics, [entities.Param("x" * 251, 1)]),
        attempt(client.log_batch, run_id, metrics, [good], [entities.RunTag("t//u", "1")]),
        attempt(client.log_batch, run_id, metrics, [good], [entities.RunTag("x" * 251, "1")]),
    ]
    return [outcomes, data(mlflow, run_id)]


@case
def one_bad_metric_of_many(mlflow: Any) -> object:
    """Of several requests those before the bad one are stored: a long batch is not all or none."""
    client, entities = mlflow.MlflowClient(), mlflow.entities
    run_id = new_run(mlflow)
    metrics = [entities.Metric("k", i, 5, i) for i in range(1_100)]
    metrics[1_050] = entities.Metric("b@d", 1, 5, 0)
    outcome = attempt(client.log_batch, run_id, metrics)
    return [outcome, len(client.get_metric_history(run_id, "k"))]


@case
def a_changed_param(mlflow: Any) -> object:
    """A param that would change keeps metrics and tags of its request from being stored."""
    client, entities = mlflow.MlflowClient(), mlflow.entities
    run_id = new_run(mlflow)
    client.log_param(run_id, "p", 1)
    outcomes = [
        attempt(
            client.log_batch,
            run_id,
            [entities.Metric("m", 1, 5, 0)],
            [entities.Param("new", 1), entities.Param("p", 2)],
            [entities.RunTag("t", "1")],
        ),
        attempt(mlflow.log_params, {"n": 1, "p": 2, "q": 3}, run_id=run_id),
    ]
    return [outcomes, data(mlflow, run_id)]


@case
def params_given_twice(mlflow: Any) -> object:
    """A key of a param comes once in a request, even where the values agree."""
    client, param = mlflow.MlflowClient(), mlflow.entities.Param
    run_id = new_run(mlflow)
    outcomes = [
        attempt(client.log_batch, run_id, params=[param("d", 1), param("d", 1)]),
        attempt(client.log_batch, run_id, params=[param("d", 1), param("e", 1), param("d", 2)]),
    ]
    return [outcomes, data(mlflow, run_id)]


@case
def tags_given_twice(mlflow: Any) -> object:
    """Of two values of one tag in a request the last one counts."""
    client, tag = mlflow.MlflowClient(), mlflow.entities.RunTag
    run_id = new_run(mlflow)
    client.log_batch(run_id, tags=[tag("t", "1"), tag("u", "1"), tag("t", "2")])
    return data(mlflow, run_id)


@case
def a_batch_that_renames(mlflow: Any) -> object:
    """The tag `mlflow.runName` renames the run in a batch too."""
    client, tag = mlflow.MlflowClient(), mlflow.entities.RunTag
    run_id = new_run(mlflow, run_name="before")
    client.log_batch(run_id, tags=[tag("mlflow.runName", "after")])
    return client.get_run(run_id)


@case
def runs_that_take_no_batch(mlflow: Any) -> object:
    """A batch for an unknown or a deleted run is refused."""
    client, entities = mlflow.MlflowClient(), mlflow.entities
    deleted = new_run(mlflow)
    client.delete_run(deleted)
    return [
        attempt(client.log_batch, run_id, **batch)
        for run_id in (deleted, UNKNOWN_RUN)
        for batch in (
            {"metrics": [entities.Metric("m", 1, 5, 0)]},
            {"params": [entities.Param("p", 1)]},
            {"tags": [entities.RunTag("t", "1")]},
        )
    ]


@case
def batches_not_waited_for(mlflow: Any) -> object:
    """`synchronous=False` hands back operations to wait for, one object for all requests."""
    client, entities = mlflow.MlflowClient(), mlflow.entities
    run_id = new_run(mlflow)
    pending = client.log_batch(
        run_id,
        [entities.Metric("m", 1, 5, 0)],
        [entities.Param(f"p{i}", i) for i in range(150)],
        synchronous=False,
    )
    return [pending, pending.wait(), data(mlflow, run_id)]
