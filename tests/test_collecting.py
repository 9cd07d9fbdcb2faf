"""`steplog gc`: what was deleted is removed for good, and nothing else."""

from __future__ import annotations

import json

from click.testing import CliRunner, Result

import steplog
from steplog.cli import main


def steplog_gc(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["gc", *arguments], prog_name="steplog")


def logged(name: str) -> str:
    with steplog.start_run(run_name=name) as run:
        steplog.log_metrics({"loss": 0.5}, step=1)
    run_id: str = run.info.run_id
    return run_id


def test_deleted_runs_are_removed_and_others_stay() -> None:
    """Runs that were deleted, or whose experiment was, are gone; active ones are whole."""
    client = steplog.Client()
    kept, deleted = logged("kept"), logged("deleted")
    experiment_id = steplog.set_experiment("old").experiment_id
    inside = logged("inside")
    client.delete_run(deleted)
    client.delete_experiment(experiment_id)
    would = json.loads(steplog_gc("--dry-run", "--json").output)
    assert {each["run_id"] for each in would["runs"]} == {deleted, inside}
    assert steplog.read(deleted)[0].value.tolist() == [0.5]
    result = steplog_gc("--yes")
    assert result.exit_code == 0
    assert "2 runs" in result.output
    assert steplog.read([deleted, inside]) == []
    assert steplog.read(kept)[0].value.tolist() == [0.5]
    assert "Nothing to remove" in steplog_gc("--yes").output


def test_nothing_is_removed_unasked() -> None:
    """Without a terminal to ask on, nothing is removed before --yes says so."""
    deleted = logged("deleted")
    steplog.Client().delete_run(deleted)
    result = steplog_gc()
    assert result.exit_code == 2
    assert "--yes" in result.output
    assert steplog.read(deleted) != []


def test_a_run_may_be_too_young() -> None:
    """With --older-than, a run that has just ended stays."""
    deleted = logged("deleted")
    steplog.Client().delete_run(deleted)
    assert "Nothing to remove" in steplog_gc("--yes", "--older-than", "1").output
    assert steplog.read(deleted) != []
    assert "1 run" in steplog_gc("--yes", "--older-than", "0").output


def test_a_run_that_is_being_written_stays() -> None:
    """A deleted run whose process still lives and has not ended it is not removed."""
    run = steplog.start_run()
    steplog.log_metric("loss", 0.5)
    steplog.Client().delete_run(run.info.run_id)
    assert "Nothing to remove" in steplog_gc("--yes").output
    steplog.Client().restore_run(run.info.run_id)
    steplog.end_run()
