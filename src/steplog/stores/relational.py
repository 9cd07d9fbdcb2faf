"""A store in a relational database: what SQLite and PostgreSQL do alike, which is nearly all.

Points arrive in the *tail*, one blob for each batch and run; nothing is ever written point by
point. Sealing later moves them into *chunks*, one series in each. What is known of a series stands
in its row and is merged with what is known of each batch, so tables and search never read points.

Here is the store as the protocol wants it. The rest of it, each about one thing: `rows` and
`catalog` (what the tables say), `searching`, `tail`, `sealing`, `chunks`, `pieces` (one series put
together), `outlines` (what is known of long ones), `checking`. What a database is told so that many
may use it at once is in `database` (SQLite) and `postgres_database`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from steplog import settings
from steplog.fold import fold, storable
from steplog.forks import undisturbed
from steplog.operations import SeriesKey
from steplog.points import Columns
from steplog.query import Query
from steplog.stores import catalog, checking, purging, sealing, tail
from steplog.stores.base import (
    BEAT_SECONDS,
    START,
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
from steplog.stores.connection import Connection, Database
from steplog.stores.outlines import Outlines
from steplog.stores.pieces import (
    Pieces,
    cut,
    read_groups,
    read_pieces,
    summarise_group,
    survey,
    within,
)
from steplog.stores.rows import CatalogRows
from steplog.stores.waiting import Waiting

_FORGET_BEATS_SECONDS = 24 * 3600.0


class RelationalStore:
    """A `steplog.stores.base.Store` in a database.

    It must not be carried through a fork; open another one in the child.

    Args:
        database: lends connections.

    Raises:
        StoreError: the database cannot be used now.
        StoreDamaged: it holds something else than a catalog.
        FormatTooNew: a newer steplog wrote it; nothing was touched.

    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._series_ids = tail.SeriesIds()
        self._outlines = Outlines()
        self._tails = Waiting()
        with self._database.reading():
            pass  # to fail now rather than at the first use

    def apply(self, batch: Batch) -> list[Refused] | None:
        """Apply one stretch of one journal, whole or not at all."""
        try:
            with self._database.writing(batch.durable) as connection:
                if not _advance(connection, batch):
                    return None
                connection.lock_batch(batch)
                refused = _fold_operations(connection, batch)
                if batch.points.size:
                    tail.append(connection, batch, self._series_ids)
                return refused
        except tail.SeriesGone:
            self._series_ids.forget()
            return self.apply(batch)
        except BaseException:
            self._series_ids.forget()
            raise

    def positions(self, journal_ids: Sequence[str]) -> dict[str, Position]:
        """Up to where each of these journals has been applied; those at START are left out."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT journal_id, position FROM journals "
                f"WHERE {connection.dialect.among('journal_id')}",
                (connection.dialect.listed(journal_ids),),
            )
            return {journal_id: _decode_position(text) for journal_id, text in rows}

    def refusals(
        self, run_id: str | None = None, journal_ids: Sequence[str] | None = None
    ) -> list[Refused]:
        """Return the operations refused so far, of one run, of some journals, or all."""
        with self._database.reading() as connection:
            return catalog.read_refusals(connection, run_id, journal_ids)

    def experiments(
        self, ids: Sequence[str] | None = None, name: str | None = None
    ) -> list[ExperimentRecord]:
        """Experiments with these ids, or with this name, or all; newest first, then by id."""
        with self._database.reading() as connection:
            return catalog.read_experiments(connection, ids, name)

    def runs(
        self,
        run_ids: Sequence[str] | None = None,
        experiment_ids: Sequence[str] | None = None,
        last: bool = False,
    ) -> list[RunRecord]:
        """Runs with these ids (or ids that start so), or of these experiments, or all."""
        with self._database.reading() as connection:
            return catalog.read_runs(connection, run_ids, experiment_ids, last=last)

    def models(self, model_ids: Sequence[str]) -> list[ModelRecord]:
        """Logged models with these ids, in this order, deleted ones included."""
        with self._database.reading() as connection:
            return catalog.read_models(connection, model_ids)

    def datasets(self, experiment_ids: Sequence[str], limit: int) -> list[DatasetSummary]:
        """Which datasets the runs of these experiments used, each once for each context."""
        with self._database.reading() as connection:
            return catalog.read_datasets(connection, experiment_ids, limit)

    def search(self, query: Query) -> list[str]:
        """Return the ids of the runs, experiments or logged models that a query asks for."""
        # Not at the top: SQLAlchemy is slow to import, and only those who search wait for it.
        with undisturbed:
            from steplog.stores.searching import search

        with self._database.reading() as connection:
            return search(connection, query)

    def series(
        self,
        run_ids: Sequence[str] | None,
        keys: Sequence[str] | None = None,
        model_ids: Sequence[str] | None = None,
    ) -> list[Series]:
        """Return the series of these runs, ordered by run (as asked), key and the rest."""
        with self._database.reading() as connection:
            return catalog.read_series(connection, run_ids, keys, model_ids)

    def keys(self, run_ids: Sequence[str]) -> list[KeyUse]:
        """Return the metrics that these runs have, ordered by key; whole run ids."""
        with self._database.reading() as connection:
            return catalog.read_keys(connection, run_ids)

    def pair_keys(self, run_ids: Sequence[str]) -> PairKeys:
        """Return the keys of params and tags that some of these runs have."""
        with self._database.reading() as connection:
            return catalog.read_pair_keys(connection, run_ids)

    def children(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Return how many active runs are nested in each of these."""
        with self._database.reading() as connection:
            return catalog.read_children(connection, run_ids)

    def points(
        self,
        series_id: int,
        steps: tuple[int, int] | None = None,
        times: tuple[int, int] | None = None,
    ) -> Iterator[Columns]:
        """Yield the points of one series in order, in pieces of bounded size."""
        with self._database.reading() as connection:
            pieces = self._pieces(connection, series_id).within(steps, times)
            for columns in read_groups(connection, pieces, pieces.groups()):
                yield from cut(within(columns, steps, times))

    def outline(self, series_id: int) -> npt.NDArray[np.void]:
        """Summaries (dtype SUMMARY) of consecutive stretches of one series, in order, all exact."""
        with self._database.reading() as connection:
            pieces = self._pieces(connection, series_id)
            if pieces.follow_one_another():
                return pieces.summaries
            groups = (summarise_group(connection, pieces, each) for each in pieces.groups())
            return np.concatenate([*groups])

    def survey(
        self,
        series_id: int,
        need: Callable[[npt.NDArray[np.void]], npt.NDArray[np.integer[Any]]],
    ) -> Iterator[npt.NDArray[np.void] | Columns]:
        """Yield what is needed of each stretch of one series, all of one state of the store."""
        with self._database.reading() as connection:
            yield from survey(connection, self._pieces(connection, series_id), need)

    def beat(self, writer_ids: Sequence[str]) -> None:
        """Note that these writers live, for whoever cannot see their journals."""
        with self._database.writing() as connection:
            now_ms = connection.now_ms()
            forgotten_ms = now_ms - int(_FORGET_BEATS_SECONDS * 1000)
            connection.execute("DELETE FROM heartbeats WHERE seen_ms < ?", (forgotten_ms,))
            connection.executemany(
                "INSERT INTO heartbeats VALUES (?, ?) "
                "ON CONFLICT (writer_id) DO UPDATE SET seen_ms = excluded.seen_ms",
                [(writer_id, now_ms) for writer_id in sorted(writer_ids)],
            )

    def beating(self) -> frozenset[str]:
        """Return the writers of which `beat` has told within BEAT_SECONDS."""
        with self._database.reading() as connection:
            since_ms = connection.now_ms() - int(BEAT_SECONDS * 1000)
            return catalog.read_beating(connection, since_ms)

    def purge(self, run_ids: Sequence[str]) -> int:
        """Remove these runs for good, with their points and all else that was logged to them."""
        return sum(purging.purge_run(self._database, run_id) for run_id in run_ids)

    def seal(self, run_id: str | None = None) -> int:
        """Sort waiting points into chunks: of runs that ended or grew enough, or all of one run."""
        seal_points = settings.get("STEPLOG_SEAL_POINTS")
        with self._database.reading() as connection:
            if run_id is None:
                waiting = sealing.waiting_runs(connection)
                run_nos = [each.run_no for each in waiting if each.due(seal_points)]
            else:
                run_nos = sealing.waiting_run(connection, run_id)
        return sum(sealing.seal_run(self._database, run_no) for run_no in run_nos)

    def check(self) -> Iterator[Damage | int]:
        """Verify everything kept: checksums, counts, summaries."""
        return checking.check(self._database)

    def stats(self) -> dict[str, Any]:
        """Counts and bytes, as the protocol says."""
        with self._database.reading() as connection:
            return {**catalog.read_stats(connection), "bytes": connection.bytes_used()}

    def close(self) -> None:
        """Give back files and connections. The store cannot be used afterwards."""
        self._database.close()

    def _pieces(self, connection: Connection, series_id: int) -> Pieces:
        return read_pieces(connection, series_id, self._outlines, self._tails)


def _advance(connection: Connection, batch: Batch) -> bool:
    """Move the journal to the batch's end, if it stands where the batch begins.

    One statement, so that of several transactions at once one does, wherever they run.
    """
    before, after = (json.dumps(each) for each in (batch.before, batch.after))
    if batch.before == START:
        moved = connection.execute(
            "INSERT INTO journals VALUES (?, ?, ?) ON CONFLICT (journal_id) "
            "DO UPDATE SET position = excluded.position WHERE journals.position = ?",
            (batch.journal_id, batch.writer_id, after, before),
        )
    else:
        moved = connection.execute(
            "UPDATE journals SET position = ? WHERE journal_id = ? AND position = ?",
            (after, batch.journal_id, before),
        )
    return moved.rowcount > 0


def _fold_operations(connection: Connection, batch: Batch) -> list[Refused]:
    """Apply the operations of a batch; return those that the catalog did not accept."""
    rows = CatalogRows(connection)
    refused = []
    run_ids = set()
    for offset, operation in batch.operations:
        refusal = fold(operation, rows)
        if refusal is not None:
            refused.append(Refused(batch.journal_id, offset, refusal))
            rows.add_refusal(refused[-1])
        run_id = getattr(operation, "run_id", None)
        if run_id is not None:
            run_ids.add(storable(SeriesKey(run_id, "")).run_id)
    if run_ids:
        rows.add_writer(sorted(run_ids), batch.writer_id)
    return refused


def _decode_position(text: str) -> Position:
    offset, holes = json.loads(text)
    return Position(offset, tuple((start, end) for start, end in holes))
