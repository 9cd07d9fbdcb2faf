"""steplog's client against a stock MLflow server, which is real, fails, and is asked what it has.

What arrived is read back with MLflow's own client. The trainings are processes of their own where
something is killed, or where what a process remembers would hide a fault.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient as TheirClient
from services.daemons import wait_until
from services.mlflow_servers import MlflowServer
from services.proxy import Proxy, Serve

import steplog
from steplog import MlflowException, SteplogWarning
from steplog.backend import backend
from steplog.exceptions import StoreError
from steplog.operations import CreateRun, SeriesKey
from steplog.places import resolve
from steplog.points import POINT
from steplog.query import Condition, Field, Order, Query
from steplog.stores import mlflow_ledger, mlflow_operations, mlflow_sending
from steplog.stores.base import START, Batch, Position
from steplog.stores.mlflow_server import MlflowStore
from steplog.stores.servers import FILE

pytestmark = [pytest.mark.long, pytest.mark.slow]

SECONDS = 60.0
LARGEST = sys.float_info.max


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """Run one MLflow server for all tests, each of which has an experiment of its own."""
    running = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    try:
        running.run()
        yield running
    finally:
        running.kill()


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a machine that remembers nothing."""
    monkeypatch.setenv("STEPLOG_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def their(server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    """MLflow's own client of the server."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return TheirClient(server.url)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """The name of an experiment that no other test has."""
    return str(request.node.name)


def port(server: MlflowServer) -> int:
    """Return where the server listens."""
    return int(server.url.rpartition(":")[2])


def train(url: str, code: str) -> None:
    """Run a training of its own process, which must end well."""
    environment = {**os.environ, "STEPLOG_TRACKING_URI": url, "STEPLOG_EXIT_SECONDS": "30"}
    command = [sys.executable, "-c", f"import steplog, sys\n{code}"]
    finished = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=SECONDS
    )
    assert finished.returncode == 0, finished.stderr


def deliver() -> None:
    """Wait until everything has arrived."""
    wait_until(lambda: backend().recorder.flush(SECONDS), "delivery")


def wait_for(server: MlflowServer, points: int) -> None:
    """Wait until the server has so many points in all."""
    wait_until(lambda: server.counts("metrics") >= points, "points")


def told(client: steplog.Client, run_id: str | None = None) -> list[str]:
    """Return what was refused, once the server answers."""

    def answers() -> bool:
        with suppress(StoreError):
            client.store.experiments(["0"])
            return True
        return False

    wait_until(answers, "answer")
    return [each.refusal.message for each in client.store.refusals(run_id)]


def runs_of(their: Any, name: str) -> list[Any]:
    """Return the runs that the server has in an experiment, in the order in which they began."""
    experiment = their.get_experiment_by_name(name)
    if experiment is None:
        return []
    found = their.search_runs([experiment.experiment_id], order_by=["start_time ASC"])
    return [their.get_run(run.info.run_id) for run in found]


def steps(their: Any, run: Any, key: str) -> list[int]:
    """Return the steps that the server has of a metric, with those that are there twice."""
    return sorted(point.step for point in their.get_metric_history(run.info.run_id, key))


def test_all_that_is_logged_arrives(server: MlflowServer, their: Any, name: str) -> None:
    """Params, tags, points, datasets, nested runs and statuses are there, as MLflow's own would."""
    steplog.set_tracking_uri(server.url)
    steplog.create_experiment(name, tags={"team": "ä"})
    steplog.set_experiment(name)
    with steplog.start_run(run_name="outer", tags={"a": "1"}, description="what") as outer:
        steplog.log_params({f"p{n}": n for n in range(250)})
        steplog.set_tags({"empty": "", "gone": "x"})
        steplog.delete_tag("gone")
        for value in (0.1, float("nan"), float("inf"), float("-inf"), 5e-324):
            steplog.log_metric("odd", value, step=-3, timestamp=1_000)
        steplog.log_metric("far", 1.0, step=2**63 - 1)
        steplog.log_input(
            steplog.entities.Dataset("data", "d1", "local", "{}", None, None), context="training"
        )
        with steplog.start_run(nested=True) as inner:
            steplog.log_metric("acc", 0.5)
    with pytest.raises(ZeroDivisionError), steplog.start_run():
        print(1 / 0)
    deliver()
    first, nested, failed = runs_of(their, name)
    assert their.get_experiment_by_name(name).tags["team"] == "ä"
    assert [run.info.status for run in (first, nested, failed)] == ["FINISHED"] * 2 + ["FAILED"]
    assert (first.info.run_name, first.info.start_time) == ("outer", outer.info.start_time)
    assert first.info.end_time >= first.info.start_time
    assert first.data.params == {f"p{n}": str(n) for n in range(250)}
    assert first.data.tags.items() >= {"a": "1", "empty": "", "mlflow.note.content": "what"}.items()
    assert "gone" not in first.data.tags
    assert first.data.tags["steplog.run_id"] == outer.info.run_id
    assert nested.data.tags["mlflow.parentRunId"] == first.info.run_id
    assert nested.data.tags["steplog.run_id"] == inner.info.run_id
    values = [point.value for point in their.get_metric_history(first.info.run_id, "odd")]
    assert np.array_equal(np.unique(values), [-LARGEST, 5e-324, 0.1, LARGEST, np.nan], True)
    assert steps(their, first, "far") == [2**63 - 1]
    [odd] = steplog.read(outer.info.run_id, "odd")
    assert np.array_equal(np.unique(odd.value), [-np.inf, 5e-324, 0.1, np.inf, np.nan], True)
    [used] = first.inputs.dataset_inputs
    assert (used.dataset.name, used.tags[0].value) == ("data", "training")


def test_models_arrive(server: MlflowServer, their: Any, name: str) -> None:
    """Logged models, their params, tags and metrics are there, under an id of the server's own."""
    steplog.set_tracking_uri(server.url)
    steplog.set_experiment(name)
    with steplog.start_run() as run:
        model = steplog.initialize_logged_model("net", params={"depth": "3"}, tags={"a": "b"})
        steplog.log_model_params({"width": "7"}, model.model_id)
        steplog.set_logged_model_tags(model.model_id, {"c": "d"})
        steplog.log_metric("acc", 0.5, step=1, model_id=model.model_id)
        steplog.log_outputs([steplog.entities.LoggedModelOutput(model.model_id, 4)])
        steplog.finalize_logged_model(model.model_id, "READY")
    deliver()
    [theirs] = runs_of(their, name)
    [found] = their.search_logged_models([theirs.info.experiment_id])
    assert (found.name, str(found.status), found.params) == (
        "net",
        "READY",
        {"depth": "3", "width": "7"},
    )
    assert found.source_run_id == theirs.info.run_id
    assert [(each.key, each.value, each.step) for each in found.metrics] == [("acc", 0.5, 1)]
    [made] = theirs.outputs.model_outputs
    assert (made.model_id, made.step) == (found.model_id, 4)
    read = steplog.get_logged_model(model.model_id)
    assert (read.model_id, read.params, read.tags["c"]) == (model.model_id, found.params, "d")
    assert read.source_run_id == run.info.run_id
    [searched] = steplog.search_logged_models(
        [read.experiment_id], "params.depth = '3'", output_format="list"
    )
    assert searched.model_id == model.model_id
    assert [each.value for each in read.metrics or ()] == [0.5]


def test_a_run_is_resumed(server: MlflowServer, their: Any, name: str) -> None:
    """Another process goes on with a run, known by our id or by the server's."""
    train(
        server.url,
        f"steplog.set_experiment({name!r})\n"
        "with steplog.start_run(run_id=None) as run: steplog.log_metric('loss', 1.0, 0)",
    )
    [run] = runs_of(their, name)
    for number, run_id in enumerate((run.data.tags["steplog.run_id"], run.info.run_id), 1):
        train(
            server.url,
            f"with steplog.start_run(run_id={run_id!r}): steplog.log_metric('loss', 1.0, {number})",
        )
    [run] = runs_of(their, name)
    assert steps(their, run, "loss") == [0, 1, 2]
    assert run.info.status == "FINISHED"


def test_a_killed_server_loses_and_doubles_nothing(
    server: MlflowServer, their: Any, name: str
) -> None:
    """All points are there, once, though the server was killed while they were sent.

    `benchmarks/mlflow_server.py` does so twice, with 100,000 points: starting MLflow takes long.
    """
    steplog.set_tracking_uri(server.url)
    steplog.set_experiment(name)
    before = server.counts("metrics")
    with pytest.warns(SteplogWarning, match="cannot ingest"):  # once, when it is away
        with steplog.start_run():
            for step in range(30_000):
                steplog.log_metric("loss", step / 7, step)
            wait_for(server, before + 10_000)
            server.kill()
            assert not backend().recorder.flush(2.0)  # the background thread meets a dead server
            server.run()
        deliver()
    [run] = runs_of(their, name)
    assert steps(their, run, "loss") == [*range(30_000)]
    assert server.counts("metrics") == before + 30_000
    assert run.info.status == "FINISHED"


def test_a_killed_training_is_finished_by_the_next(
    server: MlflowServer, their: Any, name: str, state: Path
) -> None:
    """What a killed process had logged is sent by another one, and nothing of it twice."""
    code = (
        "import os, signal\n"
        f"steplog.set_experiment({name!r})\n"
        "steplog.start_run(run_name='killed')\n"
        "for step in range(20_000): steplog.log_metric('loss', 0.5, step)\n"
        "steplog.tracking.MlflowClient().recorder.flush(1)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    with pytest.raises(AssertionError):
        train(server.url, code)
    train(server.url, "steplog.search_runs()")
    [run] = runs_of(their, name)
    assert steps(their, run, "loss") == [*range(20_000)]
    assert run.info.status == "RUNNING"
    steplog.set_tracking_uri(server.url)
    client = steplog.Client()
    [record] = client.store.runs([run.data.tags["steplog.run_id"]])
    assert client.statuses([record]) == ["LOST"]
    [theirs] = client.store.runs([their.create_run(run.info.experiment_id).info.run_id])
    assert client.statuses([theirs]) == ["RUNNING"]  # of whom nobody here can know


@pytest.mark.filterwarnings("ignore::steplog.SteplogWarning")
def test_a_ledger_that_is_lost_doubles_nothing(
    server: MlflowServer, their: Any, name: str, state: Path
) -> None:
    """Who has forgotten what was sent sends it again, and changes nothing of what is there."""
    steplog.set_tracking_uri(server.url)
    steplog.set_experiment(name)
    with steplog.start_run():
        model = steplog.initialize_logged_model("net", params={"depth": "3"})
        steplog.log_model_params({"width": "7"}, model.model_id)
        steplog.log_outputs([steplog.entities.LoggedModelOutput(model.model_id, 4)])
        for step in range(2_500):
            steplog.log_metric("acc", 0.5, step, model_id=model.model_id)
        deliver()
        before = server.counts("metrics"), server.counts("logged_model_metrics")
        for ledger in state.rglob(mlflow_ledger.FILE):
            ledger.unlink()
        with steplog.start_run(nested=True):
            steplog.log_metric("more", 1.0)
        deliver()
    deliver()
    run, nested = runs_of(their, name)
    assert nested.data.tags["mlflow.parentRunId"] == run.info.run_id
    assert len(their.search_logged_models([run.info.experiment_id])) == 1
    assert server.counts("metrics") == before[0] + 1
    assert server.counts("logged_model_metrics") == before[1]
    assert told(steplog.Client()) == []


class Losing(Proxy):
    """A network that loses one answer, the one of this number, and with it the connection."""

    lost = 0
    answers = 0

    def _is_lost(self, is_answer: bool) -> bool:
        self.answers += is_answer
        return is_answer and self.answers == self.lost


@pytest.mark.filterwarnings("ignore::steplog.SteplogWarning")
def test_a_lost_answer_does_nothing_twice(server: MlflowServer, their: Any, name: str) -> None:
    """Whichever answer never arrives, there is one experiment, one run, and each point once."""
    lost, proxy = 0, Losing(port(server))
    try:
        steplog.set_tracking_uri(f"http://127.0.0.1:{proxy.port}")
        while proxy.answers >= proxy.lost:  # until the last one was lost, too
            lost += 1
            told(steplog.Client())
            proxy.answers, proxy.lost = 0, lost
            steplog.create_experiment(f"{name} {lost}", tags={"a": "b"})
            steplog.set_experiment(f"{name} {lost}")
            with steplog.start_run():
                steplog.set_tag("c", "d")
                steplog.delete_tag("c")
                steplog.log_metric("loss", 0.5, lost)
                model = steplog.initialize_logged_model("net")
                steplog.log_outputs([steplog.entities.LoggedModelOutput(model.model_id, 4)])
            deliver()
            [run] = runs_of(their, f"{name} {lost}")
            assert steps(their, run, "loss") == [lost]
            assert len(their.search_logged_models([run.info.experiment_id])) == 1
            assert told(steplog.Client()) == []
    finally:
        proxy.close()
    assert lost > 8


def test_a_server_may_be_away_when_a_training_starts(
    server: MlflowServer, their: Any, name: str, proxied: Serve
) -> None:
    """A run begins at once without its server, and all of it is there when the server is back."""
    proxy = proxied(port(server))
    proxy.refuse()
    steplog.set_tracking_uri(f"http://127.0.0.1:{proxy.port}")
    with pytest.warns(SteplogWarning):
        steplog.set_experiment(name)
        with steplog.start_run(run_name="alone"):
            steplog.log_param("a", 1)
            for step in range(5_000):
                steplog.log_metric("loss", 0.5, step)
            assert not backend().recorder.flush(0.5)
            with pytest.raises(StoreError, match="cannot be reached"):
                backend().store()
            proxy.accept()
    deliver()
    [run] = runs_of(their, name)
    assert (run.info.run_name, run.info.status) == ("alone", "FINISHED")
    assert run.data.params == {"a": "1"}
    assert steps(their, run, "loss") == [*range(5_000)]


@pytest.mark.filterwarnings("ignore::steplog.SteplogWarning")
def test_what_the_server_refuses_is_told_and_stops_nothing(
    server: MlflowServer, their: Any, name: str
) -> None:
    """Refused operations and points are reported with the server's reasons, in our ids."""
    steplog.set_tracking_uri(server.url)
    steplog.set_experiment(name)
    with pytest.raises(MlflowException, match="already exists"):
        steplog.create_experiment(name)
    with steplog.start_run() as run:
        run_id = run.info.run_id
        steplog.log_param("p", 1)
        with pytest.raises(MlflowException, match=f"not allowed.*{run_id}") as refused:
            steplog.log_param("p", 2)
        assert refused.value.error_code == "INVALID_PARAMETER_VALUE"
        steplog.log_metric("late", 3.0, step=1)
        steplog.log_metric("acc", 4.0, model_id="m-" + "0" * 32)
        deliver()
        [theirs] = runs_of(their, name)
        their.delete_run(theirs.info.run_id)
        steplog.log_metric("late", 5.0, step=2)
        deliver()
        their.restore_run(theirs.info.run_id)
        steplog.log_metric("late", 6.0, step=3)
    deliver()
    [theirs] = runs_of(their, name)
    assert steps(their, theirs, "late") == [1, 3]
    assert steps(their, theirs, "acc") == [0]
    texts = told(steplog.Client(), run_id)
    assert [text for text in texts if "without their model" in text and "'acc'" in text]
    assert [text for text in texts if f"The run {run_id} must be in the 'active' state" in text]


def test_what_is_deleted_at_once_has_its_points(
    server: MlflowServer, their: Any, name: str
) -> None:
    """A run that is deleted before its points were sent has them, should it be restored."""
    train(
        server.url,
        f"experiment = steplog.set_experiment({name!r})\n"
        "with steplog.start_run() as run:\n"
        "    for step in range(1_500): steplog.log_metric('loss', 0.5, step)\n"
        "steplog.delete_run(run.info.run_id)\n"
        "steplog.delete_experiment(experiment.experiment_id)\n",
    )
    experiment = their.get_experiment_by_name(name)
    assert experiment.lifecycle_stage == "deleted"
    their.restore_experiment(experiment.experiment_id)
    [run] = runs_of(their, name)
    assert steps(their, run, "loss") == [*range(1_500)]


def test_everything_is_read_through_steplog(server: MlflowServer, their: Any, name: str) -> None:
    """What MLflow's client logged is searched, read, charted and counted by steplog's."""
    experiment = their.create_experiment(name, tags={"a": "b"})
    runs = []
    for number in range(4):
        run = their.create_run(experiment, run_name=f"run {number}", start_time=1_000 + number)
        their.log_param(run.info.run_id, "depth", number)
        their.set_tag(run.info.run_id, "x y", "it's" if number else 'a "b"')
        for step in (2, 0, 1):
            their.log_metric(run.info.run_id, "val loss", number + step / 8, 10 * step, step)
        runs.append(run.info.run_id)
    their.set_tag(runs[1], "mlflow.parentRunId", runs[0])
    steplog.set_tracking_uri(server.url)
    store = steplog.Client().store

    def searched(text: str, order: list[str] | None = None) -> list[str | None]:
        found = steplog.search_runs(
            [experiment], text, order_by=order, max_results=3, output_format="list"
        )
        return [run.info.run_name for run in found]

    assert searched("") == ["run 3", "run 2", "run 1"]
    assert searched("metrics.`val loss` >= 1.25", ["metrics.`val loss` ASC"]) == [
        *("run 1", "run 2", "run 3")
    ]
    assert searched("""params.depth = '2' AND tags.`x y` = "it's" """) == ["run 2"]
    assert searched(f"run_id IN ('{runs[3]}', '{runs[0]}')") == ["run 3", "run 0"]
    assert searched("tags.nothing IS NOT NULL") == []
    with pytest.raises(MlflowException, match="the min of the metric 'val loss'"):
        searched("metrics.`val loss.min` < 1")
    with pytest.raises(MlflowException, match="quotes"):
        quotes = Condition(Field("tag", "x y"), "=", "'\"")
        store.search(Query("runs", (quotes,)))
    by_id = (Order(Field("attribute", "run_id")),)
    assert (
        store.search(Query("runs", (), by_id, (experiment,), offset=1, limit=2))
        == (sorted(runs)[1:3])
    )
    [series] = steplog.read(runs[2], "val*")
    assert series.step.tolist() == [0, 1, 2]
    assert series.timestamp.tolist() == [0, 10, 20]
    assert series.value.tolist() == [2.0, 2.125, 2.25]
    [series] = steplog.read(runs[2], "val loss", steps=(1, 1))
    assert series.value.tolist() == [2.125]
    assert steplog.Client().summary(runs[0])[0].max == 0.25
    assert [use.key for use in store.keys(runs)] == ["val loss"]
    pairs = store.pair_keys(runs)
    assert (pairs.params, "x y" in pairs.tags) == (["depth"], True)
    assert store.children(runs) == {runs[0]: 1}
    found = steplog.get_experiment_by_name(name)
    assert found is not None and (found.experiment_id, found.tags["a"]) == (experiment, "b")
    assert steplog.search_experiments(filter_string=f"name = '{name}'")[0].name == name
    assert {run.row.run_id for run in store.runs(experiment_ids=[experiment])} == {*runs}
    assert [run.row.run_id for run in store.runs(runs)] == runs[::-1]
    assert store.stats()["runs"] >= 4
    with pytest.raises(MlflowException, match="cannot be asked") as refused:
        next(store.check())
    assert refused.value.error_code == "NOT_IMPLEMENTED"
    with pytest.raises(MlflowException, match="not found"):
        steplog.get_run("0" * 32)
    with pytest.raises(MlflowException, match="No Experiment"):
        steplog.get_experiment("424242")


class Middleman(BaseHTTPRequestHandler):
    """What stands before a server and passes requests on, but for some."""

    protocol_version = "HTTP/1.1"
    target = 0
    poison = b"\0"
    longest = 1 << 30
    caller: str | None = None
    other: str | None = None

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, answer = 500, b"<html>"
        if self.headers.get("Authorization") not in (self.caller, self.caller and self.other):
            status = 401
        elif len(body) > self.longest:
            status = 413
        elif self.poison not in body:
            connection = HTTPConnection("127.0.0.1", self.target, timeout=SECONDS)
            connection.request(self.command, self.path, body, {"Content-Type": "application/json"})
            with connection.getresponse() as passed:
                status, answer = passed.status, passed.read()
            connection.close()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def before(server: MlflowServer) -> Iterator[Callable[..., str]]:
    """Put something before the server; return the URL of that."""
    with ExitStack() as stack:

        def put(**what: object) -> str:
            handler = type("Handler", (Middleman,), {"target": port(server), **what})
            middle = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), handler))
            thread = threading.Thread(target=middle.serve_forever)
            thread.start()
            stack.callback(thread.join)
            stack.callback(middle.shutdown)
            return f"http://127.0.0.1:{middle.server_port}"

        yield put


@pytest.mark.filterwarnings("ignore::steplog.SteplogWarning")
def test_a_call_that_fells_the_server_is_given_up(
    their: Any, name: str, before: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What makes a server fail each time is told as refused, and what is behind it arrives."""
    monkeypatch.setattr(mlflow_sending, "MOST_FAULTS", 3)
    steplog.set_tracking_uri(before(poison=b"poison"))
    steplog.set_experiment(name)
    with steplog.start_run() as run:
        steplog.set_tag("a", "poison")
        steplog.set_tag("b", "water")
        steplog.log_metrics({"poison": 1.0, "loss": 2.0})
        deliver()
    deliver()
    [theirs] = runs_of(their, name)
    assert "a" not in theirs.data.tags
    assert theirs.data.tags["b"] == "water"
    assert theirs.data.metrics == {"loss": 2.0}
    assert theirs.info.status == "FINISHED"
    assert len(told(steplog.Client(), run.info.run_id)) == 2


def test_a_proxy_that_takes_little_is_sent_little(
    their: Any, name: str, before: Callable[..., str]
) -> None:
    """Where a proxy refuses requests for their length, shorter ones are sent."""
    steplog.set_tracking_uri(before(longest=20_000))
    steplog.set_experiment(name)
    with steplog.start_run():
        for step in range(3_000):
            steplog.log_metric("loss", 0.5, step)
    deliver()
    [run] = runs_of(their, name)
    assert steps(their, run, "loss") == [*range(3_000)]
    assert told(steplog.Client()) == []


def test_who_is_not_let_in_waits(
    their: Any, name: str, before: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a token nothing is lost; with one, or with a name and a password, all arrives."""
    url = before(caller="Bearer t0ken", other="Basic YWRhOnAvdw==")
    steplog.set_tracking_uri(url)
    with pytest.warns(SteplogWarning, match="MLFLOW_TRACKING_TOKEN"):
        steplog.set_experiment(name)
        with steplog.start_run(run_name="a"):
            steplog.log_metric("loss", 1.0)
            assert not backend().recorder.flush(2.0)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    deliver()
    monkeypatch.delenv("MLFLOW_TRACKING_TOKEN")
    steplog.set_tracking_uri(url.replace("//", "//ada:p%2Fw@"))
    with steplog.start_run(run_name="b"):
        pass
    deliver()
    assert [run.info.run_name for run in runs_of(their, name)] == ["a", "b"]
    steplog.set_tracking_uri(url)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "p/w")
    assert len(steplog.search_runs(experiment_names=[name], output_format="list")) == 2


def test_points_may_come_before_their_run(
    server: MlflowServer, their: Any, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Points of a run that nobody creates wait for it; in the end it is made for them."""
    del name
    store = MlflowStore(server.url, str(tmp_path / "spool"), SECONDS)
    run_id, writer = "5" * 32, "6" * 32
    points = np.zeros(3, POINT)
    points["step"], points["timestamp"], points["series"] = range(3), 1_000, 1
    key = SeriesKey(run_id, "loss")
    batch = Batch("7" * 32, writer, START, Position(8_192), [], points, {1: key})
    with pytest.raises(StoreError, match="not on"):
        store.apply(batch)
    assert store.positions([batch.journal_id]) == {}
    monkeypatch.setattr(mlflow_operations, "PATIENCE_SECONDS", 0.0)
    assert store.apply(batch) == []
    assert store.apply(batch) is None
    [run] = store.runs([run_id])
    assert (run.row.name, run.row.experiment_id) == ("recovered-55555555", "0")
    create = CreateRun(run_id, "0", "me", "found", 1_000, {"a": "b"}, "")
    late = Batch("8" * 32, writer, START, Position(8_192), [(4_096, create)], points[:0], {})
    assert store.apply(late) == []
    [run] = store.runs([run_id])
    assert (run.row.name, run.tags["a"]) == ("found", "b")
    [series] = store.series([run_id])
    [columns] = store.points(series.series_id)
    assert columns.step.tolist() == [0, 1, 2]
    store.close()


def test_another_kind_of_server_is_noticed(server: MlflowServer, their: Any, name: str) -> None:
    """What is remembered of an address is forgotten when something else answers there."""
    steplog.set_tracking_uri(server.url)
    place = resolve(server.url)
    os.makedirs(place.directory)
    kept = Path(place.directory, FILE)
    kept.write_text('{"kind": "steplog"}', "ascii")
    with pytest.raises(StoreError):
        steplog.Client().store.experiments()
    assert steplog.Client().store.experiments()
    assert kept.read_text("ascii") == '{"kind": "mlflow"}'
