"""What has returned survives `kill -9`: a small run of the program that proves it at length."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent.parent / "benchmarks" / "crash_test.py"


def crash_test(*arguments: str) -> str:
    """Run the program; return its table once it has found nothing wrong."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning",
         PROGRAM, *arguments],
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr
    return result.stdout


@pytest.mark.slow
def test_nothing_that_returned_is_lost_or_stored_twice() -> None:
    """Processes killed while they log, ingest and seal lose no point, and the store stays whole."""
    table = crash_test("--kills", "28", "--seconds", "20", "--processes", "0")
    assert "ingesting" in table


@pytest.mark.slow
def test_many_processes_log_to_one_run_while_a_reader_polls() -> None:
    """All points of eight processes are there, and nobody meets an error or a lock."""
    crash_test("--kills", "0", "--processes", "8", "--points", "2000")
