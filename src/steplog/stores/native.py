"""ClickHouse's format "Native": columns of numbers as bytes, and back.

A block is the number of its columns and the number of its rows, and then for each column its name,
its type and its values. Those of a column of fixed width lie side by side, so numpy reads and
writes them as they are. The answer to a query is any number of blocks.

Only columns of whole and floating-point numbers are known here; nothing else is kept in ClickHouse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[np.generic]

_TYPES = {
    **{f"UInt{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    **{f"Int{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"Float{8 * size}": np.dtype(f"<f{size}") for size in (4, 8)},
}
_NAMES = {dtype: name for name, dtype in _TYPES.items()}
_LONGEST_VARINT = 10
"""Bytes of the largest UInt64, seven bits in each."""


def encode(columns: Mapping[str, Column]) -> bytes:
    """Return one block of these columns.

    Args:
        columns: name -> values; all of one length, of the types that have a name here.

    Raises:
        ValueError: the columns are of different lengths, or not of numbers.

    Example:
        >>> encode({"step": np.arange(2)}).hex(" ", -4)
        '0102 04737465 7005496e 74363400 00000000 00000001 00000000 000000'

    """
    lengths = {column.size for column in columns.values()}
    if len(lengths) != 1:
        raise ValueError(f"The columns of a block have one length, not {sorted(lengths)}.")
    parts = [_varint(len(columns)), _varint(lengths.pop())]
    for name, column in columns.items():
        dtype = column.dtype.newbyteorder("<")
        if dtype not in _NAMES:
            raise ValueError(f"A column of {column.dtype} cannot be sent to ClickHouse.")
        parts += [_text(name), _text(_NAMES[dtype]), column.astype(dtype, copy=False).tobytes()]
    return b"".join(parts)


def decode(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of an answer, those of all its blocks joined; none of an empty answer.

    Raises:
        ValueError: these are not whole blocks of numbers.

    """
    columns: dict[str, list[npt.NDArray[Any]]] = {}
    at = 0
    while at < len(data):
        count, at = _read_varint(data, at)
        rows, at = _read_varint(data, at)
        for _ in range(count):
            name, at = _read_text(data, at)
            kind, at = _read_text(data, at)
            if kind not in _TYPES:
                raise ValueError(f"ClickHouse sent a column of type {kind}.")
            end = at + rows * _TYPES[kind].itemsize
            if end > len(data):
                raise ValueError("ClickHouse sent half a block.")
            # A block without rows only says which columns there are.
            columns.setdefault(name, []).append(np.frombuffer(data, _TYPES[kind], rows, at))
            at = end
    return {
        name: parts[0] if len(parts) == 1 else np.concatenate(parts)
        for name, parts in columns.items()
    }


def _varint(number: int) -> bytes:
    """Return a number seven bits a byte, the lowest first; the last byte lacks the eighth bit."""
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for index, byte in enumerate(data[at : at + _LONGEST_VARINT]):
        number |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return number, at + index + 1
    raise ValueError("ClickHouse sent half a number.")


def _text(text: str) -> bytes:
    encoded = text.encode()
    return _varint(len(encoded)) + encoded


def _read_text(data: bytes, at: int) -> tuple[str, int]:
    size, at = _read_varint(data, at)
    if at + size > len(data):
        raise ValueError("ClickHouse sent half a name.")
    return data[at : at + size].decode(), at + size
