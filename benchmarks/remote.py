"""How fast what was logged elsewhere reaches a server, and comes back.

    python benchmarks/remote.py                       # one client, and four
    python benchmarks/remote.py --clients 8 --points 1000000

Each client has logged eight metrics offline, noisy losses of float32, one point of each a step.
Then all of them send what they have at the same time, each from a process of its own, to one
server process on the loopback. The clock runs from the first byte to the last commit; what the
server seals meanwhile is in it, what it still has to seal is named. All share this machine.
"""

from __future__ import annotations

import argparse
import os
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


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, action="append", help="else 1, and then 4")
    parser.add_argument("--points", type=int, default=2_000_000, help="of each client")
    parser.add_argument("--turns", type=int, default=TURNS)
    arguments = parser.parse_args()
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
