"""The three ways of counting, without clock, lock or queue: those come from whoever uses them.

A meter is asked in the same few steps everywhere, which is what a call costs::

    if now >= meter.turn:
        meter.advance(now)               # forget what is over
    if meter.used + cost <= meter.ceiling:
        ticket = meter.take(now, cost)   # meter.give_back(now, ticket, cost) undoes it

Each of them takes constant time and memory, whatever the limit.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import attrs
from typing_extensions import override

from bt_api_base.rate_limiter.rule import RateLimitRule, RateLimitType

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("GRAINS", "FixedWindow", "Meter", "SlidingWindow", "Ticket", "TokenBucket", "new_meter")

GRAINS = 128
"""How finely a sliding window is divided: what it grants is counted at most 1/128 of an interval longer than the
interval. A limit up to this number is exact."""

Ticket = list[float]
"""What a meter remembers a grant by. Its identity and its content are the meter's own."""


@attrs.define(eq=False)
class Meter:
    """What is used of one limit.

    Attributes:
        name: Of the rule.
        interval: Seconds.
        limit: What may be used.
        used: What was used, as of the last `advance`.
        turn: When `used` is wrong and needs an `advance`.
        claims: What calls that wait want.
        waiting: How many these are.
        ceiling: What may be used by those who do not wait: the limit less the claims.
        reported: The venue's last figure; ``None``: there was none, or its window is over.
    """

    name: str
    interval: float
    limit: float
    used: float = attrs.field(default=0, init=False)
    turn: float = attrs.field(default=math.inf, init=False)
    claims: float = attrs.field(default=0, init=False)
    waiting: int = attrs.field(default=0, init=False)
    ceiling: float = attrs.field(init=False)
    reported: int | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.ceiling = self.limit

    def advance(self, now: float) -> None:
        """Forget what no longer counts at a time, seconds of the monotonic clock."""
        raise NotImplementedError

    def take(self, now: float, cost: float) -> Ticket:
        """Count a call. Its meter has been advanced to this time."""
        raise NotImplementedError

    def give_back(self, now: float, ticket: Ticket, cost: float) -> None:
        """Take a call out again that was never sent."""
        raise NotImplementedError

    def release(self, now: float, cost: float) -> None:
        """Take out some call, so that what is left is forgotten no earlier than it should be."""
        raise NotImplementedError

    def due(self, now: float, cost: float) -> float:
        """Return when a call will have room if nobody takes or gives back anything until then."""
        raise NotImplementedError

    def claim(self, cost: float) -> None:
        """Set something aside for a call that waits."""
        self.waiting += 1
        self.claims += cost
        self.ceiling = self.limit - self.claims

    def drop_claim(self, cost: float) -> None:
        """Set nothing aside any more for a call that has waited."""
        self.waiting -= 1
        self.claims = self.claims - cost if self.waiting else 0  # no rounding is left over
        self.ceiling = self.limit - self.claims

    def set_limit(self, limit: float) -> None:
        """Allow more, or less, from now on."""
        self.limit = limit
        self.ceiling = limit - self.claims

    def has_expired(self, now: float, ticket: Ticket) -> bool:
        """Return whether a call has been forgotten."""
        raise NotImplementedError

    def report(self, now: float, figure: int, settled: tuple[Ticket, float] | None = None) -> None:
        """Correct what is used by the venue's figure, where it knows of more than we do.

        Args:
            now: The time.
            figure: What is used by the venue's account.
            settled: The call that this is an answer to, and its cost.
        """
        self.advance(now)
        if settled is not None and self.has_expired(now, settled[0]):
            return  # the figure of a window that is over
        self.reported = figure
        if figure > self.used:
            self.take(now, figure - self.used)

    def settle_unanswered(self, ticket: Ticket, cost: float) -> None:
        """Learn that a call's answer says nothing about what is used."""

    def expect_answer(self, ticket: Ticket, cost: float) -> None:
        """Learn that a call's answer will tell what is used."""


@attrs.define(eq=False)
class SlidingWindow(Meter):
    """A queue of grains, each the weight granted within a moment, forgotten an interval after its last grant.

    A grain covers 1/128 of the interval, so there are never more than 130, and none is forgotten early: in no stretch
    of the interval's length is more granted than the limit. Up to a limit of 128 every grant has a grain of its own.
    """

    _grains: deque[Ticket] = attrs.field(factory=deque[Ticket], init=False)  # [last grant, weight]
    _newest: Ticket = attrs.field(factory=lambda: [0.0, 0.0], init=False)
    _newest_until: float = attrs.field(default=-math.inf, init=False)
    _grain: float = attrs.field(init=False)

    @override
    def __attrs_post_init__(self) -> None:
        Meter.__attrs_post_init__(self)
        self._grain = 0.0 if self.limit <= GRAINS else self.interval / GRAINS

    @override
    def advance(self, now: float) -> None:
        grains, interval = self._grains, self.interval
        while grains and grains[0][0] + interval <= now:
            self.used -= grains.popleft()[1]
        self.turn = grains[0][0] + interval if grains else math.inf
        if not grains:
            self.reported = None

    @override
    def take(self, now: float, cost: float) -> Ticket:
        self.used += cost
        if now < self._newest_until:
            grain = self._newest
            grain[0] = now
            grain[1] += cost
            return grain
        grains = self._grains
        if len(grains) > GRAINS + 1:  # more grants than the limit promises: fractions, or a limit that was changed
            grain = grains[-1]
            grain[0] = now
            grain[1] += cost
            return grain
        self._newest = grain = [now, cost]
        self._newest_until = now + self._grain
        grains.append(grain)
        if len(grains) == 1:
            self.turn = now + self.interval
        return grain

    @override
    def has_expired(self, now: float, ticket: Ticket) -> bool:
        return ticket[0] + self.interval <= now

    @override
    def give_back(self, now: float, ticket: Ticket, cost: float) -> None:
        self.advance(now)
        if not self.has_expired(now, ticket):
            ticket[1] -= cost
            self.used -= cost

    @override
    def release(self, now: float, cost: float) -> None:
        self.advance(now)
        for grain in self._grains:
            part = min(cost, grain[1])
            grain[1] -= part
            self.used -= part
            cost -= part

    @override
    def due(self, now: float, cost: float) -> float:
        self.advance(now)
        excess = self.used + cost - self.limit
        due = now
        for last, weight in self._grains:
            if excess <= 0:
                break
            excess -= weight
            due = last + self.interval
        return due

    @override
    def set_limit(self, limit: float) -> None:
        super().set_limit(limit)
        self._grain = 0.0 if limit <= GRAINS else self.interval / GRAINS


@attrs.define(eq=False)
class FixedWindow(Meter):
    """A counter that begins anew with each window.

    Where the venue reports what is used in its own window, that decides: see `report`.

    Args:
        aligned: Whether windows begin at multiples of the interval of the wall clock.
        margin: How far off the turn of the window may be, seconds.
        wall_clock: Tells the seconds since the epoch.
    """

    _aligned: bool = False
    _margin: float = 0.0
    _wall_clock: Callable[[], float] = lambda: 0.0
    _number: float = attrs.field(default=-1.0, init=False)
    _window: Ticket = attrs.field(factory=list[float], init=False)  # the identity of this window,
    _late_window: Ticket = attrs.field(factory=list[float], init=False)  # of its last moments,
    _carried: Ticket = attrs.field(factory=list[float], init=False)  # and of the last moments of the one before
    _late: float = attrs.field(default=0, init=False)
    _late_from: float = attrs.field(default=math.inf, init=False)
    _shift: float = attrs.field(default=0, init=False)  # how much of `used` is the venue's correction
    _expected: float = attrs.field(default=0, init=False)  # granted to calls that will be answered
    _unanswered: float = attrs.field(default=0, init=False)  # the part of it whose answer is still to come

    @override
    def __attrs_post_init__(self) -> None:
        Meter.__attrs_post_init__(self)
        if self._aligned:
            self.turn = -math.inf

    @override
    def advance(self, now: float) -> None:
        if now < self.turn:
            return
        if not self._aligned:
            self._begin(0)
            self.turn = math.inf  # until the first call
            return
        number, since = divmod(self._wall_clock() - self._margin, self.interval)
        # A clock that was set back a little can tell the last moments of a window twice: they are one window still.
        if number != self._number:
            # What went so late that the venue may count it in this window.
            self._begin(self._late if number == self._number + 1 else 0)
        self._number = number
        self.turn = now + (self.interval - since)
        if self._margin:
            self._late_from = self.turn - 2 * self._margin

    def _begin(self, used: float) -> None:
        self.used = used
        # What was not carried over, after a pause, can no longer be given back.
        self._carried = self._late_window if used else []
        self._window, self._late_window = [], []
        self._late = self._shift = self._expected = self._unanswered = 0
        self.reported = None

    @override
    def take(self, now: float, cost: float) -> Ticket:
        self.used += cost
        if now >= self._late_from:
            self._late += cost
            return self._late_window
        if self.turn == math.inf:
            self.turn = now + self.interval
        return self._window

    @override
    def has_expired(self, now: float, ticket: Ticket) -> bool:
        return ticket is not self._window and ticket is not self._late_window

    @override
    def give_back(self, now: float, ticket: Ticket, cost: float) -> None:
        self.advance(now)
        if ticket is self._late_window:
            self._late -= cost
        elif ticket is not self._window and ticket is not self._carried:
            return
        self.used = max(0, self.used - cost)

    @override
    def release(self, now: float, cost: float) -> None:
        self.give_back(now, self._window, cost)

    @override
    def due(self, now: float, cost: float) -> float:
        self.advance(now)
        return now if self.used + cost <= self.limit else self.turn

    @override
    def expect_answer(self, ticket: Ticket, cost: float) -> None:
        if not self.has_expired(0, ticket):
            self._expected += cost
            self._unanswered += cost

    @override
    def settle_unanswered(self, ticket: Ticket, cost: float) -> None:
        if not self.has_expired(0, ticket):
            self._expected -= cost
            self._unanswered -= cost

    @override
    def report(self, now: float, figure: int, settled: tuple[Ticket, float] | None = None) -> None:
        """Correct what is used by the venue's figure for its window.

        Answers overtake each other, so of two figures the higher one counts, unless the newer is less than half of it:
        then the venue's window has turned, and the older figure was its last window's. Calls under way come on top, if
        it is known which these are. Otherwise a figure can raise what is used, and not lower it.
        """
        self.advance(now)
        if settled is not None:
            if self.has_expired(now, settled[0]):
                return
            self._unanswered -= settled[1]
        last = self.reported
        self.reported = figure if last is None or figure < last / 2 else max(last, figure)
        own = self.used - self._shift
        believed: float = self.reported
        if settled is not None:
            believed += self._unanswered
        if settled is None or own > self._expected:  # somebody does not tell us when the answer has come
            believed = max(believed, own)
        self._shift = believed - own
        self.used = believed
        if self.turn == math.inf and believed:
            self.turn = now + self.interval


@attrs.define(eq=False)
class TokenBucket(Meter):
    """A bucket that is refilled all the time; `used` is what is missing from it.

    Args:
        rate: Tokens per second.
    """

    _rate: float = 1.0
    _filled_at: float = attrs.field(default=-math.inf, init=False)

    @override
    def __attrs_post_init__(self) -> None:
        Meter.__attrs_post_init__(self)
        self.turn = -math.inf  # what is missing changes all the time

    @override
    def advance(self, now: float) -> None:
        if self.used:
            missing = self.used - (now - self._filled_at) * self._rate
            self.used = missing if missing > 0 else 0  # noqa: FURB136 - half of the time of max()
        self._filled_at = now

    @override
    def take(self, now: float, cost: float) -> Ticket:
        self.used += cost
        return [now]

    @override
    def has_expired(self, now: float, ticket: Ticket) -> bool:
        return False

    @override
    def give_back(self, now: float, ticket: Ticket, cost: float) -> None:
        """Take a call out again that was never sent, less what a full bucket would not have got since then.

        Whether it would have been full all the time is not known, so this is the least that is right.
        """
        self.release(now, max(0.0, cost - (now - ticket[0]) * self._rate))

    @override
    def release(self, now: float, cost: float) -> None:
        self.advance(now)
        self.used = max(0, self.used - cost)

    @override
    def due(self, now: float, cost: float) -> float:
        self.advance(now)
        return now + max(0.0, self.used + cost - self.limit) / self._rate

    @override
    def set_limit(self, limit: float) -> None:
        self._rate *= limit / self.limit
        super().set_limit(limit)


def new_meter(rule: RateLimitRule, wall_clock: Callable[[], float]) -> Meter:
    """Return a meter for a rule, with nothing used."""
    if rule.type is RateLimitType.SLIDING_WINDOW:
        return SlidingWindow(rule.name, rule.interval, rule.limit)
    if rule.type is RateLimitType.FIXED_WINDOW:
        return FixedWindow(rule.name, rule.interval, rule.limit, rule.aligned, rule.margin, wall_clock)
    return TokenBucket(rule.name, rule.interval, rule.capacity, rule.limit / rule.interval)
