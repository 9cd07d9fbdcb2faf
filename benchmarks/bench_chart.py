"""What a chart of one very long series costs, in fresh processes: read, and drawn from buckets.

Read is `steplog.read(max_points=2000)`; drawn is what the page asks of the server, 600 buckets: in
a process that has just begun, of a window that was not asked for before, and again when some points
have been added.

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
from steplog.stores.base import START, Batch, Position, Store

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

DRAW = """
import statistics, sys, time
import numpy as np
from bench_chart import RUN_ID, add
from steplog.charts import ChartQuery, Charts
from steplog.stores import open_store
store, charts = open_store(sys.argv[1]), Charts()
points = int(store.series([RUN_ID])[0].summary["count"])
def seconds(**window):
    begin = time.perf_counter()
    made = charts.chart(store, ChartQuery((RUN_ID,), ("loss",), **window))
    elapsed = time.perf_counter() - begin
    assert 300 <= made.x.size <= 1200, made.x.size
    return elapsed
first = seconds()
parts = np.linspace(0, 0.4, 9)
zoomed = [seconds(x_min=points * part, x_max=points * (1 - part / 2)) for part in parts]
grown = []
for added in range(9):
    add(store, points + added * 1000, 1000)
    grown.append(seconds())
print(first, statistics.median(zoomed), statistics.median(grown))
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
    here = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.abspath(__file__))}
    output = subprocess.check_output([sys.executable, "-c", DRAW, os.getcwd()], text=True, env=here)
    first, zoomed, grown = (float(part) * 1000 for part in output.split())
    return {
        f"{name}, s": seconds,
        f"{name}: peak memory, MB": peak_kib / 1024,
        f"{name} in 600 buckets, first, ms": first,
        f"{name} in 600 buckets, another window, ms": zoomed,
        f"{name} in 600 buckets, grown, ms": grown,
    }


def add(store: Store, start: int, count: int) -> None:
    """Give a store the points of the series from one step on."""
    rows = np.zeros(count, POINT)
    rows["step"] = np.arange(start, start + count)
    rows["timestamp"] = 1_700_000_000_000 + rows["step"]
    rows["value"] = np.random.default_rng(start).normal(1, 0.1, count).astype(np.float32)
    rows["series"], rows["kind"] = 1, 1
    before = store.positions([JOURNAL_ID]).get(JOURNAL_ID, START)
    after = Position(START.offset + start + count)
    series = {1: SeriesKey(RUN_ID, "loss")}
    batch = Batch(JOURNAL_ID, WRITER_ID, before, after, (), rows, series)
    assert store.apply(batch) is not None, "the store is at another position"


def _fill(points: int) -> None:
    store = open_store(os.getcwd())
    for start in range(0, points, BATCH):
        add(store, start, BATCH)
        store.seal(RUN_ID)
    store.close()


if __name__ == "__main__":
    harness.main(measure)
