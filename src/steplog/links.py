"""What a metric is linked to: the models that were measured, and the dataset they were measured on.

Every point carries their ids. What is named for the first time also becomes an input of the run,
unless the run made the model itself.

What is not here: which model is the active one (`steplog.active_model`).
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any, Protocol

from steplog import active_model
from steplog.client import Client
from steplog.entities import DatasetInput, LoggedModelInput, RunInputs, RunOutputs


class Dataset(Protocol):
    """What counts as a dataset: `steplog.entities.Dataset`, or either kind of MLflow's."""

    @property
    def name(self) -> str:
        """The dataset's name."""

    @property
    def digest(self) -> str:
        """What tells this version of it from another."""


class Linked(Protocol):
    """What is known of a run's links: an `ActiveRun`, or a run that `Client.expect_run` knows."""

    inputs: RunInputs
    outputs: RunOutputs


def measured(run: Linked, model_id: str | None, step: int) -> list[str | None]:
    """Return the models that a metric of this step is logged for.

    That is the one that is named, else the active one, else those that the run made at this step;
    ``[None]`` where there is none of all these.
    """
    chosen = model_id or active_model.current()
    made = [output.model_id for output in run.outputs.model_outputs if output.step == step]
    return [chosen] if chosen or not made else [*made]


def name_and_digest(dataset: Dataset | None) -> tuple[str, str] | tuple[None, None]:
    """Return what a point keeps of a dataset.

    Raises:
        AttributeError: it is no dataset.

    """
    if dataset is None:
        return None, None
    # The third is what tells a dataset from anything else that has a name and a digest.
    third = "source_type" if hasattr(dataset, "source_type") else "_to_mlflow_entity"
    name, digest, _ = attrgetter("name", "digest", third)(dataset)
    return name, digest


def described(dataset: Any) -> Any:
    """Return a dataset with the fields of `entities.Dataset`; MLflow works them out when asked."""
    return dataset if hasattr(dataset, "source_type") else dataset._to_mlflow_entity()


def link(
    client: Client,
    run_id: str,
    run: Linked,
    model_ids: Iterable[str | None],
    dataset: Dataset | None = None,
) -> None:
    """Make models and a dataset inputs of a run that is not known to be linked to them."""
    inputs = run.inputs
    known = {each.model_id for each in inputs.model_inputs}
    known |= {each.model_id for each in run.outputs.model_outputs}
    models = [LoggedModelInput(each) for each in model_ids if each and each not in known]
    datasets = []
    if dataset is not None:
        used = {(each.dataset.name, each.dataset.digest) for each in inputs.dataset_inputs}
        if (dataset.name, dataset.digest) not in used:
            datasets.append(DatasetInput(described(dataset), tags=[]))
    if models or datasets:
        client.log_inputs(run_id, datasets, models)
        inputs.model_inputs += models
        inputs.dataset_inputs += datasets
