"""Stores: where journals are folded into, and where everything is read from.

`steplog.stores.base` says what a store is; each other module here is one, or a part of one.
"""

from __future__ import annotations

import os

from steplog import places
from steplog.exceptions import StoreError
from steplog.forks import undisturbed
from steplog.places import Place
from steplog.stores.base import Store


def open_store(where: Place | str | os.PathLike[str], timeout: float = 30.0) -> Store:
    """Open the store of a place; an embedded one is made where there is none.

    Args:
        where: a place, or a tracking URI.
        timeout: longest wait, in seconds, for another program's lock, or a server's answer.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE where that is no tracking URI.
        StoreError: the store cannot be used now.
        StoreDamaged: a directory holds something else than a catalog.
        FormatTooNew: a newer steplog wrote it; nothing was touched.

    """
    place = where if isinstance(where, Place) else places.resolve(os.fspath(where))
    # Not at the top: a process that only writes its journal never loads a database.
    with undisturbed:
        if place.kind == "directory":
            from steplog.stores.sqlite import SQLiteStore

            if place.shared:
                _make_private(place.catalog)
            return SQLiteStore(place.catalog, timeout)
        if place.kind == "server":
            from steplog.stores.servers import open_server

            return open_server(place, timeout)
        return _open_database(place, timeout)


def _open_database(place: Place, timeout: float) -> Store:
    try:
        from steplog.stores.postgres import PostgresStore
    except ImportError as error:
        raise StoreError(
            f"{place.name} cannot be used without psycopg. Install it: "
            "pip install 'steplog[postgres]'"
        ) from error
    return PostgresStore(place.uri, timeout)


def _make_private(directory: str) -> None:
    """Make the directory of a catalog of one's own, maybe among those of others, below /tmp.

    Raises:
        StoreError: that cannot be done, or somebody else has made it.

    """
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        found = os.lstat(directory)
    except OSError as error:
        raise StoreError(f"{directory} cannot be used for a catalog: {error.strerror}.") from error
    if hasattr(os, "getuid") and found.st_uid != os.getuid():
        raise StoreError(
            f"{directory} belongs to somebody else, and so cannot be used for a catalog. "
            "Name another directory with --catalog or STEPLOG_CATALOG."
        )
