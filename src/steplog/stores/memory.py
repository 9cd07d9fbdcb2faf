"""The store in memory: the executable specification of every other, and the oracle of their tests.

It keeps the points of a series sorted and free of duplicates at any time, so nothing ever waits to
be sealed, and every summary is computed when it is asked for. It is gone with the process.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import numpy.typing as npt

from steplog.fold import (
    ExperimentRow,
    RunRow,
    default_experiment,
    ensure_run,
    fold,
    storable,
)
from steplog.operations import SeriesKey
from steplog.points import Columns, empty_columns, union
from steplog.stores.base import (
    START,
    Batch,
    Damage,
    ExperimentRecord,
    Position,
    Refused,
    RunRecord,
    Series,
)
from steplog.summary import SUMMARY, summarise

PIECE_POINTS = 8192


class MemoryRows:
    """A catalog's rows (`steplog.fold.Rows`) as dictionaries."""

    def __init__(self) -> None:
        default = default_experiment(time.time_ns() // 1_000_000)
        self.experiments = {default.experiment_id: default}
        self.experiment_tags: dict[str, dict[str, str]] = defaultdict(dict)
        self.runs: dict[str, RunRow] = {}
        self.run_params: dict[str, dict[str, str]] = defaultdict(dict)
        self.run_tags: dict[str, dict[str, str]] = defaultdict(dict)

    def experiment(self, experiment_id: str) -> ExperimentRow | None:
        """Return the experiment with this id."""
        return self.experiments.get(experiment_id)

    def experiment_named(self, name: str) -> ExperimentRow | None:
        """Return the experiment that has this name now."""
        return next((row for row in self.experiments.values() if row.name == name), None)

    def put_experiment(self, row: ExperimentRow) -> None:
        """Insert the experiment, or replace the row of its id."""
        self.experiments[row.experiment_id] = row

    def set_experiment_tags(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        """Set these tags and leave the others."""
        self.experiment_tags[experiment_id].update(tags)

    def set_runs_lifecycle(self, experiment_id: str, lifecycle_stage: str) -> None:
        """Give every run of the experiment this lifecycle stage."""
        for run_id, row in self.runs.items():
            if row.experiment_id == experiment_id:
                self.runs[run_id] = row._replace(lifecycle_stage=lifecycle_stage)

    def run(self, run_id: str) -> RunRow | None:
        """Return the run with this id."""
        return self.runs.get(run_id)

    def put_run(self, row: RunRow) -> None:
        """Insert the run, or replace the row of its id."""
        self.runs[row.run_id] = row

    def params(self, run_id: str) -> dict[str, str]:
        """Return all params of the run."""
        return dict(self.run_params[run_id])

    def add_params(self, run_id: str, params: Mapping[str, str]) -> None:
        """Add params that the run does not have yet."""
        self.run_params[run_id].update(params)

    def tags(self, run_id: str) -> dict[str, str]:
        """Return all tags of the run."""
        return dict(self.run_tags[run_id])

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set these tags and leave the others."""
        self.run_tags[run_id].update(tags)

    def remove_tag(self, run_id: str, key: str) -> None:
        """Remove this tag, which the run has."""
        del self.run_tags[run_id][key]


class MemoryStore:
    """A `steplog.stores.base.Store` that keeps everything in this process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._rows = MemoryRows()
        self._writers: dict[str, set[str]] = defaultdict(set)
        self._positions: dict[str, Position] = {}
        self._refusals: list[Refused] = []
        self._series: dict[SeriesKey, Columns] = {}

    def apply(self, batch: Batch) -> list[Refused] | None:
        """Apply one stretch of one journal, whole or not at all."""
        with self._lock:
            if self._positions.get(batch.journal_id, START) != batch.before:
                return None
            self._positions[batch.journal_id] = batch.after
            refused = list(self._fold_operations(batch))
            self._refusals += refused
            for number in np.unique(batch.points["series"]).tolist():
                self._add(storable(batch.series[number]), batch, number)
            return refused

    def positions(self, journal_ids: Sequence[str]) -> dict[str, Position]:
        """Up to where each of these journals has been applied; those at START are left out."""
        with self._lock:
            return {each: self._positions[each] for each in journal_ids if each in self._positions}

    def refusals(self, run_id: str | None = None) -> list[Refused]:
        """Return the operations refused so far, of one run or of all, oldest first."""
        with self._lock:
            return [each for each in self._refusals if run_id in (None, each.refusal.run_id)]

    def experiments(
        self, ids: Sequence[str] | None = None, name: str | None = None
    ) -> list[ExperimentRecord]:
        """Experiments with these ids, or with this name, or all; newest first, then by id."""
        with self._lock:
            rows = [
                row
                for row in self._rows.experiments.values()
                if (ids is None or row.experiment_id in ids) and name in (None, row.name)
            ]
            rows.sort(key=lambda row: (-row.creation_time, row.experiment_id))
            tags = self._rows.experiment_tags
            return [ExperimentRecord(row, dict(tags[row.experiment_id])) for row in rows]

    def runs(
        self, run_ids: Sequence[str] | None = None, experiment_ids: Sequence[str] | None = None
    ) -> list[RunRecord]:
        """Runs with these ids (or ids that start so), or of these experiments, or all."""
        with self._lock:
            rows = [
                row
                for row in self._rows.runs.values()
                if (run_ids is None or row.run_id.startswith(tuple(run_ids)))
                and (experiment_ids is None or row.experiment_id in experiment_ids)
            ]
            rows.sort(key=lambda row: (-row.start_time, row.run_id))
            return [
                RunRecord(
                    row,
                    self._rows.params(row.run_id),
                    self._rows.tags(row.run_id),
                    frozenset(self._writers[row.run_id]),
                )
                for row in rows
            ]

    def series(self, run_ids: Sequence[str], keys: Sequence[str] | None = None) -> list[Series]:
        """Return the series of these runs, ordered by run (as asked), key and the rest."""
        with self._lock:
            return [
                Series(number, key, summarise(columns)[0], exact=True)
                for run_id in run_ids
                for key, number, columns in sorted(
                    (key, number, columns)
                    for number, (key, columns) in enumerate(self._series.items())
                    if key.run_id == run_id and _matches(key.key, keys)
                )
            ]

    def points(
        self,
        series_id: int,
        steps: tuple[int, int] | None = None,
        times: tuple[int, int] | None = None,
    ) -> Iterator[Columns]:
        """Yield the points of one series in order, in pieces of bounded size."""
        columns = self._columns(series_id)
        wanted = _within(columns.step, steps) & _within(columns.timestamp, times)
        yield from _cut(columns.take(wanted))

    def outline(self, series_id: int) -> npt.NDArray[np.void]:
        """Summaries (dtype SUMMARY) of consecutive stretches of one series, in order, all exact."""
        pieces = _cut(self._columns(series_id))
        return np.concatenate([np.empty(0, SUMMARY), *map(summarise, pieces)])

    def seal(self, run_id: str | None = None) -> int:
        """Return 0: nothing waits here."""
        return 0

    def check(self) -> Iterator[Damage | int]:
        """Find nothing: every summary is computed from the points."""
        yield len(self._series)

    def stats(self) -> dict[str, Any]:
        """Counts and bytes, as the protocol says."""
        with self._lock:
            bytes_of: dict[str, int] = dict.fromkeys(self._rows.runs, 0)
            for key, columns in self._series.items():
                bytes_of[key.run_id] += sum(column.nbytes for column in columns)
            return {
                "experiments": len(self._rows.experiments),
                "runs": len(self._rows.runs),
                "series": len(self._series),
                "points": sum(columns.step.size for columns in self._series.values()),
                "waiting_points": 0,
                "bytes": sum(bytes_of.values()),
                "runs_bytes": bytes_of,
            }

    def close(self) -> None:
        """Do nothing: the points go with the object."""

    def _fold_operations(self, batch: Batch) -> Iterator[Refused]:
        for offset, operation in batch.operations:
            refusal = fold(operation, self._rows)
            if refusal is not None:
                yield Refused(batch.journal_id, offset, refusal)
            run_id = getattr(operation, "run_id", None)
            if run_id in self._rows.runs:
                self._writers[run_id].add(batch.writer_id)

    def _add(self, key: SeriesKey, batch: Batch, number: int) -> None:
        ensure_run(key.run_id, self._rows, int(batch.points["timestamp"].min()))
        self._writers[key.run_id].add(batch.writer_id)
        points = Columns.of(batch.points[batch.points["series"] == number])
        self._series[key] = union([self._series.get(key, empty_columns()), points])

    def _columns(self, series_id: int) -> Columns:
        with self._lock:
            return [*self._series.values()][series_id]


def _matches(key: str, patterns: Iterable[str] | None) -> bool:
    return patterns is None or any(fnmatchcase(key, pattern) for pattern in patterns)


def _within(column: npt.NDArray[np.int64], window: tuple[int, int] | None) -> npt.NDArray[np.bool_]:
    if window is None:
        return np.ones(column.size, np.bool_)
    first, last = window
    return (first <= column) & (column <= last)


def _cut(columns: Columns) -> Iterator[Columns]:
    for start in range(0, columns.step.size, PIECE_POINTS):
        yield columns.take(slice(start, start + PIECE_POINTS))
