"""Queries in MLflow's words: what `steplog.filters` has read, written down again for a server.

MLflow's language can say less than a `steplog.query.Query`: nothing but the last value of a metric,
no infinities, and no text that holds both kinds of quotes. What it cannot say is an error that
names it. Pure: ids are translated by whoever calls.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

from steplog.exceptions import MlflowException
from steplog.query import Condition, Field, Order, Query, Value

Translate = Callable[[str, str], str]
"""Takes the name of an attribute and an id of ours; returns the server's."""

_IDS = ("run_id", "experiment_id", "model_id", "source_run_id")
_UNNAMED = frozenset("`\"'\\")
"""What no metric, param or tag there has in its name."""
_EXACT = ("=", "!=", "IN", "NOT IN")
_STAGES: dict[tuple[str, ...], str] = {
    ("active",): "ACTIVE_ONLY",
    ("deleted",): "DELETED_ONLY",
}
_MODEL_FIELDS = {
    "attribute": "",
    "metric": "metrics.",
    "param": "params.",
    "tag": "tags.",
}
_MODEL_ATTRIBUTES = {
    "creation_timestamp": "creation_timestamp_ms",
    "last_updated_timestamp": "last_updated_timestamp_ms",
}


def filter_text(query: Query, translate: Translate) -> str:
    """Return the filter of a search.

    Raises:
        MlflowException: NOT_IMPLEMENTED for what MLflow's language cannot say.

    Example:
        >>> loss = Condition(Field("metric", "val loss"), "<", 0.5)
        >>> filter_text(Query("runs", (loss,)), lambda name, text: text)
        'metrics.`val loss` < 0.5'

    """
    return " AND ".join(_condition(each, query, translate) for each in query.conditions)


def order_texts(query: Query) -> list[str]:
    """Return the order of a search for runs or experiments."""
    return [
        f"{_field(order.field, query)} {'ASC' if order.ascending else 'DESC'}"
        for order in query.order
    ]


def model_orders(query: Query) -> list[dict[str, Any]]:
    """Return the order of a search for logged models."""
    return [_model_order(order) for order in query.order]


def view_type(stages: Sequence[str]) -> str:
    """Return MLflow's name for these lifecycle stages."""
    return _STAGES.get(tuple(stages), "ALL")


def metric_keys(query: Query) -> set[str]:
    """Return the metrics that a query speaks of."""
    conditions = [each.field for each in query.conditions]
    orders = [each.field for each in query.order]
    return {field.key for field in (*conditions, *orders) if field.kind == "metric"}


def anything(key: str) -> Condition:
    """Return the condition that holds for any number as the value of a metric."""
    return Condition(Field("metric", key), ">=", -sys.float_info.max)


def unsayable(what: str) -> MlflowException:
    """Return the error for what an MLflow server cannot be asked."""
    return MlflowException(f"An MLflow server cannot be asked {what}.", "NOT_IMPLEMENTED")


def _condition(condition: Condition, query: Query, translate: Translate) -> str:
    field, comparator, value = condition
    left = f"{_field(field, query)} {comparator}"
    if value is None:
        return left
    if field.kind == "attribute" and field.key in _IDS:
        if comparator not in _EXACT:
            raise unsayable(f"for {field.key} by {comparator}: ids are not the same there")
        if isinstance(value, tuple):
            value = tuple(translate(field.key, each) for each in value)
        else:
            value = translate(field.key, str(value))
    if query.what == "models" and field == ("attribute", "status"):
        raise unsayable("for models of a status")
    if isinstance(value, tuple):
        return f"{left} ({', '.join(map(_quoted, value))})"
    return f"{left} {_value(value)}"


def _field(field: Field, query: Query) -> str:
    if field.kind == "attribute":
        if query.what == "models":
            return _MODEL_ATTRIBUTES.get(field.key, field.key)
        return f"attributes.{field.key}" if query.what == "runs" else field.key
    if field.kind == "dataset":
        return f"dataset.{field.key}"
    if not _UNNAMED.isdisjoint(field.key):
        raise unsayable(f"for a {field.kind} called {field.key!r}")
    return f"{field.kind}s.`{field.key}`"


def _value(value: Value) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise unsayable("for infinities and NaN")
    return repr(value).replace("e+", "e")  # which MLflow's tokeniser would take for two numbers


def _quoted(text: str) -> str:
    quote = next((each for each in "'\"" if each not in text), None)
    if quote is None:
        raise unsayable(f"for a text that holds both kinds of quotes: {text!r}")
    return f"{quote}{text}{quote}"


def _model_order(order: Order) -> dict[str, Any]:
    kind, key = order.field
    name = _MODEL_ATTRIBUTES.get(key, key) if kind == "attribute" else key
    given = {
        "field_name": _MODEL_FIELDS[kind] + name,
        "ascending": order.ascending,
        "dataset_name": order.dataset_name,
        "dataset_digest": order.dataset_digest,
    }
    return {name: value for name, value in given.items() if value is not None}
