"""The command `steplog gc`: it removes for good the runs that were deleted.

Deleting a run, as in MLflow, only hides it. What is removed here cannot be restored.
"""

from __future__ import annotations

import sys
import time
from functools import partial

import click

from steplog.backend import Backend, backend
from steplog.command import Report, command
from steplog.entities import LifecycleStage
from steplog.stores.base import RunRecord

_DAY_MS = 24 * 3600 * 1000


@command
@click.option(
    "--older-than",
    metavar="DAYS",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Only runs that ended, or began if they never did, so many days ago.",
)
@click.option("--dry-run", is_flag=True, help="Only tell which runs they are.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def gc(older_than: float, dry_run: bool, yes: bool) -> Report:
    """Remove the runs that were deleted, with their points, for good.

    Deleted runs, and those of deleted experiments, are hidden, take space and can be restored;
    what is removed here cannot be. Runs of a process that still lives stay.
    """
    from steplog import pages

    chosen = backend(click.get_current_context().obj)
    records = deleted_runs(chosen, time.time_ns() // 1_000_000 - int(older_than * _DAY_MS))
    run_ids = [record.row.run_id for record in records]
    sizes = chosen.store().stats()["runs_bytes"]
    removed = [
        pages.RunUsage(record.row.run_id, record.row.name, sizes.get(record.row.run_id, 0))
        for record in records
    ]
    if run_ids and not dry_run:
        if not yes:
            _confirm(chosen, len(run_ids))
        chosen.store().purge(run_ids)
    document: dict[str, object] = {
        "store": chosen.place.name,
        "dry_run": dry_run,
        "runs": removed,
    }
    return Report(document, partial(pages.removed_page, chosen.place.name, removed, dry_run))


def deleted_runs(chosen: Backend, before_ms: int) -> list[RunRecord]:
    """Return the deleted runs that nobody writes any more.

    Args:
        chosen: of the store.
        before_ms: the latest time at which they ended, or began, in ms since the epoch.

    """
    store = chosen.store()
    live = chosen.live_writers()
    gone = {
        record.row.experiment_id
        for record in store.experiments()
        if record.row.lifecycle_stage != LifecycleStage.ACTIVE
    }
    return [
        record
        for record in store.runs()
        if (record.row.lifecycle_stage != LifecycleStage.ACTIVE or record.row.experiment_id in gone)
        and _last_time(record) <= before_ms
        and (record.row.status != "RUNNING" or record.writers.isdisjoint(live))
    ]


def _last_time(record: RunRecord) -> int:
    return record.row.start_time if record.row.end_time is None else record.row.end_time


def _confirm(chosen: Backend, runs: int) -> None:
    question = f"Remove {runs} deleted run{'s' * (runs > 1)} from {chosen.place.name} for good?"
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody is there to be asked: say so by --yes.")
    click.confirm(question, abort=True, err=True)
