"""Reading a whole series back, in another process than the one that logged it."""

from __future__ import annotations

import time
from argparse import Namespace
from statistics import median

import harness
import peers
import shapes

SHAPE = "noisy-float32-loss"
FILLED = {peers.STEPLOG: 1_000_000, "mlflow_sync": 20_000}  # others: as many as they log


def measure(peer: str, options: Namespace) -> harness.Measures:
    """Fill a series, read it several times; where it is shorter than a million, scale up."""
    points = FILLED.get(peer, peers.PEERS[peer].points)
    adapter = peers.load(peer)
    script = harness.Script(peer, SHAPE, points, way="many")
    script.go()
    script.end()
    costs = []
    for _ in range(4 if options.quick else 8):
        begin = time.perf_counter()
        steps, values = adapter.read(script.directory, "loss")
        costs.append(time.perf_counter() - begin)
    _verify(list(steps), list(values), points)
    return {
        "read a series, ms per 1 M points": median(costs[1:]) / points * 1e9,
        "read a series: its points": points,
    }


def _verify(steps: list[int], values: list[float], points: int) -> None:
    if steps != list(range(points)) or values != list(shapes.SHAPES[SHAPE](points)):
        raise SystemExit("what was read is not what was logged")


if __name__ == "__main__":
    harness.main(measure)
