"""The chunks: the sealed points of the catalog, one series in each; writing them and reading them.

What is known of a chunk and its points stand apart, so that a chart can be drawn from summaries
without stepping over the points. The points are kept in a *home*
(`steplog.stores.connection.Home`), which everybody reaches through the functions here. The home
here, `InCatalog`, is a table of the same database; how the bytes in it are made is in
`steplog.chunk`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from steplog import chunk
from steplog.exceptions import StoreDamaged
from steplog.points import Columns, series_starts
from steplog.stores.connection import Chunk, Connection, summaries_of, summary_bits
from steplog.stores.schema import SUMMARY_COLUMNS
from steplog.summary import summarise_stretches

CHUNK_POINTS = 8192
"""The most points of a chunk."""
_READ_AT_ONCE = 16

Encoded = tuple[int, npt.NDArray[np.void], bytes]
"""A chunk to be: its series, its summary, its bytes."""


class InCatalog:
    """The home of points in the catalog's own database: the table ``chunk_bytes``."""

    at_once = True

    def write(
        self, connection: Connection, chunk_ids: Sequence[int], encoded: Sequence[bytes]
    ) -> None:
        """Write the points of new chunks, encoded by `steplog.chunk`, in this transaction."""
        rows = [*zip(chunk_ids, encoded, strict=True)]
        connection.insert_many("chunk_bytes", ("chunk_id", "bytes"), rows)

    def read(self, connection: Connection, chunks: Sequence[Chunk]) -> Iterator[Columns]:
        """Yield the points of each of these chunks, in their order, reading a few ahead."""
        among = connection.dialect.among("chunk_id")
        query = f"SELECT chunk_id, bytes FROM chunk_bytes WHERE {among}"
        for start in range(0, len(chunks), _READ_AT_ONCE):
            chunk_ids = [each.chunk_id for each in chunks[start : start + _READ_AT_ONCE]]
            found = dict(connection.execute(query, (connection.dialect.listed(chunk_ids),)))
            for chunk_id in chunk_ids:
                if chunk_id not in found:
                    raise StoreDamaged(f"The bytes of chunk {chunk_id} are missing.")
                yield chunk.decode(found.pop(chunk_id))

    def remove(self, connection: Connection, chunk_ids: Sequence[int]) -> None:
        """Remove the points of chunks whose points stand in other chunks now."""
        among = connection.dialect.among("chunk_id")
        query = f"DELETE FROM chunk_bytes WHERE {among}"
        connection.execute(query, (connection.dialect.listed(chunk_ids),))

    def purge(
        self, connection: Connection, series_ids: Sequence[int], chunk_ids: Sequence[int]
    ) -> None:
        """Remove all points of these series for good; `chunk_ids` are all chunks they have."""
        self.remove(connection, chunk_ids)


def encode(points: npt.NDArray[np.void]) -> Iterator[Encoded]:
    """Yield the chunks that arranged points make (`steplog.points.arrange`)."""
    begins, summaries = cut(points)
    columns = Columns.of(points)
    for index, (begin, end) in enumerate(pairwise([*begins.tolist(), points.size])):
        data = chunk.encode(columns.take(slice(begin, end)))
        yield int(points["series"][begin]), summaries[index : index + 1], data


def cut(points: npt.NDArray[np.void]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.void]]:
    """Return where the chunks of arranged points begin, and the summary of each."""
    _, starts = series_starts(points)
    stops = np.append(starts, points.size)[1:]
    begins = np.concatenate([np.empty(0, np.intp), *map(_cut_evenly, starts, stops)])
    return begins, summarise_stretches(Columns.of(points), begins)


def write(connection: Connection, encoded: Sequence[Encoded]) -> None:
    """Write chunks, what is known of them and their points."""
    if not encoded:
        return
    series_ids, summaries, data = zip(*encoded, strict=True)
    chunk_ids = write_summaries(connection, series_ids, np.concatenate(summaries))
    connection.home.write(connection, chunk_ids, data)


def write_summaries(
    connection: Connection, series_ids: Sequence[int], summaries: npt.NDArray[np.void]
) -> list[int]:
    """Write what is known of new chunks, not their points; return their numbers.

    Args:
        connection: in a transaction.
        series_ids: the series of each chunk.
        summaries: dtype SUMMARY, one of each chunk.

    """
    chunk_ids = connection.new_chunk_ids(len(series_ids))
    rows = [
        (chunk_id, series_id, *bits)
        for chunk_id, series_id, bits in zip(
            chunk_ids, series_ids, summary_bits(summaries).tolist(), strict=True
        )
    ]
    connection.insert_many("chunks", ("chunk_id", "series_id", *SUMMARY_COLUMNS), rows)
    return chunk_ids


def read_summaries(
    connection: Connection, series_id: int, above: int = 0
) -> tuple[list[int], npt.NDArray[np.void]]:
    """Return the numbers and the summaries of the chunks of a series, in order.

    Args:
        connection: in a transaction.
        series_id: whose chunks.
        above: only chunks with a higher number than this one.

    """
    rows = connection.execute(
        f"SELECT {', '.join(SUMMARY_COLUMNS)}, chunk_id FROM chunks "
        "WHERE series_id = ? AND chunk_id > ? ORDER BY first_step, first_timestamp, chunk_id",
        (series_id, above),
    ).fetchall()
    return [row[-1] for row in rows], summaries_of(row[:-1] for row in rows)


def read(connection: Connection, which: Chunk) -> Columns:
    """Return the points of a chunk; StoreDamaged where they are not what was written."""
    [columns] = connection.home.read(connection, [which])
    return columns


def remove(connection: Connection, chunk_ids: Sequence[int]) -> None:
    """Remove chunks whose points stand in others now."""
    among = connection.dialect.among("chunk_id")
    listed = connection.dialect.listed(chunk_ids)
    connection.execute(f"DELETE FROM chunks WHERE {among}", (listed,))
    connection.home.remove(connection, chunk_ids)


def purge(connection: Connection, series_ids: Sequence[int], chunk_ids: Sequence[int]) -> None:
    """Remove all chunks of these series for good, and their points wherever they are."""
    among = connection.dialect.among("chunk_id")
    connection.execute(f"DELETE FROM chunks WHERE {among}", (connection.dialect.listed(chunk_ids),))
    connection.home.purge(connection, series_ids, chunk_ids)


def _cut_evenly(start: int, stop: int) -> npt.NDArray[np.intp]:
    """Return where chunks begin that share the points from `start` to `stop` among them."""
    count = -(-(stop - start) // CHUNK_POINTS)
    return start + np.arange(count, dtype=np.intp) * (stop - start) // count
