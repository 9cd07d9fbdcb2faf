"""goodseed: one SQLite file per run, written by a thread; hardware and output capture are off."""

# ruff: noqa: D103 (what each function does is said once, in `peers.Adapter`)
# mypy: disable-error-code="import-not-found, import-untyped"
from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import goodseed
from goodseed.storage import read_metrics

run: goodseed.Run


def setup(directory: str) -> Callable[[str, float, int], object]:
    global run
    run = goodseed.Run(
        project="bench",
        run_id="bench",
        storage="local",
        log_dir=directory,
        goodseed_home=directory,
        capture_hardware_metrics=False,
        capture_stdout=False,
        capture_stderr=False,
        capture_traceback=False,
        git_ref=False,
    )

    def log(key: str, value: float, step: int) -> None:
        run[key].log(value, step=step)

    return log


def log_many(key: str, values: Iterable[float]) -> None:
    series = run[key]
    for step, value in enumerate(values):
        series.log(value, step=step)


def finish() -> None:
    run.close()


def read(directory: str, key: str) -> tuple[list[int], list[float]]:
    points = read_metrics(Path(directory) / "bench.sqlite", key)
    return [int(point["step"]) for point in points], [point["value"] for point in points]
