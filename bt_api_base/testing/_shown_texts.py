"""Everything that an object shows of itself, to people and to programs that store or send it."""

from __future__ import annotations

import json
import pickle
import traceback
from collections.abc import Iterable, Iterator, Mapping, Set as AbstractSet
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("shown_shortly", "shown_texts")

_MAX_DEPTH: Final = 12

_SERIALIZERS: Final[tuple[tuple[str, Callable[[Any], object]], ...]] = (
    *((f"pickle {protocol}", lambda value, protocol=protocol: pickle.dumps(value, protocol)) for protocol in (0, 5)),
    ("json", lambda value: json.dumps(value, default=str)),
    ("json of vars", lambda value: json.dumps(vars(value), default=repr)),
    ("msgspec", msgspec.json.encode),
    ("msgspec with str", lambda value: msgspec.json.encode(value, enc_hook=str)),
    ("msgspec.msgpack", msgspec.msgpack.encode),
    ("msgspec.to_builtins", lambda value: repr(msgspec.to_builtins(value, enc_hook=repr))),
    ("attrs.asdict", lambda value: repr(attrs.asdict(value))),
)


def shown_texts(objects: Iterable[object]) -> Iterator[tuple[str, str | bytes]]:
    """Yield every text that objects show, with the name of its place."""
    seen: dict[int, object] = {}  # holds them, so that no other object gets the address of one
    for shown in objects:
        yield from _of(shown, f"a {type(shown).__name__}", seen, 0)


def shown_shortly(shown: object) -> Iterator[tuple[str, str | bytes]]:
    """Yield what an object shows of itself, without its parts: its repr, its text and its pickle."""
    kind: type[object] = type(shown)
    # Those of Python's own kinds show their address, or the reprs of their parts.
    is_pythons = kind.__module__ in {"builtins", "collections", "functools"} and not isinstance(shown, BaseException)
    if kind.__repr__ is not object.__repr__ and not is_pythons:
        yield "repr", _made(repr, shown)
    if kind.__str__ is not object.__str__:
        yield "str", _made(str, shown)
    if isinstance(shown, BaseException):
        yield "traceback", "".join(traceback.format_exception(shown))
    elif type(shown).__module__.startswith("bt_api_base."):
        yield "pickle", _made(lambda value: pickle.dumps(value, 5), shown)


def _of(shown: object, place: str, seen: dict[int, object], depth: int) -> Iterator[tuple[str, str | bytes]]:
    if isinstance(shown, (str, bytes, bytearray, memoryview)):
        yield place, shown if isinstance(shown, str) else bytes(cast("bytes", shown))
        return
    if shown is None or isinstance(shown, (bool, type)) or id(shown) in seen or depth > _MAX_DEPTH:
        return
    seen[id(shown)] = shown
    for name, make in (("repr", repr), ("str", str), ("format", format)):
        yield f"the {name} of {place}", _made(make, shown)
    for name, serialize in _SERIALIZERS:
        made = _made(serialize, shown)
        yield f"{name} of {place}", made
    for part, name in _parts(shown):
        yield from _of(part, f"{name} of {place}", seen, depth + 1)
    if isinstance(shown, BaseException):
        yield f"the traceback of {place}", "".join(traceback.format_exception(shown))


def _parts(shown: Any) -> Iterator[tuple[object, str]]:  # noqa: ANN401 - told apart here
    """Yield the objects that an object is made of, as far as they are there to be seen."""
    kind: type[Any] = type(shown)  # pyright: ignore[reportUnknownVariableType]
    if isinstance(shown, Mapping):
        for key, value in cast("Mapping[object, object]", shown).items():
            yield key, "a key"
            yield value, f"[{key!r}]" if isinstance(key, (str, int)) else "a value"
    elif isinstance(shown, (list, tuple, AbstractSet)):
        for item in cast("Iterable[object]", shown):
            yield item, "an item"
    if isinstance(shown, BaseException):
        yield shown.args, "the arguments"
        yield dict(vars(shown)), "the attributes"
        yield getattr(shown, "__notes__", None), "the notes"
        yield shown.__cause__, "the cause"
        yield shown.__context__, "the context"
        yield getattr(shown, "exceptions", None), "the group"
    else:
        for name in _field_names(kind):
            yield getattr(cast("object", shown), name, None), name


def _field_names(kind: type[Any]) -> tuple[str, ...]:
    """Return the names of the fields of an attrs class or of a msgspec Struct."""
    if attrs.has(kind):
        return tuple(attrs.fields_dict(kind))
    return tuple(getattr(kind, "__struct_fields__", ()))


def _made(make: Callable[[Any], object], shown: object) -> str | bytes:
    """Return what a function makes of an object, or the text of its refusal, which must not tell either."""
    try:
        made = make(shown)
    except Exception as error:  # noqa: BLE001 - what cannot be shown in this way is shown in none
        return "".join(traceback.format_exception_only(type(error), error))
    return made if isinstance(made, (str, bytes)) else repr(made)
