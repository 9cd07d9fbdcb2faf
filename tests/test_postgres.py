"""The store in PostgreSQL passes the shipped suite; what only it promises is tested here."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest
from services.daemons import wait_until
from services.postgres import PostgresCluster

import steplog
from steplog.exceptions import FormatTooNew, StoreDamaged, StoreError
from steplog.operations import SeriesKey, UpdateRun
from steplog.places import resolve
from steplog.stores import migrations, open_store, upgrade_store
from steplog.stores.base import START, Damage, Store
from steplog.stores.chunks import InCatalog
from steplog.stores.postgres import PostgresStore
from steplog.stores.postgres_database import REVISION, PostgresDatabase
from steplog.testing import (
    OTHER_RUN,
    RUN,
    Feed,
    StoreSuite,
    create_run,
    everything,
    read,
    together,
)

T = TypeVar("T")

pytestmark = [pytest.mark.slow, pytest.mark.long]


class TestPostgresStore(StoreSuite):
    """The store in PostgreSQL agrees with the suite."""

    @pytest.fixture(autouse=True)
    def _database(self, postgres_store_uri: str) -> None:
        self._uri = postgres_store_uri

    def open_store(self, directory: Path) -> Store:
        """Return a store in the test's database."""
        return PostgresStore(self._uri)


@pytest.fixture
def store(postgres_store_uri: str) -> Iterator[PostgresStore]:
    """Open a store in a database of the test's own."""
    with closing(PostgresStore(postgres_store_uri)) as store:
        yield store


def execute(uri: str, statement: str) -> None:
    """Change a database behind the store's back."""
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("SET search_path TO steplog")
        connection.execute(statement.encode())


# Tables -------------------------------------------------------------------------------------------


def test_a_database_without_tables_is_left_as_it_is(postgres_uri: str) -> None:
    """Opening makes no tables; it says what to run. That may be run by two at once, and again."""
    with pytest.raises(StoreError, match=f"no tables .* Run: steplog db upgrade {postgres_uri}"):
        open_store(postgres_uri)
    assert sorted(together(2, lambda _: upgrade_store(postgres_uri))) == [
        (0, REVISION),
        (REVISION, REVISION),
    ]
    with closing(open_store(postgres_uri)) as store:
        feed = Feed(store)
        feed.log("loss", (0, 0, 1.0))
        assert upgrade_store(postgres_uri) == (REVISION, REVISION)
        assert read(store) == [(0, 0, 1.0)]


def test_the_newest_revision_is_the_one_that_is_used() -> None:
    """The scripts lead in one line from nothing to the format that the store expects."""
    scripts = migrations.scripts()
    assert scripts.get_heads() == [f"{REVISION:04}"]
    assert len([*scripts.walk_revisions()]) == REVISION


def test_tables_of_another_format_are_refused(postgres_store_uri: str) -> None:
    """Newer tables are left alone by opening and upgrading; older ones are to be upgraded."""
    execute(postgres_store_uri, "UPDATE alembic_version SET version_num = '0099'")
    for use in (open_store, upgrade_store):
        with pytest.raises(FormatTooNew, match=f"format 99, .* up to {REVISION}"):
            use(postgres_store_uri)
    execute(postgres_store_uri, "DELETE FROM alembic_version")
    with pytest.raises(StoreError, match="Run: steplog db upgrade"):
        open_store(postgres_store_uri)


def test_tables_that_are_taken_away_are_missed(
    postgres_store_uri: str, store: PostgresStore
) -> None:
    """A store whose tables vanish while it is open says what it lacks, and what to run."""
    execute(postgres_store_uri, "DROP SCHEMA steplog CASCADE")
    with pytest.raises(StoreError, match="Run: steplog db upgrade"):
        store.runs()


def test_a_database_of_another_encoding_gets_no_tables(postgres_uri: str) -> None:
    """Texts of all scripts need UTF-8; where a database has none, nothing is made in it."""
    name = f"latin_{uuid.uuid4().hex}"
    execute(postgres_uri, f"CREATE DATABASE {name} ENCODING LATIN1 LOCALE 'C' TEMPLATE template0")
    uri = f"{postgres_uri.rpartition('/')[0]}/{name}"
    with pytest.raises(StoreError, match="LATIN1"):
        upgrade_store(uri)
    execute(postgres_uri, f"DROP DATABASE {name}")


def test_mlflow_may_have_the_same_database(postgres_uri: str) -> None:
    """Tables of the same names that belong to somebody else stay as they are."""
    with psycopg.connect(postgres_uri) as connection:
        connection.execute("CREATE TABLE public.experiments (theirs TEXT)")
        connection.execute("CREATE TABLE public.alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO public.alembic_version VALUES ('cafe')")
    upgrade_store(postgres_uri)
    with closing(open_store(postgres_uri)) as store:
        assert [each.row.name for each in store.experiments()] == ["Default"]
    with psycopg.connect(postgres_uri) as connection:
        found = connection.execute("SELECT version_num FROM public.alembic_version").fetchall()
    assert found == [("cafe",)]


# Who works side by side ---------------------------------------------------------------------------

WRITER = """
import sys
from steplog.operations import CreateRun, LogInputs, LogParams, SeriesKey
from steplog.stores import open_store
from steplog.testing import DATASET, OTHER_RUN, RUN, Feed

uri, number = sys.argv[1], int(sys.argv[2])
store = open_store(uri)
feed = Feed(store, f"{number:032x}", f"{number:032x}")
print(flush=True)
sys.stdin.readline()
runs = (RUN, OTHER_RUN) if number % 2 else (OTHER_RUN, RUN)
for each in range(30):
    digests = [str((each + number + i) % 3) for i in range(2)]
    datasets = [{**DATASET, "digest": digest} for digest in digests]
    operations = [
        CreateRun(runs[0], "7", "u", "n", 1, {}, "", experiment_name="shared"),
        LogInputs(runs[1], datasets, []),
        LogParams(runs[0], {"p": "1"}),
    ]
    points = {
        SeriesKey(runs[0], "loss"): [(each, 100 + i, 0.5) for i in range(number, number + 3)],
        SeriesKey(runs[1], "loss"): [(each, number, 0.25)],
        SeriesKey(runs[1], f"own{number}"): [(each * 100 + i, i, 0.25) for i in range(100)],
    }
    assert store.apply(feed.batch(points, operations)) == []
    if each % 10 == number:
        store.seal(runs[0])
"""


def test_processes_may_write_to_the_same_runs_at_once(
    postgres_store_uri: str, store: PostgresStore
) -> None:
    """Processes that create, log to and seal the same runs neither deadlock nor lose a point."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, postgres_store_uri, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for number in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        process.communicate(b"\n")
    assert [process.returncode for process in processes] == [0] * 4
    assert [each.row.name for each in store.experiments(["7"])] == ["shared"]
    assert len(store.datasets(["7"], 10)) == 3
    for _ in range(2):
        for run_id, few in ((RUN, {0, 2}), (OTHER_RUN, {1, 3})):
            times = {100 + i for n in {0, 1, 2, 3} - few for i in range(n, n + 3)} | few
            series = {each.key.key: each for each in store.series([run_id])}
            loss = everything(store, series["loss"])
            assert [*zip(loss.step.tolist(), loss.timestamp.tolist(), strict=True)] == [
                (step, time) for step in range(30) for time in sorted(times)
            ]
            for number in few:
                own = everything(store, series[f"own{number}"])
                assert own.step.tolist() == [*range(3000)]
        store.seal(RUN), store.seal(OTHER_RUN)
    assert [each for each in store.check() if isinstance(each, Damage)] == []


def test_a_batch_of_many_runs_takes_one_lock(store: PostgresStore) -> None:
    """However many runs batches touch, several at once, the server's table of locks has room."""

    def write(number: int) -> None:
        feed = Feed(store, f"{number:032x}", f"{number:032x}")
        for step in range(2):
            keys = [SeriesKey(f"{run:032x}", "loss") for run in range(3000)]
            batch = feed.batch({key: [(step, number, 0.5)] for key in keys})
            assert store.apply(batch) == []

    together(3, write)
    series = store.series([f"{run:032x}" for run in range(3000)])
    assert [int(each.summary["count"]) for each in series] == [6] * 3000


def test_each_process_seals_what_it_writes(postgres_store_uri: str, store: PostgresStore) -> None:
    """Runs of others are sealed only now and then, and never while somebody else is at it."""
    with closing(PostgresStore(postgres_store_uri)) as other:
        assert other.seal() == 0  # it has looked at all runs now
        feed = Feed(store)
        ended = UpdateRun(RUN, 5, status="FINISHED", end_time=5)
        feed.operate(create_run(), ended)
        feed.log("loss", (0, 0, 1.0))
        assert other.seal() == 0
        assert store.seal() == 1
        feed.log("loss", (1, 1, 1.0))
        with other._database.holding("seal 1") as alone:
            assert alone
            assert store.seal() == 0
        other._look_again = 0.0
        assert other.seal() == 1
        assert store.seal() == 0
        assert read(store) == [(0, 0, 1.0), (1, 1, 1.0)]


def test_a_fork_leaves_the_connections_to_the_parent(postgres_store_uri: str) -> None:
    """A child opens a store of its own, and its end does not end its parent's transactions."""
    script = """
import os, sys
from steplog.stores import open_store
from steplog.testing import Feed, RUN, everything, the_series

store = open_store(sys.argv[1])
feed = Feed(store)
feed.log("loss", *((step, 0, 0.5) for step in range(50_000)))
store.seal(RUN)
pieces = store.points(the_series(store).series_id)
points = next(pieces).step.size
child = os.fork()
if not child:
    own = open_store(sys.argv[1])
    Feed(own, "2" * 32).log("loss", (-1, 0, 0.5))
    own.close()
    sys.exit(0)
_, status = os.waitpid(child, 0)
points += sum(piece.step.size for piece in pieces)
feed.log("loss", (-2, 0, 0.5))
print(status, points, everything(store, the_series(store)).step.size)
"""
    command = [sys.executable, "-c", script, postgres_store_uri]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["0", "50000", "50002"]


# Faults -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", ["53100", "53200", "40P01", "40001", "25006", "57P01", "23505", "22021", "XX000"]
)
def test_whatever_a_server_says_is_an_error_for_now(
    postgres_store_uri: str, store: PostgresStore, code: str
) -> None:
    """A full disk, a deadlock, a shutdown: a batch fails as a whole, and can be applied again."""
    execute(
        postgres_store_uri,
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION "
        f"'no' USING ERRCODE = '{code}'; END $$",
    )
    execute(
        postgres_store_uri,
        "CREATE TRIGGER fail BEFORE INSERT ON tail FOR EACH ROW EXECUTE FUNCTION fail()",
    )
    batch = Feed(store).batch({SeriesKey(RUN, "loss"): [(0, 0, 1.0)]}, [create_run()])
    with pytest.raises(StoreError, match="cannot be used now: no"):
        store.apply(batch)
    assert (store.runs(), store.positions([batch.journal_id])) == ([], {})
    execute(postgres_store_uri, "DROP TRIGGER fail ON tail")
    assert store.apply(batch) == []
    assert read(store) == [(0, 0, 1.0)]


def test_a_damaged_chunk_is_damage(postgres_store_uri: str, store: PostgresStore) -> None:
    """Bytes that are not those that were written are found by reading and by checking."""
    Feed(store).log("loss", *((step, step, 0.5) for step in range(20_000)))
    store.seal(RUN)
    changed = "UPDATE chunk_bytes SET bytes = set_byte(bytes, 99, 255 - get_byte(bytes, 99))"
    execute(postgres_store_uri, f"{changed} WHERE chunk_id = 2")
    execute(postgres_store_uri, "DELETE FROM chunk_bytes WHERE chunk_id = 3")
    with pytest.raises(StoreDamaged, match="checksum"):
        read(store)
    found = [each.what for each in store.check() if isinstance(each, Damage)]
    assert ["checksum" in found[0], "missing" in found[1], len(found)] == [True, True, 2]
    execute(postgres_store_uri, f"{changed} WHERE chunk_id = 2")


def test_cut_connections_lose_nothing_and_double_nothing(
    postgres_store_uri: str, store: PostgresStore
) -> None:
    """While all connections are cut again and again, what is tried again is there once."""
    done = threading.Event()
    cut = 0

    def cutting() -> None:
        nonlocal cut
        with psycopg.connect(postgres_store_uri, autocommit=True) as connection:
            while not done.wait(0.03):
                cut += connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                ).rowcount

    def write(number: int) -> None:
        feed = Feed(store, f"{number:032x}")
        before = START
        for step in range(60):
            points = {
                SeriesKey(RUN, "loss"): [(step, number, 0.5)],
                SeriesKey(RUN, f"key{number}"): [(step, i, 0.5) for i in range(100)],
            }
            batch = insistently(partial(feed.batch, points))
            assert batch.before == before
            insistently(partial(store.apply, batch))
            before = batch.after

    thread = threading.Thread(target=cutting)
    thread.start()
    try:
        together(2, write)
    finally:
        done.set()
        thread.join()
    assert cut > 10
    assert insistently(lambda: read(store, "loss")) == [
        (step, number, 0.5) for step in range(60) for number in range(2)
    ]
    for number in range(2):
        assert len(read(store, f"key{number}")) == 6000
    store.seal(RUN)
    assert [each for each in store.check() if isinstance(each, Damage)] == []


def insistently(work: Callable[[], T]) -> T:
    """Do something until it is not refused for now any more."""
    while True:
        try:
            return work()
        except StoreError:
            time.sleep(0.01)


def test_an_idle_connection_that_was_lost_is_replaced(
    postgres_store_uri: str, store: PostgresStore
) -> None:
    """Who asks after the server has come back is answered, and told nothing of what was."""
    assert store.runs() == []
    execute(
        postgres_store_uri,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
        "current_database() AND pid <> pg_backend_pid()",
    )
    assert store.runs() == []


def test_where_nobody_answers_nobody_is_asked_for_a_while(tmp_path: Path) -> None:
    """After a failure a store says at once that it cannot be reached, and when it tries again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}/x?password=secret"
        database = PostgresDatabase(f"postgresql://u:secret@{address}", 1.0, InCatalog())
        messages = []
        for _ in range(20):
            with pytest.raises(StoreError) as raised, database.reading():
                pass
            messages.append(raised.value.message)
    assert not any("secret" in message for message in messages)
    assert any("It is tried again in" in message for message in messages)


# A primary and its standby ------------------------------------------------------------------------


def test_what_was_acknowledged_survives_a_failover(postgres_cluster: PostgresCluster) -> None:
    """The primary is killed at full load, and the standby promoted: all is there, once."""
    upgrade_store(postgres_cluster.uri)
    store = PostgresStore(postgres_cluster.uri)
    feed = Feed(store)
    keys = [SeriesKey(RUN, f"key{number}") for number in range(20)]
    acknowledged = 0
    failed = threading.Event()

    def fail() -> None:
        postgres_cluster.fail_over()
        failed.set()

    killer = threading.Timer(0.5, fail)
    killer.start()
    after = 0
    while after < 20:  # batches after the standby has taken over
        points = {key: [(acknowledged * 50 + i, 0, 0.5) for i in range(50)] for key in keys}
        batch = insistently(partial(feed.batch, points))
        insistently(partial(store.apply, batch))
        acknowledged += 1
        after += failed.is_set()
    killer.join()
    for key in keys:
        [series] = store.series([RUN], [key.key])
        assert everything(store, series).step.tolist() == [*range(acknowledged * 50)]
    store.seal(RUN)
    assert [each for each in store.check() if isinstance(each, Damage)] == []
    store.close()


def test_a_standby_answers_readers_and_refuses_writers(postgres_cluster: PostgresCluster) -> None:
    """A store on a standby reads what the primary has committed; a batch is refused for now."""
    primary = postgres_cluster.primary.uri(postgres_cluster.database)
    upgrade_store(primary)
    with closing(PostgresStore(primary)) as store:
        feed = Feed(store)
        feed.log("loss", (0, 0, 1.0))
        batch = feed.batch({SeriesKey(RUN, "loss"): [(1, 0, 1.0)]}, durable=True)
    # What is committed is on the standby's disk; a moment later its readers see it, too.
    there = postgres_cluster.standby.uri(postgres_cluster.database)
    with closing(insistently(partial(PostgresStore, there))) as standby:
        wait_until(lambda: standby.series([RUN]) != [], "the standby shows what was committed")
        assert read(standby) == [(0, 0, 1.0)]
        with pytest.raises(StoreError, match=r"read-only|recovery"):
            standby.apply(batch)
        postgres_cluster.fail_over()
        assert insistently(partial(standby.apply, batch)) == []
        assert read(standby) == [(0, 0, 1.0), (1, 0, 1.0)]


# A training --------------------------------------------------------------------------------------


def test_a_training_logs_into_a_database(postgres_store_uri: str) -> None:
    """What a program logs into a database is read by others, and nothing stays in its spool."""
    script = """
import math, sys
import steplog as mlflow

mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("digits")
with mlflow.start_run(run_name="one") as run:
    mlflow.log_params({"lr": 0.1, "odd": "a\\0b"})
    for step in range(1000):
        mlflow.log_metric("loss", math.nan if step == 7 else step / 8, step)
    assert mlflow.read(run.info.run_id, "loss")[0].step.size == 1000
print(run.info.run_id)
"""
    command = [sys.executable, "-c", script, postgres_store_uri]
    run_id = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    steplog.set_tracking_uri(postgres_store_uri)
    [series] = steplog.read(run_id, "loss")
    assert series.step.tolist() == [*range(1000)]
    run = steplog.get_run(run_id)
    assert (run.info.status, run.data.params) == ("FINISHED", {"lr": "0.1", "odd": "a\0b"})
    [found] = steplog.search_runs(
        experiment_names=["digits"], filter_string="metrics.loss > 124", output_format="list"
    )
    assert found.info.run_id == run_id
    assert [*Path(resolve(postgres_store_uri).journals).glob("*")] == []
