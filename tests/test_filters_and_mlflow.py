"""The language of searches is MLflow's: its parser and its SQL store agree with ours."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest
from filter_texts import FILTERS, ORDERS
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException as TheirException
from mlflow.utils.search_utils import SearchExperimentsUtils, SearchUtils
from sqlalchemy.orm import Session
from sqlalchemy.sql.operators import asc_op

from steplog import MlflowException
from steplog.filters import (
    parse_experiments_filter,
    parse_experiments_order,
    parse_models_filter,
    parse_runs_filter,
    parse_runs_order,
)
from steplog.query import Field

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of SQLAlchemy, at what MLflow does
    from mlflow.store.tracking import sqlalchemy_store
    from mlflow.store.tracking.dbmodels.models import SqlLoggedModel
    from mlflow.utils.search_logged_model_utils import parse_filter_string

SESSION = Session()  # of no database: MLflow builds its statements, and runs none
Meaning = Sequence[tuple[object, ...]]


def their_runs_filter(text: str) -> Meaning:
    parsed = SearchUtils.parse_search_filter(text)
    sqlalchemy_store._get_sqlalchemy_filter_clauses(parsed, SESSION, "sqlite")
    return [
        (
            their_run_field(condition["type"], condition["key"]),
            condition["comparator"].upper(),
            float(condition["value"]) if condition["type"] == "metric" else condition["value"],
        )
        for condition in parsed
    ]


def their_run_field(kind: str, key: str) -> Field:
    if kind == "attribute":
        key = SearchUtils.translate_key_alias(key)
    return Field("param" if kind == "parameter" else kind, key)


def their_experiments_filter(text: str) -> Meaning:
    parsed = SearchExperimentsUtils.parse_search_filter(text)
    sqlalchemy_store._get_search_experiments_filter_clauses(parsed, "sqlite")
    meaning = []
    for condition in parsed:
        field, value = Field(condition["type"], condition["key"]), condition["value"]
        if field == ("attribute", "experiment_id"):  # which the clauses take for numbers
            ids = value if isinstance(value, tuple) else (value,)
            numbers = tuple(str(int(each)) for each in ids)
            value = numbers if isinstance(value, tuple) else numbers[0]
        meaning.append((field, condition["comparator"], value))
    return meaning


def their_models_filter(text: str) -> Meaning:
    meaning = []
    for condition in parse_filter_string(text):
        kind, key = condition.entity.type.value.removesuffix("s"), condition.entity.key
        if kind == "attribute" and key not in SqlLoggedModel.__table__.columns:
            raise AttributeError(key)  # or another error: the store does not look before it leaps
        meaning.append(as_ours(Field(kind, key), condition.op, condition.value))
    return meaning


def as_ours(field: Field, comparator: str, value: Any) -> tuple[object, ...]:
    """Return a condition on models as it is meant here; see `DIFFERENCES`."""
    key = field.key
    if field.kind == "attribute":
        key = key.removesuffix("_ms")
    elif key[0] == key[-1] and key[0] in "'\"" and len(key) > 1:
        key = key[1:-1]
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if comparator in ("IN", "NOT IN") and isinstance(value, (int, float)):
        value = (value,)
    if isinstance(value, tuple):
        value = tuple(str(each) if isinstance(each, (int, float)) else each for each in value)
    if field == ("attribute", "status"):
        names = {"0": "UNSPECIFIED", "1": "PENDING", "2": "READY", "3": "FAILED"}
        named = [names.get(each, each) for each in ([value] if isinstance(value, str) else value)]
        value = named[0] if isinstance(value, str) else tuple(named)
    return Field(field.kind, key), comparator, value


def their_runs_order(order_by: list[str]) -> Meaning:
    sqlalchemy_store._get_orderby_clauses(order_by, SESSION)
    parsed = map(SearchUtils.parse_order_by_for_search_runs, order_by)
    return [(their_run_field(kind, key), ascending, None, None) for kind, key, ascending in parsed]


def their_experiments_order(order_by: list[str]) -> Meaning:
    clauses = sqlalchemy_store._get_search_experiments_order_by_clauses(order_by)
    return [
        (Field("attribute", clause.element.key), clause.modifier is asc_op, None, None)
        for clause in clauses
    ]


class Language(NamedTuple):
    ours: Callable[[Any], Sequence[tuple[object, ...]]]
    theirs: Callable[[Any], Meaning]
    texts: st.SearchStrategy[Any]


DIFFERENCES = """
What a filter or an order means here and in MLflow, where the two differ.

all: What MLflow answers with a Python error, INTERNAL_ERROR or the database's BAD_REQUEST is
    INVALID_PARAMETER_VALUE: an attribute of models that does not exist, a list that Python cannot
    read, a quote that an order does not close, a field that is ordered by twice, a comparison of
    an attribute of models with a list by `=` or LIKE, None in a list. A user made a mistake.
runs: An integer beyond 64 bits is compared, not refused. MLflow's error is SQLite's.
models: `attributes.creation_time` means what `creation_time` does. MLflow fails with it.
models: `lifecycle_stage` is no attribute. It is "active" of all models that are found.
models: Double quotes enclose a value or a key. In MLflow they are a part of it, so that nothing is
    ever found, and for runs they do enclose it.
models: `model_type NOT IN ()` holds of no model that has no type, as nothing else does. In SQL it
    does hold.
models: Numbers in a list are texts. In MLflow it depends on the database, and one alone fails.
models: A status has a name, 'READY', and MLflow's number for it means the same. In MLflow it has
    the number only, so that nothing is ever READY.
models: The message of an unknown comparator names the attribute, not MLflow's column, and that of
    `name IS NULL` has its spaces.
"""


def outcome(parse: Callable[[Any], Meaning], text: object) -> object:
    """Return what a text means, or why it is refused: the message, or that there is a bug."""
    try:
        return [tuple(each) for each in parse(text)]
    except (MlflowException, TheirException) as error:
        return comparable(error.message)
    except Exception as error:
        return error  # a Python error of MLflow's: it says nothing to a user


def comparable(message: str) -> str:
    """Return a message with its sets sorted, and without what `DIFFERENCES` says of messages."""
    message = re.sub("_timestamp(_ms)?", "_time", message)
    if message.startswith("Invalid comparison: "):
        return re.sub(r"\s", "", message)
    return re.sub(r"\{('[^{}]*')\}", lambda match: ", ".join(sorted(match[1].split(", "))), message)


def agree(theirs: object, ours: object, text: object) -> bool:
    """Say whether two outcomes are the same but for what `DIFFERENCES` lists."""
    if repr(theirs) == repr(ours):  # types too, and NaN
        return True
    if isinstance(theirs, AttributeError):
        return isinstance(ours, str) or bool(
            re.search(r"attributes\s*\.\s*`*(creation|last)", str(text))
        )
    if isinstance(theirs, Exception):
        return isinstance(ours, str)
    if isinstance(ours, str) and isinstance(theirs, list):
        return ours.startswith(("Expected a quoted string value for", "While parsing a list")) or (
            "'lifecycle_stage'" in ours
        )
    return False


LANGUAGES = {
    "runs filter": Language(parse_runs_filter, their_runs_filter, FILTERS["runs"]),
    "runs order": Language(parse_runs_order, their_runs_order, ORDERS["runs"]),
    "experiments filter": Language(
        parse_experiments_filter, their_experiments_filter, FILTERS["experiments"]
    ),
    "experiments order": Language(
        parse_experiments_order, their_experiments_order, ORDERS["experiments"]
    ),
    "models filter": Language(parse_models_filter, their_models_filter, FILTERS["models"]),
}


@pytest.mark.parametrize("name", LANGUAGES)
def test_mlflow_reads_the_same(name: str) -> None:
    """Any text is accepted, refused with a message, and understood, as MLflow does it."""
    language = LANGUAGES[name]
    accepted = 0

    @settings(max_examples=500, derandomize=True, database=None, deadline=None)
    @given(language.texts)
    def compare(text: object) -> None:
        nonlocal accepted
        ours, theirs = outcome(language.ours, text), outcome(language.theirs, text)
        assert agree(theirs, ours, text), (theirs, ours)
        accepted += isinstance(ours, list)

    compare()
    assert accepted > 60  # or the texts are too wild to say anything
