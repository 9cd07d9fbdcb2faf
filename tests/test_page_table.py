"""The table of runs in a real browser: what is listed, found, chosen and changed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from browser import Opened, Spawn
from playwright.sync_api import Browser, Locator, Page, expect
from serving import serving

from steplog import Client
from steplog.entities import Metric, Param, Run
from steplog.server import tokens

pytestmark = [pytest.mark.long, pytest.mark.slow]

RUNS = 250
MINUTE_MS = 60_000
START_MS = 1_700_000_000_000


def log_runs(client: Client, count: int) -> list[Run]:
    """Log runs, each begun a minute after the one before; losses fall from 1."""
    experiment_id = client.create_experiment("many")
    made = []
    for number in range(count):
        run = client.create_run(
            experiment_id, START_MS + number * MINUTE_MS, run_name=f"run {number}"
        )
        client.log_batch(
            run.info.run_id,
            metrics=[Metric("loss", 1 / (1 + number), START_MS, 0)],
            params=[Param("lr", f"0.{number % 3}")],
        )
        client.set_terminated(run.info.run_id, end_time=START_MS + number * MINUTE_MS + 5_000)
        made.append(run)
    return made


def grid(page: Page) -> Locator:
    return page.get_by_role("grid", name="Runs")


def line(page: Page, name: str) -> Locator:
    """Return the row of a run in the list itself, not the one that is pinned above it."""
    return page.locator(".lines").get_by_role("row").filter(has_text=name)


def first_line(page: Page) -> Locator:
    return page.locator(".lines").get_by_role("row").first


def chosen(page: Page) -> list[str]:
    """Return the runs that the address names as chosen."""
    return re.findall(r"[#&]runs=([0-9a-f]{32})", page.evaluate("location.href"))


def test_the_table_lists_all_runs_but_draws_those_on_screen(opened: Opened) -> None:
    """All runs can be scrolled to, newest first, while only some forty rows exist at any time."""
    log_runs(opened.client, RUNS)
    page = opened.page()
    expect(grid(page)).to_have_attribute("aria-rowcount", str(1 + RUNS))
    expect(page.locator(".total")).to_have_text(f"{RUNS} runs")
    expect(first_line(page)).to_contain_text(f"run {RUNS - 1}")
    assert page.locator(".lines [role=row]").count() < 60
    grid(page).focus()
    page.keyboard.press("End")
    expect(line(page, "run 0")).to_be_in_viewport()
    expect(line(page, "run 0")).to_have_attribute("aria-rowindex", str(1 + RUNS))
    expect(page.locator(".placeholder")).to_have_count(0)
    assert page.locator(".lines [role=row]").count() < 60
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("link", name="run 0", exact=True).click()
    page.get_by_role("button", name="← Runs").click()
    expect(line(page, "run 0")).to_be_in_viewport()
    expect(page).to_have_url(re.compile(re.escape("page=compare")))


def test_a_filter_is_mlflows_or_a_part_of_a_name(opened: Opened) -> None:
    """The server filters by MLflow's language; any other text is turned into a search for names."""
    log_runs(opened.client, 12)
    page = opened.page()
    field = page.get_by_label("Filter the runs")
    field.fill("metrics.loss < 0.1")
    field.press("Enter")
    expect(page.locator(".total")).to_have_text("2 runs")
    field.fill("RUN 1")
    field.press("Enter")
    expect(field).to_have_value("attributes.run_name ILIKE '%RUN 1%'")
    expect(page.locator(".total")).to_have_text("3 runs")
    expect(page).to_have_url(re.compile(re.escape("filter=attributes.run_name")))
    page.get_by_label("Remove the filter").click()
    expect(page.locator(".total")).to_have_text("12 runs")
    page.get_by_label("Examples of filters").click()
    page.get_by_role("button", name="metrics.loss.min").click()
    expect(field).to_have_value("metrics.loss.min < 0.2")
    expect(page.locator(".total")).to_have_text("7 runs")


def test_what_is_wrong_with_a_filter_is_said_below_it(opened: Opened) -> None:
    """The server's words about a filter stand below the field, and the rows of before stay."""
    log_runs(opened.client, 3)
    page = opened.page(refused=1)
    expect(page.locator(".lines [role=row]")).to_have_count(3)
    field = page.get_by_label("Filter the runs")
    field.fill("metrics.loss < 'x'")
    field.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="Expected numeric value")).to_be_visible()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".lines [role=row]")).to_have_count(3)


def test_clicks_on_a_title_sort_on_the_server(opened: Opened) -> None:
    """A title sorts upwards, then downwards, then not at all; the address says so."""
    log_runs(opened.client, 3)
    page = opened.page()
    title = page.get_by_role("columnheader", name="loss")
    title.get_by_role("button").click()
    expect(title).to_have_attribute("aria-sort", "ascending")
    expect(first_line(page)).to_contain_text("run 2")
    title.get_by_role("button").click()
    expect(title).to_have_attribute("aria-sort", "descending")
    expect(first_line(page)).to_contain_text("run 0")
    expect(page).to_have_url(re.compile(re.escape("order=metrics.%60loss%60+DESC")))
    title.get_by_role("button").click()
    expect(title).not_to_have_attribute("aria-sort", re.compile(".*"))
    expect(first_line(page)).to_contain_text("run 2")


def test_columns_are_chosen_moved_and_removed(opened: Opened) -> None:
    """Any part of a metric, param or tag can be a column; the choice is in the address."""
    log_runs(opened.client, 2)
    page = opened.page()
    titles = page.locator(".titles [role=columnheader][draggable=true]")
    expect(titles).to_have_text(["loss", "lr"])
    expect(page).not_to_have_url(re.compile(re.escape("columns=")))
    page.get_by_role("button", name="Columns").click()
    panel = page.get_by_role("group", name="Columns")
    panel.get_by_label("Find").fill("los")
    panel.get_by_role("group", name="loss").get_by_role("button", name="min").click()
    expect(titles).to_have_text(["loss", "lr", "loss min"])
    panel.get_by_role("button", name="Remove lr").click()
    panel.get_by_role("button", name="Move loss min left").click()
    expect(titles).to_have_text(["loss min", "loss"])
    page.keyboard.press("Escape")
    titles.nth(0).drag_to(titles.nth(1))
    expect(titles).to_have_text(["loss", "loss min"])
    page.reload()
    expect(titles).to_have_text(["loss", "loss min"])
    expect(first_line(page)).to_contain_text("0.5")


def test_runs_are_selected_hidden_and_pinned(opened: Opened) -> None:
    """Who chose nothing sees the first ten; who chose sees that, without what is hidden."""
    runs = log_runs(opened.client, 12)
    page = opened.page()
    expect(page.get_by_text("showing the first 10")).to_be_visible()
    expect(page.locator(".lines svg.swatch")).to_have_count(10)
    page.get_by_label("Select run 3").click()
    page.get_by_label("Select run 0").click(modifiers=["Shift"])
    expect(page.get_by_text("4 selected")).to_be_visible()
    assert set(chosen(page)) == {run.info.run_id for run in runs[:4]}
    expect(page.locator(".lines svg.swatch path")).to_have_count(4)
    page.get_by_label("Draw run 2").click()
    expect(page.locator(".lines svg.swatch path")).to_have_count(3)
    expect(page).to_have_url(re.compile(re.escape(f"hidden={runs[2].info.run_id}")))
    line(page, "run 0").hover()
    line(page, "run 0").get_by_label("Pin run 0").click()
    expect(page.locator(".head [data-run]")).to_contain_text("run 0")
    page.get_by_label("Select none").click()
    page.get_by_label("Select all runs").click()
    expect(page.get_by_text("12 selected")).to_be_visible()
    expect(line(page, "run 11")).to_have_attribute("aria-selected", "true")


def test_the_keyboard_does_everything_in_the_table(opened: Opened) -> None:
    """Arrows move, Space selects, h hides, p pins, Enter opens; the overlay lists them."""
    runs = log_runs(opened.client, 4)
    page = opened.page()
    expect(page.locator(".lines [role=row]")).to_have_count(4)
    page.keyboard.press("/")
    expect(page.get_by_label("Filter the runs")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(grid(page)).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect(page.get_by_text("1 selected")).to_be_visible()
    assert chosen(page) == [runs[2].info.run_id]
    page.keyboard.press("h")
    expect(page.get_by_label("Draw run 2")).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("p")
    expect(page.locator(".head [data-run]")).to_contain_text("run 2")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("In the table: next run")
    page.keyboard.press("Escape")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="run 0")).to_be_visible()


def test_children_are_shown_below_their_parents(opened: Opened) -> None:
    """Nested, only runs without a parent are listed, and each opens to its children."""
    client = opened.client
    parent, child, grandchild, _ = log_runs(client, 4)
    client.set_tag(child.info.run_id, "mlflow.parentRunId", parent.info.run_id)
    client.set_tag(grandchild.info.run_id, "mlflow.parentRunId", child.info.run_id)
    page = opened.page()
    page.get_by_role("button", name="Nested").click()
    names = page.locator(".lines .name a")
    expect(names).to_have_text(["run 3", "run 0"])
    page.get_by_label("Children of run 0").click()
    page.get_by_label("Children of run 1").click()
    expect(names).to_have_text(["run 3", "run 0", "run 1", "run 2"])
    grid(page).focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    expect(names).to_have_text(["run 3", "run 0"])


def test_a_name_a_note_and_tags_are_written(opened: Opened) -> None:
    """What is changed in the table is in the store, and is shown at once."""
    client = opened.client
    [run] = log_runs(client, 1)
    run_id = run.info.run_id
    page = opened.page()
    line(page, "run 0").click(position={"x": 400, "y": 10})
    page.keyboard.press("r")
    page.get_by_label("New name of run 0").fill("<b>better</b> & “more”")
    page.keyboard.press("Enter")
    expect(line(page, "<b>better</b> & “more”")).to_be_visible()
    page.keyboard.press("e")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Note").fill("Second try.\n<i>Better</i>.")
    dialog.get_by_role("button", name="Save note").click()
    expect(dialog.get_by_role("button", name="Save note")).to_be_disabled()
    dialog.get_by_label("Tag", exact=True).fill("team")
    dialog.get_by_label("Value", exact=True).fill("vision")
    dialog.get_by_role("button", name="Add").click()
    value = dialog.get_by_label("Value of team")
    value.fill("speech")
    value.press("Enter")
    expect(page.locator(".noted")).to_be_visible()
    page.keyboard.press("Escape")
    page.wait_for_function("!document.querySelector('dialog')")
    found = client.get_run(run_id)
    assert found.info.run_name == "<b>better</b> & “more”"
    assert found.data.tags["mlflow.note.content"] == "Second try.\n<i>Better</i>."
    assert found.data.tags["team"] == "speech"


def test_deleting_can_be_undone_and_deleted_runs_come_back(opened: Opened) -> None:
    """A message offers to undo a deletion; later the deleted runs are listed and restored."""
    client = opened.client
    runs = log_runs(client, 3)
    page = opened.page()
    page.get_by_label("Select run 0").click()
    page.get_by_label("Select run 1").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.locator(".total")).to_have_text("1 run")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".total")).to_have_text("3 runs")
    assert set(chosen(page)) == {run.info.run_id for run in runs[:2]}
    grid(page).focus()
    page.keyboard.press("Home")
    page.keyboard.press("Delete")
    expect(page.locator(".total")).to_have_text("2 runs")
    assert client.get_run(runs[2].info.run_id).info.lifecycle_stage == "deleted"
    page.get_by_label("Stage").select_option("deleted")
    expect(page.locator(".lines .name a")).to_have_text(["run 2"])
    page.get_by_label("Select all runs").click()
    page.get_by_role("button", name="Restore").click()
    expect(page.locator(".total")).to_have_text("0 runs")
    assert client.get_run(runs[2].info.run_id).info.lifecycle_stage == "active"


def test_names_from_users_are_text(opened: Opened) -> None:
    """HTML, quotes, long, right-to-left and odd names, params and tags stand there as they are."""
    client = opened.client
    names = ['<img src=x onerror="alert(1)">', "مرحبا بالعالم", "🚀 'quoted' \"twice\"", "x" * 250]
    experiment_id = client.create_experiment("<script>alert(2)</script>")
    for number, name in enumerate(names):
        run = client.create_run(experiment_id, START_MS - number, run_name=name)
        client.log_param(run.info.run_id, "p", name)
        client.set_tag(run.info.run_id, "mlflow.note.content", name)
    page = opened.page("columns=params.p")
    expect(page.locator(".lines .name a")).to_have_text(names)
    expect(page.locator(".lines .text")).to_have_text(names)
    assert page.locator("main img, main script").count() == 0


LOGGING = """
import sys, steplog, time
steplog.set_tracking_uri(sys.argv[1])
with steplog.start_run(run_name="alive"):
    steplog.log_metric("loss", 1.0)
    sys.stdin.read()
"""


def test_a_new_run_comes_on_top_without_moving_the_row_that_is_pointed_at(
    opened: Opened, spawned: Spawn
) -> None:
    """Rows hold still under the pointer; once it is gone the new run is the first; killed: lost."""
    log_runs(opened.client, 5)
    page = opened.page()
    line(page, "run 3").hover()
    before = line(page, "run 3").bounding_box()
    process = spawned(LOGGING, opened.store)
    expect(page.locator(".total")).to_have_text("6 runs")
    assert line(page, "run 3").bounding_box() == before
    page.mouse.move(1200, 600)
    expect(first_line(page)).to_contain_text("alive")
    expect(first_line(page)).to_be_in_viewport()
    expect(first_line(page)).to_contain_text("Running")
    shown = first_line(page).locator(".number").last.text_content() or ""
    expect(first_line(page).locator(".number").last).not_to_have_text(shown)
    process.kill()
    expect(first_line(page)).to_contain_text("Lost")
    expect(first_line(page).locator(".status")).to_have_attribute(
        "title", re.compile("never ended")
    )


def test_the_table_is_as_wide_as_somebody_likes(opened: Opened) -> None:
    """Its border is dragged or moved by keys, it closes and opens, and the width is remembered."""
    log_runs(opened.client, 1)
    page = opened.page()
    table = page.locator("aside")
    border = page.get_by_role("separator", name="Width of the table")
    width = table.evaluate("element => element.offsetWidth")
    border.focus()
    page.keyboard.press("ArrowRight")
    expect(border).to_have_attribute("aria-valuenow", str(width + 24))
    box = border.bounding_box()
    assert box
    page.mouse.move(box["x"] + 3, 400)
    page.mouse.down()
    page.mouse.move(700, 400)
    page.mouse.up()
    expect(border).to_have_attribute("aria-valuenow", "700")
    page.reload()
    expect(border).to_have_attribute("aria-valuenow", "700")
    page.keyboard.press("t")
    expect(grid(page)).to_have_count(0)
    page.get_by_label("Open the table").click()
    expect(grid(page)).to_be_visible()


def test_where_no_run_is_listed_the_page_says_what_to_do(opened: Opened) -> None:
    """An empty store shows how to log a run; a filter that lets nothing through can be removed."""
    page = opened.page()
    expect(page.get_by_role("heading", name="No runs yet.")).to_be_visible()
    log_runs(opened.client, 1)
    page.reload()
    page.get_by_label("Filter the runs").fill("nothing like this")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Show all runs").click()
    expect(line(page, "run 0")).to_be_visible()


def test_who_may_only_read_is_offered_no_change(browser: Browser, tmp_path: Path) -> None:
    """With a token that only reads, the page shows everything and has nothing that writes."""
    store = tmp_path / "store"
    log_runs(Client(str(store)), 1)
    _, token = tokens.create(str(store), "read")
    with serving(store) as server:
        opened = Opened(browser, server, store)
        opened.context.request.get("/", params={"token": token})
        page = opened.page()
        line(page, "run 0").hover()
        expect(page.get_by_label("Pin run 0")).to_be_visible()
        expect(page.get_by_label("Edit run 0")).to_have_count(0)
        page.get_by_label("Select run 0").click()
        expect(page.get_by_text("1 selected")).to_be_visible()
        expect(page.get_by_role("button", name="Delete")).to_have_count(0)
        page.get_by_role("link", name="run 0").click()
        expect(page.get_by_role("heading", name="run 0")).to_be_visible()
        expect(page.get_by_label("Rename")).to_have_count(0)
        expect(page.get_by_role("button", name="Add")).to_have_count(0)
        opened.close()
