"""Filters and orders of runs and of experiments.

The two read a text alike and differ in what may be asked. A filter is read as a whole before any
of its comparators is checked, so an error in reading its last condition comes first, as in MLflow.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence, Set
from typing import NamedTuple

import sqlparse
from sqlparse import tokens as kinds
from sqlparse.exceptions import SQLParseError
from sqlparse.sql import Identifier, Parenthesis, Token

from steplog.exceptions import invalid
from steplog.filters.texts import (
    braces,
    check_attribute,
    check_texts,
    evaluate,
    join_pieces,
    read_order,
    unquote,
    unwrap,
)
from steplog.query import Condition, Field, Order

_NUMERIC = frozenset({"=", "!=", "<", "<=", ">", ">="})
_TEXT = frozenset({"=", "!=", "LIKE", "ILIKE"})
_LISTED = _TEXT | {"IN", "NOT IN"}
_NULLABLE = _TEXT | {"IS NULL", "IS NOT NULL"}

_KINDS = {
    **dict.fromkeys(("metric", "metrics"), "metric"),
    **dict.fromkeys(("param", "params", "parameter", "parameters"), "param"),
    **dict.fromkeys(("tag", "tags"), "tag"),
    **dict.fromkeys(("attribute", "attributes", "attr", "run"), "attribute"),
    **dict.fromkeys(("dataset", "datasets"), "dataset"),
}
_KIND_NAMES = {
    "metric": "metric",
    "param": "parameter",
    "tag": "tag",
    "attribute": "attribute",
    "dataset": "dataset",
}
_DATASET_KEYS = ("context", "digest", "name")

# Attributes as they may be written, and their canonical names. Orders do not take `run name`.
_ORDERED_RUN_ATTRIBUTES = {
    **{name: name for name in ("run_id", "run_name", "status", "artifact_uri", "user_id")},
    **dict.fromkeys(("start_time", "created", "Created"), "start_time"),
    "end_time": "end_time",
}
_RUN_ATTRIBUTES = {
    **_ORDERED_RUN_ATTRIBUTES,
    **dict.fromkeys(("run name", "Run name", "Run Name"), "run_name"),
}
_EXPERIMENT_ATTRIBUTES = {
    name: name for name in ("name", "experiment_id", "creation_time", "last_update_time")
}
_NUMERIC_ATTRIBUTES = frozenset(
    {"start_time", "created", "Created", "end_time", "creation_time", "last_update_time"}
)


def parse_runs_filter(text: str | None) -> tuple[Condition, ...]:
    """Return the conditions of a filter of runs; none for an empty text.

    Args:
        text: such as ``metrics.loss < 0.5 AND params.model = 'cnn'``.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE with MLflow's text.

    Example:
        >>> parse_runs_filter("metrics.`val loss` <= 0.5")
        (Condition(field=Field(kind='metric', key='val loss'), comparator='<=', value=0.5),)

    """
    return tuple(_check_run_condition(condition) for condition in _read_filter(text, _RUNS))


def parse_experiments_filter(text: str | None) -> tuple[Condition, ...]:
    """Return the conditions of a filter of experiments; none for an empty text.

    Args:
        text: such as ``name LIKE 'vision-%' AND tags.team = 'a'``. Comparators are in capitals.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE with MLflow's text.

    """
    conditions = _read_filter(text, _EXPERIMENTS)
    return tuple(_check_experiment_condition(condition) for condition in conditions)


def parse_runs_order(order_by: Sequence[str] | None) -> tuple[Order, ...]:
    """Return the orders of a search for runs, none where nothing is asked.

    Args:
        order_by: such as ``["metrics.loss", "start_time DESC"]``, no field twice.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE with MLflow's text.

    Example:
        >>> parse_runs_order(["params.`learning rate` DESC"])[0].field
        Field(kind='param', key='learning rate')

    """
    orders: list[Order] = []
    for text in order_by or ():
        identifier, ascending = read_order(text)
        kind, key = _read_run_field(identifier, _ORDERED_RUN_ATTRIBUTES)
        if kind == "dataset":
            raise invalid("Invalid identifier type 'dataset'")
        field = Field(kind, _RUN_ATTRIBUTES[key] if kind == "attribute" else key)
        if any(field == order.field for order in orders):
            raise invalid(f"`order_by` contains duplicate fields: {list(order_by or ())}")
        orders.append(Order(field, ascending))
    return tuple(orders)


def parse_experiments_order(order_by: Sequence[str] | None) -> tuple[Order, ...]:
    """Return the orders of a search for experiments, none where nothing is asked.

    Where something is asked, the last order is MLflow's: the highest experiment id first.

    Args:
        order_by: such as ``["name", "creation_time DESC"]``; attributes only.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE with MLflow's text.

    """
    orders = []
    for text in order_by or ():
        identifier, ascending = read_order(text)
        field = _read_experiment_field(identifier, _EXPERIMENT_ATTRIBUTES)
        if field.kind != "attribute":
            raise invalid(f"Invalid order_by entity: {field.kind}")
        orders.append(Order(field, ascending))
    experiment_id = Field("attribute", "experiment_id")
    if orders and all(order.field != experiment_id for order in orders):
        orders.append(Order(experiment_id, ascending=False))
    return tuple(orders)


# ---- reading ----


class _Language(NamedTuple):
    # What the filters of runs and those of experiments do not share: how a name is read, which
    # attributes there are, which one takes a list, and the texts of two errors.
    read_field: Callable[[str, Collection[str]], Field]
    attributes: Mapping[str, str]
    listed: str
    stray: str
    not_nullable: str


def _read_filter(text: str | None, language: _Language) -> list[Condition]:
    # Keys and comparators stay as they are written.
    if not text:
        return []
    try:
        statements = sqlparse.parse(text)
    except (SQLParseError, TypeError) as error:
        raise invalid(f"Error on parsing filter '{text}'") from error
    if not statements:
        raise invalid(f"Invalid filter '{text}'. Could not be parsed.")
    if len(statements) > 1:
        raise invalid(
            f"Search filter contained multiple expression {text!r}. Provide AND-ed expression list."
        )
    pieces = list(join_pieces(statements[0].tokens))
    strays = [piece for piece in pieces if not isinstance(piece, list) and not _is_and(piece)]
    if strays:
        listed = ", ".join(language.stray.format(token) for token in strays)
        raise invalid(f"Invalid clause(s) in filter string: {listed}")
    return [_read_condition(piece, language) for piece in pieces if isinstance(piece, list)]


def _is_and(token: Token) -> bool:
    return token.ttype is kinds.Keyword and token.value.upper() == "AND"


def _read_condition(tokens: list[Token], language: _Language) -> Condition:
    if len(tokens) not in (2, 3):
        raise invalid(f"Invalid comparison clause. Expected 3 tokens found {len(tokens)}")
    if not isinstance(tokens[0], Identifier):
        raise invalid(f"Invalid comparison clause. Expected 'Identifier' found '{tokens[0]}'")
    field = language.read_field(tokens[0].value, language.attributes)
    if len(tokens) == 3:
        return Condition(field, tokens[1].value, _read_value(field, tokens[2], language))
    if field.kind not in ("tag", "param"):
        raise invalid(
            "IS NULL / IS NOT NULL is only supported for "
            + language.not_nullable.format(kind=_KIND_NAMES[field.kind], key=field.key)
        )
    return Condition(field, tokens[1].value, None)


def _read_run_field(identifier: str, attributes: Collection[str]) -> Field:
    word, key = _split(identifier)
    word = unwrap(word, "`")
    if word not in _KINDS:
        valid = list(_KIND_NAMES.values())
        raise invalid(f"Invalid entity type '{word}'. Valid values are {valid}")
    kind = _KINDS[word]
    if kind == "attribute":
        check_attribute(key, attributes)
    if kind == "dataset" and key not in _DATASET_KEYS:
        names = braces(_DATASET_KEYS)
        raise invalid(f"Invalid dataset key '{key}' specified. Valid keys are '{names}'")
    return Field(kind, key)


def _read_experiment_field(identifier: str, attributes: Collection[str]) -> Field:
    word, key = _split(identifier)
    valid = ("attribute", "tag", "tags")
    if word not in valid:
        raise invalid(f"Invalid entity type '{word}'. Valid entity types are {valid}")
    if word == "attribute":
        check_attribute(key, attributes)
    return Field(_KINDS[word], key)


def _split(identifier: str) -> tuple[str, str]:
    # Return the word before the first dot, and the key without its quotes.
    word, dot, key = identifier.partition(".")
    if not dot:
        word, key = "attribute", identifier
    return word, unwrap(unquote(key), "`")


def _read_value(
    field: Field, token: Token, language: _Language
) -> str | int | float | tuple[str, ...]:
    if field.kind == "metric" or (field.kind == "attribute" and field.key in _NUMERIC_ATTRIBUTES):
        return _read_number(field, token)
    if token.ttype is kinds.String.Single or isinstance(token, Identifier):
        return _read_text(token.value)
    if field.kind in ("param", "tag"):
        raise invalid(
            f"Expected a quoted string value for {_KIND_NAMES[field.kind]} (e.g. 'my-value'). "
            f"Got value {token.value}"
        )
    if not isinstance(token, Parenthesis):
        name = "attributes" if field.kind == "attribute" else "dataset attributes"
        raise invalid(f"Expected a quoted string value for {name}. Got value {token.value}")
    if field.kind == "attribute" and field.key != language.listed:
        raise invalid(
            f"Only {[language.listed]} attributes support comparison with a list of quoted "
            "string values."
        )
    return _read_list(token.value)


def _read_number(field: Field, token: Token) -> int | float:
    is_whole = token.ttype is kinds.Number.Integer
    if not is_whole and token.ttype is not kinds.Number.Float:
        name = "metric" if field.kind == "metric" else f"numeric attribute: {field.key}"
        raise invalid(f"Expected numeric value type for {name}. Found {token.value}")
    # No store holds an integer of more than 64 bits; as a float it still compares with those.
    if field.kind == "metric" or not is_whole or len(token.value) > 20:
        return float(token.value)
    number = int(token.value)
    return number if -(2**63) <= number < 2**63 else float(number)


def _read_text(quoted: str) -> str:
    text = unquote(quoted)
    if text is quoted:
        raise invalid(
            "Parameter value is either not quoted or unidentified quote types used for string "
            f"value {quoted}. Use either single or double quotes."
        )
    return text


def _read_list(text: str) -> tuple[str, ...]:
    values = evaluate(text)
    if not values:
        raise invalid(
            "While parsing a list in the query, expected a non-empty list of string values, "
            "but got empty list"
        )
    return check_texts(values)


_RUNS = _Language(
    read_field=_read_run_field,
    attributes=_RUN_ATTRIBUTES,
    listed="run_id",
    stray="'{}'",
    not_nullable="tags and params, not for '{kind}' '{key}'",
)
_EXPERIMENTS = _Language(
    read_field=_read_experiment_field,
    attributes=_EXPERIMENT_ATTRIBUTES,
    listed="experiment_id",
    stray="{}",
    not_nullable="tags, not for attribute '{key}'",
)


# ---- checking ----


def _check_run_condition(condition: Condition) -> Condition:
    # Most of MLflow's messages lack the quote that ends the set.
    (kind, key), comparator = condition.field, condition.comparator.upper()
    if kind == "metric":
        _check_comparator(comparator, _NUMERIC)
    elif kind == "param":
        _check_comparator(comparator, _NULLABLE, end="'")
    elif kind == "tag":
        _check_comparator(comparator, _NULLABLE)
    elif kind == "dataset":
        _check_comparator(comparator, _LISTED)
    else:
        _check_attribute_comparator(key, comparator)
        key = _RUN_ATTRIBUTES[key]
    return Condition(Field(kind, key), comparator, condition.value)


def _check_experiment_condition(condition: Condition) -> Condition:
    # Comparators are taken as they are written, and so must be in capitals.
    (kind, key), comparator, value = condition
    if kind == "tag":
        if comparator not in _NULLABLE:
            raise invalid(f"Invalid comparator for tag: {comparator}")
    elif key == "experiment_id":
        if comparator not in ("=", "!=", "IN", "NOT IN"):
            raise invalid(f"Invalid comparator for experiment_id: {comparator}")
        if isinstance(value, tuple):
            return condition._replace(value=tuple(map(_read_experiment_id, value)))
        return condition._replace(value=_read_experiment_id(str(value)))
    else:
        _check_attribute_comparator(key, comparator)
        if isinstance(value, float):
            raise invalid(f"Invalid value for numeric attribute '{key}': '{value}'")
    return condition


def _read_experiment_id(text: str) -> str:
    try:
        return str(int(text))
    except ValueError:
        raise invalid(
            f"Invalid experiment ID '{text}'. Experiment ID must be a valid integer."
        ) from None


def _check_attribute_comparator(key: str, comparator: str) -> None:
    # MLflow's message names the comparators of texts in either case.
    if key in _NUMERIC_ATTRIBUTES:
        _check_comparator(comparator, _NUMERIC, named=_LISTED)
    else:
        _check_comparator(comparator, _LISTED, end="'")


def _check_comparator(
    comparator: str, valid: Set[str], named: Set[str] | None = None, end: str = ""
) -> None:
    if comparator not in valid:
        names = braces(named or valid)
        raise invalid(f"Invalid comparator '{comparator}' not one of '{names}{end}")
