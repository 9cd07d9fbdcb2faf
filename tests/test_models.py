"""Logged models: which of them a metric is logged for, by every way to say so, and at full speed.

How the functions behave one by one is compared with MLflow in `tests/compatibility`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import steplog
from steplog import MlflowException, SteplogWarning
from steplog.entities import Dataset, LoggedModelInput, LoggedModelOutput

Logged = list[tuple[str | None, int, float]]


def points(run_id: str, key: str = "m") -> Logged:
    """Return model, step and value of each point of a metric, in order of their steps."""
    history = steplog.Client().get_metric_history(run_id, key)
    return sorted(((each.model_id, each.step, each.value) for each in history), key=lambda p: p[1])


def used_models(run_id: str) -> list[str]:
    """Return the ids of the models that a run used."""
    return [each.model_id for each in steplog.get_run(run_id).inputs.model_inputs]


def new_model(name: str = "model") -> str:
    """Return the id of a new model."""
    return steplog.create_external_model(name).model_id


def in_thread(function: Callable[[], object]) -> object:
    """Call a function in a thread of its own and return what it returned."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(function).result()


# Which model a metric is logged for -----------------------------------------------------------


def test_the_active_model_changes_between_two_logs_of_one_series() -> None:
    """A series that is known by heart is looked up again when the active model changes."""
    first, second = new_model("first"), new_model("second")
    with steplog.start_run() as run:
        steplog.log_metric("m", 0)
        steplog.log_metric("m", 1, 1)
        with steplog.set_active_model(model_id=first) as active:
            assert (active.model_id, active.name) == (first, "first")
            steplog.log_metric("m", 2, 2)
            steplog.log_metrics({"m": 3}, 3)
            with steplog.set_active_model(model_id=second):
                steplog.log_metrics({"m": 4}, 4)
                steplog.log_metric("m", 5, 5)
            steplog.log_metric("m", 6, 6)
        steplog.log_metric("m", 7, 7)
        steplog.set_active_model(model_id=second)
        steplog.log_metric("m", 8, 8)
        steplog.clear_active_model()
        steplog.log_metrics({"m": 9}, 9)
    models = [None, None, first, first, second, second, first, None, second, None]
    assert points(run.info.run_id) == [(model, i, i) for i, model in enumerate(models)]
    assert used_models(run.info.run_id) == [first, second]
    metrics = steplog.get_logged_model(second).metrics
    assert metrics is not None
    assert [(each.step, each.run_id) for each in metrics] == [
        (step, run.info.run_id) for step in (4, 5, 8)
    ]


def test_an_explicit_model_beats_the_active_one() -> None:
    """A model that is named in the call is the one, also for the client and in a batch."""
    active, named = new_model(), new_model()
    client = steplog.Client()
    with steplog.set_active_model(model_id=active), steplog.start_run() as run:
        steplog.log_metric("m", 1, 1)
        steplog.log_metric("m", 2, 2, model_id=named)
        steplog.log_metric("m", 3, 3)
        client.log_metric(run.info.run_id, "m", 4, step=4)
        client.log_batch(run.info.run_id, [steplog.entities.Metric("m", 5, 5, 5, named)])
    assert points(run.info.run_id) == [
        (active, 1, 1),
        (named, 2, 2),
        (active, 3, 3),
        (active, 4, 4),
        (named, 5, 5),
    ]


def test_each_thread_has_its_own_active_model() -> None:
    """What one thread makes active is nothing to another that logs to the same run."""
    mine, other = new_model(), new_model()
    turn = threading.Barrier(2)

    def help() -> None:
        assert steplog.get_active_model_id() is None
        turn.wait()  # the other thread's model is active from here on
        steplog.log_metric("helped", 1, 1)
        with steplog.set_active_model(model_id=other):
            steplog.log_metric("helped", 2, 2)
            turn.wait()
            turn.wait()  # this thread has meanwhile made its own inactive
            steplog.log_metric("helped", 3, 3)
        steplog.log_metric("helped", 4, 4)

    with steplog.start_run() as run, ThreadPoolExecutor(1) as threads:
        steplog.log_metrics({"m": 0, "helped": 0})
        helper = threads.submit(help)
        with steplog.set_active_model(model_id=mine):
            turn.wait()
            turn.wait()
            steplog.log_metric("m", 1, 1)
        steplog.log_metric("m", 2, 2)
        turn.wait()
        helper.result()
    assert points(run.info.run_id) == [(None, 0, 0), (mine, 1, 1), (None, 2, 2)]
    assert points(run.info.run_id, "helped") == [
        (None, 0, 0),
        (None, 1, 1),
        (other, 2, 2),
        (other, 3, 3),
        (None, 4, 4),
    ]


def test_threads_with_runs_and_models_of_their_own() -> None:
    """Threads that have each a run and a model log to these, and to no other's."""
    models, meet = [new_model() for _ in range(3)], threading.Barrier(3)

    def train(model_id: str) -> str:
        with steplog.start_run() as run, steplog.set_active_model(model_id=model_id):
            for step in range(20):
                meet.wait()
                steplog.log_metric("m", step, step)
                steplog.log_metrics({"n": step}, step)
        return run.info.run_id

    with ThreadPoolExecutor(3) as threads:
        run_ids = list(threads.map(train, models))
    for run_id, model_id in zip(run_ids, models, strict=True):
        expected = [(model_id, step, step) for step in range(20)]
        assert points(run_id, "m") == points(run_id, "n") == expected


@pytest.mark.parametrize("variable", ["MLFLOW_ACTIVE_MODEL_ID", "_MLFLOW_ACTIVE_MODEL_ID"])
def test_the_environment_names_the_model(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable holds in every thread, until the active model is cleared in one of them."""
    model_id = new_model()
    monkeypatch.setenv(variable, model_id)
    assert steplog.get_active_model_id() == model_id
    with steplog.start_run() as run:
        steplog.log_metric("m", 0)
        in_thread(lambda: steplog.log_metric("m", 1, 1))
        with steplog.set_active_model(name="another") as other:
            steplog.log_metric("m", 2, 2)
        steplog.log_metric("m", 3, 3)
        in_thread(steplog.clear_active_model)
        steplog.log_metric("m", 4, 4)
    models = [model_id, model_id, other.model_id, model_id, None]
    assert points(run.info.run_id) == [(model, i, i) for i, model in enumerate(models)]
    assert variable not in os.environ


def test_the_first_of_both_variables_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLFLOW_ACTIVE_MODEL_ID is read before the name that it had in older versions."""
    monkeypatch.setenv("_MLFLOW_ACTIVE_MODEL_ID", "m-old")
    monkeypatch.setenv("MLFLOW_ACTIVE_MODEL_ID", "m-new")
    assert steplog.get_active_model_id() == "m-new"
    monkeypatch.setenv("MLFLOW_ACTIVE_MODEL_ID", "m-later")  # a thread asks once
    assert steplog.get_active_model_id() == "m-new"
    assert in_thread(steplog.get_active_model_id) == "m-later"


def test_a_forked_child_starts_without_the_parents_model() -> None:
    """A child logs to its parent's run, but for the model that the environment names, or none."""
    with steplog.start_run() as run, steplog.set_active_model(name="of the parent") as model:
        steplog.log_metric("m", 0)
        child = os.fork()
        if not child:
            status = 1
            try:
                steplog.log_metric("m", 1, 1)
                steplog.log_metric("m", 2, 2)
                assert steplog.last_logged_model() is None
                steplog.flush_async_logging()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        steplog.log_metric("m", 3, 3)
    models = [model.model_id, None, None, model.model_id]
    assert points(run.info.run_id) == [(each, i, i) for i, each in enumerate(models)]


def test_a_bound_logger_keeps_its_model() -> None:
    """`run.metric` logs for the model that was active when it was called, odd arguments too."""
    with steplog.start_run() as run:
        plain = run.metric("m")
        with steplog.set_active_model(name="a") as model:
            bound = run.metric("m")
            plain.log(0, 0)
            plain.log("1", 1)
        bound.log(2, 2)
        bound.log("3", 3)
    models = [None, None, model.model_id, model.model_id]
    assert points(run.info.run_id) == [(each, i, i) for i, each in enumerate(models)]
    assert used_models(run.info.run_id) == [model.model_id]


# Models that the run made ---------------------------------------------------------------------


def test_metrics_of_a_step_belong_to_the_models_made_at_it() -> None:
    """In a resumed run a metric is logged for every model that the run made at its step."""
    early, late, both = new_model(), new_model(), new_model()
    outputs = [LoggedModelOutput(*each) for each in ((early, 1), (late, 2), (both, 2))]
    with steplog.start_run() as run:
        steplog.log_outputs(outputs)
        steplog.log_metric("m", 2, 2)  # this run was started before it had outputs
    with steplog.start_run(run.info.run_id):
        for _ in range(2):  # the second time all series are known
            steplog.log_metric("first", 1, 1)
            steplog.log_metric("n", 2, 2)
            steplog.log_metrics({"n": 3}, 3)
            steplog.log_metrics({"o": 2}, 2)
        with steplog.set_active_model(model_id=early):
            steplog.log_metric("p", 2, 2)
            steplog.log_metric("p", 2, 2)
    assert points(run.info.run_id, "m") == [(None, 2, 2)]
    assert {*points(run.info.run_id, "first")} == {(early, 1, 1)}
    assert {*points(run.info.run_id, "n")} == {(late, 2, 2), (both, 2, 2), (None, 3, 3)}
    assert {*points(run.info.run_id, "o")} == {(late, 2, 2), (both, 2, 2)}
    assert {*points(run.info.run_id, "p")} == {(early, 2, 2)}
    assert used_models(run.info.run_id) == []  # what a run made is no input of it


def test_a_run_named_by_id_has_its_latest_outputs() -> None:
    """With `run_id=` the outputs count that the run has now, whoever logged them."""
    here, elsewhere = new_model(), new_model()
    run_id = steplog.Client().create_run("0").info.run_id
    steplog.log_metric("m", 1, 1, run_id=run_id)
    steplog.Client().log_outputs(run_id, [LoggedModelOutput(here, 1)])
    steplog.log_metric("m", 1, 1, run_id=run_id)
    script = (
        "import sys, steplog\n"
        "from steplog.entities import LoggedModelOutput\n"
        "run_id, model_id = sys.argv[1:]\n"
        "steplog.Client().log_outputs(run_id, [LoggedModelOutput(model_id, 2)])\n"
        "steplog.log_metrics({'m': 1}, 1, run_id=run_id)\n"
        "steplog.log_metrics({'m': 2}, 2, run_id=run_id)\n"
    )
    subprocess.run([sys.executable, "-c", script, run_id, elsewhere], check=True)
    assert {*points(run_id)} == {(None, 1, 1), (here, 1, 1), (elsewhere, 2, 2)}


def test_a_deleted_run_is_not_logged_to_for_another_model() -> None:
    """Making a model active does not make a run active again that was deleted meanwhile."""
    run = steplog.start_run()
    steplog.log_metric("m", 1)
    steplog.delete_run(run.info.run_id)
    with steplog.set_active_model(name="a"):
        for log in (steplog.log_metric, steplog.log_param):
            with pytest.raises(MlflowException, match="must be in the 'active' state"):
                log("m", 2)
    with pytest.raises(MlflowException, match="must be in the 'active' state"):
        steplog.log_metric("m", 3)
    assert points(run.info.run_id) == [(None, 0, 1)]


# What becomes an input of the run ---------------------------------------------------------------


def test_what_is_measured_becomes_an_input_once() -> None:
    """Models and datasets of metrics are inputs of the run, in the order they came, once each."""
    first, second = new_model(), new_model()
    digits = Dataset("digits", "d1", "local", "digits.csv")
    with steplog.start_run() as run:
        for step in range(3):
            steplog.log_metric("m", step, step, model_id=first, dataset=digits)
            steplog.log_metrics({"m": step}, step, model_id=second)
            steplog.log_metric("n", step, step, run_id=run.info.run_id, model_id=first)
        assert [each.model_id for each in run.inputs.model_inputs] == [first, second]
    inputs = steplog.get_run(run.info.run_id).inputs
    assert [each.model_id for each in inputs.model_inputs] == [first, second]
    assert [each.dataset for each in inputs.dataset_inputs] == [digits]
    assert inputs.dataset_inputs[0].tags == []


def test_datasets_of_mlflow() -> None:
    """MLflow's dataset objects and entities are taken as they are, and come back described."""
    pytest.importorskip("mlflow")
    script = """
import mlflow.data, mlflow.entities, numpy, steplog, warnings
table = mlflow.data.from_numpy(numpy.arange(4), name="table")
entity = mlflow.entities.Dataset("entity", "e1", "local", "here", "schema", "profile")
with steplog.start_run() as run:
    steplog.log_input(table, "training", {"split": "all"})
    steplog.log_metric("m", 1, dataset=table)
    steplog.log_metrics({"m": 2}, dataset=entity)
for used in steplog.get_run(run.info.run_id).inputs.dataset_inputs:
    dataset = used.dataset
    print(dataset.name, dataset.digest, dataset.source_type, bool(dataset.schema),
          bool(dataset.profile), {tag.key: tag.value for tag in used.tags})
"""
    printed = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    assert printed.splitlines() == [
        "table af37a0ca code True True {'split': 'all', 'mlflow.data.context': 'training'}",
        "entity e1 local True True {}",
    ]


def test_nothing_is_logged_or_linked_that_is_wrong() -> None:
    """A bad value, key or dataset leaves neither a point nor an input."""
    model_id, dataset = new_model(), Dataset("digits", "d1")
    with steplog.start_run() as run:
        wrong: list[tuple[type[Exception], dict[str, Any]]] = [
            (MlflowException, {"value": "abc", "model_id": model_id, "dataset": dataset}),
            (MlflowException, {"key": "a@b", "model_id": model_id}),
            (MlflowException, {"dataset": Dataset("x" * 501, "d1"), "model_id": model_id}),
            (AttributeError, {"dataset": "digits", "model_id": model_id}),
        ]
        for error, arguments in wrong:
            with pytest.raises(error):
                steplog.log_metric(**{"key": "m", "value": 1, **arguments})
            key, value = arguments.pop("key", "m"), arguments.pop("value", 1)
            with pytest.raises(error):
                steplog.log_metrics({key: value}, **arguments)
        steplog.log_metrics({}, model_id=model_id, dataset=dataset)
    found = steplog.get_run(run.info.run_id)
    assert found.data.metrics == {}
    assert (found.inputs.model_inputs, found.inputs.dataset_inputs) == ([], [])


def test_inputs_and_outputs_of_the_active_run() -> None:
    """What runs use and make is added to the active run, which is started where there is none."""
    model_id = new_model()
    steplog.log_input(Dataset("a", "1"), "training", {"split": "80 %"}, LoggedModelInput(model_id))
    run = steplog.active_run()
    assert run is not None
    steplog.log_inputs([Dataset("b", "2"), None], ["test", None], [{"n": "1"}, None], [])
    steplog.log_outputs([LoggedModelOutput(model_id, 3)])
    steplog.log_outputs()
    found = steplog.get_run(run.info.run_id)
    assert [
        (each.dataset.name, {tag.key: tag.value for tag in each.tags})
        for each in found.inputs.dataset_inputs
    ] == [
        ("a", {"split": "80 %", "mlflow.data.context": "training"}),
        ("b", {"n": "1", "mlflow.data.context": "test"}),
    ]
    assert used_models(run.info.run_id) == [model_id]
    assert [(each.model_id, each.step) for each in found.outputs.model_outputs] == [(model_id, 3)]
    with pytest.raises(MlflowException, match="must be specified"):
        steplog.log_inputs([None], ["training"], [None])


# A store that cannot be asked -------------------------------------------------------------------


def test_a_process_that_must_not_look_takes_models_on_trust(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With STEPLOG_INGEST=off models are made, made active and measured without a database."""
    model_id = new_model("known")
    monkeypatch.setenv("STEPLOG_INGEST", "off")
    script = """
import sys, steplog
with steplog.start_run() as run:
    with steplog.set_active_model(model_id=sys.argv[1]):
        steplog.log_metric("m", 1, 1)
    with steplog.set_active_model(name="made") as made:
        steplog.log_metric("m", 2, 2)
    steplog.log_model_params({"depth": 3}, made.model_id)
assert not {"sqlite3", "numpy", "sqlalchemy"} & set(sys.modules)
print(run.info.run_id, made.model_id)
"""
    printed = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, model_id],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    run_id, made = printed.split()
    assert points(run_id) == [(model_id, 1, 1), (made, 2, 2)]
    model = steplog.get_logged_model(made)
    assert (model.name, model.status, model.params) == ("made", "READY", {"depth": "3"})
    assert model.source_run_id == run_id


def test_the_newest_of_several_models_of_one_name_is_made_active() -> None:
    """Where a name has several models the newest becomes active, with a warning."""
    new_model("same")
    newest = new_model("same")
    with pytest.warns(SteplogWarning, match="several models named 'same'"):
        assert steplog.set_active_model(name="same").model_id == newest


def test_a_made_up_model_belongs_to_the_active_run() -> None:
    """A new model has the active run and its experiment; without one, the experiment in force."""
    experiment = steplog.create_experiment("of the run")
    forced = steplog.set_experiment("in force").experiment_id
    with steplog.start_run(experiment_id=experiment) as run:
        inside = steplog.initialize_logged_model("inside", tags={"a": "1"})
    outside = steplog.initialize_logged_model("outside")
    assert (inside.source_run_id, inside.experiment_id) == (run.info.run_id, experiment)
    assert (outside.source_run_id, outside.experiment_id) == (None, forced)
    assert inside.tags["a"] == "1"
    last = steplog.last_logged_model()
    assert last is not None and last.model_id == outside.model_id
    assert in_thread(steplog.last_logged_model) is None
