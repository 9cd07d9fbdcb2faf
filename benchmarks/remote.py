"""How fast what was logged elsewhere reaches a server, and comes back.

    python benchmarks/remote.py                       # one client, and four
    python benchmarks/remote.py --clients 8 --points 1000000
    python benchmarks/remote.py --outage 10000000     # what one of that many points costs

Each client has logged eight metrics offline, noisy losses of float32, one point of each a step.
Then all of them send what they have at the same time, each from a process of its own, to one
server process on the loopback. The clock runs from the first byte to the last commit; what the
server seals meanwhile is in it, what it still has to seal is named. All share this machine.

An outage: a training logs a million points while the server is there, and the given number after
it was killed; then the server comes back.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from serving import Server, serving

from steplog import places
from steplog.stores import open_store
from steplog.stores.base import Store

METRICS = 8
TURNS = 3
LOG = """
import sys, time, numpy, steplog
steplog.set_tracking_uri(sys.argv[1])
points = int(sys.argv[2])
steps = numpy.arange(points // 8)
noise = numpy.random.default_rng(1).normal(1, 0.1, (8, steps.size))
curve = 0.1 + 2 * numpy.exp(-5 * steps / steps.size)
rows = (curve * noise).astype("f4").astype("f8").T.tolist()
with steplog.start_run():
    logs = [steplog.active_run().metric(f"loss{n}").log for n in range(8)]
    for step, row in enumerate(rows):
        for log, value in zip(logs, row):
            log(value, step)
"""
SEND = """
import sys, time
from steplog import places
from steplog.ingest import Ingestor
from steplog.stores import open_store, wire
place = places.resolve(sys.argv[1])
ingestor = Ingestor(open_store(place), place.journals)
ingestor.store.positions([])
sent = 0
def encoded(batch, encode=wire.encode_batch):
    global sent
    body = encode(batch)
    sent += len(body)
    return body
wire.encode_batch = encoded
print("ready", flush=True)
sys.stdin.readline()
began = time.process_time()
print(ingestor.ingest().points, time.process_time() - began, sent, flush=True)
ingestor.close()
"""


TRAIN = """
import re, sys, time, steplog
def anonymous():  # kB of memory that no file stands behind
    return int(re.search(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())[1])
def stretch(first, last):
    began = time.perf_counter()
    for step in range(first, last):
        log(step / 7, step)
    return 1e6 * (time.perf_counter() - began) / (last - first)
steplog.set_tracking_uri(sys.argv[1])
points = int(sys.argv[2])
with steplog.start_run() as run:
    log = run.metric("loss").log
    with_server = stretch(0, 1_000_000)
    steplog.flush_async_logging()
    before = anonymous()
    print("ready", flush=True)
    sys.stdin.readline()
    most, spent = 0, 0.0
    for first in range(1_000_000, 1_000_000 + points, 100_000):
        spent += stretch(first, first + 100_000)
        most = max(most, anonymous() - before)
    print(with_server, spent / (points // 100_000), most / 1024, run.info.run_id, flush=True)
    sys.stdin.readline()
"""


def run(script: str, state: Path, *arguments: str, offline: bool = False) -> subprocess.Popen[str]:
    """Start a client with a spool of its own."""
    environment = {**os.environ, "STEPLOG_STATE_DIR": str(state)}
    if offline:
        environment["STEPLOG_OFFLINE"] = "true"
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def line(process: subprocess.Popen[str]) -> str:
    """Return the next line that a process says."""
    assert process.stdout is not None
    return process.stdout.readline()


def cpu_seconds(process_id: int) -> float:
    """Return how long a process has computed."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def send(server: Server, directory: Path, clients: int, points: int) -> tuple[float, str]:
    """Have clients log offline and then send; return points a second, and more about it."""
    states = [directory / f"state{number}" for number in range(clients)]
    for state in states:
        run(LOG, state, server.url, str(points), offline=True).communicate()
    senders = [run(SEND, state, server.url) for state in states]
    for sender in senders:
        line(sender)
    began = time.perf_counter()
    busy = cpu_seconds(server.process.pid)
    for sender in senders:
        assert sender.stdin is not None
        sender.stdin.write("\n")
        sender.stdin.flush()
    told = [line(sender).split() for sender in senders]
    seconds = time.perf_counter() - began
    busy = cpu_seconds(server.process.pid) - busy
    sent = sum(int(each[2]) for each in told)
    for sender in senders:
        sender.communicate()
    total = sum(int(each[0]) for each in told)
    assert total == clients * points, (total, clients, points)
    computed = sum(float(each[1]) for each in told)
    more = (
        f"{sent / total:.1f} bytes a point on the wire; "
        f"seconds of computing: server {busy:.2f}, clients {computed:.2f} of {seconds:.2f}"
    )
    return total / seconds, more


def read(server: Server) -> str:
    """Read every series of a run; say how long a million points take."""
    with closing(open_store(places.resolve(server.url))) as store:
        run_id = store.runs()[0].row.run_id
        began = time.perf_counter()
        total = sum(
            piece.step.size
            for series in store.series([run_id])
            for piece in store.points(series.series_id)
        )
        seconds = time.perf_counter() - began
        waiting = store.stats()["waiting_points"]
    return f"read {total:,} points in {seconds:.2f} s; {waiting:,} points wait to be sealed"


def outage(points: int) -> None:
    """Log while the server is away; print what that cost, and how long it took to deliver."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with serving(directory / "store") as server:
            port, url = str(server.port), server.url
            training = run(TRAIN, directory / "state", url, str(points))
            line(training)
            server.stop(signal.SIGKILL)
        assert training.stdin is not None
        training.stdin.write("\n")
        training.stdin.flush()
        with_server, without, megabytes, run_id = line(training).split()
        print(
            f"a call costs {float(with_server):.2f} µs with a server, {float(without):.2f} without "
            f"it; {points:,} points without it added {float(megabytes):.1f} MB of memory"
        )
        with serving(directory / "store", "--port", port):
            began = time.perf_counter()
            first = None
            with closing(open_store(places.resolve(url))) as store:
                while (found := count(store, run_id)) < 1_000_000 + points:
                    if first is None and found > 1_000_000:
                        first = time.perf_counter() - began
                    time.sleep(0.05)
            seconds = time.perf_counter() - began
            print(
                f"delivered {seconds:.1f} s after its return, {first or seconds:.1f} s of it idle"
            )
            training.communicate("\n")


def count(store: Store, run_id: str) -> int:
    """Return how many points of a run a store has."""
    return sum(int(each.summary["count"]) for each in store.series([run_id]))


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, action="append", help="else 1, and then 4")
    parser.add_argument("--points", type=int, default=2_000_000, help="of each client")
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--outage", type=int, metavar="POINTS", help="log so many without a server")
    arguments = parser.parse_args()
    if arguments.outage:
        outage(arguments.outage)
        return
    points = arguments.points // METRICS * METRICS
    for clients in arguments.clients or (1, 4):
        speeds = []
        for _ in range(arguments.turns):
            with ExitStack() as stack:
                directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                server = stack.enter_context(serving(directory / "store"))
                speed, more = send(server, directory, clients, points)
                speeds.append(speed)
                print(f"  {speed / 1e6:.2f} M points/s; {more}; {read(server)}", flush=True)
        middle = float(np.median(speeds))
        print(f"{clients} client(s), {points:,} points each: {middle / 1e6:.2f} M points/s")


if __name__ == "__main__":
    main()
