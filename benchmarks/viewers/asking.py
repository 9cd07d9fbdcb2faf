"""Asking a server for JSON or bytes."""

from __future__ import annotations

import json
import urllib.request
from typing import Any


def ask(url: str, body: object = None) -> bytes:
    """Return what a GET answers; a POST of JSON where there is a body."""
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=600) as answer:
        data: bytes = answer.read()
    return data


def ask_json(url: str, body: object = None) -> Any:
    """Return the document that is answered."""
    return json.loads(ask(url, body))
