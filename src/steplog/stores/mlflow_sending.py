"""Sending: one batch of a journal as requests to an MLflow server, in an order that loses nothing.

A batch that failed halfway is sent again, whole: operations may be performed twice
(`mlflow_operations`), and points are a set there, too, for they travel with the timestamps that
they were logged with. What the server declines is left out and told; everything else is repeated
until it has arrived.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from steplog.entities import LifecycleStage
from steplog.fold import storable
from steplog.operations import Operation, SeriesKey, UpdateExperiment, UpdateRun
from steplog.rows import Refusal
from steplog.stores import mlflow_points
from steplog.stores.base import Batch, Refused
from steplog.stores.mlflow_api import Api, Declined, ServerFault
from steplog.stores.mlflow_ids import Ids
from steplog.stores.mlflow_ledger import Ledger
from steplog.stores.mlflow_operations import Operations

T = TypeVar("T")

MOST_FAULTS = 10
"""How often a call may make the server fall over, while it does others, before it is given up."""


class Sender:
    """Sends batches to one server. For one thread at a time."""

    def __init__(self, api: Api, ids: Ids, ledger: Ledger) -> None:
        self._api = api
        self._ids = ids
        self._ledger = ledger
        self._operations = Operations(api, ids, ledger)
        self._arrived: set[bytes] = set()  # requests of a batch that failed later on
        # By offset or digest, how often which call of it made the server fall over.
        self._faults: Counter[object] = Counter()
        self._given_up: dict[object, Declined] = {}

    def send(self, batch: Batch) -> list[Refused]:
        """Send a batch; return what the server declined of it.

        Raises:
            StoreError: not all of it could be sent now. Sending it again repeats nothing.

        """
        again = bool(batch.operations) and self._ledger.attempt(batch.journal_id, batch.before)
        early, late = _divided(batch.operations)
        refused = [*self._send_operations(batch, early, again)]
        inside = batch.after.offset - 1  # no record begins there, so it is no operation's refusal
        refused += [Refused(batch.journal_id, inside, each) for each in self._points(batch)]
        refused += self._send_operations(batch, late, again)
        self._arrived.clear()
        self._faults.clear()
        self._given_up.clear()
        return sorted(refused, key=lambda each: each.offset)

    # -- operations -------------------------------------------------------------------------------

    def _send_operations(
        self, batch: Batch, operations: Sequence[tuple[int, Operation]], again: bool
    ) -> Iterator[Refused]:
        for offset, operation in operations:
            run_id = getattr(operation, "run_id", None)
            if run_id is not None:
                self._ledger.wrote(run_id, batch.writer_id)
            perform = partial(self._operations.perform, storable(operation), again)
            try:
                self._trying(offset, perform)
            except Declined as declined:
                yield Refused(batch.journal_id, offset, self._refusal(declined, run_id))

    def _trying(self, what: object, call: Callable[[], T]) -> T:
        """Make a call that may be one over which the server falls each time.

        Such a call would keep all that is behind it from being sent. It is given up when it has
        failed several times and the server, asked for something simple, is well.
        """
        if what in self._given_up:
            raise self._given_up[what]
        try:
            return call()
        except ServerFault as fault:
            self._faults[what] += 1
            if self._faults[what] < MOST_FAULTS or not self._api.is_well():
                raise
            self._given_up[what] = Declined(fault.message, "INTERNAL_ERROR")
            raise self._given_up[what] from fault

    def _refusal(self, declined: Declined, run_id: str | None) -> Refusal:
        message = declined.message
        theirs = run_id and self._ledger.theirs("run", run_id)
        if run_id and theirs:
            message = message.replace(theirs, run_id)
        return Refusal(declined.error_code, message, run_id)

    # -- points -----------------------------------------------------------------------------------

    def _points(self, batch: Batch) -> Iterator[Refusal]:
        numbers = np.unique(batch.points["series"]).tolist()
        series = {number: storable(batch.series[number]) for number in numbers}
        for run_id in dict.fromkeys(key.run_id for key in series.values()):
            self._ledger.wrote(run_id, batch.writer_id)
            of_run = {number: key for number, key in series.items() if key.run_id == run_id}
            points = batch.points[np.isin(batch.points["series"], [*of_run])]
            yield from _Points(self, run_id, of_run, points).send()

    def models(self, series: Iterable[SeriesKey]) -> dict[str, str]:
        """Return the server's ids of the models of these series, where it has them."""
        ours = {key.model_id for key in series} - {""}
        found = {model_id: self._ids.model(model_id) for model_id in ours}
        return {model_id: theirs for model_id, theirs in found.items() if theirs}

    def run(self, run_id: str, time_ms: int) -> str:
        """Return the server's id of a run that is logged to."""
        return self._operations.run(run_id, time_ms)

    def post(self, body: bytes) -> None:
        """Send a request of points, but for one that arrived when the batch was sent before."""
        digest = blake2b(body, digest_size=16).digest()
        if digest not in self._arrived:
            self._trying(digest, partial(self._api.call, "POST", "runs/log-batch", body))
            self._arrived.add(digest)


class _Points:
    """The points of one run in one batch, on their way."""

    def __init__(
        self,
        sender: Sender,
        run_id: str,
        series: Mapping[int, SeriesKey],
        points: npt.NDArray[np.void],
    ) -> None:
        self._sender = sender
        self._run_id = run_id
        self._series = series
        self._points = points
        self._declined: Counter[tuple[str, str, str]] = Counter()  # key, code, message -> points
        self._theirs = ""
        self._texts: list[str] = []

    def send(self) -> Iterator[Refusal]:
        """Send them all; yield what the server declined, once for each metric and reason."""
        self._theirs = self._sender.run(self._run_id, int(self._points["timestamp"].min()))
        models = self._sender.models(self._series.values())
        self._texts = mlflow_points.encode(self._points, self._series, models)
        for start, end in mlflow_points.stretches(self._texts):
            self._send(start, end)
        self._tell_of_models(models)
        for (key, code, message), count in self._declined.items():
            what = f"{count} {'point' if count == 1 else 'points'} of the metric '{key}'"
            yield Refusal(code, f"{what}: {message}", self._run_id)

    def _send(self, start: int, end: int) -> None:
        """Send a stretch; where it is declined, find out which points are to blame."""
        try:
            self._sender.post(mlflow_points.request(self._theirs, self._texts[start:end]))
        except Declined as declined:
            message = declined.message.replace(self._theirs, self._run_id)
            of_run = declined.error_code == "RESOURCE_DOES_NOT_EXIST" or (
                message.startswith(f"The run {self._run_id} must be")
            )
            if of_run or end - start == 1:
                self._decline(self._points[start:end], declined.error_code, message)
                return
            middle = (start + end) // 2
            self._send(start, middle)
            self._send(middle, end)

    def _tell_of_models(self, models: Mapping[str, str]) -> None:
        for number, key in self._series.items():
            if key.model_id and key.model_id not in models:
                said = f"they are kept without their model {key.model_id}, which is not there."
                points = self._points[self._points["series"] == number]
                self._decline(points, "RESOURCE_DOES_NOT_EXIST", said)

    def _decline(self, points: npt.NDArray[np.void], code: str, message: str) -> None:
        for number, count in zip(*np.unique(points["series"], return_counts=True), strict=True):
            self._declined[self._series[int(number)].key, code, message] += int(count)


def _divided(
    operations: Sequence[tuple[int, Operation]],
) -> tuple[list[tuple[int, Operation]], list[tuple[int, Operation]]]:
    """Return the operations to perform before the points are sent, and those for afterwards.

    A run that has ended is taken to be complete, and one that was deleted takes no points. So the
    ends of runs come last, unless something that follows is about the same run.
    """
    early: list[tuple[int, Operation]] = []
    late: list[tuple[int, Operation]] = []
    later: set[str] = set()
    for offset, operation in reversed(operations):
        about = str(getattr(operation, "run_id", None) or getattr(operation, "experiment_id", ""))
        ends = isinstance(operation, UpdateRun) or (
            isinstance(operation, UpdateExperiment)
            and operation.lifecycle_stage == LifecycleStage.DELETED
        )
        (late if ends and about not in later else early).append((offset, operation))
        if not ends:
            later.add(about)
    return early[::-1], late[::-1]
