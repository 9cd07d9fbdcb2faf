"""Do logging and reading the latest value cost the same with ten million points as with few?"""

from __future__ import annotations

import json
import time
from argparse import Namespace
from array import array
from statistics import median

import harness
import load
import numpy as np
import servers
from serve import Connection, Serving, filled

RUN_ID = "2" * 32
TURNS = 9
LATER = 2_000_000_000
"""Steps that `load` does not reach."""


def measure(name: str, options: Namespace) -> harness.Measures:
    """Log to two filled servers, and read from both what was logged last, in turns."""
    few, many = 10_000, 1_000_000 if options.quick else 10_000_000
    seconds = 1 if options.quick else 2
    rates: dict[int, list[float]] = {few: [], many: []}
    reads: dict[int, list[float]] = {few: [], many: []}
    with _serve(name, options.filled, few) as one, _serve(name, options.filled, many) as other:
        for _ in range(TURNS):
            for stored, serving in ((few, one), (many, other)):
                rates[stored].append(_requests_per_second(serving, seconds))
                reads[stored].append(_read_seconds(serving.connect(), seconds))
    measures: harness.Measures = {}
    for stored in (few, many):
        rate, read = median(rates[stored]), median(reads[stored])
        measures[f"log-metric with {stored:,} points stored, requests/s"] = rate
        measures[f"log-metric, then runs/get with {stored:,} points stored, ms"] = read * 1e3
    measures["log-metric: growth, %"] = _growth(rates[many], rates[few])
    measures["runs/get: growth, %"] = _growth(reads[few], reads[many])
    return measures


def _growth(before: list[float], after: list[float]) -> float:
    """Return by how many percent a cost has grown, as turn after turn has it."""
    return 100 * (median(b / a for a, b in zip(before, after, strict=True)) - 1)


def _serve(name: str, folder: str, points: int) -> Serving:
    """Return a server of one run, whose points are spread over the series that `load` logs to."""
    values = array("d", np.random.default_rng(5).normal(size=points // load.KEYS).tobytes())
    metrics = {f"loss{key}": values for key in range(load.KEYS)}
    run = servers.Run(RUN_ID, metrics, servers.START_MS)
    return Serving(name, filled(name, folder, f"growth-{points}", [run]))


def _requests_per_second(serving: Serving, seconds: float) -> float:
    # Steps that no earlier turn has logged, and neither has an earlier round.
    first = load.FIRST + time.time_ns() // 1_000_000 % 800_000_000
    done = load.wrk(serving.port, RUN_ID, points=1, connections=1, seconds=seconds, first=first)
    if done.refused or done.broken:
        raise SystemExit(f"the server did not keep up: {done}")
    return done.requests / done.seconds


def _read_seconds(connection: Connection, seconds: float) -> float:
    """Log a point, then time the answer that shows it as the latest; again and again."""
    costs: list[float] = []
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        step = LATER + time.time_ns() // 1000
        point = {"key": "loss0", "value": step / 2, "timestamp": servers.START_MS, "step": step}
        connection.post("/runs/log-metric", {"run_id": RUN_ID, **point})
        begin = time.perf_counter()
        answer = connection.get("/runs/get", run_id=RUN_ID)
        costs.append(time.perf_counter() - begin)
        latest = {
            each["key"]: each["value"] for each in json.loads(answer)["run"]["data"]["metrics"]
        }
        if latest["loss0"] != step / 2:
            raise SystemExit(f"the latest value is {latest['loss0']}, not that of step {step}")
    return median(costs)


if __name__ == "__main__":
    harness.main(measure, servers.SERVERS)
