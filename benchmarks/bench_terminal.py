"""How long a command of the command line takes, from its start to its end, beside an empty program.

The store has ten runs of three metrics with a thousand points each; the page goes to a pipe.
"""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from statistics import median
from time import perf_counter

import harness

import steplog

RUNS, POINTS = 10, 1_000
ROUNDS, QUICK_ROUNDS = 21, 5


def measure(_peer: str, options: Namespace) -> harness.Measures:
    """Fill a store, then run the commands in turn; the median of each, in ms."""
    run_id = _fill()
    command = [sys.executable, "-m", "steplog"]
    programs = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "steplog --help": [*command, "--help"],
        "steplog runs": [*command, "runs"],
        "steplog show": [*command, "show", run_id],
        "steplog top": [*command, "top"],
    }
    took: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(QUICK_ROUNDS if options.quick else ROUNDS):
        for name, program in programs.items():
            took[name].append(_milliseconds(program))
    return {f"{name}, ms": median(each) for name, each in took.items()}


def _fill() -> str:
    steplog.set_tracking_uri(os.getcwd())
    os.environ["STEPLOG_TRACKING_URI"] = os.getcwd()
    for _ in range(RUNS):
        with steplog.start_run() as run:
            for step in range(POINTS):
                values = {"loss": 1 / (step + 1), "accuracy": step / POINTS, "lr": 0.1}
                steplog.log_metrics(values, step)
    return run.info.run_id


def _milliseconds(program: list[str]) -> float:
    begin = perf_counter()
    subprocess.run(program, stdout=subprocess.PIPE, check=True)
    return (perf_counter() - begin) * 1000


if __name__ == "__main__":
    harness.main(measure)
