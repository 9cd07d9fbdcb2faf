"""The backend: what one tracking URI means in this process — a recorder to write, a store to read.

Whoever reads, reads through `Backend.store`: it ingests whatever the journals hold first, so every
point whose call has returned is there, whichever process logged it.

What is not here: which URI is in force is a setting; what is read and written is decided above.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from steplog import forks, places, settings
from steplog.exceptions import MlflowException, StoreError
from steplog.places import Place
from steplog.recorder import Recorder

if TYPE_CHECKING:
    from steplog.ingest import Ingestor, IngestReport
    from steplog.journals import JournalState
    from steplog.stores.base import Position, RunRecord, Store

DEFAULT_DIRECTORY = "steplog-store"
LOCK_SECONDS = 30.0
CONSULT_SECONDS = 2.0
"""How long a call that logs waits for a far store, and sends it what waits, before it goes on."""
_SHARED_SCHEMES = ("steplog:", "http:", "https:")
"""Those that steplog takes from MLflow's own setting."""
_backends: dict[str, Backend] = {}


class Backend:
    """One place, as this process writes and reads it. Use `backend` to get one.

    Attributes:
        place: where its journals are, and which store they go into.
        recorder: where this process's calls go.
        lock_seconds: how long a reader waits while another program has locked the catalog. To be
            set before anything is read.

    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.recorder = Recorder(place)
        self.lock_seconds = LOCK_SECONDS
        self._reset()

    def _reset(self) -> None:
        # Reading has an ingestor and a connection of its own, beside those of the background
        # thread; a forked child must not use the parent's, and makes its own.
        self._lock = threading.RLock()
        self._ingestor: Ingestor | None = None
        self._hasty: Ingestor | None = None  # for who logs, and must not wait for a far store
        self._failed: tuple[float, str] | None = None

    def consult(self) -> Store | None:
        """Return the store where a write should look before it is made; None where it need not.

        There is nothing to look at in a directory that holds nothing yet; and a process that must
        not ingest (STEPLOG_INGEST=off, network file systems) opens no store to write.

        Raises:
            StoreError: it cannot be read now, or is far and lacks more than can be sent at once.

        """
        if not self.ingests() or not self.exists():
            return None
        return self.store() if self.place.kind == "directory" else self._store_in_haste()

    def _store_in_haste(self) -> Store:
        until = time.monotonic() + CONSULT_SECONDS

        def hurry(points: int) -> None:  # is called between two batches
            if time.monotonic() > until:
                raise StoreError(f"{self.place.name} is still being sent what waited for it.")

        with self._lock:
            if self._hasty is None:
                self._hasty = self._new_ingestor(CONSULT_SECONDS)
            self._hasty.ingest(progress=hurry)
            return self._hasty.store

    def exists(self) -> bool:
        """Tell whether there is anything to look at; a far store is taken to be there."""
        place = self.place
        catalog = os.path.join(place.catalog, places.CATALOG)
        return place.kind != "directory" or any(map(os.path.exists, (catalog, place.journals)))

    def store(self) -> Store:
        """Return the store for reading, with everything that was logged until now.

        Raises:
            StoreError: it cannot be read now.

        """
        began = time.monotonic()
        with self._lock:
            # Who waited here while somebody else waited for the catalog in vain has waited enough:
            # one after the other would take minutes.
            if self._failed is not None and self._failed[0] >= began:
                raise StoreError(self._failed[1])
            try:
                self.ingest()
                return self._open().store
            except StoreError as error:
                self._failed = time.monotonic(), error.message
                raise

    def store_as_it_is(self) -> Store:
        """Return the store without ingesting first, for who brings a batch of another journal.

        Raises:
            StoreError: it cannot be used now.

        """
        ingestor = self._ingestor
        if ingestor is None:  # else whoever just ingests, with the lock, is not waited for
            with self._lock:
                ingestor = self._open()
        return ingestor.store

    def ingest(self, progress: Callable[[int], None] | None = None) -> IngestReport:
        """Ingest all journals; see `steplog.ingest.Ingestor.ingest`."""
        with self._lock:
            report = self._open().ingest(progress=progress)
            if self.place.shared and (report.points or report.operations):
                self.seal()  # no process that logs does it
            return report

    def seal(self) -> None:
        """Sort what waits in the store, as processes that ingest what they log do."""
        with self._lock:
            self._open().store.seal()

    def journals_state(self) -> list[JournalState]:
        """Look at every journal; where the store cannot be opened, without what is pending.

        This changes nothing.
        """
        with forks.undisturbed:
            from steplog import journals

        with self._lock:
            try:
                position: Callable[[str], Position] | None = self._open().position
            except MlflowException:
                position = None
            return journals.states(self.place.journals, position)

    def live_writers(self) -> frozenset[str]:
        """Return the ids of the writers that are alive, this process's among them.

        They are those of the journals that this machine sees, and those that the store has heard
        of; where it cannot be asked, without these.
        """
        with forks.undisturbed:
            from steplog import journals

        if self.place.shared:  # there may be thousands of journals, and ingest has looked at them
            with self._lock, suppress(MlflowException):
                if self._ingestor is None:
                    self.ingest()
                return self._open().live_writers()
        live = journals.live_writers(self.place.journals)
        if not self.exists():
            return live
        with self._lock, suppress(MlflowException):
            live |= self._open().store.beating()
        return live

    def close(self) -> None:
        """Give back the files that reading has opened; who reads again opens them again."""
        with self._lock:
            for ingestor in filter(None, (self._ingestor, self._hasty)):
                ingestor.close()
            self._ingestor = self._hasty = None

    def ingests(self) -> bool:
        """Tell whether this process moves what it logs into the store itself."""
        return self.recorder.ingests()

    def _open(self) -> Ingestor:
        if self._ingestor is None:
            self._ingestor = self._new_ingestor(self.lock_seconds)
        return self._ingestor

    def _new_ingestor(self, timeout: float) -> Ingestor:
        # numpy and sqlite3 come with these; a process that only logs loads them later, in the
        # background, and one that must not ingest never does.
        with forks.undisturbed:
            from steplog.ingest import Ingestor
            from steplog.stores import open_store

        store = open_store(self.place, timeout)
        atexit.register(self.close)
        return Ingestor(store, self.place.journals, keep=self.place.shared)


def backend(uri: str | None = None) -> Backend:
    """Return the backend of a tracking URI; None for the one in force. One per store.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE for a scheme that steplog does not know.

    """
    uri = places.absolute(tracking_uri() if uri is None else uri)
    found = _backends.get(uri)
    if found is None:
        found = _backends.setdefault(uri, Backend(places.resolve(uri)))
    return found


def tracking_uri() -> str:
    """Return the tracking URI in force: STEPLOG_TRACKING_URI, a MLFLOW_TRACKING_URI that names a
    store of steplog's or a server, or ``./steplog-store``.
    """
    return _chosen() or os.path.abspath(DEFAULT_DIRECTORY)


def is_chosen() -> bool:
    """Tell whether the tracking URI in force is another than the default."""
    return _chosen() is not None


def _chosen() -> str | None:
    uri = settings.get("STEPLOG_TRACKING_URI")
    if uri:
        return uri
    # A path, or the URI of a database, is there for a store of MLflow's own kind.
    uri = settings.get("MLFLOW_TRACKING_URI")
    return uri if uri and uri.lower().startswith(_SHARED_SCHEMES) else None


def shown_status(record: RunRecord, live: frozenset[str]) -> str:
    """Return the status to show: LOST for a run that no living process can end any more."""
    status = record.row.status
    return "LOST" if status == "RUNNING" and record.writers.isdisjoint(live) else status


def _after_fork_in_child() -> None:
    for found in _backends.values():
        found._reset()


forks.around(after_in_child=_after_fork_in_child)
