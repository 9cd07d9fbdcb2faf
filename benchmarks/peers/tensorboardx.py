"""tensorboardX: one event file, written by a thread. It has no reader, so `read` is one."""

# ruff: noqa: D103 (what each function does is said once, in `peers.Adapter`)
# mypy: disable-error-code="import-not-found, import-untyped"
from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from pathlib import Path

from tensorboardX import SummaryWriter
from tensorboardX.proto.event_pb2 import Event

writer: SummaryWriter


def setup(directory: str) -> Callable[[str, float, int], object]:
    global writer
    writer = SummaryWriter(directory)
    return writer.add_scalar  # type: ignore[no-any-return]


def log_many(key: str, values: Iterable[float]) -> None:
    for step, value in enumerate(values):
        writer.add_scalar(key, value, step)


def finish() -> None:
    writer.close()


def read(directory: str, key: str) -> tuple[list[int], list[float]]:
    steps, values = [], []
    for path in Path(directory).glob("events.*"):
        data, start = path.read_bytes(), 0
        while start + 12 <= len(data):  # a record: length, its checksum, bytes, their checksum
            length = struct.unpack_from("<Q", data, start)[0]
            event = Event.FromString(data[start + 12 : start + 12 + length])
            start += length + 16
            for value in event.summary.value:
                if value.tag == key:
                    steps.append(event.step)
                    values.append(value.simple_value)  # a float32: the format keeps no more
    return steps, values
