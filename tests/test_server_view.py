"""What the page asks the server: the table of runs, details, keys, charts and points."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from served import Reply, Served, succeeded
from serving import serving

from steplog import Client, charts, entities
from steplog.charts import ChartQuery, chart
from steplog.entities import Metric, Param
from steplog.server.endpoint import Caller

OURS = "/api/steplog/1"
TIMES = itertools.count(1_700_000_000_000)


@pytest.fixture
def served(tmp_path: Path) -> Served:
    """The endpoints of an empty store."""
    return Served(tmp_path / "store")


def ask(served: Served, path: str, body: object, caller: Caller | None = None) -> Any:
    reply = call(served, path, body, caller)
    return succeeded(reply)


def call(served: Served, path: str, body: object, caller: Caller | None = None) -> Reply:
    return served.call("POST", OURS + path, body, caller or Caller("", "admin"))


def log(served: Served, name: str, losses: list[float], **params: str) -> str:
    """Log a run with some losses, and return its id."""
    run = served.client.create_run("0", next(TIMES), run_name=name)
    metrics = [Metric("loss", value, 1000 + step, step) for step, value in enumerate(losses)]
    served.client.log_batch(
        run.info.run_id, metrics, [Param(key, value) for key, value in params.items()]
    )
    return str(run.info.run_id)


def draw(served: Served, *queries: Mapping[str, object]) -> list[dict[str, Any]]:
    """Ask for charts, and read the answer as `docs/charts.md` says."""
    answer = served.answer("POST", f"{OURS}/charts", {"charts": queries})
    assert answer.status == 200, answer
    assert answer.content_type == "application/octet-stream"
    data = answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)
    [length] = struct.unpack_from("<I", data)
    assert (4 + length) % 8 == 0
    columns = np.frombuffer(data, "<f8", offset=4 + length)

    def column(at: list[int]) -> npt.NDArray[np.float64]:
        return columns[at[0] : at[0] + at[1]]

    charts: list[dict[str, Any]] = json.loads(data[4 : 4 + length])["charts"]
    for each in charts:
        each["x"] = column(each["x"])
        for line in each["lines"]:
            line["columns"] = {name: column(at) for name, at in line["columns"].items()}
    return charts


# The table of runs --------------------------------------------------------------------------------


def test_the_table_shows_columns_of_runs(served: Served) -> None:
    """A row has those parts of metrics, params and tags that were asked for and that it has."""
    run_id = log(served, "first", [3.0, 1.0, 2.0], lr="0.1")
    served.client.set_tag(run_id, "team", "speech")
    log(served, "bare", [])
    columns = [
        "metrics.loss", "metrics.loss.min", "metrics.loss.max", "metrics.loss.mean",
        "metrics.loss.first", "metrics.loss.count", "metrics.loss.nan_count", "metrics.loss.best",
        "params.lr", "tags.team", "params.none", "metrics.none", "nonsense",
    ]  # fmt: skip
    table = ask(served, "/runs/table", {"columns": columns})
    assert table["total"] == 2
    bare, first = table["rows"]
    assert (bare["run_name"], bare["values"]) == ("bare", {})
    assert first["values"] == {
        "metrics.loss": 2.0,
        "metrics.loss.min": 1.0,
        "metrics.loss.max": 3.0,
        "metrics.loss.mean": 2.0,
        "metrics.loss.first": 3.0,
        "metrics.loss.count": 3,
        "metrics.loss.nan_count": 0,
        "metrics.loss.best": 1.0,
        "params.lr": "0.1",
        "tags.team": "speech",
    }
    assert first["status"] == "RUNNING"
    assert table["keys"]["metrics"] == ["loss"]
    assert table["keys"]["params"] == ["lr"]


def test_odd_values_have_names(served: Served) -> None:
    """NaN and infinities are told by name; what has no number has no smallest one."""
    log(served, "odd", [math.nan, math.inf])
    log(served, "nan", [math.nan])
    columns = ["metrics.loss", "metrics.loss.min", "metrics.loss.first", "metrics.loss.best"]
    nan, odd = ask(served, "/runs/table", {"columns": columns})["rows"]
    assert odd["values"]["metrics.loss"] == "Infinity"
    assert odd["values"]["metrics.loss.first"] == "NaN"
    assert nan["values"] == {"metrics.loss": "NaN", "metrics.loss.first": "NaN"}


def test_a_metric_may_be_called_like_a_part_of_another(served: Served) -> None:
    """Where a metric has the very name of a column, it is meant."""
    run = served.client.create_run("0")
    served.client.log_metric(run.info.run_id, "loss", 1.0)
    served.client.log_metric(run.info.run_id, "loss.min", 7.0)
    served.client.log_metric(run.info.run_id, "loss.last", 8.0)
    columns = ["metrics.loss.min", "metrics.loss.last", "metrics.loss.max"]
    [row] = ask(served, "/runs/table", {"columns": columns})["rows"]
    assert row["values"] == dict(zip(columns, (7.0, 8.0, 1.0), strict=True))


def test_rows_are_filtered_sorted_and_cut(served: Served) -> None:
    """The filter is MLflow's, the order too, and rows come from `offset` on."""
    for number in range(20):
        log(served, f"run {number}", [float(number)], parity=str(number % 2))
    asked = {
        "filter": "params.parity = '1' AND metrics.loss < 15",
        "order_by": ["metrics.loss DESC"],
        "columns": ["metrics.loss"],
        "offset": 2,
        "limit": 3,
    }
    table = ask(served, "/runs/table", asked)
    assert table["total"] == 7
    assert [row["values"]["metrics.loss"] for row in table["rows"]] == [9.0, 7.0, 5.0]
    assert "keys" not in table


def test_columns_to_choose_from(served: Served) -> None:
    """They come with the first rows, and also from runs that are further down."""
    log(served, "old", [1.0], depth="3")
    log(served, "new", [], lr="0.1")
    first = ask(served, "/runs/table", {"limit": 1})
    assert [row["run_name"] for row in first["rows"]] == ["new"]
    assert (first["keys"]["metrics"], first["keys"]["params"]) == (["loss"], ["depth", "lr"])
    assert "keys" not in ask(served, "/runs/table", {"limit": 1, "offset": 1})


def test_a_snapshot_keeps_rows_in_their_place(served: Served) -> None:
    """Whoever scrolls through a list sees no row twice although runs are added meanwhile."""
    ids = [log(served, str(number), []) for number in range(6)]
    first = ask(served, "/runs/table", {"limit": 3})
    log(served, "new", [])
    page = {"limit": 3, "offset": 3, "snapshot": first["snapshot"]}
    second = ask(served, "/runs/table", page)
    shown = [row["run_id"] for row in first["rows"] + second["rows"]]
    assert shown == ids[::-1]
    assert (second["total"], second["snapshot"]) == (6, first["snapshot"])
    unknown = ask(served, "/runs/table", {**page, "snapshot": "gone"})
    assert unknown["total"] == 7
    assert unknown["snapshot"] != "gone"
    other = ask(served, "/runs/table", {**page, "filter": "attributes.run_name = 'new'"})
    assert other["total"] == 1, "a snapshot of another query"


def test_children_are_listed_by_their_parent(served: Served) -> None:
    """Runs without a parent come with how many children they have, and children by its id."""
    parent = log(served, "parent", [])
    child = log(served, "child", [])
    served.client.set_tag(child, "mlflow.parentRunId", parent)
    served.client.set_tag(child, "mlflow.note.content", "a note")
    [row] = ask(served, "/runs/table", {"parent": ""})["rows"]
    assert (row["run_id"], row["children"]) == (parent, 1)
    [row] = ask(served, "/runs/table", {"parent": parent})["rows"]
    assert (row["run_id"], row["parent"], row["note"]) == (child, parent, "a note")
    assert ask(served, "/runs/table", {"parent": child})["rows"] == []


def test_deleted_runs_are_a_list_of_their_own(served: Served) -> None:
    """A deleted run is in that list and not in the other, until it is restored."""
    run_id = log(served, "gone", [])
    served.client.delete_run(run_id)
    assert ask(served, "/runs/table", {})["total"] == 0
    [row] = ask(served, "/runs/table", {"stage": "deleted"})["rows"]
    assert row["stage"] == "deleted"
    served.client.restore_run(run_id)
    assert ask(served, "/runs/table", {})["total"] == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"filter": "metrics.loss <"}, "Invalid clause"),
        ({"filter": "loss < 1"}, "Invalid"),
        ({"order_by": ["nonsense.x"]}, "Invalid"),
        ({"stage": "lost"}, "stage must be one of active, deleted, got 'lost'."),
        ({"limit": 0}, "offset must not be negative, and limit lie between 1 and 1000."),
        ({"offset": -1}, "offset must not be negative"),
        ({"columns": "loss"}, "Invalid value"),
    ],
)
def test_what_the_table_cannot_show(served: Served, body: object, message: str) -> None:
    """A mistake is told as MLflow tells it, and is the caller's."""
    reply = call(served, "/runs/table", body)
    assert reply.status == 400
    assert message in reply.error


# Details and keys ---------------------------------------------------------------------------------


def test_details_tell_everything_about_runs(served: Served) -> None:
    """Params, tags, datasets, models and summaries of runs, in the order asked for."""
    client = served.client
    run_id = log(served, "run", [2.0, math.nan, 1.0], lr="0.1")
    model = client.create_logged_model("0", "tree", run_id)
    dataset = entities.Dataset("digits", "d1", "local", "digits.csv")
    tag = entities.InputTag("mlflow.data.context", "train")
    client.log_inputs(run_id, [entities.DatasetInput(dataset, [tag])])
    client.log_outputs(run_id, [entities.LoggedModelOutput(model.model_id, 3)])
    other = log(served, "other", [])
    asked = {"run_ids": [other, run_id, "0" * 32, other]}
    [second, first] = ask(served, "/runs/details", asked)["runs"]
    assert (second["run_name"], first["run_name"]) == ("other", "run")
    assert first["params"] == {"lr": "0.1"}
    [series] = first["series"]
    assert (series["key"], series["count"], series["nan_count"]) == ("loss", 3, 1)
    assert (series["min"], series["min_step"], series["max"], series["last"]) == (1.0, 2, 2.0, 1.0)
    [used] = first["datasets"]
    assert (used["name"], used["context"]) == ("digits", "train")
    [made] = first["models"]
    assert (made["name"], made["role"], made["step"]) == ("tree", "output", 3)
    assert first["artifact_uri"].endswith(f"{run_id}/artifacts")


def test_keys_of_runs(served: Served) -> None:
    """The metrics of some runs, with how many runs and points there are of each."""
    ids = [log(served, "a", [1.0, 2.0]), log(served, "b", [1.0])]
    served.client.log_metric(ids[0], "acc", 1.0)
    assert ask(served, "/keys", {"run_ids": ids})["keys"] == [
        {"key": "acc", "runs": 1, "points": 1},
        {"key": "loss", "runs": 2, "points": 3},
    ]


def test_what_is_too_much(served: Served) -> None:
    """More runs, metrics or charts than a page could show are refused."""
    many = [f"{number:032x}" for number in range(1001)]
    assert call(served, "/keys", {"run_ids": many}).status == 400
    assert call(served, "/runs/table", {"columns": many}).status == 400
    assert call(served, "/runs/details", {"run_ids": many[:201]}).status == 400
    query: dict[str, object] = {"run_ids": many, "keys": ["loss"]}
    assert call(served, "/charts", {"charts": [query]}).status == 400
    query = {"run_ids": many[:1], "keys": ["loss"]}
    assert call(served, "/charts", {"charts": [query] * 65}).status == 400
    assert call(served, "/charts", {"charts": [{**query, "buckets": 10**6}]}).status == 400


def test_an_answer_that_is_too_large(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """What all charts of one request hold is bounded, and who asks for more is told."""
    monkeypatch.setattr(charts, "MOST_CELLS", 1_000)
    query = {"run_ids": [log(served, "run", [0.5] * 100)], "keys": ["loss"], "buckets": 100}
    assert len(draw(served, *[query] * 10)) == 10
    refused = call(served, "/charts", {"charts": [query] * 11})
    assert refused.status == 400 and "The 11 first of these charts" in refused.error


# Charts and points --------------------------------------------------------------------------------


def test_charts_travel_bit_for_bit(served: Served) -> None:
    """Each column of an answer is that of `steplog.charts`; what would say nothing is left out."""
    rng = np.random.default_rng(3)
    values = [*rng.normal(size=3000).tolist(), math.nan, math.inf, 5e-324, -0.0]
    run_id = log(served, "run", values)
    few = log(served, "few", [1.0, 2.0])
    wide, narrow = draw(
        served,
        {"run_ids": [run_id], "keys": ["loss"], "buckets": 50},
        {"run_ids": [few, run_id], "keys": ["loss", "none"], "x_max": 1},
    )
    made = chart(served.client.store, ChartQuery((run_id,), ("loss",), buckets=50))
    assert (wide["exact"], wide["width"], wide["from"], wide["size"]) == (False, 64.0, 0, 47)
    assert wide["x"].tobytes() == made.x.tobytes()
    [line] = wide["lines"]
    assert line["run_id"] == run_id
    for name, column in made.lines[0].columns.items():
        if name == "neg_inf":
            assert name not in line["columns"]
        else:
            assert line["columns"][name].tobytes() == column.tobytes()
    assert narrow["exact"]
    assert [each["run_id"] for each in narrow["lines"]] == [few, run_id]
    assert narrow["lines"][0]["columns"].keys() == {"count", "mean"}
    assert narrow["lines"][0]["columns"]["mean"].tolist() == [1.0, 2.0]


def test_changes_of_charts(served: Served) -> None:
    """With its cursor a chart comes as what has changed of it, which may be nothing."""
    run_id = log(served, "run", [float(step) for step in range(10)])
    query = {"run_ids": [run_id], "keys": ["loss"]}
    [first] = draw(served, query)
    [same] = draw(served, {**query, "since": first["cursor"]})
    assert (same["from"], same["size"], same["x"].size) == (10, 10, 0)
    served.client.log_metric(run_id, "loss", 99.0, step=10)
    [fresh] = draw(served, {**query, "since": same["cursor"]})
    assert (fresh["from"], fresh["size"], fresh["x"].tolist()) == (10, 11, [10.0])
    assert fresh["lines"][0]["columns"]["mean"].tolist() == [99.0]
    [whole] = draw(served, {**query, "since": "unknown"})
    assert (whole["from"], whole["size"]) == (0, 11)


def test_groups_of_runs_in_charts(served: Served) -> None:
    """A group names what its runs agree in, and has its own columns."""
    ids = [log(served, str(seed), [float(seed)], lr="0.1", seed=str(seed)) for seed in range(3)]
    query = {"run_ids": ids, "keys": ["loss"], "group_by": ["params.lr"], "band": "ci95"}
    [made] = draw(served, query)
    [line] = made["lines"]
    assert line["group"] == {"params.lr": "0.1"}
    assert sorted(line["run_ids"]) == sorted(ids)
    assert line["columns"]["center"].tolist() == [1.0]
    assert line["columns"]["n"].tolist() == [3.0]
    reach = line["columns"]["high"][0] - 1.0
    assert reach == pytest.approx(4.302653 / math.sqrt(3))


def test_points_as_csv(served: Served) -> None:
    """Every point comes, floats as they are, names quoted where they must be."""
    values = [0.1, math.nan, math.inf, -math.inf, -0.0, 5e-324, 1 / 3]
    run_id = log(served, 'na"me,\n=1', values)
    log(served, "other", [1.0])
    body: dict[str, object] = {"run_ids": [run_id], "keys": ["loss"]}
    answer = served.answer("POST", f"{OURS}/points", body)
    assert answer.content_type.startswith("text/csv")
    data = answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)
    rows = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    assert {row["run_name"] for row in rows} == {'na"me,\n=1'}
    read = [float(row["value"]) for row in rows]
    assert np.array(read).tobytes() == np.array(values).tobytes()
    assert [int(row["step"]) for row in rows] == list(range(7))
    body = {**body, "x_min": 2, "x_max": 3}
    answer = served.answer("POST", f"{OURS}/points", body)
    data = answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)
    assert data.count(b"\r\n") == 3


# Who may see what ---------------------------------------------------------------------------------


def test_a_token_of_one_experiment_sees_nothing_else(served: Served) -> None:
    """Rows, details, keys, charts and points of other experiments are not there for it."""
    other = served.client.create_experiment("other")
    mine = log(served, "mine", [1.0])
    run = served.client.create_run(other, run_name="secret")
    served.client.log_metric(run.info.run_id, "loss", 2.0)
    ids = [mine, run.info.run_id]
    caller = Caller("t", "read", "0")
    assert [row["run_id"] for row in ask(served, "/runs/table", {}, caller)["rows"]] == [mine]
    body = {"experiment_ids": ["0", other]}
    assert ask(served, "/runs/table", body, caller)["total"] == 1
    assert len(ask(served, "/runs/details", {"run_ids": ids}, caller)["runs"]) == 1
    assert ask(served, "/keys", {"run_ids": ids}, caller)["keys"][0]["runs"] == 1
    for path, query in (
        ("/charts", {"charts": [{"run_ids": ids, "keys": ["loss"]}]}),
        ("/points", {"run_ids": ids, "keys": ["loss"]}),
    ):
        answer = served.answer("POST", OURS + path, query, caller)
        data = answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)
        assert mine.encode() in data
        assert run.info.run_id.encode() not in data


def test_a_model_of_another_experiment_has_no_name(served: Served) -> None:
    """Who may not see an experiment learns of a model in it no more than its id."""
    other = served.client.create_experiment("other")
    model_id = served.client.create_logged_model(other, name="secret").model_id
    mine = log(served, "mine", [1.0])
    served.client.log_inputs(mine, models=[entities.LoggedModelInput(model_id)])
    for caller, name in ((Caller("t", "read", "0"), ""), (Caller("", "admin"), "secret")):
        [run] = ask(served, "/runs/details", {"run_ids": [mine]}, caller)["runs"]
        assert [(each["model_id"], each["name"]) for each in run["models"]] == [(model_id, name)]


def test_what_others_were_shown_stays_theirs(served: Served) -> None:
    """With the snapshot or the cursor of somebody else, a caller sees no more than without."""
    other = served.client.create_experiment("other")
    mine = log(served, "mine", [1.0])
    secret = served.client.create_run(other, run_name="secret").info.run_id
    served.client.log_metric(secret, "loss", 2.0)
    caller = Caller("t", "read", "0")
    body = {"experiment_ids": ["0", other]}
    theirs = ask(served, "/runs/table", body)
    found = ask(served, "/runs/table", {**body, "snapshot": theirs["snapshot"]}, caller)
    assert [row["run_id"] for row in found["rows"]] == [mine]
    query = {"run_ids": [mine, secret], "keys": ["loss"]}
    [shown] = draw(served, query)
    again = {"charts": [{**query, "since": shown["cursor"]}]}
    answer = served.answer("POST", f"{OURS}/charts", again, caller)
    assert isinstance(answer.body, bytes)
    assert b'"from":0' in answer.body and secret.encode() not in answer.body


def test_the_beginning_of_an_id_is_no_id(served: Served) -> None:
    """Where whole ids are asked for, a part of one, and be it empty, names no run."""
    ids = ["", log(served, "run", [1.0])[:31]]
    assert ask(served, "/runs/details", {"run_ids": ids})["runs"] == []
    assert ask(served, "/keys", {"run_ids": ids})["keys"] == []
    assert draw(served, {"run_ids": ids, "keys": ["loss"], "x": "relative"})[0]["lines"] == []


def test_workers_do_not_know_each_others_cursors(tmp_path: Path) -> None:
    """Whichever of several processes answers, a chart is right: whole, or a change that fits."""
    store = tmp_path / "store"
    client = Client(str(store))
    run_id = client.create_run("0").info.run_id
    with serving(store, "--workers", "2") as server:
        cursor = None
        for step in range(12):
            client.log_metric(run_id, "loss", float(step), step=step)
            query = {"run_ids": [run_id], "keys": ["loss"], "since": cursor}
            reply = server.request("POST", f"{OURS}/charts", {"charts": [query]})
            [length] = struct.unpack_from("<I", reply.body)
            [made] = json.loads(reply.body[4 : 4 + length])["charts"]
            assert made["size"] == step + 1
            assert made["from"] in (0, step)
            cursor = made["cursor"]


def test_a_run_whose_writer_is_gone_is_lost(tmp_path: Path) -> None:
    """A run that no living process can end is LOST in the table and in its details."""
    import subprocess
    import sys

    store = tmp_path / "store"
    program = (
        "import os, sys, steplog; steplog.set_tracking_uri(sys.argv[1]); steplog.start_run(); "
        "steplog.log_metric('loss', 1.0); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program, str(store)], check=True)
    served = Served(store)
    [row] = ask(served, "/runs/table", {})["rows"]
    assert row["status"] == "LOST"
    [detail] = ask(served, "/runs/details", {"run_ids": [row["run_id"]]})["runs"]
    assert detail["status"] == "LOST"


def test_the_reader_in_the_documents_reads_charts(tmp_path: Path) -> None:
    """A program that follows docs/charts.md gets what was logged."""
    page = (Path(__file__).parent.parent / "docs" / "charts.md").read_text("utf-8")
    [source] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(source, "docs/charts.md", "exec"), names)
    client = Client(str(tmp_path / "store"))
    run_id = client.create_run("0").info.run_id
    for step, value in enumerate([3.0, 1.0, 2.0]):
        client.log_metric(run_id, "loss", value, step=step)
    with serving(tmp_path / "store") as server:
        [made] = names["read_charts"](server.url, [{"run_ids": [run_id], "keys": ["loss"]}])
    assert made["x"].tolist() == [0, 1, 2]
    assert made["lines"][0]["columns"]["mean"].tolist() == [3.0, 1.0, 2.0]
