"""The tables of a store in PostgreSQL: how a database gets them, and how older ones are changed.

Each module in `versions` is one revision, which Alembic applies in their order; one that was
released is never changed. They run when somebody says `steplog db upgrade`, and never by
themselves: a training process changes no tables.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

from steplog.exceptions import StoreError
from steplog.stores.postgres_database import REVISION, SCHEMA, Server

_SCRIPTS = Path(__file__).parent


def upgrade(uri: str) -> tuple[int, int]:
    """Bring a database to the newest revision; where it has that already, nothing is done.

    Args:
        uri: the database, which exists; ``postgresql://…``.

    Returns:
        The format before (0: there were no tables) and after.

    Raises:
        StoreError: the database cannot be changed now.
        FormatTooNew: a newer steplog has changed it; nothing was touched.

    """
    server = Server(uri)
    with server.translated():
        engine = sa.create_engine(
            "postgresql+psycopg://", creator=lambda: server.connect(autocommit=False)
        )
        try:
            with engine.begin() as connection:
                # One at a time, also of those that come from several hosts.
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock(hashtext('{SCHEMA}'))")
                _check_encoding(connection, server.name)
                before = server.revision(cast(Any, connection.connection.driver_connection))
                if before < REVISION:
                    _run(connection)
        except sa.exc.DBAPIError as error:
            raise error.orig or error from error
        finally:
            engine.dispose()
    return before, REVISION


def _check_encoding(connection: sa.Connection, name: str) -> None:
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
    if encoding != "UTF8":
        raise StoreError(f"{name} keeps texts in {encoding}. A store needs a database in UTF8.")


def scripts() -> ScriptDirectory:
    """Return the revisions, as Alembic sees them."""
    return ScriptDirectory(str(_SCRIPTS), version_locations=[str(_SCRIPTS / "versions")])


def _run(connection: sa.Connection) -> None:
    connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    connection.exec_driver_sql(f"SET LOCAL search_path TO {SCHEMA}")
    found = scripts()

    def revisions(present: Any, _: object) -> Any:
        return found._upgrade_revs("head", present)

    with EnvironmentContext(Config(), found, fn=revisions) as environment:
        environment.configure(connection=connection, version_table_schema=SCHEMA)
        environment.run_migrations()
