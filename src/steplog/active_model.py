"""Which logged model metrics are logged for where a call names none: each thread's active model.

A thread, and the child of a fork, starts with the model that the environment names, as in MLflow.
What is chosen in one thread is nothing to the others. (An active *run* is shared with helper
threads; see `steplog.runs`.)

What is not here: choosing a model by name, and making sure that it exists (`steplog.models`).
"""

from __future__ import annotations

import threading

from steplog import forks, settings

_own = threading.local()
_choosers: set[int] = set()  # threads that have chosen; one that is gone may stay


def current() -> str | None:
    """Return the id of this thread's active model, if it has one."""
    if not hasattr(_own, "model_id"):  # the environment is read when the thread first needs it
        public = settings.get("MLFLOW_ACTIVE_MODEL_ID")
        _own.given = _own.model_id = public or settings.get("_MLFLOW_ACTIVE_MODEL_ID")
    model_id: str | None = _own.model_id
    return model_id


def choose(model_id: str | None) -> None:
    """Make a model the active one of this thread. Call `steplog.runs.refresh` afterwards."""
    current()
    _own.model_id = model_id
    change = _choosers.discard if model_id == _own.given else _choosers.add
    change(threading.get_ident())


def clear() -> None:
    """Leave every thread without an active model. Call `steplog.runs.refresh` afterwards."""
    settings.export("MLFLOW_ACTIVE_MODEL_ID", None)
    settings.export("_MLFLOW_ACTIVE_MODEL_ID", None)
    _forget()


def shared() -> bool:
    """Tell whether one active model, or none, holds for every thread."""
    return not _choosers


def _forget() -> None:
    global _own
    _own = threading.local()
    _choosers.clear()


forks.around(after_in_child=_forget)
