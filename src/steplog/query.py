"""What is searched for, as a small tree: the filter language's meaning without its text.

`steplog.filters` makes the tree from MLflow's filter strings, the stores answer it: one of them by
turning it into SQL, the one in memory by asking each `Subject` (`matches`, `sort_key`). Pure: no
text is parsed here, no store is known.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple, Protocol

Value = str | int | float
What = Literal["runs", "experiments", "models"]

PARTS = {
    "last": "last_value",
    "first": "first_value",
    "min": "min_value",
    "max": "max_value",
    "mean": "mean",
    "count": "count",
    "nan_count": "nan_count",
}
"""What can be asked of a metric beyond its last value, and the field of `SUMMARY` that tells it."""


KINDS = ("metric", "param", "tag", "attribute", "dataset")
"""What conditions and orders may speak of."""


class Field(NamedTuple):
    """What a condition or an order speaks of.

    Attributes:
        kind: one of `KINDS`.
        key: without quotes; of attributes and datasets the canonical name.

    """

    kind: str
    key: str


class Condition(NamedTuple):
    """One comparison; a query's conditions must all hold.

    Attributes:
        comparator: ``= != < <= > >= LIKE ILIKE IN``, ``NOT IN``, ``IS NULL``, ``IS NOT NULL``.
        value: a tuple for IN and NOT IN, None for IS NULL and IS NOT NULL, a float for metrics.

    """

    field: Field
    comparator: str
    value: Value | tuple[str, ...] | None


class Order(NamedTuple):
    """By what results are ordered; a model's metric may be that on one dataset only."""

    field: Field
    ascending: bool = True
    dataset_name: str | None = None
    dataset_digest: str | None = None


class Query(NamedTuple):
    """Which runs, experiments or logged models are wanted, and in which order.

    Attributes:
        what: what the ids are of that `Store.search` returns.
        experiment_ids: those that they belong to; None for all.
        stages: their lifecycle stages.
        datasets: name and digest (None for any); models must have a metric measured on one of
            them, and conditions on metrics speak of such metrics only.
        offset: how many results to leave out, from the first.
        limit: how many results at most; None for all.
        artifacts: where runs keep artifacts that have no place of their own: below
            ``<artifacts>/<experiment id>/<run id>/artifacts``.

    """

    what: What
    conditions: tuple[Condition, ...] = ()
    order: tuple[Order, ...] = ()
    experiment_ids: tuple[str, ...] | None = None
    stages: tuple[str, ...] = ("active",)
    datasets: tuple[tuple[str, str | None], ...] = ()
    offset: int = 0
    limit: int | None = None
    artifacts: str = ""


STATUS_RANKS = {"PENDING": 1, "READY": 2, "FAILED": 3}
"""How the statuses of logged models are ordered: by MLflow's numbers, not as texts."""

TIE_BREAKS: dict[str, tuple[Order, ...]] = {
    "runs": (Order(Field("attribute", "start_time"), False), Order(Field("attribute", "run_id"))),
    "experiments": (
        Order(Field("attribute", "creation_time"), False),
        Order(Field("attribute", "experiment_id")),
    ),
    "models": (
        Order(Field("attribute", "creation_timestamp"), False),
        Order(Field("attribute", "model_id")),
    ),
}
"""What decides between results that a query's own order leaves equal, MLflow's in each case."""


class Subject(Protocol):
    """A run, an experiment or a logged model that is asked whether a query means it."""

    def values(self, field: Field) -> Sequence[Value]:
        """Return its values of a field: none where it has none.

        There are several only of the datasets that a run used, and of the metrics of a model.
        """
        ...

    def ordered_by(self, order: Order) -> Value | None:
        """Return the value that an order goes by; None where it has none.

        Ids of experiments go by their number, statuses of models by `STATUS_RANKS`.
        """
        ...


def matches(conditions: Sequence[Condition], subject: Subject) -> bool:
    """Tell whether all conditions hold for a subject.

    A condition holds where one of the values satisfies it; nothing but IS NULL holds where there is
    no value. Numbers compare as IEEE floats: NaN satisfies only ``!=``. In LIKE ``%`` and ``_``
    are the only wildcards, and ILIKE takes the letters A to Z for a to z.
    """
    return all(_holds(condition, subject.values(condition.field)) for condition in conditions)


def check(query: Query) -> None:
    """Make sure that a query makes sense that did not come out of a parser of ours.

    Stores rely on it: a comparator becomes a part of SQL.

    Raises:
        ValueError: a kind, a comparator or a number is none, or a value is of the wrong type.

    """
    for field in (
        *(each.field for each in query.conditions),
        *(each.field for each in query.order),
    ):
        if field.kind not in KINDS:
            raise ValueError(f"there is no kind of field {field.kind!r}")
    for condition in query.conditions:
        if not isinstance(condition.value, _types(condition)):
            raise ValueError(f"{condition.comparator} cannot compare with {condition.value!r}")
    for number in (query.offset, query.limit or 0):
        if not 0 <= number < 2**63:
            raise ValueError(f"{number} is no number of results")


def _types(condition: Condition) -> tuple[type, ...]:
    """Return what the value of a condition may be; nothing where it makes no sense."""
    comparator = condition.comparator
    if comparator in ("=", "!=", "<", "<=", ">", ">="):
        return (float,) if condition.field.kind == "metric" else (str, int, float)
    if condition.field.kind == "metric":
        return ()
    if comparator in ("IS NULL", "IS NOT NULL"):
        return (type(None),)
    if comparator in ("IN", "NOT IN"):
        return (tuple,)
    return (str,) if comparator in ("LIKE", "ILIKE") else ()


def sort_key(orders: Sequence[Order], subject: Subject) -> tuple[Any, ...]:
    """Return what a subject is sorted by: NaN stands behind all numbers, what is missing last."""
    return tuple(_sort_key(order, subject.ordered_by(order)) for order in orders)


def _holds(condition: Condition, values: Sequence[Value]) -> bool:
    if condition.comparator in ("IS NULL", "IS NOT NULL"):
        return bool(values) == (condition.comparator == "IS NOT NULL")
    compare = _COMPARATORS[condition.comparator]
    return any(compare(value, condition.value) for value in values)


def _sort_key(order: Order, value: Value | None) -> tuple[Any, ...]:
    if value is None:
        return (2,)
    if value != value:
        return (1,)
    return (0, value if order.ascending else _Descending(value))


class _Descending:
    """A value that sorts before those it is greater than."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: _Descending) -> bool:
        return bool(other.value < self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and bool(other.value == self.value)

    __hash__ = None  # type: ignore[assignment]  # nobody keeps these in a set


@cache
def _pattern(like: str, flags: re.RegexFlag) -> re.Pattern[str]:
    parts = (".*" if c == "%" else "." if c == "_" else re.escape(c) for c in like)
    return re.compile("".join(parts), re.DOTALL | flags)


def _like(value: str, pattern: str) -> bool:
    return _pattern(pattern, re.ASCII).fullmatch(value) is not None


def _ilike(value: str, pattern: str) -> bool:
    return _pattern(pattern, re.ASCII | re.IGNORECASE).fullmatch(value) is not None


_COMPARATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "LIKE": _like,
    "ILIKE": _ilike,
    "IN": lambda value, wanted: value in wanted,
    "NOT IN": lambda value, unwanted: value not in unwanted,
}


def split_part(key: str) -> tuple[str, str] | None:
    """Return the metric and the part of it that a key such as ``loss.min`` may mean.

    It means that only where no metric has this very name.

    Example:
        >>> split_part("valid.loss.min"), split_part("loss")
        (('valid.loss', 'min'), None)

    """
    metric, dot, part = key.rpartition(".")
    return (metric, part) if dot and metric and part in PARTS else None
