"""Sync: bring what one store knows into another one, as often as one likes.

Nothing is kept between one sync and the next: what the two stores know is compared, and what the
target lacks is sent. So a sync may be broken off anywhere and begun again, and one that finds
nothing new sends nothing. Points are sets: sending one twice would do no harm.

Series are compared by their summaries, as rsync compares files by their sizes and times. Where
these differ, the target most often lacks the end, and nothing else is read; else all points are
read from both, side by side. Two series whose summaries agree may still differ, in theory:
`Sync.verify` reads all points.

What is not here: what of a catalog is to be sent (`steplog.differences`), how it is
(`steplog.carrying`), and which stores they are (`steplog.syncing`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from steplog.carrying import Carrier, Seen
from steplog.comparing import checksum, everything_lacking
from steplog.differences import Kept
from steplog.entities import LifecycleStage
from steplog.query import Condition, Field, Query, What
from steplog.rows import OPEN_STATUSES
from steplog.sending import Outbox
from steplog.stores.base import ExperimentRecord, Refused, Store

SMALLEST_GROUP, LARGEST_GROUP = 16, 512
"""So many runs, or models, are asked for at once, the first time and at most."""
MOST_AT_ONCE = 50_000
"""So many series, params and tags are in memory at once, unless a single run has more."""
BEAT_SECONDS = 15.0
_STAGES = (LifecycleStage.ACTIVE, LifecycleStage.DELETED)
_OPEN = Condition(Field("attribute", "status"), "IN", OPEN_STATUSES)


class Chosen(NamedTuple):
    """What is to be synced, by whole ids; None means all."""

    run_ids: Sequence[str] | None = None
    experiment_ids: Sequence[str] | None = None


ALL = Chosen()


class Outcome:
    """What a sync did, or would do.

    Attributes:
        runs: how many runs were looked at.
        sent: the ids of those of which something was sent.
        operations: how many operations were sent.
        points: how many points.
        kept: what the two stores know differently, and the target keeps.
        refused: operations that the target did not accept.
        verified: how many series were compared point by point (`Sync.verify`).
        healed: of how many of these the target lacked points that summaries had not told of.

    """

    def __init__(self) -> None:
        self.runs = 0
        self.sent: set[str] = set()
        self.operations = 0
        self.points = 0
        self.kept: list[Kept] = []
        self.refused: list[Refused] = []
        self.verified = 0
        self.healed = 0

    def add(self, later: Outcome) -> None:
        """Add what was done afterwards; the same runs were looked at."""
        self.runs = max(self.runs, later.runs)
        self.sent |= later.sent
        self.operations += later.operations
        self.points += later.points
        self.kept += [each for each in later.kept if each not in self.kept]
        self.refused += later.refused
        self.verified += later.verified
        self.healed += later.healed


class Sync:
    """Brings what a source knows into a target. For one thread.

    Args:
        source: what is read.
        target: what is written.
        chosen: what of the source is meant.
        live: returns the writers of the source that are alive.
        dry: only find out what would be sent.
        advance: called with the number of runs that have been looked at since the last call.

    """

    def __init__(
        self,
        source: Store,
        target: Store,
        chosen: Chosen = ALL,
        live: Callable[[], frozenset[str]] = frozenset,
        *,
        dry: bool = False,
        advance: Callable[[int], None] = lambda runs: None,
    ) -> None:
        self._source = source
        self._target = target
        self._chosen = chosen
        self._live = live
        self._dry = dry
        self._advance = advance
        self._seen = Seen()
        self._beaten = float("-inf")

    def look(self, *, everything: bool = True) -> Outcome:
        """Compare the two stores and send what the target lacks.

        Args:
            everything: False to look only at runs that have not ended, or had not the last time;
                whoever watches a large store looks less often at the others, and at models.

        Raises:
            StoreError: one of the stores cannot answer now. Look again later; what was sent until
                then is there.

        """
        outcome = Outcome()
        live = self._live()
        carrier = Carrier(self._source, self._target, self._seen, live, dry=self._dry)
        experiments = self._experiments()
        carrier.begin_experiments(experiments)
        groups = _Groups(self._run_ids(everything))
        for run_ids in groups:
            self._tell_of_writers(live)
            groups.weigh(carrier.carry_runs(run_ids))
            outcome.runs += len(run_ids)
            self._advance(len(run_ids))
        for model_ids in _Groups(self._model_ids() if everything else ()):
            carrier.carry_models(model_ids)
        carrier.finish_experiments(experiments)
        carrier.finish()
        outcome.operations, outcome.points = carrier.outbox.operations, carrier.outbox.points
        outcome.kept, outcome.sent = carrier.kept, carrier.sent
        outcome.refused = carrier.outbox.refused
        return outcome

    def verify(self) -> Outcome:
        """Compare all points of the two stores, and send those that the target lacks.

        Points that are logged meanwhile are left to the next look.
        """
        outcome, outbox = Outcome(), Outbox(self._target, dry=self._dry)
        groups = _Groups(self._run_ids(everything=True))
        for run_ids in groups:
            theirs = {each.key: each for each in self._target.series(run_ids)}
            groups.weigh(len(theirs))
            for series in self._source.series(run_ids):
                known = theirs.get(series.key)
                outcome.verified += 1
                if known is None or (
                    checksum(self._source, series) == checksum(self._target, known)
                ):
                    continue
                points = outbox.points
                for piece in everything_lacking(self._source, series, self._target, known):
                    outbox.log(series.key, piece)
                if outbox.points > points:
                    outcome.healed += 1
                    outcome.sent.add(series.key.run_id)
            self._advance(len(run_ids))
        outbox.flush()
        outcome.points, outcome.refused = outbox.points, outbox.refused
        return outcome

    def size(self) -> int:
        """Return how many runs there are to look at."""
        return len(self._run_ids(everything=True))

    # -- what is chosen ---------------------------------------------------------------------------

    def _experiments(self) -> list[ExperimentRecord]:
        """Return the experiments in question, oldest first."""
        ids = self._chosen.experiment_ids
        if self._chosen.run_ids is not None:
            runs = self._source.runs(self._chosen.run_ids)
            ids = sorted({each.row.experiment_id for each in runs})
        return self._source.experiments(ids)[::-1]

    def _run_ids(self, everything: bool) -> list[str]:
        """Return the runs to look at, oldest first."""
        if self._chosen.run_ids is not None:
            return [*self._chosen.run_ids]
        found = self._search("runs", *(() if everything else (_OPEN,)))
        if not everything:
            found += self._seen.open_runs.keys() - {*found}
        return found[::-1]

    def _model_ids(self) -> list[str]:
        if self._chosen.run_ids is None:
            return self._search("models")[::-1]
        made = Condition(Field("attribute", "source_run_id"), "IN", tuple(self._chosen.run_ids))
        used = (
            use.model_id
            for group in _Groups(self._chosen.run_ids)
            for run in self._source.runs(group)
            for use in run.models
        )
        return [*dict.fromkeys([*self._search("models", made)[::-1], *used])]

    def _search(self, what: What, *conditions: Condition) -> list[str]:
        ids = self._chosen.experiment_ids
        asked = None if ids is None else tuple(ids)
        return self._source.search(Query(what, conditions, (), asked, _STAGES))

    # -- who is alive -----------------------------------------------------------------------------

    def _tell_of_writers(self, live: frozenset[str]) -> None:
        """Have the target hear of the writers that live, often enough not to take them for dead."""
        if live and not self._dry and time.monotonic() - self._beaten > BEAT_SECONDS:
            self._target.beat(sorted(live))
            self._beaten = time.monotonic()


class _Groups:
    """Cuts ids into groups, and makes these smaller where much is known of each of them."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = ids
        self._size = SMALLEST_GROUP

    def __iter__(self) -> Iterator[Sequence[str]]:
        start = 0
        while start < len(self._ids):
            stop = start + self._size
            self._size = min(2 * self._size, LARGEST_GROUP)
            yield self._ids[start:stop]
            start = stop

    def weigh(self, weight: int) -> None:
        """Say how many things the last group had; the next is to have about MOST_AT_ONCE."""
        if weight > MOST_AT_ONCE // 2:
            self._size = max(1, self._size * MOST_AT_ONCE // (4 * weight))
