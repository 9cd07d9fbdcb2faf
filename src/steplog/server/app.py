"""The application: from a request to its answer, without a connection in sight.

`App.admit` decides from the head of a request whether its body is read at all; `App.answer` and
`App.answer_at_once` have the endpoint's handler answer it, and make every error a document that
MLflow's clients understand. A user's mistake is never a 500: clients try those again for minutes.

What is not here: bodies and threads (`steplog.server.asgi`), what endpoints do.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from steplog import settings
from steplog.backend import Backend
from steplog.exceptions import MlflowException, StoreError
from steplog.server import answers
from steplog.server.endpoint import Answer, Caller, Endpoint, Request, Service
from steplog.server.entrance import Entrance
from steplog.server.guard import Guard, Head, require_json
from steplog.server.routes import Route, Routes

AT_ONCE_BYTES = 64 << 10
"""A longer body takes too long to be parsed for everybody else to wait."""

_log = logging.getLogger("steplog.server")


class Admission(NamedTuple):
    """A request that was let in: only its body is missing."""

    head: Head
    endpoint: Endpoint
    caller: Caller
    params: Mapping[str, str]


class App:
    """Answers requests. Its methods may be called from any thread.

    Args:
        service: what handlers work on.
        backend: of the store that handlers write to.
        guard: lets requests in.
        endpoints: all there are.
        max_body_bytes: of one request.

    """

    def __init__(
        self,
        service: Service,
        backend: Backend,
        guard: Guard,
        endpoints: Iterable[Endpoint],
        max_body_bytes: int,
    ) -> None:
        self.max_body_bytes = max_body_bytes
        self._service = service
        self._recorder = backend.recorder
        self._writer = backend.recorder.writer
        self._far = backend.place.kind != "directory"
        self._guard = guard
        self._entrance = Entrance(guard)
        self._routes = Routes(endpoints)
        self._journal_waits = settings.get("STEPLOG_DURABILITY") == "power"  # for the disk

    def admit(self, head: Head) -> Admission | Answer:
        """Let a request in, or return what to answer without reading its body."""
        refusal = self._guard.refuse_page(head.headers)
        if refusal is not None:
            return refusal
        route = self._routes.find(head.method, head.path)
        if route.endpoint is not None and route.endpoint.page:
            other = self._entrance.look(head, route.endpoint)
            if other is not None:
                return other
        try:
            caller = self._guard.caller(route.endpoint, head.headers)
            if route.endpoint is None:
                return _nowhere(head, route)
            require_json(head)
        except MlflowException as error:
            return answers.failed(error)
        if int(head.headers.get(b"content-length", b"0")) > self.max_body_bytes:
            return self.too_large()
        return Admission(head, route.endpoint, caller, route.params)

    def answer_at_once(self, admission: Admission, body: bytes) -> Answer | None:
        """Answer a request where that takes no waiting; else None."""
        at_once = admission.endpoint.at_once
        if at_once is None or self._journal_waits or self._far or len(body) > AT_ONCE_BYTES:
            return None
        try:
            self._require_disk(admission.endpoint)
            answer = at_once(self._service, _request(admission, body))
            self._require_durable(admission.endpoint)
            return answer
        except Exception as error:
            return self._failed(admission, error)

    def answer(self, admission: Admission, body: bytes) -> Answer:
        """Answer a request; this may wait for the store."""
        try:
            self._require_disk(admission.endpoint)
            answer = admission.endpoint.handle(self._service, _request(admission, body))
            self._require_durable(admission.endpoint)
            if isinstance(answer.body, bytes):
                return answer
            return answer._replace(body=_begun(answer.body))
        except Exception as error:
            return self._failed(admission, error)

    def _failed(self, admission: Admission, error: Exception) -> Answer:
        if isinstance(error, StoreError):
            self._service.measures.store_failed()
        return _failed(admission, error)

    def too_large(self) -> Answer:
        """Return what a body is answered that is longer than allowed."""
        megabytes = self.max_body_bytes / (1 << 20)
        return answers.refused(
            f"The body of this request is larger than {megabytes:g} MiB. Send it in parts, or "
            "start the server with a larger --max-body-mb.",
            "INVALID_PARAMETER_VALUE",
            413,
        )

    # A training goes on when its disk is full: what it logs waits in memory. A client of ours does
    # not have to trust our memory: it can be told to try again, which is harmless. Nor has it to
    # trust this machine's disk where servers share a database: another one answers it next.

    def _require_disk(self, endpoint: Endpoint) -> None:
        if _journals(endpoint) and self._writer.held_bytes():
            raise self._not_durable()

    def _require_durable(self, endpoint: Endpoint) -> None:
        writer = self._writer
        if _journals(endpoint) and (writer.fault or writer.held_bytes()):
            raise self._not_durable()
        if self._far and _journals(endpoint) and not self._recorder.flush():
            raise StoreError(f"The server {self._writer.store_fault or 'is busy'}. Try again.")

    def _not_durable(self) -> StoreError:
        return StoreError(f"The server {self._writer.fault or 'waits for its disk'}. Try again.")


def _journals(endpoint: Endpoint) -> bool:
    return endpoint.role in ("write", "admin") and not endpoint.direct


def _request(admission: Admission, body: bytes) -> Request:
    head = admission.head
    return Request(admission.caller, admission.params, head.query, body, head.path, head.headers)


def _nowhere(head: Head, route: Route) -> Answer:
    if not route.methods:
        return answers.refused(f"There is nothing at {head.path}.", "ENDPOINT_NOT_FOUND")
    allowed = ", ".join(sorted(route.methods))
    answer = answers.refused(
        f"{head.path} takes {allowed}, not {head.method}.", "ENDPOINT_NOT_FOUND", 405
    )
    return answer._replace(headers=(("allow", allowed),))


def _failed(admission: Admission, error: Exception) -> Answer:
    """Return what an exception of a handler is to the client; log what is no mistake of theirs."""
    head, known = admission.head, isinstance(error, MlflowException)
    answer = (
        answers.failed(error)
        if isinstance(error, MlflowException)
        else answers.refused("The server failed; its log tells more.", "INTERNAL_ERROR")
    )
    if answer.status >= 500 and answer.status != 501:
        where = {"request_id": head.request_id, "method": head.method, "path": head.path}
        _log.error("%s", error, extra={"fields": where}, exc_info=None if known else error)
    return answer


def _begun(parts: Iterator[bytes]) -> bytes | Iterator[bytes]:
    """Take the first steps of an answer: what fails there can still be answered properly."""
    first, second = next(parts, b""), next(parts, None)
    if second is None:
        return first  # it was not long after all

    def all_parts() -> Iterator[bytes]:
        yield from (first, second)
        yield from parts

    return all_parts()
