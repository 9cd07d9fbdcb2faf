"""Ranks: what processes of a distributed job log of a metric is kept apart, and put together."""

from __future__ import annotations

import csv
import doctest
import io
import json
import math
from collections.abc import Iterable

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import steplog
from steplog import MlflowException, listing, plain, reading, reducing, terminal
from steplog.backend import backend
from steplog.charts import ChartQuery, Charts, RanksLine, SeriesLine, chart
from steplog.cli import main
from steplog.points import Columns, sort_points
from steplog.reducing import reduce_ranks

FLOATS = st.sampled_from([0.0, -0.0, 1.0, 2.5, -3.0, math.nan, math.inf, -math.inf])
POINTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9), FLOATS), max_size=8)


@pytest.fixture
def run() -> steplog.ActiveRun:
    """An active run in a store of its own."""
    return steplog.start_run()


def log_as(
    rank: int, points: Iterable[tuple[int, int, float]], patch: pytest.MonkeyPatch, key: str = "m"
) -> None:
    """Log (step, timestamp, value) as a process of this rank does; -1 for one that has none."""
    patch.setenv("RANK", str(rank) if rank >= 0 else "")
    backend().recorder.writer.seal()  # what is logged next begins a journal, and says the rank
    for step, timestamp, value in points:
        steplog.log_metric(key, value, step, timestamp=timestamp)


def columns(points: list[tuple[int, int, float]]) -> Columns:
    """Return points as the columns of a series."""
    arrays = np.array([point[:2] for point in points], np.int64).reshape(-1, 2).T
    return sort_points(Columns(arrays[0], arrays[1], np.array([p[2] for p in points], float)))


def expected(ranks: list[list[tuple[int, int, float]]], how: str) -> list[tuple[int, int, float]]:
    """Reduce points as the documentation says it, one by one."""
    result = []
    for step in sorted({step for points in ranks for step, *_ in points}):
        lasts = []
        for points in ranks:
            here = [each for each in points if each[0] == step]
            if here:
                lasts.append(max(here, key=lambda p: (p[1], 0.0 if math.isnan(p[2]) else p[2])))
        numbers = [value for *_, value in lasts if not math.isnan(value)]
        value = math.nan
        if numbers and how != "mean":
            value = min(numbers) if how == "min" else max(numbers)
        elif numbers and not {math.inf, -math.inf} <= {*numbers}:
            value = sum(numbers) / len(numbers)
        result.append((step, max(timestamp for _, timestamp, _ in lasts), value))
    return result


def test_the_example_in_the_documentation_runs() -> None:
    """What the documentation of `reduce_ranks` shows is what it returns."""
    assert doctest.testmod(reducing).failed == 0


@given(st.lists(POINTS, min_size=1, max_size=4), st.sampled_from(["mean", "min", "max"]))
def test_a_step_is_reduced_over_the_last_value_of_each_rank(
    ranks: list[list[tuple[int, int, float]]], how: reducing.Reduction
) -> None:
    """Each step that occurs has one point: of each rank the last value counts, and NaN does not."""
    # Of two values that MLflow's rule finds equal, NaN and 0 or the two zeros, either may be last.
    ranks = [list({(s, t): (s, t, v) for s, t, v in points}.values()) for points in ranks]
    found = reduce_ranks([columns(points) for points in ranks], how)
    wanted = expected(ranks, how)
    assert [*zip(found.step.tolist(), found.timestamp.tolist(), strict=True)] == [
        point[:2] for point in wanted
    ]
    np.testing.assert_allclose(found.value, [point[2] for point in wanted], rtol=1e-15)


def test_read_keeps_ranks_apart(run: steplog.ActiveRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rank is a series, which says its rank; a process without one comes first."""
    for rank in (2, 0, -1, 11):
        log_as(rank, [(step, step, rank * 10.0 + step) for step in range(3)], monkeypatch)
    found = steplog.read(run, "m")
    assert [(each.key.rank, each.value.tolist()) for each in found] == [
        (rank, [rank * 10.0 + step for step in range(3)]) for rank in (-1, 0, 2, 11)
    ]
    assert [each.rank for each in steplog.Client().summary(run.info.run_id)] == [-1, 0, 2, 11]


def test_read_reduces_ranks(run: steplog.ActiveRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reduced, a metric has one point a step; one that a single process logged stays as it is."""
    log_as(0, [(0, 5, 1.0), (0, 6, 3.0), (1, 9, math.nan)], monkeypatch)
    log_as(1, [(0, 7, 5.0), (1, 8, 2.0), (2, 10, math.nan)], monkeypatch)
    log_as(1, [(0, 1, 1.0), (0, 2, 2.0)], monkeypatch, key="own")

    def read(ranks: reading.Ranks) -> list[tuple[int, list[int], list[float]]]:
        found = steplog.read(run, ranks=ranks)
        return [(each.key.rank, each.timestamp.tolist(), each.value.tolist()) for each in found]

    means, own = read("mean")
    assert means[:2] == (-1, [7, 9, 10])
    assert means[2][:2] == [4.0, 2.0]
    assert math.isnan(means[2][2])
    assert own == (1, [1, 2], [1.0, 2.0])
    assert read("min")[0][2][:2] == [3.0, 2.0]
    assert read("max")[0][2][:2] == [5.0, 2.0]
    [window] = steplog.read(run, "m", steps=(1, 1), ranks="max")
    assert (window.step.tolist(), window.value.tolist()) == ([1], [2.0])
    assert steplog.read(run, "nothing", ranks="mean") == []
    with pytest.raises(MlflowException, match="must be one of apart, mean, min, max, got 'sum'"):
        steplog.read(run, ranks="sum")  # type: ignore[call-overload]


@pytest.mark.parametrize("at_most", [7, 1_000])
def test_long_series_are_reduced_piece_by_piece(
    run: steplog.ActiveRun, monkeypatch: pytest.MonkeyPatch, at_most: int
) -> None:
    """However few points are read at once, the result is the same; thinned it has the extremes."""
    values = np.sin(np.arange(500.0))
    values[[100, 333]] = -7.0, 9.0
    for rank in range(3):
        log_as(rank, [(step, step, values[step] + rank) for step in range(500)], monkeypatch)
        backend().store().seal(run.info.run_id)  # so that there are stretches of each
    monkeypatch.setattr(reading, "READ_AT_MOST", at_most)
    [whole] = steplog.read(run, "m", ranks="mean")
    assert whole.step.tolist() == [*range(500)]
    np.testing.assert_allclose(whole.value, values + 1.0)
    [thinned] = steplog.read(run, "m", ranks="mean", max_points=40)
    assert thinned.step.size <= 40
    assert {-6.0, 10.0} <= {*thinned.value.tolist()}
    assert (thinned.step[0], thinned.step[-1]) == (0, 499)


def test_a_frame_says_the_rank(run: steplog.ActiveRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pandas frame has a column for the rank."""
    for rank in (0, 1):
        log_as(rank, [(0, 1, 0.5), (1, 2, 0.25)], monkeypatch)
    frame = steplog.read(run, as_pandas=True)
    assert frame["rank"].tolist() == [0, 0, 1, 1]
    assert steplog.read(run, as_pandas=True, ranks="mean")["rank"].tolist() == [-1, -1]


def test_mlflow_sees_one_metric(run: steplog.ActiveRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """What MLflow's functions return is of all ranks: the history, the last value, a search."""
    for rank in range(4):
        log_as(
            rank, [(step, 9 + 10 * step + rank, step + rank / 8) for step in range(3)], monkeypatch
        )
    client = steplog.Client()
    run_id = run.info.run_id
    history = client.get_metric_history(run_id, "m")
    assert [(each.step, each.value) for each in history] == [
        (step, step + rank / 8) for step in range(3) for rank in range(4)
    ]
    assert client.get_run(run_id).data.metrics == {"m": 2.375}
    assert [each.info.run_id for each in client.search_runs(["0"], "metrics.m = 2.375")] == [run_id]
    assert client.search_runs(["0"], "metrics.m < 2.375") == []
    assert len(client.search_runs(["0"], "metrics.m.count = 12 AND metrics.m.min = 0")) == 1


def test_charts_show_ranks_apart_or_together(
    run: steplog.ActiveRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chart has a line for each rank, or one with a band over the ranks; one rank is a line."""
    for rank in range(3):
        log_as(rank, [(step, 1, step * 10.0 + rank) for step in range(4)], monkeypatch)
    log_as(1, [(0, 1, 7.0)], monkeypatch, key="own")
    store = backend().store()
    asked = ChartQuery((run.info.run_id,), ("m", "own"))
    apart = chart(store, asked)
    assert [line.key.rank for line in apart.lines if isinstance(line, SeriesLine)] == [0, 1, 2, 1]
    together, own = chart(store, asked._replace(ranks="together")).lines
    assert isinstance(together, RanksLine)
    assert (together.key.rank, together.ranks) == (-1, (0, 1, 2))
    assert together.columns["center"].tolist() == [1.0, 11.0, 21.0, 31.0]
    assert together.columns["low"].tolist() == [0.0, 10.0, 20.0, 30.0]
    assert together.columns["high"].tolist() == [2.0, 12.0, 22.0, 32.0]
    assert together.columns["n"].tolist() == [3.0] * 4
    assert isinstance(own, SeriesLine)
    [grouped, _] = chart(store, asked._replace(group_by=())).lines
    assert grouped.columns["n"].tolist() == [1.0] * 4
    with pytest.raises(MlflowException, match="ranks must be one of apart, together"):
        chart(store, asked._replace(ranks="both"))  # type: ignore[arg-type]


def test_a_chart_that_is_followed_takes_in_another_rank(
    run: steplog.ActiveRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a metric of one process becomes one of several, the whole chart is told anew."""
    charts, asked = Charts(), ChartQuery((run.info.run_id,), ("m",), ranks="together")
    log_as(-1, [(0, 1, 1.0)], monkeypatch)
    alone = charts.changes(backend().store(), asked, None)
    log_as(0, [(0, 1, 3.0)], monkeypatch)
    [line] = (changed := charts.changes(backend().store(), asked, alone.cursor)).chart.lines
    assert (changed.start, isinstance(line, RanksLine)) == (0, True)
    log_as(0, [(1, 1, 3.0)], monkeypatch)
    assert charts.changes(backend().store(), asked, changed.cursor).start == 1


def test_over_a_metric_each_rank_has_its_own_axis(
    run: steplog.ActiveRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drawn over another metric, a rank lies where its own values of that metric do."""
    for rank in range(2):
        log_as(rank, [(step, 1, 100.0 * rank + step) for step in range(3)], monkeypatch, key="x")
        log_as(rank, [(step, 1, step) for step in range(3)], monkeypatch)
    asked = ChartQuery((run.info.run_id,), ("m",), x="metric", x_key="x")
    made = chart(backend().store(), asked)
    assert made.x.tolist() == [0.0, 1.0, 2.0, 100.0, 101.0, 102.0]
    assert [line.columns["count"].tolist() for line in made.lines] == [
        [1.0, 1.0, 1.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 1.0, 1.0, 1.0],
    ]


def test_names_say_the_rank(run: steplog.ActiveRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables, plain pages and CSV files say of which rank a series is; the first goes unsaid."""
    for rank in range(2):
        log_as(rank, [(0, 1, rank)], monkeypatch)
    store, run_id = backend().store(), run.info.run_id
    keys = [series.key for series in store.series([run_id])]
    assert [terminal.series_name(key) for key in keys] == ["m", "m rank 1"]
    page = plain.run_page(store, frozenset(), run_id, "")
    assert "m rank 1" in page
    records = {record.row.run_id: record for record in store.runs([run_id])}
    lines = b"".join(listing.csv_lines(store, records, store.series([run_id]))).decode()
    assert [row["rank"] for row in csv.DictReader(io.StringIO(lines))] == ["0", "1"]


def test_show_reduces_ranks(run: steplog.ActiveRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """`steplog show --ranks` makes one series of those of several ranks, in table and document."""
    for rank in range(2):
        log_as(rank, [(step, 1, 4.0 * rank + step) for step in range(3)], monkeypatch)

    def show(*options: str) -> str:
        done = CliRunner().invoke(main, ["show", run.info.run_id, *options])
        assert done.exit_code == 0, done.output
        return done.output

    assert [each["rank"] for each in json.loads(show("--json"))["series"]] == [0, 1]
    [series] = json.loads(show("--ranks", "mean", "--json"))["series"]
    assert (series["rank"], series["count"], series["last"], series["max"]) == (-1, 3, 4.0, 4.0)
    assert "m rank 1" in show()
    assert "m rank 1" not in show("m", "--ranks", "max")
    refused = CliRunner().invoke(main, ["show", run.info.run_id, "--live", "--ranks", "min"])
    assert "--live shows ranks apart" in refused.output
