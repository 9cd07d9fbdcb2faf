"""The backend: what one tracking URI means in this process — a recorder to write, a store to read.

Whoever reads, reads through `Backend.store`: it ingests whatever the journals hold first, so every
point whose call has returned is there, whichever process logged it.

What is not here: which URI is in force is a setting; what is read and written is decided above.
"""

from __future__ import annotations

import atexit
import os
import re
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from steplog import forks, settings
from steplog.exceptions import MlflowException, StoreError, invalid
from steplog.recorder import Recorder

if TYPE_CHECKING:
    from steplog.ingest import Ingestor, IngestReport
    from steplog.journals import JournalState
    from steplog.stores.base import Position, RunRecord, Store

DEFAULT_DIRECTORY = "steplog-store"
LOCK_SECONDS = 30.0
_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*")
_backends: dict[str, Backend] = {}


class Backend:
    """One store directory, as this process writes and reads it. Use `backend` to get one.

    Attributes:
        directory: absolute path; need not exist.
        recorder: where this process's calls go.
        lock_seconds: how long a reader waits while another program has locked the catalog. To be
            set before anything is read.

    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.journals = os.path.join(directory, "journal")
        self.recorder = Recorder(directory)
        self.lock_seconds = LOCK_SECONDS
        self._reset()

    def _reset(self) -> None:
        # Reading has an ingestor and a connection of its own, beside those of the background
        # thread; a forked child must not use the parent's, and makes its own.
        self._lock = threading.RLock()
        self._ingestor: Ingestor | None = None
        self._failed: tuple[float, str] | None = None

    def consult(self) -> Store | None:
        """Return the store where a write should look before it is made; None where it need not.

        There is nothing to look at in a directory that holds nothing yet; and a process that must
        not ingest (STEPLOG_INGEST=off, network file systems) opens no store to write.
        """
        if not self.ingests() or not (self._has("catalog.db") or self._has("journal")):
            return None
        return self.store()

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

    def ingest(self, progress: Callable[[int], None] | None = None) -> IngestReport:
        """Ingest all journals; see `steplog.ingest.Ingestor.ingest`."""
        with self._lock:
            return self._open().ingest(progress=progress)

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
            return journals.states(self.journals, position)

    def live_writers(self) -> frozenset[str]:
        """Return the ids of the writers that are alive, this process's among them."""
        with forks.undisturbed:
            from steplog import journals

        return journals.live_writers(self.journals)

    def close(self) -> None:
        """Give back the files that reading has opened; who reads again opens them again."""
        with self._lock:
            if self._ingestor is not None:
                self._ingestor.close()
                self._ingestor = None

    def ingests(self) -> bool:
        """Tell whether this process moves what it logs into the store itself."""
        return self.recorder.ingests()

    def _has(self, name: str) -> bool:
        return os.path.exists(os.path.join(self.directory, name))

    def _open(self) -> Ingestor:
        if self._ingestor is None:
            # numpy and sqlite3 come with these; a process that only logs loads them later, in the
            # background, and one that must not ingest never does.
            with forks.undisturbed:
                from steplog.ingest import Ingestor
                from steplog.stores import open_store

            self._ingestor = Ingestor(open_store(self.directory, self.lock_seconds), self.journals)
            atexit.register(self.close)
        return self._ingestor


def backend(uri: str | None = None) -> Backend:
    """Return the backend of a tracking URI; None for the one in force. One per directory.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE for a scheme that steplog does not know.

    """
    directory = resolve(tracking_uri() if uri is None else uri)
    found = _backends.get(directory)
    if found is None:
        found = _backends.setdefault(directory, Backend(directory))
    return found


def tracking_uri() -> str:
    """Return the tracking URI in force: STEPLOG_TRACKING_URI, a MLFLOW_TRACKING_URI that names a
    store of steplog's, or ``./steplog-store``.
    """
    return _chosen() or os.path.abspath(DEFAULT_DIRECTORY)


def is_chosen() -> bool:
    """Tell whether the tracking URI in force is another than the default."""
    return _chosen() is not None


def _chosen() -> str | None:
    uri = settings.get("STEPLOG_TRACKING_URI")
    if uri:
        return uri
    uri = settings.get("MLFLOW_TRACKING_URI")
    return uri if uri and uri.lower().startswith("steplog:") else None


def resolve(uri: str) -> str:
    """Return the absolute directory that a tracking URI names.

    Args:
        uri: a path, ``file:///path`` or ``steplog:///path``.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE for anything else.

    """
    scheme, colon, path = uri.partition(":")
    if not colon or len(scheme) == 1 or not _SCHEME.fullmatch(scheme):  # a drive of Windows
        return os.path.abspath(uri)
    if scheme.lower() in ("file", "steplog"):
        from urllib.parse import unquote  # 5 ms that a plain path need not wait for

        return os.path.abspath(unquote(path.removeprefix("//")))
    raise invalid(
        f"Cannot use the tracking URI '{uri}': steplog stores in a directory, given as a path, "
        "as file:///path or as steplog:///path."
    )


def shown_status(record: RunRecord, live: frozenset[str]) -> str:
    """Return the status to show: LOST for a run that no living process can end any more."""
    status = record.row.status
    return "LOST" if status == "RUNNING" and record.writers.isdisjoint(live) else status


def _after_fork_in_child() -> None:
    for found in _backends.values():
        found._reset()


forks.around(after_in_child=_after_fork_in_child)
