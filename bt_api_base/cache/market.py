"""What is worth keeping of a venue: its instruments for an hour, its prices for seconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import attrs

from bt_api_base.cache.simple import CacheStats, SimpleCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ("ExchangeInfoCache", "MarketDataCache", "get_exchange_info_cache", "get_market_data_cache")


@attrs.define(eq=False)
class _VenueCache:
    """Entries by venue, kind and symbol.

    Args:
        ttl: Seconds that an entry lives.
        max_size: Entries of all venues together.
        clock: As in `SimpleCache`.
    """

    ttl: float
    max_size: int = attrs.field(default=10_000, kw_only=True)
    clock: Callable[[], float] = attrs.field(default=time.monotonic, kw_only=True)
    _cache: SimpleCache[tuple[str, str, str], Any] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._cache = SimpleCache(self.ttl, self.max_size, clock=self.clock)

    def clear_exchange(self, exchange: str) -> None:
        """Forget all that is known of a venue."""
        for key in self._cache.keys():  # noqa: SIM118 - a list, not a dictionary's view
            if key[0] == exchange:
                self._cache.delete(key)

    def clear(self) -> None:
        """Forget all that is known of any venue."""
        self._cache.clear()

    def get_stats(self) -> CacheStats:
        """Return what happened since the cache was made."""
        return self._cache.get_stats()


@attrs.define(eq=False)
class ExchangeInfoCache(_VenueCache):
    """What venues list: their trading pairs, and what they say about each.

    Args:
        ttl: Seconds that an entry lives. Venues change their lists a few times a day.
        max_size: Entries of all venues together.
        clock: As in `SimpleCache`.
    """

    ttl: float = 3600.0

    def get_trading_pairs(self, exchange: str) -> list[str] | None:
        """Return the symbols that a venue lists, as a new list; ``None`` where that is not known."""
        pairs: tuple[str, ...] | None = self._cache.get((exchange, "pairs", ""))
        return None if pairs is None else list(pairs)

    def set_trading_pairs(self, exchange: str, pairs: Iterable[str]) -> None:
        """Keep the symbols that a venue lists."""
        self._cache.set((exchange, "pairs", ""), tuple(pairs))

    def get_exchange_info(self, exchange: str, symbol: str) -> Any:  # noqa: ANN401 - what was put in
        """Return what a venue says about an instrument: what was put in, or ``None``."""
        return self._cache.get((exchange, "info", symbol))

    def set_exchange_info(self, exchange: str, symbol: str, info: object) -> None:
        """Keep what a venue says about an instrument: its `Instrument`, or anything else."""
        self._cache.set((exchange, "info", symbol), info)


@attrs.define(eq=False)
class MarketDataCache(_VenueCache):
    """The last known prices and books, for those who can live with a few seconds of age.

    Args:
        ttl: Seconds that an entry lives.
        max_size: Entries of all venues together.
        clock: As in `SimpleCache`.
    """

    ttl: float = 5.0

    def get_ticker(self, exchange: str, symbol: str) -> Any:  # noqa: ANN401 - what was put in
        """Return the last ticker: what was put in, or ``None``."""
        return self._cache.get((exchange, "ticker", symbol))

    def set_ticker(self, exchange: str, symbol: str, ticker: object) -> None:
        """Keep a ticker: a `Tick`, or anything else."""
        self._cache.set((exchange, "ticker", symbol), ticker)

    def get_orderbook(self, exchange: str, symbol: str) -> Any:  # noqa: ANN401 - what was put in
        """Return the last book: what was put in, or ``None``."""
        return self._cache.get((exchange, "orderbook", symbol))

    def set_orderbook(self, exchange: str, symbol: str, orderbook: object) -> None:
        """Keep a book: an `OrderBook`, or anything else."""
        self._cache.set((exchange, "orderbook", symbol), orderbook)


_EXCHANGE_INFO = ExchangeInfoCache()
_MARKET_DATA = MarketDataCache()


def get_exchange_info_cache() -> ExchangeInfoCache:
    """Return the cache that the whole process shares."""
    return _EXCHANGE_INFO


def get_market_data_cache() -> MarketDataCache:
    """Return the cache that the whole process shares."""
    return _MARKET_DATA
