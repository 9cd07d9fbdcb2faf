"""What steplog's other ways to log cost: bound loggers, and a hundred metrics in one call."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable
from time import perf_counter_ns

import harness
from timing import Loop, alternate, empty_like

import steplog

KEYS = 100


def measure(_peer: str, options: Namespace) -> harness.Measures:
    """Time both forms, the bound one beside an empty function with its parameters."""
    seconds = 0.4 if options.quick else 2.0
    steplog.set_tracking_uri(os.getcwd())
    log = steplog.start_run().metric("loss").log
    bound, empty = alternate([_bound(log), _bound(empty_like(log))], seconds)
    (metrics,) = alternate([_many], seconds)
    return {
        "bound.log, µs": bound / 1000,
        "bound.log / empty function, ×": bound / empty,
        "log_metrics of 100 keys, µs a key": metrics / KEYS / 1000,
    }


def _bound(log: Callable[[float, int], object]) -> Loop:
    def run(start: int, stop: int) -> float:
        begin = perf_counter_ns()
        for step in range(start, stop):
            log(0.25, step)
        return (perf_counter_ns() - begin) / (stop - start)

    return run


def _many(start: int, stop: int) -> float:
    metrics = {f"eval/{number:03}": number / KEYS for number in range(KEYS)}
    begin = perf_counter_ns()
    for step in range(start, stop):
        steplog.log_metrics(metrics, step)
    return (perf_counter_ns() - begin) / (stop - start)


if __name__ == "__main__":
    harness.main(measure)
