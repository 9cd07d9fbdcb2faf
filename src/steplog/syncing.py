"""The command `steplog sync`: which stores are synced, and how often.

How one store comes to know what another one does is in `steplog.sync`.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from tempfile import TemporaryDirectory, mkdtemp
from typing import TYPE_CHECKING, TypeAlias

import click

from steplog import places, settings
from steplog.backend import LOCK_SECONDS, Backend, backend, tracking_uri
from steplog.command import CATALOG, STORE, Report, command, refused_documents
from steplog.exceptions import StoreDamaged, StoreError
from steplog.journal import SUFFIX
from steplog.places import Place
from steplog.stores import check_copy, open_store
from steplog.stores.base import Store
from steplog.working import interruptible, progress, tell

if TYPE_CHECKING:
    from steplog.sync import Chosen, Outcome

Choose: TypeAlias = "Callable[[Store], Chosen]"
"""Says which runs of a store are meant."""

WATCH_SECONDS = 1.0
COPIES = 3
"""How often a catalog is copied before it counts as damaged: somebody may just write it."""
REST = 20
"""While it watches, a look at all runs is followed by so many times its time without another; runs
that have not ended are looked at each second."""


@command
@click.argument("source", required=False)
@click.argument("target", required=False)
@click.option("--watch", is_flag=True, help="Go on until interrupted, as the source grows.")
@click.option("--run", "runs", metavar="RUN", multiple=True, help="Only these runs.")
@click.option(
    "--experiment", "experiments", metavar="NAME", multiple=True, help="Only these experiments."
)
@click.option("--dry-run", is_flag=True, help="Only tell what would be sent.")
@click.option("--verify", is_flag=True, help="Afterwards compare every point of both.")
def sync(
    source: str | None,
    target: str | None,
    watch: bool,
    runs: tuple[str, ...],
    experiments: tuple[str, ...],
    dry_run: bool,
    verify: bool,
) -> Report:
    """Bring all that SOURCE knows into TARGET.

    Both are a directory, or the URL of a server or database. TARGET may hold other runs, and keeps
    them; a directory is made where there is none. Only what TARGET lacks is sent, so a sync can be
    broken off, and run again, at any time. A directory may be one that is being logged to, or a
    copy of one.

    Without SOURCE and TARGET, what waits on this machine for servers and databases is delivered to
    them. With the directory of such a spool as SOURCE, it is delivered to TARGET instead.

    --run is an id, the beginning of ids, or a name; it and --experiment may be repeated. The exit
    code is 1 where TARGET refused something, or keeps another value.
    """
    if (verify or dry_run) and watch:
        raise click.UsageError("--verify and --dry-run look once: leave out --watch.")
    if source is not None and target is None:
        raise click.UsageError("Say where to: steplog sync SOURCE TARGET.")
    spool = None if source is None else places.spool(source)
    if (source is None or spool is not None) and (runs or experiments or dry_run or verify):
        raise click.UsageError("What waits is delivered whole: leave out all options but --watch.")
    if source is None or target is None:
        return _delivered(_waiting, watch)
    end = _end(target)
    if spool is not None:
        return _delivered(lambda: [(spool, end)], watch)
    begin = _Source(source)
    if begin.place.uri == end.uri:
        raise click.UsageError("SOURCE and TARGET are the same.")
    if not watch:
        begin.store()  # which may fail, before a target is made
    with _opened(end, dry_run) as store:
        choose = partial(_chosen, runs=runs, experiments=experiments)
        if watch:
            outcome = _watch(begin, store, choose, f"{begin.place.name} for {end.name}")
        else:
            outcome = _once(begin, store, choose, dry=dry_run, verify=verify)
    return _report(begin.place, end, outcome, dry_run)


sync.params.remove(STORE)
sync.params.append(CATALOG)

# From one store to another ------------------------------------------------------------------------


class _Source:
    """The store that is read.

    One in a directory may be a copy that is made again meanwhile. Where nothing may be written, the
    catalog is copied, so that it can take in what the journals hold.
    """

    def __init__(self, uri: str) -> None:
        self._backend = backend(uri)
        self.place = self._backend.place
        self._numbers: dict[str, int] = {}
        self._copied: object = None
        self._aside: TemporaryDirectory[str] | None = None
        catalog = self.place.catalog
        if os.path.exists(os.path.join(catalog, places.CATALOG)) and not os.access(
            catalog, os.W_OK
        ):
            self._aside = TemporaryDirectory()

    def store(self) -> Store:
        """Return the store with all that was logged until now.

        Raises:
            StoreError: it is not there, or cannot be read now.
            StoreDamaged: it is a copy whose parts do not fit together.

        """
        if not self._backend.exists():
            raise StoreError(f"There is no store in {self.place.name}.")
        if self.place.kind != "directory":
            return self._backend.store()
        for tries_left in reversed(range(COPIES if self._aside else 1)):
            try:
                if self._aside is not None:
                    self._copy_catalog(os.path.join(self._aside.name, "copy"))
                self._look_at_files(self._backend.place)
                return self._backend.store()
            except StoreDamaged as error:
                self._copied = None
                if not tries_left:
                    raise _torn(error) from error
        raise AssertionError

    def live_writers(self) -> frozenset[str]:
        """Return the writers that log to it now."""
        return self._backend.live_writers()

    def _copy_catalog(self, aside: str) -> None:
        """Copy the catalog, if it has changed; `check_copy` tells whether that went well."""
        names = (places.CATALOG, f"{places.CATALOG}-wal")
        found = [os.path.join(self.place.catalog, name) for name in names]
        stats = [os.stat(path) for path in found if os.path.exists(path)]
        state = [(each.st_mtime_ns, each.st_size) for each in stats]
        if state == self._copied:
            return
        self._backend.close()
        shutil.rmtree(aside, ignore_errors=True)
        os.mkdir(aside)
        copy = mkdtemp(dir=aside)  # under another name, so that it is not taken for the last one
        for path in found:
            with suppress(FileNotFoundError):
                shutil.copy(path, copy)
        self._backend = Backend(self.place._replace(catalog=copy))
        self._copied = state

    def _look_at_files(self, place: Place) -> None:
        numbers = _numbers(place)
        if any(numbers.get(path, number) != number for path, number in self._numbers.items()):
            self._backend.close()  # others were put in place of those that are open
        catalog = os.path.join(place.catalog, places.CATALOG)
        if catalog in numbers and numbers[catalog] != self._numbers.get(catalog):
            check_copy(place)
        self._numbers = numbers


def _numbers(place: Place) -> dict[str, int]:
    """Return the inode numbers of the files that make a store."""
    found = {}
    for directory in (place.catalog, place.journals):
        with suppress(FileNotFoundError), os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.endswith((places.CATALOG, SUFFIX)):
                    found[entry.path] = entry.inode()
    return found


def _torn(error: StoreDamaged) -> StoreDamaged:
    return StoreDamaged(
        f"{error.message.rstrip('.')}. If this is a copy, it was made while somebody wrote: copy "
        "it again, with rsync -a --delete."
    )


def _end(target: str) -> Place:
    """Return the place of the target, whose catalog is where it is, whatever --catalog says."""
    place = places.resolve(target)
    if place.shared and not settings.get("STEPLOG_CATALOG"):
        raise click.ClickException(
            f"{place.name} is shared with other hosts, or cannot be written. A database is not "
            "safe there: name a directory on a disk of this machine, or the URL of a server."
        )
    return place._replace(catalog=place.directory) if place.kind == "directory" else place


@contextmanager
def _opened(end: Place, dry_run: bool) -> Iterator[Store]:
    """Open the target; a look at what would be sent makes none."""
    with ExitStack() as stack:
        if dry_run and end.kind == "directory" and not os.path.exists(end.directory):
            end = places.resolve(stack.enter_context(TemporaryDirectory()))
        yield stack.enter_context(closing(open_store(end, LOCK_SECONDS)))


def _chosen(store: Store, runs: Sequence[str], experiments: Sequence[str]) -> Chosen:
    """Return the runs and experiments that are meant."""
    from steplog.sync import Chosen

    run_ids = [each for text in runs for each in _run_ids(store, text)]
    named = [each for name in experiments for each in _experiment_ids(store, name)]
    return Chosen(
        [*dict.fromkeys(run_ids)] if runs else None,
        [*dict.fromkeys(named)] if experiments else None,
    )


def _run_ids(store: Store, text: str) -> list[str]:
    found = store.runs([text]) or [each for each in store.runs() if each.row.name == text]
    if not found:
        raise click.ClickException(f"There is no run {text!r} in the source.")
    return [each.row.run_id for each in found]


def _experiment_ids(store: Store, name: str) -> list[str]:
    found = store.experiments(name=name) or store.experiments([name])
    if not found:
        raise click.ClickException(f"There is no experiment {name!r} in the source.")
    return [each.row.experiment_id for each in found]


def _once(source: _Source, target: Store, choose: Choose, *, dry: bool, verify: bool) -> Outcome:
    from steplog.sync import Outcome, Sync

    outcome, store, times = Outcome(), source.store(), 2 if verify else 1
    chosen = choose(store)
    with progress("Comparing", lambda: times * Sync(store, target, chosen).size()) as advance:
        looker = Sync(store, target, chosen, source.live_writers, dry=dry, advance=advance)
        outcome.add(looker.look())
        if verify:
            outcome.add(looker.verify())
    return outcome


def _watch(source: _Source, target: Store, choose: Choose, sides: str) -> Outcome:
    """Sync until SIGINT or SIGTERM, and return what was sent in all."""
    from steplog.sync import Outcome

    outcome, trouble = Outcome(), ""
    with interruptible() as interrupted:
        tell(f"Watching {sides}; Ctrl-C ends it.")
        watch = _Watch(source, target, choose, interrupted)
        with suppress(_Interrupted):
            while True:
                try:
                    later = watch.look()
                    trouble = ""
                except (StoreError, StoreDamaged) as error:  # what is not sent can wait
                    if error.message != trouble:
                        trouble = error.message
                        tell(f"Trying again: {trouble}")
                else:
                    _announce(later)
                    outcome.add(later)
                if interrupted(WATCH_SECONDS):
                    break
    return outcome


class _Interrupted(Exception):
    """Somebody has ended the watch in the middle of a look."""


class _Watch:
    """Looks again and again, at all runs less often where that takes long."""

    def __init__(
        self,
        source: _Source,
        target: Store,
        choose: Choose,
        interrupted: Callable[[float], bool],
    ) -> None:
        self._source = source
        self._target = target
        self._choose = choose
        self._interrupted = interrupted
        self._store: Store | None = None
        self._due = 0.0

    def look(self) -> Outcome:
        """Send what is new since the last look."""
        from steplog.sync import Sync

        store = self._source.store()
        if store is not self._store:
            live = self._source.live_writers
            chosen = self._choose(store)
            self._sync = Sync(store, self._target, chosen, live, advance=self._advance)
            self._store, self._due = store, 0.0
        began = time.monotonic()
        everything = began >= self._due
        outcome = self._sync.look(everything=everything)
        if everything:
            now = time.monotonic()
            self._due = now + REST * (now - began)
        return outcome

    def _advance(self, runs: int) -> None:
        if self._interrupted(0):
            raise _Interrupted


def _announce(outcome: Outcome) -> None:
    if outcome.points or outcome.operations:
        tell(f"{outcome.points:,} points, {outcome.operations:,} operations")


def _report(source: Place, target: Place, outcome: Outcome, dry_run: bool) -> Report:
    from steplog import pages

    document: dict[str, object] = {
        "source": source.name,
        "target": target.name,
        "dry_run": dry_run,
        "runs": outcome.runs,
        "sent": sorted(outcome.sent),
        "operations": outcome.operations,
        "points": outcome.points,
        "kept": outcome.kept,
        "refused": refused_documents(outcome.refused),
        "verified": outcome.verified,
        "healed": outcome.healed,
    }
    page = partial(pages.sync_page, outcome, dry_run)
    return Report(document, page, healthy=not (outcome.kept or outcome.refused))


# From a spool -------------------------------------------------------------------------------------


def _waiting() -> list[tuple[Place, Place]]:
    """Return the spools on this machine in which something waits, and where to."""
    # The name of a spool leaves out the password; the tracking URI may have it.
    own = places.resolve(tracking_uri())
    return [(each, own if each.name == own.name else each) for each in places.waiting()]


def _delivered(stops: Callable[[], Sequence[tuple[Place, Place]]], watch: bool) -> Report:
    """Deliver what waits in spools, once or until somebody ends it."""
    from steplog import pages
    from steplog.delivering import Courier

    with closing(Courier()) as courier:
        if watch:
            with interruptible() as interrupted:
                tell("Watching what waits on this machine; Ctrl-C ends it.")
                while True:
                    for trouble in courier.deliver(stops()):
                        tell(f"Trying again: {trouble}")
                    if interrupted(WATCH_SECONDS):
                        break
        else:
            with progress("Delivering", lambda: courier.waiting(stops())) as advance:
                courier.deliver(stops(), advance)
        found = [*courier.deliveries.values()]
    healthy = not any(each.fault or each.refused or each.damaged for each in found)
    documents = [{**each._asdict(), "refused": refused_documents(each.refused)} for each in found]
    return Report({"delivered": documents}, partial(pages.delivered_page, found), healthy)
