"""The OpenAPI document: true of every route and every answer, and held by thousands of requests."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from served import AJAX, API, Served
from serving import Server, serving

from steplog.query import Query
from steplog.server import about, site
from steplog.server.endpoints import ARTIFACTS, ENDPOINTS
from steplog.server.openapi import document
from steplog.stores.memory import MemoryStore
from steplog.stores.wire import encode_batch, fingerprint
from steplog.summary import SUMMARY
from steplog.testing import Feed

TABLE = about.endpoints(ENDPOINTS)
NOTHING = np.empty(0, SUMMARY)
DOCUMENT = document(TABLE, "3.17.2")
ARTIFACT_PATHS = {re.sub(r":path\}", "}", each.path) for each in ARTIFACTS}
METHODS = {"get", "post", "patch", "put", "delete"}
EXAMPLES = 28
"""Requests that are made up for each operation, right ones and again as many wrong ones."""


def addresses(path: str) -> list[str]:
    """Return the addresses that the document gives a path."""
    item = DOCUMENT["paths"][path]
    servers = item.get("servers", DOCUMENT["servers"])
    return [str(server["url"]).rstrip("/") + path for server in servers]


# The routes -------------------------------------------------------------------------------------


def test_every_route_is_in_the_document_and_no_other() -> None:
    """Method by method, address by address."""
    described = {
        (method.upper(), address)
        for path, item in DOCUMENT["paths"].items()
        for method in item.keys() & METHODS
        for address in addresses(path)
    }
    served = {
        (each.method, prefix + re.sub(r":path\}", "}", each.path))
        for each in TABLE
        for prefix in each.prefixes
    }
    assert described == served


def test_every_parameter_of_a_path_is_described() -> None:
    """By its name, as one that must be there."""
    for path, item in DOCUMENT["paths"].items():
        for method in item.keys() & METHODS:
            described = {
                each["name"] for each in item[method]["parameters"] if each["in"] == "path"
            }
            assert described == set(re.findall(r"\{(\w+)\}", path))


def test_operations_have_names_and_a_sentence() -> None:
    """Each its own name, by which generators of clients call it."""
    operations = [
        item[method] for item in DOCUMENT["paths"].values() for method in item.keys() & METHODS
    ]
    assert len({each["operationId"] for each in operations}) == len(operations)
    assert all(each["summary"].endswith(".") for each in operations)


def test_schemas_are_schemas() -> None:
    """Every schema is valid JSON Schema, and every reference leads to one."""
    schemas = DOCUMENT["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
        assert schema["additionalProperties"] is False
    named = set(re.findall(r"#/components/schemas/(\w+)", str(DOCUMENT)))
    assert named == set(schemas)


def test_what_needs_no_token_says_so() -> None:
    """Health, version and the files of the page are open to everybody, nothing else is."""
    free = {
        path
        for path, item in DOCUMENT["paths"].items()
        for method in item.keys() & METHODS
        if not item[method]["security"]
    }
    files = {f"/{name}" for name in (*site.SCRIPTED, "plain.css")}
    assert free == {"/health", "/ready", "/version", "/about"} | files


# The answers ------------------------------------------------------------------------------------


def validator(path: str, method: str, status: int) -> Draft202012Validator:
    """Return what an answer must be, as the document says."""
    responses = DOCUMENT["paths"][path][method.lower()]["responses"]
    response = responses.get(str(status), responses.get("default"))
    schema = response["content"]["application/json"]["schema"]
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]})


def session(served: Served) -> Iterator[tuple[str, str, str, object]]:
    """Yield requests that use every endpoint rightly: method, template, address and body."""
    experiment_id = served.client.create_experiment("session", tags={"k": "v"})
    run_id, model_id = served.new_run(experiment_id), served.new_model(experiment_id)
    run, experiment = {"run_id": run_id}, {"experiment_id": experiment_id}
    pair = {"key": "k", "value": "v"}
    point = {"key": "m", "value": 0.5, "timestamp": 1, "step": 3}
    odd = [{**point, "value": value, "step": i} for i, value in enumerate(["NaN", "-Infinity"])]
    dataset = {"name": "d", "digest": "e", "source_type": "s", "source": "t", "schema": "{}"}
    model = "/mlflow/logged-models/{model_id}"
    noted = '{"run_id": "", "artifact_path": "", "flavors": {}, "utc_time_created": ""}'
    of_model = f"{API}/logged-models/{model_id}"
    history = f"run_id={run_id}&metric_key=m"
    posts: list[tuple[str, object]] = [
        ("experiments/create", {"name": "other"}),
        ("experiments/update", {**experiment, "new_name": "renamed"}),
        ("experiments/set-experiment-tag", {**experiment, **pair}),
        ("experiments/search", {"max_results": 1}),
        ("runs/create", {**experiment, "run_name": "r", "tags": [pair]}),
        ("runs/update", {**run, "status": "FINISHED", "end_time": 9}),
        ("runs/log-parameter", {**run, **pair}),
        ("runs/set-tag", {**run, **pair}),
        ("runs/delete-tag", {**run, "key": "k"}),
        ("runs/log-metric", {**run, **point, "model_id": model_id}),
        ("runs/log-batch", {**run, "metrics": odd, "params": [{**pair, "key": "q"}]}),
        ("runs/log-inputs", {**run, "datasets": [{"dataset": dataset, "tags": [pair]}],
                             "models": [{"model_id": model_id}]}),
        ("runs/outputs", {**run, "models": [{"model_id": model_id, "step": 1}]}),
        ("runs/log-model", {**run, "model_json": noted}),
        ("runs/search", {"experiment_ids": [experiment_id], "max_results": 1}),
        ("logged-models", {**experiment, "model_type": "t", "params": [pair], "tags": [pair]}),
        ("logged-models/search", {"experiment_ids": [experiment_id], "max_results": 1}),
        ("experiments/search-datasets", {"experiment_ids": [experiment_id]}),
    ]  # fmt: skip
    for name, body in posts:
        yield "POST", f"/mlflow/{name}", f"{API}/{name}", body
    yield "PATCH", model, of_model, {"model_id": model_id, "status": "LOGGED_MODEL_UPLOAD_FAILED"}
    yield "PATCH", f"{model}/tags", f"{of_model}/tags", {"tags": [pair]}
    yield "POST", f"{model}/params", f"{of_model}/params", {"model_id": model_id, "params": [pair]}
    yield "GET", model, of_model, None
    yield "DELETE", f"{model}/tags/{{tag_key}}", f"{of_model}/tags/k", None
    chart = {"run_ids": [run_id], "keys": ["m"]}
    own: list[tuple[str, object]] = [
        ("/runs/table", {"filter": "metrics.m != 0", "columns": ["metrics.m", "tags.k"]}),
        ("/runs/details", {"run_ids": [run_id]}),
        ("/keys", {"run_ids": [run_id]}),
        ("/charts", {"charts": [chart]}),
        ("/points", chart),
    ]
    yield "GET", "/session", "/api/steplog/1/session", None
    for path, body in (*own, *questions(run_id)):
        yield "POST", path, f"/api/steplog/1{path}", body
    for name, query in (
        ("experiments/get", f"experiment_id={experiment_id}"),
        ("experiments/get-by-name", "experiment_name=renamed"),
        ("experiments/search", "max_results=1"),
        ("runs/get", f"run_id={run_id}"),
        ("metrics/get-history", history),
        ("metrics/get-history", f"{history}&max_results=1"),
        ("metrics/get-history-bulk-interval", f"run_ids={run_id}&metric_key=m"),
    ):
        yield "GET", f"/mlflow/{name}", f"{API}/{name}?{query}", None
    for name in ("beating", "check", "stats"):
        yield "GET", f"/store/{name}", f"/api/steplog/1/store/{name}", None
    batch = encode_batch(Feed(MemoryStore()).batch())
    yield "PUT", "/store/batches", "/api/steplog/1/store/batches", batch
    bulk = "metrics/get-history-bulk"
    yield "GET", f"/mlflow/{bulk}", f"{AJAX}/{bulk}?{history}", None
    yield "DELETE", model, of_model, None
    for name, body in (
        ("runs/delete", run),
        ("runs/restore", run),
        ("experiments/delete-experiment-tag", {**experiment, "key": "k"}),
        ("experiments/delete", experiment),
        ("experiments/restore", experiment),
    ):
        yield "POST", f"/mlflow/{name}", f"{API}/{name}", body


def questions(run_id: str) -> Iterator[tuple[str, object]]:
    """Yield what is asked of the store as a whole, but for what has a method of its own."""
    runs = {"run_ids": [run_id]}
    yield from (
        ("/store/positions", {"journal_ids": ["1" * 32]}),
        ("/store/refusals", {"run_id": run_id}),
        ("/store/experiments", {"name": "session"}),
        ("/store/runs", {**runs, "last": True}),
        ("/store/models", {"model_ids": []}),
        ("/store/datasets", {"experiment_ids": [], "limit": 9}),
        ("/store/search", {"query": json.dumps(Query("runs"))}),
        ("/store/series", {**runs, "keys": ["*"]}),
        ("/store/keys", runs),
        ("/store/pair-keys", runs),
        ("/store/children", runs),
        ("/store/points", {"series_id": 1, "first_step": 0}),
        ("/store/outline", {"series_id": 1}),
        ("/store/survey", {"series_id": 99, "outline": fingerprint(NOTHING), "needs": ""}),
        ("/store/beats", {"writer_ids": ["2" * 32]}),
        ("/store/seal", {"run_id": run_id}),
        ("/store/purge", {"run_ids": ["9" * 32]}),
    )


def test_every_answer_is_what_the_document_says(tmp_path: Path) -> None:
    """Of every endpoint: the answer to a request that is right, and to one that is not."""
    served = Served(tmp_path / "store")
    seen = set()
    for method, path, address, body in session(served):
        seen.add((method, path))
        content = DOCUMENT["paths"][path][method.lower()]["responses"]["200"]["content"]
        if "application/json" not in content:
            answer = served.answer(method, address, body)
            assert answer.status == 200, (address, answer)
            assert answer.content_type.partition(";")[0] in content, (address, answer)
            continue
        reply = served.call(method, address, body)
        assert reply.status == 200, (address, reply)
        validator(path, method, 200).validate(reply.document)
    for endpoint in ENDPOINTS:
        if endpoint.request is None and endpoint not in ARTIFACTS and "{" not in endpoint.path:
            continue  # nothing can be wrong with a request that says nothing
        path = re.sub(r":path\}", "}", endpoint.path)
        address = endpoint.prefixes[0] + re.sub(r"\{\w+\}", "x", path)
        reply = served.call(endpoint.method, address, b"[1]" if endpoint.method != "GET" else None)
        assert 400 <= reply.status <= 501, (address, reply)
        assert reply.status != 500
        validator(path, endpoint.method, reply.status).validate(reply.document)
    assert seen == {(each.method, each.path) for each in ENDPOINTS if each not in ARTIFACTS}


# Schemathesis -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real server, so that its connections are tried, too."""
    with serving(tmp_path_factory.mktemp("openapi") / "store") as started:
        yield started


SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations() if isinstance(found, Ok)]
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def aim(case: Case[Any], experiment_id: str, run_id: str) -> None:
    """Make a request speak of what there is; ids that are made up lead nowhere."""
    known: dict[str, Any] = {
        "run_id": run_id,
        "run_uuid": run_id,
        "run_ids": [run_id],
        "experiment_id": experiment_id,
        "experiment_ids": [experiment_id],
    }
    for part in (case.body, case.query):
        if isinstance(part, dict):
            part.update({name: known[name] for name in part.keys() & known.keys()})


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_schemathesis(operation: Any, server: Server) -> None:
    """Whatever is sent, there is no 500, no hang, and no answer that the document does not know."""
    made = server.post("/experiments/create", {"name": operation.label})
    run = server.post("/runs/create", made)["run"]["info"]
    base = server.url + addresses(operation.path)[0].removesuffix(operation.path)
    artifacts = operation.path in ARTIFACT_PATHS
    described = DOCUMENT["paths"][operation.path][operation.method]
    takes = "requestBody" in described or any(p["in"] == "query" for p in described["parameters"])
    modes = [GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if takes else [])]
    statuses: Counter[int] = Counter()

    @settings(
        max_examples=EXAMPLES * len(modes) if takes else 3,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=st.one_of([operation.as_strategy(generation_mode=mode) for mode in modes]),
        aimed=st.booleans(),
    )
    def send(case: Case[Any], aimed: bool) -> None:
        if aimed:
            aim(case, run["experiment_id"], run["run_id"])
        reply = case.call(base_url=base, session=connection, timeout=20)
        statuses[reply.status_code] += 1
        assert reply.status_code < 500 or (artifacts and reply.status_code == 501)
        case.validate_response(reply, checks=CHECKS)

    with requests.Session() as connection:
        send()
    assert sum(statuses.values()) >= (EXAMPLES if takes else 1)
