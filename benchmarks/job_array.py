"""A job array on a shared directory: many processes log into one run, and one reader follows.

    python benchmarks/job_array.py                          # 500 processes
    python benchmarks/job_array.py --processes 64 --points 500

All processes live at the same time. Each creates the same experiment, logs into a run of its own
and, with a rank, into one run that all share; none ingests. The reader is `steplog ingest --watch`
with its catalog elsewhere; where this user may mount, the directory is mounted read-only for it.
In the end every point must be in the reader's catalog, once, and nothing but one journal of each
process in the directory. The exit code is 1 where that is not so.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from steplog import settings
from steplog.places import resolve
from steplog.stores import open_store
from steplog.stores.base import Store

JOB = """
import os, sys, time, steplog
points, shared_run = int(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
steplog.set_experiment("array")
client = steplog.Client()
with steplog.start_run(run_name=os.environ["SLURM_PROCID"]):
    began = time.thread_time()
    for step in range(points):
        steplog.log_metric("own", step / 2, step)
    seconds = time.thread_time() - began
    for step in range(points):
        client.log_metric(shared_run, "loss", step / 4, step=step)
print(1e6 * seconds / points, flush=True)
sys.stdin.readline()
"""
DEADLINE_SECONDS = 300.0
MOUNT = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'


class Job:
    """One process of the array."""

    def __init__(self, number: int, points: int, run_id: str, directory: Path) -> None:
        environment = {
            **os.environ,
            "STEPLOG_INGEST": "off",
            "STEPLOG_TRACKING_URI": str(directory),
            "SLURM_PROCID": str(number),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-c", JOB, str(points), run_id],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def line(self) -> str:
        """Return the next line that it prints."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def tell(self) -> None:
        """Let it go on."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """Let it end."""
        self._process.communicate("\n")


@contextmanager
def following(directory: Path, catalogs: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Let a reader follow what is logged to a directory, and say whether it could write there."""
    command = [sys.executable, "-m", "steplog", "ingest", "--watch"]
    command += ["--store", str(directory), "--catalog", str(catalogs)]
    mount = ["unshare", "--mount", "sh", "-c", MOUNT, str(directory)]
    may_mount = subprocess.run([*mount, "true"], capture_output=True).returncode == 0
    print(f"the reader {'cannot' if may_mount else 'could'} write in the directory")
    with subprocess.Popen(
        [*mount, *command] if may_mount else command, stderr=subprocess.DEVNULL
    ) as reader:
        try:
            yield reader
        finally:
            reader.send_signal(signal.SIGINT)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the array and check what the reader has of it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, default=500)
    parser.add_argument("--points", type=int, default=200, help="Of each process, in each run.")
    options = parser.parse_args(arguments)
    run_id = os.urandom(16).hex()
    with tempfile.TemporaryDirectory() as temporary:
        directory, catalogs = Path(temporary, "shared"), Path(temporary, "catalogs")
        Path(directory, "journal").mkdir(parents=True)
        began = time.monotonic()
        jobs = [
            Job(number, options.points, run_id, directory) for number in range(options.processes)
        ]
        assert {job.line() for job in jobs} == {"ready"}
        print(f"{len(jobs)} processes started in {time.monotonic() - began:.1f} s")
        with following(directory, catalogs) as reader:
            began = time.monotonic()
            for job in jobs:
                job.tell()
            costs = [float(job.line()) for job in jobs]
            print(f"all had logged after {time.monotonic() - began:.1f} s")
            typical = statistics.median(costs)
            print(f"one log_metric call: {typical:.1f} us of the processor, median of processes")
            settings.export("STEPLOG_CATALOG", str(catalogs))
            wrong = _checked(directory, options.processes, options.points, run_id)
            print(f"the reader had all after {time.monotonic() - began:.1f} s")
            print(f"memory of the reader at most: {_most_memory(reader.pid) >> 20} MB")
        for job in jobs:
            job.end()
        names = sorted(path.name for path in directory.rglob("*"))
        if len(names) != 1 + len(jobs) or sum(n.endswith(".journal") for n in names) != len(jobs):
            wrong.append(f"{len(names)} files and directories: {names[:5]} …")
    for sentence in wrong:
        print(sentence)
    print("FAILED" if wrong else f"{2 * options.processes * options.points:,} points are all there")
    return 1 if wrong else 0


def _checked(directory: Path, processes: int, points: int, run_id: str) -> list[str]:
    """Wait until a catalog holds all, or nothing more comes; return what is wrong with it."""
    expected = 2 * processes * points
    deadline = time.monotonic() + DEADLINE_SECONDS
    with closing(open_store(resolve(str(directory)))) as store:
        while store.stats()["points"] < expected and time.monotonic() < deadline:
            time.sleep(0.2)
        return [*_wrong(store, processes, points, run_id)]


def _wrong(store: Store, processes: int, points: int, run_id: str) -> Iterator[str]:
    names = [record.row.name for record in store.experiments()]
    if sorted(names) != ["Default", "array"]:
        yield f"experiments {names}"
    runs = [record.row.run_id for record in store.runs()]
    if len(runs) != processes + 1:
        yield f"{len(runs)} runs"
    found = store.series(runs)
    ranks = sorted(series.key.rank for series in found if series.key.run_id == run_id)
    if ranks != [*range(processes)] or len(found) != 2 * processes:
        yield f"{len(found)} series, {len(ranks)} of them in the run that all share"
    for series in found:
        steps = [step for piece in store.points(series.series_id) for step in piece.step.tolist()]
        if steps != [*range(points)]:
            yield f"{series.key}: {len(steps)} points"


def _most_memory(pid: int) -> int:
    """Return the most memory that a process has had, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return 0


if __name__ == "__main__":
    sys.exit(main())
