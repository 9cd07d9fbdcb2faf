"""A stock MLflow server over SQLite, which can be killed and started again."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path
from urllib.request import urlopen

from services.daemons import Daemon, free_port

_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


class MlflowServer(Daemon):
    """``mlflow server`` with one worker; `start` it as often as it was killed.

    Attributes:
        url: where it listens.

    """

    def __init__(self, directory: Path) -> None:
        """Say where its database and its log are; the directory is there."""
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._database = directory / "mlflow.db"
        settings = [f"{name}={value}" for name, value in _SETTINGS.items()]
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
        database = ["--backend-store-uri", f"sqlite:///{self._database}"]
        super().__init__(["env", *settings, *command, *database], directory)

    def run(self) -> None:
        """Start it, and wait until it answers."""
        self.start(self._answers)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it and to its workers."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def counts(self, table: str) -> int:
        """Return how many rows a table of its database has, without asking the server."""
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as connection:
            [count] = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(count)

    def _answers(self) -> bool:
        with suppress(OSError), urlopen(f"{self.url}/health", timeout=5):
            return True
        return False
