"""The commands `steplog db`: for whoever looks after the database in which a store is kept."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial

import click

from steplog.backend import backend
from steplog.command import Report, command, main
from steplog.exceptions import StoreDamaged
from steplog.places import Place
from steplog.stores import open_store, upgrade_store
from steplog.stores.base import Damage
from steplog.working import progress

_URI = click.argument("uri", required=False)


@main.group()
def db() -> None:
    """Look after the database in which a store is kept.

    URI names the store: a directory, a database (postgresql://user@host/name) or a server. Without
    it, it is the store that all other commands look at.
    """


def _command(function: Callable[..., Report]) -> click.Command:
    return command(_URI(function), group=db)


@_command
@click.option(
    "--drop-newer-points",
    is_flag=True,
    help="Remove from ClickHouse the points that a catalog does not know of: it was restored from "
    "a copy, and takes the place of a newer one.",
)
def upgrade(uri: str | None, drop_newer_points: bool) -> Report:
    """Make the tables of a store, or bring them to the newest format.

    A database needs this before it is used for the first time, and where a newer steplog says so;
    it must exist, and be UTF-8. Nothing else changes tables. The catalog of a directory is brought
    to the newest format by whoever opens it, too.

    It can be run at any time, also by several at once; everything happens, or nothing. While it
    changes tables, trainings keep what they log in their journals. What an older steplog must not
    touch any more it refuses to open.
    """
    from steplog import pages

    place = _place(uri)
    before, after = upgrade_store(place, drop_newer_points=drop_newer_points)
    document: dict[str, object] = {"store": place.name, "before": before, "after": after}
    return Report(document, partial(pages.upgrade_page, place.name, before, after))


@_command
def check(uri: str | None) -> Report:
    """Verify all that is stored: checksums, counts and summaries.

    As `steplog check` does. The exit code is 1 where anything is damaged.
    """
    return check_report(_place(uri))


@_command
def stats(uri: str | None) -> Report:
    """Tell how much a store holds, and how many bytes it takes."""
    from steplog import pages

    place = _place(uri)
    with closing(open_store(place)) as store:
        counted = store.stats()
    del counted["runs_bytes"]
    document = {"store": place.name, **counted}
    return Report(document, partial(pages.stats_page, place.name, counted))


def check_report(place: Place) -> Report:
    """Return how many series of a store were looked at, and what is wrong with it or its whole."""
    from steplog import pages

    checked, damage = 0, []
    try:
        with (
            closing(open_store(place)) as store,
            progress("Checking", lambda: int(store.stats()["series"])) as advance,
        ):
            for found in store.check():
                if isinstance(found, Damage):
                    damage.append(found)
                else:
                    advance(found - checked)
                    checked = found
    except StoreDamaged as error:
        damage.append(Damage(place.name, error.message))
    document: dict[str, object] = {"store": place.name, "series": checked, "damage": damage}
    return Report(document, partial(pages.check_page, checked, damage), healthy=not damage)


def _place(uri: str | None) -> Place:
    """Return what is meant; looking for a store must not make one."""
    chosen = backend(uri or click.get_current_context().obj)
    if not chosen.exists():
        raise click.ClickException(f"There is no store in {chosen.place.name}.")
    return chosen.place
