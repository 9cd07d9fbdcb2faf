"""Series drawn as text: curves in braille dots, or in letters where there are none; sparklines.

A curve is drawn as the span from its lowest to its highest value in each column of dots, never as
a sample of it, so a spike of one step always shows at its full height. What has no place on the
y axis (NaN, infinities and, where it is logarithmic, what is not positive) leaves a gap and is
marked in a row of its own: it is seen, not bridged.

Values go in, text comes out: nothing here reads a store, and nothing prints.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from steplog import ticks
from steplog.screen import Screen, paint, printable, widest, width_of

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]
    Integers = npt.NDArray[np.int64]

WIDEST_CHART = 100  # a wider one is not calmer

_COLOURS = ("cyan", "yellow", "magenta", "green", "blue")
_LETTERS = "*o+#@"

# The bit of each dot of a braille character, by row and column (Unicode, "Braille Patterns").
_BRAILLE_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
_BRAILLE_BLANK = 0x2800

# One cell of an ASCII sparkline, by the thirds of it that are filled: 1 low, 2 middle, 4 high.
_THIRDS = " _-|^|||"


class Curve(NamedTuple):
    """One line of a chart: its name, and its points with their steps ascending."""

    name: str
    steps: Integers
    values: Floats


def line_chart(
    curves: Sequence[Curve],
    screen: Screen,
    *,
    height: int = 10,
    log: bool = False,
    most: int = WIDEST_CHART,
) -> str:
    """Draw curves over their steps on one pair of axes.

    Args:
        curves: one or more, each with one point or more.
        screen: where it will be shown; the chart takes its width, up to `most`.
        height: lines between the axes.
        log: make the y axis logarithmic.
        most: columns.

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
    gutter = widest([*labels.values(), *marked])
    width = max(min(screen.width, most) - gutter - len("  step "), 8)

    def row(label: str, content: str) -> str:
        return paint(f"{label:>{gutter}} {wall}", "dim", screen) + content

    marks = {
        label: row(label, paint(frame.marks(flags, width, cross), "red", screen))
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
        paint(" " * gutter + f" {corner}{floor * width} step", "dim", screen),
        paint(" " * gutter + "  " + frame.step_labels(width), "dim", screen),
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
        room = widest(f"{step:,}" for step in (self.first_step, self.last_step)) + 4
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
    inks = np.full((height, width), -1)
    for index, (x, y) in enumerate(frame.lines):
        if braille:
            drawn = _braille(_raster(x, y, columns=2 * width, rows=4 * height))
        else:
            letter = ord(_LETTERS[index % len(_LETTERS)])
            drawn = np.where(_raster(x, y, columns=width, rows=height), letter, ord(" "))
        on_top = drawn != ord(" ")
        codes[on_top] = drawn[on_top]
        inks[on_top] = index % len(_COLOURS)
    for line, inked in zip(codes.tolist(), inks.tolist(), strict=True):
        spans = groupby(zip(line, inked, strict=True), key=lambda cell: cell[1])
        yield "".join(
            paint("".join(chr(code) for code, _ in span), _COLOURS[ink] if ink >= 0 else "", screen)
            for ink, span in spans
        )


def _legend(curves: Sequence[Curve], screen: Screen, braille: bool) -> str:
    """Name the curves, each in its colour, below each other where they do not fit in one line."""
    if len(curves) == 1:
        return paint(printable(curves[0].name, screen), "bold", screen)
    names = [
        f"{'━━' if braille else _LETTERS[index % len(_LETTERS)]} {printable(curve.name, screen)}"
        for index, curve in enumerate(curves)
    ]
    separator = "   " if width_of("   ".join(names)) <= screen.width else "\n"
    return separator.join(
        paint(name, _COLOURS[index % len(_COLOURS)], screen) for index, name in enumerate(names)
    )
