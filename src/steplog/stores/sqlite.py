"""The embedded store: one SQLite file, `catalog.db`, in a directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from steplog.places import CATALOG
from steplog.stores import checking
from steplog.stores.base import Damage
from steplog.stores.chunks import InCatalog
from steplog.stores.database import Database
from steplog.stores.relational import RelationalStore


class SQLiteStore(RelationalStore):
    """A `steplog.stores.base.Store` in a directory.

    It must not be carried through a fork; open another one in the child.

    Args:
        directory: made where there is none.
        timeout: longest wait, in seconds, for another program's lock.

    Raises:
        StoreError: the directory cannot be used now.
        StoreDamaged: it holds something else than a catalog.
        FormatTooNew: a newer steplog wrote it; nothing was touched.

    """

    def __init__(self, directory: str | os.PathLike[str], timeout: float = 30.0) -> None:
        super().__init__(Database(Path(directory, CATALOG), timeout, InCatalog()))

    def check_copy(self) -> Iterator[Damage]:
        """Yield what shows that the catalog was copied while it was written, and not whole."""
        return checking.check_copy(self._database)
