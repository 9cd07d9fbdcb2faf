"""Stores: where journals are folded into, and where everything is read from.

`steplog.stores.base` says what a store is; each other module here is one, or a part of one.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

from steplog import places, settings
from steplog.exceptions import StoreDamaged, StoreError, invalid
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


def upgrade_store(
    where: Place | str | os.PathLike[str], *, drop_newer_points: bool = False
) -> tuple[int, int]:
    """Make the tables of a store, or bring them to the newest format.

    Args:
        where: a place, or a tracking URI.
        drop_newer_points: where a catalog was restored from a copy, remove from ClickHouse what it
            does not know of.

    Returns:
        Their format before (0: there were none) and after.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE where that is no tracking URI, or a server.
        StoreError: they cannot be changed now.
        FormatTooNew: a newer steplog has changed them; nothing was touched.

    """
    place = where if isinstance(where, Place) else places.resolve(os.fspath(where))
    with undisturbed:
        if place.kind == "directory":
            from steplog.stores.database import format_of
            from steplog.stores.schema import FORMAT

            before = format_of(Path(place.catalog, places.CATALOG))
            open_store(place).close()
            return before, FORMAT
        if place.kind == "database":
            try:
                from steplog.stores import migrations
            except ImportError as error:
                raise _not_installed(place) from error
            revisions = migrations.upgrade(place.uri)
            points_uri = settings.get("STEPLOG_POINTS_URI")
            if points_uri:
                from steplog.stores import clickhouse

                clickhouse.upgrade(place.uri, points_uri, drop_newer=drop_newer_points)
            return revisions
    raise invalid(f"The tables behind {place.name} are changed where that server stands.")


def _open_database(place: Place, timeout: float) -> Store:
    try:
        from steplog.stores.postgres import PostgresStore
    except ImportError as error:
        raise _not_installed(place) from error
    points_uri = settings.get("STEPLOG_POINTS_URI")
    if points_uri:
        from steplog.stores.clickhouse import ClickHouseStore

        return ClickHouseStore(place.uri, points_uri, timeout)
    return PostgresStore(place.uri, timeout)


def _not_installed(place: Place) -> StoreError:
    return StoreError(
        f"{place.name} cannot be used before its driver is installed: "
        "pip install 'steplog[postgres]'"
    )


def check_copy(place: Place, timeout: float = 30.0) -> None:
    """See that the catalog in a directory is of one moment, also where it is a copy.

    Raises:
        StoreError: it cannot be used now.
        StoreDamaged: it was copied while it was written, and not whole.

    """
    with undisturbed:
        from steplog.stores.sqlite import SQLiteStore

    with closing(SQLiteStore(place.catalog, timeout)) as store:
        found = next(store.check_copy(), None)
    if found is not None:
        *_, finding = found.what.splitlines()  # SQLite tells several, under a title
        raise StoreDamaged(f"The catalog in {place.catalog} is damaged: {finding}")


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
