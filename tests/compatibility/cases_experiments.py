"""Experiments: creating, choosing, finding, renaming, deleting, tagging."""

from __future__ import annotations

import os
from typing import Any

from compatibility.cases import UNKNOWN_EXPERIMENT, attempt, case, experiment_id, forget_experiment

alone = case(alone=True)


def new_experiment(mlflow: Any, **arguments: Any) -> str:
    """Create another experiment for the case that is being done, and return its id."""
    mine = mlflow.get_experiment(experiment_id()).name
    return str(mlflow.create_experiment(f"{mine}: other", **arguments))


@alone
def created(mlflow: Any) -> object:
    """A new experiment, field by field, found by its id and by its name."""
    other = new_experiment(mlflow, tags={"a": "1", "b": "x"})
    client = mlflow.MlflowClient()
    return [
        type(other).__name__,
        mlflow.get_experiment(other),
        mlflow.get_experiment_by_name("experiments.created: other"),
        client.get_experiment(other),
    ]


@alone
def the_default_one(mlflow: Any) -> object:
    """Experiment 0 is named Default, and is always there."""
    found = mlflow.get_experiment("0")
    by_name = mlflow.get_experiment_by_name("Default")
    return [found.experiment_id, found.name, found.lifecycle_stage, found.tags, by_name.name]


@alone
def a_place_for_artifacts(mlflow: Any) -> object:
    """The place for artifacts is kept as it is given, and the runs' places lie below it."""
    other = new_experiment(mlflow, artifact_location="s3://bucket/some/where")
    run = mlflow.MlflowClient().create_run(other)
    return [mlflow.get_experiment(other).artifact_location, run.info.artifact_uri]


@alone
def names_that_are_taken(mlflow: Any) -> object:
    """A name can be given once, also while the experiment that has it is deleted."""
    client, name = mlflow.MlflowClient(), "experiments.names_that_are_taken: other"
    other = mlflow.create_experiment(name)
    outcomes = [attempt(mlflow.create_experiment, name)]
    client.delete_experiment(other)
    outcomes.append(attempt(client.create_experiment, name))
    return outcomes


@case(over_http=True, alone=True)
def names_that_cannot_be(mlflow: Any) -> object:
    """An empty name, none, and one that is no text are refused."""
    client = mlflow.MlflowClient()
    return [
        attempt(function, name)
        for function in (mlflow.create_experiment, client.create_experiment)
        for name in ("", None, 5)
    ]


@alone
def length_of_names(mlflow: Any) -> object:
    """A name has at most 500 characters."""
    return [
        attempt(mlflow.create_experiment, "x" * 501),
        len(mlflow.get_experiment(mlflow.create_experiment("x" * 500)).name),
    ]


@alone
def names_of_any_character(mlflow: Any) -> object:
    """Everything but the empty text is a name: slashes, quotes, spaces, other scripts."""
    names = ["a/b//c", "..", 'it\'s "quoted"', " ", "日本", "a\nb", "/Users/x@y.z/e"]
    return [mlflow.get_experiment(mlflow.create_experiment(name)).name for name in names]


@alone
def unknown_ones(mlflow: Any) -> object:
    """An experiment that does not exist is not found by its id; by its name, it is None."""
    client = mlflow.MlflowClient()
    return [
        attempt(mlflow.get_experiment, UNKNOWN_EXPERIMENT),
        attempt(mlflow.get_experiment, "abc"),
        attempt(mlflow.get_experiment_by_name, "nowhere"),
        attempt(client.get_experiment_by_name, "nowhere"),
        attempt(client.delete_experiment, UNKNOWN_EXPERIMENT),
        attempt(client.restore_experiment, UNKNOWN_EXPERIMENT),
        attempt(client.rename_experiment, UNKNOWN_EXPERIMENT, "new"),
        attempt(client.set_experiment_tag, UNKNOWN_EXPERIMENT, "a", 1),
    ]


@alone
def chosen_by_name(mlflow: Any) -> object:
    """`set_experiment` creates what is missing, and is in force for runs and for children."""
    name = "experiments.chosen_by_name: other"
    chosen = mlflow.set_experiment(name)
    again = mlflow.set_experiment(name)
    with mlflow.start_run() as run:
        pass
    return [
        chosen,
        again.experiment_id == chosen.experiment_id,
        run.info.experiment_id == chosen.experiment_id,
        os.environ["MLFLOW_EXPERIMENT_ID"] == chosen.experiment_id,
    ]


@alone
def chosen_by_id(mlflow: Any) -> object:
    """`set_experiment` takes the id of an experiment that exists."""
    other = new_experiment(mlflow)
    chosen = mlflow.set_experiment(experiment_id=other)
    return [chosen.name, attempt(mlflow.set_experiment, experiment_id=UNKNOWN_EXPERIMENT)]


@case(over_http=True, alone=True)
def chosen_wrongly(mlflow: Any) -> object:
    """`set_experiment` takes a name or an id, one of them, and no empty name."""
    return [
        attempt(mlflow.set_experiment),
        attempt(mlflow.set_experiment, "a", "b"),
        attempt(mlflow.set_experiment, ""),
        attempt(mlflow.set_experiment, 5),
    ]


@alone
def chosen_though_deleted(mlflow: Any) -> object:
    """A deleted experiment is not chosen, neither by name nor by id."""
    other = new_experiment(mlflow)
    mlflow.MlflowClient().delete_experiment(other)
    return [
        attempt(mlflow.set_experiment, "experiments.chosen_though_deleted: other"),
        attempt(mlflow.set_experiment, experiment_id=other),
    ]


@alone
def chosen_by_environment(mlflow: Any) -> object:
    """MLFLOW_EXPERIMENT_NAME, or _ID, is the experiment of a program that chose none."""
    other = new_experiment(mlflow)
    seen = []
    for variable, value in {
        "MLFLOW_EXPERIMENT_ID": other,
        "MLFLOW_EXPERIMENT_NAME": "experiments.chosen_by_environment: made",
    }.items():
        forget_experiment(mlflow)
        os.environ[variable] = value
        with mlflow.start_run() as run:
            seen.append(mlflow.get_experiment(run.info.experiment_id).name)
    return seen


@alone
def an_unknown_one_in_the_environment(mlflow: Any) -> object:
    """MLFLOW_EXPERIMENT_ID must exist, and agree with MLFLOW_EXPERIMENT_NAME."""
    new_experiment(mlflow)
    forget_experiment(mlflow)
    os.environ["MLFLOW_EXPERIMENT_ID"] = UNKNOWN_EXPERIMENT
    outcomes = [attempt(mlflow.start_run)]
    os.environ["MLFLOW_EXPERIMENT_NAME"] = "experiments.an_unknown_one_in_the_environment: other"
    outcomes.append(attempt(mlflow.start_run))
    return outcomes


@alone
def deleted_and_restored(mlflow: Any) -> object:
    """Deleting and restoring changes the stage of an experiment, and of its runs."""
    client, other = mlflow.MlflowClient(), new_experiment(mlflow)
    run_id = client.create_run(other, run_name="inside").info.run_id
    seen = []
    for function in (client.delete_experiment, client.restore_experiment):
        answer = function(other)
        stage = mlflow.get_experiment(other).lifecycle_stage
        seen.append([answer, stage, client.get_run(run_id).info.lifecycle_stage])
    return seen


@alone
def deleted_twice(mlflow: Any) -> object:
    """What is deleted cannot be deleted again, nor what is active restored."""
    client, other = mlflow.MlflowClient(), new_experiment(mlflow)
    outcomes = [attempt(client.restore_experiment, other)]
    client.delete_experiment(other)
    outcomes.append(attempt(client.delete_experiment, other))
    return outcomes


@case(over_http=True, alone=True)
def deleted_ones_take_nothing(mlflow: Any) -> object:
    """A deleted experiment takes no runs, no tags and no new name."""
    client, other = mlflow.MlflowClient(), new_experiment(mlflow)
    client.delete_experiment(other)
    return [
        attempt(mlflow.start_run, experiment_id=other),
        attempt(client.create_run, other),
        attempt(client.rename_experiment, other, "new"),
        attempt(client.set_experiment_tag, other, "a", 1),
        mlflow.get_experiment(other).name,
    ]


@alone
def found_though_deleted(mlflow: Any) -> object:
    """A deleted experiment is still found, by its id and by its name."""
    client, other = mlflow.MlflowClient(), new_experiment(mlflow)
    client.delete_experiment(other)
    name = "experiments.found_though_deleted: other"
    return [mlflow.get_experiment(other), mlflow.get_experiment_by_name(name).lifecycle_stage]


@alone
def fluent_functions(mlflow: Any) -> object:
    """The fluent functions delete, restore and search experiments, and remove a tag."""
    other = new_experiment(mlflow)
    mlflow.set_experiment_tags({"a": "1", "b": "2"})
    answers = [mlflow.delete_experiment_tag("a"), mlflow.delete_experiment(other)]
    stages = [mlflow.get_experiment(other).lifecycle_stage]
    answers.append(mlflow.restore_experiment(other))
    stages.append(mlflow.get_experiment(other).lifecycle_stage)
    text = "name LIKE 'experiments.fluent_functions%'"
    names = [each.name for each in mlflow.search_experiments(filter_string=text, order_by=["name"])]
    return [answers, stages, names, mlflow.get_experiment(experiment_id()).tags]


@alone
def renamed(mlflow: Any) -> object:
    """A new name is found, and the old one is free."""
    client, other = mlflow.MlflowClient(), new_experiment(mlflow)
    old, new = "experiments.renamed: other", "experiments.renamed: another"
    answer = client.rename_experiment(other, new)
    found = [mlflow.get_experiment(other).name, mlflow.get_experiment_by_name(old)]
    second = mlflow.create_experiment(old)
    return [answer, found, second != other, attempt(client.rename_experiment, second, new)]


@case(over_http=True, alone=True)
def renamed_to_what_cannot_be(mlflow: Any) -> object:
    """An experiment is not renamed to an empty name, to none, or to a very long one."""
    client, other = mlflow.MlflowClient(), new_experiment(mlflow)
    return [
        [attempt(client.rename_experiment, other, name) for name in ("x" * 501, 5)],
        mlflow.get_experiment(other).name,
    ]


@alone
def tags(mlflow: Any) -> object:
    """Tags of an experiment are set, changed and removed; their values become text."""
    client, other = mlflow.MlflowClient(), new_experiment(mlflow, tags={"a": "1"})
    answers = [
        client.set_experiment_tag(other, "a", 2),
        client.set_experiment_tag(other, "b", None),
        client.set_experiment_tag(other, "c", "x"),
        client.delete_experiment_tag(other, "c"),
    ]
    return [answers, mlflow.get_experiment(other).tags]


@alone
def tags_of_the_active_one(mlflow: Any) -> object:
    """The fluent functions tag the experiment that is in force."""
    answers = [
        mlflow.set_experiment_tag("a", 1),
        mlflow.set_experiment_tags({"b": 2, "c": "x"}),
    ]
    return [answers, mlflow.get_experiment(experiment_id()).tags]


@alone
def tags_that_cannot_be(mlflow: Any) -> object:
    """A tag has a key of the usual form and a value of at most 20,000 characters."""
    client, other = mlflow.MlflowClient(), new_experiment(mlflow)
    outcomes = [
        attempt(client.set_experiment_tag, other, "a@b", 1),
        attempt(client.set_experiment_tag, other, "x" * 251, 1),
        attempt(client.set_experiment_tag, other, "long", "x" * 20_001),
        attempt(client.set_experiment_tag, other, "fits", "x" * 20_000),
        attempt(client.delete_experiment_tag, other, "nothing"),
    ]
    return [outcomes, {k: len(v) for k, v in mlflow.get_experiment(other).tags.items()}]


@alone
def tags_of_a_new_one(mlflow: Any) -> object:
    """The tags that a new experiment is given follow the same rules."""
    return [
        attempt(new_experiment, mlflow, tags={"a@b": "1"}),
        attempt(new_experiment, mlflow, tags={"a": "x" * 20_001}),
        mlflow.get_experiment(new_experiment(mlflow, tags={"a": "1", "b/c": ""})).tags,
    ]


@alone
def last_update(mlflow: Any) -> object:
    """Creating, renaming and tagging an experiment each say when it last changed."""
    client, other = mlflow.MlflowClient(), new_experiment(mlflow)
    times = [mlflow.get_experiment(other).last_update_time]
    client.rename_experiment(other, "experiments.last_update: new")
    times.append(mlflow.get_experiment(other).last_update_time)
    client.delete_experiment(other)
    times.append(mlflow.get_experiment(other).last_update_time)
    return [times, times == sorted(times), mlflow.get_experiment(other).creation_time]


@alone
def the_tracking_uri(mlflow: Any) -> object:
    """Setting a URI says it to this process and its children, and connects to nothing."""
    before = mlflow.get_tracking_uri()
    seen = [os.environ.get("MLFLOW_TRACKING_URI"), mlflow.MlflowClient().tracking_uri]
    mlflow.set_tracking_uri(before)
    return [before, *seen, mlflow.is_tracking_uri_set()]
