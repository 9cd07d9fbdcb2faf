"""Pages of results, with MLflow's limits and page tokens."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from steplog.entities import PagedList
from steplog.exceptions import invalid

LARGEST_PAGE = 50_000

T = TypeVar("T")


class Page(NamedTuple):
    """Which results are wanted: those from `offset`, `size` of them or (None) all.

    Whoever looks them up asks for `limit`: one result more than the page holds tells that there is
    another page.
    """

    offset: int
    size: int | None

    @property
    def limit(self) -> int | None:
        """How many results to ask for; None for all."""
        return None if self.size is None else self.size + 1

    def of(self, found: Sequence[T]) -> PagedList[T]:
        """Return the page, given the results from `offset` on, `limit` at most."""
        if self.size is None or len(found) <= self.size:
            return PagedList(found, None)
        return PagedList(found[: self.size], token(self.offset + self.size))


def page(max_results: int | None, page_token: str | bytes | None) -> Page:
    """Return the page that is asked for.

    Args:
        max_results: size of the page, 1 to 50,000; None for everything.
        page_token: the `token` of the page before; None for the first page.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE where the size or the token is not acceptable.

    """
    offset = start(page_token)
    if max_results is not None and max_results < 1:
        raise _refused_size(max_results, "It must be a positive integer")
    if max_results is not None and max_results > LARGEST_PAGE:
        raise _refused_size(max_results, f"It must be at most {LARGEST_PAGE}")
    return Page(offset, max_results)


def start(page_token: str | bytes | None) -> int:
    """Return where the page of a token begins; None begins at 0.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE where it is no token.

    """
    if not page_token:
        return 0
    try:
        text = base64.b64decode(page_token)
    except (TypeError, ValueError, binascii.Error) as error:
        raise invalid("Invalid page token, could not base64-decode") from error
    try:
        value = json.loads(text)
    except ValueError as error:
        raise invalid(f"Invalid page token, decoded value={text!r}") from error
    offset = value.get("offset") if isinstance(value, dict) else None
    if not isinstance(offset, int) or not 0 <= offset < 2**63:
        raise invalid(f"Invalid page token, parsed value={value}")
    return offset


def token(offset: int) -> str:
    """Return the token of the page that begins at this result."""
    return base64.b64encode(json.dumps({"offset": offset}).encode()).decode()


def _refused_size(max_results: int, why: str) -> Exception:
    return invalid(f"Invalid value {max_results} for parameter 'max_results' supplied. {why}")
