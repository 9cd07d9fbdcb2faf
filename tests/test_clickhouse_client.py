"""What is said to ClickHouse: the bytes of its format Native, and what a URI means."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from steplog.exceptions import MlflowException
from steplog.stores import native
from steplog.stores.clickhouse_client import Target, parse

DTYPES = ["<u1", "<u2", "<u4", "<u8", "<i1", "<i2", "<i4", "<i8", "<f4", "<f8"]
NAMES = st.text(st.characters(codec="utf-8"), max_size=200)


@st.composite
def blocks(draw: st.DrawFn) -> dict[str, native.Column]:
    """Draw the columns of one block."""
    rows = draw(st.integers(0, 300))
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    arrays = npst.arrays(st.sampled_from(DTYPES), rows)
    return {name: draw(arrays) for name in names}


def bits(columns: dict[str, native.Column]) -> dict[str, tuple[str, bytes]]:
    """Return columns so that they are equal when every bit is."""
    return {name: (column.dtype.str, column.tobytes()) for name, column in columns.items()}


@given(blocks())
def test_a_block_comes_back_bit_for_bit(columns: dict[str, native.Column]) -> None:
    """What was encoded is decoded as it was, NaN payloads and long names included."""
    assert bits(native.decode(native.encode(columns))) == bits(columns)


@given(blocks(), st.integers(0, 3))
def test_blocks_of_an_answer_are_joined(columns: dict[str, native.Column], more: int) -> None:
    """An answer of several blocks is one column of each name, in the order of the blocks."""
    found = native.decode(native.encode(columns) * (more + 1))
    expected = {name: np.concatenate([column] * (more + 1)) for name, column in columns.items()}
    assert bits(found) == bits(expected)


@given(blocks(), st.data())
def test_half_an_answer_is_none(columns: dict[str, native.Column], data: st.DataObject) -> None:
    """An answer that was cut anywhere is refused, not taken for a shorter one."""
    whole = native.encode(columns)
    size = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(ValueError, match="ClickHouse sent"):
        native.decode(whole[:size])


def test_the_bytes_are_those_of_clickhouse() -> None:
    """A block is what ClickHouse 18.16 and 26.9 print for `SELECT … FORMAT Native`."""
    printed = bytes.fromhex("0201 0161 0555496e7438 07 0162 07466c6f61743634 000000000000f03f")
    columns = {"a": np.array([7], np.uint8), "b": np.array([1.0])}
    assert native.encode(columns) == printed
    assert bits(native.decode(printed)) == bits(columns)
    assert native.decode(b"") == {}


def test_what_cannot_be_a_block_is_refused() -> None:
    """Columns of different lengths, and of anything but numbers, are an error before sending."""
    with pytest.raises(ValueError, match="one length"):
        native.encode({"a": np.zeros(1), "b": np.zeros(2)})
    with pytest.raises(ValueError, match="bool"):
        native.encode({"a": np.zeros(1, np.bool_)})
    with pytest.raises(ValueError, match="type String"):
        native.decode(bytes.fromhex("0101 0161 06537472696e67 00"))


def test_a_uri_says_everything() -> None:
    """Hosts, database, user, password and options stand in the URI; ports have a default."""
    assert parse("clickhouse://one") == Target(("one:8123",), "default")
    assert parse(
        "clickhouse://me:p%40ss@one:81,two,[::1]:83/points?cluster=ci&insert_quorum=2&tls=1"
    ) == Target(("one:81", "two:8123", "[::1]:83"), "points", "ci", 2, "me", "p@ss", tls=True)


@pytest.mark.parametrize(
    "uri",
    [
        "clickhouse://",
        "clickhouse://one,,two/db",
        "http://one/db",
        "clickhouse://me:secret@one/db?clusters=ci",
        "clickhouse://me:secret@one/da-ta",
        "clickhouse://me:secret@one/db?insert_quorum=all",
    ],
)
def test_a_wrong_uri_is_refused(uri: str) -> None:
    """What names no server, or no option that there is, is an error that shows no password."""
    with pytest.raises(MlflowException) as caught:
        parse(uri)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    assert "secret" not in caught.value.message
