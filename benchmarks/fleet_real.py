"""A few real trainings and a real server that goes away, beside the simulation of as many.

Run by ``python benchmarks/fleet.py --real N``. While the server is away something else listens at
its address, ends every connection at once, and counts them: those are the tries.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from fleet import PAUSES, Fleet, Outcome, Simulation, Site
from serving import Server, serving

POINTS = 100
OUTAGE_SECONDS = 60.0
STEADY_SECONDS = 15.0
LONGEST_SECONDS = 180.0
SIMULATIONS = 20

TRAINING = """
import sys, time, steplog
rate = int(sys.argv[1])
with steplog.start_run():
    began = time.time()
    print(began, flush=True)
    for step in range(10**9):
        steplog.log_metric("loss", 0.5, step)
        pause = began + (step + 1) / rate - time.time()
        if pause > 0.05:
            time.sleep(pause)
"""


class Door:
    """What listens in the server's place, and lets nobody in.

    Attributes:
        tries: connections by the second of the clock.

    """

    def __init__(self, port: int) -> None:
        self.tries: Counter[int] = Counter()
        self._listening = socket.create_server(("127.0.0.1", port), backlog=1024)
        self._thread = threading.Thread(target=self._turn_away)
        self._thread.start()

    def close(self) -> None:
        """Go away."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()

    def _turn_away(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                connection, _ = self._listening.accept()
                connection.close()
                self.tries[int(time.time())] += 1


@contextmanager
def trainings(clients: int, directory: Path, url: str) -> Iterator[list[float]]:
    """Run trainings, each on a machine of its own; give the times at which they began to log."""
    running = []
    try:
        for number in range(clients):
            environment = {
                **os.environ, "STEPLOG_TRACKING_URI": url,
                "STEPLOG_STATE_DIR": str(directory / f"state{number}"),
            }  # fmt: skip
            running.append(
                subprocess.Popen(
                    [sys.executable, "-W", "ignore", "-c", TRAINING, str(POINTS)],
                    env=environment, stdout=subprocess.PIPE, text=True,
                )
            )  # fmt: skip
        yield [float(each.stdout.readline()) for each in running if each.stdout]
    finally:
        for each in running:
            each.kill()
            each.communicate()


def measured(server: Server) -> tuple[float, float]:
    """Return how many points a server has taken, and in how many requests."""
    text = server.request("GET", "/metrics").body.decode()
    (points,) = re.findall(r"^steplog_applied_points_total (\d+)", text, re.MULTILINE)
    requests = re.findall(
        r'^steplog_request_seconds_count\{endpoint="/store/batches".*\} (\d+)', text, re.MULTILINE
    )
    return float(points), float(sum(map(int, requests)))


def real(clients: int, directory: Path) -> Outcome:
    """Let trainings log, the server go and come back, and all be delivered."""
    store = directory / "store"
    with serving(store) as server:
        port, url = server.port, server.url
        server.stop()
    with serving(store, "--port", str(port)) as server, trainings(clients, directory, url) as began:
        time.sleep(STEADY_SECONDS / 2)
        _, requests = measured(server)
        time.sleep(STEADY_SECONDS)
        points, more = measured(server)
        server.stop()
        points = stored(store)
        door = Door(port)
        time.sleep(OUTAGE_SECONDS)
        door.close()
        back = time.time()
        logged = sum(POINTS * (back - each) for each in began)
        with serving(store, "--port", str(port)) as again:
            while points + measured(again)[0] < logged and time.time() < back + LONGEST_SECONDS:
                time.sleep(0.1)
        delivered = time.time() - back
    half = [door.tries[second] for second in range(int(back - OUTAGE_SECONDS / 2), int(back))]
    return Outcome(
        steady=(more - requests) / STEADY_SECONDS,
        tries=sum(half) / len(half),
        most_tries=max(half),
        work=0.0,
        failed=0,
        delivered=delivered,
        waiting=0.0,
        slowest=0.0,
    )


def stored(store: Path) -> float:
    """Return how many points a store has that no server serves just now."""
    command = [sys.executable, "-m", "steplog", "du", "--store", str(store), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (points,) = re.findall(r'"points": (\d+)', done.stdout)
    return float(points)


def compare(clients: int, seed: int) -> None:
    """Print what simulations say of so many clients, and what is."""
    fleet = Fleet(clients, POINTS, 1.0, OUTAGE_SECONDS)
    # A few clients do not keep even one process busy, so what it can do does not matter.
    site = Site(1.0, 1_000.0, 500_000.0)
    said = [Simulation(fleet, site, [*PAUSES][-1], seed + n).run() for n in range(SIMULATIONS)]
    with tempfile.TemporaryDirectory(prefix="steplog-fleet-") as directory:
        found = real(clients, Path(directory))
    print(f"{clients} trainings of {POINTS} points/s, {OUTAGE_SECONDS:g} s without a server\n")
    print(f"| | {SIMULATIONS} simulations: median, least to most | real |")
    print("|---|---:|---:|")
    rows = {
        "batches/s before": "steady",
        "tries/s in the second half of that time": "tries",
        "the same in its worst second": "most_tries",
        "seconds until all is delivered": "delivered",
    }
    for label, name in rows.items():
        values = sorted(float(getattr(each, name)) for each in said)
        middle = values[len(values) // 2]
        print(
            f"| {label} | {middle:.2f}, {values[0]:.2f} to {values[-1]:.2f} "
            f"| {float(getattr(found, name)):.2f} |"
        )
