"""The store of many teams: a catalog in PostgreSQL whose sealed points live in ClickHouse.

Everything but points stands in PostgreSQL, and so do points until enough of them wait for a block:
`apply` is PostgreSQL's. What is known of the stretches of a series stands there, too, so tables,
searches and charts over steps never ask ClickHouse.

* `steplog.stores.blocks`: how points come to ClickHouse, exactly once;
* `steplog.stores.clickhouse_points`: their rows, and how they are read;
* `steplog.stores.stretches`: how they are cut into stretches that are summarised;
* `steplog.stores.clickhouse_client`: the servers, and what is said to them.

Which shard a run is in is decided by its number and by how many shards there are. `upgrade` writes
that down when the tables are made, and it never changes.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from steplog import settings
from steplog.exceptions import StoreError, warn
from steplog.points import Columns
from steplog.stores import blocks, clickhouse_points, sealing
from steplog.stores.clickhouse_client import Server, Servers, parse
from steplog.stores.clickhouse_points import Shard
from steplog.stores.connection import Chunk, Connection, Database
from steplog.stores.postgres import PostgresStore
from steplog.stores.postgres_database import PostgresDatabase
from steplog.summary import SUMMARY

_BLOCK_OF_RUNS = 2
"""A block of many runs is worth so many times the points for which one run would be sealed."""
_READ_AT_ONCE = 1 << 19
"""So many points are asked for together: 12 MB."""
_SKIPPED = 1 << 15
"""So many points between those that are wanted are read sooner than another question is asked."""
_POLL_SECONDS = 0.1
_UPGRADE = "Run `steplog db upgrade` with the same STEPLOG_POINTS_URI first."


class InClickHouse:
    """The home of points in ClickHouse (`steplog.stores.connection.Home`).

    Args:
        servers: who keeps them.

    """

    at_once = False

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    def write(
        self, connection: Connection, chunk_ids: Sequence[int], encoded: Sequence[bytes]
    ) -> None:
        """Refuse: points come here in blocks, and a transaction cannot take them back."""
        raise TypeError("Points come to ClickHouse in blocks (steplog.stores.blocks).")

    def read(self, connection: Connection, chunks: Sequence[Chunk]) -> Iterator[Columns]:
        """Yield the points of each of these stretches, in their order, reading a few ahead."""
        for series_id, of_series in groupby(chunks, key=lambda each: each.series_id):
            shard = _shard_of(connection, series_id)
            for runs in _together(connection, series_id, [*of_series]):
                yield from clickhouse_points.read(self._servers, shard, series_id, runs)

    def remove(self, connection: Connection, chunk_ids: Sequence[int]) -> None:
        """Do nothing: the points stay where they are, and other stretches hold them."""

    def purge(
        self, connection: Connection, series_ids: Sequence[int], chunk_ids: Sequence[int]
    ) -> None:
        """Write down that the points of these series are to be removed; `blocks.clear` does it."""
        if not series_ids:
            return
        shard = _shard_of(connection, series_ids[0])
        # Then no block is under way that brings new stretches of them.
        blocks.hold(connection, shard.number, wait=True)
        among = connection.dialect.among("series_id")
        listed = connection.dialect.listed(series_ids)
        connection.execute(f"DELETE FROM chunks WHERE {among}", (listed,))
        connection.execute(
            "INSERT INTO removals (number, series_ids) VALUES (?, ?)",
            (shard.number, json.dumps([*series_ids])),
        )


class ClickHouseStore(PostgresStore):
    """A `steplog.stores.base.Store` in a database of PostgreSQL and on servers of ClickHouse.

    Args:
        uri: ``postgresql://…``, the catalog.
        points_uri: ``clickhouse://…``, the sealed points.
        timeout: longest wait, in seconds, for a lock or an answer.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE for a `points_uri` that names no servers.
        StoreError: the catalog cannot be used now, or its points are not in ClickHouse. Whether
            ClickHouse can be used is seen when it is needed.

    """

    def __init__(self, uri: str, points_uri: str, timeout: float = 30.0) -> None:
        self._servers = Servers(parse(points_uri), timeout)
        self._trouble = ""
        super().__init__(uri, timeout, InClickHouse(self._servers))
        with self._database.reading() as connection:
            shards = blocks.read_shards(connection)
        if not shards:
            self.close()
            raise StoreError(f"The points of this catalog are not in ClickHouse. {_UPGRADE}")

    def seal(self, run_id: str | None = None) -> int:
        """Move waiting points to ClickHouse: of shards of which enough waits, or all of one run.

        Where ClickHouse cannot take the points of shards, they wait for the next time, and one
        warning says so: for who logs, that is no trouble.
        """
        if run_id is not None:
            with self._database.reading() as connection:
                run_nos = sealing.waiting_run(connection, run_id)
            return sum(blocks.seal_run(self._database, self._servers, each) for each in run_nos)
        least = _BLOCK_OF_RUNS * settings.get("STEPLOG_SEAL_POINTS")
        with self._database.reading() as connection:
            due = blocks.due_shards(connection, least)
        points = 0
        with self._tolerated():
            for number in due:
                points += blocks.seal(self._database, self._servers, number, least)
            blocks.clear(self._database, self._servers)
        return points

    def purge(self, run_ids: Sequence[str]) -> int:
        """Remove these runs for good; their points leave ClickHouse some time later."""
        removed = super().purge(run_ids)
        with self._tolerated():
            blocks.clear(self._database, self._servers)
        return removed

    def stats(self) -> dict[str, Any]:
        """Counts and bytes; those of one run are its share of the rows of its shard."""
        stats = super().stats()
        with self._database.reading() as connection:
            shards = blocks.read_shards(connection)
            rows = connection.execute(
                "SELECT run_id, run_no, CAST(sum(chunks.count) AS BIGINT) FROM runs "
                "JOIN series USING (run_no) JOIN chunks USING (series_id) GROUP BY run_id, run_no"
            ).fetchall()
        sizes = [clickhouse_points.size(self._servers, shard) for shard in shards]
        for run_id, run_no, points in rows:
            taken, of_all = sizes[run_no % len(sizes)]
            stats["runs_bytes"][run_id] += -(-taken * points // max(of_all, 1))
        stats["bytes"] += sum(taken for taken, _ in sizes)
        return stats

    def close(self) -> None:
        """Give back files and connections. The store cannot be used afterwards."""
        super().close()
        self._servers.close()

    @contextmanager
    def _tolerated(self) -> Iterator[None]:
        """Let an error of ClickHouse be a warning, once until all is well again."""
        try:
            yield
        except StoreError as error:
            if not self._trouble:
                warn(f"{error.message} Points wait in the catalog until that is possible again.")
            self._trouble = error.message
        else:
            self._trouble = ""


def upgrade(uri: str, points_uri: str, timeout: float = 30.0, *, drop_newer: bool = False) -> None:
    """Make the tables of points, on every server, and remember which shards there are.

    Args:
        uri: ``postgresql://…``, a catalog of the present revision.
        points_uri: ``clickhouse://…``; all of its servers must answer …
        timeout: … each within so many seconds.
        drop_newer: remove points of which the catalog does not know: it was restored from a copy.

    Raises:
        StoreError: a server does not answer; or they are other shards than those that the points
            of this catalog were distributed to; or they hold newer points, and `drop_newer` is not
            given.

    """
    servers = Servers(parse(points_uri), timeout)
    database = PostgresDatabase(uri, timeout, InClickHouse(servers))
    try:
        found = servers.shards()
        with _alone(database) as connection:
            shards = blocks.read_shards(connection) or _found(connection, servers, found)
        _expect(shards, found)
        for shard in shards:
            for server in found[shard.name]:
                clickhouse_points.create(server, shard.points_table, servers.target.cluster)
        with _alone(database) as connection:
            for shard in blocks.read_shards(connection):
                _compare(connection, shard, found[shard.name], drop_newer=drop_newer)
    finally:
        database.close()
        servers.close()


@contextmanager
def _alone(database: Database) -> Iterator[Connection]:
    """Lend a connection that writes, while nobody seals and nobody else upgrades."""
    with database.writing(durable=True) as connection:
        connection.execute("LOCK TABLE shards IN EXCLUSIVE MODE")
        yield connection


def _compare(
    connection: Connection, shard: Shard, replicas: Sequence[Server], *, drop_newer: bool
) -> None:
    """See that a shard has no blocks of which the catalog does not know, or remove them."""
    query = "SELECT count(*) FROM claims WHERE number = ?"
    [claimed] = connection.execute(query, (shard.number,)).fetchone()
    newest = max(clickhouse_points.newest_block(server, shard) for server in replicas)
    if newest <= shard.sealed + claimed:
        return
    if not drop_newer:
        raise StoreError(
            f"ClickHouse holds {newest - shard.sealed} blocks of points in {shard.points_table} of "
            "which this catalog does not know. Is it an older copy of a catalog that is in use? "
            "Then give it other servers. If it was restored and takes the other one's place: "
            "steplog db upgrade --drop-newer-points"
        )
    clickhouse_points.forget_newer(replicas[0], shard)
    left = newest
    while left > shard.sealed:
        time.sleep(_POLL_SECONDS)
        left = max(clickhouse_points.newest_block(server, shard) for server in replicas)
        connection.execute("SELECT 1")  # or the database would take us for dead
    # Its numbers are not given again, for replicas remember the blocks that had them.
    connection.execute("UPDATE shards SET sealed = ? WHERE number = ?", (newest, shard.number))


def _found(
    connection: Connection, servers: Servers, found: Mapping[str, Sequence[Server]]
) -> list[Shard]:
    """Write down the shards of a catalog that has none yet."""
    if connection.execute("SELECT 1 FROM chunks LIMIT 1").fetchone() is not None:
        raise StoreError(
            "The points of this catalog live in its own database, and are not moved to ClickHouse. "
            "Begin a new one, and `steplog sync` this one into it."
        )
    # A name of its own, so that two catalogs may share a database of ClickHouse.
    table = f"{servers.target.database}.steplog_{secrets.token_hex(4)}"
    shards = [Shard(number, name, f"{table}_{number}", 0) for number, name in enumerate(found)]
    connection.insert_many("shards", Shard._fields, shards)
    return shards


def _expect(shards: Sequence[Shard], found: Mapping[str, Sequence[Server]]) -> None:
    names = [shard.name for shard in shards]
    if names != [*found]:
        raise StoreError(
            f"The points of this catalog are distributed to the shards {', '.join(names)}, and "
            f"STEPLOG_POINTS_URI names {', '.join(found)}. Which run is in which never changes."
        )


def _shard_of(connection: Connection, series_id: int) -> Shard:
    shards = blocks.read_shards(connection)
    row = connection.execute(
        "SELECT run_no FROM series WHERE series_id = ?", (series_id,)
    ).fetchone()
    if not shards or row is None:
        raise StoreError(f"There are no shards that series {series_id} is in. {_UPGRADE}")
    run_no: int = row[0]
    return shards[run_no % len(shards)]


def _together(
    connection: Connection, series_id: int, stretches: Sequence[Chunk]
) -> Iterator[list[npt.NDArray[np.void]]]:
    """Yield runs of stretches that one question is asked for: few points, and few between them."""
    counts = np.array([each.summary["count"][0] for each in stretches])
    place, before = _places(connection, series_id, stretches)
    skipped = before[1:] - before[:-1] - counts[:-1]
    begins = [0]
    for index in range(1, len(stretches)):
        asked = before[index] + counts[index] - before[begins[-1]]
        if skipped[index - 1] > _SKIPPED or asked > _READ_AT_ONCE:
            begins.append(index)
    # With the type given, for finding it out takes longer than all the rest.
    summaries = np.concatenate([each.summary for each in stretches], dtype=SUMMARY)
    for begin, end in pairwise([*begins, len(stretches)]):
        apart = np.flatnonzero(np.diff(place[begin:end]) != 1) + 1
        yield np.split(summaries[begin:end], apart)


def _places(
    connection: Connection, series_id: int, stretches: Sequence[Chunk]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the place of each stretch in its series, and how many points come before it there.

    Both are counted from somewhere before the first one of them.
    """
    if len(stretches) == 1:
        return np.zeros(1, np.int64), np.zeros(1, np.int64)
    bounds = (int(stretches[at].summary["first_step"][0]) for at in (0, -1))
    rows = connection.execute(
        "SELECT chunk_id, count FROM chunks WHERE series_id = ? AND first_step BETWEEN ? AND ? "
        "ORDER BY first_step, first_timestamp, chunk_id",
        (series_id, *bounds),
    ).fetchall()
    index = {chunk_id: place for place, [chunk_id, _] in enumerate(rows)}
    before = np.cumsum([0, *(count for _, count in rows)])
    place = np.array([index[each.chunk_id] for each in stretches])
    return place, before[place]
