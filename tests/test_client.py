"""`Client`: what is read back by id, and what one call by id may and may not do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import steplog
from steplog import Client, MlflowException
from steplog.entities import Metric, Param, RunTag, ViewType


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """A client of a store that does not exist yet."""
    return Client(str(tmp_path / "store"))


@pytest.fixture
def run_id(client: Client) -> str:
    """The id of a run in that store."""
    return client.create_run("0", run_name="fixture").info.run_id


def test_history_is_in_mlflows_order(client: Client, run_id: str) -> None:
    """A history is ordered by timestamp, then step, then value, NaN counting as 0."""
    nan = float("nan")
    points = [(2.0, 5, 1), (1.0, 5, 1), (nan, 5, 1), (-1.0, 5, 1), (9.0, 1, 9), (8.0, 6, 0)]
    for value, timestamp, step in points:
        client.log_metric(run_id, "m", value, timestamp, step)
    history = client.get_metric_history(run_id, "m")
    assert [(point.timestamp, point.step, repr(point.value)) for point in history] == [
        (1, 9, "9.0"),
        (5, 1, "-1.0"),
        (5, 1, "nan"),
        (5, 1, "1.0"),
        (5, 1, "2.0"),
        (6, 0, "8.0"),
    ]


def test_history_takes_its_key_literally(client: Client, run_id: str) -> None:
    """A key is no pattern, and a run or metric that does not exist has no history."""
    client.log_metric(run_id, "loss", 1)
    assert client.get_metric_history(run_id, "l*") == []
    assert client.get_metric_history("f" * 32, "loss") == []


def test_latest_of_several_models(client: Client, run_id: str) -> None:
    """The latest value of a key is the latest over all its models and datasets."""
    client.log_metric(run_id, "m", 1, step=1, timestamp=5, model_id="m-1")
    client.log_metric(run_id, "m", 2, step=3, timestamp=1, model_id="m-2")
    client.log_metric(run_id, "m", 3, step=2, timestamp=9)
    data = client.get_run(run_id).data
    assert data.metrics == {"m": 2.0}
    assert [(metric.step, metric.model_id) for metric in data._metric_objs] == [(3, "m-2")]


def test_a_batch_is_stored_whole_or_not_at_all(client: Client, run_id: str) -> None:
    """One bad item of a batch, wherever it stands, keeps everything else from being stored."""
    metrics = [Metric(f"m{i}", i, 1, 0) for i in range(1_500)]
    params, tags = [Param("p", "1")], [RunTag("t", "1")]
    for batch in (
        ([*metrics, Metric("b@d", 1, 1, 0)], params, tags),
        (metrics, [*params, Param("p", "2")], tags),
        (metrics, params, [*tags, RunTag("b@d", "1")]),
    ):
        with pytest.raises(MlflowException):
            client.log_batch(run_id, *batch)
    data = client.get_run(run_id).data
    assert (data.metrics, data.params, list(data.tags)) == ({}, {}, ["mlflow.runName"])


def test_a_refused_param_stops_the_batch(client: Client, run_id: str) -> None:
    """Where a param of a batch is refused, its metrics and tags are not stored."""
    client.log_param(run_id, "p", 1)
    with pytest.raises(MlflowException, match="Params were already logged"):
        client.log_batch(run_id, [Metric("m", 1, 1, 0)], [Param("p", "2")], [RunTag("t", "1")])
    data = client.get_run(run_id).data
    assert data.metrics == {}
    assert "t" not in data.tags


def test_a_dataset_has_a_name_and_a_digest(client: Client, run_id: str) -> None:
    """A metric that names only half of a dataset is refused."""
    with pytest.raises(MlflowException, match="Both dataset_name and dataset_digest"):
        client.log_metric(run_id, "m", 1, dataset_name="digits")


def test_experiments_are_paged(client: Client) -> None:
    """Pages follow each other by token, the newest experiment first, and the last has no token."""
    ids = {client.create_experiment(f"e{i}") for i in range(5)} | {"0"}
    found, token = [], None
    for expected in (4, 2):
        page = client.search_experiments(max_results=4, page_token=token)
        assert len(page) == expected
        found += [experiment.experiment_id for experiment in page]
        token = page.token
    assert token is None
    assert set(found) == ids


def test_view_types(client: Client, run_id: str) -> None:
    """Deleted runs and experiments are found only by who asks for them."""
    other = client.create_run("0").info.run_id
    client.delete_run(other)
    experiment_id = client.create_experiment("gone")
    client.delete_experiment(experiment_id)

    def runs(view_type: int) -> set[str]:
        return {run.info.run_id for run in client.search_runs(["0"], run_view_type=view_type)}

    def experiments(view_type: int) -> set[str]:
        return {each.experiment_id for each in client.search_experiments(view_type)}

    assert runs(ViewType.ACTIVE_ONLY) == {run_id}
    assert runs(ViewType.DELETED_ONLY) == {other}
    assert runs(ViewType.ALL) == {run_id, other}
    assert experiments(ViewType.ACTIVE_ONLY) == {"0"}
    assert experiments(ViewType.DELETED_ONLY) == {experiment_id}
    assert experiments(ViewType.ALL) == {"0", experiment_id}


def test_summary(client: Client, run_id: str) -> None:
    """A summary counts a point once, however often it was logged, and knows where extremes are."""
    nan = float("nan")
    for step, value in enumerate([3.0, -1.0, nan, 7.0]):
        for _ in range(2):
            client.log_metric(run_id, "m", value, timestamp=step, step=step)
    client.log_metric(run_id, "nothing", nan)
    series, nothing = client.summary(run_id)
    assert (series.key, series.count, series.nan_count, series.mean) == ("m", 4, 1, 3.0)
    assert (series.first, series.last, series.last_step) == (3.0, 7.0, 3)
    assert (series.min, series.min_step, series.max, series.max_step) == (-1.0, 1, 7.0, 3)
    assert (nothing.count, nothing.mean, nothing.min, nothing.max_step) == (1, None, None, None)
    with pytest.raises(MlflowException, match="not found"):
        client.summary("f" * 32)


def test_a_deleted_run_is_refused_again(client: Client, run_id: str) -> None:
    """A run that was logged to before refuses what comes after its deletion, until restored."""
    client.log_metric(run_id, "m", 1)
    client.delete_run(run_id)
    with pytest.raises(MlflowException, match="must be in the 'active' state"):
        client.log_metric(run_id, "m", 2, step=1)
    client.restore_run(run_id)
    client.log_metric(run_id, "m", 3, step=2)
    assert [point.value for point in client.get_metric_history(run_id, "m")] == [1.0, 3.0]


def test_an_ended_run_can_be_logged_to(client: Client, run_id: str) -> None:
    """What is logged after the end is stored; status and end time stay as they were."""
    client.set_terminated(run_id, "FAILED", end_time=5)
    client.log_metric(run_id, "m", 1)
    client.set_tag(run_id, "t", 1)
    run = client.get_run(run_id)
    assert (run.info.status, run.info.end_time) == ("FAILED", 5)
    assert (run.data.metrics, run.data.tags["t"]) == ({"m": 1.0}, "1")


def test_another_process_sees_what_was_logged(client: Client, run_id: str) -> None:
    """A reader in another process sees every point at once, without a call by the writer."""
    client.log_metric(run_id, "m", 0.5)
    printed = subprocess.run(
        [
            sys.executable,
            "-c",
            "import steplog, sys\n"
            "client = steplog.Client(sys.argv[1])\n"
            "print(client.get_run(sys.argv[2]).data.metrics)",
            client.tracking_uri,
            run_id,
        ],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout
    assert printed == "{'m': 0.5}\n"


def test_artifacts_move_with_the_store(client: Client, run_id: str, tmp_path: Path) -> None:
    """A run's artifacts are beneath the store's directory, unless its experiment says otherwise."""
    elsewhere = client.create_experiment("elsewhere", artifact_location="s3://bucket/path")
    other = client.create_run(elsewhere).info
    assert other.artifact_uri == f"s3://bucket/path/{other.run_id}/artifacts"
    client.get_run(run_id)
    (tmp_path / "store").rename(tmp_path / "moved")
    moved = Client(str(tmp_path / "moved"))
    uri = moved.get_run(run_id).info.artifact_uri
    assert uri == f"{tmp_path}/moved/artifacts/0/{run_id}/artifacts"
    assert moved.get_run(other.run_id).info.artifact_uri == other.artifact_uri


def test_a_name_that_is_no_text(client: Client) -> None:
    """A run may be named after a file whose name is not UTF-8; both ways to name it agree."""
    run = client.create_run("0", run_name="caf\udce9", tags={"mlflow.runName": "caf\udce9"})
    assert run.info.run_name == "caf\\udce9"


def test_tags_of_a_new_run(client: Client) -> None:
    """Tags of a new run are text, whatever they were given as."""
    run = client.create_run("0", tags={"n": None, "i": 5, "mlflow.runName": "named"})
    assert run.info.run_name == "named"
    assert run.data.tags == {"n": "None", "i": "5", "mlflow.runName": "named"}
    assert steplog.Client(client.tracking_uri).get_run(run.info.run_id) == run
