"""From Binance's payloads to events.

Each function takes a decoded payload, the stream's symbol and what the venue calls it, the table of
symbols and the local time, and returns the payload's events.

This is the hot path. Events are built positionally, which is twice as fast. A payload nearly always
has the stream's symbol, and comparing two short strings takes a third of the time of looking one up.
Should a payload ever be about another symbol, its numbers are not passed off as the stream's.
"""

# ruff: noqa: ARG001 - one signature for all: the hot path does not ask which arguments a function wants
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bt_api_base.containers import Bar, Event, OrderBook, OrderBookDelta, Side, Tick, Trade
from bt_api_base.venues.binance.symbols import SymbolTable

if TYPE_CHECKING:
    from bt_api_base.venues.binance import wire

__all__ = (
    "EXCHANGE_NAME",
    "Converter",
    "aggregate_trade",
    "aggregate_trade_of",
    "book_ticker",
    "depth_update",
    "each",
    "kline",
    "kline_of",
    "nanoseconds",
    "partial_depth",
    "ticker_24h",
    "trade",
    "window_ticker",
    "window_ticker_of",
)

EXCHANGE_NAME = "BINANCE___SPOT"

Converter = Callable[[Any, str, str, SymbolTable, int], tuple[Event, ...]]
"""A function of this module; the payload's type is its stream's."""

_BUY = Side.BUY
_SELL = Side.SELL

_FIRST_MICROSECOND = (2**63 - 1) // 1_000_000
"""A larger number of milliseconds (year 2262) would not fit in 64 bits as nanoseconds, so it must be
microseconds (April 1970). The venue does not say in a frame which of the two it uses."""


def nanoseconds(timestamp: int) -> int:
    """Convert one of the venue's times."""
    return timestamp * 1_000_000 if timestamp <= _FIRST_MICROSECOND else timestamp * 1000


def book_ticker(
    data: wire.BookTicker, symbol: str, venue_symbol: str, symbols: SymbolTable, local_time: int
) -> tuple[Event, ...]:
    """Best bid and ask; the venue gives no time."""
    return (
        Tick(
            EXCHANGE_NAME,
            symbol if data.symbol == venue_symbol else symbols[data.symbol],
            0,
            local_time,
            data.bid_price,
            data.ask_price,
            data.bid_volume,
            data.ask_volume,
            None,
            None,
            None,
            None,
            None,
            None,
            None,
            data.update_id,
        ),
    )


def ticker_24h(
    data: wire.Ticker24h, symbol: str, venue_symbol: str, symbols: SymbolTable, local_time: int
) -> tuple[Event, ...]:
    """Best bid and ask, the last trade, and the last 24 hours."""
    return (
        Tick(
            EXCHANGE_NAME,
            symbol if data.symbol == venue_symbol else symbols[data.symbol],
            nanoseconds(data.event_time),
            local_time,
            data.bid_price,
            data.ask_price,
            data.bid_volume,
            data.ask_volume,
            data.last_price,
            data.last_volume,
            data.open_price,
            data.high_price,
            data.low_price,
            data.volume,
            data.turnover,
        ),
    )


def window_ticker_of(exchange_name: str) -> Converter:
    """Make the converter of tickers without bid and ask, for one market."""

    def window_ticker(
        data: wire.MiniTicker | wire.WindowTicker, symbol: str, venue_symbol: str, symbols: SymbolTable, local_time: int
    ) -> tuple[Event, ...]:
        """The last price and a rolling window, without bid and ask."""
        return (
            Tick(
                exchange_name,
                symbol if data.symbol == venue_symbol else symbols[data.symbol],
                nanoseconds(data.event_time),
                local_time,
                None,
                None,
                None,
                None,
                data.last_price,
                None,
                data.open_price,
                data.high_price,
                data.low_price,
                data.volume,
                data.turnover,
            ),
        )

    return window_ticker


window_ticker = window_ticker_of(EXCHANGE_NAME)


def trade(data: wire.Trade, symbol: str, venue_symbol: str, symbols: SymbolTable, local_time: int) -> tuple[Event, ...]:
    """One trade. Where the buyer was the maker, the taker sold."""
    return (
        Trade(
            EXCHANGE_NAME,
            symbol if data.symbol == venue_symbol else symbols[data.symbol],
            nanoseconds(data.event_time),
            local_time,
            str(data.trade_id),
            data.price,
            data.volume,
            _SELL if data.buyer_is_maker else _BUY,
            nanoseconds(data.trade_time),
        ),
    )


def aggregate_trade_of(exchange_name: str) -> Converter:
    """Make the converter of aggregate trades, for one market."""

    def aggregate_trade(
        data: wire.AggregateTrade, symbol: str, venue_symbol: str, symbols: SymbolTable, local_time: int
    ) -> tuple[Event, ...]:
        """Several trades of one taker order, with the ids of the first and the last."""
        return (
            Trade(
                exchange_name,
                symbol if data.symbol == venue_symbol else symbols[data.symbol],
                nanoseconds(data.event_time),
                local_time,
                str(data.aggregate_id),
                data.price,
                data.volume,
                _SELL if data.buyer_is_maker else _BUY,
                nanoseconds(data.trade_time),
                str(data.first_trade_id),
                str(data.last_trade_id),
            ),
        )

    return aggregate_trade


aggregate_trade = aggregate_trade_of(EXCHANGE_NAME)


def partial_depth(
    data: wire.PartialDepth, symbol: str, venue_symbol: str, symbols: SymbolTable, local_time: int
) -> tuple[Event, ...]:
    """The best levels. Only the stream's name says of what; the venue gives no time."""
    return (OrderBook(EXCHANGE_NAME, symbol, 0, local_time, data.bids, data.asks, data.update_id),)


def depth_update(
    data: wire.DepthUpdate, symbol: str, venue_symbol: str, symbols: SymbolTable, local_time: int
) -> tuple[Event, ...]:
    """Changed levels. The venue does not repeat the id before the first, so ``previous_sequence`` is ``None``."""
    return (
        OrderBookDelta(
            EXCHANGE_NAME,
            symbol if data.symbol == venue_symbol else symbols[data.symbol],
            nanoseconds(data.event_time),
            local_time,
            data.bids,
            data.asks,
            data.first_update_id,
            data.last_update_id,
        ),
    )


def kline_of(exchange_name: str) -> Converter:
    """Make the converter of bars, for one market."""

    def kline(
        data: wire.Kline, symbol: str, venue_symbol: str, symbols: SymbolTable, local_time: int
    ) -> tuple[Event, ...]:
        """One bar. The close time is the venue's: the last millisecond of the interval."""
        body = data.body
        return (
            Bar(
                exchange_name,
                symbol if data.symbol == venue_symbol else symbols[data.symbol],
                nanoseconds(data.event_time),
                local_time,
                body.interval,
                nanoseconds(body.open_time),
                nanoseconds(body.close_time),
                body.open_price,
                body.high_price,
                body.low_price,
                body.close_price,
                body.volume,
                body.turnover,
                body.trade_count,
                body.taker_buy_volume,
                body.taker_buy_turnover,
                body.is_closed,
            ),
        )

    return kline


kline = kline_of(EXCHANGE_NAME)


def each(convert: Converter) -> Converter:
    """Make a converter of a list of payloads out of one for a single payload."""

    def convert_each(
        data: list[Any], symbol: str, venue_symbol: str, symbols: SymbolTable, local_time: int
    ) -> tuple[Event, ...]:
        return tuple(event for item in data for event in convert(item, symbol, venue_symbol, symbols, local_time))

    return convert_each
