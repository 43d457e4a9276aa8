"""What is at a path of a frame, what a template makes of it, and what a field of an event becomes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast, get_args, get_origin

import msgspec

from bt_api_base.exceptions import ConfigurationError

if TYPE_CHECKING:
    from bt_api_base.venues.generic.description import Field, TimeUnit

__all__ = (
    "BAD",
    "MISSING",
    "Converter",
    "FieldError",
    "converter",
    "encode",
    "fill",
    "getter",
    "names_in",
    "path_template",
    "template_pattern",
)

Converter: TypeAlias = Callable[[Any, Any], Any]
"""Returns what a frame, and an item in it, hold for one purpose."""

BAD: Final = (msgspec.MsgspecError, ValueError, TypeError, ArithmeticError, LookupError, RecursionError, SystemError)
"""What foreign bytes can lead to. The last is msgspec 0.21's `convert` for numbers of hundreds of digits."""

MISSING: Final = object()
"""What is at a path that leads nowhere."""

_SCALES: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LATEST: Final = 2**63 - 1
_LARGEST: Final = 1e30
_NAME: Final = re.compile(r"\{([\w.$]+)\}")

_encode_json = msgspec.json.Encoder().encode


class FieldError(ValueError):
    """Something in a frame is not what it has to be.

    Attributes:
        field: Its path.
    """

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


# -- paths and templates ---------------------------------------------------------------------------


def getter(path: str) -> Converter:
    """Return what finds a path in an item, or behind ``$.`` in the frame; `MISSING` where it leads nowhere."""
    from_frame = path.startswith("$.")
    steps = tuple(int(step) if step.isdecimal() else step for step in path.removeprefix("$.").split("."))

    def get(message: object, item: object) -> object:
        value: Any = message if from_frame else item
        for step in steps:
            if isinstance(value, str):
                return MISSING  # its characters are at no path
            try:
                value = value[step]
            except (LookupError, TypeError):
                return MISSING
        return value

    return get


def names_in(template: object) -> set[str]:
    """Return what stands in braces anywhere in a template."""
    if isinstance(template, Mapping):
        parts: list[object] = list(cast("Mapping[str, object]", template).values())
    elif isinstance(template, (list, tuple)):
        parts = list(cast("list[object]", template))
    else:
        return set(_NAME.findall(template)) if isinstance(template, str) else set()
    names: set[str] = set()
    return names.union(*map(names_in, parts))


def fill(template: object, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON is anything
    """Put values into a template."""
    if isinstance(template, Mapping):
        return {name: fill(part, values) for name, part in cast("Mapping[str, object]", template).items()}
    if isinstance(template, (list, tuple)):
        return [fill(part, values) for part in cast("list[object]", template)]
    if not isinstance(template, str):
        return template
    alone = _NAME.fullmatch(template)
    return values[alone[1]] if alone else _NAME.sub(lambda match: str(values[match[1]]), template)


def path_template(template: str) -> Callable[[object], str | None]:
    """Return what puts a frame's values into a template; ``None`` if one is not there, or no text and no number."""
    parts = _NAME.split(template)
    getters = [getter(path) for path in parts[1::2]]
    pattern = "{}".join(part.replace("{", "{{").replace("}", "}}") for part in parts[::2])

    def fill_in(message: object) -> str | None:
        values: list[object] = []
        for get in getters:
            value = get(message, message)
            if isinstance(value, bool) or not isinstance(value, (str, int)):
                return None
            values.append(value)
        return pattern.format(*values)

    return fill_in


def encode(filled: object) -> str:
    """Return a message as text: a text as it is, and anything else in JSON."""
    return filled if isinstance(filled, str) else _encode_json(filled).decode()


def template_pattern(template: str, patterns: Mapping[str, str]) -> re.Pattern[str]:
    """Return the pattern of what a template makes, given the patterns of what is put in."""
    parts = re.split(r"\{(\w+)\}", template)
    return re.compile("".join(patterns[part] if index % 2 else re.escape(part) for index, part in enumerate(parts)))


# -- fields ----------------------------------------------------------------------------------------


def converter(info: msgspec.structs.FieldInfo, field: Field, unit: TimeUnit) -> Converter:
    """Return what makes a field of an event.

    Args:
        info: The field, as the event's type has it.
        field: Where it comes from.
        unit: What times are in, unless the field says.

    Raises:
        ConfigurationError: A field of this type cannot be described.
    """
    get = getter(field.path)
    convert = _conversion(info, field, unit)
    words = field.words
    required, default = info.required, None if info.required else info.default

    def read(message: object, item: object) -> object:
        value = get(message, item)
        if value is MISSING or value is None or value == "":
            if required:
                raise ValueError("it is missing")
            return default
        if words is not None:
            try:
                value = words[value]
            except (KeyError, TypeError):
                raise ValueError("an unknown word") from None
        return convert(value)

    return read


def _conversion(info: msgspec.structs.FieldInfo, field: Field, unit: TimeUnit) -> Callable[[Any], Any]:
    kinds = [kind for kind in get_args(info.type) if kind is not type(None)] or [info.type]
    kind: Any = info.type if get_origin(info.type) is tuple else kinds[0]
    if kind is float:
        return _number
    if kind is int:
        return partial(_time, field.unit or unit) if info.name.endswith("_time") else _integer
    if kind is str:
        return _text
    if kind is bool:
        return partial(msgspec.convert, type=bool)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return partial(msgspec.convert, type=kind)
    if get_origin(kind) is tuple:
        return partial(_levels, getter(field.level[0]), getter(field.level[1]))
    raise ConfigurationError(f"a field such as {info.name!r} cannot be described: it takes an adapter of its own")


def _number(value: object) -> float:
    number = msgspec.convert(value, float, strict=False)
    if isinstance(value, bool) or not -_LARGEST < number < _LARGEST:
        raise ValueError("expected a finite number")
    return number


def _integer(value: object) -> int:
    number = msgspec.convert(value, int, strict=False)
    if isinstance(value, bool) or abs(number) > _LATEST:
        raise ValueError("expected a whole number of 64 bits")
    return number


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise TypeError("expected a text or a whole number")
    return str(value)


def _time(unit: TimeUnit, value: object) -> int:
    if unit == "iso":
        moment = msgspec.convert(value, datetime)
        passed = (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)) - _EPOCH
        time = (passed.days * 86_400 + passed.seconds) * 1_000_000_000 + passed.microseconds * 1_000
    elif isinstance(value, float) or (isinstance(value, str) and "." in value):
        _number(value)  # finite, and no more digits than a number has
        time = round(Decimal(str(value)) * _SCALES[unit])  # in decimals, as a float would be off by some nanoseconds
    else:
        time = _integer(value) * _SCALES[unit]
    if not 0 <= time <= _LATEST:
        raise ValueError("expected a time between 1970 and 2262")
    return time


def _levels(price: Converter, quantity: Converter, value: object) -> tuple[tuple[float, float], ...]:
    if not isinstance(value, list):
        raise TypeError("expected an array of levels")
    return tuple((_number(price(None, level)), _number(quantity(None, level))) for level in cast("list[object]", value))
