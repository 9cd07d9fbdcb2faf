"""The ASGI application: `App` behind uvicorn, which knows bytes and connections.

Whether a request is let in is decided from its head, before any of its body is read. It is then
answered in the event loop where that takes microseconds, else by a thread; no more is made of a
long answer than the client reads.

What is not here: how long uvicorn waits for whom (`steplog.server.connection`), what is answered
(`steplog.server.app`), processes and signals (`steplog.server.serving`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

from steplog.server import answers, logs
from steplog.server.app import Admission, App
from steplog.server.endpoint import Answer
from steplog.server.guard import Head, refuse_twice
from steplog.server.measuring import Measures

BODIES_AT_ONCE = 4
"""So many of the largest bodies may be in memory at a time, in parts or whole."""
THREADS = 16
"""They wait for the store more than they work."""
SECURITY = [
    ("x-content-type-options", "nosniff"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
]
"""Headers of every answer; uvicorn adds them, to its own ones as well."""

NOBODY_LEFT = 499
"""The status under which a request is counted whose client has gone before it was whole."""

_REQUEST_ID = re.compile(rb"[\w.:-]{1,64}", re.ASCII)
_BUSY = answers.refused("Too much at once. Try again.", "TEMPORARILY_UNAVAILABLE")

_access = logging.getLogger(logs.ACCESS)

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Asgi:
    """The application as uvicorn calls it, once for each request.

    Args:
        app: answers them.
        measures: counts them.

    """

    def __init__(self, app: App, measures: Measures) -> None:
        self._app = app
        self._measures = measures
        self._most_bytes = BODIES_AT_ONCE * app.max_body_bytes
        self._process = os.urandom(6).hex()
        self._numbers = count(1)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="steplog-answer")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        self._measures.in_flight += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self._measures.in_flight -= 1

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        headers = dict(scope["headers"])
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        head = Head(scope["method"], path, query, headers, self._request_id(headers))
        verdict: Admission | Answer | None = None
        if len(headers) != len(scope["headers"]):
            verdict = refuse_twice(name for name, _ in scope["headers"])
        verdict = verdict or self._app.admit(head)
        if isinstance(verdict, Answer):
            answer, more = verdict, True
        elif (handled := await self._handle(verdict, receive)) is not None:
            answer, more = handled
        else:  # nobody is there to be answered
            self._count(verdict, NOBODY_LEFT, began)
            return
        answer = answer._replace(headers=(*answer.headers, ("x-request-id", head.request_id)))
        if isinstance(answer.body, bytes):
            await _send(answer, answer.body, send, receive if more else None)
        else:
            await self._stream(answer, answer.body, receive, send, head.method == "HEAD")
        self._count(verdict, answer.status, began)
        if _access.isEnabledFor(logging.INFO):
            _access.info("", extra={"fields": _access_fields(head, answer, began)})

    def _request_id(self, headers: Mapping[bytes, bytes]) -> str:
        """Return the name of a request: the one that a proxy gave it, or one of our own."""
        given = headers.get(b"x-request-id", b"")
        if _REQUEST_ID.fullmatch(given):
            return given.decode()
        return f"{self._process}-{next(self._numbers):x}"

    def _count(self, verdict: Admission | Answer, status: int, began: float) -> None:
        method, path = "", ""
        if isinstance(verdict, Admission):
            method, path = verdict.endpoint.method, verdict.endpoint.path
        self._measures.answered(method, path, status, time.perf_counter() - began)

    async def _handle(self, admission: Admission, receive: Receive) -> tuple[Answer, bool] | None:
        """Return the answer to a request that was let in, and whether some of its body is unread.

        None where the client has gone before its body was whole.
        """
        parts: list[bytes] = []
        size, more = 0, True
        try:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                parts.append(message["body"])
                size += len(parts[-1])
                self._measures.body_bytes += len(parts[-1])
                more = message["more_body"]
                if size > self._app.max_body_bytes:
                    return self._app.too_large(), more
                if self._measures.body_bytes > self._most_bytes:
                    return _BUSY, more
            body = b"".join(parts)
            answer = self._app.answer_at_once(admission, body)
            return answer or await self._in_thread(self._app.answer, admission, body), False
        finally:
            self._measures.body_bytes -= size

    async def _stream(
        self, answer: Answer, parts: Iterator[bytes], receive: Receive, send: Send, empty: bool
    ) -> None:
        """Send an answer part by part, no faster than the client reads, while it is there."""
        gone = asyncio.ensure_future(receive())  # the body is whole, so this is what comes next
        try:
            await send(_start(answer))
            while not (empty or gone.done()):
                part = await self._in_thread(next, parts, None)
                if part is None:
                    break
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body"})
        finally:
            gone.cancel()
            if isinstance(parts, Generator):
                await self._in_thread(parts.close)

    def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


async def _send(answer: Answer, body: bytes, send: Send, unread: Receive | None) -> None:
    """Send a whole answer.

    Args:
        answer: its head.
        body: its body.
        send: of uvicorn.
        unread: reads what may still come of the request. It is read and thrown away before the
            answer counts as given: were the connection closed before that, the client's system
            would throw the answer away. Uvicorn cuts who sends for too long.

    """
    await send(_start(answer))
    if unread is not None:
        await send({"type": "http.response.body", "body": body, "more_body": True})
        while (await unread()).get("more_body"):
            pass
        body = b""
    await send({"type": "http.response.body", "body": body})


def _start(answer: Answer) -> Message:
    headers = answers.headers(answer)
    return {"type": "http.response.start", "status": answer.status, "headers": headers}


def _access_fields(head: Head, answer: Answer, began: float) -> dict[str, object]:
    return {
        "request_id": head.request_id,
        "method": head.method,
        "path": head.path,
        "status": answer.status,
        "milliseconds": round((time.perf_counter() - began) * 1e3, 3),
    }
