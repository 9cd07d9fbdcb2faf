"""The spool of a far store: how much of the disk it may take, and what happens beyond that."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from serving import SECONDS, serving

import steplog
from steplog import filesystem, settings
from steplog.backend import backend
from steplog.cli import main
from steplog.journal import CAPACITY, SLOT
from steplog.writer import Writer

LIMIT_MB, MEMORY_MB = 20, 1
POINTS = 1_000_000  # 32 MB of them

TRAINING = """
import json, sys, time, warnings
from functools import partial
import steplog
from steplog.backend import backend
from steplog.stores import http

http.Patience = partial(http.Patience, most=1.0)  # the test does not wait for a minute
warnings.simplefilter("always")
warned = []
warnings.showwarning = lambda message, *_: warned.append(str(message))
run = steplog.start_run()
for step in range(int(sys.argv[1])):
    steplog.log_metric("loss", 0.5, step)
writer = backend().recorder.writer
print(json.dumps([run.info.run_id, writer.dropped, writer.fault, warned]), flush=True)
sys.stdin.readline()  # the server has come
while writer.fault or not backend().recorder.flush(5):
    time.sleep(0.05)
for step in range(1000):
    steplog.log_metric("later", 0.5, step)
steplog.end_run()
print(writer.dropped, flush=True)
"""


def free_port() -> int:
    """Return a port on which nobody listens, for a server that comes later."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.mark.long
@pytest.mark.slow
def test_a_spool_that_is_full(tmp_path: Path) -> None:
    """Journals of a server that is away take what they may, then memory does; what is beyond that
    is dropped and counted, the oldest is kept, and with the server back all goes on by itself.
    """
    port = free_port()
    environment = {
        **os.environ,
        "STEPLOG_TRACKING_URI": f"http://127.0.0.1:{port}",
        "STEPLOG_STATE_DIR": str(tmp_path / "state"),
        "STEPLOG_SPOOL_LIMIT_MB": str(LIMIT_MB),
        "STEPLOG_MEMORY_LIMIT_MB": str(MEMORY_MB),
    }
    with subprocess.Popen(
        [sys.executable, "-c", TRAINING, str(POINTS)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    ) as training:  # fmt: skip
        assert training.stdin is not None and training.stdout is not None
        run_id, dropped, fault, warned = json.loads(training.stdout.readline())
        (spool,) = (tmp_path / "state" / "spool").iterdir()
        taken = filesystem.bytes_in(str(spool / "journal"))
        assert LIMIT_MB << 20 <= taken < (LIMIT_MB << 20) + CAPACITY
        kept = POINTS - dropped
        assert (LIMIT_MB << 20) // SLOT - POINTS // 100 < kept < POINTS
        assert "STEPLOG_SPOOL_LIMIT_MB is 20" in fault
        assert sum("SPOOL_LIMIT_MB" in text for text in warned) == 1
        assert sum("drops points" in text for text in warned) == 1
        with serving(tmp_path / "store", "--port", str(port)):
            training.stdin.write("\n")
            training.stdin.flush()
            assert int(training.stdout.readline()) == dropped
            assert training.wait(SECONDS) == 0
    client = steplog.Client(str(tmp_path / "store"))
    steps = [each.step for each in client.get_metric_history(run_id, "loss")]
    assert steps == list(range(kept))
    assert len(client.get_metric_history(run_id, "later")) == 1000
    assert not list((spool / "journal").iterdir())


@pytest.mark.slow
def test_status_of_what_waits_for_a_server(tmp_path: Path) -> None:
    """What was logged for a server that is away is told, with its time and its room on the disk;
    once the server is there, exactly.
    """
    port = free_port()
    settings.override("STEPLOG_TRACKING_URI", f"http://127.0.0.1:{port}")
    settings.override("STEPLOG_STATE_DIR", str(tmp_path / "state"))
    settings.override("STEPLOG_OFFLINE", True)
    began_ms = time.time_ns() // 1_000_000
    with steplog.start_run():
        for step in range(10):
            steplog.log_metric("loss", 0.5, step)
    result = CliRunner().invoke(main, ["status", "--json"])
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    waiting, spool = found["waiting"], found["spool"]
    assert (waiting["points"], waiting["exact"]) == (10, False)
    assert waiting["operations"] >= 2
    assert began_ms <= waiting["since_ms"] <= time.time_ns() // 1_000_000
    assert 0 < spool["bytes"] < spool["limit"] == 10240 << 20
    assert spool["directory"] == str(Path(found["journals"][0]["path"]).parent)
    assert f"http://127.0.0.1:{port}" in found["fault"]
    page = CliRunner().invoke(main, ["status"]).stdout
    assert re.search(r"^Waiting here since .*: at most 10 points, \d operations\.$", page, re.M)
    with serving(tmp_path / "store", "--port", str(port)):
        backend().close()  # its patience, too
        found = json.loads(CliRunner().invoke(main, ["status", "--json"]).stdout)
        assert (found["waiting"]["points"], found["waiting"]["exact"]) == (10, True)
        assert CliRunner().invoke(main, ["ingest"]).exit_code == 0
        found = json.loads(CliRunner().invoke(main, ["status", "--json"]).stdout)
        assert (found["waiting"]["points"], found["waiting"]["since_ms"]) == (0, None)


def test_how_full_a_spool_is_is_looked_up_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer of a spool looks at its directory now and then, not for every point or stretch."""
    looks = 0
    bytes_in = filesystem.bytes_in

    def counted(directory: str) -> int:
        nonlocal looks
        looks += 1
        return bytes_in(directory)

    monkeypatch.setattr(filesystem, "bytes_in", counted)
    monkeypatch.setattr("steplog.writer.LOOK_SECONDS", 3_600.0)
    settings.override("STEPLOG_SPOOL_LIMIT_MB", 100)
    writer = Writer(str(tmp_path), lambda: b"", lambda: None, spool=True)
    for _ in range(100):
        assert writer.write(lambda journal: journal.append(bytes(SLOT * 4096)), SLOT * 4096)
    assert looks == 1
    writer.seal()
    writer.release_retired(at_once=True)


def test_a_store_that_is_no_spool_has_no_limit(tmp_path: Path) -> None:
    """The journals beside an embedded store are not limited."""
    settings.override("STEPLOG_SPOOL_LIMIT_MB", 0)
    writer = Writer(str(tmp_path), lambda: b"", lambda: None)
    assert writer.write(lambda journal: journal.append(bytes(SLOT)), SLOT)
    assert not writer.held_bytes()
    writer.seal()
    writer.release_retired(at_once=True)
