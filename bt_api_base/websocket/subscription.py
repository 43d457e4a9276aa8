"""One channel's events for one consumer."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, cast

import anyio
import attrs
from typing_extensions import override

from bt_api_base.containers import Event, Gap, GapReason
from bt_api_base.event_stream import EventStream, Overflow
from bt_api_base.exceptions import BtApiError
from bt_api_base.websocket.channels import SubscriptionState
from bt_api_base.websocket.lag import LagPercentiles, SubscriptionLag

if TYPE_CHECKING:
    from bt_api_base.websocket.adapter import Channel
    from bt_api_base.websocket.channels import ChannelEntry
    from bt_api_base.websocket.pool import ConnectionPool

__all__ = ("EventCallback", "Subscription", "SubscriptionStats")

EventCallback = Callable[[Event], object]
"""Called with each event: a plain function at once, from the reader; a coroutine function in a task of its own."""

_UNSUBSCRIBE_TIMEOUT = 5.0


@attrs.frozen(kw_only=True)
class SubscriptionStats:
    """A subscription at one moment.

    Attributes:
        id: Unique within the manager.
        topic: What was subscribed to.
        symbol: Internal symbol.
        state: Whether the venue has confirmed it on the present connection.
        delivered: Events the consumer took.
        pending: Events that wait.
        dropped: Events forgotten because the consumer was too slow.
        conflated: Events replaced by a later one before the consumer took them.
        exchange_to_socket: Time from the venue's stamp to the socket here, corrected by the clock offset when it is
            known; ``None`` before the first sample, and where the venue gives no time.
        socket_to_delivered: Time from the socket to the consumer.
    """

    id: str
    topic: str
    symbol: str
    state: SubscriptionState
    delivered: int
    pending: int
    dropped: int
    conflated: int
    exchange_to_socket: LagPercentiles | None
    socket_to_delivered: LagPercentiles | None


class Subscription(EventStream[Event]):
    """The events of one channel for one consumer, from `WebSocketManager.subscribe`.

    An async iterator over events that ends when the manager is left, and raises what the connection failed with when
    it is given up. Where data is missing, for whatever reason, the iterator yields a `Gap`. It is an async context
    manager; leaving it unsubscribes.

    Attributes:
        id: Unique within the manager.
        exchange_name: Venue and asset type.
        topic: What was subscribed to.
        symbol: Internal symbol.
        error: What it failed with, or ``None``.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        channel: Channel,
        subscription_id: str,
        *,
        callback: EventCallback | None,
        max_buffer_size: int,
        overflow: Overflow | None,
    ) -> None:
        if overflow is None:
            overflow = Overflow.BLOCK if channel.private else Overflow.DROP_OLDEST
        self._lag = SubscriptionLag(clock_offset_ns=lambda: pool.clock_offset_ns)
        super().__init__(
            max(1, max_buffer_size),
            overflow=overflow,
            exchange_name=pool.config.exchange_name,
            name=subscription_id,
            on_drop=self._overflow_gap,
            sample=self._lag.sample,
        )
        self.id = subscription_id
        self.topic = channel.topic
        self.symbol = channel.symbol
        self.error: Exception | None = None
        self._pool = pool
        self._channel = channel
        self._entry: ChannelEntry | None = None
        self._callback = callback
        # A coroutine function is fed from the buffer by a task; a plain one is called instead of buffering.
        self.runs_task = inspect.iscoroutinefunction(callback)
        self.deliver: Callable[[Sequence[Event]], None] | None = self._choose_delivery(max_buffer_size)

    def _choose_delivery(self, max_buffer_size: int) -> Callable[[Sequence[Event]], None] | None:
        take: Callable[[Sequence[Event]], None]
        if self._callback is not None and not self.runs_task:
            take = self._call
        elif max_buffer_size:
            take = self.offer_many
        else:
            return None
        wanted = self._channel.event_types
        if not wanted:
            return take
        return lambda events: take([event for event in events if isinstance(event, wanted)])

    def __repr__(self) -> str:
        return f"<Subscription {self.id} {self.state.value} pending={self.pending} dropped={self.dropped}>"

    @property
    def state(self) -> SubscriptionState:
        """Whether the venue has confirmed the channel on the present connection; what is over is failed or closed."""
        if self.error is not None:
            return SubscriptionState.FAILED
        if self.is_over:
            return SubscriptionState.CLOSED
        return SubscriptionState.PENDING if self._entry is None else self._entry.state

    def get_stats(self) -> SubscriptionStats:
        """Return the counters, and percentiles of the lag."""
        return SubscriptionStats(
            id=self.id,
            topic=self.topic,
            symbol=self.symbol,
            state=self.state,
            delivered=self.delivered,
            pending=self.pending,
            dropped=self.dropped,
            conflated=self.conflated,
            exchange_to_socket=self._lag.exchange_to_socket.snapshot(),
            socket_to_delivered=self._lag.socket_to_delivered.snapshot(),
        )

    # -- for the manager and the connection --------------------------------------------------------

    async def open(self) -> None:
        """Ask the venue, and return once it has confirmed. Called by the manager."""
        self._entry = await self._pool.connection_for(self._channel).subscribe(self._channel, self)

    def want(self) -> ChannelEntry:
        """Have the venue asked, and do not wait. Called by the manager."""
        self._entry = self._pool.connection_for(self._channel).want(self._channel, self)
        return self._entry

    def withdraw(self, error: Exception | None = None) -> None:
        """Want nothing any more; with an error, that is what the consumer gets."""
        entry, self._entry = self._entry, None
        if entry is not None:
            entry.drop(self)
        if error is None:
            self.close()
        else:
            self.fail(error)

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
                    self._report(error)
        except anyio.ClosedResourceError:
            pass  # closed by the consumer: nothing more is wanted
        except BtApiError as error:
            # A callback has nobody above it to raise to; besides this, the bus has had ws.failed.
            self._report(error)

    @override
    def fail(self, error: Exception) -> None:
        """Let the stream fail after the events that wait. Called by the connection, and where the consumer is too slow.

        Nobody can take what would follow, so nothing more is wanted.
        """
        if self.is_over:
            return
        self.error = error
        super().fail(error)
        if self._entry is not None:
            self._entry.drop(self)

    def mark(self, gap: Gap, /) -> None:
        """Put a gap in its place among the events. Called by the connection."""
        if self._callback is not None and not self.runs_task:
            self._call((gap,))
        elif self.deliver is not None:
            self.offer_marker(gap)

    @override
    async def aclose(self) -> None:
        """Stop delivery; if this was the channel's last consumer, unsubscribe at the venue.

        Returns when the venue has confirmed, or after a few seconds without an answer.

        Cancellation: delivery has stopped and the venue is told; only the waiting is given up.
        """
        entry = self._entry
        carrier = None if entry is None else entry.carrier
        self.withdraw()
        if entry is not None and carrier is not None:
            with anyio.move_on_after(_UNSUBSCRIBE_TIMEOUT):
                await carrier.wait_unsubscribed(entry)

    def _call(self, events: Sequence[Event]) -> None:
        callback = cast("Callable[[Event], object]", self._callback)
        for event in events:
            try:
                callback(event)
            except Exception as error:  # noqa: BLE001 - a consumer's failure is not the connection's
                self._report(error)
        if events:
            self._lag.sample(events[0])

    def _report(self, error: Exception) -> None:
        if self._entry is not None and self._entry.carrier is not None:
            self._entry.carrier.handler_error(error)

    def _overflow_gap(self, last: Event | None, following: Event | None, dropped: int) -> Event:
        """Return what stands for events that the consumer was too slow for."""
        now = time.time_ns()
        until = now if following is None else following.local_time
        return Gap(
            self.exchange_name,
            self.symbol,
            0 if following is None else following.server_time,
            now,
            since=0 if last is None else last.local_time,
            until=until,
            reason=GapReason.OVERFLOW,
            recoverable=self._channel.recoverable,
            topic=self.topic,
            missing=dropped,
        )
