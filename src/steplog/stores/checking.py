"""Verifying a catalog: the structure of its database, the bytes of every chunk, every summary.

Nothing is repaired here, and nothing is changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from math import isnan
from typing import Any

import numpy as np
import numpy.typing as npt

from steplog.exceptions import StoreDamaged
from steplog.points import is_sorted
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
    for index, chunk_id in enumerate(chunk_ids):
        kept = summaries[index : index + 1]
        try:
            columns = chunks.read(connection, Chunk(chunk_id, series_id, kept))
        except StoreDamaged as error:
            yield f"chunk {chunk_id}: {error.message}"
            continue
        if not is_sorted(columns):
            yield f"chunk {chunk_id}: its points are not in order"
        if summarise(columns).tobytes() != kept.tobytes():
            yield f"chunk {chunk_id}: its summary is not that of its points"


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
    largest = max(abs(found[name].item()) for name in ("min_value", "max_value"))
    return a == b or (isnan(a) and isnan(b)) or abs(a - b) <= _MEAN_TOLERANCE * largest
