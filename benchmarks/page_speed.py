"""How quick steplog's page is, and its answers: long series, many charts, zoom, hover, live, rows.

Each figure is what a person would see: the time in the browser from a click (or from opening the
page) to two frames after it is drawn.
"""

from __future__ import annotations

import os
import time
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import browsing
import harness
import numpy as np
import servers.steplog
import viewers
from server_search import many_runs
from viewers import STEPLOG
from viewers.asking import ask, ask_json
from viewers.steplog import OURS, command, fill

from steplog import Client
from steplog.entities import Metric

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

MILLION = 1_000_000
READY = ".chart[data-state=ready]"
HOVERS = 120
LIVE_SECONDS = 60.0

FRAMES = """async (moves) => {
  const inside = document.querySelector('.chart .inside');
  const box = inside.getBoundingClientRect();
  const times = [];
  for (let i = 0; i < moves; i += 1) {
    const at = { clientX: box.left + box.width * (0.1 + 0.8 * (i % 60) / 60),
                 clientY: box.top + box.height / 2, bubbles: true };
    const begin = performance.now();
    inside.dispatchEvent(new PointerEvent('pointermove', at));
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    times.push(performance.now() - begin);
  }
  times.sort((a, b) => a - b);
  return times[Math.floor(times.length * 0.95)];
}"""


def measure(_: str, options: Namespace) -> harness.Measures:
    """Measure one thing after the other, each on a store of its own."""
    small = MILLION // 10 if options.quick else MILLION
    return {
        **long_runs(small),
        **many_charts(10 if options.quick else 50, 20 if options.quick else 100),
        **long_series(MILLION, (100 if options.huge else 10) * MILLION),
        **many_rows(10_000 if options.quick else 100_000),
        **live(LIVE_SECONDS / 4 if options.quick else LIVE_SECONDS),
        **long_live(600 if options.quick else 3600),
    }


def long_runs(points: int) -> harness.Measures:
    """Ten runs: first view, zoom, hover."""
    random = np.random.default_rng(0)
    runs = {f"run-{i}": random.normal(1, 0.1, points).tolist() for i in range(10)}
    name = f"10 runs x {points:,} points"

    def look(chromium: Browser, url: str) -> harness.Measures:
        views = [first_view(chromium, url, 1) for _ in range(6)][1:]
        tab = browsing.open_page(chromium)
        tab.goto(url)
        tab.wait_for_selector(READY)
        zooms = [zoom(tab) for _ in range(7)]
        frame = float(tab.evaluate(FRAMES, HOVERS))
        return {
            f"first view of {name}, s": median(views),
            f"zoom of {name}, s": median(zooms),
            f"hover over {name}, ms a frame (95th percentile)": frame,
        }

    return shown(runs, look)


def many_charts(runs: int, metrics: int) -> harness.Measures:
    """Many runs with many metrics each: first view of the charts on screen."""
    directory = _directory()
    client = Client(directory)
    for number in range(runs):
        run_id = client.create_run("0", run_name=f"run-{number}").info.run_id
        values = np.random.default_rng(number).normal(size=(metrics, 100)).cumsum(axis=1)
        for key, series in enumerate(values.tolist()):
            points = [Metric(f"part{key % 7}/m{key}", v, 1000 + i, i) for i, v in enumerate(series)]
            client.log_batch(run_id, points)
        client.set_terminated(run_id)
    ids = [each.row.run_id for each in client.store.runs()]
    view = "".join(f"&runs={run_id}" for run_id in ids)

    def look(chromium: Browser, url: str) -> harness.Measures:
        views = [first_view(chromium, f"{url}/#{view[1:]}", 3) for _ in range(4)][1:]
        return {f"first view of {runs} runs x {metrics} metrics, s": median(views)}

    return served(directory, look)


def long_series(short: int, long: int) -> harness.Measures:
    """The answer with one chart, of a short and of a long series: the first time, and again."""
    measures = {}
    for points in (short, long):
        random = np.random.default_rng(1)
        directory = _directory()
        fill(directory, {"run": random.normal(1, 0.1, points).astype(np.float32)})  # type: ignore[dict-item]
        seconds = []
        for _ in range(3):  # a server that has just started remembers nothing
            port = browsing.free_port()
            with browsing.serving(command(directory, port), port) as url:
                [row] = ask_json(f"{url}{OURS}/runs/table", {})["rows"]
                query = {"charts": [{"run_ids": [row["run_id"]], "keys": [viewers.KEY]}]}
                seconds.append(timed(partial(ask, f"{url}{OURS}/charts", query)))
        measures[f"chart of {points // MILLION} M points from the server, s"] = median(seconds)
    return measures


def many_rows(count: int) -> harness.Measures:
    """The table of many runs, filtered by one metric and sorted by another."""
    directory = _directory()
    servers.steplog.fill(directory, many_runs(count))
    port = browsing.free_port()
    query = {
        "filter": "metrics.loss < 0.3",
        "order_by": ["metrics.acc DESC"],
        "columns": ["metrics.loss", "metrics.acc.max", "params.lr"],
    }
    with browsing.serving(command(directory, port), port) as url:
        seconds = [timed(partial(ask, f"{url}{OURS}/runs/table", query)) for _ in range(6)][1:]
    return {f"table of {count:,} runs, filtered and sorted, s": median(seconds)}


def live(seconds: float) -> harness.Measures:
    """A run that logs while its page is open: how late a point is seen, and what memory grows."""
    directory = _directory()
    client = Client(directory)
    run_id = client.create_run("0", run_name="live").info.run_id
    client.log_metric(run_id, viewers.KEY, 0.0, step=0)

    def look(chromium: Browser, url: str) -> harness.Measures:
        tab = browsing.open_page(chromium)
        tab.goto(url)
        tab.wait_for_selector(READY)
        lates, step, end = [], 0, time.monotonic() + seconds
        while time.monotonic() < end:
            for _ in range(500):
                step += 1
                client.log_metric(run_id, viewers.KEY, float(np.sin(step / 99)), step=step)
            begin = time.perf_counter()
            tab.wait_for_selector(f".chart[data-total='{step + 1}']", state="attached")
            lates.append(time.perf_counter() - begin)
        return {"live: from log_metric to the page, s": median(lates)}

    return served(directory, look)


def long_live(seconds: int) -> harness.Measures:
    """A page that is left open on a running run: how much more memory it takes in the end.

    The page's clock is turned by hand, a second at a time; the requests and what they bring are
    real. Memory is compared after a tenth of the time and at the end, garbage collected.
    """
    directory = _directory()
    client = Client(directory)
    run_id = client.create_run("0", run_name="live").info.run_id
    client.log_metric(run_id, viewers.KEY, 0.0, step=0)

    def look(chromium: Browser, url: str) -> harness.Measures:
        tab = browsing.open_page(chromium)
        tab.clock.install()
        tab.goto(url)
        tab.clock.run_for(1000)
        tab.wait_for_selector(READY)
        session = tab.context.new_cdp_session(tab)
        megabytes = []
        for second in range(seconds):
            for step in range(10 * second, 10 * second + 10):
                client.log_metric(run_id, viewers.KEY, float(np.sin(step / 99)), step=step + 1)
            with tab.expect_response(lambda answer: answer.url.endswith("/charts")):
                tab.clock.run_for(1000)
            if second in (seconds // 10, seconds - 1):
                session.send("HeapProfiler.collectGarbage")
                usage = session.send("Runtime.getHeapUsage")
                megabytes.append((usage["usedSize"] + usage["backingStorageSize"]) / 1e6)
        return {
            f"live for {seconds} simulated s: growth of memory, MB": megabytes[1] - megabytes[0]
        }

    return served(directory, look)


def shown(runs: viewers.Runs, look: Callable[[Browser, str], harness.Measures]) -> harness.Measures:
    """Fill a store, and look at its page."""
    directory = _directory()
    fill(directory, runs)
    return served(directory, look)


def served(directory: str, look: Callable[[Browser, str], harness.Measures]) -> harness.Measures:
    """Serve a store, and look at its page."""
    port = browsing.free_port()
    with browsing.serving(command(directory, port), port) as url, browsing.browser() as chromium:
        return look(chromium, url)


def first_view(chromium: Browser, url: str, charts: int) -> float:
    """Return the seconds until so many charts are drawn."""
    tab = browsing.open_page(chromium)
    begin = time.perf_counter()
    tab.goto(url, wait_until="commit")
    tab.wait_for_function(f"() => document.querySelectorAll('{READY}').length >= {charts}")
    tab.evaluate(browsing.TWO_FRAMES)
    seconds = time.perf_counter() - begin
    tab.context.close()
    return seconds


def zoom(tab: Page) -> float:
    """Return the seconds from letting go of a dragged window to its finer data on screen."""
    box = tab.locator(".chart .inside").first.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    tab.mouse.move(box["x"] + box["width"] * 0.3, y)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] * 0.6, y, steps=3)
    begin = time.perf_counter()
    with tab.expect_response(lambda answer: answer.url.endswith("/charts")):
        tab.mouse.up()
    tab.evaluate(browsing.TWO_FRAMES)
    seconds = time.perf_counter() - begin
    with tab.expect_response(lambda answer: answer.url.endswith("/charts")):
        tab.mouse.dblclick(box["x"] + box["width"] / 2, y)
    tab.evaluate(browsing.TWO_FRAMES)
    return seconds


def timed(act: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


def _directory() -> str:
    path = f"{os.getcwd()}/store-{len(os.listdir())}"
    os.mkdir(path)
    return path


if __name__ == "__main__":
    harness.main(measure, (STEPLOG,))
