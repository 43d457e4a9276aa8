"""The payloads of Binance's USD-M futures streams that differ from the spot market's.

Source: Binance USD-M futures API documentation, "Websocket Market Streams". Only fields that an event needs are
declared. ``st`` tells USD-margined contracts (1) from coin-margined ones (2), which share some streams since both
markets were merged (June 2026).
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from bt_api_base.venues.binance.wire import Identifier, Level, MiniTicker as SpotMiniTicker, Number, Timestamp

__all__ = (
    "COIN_MARGINED",
    "BookTicker",
    "DepthUpdate",
    "ForceOrder",
    "ForceOrderBody",
    "MarkPrice",
    "MiniTicker",
    "Rate",
    "Ticker24h",
)

COIN_MARGINED = 2
"""``st`` of contracts that are another market's."""

Rate = Annotated[str, Meta(pattern=r"^(-?[0-9]{1,20}(\.[0-9]{0,40})?)?$")]
"""A rate, which may be negative; empty where there is none."""


class BookTicker(
    Struct,
    gc=False,
    rename={
        "event_type": "e",
        "update_id": "u",
        "event_time": "E",
        "symbol": "s",
        "bid_price": "b",
        "bid_volume": "B",
        "ask_price": "a",
        "ask_volume": "A",
        "family": "st",
    },
):
    """``<symbol>@bookTicker``: the best bid and ask, with a time."""

    event_type: Literal["bookTicker"]
    update_id: Identifier
    event_time: Timestamp
    symbol: str
    bid_price: Number
    bid_volume: Number
    ask_price: Number
    ask_volume: Number
    family: int = 1


class DepthUpdate(
    Struct,
    gc=False,
    rename={
        "event_type": "e",
        "event_time": "E",
        "symbol": "s",
        "first_update_id": "U",
        "last_update_id": "u",
        "previous_update_id": "pu",
        "bids": "b",
        "asks": "a",
    },
):
    """``<symbol>@depth`` (levels that changed) and ``<symbol>@depth<levels>`` (the best levels): the same payload."""

    event_type: Literal["depthUpdate"]
    event_time: Timestamp
    symbol: str
    first_update_id: Identifier
    last_update_id: Identifier
    previous_update_id: Identifier
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class MiniTicker(SpotMiniTicker, gc=False, rename={"family": "st"}):
    """``<symbol>@miniTicker``: prices and volume of the last 24 hours."""

    family: int = 1


class Ticker24h(
    Struct,
    gc=False,
    rename={
        "event_type": "e",
        "event_time": "E",
        "symbol": "s",
        "last_price": "c",
        "last_volume": "Q",
        "open_price": "o",
        "high_price": "h",
        "low_price": "l",
        "volume": "v",
        "turnover": "q",
        "family": "st",
    },
):
    """``<symbol>@ticker``: the last trade, and prices and volume of the last 24 hours; without bid and ask."""

    event_type: Literal["24hrTicker"]
    event_time: Timestamp
    symbol: str
    last_price: Number
    last_volume: Number
    open_price: Number
    high_price: Number
    low_price: Number
    volume: Number
    turnover: Number
    family: int = 1


class MarkPrice(
    Struct,
    gc=False,
    rename={
        "event_type": "e",
        "event_time": "E",
        "symbol": "s",
        "mark_price": "p",
        "index_price": "i",
        "settlement_price": "P",
        "funding_rate": "r",
        "funding_time": "T",
        "family": "st",
    },
):
    """``<symbol>@markPrice``: mark price and funding. Delivery contracts have an empty rate, and 0 for its time."""

    event_type: Literal["markPriceUpdate"]
    event_time: Timestamp
    symbol: str
    mark_price: Number
    index_price: Number
    settlement_price: Number
    funding_rate: Rate
    funding_time: Timestamp
    family: int = 1


class ForceOrderBody(
    Struct,
    gc=False,
    rename={
        "symbol": "s",
        "side": "S",
        "volume": "q",
        "price": "p",
        "average_price": "ap",
        "status": "X",
        "filled_volume": "z",
        "trade_time": "T",
        "family": "st",
    },
):
    """The order that closes a position."""

    symbol: str
    side: Literal["BUY", "SELL"]
    volume: Number
    price: Number
    average_price: Number
    status: str
    filled_volume: Number
    trade_time: Timestamp
    family: int = 1


class ForceOrder(Struct, gc=False, rename={"event_type": "e", "event_time": "E", "body": "o", "outer_family": "st"}):
    """``<symbol>@forceOrder``: a liquidation, at most the last of each second."""

    event_type: Literal["forceOrder"]
    event_time: Timestamp
    body: ForceOrderBody
    outer_family: int = 1

    @property
    def family(self) -> int:
        """Which market it is of; the venue does not document whether it says so outside or inside of the order."""
        return max(self.outer_family, self.body.family)

    @property
    def symbol(self) -> str:
        """What it is about."""
        return self.body.symbol
