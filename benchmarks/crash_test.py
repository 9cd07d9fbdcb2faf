"""Kill processes that log at full speed, and count what is lost: nothing may be.

    python benchmarks/crash_test.py                   # 500 kills, then 64 processes on one run
    python benchmarks/crash_test.py --kills 30 --processes 8 --points 2000

A child logs, and after each call that has returned it notes so in memory that it shares with its
parent. The parent kills it at a random moment (`kill -9`), reads the store in a fresh process, and
looks for every point that was noted: it must be there, once. `steplog check` must find no damage.
Journals and chunks are made far smaller than usual, and ingest runs without pause, so that kills
also hit a journal that is just full, a batch that is just applied, a run that is just sealed.

The exit code is 1 where anything was lost, stored twice or damaged.
"""

from __future__ import annotations

import argparse
import mmap
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import numpy as np

import steplog
from steplog import background, journal, settings
from steplog.backend import backend
from steplog.stores.base import Damage

WORKERS = 8
"""Threads or processes that log in one child, at most."""
KILLS_PER_STORE = 10
"""A store outlives some kills, for the next child to find what the last one left."""
LONGEST_SECONDS = 0.4
"""How long a child lives, at most: long enough to start, to fill journals and to seal them."""


class Noted:
    """What children tell their parent, in memory that outlives them: the run, and what returned."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, mmap.PAGESIZE)
        # One store of eight bytes each, so that a kill cannot leave half a number.
        self.calls = memoryview(self._shared).cast("q")

    def begin(self) -> steplog.ActiveRun:
        """Start a run in the child; the parent knows it from now on."""
        run = steplog.start_run()
        self._shared[-32:] = run.info.run_id.encode()
        return run

    def run_id(self) -> str:
        """Return the child's run; empty when the kill came before it had one."""
        text = bytes(self._shared[-32:])
        return text.decode() if text.isascii() and text.strip(b"\0") else ""


Child = Callable[[Noted], None]


def one_loop(noted: Noted) -> None:
    """Log one metric, step by step."""
    noted.begin()
    _log(noted, 0)


def threads(noted: Noted) -> None:
    """Log from four threads to one run, one of them through a bound logger."""
    run = noted.begin()
    for worker in range(1, 4):
        threading.Thread(target=_log, args=(noted, worker), daemon=True).start()
    bound = run.metric("worker-0")
    for step in _endless():
        bound.log(0.5 * step, step)
        noted.calls[0] = step + 1


def forks(noted: Noted) -> None:
    """Log from a process and from three that it forks while a thread of it logs."""
    noted.begin()
    threading.Thread(target=_log, args=(noted, 0), daemon=True).start()
    for worker in range(1, 4):
        if os.fork() == 0:
            _log(noted, worker)
    _log(noted, 4)


def dictionaries(noted: Noted) -> None:
    """Log several metrics in each call."""
    noted.begin()
    for step in _endless():
        steplog.log_metrics({f"worker-{worker}": 0.5 * step for worker in range(3)}, step)
        for worker in range(3):
            noted.calls[worker] = step + 1


def appending(noted: Noted) -> None:
    """Log to a journal that is written with system calls."""
    settings.override("STEPLOG_JOURNAL", "append")
    one_loop(noted)


def short_runs(noted: Noted) -> None:
    """Log to one run after the other in the same process: each is sealed when it ends."""
    run = noted.begin()
    for step in _endless():
        with steplog.start_run(nested=True):
            steplog.log_metric("nested", step)
        run.client.log_metric(run.info.run_id, "worker-0", 0.5 * step, step=step)
        noted.calls[0] = step + 1


def ingesting(noted: Noted) -> None:
    """Log in one process that does not ingest, and ingest and seal in two others."""
    settings.override("STEPLOG_INGEST", "off")
    noted.begin()
    for _ in range(2):
        if os.fork() == 0:
            _ingest_endlessly()
    _log(noted, 0)


CHILDREN: tuple[Child, ...] = (
    one_loop, threads, forks, dictionaries, appending, short_runs, ingesting,
)  # fmt: skip


def _endless() -> Iterator[int]:
    step = 0
    while True:
        yield step
        step += 1


def _log(noted: Noted, worker: int) -> None:
    key = f"worker-{worker}"
    for step in _endless():
        steplog.log_metric(key, 0.5 * step, step)
        noted.calls[worker] = step + 1


def _ingest_endlessly() -> None:
    opened = backend()
    while True:
        store = opened.store()
        for run in store.runs():
            store.seal(run.row.run_id)


class Found(NamedTuple):
    """What became of the points of one or of many children."""

    kills: int = 0
    returned: int = 0
    lost: int = 0
    twice: int = 0
    damaged: int = 0

    def __add__(self, other: object) -> Found:
        assert isinstance(other, Found)
        return Found(*(a + b for a, b in zip(self, other, strict=True)))

    @property
    def good(self) -> bool:
        """Tell whether nothing was lost, stored twice or damaged."""
        return not (self.lost or self.twice or self.damaged)


def kill_one(child: Child, directory: str, seconds: float) -> Found:
    """Let a child log for some seconds, kill it with all that it forked, and count."""
    noted = Noted()
    pid = os.fork()
    if pid == 0:
        _be(child, directory, noted)
    try:
        time.sleep(seconds)
    finally:
        _kill_group(pid)
    return Found(kills=1) + in_a_fresh_process(lambda: look(directory, noted))


def _be(child: Child, directory: str, noted: Noted) -> None:
    try:
        os.setpgid(0, 0)
        steplog.set_tracking_uri(directory)
        child(noted)
    finally:  # a child never returns into the code of its parent
        os._exit(1)


def _kill_group(pid: int) -> None:
    # The group is there once the child has come so far; before that, the child is all there is.
    while True:
        try:
            os.killpg(pid, signal.SIGKILL)
            break
        except ProcessLookupError:
            os.kill(pid, 0)
            time.sleep(0.001)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status):
        raise SystemExit("a child ended before it was killed; see what it printed")


def look(directory: str, noted: Noted) -> Found:
    """Read the run as any reader does, and compare it with what was noted."""
    steplog.set_tracking_uri(directory)
    found = Found()
    run_id = noted.run_id()
    stored = {series.key.key: series.step for series in steplog.read(run_id)} if run_id else {}
    for worker in range(WORKERS):
        steps = stored.get(f"worker-{worker}", np.empty(0, np.int64))
        wanted = np.arange(noted.calls[worker])
        found += Found(
            returned=wanted.size,
            lost=int(np.setdiff1d(wanted, steps).size),
            twice=int(steps.size - np.unique(steps).size),
        )
    return found + Found(damaged=damages(directory))


def damages(directory: str) -> int:
    """Count what `steplog check` finds wrong, and series whose summary counts other points."""
    store = backend(directory).store()
    findings = [each for each in store.check() if isinstance(each, Damage)]
    for finding in findings:
        print("damage:", *finding, file=sys.stderr)
    kept = list(Path(directory, "journal").glob("*.damaged"))
    return len(findings) + len(kept)


def in_a_fresh_process(task: Callable[[], Found]) -> Found:
    """Fork, do a task there, and return what it returned."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, repr(tuple(task())).encode())
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    if not text:
        raise SystemExit("the reader failed; see what it printed")
    return Found(*map(int, text.strip("()").split(",")))


def crash(kills: int, seconds: float, rng: random.Random) -> dict[str, Found]:
    """Kill children of every kind in turn, until there were enough kills or time is up."""
    totals: dict[str, Found] = {child.__name__: Found() for child in CHILDREN}
    deadline = time.monotonic() + seconds
    directory = ""
    for number in range(kills):
        if time.monotonic() > deadline:
            break
        if number % KILLS_PER_STORE == 0:
            directory = _fresh_directory(directory)
        child = CHILDREN[number % len(CHILDREN)]
        found = kill_one(child, directory, rng.uniform(0, LONGEST_SECONDS))
        totals[child.__name__] += found
        if not found.good:
            print(f"kill {number}, {child.__name__}: {found} in {directory}", file=sys.stderr)
            directory = _fresh_directory("")  # the other is kept, to be looked at
    shutil.rmtree(directory, ignore_errors=True)
    return totals


def _fresh_directory(last: str) -> str:
    if last:
        shutil.rmtree(last)
    return tempfile.mkdtemp(prefix="steplog-crash-")


def make_everything_small() -> None:
    """Let it happen all the time what otherwise happens rarely: full journals, ingest, sealing."""
    journal.CAPACITY = 1 << 18
    journal.STRETCH = 1 << 15
    background.PERIOD_SECONDS = 0.01
    background.SWEEP_SECONDS = 0.1
    settings.override("STEPLOG_SEAL_POINTS", 2_000)


def many_writers(processes: int, points: int) -> Found:
    """Log to one run from many processes at once while another one reads it again and again."""
    directory = tempfile.mkdtemp(prefix="steplog-many-")
    steplog.set_tracking_uri(directory)
    noted = Noted()

    def begin() -> Found:
        noted.begin().metric("begun").log(1)
        return Found()

    in_a_fresh_process(begin)
    run_id = noted.run_id()
    reader = _fork(partial(_poll, run_id))
    writers = [_fork(partial(_write, run_id, worker, points)) for worker in range(processes)]
    failed = sum(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0 for pid in writers)
    os.kill(reader, signal.SIGTERM)
    failed += os.waitstatus_to_exitcode(os.waitpid(reader, 0)[1]) != -signal.SIGTERM
    if failed:
        raise SystemExit(f"{failed} processes failed; see what they printed")

    def compare() -> Found:
        stored = {series.key.key: series.step for series in steplog.read(run_id)}
        found = Found(damaged=damages(directory))
        for worker in range(processes):
            steps = stored.get(f"worker-{worker}", np.empty(0, np.int64))
            lost = int(np.setdiff1d(np.arange(points), steps).size)
            found += Found(returned=points, lost=lost, twice=steps.size - np.unique(steps).size)
        return found

    found = in_a_fresh_process(compare)
    shutil.rmtree(directory)
    return found


def _fork(task: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        # A warning (a locked database, say) is a failure here. It is raised in the thread that
        # ingests, where nothing may be raised: what is wrong is printed, and found by the parent.
        task()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _write(run_id: str, worker: int, points: int) -> None:
    client = steplog.Client()
    loss = client.metric(run_id, f"worker-{worker}")
    for step in range(points):
        loss.log(0.5 * step, step)
    client.recorder.close()
    fault = client.recorder.writer.fault or client.recorder.writer.store_fault
    if fault:
        raise SystemExit(f"writer {worker}: {fault}")


def _poll(run_id: str) -> None:
    before = 0
    while True:
        now = sum(len(series.step) for series in steplog.read(run_id))
        if now < before:
            raise SystemExit(f"the reader saw {before} points, and then {now}")
        before = now
        time.sleep(0.05)


def print_table(rows: dict[str, Found], seconds: float) -> None:
    """Print a row for each kind of child, and their sum."""
    total = Found()
    for found in rows.values():
        total += found
    headings = ("", "kills", "points returned", "lost", "twice", "damaged")
    print("{:<24}{:>8}{:>18}{:>8}{:>8}{:>10}".format(*headings))
    for name, found in {**rows, "all": total}.items():
        print("{:<24}{:>8,}{:>18,}{:>8,}{:>8,}{:>10,}".format(name.replace("_", " "), *found))
    print(f"{seconds:.0f} s", flush=True)


def main() -> None:
    """Parse the command line, kill, count, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=600.0, help="kill no longer than this")
    parser.add_argument("--seed", type=int, default=None, help="of the moments of the kills")
    parser.add_argument("--processes", type=int, default=64, help="that log to one run; 0 for none")
    parser.add_argument("--points", type=int, default=20_000, help="that each of them logs")
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if arguments.seed is None else arguments.seed
    for module in ("steplog.ingest", "steplog.stores.sqlite"):
        import_module(module)  # once, so that no child need load it
    begin = time.monotonic()
    rows: dict[str, Found] = {}
    if arguments.processes:
        name = f"{arguments.processes} processes, 1 run"
        rows[name] = many_writers(arguments.processes, arguments.points)
    make_everything_small()
    rows |= crash(arguments.kills, arguments.seconds, random.Random(seed))
    print(f"seed {seed}")
    print_table(rows, time.monotonic() - begin)
    sys.exit(not all(found.good for found in rows.values()))


if __name__ == "__main__":
    main()
