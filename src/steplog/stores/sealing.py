"""Sealing: points move out of the tail into chunks, one series in each, sorted and compressed.

The work is done on a snapshot, without keeping anybody from writing; only the result is put in
place under the write lock, and only if what it replaces is still there. If not, another process has
sealed the same points, and nothing is lost but the work.

A point that was logged twice ends here: a chunk that may hold some of the new points already is
*taken up*, written again together with them. So is the last chunk of a series while it is not half
full. Chunks that merely reach over one another stay as they are; readers merge them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from steplog.exceptions import StoreDamaged
from steplog.points import POINT, Columns, arrange
from steplog.rows import OPEN_STATUSES
from steplog.stores import chunks, tail
from steplog.stores.connection import Chunk, Connection, Database, summaries_of
from steplog.stores.schema import SUMMARY_COLUMNS
from steplog.summary import (
    SUMMARY,
    merge,
    overlaps,
    summarise_arranged,
)

_POINTS_PER_SERIES = 256
"""A run is not sealed before its series have so many points each, on average: the half-full last
chunk of each is written again, and that must not happen for every few points."""
_POINTS_AT_ONCE = 1 << 17
"""So many points are in memory together while sealing, which goes on inside of a training."""
_ORDER = "first_step, first_timestamp, chunk_id"
_DESCENDING = "first_step DESC, first_timestamp DESC, chunk_id DESC"


class _Sealed(NamedTuple):
    """What takes the place of what.

    Attributes:
        tail_ids: the blobs that were sealed.
        series_ids: the series of which they held points …
        counts: … and how many of each.
        taken_up: the chunks that were written again.
        chunks: series, summary and bytes of each new chunk.

    """

    tail_ids: list[int]
    series_ids: npt.NDArray[np.uint32]
    counts: npt.NDArray[np.int64]
    taken_up: list[int]
    chunks: list[chunks.Encoded]


class _ChunksToTakeUp(NamedTuple):
    """Chunks, how many points each has, and the index of its series among those sealed."""

    chunks: list[Chunk]
    counts: npt.NDArray[np.int64]
    owners: npt.NDArray[np.intp]


class Waiting(NamedTuple):
    """A run of which points wait.

    Attributes:
        run_no: its number.
        run_id: its id.
        points: how many wait.
        series: of how many series one blob holds points, at most.
        ended: whether the run has.

    """

    run_no: int
    run_id: str
    points: int
    series: int
    ended: bool

    def due(self, seal_points: int) -> bool:
        """Tell whether it has ended or grown enough: more than so many points wait."""
        return self.ended or self.points >= max(seal_points, _POINTS_PER_SERIES * self.series)


def waiting_runs(connection: Connection, run_ids: Sequence[str] | None = None) -> list[Waiting]:
    """Return the runs of which points wait, of all or of these."""
    values = [] if run_ids is None else [connection.dialect.listed(run_ids)]
    where = "" if run_ids is None else f"WHERE {connection.dialect.among('run_id')} "
    rows = connection.execute(
        "SELECT run_no, run_id, CAST(sum(n) AS BIGINT), max(n_series), status "
        f"FROM tail JOIN runs USING (run_no) {where}GROUP BY run_no, run_id, status",
        values,
    )
    return [
        Waiting(run_no, run_id, points, series, status not in OPEN_STATUSES)
        for run_no, run_id, points, series, status in rows
    ]


def waiting_run(connection: Connection, run_id: str) -> list[int]:
    """Return the run of this id, if anything of it waits."""
    rows = connection.execute(
        "SELECT run_no FROM runs WHERE run_id = ? AND run_no IN (SELECT run_no FROM tail)",
        (run_id,),
    )
    return [run_no for [run_no] in rows]


def seal_run(database: Database, run_no: int) -> int:
    """Seal what waits of a run; return the number of points, fewer where another was faster."""
    points = 0
    while sealed := _seal_oldest(database, run_no):
        points += sealed
        if sealed < _POINTS_AT_ONCE:
            break
    return points


def total(summaries: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """Return the one summary of many stretches of a series, given in order; shape (1,)."""
    if not summaries.size:
        return np.zeros(1, SUMMARY)
    while summaries.size > 1:
        even = summaries.size & ~1
        pairs = merge(summaries[0:even:2], summaries[1:even:2])
        summaries = np.concatenate([pairs, summaries[even:]])
    return summaries


def _seal_oldest(database: Database, run_no: int) -> int:
    """Seal the blobs of a run that have waited longest; return the number of points."""
    sealed = _seal(database, run_no)
    with database.writing() as connection:
        connection.lock_run(run_no)
        if not _still_there(connection, sealed):
            return 0
        _put_in_place(connection, sealed)
        settle_summaries(connection, run_no, sealed.series_ids)
        _give_back_space(connection)
    return int(sealed.counts.sum())


def _seal(database: Database, run_no: int) -> _Sealed:
    """Encode what has waited longest, together with the chunks it takes up.

    The blobs are read once for what is known of their series, and then once for each group of
    series, so that not all of their points are in memory together. Each of these is a transaction
    of its own, because a fork waits for those that are under way.
    """
    with database.reading() as connection:
        tail_ids = tail.oldest(connection, run_no, _POINTS_AT_ONCE, _POINTS_PER_SERIES)
        series_ids, new = tail.summarise_blobs(connection, tail_ids)
        again = _chunks_to_take_up(connection, series_ids, new)
    sealed = _Sealed(tail_ids, series_ids, new["count"], [], [])
    sizes = new["count"] + np.bincount(again.owners, again.counts, len(new)).astype(np.int64)
    for first, last in _groups(sizes):
        with database.reading() as connection:
            points = _group(connection, sealed, again, first, last)
        sealed.chunks.extend(chunks.encode(arrange(points)))
    return sealed


def _group(
    connection: Connection, sealed: _Sealed, again: _ChunksToTakeUp, first: int, last: int
) -> npt.NDArray[np.void]:
    """Return the points of the series from index `first` to before `last`, old ones first."""
    series_ids = sealed.series_ids
    parts = [np.empty(0, POINT)]  # nothing else, where another process has just sealed them
    begin, end = np.searchsorted(again.owners, [first, last]).tolist()
    for chunk, columns in _readable(connection, again.chunks[begin:end]):
        sealed.taken_up.append(chunk.chunk_id)
        parts.append(tail.records(columns, chunk.series_id))
    parts += tail.read_blobs(connection, sealed.tail_ids, series_ids[first], series_ids[last - 1])
    return np.concatenate(parts)


def _readable(connection: Connection, wanted: Sequence[Chunk]) -> Iterator[tuple[Chunk, Columns]]:
    """Yield chunks and their points, but not those that are damaged.

    These are left for `check` to report; new points must not wait until they are repaired.
    """
    try:
        yield from zip(wanted, [*connection.home.read(connection, wanted)], strict=True)
    except StoreDamaged:
        for chunk in wanted:
            with suppress(StoreDamaged):
                yield chunk, chunks.read(connection, chunk)


def _groups(sizes: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield ranges of series that are sealed together, given how many points each has."""
    if not sizes.size:
        return
    group = np.cumsum(sizes) // _POINTS_AT_ONCE
    edges = [0, *(np.flatnonzero(np.diff(group)) + 1).tolist(), sizes.size]
    yield from pairwise(edges)


def _chunks_to_take_up(
    connection: Connection, series_ids: npt.NDArray[np.uint32], new: npt.NDArray[np.void]
) -> _ChunksToTakeUp:
    """Find the chunks that may hold new points already, and half-full last ones."""
    dialect = connection.dialect
    listed = dialect.listed(series_ids.tolist())
    rows = connection.execute(
        f"SELECT {', '.join(SUMMARY_COLUMNS)}, series_id, chunk_id FROM chunks WHERE chunk_id IN ("
        "SELECT (SELECT chunk_id FROM chunks WHERE series_id = listed.value "
        f"ORDER BY {_DESCENDING} LIMIT 1) FROM {dialect.table('BIGINT')} UNION "
        f"SELECT chunk_id FROM chunks WHERE {dialect.among('series_id')} AND last_step >= ?"
        f") ORDER BY series_id, {_ORDER}",
        (listed, listed, int(new["first_step"].min(initial=0))),
    ).fetchall()
    known = summaries_of(row[:-2] for row in rows)
    owners = np.searchsorted(series_ids, np.array([row[-2] for row in rows], np.uint32))
    is_last = np.append(owners[1:] != owners[:-1], True)[: owners.size]
    again = overlaps(known, new[owners]) | (is_last & (known["count"] < chunks.CHUNK_POINTS // 2))
    taken_up = [
        Chunk(rows[index][-1], rows[index][-2], known[index : index + 1])
        for index in np.flatnonzero(again).tolist()
    ]
    return _ChunksToTakeUp(taken_up, known["count"][again], owners[again])


def _still_there(connection: Connection, sealed: _Sealed) -> bool:
    for table, column, ids in (
        ("tail", "tail_id", sealed.tail_ids),
        ("chunks", "chunk_id", sealed.taken_up),
    ):
        query = f"SELECT count(*) FROM {table} WHERE {connection.dialect.among(column)}"
        if connection.execute(query, (connection.dialect.listed(ids),)).fetchone() != (len(ids),):
            return False
    return True


def _put_in_place(connection: Connection, sealed: _Sealed) -> None:
    tail.remove(connection, sealed.tail_ids)
    chunks.remove(connection, sealed.taken_up)
    chunks.write(connection, sealed.chunks)
    connection.executemany(
        "UPDATE series SET waiting = waiting - ? WHERE series_id = ?",
        [*zip(sealed.counts.tolist(), sealed.series_ids.tolist(), strict=True)],
    )


def settle_summaries(
    connection: Connection, run_no: int, series_ids: npt.NDArray[np.uint32]
) -> None:
    """Summarise anew the series of which points may have been counted twice."""
    if tail.waits(connection, run_no) > _POINTS_AT_ONCE:
        return  # too many to look at here; they are sealed next, and then this is done
    rows = connection.execute(
        "SELECT series_id FROM series WHERE exact = 0 AND "
        f"{connection.dialect.among('series_id')} ORDER BY series_id",
        (connection.dialect.listed(series_ids.tolist()),),
    ).fetchall()
    if not rows:
        return
    inexact = np.array([series_id for [series_id] in rows], np.uint32)
    waiting = np.zeros(inexact.size, SUMMARY)
    present, known = summarise_arranged(tail.read_run(connection, run_no))
    _, into, source = np.intersect1d(inexact, present, return_indices=True)
    waiting[into] = known[source]
    sealed = np.concatenate(
        [total(chunks.read_summaries(connection, each)[1]) for each in inexact.tolist()]
    )
    exact = ~overlaps(sealed, waiting)
    tail.write_summaries(connection, inexact, merge(sealed, waiting), exact)


def _give_back_space(connection: Connection) -> None:
    """Shrink the file when nothing waits any more; until then new points use what became free."""
    if connection.execute("SELECT 1 FROM tail LIMIT 1").fetchone() is None:
        connection.give_back_space()
