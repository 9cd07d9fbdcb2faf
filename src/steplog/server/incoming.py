"""What comes in on one connection: bytes become requests, within limits.

The bytes are parsed by llhttp, through httptools, which also refuses what two programs could read
in two ways. A head is shown to the application as soon as it is there, so the body of a request
that is refused is never kept.

What is not here: sockets, clocks and answers (`steplog.server.connection`).
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import httptools

from steplog.server import answers
from steplog.server.app import Admission, App
from steplog.server.endpoint import Answer
from steplog.server.guard import Head

HEAD_BYTES = 32 << 10
WIRE_OVERHEAD = 8
"""A body that is sent in parts may take so many times its length on the wire, and no more."""

_SINGLE = frozenset({b"host", b"authorization", b"origin", b"content-type", b"expect"})
"""Headers that, sent twice, would mean one thing to us and another to whoever passed them on."""

_log = logging.getLogger("steplog.server")


class Work(NamedTuple):
    """A request to be answered, or one whose answer is known already.

    Attributes:
        verdict: what became of its head.
        head: None where not even that could be read.
        body: whole.
        last: the connection ends with the answer.
        unread: and the client may still be sending.
        chunked: a long answer may come in chunks: the client is not of the time before them.

    """

    verdict: Admission | Answer
    head: Head | None
    body: bytes = b""
    last: bool = False
    unread: bool = False
    chunked: bool = True


class Budget:
    """Memory for the bodies of all connections together.

    Attributes:
        free_bytes: how much there is, less what was taken.

    """

    def __init__(self, free_bytes: int) -> None:
        self.free_bytes = free_bytes

    def take(self, size: int) -> bool:
        """Take so many bytes; False where they were not there (they are taken all the same)."""
        self.free_bytes -= size
        return self.free_bytes >= 0

    def give(self, size: int) -> None:
        """Give so many bytes back."""
        self.free_bytes += size


class Incoming:
    """The requests that come in on one connection.

    Args:
        app: admits them.
        budget: their bodies take from it; who has answered a request gives its body back.

    Attributes:
        in_request: a request has begun, and some of it is missing.
        deaf: what comes now is not looked at any more: the last request is there.
        awaited: the client waits for a word before it sends the body; whoever says it clears this.

    """

    def __init__(self, app: App, budget: Budget) -> None:
        self._app = app
        self._budget = budget
        self._parser = httptools.HttpRequestParser(self)
        self._feeding = 0
        self._done: list[Work] = []
        self.in_request = False
        self.deaf = False
        self.awaited = False
        self._begin()

    def _begin(self) -> None:
        self._head: Head | None = None
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._verdict: Admission | Answer | None = None
        self._parts: list[bytes] = []
        self._body_bytes = 0
        self._head_bytes = 0
        # Counted from the chunk after this one, which may also hold the requests before.
        self._wire_bytes = -self._feeding

    def feed(self, data: bytes) -> list[Work]:
        """Take what has come; return the requests that are whole with it."""
        if self.deaf:
            return []
        self._feeding = len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.deaf = True  # we stay with HTTP/1.1: the request is answered, and is the last
        except httptools.HttpParserError as error:
            if not self.deaf:  # else it was refused in one of the methods that the parser called
                self._refuse(_malformed(error))
        else:
            self._wire_bytes += len(data)
            if self.in_request and not self.deaf:
                self._limit_wire()
        done, self._done = self._done, []
        return done

    def drop(self) -> None:
        """Give back what has come of a request that will not be whole any more."""
        self.deaf = True
        self.in_request = False
        self._budget.give(self._body_bytes)
        self._parts, self._body_bytes = [], 0

    # -- what the parser calls ------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        self._begin()
        self.in_request = True

    def on_url(self, part: bytes) -> None:
        """Some of the address."""
        self._url += part
        self._head_bytes += len(part)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header, or something of the kind after a body, which nobody needs."""
        if self._head is not None:
            return
        name = name.lower()
        if name in self._headers and name in _SINGLE:
            self._stop(answers.refused(f"There is more than one {name.decode()}.", "BAD_REQUEST"))
        self._headers[name] = value
        self._head_bytes += len(name) + len(value)

    def on_headers_complete(self) -> None:
        """Show the head to the application."""
        path, _, query = self._url.decode("latin-1").partition("?")
        method = self._parser.get_method().decode()
        self._head = head = Head(method, path, query, self._headers)
        if self._head_bytes > HEAD_BYTES:
            self._stop(_head_too_large())
        self._verdict = self._app.admit(head)
        if isinstance(self._verdict, Answer) and head.has_body():
            self._stop(self._verdict)
        self.awaited = self._headers.get(b"expect", b"").lower() == b"100-continue"

    def on_body(self, part: bytes) -> None:
        """Keep some of the body."""
        self._parts.append(part)
        self._body_bytes += len(part)
        enough = self._budget.take(len(part))
        if self._body_bytes > self._app.max_body_bytes:
            self._stop(self._app.too_large())
        if not enough:
            self._stop(answers.refused("Too much at once. Try again.", "TEMPORARILY_UNAVAILABLE"))

    def on_message_complete(self) -> None:
        """A request is whole."""
        assert self._verdict is not None
        chunked = self._parser.get_http_version() != "1.0"
        ends = self._parser.should_upgrade() or not self._parser.should_keep_alive()
        body = b"".join(self._parts)
        self._done.append(
            Work(self._verdict, self._head, body, ends or not chunked, False, chunked)
        )
        self.deaf = self._done[-1].last
        self.in_request = self.awaited = False
        self._parts, self._body_bytes = [], 0

    # -- what is too much -----------------------------------------------------------------------

    def _limit_wire(self) -> None:
        """Refuse what grows inside the parser, which tells of a header only when it is whole."""
        if self._head is None and self._wire_bytes > HEAD_BYTES:
            self._refuse(_head_too_large())
        elif self._wire_bytes > HEAD_BYTES + WIRE_OVERHEAD * self._app.max_body_bytes:
            self._refuse(self._app.too_large())

    def _stop(self, answer: Answer) -> None:
        """Refuse from within a method that the parser calls."""
        self._refuse(answer)
        raise _Stopped

    def _refuse(self, answer: Answer) -> None:
        self._done.append(Work(answer, self._head, last=True, unread=True))
        self.drop()


class _Stopped(Exception):
    """Makes the parser stop; it has been said why."""


def _head_too_large() -> Answer:
    return answers.refused(
        f"Address and headers are longer than {HEAD_BYTES >> 10} KiB.", "BAD_REQUEST", 431
    )


def _malformed(error: httptools.HttpParserError) -> Answer:
    if isinstance(error, httptools.HttpParserCallbackError):
        _log.error("A request could not be read", exc_info=error)
        return answers.refused("The server failed; its log tells more.", "INTERNAL_ERROR")
    return answers.refused(f"This is not HTTP: {error}.", "BAD_REQUEST")
