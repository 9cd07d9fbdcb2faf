"""The view in the address, and what the page says where nothing is to be seen, in a browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from browser import Opened
from playwright.sync_api import Browser, Locator, Page, expect
from serving import serving

from steplog import Client
from steplog.entities import Metric, Param, Run
from steplog.server import tokens

pytestmark = [pytest.mark.long, pytest.mark.slow]

START_MS = 1_700_000_000_000


def log_run(client: Client, name: str, rate: str = "0.1") -> Run:
    """Log a finished run with two metrics and two params; "run 2" began after "run 1"."""
    run = client.create_run("0", START_MS + int(name.split()[1]), run_name=name)
    metrics = [
        Metric(key, 1 / (1 + step), START_MS + 1000 * step, step)
        for key in ("loss", "valid/loss")
        for step in range(20)
    ]
    params = [Param("lr", rate), Param("name", name)]
    client.log_batch(run.info.run_id, metrics=metrics, params=params)
    client.set_terminated(run.info.run_id, end_time=START_MS + 60_000)
    return run


def chart(page: Page, key: str) -> Locator:
    return page.get_by_role("figure", name=key, exact=True)


def names(page: Page) -> Locator:
    return page.locator(".lines .name a")


def choose(page: Page) -> None:
    """Change ten things of the view, all by the page's own means."""
    page.get_by_label("Filter the runs").fill("params.lr = '0.1'")
    page.keyboard.press("Enter")
    expect(names(page)).to_have_text(["run 3", "run 1"])
    page.get_by_role("columnheader", name="Name").get_by_role("button").first.click()
    expect(names(page)).to_have_text(["run 1", "run 3"])
    for name in ("run 1", "run 3"):
        page.get_by_label(f"Select {name}").check()
    page.get_by_label("Pin run 3").click()
    bar = page.get_by_role("toolbar", name="Charts")
    bar.get_by_label("Metrics").fill("^loss")
    bar.get_by_role("combobox", name="Y", exact=True).select_option("log")
    bar.get_by_role("combobox", name="X", exact=True).select_option("relative")
    bar.get_by_role("combobox", name="Smoothing", exact=True).select_option("gaussian")
    bar.get_by_role("button", name="More choices").click()
    page.get_by_role("group", name="Size of charts").get_by_role("button", name="S").click()
    page.keyboard.press("Escape")
    bar.get_by_role("button", name="Group runs").click()
    page.get_by_role("group", name="Group runs").get_by_label("name", exact=True).check()
    page.keyboard.press("Escape")


def seen(page: Page) -> dict[str, object]:
    """Return what can be seen of all that was chosen."""
    expect(chart(page, "loss")).to_have_attribute("data-state", "ready")
    expect(chart(page, "loss")).to_have_attribute("data-lines", "2")
    bar = page.get_by_role("toolbar", name="Charts")
    box = chart(page, "loss").bounding_box()
    return {
        "filter": page.get_by_label("Filter the runs").input_value(),
        "rows": names(page).all_inner_texts(),
        "chosen": page.locator(".selection").inner_text(),
        "pinned": page.get_by_role("row").filter(has_text="run 3").count(),
        "charts": page.locator("figure.chart h3").all_inner_texts(),
        "axes": [
            bar.get_by_role("combobox", name=name, exact=True).input_value()
            for name in ("X", "Y", "Smoothing")
        ],
        "group": bar.get_by_role("button", name="Group runs").inner_text(),
        "legend": chart(page, "loss").locator(".legend").inner_text(),
        "height": box and box["height"],
    }


def test_a_link_shows_to_others_what_one_sees(opened: Opened) -> None:
    """Everything chosen by hand lives in the address: a browser that is new shows the same."""
    for number, rate in enumerate(["0.2", "0.1", "0.3", "0.1"]):
        log_run(opened.client, f"run {number}", rate)
    page = opened.page()
    choose(page)
    shown = seen(page)
    assert shown["pinned"] == 2
    browser = opened.context.browser
    assert browser is not None
    other = Opened(browser, opened.server, opened.store)
    view = page.evaluate("location.href").partition("#")[2]
    assert len(re.findall("=", view)) >= 10
    assert seen(other.page(view)) == shown
    other.close()


def test_back_and_forward_lead_through_the_pages(opened: Opened) -> None:
    """The browser's buttons go from page to page, and choices do not pile up between them."""
    run = log_run(opened.client, "run 0")
    log_run(opened.client, "run 1")
    page = opened.page()
    expect(chart(page, "loss")).to_be_visible()
    page.get_by_role("toolbar", name="Charts").get_by_label("Metrics").fill("loss")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Scatter").click()
    page.get_by_label("Log x").check()
    names(page).filter(has_text="run 0").click()
    expect(page.get_by_role("heading", name="run 0")).to_be_visible()
    expect(page).to_have_url(re.compile(re.escape(run.info.run_id)))
    page.go_back()
    expect(page.get_by_label("Log x")).to_be_checked()
    page.go_back()
    expect(chart(page, "loss")).to_be_visible()
    page.go_forward()
    expect(page.get_by_label("Log x")).to_be_checked()


@pytest.mark.parametrize(
    "view",
    [
        "%",
        "&&==&#",
        "page=nowhere&x=sideways&y=up&size=xxl&strength=many&xMin=1e999&band=%F0%9F",
        "runs=" + "x" * 3000,
        "columns=metrics.&columns=nonsense&columns=params.%00&group=&axes=nothing",
        "__proto__=1&constructor=2&filter=",
    ],
)
def test_an_address_that_is_broken_does_no_harm(opened: Opened, view: str) -> None:
    """What cannot be understood counts as not said; the runs and the page are there."""
    log_run(opened.client, "run 0")
    page = opened.page(view)
    expect(names(page)).to_have_text(["run 0"])
    expect(page.get_by_role("button", name="Charts")).to_have_attribute("aria-pressed", "true")


def test_where_nothing_is_listed_the_next_step_is_named(opened: Opened) -> None:
    """No run yet, none that matches, none that was deleted: each says so, and what to do."""
    page = opened.page()
    expect(page.get_by_role("heading", name="No runs yet.")).to_be_visible()
    expect(page.locator(".empty pre")).to_contain_text("mlflow.log_metric")
    expect(page.locator(".empty")).to_contain_text(opened.server.url)
    log_run(opened.client, "run 0")
    page.mouse.move(700, 300)
    expect(names(page)).to_have_text(["run 0"])  # by itself
    expect(page.get_by_role("heading", name="No runs yet.")).to_have_count(0)
    page.get_by_label("Stage").select_option("deleted")
    expect(page.get_by_role("heading", name="No deleted run is here.")).to_be_visible()
    page.get_by_role("button", name="Show all runs").click()
    expect(names(page)).to_have_text(["run 0"])
    page.get_by_label("Filter the runs").fill("params.lr = 'none'")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="No run is like this.")).to_be_visible()


def test_a_server_that_went_away_is_told_and_found_again(browser: Browser, tmp_path: Path) -> None:
    """While it is away what was shown stays, with the reason; back again, new runs appear."""
    store = tmp_path / "store"
    client = Client(str(store))
    log_run(client, "run 0")
    with serving(store) as server:
        opened = Opened(browser, server, store)
        page = opened.page()
        expect(chart(page, "loss")).to_have_attribute("data-state", "ready")
        server.stop()
        page.get_by_label("Filter the runs").fill("run")
        page.keyboard.press("Enter")
        alert = page.get_by_role("alert").filter(has_text="The server cannot be reached.")
        expect(alert.first).to_be_visible()
        expect(names(page)).to_have_text(["run 0"])
        expect(chart(page, "loss").locator("canvas")).to_be_visible()
        log_run(client, "run 1")
        with serving(store, "--port", str(server.port)):
            page.mouse.move(700, 300)
            expect(names(page)).to_have_text(["run 1", "run 0"])
            expect(alert).to_have_count(0)
            expect(chart(page, "loss")).to_have_attribute("data-lines", "2")
            assert all("ERR_CONNECTION" in problem for problem in opened.problems)
            opened.problems.clear()
            opened.close()


def test_signing_in_by_the_form(browser: Browser, tmp_path: Path) -> None:
    """Without a token there is a form; a wrong one is refused, a good one leads to the view."""
    store = tmp_path / "store"
    run = log_run(Client(str(store)), "run 0")
    _, token = tokens.create(str(store), "write")
    with serving(store) as server:
        opened = Opened(browser, server, store)
        page = opened.page(refused=2)
        assert page.locator("body").inner_text().count("run 0") == 0
        page.get_by_label("Token").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_label("Token")).to_have_value("")
        page.get_by_label("Token").fill(token)
        page.keyboard.press("Enter")
        expect(names(page)).to_have_text(["run 0"])
        expect(page).not_to_have_url(re.compile(re.escape(token)))
        page.get_by_label("Select run 0").check()
        expect(page.get_by_role("button", name="Delete")).to_be_visible()
        again = opened.page(f"page=run&run={run.info.run_id}")
        expect(again.get_by_role("heading", name="run 0")).to_be_visible()
        opened.close()
