"""One kept-alive HTTP connection to a server, for the stores that live there.

It says who calls, waits a bounded time, opens the connection again where the server had closed it,
and spares a server that has trouble (`steplog.stores.retrying`). What is sent and what an answer
means is the stores' own business; what never reached them, or came back as "not now", is a
`StoreError`.
"""

from __future__ import annotations

import base64
import gzip
import http.client
import threading
import zlib
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from steplog import settings
from steplog.exceptions import StoreError, invalid
from steplog.stores.retrying import Patience

CONNECT_SECONDS = 2.0
"""The longest wait for a connection. A training's first call may wait for this, so it is short."""

_LATER = frozenset({408, 425, 429, 502, 503, 504})
"""Statuses by which servers, and proxies before them, say: not now."""


class Answer(NamedTuple):
    """What the server answered; the names of headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http:
    """A connection to one server, opened when it is needed. Its methods work from any thread.

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
        self._lock = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None
        self._trouble = ""
        host = self._parts.netloc.rpartition("@")[2]
        self.name = f"{self._parts.scheme}://{host}{self._parts.path.rstrip('/')}"

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
        with self._lock:
            pause = self._patience.remaining()
            if pause:
                raise StoreError(f"{self._trouble} It is tried again in {pause:.0f} s.")
            try:
                answer = self._send(method, path, body, headers or {}, once)
            except (OSError, EOFError, zlib.error, http.client.HTTPException) as error:
                self._drop()
                raise self._failed(f"cannot be reached: {_reason(error)}.") from error
            except BaseException:  # an interrupt: half an answer must not be read as the next one
                self._drop()
                raise
            if answer.status >= 500 or answer.status in _LATER:
                trouble = self._failed(f"answers {answer.status}: not now.")
                if answer.status in _LATER:
                    raise trouble
            else:
                self._patience.succeeded()
        if 300 <= answer.status < 400:
            target = answer.headers.get("location", "elsewhere")
            raise StoreError(f"The server {self.name} sends us to {target}: use that URL.")
        return answer

    def close(self) -> None:
        """Give the connection back. A later request opens another."""
        with self._lock:
            self._drop()

    def _failed(self, what: str) -> StoreError:
        self._trouble = f"The server {self.name} {what}"
        self._patience.failed()
        return StoreError(self._trouble)

    def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], once: bool
    ) -> Answer:
        if once:
            self._drop()  # a connection just made was not closed for being idle
        if self._connection is not None:
            try:
                return self._exchange(self._connection, method, path, body, headers)
            except (ConnectionError, http.client.BadStatusLine):
                self._drop()
        self._connection = self._connect()
        return self._exchange(self._connection, method, path, body, headers)

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> Answer:
        sent = {"Accept-Encoding": "gzip", "User-Agent": "steplog", **headers}
        who = _authorization(self._parts)
        if who:
            sent["Authorization"] = who
        connection.request(method, self._parts.path.rstrip("/") + path, body, sent)
        with connection.getresponse() as response:
            content = response.read()
            received = {name.lower(): value for name, value in response.getheaders()}
            if response.will_close:
                self._drop()
        if received.get("content-encoding") == "gzip":
            content = gzip.decompress(content)
        return Answer(response.status, received, content)

    def _connect(self) -> http.client.HTTPConnection:
        secure = self._parts.scheme == "https"
        cls = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        first = min(CONNECT_SECONDS, self._timeout)
        connection = cls(str(self._parts.hostname), self._parts.port, timeout=first)
        connection.connect()
        connection.timeout = self._timeout
        connection.sock.settimeout(self._timeout)
        return connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


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
