"""Filters and orders of logged models, for which MLflow has a language of its own.

Lists may be asked of every text, a value may stand without quotes, and orders are dicts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import sqlparse
from sqlparse.exceptions import SQLParseError
from sqlparse.sql import Token

from steplog.exceptions import invalid
from steplog.filters.texts import (
    check_attribute,
    check_texts,
    evaluate,
    join_pieces,
    unquote,
    unwrap,
)
from steplog.query import Condition, Field, Order

_KINDS = {"attributes": "attribute", "metrics": "metric", "params": "param", "tags": "tag"}
_NUMERIC_COMPARATORS = ("<", "<=", ">", ">=", "=", "!=")
_TEXT_COMPARATORS = ("=", "!=", "LIKE", "ILIKE", "IN", "NOT IN")

# Attributes as they may be written, and the canonical names: those of `entities.LoggedModel`.
_ATTRIBUTES = {
    **{name: name for name in ("model_id", "name", "experiment_id", "artifact_location")},
    **{name: name for name in ("model_type", "source_run_id", "status", "status_message")},
    **dict.fromkeys(
        ("creation_timestamp", "creation_timestamp_ms", "creation_time"), "creation_timestamp"
    ),
    **dict.fromkeys(
        ("last_updated_timestamp", "last_updated_timestamp_ms"), "last_updated_timestamp"
    ),
}
_NUMERIC_ATTRIBUTES = ("creation_timestamp", "last_updated_timestamp")

_STATUSES = {"0": "UNSPECIFIED", "1": "PENDING", "2": "READY", "3": "FAILED"}


def parse_models_filter(text: str | None) -> tuple[Condition, ...]:
    """Return the conditions of a filter of logged models; none for an empty text.

    Args:
        text: such as ``metrics.acc > 0.9 AND tags.stage IN ('a', 'b') AND status = 'READY'``.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE with MLflow's text.

    """
    if not text:
        return ()
    try:
        statements = sqlparse.parse(text)
    except (SQLParseError, TypeError) as error:
        raise invalid(f"Invalid filter string: {text!r}. {error!r}") from error
    if len(statements) != 1:
        raise invalid(f"Invalid filter string: {text!r}. Expected a single SQL expression.")
    conditions = []
    for piece in join_pieces(statements[0].tokens):
        if isinstance(piece, list):
            conditions.append(_read_condition(piece))
        elif piece.value.strip().upper() != "AND":
            raise invalid(
                f"Invalid filter string: {text!r}. Expected a list of comparisons "
                "separated by 'AND' (e.g. 'metrics.loss > 0.1 AND params.lr = 0.01')."
            )
    return tuple(_check_condition(condition) for condition in conditions)


def parse_models_order(order_by: Sequence[Mapping[str, Any]] | None) -> tuple[Order, ...]:
    """Return the orders of a search for logged models, none where nothing is asked.

    Args:
        order_by: such as ``[{"field_name": "metrics.acc", "ascending": False}]``; a metric may also
            be given a ``dataset_name`` and a ``dataset_digest``.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE with MLflow's text.

    Example:
        >>> parse_models_order([{"field_name": "creation_time", "ascending": False}])[0].field
        Field(kind='attribute', key='creation_timestamp')

    """
    return tuple(_read_order(item) for item in order_by or ())


def _read_condition(tokens: list[Token]) -> Condition:
    if len(tokens) != 3:
        text = " ".join(map(str, tokens))
        raise invalid(f"Invalid comparison: {text}. Expected a comparison with 3 tokens.")
    identifier, comparator, value = str(tokens[0]), str(tokens[1]).upper(), str(tokens[2])
    field, name = _read_field(identifier)
    is_numeric = field.kind == "metric" or (
        field.kind == "attribute" and field.key in _NUMERIC_ATTRIBUTES
    )
    valid = _NUMERIC_COMPARATORS if is_numeric else _TEXT_COMPARATORS
    if comparator not in valid:
        raise invalid(
            f"Invalid comparison operator for {name}: {comparator!r}. Expected one of {valid}."
        )
    if is_numeric:
        return Condition(field, comparator, _read_number(value))
    if value.startswith("(") and value.endswith(")"):
        return Condition(field, comparator, evaluate(value))
    return Condition(field, comparator, _read_text(value))


def _read_field(identifier: str) -> tuple[Field, str]:
    # Return the field, and how messages call it.
    match = re.match(r"([a-z]+)\.(.+)$", identifier)
    word, key = match.groups() if match else ("attributes", identifier)
    if word not in _KINDS:
        raise invalid(f"Invalid entity type: {word!r}. Expected one of {list(_KINDS)}.")
    key = key.strip("`")
    name = f"{word}.{key}"
    key = _ATTRIBUTES.get(key, key) if word == "attributes" else unquote(key)
    return Field(_KINDS[word], key), name


def _read_number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise invalid(str(error)) from None


def _read_text(value: str) -> str:
    return value.strip("'") if value.startswith("'") else unwrap(value, '"')


def _check_condition(condition: Condition) -> Condition:
    (kind, key), comparator, value = condition
    if kind == "attribute":
        check_attribute(key, _ATTRIBUTES)
    if isinstance(value, tuple):
        if comparator not in ("IN", "NOT IN"):
            raise invalid(f"Expected a quoted string value for {kind} {key!r}. Got list {value}")
        # What can be listed are texts, so a number in a list is compared as one.
        numbers = (int, float)
        value = check_texts(tuple(str(v) if isinstance(v, numbers) else v for v in value))
    if (kind, key) == ("attribute", "status"):
        value = tuple(map(_status, value)) if isinstance(value, tuple) else _status(str(value))
    return Condition(condition.field, comparator, value)


def _status(text: str) -> str:
    # MLflow compares with the number of a status; here its name means it as well.
    return _STATUSES.get(text, text)


def _read_order(item: Mapping[str, Any]) -> Order:
    if not isinstance(item, Mapping):
        raise invalid("`order_by` must be a list of dictionaries.")
    name = item.get("field_name")
    if name is None:
        raise invalid("`field_name` in the `order_by` clause must be specified.")
    ascending = item.get("ascending", True)
    if ascending not in (True, False):
        raise invalid(
            "Value of `ascending` in the `order_by` clause must be a boolean, got "
            f"{type(ascending)} for field {name}."
        )
    word, dot, key = str(name).partition(".")
    if not dot:
        if name not in _ATTRIBUTES:
            raise invalid(f"Invalid order by field name: {name}")
        return Order(Field("attribute", _ATTRIBUTES[name]), bool(ascending))
    if word != "metrics":
        raise invalid(f"Invalid order by field name: {name}. Only metrics are supported.")
    return Order(
        Field("metric", key),
        bool(ascending),
        item.get("dataset_name") or None,
        item.get("dataset_digest") or None,
    )
