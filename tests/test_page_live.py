"""The page while training goes on, in a real browser: what comes by itself, and what is asked for.

How soon a point is on the screen is a matter of a benchmark, not of these tests.
"""

from __future__ import annotations

import re
from subprocess import Popen

import pytest
from browser import Opened, Spawn
from playwright.sync_api import Locator, Page, Request, expect

from steplog.entities import Metric

LOGGING = """
import sys
import steplog

steplog.set_tracking_uri(sys.argv[1])
with steplog.start_run(run_name="alive"):
    for step, line in enumerate(sys.stdin):
        key, value = line.split()
        steplog.log_metric(key, float(value), step=step)
"""
HIDING = """
let hidden = false;
Object.defineProperty(document, "hidden", { get: () => hidden });
Object.defineProperty(document, "visibilityState", { get: () => (hidden ? "hidden" : "visible") });
window.hide = (value) => {
  hidden = value;
  document.dispatchEvent(new Event("visibilitychange"));
};
"""
MINUTE_MS = 60_000
QUIET_BYTES = 2_000


class Traffic:
    """What a page asks its server for, from now on."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked: list[Request] = []
        self.answered: list[Request] = []
        page.on("request", lambda request: self.asked.append(request))
        page.on("requestfinished", lambda request: self.answered.append(request))
        page.on("requestfailed", lambda request: self.answered.append(request))

    def settle(self) -> int:
        """Wait until everything is answered; return how many requests there have been."""
        self.page.evaluate("0")  # lets requests that are under way be told of
        while len(self.answered) < len(self.asked):
            self.page.wait_for_event("requestfinished")
        return len(self.asked)

    def wait_for_tick(self) -> None:
        with self.page.expect_response("**/runs/table"):
            pass


def tell(process: Popen[str], *lines: str) -> None:
    """Have a program log points: each a key and a value."""
    assert process.stdin is not None
    process.stdin.writelines(f"{line}\n" for line in lines)
    process.stdin.flush()


def end(process: Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.wait()


def chart(page: Page, key: str) -> Locator:
    return page.get_by_role("figure", name=key, exact=True)


def log_finished_run(opened: Opened) -> str:
    """Log a run of five points that is over; return its id."""
    run = opened.client.create_run("0", run_name="over")
    points = [Metric("loss", 1 / (1 + step), 1_700_000_000_000, step) for step in range(5)]
    opened.client.log_batch(run.info.run_id, metrics=points)
    opened.client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


@pytest.mark.long
@pytest.mark.slow
def test_points_metrics_and_runs_come_by_themselves(opened: Opened, spawned: Spawn) -> None:
    """What running programs log appears in the page that is open, which is never loaded again."""
    first = spawned(LOGGING, opened.store)
    tell(first, "loss 3")
    page = opened.page()
    page.evaluate("window.isSame = true")
    expect(chart(page, "loss")).to_have_attribute("data-total", "1")
    expect(page.locator("header .live")).to_have_text("live")
    tell(first, "loss 2", "loss nan", "valid/loss 9")
    expect(chart(page, "loss")).to_have_attribute("data-total", "3")
    expect(chart(page, "loss").locator(".points")).to_have_text("3 of 3 points · 1 NaN")
    expect(chart(page, "valid/loss")).to_have_attribute("data-total", "1")
    second = spawned(LOGGING, opened.store)
    tell(second, "loss 7")
    expect(chart(page, "loss")).to_have_attribute("data-lines", "2")
    expect(chart(page, "loss")).to_have_attribute("data-total", "4")
    assert page.evaluate("window.isSame")


@pytest.mark.long
@pytest.mark.slow
def test_zoom_and_selection_stay_while_points_arrive(opened: Opened, spawned: Spawn) -> None:
    """A new run and new points do not move what somebody looks at, nor change the address."""
    process = spawned(LOGGING, opened.store)
    tell(process, *[f"loss {1 / step}" for step in range(1, 41)])
    page = opened.page()
    page.get_by_label("Select alive").check()
    loss = chart(page, "loss")
    expect(loss).to_have_attribute("data-total", "40")
    box = loss.locator(".inside").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.5, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, middle, steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile("xMin=.*xMax="))
    expect(loss).to_have_attribute("aria-busy", "false")
    seen, address = loss.get_attribute("data-total"), page.evaluate("location.href")
    assert seen is not None and int(seen) < 20
    other = spawned(LOGGING, opened.store)
    tell(other, *["loss 5"] * 40)
    tell(process, "loss 1", "valid/loss 1")
    expect(chart(page, "valid/loss")).to_have_attribute("data-state", "empty")
    expect(page.locator(".total")).to_have_text("2 runs")
    expect(page.locator(".selection")).to_contain_text("1 selected")
    expect(loss).to_have_attribute("data-total", seen)
    expect(loss).to_have_attribute("data-lines", "1")
    assert page.evaluate("location.href") == address


@pytest.mark.slow
def test_how_a_run_ended_is_seen(opened: Opened, spawned: Spawn) -> None:
    """A run that ends turns to Finished, one that is killed to Lost; then nothing is live."""
    ends, dies = spawned(LOGGING, opened.store), spawned(LOGGING, opened.store)
    for process in (ends, dies):
        tell(process, "loss 1")
    page = opened.page()
    status = page.locator(".lines .status")
    expect(status).to_contain_text(["Running", "Running"])
    end(ends)
    expect(status.filter(has_text="Finished")).to_have_count(1)
    expect(status.filter(has_text="Running")).to_have_count(1)
    dies.kill()
    dies.wait()
    expect(status.filter(has_text="Lost")).to_have_count(1)
    expect(page.locator("header .live")).to_have_text("")


@pytest.mark.slow
def test_a_hidden_tab_asks_for_nothing(opened: Opened, spawned: Spawn) -> None:
    """While the tab is hidden nothing is sent, however long; shown again, it is up to date."""
    opened.context.add_init_script(HIDING)
    opened.context.clock.install()
    process = spawned(LOGGING, opened.store)
    tell(process, "loss 1")
    page = opened.page()
    traffic = Traffic(page)
    expect(chart(page, "loss")).to_have_attribute("data-total", "1")
    traffic.wait_for_tick()
    page.evaluate("hide(true)")
    before = traffic.settle()
    tell(process, "loss 2")
    page.clock.run_for(10 * MINUTE_MS)
    page.mouse.move(300, 300)
    page.clock.run_for(MINUTE_MS)
    assert traffic.settle() == before
    page.evaluate("hide(false)")
    expect(chart(page, "loss")).to_have_attribute("data-total", "2")


def test_a_page_that_nobody_uses_falls_silent(opened: Opened) -> None:
    """Where nothing runs, it asks for a minute after the last sign of a person, then no more."""
    log_finished_run(opened)
    opened.context.clock.install()
    page = opened.page()
    traffic = Traffic(page)
    expect(chart(page, "loss")).to_have_attribute("data-total", "5")
    with page.expect_response("**/runs/table"):
        page.clock.run_for(6_000)
    page.clock.run_for(MINUTE_MS)
    before = traffic.settle()
    page.clock.run_for(10 * MINUTE_MS)
    assert traffic.settle() == before
    log_finished_run(opened)
    page.mouse.move(300, 300)
    expect(page.locator(".total")).to_have_text("2 runs")


@pytest.mark.long
@pytest.mark.slow
def test_a_tick_without_news_is_small(opened: Opened, spawned: Spawn) -> None:
    """While a run of 5,000 points logs nothing, the page is sent less than 2 kB at each tick."""
    process = spawned(LOGGING, opened.store)
    tell(process, *[f"loss {1 / step}" for step in range(1, 5001)])
    page = opened.page()
    expect(chart(page, "loss")).to_have_attribute("data-total", "5000")
    Traffic(page).wait_for_tick()
    traffic = Traffic(page)
    for _ in range(3):
        traffic.wait_for_tick()
    traffic.settle()
    sent = sum(request.sizes()["responseBodySize"] for request in traffic.answered)
    ticks = sum(request.url.endswith("/runs/table") for request in traffic.answered)
    assert ticks >= 3
    assert sent / ticks < QUIET_BYTES
