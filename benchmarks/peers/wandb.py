"""W&B offline: `run.log` hands records to a service process, which writes a `.wandb` file.

It has no reader for that file, so `read` is one (a LevelDB log of protobuf records).
"""

# ruff: noqa: D103 (what each function does is said once, in `peers.Adapter`)
# mypy: disable-error-code="import-not-found, import-untyped"
from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import wandb
from wandb.proto.wandb_internal_pb2 import Record

BLOCK = 32768
FIRST, FULL, LAST = 2, 1, 4

run: wandb.Run


def setup(directory: str) -> Callable[[str, float, int], object]:
    global run
    settings = wandb.Settings(console="off", silent=True, x_disable_stats=True, save_code=False)
    run = wandb.init(mode="offline", dir=directory, project="bench", settings=settings)
    log_dict = run.log

    def log(key: str, value: float, step: int) -> None:
        log_dict({key: value}, step)

    return log


def log_many(key: str, values: Iterable[float]) -> None:
    for step, value in enumerate(values):
        run.log({key: value}, step)


def finish() -> None:
    run.finish()


def read(directory: str, key: str) -> tuple[list[int], list[float]]:
    steps, values = [], []
    for path in Path(directory).rglob("*.wandb"):
        for data in _records(path.read_bytes()):
            record = Record.FromString(data)
            items = {
                item.nested_key[0] if item.nested_key else item.key: item.value_json
                for item in record.history.item
            }
            if key in items:
                steps.append(record.history.step.num)
                values.append(float(json.loads(items[key])))
    return steps, values


def _records(data: bytes) -> Iterator[bytes]:
    parts: list[bytes] = []
    start = 7  # after the file's own header
    while start + 7 <= len(data):
        if BLOCK - start % BLOCK < 7:  # no header fits: the rest of the block is padding
            start += BLOCK - start % BLOCK
            continue
        length, kind = struct.unpack_from("<HB", data, start + 4)
        if kind in (FULL, FIRST):
            parts = []
        parts.append(data[start + 7 : start + 7 + length])
        start += 7 + length
        if kind in (FULL, LAST):
            yield b"".join(parts)
