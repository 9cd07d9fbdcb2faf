"""The commands of the server: `steplog server`, `steplog ui`, and `steplog token` for who may call.

They import what they do when they run, for it needs packages that only the server needs.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import webbrowser
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import click

from steplog.backend import Backend, backend
from steplog.client import Client
from steplog.command import STORE, Report, command
from steplog.entities import Experiment, LifecycleStage
from steplog.exceptions import MlflowException, StoreError, invalid

if TYPE_CHECKING:
    from steplog.screen import Screen
    from steplog.server.endpoint import Role
    from steplog.server.tokens import Token

_MEGABYTE = 1 << 20
PORT = 5000
_TEXT_BROWSERS = ("www-browser", "links", "elinks", "lynx", "w3m")
"""Browsers that would take the terminal for themselves, and run no scripts."""

_host = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
_allowed_hosts = click.option(
    "--allowed-host",
    "allowed_hosts",
    metavar="NAME",
    multiple=True,
    help="A name that clients call the server by. May be repeated.",
)
_allowed_origins = click.option(
    "--allowed-origin",
    "allowed_origins",
    metavar="ORIGIN",
    multiple=True,
    help="A site whose pages may call the server. May be repeated.",
)


@click.command()
@_host
@click.option(
    "--port",
    default=PORT,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 for one that is free.",
)
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1, 256), help="Processes."
)
@click.option(
    "--artifact-root",
    metavar="PATH_OR_URL",
    default="",
    help="Where clients keep artifacts of new experiments.  [default: in the store]",
)
@_allowed_hosts
@_allowed_origins
@click.option(
    "--max-body-mb",
    default=64.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="The largest request, in MiB.",
)
@click.option(
    "--request-seconds",
    default=30.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="The longest that a request may take to arrive.",
)
@click.option("--access-log", is_flag=True, help="Log every request.")
@click.option(
    "--log-format",
    default="json",
    show_default=True,
    type=click.Choice(["json", "text"]),
    help="What is logged: a JSON document a line, or text for people.",
)
@click.option(
    "--drain-seconds",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0),
    help="How long to go on, but for saying not to be ready, once told to end.",
)
@click.pass_obj
def server(
    store: str | None,
    host: str,
    port: int,
    workers: int,
    artifact_root: str,
    allowed_hosts: tuple[str, ...],
    allowed_origins: tuple[str, ...],
    max_body_mb: float,
    request_seconds: float,
    access_log: bool,
    log_format: Literal["json", "text"],
    drain_seconds: float,
) -> None:
    """Serve a store through MLflow's REST API.

    The store is made where there is none. Other machines can call only where --host says so, and
    then only with a token, which `steplog token create` makes. Once there is a token, everybody
    needs one.

    Errors are logged to standard error, one JSON document a line. /metrics is for Prometheus, and
    /ready for a proxy.
    """
    try:
        from steplog.server.serving import Options, listen, prepare, serve, url
        from steplog.server.supervisor import supervise
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"The server needs {error.name}: pip install 'steplog[server]'"
        ) from error

    options = Options(
        store, host, port, workers, artifact_root, allowed_hosts, allowed_origins,
        int(max_body_mb * _MEGABYTE), request_seconds, access_log, drain_seconds, log_format,
    )  # fmt: skip
    chosen = prepare(options)
    chosen.close()
    listening = listen(options)

    def announce() -> None:
        address = url(options, listening)
        click.echo(f"steplog serves {chosen.place.name} at {address}")
        click.echo(f"In a shell:    export MLFLOW_TRACKING_URI={address}")
        click.echo(f'In a program:  mlflow.set_tracking_uri("{address}")')

    with listening:
        if workers == 1:
            serve(options, listening, announce)
        else:
            supervise(options, listening, announce)


server.params.append(STORE)


@click.command()
@_host
@click.option(
    "--port",
    default=None,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 for one that is free.  [default: 5000, if it is free]",
)
@_allowed_hosts
@_allowed_origins
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.pass_obj
def ui(
    store: str | None,
    host: str,
    port: int | None,
    allowed_hosts: tuple[str, ...],
    allowed_origins: tuple[str, ...],
    no_browser: bool,
) -> None:
    """Show a store in a browser: runs, and curves that grow as you look.

    The address holds a token that is good while this runs: other users of this machine do not see
    the store. Programs that log with MLflow can use the address, too, with the token as
    MLFLOW_TRACKING_TOKEN. For a server that stays, and for other machines: `steplog server`.
    """
    try:
        from steplog.server import tokens
        from steplog.server.serving import Options, listen, prepare, serve, url
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"The page needs {error.name}: pip install 'steplog[ui]'"
        ) from error

    session, ticket = tokens.random_text(), tokens.random_text()
    options = Options(
        store, host, PORT if port is None else port, 1, "", allowed_hosts, allowed_origins,
        64 * _MEGABYTE, 30.0, False, session=session, ticket=ticket,
    )  # fmt: skip
    chosen = prepare(options)
    chosen.close()
    try:
        listening = listen(options)
    except MlflowException:
        if port is not None:
            raise
        listening = listen(options._replace(port=0))
        click.echo(f"Port {PORT} is taken, so this is another one.")

    def announce() -> None:
        address = f"{url(options, listening)}/?token="
        click.echo(f"steplog shows {chosen.place.name} at")
        click.echo(f"\n    {address}{session}\n")
        click.echo("Ctrl-C ends it.")
        if not no_browser and sys.stdout.isatty():
            # A browser in the terminal would take it; and starting one may take its time.
            threading.Thread(target=_open, args=(address + ticket,), daemon=True).start()

    with listening:
        serve(options, listening, announce)


ui.params.append(STORE)


def _open(address: str) -> None:
    with suppress(webbrowser.Error):
        browser = webbrowser.get()
        # Not by its class: what opens the desktop's browser (xdg-open) is a GenericBrowser, too.
        if os.path.basename(getattr(browser, "name", "")) not in _TEXT_BROWSERS:
            browser.open(address)


@click.group()
def token() -> None:
    """Say who may call the server, by tokens.

    A client sends one as MLFLOW_TRACKING_TOKEN, or as MLFLOW_TRACKING_PASSWORD with any user name.
    The store keeps nothing that a token could be made from.
    """


_ROLES = ("read", "write", "admin")


@partial(command, group=token)
@click.option("--role", required=True, type=click.Choice(_ROLES), help="What it is good for.")
@click.option("--experiment", metavar="NAME", help="Good for this experiment only.")
def create(role: Role, experiment: str | None) -> Report:
    """Make a token and print it, this once.

    A `read` token reads, a `write` token also logs, an `admin` token does everything. The
    experiment is made where there is none; the token stays with it when it is renamed.
    """
    from steplog.server import tokens

    directory = _directory(make=True)
    chosen = None if experiment is None else _experiment(experiment)
    made, text = tokens.create(directory, role, chosen.experiment_id if chosen else None)
    shown = _shown(made, {chosen.experiment_id: chosen.name} if chosen else {})
    return Report({**shown, "token": text}, lambda screen: [text])


@partial(command, group=token, name="list")
def list_tokens() -> Report:
    """List the tokens, the oldest first. None of them can be shown again."""
    from steplog.server import tokens

    found = tokens.read(_directory())
    ids = [token.experiment_id for token in found if token.experiment_id is not None]
    records = _backend().store().experiments(ids) if ids else []
    names = {record.row.experiment_id: record.row.name for record in records}
    shown = [_shown(token, names) for token in found]

    def lines(screen: Screen) -> Iterable[str]:
        for each in shown:
            created = time.strftime("%Y-%m-%d %H:%M", time.localtime(each["created_ms"] / 1e3))
            yield f"{each['token_id']}  {each['role']:5}  {created}  {each['experiment'] or 'all'}"
        if not shown:
            yield "There is no token: the server lets everybody on this machine in."

    return Report({"tokens": shown}, lines)


@partial(command, group=token)
@click.argument("token_id", metavar="ID")
def revoke(token_id: str) -> Report:
    """Make a token worthless. A server that is running refuses it within a second."""
    from steplog.server import tokens

    tokens.revoke(_directory(), token_id)
    return Report({"token_id": token_id}, lambda screen: [f"{token_id} is worthless now."])


def _backend() -> Backend:
    return backend(click.get_current_context().obj)


def _directory(*, make: bool = False) -> str:
    """Return the directory of the store; only who makes a token makes one."""
    directory = _backend().place.directory
    try:
        if make:
            os.makedirs(directory, exist_ok=True)
    except OSError as error:
        raise StoreError(f"Cannot make the store {directory}: {error}") from error
    return directory


def _experiment(name: str) -> Experiment:
    client = Client(click.get_current_context().obj)
    found = client.ensure_experiment(name)
    if found.lifecycle_stage != LifecycleStage.ACTIVE:
        raise invalid(f"The experiment {name!r} is deleted.")
    return found


def _shown(token: Token, names: Mapping[str, str]) -> dict[str, Any]:
    experiment_id = token.experiment_id
    return {
        "token_id": token.token_id,
        "role": token.role,
        "experiment": None if experiment_id is None else names.get(experiment_id, experiment_id),
        "created_ms": token.created_ms,
    }
