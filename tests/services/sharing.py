"""One server of each kind for all workers of a run of pytest.

The first worker that needs one starts a keeper (`python -m services NAME DIRECTORY`), which
starts the server, says where it is, and ends it as soon as the last worker has gone: every worker
holds a shared lock, which the kernel takes from it however it ends, and the keeper waits for the
exclusive one.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# Open until this process ends.
_locks: dict[Path, int] = {}


def join(name: str, factory: pytest.TempPathFactory) -> Any:
    """Return where the run's server of a kind is, which is started if it isn't running.

    Args:
        name: a module of this package; its ``shared()`` is a context in which the server runs, and
            which gives what this returns, as JSON can have it.
        factory: knows the directory that the workers of the run have in common.

    """
    own = factory.getbasetemp()
    common = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    directory = common / "services" / name
    directory.mkdir(parents=True, exist_ok=True)
    if directory not in _locks:
        _locks[directory] = os.open(directory / "users", os.O_RDWR | os.O_CREAT)
        fcntl.flock(_locks[directory], fcntl.LOCK_SH)
    with (directory / "starting").open("a") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        address = directory / "address"
        if not address.exists():
            address.write_text(_start(name, directory), "utf-8")
        return json.loads(address.read_text("utf-8"))


def _start(name: str, directory: Path) -> str:
    log = directory / "log"
    command = [sys.executable, "-m", "services", name, str(directory)]
    with (
        log.open("a") as errors,
        subprocess.Popen(
            command,
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        ) as keeper,
    ):
        assert keeper.stdout is not None
        line = keeper.stdout.readline()
    if not line:
        raise RuntimeError(f"{name} did not start: {log.read_text('utf-8')}")
    return line


def keep(name: str, directory: Path) -> None:
    """Run a server until nobody uses it."""
    with importlib.import_module(f"services.{name}").shared() as address:
        print(json.dumps(address), flush=True)
        with (directory / "users").open("a") as users:
            fcntl.flock(users, fcntl.LOCK_EX)
            # Who comes now waits for the lock, and then starts another one.
            (directory / "address").unlink(missing_ok=True)
