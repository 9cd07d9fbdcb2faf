"""Processes of servers: started where they can be reached, and dead when their test is.

The kernel kills them with the thread that started them (``setpriv --pdeathsig``), so that nothing
outlives a run of pytest that was killed: start them in a thread that lives as long as they should.
"""

from __future__ import annotations

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

SECONDS = 60.0
# Below those that the system gives to outgoing connections: a server that is killed finds its port
# free when it is started again.
PORTS = range(12_000, 32_000)


def need(reason: str) -> None:
    """Skip the test where a service is missing; fail it with STEPLOG_REQUIRE_SERVICES=1.

    Args:
        reason: what is missing; the empty text where nothing is.

    """
    if not reason:
        return
    if os.environ.get("STEPLOG_REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    """Return a port of loopback on which nothing listens."""
    while True:
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def wait_until(holds: Callable[[], bool], what: str, pause: float = 0.02) -> None:
    """Wait for something that can only be asked for, not waited for; fail after a minute.

    Args:
        holds: asks.
        what: is waited for.
        pause: from one time to the next, in seconds.

    """
    end = time.monotonic() + SECONDS
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not happen within {SECONDS:.0f} s")
        time.sleep(pause)


def answers(port: int) -> bool:
    """Tell whether something accepts connections at a port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def scratch(user: pwd.struct_passwd | None = None) -> Iterator[Path]:
    """Give a directory that a server of another user can reach; pytest's own are private."""
    directory = Path(tempfile.mkdtemp(prefix="steplog-service-"))
    give(directory, user)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def give(directory: Path, user: pwd.struct_passwd | None) -> None:
    """Make a directory a user's own; the caller's is it already."""
    if user is not None:
        os.chown(directory, user.pw_uid, user.pw_gid)


def as_user(user: pwd.struct_passwd | None) -> list[str]:
    """Return what a command begins with that runs as a user, and ends with the calling thread."""
    command = ["setpriv", "--pdeathsig", "KILL"]
    if user is not None:
        command += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return [*command, "--"]


class Daemon:
    """A process that is meant to run until it is told otherwise.

    Attributes:
        log: the file that has what it says.

    """

    def __init__(
        self, command: Sequence[str], directory: Path, user: pwd.struct_passwd | None = None
    ) -> None:
        """Say how it is run; `start` does so.

        Args:
            command: the program and its arguments.
            directory: where it runs and has its log; it is there.
            user: who runs it; else the caller.

        """
        self.log = directory / "log"
        self._command = [*as_user(user), *command]
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def runs(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The number of the process, which was started."""
        assert self._process is not None
        return self._process.pid

    def start(self, is_ready: Callable[[], bool]) -> None:
        """Run it, and wait until it is ready.

        Raises:
            RuntimeError: it ended instead; the text has its log.

        """
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

        def is_decided() -> bool:
            return not self.runs or is_ready()

        wait_until(is_decided, f"start of {self._command}")
        if not self.runs:
            raise RuntimeError(f"{self._command} ended: {self.log.read_text('utf-8', 'replace')}")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, such as SIGSTOP, after which it keeps its connections and is silent."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self.stop(signal.SIGKILL)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it with a signal, if it runs, and wait until it has ended."""
        if self._process is None:
            return
        if self.runs:
            self.send(number)
        self._process.wait(SECONDS)
