"""The command line: what was recorded, how it went, and whether it is all there.

Each command finds out what it has to say; the text of it is made by `steplog.pages`. The commands
of the server stand beside it, in `steplog.server.commands`.

``docs/cli.md`` holds the help of every command; a test compares the two.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import IO, TYPE_CHECKING

import click

from steplog import filesystem, places, settings
from steplog.backend import Backend, backend
from steplog.collecting import gc
from steplog.command import CATALOG, STORE, Report, command, main, refused_documents
from steplog.databases import check_report, db
from steplog.entities import LifecycleStage, Summary
from steplog.exceptions import MlflowException, StoreError
from steplog.places import Place
from steplog.server.commands import server, token, ui
from steplog.stores import open_store
from steplog.stores.base import Refused, RunRecord, Store
from steplog.syncing import sync
from steplog.working import interruptible, progress, tell

if TYPE_CHECKING:
    from steplog.braille import Curve
    from steplog.ingest import IngestReport
    from steplog.pages import Spool
    from steplog.reading import Ranks
    from steplog.screen import Screen

__all__ = ["main"]

RUNS_SHOWN = 50
SPARKLINES_SHOWN = 200  # each of them is a read
AMBIGUOUS_SHOWN = 5
WATCH_SECONDS = 1.0
COUNT_SECONDS = 0.5  # between the two looks that points per second are counted by

main.add_command(db)
main.add_command(gc)
main.add_command(server)
main.add_command(sync)
main.add_command(token)
main.add_command(ui)

# Commands -----------------------------------------------------------------------------------------


@command
@click.option("--experiment", metavar="NAME", help="Only runs of this experiment.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=0),
    help=f"At most N runs, 0 for all.  [default: {RUNS_SHOWN}; with --json all]",
)
def runs(experiment: str | None, limit: int | None) -> Report:
    """List runs, the newest first.

    A run that has not ended although no living process writes to it is LOST.
    """
    from steplog import pages

    chosen = _backend()
    store = _up_to_date(chosen)
    experiment_ids = None if experiment is None else [_experiment_id(store, experiment)]
    active = [
        record
        for record in store.runs(experiment_ids=experiment_ids)
        if record.row.lifecycle_stage == LifecycleStage.ACTIVE
    ]
    found = pages.shown_runs(active, store.experiments(), chosen.live_writers())
    on_screen = found[: (RUNS_SHOWN if limit is None else limit) or None]
    return Report({"runs": found[: limit or None]}, partial(pages.runs_page, on_screen, len(found)))


@command
@click.argument("run")
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@click.option("--log", is_flag=True, help="Draw the curves on a logarithmic axis.")
@click.option("--live", is_flag=True, help="Draw anew while points arrive, until the run ends.")
@click.option(
    "--ranks",
    type=click.Choice(["apart", "mean", "min", "max"]),
    default="apart",
    help="What to make of a metric of several ranks: a series for each, or one.",
)
def show(run: str, keys: tuple[str, ...], log: bool, live: bool, ranks: Ranks) -> Report:
    """Show a run: a summary of its metrics, and their curves.

    RUN is the id of a run or the beginning of it, or the name of a run. KEY is a metric, or a
    pattern such as 'valid/*'. Without one, all metrics are in the table, and their curves are
    drawn where they are few.

    A column of a curve spans all values there, so that no spike is lost; NaN and infinities are
    marked with crosses.

    With --live, q or Ctrl-C ends before the run does; l changes the axis.
    """
    from steplog import pages

    if live and ranks != "apart":
        raise click.UsageError("--live shows ranks apart.")
    if live and not _on_terminal():
        raise click.UsageError(
            "--live needs a terminal: standard output is none, or --json is given."
        )
    chosen = _backend()
    store = _up_to_date(chosen)
    record = _find_run(store, run)
    if live:
        _follow(chosen, record.row.run_id, keys, log)
        store = _up_to_date(chosen)
        (record,) = store.runs([record.row.run_id])
    (shown,) = pages.shown_runs([record], store.experiments(), chosen.live_writers())
    summaries = _summaries(store, shown.run_id, keys, ranks)
    document: dict[str, object] = {
        "run": {**shown._asdict(), "params": record.params, "tags": record.tags},
        "series": summaries,
    }

    def lines(screen: Screen) -> Iterator[str]:
        yield from pages.run_page(shown, record, screen)
        few = keys or len(summaries) <= SPARKLINES_SHOWN
        curves = _curves(store, summaries, ranks) if few else []
        yield from pages.series_page(summaries, curves, screen, log=log, asked=bool(keys))

    return Report(document, lines)


@main.command
@click.argument("run")
@click.option(
    "--html",
    metavar="FILE",
    type=click.File("w", "utf-8", lazy=True),
    help="One self-contained page.",
)
@click.option(
    "--csv", metavar="FILE", type=click.File("wb", lazy=True), help="Every point, exactly."
)
def export(run: str, html: IO[str] | None, csv: IO[bytes] | None) -> None:
    """Write a run to a file; to standard output where FILE is -.

    RUN is the id of a run or the beginning of it, or the name of a run. The page holds summary,
    curves, params and tags, needs no network and runs no script.
    """
    from steplog import listing, plain

    if (html is None) == (csv is None):
        raise click.UsageError("Say what to write: --html FILE or --csv FILE.")
    chosen = _backend()
    store = _up_to_date(chosen)
    record = _find_run(store, run)
    if html is not None:
        html.write(plain.exported(store, record, chosen.live_writers()))
    if csv is not None:
        run_id = record.row.run_id
        csv.writelines(listing.csv_lines(store, {run_id: record}, store.series([run_id])))


export.params.append(STORE)


@command
@click.option("--experiment", metavar="NAME", help="Only runs of this experiment.")
@click.option("--key", "keys", metavar="GLOB", multiple=True, help="Only these metrics.")
def top(experiment: str | None, keys: tuple[str, ...]) -> Report:
    """Watch all runs: how fast points arrive, last values, curves.

    Running runs stand first, then the newest. The keys are shown at ?; q ends. --key is a metric
    or a pattern such as 'valid/*', and may be repeated.

    Where standard output is no terminal, and with --json, all is shown once. If a run is running,
    that takes half a second, for points per second are counted between two looks.
    """
    from steplog.top import Top
    from steplog.watching import Watch

    chosen = _backend()
    store = _up_to_date(chosen)
    ids = None if experiment is None else [_experiment_id(store, experiment)]
    watch = Watch(chosen, experiment_ids=ids)
    view = Top(watch, keys)
    if _on_terminal():
        from steplog import live

        live.show(view, colour=not settings.get("NO_COLOR"))
        return Report({}, lambda _: ())
    view.look()
    if watch.running():
        time.sleep(COUNT_SECONDS)
        view.look()
    return Report(view.document(), view.snapshot)


@command
def status() -> Report:
    """Tell how the journals stand, and what went wrong.

    Pending points are safe in a journal and not yet in the store. Held points wait in the memory
    of a process that cannot write its journal now; dropped ones are lost. A journal whose process
    is gone is orphaned, until `steplog ingest`, or anything that reads, takes it into the store.

    Of a store far away it also tells what waits on this machine, since when, and how much of the
    disk that takes; and it names others that something waits for (see `steplog sync`).

    The exit code is 1 where the store cannot be opened. This command only looks.
    """
    from steplog import pages

    chosen = _backend()
    place = chosen.place
    journals = chosen.journals_state()
    fault, refused = _refusals(place)
    waiting = pages.waiting(journals)
    spool = None if place.kind == "directory" else _spool(place)
    elsewhere = [each.name for each in places.waiting() if each.name != place.name]
    document: dict[str, object] = {
        "store": place.name,
        "fault": fault,
        "waiting": waiting,
        "spool": spool,
        "elsewhere": elsewhere,
        "journals": journals,
        "refused": refused_documents(refused),
    }
    # Where all journals stay, most are of no interest any more.
    shown = [each for each in journals if not (place.shared and each.settled)]
    settled = len(journals) - len(shown)
    found = pages.Status(place.name, fault, waiting, spool, elsewhere, shown, settled, refused)
    return Report(document, partial(pages.status_page, found), healthy=not fault)


@command
@click.option("--watch", is_flag=True, help="Go on until interrupted, looking once a second.")
def ingest(watch: bool) -> Report:
    """Move what the journals hold into the store.

    Whatever reads does this anyway. It is needed where processes that log may not do it
    themselves (STEPLOG_INGEST=off): then let one --watch run on one machine. The exit code is 1
    where a journal is damaged.

    With --catalog, or where a directory is shared with other hosts, the journals stay as they are.
    """
    from steplog import pages

    chosen = _backend()
    report = _watch(chosen) if watch else _ingest(chosen)
    chosen.seal()
    document: dict[str, object] = {
        "store": chosen.place.name,
        "points": report.points,
        "operations": report.operations,
        "refused": refused_documents(report.refused),
        "removed": sorted(report.removed),
        "damaged": report.damaged,
    }
    return Report(document, partial(pages.ingest_page, report), healthy=not report.damaged)


ingest.params.append(CATALOG)


@command
def check() -> Report:
    """Verify all that is stored: checksums, counts and summaries.

    The exit code is 1 where anything is damaged. This command only looks.
    """
    return check_report(_backend().place)


@command
def du() -> Report:
    """Tell what takes how much space.

    The bytes of a run are those of its points as they are stored now; points that have not yet
    been sorted into chunks take several times as many as they will. This command only looks.
    """
    from steplog import pages

    chosen = _backend()
    with closing(open_store(chosen.place)) as store:
        stats = store.stats()
        sizes: dict[str, int] = stats["runs_bytes"]
        names = {each.row.run_id: each.row.name for each in store.runs(list(sizes))}
    usage = pages.Usage(
        store=chosen.place.name,
        bytes=stats["bytes"],
        journal_bytes=filesystem.bytes_in(chosen.place.journals),
        series=stats["series"],
        points=stats["points"],
        waiting_points=stats["waiting_points"],
        runs=sorted(
            (pages.RunUsage(run_id, names.get(run_id, ""), size) for run_id, size in sizes.items()),
            key=lambda run: (-run.bytes, run.run_id),
        ),
    )
    return Report(usage._asdict(), partial(pages.usage_page, usage))


# What is in the store -----------------------------------------------------------------------------


def _backend() -> Backend:
    """Return the backend that was asked for; looking for a store must not make one."""
    chosen = backend(click.get_current_context().obj)
    if not chosen.exists():
        raise click.ClickException(
            f"There is no store in {chosen.place.name}. Name the directory of one with --store or "
            "STEPLOG_TRACKING_URI; the first run that is logged there makes it."
        )
    return chosen


def _on_terminal() -> bool:
    """Tell whether a person looks on, so that a page can be live."""
    return sys.stdout.isatty() and not click.get_current_context().params.get("as_json")


def _follow(chosen: Backend, run_id: str, keys: Sequence[str], log: bool) -> None:
    """Show a run live until it has ended, or somebody ends it."""
    from steplog import live
    from steplog.follow import Follow
    from steplog.watching import Watch

    view = Follow(Watch(chosen, run_id=run_id), keys, log)
    live.show(view, colour=not settings.get("NO_COLOR"))


def _spool(place: Place) -> Spool:
    """Return how much of this machine's disk waits for a store far away."""
    from steplog.pages import Spool

    limit = settings.get("STEPLOG_SPOOL_LIMIT_MB") << 20
    return Spool(place.journals, filesystem.bytes_in(place.journals), limit)


def _refusals(place: Place) -> tuple[str, list[Refused]]:
    """Return what is wrong with the store, if anything, and else the operations it refused."""
    try:
        with closing(open_store(place)) as store:
            return "", store.refusals()
    except MlflowException as error:
        return error.message, []


def _up_to_date(chosen: Backend) -> Store:
    """Return the store with everything that was logged until now."""
    _ingest(chosen)  # as `Backend.store` does, but with a bar
    return chosen.store()


def _ingest(chosen: Backend) -> IngestReport:
    def pending() -> int:
        return sum(journal.pending_points or 0 for journal in chosen.journals_state())

    with progress("Ingesting", pending) as advance:
        return chosen.ingest(progress=advance)


def _watch(chosen: Backend) -> IngestReport:
    """Ingest once a second until SIGINT or SIGTERM, and return what was done in all."""
    with interruptible() as interrupted:
        tell(f"Watching {chosen.place.journals}; Ctrl-C ends it.")
        total, trouble = chosen.ingest(), ""
        _announce(total)
        while not interrupted(WATCH_SECONDS):
            try:
                _add(chosen.ingest(), total)
                chosen.seal()
                trouble = ""
            except StoreError as error:  # what the journals hold can wait
                if error.message != trouble:
                    trouble = error.message
                    tell(f"Trying again: {trouble}")
        return total


def _add(report: IngestReport, total: IngestReport) -> None:
    """Announce what a further pass did, and add it to what was done before."""
    # A journal that cannot be read at all is found again in each pass.
    report.damaged = [each for each in report.damaged if each not in total.damaged]
    _announce(report)
    total.points += report.points
    total.operations += report.operations
    total.refused += report.refused
    total.removed |= report.removed
    total.damaged += report.damaged


def _announce(report: IngestReport) -> None:
    if report.points or report.operations:
        tell(f"{report.points:,} points, {report.operations:,} operations")
    for sentence in report.damaged:
        tell(sentence)


def _experiment_id(store: Store, name: str) -> str:
    found = store.experiments(name=name)
    if not found:
        names = ", ".join(sorted(repr(each.row.name) for each in store.experiments()))
        raise click.ClickException(f"There is no experiment {name!r}. There are: {names}.")
    return found[0].row.experiment_id


def _find_run(store: Store, text: str) -> RunRecord:
    """Return the run whose id starts so or, where there is none, whose name this is."""
    found = store.runs([text]) or [each for each in store.runs() if each.row.name == text]
    if not found:
        raise click.ClickException(f"There is no run {text!r}. `steplog runs` lists them.")
    if len(found) > 1:
        listed = [f"  {each.row.run_id}  {each.row.name!r}" for each in found[:AMBIGUOUS_SHOWN]]
        more = len(found) - len(listed)
        raise click.ClickException(
            "\n".join(
                [
                    f"{text!r} may be any of {len(found):,} runs:",
                    *listed,
                    *([f"  and {more:,} more"] if more else []),
                    "Give more of the id.",
                ]
            )
        )
    return found[0]


def _summaries(store: Store, run_id: str, keys: Sequence[str], ranks: Ranks) -> list[Summary]:
    """Return the summaries of the series that these keys or patterns name, or of all."""
    from steplog.reading import summaries

    found = summaries(store, run_id, keys or None, ranks)
    if keys and not found:
        asked = " or ".join(map(repr, keys))
        names = ", ".join(each.key for each in store.keys([run_id])) or "none"
        raise click.ClickException(f"The run has no metric {asked}. It has: {names}.")
    return found


def _curves(store: Store, summaries: Sequence[Summary], ranks: Ranks) -> list[Curve]:
    """Read what is drawn of each of these series of one run."""
    from steplog.braille import Curve
    from steplog.reading import read_series
    from steplog.terminal import series_name
    from steplog.watching import POINTS_DRAWN

    curves = {}
    keys = {summary.key: summary.run_id for summary in summaries}
    with progress("Reading", lambda: len(keys)) as advance:
        for key, run_id in keys.items():
            found = read_series(store, [run_id], [key], max_points=POINTS_DRAWN, ranks=ranks)
            for points in found:
                name = series_name(points.key)
                curves[name] = Curve(name, points.step, points.value)
            advance(1)
    # By name, not by place: while the run goes on there may be more series than a moment ago.
    return [curves[series_name(summary)] for summary in summaries]
