"""The pages that compare runs, in a real browser: side by side, scattered, on parallel axes."""

from __future__ import annotations

import csv
import io
import itertools
import math
import re

import pytest
from browser import Opened
from playwright.sync_api import Locator, Page, expect

from steplog import Client
from steplog.entities import Metric, Param, Run, RunTag

pytestmark = [pytest.mark.long, pytest.mark.slow]

START_MS = 1_700_000_000_000
_seconds = itertools.count()


def log_run(
    client: Client, name: str, params: dict[str, str], metrics: dict[str, list[float]]
) -> Run:
    """Log a run that begins a second after the one before."""
    run = client.create_run("0", START_MS + 1000 * next(_seconds), run_name=name)
    points = [
        Metric(key, value, START_MS + step, step)
        for key, values in metrics.items()
        for step, value in enumerate(values)
    ]
    own = [Param(key, value) for key, value in params.items()]
    client.log_batch(run.info.run_id, metrics=points, params=own)
    client.set_terminated(run.info.run_id)
    return run


def sweep(client: Client, count: int = 12) -> list[Run]:
    """Log runs of two optimizers and three rates; run 0 is the worst of them, the last the best."""
    return [
        log_run(
            client,
            f"trial {number}",
            {"lr": str(0.1 ** (number % 3)), "optimizer": "adam" if number % 2 else "sgd"},
            {"valid/loss": [2.0, 1 / (1 + number)], "valid/accuracy": [0.5, number / count]},
        )
        for number in range(count)
    ]


def matrix(page: Page) -> Locator:
    return page.get_by_role("region", name="Comparison")


def row(page: Page, name: str) -> Locator:
    return (
        matrix(page)
        .get_by_role("row")
        .filter(has=page.get_by_role("rowheader", name=name, exact=True))
    )


def pick(page: Page, menu: str, choice: str) -> None:
    """Choose a field in one of the menus of fields."""
    page.get_by_role("button", name=re.compile(f"^{menu}")).click()
    page.locator(".field-choices").get_by_role("button", name=choice, exact=True).click()


def test_runs_stand_side_by_side_with_their_difference_to_a_baseline(opened: Opened) -> None:
    """Only what differs is shown; metrics have a difference in percent, coloured by direction."""
    client = opened.client
    common = {"epochs": "3"}
    log_run(client, "base", {"lr": "0.1", **common}, {"loss": [2.0], "accuracy": [0.4]})
    log_run(client, "better", {"lr": "0.2", **common}, {"loss": [1.0], "accuracy": [0.5]})
    page = opened.page("page=compare")
    expect(matrix(page).get_by_role("columnheader")).to_have_count(2)
    expect(row(page, "epochs")).to_have_count(0)
    head = (
        matrix(page)
        .get_by_role("columnheader")
        .filter(has=page.get_by_role("link", name="base", exact=True))
    )
    head.hover()
    head.get_by_role("button", name="baseline").click()
    expect(page).to_have_url(re.compile(re.escape("baseline=")))
    loss = row(page, "loss").locator("td").first
    expect(loss).to_have_text("1−50 %")
    expect(loss.locator(".better")).to_have_count(1)
    expect(row(page, "accuracy").locator("td").first).to_have_text("0.5+25 %")
    expect(row(page, "loss").locator("td").last).to_have_text("2")
    page.get_by_label("Only what differs").uncheck()
    expect(row(page, "epochs").locator("td")).to_have_text(["3", "3"])
    page.locator("#keys").fill("lr|epochs")
    expect(row(page, "loss")).to_have_count(0)


def test_any_part_of_a_metric_is_compared_and_what_is_missing_stays_empty(opened: Opened) -> None:
    """Last, min, max and best; NaN is a value, and a run without the metric has a dash."""
    client = opened.client
    log_run(client, "first", {}, {"loss": [3.0, 1.0, math.nan]})
    log_run(client, "second", {}, {"loss": [2.0], "extra": [1.0]})
    page = opened.page("page=compare")
    loss = row(page, "loss").locator("td")
    expect(loss).to_have_text(["2", "NaN"])
    expect(row(page, "extra").locator("td")).to_have_text(["1", "–"])
    part = page.get_by_role("combobox", name="Metrics", exact=True)
    part.select_option("max")
    expect(loss).to_have_text(["2", "3+50 %"])
    part.select_option("best")
    expect(loss).to_have_text(["2", "1−50 %"])
    expect(page).to_have_url(re.compile(re.escape("part=best")))


def test_groups_of_runs_are_columns_with_mean_and_deviation(opened: Opened) -> None:
    """Grouped by a param, a column stands for several runs, and says how many."""
    for seed, loss in enumerate((1.0, 3.0)):
        log_run(opened.client, f"a{seed}", {"lr": "0.1", "seed": str(seed)}, {"loss": [loss]})
    log_run(opened.client, "b", {"lr": "0.5", "seed": "0"}, {"loss": [4.0]})
    page = opened.page("page=compare&group=params.lr")
    heads = matrix(page).get_by_role("columnheader")
    expect(heads).to_have_text([re.compile(r"lr=0\.1.*n = 2"), re.compile(r"^lr=0\.5")])
    expect(row(page, "loss").locator("td")).to_have_text(["2 ± 1.4", "4+100 %"])
    expect(row(page, "seed").locator("td")).to_have_text(["2 values", "0"])


def test_a_comparison_is_copied_with_all_digits(opened: Opened) -> None:
    """As CSV and as Markdown, what is shown goes to the clipboard, exactly."""
    opened.context.grant_permissions(["clipboard-read", "clipboard-write"])
    log_run(opened.client, 'a, "b" | c', {"lr": "0.1"}, {"loss": [1 / 3]})
    log_run(opened.client, "other", {"lr": "0.2"}, {"loss": [0.5]})
    page = opened.page("page=compare")
    expect(row(page, "loss")).to_be_visible()
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="As CSV").click()
    expect(page.get_by_text("Copied as CSV.")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert list(csv.reader(io.StringIO(copied))) == [
        ["", "other", 'a, "b" | c'],
        ["lr", "0.2", "0.1"],
        ["loss", "0.5", "0.3333333333333333"],
    ]
    page.get_by_role("button", name="As Markdown").click()
    expect(page.get_by_text("Copied as Markdown.")).to_be_visible()
    assert "\\|" in page.evaluate("navigator.clipboard.readText()")


def test_what_people_call_things_is_shown_as_text(opened: Opened) -> None:
    """HTML, quotes and right-to-left names in runs, params and tags stay what they are."""
    client = opened.client
    evil = '<img src=x onerror="alert(1)">'
    run = log_run(client, evil, {"text": evil}, {"loss": [1.0]})
    client.set_tag(run.info.run_id, "مفتاح", "<b>قيمة</b>")
    log_run(client, "x" * 250, {"text": "'"}, {"loss": [2.0]})
    page = opened.page("page=compare&tags=true")
    expect(matrix(page).get_by_role("columnheader").filter(has_text=evil)).to_be_visible()
    expect(row(page, "text").locator("td")).to_have_text(["'", evil])
    expect(row(page, "مفتاح").locator("td").last).to_have_text("<b>قيمة</b>")
    expect(page.locator("main img")).to_have_count(0)


def test_many_runs_are_rows_of_the_comparison(opened: Opened) -> None:
    """With more than a dozen runs each is a row, and opens its page."""
    runs = sweep(opened.client, 15)
    chosen = "".join(f"&runs={run.info.run_id}" for run in runs)
    page = opened.page(f"page=compare{chosen}")
    expect(matrix(page).get_by_role("rowheader")).to_have_count(15)
    expect(matrix(page).get_by_role("columnheader", name="valid/loss")).to_be_visible()
    matrix(page).get_by_role("link", name="trial 3", exact=True).click()
    expect(page.get_by_role("heading", name="trial 3")).to_be_visible()


def test_runs_that_agree_in_everything_say_so(opened: Opened) -> None:
    """Where nothing differs, that is the answer, and everything can be shown."""
    for name in ("a", "b"):
        log_run(opened.client, name, {"lr": "0.1"}, {"loss": [1.0]})
    page = opened.page("page=compare")
    expect(page.get_by_role("heading", name="They do not differ.")).to_be_visible()
    page.get_by_role("button", name="Show everything").click()
    expect(row(page, "loss").locator("td")).to_have_text(["1", "1"])


def test_runs_are_scattered_over_any_two_fields(opened: Opened) -> None:
    """Axes are params or parts of metrics; the point that is pointed at is named, and opens."""
    sweep(opened.client)
    page = opened.page("page=scatter")
    plot = page.locator(".scatter")
    expect(plot).to_have_attribute("data-points", "10")
    pick(page, "X", "lr")
    page.get_by_label("Log x").check()
    pick(page, "Y", "valid/loss max")
    expect(plot).to_have_attribute("data-points", "10")
    for part in ("scatterX=params.lr", "scatterY=metrics.valid%2Floss.max", "scatterLogX=true"):
        expect(page).to_have_url(re.compile(re.escape(part)))
    pick(page, "Y", "valid/loss")
    page.locator(".scatter circle").first.hover()
    tip = page.locator(".tip")
    expect(tip).to_contain_text(re.compile(r"trial \d+lr[\d.e−]+valid/loss[\d.]+"))
    name = tip.locator("strong").inner_text()
    page.locator(".scatter circle").first.click()
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()


def test_points_are_coloured_by_a_field_and_told_as_a_table(opened: Opened) -> None:
    """All listed runs, coloured by a param with a legend; a table says the same to everybody."""
    sweep(opened.client)
    page = opened.page("page=scatter&scatterX=params.optimizer&scatterY=metrics.valid/accuracy")
    page.get_by_role("combobox", name="Runs", exact=True).select_option("all")
    expect(page.locator(".scatter")).to_have_attribute("data-points", "12")
    pick(page, "Colour", "optimizer")
    expect(page.locator(".colour-legend li")).to_have_text(["adam", "sgd"])
    fills = page.locator(".scatter circle").evaluate_all(
        "all => [...new Set(all.map((one) => one.style.fill))]"
    )
    assert len(fills) == 2
    page.get_by_role("button", name="Table", exact=True).click()
    table = page.get_by_role("dialog").get_by_role("table")
    expect(table.get_by_role("row")).to_have_count(13)
    expect(table.get_by_role("row", name="trial 11")).to_contain_text("adam")


def test_a_range_of_a_parallel_axis_chooses_runs(opened: Opened) -> None:
    """Dragging along an axis leaves the runs inside, also in a link, and they can be selected."""
    sweep(opened.client)
    axes = "axes=params.lr&axes=params.optimizer&axes=metrics.valid/accuracy"
    page = opened.page(f"page=parallel&all=true&{axes}")
    board = page.locator(".board")
    expect(board).to_have_attribute("data-lines", "12")
    expect(board).to_have_attribute("data-inside", "12")
    lane = page.locator(".lane").last.bounding_box()
    assert lane is not None
    x = lane["x"] + lane["width"] / 2
    page.mouse.move(x, lane["y"] + 2)
    page.mouse.down()
    page.mouse.move(x, lane["y"] + lane["height"] / 2, steps=4)
    page.mouse.up()
    expect(board).to_have_attribute("data-inside", "6")
    expect(page.get_by_text("6 of 12 runs inside")).to_be_visible()
    again = opened.page(page.evaluate("location.href").partition("#")[2])
    expect(again.locator(".board")).to_have_attribute("data-inside", "6")
    page.get_by_role("button", name="Select these").click()
    assert len(re.findall("runs=", page.evaluate("location.href"))) == 6
    page.get_by_role("button", name="Whole axes").click()
    expect(board).to_have_attribute("data-inside", "12")


def test_parallel_axes_are_added_moved_and_removed_by_keyboard(opened: Opened) -> None:
    """Each axis has a menu: its scale, its range in numbers, its place; all in the address."""
    sweep(opened.client, 6)
    page = opened.page("page=parallel&axes=params.lr&axes=metrics.valid/loss")
    names = page.locator(".lane-title bdi")
    expect(names).to_have_text(["lr", "valid/loss"])
    pick(page, "Add axis", "optimizer")
    expect(names).to_have_text(["lr", "valid/loss", "optimizer"])
    page.get_by_role("button", name="Axis lr").press("Enter")
    panel = page.get_by_role("group", name="Axis lr")
    panel.get_by_label("Log").check()
    panel.get_by_label("To", exact=True).fill("0.05")
    panel.get_by_label("To", exact=True).press("Enter")
    expect(page.locator(".board")).to_have_attribute("data-inside", "2")
    panel.get_by_role("button", name="Move right").press("Enter")
    expect(names).to_have_text(["valid/loss", "lr", "optimizer"])
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Axis valid/loss").press("Enter")
    page.get_by_role("button", name="Remove", exact=True).press("Enter")
    expect(names).to_have_text(["lr", "optimizer"])
    expect(page).to_have_url(re.compile(re.escape("logAxes=params.lr")))


def test_the_line_under_the_pointer_is_named(opened: Opened) -> None:
    """A tooltip tells the values of the run that is pointed at, and a click opens it."""
    runs = sweep(opened.client, 3)
    opened.client.log_batch(runs[0].info.run_id, tags=[RunTag("team", "a")])
    axes = "axes=params.lr&axes=tags.team&axes=metrics.valid/accuracy"
    page = opened.page(f"page=parallel&{axes}")
    board = page.locator(".board")
    expect(board).to_have_attribute("data-lines", "3")
    lane = page.locator(".lane").last.bounding_box()
    assert lane is not None
    middle = lane["x"] + lane["width"] / 2
    page.mouse.move(middle - 1, lane["y"] + 1)
    tip = page.locator(".tip")
    expect(tip.locator("strong")).to_have_text("trial 2")
    expect(tip).to_contain_text("team–")
    page.mouse.click(middle - 14, lane["y"] + 14)
    expect(page.get_by_role("heading", name="trial 2")).to_be_visible()
