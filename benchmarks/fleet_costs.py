"""What the batches of a fleet cost a process of the server: the parameters of its simulation.

Run by ``python benchmarks/fleet.py --costs [STORE]``. Some threads send batches as clients do: one
point of each of 100 metrics, which is what a training logs in a second; and a stretch of 32,768
points, which is what it sends after an outage. What counts is the time for which the server
computes, so that other programs of the machine do not matter much.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.request import urlopen

import numpy as np

from steplog.journal import PAGE, SLOT
from steplog.operations import SeriesKey
from steplog.places import resolve
from steplog.points import POINT
from steplog.stores import open_store
from steplog.stores.base import Batch, Position
from steplog.stores.wire import encode_batch

METRICS = 100
THREADS = 4
SECONDS = 10.0


def batches(steps: int, number: int) -> list[Batch]:
    """Return batches that follow one another, each of so many steps of 100 metrics.

    Args:
        steps: in each.
        number: of the client, which has a run of its own.

    """
    chance = np.random.default_rng(number)
    run_id, journal_id = f"{number:032x}", f"{number + 1000:032x}"
    series = {
        each: SeriesKey(run_id, f"train/layer{each}/grad_norm") for each in range(1, METRICS + 1)
    }
    found, at = [], PAGE
    for index in range(max(30, 3000 // steps)):
        points = np.zeros(METRICS * steps, POINT)
        step = np.repeat(np.arange(index * steps, (index + 1) * steps), METRICS)
        points["step"] = step
        points["timestamp"] = 1_700_000_000_000 + 1000 * step + chance.integers(0, 9, step.size)
        points["value"] = (chance.normal(size=step.size) / np.sqrt(1 + step)).astype(np.float32)
        points["series"] = np.tile(np.arange(1, METRICS + 1), steps)
        end = at + SLOT * points.size
        found.append(
            Batch(journal_id, f"{number:032x}", Position(at), Position(end), [], points, series)
        )
        at = end
    return found


@contextmanager
def serving(store: str) -> Iterator[str]:
    """Run a server; give the URL where it listens."""
    command = [sys.executable, "-m", "steplog", "server", "--port", "0", "--store", store]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def computed(url: str) -> float:
    """Return for how many seconds a server has computed."""
    with urlopen(f"{url}/metrics") as answer:
        text = answer.read().decode()
    found = re.findall(r"^process_cpu_seconds_total\{.*\} ([\d.e+-]+)", text, re.MULTILINE)
    return sum(map(float, found))


def send(url: str, all_batches: list[list[Batch]]) -> int:
    """Send batches from threads, for some seconds; return how many were taken."""
    deadline = time.monotonic() + SECONDS
    taken = [0] * len(all_batches)

    def work(number: int) -> None:
        with closing(open_store(resolve(url))) as store:
            for batch in all_batches[number]:
                if time.monotonic() > deadline:
                    return
                assert store.apply(batch) is not None
                taken[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(taken))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(taken)


def measure(store: str) -> None:
    """Print what small batches and stretches cost, and the parameters that follow.

    Args:
        store: where the server keeps them; a path, or the URI of a database with its tables.

    """
    costs = {}
    print("| batch | bytes on the wire, a point | batches sent | server computes, a batch |")
    print("|---|---:|---:|---:|")
    for steps in (1, 5, 327):
        with (
            tempfile.TemporaryDirectory(prefix="steplog-costs-") as directory,
            serving(store or str(Path(directory) / "store")) as url,
        ):
            clients = [batches(steps, number + 100 * steps) for number in range(THREADS)]
            size = len(encode_batch(clients[0][1])) / clients[0][1].points.size
            send(url, [each[:1] for each in clients])  # the runs, and what is loaded late
            before = computed(url)
            count = send(url, [each[1:] for each in clients])
            costs[steps] = (computed(url) - before) / count
        print(
            f"| {METRICS * steps:,} points | {size:.1f} | {count:,} | {1e3 * costs[steps]:.2f} ms |"
        )
    point = (costs[327] - costs[1]) / (METRICS * 326)
    empty = costs[1] - METRICS * point
    print(f"\n--processor-requests {1 / empty:.0f} --processor-points {1 / point:.0f}")
