"""Disks, databases and directories that fail: training goes on, one warning, nothing is lost.

What fails is real: a full file system, a limit of the process, a file in the place of a directory,
a database that another connection has locked or that holds rubbish.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import steplog
from steplog import background, places, settings
from steplog.backend import Backend, backend
from steplog.exceptions import FormatTooNew, StoreDamaged
from steplog.journal import (
    FORMAT,
    LOCKED,
    POINT,
    SERIES,
    SLOT,
    MappedJournal,
    new_header,
    pack_point,
    record,
    release,
    save,
)
from steplog.journal_reader import JournalReader
from steplog.operations import SeriesKey, encode_series
from steplog.stores import schema
from steplog.stores.base import START

STORE = Path("steplog-store")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="uses what Linux offers")


def log(points: int, first: int = 0, key: str = "loss") -> None:
    """Log so many steps of a metric to the active run."""
    for step in range(first, first + points):
        steplog.log_metric(key, step / 2, step)


def steps(run_id: str, key: str = "loss") -> list[int]:
    """Read back the steps of a metric."""
    found = steplog.read(run_id, key)
    return found[0].step.tolist() if found else []


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for the background thread, which looks once a second."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "nothing happened for twenty seconds"
        time.sleep(0.01)


def faults() -> list[str]:
    """Return what the journals say is wrong, as `steplog status` shows it."""
    return [state.fault for state in backend().journals_state() if state.fault]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look after the journals often, and do not wait long for a store."""
    monkeypatch.setattr(background, "PERIOD_SECONDS", 0.05)
    monkeypatch.setattr(background, "BUSY_SECONDS", 0.2)
    settings.override("STEPLOG_SYNC_SECONDS", 0.2)
    settings.override("STEPLOG_EXIT_SECONDS", 2.0)


# The disk --------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("always")
def test_a_file_in_place_of_the_directory(recwarn: pytest.WarningsRecorder) -> None:
    """Where no directory can be made points wait in memory; when it can, they are written."""
    STORE.write_text("in the way")
    run = steplog.start_run()
    log(1000)
    writer = backend().recorder.writer
    wait_until(lambda: writer.fault)
    assert writer.held_points() == 1000
    assert not backend().recorder.flush()
    STORE.unlink()
    wait_until(lambda: not writer.fault and not writer.held_points())
    log(10, first=1000)
    assert backend().recorder.flush(20)
    assert steps(run.info.run_id) == list(range(1010))
    assert [text for text in texts(recwarn) if "cannot write" in text] == [texts(recwarn)[0]]


def texts(recorded: pytest.WarningsRecorder) -> list[str]:
    """Return the texts of steplog's warnings."""
    return [str(w.message) for w in recorded if w.category is steplog.SteplogWarning]


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may write anywhere")
@pytest.mark.filterwarnings("always")
def test_a_directory_that_becomes_unwritable() -> None:
    """A directory without permission to write is a fault that passes like any other."""
    run = steplog.start_run()
    log(10)
    assert backend().recorder.flush(20)
    (STORE / "journal").chmod(0o500)
    try:
        log(600_000, first=10)  # more than one journal holds
        assert backend().recorder.writer.fault
    finally:
        (STORE / "journal").chmod(0o700)
    wait_until(lambda: not backend().recorder.writer.fault)
    assert len(steps(run.info.run_id)) == 600_010


@pytest.mark.filterwarnings("always")
def test_memory_is_bounded_and_what_it_cannot_hold_is_counted(
    recwarn: pytest.WarningsRecorder,
) -> None:
    """Beyond the limit of memory points are dropped: counted, and warned of once."""
    settings.override("STEPLOG_MEMORY_LIMIT_MB", 1)
    STORE.write_text("in the way")
    run = steplog.start_run()
    log(50_000)
    writer = backend().recorder.writer
    kept = writer.held_points()
    assert 1 << 20 <= writer.held_bytes() < 2 << 20
    assert writer.dropped == 50_000 - kept > 0
    assert [text for text in texts(recwarn) if "drops points" in text]
    STORE.unlink()
    wait_until(lambda: not writer.fault and not writer.held_points())
    assert steps(run.info.run_id) == list(range(kept))
    assert [state.dropped_points for state in backend().journals_state()] == [50_000 - kept]
    assert sum("drops points" in text for text in texts(recwarn)) == 1


LIMITED = """
import resource, sys, warnings
import steplog
from steplog.backend import backend

run = steplog.start_run()
print(run.info.run_id)
for step in range(1000): steplog.log_metric("loss", step / 2, step)
resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, resource.RLIM_INFINITY))
points = int(sys.argv[1])  # more than the journal has room for
for step in range(1000, points): steplog.log_metric("loss", step / 2, step)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
steplog.log_metric("after", 1)
"""


@linux
@pytest.mark.parametrize(("journal", "points"), [("mmap", 600_000), ("append", 120_000)])
def test_files_that_may_not_grow(journal: str, points: int) -> None:
    """Where a limit on the size of files stops the journal, memory takes over meanwhile."""
    result = subprocess.run(
        [sys.executable, "-c", LIMITED, str(points)], capture_output=True, text=True, check=False,
        env={**os.environ, "STEPLOG_JOURNAL": journal, "STEPLOG_INGEST": "off"}, timeout=60,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("SteplogWarning") == 1
    run_id = result.stdout.strip()
    assert steps(run_id) == list(range(points))
    assert steps(run_id, "after") == [0]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 6 MiB."""
    mountpoint = tmp_path / "disk"
    mountpoint.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(mountpoint)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may not mount a file system")
    yield mountpoint
    backend(str(mountpoint / "store")).recorder.close()
    subprocess.run(["umount", "--lazy", str(mountpoint)], check=True)


@linux
@pytest.mark.parametrize("journal", ["mmap", "append"])
@pytest.mark.filterwarnings("always")
def test_a_full_disk(small_disk: Path, journal: str, recwarn: pytest.WarningsRecorder) -> None:
    """A full disk neither stops nor kills the process; when there is room again all points come."""
    settings.override("STEPLOG_JOURNAL", journal)
    settings.override("STEPLOG_INGEST", "off")
    steplog.set_tracking_uri(small_disk / "store")
    run = steplog.start_run()
    log(1000)
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    log(299_000, first=1000)
    writer = backend().recorder.writer
    wait_until(lambda: writer.fault)
    assert "No space left" in writer.fault
    assert writer.held_points() > 0
    settings.override("STEPLOG_TRACKING_URI", None)
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    wait_until(lambda: not writer.fault and not writer.held_points())
    assert steps(run.info.run_id) == list(range(300_000))
    assert len(texts(recwarn)) == 1


# The directory ---------------------------------------------------------------------------------


@pytest.mark.parametrize("journal", ["mmap", "append"])
@pytest.mark.filterwarnings("always")
def test_a_directory_that_is_deleted_while_it_is_written(
    journal: str, recwarn: pytest.WarningsRecorder
) -> None:
    """The directory is made again, with all that the open journal held; logging goes on."""
    settings.override("STEPLOG_JOURNAL", journal)
    run = steplog.start_run()
    log(1000)
    assert backend().recorder.flush(20)
    shutil.rmtree(STORE)
    log(1000, first=1000)
    wait_until(lambda: texts(recwarn))
    log(1000, first=2000)
    assert backend().recorder.flush(20)
    assert steps(run.info.run_id) == list(range(3000))
    assert steplog.get_run(run.info.run_id).info.run_name == run.info.run_name
    assert sum("was deleted" in text for text in texts(recwarn)) == 1


@pytest.mark.filterwarnings("always")
def test_journals_that_are_deleted_while_the_catalog_stays() -> None:
    """Points that the catalog has already are not stored twice when a journal is written again."""
    run = steplog.start_run()
    log(1000)
    assert backend().recorder.flush(20)
    first = backend().recorder.writer.journal_id
    shutil.rmtree(STORE / "journal")
    wait_until(lambda: backend().recorder.writer.journal_id != first)
    log(1000, first=1000)
    assert backend().recorder.flush(20)
    assert steps(run.info.run_id) == list(range(2000))
    steplog.end_run()
    summary = steplog.Client().summary(run.info.run_id)
    assert [each.count for each in summary] == [2000]


# The catalog -----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("always")
def test_a_catalog_that_another_program_has_locked(recwarn: pytest.WarningsRecorder) -> None:
    """Logging goes on while the catalog is locked, the fault is told, and it passes by itself."""
    run = steplog.start_run()
    log(10)
    assert backend().recorder.flush(20)
    lock = sqlite3.connect(STORE / "catalog.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    begin = time.monotonic()
    log(1000, first=10)
    steplog.log_param("rate", 0.1)
    steplog.set_tag("note", "locked")
    wait_until(faults)
    assert "locked" in faults()[0]
    assert not backend().recorder.flush()
    assert time.monotonic() - begin < 20
    lock.execute("ROLLBACK")
    lock.close()
    wait_until(lambda: not faults())
    assert steps(run.info.run_id) == list(range(1010))
    assert steplog.get_run(run.info.run_id).data.params == {"rate": "0.1"}
    assert sum("cannot ingest" in text for text in texts(recwarn)) == 1


@pytest.mark.filterwarnings("always")
def test_a_script_ends_in_time_while_the_catalog_is_locked() -> None:
    """A script that begins and ends while the catalog is locked loses nothing and does not hang."""
    steplog.start_run()
    steplog.end_run()
    with sqlite3.connect(STORE / "catalog.db", isolation_level=None) as lock:
        lock.execute("BEGIN IMMEDIATE")
        script = (
            "import steplog; steplog.set_experiment('digits')\n"
            "run = steplog.start_run(); print(run.info.run_id)\n"
            "steplog.log_params({'a': 1})\n"
            "for step in range(1000): steplog.log_metric('loss', step, step)\n"
        )
        result = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, "STEPLOG_SYNC_SECONDS": "0.5", "STEPLOG_EXIT_SECONDS": "0.5"},
        )  # fmt: skip
        lock.execute("ROLLBACK")
    assert result.returncode == 0, result.stderr
    run_id = result.stdout.strip()
    assert steps(run_id) == list(range(1000))
    assert steplog.get_run(run_id).info.status == "FINISHED"


@pytest.mark.filterwarnings("always")
def test_a_catalog_that_holds_rubbish(recwarn: pytest.WarningsRecorder) -> None:
    """Logging goes on beside a damaged catalog; once that is moved away, everything is stored."""
    STORE.mkdir()
    catalog = STORE / "catalog.db"
    catalog.write_bytes(b"rubbish " * 4096)
    before = catalog.read_bytes()
    run = steplog.start_run()
    log(1000)
    writer = backend().recorder.writer
    wait_until(lambda: writer.store_fault)
    with pytest.raises(StoreDamaged):
        steplog.read(run.info.run_id)
    assert catalog.read_bytes() == before
    catalog.unlink()
    wait_until(lambda: not writer.store_fault)
    assert steps(run.info.run_id) == list(range(1000))
    assert sum("cannot ingest" in text for text in texts(recwarn)) == 1


@pytest.mark.filterwarnings("always")
def test_a_catalog_of_a_newer_format() -> None:
    """A newer catalog is left untouched; the error names both versions; the journal keeps all."""
    steplog.start_run()
    log(10)
    steplog.end_run()
    backend().recorder.close()
    catalog = STORE / "catalog.db"
    with sqlite3.connect(catalog) as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    script = (
        "import steplog\n"
        "run = steplog.start_run(); print(run.info.run_id)\n"
        "for step in range(1000): steplog.log_metric('loss', step, step)\n"
    )
    for leftover in STORE.glob("catalog.db-*"):
        leftover.unlink()
    before = catalog.read_bytes()
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    assert catalog.read_bytes() == before
    with pytest.raises(FormatTooNew, match=rf"99.* {schema.FORMAT}\."):
        Backend(places.resolve(str(STORE))).store()
    with sqlite3.connect(catalog) as connection:
        connection.execute(f"PRAGMA user_version = {schema.FORMAT}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    assert steps(result.stdout.strip()) == list(range(1000))


# Journals --------------------------------------------------------------------------------------


def test_a_journal_of_a_newer_format_is_reported_and_left() -> None:
    """A journal that a newer steplog wrote stays as it is, and keeps nobody from reading."""
    run = steplog.start_run()
    log(10)
    newer = new_header("c" * 32, LOCKED, durable=False)._replace(format=FORMAT + 1)
    path = Path(save(str(STORE / "journal"), newer, bytes(4096)))
    before = path.read_bytes()
    report = backend().ingest()
    assert len(report.damaged) == 1
    assert f"format {FORMAT + 1}" in report.damaged[0]
    assert path.read_bytes() == before
    assert steps(run.info.run_id) == list(range(10))


def test_a_journal_without_a_header_goes_when_it_is_old() -> None:
    """What a process left that died while it made a journal holds nothing, and is removed."""
    steplog.start_run()
    log(1)
    torn = STORE / "journal" / f"{'d' * 32}.journal"
    torn.write_bytes(bytes(8192))
    assert backend().ingest().damaged == []
    assert torn.exists()
    os.utime(torn, (0, 0))
    assert backend().ingest().damaged == []
    assert not torn.exists()


def test_looking_at_many_journals_keeps_none_of_them_open() -> None:
    """A directory with more journals than a process may open files can still be looked at."""
    directory = STORE / "journal"
    directory.mkdir(parents=True)
    open_files = len(os.listdir("/dev/fd"))
    for _ in range(50):
        save(str(directory), new_header("e" * 32, LOCKED, durable=False), b"")
    assert len(backend().journals_state()) == 50
    assert len(os.listdir("/dev/fd")) < open_files + 10


def test_a_thread_that_meets_a_closed_journal() -> None:
    """A slot claimed in a journal that was closed meanwhile is given up without an error."""
    run = steplog.start_run()
    log(10)
    writer = backend().recorder.writer
    buffer, claim = writer.head
    slot = claim()
    writer.seal()
    writer.release_retired(at_once=True)
    with pytest.raises(TypeError):
        pack_point(buffer, slot, 10, 0, 5.0, 1, POINT)
    release(buffer, slot)
    log(1, first=10)
    assert steps(run.info.run_id) == list(range(11))


def test_a_definition_that_others_read_in_time(tmp_path: Path) -> None:
    """A reader that passed a definition before it was written finds it when a point needs it."""
    journal = MappedJournal(str(tmp_path), new_header("f" * 32, LOCKED, durable=False))
    definition = journal.append(record(SERIES, encode_series(SeriesKey("a" * 32, "loss")), 1))
    assert definition is not None
    buffer = journal.head[0]
    head = bytes(buffer[definition : definition + SLOT])
    buffer[definition : definition + SLOT] = bytes(SLOT)  # as if its thread had not come so far
    early, other = JournalReader(journal.path), JournalReader(journal.path)
    passed = early.read(START, final=False)
    assert passed is not None
    buffer[definition : definition + SLOT] = head
    learned = other.read(passed.after, final=False)
    assert learned is not None
    journal.append_points([7, 7, 7.0, 1, POINT], 1)
    found = early.read(learned.after, final=False)
    assert found is not None
    assert (found.points["step"].tolist(), found.damaged) == ([7], [])
    early.close()
    other.close()
    journal.discard()


def test_a_clock_that_jumps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that jumps back a day spoils nothing: points keep the time that it told."""
    run = steplog.start_run()
    log(100)
    assert backend().recorder.flush(20)
    real = time.time
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: real() - 86_400)
        bound = run.metric("bound")  # takes the clock with it
        for step in range(100):
            bound.log(step / 2, step)
        assert backend().recorder.flush(20)
    log(100, first=100)
    assert steps(run.info.run_id) == list(range(200))
    assert steps(run.info.run_id, "bound") == list(range(100))
    (loss, early) = steplog.read(run.info.run_id, ["loss", "bound"])[::-1]
    assert early.timestamp.max() < loss.timestamp.min() - 80_000_000
