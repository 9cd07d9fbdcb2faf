"""MLflow's page on SQLite: the charts of an experiment, as its `Chart view` shows them."""

# ruff: noqa: D103 (what each function does is said once, in `viewers.Adapter`)
from __future__ import annotations

from urllib.parse import urlencode

import servers.mlflow
from serve import Serving
from servers import START_MS, Run

from viewers import KEY, Page, Runs
from viewers.asking import ask_json

AJAX = "/ajax-api/2.0/mlflow"
MOST_POINTS = 320
"""As many points of a run as the page asks for."""


def fill(directory: str, runs: Runs) -> None:
    with Serving("mlflow", directory):
        pass  # it makes its tables
    servers.mlflow.fill(
        directory,
        (
            Run(f"{number + 1:032x}", {KEY: values}, START_MS + number)
            for number, values in enumerate(runs.values())
        ),
    )


def command(directory: str, port: int) -> list[str]:
    return servers.mlflow.command(directory, port)


def page(url: str, runs: Runs) -> Page:
    address = "/#/experiments/0/runs?compareRunsMode=CHART"
    return Page(address, "get-history-bulk-interval", ".js-plotly-plot .scatterlayer .trace")


def drawn(url: str, run: str) -> list[float]:
    number = int(run.rpartition("-")[2])
    asked = {"run_ids": f"{number + 1:032x}", "metric_key": KEY, "max_results": MOST_POINTS}
    answer = ask_json(f"{url}{AJAX}/metrics/get-history-bulk-interval?{urlencode(asked)}")
    return [float(metric["value"]) for metric in answer["metrics"]]
