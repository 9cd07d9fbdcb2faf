"""FastTrackML on SQLite: one process, written in Go."""

# ruff: noqa: D103 (what each function does is said once, in `servers.Adapter`)
from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from servers import PARAMS, START_MS, TAGS, Run


def command(directory: str, port: int) -> list[str]:
    fml = Path(sys.executable).with_name("fml")
    address = ["--listen-address", f"127.0.0.1:{port}"]
    return [str(fml), "server", *address, "--database-uri", f"sqlite://{directory}/fasttrackml.db"]


def fill(directory: str, runs: Iterable[Run]) -> None:
    with closing(sqlite3.connect(f"{directory}/fasttrackml.db")) as db, db:
        ((context,),) = db.execute("SELECT id FROM contexts WHERE json = '{}'")
        for number, run in enumerate(runs):
            db.execute(
                "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name,"
                " user_id, status, start_time, end_time, source_version, lifecycle_stage,"
                " artifact_uri, experiment_id, row_num)"
                " VALUES (?, ?, 'UNKNOWN', '', '', 'me', 'FINISHED', ?, ?, '', 'active', ?, 0, ?)",
                (
                    *(run.run_id, f"run-{run.run_id[:6]}", run.start_ms, run.start_ms),
                    *("file:///none", number),
                ),
            )
            for table, column, texts in (("params", "value_str", PARAMS), ("tags", "value", TAGS)):
                rows = [(key, value, run.run_id) for key, value in texts.items()]
                db.executemany(
                    f"INSERT INTO {table} (key, {column}, run_uuid) VALUES (?, ?, ?)", rows
                )
            db.executemany(_insert("metrics", "iter"), _points(run, context))
            db.executemany(_insert("latest_metrics", "last_iter"), _latest(run, context))


def client(directory: str) -> None:
    return None


def _insert(table: str, count: str) -> str:
    columns = f"key, value, timestamp, step, is_nan, {count}, run_uuid, context_id"
    return f"INSERT INTO {table} ({columns}) VALUES (?, ?, ?, ?, 0, ?, ?, ?)"


def _points(run: Run, context: int) -> Iterator[tuple[object, ...]]:
    for key, values in run.metrics.items():
        for step, value in enumerate(values):
            yield key, value, START_MS + step, step, step + 1, run.run_id, context


def _latest(run: Run, context: int) -> Iterator[tuple[object, ...]]:
    for key, values in run.metrics.items():
        last = len(values) - 1
        yield key, values[-1], START_MS + last, last, last + 1, run.run_id, context
