"""Stores: where journals are folded into, and where everything is read from.

`steplog.stores.base` says what a store is; each other module here is one, or a part of one.
"""

from __future__ import annotations

import os

from steplog.forks import undisturbed
from steplog.stores.base import Store


def open_store(directory: str | os.PathLike[str], timeout: float = 30.0) -> Store:
    """Open the embedded store of a directory, and make it where there is none.

    Args:
        directory: where `catalog.db` lives or shall live.
        timeout: longest wait, in seconds, for another program's lock.

    Raises:
        StoreError: the directory cannot be used now.
        StoreDamaged: it holds something else than a catalog.
        FormatTooNew: a newer steplog wrote it; nothing was touched.

    """
    # Not at the top: a process that only writes its journal never loads a database.
    with undisturbed:
        from steplog.stores.sqlite import SQLiteStore

    return SQLiteStore(directory, timeout)
