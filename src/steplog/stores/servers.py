"""Which kind of server an address leads to: one of steplog's, or a stock MLflow server.

The server is asked when it is first needed, for it may be away when a training starts, and the
answer stands in the spool, so that the next process need not ask. What the two kinds do is said in
`steplog.stores.remote` and `steplog.stores.mlflow_server`.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any, Literal, cast

from steplog.exceptions import StoreError
from steplog.places import Place
from steplog.stores.base import Store
from steplog.stores.http import Http, OtherServer
from steplog.stores.mlflow_api import DENIED, locked_out
from steplog.stores.mlflow_server import MlflowStore
from steplog.stores.remote import RemoteStore

Kind = Literal["steplog", "mlflow"]

ABOUT = "/api/steplog/1/about"
"""What every server of steplog answers, and no other."""
FILE = "server.json"
_VERSION = "/version"  # what every MLflow server answers


def open_server(place: Place, timeout: float) -> Store:
    """Return the store on a server. Nothing is asked yet.

    Until the server has answered once, every call asks it, and raises StoreError where it does not
    answer.

    Args:
        place: of kind ``server``.
        timeout: the longest wait for an answer, in seconds.

    """
    return cast("Store", _Server(place, timeout))


class _Server:
    """A `Store` that finds out what it is when it is used."""

    def __init__(self, place: Place, timeout: float) -> None:
        self._place = place
        self._timeout = timeout
        self._http = Http(place.uri, timeout)
        self._lock = threading.Lock()
        self._found: Store | None = None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._store(), name)

        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return method(*args, **kwargs)
            except OtherServer:
                self._forget()  # another server has taken the address: it is asked the next time
                raise

        return call

    def close(self) -> None:
        """Give the connections back, if there are any."""
        self._http.close()
        if self._found is not None:
            self._found.close()

    def _store(self) -> Store:
        with self._lock:
            if self._found is None:
                kind = self._remembered() or self._asked()
                if kind == "steplog":
                    self._found = RemoteStore(self._place.uri, self._timeout)
                else:
                    self._found = MlflowStore(self._place.uri, self._place.directory, self._timeout)
            return self._found

    def _asked(self) -> Kind:
        kind = self._ask()
        with suppress(OSError):  # it can be asked again
            os.makedirs(self._place.directory, exist_ok=True)
            fresh = f"{self._path}.{os.urandom(8).hex()}.new"
            with open(fresh, "w", encoding="ascii") as file:
                json.dump({"kind": kind}, file)
            os.replace(fresh, self._path)
        return kind

    def _ask(self) -> Kind:
        about = self._http.request("GET", ABOUT)
        if about.status == 200 and b'"steplog"' in about.body:
            return "steplog"
        if about.status in DENIED:
            raise locked_out(self._http.name, about.status)
        version = self._http.request("GET", _VERSION)
        if about.status == 404 and version.status == 200 and version.body[:1].isdigit():
            return "mlflow"
        raise StoreError(
            f"What answers at {self._http.name} is no server of steplog's or MLflow's "
            f"({about.status} to {ABOUT}, {version.status} to {_VERSION})."
        )

    def _remembered(self) -> Kind | None:
        with suppress(OSError, ValueError, AttributeError):
            with open(self._path, encoding="ascii") as file:
                kind = json.load(file).get("kind")
            if kind in ("steplog", "mlflow"):
                return cast("Kind", kind)
        return None

    def _forget(self) -> None:
        with self._lock:
            if self._found is not None:
                self._found.close()
            self._found = None
            with suppress(OSError):
                os.unlink(self._path)

    @property
    def _path(self) -> str:
        return os.path.join(self._place.directory, FILE)
