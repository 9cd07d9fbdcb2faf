"""How much memory the server takes while clients read a long history and others log."""

from __future__ import annotations

import threading
import time
from argparse import Namespace
from array import array
from contextlib import suppress
from http.client import HTTPException
from urllib.parse import urlencode

import harness
import numpy as np
import servers
from serve import API, Serving, filled

RUN_ID, KEY = "3" * 32, "loss"
READERS, WRITERS = 10, 8
LONGEST_SECONDS = 240
POINT = b'"timestamp"'  # once in each point of the JSON


def measure(name: str, options: Namespace) -> harness.Measures:
    """Let ten clients read a series in one answer each while eight log; weigh all processes."""
    points = 1_000_000 if options.quick else 10_000_000
    values = array("d", np.random.default_rng(6).normal(size=points).tobytes())
    run = servers.Run(RUN_ID, {KEY: values}, servers.START_MS)
    with Serving(name, filled(name, options.filled, f"memory-{points}", [run])) as serving:
        before = serving.memory()
        begin = time.perf_counter()
        peak, read, logged = _stress(serving)
        seconds = time.perf_counter() - begin
    if any(count != points for count in read):
        raise SystemExit(f"the clients have read {read} points")
    return {
        "memory of the server, MB": peak / 1e6,
        "memory of the server at rest, MB": before / 1e6,
        "memory: history streamed, points/s": sum(read) / seconds,
        "memory: log-metric meanwhile, requests/s": logged / seconds,
    }


def _stress(serving: Serving) -> tuple[int, list[int], int]:
    """Return the most bytes resident, the points that each reader got, the points logged."""
    read, logged, peak = [0] * READERS, [0] * WRITERS, 0
    done = threading.Event()
    readers = [threading.Thread(target=_read, args=(serving, read, n)) for n in range(READERS)]
    writers = [
        threading.Thread(target=_log, args=(serving, logged, n, done)) for n in range(WRITERS)
    ]
    for thread in (*readers, *writers):
        thread.start()
    deadline = time.perf_counter() + LONGEST_SECONDS
    while any(thread.is_alive() for thread in readers):
        peak = max(peak, serving.memory())
        if time.perf_counter() > deadline:
            serving.kill()  # the readers end with their connections, and what they got is reported
        time.sleep(0.02)
    done.set()
    for thread in writers:
        thread.join()
    return peak, read, sum(logged)


def _read(serving: Serving, read: list[int], number: int) -> None:
    """Read the whole history in one answer, count its points, keep nothing."""
    query = urlencode({"run_id": RUN_ID, "metric_key": KEY})
    with suppress(OSError, HTTPException):  # too few points say that something went wrong
        answer = serving.connect().ask("GET", f"{API}/metrics/get-history?{query}")
        kept = b""
        while piece := answer.read(1 << 18):
            text = kept + piece
            read[number] += text.count(POINT)
            kept = text[-len(POINT) + 1 :]


def _log(serving: Serving, logged: list[int], number: int, done: threading.Event) -> None:
    connection = serving.connect()
    run_id = connection.create_run()
    while not done.is_set():
        step = logged[number]
        point = {"key": "loss", "value": 0.5 * step, "timestamp": servers.START_MS, "step": step}
        connection.post("/runs/log-metric", {"run_id": run_id, **point})
        logged[number] += 1


if __name__ == "__main__":
    harness.main(measure, servers.SERVERS)
