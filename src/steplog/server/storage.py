"""The store itself over HTTP: each function answers one method of `steplog.stores.base.Store`.

So one steplog keeps what another logged (`steplog.stores.remote`). Unlike everything else that a
server takes, a batch does not go through the server's journal: it comes from a journal, and is
answered once the store has committed it. Whoever gets no answer sends it again; the position in it
sees to it that it counts once.

All this is only for who may see all experiments: a batch may hold anything of any of them.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import get_args

import msgspec
import numpy as np
import numpy.typing as npt

from steplog.exceptions import (
    JournalDamaged,
    MlflowException,
    StoreDamaged,
    StoreError,
    invalid,
)
from steplog.operations import Operation, SeriesKey
from steplog.query import Query
from steplog.query import check as check_query
from steplog.server import storage_messages as m
from steplog.server.endpoint import Answer, Handler, Request, Service
from steplog.server.wire import decode, decoder_of
from steplog.stores import wire
from steplog.stores.base import Batch, Store
from steplog.tally import tally

CONTENT_TYPE = "application/octet-stream"
MOST_QUERY = 1_000_000
NONSENSE = (ValueError, TypeError, LookupError, OverflowError, RecursionError)
"""What values raise that are not what they should be."""

brought = threading.Event()
"""Set where something may wait to be sealed: batches have come, or the server has just begun."""
brought.set()

_NEEDS = re.compile("[012]*")

for _each in (*get_args(Operation), SeriesKey, Query):  # what is converted below
    decoder_of(_each)


class Room:
    """Memory for what is unpacked. A body is counted as it arrives; but it may be packed.

    Args:
        size: so many bytes may be taken at a time.

    """

    def __init__(self, size: int) -> None:
        self._lock = threading.Lock()
        self._left = size

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Take some bytes for a while.

        Raises:
            StoreError: too many are taken already.

        """
        with self._lock:
            if size > self._left:
                raise StoreError("Too much at once. Try again.")
            self._left -= size
        try:
            yield
        finally:
            with self._lock:
                self._left += size


_room = Room(2 * wire.MOST_BATCH)


def for_all_experiments(handle: Handler) -> Handler:
    """Return a handler that denies everything to tokens that are held to one experiment."""

    @wraps(handle)
    def answer(service: Service, request: Request) -> Answer:
        request.caller.require_all_experiments()
        return handle(service, request)

    return answer


def apply(service: Service, request: Request) -> Answer:
    """Apply one stretch of one journal, and answer once the store has committed it."""
    with _room.taken(min(wire.claimed_bytes(request.body), wire.MOST_BATCH)):
        batch = _batch(request.body)
        refused = _bare(service).apply(batch)
    if refused is not None:
        brought.set()
        tally.applied(len(batch.points), len(batch.operations), len(refused))
    return _frames(wire.encode_values(wire.APPLIED, [refused]))


def positions(service: Service, request: Request) -> Answer:
    """Return up to where journals have been applied."""
    found = _bare(service).positions(decode(m.Journals, request.body).journal_ids)
    return _frames(wire.encode_values(wire.POSITION, found.items()))


def refusals(service: Service, request: Request) -> Answer:
    """Return the operations that the store has refused."""
    asked = decode(m.SomeRefusals, request.body)
    store = _store(service) if asked.journal_ids is None else _bare(service)
    found = store.refusals(asked.run_id, asked.journal_ids)
    return _frames(wire.encode_values(wire.REFUSED, found))


def experiments(service: Service, request: Request) -> Answer:
    """Return experiments as the store has them."""
    asked = decode(m.SomeExperiments, request.body)
    found = _store(service).experiments(asked.ids, asked.name)
    return _frames(wire.encode_values(wire.EXPERIMENT, found))


def runs(service: Service, request: Request) -> Answer:
    """Return runs as the store has them."""
    asked = decode(m.SomeRuns, request.body)
    store = _store(service)
    found = store.runs(asked.run_ids, asked.experiment_ids, bool(asked.last))
    return _frames(wire.encode_values(wire.RUN, found))


def models(service: Service, request: Request) -> Answer:
    """Return logged models as the store has them."""
    found = _store(service).models(decode(m.SomeModels, request.body).model_ids)
    return _frames(wire.encode_values(wire.MODEL, found))


def datasets(service: Service, request: Request) -> Answer:
    """Return which datasets the runs of experiments used."""
    asked = decode(m.SomeDatasets, request.body)
    found = _store(service).datasets(asked.experiment_ids, max(0, asked.limit))
    return _frames(wire.encode_values(wire.DATASET, found))


def search(service: Service, request: Request) -> Answer:
    """Return the ids that a query asks for."""
    text = decode(m.Search, request.body).query
    if len(text) > MOST_QUERY:
        raise invalid(f"A query can have {MOST_QUERY:,} characters at most, got {len(text):,}.")
    store = _store(service)
    try:
        check_query(query := msgspec.convert(json.loads(text), Query))
        found = store.search(query)
    # Queries are made by a parser that knows what there is; this one anybody may have written.
    except (*NONSENSE, msgspec.ValidationError) as error:
        raise invalid(f"The query {text[:200]!r} makes no sense: {error}.") from error
    return _frames(wire.encode_values(wire.TEXT, found))


def series(service: Service, request: Request) -> Answer:
    """Return series and what is known of them."""
    asked = decode(m.SomeSeries, request.body)
    found = _store(service).series(asked.run_ids, asked.keys, asked.model_ids)
    return _frames(wire.encode_series(found))


def keys(service: Service, request: Request) -> Answer:
    """Return the metrics that runs have."""
    found = _store(service).keys(decode(m.WholeRuns, request.body).run_ids)
    return _frames(wire.encode_values(wire.KEY, found))


def pair_keys(service: Service, request: Request) -> Answer:
    """Return the keys of the params and of the tags that runs have."""
    found = _store(service).pair_keys(decode(m.WholeRuns, request.body).run_ids)
    return _frames(wire.encode_values(wire.TEXTS, found))


def children(service: Service, request: Request) -> Answer:
    """Return how many runs are nested in each of some runs."""
    found = _store(service).children(decode(m.WholeRuns, request.body).run_ids)
    return _frames(wire.encode_values(wire.CHILDREN, found.items()))


def points(service: Service, request: Request) -> Answer:
    """Return the points of a series, piece by piece, as it is now."""
    asked = decode(m.SomePoints, request.body)
    steps = _window(asked.first_step, asked.last_step)
    times = _window(asked.first_time, asked.last_time)
    found = _store(service).points(asked.series_id, steps, times)
    return _frames(wire.encode_pieces(found))


def outline(service: Service, request: Request) -> Answer:
    """Return the summaries of the consecutive stretches of a series."""
    found = _store(service).outline(decode(m.OneSeries, request.body).series_id)
    return _frames(wire.encode_pieces(_parts(found)))


def survey(service: Service, request: Request) -> Answer:
    """Return what is needed of each stretch of a series, if it is still as it was."""
    asked = decode(m.Survey, request.body)
    if not _NEEDS.fullmatch(asked.needs):
        raise invalid("needs must consist of the digits 0, 1 and 2.")

    def need(outline: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
        if asked.outline != wire.fingerprint(outline) or len(asked.needs) != outline.size:
            raise MlflowException("The series has changed. Ask for its outline again.", "ABORTED")
        return np.array([*map(int, asked.needs)], np.int64)

    found = _store(service).survey(asked.series_id, need)
    return _frames(wire.encode_pieces(found))


def beat(service: Service, request: Request) -> Answer:
    """Note that writers live."""
    _bare(service).beat(decode(m.Writers, request.body).writer_ids)
    return _frames(())


def beating(service: Service, request: Request) -> Answer:
    """Return the writers that live, those on the server's own machine among them."""
    return _frames(wire.encode_values(wire.TEXT, sorted(service.client.live_writers())))


def purge(service: Service, request: Request) -> Answer:
    """Remove runs for good; return how many there were."""
    run_ids = decode(m.WholeRuns, request.body).run_ids
    return _frames(wire.encode_values(wire.NUMBER, [_store(service).purge(run_ids)]))


def seal(service: Service, request: Request) -> Answer:
    """Sort waiting points into chunks; return how many there were."""
    run_id = decode(m.Sealing, request.body).run_id
    return _frames(wire.encode_values(wire.NUMBER, [_bare(service).seal(run_id)]))


def check(service: Service, request: Request) -> Answer:
    """Verify everything kept; return each damage, and how far the check has come."""
    found = _store(service).check()
    # One by one: whoever waits for the next must not think that nobody is there.
    each = (b"".join(wire.encode_values(wire.FOUND, [one])) for one in found)
    return Answer(wire.gathered(each, at_once=True), CONTENT_TYPE)


def stats(service: Service, request: Request) -> Answer:
    """Return counts and bytes."""
    return _frames(wire.encode_values(wire.COUNTS, [_store(service).stats()]))


def _store(service: Service) -> Store:
    """Return the store for reading, with everything that was logged here until now."""
    return service.client.store


def _bare(service: Service) -> Store:
    """Return the store for who does not read what was logged here: without ingesting first."""
    return service.client.backend.store_as_it_is()


def _frames(pieces: Iterable[bytes]) -> Answer:
    return Answer(wire.gathered(pieces), CONTENT_TYPE)


def _batch(body: bytes) -> Batch:
    """Return the batch of a body in which every value has the type that it must have."""
    try:
        batch = wire.decode_batch(body)
        for _, operation in batch.operations:
            msgspec.convert(list(operation), type(operation))
        msgspec.convert([list(key) for key in batch.series.values()], list[SeriesKey])
    except (StoreDamaged, JournalDamaged, msgspec.ValidationError) as error:
        raise invalid(f"This is no batch: {error}") from error
    return batch


def _window(first: int | None, last: int | None) -> tuple[int, int] | None:
    if first is None and last is None:
        return None
    return (-(2**63) if first is None else first, 2**63 - 1 if last is None else last)


def _parts(outline: npt.NDArray[np.void]) -> Iterator[npt.NDArray[np.void]]:
    for start in range(0, outline.size, wire.SUMMARIES_AT_ONCE):
        yield outline[start : start + wire.SUMMARIES_AT_ONCE]
