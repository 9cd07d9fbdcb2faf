"""How long it takes to read the whole history of one metric over HTTP, in MLflow's pages."""

from __future__ import annotations

import time
from argparse import Namespace
from statistics import median

import harness
import servers
import shapes
from serve import Serving, filled

RUN_ID, KEY = "1" * 32, "loss"
SHAPE = "noisy-float32-loss"


def measure(name: str, options: Namespace) -> harness.Measures:
    """Read a series again and again; where it is shorter than a million points, scale up."""
    points = 100_000 if options.quick else 1_000_000
    values = list(shapes.SHAPES[SHAPE](points))
    run = servers.Run(RUN_ID, {KEY: values}, servers.START_MS)
    directory = filled(name, options.filled, f"history-{points}", [run])
    with Serving(name, directory) as serving:
        connection = serving.connect()
        if list(connection.points(RUN_ID, KEY)) != list(enumerate(values)):
            raise SystemExit("what was read is not what the server was filled with")
        costs: list[float] = []
        deadline = time.perf_counter() + 10
        while len(costs) < 5 and (not costs or time.perf_counter() < deadline):
            begin = time.perf_counter()
            size = sum(map(len, connection.history(RUN_ID, KEY)))
            costs.append(time.perf_counter() - begin)
        memory = serving.memory()
    return {
        "history of 1 M points over HTTP, ms": median(costs) / points * 1e9,
        "history: bytes of JSON a point": size / points,
        "history: memory of the server afterwards, MB": memory / 1e6,
        "history: points read": points,
    }


if __name__ == "__main__":
    harness.main(measure, servers.SERVERS)
