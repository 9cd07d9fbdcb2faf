"""The fluent functions of experiments, and which experiment is in force.

That one is chosen by `set_experiment` for the whole process, as in MLflow, or by the environment.
"""

from __future__ import annotations

from typing import Any

from steplog import settings
from steplog.client import Client
from steplog.entities import Experiment, LifecycleStage
from steplog.exceptions import MlflowException, invalid
from steplog.rows import DEFAULT_EXPERIMENT_ID

_active_experiment_id: str | None = None  # what set_experiment chose, for every thread


def set_experiment(
    experiment_name: str | None = None, experiment_id: str | None = None
) -> Experiment:
    """Choose the experiment of all runs started from now on, in this process and its children.

    Args:
        experiment_name: created where there is none.
        experiment_id: must exist. Exactly one of the two is given.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE, also where the experiment is deleted;
            RESOURCE_DOES_NOT_EXIST.

    """
    global _active_experiment_id
    client = Client()
    if experiment_name is not None and experiment_id is None:
        experiment = client.ensure_experiment(experiment_name)
    elif experiment_id is not None and experiment_name is None:
        experiment = client.look_up_experiment(experiment_id)
    else:
        raise invalid("Must specify exactly one of: `experiment_id` or `experiment_name`.")
    if experiment.lifecycle_stage != LifecycleStage.ACTIVE:
        raise invalid(
            f"Cannot set a deleted experiment {experiment.name!r} as the active experiment. You "
            "can restore the experiment, or permanently delete the experiment to create a new one."
        )
    _active_experiment_id = experiment.experiment_id
    settings.export("MLFLOW_EXPERIMENT_ID", _active_experiment_id)
    return experiment


def create_experiment(
    name: str, artifact_location: str | None = None, tags: dict[str, Any] | None = None
) -> str:
    """Create an experiment and return its id; see `Client.create_experiment`."""
    return Client().create_experiment(name, artifact_location, tags)


def get_experiment(experiment_id: str) -> Experiment:
    """Return an experiment; see `Client.get_experiment`."""
    return Client().get_experiment(experiment_id)


def get_experiment_by_name(name: str) -> Experiment | None:
    """Return the experiment of this name, if any; see `Client.get_experiment_by_name`."""
    return Client().get_experiment_by_name(name)


def delete_experiment(experiment_id: str) -> None:
    """Mark an experiment and its runs as deleted; see `Client.delete_experiment`."""
    Client().delete_experiment(experiment_id)


def restore_experiment(experiment_id: str) -> None:
    """Take back `delete_experiment`; see `Client.restore_experiment`."""
    Client().restore_experiment(experiment_id)


def set_experiment_tag(key: str, value: Any) -> None:
    """Set a tag of the experiment in force.

    Args:
        key: as of a metric.
        value: turned into text.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE for a bad key, or where it is deleted.

    """
    client = Client()
    client.set_experiment_tag(in_force(client), key, value)


def set_experiment_tags(tags: dict[str, Any]) -> None:
    """Set several tags of the experiment in force, one after the other.

    Raises:
        MlflowException: as `set_experiment_tag`; then those before it are set.

    """
    for key, value in tags.items():
        set_experiment_tag(key, value)


def delete_experiment_tag(key: str) -> None:
    """Remove a tag of the experiment in force.

    Raises:
        MlflowException: RESOURCE_DOES_NOT_EXIST where it has no such tag.

    """
    client = Client()
    client.delete_experiment_tag(in_force(client), key)


def chosen() -> str | None:
    """Return the id of the experiment that `set_experiment` chose, if it was called."""
    return _active_experiment_id


def in_force(client: Client) -> str:
    """Return the experiment of a run that names none."""
    name = settings.get("MLFLOW_EXPERIMENT_NAME")
    given = settings.get("MLFLOW_EXPERIMENT_ID")
    if _active_experiment_id is not None:
        return _active_experiment_id
    if name is not None:
        experiment_id = client.ensure_experiment(name).experiment_id
        if given not in (None, experiment_id):
            raise invalid(
                f"The provided MLFLOW_EXPERIMENT_ID environment variable value `{given}` does not "
                f"match the experiment id `{experiment_id}` for experiment name `{name}`"
            )
        return experiment_id
    if given is None:
        return DEFAULT_EXPERIMENT_ID
    try:
        return client.look_up_experiment(given).experiment_id
    except MlflowException as error:
        raise invalid(
            f"The provided MLFLOW_EXPERIMENT_ID environment variable value `{given}` does not "
            "exist in the tracking server. Provide a valid experiment_id."
        ) from error
