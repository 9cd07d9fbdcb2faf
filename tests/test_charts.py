"""Charts of real stores, compared with what their points say one by one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steplog import buckets, charts
from steplog.charts import Chart, ChartQuery, Charts, GroupLine, SeriesLine, chart
from steplog.exceptions import MlflowException
from steplog.operations import LogParams, SeriesKey
from steplog.points import Columns
from steplog.stores import open_store
from steplog.stores.base import Store
from steplog.stores.memory import MemoryStore
from steplog.testing import OTHER_RUN, RUN, Feed, Point, create_run

NAN, INF = math.nan, math.inf
START = 1_700_000_000_000


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Two kinds of stores."""
    store: Store = MemoryStore() if request.param == "memory" else open_store(str(tmp_path))
    yield store
    store.close()


def logged(store: Store, *points: Point, key: str = "loss", run_id: str = RUN) -> None:
    Feed(store, run_id).log(SeriesKey(run_id, key), *points)


def query(**changes: object) -> ChartQuery:
    return ChartQuery((RUN,), ("loss",))._replace(**changes)  # type: ignore[arg-type]


def expected(x: npt.NDArray[np.float64], value: npt.NDArray[np.float64], made: Chart) -> None:
    """Compare the only line of a chart with the buckets of these points, made one by one."""
    [line] = made.lines
    columns = {name: column.tolist() for name, column in line.columns.items()}
    for index, left in enumerate(made.x.tolist()):
        inside = (x >= left) & (x < left + made.width) if made.width else x == left
        some, finite = value[inside], value[inside & np.isfinite(value)]
        assert columns["count"][index] == some.size
        assert columns["nan"][index] == np.isnan(some).sum()
        assert columns["pos_inf"][index] == (some == INF).sum()
        assert columns["neg_inf"][index] == (some == -INF).sum()
        if finite.size:
            assert columns["min"][index] == finite.min()
            assert columns["max"][index] == finite.max()
            assert columns["first"][index] == finite[0]
            assert columns["last"][index] == finite[-1]
            mean, largest = (finite / finite.size).sum(), np.abs(finite).max()
            assert abs(columns["mean"][index] - mean) <= 1e-12 * largest
        else:
            assert all(np.isnan(columns[name][index]) for name in ("min", "max", "first", "mean"))
    assert sum(columns["count"]) == x.size


def in_order(points: Sequence[Point]) -> Sequence[Point]:
    """Return points in series order, each once; as reading gives them."""
    store = MemoryStore()
    logged(store, *points)
    [series] = store.series([RUN], ["loss"])
    found: list[Point] = []
    for columns in store.points(series.series_id):
        found += zip(*(column.tolist() for column in columns), strict=True)
    return found


values = st.one_of(st.sampled_from([NAN, INF, -INF, 0.0, 1.7e308, -1.7e308]), st.floats(-9, 9))
steps = st.one_of(st.integers(-50, 50), st.integers(-(2**63), 2**63 - 1))
some_points = st.lists(st.tuples(steps, st.integers(0, 90), values), min_size=1, max_size=60)


@pytest.fixture
def small_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretches of 4 points, so that few points have many, and none is read for being few."""
    monkeypatch.setattr("steplog.stores.whole.PIECE_POINTS", 4)
    monkeypatch.setattr(charts, "FEW_POINTS", 0)


@pytest.mark.usefixtures("small_stretches")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    points=some_points,
    most=st.integers(2, 12),
    x=st.sampled_from(["step", "time"]),
    window=st.none() | st.tuples(steps, steps).map(sorted),
)
def test_buckets_are_those_of_the_points(
    points: list[Point], most: int, x: str, window: list[int] | None
) -> None:
    """Whatever is logged, each bucket tells exactly what its points in the window are."""
    store = MemoryStore()
    logged(store, *points)
    x_min, x_max = window or (-(2**63), 2**63 - 1)
    asked = query(buckets=most, x=x)
    made = chart(store, asked._replace(x_min=x_min, x_max=x_max) if window else asked)
    assert made.x.size <= most
    places = [point[1 if x == "time" else 0] for point in in_order(points)]
    inside = [(at, point[2]) for at, point in zip(places, in_order(points), strict=True)]
    inside = [(at, value) for at, value in inside if x_min <= at <= x_max]
    if not inside:
        assert made.lines[0].columns["count"].sum() == 0
        return
    # The grid is compared in whole numbers: as floats, large steps would leave their buckets.
    width = max(int(made.width), 1)
    first = max(min(places), x_min) // width
    index = np.array([at // width - first for at, _ in inside], np.float64)
    shown = made._replace(x=np.arange(made.x.size, dtype=np.float64), width=0.0)
    expected(index, np.array([value for _, value in inside]), shown)


@pytest.mark.usefixtures("small_stretches")
def test_a_window_cuts_stretches() -> None:
    """Of a stretch and a bucket that reach out of the window, only the points inside count."""
    store = MemoryStore()
    logged(store, *((step, 0, float(step)) for step in range(100)))
    made = chart(store, query(buckets=2, x_min=33, x_max=66))
    assert (made.x.tolist(), made.width) == ([32.0, 64.0], 32.0)
    [line] = made.lines
    assert line.columns["count"].tolist() == [31, 3]
    assert line.columns["min"].tolist() == [33, 64]
    assert line.columns["max"].tolist() == [63, 66]


@pytest.mark.usefixtures("small_stretches")
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200
)
@given(
    points=some_points,
    over=st.lists(st.tuples(steps, st.integers(0, 90), st.floats(-1e9, 1e9)), max_size=20),
    spike=st.tuples(steps, st.integers(0, 90)),
    height=st.sampled_from([1.79e308, -1.79e308]),
    most=st.integers(2, 12),
    x=st.sampled_from(["step", "time", "relative", "metric"]),
    window=st.tuples(st.integers(0, 30), st.integers(0, 30)),
    grouped=st.booleans(),
)
def test_no_extreme_is_left_out(
    points: list[Point],
    over: list[Point],
    spike: tuple[int, int],
    height: float,
    most: int,
    x: str,
    window: tuple[int, int],
    grouped: bool,
) -> None:
    """A point beyond all others lies in the bucket at its x, at any zoom, and in groups."""
    store = MemoryStore()
    Feed(store).operate(create_run(start_time=40))
    logged(store, *points, (*spike, height))
    logged(store, (spike[0], -1, 0.5), *over, key="epoch")
    step, time = spike
    epoch = max(point for point in [(step, -1, 0.5), *over] if point[0] <= step)[2]
    at: float = {"step": step, "time": time, "relative": time - 40, "metric": epoch}[x]
    asked = query(x=x, x_key="epoch", buckets=most, x_min=at - window[0], x_max=at + window[1])
    made = chart(store, asked._replace(group_by=("key",)) if grouped else asked)
    [line] = made.lines
    extreme = line.columns["max" if height > 0 else "min"]
    if abs(at) < 2**52:  # x is told as floats: beyond, an edge may lie beside where it is
        index = int(np.searchsorted(made.x, at, "right")) - 1
        assert made.x[index] <= at < made.x[index] + max(made.width, 1)
        assert extreme[index] == height
    assert height in extreme.tolist()
    if grouped:
        assert height in line.columns["high" if height > 0 else "low"].tolist()


def test_few_points_are_shown_as_they_are(store: Store) -> None:
    """Where x are few the grid is every x that occurs, and its columns are the values."""
    logged(store, (0, START, 1.0), (7, START + 5, NAN), (1_000_000, START + 9, 3.0))
    logged(store, (7, START, 5.0), (9, START, 6.0), key="other")
    made = chart(store, query(keys=("loss", "other")))
    assert made.exact
    assert made.x.tolist() == [0, 7, 9, 1_000_000]
    loss, other = made.lines
    assert loss.columns["count"].tolist() == [1, 1, 0, 1]
    assert loss.columns["nan"].tolist() == [0, 1, 0, 0]
    assert loss.columns["mean"].tolist() == pytest.approx([1.0, NAN, NAN, 3.0], nan_ok=True)
    assert other.columns["mean"].tolist() == pytest.approx([NAN, 5.0, 6.0, NAN], nan_ok=True)


def test_zooming_shows_the_points_in_the_end(store: Store) -> None:
    """A wide window of a long series has buckets; a narrow one has the points themselves."""
    value = np.sin(np.arange(50_000) / 1000)
    logged(store, *zip(range(50_000), range(50_000), value.tolist(), strict=True))
    store.seal(RUN)
    wide = chart(store, query(buckets=100))
    assert not wide.exact
    assert 50 <= wide.x.size <= 100
    expected(np.arange(50_000.0), value, wide)
    middle = chart(store, query(buckets=100, x_min=20_000, x_max=29_999))
    assert 50 <= middle.x.size <= 100
    assert middle.lines[0].columns["count"].sum() == 10_000
    narrow = chart(store, query(buckets=100, x_min=20_000, x_max=20_099))
    assert narrow.exact
    assert narrow.x.tolist() == list(range(20_000, 20_100))
    assert np.array_equal(narrow.lines[0].columns["mean"], value[20_000:20_100])


def test_wide_charts_read_few_points(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long series only the stretches at the edges of buckets are read point by point."""
    points = 40 * 8192
    value = np.random.default_rng(0).normal(size=points)
    for start in range(0, points, 8192):
        steps = range(start, start + 8192)
        logged(store, *zip(steps, steps, value[start : start + 8192].tolist(), strict=True))
    store.seal(RUN)
    read = 0
    fold = buckets.fold_points

    def counted(
        index: npt.NDArray[np.int64], value: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.void]]:
        nonlocal read
        read += value.size
        return fold(index, value)

    monkeypatch.setattr("steplog.lines.fold_points", counted)
    made = chart(store, query(buckets=8))
    expected(np.arange(float(points)), value, made)
    assert read <= 8 * 8192


def test_over_another_metric(store: Store) -> None:
    """x is the other metric at the same step or the latest before; without one, no place."""
    logged(store, (10, 0, 0.5), (20, 0, 1.0), (25, 0, NAN), (30, 0, 1.5), key="epoch")
    logged(store, *((step, 0, float(step)) for step in (5, 10, 15, 20, 22, 25, 27, 30, 35)))
    made = chart(store, query(x="metric", x_key="epoch"))
    assert made.exact
    assert made.x.tolist() == [0.5, 1.0, 1.5]
    [line] = made.lines
    assert line.columns["count"].tolist() == [2, 2, 2]
    assert line.columns["first"].tolist() == [10.0, 20.0, 30.0]
    assert line.columns["last"].tolist() == [15.0, 22.0, 35.0]
    zoomed = chart(store, query(x="metric", x_key="epoch", x_min=0.9, x_max=1.1))
    assert zoomed.x.tolist() == [1.0]
    assert not chart(store, query(x="metric", x_key="nothing")).lines


def test_a_long_series_over_another_metric(store: Store) -> None:
    """Over another metric, too, buckets tell exactly what their points are."""
    points = 30_000
    over = np.linspace(0, 3, points)
    value = np.cos(over * 9)
    logged(store, *zip(range(points), range(points), over.tolist(), strict=True), key="epoch")
    logged(store, *zip(range(points), range(points), value.tolist(), strict=True))
    made = chart(store, query(x="metric", x_key="epoch", buckets=50))
    assert not made.exact
    expected(over, value, made)


def test_a_dense_axis_of_another_metric() -> None:
    """A metric that was logged rarely has its place on an axis that was logged often."""
    store = MemoryStore()
    points = 100_000
    logged(store, *((step, 0, step / 10) for step in range(1, points)), key="epoch")
    logged(store, *((step, 0, float(step)) for step in (0, 1, 20_000, 20_001, 99_999, 200_000)))
    made = chart(store, query(x="metric", x_key="epoch"))
    assert made.x.tolist() == [0.1, 2_000.0, 2_000.1, 9_999.9]
    assert made.lines[0].columns["last"].tolist() == [1.0, 20_000.0, 20_001.0, 200_000.0]


def test_times_as_far_away_as_can_be(store: Store) -> None:
    """Of a run that begins at the first of all times, every point is seen, in its order."""
    logged(store, (0, -(2**63), 1.0), (1, 5, 2.0), (2, 2**63 - 1, 3.0))
    assert store.runs([RUN])[0].row.start_time == -(2**63)
    [line] = chart(store, query(x="relative")).lines
    assert line.columns["first"].tolist() == [1.0, 2.0]
    assert line.columns["last"].tolist() == [1.0, 3.0]


def test_a_stretch_from_one_end_to_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Points in a narrow window are found in a stretch that reaches over all of the integers."""
    monkeypatch.setattr(charts, "FEW_POINTS", 0)
    store = MemoryStore()
    logged(store, (-(2**63), 0, 1.0), (-(2**63) + 3, 0, 2.0), (2**63 - 1, 0, 3.0))
    [line] = chart(store, query(x_max=-(2**63) + 9)).lines
    assert line.columns["count"].sum() == 2


def test_time_since_start_begins_at_the_start_of_each_run(store: Store) -> None:
    """Two runs that start at different times begin at the same place."""
    feed = Feed(store)
    feed.operate(create_run(start_time=START), create_run(OTHER_RUN, start_time=START + 86_400_000))
    logged(store, (0, START + 5, 1.0), (1, START + 10, 2.0))
    logged(store, (0, START + 86_400_005, 3.0), run_id=OTHER_RUN)
    made = chart(store, query(run_ids=(RUN, OTHER_RUN), x="relative"))
    assert made.x.tolist() == [5.0, 10.0]
    assert made.lines[1].columns["mean"][0] == 3.0


def test_groups_are_of_runs_that_agree(store: Store) -> None:
    """Runs with the same params make one line, ordered as numbers; those without come last."""
    runs = [f"{number:032x}" for number in range(1, 7)]
    feed = Feed(store)
    feed.operate(*map(create_run, runs))
    for run_id, rate in zip(runs, ["10", "9", "10", "9", "auto", None], strict=True):
        if rate is not None:
            feed.operate(LogParams(run_id, {"rate": rate}))
        logged(store, (0, 0, float(int(run_id, 16))), run_id=run_id)
    made = chart(store, query(run_ids=tuple(runs), group_by=("params.rate",)))
    groups = [line for line in made.lines if isinstance(line, GroupLine)]
    assert [line.group["params.rate"] for line in groups] == ["9", "10", "auto", None]
    assert groups[0].run_ids == (runs[1], runs[3])
    assert [line.columns["center"].tolist() for line in groups] == [[3.0], [2.0], [5.0], [6.0]]
    assert [line.columns["n"].tolist() for line in groups] == [[2], [2], [1], [1]]
    everything = chart(store, query(run_ids=tuple(runs), group_by=()))
    assert everything.lines[0].columns["n"].tolist() == [6]


def test_a_run_counts_once_in_its_group(store: Store) -> None:
    """A metric that a run measured on two datasets is one run's; its value is their mean."""
    for name, value in (("train", 1.0), ("test", 5.0)):
        Feed(store, name).log(SeriesKey(RUN, "loss", dataset_name=name), (0, 0, value))
    [line] = chart(store, query(group_by=("key",))).lines
    assert isinstance(line, GroupLine)
    assert (line.group, line.run_ids) == ({"key": "loss"}, (RUN,))
    assert line.columns["n"].tolist() == [1]
    assert line.columns["count"].tolist() == [2]
    assert line.columns["center"].tolist() == [3.0]
    assert (line.columns["min"].tolist(), line.columns["max"].tolist()) == ([1.0], [5.0])


class Counting(MemoryStore):
    """A store that counts how often points or stretches are asked of it."""

    surveys = 0

    def survey(self, *arguments: Any) -> Iterator[npt.NDArray[np.void] | Columns]:
        """Count, and do as any store."""
        self.surveys += 1
        return super().survey(*arguments)


@pytest.mark.parametrize("few", [True, False])
def test_what_has_not_changed_is_not_read(few: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """When one of many runs goes on, the others are not read again, be there points or buckets."""
    if not few:
        monkeypatch.setattr(charts, "FEW_POINTS", 0)
    store, following = Counting(), Charts()
    runs = [f"{number:032x}" for number in range(9)]
    for run_id in runs:
        logged(store, *((step, 0, 1.0) for step in range(100)), run_id=run_id)
    asked = query(run_ids=tuple(runs), x_min=0)
    known = following.changes(store, asked, None)
    store.surveys = 0
    assert following.changes(store, asked, known.cursor).start == known.size == 100
    assert store.surveys == 0
    logged(store, (99, 1, 7.0), run_id=runs[0])
    changes = following.changes(store, asked, known.cursor)
    assert (changes.start, changes.size) == (99, 100)
    assert changes.chart.lines[0].columns["max"].tolist() == [7.0]
    assert store.surveys <= 2


def test_what_has_changed(store: Store) -> None:
    """Who follows a chart is told only what is new, and nothing where nothing is."""
    following = Charts()
    asked = query(buckets=100)

    def apply(before: Chart, cursor: str) -> tuple[Chart, str, int]:
        changes = following.changes(store, asked, cursor)
        kept = changes.start
        x = np.concatenate([before.x[:kept], changes.chart.x])
        assert x.size == changes.size
        return changes.chart._replace(x=x), changes.cursor, kept

    for start in range(0, 30_000, 1_000):
        steps = range(start, start + 1_000)
        logged(store, *((step, step, math.sin(step / 99)) for step in steps))
        if start == 0:
            first = following.changes(store, asked, None)
            assert first.start == 0
            known, cursor = first.chart, first.cursor
            continue
        if start % 7_000 == 0:
            store.seal(RUN)
        known, cursor, kept = apply(known, cursor)
        whole = chart(store, asked)
        assert np.array_equal(known.x, whole.x)
        for name, column in whole.lines[0].columns.items():
            fresh = known.lines[0].columns[name]
            assert np.array_equal(fresh, column[kept:], equal_nan=True), name
        same = following.changes(store, asked, cursor)
        assert (same.start, same.size, same.cursor) == (whole.x.size, whole.x.size, cursor)
    assert kept > 40, "of the last pieces only the end had changed"


def test_late_points_change_what_is_before(store: Store) -> None:
    """A point that comes late is seen, wherever it belongs, also by who follows the chart."""
    following = Charts()
    asked = query(buckets=100)
    logged(store, *((step, step, 0.0) for step in range(20_000)))
    store.seal(RUN)
    before = following.changes(store, asked, None)
    logged(store, (10_000, 5, 99.0))
    changes = following.changes(store, asked, before.cursor)
    width = changes.chart.width
    assert changes.start == 10_000 // width
    assert changes.chart.lines[0].columns["max"][0] == 99.0
    assert following.changes(store, asked, "0" * 16).start == 0, "an unknown cursor"
    other = following.changes(store, asked._replace(buckets=50), changes.cursor)
    assert other.start == 0, "a cursor of another query"


def test_runs_that_are_not_there_have_no_lines(store: Store) -> None:
    """Unknown runs and keys give no lines, and a window without points a chart without x."""
    logged(store, (0, 0, 1.0))
    assert chart(store, query(run_ids=("9" * 32,))).lines == ()
    assert chart(store, query(keys=("l*", "loss2"))).lines == ()
    empty = chart(store, query(x_min=5))
    assert empty.x.size == 0
    [line] = empty.lines
    assert isinstance(line, SeriesLine)
    assert line.columns["count"].size == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": "epoch"}, "x must be one of step, time, relative, metric, got 'epoch'."),
        ({"x": "metric"}, "x_key must name a metric where x is 'metric'."),
        ({"buckets": 0}, "buckets must lie between 1 and 10000, got 0."),
        ({"x_min": NAN}, "x_min must be a finite number, got nan."),
        ({"x_max": INF}, "x_max must be a finite number, got inf."),
        ({"x_min": 2.0, "x_max": 1.0}, "x_min must not be above x_max, got 2.0 and 1.0."),
        ({"band": "z"}, "band must be one of minmax, std, sem, ci95, got 'z'."),
        ({"group_by": ("key",) * 17}, "group_by can name at most 16 fields, got 17."),
        ({"group_by": ("rate",)}, "Cannot group by 'rate': give params.NAME"),
        ({"group_by": ("attributes.colour",)}, "Cannot group by 'attributes.colour'"),
    ],
)
def test_queries_that_make_no_sense(change: dict[str, object], message: str) -> None:
    """A query that makes no sense is refused with what is wrong with it."""
    with pytest.raises(MlflowException) as error:
        chart(MemoryStore(), query(**change))
    assert error.value.message.startswith(message)
    assert error.value.error_code == "INVALID_PARAMETER_VALUE"


def test_a_chart_that_is_too_large() -> None:
    """Lines times buckets are bounded, and who asks for more is told before a point is read."""
    store = MemoryStore()
    keys = tuple(f"loss{number}" for number in range(401))
    for key in keys:
        logged(store, (1, 1, 1.0), key=key)
    assert len(chart(store, query(keys=keys)).lines) == 401
    with pytest.raises(MlflowException, match="401 lines of up to 10,000 buckets are too much"):
        chart(store, query(keys=keys, buckets=10_000))


def test_what_is_remembered_of_queries_is_bounded() -> None:
    """Queries of long names that nothing has, are forgotten, too."""
    made, store = Charts(), MemoryStore()
    first = made.changes(store, query(keys=("k" * 1_000_000,)), None).cursor
    for _ in range(charts.REMEMBERED_BYTES // 1_000_000):
        made.changes(store, query(keys=("k" * 1_000_000,)), None)
    assert made.changes(store, query(keys=("k" * 1_000_000,)), first).cursor != first
