"""What was used last, by name, up to some number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")

OVERHEAD_BYTES = 2_000
"""About what it takes to keep anything, beside what `put` is told."""


class Recent(Generic[T]):
    """Keeps values by name, and forgets those that were not used for longest.

    Its methods may be called from any thread.

    Args:
        most_bytes: what all values together may take, `OVERHEAD_BYTES` for each included.

    Example:
        >>> recent = Recent[str](5_000)
        >>> recent.put("a", "first", 1_000)
        >>> recent.put("b", "second", 1_000)
        >>> recent.get("a"), recent.get("b")
        (None, 'second')

    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, name: Hashable) -> T | None:
        """Return the value of a name; None where there is none (any more)."""
        with self._lock:
            if name not in self._kept:
                return None
            self._kept.move_to_end(name)
            return self._kept[name][0]

    def put(self, name: Hashable, value: T, size: int) -> None:
        """Keep a value.

        Args:
            name: to `get` it by.
            value: one that is larger than all together may be is not kept, and costs none of them.
            size: what name and value take, in bytes.

        """
        size += OVERHEAD_BYTES
        with self._lock:
            _, before = self._kept.pop(name, (None, 0))
            self._bytes -= before
            if size > self._most_bytes:
                return
            self._kept[name] = value, size
            self._bytes += size
            while self._bytes > self._most_bytes:
                _, (_, gone) = self._kept.popitem(last=False)
                self._bytes -= gone
