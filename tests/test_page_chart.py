"""Charts in a real browser: no point is lost from sight, and what a person can do with them."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

import pytest
from browser import Opened, Spawn
from playwright.sync_api import Download, Locator, Page, expect

import steplog
from steplog.entities import Run

NAN, INFINITY = math.nan, math.inf
NAME = """<b>"é" & </b> عربي 😀"""
BLANK = """canvas => {
  const size = [canvas.width, canvas.height];
  return !canvas.getContext("2d").getImageData(0, 0, ...size).data.some((value) => value !== 0);
}"""
COLOURED = """(canvas, [left, top, right, bottom]) => {
  const [width, height] = [canvas.width * (right - left), canvas.height * (bottom - top)];
  const from = [canvas.width * left, canvas.height * top];
  const { data } = canvas.getContext("2d").getImageData(...from, width, height);
  let found = 0;
  for (let i = 0; i < data.length; i += 4)
    if (data[i + 3] && Math.max(...data.slice(i, i + 3)) - Math.min(...data.slice(i, i + 3)) > 60)
      found += 1;
  return found;
}"""
"""How many pixels of a part of a canvas are of a line's colour, not grey."""


def log_run(
    opened: Opened, values: dict[str, Sequence[float]], name: str = "run", **params: object
) -> Run:
    """Log a run with each key's values at steps 0, 1, …"""
    steplog.set_tracking_uri(str(opened.store))
    with steplog.start_run(run_name=name) as run:
        steplog.log_params(params)
        for key, series in values.items():
            metric = run.metric(key)
            for step, value in enumerate(series):
                metric.log(value, step)
    return run


def chart_of(page: Page, key: str) -> Locator:
    """Return the chart of a metric, once what it shows is there."""
    chart = page.locator(f'figure.chart[aria-label="{key}"]')
    expect(chart).to_have_attribute("aria-busy", "false")
    return chart


def hover(chart: Locator, across: float, down: float = 0.5) -> None:
    """Move the pointer to a place of the plot, in shares of its width and height.

    Unlike the bare mouse, this waits until the plot holds still: charts move while others come.
    """
    inside = chart.locator(".inside")
    box = inside.bounding_box()
    assert box is not None
    inside.hover(position={"x": across * box["width"], "y": down * box["height"]})


def drag(chart: Locator, start: float, end: float) -> None:
    """Choose a stretch of x, in shares of the width of the plot."""
    hover(chart, start)
    chart.page.mouse.down()
    hover(chart, (start + end) / 2)
    hover(chart, end)
    chart.page.mouse.up()


def save(chart: Locator, what: str) -> Download:
    """Save a file by the chart's menu."""
    chart.get_by_role("button", name=re.compile("^Actions of")).click()
    with chart.page.expect_download() as found:
        chart.get_by_role("button", name=what, exact=True).click()
    chart.page.keyboard.press("Escape")
    return found.value


def text_of(download: Download) -> str:
    with Path(download.path()).open(encoding="utf-8", newline="") as file:
        return file.read()


def shown_tooltip(page: Page) -> Locator:
    return page.locator(".tooltip:visible")


def test_a_spike_of_one_step_among_100000_is_seen(opened: Opened) -> None:
    """Its full height is drawn, and the chart says how many points it stands for."""
    values = [0.1] * 100_000
    values[50_000] = 9.0
    log_run(opened, {"loss": values})
    chart = chart_of(opened.page(), "loss")
    expect(chart).to_have_attribute("data-total", "100000")
    expect(chart).to_have_attribute("data-exact", "false")
    shown = int(chart.get_attribute("data-points") or 0)
    assert 200 <= shown <= 2_000
    expect(chart.locator(".points")).to_have_text(f"{shown:,} of 100,000 points")
    canvas = chart.locator("canvas")
    chart.page.wait_for_function(
        f"() => ({COLOURED})(document.querySelector('.chart canvas'), [0.4, 0.05, 0.7, 0.3]) > 10"
    )
    assert canvas.evaluate(COLOURED, [0.1, 0.05, 0.45, 0.6]) == 0
    expect(chart.get_by_role("img")).to_have_attribute("aria-label", re.compile("100,000 points"))
    hover(chart, 0.5)
    expect(shown_tooltip(chart.page)).to_contain_text("(0.1 … 9)")


def test_zooming_fetches_finer_data_until_every_point_is_drawn(opened: Opened) -> None:
    """Dragging zooms all charts by asking anew; a double click, Escape or 0 shows everything."""
    values = [math.sin(step / 500) for step in range(50_000)]
    log_run(opened, {"loss": values, "other": values})
    page = opened.page()
    loss, other = chart_of(page, "loss"), chart_of(page, "other")
    with page.expect_request("**/charts") as asked:
        drag(loss, 0.4, 0.6)
    first = json.loads(asked.value.post_data or "")["charts"][0]
    assert 15_000 < first["x_min"] < first["x_max"] < 35_000
    drag(chart_of(page, "loss"), 0.45, 0.5)
    for chart in (loss, other):
        expect(chart).to_have_attribute("data-exact", "true")
        total = chart.get_attribute("data-total")
        assert total is not None
        assert 300 < int(total) < 1_500
        expect(chart).to_have_attribute("data-points", total)
    expect(page).to_have_url(re.compile(re.escape("xMin=")))
    loss.locator(".inside").dblclick()
    expect(other).to_have_attribute("data-total", "50000")
    expect(page).not_to_have_url(re.compile(re.escape("xMin=")))
    for key in ("Escape", "0"):
        drag(chart_of(page, "loss"), 0.4, 0.6)
        expect(other).not_to_have_attribute("data-total", "50000")
        page.keyboard.press(key)
        expect(other).to_have_attribute("data-total", "50000")


def test_nan_and_infinities_are_counted_where_they_are(opened: Opened) -> None:
    """They are told below the chart, in the tooltip at their step, and in the table."""
    log_run(opened, {"loss": [1.0, 2.0, NAN, 3.0, INFINITY, 4.0, -INFINITY, 2.0, 1.0]})
    page = opened.page()
    chart = chart_of(page, "loss")
    expect(chart.locator(".points")).to_have_text("9 of 9 points · 1 NaN · 2 infinite")
    for step, text in ((2, "NaN"), (4, "+Inf"), (6, "−Inf")):
        hover(chart, step / 8)
        expect(shown_tooltip(page).locator(".at")).to_have_text(f"step {step}")
        expect(shown_tooltip(page).locator("b:visible")).to_have_text(text)
    hover(chart, 2 / 8)
    canvas = chart.locator("canvas")
    assert canvas.evaluate(COLOURED, [0, 0, 1, 0.08]) > 10
    chart.focus()
    page.keyboard.press("t")
    cells = page.get_by_role("dialog").locator("tbody td")
    expect(cells).to_have_text(["1", "2", "NaN", "3", "+Inf", "4", "−Inf", "2", "1"])


def test_the_crosshair_is_in_all_charts_and_the_tooltip_says_what_lines_are(opened: Opened) -> None:
    """Names of runs are text, whatever is in them; lines tell their values where the pointer is."""
    log_run(opened, {"loss": [1.0, 2.0, 3.0], "other": [5.0, 6.0, 7.0]}, name=NAME)
    log_run(opened, {"loss": [10.0, 20.0, 30.0]}, name="second")
    page = opened.page()
    loss, other = chart_of(page, "loss"), chart_of(page, "other")
    hover(loss, 0.5)
    tooltip = shown_tooltip(page)
    expect(tooltip.locator(".at")).to_have_text("step 1")
    expect(tooltip.locator("span:visible")).to_have_text(["second", NAME])
    expect(tooltip.locator("b:visible")).to_have_text(["20", "2"])
    expect(loss.locator(".legend li")).to_have_text(["second", NAME])
    for chart in (loss, other):
        line, inside = (
            chart.locator(".inside > i").bounding_box(),
            chart.locator(".inside").bounding_box(),
        )
        assert line is not None
        assert inside is not None
        assert abs(line["x"] - inside["x"] - inside["width"] / 2) < 2
    page.mouse.move(5, 5)
    expect(tooltip).to_have_count(0)
    expect(other.locator(".inside > i")).to_be_hidden()


def test_of_many_lines_the_tooltip_tells_the_nearest(opened: Opened) -> None:
    """A chart of thirty lines tells of twelve, the nearest stands out, and of how many more."""
    for number in range(30):
        log_run(opened, {"loss": [float(number)] * 3}, name=f"run {number}")
    runs = [row["run_id"] for row in steplog.search_runs(output_format="pandas").to_dict("records")]
    page = opened.page("&".join(f"runs={run_id}" for run_id in runs))
    chart = chart_of(page, "loss")
    expect(chart).to_have_attribute("data-lines", "30")
    hover(chart, 0.5, 0.5)
    tooltip = shown_tooltip(page)
    expect(tooltip.locator("b:visible")).to_have_count(12)
    expect(tooltip).to_contain_text("and 18 more")
    expect(tooltip.locator(".near span")).to_have_text(re.compile(r"run 1[3-6]"))
    expect(chart.locator(".legend")).to_have_count(0)


def test_a_chart_is_used_by_keyboard_alone(opened: Opened) -> None:
    """Arrows move the crosshair, + and - zoom, t opens the table, e the files; it is told."""
    log_run(opened, {"loss": [float(step) for step in range(41)]})
    page = opened.page()
    chart = chart_of(page, "loss")
    chart.focus()
    at = shown_tooltip(page).locator(".at")
    for key, step in (
        ("ArrowRight", 0),
        ("ArrowRight", 1),
        ("Shift+ArrowRight", 11),
        ("ArrowLeft", 10),
        ("End", 40),
        ("Home", 0),
    ):
        page.keyboard.press(key)
        expect(at).to_have_text(f"step {step}")
    page.keyboard.press("+")
    expect(chart).to_have_attribute("data-total", "21")
    page.keyboard.press("-")
    expect(chart).to_have_attribute("data-total", "41")
    page.keyboard.press("t")
    dialog = page.get_by_role("dialog", name="loss")
    expect(dialog.locator("tbody tr")).to_have_count(41)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    chart.focus()
    page.keyboard.press("e")
    expect(chart.get_by_role("button", name="Save PNG")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog").get_by_text("In a chart: zoom in")).to_have_count(1)


def test_scales_say_what_they_leave_out(opened: Opened) -> None:
    """What is not positive on a logarithmic axis, and outliers that were clipped, are counted."""
    values = [math.sin(step) + 2 for step in range(200)]
    values[100], values[50] = 1e6, -3.0
    log_run(opened, {"loss": values})
    page = opened.page()
    points = chart_of(page, "loss").locator(".points")
    page.get_by_role("combobox", name="Y", exact=True).select_option("log")
    expect(points).to_have_text("200 of 200 points · 1 not positive")
    page.get_by_role("combobox", name="Y", exact=True).select_option("symlog")
    expect(points).to_have_text("200 of 200 points")
    page.get_by_role("combobox", name="Y", exact=True).select_option("linear")
    page.get_by_role("button", name="More").click()
    page.get_by_role("checkbox", name="Clip outliers").check()
    expect(points).to_have_text("200 of 200 points · 2 beyond the axis")
    page.get_by_role("checkbox", name="Log x").check()
    page.wait_for_function(f"() => !({BLANK})(document.querySelector('.chart canvas'))")


def test_smoothing_shows_both_and_changes_no_point(opened: Opened) -> None:
    """The tooltip tells the smoothed value beside the logged one, which stays as it was."""
    log_run(opened, {"loss": [float(step % 2) for step in range(101)]})
    page = opened.page()
    chart = chart_of(page, "loss")
    for kind in ("ema", "gaussian"):
        page.get_by_role("combobox", name="Smoothing", exact=True).select_option(kind)
        hover(chart, 0.9)
        expect(shown_tooltip(page).locator("b:visible")).to_have_text(re.compile(r"^~0\.\d+ 0$"))
        page.mouse.move(5, 5)
    expect(page).to_have_url(re.compile(re.escape("smoothing=gaussian")))


def test_runs_are_drawn_as_groups_with_their_bands(opened: Opened) -> None:
    """Runs that agree in a param are one line with a band; the tooltip says of how many runs."""
    for rate in (0.1, 0.01):
        for seed in range(3):
            log_run(opened, {"loss": [rate + seed, 2 * rate + seed]}, lr=rate, seed=seed)
    page = opened.page("group=params.lr&band=std")
    chart = chart_of(page, "loss")
    expect(chart).to_have_attribute("data-lines", "2")
    expect(chart.locator(".legend li")).to_have_text(["lr=0.01", "lr=0.1"])
    hover(chart, 0.0)
    rows = shown_tooltip(page).locator("b:visible")
    expect(rows).to_have_text(["1.1 [0.1 … 2.1] n=3", "1.01 [0.01 … 2.01] n=3"])


def test_axes_are_time_or_another_metric(opened: Opened) -> None:
    """The same points stand over the wall clock, the time since the start, or another metric."""
    log_run(opened, {"epoch": [0.0, 0.5, 1.0, 1.5], "loss": [4.0, 3.0, 2.0, 1.0]})
    page = opened.page()
    axis, at = (
        page.get_by_role("combobox", name="X", exact=True),
        shown_tooltip(page).locator(".at"),
    )
    for x, text in (
        ("time", r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$"),
        ("relative", r"^\d+\.\d s$"),
        ("metric", "^1.5$"),
    ):
        axis.select_option(x)
        chart = chart_of(page, "loss")
        expect(chart).to_have_attribute("data-total", "4")
        hover(chart, 0.99)
        expect(at).to_have_text(re.compile(text))
        page.mouse.move(5, 5)


def test_a_chart_is_saved_as_picture_and_as_numbers(opened: Opened) -> None:
    """PNG, SVG, the drawn values and all points are files that hold what was logged, with names."""
    key = "a/b c"
    log_run(opened, {key: [1.5, NAN, 2.5, INFINITY]}, name=NAME)
    chart = chart_of(opened.page(), key)
    png = save(chart, "Save PNG")
    assert png.suggested_filename == "a_b_c.png"
    picture = Path(png.path()).read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 5_000
    root = ElementTree.fromstring(text_of(save(chart, "Save SVG")))
    texts = [
        "".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")
    ]
    assert key in texts
    assert NAME in texts
    assert "NaN" not in ElementTree.tostring(root, encoding="unicode")
    drawn = list(
        csv.DictReader(io.StringIO(text_of(save(chart, "Save CSV of what is drawn")), newline=""))
    )
    assert [(row["line"], row["x"], row["mean"], row["nan"] or "0") for row in drawn[:3]] == [
        (NAME, "0", "1.5", "0"),
        (NAME, "1", "", "1"),
        (NAME, "2", "2.5", "0"),
    ]
    points = list(
        csv.DictReader(io.StringIO(text_of(save(chart, "Save CSV of all points")), newline=""))
    )
    assert [(row["run_name"], row["key"], row["step"]) for row in points] == [
        (NAME, key, str(step)) for step in range(4)
    ]
    assert [float(row["value"]) for row in points[2:]] == [2.5, INFINITY]


def test_a_logarithmic_axis_begins_with_single_steps(opened: Opened) -> None:
    """Where a bucket would be half of the screen, the beginning is drawn from its points."""
    log_run(opened, {"loss": [1.0 / (1 + step) for step in range(100_000)]})
    page = opened.page("logX=true")
    chart = chart_of(page, "loss")
    expect(chart).to_have_attribute("data-total", "100000")
    for press, step in (("Home", "0"), ("ArrowRight", "1"), ("ArrowRight", "2")):
        chart.focus()
        page.keyboard.press(press)
        expect(shown_tooltip(page).locator(".at")).to_have_text(f"step {step}")


def test_an_empty_window_says_why(opened: Opened) -> None:
    """Where no point lies in the window the chart says so, and how to see everything."""
    log_run(opened, {"loss": [1.0, 2.0]})
    page = opened.page("xMin=100&xMax=200")
    chart = page.locator("figure.chart[data-state=empty]")
    expect(chart).to_contain_text("No point lies in this window")
    chart.locator(".inside").dblclick()
    expect(page.locator("figure.chart[data-state=ready]")).to_have_count(1)


@pytest.mark.long
@pytest.mark.slow
def test_what_the_server_refuses_is_told_and_asked_again(opened: Opened) -> None:
    """A chart says what went wrong, and is there as soon as the server answers."""
    log_run(opened, {"loss": [1.0, 2.0]})
    body = json.dumps({"error_code": "INTERNAL_ERROR", "message": "The disk is on fire."})
    page = opened.context
    page.route(
        "**/charts",
        lambda route: route.fulfill(status=500, content_type="application/json", body=body),
        times=1,
    )
    shown = opened.page(refused=1)
    expect(shown.locator("figure.chart[data-state=error]")).to_contain_text("The disk is on fire.")
    expect(shown.locator("figure.chart[data-state=ready]")).to_have_count(1)


def test_dark_and_light_follow_the_system(opened: Opened) -> None:
    """When the system turns dark, the axes of a chart that is there are drawn in other colours."""
    log_run(opened, {"loss": [1.0, 2.0]})
    page = opened.page()
    page.emulate_media(color_scheme="light")
    chart_of(page, "loss")
    lightness = """() => {
      const canvas = document.querySelector(".chart canvas");
      const { data } = canvas.getContext("2d").getImageData(0, 0, 30, canvas.height);
      let [sum, count] = [0, 0];
      for (let i = 0; i < data.length; i += 4)
        if (data[i + 3] > 200) { sum += data[i]; count += 1; }
      return count ? sum / count : NaN;
    }"""
    page.wait_for_function(f"() => ({lightness})() > 0")
    light = page.evaluate(lightness)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"() => ({lightness})() < {light - 30}")  # the grid is most of it


LOGGING = """
import sys, steplog
steplog.set_tracking_uri(sys.argv[1])
with steplog.start_run(run_name="alive") as run:
    for step, line in enumerate(sys.stdin):
        steplog.log_metric("loss", float(line), step=step)
"""


@pytest.mark.slow
def test_new_points_appear_and_the_zoom_stays(opened: Opened, spawned: Spawn) -> None:
    """A chart of a running run grows by itself, and the window stays what was chosen."""
    process = spawned(LOGGING, opened.store)
    assert process.stdin is not None
    process.stdin.write("1\n2\n3\n")
    process.stdin.flush()
    page = opened.page("xMin=1&xMax=10")
    chart = page.locator("figure.chart")
    expect(chart).to_have_attribute("data-total", "2")
    process.stdin.write("4\n5\n")
    process.stdin.flush()
    expect(chart).to_have_attribute("data-total", "4")
    expect(page).to_have_url(re.compile(re.escape("xMin=1&xMax=10")))
    process.stdin.close()
    process.wait()
