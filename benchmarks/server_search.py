"""How long a search takes that filters many runs by one metric and orders them by another.

MLflow's takes minutes at 100,000 runs, and is searched once: SQLite compares each run that the
filter leaves with the metric of every run (its plan: ``MATERIALIZE anon_1``, ``SCAN anon_1``).
"""

from __future__ import annotations

import json
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from random import Random
from statistics import median

import harness
import servers
from serve import Connection, Serving, filled

KEYS = ["loss", "acc", *(f"metric-{number}" for number in range(18))]
ORDER = "metrics.acc DESC"
LIMITS = (100, 1000)
REPEATS = 20
SECONDS = 20

Search = Callable[[str, int], Callable[[], Sequence[str]]]
"""Takes a filter and how many runs are wanted; returns what tells their ids, which is not timed."""


def measure(name: str, options: Namespace) -> harness.Measures:
    """Search over HTTP and, where there is a client for that, in this process."""
    count = 10_000 if options.quick else 100_000
    runs = list(many_runs(count))
    directory = filled(name, options.filled, f"search-{count}", runs)
    measures: harness.Measures = {"search: runs": count}
    with Serving(name, directory) as serving:
        _time("over HTTP", _over_http(serving.connect()), runs, measures)
    client = servers.load(name).client(directory)
    if client is not None:
        _time("in process", _in_process(client), runs, measures)
    return measures


def many_runs(count: int) -> Iterator[servers.Run]:
    """Yield runs with 20 metrics each, of one point."""
    random = Random(4)
    for number in range(count):
        metrics = {key: [random.random()] for key in KEYS}
        yield servers.Run(f"{random.getrandbits(128):032x}", metrics, servers.START_MS + number)


def _over_http(connection: Connection) -> Search:
    def search(text: str, limit: int) -> Callable[[], list[str]]:
        asked = {"experiment_ids": ["0"], "filter": text, "order_by": [ORDER]}
        answer = connection.post("/runs/search", {**asked, "max_results": limit})
        return lambda: [run["info"]["run_id"] for run in json.loads(answer)["runs"]]

    return search


def _in_process(client: servers.SearchClient) -> Search:
    def search(text: str, limit: int) -> Callable[[], list[str]]:
        found = client.search_runs(["0"], text, max_results=limit, order_by=[ORDER])
        return lambda: [run.info.run_id for run in found]

    return search


def _time(
    where: str, search: Search, runs: Sequence[servers.Run], measures: harness.Measures
) -> None:
    """Add the median time of a search for the best so many runs; each asks for another bound."""
    best = sorted(runs, key=lambda run: -run.metrics["acc"][0])
    for limit in LIMITS:
        costs: list[float] = []
        deadline = time.perf_counter() + SECONDS
        while len(costs) < REPEATS and (not costs or time.perf_counter() < deadline):
            bound = 0.3 + len(costs) * 1e-4
            begin = time.perf_counter()
            found = search(f"metrics.loss < {bound}", limit)
            costs.append(time.perf_counter() - begin)
            wanted = [run.run_id for run in best if run.metrics["loss"][0] < bound][:limit]
            if found() != wanted:
                raise SystemExit(f"the best {limit} runs {where} are others")
        size = f"best {limit:,} of {len(runs):,} runs"
        measures[f"search, {size} {where}, ms"] = median(costs[1:] or costs) * 1e3


if __name__ == "__main__":
    harness.main(measure, servers.SERVERS)
