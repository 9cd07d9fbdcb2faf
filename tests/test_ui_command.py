"""`steplog ui` as a person uses it: one command, an address, a page; and nothing left behind."""

from __future__ import annotations

import http.client
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import steplog
from steplog.settings import SETTINGS


@contextmanager
def showing(store: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Run the command; yield its process, the address that it prints, and all that it prints."""
    names = {setting.name for setting in SETTINGS}
    environment = {name: value for name, value in os.environ.items() if name not in names}
    command = [sys.executable, "-m", "steplog", "ui", "--store", str(store), *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        said = ""
        try:
            while "Ctrl-C" not in said:
                line = process.stdout.readline()
                assert line, process.stderr and process.stderr.read()
                said += line
            [address] = re.findall(r"http://\S+", said)
            yield process, address, said
        finally:
            process.kill()


def get(address: str, path: str, **headers: str) -> http.client.HTTPResponse:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(str(parts.hostname), int(parts.port or 0), timeout=30)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def test_the_address_opens_the_page(tmp_path: Path) -> None:
    """What is printed names the store and leads to the page; without its token nothing is shown."""
    store = tmp_path / "store"
    steplog.Client(str(store)).create_run("0")
    with showing(store, "--port", "0") as (_, address, said):
        assert str(store) in said
        parts = urlsplit(address)
        entered = get(address, f"{parts.path}?{parts.query}")
        assert entered.status == 303
        cookie = (entered.headers["set-cookie"] or "").partition(";")[0]
        assert get(address, "/", cookie=cookie).status == 200
        assert get(address, "/").status == 401
        assert get(address, "/api/steplog/1/session").status == 401
        token = parts.query.removeprefix("token=")
        assert get(address, "/api/steplog/1/session", authorization=f"Bearer {token}").status == 200


def test_a_store_need_not_be_there_yet(tmp_path: Path) -> None:
    """Where nothing was logged yet the page comes all the same, and says what to do next."""
    with showing(tmp_path / "later", "--port", "0") as (_, address, _):
        parts = urlsplit(address)
        assert get(address, f"{parts.path}?{parts.query}").status == 303


def test_where_the_usual_port_is_taken_another_one_is_used(tmp_path: Path) -> None:
    """Without --port any free one will do; a port that was asked for must be it."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 5000))
            taken.listen()
        except OSError:
            pass  # somebody else has it, which is as good
        with showing(tmp_path / "store") as (_, address, said):
            assert urlsplit(address).port != 5000
            assert "Port 5000 is taken" in said
        command = [sys.executable, "-m", "steplog", "ui", "--port", "5000", "--store", "other"]
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "5000" in refused.stderr


def test_a_browser_is_opened_from_a_terminal(tmp_path: Path) -> None:
    """On a terminal a browser is started, with an address that lets nobody else in after it."""
    opened, browser = tmp_path / "opened", tmp_path / "browser"
    os.mkfifo(opened)
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    master, terminal = pty.openpty()
    command = [sys.executable, "-m", "steplog", "ui", "--port", "0", "--store", "store"]
    with subprocess.Popen(
        command, stdout=terminal, cwd=tmp_path, env={**os.environ, "BROWSER": str(browser)}
    ) as process:
        address = opened.read_text().strip()
        parts = urlsplit(address)
        entered = get(address, f"/?{parts.query}")
        again = get(address, f"/?{parts.query}")
        process.send_signal(signal.SIGINT)
    said = os.read(master, 10_000).decode()
    os.close(master)
    os.close(terminal)
    assert (entered.status, again.status) == (303, 401)
    assert address.partition("?")[0] in said
    assert address not in said
    token = (entered.headers["set-cookie"] or "").partition(";")[0].partition("=")[2]
    assert token in said


def test_under_another_name(tmp_path: Path) -> None:
    """Behind a proxy that has a name and an origin of its own it answers to those, if told so."""
    names = ("--allowed-host", "hub.example", "--allowed-origin", "https://hub.example")
    with showing(tmp_path / "store", "--host", "0.0.0.0", "--port", "0", *names) as (_, address, _):
        parts = urlsplit(address)
        token = parts.query.removeprefix("token=")
        outside = {"origin": "https://hub.example", "host": "hub.example"}
        local = f"http://127.0.0.1:{parts.port}"
        assert get(local, "/", **outside).status == 401
        assert get(local, f"/?token={token}", **outside).status == 303
        assert get(local, "/", host="other.example").status == 403


def test_ctrl_c_ends_it_without_a_word(tmp_path: Path) -> None:
    """It ends at once, with nothing on standard error and nothing left in the journals."""
    store = tmp_path / "store"
    with showing(store, "--port", "0") as (process, _, _):
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode in (0, 130, -signal.SIGINT)
    assert errors == ""
    assert not list(store.glob("journal/*"))
