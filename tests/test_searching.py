"""The fluent searches: pages become one result, results become pandas frames.

What filters and orders mean is compared with MLflow in `tests/compatibility`.
"""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import steplog
from steplog import MlflowException, SteplogWarning, searching
from steplog.entities import Metric, Param, Run, RunData, RunInfo, RunTag, ViewType

INFO = ["run_id", "experiment_id", "status", "artifact_uri", "start_time", "end_time"]


def run_named(name: str, **logged: dict[str, Any]) -> str:
    """Log a finished run and return its id."""
    with steplog.start_run(run_name=name) as run:
        steplog.log_metrics(logged.get("metrics", {}))
        steplog.log_params(logged.get("params", {}))
        steplog.set_tags(logged.get("tags", {}))
    return run.info.run_id


def test_a_frame_has_a_row_for_each_run_and_a_column_for_each_key() -> None:
    """Rows stand in the order searched for; what a run lacks is NaN, None or NaT."""
    first = run_named("first", metrics={"loss": 0.5, "lost": math.nan}, params={"lr": 0.1})
    second = run_named("second", metrics={"loss": 0.25, "acc": math.inf}, tags={"who": "me"})
    running = steplog.start_run(run_name="third").info.run_id
    frame = steplog.search_runs(order_by=["metrics.loss DESC", "start_time"])
    assert list(frame["run_id"]) == [first, second, running]
    assert list(frame.columns[:6]) == INFO
    assert [name for name in frame.columns[6:] if not name.startswith("tags.mlflow.")] == [
        "metrics.loss",
        "metrics.lost",
        "metrics.acc",
        "params.lr",
        "tags.who",
    ]
    assert list(frame["status"]) == ["FINISHED", "FINISHED", "RUNNING"]
    assert list(frame["tags.mlflow.runName"]) == ["first", "second", "third"]
    assert [repr(value) for value in frame["metrics.loss"].tolist()] == ["0.5", "0.25", "nan"]
    assert [repr(value) for value in frame["metrics.acc"].tolist()] == ["nan", "inf", "nan"]
    assert frame["params.lr"][0] == "0.1" and frame["params.lr"].isna().tolist()[1:] == [True] * 2
    assert frame["end_time"].isna().tolist() == [False, False, True]
    started = steplog.get_run(first).info.start_time
    assert frame["start_time"][0] == pd.Timestamp(started, unit="ms", tz="UTC")


@pytest.mark.parametrize("found", [True, False])
def test_the_types_of_a_frame_do_not_depend_on_what_is_found(found: bool) -> None:
    """Times are times in UTC and metrics are floats, whether runs have ended or there are none."""
    if found:
        steplog.start_run()
        steplog.log_metric("count", 1)
    frame = steplog.search_runs()
    assert len(frame) == found
    assert list(frame.columns[:6]) == INFO
    for name in ("start_time", "end_time"):
        assert str(frame[name].dtype) == "datetime64[ms, UTC]"
    if found:
        assert str(frame["metrics.count"].dtype) == "float64"
    models = steplog.search_logged_models()
    assert (len(models), "model_id" in models.columns) == (0, True)


texts = st.text("ab", max_size=2)
runs = st.lists(
    st.builds(
        lambda times, metrics, params, tags: Run(
            RunInfo("r", "0", "u", "FINISHED", times[0], times[1], "active"),
            RunData(
                [Metric(key, value, 0, 0) for key, value in metrics.items()],
                [Param(*param) for param in params.items()],
                [RunTag(*tag) for tag in tags.items()],
            ),
        ),
        st.tuples(st.integers(-(2**63) + 1, 2**63 - 1), st.none() | st.integers(0, 2**53)),
        st.dictionaries(texts, st.floats()),
        st.dictionaries(texts, texts),
        st.dictionaries(texts, texts),
    ),
    max_size=4,
)


@given(runs=runs)
def test_a_frame_holds_exactly_what_the_runs_hold(runs: list[Run]) -> None:
    """Every value of every run stands in its row and column, and nothing else does."""
    frame = searching._frame_of_runs(runs)
    assert len(frame) == len(runs)
    for prefix in ("metrics", "params", "tags"):
        rows = [getattr(run.data, prefix) for run in runs]
        names = [f"{prefix}.{key}" for key in {key: None for row in rows for key in row}]
        assert [name for name in frame.columns if name.startswith(f"{prefix}.")] == names
        for name in names:
            key = name.partition(".")[2]
            for value, row in zip(frame[name].tolist(), rows, strict=True):
                assert repr(value) == repr(row[key]) if key in row else pd.isna(value)
    for name in ("start_time", "end_time"):
        times = [getattr(run.info, name) for run in runs]
        found = frame[name].dt.tz_localize(None).astype("int64").tolist()
        assert [each for each, time in zip(found, times, strict=True) if time is not None] == [
            time for time in times if time is not None
        ]
        assert frame[name].isna().tolist() == [time is None for time in times]


def test_where_to_look() -> None:
    """Without ids and names runs of the experiment in force are found, or of all active ones."""
    default = run_named("default")
    other = steplog.create_experiment("other")
    deleted = steplog.create_experiment("deleted")
    steplog.set_experiment("forced")
    forced = run_named("forced")
    for experiment_id in (other, deleted):
        steplog.Client().create_run(experiment_id, run_name=experiment_id)
    steplog.delete_experiment(deleted)

    def found(**where: Any) -> list[str | None]:
        names = [run.info.run_name for run in steplog.search_runs(output_format="list", **where)]
        return sorted(names, key=str)

    assert [run.info.run_id for run in steplog.search_runs(output_format="list")] == [forced]
    assert found(experiment_ids=[]) == found(experiment_names=[]) == ["forced"]
    assert found(experiment_ids=["0", other]) == sorted(["default", other])
    assert found(search_all_experiments=True) == sorted(["default", "forced", other])
    assert found(search_all_experiments=True, experiment_ids=["0"]) == ["default"]
    with pytest.warns(SteplogWarning, match="no experiment named 'nowhere'"):
        assert found(experiment_names=["Default", "nowhere"]) == ["default"]
    with pytest.warns(SteplogWarning, match="nowhere"):
        assert found(experiment_names=["nowhere"]) == []
    with pytest.raises(MlflowException, match="but not both"):
        found(experiment_ids=["0"], experiment_names=["other"])
    steplog.delete_run(default)
    assert found(experiment_ids=["0"]) == []
    assert found(experiment_ids=["0"], run_view_type=ViewType.DELETED_ONLY) == ["default"]


def test_pages_become_one_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is found once and in order, however many pages that takes, or as much as asked."""
    monkeypatch.setattr(searching, "PAGE", 3)
    for number in range(8):
        with steplog.start_run(run_name=f"run-{number}"):
            steplog.log_metric("number", number)
        steplog.create_external_model(f"model-{number}")
        steplog.create_experiment(f"experiment-{number}")
    for limit in (0, 1, 3, 4, 8, 9, None):
        expected = list(range(8))[:limit]
        runs = steplog.search_runs(
            order_by=["metrics.number"],
            max_results=limit,
            output_format="list",
        )
        assert [run.data.metrics["number"] for run in runs] == expected
        models = steplog.search_logged_models(
            order_by=[{"field_name": "name"}], max_results=limit, output_format="list"
        )
        assert [model.name for model in models] == [f"model-{number}" for number in expected]
        experiments = steplog.search_experiments(
            filter_string="name LIKE 'experiment-%'", order_by=["name"], max_results=limit
        )
        assert [each.name for each in experiments] == [
            f"experiment-{number}" for number in expected
        ]
    assert steplog.search_experiments(max_results=-1) == []


def test_models_are_found_by_what_was_measured() -> None:
    """A search of models gives each with its metrics and a status that is a word."""
    good, bad = (steplog.create_external_model(name).model_id for name in ("good", "bad"))
    with steplog.start_run() as run:
        steplog.log_metric("acc", 0.9, 1, timestamp=7, model_id=good)
        steplog.log_metric("acc", 0.1, 1, timestamp=7, model_id=bad)
    frame = steplog.search_logged_models(filter_string="metrics.acc > 0.5")
    assert frame[["model_id", "name", "status"]].values.tolist() == [[good, "good", "READY"]]
    [[metric]] = frame["metrics"]
    assert (metric["key"], metric["value"], metric["run_id"]) == ("acc", 0.9, run.info.run_id)


def test_output_formats_that_do_not_exist() -> None:
    """Another output format is an error of the kind that MLflow raises."""
    with pytest.raises(ValueError, match="Unsupported output format: html"):
        steplog.search_runs(output_format="html")  # type: ignore[call-overload]
    with pytest.raises(MlflowException, match="Unsupported output format: 'html'"):
        steplog.search_logged_models(output_format="html")  # type: ignore[call-overload]


def test_a_list_needs_no_pandas(tmp_path: Path) -> None:
    """A search for a list loads no pandas; without pandas a frame is an ImportError."""
    script = """
import sys, steplog
assert steplog.search_runs(output_format="list") == []
assert "pandas" not in sys.modules
sys.modules["pandas"] = None
try:
    steplog.search_runs()
except ImportError:
    print("no pandas")
"""
    printed = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True)
    assert printed.stdout == b"no pandas\n"
