"""One limit by itself, without rules: the three algorithms, safe to use from any thread."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import attrs
from typing_extensions import override

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.rate_limiter.meters import FixedWindow, Meter, SlidingWindow, TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("FixedWindowLimiter", "Limiter", "SlidingWindowLimiter", "TokenBucketLimiter")


@attrs.define(eq=False)
class Limiter:
    """What the three have in common.

    Args:
        interval: The length of the window, seconds.
        limit: What may be used within it.
        clock: A monotonic clock, seconds.
    """

    interval: float
    limit: int
    _clock: Callable[[], float] = attrs.field(default=time.monotonic, kw_only=True)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _meter: Meter = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        if not (self.interval > 0 and self.limit > 0):
            raise ConfigurationError(f"no rate limit: {self.limit!r} in {self.interval!r} s")
        self._meter = self._new_meter()

    def _new_meter(self) -> Meter:
        raise NotImplementedError

    def acquire(self, weight: int = 1) -> bool:
        """Use some of the limit if there is room for it; never wait.

        Returns:
            Whether there was.
        """
        if weight < 0:
            raise ValueError(f"a weight cannot be negative: {weight}")
        meter = self._meter
        with self._lock:
            now = self._clock()
            if now >= meter.turn:
                meter.advance(now)
            if meter.used + weight > meter.limit:
                return False
            if weight:
                meter.take(now, weight)
            return True

    def release(self, weight: int = 1) -> None:
        """Give back at once what was acquired for nothing.

        It must still count. Which call it was is not known: a sliding window takes out the oldest, so that what is left
        is never forgotten too early.
        """
        with self._lock:
            self._meter.release(self._clock(), weight)

    def wait_time(self, weight: int = 1) -> float | None:
        """Return the seconds until there is room if nobody takes it before; ``None`` if there never will be."""
        with self._lock:
            now = self._clock()
            if weight > self._meter.limit:
                return None
            return max(0.0, self._meter.due(now, weight) - now)

    @property
    def current_usage(self) -> float:
        """What counts at the moment."""
        with self._lock:
            self._meter.advance(self._clock())
            return self._meter.used


@attrs.define(eq=False)
class SlidingWindowLimiter(Limiter):
    """No stretch of time of the interval's length sees more than the limit, wherever it begins.

    Up to a limit of 128 it is exact. Beyond that, what was used within 1/128 of the interval is forgotten together, an
    interval after the last of it: up to 1/128 of an interval late, and never early.
    """

    @override
    def _new_meter(self) -> Meter:
        return SlidingWindow("", self.interval, self.limit)


@attrs.define(eq=False)
class FixedWindowLimiter(Limiter):
    """Each window sees no more than the limit; two windows' shares may come close together, around their border.

    Args:
        interval: The length of a window, seconds.
        limit: What may be used within it.
        clock: A monotonic clock, seconds.
        aligned: Whether windows begin at multiples of the interval of the wall clock. Else a window begins with the
            first use after the last one.
        wall_clock: Tells the seconds since the epoch.
    """

    _aligned: bool = attrs.field(default=False, kw_only=True)
    _wall_clock: Callable[[], float] = attrs.field(default=time.time, kw_only=True)

    @override
    def _new_meter(self) -> Meter:
        return FixedWindow("", self.interval, self.limit, self._aligned, 0.0, self._wall_clock)


@attrs.define(eq=False)
class TokenBucketLimiter(Limiter):
    """A bucket of tokens that is refilled at a steady rate, `limit` in each interval.

    Args:
        interval: How long it takes until an empty bucket has got `limit` tokens, seconds.
        limit: How many that are.
        clock: A monotonic clock, seconds.
        burst: How many tokens the bucket holds; ``None``: `limit`.
    """

    burst: int | None = attrs.field(default=None, kw_only=True)

    @override
    def _new_meter(self) -> Meter:
        return TokenBucket("", self.interval, self.burst or self.limit, self.limit / self.interval)
