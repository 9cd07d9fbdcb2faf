"""What a metric is linked to: the models that were measured, and the dataset they were measured on.

Every point carries their ids. What is named for the first time also becomes an input of the run,
unless the run made the model itself.

What is not here: which model is the active one (`steplog.active_model`).
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any, NamedTuple, Protocol

from steplog import active_model, rules
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


class Measured(NamedTuple):
    """What the metrics of one call were measured on.

    Attributes:
        model_ids: the models; ``[None]`` where there is none.
        dataset_name: the dataset, if any …
        dataset_digest: … and its digest.
        new_models: those that the run is not known to be linked to …
        new_datasets: … and likewise the dataset.

    """

    model_ids: list[str | None]
    dataset_name: str | None
    dataset_digest: str | None
    new_models: list[LoggedModelInput]
    new_datasets: list[DatasetInput]


def measured(run: Linked, model_id: str | None, dataset: Dataset | None, step: int) -> Measured:
    """Return what metrics of this step are linked to.

    The model is the one that is named, else the active one, else those that the run made at this
    step.

    Raises:
        AttributeError: `dataset` is no dataset.
        MlflowException: INVALID_PARAMETER_VALUE for a dataset that cannot be kept.

    """
    chosen = model_id or active_model.current()
    made = [output.model_id for output in run.outputs.model_outputs if output.step == step]
    model_ids: list[str | None] = [*made] if made and not chosen else [chosen]
    known = {each.model_id for each in run.inputs.model_inputs}
    known |= {each.model_id for each in run.outputs.model_outputs}
    models = [LoggedModelInput(each) for each in model_ids if each and each not in known]
    if dataset is None:
        return Measured(model_ids, None, None, models, [])
    # The third is what tells a dataset from anything else that has a name and a digest.
    third = "source_type" if hasattr(dataset, "source_type") else "_to_mlflow_entity"
    name, digest, _ = attrgetter("name", "digest", third)(dataset)
    used = {(each.dataset.name, each.dataset.digest) for each in run.inputs.dataset_inputs}
    datasets = [] if (name, digest) in used else [DatasetInput(described(dataset))]
    rules.check_dataset_inputs(datasets)
    return Measured(model_ids, name, digest, models, datasets)


def described(dataset: Any) -> Any:
    """Return a dataset with the fields of `entities.Dataset`; MLflow works them out when asked."""
    return dataset if hasattr(dataset, "source_type") else dataset._to_mlflow_entity()


def link(client: Client, run_id: str, run: Linked, measured: Measured) -> None:
    """Make inputs of the run what it is not known to be linked to."""
    if measured.new_models or measured.new_datasets:
        client.link_inputs(run_id, measured.new_datasets, measured.new_models)
        run.inputs.model_inputs += measured.new_models
        run.inputs.dataset_inputs += measured.new_datasets
