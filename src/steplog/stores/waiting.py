"""What waits in the tail of a run, kept in memory while its series are read one after the other.

A blob of the tail holds points of many series, so who reads one series looks through all blobs of
its run. Where that is done again while they are the same, they are kept, arranged together, and a
series is a slice of them: a run that 64 ranks log 100 metrics to has 6,400.

Whether they are still those of the catalog is asked each time. Blobs never change, and a new one
has a number that no other has had (`schema` says AUTOINCREMENT).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from steplog.points import POINT, Columns, empty_columns
from steplog.recent import Recent
from steplog.stores import tail
from steplog.stores.connection import Connection

REMEMBERED_BYTES = 32 << 20


class _Kept(NamedTuple):
    """The tail of one run.

    Attributes:
        state: which blobs it had.
        points: all of them, arranged; None while only one series was read of this state.

    """

    state: object
    points: npt.NDArray[np.void] | None


class Waiting:
    """Reads what waits of a series. Any thread may call it, within a transaction of reading."""

    def __init__(self) -> None:
        self._kept: Recent[_Kept] = Recent(REMEMBERED_BYTES)

    def read(self, connection: Connection, series_id: int) -> Columns:
        """Return the points of a series that wait in the tail, in order and each once."""
        found = connection.execute(
            "SELECT run_no, count(*), CAST(sum(n) AS BIGINT), CAST(sum(tail_id) AS BIGINT), "
            "max(tail_id) FROM tail WHERE run_no = "
            "(SELECT run_no FROM series WHERE series_id = ?) GROUP BY run_no",
            (series_id,),
        ).fetchone()
        if found is None:
            return empty_columns()
        run_no, blobs, points, *which = found
        if blobs == 1 or points * POINT.itemsize > REMEMBERED_BYTES // 2:
            return tail.read_series(connection, series_id)
        state = (connection.catalog, blobs, points, *which)
        kept = self._kept.get(run_no)
        if kept is None or kept.state != state:
            self._kept.put(run_no, _Kept(state, None), 0)
            return tail.read_series(connection, series_id)
        if kept.points is None:
            arranged = tail.read_run(connection, run_no)
            kept = _Kept(state, arranged)
            self._kept.put(run_no, kept, arranged.nbytes)
        assert kept.points is not None
        return tail.of_series(kept.points, series_id)
