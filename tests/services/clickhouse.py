"""ClickHouse: two shards, one of them in two replicas, and the ZooKeeper that they need.

The servers are ``a`` and ``b``, which are replicas of shard 1, and ``c``, which is shard 2. A
fixture gives a database on the servers of the whole run; tests that kill servers start a cluster of
their own, which takes a second.
"""

from __future__ import annotations

import http.client
import shutil
import socket
import string
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from services import sharing
from services.daemons import SECONDS, Daemon, answers, free_port, need, scratch, wait_until

CLUSTER = "steplog"
SHARDS = {"a": 1, "b": 1, "c": 2}
JARS = Path("/usr/share/java")
# Named one by one: of all jars together, two are bindings of the same logging, which ends it.
CLASSES = [
    "zookeeper", "zookeeper-jute", "slf4j-api", "slf4j-nop", "netty-buffer", "netty-common",
    "netty-codec", "netty-handler", "netty-resolver", "netty-transport",
    "netty-transport-native-epoll", "netty-transport-native-unix-common", "metrics-core",
    "snappy-java", "jackson-core", "jackson-databind", "jackson-annotations", "commons-cli",
]  # fmt: skip

ZOOKEEPER = """\
tickTime=500
dataDir=$directory
clientPort=$port
clientPortAddress=127.0.0.1
admin.enableServer=false
maxClientCnxns=0
"""

CONFIG = string.Template("""\
<yandex>
  <logger><level>warning</level><console>1</console></logger>
  <listen_host>127.0.0.1</listen_host>
  <http_port>$http</http_port>
  <tcp_port>$native</tcp_port>
  <interserver_http_host>127.0.0.1</interserver_http_host>
  <interserver_http_port>$interserver</interserver_http_port>
  <path>$directory/data/</path>
  <tmp_path>$directory/tmp/</tmp_path>
  <user_files_path>$directory/files/</user_files_path>
  <format_schema_path>$directory/schemas/</format_schema_path>
  <users_config>$directory/users.xml</users_config>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
  <timezone>UTC</timezone>
  <mark_cache_size>67108864</mark_cache_size>
  <keep_alive_timeout>10</keep_alive_timeout>
  <macros><shard>$shard</shard><replica>$name</replica></macros>
  <zookeeper>
    <node><host>127.0.0.1</host><port>$zookeeper</port></node>
    <session_timeout_ms>4000</session_timeout_ms>
  </zookeeper>
  <distributed_ddl><path>/clickhouse/ddl</path></distributed_ddl>
  <remote_servers><$cluster>$shards</$cluster></remote_servers>
</yandex>
""")

SHARD = "<shard><internal_replication>true</internal_replication>{}</shard>"
REPLICA = "<replica><host>127.0.0.1</host><port>{}</port></replica>"

USERS = """\
<yandex>
  <profiles><default><load_balancing>in_order</load_balancing></default></profiles>
  <quotas><default></default></quotas>
  <users>
    <default>
      <password></password>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
    </default>
  </users>
</yandex>
"""


class Refused(Exception):
    """ClickHouse answered with an error."""


@dataclass(frozen=True)
class Node:
    """Where one server listens, on loopback.

    Attributes:
        name: of the server.
        http: its port for HTTP.
        native: its port for ClickHouse's own protocol.

    """

    name: str
    http: int
    native: int

    def query(self, statement: str, body: bytes = b"", **settings: object) -> bytes:
        """Run a statement; return the answer.

        Args:
            statement: SQL.
            body: what is inserted.
            settings: of the query, and ``database``.

        Raises:
            Refused: the server's words.
            OSError: it cannot be reached.

        """
        connection = http.client.HTTPConnection("127.0.0.1", self.http, timeout=SECONDS)
        try:
            arguments = urlencode({"query": statement, "wait_end_of_query": 1, **settings})
            connection.request("POST", f"/?{arguments}", body)
            answer = connection.getresponse()
            text = answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(f"{self.name} went away: {error!r}") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise Refused(text.decode("utf-8", "replace").strip())
        return text


@dataclass(frozen=True)
class ClickHouse:
    """A database on servers that run.

    Attributes:
        nodes: the servers, by their names.
        database: its name, on each of them.
        cluster: what the servers call their cluster; the empty text where there is none.

    """

    nodes: dict[str, Node]
    database: str
    cluster: str = CLUSTER

    @property
    def uri(self) -> str:
        """The database's address, as STEPLOG_POINTS_URI takes it."""
        return self.uri_through([node.http for node in self.nodes.values()])

    def uri_through(self, ports: Iterable[int]) -> str:
        """Return the database's address by other ports, behind which are those of its nodes."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        option = f"?cluster={self.cluster}" if self.cluster else ""
        return f"clickhouse://{hosts}/{self.database}{option}"

    def query(
        self, statement: str, body: bytes = b"", *, node: str = "a", **settings: object
    ) -> bytes:
        """Run a statement in the database, on one server (see `Node.query`)."""
        return self.nodes[node].query(statement, body, database=self.database, **settings)

    def rows(self, statement: str, *, node: str = "a") -> list[list[str]]:
        """Return the rows of a query as texts."""
        answer = self.query(f"{statement} format TabSeparated", node=node).decode()
        return [line.split("\t") for line in answer.splitlines()]


class ZooKeeper:
    """The one server of ZooKeeper, which replicas agree through."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.port = free_port()
        settings = directory / "zoo.cfg"
        settings.write_text(
            string.Template(ZOOKEEPER).substitute(directory=directory, port=self.port), "utf-8"
        )
        jars = ":".join(str(JARS / f"{name}.jar") for name in CLASSES)
        program = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        self._daemon = Daemon(
            ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", jars,
             program, str(settings)], directory,
        )  # fmt: skip

    def start(self) -> None:
        """Run it, and wait until it serves: a ClickHouse that finds it before that may crash."""
        self._daemon.start(self._serves)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._daemon.kill()

    def _serves(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"srvr")
                return b"Mode:" in b"".join(iter(lambda: connection.recv(4096), b""))
        except OSError:
            return False


class ClickHouseCluster:
    """Servers of a test's own.

    Attributes:
        nodes: where they listen, by name.
        zookeeper: what they agree through.

    """

    def __init__(self, directory: Path) -> None:
        self.zookeeper = ZooKeeper(directory / "zookeeper")
        self.nodes = {name: Node(name, free_port(), free_port()) for name in SHARDS}
        self._daemons = {name: self._daemon(directory / name, name) for name in SHARDS}

    def start(self) -> None:
        """Start all of it, and wait until data can be inserted."""
        self.zookeeper.start()
        for name in self.nodes:
            self.start_node(name)

    def start_node(self, name: str) -> None:
        """Start a server, and wait until it answers; ZooKeeper must serve."""
        self._daemons[name].start(lambda: answers(self.nodes[name].http))
        wait_until(lambda: self._sees_zookeeper(name), f"{name} finding ZooKeeper")

    def kill_node(self, name: str) -> None:
        """End a server at once, as a crash does."""
        self._daemons[name].kill()

    def kill(self) -> None:
        """End all of it."""
        for daemon in self._daemons.values():
            daemon.kill()
        self.zookeeper.kill()

    @contextmanager
    def fresh(self) -> Iterator[ClickHouse]:
        """Give an empty database; it is not dropped, but ends with the servers."""
        yield create(self.nodes, CLUSTER)

    def _sees_zookeeper(self, name: str) -> bool:
        try:
            self.nodes[name].query("select name from system.zookeeper where path = '/'")
        except (OSError, Refused):
            return False
        return True

    def _daemon(self, directory: Path, name: str) -> Daemon:
        for each in ("data", "tmp", "files", "schemas"):
            (directory / each).mkdir(parents=True)
        (directory / "users.xml").write_text(USERS, "utf-8")
        replicas: dict[int, str] = {}
        for node in self.nodes.values():
            shard = SHARDS[node.name]
            replicas[shard] = replicas.get(shard, "") + REPLICA.format(node.native)
        text = CONFIG.substitute(
            directory=directory,
            name=name,
            shard=SHARDS[name],
            http=self.nodes[name].http,
            native=self.nodes[name].native,
            interserver=free_port(),
            zookeeper=self.zookeeper.port,
            cluster=CLUSTER,
            shards="".join(SHARD.format(each) for each in replicas.values()),
        )
        (directory / "config.xml").write_text(text, "utf-8")
        return Daemon(["clickhouse-server", f"--config-file={directory}/config.xml"], directory)


def missing() -> str:
    """Return what is missing; the empty text where nothing is."""
    for program in ("clickhouse-server", "java", "setpriv"):
        if shutil.which(program) is None:
            return f"there is no {program}"
    absent = [name for name in CLASSES if not (JARS / f"{name}.jar").exists()]
    return f"ZooKeeper's {', '.join(absent)} are not in {JARS}" if absent else ""


def create(nodes: dict[str, Node], cluster: str) -> ClickHouse:
    """Make an empty database on servers that run."""
    name = f"test_{uuid.uuid4().hex}"
    for node in nodes.values():
        node.query(f"create database {name}")
    return ClickHouse(nodes, name, cluster)


@contextmanager
def fresh(nodes: dict[str, Node], cluster: str = CLUSTER) -> Iterator[ClickHouse]:
    """Give an empty database on servers that run, and drop it at the end."""
    database = create(nodes, cluster)
    yield database
    for node in nodes.values():
        node.query(f"drop database {database.database}")


@contextmanager
def alone() -> Iterator[ClickHouseCluster]:
    """Run servers that may be killed."""
    with scratch() as directory:
        cluster = ClickHouseCluster(directory)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.kill()


@contextmanager
def shared() -> Iterator[Any]:
    """Run the servers that the tests of a run have in common."""
    with alone() as cluster:
        yield [[node.name, node.http, node.native] for node in cluster.nodes.values()]


@pytest.fixture
def clickhouse_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    """An empty database of the test's own on the run's cluster of ClickHouse, all of it alive."""
    need(missing())
    nodes = [Node(*each) for each in sharing.join("clickhouse", tmp_path_factory)]
    with fresh({node.name: node for node in nodes}) as database:
        yield database


@pytest.fixture
def clickhouse_cluster() -> Iterator[ClickHouseCluster]:
    """A cluster of ClickHouse of the test's own, whose servers it may kill."""
    need(missing())
    with alone() as cluster:
        yield cluster
