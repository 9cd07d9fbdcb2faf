"""What a store has still to answer: `RunOperations`, and the refusals that nobody asked for.

Whatever a call records is in the journal when the call returns. Pending is only the answer to an
operation that the store may refuse: a param that has another value already, a tag that is not
there. Who waits is told by an error, who does not by a warning (`report_refusals`).
"""

from __future__ import annotations

from collections.abc import Sequence

from steplog import forks, settings
from steplog.exceptions import MlflowException, warn
from steplog.recorder import Recorder
from steplog.rows import Refusal
from steplog.writer import Ticket

REMEMBERED = 10_000
"""Operations that nobody has waited for are remembered up to this number, the latest of them; the
store keeps all refusals, and `steplog status` shows them."""

_unheard: dict[Ticket, Recorder] = {}


class RunOperations:
    """What a call with ``synchronous=False`` hands back.

    Example:
        >>> operations = steplog.log_params({"lr": 0.1}, synchronous=False)
        >>> operations.wait()

    """

    def __init__(self, recorder: Recorder | None = None, tickets: Sequence[Ticket] = ()) -> None:
        """Stand for operations of one recorder; without, for points, which are never refused."""
        self._recorder = recorder
        self._tickets = tickets

    def wait(self) -> None:
        """Wait until the store has taken the operations. It may be called again.

        The wait ends after STEPLOG_SYNC_SECONDS, and at once where the store is out of reach: the
        operations are safe in the journal.

        Raises:
            MlflowException: INTERNAL_ERROR, naming every operation that was refused.

        """
        if failures := [refused(refusal) for refusal in self.refusals()]:
            raise MlflowException(
                "The following failures occurred while performing one or more async logging "
                f"operations: {failures}"
            )

    def refusals(self) -> list[Refusal]:
        """Wait like `wait`, and return what was refused."""
        for ticket in self._tickets:
            _unheard.pop(ticket, None)
        return self._recorder.settle(self._tickets) if self._recorder is not None else []

    def watch(self) -> None:
        """Have the refusals warned about, unless `wait` asks for them first."""
        if self._recorder is not None:
            _unheard.update(dict.fromkeys(self._tickets, self._recorder))
        while len(_unheard) > REMEMBERED:
            _unheard.pop(next(iter(_unheard)), None)

    def __add__(self, other: RunOperations) -> RunOperations:
        return RunOperations(self._recorder or other._recorder, [*self._tickets, *other._tickets])


LOGGED = RunOperations()
"""What an asynchronous call hands back that logged nothing but points."""


def asynchronous(synchronous: bool | None) -> bool:
    """Tell what an argument `synchronous` asks for; None leaves it to the setting."""
    if synchronous is None:
        return settings.get("MLFLOW_ENABLE_ASYNC_LOGGING")
    return not synchronous


def refused(refusal: Refusal) -> MlflowException:
    """Return the error that a refusal is for the caller who waits for it."""
    return MlflowException(refusal.message, refusal.error_code)


def report_refusals() -> None:
    """Ask for everything that nobody has waited for, and warn of what was refused."""
    tickets: dict[Recorder, list[Ticket]] = {}
    while _unheard:
        ticket, recorder = _unheard.popitem()
        tickets.setdefault(recorder, []).append(ticket)
    for recorder, group in tickets.items():
        for refusal in recorder.settle(group):
            warn(f"The store refused what was logged to run {refusal.run_id}: {refusal.message}")


forks.around(after_in_child=_unheard.clear)  # the parent asked, the parent will be told
