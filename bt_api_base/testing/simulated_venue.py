"""A venue that never was: Binance's spot market streams on loopback, over seeded markets, with faults on request.

It answers requests, numbers its updates and trades without a gap, and remembers what it sent, so that a client can be
tested, demonstrated and reconciled without an exchange. What the markets do depends on the seed only.

Example:
    ```python
    async with SimulatedVenue(("BTC-USDT",), seed=1, rate=100) as venue:
        config = WebSocketConfig(url=venue.url, exchange_name=venue.exchange_name)
        ...
        await venue.kill(seconds=0.5)
    ```
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, cast

from typing_extensions import Unpack, override

from bt_api_base.testing.binance_dialect import BinanceDialect
from bt_api_base.testing.binance_frames import (
    StreamName,
    aggregate_trade_data,
    book_ticker_data,
    depth_data,
    kline_data,
    mini_ticker_data,
    parse_stream_name,
    partial_depth_data,
    ticker_data,
    trade_data,
)
from bt_api_base.testing.market_venue import MarketVenue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bt_api_base.testing.market import MarketSpec, MarketStep
    from bt_api_base.testing.market_bars import ClosedBar, MarketBar
    from bt_api_base.testing.market_hub import Hub, StreamKey
    from bt_api_base.testing.venue_connection import Feed
    from bt_api_base.testing.venue_options import VenueOptions

_DEPTH_CHANNELS: Final = ("depth", "partialDepth")


class SimulatedVenue(MarketVenue):
    """Markets of one's own behind Binance's spot market streams.

    Args:
        symbols: Internal symbols, for example "BTC-USDT", or specifications of markets.
        seed: What everything the markets do, and random faults, follow from.
        rate: Steps per second of each market, more than 0; a step is a change of the book or a taker's trade and makes
            between none and a handful of frames. Up to some tens of thousands; beyond what the machine can do, the
            markets slow down.
        paused: Whether to begin without moving, for `step` or `resume`.
        start_time_ns: Nanoseconds since the epoch that timestamps begin at, from where they follow the markets' own
            time; then the same seed and steps give the same frames, byte for byte. None stamps with the clock.
        exchange_name: Venue and asset type it stands in for.
        **options: See `bt_api_base.testing.venue_options.VenueOptions`.

    Raises:
        ValueError: There are no symbols or the same twice, or the rate is not positive.
    """

    def __init__(
        self,
        symbols: Sequence[str | MarketSpec] = ("BTC-USDT", "ETH-USDT"),
        *,
        seed: int = 1,
        rate: float = 20.0,
        paused: bool = False,
        start_time_ns: int | None = None,
        exchange_name: str = "BINANCE___SPOT",
        **options: Unpack[VenueOptions],
    ) -> None:
        super().__init__(
            BinanceDialect(),
            symbols,
            exchange_name=exchange_name,
            seed=seed,
            rate=rate,
            paused=paused,
            start_time_ns=start_time_ns,
            **options,
        )

    @property
    def ws_url(self) -> str:
        """Where to connect for raw streams, ``ws://127.0.0.1:port/ws``."""
        return self.url_of("/ws")

    @override
    def _venue_symbol(self, symbol: str) -> str:
        return symbol.replace("-", "").upper()

    @override
    def _market_key(self, venue_symbol: str) -> str:
        return venue_symbol.lower()

    @override
    def _parse_stream(self, name: str) -> StreamName | None:
        return parse_stream_name(name)

    # From market events to frames. Nothing is encoded that nobody listens to.

    @override
    def _follow_step(self, hub: Hub, step: MarketStep) -> None:
        feeds, symbol = hub.feeds, hub.venue_symbol
        if step.trades:
            for feed in feeds.of("trade"):
                for trade in step.trades:
                    self._publish(feed, trade.id, partial(trade_data, symbol, trade))
            for feed in feeds.of("aggTrade"):
                for fill in step.aggregates:
                    self._publish(feed, fill.id, partial(aggregate_trade_data, symbol, fill))
        if step.best_changed:
            best = hub.market.best
            for feed in feeds.of("bookTicker"):
                self._publish(feed, best.update_id, partial(_undated, book_ticker_data, symbol, best))

    @override
    def _follow_period(self, hub: Hub, number: int) -> None:
        self._publish_depth(hub, 100)
        if number % 10 == 0:
            self._publish_depth(hub, 1_000)
            self._publish_tickers(hub)
            for key, feeds in hub.feeds.items("kline"):
                interval = cast("StreamName", key).interval
                bar = hub.market.bar(interval)
                if bar is not None and (key.period_ms == 1_000 or number % 20 == 0):
                    self._publish_bar(hub, feeds, interval, bar, closed=False)

    def _publish_depth(self, hub: Hub, period_ms: int) -> None:
        if not hub.is_recording(period_ms):
            return
        change = hub.recorder(period_ms).take()
        if change is None:
            return
        encode = partial(depth_data, hub.venue_symbol, change, hub.market.time_us)
        for feed in hub.feeds.of("depth", period_ms):
            self._publish(feed, change.last_update_id, encode)
        for key, feeds in hub.feeds.items("partialDepth", period_ms):
            snapshot = hub.market.depth(cast("StreamName", key).levels)
            for feed in feeds:
                self._publish(feed, snapshot.last_update_id, partial(_undated, partial_depth_data, snapshot))

    @override
    def _stream_opened(self, hub: Hub, key: StreamKey) -> None:
        if key.channel in _DEPTH_CHANNELS:
            hub.recorder(key.period_ms)  # from now on, so that nothing is missing between a snapshot and the first one

    @override
    def _stream_closed(self, hub: Hub, key: StreamKey) -> None:
        if not any(hub.feeds.of(channel, key.period_ms) for channel in _DEPTH_CHANNELS):
            hub.release(key.period_ms)

    def _publish_tickers(self, hub: Hub) -> None:
        market, symbol, time_us = hub.market, hub.venue_symbol, hub.market.time_us
        tickers, mini_tickers = hub.feeds.of("ticker"), hub.feeds.of("miniTicker")
        day = market.day() if tickers or mini_tickers else None
        if day is None:
            return
        for feed in tickers:
            self._publish(feed, time_us, partial(ticker_data, symbol, day, market.best, time_us))
        for feed in mini_tickers:
            self._publish(feed, time_us, partial(mini_ticker_data, symbol, day, time_us))

    @override
    def _follow_bars(self, hub: Hub, closed: tuple[ClosedBar, ...]) -> None:
        for key, feeds in hub.feeds.items("kline"):
            interval = cast("StreamName", key).interval
            for bar in closed:
                if bar.interval == interval:
                    self._publish_bar(hub, feeds, interval, bar.bar, closed=True)

    def _publish_bar(self, hub: Hub, feeds: list[Feed], interval: str, bar: MarketBar, *, closed: bool) -> None:
        time_us = hub.market.time_us
        for feed in feeds:
            self._publish(feed, time_us, partial(kline_data, hub.venue_symbol, interval, bar, time_us, closed=closed))


def _undated(encode: Callable[..., bytes], *values: object) -> bytes:
    """Return data without a timestamp: the last value is the unit that they are not printed in."""
    return encode(*values[:-1])


__all__ = ("SimulatedVenue",)
