"""Real servers for tests: `serving` starts ``python -m steplog server``, and stops it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from steplog.settings import SETTINGS

API = "/api/2.0/mlflow"
SECONDS = 30.0


class Reply(NamedTuple):
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def error_code(self) -> str:
        """The code of an error, which must be a document as MLflow's clients expect it."""
        assert self.headers["content-type"] == "application/json", self
        document = self.json()
        assert set(document) == {"error_code", "message"}
        assert document["message"]
        return str(document["error_code"])


class Server:
    """A server that runs.

    Attributes:
        url: where it listens.
        store: its directory.
        process: the one that was started; with several workers, the supervisor.

    """

    def __init__(self, url: str, store: Path, process: subprocess.Popen[str], log: Path) -> None:
        self.url = url
        self.store = store
        self.process = process
        self._log = log
        self.host, self.port = str(urlsplit(url).hostname), int(urlsplit(url).port or 0)

    def log(self) -> list[dict[str, Any]]:
        """Return what it has logged."""
        return [json.loads(line) for line in self._log.read_text("utf-8").splitlines()]

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request; a body that is not bytes is sent as JSON."""
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection(self.host, self.port, timeout=SECONDS)
        try:
            connection.request(method, path, body, {**sent, **(headers or {})})
            answer = connection.getresponse()
            return Reply(
                answer.status,
                {name.lower(): value for name, value in answer.getheaders()},
                answer.read(),
            )
        finally:
            connection.close()

    def post(self, path: str, body: object, *, token: str | None = None) -> Any:
        """Call an endpoint of the API that must succeed; return what it answers."""
        reply = self.request("POST", API + path, body, token=token)
        assert reply.status == 200, reply
        return reply.json()

    def connect(self) -> socket.socket:
        """Return a bare connection."""
        return socket.create_connection((self.host, self.port), timeout=SECONDS)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop it, if it runs; return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(SECONDS)


@contextmanager
def serving(
    store: Path, *options: str, command: Sequence[str] = (), settings: Mapping[str, str] = {}
) -> Iterator[Server]:
    """Run a server of a store on a free port.

    Args:
        store: its directory.
        options: of ``steplog server``.
        command: a program and its arguments that runs it, such as ``prlimit``.
        settings: environment variables; no other setting is in force.

    """
    names = {setting.name for setting in SETTINGS}
    environment = {name: value for name, value in os.environ.items() if name not in names}
    log = store.with_name(f"{store.name}.log")
    arguments = [*command, sys.executable, "-m", "steplog", "server", "--port", "0", *options]
    with (
        log.open("a") as errors,
        subprocess.Popen(
            [*arguments, "--store", str(store)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**environment, **settings},
        ) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            assert line.startswith(f"steplog serves {store} at http://"), log.read_text("utf-8")
            yield Server(line.split()[-1], store, process, log)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(SECONDS)
                finally:
                    process.kill()


def ask(connection: socket.socket, data: bytes) -> bytes:
    """Send bytes; return all that comes back until the server ends the connection."""
    connection.sendall(data)
    return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    """Return all that comes until the server ends the connection."""
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))
