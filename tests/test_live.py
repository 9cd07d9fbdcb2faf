"""Live pages on a real pseudo-terminal, of a store that another process logs to."""

from __future__ import annotations

import codecs
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from click.testing import CliRunner

import steplog
from steplog.cli import main
from steplog.screen import width_of

STEPLOG = [sys.executable, "-m", "steplog"]
PATIENCE_SECONDS = 30  # a page that has not come by then never will
ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"

# Logs a point for each line that it is sent, and ends the run when there are no more lines.
LOGGING = """
import sys, steplog
with steplog.start_run(run_name="busy"):
    steplog.log_metric("loss", 1.0, 0)
    print("ready", flush=True)
    for step, _ in enumerate(sys.stdin, 1):
        steplog.log_metrics({"loss": 1 / step, "accuracy": step}, step)
"""


class Window:
    """A terminal with a program in it."""

    def __init__(self, *command: str, width: int = 80, height: int = 24, **settings: str) -> None:
        self._ours, self.theirs = pty.openpty()
        self._resize(width, height)
        self.before = termios.tcgetattr(self.theirs)
        self.seen = ""
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self.process = subprocess.Popen(
            command,
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # Ctrl-C is a signal there
            env={**os.environ, "TERM": "xterm", "PYTHONUTF8": "1", **settings},
        )

    def _resize(self, width: int, height: int) -> None:
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def resize(self, width: int, height: int) -> None:
        self._resize(width, height)
        self.process.send_signal(signal.SIGWINCH)

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def wait(self, holds: Callable[[str], object]) -> str:
        """Read until the page that was drawn last is so, and return it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds(self.page()):
            self._read(deadline)
        return self.page()

    def _read(self, deadline: float) -> None:
        ready, _, _ = select.select([self._ours], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"waited in vain; the page was:\n{self.page()}"
        self.seen += self._decode(os.read(self._ours, 65_536))

    def page(self) -> str:
        """The whole page that was drawn last, without escape sequences."""
        frames = re.findall(r"\x1b\[\?2026h\x1b\[H(.*?)\x1b\[J\x1b\[\?2026l", self.seen, re.DOTALL)
        return re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", frames[-1]).replace("\r", "") if frames else ""

    def end(self) -> int:
        """Wait for the program and return its exit status; all that it wrote is in `seen`."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.process.poll() is None:
            ready, _, _ = select.select([self._ours], [], [], 0.05)
            if ready:
                self._read(deadline)
            assert time.monotonic() < deadline
        while select.select([self._ours], [], [], 0)[0]:
            self._read(deadline)
        return self.process.returncode

    def is_restored(self) -> bool:
        """Tell whether the program left the screen and the keyboard as they were."""
        after = termios.tcgetattr(self.theirs)
        left = self.seen.rindex(LEAVE) > self.seen.rindex(ENTER)
        return after == self.before and left and "\x1b[?25h" in self.seen

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)
        os.close(self.theirs)


def has_lines(height: int, page: str) -> bool:
    return len(page.split("\n")) == height


@contextmanager
def window(*arguments: str, **options: object) -> Iterator[Window]:
    opened = Window(*STEPLOG, *arguments, **options)  # type: ignore[arg-type]
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture
def logging() -> Iterator[subprocess.Popen[str]]:
    """A process whose run has one point and gets another for each line that it is sent."""
    with subprocess.Popen(
        [sys.executable, "-c", LOGGING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.stdin.close()


def log(process: subprocess.Popen[str], points: int) -> None:
    assert process.stdin is not None
    process.stdin.write("\n" * points)
    process.stdin.flush()


@pytest.mark.slow
def test_a_run_is_followed_to_its_end(logging: subprocess.Popen[str]) -> None:
    """Points appear as they are logged; when the run ends, its last page stays on the screen."""
    with window("show", "busy", "--live") as opened:
        opened.wait(lambda page: "RUNNING" in page and "loss" in page)
        log(logging, 40)
        opened.wait(lambda page: re.search(r"loss +0\.025 +40 ", page))
        assert logging.stdin is not None
        logging.stdin.close()
        assert opened.end() == 0
        assert opened.is_restored()
        rest = opened.seen[opened.seen.rindex(LEAVE) :]
        assert "FINISHED" in rest and "0.025" in rest


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [("top",), ("show", "busy", "--live")], ids=lambda each: each[0]
)
@pytest.mark.parametrize(
    ("ending", "status"),
    [("q", 0), ("\x03", 0), (signal.SIGTERM, 128 + signal.SIGTERM)],
    ids=["q", "Ctrl-C", "SIGTERM"],
)
def test_the_terminal_is_given_back(
    logging: subprocess.Popen[str],
    command: tuple[str, ...],
    ending: str | signal.Signals,
    status: int,
) -> None:
    """However a live page ends, screen, cursor and keyboard are as before."""
    with window(*command) as opened:
        opened.wait(lambda page: "busy" in page)
        if isinstance(ending, signal.Signals):
            opened.process.send_signal(ending)
        else:
            opened.type(ending)
        assert opened.end() == status
        assert opened.is_restored()
        assert "Traceback" not in opened.seen


@pytest.mark.slow
def test_top_obeys_its_keys_and_the_window(logging: subprocess.Popen[str]) -> None:
    """Arrows choose runs and metrics, `?` tells the keys, and no page is larger than the window."""
    with steplog.start_run(run_name="earlier"):
        steplog.log_metric("other", 1.0)
    log(logging, 5)
    with window("top", LC_ALL="C.UTF-8") as opened:
        opened.wait(lambda page: "▸  busy" in page and "1 running" in page)
        opened.type("\x1b[B")
        opened.wait(lambda page: "▸  earlier" in page)
        opened.type("k")
        opened.wait(lambda page: "▸  busy" in page)
        first = opened.wait(lambda page: " of busy" in page)
        opened.type("\t")
        opened.wait(lambda page: " of busy" not in page or page != first)
        opened.type("?")
        opened.wait(lambda page: "choose a metric" in page)
        opened.type("?")
        for width, height in ((80, 24), (40, 10), (200, 50)):
            opened.resize(width, height)
            page = opened.wait(partial(has_lines, height))
            assert max(map(width_of, page.split("\n"))) <= width, page
        opened.type("q")
        assert opened.end() == 0


@pytest.mark.slow
def test_a_page_without_colours_and_unicode(logging: subprocess.Popen[str]) -> None:
    """With NO_COLOR and an ASCII encoding a live page has neither colours nor braille."""
    with window("top", NO_COLOR="1", PYTHONIOENCODING="ascii") as opened:
        page = opened.wait(lambda page: "loss of busy" in page)
        assert page.isascii()
        assert not re.search(r"\x1b\[\d+m", opened.seen)


def test_a_live_page_needs_a_terminal() -> None:
    """`show --live` into a pipe is refused, and says why."""
    with steplog.start_run(run_name="done"):
        steplog.log_metric("loss", 1.0)
    result = CliRunner().invoke(main, ["show", "done", "--live"])
    assert result.exit_code == 2
    assert "--live needs a terminal" in result.stderr


def test_top_into_a_pipe_is_one_page() -> None:
    """Where standard output is no terminal, `top` prints what is known, once."""
    with steplog.start_run(run_name="done"):
        steplog.log_metrics({"train/loss": 0.25, "valid/loss": float("nan")}, 7)
    text = CliRunner().invoke(main, ["top"]).stdout
    assert re.search(r"done +FINISHED .*0\.25 +NaN", text)
    result = CliRunner().invoke(main, ["top", "--key", "train/*", "--json"])
    (run,) = json.loads(result.stdout)["runs"]
    assert [(each["key"], each["last"], each["last_step"]) for each in run["metrics"]] == [
        ("train/loss", 0.25, 7)
    ]


def test_top_of_a_store_without_runs_says_what_to_do() -> None:
    """An empty store is no empty page."""
    steplog.create_experiment("empty")
    assert "No runs yet" in CliRunner().invoke(main, ["top"]).stdout
