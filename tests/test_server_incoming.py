"""Bytes become requests: the same ones however the bytes are cut, and never an exception."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steplog.backend import backend
from steplog.client import Client
from steplog.server import about
from steplog.server.app import Admission, App
from steplog.server.endpoint import Service
from steplog.server.endpoints import ENDPOINTS
from steplog.server.guard import Guard
from steplog.server.incoming import Budget, Incoming, Work
from steplog.server.tokens import Tokens

BODY_LIMIT = 1_000
BUDGET = 4 * BODY_LIMIT
JSON = b"Host: localhost\r\nContent-Type: application/json\r\n"
POST = b"POST /api/2.0/mlflow/runs/set-tag HTTP/1.1\r\n" + JSON


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The application, of a store without tokens."""
    store = str(tmp_path_factory.mktemp("incoming"))
    service = Service(Client(store), "", "3.17.2")
    guard = Guard(Tokens(store, demanded=False), "127.0.0.1")
    writer = backend(store).recorder.writer
    yield App(service, writer, guard, about.endpoints("", ENDPOINTS), BODY_LIMIT)


def whole(body: bytes) -> bytes:
    return POST + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def chunked(body: bytes) -> bytes:
    parts = [body[start : start + 7] for start in range(0, len(body), 7)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])
    return POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks


BODIES = st.binary(max_size=BODY_LIMIT + 10)
REQUESTS = st.one_of(
    BODIES.map(whole),
    BODIES.map(chunked),
    st.sampled_from([
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET /nothing?a=b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc",
        b"what is this\r\n\r\n",
    ]),
)  # fmt: skip
CUTS = st.lists(st.integers(1, 400), max_size=20)


def feed(app: App, stream: bytes, cuts: list[int]) -> tuple[list[Work], Incoming]:
    """Feed a stream in pieces of these sizes, and then the rest."""
    incoming = Incoming(app, Budget(1 << 30))
    works = []
    for size in cuts:
        works += incoming.feed(stream[:size])
        stream = stream[size:]
    return works + incoming.feed(stream), incoming


def shown(work: Work) -> tuple[object, ...]:
    """What matters of a piece of work."""
    verdict = work.verdict
    answer = verdict.endpoint.path if isinstance(verdict, Admission) else verdict.status
    return answer, work.head, work.body, work.last, work.unread, work.chunked


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(REQUESTS, min_size=1, max_size=6), CUTS)
def test_how_bytes_are_cut_does_not_matter(
    app: App, requests: list[bytes], cuts: list[int]
) -> None:
    """A stream of requests is the same work, whatever pieces it comes in."""
    stream = b"".join(requests)
    at_once, _ = feed(app, stream, [])
    in_pieces, _ = feed(app, stream, cuts)
    assert [*map(shown, in_pieces)] == [*map(shown, at_once)]
    assert all(not work.last for work in at_once[:-1])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(REQUESTS | st.binary(max_size=300), max_size=4), CUTS, st.data())
def test_nothing_is_too_strange(
    app: App, requests: list[bytes], cuts: list[int], data: st.DataObject
) -> None:
    """Damaged streams are refused, never raised about, and their bodies do not stay in memory."""
    stream = bytearray(b"".join(requests))
    for _ in range(data.draw(st.integers(0, 5))):
        if stream:
            at = data.draw(st.integers(0, len(stream) - 1))
            stream[at] = data.draw(st.integers(0, 255))
    budget = Budget(1 << 30)
    incoming = Incoming(app, budget)
    works = []
    for size in [*cuts, len(stream)]:
        works += incoming.feed(bytes(stream[:size]))
        del stream[:size]
    incoming.drop()
    for work in works:
        assert isinstance(work.verdict, Admission) or work.verdict.status < 500
        budget.give(len(work.body))
    assert budget.free_bytes == 1 << 30


def test_bodies_of_all_connections_share_one_budget(app: App) -> None:
    """Where many bodies come at once the one that is too much is refused, until others are done."""
    budget = Budget(BODY_LIMIT)
    first, second, third = (Incoming(app, budget) for _ in range(3))
    body = b"{" + b" " * (BODY_LIMIT - 2) + b"}"
    [taken] = first.feed(whole(body))
    [refused] = second.feed(whole(body))
    assert shown(taken)[0] == "/mlflow/runs/set-tag"
    assert (shown(refused)[0], refused.last) == (503, True)
    budget.give(len(taken.body))
    [again] = third.feed(whole(body))
    assert isinstance(again.verdict, Admission)


def test_who_waits_for_a_word_gets_it(app: App) -> None:
    """A client that asks before it sends its body is awaited where it is let in, and only there."""
    incoming = Incoming(app, Budget(BUDGET))
    assert incoming.feed(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n") == []
    assert incoming.awaited
    [work] = incoming.feed(b"{}")
    assert (work.body, incoming.awaited) == (b"{}", False)
    large = b"Content-Length: 9999\r\nExpect: 100-continue\r\n\r\n"
    [refused] = incoming.feed(POST + large)
    assert shown(refused)[0] == 413
    assert not incoming.awaited
