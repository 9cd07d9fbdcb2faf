"""The store on a steplog server: every method of the protocol is one request.

What is sent and what comes back is `steplog.stores.wire`; connections, who calls, and when a server
that had trouble is tried again, is `steplog.stores.http`. Nothing is kept here, so any number of
servers on one database may answer, each request another.

A request whose answer is lost may be sent again: a batch counts once, by its position.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from steplog.exceptions import MlflowException, StoreDamaged, StoreError
from steplog.points import Columns
from steplog.query import Query
from steplog.stores import wire
from steplog.stores.base import (
    Batch,
    Damage,
    DatasetSummary,
    ExperimentRecord,
    KeyUse,
    ModelRecord,
    PairKeys,
    Position,
    Refused,
    RunRecord,
    Series,
)
from steplog.stores.http import Http, OtherServer, Reply
from steplog.stores.retrying import Patience
from steplog.summary import SUMMARY

T = TypeVar("T")

PREFIX = "/api/steplog/1/store/"
TRIES = 10
"""So often a survey is begun anew where the series changed in the middle of it."""

_LONGEST_ERROR = 1 << 20
_JSON = {"Content-Type": "application/json"}
_BATCH = {"Content-Type": "application/octet-stream"}


class RemoteStore:
    """A `steplog.stores.base.Store` on a steplog server. Nothing is asked before it is needed.

    Args:
        url: of the server; perhaps with a user and a password. Without them,
            MLFLOW_TRACKING_TOKEN says who calls, or MLFLOW_TRACKING_USERNAME and _PASSWORD.
        timeout: longest wait for the server, in seconds.
        patience: when a server that had trouble is tried again.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE where the URL names no server.

    """

    def __init__(self, url: str, timeout: float = 30.0, patience: Patience | None = None) -> None:
        self._http = Http(url, timeout, patience)

    def apply(self, batch: Batch) -> list[Refused] | None:
        """Apply one stretch of one journal, whole or not at all."""
        body = wire.encode_batch(batch)
        with self._answered("PUT", "batches", body, _BATCH) as found:
            [refused] = wire.decode_values(wire.APPLIED, found)
            return refused

    def positions(self, journal_ids: Sequence[str]) -> dict[str, Position]:
        """Up to where each of these journals has been applied; those at START are left out."""
        return dict(self._values(wire.POSITION, "positions", journal_ids=journal_ids))

    def refusals(
        self, run_id: str | None = None, journal_ids: Sequence[str] | None = None
    ) -> list[Refused]:
        """Return the operations refused so far, of one run, of some journals, or all."""
        return self._values(wire.REFUSED, "refusals", run_id=run_id, journal_ids=journal_ids)

    def experiments(
        self, ids: Sequence[str] | None = None, name: str | None = None
    ) -> list[ExperimentRecord]:
        """Experiments with these ids, or with this name, or all; newest first, then by id."""
        return self._values(wire.EXPERIMENT, "experiments", ids=ids, name=name)

    def runs(
        self,
        run_ids: Sequence[str] | None = None,
        experiment_ids: Sequence[str] | None = None,
        last: bool = False,
    ) -> list[RunRecord]:
        """Runs with these ids (or ids that start so), or of these experiments, or all."""
        return self._values(
            wire.RUN, "runs", run_ids=run_ids, experiment_ids=experiment_ids, last=last
        )

    def models(self, model_ids: Sequence[str]) -> list[ModelRecord]:
        """Logged models with these ids, in this order, deleted ones included."""
        return self._values(wire.MODEL, "models", model_ids=model_ids)

    def datasets(self, experiment_ids: Sequence[str], limit: int) -> list[DatasetSummary]:
        """Which datasets the runs of these experiments used, each once for each context."""
        return self._values(wire.DATASET, "datasets", experiment_ids=experiment_ids, limit=limit)

    def search(self, query: Query) -> list[str]:
        """Return the ids of the runs, experiments or logged models that a query asks for."""
        return self._values(wire.TEXT, "search", query=json.dumps(query))

    def series(
        self,
        run_ids: Sequence[str] | None,
        keys: Sequence[str] | None = None,
        model_ids: Sequence[str] | None = None,
    ) -> list[Series]:
        """Return the series of these runs, ordered by run (as asked), key and the rest."""
        with self._asking("series", run_ids=run_ids, keys=keys, model_ids=model_ids) as found:
            return [*wire.decode_series(found)]

    def keys(self, run_ids: Sequence[str]) -> list[KeyUse]:
        """Return the metrics that these runs have, ordered by key; whole run ids."""
        return self._values(wire.KEY, "keys", run_ids=run_ids)

    def pair_keys(self, run_ids: Sequence[str]) -> PairKeys:
        """Return the keys of params and tags that some of these runs have."""
        return PairKeys._make(self._values(wire.TEXTS, "pair-keys", run_ids=run_ids))

    def children(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Return how many active runs are nested in each of these."""
        return dict(self._values(wire.CHILDREN, "children", run_ids=run_ids))

    def points(
        self,
        series_id: int,
        steps: tuple[int, int] | None = None,
        times: tuple[int, int] | None = None,
    ) -> Iterator[Columns]:
        """Yield the points of one series in order, in pieces of bounded size."""
        first_step, last_step = steps or (None, None)
        first_time, last_time = times or (None, None)
        with self._asking(
            "points",
            series_id=series_id,
            first_step=first_step,
            last_step=last_step,
            first_time=first_time,
            last_time=last_time,
        ) as found:
            for each in found:
                piece = wire.decode_piece(each)
                assert isinstance(piece, Columns)
                yield piece

    def outline(self, series_id: int) -> npt.NDArray[np.void]:
        """Summaries (dtype SUMMARY) of consecutive stretches of one series, in order, all exact."""
        with self._asking("outline", series_id=series_id) as found:
            parts = [np.empty(0, SUMMARY), *map(wire.decode_summaries, found)]
        return np.concatenate(parts)

    def survey(
        self,
        series_id: int,
        need: Callable[[npt.NDArray[np.void]], npt.NDArray[np.integer[Any]]],
    ) -> Iterator[npt.NDArray[np.void] | Columns]:
        """Yield what is needed of each stretch of one series, all of one state of the store.

        First the outline is asked for, and then what is needed. Where the series has changed
        between the two, which the server notices before it answers, `need` is asked again.
        """
        for _ in range(TRIES):
            outline = self.outline(series_id)
            needs = "".join(map(str, need(outline).astype(int).tolist()))
            if not needs.strip("0"):
                return
            try:
                with self._asking(
                    "survey", series_id=series_id, outline=wire.fingerprint(outline), needs=needs
                ) as found:
                    yield from map(wire.decode_piece, found)
                return
            except MlflowException as error:
                if error.error_code != "ABORTED":
                    raise
        raise StoreError("The series changes faster than it can be read. Try again.")

    def beat(self, writer_ids: Sequence[str]) -> None:
        """Note that these writers live, for whoever cannot see their journals."""
        self._values(wire.TEXT, "beats", writer_ids=writer_ids)

    def beating(self) -> frozenset[str]:
        """Return the writers of which `beat` has told, and those on the server's machine."""
        return frozenset(self._values(wire.TEXT, "beating"))

    def purge(self, run_ids: Sequence[str]) -> int:
        """Remove these runs for good, with all that was logged to them. Only for an admin."""
        return self._one(wire.NUMBER, "purge", run_ids=run_ids)

    def seal(self, run_id: str | None = None) -> int:
        """Sort waiting points into chunks, all of one run. Of others the server itself does it."""
        return self._one(wire.NUMBER, "seal", run_id=run_id) if run_id is not None else 0

    def check(self) -> Iterator[Damage | int]:
        """Verify everything kept: checksums, counts, summaries."""
        with self._asking("check") as found:
            yield from wire.decode_values(wire.FOUND, found)

    def stats(self) -> dict[str, Any]:
        """Counts and bytes, as the protocol says."""
        return self._one(wire.COUNTS, "stats")

    def close(self) -> None:
        """Give back the connections."""
        self._http.close()

    # -- requests -------------------------------------------------------------------------------

    def _one(self, shape: wire.Shape[T], path: str, **asked: object) -> T:
        [value] = self._values(shape, path, **asked)
        return value

    def _values(self, shape: wire.Shape[T], path: str, **asked: object) -> list[T]:
        with self._asking(path, **asked) as found:
            return [*wire.decode_values(shape, found)]

    def _asking(self, path: str, **asked: object) -> AbstractContextManager[Iterator[wire.Frame]]:
        """Lend the frames of the answer to a question, which is GET where it says nothing."""
        if not asked:
            return self._answered("GET", path, None, {})
        said = {name: value for name, value in asked.items() if value is not None}
        return self._answered("POST", path, json.dumps(said, default=list).encode(), _JSON)

    @contextmanager
    def _answered(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Iterator[Iterator[wire.Frame]]:
        with self._http.open(method, PREFIX + path, body, headers) as reply:
            if reply.status != 200:
                raise self._error(reply)
            with closing(self._frames(reply)) as found:
                yield found

    def _frames(self, reply: Reply) -> Generator[wire.Frame, None, None]:
        found = wire.frames(reply.read)
        while (each := self._next(found)) is not None:
            if each.kind == wire.Kind.ERROR:
                raise wire.decode_error(each)
            yield each
        reply.read()  # there is nothing left; but only now the connection can be used again

    def _next(self, found: Iterator[wire.Frame]) -> wire.Frame | None:
        try:
            return next(found, None)
        except StoreDamaged as error:  # nothing is wrong with what the server keeps
            raise StoreError(f"The answer of the server {self._http.name}: {error}") from error

    def _error(self, reply: Reply) -> MlflowException:
        """Return the error that an answer tells instead of what was asked for."""
        try:
            told = json.loads(reply.read(_LONGEST_ERROR))
            code, message = str(told["error_code"]), str(told["message"])
        except (ValueError, LookupError, TypeError):
            code, message = "", f"It answers {reply.status}."
        name = self._http.name
        if reply.status in (401, 403):
            return StoreError(
                f"The server {name} does not let this process in: {message} Set "
                "MLFLOW_TRACKING_TOKEN to a token that may read and write all experiments."
            )
        if code in ("", "ENDPOINT_NOT_FOUND"):
            return OtherServer(f"The server {name} does not answer as one of steplog's: {message}")
        return wire.error_of(code, message)
