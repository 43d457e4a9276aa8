"""From OKX's public payloads to events.

Each function takes a decoded frame, the exchange's name, the channel's symbol and the local time, and returns the
frame's events. A payload that names its instrument is believed: should it ever be another than the channel's, its
numbers are not passed off as the channel's.

Quantities are in the venue's quantity unit: contracts for derivatives, the base currency otherwise. The contract's
size is the instrument's to tell (`bt_api_base.containers.Instrument.contract_multiplier`).

This is the hot path. Events are built positionally, which is twice as fast.
"""

# ruff: noqa: ARG001 - one signature for all: the hot path does not ask which arguments a function wants
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bt_api_base.containers import (
    Bar,
    Event,
    FundingRate,
    Liquidation,
    MarkPrice,
    OrderBook,
    OrderBookDelta,
    PositionSide,
    Tick,
    Trade,
)
from bt_api_base.venues.okx.bars import BarKind, close_time

if TYPE_CHECKING:
    from bt_api_base.venues.okx import wire

__all__ = (
    "Converter",
    "bars",
    "book_differences",
    "books",
    "funding_rates",
    "liquidations",
    "mark_prices",
    "tickers",
    "trades",
)

Converter = Callable[[Any, str, str, int], tuple[Event, ...]]
"""A function of this module; the frame's type is its channel's."""

_MS = 1_000_000
_PRICED_IN_QUOTE = ("SPOT", "MARGIN")


def _number(value: float | str) -> float | None:
    return None if isinstance(value, str) else value


def _nanoseconds(value: int | str) -> int | None:
    return None if isinstance(value, str) else value * _MS


def tickers(frame: wire.Frame[wire.Ticker], exchange_name: str, symbol: str, local_time: int) -> tuple[Event, ...]:
    """Best bid and ask, the last trade, and the last 24 hours."""
    return tuple(
        [
            Tick(
                exchange_name,
                data.symbol,
                data.timestamp * _MS,
                local_time,
                data.bid_price if data.bid_price != "" else None,
                data.ask_price if data.ask_price != "" else None,
                data.bid_volume if data.bid_volume != "" else None,
                data.ask_volume if data.ask_volume != "" else None,
                data.last_price if data.last_price != "" else None,
                data.last_volume if data.last_volume != "" else None,
                data.open_price if data.open_price != "" else None,
                data.high_price if data.high_price != "" else None,
                data.low_price if data.low_price != "" else None,
                data.volume if data.volume != "" else None,
                _number(data.volume_currency) if data.instrument_type in _PRICED_IN_QUOTE else None,
            )
            for data in frame.data
        ]
    )


def trades(frame: wire.Frame[wire.Trade], exchange_name: str, symbol: str, local_time: int) -> tuple[Event, ...]:
    """Trades, single or aggregated. Of an aggregate the venue tells the id of the last trade only."""
    return tuple(
        [
            Trade(
                exchange_name,
                data.symbol,
                time := data.timestamp * _MS,
                local_time,
                data.trade_id,
                data.price,
                data.volume,
                data.side,
                time,
                data.trade_id if data.count == 1 else None,
                data.trade_id if data.count != "" else None,
            )
            for data in frame.data
        ]
    )


def books(frame: wire.Frame[wire.BookData], exchange_name: str, symbol: str, local_time: int) -> tuple[Event, ...]:
    """The best levels."""
    return tuple([_book(data, exchange_name, symbol, local_time) for data in frame.data])


def _book(data: wire.BookData, exchange_name: str, symbol: str, local_time: int) -> OrderBook:
    return OrderBook(
        exchange_name,
        symbol,
        data.timestamp * _MS,
        local_time,
        tuple([(level.price, level.volume) for level in data.bids]),
        tuple([(level.price, level.volume) for level in data.asks]),
        data.sequence,
    )


def book_differences(frame: wire.BookFrame, exchange_name: str, symbol: str, local_time: int) -> tuple[Event, ...]:
    """A whole book, or what changed. A book that nothing happens to sends an empty change about once a minute.

    The ids jump by steps of any size, so the first and the last update of a change are the same id.
    """
    if frame.action == "snapshot" or not frame.action:
        return tuple([_book(data, exchange_name, symbol, local_time) for data in frame.data])
    return tuple(
        [
            OrderBookDelta(
                exchange_name,
                symbol,
                data.timestamp * _MS,
                local_time,
                tuple([(level.price, level.volume) for level in data.bids]),
                tuple([(level.price, level.volume) for level in data.asks]),
                data.sequence,
                data.sequence,
                data.previous_sequence,
            )
            for data in frame.data
        ]
    )


def bars(kind: BarKind) -> Converter:
    """Make the converter of an interval's bars. The venue gives neither an event time nor a number of trades."""
    interval = kind.interval

    def convert(frame: wire.Frame[wire.Candle], exchange_name: str, symbol: str, local_time: int) -> tuple[Event, ...]:
        return tuple(
            [
                Bar(
                    exchange_name,
                    symbol,
                    0,
                    local_time,
                    interval,
                    data.open_time * _MS,
                    close_time(kind, data.open_time * _MS),
                    data.open_price,
                    data.high_price,
                    data.low_price,
                    data.close_price,
                    data.volume,
                    _number(data.turnover),
                    None,
                    None,
                    None,
                    data.confirm == "1",
                )
                for data in frame.data
            ]
        )

    return convert


def mark_prices(
    frame: wire.Frame[wire.MarkPrice], exchange_name: str, symbol: str, local_time: int
) -> tuple[Event, ...]:
    """Mark prices; the index has a channel of its own."""
    return tuple(
        [
            MarkPrice(exchange_name, data.symbol, data.timestamp * _MS, local_time, data.mark_price)
            for data in frame.data
        ]
    )


def funding_rates(
    frame: wire.Frame[wire.FundingRate], exchange_name: str, symbol: str, local_time: int
) -> tuple[Event, ...]:
    """The funding rate of the running interval, with its bounds and the last settlement."""
    return tuple(
        [
            FundingRate(
                exchange_name,
                data.symbol,
                _nanoseconds(data.timestamp) or 0,
                local_time,
                data.current_rate,
                _nanoseconds(data.current_time),
                _number(data.next_rate),
                _nanoseconds(data.next_time),
                None,
                _nanoseconds(data.previous_time),
                _number(data.settlement_rate),
                data.settlement_state or None,
                _number(data.highest_rate),
                _number(data.lowest_rate),
                data.method or None,
            )
            for data in frame.data
        ]
    )


def liquidations(
    frame: wire.Frame[wire.Liquidations], exchange_name: str, symbol: str, local_time: int
) -> tuple[Event, ...]:
    """Liquidations of any instrument of the type; the price is the bankruptcy price."""
    return tuple(
        [
            Liquidation(
                exchange_name,
                data.symbol,
                detail.timestamp * _MS,
                local_time,
                detail.side,
                detail.price,
                detail.volume,
                detail.timestamp * _MS,
                PositionSide(detail.position_side) if detail.position_side else None,
            )
            for data in frame.data
            for detail in data.details
        ]
    )
