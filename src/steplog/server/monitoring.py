"""What a server is asked by those who look after it: ``/ready`` by a proxy, ``/metrics`` by
Prometheus.

Both look at the store, and neither for long: what takes time to find out is remembered for a while.

What is not here: what the processes count themselves (`steplog.server.measuring`), what to watch
(docs/deploy.md).
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress

from steplog.client import Client
from steplog.exceptions import MlflowException
from steplog.journals import JournalState
from steplog.server import answers
from steplog.server.endpoint import Answer, Request, Service
from steplog.server.exposition import CONTENT_TYPE, Family, Sample, text
from steplog.server.measuring import FAMILIES as COUNTED
from steplog.server.measuring import Values

READY_SECONDS = 1.0
"""How long it is remembered whether the store can be reached: anybody may ask."""
STATS_SECONDS = 60.0
"""How long the size of the store is remembered: finding it out may be a look at every run."""

_SIZES = {
    "steplog_store_experiments": "experiments",
    "steplog_store_runs": "runs",
    "steplog_store_series": "series",
    "steplog_store_points": "points",
    "steplog_store_bytes": "bytes",
}
_WAITING = "steplog_waiting_points"
_NO_JOURNAL = "0" * 32

FAMILIES = (
    *COUNTED,
    Family("steplog_store_up", "gauge", "1 where the store could be reached just now, else 0."),
    Family(
        "steplog_journals",
        "gauge",
        "Journals on this machine that belong to the store, by whether their writer lives.",
    ),
    Family(
        _WAITING,
        "gauge",
        "Points that wait: in journals for the store; in the memory of their writers for a disk "
        "that can be written; in the store's tail to be sorted (as of the last minute).",
    ),
    Family(
        "steplog_waiting_seconds", "gauge", "The lag: age of the oldest point that journals hold."
    ),
    Family("steplog_dropped_points", "gauge", "Points that found no room, by the journals' word."),
    Family("steplog_store_experiments", "gauge", "Experiments, as of the last minute."),
    Family("steplog_store_runs", "gauge", "Runs, as of the last minute."),
    Family("steplog_store_series", "gauge", "Series, as of the last minute."),
    Family("steplog_store_points", "gauge", "Points in the store, as of the last minute."),
    Family("steplog_store_bytes", "gauge", "Bytes that the store takes, as of the last minute."),
)
"""All that ``/metrics`` shows, in this order."""


class Monitor:
    """Answers them. It remembers what it found out, for all requests of its process."""

    def __init__(self) -> None:
        self._reached: tuple[float, bool] = (float("-inf"), False)
        self._sizes: tuple[float, Values] = (float("-inf"), {})

    def ready(self, service: Service, request: Request) -> Answer:
        """Tell whether requests should come here: it is not about to end, and has its store."""
        if service.measures.stopping:
            return _not_ready("The server is about to end.")
        if service.client.recorder.writer.fault:
            return _not_ready("The server cannot write its journal.")
        if not self._reaches(service.client):
            return _not_ready("The server cannot reach its store.")
        return answers.page("ready")

    def metrics(self, service: Service, request: Request) -> Answer:
        """Return what Prometheus collects: how much comes in, what waits, what fails."""
        request.caller.require_all_experiments()
        client = service.client
        journals = client.backend.journals_state()  # before reading the store moves them
        reached = self._reaches(client)
        values = {
            **service.measures.values(),
            Sample("steplog_store_up"): float(reached),
            **_of_journals(journals),
            **(self._size(client) if reached else {}),
        }
        return Answer(text(FAMILIES, values).encode(), CONTENT_TYPE)

    def _reaches(self, client: Client) -> bool:
        """Tell whether the store can be read, as of a second ago at most."""
        at, reached = self._reached
        if time.monotonic() - at > READY_SECONDS:
            try:
                client.store.positions([_NO_JOURNAL])
                reached = True
            except MlflowException:
                reached = False
            self._reached = time.monotonic(), reached
        return reached

    def _size(self, client: Client) -> Values:
        """Return how large the store is, as of a minute ago at most; nothing if nobody knows."""
        at, values = self._sizes
        if time.monotonic() - at > STATS_SECONDS:
            values = {}
            with suppress(MlflowException):  # that the store is not up is told beside it
                stats = client.store.stats()
                values = {Sample(name): float(stats[key]) for name, key in _SIZES.items()}
                values[_waiting("tail")] = float(stats["waiting_points"])
            self._sizes = time.monotonic(), values
        return values


def _not_ready(message: str) -> Answer:
    return answers.refused(message, "TEMPORARILY_UNAVAILABLE")


def _of_journals(journals: list[JournalState]) -> Values:
    states = Counter({"live": 0, "orphaned": 0, "unreadable": 0})
    states.update(journal.condition for journal in journals)
    now_ms = time.time_ns() // 1_000_000
    # What a process holds and has dropped is in the headers of all its journals.
    held = {each.writer_id: each.held_points for each in journals}
    dropped = {each.writer_id: each.dropped_points for each in journals}
    since = [each.waiting_since_ms for each in journals if each.waiting_since_ms is not None]
    return {
        **{Sample("steplog_journals", (("state", s),)): float(n) for s, n in states.items()},
        _waiting("journals"): float(sum(each.pending_points or 0 for each in journals)),
        _waiting("memory"): float(sum(held.values())),
        Sample("steplog_waiting_seconds"): (now_ms - min(since, default=now_ms)) / 1000,
        Sample("steplog_dropped_points"): float(sum(dropped.values())),
    }


def _waiting(where: str) -> Sample:
    return Sample(_WAITING, (("where", where),))
