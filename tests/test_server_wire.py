"""Messages on the wire: the table beside MLflow's own, and what is refused, by which words."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from functools import cache
from typing import Any, get_args

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.protos import service_pb2
from msgspec import inspect, structs

from steplog import MlflowException
from steplog.server import messages as m
from steplog.server import storage_messages as s
from steplog.server import view_messages as v
from steplog.server.endpoint import Caller, Request
from steplog.server.wire import MOST_VALUES, decode, decode_get, encode, spelled

SEE_DOCS = " See the API docs for more information about request parameters."

# What each message is in MLflow's service.proto; some stand for several that are alike.
MLFLOW: dict[type[m.Message], str] = {
    m.CreateExperiment: "CreateExperiment",
    m.ExperimentId: "GetExperiment",
    m.ExperimentName: "GetExperimentByName",
    m.AnExperiment: "GetExperiment.Response",
    m.SearchExperiments: "SearchExperiments",
    m.FoundExperiments: "SearchExperiments.Response",
    m.UpdateExperiment: "UpdateExperiment",
    m.SetExperimentTag: "SetExperimentTag",
    m.DeleteExperimentTag: "DeleteExperimentTag",
    m.SearchDatasets: "SearchDatasets",
    m.FoundDatasets: "SearchDatasets.Response",
    m.CreateRun: "CreateRun",
    m.ARun: "CreateRun.Response",
    m.RunId: "GetRun",
    m.UpdateRun: "UpdateRun",
    m.UpdatedRun: "UpdateRun.Response",
    m.SearchRuns: "SearchRuns",
    m.FoundRuns: "SearchRuns.Response",
    m.LogMetric: "LogMetric",
    m.LogParam: "LogParam",
    m.SetTag: "SetTag",
    m.DeleteTag: "DeleteTag",
    m.LogBatch: "LogBatch",
    m.LogInputs: "LogInputs",
    m.LogOutputs: "LogOutputs",
    m.LogModel: "LogModel",
    m.GetHistory: "GetMetricHistory",
    m.History: "GetMetricHistory.Response",
    m.GetHistoryInterval: "GetMetricHistoryBulkInterval",
    m.CreateLoggedModel: "CreateLoggedModel",
    m.ALoggedModel: "CreateLoggedModel.Response",
    m.FinalizeLoggedModel: "FinalizeLoggedModel",
    m.SetLoggedModelTags: "SetLoggedModelTags",
    m.LogLoggedModelParams: "LogLoggedModelParamsRequest",
    m.SearchLoggedModels: "SearchLoggedModels",
    m.FoundLoggedModels: "SearchLoggedModels.Response",
}

# Fields of MLflow's messages that are not sent, and fields that are read as something wider.
NOT_SENT = {
    "Experiment.effective_trace_archival_retention",
    "LoggedModelInfo.creator_id",
    "LoggedModelInfo.registrations",
}
NOT_IN_MLFLOW = {"DeleteTag.run_uuid"}
WIDER = {
    # MLflow's server reads these past its own message, as Python's ints.
    "GetMetricHistoryBulkInterval.start_step",
    "GetMetricHistoryBulkInterval.end_step",
}
TYPES = {
    inspect.StrType: {FieldDescriptor.TYPE_STRING},
    inspect.BoolType: {FieldDescriptor.TYPE_BOOL},
    inspect.FloatType: {FieldDescriptor.TYPE_DOUBLE},
    inspect.StructType: {FieldDescriptor.TYPE_MESSAGE},
    inspect.LiteralType: {FieldDescriptor.TYPE_ENUM},
}


def descriptor(name: str) -> Descriptor:
    """Return MLflow's message of this name."""
    found: Any = service_pb2
    for part in name.split("."):
        found = getattr(found, part)
    return found.DESCRIPTOR


def number_types(type_: inspect.IntType) -> set[int]:
    return {FieldDescriptor.TYPE_INT32 if type_.le == 2**31 - 1 else FieldDescriptor.TYPE_INT64}


def bare(type_: inspect.Type) -> inspect.Type:
    """Return the type of a field that is there."""
    if isinstance(type_, inspect.UnionType):
        return next(each for each in type_.types if not isinstance(each, inspect.NoneType))
    return type_


def compare(kind: type[m.Message], theirs: Descriptor, seen: set[tuple[str, str]]) -> list[str]:
    """Return in what a message differs from MLflow's, and those in its fields from theirs."""
    if (kind.__name__, theirs.full_name) in seen:
        return []
    seen.add((kind.__name__, theirs.full_name))
    struct = inspect.type_info(kind)
    assert isinstance(struct, inspect.StructType)
    ours = {field.name: field.type for field in struct.fields}
    differences = [
        f"{theirs.name}.{name} is missing"
        for name in theirs.fields_by_name.keys() - ours.keys()
        if f"{theirs.name}.{name}" not in NOT_SENT
    ]
    for name, type_ in ours.items():
        field = theirs.fields_by_name.get(name)
        if field is None:
            if f"{theirs.name}.{name}" not in NOT_IN_MLFLOW:
                differences.append(f"{theirs.name}.{name} is not in MLflow")
            continue
        type_ = bare(type_)
        many = isinstance(type_, inspect.ListType)
        item = bare(type_.item_type) if isinstance(type_, inspect.ListType) else type_
        wanted = number_types(item) if isinstance(item, inspect.IntType) else TYPES[type(item)]
        if many != field.is_repeated:
            differences.append(f"{theirs.name}.{name} is repeated in one of them")
        if field.type not in wanted and f"{theirs.name}.{name}" not in WIDER:
            differences.append(f"{theirs.name}.{name} is of another type")
        if isinstance(item, inspect.StructType):
            differences += compare(item.cls, field.message_type, seen)  # type: ignore[arg-type]
    return differences


def test_the_messages_are_mlflows() -> None:
    """Every field of every message has the name, the type and the plurality of MLflow's."""
    seen: set[tuple[str, str]] = set()
    assert not [
        each for kind, name in MLFLOW.items() for each in compare(kind, descriptor(name), seen)
    ]


def test_enumerations_have_mlflows_numbers() -> None:
    """The names that are numbered from 1 on have these numbers in MLflow."""
    for names, theirs in (
        (m.RunStatus, service_pb2.RunStatus.DESCRIPTOR),
        (m.ViewType, service_pb2.ViewType.DESCRIPTOR),
        (m.LoggedModelStatus, service_pb2.LoggedModelStatus.DESCRIPTOR),
    ):
        assert isinstance(theirs, EnumDescriptor)
        numbers = {value.name: value.number for value in theirs.values if value.number}
        assert {name: i for i, name in enumerate(get_args(names), start=1)} == numbers


# What both understand -----------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


def integers(bits: int) -> st.SearchStrategy[object]:
    """Return whole numbers in every way in which protobuf lets them be written."""
    whole = st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    small = st.integers(-(2**30), 2**30)
    return st.one_of(whole, whole.map(str), small.map(float), small.map(lambda n: f"{n}.0"))


doubles = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(2**53), 2**53),
    st.sampled_from(["NaN", "Infinity", "-Infinity", "inf", "1e300"]),
)


def value_of(type_: inspect.Type) -> st.SearchStrategy[Any]:
    """Return JSON values that protobuf takes for a field of this type."""
    type_ = bare(type_)
    if isinstance(type_, inspect.StructType):
        return object_of(type_.cls)
    if isinstance(type_, inspect.ListType):
        return st.lists(value_of(type_.item_type), max_size=3)
    if isinstance(type_, inspect.IntType):
        return integers(32 if type_.le == 2**31 - 1 else 64)
    if isinstance(type_, inspect.LiteralType):
        ordered = next(
            get_args(each) for each in m.ENUMS if set(get_args(each)) == set(type_.values)
        )
        numbers = range(1, len(ordered) + 1)
        return st.sampled_from([*ordered, *numbers, *map(str, numbers)])
    return {inspect.FloatType: doubles, inspect.BoolType: st.booleans()}.get(type(type_), texts)


@cache
def object_of(kind: type[m.Message]) -> st.SearchStrategy[dict[str, Any]]:
    """Return JSON objects that are messages of this kind."""
    struct = inspect.type_info(kind)
    assert isinstance(struct, inspect.StructType)
    required = {field.name: value_of(field.type) for field in struct.fields if field.required}
    optional = {
        field.name: st.none() | value_of(field.type)
        for field in struct.fields
        if not field.required
    }
    return st.fixed_dictionaries(required, optional=optional)


@st.composite
def messages(draw: st.DrawFn) -> tuple[type[m.Message], Descriptor, dict[str, Any]]:
    # Without the interval: its steps may be wider here than MLflow's own message.
    kind = draw(st.sampled_from([kind for kind in MLFLOW if kind is not m.GetHistoryInterval]))
    return kind, descriptor(MLFLOW[kind]), draw(object_of(kind))


def as_mlflow_reads(theirs: Descriptor, raw: dict[str, Any]) -> dict[str, Any]:
    message = ParseDict(raw, theirs._concrete_class(), ignore_unknown_fields=True)
    read: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    return read


def check_spelling(value: object, type_: inspect.Type) -> None:
    """Assert that a value is sent as MLflow's server sends it."""
    assert value is not None
    type_ = bare(type_)
    if isinstance(type_, inspect.StructType):
        assert isinstance(value, dict)
        kinds = {field.name: field.type for field in type_.fields}
        for name, inner in value.items():
            check_spelling(inner, kinds[name])
    elif isinstance(type_, inspect.ListType):
        assert isinstance(value, list)
        for inner in value:
            check_spelling(inner, type_.item_type)
    elif isinstance(type_, inspect.IntType):
        assert type(value) is int
    elif isinstance(type_, inspect.FloatType):
        assert type(value) is float or value in ("NaN", "Infinity", "-Infinity")
    elif isinstance(type_, inspect.LiteralType):
        assert value in type_.values


@settings(max_examples=300, deadline=None)
@given(messages())
def test_a_message_says_here_what_it_says_in_mlflow(
    message: tuple[type[m.Message], Descriptor, dict[str, Any]],
) -> None:
    """What protobuf reads in a message it reads again in what is made of it here, and that is
    spelled as MLflow's server does it: int64 as numbers, enumerations as names, no null.
    """
    kind, theirs, raw = message
    sent = json.loads(encode(decode(kind, json.dumps(raw).encode())))
    assert as_mlflow_reads(theirs, sent) == as_mlflow_reads(theirs, raw)
    check_spelling(sent, inspect.type_info(kind))


def test_a_query_is_a_message() -> None:
    """Parameters are fields, repeated ones lists; the first of a field that is no list counts."""
    query = "run_ids=a&run_ids=b%20c&metric_key=loss&metric_key=acc&start_step=-1&end_step=5&x=y"
    read = decode_get(m.GetHistoryInterval, request(query))
    assert read == m.GetHistoryInterval(["a", "b c"], "loss", -1, 5)
    assert decode_get(m.GetLoggedModel, request("allow_deleted=TRUE")).allow_deleted is True
    assert decode_get(m.GetHistory, request("run_uuid=a&metric_key=k")).run_id == "a"


def test_a_get_may_have_its_message_in_the_body() -> None:
    """As MLflow's server takes it, where there is no query."""
    assert decode_get(m.RunId, request("", b'{"run_id":"a"}')) == m.RunId("a")


def request(query: str, body: bytes = b"") -> Request:
    return Request(Caller("", "admin"), {}, query, body, "/", {})


def test_old_clients_are_understood() -> None:
    """A message in a JSON string, `run_uuid` alone, camelCase of what may be left out."""
    assert decode(m.RunId, b'"{\\"run_id\\": \\"a\\"}"') == m.RunId("a")
    assert decode(m.RunId, b'{"run_uuid":"a"}').run_id == "a"
    point = b'{"run_id":"a","key":"k","value":1,"timestamp":1,"modelId":"m-1","unknown":[{}]}'
    assert decode(m.LogMetric, point) == m.LogMetric("a", "k", 1.0, 1, model_id="m-1")


# What is refused ------------------------------------------------------------------------------

POINT = {"run_id": "a", "key": "k", "value": 0.5, "timestamp": 5, "step": 1}


def refusal(kind: type[m.Message], body: object) -> str:
    """Return the text by which a body is refused."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(MlflowException) as caught:
        decode(kind, data)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    return caught.value.message


@pytest.mark.parametrize("name", ["run_id", "key", "value", "timestamp"])
@pytest.mark.parametrize("given", ["absent", None, "", "camelCase"])
def test_what_must_be_there_is_missed(name: str, given: str | None) -> None:
    """Missing, null, empty and camelCase are the same to MLflow, and so is the text."""
    body = {**POINT, "runId": "a"} if given == "camelCase" else {**POINT, name: given}
    if given in ("absent", "camelCase"):
        del body["run_id" if given == "camelCase" else name]
        name = "run_id" if given == "camelCase" else name
    expected = f"Missing value for required parameter '{name}'.{SEE_DOCS}"
    assert refusal(m.LogMetric, body) == expected


@pytest.mark.parametrize(
    ("name", "value", "shown", "type_"),
    [
        ("run_id", 5, "5", "int"),
        ("key", True, "true", "bool"),
        ("key", ["k"], '["k"]', "list"),
        ("value", "abc", '"abc"', "str"),
        ("value", "nan", '"nan"', "str"),
        ("value", "1_0", '"1_0"', "str"),
        ("value", [1], "[1]", "list"),
        ("timestamp", 1.5, "1.5", "float"),
        ("timestamp", True, "true", "bool"),
        ("timestamp", " 5", '" 5"', "str"),
        ("timestamp", {"a": 1}, '{"a":1}', "dict"),
        ("step", 1.5, "1.5", "float"),
        ("step", "x", '"x"', "str"),
        ("step", "", '""', "str"),
        ("model_id", 7, "7", "int"),
    ],
)
def test_a_wrong_type_is_told_in_mlflows_words(
    name: str, value: object, shown: str, type_: str
) -> None:
    """The field, the value and its type; in MLflow some of these store a zero instead."""
    assert refusal(m.LogMetric, {**POINT, name: value}) == (
        f"Invalid value {shown} for parameter '{name}' supplied:  "
        f"Hint: Value was of type '{type_}'.{SEE_DOCS}"
    )


@pytest.mark.parametrize(
    ("kind", "body", "name"),
    [
        (m.LogMetric, b'{"run_id":"a","key":"k","value":NaN,"timestamp":1}', "value"),
        (m.LogMetric, b'{"run_id":"a","key":"k","value":-Infinity,"timestamp":1}', "value"),
        (m.LogMetric, b'{"run_id":"a","key":"k","value":1e400,"timestamp":1}', "value"),
        (m.LogMetric, {**POINT, "value": 10**400}, "value"),
        (m.LogMetric, {**POINT, "step": 2**63}, "step"),
        (m.LogMetric, {**POINT, "timestamp": -(2**63) - 1}, "timestamp"),
        (m.LogMetric, {**POINT, "key": "\ud800"}, "key"),
        (m.LogBatch, {"run_id": "a", "metrics": [POINT, {**POINT, "value": "x"}]}, "metrics[1]"),
        (m.LogBatch, {"run_id": "a", "metrics": [POINT, 5]}, "metrics[1]"),
        (m.LogBatch, {"run_id": "a", "params": [{"key": "p"}]}, "params[0].value"),
        (m.LogBatch, {"run_id": "a", "tags": [{"value": "p"}]}, "tags[0].key"),
        (m.LogBatch, {"run_id": "a", "tags": "t"}, "tags"),
        (m.LogInputs, {"run_id": "a", "datasets": [{"dataset": {}}]}, "datasets[0].dataset.name"),
        (m.UpdateRun, {"run_id": "a", "status": "BOGUS"}, "status"),
        (m.UpdateRun, {"run_id": "a", "status": 9}, "status"),
        (m.UpdateRun, {"run_id": "a", "status": 0}, "status"),
        (m.SearchRuns, {"run_view_type": "bogus"}, "run_view_type"),
        (m.SearchRuns, {"order_by": [3]}, "order_by"),
        (m.SearchRuns, {"max_results": 2**31}, "max_results"),
        (m.SearchLoggedModels, {"experiment_ids": "1"}, "experiment_ids"),
    ],
)
def test_a_mistake_is_named(kind: type[m.Message], body: object, name: str) -> None:
    """What MLflow's server stores as zero, drops or fails at is refused, and the field named."""
    assert f"'{name}" in refusal(kind, body)


def test_two_spellings_of_a_field_are_refused() -> None:
    """Nobody can tell which of them is meant."""
    body = {**POINT, "model_id": "a", "modelId": "b"}
    assert "both 'model_id' and 'modelId'" in refusal(m.LogMetric, body)


@pytest.mark.parametrize(
    "body",
    [
        b"{bad",
        b"[1]",
        b"5",
        b'"text"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"run_id":' + b"[" * 900 + b"]" * 900 + b"}",
        b"1" * 100_000,
        b"{" + b",".join(b'"%d":0' % i for i in range(MOST_VALUES + 1)) + b"}",
        b'{"run_id":"a","metrics":[' + b",".join([b"{}"] * MOST_VALUES) + b"]}",
    ],
    ids=lambda body: repr(body[:12]),
)
def test_what_is_no_message_is_refused_at_once(body: bytes) -> None:
    """Not JSON, not an object, nested without end, values without end: a clear 400 for each."""
    assert len(refusal(m.LogBatch, body)) < 1_000


@pytest.mark.parametrize("query", ["a=1&" * 20_000, "run_id=%ff"])
def test_a_query_that_cannot_be_read_is_refused(query: str) -> None:
    """Parameters without end, or bytes that are not UTF-8."""
    with pytest.raises(MlflowException, match="query string cannot be read"):
        decode_get(m.RunId, request(query))


def test_a_large_wrong_value_is_shown_in_part() -> None:
    """The text stays readable."""
    assert len(refusal(m.UpdateRun, {"run_id": "a", "status": ["x" * 100_000]})) < 1_000


def test_numbers_that_json_has_not_are_spelled() -> None:
    """And all others are what they were, to the sign of zero."""
    assert [spelled(each) for each in (math.nan, math.inf, -math.inf)] == [
        "NaN",
        "Infinity",
        "-Infinity",
    ]
    assert encode(m.Metric("k", spelled(-0.0), 0)) == b'{"key":"k","value":-0.0,"timestamp":0}'


def test_messages_have_no_more_to_say_than_their_fields() -> None:
    """Every class in the table is used by an endpoint, or in a message that is."""
    from steplog.server.about import endpoints
    from steplog.server.endpoints import ENDPOINTS

    used: set[type] = {m.Message, m.Error}

    def use(kind: object) -> None:
        if isinstance(kind, type) and kind not in used:
            used.add(kind)
            for field in structs.fields(kind):
                for found in _messages_in(inspect.type_info(field.type)):
                    use(found)

    for endpoint in endpoints(ENDPOINTS):
        use(endpoint.request)
        use(endpoint.answer)
    modules = (m, s, v)
    table = {each for of in modules for each in vars(of).values() if isinstance(each, type)}
    assert {each for each in table if issubclass(each, m.Message)} == {
        each for each in used if issubclass(each, m.Message)
    }


def _messages_in(type_: inspect.Type) -> list[type]:
    if isinstance(type_, inspect.UnionType):
        return [found for each in type_.types for found in _messages_in(each)]
    if isinstance(type_, inspect.ListType):
        return _messages_in(type_.item_type)
    return [type_.cls] if isinstance(type_, inspect.StructType) else []


THREADS = """
import sys, threading
import msgspec
from steplog.server.wire import decoder_of

def decode(barrier, kind):
    barrier.wait()
    decoder_of(kind).decode(b'{"inner": [{"a": 1, "b": [{"c": 2}]}]}')

sys.setswitchinterval(1e-6)
for _ in range(100):
    innermost = msgspec.defstruct("Innermost", [("c", int)])
    inner = msgspec.defstruct("Inner", [("a", int), ("b", list[innermost])])
    outer = msgspec.defstruct("Outer", [("inner", list[inner])])
    barrier = threading.Barrier(6)
    kinds = (outer, outer, inner, inner, innermost, outer)
    threads = [threading.Thread(target=decode, args=(barrier, kind)) for kind in kinds]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""


def test_threads_that_meet_a_message_first_together_all_decode_it() -> None:
    """Whichever message a server is sent first, and however often at once, it lives."""
    ended = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
