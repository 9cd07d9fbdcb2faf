"""Trainings log to PostgreSQL and ClickHouse, parts of which are killed: every point is there.

The same at length: ``python benchmarks/outages.py``.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import troubles
from services.daemons import need

pytestmark = [pytest.mark.long, pytest.mark.slow]


@pytest.mark.parametrize(
    ("kind", "times"), [("clickhouse_killed", 2), ("zookeeper_killed", 1), ("ingest_killed", 6)]
)
def test_two_databases_of_which_one_fails_lose_nothing(
    kind: str, times: int, tmp_path: Path
) -> None:
    """A server of ClickHouse, ZooKeeper, or the process that moves points from one database to the
    other, killed in the midst of it, costs and doubles none that was logged.
    """
    trouble = troubles.TROUBLES[kind]
    need(trouble.missing())
    account = trouble.make(tmp_path, times, random.Random(4))
    assert account.good, account
