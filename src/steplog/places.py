"""Places: what a tracking URI means — where its journals are written, and which store they go into.

| URI | journals | store |
|---|---|---|
| a path, ``file:``, ``steplog:`` | below that directory | SQLite, in it or elsewhere |
| ``postgresql://…`` | a spool on this machine | a PostgreSQL database |
| ``http://…``, ``https://…`` | a spool on this machine | a server, of steplog's or MLflow's |

A *spool* is a directory below STEPLOG_STATE_DIR that holds the journals of one far store until it
has them. Everything here is decided by looking; nothing is made.

What is not here: which URI is in force (`steplog.backend`), and how a store is opened
(`steplog.stores.open_store`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Literal, NamedTuple

from steplog import filesystem, settings
from steplog.exceptions import invalid

Kind = Literal["directory", "database", "server"]

CATALOG = "catalog.db"
"""The file of an embedded store's catalog."""

_KINDS: dict[str, Kind] = {
    "file": "directory",
    "steplog": "directory",
    "postgres": "database",
    "postgresql": "database",
    "http": "server",
    "https": "server",
}
_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*")
_PASSWORD = re.compile("(?<=//)([^/@:]*):[^/@]*(?=@)|([?&]password=)[^&]*")
_HOST = re.compile("[^:]+://[^/]")
_LONGEST_NAME = 240  # of a directory; file systems allow 255 bytes


class Place(NamedTuple):
    """What a tracking URI means on this machine. Use `resolve` to get one.

    Attributes:
        uri: an absolute path, or a URL; with the password, where it has one.
        kind: what is there: a ``directory``, a ``database`` or a ``server``.
        directory: what belongs to the store on this machine, journals among it: the embedded
            store itself, or the spool. An absolute path that need not exist.
        catalog: the directory of an embedded store's catalog; empty for other kinds.

    """

    uri: str
    kind: Kind
    directory: str
    catalog: str = ""

    @property
    def journals(self) -> str:
        """The directory of the journals."""
        return os.path.join(self.directory, "journal")

    @property
    def name(self) -> str:
        """The URI as it may be shown: without a password."""
        return _PASSWORD.sub(r"\1\2", self.uri)

    @property
    def shared(self) -> bool:
        """Whether the catalog stands apart from its journals, as each reader's own.

        Then the journals are all there is of what was logged: nobody but their writers changes
        them, and nobody removes them.
        """
        return self.kind == "directory" and self.catalog != self.directory


def resolve(uri: str) -> Place:
    """Return what a tracking URI means.

    Args:
        uri: a path, or a URI with one of the schemes above.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE for anything else.

    Example:
        >>> resolve("/data/runs").journals
        '/data/runs/journal'

    """
    uri = absolute(uri)
    kind = _kind(uri)
    if kind == "directory":
        return Place(uri, kind, uri, _catalog(uri))
    name = _quoted(_PASSWORD.sub(r"\1\2", uri))
    if len(name) > _LONGEST_NAME:
        raise invalid(f"The tracking URI '{uri[:80]}…' is too long.")
    return Place(uri, kind, os.path.join(_spools(), name))


def absolute(uri: str) -> str:
    """Return a tracking URI that means the same from any working directory: a path, or a URL.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE for a URI that steplog does not know.

    """
    kind = _kind(uri)
    if kind == "server" and not _HOST.match(uri):
        raise invalid(f"The tracking URI '{uri}' names no server, as http://host:port does.")
    if kind != "directory":
        return uri.rstrip("/")
    scheme, _, path = uri.partition(":")
    if scheme.lower() not in ("file", "steplog"):
        return os.path.abspath(uri)
    from urllib.parse import unquote  # 5 ms that a plain path need not wait for

    return os.path.abspath(unquote(path.removeprefix("//")))


def waiting() -> Iterator[Place]:
    """Yield the places whose spool on this machine holds a journal."""
    from urllib.parse import unquote

    with suppress(FileNotFoundError):
        for name in sorted(os.listdir(_spools())):
            place = resolve(unquote(name))
            with suppress(FileNotFoundError, NotADirectoryError):
                if os.listdir(place.journals):
                    yield place


def spool(path: str) -> Place | None:
    """Return the place for which a directory is the spool on this machine; None where it is none.

    Args:
        path: of any directory; ``journal`` in a spool is that spool, too.

    """
    from urllib.parse import unquote

    path = os.path.abspath(path)
    if os.path.basename(path) == "journal":
        path = os.path.dirname(path)
    name = unquote(os.path.basename(path))
    if os.path.dirname(path) != _spools() or _kind(name) == "directory":
        return None
    return resolve(name)


def _kind(uri: str) -> Kind:
    scheme, colon, _ = uri.partition(":")
    if not colon or len(scheme) == 1 or not _SCHEME.fullmatch(scheme):  # a drive of Windows
        return "directory"
    kind = _KINDS.get(scheme.lower())
    if kind is None:
        raise invalid(
            f"Cannot use the tracking URI '{uri}': steplog stores in a directory (a path, "
            "file:///path or steplog:///path), in a database (postgresql://host/name) or on a "
            "server (http://host:port)."
        )
    return kind


def _catalog(directory: str) -> str:
    """Return the directory of the catalog of the store in `directory`.

    On a file system that is shared with other hosts a database is not safe, and where nothing can
    be written there cannot be one: the catalog is then the reader's own, on a disk of its machine.
    """
    chosen = settings.get("STEPLOG_CATALOG")
    if chosen:
        return os.path.join(os.path.abspath(chosen), _short(directory))
    if settings.get("STEPLOG_INGEST") == "on" or os.path.exists(os.path.join(directory, CATALOG)):
        return directory
    present = _present(directory)
    if not _is_network(present) and os.access(present, os.W_OK):
        return directory
    return os.path.join(_local_state(), "catalogs", _short(directory))


def _present(path: str) -> str:
    """Return a path, or what there is of it."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path


def _is_network(path: str) -> bool:
    return filesystem.is_network(filesystem.filesystem_type(path))


def _spools() -> str:
    return os.path.join(_state(), "spool")


def _state() -> str:
    """Return the directory in which this user keeps what belongs to no store directory."""
    chosen = settings.get("STEPLOG_STATE_DIR")
    if chosen:
        return os.path.abspath(chosen)
    base = settings.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(os.path.abspath(base), "steplog")


def _local_state() -> str:
    """Return `_state`, or, as homes on clusters are on a shared file system, a place on a disk."""
    state = _state()
    if not _is_network(_present(state)):
        return state
    from tempfile import gettempdir  # 8 ms

    name = f"steplog-{os.getuid()}"
    kept, temporary = "/var/tmp", gettempdir()
    usable = os.access(kept, os.W_OK) and not _is_network(kept)
    return os.path.join(kept if usable else temporary, name)


def _quoted(text: str) -> str:
    """Return a text as a name in a directory, from which it can be read again."""
    from urllib.parse import quote

    return quote(text, safe="")


def _short(directory: str) -> str:
    """Return a name for a directory, no longer than names may be."""
    name = _quoted(directory)
    if len(name) <= _LONGEST_NAME:
        return name
    from hashlib import blake2b  # loads OpenSSL

    return f"{name[-200:]}-{blake2b(directory.encode(), digest_size=8).hexdigest()}"
