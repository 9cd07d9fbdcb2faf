"""Measures steplog beside its peers and writes a table of results.

    python benchmarks/run.py [--quick] [--huge] [--peers steplog,goodseed] [--only bench_call]

Each peer gets a virtual environment of its own under `benchmarks/.venvs`. Each measurement is a
fresh process; the peers take turns (A B C, A B C, …), so that a machine which slows down slows all
of them. What the numbers mean is said in the `bench_*.py` that prints them; `targets.py` says
which of them steplog promises.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import NamedTuple

from peers import PEERS, STEPLOG, Peer
from servers import Server
from targets import TARGETS, Results, Target

HERE = Path(__file__).parent
TIMEOUT_SECONDS = 3600


class Bench(NamedTuple):
    """One bench file: whom it measures, and how often."""

    name: str
    peers: Sequence[str]
    rounds: int
    quick_rounds: int


class Suite(NamedTuple):
    """What one command measures.

    Attributes:
        peers: whom.
        benches: by which bench files.
        targets: what steplog promises of it.
        title: of the files of results.

    """

    peers: Mapping[str, Peer | Server]
    benches: Sequence[Bench]
    targets: Sequence[Target]
    title: str


ONE_PER_STORE = [name for name in PEERS if name != "mlflow_async"]  # it stores what sync stores
BENCHES = (
    Bench("bench_call", list(PEERS), 5, 2),
    Bench("bench_forms", [STEPLOG], 5, 2),
    Bench("bench_end_to_end", list(PEERS), 3, 1),
    Bench("bench_read", ONE_PER_STORE, 3, 1),
    Bench("bench_columns", [STEPLOG], 3, 1),
    Bench("bench_chart", [STEPLOG], 1, 1),
    Bench("bench_terminal", [STEPLOG], 3, 1),
    Bench("bench_size", ONE_PER_STORE, 1, 1),
    Bench("bench_flat", [STEPLOG], 3, 1),
    Bench("bench_process", ONE_PER_STORE, 3, 1),
)
LOGGING = Suite(PEERS, BENCHES, TARGETS, "latest")


def main(suite: Suite) -> None:
    """Measure what the command line asks for; print and write the results."""
    arguments = _arguments(suite)
    begin = time.monotonic()
    pythons = {name: environment(suite.peers[name]) for name in arguments.peers}
    results: Results = {}
    with tempfile.TemporaryDirectory(prefix="steplog-filled-") as arguments.filled:
        for bench in suite.benches:
            if arguments.only in (None, bench.name):
                measure(bench, pythons, arguments, results)
    where = {**machine(), "commit": commit(), "minutes": round((time.monotonic() - begin) / 60, 1)}
    where |= {
        suite.peers[name].label: version(suite.peers[name], pythons[name]) for name in pythons
    }
    table = markdown(where, results, suite)
    print(table)
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    kept = json.dumps({"where": where, "results": results}, indent=1)
    (folder / f"{suite.title}.md").write_text(table)
    (folder / f"{suite.title}.json").write_text(kept)


def _arguments(suite: Suite) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument(
        "--peers",
        type=lambda text: _peers(text, suite),
        default=list(suite.peers),
        help=f"names, with commas, of {', '.join(suite.peers)}",
    )
    parser.add_argument("--only", choices=[bench.name for bench in suite.benches])
    parser.add_argument("--quick", action="store_true", help="fewer points and rounds")
    parser.add_argument("--huge", action="store_true", help="100 million points; takes minutes")
    return parser.parse_args()


def _peers(text: str, suite: Suite) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(suite.peers):
        raise argparse.ArgumentTypeError(f"{sorted(unknown)} are not among {list(suite.peers)}")
    return names


def environment(peer: Peer | Server) -> Path:
    """Make the virtual environment of a peer where there is none; return its Python."""
    folder = HERE / ".venvs" / re.sub(r"\W+", "-", peer.requirement).strip("-")
    python, stamp = folder / "bin" / "python", folder / "made"
    what = peer.requirement.split()
    own = what[0].startswith(STEPLOG)  # as it is now, and compiled as an installation is
    if own:
        what[0] = what[0].replace(STEPLOG, str(HERE.parent))
    if own or not stamp.exists():
        print(f"installing {peer.label} …", file=sys.stderr, flush=True)
        if not stamp.exists():
            venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *what], check=True)
        stamp.touch()
    return python


def version(peer: Peer | Server, python: Path) -> str:
    """Return the version of a peer in its environment."""
    name = re.split(r"\W", peer.requirement)[0]
    program = f"from importlib.metadata import version; print(version({name!r}))"
    return subprocess.check_output([python, "-c", program], text=True).strip()


def measure(
    bench: Bench, pythons: dict[str, Path], arguments: argparse.Namespace, results: Results
) -> None:
    """Run one bench file in turns over its peers; add what it printed to the results."""
    names = [name for name in bench.peers if name in pythons]
    for number in range(bench.quick_rounds if arguments.quick else bench.rounds):
        for name in names:
            print(f"{bench.name} {name}, round {number + 1}", file=sys.stderr, flush=True)
            for what, value in _once(bench, name, pythons[name], arguments).items():
                results.setdefault(what, {}).setdefault(name, []).append(value)


def _once(bench: Bench, name: str, python: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """Run one bench file for one peer in a fresh process; one that fails measures nothing."""
    flags = [flag for flag in ("quick", "huge") if getattr(arguments, flag)]
    command = [str(python), str(HERE / f"{bench.name}.py"), name, *(f"--{flag}" for flag in flags)]
    command += ["--filled", arguments.filled]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    if done.returncode:
        print(f"{bench.name} {name} failed:\n{done.stderr[-2000:]}", file=sys.stderr)
        return {}
    measures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measures


def machine() -> dict[str, object]:
    """Say what the numbers were measured on."""
    model = platform.processor()
    if os.path.exists("/proc/cpuinfo"):
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        model = found[1] if found else model
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    }


def commit() -> str:
    """Return the commit measured, with a plus where files differ from it."""
    described = subprocess.run(
        ["git", "-C", HERE, "describe", "--always", "--dirty=+"], capture_output=True, text=True
    )
    return described.stdout.strip() or "none"


def markdown(where: dict[str, object], results: Results, suite: Suite) -> str:
    """Lay out the results: where, what was promised, and everything that was measured."""
    lines = ["# Benchmark results", "", *(f"* {name}: {value}" for name, value in where.items())]
    lines += ["", "## Targets", "", "| what | measured | bound | |", "|---|---:|---:|---|"]
    for target in suite.targets:
        value, verdict = target.verdict(results)
        bound = f"{target.sign} {number(target.bound)} {target.unit}"
        lines.append(f"| {target.name} | {number(value)} | {bound} | {verdict} |")
    lines += [
        "",
        "## Measured",
        "",
        "| what | peer | median | min … max | × steplog |",
        "|---|---|---:|---:|---:|",
    ]
    for what, by_peer in results.items():
        for name in by_peer:
            lines.append(f"| {what} | {suite.peers[name].label} | {_figures(name, by_peer)} |")
    return "\n".join(lines) + "\n"


def _figures(name: str, by_peer: dict[str, list[float]]) -> str:
    values, own = by_peer[name], median(by_peer.get(STEPLOG, [0]))
    middle, spread = median(values), f"{number(min(values))} … {number(max(values))}"
    times = number(middle / own) if own and name != STEPLOG else ""
    return f"{number(middle)} | {spread} | {times}"


def number(value: float | None) -> str:
    """Write a number with three significant digits, thousands apart."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 or value == 0 else f"{value:.3g}"


if __name__ == "__main__":
    main(LOGGING)
