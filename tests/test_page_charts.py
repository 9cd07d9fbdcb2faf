"""The page of charts in a real browser: which charts there are, and what they are drawn over.

What a single chart draws is in test_page_chart.py.
"""

from __future__ import annotations

import re

import pytest
from browser import Opened, Spawn
from playwright.sync_api import Locator, Page, expect

from steplog import Client
from steplog.entities import Metric, Param, Run

# One chart is drawn and used by what every run of the suite tests (test_page_chart.py).
pytestmark = [pytest.mark.long, pytest.mark.slow]

START_MS = 1_700_000_000_000


def log_run(
    client: Client,
    keys: list[str],
    name: str = "run",
    params: dict[str, str] | None = None,
    steps: int = 4,
) -> Run:
    """Log a run with a falling line of each key, a step a second."""
    run = client.create_run("0", START_MS, run_name=name)
    points = [
        Metric(key, 1 / (1 + step), START_MS + 1000 * step, step)
        for key in keys
        for step in range(steps)
    ]
    own = [Param(key, value) for key, value in (params or {}).items()]
    client.log_batch(run.info.run_id, params=own)
    for first in range(0, len(points), 1000):
        client.log_batch(run.info.run_id, metrics=points[first : first + 1000])
    client.set_terminated(run.info.run_id, end_time=START_MS + 1000 * steps)
    return run


def charts(page: Page) -> Locator:
    return page.locator("figure.chart")


def chart(page: Page, key: str) -> Locator:
    return page.get_by_role("figure", name=key, exact=True)


def bar(page: Page) -> Locator:
    return page.get_by_role("toolbar", name="Charts")


def select(page: Page, name: str) -> Locator:
    return bar(page).get_by_role("combobox", name=name, exact=True)


def scroll_down(page: Page) -> None:
    page.locator(".scroll").evaluate("element => element.scrollTo(0, element.scrollHeight)")


def titles(page: Page) -> list[str]:
    return page.locator("figure.chart h3").all_inner_texts()


def test_every_metric_has_a_chart_in_the_section_of_its_prefix(opened: Opened) -> None:
    """Keys without a prefix come first and those of the system last and closed; 2 before 10."""
    keys = ["system/cpu", "valid/loss", "layer10/norm", "layer2/norm", "loss"]
    log_run(opened.client, keys)
    page = opened.page()
    expect(charts(page)).to_have_count(4)
    heads = page.locator(".section-head bdi")
    expect(heads).to_have_text(["Metrics", "layer2", "layer10", "valid"])
    expect(page.locator(".section-head .soft").first).to_have_text("1 chart")
    assert titles(page) == ["loss", "layer2/norm", "layer10/norm", "valid/loss"]
    expect(chart(page, "loss")).to_have_attribute("data-state", "ready")
    scroll_down(page)
    expect(heads.last).to_have_text("system")
    expect(page.get_by_role("button", name=re.compile("^system"))).to_have_attribute(
        "aria-expanded", "false"
    )
    expect(bar(page).get_by_role("status")).to_have_text("5 charts")


def test_sections_open_and_close_by_keyboard_and_stay_so_in_a_link(opened: Opened) -> None:
    """A closed section has no charts, says so to screen readers, and is closed in the address."""
    log_run(opened.client, ["loss", "valid/loss", "system/cpu"])
    page = opened.page()
    head = page.get_by_role("button", name=re.compile("^valid"))
    expect(head).to_have_attribute("aria-expanded", "true")
    head.press("Enter")
    expect(head).to_have_attribute("aria-expanded", "false")
    expect(chart(page, "valid/loss")).to_have_count(0)
    page.get_by_role("button", name=re.compile("^system")).press(" ")
    expect(chart(page, "system/cpu")).to_have_attribute("data-state", "ready")
    again = opened.page(page.evaluate("location.href").partition("#")[2])
    expect(chart(again, "system/cpu")).to_be_visible()
    expect(chart(again, "valid/loss")).to_have_count(0)


def test_charts_are_found_by_a_regular_expression(opened: Opened) -> None:
    """What matches stays; what is no expression is said and hides nothing; no match says so."""
    log_run(opened.client, ["train/loss", "valid/loss", "valid/accuracy"])
    page = opened.page()
    expect(charts(page)).to_have_count(3)
    page.keyboard.press("m")
    field = bar(page).get_by_label("Metrics")
    expect(field).to_be_focused()
    field.fill("^VALID.*s$")
    expect(charts(page)).to_have_count(1)
    expect(bar(page).get_by_role("status")).to_have_text("1 of 3 charts")
    field.fill("(")
    expect(page.get_by_role("alert").filter(has_text="no regular expression")).to_be_visible()
    expect(charts(page)).to_have_count(3)
    field.fill("<b>nothing</b>")
    expect(page.get_by_text("None of 3 metrics matches <b>nothing</b>.")).to_be_visible()
    page.get_by_role("button", name="Show all metrics").click()
    expect(charts(page)).to_have_count(3)
    expect(field).to_have_value("")


def test_of_many_charts_only_those_in_sight_are_alive(opened: Opened) -> None:
    """Two thousand metrics make a page of their whole height with few charts; others come."""
    count = 2000
    log_run(opened.client, [f"layer{number}" for number in range(count)], steps=1)
    page = opened.page()
    expect(bar(page).get_by_role("status")).to_have_text("2,000 charts")
    expect(chart(page, "layer0")).to_have_attribute("data-state", "ready")
    assert charts(page).count() < 30
    height = page.locator(".sections").evaluate("element => element.offsetHeight")
    scroll_down(page)
    expect(chart(page, f"layer{count - 1}")).to_have_attribute("data-state", "ready")
    expect(chart(page, f"layer{count - 1}")).to_be_in_viewport()
    expect(chart(page, "layer0")).to_have_count(0)
    assert charts(page).count() < 30
    assert page.locator(".sections").evaluate("element => element.offsetHeight") == height


def test_a_chart_fills_the_window_until_escape(opened: Opened) -> None:
    """An enlarged chart has its neighbours at hand, is in the address, and gives the focus back."""
    log_run(opened.client, ["a", "b"])
    page = opened.page()
    chart(page, "a").get_by_role("button", name="Enlarge").click()
    dialog = page.get_by_role("dialog")
    large = dialog.locator("figure")
    expect(large).to_have_attribute("data-state", "ready")
    expect(page).to_have_url(re.compile(re.escape("chart=a")))
    box = large.bounding_box()
    assert box is not None and box["width"] > 1200 and box["height"] > 650
    dialog.get_by_role("button", name="Next").click()
    expect(dialog.get_by_role("heading", name="b").first).to_be_visible()
    expect(dialog.get_by_role("button", name="Next")).to_be_disabled()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page).not_to_have_url(re.compile(re.escape("chart=")))


def test_how_charts_are_drawn_is_chosen_above_them_and_lives_in_the_address(opened: Opened) -> None:
    """Axes, smoothing, clipping and size come back with the link."""
    log_run(opened.client, ["loss", "epoch"])
    page = opened.page()
    select(page, "Y").select_option("log")
    select(page, "Smoothing").select_option("ema")
    bar(page).get_by_label("Strength of smoothing").fill("0.3")
    select(page, "X").select_option("metric")
    expect(bar(page).get_by_label("Metric of the x axis")).to_have_value("epoch")
    bar(page).get_by_role("button", name="More choices").click()
    page.get_by_label("Log x").check()
    page.get_by_label("Clip outliers").check()
    narrow = chart(page, "loss").bounding_box()
    page.get_by_role("group", name="Size of charts").get_by_role("button", name="L").click()
    expect(page.get_by_role("button", name="L", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    wide = chart(page, "loss").bounding_box()
    assert narrow is not None and wide is not None and wide["height"] > narrow["height"]
    for part in ("y=log", "smoothing=ema", "strength=0.3", "x=metric", "xKey=epoch", "logX=true"):
        expect(page).to_have_url(re.compile(re.escape(part)))
    again = opened.page(page.evaluate("location.href").partition("#")[2])
    expect(select(again, "Smoothing")).to_have_value("ema")
    expect(bar(again).get_by_label("Metric of the x axis")).to_have_value("epoch")
    expect(chart(again, "loss")).to_have_attribute("data-state", "ready")


def test_the_window_that_is_zoomed_to_is_shown_and_can_be_left(opened: Opened) -> None:
    """Above the charts stands which part of x they show; a click there shows all of it again."""
    log_run(opened.client, ["loss"], steps=50)
    page = opened.page("xMin=10&xMax=20")
    expect(chart(page, "loss")).to_have_attribute("data-total", "11")
    page.get_by_role("button", name="Show all of x").click()
    expect(chart(page, "loss")).to_have_attribute("data-total", "50")
    expect(page).not_to_have_url(re.compile(re.escape("xMin")))
    expect(page.get_by_role("button", name="Show all of x")).to_have_count(0)


def test_runs_are_drawn_in_groups_of_one_colour_in_every_chart(opened: Opened) -> None:
    """Fields in which runs differ are offered first; a group is one line, of the same colour."""
    for seed in range(4):
        params = {"lr": f"0.{1 + seed % 2}", "seed": str(seed), "epochs": "3"}
        log_run(opened.client, ["loss", "accuracy"], f"run {seed}", params)
    page = opened.page()
    expect(chart(page, "loss")).to_have_attribute("data-lines", "4")
    bar(page).get_by_role("button", name="Group runs").click()
    panel = page.get_by_role("group", name="Group runs")
    expect(panel.locator("li").first).to_have_text("lr2")
    panel.get_by_label("lr").check()
    expect(chart(page, "loss")).to_have_attribute("data-lines", "2")
    panel.get_by_label("Band").select_option("ci95")
    panel.get_by_label("Line").select_option("median")
    page.keyboard.press("Escape")
    expect(bar(page).get_by_role("button", name="Group runs")).to_have_text("Group: lr ▾")
    for part in ("group=params.lr", "band=ci95", "aggregate=median"):
        expect(page).to_have_url(re.compile(re.escape(part)))
    colours = [
        chart(page, key)
        .locator(".legend path")
        .evaluate_all("paths => paths.map((path) => path.getAttribute('stroke'))")
        for key in ("accuracy", "loss")
    ]
    assert len(colours[0]) == 2 and colours[0] == colours[1]
    bar(page).get_by_role("button", name="Group runs").click()
    panel.get_by_role("button", name="Single runs").click()
    expect(chart(page, "loss")).to_have_attribute("data-lines", "4")


def test_what_is_not_drawn_is_said(opened: Opened) -> None:
    """Runs without metrics, and runs that are all hidden, say what to do next."""
    run = log_run(opened.client, [])
    page = opened.page()
    expect(page.get_by_role("heading", name="No metric was logged.")).to_be_visible()
    page = opened.page(f"hidden={run.info.run_id}")
    expect(page.get_by_role("heading", name="No run is drawn.")).to_be_visible()
    page.get_by_role("button", name="Draw them again").click()
    expect(page.get_by_role("heading", name="No metric was logged.")).to_be_visible()


LOGGING = """
import sys
import steplog

steplog.set_tracking_uri(sys.argv[1])
with steplog.start_run():
    for step, key in enumerate(sys.stdin):
        steplog.log_metric(key.strip(), 1.0, step=step)
"""


def test_a_new_metric_appears_by_itself(opened: Opened, spawned: Spawn) -> None:
    """A running run waits for its first point, and each new metric gets a chart, unasked."""
    page = opened.page()
    process = spawned(LOGGING, opened.store)
    assert process.stdin is not None
    expect(page.get_by_role("heading", name="Waiting for the first point …")).to_be_visible()
    for key in ("loss", "valid/loss"):
        process.stdin.write(f"{key}\n")
        process.stdin.flush()
        expect(chart(page, key)).to_have_attribute("data-state", "ready")
    expect(charts(page)).to_have_count(2)
