"""Measures steplog's page beside MLflow's, TensorBoard's and trackio's; writes a table of results.

    python benchmarks/page.py [--quick] [--huge] [--peers steplog,trackio] [--only page_view]

As `run.py` does: an environment and fresh processes for each, and turns. The browser is the
system's Chromium, without a window and without a GPU; it shares the machine with the server.
"""

from __future__ import annotations

import run
from targets import PAGE_TARGETS
from viewers import STEPLOG, VIEWERS

BENCHES = (
    run.Bench("page_view", list(VIEWERS), 3, 1),
    run.Bench("page_speed", [STEPLOG], 3, 1),
)
SUITE = run.Suite(VIEWERS, BENCHES, PAGE_TARGETS, "page")

if __name__ == "__main__":
    run.main(SUITE)
