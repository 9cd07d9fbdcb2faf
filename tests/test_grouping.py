"""Statistics over runs: the numbers that scipy and a calculation by hand give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]

from steplog.buckets import Buckets, empty_buckets, fold_points
from steplog.grouping import Band, bridged, group_columns, t_factor


def line(*values: float | None) -> Buckets:
    """Return the buckets of a line that has one point in each bucket, or (None) none."""
    buckets = empty_buckets(len(values))
    for index, value in enumerate(values):
        if value is not None:
            _, buckets[index : index + 1] = fold_points(np.zeros(1, np.int64), np.array([value]))
    return buckets


def close(values: list[float]) -> object:
    return pytest.approx(values, rel=1e-9, abs=1e-6)


def group(*lines: Buckets, band: Band = "minmax", median: bool = False) -> dict[str, list[float]]:
    x = np.arange(lines[0].size, dtype=np.float64)
    columns = group_columns(lines, x, "median" if median else "mean", band)
    return {name: column.tolist() for name, column in columns.items()}


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 6, 9, 10, 30, 31, 99, 1000, 9999])
def test_the_factor_is_students(degrees: int) -> None:
    """The factor of a 95 % interval is the 0.975 quantile of Student's t distribution."""
    assert t_factor(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-9)


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=8))
def test_bands_are_those_of_scipy(values: list[float]) -> None:
    """Center and bands are mean, median, deviation, error and t interval of the runs' values."""
    lines = [line(value) for value in values]
    mean, std = float(np.mean(values)), float(np.std(values, ddof=1))
    assert group(*lines)["center"] == close([mean])
    assert group(*lines, median=True)["center"] == close([float(np.median(values))])
    assert group(*lines, band="std")["high"] == close([mean + std])
    error = stats.sem(values)
    assert group(*lines, band="sem")["low"] == close([mean - error])
    reach = error * stats.t.ppf(0.975, len(values) - 1)
    assert group(*lines, band="ci95")["high"] == close([mean + reach])


def test_unequal_lengths_and_steps() -> None:
    """A run counts between its points, by the straight line, and not before or after them."""
    columns = group(line(1.0, None, 3.0, None, None), line(None, 10.0, 20.0, 30.0, None))
    assert columns["n"] == [1, 2, 2, 1, 0]
    assert columns["center"][:4] == [1.0, 6.0, 11.5, 30.0]
    assert np.isnan(columns["center"][4])
    assert columns["count"] == [1, 1, 2, 1, 0]


def test_what_is_not_finite_is_not_bridged() -> None:
    """A line is not drawn across NaN or infinities, which are counted where they are."""
    nan = float("nan")
    columns = group(line(1.0, None, nan, None, 5.0), line(2.0, 2.0, 2.0, float("inf"), 2.0))
    assert columns["n"] == [2, 1, 1, 0, 2]
    assert columns["nan"] == [0, 0, 1, 0, 0]
    assert columns["pos_inf"] == [0, 0, 0, 1, 0]


def test_a_single_run_is_no_statistic() -> None:
    """Of one run there is no deviation, so there is no band; but there is its smallest value."""
    for band in ("std", "sem", "ci95"):
        assert np.isnan(group(line(1.0, 2.0), band=band)["low"]).all()
    assert group(line(1.0, 2.0))["low"] == [1.0, 2.0]


def test_large_values_do_not_overflow() -> None:
    """The mean and the deviation of the largest floats are finite."""
    columns = group(line(1e308), line(1.5e308), line(1.7e308), band="std")
    assert columns["center"] == pytest.approx([1.4e308])
    assert np.isfinite(columns["high"]).all() or columns["high"] == [np.inf]
    assert np.isfinite(columns["low"]).all()


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(-9, 9), st.just(float("nan"))), min_size=1))
def test_bridges_keep_what_is_there(values: list[float | None]) -> None:
    """Bridging changes no bucket that has a value, and stays between its neighbours."""
    buckets = line(*values)
    filled = bridged(buckets["mean"], buckets["count"], np.arange(len(values), dtype=np.float64))
    known = ~np.isnan(buckets["mean"])
    assert np.array_equal(filled[known], buckets["mean"][known])
    assert not (filled[~known] > np.nanmax([-10.0, *buckets["mean"]])).any()
    assert np.isnan(filled[(buckets["count"] > 0) & ~known]).all()
