"""What those see who look after a server: /metrics, /ready, what it logs, and how it ends."""

from __future__ import annotations

import http.client
import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from serving import API, SECONDS, Server, serving
from test_server_process import LOG_METRIC, children, history, new_run, point, wait_until

import steplog
from steplog.server import logs, measuring, tokens
from steplog.server.exposition import CONTENT_TYPE, Family, Sample, text
from steplog.server.measuring import Measures
from steplog.server.monitoring import FAMILIES

Labels = frozenset[tuple[str, str]]
Samples = dict[tuple[str, Labels], float]


def parsed(exposition: str) -> Samples:
    """Return what Prometheus's own parser reads of a text."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    }


def scrape(server: Server, token: str | None = None) -> Samples:
    """Return what a server answers Prometheus."""
    reply = server.request("GET", "/metrics", token=token)
    assert (reply.status, reply.headers["content-type"]) == (200, CONTENT_TYPE)
    return parsed(reply.body.decode())


def of(samples: Samples, name: str, **labels: str) -> float:
    """Return the sum of the samples of a name that have these labels."""
    return sum(
        value
        for (each, theirs), value in samples.items()
        if each == name and set(labels.items()) <= theirs
    )


# The text -----------------------------------------------------------------------------------------

NUMBERS = st.floats(allow_nan=False) | st.integers(-(2**53), 2**53).map(float)


@given(
    st.dictionaries(st.text(), NUMBERS, min_size=1), st.text(max_size=20).filter(str.isprintable)
)
def test_any_label_is_read_back(values: dict[str, float], help: str) -> None:
    """Labels of any text, and any number, are what Prometheus's parser reads."""
    family = Family("thing", "gauge", help)
    given = {Sample("thing", (("a", label), ("b", "c"))): value for label, value in values.items()}
    read = parsed(text([family], given))
    assert {dict(labels)["a"]: value for (_, labels), value in read.items()} == values


def test_durations_are_counted_in_intervals() -> None:
    """Each interval counts what took no longer than its end; the last counts all."""
    measures = Measures()
    took = [0.0, 0.001, 0.0011, 0.3, 50.0]
    for seconds in took:
        measures.answered("GET", "/x", 200, seconds)
    values = parsed(text(measuring.FAMILIES, measures.values()))
    for bound in measuring.BOUNDS:
        expected = sum(seconds <= bound for seconds in took)
        assert of(values, "steplog_request_seconds_bucket", le=str(bound)) == expected
    assert of(values, "steplog_request_seconds_bucket", le="+Inf") == len(took)
    assert of(values, "steplog_request_seconds_count") == len(took)
    assert of(values, "steplog_request_seconds_sum") == pytest.approx(sum(took))


def test_counts_of_processes_add_up(tmp_path: Path) -> None:
    """Whichever process is asked tells of all; one that takes another's place counts on from it."""
    first, second = Measures(0, str(tmp_path)), Measures(1, str(tmp_path))
    for measures, times in ((first, 3), (second, 4)):
        for _ in range(times):
            measures.answered("GET", "/x", 200, 0.1)
        measures.in_flight = times
        measures.publish()
    for measures in (first, second):
        values = parsed(text(measuring.FAMILIES, measures.values()))
        assert of(values, "steplog_request_seconds_count") == 7
        assert of(values, "steplog_requests_in_flight", worker="1") == 4
    again = Measures(1, str(tmp_path))
    again.answered("GET", "/x", 200, 0.1)
    values = parsed(text(measuring.FAMILIES, again.values()))
    assert of(values, "steplog_request_seconds_count") == 8
    assert of(values, "steplog_requests_in_flight", worker="1") == 0


def test_a_process_that_is_silent(tmp_path: Path) -> None:
    """Of a process that has not been heard of, what it counted stays, and how it was does not."""
    gone, here = Measures(0, str(tmp_path)), Measures(1, str(tmp_path))
    gone.answered("GET", "/x", 200, 0.1)
    gone.publish()
    (file,) = tmp_path.glob("*.json")
    _, counts, states = json.loads(file.read_text())
    file.write_text(json.dumps([-1e9, counts, states]))
    values = parsed(text(measuring.FAMILIES, here.values()))
    assert of(values, "steplog_request_seconds_count") == 1
    assert [dict(labels)["worker"] for name, labels in values if name == "steplog_stopping"] == [
        "1"
    ]


# A server -----------------------------------------------------------------------------------------


def test_metrics_of_a_server(tmp_path: Path) -> None:
    """Requests are counted by endpoint and status, points that were stored by the point."""
    store = tmp_path / "store"
    store.mkdir()
    _, reader = tokens.create(str(store), "read")
    _, writer = tokens.create(str(store), "write")
    with serving(store) as server:
        made = server.post("/runs/create", {"experiment_id": "0"}, token=writer)
        run_id = made["run"]["info"]["run_id"]
        for step in range(7):
            server.post("/runs/log-metric", point(run_id, step), token=writer)
        param = {"run_id": run_id, "key": "a", "value": "b"}
        server.post("/runs/log-parameter", param, token=writer)
        reply = server.request(
            "POST", f"{API}/runs/log-parameter", {**param, "value": "c"}, token=writer
        )
        assert reply.status == 400
        server.request("GET", f"{API}/runs/get?run_id={run_id}", token=reader)  # ingests
        assert server.request("GET", "/metrics").status == 401
        _, of_one = tokens.create(str(store), "read", "0")  # of all experiments these are numbers
        assert server.request("GET", "/metrics", token=of_one).status == 403
        assert server.request("GET", "/nothing", token=reader).status == 404
        found = scrape(server, reader)
    assert of(found, "steplog_applied_points_total") == 7
    assert of(found, "steplog_applied_operations_total") >= 3
    assert of(found, "steplog_refused_operations_total") == 1
    count = "steplog_request_seconds_count"
    assert of(found, count, endpoint="/mlflow/runs/log-metric", status="200") == 7
    assert of(found, count, endpoint="/mlflow/runs/log-parameter", status="400") == 1
    assert of(found, count, endpoint="", status="401") == 1
    assert of(found, count, endpoint="", status="404") == 1
    assert of(found, "steplog_requests_in_flight") == 1  # this one
    assert of(found, "steplog_request_body_bytes") == 0
    assert of(found, "steplog_store_up") == 1
    assert of(found, "steplog_journals", state="live") == 1
    assert (
        of(found, "steplog_store_points") == of(found, "steplog_waiting_points", where="tail") == 7
    )
    assert of(found, "steplog_store_runs") == 1
    assert of(found, "process_resident_memory_bytes") > 1e6
    assert of(found, "process_cpu_seconds_total") > 0
    assert of(found, "process_open_fds") > 3
    names = {
        name.removesuffix("_count") for name, _ in found if not name.endswith(("_sum", "_bucket"))
    }
    assert names == {family.name for family in FAMILIES}
    assert not [value for value in found.values() if math.isnan(value)]


@pytest.mark.slow
@pytest.mark.long
def test_a_store_that_cannot_be_reached(tmp_path: Path) -> None:
    """While the store is out of reach /ready says no, and /metrics tells what waits and since when;
    both recover, and /health never minds.
    """
    with serving(tmp_path / "store") as server:
        run_id = new_run(server)
        assert server.request("GET", "/ready").body == b"ready"
        with closing(sqlite3.connect(server.store / "catalog.db", isolation_level=None)) as catalog:
            catalog.execute("ALTER TABLE tail RENAME TO elsewhere")
            for step in range(5):
                server.post("/runs/log-metric", point(run_id, step))
            wait_until(lambda: server.request("GET", "/ready").status == 503)
            assert server.request("GET", "/health").status == 200
            wait_until(
                lambda: of(scrape(server), "steplog_store_errors_total", during="ingest") > 0
            )
            found = scrape(server)
            assert of(found, "steplog_store_up") == 0
            assert of(found, "steplog_waiting_points", where="journals") == 5
            assert of(found, "steplog_waiting_seconds") > 0
            catalog.execute("ALTER TABLE elsewhere RENAME TO tail")
        wait_until(lambda: server.request("GET", "/ready").status == 200)
        found = scrape(server)
        assert (of(found, "steplog_store_up"), of(found, "steplog_waiting_seconds")) == (1, 0)
        assert of(found, "steplog_waiting_points", where="journals") == 0


@pytest.mark.long
@pytest.mark.slow
def test_counts_of_workers_outlive_them(tmp_path: Path) -> None:
    """With several workers every request is counted once, and a kill makes no counter go back."""
    with serving(tmp_path / "store", "--workers", "2") as server:
        run_id = new_run(server)
        labels = {"endpoint": "/mlflow/runs/log-metric", "status": "200"}
        with ThreadPoolExecutor(8) as pool:
            bodies = [point(run_id, step) for step in range(200)]
            list(pool.map(lambda body: server.post("/runs/log-metric", body), bodies))

        def counted() -> float:
            return of(scrape(server), "steplog_request_seconds_count", **labels)

        wait_until(lambda: counted() == 200)  # within a second all processes have told
        before = scrape(server)
        victim, _ = children(server.process.pid)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(set(children(server.process.pid)) - {victim}) == 2)
        wait_until(
            lambda: len([1 for name, _ in scrape(server) if name == "process_open_fds"]) == 2
        )
        after = scrape(server)
        totals = [key for key in before if key[0].endswith(("_count", "_bucket", "_points_total"))]
        assert not [key for key in totals if after[key] < before[key]]


# What it logs -------------------------------------------------------------------------------------


def test_log_lines_name_their_request(tmp_path: Path) -> None:
    """A request has one name in the log and in its answer; a proxy may have given it."""
    with serving(tmp_path / "store", "--access-log") as server:
        own = server.request("GET", "/health").headers["x-request-id"]
        other = server.request("GET", "/health").headers["x-request-id"]
        given = server.request("GET", "/health", headers={"X-Request-ID": "proxy-1.a:b"})
        evil = server.request("GET", "/health", headers={"X-Request-ID": 'a" level="b'})
        assert own != other
        assert given.headers["x-request-id"] == "proxy-1.a:b"
        assert '"' not in evil.headers["x-request-id"]
        wait_until(lambda: len(server.log()) == 4)
    names = [line["request_id"] for line in server.log()]
    assert names == [own, other, "proxy-1.a:b", evil.headers["x-request-id"]]


def test_logs_as_text(tmp_path: Path) -> None:
    """With --log-format text a line says the same in words."""
    with serving(tmp_path / "store", "--access-log", "--log-format", "text") as server:
        name = server.request("GET", "/health").headers["x-request-id"]
        log = tmp_path / "store.log"
        wait_until(lambda: log.read_text())
    (line,) = log.read_text().splitlines()
    assert f"info [{server.process.pid}] request_id={name} method=GET path=/health" in line


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_secret_is_logged(log_format: str) -> None:
    """Neither passwords of URIs nor tokens are in a log line, wherever in it they came from."""
    script = (
        "import logging, sys\n"
        "from steplog.server import logs\n"
        "logs.start(sys.argv[1], access=True)\n"
        "log = logging.getLogger('steplog.server')\n"
        "uri = 'postgresql://me:hush%40hush@host:5432/runs'\n"
        "token = 'steplog_0123abcd_hush-hush_hush'\n"
        "log.error('cannot reach %s', uri, extra={'fields': {'path': f'/?token={token}'}})\n"
        "log.error('Authorization: Bearer %s', token)\n"
        "log.error('host=here user=me password=hushhush')\n"
        "try: raise OSError(uri)\n"
        "except OSError: log.exception('failed')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, log_format], capture_output=True, text=True, check=True
    )
    assert "hush" not in done.stderr.replace(script, "")
    assert "postgresql://me:***@host:5432/runs" in done.stderr
    assert "steplog_0123abcd_***" in done.stderr


def test_what_is_no_secret_is_logged() -> None:
    """Other texts stay as they are."""
    for line in ("http://host:80/a@b", "a user: me@host", "steplog_0123abcd is worthless", "basic"):
        assert logs.without_secrets(line) == line


# The end ------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.long
def test_a_server_that_drains(tmp_path: Path) -> None:
    """Told to end, it says that it is not ready, goes on for --drain-seconds, then exits with 0."""
    with serving(tmp_path / "store", "--drain-seconds", "2") as server:
        run_id = new_run(server)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: server.request("GET", "/ready").status == 503)
        server.post("/runs/log-metric", point(run_id, 1))
        assert history(server, run_id) == [1]
        assert of(scrape(server), "steplog_stopping") == 1
        assert server.process.wait(SECONDS) == 0


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_under_load(tmp_path: Path, workers: int) -> None:
    """A server that is stopped while many clients log exits with 0, with all that it acknowledged
    in the store, once each, and no journal left.
    """
    store = tmp_path / "store"
    acknowledged: list[int] = []
    enough = threading.Event()

    def log(server: Server, run_id: str, steps: Iterator[int]) -> None:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=SECONDS)
        headers = {"Content-Type": "application/json"}
        with closing(connection):
            for step in steps:
                try:
                    connection.request("POST", LOG_METRIC, json.dumps(point(run_id, step)), headers)
                    answer = connection.getresponse()
                    answer.read()
                except (OSError, http.client.HTTPException):
                    return  # it ended
                assert answer.status == 200
                acknowledged.append(step)
                if len(acknowledged) > 2_000:
                    enough.set()

    with serving(store, "--workers", str(workers)) as server:
        run_id = new_run(server)
        with ThreadPoolExecutor(8) as pool:
            jobs = [
                pool.submit(log, server, run_id, iter(range(first, 1 << 40, 8)))
                for first in range(8)
            ]
            assert enough.wait(SECONDS)
            assert server.stop() == 0
            for job in jobs:
                job.result()
    assert not list((store / "journal").iterdir())
    stored = [each.step for each in steplog.Client(str(store)).get_metric_history(run_id, "loss")]
    assert len(stored) == len(set(stored))
    assert set(acknowledged) <= set(stored)
    assert len(stored) - len(acknowledged) <= 8
