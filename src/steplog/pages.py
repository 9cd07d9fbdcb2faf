"""What the commands of `steplog.cli` show a person: runs, series, journals, damage, sizes.

Each page is made of what the command found, line by line; how tables and curves are laid out is in
`steplog.terminal` and `steplog.braille`. Nothing here reads a store.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import click

from steplog.backend import shown_status
from steplog.braille import Curve, line_chart
from steplog.entities import Summary
from steplog.screen import Screen, printable
from steplog.stores.base import Damage, ExperimentRecord, Refused, RunRecord
from steplog.terminal import Cell, Column, summary_table, table

if TYPE_CHECKING:
    from steplog.delivering import Delivery
    from steplog.ingest import IngestReport
    from steplog.journals import JournalState
    from steplog.sync import Outcome

Row: TypeAlias = "list[str | Cell]"

SHORT_ID = 8  # nearly always enough to tell runs apart
CHARTS_SHOWN = 6  # unasked; more would be a wall
LARGEST_SHOWN = 20
REFUSED_SHOWN = 10
PAGE_WIDTH = 100
LABEL_WIDTH = 12

# Colours that click and `steplog.screen.paint` know by the same names.
STATUS_COLOURS = {
    "RUNNING": "cyan",
    "FINISHED": "green",
    "FAILED": "red",
    "KILLED": "yellow",
    "LOST": "magenta",
}


class ShownRun(NamedTuple):
    """A run as the command line shows it; its status may also be LOST."""

    run_id: str
    run_name: str
    experiment_id: str
    experiment_name: str
    user_id: str
    status: str
    start_time: int
    end_time: int | None
    lifecycle_stage: str
    artifact_uri: str


class Waiting(NamedTuple):
    """What journals hold that their store has not.

    Attributes:
        points: how many.
        operations: how many.
        since_ms: when the first of the points was logged, ms since the epoch; None without any.
        exact: False where the store could not be asked; then it may be less.

    """

    points: int
    operations: int
    since_ms: int | None
    exact: bool


class Spool(NamedTuple):
    """What waits for a store far away takes so many bytes of the disk, and may take so many."""

    directory: str
    bytes: int
    limit: int


class Status(NamedTuple):
    """How a store and its journals stand.

    Attributes:
        store: where it is, without a password.
        fault: why it cannot be opened; empty where it can.
        waiting: what the journals hold that it has not.
        spool: where they take room, of a store far away.
        elsewhere: other stores far away for which something waits on this machine.
        journals: those of interest.
        settled: how many others there are.
        refused: operations that it refused.

    """

    store: str
    fault: str
    waiting: Waiting
    spool: Spool | None
    elsewhere: Sequence[str]
    journals: Sequence[JournalState]
    settled: int
    refused: Sequence[Refused]


class Usage(NamedTuple):
    """What takes how many bytes, and how many points that is."""

    store: str
    bytes: int
    journal_bytes: int
    series: int
    points: int
    waiting_points: int
    runs: list[RunUsage]


class RunUsage(NamedTuple):
    """What the points of one run take."""

    run_id: str
    run_name: str
    bytes: int


def shown_runs(
    records: Iterable[RunRecord], experiments: Iterable[ExperimentRecord], live: frozenset[str]
) -> list[ShownRun]:
    """Return runs with the names of their experiments, and LOST where no writer lives."""
    names = {each.row.experiment_id: each.row.name for each in experiments}
    return [_shown_run(record, names, live) for record in records]


def _shown_run(record: RunRecord, names: Mapping[str, str], live: frozenset[str]) -> ShownRun:
    row = record.row
    return ShownRun(
        run_id=row.run_id,
        run_name=row.name,
        experiment_id=row.experiment_id,
        experiment_name=names.get(row.experiment_id, ""),
        user_id=row.user_id,
        status=shown_status(record, live),
        start_time=row.start_time,
        end_time=row.end_time,
        lifecycle_stage=row.lifecycle_stage,
        artifact_uri=row.artifact_uri,
    )


def runs_page(found: Sequence[ShownRun], total: int, screen: Screen) -> Iterator[str]:
    """List runs, newest first, and how many more there are."""
    if not total:
        yield "No runs yet."
        return
    columns = [
        Column("run"),
        Column("name"),
        Column("experiment"),
        Column("status"),
        Column("started", optional=True),
        Column("duration", number=True, optional=True),
    ]
    rows: list[Row] = [
        [
            run.run_id[:SHORT_ID],
            run.run_name,
            run.experiment_name,
            Cell(run.status, STATUS_COLOURS.get(run.status, "")),
            _moment(run.start_time),
            duration(run),
        ]
        for run in found
    ]
    yield table(columns, rows, screen)
    if len(found) < total:
        yield ""
        yield f"The newest {len(found):,} of {total:,} runs; --limit 0 shows all."


def run_page(run: ShownRun, record: RunRecord, screen: Screen) -> Iterator[str]:
    """Tell what is known of a run besides its metrics."""
    name = click.style(printable(run.run_name, screen), bold=True)
    yield f"{name}  {click.style(run.status, fg=STATUS_COLOURS.get(run.status))}"
    yield ""
    tags = {key: value for key, value in record.tags.items() if not key.startswith("mlflow.")}
    facts = {
        "run": run.run_id,
        "experiment": run.experiment_name,
        "started": f"{_moment(run.start_time)} by {run.user_id}",
        "took": duration(run),
        "params": _pairs(record.params),
        "tags": _pairs(tags),
    }
    for label, fact in facts.items():
        if fact:
            yield textwrap.fill(
                printable(fact, screen),
                min(screen.width, PAGE_WIDTH),
                initial_indent=f"{label:<{LABEL_WIDTH}}",
                subsequent_indent=" " * LABEL_WIDTH,
            )
    yield ""


def series_page(
    summaries: Sequence[Summary],
    curves: Sequence[Curve],
    screen: Screen,
    *,
    log: bool,
    asked: bool,
) -> Iterator[str]:
    """Lay out the table of some series of a run and, below each other, their charts.

    Args:
        summaries: of the series, those of one key beside each other.
        curves: as many, or none where there are too many to read.
        screen: where the page will be shown.
        log: draw on logarithmic axes.
        asked: draw all charts, not only where they are few.

    """
    if not summaries:
        yield "No metrics yet."
        return
    yield summary_table(summaries, screen, curves)
    pairs = zip(summaries, curves, strict=False)
    charts = [
        [curve for _, curve in group] for _, group in groupby(pairs, lambda pair: pair[0].key)
    ]
    if not asked and not 0 < len(charts) <= CHARTS_SHOWN:
        yield ""
        yield "Name metrics to see their curves: steplog show RUN KEY..."
        return
    for chart in charts:
        yield ""
        yield line_chart(chart, screen, log=log)


def waiting(journals: Iterable[JournalState]) -> Waiting:
    """Add up what journals hold that their store has not."""
    journals = [each for each in journals if each.writer_id]
    since = [each.waiting_since_ms for each in journals if each.waiting_since_ms is not None]
    return Waiting(
        points=sum(each.most_points for each in journals),
        operations=sum(each.most_operations for each in journals),
        since_ms=min(since, default=None),
        exact=all(each.pending_points is not None for each in journals),
    )


def status_page(status: Status, screen: Screen) -> Iterator[str]:
    """List journals, what is wrong with them, and what was refused; and count the settled ones."""
    journals = status.journals
    yield f"Store {printable(status.store, screen)}"
    yield ""
    if status.fault:
        yield click.style(printable(status.fault, screen), fg="red")
    if status.settled:
        yield f"Complete, and in the store: {_counted(status.settled, 'journal')}."
    elif not journals:
        nothing = "No journals: all that was logged is in the store."
        yield "No journals." if status.fault else nothing
    if status.spool and journals:
        yield from _spool_lines(status.spool, status.waiting, screen)
    if journals:
        columns = [
            Column("journal"),
            Column("host"),
            Column("pid", number=True),
            Column("begun", optional=True),
            Column("heartbeat", number=True),
            Column("pending", number=True),
            Column("held", number=True),
            Column("dropped", number=True),
        ]
        rows: list[Row] = [
            [
                _condition(each),
                each.host,
                str(each.pid),
                _moment(each.created_ms),
                f"{_span(_now_ms() - each.heartbeat_ms)} ago" if each.writer_id else "",
                "?" if each.pending_points is None else f"{each.pending_points:,}",
                _alarming(each.held_points, "yellow"),
                _alarming(each.dropped_points, "red"),
            ]
            for each in journals
        ]
        yield table(columns, rows, screen)
    yield from dict.fromkeys(_fault_line(each, screen) for each in journals if each.fault)
    for store in status.elsewhere:
        yield f"Journals wait for {printable(store, screen)}, too. `steplog sync` delivers them."
    yield ""
    if not status.fault:
        yield from _refused_lines(status.refused, screen)


def _spool_lines(spool: Spool, waiting: Waiting, screen: Screen) -> Iterator[str]:
    """Tell what waits for a store far away, since when, and what room it takes."""
    since = ""
    if waiting.since_ms is not None:
        since = f" since {_moment(waiting.since_ms)} ({_span(_now_ms() - waiting.since_ms)})"
    most = "" if waiting.exact else "at most "
    points, operations = waiting.points, waiting.operations
    yield (
        f"Waiting here{since}: {most}{_counted(points, 'point')}, "
        f"{_counted(operations, 'operation')}."
    )
    taken, limit = spool.bytes >> 20, spool.limit >> 20
    yield printable(f"{taken:,} of at most {limit:,} MiB in {spool.directory}", screen)
    yield ""


def _fault_line(journal: JournalState, screen: Screen) -> str:
    known = journal.writer_id
    who = f"Process {journal.pid} on {journal.host}" if known else journal.path
    return printable(f"{who}: {journal.fault}", screen)


def _condition(journal: JournalState) -> Cell:
    if not journal.writer_id:
        return Cell("unreadable", "red")
    return Cell("live", "green") if journal.live else Cell("orphaned", "yellow")


def _refused_lines(refused: Sequence[Refused], screen: Screen) -> Iterator[str]:
    if not refused:
        yield "No operation was refused."
        return
    yield f"{_counted(len(refused), 'operation')} refused:"
    for each in refused[-REFUSED_SHOWN:]:
        run = f"run {each.refusal.run_id[:SHORT_ID]}: " if each.refusal.run_id else ""
        yield printable(f"  {run}{each.refusal.message}", screen)
    if len(refused) > REFUSED_SHOWN:
        yield f"These are the last {REFUSED_SHOWN}; --json lists all."


def ingest_page(report: IngestReport, screen: Screen) -> Iterator[str]:
    """Tell what was moved into the store."""
    yield (
        f"{_counted(report.points, 'point')} and {_counted(report.operations, 'operation')} "
        f"moved into the store, {_counted(len(report.removed), 'journal')} removed."
    )
    for sentence in report.damaged:
        yield click.style(printable(sentence, screen), fg="red")
    if report.refused:
        yield from _refused_lines(report.refused, screen)


def check_page(checked: int, damage: Sequence[Damage], screen: Screen) -> Iterator[str]:
    """List damage, or say that there is none."""
    if not damage:
        yield f"{checked:,} series checked, all sound."
        return
    yield table(
        [Column("where"), Column("damage")], [[each.where, each.what] for each in damage], screen
    )
    yield ""
    found = f"{checked:,} series checked, {_counted(len(damage), 'fault')} found."
    yield click.style(found, fg="red")


def upgrade_page(store: str, before: int, after: int, screen: Screen) -> Iterator[str]:
    """Say what was done to the tables of a store."""
    name = printable(store, screen)
    if before == after:
        yield f"{name} has the tables of format {after} already."
    elif before:
        yield f"{name} had the tables of format {before}, and has those of format {after} now."
    else:
        yield f"{name} has got the tables of format {after}."


def stats_page(store: str, stats: Mapping[str, int], screen: Screen) -> Iterator[str]:
    """Tell how much a store holds."""
    yield f"Store {printable(store, screen)}"
    yield ""
    for name in ("experiments", "runs", "series", "points"):
        yield f"{stats[name]:>12,}  {name}"
    yield f"{stats['waiting_points']:>12,}  of them not yet sorted into chunks"
    yield f"{_size(stats['bytes']):>12}  catalog and points"


def usage_page(usage: Usage, screen: Screen) -> Iterator[str]:
    """Tell what takes space, and which runs most."""
    yield f"Store {printable(usage.store, screen)}"
    yield ""
    yield f"{_size(usage.bytes):>9}  catalog and points"
    yield f"{_size(usage.journal_bytes):>9}  journals, with the room they reserve"
    yield f"{usage.points:>9,}  points in {usage.series:,} series"
    yield f"{usage.waiting_points:>9,}  of them not yet sorted into chunks"
    shown = usage.runs[:LARGEST_SHOWN]
    if shown:
        yield ""
        columns = [Column("run"), Column("name"), Column("size", number=True)]
        rows: list[Row] = [[run.run_id[:SHORT_ID], run.run_name, _size(run.bytes)] for run in shown]
        yield table(columns, rows, screen)
    if len(shown) < len(usage.runs):
        yield f"The largest {len(shown)} of {len(usage.runs):,} runs; --json lists all."


def removed_page(
    store: str, removed: Sequence[RunUsage], dry_run: bool, screen: Screen
) -> Iterator[str]:
    """Tell which runs were removed for good, or would be."""
    if not removed:
        yield f"Nothing to remove from {printable(store, screen)}."
        return
    columns = [Column("run"), Column("name"), Column("size", number=True)]
    rows: list[Row] = [[run.run_id[:SHORT_ID], run.run_name, _size(run.bytes)] for run in removed]
    yield table(columns, rows, screen)
    total = f"{_counted(len(removed), 'run')}, {_size(sum(run.bytes for run in removed))}"
    yield f"{total} of points: {'would be removed.' if dry_run else 'removed.'}"


def sync_page(outcome: Outcome, dry_run: bool, screen: Screen) -> Iterator[str]:
    """Tell what a sync sent, or would send, and what the target did not take."""
    compared = f"{_counted(outcome.runs, 'run')} compared"
    if outcome.operations or outcome.points:
        yield (
            f"{compared}; {_counted(outcome.operations, 'operation')} and "
            f"{_counted(outcome.points, 'point')} {'would be sent' if dry_run else 'sent'}, "
            f"of {_counted(len(outcome.sent), 'run')}."
        )
    else:
        yield f"{compared}, nothing to send."
    if outcome.verified:
        healed = (
            f"{outcome.healed:,} had lacked points" if outcome.healed else "nothing was lacking"
        )
        yield f"{outcome.verified:,} series verified, {healed}."
    if outcome.kept:
        yield ""
        yield click.style("The target keeps other values than the source has:", fg="red")
        columns = [Column("what"), Column("source"), Column("target")]
        yield table(columns, [[*each] for each in outcome.kept], screen)
    if outcome.refused:
        yield ""
        yield from _refused_lines(outcome.refused, screen)


def delivered_page(deliveries: Sequence[Delivery], screen: Screen) -> Iterator[str]:
    """Tell what was delivered to which store."""
    if not deliveries:
        yield "Nothing waits on this machine."
    for each in deliveries:
        yield (
            f"{printable(each.store, screen)}: {_counted(each.points, 'point')} and "
            f"{_counted(each.operations, 'operation')} delivered, "
            f"{_counted(each.removed, 'journal')} removed."
        )
        for sentence in (*each.damaged, *filter(None, [each.fault])):
            yield click.style(printable(sentence, screen), fg="red")
        if each.refused:
            yield from _refused_lines(each.refused, screen)


def _pairs(values: Mapping[str, str]) -> str:
    return "  ".join(f"{key}={value}" for key, value in sorted(values.items()))


def _alarming(number: int, style: str) -> Cell:
    return Cell(f"{number:,}", style if number else "")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _moment(time_ms: int) -> str:
    """Return a time as people here write it, or the number where no calendar has it."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(time_ms / 1000))
    except (OverflowError, ValueError, OSError):
        return f"{time_ms} ms"


def duration(run: ShownRun) -> str:
    """Return how long a run took, or has taken so far; nobody knows when a lost one ended."""
    if run.end_time is not None:
        return _span(run.end_time - run.start_time)
    return _span(_now_ms() - run.start_time) if run.status == "RUNNING" else "-"


def _span(span_ms: int) -> str:
    """Return a span of time in its two largest units."""
    seconds = span_ms / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds) // 60
    if minutes < 60:
        return f"{minutes} min {round(seconds) % 60:02} s"
    hours = minutes // 60
    if hours < 24:
        return f"{hours} h {minutes % 60:02} min"
    return f"{hours // 24:,} d {hours % 24:02} h"


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB"
