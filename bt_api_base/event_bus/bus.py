"""Events by name, by type or by pattern: to callbacks at once, to coroutines, and into bounded streams.

Example:
    ```python
    bus = EventBus()
    bus.on("order_filled", print)  # a name
    bus.on("tick.BINANCE___SPOT.*", print)  # a pattern: * is any text
    bus.on(Tick, print)  # a type, and whatever inherits from it
    bus.emit("order_filled", {"order_id": "123"})
    bus.emit(tick)  # under its own name, "tick.BINANCE___SPOT.BTC-USDT"

    async with bus.open_stream("tick.*", max_buffer_size=1_000, overflow=Overflow.CONFLATE) as ticks:
        async for tick in ticks:
            ...
    ```

Which handlers an event reaches is worked out once per name and remembered; what changes the handlers replaces that
memory instead of locking it. A change therefore takes effect with the next event, and an event on its way reaches the
handlers there were when it set out.
"""

from __future__ import annotations

import copy
from collections import deque
from inspect import isawaitable, iscoroutine
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeVar, overload

import anyio
import anyio.lowlevel
import attrs

from bt_api_base.event_bus.errors import ErrorHandlerMode, ErrorSeverity, ErrorSink
from bt_api_base.event_bus.publishers import Outlet, Producer, Publisher, Publishers
from bt_api_base.event_bus.routes import (
    UNKNOWN_ROUTE,
    Entry,
    Handler,
    Registration,
    RouteTable,
    Subscription,
    event_key,
)
from bt_api_base.event_bus.statistics import EventBusStatistics
from bt_api_base.event_bus.threads import ThreadBridge
from bt_api_base.event_stream import EventStream, Overflow, conflation_key
from bt_api_base.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from types import TracebackType

    from typing_extensions import Self

__all__ = ("EventBus",)

T = TypeVar("T")
HandlerT = TypeVar("HandlerT", bound=Handler)

_REUSABLE = frozenset({dict, list, set, bytearray})


# Without NO_OP, attrs would look at every assignment in Python, which makes a counter as expensive as an event.
@attrs.define(eq=False, on_setattr=attrs.setters.NO_OP)
class EventBus:
    """Takes events and hands each to whoever registered for it. See the module's docstring.

    Handlers are called one after another, in the order of their registration, in the thread that emits. A bus that
    *belongs to an event loop* calls them in that loop's thread only: what other threads emit is put into a bounded
    buffer, and the loop is woken once for all that comes until it gets there. A bus belongs to the event loop in which
    `bind`, `open_stream`, `publish` or ``async with bus`` was last used. After that loop is gone, events from other
    threads are dropped and counted, until there is a new one.

    Args:
        logger: Takes the errors in the mode ``LOG``; by default one of `bt_api_base.logging_factory`, which redacts.
        error_mode: What becomes of an exception that a handler raises.
        thread_buffer_size: Events from other threads that may wait for the event loop; of more, the oldest is dropped.
        max_errors: Errors that the mode ``COLLECT`` keeps; of more, the oldest is forgotten.
    """

    _logger: Any = attrs.field(default=None)
    _error_mode: ErrorHandlerMode = attrs.field(default=ErrorHandlerMode.LOG, converter=ErrorHandlerMode)
    thread_buffer_size: int = attrs.field(default=10_000, kw_only=True, validator=attrs.validators.ge(1))
    max_errors: int = attrs.field(default=1_000, kw_only=True, validator=attrs.validators.ge(1))
    _table: RouteTable = attrs.field(factory=RouteTable, init=False)
    _bridge: ThreadBridge[tuple[object, object]] = attrs.field(init=False)
    _errors: ErrorSink = attrs.field(init=False)
    _published: Publishers = attrs.field(init=False)
    _emitted: int = attrs.field(default=0, init=False)
    _delivered: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._bridge = ThreadBridge(self._emit_here, self.thread_buffer_size)
        self._errors = ErrorSink(self._error_mode, deque(maxlen=self.max_errors), self._logger)
        self._published = Publishers(self._table, self.emit, self._errors)

    def __repr__(self) -> str:
        return f"<EventBus {self.error_mode.value} entries={len(self._table.entries)} emitted={self._emitted}>"

    @property
    def error_mode(self) -> ErrorHandlerMode:
        """What becomes of an exception that a handler raises. May be changed at any time."""
        return self._errors.mode

    @error_mode.setter
    def error_mode(self, mode: ErrorHandlerMode) -> None:
        self._errors.mode = ErrorHandlerMode(mode)

    async def __aenter__(self) -> Self:
        self.bind()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bridge.unbind()
        _end_streams(self._table.entries)

    def bind(self) -> None:
        """Let the bus belong to the running event loop, so that it takes what other threads emit.

        Raises:
            ConfigurationError: No event loop runs in this thread, or the bus belongs to another that is still there.
        """
        self._bridge.bind()

    # -- who wants what ------------------------------------------------------------------------

    @overload
    def on(self, event_type: str | type, handler: None = None) -> Callable[[HandlerT], HandlerT]: ...

    @overload
    def on(self, event_type: str | type, handler: Handler) -> Registration: ...

    def on(
        self, event_type: str | type, handler: Handler | None = None
    ) -> Registration | Callable[[HandlerT], HandlerT]:
        """Call ``handler(data)`` for each event. Without ``handler``, returns a decorator that does so.

        Each registration counts: a handler that is registered twice, or under two keys, is called as often.
        May be used from any thread.

        Args:
            event_type: The event's name; a pattern, in which ``*`` is any text, so that ``"*"`` is every event; or the
                type of its data, which includes the types that inherit from it.
            handler: A function, or a coroutine function, which `publish` awaits and `emit` cannot.

        Returns:
            The registration, to cancel it with; the decorator returns the handler itself.
        """
        if handler is None:
            return self._decorator(event_type, self.on)
        key = event_key(event_type)
        return Registration(key, handler, self._table.add(Entry(key, handler, handler)))

    @overload
    def once(self, event_type: str | type, handler: None = None) -> Callable[[HandlerT], HandlerT]: ...

    @overload
    def once(self, event_type: str | type, handler: Handler) -> Registration: ...

    def once(
        self, event_type: str | type, handler: Handler | None = None
    ) -> Registration | Callable[[HandlerT], HandlerT]:
        """Call ``handler(data)`` for the next event, and for no other. Everything else is as with `on`."""
        if handler is None:
            return self._decorator(event_type, self.once)
        key = event_key(event_type)
        chance = [None]

        def call_once(data: object) -> object:
            try:
                chance.pop()  # a single step: neither a handler that emits nor another thread gets past it again
            except IndexError:
                return None
            cancel()
            return handler(data)

        cancel = self._table.add(Entry(key, handler, call_once))
        return Registration(key, handler, cancel)

    def off(self, event_type: str | type, handler: Handler | None = None) -> int:
        """Take a handler off the bus, or all that were registered for exactly this name, pattern or type.

        Returns:
            How many registrations that was.
        """
        key = event_key(event_type)
        found = tuple(
            entry
            for entry in self._table.entries
            if entry.stream is None and entry.event == key and (handler is None or entry.handler == handler)
        )
        self._table.remove(found)
        return len(found)

    def has_handlers(self, event_type: str | type) -> bool:
        """Whether an event of this name or type would reach a handler or a stream."""
        name, types = ("", (event_type,)) if isinstance(event_type, type) else (event_type, ())
        return any(entry.wants(name, types) for entry in self._table.entries)

    def clear(self) -> None:
        """Take every handler off the bus, and end every stream after the events that wait in it."""
        entries = self._table.entries
        self._table.remove(entries)
        _end_streams(entries)

    @overload
    def open_stream(
        self,
        event_type: type[T],
        max_buffer_size: int = ...,
        *,
        overflow: Overflow = ...,
        key: Callable[[T], Hashable] = ...,
        hard_limit: int | None = ...,
    ) -> Subscription[T]: ...

    @overload
    def open_stream(
        self,
        event_type: str,
        max_buffer_size: int = ...,
        *,
        overflow: Overflow = ...,
        key: Callable[[Any], Hashable] = ...,
        hard_limit: int | None = ...,
    ) -> Subscription[Any]: ...

    def open_stream(
        self,
        event_type: str | type,
        max_buffer_size: int = 10_000,
        *,
        overflow: Overflow = Overflow.BLOCK,
        key: Callable[[Any], Hashable] = conflation_key,
        hard_limit: int | None = None,
    ) -> Subscription[Any]:
        """Put each event's data into a stream for one consumer, until the stream is closed.

        From here on the bus belongs to the running event loop.

        Args:
            event_type: As with `on`.
            max_buffer_size: Events that may wait in the stream.
            overflow: What happens to one more. With ``BLOCK``, `publish` waits for room, and a consumer that `emit`
                has put ``hard_limit`` events behind gets a `SlowConsumerError`.
            key: What ``CONFLATE`` tells events apart by; by default type, venue and symbol.
            hard_limit: By default ten times ``max_buffer_size``, at least 1,000.

        Raises:
            ValueError: A limit does not make sense.
            ConfigurationError: No event loop runs in this thread, or the bus belongs to another that is still there.
        """
        event = event_key(event_type)
        stream: Subscription[Any] = Subscription(
            max_buffer_size,
            overflow=overflow,
            key=key,
            hard_limit=hard_limit,
            name=event if isinstance(event, str) else event.__qualname__,
            event=event,
        )
        self.bind()
        stream.on_close(self._table.add(Entry(event, stream.offer, stream.offer, stream)))
        return stream

    # -- events --------------------------------------------------------------------------------

    def emit(self, event_type: object, data: object = None) -> list[Exception]:
        """Hand an event to whoever wants it, and return when all handlers have run. May be used from any thread.

        A handler that returns a coroutine is an error, because nothing would await it: use `publish` for such
        handlers, or a stream. Streams take the event at once, according to their overflow policy.

        From a thread that is not that of the bus's event loop, this only puts the event into a buffer: it returns an
        empty list at once and raises nothing. The event loop calls the handlers, in each thread's order, and logs what
        the mode ``RAISE`` would raise. A ``dict``, ``list``, ``set`` or ``bytearray`` is copied, because callback
        threads use theirs again; other data must not change any more.

        Args:
            event_type: The event's name, the type of its data, or the data itself. A container always has its name,
                and data of every kind reaches the handlers for its type.
            data: What the handlers are called with.

        Returns:
            What the handlers raised, in order.

        Raises:
            Exception: In the mode ``RAISE``, what a handler raised; an `ExceptionGroup` if several did.
        """
        home = self._bridge.home
        if home is not None and home != get_ident():
            self._bridge.push((event_type, _kept(data)))
            return []
        # What follows is the hottest path of the bus: one look-up, one call.
        try:
            route = self._table.routes[event_type] if type(event_type) is str else UNKNOWN_ROUTE
        except KeyError:
            route = UNKNOWN_ROUTE
        if route.data_type is not None and route.data_type is not type(data):
            data, route = self._table.find(event_type, data)
        errors: list[Exception] = []
        for handler in route.calls:
            try:
                result = handler(data)
                if result is not None and iscoroutine(result):
                    result.close()
                    raise _never_awaited()
            except Exception as error:  # noqa: BLE001 - what a handler raises must not keep others from the event
                errors.append(error)
                self._errors.put(event_type, handler, error)
        self._emitted += 1
        self._delivered += len(route.calls) - len(errors)
        if errors:
            self._errors.finish(errors)
        return errors

    def publisher(self, name: str) -> Publisher:
        """Return what emits many events of one name quickly, in the thread of the bus's event loop.

        Args:
            name: The events' name; the publisher of a name is always the same.
        """
        return self._published.publisher(name)

    def outlet(self, name: str) -> Outlet:
        """Return what takes events of a name now, for a few of them at once; it is not kept up to date.

        Args:
            name: The events' name.
        """
        return self._published.find_outlet(name)

    def attach(self, producer: Producer) -> None:
        """Set the ``outlet`` of a producer of very many events, and set it again whenever handlers come or go.

        The same as `publisher`, for an object of the caller's own that is at hand for each event anyway.

        Args:
            producer: Has a ``name`` and an ``outlet``. It is kept until `detach`.
        """
        self._published.attach(producer)

    def detach(self, producer: Producer) -> None:
        """Forget a producer that was attached. Its outlet is not kept up to date any more.

        Args:
            producer: The same as for `attach`.
        """
        self._published.detach(producer)

    async def publish(self, event_type: object, data: object = None) -> list[Exception]:
        """Hand an event to whoever wants it, awaiting handlers and waiting for room in lossless streams.

        One after another, in the order of registration: a handler that takes its time, or a lossless stream that is
        full, holds back the publisher and the handlers after it. From here on the bus belongs to the running event
        loop. Everything else is as with `emit`.

        Raises:
            Exception: In the mode ``RAISE``, what a handler raised; an `ExceptionGroup` if several did.
            ConfigurationError: The bus belongs to another event loop that is still there.

        Cancellation: handlers that had their turn have had the event, the one that is being awaited is cancelled,
        and the others do not get it. A handler that catches the cancellation does not keep it from the publisher.
        """
        await anyio.lowlevel.checkpoint()
        self._bridge.bind()
        data, route = self._table.find(event_type, data)
        self._emitted += 1
        errors: list[Exception] = []
        for entry in route.entries:
            try:
                if entry.stream is not None:
                    if not await _offer(entry.stream, data):
                        continue
                else:
                    result = entry.call(data)
                    if result is not None and isawaitable(result):
                        await result
                        await anyio.lowlevel.checkpoint_if_cancelled()
            except Exception as error:  # noqa: BLE001 - as in `emit`
                errors.append(error)
                self._errors.put(event_type, entry.handler, error)
            else:
                self._delivered += 1
        if errors:
            self._errors.finish(errors)
        return errors

    # -- reports -------------------------------------------------------------------------------

    def get_last_errors(self) -> list[Exception]:
        """Return what handlers raised in the mode ``COLLECT``, oldest first, since `clear_errors`."""
        return list(self._errors.collected)

    def clear_errors(self) -> None:
        """Forget the errors that were collected."""
        self._errors.collected.clear()

    def statistics(self) -> EventBusStatistics:
        """Return the counters of the bus and of its open streams."""
        entries = self._table.entries
        errors = self._errors.counts
        published = self._published.counts()
        streams = tuple((e.event, e.stream.statistics()) for e in entries if e.stream is not None)
        return EventBusStatistics(
            emitted=self._emitted + published.emitted,
            delivered=self._delivered + published.delivered,
            errors=sum(errors.values()),
            user_errors=errors[ErrorSeverity.USER_ERROR],
            business_errors=errors[ErrorSeverity.BUSINESS_ERROR],
            system_errors=errors[ErrorSeverity.SYSTEM_ERROR],
            handlers=len(entries) - len(streams),
            streams=streams,
            thread_handled=self._bridge.handled,
            thread_pending=self._bridge.pending,
            thread_dropped=self._bridge.dropped,
        )

    # -- inside --------------------------------------------------------------------------------

    def _emit_here(self, item: tuple[object, object]) -> None:
        """Emit what another thread emitted, in the event loop, where nobody could catch an exception."""
        event, data = item
        try:
            self.emit(event, data)
        except Exception as error:  # noqa: BLE001 - the thread that emitted has gone on long ago
            self._errors.log(event, "of another thread's event", error)

    @staticmethod
    def _decorator(
        event_type: str | type, register: Callable[[str | type, Handler], Registration]
    ) -> Callable[[HandlerT], HandlerT]:
        event_key(event_type)

        def decorate(handler: HandlerT) -> HandlerT:
            register(event_type, handler)
            return handler

        return decorate


async def _offer(stream: EventStream[Any], data: object) -> bool:
    """Put data into a stream, when there is room; return whether the stream was still there to take it."""
    if stream.is_full:
        try:
            await stream.wait_room()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return False
    stream.offer(data)
    return True


def _kept(data: object) -> object:
    """Return data that stays as it is, although the callback that brought it may use its container again."""
    return copy.copy(data) if type(data) in _REUSABLE else data


def _end_streams(entries: tuple[Entry, ...]) -> None:
    for entry in entries:
        if entry.stream is not None:
            entry.stream.end()


def _never_awaited() -> ConfigurationError:
    return ConfigurationError(
        "emit cannot await a coroutine: use 'await bus.publish(...)', or let a task of yours read a stream"
    )
