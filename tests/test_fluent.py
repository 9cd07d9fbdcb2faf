"""The fluent functions, where they are deliberately better than MLflow's.

That they are the same elsewhere is compared in `tests/test_compatibility.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import steplog
from steplog import MlflowException, SteplogWarning, fluent, runs, settings


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The store directory in force, which does not exist yet."""
    return tmp_path / "steplog-store"


def python(code: str, *arguments: str) -> str:
    """Run a script in a process of its own and return what it printed."""
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def history(run_id: str, key: str) -> list[float]:
    """Return the values of a metric."""
    return [metric.value for metric in steplog.Client().get_metric_history(run_id, key)]


def in_thread(function: Callable[[], object]) -> object:
    """Call a function in a thread of its own and return what it returned."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(function).result()


def in_fork(function: Callable[[], object]) -> None:
    """Call a function in a forked child, which must succeed."""
    child = os.fork()
    if not child:
        status = 1
        try:
            function()
            steplog.flush_async_logging()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


# Metrics ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.1, float("inf"), -0.0, 5e-324, 1.7976931348623157e308])
def test_values_come_back_exactly(store: Path, value: float) -> None:
    """Infinities, -0.0 and the extremes of float64 are read back as they were logged."""
    with steplog.start_run() as run:
        steplog.log_metric("m", value)
        steplog.log_metric("m", value, step=1)
    assert [repr(each) for each in history(run.info.run_id, "m")] == [repr(value)] * 2


def test_a_bad_value_on_the_fast_path(store: Path) -> None:
    """A series that is logged to without a check refuses what it would refuse at first."""
    with steplog.start_run() as run:
        steplog.log_metric("m", 1.0)
        for value in ("abc", None, [1.0]):
            with pytest.raises((MlflowException, TypeError)):
                steplog.log_metric("m", value)  # type: ignore[arg-type]
        with pytest.raises(MlflowException, match="Step must be a valid long"):
            steplog.log_metric("m", 1.0, step=1.5)  # type: ignore[arg-type]
        with pytest.raises(MlflowException, match=r"metrics\[0\].value"):
            steplog.log_metrics({"m": "abc"})  # type: ignore[dict-item]
        steplog.log_metric("m", "2.5", step=2.0)  # type: ignore[arg-type]
    assert history(run.info.run_id, "m") == [1.0, 2.5]


def test_log_metrics_stores_all_or_none(store: Path) -> None:
    """One bad metric keeps its neighbours from being stored, known series or not."""
    with steplog.start_run() as run:
        steplog.log_metrics({"a": 1.0, "b": 1.0})
        with pytest.raises(MlflowException):
            steplog.log_metrics({"a": 2.0, "b": "x"}, step=1)  # type: ignore[dict-item]
        with pytest.raises(OverflowError):
            steplog.log_metrics({"a": 2.0, "b": 10**400}, step=1)
        steplog.log_metrics({"a": 3.0, "b": 3.0}, step=2)
    assert history(run.info.run_id, "a") == history(run.info.run_id, "b") == [1.0, 3.0]


def test_more_keys_than_mlflow_takes(store: Path) -> None:
    """There is no limit to the number of metrics, params or tags in one call."""
    with steplog.start_run() as run:
        steplog.log_metrics({f"m{i}": i for i in range(2_500)})
        steplog.log_params({f"p{i}": i for i in range(250)})
        steplog.set_tags({f"t{i}": i for i in range(250)})
    data = steplog.get_run(run.info.run_id).data
    assert (len(data.metrics), len(data.params)) == (2_500, 250)
    assert data.tags["t249"] == "249"


def test_bound_logger(store: Path) -> None:
    """A bound logger logs to its run, also odd values, and after the run has ended."""
    with steplog.start_run() as run:
        loss = run.metric("loss")
        loss.log(0.5, 0)
        loss.log("0.25", step=1)
        with pytest.raises(MlflowException):
            loss.log("abc", 2)
    loss.log(0.125, 2)
    assert history(run.info.run_id, "loss") == [0.5, 0.25, 0.125]
    with pytest.raises(MlflowException, match="Names may only contain"):
        run.metric("a@b")


def test_model_and_dataset_stay_with_the_point(store: Path) -> None:
    """A metric of a model or a dataset is read back with it; without, it is another series."""
    dataset = steplog.entities.Dataset("digits", "d1")
    with steplog.start_run() as run:
        steplog.log_metric("m", 1, timestamp=1)
        steplog.log_metric("m", 2, timestamp=2, model_id="m-1", dataset=dataset)
        steplog.log_metrics({"m": 3}, timestamp=3, dataset=dataset)
        for bad in ("text", type("Fake", (), {"name": "n", "digest": "d"})()):
            with pytest.raises(AttributeError, match="has no attribute"):
                steplog.log_metric("m", 1, dataset=bad)  # type: ignore[arg-type]
    points = steplog.Client().get_metric_history(run.info.run_id, "m")
    assert [(point.model_id, point.dataset_name, point.dataset_digest) for point in points] == [
        (None, None, None),
        ("m-1", "digits", "d1"),
        (None, "digits", "d1"),
    ]


def test_a_switch_that_means_nothing(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong MLFLOW_ENABLE_ASYNC_LOGGING is said by calls that log, which log nothing then."""
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_LOGGING", "maybe")
    with steplog.start_run() as run:
        for log in (steplog.log_metric, steplog.log_param, steplog.set_tag):
            with pytest.raises(MlflowException, match="MLFLOW_ENABLE_ASYNC_LOGGING must be"):
                log("k", 1)
        with pytest.raises(MlflowException, match="MLFLOW_ENABLE_ASYNC_LOGGING must be"):
            steplog.log_metrics({"k": 1})
        steplog.log_metric("said", 1, synchronous=True)
    found = steplog.get_run(run.info.run_id)
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"said": 1.0})
    assert (found.data.params, "k" in found.data.tags) == ({}, False)


# Refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("report", [steplog.flush_async_logging, steplog.end_run])
def test_refusals_nobody_asked_for(store: Path, report: Callable[[], None]) -> None:
    """What an asynchronous call had refused is warned about at flush and at the end of the run."""
    steplog.start_run()
    steplog.log_param("p", 1)
    steplog.log_param("p", 2, synchronous=False)
    steplog.log_param("q", 3, synchronous=False)
    with pytest.warns(SteplogWarning, match="Attempted|already") as warned:
        report()
    assert len(warned) == 1


def test_refusals_asked_for(store: Path) -> None:
    """A refusal that `wait` has raised is not warned about again, and can be raised again."""
    with steplog.start_run():
        steplog.log_param("p", 1)
        operations = steplog.log_params({"p": 2}, synchronous=False)
        assert operations is not None
        for _ in range(2):
            with pytest.raises(MlflowException, match="failures occurred") as raised:
                operations.wait()
            assert raised.value.error_code == "INTERNAL_ERROR"


# Threads and forks --------------------------------------------------------------------------------


def test_helper_threads_log_to_the_active_run(store: Path) -> None:
    """A thread that has no run of its own logs to the one that the process has active."""
    with steplog.start_run() as run:
        steplog.log_metric("m", 1)
        in_thread(lambda: steplog.log_metric("m", 2, step=1))
        in_thread(lambda: steplog.log_metric("other", 3))
        assert in_thread(lambda: steplog.active_run()) is run
        in_thread(steplog.end_run)
        assert steplog.active_run() is run
    assert in_thread(steplog.last_active_run) is None
    data = steplog.get_run(run.info.run_id).data
    assert data.metrics == {"m": 2.0, "other": 3.0}


def test_threads_with_runs_of_their_own(store: Path) -> None:
    """Threads that each start a run log each to their own, to series known and new."""
    started, meet = threading.Barrier(3), threading.Barrier(3)

    def train(value: float) -> str:
        with steplog.start_run() as run:
            started.wait()
            for step in range(5):
                steplog.log_metric("m", value, step)
                steplog.log_metrics({"n": value}, step)
            meet.wait()
        return run.info.run_id

    with ThreadPoolExecutor(2) as threads:
        others = [threads.submit(train, value) for value in (1.0, 2.0)]
        mine = train(3.0)
    for run_id, value in ((others[0].result(), 1.0), (others[1].result(), 2.0), (mine, 3.0)):
        assert history(run_id, "m") == history(run_id, "n") == [value] * 5


def test_a_thread_starts_a_run_beside_the_active_one(store: Path) -> None:
    """A start in another thread does not fail because of a run that is active here."""

    def train() -> str:
        with steplog.start_run() as run:
            steplog.log_metric("m", 2)
        return run.info.run_id

    with steplog.start_run() as run:
        other = in_thread(train)
        steplog.log_metric("m", 1)
    assert history(str(other), "m") == [2.0]
    assert history(run.info.run_id, "m") == [1.0]


def test_a_forked_child_logs_to_the_parents_run(store: Path) -> None:
    """A child logs to what its parent has active, by series known and new, and never ends it."""

    def child() -> None:
        assert runs.started_here() == []
        steplog.log_metric("m", 2, step=1)
        steplog.log_metric("child", 3)
        steplog.end_run()

    with steplog.start_run() as run:
        steplog.log_metric("m", 1)
        in_fork(child)
        assert steplog.get_run(run.info.run_id).info.status == "RUNNING"
        steplog.log_metric("m", 4, step=2)
    assert history(run.info.run_id, "m") == [1.0, 2.0, 4.0]
    assert history(run.info.run_id, "child") == [3.0]


def test_a_forked_child_starts_its_own_run(store: Path, tmp_path: Path) -> None:
    """The parent's run keeps no child from starting one, and counts again when that has ended."""

    def child() -> None:
        with steplog.start_run(run_name="of the child"):
            steplog.log_metric("m", 2)
        steplog.log_metric("m", 3, step=1)

    with steplog.start_run() as run:
        in_fork(child)
    [other] = [
        each for each in steplog.Client().search_runs(["0"]) if each.info.run_name == "of the child"
    ]
    assert history(other.info.run_id, "m") == [2.0]
    assert history(run.info.run_id, "m") == [3.0]


def test_exit_in_a_forked_child(store: Path) -> None:
    """A child that leaves through the parent's ``with`` block does not end the parent's run."""
    with steplog.start_run() as run:
        child = os.fork()
        if not child:
            try:
                run.__exit__(SystemExit, SystemExit(0), None)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert steplog.get_run(run.info.run_id).info.status == "RUNNING"


# The end of the process ---------------------------------------------------------------------------


@pytest.mark.parametrize(("ending", "status"), [("", 0), ("raise KeyError", 1), ("sys.exit(3)", 3)])
def test_the_end_of_the_process_ends_runs(store: Path, ending: str, status: int) -> None:
    """Active runs of the main thread end with the process, outer ones too, with every point."""
    script = f"""
import sys, threading, steplog
outer = steplog.start_run()
inner = steplog.start_run(nested=True)
for step in range(1_000):
    steplog.log_metric("m", step, step, synchronous=False)
print(outer.info.run_id, inner.info.run_id, flush=True)
{ending}
"""
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    outer, inner = map(steplog.get_run, process.stdout.split())
    assert process.returncode == status
    assert [run.info.status for run in (outer, inner)] == ["FINISHED", "FINISHED"]
    assert outer.info.end_time >= inner.info.end_time  # type: ignore[operator]
    assert len(history(inner.info.run_id, "m")) == 1_000


def test_a_run_in_a_second_store_ends_too(store: Path, tmp_path: Path) -> None:
    """A run that was started after the tracking URI changed is ended at exit as well."""
    python(
        "import sys, steplog\n"
        "for directory in sys.argv[1:]:\n"
        "    steplog.set_tracking_uri(directory)\n"
        "    steplog.start_run(nested=True, run_name='r')\n",
        str(tmp_path / "one"),
        str(tmp_path / "two"),
    )
    for directory in ("one", "two"):
        [run] = steplog.Client(str(tmp_path / directory)).search_runs(["0"])
        assert run.info.status == "FINISHED"


# Starting -----------------------------------------------------------------------------------------


def test_the_first_start_opens_no_store(store: Path) -> None:
    """In an empty directory a run starts and logs without numpy and without a database."""
    printed = python(
        "import sys, steplog\n"
        "steplog.config.set(ingest='off')\n"
        "steplog.set_experiment('e')\n"
        "with steplog.start_run(tags={'a': 1}):\n"
        "    steplog.log_metric('m', 1)\n"
        "    steplog.log_param('p', 1)\n"
        "    print([name for name in ('numpy', 'sqlite3') if name in sys.modules])\n"
    )
    assert printed == "[]\n"
    assert not (store / "catalog.db").exists()
    experiment = steplog.get_experiment_by_name("e")
    assert experiment is not None
    [run] = steplog.Client().search_runs([experiment.experiment_id])
    assert (run.info.status, run.data.params) == ("FINISHED", {"p": "1"})


def test_a_process_that_must_not_look_takes_ids_on_trust(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With STEPLOG_INGEST=off runs are resumed and logged to without opening a database."""
    with steplog.start_run() as run:
        steplog.log_metric("m", 1)
    monkeypatch.setenv("STEPLOG_INGEST", "off")
    python(
        "import sys, steplog\n"
        "with steplog.start_run(run_id=sys.argv[1]):\n"
        "    steplog.log_metric('m', 2, step=1)\n"
        "steplog.log_metric('m', 3, step=2, run_id=sys.argv[1])\n"
        "assert 'sqlite3' not in sys.modules\n",
        run.info.run_id,
    )
    assert history(run.info.run_id, "m") == [1.0, 2.0, 3.0]


def test_a_store_that_cannot_be_read_stops_no_start(store: Path) -> None:
    """Where the catalog is unreadable a run still starts, in an experiment and by its id."""
    store.mkdir()
    (store / "catalog.db").write_bytes(b"this is no database" * 1_000)
    with pytest.warns(SteplogWarning):
        experiment = steplog.set_experiment("e")
        with steplog.start_run() as run:
            steplog.log_metric("m", 1)
        with steplog.start_run(run_id="a" * 32):
            steplog.log_metric("m", 2)
    assert run.info.experiment_id == experiment.experiment_id


def test_a_renamed_experiment_keeps_its_id(store: Path) -> None:
    """Where a renamed experiment holds the id of a name, the name gets the next one."""
    first = steplog.create_experiment("name")
    steplog.Client().rename_experiment(first, "renamed")
    second = steplog.create_experiment("name")
    assert first != second
    assert steplog.set_experiment("renamed").experiment_id == first
    assert steplog.set_experiment("name").experiment_id == second


def test_a_resumed_run_shows_what_it_holds(store: Path) -> None:
    """A run that is resumed comes with its metrics, params, tags, inputs and outputs."""
    with steplog.start_run(tags={"t": 1}) as run:
        steplog.log_metrics({"m": 1, "n": 2})
        steplog.log_param("p", 1)
        steplog.log_input(steplog.entities.Dataset("digits", "d1"))
        model = steplog.create_external_model()
        steplog.log_outputs([steplog.entities.LoggedModelOutput(model.model_id, 3)])
    with steplog.start_run(run.info.run_id, tags={"u": 2}) as resumed:
        assert resumed.info.status == "RUNNING"
        assert resumed.data == steplog.get_run(run.info.run_id).data
        assert resumed.data.metrics == {"m": 1.0, "n": 2.0}
        assert resumed.data.tags["u"] == "2"
        assert [each.dataset.name for each in resumed.inputs.dataset_inputs] == ["digits"]
        assert [each.step for each in resumed.outputs.model_outputs] == [3]


def test_runs_stay_where_they_were_started(store: Path, tmp_path: Path) -> None:
    """A change of the tracking URI moves no active run; later runs go to the new store."""
    with steplog.start_run() as run:
        steplog.set_tracking_uri(tmp_path / "elsewhere")
        steplog.log_metric("m", 1)
        steplog.log_param("p", 1)
    client = steplog.Client(str(store))
    assert client.get_run(run.info.run_id).data.metrics == {"m": 1.0}
    assert not (tmp_path / "elsewhere").exists()


def test_tracking_uri(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The URI set comes first, then STEPLOG_TRACKING_URI, then MLflow's, then a default."""
    assert steplog.get_tracking_uri() == str(store)
    monkeypatch.setenv("STEPLOG_TRACKING_URI", "/elsewhere")
    assert steplog.get_tracking_uri() == "/elsewhere"
    steplog.set_tracking_uri("relative")
    assert steplog.get_tracking_uri() == str(Path.cwd() / "relative")
    steplog.set_tracking_uri("")
    assert steplog.get_tracking_uri() == str(Path.cwd() / "steplog-store")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "steplog:///there")
    assert steplog.get_tracking_uri() == "steplog:///there"
    with pytest.raises(MlflowException, match="sqlite:"):
        steplog.set_tracking_uri("sqlite:///runs.db")


def test_logging_starts_a_run(store: Path) -> None:
    """Every function that logs starts a run where none is active."""
    calls: list[Callable[[], object]] = [
        lambda: steplog.log_metric("m", 1),
        lambda: steplog.log_metrics({"m": 1}),
        lambda: steplog.log_param("p", 1),
        lambda: steplog.log_params({"p": 1}),
        lambda: steplog.set_tag("t", 1),
        lambda: steplog.set_tags({"t": 1}),
    ]
    for call in calls:
        call()
        assert steplog.active_run() is not None
        steplog.end_run()


def test_config_set(store: Path) -> None:
    """Settings can be set by name for this process; a wrong name or value is refused."""
    steplog.config.set(memory_limit_mb=1)
    assert settings.get("STEPLOG_MEMORY_LIMIT_MB") == 1
    steplog.config.set(memory_limit_mb=None)
    for wrong in ({"memory": 1}, {"memory_limit_mb": "much"}):
        with pytest.raises(MlflowException):
            steplog.config.set(**wrong)


def test_run_context_that_is_no_object(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A MLFLOW_RUN_CONTEXT that is not a JSON object is warned about and stops no run."""
    monkeypatch.setenv("MLFLOW_RUN_CONTEXT", "[1]")
    with pytest.warns(SteplogWarning, match="MLFLOW_RUN_CONTEXT"), steplog.start_run():
        pass
    assert fluent.active_run() is None


def test_credentials_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of MLflow's credentials that is broken is warned about and stops no run."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow" / "credentials").write_bytes(b"user = ada\xff")
    with pytest.warns(SteplogWarning, match="credentials cannot be read"), steplog.start_run():
        pass


@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
@pytest.mark.parametrize(
    ("metrics", "step", "path"),
    [
        ({"a": 0.5, "b": None}, 0, "metrics[1].value"),
        ({"a": 0.5, "b": "abc"}, 0, "metrics[1].value"),
        ({"a": 0.5, "c@": 0.5}, 0, "metrics[1].name"),
        ({"a": 0.5, "b": 0.5}, 1.5, "metrics[0].step"),
    ],
)
def test_one_bad_metric_refuses_the_batch(
    metrics: dict[str, Any], step: Any, path: str, known: bool
) -> None:
    """The error names the first bad metric by its place, and none of the batch is stored."""
    with steplog.start_run() as run:
        if known:
            steplog.log_metrics({"a": 1.0, "b": 1.0})
        with pytest.raises(MlflowException) as caught:
            steplog.log_metrics(metrics, step=step)
    assert f"'{path}'" in caught.value.message
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    expected = {"a": 1.0, "b": 1.0} if known else {}
    assert steplog.get_run(run.info.run_id).data.metrics == expected
