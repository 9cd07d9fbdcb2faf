"""The tests that every store must pass, for whoever writes one. Needs pytest.

Subclass `StoreSuite`, say how your store is opened, and let pytest collect it::

    class TestMyStore(StoreSuite):
        def open_store(self, directory: Path) -> Store:
            return MyStore(directory)

The suite writes only through `Store.apply`, by feeding it batches as ingest does (`Feed`), and
reads only through the protocol. What a store promises is said in `steplog.stores.base`; the same
promises, put as sentences, are the docstrings here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pytest

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
from steplog.points import POINT, Columns, empty_columns
from steplog.query import Condition, Field, Order, Query, What
from steplog.stores.base import (
    DATASET_CONTEXT,
    PARENT_RUN_ID,
    START,
    Batch,
    Need,
    Position,
    Series,
    Store,
)
from steplog.stores.checking import differences
from steplog.summary import SUMMARY, summarise

RUN = "a" * 32
OTHER_RUN = "b" * 32
WRITER = "f" * 32
SLOT_BYTES = 32

Point = tuple[int, int, float]
"""Step, timestamp in ms, value."""
T = TypeVar("T")


class Feed:
    """One journal whose records are given to a store, as ingest would.

    Args:
        store: where they go.
        journal_id: which journal this claims to be; its position is asked of the store.
        writer_id: which process wrote it.

    """

    def __init__(self, store: Store, journal_id: str = "1" * 32, writer_id: str = WRITER) -> None:
        self.store = store
        self.journal_id = journal_id
        self.writer_id = writer_id

    def batch(
        self,
        points: Mapping[SeriesKey, Sequence[Point]] | None = None,
        operations: Sequence[Operation] = (),
        durable: bool = False,
    ) -> Batch:
        """Return the batch that would move the journal on by these records."""
        before = self.store.positions([self.journal_id]).get(self.journal_id, START)
        series = dict(enumerate(points or {}, 1))
        rows = [
            (*point, number, 1) for number, key in series.items() for point in (points or {})[key]
        ]
        after = Position(before.offset + SLOT_BYTES * (len(rows) + len(operations) + 1))
        numbered = [(before.offset + SLOT_BYTES * i, each) for i, each in enumerate(operations)]
        return Batch(
            self.journal_id,
            self.writer_id,
            before,
            after,
            numbered,
            np.array(rows, POINT),
            series,
            durable,
        )

    def operate(self, *operations: Operation) -> list[tuple[str, str]]:
        """Apply operations; return error code and message of those refused."""
        refused = self.store.apply(self.batch(operations=operations))
        assert refused is not None
        return [(each.refusal.error_code, each.refusal.message) for each in refused]

    def log(self, key: str | SeriesKey, *points: Point) -> None:
        """Log points of one series; a text means that key of `RUN`."""
        series = SeriesKey(RUN, key) if isinstance(key, str) else key
        assert self.store.apply(self.batch({series: points})) == []


def create_run(run_id: str = RUN, experiment_id: str = "0", start_time: int = 1000) -> CreateRun:
    """Return the operation that creates a run named ``name-<id>``."""
    name = f"name-{run_id[:4]}"
    return CreateRun(run_id, experiment_id, "user", name, start_time, {"tag": "1"}, "file:///art")


def create_experiment(experiment_id: str = "7", name: str = "seven") -> CreateExperiment:
    """Return the operation that creates an experiment."""
    return CreateExperiment(experiment_id, name, "file:///seven", {"kind": "odd"}, 2000)


DATASET: dict[str, Any] = {
    "name": "digits",
    "digest": "d1",
    "source_type": "local",
    "source": "digits.csv",
    "schema": "[]",
    "profile": None,
}
"""A dataset as `steplog.operations.LogInputs` describes it, without tags."""


def create_model(model_id: str = "m-1", experiment_id: str = "0") -> CreateModel:
    """Return the operation that creates a logged model."""
    return CreateModel(
        model_id, experiment_id, "tree", "file:///m", 2000, "sklearn", RUN, {"depth": "3"}, {}
    )


def metric(key: str, comparator: str, value: float) -> Condition:
    """Return a condition on a metric."""
    return Condition(Field("metric", key), comparator, value)


def found(store: Store, *conditions: Condition, what: What = "runs") -> list[str]:
    """Return the ids for which these conditions hold, sorted."""
    return sorted(store.search(Query(what, conditions)))


def the_series(store: Store, key: str = "*", run_id: str = RUN) -> Series:
    """Return the only series of a run that matches."""
    [series] = store.series([run_id], [key])
    return series


def read(
    store: Store,
    key: str = "*",
    steps: tuple[int, int] | None = None,
    times: tuple[int, int] | None = None,
) -> list[Point]:
    """Return the points of the only series of `RUN` that matches, in the order of the pieces."""
    pieces = [*store.points(the_series(store, key).series_id, steps, times)]
    columns = [np.concatenate(column).tolist() for column in zip(*pieces, strict=True)]
    return [*zip(*columns, strict=True)]


def known(store: Store, *names: str) -> list[float]:
    """Return these fields of the summary of the only series of `RUN`."""
    return [the_series(store).summary[name].item() for name in names]


def bits(points: Sequence[Point]) -> list[tuple[int, int, bytes]]:
    """Return points with the bytes of their values, in which no two floats are taken for one."""
    return [(step, time, np.float64(value).tobytes()) for step, time, value in points]


def from_bits(pattern: int) -> float:
    """Return the float64 of these 64 bits."""
    return float(np.array(pattern, np.uint64).view(np.float64))


class StoreSuite:
    """What must hold for every store. Override `open_store`."""

    def open_store(self, directory: Path) -> Store:
        """Return the store under test, empty; it may keep files in `directory`."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        """Open the store, and close it after the test; `check` must find nothing by then."""
        store = self.open_store(tmp_path)
        yield store
        assert [each for each in store.check() if not isinstance(each, int)] == []
        store.close()

    @pytest.fixture
    def feed(self, store: Store) -> Feed:
        """Return a journal that feeds the store."""
        return Feed(store)

    # -- exactly once -----------------------------------------------------------------------------

    def test_a_batch_moves_its_journal_to_the_end(self, store: Store, feed: Feed) -> None:
        """After apply, the position of the journal is the batch's `after`, its holes included."""
        after = Position(8192, ((4128, 4160), (5000, 5064)))
        assert store.apply(feed.batch()._replace(after=after)) == []
        assert store.positions([feed.journal_id, "2" * 32]) == {feed.journal_id: after}

    def test_a_batch_applied_twice_counts_once(self, store: Store, feed: Feed) -> None:
        """A batch that was applied already is refused whole, and changes nothing."""
        batch = feed.batch({SeriesKey(RUN, "loss"): [(0, 10, 1.0)]}, [create_run()], durable=True)
        assert store.apply(batch) == []
        before = snapshot(store)
        assert store.apply(batch) is None
        assert snapshot(store) == before

    def test_a_batch_from_elsewhere_changes_nothing(self, store: Store, feed: Feed) -> None:
        """A batch is applied only from the very position where its journal stands."""
        batch = feed.batch({SeriesKey(RUN, "loss"): [(0, 10, 1.0)]}, [create_run()])
        before = snapshot(store)
        assert store.apply(batch._replace(before=Position(START.offset + 32))) is None
        assert store.apply(batch._replace(before=START._replace(holes=((1, 2),)))) is None
        assert snapshot(store) == before

    def test_of_equal_batches_at_once_one_is_applied(self, store: Store, feed: Feed) -> None:
        """Of any number of threads that apply the same batch, exactly one does."""
        batch = feed.batch({SeriesKey(RUN, "loss"): [(0, 10, 1.0)]})
        applied = together(8, lambda number: store.apply(batch))
        assert sorted(applied, key=str) == [None] * 7 + [[]]
        assert read(store) == [(0, 10, 1.0)]

    def test_many_writers_at_once_lose_nothing(self, store: Store) -> None:
        """Threads that feed one run from journals of their own lose and double nothing."""

        def write(number: int) -> None:
            feed = Feed(store, f"{number:032}", f"{number:032x}")
            for step in range(5):
                feed.log("loss", (step, number, 0.5), (step, 100, 0.5))
                feed.log(f"key{number}", (step, number, 0.5))

        together(4, write)
        assert read(store, "loss") == [
            (step, time, 0.5) for step in range(5) for time in (0, 1, 2, 3, 100)
        ]
        assert len(store.series([RUN])) == 5
        [run] = store.runs([RUN])
        assert run.writers == {f"{number:032x}" for number in range(4)}

    # -- points -----------------------------------------------------------------------------------

    def test_every_bit_comes_back(self, store: Store, feed: Feed) -> None:
        """NaN payloads, -0.0, subnormals, infinities and extreme integers are kept exactly."""
        patterns = (0x7FF8000000000001, 0xFFF8000000000000, 0x7FF0000000000000, 1, 1 << 63, 0)
        low, high = -(2**63), 2**63 - 1
        points = [(step, 5, from_bits(p)) for step, p in zip(range(6), patterns, strict=True)]
        points = [(low, 0, 1.5), *points, (high, high, -1e308)]
        feed.log("loss", *points)
        for _ in sealed_and_not(store):
            assert bits(read(store)) == bits(points)

    def test_points_come_back_in_order(self, store: Store, feed: Feed) -> None:
        """Points are read by step, then timestamp, then value, a NaN counting as 0."""
        nan = float("nan")
        points = [(1, 5, 0.5), (1, 5, nan), (1, 5, -0.5), (1, 4, 9.0), (-3, 99, 7.0), (0, 50, 1.0)]
        for point in points:
            feed.log("loss", point)
        ordered = [(-3, 99, 7.0), (0, 50, 1.0), (1, 4, 9.0), (1, 5, -0.5), (1, 5, nan), (1, 5, 0.5)]
        for _ in sealed_and_not(store):
            assert bits(read(store)) == bits(ordered)

    def test_the_same_point_is_kept_once(self, store: Store, feed: Feed) -> None:
        """Points with one step, time and value are one: in a batch, across batches and sealing."""
        twice = [(1, 10, 0.5), (1, 10, 0.5), (1, 10, 0.25), (2, 10, 0.0), (2, 10, -0.0)]
        kept = [(1, 10, 0.25), (1, 10, 0.5), (2, 10, 0.0), (2, 10, -0.0)]
        for _ in range(2):
            feed.log("loss", *twice)
            for _ in sealed_and_not(store):
                feed.log("loss", *twice)
                assert bits(read(store)) == bits(kept)
        store.seal(RUN)
        assert the_series(store).exact
        assert known(store, "count") == [4]

    def test_late_points_find_their_place(self, store: Store, feed: Feed) -> None:
        """Points that arrive long after their neighbours were sealed are read between them."""
        early = [(step, step, 1.0) for step in range(0, 20_000, 2)]
        late = [(step, step, 2.0) for step in range(1, 20_000, 1000)]
        feed.log("loss", *early)
        store.seal(RUN)
        feed.log("loss", *late)
        for _ in sealed_and_not(store):
            assert read(store) == sorted(early + late)
            assert_outline_fits(store)

    def test_repeated_steps_are_all_kept(self, store: Store, feed: Feed) -> None:
        """Steps that begin anew each epoch, and points without steps, are points like others."""
        epochs = [(step, epoch * 100 + step, 1.0) for epoch in range(5) for step in range(100)]
        for epoch in range(5):
            feed.log("loss", *epochs[epoch * 100 : (epoch + 1) * 100])
            store.seal(RUN)
        assert read(store) == sorted(epochs)
        assert_outline_fits(store)

    def test_keys_of_runs(self, store: Store, feed: Feed) -> None:
        """The metrics of runs are told by key, with how many runs and points there are of each."""
        feed.log("loss", (0, 0, 1.0), (1, 1, 2.0))
        feed.log(SeriesKey(OTHER_RUN, "loss"), (0, 0, 1.0))
        feed.log(SeriesKey(RUN, "acc", "m-1"), (0, 0, 1.0))
        feed.log(SeriesKey(RUN, "acc", "m-2"), (0, 0, 1.0))
        assert store.keys([RUN, OTHER_RUN, RUN]) == [("acc", 1, 2), ("loss", 2, 3)]
        assert store.keys([OTHER_RUN]) == [("loss", 1, 1)]
        assert store.keys(["9" * 32]) == store.keys([]) == []

    def test_keys_of_params_and_tags(self, store: Store, feed: Feed) -> None:
        """The keys of params and tags of runs are told, each once."""
        feed.operate(create_run(), create_run(OTHER_RUN))
        feed.operate(LogParams(RUN, {"lr": "1", "β": "2"}), LogParams(OTHER_RUN, {"lr": "2"}))
        feed.operate(SetTags(OTHER_RUN, {"note": "x"}))
        params, tags = store.pair_keys([RUN, OTHER_RUN, RUN])
        assert params == ["lr", "β"]
        assert {"tag", "note"} <= set(tags)
        assert tags == sorted(set(tags))
        assert "note" not in store.pair_keys([RUN]).tags
        assert store.pair_keys([]) == ([], [])

    def test_runs_nested_in_others(self, store: Store, feed: Feed) -> None:
        """The active runs that name a run as their parent are counted."""
        feed.operate(*(create_run(each * 32) for each in "abcd"))
        feed.operate(*(SetTags(each * 32, {PARENT_RUN_ID: "a" * 32}) for each in "bcd"))
        feed.operate(UpdateRun("d" * 32, 5, lifecycle_stage="deleted"))
        assert store.children(["a" * 32, "b" * 32, "9" * 32]) == {"a" * 32: 2}
        assert store.children([]) == {}

    def test_windows_include_both_ends(self, store: Store, feed: Feed) -> None:
        """A window of steps or times gives exactly the points within it."""
        points = [(step, 1000 - step // 2, 0.5) for step in range(1000)]
        feed.log("loss", *points)
        for _ in sealed_and_not(store):
            assert read(store, steps=(10, 20)) == points[10:21]
            assert read(store, times=(990, 995)) == [p for p in points if 990 <= p[1] <= 995]
            assert read(store, steps=(0, 20), times=(990, 995)) == points[10:21]
            assert read(store, steps=(2000, 3000)) == []

    def test_sealing_changes_nothing_that_is_read(self, store: Store, feed: Feed) -> None:
        """Points, summaries and outline are the same before and after sealing, at any moment."""
        points = [(step, step * 3, float(step % 97)) for step in range(10_000)]
        for start in range(0, 10_000, 2_500):
            feed.log("loss", *points[start : start + 2_500])
            for _ in sealed_and_not(store):
                assert read(store) == points[: start + 2_500]
                assert_summary_fits(store)
                assert_outline_fits(store)

    def test_what_is_sealed_does_not_wait(self, store: Store, feed: Feed) -> None:
        """Sealing says how many points it sealed; nothing waits then, and again seals nothing."""
        feed.log("loss", (0, 0, 1.0), (1, 1, 2.0))
        waiting = store.stats()["waiting_points"]
        assert store.seal(RUN) == waiting
        assert store.stats()["waiting_points"] == 0
        assert store.seal(RUN) == store.seal() == store.seal(OTHER_RUN) == 0

    def test_reading_sees_one_state(self, store: Store, feed: Feed) -> None:
        """Whoever reads a series piece by piece sees it as it was at the first one."""
        points = [(step, step, 0.5) for step in range(20_000)]
        feed.log("loss", *points)
        pieces = store.points(the_series(store).series_id)
        seen = [next(pieces)]
        feed.log("loss", (-1, 0, 0.5), (19_000, 0, 0.5))
        store.seal(RUN)
        seen.extend(pieces)
        assert max(piece.step.size for piece in seen) <= 65_536
        assert np.concatenate([piece.step for piece in seen]).tolist() == [*range(20_000)]

    # -- series and what is known of them ---------------------------------------------------------

    def test_a_summary_tells_what_is_known(self, store: Store, feed: Feed) -> None:
        """Count, mean, first, last and the extremes stand in the summary, with their steps."""
        nan = float("nan")
        feed.log("loss", (3, 30, 2.0), (1, 10, nan))
        feed.log("loss", (2, 20, -1.0), (4, 40, nan), (5, 50, 5.0))
        for _ in sealed_and_not(store):
            assert known(store, "count", "nan_count", "mean") == [5, 2, 2.0]
            assert known(store, "first_step", "last_step", "last_value") == [1, 5, 5.0]
            assert known(store, "min_step", "min_value", "max_step") == [2, -1.0, 5]
            assert known(store, "time_min", "time_max") == [10, 50]

    def test_a_series_of_nothing_but_nan(self, store: Store, feed: Feed) -> None:
        """A series without any number has a first and a last point, but no mean and no extremes."""
        feed.log("loss", (1, 10, float("nan")), (2, 20, float("nan")))
        for _ in sealed_and_not(store):
            assert known(store, "count", "nan_count", "last_step") == [2, 2, 2]
            assert np.isnan(known(store, "mean", "min_value", "max_value")).all()

    def test_series_differ_in_every_part_of_their_key(self, store: Store, feed: Feed) -> None:
        """Run, key, model, dataset, attempt and rank make a series; they come in that order."""
        keys = [
            SeriesKey(RUN, "a"),
            SeriesKey(RUN, "a", rank=0),
            SeriesKey(RUN, "a", rank=1),
            SeriesKey(RUN, "a", attempt=1),
            SeriesKey(RUN, "a", "", "data", "1"),
            SeriesKey(RUN, "a", "", "data", "2"),
            SeriesKey(RUN, "a", "model"),
            SeriesKey(RUN, "a/é"),
            SeriesKey(RUN, "b"),
            SeriesKey(OTHER_RUN, "a"),
        ]
        points = {key: [(0, 10, float(i))] for i, key in enumerate(keys)}
        assert store.apply(feed.batch(dict(reversed(points.items())))) == []
        found = store.series([RUN, OTHER_RUN])
        assert [each.key for each in found] == keys
        assert [float(each.summary["last_value"]) for each in found] == [*range(len(keys))]
        assert [each.key for each in store.series([OTHER_RUN, "c" * 32, RUN])[:2]] == [
            keys[-1],
            keys[0],
        ]

    @pytest.mark.parametrize(
        ("patterns", "expected"),
        [
            (["loss"], ["loss"]),
            (["train/*"], ["train/acc", "train/loss"]),
            (["*loss", "acc"], ["loss", "train/loss", "val/loss"]),
            (["[tv]*/loss"], ["train/loss", "val/loss"]),
            (["[!t]*"], ["loss", "val/loss"]),
            (["val?loss"], ["val/loss"]),
            (["LOSS"], []),
            ([], []),
        ],
    )
    def test_keys_are_found_by_pattern(
        self, store: Store, feed: Feed, patterns: list[str], expected: list[str]
    ) -> None:
        """Keys are given exactly or as glob patterns, in which case and slashes count."""
        for key in ("val/loss", "train/loss", "loss", "train/acc"):
            feed.log(key, (0, 0, 1.0))
        assert [each.key.key for each in store.series([RUN], patterns)] == expected

    def test_many_series_in_one_batch(self, store: Store, feed: Feed) -> None:
        """A batch may hold points of many series and runs, however they are interleaved."""
        keys = [SeriesKey(run, f"key{n:03}") for n in range(300) for run in (OTHER_RUN, RUN)]
        batch = feed.batch(
            {key: [(s, s, float(i)) for s in range(3)] for i, key in enumerate(keys)}
        )
        shuffled = batch.points[np.random.default_rng(1).permutation(batch.points.size)]
        assert store.apply(batch._replace(points=shuffled)) == []
        for _ in sealed_and_not(store):
            found = store.series([RUN])
            assert [each.key.key for each in found] == [f"key{n:03}" for n in range(300)]
            assert [float(each.summary["mean"]) for each in found] == [*range(1, 600, 2)]
            [piece] = store.points(found[7].series_id)
            assert piece.value.tolist() == [15.0] * 3

    # -- the catalog ------------------------------------------------------------------------------

    def test_a_new_store_has_the_default_experiment(self, store: Store) -> None:
        """A new store holds the experiment "0", named Default, and nothing else."""
        [experiment] = store.experiments()
        assert experiment.row[:2] == ("0", "Default")
        assert (store.runs(), store.refusals(), store.series([RUN])) == ([], [], [])

    def test_experiments_are_found_by_id_and_name(self, store: Store, feed: Feed) -> None:
        """Experiments come newest first, by ids, by name, or all, with their tags."""
        assert (
            feed.operate(
                create_experiment("8", "eight"),
                create_experiment("7", "seven"),
                SetExperimentTags("7", {"kind": "prime", "new": "1"}),
            )
            == []
        )
        every = [each.row.experiment_id for each in store.experiments()]
        assert sorted(every) == ["0", "7", "8"] and every.index("7") < every.index("8")
        assert [each.row.name for each in store.experiments(ids=["8", "9"])] == ["eight"]
        assert [each.tags for each in store.experiments(name="seven")] == [
            {"kind": "prime", "new": "1"}
        ]
        assert store.experiments(name="nine") == store.experiments(ids=[]) == []

    def test_experiments_change(self, store: Store, feed: Feed) -> None:
        """An experiment is renamed, deleted and restored, its runs being deleted along with it."""
        feed.operate(create_experiment(), create_run(experiment_id="7"), create_run(OTHER_RUN))
        assert feed.operate(UpdateExperiment("7", 3000, name="sept")) == []
        assert feed.operate(UpdateExperiment("7", 4000, lifecycle_stage="deleted")) == []
        [experiment] = store.experiments(ids=["7"])
        assert experiment.row[1:6] == ("sept", "file:///seven", "deleted", 2000, 4000)
        stages = {each.row.run_id: each.row.lifecycle_stage for each in store.runs()}
        assert stages == {RUN: "deleted", OTHER_RUN: "active"}
        assert feed.operate(UpdateExperiment("7", 5000, lifecycle_stage="active")) == []
        assert [each.row.lifecycle_stage for each in store.runs([RUN])] == ["active"]

    def test_runs_are_found_by_id_and_experiment(self, store: Store, feed: Feed) -> None:
        """Runs come newest start first, by ids or their beginnings, by experiments, or all."""
        ids = ["ab1" + "0" * 29, "ab2" + "0" * 29, "b" * 32, "c" * 32]
        feed.operate(create_experiment())
        for start, (run_id, experiment) in enumerate(zip(ids, "0707", strict=True)):
            feed.operate(create_run(run_id, experiment, start // 2))

        def found(
            run_ids: Sequence[str] | None = None, experiment_ids: Sequence[str] | None = None
        ) -> list[str]:
            return [run.row.run_id for run in store.runs(run_ids, experiment_ids)]

        assert found() == [ids[2], ids[3], ids[0], ids[1]]
        assert found(["ab"]) == ids[:2]
        assert found([ids[0][:30], ids[3], "d"]) == [ids[3], ids[0]]
        assert found(None, ["7"]) == [ids[3], ids[1]]
        assert found(["ab"], ["7", "9"]) == [ids[1]]
        assert found([]) == found(None, []) == []

    def test_a_run_keeps_what_it_used_and_made(self, store: Store, feed: Feed) -> None:
        """Datasets and models come back in the order of their use; what came first stays."""
        train = {**DATASET, "tags": {DATASET_CONTEXT: "train"}}
        other = {**DATASET, "digest": "d2", "schema": None, "tags": {}}
        feed.operate(
            create_run(),
            create_run(OTHER_RUN),
            LogInputs(RUN, [other, train], ["m-2", "m-1"]),
            LogInputs(RUN, [{**train, "source": "elsewhere", "tags": {}}], ["m-1"]),
            LogInputs(OTHER_RUN, [{**train, "source": "elsewhere"}], []),
            LogOutputs(RUN, [["m-3", 7], ["m-3", 8]]),
        )
        [run] = store.runs([RUN])
        assert [use.digest for use in run.datasets] == ["d2", "d1"]
        assert run.datasets[1]._asdict() == train
        assert [tuple(use) for use in run.models] == [
            ("input", "m-2", 0), ("input", "m-1", 0), ("output", "m-3", 7),
        ]  # fmt: skip
        assert store.runs([OTHER_RUN])[0].datasets[0].source == DATASET["source"]
        summaries = [("0", "digits", "d1", "train"), ("0", "digits", "d2", None)]
        assert [tuple(each) for each in store.datasets(["0", "9"], 10)] == summaries
        assert len(store.datasets(["0"], 1)) == 1

    def test_logged_models_change(self, store: Store, feed: Feed) -> None:
        """A model is created, finished, tagged, described and deleted; its params never change."""
        assert feed.operate(
            create_model(),
            SetModelTags("m-1", {"kind": "even", "new": "1"}),
            LogModelParams("m-1", {"depth": "3", "width": "5"}),
            LogModelParams("m-1", {"depth": "4"}),
            UpdateModel("m-1", 3000, status="READY"),
            DeleteModelTag("m-1", "new"),
            DeleteModelTag("m-1", "new"),
            create_model(experiment_id="404"),
        ) == [
            (
                "INVALID_PARAMETER_VALUE",
                "Changing param values is not allowed. Param with key='depth' was already logged "
                "with value='3' for model ID='m-1'. Attempted logging new value '4'.",
            ),
            ("RESOURCE_DOES_NOT_EXIST", "No tag with key 'new' found for model with ID 'm-1'."),
        ]
        [model] = store.models(["m-9", "m-1"])
        assert (model.row.status, model.row.last_updated_timestamp) == ("READY", 3000)
        assert (model.params, model.tags) == ({"depth": "3", "width": "5"}, {"kind": "even"})
        feed.operate(UpdateModel("m-1", 4000, lifecycle_stage="deleted"))
        assert store.models(["m-1"])[0].row.lifecycle_stage == "deleted"

    def test_what_is_done_to_an_unknown_model_is_kept(self, store: Store, feed: Feed) -> None:
        """A model that is updated before it is created has both when it has been."""
        assert feed.operate(UpdateModel("m-1", 3000, status="READY")) == []
        assert feed.operate(SetModelTags("m-1", {"kind": "odd"}), create_model()) == []
        [model] = store.models(["m-1"])
        assert (model.row.name, model.row.status, model.row.placeholder) == ("tree", "READY", False)
        assert (model.params, model.tags) == ({"depth": "3"}, {"kind": "odd"})

    def test_tags_of_experiments_are_removed(self, store: Store, feed: Feed) -> None:
        """A tag of an experiment is removed once; an experiment that is deleted keeps its tags."""
        assert feed.operate(create_experiment(), DeleteExperimentTag("7", "kind")) == []
        assert feed.operate(DeleteExperimentTag("7", "kind")) == [
            ("RESOURCE_DOES_NOT_EXIST", "No tag with name: kind in experiment with id 7")
        ]
        feed.operate(UpdateExperiment("7", 1, lifecycle_stage="deleted"))
        [(code, _)] = feed.operate(DeleteExperimentTag("7", "kind"))
        assert code == "INVALID_PARAMETER_VALUE"

    # -- searching --------------------------------------------------------------------------------

    def test_a_metric_is_what_all_its_series_say(self, store: Store, feed: Feed) -> None:
        """Searching and the last points take the series of all models and datasets together."""
        nan = float("nan")
        feed.operate(create_run(), create_run(OTHER_RUN))
        feed.log(SeriesKey(RUN, "loss"), (1, 10, 4.0), (5, 10, nan))
        feed.log(SeriesKey(RUN, "loss", "m-1"), (3, 10, 1.0), (9, 10, 2.5))
        feed.log(SeriesKey(OTHER_RUN, "loss"), (0, 0, 3.0))
        said = {"last": 2.5, "first": 4.0, "min": 1.0, "max": 4.0, "mean": 2.5, "count": 4.0}
        for part, value in {**said, "nan_count": 1.0}.items():
            assert RUN in found(store, metric(f"loss.{part}", "=", value)), part
        assert found(store, metric("loss", "=", 2.5)) == [RUN]
        lasts = {each.model_id: each for each in store.runs([RUN], last=True)[0].last}
        assert (lasts["m-1"].step, lasts["m-1"].value, lasts[""].step) == (9, 2.5, 5)
        assert not store.runs([RUN])[0].last

    def test_a_metric_may_be_named_like_a_part(self, store: Store, feed: Feed) -> None:
        """``loss.min`` is the metric of that name where there is one, for every run."""
        feed.operate(create_run(), create_run(OTHER_RUN))
        feed.log(SeriesKey(RUN, "loss"), (0, 0, 1.0), (1, 0, 2.0))
        assert found(store, metric("loss.min", "=", 1.0)) == [RUN]
        feed.log(SeriesKey(OTHER_RUN, "loss.min"), (0, 0, 1.0))
        assert found(store, metric("loss.min", "=", 1.0)) == [OTHER_RUN]

    def test_numbers_then_nan_then_nothing(self, store: Store, feed: Feed) -> None:
        """In both directions NaN stands behind all numbers, and what is missing behind NaN."""
        values = {"a": 0.0, "b": -1.5, "c": float("inf"), "d": float("nan"), "f": float("-inf")}
        ids = {letter: letter * 32 for letter in "abcdef"}
        feed.operate(*(create_run(run_id) for run_id in ids.values()))
        for letter, value in values.items():
            feed.log(SeriesKey(ids[letter], "loss"), (0, 0, value))
        for ascending, letters in ((True, "fbacde"), (False, "cabfde")):
            order = (Order(Field("metric", "loss"), ascending),)
            assert store.search(Query("runs", (), order)) == [ids[each] for each in letters]
        page = Query("runs", (), (Order(Field("metric", "loss")),), offset=1, limit=2)
        assert store.search(page) == [ids["b"], ids["a"]]
        for comparator, letters in {"!=": "bcdf", "<": "bf", ">": "c", "=": "a"}.items():
            assert found(store, metric("loss", comparator, -0.0)) == [ids[each] for each in letters]

    def test_models_are_found_by_any_of_their_points(self, store: Store, feed: Feed) -> None:
        """A condition on a model's metric holds for one point that satisfies it, of any run."""
        feed.operate(create_run(), create_model(), create_model("m-2"))
        feed.log(SeriesKey(RUN, "acc", "m-1", "digits", "d1"), (0, 0, 0.5), (1, 0, 0.75))
        feed.log(SeriesKey(RUN, "acc", "m-2"), (0, 0, 0.75))
        for comparator, value, ids in (("=", 0.5, ["m-1"]), (">=", 0.75, ["m-1", "m-2"])):
            assert found(store, metric("acc", comparator, value), what="models") == ids
        measured = Query("models", datasets=(("digits", None),))
        assert store.search(measured) == ["m-1"]

    def test_a_run_keeps_what_it_was_given(self, store: Store, feed: Feed) -> None:
        """Params, tags, name, status and end of a run come back as they were set last."""
        assert (
            feed.operate(
                create_run(),
                LogParams(RUN, {"lr": "0.1", "empty": ""}),
                LogParams(RUN, {"lr": "0.1", "é": "日本"}),
                SetTags(RUN, {"tag": "2", "note": "x"}),
                DeleteTag(RUN, "note"),
                SetTags(RUN, {"mlflow.runName": "renamed"}),
                UpdateRun(RUN, 3000, status="FINISHED", end_time=3000),
                create_run(),
            )
            == []
        )
        [run] = store.runs([RUN])
        assert run.params == {"lr": "0.1", "empty": "", "é": "日本"}
        assert run.tags == {"tag": "2", "mlflow.runName": "renamed"}
        assert run.row[1:6] == ("0", "user", "renamed", "FINISHED", 1000)
        assert run.row[6:] == (3000, "active", "file:///art", False)
        assert run.writers == {WRITER}

    def test_what_arrives_before_its_run_is_kept(self, store: Store, feed: Feed) -> None:
        """Points and operations may come before the run is created, which then is filled in."""
        feed.log("loss", (0, 77, 0.5))
        assert feed.operate(LogParams(RUN, {"lr": "1"}), SetTags(RUN, {"tag": "early"})) == []
        [run] = store.runs([RUN])
        assert (run.row.name, run.row.experiment_id) == ("recovered-aaaaaaaa", "0")
        assert (run.row.start_time, run.row.placeholder) == (77, True)
        feed.operate(UpdateRun(RUN, 90, status="FAILED", end_time=90))
        feed.operate(create_experiment(), create_run(experiment_id="7"))
        [run] = store.runs([RUN])
        assert run.row[1:6] == ("7", "user", "name-aaaa", "FAILED", 1000)
        assert (run.row.end_time, run.row.placeholder) == (90, False)
        assert run.tags == {"tag": "early", "mlflow.runName": "name-aaaa"}
        assert (run.params, read(store)) == ({"lr": "1"}, [(0, 77, 0.5)])

    def test_an_experiment_may_come_after_its_run(self, store: Store, feed: Feed) -> None:
        """A run that names its experiment makes it; the experiment's creation then fills it in."""
        assert feed.operate(create_run(experiment_id="7")._replace(experiment_name="seven")) == []
        assert feed.operate(create_experiment(), create_experiment()._replace(exist_ok=True)) == []
        [experiment] = store.experiments(name="seven")
        assert experiment.row == ("7", "seven", "file:///seven", "active", 2000, 2000, False)
        assert experiment.tags == {"kind": "odd"}
        other = create_run(OTHER_RUN, "77")._replace(experiment_name="seven")
        assert feed.operate(other) == []
        assert len(store.runs(experiment_ids=["7"])) == 2

    def test_refusals_say_what_mlflow_says(self, store: Store, feed: Feed) -> None:
        """An operation is refused with MLflow's code and text; those around it are applied."""
        feed.operate(
            create_run(), create_experiment(), LogParams(RUN, {"p": "1"}), create_run(OTHER_RUN)
        )
        invalid, missing = "INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"
        exists = "RESOURCE_ALREADY_EXISTS"
        changing = "Changing param values is not allowed. Param"
        deleted = f"The run {RUN} must be in the 'active' state. Current state is deleted."
        assert feed.operate(
            LogParams(RUN, {"p": "2"}, single=True),
            LogParams(RUN, {"q": "1", "p": "2"}),
            DeleteTag(RUN, "zzz"),
            create_experiment("8", "seven"),
            UpdateExperiment("7", 1, name="Default"),
            UpdateExperiment("42", 1, name="x"),
            create_run("d" * 32, "42"),
            UpdateRun(RUN, 1, lifecycle_stage="deleted"),
            SetTags(RUN, {"t": "1"}),
            UpdateRun(RUN, 1, status="FINISHED"),
            UpdateExperiment("7", 1, lifecycle_stage="deleted"),
            create_run("e" * 32, "7"),
            SetExperimentTags("7", {"t": "1"}),
            UpdateExperiment("7", 1, name="x"),
            LogParams(OTHER_RUN, {"fine": "1"}),
        ) == [
            (
                invalid,
                f"{changing} with key='p' was already logged with value='1' for run ID='{RUN}'."
                " Attempted logging new value '2'.",
            ),
            (
                invalid,
                f"{changing}s were already logged='[{{'key': 'p', 'old_value': '1', "
                f"'new_value': '2'}}]' for run ID='{RUN}'.",
            ),
            (missing, f"No tag with name: zzz in run with id {RUN}"),
            (exists, "Experiment(name=seven) already exists."),
            (exists, "Experiment(name=Default) already exists."),
            (missing, "No Experiment with id=42 exists"),
            (missing, "No Experiment with id=42 exists"),
            (invalid, deleted),
            (invalid, deleted),
            (
                invalid,
                "The experiment 7 must be in the 'active' state. Current state is deleted.",
            ),
            (
                invalid,
                "The experiment 7 must be in the 'active' state. Current state is deleted.",
            ),
            ("INVALID_STATE", "Cannot rename a non-active experiment."),
        ]
        assert store.runs([RUN])[0].params == {"p": "1"}
        assert store.runs([OTHER_RUN])[0].params == {"fine": "1"}

    def test_refusals_are_remembered(self, store: Store, feed: Feed) -> None:
        """A refused operation is remembered with its journal and offset, for its run."""
        batch = feed.batch(
            operations=[create_run(), DeleteTag(RUN, "a"), DeleteTag(OTHER_RUN, "b")]
        )
        refused = store.apply(batch)
        assert refused is not None
        assert [(each.journal_id, each.offset) for each in refused] == [
            (feed.journal_id, batch.operations[1][0]),
            (feed.journal_id, batch.operations[2][0]),
        ]
        assert store.refusals() == refused
        assert store.refusals(OTHER_RUN) == refused[1:]
        assert store.refusals("c" * 32) == []
        assert store.refusals(journal_ids=["2" * 32, feed.journal_id]) == refused
        assert store.refusals(OTHER_RUN, [feed.journal_id]) == refused[1:]
        assert store.refusals(journal_ids=["2" * 32]) == store.refusals(journal_ids=[]) == []

    def test_points_of_a_deleted_run_are_kept(self, store: Store, feed: Feed) -> None:
        """Points are never refused, not even those of a deleted run."""
        feed.operate(create_run(), UpdateRun(RUN, 1, lifecycle_stage="deleted"))
        feed.log("loss", (0, 0, 0.5))
        assert read(store) == [(0, 0, 0.5)]

    def test_whatever_a_journal_holds_can_be_stored(self, store: Store, feed: Feed) -> None:
        """Text that no database takes is replaced, and numbers that none takes are cut off."""
        key = SeriesKey(RUN, "loss", dataset_name="caf\udce9")
        assert feed.operate(create_run(start_time=2**70), SetTags(RUN, {"t": "a\udc80\0b"})) == []
        feed.log(key, (0, 0, 0.5))
        feed.log(key, (1, 1, 0.5))
        [run] = store.runs([RUN])
        assert (run.row.start_time, run.tags["t"]) == (2**63 - 1, "a?\0b")
        assert the_series(store).key.dataset_name == "caf?"
        assert len(read(store)) == 2

    def test_a_purged_run_is_gone(self, store: Store, feed: Feed) -> None:
        """Of a run that is removed for good nothing is left, and the others are as they were."""
        other = Feed(store, "2" * 32)
        for run_id, each in ((RUN, feed), (OTHER_RUN, other)):
            each.operate(create_run(run_id), LogParams(run_id, {"lr": "1"}))
            each.operate(SetTags(run_id, {"t": run_id}), LogParams(run_id, {"lr": "2"}))
            points = [(step, step, 0.5) for step in range(5000)]
            each.log(SeriesKey(run_id, "loss"), *points)
            store.seal(run_id)
            each.log(SeriesKey(run_id, "loss"), (9000, 0, 0.25))
        assert store.purge([RUN, "9" * 32]) == 1
        assert store.purge([RUN]) == 0
        assert [record.row.run_id for record in store.runs()] == [OTHER_RUN]
        assert store.series([RUN]) == []
        assert [each.refusal.run_id for each in store.refusals()] == [OTHER_RUN]
        assert everything(store, the_series(store, "loss", OTHER_RUN)).step.size == 5001
        assert store.stats()["points"] == 5001
        assert all(isinstance(each, int) for each in store.check())

    def test_what_comes_after_a_purge_is_kept(self, store: Store, feed: Feed) -> None:
        """A writer that logs to a run that was just removed makes it anew, with what is new."""
        feed.log("loss", (0, 0, 1.0))
        store.purge([RUN])
        feed.log(SeriesKey(OTHER_RUN, "loss"), (0, 0, 2.0))
        feed.log("loss", (1, 0, 3.0))
        assert read(store, "loss") == [(1, 0, 3.0)]
        assert everything(store, the_series(store, "loss", OTHER_RUN)).value.tolist() == [2.0]

    def test_writers_that_beat_live(self, store: Store) -> None:
        """A writer of which a store has just been told that it lives is among those that do."""
        assert store.beating() == frozenset()
        store.beat(["a" * 32, "b" * 32])
        store.beat(["b" * 32])
        assert store.beating() == {"a" * 32, "b" * 32}

    def test_stats_count_everything(self, store: Store, feed: Feed) -> None:
        """Stats count experiments, runs, series and points, and the bytes of each run."""
        feed.operate(create_run(), create_run(OTHER_RUN))
        feed.log("loss", (0, 0, 0.5), (1, 1, 0.5))
        feed.log("acc", (0, 0, 0.5))
        for _ in sealed_and_not(store):
            stats = store.stats()
            counted = [stats[name] for name in ("experiments", "runs", "series", "points")]
            assert counted == [1, 2, 2, 3]
            assert stats["runs_bytes"][RUN] > 0 == stats["runs_bytes"][OTHER_RUN]
            assert stats["bytes"] >= stats["runs_bytes"][RUN]


def sealed_and_not(store: Store) -> Iterator[None]:
    """Yield once with what waits unsealed, and once after sealing `RUN`."""
    yield
    store.seal(RUN)
    yield


def together(threads: int, work: Callable[[int], T]) -> list[T]:
    """Return what `work` returns for 0, 1, …, each called in a thread, all starting together."""
    barrier = threading.Barrier(threads)

    def start(number: int) -> T:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(threads) as pool:
        return [*pool.map(start, range(threads))]


def snapshot(store: Store) -> object:
    """Return everything that a store shows but for its size, to be compared."""
    runs = store.runs()
    series = store.series([run.row.run_id for run in runs])
    points = [[column.tobytes() for column in everything(store, each)] for each in series]
    summaries = [(each.key, each.summary.tobytes()) for each in series]
    return store.experiments(), runs, summaries, points, store.refusals()


def everything(store: Store, series: Series) -> Columns:
    """Return all points of a series, as they come."""
    pieces = [empty_columns(), *store.points(series.series_id)]
    return Columns(*map(np.concatenate, zip(*pieces, strict=True)))


def assert_summary_fits(store: Store) -> None:
    """The summary of the only series is that of its points."""
    series = the_series(store)
    found = np.array([series.summary], SUMMARY)
    assert differences(found, summarise(everything(store, series)), series.exact) == []


def assert_outline_fits(store: Store) -> None:
    """The outline of the only series covers its points by exact summaries, in order."""
    series = the_series(store)
    columns = everything(store, series)
    outline = store.outline(series.series_id)
    assert outline["count"].max() <= 16_384
    stops = np.cumsum(outline["count"])
    assert stops[-1] == columns.step.size
    for index, stop in enumerate(stops):
        stretch = columns.take(slice(stop - outline["count"][index], stop))
        assert differences(outline[index : index + 1], summarise(stretch), exact=True) == []
    assert_survey_fits(store, series.series_id, columns)


def assert_survey_fits(store: Store, series_id: int, columns: Columns) -> None:
    """A survey yields, in order, the points of some stretches and the summaries of others."""
    outlines: list[npt.NDArray[np.void]] = []

    def need(outline: npt.NDArray[np.void]) -> npt.NDArray[np.integer[Any]]:
        outlines.append(outline)
        return np.resize([Need.POINTS, Need.SUMMARY, Need.NOTHING, Need.SUMMARY], outline.size)

    found = [*store.survey(series_id, need)]
    [outline] = outlines
    assert bits_of(outline) == bits_of(store.outline(series_id))
    stops = np.cumsum(outline["count"])
    for index, needed in enumerate(need(outline).tolist()):
        if needed == Need.POINTS:
            stretch = columns.take(slice(stops[index] - outline["count"][index], stops[index]))
            piece = found.pop(0)
            assert isinstance(piece, Columns)
            assert bits_of(piece) == bits_of(stretch)
        elif needed == Need.SUMMARY:
            piece = found.pop(0)
            assert isinstance(piece, np.ndarray)
            assert bits_of(piece) == bits_of(outline[index : index + 1])
    assert not found


def bits_of(arrays: Iterable[npt.NDArray[Any]]) -> list[bytes]:
    """Return columns, or the elements of an array, so that NaN equals NaN in them."""
    return [each.tobytes() for each in arrays]
