"""What a person waits for: from opening the page to the curves of ten runs on screen.

The browser is a new one each time, the server has answered before. Done means that the answer with
the points has come, the chart is there and two frames have passed. Beside it: does the page get to
know of the one step at which a run of 100,000 points spikes? It is asked for by the page's own
endpoint, with the page's own arguments.
"""

from __future__ import annotations

import os
import time
from argparse import Namespace
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

import browsing
import harness
import numpy as np
import viewers

if TYPE_CHECKING:
    from playwright.sync_api import Browser

RUNS, POINTS, LOOKS = 10, 100_000, 5
SPIKE, SPIKE_STEP = 1000.0, 54_321


def measure(name: str, options: Namespace) -> harness.Measures:
    """Open the page of a filled server several times."""
    adapter = viewers.load(name)
    points = POINTS // 5 if options.quick else POINTS
    runs = made(points)
    directory, port = f"{os.getcwd()}/data", browsing.free_port()
    os.mkdir(directory)
    adapter.fill(directory, runs)
    with browsing.serving(adapter.command(directory, port), port) as url:
        values = adapter.drawn(url, "run-0")
        page = adapter.page(url, runs)
        with browsing.browser() as chromium:
            seconds = [look(chromium, url, page) for _ in range(1 + LOOKS)][1:]
    return {
        f"first view of {RUNS} runs x {points:,} points, s": median(seconds),
        "spike of one step among 100,000, share of its height that the page is sent": (
            max(values) / SPIKE
        ),
    }


def made(points: int) -> dict[str, Sequence[float]]:
    """Return runs of noise; the first has 100,000 points and a spike of one step."""
    random = np.random.default_rng(0)
    runs = {f"run-{i}": random.normal(1, 0.1, points).round(6) for i in range(RUNS)}
    runs["run-0"] = random.normal(1, 0.1, POINTS).round(6)
    runs["run-0"][SPIKE_STEP] = SPIKE
    return {name: values.tolist() for name, values in runs.items()}


def look(chromium: Browser, url: str, page: viewers.Page) -> float:
    """Return the seconds until the curves are drawn."""
    tab = browsing.open_page(chromium)
    begin = time.perf_counter()
    with tab.expect_response(lambda answer: page.data in answer.url):
        tab.goto(url + page.address, wait_until="commit")
    tab.wait_for_selector(page.chart, state="attached")
    tab.evaluate(browsing.TWO_FRAMES)
    seconds = time.perf_counter() - begin
    tab.context.close()
    return seconds


if __name__ == "__main__":
    harness.main(measure, tuple(viewers.VIEWERS))
