"""A fleet of trainings whose servers go away for an hour and come back, simulated.

    python benchmarks/fleet.py                            # 100,000 runs: some minutes
    python benchmarks/fleet.py --clients 1000 --outage 60
    python benchmarks/fleet.py --costs                    # what batches cost a server here
    python benchmarks/fleet.py --real 16                  # so many real ones, to compare

Every training logs at a steady rate, and once a second sends what is new, as `steplog.background`
does. After a failure it pauses as `steplog.stores.retrying.Patience` says: each client of the
simulation has one. What waits is sent in stretches of 32,768 points, one after the other. The site
is so many processors, of servers and databases together, with one queue before them; a request
takes one of them for some time, and some more for each of its points. A client gives up on an
answer after ten seconds.

The simulation does not know networks, nor databases that grow slow: what a processor can do is a
parameter, for which `--costs` gives the servers' part. `--real` says how far the rest is from the
truth: it starts real trainings and a real server, has it away for a while, and prints both.

Three ways to pause are compared: not at all, doubling without chance, and what steplog does.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from steplog.journal import SLOT
from steplog.journal_reader import STRETCH
from steplog.stores.retrying import Patience

STEP_SECONDS = 0.1
"""The simulation looks at its clients so often; what happens in between keeps its own time."""
ANSWER_SECONDS = 10.0
"""How long a client waits for an answer, as `steplog.background.BUSY_SECONDS` says."""
WAITING = 2000
"""How many requests the site lets wait for each processor; it refuses more. A process of the server
keeps 256 MiB of bodies, and one of a whole stretch takes some 130 kB."""
STEADY_SECONDS = 20.0
"""Before the outage."""

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


class Fleet(NamedTuple):
    """Those who log.

    Attributes:
        clients: trainings, each in a process of its own.
        points: that each logs in a second.
        period: seconds from the end of one round of sending to the next.
        outage: seconds without any server.

    """

    clients: int
    points: float
    period: float
    outage: float


class Site(NamedTuple):
    """Those who are sent to.

    Attributes:
        processors: of servers and their databases.
        requests: that one of them answers in a second, were they empty.
        points: that it takes in a second, were they one request.

    """

    processors: float
    requests: float
    points: float

    def seconds(self, points: float | Floats) -> float | Floats:
        """Return how long a request of so many points keeps a processor busy."""
        return 1 / self.requests + points / self.points


class Outcome(NamedTuple):
    """What came of it.

    Attributes:
        steady: requests a second before the outage.
        tries: a second, on average, in the second half of the outage.
        most_tries: in the worst second of that.
        work: that comes in the worst second after the return; 1 is what the site can do in one.
        failed: requests after the return that were refused, or given up.
        delivered: seconds from the return until the last client had delivered what it logged
            before; infinite where that did not happen.
        waiting: bytes on the disk of one client, at most.
        slowest: answer after the return, in seconds.

    """

    steady: float
    tries: float
    most_tries: float
    work: float
    failed: int
    delivered: float
    waiting: float
    slowest: float


Make = Callable[[Callable[[], float], random.Random], Patience]

PAUSES: dict[str, Make | None] = {
    "none": None,
    "doubling": lambda now, chance: Patience(now=now, draw=lambda low, high: high),
    "doubling, by chance": lambda now, chance: Patience(now=now, draw=chance.uniform),
}
"""How clients pause; the last is what steplog does."""


class Simulation:
    """One run of a fleet against a site.

    Args:
        fleet: who logs.
        site: who is sent to.
        pauses: how clients pause: one of `PAUSES`.
        seed: of all chance.

    """

    def __init__(self, fleet: Fleet, site: Site, pauses: str, seed: int = 1) -> None:
        self.fleet, self.site = fleet, site
        self.now = 0.0
        self.gone, self.back = STEADY_SECONDS, STEADY_SECONDS + fleet.outage
        self._chance = np.random.default_rng(seed)
        make, chance = PAUSES[pauses], random.Random(seed)
        self._patience = make and [make(lambda: self.now, chance) for _ in range(fleet.clients)]
        # When something happens to a client next: it begins a round, or an answer comes.
        self._due = self._chance.uniform(0, fleet.period, fleet.clients)
        self._flying = np.zeros(fleet.clients, np.int64)  # points under way; 0: no request is
        self._good = np.zeros(fleet.clients, bool)  # how the answer under way will be
        self._failing = np.zeros(fleet.clients, bool)  # the last one was not
        self._sent = np.zeros(fleet.clients)  # points that the site has taken
        self._free_at = 0.0  # when the site is done with all that it has been sent
        self._requests: Counter[int] = Counter()  # by the second
        self._work: defaultdict[int, float] = defaultdict(float)  # the same, in shares of the site
        self._taken_at = 0.0  # when it has taken all that was sent
        self._failed = 0
        self._slowest = 0.0

    def run(self) -> Outcome:
        """Let time pass until all is delivered that was logged before the return."""
        logged = self.fleet.points * self.back
        delivered, horizon = math.inf, self.back + 60 + 10 * self.fleet.outage
        cut = False
        while self.now < horizon:
            until = self.now + STEP_SECONDS
            if not cut and until > self.gone:
                self._cut()
                cut = True
            while (due := np.flatnonzero(self._due <= until)).size:
                flying = self._flying[due] > 0
                self._answer(due[flying])
                self._begin(due[~flying])
            self.now = until
            if until > self.back and self._sent.min() >= math.floor(logged):
                delivered = max(until, self._taken_at) - self.back
                break
        return self._outcome(delivered)

    # -- what happens to clients ------------------------------------------------------------------

    def _cut(self) -> None:
        """The servers go: what is under way gets no answer."""
        flying = (self._flying > 0) & (self._due > self.gone)
        self._due[flying] = self.gone
        self._good[flying] = False
        self._free_at = self.back

    def _answer(self, clients: Indices) -> None:
        """Answers come, good ones and others."""
        good = self._good[clients]
        succeeded, failed = clients[good], clients[~good]
        self._sent[succeeded] += self._flying[succeeded]
        # As `steplog.ingest` does: where a stretch was full there may be another one.
        last = succeeded[self._flying[succeeded] < STRETCH]
        self._due[last] += self.fleet.period
        recovered = succeeded[self._failing[succeeded]]
        self._failing[recovered] = False
        if self._patience:
            for client in recovered.tolist():
                self._patience[client].succeeded()
        self._flying[clients] = 0
        self._fail(failed)

    def _begin(self, clients: Indices) -> None:
        """Rounds of sending begin."""
        at = self._due[clients]
        points = np.floor(self.fleet.points * at - self._sent[clients])
        idle = points < 1
        self._due[clients[idle]] += self.fleet.period
        clients, at = clients[~idle], at[~idle]
        points = np.minimum(points[~idle], STRETCH)
        for second, count in zip(*np.unique(at.astype(int), return_counts=True), strict=True):
            self._requests[int(second)] += int(count)
        away = (at >= self.gone) & (at < self.back)
        self._fail(clients[away])
        self._send(clients[~away], at[~away], points[~away])

    def _send(self, clients: Indices, at: Floats, points: Floats) -> None:
        """Requests join the queue, as far as there is room."""
        order = np.argsort(at, kind="stable")
        room = int(WAITING * self.site.processors) - int((self._flying > 0).sum())
        taken, refused = order[: max(room, 0)], order[max(room, 0) :]
        if refused.size:
            self._failed += refused.size
            self._fail(clients[refused])
        if not taken.size:
            return
        clients, at, points = clients[taken], at[taken], points[taken]
        busy = np.asarray(self.site.seconds(points))
        share = busy / self.site.processors  # of what all of them can do
        before = np.cumsum(share) - share
        idle_at = np.maximum.accumulate(np.maximum(at - before, self._free_at)) + before + share
        self._free_at = float(idle_at[-1])
        done = np.maximum(idle_at, at + busy)
        for second in np.unique(at.astype(int)).tolist():
            self._work[second] += float(share[at.astype(int) == second].sum())
        late = done - at > ANSWER_SECONDS
        self._flying[clients] = points
        self._good[clients] = ~late
        self._due[clients] = np.where(late, at + ANSWER_SECONDS, done)
        # The site goes on with what its client has given up on: only the answer is lost.
        self._sent[clients[late]] += points[late]
        self._taken_at = max(self._taken_at, float(done.max()))
        if at[0] > self.back:
            self._failed += int(late.sum())
            self._slowest = max(self._slowest, float((done - at).max()))

    def _fail(self, clients: Indices) -> None:
        """Tries fail: the next one is due at the first round after the pause."""
        pause = np.zeros(clients.size)
        self._failing[clients] = True
        if self._patience:
            for index, client in enumerate(clients.tolist()):
                self._patience[client].failed()
                pause[index] = self._patience[client].remaining()
        period = self.fleet.period
        self._due[clients] += period * np.maximum(np.ceil(pause / period), 1)

    def _outcome(self, delivered: float) -> Outcome:
        def counted(first: float, end: float) -> list[int]:
            return [self._requests[second] for second in range(math.ceil(first), math.floor(end))]

        before = counted(5, self.gone)
        away = counted(self.back - self.fleet.outage / 2, self.back)
        return Outcome(
            steady=sum(before) / len(before),
            tries=sum(away) / len(away),
            most_tries=max(away),
            work=max(work for second, work in self._work.items() if second >= self.back),
            failed=self._failed,
            delivered=delivered,
            waiting=SLOT * self.fleet.points * (self.fleet.outage + self.fleet.period),
            slowest=self._slowest,
        )


# Tables -------------------------------------------------------------------------------------------


def needed(fleet: Fleet, site: Site) -> float:
    """Return how many processors are busy all the time with what a fleet steadily sends."""
    return fleet.clients / fleet.period * float(site.seconds(fleet.points * fleet.period))


def shown(seconds: float) -> str:
    """Return a time for a table."""
    if math.isinf(seconds):
        return "never"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def print_pauses(fleet: Fleet, site: Site, seed: int) -> None:
    """Print what an outage comes to with each way to pause."""
    print(
        "| pauses | tries/s without a server, mean and most | work in the worst second after "
        "| slowest answer | refused or given up | all is delivered after |"
    )
    print("|---|---:|---:|---:|---:|---:|", flush=True)
    for pauses in PAUSES:
        found = Simulation(fleet, site, pauses, seed).run()
        print(
            f"| {pauses} | {found.tries:,.0f}, {found.most_tries:,.0f} | {found.work:.1f} × "
            f"| {shown(found.slowest)} | {found.failed:,} | {shown(found.delivered)} |",
            flush=True,
        )


def print_spare(fleet: Fleet, site: Site, seed: int) -> None:
    """Print how a site does, by how much it can do of what is asked of it."""
    print(
        "| processors, of those that one batch a second of each needs | batches/s before "
        "| points a batch | slowest answer after | given up | all is delivered after |"
    )
    print("|---:|---:|---:|---:|---:|---:|", flush=True)
    for spare in (0.25, 0.5, 1.0, 1.5, 2.0):
        more = site._replace(processors=spare * needed(fleet, site))
        found = Simulation(fleet, more, [*PAUSES][-1], seed).run()
        print(
            f"| {spare:g} × | {found.steady:,.0f} "
            f"| {fleet.clients * fleet.points / found.steady:,.0f} | {shown(found.slowest)} "
            f"| {found.failed:,} | {shown(found.delivered)} |",
            flush=True,
        )


def print_periods(fleet: Fleet, site: Site) -> None:
    """Print what sending more seldom saves."""
    print("| a client sends every | requests/s | points a request | busy processors |")
    print("|---:|---:|---:|---:|")
    for period in (1.0, 2.0, 5.0, 10.0):
        each = fleet._replace(period=period)
        print(f"| {period:g} s | {fleet.clients / period:,.0f} | {fleet.points * period:,.0f} "
              f"| {needed(each, site):,.0f} |")  # fmt: skip


def main() -> None:
    """Parse the command line, simulate, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=100_000)
    parser.add_argument("--points", type=float, default=100.0, help="a second, of each client")
    parser.add_argument("--outage", type=float, default=3600.0, help="in seconds")
    parser.add_argument(
        "--processors", type=float, default=0.0, help="of the site; 0: 1.5 × needed"
    )
    parser.add_argument("--processor-requests", type=float, default=150.0, help="a second, empty")
    parser.add_argument("--processor-points", type=float, default=750_000.0, help="a second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--real", type=int, default=0, metavar="N", help="real clients beside it")
    parser.add_argument(
        "--costs", nargs="?", const="", metavar="STORE", help="what batches cost a server here"
    )
    options = parser.parse_args()
    if options.costs is not None:
        import fleet_costs

        fleet_costs.measure(options.costs)
        return
    if options.real:
        import fleet_real

        fleet_real.compare(options.real, options.seed)
        return
    fleet = Fleet(options.clients, options.points, 1.0, options.outage)
    site = Site(options.processors, options.processor_requests, options.processor_points)
    if not site.processors:
        site = site._replace(processors=1.5 * needed(fleet, site))
    print(
        f"{fleet.clients:,} trainings of {fleet.points:g} points/s, without a server for "
        f"{fleet.outage:g} s: {SLOT * fleet.points * fleet.outage / 1e6:,.1f} MB wait on the disk "
        f"of each. {site.processors:,.0f} processors of {site.requests:,.0f} requests/s and "
        f"{site.points:,.0f} points/s each; steady load keeps {needed(fleet, site):,.0f} busy.\n"
    )
    began = time.monotonic()
    print_pauses(fleet, site, options.seed)
    print()
    print_spare(fleet, site, options.seed)
    print()
    print_periods(fleet, site)
    print(f"\n{time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
