"""Messages from and to bytes: protobuf's JSON mapping as MLflow speaks it, without its accidents.

Almost every request is read by one strict decoder of msgspec. What it refuses is looked at again,
field by field: some of it is meant by protobuf's mapping (an int64 as a string, ``"NaN"``, an enum
as a number, camelCase, ``run_uuid`` for ``run_id``), and for all else that look finds MLflow's text
for the mistake. MLflow's server keeps what it had understood before a mistake, and stores that;
here nothing is stored of a message that is not right as a whole.

The messages themselves are in `steplog.server.messages`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple, TypeVar, cast, get_args
from urllib.parse import parse_qsl

import msgspec
from msgspec import inspect

from steplog.exceptions import MlflowException, invalid
from steplog.server.endpoint import Answer
from steplog.server.messages import ENUMS, Empty, Message

SomeMessage = TypeVar("SomeMessage", bound=Message)

MOST_VALUES = 1_000_000
"""Values in a body that is looked at again: each takes memory, also where it is ignored."""
MOST_SHOWN = 500
"""Characters of a wrong value that its message quotes."""

SEE_DOCS = " See the API docs for more information about request parameters."
"""What MLflow's server adds to the texts of most mistakes."""
_NOT_FINITE = (
    "Hint: Value must be a finite number, or one of the strings 'NaN', 'Infinity' and '-Infinity'."
)
_NUMBERED = {frozenset(get_args(enum)): get_args(enum) for enum in ENUMS}  # msgspec sorts names
_WHOLE = re.compile(r"[+-]?\d+")
_encoder = msgspec.json.Encoder()

NOTHING = Answer(_encoder.encode(Empty()))
"""The answer to most requests that change something."""


def encode(message: Message) -> bytes:
    """Return a message as JSON. Numbers in it that JSON has not must be `spelled`."""
    return _encoder.encode(message)


def answer(message: Message) -> Answer:
    """Return a message as an answer."""
    return Answer(_encoder.encode(message))


def spelled(value: float) -> float:
    """Return a float as it is sent: NaN and the infinities by their names.

    The name is a str, whatever the annotation says; encoding takes either.
    """
    if math.isfinite(value):
        return value
    name = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return cast(float, name)


def decode(kind: type[SomeMessage], body: bytes) -> SomeMessage:
    """Return the message in the body of a request; an empty body is an empty message.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE with MLflow's text, which names the field.

    """
    try:
        return _decoder(kind).decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return read_object(kind, _load(body))


def decode_query(kind: type[SomeMessage], query: str) -> SomeMessage:
    """Return the message in a query string: a parameter for each field, repeated for a list.

    Raises:
        MlflowException: as `decode`.

    """
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=10_000)
    except ValueError as error:
        raise invalid(f"The query string cannot be read: {error}.") from error
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        given.setdefault(name, []).append(value)
    several = {field.name for field in _fields(kind) if isinstance(field.type, inspect.ListType)}
    raw = {name: all_ if name in several else all_[0] for name, all_ in given.items()}
    return read_object(kind, raw)


def read_object(kind: type[SomeMessage], raw: object, path: str = "") -> SomeMessage:
    """Return the message that a JSON value stands for, by protobuf's mapping.

    Args:
        kind: which message.
        raw: the value; from a query string, or from JSON where the strict decoder refused it.
        path: what messages of errors put before the name of a field, such as ``metrics[3].``.

    Raises:
        MlflowException: as `decode`.

    """
    if not isinstance(raw, dict):
        if path:
            raise wrong(path.rstrip("."), raw)
        raise invalid(f"A request must be a JSON object, got a value of type '{_type(raw)}'.")
    values = {}
    for field in _fields(kind):
        value = _given(field, raw)
        if value is None or (value == "" and not field.empty):
            if field.required:
                raise missing(path + field.name)
        else:
            values[field.name] = _convert(field.type, value, path + field.name)
    return kind(**values)


def missing(name: str) -> MlflowException:
    """Return MLflow's error for a parameter that must be given, to be raised."""
    return invalid(f"Missing value for required parameter '{name}'.{SEE_DOCS}")


def wrong(name: str, value: object, hint: str = "") -> MlflowException:
    """Return MLflow's error for a parameter of the wrong type, to be raised."""
    # ASCII, so that a lone surrogate in the value can be shown, too.
    shown = json.dumps(value, sort_keys=True, separators=(",", ":"))
    if len(shown) > MOST_SHOWN:
        shown = shown[:MOST_SHOWN] + "…"
    hint = hint or f"Hint: Value was of type '{_type(value)}'."
    return invalid(f"Invalid value {shown} for parameter '{name}' supplied:  {hint}{SEE_DOCS}")


class _Field(NamedTuple):
    """What is known of a field: `empty` says whether the empty text is a value of it."""

    name: str
    camel_case: str
    type: inspect.Type
    required: bool
    empty: bool


@cache
def _decoder(kind: type[SomeMessage]) -> msgspec.json.Decoder[SomeMessage]:
    return msgspec.json.Decoder(kind)


@cache
def _fields(kind: type[Message]) -> tuple[_Field, ...]:
    struct = inspect.type_info(kind)
    assert isinstance(struct, inspect.StructType)
    return tuple(
        _Field(
            field.name,
            re.sub("_([a-z])", lambda letter: letter[1].upper(), field.name),
            _without_none(field.type),
            field.required,
            not (field.required and getattr(_without_none(field.type), "min_length", True)),
        )
        for field in struct.fields
    )


def _without_none(type_: inspect.Type) -> inspect.Type:
    if isinstance(type_, inspect.UnionType):
        [type_] = (each for each in type_.types if not isinstance(each, inspect.NoneType))
    return type_.type if isinstance(type_, inspect.Metadata) else type_


def _load(body: bytes) -> object:
    """Parse JSON as Python does, which knows NaN: so the field it stands in can be named."""
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MOST_VALUES:
        raise invalid(f"The request holds more than {MOST_VALUES} values.")
    try:
        raw = json.loads(body.strip() or b"{}")
        # Old clients of MLflow send their JSON wrapped in a JSON string.
        raw = json.loads(raw) if isinstance(raw, str) else raw
    except RecursionError:
        raise invalid("The request is nested too deeply.") from None
    except ValueError as error:  # not JSON, not UTF-8, or an integer of thousands of digits
        raise invalid(f"The request is not valid JSON: {error}.") from error
    return {} if raw is None else raw


def _given(field: _Field, raw: Mapping[str, object]) -> object:
    """Return what a JSON object holds for a field; None where that is nothing."""
    value = raw.get(field.name)
    if value is None and field.name == "run_id":
        return raw.get("run_uuid")
    if field.camel_case == field.name or field.camel_case not in raw:
        return value
    if field.name in raw:
        raise invalid(
            f"Request specifies both '{field.name}' and '{field.camel_case}'; "
            "provide only one of them."
        )
    # MLflow does not see the camelCase name of a field that it insists on.
    return None if field.required else raw[field.camel_case]


def _convert(type_: inspect.Type, value: object, path: str) -> Any:
    if isinstance(type_, inspect.StructType):
        return read_object(type_.cls, value, f"{path}.")
    if isinstance(type_, inspect.ListType):
        return _list(type_, value, path)
    if isinstance(type_, inspect.IntType):
        return _int(type_, value, path)
    if isinstance(type_, inspect.FloatType):
        return _float(value, path)
    if isinstance(type_, inspect.LiteralType):
        return _enum(type_, value, path)
    if isinstance(type_, inspect.BoolType):
        return _bool(value, path)
    return _str(value, path)


def _list(type_: inspect.ListType, value: object, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise wrong(path, value)
    item_type = _without_none(type_.item_type)
    if isinstance(item_type, inspect.StructType):
        return [
            read_object(item_type.cls, item, f"{path}[{index}].")
            for index, item in enumerate(value)
        ]
    if not all(isinstance(item, str) for item in value):  # there are lists of nothing else
        raise wrong(path, value)
    return [_str(item, path) for item in value]


def _int(type_: inspect.IntType, value: object, path: str) -> int:
    number = value
    if isinstance(value, str):
        number = int(value) if _WHOLE.fullmatch(value) and len(value) < 100 else _number(value)
    if isinstance(number, float):
        number = int(number) if number.is_integer() else None
    if number is None or isinstance(number, bool) or not isinstance(number, int):
        raise wrong(path, value)
    assert type_.ge is not None and type_.le is not None, "every integer has its bounds"
    if not type_.ge <= number <= type_.le:
        raise wrong(path, value, f"Hint: Value must lie between {type_.ge} and {type_.le}.")
    return number


def _number(text: str) -> float | None:
    """Return the number that a text stands for, written as protobuf lets it be; else None."""
    if " " in text or "_" in text:
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _float(value: object, path: str) -> float:
    if isinstance(value, str):
        number = _number(value)
        # "nan" may be meant, but it is not how protobuf writes it, and MLflow stores a zero.
        if number is None or (math.isnan(number) and value != "NaN"):
            raise wrong(path, value)
        return number
    if not isinstance(value, (int, float)):
        raise wrong(path, value)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise wrong(path, value, _NOT_FINITE)
    return number


def _bool(value: object, path: str) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise wrong(path, value)


def _enum(type_: inspect.LiteralType, value: object, path: str) -> str:
    names: tuple[str, ...] = _NUMBERED[frozenset(type_.values)]
    if isinstance(value, str):
        if value in names:
            return value
        if not _WHOLE.fullmatch(value) or len(value) > 2:
            raise wrong(path, value, f"Hint: Value must be one of {', '.join(names)}.")
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= len(names):
        raise wrong(path, value)
    return names[value - 1]


def _str(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise wrong(path, value)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise wrong(path, value, "Hint: Value holds half of a surrogate pair.") from None
    return value


def _type(value: object) -> str:
    return type(value).__name__
