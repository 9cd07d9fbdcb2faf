"""The language of searches is MLflow's: its parser and its SQL store agree with ours."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import pytest
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
    message = re.sub(r"_timestamp(_ms)?\b", "_time", message)
    if message.startswith("Invalid comparison: "):
        return re.sub(r"\s", "", message)
    return re.sub(r"\{('[^{}]*')\}", lambda match: ", ".join(sorted(match[1].split(", "))), message)


def agree(theirs: object, ours: object, text: object) -> bool:
    """Say whether two outcomes are the same but for what `DIFFERENCES` lists."""
    if theirs == ours:
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


def mutate(text: str, changes: Iterable[tuple[int, str, int]]) -> str:
    for place, inserted, deleted in changes:
        at = place % (len(text) + 1)
        text = text[:at] + inserted + text[at + deleted :]
    return text


ODD = [
    *" \t\n'\"`().,;=<>!%_-+*/\\#$?:[]{}@~|&^0aé1eE",
    *(
        "--",
        "/*",
        "*/",
        "AND",
        "NOT",
        "IN",
        "IS",
        "NULL",
        "''",
        "\x00",
        "\u2028",
        "\u017f",
        "DESC",
        "x",
    ),
]
CHANGES = (
    st.just(())
    | st.just(())
    | st.lists(
        st.tuples(st.integers(0, 99), st.sampled_from(ODD) | st.just(""), st.integers(0, 2)),
        max_size=3,
    )
)
NUMERIC = ["=", "!=", "<", "<=", ">", ">="]
TEXTUAL = ["=", "!=", "LIKE", "ILIKE"]
NUMBERS = ["1", "-1", "0.5", "1e5", "-.5", "1.", "1e-3", "0", "1500000000000", "-0.0", "1E+2"]
TEXTS = ["'x'", '"x"', "'%x_'", "''", "'it''s'", '"it\'s"', "'a;b'", "'é'", "'1'", "'a\\'b'"]
LISTS = ["('a')", "('a','b')", "('a',)", "( \"a\" , 'b' )", "('1', ' 02')", "('a' 'b')", "('2')"]
WORDS = [
    *("metric", "metrics", "param", "params", "parameter", "tag", "tags", "attribute"),
    *("attributes", "attr", "run", "dataset", "datasets", "Metrics", "foo", "`metrics`"),
    *("'tags'"),
]
KEYS = [
    *("a", "loss", "val/loss", "`val_loss`", "'q'", "a.b", "a-b", "1a", "`a`.b", "name"),
    *("digest", "context", "run_id", "status", "start_time", "end_time", "created"),
    *("`run_name`", "run_name", "experiment_id", "creation_time", "a@b", "``"),
    *("last_update_time", "creation_timestamp", "model_id", "model_type", "key", "value"),
    *("date", "order", "é", "timestamp", "select", "in", "null", "is", "desc", "count"),
    *("loss.min", "m$x", "_x", "lifecycle_stage", "''", "5", '`a"b`'),
]
COMPARATORS = [
    *(*NUMERIC, *TEXTUAL, "==", "<>", "like", "ilike", "IN", "NOT IN", "in", "not in", "Like"),
    *("IS NULL", "IS NOT NULL", "is null", "IS", "NOT", "NOT LIKE", "BETWEEN", "~", "is not  null"),
]
VALUES = [
    *(*NUMBERS, *TEXTS, *LISTS, "+1", "- 1", "0x10", "nan", "inf", "1_0", "`x`", "x", "'x\"", "()"),
    *("(1)", "('a',1)", "(a)", "((('a')))", "'a' 'b'", "null", "1.5.2", "['a']", "('a\\n')", "*"),
    *("a.b", "b'x'", "('a', b'x')", "$1", "?", "/* c */ 1", "1 -- c", "(", "('a'", "READY", ""),
]
GAPS = st.sampled_from([" ", " ", " ", " ", "", "  ", "\n", "\t"])
ANDS = st.sampled_from([*[" AND "] * 8, " and ", "\nAND\t", " OR ", "; ", " ", ", ", " AND AND "])


def filters_of(*accepted: tuple[Sequence[str], Sequence[str], Sequence[str]]) -> Any:
    """Texts of filters: half of the conditions make sense, and half of the texts are left so.

    Args:
        accepted: identifiers, the comparators that go with them, and the values that do.

    """
    sensible = st.one_of([st.tuples(*map(st.sampled_from, each)) for each in accepted])
    identifiers = st.sampled_from([each for group, _, _ in accepted for each in group])
    wild = st.tuples(
        st.builds("{}.{}".format, st.sampled_from(WORDS), st.sampled_from(KEYS)) | identifiers,
        st.sampled_from(COMPARATORS),
        st.sampled_from(VALUES),
    )
    conditions = st.builds(
        lambda words, first, second: f"{words[0]}{first}{words[1]}{second}{words[2]}",
        *(sensible | sensible | wild, GAPS, GAPS),
    )
    joined = st.builds(
        lambda first, others: first + "".join(a + condition for a, condition in others),
        *(conditions, st.lists(st.tuples(ANDS, conditions), max_size=2)),
    )
    return st.builds(mutate, joined, CHANGES)


def orders_of(*accepted: str) -> Any:
    """Lists of orders, most of them by fields that may be ordered by."""
    identifiers = st.sampled_from(accepted)
    wild = st.builds("{}.{}".format, st.sampled_from(WORDS), st.sampled_from(KEYS))
    directions = ["", "ASC", "DESC", "asc", "Desc"] * 3 + ["FOO", "ASC DESC", "nulls last", ", a"]
    orders = st.builds(
        lambda identifier, gap, direction: identifier + (gap + direction if direction else ""),
        *(identifiers | identifiers | identifiers | wild, GAPS, st.sampled_from(directions)),
    )
    return st.lists(st.builds(mutate, orders, CHANGES), min_size=1, max_size=2)


RUN_METRICS = ["metrics.a", "metric.`val loss`", "metrics.a.b", '`metrics`."x y"', "metrics . a"]
RUN_TEXTS = ["params.a", "param.`a b`", "parameters.a-b", "tags.`mlflow.x`", "tag.'q'"]
RUN_ATTRIBUTES = ["status", "attr.run_name", "`run name`", "run.user_id", "attributes.artifact_uri"]
RUN_TIMES = ["start_time", "attribute.end_time", "created", "`Created`"]
EXPERIMENT_IDS = ["experiment_id", "attribute.`experiment_id`"]
EXPERIMENT_TIMES = ["creation_time", "attribute.last_update_time"]
MODEL_METRICS = ["metrics.a", "metrics.`val loss`", 'metrics."x y"', "metrics.a.b"]
MODEL_TEXTS = ["params.a", "tags.`a b`", "name", "attributes.model_type", "`model_id`", "status"]
MODEL_TIMES = [
    *("creation_time", "creation_timestamp", "last_updated_timestamp", "creation_timestamp_ms"),
    *("attributes.creation_time", "attributes.last_updated_timestamp_ms"),
]
LANGUAGES = {
    "runs_filter": Language(
        parse_runs_filter,
        their_runs_filter,
        filters_of(
            (RUN_METRICS, NUMERIC, NUMBERS),
            (RUN_TIMES, NUMERIC, NUMBERS),
            ([*RUN_TEXTS, *RUN_ATTRIBUTES, "dataset.name"], [*TEXTUAL, "like"], TEXTS),
            (["run_id", "datasets.context", "dataset.digest"], ["IN", "not in"], LISTS),
            (RUN_TEXTS, ["IS NULL", "is not null"], [""]),
        ),
    ),
    "runs_order": Language(
        parse_runs_order,
        their_runs_order,
        orders_of(*RUN_METRICS, *RUN_TEXTS, *RUN_TIMES, "run_id", "dataset.name", "timestamp"),
    ),
    "experiments_filter": Language(
        parse_experiments_filter,
        their_experiments_filter,
        filters_of(
            (EXPERIMENT_IDS, ["IN", "NOT IN", "in"], LISTS),
            (EXPERIMENT_IDS, ["=", "!="], ["'1'", "' 02 '", '"3"', "'x'", "5"]),
            (EXPERIMENT_TIMES, NUMERIC, ["1", "-1", "1500000000000", "1.0"]),
            (["name", "tags.a", "tag.`a b`", "attribute.name"], [*TEXTUAL, "like"], TEXTS),
            (["tags.a", "tag.`a b`"], ["IS NULL", "is not null"], [""]),
        ),
    ),
    "experiments_order": Language(
        parse_experiments_order,
        their_experiments_order,
        orders_of("name", "attribute.`name`", *EXPERIMENT_IDS, *EXPERIMENT_TIMES, "timestamp"),
    ),
    "models_filter": Language(
        parse_models_filter,
        their_models_filter,
        filters_of(
            (MODEL_METRICS, NUMERIC, [*NUMBERS, "inf", "1_0"]),
            (MODEL_TIMES, NUMERIC, NUMBERS),
            (MODEL_TEXTS, [*TEXTUAL, "like"], [*TEXTS, "x", "0.1", "2"]),
            (MODEL_TEXTS, ["IN", "not in"], [*LISTS, "(1, 2)", "()"]),
        ),
    ),
}


@pytest.mark.parametrize("name", LANGUAGES)
def test_mlflow_reads_the_same(name: str) -> None:
    """Any text is accepted, refused with a message, and understood, as MLflow does it."""
    language = LANGUAGES[name]
    accepted = 0

    @settings(max_examples=1000, derandomize=True, database=None, deadline=None)
    @given(language.texts)
    def compare(text: object) -> None:
        nonlocal accepted
        ours, theirs = outcome(language.ours, text), outcome(language.theirs, text)
        assert agree(theirs, ours, text), (theirs, ours)
        accepted += isinstance(ours, list)

    compare()
    assert accepted > 120  # or the texts are too wild to say anything
