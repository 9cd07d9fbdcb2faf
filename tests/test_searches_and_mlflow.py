"""What a search finds, and in which order, is what MLflow's SQL store finds by the same texts."""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from filter_texts import FILTERS, ORDERS
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow import entities as mlflow

from steplog import MlflowException
from steplog.filters import (
    parse_experiments_filter,
    parse_experiments_order,
    parse_models_filter,
    parse_models_order,
    parse_runs_filter,
    parse_runs_order,
)
from steplog.query import TIE_BREAKS, Field, Order, Value, matches, sort_key

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of SQLAlchemy, at what MLflow does
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

pytestmark = [pytest.mark.long, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

# The values of `filter_texts`, and some that are near.
NAMES = ["x", "X", "axb", "é", "É", "1"]
TEXTS = [*NAMES, "", "%x_", "it''s", "it's", "a;b", "a\\'b", "x\nX", "0.1"]
NUMBERS = [-1.0, 0.0, 0.5, 1.0, 1e5]


# ---- what MLflow stores, as a subject of ours ----


class RunSubject:
    def __init__(self, run: Any) -> None:
        self.id: str = run.info.run_id
        self.run = run

    def values(self, field: Field) -> Sequence[Value]:
        if field.kind == "attribute":
            return present(getattr(self.run.info, field.key))
        if field.kind != "dataset":
            return present(getattr(self.run.data, f"{field.kind}s").get(field.key))
        inputs = self.run.inputs.dataset_inputs
        if field.key == "context":
            return [tag.value for each in inputs for tag in each.tags]
        return [getattr(each.dataset, field.key) for each in inputs]

    def ordered_by(self, order: Order) -> Value | None:
        return next(iter(self.values(order.field)), None)


class ExperimentSubject:
    def __init__(self, experiment: Any) -> None:
        self.id: str = experiment.experiment_id
        self.experiment = experiment

    def values(self, field: Field) -> Sequence[Value]:
        if field.kind == "tag":
            return present(self.experiment.tags.get(field.key))
        return present(getattr(self.experiment, field.key))

    def ordered_by(self, order: Order) -> Value | None:
        if order.field.key == "experiment_id":
            return int(self.id)
        return next(iter(self.values(order.field)), None)


class ModelSubject:
    def __init__(self, model: Any) -> None:
        self.id: str = model.model_id
        self.model = model

    def values(self, field: Field) -> Sequence[Value]:
        if field.kind == "metric":
            return [each.value for each in self.model.metrics or () if each.key == field.key]
        if field.kind == "attribute":
            return present(getattr(self.model, field.key))
        return present(getattr(self.model, f"{field.kind}s").get(field.key))

    def ordered_by(self, order: Order) -> Value | None:
        if order.field.kind == "attribute":
            return next(iter(self.values(order.field)), None)
        measured = [
            each
            for each in self.model.metrics or ()
            if each.key == order.field.key
            and order.dataset_name in (None, each.dataset_name)
            and order.dataset_digest in (None, each.dataset_digest)
        ]
        latest = max(measured, key=lambda each: (each.timestamp, each.step), default=None)
        return None if latest is None else latest.value


def present(value: Value | None) -> Sequence[Value]:
    return () if value is None else (value,)


# ---- MLflow's store ----


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SqlAlchemyStore:
    """MLflow's store on SQLite, with what the filters of `filter_texts` find a part of.

    Without infinities, and without NaN of models: MLflow stores other numbers for them.
    """
    directory: Path = tmp_path_factory.mktemp("mlflow")
    store = SqlAlchemyStore(f"sqlite:///{directory}/store.db", str(directory / "artifacts"))
    chance = random.Random(4)
    for name in TEXTS:
        if name:
            tags = some(chance, ("a", "a b"), TEXTS)
            store.create_experiment(name, None, [mlflow.ExperimentTag(*tag) for tag in tags])
    for number in range(20):
        put_run(store, chance, ended=number % 2 == 1)
    for number in range(18):
        put_model(store, chance, NAMES[number % len(NAMES)])
    return store


def some(
    chance: random.Random, keys: Sequence[str], values: Sequence[Any]
) -> list[tuple[str, Any]]:
    """Return some of the keys, each with one of the values."""
    return [(key, chance.choice(values)) for key in keys if chance.random() < 0.6]


def put_run(store: SqlAlchemyStore, chance: random.Random, ended: bool) -> None:
    name, start_time = chance.choice(NAMES), chance.choice([0, 1, 2, 10**5])
    run_id = store.create_run("0", chance.choice("xX"), start_time, [], name).info.run_id
    numbers = some(chance, ("a", "val loss", "a.b", "x y"), [*NUMBERS, float("nan")])
    store.log_batch(
        run_id,
        [mlflow.Metric(key, value, 0, 0) for key, value in numbers],
        [mlflow.Param(*param) for param in some(chance, ("a", "a b", "a-b"), TEXTS)],
        [mlflow.RunTag(*tag) for tag in some(chance, ("mlflow.x", "q"), TEXTS)],
    )
    datasets = [mlflow.Dataset(name, chance.choice("ab1"), "", "") for name in ("x", "axb", "X")]
    context = [mlflow.InputTag("mlflow.data.context", chance.choice("ab"))]
    store.log_inputs(
        run_id,
        [
            mlflow.DatasetInput(dataset, chance.choice([[], context]))
            for dataset in chance.sample(datasets, chance.randrange(3))
        ],
    )
    if ended:
        store.update_run_info(run_id, mlflow.RunStatus.FINISHED, chance.choice([1, 2, 3]), None)


def put_model(store: SqlAlchemyStore, chance: random.Random, name: str) -> None:
    model_id = store.create_logged_model(
        *("0", name, None),
        tags=[mlflow.LoggedModelTag(*tag) for tag in some(chance, ("a b",), TEXTS)],
        params=[mlflow.LoggedModelParameter(*param) for param in some(chance, ("a",), TEXTS)],
        model_type=chance.choice([None, "x", "1"]),
    ).model_id
    run_id = store.create_run("1", "", 0, [], "").info.run_id
    # The last by timestamp, and of those by step.
    for timestamp, step in [(1, 5), (2, 0), (2, 1)]:
        dataset = chance.choice([("d", "1"), ("d", "2"), (None, None)])
        numbers = some(chance, ("a", "val loss", "a.b", "x y"), NUMBERS)
        points = [mlflow.Metric(*each, timestamp, step, model_id, *dataset) for each in numbers]
        store.log_batch(run_id, points, [], [])


# ---- both search ----


def compare_searches(
    kind: str,
    subjects: Sequence[RunSubject | ExperimentSubject | ModelSubject],
    search: Callable[[str, Any], list[str]],
    parsers: tuple[Callable[[str], Any], Callable[[Any], Any]],
    orders: st.SearchStrategy[Any],
) -> None:
    """Search with what is accepted of many texts and orders, in both ways."""
    parse_filter, parse_order = parsers
    sizes = set()

    @settings(max_examples=200, derandomize=True, database=None, deadline=None)
    @given(st.just("") | FILTERS[kind], st.just([]) | orders)
    def compare(text: str, order_by: Any) -> None:
        try:
            conditions, order = parse_filter(text), parse_order(order_by)
        except MlflowException:
            return
        found = [each for each in subjects if matches(conditions, each)]
        found.sort(key=lambda each: sort_key((*order, *TIE_BREAKS[kind]), each))
        assert [each.id for each in found] == search(text, order_by)
        sizes.add(len(found))

    compare()
    assert len(sizes) > 4  # or hardly anything is searched for


def test_runs(store: SqlAlchemyStore) -> None:
    """Runs are found as by MLflow, in its order."""

    def search(text: str, order_by: Any) -> list[str]:
        return [run.info.run_id for run in store.search_runs(["0"], text, 1, 1000, order_by)]

    subjects = [RunSubject(run) for run in store.search_runs(["0"], "", 1, 1000)]
    compare_searches(
        *("runs", subjects, search, (parse_runs_filter, parse_runs_order), ORDERS["runs"])
    )


def test_experiments(store: SqlAlchemyStore) -> None:
    """Experiments are found as by MLflow, in its order."""

    def search(text: str, order_by: Any) -> list[str]:
        return [each.experiment_id for each in store.search_experiments(1, 1000, text, order_by)]

    subjects = [ExperimentSubject(each) for each in store.search_experiments(1, 1000)]
    parsers = parse_experiments_filter, parse_experiments_order
    compare_searches("experiments", subjects, search, parsers, ORDERS["experiments"])


def test_models(store: SqlAlchemyStore) -> None:
    """Logged models are found as by MLflow, in its order, but for what is meant on purpose."""

    def search(text: str, order_by: Any) -> list[str]:
        found = store.search_logged_models(["0"], text, None, 1000, order_by)
        return [each.model_id for each in found]

    def parse_filter(text: str) -> object:
        # See `DIFFERENCES` in test_filters_and_mlflow.
        if re.search(r"[\"]|status|\(\)|attributes\.creation_time", text):
            raise MlflowException("means something else in MLflow, or nothing")
        return parse_models_filter(text)

    names = st.sampled_from(["metrics.a", "metrics.val loss", "model_type", "name"])
    order = st.fixed_dictionaries(
        {"field_name": names},
        optional={
            "ascending": st.booleans(),
            "dataset_name": st.just("d"),
            "dataset_digest": st.sampled_from("12"),
        },
    )
    subjects = [ModelSubject(each) for each in store.search_logged_models(["0"], "", None, 1000)]
    parsers = parse_filter, parse_models_order
    compare_searches("models", subjects, search, parsers, st.lists(order, max_size=2))
