"""The page of one run in a real browser."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from browser import Opened, Spawn
from playwright.sync_api import Locator, Page, expect

import steplog
from steplog.entities import LoggedModelOutput, Metric, Param, Run, RunTag

pytestmark = [pytest.mark.long, pytest.mark.slow]

START_MS = 1_700_000_000_000
DAY_MS = 86_400_000


def log_run(opened: Opened, keys: dict[str, list[float]], name: str = "run") -> Run:
    """Log a run that took a day: each key's values at steps 0, 1, …"""
    client = opened.client
    run = client.create_run("0", START_MS, run_name=name)
    points = [
        Metric(key, value, START_MS + step, step)
        for key, values in keys.items()
        for step, value in enumerate(values)
    ]
    for first in range(0, len(points), 1000):
        client.log_batch(run.info.run_id, metrics=points[first : first + 1000])
    client.set_terminated(run.info.run_id, end_time=START_MS + DAY_MS)
    return run


def page_of(opened: Opened, run: Run) -> Page:
    return opened.page(f"page=run&run={run.info.run_id}")


def rows(page: Page) -> Locator:
    """Return the rows of the table of metrics that are drawn."""
    return page.get_by_role("region", name="Metrics of the run").locator("tbody tr[aria-rowindex]")


def test_the_page_of_a_run_says_everything_about_it(opened: Opened) -> None:
    """Name, status, experiment, times, id, note, params, tags: as text, whatever is in them."""
    client = opened.client
    run = log_run(opened, {"loss": [1.0]}, name="<b>first</b>")
    run_id = run.info.run_id
    note = '<img src=x onerror="alert(1)">\nsecond line'
    tags = [RunTag("mlflow.note.content", note), RunTag("team", "<i>vision</i>")]
    client.log_batch(run_id, params=[Param("lr", "0.1"), Param("text", "<u>x</u>")], tags=tags)
    opened.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = page_of(opened, run)
    expect(page.get_by_role("heading", name="<b>first</b>")).to_be_visible()
    expect(page.locator(".run-top .status")).to_have_text(re.compile("Finished"))
    facts = page.locator(".run-facts")
    expect(facts).to_contain_text("Default")
    expect(facts).to_contain_text("1 d 00 h")
    expect(page.locator(".note")).to_have_text(note)
    expect(page.get_by_role("row", name="lr")).to_contain_text("0.1")
    expect(page.get_by_role("row", name="text")).to_contain_text("<u>x</u>")
    expect(page.get_by_label("Value of team")).to_have_value("<i>vision</i>")
    page.get_by_label("Copy the run id").click()
    expect(page.get_by_label("Copy the run id")).to_have_text("copied")
    assert page.evaluate("navigator.clipboard.readText()") == run_id


def test_the_table_of_metrics_has_every_part_with_its_step(opened: Opened) -> None:
    """Last, first, least and greatest value with their steps, mean, and how many are NaN."""
    nan, infinity = float("nan"), float("inf")
    run = log_run(opened, {"loss": [2.0, 0.5, nan, 4.0, 1.5], "grad": [1.0, infinity]})
    page = page_of(opened, run)
    cells = rows(page).filter(has_text="loss").locator("td")
    expect(cells).to_have_text(["1.5 @4", "2 @0", "0.5 @1", "4 @3", "2", "5", "1"])
    expect(rows(page).filter(has_text="grad").locator("td").first).to_have_text("+Inf @1")
    expect(rows(page).locator("th")).to_have_text(["grad", "loss"])
    last = page.get_by_role("columnheader", name="Last")
    last.get_by_role("button").click()
    expect(last).to_have_attribute("aria-sort", "ascending")
    expect(rows(page).locator("th")).to_have_text(["loss", "grad"])
    page.reload()
    expect(rows(page).locator("th")).to_have_text(["loss", "grad"])


def test_thousands_of_metrics_stay_usable(opened: Opened) -> None:
    """Of 5,000 metrics only those on screen are drawn; a regular expression finds any of them."""
    run = log_run(opened, {f"layer/{number}/norm": [1.0] for number in range(5000)})
    page = page_of(opened, run)
    expect(page.locator(".summary-top")).to_contain_text("5,000")
    expect(rows(page).first).to_contain_text("layer/0/norm")
    assert rows(page).count() < 60
    box = page.get_by_role("region", name="Metrics of the run")
    box.evaluate("element => element.scrollTo(0, element.scrollHeight)")
    expect(rows(page).filter(has_text="layer/999/norm")).to_be_in_viewport()
    page.keyboard.press("m")
    page.keyboard.type("/49.8/")
    expect(page.locator(".summary-top")).to_contain_text("10 of 5,000")
    expect(rows(page)).to_have_count(10)
    expect(page).to_have_url(re.compile(re.escape(f"keys={quote('/49.8/', safe='')}")))


def test_charts_are_below_and_those_of_the_system_closed(opened: Opened) -> None:
    """Each metric has a chart that is not blank; what was measured of the machine is folded up."""
    run = log_run(
        opened, {"loss": [3.0, 1.0, 2.0], "system/cpu_utilization_percentage": [1.0, 2.0]}
    )
    page = page_of(opened, run)
    canvas = page.locator(".sections canvas").first
    expect(canvas).to_be_visible()
    page.wait_for_function(
        """() => {
          const canvas = document.querySelector(".sections canvas");
          const size = [canvas.width, canvas.height];
          const pixels = canvas.getContext("2d").getImageData(0, 0, ...size).data;
          return pixels.some((value) => value !== 0);
        }"""
    )
    system = page.get_by_role("button", name="system")
    expect(system).to_have_attribute("aria-expanded", "false")
    expect(page.locator(".sections canvas")).to_have_count(1)
    system.click()
    expect(page.locator(".sections canvas")).to_have_count(2)


def test_what_is_changed_on_the_page_is_in_the_store(opened: Opened) -> None:
    """A name, a note and tags are written, changed and removed where they are shown."""
    run = log_run(opened, {"loss": [1.0]})
    client, run_id = opened.client, run.info.run_id
    client.set_tag(run_id, "old", "x")
    page = page_of(opened, run)
    page.get_by_label("Rename").click()
    page.get_by_label("New name").fill("better")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="better")).to_be_visible()
    page.get_by_role("button", name="Add note").click()
    page.get_by_role("textbox", name="Note").fill("Why it works.")
    page.get_by_role("button", name="Save note").click()
    expect(page.locator(".note")).to_have_text("Why it works.")
    page.get_by_label("Tag", exact=True).fill("team")
    page.get_by_label("Value", exact=True).fill("vision")
    page.get_by_role("button", name="Add", exact=True).click()
    value = page.get_by_label("Value of team")
    expect(value).to_have_value("vision")
    page.get_by_label("Remove tag old").click()
    expect(page.get_by_label("Value of old")).to_have_count(0)
    with page.expect_response(lambda got: got.url.endswith("runs/set-tag")):
        value.fill("speech")
        value.press("Enter")
    found = client.get_run(run_id)
    assert found.info.run_name == "better"
    assert found.data.tags["mlflow.note.content"] == "Why it works."
    assert found.data.tags["team"] == "speech"
    assert "old" not in found.data.tags


def test_a_run_is_deleted_and_restored_on_its_page(opened: Opened) -> None:
    """A deleted run says that it is deleted, and can be had back, at once or later."""
    run = log_run(opened, {"loss": [1.0]})
    page = page_of(opened, run)
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("This run is deleted.")).to_be_visible()
    page.keyboard.press("u")
    expect(page.get_by_text("This run is deleted.")).to_have_count(0)
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Restore").click()
    expect(page.get_by_text("1 run restored.")).to_be_visible()
    assert opened.client.get_run(run.info.run_id).info.lifecycle_stage == "active"


def test_parents_and_children_lead_to_each_other(opened: Opened) -> None:
    """A run names its parent and its children, and each of them is a link to its page."""
    parent, child = log_run(opened, {}, name="parent"), log_run(opened, {}, name="child")
    opened.client.set_tag(child.info.run_id, "mlflow.parentRunId", parent.info.run_id)
    page = page_of(opened, parent)
    page.get_by_role("link", name="child").click()
    expect(page.get_by_role("heading", name="child")).to_be_visible()
    page.get_by_role("link", name="parent").click()
    expect(page.get_by_role("heading", name="parent")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="child")).to_be_visible()


def test_datasets_and_models_of_a_run_are_listed(opened: Opened) -> None:
    """What a run used and made is listed, with context, source, role and step."""
    steplog.set_tracking_uri(str(opened.store))
    with steplog.start_run() as run:
        dataset = steplog.entities.Dataset(
            name="digits", digest="abc123", source_type="http", source="<i>somewhere</i>"
        )
        steplog.log_input(dataset, context="train")
    model = steplog.create_external_model(name="cnn", source_run_id=run.info.run_id)
    outputs = [LoggedModelOutput(model_id=model.model_id, step=7)]
    opened.client.log_outputs(run.info.run_id, outputs)
    page = page_of(opened, run)
    used = page.get_by_role("row", name="digits")
    expect(used).to_contain_text("abc123")
    expect(used).to_contain_text("train")
    expect(used).to_contain_text("<i>somewhere</i>")
    made = page.get_by_role("row", name=model.model_id).get_by_role("cell")
    expect(made).to_have_text(["cnn", "output", "7", "ready", model.model_id])


def test_a_run_that_is_not_there_leads_back_to_all(opened: Opened) -> None:
    """An address with an unknown run says so, and offers the runs that there are."""
    log_run(opened, {"loss": [1.0]}, name="known")
    page = opened.page("page=run&run=" + "0" * 32)
    expect(page.get_by_role("heading", name="There is no such run.")).to_be_visible()
    page.get_by_role("button", name="Show all runs").click()
    expect(page.locator(".lines").get_by_text("known")).to_be_visible()


def test_back_at_the_table_the_view_is_as_it_was(opened: Opened) -> None:
    """Filter, order and selection stay while somebody looks at the page of a run."""
    runs = [log_run(opened, {"loss": [1.0 / number]}, name=f"run {number}") for number in (1, 2, 3)]
    chosen = runs[1].info.run_id
    view = f"filter=metrics.loss+%3C+0.9&order=metrics.loss+ASC&runs={chosen}"
    page = opened.page(view)
    names = page.locator(".lines .name a")
    expect(names).to_have_text(["run 3", "run 2"])
    names.first.click()
    expect(page.get_by_role("heading", name="run 3")).to_be_visible()
    page.get_by_role("button", name="← Runs").click()
    expect(names).to_have_text(["run 3", "run 2"])
    expect(page.get_by_label("Select run 2")).to_be_checked()
    assert page.evaluate("location.href").endswith(f"#{view}")


LOGGING = """
import sys, steplog
steplog.set_tracking_uri(sys.argv[1])
with steplog.start_run(run_name="alive") as run:
    for line in sys.stdin:
        steplog.log_metric("loss", float(line))
"""


def test_the_page_of_a_running_run_grows(opened: Opened, spawned: Spawn) -> None:
    """New values stand in the table of metrics by themselves, and the end of the run is seen."""
    process = spawned(LOGGING, opened.store)
    assert process.stdin is not None
    process.stdin.write("1.5\n")
    process.stdin.flush()
    page = opened.page()
    page.locator(".lines .name a").filter(has_text="alive").click()
    expect(rows(page)).to_contain_text("1.5")
    process.stdin.write("0.25\n")
    process.stdin.flush()
    expect(rows(page).locator("td").first).to_contain_text("0.25")
    process.stdin.close()
    expect(page.locator(".run-top .status")).to_contain_text("Finished")
