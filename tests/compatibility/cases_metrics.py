"""Keys, steps and timestamps of metrics; duplicates, the latest value, and runs that are named."""

from __future__ import annotations

from typing import Any

import numpy as np

from compatibility.cases import UNKNOWN_RUN, attempt, case, new_run, points

LONGEST = 2**63 - 1


def with_steps(mlflow: Any, steps: list[Any]) -> object:
    """Log a point at each step, of a metric of its own, and return what was said and stored."""
    with mlflow.start_run() as run:
        outcomes = [
            attempt(mlflow.log_metric, f"k{i}", 1, step, timestamp=5)
            for i, step in enumerate(steps)
        ]
    stored = [points(mlflow, run.info.run_id, f"k{i}") for i in range(len(steps))]
    return {"outcomes": outcomes, "stored": stored}


def with_timestamps(mlflow: Any, timestamps: list[Any]) -> object:
    """Log a point at each time, of a metric of its own, and return what was said and stored."""
    with mlflow.start_run() as run:
        outcomes = [
            attempt(mlflow.log_metric, f"k{i}", 1, timestamp=timestamp)
            for i, timestamp in enumerate(timestamps)
        ]
    stored = [points(mlflow, run.info.run_id, f"k{i}") for i in range(len(timestamps))]
    return {"outcomes": outcomes, "stored": stored}


def with_keys(mlflow: Any, keys: list[Any]) -> object:
    """Log under each key, alone and in a batch, and return what was said and what is stored."""
    with mlflow.start_run() as run:
        alone = [attempt(mlflow.log_metric, key, 1, timestamp=5) for key in keys]
        batch = [attempt(mlflow.log_metrics, {"good": 1, key: 2}) for key in keys]
    return {"alone": alone, "batch": batch, "stored": mlflow.get_run(run.info.run_id).data.metrics}


# Steps ------------------------------------------------------------------------------------------


@case
def steps(mlflow: Any) -> object:
    """Every 64-bit integer is a step, negative ones too; none is step 0."""
    return with_steps(mlflow, [None, 0, 5, -5, LONGEST, -LONGEST, -(2**63), 2**53 + 1])


@case(over_http=True)
def whole_numbers_as_steps(mlflow: Any) -> object:
    """A whole float and a boolean count as the integers they equal."""
    return with_steps(mlflow, [1.0, True, -2.0])


@case(over_http=True)
def fractional_steps(mlflow: Any) -> object:
    """A step between two integers is refused."""
    return with_steps(mlflow, [1.5, 0.1])


@case(over_http=True)
def steps_that_are_no_number(mlflow: Any) -> object:
    """NaN and infinity are no steps."""
    return with_steps(mlflow, [float("nan"), float("inf")])


@case(over_http=True)
def numpy_steps(mlflow: Any) -> object:
    """Integers of numpy are steps."""
    return with_steps(mlflow, [np.int64(4), np.int32(5)])


@case(over_http=True)
def numpy_floats_as_steps(mlflow: Any) -> object:
    """A whole float of numpy counts as the integer it equals."""
    return with_steps(mlflow, [np.float32(2.0), np.float64(3.0)])


@case(over_http=True)
def texts_as_steps(mlflow: Any) -> object:
    """A text or a list is no step, whatever it says."""
    return with_steps(mlflow, ["7", [1], "x"])


@case(over_http=True)
def too_large_a_step(mlflow: Any) -> object:
    """A step that 64 bits do not hold is refused."""
    return with_steps(mlflow, [2**63, -(2**63) - 1])


@case(over_http=True)
def bad_steps_in_batches(mlflow: Any) -> object:
    """In a batch the message says which metric has the bad step, and nothing is stored."""
    with mlflow.start_run() as run:
        outcomes = [attempt(mlflow.log_metrics, {"a": 1, "b": 2}, step=step) for step in ("7", [1])]
    return [outcomes, mlflow.get_run(run.info.run_id).data.metrics]


# Timestamps -------------------------------------------------------------------------------------


@case
def timestamps(mlflow: Any) -> object:
    """A timestamp is kept as it is given; none, and 0 too, are now."""
    return with_timestamps(mlflow, [None, 0, 1, 1_700_000_000_000, LONGEST])


@case
def timestamp_zero_of_the_client(mlflow: Any) -> object:
    """For the client's own function, timestamp 0 is 0 and only None is now."""
    client, run_id = mlflow.MlflowClient(), new_run(mlflow)
    client.log_metric(run_id, "zero", 1, timestamp=0)
    client.log_metric(run_id, "none", 1)
    return [points(mlflow, run_id, "zero"), points(mlflow, run_id, "none")]


@case
def negative_timestamps(mlflow: Any) -> object:
    """A timestamp before 1970 is refused."""
    return with_timestamps(mlflow, [-1, -(2**63)])


@case(over_http=True)
def whole_numbers_as_timestamps(mlflow: Any) -> object:
    """A whole float and a boolean count as the integers they equal."""
    return with_timestamps(mlflow, [9.0, True])


@case(over_http=True)
def fractional_timestamps(mlflow: Any) -> object:
    """A timestamp between two milliseconds is refused."""
    return with_timestamps(mlflow, [1.5, float("nan"), float("inf")])


@case(over_http=True)
def numpy_timestamps(mlflow: Any) -> object:
    """Integers of numpy are timestamps."""
    return with_timestamps(mlflow, [np.int64(9), np.int32(10)])


@case(over_http=True)
def texts_as_timestamps(mlflow: Any) -> object:
    """A text is no timestamp."""
    return with_timestamps(mlflow, ["5", [1]])


@case(over_http=True)
def too_large_a_timestamp(mlflow: Any) -> object:
    """A timestamp that 64 bits do not hold is refused."""
    return with_timestamps(mlflow, [2**63])


@case
def bad_timestamps_in_batches(mlflow: Any) -> object:
    """In a batch the message says which metric has the bad timestamp."""
    client, metric = mlflow.MlflowClient(), mlflow.entities.Metric
    run_id = new_run(mlflow)
    return [
        attempt(mlflow.log_metrics, {"a": 1}, timestamp=-1, run_id=run_id),
        attempt(client.log_batch, run_id, [metric("a", 1, 1, 0), metric("b", 1, -7, 0)]),
        client.get_run(run_id).data.metrics,
    ]


@case
def one_time_for_a_batch(mlflow: Any) -> object:
    """All metrics of one `log_metrics` share one timestamp and one step."""
    with mlflow.start_run() as run:
        mlflow.log_metrics({f"k{i}": i for i in range(5)}, step=3)
    seen = [points(mlflow, run.info.run_id, f"k{i}")[0] for i in range(5)]
    return [len({time for _, time, _ in seen}), [step for step, _, _ in seen], seen[0][1]]


# Keys -------------------------------------------------------------------------------------------


@case
def good_keys(mlflow: Any) -> object:
    """Words, spaces and ``/ . - _ :`` make a key; so do letters of any script."""
    return with_keys(
        mlflow,
        ["a", "a b", "a/b", "a/b/c", "a.b", "a-b", "a_b", "a:b", "é", "日本", " ", "1", "...x"],
    )


@case
def bad_characters_in_keys(mlflow: Any) -> object:
    """Any other character is refused, and the message quotes the key as JSON."""
    return with_keys(mlflow, ["a@b", "a(b)", "a=b", "a,b", "a\tb", "a\nb", "~", "%", "a&b", "😀"])


@case
def keys_that_are_no_paths(mlflow: Any) -> object:
    """A key that would name another file, taken as a path, is refused."""
    return with_keys(
        mlflow, [".", "..", "./a", "a/..", "../a", "/a", "a//b", "a/", "a/./b", "a/../b", "..a"]
    )


@case
def a_newline_at_the_end(mlflow: Any) -> object:
    """One newline at the very end of a key passes."""
    return with_keys(mlflow, ["a\n", "a\n\n"])


@case
def length_of_keys(mlflow: Any) -> object:
    """A key has at most 250 characters."""
    return with_keys(mlflow, ["x" * 250, "x" * 251, "é" * 250, "é" * 251])


@case(over_http=True)
def empty_key(mlflow: Any) -> object:
    """The empty key is refused."""
    return with_keys(mlflow, [""])


@case(over_http=True)
def no_key(mlflow: Any) -> object:
    """None is no key."""
    return with_keys(mlflow, [None])


@case(over_http=True)
def keys_of_other_types(mlflow: Any) -> object:
    """A key that is no text is a TypeError."""
    return with_keys(mlflow, [5, 1.0, True, ("a",)])


@case
def case_of_keys(mlflow: Any) -> object:
    """Keys that differ in case only are different metrics."""
    with mlflow.start_run() as run:
        mlflow.log_metrics({"loss": 1, "Loss": 2, "LOSS": 3, "café": 4, "CAFÉ": 5})
    return mlflow.get_run(run.info.run_id).data.metrics


@case
def a_key_below_another(mlflow: Any) -> object:
    """A metric `a` and a metric `a/b` live side by side."""
    return with_keys(mlflow, ["a", "a/b", "a/b/c"])


# Duplicates and the latest value ----------------------------------------------------------------


@case
def duplicates(mlflow: Any) -> object:
    """A point logged again is one point; another value, step or time makes another."""
    with mlflow.start_run() as run:
        for value, step, timestamp in [(1, 0, 5), (1, 0, 5), (2, 0, 5), (1, 1, 5), (1, 0, 6)]:
            mlflow.log_metric("k", value, step=step, timestamp=timestamp)
    return points(mlflow, run.info.run_id, "k")


@case
def duplicates_in_a_batch(mlflow: Any) -> object:
    """A point given twice in one batch, and again in the next, is one point."""
    client, metric = mlflow.MlflowClient(), mlflow.entities.Metric
    run_id = new_run(mlflow)
    batch = [metric("k", 1.0, 5, 0), metric("k", 1.0, 5, 0), metric("k", 2.0, 5, 0)]
    client.log_batch(run_id, batch)
    client.log_batch(run_id, batch)
    return [points(mlflow, run_id, "k"), client.get_run(run_id).data.metrics]


@case
def latest_value(mlflow: Any) -> object:
    """The latest value is that of the greatest step, then time, then value."""
    with mlflow.start_run() as run:
        for value, step, timestamp in [(1, 0, 9), (2, 5, 1), (3, 5, 2), (2.5, 5, 2), (9, -5, 99)]:
            mlflow.log_metric("m", value, step=step, timestamp=timestamp)
    return mlflow.get_run(run.info.run_id).data.metrics


@case
def latest_value_in_any_order(mlflow: Any) -> object:
    """In which order points arrive does not matter to which is the latest."""
    client, metric = mlflow.MlflowClient(), mlflow.entities.Metric
    run_id = new_run(mlflow)
    client.log_batch(run_id, [metric("m", value, 1, 9 - value) for value in range(9)])
    client.log_batch(run_id, [metric("m", 100, 1, 3), metric("n", 1, 5, 0), metric("n", 2, 4, 0)])
    return client.get_run(run_id).data.metrics


@case
def a_negative_step_loses(mlflow: Any) -> object:
    """A later point at a negative step is not the latest value."""
    with mlflow.start_run() as run:
        mlflow.log_metric("m", 1)
        mlflow.log_metric("m", 2, step=-5)
    return mlflow.get_run(run.info.run_id).data.metrics


@case
def points_of_the_latest_values(mlflow: Any) -> object:
    """A fetched run knows step and time of each latest value."""
    with mlflow.start_run() as run:
        mlflow.log_metric("m", 1, step=3, timestamp=7)
        mlflow.log_metric("m", 2, step=4, timestamp=6)
        mlflow.log_metric("a", 3, step=0, timestamp=8)
    data = mlflow.get_run(run.info.run_id).data
    return sorted([each.key, each.value, each.step, each.timestamp] for each in data._metric_objs)


# Which run --------------------------------------------------------------------------------------


@case
def a_run_is_started(mlflow: Any) -> object:
    """The first metric starts a run where none is active, also a metric that is then refused."""
    before = mlflow.active_run()
    outcome = attempt(mlflow.log_metric, "a@b", 1)
    started = mlflow.active_run()
    mlflow.log_metric("good", 1)
    mlflow.end_run()
    return [before, outcome, mlflow.get_run(started.info.run_id)]


@case
def nothing_to_log(mlflow: Any) -> object:
    """`log_metrics({})` starts a run, returns None and logs nothing."""
    outcomes = [
        attempt(mlflow.log_metrics, {}),
        attempt(mlflow.log_metrics, {}, synchronous=False),
        attempt(mlflow.log_metrics, {}, run_id=UNKNOWN_RUN),
    ]
    return [outcomes, mlflow.active_run() is not None, mlflow.last_active_run().data.metrics]


@case
def answers(mlflow: Any) -> object:
    """What each function returns, waited for or not."""
    run_id = new_run(mlflow)
    return [
        mlflow.log_metric("a", 1, run_id=run_id),
        mlflow.log_metric("a", 1, 1, False, run_id=run_id),
        mlflow.log_metric("a", 1, 2, True, run_id=run_id),
        mlflow.log_metrics({"a": 1}, 3, run_id=run_id),
        mlflow.log_metrics({"a": 1}, 4, False, run_id),
    ]


@case
def positional_arguments(mlflow: Any) -> object:
    """The two functions take their arguments in MLflow's order, in which they differ."""
    run_id = new_run(mlflow)
    mlflow.log_metric("one", 1, 2, True, 3, run_id)
    mlflow.log_metrics({"many": 4}, 5, True, run_id, 6)
    mlflow.MlflowClient().log_metric(run_id, "client", 7, 8, 9)
    return {key: points(mlflow, run_id, key) for key in ("one", "many", "client")}


@case
def another_run_than_the_active_one(mlflow: Any) -> object:
    """`run_id` logs to that run, and neither starts nor ends anything."""
    other = new_run(mlflow, run_name="the other")
    mlflow.log_metric("m", 1, run_id=other)
    mlflow.log_metrics({"n": 2}, run_id=other)
    before = mlflow.active_run()
    with mlflow.start_run() as run:
        mlflow.log_metric("m", 3, run_id=other, step=1)
        mlflow.log_metric("m", 4)
    metrics = [mlflow.get_run(each).data.metrics for each in (other, run.info.run_id)]
    return [before, metrics, mlflow.get_run(other).info.status]


@case
def unknown_runs(mlflow: Any) -> object:
    """A run that does not exist is not found, by each function."""
    client = mlflow.MlflowClient()
    return [
        attempt(mlflow.log_metric, "m", 1, run_id=UNKNOWN_RUN),
        attempt(mlflow.log_metrics, {"m": 1}, run_id=UNKNOWN_RUN),
        attempt(client.log_metric, UNKNOWN_RUN, "m", 1),
        attempt(client.log_batch, UNKNOWN_RUN, [mlflow.entities.Metric("m", 1, 1, 0)]),
    ]


@case
def malformed_run_ids(mlflow: Any) -> object:
    """An id that no run can have is not found either, or is refused."""
    client = mlflow.MlflowClient()
    return {
        run_id: [
            attempt(mlflow.log_metric, "m", 1, run_id=run_id),
            attempt(client.log_metric, run_id, "m", 1),
            attempt(client.log_batch, run_id, [mlflow.entities.Metric("m", 1, 1, 0)]),
            attempt(client.get_run, run_id),
        ]
        for run_id in ("bad id!", "../etc", "x" * 300)
    }


@case
def ended_runs(mlflow: Any) -> object:
    """An ended run takes more points; its status and its end stay as they are."""
    client = mlflow.MlflowClient()
    seen = []
    for status in ("FINISHED", "FAILED", "KILLED"):
        run_id = new_run(mlflow)
        client.set_terminated(run_id, status, end_time=1_234)
        client.log_metric(run_id, "m", 1)
        run = client.get_run(run_id)
        seen.append([run.info.status, run.info.end_time, run.data.metrics])
    return seen


@case
def deleted_runs(mlflow: Any) -> object:
    """A deleted run takes nothing more, and can still be read."""
    client, run_id = mlflow.MlflowClient(), new_run(mlflow)
    client.log_metric(run_id, "m", 1, timestamp=5)
    client.delete_run(run_id)
    outcomes = [
        attempt(client.log_metric, run_id, "m", 2),
        attempt(client.log_batch, run_id, [mlflow.entities.Metric("m", 1, 1, 0)]),
        attempt(mlflow.log_metric, "m", 2, run_id=run_id),
        attempt(client.set_terminated, run_id),
    ]
    return [outcomes, points(mlflow, run_id, "m"), client.get_run(run_id).info.lifecycle_stage]
