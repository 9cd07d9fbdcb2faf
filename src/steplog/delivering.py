"""Delivering: what waits in spools on this machine, into the stores that it is meant for.

It is ingest, as anywhere: the journals of a spool go into another store, exactly once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from steplog.exceptions import StoreError
from steplog.ingest import Ingestor, IngestReport
from steplog.places import Place
from steplog.stores import open_store
from steplog.stores.base import Refused

ANSWER_SECONDS = 30.0


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

    Args:
        tell: called with a sentence when something goes wrong for the first time.

    Attributes:
        deliveries: what was delivered, by the name of the store.

    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.deliveries: dict[str, Delivery] = {}
        self._tell = tell
        self._ingestors: dict[tuple[Place, Place], Ingestor] = {}

    def deliver(self, stops: Sequence[tuple[Place, Place]]) -> None:
        """Deliver what waits; a store that cannot be reached keeps no other one waiting.

        Args:
            stops: the place whose spool it is, and the one where its journals go.

        """
        for spool, end in stops:
            before = self.deliveries.get(end.name, Delivery(end.name))
            try:
                report = self._ingestor(spool, end).ingest()
            except StoreError as error:
                if error.message != before.fault:
                    self._tell(error.message)
                self.deliveries[end.name] = before._replace(fault=error.message)
            else:
                self.deliveries[end.name] = before.and_then(report)

    def close(self) -> None:
        """Close the stores."""
        for ingestor in self._ingestors.values():
            ingestor.close()

    def _ingestor(self, spool: Place, end: Place) -> Ingestor:
        if (spool, end) not in self._ingestors:
            store = open_store(end, ANSWER_SECONDS)
            self._ingestors[spool, end] = Ingestor(store, spool.journals)
        return self._ingestors[spool, end]
