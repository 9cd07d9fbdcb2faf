"""Patience: when a far store that could not be reached is tried again.

After each failure the pause before the next try doubles, and is then drawn at random between
nothing and that ("full jitter"), so that a thousand clients that lost a server at the same moment
do not all come back to it at the same moment.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

FIRST_SECONDS = 1.0
MOST_SECONDS = 60.0


class Patience:
    """When to try again. Its methods may be called from any thread.

    Args:
        first: the longest pause after one failure, in seconds.
        most: the longest pause of all, in seconds.
        now: the clock, in seconds.
        draw: returns a number between its two arguments.

    Example:
        >>> patience = Patience(first=1.0, now=lambda: 0.0, draw=lambda low, high: high)
        >>> patience.failed()
        >>> patience.failed()
        >>> patience.remaining()
        2.0

    """

    def __init__(
        self,
        first: float = FIRST_SECONDS,
        most: float = MOST_SECONDS,
        now: Callable[[], float] = time.monotonic,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._first = first
        self._most = most
        self._now = now
        self._draw = draw
        self._failures = 0
        self._until = 0.0

    def remaining(self) -> float:
        """Return the seconds until the next try is due; 0 where it is due now."""
        return max(0.0, self._until - self._now()) if self._failures else 0.0

    def failed(self) -> None:
        """A try has failed."""
        longest = min(self._most, self._first * 2.0 ** min(self._failures, 32))
        self._failures += 1
        self._until = self._now() + self._draw(0.0, longest)

    def succeeded(self) -> None:
        """A try has succeeded: the next failure begins anew."""
        self._failures = 0
