"""MLflow's REST API, endpoint by endpoint: what a request that is right is answered.

A case of this file, and of the others named `rest…`, takes a `Wire` to a server.
"""

from __future__ import annotations

from typing import Any

from compatibility.cases import case
from compatibility.wire import Wire

METRIC = {"key": "m", "value": 0.5, "timestamp": 7, "step": 3}


def get_run(http: Wire, run_id: str) -> Any:
    """Return a run as the server shows it."""
    return http.get("runs/get", run_id=run_id)["body"]["run"]


def new_model(http: Wire, **fields: object) -> str:
    """Create a model and return its id."""
    body = {"experiment_id": http.experiment_id, "name": "model", **fields}
    return str(http.post("logged-models", body)["body"]["model"]["info"]["model_id"])


# Experiments ------------------------------------------------------------------------------------


@case
def experiment_created_and_found(http: Wire) -> object:
    """An experiment is created, and found by its id and its name."""
    tags = [{"key": "a", "value": "1"}]
    made = http.post("experiments/create", {"name": f"{http.name}: other", "tags": tags})
    return [
        {**made, "body": sorted(made["body"])},
        http.get("experiments/get", experiment_id=made["body"]["experiment_id"]),
        http.get("experiments/get-by-name", experiment_name=f"{http.name}: other"),
    ]


@case
def experiment_changed(http: Wire) -> object:
    """An experiment is renamed, tagged, deleted and restored; each answer is empty."""
    ids = {"experiment_id": http.experiment_id}
    answers = [
        http.post("experiments/update", {**ids, "new_name": f"{http.name}: new"}),
        http.post("experiments/update", ids),
        http.post("experiments/set-experiment-tag", {**ids, "key": "a", "value": "1"}),
        http.post("experiments/set-experiment-tag", {**ids, "key": "b", "value": "2"}),
        http.post("experiments/delete-experiment-tag", {**ids, "key": "a"}),
        http.post("experiments/delete", ids),
        http.post("experiments/restore", ids),
    ]
    return [answers, http.get("experiments/get", **ids)]


@case
def experiments_searched(http: Wire) -> object:
    """Experiments are searched by POST and by GET, in pages, in any view."""
    names = [f"{http.name}: {name}" for name in ("a", "b", "c")]
    for name in names:
        made = http.post("experiments/create", {"name": name})["body"]["experiment_id"]
    http.post("experiments/delete", {"experiment_id": made})
    query = {"filter": f"name LIKE '{http.name}%'", "order_by": ["name"]}
    first = http.post("experiments/search", {**query, "max_results": 1})
    token = first["body"].pop("next_page_token")
    return [
        first,
        http.post("experiments/search", {**query, "max_results": 1, "page_token": token}),
        http.get("experiments/search", max_results=5, **query),
        http.post("experiments/search", {**query, "max_results": 5, "view_type": "ALL"}),
        http.post("experiments/search", {**query, "max_results": 5, "view_type": 2}),
        http.post("experiments/search", {"filter": "name = 'nothing'", "max_results": 5}),
    ]


@case
def datasets_of_experiments(http: Wire) -> object:
    """The page's list of datasets: each name, digest and context once."""
    run_id = http.run()
    dataset = {"name": "train", "digest": "d1", "source_type": "local", "source": "here"}
    tags = [{"key": "mlflow.data.context", "value": "training"}]
    http.post("runs/log-inputs", {"run_id": run_id, "datasets": [{"dataset": dataset}]})
    other = {"dataset": {**dataset, "digest": "d2"}, "tags": tags}
    http.post("runs/log-inputs", {"run_id": run_id, "datasets": [other]})
    path = "/ajax-api/2.0/mlflow/experiments/search-datasets"
    answer = http.post(path, {"experiment_ids": [http.experiment_id]})
    answer["body"]["dataset_summaries"].sort(key=lambda each: each["digest"])
    return answer


# Runs -------------------------------------------------------------------------------------------


@case
def run_created(http: Wire) -> object:
    """A run is created with all that it is given, or with its experiment only."""
    full = {
        "experiment_id": http.experiment_id,
        "user_id": "grace",
        "run_name": "full",
        "start_time": 1_234,
        "tags": [{"key": "a", "value": "1"}],
    }
    return [
        http.post("runs/create", full),
        http.post("runs/create", {"experiment_id": http.experiment_id, "run_name": "little"}),
    ]


@case
def run_found(http: Wire) -> object:
    """A run is found by either name of its id, with everything that was logged to it."""
    run_id = http.run(run_name="found")
    http.post(
        "runs/log-batch",
        {
            "run_id": run_id,
            "metrics": [METRIC, {**METRIC, "key": "a", "value": 2}],
            "params": [{"key": "p", "value": "1"}],
            "tags": [{"key": "t", "value": "x"}],
        },
    )
    answer = http.get("runs/get", run_id=run_id)
    for kind in ("metrics", "params", "tags"):
        answer["body"]["run"]["data"][kind].sort(key=lambda each: each["key"])
    return [answer, http.get("runs/get", run_uuid=run_id)["body"]["run"]["info"]]


@case
def run_updated(http: Wire) -> object:
    """Status, end and name of a run are changed, each by itself; the answer is what is then."""
    run_id = http.run(run_name="before")
    return [
        http.post("runs/update", {"run_id": run_id, "status": "FAILED", "end_time": 5}),
        http.post("runs/update", {"run_uuid": run_id, "status": 1}),
        http.post("runs/update", {"run_id": run_id, "run_name": "after"}),
        http.post("runs/update", {"run_id": run_id, "run_name": "", "status": "FINISHED"}),
        http.post("runs/update", {"run_id": run_id}),
    ]


@case
def run_deleted_and_restored(http: Wire) -> object:
    """A run is deleted and restored, twice each; each answer is empty."""
    run_id = http.run()
    answers = [
        http.post(f"runs/{what}", {"run_id": run_id})
        for what in ("delete", "delete", "restore", "restore")
    ]
    return [answers, get_run(http, run_id)["info"]["lifecycle_stage"]]


@case
def single_items_logged(http: Wire) -> object:
    """A metric, a param and a tag are logged by themselves; each answer is empty."""
    run_id = http.run(run_name="single")
    ids = {"run_id": run_id}
    answers = [
        http.post("runs/log-metric", {**ids, **METRIC}),
        http.post("runs/log-metric", {"run_uuid": run_id, **METRIC, "step": 4}),
        http.post("runs/log-metric", {**ids, "key": "n", "value": 1, "timestamp": 1}),
        http.post("runs/log-parameter", {**ids, "key": "p", "value": "1"}),
        http.post("runs/set-tag", {**ids, "key": "t", "value": "1"}),
        http.post("runs/set-tag", {**ids, "key": "u", "value": "1"}),
        http.post("runs/delete-tag", {**ids, "key": "u"}),
    ]
    data = get_run(http, run_id)["data"]
    return [
        answers,
        sorted(data["metrics"], key=str),
        data["params"],
        sorted(data["tags"], key=str),
    ]


@case
def a_request_sent_again(http: Wire) -> object:
    """A request that is sent a second time is answered alike and changes nothing."""
    run_id = http.run(run_name="again")
    batch = {"run_id": run_id, "metrics": [METRIC], "params": [{"key": "p", "value": "1"}]}
    answers = [http.post("runs/log-batch", batch) for _ in range(2)]
    answers += [http.post("runs/log-metric", {"run_id": run_id, **METRIC}) for _ in range(2)]
    return [answers, http.get("metrics/get-history", run_id=run_id, metric_key="m")]


@case
def values_in_json(http: Wire) -> object:
    """A value may be a number, a text that says one, NaN or an infinity as a text."""
    run_id = http.run()
    values = [1, 0.1, "1.5", "NaN", "Infinity", "-Infinity", "inf", 1e-320, True]
    answers = [
        http.post("runs/log-metric", {"run_id": run_id, **METRIC, "value": value, "step": step})
        for step, value in enumerate(values)
    ]
    return [answers, http.get("metrics/get-history", run_id=run_id, metric_key="m")]


@case
def integers_in_json(http: Wire) -> object:
    """Steps and times may be numbers or texts, and come back as numbers."""
    run_id = http.run()
    pairs = [("3", "7"), (3.0, 8), ("2.0", 9), (-5, 0), (2**53 + 1, 2**53 + 1), (2**63 - 1, 1)]
    answers = [
        http.post("runs/log-metric", {"run_id": run_id, **METRIC, "step": step, "timestamp": time})
        for step, time in pairs
    ]
    return [answers, http.get("metrics/get-history", run_id=run_id, metric_key="m")]


@case
def histories(http: Wire) -> object:
    """A history comes whole, or in pages."""
    run_id = http.run()
    metrics = [{**METRIC, "step": step, "timestamp": 10 - step} for step in range(5)]
    http.post("runs/log-batch", {"run_id": run_id, "metrics": metrics})
    path, query = "metrics/get-history", {"run_id": run_id, "metric_key": "m"}
    first = http.get(path, max_results=3, **query)
    token = first["body"].pop("next_page_token")
    return [
        http.get(path, **query),
        first,
        http.get(path, page_token=token, max_results=3, **query),
        http.get(path, run_uuid=run_id, metric_key="nothing"),
    ]


@case
def runs_searched(http: Wire) -> object:
    """Runs are searched with filters and orders, in pages, in any view."""
    for number in range(3):
        run_id = http.run(run_name=f"run{number}", start_time=number + 1)
        http.post("runs/log-metric", {"run_id": run_id, **METRIC, "value": number})
    http.post("runs/delete", {"run_id": run_id})
    query = {"experiment_ids": [http.experiment_id]}
    first = http.post("runs/search", {**query, "max_results": 1})
    token = first["body"].pop("next_page_token")

    def names(**fields: object) -> object:
        answer = http.post("runs/search", {**query, **fields})
        return [each["info"]["run_name"] for each in answer["body"].get("runs", [])]

    return [
        first,
        names(max_results=1, page_token=token),
        names(filter="metrics.m > 0.5"),
        names(filter="metrics.m >= 0", order_by=["metrics.m ASC"]),
        names(run_view_type="ALL"),
        names(run_view_type=2),
        http.post("runs/search", {**query, "filter": "metrics.m > 99"}),
        http.post("runs/search", {}),
    ]


@case
def inputs_and_outputs(http: Wire) -> object:
    """Datasets and models are inputs of a run, models its outputs."""
    run_id, model_id = http.run(), new_model(http)
    dataset = {
        "name": "train",
        "digest": "d1",
        "source_type": "local",
        "source": "here",
        "schema": "s",
        "profile": "p",
    }
    inputs = {
        "run_id": run_id,
        "datasets": [{"dataset": dataset, "tags": [{"key": "k", "value": "v"}]}],
        "models": [{"model_id": model_id}],
    }
    outputs = {"run_id": run_id, "models": [{"model_id": model_id, "step": 3}]}
    answers = [http.post("runs/log-inputs", inputs), http.post("runs/outputs", outputs)]
    run = get_run(http, run_id)
    return [answers, run["inputs"], run["outputs"]]


# Logged models ----------------------------------------------------------------------------------


@case
def model_created_and_changed(http: Wire) -> object:
    """A model is created, finalized, tagged, given params, and deleted."""
    run_id = http.run()
    made = http.post(
        "logged-models",
        {
            "experiment_id": http.experiment_id,
            "name": "resnet",
            "model_type": "cnn",
            "source_run_id": run_id,
            "params": [{"key": "p", "value": "1"}],
            "tags": [{"key": "t", "value": "1"}],
        },
    )
    model_id = made["body"]["model"]["info"]["model_id"]
    path = f"logged-models/{model_id}"
    return [
        run_id,
        made,
        http.post(path, {"model_id": model_id, "status": "LOGGED_MODEL_READY"}, "PATCH"),
        http.post(f"{path}/tags", {"tags": [{"key": "u", "value": "2"}]}, "PATCH"),
        http.send("DELETE", f"{path}/tags/t", b"{}"),
        http.post(f"{path}/params", {"params": [{"key": "q", "value": "2"}]}),
        http.get(path),
        http.send("DELETE", path, b"{}"),
        http.get(path),
    ]


@case
def model_measured(http: Wire) -> object:
    """A metric with a model and a dataset shows in the model."""
    run_id, model_id = http.run(), new_model(http)
    linked = {"model_id": model_id, "dataset_name": "train", "dataset_digest": "d1"}
    answers = [
        http.post("runs/log-metric", {"run_id": run_id, **METRIC, **linked}),
        http.post(
            "runs/log-batch", {"run_id": run_id, "metrics": [{**METRIC, **linked, "key": "n"}]}
        ),
    ]
    data = http.get(f"logged-models/{model_id}")["body"]["model"]["data"]
    return [run_id, answers, sorted(data["metrics"], key=lambda each: each["key"])]


@case
def models_searched(http: Wire) -> object:
    """Models are searched with filters, datasets and orders, in pages."""
    run_id = http.run()
    for number, name in enumerate(("a", "b", "c")):
        model_id = new_model(http, name=name)
        metric = {**METRIC, "value": number, "model_id": model_id}
        dataset = {"dataset_name": "train", "dataset_digest": name}
        http.post("runs/log-metric", {"run_id": run_id, **metric, **dataset})
    query = {"experiment_ids": [http.experiment_id], "order_by": [{"field_name": "name"}]}
    first = http.post("logged-models/search", {**query, "max_results": 2})
    token = first["body"].pop("next_page_token")
    for model in first["body"]["models"]:
        model["data"] = None

    def names(**fields: object) -> object:
        answer = http.post("logged-models/search", {**query, **fields})
        models = answer["body"].get("models", [])
        return [answer["status"], [each["info"]["name"] for each in models]]

    by_metric = {"field_name": "metrics.m", "ascending": False}
    return [
        first,
        names(max_results=2, page_token=token),
        names(filter="metrics.m > 0.5"),
        names(filter="metrics.m >= 0", datasets=[{"dataset_name": "train", "dataset_digest": "b"}]),
        names(order_by=[by_metric]),
        http.post("logged-models/search", {**query, "filter": "name = 'nothing'"}),
    ]


# Conventions ------------------------------------------------------------------------------------


@case
def prefixes(http: Wire) -> object:
    """Everything is served below two prefixes."""
    run_id = http.run(run_name="anywhere")
    seen = []
    for prefix in ("/api/2.0/mlflow/", "/ajax-api/2.0/mlflow/"):
        seen.append(http.get(f"{prefix}runs/get", run_id=run_id)["status"])
        seen.append(
            http.post(f"{prefix}runs/set-tag", {"run_id": run_id, "key": "a", "value": "b"})
        )
    return seen


@case
def content_types(http: Wire) -> object:
    """A body must be said to be JSON; a character set may be said too."""
    run_id = http.run()
    body = f'{{"run_id": "{run_id}", "key": "a", "value": "é"}}'.encode()
    return [
        http.send("POST", "runs/set-tag", body, kind)
        for kind in (
            "application/json",
            "application/json; charset=utf-8",
            "text/plain",
            "application/x-www-form-urlencoded",
        )
    ]


@case
def unknown_fields(http: Wire) -> object:
    """Fields that a message does not have are ignored."""
    run_id = http.run()
    return [
        http.post("runs/set-tag", {"run_id": run_id, "key": "a", "value": "b", "more": [1, {}]}),
        http.get("runs/get", run_id=run_id, more="x")["status"],
    ]


@case
def texts_of_any_script(http: Wire) -> object:
    """Texts are Unicode, escaped or not."""
    run_id = http.run(run_name="日本 😀")
    value = r'"\u65e5\ud83d\ude00\n\u0000x"'
    body = f'{{"run_id": "{run_id}", "key": "é", "value": {value}}}'
    http.send("POST", "runs/set-tag", body.encode())
    run = get_run(http, run_id)
    tags = {each["key"]: each["value"] for each in run["data"]["tags"]}
    return [run["info"]["run_name"], tags]


@case
def a_query_in_a_url(http: Wire) -> object:
    """Names in a query are decoded, and may be of any script."""
    name = f"{http.name}: a&b=ç %41 + 日"
    http.post("experiments/create", {"name": name})
    return http.get("experiments/get-by-name", experiment_name=name)["body"]["experiment"]["name"]


@case
def service(http: Wire) -> object:
    """What is asked of a server that knows no runs: is it there, and which MLflow is it."""
    return [
        http.get("/health"),
        http.get("/version"),
        http.get("/api/3.0/mlflow/server-info")["status"],
        http.get("/ajax-api/3.0/mlflow/server-info")["status"],
    ]


@case
def artifacts_of_a_run(http: Wire) -> object:
    """Where the artifacts of a run are, and how a list of none of them looks."""
    return http.get("artifacts/list", run_id=http.run())
