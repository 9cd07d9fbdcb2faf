"""Signing in, in a real browser, and what pages of others can do with somebody who has."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from browser import Opened
from playwright.sync_api import Browser, Page, expect
from serving import serving

from steplog import Client
from steplog.server import tokens

pytestmark = [pytest.mark.long, pytest.mark.slow]

ATTACK = """async (address) => {
  const body = JSON.stringify({name: "made by another page"});
  const json = {"Content-Type": "application/json"};
  const ways = [{headers: json}, {mode: "no-cors"}, {headers: {"Content-Type": "text/plain"}}];
  const path = `${address}/api/2.0/mlflow/experiments/create`;
  const answers = [];
  for (const way of ways) {
    const sent = fetch(path, {method: "POST", body, credentials: "include", ...way});
    answers.push(await sent.then((got) => got.type === "opaque" ? "" : got.text(), () => ""));
  }
  const read = `${address}/api/steplog/1/session`;
  answers.push(await fetch(read, {credentials: "include"}).then((got) => got.text(), () => ""));
  return answers;
}"""


class Elsewhere(BaseHTTPRequestHandler):
    """Somebody else's page, with a link."""

    link = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(f'<title>elsewhere</title><a href="{self.link}">look</a>'.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def elsewhere(link: str) -> Iterator[int]:
    """Serve that page on a port of its own."""
    handler = type("Handler", (Elsewhere,), {"link": link})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def guarded(browser: Browser, tmp_path: Path) -> Iterator[tuple[Opened, Page]]:
    """A store that wants a token, and a browser that has signed in by the form."""
    store = tmp_path / "store"
    store.mkdir()
    _, token = tokens.create(str(store), "write")
    Client(str(store)).create_run("0", run_name="first run")
    with serving(store) as server:
        opened = Opened(browser, server, store)
        page = opened.page(refused=1)
        page.get_by_label("This server wants a token.").fill(token)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_text("first run").first).to_be_visible()
        expect(page).not_to_have_url(re.compile(re.escape(token)))
        yield opened, page
        opened.close()


def test_who_signed_in_may_follow_a_link_from_another_site(guarded: tuple[Opened, Page]) -> None:
    """An address of a view that somebody was sent opens, wherever it is followed from."""
    opened, page = guarded
    with elsewhere(f"{opened.server.url}/") as port:
        page.goto(f"http://localhost:{port}/")
        page.get_by_text("look").click()
        expect(page.get_by_text("first run").first).to_be_visible()


def test_another_page_can_neither_read_nor_write(guarded: tuple[Opened, Page]) -> None:
    """A page on another port of the machine, or of another site, has nothing of the cookie."""
    opened, _ = guarded
    with elsewhere("") as port:
        for host in ("127.0.0.1", "localhost"):
            page = opened.context.new_page()  # the browser says that it was refused, and should
            page.goto(f"http://{host}:{port}/")
            assert page.evaluate(ATTACK, opened.server.url) == [""] * 4
    names = [each.name for each in opened.client.search_experiments()]
    assert names == ["Default"]
