"""Carrying: experiments, runs, logged models and points of a source that a target lacks.

One `Carrier` goes once through what it is given, compares it with the target in groups, and sends
the difference. What it has carried is noted in `Seen` when the target has all of it, so that the
next one passes over what has not changed.

What is not here: which runs are looked at, and when (`steplog.sync`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from steplog.comparing import lacking
from steplog.differences import (
    Differences,
    Kept,
    experiment_differences,
    made_experiment,
    model_differences,
    reopened,
    run_differences,
)
from steplog.entities import LifecycleStage
from steplog.operations import CreateModel, CreateRun, Operation, UpdateExperiment, UpdateRun
from steplog.rows import OPEN_STATUSES, ExperimentRow
from steplog.sending import Outbox
from steplog.stores.base import ExperimentRecord, ModelRecord, RunRecord, Series, Store
from steplog.summary import SUMMARY, agree

ACTIVE = LifecycleStage.ACTIVE

Pair = tuple[Series, Series | None]
"""A series of the source, and that of the target with the same key."""


class Seen:
    """What was carried before.

    Attributes:
        open_runs: the runs that had not ended, as the source knew them.
        experiments: all of them, likewise.
        models: those that were not ready, likewise.

    """

    def __init__(self) -> None:
        self.open_runs: dict[str, RunRecord] = {}
        self.experiments: dict[str, ExperimentRecord] = {}
        self.models: dict[str, ModelRecord] = {}
        self._digests: dict[str, bytes] = {}

    def has(self, run_id: str, digest: bytes) -> bool:
        """Tell whether a run was carried as it is now."""
        return self._digests.get(run_id) == digest

    def note_run(self, record: RunRecord, digest: bytes) -> None:
        """Remember a run."""
        self._digests[record.row.run_id] = digest
        if record.row.status in OPEN_STATUSES:
            self.open_runs[record.row.run_id] = record
        else:
            self.open_runs.pop(record.row.run_id, None)

    def note_experiment(self, record: ExperimentRecord) -> None:
        """Remember an experiment."""
        self.experiments[record.row.experiment_id] = record

    def note_model(self, record: ModelRecord) -> None:
        """Remember a logged model."""
        if record.row.status == "PENDING":
            self.models[record.row.model_id] = record
        else:
            self.models.pop(record.row.model_id, None)


class Carrier:
    """Carries from a source to a target, for one thread; experiments first, and last again.

    Args:
        source: what is read.
        target: what is written.
        seen: what was carried before; changed by `finish`.
        live: the writers that log to the source now.
        dry: only find out what would be sent.

    Attributes:
        outbox: what was sent.
        kept: what the two know differently, and the target keeps.
        sent: the ids of the runs of which something was sent.

    """

    def __init__(
        self,
        source: Store,
        target: Store,
        seen: Seen,
        live: frozenset[str] = frozenset(),
        *,
        dry: bool = False,
    ) -> None:
        self.outbox = Outbox(target, dry=dry)
        self.kept: list[Kept] = []
        self.sent: set[str] = set()
        self._source = source
        self._target = target
        self._seen = seen
        self._live = live
        self._homes: dict[str, ExperimentRow] = {}
        self._notes: list[Callable[[], None]] = []

    def begin_experiments(self, experiments: Sequence[ExperimentRecord]) -> None:
        """Make the experiments that the target lacks, so that runs can be made in them."""
        known = {each.row.experiment_id: each.row for each in self._target.experiments()}
        self._rename(experiments, known)
        named = {row.name: row for row in known.values()}
        for record in experiments:
            row = record.row
            home = known.get(row.experiment_id) or named.get(row.name)
            if (home is None or home.placeholder) and not row.placeholder:
                self.outbox.do([made_experiment(record)])
            if home is None:
                home = row._replace(lifecycle_stage=ACTIVE)
            if home.experiment_id != row.experiment_id:
                what = f"experiment {row.name!r}: id"
                self.kept.append(Kept(what, row.experiment_id, home.experiment_id))
            self._homes[row.experiment_id] = home._replace(name=row.name)

    def _rename(
        self, experiments: Sequence[ExperimentRecord], known: dict[str, ExperimentRow]
    ) -> None:
        """Give experiments that the target knows their names; before others take the old ones."""
        waiting = [each for each in experiments if self._is_renamed(each, known)]
        while waiting:
            taken = {row.name for row in known.values()}
            free = [each for each in waiting if each.row.name not in taken]
            waiting = [each for each in waiting if each.row.name in taken]
            if not free:
                break
            for record in free:
                experiment_id, name = record.row.experiment_id, record.row.name
                home = known[experiment_id]
                rename = UpdateExperiment(experiment_id, record.row.last_update_time, name)
                self._do_in(home, [rename])
                known[experiment_id] = home._replace(name=name)
        for record in waiting:
            what = f"experiment {record.row.experiment_id}: name"
            self.kept.append(Kept(what, record.row.name, known[record.row.experiment_id].name))

    def _is_renamed(self, record: ExperimentRecord, known: Mapping[str, ExperimentRow]) -> bool:
        row, home = record.row, known.get(record.row.experiment_id)
        before = self._seen.experiments.get(row.experiment_id)
        if home is None or home.name == row.name or (row.placeholder and not home.placeholder):
            return False
        return before is None or before.row.name != row.name

    def carry_runs(self, run_ids: Sequence[str]) -> int:
        """Send what the target lacks of these runs, points included.

        Returns:
            How many series, params and tags they have, which says how much memory this took.

        """
        records = {each.row.run_id: each for each in self._source.runs(run_ids)}
        series: defaultdict[str, list[Series]] = defaultdict(list)
        for each in self._source.series(run_ids):
            series[each.key.run_id].append(each)
        digests = {
            run_id: _digest(each, each.writers & self._live, series[run_id])
            for run_id, each in records.items()
        }
        changed = [run_id for run_id in run_ids if run_id in records]
        changed = [each for each in changed if not self._seen.has(each, digests[each])]
        known = {each.row.run_id: each for each in self._target.runs(changed)} if changed else {}
        pairs = differing([each for run_id in changed for each in series[run_id]], self._target)
        for run_id in changed:
            self._carry_run(records[run_id], known.get(run_id), pairs[run_id])
            self._notes.append(partial(self._seen.note_run, records[run_id], digests[run_id]))
        pairs_of_texts = sum(len(each.params) + len(each.tags) for each in records.values())
        return sum(map(len, series.values())) + pairs_of_texts

    def carry_models(self, model_ids: Sequence[str]) -> None:
        """Send what the target lacks of these logged models."""
        known = {each.row.model_id: each for each in self._target.models(model_ids)}
        for record in self._source.models(model_ids):
            model_id, home = record.row.model_id, self._home(record.row.experiment_id)
            before = self._seen.models.get(model_id)
            found = model_differences(record, known.get(model_id), home, before=before)
            self._do(found, home)
            self._notes.append(partial(self._seen.note_model, record))

    def finish_experiments(self, experiments: Sequence[ExperimentRecord]) -> None:
        """Send what the target lacks of these experiments beyond their runs, after those."""
        self.outbox.flush()
        known = {each.row.experiment_id: each for each in self._target.experiments()}
        for record in experiments:
            experiment_id = record.row.experiment_id
            before = self._seen.experiments.get(experiment_id)
            theirs = known.get(experiment_id)
            self._notes.append(partial(self._seen.note_experiment, record))
            if theirs is None or before == record:
                continue  # it goes by another id; or this is a dry look
            active = self._runs_to_stay(record.row, theirs.row)
            self.outbox.do(experiment_differences(record, theirs, active, before=before))

    def finish(self) -> None:
        """Send what is left, and note that the target has all of it."""
        self.outbox.flush()
        self.outbox.seal()
        for note in self._notes:
            note()

    # -- one of them ------------------------------------------------------------------------------

    def _carry_run(self, record: RunRecord, known: RunRecord | None, pairs: Sequence[Pair]) -> None:
        row, home = record.row, self._home(record.row.experiment_id)
        points = self.outbox.points
        live = not record.writers.isdisjoint(self._live)
        before = self._seen.open_runs.get(row.run_id)
        self._introduce(record, known)
        found = run_differences(record, known, home, live=live, before=before)
        self._do(found, home, [row.run_id] if row.lifecycle_stage == ACTIVE else [])
        for series, theirs in pairs:
            for piece in lacking(self._source, series, self._target, theirs):
                self.outbox.log(series.key, piece)
        if found.operations or self.outbox.points > points:
            self.sent.add(row.run_id)

    def _introduce(self, record: RunRecord, known: RunRecord | None) -> None:
        """Have the target know the live writers of a run, before it knows the run.

        As long as it hears of them (`Store.beat`), it does not take the run for lost.
        """
        writers = record.writers & self._live
        if known is not None:
            writers -= known.writers
        stages = {each.row.lifecycle_stage for each in (record, known or record)}
        if record.row.status in OPEN_STATUSES and stages == {ACTIVE}:
            for writer_id in sorted(writers):
                with self.outbox.signed(writer_id):
                    self.outbox.do([UpdateRun(record.row.run_id, record.row.start_time)])

    def _do(self, found: Differences, home: ExperimentRow, stays: Sequence[str] = ()) -> None:
        """Send what was found of a run or model; `stays` names the run where it is active."""
        self.kept += found.kept
        if any(isinstance(each, (CreateRun, CreateModel)) for each in found.operations[:1]):
            self._do_in(home, found.operations, stays)
        else:
            self.outbox.do(found.operations)

    def _do_in(
        self, home: ExperimentRow, operations: Sequence[Operation], stays: Sequence[str] = ()
    ) -> None:
        """Send operations that an experiment refuses while it is deleted."""
        if home.lifecycle_stage != ACTIVE:
            self.outbox.flush()
            active = _active_runs(self._target, home.experiment_id)
            operations = reopened(home, operations, sorted(active.union(stays)))
        self.outbox.do(operations)

    def _home(self, experiment_id: str) -> ExperimentRow:
        """Return an experiment as the target has it, or will have it soon."""
        if experiment_id not in self._homes:  # it was made a moment ago
            self.begin_experiments(self._source.experiments([experiment_id]))
        return self._homes[experiment_id]

    def _runs_to_stay(self, row: ExperimentRow, theirs: ExperimentRow) -> list[str]:
        """Return the runs that are active in the target and shall be after the experiment's end."""
        if ACTIVE == row.lifecycle_stage == theirs.lifecycle_stage:
            return []
        active = _active_runs(self._target, theirs.experiment_id)
        if theirs.lifecycle_stage == ACTIVE:
            active &= _active_runs(self._source, row.experiment_id)
        return sorted(active)


def differing(series: Sequence[Series], target: Store) -> defaultdict[str, list[Pair]]:
    """Return, by run, the series that may have points which the target's have not.

    Args:
        series: series of another store.
        target: the store that they are compared with, by their summaries.

    """
    run_ids = [*dict.fromkeys(each.key.run_id for each in series)]
    known = {each.key: each for each in target.series(run_ids)} if run_ids else {}
    found: defaultdict[str, list[Pair]] = defaultdict(list)
    pairs = [(each, known.get(each.key)) for each in series]
    both = [(ours, theirs) for ours, theirs in pairs if theirs is not None]
    same = agree(*(_summaries(each) for each in (zip(*both, strict=True) if both else ((), ()))))
    equal = {
        ours.key
        for (ours, theirs), agreed in zip(both, same.tolist(), strict=True)
        if agreed and ours.exact and theirs.exact
    }
    for pair in pairs:
        if pair[0].key not in equal:
            found[pair[0].key.run_id].append(pair)
    return found


def _summaries(series: Iterable[Series]) -> npt.NDArray[np.void]:
    # numpy takes ten times as long to make an array of its own records.
    return np.frombuffer(b"".join(each.summary.tobytes() for each in series), SUMMARY)


def _digest(record: RunRecord, live: frozenset[str], series: Sequence[Series]) -> bytes:
    """Return bytes that change with anything of a run, and with who of its writers lives."""
    known = repr((record._replace(writers=frozenset()), sorted(live)))
    summaries = b"".join(each.summary.tobytes() for each in series)
    return blake2b(known.encode("utf-8") + summaries, digest_size=16).digest()


def _active_runs(store: Store, experiment_id: str) -> set[str]:
    records = store.runs(experiment_ids=[experiment_id])
    return {each.row.run_id for each in records if each.row.lifecycle_stage == ACTIVE}
