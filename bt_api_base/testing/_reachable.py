"""Everything that can be reached from an object: what a debugger or a crash reporter would see."""

from __future__ import annotations

import functools
import types
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Set as AbstractSet
from typing import Any, Final, cast

from bt_api_base.security import Secret

__all__ = ("reachable",)

_MOST: Final = 200_000
"""Objects that are looked at: many times what a manager with a few connections holds."""

_CLOSED: Final = frozenset(
    {
        "anyio", "asyncio", "_asyncio", "concurrent", "contextvars", "_contextvars", "hypothesis", "logging", "pluggy",
        "_pytest", "pytest", "socket", "_socket", "sniffio", "ssl", "_ssl", "structlog", "threading", "_thread", "trio",
        "uvloop", "weakref", "zlib",
    }
)  # fmt: skip
"""Packages whose objects are not looked into: an event loop leads to everything there is, the test itself included."""

_PACKAGE: Final = "bt_api_base"
_TEST_GROUND: Final = "bt_api_base.testing"
_LEAVES: Final = (str, bytes, bytearray, memoryview)
_PLAIN: Final = (bool, int, float, complex, type(None), type, types.ModuleType, types.CodeType, Secret)
_CALLABLES: Final = (types.MethodType, types.FunctionType, types.BuiltinFunctionType, functools.partial)
_MISSING: Final = object()


def reachable(roots: Iterable[object], *, closed: Iterable[object] = ()) -> Iterator[tuple[str, object]]:
    """Yield the objects that others hold, with the way that leads there, the nearest first.

    It goes through attributes and slots, items of collections, what functions have closed over, methods' and partial
    functions' objects, and exceptions' causes. It does not look into secrets, which is where a secret belongs; into
    event loops; into the test ground, where the venue's own half is; nor into functions that are not this package's,
    such as a test's own.

    Args:
        roots: Where to begin.
        closed: Objects that are yielded and not looked into.

    Raises:
        RuntimeError: There are too many of them for this to be what was meant.
    """
    waiting = deque((type(root).__name__, root) for root in roots)
    not_into = {id(one) for one in closed}
    seen: dict[int, object] = {}  # holds them, so that no other object gets the address of one
    while waiting:
        place, one = waiting.popleft()
        if isinstance(one, _PLAIN) or id(one) in seen:
            continue
        if len(seen) >= _MOST:
            raise RuntimeError(f"more than {_MOST} objects can be reached; the last one is {place}")
        seen[id(one)] = one
        yield place, one
        if not isinstance(one, _LEAVES) and id(one) not in not_into:
            waiting.extend((f"{place}{step}", part) for step, part in _parts(one))


def _parts(one: Any) -> Iterator[tuple[str, object]]:  # noqa: ANN401 - told apart here
    if isinstance(one, types.MethodType):
        yield ".__self__", one.__self__
        yield ".__func__", one.__func__
    elif isinstance(one, types.FunctionType):
        if _is_ours(one.__module__):
            yield from _of_function(one)
    elif isinstance(one, functools.partial):
        whole = cast("functools.partial[object]", one)
        yield ".func", whole.func
        yield ".args", whole.args
        yield ".keywords", whole.keywords
    elif isinstance(one, Mapping):
        for key, value in cast("Mapping[object, object]", one).items():
            yield " key", key
            yield f"[{key!r}]" if isinstance(key, (str, int)) else "[...]", value
    elif isinstance(one, (list, tuple, AbstractSet, deque)):
        yield from ((f"[{number}]", item) for number, item in enumerate(cast("Iterable[object]", one)))
    thing = cast("object", one)
    if not isinstance(thing, _CALLABLES) and _is_open(type(thing)):
        yield from _attributes(thing)


def _of_function(function: types.FunctionType) -> Iterator[tuple[str, object]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f".<{name}>", cell.cell_contents
        except ValueError:
            continue  # not assigned yet
    yield ".__defaults__", function.__defaults__
    yield ".__kwdefaults__", function.__kwdefaults__


def _attributes(one: object) -> Iterator[tuple[str, object]]:
    yield from ((f".{name}", value) for name, value in getattr(one, "__dict__", {}).items())
    for kind in type(one).__mro__:
        for name, slot in tuple(vars(kind).items()):
            if isinstance(slot, types.MemberDescriptorType):
                value = getattr(one, slot.__name__ if hasattr(one, slot.__name__) else name, _MISSING)
                if value is not _MISSING:
                    yield f".{name}", value
    if isinstance(one, BaseException):
        yield ".args", one.args
        yield ".__cause__", one.__cause__
        yield ".__context__", one.__context__
        yield ".exceptions", getattr(one, "exceptions", None)


def _is_open(kind: type[object]) -> bool:
    """Whether objects of a type are looked into."""
    modules = [base.__module__ for base in kind.__mro__]
    if any(_is_ours(module) for module in modules):
        return True
    if issubclass(kind, BaseException):
        return True
    first = modules[0]
    return first.partition(".")[0] not in _CLOSED and not first.startswith((_TEST_GROUND, "tests"))


def _is_ours(module: str | None) -> bool:
    return module is not None and module.partition(".")[0] == _PACKAGE and not module.startswith(_TEST_GROUND)
