"""The payloads of OKX's public channels, field by field as they are on the wire.

Source: OKX v5 API documentation, "WebSocket", the sections named at each struct. Only fields that an event needs are
declared; the decoder skips the rest without making objects of them.

Everything comes as text, and ``""`` means "not applicable". The decoder (in its lax mode) turns texts into numbers
itself, and the ranges below are checked in the same pass: comparing also rejects NaN and infinity, which the lax mode
would otherwise take from text.
"""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeVar

from msgspec import Meta, Struct

from bt_api_base.containers import Side

__all__ = (
    "BookData",
    "BookFrame",
    "Candle",
    "Frame",
    "FundingRate",
    "Identifier",
    "Level",
    "LiquidationDetail",
    "Liquidations",
    "MarkPrice",
    "Nothing",
    "Number",
    "Sequence",
    "Signed",
    "Ticker",
    "Timestamp",
    "Trade",
)

T = TypeVar("T")

Number = Annotated[float, Meta(ge=0, lt=1e30)]
"""A price, a quantity or an amount: never negative, and far below what any market trades."""

Signed = Annotated[float, Meta(gt=-1e30, lt=1e30)]
"""A rate, which may be negative."""

Nothing = Literal[""]
"""What stands where a number does not apply."""

Timestamp = Annotated[int, Meta(ge=0, le=9_000_000_000_000)]
"""Milliseconds; bounded (year 2255) so that nanoseconds fit in 64 bits, with the length of any bar on top."""

Sequence = Annotated[int, Meta(ge=-1, le=2**63 - 1)]
"""An id of a book's update; -1 before the first."""

Identifier = Annotated[str, Meta(min_length=1, max_length=40)]
"""A trade's id: digits so far, of up to 64 bits."""


class Frame(Struct, Generic[T], gc=False):
    """A frame of a channel: ``{"arg": {…}, "data": […]}``."""

    data: list[T]


class Level(Struct, array_like=True, gc=False):
    """One price level: price, quantity, a retired field, number of orders. The last two are skipped."""

    price: Number
    volume: Number


class BookData(Struct, gc=False, rename={"timestamp": "ts", "sequence": "seqId", "previous_sequence": "prevSeqId"}):
    """A book, or what changed in it: "Order book channel".

    The checksum is not declared: since 2026-06-23 it is 0 in every frame. Recordings of before the ids have none;
    there every id is 0, so that each follows the one before.
    """

    asks: list[Level]
    bids: list[Level]
    timestamp: Timestamp
    sequence: Sequence = 0
    previous_sequence: Sequence = 0


class BookFrame(Struct, gc=False):
    """A frame of a channel of books by differences: a snapshot first, then updates.

    The documentation's example of a snapshot has no action, so what has none is one.
    """

    data: list[BookData]
    action: Literal["snapshot", "update", ""] = ""


class Ticker(
    Struct,
    gc=False,
    rename={
        "instrument_type": "instType",
        "symbol": "instId",
        "last_price": "last",
        "last_volume": "lastSz",
        "ask_price": "askPx",
        "ask_volume": "askSz",
        "bid_price": "bidPx",
        "bid_volume": "bidSz",
        "open_price": "open24h",
        "high_price": "high24h",
        "low_price": "low24h",
        "volume": "vol24h",
        "volume_currency": "volCcy24h",
        "timestamp": "ts",
    },
):
    """``tickers``: best bid and ask, the last trade and the last 24 hours: "Tickers channel".

    The volume is in contracts for derivatives, else in the base currency; the other one in the base currency for
    derivatives, else in the quote currency.
    """

    symbol: str
    timestamp: Timestamp
    instrument_type: str = ""
    last_price: Number | Nothing = ""
    last_volume: Number | Nothing = ""
    ask_price: Number | Nothing = ""
    ask_volume: Number | Nothing = ""
    bid_price: Number | Nothing = ""
    bid_volume: Number | Nothing = ""
    open_price: Number | Nothing = ""
    high_price: Number | Nothing = ""
    low_price: Number | Nothing = ""
    volume: Number | Nothing = ""
    volume_currency: Number | Nothing = ""


class Trade(
    Struct,
    gc=False,
    rename={"symbol": "instId", "trade_id": "tradeId", "price": "px", "volume": "sz", "timestamp": "ts"},
):
    """``trades`` and ``trades-all``: "Trades channel", "All trades channel".

    In ``trades`` one payload holds the trades of a taker order at one price: the id is the last one's, and the count
    says how many they were.
    """

    symbol: str
    trade_id: Identifier
    price: Number
    volume: Number
    side: Side
    timestamp: Timestamp
    count: Annotated[int, Meta(ge=0, le=2**63 - 1)] | Nothing = ""


class Candle(Struct, array_like=True, gc=False):
    """``candle…``: "Candlesticks channel". Frames of before 2022 end after the sixth or seventh value."""

    open_time: Timestamp
    open_price: Number
    high_price: Number
    low_price: Number
    close_price: Number
    volume: Number
    volume_currency: Number | Nothing = ""
    turnover: Number | Nothing = ""
    confirm: Literal["0", "1"] = "0"


class MarkPrice(Struct, gc=False, rename={"symbol": "instId", "mark_price": "markPx", "timestamp": "ts"}):
    """``mark-price``: "Mark price channel"."""

    symbol: str
    mark_price: Number
    timestamp: Timestamp


class FundingRate(
    Struct,
    gc=False,
    rename={
        "symbol": "instId",
        "current_rate": "fundingRate",
        "current_time": "fundingTime",
        "next_rate": "nextFundingRate",
        "next_time": "nextFundingTime",
        "previous_time": "prevFundingTime",
        "settlement_rate": "settFundingRate",
        "settlement_state": "settState",
        "highest_rate": "maxFundingRate",
        "lowest_rate": "minFundingRate",
        "timestamp": "ts",
    },
):
    """``funding-rate``: "Funding rate channel". The prediction of the next rate is dead: empty."""

    symbol: str
    current_rate: Signed
    current_time: Timestamp | Nothing = ""
    next_rate: Signed | Nothing = ""
    next_time: Timestamp | Nothing = ""
    previous_time: Timestamp | Nothing = ""
    settlement_rate: Signed | Nothing = ""
    settlement_state: str = ""
    highest_rate: Signed | Nothing = ""
    lowest_rate: Signed | Nothing = ""
    method: str = ""
    timestamp: Timestamp | Nothing = ""


class LiquidationDetail(
    Struct, gc=False, rename={"price": "bkPx", "volume": "sz", "position_side": "posSide", "timestamp": "ts"}
):
    """One liquidation."""

    side: Side
    price: Number
    volume: Number
    timestamp: Timestamp
    position_side: str = ""


class Liquidations(Struct, gc=False, rename={"symbol": "instId"}):
    """``liquidation-orders``: "Liquidation orders channel": at most one a second and contract, so not complete."""

    symbol: str
    details: list[LiquidationDetail]
