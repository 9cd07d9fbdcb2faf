"""What comes in on connections: the same requests however the bytes are cut, and no harm ever."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import API, Server, ask, serving

BODY_LIMIT = 1 << 20
JSON = b"Host: localhost\r\nContent-Type: application/json\r\n"
POST = b"POST %b/runs/set-tag HTTP/1.1\r\n" % API.encode() + JSON
CREATE = b"POST %b/experiments/create HTTP/1.1\r\n" % API.encode() + JSON
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
LAST = b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes bodies of 1 MiB."""
    with serving(tmp_path_factory.mktemp("requests") / "store", "--max-body-mb", "1") as started:
        yield started


def whole(body: bytes) -> bytes:
    return POST + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def chunked(body: bytes) -> bytes:
    parts = [body[start : start + 7] for start in range(0, len(body), 7)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])
    return POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks


BODIES = st.binary(max_size=1_000)
UPGRADE = HEALTH + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
GOOD = {
    HEALTH + b"\r\n": 200,
    b"GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n": 403,
    b"GET /nothing?a=b HTTP/1.1\r\nHost: localhost\r\n\r\n": 404,
    b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc": 405,
}
REQUESTS = st.one_of(
    st.sampled_from([*GOOD.items()]),
    BODIES.map(lambda body: (whole(body), 400)),
    BODIES.map(lambda body: (chunked(body), 400)),
)
CUTS = st.lists(st.integers(1, 400), max_size=20)
SLOW = settings(suppress_health_check=[*HealthCheck], max_examples=60, deadline=None)


def statuses(server: Server, stream: bytes, cuts: list[int]) -> list[int]:
    """Send a stream in pieces of these sizes, and then the rest; return what was answered."""
    with server.connect() as connection:
        for size in cuts:
            connection.sendall(stream[:size])
            stream = stream[size:]
        answers = ask(connection, stream)
    return [int(each[:3]) for each in answers.split(b"HTTP/1.1 ")[1:]]


@SLOW
@given(st.lists(REQUESTS, max_size=6), CUTS)
def test_how_bytes_are_cut_does_not_matter(
    server: Server, requests: list[tuple[bytes, int]], cuts: list[int]
) -> None:
    """A stream of requests is answered in its order, whatever pieces it comes in."""
    stream = b"".join(request for request, _ in requests)
    expected = [status for _, status in requests]
    assert statuses(server, stream + LAST, cuts) == [*expected, 200]


def test_an_offer_to_speak_something_else(server: Server) -> None:
    """Who offers another protocol is answered in HTTP/1.1, and the connection ends."""
    assert statuses(server, UPGRADE + LAST, []) == [200]


@SLOW
@given(st.lists(REQUESTS, max_size=4), st.binary(max_size=300), CUTS, st.data())
def test_nothing_is_too_strange(
    server: Server,
    requests: list[tuple[bytes, int]],
    more: bytes,
    cuts: list[int],
    data: st.DataObject,
) -> None:
    """Damaged streams are refused, the server goes on, and it has nothing to say about them."""
    stream = bytearray(b"".join(request for request, _ in requests) + more)
    for _ in range(data.draw(st.integers(0, 5))):
        if stream:
            at = data.draw(st.integers(0, len(stream) - 1))
            stream[at] = data.draw(st.integers(0, 255))
    with server.connect() as connection:
        for size in [*cuts, len(stream)]:
            try:
                connection.sendall(stream[:size])
            except OSError:  # it was strange enough for the server to have ended the connection
                break
            del stream[:size]
    assert server.request("GET", "/health").status == 200
    assert server.log() == [], server.log()[0]["traceback"]


def test_bodies_of_all_connections_share_their_memory(server: Server) -> None:
    """Of too many bodies at once one is refused, to be sent again; later all is well."""
    name = json.dumps({"name": "shared"}).encode()
    body = name + b" " * (BODY_LIMIT - len(name))
    head = CREATE + b"Content-Length: %d\r\n\r\n" % len(body)
    held: list[socket.socket] = []
    try:
        status = b""
        while not status:
            assert len(held) < 20, "nothing was refused"
            held.append(server.connect())
            held[-1].sendall(head + body[:-1])
            held[-1].settimeout(0.5)
            try:
                status = held[-1].recv(12)
            except TimeoutError:
                continue
        assert status == b"HTTP/1.1 503"
        assert len(held) == 5
    finally:
        for connection in held:
            connection.close()
    reply = server.request("POST", f"{API}/experiments/create", {"name": "after"})
    assert reply.status == 200


def test_requests_sent_far_ahead(server: Server) -> None:
    """Who sends thousands of requests ahead is answered some of them, and then cut."""
    with server.connect() as connection:
        answers = ask(connection, (HEALTH + b"\r\n") * 3_000)
    assert 0 < answers.count(b"HTTP/1.1 200 OK") < 3_000
    assert server.request("GET", "/health").status == 200
