"""A training script in miniature: it imports a tracker, starts a run, logs and ends.

    python script.py PEER SHAPE POINTS [call|many]

It records in the current directory, and at each stage prints the stage's name, the time by the
clock that all processes share, and the most memory it has had resident. Before the first stage it
imports nothing that an empty Python would not have imported.
"""

import os
import sys
import time


def stage(name: str) -> None:
    """Say that a stage begins now: its name, nanoseconds, peak resident KiB."""
    # Not ru_maxrss: across an exec that keeps the peak of the process which forked this one.
    with open("/proc/self/status") as file:
        peak_kib = next(line.split()[1] for line in file if line.startswith("VmHWM"))
    print(f"stage {name} {time.monotonic_ns()} {peak_kib}", flush=True)


def main(peer: str, shape: str, points: str, way: str = "call") -> None:
    """Live through all stages."""
    stage("import")
    import peers
    import shapes

    adapter = peers.load(peer)
    stage("setup")
    log = adapter.setup(os.getcwd())
    stage("prepare")
    values = shapes.SHAPES[shape](int(points))
    stage("ready")
    sys.stdin.readline()  # whoever started the script says when
    stage("log")
    if way == "many":
        adapter.log_many("loss", values)
    else:
        for step, value in enumerate(values):
            log("loss", value, step)
    stage("finish")
    adapter.finish()
    stage("exit")


if __name__ == "__main__":
    main(*sys.argv[1:])
