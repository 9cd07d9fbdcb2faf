"""The table of runs, for the page: filtered, sorted and cut by the server, however long it is.

A list of runs is kept for a while as a *snapshot*, so that rows do not move while somebody scrolls
through them; what stands in the rows is always what it is now.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from steplog.base_client import in_order
from steplog.direction import lower_is_better
from steplog.entities import LifecycleStage
from steplog.exceptions import invalid
from steplog.filters import parse_runs_filter, parse_runs_order
from steplog.query import PARTS, Condition, Field, Query
from steplog.server import view_messages as m
from steplog.server.endpoint import Answer, Caller, Request, Service
from steplog.server.messages import Double
from steplog.server.wire import answer, decode, spelled
from steplog.stores.base import PARENT_RUN_ID, RunRecord, Store
from steplog.summary import merge

MOST_ROWS = 1_000
MOST_COLUMNS = 1_000
ROWS = 100
RUNS_FOR_KEYS = 1_000
"""So many of the listed runs are looked at for columns to choose from."""
NOTE = "mlflow.note.content"
_ID_BYTES = 81  # of a Python text of 32 letters

_STAGES = (LifecycleStage.ACTIVE, LifecycleStage.DELETED)


def table(service: Service, request: Request) -> Answer:
    """Return some rows of the table of runs."""
    asked = decode(m.TableQuery, request.body)
    offset, limit = asked.offset or 0, ROWS if asked.limit is None else asked.limit
    if offset < 0 or not 1 <= limit <= MOST_ROWS:
        raise invalid(f"offset must not be negative, and limit lie between 1 and {MOST_ROWS}.")
    columns = asked.columns or []
    if len(columns) > MOST_COLUMNS:
        raise invalid(f"columns can be at most {MOST_COLUMNS}, got {len(columns)}.")
    store = service.client.store
    query = _query(service, store, request.caller, asked)
    snapshot = asked.snapshot or ""
    ids = service.snapshots.get((snapshot, query))
    if ids is None:
        ids = store.search(query)
        snapshot = secrets.token_hex(8)
        size = len(ids) * _ID_BYTES + len(request.body)  # the query is kept, too
        service.snapshots.put((snapshot, query), ids, size)
    page = ids[offset : offset + limit]
    records = in_order(page, store.runs(page), lambda record: record.row.run_id)
    values = _values(store, records, columns)
    children = store.children(page) if asked.parent is not None else {}
    shown = shown_runs(service, store, records)
    rows = [
        m.Row(**each, values=values[each["run_id"]], children=children.get(each["run_id"], 0))
        for each in shown
    ]
    keys = _keys(store, ids[:RUNS_FOR_KEYS]) if offset == 0 else None
    return answer(m.Table(len(ids), snapshot, rows, keys))


def shown_runs(
    service: Service, store: Store, records: Sequence[RunRecord]
) -> list[dict[str, Any]]:
    """Return what is shown of runs everywhere, by the names that it has in messages."""
    ids = list({record.row.experiment_id for record in records})
    names = {each.row.experiment_id: each.row.name for each in store.experiments(ids)}
    return [
        {
            "run_id": record.row.run_id,
            "run_name": record.row.name,
            "experiment_id": record.row.experiment_id,
            "experiment_name": names.get(record.row.experiment_id, ""),
            "status": status,
            "start_time": record.row.start_time,
            "end_time": record.row.end_time,
            "user_id": record.row.user_id,
            "stage": record.row.lifecycle_stage,
            "note": record.tags.get(NOTE) or None,
            "parent": record.tags.get(PARENT_RUN_ID) or None,
        }
        for record, status in zip(records, service.client.statuses(records), strict=True)
    ]


def _query(service: Service, store: Store, caller: Caller, asked: m.TableQuery) -> Query:
    stage = asked.stage or LifecycleStage.ACTIVE
    if stage not in _STAGES:
        raise invalid(f"stage must be one of {', '.join(_STAGES)}, got {stage!r}.")
    conditions = parse_runs_filter(asked.filter or "")
    if asked.parent is not None:
        comparator, value = ("=", asked.parent) if asked.parent else ("IS NULL", None)
        conditions = (*conditions, Condition(Field("tag", PARENT_RUN_ID), comparator, value))
    experiment_ids = asked.experiment_ids
    if experiment_ids is None:
        experiment_ids = [
            each.row.experiment_id
            for each in store.experiments()
            if each.row.lifecycle_stage == LifecycleStage.ACTIVE
        ]
    usable = tuple(each for each in experiment_ids if caller.may_use(each))
    return service.client.runs_query(conditions, parse_runs_order(asked.order_by), usable, (stage,))


def _values(
    store: Store, records: Sequence[RunRecord], columns: Sequence[str]
) -> dict[str, dict[str, Double | str]]:
    """Return what stands in each column of each run that has something there."""
    values: dict[str, dict[str, Double | str]] = {}
    for record in records:
        values[record.row.run_id] = row = {}
        for column in columns:
            kind, _, name = column.partition(".")
            pairs = {"params": record.params, "tags": record.tags}.get(kind, {})
            if name in pairs:
                row[column] = pairs[name]
    meant = _meant(columns)
    if not meant:
        return values
    for (run_id, key), known in _summaries(store, records, [*meant]).items():
        shown = values[run_id]
        for column, part in meant.get(key, ()):
            # A metric of this very name stands before a part of another one.
            if column == f"metrics.{key}" or column not in shown:
                number = _number(known, key, part)
                if number is not None:
                    shown[column] = number
    return values


def _meant(columns: Iterable[str]) -> dict[str, list[tuple[str, str]]]:
    """Return which columns each metric may stand in, and with which part of it.

    Example:
        >>> _meant(["metrics.loss.min"])
        {'loss.min': [('metrics.loss.min', 'last')], 'loss': [('metrics.loss.min', 'min')]}

    """
    meant: dict[str, list[tuple[str, str]]] = {}
    for column in columns:
        kind, _, name = column.partition(".")
        if kind == "metrics" and name:
            meant.setdefault(name, []).append((column, "last"))
            key, _, part = name.rpartition(".")
            if key and (part in PARTS or part == "best"):
                meant.setdefault(key, []).append((column, part))
    return meant


def _summaries(
    store: Store, records: Sequence[RunRecord], keys: Sequence[str]
) -> dict[tuple[str, str], npt.NDArray[np.void]]:
    """Return what is known of these metrics of each run."""
    known: dict[tuple[str, str], npt.NDArray[np.void]] = {}
    for series in store.series([record.row.run_id for record in records], keys):
        name = series.key.run_id, series.key.key
        summary = series.summary.reshape(1)
        # A metric has several series where it was measured on several models or datasets.
        known[name] = merge(known[name], summary) if name in known else summary
    return known


def _number(known: npt.NDArray[np.void], key: str, part: str) -> Double | None:
    """Return a part of what is known of a metric; None where all its values are NaN."""
    if part == "best":
        part = "min" if lower_is_better(key) else "max"
    nothing = known["count"][0] == known["nan_count"][0]
    if part in ("min", "max", "mean") and nothing:
        return None
    value = known[PARTS[part]][0].item()
    return value if isinstance(value, int) else spelled(value)


def _keys(store: Store, run_ids: Sequence[str]) -> m.Keys:
    pairs = store.pair_keys(run_ids)
    return m.Keys([each.key for each in store.keys(run_ids)], pairs.params, pairs.tags)
