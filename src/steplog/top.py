"""`steplog top`: the runs of a store, how fast points arrive, and the curves of one metric.

The loop is in `steplog.live`, what is read in `steplog.watching`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from steplog.exceptions import StoreError
from steplog.follow import chart_in, chosen, per_second, spread
from steplog.pages import STATUS_COLOURS, ShownRun, duration, shown_runs
from steplog.screen import Screen, paint, printable, shortened, width_of
from steplog.terminal import Cell, Column, number, series_name, table

if TYPE_CHECKING:
    from steplog.braille import Curve
    from steplog.stores.base import Series
    from steplog.watching import Watch

RUNS_SHOWN = 50
CURVES_SHOWN = 5  # as many as have a colour of their own
HIGHEST_CHART = 24
NARROW = 100  # columns; below, only one metric or two have room
_METRIC_WIDTH = 14
_NAME_WIDTH = 28

KEYS = (
    ("up, down, k, j", "choose a run"),
    ("left, right, h, tab", "choose a metric"),
    ("a", "draw all runs that are shown, or only the chosen one"),
    ("l", "logarithmic axis, or not"),
    ("?", "show or hide this"),
    ("q, Ctrl-C", "end"),
)


class Top:
    """The live view of a store.

    Args:
        watch: looks at the store.
        patterns: keys of metrics, or patterns; none for all.

    """

    def __init__(self, watch: Watch, patterns: Sequence[str]) -> None:
        self._watch = watch
        self._patterns = patterns
        self._run_id = ""
        self._metric = ""
        self._all = self._log = self._help = False
        self._trouble = ""

    # What is seen --------------------------------------------------------------------------------

    def look(self) -> bool:
        """Take in what was logged; there may always be more."""
        try:
            self._watch.look()
            self._watch.count()
            self._trouble = ""
        except StoreError as error:  # the points wait in their journals
            self._trouble = error.message
        return True

    def press(self, key: str) -> bool:
        """React to one of `KEYS`."""
        if key in ("up", "k", "down", "j"):
            ids = [record.row.run_id for record in self._watch.records[:RUNS_SHOWN]]
            self._run_id = _neighbour(ids, self._run_id, -1 if key in ("up", "k") else 1)
        elif key in ("left", "h", "shift-tab", "right", "tab"):
            back = key in ("left", "h", "shift-tab")
            self._metric = _neighbour(self._metrics(), self._metric, -1 if back else 1, around=True)
        elif key == "l":
            self._log = not self._log
        elif key == "a":
            self._all = not self._all
        elif key == "?":
            self._help = not self._help
        return key != "q"

    def document(self) -> dict[str, object]:
        """Return what is known, for ``--json``."""
        runs = self._runs(RUNS_SHOWN)
        found = self._series(runs)
        return {
            "store": self._watch.backend.place.name,
            "time": time.time_ns() // 1_000_000,
            "running": len(self._watch.running()),
            "points_per_second": self._rate(),
            "runs": [
                {
                    **run._asdict(),
                    "points_per_second": self._rate_of(run),
                    "metrics": [_last(series) for series in found[run.run_id]],
                }
                for run in runs
            ],
        }

    def snapshot(self, screen: Screen) -> Iterator[str]:
        """Yield the page as it is now, not cut to the height of a window."""
        yield self._title(screen._replace(width=min(screen.width, NARROW)))
        yield ""
        runs = self._runs(RUNS_SHOWN)
        if not runs:
            yield from self._nothing()
            return
        self._choose(runs)
        yield from self._table(runs, self._metrics(), screen)
        chart = screen._replace(width=min(screen.width, NARROW))
        if curves := self._curves(runs):
            yield ""
            yield from (line for line in chart_in(curves, chart, height=14, log=self._log))

    # What is shown --------------------------------------------------------------------------------

    def page(self, screen: Screen) -> list[str]:
        """Return header, runs, and curves in the room that is left."""
        lines = [self._title(screen), paint(printable(self._trouble, screen), "red", screen)]
        keys = paint(self._hint(screen), "dim", screen)
        if self._help:
            wide = max(len(key) for key, _ in KEYS)
            return [*lines, *(f"{key:<{wide}}  {does}" for key, does in KEYS)]
        runs = self._runs(RUNS_SHOWN)
        if not runs:
            return [*lines, *self._nothing()]
        self._choose(runs)
        room = screen.height - len(lines) - 1
        rows = min(len(runs), max(3, (room - 4) // 2, room - 4 - HIGHEST_CHART))
        lines += self._table(self._around(runs, rows), self._columns(screen), screen)
        height = min(screen.height - len(lines) - 2, HIGHEST_CHART)
        chart = chart_in(self._curves(runs), screen, height=height, log=self._log)
        lines += ["", *chart]
        return [*lines[: screen.height - 1], *[""] * (screen.height - 1 - len(lines)), keys]

    def _title(self, screen: Screen) -> str:
        running = len(self._watch.running())
        right = f"{running:,} running  {per_second(self._rate())} points/s  {time.strftime('%X')}"
        room = screen.width - width_of(right) - len("steplog  ") - 2
        store = shortened(printable(self._watch.backend.place.name, screen), max(room, 1), screen)
        return spread(f"{paint('steplog', 'bold', screen)}  {store}", right, screen)

    def _hint(self, screen: Screen) -> str:
        arrows = ("↑↓", "←→") if screen.unicode else ("j/k", "h/tab")
        drawn = "one run" if self._all else "all runs"
        axis = "linear" if self._log else "log"
        return f"{arrows[0]} run  {arrows[1]} metric  a {drawn}  l {axis}  ? keys  q end"

    def _nothing(self) -> list[str]:
        return [
            "No runs yet. A script that is started here shows up with its first",
            "",
            '    steplog.log_metric("loss", 0.5)',
        ]

    def _table(self, runs: Sequence[ShownRun], metrics: Sequence[str], screen: Screen) -> list[str]:
        found = self._series(runs)
        columns = [
            Column(""),
            Column("run"),
            Column("status"),
            Column("points/s", number=True),
            Column("time", number=True, optional=True),
            *(
                Column(_end(printable(name, screen), _METRIC_WIDTH, screen), number=True)
                for name in metrics
            ),
        ]
        rows = [self._row(run, found[run.run_id], metrics, screen) for run in runs]
        return table(columns, rows, screen).split("\n")

    def _row(
        self, run: ShownRun, series: Sequence[Series], metrics: Sequence[str], screen: Screen
    ) -> list[str | Cell]:
        here = run.run_id == self._run_id
        last = {series_name(each.key): float(each.summary["last_value"]) for each in series}
        mark = ("▸" if screen.unicode else ">") if here else ""
        name = shortened(printable(run.run_name, screen), _NAME_WIDTH, screen)
        return [
            mark,
            Cell(name, "bold" if here else ""),
            Cell(run.status, STATUS_COLOURS.get(run.status, "")),
            per_second(self._rate_of(run)),
            duration(run),
            *(
                Cell(number(last.get(each)), "bold" if here and each == self._metric else "")
                for each in metrics
            ),
        ]

    # What is chosen -------------------------------------------------------------------------------

    def _runs(self, most: int) -> list[ShownRun]:
        watch = self._watch
        return shown_runs(watch.records[:most], watch.experiments, watch.live)

    def _series(self, runs: Sequence[ShownRun]) -> dict[str, list[Series]]:
        # Always those of all runs that may be shown: asked for once, they serve until points come.
        ids = [record.row.run_id for record in self._watch.records[:RUNS_SHOWN]]
        found = self._watch.series(ids)
        return {run.run_id: chosen(found[run.run_id], self._patterns) for run in runs}

    def _metrics(self) -> list[str]:
        """Names of the series that the shown runs have."""
        found = self._series(self._runs(RUNS_SHOWN))
        return sorted({series_name(each.key) for series in found.values() for each in series})

    def _choose(self, runs: Sequence[ShownRun]) -> None:
        """Keep what the user chose while it is there; else the first."""
        if self._run_id not in [run.run_id for run in runs]:
            self._run_id = runs[0].run_id
        metrics = self._metrics()
        if self._metric not in metrics:
            own = self._series(runs)[self._run_id]
            self._metric = series_name(own[0].key) if own else metrics[0] if metrics else ""

    def _around(self, runs: Sequence[ShownRun], rows: int) -> Sequence[ShownRun]:
        """Return as many runs as have room, the chosen one among them."""
        place = [run.run_id for run in runs].index(self._run_id)
        first = max(0, min(place - rows // 2, len(runs) - rows))
        return runs[first : first + rows]

    def _columns(self, screen: Screen) -> list[str]:
        """Return as many metrics as have room, the chosen one among them."""
        metrics = self._metrics()
        most = max((screen.width - _NAME_WIDTH - 36) // (_METRIC_WIDTH + 2), 1)
        place = metrics.index(self._metric) if metrics else 0
        first = max(0, min(place - most // 2, len(metrics) - most))
        return metrics[first : first + most]

    def _curves(self, runs: Sequence[ShownRun]) -> list[Curve]:
        """Return the chosen metric of the chosen run, or of the shown runs, with their names."""
        found = self._series(runs)
        wanted = [run for run in runs if self._all or run.run_id == self._run_id]
        pairs = [
            (run, series)
            for run in wanted
            for series in found[run.run_id]
            if series_name(series.key) == self._metric
        ][:CURVES_SHOWN]
        curves = self._watch.curves([series for _, series in pairs])
        return [
            curve._replace(
                name=f"{curve.name} of {run.run_name}" if len(pairs) == 1 else run.run_name
            )
            for curve, (run, _) in zip(curves, pairs, strict=True)
        ]

    def _rate(self) -> float | None:
        rates = [self._watch.rate(run_id) for run_id in self._watch.running()]
        return sum(rate or 0.0 for rate in rates) if _any_known(rates) else None

    def _rate_of(self, run: ShownRun) -> float | None:
        return self._watch.rate(run.run_id) if run.status == "RUNNING" else None


def _any_known(rates: Sequence[float | None]) -> bool:
    """Tell whether there is no run, which is a rate of 0, or one whose rate is known."""
    return not rates or any(rate is not None for rate in rates)


def _neighbour(names: Sequence[str], name: str, distance: int, around: bool = False) -> str:
    """Return the name that many places away, at most the first or last one or, around, any."""
    if not names:
        return name
    place = names.index(name) + distance if name in names else 0
    return names[place % len(names) if around else max(0, min(place, len(names) - 1))]


def _end(text: str, width: int, screen: Screen) -> str:
    """Keep the end of a name, which tells metrics apart better than the beginning."""
    if width_of(text) <= width:
        return text
    kept = text
    while width_of(kept) >= width:
        kept = kept[1:]
    return ("…" if screen.unicode else "~") + kept


def _last(series: Series) -> dict[str, object]:
    key, known = series.key, series.summary
    return {
        "key": key.key,
        "model_id": key.model_id or None,
        "dataset_name": key.dataset_name or None,
        "dataset_digest": key.dataset_digest or None,
        "attempt": key.attempt,
        "rank": key.rank,
        "count": int(known["count"]),
        "last": float(known["last_value"]),
        "last_step": int(known["last_step"]),
    }
