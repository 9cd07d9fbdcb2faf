"""Measuring: what each process of the server counts, and how the counts of all are added up.

Counting is a look-up and an addition in the event loop. Several processes may serve one address,
and whoever asks is answered by one of them. So each writes its counts to a file of its own once a
second, and before it answers; the one that is asked adds up the files. A process that takes the
place of one that died counts on from its file: a counter never goes back.

What is not here: what is measured of the store, and who may see it (`steplog.server.monitoring`);
how it is written down (`steplog.server.exposition`).
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import version
from itertools import accumulate
from typing import NamedTuple, TypeAlias

from steplog.server.exposition import Family, Sample
from steplog.tally import tally

if sys.platform != "win32":
    import resource

BOUNDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0,
)  # fmt: skip
"""Upper ends of the intervals in which durations of requests are counted, in seconds."""
FRESH_SECONDS = 10.0
"""A process that has not written its file for so long is not asked how it is doing."""

_BEGAN = time.time()

FAMILIES = (
    Family("steplog_build_info", "gauge", "1; the labels say which versions run."),
    Family(
        "steplog_request_seconds",
        "histogram",
        "Requests answered, by how long they took from their head to the end of their answer; "
        "endpoint is empty where a request was refused before it had one.",
    ),
    Family("steplog_requests_in_flight", "gauge", "Requests that are being answered."),
    Family("steplog_request_body_bytes", "gauge", "Memory that bodies of requests take now."),
    Family("steplog_applied_points_total", "counter", "Points that the store has taken."),
    Family("steplog_applied_operations_total", "counter", "Operations that the store has taken."),
    Family("steplog_refused_operations_total", "counter", "Operations that the store has refused."),
    Family(
        "steplog_store_errors_total",
        "counter",
        "Times that the store could not be reached or written, by what it was wanted for.",
    ),
    Family("steplog_stopping", "gauge", "1 once the process was told to end."),
    Family("process_resident_memory_bytes", "gauge", "Memory that the process takes."),
    Family("process_cpu_seconds_total", "counter", "Time of a processor that it has taken."),
    Family("process_open_fds", "gauge", "Files and connections that it has open."),
    Family("process_max_fds", "gauge", "How many it may have open."),
    Family("process_start_time_seconds", "gauge", "When it began, in seconds since 1970."),
)
"""What is counted here, in the order in which it is shown."""

Values: TypeAlias = dict[Sample, float]


class _Answered(NamedTuple):
    """What the durations of requests are counted by."""

    method: str
    endpoint: str
    status: int


class Measures:
    """What one process of the server counts.

    Args:
        worker: its place among the processes of the server, from 0 on.
        directory: where they keep their files; empty where there is only one, which needs none.

    Attributes:
        in_flight: requests that are being answered.
        body_bytes: memory that their bodies take.
        stopping: the process was told to end.

    Example:
        >>> measures = Measures()
        >>> measures.answered("GET", "/health", 200, 0.003)
        >>> labels = (("endpoint", "/health"), ("method", "GET"), ("status", "200"))
        >>> measures.values()[Sample("steplog_request_seconds_count", labels)]
        1.0

    """

    def __init__(self, worker: int = 0, directory: str = "") -> None:
        self.in_flight = 0
        self.body_bytes = 0
        self.stopping = False
        self._store_errors = 0
        self._answered: dict[_Answered, list[float]] = {}
        self._worker = worker
        self._directory = directory
        self._path = os.path.join(directory, f"{worker}.json") if directory else ""
        self._lock = threading.Lock()  # of the file, and of what threads count
        self._before = _read(self._path)[0] if directory else {}

    def answered(self, method: str, endpoint: str, status: int, seconds: float) -> None:
        """A request was answered. To be called in the event loop only.

        Args:
            method: of the request; empty with `endpoint`.
            endpoint: its path in the table of endpoints, which is one of few; empty where the
                request led to none, or was not let in.
            status: of the answer.
            seconds: it took.

        """
        key = _Answered(method, endpoint, status)
        counts = self._answered.get(key)
        if counts is None:
            counts = self._answered[key] = [0.0] * (len(BOUNDS) + 2)
        counts[bisect_left(BOUNDS, seconds)] += 1
        counts[-1] += seconds

    def store_failed(self) -> None:
        """A request could not be answered because the store cannot be reached."""
        with self._lock:
            self._store_errors += 1

    def publish(self) -> None:
        """Let the other processes see what this one has counted until now."""
        if not self._directory:
            return
        document = [time.monotonic(), _pairs(self._sums()), _pairs(self._states())]
        with self._lock, suppress(OSError):  # a full disk: they see what was there before
            fresh = f"{self._path}.new"
            with open(fresh, "w", encoding="utf-8") as file:
                json.dump(document, file)
            os.replace(fresh, self._path)

    def values(self) -> Values:
        """Return what all processes of the server have counted, and how each of them is doing."""
        if not self._directory:
            return {**self._sums(), **self._states()}
        self.publish()
        sums: Counter[Sample] = Counter()
        states: Values = {}
        for name in sorted(os.listdir(self._directory)):
            if name.endswith(".json"):
                theirs, doing = _read(os.path.join(self._directory, name))
                sums.update(theirs)
                states.update(doing)
        return {**sums, **states}

    def _sums(self) -> Values:
        """Return what may be added up over processes, in the past and now."""
        errors = "steplog_store_errors_total"
        sums = Counter(self._before)
        sums.update(
            {
                Sample("steplog_applied_points_total"): tally.points,
                Sample("steplog_applied_operations_total"): tally.operations,
                Sample("steplog_refused_operations_total"): tally.refused,
                Sample(errors, (("during", "ingest"),)): tally.failures,
                Sample(errors, (("during", "request"),)): self._store_errors,
            }
        )
        for key, counts in list(self._answered.items()):
            sums.update(dict(_histogram(key, counts)))
        return {sample: float(value) for sample, value in sums.items()}

    def _states(self) -> Values:
        """Return what is true of this process only, and now."""
        worker = (("worker", str(self._worker)),)
        python = ".".join(map(str, sys.version_info[:3]))
        build = (("version", version("steplog")), ("python", python))
        states = {
            "steplog_requests_in_flight": self.in_flight,
            "steplog_request_body_bytes": self.body_bytes,
            "steplog_stopping": self.stopping,
            **_process(),
        }
        return {
            Sample("steplog_build_info", build): 1.0,
            **{Sample(name, worker): float(value) for name, value in states.items()},
        }


def _histogram(key: _Answered, counts: list[float]) -> Iterator[tuple[Sample, float]]:
    labels = (("endpoint", key.endpoint), ("method", key.method), ("status", str(key.status)))
    name = "steplog_request_seconds"
    *within, seconds = counts
    up_to = list(accumulate(within))
    for bound, count in zip((*BOUNDS, "+Inf"), up_to, strict=True):
        yield Sample(f"{name}_bucket", (*labels, ("le", str(bound)))), count
    yield Sample(f"{name}_sum", labels), seconds
    yield Sample(f"{name}_count", labels), up_to[-1]


def _process() -> dict[str, float]:
    """Return what the system says of this process; on other systems than Linux, less."""
    times = os.times()
    found: dict[str, float] = {
        "process_cpu_seconds_total": times.user + times.system,
        "process_start_time_seconds": _BEGAN,
    }
    if sys.platform != "win32":
        found["process_max_fds"] = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    with suppress(OSError):
        found["process_open_fds"] = len(os.listdir("/proc/self/fd"))
        with open("/proc/self/statm", "rb") as file:
            pages = int(file.read().split()[1])
        found["process_resident_memory_bytes"] = pages * os.sysconf("SC_PAGE_SIZE")
    return found


def _pairs(values: Mapping[Sample, float]) -> list[object]:
    return [[sample.name, sample.labels, value] for sample, value in values.items()]


def _read(path: str) -> tuple[Values, Values]:
    """Return the counts in a file, and how its process is doing, if it has told so of late."""
    try:
        with open(path, encoding="utf-8") as file:
            at, sums, states = json.load(file)
    except FileNotFoundError:
        return {}, {}
    fresh = time.monotonic() - at < FRESH_SECONDS
    return _values(sums), _values(states) if fresh else {}


def _values(pairs: list[tuple[str, list[list[str]], float]]) -> Values:
    return {
        Sample(name, tuple((label, text) for label, text in labels)): value
        for name, labels, value in pairs
    }
