"""The supervisor: several processes that serve one address.

They share one listening socket, so the system hands each connection to one that is free; they share
nothing else, for a store has any number of writers. One that dies is replaced. All end when the
supervisor ends, however it ends: each holds the far end of a pipe that closes then.

Uvicorn has a supervisor, too. When that one is killed its workers go on for ever, and it does not
tell when all of them serve.

What is not here: what each of them does (`steplog.server.serving`).
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from tempfile import TemporaryDirectory
from types import FrameType

from steplog.exceptions import StoreError
from steplog.server import logs
from steplog.server.measuring import Measures
from steplog.server.serving import STOP_SECONDS, Options, serve

RESTART_SECONDS = 1.0
"""One that dies sooner than this after its start is replaced no faster."""
PATIENCE_SECONDS = STOP_SECONDS + 10.0
"""How long one may take to end."""

_log = logging.getLogger("steplog.server")
# A fork would copy this process as it is, with whatever it has open.
_processes = multiprocessing.get_context("spawn")


class Worker:
    """One process that serves; it says so through its lifeline.

    Args:
        options: of the command line.
        listening: the socket that all share.
        place: its number among them; whoever replaces it has the same.
        counts: the directory where they keep what they count.

    """

    def __init__(self, options: Options, listening: socket.socket, place: int, counts: str) -> None:
        self.lifeline, far_end = _processes.Pipe()
        arguments = (options, listening, far_end, place, counts)
        self.process = _processes.Process(target=_work, args=arguments)
        self.started = time.monotonic()
        self.process.start()
        far_end.close()  # so that only the worker holds it


def supervise(options: Options, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Keep `options.workers` processes serving until SIGINT or SIGTERM.

    Args:
        options: of the command line.
        listening: the socket that they share.
        ready: called when all of them serve.

    Raises:
        StoreError: one of them ended before it served.

    """
    logs.start(options.log_format, access=False)
    told = _told()
    with TemporaryDirectory(prefix="steplog-counts-") as counts:
        _keep_serving(options, listening, ready, told, counts)


def _keep_serving(
    options: Options,
    listening: socket.socket,
    ready: Callable[[], None],
    told: Connection,
    counts: str,
) -> None:
    workers = [Worker(options, listening, place, counts) for place in range(options.workers)]
    try:
        for worker in workers:
            wait([told, worker.lifeline, worker.process.sentinel])
            if not told.poll() and worker.process.exitcode is not None:
                raise StoreError("The server could not start. What it said above tells why.")
        if not told.poll():
            ready()
        while not told.poll():
            wait([told, *(worker.process.sentinel for worker in workers)])
            for place, worker in enumerate(workers):
                if worker.process.exitcode is not None and not told.poll(_pause(worker)):
                    _log.error("Process %d ended: %s", worker.process.pid, _how(worker))
                    worker.lifeline.close()
                    workers[place] = Worker(options, listening, place, counts)
    finally:
        _end(workers, PATIENCE_SECONDS + options.drain_seconds)


def _work(
    options: Options, listening: socket.socket, lifeline: Connection, place: int, counts: str
) -> None:
    measures = Measures(place, counts)
    serve(options, listening, lambda: lifeline.send(True), lifeline.fileno(), measures)


def _told() -> Connection:
    """Return what becomes readable when this process is to end; told twice, it ends at once."""
    near_end, far_end = _processes.Pipe(duplex=False)

    def handle(number: int, frame: FrameType | None) -> None:
        if near_end.poll():
            os._exit(128 + number)
        far_end.send(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    return near_end


def _pause(worker: Worker) -> float:
    return max(0.0, worker.started + RESTART_SECONDS - time.monotonic())


def _how(worker: Worker) -> str:
    code = worker.process.exitcode
    return f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _end(workers: list[Worker], patience: float) -> None:
    for worker in workers:
        worker.lifeline.close()
    deadline = time.monotonic() + patience
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        if worker.process.exitcode is None:
            _log.error("Process %d does not end and is killed", worker.process.pid)
            worker.process.kill()
            worker.process.join()
