"""The store of a team: a database of PostgreSQL, used by any number of processes and hosts."""

from __future__ import annotations

import random
import time

from steplog import settings
from steplog.exceptions import StoreError
from steplog.stores import locks, sealing
from steplog.stores.base import Batch, Refused
from steplog.stores.chunks import InCatalog
from steplog.stores.connection import Home
from steplog.stores.postgres_database import PostgresDatabase
from steplog.stores.relational import RelationalStore

LOOK_SECONDS = 60.0
_MOST_REMEMBERED = 100_000


class PostgresStore(RelationalStore):
    """A `steplog.stores.base.Store` in a database.

    It must not be carried through a fork; open another one in the child.

    Args:
        uri: ``postgresql://user@host:port/database``, as libpq takes it: with several hosts, and
            ``?target_session_attrs=read-write``, it finds the one that accepts writes.
        timeout: longest wait, in seconds, for a lock.
        home: where the points of chunks are kept; None for the database itself.

    Raises:
        StoreError: the database cannot be reached now; or has not the tables, and then the message
            says to run ``steplog db upgrade``; or its points live elsewhere.
        FormatTooNew: a newer steplog has changed the tables; nothing was touched.

    """

    _database: PostgresDatabase

    def __init__(self, uri: str, timeout: float = 30.0, home: Home | None = None) -> None:
        super().__init__(PostgresDatabase(uri, timeout, home or InCatalog()))
        self._written: set[str] = set()  # runs of which something may wait
        self._look_again = 0.0
        if home is None:
            self._expect_own_points()

    def apply(self, batch: Batch) -> list[Refused] | None:
        """Apply one stretch of one journal, whole or not at all."""
        refused = super().apply(batch)
        if len(self._written) < _MOST_REMEMBERED:
            self._written |= locks.runs_of(batch)
        return refused

    def seal(self, run_id: str | None = None) -> int:
        """Sort waiting points into chunks: of runs that ended or grew enough, or all of one run.

        A thousand processes may have the database open, and each looks after the runs that it
        writes to; after all others it looks only now and then. What one of them is just sealing, it
        is left to seal.
        """
        if run_id is not None:
            return super().seal(run_id)
        seal_points = settings.get("STEPLOG_SEAL_POINTS")
        written, self._written = self._written, set()
        with self._database.reading() as connection:
            waiting = sealing.waiting_runs(connection, None if self._looks() else [*written])
        due = [each for each in waiting if each.due(seal_points)]
        points = sum(map(self._seal_alone, due))
        self._written.update(each.run_id for each in waiting if each.run_id in written)
        return points

    def _looks(self) -> bool:
        """Tell whether it is time to look after the runs of others."""
        now = time.monotonic()
        if now < self._look_again:
            return False
        self._look_again = now + random.uniform(0.5, 1.5) * LOOK_SECONDS
        return True

    def _seal_alone(self, waiting: sealing.Waiting) -> int:
        with self._database.holding(f"seal {waiting.run_no}") as alone:
            return sealing.seal_run(self._database, waiting.run_no) if alone else 0

    def _expect_own_points(self) -> None:
        """See that points do not live elsewhere: nobody would find those that were kept here."""
        with self._database.reading() as connection:
            elsewhere = connection.execute("SELECT 1 FROM shards LIMIT 1").fetchone() is not None
        if elsewhere:
            self.close()
            raise StoreError(
                f"The points of {self._database.name} live in ClickHouse: set STEPLOG_POINTS_URI."
            )
