"""Troubles: one function for each kind of failure that points of trainings must survive.

Each runs trainings, makes trouble for what keeps their points, again and again, and returns the
account of what came of it, in which nothing may be lost, changed or doubled. The tests of outages
(tests/test_outages_*.py) make a little trouble; benchmarks/outages.py makes a lot.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from services.daemons import Daemon, answers, free_port, wait_until
from services.proxy import Proxy, proxying
from trainings import Account, trainings


def server(directory: Path, store: str) -> tuple[Daemon, int]:
    """Return a server of steplog's on a store, and its port; it is not started yet."""
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [sys.executable, "-m", "steplog", "server", "--port", str(port), "--store", store]
    return Daemon(command, directory), port


def server_killed(directory: Path, kills: int, chance: random.Random) -> Account:
    """Kill the server that trainings send to, in the midst of what they send, and start it anew.

    When they begin it is not there yet.
    """
    daemon, port = server(directory / "server", str(directory / "store"))
    try:
        with proxying(port) as proxy:
            with trainings(directory, f"http://127.0.0.1:{proxy.port}") as running:
                daemon.start(lambda: answers(port))
                for _ in range(kills):
                    _meet(proxy, chance)
                    daemon.kill()
                    daemon.start(lambda: answers(port))
                running.kill(1)
                running.start()
                running.stop()
            return running.account()
    finally:
        daemon.kill()


def network_fails(directory: Path, troubles: int, chance: random.Random) -> Account:
    """Cut, silence, slow and refuse connections to a server, and lose its answers."""
    daemon, port = server(directory / "server", str(directory / "store"))
    daemon.start(lambda: answers(port))
    try:
        with proxying(port, chance.randrange(1 << 32)) as proxy:
            with trainings(directory, f"http://127.0.0.1:{proxy.port}") as running:
                for number in range(troubles):
                    _meet(proxy, chance)
                    disturb(proxy, number, chance)
                running.stop()
            return running.account()
    finally:
        daemon.kill()


def disturb(proxy: Proxy, number: int, chance: random.Random) -> None:
    """Make the `number`-th kind of trouble between a client and a server, and end it."""
    pause = chance.uniform(0.0, 0.3)
    kind = number % 5
    if kind == 0:
        proxy.cut()
    elif kind == 1:
        proxy.swallowing += 1
    elif kind == 2:
        proxy.refuse()
        time.sleep(pause)
        proxy.accept()
    elif kind == 3:
        proxy.hold()
        time.sleep(pause)
        proxy.cut()
        proxy.release()
    else:
        proxy.delay_seconds, proxy.bytes_per_second = pause, 200_000
        _meet(proxy, chance)
        proxy.delay_seconds, proxy.bytes_per_second = 0.0, 0


def _meet(proxy: Proxy, chance: random.Random) -> None:
    """Wait until clients have been answered, and have sent some more bytes: in the midst of it."""
    answered = proxy.answered
    wait_until(lambda: proxy.answered > answered, "a server's answer", 0.001)
    enough = proxy.carried + chance.randrange(1, 40_000)
    wait_until(lambda: proxy.carried >= enough, "a client's sending", 0.001)


class Trouble(NamedTuple):
    """One kind of trouble.

    Attributes:
        make: the function above.
        times: how often, where it is made at length.
        missing: tells what is not installed that it needs.

    """

    make: Callable[[Path, int, random.Random], Account]
    times: int
    missing: Callable[[], str] = str


TROUBLES = {
    "server_killed": Trouble(server_killed, 100),
    "network_fails": Trouble(network_fails, 100),
}
