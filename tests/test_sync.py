"""Sync between two stores: afterwards the target knows all that the source does, to the bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steplog.comparing import checksum
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
from steplog.query import Query
from steplog.stores import open_store
from steplog.stores.base import DATASET_CONTEXT, Store
from steplog.stores.memory import MemoryStore
from steplog.sync import Sync
from steplog.testing import (
    DATASET,
    RUN,
    Feed,
    from_bits,
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


@pytest.mark.parametrize("names", [("memory", "sqlite"), ("sqlite", "memory")], ids="-".join)
@given(events=EVENTS)
@settings(max_examples=25)
def test_whatever_happens_the_target_comes_to_know_it(
    names: tuple[str, str], events: Sequence[Event]
) -> None:
    """Synced again and again by one watcher, or once at the end, a target equals its source."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory()))
        source, watched, late = (
            stack.enter_context(closing(STORES[name](directory / str(number))))
            for number, name in enumerate((names[0], names[1], names[1]))
        )
        feed, watch = Feed(source), Sync(source, watched)
        for now_ms, event in enumerate((*events, "sync"), 1_800_000_000_000):
            if event == "sync":
                report = watch.look()
                assert (report.kept, report.refused) == ([], [])
                assert readable(watched) == readable(source)
            elif event == "seal":
                source.seal(RUN)
            elif isinstance(event, Logged):
                feed.log(event.key, *event.points)
            else:
                feed.operate(at(event, now_ms))
        sync(source, late)
        assert readable(late) == readable(source)
