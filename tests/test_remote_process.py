"""Trainings that log to a server's process which is killed, or is not there at all."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving import serving

import steplog
from steplog.stores import open_store
from steplog.stores.base import Damage

pytestmark = [pytest.mark.long, pytest.mark.slow]

SECONDS = 120.0
KILLS = 20
LOG_UNTIL_TOLD = """
import sys, threading, time, steplog
told = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), told.set()), daemon=True).start()
steplog.set_tracking_uri(sys.argv[1])
with steplog.start_run() as run:
    print(run.info.run_id, flush=True)
    step = 0
    while not told.wait(0.01):
        for step in range(step, step + 300):
            steplog.log_metric("loss", step / 7, step)
        step += 1
    steplog.log_param("steps", step)
"""
LOG_WHILE_AWAY = """
import re, sys, time, steplog
def anonymous():  # bytes of memory that no file stands behind
    return int(re.search(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())[1]) << 10
steplog.set_tracking_uri(sys.argv[1])
with steplog.start_run() as run:
    log = run.metric("loss").log
    log(0.0, 0)
    steplog.flush_async_logging()
    before = anonymous()
    most = 0
    for step in range(1, POINTS):
        log(step / 7, step)
        if step % 100_000 == 0:
            most = max(most, anonymous() - before)
    print(run.info.run_id, most, flush=True)
    sys.stdin.read()
    steplog.flush_async_logging()
"""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def start(script: str, url: str, settings: Mapping[str, str] = {}) -> subprocess.Popen[str]:
    """Start a training that logs to a server."""
    return subprocess.Popen(
        [sys.executable, "-c", script, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **settings},
    )


def said(process: subprocess.Popen[str]) -> str:
    """Return the next line of what a training says."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def steps_of(url: str, run_id: str) -> Any:
    """Return the steps of a run's loss, whose values must be theirs."""
    client = steplog.Client(url)
    [series] = client.store.series([run_id], ["loss"])
    pieces = [*client.store.points(series.series_id)]
    steps = np.concatenate([each.step for each in pieces])
    assert (np.concatenate([each.value for each in pieces]) == steps / 7).all()
    return steps


def test_a_server_killed_again_and_again_loses_nothing(tmp_path: Path) -> None:
    """Of two trainings that log all the time, every point is there at the end, and once."""
    port = free_port()
    url, options = f"http://127.0.0.1:{port}", ("--port", str(port))
    chance = random.Random(20)
    trainings = [start(LOG_UNTIL_TOLD, url) for _ in range(2)]
    run_ids = [said(each) for each in trainings]
    for _ in range(KILLS):
        with serving(tmp_path / "store", *options) as server:
            with pytest.raises(subprocess.TimeoutExpired):
                server.process.wait(chance.uniform(0.05, 1.0))
            server.stop(signal.SIGKILL)
    with serving(tmp_path / "store", *options) as server:
        for training in trainings:
            _, complaints = training.communicate("", SECONDS)
            assert training.returncode == 0, complaints
        for run_id in run_ids:
            steps = steps_of(url, run_id)
            run = steplog.Client(url).get_run(run_id)
            assert run.info.status == "FINISHED"
            assert steps.size == int(run.data.params["steps"]) > 1_000
            assert (steps == np.arange(steps.size)).all()
        assert server.stop() == 0
    with closing(open_store(tmp_path / "store")) as store:
        assert not [each for each in store.check() if isinstance(each, Damage)]


def test_an_outage_costs_no_memory(tmp_path: Path) -> None:
    """Without a server two million points take disk and no memory; all arrive when it comes."""
    points = 2_000_000
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    training = start(LOG_WHILE_AWAY.replace("POINTS", str(points)), url)
    run_id, most = said(training).split()
    assert int(most) < 20 << 20
    with serving(tmp_path / "store", "--port", str(port)):
        _, complaints = training.communicate("", SECONDS)
        assert training.returncode == 0, complaints
        assert (steps_of(url, run_id) == np.arange(points)).all()
    spool = next((tmp_path / "state" / "spool").iterdir())
    assert [*(spool / "journal").iterdir()] == []
