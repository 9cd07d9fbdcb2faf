"""What the `bench_*.py` files share: command line, a fresh directory, a script run as a child.

Every bench file measures one peer in one fresh process and prints one JSON object,
``{"what, unit": number}``, as its last line. So each can be run alone, with the Python of the
peer's environment:

    benchmarks/.venvs/goodseed/bin/python benchmarks/bench_call.py goodseed
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

import peers

Measures = dict[str, float]

SCRIPT = Path(__file__).with_name("script.py")


class Stage(NamedTuple):
    """A moment in the life of a script."""

    time_ns: int
    peak_kib: int


class Script:
    """One run of `script.py` in a directory of its own making."""

    def __init__(self, peer: str, shape: str, points: int, *, way: str = "call") -> None:
        self.directory = tempfile.mkdtemp(prefix="run-", dir=os.getcwd())
        self.stages: dict[str, Stage] = {}
        self._process = subprocess.Popen(
            [sys.executable, SCRIPT, peer, shape, str(points), way],
            cwd=self.directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def go(self) -> None:
        """Let it log, once it is ready."""
        self.reach("ready")
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def reach(self, name: str) -> Stage:
        """Wait until the script has come to this stage."""
        assert self._process.stdout is not None
        while name not in self.stages:
            line = self._process.stdout.readline()
            if not line:
                raise SystemExit(f"{SCRIPT.name} ended before its stage {name!r}")
            words = line.split()
            if words[:1] == ["stage"]:  # whatever else it prints is its tracker's
                self.stages[words[1]] = Stage(int(words[2]), int(words[3]))
        return self.stages[name]

    def end(self) -> int:
        """Wait until the process is gone; the time of that in nanoseconds."""
        self.reach("exit")
        self._process.communicate()
        if self._process.returncode:
            raise SystemExit(f"{SCRIPT.name} ended with status {self._process.returncode}")
        return time.monotonic_ns()

    def seconds(self, begin: str, end: str) -> float:
        """Time between two stages that it has passed."""
        return (self.stages[end].time_ns - self.stages[begin].time_ns) / 1e9


def main(
    measure: Callable[[str, argparse.Namespace], Measures],
    choices: Collection[str] = tuple(peers.PEERS),
) -> None:
    """Parse the command line, measure in an empty directory, print the measures."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("peer", nargs="?", default=peers.STEPLOG, choices=choices)
    parser.add_argument("--quick", action="store_true", help="fewer points, shorter loops")
    parser.add_argument("--huge", action="store_true", help="100 million points; takes minutes")
    parser.add_argument("--filled", help="where filled databases are kept for the next round")
    arguments = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="steplog-bench-")
    arguments.filled = arguments.filled or directory
    os.chdir(directory)
    try:
        measures = measure(arguments.peer, arguments)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(json.dumps(measures), flush=True)
    # Some peers would now drain a queue for minutes, or wait for their service to answer.
    os._exit(0)
