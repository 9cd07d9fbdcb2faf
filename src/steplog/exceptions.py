"""The errors and the warning that steplog raises, all of them, and nothing else.

    MlflowException              wrong arguments; MLflow's own error codes and message texts
    ├── StoreError               the store cannot answer for now: locked, full, unreadable
    ├── StoreDamaged             what the store kept is not what it reads
    ├── FormatTooNew             a newer steplog wrote the store or the journal
    └── JournalDamaged           a record of a journal does not make sense

    SteplogWarning               something that must not stop a training went wrong

Errors of drivers and of the operating system are translated into these where they occur, in one
place each. None of them but MlflowException itself reaches a call that logs: a fault of the disk
is no reason to stop a training.
"""

from __future__ import annotations

import sys
import warnings
from contextlib import suppress


class MlflowException(Exception):
    """What MLflow's functions raise, with MLflow's codes and texts.

    Args:
        message: what was asked, what was found, what to do; also ``str(error)``.
        error_code: MLflow's name of the kind of error, such as ``"INVALID_PARAMETER_VALUE"``;
            without it, the one that belongs to the class.

    Example:
        >>> error = MlflowException("No such run", "RESOURCE_DOES_NOT_EXIST")
        >>> error.error_code, error.message
        ('RESOURCE_DOES_NOT_EXIST', 'No such run')

    """

    error_code = "INTERNAL_ERROR"

    def __init__(self, message: str, error_code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if error_code is not None:
            self.error_code = error_code


class StoreError(MlflowException):
    """The store cannot answer for now: locked, full or unreadable. Trying again may help."""

    error_code = "TEMPORARILY_UNAVAILABLE"


class StoreDamaged(MlflowException):
    """What the store kept is not what it reads: a checksum or a length does not fit."""

    error_code = "DATA_LOSS"


class FormatTooNew(MlflowException):
    """A newer steplog wrote this store or journal. Nothing was touched."""

    error_code = "INVALID_STATE"


class JournalDamaged(MlflowException):
    """A record of a journal does not make sense. The records around it can still be read."""

    error_code = "DATA_LOSS"


class SteplogWarning(UserWarning):
    """Something went wrong that must not stop a training; `steplog status` tells more."""


def invalid(message: str) -> MlflowException:
    """Return the error for a wrong argument, to be raised."""
    return MlflowException(message, "INVALID_PARAMETER_VALUE")


def missing(message: str) -> MlflowException:
    """Return the error for a run, experiment or tag that does not exist, to be raised."""
    return MlflowException(message, "RESOURCE_DOES_NOT_EXIST")


def warn(message: str) -> None:
    """Warn, and never raise.

    Where warnings are errors (``python -W error``) the text goes to stderr instead: turning a full
    disk into an exception inside `log_metric` would stop the training that we promised to leave
    alone.
    """
    try:
        warnings.warn(message, SteplogWarning, stacklevel=2)
    except Exception:
        # At interpreter exit, and under pythonw, there may be no stderr to write to.
        with suppress(Exception):
            print(f"SteplogWarning: {message}", file=sys.stderr)
