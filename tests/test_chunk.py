"""Chunks: every bit comes back, damage is noticed, and the format page tells the truth."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_points import BITS, POINTS, Point, as_columns, as_points

from steplog.chunk import decode, encode
from steplog.exceptions import StoreDamaged
from steplog.points import Columns

PAGE = Path(__file__).parents[1] / "docs" / "formats" / "chunk.md"
CODECS = slice(12, 15)


def long_series(count: int = 8_192) -> Columns:
    """A series as a training logs it: steps in order, a noisy float32 loss."""
    random = np.random.default_rng(1)
    timestamp = 1_700_000_000_000 + np.cumsum(random.integers(1, 5, count))
    value = np.cumsum(random.normal(size=count)).astype(np.float32).astype(np.float64)
    return Columns(np.arange(count), timestamp, value)


def with_checksum(chunk: bytes) -> bytes:
    """Return a chunk whose checksum fits again after a change."""
    return chunk[:4] + struct.pack("<I", zlib.crc32(chunk[8:])) + chunk[8:]


@given(POINTS)
def test_every_bit_of_every_point_comes_back(points: list[Point]) -> None:
    """Whatever the points are, in whatever order, decoding gives them back."""
    assert as_points(decode(encode(as_columns(points)))) == points


@given(st.lists(BITS, min_size=1, max_size=5), st.integers(200, 2_000))
def test_every_bit_comes_back_compressed(pattern: list[int], count: int) -> None:
    """Odd values survive pcodec too, not only the raw columns of short chunks."""
    bits = np.resize(np.array(pattern, np.uint64), count)
    columns = Columns(bits.view(np.int64), np.arange(count), bits.view(np.float64))
    chunk = encode(columns)
    assert chunk[CODECS] == b"\x01\x01\x01"
    assert as_points(decode(chunk)) == as_points(columns)


def test_a_long_series_takes_less_than_four_bytes_a_point() -> None:
    """Steps cost next to nothing, timestamps little, and a float32 loss what float32 takes."""
    columns = long_series()
    chunk = encode(columns)
    assert len(chunk) < 4 * columns.step.size
    assert as_points(decode(chunk)) == as_points(columns)


def test_what_does_not_compress_is_kept_raw() -> None:
    """A single point costs its 24 bytes and the head of the chunk, not pcodec's overhead."""
    chunk = encode(as_columns([(1, 2, 3)]))
    assert chunk[CODECS] == b"\0\0\0"
    assert len(chunk) == 28 + 24


def test_strided_columns_can_be_encoded() -> None:
    """Columns may be views of other arrays, as the fields of records are."""
    columns = long_series().take(slice(None, None, -2))
    assert as_points(decode(encode(columns))) == as_points(columns)


@pytest.mark.parametrize("count", [3, 600])
def test_a_flipped_bit_anywhere_is_noticed(count: int) -> None:
    """No change of a single bit is taken for points."""
    chunk = encode(long_series(count))
    for at in range(len(chunk)):
        damaged = bytearray(chunk)
        damaged[at] ^= 1 << at % 8
        with pytest.raises(StoreDamaged):
            decode(bytes(damaged))


def test_a_chunk_cut_off_anywhere_is_noticed() -> None:
    """Neither a missing end nor bytes too many are taken for points."""
    chunk = encode(long_series(100))
    for size in range(len(chunk)):
        with pytest.raises(StoreDamaged):
            decode(chunk[:size])
    with pytest.raises(StoreDamaged):
        decode(chunk + b"\0")


@pytest.mark.parametrize(
    ("at", "byte", "says"),
    [
        (0, b"X", "must begin with"),
        (3, b"\x02", "must begin with"),
        (12, b"\x07", "codec 7"),
        (8, b"\x63", "of 99 points holds fewer or more"),
        (16, b"\x03", "cannot be read"),
    ],
)
def test_a_chunk_that_makes_no_sense_says_why(at: int, byte: bytes, says: str) -> None:
    """Also where the checksum fits, what is wrong is named."""
    chunk = bytearray(encode(long_series(100)))
    chunk[at : at + 1] = byte
    with pytest.raises(StoreDamaged, match=says):
        decode(with_checksum(bytes(chunk)))


@given(POINTS)
def test_a_reader_written_from_the_format_page_reads_chunks(points: list[Point]) -> None:
    """The reader on the format page, which imports nothing of steplog, gives the same points."""
    page: dict[str, object] = {}
    (source,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    exec(source, page)
    read = page["read"]
    assert callable(read)
    assert as_points(Columns(*read(encode(as_columns(points))))) == points


def test_no_memory_is_taken_for_a_claim() -> None:
    """Bytes that claim more points than are allowed are refused before any column is made."""
    claim = bytearray(encode(long_series(100)))
    claim[8:12] = b"\xff\xff\xff\x7f"
    with pytest.raises(StoreDamaged, match="more than 1000"):
        decode(with_checksum(bytes(claim)), most_points=1000)
