"""The chunks: the sealed points of the catalog, one series in each; writing them and reading them.

A chunk's summary and its bytes stand in two tables, so that a chart can be drawn from summaries
without stepping over the bytes. How the bytes are made is in `steplog.chunk`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from steplog import chunk
from steplog.exceptions import StoreDamaged
from steplog.points import Columns, series_starts
from steplog.stores.database import (
    Connection,
    marks,
    summaries_of,
    summary_rows,
)
from steplog.stores.schema import SUMMARY_COLUMNS
from steplog.summary import summarise_stretches

CHUNK_POINTS = 8192
"""The most points of a chunk."""

Encoded = tuple[int, npt.NDArray[np.void], bytes]
"""A chunk to be: its series, its summary, its bytes."""


def encode(points: npt.NDArray[np.void]) -> Iterator[Encoded]:
    """Yield the chunks that arranged points make (`steplog.points.arrange`)."""
    _, starts = series_starts(points)
    stops = np.append(starts, points.size)[1:]
    begins = np.concatenate([np.empty(0, np.intp), *map(_cut_evenly, starts, stops)])
    columns = Columns.of(points)
    summaries = summarise_stretches(columns, begins)
    for index, (begin, end) in enumerate(pairwise([*begins.tolist(), points.size])):
        data = chunk.encode(columns.take(slice(begin, end)))
        yield int(points["series"][begin]), summaries[index : index + 1], data


def write(
    connection: Connection, series_id: int, summary: npt.NDArray[np.void], data: bytes
) -> None:
    """Write one chunk."""
    columns = ("series_id", *SUMMARY_COLUMNS)
    [row] = summary_rows(summary)
    chunk_id = connection.execute(
        f"INSERT INTO chunks ({', '.join(columns)}) VALUES ({marks(columns)})", (series_id, *row)
    ).lastrowid
    connection.execute("INSERT INTO chunk_bytes VALUES (?, ?)", (chunk_id, data))


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


def read(connection: Connection, chunk_id: int) -> Columns:
    """Return the points of a chunk; StoreDamaged where they are not what was written."""
    query = "SELECT bytes FROM chunk_bytes WHERE chunk_id = ?"
    row = connection.execute(query, (chunk_id,)).fetchone()
    if row is None:
        raise StoreDamaged(f"The bytes of chunk {chunk_id} are missing.")
    return chunk.decode(row[0])


def _cut_evenly(start: int, stop: int) -> npt.NDArray[np.intp]:
    """Return where chunks begin that share the points from `start` to `stop` among them."""
    count = -(-(stop - start) // CHUNK_POINTS)
    return start + np.arange(count, dtype=np.intp) * (stop - start) // count
