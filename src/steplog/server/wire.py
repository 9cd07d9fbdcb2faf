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
import threading
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, NamedTuple, TypeVar, get_args
from urllib.parse import parse_qsl

import msgspec
from msgspec import inspect

from steplog.exceptions import MlflowException, invalid
from steplog.server.endpoint import Answer, Request
from steplog.server.messages import ENUMS, Double, Empty, Message

T = TypeVar("T")
SomeMessage = TypeVar("SomeMessage", bound=Message)

MOST_VALUES = 200_000
"""Values in one body: each takes memory, also where it is ignored in the end."""
LONG_BODY = 1 << 20
"""Bytes from which on values are counted before anything is made of them."""
MOST_PARAMETERS = 10_000
"""Parameters in a query string."""
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
_decoders: dict[type, msgspec.json.Decoder[Any]] = {}
_making = threading.Lock()

NOTHING = Answer(_encoder.encode(Empty()))
"""The answer to most requests that change something."""


def encode(message: Message) -> bytes:
    """Return a message as JSON."""
    return _encoder.encode(message)


def answer(message: Message) -> Answer:
    """Return a message as an answer."""
    return Answer(_encoder.encode(message))


def spelled(value: float) -> Double:
    """Return a float as it is sent: NaN and the infinities by their names."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def decoder_of(kind: type[T]) -> msgspec.json.Decoder[T]:
    """Return msgspec's decoder of a type, made once.

    Making one looks into the type and all types in it, and notes in each what it finds while it
    still looks. Another thread that took such a note for whole would end the process (SIGSEGV), so
    one is made at a time. Who calls `msgspec.convert` must have had a decoder of the type made
    before.
    """
    found = _decoders.get(kind)
    if found is None:
        with _making:
            found = _decoders.get(kind) or msgspec.json.Decoder(kind)
            _decoders[kind] = found
    return found


def decode(kind: type[SomeMessage], body: bytes) -> SomeMessage:
    """Return the message in the body of a request; an empty body is an empty message.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE with MLflow's text, which names the field.

    """
    # Each comma stands for a value; those in texts count, too, but no text has so many.
    if len(body) > LONG_BODY and body.count(b",") + body.count(b"{") > MOST_VALUES:
        raise invalid(f"The request holds more than {MOST_VALUES} values.")
    decoder = decoder_of(kind)
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return read_object(kind, _load(body))
    except RecursionError:
        raise invalid("The request is nested too deeply.") from None


def decode_get(kind: type[SomeMessage], request: Request) -> SomeMessage:
    """Return the message in the query of a GET: a parameter for each field, repeated for a list.

    Where there is no query, the body is the message: MLflow's server takes that, too.

    Raises:
        MlflowException: as `decode`.

    """
    if not request.query and request.body:
        return decode(kind, request.body)
    try:
        pairs = parse_qsl(
            request.query, keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS
        )
    except ValueError as error:
        raise invalid(f"The query string cannot be read: {error}.") from error
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        given.setdefault(name, []).append(value)
    fields = _fields(kind)
    raw = {
        name: values if name in fields and fields[name].many else values[0]
        for name, values in given.items()
    }
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
    fields = _fields(kind)
    given = raw if raw.keys() <= fields.keys() else _renamed(fields, raw)
    values = {}
    for name, field in fields.items():
        value = given.get(name)
        if value is None and name == "run_id":
            value = raw.get("run_uuid")
        if value is None or (value == "" and not field.empty):
            if field.required:
                raise missing(path + name)
        else:
            values[name] = field.convert(value, path + name)
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
    """How a field is read.

    Attributes:
        convert: takes a JSON value, and the name of the field for messages of errors.
        camel_case: the other name that protobuf gives it.
        many: whether it is a list.
        required: whether it must be there.
        empty: whether the empty text is a value of it; else that counts as nothing.

    """

    convert: Callable[[object, str], object]
    camel_case: str
    many: bool
    required: bool
    empty: bool


@cache
def _fields(kind: type[Message]) -> dict[str, _Field]:
    struct = inspect.type_info(kind)
    assert isinstance(struct, inspect.StructType)
    return {
        field.name: _Field(
            _converter(field.type),
            re.sub("_([a-z])", lambda letter: letter[1].upper(), field.name),
            isinstance(_kind(field.type), inspect.ListType),
            field.required,
            not (field.required and getattr(_kind(field.type), "min_length", True)),
        )
        for field in struct.fields
    }


def _kind(type_: inspect.Type) -> inspect.Type:
    """Return what a field holds where it is there; of a double the number, not its names."""
    if isinstance(type_, inspect.UnionType):
        return next(each for each in type_.types if not isinstance(each, inspect.NoneType))
    return type_


def _converter(type_: inspect.Type) -> Callable[[object, str], object]:
    type_ = _kind(type_)
    if isinstance(type_, inspect.StructType):
        message: type[Message] = type_.cls  # type: ignore[assignment]  # all structs here are
        return lambda value, path: read_object(message, value, f"{path}.")
    if isinstance(type_, inspect.ListType):
        return partial(_list, _kind(type_.item_type))
    if isinstance(type_, inspect.IntType):
        assert type_.ge is not None and type_.le is not None, "every integer has its bounds"
        return partial(_int, type_.ge, type_.le)
    if isinstance(type_, inspect.LiteralType):
        return partial(_enum, _NUMBERED[frozenset(type_.values)])
    return {inspect.FloatType: _float, inspect.BoolType: _bool, inspect.StrType: _str}[type(type_)]


def _load(body: bytes) -> object:
    """Parse JSON as Python does, which knows NaN: so the field it stands in can be named."""
    try:
        raw = json.loads(body.strip() or b"{}")
        # Old clients of MLflow send their JSON wrapped in a JSON string.
        raw = json.loads(raw) if isinstance(raw, str) else raw
    except ValueError as error:  # not JSON, not UTF-8, or an integer of thousands of digits
        raise invalid(f"The request is not valid JSON: {error}.") from error
    return {} if raw is None else raw


def _renamed(fields: Mapping[str, _Field], raw: Mapping[str, object]) -> dict[str, object]:
    """Return an object with MLflow's names for protobuf's other ones; what has neither stays."""
    given = dict(raw)
    for name, field in fields.items():
        if field.camel_case == name or field.camel_case not in raw:
            continue
        if name in raw:
            raise invalid(
                f"Request specifies both '{name}' and '{field.camel_case}'; "
                "provide only one of them."
            )
        if not field.required:  # of those that MLflow insists on, it does not see this name
            given[name] = raw[field.camel_case]
    return given


def _list(item: inspect.Type, value: object, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise wrong(path, value)
    if not isinstance(item, inspect.StructType) and not all(
        isinstance(each, str) for each in value
    ):
        raise wrong(path, value)  # MLflow shows a list of texts as a whole
    convert = _converter(item)
    return [convert(each, f"{path}[{index}]") for index, each in enumerate(value)]


def _int(least: int, most: int, value: object, path: str) -> int:
    number = value
    if isinstance(value, str):
        number = int(value) if _WHOLE.fullmatch(value) and len(value) < 100 else _number(value)
    if isinstance(number, float):
        number = int(number) if number.is_integer() else None
    if number is None or isinstance(number, bool) or not isinstance(number, int):
        raise wrong(path, value)
    if not least <= number <= most:
        raise wrong(path, value, f"Hint: Value must lie between {least} and {most}.")
    return number


def _number(text: str) -> float | None:
    """Return the number that a text stands for, written as protobuf lets it be; else None."""
    if " " in text or "_" in text:
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _float(value: object, path: str) -> Double:
    if isinstance(value, str):
        number = _number(value)
        # "nan" may be meant, but it is not how protobuf writes it, and MLflow stores a zero.
        if number is None or (math.isnan(number) and value != "NaN"):
            raise wrong(path, value)
        return spelled(number)
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


def _enum(names: tuple[str, ...], value: object, path: str) -> str:
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
