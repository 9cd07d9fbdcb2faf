"""The one table of settings, and the only module that reads or writes the environment.

A setting is looked up when it is used, never when steplog is imported: what was set in this process
with `override` wins, then the environment, then the default. A variable that is set to the empty
text counts as not set.
"""

from __future__ import annotations

import os
from typing import Literal, NamedTuple, TypeAlias, overload

from steplog.exceptions import invalid

# A tuple of words stands for "one of these".
Type: TypeAlias = "type[bool] | type[int] | type[float] | type[str] | tuple[str, ...]"
Value: TypeAlias = "bool | int | float | str"

# What `get` returns for which name, for the type checker; it also finds misspelled names.
BoolName = Literal[
    "STEPLOG_OFFLINE",
    "MLFLOW_ENABLE_ASYNC_LOGGING",
    "MLFLOW_TRUNCATE_LONG_VALUES",
    "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING",
]
IntName = Literal[
    "STEPLOG_MEMORY_LIMIT_MB",
    "STEPLOG_SEAL_POINTS",
    "MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING",
    "STEPLOG_SPOOL_LIMIT_MB",
    "RANK",
    "SLURM_PROCID",
    "OMPI_COMM_WORLD_RANK",
]
FloatName = Literal[
    "STEPLOG_SYNC_SECONDS", "STEPLOG_EXIT_SECONDS", "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"
]
WordName = Literal["STEPLOG_INGEST", "STEPLOG_JOURNAL", "STEPLOG_DURABILITY"]
TextName = Literal[
    "STEPLOG_TRACKING_URI",
    "STEPLOG_POINTS_URI",
    "STEPLOG_STATE_DIR",
    "STEPLOG_CATALOG",
    "XDG_STATE_HOME",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_RUN_ID",
    "MLFLOW_RUN_CONTEXT",
    "MLFLOW_ACTIVE_MODEL_ID",
    "_MLFLOW_ACTIVE_MODEL_ID",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_SYSTEM_METRICS_NODE_ID",
    "NO_COLOR",
    "TERM",
]
Name: TypeAlias = "BoolName | IntName | FloatName | WordName | TextName"


class Setting(NamedTuple):
    """One row of the table.

    Attributes:
        name: the environment variable.
        type: bool, int, float or str, or the words allowed.
        default: what holds where nothing is set; None for "nothing".
        help: one sentence, with the unit.

    """

    name: Name
    type: Type
    default: Value | None
    help: str

    @property
    def allowed(self) -> str:
        """What may be written, in words."""
        if isinstance(self.type, tuple):
            return " or ".join(self.type)
        return {
            bool: "true, false, 1 or 0",
            int: "a whole number, 0 or more",
            float: "a number, 0 or more",
            str: "any text",
        }[self.type]


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "STEPLOG_TRACKING_URI",
        str,
        None,
        "Where runs are recorded: a directory, or a file:// or steplog:// URI of one; a server, "
        "http:// or https://; or a database, postgresql://. Without it MLFLOW_TRACKING_URI is used "
        "where it names a server, or its scheme is steplog, else ./steplog-store.",
    ),
    Setting(
        "STEPLOG_POINTS_URI",
        str,
        None,
        "Where a store in a database keeps its points, if elsewhere: clickhouse://host,host/name.",
    ),
    Setting(
        "STEPLOG_OFFLINE",
        bool,
        False,
        "Whether servers and databases are left alone: what is logged waits on this machine until "
        "`steplog sync`, or a process without this setting, delivers it.",
    ),
    Setting(
        "STEPLOG_STATE_DIR",
        str,
        None,
        "Where this machine keeps what waits for servers and databases, and the catalogs of stores "
        "on shared or read-only file systems. Without it $XDG_STATE_HOME/steplog is used, else "
        "~/.local/state/steplog.",
    ),
    Setting(
        "STEPLOG_CATALOG",
        str,
        None,
        "A local directory for the catalogs of stores whose directory is only read. Journals are "
        "then never removed.",
    ),
    Setting(
        "STEPLOG_SPOOL_LIMIT_MB",
        int,
        10240,
        "How many MB of journals may wait for one server or database; beyond that the oldest are "
        "kept, and new points are counted and dropped once memory is full, too.",
    ),
    Setting(
        "STEPLOG_INGEST",
        ("auto", "on", "off"),
        "auto",
        "Whether a process that logs moves its journal into the store itself. "
        "auto: not on file systems that are shared with other hosts. With off it opens no store at "
        "all, and takes its directory for shared; a reader, or `steplog ingest --watch`, does the "
        "work.",
    ),
    Setting(
        "STEPLOG_JOURNAL",
        ("auto", "mmap", "append"),
        "auto",
        "How journals are written. auto: mmap on local file systems, append on shared ones, where "
        "mapped writes are not safe.",
    ),
    Setting(
        "STEPLOG_DURABILITY",
        ("process", "power"),
        "process",
        "What a logged point survives once the call has returned: the death of the process, "
        "or also of the machine (power costs an fsync a call).",
    ),
    Setting(
        "STEPLOG_MEMORY_LIMIT_MB",
        int,
        64,
        "How many MB of points are kept in memory while the journal cannot be written.",
    ),
    Setting(
        "STEPLOG_SYNC_SECONDS",
        float,
        5.0,
        "The longest that a synchronous operation waits for the store, in seconds.",
    ),
    Setting(
        "STEPLOG_EXIT_SECONDS",
        float,
        5.0,
        "The longest that the end of the process waits for the store, in seconds; "
        "the next process, or a reader, does the rest.",
    ),
    Setting(
        "STEPLOG_SEAL_POINTS",
        int,
        65536,
        "How many points of a running run may wait before they are sorted into chunks.",
    ),
    Setting("TERM", str, None, "The kind of terminal; `dumb` ones get no colours."),
    Setting("NO_COLOR", str, None, "Set to anything: the command line writes no colours."),
    Setting(
        "MLFLOW_TRACKING_URI",
        str,
        None,
        "MLflow's tracking URI; used where it names a server, or its scheme is steplog.",
    ),
    Setting(
        "MLFLOW_EXPERIMENT_NAME",
        str,
        None,
        "The experiment of runs that name none; created where it is missing.",
    ),
    Setting(
        "MLFLOW_EXPERIMENT_ID", str, None, "The experiment of runs that name none; must exist."
    ),
    Setting(
        "MLFLOW_RUN_ID", str, None, "The run that the next start_run resumes; it is then unset."
    ),
    Setting("MLFLOW_RUN_CONTEXT", str, None, "A JSON object of tags that every new run is given."),
    Setting("MLFLOW_ACTIVE_MODEL_ID", str, None, "The model that metrics are logged for."),
    Setting("_MLFLOW_ACTIVE_MODEL_ID", str, None, "The same, by the name it had in MLflow before."),
    Setting(
        "MLFLOW_ENABLE_ASYNC_LOGGING",
        bool,
        False,
        "What synchronous=None means: true for synchronous=False.",
    ),
    Setting(
        "MLFLOW_TRUNCATE_LONG_VALUES",
        bool,
        True,
        "Whether values of params and tags that are too long are cut, with a warning, or refused.",
    ),
    Setting(
        "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING",
        bool,
        False,
        "Whether runs record how busy the machine is (log_system_metrics=None); needs psutil.",
    ),
    Setting(
        "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL",
        float,
        10.0,
        "How often the machine is measured, in seconds; 0 counts as not set.",
    ),
    Setting(
        "MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING",
        int,
        1,
        "How many measurements become one point, their mean; 0 counts as not set.",
    ),
    Setting(
        "MLFLOW_SYSTEM_METRICS_NODE_ID",
        str,
        None,
        "The machine's name in the keys of system metrics, where several log to one run.",
    ),
    Setting(
        "MLFLOW_TRACKING_USERNAME",
        str,
        None,
        "The user that new runs are recorded under, instead of the one logged in; and the name by "
        "which a server is called that asks for one.",
    ),
    Setting("MLFLOW_TRACKING_PASSWORD", str, None, "The password that goes with that name."),
    Setting("MLFLOW_TRACKING_TOKEN", str, None, "The token by which a server is called."),
    Setting(
        "XDG_STATE_HOME",
        str,
        None,
        "Where programs of this user keep their state; see STEPLOG_STATE_DIR.",
    ),
    Setting("RANK", int, -1, "This process's rank in a distributed job, as torchrun says it."),
    Setting("SLURM_PROCID", int, -1, "The same, as SLURM says it."),
    Setting("OMPI_COMM_WORLD_RANK", int, -1, "The same, as Open MPI says it."),
)

_BY_NAME: dict[str, Setting] = {setting.name: setting for setting in SETTINGS}
_BOOLS = {"true": True, "1": True, "false": False, "0": False}
_overrides: dict[str, Value] = {}


@overload
def get(name: BoolName) -> bool: ...
@overload
def get(name: IntName) -> int: ...
@overload
def get(name: FloatName) -> float: ...
@overload
def get(name: WordName) -> str: ...
@overload
def get(name: TextName) -> str | None: ...
def get(name: Name) -> Value | None:
    """Return the value in force: set in this process, else in the environment, else the default.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE where the variable's text means nothing.

    Example:
        >>> get("STEPLOG_SEAL_POINTS")
        65536

    """
    if name in _overrides:
        return _overrides[name]
    setting = _BY_NAME[name]
    text = os.environ.get(name)
    return _parse(setting, text) if text else setting.default


def override(name: Name, value: Value | None) -> None:
    """Set a value for this process only, over the environment; None takes it back.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE, as `get`.

    """
    if value is None:
        _overrides.pop(name, None)
    else:
        _overrides[name] = _parse(_BY_NAME[name], str(value))


def export(name: Name, value: Value | None) -> None:
    """Set a variable in the environment, which child processes inherit; None removes it.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE, as `get`; the variable stays as it was.

    """
    if value is None:
        os.environ.pop(name, None)
    else:
        _parse(_BY_NAME[name], text := str(value))
        os.environ[name] = text


def _parse(setting: Setting, text: str) -> Value:
    word = text.strip().lower()
    if setting.type is str:
        return text
    if isinstance(setting.type, tuple) and word in setting.type:
        return word
    if setting.type is bool and word in _BOOLS:
        return _BOOLS[word]
    if setting.type in (int, float):
        try:
            number: int | float = int(word) if setting.type is int else float(word)
        except ValueError:
            number = -1
        if number >= 0:  # NaN is not
            return number
    raise invalid(f"{setting.name} must be {setting.allowed}, but it is {text!r}.")
