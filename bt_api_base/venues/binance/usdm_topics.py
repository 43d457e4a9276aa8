"""The topics of Binance's USD-M futures, and which of the venue's endpoints carries each.

Sources: Binance USD-M futures API documentation, "Websocket Market Streams", and "Important WebSocket Change Notice" of
2026-03-06: since 2026-04-23 the streams of the book come from ``/public``, all others from ``/market``.

Updates of the book are chained: each repeats the last id of the one before. Aggregate ids count up by one for each
symbol. Frames with a mark price hold two events of one time, and a bar that closes and the first of the next one may
bear the same time, so those have no order to tell anything by.
"""

from __future__ import annotations

from typing import Final

from bt_api_base.containers import Bar, FundingRate, Liquidation, MarkPrice, OrderBook, OrderBookDelta, Tick, Trade
from bt_api_base.venues.binance import usdm_convert as convert, usdm_wire as wire
from bt_api_base.venues.binance.table import Parameter, Topic, TopicTable
from bt_api_base.venues.binance.topics import INTERVALS as SPOT_INTERVALS
from bt_api_base.venues.binance.wire import AggregateTrade, Kline
from bt_api_base.websocket.adapter import Continuity

__all__ = ("INTERVALS", "MARKET", "PUBLIC", "TABLE")

INTERVALS = tuple(interval for interval in SPOT_INTERVALS if interval != "1s")

PUBLIC: Final = "public"
"""The endpoint of the book."""

MARKET: Final = "market"
"""The endpoint of everything else that is not an account's."""

_QUIET: Final = 30.0
"""Silence that a stream with a frame every 1 to 3 seconds never has, generously."""

_DEPTH_SPEED = Parameter("250", {"250": "", "100": "@100ms", "500": "@500ms"}, ("speed_ms",), "ms")
_MARK_SPEED = Parameter("1000", {"1000": "@1s", "3000": ""}, ("speed_ms",), "ms")

TABLE: Final = TopicTable(
    convert.EXCHANGE_NAME,
    (
        Topic(
            "ticker",
            "bookTicker",
            wire.BookTicker,
            convert.book_ticker,
            Tick,
            "bookTicker",
            other_names=("bbo", "tick"),
            all_symbols="!bookTicker",
            all_listed=False,
            all_converter=convert.usd_margined(convert.book_ticker),
            endpoint=PUBLIC,
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
            all_symbols="!ticker@arr",
            all_converter=convert.usd_margined_each(convert.ticker_24h),
            endpoint=MARKET,
            continuity=Continuity.INCREASING,  # by the venue's time: one every two seconds
            quiet_after=_QUIET,
            recoverable=True,
        ),
        Topic(
            "mini_ticker",
            "miniTicker",
            wire.MiniTicker,
            convert.mini_ticker,
            Tick,
            "24hrMiniTicker",
            other_names=("24hrMiniTicker",),
            all_symbols="!miniTicker@arr",
            all_converter=convert.usd_margined_each(convert.mini_ticker),
            endpoint=MARKET,
            continuity=Continuity.INCREASING,
            quiet_after=_QUIET,
            recoverable=True,
        ),
        Topic(
            "agg_trade",
            "aggTrade",
            AggregateTrade,
            convert.aggregate_trade,
            Trade,
            "aggTrade",
            # The stream of single trades is undocumented, and silent: here a trade is an aggregate.
            other_names=("aggTrades", "aggregateTrade", "trade", "trades"),
            endpoint=MARKET,
            continuity=Continuity.CONSECUTIVE,
            recoverable=True,  # GET /fapi/v1/aggTrades from an id, of the last 48 hours
        ),
        Topic(
            "depth",
            "depth{levels}{speed}",
            wire.DepthUpdate,
            convert.partial_depth,
            OrderBook,
            "depthUpdate",
            parameters={
                "levels": Parameter("20", {"5": "5", "10": "10", "20": "20"}, ("level",)),
                "speed": _DEPTH_SPEED,
            },
            other_names=("orderbook", "book", "partialDepth"),
            endpoint=PUBLIC,
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
            parameters={"speed": _DEPTH_SPEED},
            other_names=("depthUpdate", "diffDepth", "orderbookDelta"),
            endpoint=PUBLIC,
            continuity=Continuity.CONSECUTIVE,
            recoverable=True,  # by GET /fapi/v1/depth, a new snapshot
        ),
        Topic(
            "kline",
            "kline_{interval}",
            Kline,
            convert.kline,
            Bar,
            "kline",
            parameters={"interval": Parameter("1m", {name: name for name in INTERVALS}, ("period",))},
            variant="interval",
            other_names=("bar", "candle", "candlestick", "klines"),
            endpoint=MARKET,
            recoverable=True,  # GET /fapi/v1/klines
        ),
        *(
            Topic(
                name,
                "markPrice{speed}",
                wire.MarkPrice,
                convert.mark_price,
                event_type,
                "markPriceUpdate",
                parameters={"speed": _MARK_SPEED},
                other_names=other_names,
                all_symbols="!markPrice@arr{speed}",
                all_converter=convert.usd_margined_each(convert.mark_price),
                endpoint=MARKET,
                mixed=True,
                quiet_after=_QUIET,
                recoverable=True,  # each is a whole state
            )
            for name, event_type, other_names in (
                ("mark_price", MarkPrice, ("markPriceUpdate",)),
                ("funding_rate", FundingRate, ("funding",)),
            )
        ),
        Topic(
            "liquidation",
            "forceOrder",
            wire.ForceOrder,
            convert.force_order,
            Liquidation,
            "forceOrder",
            other_names=("forceOrder", "liquidations"),
            all_symbols="!forceOrder@arr",
            all_listed=False,
            all_converter=convert.usd_margined(convert.force_order),
            endpoint=MARKET,
        ),
    ),
)
"""The table."""
