"""DVCLive: one TSV file per metric, opened and closed at each call; no DVC or git around it.

`next_step`, which rewrites the summary file at each step, is left out, in DVCLive's favour.
"""

# ruff: noqa: D103 (what each function does is said once, in `peers.Adapter`)
# mypy: disable-error-code="import-not-found, import-untyped"
from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from pathlib import Path

from dvclive import Live

live: Live


def setup(directory: str) -> Callable[[str, float, int], object]:
    global live
    live = Live(directory, save_dvc_exp=False, dvcyaml=None)

    def log(key: str, value: float, step: int) -> None:
        live.step = step
        live.log_metric(key, value)

    return log


def log_many(key: str, values: Iterable[float]) -> None:
    for step, value in enumerate(values):
        live.step = step
        live.log_metric(key, value)


def finish() -> None:
    live.end()


def read(directory: str, key: str) -> tuple[list[int], list[float]]:
    with open(Path(directory, "plots", "metrics", f"{key}.tsv")) as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [int(row["step"]) for row in rows], [float(row[key]) for row in rows]
