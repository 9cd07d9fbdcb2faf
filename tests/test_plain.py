"""The plain page, exported files and what notebooks show: HTML that needs no script."""

from __future__ import annotations

import csv
import io
import math
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urlencode

import pytest
from click.testing import CliRunner

import steplog
from steplog import plain
from steplog.backend import backend
from steplog.cli import main
from steplog.stores.base import Store

NASTY = [
    "<script>alert(1)</script>&\"'`",
    "k" * 250,
    "\u202eright to left עברית",
    "🎉 party",
    "a\x07b",
]
VOID = {"meta", "link", "input", "br"}


class Page(HTMLParser):
    """Reads a page, and makes sure that its elements are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.styled = False
        self.words = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        names = dict(attrs)
        self.styled |= "style" in names or tag == "style"
        assert not any(name.startswith("on") for name in names)
        if tag == "a":
            self.links.append(names["href"] or "")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture
def store() -> Store:
    """A store with a run of each nasty name, and two hundred steps of a metric of that name."""
    for name in NASTY:
        with steplog.start_run(run_name=name):
            steplog.set_tags({"note": name, "mlflow.note.content": name})
            steplog.log_params({"lr": name})
            for step in range(200):
                steplog.log_metric("loss", 1 / (1 + step), step)
            steplog.log_metric("loss", math.nan, 200)
    return backend().store()


def listed(store: Store, **query: str) -> Page:
    """Return the list of runs."""
    return Page(plain.runs_page(store, frozenset(), urlencode({"plain": "", **query})))


def test_the_list_shows_every_name_as_text(store: Store) -> None:
    """Runs are listed under their names, whatever these are, without a script or inline style."""
    page = listed(store)
    assert "script" not in page.tags and not page.styled
    for name in NASTY:
        assert name.replace("\x07", "␇") in page.words
    assert all(link.startswith("?plain") for link in page.links)


def test_the_list_is_filtered_and_sorted(store: Store) -> None:
    """The filter is MLflow's, a wrong one is explained, and heads of columns sort."""
    assert "1 runs" in listed(store, filter="params.lr = '🎉 party'").words
    assert "No run matches" in listed(store, filter="params.lr = 'none'").words
    assert "Invalid" in listed(store, filter="nonsense").words
    assert "Invalid" in listed(store, order="nonsense nonsense").words
    [by_loss] = [link for link in listed(store).links if "metrics" in link]
    assert parse_qs(by_loss[1:])["order"] == ["metrics.`loss` ASC"]
    assert "5 runs" in listed(store, order="metrics.`loss` ASC").words


def test_the_list_has_pages_of_fifty() -> None:
    """The fifty-first run is on the second page."""
    for number in range(51):
        steplog.start_run(run_name=f"run {number:02}")
        steplog.end_run()
    store = backend().store()
    first, second = listed(store), listed(store, offset="50")
    assert "1–50 of 51 runs" in first.words and "run 00" not in first.words
    assert "51–51 of 51 runs" in second.words and "run 00" in second.words


def test_a_run_has_everything_on_its_page(store: Store) -> None:
    """The page of a run shows summary, params, tags and charts over what the address says."""
    for record in store.runs():
        for query in ("plain", "plain&x=time&log=1", "plain&x=relative", "plain&x=%00&offset=-1"):
            page = Page(plain.run_page(store, frozenset(), record.row.run_id, query))
            assert "script" not in page.tags and not page.styled
            assert page.tags.count("svg") == 1
            assert "201 points" in page.words and "1 NaN" in page.words
            assert "LOST" not in page.words and "FINISHED" in page.words


def test_runs_are_compared_in_one_chart(store: Store) -> None:
    """Several runs share a chart a metric, and what they differ in is a table."""
    ids = [record.row.run_id for record in store.runs()]
    page = Page(plain.compare_page(store, frozenset(), ids, "plain"))
    assert page.tags.count("svg") == 1 and "lr" in page.words
    over = [link for link in page.links if "x=time" in link]
    assert parse_qs(over[0][1:])["run"] == ids


def test_of_too_many_runs_some_are_compared() -> None:
    """However many runs an address names, a page of fifty is made, and says what it leaves out."""
    ids = []
    for _ in range(52):
        with steplog.start_run() as run:
            ids.append(run.info.run_id)
    page = Page(plain.compare_page(backend().store(), frozenset(), ids, "plain"))
    assert "50 runs" in page.words and "2 more were asked for" in page.words


def test_only_the_experiment_that_may_be_seen_is_shown(store: Store) -> None:
    """Who is held to an experiment sees no run of another one, in the list or alone."""
    run_id = store.runs()[0].row.run_id
    assert "No runs yet" in plain.runs_page(store, frozenset(), "plain", experiment_ids=("7",))
    for page in (plain.run_page, lambda *a, **k: plain.compare_page(a[0], a[1], [a[2]], a[3], **k)):
        assert "loss" not in page(store, frozenset(), run_id, "plain", experiment_ids=("7",))


def test_a_page_without_runs_says_what_to_do() -> None:
    """An empty store shows how to log, a run without metrics too, and so does a missing page."""
    with steplog.start_run() as run:
        store = backend().store()
    shown = plain.run_page(store, frozenset(), run.info.run_id, "plain")
    assert "log_metric" in shown
    empty = backend("empty").store()
    page = plain.runs_page(empty, frozenset(), "plain", missing="No npm <here>")
    assert "log_metric" in page and "No npm &lt;here&gt;" in page
    assert "There is no such run" in plain.run_page(empty, frozenset(), "x", "plain")


# Exported files -----------------------------------------------------------------------------------


def export(*arguments: str) -> bytes:
    """Return what `steplog export` writes to standard output."""
    result = CliRunner().invoke(main, ["export", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout_bytes


def test_an_exported_page_needs_nothing_else(store: Store, tmp_path: Path) -> None:
    """It loads no file, forbids all scripts, and holds the curves."""
    run_id = store.runs()[0].row.run_id
    file = tmp_path / "run.html"
    assert export(run_id, "--html", str(file)) == b""
    text = file.read_text("utf-8")
    page = Page(text)
    assert not {"script", "link", "img", "a"} & set(page.tags) and "svg" in page.tags
    assert "default-src 'none'" in text and "http-equiv" in text
    assert export(run_id, "--html", "-").decode() == text


def test_exported_points_are_exact() -> None:
    """Every value of a run is in the CSV file, to the bit."""
    values = [0.1, -0.0, 5e-324, math.inf, math.nan]
    with steplog.start_run(run_name='a "name", with commas') as run:
        for step, value in enumerate(values):
            steplog.log_metric("loss", value, step)
    rows = list(csv.DictReader(io.StringIO(export(run.info.run_id, "--csv", "-").decode())))
    assert [float(row["value"]).hex() for row in rows] == [value.hex() for value in values]
    assert rows[0]["run_name"] == 'a "name", with commas'


def test_export_wants_one_kind_of_file(store: Store) -> None:
    """Without a file, or with two, nothing is written and the command says what it wants."""
    result = CliRunner().invoke(main, ["export", store.runs()[0].row.run_id])
    assert result.exit_code == 2 and "--html FILE or --csv FILE" in result.output
