"""A catalog in PostgreSQL whose points live in ClickHouse: what it promises, what may happen."""

from __future__ import annotations

from pathlib import Path

import pytest
from services import ClickHouse

from steplog.stores import open_store, upgrade_store
from steplog.stores.base import Store
from steplog.testing import StoreSuite

pytestmark = [pytest.mark.long, pytest.mark.slow]


def new_store(monkeypatch: pytest.MonkeyPatch, uri: str, points: ClickHouse) -> Store:
    """Return a store in an empty database, whose points live in another."""
    monkeypatch.setenv("STEPLOG_POINTS_URI", points.uri)
    upgrade_store(uri)
    return open_store(uri)


class TestCluster(StoreSuite):
    """Points on two shards of ClickHouse 18.16, one of them replicated."""

    @pytest.fixture(autouse=True)
    def databases(
        self, monkeypatch: pytest.MonkeyPatch, postgres_uri: str, clickhouse_database: ClickHouse
    ) -> None:
        """Remember where the store shall be."""
        self.where = monkeypatch, postgres_uri, clickhouse_database

    def open_store(self, directory: Path) -> Store:
        """Return a store in new databases."""
        return new_store(*self.where)


class TestModern(StoreSuite):
    """Points on one server of a ClickHouse of this year."""

    @pytest.fixture(autouse=True)
    def databases(
        self,
        monkeypatch: pytest.MonkeyPatch,
        postgres_uri: str,
        modern_clickhouse_database: ClickHouse,
    ) -> None:
        """Remember where the store shall be."""
        self.where = monkeypatch, postgres_uri, modern_clickhouse_database

    def open_store(self, directory: Path) -> Store:
        """Return a store in new databases."""
        return new_store(*self.where)
