"""Every format that was ever released can be read: the fixtures of each version, kept for ever."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from steplog import chunk
from steplog.journal_reader import JournalReader
from steplog.operations import SeriesKey
from steplog.query import Query
from steplog.stores import open_store
from steplog.stores.base import START, Damage
from steplog.stores.schema import FORMAT
from steplog.testing import Feed, found, metric

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("format-*"))
STORES = sorted((Path(__file__).parent / "fixtures").glob("store-*"))
versions = pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.name)
BITS = [
    0x3FE0000000000000,
    0x7FF8000000000000,
    0x7FF0000000000000,
    0xFFF0000000000000,
    0x8000000000000000,
    0x0000000000000001,
    0x7FEFFFFFFFFFFFFF,
]


def test_there_are_fixtures() -> None:
    """At least the fixtures of format 1 are there, and a store of each format since."""
    assert "format-1" in [path.name for path in FIXTURES]
    assert [path.name for path in STORES] == [f"store-{each}" for each in range(2, FORMAT + 1)]


@versions
def test_a_journal_of_every_version_is_read(fixture: Path) -> None:
    """A journal that an earlier steplog wrote gives its operations and every bit of its points."""
    expected = json.loads((fixture / "expected.json").read_text())
    reader = JournalReader(str(next(fixture.glob("*.journal"))))
    stretch = reader.read(START, final=True)
    assert stretch is not None
    assert [type(operation).__name__ for _, operation in stretch.operations] == [
        "CreateRun",
        "LogParams",
        "SetTags",
        "UpdateRun",
    ]
    losses = stretch.points[stretch.points["series"] == 1]
    assert losses["step"].tolist() == expected["steps"]
    assert losses["value"].view(np.uint64).tolist() == BITS
    (accuracy,) = stretch.points[stretch.points["series"] == 2]
    assert stretch.series[2].dataset_digest == "abc"
    assert (accuracy["timestamp"], accuracy["step"]) == (1_700_000_000_123, 7)
    assert stretch.damaged == []
    reader.close()


@versions
def test_a_chunk_of_every_version_is_read(fixture: Path) -> None:
    """A chunk of any 64-bit patterns comes back bit for bit."""
    columns = chunk.decode((fixture / "bits.chunk").read_bytes())
    assert np.array_equal(columns.value.view(np.int64), np.load(fixture / "bits.npy"))
    assert np.array_equal(columns.step, np.arange(1000) * 3)
    assert np.array_equal(columns.timestamp, columns.step + 10**12)


@versions
def test_a_store_of_every_version_is_read(fixture: Path, tmp_path: Path) -> None:
    """A store that an earlier steplog wrote is whole, and gives its runs and points."""
    expected = json.loads((fixture / "expected.json").read_text())
    shutil.copytree(fixture / "store", tmp_path / "store")
    store = open_store(tmp_path / "store")
    assert [each for each in store.check() if isinstance(each, Damage)] == []
    (record,) = store.runs([expected["run"]])
    assert (record.row.status, record.params["lr"]) == ("FINISHED", "0.1")
    losses, accuracy = store.series([expected["run"]])
    steps = [step for piece in store.points(losses.series_id) for step in piece.step.tolist()]
    assert steps == sorted(expected["steps"])
    assert accuracy.key.model_id == "m-1"
    store.close()


def test_a_store_of_format_1_is_upgraded(tmp_path: Path) -> None:
    """A store from before models and searches has them once it is opened, and loses nothing."""
    expected = json.loads((FIXTURES[0] / "expected.json").read_text())
    shutil.copytree(FIXTURES[0] / "store", tmp_path / "store")
    run_id = expected["run"]
    with closing(open_store(tmp_path / "store")) as store:
        assert found(store, metric("loss.count", "=", len(expected["steps"]))) == [run_id]
        assert store.search(Query("models")) == []
        Feed(store, "2" * 32).log(SeriesKey(run_id, "loss", "m-1"), (2**63 - 1, 2**62, 0.25))
        assert found(store, metric("loss", "=", 0.25)) == [run_id]
    with closing(open_store(tmp_path / "store")) as store:
        assert found(store, metric("loss", "=", 0.25)) == [run_id]


@pytest.mark.parametrize("fixture", STORES, ids=lambda path: path.name)
def test_a_store_of_every_later_format_is_read(fixture: Path, tmp_path: Path) -> None:
    """Runs, models and what they have to do with each other come back, and every bit of points."""
    shutil.copytree(fixture, tmp_path / "store")
    with closing(open_store(tmp_path / "store")) as store:
        assert [each for each in store.check() if isinstance(each, Damage)] == []
        [run] = store.runs()
        [model] = store.models(["m-1"])
        assert (run.row.name, run.params) == ("calm-heron-7", {"lr": "0.1"})
        assert (run.datasets[0].name, run.datasets[0].tags["mlflow.data.context"]) == (
            "digits",
            "train",
        )
        assert [tuple(use) for use in run.models] == [("input", "m-0", 0), ("output", "m-1", 7)]
        assert (model.row.name, model.params, model.tags) == ("tree", {"d": "3"}, {"t": "u"})
        for series in store.series([run.row.run_id], ["loss"]):
            values = np.concatenate([piece.value for piece in store.points(series.series_id)])
            assert sorted(values.view(np.uint64).tolist()) == sorted(BITS)
        assert found(store, metric("late", "=", 0.5)) == [run.row.run_id]
