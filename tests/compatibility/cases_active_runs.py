"""The active run: of this thread, of another one, of a forked child."""

from __future__ import annotations

import os
import threading
from typing import Any

from compatibility.cases import case


def in_thread(function: Any) -> object:
    """Call a function in a thread of its own and return what it returned."""
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


@case
def now_and_last(mlflow: Any) -> object:
    """The active run is what was started; the last active one is fetched anew."""
    with mlflow.start_run(run_name="active") as run:
        mlflow.log_metric("m", 1)
        seen = [
            mlflow.active_run() is run,
            mlflow.active_run().data.metrics,
            mlflow.last_active_run() is run,
        ]
    last = mlflow.last_active_run()
    return [seen, mlflow.active_run(), last.info.run_name, last.info.status, last.data.metrics]


@case
def of_another_thread(mlflow: Any) -> object:
    """What a thread that started no run sees of the run of another, and where it logs."""
    with mlflow.start_run(run_name="main") as run:

        def elsewhere() -> object:
            active = mlflow.active_run()
            mlflow.log_metric("m", 1)
            logged_to = mlflow.active_run().info.run_id == run.info.run_id
            if not logged_to:
                mlflow.end_run()
            return [active and active.info.run_name, logged_to]

        seen = in_thread(elsewhere)
        still = mlflow.active_run().info.run_name
    return [seen, still, mlflow.get_run(run.info.run_id).data.metrics]


@case
def one_of_each_thread(mlflow: Any) -> object:
    """Two threads have a run each; neither hinders nor ends the other's."""
    with mlflow.start_run(run_name="main") as run:

        def elsewhere() -> object:
            with mlflow.start_run(run_name="other") as mine:
                mlflow.log_metric("m", 2)
            return mine.info.run_id

        other = in_thread(elsewhere)
        mlflow.log_metric("m", 1)
        seen = [mlflow.active_run().info.run_name, mlflow.get_run(other).info.status]
    return [seen, [mlflow.get_run(each).data.metrics for each in (run.info.run_id, other)]]


@case
def in_a_fork(mlflow: Any) -> object:
    """What a forked child sees of its parent's active run."""
    with mlflow.start_run(run_name="parent"):
        read_end, write_end = os.pipe()
        child = os.fork()
        if not child:
            active = mlflow.active_run()
            os.write(write_end, str(active and active.info.run_name).encode())
            os._exit(0)
        os.waitpid(child, 0)
        seen = os.read(read_end, 100).decode()
        os.close(read_end)
        os.close(write_end)
    return seen
