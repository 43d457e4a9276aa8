"""Which handlers an event reaches."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar, cast

import attrs

from bt_api_base.containers import event_name
from bt_api_base.event_stream import EventStream

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from bt_api_base.containers import Event

__all__ = ("UNKNOWN_ROUTE", "Entry", "Handler", "Registration", "Route", "RouteTable", "Subscription", "event_key")

T = TypeVar("T")

Handler = Callable[[Any], object]
"""Is called with an event's data. What it returns, `EventBus.publish` awaits if it can be awaited."""

_MAX_ROUTES = 10_000
"""Names whose handlers are remembered: a bus that is given ever new names must not grow for ever."""


def event_key(event: object) -> str | type:
    """Return what a handler can be registered for as a plain string or a type."""
    if isinstance(event, type):
        return event
    if not isinstance(event, str):
        raise TypeError(f"handlers register for a name, a pattern or a type, not for a {type(event).__name__}")
    if not event:
        raise ValueError("an event's name cannot be empty")
    return str.__str__(event)  # of an enumeration's member, its value


@attrs.frozen(eq=False)
class Registration:
    """A handler on a bus, from `EventBus.on` or `EventBus.once`. As a context manager it cancels itself at the end.

    Attributes:
        event: The name, pattern or type it is registered for.
        handler: What is called.
    """

    event: str | type
    handler: Handler
    _cancel: Callable[[], None] = attrs.field(repr=False)

    def cancel(self) -> None:
        """Take the handler off the bus. Doing so again does nothing."""
        self._cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._cancel()


@attrs.define(eq=False, on_setattr=attrs.setters.NO_OP)
class Subscription(EventStream[T]):
    """The events of one name, pattern or type for one consumer, from `EventBus.open_stream`.

    Attributes:
        event: The name, pattern or type.
    """

    event: str | type = attrs.field(default="*", kw_only=True)


@attrs.define(eq=False)
class Entry:
    """Something that wants events.

    Attributes:
        event: The name, pattern or type of the events it wants.
        handler: Whose it is.
        call: What is called with an event's data.
        stream: The stream behind it, if there is one.
    """

    event: str | type
    handler: Handler
    call: Handler
    stream: Subscription[Any] | None = None
    _pattern: re.Pattern[str] | None = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        pattern = None
        if isinstance(self.event, str) and "*" in self.event:
            pattern = re.compile(".*".join(map(re.escape, self.event.split("*"))), re.DOTALL)
        self._pattern = pattern

    def wants(self, name: str, types: tuple[type, ...]) -> bool:
        """Whether an event of this name, whose data counts as these types, is wanted."""
        event = self.event
        if not isinstance(event, str):
            return any(issubclass(one, event) for one in types)
        return event == name if self._pattern is None else self._pattern.fullmatch(name) is not None


@attrs.frozen(eq=False)
class Route:
    """Whom an event reaches.

    Attributes:
        data_type: The type of data that this is for; ``None`` if no handler is registered for a type.
        calls: What to call with the data.
        entries: The same, with who it is.
    """

    data_type: type | None
    calls: tuple[Handler, ...]
    entries: tuple[Entry, ...]


class _NoData:
    """The type of no data."""


UNKNOWN_ROUTE = Route(_NoData, (), ())


@attrs.define(eq=False)
class RouteTable:
    """The entries of a bus, and for each kind of event the ones it reaches.

    May be changed from any thread, while events are routed in another one.

    Attributes:
        entries: Who wants events, in the order of registration. Replaced by every change.
        routes: The routes that have been found, by name and by name and types. Emptied by every change.
        on_change: Called after every change, with the lock held.
    """

    entries: tuple[Entry, ...] = ()
    routes: dict[Hashable, Route] = attrs.field(factory=dict["Hashable", "Route"])
    on_change: Callable[[], None] = attrs.field(default=lambda: None)
    _lock: Lock = attrs.field(factory=Lock)

    def add(self, entry: Entry) -> Callable[[], None]:
        """Add an entry; return what takes it out again."""
        with self._lock:
            # In this order, and `find` reads in the other, so that no route to old entries is remembered as new.
            self.entries = (*self.entries, entry)
            self.routes = {}
            self.on_change()
        return lambda: self.remove((entry,))

    def remove(self, entries: tuple[Entry, ...]) -> None:
        """Take entries out. Those that are out already do not matter."""
        with self._lock:
            self.entries = tuple(entry for entry in self.entries if entry not in entries)
            self.routes = {}
            self.on_change()

    def find(self, event: object, data: object) -> tuple[object, Route]:
        """Return an event's data and its route, and remember the route."""
        data_type: type[object] = type(data)
        if isinstance(event, str):
            name = str.__str__(event)
            types: tuple[type[object], ...] = (data_type,)
        else:
            if not isinstance(event, type):
                if data is not None:
                    msg = f"an event is a name, a type or the data alone, not a {type(event).__name__} and more data"
                    raise TypeError(msg)
                data, data_type = event, type(event)
                event = data_type
            name = _name_of(data)
            types = (data_type,)
            if data_type is event:
                known = self.routes.get(name, UNKNOWN_ROUTE)
                if known.data_type is None or known.data_type is data_type:
                    return data, known
            else:
                types = (event, data_type)
        routes = self.routes
        key = (name, types)
        route = routes.get(key)
        if route is None:
            entries = self.entries
            needs_type = any(not isinstance(entry.event, str) for entry in entries)
            reached = tuple(entry for entry in entries if entry.wants(name, types))
            route = Route(data_type if needs_type else None, tuple(entry.call for entry in reached), reached)
            if len(routes) >= _MAX_ROUTES:
                routes.clear()
            routes[key] = route
        if name and len(types) == 1:
            routes[name] = route  # where `emit` looks first: for data of the type that came last
        return data, route


def _name_of(data: object) -> str:
    try:
        return event_name(cast("Event", data))
    except KeyError:  # no container: it has a type, and no name
        return ""
