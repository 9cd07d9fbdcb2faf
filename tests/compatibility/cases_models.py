"""Logged models: creating, finalizing, finding, deleting, tagging, and the active model."""

from __future__ import annotations

import os
import threading
from typing import Any

from compatibility.cases import (
    UNKNOWN_EXPERIMENT,
    UNKNOWN_MODEL,
    UNKNOWN_RUN,
    attempt,
    case,
    experiment_id,
    new_run,
)


def new_model(mlflow: Any, name: str = "model", **arguments: Any) -> str:
    """Create a model in the case's experiment and return its id."""
    model = mlflow.MlflowClient().create_logged_model(experiment_id(), name=name, **arguments)
    return str(model.model_id)


@case(over_http=True)
def created(mlflow: Any) -> object:
    """A new model is PENDING, with everything it was given, at once and when fetched."""
    run_id = new_run(mlflow)
    model = mlflow.MlflowClient().create_logged_model(
        experiment_id(),
        name="resnet",
        source_run_id=run_id,
        tags={"a": "1"},
        params={"p": "2"},
        model_type="classifier",
    )
    return [run_id, model, mlflow.get_logged_model(model.model_id)]


@case(over_http=True)
def created_with_little(mlflow: Any) -> object:
    """A model needs nothing but its experiment, and gets a name."""
    model = mlflow.MlflowClient().create_logged_model(experiment_id())
    return [model, mlflow.get_logged_model(model.model_id)]


@case(over_http=True)
def created_wrongly(mlflow: Any) -> object:
    """The experiment must exist and be active; so must tags and params have legal keys."""
    client = mlflow.MlflowClient()
    deleted = mlflow.create_experiment("models.created_wrongly: deleted")
    client.delete_experiment(deleted)
    return [
        attempt(client.create_logged_model, UNKNOWN_EXPERIMENT, name="m"),
        attempt(client.create_logged_model, deleted, name="m"),
        attempt(client.create_logged_model, experiment_id(), tags={"x" * 251: "1"}),
        attempt(client.create_logged_model, experiment_id(), params={"x" * 251: "1"}),
        attempt(client.create_logged_model, experiment_id(), params={"p": "x" * 6_001}),
    ]


@case(over_http=True)
def names(mlflow: Any) -> object:
    """The name of a model is any text but for a few characters."""
    client = mlflow.MlflowClient()
    seen = {}
    for name in ("a b", "a.b", "a:b", "a/b", 'a"b', "a'b", "a%b", "é", "x" * 500, ""):
        model = attempt(client.create_logged_model, experiment_id(), name=name)
        seen[name] = getattr(model, "name", model)
    return seen


@case(over_http=True)
def initialized(mlflow: Any) -> object:
    """The fluent function takes run and experiment of the active run, and adds its tags."""
    with mlflow.start_run(run_name="source") as run:
        model = mlflow.initialize_logged_model(name="inside", tags={"a": "1"})
    outside = mlflow.initialize_logged_model(name="outside")
    return [
        model.source_run_id == run.info.run_id,
        model.experiment_id == experiment_id(),
        [outside.source_run_id, outside.experiment_id == experiment_id()],
        model.tags,
        mlflow.get_logged_model(outside.model_id).status,
    ]


@case
def initialized_elsewhere(mlflow: Any) -> object:
    """The fluent function takes another experiment, and the run that made the model."""
    other = mlflow.create_experiment("models.initialized_elsewhere: other")
    source = new_run(mlflow)
    model = mlflow.initialize_logged_model(
        name="m", experiment_id=other, source_run_id=source, model_type="t", params={"p": "1"}
    )
    found = mlflow.get_logged_model(model.model_id)
    return [
        found.experiment_id == other,
        found.source_run_id == source,
        found.model_type,
        found.params,
        attempt(mlflow.initialize_logged_model, name="m", source_run_id=UNKNOWN_RUN) is not None,
    ]


@case
def external(mlflow: Any) -> object:
    """An external model is READY at once, and says that it is external."""
    model = mlflow.create_external_model(name="theirs", model_type="agent", tags={"a": "1"})
    found = mlflow.get_logged_model(model.model_id)
    return [found.name, found.status, found.model_type, found.tags]


@case
def finalized(mlflow: Any) -> object:
    """Finalizing makes a model READY or FAILED, and says when."""
    seen = []
    for status in ("READY", "FAILED", mlflow.entities.LoggedModelStatus.READY):
        model_id = new_model(mlflow)
        model = mlflow.finalize_logged_model(model_id, status)
        seen.append([model.status, mlflow.get_logged_model(model_id).status])
    again = mlflow.finalize_logged_model(model_id, "FAILED")
    return [seen, again.status, again.last_updated_timestamp]


@case
def finalized_wrongly(mlflow: Any) -> object:
    """Another status is a ValueError, an unknown model is not found."""
    model_id = new_model(mlflow)
    return [
        attempt(mlflow.finalize_logged_model, model_id, "DONE"),
        attempt(mlflow.finalize_logged_model, UNKNOWN_MODEL, "READY"),
        mlflow.get_logged_model(model_id).status,
    ]


@case
def unknown_ones(mlflow: Any) -> object:
    """A model that does not exist is not found, by any function."""
    client = mlflow.MlflowClient()
    return [
        attempt(mlflow.get_logged_model, UNKNOWN_MODEL),
        attempt(client.get_logged_model, "nonsense"),
        attempt(client.delete_logged_model, UNKNOWN_MODEL),
        attempt(client.set_logged_model_tags, UNKNOWN_MODEL, {"a": "1"}),
        attempt(client.delete_logged_model_tag, UNKNOWN_MODEL, "a"),
        attempt(client.log_model_params, UNKNOWN_MODEL, {"p": "1"}),
    ]


@case(over_http=True, alone=True)
def deleted(mlflow: Any) -> object:
    """A deleted model is found no more, nor deleted again, nor changed."""
    client, model_id = mlflow.MlflowClient(), new_model(mlflow)
    return [
        client.delete_logged_model(model_id),
        attempt(client.get_logged_model, model_id),
        attempt(client.delete_logged_model, model_id),
        attempt(client.finalize_logged_model, model_id, "READY"),
        attempt(client.set_logged_model_tags, model_id, {"a": "1"}),
        client.search_logged_models([experiment_id()]),
    ]


@case
def tags(mlflow: Any) -> object:
    """Tags of a model are set, changed and removed; their values become text."""
    model_id = new_model(mlflow, tags={"a": "1"})
    answers = [
        mlflow.set_logged_model_tags(model_id, {"a": 2, "b": "x"}),
        mlflow.delete_logged_model_tag(model_id, "b"),
        attempt(mlflow.delete_logged_model_tag, model_id, "nothing"),
        mlflow.set_logged_model_tags(model_id, {}),
    ]
    return [answers, mlflow.get_logged_model(model_id).tags]


@case
def params(mlflow: Any) -> object:
    """Params are added to a model, and become text."""
    model_id = new_model(mlflow, params={"a": "1"})
    answers = [
        mlflow.log_model_params({"b": "2"}, model_id),
        mlflow.log_model_params({"c": 3, "d": None}, model_id=model_id),
    ]
    return [answers, mlflow.get_logged_model(model_id).params]


@case
def a_changed_param(mlflow: Any) -> object:
    """A param of a model that was logged cannot be logged again."""
    model_id = new_model(mlflow, params={"a": "1"})
    outcomes = [
        attempt(mlflow.log_model_params, {"a": "2"}, model_id),
        attempt(mlflow.log_model_params, {"a": "1"}, model_id),
    ]
    return [outcomes, mlflow.get_logged_model(model_id).params]


@case
def the_last_one(mlflow: Any) -> object:
    """The last model of the program is fetched anew; before there is one, it is None."""
    model = mlflow.initialize_logged_model(name="last")
    mlflow.finalize_logged_model(model.model_id, "READY")
    found = mlflow.last_logged_model()
    return [found.name, found.status]


# The active model -------------------------------------------------------------------------------


@case
def active_by_id(mlflow: Any) -> object:
    """A model is made active by its id, until it is cleared."""
    model_id = new_model(mlflow)
    before = mlflow.get_active_model_id()
    active = mlflow.set_active_model(model_id=model_id)
    during = mlflow.get_active_model_id() == model_id
    mlflow.clear_active_model()
    return [before, active.name, during, mlflow.get_active_model_id()]


@case(alone=True)
def active_by_name(mlflow: Any) -> object:
    """A model is made active by its name; a missing one is created, external and READY."""
    model_id = new_model(mlflow, "known")
    known = mlflow.set_active_model(name="known").model_id == model_id
    made = mlflow.get_logged_model(mlflow.set_active_model(name="new").model_id)
    return [known, made.name, made.status, made.tags, mlflow.get_active_model_id() != model_id]


@case
def active_in_a_block(mlflow: Any) -> object:
    """As a context manager it gives back the model that was active before."""
    first, second = new_model(mlflow, "first"), new_model(mlflow, "second")
    mlflow.set_active_model(model_id=first)
    with mlflow.set_active_model(model_id=second) as model:
        inside = [model.name, mlflow.get_active_model_id() == second]
    return [inside, mlflow.get_active_model_id() == first]


@case
def active_wrongly(mlflow: Any) -> object:
    """The active model must be named, must exist, and must have the name that is given too."""
    model_id = new_model(mlflow, "mine")
    return [
        attempt(mlflow.set_active_model),
        attempt(mlflow.set_active_model, model_id=UNKNOWN_MODEL),
        attempt(mlflow.set_active_model, name="other", model_id=model_id),
        mlflow.get_active_model_id(),
    ]


@case
def active_of_another_thread(mlflow: Any) -> object:
    """The active model is that of the thread that set it."""
    mlflow.set_active_model(model_id=new_model(mlflow))
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.append(mlflow.get_active_model_id()))
    thread.start()
    thread.join()
    return seen


@case
def cleared_in_the_environment(mlflow: Any) -> object:
    """Clearing the active model takes away the variables that name it."""
    os.environ["MLFLOW_ACTIVE_MODEL_ID"] = "m-" + "0" * 32
    mlflow.clear_active_model()
    return [os.environ.get("MLFLOW_ACTIVE_MODEL_ID"), mlflow.get_active_model_id()]


@case
def params_of_the_active_one(mlflow: Any) -> object:
    """`log_model_params` without an id means the active model, and there must be one."""
    model_id = new_model(mlflow)
    with mlflow.set_active_model(model_id=model_id):
        mlflow.log_model_params({"p": "1"})
    return [mlflow.get_logged_model(model_id).params, attempt(mlflow.log_model_params, {"p": "1"})]
