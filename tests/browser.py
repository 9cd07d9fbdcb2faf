"""The page in a real browser: a fixture that opens it on a store of a test's own.

The browser is the system's Chromium, driven by Playwright. Where it is missing, or the package was
built without the page, these tests are skipped; STEPLOG_REQUIRE_BROWSER=1 makes that a failure.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from serving import Server, serving

from steplog import Client
from steplog.server import bundle

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
PATIENCE_MS = 15_000
Spawn = Callable[[str, Path], "subprocess.Popen[str]"]


class Opened:
    """A server on a store of its own, and a browser that opens its page.

    Attributes:
        store: the directory.
        client: logs to it.
        server: shows it.
        problems: what the browser complained of: errors of scripts, and answers from 400 on.

    """

    def __init__(self, browser: Browser, server: Server, store: Path, **context: Any) -> None:
        self.store = store
        self.client = Client(str(store))
        self.server = server
        self.problems: list[str] = []
        self.refused = 0
        self.context = browser.new_context(
            **{"viewport": {"width": 1440, "height": 900}, "base_url": server.url, **context}
        )
        self.context.set_default_timeout(PATIENCE_MS)

    def page(self, view: str = "", refused: int = 0) -> Page:
        """Open the page.

        Args:
            view: what stands in the address behind ``#``.
            refused: how many requests of the test will be refused, and are meant to be.

        """
        from playwright.sync_api import expect

        expect.set_options(timeout=PATIENCE_MS)
        self.refused += refused
        page = self.context.new_page()
        page.on("console", lambda said: self._note(is_complaint(said.type, said.text), said.text))
        page.on("pageerror", lambda error: self._note(True, str(error)))
        page.on("response", lambda got: self._note(got.status >= 400, f"{got.status} {got.url}"))
        page.goto(f"/#{view}")
        return page

    def close(self) -> None:
        """End, and make sure that the browser had nothing to complain of."""
        self.context.close()
        # Of each request that is refused, the browser also says so in its console.
        assert len(self.problems) == 2 * self.refused, self.problems

    def _note(self, is_problem: bool, text: str) -> None:
        if is_problem:
            self.problems.append(text)


def is_complaint(kind: str, text: str) -> bool:
    """Tell whether the browser complains of the page, and not of a test that reads its canvas."""
    return kind in ("error", "warning") and "willReadFrequently" not in text


def missing() -> str:
    """Return what is missing for tests in a browser; the empty text where nothing is."""
    if importlib.util.find_spec("playwright") is None:
        return "Playwright is not installed"
    if CHROMIUM is None:
        return "there is no Chromium"
    if bundle.read("index.html") is None:
        return "the package was built without its page"
    return ""


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """How Playwright starts the browser; or skip, where there is none."""
    reason = missing()
    if reason and os.environ.get("STEPLOG_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    return {"executable_path": CHROMIUM, "args": FLAGS, "headless": True}


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Opened]:
    """A page on an empty store."""
    store = tmp_path / "store"
    with serving(store) as server:
        found = Opened(browser, server, store)
        yield found
        found.close()


@pytest.fixture
def spawned() -> Iterator[Spawn]:
    """Start Python programs that are given a store, and can be told things through their input."""
    started: list[subprocess.Popen[str]] = []

    def start(program: str, store: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", program, str(store)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()
