"""Tables as text, in the width of a screen; and how series and numbers are written in them.

Values go in, text comes out: nothing here reads a store, and nothing prints. Charts are in
`steplog.braille`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from steplog.braille import Curve, sparkline
from steplog.screen import Screen, paint, printable, shortened, widest, width_of

if TYPE_CHECKING:
    from steplog.entities import Summary
    from steplog.operations import SeriesKey

_GAP = 2  # between two columns of a table
_NARROWEST_TEXT = 24  # a table's text is shortened down to this before columns are left out


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        title: its heading.
        number: its cells stand to the right and are never shortened.
        optional: it is left out where the screen is too narrow.

    """

    title: str
    number: bool = False
    optional: bool = False


class Cell(NamedTuple):
    """A cell of a table, with a style of `steplog.screen.paint`."""

    text: str
    style: str = ""


def table(columns: Sequence[Column], rows: Iterable[Sequence[str | Cell]], screen: Screen) -> str:
    """Lay out rows below their headings, in the width of the screen.

    Optional columns that do not fit are left out, the last one first; then text is shortened.
    """
    cells = [
        [
            each._replace(text=printable(each.text, screen))
            for each in (cell if isinstance(cell, Cell) else Cell(cell) for cell in row)
        ]
        for row in rows
    ]
    kept = _columns_that_fit(columns, cells, screen.width)
    widths = _widths([columns[index] for index in kept], _natural(columns, cells, kept), screen)

    def line(row: Sequence[Cell]) -> str:
        placed = (
            _placed(row[index], width, columns[index].number, screen)
            for index, width in zip(kept, widths, strict=True)
        )
        return (" " * _GAP).join(placed).rstrip()

    rule = ("─" if screen.unicode else "-") * (sum(widths) + _GAP * (len(widths) - 1))
    titles = [Cell(printable(column.title, screen), "bold") for column in columns]
    return "\n".join([line(titles), paint(rule, "dim", screen), *map(line, cells)])


def _placed(cell: Cell, width: int, right: bool, screen: Screen) -> str:
    """Fill a cell up to its width, its text shortened where it must be."""
    text = shortened(cell.text, width, screen)
    room = " " * (width - width_of(text))
    text = paint(text, cell.style, screen)
    return room + text if right else text + room


def _natural(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], kept: Sequence[int]
) -> list[int]:
    return [widest([columns[index].title, *(row[index].text for row in rows)]) for index in kept]


def _widths(columns: Sequence[Column], natural: Sequence[int], screen: Screen) -> list[int]:
    """Take from the widest texts, column by column, until all fits; numbers stay whole."""
    widths = list(natural)
    texts = [place for place, column in enumerate(columns) if not column.number]
    over = sum(widths) + _GAP * (len(widths) - 1) - screen.width
    while over > 0 and texts:
        longest = max(texts, key=lambda place: widths[place])
        if widths[longest] <= 1:
            break
        widths[longest] -= 1
        over -= 1
    return widths


def summary_table(
    summaries: Sequence[Summary], screen: Screen, curves: Sequence[Curve | None] = ()
) -> str:
    """Lay out what is known of each series: its last value, extremes, mean and count.

    Args:
        summaries: one for each line of the table.
        screen: where it will be shown.
        curves: one for each summary, to be drawn as sparklines, or none at all.

    """
    columns = [
        Column("series"),
        *([Column("curve")] if curves else []),
        Column("last", number=True),
        Column("min", number=True),
        Column("at step", number=True, optional=True),
        Column("max", number=True),
        Column("at step", number=True, optional=True),
        Column("mean", number=True, optional=True),
        Column("points", number=True),
    ]
    rows: list[list[str | Cell]] = [
        [
            series_name(summary),
            number(summary.last),
            number(summary.min),
            _step(summary.min_step),
            number(summary.max),
            _step(summary.max_step),
            number(summary.mean),
            _count(summary.count, summary.nan_count),
        ]
        for summary in summaries
    ]
    for row, curve in zip(rows, curves, strict=bool(curves)):
        row.insert(1, sparkline(curve, screen) if curve else "")
    return table(columns, rows, screen)


def series_name(series: Summary | SeriesKey) -> str:
    """Return the key, and what else tells a series from others of the same key.

    The first attempt and the first rank go without saying.
    """
    name = series.key
    if series.model_id:
        name += f" model {series.model_id}"
    if series.dataset_name:
        name += f" on {series.dataset_name}"
    if series.dataset_digest:
        name += f"@{series.dataset_digest}"
    if series.attempt:
        name += f" attempt {series.attempt}"
    if series.rank > 0:
        name += f" rank {series.rank}"
    return name


def number(value: float | None) -> str:
    """Return five digits of a value, all digits of whole ones, and a dash for None.

    Example:
        >>> [number(value) for value in (0.123456, 100_000.0, float("-inf"), None)]
        ['0.12346', '100000', '-Infinity', '-']

    """
    if value is None:
        return "-"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == int(value) and abs(value) < 1e7:
        return f"{value:.0f}"
    return f"{value:.5g}"


def _columns_that_fit(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int
) -> list[int]:
    """Return the columns to show: all, without optional ones from the right until they fit."""

    def least(index: int) -> int:
        wanted = widest([columns[index].title, *(row[index].text for row in rows)])
        return wanted if columns[index].number else min(wanted, _NARROWEST_TEXT)

    kept = list(range(len(columns)))
    optional = [index for index in kept if columns[index].optional]
    while optional and sum(map(least, kept)) + _GAP * (len(kept) - 1) > width:
        kept.remove(optional.pop())
    return kept


def _step(step: int | None) -> str:
    return "-" if step is None else f"{step:,}"


def _count(points: int, nan_points: int) -> Cell:
    if not nan_points:
        return Cell(f"{points:,}")
    return Cell(f"{points:,} ({nan_points:,} NaN)", "red")
