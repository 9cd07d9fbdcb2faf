"""`read`: the right points, in order, at most so many, and every extreme among them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

import steplog
from steplog import MlflowException, reading


@pytest.fixture
def run() -> steplog.ActiveRun:
    """An active run in a store of its own."""
    return steplog.start_run()


def test_columns(run: steplog.ActiveRun) -> None:
    """Each series comes as three columns in series order, each point once."""
    for step, timestamp, value in [(2, 9, 1.0), (1, 9, 2.0), (1, 8, math.nan), (1, 9, 2.0)]:
        steplog.log_metric("m", value, step, timestamp=timestamp)
    [series] = steplog.read(run)
    assert series.key.key == "m"
    assert series.step.tolist() == [1, 1, 2]
    assert series.timestamp.tolist() == [8, 9, 9]
    assert series.value.tolist()[1:] == [2.0, 1.0]
    assert [column.dtype for column in series[1:]] == [np.int64, np.int64, np.float64]


def test_runs_and_keys(run: steplog.ActiveRun) -> None:
    """Runs are named by id or given, keys by name or pattern; unknown ones have no series."""
    steplog.log_metrics({"train/loss": 1, "train/acc": 2, "valid/loss": 3})
    steplog.end_run()
    with steplog.start_run() as other:
        steplog.log_metric("train/loss", 4)

    def found(*args: object) -> list[tuple[bool, str]]:
        keys = [series.key for series in steplog.read(*args)]  # type: ignore[call-overload]
        return [(key.run_id == run.info.run_id, key.key) for key in keys]

    assert found(run.info.run_id, "train/*") == [(True, "train/acc"), (True, "train/loss")]
    assert found([other, run], ["*/loss"]) == [
        (False, "train/loss"),
        (True, "train/loss"),
        (True, "valid/loss"),
    ]
    assert found([run, "f" * 32], "valid/loss") == [(True, "valid/loss")]
    assert found(run, "nothing") == []


def test_windows(run: steplog.ActiveRun) -> None:
    """A window of steps or times holds both its ends; None leaves a side open."""
    for step in range(10):
        steplog.log_metric("m", step, step, timestamp=100 + step)

    def steps(**window: object) -> list[int]:
        [series] = steplog.read(run, **window)  # type: ignore[call-overload]
        return list(series.step)

    assert steps(steps=(3, 5)) == [3, 4, 5]
    assert steps(steps=(None, 1)) == [0, 1]
    assert steps(steps=(8, None)) == [8, 9]
    assert steps(times=(104, 105)) == [4, 5]
    assert steps(steps=(0, 4), times=(103, None)) == [3, 4]
    assert steps(steps=(20, None)) == []


def test_bad_arguments(run: steplog.ActiveRun) -> None:
    """A number of points that is not positive is refused, and a step that is no integer."""
    with pytest.raises(MlflowException, match="max_points must be 1 or more"):
        steplog.read(run, max_points=0)
    with pytest.raises(TypeError):
        steplog.read(run, steps=(0.5, None))  # type: ignore[arg-type]


def log_values(run: steplog.ActiveRun, value: npt.NDArray[np.float64]) -> None:
    """Log a series whose steps are the indices of its values."""
    loss = run.metric("loss")
    for step, each in enumerate(value.tolist()):
        loss.log(each, step)


@pytest.fixture(params=["all read", "by summaries", "piece by piece"])
def thinning(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The three ways of `read` to thin a series, and how many points to ask for in each."""
    if request.param != "all read":
        monkeypatch.setattr(reading, "READ_AT_MOST", 1_000)
    return 400 if request.param == "piece by piece" else 12


def test_thinned(run: steplog.ActiveRun, thinning: int) -> None:
    """A thinned series keeps its first, last, smallest and largest point, NaN, and the limit."""
    value = np.sin(np.arange(40_000) / 500)
    value[17_171], value[23_456], value[31_000] = 9.0, -9.0, math.nan
    log_values(run, value)
    steplog.end_run()
    [series] = steplog.read(run, max_points=thinning)
    kept = series.step.tolist()
    assert len(kept) <= thinning
    assert {0, 17_171, 23_456, 39_999} <= set(kept)
    assert np.isnan(series.value).any()
    assert np.array_equal(series.value, value[kept], equal_nan=True)
    assert kept == sorted(set(kept))


def test_a_thinned_window(run: steplog.ActiveRun, thinning: int) -> None:
    """A thinned window holds its own extremes and nothing from outside of it."""
    value = np.zeros(40_000)
    value[[999, 1_000, 20_000, 30_000, 30_001]] = [5.0, 1.0, 2.0, -1.0, -5.0]
    log_values(run, value)
    steplog.end_run()
    [series] = steplog.read(run, steps=(1_000, 30_000), max_points=thinning)
    assert {1_000, 20_000, 30_000} <= set(series.step.tolist())
    assert (series.value.min(), series.value.max()) == (-1.0, 2.0)


floats = st.floats(width=64, allow_nan=True, allow_infinity=True)
points = st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 3), floats), min_size=1, max_size=40)


def rows(series: steplog.SeriesPoints) -> list[tuple[int, int, int]]:
    """Return step, timestamp and the bits of the value of each point."""
    return list(
        zip(
            series.step.tolist(),
            series.timestamp.tolist(),
            series.value.view(np.int64).tolist(),
            strict=True,
        )
    )


@given(points, st.integers(1, 50))
@examples(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_thinning_any_series(points: list[tuple[int, int, float]], max_points: int) -> None:
    """Whatever was logged, `max_points` chooses some of its points and keeps their order."""
    with steplog.start_run() as run:
        for step, timestamp, value in points:
            run.client.log_metric(run.info.run_id, "m", value, timestamp, step)
    [whole], [thinned] = steplog.read(run), steplog.read(run, max_points=max_points)
    kept = rows(thinned)
    assert len(kept) <= max_points
    assert kept == [row for row in rows(whole) if row in set(kept)]
    if len(rows(whole)) <= max_points:
        assert kept == rows(whole)


def test_as_pandas(run: steplog.ActiveRun) -> None:
    """As a table there is a row for each point; where there is no model, none is named."""
    steplog.log_metric("m", 0.5, 1, timestamp=7)
    steplog.log_metric("m", 0.25, 2, timestamp=8, model_id="m-1")
    run_id = run.info.run_id
    frame = steplog.read(run, as_pandas=True)
    assert list(frame.columns) == [
        *("run_id", "key", "model_id", "dataset_name", "dataset_digest"),
        *("rank", "step", "timestamp", "value"),
    ]
    assert frame["run_id"].tolist() == [run_id, run_id]
    assert frame["model_id"].isna().tolist() == [True, False]
    assert frame[["step", "timestamp", "value"]].values.tolist() == [[1, 7, 0.5], [2, 8, 0.25]]
    assert steplog.read(run, "nothing", as_pandas=True).empty
