"""The trackers that are compared, and what the runner must know before it can import them.

Each has one adapter file here, which imports the tracker at its top and so runs only in the
tracker's own virtual environment. An adapter is a module that looks like `Adapter`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple, Protocol, cast


class Peer(NamedTuple):
    """One tracker, before it is imported.

    Attributes:
        label: as tables name it.
        requirement: what pip installs into its environment; of steplog, what is in this repository.
        statement: how a user imports it.
        points: how many points it records within a few seconds, at one call each.

    """

    label: str
    requirement: str
    statement: str
    points: int


class Adapter(Protocol):
    """What an adapter file offers: a process calls `setup` once, logs, and calls `finish` once."""

    def setup(self, directory: str) -> Callable[[str, float, int], object]:
        """Start a run that keeps everything in `directory`; return what logs (key, value, step).

        Where the tracker has such a function, it is returned itself. Where its call looks
        different, a function around it is: that adds about 0.1 µs.
        """

    def log_many(self, key: str, values: Iterable[float]) -> None:
        """Log values at the steps 0, 1, … in the fastest way the tracker has; never timed."""

    def finish(self) -> None:
        """End the run. Afterwards everything logged is on disk."""

    def read(self, directory: str, key: str) -> tuple[Collection[int], Collection[float]]:
        """Read steps and values of a series, from a process that did not log it."""


STEPLOG = "steplog"
PEERS = {
    STEPLOG: Peer("steplog", "steplog", "import steplog", 1_000_000),
    "tensorboardx": Peer(
        "tensorboardX", "tensorboardX", "from tensorboardX import SummaryWriter", 100_000
    ),
    "goodseed": Peer("goodseed", "goodseed", "import goodseed", 100_000),
    "trackio": Peer("trackio", "trackio", "import trackio", 50_000),
    "dvclive": Peer("DVCLive", "dvclive", "from dvclive import Live", 50_000),
    "wandb": Peer("W&B offline", "wandb", "import wandb", 20_000),
    "mlflow_async": Peer("MLflow SQLite async", "mlflow==3.17.*", "import mlflow", 1_000),
    "mlflow_sync": Peer("MLflow SQLite sync", "mlflow==3.17.*", "import mlflow", 1_000),
}


def load(name: str) -> Adapter:
    """Import one adapter; fails outside its tracker's environment."""
    return cast(Adapter, importlib.import_module(f"peers.{name}"))
