"""A server under test: its process, from the start until it is killed, and how to talk to it.

The processes of a server form one group of their own, so that all of them can be counted, weighed
and killed. Requests here are made one at a time over one connection; many at once are `wrk`'s
(`load.py`).
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import urlencode

import servers

API = "/api/2.0/mlflow"
PAGE_POINTS = 25_000
"""As many points of a history as MLflow's client asks for in one request."""
START_SECONDS = 120
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TOKEN = re.compile(rb'"next_page_token":\s*"([^"]*)"')


class Connection:
    """One connection to a server, which is made again where it has been closed.

    Args:
        port: of 127.0.0.1.
        timeout: seconds to wait for an answer.

    """

    def __init__(self, port: int, timeout: float = 600) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def ask(self, method: str, path: str, body: bytes | None = None) -> http.client.HTTPResponse:
        """Send a request, return the answer with its body still to be read."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            self._http.request(method, path, body, headers)
            return self._http.getresponse()
        except BaseException:
            self._http.close()
            raise

    def post(self, path: str, fields: dict[str, Any]) -> bytes:
        """Return the body that answers a POST of `fields`; an error of the server ends us."""
        return self._body(f"POST {path}", self.ask("POST", API + path, json.dumps(fields).encode()))

    def get(self, path: str, **query: object) -> bytes:
        """Return the body that answers a GET; an error of the server ends us."""
        path = f"{API}{path}?{urlencode(query)}"
        return self._body(f"GET {path}", self.ask("GET", path))

    def create_run(self) -> str:
        """Start a run of experiment 0, return its id."""
        answer = self.post("/runs/create", {"experiment_id": "0", "start_time": servers.START_MS})
        run_id: str = json.loads(answer)["run"]["info"]["run_id"]
        return run_id

    def history(self, run_id: str, key: str) -> Iterator[bytes]:
        """Yield the pages of a metric's history, asked for as MLflow's client does."""
        query: dict[str, object] = {"run_uuid": run_id, "metric_key": key, "run_id": run_id}
        query["max_results"] = PAGE_POINTS
        while True:
            page = self.get("/metrics/get-history", **query)
            yield page
            # The token stands behind the points, or, in answers without order, before them.
            found = _TOKEN.search(page, len(page) - 300) or _TOKEN.search(page[:300])
            if found is None or not found[1]:
                return
            query["page_token"] = json.loads(b'"%b"' % found[1])

    def points(self, run_id: str, key: str) -> Iterator[tuple[int, float]]:
        """Yield step and value of every point of a metric."""
        for page in self.history(run_id, key):
            for point in json.loads(page).get("metrics", []):
                yield int(point.get("step", 0)), float(point["value"])

    def _body(self, asked: str, answer: http.client.HTTPResponse) -> bytes:
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{asked} was answered {answer.status}: {body[:500]!r}")
        return body


class Serving:
    """A server of a directory, as a context: started on the way in, gone on the way out.

    Attributes:
        port: where it listens, also when it has been killed and started again.

    """

    def __init__(self, name: str, directory: str) -> None:
        self._log = Path(directory, "server.log")
        self.port = _free_port()
        self._command = servers.load(name).command(directory, self.port)
        self._directory = directory

    def __enter__(self) -> Serving:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it; return when it answers and all its processes have come to rest."""
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._directory,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise SystemExit(f"the server did not start:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.05)
        _wait_for_rest(self._process.pid, deadline)

    def connect(self) -> Connection:
        """Return a new connection."""
        return Connection(self.port)

    def memory(self) -> int:
        """Return the bytes resident in all its processes together."""
        return sum(process.resident for process in _processes(self._process.pid))

    def stop(self) -> None:
        """Ask it to end, as Ctrl-C or a service manager does; kill what is left after a while."""
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
        self.kill()

    def kill(self) -> None:
        """Kill all its processes at once: kill -9."""
        with suppress(ProcessLookupError):  # all are gone
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _answers(self) -> bool:
        try:
            return Connection(self.port, 5).ask("GET", "/health").status == 200
        except (OSError, http.client.HTTPException):
            return False


def filled(name: str, folder: str, title: str, runs: Iterable[servers.Run]) -> str:
    """Return a directory that a server has been filled with; filled once, then found again.

    Args:
        name: of the server.
        folder: where such directories are kept.
        title: of what it is filled with.
        runs: what it is filled with.

    """
    done, unfinished = Path(folder, f"{name}-{title}"), Path(folder, f"{name}-{title}.unfinished")
    if not done.exists():
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        with Serving(name, str(unfinished)):
            pass  # it makes its tables
        servers.load(name).fill(str(unfinished), runs)
        unfinished.rename(done)
    return str(done)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class _Process(NamedTuple):
    seconds: float  # of processor that it has used
    resident: int  # bytes


def _processes(group: int) -> Iterator[_Process]:
    """Look at each process of a group; see proc(5)."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the name, which is in parentheses and may hold anything.
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[2]) == group:
            ticks = int(fields[11]) + int(fields[12])
            yield _Process(ticks / os.sysconf("SC_CLK_TCK"), int(fields[21]) * PAGE_BYTES)


def _wait_for_rest(group: int, deadline: float) -> None:
    """Wait until the processes of a group use next to nothing: workers take seconds to start."""
    before = -1.0
    while (now := sum(process.seconds for process in _processes(group))) > before + 0.02:
        if time.monotonic() > deadline:
            raise SystemExit("the server does not come to rest")
        before = now
        time.sleep(0.5)
