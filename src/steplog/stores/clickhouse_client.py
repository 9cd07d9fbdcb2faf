"""Talking to ClickHouse over HTTP: which servers a URI names, and asking one of them something.

Servers that keep copies of the same points are the *replicas* of a *shard*; whatever is asked of a
shard may be asked of any of its replicas that is alive. Which replica a server is, it says itself:
by its macros ``shard`` and ``replica``, which every replicated cluster has.

What is kept in ClickHouse, and how, is in `steplog.stores.clickhouse` and the modules around it.
Nothing here needs a driver: HTTP is in the standard library, and `steplog.stores.native` knows the
bytes.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

import numpy as np
import numpy.typing as npt

from steplog.exceptions import StoreError, invalid
from steplog.stores import native
from steplog.stores.http import Http
from steplog.stores.retrying import Patience

PORT = 8123
"""ClickHouse's own default for HTTP."""
_PATIENCE_SECONDS = (0.25, 30.0)
_OPTIONS = ("cluster", "insert_quorum", "tls")
_CODE = re.compile(r"^Code: (\d+)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

T = TypeVar("T")


class ClickHouseError(StoreError):
    """ClickHouse refused a statement. `code` is its number of the error."""

    def __init__(self, server: str, code: int, text: str) -> None:
        super().__init__(f"ClickHouse at {server} says: {text.strip()[:500]}")
        self.code = code


class Incomplete(StoreError):
    """A replica does not have all that was written, at least not yet."""


class Target(NamedTuple):
    """What a ``clickhouse://`` URI says.

    Attributes:
        hosts: ``host:port`` of each server, in the order given.
        database: the database of ClickHouse that the points live in.
        cluster: a cluster that the servers know by this name; without one, every host is a shard.
        insert_quorum: how many replicas must have a block before it counts as written; 0 leaves
            that to the server.
        user: who asks.
        password: how they prove it.
        tls: speak HTTPS.

    """

    hosts: tuple[str, ...]
    database: str
    cluster: str = ""
    insert_quorum: int = 0
    user: str = "default"
    password: str = ""
    tls: bool = False


class Facts(NamedTuple):
    """What a server says of itself."""

    version: tuple[int, int]
    settings: frozenset[str]
    shard: str
    replica: str


def parse(uri: str) -> Target:
    """Return what a URI says.

    Args:
        uri: ``clickhouse://[user[:password]@]host[:port][,host[:port]…]/database``, and after a
            question mark perhaps ``cluster=name``, ``insert_quorum=2`` and ``tls=1``.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE for anything else.

    Example:
        >>> parse("clickhouse://one,two:8124/points?insert_quorum=2").hosts
        ('one:8123', 'two:8124')

    """
    parts = urlsplit(uri)
    who, _, hosts = parts.netloc.rpartition("@")
    user, _, password = who.partition(":")
    options = parse_qs(parts.query, keep_blank_values=True)
    shown = f"{parts.scheme}://{hosts}{parts.path}"
    if parts.scheme != "clickhouse" or not all(hosts.split(",")):
        raise invalid(f"'{shown}' does not name servers as clickhouse://host1,host2/database does.")
    if not _NAME.fullmatch(parts.path.strip("/") or "default"):
        raise invalid(f"'{parts.path}' is not the name of a database of ClickHouse.")
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise invalid(f"'{shown}' has the option {unknown[0]}; there are {', '.join(_OPTIONS)}.")
    chosen = {name: values[-1] for name, values in options.items()}
    quorum = chosen.get("insert_quorum", "0")
    if not re.fullmatch(r"\d{1,3}", quorum):
        raise invalid(f"insert_quorum={quorum} is not a number of replicas.")
    return Target(
        tuple(_with_port(host) for host in hosts.split(",")),
        parts.path.strip("/") or "default",
        chosen.get("cluster", ""),
        int(quorum),
        unquote(user) or "default",
        unquote(password),
        chosen.get("tls", "0").lower() in ("1", "true", "yes"),
    )


class Server:
    """One server of ClickHouse. Its methods may be called from any thread.

    Args:
        host: ``host:port``.
        target: who asks, and how.
        timeout: the longest wait for an answer, in seconds.

    Attributes:
        name: the host as errors call it.

    """

    def __init__(self, host: str, target: Target, timeout: float) -> None:
        self.name = host
        # Always with a user: without one, the user and password for MLflow would be sent.
        who = f"{quote(target.user, '')}:{quote(target.password, '')}"
        scheme = "https" if target.tls else "http"
        self._http = Http(f"{scheme}://{who}@{host}", timeout, Patience(*_PATIENCE_SECONDS))
        self._facts: Facts | None = None

    def facts(self) -> Facts:
        """Return what it says of itself; it is asked once.

        Raises:
            StoreError: it cannot be asked now.

        """
        if self._facts is None:
            version = self._text("SELECT version()")[0][0].split(".")
            settings = self._text("SELECT name FROM system.settings")
            macros = dict(self._text("SELECT macro, substitution FROM system.macros"))
            self._facts = Facts(
                (int(version[0]), int(version[1])),
                frozenset(name for [name] in settings),
                macros.get("shard", ""),
                macros.get("replica", ""),
            )
        return self._facts

    def run(self, statement: str) -> None:
        """Do what a statement says, in which tables are named with their database.

        Raises:
            StoreError: it cannot be done now.

        """
        self._ask(statement.encode(), {})

    def rows(self, query: str) -> list[list[str]]:
        """Return the rows of a short answer, as texts."""
        return self._text(query)

    def select(
        self, query: str, settings: Mapping[str, Any] | None = None
    ) -> dict[str, npt.NDArray[Any]]:
        """Return the columns that a query asks for, all of them numbers.

        Args:
            query: without a format.
            settings: of the query; those that the server does not know are left out.

        Raises:
            StoreError: it cannot be answered now.

        """
        answer = self._ask(f"{query} FORMAT Native".encode(), self._known(settings or {}))
        try:
            return native.decode(answer)
        except ValueError as error:
            raise StoreError(f"ClickHouse at {self.name}: {error}") from error

    def insert(
        self,
        table: str,
        columns: Mapping[str, npt.NDArray[np.generic]],
        settings: Mapping[str, Any],
    ) -> None:
        """Write rows into a table, in one block.

        Args:
            table: its name, with its database.
            columns: name -> values.
            settings: of the statement; those that the server does not know are left out.

        Raises:
            StoreError: they may have been written or not. Writing the same rows in the same order
                again doubles nothing in a table that remembers its blocks.

        """
        statement = f"INSERT INTO {table} ({', '.join(columns)}) FORMAT Native"
        options = {**self._known(settings), "query": statement}
        self._ask(native.encode(columns), options)

    def close(self) -> None:
        """Give its connections back."""
        self._http.close()

    def _text(self, query: str) -> list[list[str]]:
        lines = self._ask(f"{query} FORMAT TabSeparatedRaw".encode(), {}).decode().splitlines()
        return [line.split("\t") for line in lines]

    def _known(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        known = self.facts().settings if settings else frozenset()
        return {name: value for name, value in settings.items() if name in known}

    def _ask(self, body: bytes, options: Mapping[str, Any]) -> bytes:
        # Without wait_end_of_query an answer may begin with "200 OK" and end with an error.
        options = {"wait_end_of_query": 1, **options}
        answer = self._http.request("POST", f"/?{urlencode(options, quote_via=quote)}", body)
        if answer.status == 200:
            return answer.body
        text = answer.body.decode("utf-8", "replace")
        code = answer.headers.get("x-clickhouse-exception-code") or _first(_CODE, text)
        raise ClickHouseError(self.name, int(code or 0), text or f"status {answer.status}")


class Servers:
    """The servers that a target names, or that a named cluster consists of, by shard.

    Args:
        target: from `parse`.
        timeout: the longest wait for an answer, in seconds.

    """

    def __init__(self, target: Target, timeout: float) -> None:
        self.target = target
        self._timeout = timeout
        self._lock = threading.Lock()
        self._servers = [Server(host, target, timeout) for host in target.hosts]
        self._complete = not target.cluster
        self._favourites: dict[str, Server] = {}

    def first(self, shard: str, action: Callable[[Server], T]) -> T:
        """Return what `action` returns for the first replica of a shard for which it succeeds.

        Args:
            shard: the shard's name, from `shards`.
            action: raises StoreError where another replica shall be tried.

        Raises:
            StoreError: no replica could do it; the reason of the first one. It is `Incomplete`
                only where every replica said so.

        """
        failures: list[StoreError] = []
        for server in self._candidates(shard):
            try:
                if self._shard_of(server) != shard:
                    continue
                found = action(server)
            except StoreError as error:
                failures.append(error)
                continue
            self._favourites[shard] = server
            return found
        none = f"None of the servers {', '.join(self.target.hosts)} is the shard {shard!r}."
        failures.sort(key=lambda error: isinstance(error, Incomplete))
        raise failures[0] if failures else StoreError(none)

    def replicas(self, shard: str) -> list[Server]:
        """Return the replicas of a shard.

        Raises:
            StoreError: a server does not say whether it is one.

        """
        return [server for server in self._all() if self._shard_of(server) == shard]

    def shards(self) -> dict[str, list[Server]]:
        """Return the name of every shard, in order, and its replicas; all of them are asked.

        Raises:
            StoreError: one of them does not answer, or they are not the cluster.

        """
        shards: dict[str, list[Server]] = {}
        replicas = set()
        for server in self._all():
            name, replica = self._shard_of(server), server.facts().replica
            if not self.target.cluster or (name, replica) not in replicas:
                shards.setdefault(name, []).append(server)
                replicas.add((name, replica))
        if self.target.cluster:
            self._expect(shards)
            return dict(sorted(shards.items(), key=lambda item: _numbered(item[0])))
        return shards

    def close(self) -> None:
        """Give all connections back."""
        for server in self._servers:
            server.close()

    def _candidates(self, shard: str) -> Iterator[Server]:
        """Yield the servers that may be replicas of a shard, first the one that was one lately."""
        favourite = self._favourites.get(shard)
        if favourite is not None:
            yield favourite
        yield from (server for server in self._all() if server is not favourite)

    def _all(self) -> Sequence[Server]:
        with self._lock:
            if not self._complete:
                self._complete = self._find_others()
            return list(self._servers)

    def _find_others(self) -> bool:
        """Add the servers of the cluster that the URI does not name, where one of them tells."""
        port = self.target.hosts[0].rpartition(":")[2]
        for server in list(self._servers):
            try:
                rows = server.rows(f"SELECT host_name FROM {_CLUSTERS} {self._where()}")
            except StoreError:
                continue
            known = {each.name for each in self._servers}
            others = dict.fromkeys(f"{host}:{port}" for [host] in rows)
            self._servers += [
                Server(name, self.target, self._timeout) for name in others if name not in known
            ]
            return True
        return False

    def _shard_of(self, server: Server) -> str:
        """Return the name of the shard that a server belongs to."""
        if self.target.cluster:
            return server.facts().shard
        return str(self._servers.index(server) + 1)

    def _expect(self, shards: Mapping[str, Sequence[Server]]) -> None:
        """Raise StoreError unless these are all the replicas that the cluster has."""
        query = f"SELECT shard_num, count() FROM {_CLUSTERS} {self._where()} GROUP BY shard_num"
        counts = [int(n) for _, n in self._all()[0].rows(query)]
        found = [len(replicas) for replicas in shards.values()]
        if sorted(counts) != sorted(found) or "" in shards:
            raise StoreError(
                f"The cluster {self.target.cluster!r} has shards of {sorted(counts)} replicas, "
                f"and those that were found, by their macros shard and replica, are of "
                f"{sorted(found)}. Name the HTTP address of every replica in STEPLOG_POINTS_URI."
            )

    def _where(self) -> str:
        return f"WHERE cluster = '{_escaped(self.target.cluster)}'"


_CLUSTERS = "system.clusters"


def _with_port(host: str) -> str:
    return host if re.search(r":\d+$", host) else f"{host}:{PORT}"


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found[1] if found else None


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


def _numbered(name: str) -> tuple[int, str]:
    """Order names as numbers, where they are some."""
    return (int(name), "") if name.isdecimal() else (1 << 62, name)
