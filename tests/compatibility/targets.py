"""What the cases are done to: MLflow over its own stores, and steplog in each of its three ways.

======================  ============================================================
``mlflow``              MLflow over SQLite: what everything is compared with
``mlflow server``       MLflow's client, and raw requests, to MLflow's own server
``plugin``              MLflow's client over a steplog store in the same process
``server``              MLflow's client, and raw requests, to ``steplog server``
``import``              ``import steplog as mlflow``
======================  ============================================================
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from serving import serving

from compatibility.cases import Case, load
from compatibility.runner import prepare

SECONDS = 120.0
TESTS = Path(__file__).parent.parent

ENVIRONMENT = {
    "PYTHONPATH": str(TESTS),
    "LOGNAME": "ada",  # the user, wherever this runs
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # An answer of 500 is a finding, not a reason to ask again for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


def takes(target: str, case: Case) -> bool:
    """Tell whether a case is done to a target."""
    return {
        "mlflow": not case.raw,
        "mlflow server": case.raw or case.over_http,
        "plugin": not case.raw,
        "server": not case.local,
        "import": not case.raw and case.imported,
    }[target]


def reference(target: str, case: Case) -> str:
    """Return the target that shows what a case must see on `target`."""
    over_http = target == "server" and takes("mlflow server", case)
    return "mlflow server" if over_http else "mlflow"


def see(target: str, directory: Path) -> dict[str, Any]:
    """Do to a target all cases that it takes, and return what each of them saw."""
    directory.mkdir(parents=True)
    names = [name for name, case in load().items() if takes(target, case)]
    module = "steplog" if target == "import" else "mlflow"
    seen = directory / "seen.json"
    with running(target, directory) as uri, (directory / "output").open("wb") as output:
        finished = subprocess.run(
            [sys.executable, "-m", "compatibility.runner", module, uri, str(seen), *names],
            cwd=directory,
            env={**os.environ, **ENVIRONMENT, "HOME": str(directory)},
            stdout=output,
            stderr=output,
        )
    assert finished.returncode == 0, (directory / "output").read_text("utf-8")[-3_000:]
    read: dict[str, Any] = json.loads(seen.read_text("utf-8"))
    return read


@contextmanager
def running(target: str, directory: Path) -> Iterator[str]:
    """Have what the target needs, and yield its tracking URI."""
    if target == "server":
        root = directory / "artifacts"
        with serving(directory / "store", "--artifact-root", str(root)) as server:
            yield server.url
    elif target == "mlflow server":
        with mlflow_server(directory) as url:
            yield url
    else:
        yield {
            "mlflow": f"sqlite:///{directory}/mlflow.db",
            "plugin": f"steplog://{directory}/store",
            "import": str(directory / "store"),
        }[target]


@contextmanager
def mlflow_server(directory: Path) -> Iterator[str]:
    """Run MLflow's own server over SQLite."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    database = directory / "mlflow.db"
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--backend-store-uri", f"sqlite:///{database}"],
            cwd=directory,
            env={**os.environ, **ENVIRONMENT},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(url, process, directory / "log")
        prepare(database)
        yield url
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)  # it has workers
        process.wait(SECONDS)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server answers."""
    deadline = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), urlopen(f"{url}/health", timeout=5):
            return
        time.sleep(0.1)
    raise AssertionError(log.read_text("utf-8"))
