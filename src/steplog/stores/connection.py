"""What the SQL of the stores is written against: a connection, and how values stand in columns.

SQLite and PostgreSQL keep the same tables, and the statements are written once, in what both of
them understand. Where they differ, the difference has a name here: a few operations of `Connection`
and a few pieces of text in `Dialect`. Who offers them: `steplog.stores.database` (SQLite) and
`steplog.stores.postgres_database`.

What both understand: marks are ``?``; a flag is an integer; the sum of integers is cast to BIGINT;
a subquery in FROM has a name; ``offset`` stands in quotes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from steplog.points import Columns
from steplog.stores.base import Batch
from steplog.stores.schema import SUMMARY_COLUMNS
from steplog.summary import SUMMARY

_Row = Sequence[Any]
_FLOATS = [i for i, name in enumerate(SUMMARY_COLUMNS) if SUMMARY[name].kind == "f"]


class Dialect(Protocol):
    """Pieces of SQL, and of what is given for its marks, in which databases differ."""

    @property
    def name(self) -> Literal["sqlite", "postgresql"]:
        """How SQLAlchemy calls it."""
        ...

    @property
    def join_in_order(self) -> str:
        """JOIN, where the table on the left is to be read first."""
        ...

    def listed(self, values: Sequence[Any]) -> object:
        """Return any number of texts, or of integers, as the value for one mark."""
        ...

    def among(self, column: str) -> str:
        """Return the condition that a column has one of the values that are `listed` by a mark."""
        ...

    def table(self, kind: Literal["TEXT", "BIGINT"]) -> str:
        """Return the values `listed` by a mark as the table ``listed``: ``value`` and ``place``."""
        ...

    def indexed_by(self, index: str) -> str:
        """Return what follows the name of a table to have it read by this index, if by any."""
        ...


class Result(Protocol):
    """What a statement has found or done."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""
        ...

    def fetchone(self) -> Any:
        """Return the next row; None where there is none."""
        ...

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Chunk(NamedTuple):
    """A chunk as the catalog knows it.

    Attributes:
        chunk_id: its number.
        series_id: whose points it holds.
        summary: what is known of them: dtype SUMMARY, shape (1,).

    """

    chunk_id: int
    series_id: int
    summary: npt.NDArray[np.void]


class Home(Protocol):
    """Where the points of chunks are kept; what is known of them always stands in the catalog."""

    @property
    def at_once(self) -> bool:
        """Whether `write` may be called while a batch is applied, and not by sealing alone."""
        ...

    def write(
        self, connection: Connection, chunk_ids: Sequence[int], encoded: Sequence[bytes]
    ) -> None:
        """Write the points of new chunks, encoded by `steplog.chunk`, in this transaction."""
        ...

    def read(self, connection: Connection, chunks: Sequence[Chunk]) -> Iterator[Columns]:
        """Yield the points of each of these chunks, in their order, reading a few ahead.

        Raises:
            StoreDamaged: they are not what was written.

        """
        ...

    def remove(self, connection: Connection, chunk_ids: Sequence[int]) -> None:
        """Remove the points of chunks whose points stand in other chunks now."""
        ...

    def purge(
        self, connection: Connection, series_ids: Sequence[int], chunk_ids: Sequence[int]
    ) -> None:
        """Remove all points of these series for good; `chunk_ids` are all chunks they have."""
        ...


class Connection(Protocol):
    """A database as one transaction sees it, in which everything here happens."""

    @property
    def catalog(self) -> object:
        """Which catalog this is: what is remembered of one is not true of another."""
        ...

    @property
    def home(self) -> Home:
        """Where the points of chunks are kept."""
        ...

    @property
    def dialect(self) -> Dialect:
        """How its SQL is written."""
        ...

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Result:
        """Execute a statement, given what its marks stand for."""
        ...

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]], /) -> object:
        """Execute a statement for each of these rows."""
        ...

    def stream(self, statement: str, values: Sequence[Any]) -> Iterator[Any]:
        """Yield what a statement finds without holding all of it in memory.

        Until the last row was taken, or the iterator closed, nothing else is to be executed.
        """
        ...

    def insert_many(
        self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Insert rows that are known to be new."""
        ...

    def update_many(self, table: str, columns: Sequence[str], rows: npt.NDArray[np.int64]) -> None:
        """Update many rows of a table whose columns are integers.

        Args:
            table: its name.
            columns: which columns get other values; the last one says of which row.
            rows: a row of values for each row, as in `columns`.

        """
        ...

    def new_chunk_ids(self, count: int) -> list[int]:
        """Return so many numbers for new chunks, ascending: each higher than any before."""
        ...

    def lock_batch(self, batch: Batch) -> None:
        """Keep others from changing what a batch changes, until this transaction ends."""
        ...

    def lock_run(self, run_no: int) -> None:
        """Keep others from changing a run's points, until this transaction ends."""
        ...

    def now_ms(self) -> int:
        """Return the time by the database's clock, in ms since the epoch."""
        ...

    def bytes_used(self) -> int:
        """Return how many bytes the catalog takes on the disk."""
        ...

    def give_back_space(self) -> None:
        """Shrink what the database occupies, where that is not done by the database itself."""
        ...

    def findings(self) -> Iterator[str]:
        """Yield what is wrong with the structure of the database, as far as it can say."""
        ...


class Database(Protocol):
    """Lends connections, each for one transaction."""

    @property
    def name(self) -> str:
        """How it is called in messages."""
        ...

    def reading(self) -> AbstractContextManager[Connection]:
        """Lend a connection that sees one state of the catalog, whatever is written meanwhile."""
        ...

    def writing(self, durable: bool = False) -> AbstractContextManager[Connection]:
        """Lend a connection whose changes are committed at the end, or undone by an exception.

        Args:
            durable: the commit must survive a power cut.

        """
        ...

    def close(self) -> None:
        """Close the connections that nobody uses just now."""
        ...


def marks(values: Sequence[object]) -> str:
    """Return a question mark for each value, for an INSERT."""
    return ", ".join("?" * len(values))


def summary_bits(summaries: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
    """Return summaries (dtype SUMMARY) as the integers of their columns, a row for each.

    A float is kept as the integer of its bits, folded so that integers sort as the floats do.
    """
    bits: npt.NDArray[np.int64] = summaries.view("<i8").reshape(-1, len(SUMMARY_COLUMNS)).copy()
    bits[:, _FLOATS] = _folded(bits[:, _FLOATS])
    return bits


def summaries_of(rows: Iterable[Sequence[int]]) -> npt.NDArray[np.void]:
    """Return the summaries (dtype SUMMARY) that these rows of integers stand for."""
    bits = np.fromiter(chain.from_iterable(rows), "<i8").reshape(-1, len(SUMMARY_COLUMNS))
    bits[:, _FLOATS] = _folded(bits[:, _FLOATS])
    summaries: npt.NDArray[np.void] = bits.view(SUMMARY).reshape(-1)
    return summaries


def floats_of(bits: Sequence[int]) -> npt.NDArray[np.float64]:
    """Return the floats that the catalog keeps as these integers."""
    floats: npt.NDArray[np.float64] = _folded(np.array(bits, "<i8")).view("<f8")
    return floats


def bits_of(floats: npt.NDArray[np.float64]) -> list[int]:
    """Return the integers by which the catalog keeps these floats."""
    bits: list[int] = _folded(floats.astype("<f8").view("<i8")).tolist()
    return bits


def _folded(floats: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Make the bits of floats sort like the floats, or back: it is its own inverse."""
    folded: npt.NDArray[np.int64] = np.where(
        floats < 0, floats ^ np.int64(0x7FFF_FFFF_FFFF_FFFF), floats
    )
    return folded
