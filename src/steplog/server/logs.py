"""What the server says while it runs: one line of JSON on standard error for each event.

It is quiet: errors and warnings, and requests only where ``--access-log`` asks for them.
"""

from __future__ import annotations

import json
import logging
import os
import time
import warnings
from typing import TextIO

ACCESS = "steplog.server.access"
REPEAT_SECONDS = 10.0
_REMEMBERED = 1_000


class Lines(logging.Formatter):
    """Formats a record as one line, whatever is in it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; what a caller gave as ``extra={"fields": …}`` is in it by name."""
        document = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "pid": os.getpid(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return json.dumps(document, default=repr)


class Calm(logging.Filter):
    """Drops what was said a moment ago: a full disk is one line a while, not one a request."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether to say it."""
        if record.name == ACCESS:
            return True
        message, now = record.getMessage(), time.monotonic()
        if now - self._said.get(message, float("-inf")) < REPEAT_SECONDS:
            return False
        if len(self._said) >= _REMEMBERED:
            self._said.clear()
        self._said[message] = now
        return True


def start(*, access: bool) -> None:
    """Log to standard error from now on, warnings included.

    Args:
        access: log every request.

    """
    handler = logging.StreamHandler()
    handler.setFormatter(Lines())
    handler.addFilter(Calm())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(ACCESS).setLevel(logging.INFO if access else logging.WARNING)
    warnings.showwarning = _show_warning


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    logging.getLogger("steplog.server").warning("%s", message)
