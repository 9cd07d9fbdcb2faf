"""The OpenAPI document: what the server answers, made from the tables by which it answers.

Each path is written once, below the prefixes it is served under (`servers`), and each message once.
What the document does not say, because no client should rely on it: an integer is also taken as a
string, an enumeration as its number, and a field that a message does not have is ignored.

Example:
    >>> from steplog.server.endpoints import ENDPOINTS
    >>> document(ENDPOINTS, "3.17.2")["paths"]["/mlflow/runs/get"]["get"]["summary"]
    'Return a run with the latest point of each metric; deleted ones, too.'

"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

import msgspec

from steplog.server.endpoint import Endpoint
from steplog.server.endpoints import EVERYWHERE, no_artifacts
from steplog.server.messages import Error, Message

Json = dict[str, Any]

_SCHEMAS = "#/components/schemas/{name}"
_TEXT_TYPES = ("text/plain", "text/html", "application/json")
_NAMES = re.compile(re.escape(_SCHEMAS).replace(re.escape("{name}"), r"(\w+)"))
_PARAMETER = re.compile(r"\{(\w+)(?::path)?\}")
_SIGNED: list[Json] = [{"token": []}, {"password": []}]


def document(endpoints: Iterable[Endpoint], mlflow_version: str) -> Json:
    """Return the OpenAPI 3.1 document of these endpoints.

    Args:
        endpoints: all that the server answers.
        mlflow_version: the version of MLflow whose API this is.

    """
    endpoints = [*endpoints]
    schemas = _schemas(endpoints)
    paths: dict[str, Json] = {}
    for endpoint in endpoints:
        item = paths.setdefault(_PARAMETER.sub(r"{\1}", endpoint.path), {})
        item[endpoint.method.lower()] = _operation(endpoint, schemas)
        if endpoint.prefixes != EVERYWHERE:
            item["servers"] = _servers(endpoint.prefixes)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "steplog",
            "version": version("steplog"),
            "description": f"The tracking part of the REST API of MLflow {mlflow_version}.",
        },
        "servers": _servers(EVERYWHERE),
        "paths": paths,
        "components": {
            "schemas": {name: schemas[name] for name in _referenced(paths, schemas)},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "password": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "Any user name; the password is a token.",
                },
            },
        },
    }


def _referenced(paths: Json, schemas: Json) -> list[str]:
    """Return the names of the schemas that bodies have, directly or within others: what only GETs
    ask by stands in their parameters.
    """
    found: set[str] = set()
    waiting = {*_NAMES.findall(str(paths))}
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= {*_NAMES.findall(str(schemas[name]))} - found
    return sorted(found)


def _servers(prefixes: Sequence[str]) -> list[Json]:
    return [{"url": prefix or "/"} for prefix in prefixes]


def _schemas(endpoints: Iterable[Endpoint]) -> dict[str, Json]:
    shapes = {kind for each in endpoints for kind in (each.request, each.answer)}
    kinds = {kind for kind in shapes if kind is not None and not isinstance(kind, str)}
    in_order = sorted({*kinds, Error}, key=lambda kind: str(getattr(kind, "__name__", kind)))
    _, schemas = msgspec.json.schema_components(in_order, ref_template=_SCHEMAS)
    for schema in schemas.values():
        schema["properties"] = {name: _field(field) for name, field in schema["properties"].items()}
    return schemas


def _field(schema: Json) -> Json:
    """Return the schema of a field as it is sent: it is left out rather than null."""
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind != {"type": "null"}]
    if len(kinds) > 1:
        return {**schema, "anyOf": kinds}
    field: Json = kinds[0]
    field.pop("default", None)
    return field


def _operation(endpoint: Endpoint, schemas: dict[str, Json]) -> Json:
    handle = getattr(endpoint.handle, "func", endpoint.handle)
    operation: Json = {
        "operationId": "_".join(re.findall(r"\w+", f"{endpoint.method.lower()} {endpoint.path}")),
        "summary": (inspect.getdoc(handle) or "").partition("\n\n")[0],
        "tags": [handle.__module__.rpartition(".")[2]],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in _PARAMETER.findall(endpoint.path)
        ],
        "responses": _responses(endpoint),
        # A server whose store has no tokens asks for none.
        "security": [] if endpoint.role == "open" else [{}, *_SIGNED],
    }
    if endpoint.request is None:
        return operation
    if endpoint.method == "GET":
        operation["parameters"] += _query_parameters(schemas[_name(endpoint.request)])
    else:
        operation["requestBody"] = {"required": True, "content": _content(endpoint.request)}
    return operation


def _query_parameters(schema: Json) -> list[Json]:
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "schema": field,
        }
        for name, field in schema["properties"].items()
    ]


def _responses(endpoint: Endpoint) -> Json:
    error: Json = {"application/json": {"schema": _reference(_name(Error))}}
    if endpoint.page:
        error["text/html"] = {}  # who has no token is asked for one
    if endpoint.handle is no_artifacts:
        return {"default": {"description": "Always: NOT_IMPLEMENTED.", "content": error}}
    if endpoint.answer is None:
        content: Json = {kind: {} for kind in _TEXT_TYPES}
    else:
        content = _content(endpoint.answer)
    return {
        "200": {"description": "Done.", "content": content},
        "default": {"description": "Not done; the message says why.", "content": error},
    }


def _content(shape: object) -> Json:
    """Return what a body is: a message, or something of a type that a text names."""
    if isinstance(shape, str):
        return {shape.partition(";")[0]: {}}
    return {"application/json": {"schema": _reference(_name(shape))}}


def _reference(kind: str) -> Json:
    return {"$ref": _SCHEMAS.format(name=kind)}


def _name(kind: object) -> str:
    assert isinstance(kind, type) and issubclass(kind, Message), f"{kind!r} is not a message"
    return kind.__name__
