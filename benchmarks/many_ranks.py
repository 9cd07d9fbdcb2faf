"""Runs with a rank for each process of a job: what searching, tables, charts and reading take.

    python benchmarks/many_ranks.py                  # no ranks, 8, and 64, of 100 metrics each
    python benchmarks/many_ranks.py --ranks 8 --runs 10

Each rank has brought its points in one batch, and none is sealed yet: that is the worst case, for a
series is then read from among all that wait of its run.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

import numpy as np

from steplog.charts import ChartQuery, chart
from steplog.filters import parse_runs_filter, parse_runs_order
from steplog.operations import CreateRun, SeriesKey
from steplog.points import POINT
from steplog.query import Query
from steplog.reading import read_series, summaries
from steplog.stores import open_store
from steplog.stores.base import START, Batch, Position, Store

KEYS, POINTS, TIMES = 100, 20, 3


def fill(store: Store, runs: int, ranks: int) -> list[str]:
    """Make so many runs, whose ranks (0 for none) have all metrics, and return their ids."""
    random, run_ids = np.random.default_rng(1), []
    points = np.zeros(KEYS * POINTS, POINT)
    points["step"] = np.repeat(np.arange(POINTS), KEYS)
    points["timestamp"] = 1_000 + points["step"]
    points["series"], points["kind"] = np.tile(np.arange(KEYS), POINTS), 1
    for number in range(runs):
        run_ids.append(os.urandom(16).hex())
        created = CreateRun(run_ids[-1], "0", "me", f"run {number}", number, {}, "")
        for rank in range(ranks) if ranks else (-1,):
            points["value"] = random.random(points.size)
            series = {n: SeriesKey(run_ids[-1], f"k{n}", rank=rank) for n in range(KEYS)}
            ids = os.urandom(16).hex(), os.urandom(16).hex()
            store.apply(Batch(*ids, START, Position(1 << 20), [(4096, created)], points, series))
    return run_ids


def milliseconds(function: Callable[[], object]) -> float:
    """Return the least that some calls of a function take."""
    found = []
    for _ in range(TIMES):
        began = time.perf_counter()
        function()
        found.append(time.perf_counter() - began)
    return 1e3 * min(found)


def measure(ranks: int, runs: int) -> None:
    """Print what is done how fast in a store of runs with so many ranks."""
    with tempfile.TemporaryDirectory() as directory:
        store = open_store(directory)
        began = time.perf_counter()
        run_ids = fill(store, runs, ranks)
        batches = runs * max(ranks, 1)
        took = 1e3 * (time.perf_counter() - began) / batches
        print(f"{ranks or 'no'} ranks, {runs} runs, {KEYS} metrics: {took:.1f} ms a batch")
        conditions, order = parse_runs_filter("metrics.k5 < 0.5"), parse_runs_order(["metrics.k7"])
        first, ten = run_ids[0], tuple(run_ids[:10])
        asked = ChartQuery(ten, ("k5",))
        for what, function in (
            ("search by one metric, ordered by another",
             lambda: store.search(Query("runs", conditions, order, ("0",)))),
            ("last values of 10 runs", lambda: store.runs(ten, last=True)),
            ("summaries of a run", lambda: summaries(store, first)),
            ("chart of a metric of 10 runs, ranks apart", lambda: chart(store, asked)),
            ("… ranks together", lambda: chart(store, asked._replace(ranks="together"))),
            ("all points of a run, ranks apart", lambda: read_series(store, [first])),
            ("… their mean", lambda: read_series(store, [first], ranks="mean")),
        ):  # fmt: skip
            print(f"  {milliseconds(function):8.1f} ms  {what}")
        store.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ranks", type=int, nargs="+", default=[0, 8, 64])
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args(arguments)
    for ranks in options.ranks:
        measure(ranks, options.runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
