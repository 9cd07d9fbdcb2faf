"""A store in PostgreSQL beside MLflow's on the same server: writing, reading, bytes.

    python benchmarks/postgres.py            # half a minute, and another for MLflow
    python benchmarks/postgres.py --points 10000000

It starts a server of its own on loopback, with the settings that PostgreSQL comes with, so commits
wait for the disk. steplog is given what ingest gives it, batches of 32,768 points of 100 series;
MLflow its own largest batch, 1,000 metrics. Where MLflow is not installed it is left out.

Chunks that were not full are written again, and where the old ones were there is room for new ones
once PostgreSQL has vacuumed. It does so each minute; here it is told to after each million points,
while no clock runs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psycopg

from steplog.operations import SeriesKey
from steplog.points import POINT
from steplog.stores import open_store, upgrade_store
from steplog.stores.base import START, Batch, Position, Store

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from services.daemons import scratch
from services.postgres import Postgres, missing, owner

BATCH, SERIES, SLOT = 32_768, 100, 32
SEAL_EVERY = 2  # batches: as the background does, when 64k points of a run wait
VACUUM_EVERY = 32
LONG = 1_000_000
MLFLOW_POINTS = 20_000
READS = 5


class Figures(NamedTuple):
    """What one of them takes.

    Attributes:
        applied: points a second, until a batch is committed.
        sealed: points a second, sorting into chunks included; None where there is no such thing.
        read: seconds for a series of a million points.
        size: bytes a point in the database, indices included, after a VACUUM.

    """

    applied: float
    sealed: float | None
    read: float
    size: float


def batches(points: int, series: int, journal: str) -> Iterator[Batch]:
    """Yield the batches by which one journal's points arrive: noisy losses of float32 origin."""
    rng = np.random.default_rng(7)
    run_id = journal
    keys = {number: SeriesKey(run_id, f"key{number}") for number in range(1, series + 1)}
    position = START
    for first in range(0, points, BATCH):
        index = np.arange(first, min(first + BATCH, points))
        records = np.zeros(index.size, POINT)
        records["series"], records["step"] = index % series + 1, index // series
        jitter = rng.integers(0, 20, index.size)
        records["timestamp"] = 1_700_000_000_000 + index // series * 137 + jitter
        loss = np.exp(-records["step"] / 5000) + rng.normal(0, 0.02, index.size)
        records["value"], records["kind"] = loss.astype(np.float32), 1
        after = Position(position.offset + SLOT * index.size)
        yield Batch(journal, "f" * 32, position, after, (), records, keys)
        position = after


def measure_steplog(uri: str, points: int) -> Figures:
    """Write, seal and read through the store."""
    upgrade_store(uri)
    with closing(open_store(uri)) as store:
        applied = sealed = 0.0
        for number, batch in enumerate(batches(points, SERIES, "1" * 32), 1):
            applied += timed(lambda batch=batch: store.apply(batch))  # type: ignore[misc]
            if number % SEAL_EVERY == 0:
                sealed += timed(store.seal)
            if number % VACUUM_EVERY == 0:
                vacuum(uri)
        sealed += timed(lambda: store.seal("1" * 32))
        vacuum(uri)
        size = store.stats()["bytes"] / points
        read = read_steplog(store)
    return Figures(points / applied, points / (applied + sealed), read, size)


def read_steplog(store: Store) -> float:
    """Return the seconds that a series of a million points takes, the median of some."""
    for batch in batches(LONG, 1, "2" * 32):
        store.apply(batch)
    store.seal("2" * 32)
    [series] = store.series(["2" * 32])

    def read() -> None:
        assert sum(each.step.size for each in store.points(series.series_id)) == LONG

    return statistics.median(timed(read) for _ in range(READS))


def measure_mlflow(uri: str) -> Figures:
    """Write and read through MLflow's own store, in its own way."""
    from mlflow.entities import Metric
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore(uri.replace("postgresql:", "postgresql+psycopg:"), "/tmp/unused")
    empty = database_bytes(uri)
    run_id = store.create_run("0", "me", 0, [], "run").info.run_id
    applied = 0.0
    for first in range(0, MLFLOW_POINTS, 1000):
        metrics = [
            Metric(f"key{i % SERIES}", float(np.float32(1 / (i + 1))), i, i // SERIES)
            for i in range(first, first + 1000)
        ]
        applied += timed(lambda metrics=metrics: store.log_batch(run_id, metrics, [], []))  # type: ignore[misc]
    vacuum(uri)
    size = (database_bytes(uri) - empty) / MLFLOW_POINTS
    run_id = store.create_run("0", "me", 0, [], "run").info.run_id
    for first in range(0, MLFLOW_POINTS, 1000):
        steps = range(first, first + 1000)
        store.log_batch(run_id, [Metric("loss", 1 / (i + 1), i, i) for i in steps], [], [])
    read = statistics.median(
        timed(lambda: len(store.get_metric_history(run_id, "loss"))) for _ in range(3)
    )
    return Figures(MLFLOW_POINTS / applied, None, read * LONG / MLFLOW_POINTS, size)


def timed(work: Callable[[], object]) -> float:
    """Return how many seconds something takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def vacuum(uri: str) -> None:
    """Give back what was deleted, as autovacuum does in its time."""
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("VACUUM")


def database_bytes(uri: str) -> int:
    """Return how many bytes a database takes on the disk."""
    with psycopg.connect(uri, autocommit=True) as connection:
        [size] = connection.execute("SELECT pg_database_size(current_database())").fetchone() or ()
        return int(size)


def show(name: str, figures: Figures) -> None:
    """Print one of them."""
    sealed = "" if figures.sealed is None else f"{figures.sealed:,.0f}"
    print(
        f"{name:<10}{figures.applied:>20,.0f}{sealed:>20}{figures.read * 1000:>18,.0f} ms"
        f"{figures.size:>14.1f}"
    )


def main() -> None:
    """Parse the command line, start a server, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--points", type=int, default=3_000_000, help="of steplog's writing")
    arguments = parser.parse_args()
    if missing():
        parser.error(missing())
    with scratch(owner()) as directory:
        server = Postgres(directory, {"shared_buffers": "256MB", "max_wal_size": "4GB"})
        server.create()
        server.start()
        try:
            version = server.run("show server_version")
            print(f"PostgreSQL {version}, {arguments.points:,} points of {SERIES} series")
            headings = ("applied, points/s", "with sealing", "read a million", "bytes/point")
            print(f"{'':<10}{headings[0]:>20}{headings[1]:>20}{headings[2]:>21}{headings[3]:>14}")
            for name in ("steplog", "mlflow"):
                server.run(f"create database {name}")
            show("steplog", measure_steplog(server.uri("steplog"), arguments.points))
            with suppress(ImportError):
                show("MLflow", measure_mlflow(server.uri("mlflow")))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
