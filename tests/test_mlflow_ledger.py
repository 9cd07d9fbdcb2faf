"""What is remembered of an MLflow server, and how it is asked; without a server."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
from filter_texts import FILTERS, ORDERS
from hypothesis import assume, given
from hypothesis import strategies as st

from steplog import MlflowException
from steplog.exceptions import StoreError
from steplog.filters import (
    parse_experiments_filter,
    parse_experiments_order,
    parse_models_filter,
    parse_runs_filter,
    parse_runs_order,
)
from steplog.operations import SeriesKey
from steplog.points import POINT
from steplog.query import Query, What
from steplog.rows import Refusal
from steplog.stores import mlflow_ledger, mlflow_points
from steplog.stores.base import Position, Refused
from steplog.stores.mlflow_ledger import Ledger
from steplog.stores.mlflow_queries import filter_text, order_texts

FILTER_PARSERS = {
    "runs": parse_runs_filter,
    "experiments": parse_experiments_filter,
    "models": parse_models_filter,
}
ORDER_PARSERS = {"runs": parse_runs_order, "experiments": parse_experiments_order}


def test_what_one_process_notes_another_knows(tmp_path: Path) -> None:
    """Positions, ids, writers and refusals are seen by everybody who has the ledger open."""
    one, other = Ledger(str(tmp_path / "spool")), Ledger(str(tmp_path / "spool"))
    refused = Refused("j", 64, Refusal("INVALID_PARAMETER_VALUE", "nö", "r"))
    assert one.positions(["j"]) == {}
    one.advance("j", Position(96, ((32, 64),)), [refused])
    one.pair("run", "ours", "")
    one.wrote("ours", "w")
    assert other.positions(["j", "k"]) == {"j": Position(96, ((32, 64),))}
    assert other.refusals() == other.refusals("r") == [refused]
    assert other.refusals("q") == []
    assert other.theirs("run", "ours") == ""
    other.pair("run", "ours", "theirs")
    assert one.theirs("run", "ours") == "theirs"
    assert (one.ours("run", "theirs"), one.ours("run", "x")) == ("ours", "x")
    assert one.beginning("run", "ou") == ["ours"]
    assert other.writers("ours") == {"w"}


def test_an_attempt_is_known_until_it_succeeds(tmp_path: Path) -> None:
    """Who sends a stretch of a journal knows whether somebody began to send it before."""
    ledger = Ledger(str(tmp_path))
    assert not ledger.attempt("j", Position(32))
    assert Ledger(str(tmp_path)).attempt("j", Position(32))
    ledger.advance("j", Position(64), [])
    assert not ledger.attempt("j", Position(64))


@pytest.mark.parametrize("torn", [b'{"journal":"j","at":[', b"\xff\xfe", b"17\n", b'{"a":1}\n'])
def test_half_a_line_costs_no_other(tmp_path: Path, torn: bytes) -> None:
    """A process that died while it wrote a line leaves all other facts readable, and writable."""
    Ledger(str(tmp_path)).pair("run", "a", "1")
    with (tmp_path / mlflow_ledger.FILE).open("ab") as file:
        file.write(torn)
    ledger = Ledger(str(tmp_path))
    assert ledger.theirs("run", "a") == "1"
    ledger.pair("run", "b", "2")
    assert Ledger(str(tmp_path)).theirs("run", "b") == ledger.theirs("run", "b") == "2"


def test_a_ledger_is_written_anew_before_it_grows_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of many facts that hold no longer becomes small, and everybody follows it."""
    monkeypatch.setattr(mlflow_ledger, "COMPACT_BYTES", 2_000)
    ledger, other = Ledger(str(tmp_path)), Ledger(str(tmp_path))
    ledger.pair("run", "a", "1")
    ledger.wrote("a", "w")
    ledger.attempt("k", Position(32))
    refused = [Refused("j", n, Refusal("X", str(n), None)) for n in range(3)]
    for n in range(300):
        ledger.advance("j", Position(n), [r for r in refused if r.offset == n])
        assert other.positions(["j"]).get("j", Position(0)) == Position(n)
    assert (tmp_path / mlflow_ledger.FILE).stat().st_size < 4_000
    for each in (ledger, other, Ledger(str(tmp_path))):
        assert each.theirs("run", "a") == "1"
        assert each.writers("a") == {"w"}
        assert each.refusals() == refused
        assert each.attempt("k", Position(32))


def _advance(directory: str, journal_id: str) -> None:
    ledger = Ledger(directory)
    for n in range(1, 51):
        ledger.advance(journal_id, Position(n), [Refused(journal_id, n, Refusal("X", "", None))])


def test_processes_write_one_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What several processes note at once is all there, also where the file is written anew."""
    monkeypatch.setattr(mlflow_ledger, "COMPACT_BYTES", 3_000)
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=_advance, args=(str(tmp_path), name)) for name in ("a", "b", "c")
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    ledger = Ledger(str(tmp_path))
    assert ledger.positions(["a", "b", "c"]) == dict.fromkeys("abc", Position(50))
    told = [(each.journal_id, each.offset) for each in ledger.refusals()]
    assert sorted(told) == [(name, n) for name in "abc" for n in range(1, 51)]


def test_one_at_a_time(tmp_path: Path) -> None:
    """What one holds, another waits for; and has, once it is given back, or its holder is gone."""
    one, other = Ledger(str(tmp_path)), Ledger(str(tmp_path))
    with one.holding("journal-a"):
        with pytest.raises(StoreError, match="Somebody else"), other.holding("journal-a", 0.05):
            pass
        with other.holding("journal-b", 0.05):
            pass
        pid = os.fork()
        if not pid:
            os._exit(0 if not mlflow_ledger._held else 1)
        assert os.waitpid(pid, 0)[1] == 0  # a child holds nothing of its parent's
    with other.holding("journal-a", 0.05):
        assert list(tmp_path.glob("*.lock")) == [tmp_path / "journal-a.lock"]
    assert not list(tmp_path.glob("*.lock"))


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("what", ["runs", "experiments", "models"])
@given(data=st.data())
def test_filters_keep_their_meaning(what: What, data: st.DataObject) -> None:
    """A filter that is read, written down again and read again means the same."""
    parse = FILTER_PARSERS[what]
    try:
        query = Query(what, parse(data.draw(FILTERS[what])))
        text = filter_text(query, lambda name, ours: ours)
    except MlflowException:  # it means nothing, or nothing that MLflow can be asked for
        assume(False)
    assert parse(text) == query.conditions


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("what", ["runs", "experiments"])
@given(data=st.data())
def test_orders_keep_their_meaning(what: What, data: st.DataObject) -> None:
    """An order that is read, written down again and read again means the same."""
    parse = ORDER_PARSERS[what]
    try:
        query = Query(what, order=parse(data.draw(ORDERS[what])))
        texts = order_texts(query)
    except MlflowException:
        assume(False)
    assert parse(texts) == query.order


def test_requests_are_within_what_a_server_takes() -> None:
    """No request holds over 1,000 points or a megabyte, and all points are sent, in their order."""
    points = np.zeros(2_500, POINT)
    points["step"] = np.arange(2_500)
    points["series"] = 1
    short = mlflow_points.encode(points, {1: SeriesKey("r", "loss")}, {})
    long = mlflow_points.encode(points, {1: SeriesKey("r", "ö" * 250)}, {})
    assert [*mlflow_points.stretches(short)] == [(0, 1_000), (1_000, 2_000), (2_000, 2_500)]
    cuts = [*mlflow_points.stretches(long)]
    assert [start for start, _ in cuts[1:]] == [end for _, end in cuts[:-1]]
    assert (cuts[0][0], cuts[-1][1]) == (0, 2_500)
    assert all(len(mlflow_points.request("r", long[a:b])) < 1_000_000 for a, b in cuts)
