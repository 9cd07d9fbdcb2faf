"""The fluent functions: MLflow's names and arguments, for the run that is meant.

Each function finds the run (`steplog.runs`), or starts one, and hands the rest to `Client`.

Only `log_metric` and `log_metrics` do more. Most of their calls log a number to a series that has
been logged to before. For those everything is at hand, and the point is written right here: look
the series up, claim a slot of the journal, fill it. Whatever is not ordinary (a first value, a bad
argument, a full journal) falls through to the second half, which checks everything.

What is not here: which run is meant (`steplog.runs`), which model and dataset a metric is linked to
(`steplog.links`), and everything that names its run by id (`steplog.client`). Experiments, logged
models and searches have modules of their own (`experiments`, `models`, `searching`).
"""

from __future__ import annotations

from array import array
from time import time
from typing import TYPE_CHECKING, Any

from steplog import (
    backend,
    context,
    experiments,
    links,
    places,
    rules,
    runs,
    settings,
    system_metrics,
)
from steplog.base_client import now_ms
from steplog.client import RUN_NAME, Client
from steplog.entities import LifecycleStage, Metric, Param, Run, RunTag
from steplog.exceptions import MlflowException, invalid
from steplog.journal import CLOCK, POINT, pack_clock, release
from steplog.lookup import Expected
from steplog.pending import LOGGED, RunOperations, report_refusals
from steplog.runs import ActiveRun
from steplog.stores.base import PARENT_RUN_ID

if TYPE_CHECKING:
    from pathlib import Path

NOTE = "mlflow.note.content"


# Metrics --------------------------------------------------------------------------------------


def log_metric(
    key: str,
    value: float,
    step: int | None = None,
    synchronous: bool | None = None,
    timestamp: int | None = None,
    run_id: str | None = None,
    model_id: str | None = None,
    dataset: links.Dataset | None = None,
) -> RunOperations | None:
    """Log one value of a metric to the active run, which is started where there is none.

    When the call returns the point survives the death of the process, and every reader sees it.

    Args:
        key: at most 250 word characters, ``/ . - :`` and spaces.
        value: a number, or what makes one: a numpy, torch or TensorFlow scalar, a text.
        step: a 64-bit integer; None for 0.
        synchronous: False to be handed a `RunOperations`; None leaves it to
            `steplog.config.enable_async_logging`.
        timestamp: ms since 1970; None or 0 for now.
        run_id: another run than the active one.
        model_id: the model that was measured; None for the active one.
        dataset: what it was measured on: its name and digest are kept with the point.

    Returns:
        None, or a `RunOperations` where asynchronous.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST; nothing is stored.
        TypeError: `value` is nothing that a number can be made of.

    Example:
        >>> for step in range(3):
        ...     steplog.log_metric("loss", 1 / (step + 1), step)

    """
    if timestamp is None and run_id is None and model_id is None and dataset is None:
        try:
            recorder, number = runs.series[key]
            buffer, claim = recorder.writer.head
            slot = claim()
        except (KeyError, TypeError, StopIteration):
            pass  # a new key, a key that is no text, a journal without a slot left
        else:
            try:
                pack_clock(buffer, slot, step or 0, time(), value, number, CLOCK)
            except Exception:
                release(buffer, slot)  # what is wrong with the value or the step is said below
            else:
                if synchronous is None:
                    return runs.answer
                return None if synchronous else LOGGED
    client, target, run = find_run(run_id)
    step, timestamp = step or 0, timestamp or now_ms()
    measured = links.measured(run, model_id, dataset, step)
    name, digest = measured.dataset_name, measured.dataset_digest
    for each in measured.model_ids:
        answer = client.log_metric(
            target, key, value, timestamp, step, synchronous, name, digest, each
        )
    links.link(client, target, run, measured)
    if isinstance(run, ActiveRun) and model_id is None and dataset is None:
        run.remember([key])
    return answer


def log_metrics(
    metrics: dict[str, float],
    step: int | None = None,
    synchronous: bool | None = None,
    run_id: str | None = None,
    timestamp: int | None = None,
    model_id: str | None = None,
    dataset: links.Dataset | None = None,
) -> RunOperations | None:
    """Log values of several metrics, all with one step and one timestamp, or none of them.

    Args:
        metrics: key -> value.
        step: as in `log_metric`, as are all the others.
        synchronous: see there.
        run_id: see there.
        timestamp: see there.
        model_id: see there.
        dataset: see there.

    Returns:
        None, or a `RunOperations` where asynchronous.

    Raises:
        MlflowException: as `log_metric`, naming the metric by its place: ``metrics[3].value``.
        TypeError: as `log_metric`.

    Example:
        >>> steplog.log_metrics({"valid/loss": 0.31, "valid/accuracy": 0.91}, step=100)

    """
    if timestamp is None and run_id is None and model_id is None and dataset is None and metrics:
        try:
            known = list(map(runs.series.__getitem__, metrics))
            fields: list[float] = [step or 0, now_ms(), 0.0, 0, POINT] * len(known)
            fields[2::5] = values = list(metrics.values())
            array("d", values)  # raises where one is no number; then none of them may be stored
            fields[3::5] = [number for _, number in known]
            known[0][0].log_many(fields, len(known))
        except Exception:
            pass  # nothing was logged; what is wrong, if anything is, is said below
        else:
            if synchronous is None:
                return runs.answer
            return None if synchronous else LOGGED
    client, target, run = find_run(run_id)
    if not metrics:
        return None
    step, timestamp = step or 0, timestamp or now_ms()
    measured = links.measured(run, model_id, dataset, step)
    name, digest = measured.dataset_name, measured.dataset_digest
    points = [
        Metric(key, value, timestamp, step, each, name, digest)
        for key, value in metrics.items()
        for each in measured.model_ids
    ]
    answer = client.log_batch(target, points, synchronous=synchronous)
    links.link(client, target, run, measured)
    if isinstance(run, ActiveRun) and model_id is None and dataset is None:
        run.remember(metrics)
    return answer


# Params and tags ------------------------------------------------------------------------------


def log_param(key: str, value: Any, synchronous: bool | None = None) -> Any:
    """Log a param of the active run. It can be logged again, but not with another value.

    Args:
        key: as of a metric.
        value: turned into text; at most 6,000 characters are kept.
        synchronous: False not to wait for the store; see `RunOperations.wait`.

    Returns:
        `value`, or a `RunOperations` where asynchronous.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE.

    Example:
        >>> steplog.log_param("learning_rate", 0.1)
        0.1

    """
    client, run_id, _ = find_run()
    return client.log_param(run_id, key, value, synchronous)


def log_params(
    params: dict[str, Any], synchronous: bool | None = None, run_id: str | None = None
) -> RunOperations | None:
    """Log several params, all or none.

    Args:
        params: key -> value, as in `log_param`.
        synchronous: see there.
        run_id: another run than the active one.

    Returns:
        None, or a `RunOperations` where asynchronous.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST.

    """
    client, target, _ = find_run(run_id)
    return client.log_batch(
        target, params=[Param(*param) for param in params.items()], synchronous=synchronous
    )


def set_tag(key: str, value: Any, synchronous: bool | None = None) -> RunOperations | None:
    """Set a tag of the active run; the tag ``mlflow.runName`` renames it.

    Args:
        key: as of a metric.
        value: turned into text; at most 8,000 characters are kept.
        synchronous: False not to wait for the store; see `RunOperations.wait`.

    Returns:
        None, or a `RunOperations` where asynchronous.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE.

    """
    client, run_id, _ = find_run()
    return client.set_tag(run_id, key, value, synchronous)


def set_tags(tags: dict[str, Any], synchronous: bool | None = None) -> RunOperations | None:
    """Set several tags of the active run.

    Args:
        tags: key -> value, as in `set_tag`.
        synchronous: see there.

    Returns:
        None, or a `RunOperations` where asynchronous.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE; then none is set.

    """
    client, run_id, _ = find_run()
    return client.log_batch(
        run_id, tags=[RunTag(*tag) for tag in tags.items()], synchronous=synchronous
    )


def delete_tag(key: str) -> None:
    """Remove a tag of the active run.

    Raises:
        MlflowException: RESOURCE_DOES_NOT_EXIST where it has no such tag.

    """
    client, run_id, _ = find_run()
    client.delete_tag(run_id, key)


# Runs -----------------------------------------------------------------------------------------


def start_run(
    run_id: str | None = None,
    experiment_id: str | None = None,
    run_name: str | None = None,
    nested: bool = False,
    parent_run_id: str | None = None,
    tags: dict[str, Any] | None = None,
    description: str | None = None,
    log_system_metrics: bool | None = None,
) -> ActiveRun:
    """Start a run, or resume one, and make it this thread's active run.

    Args:
        run_id: a run to be resumed; None for the one in MLFLOW_RUN_ID, which is then unset, or a
            new one.
        experiment_id: None for the experiment in force (`set_experiment`).
        run_name: None for a generated name.
        nested: start it inside of this thread's active run.
        parent_run_id: the run that it is nested in; with an active run, that one.
        tags: values are turned into text.
        description: what the run is about; kept as the tag ``mlflow.note.content``.
        log_system_metrics: record how busy the machine is, as metrics ``system/…``. This needs the
            package psutil. None leaves it to `enable_system_metrics_logging`.

    Returns:
        The run, which ends with its ``with`` block, at `end_run`, or with the process.

    Raises:
        MlflowException: a run or experiment that does not exist, is deleted or does not fit.
        Exception: this thread has an active run, and `nested` is False.

    Example:
        >>> with steplog.start_run(run_name="first try") as run:
        ...     steplog.log_metric("loss", 0.5)

    """
    sampling = system_metrics.wanted(log_system_metrics)
    outer = runs.started_here()
    if outer and not nested:
        raise Exception(
            f"Run with UUID {outer[0].info.run_id} is already active. To start a new run, first "
            "end the current run with mlflow.end_run(). To start a nested run, call start_run "
            "with nested=True"
        )
    client = Client()
    tags = _with_description(tags, description)
    resumed = run_id or _taken_from_environment()
    if resumed:
        run = _resume(client, resumed, run_name, tags)
    else:
        if experiment_id is None:
            experiment_id = experiments.in_force(client)
        parent = _parent(client, parent_run_id, outer)
        if parent:
            tags[PARENT_RUN_ID] = parent
        if run_name:
            tags[RUN_NAME] = run_name
        run = client.create_run(experiment_id, tags=context.tags() | tags, run_name=run_name)
    monitor = sampling and system_metrics.watch(
        sampling, client, run.info.run_id, resumed=bool(resumed)
    )
    return runs.begin(ActiveRun(run, client, monitor))


def end_run(status: str = "FINISHED") -> None:
    """End this thread's innermost active run; do nothing where it has none.

    Operations of asynchronous calls that the store refused, and that nobody has asked for, are
    warned about.

    Args:
        status: FINISHED, FAILED, KILLED, RUNNING or SCHEDULED.

    Raises:
        Exception: `status` is none of these. The run is not active any more, all the same.

    """
    if runs.end(status):
        settings.export("MLFLOW_RUN_ID", None)


def active_run() -> ActiveRun | None:
    """Return the run that calls in this thread log to, as it was when it started.

    It is the innermost run that this thread started; else the one started last in this process or,
    after a fork, its parent.
    """
    return runs.current()


def last_active_run() -> Run | None:
    """Return the active run, or else the run that this thread ended last, as it is now."""
    run = runs.current()
    if run is not None:
        return run
    ended = runs.last()
    return ended and ended.client.get_run(ended.info.run_id)


def get_run(run_id: str) -> Run:
    """Return a run as it is now; see `Client.get_run`."""
    return Client().get_run(run_id)


def get_parent_run(run_id: str) -> Run | None:
    """Return the run that a run is nested in; see `Client.get_parent_run`."""
    return Client().get_parent_run(run_id)


def delete_run(run_id: str) -> None:
    """Mark a run as deleted; see `Client.delete_run`."""
    Client().delete_run(run_id)


def restore_run(run_id: str) -> None:
    """Take back `delete_run`; see `Client.restore_run`."""
    Client().restore_run(run_id)


def flush_async_logging() -> None:
    """Wait until the store has everything that was logged, for STEPLOG_SYNC_SECONDS at most.

    Nothing depends on it: what was logged is durable, and readers see it, without. Refused
    operations that nobody has asked for are warned about.
    """
    run = runs.current()
    client = Client() if run is None else run.client
    client.recorder.flush()
    report_refusals()


def find_run(run_id: str | None = None) -> tuple[Client, str, ActiveRun | Expected]:
    """Return where to log, to which run, and what is known of it.

    That is the run of this id; without, the active run, which is started where there is none.
    """
    if run_id is not None:
        rules.check_run_id(run_id)
        client = Client()
        return client, run_id, client.expect_run(run_id)
    run = runs.current() or start_run()
    return run.client, run.info.run_id, run


def _with_description(tags: dict[str, Any] | None, description: str | None) -> dict[str, Any]:
    tags = dict(tags or {})
    if description:
        if NOTE in tags:
            raise invalid(
                f"Description is already set via the tag {NOTE} in tags.Remove the key {NOTE} "
                "from the tags or omit the description."
            )
        tags[NOTE] = description
    return tags


def _taken_from_environment() -> str | None:
    run_id = settings.get("MLFLOW_RUN_ID")
    settings.export("MLFLOW_RUN_ID", None)  # the run after it is another
    return run_id


def _resume(client: Client, run_id: str, run_name: str | None, tags: dict[str, Any]) -> Run:
    info = client.look_up_run(run_id).info
    chosen = experiments.chosen()
    if chosen is not None and info.experiment_id not in ("", chosen):
        raise MlflowException(
            f"Cannot start run with ID {run_id} because active experiment ID does not match "
            "environment run ID. Make sure --experiment-name or --experiment-id matches "
            "experiment set with set_experiment(), or just use command-line arguments"
        )
    if info.lifecycle_stage == LifecycleStage.DELETED:
        raise MlflowException(
            f"Cannot start run with ID {run_id} because it is in the deleted state."
        )
    client.update_run(run_id, "RUNNING", run_name)
    client.log_batch(run_id, tags=[RunTag(*tag) for tag in tags.items()], synchronous=True)
    return client.look_up_run(run_id, metrics=True)


def _parent(client: Client, parent_run_id: str | None, outer: list[ActiveRun]) -> str | None:
    """Return the id of the run that a new one is nested in, if any."""
    current = outer[-1].info.run_id if outer else None
    if not parent_run_id or parent_run_id == current:
        return current
    if current is not None:
        raise MlflowException(
            f"Current run with UUID {current} does not match the specified parent_run_id "
            f"{parent_run_id}. To start a new nested run under the parent run with UUID "
            f"{current}, first end the current run with mlflow.end_run()."
        )
    if client.look_up_run(parent_run_id).info.lifecycle_stage == LifecycleStage.DELETED:
        raise MlflowException(
            f"Cannot start run under parent run with ID {parent_run_id} because it is in the "
            "deleted state."
        )
    return parent_run_id


# Where it all goes ----------------------------------------------------------------------------


def set_tracking_uri(uri: str | Path) -> None:
    """Choose where runs are recorded from now on, in this process and its children.

    Active runs stay where they are.

    Args:
        uri: a directory, or a ``file://`` or ``steplog://`` URI of one; a server, ``http://host``;
            or a database, ``postgresql://host/name``. Empty for the default.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE for a URI of another kind.

    """
    uri = str(uri)
    if uri:
        absolute = places.absolute(uri)
        if "://" not in uri:
            uri = absolute  # the working directory may change
    settings.export("STEPLOG_TRACKING_URI", uri or None)


def is_tracking_uri_set() -> bool:
    """Tell whether it was chosen where runs are recorded, by a program or by the environment."""
    return backend.is_chosen()


def get_tracking_uri() -> str:
    """Return where runs are recorded: what was set, or the directory ``steplog-store`` here."""
    return backend.tracking_uri()
