"""Active runs: which run a call means that names none, in every thread and after a fork.

A thread means the innermost of the runs that it started itself. A thread that started none means
the run that was started last in this process and is still active: helper threads log to the run
that they help. The same goes for a forked child: what its parent had active is no run of its own,
so nothing in the child ends it, but until the child starts one it logs there.

`series` is what makes logging cheap: a dict from key to series number, and always the one of the
run that is meant and of the model that is active (see `refresh`).
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType

from steplog import active_model, forks, links
from steplog.client import Client
from steplog.entities import Run
from steplog.exceptions import MlflowException, warn
from steplog.lookup import SeriesNumbers
from steplog.pending import LOGGED, RunOperations, asynchronous, report_refusals
from steplog.recorder import MetricLogger, Recorder
from steplog.system_metrics import Monitor


class ActiveRun(Run):
    """A run that `start_run` started; leaving its ``with`` block ends it.

    It shows the run as it was when it started; only what metrics are logged for is added to its
    inputs. `steplog.get_run` shows it as it is.

    Attributes:
        client: where the run is recorded, whatever the tracking URI has become since.
        monitor: what records its system metrics; None where nothing does.

    Example:
        >>> with steplog.start_run() as run:
        ...     loss = run.metric("loss")
        ...     for step in range(3):
        ...         loss.log(1 / (step + 1), step)

    """

    def __init__(self, run: Run, client: Client, monitor: Monitor | None = None) -> None:
        super().__init__(run.info, run.data, run.inputs, run.outputs)
        self.client = client
        self.monitor = monitor
        self.thread_id = threading.get_ident()

    def metric(self, key: str) -> MetricLogger:
        """Return a logger of one metric, whose ``log(value, step)`` skips all look-ups.

        It logs for the model that is active now, and for none that the run made.

        Args:
            key: the metric's name.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE where `key` cannot be the name of a metric.

        """
        logger = self.client.metric(self.info.run_id, key)
        model_id = active_model.current()
        if model_id is not None:
            links.link(self.client, self.info.run_id, self, links.measured(self, model_id, None, 0))
        return logger

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the run as it is now, with its curves."""
        from steplog import plain

        run_id, store = self.info.run_id, self.client.store
        found = [each for each in store.runs([run_id]) if each.row.run_id == run_id]
        if not found:
            return super()._repr_html_()
        return plain.run_piece(store, found[0], self.client.live_writers())

    def series(self) -> SeriesNumbers:
        """Return what this thread can log to without a check."""
        if self._links_by_step():
            return {}
        return self.client.series_numbers(self.info.run_id, active_model.current())

    def remember(self, keys: Iterable[str]) -> None:
        """Add to `series` what has just been logged to, where nothing was named but its key."""
        if not self._links_by_step():
            self.client.remember(self.info.run_id, keys, active_model.current())

    def _links_by_step(self) -> bool:
        """Tell whether it depends on the step for which models a metric is logged."""
        return bool(self.outputs.model_outputs) and active_model.current() is None

    def __enter__(self) -> ActiveRun:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if any(run.info.run_id == self.info.run_id for run in _own.runs):
            end("FINISHED" if kind is None else "FAILED")


class _Own(threading.local):
    """What one thread has started itself."""

    def __init__(self) -> None:
        self.runs: list[ActiveRun] = []  # the innermost last
        self.last: ActiveRun | None = None


class _PerThread(dict[str, tuple[Recorder, int]]):
    """Stands in for `series` while threads log to different runs, or for different models."""

    def __init__(self) -> None:
        self._own = threading.local()

    def __missing__(self, key: str) -> tuple[Recorder, int]:
        try:
            own: SeriesNumbers = self._own.series
        except AttributeError:
            own = self._own.series = _series()
        return own[key]


_lock = threading.RLock()  # re-entrant: a signal handler may end a run on top of a thread in here
_own = _Own()
_active: list[ActiveRun] = []  # of all threads, in the order they were started
_inherited: ActiveRun | None = None  # what the parent of this process had active at the fork
series: SeriesNumbers = {}
"""The series numbers of the run that is meant, and the model that is active, in every thread."""
answer: RunOperations | None = None
"""What a call hands back that logs points and leaves `synchronous` to the setting."""


def current() -> ActiveRun | None:
    """Return the run that a call in this thread means."""
    own = _own.runs
    return own[-1] if own else _latest()


def started_here() -> list[ActiveRun]:
    """Return the active runs that this thread started, the innermost last."""
    return _own.runs


def last() -> ActiveRun | None:
    """Return the run that this thread ended last."""
    return _own.last


def begin(run: ActiveRun) -> ActiveRun:
    """Make `run` this thread's innermost active run."""
    with _lock:
        _own.runs.append(run)
        _active.append(run)
        refresh()
    # Hooks run in the reverse order. This one logs, so it must come before the recorder closes,
    # and the recorder of this run may be younger than the hook is.
    atexit.unregister(_end_all)
    atexit.register(_end_all)
    return run


def end(status: str) -> ActiveRun | None:
    """End this thread's innermost active run and return it; None where it has none.

    Raises:
        MlflowException: the run was deleted meanwhile. It is not active any more, all the same.
        Exception: `status` is none of MLflow's. Likewise.

    """
    if not _own.runs:
        return None
    with _lock:
        run = _own.last = _own.runs.pop()
        _active[:] = [other for other in _active if other is not run]
        refresh()
    if run.monitor is not None:
        run.monitor.stop()
    report_refusals()
    run.client.set_terminated(run.info.run_id, status)
    return run


def refresh() -> None:
    """Set `series` and `answer` anew, for a run, the active model or a setting has changed."""
    global series, answer
    with _lock:
        one_run = len({run.thread_id for run in _active}) < 2
        series = _series() if one_run and active_model.shared() else _PerThread()
        # Where the setting means nothing, who logs is told, but no run fails to end for it.
        with suppress(MlflowException):
            answer = LOGGED if asynchronous(None) else None


def _series() -> SeriesNumbers:
    run = current()
    return {} if run is None else run.series()


def _latest() -> ActiveRun | None:
    return _active[-1] if _active else _inherited


def _end_all() -> None:
    """End the main thread's runs at exit, also where an error outside of ``with`` is the reason.

    Those of other threads stay as they are, but are not measured for any more: what logs after the
    recorder has closed leaves a journal behind.
    """
    for run in list(_active):
        if run.monitor is not None:
            run.monitor.stop()
    while _own.runs:
        try:
            end("FINISHED")
        except Exception as error:  # there is nobody left to catch it, and outer runs must end too
            warn(f"A run could not be ended at exit: {error}")


def _after_fork_in_child() -> None:
    global _lock, _own, _inherited
    _inherited = _latest()
    _lock, _own = threading.RLock(), _Own()
    _active.clear()
    refresh()


forks.around(after_in_child=_after_fork_in_child)
