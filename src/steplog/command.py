"""What the commands of the command line share: the group, and how a report is printed.

Each command finds out what it has to say and returns a `Report`; `command` prints it, as one JSON
document or as lines of text. What makes the text needs numpy and rich, so commands import it when
they run: ``--help`` and a mistyped option do not wait for it.

What is not here: the commands (`steplog.cli`, `steplog.server.commands`).
"""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, NamedTuple, TextIO

import click

from steplog import settings
from steplog.exceptions import MlflowException, SteplogWarning

if TYPE_CHECKING:
    from steplog.screen import Screen
    from steplog.stores.base import Refused


class Report(NamedTuple):
    """What a command has to say.

    Attributes:
        document: for ``--json``. Programs rely on its field names: they do not change.
        lines: makes the text for a person.
        healthy: False where damage was found; the exit code says so.

    """

    document: dict[str, object]
    lines: Callable[[Screen], Iterable[str]]
    healthy: bool = True


class Commands(click.Group):
    """Commands that answer what steplog raises or warns of in a sentence, without a traceback."""

    def invoke(self, context: click.Context) -> object:
        """Run a command; an error of steplog ends it with exit code 1."""
        with warnings.catch_warnings():
            warnings.simplefilter("always", SteplogWarning)
            warnings.showwarning = _show_warning
            try:
                return super().invoke(context)
            except MlflowException as error:
                raise click.ClickException(error.message) from error


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    click.echo(f"Warning: {message}", err=True)


def _use_store(context: click.Context, _: click.Parameter, uri: str | None) -> None:
    # Given after the command it wins over one given before.
    context.obj = uri or context.obj


def _use_catalog(_: click.Context, __: click.Parameter, directory: str | None) -> None:
    if directory is not None:  # the processes of a server inherit it
        settings.export("STEPLOG_CATALOG", directory)


CATALOG = click.Option(
    ["--catalog"],
    metavar="DIR",
    expose_value=False,
    is_eager=True,
    callback=_use_catalog,
    help="Where to keep the catalog, apart from the journals, which then stay as they are.",
)
STORE = click.Option(
    ["--store"],
    metavar="URI",
    expose_value=False,
    callback=_use_store,
    help="A directory, or a URL.  [default: the tracking URI in force]",
)
JSON = click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON document.")


@click.group(
    cls=Commands, params=[STORE, CATALOG], context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="steplog", message="steplog %(version)s")
def main() -> None:
    """Look at what training runs recorded, look after it, and serve it.

    The store is the one that a script started here would log to, unless --store names another.
    Where nothing may be written, or hosts share the directory, its catalog is elsewhere, on a disk
    of this machine: see --catalog.
    """


def command(
    function: Callable[..., Report], group: click.Group = main, name: str | None = None
) -> click.Command:
    """Make a function that returns a report a command that prints it.

    Args:
        function: takes the command's arguments.
        group: what the command belongs to.
        name: None for the function's.

    """

    @wraps(function)
    def print_report(*, as_json: bool, **arguments: object) -> None:
        report = function(**arguments)
        if as_json:
            click.echo(json.dumps(_plain(report.document), indent=2, allow_nan=False))
        else:
            _print(report)
        if not report.healthy:
            sys.exit(1)

    made = group.command(name)(print_report)
    made.params += [JSON, STORE]
    return made


def refused_documents(refused: Iterable[Refused]) -> list[object]:
    """Return refused operations for ``--json``."""
    return [
        {"journal_id": each.journal_id, "offset": each.offset, **each.refusal._asdict()}
        for each in refused
    ]


def _print(report: Report) -> None:
    from steplog.screen import Screen

    screen = Screen.of(sys.stdout, colour=not settings.get("NO_COLOR"))
    for line in report.lines(screen):
        click.echo(line, color=screen.colour)


def _plain(value: object) -> object:
    """Return a value in JSON's own types; it has no word for NaN and infinities."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
