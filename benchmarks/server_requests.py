"""How many requests that log metrics a server answers in a second, and how many points that is."""

from __future__ import annotations

import os
from argparse import Namespace

import harness
import load
import servers
from serve import Serving


def measure(name: str, options: Namespace) -> harness.Measures:
    """Log single metrics over 1 and 8 connections, then batches; all of it must be there after."""
    seconds = 2 if options.quick else 8
    measures: harness.Measures = {}
    with Serving(name, os.getcwd()) as serving:
        for connections in (1, 8):
            what = f"log-metric with {connections} connection{'s' * (connections > 1)}"
            found = load.measure(serving, points=1, connections=connections, seconds=seconds)
            measures[f"{what}, requests/s"] = found.requests / found.seconds
            measures[f"{what}: p50, ms"] = found.p50_us / 1e3
            measures[f"{what}: p99, ms"] = found.p99_us / 1e3
        found = load.measure(serving, points=1000, connections=1, seconds=seconds)
        measures["log-batch of 1,000 metrics, points/s"] = 1000 * found.requests / found.seconds
        measures["log-batch of 1,000 metrics: p99, ms"] = found.p99_us / 1e3
    return measures


if __name__ == "__main__":
    harness.main(measure, servers.SERVERS)
