"""How values go to PostgreSQL and come back: as binary, and every text, whatever it holds.

* An integer is sent as 64 bits, and so is a flag: as in SQLite, there are no other integers.
* A text of PostgreSQL cannot hold a NUL. So U+0000 is sent as the two characters U+0001 U+0001, and
  U+0001, which nobody uses either, as U+0001 U+0002. That keeps the order of texts, and is undone
  when they come back.
* A lone surrogate, by which Python spells an undecodable byte, is sent as ``?``, as
  `steplog.fold.storable` does it with all that is logged.
* An array is made at once, and not value by value.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from psycopg import postgres
from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap, Dumper, Loader
from psycopg.pq import Format
from psycopg.types.numeric import Int8BinaryDumper

_INT8, _INT8_ARRAY, _TEXT, _TEXT_ARRAY, _VARCHAR = 20, 1016, 25, 1009, 1043
_ARRAY_HEAD = struct.Struct(">5i")  # dimensions, flags, type of elements, length, lower bound
_SIZE = struct.Struct(">i")
_ARRAY_ELEMENT = np.dtype([("bytes", ">i4"), ("value", ">i8")])


class Integers:
    """Integers to be sent as one array."""

    def __init__(self, values: Sequence[int] | npt.NDArray[np.int64]) -> None:
        self.values = np.asarray(values, np.int64)


class Texts:
    """Texts to be sent as one array."""

    def __init__(self, values: Sequence[str]) -> None:
        self.values = values


class _IntegersDumper(Dumper):
    format = Format.BINARY
    oid = _INT8_ARRAY

    def dump(self, obj: Integers) -> Buffer:
        elements = np.empty(obj.values.size, _ARRAY_ELEMENT)
        elements["bytes"], elements["value"] = 8, obj.values
        return _head(_INT8, elements.size) + elements.tobytes()


class _TextsDumper(Dumper):
    format = Format.BINARY
    oid = _TEXT_ARRAY

    def dump(self, obj: Texts) -> Buffer:
        encoded = [_encode(text) for text in obj.values]
        sized = (part for data in encoded for part in (_SIZE.pack(len(data)), data))
        return _head(_TEXT, len(encoded)) + b"".join(sized)


class _TextDumper(Dumper):
    format = Format.BINARY
    oid = _TEXT

    def dump(self, obj: str) -> Buffer:
        return _encode(obj)


class _TextLoader(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> str:
        data = bytes(data)
        if b"\1" in data:
            data = data.replace(b"\1\1", b"\0").replace(b"\1\2", b"\1")
        return data.decode("utf-8")


class _FlagDumper(Dumper):
    format = Format.BINARY
    oid = _INT8

    def dump(self, obj: bool) -> Buffer:
        return int(obj).to_bytes(8, "big")


def adapters() -> AdaptersMap:
    """Return psycopg's rules with these in them."""
    rules = AdaptersMap(postgres.adapters)
    rules.register_dumper(str, _TextDumper)
    rules.register_dumper(bool, _FlagDumper)
    rules.register_dumper(int, Int8BinaryDumper)
    rules.register_dumper(Integers, _IntegersDumper)
    rules.register_dumper(Texts, _TextsDumper)
    for oid in (_TEXT, _VARCHAR):
        rules.register_loader(oid, _TextLoader)
    return rules


def _head(kind: int, length: int) -> bytes:
    """Return how an array of this type and length begins."""
    if not length:
        return _ARRAY_HEAD.pack(0, 0, kind, 0, 0)[:12]
    return _ARRAY_HEAD.pack(1, 0, kind, length, 1)


def _encode(text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    if b"\0" in data or b"\1" in data:
        data = data.replace(b"\1", b"\1\2").replace(b"\0", b"\1\1")
    return data
