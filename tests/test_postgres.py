"""The store in PostgreSQL passes the shipped suite; what only it promises is tested here."""

from __future__ import annotations

from pathlib import Path

import pytest

from steplog.stores.base import Store
from steplog.stores.postgres import PostgresStore
from steplog.testing import StoreSuite

pytestmark = [pytest.mark.slow, pytest.mark.long]


class TestPostgresStore(StoreSuite):
    """The store in PostgreSQL agrees with the suite."""

    @pytest.fixture(autouse=True)
    def _database(self, postgres_store_uri: str) -> None:
        self._uri = postgres_store_uri

    def open_store(self, directory: Path) -> Store:
        """Return a store in the test's database."""
        return PostgresStore(self._uri)
