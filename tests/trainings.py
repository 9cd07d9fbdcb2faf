"""Processes that log while what keeps their points fails, and the account of what came of it.

What each process does is in tests/training.py; what fails, in tests/troubles.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import training
from services.daemons import SECONDS, as_user, wait_until

from steplog.backend import Backend
from steplog.exceptions import StoreError
from steplog.places import resolve
from steplog.stores.base import Damage, Store

RATE = 4_000
"""Steps a second of a training that is not told otherwise: enough to have some in every request."""


class Account(NamedTuple):
    """What became of the points of some trainings.

    Attributes:
        returned: how many were logged by calls that returned.
        lost: how many of them the store does not have.
        changed: how many of those it has are not what was logged.
        doubled: how many it has, or counts, more than once.
        strange: how many it has that nobody logged.
        damages: how many its own check finds; they are printed.
        waiting: journals that are still not delivered.

    """

    returned: int = 0
    lost: int = 0
    changed: int = 0
    doubled: int = 0
    strange: int = 0
    damages: int = 0
    waiting: int = 0

    @property
    def good(self) -> bool:
        """Whether every point is there, once, as it was logged."""
        return self == Account(returned=self.returned) and self.returned > 0

    def __add__(self, other: object) -> Account:
        assert isinstance(other, Account)
        return Account(*(a + b for a, b in zip(self, other, strict=True)))


class Trainings:
    """Processes that log to one place at a steady rate.

    Args:
        directory: of notes and logs; exists.
        uri: the tracking URI.
        rate: how many steps a second each of them logs, of four metrics; None for RATE.
        settings: more environment variables.

    """

    def __init__(
        self,
        directory: Path,
        uri: str,
        rate: int | None = None,
        settings: Mapping[str, str] = {},
    ) -> None:
        self.uri = uri
        self._directory = directory
        self._rate = rate or RATE
        self._environment = {**os.environ, **settings, "STEPLOG_TRACKING_URI": uri}
        self.notes = training.Notes(directory / "notes")
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self) -> int:
        """Start one more, and wait until it logs; return its number."""
        worker = len(self._processes) + 1
        arguments = [str(self._directory / "notes"), str(worker), str(self._rate)]
        with (self._directory / f"training-{worker}.log").open("ab") as log:
            self._processes[worker] = subprocess.Popen(
                [*as_user(None), sys.executable, training.__file__, *arguments],
                env=self._environment,
                cwd=self._directory,
                stderr=log,
            )
        wait_until(lambda: self._has_begun(worker), "start of a training")
        return worker

    def kill(self, worker: int) -> None:
        """Kill one, as the kernel does when memory is short."""
        self._processes[worker].kill()
        self._processes[worker].wait()

    def stop(self) -> None:
        """Let all of them end as trainings do, and wait; each must end well."""
        self.notes.numbers[0] = 1
        for worker, process in self._processes.items():
            killed = process.returncode is not None
            assert process.wait(SECONDS) == 0 or killed, self.said(worker)

    def end(self) -> None:
        """End whatever still runs."""
        for process in self._processes.values():
            process.kill()
            process.wait()

    def said(self, worker: int) -> str:
        """Return what one has printed, its warnings among it."""
        return (self._directory / f"training-{worker}.log").read_text("utf-8", "replace")

    def returned(self) -> dict[int, int]:
        """Return how many steps of each worker have returned."""
        return {worker: self.notes.numbers[worker] for worker in self._processes}

    def account(self) -> Account:
        """Deliver what waits, read everything back, and compare it with what was logged.

        A store that cannot be read yet is waited for; one that says it is damaged is not.
        """
        backend = Backend(resolve(self.uri))
        try:
            return _patiently(lambda: self._read(backend))
        finally:
            backend.close()
            backend.recorder.close()

    def _read(self, backend: Backend) -> Account:
        store = backend.store()
        found = Account()
        for worker, steps in self.returned().items():
            found += _account_of(store, worker, steps)
        damages = [each for each in store.check() if isinstance(each, Damage)]
        for damage in damages:
            print(*damage)
        journals = backend.place.journals
        waiting = len(os.listdir(journals)) if os.path.exists(journals) else 0
        return found + Account(damages=len(damages), waiting=waiting)

    def _has_begun(self, worker: int) -> bool:
        assert self._processes[worker].poll() is None, self.said(worker)
        return self.notes.numbers[worker] > 0


@contextmanager
def trainings(
    directory: Path,
    uri: str,
    count: int = 2,
    rate: int | None = None,
    settings: Mapping[str, str] = {},
) -> Iterator[Trainings]:
    """Run some trainings until the context is left."""
    directory.mkdir(parents=True, exist_ok=True)
    running = Trainings(directory, uri, rate, settings)
    try:
        for _ in range(count):
            running.start()
        yield running
    finally:
        running.end()


def _patiently(read: Callable[[], Account]) -> Account:
    end = time.monotonic() + SECONDS
    while True:
        try:
            return read()
        except StoreError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def _account_of(store: Store, worker: int, steps: int) -> Account:
    runs = [run for run in store.runs() if run.row.name == f"worker-{worker}"]
    wanted = {key: _wanted(worker, number) for number, key in enumerate(training.KEYS)}
    found = Account(returned=steps * len(training.KEYS), doubled=max(0, len(runs) - 1))
    found += Account(lost=0 if runs else steps * len(training.KEYS))
    for series in store.series([runs[0].row.run_id] if runs else []):
        pieces = list(store.points(series.series_id))
        step = np.concatenate([piece.step for piece in pieces])
        value = np.concatenate([piece.value for piece in pieces])
        timestamp = np.concatenate([piece.timestamp for piece in pieces])
        places, counts = np.unique(step, return_counts=True)
        logged = wanted.pop(series.key.key)[step % training.VALUES]
        counted = int(series.summary["count"]) - step.size
        found += Account(
            lost=int(np.setdiff1d(np.arange(steps), places).size),
            changed=int(np.count_nonzero(value.view(np.int64) != logged.view(np.int64)))
            + int(np.count_nonzero(timestamp != training.timestamp(worker, step))),
            doubled=int((counts - 1).sum()) + abs(counted),
            # The call that was interrupted by a kill may have come so far.
            strange=int(np.count_nonzero((step < 0) | (step > steps))),
        )
    return found + Account(lost=steps * len(wanted) if runs else 0)


def _wanted(worker: int, number: int) -> npt.NDArray[np.float64]:
    """Return what a worker logs of its `number`-th metric at steps 0, 1, 2 …, over and over."""
    table = np.array(training.values(worker))
    at = np.arange(training.VALUES) * len(training.KEYS) + number
    return table[at % training.VALUES]
