"""trackio: one SQLite file per project, written by a thread; hardware capture is off."""

# ruff: noqa: D103 (what each function does is said once, in `peers.Adapter`)
# mypy: disable-error-code="import-not-found, import-untyped"
from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

os.environ["TRACKIO_DIR"] = os.getcwd()  # read when trackio is imported

import trackio
from trackio import sqlite_storage


def setup(directory: str) -> Callable[[str, float, int], object]:
    trackio.init("bench", name="bench", embed=False, auto_log_gpu=False, auto_log_cpu=False)
    log_dict = trackio.log

    def log(key: str, value: float, step: int) -> None:
        log_dict({key: value}, step)

    return log


def log_many(key: str, values: Iterable[float]) -> None:
    for step, value in enumerate(values):
        trackio.log({key: value}, step)


def finish() -> None:
    trackio.finish()


def read(directory: str, key: str) -> tuple[list[int], list[float]]:
    sqlite_storage.TRACKIO_DIR = Path(directory)  # it was imported for another directory
    points = sqlite_storage.SQLiteStorage.get_metric_values("bench", "bench", key)
    return [point["step"] for point in points], [point["value"] for point in points]
