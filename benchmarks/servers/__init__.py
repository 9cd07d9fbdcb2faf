"""The servers that are compared: what the runner must know, and what their adapters offer.

Each has one adapter file here. It runs in the server's own virtual environment, for its database is
filled by code that may need it. How a server's process is started and stopped is in `serving`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast


class Server(NamedTuple):
    """One server, before anything of it is imported.

    Attributes:
        label: as tables name it.
        requirement: what pip installs into its environment; of steplog, what is in this repository.

    """

    label: str
    requirement: str


class Run(NamedTuple):
    """A finished run that a server's database is filled with.

    Attributes:
        run_id: 32 hex digits.
        metrics: key -> values at the steps 0, 1, …; a step's time is `START_MS` plus that many ms.
        start_ms: when it started; a list of runs shows the latest first.

    """

    run_id: str
    metrics: Mapping[str, Sequence[float]]
    start_ms: int


class SearchClient(Protocol):
    """What MlflowClient and steplog.Client both are, as far as searches go."""

    def search_runs(
        self,
        experiment_ids: list[str],
        filter_string: str = "",
        *,
        max_results: int = 1000,
        order_by: list[str] | None = None,
    ) -> Iterable[Any]:
        """Return runs, each with its `info.run_id`."""


class Adapter(Protocol):
    """What an adapter file offers."""

    def command(self, directory: str, port: int) -> list[str]:
        """Return the command that serves what is in `directory` on a port of 127.0.0.1.

        As the server's quick start has it, with what collects and reports usage turned off.
        """

    def fill(self, directory: str, runs: Iterable[Run]) -> None:
        """Put runs of experiment 0 where the server, which has been there once, finds them.

        Each is `FINISHED`, with the params `PARAMS` and the tags `TAGS`.
        """

    def client(self, directory: str) -> SearchClient | None:
        """Return what searches the same database in this process; None where nothing does."""


STEPLOG, MLFLOW, FASTTRACKML = "steplog", "mlflow", "fasttrackml"
SERVERS = {
    STEPLOG: Server("steplog server", "steplog[server] mlflow==3.17.*"),  # also: the plugin's host
    FASTTRACKML: Server("FastTrackML SQLite", "fasttrackml==0.6.0"),
    MLFLOW: Server("MLflow server SQLite", "mlflow==3.17.*"),
}

START_MS = 1_700_000_000_000
PARAMS = {"lr": "0.001", "batch_size": "32", "optimizer": "adam"}
TAGS = {"mlflow.user": "me", "mlflow.source.name": "train.py", "mlflow.source.type": "LOCAL"}


def load(name: str) -> Adapter:
    """Import one adapter; fails outside its server's environment."""
    return cast(Adapter, importlib.import_module(f"servers.{name}"))
