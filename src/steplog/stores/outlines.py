"""What is known of the chunks of long series, kept in memory from one read to the next.

A chart of 100 million points is drawn from 12,000 summaries, and reading their rows takes longer
than all the rest. So the summaries of long series are kept. Whether they are still those of the
catalog is asked each time: chunks never change, a new one has a higher number than any before it
(`schema` says AUTOINCREMENT), and so those that are there are the same ones as long as their
highest number and how many they are stay the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from steplog.recent import Recent
from steplog.stores.chunks import read_summaries
from steplog.stores.connection import Connection

LONG = 64
"""The summaries of a series with fewer chunks are read each time; nothing would be gained."""
REMEMBERED_BYTES = 32 << 20


class _Kept(NamedTuple):
    """The chunks of one series, in order."""

    catalog: object
    newest: int
    chunk_ids: list[int]
    summaries: npt.NDArray[np.void]


class Outlines:
    """Reads the summaries of chunks. Any thread may call it, within a transaction of reading."""

    def __init__(self) -> None:
        self._kept: Recent[_Kept] = Recent(REMEMBERED_BYTES)

    def read(
        self, connection: Connection, series_id: int
    ) -> tuple[list[int], npt.NDArray[np.void]]:
        """Return the numbers and the summaries of the chunks of a series, in order.

        Neither may be changed by the caller.
        """
        count, newest = connection.execute(
            "SELECT count(*), max(chunk_id) FROM chunks WHERE series_id = ?", (series_id,)
        ).fetchone()
        if count < LONG:
            return read_summaries(connection, series_id)
        kept = self._kept.get(series_id)
        if kept is not None and kept.catalog != connection.catalog:
            kept = None
        if kept is None or (len(kept.chunk_ids), kept.newest) != (count, newest):
            kept = _Kept(connection.catalog, newest, *_grown(connection, series_id, count, kept))
            kept.summaries.setflags(write=False)
            self._kept.put(series_id, kept, kept.summaries.nbytes + 40 * count)
        return kept.chunk_ids, kept.summaries


def _grown(
    connection: Connection, series_id: int, count: int, kept: _Kept | None
) -> tuple[list[int], npt.NDArray[np.void]]:
    """Return what is in the catalog; only the new chunks are read where no other one is gone."""
    if kept is not None:
        chunk_ids, summaries = read_summaries(connection, series_id, above=kept.newest)
        if len(kept.chunk_ids) + len(chunk_ids) == count:
            together = np.array(kept.chunk_ids + chunk_ids)
            summaries = np.concatenate([kept.summaries, summaries])
            order = np.lexsort((together, summaries["first_timestamp"], summaries["first_step"]))
            return together[order].tolist(), summaries[order]
    return read_summaries(connection, series_id)
