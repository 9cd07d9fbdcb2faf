"""The wire: how a batch, and what a store answers, travel between steplog and its server. No I/O.

A body is a sequence of *frames*, and the last of them is an END, so that a body that was cut off
is noticed. `docs/formats/wire.md` draws the bytes. Points travel as chunks (`steplog.chunk`),
summaries as they lie in memory, and everything else as JSON, in which no float occurs: the bits of
a float are an integer there.

Whoever sends a body may lie. Every length is looked at before memory is taken for it.

What is not here: HTTP (`steplog.stores.remote`, `steplog.server.storage`).
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from hashlib import blake2b
from io import BytesIO
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from steplog import chunk, operations
from steplog.exceptions import FormatTooNew, MlflowException, StoreDamaged, StoreError
from steplog.operations import SeriesKey
from steplog.points import POINT, Columns, arrange, empty_columns, series_starts
from steplog.rows import ExperimentRow, ModelRow, Refusal, RunRow
from steplog.stores.base import (
    Batch,
    Damage,
    DatasetSummary,
    DatasetUse,
    ExperimentRecord,
    KeyUse,
    Last,
    ModelRecord,
    ModelUse,
    Position,
    Refused,
    RunRecord,
    Series,
)
from steplog.summary import SUMMARY

T = TypeVar("T")

VERSION = 1
MOST_POINTS = 1 << 18
"""Points in one batch, or in one piece of an answer."""
MOST_SENT = 64 << 20
"""Bytes of one frame."""
MOST_UNPACKED = 256 << 20
"""Bytes of one frame, unpacked; …"""
MOST_BATCH = 64 << 20
"""… of one in a batch."""
MOST_VALUES = 1 << 20
"""Values in the JSON of a batch: each takes memory."""
SUMMARIES_AT_ONCE = 1_000
PIECE_BYTES = 256 << 10
"""About so long are the pieces in which long answers are sent."""

_MAGIC = b"SLW"
_FRAME = struct.Struct("<3sBB3x3I")  # magic, version, kind; bytes sent, bytes unpacked, crc32
_SHORT = 512  # bytes that are not worth packing
_ID = re.compile("[0-9a-f]{32}")
_NONSENSE = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)
_DOUBLE, _BITS = struct.Struct("<d"), struct.Struct("<q")


class Kind(IntEnum):
    """What a frame holds."""

    END = 0
    VALUES = 1
    SUMMARIES = 2
    POINTS = 3
    ERROR = 4


_PACKED = (Kind.VALUES, Kind.ERROR)


class Frame(NamedTuple):
    """One frame, unpacked."""

    kind: Kind
    payload: bytes


_NOTHING = Frame(Kind.END, b"")


class Shape(Generic[T]):
    """How a kind of value is said in JSON.

    Args:
        pack: returns what JSON can say.
        unpack: makes the value of that again.

    """

    def __init__(self, pack: Callable[[T], object], unpack: Callable[[Any], T]) -> None:
        self.pack = pack
        self.unpack = unpack


def _pack_run(record: RunRecord) -> object:
    last = [(*each[:-1], _bits(each.value)) for each in record.last]
    return (*record[:3], sorted(record.writers), record.datasets, record.models, last)


def _unpack_run(value: Any) -> RunRecord:
    row, params, tags, writers, datasets, models, last = value
    return RunRecord(
        RunRow(*row),
        params,
        tags,
        frozenset(writers),
        [DatasetUse(*each) for each in datasets],
        [ModelUse(*each) for each in models],
        [Last._make((*each[:-1], _value(each[-1]))) for each in last],
    )


TEXT: Shape[str] = Shape(str, str)
NUMBER: Shape[int] = Shape(int, int)
COUNTS: Shape[dict[str, Any]] = Shape(dict, dict)
TEXTS: Shape[list[str]] = Shape(list, list)
CHILDREN: Shape[tuple[str, int]] = Shape(tuple, lambda value: (value[0], value[1]))
POSITION: Shape[tuple[str, Position]] = Shape(tuple, lambda value: (value[0], _position(value[1])))
REFUSED: Shape[Refused] = Shape(
    tuple, lambda value: Refused(value[0], value[1], Refusal(*value[2]))
)
APPLIED: Shape[list[Refused] | None] = Shape(
    lambda value: value,
    lambda value: None if value is None else [REFUSED.unpack(each) for each in value],
)
EXPERIMENT: Shape[ExperimentRecord] = Shape(
    tuple, lambda value: ExperimentRecord(ExperimentRow(*value[0]), value[1])
)
RUN: Shape[RunRecord] = Shape(_pack_run, _unpack_run)
MODEL: Shape[ModelRecord] = Shape(
    tuple, lambda value: ModelRecord(ModelRow(*value[0]), value[1], value[2])
)
DATASET: Shape[DatasetSummary] = Shape(tuple, lambda value: DatasetSummary(*value))
KEY: Shape[KeyUse] = Shape(tuple, lambda value: KeyUse(*value))
FOUND: Shape[Damage | int] = Shape(
    lambda value: value, lambda value: value if isinstance(value, int) else Damage(*value)
)

# -- frames -----------------------------------------------------------------------------------


def frame(kind: Kind, payload: bytes = b"") -> bytes:
    """Return one frame; JSON is packed where that is worth it."""
    sent = payload
    if kind in _PACKED and len(payload) > _SHORT:
        sent = min(payload, zlib.compress(payload, 1), key=len)
    if len(sent) > MOST_SENT or len(payload) > MOST_UNPACKED:
        raise StoreError(f"{len(payload):,} bytes are too many to be sent in one piece.")
    head = _FRAME.pack(_MAGIC, VERSION, kind, len(sent), len(payload), zlib.crc32(sent))
    return head + sent


END = frame(Kind.END)


def frames(read: Callable[[int], bytes], most: int = MOST_UNPACKED) -> Iterator[Frame]:
    """Yield the frames of a body until its end.

    Args:
        read: returns so many of the next bytes, or fewer where there are no more for now or ever;
            none at the end.
        most: bytes that a frame may have, unpacked.

    Raises:
        StoreDamaged: the body is cut off, or is not what was sent.
        FormatTooNew: a newer steplog sent it.

    """
    while True:
        head = _exactly(read, _FRAME.size)
        magic, version, number, n_sent, n_unpacked, crc = _FRAME.unpack(head)
        if magic != _MAGIC:
            raise StoreDamaged(f"What was received begins with {head[:3]!r}, not {_MAGIC!r}.")
        if version != VERSION:
            raise FormatTooNew(
                f"What was received has format {version} of steplog's wire, and this steplog knows "
                f"format {VERSION}. Use one version of steplog on both sides."
            )
        packed = n_sent != n_unpacked and number not in _PACKED
        if packed or n_sent > MOST_SENT or n_unpacked > most or number not in tuple(Kind):
            raise StoreDamaged(f"What was received holds an impossible frame: {head.hex()}.")
        sent = _exactly(read, n_sent)
        if zlib.crc32(sent) != crc:
            raise StoreDamaged(f"The checksum of {n_sent} bytes that were received does not fit.")
        found = Frame(Kind(number), _unpacked(sent, n_unpacked))
        if found.kind == Kind.END:
            return
        yield found


def gathered(pieces: Iterable[bytes], *, at_once: bool = False) -> Iterator[bytes]:
    """Yield the frames of an answer in pieces that are worth sending, and its end.

    Args:
        pieces: frames.
        at_once: let none wait for others.

    """
    waiting: list[bytes] = []
    size, begun = 0, False
    try:
        for piece in pieces:
            waiting.append(piece)
            size += len(piece)
            if at_once or size >= PIECE_BYTES:
                yield b"".join(waiting)
                waiting, size, begun = [], 0, True
        waiting.append(END)
    except MlflowException as error:
        if not begun:  # the status of the answer can still say it
            raise
        waiting.append(encode_error(error))
    yield b"".join(waiting)


def encode_error(error: MlflowException) -> bytes:
    """Return the frame that ends an answer which an error has interrupted."""
    return frame(Kind.ERROR, _dump((error.error_code, error.message)))


def decode_error(found: Frame) -> MlflowException:
    """Return the error by which an answer was interrupted."""
    with making_sense():
        code, message = json.loads(found.payload)
        return error_of(str(code), str(message))


def error_of(code: str, message: str) -> MlflowException:
    """Return the error that a store raised on the other side."""
    for known in (StoreError, StoreDamaged, FormatTooNew):
        if code == known.error_code:
            return known(message)
    return MlflowException(message, code)


@contextmanager
def making_sense() -> Iterator[None]:
    """Turn the errors of values that are not what they should be into StoreDamaged."""
    try:
        yield
    except _NONSENSE as error:
        raise StoreDamaged(f"What was received does not make sense: {error}.") from error


# -- batches ----------------------------------------------------------------------------------


def encode_batch(batch: Batch) -> bytes:
    """Return a batch as a body. Its points are arranged (`steplog.points.arrange`).

    Raises:
        StoreError: it is too large.

    """
    points = arrange(batch.points)
    if points.size > MOST_POINTS:
        raise StoreError(f"A batch of {points.size:,} points cannot be sent.")
    numbers, starts = series_starts(points)
    lengths = np.diff(starts, append=points.size)
    counts = dict(zip(numbers.tolist(), lengths.tolist(), strict=True))
    series = [(number, counts.get(number, 0), *key) for number, key in batch.series.items()]
    said = {
        "journal_id": batch.journal_id,
        "writer_id": batch.writer_id,
        "before": batch.before,
        "after": batch.after,
        "durable": batch.durable,
        "operations": [
            (offset, operations.encode(operation).decode("ascii"))
            for offset, operation in batch.operations
        ],
        "series": sorted(series),
    }
    parts = [frame(Kind.VALUES, _dump(said))]
    if points.size:
        parts.append(frame(Kind.POINTS, chunk.encode(Columns.of(points))))
    return b"".join((*parts, END))


def decode_batch(body: bytes) -> Batch:
    """Return the batch that `encode_batch` was given, its points arranged.

    Raises:
        StoreDamaged: these are not its bytes.
        JournalDamaged: it holds an operation that this steplog does not know.
        FormatTooNew: a newer steplog sent it.

    """
    stream = BytesIO(body)
    found = frames(stream.read, MOST_BATCH)
    text, packed = (next(found, _NOTHING) for _ in range(2))
    if text.kind != Kind.VALUES or packed.kind not in (Kind.POINTS, Kind.END):
        raise StoreDamaged("What was received is not a batch.")
    if next(found, None) is not None or stream.read(1):
        raise StoreDamaged("What was received goes on behind its end.")
    if sum(map(text.payload.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise StoreDamaged(f"A batch holds more than {MOST_VALUES:,} values.")
    with making_sense():
        said = json.loads(text.payload)
        journal_id, writer_id = said["journal_id"], said["writer_id"]
        if not (_ID.fullmatch(journal_id) and _ID.fullmatch(writer_id)):
            raise ValueError("a journal and a writer have ids of 32 hexadecimal digits")
        before, after = _position(said["before"]), _position(said["after"])
        series = {_natural(number, 32): SeriesKey(*key) for number, _, *key in said["series"]}
        counts = [_natural(count, 32) for _, count, *_ in said["series"]]
        if [*series] != sorted(series) or len(counts) != len(series):
            raise ValueError("series are told in order, each once")
        told = [(_natural(offset, 63), each.encode()) for offset, each in said["operations"]]
        points = _points([*series], counts, packed)
        durable = bool(said["durable"])
    known = [(offset, operations.decode(operation)) for offset, operation in told]
    return Batch(journal_id, writer_id, before, after, known, points, series, durable)


def claimed_bytes(body: bytes) -> int:
    """Return how long the operations and series of a batch say they are, unpacked."""
    return 0 if len(body) < _FRAME.size else int(_FRAME.unpack_from(body)[4])


def _points(numbers: list[int], counts: list[int], packed: Frame) -> npt.NDArray[np.void]:
    columns = empty_columns()
    if packed.kind == Kind.POINTS:
        columns = chunk.decode(packed.payload, MOST_POINTS)
    if sum(counts) != columns.step.size:
        raise ValueError(f"{sum(counts)} points are told, and {columns.step.size} are there")
    points = np.zeros(columns.step.size, POINT)
    for name, column in zip(Columns._fields, columns, strict=True):
        points[name] = column
    points["series"] = np.repeat(np.array(numbers, POINT["series"]), counts)
    return points


# -- answers ----------------------------------------------------------------------------------


def encode_values(shape: Shape[T], values: Iterable[T]) -> Iterator[bytes]:
    """Yield frames that hold these values."""
    texts: list[bytes] = []
    size = 0
    for value in values:
        texts.append(_dump(shape.pack(value)))
        size += len(texts[-1])
        if size >= PIECE_BYTES:
            yield frame(Kind.VALUES, b"[%b]" % b",".join(texts))
            texts, size = [], 0
    if texts:
        yield frame(Kind.VALUES, b"[%b]" % b",".join(texts))


def decode_values(shape: Shape[T], found: Iterable[Frame]) -> Iterator[T]:
    """Yield the values of these frames.

    Raises:
        StoreDamaged: they are not what `encode_values` made.

    """
    for each in found:
        yield from _values(shape, each)


def encode_series(series: Iterable[Series]) -> Iterator[bytes]:
    """Yield frames that hold these series and what is known of them."""
    every = list(series)
    for start in range(0, len(every), SUMMARIES_AT_ONCE):
        some = every[start : start + SUMMARIES_AT_ONCE]
        told = [(each.series_id, each.exact, *each.key) for each in some]
        yield frame(Kind.VALUES, _dump(told))
        yield encode_summaries(np.array([each.summary for each in some], SUMMARY))


def decode_series(found: Iterator[Frame]) -> Iterator[Series]:
    """Yield the series of these frames.

    Raises:
        StoreDamaged: they are not what `encode_series` made.

    """
    for each in found:
        told = _values(_SERIES, each)
        summaries = decode_summaries(next(found, _NOTHING))
        if len(told) != summaries.size:
            raise StoreDamaged("What was received tells of other series than it lists.")
        for (series_id, exact, key), summary in zip(told, summaries, strict=True):
            yield Series(series_id, key, summary, exact)


def encode_summaries(summaries: npt.NDArray[np.void]) -> bytes:
    """Return a frame that holds summaries, dtype SUMMARY."""
    return frame(Kind.SUMMARIES, summaries.tobytes())


def decode_summaries(found: Frame) -> npt.NDArray[np.void]:
    """Return the summaries of a frame."""
    if found.kind != Kind.SUMMARIES:
        raise StoreDamaged(f"A frame of summaries was expected, not one of {found.kind.name}.")
    with making_sense():
        return np.frombuffer(found.payload, SUMMARY)


def encode_pieces(pieces: Iterable[npt.NDArray[np.void] | Columns]) -> Iterator[bytes]:
    """Yield a frame for each piece of a series: summaries, or points."""
    for piece in pieces:
        if isinstance(piece, Columns):
            yield frame(Kind.POINTS, chunk.encode(piece))
        else:
            yield encode_summaries(piece)


def decode_piece(found: Frame) -> npt.NDArray[np.void] | Columns:
    """Return the summaries or points of a frame."""
    if found.kind == Kind.POINTS:
        return chunk.decode(found.payload, MOST_POINTS)
    return decode_summaries(found)


def fingerprint(outline: npt.NDArray[np.void]) -> str:
    """Return a text that differs where outlines differ."""
    return blake2b(outline.tobytes(), digest_size=16).hexdigest()


# -- parts ------------------------------------------------------------------------------------


_SERIES: Shape[tuple[int, bool, SeriesKey]] = Shape(
    tuple, lambda value: (int(value[0]), bool(value[1]), SeriesKey(*value[2:]))
)


def _values(shape: Shape[T], found: Frame) -> list[T]:
    if found.kind != Kind.VALUES:
        raise StoreDamaged(f"A frame of values was expected, not one of {found.kind.name}.")
    with making_sense():
        return [shape.unpack(value) for value in json.loads(found.payload)]


def _dump(value: object) -> bytes:
    # ASCII with escapes can also hold lone surrogates, as operations do.
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def _exactly(read: Callable[[int], bytes], size: int) -> bytes:
    """Return so many bytes; never asks for more at once than are likely to be there."""
    parts: list[bytes] = []
    while size:
        part = read(min(size, 1 << 20))
        if not part:
            raise StoreDamaged("What was received is cut off.")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _unpacked(sent: bytes, size: int) -> bytes:
    if len(sent) == size:
        return sent
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(sent, size + 1)
    except zlib.error as error:
        raise StoreDamaged(f"What was received cannot be unpacked: {error}.") from error
    if len(data) != size or not unpacker.eof or unpacker.unused_data:
        raise StoreDamaged(f"What was received does not unpack to {size} bytes.")
    return data


def _position(value: Any) -> Position:
    offset, holes = value
    ranges = tuple((_natural(start, 63), _natural(end, 63)) for start, end in holes)
    return Position(_natural(offset, 63), ranges)


def _natural(value: object, bits: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0 or value >> bits:
        raise ValueError(f"{value!r} is not a number of {bits} bits")
    return value


def _bits(value: float) -> int:
    """Return the bits of a float, a NaN's payload among them."""
    bits: int = _BITS.unpack(_DOUBLE.pack(value))[0]
    return bits


def _value(bits: int) -> float:
    value: float = _DOUBLE.unpack(_BITS.pack(bits))[0]
    return value
