"""A catalog in PostgreSQL with its points in ClickHouse: writing, and reading out of many points.

    python benchmarks/clickhouse.py                       # 100 million points: some minutes
    python benchmarks/clickhouse.py --points 10000000
    python benchmarks/clickhouse.py --modern              # on PyPI's chdb instead

It starts what it needs on loopback: PostgreSQL with the settings that it comes with, so commits
wait for the disk, and three servers of ClickHouse, two of them replicas of one shard. All of them
share the machine with the processes that write.

*End to end* begins with batches as ingest gives them (32,768 points of 100 series of one run) and
ends when all of them are in ClickHouse and the catalog. One run is a series of a million points,
which is then read and drawn out of all the others.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from postgres import LONG, SEAL_EVERY, SERIES, batches, timed, vacuum

from steplog.buckets import whole_grid
from steplog.lines import WholeLine
from steplog.stores import open_store, upgrade_store
from steplog.stores.base import Series, Store

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from services import clickhouse, modern_clickhouse, postgres
from services.clickhouse import ClickHouse, ClickHouseCluster, Node
from services.daemons import scratch

RUN_POINTS = 1 << 20
"""Of each run that is written; then a process begins the next one."""
LONG_RUN = "f" * 32
BUCKETS = 1_000
READS = 9


def write(uri: str, run_ids: list[str]) -> None:
    """Write runs, one after the other, as a process does that ingests."""
    with closing(open_store(uri)) as store:
        for run_id in run_ids:
            for number, batch in enumerate(batches(RUN_POINTS, SERIES, run_id), 1):
                store.apply(batch)
                if number % SEAL_EVERY == 0:
                    store.seal()


def measure_writing(uri: str, points: int, writers: int) -> float:
    """Return the points a second that these processes write together, until all are sealed."""
    run_ids = [f"{number:032x}" for number in range(max(writers, points // RUN_POINTS))]
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(writers) as pool, closing(open_store(uri)) as store:
        pool.starmap(open_and_close, [(uri,)] * writers, chunksize=1)

        def work() -> None:
            pool.starmap(write, [(uri, run_ids[first::writers]) for first in range(writers)], 1)
            for run_id in run_ids:
                store.seal(run_id)

        return len(run_ids) * RUN_POINTS / timed(work)


def open_and_close(uri: str) -> None:
    """Have a process import what it needs before the clock runs."""
    open_store(uri).close()


def measure_reading(uri: str) -> Iterator[tuple[str, float]]:
    """Yield what was read of the series of a million points, and the median of its seconds."""
    with closing(open_store(uri)) as store:
        for batch in batches(LONG, 1, LONG_RUN):
            store.apply(batch)
        store.seal(LONG_RUN)
        [series] = store.series([LONG_RUN])
        for name, work in readings(store, series):
            yield name, statistics.median(timed(work) for _ in range(READS))
    with closing(open_store(uri)) as store:  # one that remembers nothing
        yield f"the first chart of {BUCKETS:,} buckets over steps", timed(chart(store, series))


def readings(store: Store, series: Series) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield what is read, by its name."""

    def points(steps: tuple[int, int] | None, expected: int) -> Callable[[], None]:
        def read() -> None:
            found = store.points(series.series_id, steps)
            assert sum(each.step.size for each in found) == expected

        return read

    yield "a million points", points(None, LONG)
    yield "a window of 1,001 steps of them", points((500_000, 501_000), 1_001)
    yield f"a chart of {BUCKETS:,} buckets over steps", chart(store, series)
    yield f"a chart of {BUCKETS:,} buckets over time", chart(store, series, times=True)


def chart(store: Store, series: Series, times: bool = False) -> Callable[[], None]:
    """Return what draws a whole series."""
    line = WholeLine(series, times)
    low, high = line.extent(store) or (0, 0)
    grid = whole_grid(int(low), int(high), BUCKETS)

    def draw() -> None:
        buckets = line.fold(store, grid, (low, high), None).buckets
        assert buckets["count"].sum() == LONG

    return draw


def stored_bytes(store: Store) -> tuple[float, int]:
    """Return the bytes a point, of both databases, and how many points there are."""
    stats = store.stats()
    return stats["bytes"] / stats["points"], stats["points"]


@contextmanager
def running(*, modern: bool) -> Iterator[tuple[str, ClickHouse]]:
    """Run the servers; give the catalog's URI and the database of points."""
    with scratch(postgres.owner()) as directory, scratch() as beside:
        server = postgres.Postgres(directory, {"shared_buffers": "256MB", "max_wal_size": "4GB"})
        server.create()
        server.start()
        try:
            if modern:
                with modern_clickhouse.shared() as port:
                    nodes = {"a": Node("a", port, 0)}
                    with clickhouse.fresh(nodes, cluster="") as points:
                        yield server.uri(), points
                return
            cluster = ClickHouseCluster(beside)
            try:
                cluster.start()
                with cluster.fresh() as points:
                    yield server.uri(), points
            finally:
                cluster.kill()
        finally:
            server.stop()


def main() -> None:
    """Parse the command line, start servers, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--points", type=int, default=100_000_000, help="that are written")
    parser.add_argument("--writers", type=int, default=2, help="processes that write")
    parser.add_argument("--modern", action="store_true", help="on the engine of PyPI's chdb")
    arguments = parser.parse_args()
    absent = (modern_clickhouse if arguments.modern else clickhouse).missing()
    if postgres.missing() or absent:
        parser.error(postgres.missing() or absent)
    with running(modern=arguments.modern) as (uri, points):
        os.environ["STEPLOG_POINTS_URI"] = points.uri
        upgrade_store(uri)
        version = points.query("SELECT version()").decode().strip()
        print(f"ClickHouse {version}, {arguments.writers} processes that write")
        rate = measure_writing(uri, arguments.points, arguments.writers)
        print(f"{'end to end, points a second':<50}{rate:>14,.0f}")
        vacuum(uri)
        with closing(open_store(uri)) as store:
            size, count = stored_bytes(store)
        print(f"{'bytes a point, of one replica and the catalog':<50}{size:>14.1f}")
        print(f"out of {count:,} points:")
        for name, seconds in measure_reading(uri):
            print(f"{name:<50}{seconds * 1000:>11,.1f} ms")


if __name__ == "__main__":
    main()
