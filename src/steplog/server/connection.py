"""Connections: what uvicorn leaves without bounds.

Uvicorn reads a head of any size, a request as slowly as it comes, any number of requests that are
sent ahead, and waits for ever for who does not read; beyond its limit of connections it still
accepts them. `Connection` is its protocol with bounds for these, and with our own documents for
what it answers by itself. The server looks at every connection once a second: no request costs a
timer.

What is not here: how requests are answered (`steplog.server.asgi`).
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from contextlib import suppress
from typing import Any, NamedTuple

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from steplog.server import answers
from steplog.server.endpoint import Answer

IDLE_SECONDS = 75
"""How long a connection may wait for its next request."""
HEAD_BYTES = 32 << 10
WIRE_OVERHEAD = 8
"""A body that is sent in parts may take so many times its length on the wire, and no more."""
MOST_AHEAD = 100
"""So many requests may be sent before the first of them is answered."""

_CLOSE = (b"connection", b"close")
_AT_ONCE = struct.pack("ii", 1, 0)


class Limits(NamedTuple):
    """What clients may take.

    Attributes:
        request_seconds: until a request has arrived whole, or until a client has read on.
        connections: open at a time.
        body_bytes: of one request.

    """

    request_seconds: float
    connections: int
    body_bytes: int


class Connection(HttpToolsProtocol):
    """One connection. Uvicorn gives all arguments but the first."""

    def __init__(self, limits: Limits, **given: Any) -> None:
        super().__init__(**given)
        self.url = b""
        self._limits = limits
        self._arriving = False  # a request has begun, and some of it is missing
        self._deaf = False  # what comes now is not looked at any more
        self._unanswered: deque[RequestResponseCycle] = deque()
        self._since = self.loop.time()  # the client has been waited for
        self._head_bytes = 0
        self._wire_bytes = 0

    # -- what the event loop calls --------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Begin, unless there are too many."""
        super().connection_made(transport)
        # What is short is sent at once. uvloop sees to that, asyncio not for sockets like ours.
        with suppress(OSError):
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self.connections) > self._limits.connections:
            busy = "Too many connections. Try again."
            self._refuse(answers.refused(busy, "TEMPORARILY_UNAVAILABLE"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all requests, not only the last one, that nobody is there to be answered."""
        super().connection_lost(exc)
        for cycle in self._unanswered:
            cycle.disconnected = True
            cycle.message_event.set()

    def data_received(self, data: bytes) -> None:
        """Read on. The parser tells of a header only when it is whole, so its bytes count here."""
        if self._deaf:
            return
        self._wire_bytes += len(data)
        super().data_received(data)
        if self._arriving and self._wire_bytes > HEAD_BYTES:
            if "method" not in self.scope:  # the head is not whole
                self._refuse(_head_too_large())
            elif self._wire_bytes > HEAD_BYTES + WIRE_OVERHEAD * self._limits.body_bytes:
                self._refuse(answers.refused("This body has too much frame.", "BAD_REQUEST", 413))

    def pause_writing(self) -> None:
        """The client does not read."""
        super().pause_writing()
        self._since = self.loop.time()

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        self._since = self.loop.time()

    # -- what the parser calls ------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._arriving = True
        self._since = self.loop.time()
        self._head_bytes = self._wire_bytes = 0  # the rest of this piece of data does not count
        if len(self._unanswered) > MOST_AHEAD:
            raise ValueError("too many requests are sent ahead")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header, or something of the kind after a body."""
        self._head_bytes += len(name) + len(value)
        if self._head_bytes + len(self.url) > HEAD_BYTES:
            raise ValueError("the head is too large")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Have the request answered."""
        super().on_headers_complete()
        self._unanswered.append(self.cycle)

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._arriving = False
        self._since = self.loop.time()
        super().on_message_complete()
        if self.parser.should_upgrade():  # we stay with HTTP/1.1, but the parser reads no further
            self._deaf = True
            self.cycle.keep_alive = False

    # -- what uvicorn calls ---------------------------------------------------------------------

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, or was too much for a method above."""
        if self._head_bytes + len(self.url) > HEAD_BYTES:
            self._refuse(_head_too_large())
        else:
            self._refuse(answers.refused("This is not HTTP.", "BAD_REQUEST"))

    def on_response_complete(self) -> None:
        """The next request may come."""
        self._unanswered.popleft()
        super().on_response_complete()
        self._since = self.loop.time()

    # -- what the server calls ------------------------------------------------------------------

    def look(self) -> None:
        """End the connection where the client has been waited for for too long."""
        seconds = self._limits.request_seconds
        waited = self.loop.time() - self._since
        if waited <= seconds:
            return
        if self._deaf or self.flow.write_paused or self.transport.is_closing():
            self._cut()
        elif self._arriving and not self.flow.read_paused:
            late = f"The request did not arrive within {seconds:g} seconds."
            self._refuse(answers.refused(late, "DEADLINE_EXCEEDED", 408))
        elif not self._unanswered and (self.cycle is None or waited > IDLE_SECONDS):
            self.transport.close()

    def _refuse(self, answer: Answer) -> None:
        """Answer what cannot be a request, and end the connection.

        The client may still be sending. Closing at once would make its system throw the answer
        away unread; so it has some time to end the connection itself.
        """
        if self._deaf:
            return
        self._deaf = True
        self._since = self.loop.time()
        due = [each for each in self._unanswered if each.response_started or not each.more_body]
        if due:
            due[-1].keep_alive = False  # it is the last, instead of this one
            return
        assert isinstance(answer.body, bytes)
        headers = [*self.server_state.default_headers, *answers.headers(answer), _CLOSE]
        head = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[answer.status] + head + b"\r\n" + answer.body)
        self.transport.write_eof()
        for each in self._unanswered:  # nothing can be said to them any more
            each.disconnected = True
            each.message_event.set()

    def _cut(self) -> None:
        """End now, and have the system throw away what the client has not read."""
        connection = self.transport.get_extra_info("socket")
        with suppress(OSError):  # it may be closed already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.transport.abort()


def _head_too_large() -> Answer:
    return answers.refused(
        f"Address and headers are longer than {HEAD_BYTES >> 10} KiB.", "BAD_REQUEST", 431
    )
