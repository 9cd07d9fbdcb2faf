"""A server in a thread of the test's process, behind a real socket, for any number of stores.

It is uvicorn with steplog's own protocol and application, as `steplog server` runs them; what is
missing is what a process of its own brings: signals, workers, the command line. Each store has a
path of its own, as behind a proxy.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import uvicorn
from served import Served

from steplog.server.asgi import Asgi, Message, Receive, Send
from steplog.server.connection import Connection, Limits
from steplog.server.measuring import Measures


class Stores:
    """Stores behind one socket.

    Args:
        url: where it listens.

    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._stores: list[Served] = []
        self._applications: list[Asgi] = []

    def add(self, store: Path | str) -> str:
        """Serve a store as well; return its URL."""
        self._stores.append(Served(store))
        self._applications.append(Asgi(self._stores[-1].app, Measures()))
        return f"{self.url}/store-{len(self._stores) - 1}"

    @property
    def last(self) -> Served:
        """The store that was added last."""
        return self._stores[-1]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        _, name, path = scope["raw_path"].split(b"/", 2)
        application = self._applications[int(name.removeprefix(b"store-"))]
        await application({**scope, "raw_path": b"/" + path}, receive, send)

    def close(self) -> None:
        """Give back what they have opened."""
        for store in self._stores:
            store.client.backend.close()


@contextmanager
def served_stores() -> Iterator[Stores]:
    """Serve stores on a free port of the loopback."""
    listening = socket.create_server(("127.0.0.1", 0))
    stores = Stores(f"http://127.0.0.1:{listening.getsockname()[1]}")
    config = uvicorn.Config(
        stores,
        http=partial(Connection, Limits(30.0, 100, 1 << 26)),  # type: ignore[arg-type]
        interface="asgi3",
        ws="none",
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=asyncio.run, args=[server.serve([listening])], daemon=True)
    thread.start()
    try:
        yield stores
    finally:
        server.should_exit = True
        thread.join()
        stores.close()
