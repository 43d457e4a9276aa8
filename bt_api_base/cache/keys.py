"""Under which key the result of a call is kept: calls that say the same have the same key, and no others do."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, cast

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

__all__ = ("KeyMaker",)

_PLAIN = frozenset({int, str})
"""Types of which a value alone is a key: none of them equals a value of the other, or a tuple."""

_REQUIRED = object()
_KEYWORDS = object()
"""Stands between what is positional and what is not."""


def _hashable(default: object) -> object:
    """Return a parameter's default, or what stands for one that cannot be hashed: there is only one of it."""
    try:
        hash(default)
    except TypeError:
        return object()
    return default


def _kind(value: object) -> Hashable:
    """Return a value's type, with those of what is in it where equal ones may hold different things."""
    if type(value) is tuple:
        return (tuple, *map(_kind, cast("tuple[object, ...]", value)))
    if type(value) is frozenset:
        return (frozenset, frozenset((item, _kind(item)) for item in cast("frozenset[object]", value)))
    return cast("Hashable", type(value))


@attrs.define(eq=False)
class KeyMaker:
    """Makes keys for calls of one function.

    ``f(1, 2)``, ``f(1, b=2)`` and, where 2 is the default, ``f(1)`` have the same key. ``f(1)``, ``f(1.0)``,
    ``f(True)`` and ``f("1")`` have four, and so have ``f((1,))`` and ``f((1.0,))``.

    Args:
        parameters: The function's parameters; ``None`` where nobody knows them.
    """

    parameters: tuple[inspect.Parameter, ...] | None
    _positional: tuple[tuple[str | None, object], ...] = attrs.field(default=(), init=False)
    _keywords: tuple[tuple[str, object], ...] = attrs.field(default=(), init=False)
    _count: int = attrs.field(default=-1, init=False)

    def __attrs_post_init__(self) -> None:
        if self.parameters is None:
            return
        positional: list[tuple[str | None, object]] = []
        keywords: list[tuple[str, object]] = []
        for parameter in self.parameters:
            missing = parameter.default is inspect.Parameter.empty
            default = _REQUIRED if missing else _hashable(parameter.default)
            if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
                positional.append((None, default))
            elif parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
                positional.append((parameter.name, default))
            elif parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                keywords.append((parameter.name, default))
        self._positional = tuple(positional)
        self._keywords = tuple(keywords)
        if len(positional) == len(self.parameters):
            self._count = len(positional)

    @classmethod
    def of(cls, function: Callable[..., object]) -> KeyMaker:
        """Make keys for a function; one that does not tell its parameters has calls compared as they are written."""
        try:
            return cls(tuple(inspect.signature(function).parameters.values()))
        except (TypeError, ValueError):  # some built-in functions do not tell
            return cls(None)

    def without_first(self) -> KeyMaker:
        """Make keys for the same function as a method, whose first argument is already given."""
        return KeyMaker(self.parameters[1:] if self.parameters else None)

    def key(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Hashable:
        """Return the key of a call. What cannot be hashed in it shows when the key is used."""
        if kwargs or len(args) != self._count:
            args = self._spread(args, kwargs)
        if len(args) == 1 and type(args[0]) in _PLAIN:
            return cast("Hashable", args[0])
        kinds = tuple(map(type, args))
        if tuple in kinds or frozenset in kinds:
            return args + tuple(map(_kind, args))
        return args + kinds

    def unhashable(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """Describe the argument that cannot be hashed; empty where there is none."""
        names = [name for name, _ in self._positional]
        given = [(names[at] if at < len(names) else None, value) for at, value in enumerate(args)]
        for at, (name, value) in enumerate([*given, *kwargs.items()]):
            try:
                hash(value)
            except TypeError:
                return f"argument {name or at + 1} of type {type(value).__name__}"
        return ""

    def _spread(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return a call's arguments in the order of the parameters, with defaults, and then what fits none."""
        rest = dict(kwargs)
        values = list(args)
        for name, default in self._positional[len(args) :]:
            value = default if name is None else rest.pop(name, default)
            if value is _REQUIRED:  # the function itself says best what is wrong
                return (*args, _KEYWORDS, *sorted(kwargs.items()))
            values.append(value)
        if self._keywords or rest:
            values.append(_KEYWORDS)
            values.extend(rest.pop(name, default) for name, default in self._keywords)
            for name in sorted(rest):
                values += (name, rest[name])
        return tuple(values)
