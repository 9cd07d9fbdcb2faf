"""Is anything lost or doubled when a server is killed while many clients log to it, and try again?

Each client logs to a series of its own, single points and batches in turn, and goes on to the next
only when the last was answered; what was not is sent again, as MLflow's client does. So in the end
every step up to the last must be there, once. In the middle the server is killed (`kill -9`, all
its processes) and started again.
"""

from __future__ import annotations

import json
import random
import threading
import time
from argparse import Namespace
from http.client import HTTPException
from os import getcwd
from typing import Any

import harness
import servers
from serve import API, Serving

CLIENTS = 64
RUNS = 8
BATCH = 50
PATIENCE_SECONDS = 60


class Client(threading.Thread):
    """One client.

    Args:
        serving: the server.
        number: of the client.
        run_id: of the run that it logs to, beside others.
        end: when to stop, by `time.monotonic`.

    Attributes:
        acknowledged: how many points the server has answered for; their steps are 0, 1, ….
        answers: how many requests were answered with 200.
        retries: how many had to be sent again.
        longest: seconds from the first time a request was sent to its answer, at most.
        refused: an answer that says our request was wrong, which ends the client.

    """

    def __init__(self, serving: Serving, number: int, run_id: str, end: float) -> None:
        super().__init__(name=f"client-{number}")
        self.run_id, self.key = run_id, f"client-{number}"
        self.acknowledged = self.answers = self.retries = 0
        self.longest = 0.0
        self.refused: str | None = None
        self._serving, self._end = serving, end
        self._connection = serving.connect()

    def run(self) -> None:
        """Log until the end, however often the server goes away."""
        while time.monotonic() < self._end and self.refused is None:
            points = BATCH if self.answers % 2 else 1
            steps = range(self.acknowledged, self.acknowledged + points)
            metrics = [self.metric(step) for step in steps]
            begin = time.monotonic()
            if points == 1:
                sent = self._send("/runs/log-metric", {"run_id": self.run_id, **metrics[0]})
            else:
                sent = self._send("/runs/log-batch", {"run_id": self.run_id, "metrics": metrics})
            if not sent:
                return
            self.longest = max(self.longest, time.monotonic() - begin)
            self.acknowledged += points
            self.answers += 1

    def metric(self, step: int) -> dict[str, Any]:
        """Return what is logged at a step."""
        value, timestamp = value_at(self.key, step), servers.START_MS + step
        return {"key": self.key, "value": value, "timestamp": timestamp, "step": step}

    def _send(self, path: str, fields: dict[str, Any]) -> bool:
        """Send until it is answered; False where it never was."""
        body = json.dumps(fields).encode()
        while True:
            try:
                answer = self._connection.ask("POST", API + path, body)
                text = answer.read()
                if answer.status == 200:
                    return True
                if answer.status < 500 and answer.status not in (408, 429):
                    self.refused = f"{answer.status} {text.decode()[:300]}"
                    return False
            except (OSError, HTTPException):
                self._connection = self._serving.connect()
            if time.monotonic() > self._end + PATIENCE_SECONDS:
                return False
            self.retries += 1
            time.sleep(random.uniform(0.05, 0.5))


def value_at(key: str, step: int) -> float:
    """Return the value that a client logs at a step: no two are equal."""
    return step + float(f"0.{key.rpartition('-')[2]}1")


def measure(name: str, options: Namespace) -> harness.Measures:
    """Let clients log, kill the server in the middle, count what is there in the end."""
    seconds = 15 if options.quick else 120
    with Serving(name, getcwd()) as serving:
        connection = serving.connect()
        runs = [connection.create_run() for _ in range(RUNS)]
        end = time.monotonic() + seconds
        clients = [Client(serving, n, runs[n % RUNS], end) for n in range(CLIENTS)]
        for client in clients:
            client.start()
        time.sleep(seconds / 2)
        serving.kill()
        serving.start()
        for client in clients:
            client.join()
        if refused := [client.refused for client in clients if client.refused]:
            raise SystemExit(f"the server refused what was right: {refused[0]}")
        lost, doubled, others = _count(serving, clients)
    if others:
        raise SystemExit(f"{others} points are there that nobody logged")
    return {
        "load: points lost": lost,
        "load: points doubled": doubled,
        "load: points acknowledged": sum(client.acknowledged for client in clients),
        "load: requests answered, requests/s": sum(client.answers for client in clients) / seconds,
        "load: requests sent again": sum(client.retries for client in clients),
        "load: longest wait for an answer, s": max(client.longest for client in clients),
    }


def _count(serving: Serving, clients: list[Client]) -> tuple[int, int, int]:
    """Return how many points are lost, how many are there more than once, how many are strange."""
    lost = doubled = others = 0
    connection = serving.connect()
    for client in clients:
        stored = list(connection.points(client.run_id, client.key))
        distinct = set(stored)
        doubled += len(stored) - len(distinct)
        logged = {(step, value_at(client.key, step)) for step in range(client.acknowledged)}
        lost += len(logged - distinct)
        # Of a request that was never answered, the points may be there or not.
        unanswered = range(client.acknowledged, client.acknowledged + BATCH)
        others += len(
            distinct - logged - {(step, value_at(client.key, step)) for step in unanswered}
        )
    return lost, doubled, others


if __name__ == "__main__":
    harness.main(measure, servers.SERVERS)
