"""Names from users in a real browser: whatever they hold, every page shows them as text."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from browser import Opened
from playwright.sync_api import Locator, Page, expect

import steplog
from steplog.entities import Dataset, LoggedModelOutput

pytestmark = [pytest.mark.long, pytest.mark.slow]

HTML = """</script><img class="nasty" src=x onerror="window.owned = 1">&amp;'`${1}"""
LONG = "long" * 62 + "ly"
TURNED = "\u202eمرحبا بالعالم \u2066x"
EMOJI = "👩‍👩‍👧 🚀"
CONTROL = "a\x07b\x1b[31mc\x7f"
NAMES = (HTML, LONG, TURNED, EMOJI, CONTROL)
KEYS = (LONG, "ключ/مفتاح", "__proto__", "constructor", "system/ 鍵")
"""Metrics and params have letters, digits and few signs: these are as odd as they may be."""


@pytest.fixture
def nasty(opened: Opened) -> Opened:
    """A store in which everything that people name has the oddest of names."""
    steplog.set_tracking_uri(str(opened.store))
    steplog.set_experiment(HTML)
    for number, name in enumerate(NAMES):
        with steplog.start_run(run_name=name, description=name) as run:
            steplog.log_params({**dict.fromkeys(KEYS, name[:200]), "number": number})
            steplog.set_tags({"user": name, KEYS[0]: name, KEYS[1]: name})
            for key in KEYS:
                for step in range(3):
                    steplog.log_metric(key, step * (1 + number), step=step)
            dataset = Dataset(name=name, digest="d1", source_type="local", source=name)
            steplog.log_input(dataset, context=name[:200])
        model = steplog.create_external_model(name="m", source_run_id=run.info.run_id)
        outputs = [LoggedModelOutput(model_id=model.model_id, step=1)]
        opened.client.log_outputs(run.info.run_id, outputs)
    return opened


def watched(opened: Opened, view: str) -> Page:
    """Open the page and note where a dialog of the browser opens: none may."""
    page = opened.page(view)
    page.on("dialog", lambda dialog: opened.problems.append(f"dialog {dialog.message}"))
    return page


def check(page: Page) -> None:
    """Make sure that no name became an element or ran, and nothing is wider than the window."""
    assert page.locator(".nasty").count() == 0
    assert page.evaluate("window.owned") is None
    width = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert width <= 0


def chart(page: Page, key: str) -> Locator:
    found = page.locator("figure.chart").filter(has=page.locator(f'h3[title="{key}"]'))
    expect(found).to_have_attribute("data-state", "ready")
    return found


def test_charts_and_the_table_show_names_as_text(nasty: Opened) -> None:
    """Rows, columns, titles, legends, the tooltip, the enlarged chart, its table and all menus."""
    columns = "&".join(f"columns=params.{key}&columns=metrics.{key}.max" for key in KEYS[1:4])
    page = watched(nasty, columns + "&columns=tags.user")
    expect(page.locator(".lines .name a")).to_have_text(list(reversed(NAMES)))
    loss = chart(page, KEYS[1])
    expect(loss.locator(".legend bdi")).to_have_text(list(reversed(NAMES)))
    loss.hover()
    tooltip = page.locator(".tooltip:visible")
    expect(tooltip).to_contain_text(HTML)
    expect(tooltip).to_contain_text(LONG)
    check(page)
    for name in ("Columns", "Group runs", "Examples of filters"):
        page.get_by_role("button", name=re.compile(f"^{name}")).first.click()
        expect(page.locator(".panel")).to_be_visible()
        check(page)
        page.keyboard.press("Escape")
    loss.focus()
    page.keyboard.press("t")
    expect(page.get_by_role("dialog")).to_contain_text(HTML)
    check(page)
    page.keyboard.press("Escape")
    chart(page, LONG).get_by_role("button", name="Enlarge").click()
    expect(page.get_by_role("dialog").locator("figure")).to_have_attribute("data-state", "ready")
    check(page)


def test_groups_are_named_as_text(nasty: Opened) -> None:
    """A group that stands for the value of a tag or param has that value as its name."""
    page = watched(nasty, "group=tags.user&group=params.constructor")
    found = chart(page, KEYS[1])
    expect(found).to_have_attribute("data-lines", str(len(NAMES)))
    expect(found.locator(".legend")).to_contain_text(HTML)
    check(page)


@pytest.mark.parametrize("shown", ["compare", "scatter", "parallel"])
def test_comparisons_show_names_as_text(nasty: Opened, shown: str) -> None:
    """Side by side, scattered and on parallel axes; what is pointed at, and the table of it."""
    fields = "&".join(f"axes=params.{key}" for key in ("__proto__", "constructor"))
    axes = "scatterX=params.__proto__&scatterY=metrics.constructor&colour=tags.user"
    page = watched(nasty, f"page={shown}&tags=true&{fields}&{axes}")
    expect(page.locator(".page")).to_contain_text(HTML)
    check(page)
    if shown == "compare":
        return
    page.get_by_role("button", name="Table", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text(HTML)
    check(page)


def test_a_runs_page_shows_names_as_text(nasty: Opened) -> None:
    """Name, note, params, tags, datasets and models of each run, and the dialog that edits it."""
    page = watched(nasty, "")
    for name in NAMES:
        page.locator(".lines .name a").filter(has_text=name).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
        expect(page.locator(".note")).to_have_text(name)
        expect(page.get_by_role("row").filter(has_text="d1").first).to_contain_text(name)
        check(page)
        page.get_by_role("button", name="← Runs").click()
    page.locator(".lines [role=row]").first.hover()
    page.get_by_label(f"Edit {CONTROL}").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    check(page)


def test_saved_files_hold_names_as_text(nasty: Opened, tmp_path: Path) -> None:
    """A saved SVG is well-formed and holds the names; its file has a name that any system takes."""
    page = watched(nasty, "")
    found = chart(page, KEYS[1])
    for what in ("Save SVG", "Save CSV of what is drawn", "Save CSV of all points"):
        found.get_by_role("button", name=re.compile("^Actions of")).click()
        with page.expect_download() as download:
            found.get_by_role("button", name=what, exact=True).click()
        page.keyboard.press("Escape")
        text = Path(download.value.path()).read_bytes().decode()
        assert not set(download.value.suggested_filename) & set('/\\:*?"<>|')
        if what != "Save SVG":
            assert HTML.replace('"', '""') in text
            continue
        root = ElementTree.fromstring(text)
        assert HTML[:40] in [element.text for element in root.iter()]  # a legend has little room
        assert not [element for element in root.iter() if element.tag.endswith(("script", "img"))]


@pytest.mark.parametrize("narrow", [False, True])
def test_the_plain_page_shows_names_as_text(nasty: Opened, narrow: bool) -> None:
    """The page without a script: its list, a run, and runs side by side."""
    page = watched(nasty, "")
    if narrow:
        page.set_viewport_size({"width": 700, "height": 900})
    page.goto("/?plain")
    expect(page.locator("body")).to_contain_text(HTML)
    check(page)
    for name in (HTML, LONG):
        page.locator("tbody").get_by_role("link", name=name).first.click()
        expect(page.get_by_role("heading", level=1)).to_contain_text(name)
        check(page)
        page.go_back()
