"""Which channels are wanted, by whom, and whether the venue has confirmed them.

The table is the desired state. Consumers change it; a session compares it with what it has asked
the venue for and sends the difference. Restoring everything after a reconnection is then not a
code path of its own: a new session has asked for nothing yet.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol

import anyio
import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bt_api_base.containers import Event
    from bt_api_base.event_bus import EventBus, Publisher
    from bt_api_base.websocket.adapter import Channel

__all__ = ("ChannelEntry", "ChannelTable", "Consumer", "SubscriptionState")


class Consumer(Protocol):
    """Whoever wants a channel's events. Everything returns at once and does not raise."""

    @property
    def deliver(self) -> Callable[[Sequence[Event]], None] | None:
        """Takes the events of one frame; ``None`` if only the bus is to have them."""

    def fail(self, error: Exception, /) -> None:
        """No more events will come, because of ``error``."""

    def end(self) -> None:
        """No more events will come, because the connection's owner is done."""


class SubscriptionState(str, Enum):
    """Where a subscription stands."""

    PENDING = "pending"
    ACTIVE = "active"
    FAILED = "failed"
    CLOSED = "closed"


@attrs.define(eq=False)
class ChannelEntry:
    """One wanted channel.

    Attributes:
        channel: What is wanted.
        consumers: Who wants it. A tuple that is replaced, never changed, so that delivery needs no lock.
        publisher: Where the channel's events go on the bus.
        deliver: The consumers' ``deliver`` methods, bound once instead of once per frame.
        state: Whether the venue has confirmed it on the present connection.
        error: Why it failed; set with ``FAILED``.
        was_active: Whether it has ever been confirmed, so that confirming it again restores it.
    """

    channel: Channel
    publisher: Publisher
    consumers: tuple[Consumer, ...] = ()
    deliver: tuple[Callable[[Sequence[Event]], None], ...] = ()
    state: SubscriptionState = SubscriptionState.PENDING
    error: Exception | None = None
    was_active: bool = False
    _settled: anyio.Event = attrs.field(factory=anyio.Event, repr=False)

    def set_consumers(self, consumers: tuple[Consumer, ...]) -> None:
        """Replace who wants the channel."""
        self.consumers = consumers
        self.deliver = tuple(consumer.deliver for consumer in consumers if consumer.deliver is not None)

    def activate(self) -> None:
        """The venue confirmed the channel."""
        self.state = SubscriptionState.ACTIVE
        self.was_active = True
        self._settled.set()

    def suspend(self) -> None:
        """The connection that carried the channel is gone; the next one asks for it again."""
        if self.state is SubscriptionState.ACTIVE:
            self.state = SubscriptionState.PENDING
            self._settled = anyio.Event()

    def fail(self, error: Exception) -> None:
        """The channel cannot be had; whoever waits for it, or for its events, gets ``error``."""
        self.state = SubscriptionState.FAILED
        self.error = error
        self._settled.set()
        for consumer in self.consumers:
            consumer.fail(error)

    async def wait_settled(self) -> None:
        """Wait until the venue has confirmed the channel.

        Raises:
            Exception: What the channel failed with.

        Cancellation: nothing changes.
        """
        await self._settled.wait()
        if self.error is not None:
            raise self.error


class ChannelTable:
    """The wanted channels of one connection, by the venue's key."""

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus
        self.entries: dict[str | None, ChannelEntry] = {}
        self._changed = anyio.Event()

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[ChannelEntry]:
        return iter(tuple(self.entries.values()))

    @property
    def changed(self) -> anyio.Event:
        """An event that is set at the next change. Take it before looking at the table."""
        return self._changed

    def notify(self) -> None:
        """Wake whoever waits for a change."""
        self._changed.set()
        self._changed = anyio.Event()

    def add(self, channel: Channel, consumer: Consumer) -> ChannelEntry:
        """Want ``channel`` for one more consumer."""
        entry = self.entries.get(channel.key)
        if entry is None:
            entry = self.entries[channel.key] = ChannelEntry(channel, self._bus.publisher(channel.event_name))
            self.notify()
        entry.set_consumers((*entry.consumers, consumer))
        return entry

    def remove(self, entry: ChannelEntry, consumer: Consumer) -> bool:
        """Want the entry's channel for one consumer less; return whether nobody wants it any more."""
        entry.set_consumers(tuple(other for other in entry.consumers if other is not consumer))
        if entry.consumers:
            return False
        self.discard(entry)
        return True

    def discard(self, entry: ChannelEntry) -> None:
        """Want the entry's channel for nobody."""
        if self.entries.get(entry.channel.key) is entry:
            del self.entries[entry.channel.key]
            self.notify()
        if entry.state is not SubscriptionState.FAILED:
            entry.state = SubscriptionState.CLOSED

    def end_all(self) -> None:
        """Want nothing any more, and tell the consumers that nothing more comes."""
        for entry in self:
            self.discard(entry)
            for consumer in entry.consumers:
                consumer.end()

    def suspend_all(self) -> None:
        """Mark every channel as not confirmed, because its connection is gone."""
        for entry in self:
            entry.suspend()
