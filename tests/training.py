"""A training that logs until it is told to stop, and notes how many of its calls have returned.

    python training.py NOTES WORKER STEPS_PER_SECOND

It is a program of its own, so that it can be killed. What it logs follows from its number, so that
whoever reads it back knows what must be there (`wanted`). Where it logs to is said by the settings.
"""

from __future__ import annotations

import math
import mmap
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import steplog
from steplog import background

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

KEYS = ("loss", "accuracy", "lr", "grad/norm")
ODD = (math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308)
# A prime number of values: no step of a key has those of a step nearby.
VALUES = 4093
PACE_SECONDS = 0.01
MOST_AT_ONCE = 1_000
Step = TypeVar("Step", int, "npt.NDArray[np.int64]")


class Notes:
    """Numbers that processes share, in a file, which outlive whoever is killed.

    Attributes:
        numbers: whether all shall stop (1), and then how many steps of each worker have returned.

    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(mmap.PAGESIZE))
        with path.open("r+b") as file:
            # Each number is written whole: no kill leaves half of one.
            self.numbers = memoryview(mmap.mmap(file.fileno(), mmap.PAGESIZE)).cast("q")


def values(worker: int) -> list[float]:
    """Return the values that a worker logs, in turn."""
    chance = random.Random(worker)
    found = [chance.gauss(0.0, 1.0) for _ in range(VALUES)]
    for number, odd in enumerate(ODD):
        found[601 * number + worker] = odd
    return found


def timestamp(worker: int, step: Step) -> Step:
    """Return when a worker says that it logged a step, in milliseconds since 1970."""
    return 1_700_000_000_000 + 1_000_003 * worker + 7 * step


def train(notes: Notes, worker: int, rate: int) -> None:
    """Log, `rate` steps a second, until all shall stop."""
    numbers, table = notes.numbers, values(worker)
    begun = time.monotonic()
    step = 0
    with steplog.start_run(run_name=f"worker-{worker}"):
        while not numbers[0]:
            due = int((time.monotonic() - begun) * rate) - step
            # On a machine that is too busy for the rate, it is told to stop nevertheless.
            for _ in range(max(1, min(due, MOST_AT_ONCE))):
                at = step * len(KEYS)
                row = {key: table[(at + n) % VALUES] for n, key in enumerate(KEYS)}
                steplog.log_metrics(row, step=step, timestamp=timestamp(worker, step))
                step += 1
                numbers[worker] = step
            time.sleep(PACE_SECONDS)


if __name__ == "__main__":
    # What happens once a second otherwise shall meet as much trouble as it can.
    background.PERIOD_SECONDS = 0.1
    train(Notes(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3]))
