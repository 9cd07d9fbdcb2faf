"""What each endpoint does: exactly what was sent is stored, or nothing, and who may see it."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import AJAX, API, Reply, Served, succeeded

from steplog import history
from steplog.entities import ViewType
from steplog.exceptions import StoreError
from steplog.operations import LogInputs, Operation, SetTags
from steplog.server.endpoint import OURS, Caller
from steplog.server.endpoints import AJAX as AJAX_PREFIXES
from steplog.server.endpoints import ARTIFACTS, ENDPOINTS, EVERYWHERE, STORE, VIEW
from steplog.server.storage import Room
from steplog.stores.memory import MemoryStore
from steplog.stores.wire import encode_batch
from steplog.testing import Feed, create_run

SEE_DOCS = " See the API docs for more information about request parameters."


@pytest.fixture
def served(tmp_path: Path) -> Served:
    """A server of an empty store."""
    return Served(tmp_path / "store")


def points_of(served: Served, run_id: str, key: str) -> list[tuple[int, int, object]]:
    """Return the history of a metric: timestamp, step and value as they travel."""
    found = served.get(f"/metrics/get-history?run_id={run_id}&metric_key={key}")
    return [(each["timestamp"], each["step"], each["value"]) for each in found.get("metrics", [])]


# Logging ----------------------------------------------------------------------------------------


def test_a_point_is_stored_exactly(served: Served) -> None:
    """Whichever way a point takes through the server, every bit of it comes back."""
    run_id = served.new_run()
    values: list[tuple[object, object]] = [
        (0.1, 0.1),
        (5e-324, 5e-324),
        (-0.0, -0.0),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("-Infinity", "-Infinity"),
        ("1.5", 1.5),
        (True, 1.0),
        (2**53 + 1, float(2**53)),
    ]
    for at_once in (False, True):
        for step, (sent, _) in enumerate(values):
            body = {"run_id": run_id, "key": "m", "value": sent, "timestamp": 9, "step": step}
            succeeded(served.call("POST", f"{API}/runs/log-metric", body, at_once=at_once))
    found = points_of(served, run_id, "m")
    assert [each[:2] for each in found] == [(9, step) for step in range(len(values))]
    assert json.dumps([each[2] for each in found]) == json.dumps([each for _, each in values])


def test_steps_and_times_are_64_bits(served: Served) -> None:
    """As numbers or as strings, to the last of them."""
    run_id = served.new_run()
    steps: list[object] = [-(2**63), str(2**63 - 1), "-5", 3.0, "2.0", None]
    for step in steps:
        body = {"run_id": run_id, "key": "m", "value": 1, "timestamp": str(2**63 - 1), "step": step}
        served.post("/runs/log-metric", body)
    assert {each[:2] for each in points_of(served, run_id, "m")} == {
        (2**63 - 1, step) for step in (-(2**63), 2**63 - 1, -5, 3, 2, 0)
    }


def batch(run_id: str, steps: range, **more: object) -> dict[str, object]:
    metrics = [
        {"key": f"m{step % 3}", "value": step / 7, "timestamp": 5, "step": step} for step in steps
    ]
    return {"run_id": run_id, "metrics": metrics, **more}


def test_a_batch_is_stored_whichever_way_it_takes(served: Served) -> None:
    """The first batch of a run is looked at closely, later ones go straight to the journal."""
    run_id = served.new_run()
    for start in range(0, 90, 30):
        pairs = [{"key": f"k{start}", "value": "v"}]
        more = {"params": pairs, "tags": pairs} if start == 60 else {}
        served.post("/runs/log-batch", batch(run_id, range(start, start + 30), **more))
    for number in range(3):
        assert points_of(served, run_id, f"m{number}") == [
            (5, step, step / 7) for step in range(90) if step % 3 == number
        ]
    data = served.client.get_run(run_id).data
    assert data.params == {"k60": "v"}
    assert data.tags["k60"] == "v"


def test_points_of_models_and_datasets_keep_them(served: Served) -> None:
    """A point is one of its model and dataset, and its history says so; also the fast way."""
    run_id, model_id = served.new_run(), served.new_model()
    on_model = {"model_id": model_id}
    on_both = {**on_model, "dataset_name": "d", "dataset_digest": "e"}
    for step, where in enumerate([{}, on_model, on_both] * 2):
        point = {"run_id": run_id, "key": "acc", "value": step, "timestamp": 5, "step": step}
        served.post("/runs/log-metric", {**point, **where})
    found = served.get(f"/metrics/get-history?run_id={run_id}&metric_key=acc")["metrics"]
    names = ("model_id", "dataset_name", "dataset_digest")
    assert [{name: each[name] for name in names if name in each} for each in found] == [
        {},
        on_model,
        on_both,
    ] * 2
    model = served.get(f"/logged-models/{model_id}")["model"]
    assert {each["value"] for each in model["data"]["metrics"]} == {1, 2, 4, 5}


MISTAKES: list[tuple[str, str, dict[str, object]]] = [
    ("value", "/runs/log-metric", {"key": "m", "value": math.nan, "timestamp": 1}),
    ("value", "/runs/log-metric", {"key": "m", "value": "nan", "timestamp": 1}),
    ("timestamp", "/runs/log-metric", {"key": "m", "value": 1, "timestamp": 1.5}),
    ("timestamp", "/runs/log-metric", {"key": "m", "value": 1, "timestamp": -1}),
    ("step", "/runs/log-metric", {"key": "m", "value": 1, "timestamp": 1, "step": 2**63}),
    ("name", "/runs/log-metric", {"key": "a@b", "value": 1, "timestamp": 1}),
    ("dataset_digest", "/runs/log-metric", {"key": "m", "value": 1, "timestamp": 1,
                                            "dataset_name": "d"}),
    ("metrics[1].value", "/runs/log-batch", {"metrics": [
        {"key": "m", "value": 1, "timestamp": 1}, {"key": "m", "value": "x", "timestamp": 1}]}),
    ("metrics[1].name", "/runs/log-batch", {"metrics": [
        {"key": "m", "value": 1, "timestamp": 1}, {"key": "..", "value": 1, "timestamp": 1}]}),
    ("metrics[1].timestamp", "/runs/log-batch", {"metrics": [
        {"key": "m", "value": 1, "timestamp": 1}, {"key": "m", "value": 1, "timestamp": -1}]}),
    ("params[1].value", "/runs/log-batch", {"params": [
        {"key": "p", "value": "1"}, {"key": "q"}]}),
    ("params", "/runs/log-batch", {"params": [{"key": f"p{i}", "value": ""} for i in range(101)]}),
    ("1001 metrics", "/runs/log-batch", {"metrics": [
        {"key": "m", "value": 1, "timestamp": i} for i in range(1001)]}),
    ("value", "/runs/log-parameter", {"key": "p"}),
    ("value", "/runs/set-tag", {"key": "p", "value": 3}),
    ("status", "/runs/update", {"status": "BOGUS", "run_name": "other"}),
    ("end_time", "/runs/update", {"end_time": 1.5, "run_name": "other"}),
    ("datasets[0].dataset", "/runs/log-inputs", {"datasets": [{"tags": []}]}),
    ("models[0].step", "/runs/outputs", {"models": [{"model_id": "m-1"}]}),
    ("flavors", "/runs/log-model", {"model_json": '{"run_id": "", "artifact_path": ""}'}),
]  # fmt: skip


@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
@pytest.mark.parametrize(("name", "path", "body"), MISTAKES)
def test_a_mistake_stores_nothing(
    served: Served, known: bool, name: str, path: str, body: dict[str, object]
) -> None:
    """What MLflow's server stores in part, or as zero, is refused as a whole and named; also where
    the run and its metrics are known, and points go straight to the journal.
    """
    run_id = served.new_run()
    if known:
        for _ in range(2):
            served.post("/runs/log-metric", {"run_id": run_id, "key": "m", "value": 0.25,
                                             "timestamp": 7})  # fmt: skip
    before = served.get(f"/runs/get?run_id={run_id}")
    error = served.refuse(path, {"run_id": run_id, **body})
    assert error.startswith("INVALID_PARAMETER_VALUE: ")
    assert name in error
    assert served.get(f"/runs/get?run_id={run_id}") == before
    assert len(points_of(served, run_id, "m")) == known


def test_runs_that_cannot_be_logged_to(served: Served) -> None:
    """An unknown run and a deleted one, also right after it was logged to the fast way."""
    point = {"key": "m", "value": 1, "timestamp": 1}
    gone = f"RESOURCE_DOES_NOT_EXIST: Run with id={'f' * 32} not found"
    assert served.refuse("/runs/log-metric", {"run_id": "f" * 32, **point}) == gone
    assert served.refuse("/runs/log-batch", {"run_id": "f" * 32, "metrics": [point]}) == gone
    run_id = served.new_run()
    for _ in range(2):
        served.post("/runs/log-metric", {"run_id": run_id, **point})
    served.post("/runs/delete", {"run_id": run_id})
    error = served.refuse("/runs/log-metric", {"run_id": run_id, **point, "step": 1})
    assert "must be in the 'active' state" in error
    served.post("/runs/restore", {"run_id": run_id})
    served.post("/runs/log-metric", {"run_id": run_id, **point, "step": 2})
    assert [step for _, step, _ in points_of(served, run_id, "m")] == [0, 2]
    served.post("/runs/update", {"run_id": run_id, "status": "FINISHED", "end_time": 9})
    served.post("/runs/log-metric", {"run_id": run_id, **point, "step": 3})
    assert len(points_of(served, run_id, "m")) == 3


def everything(served: Served) -> list[object]:
    """Return all that the store shows."""
    experiments = served.client.search_experiments(ViewType.ALL)
    ids = [each.experiment_id for each in experiments]
    runs = served.post("/runs/search", {"experiment_ids": ids, "run_view_type": "ALL"})
    models = served.post("/logged-models/search", {"experiment_ids": ids})
    found = served.post("/experiments/search", {"max_results": 100, "view_type": "ALL"})
    for each in found["experiments"]:
        del each["last_update_time"]
    for each in models.get("models", []):
        del each["info"]["last_updated_timestamp_ms"]
    histories = [
        points_of(served, run["info"]["run_id"], metric["key"])
        for run in runs.get("runs", [])
        for metric in run["data"].get("metrics", [])
    ]
    return [found, runs, models, histories]


@pytest.mark.slow
def test_a_request_that_comes_again_changes_nothing(served: Served) -> None:
    """Clients send a request again when no answer reached them. Only what is made is made twice."""
    experiment_id = served.client.create_experiment("again")
    run_id, model_id = served.new_run(experiment_id), served.new_model(experiment_id)
    model = f"/logged-models/{model_id}"
    dataset = {"name": "d", "digest": "e", "source_type": "s", "source": "t"}
    noted = {"run_id": run_id, "artifact_path": "m", "flavors": {}, "utc_time_created": "now"}
    requests: list[tuple[str, str, dict[str, object]]] = [
        ("POST", "/experiments/set-experiment-tag", {"experiment_id": experiment_id, "key": "k",
                                                     "value": "v"}),
        ("POST", "/experiments/update", {"experiment_id": experiment_id, "new_name": "new"}),
        ("POST", "/runs/log-metric", {"key": "m", "value": "NaN", "timestamp": 1}),
        ("POST", "/runs/log-batch", {**batch(run_id, range(9)), "params": [
            {"key": "p", "value": "1"}], "tags": [{"key": "t", "value": "1"}]}),
        ("POST", "/runs/log-batch", batch(run_id, range(9))),
        ("POST", "/runs/log-parameter", {"key": "q", "value": "1"}),
        ("POST", "/runs/set-tag", {"key": "u", "value": "1"}),
        ("POST", "/runs/log-inputs", {"datasets": [{"dataset": dataset}],
                                      "models": [{"model_id": model_id}]}),
        ("POST", "/runs/outputs", {"models": [{"model_id": model_id, "step": 3}]}),
        ("POST", "/runs/log-model", {"model_json": json.dumps(noted)}),
        ("POST", "/runs/update", {"status": "FINISHED", "end_time": 9}),
        ("PATCH", model, {"model_id": model_id, "status": "LOGGED_MODEL_READY"}),
        ("PATCH", f"{model}/tags", {"tags": [{"key": "t", "value": "1"}]}),
        ("POST", f"{model}/params", {"model_id": model_id, "params": [
            {"key": "p", "value": "1"}]}),
        ("POST", "/runs/delete", {}),
        ("POST", "/runs/restore", {}),
        ("DELETE", model, {}),
    ]  # fmt: skip
    for method, path, body in requests:
        body = {"run_id": run_id, **body} if path.startswith("/runs") else body
        first = served.call(method, API + path, body)
        assert first.status == 200, (path, first)
        after = everything(served)
        again = served.call(method, API + path, body)
        assert again.status in (200, 404), (path, again)
        assert everything(served) == after, path


# Histories --------------------------------------------------------------------------------------


def logged(served: Served, key: str, count: int, seed: int = 0) -> tuple[str, list[Any]]:
    """Log points at shuffled times, in batches; return the run and the points as MLflow orders
    them.
    """
    rng = random.Random(seed)
    run_id = served.new_run()
    points = [
        {"key": key, "value": rng.random(), "timestamp": rng.randrange(200), "step": step}
        for step in range(count)
    ]
    for start in range(0, count, 1000):
        some = points[start : start + 1000]
        served.post("/runs/log-batch", {"run_id": run_id, "metrics": some})
    return run_id, sorted(points, key=lambda each: (each["timestamp"], each["step"]))


def test_pages_make_up_the_history(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """In MLflow's order, whole or in pages of any size, with a token where there is more."""
    monkeypatch.setattr(history, "BOX_POINTS", 64)
    monkeypatch.setattr(history, "MOST_POINTS", 100)
    run_id, expected = logged(served, "m", 2_500)
    address = f"/metrics/get-history?run_id={run_id}&metric_key=m"
    assert served.get(address) == {"metrics": expected}
    found: list[object] = []
    token = ""
    while True:
        page = served.get(f"{address}&max_results=700&page_token={token}")
        found += page["metrics"]
        if "next_page_token" not in page:
            break
        token = page["next_page_token"]
    assert found == expected
    assert "next_page_token" not in served.get(f"{address}&max_results=2500")
    assert served.get(f"{address}&max_results=2&page_token=eyJvZmZzZXQiOiA5OTk5OX0=") == {}


def test_a_history_is_streamed(served: Served) -> None:
    """It comes in many parts, so that its length is no matter of memory."""
    run_id, expected = logged(served, "m", 20_000)
    address = f"{API}/metrics/get-history?run_id={run_id}&metric_key=m"
    body = served.answer("GET", address).body
    assert isinstance(body, Iterator)
    parts = [*body]
    assert len(parts) > 4
    assert max(map(len, parts)) < 500_000
    assert len(json.loads(b"".join(parts))["metrics"]) == len(expected)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("metric_key=m", f"Missing value for required parameter 'run_id'.{SEE_DOCS}"),
        ("run_id=a", f"Missing value for required parameter 'metric_key'.{SEE_DOCS}"),
        (
            "run_id=a&metric_key=m&max_results=0",
            "Invalid value 0 for parameter 'max_results' supplied. It must be a positive integer.",
        ),
        ("run_id=a&metric_key=m&page_token=x", "Invalid page token, could not base64-decode"),
    ],
)
def test_histories_that_cannot_be_asked_for(served: Served, query: str, error: str) -> None:
    """Each in MLflow's words."""
    reply = served.call("GET", f"{API}/metrics/get-history?{query}")
    assert (reply.status, reply.error) == (400, f"INVALID_PARAMETER_VALUE: {error}")


def test_histories_of_several_runs(served: Served) -> None:
    """One run after the other by their ids, so many points in all, each with its run."""
    runs = {run_id: points for run_id, points in (logged(served, "m", 5, seed) for seed in (1, 2))}
    first, second = sorted(runs)
    address = f"{AJAX}/metrics/get-history-bulk?run_id={second}&run_id={first}&run_id={first}"
    expected = [{**point, "run_id": each} for each in (first, second) for point in runs[each]]
    assert succeeded(served.call("GET", f"{address}&metric_key=m")) == {"metrics": expected}
    some = served.call("GET", f"{address}&metric_key=m&max_results=7").document
    assert some == {"metrics": expected[:7]}
    assert served.call("GET", f"{address}&metric_key=x").document == {"metrics": []}
    too_many = "&".join(["run_id=a"] * 101)
    for query, error in (
        ("metric_key=m", "GetMetricHistoryBulk request must specify at least one run_id."),
        ("run_id=a", "GetMetricHistoryBulk request must specify a metric_key."),
        (
            f"{too_many}&metric_key=m",
            "GetMetricHistoryBulk request cannot specify more than 100 run_ids. "
            "Received 101 run_ids.",
        ),
    ):
        reply = served.call("GET", f"{AJAX}/metrics/get-history-bulk?{query}")
        assert (reply.status, reply.error) == (400, f"INVALID_PARAMETER_VALUE: {error}")


def test_a_chart_keeps_every_extreme(served: Served) -> None:
    """At most so many points of each run, with first, last, smallest, largest and NaN in them."""
    run_id = served.new_run()
    values = np.sin(np.arange(3_000) / 50).tolist()
    values[1_234], values[777], values[2_000] = 9.0, -9.0, "NaN"
    for start in range(0, 3_000, 1_000):
        served.post("/runs/log-batch", {"run_id": run_id, "metrics": [
            {"key": "m", "value": values[step], "timestamp": step, "step": step}
            for step in range(start, start + 1_000)]})  # fmt: skip
    address = f"/metrics/get-history-bulk-interval?run_ids={run_id}&metric_key=m"
    found = served.get(f"{address}&max_results=320")["metrics"]
    assert len(found) <= 320
    kept = {each["step"]: each["value"] for each in found}
    assert {0, 777, 1_234, 2_000, 2_999} <= set(kept)
    assert kept[2_000] == "NaN"
    assert all(each["run_id"] == run_id for each in found)
    window = served.get(f"{address}&start_step=10&end_step=12")["metrics"]
    assert [each["step"] for each in window] == [10, 11, 12]
    assert served.get(f"{address}&start_step=5&end_step=5&max_results=1")["metrics"][0]["step"] == 5


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("metric_key=m", f"Missing value for required parameter 'run_ids'.{SEE_DOCS}"),
        ("run_ids=a&metric_key=m&max_results=2501",
         f"max_results must be between 1 and 2500.{SEE_DOCS}"),
        ("run_ids=a&metric_key=m&start_step=2&end_step=1",
         "end_step must be greater than start_step. Found start_step=2 and end_step=1."),
        ("run_ids=a&metric_key=m&start_step=2",
         "If either start step or end step are specified, both must be specified."),
        ("&".join(["run_ids=a"] * 101) + "&metric_key=m",
         "GetMetricHistoryBulkInterval request must specify at most 100 run_ids. "
         f"Received 101 run_ids.{SEE_DOCS}"),
    ],
)  # fmt: skip
def test_charts_that_cannot_be_asked_for(served: Served, query: str, error: str) -> None:
    """Each in MLflow's words."""
    reply = served.call("GET", f"{API}/metrics/get-history-bulk-interval?{query}")
    assert (reply.status, reply.error) == (400, f"INVALID_PARAMETER_VALUE: {error}")


# Artifacts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("root", [None, "s3://bucket/runs", "/shared/artifacts/"])
def test_artifacts_lie_under_the_root(tmp_path: Path, root: str | None) -> None:
    """Of experiments, runs and models that are made through the server; without a root, in the
    store. A place that is asked for is kept.
    """
    served = Served(tmp_path / "store", root)
    below = root.rstrip("/") if root else f"{tmp_path}/store/artifacts"
    made = served.post("/experiments/create", {"name": "new"})["experiment_id"]
    for experiment_id in (made, "0"):
        run = served.get(f"/runs/get?run_id={served.new_run(experiment_id)}")["run"]["info"]
        assert run["artifact_uri"] == f"{below}/{experiment_id}/{run['run_id']}/artifacts"
        model_id = served.new_model(experiment_id)
        model = served.get(f"/logged-models/{model_id}")["model"]["info"]
        assert model["artifact_uri"] == f"{below}/{experiment_id}/models/{model_id}/artifacts"
    found = served.get(f"/experiments/get?experiment_id={made}")["experiment"]
    assert found["artifact_location"] == f"{below}/{made}"
    own = served.post("/experiments/create", {"name": "own", "artifact_location": "gs://mine"})
    found = served.get(f"/experiments/get?experiment_id={own['experiment_id']}")["experiment"]
    assert found["artifact_location"] == "gs://mine"


def test_artifacts_are_not_served(served: Served) -> None:
    """Every endpoint of artifacts says where they are, with a status that nobody tries again."""
    for endpoint in ARTIFACTS:
        for prefix in endpoint.prefixes:
            path = re.sub(r"\{\w+:path\}", "a/../../etc/passwd", endpoint.path)
            path = re.sub(r"\{\w+\}", "x", path)
            reply = served.call(endpoint.method, prefix + path)
            assert reply.status == 501
            assert "NOT_IMPLEMENTED" in reply.error
            assert "--artifact-root" in reply.error


def test_models_of_mlflow_2_are_noted(served: Served) -> None:
    """In the tag that MLflow keeps them in; the first ones give way when it is full."""
    run_id = served.new_run()
    for number in range(60):
        noted = {
            "run_id": run_id,
            "artifact_path": f"m{number}",
            "flavors": {"spark": {"data": "x" * 100}},
            "utc_time_created": "2026-01-01",
        }
        served.post("/runs/log-model", {"run_id": run_id, "model_json": json.dumps(noted)})
    models = json.loads(served.client.get_run(run_id).data.tags["mlflow.log-model.history"])
    assert models[-1] == noted
    assert 10 < len(models) < 60
    assert "Malformed" in served.refuse("/runs/log-model", {"run_id": run_id, "model_json": "{"})


# Who may --------------------------------------------------------------------------------------


class Two:
    """Two experiments, each with a run, a model and a token that is good for it alone."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.mine = served.client.create_experiment("mine")
        self.other = served.client.create_experiment("other")
        self.run_id, self.model_id = served.new_run(self.other), served.new_model(self.other)
        self.own_run, self.own_model = served.new_run(self.mine), served.new_model(self.mine)
        self.me = Caller("t", "write", self.mine)

    def call(self, method: str, address: str, body: object = None) -> Reply:
        return self.served.call(method, address, body, self.me)


def foreign_requests(two: Two) -> dict[str, tuple[str, Mapping[str, object]]]:
    """Return of each endpoint a request for what belongs to the other experiment."""
    run, experiment = {"run_id": two.run_id}, {"experiment_id": two.other}
    point = {"key": "m", "value": 1, "timestamp": 1}
    pair = {"key": "k", "value": "v"}
    on_model = {**point, "model_id": two.model_id}
    own = {"run_id": two.own_run}
    return {
        "POST /experiments/create": ("", {"name": "third"}),
        "GET /experiments/get": (f"?experiment_id={two.other}", {}),
        "GET /experiments/get-by-name": ("?experiment_name=other", {}),
        "POST /experiments/update": ("", {**experiment, "new_name": "x"}),
        "POST /experiments/delete": ("", experiment),
        "POST /experiments/restore": ("", experiment),
        "POST /experiments/set-experiment-tag": ("", {**experiment, **pair}),
        "POST /experiments/delete-experiment-tag": ("", {**experiment, "key": "k"}),
        "POST /runs/create": ("", experiment),
        "GET /runs/get": (f"?run_id={two.run_id}", {}),
        "POST /runs/update": ("", {**run, "run_name": "x"}),
        "POST /runs/delete": ("", run),
        "POST /runs/restore": ("", run),
        "POST /runs/log-parameter": ("", {**run, **pair}),
        "POST /runs/set-tag": ("", {**run, **pair}),
        "POST /runs/delete-tag": ("", {**run, "key": "k"}),
        "POST /runs/log-inputs": ("", {**own, "models": [{"model_id": two.model_id}]}),
        "POST /runs/outputs": ("", {**own, "models": [{"model_id": two.model_id, "step": 1}]}),
        "POST /runs/log-model": ("", {**run, "model_json": "{}"}),
        "POST /runs/log-metric": ("", {**own, **on_model}),
        "POST /runs/log-batch": ("", {**own, "metrics": [on_model]}),
        "GET /metrics/get-history": (f"?run_id={two.run_id}&metric_key=m", {}),
        "GET /metrics/get-history-bulk-interval": (f"?run_ids={two.run_id}&metric_key=m", {}),
        "GET /metrics/get-history-bulk": (f"?run_id={two.run_id}&metric_key=m", {}),
        "POST /logged-models": ("", experiment),
        "GET /logged-models/{model_id}": ("", {}),
        "PATCH /logged-models/{model_id}": (
            "",
            {"model_id": two.model_id, "status": "LOGGED_MODEL_READY"},
        ),
        "DELETE /logged-models/{model_id}": ("", {}),
        "PATCH /logged-models/{model_id}/tags": ("", {"tags": [pair]}),
        "DELETE /logged-models/{model_id}/tags/{tag_key}": ("", {}),
        "POST /logged-models/{model_id}/params": ("", {"model_id": two.model_id}),
    }


SEARCHES = {
    "POST /experiments/search",
    "GET /experiments/search",
    "POST /experiments/search-datasets",
    "POST /runs/search",
    "POST /logged-models/search",
}


def test_a_token_of_one_experiment_reaches_no_other(served: Served) -> None:
    """Every endpoint refuses it what belongs elsewhere, and changes nothing."""
    two = Two(served)
    before = everything(served)
    requests = foreign_requests(two)
    for endpoint in ENDPOINTS:
        name = f"{endpoint.method} {endpoint.path.removeprefix('/mlflow')}"
        if endpoint in (*ARTIFACTS, *VIEW, *STORE) or name in SEARCHES:
            continue
        query, body = requests.pop(name)
        path = endpoint.path.format(model_id=two.model_id, tag_key="k")
        reply = two.call(endpoint.method, endpoint.prefixes[0] + path + query, body)
        assert (reply.status, reply.document["error_code"]) == (403, "PERMISSION_DENIED"), name
    assert not requests
    assert everything(served) == before


def test_a_token_of_one_experiment_reaches_no_store(served: Served) -> None:
    """Whatever it sends, the store as a whole is not for it."""
    two = Two(served)
    for endpoint in STORE:
        for body in (b"", {"run_ids": [two.own_run]}, encode_batch(Feed(MemoryStore()).batch())):
            reply = two.call(endpoint.method, endpoint.prefixes[0] + endpoint.path, body)
            assert (reply.status, reply.document["error_code"]) == (403, "PERMISSION_DENIED")


def test_a_token_of_one_experiment_finds_no_other(served: Served) -> None:
    """What a search finds is what the token is good for."""
    two = Two(served)
    both = {"experiment_ids": [two.mine, two.other]}
    found = two.call("POST", f"{API}/experiments/search", {"max_results": 100}).document
    assert [each["experiment_id"] for each in found["experiments"]] == [two.mine]
    found = two.call("GET", f"{API}/experiments/search?max_results=100").document
    assert [each["experiment_id"] for each in found["experiments"]] == [two.mine]
    found = two.call("POST", f"{API}/runs/search", both).document
    assert [each["info"]["run_id"] for each in found["runs"]] == [two.own_run]
    found = two.call("POST", f"{API}/logged-models/search", both).document
    assert [each["info"]["model_id"] for each in found["models"]] == [two.own_model]
    dataset = {"name": "d", "digest": "e", "source_type": "s", "source": "t"}
    served.post("/runs/log-inputs", {"run_id": two.run_id, "datasets": [{"dataset": dataset}]})
    assert two.call("POST", f"{API}/experiments/search-datasets", both).document == {}


def test_a_token_of_one_experiment_works_in_it(served: Served) -> None:
    """Runs, points, tags and models of its own, the fast way included."""
    two = Two(served)
    for step in range(4):
        point = {"run_id": two.own_run, "key": "m", "value": 1, "timestamp": 1, "step": step}
        assert two.call("POST", f"{API}/runs/log-metric", point).status == 200
        metrics = {"run_id": two.own_run, "metrics": [{**point, "key": "n", "run_id": None}]}
        assert two.call("POST", f"{API}/runs/log-batch", metrics).status == 200
    assert len(points_of(served, two.own_run, "n")) == 4
    tag = {"experiment_id": two.mine, "key": "k", "value": "v"}
    assert two.call("POST", f"{API}/experiments/set-experiment-tag", tag).status == 200
    assert two.call("GET", f"{API}/logged-models/{two.own_model}").status == 200
    assert two.call("POST", f"{API}/runs/create", {"experiment_id": two.mine}).status == 200


# The store as a whole ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "",
        "[]",
        '["tables"]',
        '["runs", 7]',
        '["runs", [[["tag", "t"], "= 1 OR 1 =", 1]]]',
        '["runs", [[["attribute", "password"], "=", "x"]]]',
        '["runs", [], [[["tag", "t"], "down"]]]',
        "[" * 100_000,
    ],
    ids=lambda query: query[:40],
)
def test_a_query_that_makes_no_sense_is_refused(served: Served, query: str) -> None:
    """Whatever it says, it is the caller's mistake, and nothing of it becomes SQL."""
    reply = served.call("POST", f"{OURS[0]}/store/search", {"query": query})
    assert (reply.status, reply.error.partition(":")[0]) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize(
    "operation",
    [
        SetTags("a" * 32, {"t": 5}),  # type: ignore[dict-item]
        SetTags("a" * 32, None),  # type: ignore[arg-type]
        SetTags(["a"], {}),  # type: ignore[arg-type]
        LogInputs("a" * 32, [7], []),  # type: ignore[list-item]
    ],
    ids=str,
)
def test_values_of_the_wrong_type_are_refused(served: Served, operation: Operation) -> None:
    """A batch with them is refused whole: no store would know what to keep."""
    body = encode_batch(Feed(MemoryStore()).batch(operations=[create_run(), operation]))
    reply = served.call("PUT", f"{OURS[0]}/store/batches", body)
    assert (reply.status, reply.error.partition(":")[0]) == (400, "INVALID_PARAMETER_VALUE")
    assert served.client.store.runs() == []


def test_what_is_unpacked_has_room_for_so_much() -> None:
    """Beyond that a batch is to come again later; what was taken is given back."""
    room = Room(100)
    with room.taken(60), pytest.raises(StoreError, match="Try again"), room.taken(50):
        pass
    with room.taken(100):
        pass


# The table --------------------------------------------------------------------------------------


def test_the_table_is_served_everywhere() -> None:
    """All of MLflow's endpoints stand below /api and /ajax-api, 2.0 and 3.0; only what MLflow has
    below /ajax-api alone, and its download link, do not.
    """
    assert EVERYWHERE == ("/api/2.0", "/ajax-api/2.0", "/api/3.0", "/ajax-api/3.0")
    ours = (*VIEW, *STORE)
    others = [each for each in ENDPOINTS if each not in ours and each.prefixes != EVERYWHERE]
    exceptions = {each.path: each.prefixes for each in others}
    assert exceptions == {
        "/mlflow/metrics/get-history-bulk": AJAX_PREFIXES,
        "/mlflow/upload-artifact": AJAX_PREFIXES,
        "/mlflow/logged-models/{model_id}/artifacts/files": AJAX_PREFIXES,
        "/get-artifact": ("",),
    }
    assert {each.prefixes for each in ours} == {("/api/steplog/1",)}


def test_what_reads_needs_less_than_what_writes() -> None:
    """A token for reading is good for every GET and search, for what the page and other stores
    ask, no more.
    """
    assert {each.role for each in VIEW} == {"read"}
    writing = {each.path.removeprefix("/store/") for each in STORE if each.role == "write"}
    assert writing == {"batches", "beats", "seal"}
    reading = {
        f"{each.method} {each.path}"
        for each in ENDPOINTS
        if each.role == "read" and each not in (*VIEW, *STORE)
    }
    assert {each for each in reading if not each.startswith("GET ")} == {
        f"POST /mlflow/{name}"
        for name in (
            "experiments/search",
            "experiments/search-datasets",
            "runs/search",
            "logged-models/search",
            "artifacts/presigned-download-url",
        )
    }
    assert [each.path for each in ENDPOINTS if each.role == "admin"] == ["/store/purge"]
    assert {each.role for each in ENDPOINTS} == {"read", "write", "admin"}
    assert not [each.path for each in ENDPOINTS if each.method == "GET" and each.role != "read"]
