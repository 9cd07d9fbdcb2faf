"""The web page as the server gives it: its files, who may see it, and what it may do."""

from __future__ import annotations

import gzip
import http.client
import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from serving import Server, serving

import steplog
from steplog.server import bundle, tokens
from steplog.server.endpoints import ENDPOINTS

needs_page = pytest.mark.skipif(
    bundle.read("app.js") is None, reason="the package was built without its page"
)


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of a store without tokens."""
    with serving(tmp_path_factory.mktemp("free") / "store") as server:
        yield server


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server of a store with tokens, and one for reading."""
    store = tmp_path_factory.mktemp("guarded") / "store"
    store.mkdir()
    _, text = tokens.create(str(store), "read")
    with serving(store) as server:
        yield server, text


@needs_page
def test_the_page_and_its_files(free: Server) -> None:
    """Page, script, style and icon are there, by relative addresses, each as what it is."""
    page = free.request("GET", "/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    links = set(re.findall(r'(?:src|href)="([^"?]+)"', page.body.decode()))
    assert links == {"app.js", "app.css", "icon.svg"}
    for name in links:
        found = free.request("GET", f"/{name}")
        assert (found.status, found.headers["content-type"]) == (200, bundle.FILES[name])


@needs_page
def test_files_are_kept_and_compressed(free: Server) -> None:
    """A browser asks whether its file is still the one, and may be sent a smaller one."""
    first = free.request("GET", "/app.js")
    assert first.headers["cache-control"] == "no-cache"
    again = free.request("GET", "/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    other = free.request("GET", "/app.js", headers={"If-None-Match": '"other"'})
    assert other.status == 200
    small = free.request("GET", "/app.js", headers={"Accept-Encoding": "br, gzip"})
    assert small.headers["content-encoding"] == "gzip"
    assert gzip.decompress(small.body) == first.body


def test_a_page_may_do_nothing_but_with_its_own_server(free: Server) -> None:
    """The policy of every page forbids inline scripts and styles, and whatever is elsewhere."""
    for path in ("/", "/?plain", "/?plain&run=none"):
        policy = free.request("GET", path).headers["content-security-policy"]
        directives = dict(each.split(" ", 1) for each in policy.split("; "))
        assert directives["default-src"] == "'none'"
        assert directives["script-src"] == directives["style-src"] == "'self'"
        assert "unsafe" not in policy
        assert "*" not in policy


def test_who_has_no_token_is_asked_for_one(guarded: tuple[Server, str]) -> None:
    """The page itself becomes a form; what programs ask is refused as before."""
    server, _ = guarded
    page = server.request("GET", "/")
    assert page.status == 401
    assert "text/html" in page.headers["content-type"]
    assert b'name="token"' in page.body
    assert server.request("GET", "/api/steplog/1/session").error_code() == "UNAUTHENTICATED"


def test_a_token_in_the_address_becomes_a_cookie(guarded: tuple[Server, str]) -> None:
    """Whoever opens the page with a token is given a cookie that no script reads, and sent on."""
    server, token = guarded
    entered = server.request("GET", f"/?token={token}")
    assert (entered.status, entered.headers["location"]) == (303, "./")
    cookie, *attributes = entered.headers["set-cookie"].split("; ")
    assert cookie == f"steplog_token_{server.port}={token}"
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(attributes)
    with_cookie = {"Cookie": f"other=1; {cookie}"}
    assert server.request("GET", "/", headers=with_cookie).status == 200
    session = server.request("GET", "/api/steplog/1/session", headers=with_cookie)
    assert session.json()["role"] == "read"
    table = server.request("POST", "/api/steplog/1/runs/table", {}, headers=with_cookie)
    assert table.json()["total"] == 0
    # The header of a proxy's own password does not hide the cookie.
    password = {**with_cookie, "Authorization": "Basic bWU6c2VjcmV0"}
    assert server.request("GET", "/", headers=password).status == 200
    left = server.request("GET", "/?signout", headers=with_cookie)
    assert left.headers["set-cookie"].startswith(f"steplog_token_{server.port}=; ")
    assert "Max-Age=0" in left.headers["set-cookie"]


@pytest.mark.parametrize("wrong", ["", "steplog_0_0", "x; Path=/evil", "a\r\nSet-Cookie: b"])
def test_a_wrong_token_is_said_to_be_one(guarded: tuple[Server, str], wrong: str) -> None:
    """A token that is none sets no cookie, and the form says so."""
    server, _ = guarded
    from urllib.parse import quote

    answer = server.request("GET", f"/?token={quote(wrong)}")
    assert answer.status == 401
    assert "set-cookie" not in answer.headers
    assert b"not good here" in answer.body


def test_addresses_of_many_fields(guarded: tuple[Server, str]) -> None:
    """However many fields an address has, a page answers it: with the form, or for who may see."""
    server, token = guarded
    address = "/?plain" + "&run=0" * 2_000
    assert server.request("GET", address).status == 401
    cookie = {"Cookie": f"steplog_token_{server.port}={token}"}
    assert server.request("GET", address, headers=cookie).status == 200


def test_following_a_link_changes_nothing() -> None:
    """No endpoint that a link can lead to writes: links of other sites carry the cookie."""
    assert {each.role for each in ENDPOINTS if each.method == "GET"} <= {"open", "read"}


def test_a_cookie_is_no_way_around_the_other_checks(guarded: tuple[Server, str]) -> None:
    """Pages of other sites, forms, and tokens that only read are refused with a cookie, too."""
    server, token = guarded
    cookie = {"Cookie": f"steplog_token_{server.port}={token}"}
    path, body = "/api/2.0/mlflow/experiments/create", {"name": "x"}
    assert server.request("POST", path, body, headers=cookie).status == 403
    # To a browser another port of this machine is the same site, so it sends the cookie along.
    for origin in ("https://evil.example", f"http://{server.host}:1", "null"):
        evil = {**cookie, "Origin": origin}
        answer = server.request("POST", "/api/steplog/1/keys", {"run_ids": []}, headers=evil)
        assert answer.status == 403
    form = {**cookie, "Content-Type": "application/x-www-form-urlencoded"}
    assert server.request("POST", "/api/steplog/1/keys", b"run_ids=", headers=form).status == 400


class Prefix(BaseHTTPRequestHandler):
    """A proxy that passes what is below /proxy/5005/ on to a server."""

    target: Server

    def do_GET(self) -> None:
        if not self.path.startswith("/proxy/5005/"):
            self.send_error(404)
            return
        connection = http.client.HTTPConnection(self.target.host, self.target.port, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name != "Host"}
        headers["Host"] = f"{self.target.host}:{self.target.port}"
        connection.request("GET", self.path.removeprefix("/proxy/5005"), headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def proxied(server: Server) -> Iterator[int]:
    handler = type("Handler", (Prefix,), {"target": server})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            yield proxy.server_address[1]
        finally:
            proxy.shutdown()
            thread.join()


def test_below_a_path_prefix(guarded: tuple[Server, str]) -> None:
    """Behind a proxy that serves it below a path, signing in leads back to where it began."""
    server, token = guarded
    with proxied(server) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", f"/proxy/5005/?token={token}")
        answer = connection.getresponse()
        answer.read()
        assert (answer.status, answer.headers["location"]) == (303, "./")
        cookie = answer.headers["set-cookie"].partition(";")[0]
        connection.request("GET", "/proxy/5005/?plain", headers={"Cookie": cookie})
        page = connection.getresponse()
        text = page.read().decode()
        connection.close()
    assert page.status == 200
    assert not re.findall(r'(?:src|href|action)="/', text), "an address that leaves the prefix"


def test_the_plain_page_lists_runs(tmp_path: Path) -> None:
    """Without scripts the runs are there all the same, names as text."""
    store = tmp_path / "store"
    client = steplog.Client(str(store))
    run = client.create_run("0", run_name="<script>alert(1)</script>")
    client.log_metric(run.info.run_id, "loss", 0.25)
    with serving(store) as server:
        listed = server.request("GET", "/?plain").body.decode()
        shown = server.request("GET", f"/?plain&run={run.info.run_id}").body.decode()
    for page in (listed, shown):
        assert "<script" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert "0.25" in page
