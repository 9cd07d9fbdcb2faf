"""The tally: how much this process has moved into stores, for whoever measures it.

There is one of it, `tally`, as there is one process. It counts batches, not points one by one, so
counting costs a training nothing.

What is not here: who shows it (`steplog.server.measuring`).
"""

from __future__ import annotations

import threading

from steplog import forks


class Tally:
    """What this process has done since it began. Its methods may be called from any thread.

    Attributes:
        points: that a store has taken.
        operations: that a store has taken, those among them that the catalog refused.
        refused: operations that the catalog refused.
        failures: times that a store could not be reached or written.

    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Count from nothing."""
        self._lock = threading.Lock()
        self.points = self.operations = self.refused = self.failures = 0

    def applied(self, points: int, operations: int, refused: int) -> None:
        """A store has taken a batch of so many points and operations, and refused some of these."""
        with self._lock:
            self.points += points
            self.operations += operations
            self.refused += refused

    def failed(self) -> None:
        """A store could not be reached or written."""
        with self._lock:
            self.failures += 1


tally = Tally()

# A forked child is another process: it counts for itself, and the lock may have been copied closed.
forks.around(after_in_child=tally.begin)
