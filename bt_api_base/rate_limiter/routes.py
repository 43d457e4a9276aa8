"""Which rules a call counts in, and how much: found once for each kind of call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.rate_limiter.buckets import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bt_api_base.rate_limiter.line import Charges
    from bt_api_base.rate_limiter.rule import RateLimitRule

__all__ = ("Routes",)

_MAX_ROUTES = 4096
"""How many kinds of calls are remembered: more than a venue has, unless its paths hold identifiers."""


@attrs.define(eq=False)
class Routes:
    """The rules of a limiter. All of it is guarded by the limiter's lock.

    A kind of call is written as method, path, and how many such calls; or as method, path, its own weight, how many
    orders it places, and its key.

    Args:
        rules: The rules.
        default: What limits the calls that no rule matches. Without any rule there is no default either.
        wall_clock: Tells the seconds since the epoch.

    Attributes:
        buckets: Of the rules and of the default.
        reporting: Those which the venue reports on.
        known: What the kinds of calls cost that were found already.
    """

    _rules: Iterable[RateLimitRule]
    _default_rule: RateLimitRule | None
    _wall_clock: Callable[[], float]
    buckets: tuple[Bucket, ...] = attrs.field(init=False)
    reporting: tuple[Bucket, ...] = attrs.field(init=False)
    known: dict[tuple[object, ...], Charges] = attrs.field(factory=dict[tuple[object, ...], "Charges"], init=False)
    _ruled: tuple[Bucket, ...] = attrs.field(init=False)
    _default: tuple[Bucket, ...] = attrs.field(default=(), init=False)

    def __attrs_post_init__(self) -> None:
        self._ruled = tuple(map(self._bucket, self._rules))
        if self._ruled and self._default_rule is not None:
            self._default = (self._bucket(self._default_rule),)
        self.buckets = self._ruled + self._default
        self.reporting = tuple(bucket for bucket in self.buckets if bucket.rule.is_reported)
        names = [bucket.rule.name for bucket in self.buckets]
        if len(set(names)) != len(names):
            raise ConfigurationError(f"two rate limits of one name: {', '.join(names)}")

    def charges(self, call: tuple[Any, ...], now: float) -> Charges:
        """Return what a call costs."""
        known = self.known.get(call)
        return self.find(call, now) if known is None else known

    def find(self, call: tuple[Any, ...], now: float) -> Charges:
        """Find out what a call costs, and remember it."""
        times, weight, orders, key = (call[2], None, 1, "") if len(call) == 3 else (1, *call[2:])
        method, path = call[:2]
        if times < 0 or orders < 0 or (weight is not None and weight < 0):
            raise ValueError(f"a call cannot cost less than nothing: {call!r}")
        buckets = tuple(bucket for bucket in self._ruled if bucket.rule.match(method, path)) or self._default
        costs = [bucket.rule.cost(method, path, weight=weight, times=times, orders=orders) for bucket in buckets]
        charges = tuple([(bucket.meter(key, now), cost) for bucket, cost in zip(buckets, costs, strict=True) if cost])
        if len(self.known) >= _MAX_ROUTES:
            self.known.clear()
        self.known[call] = charges
        return charges

    def _bucket(self, rule: RateLimitRule) -> Bucket:
        return Bucket(rule, self._wall_clock, self._forget)

    def _forget(self) -> None:
        self.known.clear()
