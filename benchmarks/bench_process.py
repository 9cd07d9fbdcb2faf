"""What a tracker does to the training process: import, first run, memory, exit."""

from __future__ import annotations

import subprocess
import sys
from argparse import Namespace
from statistics import median

import harness
import peers


def measure(peer: str, options: Namespace) -> harness.Measures:
    """Time the import alone, then let a script live in an empty directory."""
    points = peers.PEERS[peer].points // 10
    imports = [_import_ms(peers.PEERS[peer].statement) for _ in range(2 if options.quick else 7)]
    script = harness.Script(peer, "constant", points)
    script.go()
    gone_ns = script.end()
    stages = script.stages
    added_kib = stages["exit"].peak_kib - stages["import"].peak_kib
    return {
        "import, ms": median(imports),
        "a short life: points logged": points,
        "first run, empty directory, ms": script.seconds("setup", "prepare") * 1e3,
        "memory added to the process, MB": added_kib / 1024,
        "last call to process gone, ms": (gone_ns - stages["finish"].time_ns) / 1e6,
    }


def _import_ms(statement: str) -> float:
    program = f"from time import perf_counter as c; b = c(); {statement}; print(c() - b)"
    output = subprocess.check_output([sys.executable, "-c", program], text=True)
    return float(output.split()[-1]) * 1e3


if __name__ == "__main__":
    harness.main(measure)
