"""What commands that take long share: how far they are, what happened when, and how they are ended.

All of it goes to standard error; standard output is for what the command was asked.
"""

from __future__ import annotations

import queue
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from types import FrameType

    from rich.progress import Progress

PATIENCE_SECONDS = 1.0
"""Work that takes longer shows how far it is."""


def tell(sentence: str) -> None:
    """Print a sentence, and when it was true."""
    click.echo(f"{time.strftime('%H:%M:%S')}  {sentence}", err=True)


@contextmanager
def progress(what: str, total: Callable[[], int]) -> Iterator[Callable[[int], None]]:
    """Yield a function to be told of each piece of work done; after a while a bar appears.

    Args:
        what: is done, as one word.
        total: how much there is of it; asked only where somebody looks on.

    """
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    amount, finished, started = total(), 0, time.monotonic()
    with ExitStack() as stack:
        bar: Progress | None = None

        def advance(done: int) -> None:
            nonlocal bar, finished
            finished += done
            if bar is None and time.monotonic() - started > PATIENCE_SECONDS:
                bar = stack.enter_context(_bar(what, amount))
            if bar is not None:
                bar.update(bar.task_ids[0], completed=finished)

        yield advance


@contextmanager
def interruptible() -> Iterator[Callable[[float], bool]]:
    """Yield a function that waits some seconds and tells whether SIGINT or SIGTERM has come.

    Once one has, it tells so at once.
    """
    # Of all queues, only this one may be put to by a signal handler: it takes no lock of Python's.
    stop: queue.SimpleQueue[int] = queue.SimpleQueue()
    stopped = False

    def interrupted(seconds: float) -> bool:
        nonlocal stopped
        try:
            stopped = stopped or stop.get(timeout=seconds) > 0
        except queue.Empty:
            return False
        return True

    with _handling((signal.SIGINT, signal.SIGTERM), lambda number, _: stop.put(number)):
        yield interrupted


@contextmanager
def _handling(
    signals: Sequence[signal.Signals], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, handled in before.items():
            signal.signal(number, handled)


def _bar(what: str, total: int) -> Progress:
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True), transient=True)
    bar.add_task(what, total=total)
    return bar
