"""Which channels are wanted, by whom, and whether the venue has confirmed them.

The table is the desired state. Consumers change it; a session compares it with what it has asked
the venue for and sends the difference. Restoring everything after a reconnection is then not a
code path of its own: a new session has asked for nothing yet.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import TYPE_CHECKING, Protocol

import anyio
import attrs
from typing_extensions import override

from bt_api_base.containers import Gap, event_name
from bt_api_base.event_bus import Outlet
from bt_api_base.websocket.adapter import Continuity
from bt_api_base.websocket.continuity import Route, Thread
from bt_api_base.websocket.overlap import Overlap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bt_api_base.containers import Event
    from bt_api_base.event_bus import EventBus
    from bt_api_base.websocket.adapter import Channel
    from bt_api_base.websocket.connection import SupervisedConnection

__all__ = ("ChannelEntry", "ChannelTable", "Consumer", "SubscriptionState")


class Consumer(Protocol):
    """Whoever wants a channel's events. Everything returns at once and does not raise."""

    @property
    def deliver(self) -> Callable[[Sequence[Event]], None] | None:
        """Takes the events of one frame; ``None`` if only the bus is to have them."""

    def mark(self, gap: Gap, /) -> None:
        """Data is missing between what was delivered before and what will be after."""

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
class ChannelEntry(Thread):
    """One wanted channel: the thread of its events, who wants them, and whether the venue has confirmed it.

    Attributes:
        publish_gap: Puts a gap on the bus.
        consumers: Who wants it. A tuple that is replaced, never changed, so that delivery needs no lock.
        state: Whether the venue has confirmed it on the present connection.
        error: Why it failed; set with ``FAILED``.
        was_active: Whether it has ever been confirmed, so that confirming it again restores it.
        carrier: The connection that carries it.
    """

    publish_gap: Callable[[Gap], None] = attrs.field(kw_only=True)
    consumers: tuple[Consumer, ...] = ()
    state: SubscriptionState = SubscriptionState.PENDING
    error: Exception | None = None
    was_active: bool = False
    carrier: SupervisedConnection | None = attrs.field(default=None, repr=False)
    _overlap: Overlap | None = None
    _settled: anyio.Event = attrs.field(factory=anyio.Event, repr=False)

    def __attrs_post_init__(self) -> None:
        self._set_guard()

    def set_consumers(self, consumers: tuple[Consumer, ...]) -> None:
        """Replace who wants the channel."""
        self.consumers = consumers
        self.route.deliver = tuple(consumer.deliver for consumer in consumers if consumer.deliver is not None)

    def drop(self, consumer: Consumer) -> None:
        """Stop delivering to a consumer. When it was the last, the venue is told to stop."""
        if self.carrier is not None:
            self.carrier.unsubscribe(self, consumer)

    # -- state ---------------------------------------------------------------------------------

    def activate(self, now: int) -> None:
        """The venue confirmed the channel, at ``now`` (nanoseconds since the epoch)."""
        self.state = SubscriptionState.ACTIVE
        self.was_active = True
        self._settled.set()
        gap = self.resume(now)
        if gap is not None:
            self._set_guard()
            self.hand_over((gap,))

    def suspend(self, since: int) -> None:
        """The connection that carried the channel is gone since ``since``; the next one asks for it again."""
        if self.state is SubscriptionState.ACTIVE:
            self.state = SubscriptionState.PENDING
            self._settled = anyio.Event()
        if self.was_active:
            self.interrupt(since)

    @override
    def interrupt(self, since: int) -> None:
        """Note that something may be missed from ``since`` on, until the venue confirms again or the next event."""
        super().interrupt(since)
        self._set_guard()

    def fail(self, error: Exception) -> None:
        """The channel cannot be had; whoever waits for it, or for its events, gets ``error``."""
        self.state = SubscriptionState.FAILED
        self.error = error
        self._settled.set()
        for consumer in self.consumers:
            consumer.fail(error)

    @property
    def is_settled(self) -> bool:
        """Whether the venue has confirmed or refused."""
        return self._settled.is_set()

    async def wait_settled(self) -> None:
        """Wait until the venue has confirmed the channel.

        Raises:
            Exception: What the channel failed with.

        Cancellation: nothing changes.
        """
        await self._settled.wait()
        if self.error is not None:
            raise self.error

    # -- events that have to be looked at ----------------------------------------------------------

    def hand_over(self, items: Sequence[Event]) -> int:
        """Deliver items among which there may be gaps, to consumers and bus; return how many are events."""
        events = 0
        for item in items:
            if isinstance(item, Gap):
                for consumer in self.consumers:
                    consumer.mark(item)
                self.publish_gap(item)
                continue
            for deliver in self.route.deliver:
                deliver((item,))
            self.route.outlet.take((item,))
            self.route.last = (item,)
            events += 1
        return events

    def begin_overlap(self) -> None:
        """A second connection is about to carry the channel as well."""
        self._overlap = Overlap(self, self._overlap)
        self._set_guard()

    def abandon_overlap(self) -> None:
        """There is no second connection after all."""
        self._overlap = None if self._overlap is None else self._overlap.before
        self._set_guard()

    def connects(self, held: Sequence[Event]) -> bool | None:
        """Tell whether what the second connection holds connects to what was delivered; ``None``: cannot be told."""
        return None if self._overlap is None else self._overlap.connects(held)

    def beyond(self, held: Sequence[Event]) -> Sequence[Event] | None:
        """Return what the second connection holds after the last event delivered; ``None`` if that is not among it."""
        return None if self._overlap is None else self._overlap.beyond(held)

    def take_over(self, held: Sequence[Event], now: int, *, proven: bool) -> int:
        """Deliver what is new in the events of the second connection, which carries the channel from now on.

        Returns how many events that are.

        Args:
            held: Its events so far.
            now: Nanoseconds since the epoch (UTC).
            proven: Whether nothing can have been lost between the connections.
        """
        if self._overlap is not None:
            held = self._overlap.take_over(held)
        if self.was_active and not proven:
            self.interrupt(now)
        events = self.hand_over(self._look(held)) if held else 0
        self._set_guard()
        return events

    def _look(self, items: Sequence[Event]) -> Sequence[Event]:
        """Take repetitions out and put gaps in."""
        if self._overlap is not None and self._overlap.is_over:
            self._overlap = None
        new = items if self._overlap is None else self._overlap.new(items)
        gap = self.resume(new[0].local_time, new[0]) if new else None
        if self.channel.continuity is Continuity.CONSECUTIVE:
            new = self.check(new)
        self._set_guard()
        return new if gap is None else [gap, *new]

    def _set_guard(self) -> None:
        """Choose the least that has to be looked at."""
        if self._overlap is not None or (self.interrupted is not None and not self.tells):
            self.route.guard = self._look
        elif self.channel.continuity is Continuity.CONSECUTIVE:
            self.route.guard = self.check
        else:
            self.route.guard = None


class ChannelTable:
    """The wanted channels of one connection, by the venue's key.

    Args:
        bus: Where events and gaps go.
        exchange_name: Venue and asset type, for gaps.

    Attributes:
        entries: The channels.
        routes: Where their frames go.
        topics: How many channels there are of each topic.
        duplicates: Events dropped because their consumers had them already, of all channels ever.
        gaps: Gaps, of all channels ever.
    """

    def __init__(self, bus: EventBus, exchange_name: str = "") -> None:
        self._bus = bus
        self._exchange_name = exchange_name
        self.entries: dict[str | None, ChannelEntry] = {}
        self.routes: dict[str | None, Route] = {}
        self.topics: Counter[str] = Counter()
        self._past_duplicates = 0
        self._past_gaps = 0
        self._changed = anyio.Event()
        self._watchers: list[Callable[[str], None]] = []

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[ChannelEntry]:
        return iter(tuple(self.entries.values()))

    @property
    def duplicates(self) -> int:
        """See the class."""
        return self._past_duplicates + sum(entry.duplicates for entry in self.entries.values())

    @property
    def gaps(self) -> int:
        """See the class."""
        return self._past_gaps + sum(entry.gaps for entry in self.entries.values())

    # -- changes -------------------------------------------------------------------------------

    @property
    def changed(self) -> anyio.Event:
        """An event that is set at the next change. Take it before looking at the table."""
        return self._changed

    def notify(self) -> None:
        """Wake whoever waits for a change."""
        self._changed.set()
        self._changed = anyio.Event()

    def watch(self, watcher: Callable[[str], None]) -> Callable[[], None]:
        """Have ``watcher(key)`` called when a channel comes or goes; return what ends that."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def _tell(self, key: str) -> None:
        for watcher in self._watchers:
            watcher(key)
        self.notify()

    def add(self, channel: Channel, consumer: Consumer) -> ChannelEntry:
        """Want ``channel`` for one more consumer."""
        entry = self.entries.get(channel.key)
        if entry is None:
            entry = ChannelEntry(
                self._exchange_name,
                channel,
                Route(name=channel.event_name, outlet=Outlet(self._publish_mixed)),
                publish_gap=self._publish_gap,
            )
            self.adopt(entry)
        entry.set_consumers((*entry.consumers, consumer))
        return entry

    def adopt(self, entry: ChannelEntry) -> None:
        """Want an entry's channel for the consumers that it has."""
        self.entries[entry.channel.key] = entry
        self.routes[entry.channel.key] = entry.route
        if entry.route.name:
            self._bus.attach(entry.route)
        self.topics[entry.channel.topic] += 1
        self._past_duplicates -= entry.duplicates  # which another table has counted
        self._past_gaps -= entry.gaps
        self._tell(entry.channel.key)

    def remove(self, entry: ChannelEntry, consumer: Consumer) -> bool:
        """Want the entry's channel for one consumer less; return whether nobody wants it any more."""
        entry.set_consumers(tuple(other for other in entry.consumers if other is not consumer))
        if entry.consumers:
            return False
        self.discard(entry)
        return True

    def release(self, entry: ChannelEntry) -> None:
        """Want the entry's channel no longer here; its consumers keep it."""
        if self.entries.get(entry.channel.key) is entry:
            del self.entries[entry.channel.key]
            del self.routes[entry.channel.key]
            self._bus.detach(entry.route)
            self.topics[entry.channel.topic] -= 1
            self._past_duplicates += entry.duplicates
            self._past_gaps += entry.gaps
            self._tell(entry.channel.key)

    def discard(self, entry: ChannelEntry) -> None:
        """Want the entry's channel for nobody."""
        self.release(entry)
        if entry.state is not SubscriptionState.FAILED:
            entry.state = SubscriptionState.CLOSED

    def end_all(self) -> None:
        """Want nothing any more, and tell the consumers that nothing more comes."""
        for entry in self:
            self.discard(entry)
            for consumer in entry.consumers:
                consumer.end()

    def suspend_all(self, since: int) -> None:
        """Mark every channel as not confirmed, because its connection is gone since ``since``."""
        for entry in self:
            entry.suspend(since)

    # -- the bus -------------------------------------------------------------------------------

    def _publish_mixed(self, items: Sequence[Event]) -> None:
        for item in items:
            self._bus.outlet(event_name(item)).take((item,))

    def _publish_gap(self, gap: Gap) -> None:
        self._bus.outlet(event_name(gap)).take((gap,))
