"""Kept-alive HTTP connections to one server, for the stores that live there.

It says who calls, waits a bounded time, opens a connection again where the server had closed it,
and spares a server that has trouble (`steplog.stores.retrying`). What is sent and what an answer
means is the stores' own business; what never reached them, or came back as "not now", is a
`StoreError`.
"""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import os
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from steplog import settings
from steplog.exceptions import StoreError, invalid
from steplog.stores.retrying import Patience

CONNECT_SECONDS = 2.0
"""The longest wait for a connection. A training's first call may wait for this, so it is short."""

_LATER = frozenset({408, 425, 429, 502, 503, 504})
"""Statuses by which servers, and proxies before them, say: not now."""
_DENIED = frozenset({401, 403})
_LONGEST_MESSAGE = 1 << 16
_IDLE_CONNECTIONS = 4
"""Kept for the next request; more are open only while as many answers are being read."""


class OtherServer(StoreError):
    """What answers is no server of the kind that was expected."""


class Answer(NamedTuple):
    """What the server answered; the names of headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http:
    """Connections to one server, opened when they are needed. Its methods work from any thread,
    and in a forked child, which opens its own.

    Args:
        url: ``http://`` or ``https://``, host and port; perhaps a user and a password, and a path
            that stands before all others.
        timeout: the longest wait for an answer, in seconds.
        patience: when a server that had trouble is tried again.

    Attributes:
        name: the URL as it may be shown: without a password.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE where the URL names no server.

    Example:
        >>> connection = Http("http://127.0.0.1:5000", timeout=10.0)
        >>> connection.request("GET", "/health").body
        b'OK'

    """

    def __init__(self, url: str, timeout: float, patience: Patience | None = None) -> None:
        self._parts = _split(url)
        self._timeout = timeout
        self._patience = patience or Patience()
        self._trouble = ""
        self._reset()
        host = self._parts.netloc.rpartition("@")[2]
        self.name = f"{self._parts.scheme}://{host}{self._parts.path.rstrip('/')}"

    def _reset(self) -> None:
        # A forked child must not write to its parent's connections, nor wait for a lock that a
        # thread of the parent held.
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        once: bool = False,
    ) -> Answer:
        """Send one request and return what is answered, whatever its status, but for "not now".

        Args:
            method: in capitals.
            path: quoted, with the query; it follows the path of the URL.
            body: what is sent.
            headers: beside those that every request has.
            once: never send it twice, for doing so would do something twice. (Elsewhere a request
                is repeated when the server closed the idle connection at that very moment.)

        Raises:
            StoreError: the server cannot be reached, says that it cannot answer now, or had trouble
                a moment ago and is spared for some seconds.

        """
        asked = {"Accept-Encoding": "gzip", **(headers or {})}
        with self.open(method, path, body, asked, once=once) as reply:
            content = reply.read()
        if reply.headers.get("content-encoding") == "gzip":
            with self._translated():
                content = gzip.decompress(content)
        return Answer(reply.status, reply.headers, content)

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        once: bool = False,
    ) -> Iterator[Reply]:
        """Send one request and lend the answer, to be read as it arrives. See `request`."""
        if self._process != os.getpid():
            self._reset()
        pause = self._patience.remaining()
        if pause:
            raise StoreError(f"{self._trouble} It is tried again in {max(pause, 1.0):.0f} s.")
        with self._translated():
            connection, response = self._send(method, path, body, headers or {}, once)
        reply = Reply(self, response)
        try:
            self._judge(reply)
            yield reply
        finally:
            # Half an answer must not be read as the next one.
            if response.isclosed() and not response.will_close:
                self._keep(connection)
            else:
                connection.close()

    def close(self) -> None:
        """Give the connections back. A later request opens another."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def _judge(self, reply: Reply) -> None:
        """Note how the server is; raise what no caller of ours has to look at."""
        if reply.status >= 500 or reply.status in _LATER or reply.status in _DENIED:
            why = _message(reply) if reply.status in _LATER else "not now."
            trouble = self._failed(f"answers {reply.status}: {why}")
            if reply.status in _LATER:
                raise trouble
        else:
            self._patience.succeeded()
        if 300 <= reply.status < 400:
            target = reply.headers.get("location", "elsewhere")
            raise StoreError(f"The server {self.name} sends us to {target}: use that URL.")

    def _failed(self, what: str) -> StoreError:
        self._trouble = f"The server {self.name} {what}"
        self._patience.failed()
        return StoreError(self._trouble)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the errors of connections into steplog's. ValueError: of headers and host names."""
        try:
            yield
        except (OSError, EOFError, ValueError, zlib.error, http.client.HTTPException) as error:
            raise self._failed(f"cannot be reached: {_reason(error)}.") from error

    def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], once: bool
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        sent = {"User-Agent": "steplog", **headers}
        who = _authorization(self._parts)
        if who:
            sent["Authorization"] = who
        target = self._parts.path.rstrip("/") + path
        # A connection just made was not closed for being idle.
        connection = None if once else self._pick()
        if connection is not None:
            try:
                return connection, _exchange(connection, method, target, body, sent)
            except (ConnectionError, http.client.BadStatusLine):
                pass
        connection = self._connect()
        return connection, _exchange(connection, method, target, body, sent)

    def _pick(self) -> http.client.HTTPConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if len(self._idle) < _IDLE_CONNECTIONS:
                self._idle.append(connection)
                return
        connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        secure = self._parts.scheme == "https"
        cls = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        first = min(CONNECT_SECONDS, self._timeout)
        connection = cls(str(self._parts.hostname), self._parts.port, timeout=first)
        connection.connect()
        connection.timeout = self._timeout
        connection.sock.settimeout(self._timeout)
        return connection


class Reply:
    """What the server answers, as it arrives. `Http.open` lends one.

    Attributes:
        status: of HTTP.
        headers: by name, in small letters.

    """

    def __init__(self, connection: Http, response: http.client.HTTPResponse) -> None:
        self._connection = connection
        self._response = response
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}

    def read(self, size: int | None = None) -> bytes:
        """Return so many of the bytes that follow, or all; fewer where the answer ends.

        Raises:
            StoreError: the answer is cut off, or does not go on.

        """
        with self._connection._translated():
            return self._response.read(size)


def _message(reply: Reply) -> str:
    """Return what an answer says of why it is none, if it does so as servers of our kind do."""
    try:
        message = json.loads(reply.read(_LONGEST_MESSAGE))["message"]
    except (ValueError, LookupError, TypeError):
        message = None
    return message if message and isinstance(message, str) else "not now."


def _exchange(
    connection: http.client.HTTPConnection,
    method: str,
    target: str,
    body: bytes | None,
    headers: Mapping[str, str],
) -> http.client.HTTPResponse:
    try:
        connection.request(method, target, body, headers)
        return connection.getresponse()
    except BaseException:  # an interrupt: half an answer must not be read as the next one
        connection.close()
        raise


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # no number where a port is named, or half of an IPv6 address
        usable = None
    if not usable:
        raise invalid(f"There is no server at '{url.rpartition('@')[2]}'.")
    return parts


def _authorization(parts: SplitResult) -> str | None:
    """Return who calls: whom the URL names, else whom the settings name, else nobody."""
    if parts.username is not None:
        return _basic(unquote(parts.username), unquote(parts.password or ""))
    token = settings.get("MLFLOW_TRACKING_TOKEN")
    if token:
        return f"Bearer {token.strip()}"
    user, password = (
        settings.get("MLFLOW_TRACKING_USERNAME"),
        settings.get("MLFLOW_TRACKING_PASSWORD"),
    )
    return _basic(user, password) if user and password else None


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.rstrip(".")
