"""Serving: what one process of the server does from its start to its end.

The server is uvicorn; here is what it is told, and what is done beside it. It reads the store and
writes to a journal, like any other process that uses steplog. When it is told to end it lets what
is under way come to its end and hands its journal over; when it is killed, the next process that
reads finds the journal. Nothing that was answered with success is lost.

What is not here: several processes on one address (`steplog.server.supervisor`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import NamedTuple, cast

import uvicorn

from steplog import active_model
from steplog.backend import Backend, backend
from steplog.client import Client
from steplog.exceptions import MlflowException, StoreError, invalid
from steplog.lookup import Lookup, lookup
from steplog.query import Query
from steplog.server import about, logs, storage, tokens
from steplog.server.app import App
from steplog.server.asgi import SECURITY, Asgi
from steplog.server.connection import IDLE_SECONDS, Connection, Limits
from steplog.server.endpoint import Service
from steplog.server.endpoints import ENDPOINTS
from steplog.server.guard import Guard, is_every_address, is_loopback
from steplog.server.measuring import Measures

if sys.platform != "win32":
    import resource

MLFLOW_VERSION = "3.17.2"
"""Whose API this is."""
STOP_SECONDS = 10
"""How long requests that are under way may take when the server is told to end."""
LOCK_SECONDS = 5.0
"""How long a request waits while another program has locked the catalog; then it is told 503."""
SEAL_SECONDS = 1.0
"""How often what clients have brought is sorted into chunks."""
BACKLOG = 1024
_CONNECTIONS = 4096
_OTHER_FILES = 256

_log = logging.getLogger("steplog.server")


class Options(NamedTuple):
    """What the command line decides.

    Attributes:
        store: URI of a store; None for the one in force.
        host: address to listen on.
        port: 0 for any that is free.
        workers: processes.
        artifact_root: where new experiments keep their artifacts, a path or a URL; empty for the
            store's directory.
        allowed_hosts: names that clients may call the server by.
        allowed_origins: of web pages that may call it.
        max_body_bytes: of one request.
        request_seconds: in which a request must arrive.
        access_log: log every request.
        drain_seconds: for which it goes on as before once it is told to end, but for saying that
            it is not ready, so that a proxy stops sending requests here.
        log_format: of what it says on standard error.
        session: a token that is good while the server runs, beside those of the store; empty for
            none.
        ticket: what stands for it in an address, once; empty for nothing.

    """

    store: str | None
    host: str
    port: int
    workers: int
    artifact_root: str
    allowed_hosts: tuple[str, ...]
    allowed_origins: tuple[str, ...]
    max_body_bytes: int
    request_seconds: float
    access_log: bool
    drain_seconds: float = 0.0
    log_format: logs.Format = "json"
    session: str = ""
    ticket: str = ""


def prepare(options: Options) -> Backend:
    """Make the store where there is none, and see that nobody can reach it who must not.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE where other machines could call and nobody would
            need a token; StoreError where the store cannot be used.

    """
    chosen = backend(options.store)
    chosen.lock_seconds = LOCK_SECONDS
    try:
        os.makedirs(chosen.place.directory, exist_ok=True)
    except OSError as error:
        raise StoreError(f"Cannot make {chosen.place.directory}: {error}") from error
    guarded = options.session or tokens.read(chosen.place.directory)
    if not guarded and not is_loopback(options.host):
        raise invalid(
            f"Other machines can reach {options.host}, and the store has no token: everybody could "
            "read and change it. Make a token first, and give it to those who may:\n"
            f"  steplog token create --role write --store {chosen.place.name}"
        )
    chosen.store()  # to fail now rather than at the first request
    return chosen


def listen(options: Options) -> socket.socket:
    """Return a socket that listens.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE where that address cannot be had.

    """
    try:
        found = socket.getaddrinfo(
            options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, *_, address = found[0]
        return socket.create_server(address, family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        raise invalid(f"Cannot listen on {options.host}, port {options.port}: {error}") from error


def url(options: Options, listening: socket.socket) -> str:
    """Return the URL by which clients reach the server, from this machine at least."""
    host = options.host
    if is_every_address(host):
        local = "[::1]" if listening.family == socket.AF_INET6 else "127.0.0.1"
        host = options.allowed_hosts[0] if options.allowed_hosts else local
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"http://{host}:{listening.getsockname()[1]}"


def serve(
    options: Options,
    listening: socket.socket,
    ready: Callable[[], None],
    lifeline: int | None = None,
    measures: Measures | None = None,
) -> None:
    """Answer requests until told to end, by SIGINT, SIGTERM or the end of the lifeline.

    Args:
        options: of the command line.
        listening: accepts connections.
        ready: called when it does.
        lifeline: a file that becomes readable when the process is to end.
        measures: what is counted; None where nobody else counts along.

    """
    logs.start(options.log_format, access=options.access_log)
    measures = measures or Measures()
    active_model.clear()  # that of whoever starts the server is none of its clients'
    chosen = prepare(options)
    limits = Limits(options.request_seconds, _most_connections(), options.max_body_bytes)
    config = uvicorn.Config(
        Asgi(_app(options, chosen, listening, measures), measures),
        http=partial(Connection, limits),  # type: ignore[arg-type]  # it is only called
        interface="asgi3",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        headers=SECURITY,
        backlog=BACKLOG,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
        timeout_notify=0,
    )
    threading.Thread(target=_warm_up, args=(chosen,), daemon=True).start()
    ended = threading.Event()
    sealing = threading.Thread(target=_keep_sealing, args=(chosen, ended), daemon=True)
    sealing.start()
    try:
        known = lookup(chosen, False)
        Server(config, known, measures, options.drain_seconds, ready, lifeline).run([listening])
    finally:
        ended.set()
        sealing.join(STOP_SECONDS)
        chosen.recorder.close()
        chosen.close()
        measures.publish()


def _warm_up(chosen: Backend) -> None:
    """Load what the first search needs, some 0.3 s of imports, before anybody waits for it."""
    with suppress(MlflowException):  # whoever searches is told
        chosen.store().search(Query("runs", limit=1))


def _keep_sealing(chosen: Backend, ended: threading.Event) -> None:
    """Sort into chunks what clients have brought: they do not wait for that, nor do it."""
    while not ended.wait(SEAL_SECONDS):
        if storage.brought.is_set():
            storage.brought.clear()
            try:
                chosen.store_as_it_is().seal()
            except Exception as error:  # it goes on; what is not sealed can be read all the same
                storage.brought.set()
                known = isinstance(error, MlflowException)
                _log.error("Cannot seal: %s", error, exc_info=None if known else error)


class Server(uvicorn.Server):
    """Uvicorn's server, with something to do once a second.

    Args:
        config: of uvicorn.
        known: what this process knows of the store.
        measures: what it counts.
        drain_seconds: for which it goes on once it was told to end.
        ready: called when connections are accepted.
        lifeline: a file that becomes readable when the process is to end.

    """

    def __init__(
        self,
        config: uvicorn.Config,
        known: Lookup,
        measures: Measures,
        drain_seconds: float,
        ready: Callable[[], None],
        lifeline: int | None,
    ) -> None:
        super().__init__(config)
        config.callback_notify = self._look_after
        self._known = known
        self._measures = measures
        self._drain_seconds = drain_seconds
        self._ends_at = float("inf")  # by the monotonic clock
        self._ready = ready
        self._lifeline = lifeline
        self._refresh: asyncio.Future[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin."""
        await super().startup(sockets)
        if self._lifeline is not None:
            asyncio.get_running_loop().add_reader(self._lifeline, self._cut_off, self._lifeline)
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End; told twice, end at once. Uvicorn would die of the signal in the end."""
        if self._measures.stopping:
            os._exit(128 + sig)  # what was answered is in the journal, which others will find
        self._end()

    def _cut_off(self, lifeline: int) -> None:
        asyncio.get_running_loop().remove_reader(lifeline)  # it stays readable from now on
        self._end()

    def _end(self) -> None:
        if not self._measures.stopping:
            self._measures.stopping = True
            self._ends_at = time.monotonic() + self._drain_seconds
        self.should_exit = time.monotonic() >= self._ends_at

    async def _look_after(self) -> None:
        """End connections whose time is over, and notice what other processes delete."""
        self.should_exit = self.should_exit or time.monotonic() >= self._ends_at
        for connection in list(self.server_state.connections):
            cast(Connection, connection).look()
        if self._refresh is None or self._refresh.done():
            if self._refresh is not None:
                self._refresh.result()  # ends a server that could not go on with this
            self._refresh = asyncio.ensure_future(asyncio.to_thread(self._refresh_known))

    def _refresh_known(self) -> None:
        self._measures.publish()
        try:
            self._known.refresh()
        except MlflowException as error:
            _log.error("Cannot look for what was deleted: %s", error)


def _app(options: Options, chosen: Backend, listening: socket.socket, measures: Measures) -> App:
    demanded = not is_loopback(options.host)
    guard = Guard(
        tokens.Tokens(
            chosen.place.directory,
            demanded=demanded,
            session=options.session,
            ticket=options.ticket,
        ),
        options.host,
        options.allowed_hosts,
        options.allowed_origins,
        f"steplog_token_{listening.getsockname()[1]}",
    )
    root = options.artifact_root
    if root and ":" not in root:  # clients have a directory of their own, to which a path relates
        root = os.path.abspath(root)
    client = Client(options.store, root or None, trusting=False)
    service = Service.of(client, root, MLFLOW_VERSION, measures)
    endpoints = about.endpoints(ENDPOINTS)
    return App(service, chosen, guard, endpoints, options.max_body_bytes)


def _most_connections() -> int:
    """Return how many connections may be open: each takes a file, and journals need some, too."""
    if sys.platform == "win32":
        return _CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return max(soft - _OTHER_FILES, soft // 2)
    return _CONNECTIONS
