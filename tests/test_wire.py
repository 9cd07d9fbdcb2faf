"""The wire gives back every bit, notices what was torn, and takes no memory for what is claimed."""

from __future__ import annotations

import json
import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steplog.exceptions import (
    FormatTooNew,
    JournalDamaged,
    MlflowException,
    StoreDamaged,
    StoreError,
)
from steplog.operations import DeleteTag, LogInputs, Operation, SeriesKey, SetTags
from steplog.points import POINT, Columns, arrange
from steplog.rows import ExperimentRow, ModelRow, Refusal, RunRow
from steplog.stores import wire
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
from steplog.stores.wire import Kind, Shape
from steplog.summary import SUMMARY
from steplog.testing import DATASET, bits_of, from_bits

FIELDS = ("step", "timestamp", "value", "series")
INT64 = st.integers(-(2**63), 2**63 - 1)
OFFSETS = st.integers(0, 2**63 - 1)
TEXTS = st.text(st.characters(codec=None), max_size=20)
IDS = st.text("0123456789abcdef", min_size=32, max_size=32)
KEYS = st.builds(SeriesKey, IDS, TEXTS, TEXTS, TEXTS, TEXTS, INT64, INT64)
OPERATIONS: st.SearchStrategy[Operation] = st.one_of(
    st.builds(SetTags, IDS, st.dictionaries(TEXTS, TEXTS, max_size=40)),
    st.builds(DeleteTag, IDS, TEXTS),
    st.just(LogInputs("r", [{**DATASET, "tags": {}}], ["m"])),
)
POSITIONS = st.builds(Position, OFFSETS, st.lists(st.tuples(OFFSETS, OFFSETS)).map(tuple))
NAN = from_bits(0x7FF8000000000001)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Draw a batch: any bits, in any order, some of them twice."""
    series = draw(st.dictionaries(st.integers(0, 2**32 - 1), KEYS, max_size=6))
    rows = draw(
        st.lists(
            st.tuples(
                INT64 | st.integers(0, 3),
                INT64 | st.integers(0, 3),
                st.integers(0, 2**64 - 1),
                st.sampled_from([*series] or [0]),
            ),
            max_size=30 * bool(series),
        )
    )
    repeated = [row for row in rows for _ in range(draw(st.sampled_from([1, 1, 2, 200])))]
    points = np.zeros(len(repeated), POINT)
    for name, column in zip(FIELDS, zip(*repeated, strict=True), strict=False):
        kind = np.uint64 if name == "value" else POINT[name]
        points[name] = np.array(column, kind).view(POINT[name])
    return Batch(
        draw(IDS),
        draw(IDS),
        draw(POSITIONS),
        draw(POSITIONS),
        draw(st.lists(st.tuples(OFFSETS, OPERATIONS), max_size=4)),
        points,
        series,
        draw(st.booleans()),
    )


def frames(body: bytes) -> list[wire.Frame]:
    """Return the frames of a body."""
    return [*wire.frames(BytesIO(body).read)]


def a_batch() -> Batch:
    """Return a batch of some size."""
    points = np.zeros(3_000, POINT)
    points["step"] = np.arange(3_000)
    points["series"] = points["step"] % 2
    series = {number: SeriesKey("a" * 32, f"key{number}") for number in range(2)}
    operations = [(4096, SetTags("a" * 32, {f"tag{n}": "x" * n for n in range(30)}))]
    return Batch(
        "1" * 32, "2" * 32, Position(4096), Position(9999, ((4128, 4160),)), operations, points,
        series,
    )  # fmt: skip


# Batches ----------------------------------------------------------------------------------------


@given(batches())
def test_a_batch_comes_back(batch: Batch) -> None:
    """Every bit of it, its points arranged."""
    found = wire.decode_batch(wire.encode_batch(batch))
    assert found._replace(points=batch.points) == batch._replace(
        series=dict(sorted(batch.series.items()))
    )
    for name in FIELDS:
        assert found.points[name].tobytes() == arrange(batch.points)[name].tobytes()


def test_a_batch_is_small() -> None:
    """Points in a row take a byte or two each, and one point some hundreds of bytes."""
    batch = a_batch()
    assert len(wire.encode_batch(batch)) < 2 * batch.points.size
    assert len(wire.encode_batch(batch._replace(points=batch.points[:1], operations=[]))) < 500


def test_a_torn_batch_is_noticed() -> None:
    """A body that ends anywhere but at its end, or goes on behind it, is no batch."""
    body = wire.encode_batch(a_batch())
    for size in range(len(body)):
        with pytest.raises(StoreDamaged):
            wire.decode_batch(body[:size])
    with pytest.raises(StoreDamaged, match="goes on"):
        wire.decode_batch(body + b"\0")


@given(st.integers(0, 2**32), st.integers(1, 255))
def test_a_changed_byte_is_noticed(at: int, change: int) -> None:
    """Whatever byte arrives differently, it is no batch any more, or it is the same."""
    good = wire.encode_batch(a_batch())
    body = bytearray(good)
    body[at % len(body)] ^= change
    try:
        found = wire.decode_batch(bytes(body))
    except (StoreDamaged, FormatTooNew):
        return
    assert wire.encode_batch(found) == good  # bytes of a head that mean nothing yet


# Bytes that lie ---------------------------------------------------------------------------------


def forged(
    kind: int, payload: bytes, *, sent: int | None = None, unpacked: int | None = None
) -> bytes:
    """Return a frame that says of itself whatever it is told to say, with a right checksum."""
    n = len(payload)
    head = struct.pack(
        "<3sBB3x3I",
        b"SLW",
        1,
        kind,
        n if sent is None else sent,
        n if unpacked is None else unpacked,
        zlib.crc32(payload),
    )
    return head + payload


def lies() -> Iterator[tuple[str, bytes]]:
    """Yield bodies that would take much memory if they were believed."""
    bomb = zlib.compress(b"[" + b"0," * (8 << 20) + b"0]")
    yield "impossible frame", forged(Kind.VALUES, b"", sent=2**32 - 1)
    yield "cut off", forged(Kind.VALUES, b"[]", sent=wire.MOST_SENT)
    yield "impossible frame", forged(Kind.VALUES, bomb, unpacked=2**32 - 1)
    yield "does not unpack to 10 bytes", forged(Kind.VALUES, bomb, unpacked=10)
    yield "impossible frame", forged(77, b"")
    yield (
        "more than 1,048,576 values",
        forged(Kind.VALUES, bomb, unpacked=(16 << 20) + 3) + wire.END,
    )
    claim = bytearray(wire.encode_batch(a_batch()))
    at = claim.index(b"SLC\x01")
    claim[at + 8 : at + 12] = b"\xff\xff\xff\x7f"
    claim[at + 4 : at + 8] = struct.pack("<I", zlib.crc32(claim[at + 8 : -len(wire.END)]))
    claim[at - 4 : at] = struct.pack("<I", zlib.crc32(claim[at : -len(wire.END)]))
    yield "more than 262144", bytes(claim)
    again = forged(Kind.VALUES, bomb, unpacked=(16 << 20) + 3) * 100
    yield "is not a batch", forged(Kind.POINTS, b"") + again
    yield "impossible frame", forged(Kind.POINTS, bomb, unpacked=16 << 20)


@pytest.mark.parametrize(
    ("says", "body"), [*lies()], ids=lambda each: each[:30] if isinstance(each, str) else ""
)
def test_no_memory_is_taken_for_a_claim(says: str, body: bytes) -> None:
    """Lengths that are claimed are looked at first; packed bytes become no more than they say."""
    tracemalloc.start()
    with pytest.raises(StoreDamaged, match=says):
        wire.decode_batch(body)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 50 << 20


NONSENSE: list[dict[str, Any]] = [
    {"journal_id": "x"},
    {"journal_id": 7},
    {"before": [1]},
    {"before": [-1, []]},
    {"after": [1, [[1, 2, 3]]]},
    {"after": [True, []]},
    {"series": [[1, 0]]},
    {"series": [[2, 0, "a", "b"], [1, 3_000, "a", "b"]]},
    {"series": [[1, -1, "a", "b"], [2, 3_001, "a", "b"]]},
    {"series": [[1, 2_999, "a", "b"]]},
    {"series": [[2**32, 3_000, "a", "b"]]},
    {"series": None},
    {"operations": [[2**63, "{}"]]},
    {"operations": [[1, 2]]},
    {"operations": [[1, "nothing"]]},
    {"operations": [[1, '{"op":"bewitch"}']]},
]


@pytest.mark.parametrize("changes", NONSENSE, ids=str)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    """A batch whose parts do not fit is refused with a sentence."""
    said, points = frames(wire.encode_batch(a_batch()))
    document = {**json.loads(said.payload), **changes}
    told = forged(Kind.VALUES, json.dumps(document).encode())
    with pytest.raises((StoreDamaged, JournalDamaged), match=r"\.$"):
        wire.decode_batch(told + forged(Kind.POINTS, points.payload) + wire.END)


@given(st.binary(max_size=200), st.sampled_from([*Kind]), st.booleans())
def test_bytes_of_any_kind_are_refused(payload: bytes, kind: Kind, packed: bool) -> None:
    """Frames with right checksums around nonsense are no batch, and nothing worse than that."""
    sent = zlib.compress(payload) if packed else payload
    body = forged(kind, sent, unpacked=len(payload)) + wire.END
    good, _ = frames(wire.encode_batch(a_batch()))
    for each in (payload, body, forged(Kind.VALUES, good.payload) + body):
        with pytest.raises((StoreDamaged, FormatTooNew)):
            wire.decode_batch(each)


def test_another_format_is_named() -> None:
    """A body of a newer format is refused, naming both."""
    body = bytearray(wire.encode_batch(a_batch()))
    body[3] = 2
    with pytest.raises(FormatTooNew, match=r"format 2 .* format 1"):
        wire.decode_batch(bytes(body))


# Answers ----------------------------------------------------------------------------------------

VALUES: list[tuple[Shape[Any], Any]] = [
    (wire.TEXT, "é\udce9\0"),
    (wire.NUMBER, 2**80),
    (wire.TEXTS, ["a", "b"]),
    (wire.COUNTS, {"bytes": 5, "runs_bytes": {"a": 1}}),
    (wire.CHILDREN, ("a" * 32, 2)),
    (wire.POSITION, ("1" * 32, Position(2**62, ((1, 2), (3, 4))))),
    (wire.REFUSED, Refused("1" * 32, 7, Refusal("CODE", "text", None))),
    (wire.APPLIED, None),
    (wire.APPLIED, [Refused("1" * 32, 7, Refusal("CODE", "text", "r"))]),
    (wire.EXPERIMENT, ExperimentRecord(ExperimentRow("1", "n", "", "active", 1, 2), {"k": "v"})),
    (
        wire.RUN,
        RunRecord(
            RunRow("r", "0", "u", "n", "RUNNING", -(2**63), None, "active", "", True),
            {"p": "\ud800"},
            {},
            frozenset({"w"}),
            [DatasetUse("n", "d", "t", "s", None, "{}", {"context": "train"})],
            [ModelUse("input", "m", 2**63 - 1)],
            [Last("k", "", "", "", 1, 2, -0.0)],
        ),
    ),
    (
        wire.MODEL,
        ModelRecord(
            ModelRow("m", "0", "n", "", 1, 2, None, None, "READY", None, "active"), {"p": "1"}, {}
        ),
    ),
    (wire.DATASET, DatasetSummary("0", "n", "d", None)),
    (wire.KEY, KeyUse("k", 1, 2)),
    (wire.FOUND, 7),
    (wire.FOUND, Damage("here", "this")),
]


@pytest.mark.parametrize(("shape", "value"), VALUES)
def test_values_come_back(shape: Shape[Any], value: Any) -> None:
    """Each kind of value is what it was, of the types that it was made of."""
    body = b"".join(wire.gathered(wire.encode_values(shape, [value, value])))
    found = [*wire.decode_values(shape, frames(body))]
    assert repr(found) == repr([value, value])


def test_the_last_value_of_a_run_keeps_its_bits() -> None:
    """A NaN keeps its payload among what is known of a run."""
    run = VALUES[10][1]._replace(last=[Last("k", "", "", "", 1, 2, NAN)])
    body = b"".join((*wire.encode_values(wire.RUN, [run]), wire.END))
    [found] = wire.decode_values(wire.RUN, frames(body))
    assert np.float64(found.last[0].value).tobytes() == np.float64(NAN).tobytes()


def test_many_values_come_in_bounded_frames() -> None:
    """However many there are, no frame is much longer than what is worth sending."""
    texts = [f"{number:0100}" for number in range(20_000)]
    parts = [*wire.encode_values(wire.TEXT, texts)]
    found = frames(b"".join((*parts, wire.END)))
    assert len(found) > 5
    assert max(len(each.payload) for each in found) < 2 * wire.PIECE_BYTES
    assert [*wire.decode_values(wire.TEXT, found)] == texts


def test_series_and_pieces_come_back() -> None:
    """What is known of a series, and its points, come back bit for bit."""
    summaries = np.zeros(2_500, SUMMARY)
    summaries["count"] = np.arange(2_500)
    summaries["mean"] = NAN
    series = [
        Series(number, SeriesKey("r", "k", rank=3), summaries[number], bool(number % 2))
        for number in range(summaries.size)
    ]
    found = [*wire.decode_series(iter(frames(b"".join((*wire.encode_series(series), wire.END)))))]
    assert [each[:2] + each[3:] for each in found] == [each[:2] + each[3:] for each in series]
    assert bits_of([each.summary for each in found]) == bits_of(summaries)
    columns = Columns(np.arange(10), np.arange(10) * 7, np.full(10, NAN))
    body = b"".join((*wire.encode_pieces([columns, summaries]), wire.END))
    points, known = map(wire.decode_piece, frames(body))
    assert isinstance(points, Columns) and isinstance(known, np.ndarray)
    assert (bits_of(points), bits_of([known])) == (bits_of(columns), bits_of([summaries]))
    assert SUMMARY.itemsize == 136  # as docs/formats/wire.md says


@pytest.mark.parametrize(
    "error",
    [StoreError("a"), StoreDamaged("b"), FormatTooNew("c"), MlflowException("d", "ABORTED")],
)
def test_an_error_half_way_comes_back(error: MlflowException) -> None:
    """An answer that has begun ends with the error, which is of the same class and code."""

    def failing() -> Iterator[bytes]:
        yield from wire.encode_values(wire.TEXT, ["x" * wire.PIECE_BYTES])
        raise error

    *_, last = frames(b"".join(wire.gathered(failing(), at_once=True)) + wire.END)
    found = wire.decode_error(last)
    assert (type(found), found.error_code, found.message) == (
        type(error), error.error_code, error.message,
    )  # fmt: skip


def test_an_error_before_anything_was_sent_is_raised() -> None:
    """Then the status of the answer can say it."""

    def failing() -> Iterator[bytes]:
        yield from wire.encode_values(wire.TEXT, ["x"])
        raise StoreError("not now")

    with pytest.raises(StoreError, match="not now"):
        next(wire.gathered(failing()))
