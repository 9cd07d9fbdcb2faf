"""The lock between threads that fork and threads that do what a child must not find half done.

A fork copies one thread only. Where another one was just importing numpy, the child waits for ever
at its own ``import numpy``: the lock of a module stays taken, and nobody is there to finish it. So
whoever loads modules late, in a thread or in a function, does it holding `undisturbed`.

What else a child must not inherit is seen to where it lives: the journals in `steplog.recorder`,
connections in `steplog.stores.database`.
"""

from __future__ import annotations

import os
import threading

undisturbed = threading.RLock()
"""While one thread holds it, no other thread forks. Hold it for imports only, never for I/O."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=undisturbed.acquire,
        after_in_parent=undisturbed.release,
        after_in_child=undisturbed.release,
    )
