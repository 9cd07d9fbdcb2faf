"""Make the pictures of docs/images: the web page on a store that the example has just made.

Run it where the package, its example's and its tests' requirements are installed, after a change of
the page: ``python docs/make_screenshots.py``. It needs Chromium, as the tests in a browser do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

import steplog
from steplog.entities import Run

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
WIDTH = 1440
MOST_BYTES = 250_000
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
PARAMS = "columns=params.learning_rate"


def wait_for_charts(page: Page) -> None:
    """Wait until every chart on screen is drawn."""
    charts = page.locator("figure.chart")
    expect(charts.first).to_have_attribute("data-state", "ready")
    expect(page.locator('figure.chart:not([data-state="ready"])')).to_have_count(0)
    expect(page.locator('figure.chart[aria-busy="true"]')).to_have_count(0)


def show_charts(page: Page) -> None:
    """Point at the first chart: the crosshair is in all, and a tooltip says what lines are."""
    wait_for_charts(page)
    box = page.locator("figure.chart .inside").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.9)
    expect(page.locator(".tooltip:visible")).to_be_visible()


def show_comparison(page: Page) -> None:
    """Wait until the table is there."""
    expect(page.locator(".comparison td").first).to_be_visible()


def show_run(page: Page) -> None:
    """Open the run that did best."""
    page.locator(".lines .name a").first.wait_for()
    page.locator(".lines .name a").first.click()
    wait_for_charts(page)


class Picture(NamedTuple):
    """What a picture shows.

    Attributes:
        view: as it stands in the address; the runs of some seeds are added to it.
        prepare: what is done before the picture is taken.
        seeds: only runs of these are drawn; none for the first ten of the table.
        table: width of the table of runs in px.
        scheme: dark or light.
        height: of the window in px.

    """

    view: str
    prepare: Callable[[Page], None]
    seeds: str = ""
    table: int = 528
    scheme: Literal["dark", "light"] = "light"
    height: int = 900


PICTURES = {
    "charts": Picture(f"{PARAMS}&y=log&smoothing=ema&strength=0.6", show_charts, "0"),
    "groups": Picture(f"{PARAMS}&group=params.learning_rate&y=log", show_charts, "01234"),
    "compare": Picture(f"page=compare&part=best&{PARAMS}", show_comparison, "01", 0, height=380),
    "run": Picture("y=log&order=metrics.`valid/accuracy`.max DESC", show_run),
    "table-dark": Picture(
        f"{PARAMS}&columns=metrics.valid/accuracy.max&columns=metrics.valid/loss.min&y=log"
        "&order=metrics.`valid/accuracy`.max DESC",
        show_charts,
        "0",
        880,
        "dark",
    ),
}


def make_store(directory: Path) -> list[Run]:
    """Train the example's sweep into a store; return its runs, newest first."""
    environment = {**os.environ, "LOGNAME": "ada", "STEPLOG_TRACKING_URI": str(directory)}
    example = [sys.executable, str(ROOT / "examples" / "train_digits.py"), "--sweep"]
    subprocess.run(example, env=environment, check=True, stdout=subprocess.DEVNULL)
    steplog.set_tracking_uri(str(directory))
    runs: list[Run] = steplog.search_runs(search_all_experiments=True, output_format="list")
    return runs


def take(browser: Browser, url: str, name: str, runs: list[Run]) -> None:
    """Write one picture."""
    picture = PICTURES[name]
    drawn = [run.info.run_id for run in runs if run.data.params["seed"] in picture.seeds]
    page = browser.new_page(
        viewport={"width": WIDTH, "height": picture.height}, color_scheme=picture.scheme
    )
    page.add_init_script(f"localStorage.setItem('steplog.table', {picture.table})")
    page.goto(url)  # signs in
    view = "&".join([picture.view, *(f"runs={run_id}" for run_id in drawn)])
    page.goto(f"{url.partition('?')[0]}#{view}")
    picture.prepare(page)
    path = IMAGES / f"{name}.png"
    page.screenshot(path=path, animations="disabled")
    page.close()
    with Image.open(path) as image:
        exact = image.convert("RGB")
    exact.save(path, optimize=True)
    if path.stat().st_size > MOST_BYTES:
        fewer_colours(exact).save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1000} kB")


def fewer_colours(image: Image.Image) -> Image.Image:
    """Return a picture of its 256 most frequent colours, each other one as the nearest of them."""
    pixels = np.asarray(image, dtype=np.int32).reshape(-1, 3)
    colours, places, counts = np.unique(pixels, axis=0, return_inverse=True, return_counts=True)
    palette = colours[np.argsort(-counts)[:256]]
    distances = ((colours[:, None, :] - palette[None, :, :]) ** 2).sum(axis=2)
    indices = distances.argmin(axis=1)[places.ravel()].astype(np.uint8)
    result = Image.fromarray(indices.reshape(image.height, image.width))
    result.putpalette(palette.astype(np.uint8).tobytes())
    return result


def main() -> None:
    """Make all pictures, or those that are named."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        store = Path(directory) / "digits"
        runs = make_store(store)
        command = [sys.executable, "-m", "steplog", "ui", "--no-browser", "--port", "0"]
        with subprocess.Popen(
            [*command, "--store", str(store)], stdout=subprocess.PIPE, text=True
        ) as server:
            try:
                assert server.stdout is not None
                url = next(line.strip() for line in server.stdout if "?token=" in line)
                with sync_playwright() as playwright:
                    browser = playwright.chromium.launch(
                        executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
                    )
                    for name in sys.argv[1:] or PICTURES:
                        take(browser, url, name, runs)
            finally:
                server.terminate()


main()
