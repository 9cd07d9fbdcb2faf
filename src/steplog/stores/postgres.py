"""The store of a team: a database of PostgreSQL, used by any number of processes and hosts."""

from __future__ import annotations

from steplog.stores.chunks import InCatalog
from steplog.stores.connection import Home
from steplog.stores.postgres_database import PostgresDatabase
from steplog.stores.relational import RelationalStore


class PostgresStore(RelationalStore):
    """A `steplog.stores.base.Store` in a database.

    It must not be carried through a fork; open another one in the child.

    Args:
        uri: ``postgresql://user@host:port/database``, as libpq takes it: with several hosts, and
            ``?target_session_attrs=read-write``, it finds the one that accepts writes.
        timeout: longest wait, in seconds, for a lock.
        home: where the points of chunks are kept; None for the database itself.

    Raises:
        StoreError: the database cannot be reached now, or has not the tables: then the message says
            to run ``steplog db upgrade``.
        FormatTooNew: a newer steplog has changed the tables; nothing was touched.

    """

    def __init__(self, uri: str, timeout: float = 30.0, home: Home | None = None) -> None:
        super().__init__(PostgresDatabase(uri, timeout, home or InCatalog()))
