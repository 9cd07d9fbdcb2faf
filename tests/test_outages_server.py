"""Trainings log to a server that is killed, over a network that fails: every point arrives, once.

The same at length: ``python benchmarks/outages.py``.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import training
import troubles
from trainings import trainings

pytestmark = [pytest.mark.long, pytest.mark.slow]


def test_the_account_tells_what_is_missing(tmp_path: Path) -> None:
    """Points that were never logged are lost, and points that nobody speaks of are strange."""
    with trainings(tmp_path, str(tmp_path / "store"), count=1) as running:
        running.stop()
        assert running.account().good
        steps = running.notes.numbers[1]
        running.notes.numbers[1] = steps + 3
        assert running.account().lost == 3 * len(training.KEYS)
        running.notes.numbers[1] = steps - 3
        assert running.account().strange == 2 * len(training.KEYS)


def test_a_server_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    """A server killed while it takes points, and a training killed with it, lose and double none
    that was logged.
    """
    account = troubles.server_killed(tmp_path, 4, random.Random(1))
    assert account.good, account


def test_a_network_that_fails_loses_nothing(tmp_path: Path) -> None:
    """Connections cut, refused, silent or slow, and answers that got lost, cost and double none."""
    account = troubles.network_fails(tmp_path, 10, random.Random(2))
    assert account.good, account


def test_a_spool_whose_disk_is_full_loses_nothing(tmp_path: Path) -> None:
    """Points logged while the server is away and the disk is full arrive when it is back."""
    account = troubles.spool_full(tmp_path, 1, random.Random(3))
    assert account.good, account


def test_a_server_whose_disk_is_full_loses_nothing(tmp_path: Path) -> None:
    """Points that the server has no room for wait where they were logged, until it has some."""
    trouble = troubles.TROUBLES["server_full"]
    if trouble.missing():
        pytest.skip(trouble.missing())
    account = trouble.make(tmp_path, 2, random.Random(5))
    assert account.good, account
