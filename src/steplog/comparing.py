"""The points of one series in two stores: what one of them lacks, and whether both are the same.

Pieces are read side by side, so memory does not grow with the series; where one store cut it,
another need not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b

import numpy as np

from steplog.points import Columns, compare, subtract
from steplog.stores.base import Series, Store
from steplog.summary import SUMMARY, agree, merge, summarise

_FIRST, _LAST = -(2**63), 2**63 - 1


def checksum(store: Store, series: Series) -> str:
    """Return 64 hex digits that say which points a series has: every bit of them, in their order.

    Args:
        store: any one; the checksum is the same in each.
        series: one of this store's.

    """
    digests = [blake2b(digest_size=32) for _ in Columns._fields]
    for piece in store.points(series.series_id):
        for digest, column in zip(digests, piece, strict=True):
            digest.update(np.ascontiguousarray(column).tobytes())
    return blake2b(b"".join(each.digest() for each in digests), digest_size=32).hexdigest()


def lacking(
    source: Store, series: Series, target: Store, known: Series | None
) -> Iterator[Columns]:
    """Yield the points of a series that a target lacks, in pieces of bounded size.

    Most often these follow all that it has, and then no others are read.

    Args:
        source: where they are.
        series: the source's, as it was a moment ago; later points may be left out.
        target: where they may be lacking.
        known: the target's series of the same key, or None.

    """
    if known is None:
        yield from source.points(series.series_id)
        return
    last_step, last_time = known.summary["last_step"].item(), known.summary["last_timestamp"].item()
    beyond = [((last_step, last_step), (last_time, _LAST))]
    if last_step < series.summary["last_step"]:
        beyond.append(((last_step + 1, series.summary["last_step"].item()), (_FIRST, _LAST)))
    found = np.array([known.summary], SUMMARY)
    for window in beyond:
        theirs = target.points(known.series_id, *window)
        for piece in missing(source.points(series.series_id, *window), theirs):
            found = merge(found, summarise(piece))
            yield piece
    if series.exact and known.exact and agree(found, np.array([series.summary], SUMMARY)).all():
        return
    yield from everything_lacking(source, series, target, known)


def everything_lacking(
    source: Store, series: Series, target: Store, known: Series
) -> Iterator[Columns]:
    """Yield what `lacking` does, but for what follows all that the target has; all is read."""
    steps = _FIRST, known.summary["last_step"].item()
    theirs = target.points(known.series_id, steps)
    yield from missing(source.points(series.series_id, steps), theirs)


def missing(ours: Iterable[Columns], theirs: Iterable[Columns]) -> Iterator[Columns]:
    """Yield the points of one series that another one has not.

    Args:
        ours: pieces in series order, none empty, each point once.
        theirs: others.

    """
    others = iter(theirs)
    other = next(others, None)
    for piece in ours:
        end, left = piece.take(slice(-1, None)), piece
        while other is not None:
            left = subtract(left, other)
            before, same = compare(other.take(slice(-1, None)), end)
            if not (before | same).all():
                break  # it may hold points of the next piece, too
            other = next(others, None)
        if left.step.size:
            yield left
