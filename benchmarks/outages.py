"""Make trouble for what keeps the points of trainings, and count what is lost: nothing may be.

    python benchmarks/outages.py                       # every kind that this machine can
    python benchmarks/outages.py server_killed --times 100
    python benchmarks/outages.py --times 3 --seed 7

Trainings log at a steady rate while a server, the network, a database or a process between two
databases fails, again and again; two of the trainings' own processes fail with them. Then all that
was logged by calls that returned is read back and compared bit for bit.

The exit code is 1 where anything was lost, changed, doubled or damaged. What is not installed is
left out, and the table says so.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import trainings
import troubles

HEADINGS = ("", "times", "points returned", "lost", "changed", "doubled", "strange", "damages",
            "waiting", "s")  # fmt: skip
ROW = "{:<28}{:>6}{:>17}{:>7}{:>9}{:>9}{:>9}{:>9}{:>9}{:>6}"


def make(name: str, times: int, seed: int) -> bool:
    """Make one kind of trouble; print what came of it, and tell whether that is good."""
    trouble = troubles.TROUBLES[name]
    reason = trouble.missing()
    if reason:
        print(f"{name:<28}  left out: {reason}", flush=True)
        return True
    directory = Path(tempfile.mkdtemp(prefix="steplog-outages-"))
    os.environ["STEPLOG_STATE_DIR"] = str(directory / "state")
    times = times or trouble.times
    begun = time.monotonic()
    account = trouble.make(directory, times, random.Random(seed))
    seconds = f"{time.monotonic() - begun:.0f}"
    print(ROW.format(name, times, *(f"{each:,}" for each in account), seconds), flush=True)
    if account.good:
        shutil.rmtree(directory)
    else:
        print(f"what it left is in {directory}", file=sys.stderr)
    return account.good


def main() -> None:
    """Parse the command line, make trouble, count, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(troubles.TROUBLES))
    parser.add_argument("--times", type=int, default=0, help="of each kind; else as many as it has")
    parser.add_argument(
        "--rate", type=int, default=25_000, help="steps a second of each training, of 4 metrics"
    )
    parser.add_argument("--seed", type=int, default=1, help="of when and how it happens")
    arguments = parser.parse_args()
    unknown = set(arguments.kinds) - set(troubles.TROUBLES)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    trainings.RATE = arguments.rate
    print(ROW.format(*HEADINGS))
    kinds = arguments.kinds or list(troubles.TROUBLES)
    results = [make(name, arguments.times, arguments.seed) for name in kinds]
    print(f"seed {arguments.seed}, {arguments.rate:,} steps a second")
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
