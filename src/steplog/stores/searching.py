"""Searching the catalog: a `steplog.query.Query` as SQL, built with SQLAlchemy Core.

What a query means is said by `steplog.query.matches` and `sort_key`; this module says the same in
SQL, and the property tests compare the two. SQLAlchemy only writes the text here: it is executed on
the store's own connection. What SQLite and PostgreSQL say differently is in `_SQLite` and
`_Postgres`.

Three things make it fast where there are many runs. What is known of a metric stands in the row of
its series, so no point is read. The first condition on a metric leads: the index
``series_of_keys`` holds its values side by side. And an order looks up one value of each run that
is left.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import count
from typing import Any, Protocol

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.base import PGDialect

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
from steplog.stores.connection import Connection, Dialect, bits_of, floats_of
from steplog.stores.pieces import read_groups, read_pieces
from steplog.stores.schema import SUMMARY_COLUMNS


def _bits(value: float) -> int:
    """Return the integer by which the catalog keeps a float; it sorts as the float does."""
    [bits] = bits_of(np.array([value]))
    return bits


_LOWEST, _HIGHEST, _NAN = (_bits(each) for each in (-math.inf, math.inf, math.nan))
_MINUS_ZERO, _ZERO = _bits(-0.0), _bits(0.0)
_COUNTS = ("count", "nan_count")
"""The parts of a metric that are kept as integers; all others are floats, kept as their bits."""

MOST_CONDITIONS = 200
MOST_ORDERS = 20
"""SQLite joins at most 64 tables, and each order may need one."""
_LONGEST_PATTERN = 10_000
_JOINED = 8


class _Database(Protocol):
    """How conditions are said to one kind of database."""

    @property
    def writes(self) -> sa.Dialect:
        """How SQLAlchemy writes."""
        ...

    def listed(self, values: Sequence[str]) -> sa.Select[Any]:
        """Return any number of values by one parameter, for IN."""
        ...

    def pairs(self, rows: Sequence[tuple[int, int]]) -> sa.Select[Any]:
        """Return any number of rows ``(run_no, value)``."""
        ...

    def like(
        self, column: sa.ColumnElement[Any], pattern: str, sensitive: bool
    ) -> sa.ColumnElement[bool]:
        """Compare with a pattern; where it is not sensitive, A to Z count as a to z."""
        ...

    def number(self, digits: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Return the number that a text of digits says."""
        ...

    def filtered(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Return a column by whose index a search must not begin."""
        ...


class _SQLite:
    writes = sqlite.dialect(paramstyle="qmark")

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def listed(self, values: Sequence[str]) -> sa.Select[Any]:
        listed = sa.func.json_each(self._dialect.listed(values)).table_valued("value")
        return sa.select(listed.c.value)

    def pairs(self, rows: Sequence[tuple[int, int]]) -> sa.Select[Any]:
        pair = sa.func.json_each(self._dialect.listed(rows)).table_valued("value").c.value
        columns = (sa.func.json_extract(pair, path) for path in ("$[0]", "$[1]"))
        return sa.select(*map(sa.ColumnElement.label, columns, ("run_no", "value")))

    def like(
        self, column: sa.ColumnElement[Any], pattern: str, sensitive: bool
    ) -> sa.ColumnElement[bool]:
        if not sensitive:  # SQLite's LIKE takes the letters A to Z for a to z
            return column.op("LIKE", is_comparison=True)(pattern)
        glob = "".join(_GLOB.get(character, character) for character in pattern)
        return column.op("GLOB", is_comparison=True)(glob)

    def number(self, digits: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.cast(digits, sa.BigInteger)

    def filtered(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.literal_column(f"+{column}")  # the plus keeps the index from being used


class _Postgres:
    writes: sa.Dialect = PGDialect(paramstyle="qmark")  # type: ignore[no-untyped-call]

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def listed(self, values: Sequence[str]) -> sa.Select[Any]:
        return sa.select(self._unnested(values, sa.Text))

    def pairs(self, rows: Sequence[tuple[int, int]]) -> sa.Select[Any]:
        run_nos, values = (self._unnested([row[i] for row in rows], sa.BigInteger) for i in (0, 1))
        return sa.select(run_nos.label("run_no"), values.label("value"))

    def _unnested(
        self, values: Sequence[Any], kind: type[sa.types.TypeEngine[Any]]
    ) -> sa.ColumnElement[Any]:
        array = postgresql.ARRAY(kind)
        return sa.func.unnest(sa.cast(sa.literal(self._dialect.listed(values), array), array))

    def like(
        self, column: sa.ColumnElement[Any], pattern: str, sensitive: bool
    ) -> sa.ColumnElement[bool]:
        like, matches = ("LIKE", "~") if sensitive else ("ILIKE", "~*")
        plain = column.op(like, is_comparison=True)(pattern.replace("\\", "\\\\"))
        if "_" not in pattern:
            return plain
        # Where one character of a text is kept as two (`postgres_values`), it must be matched so.
        one = "(\\u0001.|[^\\u0001])"
        parts = (".*" if c == "%" else one if c == "_" else _escaped(c) for c in pattern)
        exact = column.op(matches, is_comparison=True)(f"^{''.join(parts)}$")
        return sa.case(
            (sa.func.strpos(column, sa.literal_column("chr(1)")) > 0, exact), else_=plain
        )

    def number(self, digits: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        number = sa.cast(digits, sa.Numeric)
        return sa.case((digits.op("~", is_comparison=True)("^[0-9]+$"), number), else_=0)

    def filtered(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return column


_DATABASES: dict[str, Callable[[Dialect], _Database]] = {
    "sqlite": _SQLite,
    "postgresql": _Postgres,
}
_SPECIAL = frozenset("\\.[](){}*+?^$|")
_GLOB = {"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}


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
    statement = _Statement(connection, query)
    return [each for [each] in statement.execute(statement.build())]


class _Statement:
    """One query on its way to SQL."""

    def __init__(self, connection: Connection, query: Query) -> None:
        self._connection = connection
        self._database = _DATABASES[connection.dialect.name](connection.dialect)
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
        return statement.offset(self._query.offset) if self._query.offset else statement

    def execute(self, statement: sa.Select[Any]) -> list[Any]:
        compiled = statement.compile(
            dialect=self._database.writes, compile_kwargs={"render_postcompile": True}
        )
        values = [compiled.params[name] for name in compiled.positiontup or ()]
        return self._connection.execute(str(compiled), values).fetchall()

    def _scope(self) -> Iterator[sa.ColumnElement[bool]]:
        """Say which experiments and lifecycle stages are meant, and measured on which datasets."""
        yield self._table.c.lifecycle_stage.in_(self._query.stages)
        if self._query.experiment_ids is not None:
            experiment: sa.ColumnElement[Any] = self._table.c.experiment_id
            if self._leads:
                experiment = self._database.filtered(experiment)
            yield experiment.in_(self._database.listed(self._query.experiment_ids))
        if self._query.datasets:
            measured = self._measured_by_model(None)
            yield sa.exists().where(measured.c.model_id == self._owner, self._on_datasets(measured))

    # -- conditions ---------------------------------------------------------------------------

    def _condition(self, condition: Condition) -> sa.ColumnElement[bool]:
        field, what = condition.field, self._query.what
        if field.kind == "attribute":
            return self._compare(self._attribute(field), condition)
        if field.kind == "dataset":
            return self._used(condition)
        if field.kind == "metric":
            return self._metric(condition) if what == "runs" else self._model_metric(condition)
        name, column = _pairs[what][field.kind]
        pairs = _table(name, column, "key", "value").alias(self._name())
        found = (pairs.c[column] == self._owner) & (pairs.c.key == field.key)
        if condition.comparator == "IS NULL":
            return ~self._some(found)
        return self._some(found, self._compare(pairs.c.value, condition))

    def _some(self, *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
        """Say that there is a row for which all of this holds."""
        if len(self._query.conditions) <= _JOINED:
            return sa.exists().where(*conditions)
        # Said so, PostgreSQL asks for each row of the result, instead of looking for the best way
        # to join hundreds of tables, which takes it a quarter of a minute.
        one: sa.ColumnElement[int] = sa.literal_column("1")
        some = sa.select(one).where(*conditions).offset(sa.literal_column("0"))
        return sa.exists(some)

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
        return self._some(
            uses.c.run_no == self._owner,
            uses.c.dataset_no == datasets.c.dataset_no,
            self._compare(column, condition),
        )

    def _metric(self, condition: Condition) -> sa.ColumnElement[bool]:
        values, part = self._values_of(condition.field)
        holds = self._compare_number(values.c.value, part, condition)
        if self._leads:
            return self._some(values.c.run_no == self._owner, holds)
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
        indexed = self._connection.dialect.indexed_by("series_with_siblings")
        if not self._exists(f"series {indexed} WHERE key = ? AND alone = 0", key):
            return alone.subquery(self._name()), part
        merged = self._merged_means(key) if part == "mean" else _merged(key, part)
        return sa.union_all(alone, merged).subquery(self._name()), part

    def _merged_means(self, key: str) -> sa.Select[Any]:
        """Return the mean of a metric of runs that have several series of it."""
        rows = self._connection.execute(
            "SELECT run_no, count - nan_count, mean FROM series WHERE key = ? AND alone = 0", (key,)
        ).fetchall()
        runs, owners = np.unique([row[0] for row in rows], return_inverse=True)
        numbers = np.array([row[1] for row in rows], np.float64)
        sums = np.where(numbers > 0, floats_of([row[2] for row in rows]) * numbers, 0.0)
        with np.errstate(invalid="ignore"):  # no numbers, or infinities of both signs
            means = np.bincount(owners, sums) / np.bincount(owners, numbers)
        return self._database.pairs([*zip(runs.tolist(), bits_of(means), strict=True)])

    def _exists(self, source: str, key: str) -> bool:
        query = f"SELECT 1 FROM {source} LIMIT 1"
        return self._connection.execute(query, (key,)).fetchone() is not None

    def _compare(
        self, column: sa.ColumnElement[Any], condition: Condition
    ) -> sa.ColumnElement[bool]:
        """Compare a column of texts or of integers."""
        comparator, value = condition.comparator, condition.value
        if comparator == "IS NULL":
            return column.is_(None)
        if comparator == "IS NOT NULL":
            return column.is_not(None)
        if isinstance(value, tuple):
            listed = column.in_(self._database.listed(value))
            return listed if comparator == "IN" else ~listed
        if comparator in ("LIKE", "ILIKE"):
            pattern = str(value)
            if len(pattern) > _LONGEST_PATTERN:
                raise invalid(f"A pattern can have at most {_LONGEST_PATTERN} characters.")
            return self._database.like(column, pattern, comparator == "LIKE")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            value = math.copysign(math.inf, value)
        return column.op(comparator, is_comparison=True)(value)

    def _compare_number(
        self, column: sa.ColumnElement[Any], part: str, condition: Condition
    ) -> sa.ColumnElement[bool]:
        """Compare what is asked of a metric."""
        if part in _COUNTS:
            return self._compare(column, condition)
        holds = _within(column, condition)
        return ~holds if condition.comparator == "!=" else holds

    # -- metrics of logged models ---------------------------------------------------------------

    def _model_metric(self, condition: Condition) -> sa.ColumnElement[bool]:
        """Say that one of the points that were logged for a model satisfies a condition."""
        series = self._measured_by_model(condition.field.key)
        if condition.comparator == "=":
            return self._owner.in_(self._database.listed(self._with_a_point(series, condition)))
        return self._some(
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
        rows = self.execute(statement)
        return [model_id for model_id, series_id in rows if self._holds(series_id, wanted)]

    def _holds(self, series_id: int, value: float) -> bool:
        pieces = read_pieces(self._connection, series_id)
        groups = read_groups(self._connection, pieces, pieces.groups())
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
                value = self._database.number(value)
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


def _escaped(character: str) -> str:
    """Return a regular expression of PostgreSQL for a character."""
    return f"\\{character}" if character in _SPECIAL else character


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
        "count": sa.cast(sa.func.sum(series.c["count"]), sa.BigInteger),
        "nan_count": sa.cast(sa.func.sum(series.c.nan_count), sa.BigInteger),
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
