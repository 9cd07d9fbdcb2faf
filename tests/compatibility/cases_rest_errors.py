"""Requests that are wrong: what the server says, with which status, and that nothing is stored."""

from __future__ import annotations

from typing import Any

from compatibility.cases import UNKNOWN_EXPERIMENT, UNKNOWN_MODEL, UNKNOWN_RUN, case
from compatibility.cases_rest import METRIC, get_run, new_model
from compatibility.wire import Wire


def without(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the body without each of its fields in turn."""
    return [{name: body[name] for name in body if name != left_out} for left_out in body]


def stored(http: Wire, run_id: str) -> dict[str, Any]:
    """Return what a run holds, without the tag of its name."""
    data = get_run(http, run_id).get("data", {})
    return {
        kind: sorted(
            [each["key"], each["value"]] for each in items if each["key"] != "mlflow.runName"
        )
        for kind, items in data.items()
    }


def history(http: Wire, run_id: str) -> list[list[Any]]:
    """Return step, time and value of each point of the metric `m`."""
    answer = http.get("metrics/get-history", run_id=run_id, metric_key="m")["body"]
    return [[each["step"], each["timestamp"], each["value"]] for each in answer.get("metrics", [])]


# Missing ----------------------------------------------------------------------------------------


@case
def missing_in_experiments(http: Wire) -> object:
    """Each endpoint of experiments says which field it misses."""
    return {
        path: http.post(f"experiments/{path}", {})
        for path in (
            "create",
            "delete",
            "restore",
            "update",
            "set-experiment-tag",
            "delete-experiment-tag",
        )
    } | {
        "get": http.get("experiments/get"),
        "get-by-name": http.get("experiments/get-by-name"),
        "search": http.post("experiments/search", {}),
    }


@case
def missing_in_tags_of_experiments(http: Wire) -> object:
    """A tag of an experiment needs the experiment, a key and a value."""
    tag = {"experiment_id": http.experiment_id, "key": "a", "value": "b"}
    return [http.post("experiments/set-experiment-tag", body) for body in without(tag)]


@case
def missing_in_metrics(http: Wire) -> object:
    """A metric needs a run, a key, a value and a timestamp."""
    body = {"run_id": http.run(), "key": "m", "value": 1, "timestamp": 5}
    return [http.post("runs/log-metric", each) for each in without(body)]


@case
def missing_in_params_and_tags(http: Wire) -> object:
    """A param and a tag need a run, a key and a value; to remove a tag, only the former two."""
    body = {"run_id": http.run(), "key": "k", "value": "v"}
    return [
        *(http.post("runs/log-parameter", each) for each in without(body)),
        *(http.post("runs/set-tag", each) for each in without(body)),
        *(http.post("runs/delete-tag", each) for each in without(body)[:2]),
    ]


@case
def missing_in_batches(http: Wire) -> object:
    """An item of a batch that misses something is named by its place."""
    run_id = http.run()
    metrics = [
        {"run_id": run_id, "metrics": [METRIC, {k: v for k, v in METRIC.items() if k != left_out}]}
        for left_out in ("key", "value", "timestamp")
    ]
    return [
        *(http.post("runs/log-batch", body) for body in metrics),
        http.post("runs/log-batch", {"run_id": run_id, "params": [{"value": "1"}]}),
        http.post("runs/log-batch", {"run_id": run_id, "tags": [{"value": "1"}]}),
        http.post("runs/log-batch", {"metrics": [METRIC]}),
        http.post("runs/log-batch", {"run_id": run_id}),
        stored(http, run_id),
    ]


@case
def missing_in_runs(http: Wire) -> object:
    """Each endpoint of runs says which field it misses."""
    return {
        path: http.post(f"runs/{path}", {})
        for path in ("delete", "restore", "delete-tag", "log-inputs", "outputs", "update")
    } | {
        "get": http.get("runs/get"),
        "history": http.get("metrics/get-history", run_id=http.run()),
        "history of no run": http.get("metrics/get-history", metric_key="m"),
    }


@case
def missing_in_inputs(http: Wire) -> object:
    """A dataset needs its name, digest, type and source, an output its model and step."""
    run_id = http.run()
    dataset = {"name": "a", "digest": "d", "source_type": "local", "source": "here"}
    return [
        *(
            http.post("runs/log-inputs", {"run_id": run_id, "datasets": [{"dataset": each}]})
            for each in without(dataset)
        ),
        http.post("runs/log-inputs", {"run_id": run_id, "datasets": [{}]}),
        http.post("runs/outputs", {"run_id": run_id, "models": [{"step": 1}]}),
        http.post("runs/outputs", {"run_id": run_id, "models": [{"model_id": UNKNOWN_MODEL}]}),
    ]


@case
def missing_in_models(http: Wire) -> object:
    """A model needs its experiment, and its end a status."""
    model_id = new_model(http)
    return [
        http.post("logged-models", {}),
        http.post("logged-models", {"name": "m"}),
        http.post(f"logged-models/{model_id}", {}, "PATCH"),
        http.post("logged-models/search", {}),
    ]


@case
def empty_texts(http: Wire) -> object:
    """An empty text counts as missing where a field is required."""
    run_id = http.run()
    return [
        http.post("experiments/create", {"name": ""}),
        http.get("experiments/get", experiment_id=""),
        http.get("runs/get", run_id=""),
        http.post("runs/set-tag", {"run_id": run_id, "key": "", "value": "a"}),
        http.post("runs/set-tag", {"run_id": run_id, "key": "a", "value": ""}),
        http.post("runs/log-parameter", {"run_id": run_id, "key": "p", "value": ""}),
        http.post("runs/log-metric", {"run_id": run_id, **METRIC, "key": ""}),
        stored(http, run_id),
    ]


# Wrong ------------------------------------------------------------------------------------------


@case
def wrong_types(http: Wire) -> object:
    """A field of another type is named, with the type that was found."""
    run_id = http.run()
    return [
        http.post("experiments/create", {"name": 5}),
        http.post("experiments/create", {"name": ["a"]}),
        http.post("experiments/delete", {"experiment_id": 0}),
        http.post("runs/set-tag", {"run_id": run_id, "key": "a", "value": 1}),
        http.post("runs/set-tag", {"run_id": run_id, "key": {}, "value": "a"}),
        http.post("runs/log-metric", {"run_id": run_id, **METRIC, "key": 5}),
        http.post("runs/log-metric", {"run_id": run_id, **METRIC, "value": "abc"}),
        http.post("runs/log-metric", {"run_id": run_id, **METRIC, "value": [1]}),
        http.post("runs/log-metric", {"run_id": run_id, **METRIC, "timestamp": "x"}),
        http.post("runs/log-metric", {"run_id": run_id, **METRIC, "step": "x"}),
        http.post("runs/log-batch", {"run_id": run_id, "metrics": {}}),
        http.post("runs/log-batch", {"run_id": run_id, "metrics": "x"}),
        http.post("runs/log-batch", {"run_id": run_id, "metrics": [1]}),
        http.post("runs/search", {"experiment_ids": "0"}),
        http.post("runs/search", {"experiment_ids": [http.experiment_id], "max_results": "x"}),
        stored(http, run_id),
    ]


@case
def values_that_the_reference_corrupts(http: Wire) -> object:
    """A value, step or time that cannot be read is refused, and nothing of it is stored."""
    run_id = http.run()
    ids = f'"run_id": "{run_id}", "key": "m"'
    bodies = [
        f'{{{ids}, "value": NaN, "timestamp": 5, "step": 1}}',
        f'{{{ids}, "value": Infinity, "timestamp": 5, "step": 2}}',
        f'{{{ids}, "value": 1e400, "timestamp": 5, "step": 3}}',
        f'{{{ids}, "value": "nan", "timestamp": 5, "step": 4}}',
        f'{{{ids}, "value": 1, "timestamp": 1.5, "step": 5}}',
        f'{{{ids}, "value": 1, "timestamp": 5, "step": 1.5}}',
        f'{{{ids}, "value": 1, "timestamp": 5, "step": 9223372036854775808}}',
    ]
    statuses = [http.send("POST", "runs/log-metric", body.encode())["status"] for body in bodies]
    return {"statuses": statuses, "stored": history(http, run_id)}


@case
def batches_that_the_reference_corrupts(http: Wire) -> object:
    """A batch with a value that cannot be read is refused as a whole."""
    seen = []
    for value in ('"abc"', "NaN", '"nan"', "[1]", "null"):
        run_id = http.run()
        good = '{"key": "m", "value": 1, "timestamp": 5, "step": 1}'
        bad = f'{{"key": "m", "value": {value}, "timestamp": 6, "step": 2}}'
        body = f'{{"run_id": "{run_id}", "metrics": [{good}, {bad}, {good}]}}'
        answer = http.send("POST", "runs/log-batch", body.encode())
        seen.append([answer["status"], history(http, run_id)])
    return seen


@case
def names_of_values_that_are_none(http: Wire) -> object:
    """A status, a view or a stage that does not exist is refused."""
    run_id = http.run()
    query = {"experiment_ids": [http.experiment_id]}
    return [
        http.post("runs/update", {"run_id": run_id, "status": "BOGUS"})["status"],
        http.post("runs/search", {**query, "run_view_type": "BOGUS"})["status"],
        http.post("runs/update", {"run_id": run_id, "status": 99})["status"],
        get_run(http, run_id)["info"]["status"],
    ]


@case
def bodies_that_are_no_object(http: Wire) -> object:
    """A body that is no JSON object is a mistake of the client's, never of the server's."""
    bodies = (b"", b"{", b"hello", b"[1]", b'"text"', b"5", b"null", b"\xff\xfe", b"{'a': 1}")
    return {repr(body): http.send("POST", "experiments/create", body)["status"] for body in bodies}


@case
def camel_case(http: Wire) -> object:
    """The names of fields are those with underscores."""
    run_id = http.run()
    return [
        http.post("runs/set-tag", {"runId": run_id, "key": "a", "value": "b"}),
        http.get("experiments/get", experimentId=http.experiment_id),
        http.post("runs/search", {"experimentIds": [http.experiment_id]}),
        stored(http, run_id),
    ]


@case
def bad_keys(http: Wire) -> object:
    """A key that cannot be is quoted, with its place in a batch."""
    run_id = http.run()
    return [
        http.post("runs/log-metric", {"run_id": run_id, **METRIC, "key": "a@b"}),
        http.post("runs/log-metric", {"run_id": run_id, **METRIC, "key": "a//b"}),
        http.post("runs/log-metric", {"run_id": run_id, **METRIC, "key": "x" * 251}),
        http.post(
            "runs/log-batch", {"run_id": run_id, "metrics": [METRIC, {**METRIC, "key": "😀"}]}
        ),
        http.post("runs/log-parameter", {"run_id": run_id, "key": "a@b", "value": "1"}),
        http.post("runs/set-tag", {"run_id": run_id, "key": "../a", "value": "1"}),
        http.post("runs/log-metric", {"run_id": run_id, **METRIC, "timestamp": -1}),
        stored(http, run_id),
    ]


@case
def too_much_at_once(http: Wire) -> object:
    """A batch has at most 1,000 metrics, 100 params and 100 tags."""
    run_id = http.run()
    many = [{**METRIC, "step": step} for step in range(1_001)]
    items = [{"key": f"k{i}", "value": "1"} for i in range(101)]
    return [
        http.post("runs/log-batch", {"run_id": run_id, "metrics": many}),
        http.post("runs/log-batch", {"run_id": run_id, "params": items}),
        http.post("runs/log-batch", {"run_id": run_id, "tags": items}),
        http.post(
            "runs/log-batch",
            {"run_id": run_id, "metrics": many[:999], "params": items[:1], "tags": items[:1]},
        ),
        stored(http, run_id),
    ]


@case
def long_values(http: Wire) -> object:
    """Values that are too long are cut, names are refused."""
    run_id = http.run()
    answers = [
        http.post("runs/log-parameter", {"run_id": run_id, "key": "p", "value": "x" * 6_001}),
        http.post("runs/set-tag", {"run_id": run_id, "key": "t", "value": "x" * 8_001}),
        http.post("experiments/create", {"name": "x" * 501}),
    ]
    found = stored(http, run_id)
    return [answers, {kind: [[k, len(v)] for k, v in each] for kind, each in found.items()}]


@case
def a_changed_param(http: Wire) -> object:
    """A param that would change is refused, alone and in a batch."""
    run_id = http.run()
    http.post("runs/log-parameter", {"run_id": run_id, "key": "p", "value": "1"})
    changed = {"key": "p", "value": "2"}
    return [
        http.post("runs/log-parameter", {"run_id": run_id, **changed}),
        http.post("runs/log-batch", {"run_id": run_id, "params": [changed], "metrics": [METRIC]}),
        stored(http, run_id),
    ]


# Not there --------------------------------------------------------------------------------------


@case
def unknown_experiments(http: Wire) -> object:
    """An experiment that does not exist is a 404, or nothing that is found."""
    ids = {"experiment_id": UNKNOWN_EXPERIMENT}
    return [
        http.get("experiments/get", **ids),
        http.get("experiments/get", experiment_id="abc"),
        http.get("experiments/get-by-name", experiment_name="nowhere"),
        http.post("experiments/delete", ids),
        http.post("experiments/restore", ids),
        http.post("experiments/update", {**ids, "new_name": "new"}),
        http.post("experiments/set-experiment-tag", {**ids, "key": "a", "value": "1"}),
        http.post("runs/search", {"experiment_ids": [UNKNOWN_EXPERIMENT]}),
        http.post("runs/create", ids),
    ]


@case
def unknown_runs(http: Wire) -> object:
    """A run that does not exist is a 404."""
    ids = {"run_id": UNKNOWN_RUN}
    item = {"key": "k", "value": "v"}
    return [
        http.get("runs/get", **ids),
        http.post("runs/update", {**ids, "status": "FINISHED"}),
        http.post("runs/delete", ids),
        http.post("runs/restore", ids),
        http.post("runs/log-metric", {**ids, **METRIC}),
        http.post("runs/log-parameter", {**ids, **item}),
        http.post("runs/set-tag", {**ids, **item}),
        http.post("runs/delete-tag", {**ids, "key": "k"}),
        http.post("runs/log-batch", {**ids, "metrics": [METRIC]}),
        http.post("runs/log-inputs", ids),
        http.get("metrics/get-history", **ids, metric_key="m"),
    ]


@case
def malformed_run_ids(http: Wire) -> object:
    """An id that no run can have is refused or not found."""
    return [
        [
            http.get("runs/get", run_id=run_id),
            http.post("runs/log-batch", {"run_id": run_id, "metrics": [METRIC]}),
        ]
        for run_id in ("bad id!", "../../etc/passwd", "x" * 300)
    ]


@case
def unknown_models(http: Wire) -> object:
    """A model that does not exist is a 404."""
    path = f"logged-models/{UNKNOWN_MODEL}"
    return [
        http.get(path),
        http.post(path, {"status": "LOGGED_MODEL_READY"}, "PATCH"),
        http.send("DELETE", path, b"{}"),
        http.post(f"{path}/tags", {"tags": [{"key": "a", "value": "1"}]}, "PATCH"),
        http.send("DELETE", f"{path}/tags/a", b"{}"),
        http.post(f"{path}/params", {"params": [{"key": "a", "value": "1"}]}),
    ]


@case
def deleted_things(http: Wire) -> object:
    """A deleted run takes nothing, a deleted experiment no runs."""
    run_id, item = http.run(), {"key": "k", "value": "v"}
    http.post("runs/delete", {"run_id": run_id})
    answers = [
        http.post("runs/log-metric", {"run_id": run_id, **METRIC}),
        http.post("runs/log-batch", {"run_id": run_id, "params": [item]}),
        http.post("runs/set-tag", {"run_id": run_id, **item}),
        http.post("runs/update", {"run_id": run_id, "status": "FINISHED"}),
    ]
    http.post("experiments/delete", {"experiment_id": http.experiment_id})
    return [
        *answers,
        http.post("runs/create", {"experiment_id": http.experiment_id}),
        http.post("experiments/delete", {"experiment_id": http.experiment_id}),
    ]


@case
def names_that_are_taken(http: Wire) -> object:
    """A second experiment of one name is a 400."""
    name = f"{http.name}: other"
    return [
        http.post("experiments/create", {"name": name})["status"],
        http.post("experiments/create", {"name": name}),
        http.post("experiments/update", {"experiment_id": http.experiment_id, "new_name": name}),
    ]


@case
def bad_searches(http: Wire) -> object:
    """A filter, an order, a size or a token that is wrong is a 400 that says why."""
    query = {"experiment_ids": [http.experiment_id]}
    return [
        http.post("runs/search", {**query, "filter": "metrics.loss =="}),
        http.post("runs/search", {**query, "filter": "foo.x = 1"}),
        http.post("runs/search", {**query, "order_by": ["metrics.loss FOO"]}),
        http.post("runs/search", {**query, "max_results": 0}),
        http.post("runs/search", {**query, "max_results": -1}),
        http.post("runs/search", {**query, "max_results": 50_001}),
        http.post("runs/search", {**query, "page_token": "zz"}),
        http.post("experiments/search", {"max_results": 5, "filter": "foo = 1"}),
        http.post("experiments/search", {"max_results": 50_001}),
        http.post("logged-models/search", {**query, "filter": "name > 'a'"}),
        http.post("logged-models/search", {**query, "order_by": [{"field_name": "zzz"}]}),
        http.get("metrics/get-history", run_id=http.run(), metric_key="m", max_results=0),
        http.get("metrics/get-history", run_id=http.run(), metric_key="m", page_token="zz"),
    ]


@case
def an_order_given_twice(http: Wire) -> object:
    """A field that is given twice in an order is a mistake of the client's."""
    body = {"experiment_ids": [http.experiment_id], "order_by": ["run_name", "run_name DESC"]}
    return http.post("runs/search", body)


@case
def paths_and_methods(http: Wire) -> object:
    """What is not served is a 404, what is served by another method a 405."""
    return {
        f"{method} {path}": http.send(method, path, None if method == "GET" else b"{}")["status"]
        for method, path in (
            ("GET", "nothing"),
            ("POST", "runs/nothing"),
            ("GET", "runs/create"),
            ("POST", "runs/get"),
            ("DELETE", "runs/get"),
            ("PUT", "experiments/create"),
            ("GET", "/api/9.9/mlflow/runs/get"),
            ("GET", "/api/2.0/nothing"),
            ("POST", "/health"),
        )
    }


@case
def an_error_in_full(http: Wire) -> object:
    """All fields of an error; elsewhere only its code and its text are compared."""
    return http.send("GET", "experiments/get", in_full=True)


@case
def hosts_and_origins(http: Wire) -> object:
    """A foreign host, and a foreign page that would change something, is a 403."""
    body = b'{"name": "from elsewhere"}'
    return [
        http.send("GET", "experiments/get?experiment_id=0", Host="evil.example")["status"],
        http.send("POST", "experiments/create", body, Origin="http://evil.example")["status"],
        http.send("GET", "experiments/get?experiment_id=0", Host="localhost")["status"],
    ]
