"""steplog's server, as `steplog server` starts it."""

# ruff: noqa: D103 (what each function does is said once, in `servers.Adapter`)
from __future__ import annotations

import sys
import uuid
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

import steplog
from servers import PARAMS, START_MS, TAGS, Run, SearchClient
from steplog.operations import CreateRun, LogParams, Operation, SeriesKey, UpdateRun
from steplog.points import POINT
from steplog.stores import open_store
from steplog.stores.base import START, Batch, Position, Store

BATCH_POINTS = 200_000


def command(directory: str, port: int) -> list[str]:
    return [sys.executable, "-m", "steplog", "server", "--store", directory, "--port", str(port)]


def fill(directory: str, runs: Iterable[Run]) -> None:
    store = open_store(directory)
    operations: list[Operation] = []
    stretches: list[npt.NDArray[np.void]] = []
    series: dict[int, SeriesKey] = {}
    for run in runs:
        operations += _operations(run)
        for key, values in run.metrics.items():
            series[len(series) + 1] = SeriesKey(run.run_id, key)
            for stretch in _stretches(np.asarray(values, np.float64), len(series)):
                stretches.append(stretch)
                if sum(map(len, stretches)) >= BATCH_POINTS:
                    _apply(store, operations, np.concatenate(stretches), series)
                    operations, stretches = [], []
    if stretches:
        _apply(store, operations, np.concatenate(stretches), series)
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


def _stretches(values: npt.NDArray[np.float64], series: int) -> Iterator[npt.NDArray[np.void]]:
    """Yield the points of one series in pieces of a batch's size."""
    for begin in range(0, values.size, BATCH_POINTS):
        piece = values[begin : begin + BATCH_POINTS]
        points = np.zeros(piece.size, POINT)
        points["step"] = np.arange(begin, begin + piece.size)
        points["timestamp"] = points["step"] + START_MS
        points["value"] = piece
        points["series"] = series
        points["kind"] = 1
        yield points


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
