"""The journals of a store directory: which there are, who writes them, how they stand.

Looking changes nothing and needs no store, so it works where ingesting does not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Literal, NamedTuple

from steplog.exceptions import FormatTooNew, JournalDamaged, StoreError
from steplog.journal import SUFFIX
from steplog.journal_reader import JournalReader
from steplog.stores.base import START, Position

DAMAGED_SUFFIX = ".damaged"
"""The ending of a journal that was ingested as far as it could be read, and is kept aside."""
_TORN_SECONDS = 60.0


class JournalState(NamedTuple):
    """One journal as `steplog status` shows it.

    Attributes:
        path: the file.
        journal_id: 32 hex digits.
        writer_id: 32 hex digits; the process.
        host: where it runs, or ran.
        pid: its process id there.
        created_ms: when the journal was begun, ms since the epoch.
        heartbeat_ms: when its writer last looked after it, ms since the epoch.
        live: True while its writer lives.
        pending_points: points that the store has not yet; None where that cannot be told.
        pending_operations: the same of operations.
        waiting_since_ms: when the first of the pending points was logged; where the store cannot be
            asked, the first of all.
        most_points: as `pending_points`; where that is None, all points that the journal holds.
        most_operations: the same of operations.
        held_points: points that its writer keeps in memory, for want of disk.
        dropped_points: points that its writer could not keep.
        fault: what is wrong with it, or with what its writer tried last; empty when nothing is.

    """

    path: str
    journal_id: str
    writer_id: str = ""
    host: str = ""
    pid: int = 0
    created_ms: int = 0
    heartbeat_ms: int = 0
    live: bool = False
    pending_points: int | None = None
    pending_operations: int | None = None
    waiting_since_ms: int | None = None
    most_points: int = 0
    most_operations: int = 0
    held_points: int = 0
    dropped_points: int = 0
    fault: str = ""

    @property
    def condition(self) -> Literal["live", "orphaned", "unreadable"]:
        """How it stands with its writer."""
        if not self.writer_id:
            return "unreadable"
        return "live" if self.live else "orphaned"

    @property
    def settled(self) -> bool:
        """Whether its writer is gone, and the store has all of it."""
        left = self.pending_points, self.pending_operations, self.held_points, self.dropped_points
        return self.condition == "orphaned" and left == (0, 0, 0, 0) and not self.fault


def paths(directory: str, suffix: str = SUFFIX) -> list[str]:
    """Return the paths of all journals, oldest first.

    Raises:
        StoreError: the directory cannot be read now.

    """
    try:
        with os.scandir(directory) as entries:
            return sorted(entry.path for entry in entries if entry.name.endswith(suffix))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"{directory} cannot be read now: {error.strerror}.") from error


def is_torn(path: str) -> bool:
    """Tell whether a file without a header is one for good, and not just being made."""
    with suppress(FileNotFoundError):
        return time.time() - os.stat(path).st_mtime > _TORN_SECONDS
    return False


def live_writers(directory: str) -> frozenset[str]:
    """Return the ids of the writers that are alive."""
    return frozenset(reader.header.writer_id for reader in readers(directory) if reader.alive())


def readers(directory: str) -> Iterator[JournalReader]:
    """Yield a reader of each journal that can be read, open until the next one is asked for.

    One at a time: a thousand processes may have left their journals, and a process may not open so
    many files.
    """
    for path in paths(directory):
        try:
            reader = JournalReader(path)
        except (OSError, JournalDamaged, FormatTooNew):
            continue
        try:
            yield reader
        finally:
            reader.close()


def states(directory: str, position: Callable[[str], Position] | None = None) -> list[JournalState]:
    """Look at every journal, those included that cannot be read or were kept aside.

    Args:
        directory: where journals live; need not exist.
        position: tells up to where the store has a journal; None where there is no store to ask.

    """
    found = [_state(path, position) for path in paths(directory)]
    aside = [
        JournalState(path, _name(path), fault="damaged; what could be read of it is stored")
        for path in paths(directory, DAMAGED_SUFFIX)
    ]
    return [state for state in found if state is not None] + aside


def _state(path: str, position: Callable[[str], Position] | None) -> JournalState | None:
    try:
        reader = JournalReader(path)
    except FileNotFoundError:
        return None
    except (FormatTooNew, JournalDamaged) as error:
        new = isinstance(error, JournalDamaged) and not is_torn(path)
        return None if new else JournalState(path, _name(path), fault=error.message)
    except OSError as error:
        return JournalState(path, _name(path), fault=f"cannot be read now: {error.strerror}")
    header = reader.header
    known = None
    if position is not None:
        with suppress(StoreError):  # whoever asks the store itself is told
            known = position(header.journal_id)
    pending = reader.pending(known or START)
    state = JournalState(
        path=path,
        journal_id=header.journal_id,
        writer_id=header.writer_id,
        host=header.host,
        pid=header.pid,
        created_ms=header.created_ms,
        heartbeat_ms=header.heartbeat_ms,
        live=reader.alive(),
        pending_points=None if known is None else pending.points,
        pending_operations=None if known is None else pending.operations,
        waiting_since_ms=pending.since_ms,
        most_points=pending.points,
        most_operations=pending.operations,
        held_points=header.held,
        dropped_points=header.dropped,
        fault=header.fault,
    )
    reader.close()
    return state


def _name(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]
