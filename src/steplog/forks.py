"""What happens around a fork: who prepares for it, and what must not be under way during it.

A fork copies one thread only. Where another one was just importing numpy, the child waits for ever
at its own ``import numpy``: the lock of a module stays taken, and nobody is there to finish it. So
whoever loads modules late, in a thread or in a function, does it holding `undisturbed`.

What a child must not inherit is seen to where it lives, by functions given to `around`. Python's
own `os.register_at_fork` would not do: a module that is loaded late, while a fork waits, registers
its functions between the first half of them and the second.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import NamedTuple

undisturbed = threading.RLock()
"""While one thread holds it, no other thread forks. Hold it for imports only, never for I/O."""


class _Participant(NamedTuple):
    before: Callable[[], object]
    after_in_parent: Callable[[], object]
    after_in_child: Callable[[], object]


def _nothing() -> None:
    pass


_participants: list[_Participant] = []
_prepared: list[_Participant] = []  # for the fork that is under way


def around(
    *,
    before: Callable[[], object] = _nothing,
    after_in_parent: Callable[[], object] = _nothing,
    after_in_child: Callable[[], object] = _nothing,
) -> None:
    """Have functions called around every fork: the last ones given prepare first, as layers do."""
    _participants.append(_Participant(before, after_in_parent, after_in_child))


def _before() -> None:
    undisturbed.acquire()
    _prepared[:] = _participants
    for participant in reversed(_prepared):
        participant.before()


def _after_in_parent() -> None:
    for participant in _prepared:
        participant.after_in_parent()
    undisturbed.release()


def _after_in_child() -> None:
    for participant in _prepared:
        participant.after_in_child()
    undisturbed.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )
