"""The runs, and the models, that all cases of searching search through: made once, then only read.

Eight runs that differ in everything that can be searched for; the first two are deleted, and `bare`
has nothing. Their start times are 1,000, 2,000, …, so the default order is from the last to the
first.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from compatibility.cases import attempt


class Member(NamedTuple):
    """One run of the population."""

    name: str
    metrics: Mapping[str, float] = MappingProxyType({})
    params: Mapping[str, str] = MappingProxyType({})
    tags: Mapping[str, str] = MappingProxyType({})
    status: str | None = None
    datasets: tuple[tuple[str, str, str], ...] = ()  # name, digest, context
    deleted: bool = False


MEMBERS = [
    Member("gone", {"loss": 0.05}, {"lr": "0.1"}, {"team": "red"}, "FINISHED", deleted=True),
    Member("lost", {"loss": 0.95}, deleted=True),
    Member(
        "alpha",
        {"loss": 0.1, "val acc": 0.9, "a/b": 1, "é": 5},
        {"lr": "0.1", "Optimizer": "Adam", "batch size": "32"},
        {"team": "red", "note": "100% sure", "a.b": "dots"},
        "FINISHED",
        (("train set", "d1", "training"), ("test set", "d2", "testing")),
    ),
    Member(
        "beta",
        {"loss": 0.2, "val acc": 0.5, "a/b": -2},
        {"lr": "0.01", "Optimizer": "adam", "batch size": "64"},
        {"team": "Red", "note": "it's", "a.b": "none"},
        "FAILED",
        (("train set", "d1", "training"),),
    ),
    Member("gamma", {"loss": 0.2, "e": 1e-7}, {"lr": "0.1"}, {"team": "blue"}, "FINISHED"),
    Member("nan", {"loss": float("nan"), "a/b": 0}, {"lr": "1e-3"}, {"team": ""}, "KILLED"),
    Member("infinite", {"loss": float("inf"), "low": float("-inf")}, {}, {"Team": "red"}),
    Member("bare"),
]

EXPERIMENT = "the population"
_experiment_ids: dict[str, str] = {}


def population(mlflow: Any) -> str:
    """Return the id of the experiment with the runs, which are made by the first call."""
    name = mlflow.__name__
    if name not in _experiment_ids:
        _experiment_ids[name] = str(mlflow.create_experiment(EXPERIMENT))
        for number, member in enumerate(MEMBERS, 1):
            _create(mlflow, _experiment_ids[name], member, 1_000 * number)
    return _experiment_ids[name]


def _create(mlflow: Any, experiment_id: str, member: Member, start_time: int) -> None:
    client, entities = mlflow.MlflowClient(), mlflow.entities
    run = client.create_run(experiment_id, start_time, dict(member.tags), member.name)
    run_id = run.info.run_id
    client.log_batch(
        run_id,
        [
            # An earlier value, which no search must find.
            *(entities.Metric(key, 77, 1, 0) for key in member.metrics),
            *(entities.Metric(key, value, 2, 1) for key, value in member.metrics.items()),
        ],
        [entities.Param(key, value) for key, value in member.params.items()],
    )
    for name, digest, context in member.datasets:
        dataset = entities.Dataset(name, digest, "local", "here")
        tag = entities.InputTag("mlflow.data.context", context)
        client.log_inputs(run_id, [entities.DatasetInput(dataset, [tag])])
    if member.status:
        client.set_terminated(run_id, member.status, start_time + len(member.name))
    if member.deleted:
        client.delete_run(run_id)


def found(mlflow: Any, *filters: str, **arguments: Any) -> dict[str, object]:
    """Return the names of the runs that each filter finds, or the error that it is."""
    client, experiment_id = mlflow.MlflowClient(), population(mlflow)

    def search(text: str) -> object:
        runs = client.search_runs([experiment_id], text, **arguments)
        return [run.info.run_name for run in runs]

    return {text: attempt(search, text) for text in filters}


def ordered(mlflow: Any, *orders: list[str], **arguments: Any) -> dict[str, object]:
    """Return the names of the runs in each order, or the error that it is."""
    client, experiment_id = mlflow.MlflowClient(), population(mlflow)

    def search(order: list[str]) -> object:
        runs = client.search_runs([experiment_id], order_by=order, **arguments)
        return [run.info.run_name for run in runs]

    return {", ".join(order): attempt(search, order) for order in orders}
