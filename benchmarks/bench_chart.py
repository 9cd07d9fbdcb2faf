"""What a chart costs: `steplog.read(max_points=2000)` of one very long series, in a fresh process.

With ``--huge`` the series has 100 million points, otherwise 10 million (1 million with
``--quick``). They are handed to the store directly, as ingest would, which takes a tenth of the
time that logging them would.
"""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace

import harness
import numpy as np

from steplog.operations import SeriesKey
from steplog.points import POINT
from steplog.stores import open_store
from steplog.stores.base import START, Batch, Position

RUN_ID, JOURNAL_ID, WRITER_ID = "1" * 32, "2" * 32, "3" * 32
BATCH = 1_000_000

PROGRAM = """
import sys, time
import steplog
steplog.set_tracking_uri(sys.argv[1])
begin = time.perf_counter()
(series,) = steplog.read(sys.argv[2], "loss", max_points=2000)
seconds = time.perf_counter() - begin
assert 500 <= len(series.value) <= 2000, len(series.value)
with open("/proc/self/status") as file:
    print(seconds, next(line.split()[1] for line in file if line.startswith("VmHWM")))
"""


def measure(_peer: str, options: Namespace) -> harness.Measures:
    """Fill a store, then read a chart of it in another process."""
    points = 100 * BATCH if options.huge else BATCH if options.quick else 10 * BATCH
    _fill(points)
    output = subprocess.check_output(
        [sys.executable, "-c", PROGRAM, os.getcwd(), RUN_ID], text=True
    )
    seconds, peak_kib = map(float, output.split())
    name = f"chart of {points // BATCH} M points"
    return {f"{name}, s": seconds, f"{name}: peak memory, MB": peak_kib / 1024}


def _fill(points: int) -> None:
    store, before = open_store(os.getcwd()), START
    random = np.random.default_rng(1)
    series = {1: SeriesKey(RUN_ID, "loss")}
    for start in range(0, points, BATCH):
        rows = np.zeros(BATCH, POINT)
        rows["step"] = np.arange(start, start + BATCH)
        rows["timestamp"] = 1_700_000_000_000 + rows["step"]
        rows["value"] = random.normal(1, 0.1, BATCH).astype(np.float32)
        rows["series"], rows["kind"] = 1, 1
        after = Position(START.offset + start + BATCH)
        batch = Batch(JOURNAL_ID, WRITER_ID, before, after, (), rows, series)
        assert store.apply(batch) is not None, "the store is at another position"
        store.seal(RUN_ID)
        before = after
    store.close()


if __name__ == "__main__":
    harness.main(measure)
