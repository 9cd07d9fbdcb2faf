"""The loop of a live page: it takes over the terminal, draws, listens to keys, and gives it back.

What is drawn is a `View`; nothing here knows what that is. The terminal is given back however the
loop ends: by a key, a signal, an exception.
"""

from __future__ import annotations

import codecs
import os
import re
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import Any, Protocol

from steplog.screen import Screen, clipped

LOOK_SECONDS = 0.5

# The alternate screen, the cursor hidden, and lines that do not wrap; and all of it back.
_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
_LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
# A frame appears at once where the terminal knows these (2026), and line by line where it does not.
_BEGIN, _END = "\x1b[?2026h\x1b[H", "\x1b[J\x1b[?2026l"
_CLEAR_LINE = "\x1b[K"  # before the line: after a full one it would clear the last column

_KEYS = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1b[C": "right",
    "\x1b[D": "left",
    "\x1b[Z": "shift-tab",
    "\t": "tab",
}
_PRESSED = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]|[^\x1b]|\x1b")
_UNFINISHED = re.compile(r"\x1b(?:[\[O][0-9;]*)?\Z")


class View(Protocol):
    """What is shown live."""

    def look(self) -> bool:
        """Find out what is new; False where nothing more will ever come."""
        ...

    def page(self, screen: Screen) -> Sequence[str]:
        """Return the lines to show; those that do not fit are cut."""
        ...

    def press(self, key: str) -> bool:
        """React to a key: a character, or ``up``, ``down``, ``left``, ``right``, ``tab``,
        ``shift-tab``; False to end.
        """
        ...


def show(view: View, *, colour: bool) -> None:
    """Show a view on the terminal until it ends, or somebody ends it (Ctrl-C).

    Args:
        view: looked at about twice a second.
        colour: False where the user wants none.

    Raises:
        SystemExit: on SIGTERM and SIGHUP, when the terminal has been given back.

    """
    with ExitStack() as stack:
        stack.enter_context(_handling({signal.SIGTERM: _exit, signal.SIGHUP: _exit}))
        woken = stack.enter_context(_woken_by_signals())
        terminal = stack.enter_context(_Terminal(colour))
        stack.enter_context(
            _handling({signal.SIGTSTP: terminal.suspend, signal.SIGWINCH: _nothing})
        )
        stack.enter_context(suppress(KeyboardInterrupt))
        _loop(view, terminal, woken)


def _loop(view: View, terminal: _Terminal, woken: int) -> None:
    due = 0.0
    while True:
        if time.monotonic() >= due:
            if not view.look():
                return
            due = time.monotonic() + LOOK_SECONDS
        terminal.draw(view.page)
        patience = max(0.0, due - time.monotonic())
        ready, _, _ = select.select([woken, *terminal.keyboard], [], [], patience)
        if woken in ready:
            os.read(woken, 4096)
        if terminal.keyboard[:1] and terminal.keyboard[0] in ready:
            for key in terminal.pressed():
                if not view.press(key):
                    return


class _Terminal:
    """Standard input and output while a live page has them."""

    def __init__(self, colour: bool) -> None:
        self._colour = colour
        self._input = sys.stdin.fileno() if sys.stdin and sys.stdin.isatty() else None
        self._output = sys.stdout.fileno()
        self._before: list[Any] | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._unfinished = ""
        self._shown: object = None

    @property
    def keyboard(self) -> list[int]:
        """What to wait for keys on; empty where there is no keyboard, or no longer."""
        return [] if self._input is None else [self._input]

    def __enter__(self) -> _Terminal:
        sys.stdout.flush()
        try:
            self._take()
        except BaseException:
            self._give_back()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back()

    def _take(self) -> None:
        if self._input is not None:
            self._before = termios.tcgetattr(self._input)
            tty.setcbreak(self._input)
        self._write(_ENTER)
        self._shown = None

    def _give_back(self) -> None:
        # Who closed the window took the terminal along: there is nobody to give it back to.
        with suppress(OSError):
            self._write(_LEAVE)
        if self._input is not None and self._before is not None:
            with suppress(termios.error):
                termios.tcsetattr(self._input, termios.TCSADRAIN, self._before)

    def suspend(self, *_: object) -> None:
        """Give the terminal to the shell until the user calls this process back."""
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take()

    def draw(self, page: Callable[[Screen], Sequence[str]]) -> None:
        """Draw a page of the window's present size, unless that is what it shows."""
        size = os.get_terminal_size(self._output)
        screen = Screen.of(sys.stdout, colour=self._colour)
        screen = screen._replace(width=size.columns or 80, height=size.lines or 24)
        lines = [clipped(line, screen.width) for line in page(screen)[: screen.height]]
        if (screen, lines) == self._shown:
            return
        body = "\r\n".join(_CLEAR_LINE + line for line in lines)
        self._write(_BEGIN + body + _END)
        self._shown = screen, lines

    def _write(self, text: str) -> None:
        left = text.encode(sys.stdout.encoding or "utf-8", "replace")
        while left:
            left = left[os.write(self._output, left) :]

    def pressed(self) -> Iterator[str]:
        """Read and yield what keys were pressed; an unknown one is the empty text."""
        assert self._input is not None
        try:
            read = os.read(self._input, 1024)
        except OSError:  # the window is gone
            read = b""
        if not read:
            self._input = None
            return
        text = self._unfinished + self._decoder.decode(read)
        rest = _UNFINISHED.search(text)
        self._unfinished = rest[0] if rest else ""
        for sequence in _PRESSED.findall(text[: rest.start()] if rest else text):
            sequence = sequence.replace("\x1bO", "\x1b[")  # in the keypad's other mode
            yield _KEYS.get(sequence, "" if sequence.startswith("\x1b") else sequence)


def _exit(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _nothing(*_: object) -> None:
    """Be called for a signal, so that it wakes the loop."""


@contextmanager
def _handling(
    handlers: Mapping[signal.Signals, Callable[[int, FrameType | None], None]],
) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handled in before.items():
            signal.signal(number, handled)


@contextmanager
def _woken_by_signals() -> Iterator[int]:
    """Yield a file that can be read when a signal has come, which `select` goes on waiting over."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)
