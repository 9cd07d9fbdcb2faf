"""Sync between two stores: afterwards the target knows all that the source does, to the bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sockets import Stores, served_stores

from steplog import sending
from steplog.backend import shown_status
from steplog.comparing import checksum, missing
from steplog.exceptions import StoreError
from steplog.operations import (
    CreateExperiment,
    CreateModel,
    CreateRun,
    DeleteExperimentTag,
    DeleteModelTag,
    DeleteTag,
    LogInputs,
    LogModelParams,
    LogOutputs,
    LogParams,
    Operation,
    SeriesKey,
    SetExperimentTags,
    SetModelTags,
    SetTags,
    UpdateExperiment,
    UpdateModel,
    UpdateRun,
)
from steplog.points import POINT, Columns
from steplog.query import Query
from steplog.stores import open_store, upgrade_store
from steplog.stores.base import DATASET_CONTEXT, Batch, Refused, RunRecord, Store
from steplog.stores.memory import MemoryStore
from steplog.stores.remote import RemoteStore
from steplog.stores.sqlite import SQLiteStore
from steplog.sync import Chosen, Sync
from steplog.testing import (
    DATASET,
    RUN,
    Feed,
    from_bits,
    read,
)

STAGES = ("active", "deleted")


def readable(store: Store) -> dict[str, object]:
    """Return all that a store tells of what was logged, to be compared with another's.

    Left out are which writers it knows, its own numbers, what it refused, and the times of
    experiments that nobody has created (yet): these are guesses.
    """
    runs = store.runs()
    run_ids = [each.row.run_id for each in runs]
    models = store.models(store.search(Query("models", stages=STAGES)))
    return {
        "experiments": [
            (
                (*each.row[:4], each.row.placeholder)
                if each.row.placeholder or each.row.experiment_id == "0"
                else each.row,
                each.tags,
            )
            for each in sorted(store.experiments(), key=lambda each: each.row.experiment_id)
        ],
        "runs": [each._replace(writers=frozenset(), last=()) for each in runs],
        "models": models,
        "series": {each.key: checksum(store, each) for each in store.series(run_ids)},
    }


def sync(source: Store, target: Store) -> None:
    """Sync, expecting that nothing is refused, and that nothing would be sent a second time."""
    report = Sync(source, target).look()
    assert (report.kept, report.refused) == ([], [])
    again = Sync(source, target).look()
    assert (again.operations, again.points, again.sent) == (0, 0, set())


# Any pair of stores, and anything in them ---------------------------------------------------------

STORES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda _: MemoryStore(),
    "sqlite": open_store,
}
RUNS, EXPERIMENTS = (RUN, "b" * 32, "c" * 32), {"0": "Default", "7": "seven", "8": "eight"}
NAMES = st.sampled_from([*EXPERIMENTS.values(), "other"])
TEXTS = st.sampled_from(["", "1", "2", "\u202eüñ\x00\U0001f600"])
PAIRS = st.dictionaries(st.sampled_from(["lr", "note", "mlflow.runName"]), TEXTS, max_size=2)
TIMES = st.integers(1, 9) | st.integers(1_700_000_000_000, 1_700_000_000_009)
RUN_IDS, EXPERIMENT_IDS = st.sampled_from(RUNS), st.sampled_from([*EXPERIMENTS])
MODEL_IDS = st.sampled_from(["m-1", "m-2"])
STAGE = st.none() | st.sampled_from(STAGES)
STATUS = st.none() | st.sampled_from(["RUNNING", "FINISHED", "FAILED", "KILLED", "SCHEDULED"])


def a_run(
    run_id: str, experiment_id: str, name: str, time_ms: int, tags: dict[str, str]
) -> CreateRun:
    """Return the operation that creates a run, its experiment named as its id is."""
    return CreateRun(
        run_id, experiment_id, "user", name, time_ms, tags, "file:///art", "RUNNING",
        EXPERIMENTS[experiment_id],
    )  # fmt: skip


def a_model(model_id: str, experiment_id: str, time_ms: int, pairs: dict[str, str]) -> CreateModel:
    """Return the operation that creates a logged model."""
    return CreateModel(
        model_id, experiment_id, "tree", "file:///m", time_ms, "sklearn", RUN, pairs, pairs,
        "PENDING", EXPERIMENTS[experiment_id],
    )  # fmt: skip


def a_use(run_id: str, digest: str, context: str, model_ids: list[str]) -> LogInputs:
    """Return the operation that gives a run a dataset and models."""
    dataset = {**DATASET, "digest": digest, "tags": {DATASET_CONTEXT: context}}
    return LogInputs(run_id, [dataset], model_ids)


class Logged(NamedTuple):
    """Points of a series."""

    key: SeriesKey
    points: list[tuple[int, int, float]]


Event = Operation | Logged | Literal["sync", "seal"]


def at(event: Operation, now_ms: int) -> Operation:
    """Return an update as it is made at a time: clocks go on, and what ends does so then."""
    if isinstance(event, UpdateRun):
        ended = event.status not in (None, "RUNNING", "SCHEDULED")
        return event._replace(time_ms=now_ms, end_time=now_ms if ended else None)
    if isinstance(event, (UpdateExperiment, UpdateModel)):
        return event._replace(time_ms=now_ms)
    return event


OPERATIONS = st.one_of(
    st.builds(
        lambda id, tags, time: CreateExperiment(id, EXPERIMENTS[id], "file:///a", tags, time),
        EXPERIMENT_IDS, PAIRS, TIMES,
    ),
    st.builds(UpdateExperiment, EXPERIMENT_IDS, TIMES, st.none() | NAMES, STAGE),
    st.builds(SetExperimentTags, EXPERIMENT_IDS, PAIRS),
    st.builds(DeleteExperimentTag, EXPERIMENT_IDS, st.just("note")),
    st.builds(a_run, RUN_IDS, EXPERIMENT_IDS, TEXTS, TIMES, PAIRS),
    st.builds(UpdateRun, RUN_IDS, TIMES, STATUS, st.none(), st.none() | TEXTS, STAGE),
    st.builds(lambda run_id, params: LogParams(run_id, params, False), RUN_IDS, PAIRS),
    st.builds(SetTags, RUN_IDS, PAIRS),
    st.builds(DeleteTag, RUN_IDS, st.sampled_from(["note", "mlflow.runName"])),
    st.builds(a_use, RUN_IDS, st.sampled_from("de"), TEXTS, st.lists(MODEL_IDS, max_size=2)),
    st.builds(LogOutputs, RUN_IDS, st.lists(st.tuples(MODEL_IDS, TIMES).map(list), max_size=2)),
    st.builds(a_model, MODEL_IDS, EXPERIMENT_IDS, TIMES, PAIRS),
    st.builds(
        UpdateModel, MODEL_IDS, TIMES, st.none() | st.sampled_from(["READY", "FAILED"]),
        st.none() | TEXTS, STAGE,
    ),
    st.builds(LogModelParams, MODEL_IDS, PAIRS),
    st.builds(SetModelTags, MODEL_IDS, PAIRS),
    st.builds(DeleteModelTag, MODEL_IDS, st.just("note")),
)  # fmt: skip

KEYS = st.builds(
    SeriesKey, RUN_IDS, st.sampled_from(["loss", "acc"]), st.sampled_from(["", "m-1"]),
    st.sampled_from(["", "digits"]), st.just(""), st.integers(0, 1), st.integers(-1, 1),
)  # fmt: skip
VALUES = st.floats(width=64) | st.sampled_from(
    [from_bits(pattern) for pattern in (0xFFF8_0000_0000_0001, 0x7FF0_0000_0000_0001, 1 << 63, 1)]
)
STEPS = st.integers(-2, 5) | st.sampled_from([-(2**63), 2**63 - 1, 2**62])
POINTS = st.lists(st.tuples(STEPS, STEPS, VALUES), min_size=1, max_size=6)
STRETCHES = st.builds(
    lambda start, count: [(start + i, start + i, i % 7 / 8) for i in range(count)],
    st.integers(-9000, 9000), st.integers(3000, 9000),
)  # fmt: skip
EVENTS = st.lists(
    OPERATIONS | st.builds(Logged, KEYS, POINTS | STRETCHES) | st.just("sync") | st.just("seal"),
    max_size=12,
)


def try_out(kinds: tuple[str, str], events: Sequence[Event]) -> None:
    """Let something happen in a store; sync it again and again, and once at the end."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory()))
        source, watched, late = (
            stack.enter_context(closing(STORES[kind](directory / str(number))))
            for number, kind in enumerate((*kinds, kinds[1]))
        )
        feed, watch = Feed(source), Sync(source, watched)
        for now_ms, event in enumerate((*events, "sync"), 1_800_000_000_000):
            if event == "sync":
                outcome = watch.look()
                assert (outcome.kept, outcome.refused) == ([], [])
                assert readable(watched) == readable(source)
            elif event == "seal":
                source.seal(RUN)
            elif isinstance(event, Logged):
                feed.log(event.key, *event.points)
            else:
                feed.operate(at(event, now_ms))
        sync(source, late)
        assert readable(late) == readable(source)
        if isinstance(source, SQLiteStore):
            assert [*source.check_copy()] == []


@given(events=EVENTS)
@settings(max_examples=15)
def test_whatever_happens_the_target_comes_to_know_it(events: Sequence[Event]) -> None:
    """After every sync a target equals its source, whatever was done and logged there."""
    try_out(("memory", "memory"), events)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("kinds", [("memory", "sqlite"), ("sqlite", "memory")], ids="-".join)
@given(events=EVENTS)
@settings(max_examples=100)
def test_whatever_happens_in_a_file(kinds: tuple[str, str], events: Sequence[Event]) -> None:
    """The same holds for stores in files, and no such file looks like a torn copy."""
    try_out(kinds, events)


def fill(store: Store) -> None:
    """Log all kinds of things to a store: exact values, ranks, attempts, models, deleted runs."""
    feed = Feed(store)
    feed.operate(
        CreateExperiment("7", "seven \u202e\U0001f600", "file:///seven", {"kind": "odd"}, 2000),
        CreateExperiment("8", "eight", "file:///eight", {}, 2001),
        *(
            a_run(run_id, id, f"run {id}", 3000, {"a": "1"})
            for run_id, id in zip(RUNS, "078", strict=True)
        ),
        LogParams(RUN, {"lr": "0.1", "text": "\u0000<b>"}),
        a_use(RUN, "d", "train", ["m-1"]),
        a_model("m-1", "7", 2500, {"depth": "3"}),
        a_model("m-2", "8", 2500, {}),
        UpdateModel("m-1", 2600, "READY", "fine"),
        LogOutputs(RUN, [["m-2", 5], ["m-1", -3]]),
        LogInputs(RUN, [], ["m-2"]),
        UpdateRun(RUN, 0, "FINISHED", 9000),
        UpdateRun(RUNS[1], 0, lifecycle_stage="deleted"),
        UpdateExperiment("8", 4000, lifecycle_stage="deleted"),
        SetTags("d" * 32, {"unknown": "run"}),
    )
    exact = [from_bits(bits) for bits in (0xFFF8_0000_0000_0001, 0x7FF0_0000_0000_0001, 1 << 63, 1)]
    extremes = (-(2**63), 2**63 - 1)
    feed.log("exact", *((step, step, value) for step in (*extremes, 0) for value in exact))
    feed.log("long", *((step, step // 3, step % 7 / 8) for step in range(20_000)))
    for rank in (-1, 0, 1):
        for attempt in (0, 1):
            key = SeriesKey(RUNS[1], "loss", "m-1", "digits", "d", attempt, rank)
            feed.log(key, *((step, rank, step / 3) for step in range(3)))
    store.seal(RUN)
    feed.log("long", *((step, 9, 0.5) for step in range(20_000, 20_010)))


@pytest.fixture(scope="module")
def served() -> Iterator[Stores]:
    """Serve stores from here on."""
    with served_stores() as stores:
        yield stores


@pytest.fixture(params=["memory", "directory", "server"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Open an empty store of each kind."""
    with closing(an_empty_store(request, tmp_path / "source")) as store:
        yield store


@pytest.fixture(params=["memory", "directory", "server"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Open another empty store of each kind."""
    with closing(an_empty_store(request, tmp_path / "target")) as store:
        yield store


def an_empty_store(request: pytest.FixtureRequest, directory: Path) -> Store:
    """Open an empty store of the kind that the parameter names."""
    if request.param == "memory":
        return MemoryStore()
    if request.param == "server":
        return RemoteStore(request.getfixturevalue("served").add(directory), timeout=20.0)
    if request.param == "database":
        return open_store(request.getfixturevalue("postgres_store_uri"))
    if request.param == "two databases":
        clickhouse = request.getfixturevalue("clickhouse_database")
        request.getfixturevalue("monkeypatch").setenv("STEPLOG_POINTS_URI", clickhouse.uri)
        uri = request.getfixturevalue("postgres_uri")
        upgrade_store(uri)
        return open_store(uri)
    return open_store(directory)


def test_any_store_into_any_other(source: Store, target: Store) -> None:
    """All that a store of one kind knows comes into one of another kind, to the bit, and back."""
    fill(source)
    sync(source, target)
    assert readable(target) == readable(source)
    back = MemoryStore()
    sync(target, back)
    assert readable(back) == readable(source)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("target", ["database", "two databases"], indirect=True)
def test_any_store_into_a_database(source: Store, target: Store) -> None:
    """The same holds for PostgreSQL, with ClickHouse and without it, as target and as source."""
    test_any_store_into_any_other(source, target)


def look_at_open_runs(source: Store) -> None:
    """Look at the runs of a source that have not ended, as they begin, grow and end."""
    target = MemoryStore()
    watch, feed = Sync(source, target), Feed(source)
    feed.operate(*(a_run(run_id, "7", "", 5, {}) for run_id in RUNS[:2]))
    feed.operate(UpdateRun(RUN, 0, "FINISHED", 9))
    assert watch.look(everything=False).sent == {RUNS[1]}
    watch.look()
    feed.log("late", (1, 1, 1.0))
    feed.log(SeriesKey(RUNS[1], "loss"), (1, 1, 1.0))
    feed.operate(UpdateRun(RUNS[1], 0, "FAILED", 9), a_run(RUNS[2], "7", "", 5, {}))
    outcome = watch.look(everything=False)
    assert (outcome.runs, outcome.sent, outcome.points) == (2, {*RUNS[1:]}, 1)
    assert watch.look(everything=False).sent == set()
    assert watch.look().sent == {RUN}
    assert readable(target) == readable(source)


def test_runs_that_ended_are_looked_at_less_often(source: Store) -> None:
    """A quick look finds runs that begin, grow and end; a full one also what comes afterwards."""
    look_at_open_runs(source)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("source", ["database"], indirect=True)
def test_runs_of_a_database_that_ended(source: Store) -> None:
    """The same holds where a database is the source."""
    look_at_open_runs(source)


# What wins ----------------------------------------------------------------------------------------


@pytest.fixture
def stores() -> tuple[Store, Store]:
    """Return two stores that know the same run, of the experiment "seven"."""
    both = MemoryStore(), MemoryStore()
    for store in both:
        Feed(store).operate(
            CreateExperiment("7", "seven", "", {}, 1), a_run(RUN, "7", "bee", 2, {"note": "first"})
        )
    return both


def run_of(store: Store) -> RunRecord:
    """Return what a store knows of the run."""
    [record] = store.runs([RUN])
    return record


@pytest.mark.parametrize(
    ("in_source", "in_target", "status", "end"),
    [
        (("RUNNING", None), ("FINISHED", 50), "FINISHED", 50),
        (("FINISHED", 50), ("RUNNING", None), "FINISHED", 50),
        (("FINISHED", 60), ("FAILED", 50), "FINISHED", 60),
        (("FINISHED", 50), ("FAILED", 60), "FAILED", 60),
        (("FINISHED", 50), ("FAILED", 50), "FINISHED", 50),
        (("KILLED", None), ("RUNNING", None), "KILLED", None),
        (("RUNNING", None), ("KILLED", None), "KILLED", None),
    ],
)
def test_the_later_end_of_a_run_counts(
    stores: tuple[Store, Store],
    in_source: tuple[str, int | None],
    in_target: tuple[str, int | None],
    status: str,
    end: int | None,
) -> None:
    """Whichever way it is synced, a run has the status and the end that are known to be later."""
    for store, state in zip(stores, (in_source, in_target), strict=True):
        Feed(store, "2" * 32).operate(UpdateRun(RUN, 0, *state))
    sync(*stores)
    assert run_of(stores[1]).row[4:7] == (status, 2, end)


def test_a_run_that_was_resumed_is_open(stores: tuple[Store, Store]) -> None:
    """A run that goes on after an end that both know is running in the target, too."""
    source, target = stores
    Feed(source).operate(UpdateRun(RUN, 0, "FINISHED", 50))
    sync(source, target)
    Feed(source).operate(UpdateRun(RUN, 0, "RUNNING"))
    sync(source, target)
    assert run_of(target).row.status == "RUNNING"
    sync(target, source)
    assert run_of(source).row.status == "RUNNING"


def test_a_run_that_is_logged_to_is_running(stores: tuple[Store, Store]) -> None:
    """A run with a writer that lives runs, whatever the target says, and is not taken for lost."""
    source, target = stores
    Feed(target).operate(UpdateRun(RUN, 0, "FAILED", 50))
    writers = run_of(source).writers
    Sync(source, target, live=lambda: writers).look()
    assert run_of(target).row.status == "RUNNING"
    assert shown_status(run_of(target), target.beating()) == "RUNNING"
    assert writers == target.beating()


def test_params_that_differ_are_told_of(stores: tuple[Store, Store]) -> None:
    """The target keeps its value of a param, the rest is sent, and nothing is noted as refused."""
    source, target = stores
    Feed(source).operate(LogParams(RUN, {"lr": "1", "depth": "3"}))
    Feed(target).operate(LogParams(RUN, {"lr": "2"}))
    outcome = Sync(source, target).look()
    assert outcome.kept == [(f"run {RUN}: param lr", "1", "2")]
    assert run_of(target).params == {"lr": "2", "depth": "3"}
    assert target.refusals() == []


def test_an_experiment_under_another_id(stores: tuple[Store, Store]) -> None:
    """Runs go to the experiment of the same name; that it has another id there is told."""
    source, target = stores
    Feed(source).operate(CreateExperiment("8", "eight", "", {}, 1), a_run("b" * 32, "8", "", 5, {}))
    Feed(target).operate(CreateExperiment("9", "eight", "", {}, 1))
    for _ in range(2):
        outcome = Sync(source, target).look()
        assert outcome.kept == [("experiment 'eight': id", "8", "9")]
        assert outcome.refused == []
    [record] = target.runs(["b"])
    assert record.row.experiment_id == "9"


def test_an_experiment_renamed_to_a_name_that_is_taken(stores: tuple[Store, Store]) -> None:
    """The target keeps the name that it has, and tells; what is logged there is sent."""
    source, target = stores
    Feed(source).operate(UpdateExperiment("7", 5, "other"), LogParams(RUN, {"lr": "1"}))
    Feed(target).operate(CreateExperiment("9", "other", "", {}, 1))
    outcome = Sync(source, target).look()
    assert outcome.kept == [("experiment 7: name", "other", "seven")]
    assert run_of(target).params == {"lr": "1"}


def test_what_only_the_target_has_stays(stores: tuple[Store, Store]) -> None:
    """Other runs, other tags and other points of the target are still there after a sync."""
    source, target = stores
    Feed(source).operate(SetTags(RUN, {"note": "second"}))
    Feed(source).log("loss", (1, 1, 1.0), (2, 2, 2.0))
    Feed(target).operate(SetTags(RUN, {"mine": "1"}), a_run("b" * 32, "7", "", 5, {}))
    Feed(target).log("loss", (1, 1, 1.0), (3, 3, 3.0))
    sync(source, target)
    assert run_of(target).tags == {"note": "second", "mine": "1", "mlflow.runName": "bee"}
    assert len(target.runs()) == 2
    assert read(target) == [(1, 1, 1.0), (2, 2, 2.0), (3, 3, 3.0)]


@pytest.mark.parametrize("deleted", ["run", "experiment"])
def test_what_was_deleted_in_the_target_stays_deleted(
    stores: tuple[Store, Store], deleted: str
) -> None:
    """All that is new comes to it nevertheless, runs of a deleted experiment included."""
    source, target = stores
    Feed(target).operate(
        UpdateRun(RUN, 0, lifecycle_stage="deleted")
        if deleted == "run"
        else UpdateExperiment("7", 9, lifecycle_stage="deleted")
    )
    Feed(source).operate(
        LogParams(RUN, {"lr": "1"}),
        SetExperimentTags("7", {"new": "1"}),
        a_run("b" * 32, "7", "", 5, {"b": "1"}),
        a_model("m-1", "7", 5, {}),
    )
    Feed(source).log("loss", (1, 1, 1.0))
    sync(source, target)
    assert run_of(target).row.lifecycle_stage == "deleted"
    assert run_of(target).params == {"lr": "1"}
    assert read(target) == [(1, 1, 1.0)]
    assert [each.tags for each in target.experiments(["7"])] == [{"new": "1"}]
    assert [each.row.experiment_id for each in target.models(["m-1"])] == ["7"]
    [other] = target.runs(["b"])
    assert other.tags["b"] == "1"
    Feed(source).operate(UpdateRun(RUN, 0, lifecycle_stage="deleted"))
    sync(source, target)
    assert run_of(target).row.lifecycle_stage == "deleted"


def test_a_watch_leaves_alone_what_did_not_change_in_the_source(
    stores: tuple[Store, Store],
) -> None:
    """What somebody changes in the target stays while it is watched; what changes since, counts."""
    source, target = stores
    watch = Sync(source, target)
    watch.look()
    Feed(target).operate(SetTags(RUN, {"mlflow.runName": "wasp", "note": "mine"}))
    Feed(source).operate(SetTags(RUN, {"epoch": "1"}))
    watch.look()
    tags = {"mlflow.runName": "wasp", "note": "mine", "epoch": "1"}
    assert (run_of(target).row.name, run_of(target).tags) == ("wasp", tags)
    Feed(source).operate(SetTags(RUN, {"note": "third"}), DeleteTag(RUN, "epoch"))
    watch.look()
    assert run_of(target).tags == {"mlflow.runName": "wasp", "note": "third"}


# What is read, and what goes wrong ----------------------------------------------------------------


def a_series(points: set[tuple[int, int, float]], cuts: Sequence[int]) -> list[Columns]:
    """Return points as a series in pieces, cut at these numbers of points."""
    rows = np.array([(*point, 0, 0) for point in sorted(points)], POINT)
    pieces = np.split(rows, sorted(min(cut, len(rows)) for cut in cuts))
    return [Columns.of(piece) for piece in pieces if len(piece)]


A_SET = st.sets(st.tuples(st.integers(0, 5), st.integers(0, 2), st.sampled_from([0.0, 1.0, 2.0])))
CUTS = st.lists(st.integers(0, 30), max_size=4)


@given(ours=A_SET, theirs=A_SET, our_cuts=CUTS, their_cuts=CUTS)
def test_what_a_series_lacks(
    ours: set[tuple[int, int, float]],
    theirs: set[tuple[int, int, float]],
    our_cuts: list[int],
    their_cuts: list[int],
) -> None:
    """However two series are cut, what one lacks of the other is their difference as sets."""
    found = missing(a_series(ours, our_cuts), a_series(theirs, their_cuts))
    rows = [row for piece in found for row in zip(*(each.tolist() for each in piece), strict=True)]
    assert rows == sorted(ours - theirs)


class Watched:
    """A store that notes which points are read from it, and may lose answers.

    Attributes:
        reads: the steps of each reading of points.
        losing: after how many batches the answer to one is lost; the batch is applied.

    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.reads: list[tuple[int, int] | None] = []
        self.losing = -1
        self.repeating = False

    def points(
        self,
        series_id: int,
        steps: tuple[int, int] | None = None,
        times: tuple[int, int] | None = None,
    ) -> Iterator[Columns]:
        """Note the steps, and read."""
        self.reads.append(steps)
        return self._store.points(series_id, steps, times)

    def apply(self, batch: Batch) -> list[Refused] | None:
        """Apply a batch, and perhaps lose the answer, or ask again as a connection does."""
        refused = self._store.apply(batch)
        self.losing -= 1
        if self.losing == 0:
            raise StoreError("the answer is lost")
        return self._store.apply(batch) if self.repeating else refused

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def watched(store: Store) -> Any:
    """Return the store as one of which the readings are noted."""
    return Watched(store)


def test_only_the_end_of_a_series_is_read(tmp_path: Path) -> None:
    """Where the target lacks the end of a series, nothing before that is read from either store."""
    with closing(open_store(tmp_path / "source")) as source, closing(MemoryStore()) as target:
        Feed(source).log("loss", *((step, step, step / 7) for step in range(30_000)))
        sync(source, target)
        Feed(source).log("loss", *((step, step, step / 7) for step in range(30_000, 30_100)))
        ours, theirs = watched(source), watched(target)
        assert Sync(ours, theirs).look().points == 100
        assert [*ours.reads, *theirs.reads] == [(29_999, 29_999), (30_000, 30_099)] * 2
        assert read(target) == read(source)


def test_late_points_in_the_middle_are_found(tmp_path: Path) -> None:
    """Points before the last one that the target has are found, and only those are sent."""
    with closing(open_store(tmp_path / "source")) as source, closing(MemoryStore()) as target:
        Feed(source).log("loss", *((step, step, 0.5) for step in range(0, 30_000, 2)))
        sync(source, target)
        Feed(source).log("loss", (5, 5, 1.5), (20_001, 5, 2.5), (30_000, 1, 0.0))
        assert Sync(source, target).look().points == 3
        assert read(target) == read(source)


def test_verifying_finds_what_summaries_do_not_tell(stores: tuple[Store, Store]) -> None:
    """Series that differ only in the middle have equal summaries; --verify compares every point."""
    source, target = stores
    for store, time in zip(stores, (5, 6), strict=True):
        Feed(store).log("loss", (0, 0, 0.0), (1, time, 0.5), (2, 9, 1.0))
    looker = Sync(source, target)
    assert looker.look().points == 0
    outcome = looker.verify()
    assert (outcome.verified, outcome.healed, outcome.points) == (1, 1, 1)
    assert read(target) == [(0, 0, 0.0), (1, 5, 0.5), (1, 6, 0.5), (2, 9, 1.0)]
    assert looker.verify().healed == 0


@pytest.mark.parametrize("losing", range(1, 5))
def test_an_answer_that_is_lost_loses_nothing(losing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that was applied and not answered breaks the sync off; the next look completes it."""
    monkeypatch.setattr(sending, "BATCH_POINTS", 5000)
    source, target = MemoryStore(), watched(MemoryStore())
    fill(source)
    target.losing = losing
    watch = Sync(source, target)
    with pytest.raises(StoreError, match="lost"):
        watch.look()
    assert watch.look().refused == []
    assert readable(target) == readable(source)


def test_a_batch_that_arrives_twice_counts_once(stores: tuple[Store, Store]) -> None:
    """Where a batch is repeated because its answer was lost, what was refused is still told."""
    source, target = stores[0], watched(stores[1])
    target.repeating = True
    outbox = sending.Outbox(target)
    outbox.do([SetTags(RUN, {"note": "sent"}), SetExperimentTags("99", {"a": "1"})])
    outbox.flush()
    outbox.do([SetTags(RUN, {"more": "sent"})])
    outbox.flush()
    assert [each.refusal.error_code for each in outbox.refused] == ["RESOURCE_DOES_NOT_EXIST"]
    assert {"note", "more"} < run_of(target).tags.keys() | run_of(source).tags.keys()


def test_a_part_of_a_store() -> None:
    """Only the runs, or the experiments, that were chosen are sent, with what belongs to them."""
    source = MemoryStore()
    fill(source)
    for chosen in (Chosen(run_ids=[RUN]), Chosen(experiment_ids=["0"])):
        target = MemoryStore()
        Sync(source, target, chosen).look()
        unknown = set() if chosen.run_ids else {"d" * 32}
        assert {each.row.run_id for each in target.runs()} == {RUN, *unknown}
        assert run_of(target)._replace(writers=frozenset()) == run_of(source)._replace(
            writers=frozenset()
        )
        assert len(target.models(["m-1", "m-2"])) == (2 if chosen.run_ids else 0)
        of_models = {"7", "8"} if chosen.run_ids else set()
        assert {each.row.experiment_id for each in target.experiments()} == {"0", *of_models}
