"""The recorder: what happens between a call and the journal. One per process and place.

A caller turns (run, key, …) into a *number* once, and from then on a point is 32 bytes in a slot of
the journal: claim the slot, fill it, done. That everyday case stands in the caller's own function
(`steplog.fluent.log_metric`, `MetricLogger.log`), because a Python call costs as much as the slot
does. The rest is here: handing out numbers and writing down what they mean, writing operations,
and waiting for the store where a caller must.

A number keeps its meaning as long as the process lives. Each journal explains every number anew
(`_preamble`), so that it can be read without the ones before it.

What is not here: the journals and their troubles (`steplog.writer`), the store (`steplog.ingest`,
called by `steplog.background`).
"""

from __future__ import annotations

import atexit
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING
from weakref import WeakSet, WeakValueDictionary

from steplog import forks, operations, settings
from steplog.background import Background, ingests
from steplog.exceptions import invalid
from steplog.journal import CLOCK, OPERATION, SERIES, SLOT, pack_clock, record, release
from steplog.operations import CreateRun, Operation, SeriesKey
from steplog.writer import PATIENCE_SECONDS, Ticket, Writer

if TYPE_CHECKING:
    from steplog.places import Place
    from steplog.rows import Refusal


class MetricLogger:
    """One metric of one run, looked up once: ``loss = run.metric("loss"); loss.log(0.5, step)``.

    Attributes:
        log: ``log(value, step=0)`` records one point, stamped with the time of the call. `value` is
            anything that `steplog.log_metric` takes, `step` an integer, or None for 0.

    Example:
        >>> loss = steplog.start_run().metric("loss")
        >>> for step in range(3):
        ...     loss.log(1 / (step + 1), step)

    """

    def __init__(self, log: Callable[..., None]) -> None:
        self.log = log


def _logging(
    writer: Writer, number: int, fallback: Callable[[object, object], None]
) -> Callable[..., None]:
    """Return the function that logs to a series; it calls `fallback(value, step)` when in doubt."""
    # All that `log` uses is a local of this call: nothing is looked up when it runs.
    now, pack, skip, kind = time.time, pack_clock, release, CLOCK

    def log(value: float, step: int | None = 0) -> None:
        try:
            buffer, claim = writer.head
            pack(buffer, slot := claim(), step, now(), value, number, kind)
        except StopIteration:  # no slot is left
            return fallback(value, step)
        except Exception:
            skip(buffer, slot)
            return fallback(value, step)

    return log


class Recorder:
    """Records what one process logs into the journals of one place.

    Args:
        place: of the store. Its directory is made on the first write, not before.

    Attributes:
        writer: the journals. Read `writer.head` once for each point, after the number: the journal
            behind a later head explains every number handed out before.

    """

    def __init__(self, place: Place) -> None:
        self._place = place
        spool = place.kind != "directory"
        self.writer = Writer(place.journals, self._preamble, self._began, spool=spool)
        self._runs: dict[str, CreateRun] = {}
        self._numbers: dict[str, dict[SeriesKey, int]] = {}
        self._leaving: dict[SeriesKey, tuple[int, float]] = {}  # and since when
        self._next_number = count(1).__next__
        # What `MetricLogger` calls, for it may outlive the logger that it was taken from.
        self._loggers: WeakValueDictionary[int, Callable[..., None]] = WeakValueDictionary()
        self._background: Background | None = None
        self._closed = False
        _recorders.add(self)
        atexit.register(self.close)

    # -- what callers log -----------------------------------------------------------------------

    def number(self, key: SeriesKey) -> int:
        """Return the number that stands for a series in the journals of this process."""
        series = self._numbers.get(key.run_id)
        number = series.get(key) if series else None
        return self._define(key) if number is None else number

    def log_many(self, fields: list[float], points: int) -> None:
        """Record checked points, given flat: step, timestamp (ms), value, number, POINT of each."""
        size = points * SLOT
        if not self.writer.write(lambda journal: journal.append_points(fields, points), size):
            self.writer.drop(points)

    def operate(self, operation: Operation) -> Ticket:
        """Record an operation. It is durable when this returns; `settle` waits for the store.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE where it is too large for one record.

        """
        try:
            slots = record(OPERATION, operations.encode(operation))
        except ValueError as error:
            name = type(operation).__name__
            raise invalid(f"{name} is too large to be recorded: {error}") from None
        if isinstance(operation, CreateRun):
            self._runs[operation.run_id] = operation
        return self._keep(slots)

    def metric(self, key: SeriesKey, fallback: Callable[[object, object], None]) -> MetricLogger:
        """Return a logger for one series; it calls `fallback(value, step)` with odd arguments."""
        number = self.number(key)
        log = self._loggers.get(number)
        if log is None:
            log = self._loggers[number] = _logging(self.writer, number, fallback)
        return MetricLogger(log)

    def forget(self, run_id: str) -> None:
        """The run has ended: journals need not explain its numbers for ever.

        They still do for a minute, for a thread that looked a number up and has not used it yet;
        and as long as somebody holds a `MetricLogger` of the series.
        """
        with self.writer.lock:
            self._runs.pop(run_id, None)
            for key, number in self._numbers.pop(run_id, {}).items():
                if number in self._loggers:
                    self._numbers.setdefault(run_id, {})[key] = number
                else:
                    self._leaving[key] = (number, time.monotonic())

    # -- waiting for the store ------------------------------------------------------------------

    def settle(self, tickets: Sequence[Ticket]) -> list[Refusal]:
        """Wait until the store has taken these operations; return what it refused of them.

        Waits STEPLOG_SYNC_SECONDS at most, and not at all while the store is out of reach or this
        process does not ingest: the operations are safe in the journal, and a refusal shows later.
        """
        if self._background is None or not tickets:
            return []
        return self._background.settle(tickets, settings.get("STEPLOG_SYNC_SECONDS"))

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that was logged so far is in the store; False where that was not to be.

        Args:
            timeout: seconds; None for STEPLOG_SYNC_SECONDS.

        """
        if self._background is None:
            return True
        if timeout is None:
            timeout = settings.get("STEPLOG_SYNC_SECONDS")
        return self._background.flush(timeout)

    def ingests(self) -> bool:
        """Tell whether this process moves what it logs into the store itself."""
        return ingests(self._place)

    def close(self) -> None:
        """Ingest what is left, for STEPLOG_EXIT_SECONDS at most, and remove the journals.

        What could not be ingested by then stays in its journal, for the next process that comes.
        Logging after this is still possible; it begins a journal that waits for that process, too.
        """
        self._closed = True
        self.writer.seal()
        background, self._background = self._background, None
        if background is not None:
            background.finish(settings.get("STEPLOG_EXIT_SECONDS"))
        atexit.unregister(self.close)

    # -- what every journal begins with -----------------------------------------------------------

    def _define(self, key: SeriesKey) -> int:
        with self.writer.lock:
            series = self._numbers.setdefault(key.run_id, {})
            number = series.get(key) or self._leaving.pop(key, (0, 0))[0] or self._next_number()
            slots = record(SERIES, operations.encode_series(key), number)
            while True:
                ticket = self._keep(slots)
                series[key] = number
                # A signal handler may have turned the page before the number was known to the
                # preamble; from now on it is.
                if ticket.journal_id == self.writer.journal_id:
                    return number

    def _keep(self, slots: bytes) -> Ticket:
        ticket = self.writer.write(lambda journal: journal.append(slots), len(slots), keep=True)
        assert ticket is not None, "what must be kept is kept beyond the limit of memory"
        return ticket

    def _preamble(self) -> bytes:
        return b"".join(self._explanations())

    def _explanations(self) -> Iterator[bytes]:
        for run in list(self._runs.values()):
            yield record(OPERATION, operations.encode(run))
        for series in list(self._numbers.values()):
            for key, number in list(series.items()):
                yield record(SERIES, operations.encode_series(key), number)
        self._leaving = {
            key: (number, since)
            for key, (number, since) in list(self._leaving.items())
            if time.monotonic() - since < PATIENCE_SECONDS
        }
        for key, (number, _) in self._leaving.items():
            yield record(SERIES, operations.encode_series(key), number)

    def _began(self) -> None:
        if self._background is None and not self._closed:
            self._background = Background.start(self._place, self.writer)
            # Children of multiprocessing end without atexit, and have their own list.
            process = sys.modules.get("multiprocessing.process")
            if process is not None and process.parent_process() is not None:
                sys.modules["multiprocessing.util"].Finalize(None, self.close, exitpriority=0)

    def _after_fork(self) -> None:
        """In a forked child: the same numbers, in journals and with a thread of its own."""
        self._background = None
        self._closed = False
        self.writer.after_fork()


_recorders: WeakSet[Recorder] = WeakSet()
_forking: list[Recorder] = []


def _before_fork() -> None:
    # No other thread is just turning a page then: the child could not close a journal that it
    # cannot find, and with it open the parent would look alive as long as the child is.
    for recorder in list(_recorders):
        recorder.writer.lock.acquire()
        _forking.append(recorder)


def _after_fork_in_parent() -> None:
    while _forking:
        _forking.pop().writer.lock.release()


def _after_fork_in_child() -> None:
    while _forking:
        _forking.pop()._after_fork()


forks.around(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
