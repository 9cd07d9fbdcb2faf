"""Params and tags of runs."""

from __future__ import annotations

import os
from typing import Any

from compatibility.cases import UNKNOWN_RUN, attempt, case, new_run


@case
def values_become_text(mlflow: Any) -> object:
    """The value of a param is the text that `str` makes of it."""
    with mlflow.start_run() as run:
        answers = [
            mlflow.log_param(f"p{i}", value)
            for i, value in enumerate([1, 0.5, None, "", True, [1, 2], {"a": 1}, "é\n"])
        ]
    return [answers, mlflow.get_run(run.info.run_id).data.params]


@case
def logged_again(mlflow: Any) -> object:
    """A param can be logged again with the value it has."""
    with mlflow.start_run() as run:
        answers = [mlflow.log_param("p", 1), mlflow.log_param("p", "1"), mlflow.log_param("p", 1)]
        mlflow.log_params({"p": 1, "q": 2})
    return [answers, mlflow.get_run(run.info.run_id).data.params]


@case
def changed(mlflow: Any) -> object:
    """A param cannot be changed; the message shows both values and MLflow's advice."""
    client = mlflow.MlflowClient()
    with mlflow.start_run() as run:
        mlflow.log_param("p", 1)
        outcomes = [
            attempt(mlflow.log_param, "p", 2),
            attempt(mlflow.log_param, "p", 1.0),
            attempt(mlflow.log_param, "p", ""),
            attempt(mlflow.log_params, {"p": 2}),
            attempt(client.log_param, run.info.run_id, "p", "3"),
        ]
    return [outcomes, mlflow.get_run(run.info.run_id).data.params]


@case
def several_changed(mlflow: Any) -> object:
    """A batch that changes several params lists all of them, and stores no other."""
    with mlflow.start_run() as run:
        mlflow.log_params({"a": 1, "b": 2, "c": 3})
        outcome = attempt(mlflow.log_params, {"a": 1, "b": 20, "c": 30, "d": 4})
    return [outcome, mlflow.get_run(run.info.run_id).data.params]


@case
def answers(mlflow: Any) -> object:
    """What each function returns: a param its value, as it was given."""
    given = {"a": [1]}
    with mlflow.start_run():
        return [
            mlflow.log_param("p", given) is given,
            mlflow.log_param("q", 0.5, False),
            mlflow.log_params({"r": 1}),
            mlflow.log_params({"s": 1}, False),
            mlflow.log_params({}),
            mlflow.set_tag("t", 1),
            mlflow.set_tag("u", 1, False),
            mlflow.set_tags({"v": 1}),
            mlflow.set_tags({"w": 1}, False),
        ]


@case
def keys(mlflow: Any) -> object:
    """Keys of params and tags follow the rule of metrics."""
    with mlflow.start_run() as run:
        outcomes = {
            key: [attempt(mlflow.log_param, key, 1), attempt(mlflow.set_tag, key, 1)]
            for key in ("a b", "a/b", "é:1", "a@b", "a//b", ".", "/a", "x" * 250, "x" * 251)
        }
    found = mlflow.get_run(run.info.run_id).data
    return [outcomes, found.params, sorted(found.tags)]


@case(over_http=True)
def keys_that_are_no_text(mlflow: Any) -> object:
    """An empty key, none, and a number are refused."""
    with mlflow.start_run():
        return {
            str(key): [attempt(mlflow.log_param, key, 1), attempt(mlflow.set_tag, key, 1)]
            for key in ("", None, 5)
        }


@case
def long_values_are_cut(mlflow: Any) -> object:
    """A param keeps 6,000 characters of its value, a tag 8,000."""
    with mlflow.start_run() as run:
        mlflow.log_param("p", "x" * 6_001)
        mlflow.log_params({"q": "é" * 6_002})
        mlflow.set_tag("t", "x" * 8_001)
        mlflow.set_tags({"u": "é" * 8_002})
    found = mlflow.get_run(run.info.run_id).data
    return [[len(found.params[key]) for key in "pq"], [len(found.tags[key]) for key in "tu"]]


@case(over_http=True)
def long_values_are_refused(mlflow: Any) -> object:
    """With MLFLOW_TRUNCATE_LONG_VALUES=false a value that is too long is an error instead."""
    os.environ["MLFLOW_TRUNCATE_LONG_VALUES"] = "false"
    with mlflow.start_run() as run:
        outcomes = [
            attempt(mlflow.log_param, "p", "x" * 6_001),
            attempt(mlflow.log_params, {"p": "x" * 6_001}),
            attempt(mlflow.set_tag, "t", "x" * 8_001),
            attempt(mlflow.set_tags, {"t": "x" * 8_001}),
            attempt(mlflow.log_param, "fits", "x" * 6_000),
            attempt(mlflow.set_tag, "fits", "x" * 8_000),
        ]
    found = mlflow.get_run(run.info.run_id).data
    return [outcomes, sorted(found.params), "t" in found.tags, "fits" in found.tags]


@case
def deleted_and_unknown_runs(mlflow: Any) -> object:
    """Params and tags of a deleted or an unknown run are refused."""
    client, deleted = mlflow.MlflowClient(), new_run(mlflow)
    client.delete_run(deleted)
    return [
        [
            attempt(client.log_param, run_id, "p", 1),
            attempt(client.set_tag, run_id, "t", 1),
            attempt(client.delete_tag, run_id, "t"),
            attempt(mlflow.log_params, {"p": 1}, run_id=run_id),
        ]
        for run_id in (deleted, UNKNOWN_RUN)
    ]


@case
def tags_are_changed_and_removed(mlflow: Any) -> object:
    """A tag takes a new value, any type of it as text, and can be removed."""
    with mlflow.start_run(tags={"a": "1"}) as run:
        mlflow.set_tags({"a": 2, "b": None, "c": ""})
        mlflow.set_tag("d", [1])
        mlflow.delete_tag("b")
    return mlflow.get_run(run.info.run_id).data.tags


@case
def a_tag_that_is_not_there(mlflow: Any) -> object:
    """Removing a tag that is not there is an error, the second time too."""
    with mlflow.start_run():
        mlflow.set_tag("a", 1)
        return [
            attempt(mlflow.delete_tag, "zzz"),
            attempt(mlflow.delete_tag, "a"),
            attempt(mlflow.delete_tag, "a"),
        ]


@case
def the_tag_of_the_name(mlflow: Any) -> object:
    """Setting `mlflow.runName` renames the run; removing it leaves the name."""
    client, run_id = mlflow.MlflowClient(), new_run(mlflow, run_name="before")
    client.set_tag(run_id, "mlflow.runName", "after")
    renamed = client.get_run(run_id)
    client.delete_tag(run_id, "mlflow.runName")
    without = client.get_run(run_id)
    return [[each.info.run_name, each.data.tags] for each in (renamed, without)]


@case
def tags_of_ended_runs(mlflow: Any) -> object:
    """An ended run takes params and tags."""
    client, run_id = mlflow.MlflowClient(), new_run(mlflow, run_name="ended")
    client.set_terminated(run_id, end_time=5)
    client.log_param(run_id, "p", 1)
    client.set_tag(run_id, "t", 1)
    return client.get_run(run_id)


@case
def params_without_an_active_run(mlflow: Any) -> object:
    """The first param, and the first tag, start a run."""
    started = []
    for function in (mlflow.log_param, mlflow.set_tag):
        function("a", 1)
        started.append(mlflow.active_run() is not None)
        mlflow.end_run()
    mlflow.log_params({})
    started.append(mlflow.active_run() is not None)
    return started


@case
def tags_of_the_client(mlflow: Any) -> object:
    """The client's own functions set, change and remove tags of any run."""
    client, run_id = mlflow.MlflowClient(), new_run(mlflow, tags={"a": "1"}, run_name="tagged")
    outcomes = [
        client.set_tag(run_id, "b", 2),
        client.set_tag(run_id, "b", 3, synchronous=True),
        client.log_param(run_id, "p", 1, synchronous=True),
        client.delete_tag(run_id, "a"),
    ]
    return [outcomes, client.get_run(run_id).data.tags]
