"""The files of the web page, as the package was built with them (``ui/``, ``hatch_build.py``).

They are read once, and kept with what a browser may be sent of them. A package may lack them: it
was built with ``STEPLOG_UI=skip``, or where npm could not be had, of which its build left a note.
"""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

DIRECTORY = Path(__file__).parent.parent / "_ui"
FILES = {
    "index.html": "text/html; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "app.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "LICENSES.txt": "text/plain; charset=utf-8",
}
"""What there is, and of which type it is."""


class File(NamedTuple):
    """A file of the page.

    Attributes:
        content_type: as a header says it.
        body: its bytes …
        compressed: … and the same by gzip.
        etag: changes with the bytes.

    """

    content_type: str
    body: bytes
    compressed: bytes
    etag: str


@cache
def read(name: str) -> File | None:
    """Return one of `FILES`; None where the package was built without the page.

    Example:
        >>> page = read("index.html")
        >>> page is None or page.body.startswith(b"<!DOCTYPE html>")
        True

    """
    try:
        body = (DIRECTORY / name).read_bytes()
    except OSError:
        return None
    return file(body, FILES[name])


def why_missing() -> str:
    """Return why the package was built without the page; the empty text where it has one."""
    if read("index.html") is not None:
        return ""
    try:
        return (DIRECTORY / "missing.txt").read_text("utf-8").strip()
    except OSError:
        return "It was built with STEPLOG_UI=skip."


def file(body: bytes, content_type: str) -> File:
    """Return bytes as a file of the page."""
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return File(content_type, body, gzip.compress(body, mtime=0), etag)
