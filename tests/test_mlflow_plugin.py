"""MLflow's own client, unchanged, over a steplog store: ``mlflow.set_tracking_uri("steplog:///…")``.

That it behaves as over MLflow's SQL store is what `tests/compatibility` compares, case by case.
"""

from __future__ import annotations

import inspect
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelInput,
    LoggedModelOutput,
    LoggedModelStatus,
    Metric,
    Param,
    RunTag,
    ViewType,
)
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.abstract_store import AbstractStore
from mlflow.tracking import MlflowClient
from mlflow.tracking._tracking_service import utils

import steplog

EVERYDAY = (Path(__file__).parent.parent / "examples" / "everyday.py").read_text("utf-8")
FORKS_ARE_WANTED = ("-W", "ignore:This process:DeprecationWarning")


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """Return the tracking URI of a store that does not exist yet."""
    return f"steplog://{tmp_path}/store"


@pytest.fixture
def client(uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return MLflow's client of this process, which MLflow's fluent functions then use, too.

    It is untyped: MLflow's types say of nearly everything that it may be None.
    """
    monkeypatch.setattr(mlflow.tracking.fluent, "_active_experiment_id", None)
    mlflow.set_tracking_uri(uri)
    yield MlflowClient()
    while mlflow.active_run():
        with suppress(MlflowException):
            mlflow.end_run()
    mlflow.set_tracking_uri("")


def start(script: str, uri: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start a script that logs to the store of `uri`."""
    return subprocess.Popen(
        [sys.executable, *FORKS_ARE_WANTED, "-c", script, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "MLFLOW_TRACKING_URI": uri, **environment},
    )  # fmt: skip


def printed(process: subprocess.Popen[str]) -> list[str]:
    """Wait until a script has ended well and return the lines it printed."""
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    return output.splitlines()


def steps(uri: str, run_id: str, key: str) -> list[int]:
    """Return the steps of a metric, read by steplog itself."""
    return sorted(metric.step for metric in steplog.Client(uri).get_metric_history(run_id, key))


# Experiments and runs -----------------------------------------------------------------------------


def test_experiments(client: Any) -> None:
    """Experiments are made, found, tagged, renamed, deleted and restored through MLflow."""
    made = client.create_experiment("made", tags={"a": "1", "b": "2"})
    client.set_experiment_tag(made, "a", 3)
    client.delete_experiment_tag(made, "b")
    client.rename_experiment(made, "renamed")
    experiment = client.get_experiment_by_name("renamed")
    assert isinstance(experiment, mlflow.entities.Experiment)
    assert (experiment.experiment_id, experiment.tags) == (made, {"a": "3"})
    assert client.get_experiment_by_name("made") is None
    client.delete_experiment(made)
    assert client.get_experiment(made).lifecycle_stage == "deleted"
    (deleted,) = client.search_experiments(view_type=ViewType.DELETED_ONLY)
    assert deleted.name == "renamed"
    client.restore_experiment(made)
    page = client.search_experiments(max_results=1, order_by=["name DESC"])
    (rest,) = client.search_experiments(
        max_results=1, order_by=["name DESC"], page_token=page.token
    )
    assert [page[0].name, rest.name] == ["renamed", "Default"]
    assert client.search_experiments(filter_string="name LIKE 're%'")[0].experiment_id == made


def test_runs(client: Any) -> None:
    """Runs are made, changed, found by a filter, deleted and restored through MLflow."""
    run = client.create_run("0", start_time=5, tags={"a": "1", "mlflow.user": "ann"}, run_name="r")
    run_id = run.info.run_id
    assert isinstance(run, mlflow.entities.Run)
    assert (run.info.user_id, run.info.run_name, run.info.start_time) == ("ann", "r", 5)
    client.log_metric(run_id, "loss", 0.5, timestamp=1, step=2)
    client.log_param(run_id, "lr", 0.1)
    client.update_run(run_id, name="renamed")
    client.delete_tag(run_id, "a")
    other = client.create_run("0", tags={"b": "2"})
    found = client.search_runs(["0"], "metrics.loss < 1 and params.lr = '0.1'")
    assert [each.info.run_id for each in found] == [run_id]
    assert found[0].data.params == {"lr": "0.1"}
    assert found[0].data.tags == {"mlflow.user": "ann", "mlflow.runName": "renamed"}
    client.set_terminated(run_id, "FAILED", end_time=9)
    ended = client.get_run(run_id).info
    assert (ended.status, ended.end_time, ended.run_name) == ("FAILED", 9, "renamed")
    client.delete_run(run_id)
    assert [each.info.run_id for each in client.search_runs(["0"])] == [other.info.run_id]
    client.restore_run(run_id)
    page = client.search_runs(["0"], max_results=1)
    (last,) = client.search_runs(["0"], max_results=1, page_token=page.token)
    assert [page[0].info.run_id, last.info.run_id] == [other.info.run_id, run_id]


def test_runs_as_a_frame(client: Any) -> None:
    """`mlflow.search_runs` makes its table of what steplog finds."""
    mlflow.set_experiment("tables")
    for value in (1.0, 2.0):
        with mlflow.start_run():
            mlflow.log_metric("m", value)
            mlflow.log_param("p", value)
    frame = mlflow.search_runs(filter_string="metrics.m > 1", order_by=["metrics.m DESC"])
    assert frame[["status", "metrics.m", "params.p"]].values.tolist() == [["FINISHED", 2.0, "2.0"]]


# What is logged -----------------------------------------------------------------------------------


def test_values_are_exact(client: Any) -> None:
    """NaN, infinities, -0.0 and the largest steps come back from MLflow bit for bit."""
    values = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 0.1]
    with mlflow.start_run() as run:
        for step, value in enumerate(values):
            mlflow.log_metric("sync", value, step=step)
            mlflow.log_metric("async", value, step=step, synchronous=False)
        mlflow.log_metrics({"batch": 1.0}, step=2**63 - 1, timestamp=7)
        mlflow.log_metric("batch", 2.0, step=-(2**63), timestamp=7)
    for key in ("sync", "async"):
        history = client.get_metric_history(run.info.run_id, key)
        assert [repr(metric.value) for metric in history] == list(map(repr, values))
    batch = client.get_metric_history(run.info.run_id, "batch")
    assert [(metric.step, metric.timestamp) for metric in batch] == [(-(2**63), 7), (2**63 - 1, 7)]
    assert client.get_run(run.info.run_id).data.metrics["batch"] == 1.0


def test_batches_of_any_size(client: Any) -> None:
    """A batch that MLflow cuts into several calls is stored whole, and so is its history."""
    run_id = client.create_run("0").info.run_id
    client.log_batch(
        run_id,
        [Metric("m", step / 7, 1, step) for step in range(2_500)],
        [Param(f"p{i}", str(i)) for i in range(250)],
        [RunTag(f"t{i}", str(i)) for i in range(300)],
    )
    run = client.get_run(run_id)
    assert len(run.data.params) == 250
    assert len(run.data.tags) == 301  # and the run's name
    assert [m.step for m in client.get_metric_history(run_id, "m")] == list(range(2_500))


def test_history_in_pages(client: Any) -> None:
    """The store hands out a history page by page, in MLflow's order."""
    run_id = client.create_run("0").info.run_id
    client.log_batch(run_id, [Metric("m", 0.0, 100 - step, step) for step in range(10)])
    store, token = utils._get_store(), None
    seen: list[int] = []
    while token or not seen:
        page = store.get_metric_history(run_id, "m", max_results=4, page_token=token)
        assert len(page) <= 4
        seen += [metric.step for metric in page]
        token = page.token
    assert seen == list(range(9, -1, -1))
    assert store.get_metric_history(run_id, "m", max_results=0) == []
    assert store.get_metric_history(run_id, "unknown") == []


def test_one_batch_is_refused_where_it_is_too_large(client: Any) -> None:
    """MLflow's limit of one call to a store holds, for its server tells clients of it."""
    run_id = client.create_run("0").info.run_id
    with pytest.raises(MlflowException, match=r"at most 1000 metrics\. Got 1001"):
        utils._get_store().log_batch(run_id, [Metric("m", 0.0, 1, 1)] * 1001, [], [])
    assert steps(mlflow.get_tracking_uri(), run_id, "m") == []


REFUSED: dict[str, tuple[str, str, Callable[[Any, str], object]]] = {
    "bad key": (
        "INVALID_PARAMETER_VALUE",
        "Invalid value \"a@b\" for parameter 'name' supplied: Names may only contain",
        lambda client, run_id: client.log_metric(run_id, "a@b", 1),
    ),
    "unknown run": (
        "RESOURCE_DOES_NOT_EXIST",
        f"Run with id={'f' * 32} not found",
        lambda client, run_id: client.get_run("f" * 32),
    ),
    "changed param": (
        "INVALID_PARAMETER_VALUE",
        "Changing param values is not allowed. Param with key='p' was already logged with",
        lambda client, run_id: [client.log_param(run_id, "p", value) for value in "ab"],
    ),
    "experiment that exists": (
        "RESOURCE_ALREADY_EXISTS",
        "Experiment(name=Default) already exists.",
        lambda client, run_id: client.create_experiment("Default"),
    ),
    "bad filter": (
        "INVALID_PARAMETER_VALUE",
        "Invalid clause(s) in filter string",
        lambda client, run_id: client.search_runs(["0"], "metrics.a b > 1"),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_errors_are_those_of_mlflow(case: str, client: Any) -> None:
    """What steplog refuses reaches the caller as MLflow's exception, with its code and text."""
    code, text, call = REFUSED[case]
    run_id = client.create_run("0").info.run_id
    with pytest.raises(MlflowException) as caught:
        call(client, run_id)
    assert caught.value.error_code == code
    assert caught.value.message.startswith(text)
    assert caught.value.message.count("Incorrect Example") == (case == "changed param")


def test_python_errors_stay(client: Any) -> None:
    """An argument of an impossible type is a TypeError, as it is over MLflow's SQL store."""
    run_id = client.create_run("0").info.run_id
    with pytest.raises(TypeError, match="expected string or bytes-like object, got 'int'"):
        client.log_metric(run_id, 5, 1)


# Asynchronous logging -----------------------------------------------------------------------------


def test_each_asynchronous_call_answers_for_itself(client: Any) -> None:
    """Of asynchronous calls only the bad ones fail, each at its own `wait`; all others are kept."""
    fluent: Any = mlflow
    with mlflow.start_run() as run:
        mlflow.log_param("p", 1)
        good = [fluent.log_metric("m", i, step=i, synchronous=False) for i in range(50)]
        with pytest.warns(steplog.SteplogWarning, match="a@b"):
            bad_key = fluent.log_metric("a@b", 1, synchronous=False)
        changed = fluent.log_params({"p": 2}, synchronous=False)
        whole = client.log_batch(
            run.info.run_id, [Metric("n", 1, 1, i) for i in range(2_500)], synchronous=False
        )
        tagged = fluent.set_tag("t", 1, synchronous=False)
        for operations in (*good, whole, tagged):
            assert operations.wait() is None
        for operations, text in ((bad_key, "Names may only"), (changed, "Changing param values")):
            for _ in range(2):
                with pytest.raises(MlflowException, match=f"The following failures.*{text}"):
                    operations.wait()
    data = client.get_run(run.info.run_id).data
    assert (data.params, data.tags["t"]) == ({"p": "1"}, "1")
    assert steps(mlflow.get_tracking_uri(), run.info.run_id, "m") == list(range(50))
    assert steps(mlflow.get_tracking_uri(), run.info.run_id, "n") == list(range(2_500))


@pytest.mark.parametrize("ask", [mlflow.flush_async_logging, mlflow.end_run])
def test_refusals_that_nobody_waited_for(ask: Callable[[], None], client: Any) -> None:
    """Flushing, and ending a run, warn of what the store refused and nobody has asked about."""
    mlflow.start_run()
    mlflow.log_param("p", 1)
    mlflow.log_param("p", 2, synchronous=False)
    with pytest.warns(steplog.SteplogWarning, match="Changing param values is not allowed"):
        ask()


KILLED = """
import os, signal, mlflow

run = mlflow.start_run()
print(run.info.run_id, flush=True)
for step in range(300):
    mlflow.log_metric("before", step, step=step, synchronous=False)
child = os.fork()
if child == 0:
    for step in range(300):
        mlflow.log_metric("child", step, step=step, run_id=run.info.run_id, synchronous=False)
    os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(child, 0)
for step in range(300):
    mlflow.log_metric("after", step, step=step, synchronous=False)
    mlflow.set_tag("last", step, synchronous=False)
os.kill(os.getpid(), signal.SIGKILL)
"""

ENDED = f"""
{EVERYDAY.replace("import steplog as mlflow", "import mlflow")}
import atexit, os

atexit.register(lambda: mlflow.log_metric("hook", 1))
run = mlflow.start_run()
print(run.info.run_id, flush=True)
for step in range(300):
    mlflow.log_metric("m", step, step=step, synchronous=False)
mlflow.log_param("p", 1, synchronous=False)
mlflow.log_param("p", 2, synchronous=False)
child = os.fork()
if child == 0:
    print(mlflow.active_run(), flush=True)
    mlflow.log_metric("m", 0)
    print(mlflow.active_run().info.run_id, flush=True)
else:
    os.waitpid(child, 0)
"""


@pytest.mark.slow
def test_nothing_is_lost_when_a_process_is_killed(uri: str) -> None:
    """Asynchronous calls that returned survive kill -9, of the process and of its forked child."""
    process = start(KILLED, uri)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    for key in ("before", "child", "after"):
        assert steps(uri, output.strip(), key) == list(range(300))
    run = steplog.Client(uri).get_run(output.strip())
    assert (run.data.tags["last"], run.info.status) == ("299", "RUNNING")


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[str]]:
    """Run everyday MLflow code that ends without `end_run`; return its store and its lines."""
    uri = f"steplog://{tmp_path_factory.mktemp('ended')}/store"
    process = start(ENDED, uri, PYTHONWARNINGS="ignore", MLFLOW_DISABLE_TELEMETRY="true")
    return uri, printed(process)


@pytest.mark.slow
def test_an_everyday_script(ended: tuple[str, list[str]]) -> None:
    """An MLflow script needs no change: its runs and their histories are in the store."""
    uri, (*run_ids, _, _, _) = ended
    runs = [steplog.Client(uri).get_run(run_id) for run_id in run_ids]
    assert [run.info.status for run in runs] == ["FINISHED"] * 4
    assert [sorted(run.data.metrics) for run in runs] == [
        ["accuracy"],
        ["loss"],
        ["valid/accuracy", "valid/f1", "valid/loss"],
        ["reward"],
    ]
    assert steps(uri, run_ids[3], "reward") == list(range(1_000))


@pytest.mark.slow
def test_nothing_is_lost_at_exit(ended: tuple[str, list[str]]) -> None:
    """A process that ends without `end_run` loses nothing, leaves no journal, and ends its run.

    A forked child has no active run, as in MLflow: it logs to one of its own, which it ends.
    """
    uri, (*_, run_id, active, own) = ended
    assert (active, own == run_id) == ("None", False)
    assert os.listdir(Path(uri.removeprefix("steplog://"), "journal")) == []
    assert steps(uri, run_id, "m") == list(range(300))
    runs = [steplog.Client(uri).get_run(each) for each in (run_id, own)]
    assert [run.info.status for run in runs] == ["FINISHED"] * 2
    assert [run.data.metrics["hook"] for run in runs] == [1.0] * 2
    assert runs[0].data.params == {"p": "1"}


# Processes ----------------------------------------------------------------------------------------

WORKER = """
import sys, mlflow

run_id, worker = sys.argv[1], int(sys.argv[2])
client = mlflow.MlflowClient()
for step in range(200):
    client.log_metric(run_id, "shared", worker, step=step, timestamp=1)
mlflow.log_metric(f"own/{worker}", 1, run_id=run_id)
"""


@pytest.mark.slow
def test_several_processes_log_to_one_run(client: Any, uri: str) -> None:
    """Processes that log to one run at the same time all succeed, and no point is missing."""
    run_id = client.create_run("0").info.run_id
    workers = [start(WORKER, uri, run_id, str(number)) for number in range(2)]
    for step in range(200):
        client.log_metric(run_id, "shared", 2, step=step, timestamp=1)
    for worker in workers:
        printed(worker)
    shared = client.get_metric_history(run_id, "shared")
    assert {(m.step, m.value) for m in shared} == {(s, w) for s in range(200) for w in range(3)}
    assert len(shared) == 600
    assert {"own/0", "own/1"} <= set(client.get_run(run_id).data.metrics)


# Models, inputs, outputs --------------------------------------------------------------------------


def test_inputs_and_outputs(client: Any) -> None:
    """The datasets and models that a run used and made come back with the run."""
    run_id = client.create_run("0").info.run_id
    model = client.create_logged_model("0", name="net").model_id
    dataset = Dataset("digits", "abc", "local", "/data", schema="{}", profile=None)
    tags = [InputTag("mlflow.data.context", "training")]
    client.log_inputs(run_id, [DatasetInput(dataset, tags)], [LoggedModelInput(model)])
    client.log_outputs(run_id, [LoggedModelOutput(model, 3)])
    run = client.get_run(run_id)
    (used,) = run.inputs.dataset_inputs
    assert dict(used.dataset) == dict(dataset)
    assert [(tag.key, tag.value) for tag in used.tags] == [("mlflow.data.context", "training")]
    assert [each.model_id for each in run.inputs.model_inputs] == [model]
    assert [(each.model_id, each.step) for each in run.outputs.model_outputs] == [(model, 3)]
    (summary,) = utils._get_store()._search_datasets(["0"])
    assert (summary.name, summary.digest, summary.context) == ("digits", "abc", "training")
    assert summary.experiment_id == "0"


def test_logged_models(client: Any) -> None:
    """Logged models are made, measured, found, tagged and deleted through MLflow."""
    run_id = client.create_run("0").info.run_id
    made = client.create_logged_model(
        "0", name="net", source_run_id=run_id, tags={"a": "1"}, params={"depth": "3"}
    )
    assert made.status == LoggedModelStatus.PENDING
    client.log_model_params(made.model_id, {"width": "9"})
    client.set_logged_model_tags(made.model_id, {"a": "2", "b": "3"})
    client.delete_logged_model_tag(made.model_id, "b")
    assert client.finalize_logged_model(made.model_id, LoggedModelStatus.READY).status == "READY"
    client.log_metric(run_id, "acc", math.nan, step=1, model_id=made.model_id)
    client.log_metric(
        run_id, "acc", 0.5, step=2, model_id=made.model_id, dataset_name="d", dataset_digest="x"
    )
    model = client.get_logged_model(made.model_id)
    assert (model.tags, model.params) == ({"a": "2"}, {"depth": "3", "width": "9"})
    assert [(m.step, repr(m.value), m.dataset_name, m.run_id) for m in model.metrics] == [
        (1, "nan", None, run_id),
        (2, "0.5", "d", run_id),
    ]
    found = client.search_logged_models(
        ["0"], "metrics.acc > 0.1", order_by=[{"field_name": "metrics.acc"}]
    )
    assert [each.model_id for each in found] == [made.model_id]
    client.delete_logged_model(made.model_id)
    assert client.search_logged_models(["0"]) == []
    with pytest.raises(MlflowException, match=f"Logged model with ID '{made.model_id}' not found"):
        client.get_logged_model(made.model_id)
    assert utils._get_store().get_logged_model(made.model_id, allow_deleted=True).name == "net"


UNASKED = """
import mlflow, numpy as np, pandas as pd
from sklearn.linear_model import LogisticRegression

mlflow.sklearn.autolog()
features = pd.DataFrame({"x": np.arange(40.0), "y": np.arange(40.0) % 3})
with mlflow.start_run() as run:
    fitted = LogisticRegression().fit(features, features["x"] > 20)
    info = mlflow.sklearn.log_model(fitted, name="by_hand", pip_requirements=["scikit-learn"])

    @mlflow.trace
    def traced(x):
        return x + 1

    assert traced(1) == 2
assert mlflow.sklearn.load_model(info.model_uri).predict(features).shape == (40,)
print(run.info.run_id)
"""


@pytest.mark.long
@pytest.mark.slow
def test_what_mlflow_does_unasked(uri: str) -> None:
    """Autologging, `log_model` and a traced function work: what is missing stops no training."""
    # What a model requires is found out in another process; how that ends does not matter here.
    (run_id,) = printed(start(UNASKED, uri, MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT="1"))
    run = steplog.Client(uri).get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["training_accuracy_score"] == 1.0
    assert run.data.params["C"] == "1.0"
    assert len(run.outputs.model_outputs) == 2
    assert run.inputs.dataset_inputs
    models = steplog.Client(uri).search_logged_models(["0"])
    assert {model.status.value for model in models} == {"READY"}
    assert all(Path(model.artifact_location, "MLmodel").exists() for model in models)


# What steplog does not keep -----------------------------------------------------------------------


def left_out(store: AbstractStore) -> Iterator[str]:
    """Yield the methods that MLflow lets a store leave out, and that this one does."""
    for name, method in inspect.getmembers(AbstractStore, inspect.isfunction):
        optional = "NotImplementedE" in inspect.getsource(method)
        if optional and inspect.unwrap(getattr(type(store), name)) is method:
            yield name


def test_what_is_not_kept_says_so(client: Any) -> None:
    """What steplog does not keep raises MLflow's NOT_IMPLEMENTED, also a NotImplementedError."""
    store = utils._get_store()
    names = {"link_traces_to_run", *left_out(store)}
    assert {"start_trace", "search_traces", "create_dataset", "register_scorer"} <= names
    assert not {"create_logged_model", "log_outputs", "search_logged_models"} & names
    for name in sorted(names):
        arguments = dict.fromkeys(inspect.signature(getattr(store, name)).parameters)
        with pytest.raises(NotImplementedError) as caught:
            getattr(store, name)(**arguments)
        assert isinstance(caught.value, MlflowException), name
        assert caught.value.error_code == "NOT_IMPLEMENTED"


def test_the_registry_is_empty(client: Any) -> None:
    """MLflow finds an empty model registry beside a store; nothing can be put into it."""
    assert mlflow.search_registered_models() == []
    assert client.search_model_versions("run_id = 'x'") == []
    for call in (client.create_registered_model, client.get_registered_model):
        with pytest.raises(MlflowException) as caught:
            call("name")
        assert caught.value.error_code == "NOT_IMPLEMENTED"


def test_steplog_does_not_need_mlflow() -> None:
    """Of all modules of steplog only the plugin imports MLflow."""
    package = Path(steplog.__file__).parent
    importing = re.compile(r"^\s*(import|from) mlflow\b", re.MULTILINE)
    found = [
        path.name for path in package.rglob("*.py") if importing.search(path.read_text("utf-8"))
    ]
    assert found == ["mlflow_plugin.py"]


# MLflow's server ----------------------------------------------------------------------------------


def test_a_chart_shows_every_extreme(client: Any) -> None:
    """A thinned history keeps a spike of one step, NaN, both ends, and stays within its size."""
    run_id, other = (client.create_run("0").info.run_id for _ in range(2))
    values = [math.sin(step / 900) for step in range(5_000)]
    values[1_234], values[2_345], values[3_456] = 50.0, -50.0, math.nan
    client.log_batch(run_id, [Metric("m", v, 1, step) for step, v in enumerate(values)])
    client.log_batch(other, [Metric("m", 1.0, 1, step) for step in range(3)])
    store = utils._get_store()
    points = store.get_metric_history_bulk_interval([run_id, other], "m", 320, None, None)
    first = {point.step: point.value for point in points if point.run_id == run_id}
    assert len(first) <= 320
    assert (first[1_234], first[2_345]) == (50.0, -50.0)
    assert math.isnan(first[3_456])
    assert {0, 4_999} <= set(first)
    assert [point.step for point in points if point.run_id == other] == [0, 1, 2]
    inner = store.get_metric_history_bulk_interval([run_id], "m", 320, 1_000, 1_100)
    assert [point.step for point in inner] == list(range(1_000, 1_101))
    bulk = store.get_metric_history_bulk([other, run_id], "m", 4)
    assert len(bulk) == 4
    assert [point.run_id for point in bulk] == sorted(point.run_id for point in bulk)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Server:
    """``mlflow server`` over a steplog store, in processes of its own."""

    def __init__(self, uri: str, artifacts: Path) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--workers", "1",
             "--artifacts-destination", str(artifacts), "--port", self.url.rpartition(":")[2]],
            start_new_session=True,
        )  # fmt: skip

    def wait(self) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(OSError), urllib.request.urlopen(f"{self.url}/health", timeout=5):
                return
            time.sleep(0.2)
        pytest.fail("mlflow server did not start")

    def ask(self, path: str, body: object = None) -> tuple[int, Any]:
        """Send a request as the web page does; return the status and the answer."""
        request = urllib.request.Request(
            self.url + path,
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def stop(self) -> None:
        """End it and its workers."""
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(timeout=30)


@pytest.fixture
def server(uri: str, tmp_path: Path) -> Iterator[Server]:
    """Run ``mlflow server`` over a store."""
    running = Server(uri, tmp_path / "artifacts")
    try:
        running.wait()
        yield running
    finally:
        running.stop()


@pytest.mark.slow
def test_mlflows_server(server: Server, uri: str, tmp_path: Path) -> None:
    """``mlflow server`` serves a steplog store to MLflow's REST client and to MLflow's web page."""
    client: Any = MlflowClient(server.url)
    experiment_id = client.create_experiment("served")
    assert client.get_experiment(experiment_id).artifact_location == (
        f"mlflow-artifacts:/{experiment_id}"
    )
    run = client.create_run(experiment_id, run_name="a-run")
    run_id = run.info.run_id
    client.log_batch(run_id, [Metric("m", step, 1, step) for step in range(500)])
    client.log_metric(run_id, "nan", math.nan, timestamp=1)
    client.log_param(run_id, "p", 1)
    client.log_inputs(run_id, [DatasetInput(Dataset("d", "1", "local", "/d"), [])])
    client.log_text(run_id, "hello", "note.txt")
    client.set_terminated(run_id)
    with pytest.raises(MlflowException, match="RESOURCE_DOES_NOT_EXIST: Run with id=") as caught:
        client.get_run("f" * 32)
    assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    beside = steplog.Client(uri)  # this process logs to the store itself
    other = beside.create_run("0").info.run_id
    beside.log_metric(other, "beside", 1)
    (found,) = client.search_runs(["0"], "metrics.beside > 0")
    assert found.info.run_id == other
    (found,) = client.search_runs([experiment_id], "metrics.m > 400", order_by=["metrics.m"])
    assert (found.info.run_id, found.info.status) == (run_id, "FINISHED")
    artifacts = tmp_path / "artifacts" / experiment_id / run_id / "artifacts"
    assert (artifacts / "note.txt").read_text("utf-8") == "hello"
    history = client.get_metric_history(run_id, "m")
    assert [metric.step for metric in history] == list(range(500))
    check_the_pages_requests(server, experiment_id, run_id)


def check_the_pages_requests(server: Server, experiment_id: str, run_id: str) -> None:
    """Ask what the web page asks."""
    ajax = "/ajax-api/2.0/mlflow"
    status, chart = server.ask(
        f"{ajax}/metrics/get-history-bulk-interval?run_ids={run_id}&metric_key=m&max_results=50"
    )
    points = chart["metrics"]
    assert status == 200
    assert len(points) <= 50
    assert (points[0]["step"], points[-1]["step"]) == (0, 499)
    assert {point["run_id"] for point in points} == {run_id}
    status, nan = server.ask(
        f"{ajax}/metrics/get-history-bulk-interval?run_ids={run_id}&metric_key=nan"
    )
    assert [point["value"] for point in nan["metrics"]] == ["NaN"]
    status, summaries = server.ask(
        f"{ajax}/experiments/search-datasets", {"experiment_ids": [experiment_id]}
    )
    assert [each["name"] for each in summaries["dataset_summaries"]] == ["d"]
    status, traces = server.ask("/ajax-api/3.0/mlflow/traces/search", {"locations": []})
    assert (status, traces["error_code"]) == (501, "NOT_IMPLEMENTED")
    query = """query GetRun($data: MlflowGetRunInput!) { mlflowGetRun(input: $data) { apiError {
      code message } run { info { runName status } experiment { name } modelVersions { version }
      data { metrics { key value step } params { key value } tags { key } }
      inputs { datasetInputs { dataset { name digest } } } } } }"""
    variables = {"data": {"runId": run_id}}
    status, answer = server.ask("/graphql", {"query": query, "variables": variables})
    assert (status, answer.get("errors")) == (200, None)
    run = answer["data"]["mlflowGetRun"]["run"]
    assert (run["info"], run["experiment"]) == (
        {"runName": "a-run", "status": "FINISHED"},
        {"name": "served"},
    )
    assert {"key": "m", "value": 499.0, "step": "499"} in run["data"]["metrics"]
    assert run["inputs"]["datasetInputs"] == [{"dataset": {"name": "d", "digest": "1"}}]
