"""A store on a steplog server passes the shipped suite, and stands what networks do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sockets import Stores, served_stores

from steplog.stores.base import Store
from steplog.stores.remote import RemoteStore
from steplog.testing import StoreSuite


@pytest.fixture(scope="module")
def stores() -> Iterator[Stores]:
    """Serve stores from here on."""
    with served_stores() as started:
        yield started


class TestRemoteStore(StoreSuite):
    """A store behind a real connection agrees with the suite."""

    @pytest.fixture(autouse=True)
    def _serve(self, stores: Stores) -> None:
        self.stores = stores

    def open_store(self, directory: Path) -> Store:
        """Return a store on a server, which keeps it in this directory."""
        return RemoteStore(self.stores.add(directory / "store"), timeout=10.0)
