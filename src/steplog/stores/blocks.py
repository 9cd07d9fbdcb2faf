"""Blocks: how waiting points of many runs move into a shard of ClickHouse, exactly once.

The points leave one database and come into another, and a process may die, or a connection break,
between any two steps. So:

1. The blobs of the tail that make the next block are written down, and that is committed: the
   *claim*. From then on the block has one composition.
2. The block is written to ClickHouse: the same rows in the same order however often. What nobody
   has put in place yet, no reader sees (`steplog.stores.clickhouse_points`).
3. One transaction puts it in place: what is known of stretches, the number of the shard's last
   block, the blobs and the claim removed.

A shard has one claim at the most, and whoever holds the row of the shard works on it; the lock is
the transaction of step 3, so that it ends with whoever dies. Who comes next finds the claim and
goes on with step 2.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from steplog.exceptions import StoreDamaged
from steplog.points import POINT, Columns, arrange, series_starts, union
from steplog.stores import chunks, clickhouse_points, sealing, stretches, tail
from steplog.stores.clickhouse_client import Servers
from steplog.stores.clickhouse_points import Shard
from steplog.stores.connection import Connection, Database, summaries_of
from steplog.stores.schema import SUMMARY_COLUMNS
from steplog.summary import SUMMARY

MOST_POINTS = 1 << 18
"""A block that has so many points is large enough for ClickHouse, and small enough for a training
process that happens to seal it."""
_MOST_BLOBS = 20_000
_REMOVALS_AT_ONCE = 1_000
_SHARD = ", ".join(Shard._fields)
_SUMMARY = ", ".join(SUMMARY_COLUMNS)

Ids = npt.NDArray[np.int64]


class _Change(NamedTuple):
    """What a block makes of the stretches of its series.

    Attributes:
        gone: the numbers of stretches that are no more.
        series_ids: the series of each new stretch.
        summaries: the new stretches.

    """

    gone: list[int]
    series_ids: list[int]
    summaries: npt.NDArray[np.void]


class _Series(NamedTuple):
    """The series of a block, ascending: whose they are, and what is known of them."""

    series_ids: Ids
    run_nos: Ids
    totals: npt.NDArray[np.void]


def read_shards(connection: Connection) -> list[Shard]:
    """Return the shards of a catalog, in order; none where its points live in it."""
    rows = connection.execute(f"SELECT {_SHARD} FROM shards ORDER BY number")
    return [Shard._make(row) for row in rows]


def due_shards(connection: Connection, least: int) -> list[int]:
    """Return the shards of which so many points wait, or a block was left behind."""
    [count] = connection.execute("SELECT count(*) FROM shards").fetchone()
    rows = connection.execute(
        "SELECT number FROM claims UNION SELECT number FROM ("
        "SELECT mod(run_no, CAST(? AS BIGINT)) AS number, n FROM tail) AS waiting "
        "GROUP BY number HAVING sum(n) >= ? ORDER BY number",
        (count, least),
    )
    return [number for [number] in rows]


def seal(database: Database, servers: Servers, number: int, least: int) -> int:
    """Seal what waits of a shard, block by block, unless somebody else is at it.

    Args:
        database: of the catalog.
        servers: where the points shall live.
        number: of the shard.
        least: fewer waiting points are not worth a block.

    Returns:
        How many points were sealed.

    Raises:
        StoreError: they could not be sealed now. They wait in the tail.

    """
    points = 0
    while sealed := _seal(database, servers, number, least, None):
        points += sealed
    return points


def seal_run(database: Database, servers: Servers, run_no: int) -> int:
    """Seal all that waits of a run, after whatever was claimed before; return how many points."""
    with database.reading() as connection:
        number = run_no % len(read_shards(connection))
    points = 0
    while sealed := _seal(database, servers, number, 1, run_no):
        points += sealed
    return points


def hold(connection: Connection, number: int, *, wait: bool) -> Shard | None:
    """Return a shard, which is this transaction's until it ends; None where it is another's.

    Args:
        connection: in a transaction of writing.
        number: of the shard.
        wait: until another transaction that has it has ended.

    """
    row = connection.execute(
        f"SELECT {_SHARD} FROM shards WHERE number = ? FOR UPDATE{'' if wait else ' SKIP LOCKED'}",
        (number,),
    ).fetchone()
    return None if row is None else Shard._make(row)


def clear(database: Database, servers: Servers) -> None:
    """Remove from ClickHouse what was purged from the catalog.

    Raises:
        StoreError: that cannot be done now, and is to be tried again.

    """
    with database.writing() as connection:
        rows = connection.execute(
            "SELECT removal_id, number, series_ids FROM removals ORDER BY removal_id "
            f"LIMIT {_REMOVALS_AT_ONCE} FOR UPDATE SKIP LOCKED"
        ).fetchall()
        for shard in read_shards(connection) if rows else []:
            texts = [text for _, number, text in rows if number == shard.number]
            series_ids = [series_id for text in texts for series_id in json.loads(text)]
            if series_ids:
                clickhouse_points.remove(servers, shard, series_ids)
        among = connection.dialect.among("removal_id")
        listed = connection.dialect.listed([row[0] for row in rows])
        connection.execute(f"DELETE FROM removals WHERE {among}", (listed,))


def _seal(database: Database, servers: Servers, number: int, least: int, run_no: int | None) -> int:
    """Seal one block of a shard, of one run or of any; return how many points it took."""
    with database.writing() as connection:
        shard = hold(connection, number, wait=run_no is not None)
        if shard is None:
            return 0
        tail_ids = _claim(database, shard, least, run_no)
        if not tail_ids:
            return 0
        waiting = _read(connection, tail_ids)
        points = arrange(waiting)
        if points.size:  # its runs may have been purged since it was claimed
            clickhouse_points.write(servers, shard, points)
        series = _series(connection, points)
        change = _change(connection, servers, shard, points, series)
        _put_in_place(connection, shard, tail_ids, series, change)
    return waiting.size


def _claim(database: Database, shard: Shard, least: int, run_no: int | None) -> list[int]:
    """Return the blobs that make the next block, which are so from now on; none if too few."""
    # Durable, for once the block was sent its composition must not be forgotten.
    with database.writing(durable=True) as connection:
        row = connection.execute(
            "SELECT tail_ids FROM claims WHERE number = ?", (shard.number,)
        ).fetchone()
        if row is not None:
            tail_ids: list[int] = json.loads(row[0])
            return tail_ids
        tail_ids, points = _oldest(connection, shard, run_no)
        if points < least:
            return []
        connection.execute(
            "INSERT INTO claims (number, tail_ids) VALUES (?, ?)",
            (shard.number, json.dumps(tail_ids)),
        )
        return tail_ids


def _oldest(connection: Connection, shard: Shard, run_no: int | None) -> tuple[list[int], int]:
    """Return the blobs that have waited longest, and how many points they hold."""
    whose, values = "mod(run_no, (SELECT count(*) FROM shards)) = ?", [shard.number]
    if run_no is not None:
        whose, values = "run_no = ?", [run_no]
    rows = connection.execute(
        f"SELECT tail_id, n FROM tail WHERE {whose} ORDER BY tail_id LIMIT {_MOST_BLOBS}", values
    )
    tail_ids, points = [], 0
    for tail_id, n in rows:
        if points >= MOST_POINTS:
            break
        tail_ids.append(tail_id)
        points += n
    return tail_ids, points


def _read(connection: Connection, tail_ids: Sequence[int]) -> npt.NDArray[np.void]:
    """Return the points of these blobs, as they came."""
    rows = connection.stream(
        f"SELECT points FROM tail WHERE {connection.dialect.among('tail_id')} ORDER BY tail_id",
        (connection.dialect.listed(tail_ids),),
    )
    parts = [np.frombuffer(blob, POINT) for [blob] in rows]
    return np.concatenate([np.empty(0, POINT), *parts])


def _series(connection: Connection, points: npt.NDArray[np.void]) -> _Series:
    series_ids, _ = series_starts(points)
    rows = connection.execute(
        f"SELECT {_SUMMARY}, run_no FROM series "
        f"WHERE {connection.dialect.among('series_id')} ORDER BY series_id",
        (connection.dialect.listed(series_ids.tolist()),),
    ).fetchall()
    totals = summaries_of(row[:-1] for row in rows)
    return _Series(series_ids.astype(np.int64), np.array([row[-1] for row in rows]), totals)


def _change(
    connection: Connection,
    servers: Servers,
    shard: Shard,
    points: npt.NDArray[np.void],
    series: _Series,
) -> _Change:
    last_ids, lasts = _last_stretches(connection, series.series_ids)
    _, starts = series_starts(points)
    late = stretches.are_late(lasts, Columns.of(points.take(starts)))
    on_time = ~np.repeat(late, np.diff(starts, append=points.size))
    grown = stretches.grow(points.compress(on_time), series.totals[~late], lasts[~late])
    gone = last_ids[~late][grown.replaces].tolist()
    owners = series.series_ids[~late][grown.owners].tolist()
    summaries = [grown.summaries]
    for index in np.flatnonzero(late).tolist():
        new = Columns.of(points[starts[index] : np.append(starts, points.size)[index + 1]])
        only = slice(index, index + 1)
        one = _Series(series.series_ids[only], series.run_nos[only], series.totals[only])
        replaced, made = _weave(connection, servers, shard, new, one)
        gone += replaced
        owners += one.series_ids.tolist() * made.size
        summaries.append(made)
    return _Change(gone, owners, np.concatenate(summaries, dtype=SUMMARY))


def _weave(
    connection: Connection, servers: Servers, shard: Shard, new: Columns, series: _Series
) -> tuple[list[int], npt.NDArray[np.void]]:
    """Return the stretches of one series that late points replace, and what takes their place."""
    series_id = int(series.series_ids[0])
    chunk_ids, known = chunks.read_summaries(connection, series_id)
    read = partial(_points_of, servers, shard, series_id, known)
    try:
        woven = stretches.weave(known, new, series.totals, read)
    except StoreDamaged:
        # Left for `check` to report; the points of a shard must not wait until it is repaired.
        return [], stretches.beside(new, series.totals)
    return [chunk_ids[each] for each in woven.gone.tolist()], woven.summaries


def _points_of(
    servers: Servers, shard: Shard, series_id: int, known: npt.NDArray[np.void], run: slice
) -> Columns:
    """Return the points of some stretches of a series, without those of the block under way."""
    return union(clickhouse_points.read(servers, shard, series_id, [known[run]]))


def _last_stretches(connection: Connection, series_ids: Ids) -> tuple[Ids, npt.NDArray[np.void]]:
    """Return the number and the summary of the last stretch of each series; zeros for none."""
    dialect = connection.dialect
    rows = connection.execute(
        f"SELECT {_SUMMARY}, series_id, chunk_id FROM chunks WHERE chunk_id IN ("
        "SELECT (SELECT chunk_id FROM chunks WHERE series_id = listed.value "
        "ORDER BY first_step DESC, first_timestamp DESC, chunk_id DESC LIMIT 1) "
        f"FROM {dialect.table('BIGINT')})",
        (dialect.listed(series_ids.tolist()),),
    ).fetchall()
    numbers, lasts = np.zeros(series_ids.size, np.int64), np.zeros(series_ids.size, SUMMARY)
    place = np.searchsorted(series_ids, np.array([row[-2] for row in rows], np.int64))
    numbers[place] = [row[-1] for row in rows]
    lasts[place] = summaries_of(row[:-2] for row in rows)
    return numbers, lasts


def _put_in_place(
    connection: Connection,
    shard: Shard,
    tail_ids: Sequence[int],
    series: _Series,
    change: _Change,
) -> None:
    """Let the block count. What waits of its series is not counted where no points come at once."""
    connection.execute("DELETE FROM claims WHERE number = ?", (shard.number,))
    connection.execute(
        "UPDATE shards SET sealed = ? WHERE number = ?", (shard.sealed + 1, shard.number)
    )
    tail.remove(connection, tail_ids)
    chunks.remove(connection, change.gone)
    chunks.write_summaries(connection, change.series_ids, change.summaries)
    inexact = connection.execute(
        "SELECT DISTINCT run_no FROM series WHERE exact = 0 AND "
        f"{connection.dialect.among('series_id')} ORDER BY run_no",
        (connection.dialect.listed(series.series_ids.tolist()),),
    ).fetchall()
    for [run_no] in inexact:
        connection.lock_run(run_no)
        of_run = series.series_ids[series.run_nos == run_no].astype(np.uint32)
        sealing.settle_summaries(connection, run_no, of_run)
