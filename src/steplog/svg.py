"""Charts as SVG texts: no script, no style of their own that a page could forbid.

A line goes through the mean of each bucket; around it lies the envelope from the smallest to the
largest value, so that no spike is lost, however many points a bucket holds. NaN and infinities are
marks where they occur, and the line is broken there. Colours differ also for who sees few of them,
and lines by their dashes; text takes the colour of the page around it.

The classes are those of ``plain.css``; without it, the attributes are enough. Nothing here reads a
store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from steplog.axes import Axis, Unit, axis
from steplog.markup import text

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

WIDTH, HEIGHT = 640, 264
LEFT, RIGHT, TOP, BOTTOM = 64.0, 628.0, 40.0, 228.0
"""The edges of the plot, in units of the drawing."""
COLOURS = (
    "#0a78bf", "#d55e00", "#009a70", "#c0659a", "#b88100", "#3b98d2", "#7a6fd0", "#808080",
)  # fmt: skip
DASHES = ("", "7 3", "2 3", "9 3 2 3", "12 4")
LEGEND_AT_MOST, LEGEND_COLUMNS, LEGEND_HEIGHT = 20, 2, 18
LABEL_LETTERS, TITLE_LETTERS = 44, 68
_ODD = (("nan", "NaN"), ("pos_inf", "+Inf"), ("neg_inf", "\u2212Inf"))


class Curve(NamedTuple):
    """A line of a chart.

    Attributes:
        name: for the legend.
        columns: of `steplog.charts.SeriesLine`, as long as the chart's x.

    """

    name: str
    columns: Mapping[str, Floats]


class _Shape(NamedTuple):
    """What is drawn of a curve, in values: NaN where nothing is."""

    middle: Floats
    low: Floats
    high: Floats
    broken: Flags


def draw(
    title: str, x: Floats, curves: Sequence[Curve], *, over: Unit = "step", log: bool = False
) -> str:
    """Return a chart as an SVG element.

    Args:
        title: what it shows, any text.
        x: where each bucket is drawn, finite and ascending.
        curves: one or more may be empty.
        over: the unit of `x`.
        log: draw values on a logarithmic axis; those that are not positive are marked.

    Example:
        >>> svg = draw("loss", np.array([0.0, 1.0]), [Curve("", {"mean": np.array([2.0, 1.0])})])
        >>> svg.startswith("<svg")
        True

    """
    shapes = [_shape(curve, log) for curve in curves]
    horizontal = axis(float(x[0]), float(x[-1]), whole=True) if x.size else Axis(0.0, 1.0)
    vertical = _vertical(shapes, log)
    places = LEFT + horizontal.place(x) * (RIGHT - LEFT)
    several = len(curves) > 1
    legend = list(_legend(curves)) if several else []
    rows = -(-min(len(curves), LEGEND_AT_MOST) // LEGEND_COLUMNS) + (len(curves) > LEGEND_AT_MOST)
    height = HEIGHT - 12 + (LEGEND_HEIGHT * rows + 12 if several else 0)
    note = _note(curves)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" '
        f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" fill="none" '
        'font-family="system-ui, sans-serif" font-size="11">',
        f"<title>{text(title)}</title><desc>{text(_described(curves, note))}</desc>",
        _words(0, 18, _cut(title, TITLE_LETTERS), 'class="title" font-weight="600"', 13),
        _words(RIGHT, 18, note, 'class="note" text-anchor="end" opacity="0.65"'),
        *_grid(horizontal, vertical, over),
    ]
    for index, (curve, shape) in enumerate(zip(curves, shapes, strict=True)):
        parts += _drawn(index, places, shape, vertical, 0.12 if several else 0.2)
        parts += _marks(index, places, curve, shape, log)
    return "\n".join([*parts, *legend, "</svg>\n"])


def _shape(curve: Curve, log: bool) -> _Shape:
    middle = curve.columns["mean"]
    low, high = curve.columns.get("min", middle), curve.columns.get("max", middle)
    broken = np.zeros(middle.size, bool)
    for column, _ in _ODD:
        broken |= curve.columns.get(column, np.zeros(middle.size)) > 0
    if log:
        with np.errstate(invalid="ignore"):
            broken |= low <= 0
            low, high = np.where(low > 0, low, np.nan), np.where(high > 0, high, np.nan)
            middle = np.where(middle > 0, middle, high)
    return _Shape(middle, low, high, broken)


def _vertical(shapes: Sequence[_Shape], log: bool) -> Axis:
    values = np.concatenate([np.empty(0), *(part for shape in shapes for part in shape[:3])])
    values = values[np.isfinite(values)]
    if not values.size:
        return Axis(1.0, 10.0, True) if log else Axis(0.0, 1.0)
    return axis(float(values.min()), float(values.max()), log=log)


def _height(values: Floats, vertical: Axis) -> Floats:
    heights: Floats = BOTTOM - vertical.place(values) * (BOTTOM - TOP)
    return heights


def _grid(horizontal: Axis, vertical: Axis, over: Unit) -> Iterator[str]:
    for value, label in vertical.ticks(5):
        y = float(_height(np.array([value]), vertical)[0])
        yield (
            f'<path class="grid" stroke="currentColor" stroke-opacity="0.14" '
            f'd="M{LEFT:g} {y:.2f}H{RIGHT:g}"/>'
        )
        yield _words(LEFT - 8, y + 3.5, label, 'text-anchor="end" opacity="0.75"')
    yield (
        f'<path class="axis" stroke="currentColor" stroke-opacity="0.5" '
        f'd="M{LEFT:g} {BOTTOM:g}H{RIGHT:g}"/>'
    )
    for value, label in horizontal.ticks(6, over):
        at = LEFT + float(horizontal.place(np.array([value]))[0]) * (RIGHT - LEFT)
        side = "start" if at - LEFT < 30 else "end" if RIGHT - at < 24 else "middle"
        yield (
            f'<path class="axis" stroke="currentColor" stroke-opacity="0.5" '
            f'd="M{at:.2f} {BOTTOM:g}v4"/>'
        )
        yield _words(at, BOTTOM + 17, label, f'text-anchor="{side}" opacity="0.75"')


def _drawn(index: int, x: Floats, shape: _Shape, vertical: Axis, opacity: float) -> Iterator[str]:
    """Yield the envelope, then the line."""
    colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
    middle = _height(shape.middle, vertical)
    high = _height(shape.high, vertical)
    low = np.where(np.isnan(shape.low) & ~np.isnan(high), BOTTOM, _height(shape.low, vertical))
    pieces = list(_pieces(shape))
    wide = [piece for piece in pieces if (low[piece] != high[piece]).any()]
    if wide:
        outline = "".join(_outline(x[piece], low[piece], high[piece]) for piece in wide)
        yield (
            f'<path class="envelope" fill="{colour}" fill-opacity="{opacity}" stroke="{colour}" '
            f'stroke-opacity="{3 * opacity:.2f}" stroke-width="0.75" d="{outline}"/>'
        )
    line = "".join(_path(x[piece], middle[piece]) for piece in pieces)
    if line:
        pen = f'stroke="{colour}" stroke-linejoin="round" stroke-linecap="round"'
        if dash:  # between two dashes there must be no room for a spike
            yield f'<path class="under" {pen} stroke-opacity="0.4" d="{line}"/>'
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        yield f'<path class="line" {pen} stroke-width="1.5"{dashes} d="{line}"/>'
        alone = "".join(_path(x[piece], middle[piece]) for piece in pieces if piece.size == 1)
        if alone:
            yield f'<path class="alone" {pen} stroke-width="4" d="{alone}"/>'


def _pieces(shape: _Shape) -> Iterator[npt.NDArray[np.intp]]:
    """Yield the buckets of each unbroken stretch; one with NaN or infinities stands alone."""
    seen = np.flatnonzero(~np.isnan(shape.middle) | shape.broken)
    broken = shape.broken[seen]
    cuts = np.flatnonzero(broken[1:] | broken[:-1]) + 1
    for piece in np.split(seen, cuts):
        if piece.size and not np.isnan(shape.middle[piece[0]]):
            yield piece


def _path(x: Floats, y: Floats) -> str:
    if x.size == 1:
        return f"M{_short(x[0])} {_short(y[0])}h0"
    points = [f"{_short(a)} {_short(b)}" for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    return f"M{points[0]}L{' '.join(points[1:])}"


def _outline(x: Floats, low: Floats, high: Floats) -> str:
    return _path(np.concatenate([x, x[::-1]]), np.concatenate([high, low[::-1]])) + "Z"


def _short(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _marks(index: int, x: Floats, curve: Curve, shape: _Shape, log: bool) -> Iterator[str]:
    """Yield crosses for NaN, and arrows for infinities and for what has no logarithm."""
    colour = COLOURS[index % len(COLOURS)]
    marks: dict[str, Flags] = {
        label: curve.columns[column] > 0 for column, label in _ODD if column in curve.columns
    }
    if log:
        with np.errstate(invalid="ignore"):
            marks["not positive"] = curve.columns.get("min", curve.columns["mean"]) <= 0
    strokes: Mapping[str, Callable[[str], str]] = {
        "NaN": lambda at: f"M{at} {TOP - 6:g}m-3 -3l6 6m0 -6l-6 6",
        "+Inf": lambda at: f"M{at} {TOP - 10:g}m-3.5 4l3.5 -4l3.5 4m-3.5 -4v9",
        "\u2212Inf": lambda at: f"M{at} {BOTTOM - 1:g}m-3.5 -4l3.5 4l3.5 -4m-3.5 4v-9",
        "not positive": lambda at: f"M{at} {BOTTOM - 2:g}v-7",
    }
    for label, flags in marks.items():
        places = np.unique(np.round(x[flags], 1)).tolist()
        if places:
            path = "".join(strokes[label](_short(at)) for at in places)
            yield (
                f'<path class="mark" stroke="{colour}" stroke-width="1.5" d="{path}">'
                f"<title>{text(curve.name)} {label}</title></path>"
            )


def _legend(curves: Sequence[Curve]) -> Iterator[str]:
    for index, curve in enumerate(curves[:LEGEND_AT_MOST]):
        column, row = index % LEGEND_COLUMNS, index // LEGEND_COLUMNS
        x, y = LEFT + column * (RIGHT - LEFT) / LEGEND_COLUMNS, BOTTOM + 40 + row * LEGEND_HEIGHT
        colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
        yield (
            f'<path stroke="{colour}" stroke-width="2" stroke-dasharray="{dash or "none"}" '
            f'd="M{x:g} {y - 4:g}h24"/>'
        )
        yield _words(x + 32, y, _cut(curve.name, LABEL_LETTERS), "")
    more = len(curves) - LEGEND_AT_MOST
    if more > 0:
        y = BOTTOM + 40 + LEGEND_AT_MOST // LEGEND_COLUMNS * LEGEND_HEIGHT
        yield _words(LEFT, y, f"and {more:,} more", 'opacity="0.75"')


def _note(curves: Sequence[Curve]) -> str:
    """Return how many points there are, and by how many places they are shown."""
    counts = [curve.columns["count"] for curve in curves if "count" in curve.columns]
    points = sum(int(count.sum()) for count in counts)
    shown = sum(int((count > 0).sum()) for count in counts)
    if shown == points:
        return f"{points:,} of {points:,} points"
    return f"{shown:,} means of {points:,} points"


def _described(curves: Sequence[Curve], note: str) -> str:
    odd = [
        f"{int(sum(curve.columns[column].sum() for curve in curves if column in curve.columns)):,}"
        f" {label}"
        for column, label in _ODD
        if any(curve.columns[column].any() for curve in curves if column in curve.columns)
    ]
    lines = "1 line" if len(curves) == 1 else f"{len(curves):,} lines"
    return "; ".join([lines, note, *odd])


def _cut(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _words(x: float, y: float, words: str, attributes: str, size: int = 11) -> str:
    return (
        f'<text x="{x:g}" y="{y:.2f}" fill="currentColor" stroke="none" font-size="{size}" '
        f"{attributes}>{text(words)}</text>"
    )
