"""Staying within a venue's limits.

::

    limiter = RateLimiter([RateLimitRule("weight", RateLimitType.FIXED_WINDOW, 60, 6000, aligned=True)])

    with limiter:                                         # a thread waits here until a call may be sent
        ...
    async with limiter.slot("GET", "/api/v3/depth", 50):  # and a task here
        ...

A `RateLimiter` holds rules, each of which is one limit of a venue: what it counts, over which time and in which way.
`SlidingWindowLimiter`, `FixedWindowLimiter` and `TokenBucketLimiter` are those ways by themselves.
"""

from __future__ import annotations

from bt_api_base.rate_limiter.buckets import RuleStatus
from bt_api_base.rate_limiter.limiter import RateLimiter
from bt_api_base.rate_limiter.limiters import FixedWindowLimiter, SlidingWindowLimiter, TokenBucketLimiter
from bt_api_base.rate_limiter.permit import Permit, Slot
from bt_api_base.rate_limiter.priority import Priority
from bt_api_base.rate_limiter.rule import (
    DEFAULT_RULE,
    RateLimitRule,
    RateLimitScope,
    RateLimitType,
    RateLimitUnit,
)

__all__ = (
    "DEFAULT_RULE",
    "FixedWindowLimiter",
    "Permit",
    "Priority",
    "RateLimitRule",
    "RateLimitScope",
    "RateLimitType",
    "RateLimitUnit",
    "RateLimiter",
    "RuleStatus",
    "SlidingWindowLimiter",
    "Slot",
    "TokenBucketLimiter",
)
