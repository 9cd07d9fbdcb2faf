"""Searching: the SQL of the embedded store and the predicate of the one in memory say the same."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steplog.exceptions import MlflowException
from steplog.operations import (
    CreateExperiment,
    CreateModel,
    CreateRun,
    LogInputs,
    LogParams,
    Operation,
    SeriesKey,
    SetExperimentTags,
    SetTags,
    UpdateExperiment,
    UpdateModel,
    UpdateRun,
)
from steplog.query import PARTS, Condition, Field, Order, Query, What
from steplog.stores.base import Store
from steplog.stores.memory import MemoryStore
from steplog.stores.sqlite import SQLiteStore
from steplog.testing import Feed

RUNS = [letter * 32 for letter in "abcdef"]
MODELS = [f"m-{digit * 32}" for digit in "1234"]
EXPERIMENTS = ["0", "7"]
TEXTS = ["", "a", "A", "ab", "a%b", "a_b", "[a]", "a*b", "a?", "Ä", "ä", "a\nb", "'"]
# Multiples of a quarter, so that means are exact however they are added up.
VALUES = [0.0, -0.0, 0.25, -0.25, 1.0, 8.0, math.nan, math.inf, -math.inf]
KEYS = ["loss", "acc", "loss.min", "loss.count"]

texts = st.sampled_from(TEXTS)
points = st.lists(
    st.tuples(st.integers(-2, 3), st.integers(0, 3), st.sampled_from(VALUES)),
    min_size=1,
    max_size=4,
)


def pairs(*keys: str) -> st.SearchStrategy[dict[str, str]]:
    """Return texts for some of these keys."""
    return st.dictionaries(st.sampled_from(keys), texts, max_size=len(keys))


@st.composite
def a_catalog(draw: st.DrawFn) -> tuple[list[Operation], dict[SeriesKey, list[Any]]]:
    """Draw the operations and the points of a small catalog."""
    operations: list[Operation] = [
        CreateExperiment(
            "7", draw(texts) or "seven", "", draw(pairs("t", "u")), draw(st.integers(0, 2))
        )
    ]
    operations.append(SetExperimentTags("0", draw(pairs("t"))))
    for run_id in RUNS[: draw(st.integers(1, len(RUNS)))]:
        operations += draw_run(draw, run_id)
    for model_id in MODELS[: draw(st.integers(0, len(MODELS)))]:
        operations += draw_model(draw, model_id)
    if draw(st.booleans()):
        operations.append(UpdateExperiment("7", 9, lifecycle_stage="deleted"))
    series = st.builds(
        SeriesKey,
        st.sampled_from(RUNS),
        st.sampled_from(KEYS),
        st.sampled_from(["", "", *MODELS]),
        st.sampled_from(["", "", "d", "e"]),
        st.sampled_from(["", "1"]),
    )
    return operations, draw(st.dictionaries(series, points, max_size=12))


def draw_run(draw: st.DrawFn, run_id: str) -> Iterator[Operation]:
    """Draw what was done to one run."""
    experiment_id, start = draw(st.sampled_from(EXPERIMENTS)), draw(st.integers(0, 2))
    yield CreateRun(run_id, experiment_id, draw(texts), draw(texts) or "n", start, {}, draw(texts))
    yield LogParams(run_id, draw(pairs("p", "q")))
    yield SetTags(run_id, draw(pairs("t", "u")))
    for name, digest in draw(st.sets(st.tuples(st.sampled_from("de"), st.sampled_from("12")))):
        dataset = {"name": name, "digest": digest, "source_type": "", "source": ""}
        context = draw(st.sampled_from([{}, {"mlflow.data.context": "train"}, {"other": "x"}]))
        yield LogInputs(run_id, [{**dataset, "tags": context}], [])
    if draw(st.booleans()):
        yield UpdateRun(run_id, 5, status="FINISHED", end_time=draw(st.integers(0, 3)))
    if draw(st.integers(0, 3)) == 0:
        yield UpdateRun(run_id, 6, lifecycle_stage="deleted")


def draw_model(draw: st.DrawFn, model_id: str) -> Iterator[Operation]:
    """Draw what was done to one logged model."""
    yield CreateModel(
        model_id,
        draw(st.sampled_from(EXPERIMENTS)),
        draw(texts) or "n",
        "",
        draw(st.integers(0, 2)),
        draw(st.sampled_from([None, "", "kind"])),
        draw(st.sampled_from([None, *RUNS[:2]])),
        draw(pairs("p")),
        draw(pairs("t")),
    )
    if draw(st.booleans()):
        yield UpdateModel(
            model_id, draw(st.integers(0, 3)), status=draw(st.sampled_from(["READY", "FAILED"]))
        )
    if draw(st.integers(0, 3)) == 0:
        yield UpdateModel(model_id, 6, lifecycle_stage="deleted")


ATTRIBUTES: dict[str, tuple[list[str], list[str]]] = {
    "runs": (
        ["run_id", "run_name", "status", "artifact_uri", "user_id"],
        ["start_time", "end_time"],
    ),
    "experiments": (["name", "experiment_id"], ["creation_time", "last_update_time"]),
    "models": (
        ["name", "model_id", "model_type", "source_run_id", "status"],
        ["creation_timestamp", "last_updated_timestamp"],
    ),
}
numbers = st.sampled_from([*VALUES[:6], math.inf, -math.inf, 2.0, 4.0, 1e300])
parts = st.sampled_from(["", *(f".{part}" for part in PARTS)])


@st.composite
def a_condition(draw: st.DrawFn, what: str) -> Condition:
    """Draw one condition of a search."""
    of_text, of_number = ATTRIBUTES[what]
    kinds = ["attribute", "number", "tag"]
    kinds += {"runs": ["param", "metric", "dataset"], "models": ["param", "metric"]}.get(what, [])
    kind = draw(st.sampled_from(kinds))
    if kind in ("number", "metric"):
        comparator = draw(st.sampled_from(["=", "!=", "<", "<=", ">", ">="]))
        if kind == "number":
            field = Field("attribute", draw(st.sampled_from(of_number)))
            return Condition(field, comparator, draw(st.integers(-1, 3) | st.just(2**70)))
        key = draw(st.sampled_from(KEYS)) + (draw(parts) if what == "runs" else "")
        return Condition(Field("metric", key), comparator, draw(numbers))
    keys = {"attribute": of_text, "dataset": ["name", "digest", "context"]}.get(
        kind, ["p", "q", "t"]
    )
    field = Field(kind, draw(st.sampled_from(keys)))
    comparators = ["=", "!=", "LIKE", "ILIKE", "IN", "NOT IN"]
    comparators += ["IS NULL", "IS NOT NULL"] if kind in ("tag", "param") else []
    comparator = draw(st.sampled_from(comparators))
    if comparator.startswith("IS"):
        return Condition(field, comparator, None)
    known = texts | st.sampled_from(["%", "%a%", "_", "d", "e", "1", "train", "READY", RUNS[0]])
    if comparator.endswith("IN"):
        return Condition(field, comparator, tuple(draw(st.lists(known, min_size=1, max_size=3))))
    return Condition(field, comparator, draw(known))


@st.composite
def a_query(draw: st.DrawFn) -> Query:
    """Draw a search with any conditions, orders, scope and page."""
    whats: list[What] = ["runs", "experiments", "models"]
    what = draw(st.sampled_from(whats))
    return Query(
        what,
        tuple(draw(st.lists(a_condition(what), max_size=2))),
        tuple(draw(st.lists(an_order(what), max_size=2, unique_by=lambda order: order.field))),
        draw(st.sampled_from([None, None, ("0",), ("0", "7"), ("8",)]))
        if what != "experiments"
        else None,
        draw(st.sampled_from([("active",), ("active", "deleted"), ("deleted",)])),
        draw(st.sampled_from([(), (), (("d", None),), (("d", "1"), ("e", ""))]))
        if what == "models"
        else (),
        draw(st.sampled_from([0, 0, 0, 2])),
        draw(st.sampled_from([None, None, 1, 3])),
        "a",
    )


@st.composite
def an_order(draw: st.DrawFn, what: str) -> Order:
    """Draw one order of a search."""
    fields = [Field("attribute", name) for names in ATTRIBUTES[what] for name in names]
    fields += [Field("tag", "t")]
    fields += [Field("param", "p")] if what != "experiments" else []
    field = draw(st.sampled_from(fields))
    if what != "experiments" and draw(st.booleans()):
        key = draw(st.sampled_from(KEYS)) + (draw(parts) if what == "runs" else "")
        dataset = draw(st.sampled_from([(), ("d",), ("d", "1")])) if what == "models" else ()
        return Order(Field("metric", key), draw(st.booleans()), *dataset)
    return Order(field, draw(st.booleans()))


@contextmanager
def filled(operations: Sequence[Operation], logged: Any) -> Iterator[list[Store]]:
    """Open a store of each kind that holds these."""
    with tempfile.TemporaryDirectory() as directory, closing(SQLiteStore(directory)) as sqlite:
        stores: list[Store] = [MemoryStore(), sqlite]
        for store in stores:
            assert store.apply(Feed(store).batch(logged, operations)) is not None
            # What a store makes itself bears the time of its making; so it is given another.
            Feed(store, "2" * 32).operate(UpdateExperiment("0", 1, "Default"))
        yield stores


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(a_catalog(), st.lists(a_query(), min_size=20, max_size=20))
def test_stores_answer_alike(catalog: Any, queries: list[Query]) -> None:
    """Whatever is stored and whatever is searched for, both stores return the same ids in order."""
    with filled(*catalog) as (memory, sqlite):
        for query in queries:
            assert sqlite.search(query) == memory.search(query), query


def test_a_search_has_bounds() -> None:
    """A search that no database answers is refused with a text that says why."""
    condition = Condition(Field("tag", "t"), "LIKE", "%" * 20_000)
    queries = [
        (Query("runs", (condition,)), "A pattern can have at most"),
        (Query("runs", (condition,) * 300), "at most 200 conditions"),
        (Query("models", (), (Order(Field("tag", "t")),) * 30), "and 20 orders"),
    ]
    with tempfile.TemporaryDirectory() as directory, closing(SQLiteStore(directory)) as store:
        for query, text in queries:
            with pytest.raises(MlflowException, match=text) as raised:
                store.search(query)
            assert raised.value.error_code == "INVALID_PARAMETER_VALUE"
