"""steplog's server, as `steplog server` starts it."""

# ruff: noqa: D103 (what each function does is said once, in `servers.Adapter`)
from __future__ import annotations

import sys
import uuid
from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt

import steplog
from servers import PARAMS, START_MS, TAGS, Run, SearchClient
from steplog.operations import CreateRun, LogParams, Operation, SeriesKey, UpdateRun
from steplog.points import POINT
from steplog.stores import open_store
from steplog.stores.base import START, Batch, Position, Store

BATCH_RUNS, BATCH_POINTS = 1000, 200_000


def command(directory: str, port: int) -> list[str]:
    return [sys.executable, "-m", "steplog", "server", "--store", directory, "--port", str(port)]


def fill(directory: str, runs: Iterable[Run]) -> None:
    store, rest = open_store(directory), iter(runs)
    while some := list(islice(rest, BATCH_RUNS)):
        operations = [operation for run in some for operation in _operations(run)]
        each = [(run.run_id, key, values) for run in some for key, values in run.metrics.items()]
        series = {n: SeriesKey(run_id, key) for n, (run_id, key, _) in enumerate(each, 1)}
        points = np.concatenate([_points(values, n) for n, (*_, values) in enumerate(each, 1)])
        for begin in range(0, len(points), BATCH_POINTS):
            _apply(store, operations, points[begin : begin + BATCH_POINTS], series)
            operations = []
    while store.seal():
        pass
    store.close()


def client(directory: str) -> SearchClient:
    return steplog.Client(directory)


def _operations(run: Run) -> list[Operation]:
    created = CreateRun(
        run.run_id, "0", "me", f"run-{run.run_id[:6]}", run.start_ms, TAGS, "file:///none"
    )
    ended = UpdateRun(run.run_id, run.start_ms, status="FINISHED", end_time=run.start_ms)
    return [created, LogParams(run.run_id, PARAMS), ended]


def _points(values: Sequence[float], series: int) -> npt.NDArray[np.void]:
    points = np.zeros(len(values), POINT)
    points["step"] = np.arange(len(values))
    points["timestamp"] = points["step"] + START_MS
    points["value"] = values
    points["series"] = series
    points["kind"] = 1
    return points


def _apply(
    store: Store,
    operations: list[Operation],
    points: npt.NDArray[np.void],
    series: dict[int, SeriesKey],
) -> None:
    """Apply one batch, of a journal that ends with it."""
    # Each batch is a journal of its own: nobody need know where the last one stood.
    after = Position(START.offset + 32 * (len(operations) + len(points)))
    numbered = [(START.offset + 32 * i, operation) for i, operation in enumerate(operations)]
    used = {number: series[number] for number in np.unique(points["series"]).tolist()}
    journal = uuid.uuid4().hex
    refused = store.apply(Batch(journal, journal, START, after, numbered, points, used))
    if refused != []:
        raise SystemExit(f"the store did not take what it was filled with: {refused}")
