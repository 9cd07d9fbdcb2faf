"""A catalog in PostgreSQL whose points live in ClickHouse: what it promises, what may happen."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import reduce
from pathlib import Path

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from services import ClickHouse
from services.clickhouse import ClickHouseCluster
from services.daemons import wait_until

from steplog.buckets import whole_grid
from steplog.exceptions import SteplogWarning, StoreDamaged, StoreError
from steplog.lines import WholeLine
from steplog.operations import SeriesKey
from steplog.points import POINT, union
from steplog.stores import open_store, upgrade_store
from steplog.stores.base import Damage, Store
from steplog.stores.memory import MemoryStore
from steplog.summary import agree, merge, summarise
from steplog.testing import OTHER_RUN, RUN, Feed, StoreSuite, everything, known, read, the_series

pytestmark = [pytest.mark.long, pytest.mark.slow]

KILLS = 5


def new_store(monkeypatch: pytest.MonkeyPatch, uri: str, points: ClickHouse) -> Store:
    """Return a store in an empty database, whose points live in another."""
    monkeypatch.setenv("STEPLOG_POINTS_URI", points.uri)
    upgrade_store(uri)
    return open_store(uri)


class TestCluster(StoreSuite):
    """Points on two shards of ClickHouse 18.16, one of them replicated."""

    @pytest.fixture(autouse=True)
    def databases(
        self, monkeypatch: pytest.MonkeyPatch, postgres_uri: str, clickhouse_database: ClickHouse
    ) -> None:
        """Remember where the store shall be."""
        self.where = monkeypatch, postgres_uri, clickhouse_database

    def open_store(self, directory: Path) -> Store:
        """Return a store in new databases."""
        return new_store(*self.where)


class TestModern(StoreSuite):
    """Points on one server of a ClickHouse of this year."""

    @pytest.fixture(autouse=True)
    def databases(
        self,
        monkeypatch: pytest.MonkeyPatch,
        postgres_uri: str,
        modern_clickhouse_database: ClickHouse,
    ) -> None:
        """Remember where the store shall be."""
        self.where = monkeypatch, postgres_uri, modern_clickhouse_database

    def open_store(self, directory: Path) -> Store:
        """Return a store in new databases."""
        return new_store(*self.where)


@pytest.fixture
def store(
    monkeypatch: pytest.MonkeyPatch, postgres_uri: str, clickhouse_database: ClickHouse
) -> Iterator[Store]:
    """Open an empty store on the cluster; `check` must find nothing after the test."""
    with closing(new_store(monkeypatch, postgres_uri, clickhouse_database)) as store:
        yield store
        assert damages(store) == []


def damages(store: Store) -> list[Damage]:
    """Return what `check` finds."""
    return [each for each in store.check() if isinstance(each, Damage)]


def curve(start: int, stop: int) -> list[tuple[int, int, float]]:
    """Return the points of these steps of a curve."""
    return [(step, 5 * step, step % 97 / 8) for step in range(start, stop)]


def the_table(points: ClickHouse, node: str) -> str:
    """Return the name of the table on a server."""
    query = "SELECT name FROM system.tables WHERE database = currentDatabase()"
    [[table]] = points.rows(query, node=node)
    return table


def rows(points: ClickHouse, node: str = "a") -> tuple[int, int]:
    """Return how many rows the points of a server are, and how many different points."""
    table = the_table(points, node)
    point = "series_id, step, timestamp, reinterpretAsString(value)"
    query = f"SELECT count(), uniqExact({point}) FROM {table}"
    [[count, different]] = points.rows(query, node=node)
    return int(count), int(different)


def node_of(uri: str, run_id: str = RUN) -> str:
    """Return a server of the shard that a run is in, by the run's number in the catalog."""
    query = "SELECT run_no FROM steplog.runs WHERE run_id = %s"
    with psycopg.connect(uri) as connection:
        row = connection.execute(query, (run_id,)).fetchone()
    assert row is not None
    return "ac"[row[0] % 2]


def claimed(uri: str) -> bool:
    """Say whether a block is claimed, and not in place."""
    with psycopg.connect(uri) as connection:
        return connection.execute("SELECT 1 FROM steplog.claims").fetchone() is not None


@contextmanager
def refusing(uri: str) -> Iterator[None]:
    """Have a database refuse to put blocks in place."""
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'not today'; END $$"
        )
        connection.execute(
            "CREATE TRIGGER refuse BEFORE UPDATE ON steplog.shards EXECUTE FUNCTION refuse()"
        )
        yield
        connection.execute("DROP TRIGGER refuse ON steplog.shards")


@settings(
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # examples take too long for more
)
@given(data=st.data())
def test_it_reads_as_the_store_in_memory_does(
    data: st.DataObject, store: Store, clickhouse_database: ClickHouse
) -> None:
    """However points come, late, again, in blocks of any size: points and charts are the same."""
    run_id, journal_id = uuid.uuid4().hex, uuid.uuid4().hex  # no example shares them
    memory = MemoryStore()
    feeds = [Feed(each, journal_id) for each in (store, memory)]
    keys = [SeriesKey(run_id, key) for key in ("a", "b")]
    for _ in range(data.draw(st.integers(1, 5))):
        random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
        size, first = int(random.integers(1, 3000)), int(random.integers(0, 4000))
        at = first + int(random.integers(0, 2)) * np.arange(size)
        values = random.choice([0.0, -0.0, np.nan, np.inf, 1.5], size)
        points = [*zip(at.tolist(), (at // 2).tolist(), values.tolist(), strict=True)]
        for feed in feeds:
            assert feed.store.apply(feed.batch(dict.fromkeys(keys, points))) == []
        if data.draw(st.booleans()):
            store.seal(run_id)
    window = st.tuples(st.integers(0, 4000), st.integers(2000, 8000))
    steps = data.draw(st.none() | window)
    for here, there in zip(store.series([run_id]), memory.series([run_id]), strict=True):
        found, expected = (
            union([*each.points(of.series_id, steps)])
            for each, of in ((store, here), (memory, there))
        )
        assert [each.tobytes() for each in found] == [each.tobytes() for each in expected]
        outline = store.outline(here.series_id)
        total = summarise(union([*memory.points(there.series_id)]))
        assert agree(reduce(merge, (outline[i : i + 1] for i in range(outline.size))), total).all()
        grid = whole_grid(0, 8000, 100)
        for times in (False, True):
            folded, wanted = (
                WholeLine(of, times).fold(each, grid, (0, 8000), None).buckets
                for each, of in ((store, here), (memory, there))
            )
            for name in ("count", "nan", "pos_inf", "min", "max", "first", "last"):
                np.testing.assert_array_equal(folded[name], wanted[name])


def test_runs_are_spread_over_the_shards(store: Store, clickhouse_database: ClickHouse) -> None:
    """Each run is in the shard that its number says, and none of it in another."""
    feed = Feed(store)
    run_ids = [f"{number:032x}" for number in range(4)]
    for run_id in run_ids:
        feed.log(SeriesKey(run_id, "loss"), *curve(0, 100))
        assert store.seal(run_id) == 100
    assert [rows(clickhouse_database, node) for node in "ac"] == [(200, 200)] * 2
    for run_id in run_ids:
        assert everything(store, the_series(store, "loss", run_id)).step.size == 100


def test_blocks_hold_many_runs(
    store: Store, clickhouse_database: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits of many runs is sealed together, once there is enough of it and not before."""
    feed = Feed(store)
    monkeypatch.setenv("STEPLOG_SEAL_POINTS", "150")
    for number in range(4):
        feed.log(SeriesKey(f"{number:032x}", "loss"), *curve(0, 100))
        assert store.seal() == 0
    for number in range(4):
        feed.log(SeriesKey(f"{number:032x}", "loss"), *curve(100, 200))
    assert store.seal() == 800
    assert [rows(clickhouse_database, node) for node in "ac"] == [(400, 400)] * 2


def test_a_block_that_is_sent_again_doubles_nothing(
    store: Store, postgres_uri: str, clickhouse_database: ClickHouse
) -> None:
    """A block that was written, and then not put in place, is the same when it is sent again.

    ClickHouse knows it; and rows that it has twice all the same are read once.
    """
    Feed(store).log("loss", *curve(0, 5000))
    node = node_of(postgres_uri)
    with refusing(postgres_uri):
        with pytest.raises(StoreError, match="not today"):
            store.seal(RUN)
        assert rows(clickhouse_database, node) == (5000, 5000)
        Feed(store).log("loss", *curve(4000, 6000))
        assert read(store) == curve(0, 6000)
    assert store.seal(RUN) == 7000
    assert rows(clickhouse_database, node) == (7000, 6000)
    table = the_table(clickhouse_database, node)
    query = f"INSERT INTO {table} SELECT * FROM {table} WHERE step < 3000"
    clickhouse_database.query(query, node=node)
    assert rows(clickhouse_database, node) == (10_000, 6000)
    assert read(store) == curve(0, 6000)
    clickhouse_database.query(f"OPTIMIZE TABLE {table} FINAL", node=node)
    assert rows(clickhouse_database, node) == (6000, 6000)
    assert read(store) == curve(0, 6000)
    assert known(store, "count", "last_step") == [6000, 5999]


def test_a_reader_sees_one_state_of_both(store: Store) -> None:
    """Who began to read before a block was put in place sees none of it, though it is there."""
    feed = Feed(store)
    size = 3 << 18  # more than is asked for at once
    many = np.zeros(size, POINT)
    many["step"], many["timestamp"], many["series"] = np.arange(size), 7, 1
    batch = feed.batch({SeriesKey(RUN, "loss"): []})
    assert store.apply(batch._replace(points=many)) == []
    store.seal(RUN)
    pieces = store.points(the_series(store).series_id)
    seen = [next(pieces)]
    feed.log("loss", *((step, 1, 0.5) for step in range(-1, size, 1000)))
    store.seal(RUN)
    seen.extend(pieces)
    assert np.concatenate([each.step for each in seen]).tolist() == [*range(size)]
    assert len(read(store)) == size + 787


SEAL = """
import sys
from steplog.stores import open_store
store = open_store(sys.argv[1])
print(flush=True)
store.seal(sys.argv[2])
"""


def test_who_seals_may_be_killed_between_the_databases(
    store: Store, postgres_uri: str, clickhouse_database: ClickHouse
) -> None:
    """Processes are killed while a block is claimed: nothing is lost, and nothing is twice."""
    feed, kills, size = Feed(store), 0, 0
    random = np.random.default_rng(0)
    while kills < KILLS:
        feed.log("loss", *curve(size, size + 20_000))
        size += 20_000
        kills += kill_while_sealing(postgres_uri, pause=random.uniform(0, 0.2))
        assert len(read(store)) == size
    store.seal(RUN)
    assert known(store, "count") == [size]
    assert read(store) == curve(0, size)
    assert not claimed(postgres_uri)
    assert rows(clickhouse_database, node_of(postgres_uri))[1] == size


def kill_while_sealing(uri: str, pause: float) -> bool:
    """Kill a process that seals, some seconds after it has claimed a block; say if it still has."""
    sealing = subprocess.Popen([sys.executable, "-c", SEAL, uri, RUN], stdout=subprocess.PIPE)
    with sealing:
        assert sealing.stdout is not None
        sealing.stdout.readline()
        wait_until(lambda: claimed(uri) or sealing.poll() is not None, "a claim")
        time.sleep(pause)
        sealing.kill()
    return claimed(uri)


def test_a_replica_is_killed(
    clickhouse_cluster: ClickHouseCluster, postgres_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one replica of a shard is alive its points are read and written; then the other is."""
    with (
        clickhouse_cluster.fresh() as points,
        closing(new_store(monkeypatch, postgres_uri, points)) as store,
    ):
        feed = Feed(store)
        feed.log(SeriesKey(OTHER_RUN, "loss"), *curve(0, 10))
        feed.log("loss", *curve(0, 1000))
        run_id = RUN if node_of(postgres_uri) == "a" else OTHER_RUN
        key = SeriesKey(run_id, "acc")
        for round_, (victim, end) in enumerate((("a", 2000), ("b", 3000), ("a", 4000))):
            clickhouse_cluster.kill_node(victim)
            feed.log(key, *curve(0 if not round_ else end - 1000, end))
            store.seal(run_id)
            assert everything(store, the_series(store, "acc", run_id)).step.size == end
            clickhouse_cluster.start_node(victim)
            wait_until(lambda: rows(points, "a") == rows(points, "b"), "replicas to agree")
        assert damages(store) == []


def test_points_wait_while_clickhouse_is_away(
    clickhouse_cluster: ClickHouseCluster, postgres_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without ClickHouse points are taken all the same, and read; one warning says where they are.

    What was sealed before cannot be read, which is an error that can be tried again.
    """
    monkeypatch.setenv("STEPLOG_SEAL_POINTS", "1")
    with (
        clickhouse_cluster.fresh() as points,
        closing(new_store(monkeypatch, postgres_uri, points)) as store,
    ):
        feed = Feed(store)
        feed.log("old", *curve(0, 1000))
        assert store.seal() == 1000
        for name in "abc":
            clickhouse_cluster.kill_node(name)
        feed.log("loss", *curve(0, 1000))
        with pytest.warns(SteplogWarning, match="wait in the catalog"):
            assert store.seal() == 0
        assert store.seal() == 0
        assert read(store, "loss") == curve(0, 1000)
        with pytest.raises(StoreError, match="cannot be reached"):
            read(store, "old")
        for name in "abc":
            clickhouse_cluster.start_node(name)
        wait_until(lambda: store.seal() == 1000, "points to be sealed")
        assert read(store, "loss") == read(store, "old") == curve(0, 1000)


def test_what_is_purged_leaves_clickhouse(
    store: Store, postgres_uri: str, clickhouse_database: ClickHouse
) -> None:
    """The rows of a run that is removed for good are removed, and those of others stay."""
    feed = Feed(store)
    run_ids = [f"{number:032x}" for number in range(3)]
    for run_id in run_ids:
        feed.log(SeriesKey(run_id, "loss"), *curve(0, 100))
        store.seal(run_id)
    nodes = [node_of(postgres_uri, run_id) for run_id in run_ids]
    assert store.purge([run_ids[0]]) == 1
    left = {node: 100 * nodes[1:].count(node) for node in nodes}
    wait_until(
        lambda: all(rows(clickhouse_database, node)[0] == left[node] for node in left),
        "rows to be gone",
    )
    for run_id in run_ids[1:]:
        assert everything(store, the_series(store, "loss", run_id)).step.size == 100


def test_what_clickhouse_lost_is_told(
    store: Store, postgres_uri: str, clickhouse_database: ClickHouse
) -> None:
    """Rows that are gone are damage that is told, and keep nobody from sealing and reading on."""
    feed = Feed(store)
    feed.log("loss", *curve(0, 10_000))
    feed.log("acc", *curve(0, 10_000))
    store.seal(RUN)
    lost = the_series(store, "loss").series_id
    node = node_of(postgres_uri)
    clickhouse_database.query(
        f"ALTER TABLE {the_table(clickhouse_database, node)} "
        f"DELETE WHERE series_id = {lost} AND step BETWEEN 5000 AND 5100",
        node=node,
    )
    wait_until(lambda: rows(clickhouse_database, node)[0] == 20_000 - 101, "rows to be gone")
    with pytest.raises(StoreDamaged, match=f"lacks points of series {lost}"):
        read(store, "loss")
    assert damages(store)[0].where.startswith(f"series {lost} ")
    for key in ("loss", "acc"):
        feed.log(key, *curve(5050, 5060), *curve(10_000, 11_000))
    assert store.seal(RUN) == 2020
    assert read(store, "acc") == curve(0, 11_000)
    assert read(store, "loss", steps=(6200, 20_000)) == curve(6200, 11_000)
    store.purge([RUN])


def test_upgrading_again_changes_nothing(
    store: Store, postgres_uri: str, clickhouse_database: ClickHouse
) -> None:
    """`upgrade_store` may run at any time; tables and points stay."""
    Feed(store).log("loss", *curve(0, 100))
    store.seal(RUN)
    upgrade_store(postgres_uri)
    assert read(store) == curve(0, 100)


def test_a_catalog_is_restored(
    store: Store, postgres_uri: str, clickhouse_database: ClickHouse
) -> None:
    """Points that an older copy of a catalog does not know are never mixed with those to come."""
    feed = Feed(store)
    feed.log("loss", *curve(0, 1000))
    store.seal(RUN)
    store.close()
    server, _, name = postgres_uri.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}_copy TEMPLATE {name}".encode())
    for first in (500, 1500):
        feed.log("loss", *curve(first, first + 1000))
        feed.log("only in one", *curve(0, 100))
        store.seal(RUN)
    with pytest.raises(StoreError, match="holds 2 blocks of points"):
        upgrade_store(f"{server}/{name}_copy")
    upgrade_store(f"{server}/{name}_copy", drop_newer_points=True)
    with closing(open_store(f"{server}/{name}_copy")) as copy:
        assert read(copy) == curve(0, 1000)
        Feed(copy).log("only in the other", *curve(50, 150))
        Feed(copy).log("loss", *curve(900, 1200))
        assert copy.seal(RUN) == 400
        assert read(copy, "only in the other") == curve(50, 150)
        assert read(copy, "loss") == curve(0, 1200)
        assert damages(copy) == []
    store.purge([RUN])  # nobody may use both


def test_other_shards_are_refused(
    store: Store,
    postgres_uri: str,
    clickhouse_database: ClickHouse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Servers that are not the shards that runs were distributed to are refused, by name."""
    hosts = clickhouse_database.uri.partition("?")[0]
    monkeypatch.setenv("STEPLOG_POINTS_URI", hosts)
    with pytest.raises(StoreError, match="never changes"):
        upgrade_store(postgres_uri)
    monkeypatch.setenv("STEPLOG_POINTS_URI", f"{hosts}?cluster=other")
    with pytest.raises(StoreError, match="cluster 'other'"):
        upgrade_store(postgres_uri)


def test_where_points_live_is_decided_once(
    postgres_uri: str, clickhouse_database: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A catalog that has points does not begin to keep them elsewhere, and says what to do."""
    upgrade_store(postgres_uri)
    with closing(open_store(postgres_uri)) as store:
        Feed(store).log("loss", *curve(0, 5000))
    monkeypatch.setenv("STEPLOG_POINTS_URI", clickhouse_database.uri)
    with pytest.raises(StoreError, match="steplog db upgrade"):
        open_store(postgres_uri)
    with pytest.raises(StoreError, match="steplog sync"):
        upgrade_store(postgres_uri)


def test_who_does_not_know_where_points_live_is_refused(
    store: Store, postgres_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without STEPLOG_POINTS_URI points would be kept where nobody else looks: that is told."""
    monkeypatch.delenv("STEPLOG_POINTS_URI")
    with pytest.raises(StoreError, match="STEPLOG_POINTS_URI"):
        open_store(postgres_uri)
