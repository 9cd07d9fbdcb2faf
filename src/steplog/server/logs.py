"""What the server says while it runs, on standard error: one JSON document a line, or text.

It is quiet: errors and warnings, and requests only where ``--access-log`` asks for them. Whatever
it says, passwords and tokens are not in it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
import warnings
from typing import Literal, TextIO

ACCESS = "steplog.server.access"
REPEAT_SECONDS = 10.0
_REMEMBERED = 1_000
_PASSWORD = re.compile(r"(://[^\s/:@'\"]*:)[^\s/'\"]+(?=@)|(\bpassword=)[^\s&'\"]+", re.IGNORECASE)
_TOKEN = re.compile(r"\b(steplog_[0-9a-f]{8}_)[\w-]+")
_AUTHORIZATION = re.compile(r"\b(bearer |authorization: *basic )[\w~+/.=-]{8,}", re.IGNORECASE)

Format = Literal["json", "text"]


class Lines(logging.Formatter):
    """Formats a record as one line, a JSON document, whatever is in it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; what a caller gave as ``extra={"fields": …}`` is in it by name."""
        document = {
            "time": _moment(record),
            "level": record.levelname.lower(),
            "pid": os.getpid(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return without_secrets(json.dumps(document, default=repr))


class Text(logging.Formatter):
    """Formats a record for people: a line, and below it where an exception came from."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and what follows it."""
        fields = getattr(record, "fields", {})
        words = [_moment(record), record.levelname.lower(), f"[{os.getpid()}]"]
        words += [record.getMessage(), *(f"{name}={value}" for name, value in fields.items())]
        line = " ".join(word.replace("\n", " ") for word in words if word)
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return without_secrets(line)


def without_secrets(text: str) -> str:
    """Return a text with stars in place of passwords in URIs, and of tokens.

    Example:
        >>> without_secrets("postgresql://me:secret@host/runs, steplog_0123abcd_secret")
        'postgresql://me:***@host/runs, steplog_0123abcd_***'

    """
    text = _PASSWORD.sub(r"\1\2***", text)
    text = _TOKEN.sub(r"\1***", text)
    return _AUTHORIZATION.sub(r"\1***", text)


def _moment(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))


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


def start(format: Format, *, access: bool) -> None:
    """Log to standard error from now on, warnings included.

    Args:
        format: of what is logged.
        access: log every request.

    """
    handler = logging.StreamHandler()
    handler.setFormatter(Lines() if format == "json" else Text())
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
