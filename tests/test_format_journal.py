"""The journal's format, read by a program that knows only its page, and by every later steplog."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("format-*"))


# --- An independent reader: nothing of steplog, only docs/formats/journal.md ----------------------
def read_journal(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]], list[tuple[Any, ...]]]:
    """Return the header, the operations, and the points: (series, step, ms, bits of the value)."""
    data = path.read_bytes()
    assert data[:8] == b"steplog\0", "not a journal"
    version, liveness, journal, writer, pid, rank, created, heartbeat, dropped, held, state = (
        struct.unpack_from("<II16s16sIiqqQQI", data, 8)
    )
    assert version == 1, "a newer format"
    header = {
        "journal": journal.hex(), "writer": writer.hex(), "pid": pid, "rank": rank,
        "created": created, "heartbeat": heartbeat, "dropped": dropped, "held": held,
        "state": state, "liveness": liveness, "host": data[112:256].rstrip(b"\0").decode(),
        "fault": data[256:1024].rstrip(b"\0").decode(),
    }  # fmt: skip
    series: dict[int, dict[str, Any]] = {}
    operations: list[dict[str, Any]] = []
    points: list[tuple[Any, ...]] = []
    for offset in range(4096, len(data) - 31, 32):
        slot = data[offset : offset + 32]
        (kind,) = struct.unpack_from("<I", slot, 28)
        if kind in (1, 2):
            step, time, bits, number = struct.unpack_from("<qqQI", slot)
            if kind == 2:
                time = int(struct.unpack_from("<d", slot, 8)[0] * 1000)
            points.append((number, step, time, bits))
        elif kind in (3, 4):
            length, crc, number = struct.unpack_from("<III", slot)
            count = -(-length // 28)
            rest = data[offset + 32 : offset + 32 + 32 * count]
            parts = [rest[32 * i : 32 * i + 28] for i in range(count)]
            payload = b"".join(parts)[:length]
            if zlib.crc32(payload) != crc:
                continue
            if kind == 3:
                series[number] = json.loads(payload)
            else:
                operations.append(json.loads(payload))
    named = [(series[number], *rest) for number, *rest in points if number in series]
    return header, operations, named


# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.name)
def test_the_page_alone_is_enough_to_read_a_journal(fixture: Path) -> None:
    """A reader written from the format's page finds everything in the fixture's journal."""
    header, operations, points = read_journal(next(fixture.glob("*.journal")))
    expected = json.loads((fixture / "expected.json").read_text())
    assert header["host"] == "node-17"
    assert (header["pid"], header["rank"], header["dropped"], header["held"]) == (4711, 3, 1, 2)
    assert header["fault"] == "disk full"
    names = [operation["op"] for operation in operations]
    assert names == ["create_run", "log_params", "set_tags", "update_run"]
    assert operations[0]["tags"] == {"né": "ü"}
    losses = [point for point in points if point[0]["key"] == "loss"]
    assert [point[1] for point in losses] == expected["steps"]
    (accuracy,) = [point for point in points if point[0]["key"] == "val/acc"]
    assert accuracy[0]["dataset_name"] == "digits"
    assert accuracy[1:] == (7, 1_700_000_000_123, 0x7FF80000DEADBEEF)
