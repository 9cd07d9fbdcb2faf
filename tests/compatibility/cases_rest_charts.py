"""The endpoints from which MLflow's web page draws its charts."""

from __future__ import annotations

from typing import Any

from compatibility.cases import UNKNOWN_RUN, case
from compatibility.wire import Wire

BULK = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
INTERVAL = "metrics/get-history-bulk-interval"


def logged(http: Wire, values: list[Any]) -> str:
    """Create a run with a point of `m` for each value and return its id."""
    run_id = http.run()
    metrics = [
        {"key": "m", "value": value, "timestamp": 100 - step, "step": step}
        for step, value in enumerate(values)
    ]
    http.post("runs/log-batch", {"run_id": run_id, "metrics": metrics})
    return run_id


def steps(answer: dict[str, Any]) -> object:
    """Return the steps of the points in an answer, or what it says instead."""
    if answer["status"] != 200:
        return answer
    return [point["step"] for point in answer["body"].get("metrics", [])]


@case
def bulk(http: Wire) -> object:
    """The points of several runs come by run, time, step and value."""
    runs = sorted([logged(http, [3, 1, 2]), logged(http, [5])])
    answer = http.get(BULK, run_id=runs, metric_key="m")
    answer["body"]["metrics"].sort(key=lambda each: (len(runs) and each["value"], each["step"]))
    return answer


@case
def bulk_order_and_limit(http: Wire) -> object:
    """The limit is one on all points together, in the order of run, time, step and value."""
    runs = sorted(logged(http, [3, 1, 2]) for _ in range(2))
    seen = []
    for limit in (4, 6, 100):
        answer = http.get(BULK, run_id=runs, metric_key="m", max_results=limit)
        points = answer["body"]["metrics"]
        seen.append([[each["run_id"] == runs[0], each["step"]] for each in points])
    return seen


@case
def bulk_mistakes(http: Wire) -> object:
    """Runs and a key must be named, and not more than 100 runs."""
    return [
        http.get(BULK, metric_key="m"),
        http.get(BULK, run_id=UNKNOWN_RUN),
        http.get(BULK, run_id=[UNKNOWN_RUN] * 101, metric_key="m"),
        http.get(BULK, run_id=UNKNOWN_RUN, metric_key="m"),
        http.get("metrics/get-history-bulk", run_id=UNKNOWN_RUN, metric_key="m")["status"],
    ]


@case
def bulk_of_special_values(http: Wire) -> object:
    """NaN is a bare NaN there."""
    return http.get(BULK, run_id=logged(http, ["NaN", 1]), metric_key="m")["body"]


@case
def interval(http: Wire) -> object:
    """A run of few points is shown whole, by step."""
    run_id = logged(http, [3, "NaN", 2])
    return http.get(INTERVAL, run_ids=run_id, metric_key="m")


@case
def interval_of_several_runs(http: Wire) -> object:
    """The points of several runs come run by run, each by step."""
    runs = sorted([logged(http, [1, 2]), logged(http, [3, 4, 5])])
    answer = http.get(INTERVAL, run_ids=runs, metric_key="m", max_results=10)
    points = answer["body"]["metrics"]
    by_run = {run_id: [p["step"] for p in points if p["run_id"] == run_id] for run_id in runs}
    return sorted(by_run.values(), key=len)


@case
def interval_of_steps(http: Wire) -> object:
    """A range of steps holds both its ends."""
    run_id = logged(http, list(range(10)))
    return [
        steps(http.get(INTERVAL, run_ids=run_id, metric_key="m", start_step=start, end_step=end))
        for start, end in ((2, 5), (0, 0), (8, 100), (-5, 1), (50, 60))
    ]


@case
def interval_thinned(http: Wire) -> object:
    """Of more points than are asked for the first and the last are among those that come."""
    run_id = logged(http, [step % 7 for step in range(100)])
    found = steps(http.get(INTERVAL, run_ids=run_id, metric_key="m", max_results=10))
    assert isinstance(found, list)
    return [found[0], found[-1], found == sorted(set(found))]


@case
def interval_mistakes(http: Wire) -> object:
    """Runs, a key, both ends of a range or none, and 1 to 2,500 points."""
    query = {"run_ids": UNKNOWN_RUN, "metric_key": "m"}
    return [
        http.get(INTERVAL, metric_key="m"),
        http.get(INTERVAL, run_ids=UNKNOWN_RUN),
        http.get(INTERVAL, **query, max_results=0),
        http.get(INTERVAL, **query, max_results=2_501),
        http.get(INTERVAL, **query, max_results="x"),
        http.get(INTERVAL, **query, start_step=2, end_step=1),
        http.get(INTERVAL, **query, start_step=2),
        http.get(INTERVAL, **query, end_step=2),
        http.get(INTERVAL, run_ids=[UNKNOWN_RUN] * 101, metric_key="m"),
        http.get(INTERVAL, **query),
    ]
