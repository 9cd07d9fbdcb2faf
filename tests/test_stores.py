"""Every store passes the shipped suite; what only the embedded one promises is tested here."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steplog.exceptions import FormatTooNew, StoreDamaged, StoreError
from steplog.operations import SeriesKey
from steplog.stores import open_store
from steplog.stores.base import Damage, Store
from steplog.stores.checking import differences
from steplog.stores.memory import MemoryStore
from steplog.stores.schema import FORMAT
from steplog.stores.sqlite import SQLiteStore
from steplog.summary import SUMMARY
from steplog.testing import (
    RUN,
    Feed,
    StoreSuite,
    create_run,
    everything,
    read,
    snapshot,
    the_series,
    together,
)


class TestMemoryStore(StoreSuite):
    """The specification agrees with the suite."""

    def open_store(self, directory: Path) -> Store:
        """Return a store in memory."""
        return MemoryStore()


class TestSQLiteStore(StoreSuite):
    """The embedded store agrees with the suite."""

    def open_store(self, directory: Path) -> Store:
        """Return a store in this directory."""
        return open_store(directory)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    """Open an embedded store in the test's directory."""
    with closing(SQLiteStore(tmp_path, timeout=0.05)) as store:
        yield store


@pytest.fixture
def sealed(store: SQLiteStore) -> SQLiteStore:
    """Return a store with 20,000 sealed points of one series."""
    Feed(store).log("loss", *((step, step, step % 7 / 8) for step in range(20_000)))
    store.seal(RUN)
    return store


def execute(directory: Path, statement: str, *values: object) -> None:
    """Change a catalog behind the store's back."""
    with closing(sqlite3.connect(directory / "catalog.db", isolation_level=None)) as connection:
        connection.execute(statement, values)


def damages(store: Store) -> list[Damage]:
    """Return what `check` finds."""
    return [each for each in store.check() if isinstance(each, Damage)]


def test_a_store_opened_again_holds_what_it_held(tmp_path: Path) -> None:
    """Everything, and every position, is there after closing and opening; no other file is left."""
    with closing(SQLiteStore(tmp_path)) as store:
        feed = Feed(store)
        feed.operate(create_run())
        feed.log("loss", *((step, step, float("nan")) for step in range(10_000)))
        store.seal(RUN)
        feed.log("loss", (10_000, 0, -0.0))
        before = snapshot(store), store.positions([feed.journal_id])
    assert os.listdir(tmp_path) == ["catalog.db"]
    with closing(SQLiteStore(tmp_path)) as store:
        assert (snapshot(store), store.positions([feed.journal_id])) == before


def test_processes_may_create_one_store_at_once(tmp_path: Path) -> None:
    """Eight processes that start together in an empty directory make one store and lose nothing."""
    script = (
        "import sys; from pathlib import Path; from steplog.testing import Feed\n"
        "from steplog.stores import open_store\n"
        "number = sys.argv[1]; print(flush=True); sys.stdin.readline()\n"
        "feed = Feed(open_store(Path('store')), number * 32); feed.log('key' + number, (1, 1, 1.0))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=tmp_path,
        )
        for number in range(8)
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        process.communicate(b"\n")
    assert [process.returncode for process in processes] == [0] * 8
    with closing(SQLiteStore(tmp_path / "store")) as store:
        assert [each.key.key for each in store.series([RUN])] == [f"key{n}" for n in range(8)]
    assert os.listdir(tmp_path / "store") == ["catalog.db"]


def test_a_newer_format_is_left_alone(tmp_path: Path) -> None:
    """A catalog of a newer format is refused, naming both formats, and no byte is touched."""
    SQLiteStore(tmp_path).close()
    execute(tmp_path, "PRAGMA user_version = 99")
    before = (tmp_path / "catalog.db").read_bytes()
    with pytest.raises(FormatTooNew, match=rf"format 99.* up to {FORMAT}"):
        SQLiteStore(tmp_path)
    assert os.listdir(tmp_path) == ["catalog.db"]
    assert (tmp_path / "catalog.db").read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" + b"\xff" * 4096, b"hello" * 1000])
def test_a_file_that_is_no_catalog_is_damage(tmp_path: Path, content: bytes) -> None:
    """A catalog.db that is empty, garbage or something else is reported, and not overwritten."""
    (tmp_path / "catalog.db").write_bytes(content)
    with pytest.raises(StoreDamaged):
        SQLiteStore(tmp_path)
    assert (tmp_path / "catalog.db").read_bytes() == content


def test_another_database_is_no_catalog(tmp_path: Path) -> None:
    """A database of another program is not taken for a catalog."""
    execute(tmp_path, "CREATE TABLE theirs (x)")
    with pytest.raises(StoreDamaged, match="not a catalog"):
        SQLiteStore(tmp_path)


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """Where a file stands in the way of the directory, opening says that it cannot be used."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError):
        SQLiteStore(tmp_path / "file" / "store")


def test_a_locked_catalog_is_an_error_for_now(tmp_path: Path, store: SQLiteStore) -> None:
    """While another program holds the lock, writing fails and reading goes on; then all is well."""
    batch = Feed(store).batch({SeriesKey(RUN, "loss"): [(0, 0, 1.0)]})
    with closing(sqlite3.connect(tmp_path / "catalog.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            store.apply(batch)
        assert store.runs() == []
    assert store.apply(batch) == []
    assert read(store) == [(0, 0, 1.0)]


def test_an_undone_batch_leaves_no_trace(tmp_path: Path, store: SQLiteStore) -> None:
    """When writing the points fails, the operations and the position are undone with them."""
    batch = Feed(store).batch({SeriesKey(RUN, "loss"): [(0, 0, 1.0)]}, [create_run()])
    execute(tmp_path, "ALTER TABLE tail RENAME TO elsewhere")
    with pytest.raises(StoreError, match="no such table"):
        store.apply(batch)
    execute(tmp_path, "ALTER TABLE elsewhere RENAME TO tail")
    assert (store.runs(), store.positions([batch.journal_id])) == ([], {})
    assert store.apply(batch) == []
    assert read(store) == [(0, 0, 1.0)]


def test_a_catalog_deleted_while_open_is_made_again(tmp_path: Path, store: SQLiteStore) -> None:
    """When catalog.db is deleted, the next batch goes into a new one, from the journal's start."""
    feed = Feed(store)
    feed.log("loss", (0, 0, 1.0))
    (tmp_path / "catalog.db").unlink()
    assert store.positions([feed.journal_id]) == {}
    feed.log("acc", (1, 1, 2.0))
    assert [each.key.key for each in store.series([RUN])] == ["acc"]


def test_a_directory_deleted_while_open_is_made_again(tmp_path: Path) -> None:
    """When the whole directory is deleted, the next batch makes it again."""
    directory = tmp_path / "store"
    with closing(SQLiteStore(directory)) as store:
        for path in directory.iterdir():
            path.unlink()
        directory.rmdir()
        Feed(store).log("loss", (0, 0, 1.0))
        assert read(store) == [(0, 0, 1.0)]


def test_the_log_of_a_deleted_catalog_is_not_played_into_a_new_one(
    tmp_path: Path, store: SQLiteStore
) -> None:
    """What a deleted catalog left in its write-ahead log does not appear in the next catalog."""
    Feed(store).operate(create_run())
    assert (tmp_path / "catalog.db-wal").stat().st_size > 0
    (tmp_path / "catalog.db").unlink()
    with closing(SQLiteStore(tmp_path)) as other:
        assert other.runs() == []
    assert store.runs() == []


def test_check_finds_a_flipped_byte(tmp_path: Path, sealed: SQLiteStore) -> None:
    """A byte that changed in a chunk is found, with the series and the chunk it belongs to."""
    assert damages(sealed) == []
    execute(
        tmp_path,
        "UPDATE chunk_bytes SET bytes = "
        "CAST(substr(bytes, 1, 99) || x'ee' || substr(bytes, 101) AS BLOB) WHERE chunk_id = 2",
    )
    [damage] = damages(sealed)
    assert f"loss of run {RUN}" in damage.where
    assert "chunk 2" in damage.what and "checksum" in damage.what
    with pytest.raises(StoreDamaged):
        read(sealed)


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE chunks SET max_value = max_value + 1 WHERE chunk_id = 1", "chunk 1: its summary"),
        ("UPDATE series SET count = count + 1", "its count is said to be 20001, and is 20000"),
        ("UPDATE series SET mean = mean + (1 << 40)", "its mean"),
        ("DELETE FROM chunk_bytes WHERE chunk_id = 3", "chunk 3: The bytes"),
        ("DELETE FROM chunks WHERE chunk_id = 3", "its last_step is said to be 19999"),
    ],
)
def test_check_finds_what_does_not_fit(
    tmp_path: Path, sealed: SQLiteStore, statement: str, found: str
) -> None:
    """Wrong summaries of chunks and series, and missing chunks, are found."""
    execute(tmp_path, statement)
    assert any(found in damage.what for damage in damages(sealed))


def test_check_finds_a_damaged_page(tmp_path: Path, sealed: SQLiteStore) -> None:
    """Damage to the file itself is found by check, and reported as such."""
    sealed.close()
    with open(tmp_path / "catalog.db", "r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xff" * 8192)
    assert damages(sealed)


def test_a_damaged_chunk_does_not_stop_sealing(tmp_path: Path, sealed: SQLiteStore) -> None:
    """New points are sealed although the chunk that they would have been joined to is damaged."""
    execute(tmp_path, "UPDATE chunk_bytes SET bytes = x'00' WHERE chunk_id = 3")
    Feed(sealed).log("loss", (20_000, 20_000, 1.0))
    assert sealed.seal(RUN) == 1
    assert read(sealed, steps=(20_000, 20_000)) == [(20_000, 20_000, 1.0)]


def test_runs_are_sealed_when_they_ended_or_grew(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a run, seal takes those that ended, and those with enough points waiting."""
    monkeypatch.setenv("STEPLOG_SEAL_POINTS", "300")
    feed = Feed(store)
    feed.operate(create_run())
    feed.log("loss", *((step, 0, 1.0) for step in range(299)))
    assert store.seal() == 0
    feed.log("loss", (299, 0, 1.0))
    assert store.seal() == 300
    feed.log("loss", (300, 0, 1.0))
    assert store.seal() == 0
    feed.operate(create_run()._replace(run_id="c" * 32, status="FINISHED"))
    feed.log(SeriesKey("c" * 32, "loss"), (0, 0, 1.0))
    assert store.seal() == 1


def test_a_half_full_chunk_is_filled_up(store: SQLiteStore) -> None:
    """Sealing often leaves no chunk behind, but for the last, that is less than half full."""
    for start in range(0, 10_000, 500):
        Feed(store).log("loss", *((step, step, 0.5) for step in range(start, start + 500)))
        store.seal(RUN)
    outline = store.outline(the_series(store).series_id)
    assert outline["count"].tolist() == [4500, 4500, 1000]


def test_many_points_are_sealed_at_once_though_some_wait(store: SQLiteStore) -> None:
    """A backlog becomes chunks as it comes, also behind points that wait; few points do wait."""
    points = [(step, step, step / 7) for step in range(20_000)]
    feed = Feed(store)
    feed.log("loss", *points[:1_000])
    for start in range(1_000, 19_000, 3_000):
        feed.log("loss", *points[start : start + 3_000])
    feed.log("loss", *points[19_000:])
    assert store.stats()["waiting_points"] == 2_000
    assert read(store) == points
    assert store.seal(RUN) == 2_000
    assert read(store) == points
    assert damages(store) == []


def test_writing_while_sealing_loses_nothing(tmp_path: Path) -> None:
    """Points that arrive while two stores seal the same run are all there, and each once."""
    points = [(step, step, float(step)) for step in range(30_000)]
    done = threading.Event()

    def work(number: int) -> int:
        with closing(SQLiteStore(tmp_path)) as store:
            if number:
                return sum(store.seal(RUN) for _ in iter(done.is_set, True))
            for start in range(0, 30_000, 1000):
                Feed(store).log("loss", *points[start : start + 1000])
            done.set()
            return 0

    n_sealed = sum(together(3, work))
    with closing(SQLiteStore(tmp_path)) as store:
        assert n_sealed + store.seal(RUN) == 30_000
        assert read(store) == points
        assert damages(store) == []


def test_a_sealed_store_is_small(tmp_path: Path) -> None:
    """Noisy losses of float32 precision take at most 4.5 bytes a point beyond an empty catalog."""
    rng = np.random.default_rng(3)
    values = (1 / np.sqrt(np.arange(1, 100_001)) + rng.normal(0, 0.01, 100_000)).astype("f4")
    times = np.cumsum(rng.integers(126, 148, 100_000))
    SQLiteStore(tmp_path).close()
    empty = (tmp_path / "catalog.db").stat().st_size
    with closing(SQLiteStore(tmp_path)) as store:
        rows = zip(range(100_000), times.tolist(), values.tolist(), strict=True)
        Feed(store).log("loss", *rows)
        store.seal(RUN)
    assert (tmp_path / "catalog.db").stat().st_size - empty < 4.5 * 100_000


VALUES = st.sampled_from([0.0, -0.0, 1.0, -1.5, float("nan"), float("inf"), 5e-324, 1e308, -1e308])


@st.composite
def stretches(draw: st.DrawFn) -> tuple[str, list[tuple[int, int, float]]]:
    """Draw a key and points of it, few or thousands, that may meet or repeat those of others."""
    start = draw(st.integers(-3, 3) | st.sampled_from([-(2**63), 2**62, 4000]))
    count = draw(st.integers(1, 6) | st.integers(3000, 9000))
    stride = draw(st.integers(0, 3))
    time = draw(st.integers(0, 5) | st.just(10_000))
    values = draw(st.lists(VALUES, min_size=1, max_size=5))
    points = [(start + i * stride, time + i // 2, values[i % len(values)]) for i in range(count)]
    return draw(st.sampled_from("ab")), points


@settings(max_examples=40, deadline=None)
@given(st.lists(stretches() | st.none(), max_size=8))
def test_sqlite_agrees_with_memory(
    script: list[tuple[str, list[tuple[int, int, float]]] | None],
) -> None:
    """After any batches and seals (None), the embedded store gives what the one in memory gives."""
    memory = MemoryStore()
    with (
        tempfile.TemporaryDirectory() as directory,
        closing(SQLiteStore(directory)) as sqlite,
    ):
        for action in script:
            for store in (memory, sqlite):
                if action is None:
                    store.seal(RUN)
                else:
                    Feed(store).log(action[0], *action[1])
        assert damages(sqlite) == []
        for mine, theirs in zip(memory.series([RUN]), sqlite.series([RUN]), strict=True):
            assert mine.key == theirs.key
            kept, found = (np.array([each.summary], SUMMARY) for each in (theirs, mine))
            assert differences(kept, found, theirs.exact) == []
            for ours, its in zip(everything(memory, mine), everything(sqlite, theirs), strict=True):
                assert ours.tobytes() == its.tobytes()
