"""Searching in PostgreSQL gives what searching in memory does, for whatever texts and numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from itertools import product
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_search import a_catalog, a_query

from steplog.exceptions import MlflowException
from steplog.operations import CreateRun, SetTags, UpdateExperiment
from steplog.query import Condition, Field, Order, Query
from steplog.stores.base import Store
from steplog.stores.memory import MemoryStore
from steplog.stores.postgres import PostgresStore
from steplog.testing import Feed, create_run

pytestmark = [pytest.mark.slow, pytest.mark.long]

TAG = Field("tag", "t")
# Control characters that PostgreSQL cannot hold, or that stand for those; signs of patterns.
TEXTS = ["", "\0", "\1", "\2", "a\0b", "a\1b", "a\0\1b", "a\1\0b", "a\0\0b", "ab", "a.b", "a\\b",
         "A\0B", "ä\0", "a\nb", "(a)", "a+", "^a$", "[a]", "a%b", "a_b", "\U0010ffff"]  # fmt: skip
PATTERNS = ["%", "_", "a_b", "a__b", "a%b", "%\0%", "a\0_", "_\1%", "a._", "a\\_", "(_)", "[_]",
            "a+", "^%$", "__", "A_B", "Ä_", "a\0\1b", "%_\0_%"]  # fmt: skip


@pytest.fixture
def store(postgres_store_uri: str) -> Iterator[PostgresStore]:
    """Open a store in a database of the test's own."""
    with closing(PostgresStore(postgres_store_uri)) as store:
        yield store


def fill(store: Store, operations: Any, logged: Any) -> None:
    """Apply all this to an empty store."""
    assert store.apply(Feed(store).batch(logged, operations)) is not None
    # What a store makes itself bears the time of its making; so it is given another.
    Feed(store, "2" * 32).operate(UpdateExperiment("0", 1, "Default"))


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[*HealthCheck],
    phases=[Phase.explicit, Phase.generate],  # making a failure smaller would take minutes
)
@given(a_catalog(), st.lists(a_query(), min_size=20, max_size=20))
def test_stores_answer_alike(
    store: PostgresStore, postgres_store_uri: str, catalog: Any, queries: list[Query]
) -> None:
    """Whatever is stored and whatever is searched for, both stores return the same ids in order."""
    memory = MemoryStore()
    empty(postgres_store_uri)
    store._series_ids.forget()  # what the last example has made is gone
    for each in (memory, store):
        fill(each, *catalog)
    for query in queries:
        assert store.search(query) == memory.search(query), query


def empty(uri: str) -> None:
    """Take everything out of a database but the default experiment."""
    with psycopg.connect(uri) as connection:
        rows = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname <> 'alembic_version' "
            "AND relnamespace = 'steplog'::regnamespace"
        ).fetchall()
        connection.execute("SET search_path TO steplog")
        connection.execute(f"TRUNCATE {', '.join(name for [name] in rows)}".encode())
        connection.execute(
            "INSERT INTO experiments VALUES ('0', 'Default', '', 'active', 1e12, 1e12, 0)"
        )


def test_texts_with_any_characters_are_found(store: PostgresStore) -> None:
    """Equality, patterns and orders treat control characters and signs of patterns as in memory."""
    memory = MemoryStore()
    operations = [
        each
        for number, text in enumerate(TEXTS)
        for each in (create_run(f"{number:032x}"), SetTags(f"{number:032x}", {"t": text}))
    ]
    for each in (memory, store):
        fill(each, operations, None)
    conditions = [
        *(Condition(TAG, comparator, text) for comparator, text in product(["=", "!="], TEXTS)),
        *(Condition(TAG, each, pattern) for each, pattern in product(["LIKE", "ILIKE"], PATTERNS)),
        Condition(TAG, "IN", ("\0", "a\0b", "nothing")),
        Condition(TAG, "NOT IN", ("\0", "a\0b", "nothing")),
    ]
    queries = [Query("runs", (each,)) for each in conditions]
    queries += [Query("runs", (), (Order(TAG, ascending),)) for ascending in (True, False)]
    for query in queries:
        assert store.search(query) == memory.search(query), query
    assert [run.tags["t"] for run in sorted(store.runs(), key=lambda run: run.row.run_id)] == TEXTS


def test_experiments_are_ordered_by_the_number_of_their_id(store: PostgresStore) -> None:
    """Ids of more than 64 bits, and such that are no numbers, stop no order."""
    runs = [
        CreateRun(f"{number:032x}", experiment_id, "u", "n", 1, {}, "", experiment_name=str(number))
        for number, experiment_id in enumerate(["7", "10", "9" * 30, "x"])
    ]
    Feed(store).operate(*runs)
    order = (Order(Field("attribute", "experiment_id")),)
    found = store.search(Query("experiments", (), order))
    assert [each for each in found if each != "x"] == ["0", "7", "10", "9" * 30]


def test_a_search_has_bounds(store: PostgresStore) -> None:
    """The longest pattern that is taken is answered; one that is longer is refused."""
    Feed(store).operate(create_run(), SetTags("a" * 32, {"t": "a\0" * 3000}))
    longest = Condition(TAG, "LIKE", "%_" * 5000)
    assert store.search(Query("runs", (longest,))) == ["a" * 32]
    with pytest.raises(MlflowException, match="A pattern can have at most"):
        store.search(Query("runs", (Condition(TAG, "LIKE", "_" * 10_001),)))
    most = Query("runs", (Condition(TAG, "!=", "b"),) * 200, (Order(TAG),) * 20)
    assert store.search(most) == ["a" * 32]
    assert store.search(Query("runs", (Condition(Field("metric", "x"), "<", math.inf),))) == []
