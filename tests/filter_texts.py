"""Texts of filters and orders to draw from: what users write, and what nobody should."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hypothesis import strategies as st

Change = tuple[int, str, int]
"""Where a text is changed, what is put there, and how many characters it replaces."""

NUMERIC = ["=", "!=", "<", "<=", ">", ">="]
TEXTUAL = ["=", "!=", "LIKE", "ILIKE"]
COMPARATORS = [
    *(*NUMERIC, *TEXTUAL, "==", "<>", "like", "ilike", "IN", "NOT IN", "in", "not in", "Like"),
    *("IS NULL", "IS NOT NULL", "is null", "IS", "NOT", "NOT LIKE", "BETWEEN", "~", "is not  null"),
]
NUMBERS = ["1", "-1", "0.5", "1e5", "-.5", "1.", "1e-3", "0", "1500000000000", "-0.0", "1E+2"]
TEXTS = ["'x'", '"x"', "'%x_'", "''", "'it''s'", '"it\'s"', "'a;b'", "'é'", "'1'", "'a\\'b'"]
LISTS = ["('a')", "('a','b')", "('a',)", "( \"a\" , 'b' )", "('1', ' 02')", "('a' 'b')", "('2')"]
VALUES = [
    *(*NUMBERS, *TEXTS, *LISTS, "+1", "- 1", "0x10", "nan", "inf", "1_0", "`x`", "x", "'x\"", "()"),
    *("(1)", "('a',1)", "(a)", "((('a')))", "'a' 'b'", "null", "1.5.2", "['a']", "('a\\n')", "*"),
    *("a.b", "b'x'", "('a', b'x')", "$1", "?", "/* c */ 1", "1 -- c", "(", "('a'", "READY", ""),
]
WORDS = [
    *("metric", "metrics", "param", "params", "parameter", "tag", "tags", "attribute"),
    *("attributes", "attr", "run", "dataset", "datasets", "Metrics", "foo", "`metrics`", "'tags'"),
]
KEYS = [
    *("a", "loss", "val/loss", "`val loss`", "'q'", "a.b", "a-b", "1a", "`a`.b", '`a"b`', "a@b"),
    *("name", "digest", "context", "run_id", "status", "start_time", "end_time", "created"),
    *("`run name`", "run_name", "experiment_id", "creation_time", "last_update_time"),
    *("creation_timestamp", "model_id", "model_type", "lifecycle_stage", "timestamp", "date"),
    *("key", "value", "order", "select", "in", "null", "is", "desc", "count", "loss.min", "m$x"),
    *("é", "_x", "5", "``", "''"),
]
ODD = [*" \t\n'\"`().,;=<>!%_-+*/\\#$?:[]{}@~|&^0aé1eE\x00\u2028\u017f", "--", "/*", "*/", "''"]
ODD += ["AND", "NOT", "IN", "IS", "NULL", "DESC", ""]

GAPS = st.sampled_from([" ", " ", " ", " ", "", "  ", "\n", "\t"])
ANDS = st.sampled_from([*[" AND "] * 8, " and ", "\nAND\t", " OR ", "; ", " ", ", ", " AND AND "])
CHANGE = st.tuples(st.integers(0, 99), st.sampled_from(ODD), st.integers(0, 2))
CHANGES = st.one_of(st.just([]), st.just([]), st.lists(CHANGE, max_size=3))
WILD = st.builds("{}.{}".format, st.sampled_from(WORDS), st.sampled_from(KEYS))
DIRECTIONS = st.sampled_from(
    [*["", "ASC", "DESC", "asc", "Desc"] * 3, "FOO", "ASC DESC", "nulls last", ", a"]
)


def changed(text: str, changes: Iterable[Change]) -> str:
    for place, inserted, deleted in changes:
        at = place % (len(text) + 1)
        text = text[:at] + inserted + text[at + deleted :]
    return text


def filters_of(
    *accepted: tuple[Sequence[str], Sequence[str], Sequence[str]],
) -> st.SearchStrategy[str]:
    """Texts of filters, most of whose conditions make sense, and most of which are left so.

    Args:
        accepted: identifiers, the comparators that go with them, and the values that do.

    """
    sensible = [st.tuples(*map(st.sampled_from, each)) for each in accepted]
    identifiers = st.sampled_from([each for group, _, _ in accepted for each in group])
    wild = st.tuples(WILD | identifiers, st.sampled_from(COMPARATORS), st.sampled_from(VALUES))
    conditions = st.builds(
        lambda words, before, after: f"{words[0]}{before}{words[1]}{after}{words[2]}",
        *(st.one_of(*sensible, wild), GAPS, GAPS),
    )
    filters = st.builds(
        lambda first, others: first + "".join(joint + condition for joint, condition in others),
        *(conditions, st.lists(st.tuples(ANDS, conditions), max_size=2)),
    )
    return st.builds(changed, filters, CHANGES)


def orders_of(*accepted: str) -> st.SearchStrategy[list[str]]:
    """Lists of orders, most of them by fields that may be ordered by."""
    identifiers = st.sampled_from(accepted)
    orders = st.builds(
        lambda identifier, gap, direction: identifier + (gap + direction if direction else ""),
        *(st.one_of(identifiers, identifiers, identifiers, WILD), GAPS, DIRECTIONS),
    )
    return st.lists(st.builds(changed, orders, CHANGES), min_size=1, max_size=2)


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

FILTERS = {
    "runs": filters_of(
        (RUN_METRICS, NUMERIC, NUMBERS),
        (RUN_TIMES, NUMERIC, NUMBERS),
        ([*RUN_TEXTS, *RUN_ATTRIBUTES, "dataset.name"], [*TEXTUAL, "like"], TEXTS),
        (["run_id", "datasets.context", "dataset.digest"], ["IN", "not in"], LISTS),
        (RUN_TEXTS, ["IS NULL", "is not null"], [""]),
    ),
    "experiments": filters_of(
        (EXPERIMENT_IDS, ["IN", "NOT IN", "in"], LISTS),
        (EXPERIMENT_IDS, ["=", "!="], ["'1'", "' 02 '", '"3"', "'x'", "5"]),
        (EXPERIMENT_TIMES, NUMERIC, ["1", "-1", "1500000000000", "1.0"]),
        (["name", "tags.a", "tag.`a b`", "attribute.name"], [*TEXTUAL, "like"], TEXTS),
        (["tags.a", "tag.`a b`"], ["IS NULL", "is not null"], [""]),
    ),
    "models": filters_of(
        (MODEL_METRICS, NUMERIC, [*NUMBERS, "inf", "1_0"]),
        (MODEL_TIMES, NUMERIC, NUMBERS),
        (MODEL_TEXTS, [*TEXTUAL, "like"], [*TEXTS, "x", "0.1", "2"]),
        (MODEL_TEXTS, ["IN", "not in"], [*LISTS, "(1, 2)", "()"]),
    ),
}
ORDERS = {
    "runs": orders_of(
        *(*RUN_METRICS, *RUN_TEXTS, *RUN_TIMES, "run_id", "dataset.name", "timestamp")
    ),
    "experiments": orders_of(
        *("name", "attribute.`name`", *EXPERIMENT_IDS, *EXPERIMENT_TIMES, "timestamp")
    ),
}
