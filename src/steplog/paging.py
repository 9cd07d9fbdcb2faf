"""Pages of results, with MLflow's limits and page tokens."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import TypeVar

from steplog.entities import PagedList
from steplog.exceptions import invalid

LARGEST_PAGE = 50_000

T = TypeVar("T")


def page(items: Sequence[T], max_results: int | None, page_token: str | None) -> PagedList[T]:
    """Return one page of `items`.

    Args:
        items: all results, in an order that is the same each time.
        max_results: size of the page, 1 to 50,000; None for everything.
        page_token: the `token` of the page before, as text or bytes; None for the first page.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE where the size or the token is not acceptable.

    """
    start = _offset(page_token) if page_token else 0
    if max_results is None:
        return PagedList(items[start:], None)
    if max_results < 1:
        raise _refused_size(max_results, "It must be a positive integer")
    if max_results > LARGEST_PAGE:
        raise _refused_size(max_results, f"It must be at most {LARGEST_PAGE}")
    end = start + max_results
    return PagedList(items[start:end], _token(end) if end < len(items) else None)


def _refused_size(max_results: int, why: str) -> Exception:
    return invalid(f"Invalid value {max_results} for parameter 'max_results' supplied. {why}")


def _token(offset: int) -> str:
    return base64.b64encode(json.dumps({"offset": offset}).encode()).decode()


def _offset(token: str | bytes) -> int:
    try:
        text = base64.b64decode(token)
    except (TypeError, binascii.Error) as error:
        raise invalid("Invalid page token, could not base64-decode") from error
    try:
        value = json.loads(text)
    except ValueError as error:
        raise invalid(f"Invalid page token, decoded value={text!r}") from error
    offset = value.get("offset") if isinstance(value, dict) else None
    if not isinstance(offset, int):
        raise invalid(f"Invalid page token, parsed value={value}")
    return offset
