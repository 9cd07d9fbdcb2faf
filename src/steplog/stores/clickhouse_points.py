"""The rows of points in ClickHouse: their table, writing a block of them, reading a series.

A row is a point of a series, and the block that it was written by. A shard's blocks are numbered,
and a reader names the last one that counts: so it sees one state of the store, and neither what a
block before it has brought twice nor what a later one, or one that was not finished, has brought.

* Rows are points, and points are sets: the key of the table is the whole point, with the bits of
  its value, for ClickHouse takes -0.0 for 0.0 and NaN for any NaN. Of equal rows the one of the
  oldest block stays. That the others are dropped some time later is no matter: readers drop them.
* What a server does not know is not said to it: 18.16 has neither codecs nor tokens of blocks.
* Replicas get what was written a moment later. A reader knows which points there are to be, and
  asks the next replica, too, where one has fewer.

Which points there are to be, and which blocks count, is in `steplog.stores.clickhouse`.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from steplog.exceptions import StoreDamaged, StoreError
from steplog.points import Columns, compare, empty_columns, union
from steplog.stores.clickhouse_client import Facts, Incomplete, Server, Servers
from steplog.summary import mark

_SERIES_PER_PARTITION = 1 << 26
"""Series are numbered as they begin, so that a partition holds runs of one time, and there are 64
at the most. A partition by a time that users give could be any number of them."""
_BITS = "reinterpretAsUInt64(reinterpretAsString(value))"
"""The bits of a value, in words that ClickHouse has had since 2018."""
_MOST_BLOCKS = (1 << 32) - 1
_DEDUPLICATED_BLOCKS = 1000
_SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")
_COLUMNS = {
    "series_id": ("UInt32", "ZSTD(1)"),
    "step": ("Int64", "DoubleDelta, ZSTD(1)"),
    "timestamp": ("Int64", "Delta(8), ZSTD(1)"),
    "value": ("Float64", "ZSTD(1)"),
    # Counted downwards, because of equal rows ClickHouse keeps the one with the largest number.
    "seniority": ("UInt32", "ZSTD(1)"),
}


class Shard(NamedTuple):
    """A shard as the catalog knows it.

    Attributes:
        number: from 0; the runs whose number leaves this remainder are in it.
        name: what its servers call it (`steplog.stores.clickhouse_client`).
        points_table: the table of its points, with its database.
        sealed: the number of the last block that counts.

    """

    number: int
    name: str
    points_table: str
    sealed: int


def create(server: Server, table: str, cluster: str) -> None:
    """Make the table on one server, if it is not there.

    Args:
        server: a replica of the shard that the table is for.
        table: its name, with its database.
        cluster: of the URI; the replicas of a shard in a cluster copy each other.

    Raises:
        StoreError: it cannot be made.

    """
    facts = server.facts()
    columns = ", ".join(_definition(name, facts) for name in _COLUMNS)
    settings = {"index_granularity": 8192}
    if cluster and facts.shard and facts.replica:
        path = f"/clickhouse/tables/{{shard}}/{table}"
        engine = f"ReplicatedReplacingMergeTree('{path}', '{{replica}}', seniority)"
        settings["replicated_deduplication_window"] = _DEDUPLICATED_BLOCKS
    else:
        engine = "ReplacingMergeTree(seniority)"
        if "insert_deduplication_token" in facts.settings:
            settings["non_replicated_deduplication_window"] = _DEDUPLICATED_BLOCKS
    database = table.partition(".")[0]
    server.run(f"CREATE DATABASE IF NOT EXISTS {database}")
    server.run(
        f"CREATE TABLE IF NOT EXISTS {table} ({columns}) ENGINE = {engine} "
        f"PARTITION BY intDiv(series_id, {_SERIES_PER_PARTITION}) "
        f"ORDER BY (series_id, step, timestamp, {_BITS}) "
        f"SETTINGS {', '.join(f'{name} = {value}' for name, value in settings.items())}"
    )


def write(servers: Servers, shard: Shard, points: npt.NDArray[np.void]) -> None:
    """Write the block that follows the last one that counts.

    Args:
        servers: where.
        shard: whose block.
        points: arranged (`steplog.points.arrange`); the same whenever this block is tried.

    Raises:
        StoreError: it may have been written or not, and is to be written again.

    """
    block = shard.sealed + 1
    columns = {name: np.ascontiguousarray(points[name]) for name in Columns._fields}
    rows = {
        "series_id": np.ascontiguousarray(points["series"]),
        **columns,
        "seniority": np.full(points.size, _seniority(block), np.uint32),
    }
    # With their sum, because a database that was restored may give a number again.
    token = f"{shard.points_table}:{block}:{zlib.crc32(points.view(np.uint8).data):08x}"
    settings: dict[str, Any] = {"insert_deduplication_token": token}
    if servers.target.insert_quorum:
        settings["insert_quorum"] = servers.target.insert_quorum
    servers.first(shard.name, lambda server: server.insert(shard.points_table, rows, settings))


def read(
    servers: Servers, shard: Shard, series_id: int, runs: Sequence[npt.NDArray[np.void]]
) -> list[Columns]:
    """Return the points of stretches of one series, which are asked for together.

    Args:
        servers: where they are.
        shard: where the series is; what counts of it.
        series_id: whose points.
        runs: in order, stretches (dtype SUMMARY) that have no other between them. What lies between
            two runs is read for nothing.

    Raises:
        StoreError: no replica that can be reached has all of them now.
        StoreDamaged: all replicas answer, none waits for another one, and none has all of them.

    """
    window = _window(mark(runs[0][:1], "first"), mark(runs[-1][-1:], "last"))
    query = (
        f"SELECT step, timestamp, value FROM {shard.points_table} WHERE series_id = {series_id} "
        f"AND seniority >= {_seniority(shard.sealed)} AND {window}"
    )
    found: list[Columns] = []

    def ask(server: Server) -> list[Columns]:
        # What one replica does not have yet, another one has. All rows there are count.
        found.append(_arranged(server.select(query)))
        columns = found[0] if len(found) == 1 else union(found)
        try:
            return [each for run in runs for each in _separated(columns, run)]
        except Incomplete as error:
            where = f"ClickHouse at {server.name} lacks points of series {series_id}"
            raise Incomplete(f"{where}: {error.message}") from error

    try:
        return servers.first(shard.name, ask)
    except Incomplete as error:
        if any(_catches_up(server, shard) for server in servers.replicas(shard.name)):
            text = f"{error.message} Its replicas are catching up: try again."
            raise StoreError(text) from error
    try:
        return servers.first(shard.name, ask)  # who was behind a moment ago may have caught up
    except Incomplete as error:
        raise StoreDamaged(error.message) from error


def remove(servers: Servers, shard: Shard, series_ids: Sequence[int]) -> None:
    """Have all points of these series removed, which ClickHouse does some time later.

    Raises:
        StoreError: no replica can note that now.

    """
    listed = ", ".join(map(str, series_ids))
    statement = f"ALTER TABLE {shard.points_table} DELETE WHERE series_id IN ({listed})"
    servers.first(shard.name, lambda server: server.run(statement))


def newest_block(server: Server, shard: Shard) -> int:
    """Return the number of the newest block of which a replica has rows; 0 where it has none."""
    found = server.select(f"SELECT min(seniority) AS least FROM {shard.points_table}")
    # Of no rows there is no row, or a row of 0, as the server is old or new.
    least = int(found["least"].min(initial=_MOST_BLOCKS)) if found else _MOST_BLOCKS
    return _MOST_BLOCKS - (least or _MOST_BLOCKS)


def forget_newer(server: Server, shard: Shard) -> None:
    """Have all rows of blocks removed that do not count, which ClickHouse does some time later."""
    newer = f"seniority < {_seniority(shard.sealed)}"
    server.run(f"ALTER TABLE {shard.points_table} DELETE WHERE {newer}")


def size(servers: Servers, shard: Shard) -> tuple[int, int]:
    """Return how many bytes the points of a shard take on one replica, and how many rows they are.

    Raises:
        StoreError: no replica can say that now.

    """
    database, _, table = shard.points_table.partition(".")
    query = (
        "SELECT sum(bytes_on_disk), sum(rows) FROM system.parts "
        f"WHERE active AND database = '{database}' AND table = '{table}'"
    )
    [[taken, rows]] = servers.first(shard.name, lambda server: server.rows(query))
    return int(taken), int(rows)


def _catches_up(server: Server, shard: Shard) -> bool:
    """Say whether a replica, or another one by its account, has still something to fetch."""
    database, _, table = shard.points_table.partition(".")
    rows = server.rows(
        "SELECT is_readonly OR is_session_expired OR queue_size > 0 "
        "OR log_pointer <= log_max_index OR active_replicas < total_replicas "
        f"FROM system.replicas WHERE database = '{database}' AND table = '{table}'"
    )
    return rows == [["1"]]


def _seniority(block: int) -> int:
    return _MOST_BLOCKS - block


def _definition(name: str, facts: Facts) -> str:
    kind, codec = _COLUMNS[name]
    return f"{name} {kind} CODEC({codec})" if facts.version >= (20, 0) else f"{name} {kind}"


def _window(first: Columns, last: Columns) -> str:
    """Return the condition that a row lies between two points, or next to them."""
    [[low], [early], _], [[high], [late], _] = first, last
    if low == high:
        return f"step = {low} AND timestamp BETWEEN {early} AND {late}"
    return (
        f"step BETWEEN {low} AND {high} AND (step > {low} OR timestamp >= {early}) "
        f"AND (step < {high} OR timestamp <= {late})"
    )


def _arranged(found: dict[str, npt.NDArray[Any]]) -> Columns:
    """Return the points of an answer in order and each once."""
    if not found:
        return empty_columns()
    columns = Columns(*(found[name] for name in Columns._fields))
    if (columns.step[:-1] > columns.step[1:]).any():
        # Parts come one after the other, each in order: that is quick to sort so, and mostly all.
        columns = columns.take(np.argsort(columns.step, kind="stable"))
    return union([columns])


def _separated(columns: Columns, stretches: npt.NDArray[np.void]) -> list[Columns]:
    """Return the points of stretches that follow one another; Incomplete where some are missing."""
    begin = _place(columns, mark(stretches[:1], "first"))
    ends = begin + np.cumsum(stretches["count"])
    begins = ends - stretches["count"]
    for name, at in (("first", begins), ("last", ends - 1)):
        there = at < columns.step.size
        _, same = compare(columns.take(at[there]), mark(stretches[there], name))
        if not (there.all() and same.all()):
            last = stretches["last_step"][-1]
            raise Incomplete(f"there are not all of steps {stretches['first_step'][0]} to {last}.")
    return [
        columns.take(slice(*bounds)) for bounds in zip(begins.tolist(), ends.tolist(), strict=True)
    ]


def _place(columns: Columns, first: Columns) -> int:
    """Return how many points, given in order, come before this one."""
    low, high = (int(np.searchsorted(columns.step, first.step[0], side)) for side in _SIDES)
    near = columns.take(slice(low, high))
    before, _ = compare(near, first.take(np.zeros(near.step.size, np.intp)))
    return low + int(before.sum())
