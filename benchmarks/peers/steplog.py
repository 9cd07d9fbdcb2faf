"""steplog, through its public functions."""

# ruff: noqa: D103 (what each function does is said once, in `peers.Adapter`)
from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import steplog

run: steplog.ActiveRun


def setup(directory: str) -> Callable[[str, float, int], object]:
    global run
    steplog.set_tracking_uri(directory)
    run = steplog.start_run()
    return steplog.log_metric


def log_many(key: str, values: Iterable[float]) -> None:
    log = run.metric(key).log
    for step, value in enumerate(values):
        log(value, step)


def finish() -> None:
    steplog.end_run()


def read(directory: str, key: str) -> tuple[Collection[int], Collection[float]]:
    steplog.set_tracking_uri(directory)
    (recorded,) = steplog.Client().search_runs(["0"])
    (series,) = steplog.read(recorded, key)
    return series.step, series.value
