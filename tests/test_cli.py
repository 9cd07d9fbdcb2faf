"""The command line: what each command says and does, on a terminal, in a pipe and as JSON."""

from __future__ import annotations

import json
import math
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import steplog
from steplog import cli
from steplog.cli import main

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"
STEPLOG = [sys.executable, "-m", "steplog"]

# Logs to a run of its own and dies: nobody ingests what it logged but who looks for it.
ORPHAN = """
import os, steplog
steplog.start_run(run_name="orphan")
for step in range(10):
    steplog.log_metric("loss", 1 / (step + 1), step)
os._exit(0)
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="steplog")


def text(*arguments: str) -> str:
    """What a command prints when all is well."""
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert not result.stderr
    return result.stdout


def document(*arguments: str) -> Any:
    return json.loads(text(*arguments, "--json"))


def refusal(*arguments: str) -> str:
    """The one line that a command that cannot do its work says."""
    result = run(*arguments)
    assert result.exit_code == 1
    assert not result.stdout
    return result.stderr


def log_orphan() -> None:
    """Leave the journal of a dead process behind."""
    environment = {**os.environ, "STEPLOG_INGEST": "off"}
    subprocess.run([sys.executable, "-c", ORPHAN], env=environment, check=True)


@pytest.fixture
def recorded() -> str:
    """Record one finished run, with a NaN and an infinity, and return its id."""
    steplog.set_experiment("digits")
    with steplog.start_run(run_name="busy-bee") as started:
        steplog.log_params({"lr": 0.1})
        steplog.set_tag("team", "vision")
        for step in range(100):
            steplog.log_metric("train/loss", math.exp(-step / 20), step)
        steplog.log_metric("train/loss", math.nan, 100)
        steplog.log_metrics({"valid/loss": 0.5, "valid/accuracy": math.inf}, 100)
    return started.info.run_id


# Documents ----------------------------------------------------------------------------------------


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Return the names that lead to each command of a group, and to the group."""
    yield path
    for name, each in group.commands.items():
        if isinstance(each, click.Group):
            yield from commands(each, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", [*commands(main)], ids=" ".join)
def test_the_help_of_every_command_is_in_the_documents(path: tuple[str, ...]) -> None:
    """docs/cli.md holds the help of every command, word for word."""
    result = CliRunner().invoke(main, [*path, "--help"], prog_name="steplog", terminal_width=80)
    assert f"```text\n{result.output.rstrip()}\n```" in PAGE.read_text("utf-8")


@pytest.mark.parametrize(
    "command",
    [
        *sorted({*main.commands} - {"db", "export", "show", "server", "token", "ui"}),
        *("db upgrade", "db check", "db stats", "token create --role read"),
    ],
)
def test_the_fields_of_every_document_are_in_the_documents(command: str, recorded: str) -> None:
    """docs/cli.md names every field that --json prints, and the document is all that is printed."""
    log_orphan()
    fields = set(_fields(document(*command.split())))
    assert fields and fields <= set(re.findall(r"`(\w+)`", PAGE.read_text("utf-8")))


def test_the_fields_of_a_run_are_in_the_documents(recorded: str) -> None:
    """docs/cli.md names every field of `steplog show --json`."""
    shown = document("show", recorded)
    fields = {*shown, *shown["run"], *_fields(shown["series"])}
    assert fields <= set(re.findall(r"`(\w+)`", PAGE.read_text("utf-8")))


def _fields(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    for item in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from _fields(item)


# runs ---------------------------------------------------------------------------------------------


def test_runs_are_listed(recorded: str) -> None:
    """A run has a line with the beginning of its id, its name, its experiment and its status."""
    assert re.search(rf"^{recorded[:8]} +busy-bee +digits +FINISHED ", text("runs"), re.MULTILINE)


def test_runs_of_one_experiment(recorded: str) -> None:
    """--experiment leaves the others out; one that is not there is an error that lists them."""
    steplog.set_experiment("letters")
    steplog.start_run(run_name="slow-snail")
    steplog.end_run()
    assert [each["run_name"] for each in document("runs", "--experiment", "letters")["runs"]] == [
        "slow-snail"
    ]
    error = refusal("runs", "--experiment", "numbers")
    assert "'numbers'" in error and "'digits'" in error and "'letters'" in error


def test_runs_are_limited_on_the_screen(recorded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The screen shows the newest runs and says how many there are; a document holds all."""
    monkeypatch.setattr(cli, "RUNS_SHOWN", 2)
    for number in range(3):
        steplog.start_run(run_name=f"run-{number}")
        steplog.end_run()
    assert text("runs").splitlines()[-1] == "The newest 2 of 4 runs; --limit 0 shows all."
    assert len(document("runs")["runs"]) == 4
    assert len(document("runs", "--limit", "3")["runs"]) == 3
    assert "run-0" in text("runs", "--limit", "0")


def test_deleted_runs_are_not_listed(recorded: str) -> None:
    """A run that was deleted is not among the runs, but it can still be shown."""
    steplog.delete_run(recorded)
    assert text("runs") == "No runs yet.\n"
    assert document("show", recorded)["run"]["lifecycle_stage"] == "deleted"


def test_a_run_whose_process_died_is_lost() -> None:
    """A run without an end and without a living writer is LOST, not RUNNING."""
    log_orphan()
    steplog.start_run(run_name="alive")
    statuses = {each["run_name"]: each["status"] for each in document("runs")["runs"]}
    assert statuses == {"orphan": "LOST", "alive": "RUNNING"}


# show ---------------------------------------------------------------------------------------------


def test_a_run_is_shown_with_its_curves(recorded: str) -> None:
    """A run's page has what is known of it, a line for each series, a chart for each key."""
    page = text("show", recorded)
    assert page.startswith("busy-bee  FINISHED\n")
    assert re.search(rf"^run +{recorded}$", page, re.MULTILINE)
    assert re.search(r"^params +lr=0.1$", page, re.MULTILINE)
    assert re.search(r"^tags +team=vision$", page, re.MULTILINE)
    assert re.search(r"^train/loss .* 101 \(1 NaN\)$", page, re.MULTILINE)
    assert re.search(r"^valid/accuracy .* Infinity ", page, re.MULTILINE)
    charts = [line for line in page.splitlines() if line in ("train/loss", "valid/loss")]
    assert charts == ["train/loss", "valid/loss"]


def test_a_run_is_found_by_a_part_of_its_id_or_by_its_name(recorded: str) -> None:
    """The beginning of an id is enough, and so is a name."""
    pages = [text("show", part) for part in (recorded, recorded[:12], "busy-bee")]
    assert len(set(pages)) == 1


def test_a_run_that_is_not_there_is_an_error(recorded: str) -> None:
    """An unknown run is named, and so is the command that lists the known ones."""
    error = refusal("show", "nobody")
    assert "'nobody'" in error and "`steplog runs`" in error


def test_a_name_that_several_runs_have_is_an_error(recorded: str) -> None:
    """An ambiguous name is answered with the ids to choose from."""
    with steplog.start_run(run_name="busy-bee") as other:
        pass
    error = refusal("show", "busy-bee")
    assert "2 runs" in error and recorded in error and other.info.run_id in error


def test_keys_may_be_patterns(recorded: str) -> None:
    """A pattern shows the series whose keys it matches, and no others."""
    keys = [series["key"] for series in document("show", recorded, "valid/*")["series"]]
    assert keys == ["valid/accuracy", "valid/loss"]
    assert "train/loss" not in text("show", recorded, "valid/*")


def test_a_key_that_is_not_there_is_an_error(recorded: str) -> None:
    """An unknown metric is named, and so are those that the run has."""
    error = refusal("show", recorded, "f1")
    assert "'f1'" in error and "train/loss, valid/accuracy, valid/loss" in error


def test_many_curves_are_drawn_only_when_named() -> None:
    """A run of many metrics has a table of them and says how to see their curves."""
    with steplog.start_run() as started:
        steplog.log_metrics({f"metric-{number}": float(number) for number in range(20)}, 1)
    page = text("show", started.info.run_id)
    assert "│" not in page and "steplog show RUN KEY" in page
    assert "│" in text("show", started.info.run_id, "metric-1*")


def test_series_of_one_key_share_a_chart() -> None:
    """What was measured on several datasets is drawn together and told apart by a legend."""
    with steplog.start_run() as started:
        for name in ("digits", "letters"):
            data = steplog.entities.Dataset(name, "d1")
            steplog.log_metric("loss", 1.0, 1, dataset=data)
    page = text("show", started.info.run_id)
    assert "* loss on digits@d1   o loss on letters@d1" in page.splitlines()


def test_a_logarithmic_axis_can_be_asked_for(recorded: str) -> None:
    """--log labels decades, where the linear axis has equal steps."""
    assert re.search(r"^ *0.01 │", text("show", recorded, "train/loss", "--log"), re.MULTILINE)


def test_a_run_without_metrics_is_shown() -> None:
    """A run that has logged nothing has a page, too."""
    with steplog.start_run() as started:
        pass
    assert text("show", started.info.run_id).endswith("No metrics yet.\n")


def test_json_has_words_for_what_is_not_a_number(recorded: str) -> None:
    """NaN and infinities are texts in documents, which stay JSON; what is unknown is null."""
    series = {each["key"]: each for each in document("show", recorded)["series"]}
    assert series["train/loss"]["last"] == "NaN"
    assert series["train/loss"]["nan_count"] == 1
    assert series["valid/accuracy"]["max"] == "Infinity"
    assert series["valid/loss"]["model_id"] is None


# status -------------------------------------------------------------------------------------------


def test_status_tells_of_orphaned_journals_and_leaves_them() -> None:
    """The journal of a dead process is shown with what is pending, as often as one looks."""
    log_orphan()
    for _ in range(2):
        (journal,) = document("status")["journals"]
        assert (journal["live"], journal["pending_points"]) == (False, 10)
    assert re.search(r"^orphaned .* 10 +0 +0$", text("status"), re.MULTILINE)


def test_status_tells_that_all_is_well(recorded: str) -> None:
    """Where everything is in the store, status says so."""
    steplog.flush_async_logging()
    assert "No operation was refused." in text("status")


def test_status_tells_of_a_damaged_catalog(recorded: str, tmp_path: Path) -> None:
    """Where the catalog cannot be read, status says so and still lists the journals."""
    (catalog,) = tmp_path.rglob("catalog.db")
    catalog.write_bytes(b"not a database, but long enough for a header " * 100)
    result = CliRunner().invoke(main, ["status"])
    assert result.exit_code == 1
    assert "damaged" in result.stdout or "not a catalog" in result.stdout


def test_status_tells_of_refused_operations(recorded: str) -> None:
    """An operation that the catalog refused is shown with its run and the reason."""
    with steplog.start_run() as started:
        steplog.log_param("lr", 1)
        steplog.log_param("lr", 2, synchronous=False)
        steplog.flush_async_logging()
    (refused,) = document("status")["refused"]
    assert refused["run_id"] == started.info.run_id
    assert refused["error_code"] == "INVALID_PARAMETER_VALUE"
    assert f"run {started.info.run_id[:8]}: " in text("status")


# ingest -------------------------------------------------------------------------------------------


def test_ingest_moves_what_journals_hold() -> None:
    """What a dead process left is moved once, and its journal removed."""
    log_orphan()
    report = document("ingest")
    assert (report["points"], len(report["removed"]), report["damaged"]) == (10, 1, [])
    assert not list(Path("steplog-store/journal").iterdir())
    assert text("ingest").startswith("0 points and 0 operations moved")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watching_ends_cleanly(number: signal.Signals) -> None:
    """--watch moves what is there and, interrupted, tells in all what it has moved."""
    log_orphan()
    watch = subprocess.Popen(
        [*STEPLOG, "ingest", "--watch", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with watch:
        assert watch.stderr is not None and watch.stdout is not None
        while "10 points" not in watch.stderr.readline():
            assert watch.poll() is None
        watch.send_signal(number)
        assert json.loads(watch.stdout.read())["points"] == 10
        assert not watch.stderr.read()
    assert watch.returncode == 0


# check --------------------------------------------------------------------------------------------


def test_check_finds_nothing_in_a_sound_store(recorded: str) -> None:
    """A sound store is said to be sound, and how much of it was looked at."""
    assert text("check") == "3 series checked, all sound.\n"


def test_check_finds_a_flipped_bit(recorded: str) -> None:
    """A chunk whose bytes changed is damage: it is shown where, and the exit code is 1."""
    text("runs")
    with sqlite3.connect("steplog-store/catalog.db") as connection:
        connection.execute("UPDATE chunk_bytes SET bytes = zeroblob(length(bytes))")
    connection.close()
    result = run("check")
    assert result.exit_code == 1
    assert "3 faults found" in result.stdout
    result = run("check", "--json")
    assert result.exit_code == 1
    assert len(json.loads(result.stdout)["damage"]) == 3


@pytest.mark.parametrize("command", ["check", "db check"])
def test_check_finds_that_the_catalog_is_none(recorded: str, command: str) -> None:
    """A catalog that is no database is damage like any other, and no traceback."""
    text("runs")
    Path("steplog-store/catalog.db").write_bytes(b"no database" * 1_000)
    result = run(*command.split(), "--json")
    assert result.exit_code == 1
    assert len(json.loads(result.stdout)["damage"]) == 1


# du -----------------------------------------------------------------------------------------------


def test_du_tells_what_takes_space(recorded: str) -> None:
    """Bytes are told of the whole and of each run, the largest first."""
    with steplog.start_run() as large:
        for step in range(5_000):
            steplog.log_metric("loss", math.sin(step), step)
    text("runs")
    usage = document("du")
    assert [each["run_id"] for each in usage["runs"]] == [large.info.run_id, recorded]
    assert usage["bytes"] > usage["runs"][0]["bytes"] > usage["runs"][1]["bytes"] > 0
    assert (usage["series"], usage["points"]) == (4, 5_103)
    assert re.search(r"^[ \d.]+ kB  catalog and points$", text("du"), re.MULTILINE)


# All commands -------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["runs", "show x", "status", "ingest", "check", "du"])
def test_looking_for_a_store_does_not_make_one(command: str, tmp_path: Path) -> None:
    """Where there is no store, every command says so and leaves the directory as it is."""
    assert "no store in" in refusal(*command.split(), "--store", str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_the_store_may_be_named_before_or_after_the_command(recorded: str, tmp_path: Path) -> None:
    """--store works in both places; the one after the command wins."""
    store = str(Path("steplog-store").absolute())
    elsewhere = str(tmp_path / "elsewhere")
    listed = text("runs")
    assert text("--store", store, "runs") == listed
    assert text("--store", elsewhere, "runs", "--store", store) == listed
    assert elsewhere in refusal("--store", elsewhere, "runs")


def test_an_unknown_scheme_is_an_error() -> None:
    """A URI that names no store of steplog's is answered in a sentence."""
    assert "postgresql" in refusal("runs", "--store", "postgresql://host/db")


def test_misuse_has_its_own_exit_code() -> None:
    """A command line that was not understood ends with 2."""
    assert run("show").exit_code == run("runs", "--limit", "many").exit_code == 2


def test_help_waits_for_nothing() -> None:
    """--help loads neither numpy nor rich nor a database."""
    script = """
import sys
from steplog.cli import main
main(["show", "--help"], standalone_mode=False)
print(sorted({"numpy", "rich", "sqlite3"} & set(sys.modules)))
"""
    finished = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    assert finished.stdout.splitlines()[-1] == "[]"


def test_a_closed_pipe_is_silent(recorded: str) -> None:
    """Who reads only the beginning of a page (`| head`) gets no error with it."""
    reader, writer = os.pipe()
    os.close(reader)
    finished = subprocess.run([*STEPLOG, "show", recorded], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert finished.stderr == b""


def test_a_pipe_without_unicode_gets_ascii(recorded: str) -> None:
    """Where the encoding has no braille, charts and tables are ASCII."""
    finished = subprocess.run(
        [*STEPLOG, "show", recorded],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert finished.stdout.isascii()
    assert b"|*" in finished.stdout


def on_a_terminal(*command: str, **environment: str) -> str:
    """What a command writes to a terminal of 80 columns, on standard output and error."""
    ours, theirs = pty.openpty()
    settings = {**os.environ, "TERM": "xterm", "COLUMNS": "80", **environment}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=settings):
        os.close(theirs)
        written = b""
        try:
            while piece := os.read(ours, 65_536):
                written += piece
        except OSError:  # Linux's way to say that the other side was closed
            pass
    os.close(ours)
    return written.decode()


def test_a_terminal_gets_colours_and_its_width(recorded: str) -> None:
    """On a terminal the status has its colour, and no line is wider than the window."""
    page = on_a_terminal(*STEPLOG, "show", recorded)
    assert "\x1b[32mFINISHED" in page
    plain = re.sub(r"\x1b\[[\d;]*m", "", page)
    assert max(map(len, plain.splitlines())) <= 80
    assert "Infinity" in plain


def test_no_color_is_respected(recorded: str) -> None:
    """With NO_COLOR set, a terminal gets no escape sequence."""
    assert "\x1b" not in on_a_terminal(*STEPLOG, "show", recorded, NO_COLOR="1")


def test_long_work_shows_how_far_it_is(recorded: str) -> None:
    """Work that takes longer than a person's patience has a bar, which vanishes in the end."""
    script = "from steplog import cli, working; working.PATIENCE_SECONDS = 0; cli.main(['check'])"
    written = on_a_terminal(sys.executable, "-c", script)
    assert "Checking" in written
    assert written.rstrip().endswith("all sound.")


def test_every_command_has_help() -> None:
    """Every command and every option of it says what it does."""
    for command in main.commands.values():
        assert command.help
        assert all(option.help for option in command.params if isinstance(option, click.Option))
