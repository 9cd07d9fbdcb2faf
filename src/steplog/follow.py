"""`steplog show --live`: one run, its metrics and their curves, while points arrive.

The loop is in `steplog.live`, what is read in `steplog.watching`.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from itertools import groupby, zip_longest
from typing import TYPE_CHECKING

from steplog.braille import Curve, line_chart
from steplog.exceptions import StoreError
from steplog.pages import STATUS_COLOURS, ShownRun, duration, shown_runs
from steplog.screen import Screen, clipped, paint, printable, shortened, width_of
from steplog.terminal import Cell, Column, number, series_name, table

if TYPE_CHECKING:
    from steplog.stores.base import Series
    from steplog.watching import Watch

LOWEST_CHART = 7  # lines, with its name and the axis
NARROWEST_CHART = 70  # of two beside each other
_BESIDE = 3  # columns between them


class Follow:
    """The live view of one run.

    Args:
        watch: looks at this run only.
        keys: metrics, or patterns, to draw; none for as many as fit.
        log: draw on logarithmic axes.

    """

    def __init__(self, watch: Watch, keys: Sequence[str], log: bool) -> None:
        self._watch = watch
        self._keys = keys
        self._log = log
        self._trouble = ""

    def look(self) -> bool:
        """Take in new points; False when the run has ended."""
        try:
            self._watch.look()
            self._watch.count()
            self._trouble = ""
        except StoreError as error:  # the points wait in the journal
            self._trouble = error.message
            return True
        return bool(self._watch.running())

    def press(self, key: str) -> bool:
        """``q`` ends, ``l`` changes the axis."""
        if key == "l":
            self._log = not self._log
        return key != "q"

    def page(self, screen: Screen) -> list[str]:
        """Return the run, the table of its metrics, and curves in what room is left."""
        watch = self._watch
        if not watch.records:
            return [self._trouble]
        (run,) = shown_runs(watch.records[:1], watch.experiments, watch.live)
        series = chosen(watch.series([run.run_id])[run.run_id], self._keys)
        lines = [self._title(run, screen), paint(self._trouble, "red", screen)]
        if not series:
            return [*lines, "No metrics yet: they appear here as soon as the run logs one."]
        lines += _metrics(series, screen, most=max(3, screen.height // 3 - 3))
        room = screen.height - len(lines) - 1
        return [*lines, "", *self._charts(series, room, screen)]

    def _title(self, run: ShownRun, screen: Screen) -> str:
        status = paint(run.status, STATUS_COLOURS.get(run.status, ""), screen)
        rate = per_second(self._watch.rate(run.run_id))
        facts = f"  {status}  {duration(run)}  {rate} points/s"
        keys = paint("l log  q end", "dim", screen)
        name = printable(run.run_name, screen)
        room = max(screen.width - width_of(facts) - width_of(keys) - 2, 8)
        name = paint(shortened(name, room, screen), "bold", screen)
        return spread(name + facts, keys, screen)

    def _charts(self, series: Sequence[Series], room: int, screen: Screen) -> list[str]:
        groups = [list(group) for _, group in groupby(series, lambda each: each.key.key)]
        across = 2 if len(groups) > 1 and screen.width >= 2 * NARROWEST_CHART + _BESIDE else 1
        down = min(-(-len(groups) // across), max(room // LOWEST_CHART, 1))
        width = (screen.width - _BESIDE * (across - 1)) // across
        drawn = [
            chart_in(
                self._watch.curves(group),
                screen._replace(width=width),
                height=room // down,
                log=self._log,
            )
            for group in groups[: across * down]
        ]
        rows = [drawn[start : start + across] for start in range(0, len(drawn), across)]
        return [line for row in rows for line in _beside(row, width)]


def chosen(series: Sequence[Series], patterns: Sequence[str]) -> list[Series]:
    """Return the series whose key is one of these or fits one of these patterns; none means all."""
    return [
        each
        for each in series
        if not patterns
        or any(each.key.key == wanted or fnmatchcase(each.key.key, wanted) for wanted in patterns)
    ]


def chart_in(curves: Sequence[Curve], screen: Screen, *, height: int, log: bool) -> list[str]:
    """Draw curves in exactly this many lines; in none where they are too few for a chart."""
    if not curves:
        return [""] * height
    inside = height - 3
    while inside > 0:
        lines = line_chart(curves, screen, height=inside, log=log, most=screen.width).split("\n")
        if len(lines) <= height:
            return lines + [""] * (height - len(lines))
        inside -= len(lines) - height  # rows of NaN, or a legend of many lines
    return [""] * max(height, 0)


def per_second(rate: float | None) -> str:
    """Return a rate in few digits.

    Example:
        >>> [per_second(rate) for rate in (None, 0.0, 2.44, 1234.5, 25_300.0, 3e6)]
        ['-', '0', '2.4', '1,234', '25.3k', '3.0M']

    """
    if rate is None:
        return "-"
    if not 0 < rate < 10:
        for limit, unit, size in ((1e4, "", 1.0), (1e6, "k", 1e3)):
            if rate < limit:
                return f"{rate / size:,.{1 if unit else 0}f}{unit}"
        return f"{rate / 1e6:,.1f}M"
    return f"{rate:.1f}"


def spread(left: str, right: str, screen: Screen) -> str:
    """Put one text at the left edge and one at the right edge, if there is room for it."""
    room = screen.width - width_of(left) - width_of(right)
    return left + " " * room + right if room >= 2 else clipped(left, screen.width)


def _metrics(series: Sequence[Series], screen: Screen, most: int) -> list[str]:
    """Lay out what is known of each series, and how many more there are."""
    columns = [
        Column("series"),
        Column("last", number=True),
        Column("at step", number=True),
        Column("min", number=True, optional=True),
        Column("max", number=True, optional=True),
        Column("points", number=True, optional=True),
    ]
    shown = series if len(series) <= most else series[: most - 1]
    lines = table(columns, map(_row, shown), screen).split("\n")
    if len(shown) < len(series):
        lines.append(paint(f"and {len(series) - len(shown):,} more", "dim", screen))
    return lines


def _row(series: Series) -> list[str | Cell]:
    known = series.summary
    empty = known["count"] == known["nan_count"]
    return [
        series_name(series.key),
        number(float(known["last_value"])),
        f"{int(known['last_step']):,}",
        number(None if empty else float(known["min_value"])),
        number(None if empty else float(known["max_value"])),
        f"{int(known['count']):,}",
    ]


def _beside(charts: Sequence[Sequence[str]], width: int) -> list[str]:
    """Put charts of some width beside each other."""
    gap = " " * _BESIDE
    return [
        gap.join(line + " " * (width - width_of(line)) for line in lines).rstrip()
        for lines in zip_longest(*charts, fillvalue="")
    ]
