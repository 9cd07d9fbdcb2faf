"""How many machines a site needs, on paper: arithmetic on what one batch, and one point, costs.

    python benchmarks/sizing.py                           # 10 million points a second
    python benchmarks/sizing.py --trainings 2000 --days 365

What costs what is in `COSTS`, with where it was measured. docs/scaling.md says what the figures do
not: what breaks first, and what the code does not do.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple

CORES = 16
"""Of one machine."""
BUSY = 0.5
"""How busy processors may be: the rest is for returns after outages, for readers, for growth."""
DAY = 86_400


class Batch(NamedTuple):
    """What one batch costs, of as many points of 100 series as a training logs between two.

    Attributes:
        seconds: from one to the next.
        server: seconds of computing in a process of the server.
        database: the same in PostgreSQL, sorting into chunks included.
        wire: bytes a point on the way to the server.

    """

    seconds: float
    server: float
    database: float
    wire: float


# `python benchmarks/fleet.py --costs postgresql://…`; the database's share by /proc. On a machine
# with five times more programs than processors, so these are high rather than low.
COSTS = (Batch(1.0, 3.2e-3, 3.3e-3, 12.5), Batch(5.0, 3.8e-3, 5.6e-3, 6.1))
WRITTEN = 70.0
"""Bytes a point that PostgreSQL writes: tail and its log (28 each), chunk and its log (5 each)."""
STORED = 5.0
"""Bytes a point that stay, of float32 losses: 3.8 in chunks of PostgreSQL, 2.2 to 8.9 in
ClickHouse with codecs, by kind of curve."""
POINT_TO_CLICKHOUSE = 36.0
"""Bytes a point from PostgreSQL's tail to a shard, as columns of fixed width."""
CLICKHOUSE = 1.1e-6
"""Seconds of computing a point in each replica: 0.66 measured with 30 million rows, and as much
again by a factor of 1.7 for the deeper merges of a table of 10^12."""


def machines(seconds: float) -> str:
    """Return how many machines so many seconds of computing a second take."""
    return f"{seconds:,.0f} processors busy, {seconds / CORES / BUSY:,.1f} machines"


def rates(trainings: int, points: float) -> None:
    """Print what a fleet takes all the time."""
    total = trainings * points
    print(f"{trainings:,} trainings, {total / 1e6:g} M points/s, {CORES} processors a machine\n")
    print("| | " + " | ".join(f"a batch every {each.seconds:g} s" for each in COSTS) + " |")
    print("|---|" + "---:|" * len(COSTS))
    rows: dict[str, Callable[[Batch], str]] = {
        "batches/s": lambda b: f"{trainings / b.seconds:,.0f}",
        "into the servers": lambda b: f"{total * b.wire / 1e6:,.0f} MB/s",
        "servers": lambda b: machines(trainings / b.seconds * b.server),
        "PostgreSQL": lambda b: machines(trainings / b.seconds * b.database),
        "… writes": lambda b: f"{total * WRITTEN / 1e6:,.0f} MB/s",
        "PostgreSQL to ClickHouse": lambda b: f"{total * POINT_TO_CLICKHOUSE / 1e6:,.0f} MB/s",
        "ClickHouse, each of two copies": lambda b: machines(total * CLICKHOUSE),
    }
    for label, cell in rows.items():
        print(f"| {label} | " + " | ".join(cell(each) for each in COSTS) + " |")


def volume(total: float, days: float) -> None:
    """Print what is stored, and after how long."""
    print("\n| stored | points | one copy | two, with a third spare |")
    print("|---|---:|---:|---:|")
    for label, count in (
        ("10^12 points", 1e12),
        (f"{days:g} days of {total / 1e6:g} M points/s", total * DAY * days),
    ):
        size = count * STORED / 1e12
        print(f"| {label} | {count:.2g} | {size:,.1f} TB | {size * 2 * 1.5:,.1f} TB |")
    print(f"\n10^12 points come together in {1e12 / total / DAY:,.1f} days.")


def main() -> None:
    """Parse the command line, compute, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trainings", type=int, default=100_000)
    parser.add_argument("--points", type=float, default=100.0, help="a second, of each")
    parser.add_argument("--days", type=float, default=30.0)
    options = parser.parse_args()
    rates(options.trainings, options.points)
    volume(options.trainings * options.points, options.days)


if __name__ == "__main__":
    main()
