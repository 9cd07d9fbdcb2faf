"""Searching the catalog: a `steplog.query.Query` as SQL, built with SQLAlchemy Core.

What a query means is said by `steplog.query.matches` and `sort_key`; this module says the same in
SQL, and the property tests compare the two. SQLAlchemy only writes the text here: it is executed on
the store's own connection.

Three things make it fast where there are many runs. What is known of a metric stands in the row of
its series, so no point is read. The first condition on a metric leads: the index
``series_of_keys`` holds its values side by side. And an order looks up one value of each run that
is left.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import count
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from steplog.exceptions import invalid
from steplog.operations import SeriesKey
from steplog.query import (
    PARTS,
    STATUS_RANKS,
    TIE_BREAKS,
    Condition,
    Field,
    Order,
    Query,
    split_part,
)
from steplog.rows import ExperimentRow, ModelRow, RunRow
from steplog.stores.database import Connection
from steplog.stores.pieces import read_group, read_pieces
from steplog.stores.schema import SUMMARY_COLUMNS


def _bits(value: float) -> int:
    """Return the integer by which the catalog keeps a float; it sorts as the float does."""
    bits: int = struct.unpack("<q", struct.pack("<d", value))[0]
    return bits if bits >= 0 else bits ^ 0x7FFF_FFFF_FFFF_FFFF


_LOWEST, _HIGHEST, _NAN = (_bits(each) for each in (-math.inf, math.inf, math.nan))
_MINUS_ZERO, _ZERO = _bits(-0.0), _bits(0.0)
_COUNTS = ("count", "nan_count")
"""The parts of a metric that are kept as integers; all others are floats, kept as their bits."""

MOST_CONDITIONS = 200
MOST_ORDERS = 20
"""SQLite joins at most 64 tables, and each order may need one."""
_LONGEST_PATTERN = 10_000

_DIALECT = sqlite.dialect(paramstyle="qmark")


def _table(name: str, *columns: str) -> sa.TableClause:
    return sa.table(name, *map(sa.column, columns))


_runs = _table("runs", "run_no", *RunRow._fields)
_experiments = _table("experiments", *ExperimentRow._fields)
_models = _table("models", *ModelRow._fields)
_series = _table("series", "series_id", "run_no", "alone", *SeriesKey._fields[1:], *SUMMARY_COLUMNS)
_datasets = _table("datasets", "dataset_no", "name", "digest")
_uses = _table("run_datasets", "run_no", "dataset_no", "context")
_pairs = {
    "runs": {"param": ("params", "run_no"), "tag": ("tags", "run_no")},
    "experiments": {"tag": ("experiment_tags", "experiment_id")},
    "models": {"param": ("model_params", "model_id"), "tag": ("model_tags", "model_id")},
}
_tables = {"runs": _runs, "experiments": _experiments, "models": _models}
_ids = {
    "runs": _runs.c.run_id,
    "experiments": _experiments.c.experiment_id,
    "models": _models.c.model_id,
}
_OTHER_NAMES = {"run_name": "name"}


def search(connection: Connection, query: Query) -> list[str]:
    """Return the ids that a query asks for.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE where it is too large to be answered.

    """
    if len(query.conditions) > MOST_CONDITIONS or len(query.order) > MOST_ORDERS:
        raise invalid(
            f"A search can have at most {MOST_CONDITIONS} conditions and {MOST_ORDERS} orders. Got "
            f"{len(query.conditions)} and {len(query.order)}."
        )
    compiled = (
        _Statement(connection, query)
        .build()
        .compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    )
    values = [compiled.params[name] for name in compiled.positiontup or ()]
    return [each for [each] in connection.execute(str(compiled), values)]


class _Statement:
    """One query on its way to SQL."""

    def __init__(self, connection: Connection, query: Query) -> None:
        self._connection = connection
        self._query = query
        self._table = _tables[query.what]
        self._owner = self._table.c.run_no if query.what == "runs" else _ids[query.what]
        self._source: sa.FromClause = self._table
        self._numbers = count()
        self._leads = False  # whether a metric's condition leads

    def build(self) -> sa.Select[Any]:
        where = [self._condition(condition) for condition in self._query.conditions]
        order = [
            expression
            for each in (*self._query.order, *TIE_BREAKS[self._query.what])
            for expression in self._order(each)
        ]
        statement = sa.select(_ids[self._query.what]).select_from(self._source)
        statement = statement.where(*where, *self._scope()).order_by(*order)
        if self._query.limit is not None:
            statement = statement.limit(self._query.limit)
        elif self._query.offset:
            statement = statement.limit(-1)
        return statement.offset(self._query.offset) if self._query.offset else statement

    def _scope(self) -> Iterator[sa.ColumnElement[bool]]:
        """Say which experiments and lifecycle stages are meant, and measured on which datasets."""
        yield self._table.c.lifecycle_stage.in_(self._query.stages)
        if self._query.experiment_ids is not None:
            experiment: sa.ColumnElement[Any] = self._table.c.experiment_id
            if self._leads:  # the plus keeps SQLite from beginning with an index of runs
                experiment = sa.literal_column("+runs.experiment_id")
            yield experiment.in_(_listed(self._query.experiment_ids))
        if self._query.datasets:
            measured = self._measured_by_model(None)
            yield sa.exists().where(measured.c.model_id == self._owner, self._on_datasets(measured))

    # -- conditions ---------------------------------------------------------------------------

    def _condition(self, condition: Condition) -> sa.ColumnElement[bool]:
        field, what = condition.field, self._query.what
        if field.kind == "attribute":
            return _compare(self._attribute(field), condition)
        if field.kind == "dataset":
            return self._used(condition)
        if field.kind == "metric":
            return self._metric(condition) if what == "runs" else self._model_metric(condition)
        name, column = _pairs[what][field.kind]
        pairs = _table(name, column, "key", "value").alias(self._name())
        found = (pairs.c[column] == self._owner) & (pairs.c.key == field.key)
        if condition.comparator == "IS NULL":
            return ~sa.exists().where(found)
        return sa.exists().where(found, _compare(pairs.c.value, condition))

    def _attribute(self, field: Field) -> sa.ColumnElement[Any]:
        column: sa.ColumnElement[Any] = self._table.c[_OTHER_NAMES.get(field.key, field.key)]
        if field.key == "artifact_uri":
            parts = (self._query.artifacts, _runs.c.experiment_id, _runs.c.run_id, "artifacts")
            first, *rest = (sa.literal(part) if isinstance(part, str) else part for part in parts)
            place = reduce(lambda path, part: path.concat("/").concat(part), rest, first)
            return sa.case((column == "", place), else_=column)
        return column

    def _used(self, condition: Condition) -> sa.ColumnElement[bool]:
        uses, datasets = _uses.alias(self._name()), _datasets.alias(self._name())
        column = (uses if condition.field.key == "context" else datasets).c[condition.field.key]
        return sa.exists().where(
            uses.c.run_no == self._owner,
            uses.c.dataset_no == datasets.c.dataset_no,
            _compare(column, condition),
        )

    def _metric(self, condition: Condition) -> sa.ColumnElement[bool]:
        values, part = self._values_of(condition.field)
        holds = _compare_number(values.c.value, part, condition)
        if self._leads:
            return sa.exists().where(values.c.run_no == self._owner, holds)
        self._leads = True
        self._source = values.join(self._source, values.c.run_no == self._owner)
        return holds

    def _values_of(self, field: Field) -> tuple[sa.FromClause, str]:
        """Return the runs that have a metric, each once, with what is asked of it."""
        key, part = field.key, "last"
        if not self._exists("series WHERE key = ?", key):
            key, part = split_part(key) or (key, part)
        series = _series.alias(self._name())
        value = series.c[PARTS[part]].label("value")
        alone = sa.select(series.c.run_no, value).where(series.c.key == key, series.c.alone == 1)
        # SQLite would look through all series of the key, for that index holds all it asks for.
        siblings = "series INDEXED BY series_with_siblings WHERE key = ? AND alone = 0"
        if not self._exists(siblings, key):
            return alone.subquery(self._name()), part
        if part == "mean":
            # The type checker knows aggregates of one argument only.
            self._connection.create_aggregate("merged_mean", 2, _MergedMean)  # type: ignore[arg-type]
        return sa.union_all(alone, _merged(key, part)).subquery(self._name()), part

    def _exists(self, source: str, key: str) -> bool:
        query = f"SELECT 1 FROM {source} LIMIT 1"
        return self._connection.execute(query, (key,)).fetchone() is not None

    # -- metrics of logged models ---------------------------------------------------------------

    def _model_metric(self, condition: Condition) -> sa.ColumnElement[bool]:
        """Say that one of the points that were logged for a model satisfies a condition."""
        series = self._measured_by_model(condition.field.key)
        if condition.comparator == "=":
            return self._owner.in_(_listed(self._with_a_point(series, condition)))
        return sa.exists().where(
            series.c.model_id == self._owner,
            self._on_datasets(series),
            _some_point(series, condition),
        )

    def _with_a_point(self, series: sa.FromClause, condition: Condition) -> list[str]:
        """Return the models with a point of exactly this value, for which points must be read."""
        wanted = _number(condition.value)
        low, high = condition._replace(comparator="<="), condition._replace(comparator=">=")
        statement = sa.select(series.c.model_id, series.c.series_id).where(
            self._on_datasets(series),
            _some_point(series, low),
            _some_point(series, high),
        )
        compiled = statement.compile(dialect=_DIALECT)
        values = [compiled.params[name] for name in compiled.positiontup or ()]
        rows = self._connection.execute(str(compiled), values).fetchall()
        return [model_id for model_id, series_id in rows if self._holds(series_id, wanted)]

    def _holds(self, series_id: int, value: float) -> bool:
        pieces = read_pieces(self._connection, series_id)
        groups = (read_group(self._connection, pieces, group) for group in pieces.groups())
        return any(bool((columns.value == value).any()) for columns in groups)

    def _measured_by_model(self, key: str | None) -> sa.FromClause:
        series = _series.alias(self._name())
        statement = sa.select(*series.c).where(series.c.model_id != "")
        if key is not None:
            statement = statement.where(series.c.key == key)
        return statement.subquery(self._name())

    def _on_datasets(self, series: sa.FromClause) -> sa.ColumnElement[bool]:
        if not self._query.datasets:
            return sa.true()
        return sa.or_(
            *(
                sa.and_(
                    series.c.dataset_name == name,
                    sa.true() if digest is None else series.c.dataset_digest == digest,
                )
                for name, digest in self._query.datasets
            )
        )

    # -- orders ---------------------------------------------------------------------------------

    def _order(self, order: Order) -> Iterator[sa.ColumnElement[Any]]:
        """Yield what an order sorts by: numbers, then NaN, then what is missing."""
        field = order.field
        if field.kind == "attribute":
            value = self._attribute(field)
            if field.key == "experiment_id":
                value = sa.cast(value, sa.BigInteger)
            elif field.key == "status" and self._query.what == "models":
                value = sa.case(STATUS_RANKS, value=value)
            rank: sa.ColumnElement[Any] = sa.case((value.is_(None), 2), else_=0)
        elif field.kind == "metric":
            value, rank = self._order_of_metric(order)
        else:
            name, column = _pairs[self._query.what][field.kind]
            pairs = _table(name, column, "key", "value").alias(self._name())
            on = (pairs.c[column] == self._owner) & (pairs.c.key == field.key)
            self._source = self._source.outerjoin(pairs, on)
            value = pairs.c.value
            rank = sa.case((value.is_(None), 2), else_=0)
        yield rank
        yield value.asc() if order.ascending else value.desc()

    def _order_of_metric(self, order: Order) -> tuple[sa.ColumnElement[Any], sa.ColumnElement[Any]]:
        if self._query.what == "runs":
            values, part = self._values_of(order.field)
            owner = values.c.run_no
        else:
            values, part = self._last_of_models(order), "last"
            owner = values.c.model_id
        self._source = self._source.outerjoin(values, owner == self._owner)
        value: sa.ColumnElement[Any] = values.c.value
        if part in _COUNTS:
            return value, sa.case((value.is_(None), 2), else_=0)
        number = value.between(_LOWEST, _HIGHEST)
        rank = sa.case((value.is_(None), 2), (number, 0), else_=1)
        # Minus zero is no less than zero, and no NaN less than another.
        return sa.case((value == _MINUS_ZERO, _ZERO), (number, value), else_=_ZERO), rank

    def _last_of_models(self, order: Order) -> sa.FromClause:
        series = self._measured_by_model(order.field.key)
        statement = sa.select(
            series.c.model_id,
            series.c.last_value.label("value"),
            _place(series, series.c.model_id, "last").label("place"),
        ).where(self._on_datasets(series))
        if order.dataset_name is not None:
            statement = statement.where(series.c.dataset_name == order.dataset_name)
        if order.dataset_digest is not None:
            statement = statement.where(series.c.dataset_digest == order.dataset_digest)
        ranked = statement.subquery(self._name())
        return sa.select(ranked).where(ranked.c.place == 1).subquery(self._name())

    def _name(self) -> str:
        return f"t{next(self._numbers)}"


def _listed(values: Sequence[str]) -> sa.Select[Any]:
    """Return any number of values by one parameter, for IN."""
    listed = sa.func.json_each(json.dumps(list(values))).table_valued("value")
    return sa.select(listed.c.value)


def _compare(column: sa.ColumnElement[Any], condition: Condition) -> sa.ColumnElement[bool]:
    """Compare a column of texts or of integers."""
    comparator, value = condition.comparator, condition.value
    if comparator == "IS NULL":
        return column.is_(None)
    if comparator == "IS NOT NULL":
        return column.is_not(None)
    if isinstance(value, tuple):
        listed = column.in_(_listed(value))
        return listed if comparator == "IN" else ~listed
    if comparator in ("LIKE", "ILIKE"):
        return _like(column, str(value), sensitive=comparator == "LIKE")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        value = math.copysign(math.inf, value)
    return column.op(comparator, is_comparison=True)(value)


def _like(
    column: sa.ColumnElement[Any], pattern: str, *, sensitive: bool
) -> sa.ColumnElement[bool]:
    if len(pattern) > _LONGEST_PATTERN:
        raise invalid(f"A pattern can have at most {_LONGEST_PATTERN} characters.")
    if not sensitive:  # SQLite's LIKE takes the letters A to Z for a to z
        return column.op("LIKE", is_comparison=True)(pattern)
    glob = "".join(_GLOB.get(character, character) for character in pattern)
    return column.op("GLOB", is_comparison=True)(glob)


_GLOB = {"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}


def _compare_number(
    column: sa.ColumnElement[Any], part: str, condition: Condition
) -> sa.ColumnElement[bool]:
    """Compare what is asked of a metric."""
    if part in _COUNTS:
        return _compare(column, condition)
    holds = _within(column, condition)
    return ~holds if condition.comparator == "!=" else holds


def _within(column: sa.ColumnElement[Any], condition: Condition) -> sa.ColumnElement[bool]:
    """Say that the bits of a float lie where a condition wants them; for ``!=``, where not."""
    low, high = _bounds(condition.value)
    ranges = {
        "=": (low, high),
        "!=": (low, high),
        "<": (_LOWEST, low - 1),
        "<=": (_LOWEST, high),
        ">": (high + 1, _HIGHEST),
        ">=": (low, _HIGHEST),
    }
    return column.between(*ranges[condition.comparator])


def _number(value: object) -> float:
    assert isinstance(value, float), "parsers make floats of what a metric is compared with"
    return value


def _bounds(value: object) -> tuple[int, int]:
    """Return the least and the greatest bits that equal a number."""
    number = _number(value)
    return (_MINUS_ZERO, _ZERO) if number == 0 else (_bits(number), _bits(number))


def _some_point(series: sa.FromClause, condition: Condition) -> sa.ColumnElement[bool]:
    """Say of a series, by its extremes, that one of its points satisfies a condition."""
    low, high = series.c.min_value, series.c.max_value
    if condition.comparator == "!=":
        equal = _within(low, condition) & _within(high, condition)
        return ~equal | (series.c.nan_count > 0)
    return _within(low if condition.comparator in ("<", "<=") else high, condition)


def _merged(key: str, part: str) -> sa.Select[Any]:
    """Return what is asked of a metric of runs that have several series of it."""
    series = _series.alias(f"siblings_{part}")
    some = sa.select(series.c.run_no).where(series.c.key == key, series.c.alone == 0)
    if part in ("first", "last"):
        ranked = some.add_columns(
            series.c[PARTS[part]].label("value"),
            _place(series, series.c.run_no, part).label("place"),
        ).subquery()
        return sa.select(ranked.c.run_no, ranked.c.value).where(ranked.c.place == 1)
    numbers = series.c["count"] - series.c.nan_count
    merged = {
        "min": sa.func.coalesce(sa.func.min(sa.case((numbers > 0, series.c.min_value))), _NAN),
        "max": sa.func.coalesce(sa.func.max(sa.case((numbers > 0, series.c.max_value))), _NAN),
        "mean": sa.func.merged_mean(numbers, series.c.mean),
        "count": sa.func.sum(series.c["count"]),
        "nan_count": sa.func.sum(series.c.nan_count),
    }
    return some.add_columns(merged[part].label("value")).group_by(series.c.run_no)


def _place(
    series: sa.FromClause, partition: sa.ColumnElement[Any], part: str
) -> sa.ColumnElement[int]:
    """Number the series of each run or model, the one with its first or last point as 1."""
    value = series.c[PARTS[part]]
    ranks = (
        series.c[f"{part}_step"],
        series.c[f"{part}_timestamp"],
        sa.case((value.between(_LOWEST, _HIGHEST), value), else_=_ZERO),  # NaN counts as 0
    )
    order = [rank.desc() if part == "last" else rank.asc() for rank in ranks]
    return sa.func.row_number().over(partition_by=partition, order_by=order)


class _MergedMean:
    """An aggregate of SQLite: the mean of several series, given how many numbers each has."""

    def __init__(self) -> None:
        self._numbers, self._sum = 0, 0.0

    def step(self, numbers: int, mean: int, /) -> None:
        if numbers:
            bits = mean if mean >= 0 else mean ^ 0x7FFF_FFFF_FFFF_FFFF
            self._numbers += numbers
            self._sum += numbers * struct.unpack("<d", struct.pack("<q", bits))[0]

    def finalize(self) -> int:
        return _bits(self._sum / self._numbers) if self._numbers else _NAN
