"""Verifying a catalog: the structure of its database, the bytes of every chunk, every summary.

Nothing is repaired here, and nothing is changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from math import isnan
from sys import float_info
from typing import Any

import numpy as np
import numpy.typing as npt

from steplog.exceptions import StoreDamaged
from steplog.points import POINT, Columns, is_sorted
from steplog.stores import chunks, tail
from steplog.stores.base import Damage
from steplog.stores.connection import Chunk, Connection, Database, summaries_of
from steplog.stores.schema import SUMMARY_COLUMNS
from steplog.stores.sealing import total
from steplog.summary import SUMMARY, merge, summarise, summarise_arranged

_REPEATABLE = ("count", "nan_count", "mean")
"""What a point changes that was counted twice, which it may be in a series that is not exact."""
_MEAN_TOLERANCE = 1e-9
"""How far two means of the same points may lie apart, relative to the largest value."""


def check(database: Database) -> Iterator[Damage | int]:
    """Yield each damage found, and between them how many series have been looked at so far."""
    try:
        with database.reading() as connection:
            yield from (Damage(database.name, finding) for finding in connection.findings())
            yield from _check_all_series(connection)
    except StoreDamaged as error:
        yield Damage(database.name, error.message)


def check_copy(database: Database) -> Iterator[Damage]:
    """Yield what shows that the parts of a catalog are of different moments.

    So they are where its files were copied one after the other while it was written. Of sealed
    points only the summaries are looked at: their bytes have checksums, and whoever reads them
    notices.
    """
    try:
        with database.reading() as connection:
            yield from (Damage(database.name, finding) for finding in connection.findings())
            for question, what in _FITTING:
                [number] = connection.execute(question).fetchone() or [0]
                if number:
                    yield Damage(database.name, f"{number} {what}")
            yield from _check_waiting(connection)
    except StoreDamaged as error:
        yield Damage(database.name, error.message)


_FITTING = (
    ("SELECT count(*) FROM series WHERE run_no NOT IN (SELECT run_no FROM runs)",
     "series of runs that are missing"),
    ("SELECT count(*) FROM tail WHERE run_no NOT IN (SELECT run_no FROM runs) "
     f"OR length(points) <> {POINT.itemsize} * n",
     "blobs of waiting points that are incomplete, or of runs that are missing"),
    ("SELECT count(*) FROM chunks WHERE series_id NOT IN (SELECT series_id FROM series) "
     "OR chunk_id NOT IN (SELECT chunk_id FROM chunk_bytes)",
     "chunks of which the series or the bytes are missing"),
    ("SELECT count(*) FROM series LEFT JOIN "
     "(SELECT series_id, sum(count) AS sealed FROM chunks GROUP BY series_id) USING (series_id) "
     "WHERE exact AND count <> coalesce(sealed, 0) + waiting",
     "series that have other points than they are said to have"),
    ("SELECT count(*) FROM (SELECT run_no, sum(waiting) AS said FROM series GROUP BY run_no) "
     "LEFT JOIN (SELECT run_no, sum(n) AS found FROM tail GROUP BY run_no) USING (run_no) "
     "WHERE said <> coalesce(found, 0)",
     "runs of which other points wait than are said to"),
)  # fmt: skip
"""Questions about a catalog whose answers are 0, and what it means where they are not."""


def _check_waiting(connection: Connection) -> Iterator[Damage]:
    """Compare the points that wait with what is known of their series: no checksum guards them."""
    for [run_no] in connection.execute("SELECT DISTINCT run_no FROM tail").fetchall():
        waiting = _waiting(connection, run_no)
        for *summary, exact, key, series_id in _rows(connection, run_no):
            if series_id in waiting:
                _, sealed = chunks.read_summaries(connection, series_id)
                found = merge(total(sealed), waiting.pop(series_id))
                for finding in _check_row(summaries_of([summary]), found, exact):
                    yield Damage(f"series {series_id} ({key})", finding)
        if waiting:
            yield Damage(f"run number {run_no}", f"{len(waiting)} unknown series have points")


def _check_all_series(connection: Connection) -> Iterator[Damage | int]:
    checked = 0
    for run_no, run_id in connection.execute("SELECT run_no, run_id FROM runs").fetchall():
        waiting = _waiting(connection, run_no)
        for *summary, exact, key, series_id in _rows(connection, run_no):
            chunk_ids, sealed = chunks.read_summaries(connection, series_id)
            found = merge(total(sealed), waiting.get(series_id, np.zeros(1, SUMMARY)))
            for finding in chain(
                _check_chunks(connection, series_id, chunk_ids, sealed),
                _check_row(summaries_of([summary]), found, exact),
            ):
                yield Damage(f"series {series_id} ({key} of run {run_id})", finding)
            checked += 1
            yield checked


def _rows(connection: Connection, run_no: int) -> list[Any]:
    columns = ", ".join((*SUMMARY_COLUMNS, "exact", "key", "series_id"))
    query = f"SELECT {columns} FROM series WHERE run_no = ?"
    return connection.execute(query, (run_no,)).fetchall()


def _waiting(connection: Connection, run_no: int) -> dict[int, npt.NDArray[np.void]]:
    """Return what is known of the waiting points of a run, by series.

    For all series at once, because every blob of the tail holds points of many.
    """
    series_ids, summaries = summarise_arranged(tail.read_run(connection, run_no))
    return {series_id: summaries[i : i + 1] for i, series_id in enumerate(series_ids.tolist())}


def _check_chunks(
    connection: Connection, series_id: int, chunk_ids: list[int], summaries: npt.NDArray[np.void]
) -> Iterator[str]:
    listed = [
        Chunk(chunk_id, series_id, summaries[index : index + 1])
        for index, chunk_id in enumerate(chunk_ids)
    ]
    for each, columns in zip(listed, _read(connection, listed), strict=True):
        if isinstance(columns, StoreDamaged):
            yield f"chunk {each.chunk_id}: {columns.message}"
            continue
        if not is_sorted(columns):
            yield f"chunk {each.chunk_id}: its points are not in order"
        if differences(each.summary, summarise(columns), exact=True):
            yield f"chunk {each.chunk_id}: its summary is not that of its points"


def _read(connection: Connection, listed: Sequence[Chunk]) -> Iterator[Columns | StoreDamaged]:
    """Yield the points of each chunk, or what is wrong with it."""
    done = 0
    while done < len(listed):
        try:
            for columns in connection.home.read(connection, listed[done:]):
                done += 1
                yield columns
        except StoreDamaged:
            # Of some that were read together, which may not be the next one.
            try:
                yield chunks.read(connection, listed[done])
            except StoreDamaged as error:
                yield error
            done += 1


def _check_row(
    kept: npt.NDArray[np.void], found: npt.NDArray[np.void], exact: bool
) -> Iterator[str]:
    for name in differences(kept, found, exact):
        yield f"its {name} is said to be {kept[name][0]}, and is {found[name][0]}"


def differences(kept: npt.NDArray[np.void], found: npt.NDArray[np.void], exact: bool) -> list[str]:
    """Return the names of the fields in which two summaries differ by more than they may.

    Args:
        kept: dtype SUMMARY, shape (1,).
        found: dtype SUMMARY, shape (1,).
        exact: whether every point was counted once.

    """
    return [
        name
        for name in SUMMARY_COLUMNS
        if kept[name].tobytes() != found[name].tobytes()
        and (exact or name not in _REPEATABLE)
        and not (name == "mean" and _means_agree(kept, found))
    ]


def _means_agree(kept: npt.NDArray[np.void], found: npt.NDArray[np.void]) -> bool:
    """Say whether the means differ by rounding only, which depends on the order of merging."""
    [a], [b] = kept["mean"].tolist(), found["mean"].tolist()
    # Below the least normal number rounding is coarser than it is in proportion.
    extremes = (abs(found[name].item()) for name in ("min_value", "max_value"))
    largest = max(*extremes, float_info.min)
    return a == b or (isnan(a) and isnan(b)) or abs(a - b) <= _MEAN_TOLERANCE * largest
