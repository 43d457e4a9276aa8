"""What the tests of the rate limiter share: a clock that is set by hand, and a ledger of what was granted."""

from __future__ import annotations

from collections import Counter

import attrs

from bt_api_base.rate_limiter import RateLimitRule, RateLimitType

SLIDING = RateLimitType.SLIDING_WINDOW
FIXED = RateLimitType.FIXED_WINDOW
BUCKET = RateLimitType.TOKEN_BUCKET


def rule(limit: int = 10, interval: float = 60.0, type: RateLimitType = SLIDING, **options: object) -> RateLimitRule:  # noqa: A002
    """Return a rule that matches everything."""
    return RateLimitRule(**{"name": "rule", "type": type, "interval": interval, "limit": limit, **options})  # type: ignore[arg-type]


@attrs.define
class FakeClock:
    """A monotonic clock that stands still until it is told to go on."""

    now: float = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@attrs.define
class Ledger:
    """What was granted, when."""

    grants: list[tuple[float, int]] = attrs.field(factory=list)

    def add(self, now: float, weight: int) -> tuple[float, int]:
        """Note a grant."""
        grant = (now, weight)
        self.grants.append(grant)
        return grant

    def most_in_any_window(self, interval: float) -> int:
        """Return the most that was granted in any stretch of a length: each begins with a grant, or could."""
        grants = sorted(self.grants)
        most = end = total = 0
        for begin, (time, weight) in enumerate(grants):
            while end < len(grants) and grants[end][0] < time + interval:
                total += grants[end][1]
                end += 1
            most = max(most, total)
            total -= weight
            assert begin < end
        return most

    def most_in_an_aligned_window(self, interval: float, offset: float = 0.0) -> int:
        """Return the most that was granted in any window that begins at a multiple of a length, plus an offset."""
        windows: Counter[float] = Counter()
        for time, weight in self.grants:
            windows[(time + offset) // interval] += weight
        return max(windows.values(), default=0)
