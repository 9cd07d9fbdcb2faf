"""Charts and points over HTTP, for the page: each function answers one endpoint.

An answer with charts is binary, and `docs/charts.md` describes it: the length of a head, the head
as JSON, and then columns of float64, which a browser uses as they come.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from steplog import charts
from steplog.charts import AnyLine, Changes, GroupLine, RanksLine
from steplog.exceptions import invalid
from steplog.listing import csv_lines
from steplog.server import scope
from steplog.server import view_messages as m
from steplog.server.endpoint import Answer, Request, Service
from steplog.server.wire import decode

MOST_CHARTS = 64
MOST_RUNS = 1_000
MOST_KEYS = 100
CONTENT_TYPE = "application/octet-stream"
CSV = "text/csv; charset=utf-8"

_INT64 = np.iinfo(np.int64)


def draw(service: Service, request: Request) -> Answer:
    """Return what some charts show, or what has changed of them."""
    asked = decode(m.ChartQueries, request.body).charts
    if len(asked) > MOST_CHARTS:
        raise invalid(f"charts can be at most {MOST_CHARTS}, got {len(asked)}.")
    store = service.client.store
    changes: list[Changes] = []
    cells = 0
    for each in asked:
        made = service.charts.changes(store, _query(service, request, each), each.since)
        changes.append(made)
        cells += made.chart.x.size * len(made.chart.lines)
        if cells > charts.MOST_CELLS:
            raise invalid(
                f"The {len(changes)} first of these charts have more than {charts.MOST_CELLS:,} "
                "buckets in all their lines. Ask for fewer charts together, or for fewer buckets."
            )
    return Answer(_encode(changes), CONTENT_TYPE)


def points(service: Service, request: Request) -> Answer:
    """Return every point of some metrics as CSV, exactly."""
    asked = decode(m.PointsQuery, request.body)
    run_ids = _usable(service, request, asked.run_ids, asked.keys)
    steps = (
        int(_INT64.min) if asked.x_min is None else asked.x_min,
        int(_INT64.max) if asked.x_max is None else asked.x_max,
    )
    store = service.client.store
    records = {each.row.run_id: each for each in store.runs(run_ids)}
    series = [each for each in store.series(run_ids, asked.keys) if each.key.key in asked.keys]
    return Answer(csv_lines(store, records, series, steps), CSV)


def _query(service: Service, request: Request, asked: m.ChartQuery) -> charts.ChartQuery:
    run_ids = _usable(service, request, asked.run_ids, asked.keys)
    return charts.ChartQuery(
        run_ids=tuple(run_ids),
        keys=tuple(dict.fromkeys(asked.keys)),
        x=asked.x or "step",  # type: ignore[arg-type]  # `charts.check` looks at these
        x_key=asked.x_key,
        x_min=None if asked.x_min is None else float(asked.x_min),
        x_max=None if asked.x_max is None else float(asked.x_max),
        buckets=600 if asked.buckets is None else asked.buckets,
        group_by=None if asked.group_by is None else tuple(asked.group_by),
        aggregate=asked.aggregate or "mean",  # type: ignore[arg-type]
        band=asked.band or "minmax",  # type: ignore[arg-type]
        ranks=asked.ranks or "apart",  # type: ignore[arg-type]
    )


def _usable(
    service: Service, request: Request, run_ids: Sequence[str], keys: Sequence[str]
) -> list[str]:
    if len(run_ids) > MOST_RUNS or len(keys) > MOST_KEYS:
        raise invalid(
            f"At most {MOST_RUNS} runs and {MOST_KEYS} metrics can be asked for together, got "
            f"{len(run_ids)} and {len(keys)}."
        )
    return scope.usable_runs(service, request, run_ids)


def _encode(changes: Sequence[Changes]) -> bytes:
    columns: list[npt.NDArray[np.float64]] = []
    length = 0

    def place(column: npt.NDArray[np.float64]) -> tuple[int, int]:
        nonlocal length
        columns.append(column)
        length += column.size
        return length - column.size, column.size

    heads = []
    for each in changes:
        chart = each.chart
        head: dict[str, Any] = {
            "exact": chart.exact,
            "width": chart.width,
            "from": each.start,
            "size": each.size,
            "cursor": each.cursor,
            "x": place(chart.x),
            "lines": [],
        }
        for line in chart.lines:
            placed = {name: place(column) for name, column in _sent(line.columns).items()}
            head["lines"].append({**_identity(line), "columns": placed})
        heads.append(head)
    text = json.dumps({"charts": heads}, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 4) % 8)
    return b"".join([struct.pack("<I", len(text)), text, *(column.data for column in columns)])


def _identity(line: AnyLine) -> dict[str, Any]:
    if isinstance(line, GroupLine):
        return {"key": line.key, "group": line.group, "run_ids": line.run_ids}
    own = {name: value for name, value in line.key._asdict().items() if value != ""}
    return {**own, "ranks": line.ranks} if isinstance(line, RanksLine) else own


def _sent(
    columns: Mapping[str, npt.NDArray[np.float64]],
) -> dict[str, npt.NDArray[np.float64]]:
    """Return the columns that tell something: not counts that are all zero, nor the extremes of
    buckets that have one point each.
    """
    dull = {name for name in ("nan", "pos_inf", "neg_inf") if not columns[name].any()}
    if "mean" in columns and (columns["count"] <= 1).all():
        dull |= {"min", "max", "first", "last"}
    return {name: column for name, column in columns.items() if name not in dull}
