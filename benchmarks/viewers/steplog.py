"""steplog's page, by `steplog server`."""

# ruff: noqa: D103 (what each function does is said once, in `viewers.Adapter`)
from __future__ import annotations

import json
import sys

import numpy as np

from steplog import Client
from steplog.operations import SeriesKey
from steplog.points import POINT
from steplog.stores import open_store
from steplog.stores.base import START, Batch, Position
from viewers import KEY, Page, Runs
from viewers.asking import ask, ask_json

OURS = "/api/steplog/1"
PIECE = 1_000_000


def fill(directory: str, runs: Runs) -> None:
    client = Client(directory)
    ids = {name: client.create_run("0", run_name=name).info.run_id for name in runs}
    client.store.close()
    store, before = open_store(directory), START
    for name, values in runs.items():
        for start in range(0, len(values), PIECE):
            part = np.asarray(values[start : start + PIECE])
            rows = np.zeros(part.size, POINT)
            rows["step"] = np.arange(start, start + part.size)
            rows["timestamp"] = 1_700_000_000_000 + rows["step"]
            rows["value"], rows["series"], rows["kind"] = part, 1, 1
            after = Position(before.offset + part.size)
            series = {1: SeriesKey(ids[name], KEY)}
            assert store.apply(Batch("2" * 32, "3" * 32, before, after, (), rows, series)) == []
            before = after
        store.seal(ids[name])
    store.close()
    for run_id in ids.values():
        client.set_terminated(run_id)


def command(directory: str, port: int) -> list[str]:
    serve = [sys.executable, "-m", "steplog", "server", "--store", directory]
    return [*serve, "--port", str(port)]


def page(url: str, runs: Runs) -> Page:
    return Page("/", f"{OURS}/charts", ".chart[data-state=ready] canvas")


def drawn(url: str, run: str) -> list[float]:
    rows = ask_json(f"{url}{OURS}/runs/table", {})["rows"]
    [run_id] = [row["run_id"] for row in rows if row["run_name"] == run]
    data = ask(f"{url}{OURS}/charts", {"charts": [{"run_ids": [run_id], "keys": [KEY]}]})
    start = 4 + int.from_bytes(data[:4], "little")
    [line] = json.loads(data[4:start])["charts"][0]["lines"]
    floats = np.frombuffer(data, "<f8", offset=start)
    columns = (floats[at:][:n] for at, n in line["columns"].values())
    return [value for column in columns for value in column.tolist()]
