"""Binance's limits, as rules of a `RateLimiter`.

Sources, as of September 2026: spot, https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md, section
"LIMITS", and ``rateLimits`` of ``GET /api/v3/exchangeInfo``; USD-M futures,
https://developers.binance.com/docs/derivatives/usds-margined-futures/general-info, section "LIMITS".

Windows begin with the minute (or ten seconds, or the day) of the venue's clock. What is used comes with every answer in
a header, which is what counts in the end: others at the same address use the same weight, and spot's counts of orders
are of those not filled yet.
"""

from __future__ import annotations

from typing import Final

from bt_api_base.rate_limiter import RateLimitRule, RateLimitScope, RateLimitType, RateLimitUnit

__all__ = ("SPOT_RULES", "USDM_RULES")

_MARGIN: Final = 0.25
"""Seconds by which a request may arrive in another window than we think."""

_SECOND: Final = 1.0
_MINUTE: Final = 60.0
_DAY: Final = 86_400.0


def _weight(limit: int) -> RateLimitRule:
    return RateLimitRule(
        "REQUEST_WEIGHT",
        RateLimitType.FIXED_WINDOW,
        _MINUTE,
        limit,
        RateLimitScope.IP,
        aligned=True,
        margin=_MARGIN,
        header="X-MBX-USED-WEIGHT-1M",
    )


def _orders(name: str, interval: float, limit: int, endpoints: tuple[str, ...]) -> RateLimitRule:
    return RateLimitRule(
        f"ORDERS_{name}",
        RateLimitType.FIXED_WINDOW,
        interval,
        limit,
        RateLimitScope.GLOBAL,
        endpoints,
        counts=RateLimitUnit.ORDERS,
        aligned=True,
        margin=_MARGIN,
        header=f"X-MBX-ORDER-COUNT-{name}",
    )


_SPOT_ORDERS: Final = ("POST /api/v3/order", "POST /api/v3/order/cancelReplace", "POST /api/v3/orderList/*")

SPOT_RULES: Final[tuple[RateLimitRule, ...]] = (
    _weight(6000),
    RateLimitRule(
        "RAW_REQUESTS",  # 300,000 in five minutes since 2026-04-02
        RateLimitType.FIXED_WINDOW,
        5 * _MINUTE,
        300_000,
        RateLimitScope.IP,
        counts=RateLimitUnit.REQUESTS,
        aligned=True,
        margin=_MARGIN,
    ),
    _orders("10S", 10 * _SECOND, 50, _SPOT_ORDERS),
    _orders("1D", _DAY, 160_000, _SPOT_ORDERS),
)
"""Spot: weight by address, orders that are not filled by account."""

_USDM_ORDERS: Final = ("POST /fapi/v1/order", "PUT /fapi/v1/order", "POST /fapi/v1/batchOrders")

USDM_RULES: Final[tuple[RateLimitRule, ...]] = (
    _weight(2400),
    _orders("10S", 10 * _SECOND, 300, _USDM_ORDERS),
    _orders("1M", _MINUTE, 1200, _USDM_ORDERS),
)
"""USD-M futures: weight by address (shared with COIN-M), orders, filled or not, by account."""
