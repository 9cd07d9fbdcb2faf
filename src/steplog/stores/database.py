"""One catalog file: how it comes to be, its connections and its transactions.

Its tables are in `steplog.stores.schema`; here is what SQLite must be told so that any number of
threads and processes can use one file:

* Writing begins with BEGIN IMMEDIATE. A transaction that reads first and writes then fails with
  "database is locked" at once, whatever the timeout, when somebody else wrote in between.
* Every transaction has a connection of its own, so a slow reader keeps nobody waiting.
* No float is kept in a REAL column, which turns NaN into NULL and -0.0 into 0.0.
* The file is never opened other than through SQLite: closing it would give back the locks of every
  connection that this process has (that is how POSIX locks are).
* No connection lives through a fork, used or not: what SQLite notes in memory about the locks of
  this process would be wrong in the child, and new connections of the child would believe it. So a
  fork waits for the transactions that are under way, and closes all connections.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal
from weakref import WeakSet

import numpy as np
import numpy.typing as npt

from steplog import forks
from steplog.exceptions import FormatTooNew, StoreDamaged, StoreError
from steplog.rows import default_experiment
from steplog.stores.base import Batch
from steplog.stores.connection import Home, marks
from steplog.stores.schema import APPLICATION_ID, FORMAT, STEPS

_IDLE_CONNECTIONS = 2
_CHECK_SECONDS = 5.0
_Row = Sequence[Any]
FORK_SECONDS = 2.0
"""How long a fork waits for transactions that are under way. Where one takes longer (it waits for
another program's lock, or its caller does not read on), the child cannot use the catalog."""


class _Dialect:
    """SQLite's; a list goes to it as one JSON text."""

    name: Literal["sqlite"] = "sqlite"
    join_in_order = "CROSS JOIN"  # which SQLite never turns round

    def listed(self, values: Sequence[Any]) -> object:
        return json.dumps(list(values))

    def among(self, column: str) -> str:
        return f"{column} IN (SELECT value FROM json_each(?))"

    def table(self, kind: str) -> str:
        return "(SELECT value, key AS place FROM json_each(?)) AS listed"

    def indexed_by(self, index: str) -> str:
        return f"INDEXED BY {index}"


class Connection(sqlite3.Connection):
    """A `steplog.stores.connection.Connection`, which says what its methods do."""

    catalog: tuple[int, int]  # the file that it has open, for another may take its place
    path: Path
    home: Home
    dialect = _Dialect()

    def stream(self, statement: str, values: Sequence[Any]) -> Iterator[Any]:
        return self.execute(statement, values)

    def insert_many(self, table: str, columns: Sequence[str], rows: Sequence[_Row]) -> None:
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks(columns)})"
        self.executemany(statement, rows)

    def update_many(self, table: str, columns: Sequence[str], rows: npt.NDArray[np.int64]) -> None:
        *changed, key = columns
        new = ", ".join(f"{name} = ?" for name in changed)
        self.executemany(f"UPDATE {table} SET {new} WHERE {key} = ?", rows.tolist())

    def new_chunk_ids(self, count: int) -> list[int]:
        # Where AUTOINCREMENT counts; inserting moves it on.
        query = "SELECT seq FROM sqlite_sequence WHERE name = 'chunks'"
        row = self.execute(query).fetchone()
        highest = 0 if row is None else row[0]
        return [*range(highest + 1, highest + 1 + count)]

    def lock_batch(self, batch: Batch) -> None:
        """Do nothing: who writes is alone."""

    def lock_run(self, run_no: int) -> None:
        """Do nothing: who writes is alone."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def bytes_used(self) -> int:
        # Of the file and of what SQLite keeps beside it.
        beside = (Path(f"{self.path}{suffix}") for suffix in ("", "-wal"))
        return sum(path.stat().st_size for path in beside if path.exists())

    def give_back_space(self) -> None:
        [free_pages] = self.execute("PRAGMA freelist_count").fetchone()
        for _ in range(free_pages):
            # Page by page, because Python's sqlite3 steps this statement only once.
            self.execute("PRAGMA incremental_vacuum(1)")

    def findings(self) -> Iterator[str]:
        for [finding] in self.execute("PRAGMA quick_check").fetchall():
            if finding != "ok":
                yield finding


class Database:
    """The catalog file at `path`, made where there is none, followed where it is replaced.

    A `Database` must not be used in a forked child; make another one there.

    Args:
        path: the file.
        timeout: longest wait, in seconds, for another program's lock.
        home: where the points of chunks are kept.

    """

    def __init__(self, path: Path, timeout: float, home: Home) -> None:
        self.path = path.absolute()
        self.name = path.name
        self._home = home
        self._timeout = timeout
        self._idle: list[Connection] = []
        self._catalog: tuple[int, int] | None = None
        self._lock = threading.RLock()  # a signal handler may fork, or read, on top of a reader
        self._returned = threading.Condition(self._lock)
        self._lent = 0
        self._forking = False
        # Threads queue here, in turn; in SQLite's own queue they would poll with growing pauses.
        self._write_lock = threading.Lock()
        _databases.add(self)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Lend a connection that sees one state of the catalog, whatever is written meanwhile."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def writing(self, durable: bool = False) -> Iterator[Connection]:
        """Lend a connection whose changes are committed at the end, or undone by an exception.

        Args:
            durable: the commit must survive a power cut.

        """
        synchronous = f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}"
        with (
            self._write_lock,
            self._transaction(synchronous, "BEGIN IMMEDIATE") as connection,
        ):
            yield connection

    def close(self) -> None:
        """Close the connections that nobody uses just now."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def before_fork(self) -> None:
        """Wait until no connection is lent, close all, and lend none before `after_fork`."""
        with self._lock:
            self._forking = True
            self._returned.wait_for(lambda: not self._lent, FORK_SECONDS)
            while self._idle:
                self._idle.pop().close()

    def after_fork(self) -> None:
        """Lend connections again, in the parent."""
        with self._lock:
            self._forking = False
            self._returned.notify_all()

    def lent(self) -> bool:
        """Tell whether a connection is in use."""
        return self._lent > 0

    @contextmanager
    def _transaction(self, *begin: str) -> Iterator[Connection]:
        with self._translated():
            connection = self._borrow()
            keep = False
            try:
                for statement in begin:
                    connection.execute(statement)
                yield connection
                connection.execute("COMMIT")
                keep = True
            finally:
                self._give_back(connection, keep)

    def _borrow(self) -> Connection:
        with self._lock:
            self._returned.wait_for(lambda: not self._forking)
            if self.path in _carried:
                raise StoreError(
                    f"The catalog {self.path} was in use while this process was forked, so it "
                    "cannot be used here. What is logged stays in the journal for others to ingest."
                )
            catalog = self._follow()
            connection = self._idle.pop() if self._idle else self._connect()
            connection.catalog, connection.path, connection.home = catalog, self.path, self._home
            self._lent += 1
            return connection

    def _give_back(self, connection: Connection, keep: bool) -> None:
        with self._lock:
            useful = keep and not self._forking and connection.catalog == self._catalog
            if useful and len(self._idle) < _IDLE_CONNECTIONS:
                self._idle.append(connection)
            else:
                connection.close()  # which rolls back, also where ROLLBACK would fail
            self._lent -= 1
            self._returned.notify_all()

    def _follow(self) -> tuple[int, int]:
        """See that the file is there and still the one that the idle connections have open."""
        catalog = _identity(self.path)
        if catalog is None or catalog != self._catalog:
            while self._idle:
                self._idle.pop().close()
            if catalog is None:
                _create(self.path)
            if _check_format(self.path) < FORMAT:
                _upgrade(self.path, self._timeout)
            stat = self.path.stat()
            catalog = self._catalog = stat.st_dev, stat.st_ino
        return catalog

    def _connect(self) -> Connection:
        if os.access(self.path.parent, os.W_OK):
            return _connect(self.path, "mode=rw", self._timeout)
        connection = _connect(self.path, "mode=ro", self._timeout)
        try:
            connection.execute("SELECT * FROM journals LIMIT 1")
        except sqlite3.OperationalError:
            # Reading along with writers takes a file beside this one, which cannot be made here.
            connection.close()
            return _connect(self.path, "immutable=1", self._timeout)
        return connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the errors of SQLite and of the file system into steplog's."""
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:
            raise StoreError(f"The catalog {self.path} cannot be used now: {error}.") from error
        except sqlite3.DatabaseError as error:
            raise StoreDamaged(
                f"The catalog {self.path} is damaged: {error}. "
                "Put a copy in its place, or move it away to begin a new one."
            ) from error


def format_of(path: Path) -> int:
    """Return the format of a catalog; 0 where there is none.

    Raises:
        StoreDamaged: it is not a catalog.
        FormatTooNew: a newer steplog wrote it.

    """
    return _check_format(path) if path.exists() else 0


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_dev, stat.st_ino


def _connect(path: Path, mode: str, timeout: float) -> Connection:
    connection = sqlite3.connect(
        f"{path.as_uri()}?{mode}",
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
        factory=Connection,
    )
    try:
        connection.execute("PRAGMA cache_size = -4096")
        # Most of what is written waits in the tail only until it is sealed. The later the log is
        # copied into the file, the less of that is copied: after 16 MiB, in pages of 4 KiB.
        connection.execute("PRAGMA wal_autocheckpoint = 4096")
        connection.execute("PRAGMA journal_size_limit = 16777216")
    except BaseException:
        connection.close()
        raise
    return connection


def _create(path: Path) -> None:
    """Make the catalog whole under another name, then put it in place if nobody was faster."""
    leftovers = [(each, _identity(each)) for each in (Path(f"{path}-wal"), Path(f"{path}-shm"))]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.urandom(8).hex()}.new")
    try:
        with closing(sqlite3.connect(temporary, isolation_level=None)) as connection:
            connection.executescript(
                "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; BEGIN; "
                f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT};"
                + "".join(STEPS)
            )
            row = default_experiment(time.time_ns() // 1_000_000)
            connection.execute(f"INSERT INTO experiments VALUES ({marks(row)})", row)
            connection.execute("COMMIT")
        _remove_leftovers(path, leftovers)
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_leftovers(path: Path, leftovers: Sequence[tuple[Path, tuple[int, int] | None]]) -> None:
    """Remove the write-ahead log of a catalog that was deleted without it.

    SQLite would play it into the new catalog. What lay there before the catalog was seen to be
    missing belongs to none; what appears later belongs to the one that somebody just made.
    """
    if path.exists():
        return
    for each, identity in leftovers:
        if identity is not None and _identity(each) == identity:
            each.unlink(missing_ok=True)


def _check_format(path: Path) -> int:
    """Return the format of a catalog; refuse a newer one, or another file, without touching it."""
    try:
        # SQLite then takes no lock and makes no file beside this one …
        application_id, version = _format(path, "immutable=1")
    except sqlite3.DatabaseError:
        # … and so it finds damage where somebody is just moving the log into the file.
        application_id, version = _format(path, "mode=ro")
    if application_id != APPLICATION_ID:
        raise StoreDamaged(f"{path} is not a catalog of steplog.")
    if version > FORMAT:
        raise FormatTooNew(
            f"The catalog {path} has format {version}, and this steplog reads up to {FORMAT}. "
            "Use the steplog that wrote it, or a newer one."
        )
    return version


def _upgrade(path: Path, timeout: float) -> None:
    """Bring an older catalog to the present format, in one transaction."""
    _, version = _format(path, "mode=ro")  # what the log holds may be newer than the file
    if version == FORMAT:
        return
    try:
        with closing(_connect(path, "mode=rw", timeout)) as connection:
            connection.executescript(
                f"BEGIN IMMEDIATE; {''.join(STEPS[version:])} "
                f"PRAGMA user_version = {FORMAT}; COMMIT;"
            )
    except sqlite3.OperationalError:
        if _format(path, "mode=ro")[1] != FORMAT:  # nobody else was faster
            raise


def _format(path: Path, mode: str) -> tuple[int, int]:
    with closing(_connect(path, mode, _CHECK_SECONDS)) as connection:
        [application_id] = connection.execute("PRAGMA application_id").fetchone()
        [version] = connection.execute("PRAGMA user_version").fetchone()
    return application_id, version


_databases: WeakSet[Database] = WeakSet()
_carried: set[Path] = set()
"""Catalogs that a parent of this process used at the moment of the fork."""


def _before_fork() -> None:
    for database in list(_databases):
        database.before_fork()


def _after_fork_in_parent() -> None:
    for database in list(_databases):
        database.after_fork()


def _after_fork_in_child() -> None:
    _carried.update(database.path for database in _databases if database.lent())
    _databases.clear()  # they belong to the parent; who needs one here makes another


forks.around(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
