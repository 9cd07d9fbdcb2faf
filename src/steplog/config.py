"""What a program sets itself, for its own process: `steplog.config` to users, as in MLflow."""

from __future__ import annotations

from steplog import runs, settings
from steplog.exceptions import invalid

_NAMES = {
    setting.name.removeprefix("STEPLOG_").lower(): setting.name
    for setting in settings.SETTINGS
    if setting.name.startswith("STEPLOG_")
}


def enable_async_logging(enable: bool = True) -> None:
    """Choose what ``synchronous=None`` means in every call that logs; child processes inherit it.

    It only decides what these calls hand back, and whether they wait for a refusal: what they
    logged is durable when they return, either way.

    Args:
        enable: True for ``synchronous=False``.

    """
    settings.export("MLFLOW_ENABLE_ASYNC_LOGGING", str(bool(enable)))
    runs.refresh()


def set(**values: settings.Value | None) -> None:
    """Set settings of steplog for this process, over the environment; None takes one back.

    Args:
        values: by the variable's name without ``STEPLOG_``, in small letters.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE for a name that is no setting, or a value that it
            cannot have.

    Example:
        >>> set(ingest="off", exit_seconds=30)

    """
    for name, value in values.items():
        if name not in _NAMES:
            raise invalid(f"There is no setting {name!r}; there are {', '.join(sorted(_NAMES))}.")
        settings.override(_NAMES[name], value)
