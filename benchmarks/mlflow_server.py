"""steplog's client and MLflow's own against one stock MLflow server, which is killed twice.

    python benchmarks/mlflow_server.py
    python benchmarks/mlflow_server.py --points 20000 --theirs 200

Each client logs one metric in a loop, as a training does, in a process of its own; what is told is
what a call cost the loop, and how long it took until the server had all points. MLflow's client
logs fewer points, for it takes long; figures are for each point. While steplog's points are on
their way the server is killed (`kill -9`) twice, at a third and at two thirds, and started again.

The exit code is 1 where a point is lost or there twice, or where steplog's calls are not ten times
as fast as MLflow's.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import servers
from serve import Serving

STEPLOG, KILLED = "steplog", "steplog, kill -9 twice"
SYNCHRONOUS, ASYNCHRONOUS = "MLflow", "MLflow, asynchronous"
CLIENTS = (STEPLOG, KILLED, SYNCHRONOUS, ASYNCHRONOUS)
ROW = "{:<24}{:>9}{:>16}{:>18}{:>12}{:>9}"
KEY = "loss"


def log(client: str, points: int) -> None:
    """Log in this process; print what a call cost in µs, and the seconds until all had arrived."""
    if client in (STEPLOG, KILLED):
        import steplog

        steplog.set_experiment(client)
        with steplog.start_run():
            begun = time.perf_counter()
            cost = _loop(steplog.log_metric, points)
        while not steplog.Client().recorder.flush(60):
            pass
    else:
        import mlflow

        mlflow.set_experiment(client)
        with mlflow.start_run():
            begun = time.perf_counter()
            log_metric = mlflow.log_metric
            cost = _loop(log_metric if client == SYNCHRONOUS else _asynchronous(log_metric), points)
            mlflow.flush_async_logging()
    print(cost / 1e3, time.perf_counter() - begun)


def _asynchronous(log_metric: Callable[..., object]) -> Callable[..., object]:
    return lambda key, value, step: log_metric(key, value, step, synchronous=False)


def _loop(log_metric: Callable[..., object], points: int) -> float:
    """Return the nanoseconds of one call."""
    begin = time.perf_counter_ns()
    for step in range(points):
        log_metric(KEY, step / 7, step)
    return (time.perf_counter_ns() - begin) / points


def measure(client: str, points: int, directory: str, serving: Serving) -> float:
    """Have a process log, print what came of it, and return what a call cost in µs."""
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{serving.port}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "STEPLOG_STATE_DIR": f"{directory}/state",
        "PYTHONWARNINGS": "ignore",
    }
    before, kills = _count(directory), 2 if client == KILLED else 0
    command = [sys.executable, __file__, "--log", client, "--points", str(points)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL
    ) as child:
        for number in range(1, kills + 1):
            while _count(directory) < before + number * points // (kills + 1):
                if child.poll() is not None:
                    raise SystemExit(f"{client} ended before its points had arrived")
                time.sleep(0.05)
            serving.kill()
            serving.start()
        said, _ = child.communicate()
    cost, seconds = map(float, said.split())
    stored, once = _stored(directory, client)
    lost, doubled = points - once, stored - once
    print(
        ROW.format(
            client, f"{points:,}", f"{cost:,.2f}", f"{points / seconds:,.0f}",
            f"{lost:,}", f"{doubled:,}",
        ),
        flush=True,
    )  # fmt: skip
    if lost or doubled:
        raise SystemExit(1)
    return cost


def _count(directory: str) -> int:
    """Return how many points there are, without asking the server, which may be dead."""
    return _asked(directory, "SELECT count(*), 0 FROM metrics", ())[0]


def _stored(directory: str, client: str) -> tuple[int, int]:
    """Return how many points of a client there are, and how many of those that it logged."""
    return _asked(
        directory,
        "SELECT count(*), count(DISTINCT CASE WHEN value = step / 7.0 THEN step END)"
        " FROM metrics JOIN runs USING (run_uuid) JOIN experiments USING (experiment_id)"
        " WHERE experiments.name = ?",
        (client,),
    )


def _asked(directory: str, query: str, values: tuple[str, ...]) -> tuple[int, int]:
    uri = f"file:{directory}/mlflow.db?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=60)) as database:
        first, second = database.execute(query, values).fetchone()
        return int(first), int(second)


def main() -> None:
    """Parse the command line, serve, have all clients log, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--points", type=int, default=100_000, help="that steplog logs")
    parser.add_argument("--theirs", type=int, default=1_000, help="that MLflow's client logs")
    parser.add_argument("--log", choices=CLIENTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.log:
        log(options.log, options.points)
        return
    with tempfile.TemporaryDirectory(prefix="steplog-mlflow-") as directory:
        with Serving(servers.MLFLOW, directory) as serving:
            print(ROW.format("", "points", "µs a call", "arrived a second", "lost", "doubled"))
            costs = {}
            for client in CLIENTS:
                points = options.points if client in (STEPLOG, KILLED) else options.theirs
                costs[client] = measure(client, points, directory, serving)
        ratios = {each: costs[each] / costs[KILLED] for each in (SYNCHRONOUS, ASYNCHRONOUS)}
        for client, ratio in ratios.items():
            print(f"a call of steplog's takes 1/{ratio:,.0f} of one of {client}")
        size = Path(directory, "mlflow.db").stat().st_size
        print(f"the server's database has {size / 1e6:.0f} MB")
        sys.exit(min(ratios.values()) < 10)


if __name__ == "__main__":
    main()
