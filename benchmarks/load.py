"""Load from `wrk`: many requests a second over some connections, each logging other points.

`load.lua` makes the requests; here is how it is run, and how to find afterwards that every point
whose request was answered is there, once, with its value.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from serve import Connection, Serving

SCRIPT = Path(__file__).with_name("load.lua")
KEYS = 10
"""Keys in a batch, named loss0, loss1, …; a request of one point logs to the first of them."""
FIRST = 100_000_001
"""A request's number is its step, and with 0. before it the value; a batch adds digits to both."""


class Load(NamedTuple):
    """What `wrk` counted.

    Attributes:
        requests: answered, whatever the answer.
        seconds: it took.
        p50_us: median time of an answer, in µs.
        p99_us: what 99 % of answers took at most, in µs.
        refused: of the requests, those answered with an error.
        broken: connections that failed, and answers that did not come within half a minute.

    """

    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    refused: int
    broken: int


def wrk(
    port: int, run_id: str, *, points: int, connections: int, seconds: float, first: int = FIRST
) -> Load:
    """Log to a run as fast as the server answers.

    Args:
        port: of the server.
        run_id: of the run.
        points: in each request; one by log-metric, a multiple of `KEYS` by log-batch.
        connections: each sends its next request when the last one is answered.
        seconds: to go on.
        first: number of the first request, of nine digits; the steps are then `first`, …

    """
    program = shutil.which("wrk")
    if program is None:
        raise SystemExit("wrk is not installed; on Debian or Ubuntu: apt-get install wrk")
    done = subprocess.run(
        [
            *(program, "-t", "1", "-c", str(connections), "-d", f"{seconds:.0f}s"),
            *("--timeout", "30s", "-s", str(SCRIPT), f"http://127.0.0.1:{port}"),
            *("--", run_id, str(points), str(first)),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return Load(**json.loads(done.stdout.splitlines()[-1]))


def measure(serving: Serving, *, points: int, connections: int, seconds: float) -> Load:
    """Log to a new run after a second of the same to another; look whether everything is there."""
    for lasting in (1, seconds):
        run_id = serving.connect().create_run()
        load = wrk(serving.port, run_id, points=points, connections=connections, seconds=lasting)
    if load.refused or load.broken:
        raise SystemExit(f"the server did not keep up: {load}")
    # Another connection than before: some servers close one that has been idle for five seconds.
    verify(serving.connect(), run_id, load, points, connections)
    return load


def verify(connection: Connection, run_id: str, load: Load, points: int, connections: int) -> None:
    """Look for what was logged: all of it, and beside it only requests that wrk cut off."""
    per_key = max(1, points // KEYS)
    for key in range(min(points, KEYS)):
        steps = set()
        for step, value in connection.points(run_id, f"loss{key}"):
            if value != float(f"0.{step}") or step in steps:
                raise SystemExit(f"loss{key}: {value} at step {step} was not logged, or not twice")
            steps.add(step)
        if not load.requests <= len(steps) / per_key <= load.requests + connections:
            raise SystemExit(
                f"loss{key}: {len(steps)} points of {load.requests} requests are there"
            )
