"""What one log call costs the training: log(key, value, step), all other arguments default."""

from __future__ import annotations

import os
from argparse import Namespace

import harness
import peers
from timing import alternate, empty_like, loop, quantile, single_calls


def measure(peer: str, options: Namespace) -> harness.Measures:
    """Time the call of one peer beside an empty function with the same parameters."""
    seconds = 0.4 if options.quick else 2.0
    log = peers.load(peer).setup(os.getcwd())
    cost, empty = alternate([loop(log), loop(empty_like(log))], seconds)
    singles = single_calls(log, seconds)
    p50 = quantile(singles, 0.5)
    measures = {
        "log call, µs": cost / 1000,
        "empty function of that signature, µs": empty / 1000,
        "log call / empty function, ×": cost / empty,
        "log call p50, µs": p50 / 1000,
        "log call p99, µs": quantile(singles, 0.99) / 1000,
    }
    if len(singles) >= 10_000:  # of fewer, the slowest thousandth says nothing
        measures["log call p99.9, µs"] = quantile(singles, 0.999) / 1000
        measures["log call p99.9 / p50, ×"] = quantile(singles, 0.999) / p50
    return measures


if __name__ == "__main__":
    harness.main(measure)
