"""Operations and definitions of series survive the journal, and damage is told from newness."""

from __future__ import annotations

import json

import pytest

from steplog.exceptions import JournalDamaged
from steplog.operations import (
    CreateExperiment,
    CreateModel,
    CreateRun,
    DeleteExperimentTag,
    DeleteModelTag,
    DeleteTag,
    LogInputs,
    LogModelParams,
    LogOutputs,
    LogParams,
    Operation,
    SeriesKey,
    SetExperimentTags,
    SetModelTags,
    SetTags,
    UpdateExperiment,
    UpdateModel,
    UpdateRun,
    decode,
    decode_series,
    encode,
    encode_series,
)

TEXT = '日本 é 😀 \0 \n " \\ \udcff'
RUN_ID = "0f" * 16
OPERATIONS: list[Operation] = [
    CreateExperiment("7", TEXT, "file:///a", {TEXT: TEXT}, 1000, exist_ok=True),
    UpdateExperiment("7", 1000, name=TEXT),
    SetExperimentTags("7", {"b": "1", "a": ""}),
    CreateRun(RUN_ID, "7", "ada", "owl", -(2**63), {}, "file:///a", experiment_name=TEXT),
    UpdateRun(RUN_ID, 2**63 - 1, status="FINISHED", end_time=2**63 - 1),
    LogParams(RUN_ID, {TEXT: TEXT}, single=True),
    SetTags(RUN_ID, {TEXT: TEXT}),
    DeleteTag(RUN_ID, TEXT),
    DeleteExperimentTag("7", TEXT),
    LogInputs(RUN_ID, [{"name": TEXT, "schema": None, "tags": {TEXT: TEXT}}], [TEXT]),
    LogOutputs(RUN_ID, [[TEXT, -(2**63)]]),
    CreateModel("m-1", "7", TEXT, "", 2**63 - 1, None, RUN_ID, {TEXT: TEXT}, {"a": ""}),
    UpdateModel("m-1", 1000, status_message=TEXT),
    LogModelParams("m-1", {TEXT: TEXT}),
    SetModelTags("m-1", {"b": "1", "a": ""}),
    DeleteModelTag("m-1", TEXT),
]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: type(operation).__name__)
def test_an_operation_comes_back_as_it_was(operation: Operation) -> None:
    """Every operation is decoded to an equal one of its class, with any text and any int64."""
    decoded = decode(encode(operation))
    assert type(decoded) is type(operation)
    assert decoded == operation


def test_every_kind_of_operation_is_tried_here() -> None:
    """The list above holds each member of the union."""
    assert {type(operation) for operation in OPERATIONS} == set(Operation.__args__)


def test_a_series_comes_back_as_it_was() -> None:
    """The definition of a series is decoded to an equal one."""
    key = SeriesKey(RUN_ID, TEXT, "m-1", "digits", "d1", 2)
    assert decode_series(encode_series(key)) == key


def test_the_bytes_are_those_of_the_format() -> None:
    """Records are JSON objects with these names; old journals hold them for good."""
    assert json.loads(encode(UpdateRun("0f", 5, status="KILLED"))) == {
        "op": "update_run",
        "run_id": "0f",
        "time_ms": 5,
        "status": "KILLED",
        "end_time": None,
        "name": None,
        "lifecycle_stage": None,
    }
    assert json.loads(encode_series(SeriesKey("0f", "loss"))) == {"run_id": "0f", "key": "loss"}
    assert json.loads(encode_series(SeriesKey("0f", "acc", "m-1", "digits", "abc", 2))) == {
        "run_id": "0f",
        "key": "acc",
        "model_id": "m-1",
        "dataset_name": "digits",
        "dataset_digest": "abc",
        "attempt": 2,
    }


def test_fields_may_be_unknown_or_left_out() -> None:
    """A newer steplog's fields are ignored, an older one's missing fields have their defaults."""
    data = b'{"op": "log_params", "run_id": "0f", "params": {}, "colour": "red"}'
    assert decode(data) == LogParams("0f", {}, single=False)
    assert decode_series(b'{"run_id": "0f", "key": "loss", "colour": 1}') == SeriesKey("0f", "loss")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "unknown kind 'None'"),
        (b'{"op": "paint"}', "unknown kind 'paint'"),
        (b'{"op": ["set_tags"]}', "unknown kind"),
        (b'{"op": "set_tags", "run_id": "0f"}', "incomplete SetTags"),
    ],
)
def test_damage_is_named(data: bytes, what: str) -> None:
    """Bytes that are no operation raise JournalDamaged, saying what is wrong with them."""
    with pytest.raises(JournalDamaged, match=what):
        decode(data)


def test_a_damaged_series_is_named() -> None:
    """A definition of a series without its key raises JournalDamaged."""
    with pytest.raises(JournalDamaged, match="incomplete SeriesKey"):
        decode_series(b'{"run_id": "0f"}')
