"""The payloads of Binance's spot market streams, field by field as they are on the wire.

Source: Binance spot API documentation, "WebSocket Streams". Only fields that an event needs are
declared; the decoder skips the rest without making objects of them.

Numbers come as JSON strings. The decoder (in its lax mode) turns them into floats itself, and the
ranges below are checked in the same pass: comparing also rejects NaN and infinity, which the lax
mode would otherwise take from text.
"""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeVar

from msgspec import Meta, Struct

__all__ = (
    "AggregateTrade",
    "BookTicker",
    "Combined",
    "DepthUpdate",
    "Identifier",
    "Kline",
    "KlineBody",
    "Level",
    "MiniTicker",
    "Named",
    "Number",
    "PartialDepth",
    "Ticker24h",
    "Timestamp",
    "Trade",
    "TradeReference",
    "WindowTicker",
)

T = TypeVar("T")

Number = Annotated[float, Meta(ge=0, lt=1e30)]
"""A price, a quantity or an amount: never negative, and far below what any market trades."""

Identifier = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""An update or trade id: a signed 64-bit integer at the venue."""

TradeReference = Annotated[int, Meta(ge=-1, le=2**63 - 1)]
"""First or last trade of an aggregate; -1 in the venue's empty placeholders."""

Timestamp = Annotated[int, Meta(ge=0, le=(2**63 - 1) // 1000)]
"""Milliseconds, or microseconds with ``timeUnit=MICROSECOND``; bounded so that nanoseconds fit in 64 bits."""

Level = tuple[Number, Number]


class Combined(Struct, Generic[T], gc=False):
    """A frame of a combined stream: ``{"stream": "btcusdt@trade", "data": {…}}``."""

    data: T


class Named(Struct, Generic[T], gc=False):
    """The same with the stream's name, for several frames that are decoded at once."""

    stream: str
    data: T


class BookTicker(
    Struct,
    gc=False,
    rename={
        "update_id": "u",
        "symbol": "s",
        "bid_price": "b",
        "bid_volume": "B",
        "ask_price": "a",
        "ask_volume": "A",
    },
):
    """``<symbol>@bookTicker``: the best bid and ask. It has neither an event type nor a time."""

    update_id: Identifier
    symbol: str
    bid_price: Number
    bid_volume: Number
    ask_price: Number
    ask_volume: Number


_WINDOW = {
    "event_type": "e",
    "event_time": "E",
    "symbol": "s",
    "last_price": "c",
    "open_price": "o",
    "high_price": "h",
    "low_price": "l",
    "volume": "v",
    "turnover": "q",
}


class MiniTicker(Struct, gc=False, rename=_WINDOW):
    """``<symbol>@miniTicker``: prices and volume of the last 24 hours."""

    event_type: Literal["24hrMiniTicker"]
    event_time: Timestamp
    symbol: str
    last_price: Number
    open_price: Number
    high_price: Number
    low_price: Number
    volume: Number
    turnover: Number


class WindowTicker(Struct, gc=False, rename=_WINDOW):
    """``<symbol>@ticker_<window>``: prices and volume of a rolling window."""

    event_type: Literal["1hTicker", "4hTicker", "1dTicker"]
    event_time: Timestamp
    symbol: str
    last_price: Number
    open_price: Number
    high_price: Number
    low_price: Number
    volume: Number
    turnover: Number


class Ticker24h(
    Struct,
    gc=False,
    rename={
        "last_volume": "Q",
        "bid_price": "b",
        "bid_volume": "B",
        "ask_price": "a",
        "ask_volume": "A",
        **_WINDOW,
    },
):
    """``<symbol>@ticker``: prices and volume of the last 24 hours, with the best bid and ask."""

    event_type: Literal["24hrTicker"]
    event_time: Timestamp
    symbol: str
    last_price: Number
    last_volume: Number
    bid_price: Number
    bid_volume: Number
    ask_price: Number
    ask_volume: Number
    open_price: Number
    high_price: Number
    low_price: Number
    volume: Number
    turnover: Number


class Trade(
    Struct,
    gc=False,
    rename={
        "event_type": "e",
        "event_time": "E",
        "symbol": "s",
        "trade_id": "t",
        "price": "p",
        "volume": "q",
        "trade_time": "T",
        "buyer_is_maker": "m",
    },
):
    """``<symbol>@trade``: one trade."""

    event_type: Literal["trade"]
    event_time: Timestamp
    symbol: str
    trade_id: Identifier
    price: Number
    volume: Number
    trade_time: Timestamp
    buyer_is_maker: bool


class AggregateTrade(
    Struct,
    gc=False,
    rename={
        "event_type": "e",
        "event_time": "E",
        "symbol": "s",
        "aggregate_id": "a",
        "price": "p",
        "volume": "q",
        "first_trade_id": "f",
        "last_trade_id": "l",
        "trade_time": "T",
        "buyer_is_maker": "m",
    },
):
    """``<symbol>@aggTrade``: the trades of one taker order at one price."""

    event_type: Literal["aggTrade"]
    event_time: Timestamp
    symbol: str
    aggregate_id: Identifier
    price: Number
    volume: Number
    first_trade_id: TradeReference
    last_trade_id: TradeReference
    trade_time: Timestamp
    buyer_is_maker: bool


class PartialDepth(Struct, gc=False, rename={"update_id": "lastUpdateId"}):
    """``<symbol>@depth<levels>``: the best levels. It has no event type, no symbol and no time."""

    update_id: Identifier
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class DepthUpdate(
    Struct,
    gc=False,
    rename={
        "event_type": "e",
        "event_time": "E",
        "symbol": "s",
        "first_update_id": "U",
        "last_update_id": "u",
        "bids": "b",
        "asks": "a",
    },
):
    """``<symbol>@depth``: levels that changed, in absolute quantities."""

    event_type: Literal["depthUpdate"]
    event_time: Timestamp
    symbol: str
    first_update_id: Identifier
    last_update_id: Identifier
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class KlineBody(
    Struct,
    gc=False,
    rename={
        "open_time": "t",
        "close_time": "T",
        "interval": "i",
        "open_price": "o",
        "close_price": "c",
        "high_price": "h",
        "low_price": "l",
        "volume": "v",
        "trade_count": "n",
        "is_closed": "x",
        "turnover": "q",
        "taker_buy_volume": "V",
        "taker_buy_turnover": "Q",
    },
):
    """The bar inside a kline event."""

    open_time: Timestamp
    close_time: Timestamp
    interval: str
    open_price: Number
    close_price: Number
    high_price: Number
    low_price: Number
    volume: Number
    trade_count: Identifier
    is_closed: bool
    turnover: Number
    taker_buy_volume: Number
    taker_buy_turnover: Number


class Kline(Struct, gc=False, rename={"event_type": "e", "event_time": "E", "symbol": "s", "body": "k"}):
    """``<symbol>@kline_<interval>``: the present bar, or one that just closed."""

    event_type: Literal["kline"]
    event_time: Timestamp
    symbol: str
    body: KlineBody
