"""Starting, nesting, resuming, ending, deleting and looking at runs."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from compatibility.cases import (
    UNKNOWN_EXPERIMENT,
    UNKNOWN_RUN,
    attempt,
    case,
    experiment_id,
    forget_experiment,
    new_run,
)

# Starting ---------------------------------------------------------------------------------------


@case(over_http=True)
def a_whole_run(mlflow: Any) -> object:
    """A run that was started, logged to and ended, field by field, as it was and as fetched."""
    with mlflow.start_run(run_name="whole") as run:
        mlflow.log_metric("m", 0.5, step=3, timestamp=9)
        mlflow.log_param("p", 1)
        mlflow.set_tag("t", "x")
    return [run, mlflow.get_run(run.info.run_id)]


@case
def default_tags(mlflow: Any) -> object:
    """A run is tagged with its user, its program and its name, and belongs to that user."""
    with mlflow.start_run(run_name="tagged") as run:
        pass
    found = mlflow.get_run(run.info.run_id)
    return [found.data.tags, found.info.user_id]


@case
def tags_of_the_environment(mlflow: Any) -> object:
    """MLFLOW_RUN_CONTEXT adds tags, and may replace those a run has by itself."""
    os.environ["MLFLOW_RUN_CONTEXT"] = '{"who": "me", "mlflow.source.name": "other.py"}'
    with mlflow.start_run(run_name="tagged") as run:
        pass
    return mlflow.get_run(run.info.run_id).data.tags


@case
def the_user_of_the_environment(mlflow: Any) -> object:
    """MLFLOW_TRACKING_USERNAME is the user of new runs."""
    os.environ["MLFLOW_TRACKING_USERNAME"] = "grace"
    os.environ["MLFLOW_TRACKING_PASSWORD"] = "secret"
    with mlflow.start_run(run_name="hers") as run:
        pass
    found = mlflow.get_run(run.info.run_id)
    return [found.data.tags["mlflow.user"], found.info.user_id]


@case
def the_user_of_the_credentials(mlflow: Any) -> object:
    """A user in the file ``~/.mlflow/credentials`` is the user of new runs."""
    credentials = Path.home() / ".mlflow" / "credentials"
    credentials.parent.mkdir(exist_ok=True)
    credentials.write_text(
        "[mlflow]\nmlflow_tracking_username = hopper\nmlflow_tracking_password = x\n", "utf-8"
    )
    try:
        with mlflow.start_run(run_name="hers") as run:
            pass
        found = mlflow.get_run(run.info.run_id)
    finally:
        credentials.unlink()
    return [found.data.tags["mlflow.user"], found.info.user_id]


@case(over_http=True)
def runs_of_the_client(mlflow: Any) -> object:
    """The client's `create_run` adds no tags but the name, and knows no user."""
    client = mlflow.MlflowClient()
    created = [
        client.create_run(experiment_id(), start_time=5, tags={"a": "1"}, run_name="named"),
        client.create_run(experiment_id(), tags={"mlflow.user": "grace"}),
        client.create_run(experiment_id(), tags={"mlflow.runName": "tagged"}),
        client.create_run(experiment_id(), run_name="same", tags={"mlflow.runName": "same"}),
        client.create_run(experiment_id(), run_name=""),
    ]
    return [created, [client.get_run(run.info.run_id) for run in created]]


@case
def start_times(mlflow: Any) -> object:
    """A run starts now, or when it is said to have started; 0 is now."""
    client = mlflow.MlflowClient()
    return [
        client.create_run(experiment_id(), start_time=start_time).info.start_time
        for start_time in (None, 0, 1, 2**40)
    ]


@case
def generated_names(mlflow: Any) -> object:
    """A run without a name gets one of two words and a number, at most 20 characters long."""
    names = [mlflow.MlflowClient().get_run(new_run(mlflow)).info.run_name for _ in range(5)]
    pattern = re.compile(r"[a-z]+-[a-z]+-\d{1,4}")
    return [[bool(pattern.fullmatch(name)) and len(name) <= 20 for name in names], len(set(names))]


@case
def two_names(mlflow: Any) -> object:
    """`run_name` wins over the tag in `start_run`; the client refuses two different ones."""
    with mlflow.start_run(run_name="argument", tags={"mlflow.runName": "tag"}) as run:
        pass
    outcome = attempt(
        mlflow.MlflowClient().create_run,
        experiment_id(),
        run_name="a",
        tags={"mlflow.runName": "b"},
    )
    found = mlflow.get_run(run.info.run_id)
    return [found.info.run_name, found.data.tags["mlflow.runName"], outcome]


@case
def description(mlflow: Any) -> object:
    """A description is the tag `mlflow.note.content`, and cannot be given as both."""
    with mlflow.start_run(run_name="described", description="why") as run:
        pass
    both = attempt(mlflow.start_run, tags={"mlflow.note.content": "a"}, description="b")
    return [mlflow.get_run(run.info.run_id).data.tags, both, mlflow.active_run()]


@case(over_http=True)
def tags_that_are_no_text(mlflow: Any) -> object:
    """Tags of a new run that are no text become text in the store."""
    run = attempt(mlflow.start_run, run_name="tagged", tags={"a": 1, "b": 2.5, "c": True})
    active = mlflow.active_run()
    mlflow.end_run()
    return [run, active and mlflow.get_run(active.info.run_id).data.tags]


@case
def experiment_of_a_run(mlflow: Any) -> object:
    """A run goes to the experiment that is named, as an int or a text, else to the one in force."""
    other = mlflow.create_experiment("experiment_of_a_run: other")
    seen = []
    for argument in (None, other, int(other)):
        with mlflow.start_run(experiment_id=argument) as run:
            seen.append([run.info.experiment_id == other, type(run.info.experiment_id).__name__])
    return seen


@case
def bad_experiments_of_a_run(mlflow: Any) -> object:
    """An experiment that does not exist, or whose id is of another type, is refused."""
    client = mlflow.MlflowClient()
    return [
        attempt(mlflow.start_run, experiment_id=UNKNOWN_EXPERIMENT),
        attempt(mlflow.start_run, experiment_id="abc"),
        attempt(mlflow.start_run, experiment_id=1.5),
        attempt(client.create_run, UNKNOWN_EXPERIMENT),
        attempt(client.create_run, "abc"),
        mlflow.active_run(),
    ]


@case
def the_default_experiment(mlflow: Any) -> object:
    """A program that chose no experiment logs to the experiment 0, named Default."""
    forget_experiment(mlflow)
    with mlflow.start_run(run_name="somewhere") as run:
        pass
    found = mlflow.get_experiment(run.info.experiment_id)
    return [run.info.experiment_id, found.name, found.lifecycle_stage]


# Nesting ----------------------------------------------------------------------------------------


@case
def nested_runs(mlflow: Any) -> object:
    """A nested run is tagged with its parent, which is active again when it ends."""
    with mlflow.start_run(run_name="outer") as outer:
        with mlflow.start_run(nested=True, run_name="middle") as middle:
            with mlflow.start_run(nested=True, run_name="inner") as inner:
                active = [mlflow.active_run().info.run_name]
            active.append(mlflow.active_run().info.run_name)
        active.append(mlflow.active_run().info.run_name)
    found = [mlflow.get_run(run.info.run_id) for run in (outer, middle, inner)]
    parents = [run.data.tags.get("mlflow.parentRunId") for run in found]
    return [
        active,
        [outer.info.run_id, middle.info.run_id],
        parents,
        [run.info.status for run in found],
    ]


@case
def a_second_run(mlflow: Any) -> object:
    """A second run is not started without being nested; the message names the outermost one."""
    with mlflow.start_run(run_name="outer") as outer:
        seen: list[object] = [outer.info.run_id, attempt(mlflow.start_run)]
        with mlflow.start_run(nested=True):
            seen.append(attempt(mlflow.start_run))
        seen.append(attempt(mlflow.start_run, run_id=outer.info.run_id))
    return seen


@case
def parents(mlflow: Any) -> object:
    """`get_parent_run` returns the parent, or None."""
    with mlflow.start_run(run_name="parent") as parent, mlflow.start_run(nested=True) as child:
        pass
    client = mlflow.MlflowClient()
    return [
        mlflow.get_parent_run(child.info.run_id).info.run_name,
        client.get_parent_run(child.info.run_id).info.run_name,
        mlflow.get_parent_run(parent.info.run_id),
        attempt(mlflow.get_parent_run, UNKNOWN_RUN),
    ]


@case
def adopted_by_a_parent(mlflow: Any) -> object:
    """`parent_run_id` names a parent that is not active, or the one that is."""
    with mlflow.start_run(run_name="parent") as parent:
        first = mlflow.start_run(nested=True, parent_run_id=parent.info.run_id)
        mlflow.end_run()
    with mlflow.start_run(parent_run_id=parent.info.run_id) as second:
        pass
    children = [mlflow.get_parent_run(run.info.run_id).info.run_name for run in (first, second)]
    return [children, mlflow.get_run(parent.info.run_id).info.status]


@case
def parents_that_cannot_be(mlflow: Any) -> object:
    """A parent that is unknown, deleted, or not the active run is refused."""
    other, deleted = new_run(mlflow), new_run(mlflow)
    mlflow.delete_run(deleted)
    seen = [
        attempt(mlflow.start_run, parent_run_id=UNKNOWN_RUN),
        attempt(mlflow.start_run, parent_run_id=deleted),
    ]
    with mlflow.start_run():
        seen.append(attempt(mlflow.start_run, nested=True, parent_run_id=other))
        seen.append(attempt(mlflow.start_run, nested=True, parent_run_id=UNKNOWN_RUN))
    return seen


# Resuming ---------------------------------------------------------------------------------------


@case
def resumed(mlflow: Any) -> object:
    """A resumed run is RUNNING, keeps its old end until it ends again, and what it logged."""
    with mlflow.start_run(run_name="once") as run:
        mlflow.log_metric("m", 1, timestamp=1)
    mlflow.MlflowClient().set_terminated(run.info.run_id, "FAILED", end_time=5)
    with mlflow.start_run(run_id=run.info.run_id) as again:
        mlflow.log_metric("m", 2, step=1, timestamp=2)
        during = mlflow.get_run(run.info.run_id)
    after = mlflow.get_run(run.info.run_id)
    return [again, [during.info.status, during.info.end_time], after]


@case
def resumed_with_more(mlflow: Any) -> object:
    """A name, tags and a description given when resuming are applied; the tags become text."""
    run_id = new_run(mlflow, run_name="before", tags={"a": "1"})
    with mlflow.start_run(
        run_id=run_id, run_name="after", tags={"a": 2, "b": None}, description="more"
    ) as run:
        pass
    found = mlflow.get_run(run_id)
    return [run.data.tags, found.data.tags, found.info.run_name]


@case
def resumed_by_environment(mlflow: Any) -> object:
    """MLFLOW_RUN_ID names the run that the next start resumes, and is used up by it."""
    run_id = new_run(mlflow, run_name="known")
    os.environ["MLFLOW_RUN_ID"] = run_id
    with mlflow.start_run() as run:
        seen = [run.info.run_name, "MLFLOW_RUN_ID" in os.environ]
    os.environ["MLFLOW_RUN_ID"] = run_id
    with mlflow.start_run(run_name="renamed") as run:
        pass
    return [*seen, run.info.run_id == run_id, mlflow.get_run(run_id).info.run_name]


@case
def an_unknown_run_in_the_environment(mlflow: Any) -> object:
    """A run named by MLFLOW_RUN_ID must exist."""
    os.environ["MLFLOW_RUN_ID"] = UNKNOWN_RUN
    outcome = attempt(mlflow.start_run)
    return [outcome, os.environ.get("MLFLOW_RUN_ID"), mlflow.active_run()]


@case
def runs_that_cannot_be_resumed(mlflow: Any) -> object:
    """An unknown or a deleted run, and one of another experiment, is not resumed."""
    deleted = new_run(mlflow)
    mlflow.delete_run(deleted)
    other = mlflow.create_experiment("runs_that_cannot_be_resumed: other")
    elsewhere = mlflow.MlflowClient().create_run(other).info.run_id
    return [
        attempt(mlflow.start_run, run_id=UNKNOWN_RUN),
        attempt(mlflow.start_run, run_id=deleted),
        attempt(mlflow.start_run, run_id=elsewhere),
        attempt(mlflow.start_run, run_id=elsewhere, experiment_id=other),
        mlflow.active_run(),
    ]


# Ending -----------------------------------------------------------------------------------------


@case
def every_status(mlflow: Any) -> object:
    """`end_run` takes five names of a status and sets the end for each of them."""
    seen = []
    for status in ("FINISHED", "FAILED", "KILLED", "RUNNING", "SCHEDULED"):
        run_id = mlflow.start_run().info.run_id
        mlflow.end_run(status)
        info = mlflow.get_run(run_id).info
        seen.append([info.status, info.end_time, mlflow.active_run()])
    return seen


@case
def no_such_status(mlflow: Any) -> object:
    """Another status is an error; the run is not active any more, and still RUNNING."""
    run_id = mlflow.start_run().info.run_id
    outcomes = [attempt(mlflow.end_run, "DONE")]
    return [outcomes, mlflow.active_run(), mlflow.get_run(run_id).info.status]


@case
def nothing_to_end(mlflow: Any) -> object:
    """Ending without an active run does nothing."""
    return [attempt(mlflow.end_run), attempt(mlflow.end_run, "DONE")]


@case
def ended_by_an_exception(mlflow: Any) -> object:
    """Any exception that leaves the block makes the run FAILED, and passes on."""
    seen = []
    for error in (KeyError("k"), KeyboardInterrupt(), SystemExit(0), GeneratorExit()):
        try:
            with mlflow.start_run() as run:
                raise error
        except BaseException as caught:
            status = mlflow.get_run(run.info.run_id).info.status
            seen.append([type(caught).__name__, status, mlflow.active_run()])
    return seen


@case
def ended_inside_the_block(mlflow: Any) -> object:
    """A run that was ended inside its block keeps that status."""
    with mlflow.start_run() as run:
        mlflow.end_run("KILLED")
        active = mlflow.active_run()
    return [active, mlflow.get_run(run.info.run_id).info.status]


@case
def an_outer_run_ended_first(mlflow: Any) -> object:
    """Ending twice ends the inner run, then the outer one."""
    outer = mlflow.start_run(run_name="outer")
    inner = mlflow.start_run(run_name="inner", nested=True)
    seen = []
    for status in ("FAILED", "KILLED"):
        mlflow.end_run(status)
        seen.append([mlflow.get_run(run.info.run_id).info.status for run in (outer, inner)])
    return seen


@case
def ended_by_the_client(mlflow: Any) -> object:
    """`set_terminated` takes a status and an end, and can be repeated."""
    client, run_id = mlflow.MlflowClient(), new_run(mlflow)
    seen = []
    for arguments in ({}, {"status": "KILLED"}, {"end_time": 5}, {"status": "FAILED"}):
        client.set_terminated(run_id, **arguments)
        info = client.get_run(run_id).info
        seen.append([info.status, info.end_time])
    seen.append([attempt(client.set_terminated, run_id, "DONE")])
    seen.append([attempt(client.set_terminated, UNKNOWN_RUN)])
    return seen


@case
def updated_by_the_client(mlflow: Any) -> object:
    """`update_run` changes status and name; what is not given stays, and so does the end."""
    client, run_id = mlflow.MlflowClient(), new_run(mlflow, run_name="before")
    seen = []
    for arguments in ({}, {"name": "after"}, {"status": "KILLED"}, {"name": ""}):
        answer = client.update_run(run_id, **arguments)
        run = client.get_run(run_id)
        info = run.info
        seen.append([answer, info.run_name, info.status, info.end_time, run.data.tags])
    return [
        seen,
        attempt(client.update_run, run_id, "DONE"),
        attempt(client.update_run, UNKNOWN_RUN, name="x"),
    ]


# Deleting ---------------------------------------------------------------------------------------


@case
def deleted_and_restored(mlflow: Any) -> object:
    """A run is deleted and restored, as often as one likes; what it logged comes back with it."""
    run_id = new_run(mlflow, run_name="deleted")
    mlflow.MlflowClient().log_metric(run_id, "m", 1)
    seen = []
    for function in (
        mlflow.delete_run,
        mlflow.delete_run,
        mlflow.restore_run,
        mlflow.restore_run,
    ):
        answer = attempt(function, run_id)
        found = mlflow.get_run(run_id)
        seen.append([answer, found.info.lifecycle_stage, found.data.metrics])
    return seen


@case
def deleting_what_is_not_there(mlflow: Any) -> object:
    """An unknown run is neither deleted nor restored nor fetched."""
    client = mlflow.MlflowClient()
    return [
        attempt(mlflow.delete_run, UNKNOWN_RUN),
        attempt(client.restore_run, UNKNOWN_RUN),
        attempt(mlflow.get_run, UNKNOWN_RUN),
        attempt(client.get_run, UNKNOWN_RUN),
    ]


@case
def deleted_while_active(mlflow: Any) -> object:
    """A run that is deleted while it is active cannot be ended, and is active no more."""
    run = mlflow.start_run(run_name="active")
    mlflow.delete_run(run.info.run_id)
    outcomes = [attempt(mlflow.log_metric, "m", 1), attempt(mlflow.end_run)]
    return [outcomes, mlflow.active_run(), mlflow.get_run(run.info.run_id).info.status]
