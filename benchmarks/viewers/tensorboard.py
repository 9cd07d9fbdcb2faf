"""TensorBoard on event files that tensorboardX has written."""

# ruff: noqa: D103 (what each function does is said once, in `viewers.Adapter`)
# mypy: disable-error-code="import-not-found, import-untyped"
from __future__ import annotations

import sys
from urllib.parse import urlencode

from viewers import KEY, Page, Runs
from viewers.asking import ask_json


def fill(directory: str, runs: Runs) -> None:
    from tensorboardX import SummaryWriter  # a second that serving can do without

    for name, values in runs.items():
        with SummaryWriter(f"{directory}/{name}", max_queue=1000) as writer:
            for step, value in enumerate(values):
                writer.add_scalar(KEY, value, step)


def command(directory: str, port: int) -> list[str]:
    serve = [sys.executable, "-m", "tensorboard.main", "--logdir", directory]
    return [*serve, "--host", "127.0.0.1", "--port", str(port)]


def page(url: str, runs: Runs) -> Page:
    return Page("/#timeseries", "timeseries/timeSeries", "line-chart canvas")


def drawn(url: str, run: str) -> list[float]:
    asked = urlencode({"run": run, "tag": KEY})
    points = ask_json(f"{url}/data/plugin/scalars/scalars?{asked}")
    return [value for _, _, value in points]
