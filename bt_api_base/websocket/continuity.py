"""Whether an event follows the one before it: holes, repetitions, and venues that begin to count anew.

What an event says about its place depends on its type:

* a `Trade` says its number, and follows the trade one below it;
* an `OrderBookDelta` says which update it ends with and which one it follows;
* an `OrderBook` or a `Tick` is a whole state at a number; it makes up for what it follows, but does not say what that
  is, so that changes are missing before one that is beyond the last event;
* everything else is placed by the venue's time.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import anyio
import attrs

from bt_api_base.containers import Event, Gap, GapReason, OrderBook, OrderBookDelta, Tick, Trade
from bt_api_base.event_bus import Outlet
from bt_api_base.websocket.adapter import Channel, Continuity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ("Place", "Route", "Thread", "Verdict", "judge", "position")

_FAR_BACK = 10_000
"""A step back that is longer than this cannot be a repetition, where the venue gives no time to tell by."""


class Place(NamedTuple):
    """Where an event stands in its channel.

    Attributes:
        follows: The number it follows; ``None`` for a state, which does not say.
        number: Its own number.
    """

    follows: int | None
    number: int


def _trade(event: Trade) -> Place:
    try:
        number = int(event.trade_id)
    except ValueError:
        return Place(None, event.server_time)
    return Place(number - 1, number)


def _delta(event: OrderBookDelta) -> Place:
    follows = event.first_sequence - 1 if event.previous_sequence is None else event.previous_sequence
    return Place(follows, event.last_sequence)


def _state(event: OrderBook | Tick) -> Place:
    return Place(None, event.server_time if event.sequence is None else event.sequence)


_PLACES: dict[type, Callable[..., Place]] = {Trade: _trade, OrderBookDelta: _delta, OrderBook: _state, Tick: _state}


def position(event: Event) -> Place:
    """Return where an event stands in its channel. See the module's docstring."""
    find = _PLACES.get(type(event))
    return Place(None, event.server_time) if find is None else find(event)


class Verdict(Enum):
    """What an event is to the one before it.

    Attributes:
        FOLLOWS: Nothing is missing between them.
        REPEATS: It is not beyond it.
        HOLE: Something is missing between them.
        RESET: The venue began to count anew.
    """

    FOLLOWS = "follows"
    REPEATS = "repeats"
    HOLE = "hole"
    RESET = "reset"


def judge(last: Event, event: Event, *, overlapping: bool = False) -> Verdict:
    """Tell what ``event`` is to ``last``, the event delivered before it.

    Args:
        last: The one before.
        event: The one that came.
        overlapping: Whether two connections carry the channel, so that older events are to be expected and a step back
            is never a new beginning.
    """
    before = position(last).number
    follows, number = position(event)
    if follows == before and number != before:
        return Verdict.FOLLOWS
    if number <= before:
        if overlapping or _is_old(last, event, before - number):
            return Verdict.REPEATS
        return Verdict.FOLLOWS if number == before else Verdict.RESET
    return Verdict.HOLE if follows is None or follows > before else Verdict.FOLLOWS


def _is_old(last: Event, event: Event, steps_back: int) -> bool:
    """Whether an event whose number is not beyond that of ``last`` is a repetition, and no new beginning."""
    if event.server_time and last.server_time:
        return event.server_time <= last.server_time
    return steps_back < _FAR_BACK


_NOWHERE = Outlet(len)
"""Where events go that nobody wants."""


@attrs.define(eq=False, weakref_slot=False)
class Route:
    """All that a frame of a channel has to touch on its way, in one small object.

    With thousands of channels, each object that a frame has to touch is one that the processor has to fetch.

    Attributes:
        deliver: What takes the frame's items, one after another.
        guard: Looks at the items first, and returns them, or others with repetitions taken out and gaps put in, which
            then go another way; ``None`` while there is nothing to look for.
        last: The last items delivered.
        name: Name under which the items go over the bus.
        outlet: Where they go there.
    """

    deliver: tuple[Callable[[Sequence[Event]], None], ...] = ()
    guard: Callable[[Sequence[Event]], Sequence[Event]] | None = None
    last: Sequence[Event] = ()
    name: str = ""
    outlet: Outlet = _NOWHERE


@attrs.define(eq=False)
class Thread:
    """What a channel's consumers have been given last, and so what may come next.

    Attributes:
        exchange_name: Venue and asset type.
        channel: Whose events these are.
        route: Where they go; notes the last items delivered.
        duplicates: Events dropped because the consumers had them already.
        gaps: Gaps found.
        interrupted: Since when something may have been missed, nanoseconds since the epoch; ``None``: not interrupted.
        overlapping_until: Until when a second connection may repeat what the first one delivered, in the event loop's
            time.
    """

    exchange_name: str
    channel: Channel
    route: Route = attrs.field(factory=Route)
    duplicates: int = 0
    gaps: int = 0
    interrupted: int | None = None
    overlapping_until: float = 0.0
    _resumed: int = 0
    _number: int | None = None

    @property
    def last_event(self) -> Event | None:
        """The last event delivered."""
        last = self.route.last
        return last[-1] if last else None

    @property
    def tells(self) -> bool:
        """Whether the next event will tell by its number what was missed, if anything."""
        return self.channel.continuity is Continuity.CONSECUTIVE and bool(self.route.last)

    def interrupt(self, since: int) -> None:
        """Note that something may be missed from now on; ``since``: where nothing has been delivered yet."""
        if self.interrupted is None:
            last = self.last_event
            self.interrupted = max(since if last is None else last.local_time, self._resumed)

    def resume(self, now: int, event: Event | None = None) -> Gap | None:
        """Note that events arrive again, from ``now`` on.

        Returns:
            The gap, or ``None`` if nothing was interrupted or the number of the next event is to tell.
        """
        since = self.interrupted
        if since is None or self.tells:
            return None
        until = max(since, now)  # a connection that takes over may have been heard before the one it takes over from
        self.interrupted, self._resumed = None, until
        return self._gap(GapReason.DISCONNECTED, since, until, event)

    def check(self, items: Sequence[Event]) -> Sequence[Event]:
        """Check events that count: ``items`` itself if each follows, else without repetitions and with gaps."""
        if len(items) == 1 and self.interrupted is None and self._is_next(items[0]):
            return items  # nearly always
        last = self.last_event
        overlapping = anyio.current_time() < self.overlapping_until
        changed = False
        kept: list[Event] = []
        for event in items:
            verdict = Verdict.FOLLOWS if last is None else judge(last, event, overlapping=overlapping)
            if verdict is Verdict.REPEATS:
                self.duplicates += 1
                changed = True
                continue
            if last is not None and verdict is not Verdict.FOLLOWS:
                kept.append(self._break(verdict, last, event))
                changed = True
            self.interrupted = None
            kept.append(event)
            last = event
        self._number = None if last is None else position(last).number
        return kept if changed else items

    def _is_next(self, event: Event) -> bool:
        """Whether an event is the very next one, on the hot path; what is not is looked at more closely."""
        number = self._number
        if type(event) is Trade:
            try:
                own = int(event.trade_id)
            except ValueError:
                return False
            if own - 1 != number:
                return False
            self._number = own
            return True
        if type(event) is OrderBookDelta:
            follows = event.previous_sequence
            if number is None or (event.first_sequence - 1 if follows is None else follows) != number:
                return False
            self._number = event.last_sequence
            return True
        return False

    def _break(self, verdict: Verdict, last: Event, event: Event) -> Gap:
        """Return the gap between two events."""
        follows = position(event).follows
        if verdict is Verdict.RESET:
            return self._gap(GapReason.RESET, last.local_time, event.local_time, event)
        reason = GapReason.SEQUENCE if self.interrupted is None else GapReason.DISCONNECTED
        if follows is None:
            return self._gap(reason, last.local_time, event.local_time, event)
        missing = (position(last).number + 1, follows)
        return self._gap(reason, last.local_time, event.local_time, event, missing)

    def _gap(
        self,
        reason: GapReason,
        since: int,
        until: int,
        event: Event | None,
        missing: tuple[int, int] | None = None,
    ) -> Gap:
        self.gaps += 1
        first_missing, last_missing = missing or (None, None)
        # Only trades are numbered one by one; a book's numbers count changes, of which an event holds many.
        countable = missing is not None and isinstance(event, Trade)
        return Gap(
            self.exchange_name,
            self.channel.symbol,
            0 if event is None else event.server_time,
            until,
            since=since,
            until=until,
            reason=reason,
            recoverable=self.channel.recoverable,
            topic=self.channel.topic,
            first_missing=first_missing,
            last_missing=last_missing,
            missing=missing[1] - missing[0] + 1 if missing is not None and countable else None,
        )
