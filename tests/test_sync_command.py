"""steplog sync between directories, torn copies, spools and servers; watched, and killed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from services.daemons import wait_until
from services.mlflow_servers import MlflowServer
from serving import serving
from test_clusters import read_only
from test_sync import fill, readable

import steplog
from steplog.backend import backend, shown_status
from steplog.cli import main
from steplog.operations import CreateRun, LogParams, SeriesKey, UpdateRun
from steplog.places import resolve
from steplog.points import Columns
from steplog.sending import Outbox
from steplog.stores import open_store
from steplog.stores.base import RunRecord, Store
from steplog.testing import Feed, create_run

STEPLOG = [sys.executable, "-m", "steplog"]

# Logs until its standard input ends, resting so many seconds after each 1000 steps.
TRAINING = """
import sys, threading
import steplog

over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
with steplog.start_run(run_name="watched") as run:
    print(run.info.run_id, flush=True)
    step = 0
    while not over.is_set():
        for key in ("loss", "accuracy"):
            steplog.log_metric(key, step % 1009 / 8, step)
        if step % 1000 == 0:
            steplog.set_tag("step", step)
            over.wait(float(sys.argv[1]))
        step += 1
print(step, flush=True)
"""


def run(*arguments: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(main, ["sync", *arguments], prog_name="steplog")


def synced(*arguments: str) -> Any:
    """Return the document of a sync in which all is well."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@contextmanager
def opened(directory: Path | str) -> Iterator[Store]:
    """Open the store in a directory, with all that its journals hold."""
    found = backend(str(directory))
    yield found.store()
    found.close()


def assert_equal(*directories: Path | str) -> None:
    """The stores in two directories hold the same."""
    with opened(directories[0]) as one, opened(directories[1]) as other:
        assert readable(one) == readable(other)


@pytest.fixture
def recorded() -> list[str]:
    """Record three runs in two experiments, one after the other, and return their ids."""
    ids = []
    for number, experiment in enumerate(("digits", "digits", "letters")):
        steplog.set_experiment(experiment)
        with steplog.start_run(run_name=f"run-{number}") as started:
            steplog.log_params({"number": number})
            for step in range(100):
                steplog.log_metric("loss", 1 / (step + 1), step)
        ids.append(started.info.run_id)
    return ids


# Directories --------------------------------------------------------------------------------------


def test_a_directory_into_a_new_one(recorded: list[str]) -> None:
    """All is there afterwards, and told; a second sync finds nothing to do."""
    document = synced("steplog-store", "target")
    assert (document["runs"], document["points"]) == (3, 300)
    assert document["sent"] == sorted(recorded)
    assert_equal("steplog-store", "target")
    again = synced("steplog-store", "target", "--verify")
    assert (again["operations"], again["points"], again["verified"]) == (0, 0, 3)
    assert "3 runs compared, nothing to send." in run("steplog-store", "target").stdout


def test_a_part_of_a_directory(recorded: list[str]) -> None:
    """Runs are chosen by the beginning of their ids, or their names; experiments by their names."""
    assert synced("steplog-store", "one", "--run", recorded[0][:8])["sent"] == [recorded[0]]
    assert synced("steplog-store", "two", "--run", "run-1")["sent"] == [recorded[1]]
    assert synced("steplog-store", "three", "--experiment", "letters")["sent"] == [recorded[2]]
    for arguments in (["--run", "nobody"], ["--experiment", "nothing"]):
        result = run("steplog-store", "four", *arguments)
        assert result.exit_code == 1
        assert "in the source" in result.stderr


def test_a_dry_run_sends_nothing(recorded: list[str]) -> None:
    """It tells what would be sent, and neither makes a target nor changes one."""
    assert synced("steplog-store", "target", "--dry-run")["points"] == 300
    assert not os.path.exists("target")
    synced("steplog-store", "target", "--run", recorded[0])
    assert synced("steplog-store", "target", "--dry-run")["sent"] == sorted(recorded[1:])
    with opened("target") as target:
        assert len(target.runs()) == 1


def test_what_the_target_keeps_is_told(recorded: list[str]) -> None:
    """Another value of a param is told on the screen and in the document; the exit code is 1."""
    synced("steplog-store", "target")
    with closing(open_store("more")) as store:
        Feed(store).operate(create_run(recorded[0]), LogParams(recorded[0], {"number": "7"}))
    result = run("more", "target")
    assert result.exit_code == 1
    assert f"run {recorded[0]}: param number" in result.stdout
    kept = json.loads(run("more", "target", "--json").stdout)["kept"]
    assert {"what": f"run {recorded[0]}: param number", "source": "7", "target": "0"} in kept


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere", "target"], "no store"),
        (["steplog-store", "./steplog-store"], "the same"),
        (["steplog-store"], "where to"),
        (["--verify"], "delivered whole"),
        (["steplog-store", "target", "--watch", "--verify"], "look once"),
        (["steplog-store", "gopher://host"], "tracking URI"),
    ],
)
def test_misuse_is_told(recorded: list[str], arguments: list[str], said: str) -> None:
    """What cannot be synced is said in a sentence, and nothing is made."""
    result = run(*arguments)
    assert result.exit_code in (1, 2)
    assert said in result.stderr
    assert not os.path.exists("target") and not os.path.exists("nowhere")


# Copies -------------------------------------------------------------------------------------------


def cp(*arguments: Path | str) -> None:
    """Copy files by another process: this one, closing them, would give back SQLite's locks."""
    subprocess.run(["cp", "-r", *map(str, arguments)], check=True)


def test_a_torn_copy_is_not_taken_over(tmp_path: Path) -> None:
    """Of files that were copied at different moments nothing wrong comes into the target, and most
    often nothing at all; the copy that is whole brings everything.
    """
    moments = []
    store = open_store(tmp_path / "source")
    for number in range(4):
        for letter in "abcdef":
            run_id = f"{number}{letter}" + "0" * 30
            feed = Feed(store, run_id)
            feed.operate(create_run(run_id), UpdateRun(run_id, 0, "FINISHED", 9))
            for start in range(0, 3000, 500):
                key = SeriesKey(run_id, "loss")
                feed.log(key, *((step, step, step % 97 / 8) for step in range(start, start + 500)))
            if letter == "c":
                checkpoint(tmp_path / "source")
        store.seal()
        moments.append(tmp_path / str(number))
        cp(tmp_path / "source", moments[-1])
    refused = 0
    for early, late in combinations(range(4), 2):
        copy = tmp_path / f"copy-{early}-{late}"
        cp(moments[early], copy)
        cp(moments[late] / "catalog.db-wal", copy)
        result = run(str(copy), "target")
        assert result.exit_code == 0 or "copy it again" in result.stderr, result.output
        refused += result.exit_code
    assert refused > 1
    synced(str(moments[-1]), "target")
    store.close()
    assert_equal(tmp_path / "source", "target")


def checkpoint(directory: Path) -> None:
    """Move what waits in the log of a catalog into its file."""
    with closing(sqlite3.connect(directory / "catalog.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


# Spools -------------------------------------------------------------------------------------------


def log_offline(url: str) -> str:
    """Log to a server as on a plane; return the run's id."""
    script = (
        "import steplog\n"
        "with steplog.start_run() as run:\n"
        "    for step in range(100): steplog.log_metric('loss', step / 8, step)\n"
        "print(run.info.run_id)"
    )
    environment = {**os.environ, "STEPLOG_OFFLINE": "1", "STEPLOG_TRACKING_URI": url}
    return subprocess.check_output(
        [sys.executable, "-c", script], env=environment, text=True
    ).strip()


def nowhere() -> str:
    """Return the URL of a server that is not there."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_what_waits_can_be_delivered_elsewhere() -> None:
    """The journals of a spool go into another target, once, and are then gone from the spool."""
    url = nowhere()
    run_id = log_offline(url)
    spool = resolve(url).directory
    [delivered] = synced(spool, "target")["delivered"]
    assert (delivered["points"], delivered["removed"]) == (100, 1)
    assert synced(spool, "target")["delivered"][0]["points"] == 0
    with opened("target") as target:
        assert [each.row.run_id for each in target.runs()] == [run_id]
        assert target.series([run_id])[0].summary["count"] == 100


def test_a_server_that_is_away_keeps_what_waits() -> None:
    """The sync says that it cannot be reached, with exit code 1; the journals stay."""
    url = nowhere()
    log_offline(url)
    result = run("--json")
    assert result.exit_code == 1
    [delivered] = json.loads(result.stdout)["delivered"]
    assert delivered["store"] == url and delivered["fault"]
    assert os.listdir(resolve(url).journals)
    steplog.log_metric("here", 1)
    status = CliRunner().invoke(main, ["status"]).stdout
    assert f"Journals wait for {url}, too. `steplog sync` delivers them." in status


@pytest.mark.long
@pytest.mark.slow
def test_what_waits_is_delivered_to_its_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without arguments, whatever waits goes where it belongs, in spite of STEPLOG_OFFLINE."""
    monkeypatch.setenv("STEPLOG_OFFLINE", "1")
    with serving(tmp_path / "served") as server:
        run_ids = {log_offline(server.url) for _ in range(2)}
        [delivered] = synced()["delivered"]
        assert (delivered["points"], delivered["removed"]) == (200, 2)
        assert synced()["delivered"] == []
        synced(server.url, "backup")
    with opened("backup") as backup:
        assert {each.row.run_id for each in backup.runs()} == run_ids
    assert_equal("backup", tmp_path / "served")


@pytest.mark.long
@pytest.mark.slow
def test_a_stock_mlflow_server(recorded: list[str], tmp_path: Path) -> None:
    """What an MLflow server can keep comes into it and back, under the ids that it had."""
    server = MlflowServer(tmp_path)
    server.run()
    try:
        assert synced("steplog-store", server.url)["points"] == 300
        assert synced("steplog-store", server.url)["sent"] == []
        synced(server.url, "back")
    finally:
        server.kill()
    with opened("back") as back, opened("steplog-store") as origin:
        for run_id in recorded:
            ours, theirs = the_run(origin, run_id), the_run(back, run_id)
            assert theirs.row._replace(artifact_uri="", experiment_id="") == ours.row._replace(
                artifact_uri="", experiment_id=""
            )
            assert theirs.params == ours.params
        assert readable(back)["series"] == readable(origin)["series"]


# Processes ----------------------------------------------------------------------------------------


@contextmanager
def process(*command: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process, and end it if nobody has."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def the_run(store: Store, run_id: str) -> RunRecord:
    """Return what a store knows of a run."""
    [record] = store.runs([run_id])
    return record


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_is_watched(number: signal.Signals) -> None:
    """A watch may begin before its source. While a training logs, its run grows in the target and
    is running there; in the end both are equal, and the watch has told what it sent.
    """
    with (
        process(*STEPLOG, "sync", "steplog-store", "target", "--watch", "--json") as watch,
        process(sys.executable, "-c", TRAINING, "0.02") as training,
        closing(open_store("target")) as target,
    ):
        assert training.stdout and training.stdin and watch.stdout
        run_id = training.stdout.readline().strip()

        def points() -> int:
            return sum(each.summary["count"].item() for each in target.series([run_id]))

        wait_until(lambda: points() > 10_000, "the first points come")
        record = the_run(target, run_id)
        assert shown_status(record, target.beating()) == "RUNNING"
        before = points()
        wait_until(lambda: points() > before, "more points come")
        training.stdin.close()
        steps = int(training.stdout.readline())
        wait_until(lambda: the_run(target, run_id).row.status == "FINISHED", "the end comes")
        watch.send_signal(number)
        document = json.loads(watch.stdout.read())
        assert watch.wait(30) == 0
        assert points() == document["points"] == 2 * steps
    assert_equal("steplog-store", "target")


def replace(source: Path, copy: Path, pause: float = 0.0) -> None:
    """Copy a directory as rsync does: each file beside its place, then into it.

    Args:
        source: what is copied.
        copy: what was copied before; other files are removed.
        pause: in seconds, between the pieces of a catalog, as over a slow line.

    """
    copy.mkdir(exist_ok=True)
    for path in sorted(source.iterdir()):
        if path.is_dir():
            replace(path, copy / path.name)
            continue
        with suppress(FileNotFoundError), path.open("rb") as file, (copy / ".new").open("wb") as to:
            while piece := file.read(1 << 15):
                to.write(piece)
                if pause and path.name.startswith("catalog"):
                    time.sleep(pause)
        os.replace(copy / ".new", copy / path.name)
    for path in copy.iterdir():
        if not (source / path.name).exists() and path.is_file():
            path.unlink()


# Moves what waits in a catalog's log into its file, again and again: so copies are torn.
CHECKPOINTS = """
import sqlite3, time
while True:
    connection = sqlite3.connect("file:steplog-store/catalog.db?mode=rw", uri=True, timeout=1)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.OperationalError:
        pass
    connection.close()
    time.sleep(0.05)
"""


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("way", ["usual", "off", "torn"])
def test_copies_of_a_directory_that_is_written(
    way: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each copy that is whole brings the target nearer, a torn one brings nothing; the last one, of
    when the training has ended, makes both equal.
    """
    if way == "off":
        monkeypatch.setenv("STEPLOG_INGEST", "off")
    monkeypatch.setenv("STEPLOG_SEAL_POINTS", "5000")
    source, copy = tmp_path / "steplog-store", tmp_path / "copy"
    brought: list[int] = []
    with ExitStack() as stack:
        training = stack.enter_context(process(sys.executable, "-c", TRAINING, "0.02"))
        assert training.stdout and training.stdin
        training.stdout.readline()
        if way == "torn":
            wait_until((source / "catalog.db").exists, "the training ingests")
            stack.enter_context(process(sys.executable, "-c", CHECKPOINTS))
        for _ in range(10):
            replace(source, copy, 0.002 if way == "torn" else 0)
            # In a process of its own: this one does not open files that it copies.
            result = subprocess.run(
                [*STEPLOG, "sync", "copy", "target", "--json"], capture_output=True, text=True
            )
            assert result.returncode == 0 or "copy it again" in result.stderr, result
            if result.returncode == 0:
                brought.append(json.loads(result.stdout)["points"])
        training.stdin.close()
        steps = int(training.stdout.readline())
        training.wait(60)
    replace(source, copy)
    brought.append(synced(str(copy), "target")["points"])
    assert sum(brought) >= 2 * steps
    monkeypatch.delenv("STEPLOG_INGEST", raising=False)
    assert_equal(source, "target")


@pytest.mark.long
@pytest.mark.slow
def test_a_watch_of_copies(tmp_path: Path) -> None:
    """A watch follows a copy that is made again while it goes on, and says so where it is torn."""
    source, copy = tmp_path / "steplog-store", tmp_path / "copy"
    with (
        process(*STEPLOG, "sync", str(copy), "target", "--watch") as watch,
        process(sys.executable, "-c", TRAINING, "0.02") as training,
        closing(open_store("target")) as target,
    ):
        assert training.stdout and training.stdin
        run_id = training.stdout.readline().strip()

        def points() -> int:
            return sum(each.summary["count"].item() for each in target.series([run_id]))

        for _ in range(4):
            before = points()

            def grown(before: int = before) -> bool:
                replace(source, copy)
                return points() > before

            wait_until(grown, "a copy is taken over", pause=1.5)
        training.stdin.close()
        steps = int(training.stdout.readline())
        training.wait(60)
        replace(source, copy)

        def ended() -> bool:
            return [each.row.status for each in target.runs([run_id])] == ["FINISHED"]

        wait_until(lambda: points() == 2 * steps and ended(), "the last copy is taken over")
        watch.terminate()
        assert watch.wait(30) == 0
    assert_equal(source, "target")


@pytest.mark.long
@pytest.mark.slow
def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """Where the source is read-only and logged to, all comes over, and nothing there is changed."""
    source = tmp_path / "steplog-store"
    with process(sys.executable, "-c", TRAINING, "0.02") as training:
        assert training.stdout and training.stdin
        training.stdout.readline()
        wait_until((source / "catalog.db").exists, "the training ingests")
        command = [*read_only(source), *STEPLOG, "sync", str(source), "target", "--json"]
        sent = 0
        while sent < 20_000:
            sent += json.loads(subprocess.check_output(command))["points"]
        training.kill()
        training.wait(60)
    before = [(path, path.stat().st_mtime_ns) for path in sorted(source.rglob("*"))]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert [(path, path.stat().st_mtime_ns) for path in sorted(source.rglob("*"))] == before
    assert_equal(source, "target")


@pytest.mark.long
@pytest.mark.slow
def test_killed_at_random_and_finished(tmp_path: Path) -> None:
    """Killed 50 times at any moment, and then let to its end, a sync makes both stores equal."""
    chance = random.Random(5)
    with closing(open_store("source")) as source:
        outbox = Outbox(source)
        steps = np.arange(20_000)
        for number in range(40):
            run_id = f"{number:032x}"
            outbox.do([CreateRun(run_id, "0", "user", run_id, number, {"a": "1"}, "")])
            outbox.do(
                [LogParams(run_id, {"number": str(number)}), UpdateRun(run_id, 0, "FAILED", 7)]
            )
            for key in ("loss", "accuracy"):
                outbox.log(
                    SeriesKey(run_id, key), Columns(steps, steps * 7, np.sin(steps + number))
                )
        outbox.flush()
        source.seal()
        fill(source)
    killed = 0
    while killed < 50:
        with process(*STEPLOG, "sync", "source", "target") as started:
            wait_until(
                lambda: os.path.exists("target/catalog.db") or started.poll() is not None,
                "the sync begins",
            )
            with suppress(subprocess.TimeoutExpired):
                started.wait(chance.uniform(0, 1.0))
            if started.poll() is None:
                started.kill()
                killed += 1
            else:
                shutil.rmtree("target")  # it was done: again from the beginning
    synced("source", "target")
    assert synced("source", "target", "--verify")["healed"] == 0
    assert_equal("source", "target")
