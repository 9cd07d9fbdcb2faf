"""What steplog promises of its speed and size: bounds on medians of what the benchmarks measure."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import NamedTuple

from peers import STEPLOG

Results = dict[str, dict[str, list[float]]]  # "what, unit" -> peer -> one value per round


class Target(NamedTuple):
    """One promise.

    Attributes:
        name: what is promised.
        sign: ``≤`` or ``≥``, between the value and the bound.
        bound: in `unit`.
        unit: of the bound and of the value.
        value: takes it from the results; a KeyError says that it was not measured.

    """

    name: str
    sign: str
    bound: float
    unit: str
    value: Callable[[Results], float]

    def verdict(self, results: Results) -> tuple[float | None, str]:
        """Return the value, and whether it reaches the bound."""
        try:
            value = self.value(results)
        except KeyError:
            return None, "not measured"
        reached = value <= self.bound if self.sign == "≤" else value >= self.bound
        return value, "reached" if reached else "**not reached**"


def ours(measure: str) -> Callable[[Results], float]:
    """Return what takes steplog's median of a measure."""
    return lambda results: median(results[measure][STEPLOG])


def over(measure: str, peer: str) -> Callable[[Results], float]:
    """Return what takes a peer's median as a multiple of steplog's."""
    return lambda results: median(results[measure][peer]) / median(results[measure][STEPLOG])


def times(measure: str, peer: str) -> Callable[[Results], float]:
    """Return what takes steplog's median as a multiple of a peer's: of a measure of speed."""
    return lambda results: median(results[measure][STEPLOG]) / median(results[measure][peer])


def over_least(measure: str) -> Callable[[Results], float]:
    """Return what takes the least median of all peers as a multiple of steplog's."""

    def value(results: Results) -> float:
        costs = {peer: median(values) for peer, values in results[measure].items()}
        own = costs.pop(STEPLOG)
        if not costs:
            raise KeyError(f"{measure} of a peer")
        return min(costs.values()) / own

    return value


# Peers are compared by single calls: in a loop at full speed those with a writing thread look
# several times slower than they are in a training that does something between the calls.
CALL = "log call p50, µs"
SLOWNESS = "end to end, µs a point"
HISTORY = "read a series, ms per 1 M points"
CHART = "chart of 100 M points"

TARGETS = (
    Target("log_metric / empty function", "≤", 11, "×", ours("log call / empty function, ×")),
    Target("log_metric, p99.9 / median", "≤", 20, "×", ours("log call p99.9 / p50, ×")),
    Target("log call of the fastest peer / steplog", "≥", 10, "×", over_least(CALL)),
    Target("log call of MLflow / steplog", "≥", 3000, "×", over(CALL, "mlflow_sync")),
    Target("bound.log / empty function", "≤", 7, "×", ours("bound.log / empty function, ×")),
    Target("log_metrics of 100 keys", "≤", 0.45, "µs", ours("log_metrics of 100 keys, µs a key")),
    Target("end to end, one process", "≤", 1, "µs a point", ours(SLOWNESS)),
    Target("end to end, MLflow / steplog", "≥", 5000, "×", over(SLOWNESS, "mlflow_sync")),
    Target("read 1 M points to numpy", "≤", 60, "ms", ours("read 1 M points, ms")),
    Target("read 1 M points / numpy.load", "≤", 20, "×", ours("read / numpy.load, ×")),
    Target("read a series, MLflow / steplog", "≥", 500, "×", over(HISTORY, "mlflow_sync")),
    Target(CHART, "≤", 1, "s", ours(f"{CHART}, s")),
    Target(f"{CHART}, memory", "≤", 200, "MB", ours(f"{CHART}: peak memory, MB")),
    Target(
        "size, noisy-float32-loss", "≤", 4.5, "B", ours("size of noisy-float32-loss, B a point")
    ),
    Target("size, float64-noise", "≤", 9, "B", ours("size of float64-noise, B a point")),
    Target(
        "journals after a clean end", "≤", 0, "files", ours("journals after a clean end, files")
    ),
    *(
        Target(f"cost flat over {axis}", "≤", 20, "%", ours(f"flat over {axis}: most change, %"))
        for axis in ("points", "series", "processes")
    ),
    Target("memory added to the process", "≤", 55, "MB", ours("memory added to the process, MB")),
    Target("import", "≤", 60, "ms", ours("import, ms")),
    Target("first run, empty directory", "≤", 250, "ms", ours("first run, empty directory, ms")),
    Target("last call to process gone", "≤", 300, "ms", ours("last call to process gone, ms")),
)

MLFLOW, FASTTRACKML = "mlflow", "fasttrackml"
ONE, EIGHT = "log-metric with 1 connection, requests/s", "log-metric with 8 connections, requests/s"
BATCHES = "log-batch of 1,000 metrics, points/s"
LONG = "history of 1 M points over HTTP, ms"
SEARCH = "search, best 100 of 100,000 runs over HTTP, ms"
SEARCH_1000 = "search, best 1,000 of 100,000 runs over HTTP, ms"
PLUGIN = "mlflow.log_metric p50, µs"

SERVER_TARGETS = (
    Target("log-metric, 1 connection / FastTrackML", "≥", 5, "×", times(ONE, FASTTRACKML)),
    Target("log-metric, 1 connection / MLflow", "≥", 30, "×", times(ONE, MLFLOW)),
    Target("log-metric, 8 connections / FastTrackML", "≥", 5, "×", times(EIGHT, FASTTRACKML)),
    Target("log-metric, 8 connections / MLflow", "≥", 30, "×", times(EIGHT, MLFLOW)),
    Target("log-batch of 1,000 / FastTrackML", "≥", 10, "×", times(BATCHES, FASTTRACKML)),
    Target("history of 1 M points, MLflow / steplog", "≥", 20, "×", over(LONG, MLFLOW)),
    Target("search, best 100 of 100,000 runs", "≤", 50, "ms", ours(SEARCH)),
    Target("search, best 100, MLflow / steplog", "≥", 20, "×", over(SEARCH, MLFLOW)),
    Target("search, best 1,000 of 100,000 runs", "≤", 50, "ms", ours(SEARCH_1000)),
    Target("search, best 1,000, MLflow / steplog", "≥", 20, "×", over(SEARCH_1000, MLFLOW)),
    Target("log-metric flat over 10 k … 10 M points", "≤", 20, "%", ours("log-metric: growth, %")),
    Target("latest value flat over 10 k … 10 M points", "≤", 20, "%", ours("runs/get: growth, %")),
    Target("mlflow.log_metric, SQLite / plugin", "≥", 15, "×", over(PLUGIN, MLFLOW)),
    Target("memory, 10 readers and 8 writers", "≤", 300, "MB", ours("memory of the server, MB")),
    Target("points lost when it is killed", "≤", 0, "points", ours("load: points lost")),
    Target("points doubled when it is killed", "≤", 0, "points", ours("load: points doubled")),
)

VIEW = "first view of 10 runs x 100,000 points, s"
LONG_RUNS = "10 runs x 1,000,000 points"
MANY = "50 runs x 100 metrics"
HOVER = f"hover over {LONG_RUNS}, ms a frame (95th percentile)"
SPIKE = "spike of one step among 100,000, share of its height that the page is sent"
ROWS = "table of 100,000 runs, filtered and sorted, s"
LONG_SERIES = "chart of 100 M points from the server, s"
LIVE = "live: from log_metric to the page, s"
PAGE_TARGETS = (
    Target("first view, 10 x 1 M points", "≤", 0.7, "s", ours(f"first view of {LONG_RUNS}, s")),
    Target("first view, 50 runs x 100 metrics", "≤", 1.5, "s", ours(f"first view of {MANY}, s")),
    Target("zoom", "≤", 0.15, "s", ours(f"zoom of {LONG_RUNS}, s")),
    Target("hover, a frame", "≤", 16.7, "ms", ours(HOVER)),
    Target("chart of 100 M points", "≤", 0.15, "s", ours(LONG_SERIES)),
    Target("table of 100,000 runs", "≤", 0.2, "s", ours(ROWS)),
    Target("live: log_metric to the page", "≤", 1.5, "s", ours(LIVE)),
    Target("first view, MLflow / steplog", "≥", 1, "×", over(VIEW, "mlflow")),
    Target("first view, TensorBoard / steplog", "≥", 1, "×", over(VIEW, "tensorboard")),
    Target("first view, trackio / steplog", "≥", 1, "×", over(VIEW, "trackio")),
    Target("spike: share of its height", "≥", 1, "", ours(SPIKE)),
)
