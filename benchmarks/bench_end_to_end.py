"""From the first call in one process until another process has read every point."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Collection

import harness
import peers
import shapes

SHAPE = "noisy-float32-loss"


PATIENCE_SECONDS = 120


def measure(peer: str, options: Namespace) -> harness.Measures:
    """Let a script log; once its last call has returned, read until everything is there."""
    points = peers.PEERS[peer].points // (2 if options.quick else 1)
    adapter = peers.load(peer)
    script = harness.Script(peer, SHAPE, points)
    script.reach("ready")
    _values(adapter, script.directory)  # opens what the reader needs; there is nothing yet
    script.go()
    # Reading earlier could not succeed, and would take time from the one who logs.
    last_call = script.reach("finish")
    while len(values := _values(adapter, script.directory)) < points:
        if time.monotonic_ns() > last_call.time_ns + PATIENCE_SECONDS * 1e9:
            raise SystemExit(f"{peer}: points are still missing after {PATIENCE_SECONDS} s")
        time.sleep(0.01)
    visible_ns = time.monotonic_ns()
    script.end()
    if list(values) != list(shapes.SHAPES[SHAPE](points)):
        raise SystemExit(f"{peer}: what was read is not what was logged")
    return {
        "end to end, µs a point": (visible_ns - script.stages["log"].time_ns) / 1e3 / points,
        "end to end: last call to all visible, s": (visible_ns - last_call.time_ns) / 1e9,
        "end to end: points logged": points,
    }


def _values(adapter: peers.Adapter, directory: str) -> Collection[float]:
    try:
        return adapter.read(directory, "loss")[1]
    except Exception:  # file or table or series not there yet: each peer says so in its own way
        return ()


if __name__ == "__main__":
    harness.main(measure)
