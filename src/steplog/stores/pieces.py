"""One series as pieces: its chunks and what of it waits in the tail, put in order and merged.

Most pieces follow one another, and then each is read by itself. Late points make pieces that reach
over others: those form a group, and are read and merged together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from steplog import chunk
from steplog.exceptions import StoreDamaged
from steplog.points import Columns, compare, union
from steplog.stores import tail
from steplog.stores.database import SUMMARY_COLUMNS, Connection, summaries_of
from steplog.summary import mark, summarise

CHUNK_POINTS = 8192

Window = tuple[int, int]
"""First and last step, or timestamp in ms, that is wanted; both included."""


class Pieces(NamedTuple):
    """Pieces of one series, in the order in which they begin.

    Attributes:
        summaries: dtype SUMMARY, one of each piece.
        sources: what each piece is read from: the chunk of this number, or these points.

    """

    summaries: npt.NDArray[np.void]
    sources: list[int | Columns]

    def follow_one_another(self) -> bool:
        """Say whether no piece reaches over the beginning of the next."""
        ends, begins = mark(self.summaries[:-1], "last"), mark(self.summaries[1:], "first")
        before, _ = compare(ends, begins)
        return bool(before.all())

    def groups(self) -> Iterator[slice]:
        """Yield slices of pieces: those that reach over one another in one."""
        start, end = 0, None
        marks = zip(self._marks("first"), self._marks("last"), strict=True)
        for index, (first, last) in enumerate(marks):
            if end is not None and first > end:
                yield slice(start, index)
                start, end = index, None
            end = last if end is None else max(end, last)
        if end is not None:
            yield slice(start, len(self.sources))

    def within(self, steps: Window | None, times: Window | None) -> Pieces:
        """Return the pieces that may hold points of these windows."""
        known = self.summaries
        wanted = np.ones(len(known), np.bool_)
        if steps is not None:
            wanted &= (known["first_step"] <= steps[1]) & (known["last_step"] >= steps[0])
        if times is not None:
            wanted &= (known["time_min"] <= times[1]) & (known["time_max"] >= times[0])
        return self.take(np.flatnonzero(wanted))

    def take(self, index: npt.NDArray[np.intp]) -> Pieces:
        """Return the pieces at these indices, in their order."""
        return Pieces(self.summaries[index], [self.sources[i] for i in index.tolist()])

    def _marks(self, name: str) -> Iterator[tuple[int, int]]:
        step, timestamp = (self.summaries[f"{name}_{field}"] for field in ("step", "timestamp"))
        return zip(step.tolist(), timestamp.tolist(), strict=True)


def read_pieces(connection: Connection, series_id: int) -> Pieces:
    """Return the chunks of a series and its points in the tail, cut to the size of chunks."""
    chunk_ids, chunks = read_chunks(connection, series_id)
    waiting = cut(tail.read_series(connection, series_id))
    if not waiting:
        return Pieces(chunks, [*chunk_ids])
    summaries = np.concatenate([chunks, *map(summarise, waiting)])
    order = np.lexsort((summaries["first_timestamp"], summaries["first_step"]))
    return Pieces(summaries, [*chunk_ids, *waiting]).take(order)


def read_chunks(connection: Connection, series_id: int) -> tuple[list[int], npt.NDArray[np.void]]:
    """Return the numbers and the summaries of the chunks of a series, in order."""
    rows = connection.execute(
        f"SELECT {', '.join(SUMMARY_COLUMNS)}, chunk_id FROM chunks WHERE series_id = ? "
        "ORDER BY first_step, first_timestamp, chunk_id",
        (series_id,),
    ).fetchall()
    return [row[-1] for row in rows], summaries_of(row[:-1] for row in rows)


def read_chunk(connection: Connection, chunk_id: int) -> Columns:
    """Return the points of a chunk; StoreDamaged where they are not what was written."""
    query = "SELECT bytes FROM chunk_bytes WHERE chunk_id = ?"
    row = connection.execute(query, (chunk_id,)).fetchone()
    if row is None:
        raise StoreDamaged(f"The bytes of chunk {chunk_id} are missing.")
    return chunk.decode(row[0])


def read_group(connection: Connection, pieces: Pieces, group: slice) -> Columns:
    """Return the points of a group of pieces, in order and each once."""
    columns = [
        source if isinstance(source, Columns) else read_chunk(connection, source)
        for source in pieces.sources[group]
    ]
    return columns[0] if len(columns) == 1 else union(columns)


def summarise_group(connection: Connection, pieces: Pieces, group: slice) -> npt.NDArray[np.void]:
    """Return exact summaries, in order, of a group of pieces; without reading a single one."""
    if group.stop - group.start == 1:
        return pieces.summaries[group]
    return np.concatenate([*map(summarise, cut(read_group(connection, pieces, group)))])


def cut(columns: Columns) -> list[Columns]:
    """Return points, given in order, in pieces of the size of a chunk."""
    return [
        columns.take(slice(start, start + CHUNK_POINTS))
        for start in range(0, columns.step.size, CHUNK_POINTS)
    ]


def within(columns: Columns, steps: Window | None, times: Window | None) -> Columns:
    """Return the points, given in order, that lie within these windows."""
    if steps is not None:
        start = np.searchsorted(columns.step, steps[0], "left")
        stop = np.searchsorted(columns.step, steps[1], "right")
        columns = columns.take(slice(start, stop))
    if times is not None:
        first, last = times
        columns = columns.take((first <= columns.timestamp) & (columns.timestamp <= last))
    return columns
