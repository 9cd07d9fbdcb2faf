"""Every format that was ever released can be read: the fixtures of each version, kept for ever."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from steplog import chunk
from steplog.journal_reader import JournalReader
from steplog.stores import open_store
from steplog.stores.base import START, Damage

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("format-*"))
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
    """At least the fixtures of format 1 are there."""
    assert "format-1" in [path.name for path in FIXTURES]


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
