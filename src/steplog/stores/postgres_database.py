"""A database of PostgreSQL: its connections, its transactions, and what its errors mean.

Its tables are made by `steplog.stores.migrations`. Here is what a server must be told so that any
number of processes, on any number of hosts, can use one database:

* Who reads does it in REPEATABLE READ, READ ONLY: one state, and a standby may answer.
* Who writes locks what it touches (`steplog.stores.locks`), and reads after that what was committed
  until then (READ COMMITTED). Who then falls silent is thrown out, so that nobody waits for it.
* All tables stand in a schema of their own, for MLflow's have the same names. It is named in each
  transaction, not once for a connection, as a pooler of connections requires.
* An error of the driver never leaves this module. What may pass is a StoreError, and may be tried
  again: it is safe to apply a batch again of which nobody knows whether it was committed.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, Literal, cast
from weakref import WeakSet

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import RawCursor, errors
from psycopg.pq import TransactionStatus

from steplog import forks, places
from steplog.exceptions import FormatTooNew, StoreDamaged, StoreError
from steplog.stores import locks
from steplog.stores.base import Batch
from steplog.stores.connection import Home, Result
from steplog.stores.locks import Locks
from steplog.stores.postgres_values import Integers, Texts, adapters
from steplog.stores.retrying import Patience

SCHEMA = "steplog"
REVISION = 1
"""The format of the tables that are read and written here; the newest of `migrations.versions`."""

_IDLE_CONNECTIONS = 4
_SILENT_SECONDS = 60
"""How long who writes may say nothing: suspended, or cut off without the server having noticed."""
_CONNECT_SECONDS = 10
_READ = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path TO {SCHEMA}"
_HOLD = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"
_WRITE = (
    f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL search_path TO {SCHEMA}; "
    f"SET LOCAL idle_in_transaction_session_timeout = '{_SILENT_SECONDS}s'; "
    "SET LOCAL lock_timeout = '{milliseconds}ms'"
)
_DURABLE = (
    "; SELECT set_config('synchronous_commit', 'on', true) "
    "WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')"
)
_LOST_NETWORK = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
_TYPES = {int: "int8", str: "text", bytes: "bytea"}
_Row = Sequence[Any]


class _Dialect:
    """PostgreSQL's; a list goes to it as an array."""

    name: Literal["postgresql"] = "postgresql"
    join_in_order = "JOIN"

    def listed(self, values: Sequence[Any]) -> object:
        if not values:
            return []  # of any type
        return Integers(values) if isinstance(values[0], int) else Texts(values)

    def among(self, column: str) -> str:
        return f"{column} = ANY (?)"

    def table(self, kind: str) -> str:
        return f"unnest(CAST(? AS {kind}[])) WITH ORDINALITY AS listed (value, place)"

    def indexed_by(self, index: str) -> str:
        return ""


class Connection:
    """A `steplog.stores.connection.Connection`, which says what its methods do."""

    dialect = _Dialect()

    def __init__(self, driver: psycopg.Connection[Any], catalog: object, home: Home) -> None:
        self.driver = driver
        self.catalog = catalog
        self.home = home

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Result:
        return self.driver.execute(_numbered(statement), values, binary=True)

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        self.driver.cursor().executemany(_numbered(statement), rows)

    def stream(self, statement: str, values: Sequence[Any]) -> Iterator[Any]:
        return self.driver.cursor().stream(_numbered(statement), values, binary=True)

    def insert_many(self, table: str, columns: Sequence[str], rows: Sequence[_Row]) -> None:
        if not rows:
            return
        statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
        with self.driver.cursor().copy(_numbered(statement)) as copy:
            copy.set_types([_TYPES[type(value)] for value in rows[0]])
            for row in rows:
                copy.write_row(row)

    def update_many(self, table: str, columns: Sequence[str], rows: npt.NDArray[np.int64]) -> None:
        self.execute(_update(table, tuple(columns)), [Integers(column) for column in rows.T])

    def new_chunk_ids(self, count: int) -> list[int]:
        sequence = "nextval(pg_get_serial_sequence('chunks', 'chunk_id'))"
        rows = self.execute(f"SELECT {sequence} FROM generate_series(1, ?)", (count,))
        return [chunk_id for [chunk_id] in rows]

    def lock_batch(self, batch: Batch) -> None:
        asked = locks.mentioned(batch.operations)
        known = self._complete(asked) if asked.ids else asked
        self._lock(locks.of_batch(batch, known))

    def lock_run(self, run_no: int) -> None:
        query = "SELECT run_id FROM runs WHERE run_no = ?"
        for [run_id] in self.execute(query, (run_no,)).fetchall():
            self._lock(locks.of_run(run_id))

    def now_ms(self) -> int:
        query = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"
        now_ms: int = self.execute(query).fetchone()[0]
        return now_ms

    def bytes_used(self) -> int:
        [used] = self.execute(
            "SELECT CAST(coalesce(sum(pg_total_relation_size(oid)), 0) AS BIGINT) FROM pg_class "
            f"WHERE relkind = 'r' AND relnamespace = CAST('{SCHEMA}' AS regnamespace)"
        ).fetchone()
        return cast(int, used)

    def give_back_space(self) -> None:
        """Do nothing: the server's vacuum does."""

    def findings(self) -> Iterator[str]:
        return iter(())

    def begin(self, statements: str) -> None:
        self.driver.execute(statements.encode(), prepare=False)

    def commit(self) -> None:
        self.driver.execute("COMMIT", prepare=False)

    def roll_back(self) -> bool:
        """Undo everything; return whether the connection is still of use."""
        status = self.driver.info.transaction_status
        if status not in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            return False
        with suppress(psycopg.Error):
            self.driver.execute("ROLLBACK", prepare=False)
        return self.driver.info.transaction_status == TransactionStatus.IDLE

    def try_lock(self, name: str) -> bool:
        """Lock a name that is none of a batch's until the transaction ends, if nobody else has."""
        query = "SELECT pg_try_advisory_xact_lock(?)"
        locked: bool = self.execute(query, (locks.of_name(name),)).fetchone()[0]
        return locked

    def _complete(self, asked: locks.Mentioned) -> locks.Mentioned:
        """Return those of these experiments that are in the catalog, and no placeholders."""
        rows = self.execute(
            "SELECT experiment_id, name FROM experiments WHERE placeholder = 0 AND "
            f"({self.dialect.among('experiment_id')} OR {self.dialect.among('name')})",
            (self.dialect.listed([*asked.ids]), self.dialect.listed([*asked.names])),
        ).fetchall()
        ids, names = (frozenset(row[column] for row in rows) for column in (0, 1))
        return locks.Mentioned(ids, names)

    def _lock(self, wanted: Locks) -> None:
        # In the order of the array, which is the same for everybody.
        self.execute(
            "SELECT CASE WHEN exclusive = 1 THEN pg_advisory_xact_lock(number) "
            "ELSE pg_advisory_xact_lock_shared(number) END "
            "FROM unnest(CAST(? AS BIGINT[]), CAST(? AS BIGINT[])) AS wanted (number, exclusive)",
            (Integers(wanted.numbers), Integers(wanted.exclusive)),
        )


class Server:
    """One database by its URI: how it is reached, what it is, and what its errors mean.

    Args:
        uri: ``postgresql://user@host:port/database``, as libpq takes it.

    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self.name = places.resolve(uri).name

    def connect(self, seconds: float = _CONNECT_SECONDS, **options: Any) -> psycopg.Connection[Any]:
        """Return a new connection, which commits each statement by itself."""
        return psycopg.connect(
            self._uri,
            connect_timeout=max(2, min(_CONNECT_SECONDS, int(seconds))),
            **{"autocommit": True, **_LOST_NETWORK, **options},
        )

    def revision(self, driver: psycopg.Connection[Any]) -> int:
        """Return the format of the tables; 0 where there are none.

        Raises:
            FormatTooNew: it is newer than this steplog.

        """
        query = f"SELECT to_regclass('{SCHEMA}.alembic_version') IS NULL"
        if driver.execute(query.encode()).fetchone() == (True,):
            return 0
        query = f"SELECT version_num FROM {SCHEMA}.alembic_version"
        row = driver.execute(query.encode()).fetchone()
        revision = 0 if row is None else int(row[0])
        if revision > REVISION:
            raise FormatTooNew(
                f"The tables in {self.name} have format {revision}, and this steplog knows up to "
                f"{REVISION}. Use the steplog that changed them, or a newer one."
            )
        return revision

    def too_old(self, revision: int) -> StoreError:
        """Return the error for tables that are missing, or older than they should be."""
        found = f"the tables of format {revision}" if revision else "no tables of steplog"
        return StoreError(
            f"{self.name} has {found}, and this steplog needs format {REVISION}. "
            f"Run: steplog db upgrade {self.name}"
        )

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the errors of the driver into steplog's."""
        try:
            yield
        except (errors.DataCorrupted, errors.IndexCorrupted) as error:
            raise StoreDamaged(f"The database {self.name} is damaged: {_text(error)}") from error
        except (errors.UndefinedTable, errors.UndefinedColumn, errors.InvalidSchemaName) as error:
            raise StoreError(
                f"{self.name} has not the tables that this steplog needs: {_text(error)} "
                f"Run: steplog db upgrade {self.name}"
            ) from error
        except psycopg.Error as error:
            raise StoreError(
                f"The database {self.name} cannot be used now: {_text(error)}"
            ) from error


class PostgresDatabase:
    """Lends connections to a database, each for one transaction.

    It must not be used in a forked child; make another one there.

    Args:
        uri: the database.
        timeout: longest wait, in seconds, for a lock.
        home: where the points of chunks are kept.

    """

    def __init__(self, uri: str, timeout: float, home: Home) -> None:
        self._server = Server(uri)
        self.name = self._server.name
        self._timeout = timeout
        self._home = home
        self._patience = Patience()
        self._failure = ""
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        # What is remembered of the catalog holds as long as no connection was lost: the server that
        # comes back may be a standby, or a copy of yesterday.
        self._catalog = object()
        _databases.add(self)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Lend a connection that sees one state of the catalog, whatever is written meanwhile."""
        with self._transaction(_READ) as connection:
            yield connection

    @contextmanager
    def writing(self, durable: bool = False) -> Iterator[Connection]:
        """Lend a connection whose changes are committed at the end, or undone by an exception.

        Args:
            durable: the commit must survive a power cut, also where the server is set up otherwise.

        """
        begin = _WRITE.format(milliseconds=max(1, int(self._timeout * 1000)))
        with self._transaction(begin + _DURABLE if durable else begin) as connection:
            yield connection

    @contextmanager
    def holding(self, name: str) -> Iterator[bool]:
        """Try to take a lock of this name, and hold it while the ``with`` lasts.

        Yields False, at once, where somebody else holds it. It ends with this process, too, and
        when the connection is lost: then leaving raises StoreError.
        """
        with self._transaction(_HOLD) as connection:
            yield connection.try_lock(name)

    def close(self) -> None:
        """Close the connections that nobody uses just now."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            self._end(connection)

    def leave_to_parent(self) -> None:
        """Close a forked child's copies of the connections, without a word to the server."""
        for connection in self._open:
            with suppress(OSError, psycopg.Error):
                os.close(connection.driver.fileno())
            _inherited.append(connection)

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        with self._server.translated():
            connection = self._begin(begin)
            keep = False
            try:
                yield connection
                connection.commit()
                keep = True
            finally:
                if keep or connection.roll_back():
                    self._give_back(connection)
                else:
                    self._end(connection)

    def _begin(self, begin: str) -> Connection:
        """Return a connection in a transaction; one that was lost while it lay idle is replaced."""
        while True:
            with self._lock:
                idle = self._idle.pop() if self._idle else None
            connection = idle or self._connect()
            try:
                connection.begin(begin)
                return connection
            except BaseException as error:
                self._end(connection)
                if idle is None or not isinstance(error, psycopg.OperationalError):
                    raise

    def _connect(self) -> Connection:
        remaining = self._patience.remaining()
        if remaining:
            raise StoreError(f"{self._failure} It is tried again in {remaining:.0f} seconds.")
        try:
            with self._server.translated():
                driver = self._server.connect(
                    self._timeout, context=_CONTEXT, cursor_factory=RawCursor
                )
        except StoreError as error:
            self._failure = error.message
            self._patience.failed()
            raise
        self._patience.succeeded()
        try:
            revision = self._server.revision(driver)
            if revision < REVISION:
                raise self._server.too_old(revision)
        except BaseException:
            driver.close()
            raise
        connection = Connection(driver, self._catalog, self._home)
        with self._lock:
            self._open.add(connection)
        return connection

    def _give_back(self, connection: Connection) -> None:
        with self._lock:
            useful = connection.catalog is self._catalog and len(self._idle) < _IDLE_CONNECTIONS
            if useful:
                self._idle.append(connection)
        if not useful:
            self._end(connection)

    def _end(self, connection: Connection) -> None:
        lost = connection.driver.broken
        with self._lock:
            self._open.discard(connection)
            if lost:
                self._catalog = object()
        connection.driver.close()


@lru_cache(maxsize=1024)
def _numbered(statement: str) -> bytes:
    """Return a statement with the marks that PostgreSQL has: ``$1``, ``$2``, …"""
    first, *rest = statement.split("?")
    numbered = first + "".join(f"${number}{part}" for number, part in enumerate(rest, 1))
    return numbered.encode()


@lru_cache(maxsize=64)
def _update(table: str, columns: tuple[str, ...]) -> str:
    *changed, key = columns
    new = ", ".join(f"{name} = new.{name}" for name in changed)
    arrays = ", ".join(["CAST(? AS BIGINT[])"] * len(columns))
    return (
        f"UPDATE {table} SET {new} FROM unnest({arrays}) AS new ({', '.join(columns)}) "
        f"WHERE {table}.{key} = new.{key}"
    )


def _text(error: psycopg.Error) -> str:
    """Return what an error says, in one line that ends in a full stop."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if text.endswith((".", "?")) else f"{text}."


class _Context:
    """What psycopg asks for its rules."""

    adapters = adapters()
    connection = None


# The driver tells of lost connections in warnings of its own, which would end up on the standard
# error of a training; and the errors that it raises say the same.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

_CONTEXT = _Context()
_databases: WeakSet[PostgresDatabase] = WeakSet()
_inherited: list[Connection] = []
"""A parent's connections, kept for ever in its child, where nobody may end them."""


def _after_fork_in_child() -> None:
    for database in list(_databases):
        database.leave_to_parent()
    _databases.clear()


forks.around(after_in_child=_after_fork_in_child)
