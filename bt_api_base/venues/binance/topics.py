"""The topics of Binance spot.

Continuity, pace and recovery are as the documentation has them ("WebSocket Streams"; ids are consecutive in every
recording): trade ids and aggregate ids count up by one for each symbol, a book's ``U`` is the previous ``u`` plus one.
A bar that closes and the first of the next one may bear the same time, so bars have no order to tell anything by.
"""

from __future__ import annotations

from typing import Final

from bt_api_base.containers import Bar, OrderBook, OrderBookDelta, Tick, Trade
from bt_api_base.venues.binance import convert, wire
from bt_api_base.venues.binance.convert import EXCHANGE_NAME
from bt_api_base.venues.binance.table import Parameter, Topic, TopicTable
from bt_api_base.websocket.adapter import Continuity

__all__ = ("INTERVALS", "STREAMS", "TABLE", "TOPICS", "WINDOWS")

INTERVALS = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M")
WINDOWS = ("1h", "4h", "1d")

_SECONDS_AT_ONE_A_SECOND: Final = 30.0
"""Silence that a stream with one frame a second never has, generously."""

_SPEED = Parameter("1000", {"1000": "", "100": "@100ms"}, ("speed_ms",), "ms")

TABLE: Final = TopicTable(
    EXCHANGE_NAME,
    (
        Topic(
            "ticker",
            "bookTicker",
            wire.BookTicker,
            convert.book_ticker,
            Tick,
            other_names=("bookTicker", "bbo", "tick"),
            continuity=Continuity.INCREASING,  # by the update id
            recoverable=True,  # each is a whole state, as with all tickers
        ),
        Topic(
            "ticker_24h",
            "ticker",
            wire.Ticker24h,
            convert.ticker_24h,
            Tick,
            "24hrTicker",
            other_names=("24hrTicker", "ticker24hr"),
            continuity=Continuity.INCREASING,  # by the venue's time: there is one a second
            quiet_after=_SECONDS_AT_ONE_A_SECOND,
            recoverable=True,
        ),
        Topic(
            "mini_ticker",
            "miniTicker",
            wire.MiniTicker,
            convert.window_ticker,
            Tick,
            "24hrMiniTicker",
            other_names=("24hrMiniTicker",),
            all_symbols="!miniTicker@arr",
            continuity=Continuity.INCREASING,
            quiet_after=_SECONDS_AT_ONE_A_SECOND,
            recoverable=True,
        ),
        *(
            Topic(
                f"ticker_{window}",
                f"ticker_{window}",
                wire.WindowTicker,
                convert.window_ticker,
                Tick,
                f"{window}Ticker",
                other_names=(f"{window}Ticker",),
                all_symbols=f"!ticker_{window}@arr",
                continuity=Continuity.INCREASING,
                quiet_after=_SECONDS_AT_ONE_A_SECOND,
                recoverable=True,
            )
            for window in WINDOWS
        ),
        Topic(
            "trade",
            "trade",
            wire.Trade,
            convert.trade,
            Trade,
            "trade",
            other_names=("trades",),
            continuity=Continuity.CONSECUTIVE,
            recoverable=True,  # GET /api/v3/historicalTrades from an id
        ),
        Topic(
            "agg_trade",
            "aggTrade",
            wire.AggregateTrade,
            convert.aggregate_trade,
            Trade,
            "aggTrade",
            other_names=("aggTrades", "aggregateTrade"),
            continuity=Continuity.CONSECUTIVE,
            recoverable=True,  # GET /api/v3/aggTrades from an id
        ),
        Topic(
            "depth",
            "depth{levels}{speed}",
            wire.PartialDepth,
            convert.partial_depth,
            OrderBook,
            parameters={
                "levels": Parameter("20", {"5": "5", "10": "10", "20": "20"}, ("level",)),
                "speed": _SPEED,
            },
            other_names=("orderbook", "book", "partialDepth"),
            continuity=Continuity.INCREASING,
            recoverable=True,  # each is the whole of it
        ),
        Topic(
            "depth_diff",
            "depth{speed}",
            wire.DepthUpdate,
            convert.depth_update,
            OrderBookDelta,
            "depthUpdate",
            parameters={"speed": _SPEED},
            other_names=("depthUpdate", "diffDepth", "orderbookDelta"),
            continuity=Continuity.CONSECUTIVE,
            recoverable=True,  # by GET /api/v3/depth, a new snapshot
        ),
        Topic(
            "kline",
            "kline_{interval}{timezone}",
            wire.Kline,
            convert.kline,
            Bar,
            "kline",
            parameters={
                "interval": Parameter("1m", {name: name for name in INTERVALS}, ("period",)),
                "timezone": Parameter("UTC", {"UTC": "", "+08:00": "@+08:00"}),
            },
            variant="interval",
            other_names=("bar", "candle", "candlestick", "klines"),
            recoverable=True,  # GET /api/v3/klines
        ),
    ),
)

TOPICS: Final = TABLE.topics
"""The table, by the topic's name."""

STREAMS: Final = TABLE.streams
"""Every stream name behind ``<symbol>@``: its topic, and its variant."""
