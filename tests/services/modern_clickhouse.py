"""A ClickHouse of this year: the engine that PyPI's chdb holds, behind ClickHouse's HTTP interface.

It is one server that knows nothing of replicas. Of the interface there is what our client uses: a
POST with the statement in ``query`` or in the body, what is inserted in the body, ``database`` and
settings in the address, and errors as ``Code: N. DB::Exception``.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import pytest

from services import sharing
from services.clickhouse import ClickHouse, Node, fresh
from services.daemons import need, scratch

INSERT = re.compile(r"\s*(insert\s+into\s.*?)\sformat\s+(\w+)\s*", re.IGNORECASE | re.DOTALL)
SETTING = re.compile(r"[a-z][a-z0-9_]*")
# Parameters of the interface, which are no settings; an answer is always whole here.
PARAMETERS = {"query", "wait_end_of_query", "user", "password", "session_id", "query_id"}


class Session(Protocol):
    """What is used of chdb's session."""

    def query(self, sql: str, fmt: str = ...) -> Any: ...
    def close(self) -> None: ...


class Engine:
    """The engine, which runs one statement at a time."""

    def __init__(self, directory: Path) -> None:
        chdb: Any = importlib.import_module("chdb.session")
        self._directory = directory
        self._session: Session = chdb.Session(str(directory / "data"))
        self._lock = threading.Lock()

    def run(self, statement: str, body: bytes, parameters: Mapping[str, str]) -> bytes:
        """Run a statement; return the answer.

        Args:
            statement: SQL.
            body: what is inserted.
            parameters: ``database``, and settings of the statement.

        Raises:
            RuntimeError: the engine's own words.

        """
        settings = {name: value for name, value in parameters.items() if name not in PARAMETERS}
        with self._lock, ExitStack() as stack:
            self._session.query(f"use {quoted(settings.pop('database', 'default'), '`')}")
            for name, value in settings.items():
                if not SETTING.fullmatch(name):
                    raise RuntimeError(f"Code: 115. DB::Exception: Unknown setting {name!r}")
                self._session.query(f"set {name} = {quoted(value)}")
                stack.callback(self._session.query, f"set {name} = default")
            return self._run(statement, body)

    def close(self) -> None:
        """End it."""
        self._session.close()

    def _run(self, statement: str, body: bytes) -> bytes:
        found = INSERT.fullmatch(statement)
        if found and body:
            # A statement is a text, and what is inserted need not be: it comes from a file.
            source = self._directory / "body"
            source.write_bytes(body)
            statement = f"{found[1]} from infile {quoted(str(source))} format {found[2]}"
        elif body:
            statement = f"{statement}\n{body.decode('utf-8')}"
        return bytes(self._session.query(statement, "TabSeparated").bytes())


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    engine: Engine

    def do_GET(self) -> None:
        self._answer(200, b"Ok.\n")

    def do_POST(self) -> None:
        parameters = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            self._answer(200, self.engine.run(parameters.get("query", ""), body, parameters))
        except RuntimeError as error:
            code = re.search(r"Code: (\d+)", str(error))
            self._answer(500, f"{error}\n".encode(), code[1] if code else "")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: bytes, code: str = "") -> None:
        self.send_response(status)
        if code:
            self.send_header("X-ClickHouse-Exception-Code", code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def quoted(text: str, mark: str = "'") -> str:
    """Return a text as it is written in SQL."""
    escaped = text.replace("\\", "\\\\").replace(mark, f"\\{mark}")
    return f"{mark}{escaped}{mark}"


def missing() -> str:
    """Return what is missing; the empty text where nothing is."""
    if importlib.util.find_spec("chdb") is None:
        return "chdb is not installed"
    return "" if shutil.which("setpriv") else "there is no setpriv (util-linux)"


@contextmanager
def shared() -> Iterator[Any]:
    """Run the server in threads of this process."""
    with scratch() as directory:
        engine = Engine(directory)
        handler = type("EngineHandler", (Handler,), {"engine": engine})
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield server.server_port
            server.shutdown()
            engine.close()


@pytest.fixture
def modern_clickhouse_database(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ClickHouse]:
    """An empty database of the test's own on one server of a ClickHouse of this year."""
    need(missing())
    port = sharing.join("modern_clickhouse", tmp_path_factory)
    with fresh({"a": Node("a", port, 0)}, cluster="") as database:
        yield database
