"""Copies of a store, made while it is in use, by the commands that docs/deploy.md gives."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from services.daemons import Daemon, answers, free_port, wait_until
from services.postgres import binaries

from steplog.backend import Backend
from steplog.places import resolve

DEPLOY = Path(__file__).parent.parent / "docs" / "deploy.md"
TRAINING = """
import sys
import steplog

run = steplog.start_run()
print(run.info.run_id, flush=True)
step = 0
while not sys.stdin.closed:
    for _ in range(2_000):
        steplog.log_metric("loss", 0.5, step)
        step += 1
    if sys.stdin.readline() == "end\\n":
        break
steplog.end_run()
print(step, flush=True)
"""


def commands(heading: str) -> list[str]:
    """Return the shell commands below a heading of the page, block by block."""
    _, _, section = DEPLOY.read_text("utf-8").partition(f"### {heading}\n")
    section, _, _ = section.partition("\n### ")
    return re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def run(command: str, **variables: str) -> None:
    """Run commands of the page in a shell that stops where one of them fails."""
    paths = [str(binaries() or ""), str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = {**os.environ, **variables, "PATH": os.pathsep.join(paths)}
    subprocess.run(["sh", "-euc", command], check=True, env=environment, timeout=60)


def served(directory: Path, uri: str, port: int) -> Daemon:
    """Return a server of a store, not started yet."""
    directory.mkdir()
    command = [sys.executable, "-m", "steplog", "server", "--port", str(port), "--store", uri]
    return Daemon(command, directory)


class Training:
    """A process that logs 2,000 points each time it is told to go on."""

    def __init__(self, uri: str, state: Path) -> None:
        environment = {
            **os.environ, "STEPLOG_TRACKING_URI": uri, "STEPLOG_STATE_DIR": str(state),
            "STEPLOG_EXIT_SECONDS": "60",
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-c", TRAINING],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        self.run_id = self._line()
        self.logged = 2_000

    def go_on(self) -> None:
        """Have it log more."""
        self._say("more")
        self.logged += 2_000

    def end(self) -> None:
        """Have it end its run; wait for it."""
        self._say("end")
        assert int(self._line()) == self.logged
        assert self.process.wait(90) == 0

    def _say(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@contextmanager
def training(uri: str, state: Path) -> Iterator[Training]:
    """Run a training, and see that it does not outlive the test."""
    running = Training(uri, state)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.communicate()


def steps(uri: str, run_id: str) -> list[int]:
    """Return the steps that a store has of a run, without asking any journal."""
    with closing(Backend(resolve(uri))) as backend:
        store = backend.store_as_it_is()
        assert not [found for found in store.check() if not isinstance(found, int)]
        return [
            step
            for series in store.series([run_id])
            for columns in store.points(series.series_id)
            for step in columns.step.tolist()
        ]


def wait_for(uri: str, training: Training) -> None:
    """Wait until a store has all that a training has logged."""
    wait_until(lambda: len(steps(uri, training.run_id)) == training.logged, "what was logged")


@pytest.mark.slow
@pytest.mark.long
def test_a_copy_of_a_directory_in_use(tmp_path: Path) -> None:
    """SQLite's copy of a directory that is written at full speed is sound, has all that had been
    stored before, and nothing that was not logged.
    """
    (copy,) = commands("A directory")
    store = tmp_path / "store"
    with training(str(store), tmp_path) as running:
        wait_for(str(store), running)
        before = running.logged
        for _ in range(200):
            running.go_on()
        run(copy, DIRECTORY=str(store), COPY=str(tmp_path / "copy"))
        running.end()
    copied = steps(str(tmp_path / "copy"), running.run_id)
    assert copied == list(range(len(copied)))
    assert before <= len(copied) <= running.logged
    assert steps(str(store), running.run_id) == list(range(running.logged))


@pytest.mark.slow
@pytest.mark.long
def test_a_dump_that_is_restored_while_trainings_run(
    tmp_path: Path, postgres_store_uri: str
) -> None:
    """A database is dumped in use and restored later: what trainings have logged since and still
    hold, they send again, and all of it is there, once.
    """
    dump, restore = commands("PostgreSQL")
    file, state = str(tmp_path / "dump"), tmp_path / "state"
    cluster, _, name = postgres_store_uri.rpartition("/")
    restored = f"{cluster}/{name}_again"
    port = free_port()
    first, second = (
        served(tmp_path / uri[-9:], uri, port) for uri in (postgres_store_uri, restored)
    )
    try:
        first.start(lambda: answers(port))
        with training(f"http://127.0.0.1:{port}", state) as running:
            wait_for(postgres_store_uri, running)
            run(dump, URI=postgres_store_uri, FILE=file)
            dumped = running.logged
            for _ in range(3):
                running.go_on()
            wait_for(postgres_store_uri, running)
            first.stop()
            run(restore, SERVER=cluster, NAME=f"{name}_again", FILE=file)
            assert steps(restored, running.run_id) == list(range(dumped))
            second.start(lambda: answers(port))
            running.go_on()
            wait_for(restored, running)
            running.end()
        assert steps(restored, running.run_id) == list(range(running.logged))
    finally:
        first.kill()
        second.kill()
        drop = 'dropdb --force --if-exists --maintenance-db="$SERVER/postgres" "$NAME"'
        run(drop, SERVER=cluster, NAME=f"{name}_again")
