"""The simulation of a fleet: it loses nothing, and what it says can be checked by hand."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from steplog.stores.retrying import MOST_SECONDS

BENCHMARKS = str(Path(__file__).parent.parent / "benchmarks")


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The program, which lies beside other programs and not in a package."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    import fleet

    yield fleet
    sys.modules.pop("fleet")


@pytest.mark.slow
@pytest.mark.long
def test_who_pauses_by_chance_comes_back_one_by_one(fleet: Any) -> None:
    """A site of three times what it needs is hit by many times that when clients come back
    together, and by no more than it can do when chance has spread them; nobody fails then.
    """
    many = fleet.Fleet(clients=2_000, points=100.0, period=1.0, outage=300.0)
    site = fleet.Site(processors=0.0, requests=1_000.0, points=500_000.0)
    site = site._replace(processors=3 * fleet.needed(many, site))
    together, spread = (
        fleet.Simulation(many, site, pauses).run() for pauses in ("doubling", "doubling, by chance")
    )
    assert together.work > 5 > 2 > spread.work
    assert (spread.failed, spread.slowest < fleet.ANSWER_SECONDS) == (0, True)
    # Pauses of thirty seconds on average, and then the next second.
    assert spread.tries == pytest.approx(many.clients / 30.5, rel=0.1)
    assert spread.most_tries < 2 * spread.tries < together.most_tries
    assert spread.delivered <= MOST_SECONDS + 5
    assert spread.waiting == 32 * 100 * 301


@pytest.mark.slow
@pytest.mark.long
def test_a_site_takes_no_more_than_it_can(fleet: Any) -> None:
    """All that waits is delivered no sooner than the site can take it, however clients pause."""
    many = fleet.Fleet(clients=500, points=1_000.0, period=1.0, outage=60.0)
    site = fleet.Site(processors=2.0, requests=1_000.0, points=500_000.0)
    least = many.clients * many.points * many.outage / (site.processors * site.points)
    for pauses in fleet.PAUSES:
        found = fleet.Simulation(many, site, pauses).run()
        assert least < found.delivered < math.inf, pauses
        assert found.steady == pytest.approx(500, rel=0.02)
    assert fleet.needed(many, site) == pytest.approx(500 * (1 / 1_000 + 1_000 / 500_000))
