"""An outbox: operations and points on their way into a store, in batches of bounded size.

It is to the store a journal like any other, of a process that has written it, but there is no file
of it: who fills an outbox can find out again what is missing (`steplog.sync`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from steplog.journal import SLOT
from steplog.operations import Operation, SeriesKey, encode
from steplog.points import POINT, Columns
from steplog.stores.base import START, Batch, Position, Refused, Store

BATCH_POINTS = 1 << 16
BATCH_BYTES = 1 << 20
"""When a batch is full: of so many points, or of operations of so many bytes."""
_SEAL_POINTS = 1 << 20


class Outbox:
    """Sends what it is given to a store, in batches of bounded size. For one thread.

    Args:
        store: where all goes.
        dry: count only, and send nothing.

    Attributes:
        operations: how many operations were given.
        points: how many points.
        refused: the operations that the store did not accept.

    """

    def __init__(self, store: Store, *, dry: bool = False) -> None:
        self.operations = 0
        self.points = 0
        self.refused: list[Refused] = []
        self._store = store
        self._dry = dry
        self._writer_id = uuid4().hex
        self._unsealed = 0
        self._begin()
        self._forget()

    def do(self, operations: Sequence[Operation]) -> None:
        """Send operations, all of them in one batch, before the points that are given later."""
        self.operations += len(operations)
        self._operations += operations
        self._bytes += sum(len(encode(each)) for each in operations)
        if self._bytes >= BATCH_BYTES:
            self.flush()

    def log(self, key: SeriesKey, columns: Columns) -> None:
        """Send points of one series."""
        size = columns.step.size
        if not size:
            return
        points = np.zeros(size, POINT)
        for name, column in zip(Columns._fields, columns, strict=True):
            points[name] = column
        points["series"] = self._numbers.setdefault(key, len(self._numbers) + 1)
        self.points += size
        self._points.append(points)
        self._waiting += size
        if self._waiting >= BATCH_POINTS:
            self.flush()

    def flush(self) -> None:
        """Send what still waits here.

        Raises:
            StoreError: the store cannot take it now. It is not sent again.

        """
        operations, numbers = self._operations, self._numbers
        points = np.concatenate([np.empty(0, POINT), *self._points])
        self._forget()
        if operations or points.size:
            self._send(operations, points, numbers)
        self._unsealed += points.size
        if self._unsealed >= _SEAL_POINTS:
            self.seal()

    @contextmanager
    def signed(self, writer_id: str) -> Iterator[None]:
        """Send what is given meanwhile as if this writer had logged it."""
        self.flush()
        own, self._writer_id = self._writer_id, writer_id
        try:
            yield
            self.flush()
        finally:
            self._writer_id = own

    def seal(self) -> None:
        """Have the store sort what it was sent, as far as that is due."""
        if self._unsealed and not self._dry:
            self._store.seal()
        self._unsealed = 0

    def _begin(self) -> None:
        self._journal_id = uuid4().hex
        self._position = START

    def _forget(self) -> None:
        self._operations: list[Operation] = []
        self._bytes = 0
        self._points: list[npt.NDArray[np.void]] = []
        self._numbers: dict[SeriesKey, int] = {}
        self._waiting = 0

    def _send(
        self,
        operations: Sequence[Operation],
        points: npt.NDArray[np.void],
        numbers: dict[SeriesKey, int],
    ) -> None:
        if self._dry:
            return
        before = self._position
        after = Position(before.offset + SLOT * (len(operations) + points.size))
        numbered = [(before.offset + SLOT * i, each) for i, each in enumerate(operations)]
        series = {number: key for key, number in numbers.items()}
        batch = Batch(self._journal_id, self._writer_id, before, after, numbered, points, series)
        try:
            refused = self._store.apply(batch)
            if refused is None:  # the store had it, its answer was lost, and it was asked again
                refused = self._refused_since(before)
        except BaseException:
            self._begin()  # whether the store has the batch is not known, nor where this one stands
            raise
        self._position = after
        self.refused += refused

    def _refused_since(self, position: Position) -> list[Refused]:
        return [
            each
            for each in self._store.refusals(journal_ids=[self._journal_id])
            if each.offset >= position.offset
        ]
