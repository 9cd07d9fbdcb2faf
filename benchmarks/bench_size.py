"""Bytes a point takes on disk once the script that logged it has ended."""

from __future__ import annotations

import os
from argparse import Namespace

import harness
import peers
import shapes

PEER_SHAPE = "noisy-float32-loss"
FILLED = {peers.STEPLOG: 1_000_000, "mlflow_sync": 20_000, "mlflow_async": 20_000}


def measure(peer: str, options: Namespace) -> harness.Measures:
    """Compare the disk space after many points with that after one, so that tables cost nothing."""
    points = FILLED.get(peer, peers.PEERS[peer].points)
    if options.quick and peer == peers.STEPLOG:
        points //= 4
    names = [name for name in shapes.SHAPES if name != "constant"]
    empty = _disk_bytes(_record(peer, PEER_SHAPE, 1))
    measures = {}
    for shape in names if peer == peers.STEPLOG else [PEER_SHAPE]:
        directory = _record(peer, shape, points)
        measures[f"size of {shape}, B a point"] = (_disk_bytes(directory) - empty) / points
    if peer == peers.STEPLOG:
        measures["journals after a clean end, files"] = len(os.listdir(f"{directory}/journal"))
    return measures


def _record(peer: str, shape: str, points: int) -> str:
    script = harness.Script(peer, shape, points, way="many")
    script.go()
    script.end()
    return script.directory


def _disk_bytes(directory: str) -> int:
    return sum(
        os.stat(os.path.join(folder, file)).st_blocks * 512
        for folder, _, files in os.walk(directory)
        for file in files
    )


if __name__ == "__main__":
    harness.main(measure)
