"""The pages that are compared: what the runner must know, and what their adapters offer.

Each has one adapter file here, which runs in the virtual environment of its program.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, cast

from servers import Server

STEPLOG, MLFLOW, TENSORBOARD, TRACKIO = "steplog", "mlflow", "tensorboard", "trackio"
BROWSER = "playwright>=1.50"
VIEWERS = {
    STEPLOG: Server("steplog page", f"steplog[server] {BROWSER}"),
    MLFLOW: Server("MLflow page SQLite", f"mlflow==3.17.* {BROWSER}"),
    TENSORBOARD: Server("TensorBoard", f"tensorboard tensorboardX setuptools {BROWSER}"),
    TRACKIO: Server("trackio", f"trackio {BROWSER}"),
}

KEY = "loss"
Runs = Mapping[str, Sequence[float]]
"""Name of a run -> the values of `KEY` at the steps 0, 1, …"""


class Page(NamedTuple):
    """A page that shows the curves of all runs.

    Attributes:
        address: below the server's.
        data: what the address of the answer has that brings the points of the chart.
        chart: selects what is drawn on once they are there.

    """

    address: str
    data: str
    chart: str


class Adapter(Protocol):
    """What an adapter file offers."""

    def fill(self, directory: str, runs: Runs) -> None:
        """Keep runs in an empty directory, as the program does."""

    def command(self, directory: str, port: int) -> list[str]:
        """Return the command that serves a directory on a port of 127.0.0.1, as its quick start has
        it, with what collects and reports usage turned off.
        """

    def page(self, url: str, runs: Runs) -> Page:
        """Return the page that shows the curves; the server runs at `url`."""

    def drawn(self, url: str, run: str) -> list[float]:
        """Return the values that a page is sent of one run, by the page's own endpoint."""


def load(name: str) -> Adapter:
    """Import one adapter; fails outside its program's environment."""
    return cast(Adapter, importlib.import_module(f"viewers.{name}"))
