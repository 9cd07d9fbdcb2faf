"""MLflow's tracking store below its client: what only the store, or a server, asks of it.

A case here takes the store of the tracking URI; over HTTP that is MLflow's own REST store.
"""

from __future__ import annotations

import time
from typing import Any

from compatibility.cases import (
    UNKNOWN_EXPERIMENT,
    UNKNOWN_RUN,
    attempt,
    case,
    experiment_id,
    new_run,
)
from compatibility.population import population

store_case = case(imported=False)
local_case = case(imported=False, local=True)


def store(mlflow: Any) -> Any:
    """Return the tracking store that MLflow's client talks to."""
    return mlflow.MlflowClient()._tracking_client.store


def logged(mlflow: Any, count: int, **arguments: Any) -> str:
    """Create a run with a metric of `count` points and return its id."""
    run_id = new_run(mlflow, **arguments)
    metric = mlflow.entities.Metric
    mlflow.MlflowClient().log_batch(run_id, [metric("m", i % 5, 10 + i, i) for i in range(count)])
    return run_id


@store_case
def too_many_at_once(mlflow: Any) -> object:
    """One request has at most 1,000 items, 100 params and 100 tags; nothing of more is stored."""
    entities, run_id = mlflow.entities, new_run(mlflow)
    metrics = [entities.Metric("m", i, 1, i) for i in range(1_001)]
    params = [entities.Param(f"p{i}", "1") for i in range(101)]
    tags = [entities.RunTag(f"t{i}", "1") for i in range(101)]
    log_batch = store(mlflow).log_batch
    outcomes = [
        attempt(log_batch, run_id, metrics, [], []),
        attempt(log_batch, run_id, [], params, []),
        attempt(log_batch, run_id, [], [], tags),
        attempt(log_batch, run_id, metrics[:999], params[:1], tags[:1]),
    ]
    return [outcomes, mlflow.get_run(run_id).data.metrics, mlflow.get_run(run_id).data.params]


@store_case
def pages_of_a_history(mlflow: Any) -> object:
    """A history can be had in pages, whose tokens say an offset."""
    run_id, history = logged(mlflow, 5), store(mlflow).get_metric_history
    seen = []
    token = None
    while True:
        page = history(run_id, "m", max_results=2, page_token=token)
        token = page.token
        seen.append([[metric.step for metric in page], bool(token)])
        if not token:
            return seen


@store_case
def sizes_of_a_page_of_history(mlflow: Any) -> object:
    """A page as large as the history has no token; a bad token is refused."""
    run_id, history = logged(mlflow, 3), store(mlflow).get_metric_history
    return [
        [len(history(run_id, "m", max_results=3)), history(run_id, "m", max_results=3).token],
        len(history(run_id, "m")),
        attempt(history, run_id, "m", max_results=1, page_token="zz"),
        len(history(run_id, "m", max_results=100)),
    ]


@local_case
def an_empty_page_of_history(mlflow: Any) -> object:
    """A page of no points is empty."""
    return list(store(mlflow).get_metric_history(logged(mlflow, 3), "m", max_results=0))


@local_case
def histories_of_several_runs(mlflow: Any) -> object:
    """The histories of runs come by run, time, step and value, so many in all."""
    runs = sorted(logged(mlflow, 3) for _ in range(2))
    bulk = store(mlflow).get_metric_history_bulk
    seen = bulk(runs, "m", 100)
    return [
        [[metric.run_id == runs[0], metric.step, metric.value] for metric in seen],
        [metric.step for metric in bulk(runs, "m", 4)],
        bulk([UNKNOWN_RUN], "m", 10),
        bulk(runs, "nothing", 10),
        bulk(runs[:1], "m", 1),
    ]


@local_case
def points_of_a_chart(mlflow: Any) -> object:
    """A chart of few points gets all of them, by step."""
    run_id = logged(mlflow, 6)
    interval = store(mlflow).get_metric_history_bulk_interval
    return [
        [[metric.step, metric.value] for metric in interval([run_id], "m", 100, None, None)],
        [metric.step for metric in interval([run_id], "m", 100, 2, 4)],
        [metric.step for metric in interval([run_id], "m", 100, 3, 3)],
        [metric.step for metric in interval([run_id], "m", 100, 50, 60)],
        list(interval([run_id], "nothing", 100, None, None)),
    ]


@case(imported=False, local=True, alone=True)
def summaries_of_datasets(mlflow: Any) -> object:
    """The datasets of experiments, each with its context, once."""
    found = store(mlflow)._search_datasets([population(mlflow)])
    return [
        sorted([each.name, each.digest, each.context] for each in found),
        store(mlflow)._search_datasets([experiment_id()]),
        store(mlflow)._search_datasets([UNKNOWN_EXPERIMENT]),
    ]


@store_case
def created_runs(mlflow: Any) -> object:
    """The store creates a run for a user, with the tags and the name it is given."""
    tag = mlflow.entities.RunTag
    run = store(mlflow).create_run(
        experiment_id(), "grace", 1_234, [tag("a", "1"), tag("mlflow.runName", "tagged")], None
    )
    return [run.info, run.data.tags, mlflow.get_run(run.info.run_id).info]


@store_case
def updated_runs(mlflow: Any) -> object:
    """The store changes status, end and name of a run, each by itself, and returns what is then."""
    run_id, update = new_run(mlflow, run_name="before"), store(mlflow).update_run_info
    status = mlflow.entities.RunStatus
    return [
        update(run_id, status.FAILED, 5, None),
        update(run_id, None, None, "after"),
        update(run_id, status.RUNNING, None, None),
        update(run_id, None, 9, ""),
        mlflow.get_run(run_id).data.tags,
    ]


@store_case
def single_items(mlflow: Any) -> object:
    """The store logs a metric, a param and a tag by themselves."""
    entities, run_id, mine = mlflow.entities, new_run(mlflow, run_name="single"), store(mlflow)
    answers = [
        mine.log_metric(run_id, entities.Metric("m", 0.5, 1, 2)),
        mine.log_param(run_id, entities.Param("p", "1")),
        attempt(mine.log_param, run_id, entities.Param("p", "2")),
        mine.set_tag(run_id, entities.RunTag("t", "1")),
        mine.delete_tag(run_id, "t"),
    ]
    return [answers, mlflow.get_run(run_id).data]


@store_case
def experiments_of_any_stage(mlflow: Any) -> object:
    """The store finds experiments by id and name, and answers None for a name it does not know."""
    mine = store(mlflow)
    made = mine.create_experiment("store.experiments_of_any_stage: other", None, [])
    mine.delete_experiment(made)
    return [
        type(made).__name__,
        mine.get_experiment(made).lifecycle_stage,
        mine.get_experiment_by_name("store.experiments_of_any_stage: other").lifecycle_stage,
        mine.get_experiment_by_name("nowhere"),
        attempt(mine.get_experiment, UNKNOWN_EXPERIMENT),
    ]


@store_case
def time_of_a_change(mlflow: Any) -> object:
    """The store stamps what it changes with the time of now."""
    mine = store(mlflow)
    before = int(time.time() * 1_000)
    run_id = new_run(mlflow)
    mlflow.MlflowClient().set_terminated(run_id)
    found = mine.get_run(run_id).info
    return [before <= found.start_time <= found.end_time]
