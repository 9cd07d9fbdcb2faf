"""Series and tables drawn as text: curves in braille dots, sparklines, tables.

Values go in, text comes out: nothing here reads a store, and nothing prints. What can be shown
where the text goes (width, Unicode, colour) is a `Screen`, made once by the caller.

A curve is drawn as the span from its lowest to its highest value in each column of dots, never as
a sample of it, so a spike of one step always shows at its full height. What has no place on the
y axis (NaN, infinities and, where it is logarithmic, what is not positive) leaves a gap and is
marked in a row of its own: it is seen, not bridged.
"""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple, TextIO

import numpy as np
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from steplog import ticks

if TYPE_CHECKING:
    import numpy.typing as npt

    from steplog.entities import Summary
    from steplog.operations import SeriesKey

    Floats = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]
    Integers = npt.NDArray[np.int64]

WIDEST_CHART = 100  # a wider one is not calmer
PIPED_WIDTH = 4096  # text for another program is not cut to the width of a window

# Colours of the terminal's own palette, which suit light and dark backgrounds alike.
_COLOURS = (36, 33, 35, 32, 34)
_LETTERS = "*o+#@"
_ALARM = 31
_BOLD = 1
_DIM = 2

# The bit of each dot of a braille character, by row and column (Unicode, "Braille Patterns").
_BRAILLE_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
_BRAILLE_BLANK = 0x2800

# One cell of an ASCII sparkline, by the thirds of it that are filled: 1 low, 2 middle, 4 high.
_THIRDS = " _-|^|||"

_ASCII_RULE = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
_GAP = 2  # between two columns of such a table
_NARROWEST_TEXT = 24  # a table's text is shortened down to this before columns are left out


class Screen(NamedTuple):
    """What can be shown where the text goes.

    Attributes:
        width: columns of text.
        unicode: braille dots and box-drawing characters can be printed.
        colour: escape sequences for colours are understood, and wanted.

    """

    width: int = 80
    unicode: bool = True
    colour: bool = False

    @classmethod
    def of(cls, stream: TextIO, *, colour: bool = True) -> Screen:
        """Return what `stream`, such as ``sys.stdout``, can show.

        Args:
            stream: where the text will be printed.
            colour: False where the user wants none (``NO_COLOR``).

        """
        console = Console(file=stream, no_color=not colour)
        return cls(
            width=console.width if console.is_terminal else PIPED_WIDTH,
            unicode=_can_encode("⣿│×…", stream.encoding or "utf-8"),
            colour=colour and console.color_system is not None,
        )


class Curve(NamedTuple):
    """One line of a chart: its name, and its points with their steps ascending."""

    name: str
    steps: Integers
    values: Floats


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
    """A cell of a table, with a style as rich names them, such as ``bold red``."""

    text: str
    style: str = ""


def line_chart(
    curves: Sequence[Curve], screen: Screen, *, height: int = 10, log: bool = False
) -> str:
    """Draw curves over their steps on one pair of axes.

    Args:
        curves: one or more, each with one point or more.
        screen: where it will be shown; the chart takes its width, up to `WIDEST_CHART`.
        height: lines between the axes.
        log: make the y axis logarithmic.

    Returns:
        Lines without a line break at the end.

    Example:
        >>> curve = Curve("loss", np.arange(5), np.array([4.0, 3.0, 2.0, 1.0, 0.0]))
        >>> print(line_chart([curve], Screen(width=30, unicode=False), height=3))
        loss
        4 |******
        2 |     ************
        0 |                ******
          +---------------------- step
           0    1    2     3    4

    """
    frame = _Frame(curves, log)
    # Braille dots of several curves are told apart by colour alone; letters do without.
    braille = screen.unicode and (screen.colour or len(curves) == 1)
    wall, floor, corner, cross = "│─└×" if screen.unicode else "|-+x"
    labels = frame.value_labels(height, dots=4 if braille else 1)
    marked = frame.outside()
    gutter = _longest([*labels.values(), *marked])
    width = max(min(screen.width, WIDEST_CHART) - gutter - len("  step "), 8)

    def row(label: str, content: str) -> str:
        return _paint(f"{label:>{gutter}} {wall}", _DIM, screen) + content

    marks = {
        label: row(label, _paint(frame.marks(flags, width, cross), _ALARM, screen))
        for label, flags in marked.items()
    }
    lines = [
        _legend(curves, screen, braille),
        *([marks.pop("+Inf")] if "+Inf" in marks else []),
        *(
            row(labels.get(number, ""), content)
            for number, content in enumerate(_plot(frame, width, height, braille, screen))
        ),
        *marks.values(),
        _paint(" " * gutter + f" {corner}{floor * width} step", _DIM, screen),
        _paint(" " * gutter + "  " + frame.step_labels(width), _DIM, screen),
    ]
    return "\n".join(line.rstrip() for line in lines)


def sparkline(curve: Curve, screen: Screen, *, width: int = 16) -> str:
    """Draw a curve of one point or more in one line of `width` characters, without axes."""
    frame = _Frame([curve], log=False)
    if screen.unicode:
        cells = _braille(_raster(*frame.lines[0], columns=2 * width, rows=4))[0]
    else:
        thirds = _raster(*frame.lines[0], columns=width, rows=3)
        cells = np.array([ord(mark) for mark in _THIRDS])[np.array([4, 2, 1]) @ thirds]
    drawn = "".join(map(chr, cells))
    cross = "×" if screen.unicode else "x"
    lost = frame.marks([~np.isfinite(curve.values)], width, cross)
    return "".join(dot if mark == " " else mark for mark, dot in zip(lost, drawn, strict=True))


def table(columns: Sequence[Column], rows: Iterable[Sequence[str | Cell]], screen: Screen) -> str:
    """Lay out rows below their headings, in the width of the screen.

    Optional columns that do not fit are left out, the last one first; then text is shortened.
    """
    cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    layout = Table(
        box=box.SIMPLE_HEAD if screen.unicode else _ASCII_RULE,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
        border_style="dim",
    )
    kept = _columns_that_fit(columns, cells, screen.width)
    for index in kept:
        column = columns[index]
        layout.add_column(
            column.title, justify="right" if column.number else "left", no_wrap=column.number
        )
    for row in cells:
        layout.add_row(*(_cell_text(row[index], screen) for index in kept))
    return _render(layout, screen)


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
    """Return the key, and what else tells a series from others of the same key."""
    name = series.key
    if series.model_id:
        name += f" model {series.model_id}"
    if series.dataset_name:
        name += f" on {series.dataset_name}"
    if series.dataset_digest:
        name += f"@{series.dataset_digest}"
    if series.attempt:
        name += f" attempt {series.attempt}"
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


def printable(text: str, screen: Screen) -> str:
    """Return text with everything escaped that the screen cannot show or might obey.

    Names come from whoever logged: an escape sequence in one must not reach the terminal.
    """
    return "".join(
        char
        if char.isprintable() and (screen.unicode or char.isascii())
        else char.encode("unicode_escape").decode()
        for char in text
    )


class _Frame:
    """The axes of one chart, and its curves in fractions of them."""

    def __init__(self, curves: Sequence[Curve], log: bool) -> None:
        self.log = log
        self.values = [curve.values for curve in curves]
        self.first_step = min(int(curve.steps[0]) for curve in curves)
        self.last_step = max(int(curve.steps[-1]) for curve in curves)
        heights = [_heights(curve.values, log) for curve in curves]
        self.low, self.high = _extent(np.concatenate(heights))
        self.lines = [
            (self._across(curve.steps), self._upward(height))
            for curve, height in zip(curves, heights, strict=True)
        ]

    def _across(self, steps: Integers) -> Floats:
        """Steps as fractions of the x axis; a single step stands in its middle."""
        if self.first_step == self.last_step:
            return np.full(len(steps), 0.5)
        # The distance of two int64 can be too large for one: it wraps, and uint64 unwraps it.
        distances = (steps - np.int64(self.first_step)).view(np.uint64)
        fractions: Floats = distances / float(self.last_step - self.first_step)
        return fractions

    def _upward(self, heights: Floats) -> Floats:
        # In halves, because the distance of two floats can be infinite.
        return (heights / 2 - self.low / 2) / (self.high / 2 - self.low / 2)

    def value_labels(self, height: int, dots: int) -> dict[int, str]:
        """Label round values: line from above -> text, where a line has `dots` rows of dots."""
        values = (ticks.powers if self.log else ticks.even)(
            self.low, self.high, max(height // 2, 2)
        )
        texts = [f"{each:.9g}" for each in values] if self.log else ticks.texts(values)
        levels = np.array([math.log10(each) if self.log else each for each in values])
        rows = np.rint(self._upward(levels) * (height * dots - 1)).astype(int) // dots
        return dict(zip((height - 1 - rows).tolist(), texts, strict=True))

    def step_labels(self, width: int) -> str:
        """Label round steps in one line of text."""
        line = ""
        room = _longest(f"{step:,}" for step in (self.first_step, self.last_step)) + 4
        for step in ticks.whole(self.first_step, self.last_step, max(width // room, 1)):
            text = f"{step:,}"
            fraction = float(self._across(np.array([step]))[0])
            start = round(fraction * (width - 1)) - len(text) // 2
            start = max(min(start, width - len(text)), 0)
            if not line or start >= len(line) + 2:
                line = line.ljust(start) + text
        return line

    def outside(self) -> dict[str, list[Flags]]:
        """Points of each curve that have no place on the y axis, by what they are."""
        found = {
            "+Inf": [np.isposinf(values) for values in self.values],
            "<= 0": [np.isfinite(values) & (values <= 0) & self.log for values in self.values],
            "-Inf": [np.isneginf(values) for values in self.values],
            "NaN": [np.isnan(values) for values in self.values],
        }
        return {what: flags for what, flags in found.items() if any(map(np.any, flags))}

    def marks(self, flags: Sequence[Flags], width: int, cross: str) -> str:
        """One line of text with a cross wherever a curve has a flagged point."""
        line = np.full(width, " ")
        for (x, _), flagged in zip(self.lines, flags, strict=True):
            line[np.rint(x[flagged] * (width - 1)).astype(int)] = cross
        return "".join(line.tolist())


def _heights(values: Floats, log: bool) -> Floats:
    """What is drawn of values: their logarithms if asked for, NaN for what has no place."""
    drawable = np.isfinite(values) & ((values > 0) | (not log))
    heights = np.where(drawable, values, np.nan)
    return np.log10(heights) if log else heights


def _extent(heights: Floats) -> tuple[float, float]:
    """Lowest and highest of what is drawn, with some room around where they are the same."""
    finite = heights[np.isfinite(heights)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if low / 2 < high / 2:
        return low, high
    room = abs(low) / 10 or 1.0
    return max(low - room, -sys.float_info.max), min(high + room, sys.float_info.max)


def _raster(x: Floats, y: Floats, *, columns: int, rows: int) -> Flags:
    """Fill, in each column, the span that the line through the points has there; row 0 is on top.

    NaN in `y` breaks the line: interpolating beside a NaN gives NaN, which compares as outside.
    """
    across, up = x * (columns - 1), y * (rows - 1)
    edges = np.interp(np.arange(columns + 1) - 0.5, across, up, left=np.nan, right=np.nan)
    low, high = np.fmin(edges[:-1], edges[1:]), np.fmax(edges[:-1], edges[1:])
    column = np.rint(across).astype(int)
    np.fmin.at(low, column, up)
    np.fmax.at(high, column, up)
    row = np.arange(rows)[::-1, None]
    filled: Flags = (np.rint(low) <= row) & (row <= np.rint(high))
    return filled


def _braille(dots: Flags) -> Integers:
    """Gather dots, 4 rows and 2 columns to a cell, into the code points of braille characters."""
    rows, columns = dots.shape
    cells = dots.reshape(rows // 4, 4, columns // 2, 2)
    bits: Integers = np.einsum("rycx,yx->rc", cells, _BRAILLE_DOTS)
    # Some fonts draw the empty braille character as rings: a space is empty everywhere.
    return np.where(bits > 0, bits + _BRAILLE_BLANK, ord(" "))


def _plot(frame: _Frame, width: int, height: int, braille: bool, screen: Screen) -> Iterator[str]:
    """Yield the lines of text between the axes; where curves meet, the last one is on top."""
    codes = np.full((height, width), ord(" "))
    colours = np.zeros((height, width), dtype=np.int64)
    for index, (x, y) in enumerate(frame.lines):
        if braille:
            drawn = _braille(_raster(x, y, columns=2 * width, rows=4 * height))
        else:
            letter = ord(_LETTERS[index % len(_LETTERS)])
            drawn = np.where(_raster(x, y, columns=width, rows=height), letter, ord(" "))
        on_top = drawn != ord(" ")
        codes[on_top] = drawn[on_top]
        colours[on_top] = _COLOURS[index % len(_COLOURS)]
    for line, inks in zip(codes.tolist(), colours.tolist(), strict=True):
        spans = groupby(zip(line, inks, strict=True), key=lambda cell: cell[1])
        yield "".join(
            _paint("".join(chr(code) for code, _ in span), ink, screen) for ink, span in spans
        )


def _legend(curves: Sequence[Curve], screen: Screen, braille: bool) -> str:
    """Name the curves, each in its colour, below each other where they do not fit in one line."""
    if len(curves) == 1:
        return _paint(printable(curves[0].name, screen), _BOLD, screen)
    names = [
        f"{'━━' if braille else _LETTERS[index % len(_LETTERS)]} {printable(curve.name, screen)}"
        for index, curve in enumerate(curves)
    ]
    separator = "   " if cell_len("   ".join(names)) <= screen.width else "\n"
    return separator.join(
        _paint(name, _COLOURS[index % len(_COLOURS)], screen) for index, name in enumerate(names)
    )


def _paint(text: str, code: int, screen: Screen) -> str:
    """Give text a colour or weight of the terminal; code 0 is none."""
    if not (screen.colour and code and text.strip()):
        return text
    return f"\x1b[{code}m{text}\x1b[0m"


def _longest(texts: Iterable[str]) -> int:
    return max(map(cell_len, texts), default=0)


def _columns_that_fit(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int
) -> list[int]:
    """Return the columns to show: all, without optional ones from the right until they fit."""

    def least(index: int) -> int:
        wanted = _longest([columns[index].title, *(row[index].text for row in rows)])
        return wanted if columns[index].number else min(wanted, _NARROWEST_TEXT)

    kept = list(range(len(columns)))
    optional = [index for index in kept if columns[index].optional]
    while optional and sum(map(least, kept)) + _GAP * (len(kept) - 1) > width:
        kept.remove(optional.pop())
    return kept


def _cell_text(cell: Cell, screen: Screen) -> Text:
    text = printable(cell.text, screen)
    return Text(text, style=cell.style, no_wrap=True, overflow="ellipsis")


def _render(layout: Table, screen: Screen) -> str:
    console = Console(
        file=io.StringIO(),
        width=screen.width,
        color_system="standard" if screen.colour else None,
        force_terminal=screen.colour,
        no_color=not screen.colour,
    )
    with console.capture() as capture:
        console.print(layout)
    text: str = "\n".join(line.rstrip() for line in capture.get().splitlines())
    return text if screen.unicode else text.replace("…", "~")  # rich shortens with an ellipsis


def _can_encode(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _step(step: int | None) -> str:
    return "-" if step is None else f"{step:,}"


def _count(points: int, nan_points: int) -> Cell:
    if not nan_points:
        return Cell(f"{points:,}")
    return Cell(f"{points:,} ({nan_points:,} NaN)", "red")
