"""The keeper of a service that a run's workers share: ``python -m services NAME DIRECTORY``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from services import sharing

if __name__ == "__main__":
    # The worker waits for the process that it started, and not for the one that keeps the server.
    if os.fork():
        os._exit(0)
    sharing.keep(sys.argv[1], Path(sys.argv[2]))
