"""Events as JSON and as MessagePack: one form each, for files, machines and other languages.

Both forms are a map whose ``type`` says which event it is; fields at their default are left out, unknown fields are
ignored. Decimals are strings with all their digits and no exponent. Market data are floats: a NaN or an infinity cannot
be written as JSON and is refused there, while MessagePack carries it.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import msgspec

from bt_api_base.containers.decimals import decimal_text
from bt_api_base.containers.event import EVENT_TYPES, MONEY_TYPES, Event, event_tag
from bt_api_base.exceptions import DataParseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = (
    "decode_json",
    "decode_json_lines",
    "decode_msgpack",
    "decode_msgpack_batch",
    "encode_json",
    "encode_json_lines",
    "encode_msgpack",
    "encode_msgpack_batch",
)

_CLASS_NAMES = {event_tag(member): member.__name__ for member in EVENT_TYPES}

_PLACE = re.compile(r" - at `\$\.?([^`]*)`")
"""Where msgspec says what is wrong."""

_MISSING = re.compile(r"missing required field `([^`]*)`")
"""The one thing whose name msgspec does not count as a part of the place."""

_HEAD = re.compile(
    rb'(?:\s*\{\s*"type"\s*:\s*"|(?:[\x80-\x8f]|\xde..)\xa4type[\xa0-\xbf])(%s)'
    # Longest first: "order_book_delta" also starts with "order".
    % "|".join(sorted(_CLASS_NAMES, key=len, reverse=True)).encode(),
    re.DOTALL,
)
"""The type of an event in either form, cut off or damaged after it."""


class _Envelope(msgspec.Struct):
    """As much of an event as a useful error needs."""

    type: str = ""
    exchange_name: str = ""


_T = TypeVar("_T")
_Data = TypeVar("_Data", bound="bytes | str")
_Builtin: TypeAlias = "dict[str, _Builtin] | tuple[_Builtin, ...] | str | float | Decimal | None"

_json_encoder = msgspec.json.Encoder()
_json_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_json_envelope = msgspec.json.Decoder(_Envelope)
_msgpack_encoder = msgspec.msgpack.Encoder()
_msgpack_decoder: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)
_msgpack_batch_decoder = msgspec.msgpack.Decoder(list[Event])
_msgpack_envelope = msgspec.msgpack.Decoder(_Envelope)


def encode_json(event: Event) -> bytes:
    """Encode an event as one line of JSON, without the line's end.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    data = _json_encoder.encode(_wire_form(event))
    # Fields that are None are left out, so a null is a NaN or an infinity, or part of a text.
    if b"null" in data:
        _check_finite(msgspec.to_builtins(event, builtin_types=(Decimal,)), "$")
    return data


def decode_json(data: bytes | str) -> Event:
    """Decode an event from JSON.

    Raises:
        DataParseError: It is not JSON, not an event, or a field is missing or of the wrong type. The error names
            container and field.
    """
    return _decode(_json_decoder.decode, _json_envelope.decode, data)


def encode_json_lines(events: Iterable[Event]) -> bytes:
    """Encode events as JSON lines, each with its line's end.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    return b"".join([encode_json(event) + b"\n" for event in events])


def decode_json_lines(data: bytes | str) -> list[Event]:
    """Decode events from JSON lines; empty lines are skipped.

    Raises:
        DataParseError: As in `decode_json`, for the first line that is wrong.
    """
    # Not splitlines(): in text it also splits at characters that may stand inside a JSON string.
    lines = data.split("\n") if isinstance(data, str) else data.split(b"\n")
    return [decode_json(line) for line in lines if line.strip()]


def encode_msgpack(event: Event) -> bytes:
    """Encode an event as MessagePack."""
    return _msgpack_encoder.encode(_wire_form(event))


def decode_msgpack(data: bytes) -> Event:
    """Decode an event from MessagePack.

    Raises:
        DataParseError: As in `decode_json`.
    """
    return _decode(_msgpack_decoder.decode, _msgpack_envelope.decode, data)


def encode_msgpack_batch(events: Iterable[Event]) -> bytes:
    """Encode events as one MessagePack array."""
    return _msgpack_encoder.encode([_wire_form(event) for event in events])


def decode_msgpack_batch(data: bytes) -> list[Event]:
    """Decode events from one MessagePack array.

    Raises:
        DataParseError: As in `decode_json`; the field starts with the place in the array.
    """
    return _decode(_msgpack_batch_decoder.decode, _msgpack_envelope.decode, data)


def _wire_form(event: Event) -> Event | dict[str, _Builtin]:
    """Return what the encoder is given: for money, builtins whose decimals are in fixed notation."""
    if type(event) not in MONEY_TYPES:
        return event
    form: dict[str, _Builtin] = msgspec.to_builtins(event, builtin_types=(Decimal,))
    _fix_decimals(form)
    return form


def _fix_decimals(form: dict[str, _Builtin]) -> None:
    """Replace decimals by text. msgspec would write ``str(value)``, which has an exponent below 0.000001."""
    for key, value in form.items():
        if type(value) is Decimal:
            form[key] = decimal_text(value)
        elif isinstance(value, tuple):
            for item in value:
                if isinstance(item, dict):
                    _fix_decimals(item)


def _check_finite(form: _Builtin, place: str) -> None:
    if isinstance(form, float):
        if not math.isfinite(form):
            raise ValueError(f"JSON has no number for {form!r} - at `{place}`")
    elif isinstance(form, dict):
        for key, value in form.items():
            _check_finite(value, f"{place}.{key}")
    elif isinstance(form, tuple):
        for index, value in enumerate(form):
            _check_finite(value, f"{place}[{index}]")


def _decode(decode: Callable[[_Data], _T], decode_envelope: Callable[[_Data], _Envelope], data: _Data) -> _T:
    try:
        return decode(data)
    # msgspec leaves invalid UTF-8 and exhausted recursion in skipped fields untranslated.
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _parse_error(decode_envelope, data, error) from error


def _parse_error(decode_envelope: Callable[[_Data], _Envelope], data: _Data, error: Exception) -> DataParseError:
    try:
        head = decode_envelope(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        match = _HEAD.match(data.encode(errors="replace") if isinstance(data, str) else data)
        head = _Envelope(match[1].decode() if match else "")
    detail = str(error)
    # The outermost place comes last: "… - at `$.margin` - at `$.balances[0]`".
    places = [*_MISSING.findall(detail), *_PLACE.findall(detail)]
    return DataParseError(
        _CLASS_NAMES.get(head.type, "Event"),
        _PLACE.sub("", detail),
        exchange_name=head.exchange_name,
        field=".".join(place for place in reversed(places) if place),
        payload=data,
    )
