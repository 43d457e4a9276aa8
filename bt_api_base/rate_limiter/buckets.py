"""The meters of a rule: one, or one for each key."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import attrs

from bt_api_base.rate_limiter.meters import Meter, new_meter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bt_api_base.rate_limiter.rule import RateLimitRule

__all__ = ("Bucket", "RuleStatus")

_SEARCHED = 16
"""How many keys are looked at for one that is not in use."""


class RuleStatus(TypedDict):
    """What `RateLimiter.get_status` tells of a rule.

    Attributes:
        type: The value of its `RateLimitType`.
        scope: The value of its `RateLimitScope`.
        counts: The value of its `RateLimitUnit`.
        interval: Seconds.
        limit: What may be used within it.
        current: What is used. Of a rule that counts by key: where most is used.
        remaining: What is left.
        resets_in: Seconds until something more is left; 0.0 if nothing is used.
        reported: The venue's last figure; ``None``: there was none, or its window is over.
        waiting: How many wait, for this rule among others.
        keys: How many keys are counted by themselves.
    """

    type: str
    scope: str
    counts: str
    interval: float
    limit: float
    current: float
    remaining: float
    resets_in: float
    reported: int | None
    waiting: int
    keys: int


@attrs.define(eq=False)
class Bucket:
    """A rule and its meters.

    Args:
        rule: The rule.
        wall_clock: Tells the seconds since the epoch.
        on_forgotten: Called when a key's meter is forgotten.
    """

    rule: RateLimitRule
    _wall_clock: Callable[[], float]
    _on_forgotten: Callable[[], object]
    _limit: float = attrs.field(init=False)
    _meter: Meter = attrs.field(init=False)  # for all; where keys count, for those beyond the most that are counted
    _by_key: dict[str, Meter] = attrs.field(factory=dict[str, Meter], init=False)

    def __attrs_post_init__(self) -> None:
        self._limit = self.rule.capacity
        self._meter = new_meter(self.rule, self._wall_clock)

    def meter(self, key: str, now: float) -> Meter:
        """Return where a key's calls are counted."""
        if not self.rule.per_key:
            return self._meter
        meter = self._by_key.get(key)
        if meter is None:
            if len(self._by_key) >= self.rule.max_keys and not self._forget_one(now):
                return self._meter
            meter = self._by_key[key] = new_meter(self.rule, self._wall_clock)
            if meter.limit != self._limit:
                meter.set_limit(self._limit)
            self._meter.advance(now)
            if self._meter.used:  # perhaps by this very key
                meter.advance(now)
                meter.take(now, self._meter.used)
        return meter

    def meters(self) -> Iterator[Meter]:
        """Return all of them."""
        yield self._meter
        yield from self._by_key.values()

    def status(self, now: float) -> RuleStatus:
        """Return how the rule stands."""
        rule = self.rule
        for meter in self.meters():
            meter.advance(now)
        fullest = max(self.meters(), key=lambda meter: meter.used)
        room = fullest.limit - fullest.used
        return RuleStatus(
            type=rule.type.value,
            scope=rule.scope.value,
            counts=rule.counts.value,
            interval=rule.interval,
            limit=fullest.limit,
            current=fullest.used,
            remaining=max(0, room),
            resets_in=max(0.0, fullest.due(now, room + 1) - now) if fullest.used else 0.0,
            reported=fullest.reported,
            waiting=sum(meter.waiting for meter in self.meters()),
            keys=len(self._by_key),
        )

    def set_limit(self, limit: float) -> None:
        """Allow more, or less, from now on."""
        self._limit = limit
        for meter in self.meters():
            meter.set_limit(limit)

    def _forget_one(self, now: float) -> bool:
        for key in list(self._by_key)[:_SEARCHED]:
            meter = self._by_key.pop(key)
            meter.advance(now)
            if not meter.used and not meter.waiting:
                self._on_forgotten()
                return True
            self._by_key[key] = meter
        return False
