"""From the payloads of Binance's USD-M futures streams to events, where they differ from the spot market's.

See `bt_api_base.venues.binance.convert` for the form of these functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bt_api_base.containers import (
    Event,
    FundingRate,
    Liquidation,
    MarkPrice,
    OrderBook,
    OrderBookDelta,
    OrderStatus,
    Side,
    Tick,
)
from bt_api_base.venues.binance.convert import (
    Converter,
    aggregate_trade_of,
    kline_of,
    nanoseconds,
    window_ticker_of,
)
from bt_api_base.venues.binance.usdm_wire import COIN_MARGINED

if TYPE_CHECKING:
    from bt_api_base.venues.binance import usdm_wire as wire
    from bt_api_base.venues.binance.symbols import SymbolTable

__all__ = (
    "EXCHANGE_NAME",
    "STATUSES",
    "aggregate_trade",
    "book_ticker",
    "depth_update",
    "force_order",
    "kline",
    "mark_price",
    "mini_ticker",
    "partial_depth",
    "ticker_24h",
    "usd_margined",
    "usd_margined_each",
)

EXCHANGE_NAME = "BINANCE___SWAP"

STATUSES = {
    "NEW": OrderStatus.ACCEPTED,
    "NEW_INSURANCE": OrderStatus.ACCEPTED,  # a liquidation that the insurance fund takes over
    "NEW_ADL": OrderStatus.ACCEPTED,  # auto-deleveraging
    "PARTIALLY_FILLED": OrderStatus.PARTIAL,
    "FILLED": OrderStatus.COMPLETED,
    "CANCELED": OrderStatus.CANCELED,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED_IN_MATCH,
}
"""The venue's words for the state of an order."""

aggregate_trade = aggregate_trade_of(EXCHANGE_NAME)
kline = kline_of(EXCHANGE_NAME)
mini_ticker = window_ticker_of(EXCHANGE_NAME)


def book_ticker(
    data: wire.BookTicker, symbol: str, venue_symbol: str, symbols: SymbolTable, local_time: int
) -> tuple[Event, ...]:
    """Best bid and ask."""
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
    """The last trade and the last 24 hours; unlike on spot, without bid and ask."""
    return (
        Tick(
            EXCHANGE_NAME,
            symbol if data.symbol == venue_symbol else symbols[data.symbol],
            nanoseconds(data.event_time),
            local_time,
            None,
            None,
            None,
            None,
            data.last_price,
            data.last_volume,
            data.open_price,
            data.high_price,
            data.low_price,
            data.volume,
            data.turnover,
        ),
    )


def partial_depth(
    data: wire.DepthUpdate, symbol: str, venue_symbol: str, symbols: SymbolTable, local_time: int
) -> tuple[Event, ...]:
    """The best levels, in a payload that looks like one of changes: only the stream's name tells."""
    return (
        OrderBook(
            EXCHANGE_NAME,
            symbol if data.symbol == venue_symbol else symbols[data.symbol],
            nanoseconds(data.event_time),
            local_time,
            data.bids,
            data.asks,
            data.last_update_id,
        ),
    )


def depth_update(
    data: wire.DepthUpdate, symbol: str, venue_symbol: str, symbols: SymbolTable, local_time: int
) -> tuple[Event, ...]:
    """Changed levels. Updates are chained by the id of the one before, not by counting."""
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
            data.previous_update_id,
        ),
    )


def mark_price(
    data: wire.MarkPrice, symbol: str, venue_symbol: str, symbols: SymbolTable, local_time: int
) -> tuple[Event, ...]:
    """Mark price, and for perpetuals the funding rate of the running interval with the time it is paid."""
    name = symbol if data.symbol == venue_symbol else symbols[data.symbol]
    server_time = nanoseconds(data.event_time)
    price = MarkPrice(
        EXCHANGE_NAME, name, server_time, local_time, data.mark_price, data.index_price, data.settlement_price or None
    )
    if not data.funding_rate:
        return (price,)
    funding = FundingRate(
        EXCHANGE_NAME,
        name,
        server_time,
        local_time,
        float(data.funding_rate),
        nanoseconds(data.funding_time) or None,
    )
    return price, funding


def force_order(
    data: wire.ForceOrder, symbol: str, venue_symbol: str, symbols: SymbolTable, local_time: int
) -> tuple[Event, ...]:
    """A liquidation."""
    order = data.body
    return (
        Liquidation(
            EXCHANGE_NAME,
            symbol if order.symbol == venue_symbol else symbols[order.symbol],
            nanoseconds(data.event_time),
            local_time,
            Side.BUY if order.side == "BUY" else Side.SELL,
            order.price,
            order.volume,
            nanoseconds(order.trade_time),
            None,
            order.average_price,
            order.filled_volume,
            STATUSES.get(order.status),
        ),
    )


class _Tagged(Protocol):
    """A payload that says which market it is of."""

    @property
    def family(self) -> int: ...


def usd_margined(convert: Converter) -> Converter:
    """Make a converter for a stream of all symbols, which leaves out the coin-margined ones."""

    def convert_usd_margined(
        data: _Tagged, symbol: str, venue_symbol: str, symbols: SymbolTable, local_time: int
    ) -> tuple[Event, ...]:
        return () if data.family == COIN_MARGINED else convert(data, symbol, venue_symbol, symbols, local_time)

    return convert_usd_margined


def usd_margined_each(convert: Converter) -> Converter:
    """Make the same for frames that are lists."""

    def convert_each(
        data: list[_Tagged], symbol: str, venue_symbol: str, symbols: SymbolTable, local_time: int
    ) -> tuple[Event, ...]:
        return tuple(
            event
            for item in data
            if item.family != COIN_MARGINED
            for event in convert(item, symbol, venue_symbol, symbols, local_time)
        )

    return convert_each
