"""What a query means, held against the plainest way to say it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from steplog.query import (
    PARTS,
    Condition,
    Field,
    Order,
    Query,
    Value,
    check,
    matches,
    sort_key,
    split_part,
)

LOSS = Field("metric", "loss")
TAG = Field("tag", "t")


class Known:
    """A subject that has these values."""

    def __init__(self, values: Mapping[Field, Sequence[Value]]) -> None:
        self._values = values

    def values(self, field: Field) -> Sequence[Value]:
        return self._values.get(field, ())

    def ordered_by(self, order: Order) -> Value | None:
        return next(iter(self.values(order.field)), None)


def holds(comparator: str, value: Value | tuple[str, ...] | None, *values: Value) -> bool:
    """Say whether one condition holds of a subject with these values."""
    return matches([Condition(TAG, comparator, value)], Known({TAG: values}))


def is_like(text: str, pattern: str) -> bool:
    """Say what LIKE says, one character of the pattern at a time."""
    if not pattern:
        return not text
    if pattern[0] == "%":
        return any(is_like(text[start:], pattern[1:]) for start in range(len(text) + 1))
    return bool(text) and pattern[0] in ("_", text[0]) and is_like(text[1:], pattern[1:])


letters = st.text("aAbé\u017fs\n%_[]*?.\\^$", max_size=6)


@given(letters, letters)
@example("a\nb", "a%b")
@example("\u212a", "k")  # the sign for kelvin, which is a k only where Unicode decides
def test_like_knows_two_wildcards(text: str, pattern: str) -> None:
    """% is any text and _ any character, nothing else is special, and ILIKE folds A to Z only."""
    assert holds("LIKE", pattern, text) == is_like(text, pattern)
    lower = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
    assert holds("ILIKE", pattern, text) == is_like(text.translate(lower), pattern.translate(lower))


@pytest.mark.parametrize(
    ("comparator", "held"),
    [
        ("=", {"zero", "minus zero"}),
        ("!=", {"nan", "one", "inf", "minus inf"}),
        ("<", {"minus inf"}),
        ("<=", {"zero", "minus zero", "minus inf"}),
        (">", {"one", "inf"}),
        (">=", {"zero", "minus zero", "one", "inf"}),
    ],
)
def test_numbers_compare_as_floats_do(comparator: str, held: set[str]) -> None:
    """NaN satisfies != alone, the zeros are equal, and infinity is a number of its own."""
    values = {
        "nan": math.nan,
        "zero": 0.0,
        "minus zero": -0.0,
        "one": 1,
        "inf": math.inf,
        "minus inf": -math.inf,
    }
    assert {name for name, value in values.items() if holds(comparator, 0.0, value)} == held


def test_infinity_is_not_the_greatest_float() -> None:
    """Infinity equals itself and nothing that is finite."""
    assert holds("=", math.inf, math.inf)
    assert not holds("=", 1.7976931348623157e308, math.inf)


def test_what_is_missing_satisfies_is_null_alone() -> None:
    """No comparator, not even a negative one, holds where there is no value."""
    asked: list[tuple[str, str | tuple[str, ...] | None]] = [
        *(("=", "a"), ("!=", "a"), ("LIKE", "%"), ("IN", ("a",)), ("NOT IN", ("a",))),
        *(("IS NULL", None), ("IS NOT NULL", None)),
    ]
    assert [comparator for comparator, value in asked if holds(comparator, value)] == ["IS NULL"]
    assert not holds("IS NULL", None, "")
    assert holds("IS NOT NULL", None, "")


def test_any_value_may_satisfy_each_condition() -> None:
    """Of several values one is enough, and another one for the next condition."""
    name, digest = Field("dataset", "name"), Field("dataset", "digest")
    run = Known({name: ("a", "b"), digest: ("1", "2")})
    assert matches([Condition(name, "=", "a"), Condition(digest, "=", "2")], run)
    assert matches([Condition(name, "NOT IN", ("a",)), Condition(name, "!=", "b")], run)
    assert not matches([Condition(name, "=", "a"), Condition(digest, "=", "3")], run)


@pytest.mark.parametrize("ascending", [True, False])
def test_nan_and_what_is_missing_come_last(ascending: bool) -> None:
    """Numbers by size in either direction, then NaN, then what is missing, then the next order."""
    values = [-math.inf, -1, 0.5, 1, math.inf]
    ranked: list[Value | None] = [*(values if ascending else values[::-1]), math.nan, None]
    subjects = [
        Known({LOSS: () if value is None else (value,), TAG: (tag,)})
        for value in ranked
        for tag in ("b", "a")
    ]
    orders = [Order(LOSS, ascending), Order(TAG, ascending=False)]
    assert sorted(subjects[::-1], key=lambda each: sort_key(orders, each)) == subjects


@pytest.mark.parametrize(
    ("key", "split"),
    [
        *((f"valid/loss.{part}", ("valid/loss", part)) for part in PARTS),
        *((key, None) for key in ("loss", "loss.", ".min", "min", "loss.median", "a.min.b")),
        ("a.b.min.max", ("a.b.min", "max")),
    ],
)
def test_the_part_of_a_metric_is_behind_the_last_dot(key: str, split: object) -> None:
    """A key that ends in a part names a metric and that part; others name a metric only."""
    assert split_part(key) == split


def test_what_parsers_make_passes_the_check() -> None:
    """Conditions of every kind, orders and pages are fine."""
    conditions = (
        Condition(LOSS, "<=", math.nan),
        Condition(TAG, "LIKE", "a%"),
        Condition(TAG, "IS NULL", None),
        Condition(Field("attribute", "run_id"), "NOT IN", ("a", "b")),
        Condition(Field("attribute", "start_time"), ">", 2**70),
        Condition(Field("dataset", "name"), "=", "d"),
    )
    check(Query("runs", conditions, (Order(LOSS),), offset=5, limit=0))


@pytest.mark.parametrize(
    "query",
    [
        Query("runs", (Condition(TAG, "= 1 OR 1 =", 1),)),
        Query("runs", (Condition(TAG, "=", ("a",)),)),
        Query("runs", (Condition(TAG, "IN", "a"),)),
        Query("runs", (Condition(TAG, "LIKE", 1),)),
        Query("runs", (Condition(TAG, "IS NULL", "a"),)),
        Query("runs", (Condition(LOSS, "=", 1),)),
        Query("runs", (Condition(LOSS, "IS NULL", None),)),
        Query("runs", (Condition(Field("column", "x"), "=", "a"),)),
        Query("runs", (), (Order(Field("column", "x")),)),
        Query("runs", offset=-1),
        Query("runs", limit=2**63),
    ],
    ids=str,
)
def test_what_no_parser_makes_is_refused(query: Query) -> None:
    """A comparator that is none, above all: stores make SQL of it."""
    with pytest.raises(ValueError, match=r"\w"):
        check(query)
