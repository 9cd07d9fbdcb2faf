"""Points as plain Python tuples: what the property tests draw, and what they compare with."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from steplog.points import POINT, Columns

Point = tuple[int, int, int]
"""Step, timestamp and the 64 bits of the value (as an int, so that NaN equals itself)."""

EDGES = [-(2**63), -1, 0, 1, 2**63 - 1]
INT64 = st.sampled_from(EDGES) | st.integers(-(2**63), 2**63 - 1)
ODD_BITS = [
    *(0x0000_0000_0000_0000, 0x8000_0000_0000_0000),  # 0.0 and -0.0
    *(0x0000_0000_0000_0001, 0x8000_0000_0000_0001),  # the smallest subnormals
    *(0x7FF0_0000_0000_0000, 0xFFF0_0000_0000_0000),  # the infinities
    *(0x7FEF_FFFF_FFFF_FFFF, 0xFFEF_FFFF_FFFF_FFFF),  # the largest finite numbers
    *(0x7FF8_0000_0000_0000, 0xFFF8_0000_DEAD_BEEF),  # quiet NaN
    *(0x7FF0_0000_0000_0001, 0xFFF0_0000_0000_0001),  # signalling NaN
]
BITS = st.sampled_from(ODD_BITS) | st.integers(0, 2**64 - 1)
# The edges are drawn often, so that points tie in step, in timestamp, and in everything.
POINTS = st.lists(st.tuples(INT64, INT64, BITS), max_size=30)
INTERLEAVED = st.lists(
    st.tuples(st.sampled_from([0, 1, 7, 2**32 - 1]), st.tuples(INT64, INT64, BITS)), max_size=40
)
"""Points of four series: (number of the series, point)."""


def value_of(point: Point) -> float:
    """Return the value of a point as a float."""
    return float(struct.unpack("<d", struct.pack("<Q", point[2]))[0])


def order(point: Point) -> tuple[int, int, float, int]:
    """Return what series order compares, as the documentation words it."""
    step, timestamp, bits = point
    value = value_of(point)
    return step, timestamp, 0.0 if math.isnan(value) else value, bits


def as_columns(points: Sequence[Point]) -> Columns:
    """Return the points as columns, in the order given."""
    steps, timestamps, bits = zip(*points, strict=True) if points else ((), (), ())
    return Columns(
        np.array(steps, np.int64),
        np.array(timestamps, np.int64),
        np.array(bits, np.uint64).view(np.float64),
    )


def as_points(columns: Columns) -> list[Point]:
    """Return the points of columns, bit for bit."""
    step, timestamp, value = columns
    bits = np.ascontiguousarray(value).view(np.uint64)
    return list(zip(step.tolist(), timestamp.tolist(), bits.tolist(), strict=True))


def as_records(interleaved: Sequence[tuple[int, Point]]) -> npt.NDArray[np.void]:
    """Return points of several series as an array of dtype POINT."""
    records = np.zeros(len(interleaved), POINT)
    records["series"] = [series for series, _ in interleaved]
    columns = as_columns([point for _, point in interleaved])
    for name, column in zip(Columns._fields, columns, strict=True):
        records[name] = column
    return records


def from_records(records: npt.NDArray[np.void]) -> list[tuple[int, Point]]:
    """Return the (series, point) of an array of dtype POINT."""
    return list(zip(records["series"].tolist(), as_points(Columns.of(records)), strict=True))
