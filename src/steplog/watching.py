"""What a live view knows of a store: its runs, their series, how fast points arrive, curves.

Looking again costs little where nothing has changed: the catalog's files tell whether anything was
stored, and a series' summary whether its curve must be read again.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from steplog.backend import Backend, shown_status
from steplog.braille import Curve
from steplog.entities import LifecycleStage
from steplog.places import CATALOG
from steplog.reading import read_series
from steplog.stores.base import ExperimentRecord, RunRecord, Series
from steplog.terminal import series_name

if TYPE_CHECKING:
    from steplog.operations import SeriesKey

POINTS_DRAWN = 2_000  # of a curve; every extreme is among them
RATE_SECONDS = 5.0
_REST = 10  # what takes a second is not done again for ten


class Rates:
    """How many points arrive in a second, by run, over the last `RATE_SECONDS`."""

    def __init__(self) -> None:
        self._counts: dict[str, deque[tuple[float, int]]] = {}

    def note(self, counts: Mapping[str, int], now: float) -> None:
        """Remember how many points these runs have at a time, in seconds of any clock."""
        for run_id, count in counts.items():
            known = self._counts.setdefault(run_id, deque())
            known.append((now, count))
            while len(known) > 2 and known[1][0] <= now - RATE_SECONDS:
                known.popleft()

    def of(self, run_id: str) -> float | None:
        """Return points a second of a run; None before it was looked at twice."""
        known = self._counts.get(run_id)
        if known is None or len(known) < 2:
            return None
        (before, few), (after, many) = known[0], known[-1]
        # Points that came twice are counted once when they are sorted: a count may become less.
        return max(many - few, 0) / (after - before) if after > before else None


class Watch:
    """A store, looked at again and again.

    Args:
        chosen: the store.
        run_id: of the only run to look at, or None.
        experiment_ids: of the experiments whose runs to look at, or None for all.

    Attributes:
        records: the runs that are not deleted: running ones first, then the newest.
        experiments: all of them.
        live: ids of the writers that live.

    """

    def __init__(
        self,
        chosen: Backend,
        run_id: str | None = None,
        experiment_ids: Sequence[str] | None = None,
    ) -> None:
        self.backend = chosen
        self.records: list[RunRecord] = []
        self.experiments: list[ExperimentRecord] = []
        self.live: frozenset[str] = frozenset()
        self._store = chosen.store()
        self._run_ids = None if run_id is None else [run_id]
        self._experiment_ids = experiment_ids
        self._seen: object = None
        self._rest_until = 0.0
        self._rates = Rates()
        self._series: dict[str, list[Series]] = {}
        self._asked: tuple[str, ...] = ()
        self._curves: dict[SeriesKey, tuple[bytes, float, Curve]] = {}

    def look(self) -> bool:
        """Take in what was logged and see which runs there are; False where nothing has changed.

        Raises:
            StoreError: the store cannot be read now.

        """
        store = self._store = self.backend.store()
        live = self.backend.live_writers()
        seen = live, *map(_state, self._files())
        far = self.backend.place.kind != "directory"  # what changes there cannot be seen from here
        if seen == self._seen and not far:
            return False
        began = time.monotonic()
        if live != self.live or began >= self._rest_until:
            self.experiments = store.experiments()
            self.records = [
                record
                for record in store.runs(self._run_ids, self._experiment_ids)
                if record.row.lifecycle_stage == LifecycleStage.ACTIVE or self._run_ids
            ]
            self.live = live
            self.records.sort(key=lambda record: not self.is_running(record))
            took = time.monotonic() - began
            self._rest_until = began + _REST * took
            self._seen = seen
        self._asked = ()
        return True

    def is_running(self, record: RunRecord) -> bool:
        """Tell whether a run goes on, and its process lives."""
        return shown_status(record, self.live) == "RUNNING"

    def running(self) -> list[str]:
        """Return the ids of the runs that go on."""
        return [record.row.run_id for record in self.records if self.is_running(record)]

    def series(self, run_ids: Sequence[str]) -> dict[str, list[Series]]:
        """Return the series of these runs as they are now, and note how many points they have."""
        running = self.running()
        wanted = tuple(dict.fromkeys([*run_ids, *running]))
        if wanted != self._asked:
            found: dict[str, list[Series]] = {run_id: [] for run_id in wanted}
            for series in self._store.series(wanted):
                found[series.key.run_id].append(series)
            self._series, self._asked = found, wanted
        return {run_id: self._series[run_id] for run_id in run_ids}

    def count(self) -> None:
        """Note how many points the running runs have now."""
        counts = {
            run_id: sum(int(each.summary["count"]) for each in series)
            for run_id, series in self.series(self.running()).items()
        }
        self._rates.note(counts, time.monotonic())

    def rate(self, run_id: str) -> float | None:
        """Return points a second of a run; None where it does not run or was seen only once."""
        return self._rates.of(run_id)

    def curves(self, wanted: Iterable[Series]) -> list[Curve]:
        """Return what is drawn of these series; read again only where they have changed."""
        return [self._curve(series) for series in wanted if int(series.summary["count"])]

    def _curve(self, series: Series) -> Curve:
        summary = series.summary.tobytes()
        known = self._curves.get(series.key)
        began = time.monotonic()
        if known is not None and (known[0] == summary or began < known[1]):
            return known[2]
        points = next(
            points
            for points in read_series(
                self._store,
                [series.key.run_id],
                [series.key.key],
                max_points=POINTS_DRAWN,
            )
            if points.key == series.key  # a key may be taken for a pattern
        )
        curve = Curve(series_name(series.key), points.step, points.value)
        took = time.monotonic() - began
        self._curves[series.key] = summary, began + _REST * took, curve
        return curve

    def _files(self) -> list[str]:
        catalog = os.path.join(self.backend.place.catalog, CATALOG)
        return [catalog, catalog + "-wal"]


def _state(path: str) -> tuple[int, int] | None:
    """Return what changes whenever a file is written to."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size
