"""Servers as processes: limits, clients that are slow or vanish, stops, kills, several workers."""

from __future__ import annotations

import http.client
import json
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from serving import API, SECONDS, Server, ask, serving

import steplog
from steplog.cli import main

HOST = b"Host: localhost\r\n"
JSON = HOST + b"Content-Type: application/json\r\n"
LOG_METRIC = f"{API}/runs/log-metric"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with small limits."""
    limits = ["--max-body-mb", "0.25", "--request-seconds", "1"]
    with serving(tmp_path_factory.mktemp("server") / "store", *limits) as started:
        yield started


def new_run(server: Server) -> str:
    return str(server.post("/runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"])


def point(run_id: str, step: int, key: str = "loss") -> dict[str, Any]:
    return {
        "run_id": run_id,
        "key": key,
        "value": step / 7,
        "timestamp": 1_000 + step,
        "step": step,
    }


def history(server: Server, run_id: str, key: str = "loss") -> list[int]:
    """Return the steps of a metric."""
    path = f"{API}/metrics/get-history?run_id={run_id}&metric_key={key}"
    return [each["step"] for each in server.request("GET", path).json().get("metrics", [])]


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def code_of(answer: bytes) -> str:
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["error_code"])


# HTTP ---------------------------------------------------------------------------------------------


def test_where_it_listens_is_said(server: Server) -> None:
    """The first line names the store and the URL; /health and /version answer there."""
    assert server.request("GET", "/health").body == b"OK"
    assert server.request("GET", "/version").body == b"3.17.2"
    page = server.request("GET", "/?plain")
    assert page.headers["content-type"] == "text/html; charset=utf-8"


def test_a_port_that_is_taken(server: Server) -> None:
    """Where the port is taken the server says so, and does not start."""
    arguments = ["server", "--port", str(server.port), "--store", "elsewhere"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert str(server.port) in result.stderr


def test_what_is_not_there(server: Server) -> None:
    """Unknown addresses are 404 and wrong methods 405, as documents that clients understand."""
    reply = server.request("POST", "/api/2.0/mlflow/registered-models/create", {})
    assert (reply.status, reply.error_code()) == (404, "ENDPOINT_NOT_FOUND")
    reply = server.request("PATCH", f"{API}/runs/create", {})
    assert (reply.status, reply.error_code()) == (405, "ENDPOINT_NOT_FOUND")
    assert reply.headers["allow"] == "POST"


def test_head(server: Server) -> None:
    """HEAD is answered as GET is, without the body."""
    reply = server.request("HEAD", "/health")
    assert (reply.status, reply.headers["content-length"], reply.body) == (200, "2", b"")


def test_requests_sent_ahead_are_answered_in_order(server: Server) -> None:
    """Requests sent without waiting for answers are answered in order, quick ones after slow."""
    run_id = new_run(server)
    body = json.dumps(point(run_id, 1)).encode()
    log = b"POST %b HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (
        LOG_METRIC.encode(), JSON, len(body), body,
    )  # fmt: skip
    get = b"GET %b/runs/get?run_id=%b HTTP/1.1\r\n%b\r\n" % (API.encode(), run_id.encode(), HOST)
    last = b"GET /nothing HTTP/1.1\r\n%bConnection: close\r\n\r\n" % HOST
    with server.connect() as connection:
        answers = ask(connection, (log + get) * 20 + last)
    assert [int(each[:3]) for each in answers.split(b"HTTP/1.1 ")[1:]] == [200] * 40 + [404]
    assert answers.count(run_id.encode()) >= 20
    assert history(server, run_id) == [1]


def test_who_waits_for_a_word_gets_it(server: Server) -> None:
    """A client that asks whether to send its body is told to, where the request is let in."""
    run_id = new_run(server)
    body = json.dumps(point(run_id, 1)).encode()
    head = b"POST %b HTTP/1.1\r\n%bExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    with server.connect() as connection:
        connection.sendall(head % (LOG_METRIC.encode(), JSON, len(body)))
        assert connection.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert status_of(connection.recv(1 << 16)) == 200
    with server.connect() as connection:
        connection.sendall(head % (b"/nothing", JSON, len(body)))
        assert status_of(connection.recv(1 << 16)) == 404


def test_http_of_the_time_before_chunks(server: Server) -> None:
    """HTTP/1.0 is answered without chunks, and the connection ends."""
    with server.connect() as connection:
        answer = ask(connection, b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert status_of(answer) == 200
    assert b"transfer-encoding" not in answer
    assert answer.endswith(b"\r\n\r\nOK")


@pytest.mark.parametrize(
    "request_",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n" + HOST + b"\r\n",
        b"GET /\xff\x00 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"A: b\x00c\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + JSON + b"Content-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + JSON + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\n" + JSON + b"Content-Length: 99999999999999999999999\r\n\r\n",
        b"POST /openapi.json HTTP/1.1\r\n" + JSON
        + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Authorization: a\r\nAuthorization: b\r\n\r\n",
        os.urandom(4096).replace(b"\r", b"x").replace(b"\n", b"x"),
    ],
)  # fmt: skip
def test_what_is_not_http(server: Server, request_: bytes) -> None:
    """What is not HTTP, or could be read in two ways, is refused, and the connection ends."""
    with server.connect() as connection:
        answer = ask(connection, request_)
    assert status_of(answer) == 400
    assert code_of(answer) == "BAD_REQUEST"
    assert server.request("GET", "/health").status == 200


# Limits -------------------------------------------------------------------------------------------

LIMIT = 256 << 10


def padded(run_id: str, size: int) -> bytes:
    """A good request of this size."""
    body = json.dumps(point(run_id, 1)).encode()
    return body[:-1] + b" " * (size - len(body)) + b"}"


def in_chunks(body: bytes, size: int) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])


def test_the_largest_body(server: Server) -> None:
    """A body of just the limit is taken, whole or in chunks, and one byte more is not."""
    run_id = new_run(server)
    head = b"POST %b HTTP/1.1\r\n%bConnection: close\r\n" % (LOG_METRIC.encode(), JSON)
    for size, status in [(LIMIT, 200), (LIMIT + 1, 413)]:
        body = padded(run_id, size)
        for sent in [
            b"Content-Length: %d\r\n\r\n%b" % (size, body),
            b"Transfer-Encoding: chunked\r\n\r\n" + in_chunks(body, 10_000),
        ]:
            with server.connect() as connection:
                answer = ask(connection, head + sent)
            assert status_of(answer) == status
            assert status == 200 or code_of(answer) == "INVALID_PARAMETER_VALUE"
    assert history(server, run_id) == [1]


def test_a_body_that_is_too_large_is_not_waited_for(server: Server) -> None:
    """A body whose announced length is too large is refused before any of it is sent."""
    with server.connect() as connection:
        connection.sendall(
            b"POST %b HTTP/1.1\r\n%bContent-Length: 107374182400\r\n\r\n"
            % (LOG_METRIC.encode(), JSON)
        )
        assert status_of(connection.recv(1 << 16)) == 413


def test_a_hundred_megabytes(server: Server) -> None:
    """A client that sends 100 MB without listening gets to read why they were not taken."""
    reply = server.request(
        "POST", LOG_METRIC, bytes(100 << 20), headers={"Content-Type": "application/json"}
    )
    assert reply.status == 413


def test_chunks_that_are_mostly_frame(server: Server) -> None:
    """A body that is sent byte by byte may not take any number of bytes on the wire."""
    body = in_chunks(b" " * LIMIT, 1)
    extended = body.replace(b"1\r\n", b"1;" + b"x" * 40 + b"\r\n")
    head = b"POST %b HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n" % (LOG_METRIC.encode(), JSON)
    with server.connect() as connection:
        assert status_of(ask(connection, head + extended)) == 413


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"b" * 400_000,
        b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"A%d: b\r\n" % i for i in range(50_000)),
    ],
    ids=["address", "value", "number"],
)  # fmt: skip
def test_a_head_that_is_too_large(server: Server, head: bytes) -> None:
    """Address and headers have a limit together, also where one of them never ends."""
    with server.connect() as connection:
        answer = ask(connection, head)
    assert status_of(answer) == 431
    assert code_of(answer) == "BAD_REQUEST"


@pytest.mark.slow
@pytest.mark.parametrize(
    "start",
    [
        b"GET / HTTP/1.1\r\n" + HOST,
        b"POST %b HTTP/1.1\r\n%bContent-Length: 1000\r\n\r\n{" % (LOG_METRIC.encode(), JSON),
    ],
    ids=["head", "body"],
)
def test_a_slow_request_is_cut(server: Server, start: bytes) -> None:
    """A request that comes byte by byte is cut when its time is over, however steady it comes."""
    with server.connect() as connection:
        connection.sendall(start)
        connection.settimeout(0.1)
        answer = b""
        while not answer:
            try:
                answer = connection.recv(1 << 16)
            except TimeoutError:
                connection.sendall(b"a")
        assert status_of(answer) == 408
        assert code_of(answer) == "DEADLINE_EXCEEDED"


@pytest.mark.slow
def test_a_client_that_does_not_read_is_cut(server: Server) -> None:
    """A client that asks and does not read the answers is let go, and keeps nobody waiting."""
    run_id = new_run(server)
    for start in range(0, 20_000, 1_000):
        points = [point(run_id, step) for step in range(start, start + 1_000)]
        server.post("/runs/log-batch", {"run_id": run_id, "metrics": points})
    path = f"{API}/metrics/get-history?run_id={run_id}&metric_key=loss".encode()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(SECONDS)
        connection.connect((server.host, server.port))
        connection.sendall((b"GET %b HTTP/1.1\r\n%b\r\n" % (path, HOST)) * 20)
        wait_until(lambda: is_cut(connection))
    assert history(server, run_id) == list(range(20_000))


def is_cut(connection: socket.socket) -> bool:
    """Tell whether the other side has ended the connection; nothing is read of it."""
    state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state in (7, 8)  # closed, or waiting for us to close


def test_connections_that_vanish(server: Server) -> None:
    """Connections that end in the middle of a request do nothing, and harm nobody."""
    run_id = new_run(server)
    body = json.dumps(point(run_id, 1)).encode()
    head = b"POST %b HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n" % (
        LOG_METRIC.encode(),
        JSON,
        len(body),
    )
    for length in range(0, len(head) + len(body), 7):
        with server.connect() as connection:
            connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
            )
            connection.sendall((head + body)[:length])
    assert history(server, run_id) == []


@pytest.mark.slow
def test_too_many_connections(tmp_path: Path) -> None:
    """Beyond its limit of connections the server says that it is busy, and recovers."""
    files = ["sh", "-c", 'ulimit -n 120; exec "$@"', "sh"]
    with serving(tmp_path / "store", command=files) as server:
        connections = [server.connect() for _ in range(80)]
        answers = []
        for connection in connections:
            connection.sendall(b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n")
            answers.append(status_of(connection.recv(1 << 16)))
        assert set(answers) == {200, 503}
        for connection in connections:
            connection.close()
        wait_until(lambda: server.request("GET", "/health").status == 200)


def wait_until(happened: Any) -> None:
    """Look until something outside of this process has happened."""
    deadline = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < deadline, "it has not happened"
        time.sleep(0.02)


# The end ------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_lets_requests_finish(tmp_path: Path, number: signal.Signals) -> None:
    """Told to end, the server answers what has begun, ends what is idle, and leaves no journal."""
    store = tmp_path / "store"
    with serving(store) as server, server.connect() as idle, server.connect() as connection:
        run_id = new_run(server)
        body = json.dumps(point(run_id, 1)).encode()
        head = b"POST %b HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n"
        connection.sendall(head % (LOG_METRIC.encode(), JSON, len(body)) + body[:10])
        ask_health = b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n"
        idle.sendall(ask_health)
        answer = b""
        while not answer.endswith(b"\r\n\r\nOK"):
            answer += idle.recv(1 << 16)
        server.process.send_signal(number)
        assert idle.recv(1) == b""
        answer = ask(connection, body[10:])
        assert status_of(answer) == 200
        assert server.process.wait(SECONDS) == 0
        with pytest.raises(ConnectionRefusedError):
            server.connect()
    assert not list((store / "journal").iterdir())
    client = steplog.Client(str(store))
    assert [each.step for each in client.get_metric_history(run_id, "loss")] == [1]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_kill_loses_nothing_that_was_answered(tmp_path: Path, workers: int) -> None:
    """After kill -9 in the middle of requests all that was answered 200 is there, once each."""
    store = tmp_path / "store"
    with serving(store, "--workers", str(workers)) as server:
        run_id = new_run(server)
        answered: list[int] = []
        enough = threading.Event()

        def log(first: int) -> None:
            for step in range(first, 1 << 40, 4):
                try:
                    reply = server.request("POST", LOG_METRIC, point(run_id, step))
                except (OSError, ValueError, http.client.HTTPException):
                    return  # killed
                assert reply.status == 200
                answered.append(step)
                if len(answered) > 300:
                    enough.set()

        with ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(log, first) for first in range(4)]
            assert enough.wait(SECONDS)
            for pid in [*children(server.process.pid), server.process.pid]:
                os.kill(pid, signal.SIGKILL)
            for job in jobs:
                job.result()
    with serving(store) as again:
        steps = history(again, run_id)
        assert len(steps) == len(set(steps))
        assert set(answered) <= set(steps)
        assert len(steps) - len(answered) <= 4  # those that were just under way


def children(pid: int) -> list[int]:
    """Return the workers of a server."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [
        int(child)
        for child in path.read_text().split()
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


# Several workers ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with three workers."""
    store = tmp_path_factory.mktemp("workers") / "store"
    with serving(store, "--workers", "3", "--access-log") as started:
        yield started


def spread(server: Server, path: str, body: object) -> list[int]:
    """Send a request until every worker has answered it; return the statuses."""
    seen: set[int] = set()
    statuses = []
    while len(seen) < 3:
        with ThreadPoolExecutor(8) as pool:
            jobs = [pool.submit(server.request, "POST", API + path, body) for _ in range(8)]
            statuses += [job.result().status for job in jobs]
        seen |= {line["pid"] for line in server.log() if line.get("path") == API + path}
    return statuses


@pytest.mark.slow
def test_all_workers_see_the_same(workers: Server) -> None:
    """What one worker has taken all others answer at once, whoever is asked."""
    run_id = new_run(workers)
    for step in range(30):
        workers.post("/runs/log-metric", point(run_id, step))
        assert history(workers, run_id) == list(range(step + 1))


@pytest.mark.slow
def test_all_workers_refuse_what_one_has_deleted(workers: Server) -> None:
    """A run that was deleted through one worker is soon refused by all of them."""
    run_id = new_run(workers)
    assert set(spread(workers, "/runs/log-metric", point(run_id, 1))) == {200}
    workers.post("/runs/delete", {"run_id": run_id})
    wait_until(lambda: set(spread(workers, "/runs/log-metric", point(run_id, 2))) == {400})


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced(workers: Server) -> None:
    """Where one worker is killed the others go on, another one comes, and nothing is lost."""
    run_id = new_run(workers)
    workers.post("/runs/log-metric", point(run_id, 1))
    before = children(workers.process.pid)
    os.kill(before[0], signal.SIGKILL)
    wait_until(lambda: len(set(children(workers.process.pid)) - {before[0]}) == 3)
    assert set(spread(workers, "/runs/log-metric", point(run_id, 2))) == {200}
    assert history(workers, run_id) == [1, 2]
    assert any("killed by signal 9" in line["message"] for line in workers.log())


@pytest.mark.slow
def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    """Workers whose supervisor was killed end by themselves, and leave no journal."""
    store = tmp_path / "store"
    with serving(store, "--workers", "2") as server:
        new_run(server)
        pids = children(server.process.pid)
        assert len(pids) == 2
        server.process.kill()
        wait_until(lambda: not [pid for pid in pids if Path(f"/proc/{pid}/exe").exists()])
        assert not list((store / "journal").iterdir())


# Faults -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_disk_that_takes_no_more(tmp_path: Path) -> None:
    """What cannot be made durable is answered 503, and is taken when the disk has room again."""
    with serving(tmp_path / "store") as server:
        run_id = new_run(server)
        pid, unlimited = server.process.pid, resource.RLIM_INFINITY
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1 << 20, unlimited))
        batch = {"run_id": run_id}
        step, status = 0, 200
        while status == 200:  # the journal has room for some
            metrics = [point(run_id, each) for each in range(step, step + 1_000)]
            reply = server.request("POST", f"{API}/runs/log-batch", {**batch, "metrics": metrics})
            step, status = step + 1_000, reply.status
        assert (status, reply.error_code()) == (503, "TEMPORARILY_UNAVAILABLE")
        assert reply.headers["retry-after"] == "1"
        assert server.request("POST", LOG_METRIC, point(run_id, 0, "other")).status == 503
        assert server.request("GET", "/health").status == 200
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
        wait_until(
            lambda: server.request("POST", LOG_METRIC, point(run_id, 0, "other")).status == 200
        )
        server.post("/runs/log-batch", {**batch, "metrics": metrics})  # again; some may be there
        assert history(server, run_id) == list(range(step))


def test_a_run_that_cannot_be_looked_up(tmp_path: Path) -> None:
    """A run that the store cannot be asked about is not taken on trust: it is tried again later."""
    with serving(tmp_path / "store") as server:
        run_id = new_run(server)
        with closing(sqlite3.connect(server.store / "catalog.db", isolation_level=None)) as catalog:
            catalog.execute("ALTER TABLE tail RENAME TO elsewhere")
            server.post("/runs/log-metric", point(run_id, 1))  # what the store would have to take
            reply = server.request("POST", LOG_METRIC, point("a" * 32, 1))
            assert (reply.status, reply.error_code()) == (503, "TEMPORARILY_UNAVAILABLE")
            catalog.execute("ALTER TABLE elsewhere RENAME TO tail")
        reply = server.request("POST", LOG_METRIC, point("a" * 32, 1))
        assert (reply.status, reply.error_code()) == (404, "RESOURCE_DOES_NOT_EXIST")
        assert history(server, run_id) == [1]


@pytest.mark.long
@pytest.mark.slow
def test_a_catalog_that_another_program_has_locked(tmp_path: Path) -> None:
    """While the catalog is locked, logging goes on, and all who read are soon told to try again."""
    with serving(tmp_path / "store") as server:
        run_id = new_run(server)
        catalog = sqlite3.connect(server.store / "catalog.db", isolation_level=None)
        with closing(catalog), ThreadPoolExecutor(12) as pool:
            catalog.execute("BEGIN IMMEDIATE")
            server.post("/runs/log-metric", point(run_id, 1))  # what the store would have to take
            path = f"{API}/runs/get?run_id={run_id}"
            # One after the other they would wait for longer than any of these clients does.
            replies = pool.map(lambda _: server.request("GET", path), range(12))
            assert [each.error_code() for each in replies] == ["TEMPORARILY_UNAVAILABLE"] * 12
            catalog.execute("ROLLBACK")
        assert history(server, run_id) == [1]


def test_the_environment_of_the_server_is_not_its_clients(tmp_path: Path) -> None:
    """Settings that describe the training of whoever starts the server change no request."""
    leaks = {
        "MLFLOW_ACTIVE_MODEL_ID": "m-" + "b" * 32,
        "_MLFLOW_ACTIVE_MODEL_ID": "m-" + "b" * 32,
        "MLFLOW_ENABLE_ASYNC_LOGGING": "true",
        "MLFLOW_EXPERIMENT_NAME": "leaked",
        "MLFLOW_RUN_CONTEXT": '{"leaked": "1"}',
        "MLFLOW_RUN_ID": "c" * 32,
        "MLFLOW_TRACKING_USERNAME": "leaked",
    }
    with serving(tmp_path / "store", settings=leaks) as server:
        run_id = new_run(server)
        server.post("/runs/log-metric", point(run_id, 1))
        server.post("/runs/log-batch", {"run_id": run_id, "metrics": [point(run_id, 2)]})
        param = {"run_id": run_id, "key": "rate", "value": "1"}
        server.post("/runs/log-parameter", param)
        for path, body in [
            ("/runs/log-parameter", {**param, "value": "2"}),
            ("/runs/log-batch", {"run_id": run_id, "params": [{"key": "rate", "value": "2"}]}),
            ("/runs/delete-tag", {"run_id": run_id, "key": "none"}),
        ]:
            assert server.request("POST", API + path, body).status in (400, 404)  # and not later
        made = server.post("/logged-models", {"experiment_id": "0", "name": "model"})["model"]
        run = server.request("GET", f"{API}/runs/get?run_id={run_id}").json()["run"]
        assert [tag["key"] for tag in run["data"]["tags"]] == ["mlflow.runName"]
        assert (run["info"]["user_id"], made["info"].get("tags", [])) == ("", [])
        path = f"{API}/metrics/get-history?run_id={run_id}&metric_key=loss"
        points = server.request("GET", path).json()["metrics"]
        assert [set(each) for each in points] == [{"key", "value", "timestamp", "step"}] * 2


@contextmanager
def serving_more(folder: Path, handler: str) -> Iterator[Server]:
    """Run a server with one more endpoint, which Python code of a function `more` answers."""
    script = (
        "import itertools, logging\n"
        "from steplog.server import endpoints, serving\n"
        "from steplog.server.endpoint import Answer, Endpoint\n"
        f"{handler}\n"
        "serving.ENDPOINTS += (Endpoint('GET', '/more', more, 'read', ('',)),)\n"
        "from steplog.cli import main\n"
        "main()"
    )
    errors = folder / "log"
    with (
        errors.open("w") as log,
        subprocess.Popen(
            [sys.executable, "-c", script, "server", "--port", "0", "--store", "store"],
            stdout=subprocess.PIPE, stderr=log, text=True,
        ) as process,
    ):  # fmt: skip
        assert process.stdout is not None
        started = Server(process.stdout.readline().split()[-1], folder, process, errors)
        yield started
        assert started.stop() == 0


def test_a_handler_that_fails(tmp_path: Path) -> None:
    """An error that nobody expected is a 500 without a trace of it; the log has it all, once."""
    handler = "def more(service, request): raise KeyError('secret of the program')"
    with serving_more(tmp_path, handler) as server:
        for _ in range(3):
            reply = server.request("GET", "/more")
        assert (reply.status, reply.error_code()) == (500, "INTERNAL_ERROR")
        assert b"secret" not in reply.body
    [line] = server.log()
    assert "secret of the program" in line["traceback"]
    assert (line["level"], line["method"], line["path"]) == ("error", "GET", "/more")


def test_a_long_answer_that_nobody_reads_to_its_end(tmp_path: Path) -> None:
    """An answer without end is made while its client is there, and for HEAD not at all."""
    handler = (
        "numbers = itertools.count(1)\n"
        "def parts():\n"
        "    try:\n"
        "        while True: yield bytes(9999)\n"
        "    finally: logging.error('closed %d', next(numbers))\n"
        "def more(service, request): return Answer(parts())"
    )
    with serving_more(tmp_path, handler) as server:
        request = b"GET /more HTTP/1.1\r\n" + HOST + b"\r\n"
        for ahead in (1, 2):  # the second time, the same is asked for twice
            with server.connect() as connection:
                connection.sendall(request * ahead)
                for _ in range(100):
                    assert connection.recv(1 << 16)
        assert server.request("HEAD", "/more").body == b""
        wait_until(lambda: len(server.log()) == 3)
    assert {line["message"] for line in server.log()} == {"closed 1", "closed 2", "closed 3"}
