"""Connections: requests are answered in their order, and nobody is waited for for ever.

A request is answered in the event loop where that takes microseconds, else by a thread. Meanwhile
nothing more is read from its connection, and nothing more is made of a long answer than the client
reads. `Traffic` looks once a second whose patience is at its end: for the rest of a request, for
the next one, for a client that does not read.

What is not here: how bytes become requests (`steplog.server.incoming`), what is answered
(`steplog.server.app`), processes and signals (`steplog.server.serving`).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar, cast

from steplog.server import answers, logs
from steplog.server.app import Admission, App
from steplog.server.endpoint import Answer
from steplog.server.incoming import Budget, Incoming, Work

IDLE_SECONDS = 75.0
"""How long a connection may wait for its next request."""
BODIES_AT_ONCE = 4
"""So many of the largest bodies may be in memory at a time, in parts or whole."""
THREADS = 16
"""They wait for the store more than they work."""

_SECURITY = (
    "x-content-type-options: nosniff\r\n"
    "cache-control: no-store\r\n"
    "content-security-policy: default-src 'none'; frame-ancestors 'none'\r\n"
    "cross-origin-resource-policy: same-origin\r\n"
    "referrer-policy: no-referrer\r\n"
)
_REASONS = {status.value: status.phrase for status in HTTPStatus}
_AT_ONCE = struct.pack("ii", 1, 0)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_log = logging.getLogger("steplog.server")
_access = logging.getLogger(logs.ACCESS)

T = TypeVar("T")


class Limits(NamedTuple):
    """What clients may take.

    Attributes:
        request_seconds: until a request has arrived whole, or until a client has read on.
        connections: open at a time.

    """

    request_seconds: float
    connections: int


class Traffic:
    """All connections of one process, and what they share. For the thread of the event loop.

    Args:
        app: answers their requests.
        limits: for their clients.

    Attributes:
        connections: those that are open.
        budget: memory for the bodies of their requests.
        date: of now, as a header.
        stopping: each connection ends with the answer that it is at.

    """

    def __init__(self, app: App, limits: Limits) -> None:
        self.app = app
        self.limits = limits
        self.connections: set[Connection] = set()
        self.budget = Budget(BODIES_AT_ONCE * app.max_body_bytes)
        self.date = ""
        self.stopping = False
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="steplog-answer")

    def connection(self) -> Connection:
        """Return what handles a new connection."""
        return Connection(self)

    def in_thread(self, function: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
        """Have a thread call a function that may wait."""
        return asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    async def look_after(self) -> None:
        """Once a second, end the connections whose time is over. Runs until it is cancelled."""
        while True:
            self.date = f"date: {formatdate(usegmt=True)}\r\n"
            now = time.monotonic()
            for connection in [each for each in self.connections if each.is_overdue(now)]:
                connection.give_up()
            await asyncio.sleep(1.0)

    async def stop(self, seconds: float) -> None:
        """Let what is under way come to its end, and end every connection.

        Args:
            seconds: after which it is cut short.

        """
        self.stopping = True
        deadline = time.monotonic() + seconds
        while self.connections and time.monotonic() < deadline:
            for connection in list(self.connections):
                connection.end_if_idle()
            await asyncio.sleep(0.02)
        for connection in list(self.connections):
            connection.abort()
        self._threads.shutdown(wait=False, cancel_futures=True)


class Connection(asyncio.Protocol):
    """One connection, as the event loop drives it. Use `Traffic.connection`."""

    _transport: asyncio.Transport

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._incoming = Incoming(traffic.app, traffic.budget)
        self._queue: deque[Work] = deque()
        self._answering: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._ending = False  # the last answer has been given
        self._half_closed = False  # the client has sent all it will
        self._idle_seconds = traffic.limits.request_seconds  # for the first request
        self._since = time.monotonic()  # the client has been waited for

    # -- what the event loop calls --------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self._traffic.connections.add(self)
        if len(self._traffic.connections) > self._traffic.limits.connections:
            answer = answers.refused("Too many connections. Try again.", "TEMPORARILY_UNAVAILABLE")
            self._take([Work(answer, None, last=True, unread=True)])

    def connection_lost(self, error: Exception | None) -> None:
        """Let go. A request that is being answered is still done: its sender may ask again."""
        self._traffic.connections.discard(self)
        self._incoming.drop()
        while self._queue:
            self._traffic.budget.give(len(self._queue.pop().body))
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        was_in_request = self._incoming.in_request
        works = self._incoming.feed(data)
        if works or (self._incoming.in_request and not was_in_request):
            self._since = time.monotonic()
        if self._incoming.awaited and not works and self._is_idle():
            self._incoming.awaited = False
            self._transport.write(_CONTINUE)
        self._take(works)

    def eof_received(self) -> bool:
        """The client sends no more. It gets what it has asked for."""
        self._half_closed = True
        self._incoming.drop()
        return not self._is_idle()

    def pause_writing(self) -> None:
        """The client does not read: make no more for it, and take no more from it."""
        self._writable.clear()
        self._since = time.monotonic()
        self._govern_reading()

    def resume_writing(self) -> None:
        """It does again."""
        self._writable.set()
        self._since = time.monotonic()
        self._take([])

    # -- what `Traffic` calls -------------------------------------------------------------------

    def is_overdue(self, now: float) -> bool:
        """Tell whether the client has been waited for for too long."""
        if self._writable.is_set() and not self._is_idle():
            return False  # it is us who are waited for
        is_idle = self._writable.is_set() and not self._incoming.in_request and not self._ending
        patience = self._idle_seconds if is_idle else self._traffic.limits.request_seconds
        return now - self._since > patience

    def give_up(self) -> None:
        """End what takes too long; who was just sending is told why."""
        if self._ending or not self._writable.is_set():
            self.abort()
        elif self._incoming.in_request:
            self._incoming.drop()
            seconds = self._traffic.limits.request_seconds
            answer = answers.refused(
                f"The request did not arrive within {seconds:g} seconds.", "DEADLINE_EXCEEDED", 408
            )
            self._take([Work(answer, None, last=True, unread=True)])
        else:
            self._transport.close()

    def end_if_idle(self) -> None:
        """End where nothing has been asked for."""
        if self._is_idle() and not self._incoming.in_request:
            self._transport.close()

    def abort(self) -> None:
        """End now, and have the system throw away what the client has not read."""
        connection = self._transport.get_extra_info("socket")
        with suppress(OSError):  # it may be closed already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self._transport.abort()

    def _is_idle(self) -> bool:
        return self._answering is None and not self._queue

    # -- answering ------------------------------------------------------------------------------

    def _take(self, works: list[Work]) -> None:
        """Answer requests, up to the first one that has to wait; then read on, or do not."""
        self._queue.extend(works)
        while self._queue and self._answering is None and self._writable.is_set():
            work = self._queue.popleft()
            began = time.perf_counter()
            if isinstance(work.verdict, Answer):
                self._write(work, work.verdict, began)
            elif answer := self._traffic.app.answer_at_once(work.verdict, work.body):
                self._write(work, answer, began)
            else:
                self._answering = asyncio.create_task(
                    self._answer(work, work.verdict, began), name="steplog-answer"
                )
        self._govern_reading()

    async def _answer(self, work: Work, admission: Admission, began: float) -> None:
        try:
            answer = await self._traffic.in_thread(self._traffic.app.answer, admission, work.body)
            if isinstance(answer.body, bytes):
                self._write(work, answer, began)
            else:
                await self._stream(work, answer, answer.body, began)
        except Exception as error:  # the head is sent: all that is left is to cut the answer short
            _log.error("An answer was cut short: %s", error, exc_info=error)
            self.abort()
        finally:
            self._answering = None
        self._take([])

    def _write(self, work: Work, answer: Answer, began: float) -> None:
        """Send a whole answer."""
        assert isinstance(answer.body, bytes)
        head = self._head(work, answer, f"content-length: {len(answer.body)}\r\n")
        self._send(head if _is_head(work) else head + answer.body)
        self._done(work, answer, began)

    async def _stream(
        self, work: Work, answer: Answer, parts: Iterator[bytes], began: float
    ) -> None:
        """Send an answer part by part, no faster than the client reads."""
        self._send(self._head(work, answer, "transfer-encoding: chunked\r\n" * work.chunked))
        try:
            while not self._transport.is_closing() and not _is_head(work):
                await self._writable.wait()
                part = await self._traffic.in_thread(next, parts, None)
                if part is None:
                    self._send(b"0\r\n\r\n" * work.chunked)
                    break
                if part:
                    self._send(b"%x\r\n%b\r\n" % (len(part), part) if work.chunked else part)
        finally:
            if isinstance(parts, Generator):
                await self._traffic.in_thread(parts.close)
        self._done(work, answer, began)

    def _send(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def _head(self, work: Work, answer: Answer, length: str) -> bytes:
        reason = _REASONS.get(answer.status, "")
        more = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
        end = "connection: close\r\n" * self._is_last(work)
        return (
            f"HTTP/1.1 {answer.status} {reason}\r\n{_SECURITY}{self._traffic.date}"
            f"content-type: {answer.content_type}\r\n{more}{end}{length}\r\n"
        ).encode("latin-1")

    def _done(self, work: Work, answer: Answer, began: float) -> None:
        self._traffic.budget.give(len(work.body))
        if _access.isEnabledFor(logging.INFO):
            _access.info("", extra={"fields": _access_fields(work, answer, began)})
        self._idle_seconds = IDLE_SECONDS
        self._since = time.monotonic()
        if self._is_last(work):
            self._end(work.unread)

    def _is_last(self, work: Work) -> bool:
        return work.last or self._traffic.stopping or (self._half_closed and not self._queue)

    def _end(self, unread: bool) -> None:
        """End the connection.

        Args:
            unread: the client may still be sending. Closing at once would make its system throw
                the answer away unread; so we listen on for a while.

        """
        self._ending = True
        self._incoming.drop()
        if unread and self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _govern_reading(self) -> None:
        if self._is_idle() and self._writable.is_set():
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()


def _is_head(work: Work) -> bool:
    return work.head is not None and work.head.method == "HEAD"


def _access_fields(work: Work, answer: Answer, began: float) -> dict[str, object]:
    return {
        "method": work.head.method if work.head else "",
        "path": work.head.path if work.head else "",
        "status": answer.status,
        "milliseconds": round((time.perf_counter() - began) * 1e3, 3),
    }
