"""A venue that never was: Binance's spot market on loopback, over seeded markets, with faults on request.

It answers requests, numbers its updates and trades without a gap, and remembers what it sent, so that a client can be
tested, demonstrated and reconciled without an exchange. What the markets do depends on the seed only. Its REST side
takes orders for an account, which an exchange executes against the markets; the account's events come from the
WebSocket API.

Example:
    ```python
    async with SimulatedVenue(("BTC-USDT",), seed=1, rate=100) as venue:
        config = WebSocketConfig(url=venue.url, exchange_name=venue.exchange_name)
        ...
        async with httpx.AsyncClient(base_url=venue.rest_url) as client:
            await client.get("/api/v3/depth?symbol=BTCUSDT")
        await venue.kill(seconds=0.5)
    ```
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from typing_extensions import Unpack, override

from bt_api_base.testing.binance_frames import (
    WINDOWS_US,
    StreamName,
    aggregate_trade_data,
    array_data,
    average_price_data,
    book_ticker_data,
    depth_data,
    kline_data,
    mini_ticker_data,
    parse_stream_name,
    partial_depth_data,
    ticker_data,
    trade_data,
    window_ticker_data,
)
from bt_api_base.testing.binance_private_dialect import CREDENTIALS
from bt_api_base.testing.binance_rest_venue import BinanceSpotVenue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bt_api_base.security import Credentials
    from bt_api_base.testing.market import MarketSpec, MarketStep
    from bt_api_base.testing.market_bars import ClosedBar, MarketBar
    from bt_api_base.testing.market_hub import Hub, StreamKey
    from bt_api_base.testing.venue_connection import Feed
    from bt_api_base.testing.venue_options import VenueOptions

_DEPTH_CHANNELS: Final = ("depth", "partialDepth")
_TICKERS: Final = ("ticker", "miniTicker", "windowTicker", "avgPrice")
_AVERAGED_US: Final = 5 * 60_000_000
"""What an average price is the average of."""

_Ticker: TypeAlias = Callable[[int], bytes]
"""Makes the data of a ticker from the unit of the timestamps."""


class SimulatedVenue(BinanceSpotVenue):
    """Markets of one's own, and an account, behind the streams and the REST API of Binance's spot market.

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
        credentials: What log-ins and signatures are checked against. With a private key in PEM, connections can log on.
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
        credentials: Credentials = CREDENTIALS,
        **options: Unpack[VenueOptions],
    ) -> None:
        super().__init__(
            symbols,
            exchange_name=exchange_name,
            seed=seed,
            rate=rate,
            paused=paused,
            start_time_ns=start_time_ns,
            credentials=credentials,
            **options,
        )
        self._seen_trades: dict[StreamName, dict[Hub, int]] = {}
        """Number of the last trade that an array of tickers has told of, by market."""

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
                name = cast("StreamName", key)
                bar = hub.market.bar(name.bars)
                if bar is not None and (name.period_ms == 1_000 or number % 20 == 0):
                    self._publish_bar(hub, feeds, name.interval, bar, closed=False)

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
        for channel in _TICKERS:
            for key, feeds in hub.feeds.items(channel):
                event = _ticker(cast("StreamName", key), hub, hub.market.time_us)
                for feed in feeds if event is not None else ():
                    self._publish(feed, hub.market.time_us, cast("_Ticker", event))

    @override
    def _follow_all_markets(self, number: int) -> None:
        if number % 10:
            return
        time_us = self._stamp_us()
        for channel in _TICKERS:
            for key, feeds in self._all_markets.items(channel):
                events = self._changed_tickers(cast("StreamName", key), time_us)
                for feed in feeds if events else ():
                    self._publish(feed, time_us, partial(array_data, events))

    def _changed_tickers(self, name: StreamName, time_us: int) -> list[_Ticker]:
        """Return the tickers of all symbols that have traded since the last time."""
        seen, events = self._seen_trades.setdefault(name, {}), list["_Ticker"]()
        for hub in self._order:
            last_trade_id = hub.market.last_trade_id
            if seen.get(hub) != last_trade_id:
                event = _ticker(name, hub, time_us)
                if event is not None:
                    seen[hub] = last_trade_id
                    events.append(event)
        return events

    @override
    def _follow_bars(self, hub: Hub, closed: tuple[ClosedBar, ...]) -> None:
        for key, feeds in hub.feeds.items("kline"):
            name = cast("StreamName", key)
            for bar in closed:
                if bar.interval == name.bars:
                    self._publish_bar(hub, feeds, name.interval, bar.bar, closed=True)

    def _publish_bar(self, hub: Hub, feeds: list[Feed], interval: str, bar: MarketBar, *, closed: bool) -> None:
        time_us = hub.market.time_us
        for feed in feeds:
            self._publish(feed, time_us, partial(kline_data, hub.venue_symbol, interval, bar, time_us, closed=closed))


def _ticker(name: StreamName, hub: Hub, time_us: int) -> _Ticker | None:
    """Return what makes the data of a ticker of what a market is now, or None before its first trade."""
    market, symbol = hub.market, hub.venue_symbol
    if name.channel == "windowTicker":
        statistics = market.window(WINDOWS_US[name.interval])
    else:
        statistics = market.window(_AVERAGED_US) if name.channel == "avgPrice" else market.day()
    if statistics is None:
        return None
    if name.channel == "windowTicker":
        return partial(window_ticker_data, symbol, name.interval, statistics, time_us)
    if name.channel == "avgPrice":
        return partial(average_price_data, symbol, statistics, time_us)
    if name.channel == "ticker":
        return partial(ticker_data, symbol, statistics, market.best, time_us)
    return partial(mini_ticker_data, symbol, statistics, time_us)


def _undated(encode: Callable[..., bytes], *values: object) -> bytes:
    """Return data without a timestamp: the last value is the unit that they are not printed in."""
    return encode(*values[:-1])


__all__ = ("SimulatedVenue",)
