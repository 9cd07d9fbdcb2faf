"""Troubles: one function for each kind of failure that points of trainings must survive.

Each runs trainings, makes trouble for what keeps their points, again and again, and returns the
account of what came of it, in which nothing may be lost, changed or doubled. The tests of outages
(tests/test_outages_*.py) make a little trouble; benchmarks/outages.py makes a lot.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from services import clickhouse, disks, postgres
from services.clickhouse import ClickHouseCluster
from services.daemons import Daemon, answers, free_port, wait_until
from services.proxy import Proxy, proxying
from trainings import Account, trainings

from steplog.journals import states
from steplog.places import resolve
from steplog.stores.migrations import upgrade


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


def postgres_killed(directory: Path, kills: int, chance: random.Random) -> Account:
    """Kill the database that trainings write to, and start it anew."""
    with postgres.alone() as database, proxying(database.port) as proxy:
        database.run("create database points")
        uri = postgres.multiple_uri([proxy.port], "points")
        upgrade(uri)
        with trainings(directory, uri) as running:
            for _ in range(kills):
                _meet(proxy, chance)
                database.kill()
                database.start()
            running.kill(1)
            running.start()
            running.stop()
        return running.account()


def postgres_fails_over(directory: Path, times: int, chance: random.Random) -> Account:
    """Kill the primary that trainings write to, and go on with the standby that it waited for."""
    with postgres.pair() as pair, ExitStack() as stack:
        proxies = [
            stack.enter_context(proxying(each.port)) for each in (pair.primary, pair.standby)
        ]
        uri = postgres.multiple_uri([proxy.port for proxy in proxies], pair.database)
        upgrade(uri)
        with trainings(directory, uri) as running:
            for number in range(times):
                if number:
                    pair.rejoin()
                _meet(next(each for each in proxies if each.target == pair.primary.port), chance)
                pair.fail_over()
            running.stop()
        return running.account()


def postgres_killed_behind_servers(directory: Path, kills: int, chance: random.Random) -> Account:
    """Kill the database of two servers, and one of the servers, each in turn."""
    with postgres.alone() as database, ExitStack() as stack:
        database.run("create database points")
        uri = database.uri("points")
        upgrade(uri)
        servers = [server(directory / f"server-{number}", uri) for number in range(2)]
        for daemon, port in servers:
            stack.callback(daemon.kill)
            daemon.start(partial(answers, port))
        proxy = stack.enter_context(proxying(servers[0][1]))
        with trainings(directory, f"http://127.0.0.1:{proxy.port}") as running:
            for number in range(kills):
                _meet(proxy, chance)
                daemon, port = servers[number // 2 % 2]
                if number % 2:
                    daemon.kill()
                    proxy.target = servers[1 - number // 2 % 2][1]
                    daemon.start(partial(answers, port))
                else:
                    database.kill()
                    database.start()
            running.stop()
        return running.account()


def spool_full(directory: Path, times: int, chance: random.Random) -> Account:
    """Fill the disk on which points wait for a server that is away, and then bring it back."""
    daemon, port = server(directory / "server", str(directory / "store"))
    uri = f"http://127.0.0.1:{port}"
    limits = {"STEPLOG_SPOOL_LIMIT_MB": "6"} if disks.missing() else {}
    with ExitStack() as stack:
        stack.callback(daemon.kill)
        if not limits:
            stack.enter_context(disks.small_disk(Path(resolve(uri).directory), 6))
        with trainings(directory, uri, rate=8_000, settings=limits) as running:
            for _ in range(times):
                daemon.kill()
                wait_until(lambda: held(uri) > 0, "full disk")
                time.sleep(chance.uniform(0.0, 0.5))
                daemon.start(partial(answers, port))
                wait_until(lambda: held(uri) == 0, "delivery")
            running.stop()
        return running.account()


def server_full(directory: Path, times: int, chance: random.Random) -> Account:
    """Fill the disk of the server that trainings send to, and then make room."""
    disk = directory / "disk"
    daemon, port = server(directory / "server", str(disk / "store"))
    with disks.small_disk(disk, 256), proxying(port) as proxy, ExitStack() as stack:
        stack.callback(daemon.kill)
        daemon.start(partial(answers, port))
        uri = f"http://127.0.0.1:{proxy.port}"
        with trainings(directory, uri, rate=2_000) as running:
            for _ in range(times):
                _meet(proxy, chance)
                with disks.filled(disk):
                    wait_until(lambda: bool(faults(uri)), "full disk")
                wait_until(lambda: not faults(uri), "end of it")
            running.stop()
        return running.account()


def postgres_full(directory: Path, times: int, chance: random.Random) -> Account:
    """Fill the disk of the database that trainings write to, and then make room.

    PostgreSQL may end over this; then it is started anew.
    """
    with postgres.alone(megabytes=256) as database, proxying(database.port) as proxy:
        database.run("create database points")
        uri = postgres.multiple_uri([proxy.port], "points")
        upgrade(uri)
        with trainings(directory, uri, rate=2_000) as running:
            for _ in range(times):
                _meet(proxy, chance)
                with disks.filled(database.data.parent):
                    wait_until(lambda: bool(faults(uri)), "full disk")
                if not database.answers():
                    database.kill()
                    database.start()
                wait_until(lambda: not faults(uri), "end of it")
            running.stop()
        return running.account()


def held(uri: str) -> int:
    """Return how many points wait in the memory of those who log, for want of disk."""
    return sum(state.held_points for state in states(resolve(uri).journals, None))


def faults(uri: str) -> list[str]:
    """Return what those who log have to complain of."""
    return [state.fault for state in states(resolve(uri).journals, None) if state.fault]


class TwoDatabases(NamedTuple):
    """A catalog in PostgreSQL whose points go to ClickHouse.

    Attributes:
        uri: of the catalog.
        settings: environment variables that say where the points are, and that few make a block.
        servers: of ClickHouse.
        ways: the way to each of them.

    """

    uri: str
    settings: dict[str, str]
    servers: ClickHouseCluster
    ways: dict[str, Proxy]


@contextmanager
def two_databases() -> Iterator[TwoDatabases]:
    """Run both, with their tables."""
    with postgres.alone() as catalog, clickhouse.alone() as servers, ExitStack() as stack:
        catalog.run("create database catalog")
        database = stack.enter_context(servers.fresh())
        nodes = servers.nodes.items()
        ways = {name: stack.enter_context(proxying(node.http)) for name, node in nodes}
        settings = {
            "STEPLOG_POINTS_URI": database.uri_through(way.port for way in ways.values()),
            "STEPLOG_SEAL_POINTS": "4000",
        }
        with environment(settings):
            uri = catalog.uri("catalog")
            command = [sys.executable, "-m", "steplog", "db", "upgrade", uri]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            yield TwoDatabases(uri, settings, servers, ways)


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, for this process and those that it starts."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, text in before.items():
            os.environ.pop(name, None)
            if text is not None:
                os.environ[name] = text


def clickhouse_killed(directory: Path, kills: int, chance: random.Random) -> Account:
    """Kill the servers of ClickHouse, one after the other, and start each anew."""
    with two_databases() as both:
        with trainings(directory, both.uri, count=3) as running:
            for number in range(kills):
                name = "abc"[number % 3]
                _meet(list(both.ways.values()), chance)
                both.servers.kill_node(name)
                time.sleep(chance.uniform(0.0, 1.0))
                both.servers.start_node(name)
            running.stop()
        return running.account()


def zookeeper_killed(directory: Path, kills: int, chance: random.Random) -> Account:
    """Kill ZooKeeper, without which ClickHouse takes nothing, and start it anew."""
    with two_databases() as both:
        with trainings(directory, both.uri, count=3) as running:
            for _ in range(kills):
                _meet(list(both.ways.values()), chance)
                both.servers.zookeeper.kill()
                time.sleep(chance.uniform(0.0, 1.0))
                both.servers.zookeeper.start()
            running.stop()
        return running.account()


def ingest_killed(directory: Path, kills: int, chance: random.Random) -> Account:
    """Kill the process that moves points from the journals to PostgreSQL and on to ClickHouse."""
    with two_databases() as both:
        settings = {"STEPLOG_INGEST": "off"}
        with trainings(directory, both.uri, count=3, settings=settings) as running:
            for number in range(kills):
                mover = Daemon([sys.executable, "-c", MOVER, both.uri], directory)
                mover.start(lambda: True)
                try:
                    # Either what ClickHouse is sent is cut off, or what it has is not noted yet.
                    _meet(list(both.ways.values()), chance, answers=bool(number % 2))
                    time.sleep(chance.uniform(0.0, 0.01))
                finally:
                    mover.kill()
            running.stop()
        return running.account()


# Ingests and seals without a pause, as a server does now and then.
MOVER = """
import sys
from steplog.backend import backend
while True:
    backend(sys.argv[1]).store().seal()
"""


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


def _meet(proxies: Proxy | list[Proxy], chance: random.Random, answers: bool = False) -> None:
    """Wait until clients have been answered, and then until they are in the midst of it.

    Args:
        proxies: what they are behind.
        chance: how far they come.
        answers: and then wait until they are just answered, instead.

    """
    ways = proxies if isinstance(proxies, list) else [proxies]

    def answered() -> int:
        return sum(way.answered for way in ways)

    def carried() -> int:
        return sum(way.carried for way in ways)

    before = answered()
    wait_until(lambda: answered() > before, "a server's answer", 0.001)
    enough = carried() + chance.randrange(1, 40_000)
    wait_until(lambda: carried() >= enough, "a client's sending", 0.001)
    if answers:
        last = answered()
        wait_until(lambda: answered() > last, "another answer", 0.001)


def two_missing() -> str:
    """Return what is missing of PostgreSQL or ClickHouse; the empty text where nothing is."""
    return postgres.missing() or clickhouse.missing()


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
    "spool_full": Trouble(spool_full, 5),
    "server_full": Trouble(server_full, 5, disks.missing),
    "postgres_full": Trouble(postgres_full, 5, lambda: postgres.missing() or disks.missing()),
    "postgres_killed": Trouble(postgres_killed, 50, postgres.missing),
    "postgres_fails_over": Trouble(postgres_fails_over, 10, postgres.missing),
    "postgres_killed_behind_servers": Trouble(postgres_killed_behind_servers, 50, postgres.missing),
    "clickhouse_killed": Trouble(clickhouse_killed, 12, two_missing),
    "zookeeper_killed": Trouble(zookeeper_killed, 5, two_missing),
    "ingest_killed": Trouble(ingest_killed, 60, two_missing),
}
