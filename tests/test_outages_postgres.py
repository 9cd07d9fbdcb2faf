"""Trainings log to PostgreSQL, which is killed and fails over: every point is there, once.

The same at length: ``python benchmarks/outages.py``.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import troubles
from services import disks, postgres
from services.daemons import need

pytestmark = [pytest.mark.long, pytest.mark.slow]


@pytest.mark.parametrize(
    ("kind", "times"),
    [("postgres_killed", 4), ("postgres_fails_over", 2), ("postgres_killed_behind_servers", 3)],
)
def test_a_database_that_is_killed_loses_nothing(kind: str, times: int, tmp_path: Path) -> None:
    """A database killed while it takes points, restarted or replaced by its standby, with a server
    before it or without one, loses and doubles none that was logged.
    """
    trouble = troubles.TROUBLES[kind]
    need(trouble.missing())
    account = trouble.make(tmp_path, times, random.Random(3))
    assert account.good, account


def test_a_database_whose_disk_is_full_loses_nothing(tmp_path: Path) -> None:
    """Points that PostgreSQL has no room for wait where they were logged, until it has some."""
    need(postgres.missing())
    if disks.missing():
        pytest.skip(disks.missing())
    account = troubles.postgres_full(tmp_path, 2, random.Random(6))
    assert account.good, account
