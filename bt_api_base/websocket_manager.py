"""Exchanges, their connections, and subscriptions as streams of typed events.

The manager owns the task group in which every connection lives::

    async with WebSocketManager() as manager:
        await manager.add_exchange(config)
        subscription = await manager.subscribe("BINANCE___SPOT", "ticker", "BTC-USDT")
        async for event in subscription:
            ...

Leaving the block closes the sockets within each exchange's ``close_timeout``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import anyio
import attrs
from anyio import AsyncContextManagerMixin

from bt_api_base.event_bus import EventBus
from bt_api_base.exceptions import ConfigurationError, ExchangeNotFoundError
from bt_api_base.websocket import events
from bt_api_base.websocket.config import WebSocketConfig
from bt_api_base.websocket.dialling import Connector, open_connection
from bt_api_base.websocket.pool import ConnectionPool
from bt_api_base.websocket.subscription import EventCallback, Subscription, SubscriptionStats

if TYPE_CHECKING:
    from anyio.abc import TaskGroup
    from typing_extensions import Self

    from bt_api_base.event_stream import Overflow
    from bt_api_base.websocket.adapter import Channel, StreamAdapter
    from bt_api_base.websocket.channels import ChannelEntry
    from bt_api_base.websocket.connection import SupervisedConnection
    from bt_api_base.websocket.connection_stats import ConnectionStats

__all__ = (
    "AdapterFactory",
    "EventCallback",
    "Subscription",
    "SubscriptionStats",
    "WebSocketConfig",
    "WebSocketManager",
)

AdapterFactory = Callable[[str], "StreamAdapter"]
"""Makes a new adapter for an exchange name. Called for each connection that is made."""

_PROGRESS_EVERY = 0.5
"""Seconds between two reports of how far opening many subscriptions has got."""

_LOOK_EVERY = 0.02
"""Seconds between two looks at it."""


@attrs.define(eq=False)
class _Exchange:
    """An exchange's connections, and who subscribed to what."""

    pool: ConnectionPool
    subscriptions: dict[str, Subscription] = attrs.field(factory=dict[str, Subscription])


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
                    exchange.pool.start(self._run)
                yield self
            finally:
                self._tasks = None
                tasks.cancel_scope.cancel()

    def _run(self, connection: SupervisedConnection) -> None:
        self._running_tasks().start_soon(connection.run, name=connection.connection_id)

    def _running_tasks(self) -> TaskGroup:
        if self._tasks is None:
            msg = "WebSocketManager is not running: subscribe inside 'async with WebSocketManager() as manager:'"
            raise ConfigurationError(msg)
        return self._tasks

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
            adapter: Makes an adapter for each connection; by default `bt_api_base.venues.stream_adapter`.
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
        pool = ConnectionPool(config, lambda: make(config.exchange_name), self.bus, connector)
        self._exchanges[config.exchange_name] = _Exchange(pool)
        if self._tasks is not None:
            pool.start(self._run)

    # -- subscribing -------------------------------------------------------------------------------

    async def subscribe(
        self,
        exchange_name: str,
        topic: str,
        symbol: str,
        callback: EventCallback | None = None,
        params: Mapping[str, Any] | None = None,
        *,
        overflow: Overflow | None = None,
        max_buffer_size: int | None = None,
    ) -> Subscription:
        """Subscribe, and return once the venue has acknowledged.

        Events are iterated over from the subscription, or given to ``callback``; in either case they
        also go over the bus. A channel that is subscribed already is shared. Where data is missing there is a `Gap`.

        Args:
            exchange_name: An exchange that was added.
            topic: What, such as ``"ticker"``; the venue's adapter lists its topics.
            symbol: Internal symbol, such as ``"BTC-USDT"``.
            callback: Called with each event. A plain function must not block; a coroutine
                function runs in a task of the manager's, behind the subscription's buffer.
            params: Topic parameters, such as ``{"interval": "1m"}``.
            overflow: What happens when the consumer is slower than the venue; by default ``BLOCK`` for private
                channels, which lose nothing, and ``DROP_OLDEST`` for market data.
            max_buffer_size: Events the subscription holds; by default ``message_queue_size``. With 0 and no callback
                the events go over the bus only, and iterating waits for the end.

        Raises:
            SubscribeError: The venue refused, in its own words, or did not answer within
                ``subscribe_timeout``; or there is no such topic.
            InvalidSymbolError: The symbol cannot be one of the venue's.
            RateLimitError: ``subscription_limits`` are used up, or all connections are full; nothing was sent.
            AuthenticationError: The venue refused the log-in that a private channel needs.
            ExchangeNotFoundError: The exchange was not added.
            WebSocketError: The connection has been given up.
            ConfigurationError: The manager is not running, or a private channel has no credentials.

        Cancellation: the subscription is withdrawn, at the venue as well.
        """
        self._running_tasks()
        exchange = self._exchange(exchange_name)
        channel = exchange.pool.naming.channel(topic, symbol, params)
        subscription = self._make(exchange, channel, callback, overflow, max_buffer_size)
        await subscription.open()
        self._opened(exchange, subscription)
        return subscription

    async def subscribe_many(
        self,
        exchange_name: str,
        topic: str,
        symbols: Sequence[str],
        callback: EventCallback | None = None,
        params: Mapping[str, Any] | None = None,
        *,
        overflow: Overflow | None = None,
        max_buffer_size: int | None = None,
    ) -> list[Subscription]:
        """Subscribe to a topic for many symbols, in as few requests as the venue allows.

        Progress goes over the bus as ``ws.subscribing``, with an estimate of the time that is left.

        Args:
            exchange_name: See `subscribe`, as for all others.
            topic: See there.
            symbols: Internal symbols.
            callback: See there; the same for all.
            params: See there.
            overflow: See there.
            max_buffer_size: See there.

        Returns:
            A subscription for each symbol, in order. One that the venue refused or did not answer for has the state
            ``FAILED`` and an ``error``, which iterating over it raises: one wrong symbol does not undo the others.

        Raises:
            RateLimitError: ``subscription_limits`` or the connections have no room for all; nothing was sent.
            SubscribeError: There is no such topic.
            InvalidSymbolError: A symbol cannot be one of the venue's; nothing was sent.
            BtApiError: See `subscribe`, for what concerns all of them.

        Cancellation: all of them are withdrawn, at the venue as well.
        """
        self._running_tasks()
        exchange = self._exchange(exchange_name)
        pool = exchange.pool
        channels = [pool.naming.channel(topic, symbol, params) for symbol in symbols]
        pool.check_room(channels)
        subscriptions = [self._make(exchange, channel, callback, overflow, max_buffer_size) for channel in channels]
        try:
            entries = [subscription.want() for subscription in subscriptions]
            await self._wait_settled(pool, entries)
        except BaseException:
            for subscription in subscriptions:
                subscription.withdraw()
            raise
        for subscription, entry in zip(subscriptions, entries, strict=True):
            if not entry.is_settled and entry.carrier is not None:
                subscription.withdraw(entry.carrier.unanswered(entry.channel))
            self._opened(exchange, subscription)
        return subscriptions

    async def _wait_settled(self, pool: ConnectionPool, entries: Sequence[ChannelEntry]) -> None:
        """Wait until the venue has answered for all, or has had the time to; report how far it has got."""
        deadline = anyio.current_time() + pool.config.subscribe_timeout + 2.0 * pool.estimate_remaining()
        reported = anyio.current_time()
        while True:
            settled = sum(entry.is_settled for entry in entries)
            now = anyio.current_time()
            over = settled == len(entries) or now >= deadline
            if over or now - reported >= _PROGRESS_EVERY:
                reported = now
                failed = sum(entry.error is not None for entry in entries) + (len(entries) - settled) * (
                    now >= deadline
                )
                pool.connections[0].emit(
                    events.Subscribing,
                    done=settled - sum(entry.error is not None for entry in entries),
                    failed=failed,
                    total=len(entries),
                    remaining=0.0 if over else pool.estimate_remaining(),
                )
            if over:
                return
            await anyio.sleep(_LOOK_EVERY)

    def _make(
        self,
        exchange: _Exchange,
        channel: Channel,
        callback: EventCallback | None,
        overflow: Overflow | None,
        max_buffer_size: int | None,
    ) -> Subscription:
        config = exchange.pool.config
        return Subscription(
            exchange.pool,
            channel,
            f"{config.exchange_name}:{channel.key}:{next(self._ids)}",
            callback=callback,
            max_buffer_size=config.message_queue_size if max_buffer_size is None else max_buffer_size,
            overflow=overflow,
        )

    def _opened(self, exchange: _Exchange, subscription: Subscription) -> None:
        exchange.subscriptions[subscription.id] = subscription
        subscription.on_close(lambda: exchange.subscriptions.pop(subscription.id, None))
        if subscription.runs_task:
            self._running_tasks().start_soon(subscription.run_callback, name=subscription.id)

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

    # -- connections -------------------------------------------------------------------------------

    async def rotate(self, exchange_name: str) -> None:
        """Replace an exchange's connections by new ones, make before break: nothing is lost, nothing comes twice.

        Raises:
            WebSocketError: There is no connection, or a new one could not take over; the old one goes on then.
            BtApiError: The same, for what the venue said: it refused a channel, or the log-in.
            ExchangeNotFoundError: The exchange was not added.

        Cancellation: a rotation under way goes on.
        """
        await self._exchange(exchange_name).pool.rotate()

    def set_clock_offset(self, exchange_name: str, offset_ns: int) -> None:
        """Tell how far this machine's clock is ahead of an exchange's, in nanoseconds: for lags and signatures.

        Raises:
            ExchangeNotFoundError: The exchange was not added.
        """
        self._exchange(exchange_name).pool.clock_offset_ns = offset_ns

    def get_stats(self) -> dict[str, list[ConnectionStats]]:
        """Return every connection's state and counters, by exchange."""
        return {name: [c.get_stats() for c in e.pool.connections] for name, e in self._exchanges.items()}

    def get_subscription_stats(self, exchange_name: str) -> list[SubscriptionStats]:
        """Return the counters and lags of an exchange's subscriptions.

        Raises:
            ExchangeNotFoundError: The exchange was not added.
        """
        return [subscription.get_stats() for subscription in self._exchange(exchange_name).subscriptions.values()]

    def _exchange(self, exchange_name: str) -> _Exchange:
        try:
            return self._exchanges[exchange_name]
        except KeyError:
            raise ExchangeNotFoundError(exchange_name, sorted(self._exchanges)) from None
