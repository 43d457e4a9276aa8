"""Exchanges, their connections, and subscriptions as streams of typed events.

The manager owns the task group in which every connection lives::

    async with WebSocketManager() as manager:
        await manager.add_exchange(config)
        subscription = await manager.subscribe("BINANCE___SPOT", "ticker", "BTC-USDT")
        async for tick in subscription:
            ...

Leaving the block closes the sockets within each exchange's ``close_timeout``.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, cast

import anyio
import attrs
from anyio import AsyncContextManagerMixin
from typing_extensions import Self, override

from bt_api_base.containers import Event, Gap
from bt_api_base.event_bus import EventBus
from bt_api_base.event_stream import EventStream, Overflow
from bt_api_base.exceptions import BtApiError, ConfigurationError, ExchangeNotFoundError, RateLimitError
from bt_api_base.websocket.channels import SubscriptionState
from bt_api_base.websocket.config import WebSocketConfig
from bt_api_base.websocket.connection import ConnectionStats, Connector, SupervisedConnection, open_connection

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from bt_api_base.websocket.adapter import Channel, StreamAdapter
    from bt_api_base.websocket.channels import ChannelEntry

__all__ = ("AdapterFactory", "EventCallback", "Subscription", "WebSocketConfig", "WebSocketManager")

EventCallback = Callable[[Event], object]
"""Called with each event: a plain function at once, from the reader; a coroutine function in a task of its own."""

AdapterFactory = Callable[[str], "StreamAdapter"]
"""Makes a new adapter for an exchange name."""

_UNSUBSCRIBE_TIMEOUT = 5.0


class Subscription(EventStream[Event]):
    """The events of one channel for one consumer, from `WebSocketManager.subscribe`.

    An async iterator over events that ends when the manager is left, and raises what the connection
    failed with when it is given up. It is an async context manager; leaving it unsubscribes.

    Attributes:
        id: Unique within the manager.
        exchange_name: Venue and asset type.
        topic: What was subscribed to.
        symbol: Internal symbol.
    """

    def __init__(
        self,
        connection: SupervisedConnection,
        channel: Channel,
        subscription_id: str,
        *,
        callback: EventCallback | None,
        max_buffer_size: int,
        overflow: Overflow,
    ) -> None:
        super().__init__(
            max(1, max_buffer_size),
            overflow=overflow,
            exchange_name=connection.config.exchange_name,
            name=subscription_id,
        )
        self.id = subscription_id
        self.topic = channel.topic
        self.symbol = channel.symbol
        self._connection = connection
        self._channel = channel
        self._entry: ChannelEntry | None = None
        self._callback = callback
        # A coroutine function is fed from the buffer by a task; a plain one is called instead of buffering.
        self.runs_task = inspect.iscoroutinefunction(callback)
        self.deliver: Callable[[Sequence[Event]], None] | None = self.offer_many
        if callback is not None and not self.runs_task:
            self.deliver = self._call
        elif not max_buffer_size:
            self.deliver = None

    def __repr__(self) -> str:
        return f"<Subscription {self.id} {self.state.value} pending={self.pending} dropped={self.dropped}>"

    @property
    def state(self) -> SubscriptionState:
        """Whether the venue has confirmed the channel on the present connection."""
        return SubscriptionState.PENDING if self._entry is None else self._entry.state

    async def open(self) -> None:
        """Ask the venue, and return once it has confirmed. Called by the manager."""
        self._entry = await self._connection.subscribe(self._channel, self)

    async def run_callback(self) -> None:
        """Await the coroutine callback for each event, one after another. Run by the manager.

        Cancellation: the callback is cancelled; events that wait are discarded.
        """
        callback = cast("Callable[[Event], Awaitable[object]]", self._callback)
        try:
            async for event in self:
                try:
                    await callback(event)
                except Exception as error:  # noqa: BLE001 - one event's failure must not end the others
                    self._connection.handler_error(error)
        except anyio.ClosedResourceError:
            pass  # closed by the consumer: nothing more is wanted
        except BtApiError as error:
            # A callback has nobody above it to raise to; besides this, the bus has had ws.failed.
            self._connection.handler_error(error)

    @override
    async def aclose(self) -> None:
        """Stop delivery; if this was the channel's last consumer, unsubscribe at the venue.

        Returns when the venue has confirmed, or after a few seconds without an answer.

        Cancellation: delivery has stopped and the venue is told; only the waiting is given up.
        """
        entry, self._entry = self._entry, None
        if entry is not None:
            self._connection.unsubscribe(entry, self)
        await super().aclose()
        if entry is not None:
            with anyio.move_on_after(_UNSUBSCRIBE_TIMEOUT):
                await self._connection.wait_unsubscribed(entry)

    def mark(self, gap: Gap, /) -> None:
        """Put a gap in its place among the events. Called by the connection."""
        if self.deliver == self._call:
            self._call((gap,))
        elif self.deliver is not None:
            self.offer_marker(gap)

    def _call(self, events: Sequence[Event]) -> None:
        callback = cast("Callable[[Event], object]", self._callback)
        for event in events:
            try:
                callback(event)
            except Exception as error:  # noqa: BLE001 - a consumer's failure is not the connection's
                self._connection.handler_error(error)


@attrs.define(eq=False)
class _Exchange:
    """An exchange and its connections. One for now; a pool chooses among several in `connection_for`."""

    connections: list[SupervisedConnection]
    subscriptions: dict[str, Subscription] = attrs.field(factory=dict[str, Subscription])

    @property
    def config(self) -> WebSocketConfig:
        return self.connections[0].config

    def connection_for(self, channel: Channel) -> SupervisedConnection:
        """Return the connection that carries, or is to carry, ``channel``."""
        limit = self.config.subscription_limits.get(channel.topic)
        if limit is not None:
            carried = {e.channel.key for c in self.connections for e in c.channels if e.channel.topic == channel.topic}
            if channel.key not in carried and len(carried) >= limit:
                raise RateLimitError(
                    self.config.exchange_name, None, f"subscription_limits allow {limit} {channel.topic!r} channels"
                )
        return self.connections[0]


def _start(exchange: _Exchange, tasks: TaskGroup) -> None:
    for connection in exchange.connections:
        tasks.start_soon(connection.run, name=connection.connection_id)


def _venue_adapter(exchange_name: str) -> StreamAdapter:
    from bt_api_base.venues import stream_adapter

    return stream_adapter(exchange_name)


class WebSocketManager(AsyncContextManagerMixin):
    """Supervised connections to any number of exchanges.

    Args:
        event_bus: Where connection events (``ws.connected`` …) and all data
            (``tick.BINANCE___SPOT.BTC-USDT`` …) go; by default a bus of the manager's own.
    """

    def __init__(self, event_bus: EventBus | None = None) -> None:
        self.bus = EventBus() if event_bus is None else event_bus
        self._exchanges: dict[str, _Exchange] = {}
        self._ids = count(1)
        self._tasks: TaskGroup | None = None

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        if self._tasks is not None:
            msg = "WebSocketManager is running already"
            raise ConfigurationError(msg)
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                for exchange in self._exchanges.values():
                    _start(exchange, tasks)
                yield self
            finally:
                self._tasks = None
                tasks.cancel_scope.cancel()

    async def add_exchange(
        self,
        config: WebSocketConfig,
        *,
        adapter: AdapterFactory | None = None,
        connector: Connector = open_connection,
    ) -> None:
        """Connect to an exchange, and stay connected. Works before entering the manager, too.

        Returns at once: the connection is made in the background, and `subscribe` waits for it.

        Args:
            config: How to reach it.
            adapter: Makes the adapter; by default `bt_api_base.venues.stream_adapter`.
            connector: Opens the WebSocket; by default `bt_api_base.websocket.open_websocket` does.

        Raises:
            ExchangeNotFoundError: There is no adapter for the exchange's name.
            ConfigurationError: The exchange has been added already.

        Cancellation: nothing is waited for.
        """
        if config.exchange_name in self._exchanges:
            msg = f"{config.exchange_name} has been added already; settings cannot change while it is connected"
            raise ConfigurationError(msg)
        make = _venue_adapter if adapter is None else adapter
        connection = SupervisedConnection(
            config,
            lambda: make(config.exchange_name),
            self.bus,
            f"{config.exchange_name}-1",
            connector=connector,
        )
        exchange = self._exchanges[config.exchange_name] = _Exchange([connection])
        if self._tasks is not None:
            _start(exchange, self._tasks)

    async def subscribe(
        self,
        exchange_name: str,
        topic: str,
        symbol: str,
        callback: EventCallback | None = None,
        params: Mapping[str, Any] | None = None,
        *,
        overflow: Overflow = Overflow.DROP_OLDEST,
        max_buffer_size: int | None = None,
    ) -> Subscription:
        """Subscribe, and return once the venue has acknowledged.

        Events are iterated over from the subscription, or given to ``callback``; in either case they
        also go over the bus. A channel that is subscribed already is shared.

        Args:
            exchange_name: An exchange that was added.
            topic: What, such as ``"ticker"``; the venue's adapter lists its topics.
            symbol: Internal symbol, such as ``"BTC-USDT"``.
            callback: Called with each event. A plain function must not block; a coroutine
                function runs in a task of the manager's, behind the subscription's buffer.
            params: Topic parameters, such as ``{"interval": "1m"}``.
            overflow: What happens when the consumer is slower than the venue.
            max_buffer_size: Events the subscription holds; by default ``message_queue_size``. With 0 and no callback
                the events go over the bus only, and iterating waits for the end.

        Raises:
            SubscribeError: The venue refused, in its own words, or did not answer within
                ``subscribe_timeout``; or there is no such topic.
            InvalidSymbolError: The symbol cannot be one of the venue's.
            RateLimitError: ``subscription_limits`` are used up; nothing was sent.
            ExchangeNotFoundError: The exchange was not added.
            WebSocketError: The connection has been given up.
            ConfigurationError: The manager is not running.

        Cancellation: the subscription is withdrawn, at the venue as well.
        """
        if self._tasks is None:
            msg = "WebSocketManager is not running: subscribe inside 'async with WebSocketManager() as manager:'"
            raise ConfigurationError(msg)
        exchange = self._exchange(exchange_name)
        channel = exchange.connections[0].adapter.channel(topic, symbol, params)
        connection = exchange.connection_for(channel)
        subscription = Subscription(
            connection,
            channel,
            f"{exchange_name}:{channel.key}:{next(self._ids)}",
            callback=callback,
            max_buffer_size=connection.config.message_queue_size if max_buffer_size is None else max_buffer_size,
            overflow=overflow,
        )
        await subscription.open()
        exchange.subscriptions[subscription.id] = subscription
        subscription.on_close(lambda: exchange.subscriptions.pop(subscription.id, None))
        if subscription.runs_task:
            self._tasks.start_soon(subscription.run_callback, name=subscription.id)
        return subscription

    async def unsubscribe(self, exchange_name: str, subscription: Subscription | str) -> None:
        """Close a subscription, given itself or its id. Closing one that is closed already does nothing.

        Cancellation: as for `Subscription.aclose`.
        """
        exchange = self._exchange(exchange_name)
        if isinstance(subscription, str):
            found = exchange.subscriptions.get(subscription)
            if found is None:
                return
            subscription = found
        await subscription.aclose()

    def get_stats(self) -> dict[str, list[ConnectionStats]]:
        """Return every connection's state and counters, by exchange."""
        return {name: [c.get_stats() for c in e.connections] for name, e in self._exchanges.items()}

    def _exchange(self, exchange_name: str) -> _Exchange:
        try:
            return self._exchanges[exchange_name]
        except KeyError:
            raise ExchangeNotFoundError(exchange_name, sorted(self._exchanges)) from None
