"""One series as pieces: its chunks and what of it waits in the tail, put in order and merged.

Most pieces follow one another, and then each is read by itself. Late points make pieces that reach
over others: those form a group, and are read and merged together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice, pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from steplog.points import Columns, compare, union
from steplog.stores import chunks, tail
from steplog.stores.base import Need
from steplog.stores.connection import Chunk, Connection
from steplog.stores.outlines import Outlines
from steplog.stores.waiting import Waiting
from steplog.summary import mark, summarise_stretches

Window = tuple[int, int]
"""First and last step, or timestamp in ms, that is wanted; both included."""


class Pieces(NamedTuple):
    """Pieces of one series, in the order in which they begin.

    Attributes:
        series_id: which one.
        summaries: dtype SUMMARY, one of each piece.
        sources: what each piece is read from: the chunk of this number, or these points.

    """

    series_id: int
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
        sources = [self.sources[i] for i in index.tolist()]
        return Pieces(self.series_id, self.summaries[index], sources)

    def chunks(self, group: slice) -> Iterator[Chunk]:
        """Yield those of a group of pieces that are chunks."""
        for index in range(group.start, group.stop):
            source = self.sources[index]
            if not isinstance(source, Columns):
                yield Chunk(source, self.series_id, self.summaries[index : index + 1])

    def _marks(self, name: str) -> Iterator[tuple[int, int]]:
        step, timestamp = (self.summaries[f"{name}_{field}"] for field in ("step", "timestamp"))
        return zip(step.tolist(), timestamp.tolist(), strict=True)


def read_pieces(
    connection: Connection,
    series_id: int,
    outlines: Outlines | None = None,
    tails: Waiting | None = None,
) -> Pieces:
    """Return the chunks of a series and its points in the tail, cut to the size of chunks.

    Args:
        connection: in a transaction of reading.
        series_id: which one.
        outlines: what the store remembers of chunks; without it, everything is read.
        tails: what it remembers of tails.

    """
    read = chunks.read_summaries if outlines is None else outlines.read
    chunk_ids, sealed = read(connection, series_id)
    waiting = (tail.read_series if tails is None else tails.read)(connection, series_id)
    if not waiting.step.size:
        return Pieces(series_id, sealed, [*chunk_ids])
    summaries = np.concatenate([sealed, summarise_cut(waiting)])
    order = np.lexsort((summaries["first_timestamp"], summaries["first_step"]))
    return Pieces(series_id, summaries, [*chunk_ids, *cut(waiting)]).take(order)


def read_groups(
    connection: Connection, pieces: Pieces, groups: Iterable[slice]
) -> Iterator[Columns]:
    """Yield the points of each of these groups of pieces, in order and each once."""
    groups = [*groups]
    wanted = [chunk for group in groups for chunk in pieces.chunks(group)]
    read = connection.home.read(connection, wanted)
    for group in groups:
        columns = [
            source if isinstance(source, Columns) else next(read)
            for source in pieces.sources[group]
        ]
        yield columns[0] if len(columns) == 1 else union(columns)


def read_group(connection: Connection, pieces: Pieces, group: slice) -> Columns:
    """Return the points of one group of pieces, in order and each once."""
    [columns] = read_groups(connection, pieces, [group])
    return columns


def summarise_group(connection: Connection, pieces: Pieces, group: slice) -> npt.NDArray[np.void]:
    """Return exact summaries, in order, of a group of pieces; without reading a single one."""
    if group.stop - group.start == 1:
        return pieces.summaries[group]
    return summarise_cut(read_group(connection, pieces, group))


def survey(
    connection: Connection,
    pieces: Pieces,
    need: Callable[[npt.NDArray[np.void]], npt.NDArray[np.integer[Any]]],
) -> Iterator[npt.NDArray[np.void] | Columns]:
    """Yield what is needed of each stretch: summaries, or points. See `Store.survey`."""
    if pieces.follow_one_another():
        needs = need(pieces.summaries)
        yield from _needed(connection, pieces, needs)
        return
    groups = [*pieces.groups()]
    known = [summarise_group(connection, pieces, group) for group in groups]
    needs = need(np.concatenate(known))
    starts = np.cumsum([0, *map(len, known)]).tolist()
    for group, summaries, start in zip(groups, known, starts, strict=False):
        wanted = needs[start : start + summaries.size]
        stretches = pieces.take(np.arange(group.start, group.stop))
        if len(stretches.sources) > 1 and (wanted == Need.POINTS).any():
            points = read_group(connection, pieces, group)
            stretches = Pieces(pieces.series_id, summaries, [*cut(points)])
        yield from _needed(connection, stretches._replace(summaries=summaries), wanted)


def _needed(
    connection: Connection, pieces: Pieces, needs: npt.NDArray[np.integer[Any]]
) -> Iterator[npt.NDArray[np.void] | Columns]:
    """Yield summaries or points of pieces that do not reach over one another."""
    wanted = np.flatnonzero(needs == Need.POINTS).tolist()
    points = read_groups(connection, pieces, (slice(index, index + 1) for index in wanted))
    changes = np.flatnonzero(np.diff(needs)) + 1
    for start, stop in pairwise([0, *changes.tolist(), needs.size]):
        need = needs[start] if start < stop else Need.NOTHING
        if need == Need.SUMMARY:
            yield pieces.summaries[start:stop]
        elif need == Need.POINTS:
            yield from islice(points, stop - start)


def cut(columns: Columns) -> list[Columns]:
    """Return points, given in order, in pieces of the size of a chunk."""
    return [
        columns.take(slice(start, start + chunks.CHUNK_POINTS))
        for start in range(0, columns.step.size, chunks.CHUNK_POINTS)
    ]


def summarise_cut(columns: Columns) -> npt.NDArray[np.void]:
    """Return what is known of each piece that `cut` returns."""
    return summarise_stretches(columns, np.arange(0, columns.step.size, chunks.CHUNK_POINTS))


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
