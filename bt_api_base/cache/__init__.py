"""Results kept for a while: caches with a time to live, and functions that remember what they returned."""

from __future__ import annotations

from bt_api_base.cache.decorator import CachedFunction, CachedMethod, cached
from bt_api_base.cache.market import (
    ExchangeInfoCache,
    MarketDataCache,
    get_exchange_info_cache,
    get_market_data_cache,
)
from bt_api_base.cache.simple import CacheStats, SimpleCache

__all__ = (
    "CacheStats",
    "CachedFunction",
    "CachedMethod",
    "ExchangeInfoCache",
    "MarketDataCache",
    "SimpleCache",
    "cached",
    "get_exchange_info_cache",
    "get_market_data_cache",
)
