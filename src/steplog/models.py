"""The fluent functions of logged models: making them, the active one, and what runs use and make.

A logged model is a name, a state, params and tags under an id; its files are none of steplog's
business. Metrics that are logged for it are kept with the run and shown with the model.

What is not here: which model each thread has made active (`steplog.active_model`), the links
between metrics and models (`steplog.links`), and searching (`steplog.searching`).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Literal

from steplog import active_model, context, experiments, forks, links, runs
from steplog.client import Client
from steplog.entities import (
    DatasetInput,
    InputTag,
    LoggedModel,
    LoggedModelInput,
    LoggedModelOutput,
    LoggedModelStatus,
)
from steplog.exceptions import MlflowException, invalid, warn
from steplog.fluent import find_run

DATASET_CONTEXT = "mlflow.data.context"
IS_EXTERNAL = "mlflow.model.isExternal"

_own = threading.local()  # `last`: the id of the model that this thread made last

# The active model ------------------------------------------------------------------------------


class ActiveModel(LoggedModel):
    """A logged model that `set_active_model` made the active one of this thread.

    At the end of its ``with`` block the one before it is active again.
    """

    def __init__(self, model: LoggedModel) -> None:
        super().__init__(**dict(model))  # type: ignore[arg-type]  # its attributes, by name
        self._before = active_model.current()
        _activate(model.model_id)

    def __enter__(self) -> ActiveModel:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _activate(self._before)


def set_active_model(*, name: str | None = None, model_id: str | None = None) -> ActiveModel:
    """Make a logged model the one that this thread's metrics are logged for.

    Args:
        name: of a model in the experiment in force: the newest; made where there is none.
        model_id: of a model that exists. With a name, that must be its name.

    Returns:
        The model. It stays active until the end of its ``with`` block; without one, until another
        is made active, or `clear_active_model`.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE where neither is given, the name is not the model's
            or cannot be one; RESOURCE_DOES_NOT_EXIST.

    Example:
        >>> with steplog.set_active_model(name="checkpoint-7") as model:
        ...     steplog.log_metric("accuracy", 0.93)

    """
    if model_id is not None:
        model = Client().look_up_model(model_id)
        if name is not None and model.name != name:
            raise invalid(
                f"LoggedModel with model_id {model_id!r} has name {model.name!r}, which does not "
                f"match the provided name {name!r}."
            )
        return ActiveModel(model)
    if name is None:
        raise invalid("Either name or model_id must be provided")
    client = Client()
    found = client.find_models(experiments.in_force(client), name)
    if len(found) > 1:
        warn(f"There are several models named {name!r}; the newest is now the active one.")
    return ActiveModel(found[0] if found else create_external_model(name))


def get_active_model_id() -> str | None:
    """Return the id of this thread's active model, if it has one.

    Before `set_active_model`, that is what MLFLOW_ACTIVE_MODEL_ID or, from older versions of
    MLflow, _MLFLOW_ACTIVE_MODEL_ID said when this thread first needed to know.
    """
    return active_model.current()


def clear_active_model() -> None:
    """Leave every thread without an active model, and take it out of the environment, too."""
    active_model.clear()
    runs.refresh()


def _activate(model_id: str | None) -> None:
    active_model.choose(model_id)
    runs.refresh()


# Logged models ---------------------------------------------------------------------------------


def initialize_logged_model(
    name: str | None = None,
    source_run_id: str | None = None,
    tags: dict[str, str] | None = None,
    params: dict[str, str] | None = None,
    model_type: str | None = None,
    experiment_id: str | None = None,
) -> LoggedModel:
    """Make a logged model that is PENDING until `finalize_logged_model`.

    Args:
        name: need not be unique; None for a generated one.
        source_run_id: the run that makes it; None for the active run, if any.
        tags: values are turned into text.
        params: likewise.
        model_type: any word for its kind.
        experiment_id: None for the experiment of the active run, or else the one in force.

    Returns:
        The model, with its new id.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE for a bad name; RESOURCE_DOES_NOT_EXIST.

    Example:
        >>> model = steplog.initialize_logged_model("checkpoint-7", params={"depth": "3"})
        >>> steplog.log_metric("accuracy", 0.93, model_id=model.model_id)
        >>> model = steplog.finalize_logged_model(model.model_id, "READY")

    """
    client = Client()
    run = runs.current()
    if run is not None:
        source_run_id = source_run_id or run.info.run_id
        experiment_id = experiment_id or run.info.experiment_id
    model = client.create_logged_model(
        experiment_id or experiments.in_force(client),
        name,
        source_run_id,
        context.tags() | (tags or {}),
        params,
        model_type,
    )
    _own.last = model.model_id
    return model


def create_external_model(
    name: str | None = None,
    source_run_id: str | None = None,
    tags: dict[str, str] | None = None,
    params: dict[str, str] | None = None,
    model_type: str | None = None,
    experiment_id: str | None = None,
) -> LoggedModel:
    """Make a logged model whose files are kept elsewhere, and which is READY at once.

    It is told from others by the tag ``mlflow.model.isExternal``. The arguments, and what is
    raised, are those of `initialize_logged_model`.
    """
    tags = {**(tags or {}), IS_EXTERNAL: "true"}
    model = initialize_logged_model(name, source_run_id, tags, params, model_type, experiment_id)
    return finalize_logged_model(model.model_id, LoggedModelStatus.READY)


def finalize_logged_model(
    model_id: str, status: Literal["READY", "FAILED"] | LoggedModelStatus
) -> LoggedModel:
    """Say that a model is complete, or never will be; see `Client.finalize_logged_model`."""
    return Client().finalize_logged_model(model_id, status)


def get_logged_model(model_id: str) -> LoggedModel:
    """Return a logged model with its metrics, as it is now; see `Client.get_logged_model`."""
    return Client().get_logged_model(model_id)


def last_logged_model() -> LoggedModel | None:
    """Return the model that this thread made last, as it is now; None where it made none."""
    model_id: str | None = getattr(_own, "last", None)
    return None if model_id is None else get_logged_model(model_id)


def log_model_params(params: dict[str, str], model_id: str | None = None) -> None:
    """Log params of a model, each of which can be set once.

    Args:
        params: values are turned into text.
        model_id: None for the active model.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE, also where no model is meant;
            RESOURCE_DOES_NOT_EXIST.

    """
    Client().log_model_params(model_id or active_model.current(), params)  # type: ignore[arg-type]


def set_logged_model_tags(model_id: str, tags: dict[str, Any]) -> None:
    """Set tags of a logged model; see `Client.set_logged_model_tags`."""
    Client().set_logged_model_tags(model_id, tags)


def delete_logged_model_tag(model_id: str, key: str) -> None:
    """Remove a tag of a logged model; see `Client.delete_logged_model_tag`."""
    Client().delete_logged_model_tag(model_id, key)


# What runs use and make ------------------------------------------------------------------------


def log_input(
    dataset: links.Dataset | None = None,
    context: str | None = None,
    tags: dict[str, str] | None = None,
    model: LoggedModelInput | None = None,
) -> None:
    """Record that the active run, which is started where there is none, uses a dataset or a model.

    Args:
        dataset: a dataset of MLflow's or `steplog.entities.Dataset`. One that the run uses already
            keeps its context and tags.
        context: what for, such as ``"training"``; kept as the tag ``mlflow.data.context``.
        tags: of this use of the dataset, not of the dataset.
        model: the model, by its id.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE.
        AttributeError: `dataset` is no dataset.

    Example:
        >>> digits = steplog.entities.Dataset("digits", digest="9c1e")
        >>> steplog.log_input(digits, context="training")

    """
    client, run_id, _ = find_run()
    datasets = [] if dataset is None else [_use(dataset, context, tags)]
    client.log_inputs(run_id, datasets, [] if model is None else [model])


def log_inputs(
    datasets: list[links.Dataset | None] | None = None,
    contexts: list[str | None] | None = None,
    tags_list: list[dict[str, str] | None] | None = None,
    models: list[LoggedModelInput | None] | None = None,
) -> None:
    """Record that the active run uses several datasets and models; see `log_input`.

    Args:
        datasets: the datasets …
        contexts: … and what each is for, or None …
        tags_list: … and its tags, or None. The three are of one length.
        models: the models, by their ids.

    Raises:
        MlflowException: INTERNAL_ERROR for lists of unequal length; and as `log_input`.
        AttributeError: as `log_input`.

    """
    datasets, contexts, tags_list = datasets or [], contexts or [], tags_list or []
    if not len(datasets) == len(contexts) == len(tags_list):
        raise MlflowException(
            "`mlflow.log_inputs` requires `datasets`, `contexts`, `tags_list` to be non-empty list "
            "and have the same length."
        )
    client, run_id, _ = find_run()
    uses = [
        _use(dataset, context, tags)
        for dataset, context, tags in zip(datasets, contexts, tags_list, strict=True)
        if dataset is not None or context or tags
    ]
    client.log_inputs(run_id, uses, [model for model in models or () if model is not None])


def log_outputs(models: list[LoggedModelOutput] | None = None) -> None:
    """Record that the active run, which is started where there is none, made models.

    Args:
        models: their ids, each with the step at which it was made.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE.

    """
    client, run_id, _ = find_run()
    client.log_outputs(run_id, models or [])


def _use(
    dataset: links.Dataset | None, context: str | None, tags: dict[str, str] | None
) -> DatasetInput:
    if dataset is None:
        raise invalid("`dataset` must be specified if `context` or `tags` is specified.")
    pairs: Sequence[tuple[str, str]] = [*(tags or {}).items()]
    if context:
        pairs = [*pairs, (DATASET_CONTEXT, context)]
    return DatasetInput(links.described(dataset), [InputTag(*pair) for pair in pairs])


forks.around(after_in_child=lambda: _own.__dict__.clear())
