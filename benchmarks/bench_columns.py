"""Reading a 1 M-point series with steplog beside `numpy.load` of the same three columns."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable
from statistics import median

import harness
import numpy as np

import steplog

POINTS = 1_000_000
COLUMNS = ("step", "timestamp", "value")


def measure(peer: str, options: Namespace) -> harness.Measures:
    """Read both in turn; files are in the page cache for both."""
    script = harness.Script(peer, "noisy-float32-loss", POINTS, way="many")
    script.go()
    script.end()
    steplog.set_tracking_uri(script.directory)
    (run,) = steplog.Client().search_runs(["0"])
    (series,) = steplog.read(run, "loss")
    for name in COLUMNS:
        np.save(f"{name}.npy", getattr(series, name))
    ours, numpys = [], []
    for _ in range(5 if options.quick else 15):
        ours.append(_seconds(lambda: _read(run)))
        numpys.append(_seconds(_load))
    return {
        "read 1 M points, ms": median(ours) * 1e3,
        "numpy.load of the same columns, ms": median(numpys) * 1e3,
        "read / numpy.load, ×": median(ours) / median(numpys),
    }


def _read(run: steplog.entities.Run) -> None:
    (series,) = steplog.read(run, "loss")
    assert len(series.value) == POINTS


def _load() -> None:
    for name in COLUMNS:
        assert len(np.load(f"{name}.npy")) == POINTS


def _seconds(function: Callable[[], None]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


if __name__ == "__main__":
    harness.main(measure)
