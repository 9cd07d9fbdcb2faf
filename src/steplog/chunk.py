"""The bytes of a chunk: the columns of one stretch of one series, compressed. No I/O.

`docs/formats/chunk.md` draws the layout; whoever changes a byte here gives the format a new number
there. Every bit of steps, timestamps and values survives, the payloads of NaN included.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
from pcodec import ChunkConfig, standalone

from steplog.exceptions import StoreDamaged
from steplog.points import POINT, Columns

_MAGIC = b"SLC\x01"  # the last byte is the version of the format
_HEADER = struct.Struct("<4sI")  # magic, crc32 of everything after it
_LAYOUT = struct.Struct("<I3Bx3I")  # number of points; codec of each column; bytes of each column
_RAW, _PCODEC = 0, 1
MOST_POINTS = (1 << 32) - 1
_LEVEL_4 = ChunkConfig(compression_level=4)  # the default level is 3 times slower, 1 % smaller


def encode(columns: Columns) -> bytes:
    """Return the bytes of a chunk that holds these points, in the order given.

    Args:
        columns: at most 2^32 - 1 points; some 8,000 compress well and are quick to read again.

    """
    codecs, parts = zip(*map(_encode_column, columns), strict=True)
    body = b"".join((_LAYOUT.pack(columns.step.size, *codecs, *map(len, parts)), *parts))
    return _HEADER.pack(_MAGIC, zlib.crc32(body)) + body


def decode(chunk: bytes, most_points: int = MOST_POINTS) -> Columns:
    """Return the points of a chunk, bit for bit as they were given to `encode`.

    Args:
        chunk: its bytes.
        most_points: no memory is taken for more than these: whoever made the bytes may lie.

    Raises:
        StoreDamaged: these are not the bytes that `encode` made, or are of too many points.

    """
    if len(chunk) < _HEADER.size + _LAYOUT.size:
        raise StoreDamaged(f"A chunk is cut off: it has only {len(chunk)} bytes.")
    magic, crc = _HEADER.unpack_from(chunk)
    if magic != _MAGIC:
        raise StoreDamaged(f"A chunk must begin with {_MAGIC!r}, this one does with {magic!r}.")
    body = memoryview(chunk)[_HEADER.size :]
    if zlib.crc32(body) != crc:
        raise StoreDamaged(f"The checksum of a chunk of {len(chunk)} bytes does not fit.")
    return _decode_body(body, most_points)


def _decode_body(body: memoryview, most_points: int) -> Columns:
    count, *codecs_and_lengths = _LAYOUT.unpack_from(body)
    if count > most_points:
        raise StoreDamaged(f"A chunk says that it has {count} points, more than {most_points}.")
    codecs, lengths = codecs_and_lengths[:3], codecs_and_lengths[3:]
    columns, start = [], _LAYOUT.size
    for name, codec, length in zip(Columns._fields, codecs, lengths, strict=True):
        part = bytes(body[start : start + length])
        columns.append(_decode_column(codec, part, POINT[name], count))
        start += length
    return Columns(*columns)


def _encode_column(column: npt.NDArray[np.generic]) -> tuple[int, bytes]:
    """Return codec and bytes: pcodec's, or the column as it is where those are no fewer."""
    # pcodec takes no strided or unaligned array; its bytes are little-endian, so ours are too.
    column = np.require(column, column.dtype.newbyteorder("<"), ["C", "A"])
    raw = column.tobytes()
    packed = standalone.simple_compress(column, _LEVEL_4)
    # Read again, because "exact" is a promise of ours and not of pcodec's. It costs an eighth.
    if len(packed) < len(raw) and standalone.simple_decompress(packed).tobytes() == raw:
        return _PCODEC, packed
    return _RAW, raw


def _decode_column(
    codec: int, part: bytes, dtype: np.dtype[np.generic], count: int
) -> npt.NDArray[Any]:
    if codec not in (_RAW, _PCODEC):
        raise StoreDamaged(f"A chunk names the codec {codec}, which format 1 does not have.")
    column: npt.NDArray[Any]
    if codec == _RAW:
        if len(part) != count * dtype.itemsize:
            raise StoreDamaged(f"A column of a chunk of {count} points has {len(part)} bytes.")
        return np.frombuffer(part, dtype)
    column = np.empty(count, dtype)
    try:
        progress = standalone.simple_decompress_into(part, column)
    except (RuntimeError, TypeError, ValueError) as error:
        # The checksum fits, so these are the bytes written: perhaps by a pcodec of another day.
        raise StoreDamaged(f"A column of a chunk cannot be read: {error}") from error
    if progress.n_processed != count or not progress.finished:
        raise StoreDamaged(f"A column of a chunk of {count} points holds fewer or more.")
    return column
