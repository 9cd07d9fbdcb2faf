"""trackio's dashboard on its SQLite files."""

# ruff: noqa: D103 (what each function does is said once, in `viewers.Adapter`)
# mypy: disable-error-code="import-not-found, import-untyped"
from __future__ import annotations

import os
import sys

from viewers import KEY, Page, Runs
from viewers.asking import ask_json

PROJECT = "bench"
SHOW = (
    f"import sys, trackio; trackio.show({PROJECT!r}, open_browser=False, block_thread=True, "
    "host='127.0.0.1', server_port=int(sys.argv[1]))"
)


def fill(directory: str, runs: Runs) -> None:
    os.environ["TRACKIO_DIR"] = directory  # read when trackio is imported
    import trackio

    for name, values in runs.items():
        quiet = {"embed": False, "auto_log_gpu": False, "auto_log_cpu": False}
        trackio.init(PROJECT, name=name, **quiet)
        for step, value in enumerate(values):
            trackio.log({KEY: value}, step)
        trackio.finish()


def command(directory: str, port: int) -> list[str]:
    environment = [f"TRACKIO_DIR={directory}", "HF_HUB_OFFLINE=1"]
    return ["env", *environment, sys.executable, "-c", SHOW, str(port)]


def page(url: str, runs: Runs) -> Page:
    return Page(f"/?project={PROJECT}", "/api/get_logs_batch", ".vega-embed canvas")


def drawn(url: str, run: str) -> list[float]:
    asked = {"project": PROJECT, "runs": [{"run": run}]}
    [found] = ask_json(f"{url}/api/get_logs_batch", asked)["data"]
    return [float(row[KEY]) for row in found["logs"] if KEY in row]
