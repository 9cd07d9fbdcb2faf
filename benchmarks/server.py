"""Measures steplog's server beside MLflow's and FastTrackML's and writes a table of results.

    python benchmarks/server.py [--quick] [--peers steplog,mlflow] [--only server_requests]

As `run.py` does: an environment and fresh processes for each, and turns. Each server keeps what it
is sent in an empty directory of its own, or in one that was filled before it started, and listens
on 127.0.0.1. The load comes from `wrk`, which Debian and Ubuntu have, and shares the machine.
"""

from __future__ import annotations

import run
from servers import MLFLOW, SERVERS, STEPLOG
from targets import SERVER_TARGETS

BENCHES = (
    run.Bench("server_requests", list(SERVERS), 5, 1),
    run.Bench("server_history", list(SERVERS), 3, 1),
    run.Bench("server_search", list(SERVERS), 1, 1),
    run.Bench("server_growth", [STEPLOG], 3, 1),
    run.Bench("server_plugin", [STEPLOG, MLFLOW], 5, 1),
    run.Bench("server_memory", [STEPLOG], 1, 1),
    run.Bench("server_load", [STEPLOG], 1, 1),
)
SUITE = run.Suite(SERVERS, BENCHES, SERVER_TARGETS, "server")

if __name__ == "__main__":
    run.main(SUITE)
