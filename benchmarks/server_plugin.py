"""What a call of `mlflow.log_metric` costs on steplog's plugin, and on MLflow's SQLite store."""

from __future__ import annotations

import os
from argparse import Namespace

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when MLflow is imported

import harness
import mlflow
import servers
import timing

URIS = {servers.STEPLOG: "steplog://{}/store", servers.MLFLOW: "sqlite:///{}/mlflow.db"}


def measure(name: str, options: Namespace) -> harness.Measures:
    """Time calls one by one, each of which has logged when it returns; look for all of them."""
    mlflow.set_tracking_uri(URIS[name].format(os.getcwd()))
    with mlflow.start_run() as run:
        timing.single_calls(mlflow.log_metric, 1)
        costs = timing.single_calls(mlflow.log_metric, 2 if options.quick else 5)
    points = mlflow.MlflowClient().get_metric_history(run.info.run_id, timing.KEY)
    if len({point.step for point in points}) < len(costs):
        raise SystemExit(f"{len(costs)} calls have left {len(points)} points")
    return {
        "mlflow.log_metric p50, µs": timing.quantile(costs, 0.5) / 1e3,
        "mlflow.log_metric p99, µs": timing.quantile(costs, 0.99) / 1e3,
    }


if __name__ == "__main__":
    harness.main(measure, servers.SERVERS)
