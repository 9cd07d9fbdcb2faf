"""The language of searches: what it says, and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from steplog import MlflowException
from steplog.filters import (
    parse_experiments_filter,
    parse_experiments_order,
    parse_models_filter,
    parse_models_order,
    parse_runs_filter,
    parse_runs_order,
)
from steplog.query import Condition, Field, Order


def attribute(name: str, ascending: bool = True) -> Order:
    return Order(Field("attribute", name), ascending)


def refusal(parse: Callable[[Any], object], text: object) -> str:
    """Return the message of the error, which has the code that a wrong argument has."""
    with pytest.raises(MlflowException) as caught:
        parse(text)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    return caught.value.message


# ---- what the language says ----


def test_a_filter_of_runs_is_its_conditions() -> None:
    """Kinds, aliases, quotes of keys and values, case of comparators and types of numbers."""
    text = """
        metrics.loss < 0.5 and metric.`val loss` >= -1e3 AND params."a/b" = "it's"
        AND parameter.x != '0.1' AND tags.t like 'a%' AND tag.u IS NOT NULL AND param.v is null
        AND Created > 5 AND attr.end_time <= 1.5 AND `run name` ILIKE 'B' AND run.status = 'RUNNING'
        AND run_id NOT IN ('a', "b") AND datasets.context IN ('train',)
    """
    assert parse_runs_filter(text) == (
        Condition(Field("metric", "loss"), "<", 0.5),
        Condition(Field("metric", "val loss"), ">=", -1000.0),
        Condition(Field("param", "a/b"), "=", "it's"),
        Condition(Field("param", "x"), "!=", "0.1"),
        Condition(Field("tag", "t"), "LIKE", "a%"),
        Condition(Field("tag", "u"), "IS NOT NULL", None),
        Condition(Field("param", "v"), "IS NULL", None),
        Condition(Field("attribute", "start_time"), ">", 5),
        Condition(Field("attribute", "end_time"), "<=", 1.5),
        Condition(Field("attribute", "run_name"), "ILIKE", "B"),
        Condition(Field("attribute", "status"), "=", "RUNNING"),
        Condition(Field("attribute", "run_id"), "NOT IN", ("a", "b")),
        Condition(Field("dataset", "context"), "IN", ("train",)),
    )


def test_a_filter_of_experiments_is_its_conditions() -> None:
    """Experiment ids are compared as numbers are written, times are whole numbers."""
    text = "name LIKE 'a%' AND experiment_id IN (' 01', '2') AND creation_time > 5 AND tags.t = 'x'"
    assert parse_experiments_filter(text) == (
        Condition(Field("attribute", "name"), "LIKE", "a%"),
        Condition(Field("attribute", "experiment_id"), "IN", ("1", "2")),
        Condition(Field("attribute", "creation_time"), ">", 5),
        Condition(Field("tag", "t"), "=", "x"),
    )


def test_a_filter_of_models_is_its_conditions() -> None:
    """Lists go with every text, quotes may be left out, and numbers are floats."""
    text = """
        metrics.`val acc` > .5 AND params.p = 0.1 AND tags.t in ('a', "b") AND name ilike 'M%'
        AND creation_time < 5 AND model_type = cnn
    """
    assert parse_models_filter(text) == (
        Condition(Field("metric", "val acc"), ">", 0.5),
        Condition(Field("param", "p"), "=", "0.1"),
        Condition(Field("tag", "t"), "IN", ("a", "b")),
        Condition(Field("attribute", "name"), "ILIKE", "M%"),
        Condition(Field("attribute", "creation_timestamp"), "<", 5.0),
        Condition(Field("attribute", "model_type"), "=", "cnn"),
    )


@pytest.mark.parametrize(
    "parse",
    [
        *(parse_runs_filter, parse_experiments_filter, parse_models_filter),
        *(parse_runs_order, parse_experiments_order, parse_models_order),
    ],
)
def test_nothing_asked_is_nothing_to_hold(parse: Callable[[Any], object]) -> None:
    """None and what is empty give no conditions and no orders."""
    assert parse(None) == parse("") == ()


def test_a_status_of_models_has_a_name() -> None:
    """MLflow's number of a status is its name, wherever it may be written."""
    assert [
        condition.value
        for condition in parse_models_filter(
            "status = 'READY' AND status != 2 AND status IN ('1', 'FAILED') AND tags.status = '2'"
        )
    ] == ["READY", "READY", ("PENDING", "FAILED"), "2"]


def test_orders() -> None:
    """Aliases, quotes and directions; orders of experiments end with MLflow's tie-break."""
    assert parse_runs_order(["metrics.`a b` DESC", "params.x", "created asc"]) == (
        Order(Field("metric", "a b"), ascending=False),
        Order(Field("param", "x")),
        attribute("start_time"),
    )
    assert parse_experiments_order(["name"]) == (
        attribute("name"),
        attribute("experiment_id", ascending=False),
    )
    assert parse_experiments_order(["experiment_id", "name"]) == (
        attribute("experiment_id"),
        attribute("name"),
    )
    on_dataset = {"field_name": "metrics.a.b", "dataset_name": "d", "dataset_digest": "1"}
    assert parse_models_order(
        [on_dataset, {"field_name": "creation_time", "ascending": False}]
    ) == (
        Order(Field("metric", "a.b"), True, "d", "1"),
        attribute("creation_timestamp", ascending=False),
    )


def test_numbers_that_no_store_holds_are_compared_as_floats() -> None:
    """An integer of more than 64 bits, with which MLflow fails, is neither refused nor cut."""
    for digits, value in [
        (str(2**63 - 1), 2**63 - 1),
        (str(-(2**63)), -(2**63)),
        (str(2**63), 2.0**63),
        ("9" * 5000, math.inf),
    ]:
        (condition,) = parse_runs_filter(f"start_time < {digits}")
        assert condition.value == value
        assert type(condition.value) is type(value)


RUN_KEYS = (
    "{'Created', 'Run Name', 'Run name', 'artifact_uri', 'created', 'end_time', 'run name', "
    "'run_id', 'run_name', 'start_time', 'status', 'user_id'}"
)
LISTED = "{'!=', '=', 'ILIKE', 'IN', 'LIKE', 'NOT IN'}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "metrics.loss == 1",
            "Invalid comparator '==' not one of '{'!=', '<', '<=', '=', '>', '>='}",
        ),
        ("params.x > 'a'", "Invalid comparator '>' not one of '{'!=', '=', 'ILIKE', 'IS NOT NULL'"),
        ("status > 'a'", f"Invalid comparator '>' not one of '{LISTED}'"),
        ("start_time LIKE 5", f"Invalid comparator 'LIKE' not one of '{LISTED}"),
        ("dataset.name > 'a'", f"Invalid comparator '>' not one of '{LISTED}"),
        ("metrics.val acc > 0", "Invalid clause(s) in filter string: 'metrics.val'"),
        ("status = 'a' OR status = 'b'", "Invalid clause(s) in filter string: 'OR'"),
        (
            "metrics.a/b > 0",
            "Invalid comparison clause. Expected 'Identifier' found 'metrics.a/b'",
        ),
        (
            "metrics.a > 0 /* b */ AND metrics.c > 0",
            "Invalid comparison clause. Expected 3 tokens found 4",
        ),
        ("metrics.loss > '1'", "Expected numeric value type for metric. Found '1'"),
        ("metrics.loss > nan", "Expected numeric value type for metric. Found nan"),
        (
            "metrics.loss IS NULL",
            "IS NULL / IS NOT NULL is only supported for tags and params, not for 'metric' 'loss'",
        ),
        (
            "status = 'a'; status = 'b'",
            "Search filter contained multiple expression \"status = 'a'; status = 'b'\". "
            "Provide AND-ed expression list.",
        ),
        ("  ", "Invalid filter '  '. Could not be parsed."),
        (
            "METRICS.x > 1",
            "Invalid entity type 'METRICS'. Valid values are "
            "['metric', 'parameter', 'tag', 'attribute', 'dataset']",
        ),
        ("loss > 0", f"Invalid attribute key 'loss' specified. Valid keys are '{RUN_KEYS}'"),
        (
            "dataset.foo = 'a'",
            "Invalid dataset key 'foo' specified. Valid keys are '{'context', 'digest', 'name'}'",
        ),
        (
            "params.lr = 0.1",
            "Expected a quoted string value for parameter (e.g. 'my-value'). Got value 0.1",
        ),
        (
            "tags.t IN ('a')",
            "Expected a quoted string value for tag (e.g. 'my-value'). Got value ('a')",
        ),
        ("status = 5", "Expected a quoted string value for attributes. Got value 5"),
        ("dataset.name = 5", "Expected a quoted string value for dataset attributes. Got value 5"),
        (
            "params.x = a",
            "Parameter value is either not quoted or unidentified quote types used for string "
            "value a. Use either single or double quotes.",
        ),
        (
            "created = '1000'",
            "Expected numeric value type for numeric attribute: created. Found '1000'",
        ),
        (
            "status IN ('a')",
            "Only ['run_id'] attributes support comparison with a list of quoted string values.",
        ),
        (
            "run_id IN ()",
            "While parsing a list in the query, expected a non-empty list of string values, "
            "but got empty list",
        ),
        (
            "run_id IN ('a', 1)",
            "While parsing a list in the query, expected string value, punctuation, or "
            "whitespace, but got different type in list: ('a', 1)",
        ),
        (
            "run_id IN ('a' b)",
            "While parsing a list in the query, expected a non-empty list of string values, "
            "but got ill-formed list.",
        ),
        ("metrics.a == 1 AND foo.x = 1", "Invalid entity type 'foo'."),
        ("a = " + "(" * 500 + ")" * 500, "Error on parsing filter 'a = ((((("),
    ],
)
def test_filters_of_runs_that_are_refused(text: str, message: str) -> None:
    """Each mistake has the text that MLflow has for it."""
    assert refusal(parse_runs_filter, text).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name like 'a'", f"Invalid comparator 'like' not one of '{LISTED}'"),
        ("tags.t like 'a'", "Invalid comparator for tag: like"),
        ("experiment_id LIKE '1'", "Invalid comparator for experiment_id: LIKE"),
        (
            "experiment_id = 'x'",
            "Invalid experiment ID 'x'. Experiment ID must be a valid integer.",
        ),
        ("creation_time > 1.5", "Invalid value for numeric attribute 'creation_time': '1.5'"),
        ("name = 'a' OR name = 'b'", "Invalid clause(s) in filter string: OR"),
        (
            "metrics.a > 1",
            "Invalid entity type 'metrics'. Valid entity types are ('attribute', 'tag', 'tags')",
        ),
        (
            "name IS NULL",
            "IS NULL / IS NOT NULL is only supported for tags, not for attribute 'name'",
        ),
        (
            "name IN ('a')",
            "Only ['experiment_id'] attributes support comparison with a list of quoted string "
            "values.",
        ),
    ],
)
def test_filters_of_experiments_that_are_refused(text: str, message: str) -> None:
    """Where experiments differ from runs, so do the texts."""
    assert refusal(parse_experiments_filter, text) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "metrics.a IN (1)",
            "Invalid comparison operator for metrics.a: 'IN'. Expected one of "
            "('<', '<=', '>', '>=', '=', '!=').",
        ),
        (
            "name > 'a'",
            "Invalid comparison operator for attributes.name: '>'. Expected one of "
            "('=', '!=', 'LIKE', 'ILIKE', 'IN', 'NOT IN').",
        ),
        (
            "foo.x = 'a'",
            "Invalid entity type: 'foo'. Expected one of "
            "['attributes', 'metrics', 'params', 'tags'].",
        ),
        ("name IS NULL", "Invalid comparison: name IS NULL. Expected a comparison with 3 tokens."),
        ("metrics.a > b", "could not convert string to float: 'b'"),
        (
            "foo = 'x'",
            "Invalid attribute key 'foo' specified. Valid keys are '{'artifact_location'",
        ),
        ("name = ('a')", "Expected a quoted string value for attribute 'name'. Got list ('a',)"),
        (
            "name IN ('a', ['b'])",
            "While parsing a list in the query, expected string value, punctuation, or "
            "whitespace, but got different type in list: ('a', ['b'])",
        ),
        (
            "name = 'a'; name = 'b'",
            "Invalid filter string: \"name = 'a'; name = 'b'\". Expected a single SQL expression.",
        ),
        (
            "name = 'a' OR name = 'b'",
            "Invalid filter string: \"name = 'a' OR name = 'b'\". Expected a list of comparisons "
            "separated by 'AND' (e.g. 'metrics.loss > 0.1 AND params.lr = 0.01').",
        ),
        ("a = " + "(" * 500 + ")" * 500, "Invalid filter string: 'a = ((((("),
    ],
)
def test_filters_of_models_that_are_refused(text: str, message: str) -> None:
    """Each mistake has MLflow's text, or a better one where MLflow's is a Python error's."""
    assert refusal(parse_models_filter, text).startswith(message)


@pytest.mark.parametrize(
    ("parse", "item", "message"),
    [
        (
            parse_runs_order,
            "metrics.a FOO",
            "Invalid ordering key in order_by clause 'metrics.a FOO'.",
        ),
        (
            parse_runs_order,
            "metrics.a, b",
            "Invalid order_by clause 'metrics.a, b'. Could not be parsed.",
        ),
        (
            parse_runs_order,
            "metrics.`a`b`",
            "Invalid order_by clause 'metrics.`a`b`'. Could not be parsed.",
        ),
        (parse_runs_order, 5, "Error on parsing order_by clause '5'"),
        (parse_runs_order, "dataset.name", "Invalid identifier type 'dataset'"),
        (parse_runs_order, "`run name`", "Invalid attribute key 'run name' specified."),
        (parse_runs_order, "timestamp DESC", "Invalid attribute key 'timestamp' specified."),
        (parse_experiments_order, "tags.x", "Invalid order_by entity: tag"),
        (parse_models_order, {"field_name": "zzz"}, "Invalid order by field name: zzz"),
        (parse_models_order, {"field_name": 5}, "Invalid order by field name: 5"),
        (
            parse_models_order,
            {"field_name": "params.x"},
            "Invalid order by field name: params.x. Only metrics are supported.",
        ),
        (parse_models_order, {}, "`field_name` in the `order_by` clause must be specified."),
        (parse_models_order, "name", "`order_by` must be a list of dictionaries."),
        (
            parse_models_order,
            {"field_name": "name", "ascending": "no"},
            "Value of `ascending` in the `order_by` clause must be a boolean, got <class 'str'> "
            "for field name.",
        ),
    ],
)
def test_orders_that_are_refused(
    parse: Callable[[Any], object], item: object, message: str
) -> None:
    """Each mistake in an order has the text that MLflow has for it."""
    assert refusal(parse, [item]).startswith(message)


def test_a_field_is_ordered_by_once() -> None:
    """Two orders by one field of a run are refused, whatever the direction and the alias."""
    order_by = ["created", "start_time DESC"]
    message = f"`order_by` contains duplicate fields: {order_by}"
    assert refusal(parse_runs_order, order_by) == message
