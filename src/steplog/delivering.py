"""Delivering: what waits in spools on this machine, into the stores that it is meant for.

It is ingest, as anywhere: the journals of a spool go into another store, exactly once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from steplog import journals
from steplog.exceptions import StoreError
from steplog.ingest import Ingestor, IngestReport
from steplog.places import Place
from steplog.stores import open_store
from steplog.stores.base import Refused

ANSWER_SECONDS = 30.0

Stop: TypeAlias = tuple[Place, Place]
"""The place whose spool it is, and the one whose store its journals go into."""


class Delivery(NamedTuple):
    """What was delivered to one store, and what is wrong with it."""

    store: str
    points: int = 0
    operations: int = 0
    removed: int = 0
    refused: Sequence[Refused] = ()
    damaged: Sequence[str] = ()
    fault: str = ""

    def and_then(self, report: IngestReport) -> Delivery:
        """Return this and what was delivered afterwards."""
        return Delivery(
            self.store,
            self.points + report.points,
            self.operations + report.operations,
            self.removed + len(report.removed),
            [*self.refused, *report.refused],
            [*dict.fromkeys([*self.damaged, *report.damaged])],
        )


class Courier:
    """Moves the journals of spools into stores. For one thread.

    Attributes:
        deliveries: what was delivered, by the name of the store.

    """

    def __init__(self) -> None:
        self.deliveries: dict[str, Delivery] = {}
        self._ingestors: dict[Stop, Ingestor] = {}

    def waiting(self, stops: Sequence[Stop]) -> int:
        """Return how many points wait to be delivered, at most."""
        return sum(
            journal.most_points for spool, _ in stops for journal in journals.states(spool.journals)
        )

    def deliver(
        self, stops: Sequence[Stop], advance: Callable[[int], None] | None = None
    ) -> list[str]:
        """Deliver what waits; a store that cannot be reached keeps no other one waiting.

        Args:
            stops: whose spools, and which stores their journals go into.
            advance: called now and then with the number of points delivered since the last call.

        Returns:
            What is wrong now and was not before.

        """
        troubles = []
        for spool, end in stops:
            before = self.deliveries.get(end.name, Delivery(end.name))
            try:
                report = self._ingestor(spool, end).ingest(progress=advance)
            except StoreError as error:
                if error.message != before.fault:
                    troubles.append(error.message)
                self.deliveries[end.name] = before._replace(fault=error.message)
            else:
                self.deliveries[end.name] = before.and_then(report)
        return troubles

    def close(self) -> None:
        """Close the stores."""
        for ingestor in self._ingestors.values():
            ingestor.close()

    def _ingestor(self, spool: Place, end: Place) -> Ingestor:
        if (spool, end) not in self._ingestors:
            store = open_store(end, ANSWER_SECONDS)
            self._ingestors[spool, end] = Ingestor(store, spool.journals)
        return self._ingestors[spool, end]
