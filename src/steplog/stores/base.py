"""The store protocol: what every store can do, and what all of them promise.

A store keeps a *catalog* (experiments, runs, params, tags, series and their summaries) and the
points of each series. Here live the protocol and the values that cross it; what an operation means
is decided in `steplog.fold`, what a summary is in `steplog.summary`, and the stores only keep rows.

The promises, each tested for every store by `steplog.testing`:

* **Exactly once.** `apply` is the only method that writes what was logged. It is one transaction,
  and it moves one journal from the position `before` to the position `after`. When the store's own
  position of that journal is not `before` (somebody else was faster, or this range was applied
  already), nothing is changed.
* **Exact.** Steps, timestamps and values come back bit for bit.
* **Sets.** Points of one series that agree in step, timestamp and the bits of their value are one
  point. A series is read in the order of `steplog.points`: step, then timestamp, then value.
* **Threads.** Every method may be called from any thread. Any number of processes may hold the
  same store open.
* **Errors.** A store raises `StoreError` when it cannot answer for now (locked, full, unreadable),
  `StoreDamaged` when what it kept is not what it reads, `FormatTooNew` when a newer steplog wrote
  it. Driver errors do not pass this line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from steplog.journal import PAGE

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from steplog.operations import Operation, SeriesKey
    from steplog.points import Columns
    from steplog.query import Query
    from steplog.rows import ExperimentRow, ModelRow, Refusal, Role, RunRow


class Position(NamedTuple):
    """How far a journal has been applied.

    Attributes:
        offset: bytes from the start of the file; everything before it has been applied …
        holes: … except these ranges of bytes ``(start, end)``: slots that a thread had claimed but
            not yet written when the journal was read. They are looked at again.

    """

    offset: int
    holes: tuple[tuple[int, int], ...] = ()


DATASET_CONTEXT = "mlflow.data.context"
"""The tag that says what a run used a dataset for; a query's ``dataset.context``."""

START = Position(PAGE)
"""Where a journal stands of which nothing has been applied: behind its header."""

BEAT_SECONDS = 60.0
"""How long a writer counts as alive after its last beat."""

PARENT_RUN_ID = "mlflow.parentRunId"
"""The tag by which a nested run names the run that it is nested in."""


class Batch(NamedTuple):
    """One stretch of one journal, as `apply` takes it.

    Attributes:
        journal_id: 32 hex digits.
        writer_id: 32 hex digits; the process that wrote it (its journals share it).
        before: the position this batch starts from.
        after: the position when it has been applied.
        operations: ``(offset, operation)`` in the order of the journal.
        points: array of dtype `steplog.points.POINT`, timestamps in milliseconds; its field
            ``series`` holds numbers that `series` explains.
        series: number -> what it stands for; at least every number that occurs in `points`.
        durable: the commit must survive a power cut (``STEPLOG_DURABILITY=power``).

    """

    journal_id: str
    writer_id: str
    before: Position
    after: Position
    operations: Sequence[tuple[int, Operation]]
    points: npt.NDArray[np.void]
    series: Mapping[int, SeriesKey]
    durable: bool = False


class Refused(NamedTuple):
    """An operation that the catalog did not accept, and where its record stands."""

    journal_id: str
    offset: int
    refusal: Refusal


class Series(NamedTuple):
    """One series and what is known of it without reading its points.

    `summary` is one element of dtype `steplog.summary.SUMMARY`. `exact` is False while points that
    wait to be sealed may repeat others: then `summary` may count a point twice, and who shows the
    count reads the points instead.
    """

    series_id: int
    key: SeriesKey
    summary: npt.NDArray[np.void]
    exact: bool


class KeyUse(NamedTuple):
    """A metric that runs have.

    Attributes:
        key: its name.
        runs: how many of the runs have it.
        points: how many points they have of it together; repeated ones may count twice until
            they are sealed.

    """

    key: str
    runs: int
    points: int


class PairKeys(NamedTuple):
    """The keys of the params and of the tags that runs have, each sorted."""

    params: list[str]
    tags: list[str]


class DatasetUse(NamedTuple):
    """A dataset as one run used it: the fields of `entities.Dataset`, and the tags of the use."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None
    profile: str | None
    tags: dict[str, str]


class ModelUse(NamedTuple):
    """A logged model that a run used or made, at a step."""

    role: Role
    model_id: str
    step: int


class Last(NamedTuple):
    """The last point of one series of a run; texts are empty where there is no model or dataset."""

    key: str
    model_id: str
    dataset_name: str
    dataset_digest: str
    step: int
    timestamp: int
    value: float


class RunRecord(NamedTuple):
    """A run's row with its params and tags, the writers that have logged to it, and what it used.

    `datasets` and `models` stand in the order in which they became inputs and outputs; `last` holds
    the last point of each series, where that was asked for.
    """

    row: RunRow
    params: dict[str, str]
    tags: dict[str, str]
    writers: frozenset[str] = frozenset()
    datasets: Sequence[DatasetUse] = ()
    models: Sequence[ModelUse] = ()
    last: Sequence[Last] = ()


class ModelRecord(NamedTuple):
    """A logged model's row with its params and tags."""

    row: ModelRow
    params: dict[str, str]
    tags: dict[str, str]


class DatasetSummary(NamedTuple):
    """That runs of an experiment used a dataset in some context (None: in none)."""

    experiment_id: str
    name: str
    digest: str
    context: str | None


class ExperimentRecord(NamedTuple):
    """An experiment's row with its tags."""

    row: ExperimentRow
    tags: dict[str, str]


class Damage(NamedTuple):
    """One thing that `check` found wrong: where, and what."""

    where: str
    what: str


class Need(IntEnum):
    """What a survey is to tell of a stretch of points: nothing, its summary, or its points."""

    NOTHING = 0
    SUMMARY = 1
    POINTS = 2


class Store(Protocol):
    """Catalog and points behind one narrow, batch-shaped protocol."""

    def apply(self, batch: Batch) -> list[Refused] | None:
        """Apply one stretch of one journal, whole or not at all.

        Operations come first, in their order, then the points. A refused operation is remembered
        (see `refusals`) and does not keep the others from being applied.

        Returns:
            The operations refused, or None where the stored position is not ``batch.before`` and
            nothing was done.

        """
        ...

    def positions(self, journal_ids: Sequence[str]) -> dict[str, Position]:
        """Up to where each of these journals has been applied; those at START are left out."""
        ...

    def refusals(
        self, run_id: str | None = None, journal_ids: Sequence[str] | None = None
    ) -> list[Refused]:
        """Return the operations refused so far, oldest first.

        Args:
            run_id: only those of this run.
            journal_ids: only those that stood in these journals.

        """
        ...

    def experiments(
        self, ids: Sequence[str] | None = None, name: str | None = None
    ) -> list[ExperimentRecord]:
        """Experiments with these ids, or with this name, or all; newest first, then by id."""
        ...

    def runs(
        self,
        run_ids: Sequence[str] | None = None,
        experiment_ids: Sequence[str] | None = None,
        last: bool = False,
    ) -> list[RunRecord]:
        """Runs with these ids (or ids that start so), or of these experiments, or all.

        Newest start first, then by id; deleted runs and runs of deleted experiments included.

        Args:
            run_ids: whole ids, or their beginnings.
            experiment_ids: whole ids.
            last: with the last point of each of their series.

        """
        ...

    def models(self, model_ids: Sequence[str]) -> list[ModelRecord]:
        """Logged models with these ids, in this order, deleted ones included."""
        ...

    def datasets(self, experiment_ids: Sequence[str], limit: int) -> list[DatasetSummary]:
        """Which datasets the runs of these experiments used, each once for each context."""
        ...

    def search(self, query: Query) -> list[str]:
        """Return the ids of the runs, experiments or logged models that a query asks for.

        What a condition means, and where NaN and what is missing stand in an order, is said by
        `steplog.query.matches` and `steplog.query.sort_key`. Results that a query leaves equal
        are ordered by `steplog.query.TIE_BREAKS`.
        """
        ...

    def series(
        self,
        run_ids: Sequence[str] | None,
        keys: Sequence[str] | None = None,
        model_ids: Sequence[str] | None = None,
    ) -> list[Series]:
        """Return the series of these runs, ordered by run (as asked), and then by their keys.

        Args:
            run_ids: whole run ids; None where `model_ids` says which series are meant.
            keys: exact keys or glob patterns (``train/*``); None for all.
            model_ids: only series measured on these logged models; without `run_ids`, of
                whichever runs, ordered by run id, key and the rest.

        """
        ...

    def keys(self, run_ids: Sequence[str]) -> list[KeyUse]:
        """Return the metrics that these runs have, ordered by key; whole run ids."""
        ...

    def pair_keys(self, run_ids: Sequence[str]) -> PairKeys:
        """Return the keys of params and tags that some of these runs have; whole run ids."""
        ...

    def children(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Return how many active runs are nested in each of these; those without any are left out.

        Args:
            run_ids: whole ids.

        """
        ...

    def points(
        self,
        series_id: int,
        steps: tuple[int, int] | None = None,
        times: tuple[int, int] | None = None,
    ) -> Iterator[Columns]:
        """Yield the points of one series in order, in pieces of bounded size.

        Each piece is sorted and free of duplicates, and so is their concatenation.

        Args:
            series_id: as in `Series`.
            steps: first and last step wanted, both included.
            times: first and last timestamp in ms, both included.

        """
        ...

    def outline(self, series_id: int) -> npt.NDArray[np.void]:
        """Summaries (dtype SUMMARY) of consecutive stretches of one series, in order, all exact.

        Together they cover every point; none covers more than some ten thousand. A chart of a long
        series is drawn from them, without reading its points.
        """
        ...

    def survey(
        self,
        series_id: int,
        need: Callable[[npt.NDArray[np.void]], npt.NDArray[np.integer[Any]]],
    ) -> Iterator[npt.NDArray[np.void] | Columns]:
        """Yield what is needed of each stretch of one series, all of one state of the store.

        So who draws a chart reads the points of few stretches, and of the others their summaries.

        Args:
            series_id: as in `Series`.
            need: called once, with what `outline` gives; returns a `Need` for each stretch.

        Yields:
            In series order, the summaries of stretches that follow one another, or the points of
            one stretch.

        """
        ...

    def beat(self, writer_ids: Sequence[str]) -> None:
        """Note that these writers live, for whoever cannot see their journals."""
        ...

    def beating(self) -> frozenset[str]:
        """Return the writers of which `beat` has told within BEAT_SECONDS, by the store's clock."""
        ...

    def purge(self, run_ids: Sequence[str]) -> int:
        """Remove these runs for good, with their points and all else that was logged to them.

        They are not to be logged to any more: what still comes makes a run of that id anew.

        Args:
            run_ids: whole ids; unknown ones are passed over.

        Returns:
            How many runs were removed.

        """
        ...

    def seal(self, run_id: str | None = None) -> int:
        """Sort waiting points into chunks: of runs that ended or grew enough, or all of one run.

        Returns:
            How many points were sealed. Reading gives the same points before, during and after.

        """
        ...

    def check(self) -> Iterator[Damage | int]:
        """Verify everything kept: checksums, counts, summaries.

        Yields each damage found, and between them how many series have been looked at so far.
        """
        ...

    def stats(self) -> dict[str, Any]:
        """Counts and bytes: ``experiments``, ``runs``, ``series``, ``points``, ``waiting_points``,
        ``bytes``, and ``runs_bytes``: run id -> bytes of its points.
        """
        ...

    def close(self) -> None:
        """Give back files and connections. The store cannot be used afterwards."""
        ...
