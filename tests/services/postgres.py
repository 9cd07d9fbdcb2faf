"""PostgreSQL: a server for a whole run, and a primary with a standby for tests that kill them."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from services import disks, sharing
from services.daemons import (
    SECONDS,
    Daemon,
    as_user,
    free_port,
    give,
    need,
    scratch,
    wait_until,
)

ROLE = "steplog"
# What a server of tests needs: no disk is waited for, and nothing is kept for later.
FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
# What one of those needs that are killed: it waits for its disk, and is soon back where it was.
WATCHFUL = {"wal_retrieve_retry_interval": "200ms"}


def binaries() -> Path | None:
    """Return the directory of the newest server's programs; None where there is no server."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: path.parts[4])
    named = shutil.which("initdb")
    return found[-1].parent if found else Path(named).resolve().parent if named else None


def missing() -> str:
    """Return what is missing; the empty text where nothing is."""
    if binaries() is None:
        return "PostgreSQL's server is not installed"
    return "" if shutil.which("setpriv") else "there is no setpriv (util-linux)"


def owner() -> pwd.struct_passwd | None:
    """Return who runs the server, which refuses to be run by root; None where we are not root."""
    if os.getuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


class Postgres:
    """One server.

    Attributes:
        port: where it listens, on loopback.
        data: its directory.

    """

    def __init__(self, directory: Path, options: Mapping[str, str]) -> None:
        """Say how it runs; `create` makes its data, `start` runs it.

        Args:
            directory: of its own, and its user's; for data and log.
            options: settings of the server.

        """
        self.port = free_port()
        self.data = directory / "data"
        self._bin = binaries()
        self._directory = directory
        common = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "port": str(self.port),
            "max_connections": "200",
            "shared_buffers": "64MB",
            "max_wal_senders": "4",
            "jit": "off",
        }
        settings = [f"--{name}={value}" for name, value in {**common, **options}.items()]
        self._daemon = Daemon(
            [f"{self._bin}/postgres", "-D", str(self.data), *settings], directory, owner()
        )

    def create(self) -> None:
        """Make an empty cluster of databases."""
        self.call("initdb", "-D", str(self.data), "-U", ROLE, "-E", "UTF8", "--locale=C",
                  "--auth=trust", "--no-sync", "--no-instructions")  # fmt: skip

    def copy(self, primary: Postgres) -> None:
        """Make it a standby of another one, which runs; it must not run itself."""
        shutil.rmtree(self.data, ignore_errors=True)
        self.call(
            "pg_basebackup", "-D", str(self.data), "-X", "stream", "-c", "fast", "-N",
            "-d", primary.uri(),
        )  # fmt: skip
        source = f"host=127.0.0.1 port={primary.port} user={ROLE}"
        # What the primary was told while it ran is not copied: nobody follows this one yet.
        (self.data / "postgresql.auto.conf").write_text(f"primary_conninfo = '{source}'\n")
        (self.data / "standby.signal").touch()

    def start(self) -> None:
        """Run it, and wait until it accepts connections; it may have been killed before."""
        # A killed server's children end on their own, and until then they hold its shared memory.
        wait_until(lambda: not self._is_held(), "end of the last server")
        self._daemon.start(self.answers)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._daemon.kill()

    def stop(self) -> None:
        """End it in order, without waiting for its clients to go."""
        self._daemon.stop(signal.SIGINT)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to its first process."""
        self._daemon.send(number)

    def uri(self, database: str = "postgres") -> str:
        """Return the address of a database."""
        return f"postgresql://{ROLE}@127.0.0.1:{self.port}/{database}"

    def run(self, sql: str, database: str = "postgres") -> str:
        """Run statements with psql; return what they give: a row a line, ``|`` between columns."""
        return self.call("psql", "-AtXq", "-v", "ON_ERROR_STOP=1", "-c", sql, self.uri(database))

    def call(self, program: str, *arguments: str) -> str:
        """Run one of PostgreSQL's programs as the server's user; return what it prints."""
        done = subprocess.run(
            [*as_user(owner()), f"{self._bin}/{program}", *arguments],
            cwd=self._directory,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr}")
        return done.stdout.strip()

    def answers(self) -> bool:
        """Tell whether it accepts connections."""
        command = [f"{self._bin}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0

    def _is_held(self) -> bool:
        """Tell whether processes of a server that was killed are still there."""
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has just ended, or is not ours
                if os.readlink(process / "cwd") == str(self.data):
                    return True
        return False


class PostgresCluster:
    """A primary, and a standby that has whatever the primary says is committed.

    Attributes:
        primary: accepts writes, until it is killed.
        standby: follows, until it is promoted.
        database: a database of both.

    """

    def __init__(self, directory: Path, database: str = "faults") -> None:
        places = [directory / "first", directory / "second"]
        for place in places:
            place.mkdir()
            give(place, owner())
        self.database = database
        self.primary, self.standby = (Postgres(place, WATCHFUL) for place in places)

    @property
    def uri(self) -> str:
        """The database on whichever of the two accepts writes."""
        return multiple_uri([self.primary.port, self.standby.port], self.database)

    def start(self) -> None:
        """Create both, and start them; from here on a commit waits for the standby."""
        self.primary.create()
        self.primary.start()
        self.primary.run(f"create database {self.database}")
        self.rejoin()

    def fail_over(self) -> None:
        """Kill the primary, and make the standby accept writes: it is the primary now."""
        self.primary.kill()
        self.standby.run("select pg_promote()")
        self.primary, self.standby = self.standby, self.primary

    def rejoin(self) -> None:
        """Make the one that is not the primary follow it from nothing."""
        self.standby.copy(self.primary)
        self.standby.start()
        self.primary.run("alter system set synchronous_standby_names = '*'")
        self.primary.run("select pg_reload_conf()")
        wait_until(
            lambda: self.primary.run("select sync_state from pg_stat_replication") == "sync",
            "synchronous replication",
        )

    def kill(self) -> None:
        """End both."""
        self.primary.kill()
        self.standby.kill()


def multiple_uri(ports: Sequence[int], database: str) -> str:
    """Return the address of a database on whichever of some servers accepts writes."""
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    return f"postgresql://{ROLE}@{hosts}/{database}?target_session_attrs=read-write"


@contextmanager
def alone(megabytes: int = 0) -> Iterator[Postgres]:
    """Run a server that waits for its disk, and may be killed.

    Args:
        megabytes: of the disk; 0 for the one that everybody has.

    """
    with scratch(owner()) as directory, ExitStack() as stack:
        if megabytes:
            stack.enter_context(disks.small_disk(directory, megabytes))
            give(directory, owner())
        server = Postgres(directory, {**WATCHFUL, "max_wal_size": "64MB"})
        stack.callback(server.kill)
        server.create()
        server.start()
        yield server


@contextmanager
def pair() -> Iterator[PostgresCluster]:
    """Run a primary and its standby, which may be killed."""
    with scratch(owner()) as directory:
        cluster = PostgresCluster(directory)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.kill()


@contextmanager
def shared() -> Iterator[Any]:
    """Run the server that the tests of a run have in common."""
    with scratch(owner()) as directory:
        server = Postgres(directory, FAST)
        server.create()
        server.start()
        try:
            yield server.port
        finally:
            server.stop()


@pytest.fixture
def postgres_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an empty PostgreSQL database of the test's own."""
    need(missing())
    port = sharing.join("postgres", tmp_path_factory)
    name = f"test_{uuid.uuid4().hex}"
    address = f"postgresql://{ROLE}@127.0.0.1:{port}"
    _psql(f"create database {name} template template0", address)
    yield f"{address}/{name}"
    _psql(f"drop database {name} with (force)", address)


@pytest.fixture(scope="session")
def postgres_template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a database with steplog's tables, of which others are made as copies."""
    from steplog.stores import migrations  # which every other test does without

    need(missing())
    address = f"postgresql://{ROLE}@127.0.0.1:{sharing.join('postgres', tmp_path_factory)}"
    name = f"template_{uuid.uuid4().hex}"
    _psql(f"create database {name} template template0", address)
    migrations.upgrade(f"{address}/{name}")
    yield name
    _psql(f"drop database {name} with (force)", address)


@pytest.fixture
def postgres_store_uri(
    postgres_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of a database of the test's own that is an empty store of steplog's."""
    address = f"postgresql://{ROLE}@127.0.0.1:{sharing.join('postgres', tmp_path_factory)}"
    name = f"store_{uuid.uuid4().hex}"
    _psql(f"create database {name} template {postgres_template}", address)
    yield f"{address}/{name}"
    _psql(f"drop database {name} with (force)", address)


@pytest.fixture
def postgres_cluster() -> Iterator[PostgresCluster]:
    """A primary and a synchronous standby of the test's own, which wait for their disks."""
    need(missing())
    with pair() as cluster:
        yield cluster


def _psql(sql: str, address: str) -> None:
    command = [f"{binaries()}/psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-c", sql]
    subprocess.run([*command, f"{address}/postgres"], check=True, timeout=SECONDS)
