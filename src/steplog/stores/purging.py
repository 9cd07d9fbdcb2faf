"""Purging: a run is removed for good, with its points and all else that was logged to it."""

from __future__ import annotations

from steplog.stores import chunks
from steplog.stores.connection import Connection, Database

_TABLES = ("tail", "params", "tags", "writers", "run_datasets", "run_models", "series", "runs")
"""What a run has, by its number; the run itself comes last."""


def purge_run(database: Database, run_id: str) -> bool:
    """Remove a run; False where there is none of that id.

    One transaction for each run: nobody waits for the removal of a thousand.
    """
    with database.writing() as connection:
        row = connection.execute("SELECT run_no FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        if row is None:
            return False
        [run_no] = row
        connection.lock_run(run_no)
        _purge_points(connection, run_no)
        for table in _TABLES:
            connection.execute(f"DELETE FROM {table} WHERE run_no = ?", (run_no,))
        connection.execute("DELETE FROM refusals WHERE run_id = ?", (run_id,))
        connection.give_back_space()
    return True


def _purge_points(connection: Connection, run_no: int) -> None:
    query = "SELECT series_id FROM series WHERE run_no = ?"
    series_ids = [series_id for [series_id] in connection.execute(query, (run_no,))]
    among = connection.dialect.among("series_id")
    query = f"SELECT chunk_id FROM chunks WHERE {among}"
    rows = connection.execute(query, (connection.dialect.listed(series_ids),))
    chunks.purge(connection, series_ids, [chunk_id for [chunk_id] in rows])
