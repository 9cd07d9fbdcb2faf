"""The language of searches: the text of filters and orders, as MLflow's users write it.

`parse_…_filter` and `parse_…_order` make of it what `steplog.query` says the meaning of, for runs,
for experiments and for logged models. Pure: nothing here knows a store.

The language is that of MLflow 3.17's SQL store, with its error codes and texts. MLflow's own
tokeniser, `sqlparse`, reads the text, so that what one accepts the other accepts, oddities
included. Where MLflow answers a mistake of the user with a Python error or INTERNAL_ERROR, it is
INVALID_PARAMETER_VALUE here; sets of names in messages are sorted. `tests/test_filters.py` lists
the few other differences, each with its reason, and runs both parsers over thousands of texts.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import sqlparse
from sqlparse import tokens as kinds
from sqlparse.exceptions import SQLParseError
from sqlparse.sql import Comparison, Identifier, Parenthesis, Token

from steplog.exceptions import invalid
from steplog.query import Condition, Field, Order

# ---- what may be asked ----

_NUMERIC = frozenset({"=", "!=", "<", "<=", ">", ">="})
_TEXTUAL = frozenset({"=", "!=", "LIKE", "ILIKE"})
_LISTED = _TEXTUAL | {"IN", "NOT IN"}
_NULLABLE = _TEXTUAL | {"IS NULL", "IS NOT NULL"}

_KINDS = {
    **dict.fromkeys(("metric", "metrics"), "metric"),
    **dict.fromkeys(("param", "params", "parameter", "parameters"), "param"),
    **dict.fromkeys(("tag", "tags"), "tag"),
    **dict.fromkeys(("attribute", "attributes", "attr", "run"), "attribute"),
    **dict.fromkeys(("dataset", "datasets"), "dataset"),
}
_KIND_NAMES = {"metric": "metric", "param": "parameter"} | {
    kind: kind for kind in ("tag", "attribute", "dataset")
}
_DATASET_KEYS = ("context", "digest", "name")

# Attributes as they may be written, and their canonical names.
_ORDERED_RUN_ATTRIBUTES = {
    name: name
    for name in (
        *("run_id", "run_name", "status", "start_time", "end_time", "artifact_uri", "user_id"),
    )
} | dict.fromkeys(("created", "Created"), "start_time")
_RUN_ATTRIBUTES = _ORDERED_RUN_ATTRIBUTES | dict.fromkeys(
    ("run name", "Run name", "Run Name"), "run_name"
)
_EXPERIMENT_ATTRIBUTES = {
    name: name for name in ("name", "experiment_id", "creation_time", "last_update_time")
}
_MODEL_ATTRIBUTES = {
    name: name
    for name in (
        *("model_id", "name", "experiment_id", "artifact_location", "model_type"),
        *("source_run_id", "status", "status_message"),
        *("creation_timestamp", "last_updated_timestamp"),
    )
} | {
    "creation_time": "creation_timestamp",
    "creation_timestamp_ms": "creation_timestamp",
    "last_updated_timestamp_ms": "last_updated_timestamp",
}
_NUMERIC_ATTRIBUTES = frozenset(
    {
        *("start_time", "end_time", "created", "Created"),
        *("creation_time", "last_update_time"),
        *("creation_timestamp", "last_updated_timestamp"),
    }
)


class _Language(NamedTuple):
    # What the filters of runs and those of experiments do not share: how a name is read, which
    # attributes there are, which one takes a list, and the texts of two errors.
    field: Callable[[str, Collection[str]], Field]
    attributes: Mapping[str, str]
    listed: str
    stray: str
    not_nullable: str


# ---- filters ----


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
    for piece in _join_pieces(statements[0].tokens):
        if isinstance(piece, list):
            conditions.append(_read_model_condition(piece))
        elif piece.value.strip().upper() != "AND":
            raise invalid(
                f"Invalid filter string: {text!r}. Expected a list of comparisons "
                "separated by 'AND' (e.g. 'metrics.loss > 0.1 AND params.lr = 0.01')."
            )
    return tuple(_check_model_attribute(condition) for condition in conditions)


def _read_filter(text: str | None, language: _Language) -> list[Condition]:
    # All conditions with keys and comparators as written: an error in reading the last one comes
    # before an error in what the first one asks.
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
    pieces = list(_join_pieces(statements[0].tokens))
    strays = [piece for piece in pieces if not isinstance(piece, list) and not _is_and(piece)]
    if strays:
        listed = ", ".join(language.stray.format(token) for token in strays)
        raise invalid(f"Invalid clause(s) in filter string: {listed}")
    return [_read_condition(piece, language) for piece in pieces if isinstance(piece, list)]


def _is_and(token: Token) -> bool:
    return token.ttype is kinds.Keyword and token.normalized == "AND"


def _join_pieces(tokens: Iterable[Token]) -> Iterator[Token | list[Token]]:
    # A comparison becomes the list of its tokens: the identifier, the comparator and the value. So
    # does what sqlparse leaves apart: `x IN (…)`, and `x IS NULL`, which has no value. The rest,
    # ANDs and what does not belong, stays as it is. Of what begins like a comparison and is none,
    # MLflow passes over four tokens at once, which shows where it lists what does not belong.
    rest = [token for token in tokens if not token.is_whitespace]
    while rest:
        head, size = rest[0], 1
        if isinstance(head, Comparison):
            yield [token for token in head.tokens if not token.is_whitespace]
        elif not isinstance(head, Identifier) or len(rest) < 3:
            yield head
        else:
            size = 4
            match [_word(token) for token in rest[1:4]]:
                case ["IN", "(", *_]:
                    yield rest[:3]
                    size = 3
                case ["IS", "NULL" | "NOT NULL" as null, *_]:
                    yield [head, _keyword(f"IS {null}")]
                    size = 3
                case ["NOT", "IN", "("]:
                    yield [head, _keyword("NOT IN"), rest[3]]
                case _:
                    yield from map(_as_piece, rest[:4])
        del rest[:size]


def _keyword(text: str) -> Token:
    return Token(kinds.Keyword, text)  # type: ignore[no-untyped-call]  # sqlparse's is half typed


def _as_piece(token: Token) -> Token | list[Token]:
    if isinstance(token, Comparison):
        return [inner for inner in token.tokens if not inner.is_whitespace]
    return token


def _word(token: Token) -> str:
    if isinstance(token, Parenthesis):
        return "("
    return token.value.upper() if token.ttype is kinds.Keyword else ""


def _read_condition(tokens: list[Token], language: _Language) -> Condition:
    is_null = len(tokens) == 2
    if not is_null and len(tokens) != 3:
        raise invalid(f"Invalid comparison clause. Expected 3 tokens found {len(tokens)}")
    if not isinstance(tokens[0], Identifier):
        raise invalid(f"Invalid comparison clause. Expected 'Identifier' found '{tokens[0]}'")
    field = language.field(tokens[0].value, language.attributes)
    if not is_null:
        return Condition(field, tokens[1].value, _read_value(field, tokens[2], language))
    if field.kind not in ("tag", "param"):
        raise invalid(
            "IS NULL / IS NOT NULL is only supported for "
            + language.not_nullable.format(kind=_KIND_NAMES[field.kind], key=field.key)
        )
    return Condition(field, tokens[1].value, None)


def _read_run_field(identifier: str, attributes: Collection[str]) -> Field:
    word, dot, key = identifier.partition(".")
    if not dot:
        word, key = "attribute", identifier
    word = _unwrap(word, "`")
    if word not in _KINDS:
        names = list(_KIND_NAMES.values())
        raise invalid(f"Invalid entity type '{word}'. Valid values are {names}")
    kind, key = _KINDS[word], _read_key(key)
    if kind == "attribute":
        _check_attribute(key, attributes)
    if kind == "dataset" and key not in _DATASET_KEYS:
        valid = _braces(_DATASET_KEYS)
        raise invalid(f"Invalid dataset key '{key}' specified. Valid keys are '{valid}'")
    return Field(kind, key)


def _read_experiment_field(identifier: str, attributes: Collection[str]) -> Field:
    word, dot, key = identifier.partition(".")
    if not dot:
        word, key = "attribute", identifier
    valid = ("attribute", "tag", "tags")
    if word not in valid:
        raise invalid(f"Invalid entity type '{word}'. Valid entity types are {valid}")
    key = _read_key(key)
    if word == "attribute":
        _check_attribute(key, attributes)
    return Field(_KINDS[word], key)


def _check_attribute(key: str, attributes: Collection[str]) -> None:
    if key not in attributes:
        valid = _braces(attributes)
        raise invalid(f"Invalid attribute key '{key}' specified. Valid keys are '{valid}'")


def _read_key(text: str) -> str:
    return _unwrap(_unquote(text), "`")


def _unquote(text: str) -> str:
    bare = _unwrap(text, "'")
    return bare if bare is not text else _unwrap(text, '"')


def _unwrap(text: str, quote: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == quote else text


def _read_value(
    field: Field, token: Token, language: _Language
) -> str | int | float | tuple[str, ...]:
    is_number = token.ttype in (kinds.Number.Integer, kinds.Number.Float)
    if field.kind == "metric":
        if not is_number:
            raise invalid(f"Expected numeric value type for metric. Found {token.value}")
        return float(token.value)
    if field.kind == "attribute" and field.key in _NUMERIC_ATTRIBUTES:
        if not is_number:
            raise invalid(
                f"Expected numeric value type for numeric attribute: {field.key}. "
                f"Found {token.value}"
            )
        return float(token.value) if token.ttype is kinds.Number.Float else _whole(token.value)
    if token.ttype is kinds.String.Single or isinstance(token, Identifier):
        return _read_text(token.value)
    if field.kind in ("param", "tag"):
        raise invalid(
            f"Expected a quoted string value for {_KIND_NAMES[field.kind]} (e.g. 'my-value'). "
            f"Got value {token.value}"
        )
    if isinstance(token, Parenthesis):
        if field.kind == "attribute" and field.key != language.listed:
            raise invalid(
                f"Only {[language.listed]} attributes support comparison with a list of quoted "
                "string values."
            )
        return _read_list(token.value)
    name = "attributes" if field.kind == "attribute" else "dataset attributes"
    raise invalid(f"Expected a quoted string value for {name}. Got value {token.value}")


def _whole(digits: str) -> int | float:
    # No store holds an integer of more than 64 bits; as a float it still compares with those.
    if len(digits) <= 20 and -(2**63) <= int(digits) < 2**63:
        return int(digits)
    return float(digits)


def _read_text(quoted: str) -> str:
    text = _unquote(quoted)
    if text is quoted:
        raise invalid(
            "Parameter value is either not quoted or unidentified quote types used for string "
            f"value {quoted}. Use either single or double quotes."
        )
    return text


def _read_list(text: str) -> tuple[str, ...]:
    values = _evaluate(text)
    if not values:
        raise invalid(
            "While parsing a list in the query, expected a non-empty list of string values, "
            "but got empty list"
        )
    if not all(isinstance(value, str) for value in values):
        raise invalid(
            "While parsing a list in the query, expected string value, punctuation, or "
            f"whitespace, but got different type in list: {values}"
        )
    return values


def _evaluate(text: str) -> tuple[Any, ...]:
    # A list is written as Python writes it, escapes included: MLflow reads it with literal_eval.
    try:
        values = ast.literal_eval(text)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise invalid(
            "While parsing a list in the query, expected a non-empty list of string values, "
            "but got ill-formed list."
        ) from error
    return values if isinstance(values, tuple) else (values,)


_RUNS = _Language(
    field=_read_run_field,
    attributes=_RUN_ATTRIBUTES,
    listed="run_id",
    stray="'{}'",
    not_nullable="tags and params, not for '{kind}' '{key}'",
)
_EXPERIMENTS = _Language(
    field=_read_experiment_field,
    attributes=_EXPERIMENT_ATTRIBUTES,
    listed="experiment_id",
    stray="{}",
    not_nullable="tags, not for attribute '{key}'",
)


def _check_run_condition(condition: Condition) -> Condition:
    (kind, key), comparator = condition.field, condition.comparator.upper()
    # The quote that closes the set is missing from most of MLflow's messages; the set of the text
    # attributes is what it lists for the numeric ones too.
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
    # Comparators stay as written, and so must be in capitals.
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
    if key in _NUMERIC_ATTRIBUTES:
        _check_comparator(comparator, _NUMERIC, named=_LISTED)
    else:
        _check_comparator(comparator, _LISTED, end="'")


def _check_comparator(
    comparator: str, valid: frozenset[str], named: frozenset[str] | None = None, end: str = ""
) -> None:
    if comparator not in valid:
        names = _braces(named or valid)
        raise invalid(f"Invalid comparator '{comparator}' not one of '{names}{end}")


def _braces(names: Iterable[str]) -> str:
    return "{" + ", ".join(map(repr, sorted(names))) + "}"


# ---- filters of logged models, which MLflow reads in another way ----

_MODEL_KINDS = {"attributes": "attribute", "metrics": "metric", "params": "param", "tags": "tag"}
_MODEL_NUMERIC = ("<", "<=", ">", ">=", "=", "!=")
_MODEL_TEXTUAL = ("=", "!=", "LIKE", "ILIKE", "IN", "NOT IN")
_STATUS_NAMES = {"0": "UNSPECIFIED", "1": "PENDING", "2": "READY", "3": "FAILED"}


def _read_model_condition(tokens: list[Token]) -> Condition:
    if len(tokens) != 3:
        text = " ".join(map(str, tokens))
        raise invalid(f"Invalid comparison: {text}. Expected a comparison with 3 tokens.")
    identifier, comparator, value = str(tokens[0]), str(tokens[1]).upper(), str(tokens[2])
    field, name = _read_model_field(identifier)
    is_numeric = field.kind == "metric" or (
        field.kind == "attribute" and field.key in _NUMERIC_ATTRIBUTES
    )
    valid = _MODEL_NUMERIC if is_numeric else _MODEL_TEXTUAL
    if comparator not in valid:
        raise invalid(
            f"Invalid comparison operator for {name}: {comparator!r}. Expected one of {valid}."
        )
    if is_numeric:
        return Condition(field, comparator, _read_float(value))
    if value.startswith("(") and value.endswith(")"):
        if comparator not in ("IN", "NOT IN"):
            raise invalid(f"Expected a quoted string value for {name}. Got value {value}")
        return Condition(field, comparator, _read_model_list(value))
    text = value.strip("'") if value.startswith("'") else _unwrap(value, '"')
    return Condition(field, comparator, text)


def _read_model_field(identifier: str) -> tuple[Field, str]:
    match = re.match(r"([a-z]+)\.(.+)", identifier, re.DOTALL)
    word, key = match.groups() if match else ("attributes", identifier)
    if word not in _MODEL_KINDS:
        raise invalid(f"Invalid entity type: {word!r}. Expected one of {list(_MODEL_KINDS)}.")
    key = _unquote(key.strip("`"))
    if word == "attributes":
        key = _MODEL_ATTRIBUTES.get(key, key)
    return Field(_MODEL_KINDS[word], key), f"{word}.{key}"


def _read_float(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise invalid(str(error)) from None


def _read_model_list(text: str) -> tuple[str, ...]:
    # MLflow lets the database compare numbers in a list with its texts; SQLite makes texts of them.
    values = _evaluate(text)
    return tuple(str(value) if isinstance(value, (int, float)) else value for value in values)


def _check_model_attribute(condition: Condition) -> Condition:
    (kind, key), value = condition.field, condition.value
    if kind != "attribute":
        return condition
    _check_attribute(key, _MODEL_ATTRIBUTES)
    if key != "status":
        return condition
    if isinstance(value, tuple):
        return condition._replace(value=tuple(_STATUS_NAMES.get(each, each) for each in value))
    return condition._replace(value=_STATUS_NAMES.get(str(value), str(value)))


# ---- orders ----


def parse_runs_order(order_by: Sequence[str] | None) -> tuple[Order, ...]:
    """Return the orders of a search for runs, without the tie-break.

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
        identifier, ascending = _read_order(text)
        kind, key = _read_run_field(identifier, _ORDERED_RUN_ATTRIBUTES)
        if kind == "dataset":
            raise invalid("Invalid identifier type 'dataset'")
        field = Field(kind, _RUN_ATTRIBUTES[key] if kind == "attribute" else key)
        if any(field == order.field for order in orders):
            raise invalid(f"`order_by` contains duplicate fields: {list(order_by or ())}")
        orders.append(Order(field, ascending))
    return tuple(orders)


def parse_experiments_order(order_by: Sequence[str] | None) -> tuple[Order, ...]:
    """Return the orders of a search for experiments; none where nothing is asked.

    Where something is, MLflow ends with the highest experiment id first, and so does this.

    Args:
        order_by: such as ``["name", "creation_time DESC"]``; attributes only.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE with MLflow's text.

    """
    orders = []
    for text in order_by or ():
        identifier, ascending = _read_order(text)
        field = _read_experiment_field(identifier, _EXPERIMENT_ATTRIBUTES)
        if field.kind != "attribute":
            raise invalid(f"Invalid order_by entity: {field.kind}")
        orders.append(Order(field, ascending))
    experiment_id = Field("attribute", "experiment_id")
    if orders and all(order.field != experiment_id for order in orders):
        orders.append(Order(experiment_id, ascending=False))
    return tuple(orders)


def parse_models_order(order_by: Sequence[Mapping[str, Any]] | None) -> tuple[Order, ...]:
    """Return the orders of a search for logged models, without the tie-break.

    Args:
        order_by: such as ``[{"field_name": "metrics.acc", "ascending": False}]``; a metric may also
            be given a ``dataset_name`` and a ``dataset_digest``.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE with MLflow's text.

    """
    return tuple(_read_model_order(item) for item in order_by or ())


def _read_order(text: str) -> tuple[str, bool]:
    # Return the identifier, and whether the order ascends.
    unreadable = invalid(f"Invalid order_by clause '{text}'. Could not be parsed.")
    try:
        statements = sqlparse.parse(text)
    except (SQLParseError, TypeError) as error:
        raise invalid(f"Error on parsing order_by clause '{text}'") from error
    if len(statements) != 1:
        raise unreadable
    tokens = statements[0].tokens
    if not (len(tokens) == 1 and isinstance(tokens[0], Identifier)):
        raise unreadable
    identifier = tokens[0].value
    try:
        words = shlex.split(identifier.replace("`", '"'))
    except ValueError:  # a quote that is not closed
        raise unreadable from None
    if len(words) > 2:
        raise unreadable
    if len(words) < 2:
        return identifier.strip(), True
    if words[1].lower() not in ("asc", "desc"):
        raise invalid(f"Invalid ordering key in order_by clause '{text}'.")
    return words[0].strip(), words[1].lower() == "asc"


def _read_model_order(item: Mapping[str, Any]) -> Order:
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
    word, dot, key = name.partition(".")
    if not dot:
        if name not in _MODEL_ATTRIBUTES:
            raise invalid(f"Invalid order by field name: {name}")
        return Order(Field("attribute", _MODEL_ATTRIBUTES[name]), bool(ascending))
    if word != "metrics":
        raise invalid(f"Invalid order by field name: {name}. Only metrics are supported.")
    return Order(
        Field("metric", key),
        bool(ascending),
        item.get("dataset_name") or None,
        item.get("dataset_digest") or None,
    )
