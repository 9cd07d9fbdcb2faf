"""The services that tests talk to are what they should be, and fail as they are told to."""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from services import ClickHouse, Proxy, proxying
from services.clickhouse import ClickHouseCluster, Refused
from services.daemons import answers, wait_until
from services.postgres import PostgresCluster, binaries

POINTS = "series_id UInt64, value Float64"
REPLICATED = "ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/%s', '{replica}')"
# Columns and rows; then name, type and values of each column: 7 and NaN.
BLOCK = (
    b"\x02\x01"
    + (b"\x09series_id\x06UInt64" + struct.pack("<Q", 7))
    + (b"\x05value\x07Float64" + struct.pack("<Q", 0x7FF8000000000001))
)

# Uses the run's PostgreSQL as another run of the suite would, and says where it is.
OTHER_RUN = """
import os, time
from services.postgres import postgres_uri

def test_of_another_run(postgres_uri):
    print(postgres_uri, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it is sent; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve(connection: socket.socket) -> None:
            with connection:
                try:
                    while data := connection.recv(4096):
                        connection.sendall(data)
                except OSError:
                    pass  # the proxy was told to cut it

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def ask(connection: socket.socket, data: bytes) -> bytes:
    """Send something; return the answer, and nothing where the connection is gone."""
    try:
        connection.sendall(data)
        return connection.recv(4096)
    except ConnectionError:
        return b""


def connect(proxy: Proxy) -> socket.socket:
    """Return a connection through a proxy."""
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=30)


def psql(uri: str, sql: str) -> str:
    """Return what psql prints."""
    command = [f"{binaries()}/psql", "-AtXq", "-v", "ON_ERROR_STOP=1", "-c", sql, uri]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.long
@pytest.mark.slow
def test_every_test_has_an_empty_postgresql_database(postgres_uri: str) -> None:
    """A fresh database has no table, takes rows, and is in UTF-8 with the order of bytes."""
    assert psql(postgres_uri, "select count(*) from pg_stat_user_tables") == "0"
    psql(postgres_uri, "create table texts (text text); insert into texts values ('b'), ('B')")
    assert psql(postgres_uri, "select text from texts order by text").split() == ["B", "b"]
    assert psql(postgres_uri, "show server_encoding") == "UTF8"


@pytest.mark.long
@pytest.mark.slow
def test_a_standby_has_what_its_killed_primary_had_committed(
    postgres_cluster: PostgresCluster,
) -> None:
    """The URI of both leads to the primary, restarted after a kill, and then to the standby."""
    psql(postgres_cluster.uri, "create table numbers (n int); insert into numbers values (1)")
    postgres_cluster.primary.kill()
    postgres_cluster.primary.start()
    psql(postgres_cluster.uri, "insert into numbers values (2)")
    postgres_cluster.fail_over()
    psql(postgres_cluster.uri, "insert into numbers values (3)")
    assert psql(postgres_cluster.uri, "select n from numbers order by n").split() == list("123")


@pytest.mark.long
@pytest.mark.slow
def test_nothing_outlives_a_run_that_was_killed(tmp_path: Path) -> None:
    """The server of a run of pytest that gets SIGKILL ends, and its directory is gone."""
    if binaries() is None:
        pytest.skip("PostgreSQL's server is not installed")
    (tmp_path / "test_other.py").write_text(OTHER_RUN, "utf-8")
    command = [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", "--rootdir"]
    environment = {
        name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")
    }
    with subprocess.Popen(
        [*command, str(tmp_path), f"--basetemp={tmp_path}/base", str(tmp_path)],
        env={**environment, "PYTHONPATH": str(Path(__file__).parent)},
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout is not None
        found = next(filter(None, (re.search(r":(\d+)/test_\w+$", line) for line in run.stdout)))
        port = int(found[1])
        assert answers(port)
        run.send_signal(signal.SIGKILL)
    wait_until(lambda: not answers(port), "end of the server")


@pytest.mark.long
@pytest.mark.slow
def test_a_cluster_of_clickhouse_replicates_within_a_shard(clickhouse_database: ClickHouse) -> None:
    """What is inserted into one replica is read from the other, bit for bit, and not from the
    other shard.
    """
    name = clickhouse_database.database
    engine = REPLICATED % name
    for node in clickhouse_database.nodes:
        clickhouse_database.query(
            f"create table points ({POINTS}) engine = {engine} order by series_id", node=node
        )
    clickhouse_database.query("insert into points (series_id, value) format Native", BLOCK)
    read = "select series_id, value from points format Native"
    wait_until(lambda: clickhouse_database.query(read, node="b") == BLOCK, "replication")
    assert clickhouse_database.rows("select count() from points", node="c") == [["0"]]
    assert clickhouse_database.uri.startswith("clickhouse://127.0.0.1:")


@pytest.mark.long
@pytest.mark.slow
def test_servers_of_clickhouse_can_be_killed_one_by_one(
    clickhouse_cluster: ClickHouseCluster,
) -> None:
    """A replica takes rows while the other one is dead, which has them once it is back; without
    ZooKeeper there is an error.
    """
    with clickhouse_cluster.fresh() as database:
        engine = REPLICATED % database.database
        create = f"create table points ({POINTS}) engine = {engine} order by series_id"
        for node in database.nodes:
            database.query(create, node=node)
        clickhouse_cluster.kill_node("a")
        database.query("insert into points values (1, 0.5)", node="b")
        with pytest.raises(OSError):
            database.query("select 1", node="a")
        clickhouse_cluster.start_node("a")
        wait_until(lambda: database.rows("select * from points") == [["1", "0.5"]], "catching up")

        clickhouse_cluster.zookeeper.kill()
        with pytest.raises(Refused, match=r"^Code: \d+"):
            database.query("insert into points values (2, 0.5)", node="b")


@pytest.mark.long
@pytest.mark.slow
def test_a_modern_clickhouse_answers_as_the_old_one_does(
    modern_clickhouse_database: ClickHouse,
) -> None:
    """Blocks come back bit for bit; a setting holds for one statement; errors have their code."""
    query = modern_clickhouse_database.query
    query(
        f"create table points ({POINTS}) engine = MergeTree order by series_id "
        "settings non_replicated_deduplication_window = 10"
    )
    insert = "insert into points (series_id, value) format Native"
    for _ in range(2):
        query(insert, BLOCK, insert_deduplication_token="first")
    assert query("select * from points format Native") == BLOCK
    query(insert, BLOCK, insert_deduplication_token="second")
    assert modern_clickhouse_database.rows("select count() from points") == [["2"]]
    with pytest.raises(Refused, match=r"^Code: 47\. DB::Exception"):
        query("select nothing from points")
    with pytest.raises(Refused, match=r"^Code: 115\. DB::Exception"):
        query("select 1", no_such_setting=1)


def test_a_proxy_carries_everything(echo: int) -> None:
    """Megabytes come back through a proxy as they were sent, slowed or not."""
    data = os.urandom(1 << 21)
    with proxying(echo) as proxy, connect(proxy) as connection:
        for proxy.delay_seconds, proxy.bytes_per_second in [(0.0, 0), (0.0005, 100_000_000)]:
            sender = threading.Thread(target=connection.sendall, args=(data,))
            sender.start()
            got = b""
            while len(got) < len(data):
                got += connection.recv(1 << 20)
            sender.join()
            assert got == data


def test_a_proxy_cuts_refuses_and_swallows(echo: int) -> None:
    """A connection that is cut ends; a refused one does not begin; an answer that is swallowed
    was given; what is held comes when it is released.
    """
    with proxying(echo) as proxy:
        with connect(proxy) as connection:
            assert ask(connection, b"one") == b"one"
            proxy.cut()
            assert ask(connection, b"two") == b""
        assert proxy.cuts == 1
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
        proxy.accept()
        proxy.swallowing = 1
        with connect(proxy) as connection:
            assert ask(connection, b"three") == b""
        with connect(proxy) as connection:
            proxy.hold()
            connection.sendall(b"four")
            connection.settimeout(0.1)
            with pytest.raises(TimeoutError):
                connection.recv(4096)
            connection.settimeout(30)
            proxy.release()
            assert connection.recv(4096) == b"four"


def test_a_proxys_chances_come_from_its_seed(echo: int) -> None:
    """Two proxies of one seed cut the same connections."""

    def fates(seed: int) -> list[bytes]:
        with proxying(echo, seed) as proxy:
            proxy.cut_chance = 0.25
            found = []
            for number in range(24):
                with connect(proxy) as connection:
                    found.append(ask(connection, b"%d" % number))
            return found

    assert fates(1) == fates(1)
    assert b"" in fates(1)
    assert len(set(fates(1))) > 2
