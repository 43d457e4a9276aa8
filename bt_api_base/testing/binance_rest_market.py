"""Binance's spot endpoints that everybody may ask: what can be traded, the book, trades, bars and tickers."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from bt_api_base.testing.binance_rest_calls import Route, listed, number_of
from bt_api_base.testing.binance_rest_words import (
    RestError,
    average_text,
    eight,
    milliseconds,
    quote_text,
    signed_text,
)
from bt_api_base.testing.market_bars import INTERVALS_US
from bt_api_base.testing.market_book import decimal_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bt_api_base.containers.instrument import Instrument
    from bt_api_base.testing.binance_rest_calls import BinanceRest, Call
    from bt_api_base.testing.market import AggregateTrade
    from bt_api_base.testing.market_bars import MarketBar, MarketTrade
    from bt_api_base.testing.market_book import Level

ORDER_TYPES: Final = ("LIMIT", "LIMIT_MAKER", "MARKET")
_DAY_US: Final = 86_400_000_000
_ZONE: Final = re.compile(r"([+-]?)([0-9]{1,2})(?::([0-9]{2}))?")
_HOUR_US: Final = 3_600_000_000
_MOST_SYMBOLS: Final = 100


def market_routes(rest: BinanceRest) -> dict[tuple[str, str], Route]:
    """Return the endpoints.

    Args:
        rest: Whose limits `exchangeInfo` tells.
    """
    prefix = "/api/v3/"
    routes = {
        "ping": Route(lambda _call: {}, 1),
        "time": Route(lambda call: {"serverTime": milliseconds(call.now_ns)}, 1),
        "exchangeInfo": Route(lambda call: _exchange_info(call, rest), 20),
        "depth": Route(depth, _depth_weight),
        "trades": Route(lambda call: trades(call, 500, 1_000), 25),
        "historicalTrades": Route(lambda call: trades(call, 500, 1_000), 25),
        "aggTrades": Route(aggregate_trades, 4),
        "klines": Route(lambda call: klines(call, 500, 1_000), 2),
        "uiKlines": Route(lambda call: klines(call, 500, 1_000), 2),
        "avgPrice": Route(_average_price, 2),
        "ticker/24hr": Route(lambda call: _of_symbols(call, day_ticker), _day_weight),
        "ticker/price": Route(lambda call: _of_symbols(call, price_ticker), _ticker_weight),
        "ticker/bookTicker": Route(lambda call: _of_symbols(call, book_ticker), _ticker_weight),
    }
    return {("GET", prefix + name): route for name, route in routes.items()}


# What can be traded.


def _exchange_info(call: Call, rest: BinanceRest) -> dict[str, Any]:
    one, several = call.optional("symbol"), listed(call.params, "symbols")
    if one is not None and several is not None:
        raise RestError(-1128)
    wanted = [one] if one is not None else several
    symbols = list(call.venue.instruments) if wanted is None else [_symbol(call, name) for name in wanted]
    return {
        "timezone": "UTC",
        "serverTime": milliseconds(call.now_ns),
        "rateLimits": [
            {
                "rateLimitType": "REQUEST_WEIGHT",
                "interval": "MINUTE",
                "intervalNum": 1,
                "limit": rest.weights.window.limit,
            },
            *rest.order_limits(),
            {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300_000},
        ],
        "exchangeFilters": [],
        "symbols": [_symbol_info(call.venue.instruments[symbol]) for symbol in symbols],
    }


def _symbol_info(instrument: Instrument) -> dict[str, Any]:
    return {
        "symbol": instrument.venue_symbol,
        "status": "TRADING",
        "baseAsset": instrument.base_currency,
        "baseAssetPrecision": 8,
        "quoteAsset": instrument.quote_currency,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": list(ORDER_TYPES),
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "amendAllowed": False,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": eight(instrument.min_price),
                "maxPrice": eight(instrument.max_price),
                "tickSize": eight(instrument.tick_size),
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": eight(instrument.min_qty),
                "maxQty": eight(instrument.max_qty),
                "stepSize": eight(instrument.step_size),
            },
            {
                "filterType": "NOTIONAL",
                "minNotional": eight(instrument.min_notional),
                "applyMinToMarket": True,
                "maxNotional": eight(instrument.max_notional or _MOST_NOTIONAL),
                "applyMaxToMarket": False,
                "avgPriceMins": 0,
            },
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": ["NONE"],
    }


_MOST_NOTIONAL: Final = Decimal(10**12)

# The market, as futures have it too.


def depth(call: Call) -> dict[str, Any]:
    """Return the book."""
    symbol = call.symbol()
    snapshot = call.venue.markets[symbol].depth(call.limit(100, 5_000))
    return {
        "lastUpdateId": snapshot.last_update_id,
        "bids": levels(snapshot.bids),
        "asks": levels(snapshot.asks),
    }


def levels(side: tuple[Level, ...]) -> list[tuple[str, str]]:
    """Return one side of a book."""
    return [(decimal_text(price), decimal_text(quantity)) for price, quantity in side]


def trades(call: Call, default: int, most: int, *, is_spot: bool = True) -> list[dict[str, Any]]:
    """Return public trades.

    Args:
        call: The call.
        default: How many where it does not say.
        most: The most.
        is_spot: Whether it is the spot market: it says of each whether it was the best match.
    """
    records = call.venue.records[call.symbol()]
    rows = records.trades(call.limit(default, most), from_id=call.integer("fromId"))
    return [_trade(trade) | ({"isBestMatch": True} if is_spot else {}) for trade in rows]


def _trade(trade: MarketTrade) -> dict[str, Any]:
    return {
        "id": trade.id,
        "price": decimal_text(trade.price),
        "qty": decimal_text(trade.quantity),
        "quoteQty": quote_text(trade.price, trade.quantity),
        "time": trade.time_us // 1_000,
        "isBuyerMaker": trade.buyer_is_maker,
    }


def aggregate_trades(call: Call) -> list[dict[str, Any]]:
    """Return public trades by taker and price."""
    records = call.venue.records[call.symbol()]
    limit, from_id = call.limit(500, 1_000), call.integer("fromId")
    start_us, end_us = call.time_us("startTime"), _end_of(call.time_us("endTime"))
    if from_id is not None and not start_us is end_us is None:
        raise RestError(-1128)
    rows = records.aggregates(limit, from_id=from_id, start_us=start_us, end_us=end_us)
    return [_aggregate(trade) for trade in rows]


def _aggregate(trade: AggregateTrade) -> dict[str, Any]:
    return {
        "a": trade.id,
        "p": decimal_text(trade.price),
        "q": decimal_text(trade.quantity),
        "f": trade.first_trade_id,
        "l": trade.last_trade_id,
        "T": trade.time_us // 1_000,
        "m": trade.buyer_is_maker,
        "M": True,
    }


def klines(call: Call, default: int, most: int) -> list[tuple[Any, ...]]:
    """Return bars.

    Args:
        call: The call.
        default: How many where it does not say.
        most: The most.
    """
    symbol, interval = call.symbol(), call.text("interval")
    if interval not in INTERVALS_US:
        raise RestError(-1120)
    now_us = max(call.venue.market_time_us(), call.venue.markets[symbol].time_us)
    bars = call.venue.records[symbol].bars(
        interval,
        now_us,
        start_us=call.time_us("startTime"),
        end_us=_end_of(call.time_us("endTime")),
        limit=call.limit(default, most),
        shift_us=_shift_us(call.optional("timeZone")),
    )
    return [_kline(bar) for bar in bars]


def _kline(bar: MarketBar) -> tuple[Any, ...]:
    return (
        bar.open_time_us // 1_000,
        decimal_text(bar.open),
        decimal_text(bar.high),
        decimal_text(bar.low),
        decimal_text(bar.close),
        decimal_text(bar.volume),
        bar.end_time_us // 1_000 - 1,
        decimal_text(bar.quote_volume),
        bar.count,
        decimal_text(bar.taker_volume),
        decimal_text(bar.taker_quote_volume),
        "0",
    )


def _end_of(time_us: int | None) -> int | None:
    """Return the last microsecond of a millisecond."""
    return None if time_us is None else time_us + 999 if time_us % 1_000 == 0 else time_us


def _shift_us(zone: str | None) -> int:
    if zone is None:
        return 0
    match = _ZONE.fullmatch(zone)
    shift = 0 if match is None else int(match[2]) * _HOUR_US + int(match[3] or 0) * 60_000_000
    if match is None or not -12 * _HOUR_US <= (shift := -shift if match[1] == "-" else shift) <= 14 * _HOUR_US:
        raise RestError(-1100, name="timeZone", legal="^[+-]?[0-9]{1,2}(:[0-9]{2})?$")
    return shift


# Tickers.


def day_ticker(call: Call, symbol: str) -> dict[str, Any]:
    """Return the statistics of 24 hours, with the best prices."""
    ticker = statistics(call, symbol)
    if call.optional("type") == "MINI":
        names = ("symbol", "openPrice", "highPrice", "lowPrice", "lastPrice", "volume", "quoteVolume")
        return {name: ticker[name] for name in (*names, "openTime", "closeTime", "firstId", "lastId", "count")}
    best = book_ticker(call, symbol)
    del best["symbol"]
    return {**ticker, **best}


def statistics(call: Call, symbol: str) -> dict[str, Any]:
    """Return the statistics of 24 hours."""
    now_us = call.venue.market_time_us()
    day = call.venue.records[symbol].day(now_us)
    bar = day.bar
    change = bar.close - bar.open
    return {
        "symbol": call.venue.venue_symbol_of(symbol),
        "priceChange": signed_text(change),
        "priceChangePercent": f"{100 * change / bar.open:.3f}",
        "weightedAvgPrice": average_text(bar.quote_volume, bar.volume, bar.close),
        "prevClosePrice": decimal_text(day.previous_close),
        "lastPrice": decimal_text(bar.close),
        "lastQty": decimal_text(day.last_quantity),
        "openPrice": decimal_text(bar.open),
        "highPrice": decimal_text(bar.high),
        "lowPrice": decimal_text(bar.low),
        "volume": decimal_text(bar.volume),
        "quoteVolume": decimal_text(bar.quote_volume),
        "openTime": (now_us - _DAY_US) // 1_000,
        "closeTime": now_us // 1_000,
        "firstId": bar.first_trade_id,
        "lastId": bar.last_trade_id,
        "count": bar.count,
    }


def book_ticker(call: Call, symbol: str) -> dict[str, Any]:
    """Return the best prices."""
    best = call.venue.markets[symbol].best
    return {
        "symbol": call.venue.venue_symbol_of(symbol),
        "bidPrice": decimal_text(best.bid_price),
        "bidQty": decimal_text(best.bid_quantity),
        "askPrice": decimal_text(best.ask_price),
        "askQty": decimal_text(best.ask_quantity),
    }


def price_ticker(call: Call, symbol: str) -> dict[str, Any]:
    """Return the last price."""
    price = call.venue.records[symbol].last_price()
    return {"symbol": call.venue.venue_symbol_of(symbol), "price": decimal_text(price)}


def _average_price(call: Call) -> dict[str, Any]:
    symbol = call.symbol()
    market = call.venue.markets[symbol]
    recent = market.window(5 * 60_000_000)
    if recent is None:
        price, closed_us = decimal_text(call.venue.records[symbol].last_price()), call.venue.market_time_us()
    else:
        price = average_text(recent.bar.quote_volume, recent.bar.volume, recent.bar.close)
        closed_us = recent.last_time_us
    return {"mins": 5, "price": price, "closeTime": closed_us // 1_000}


def _of_symbols(call: Call, make: Callable[[Call, str], dict[str, Any]]) -> object:
    """Return what is asked for: of one symbol, of some, or of all."""
    several = listed(call.params, "symbols")
    if several is not None:
        if call.optional("symbol") is not None:
            raise RestError(-1128)
        return [make(call, _symbol(call, name)) for name in several]
    symbol = call.optional_symbol()
    return [make(call, each) for each in call.venue.markets] if symbol is None else make(call, symbol)


def _symbol(call: Call, name: str) -> str:
    symbol = call.venue.symbol_of(name)
    if symbol is None:
        raise RestError(-1121)
    return symbol


# Weights.


def _depth_weight(params: Mapping[str, str]) -> int:
    limit = number_of(params, "limit", 100)
    return 5 if limit <= 100 else 25 if limit <= 500 else 50 if limit <= 1_000 else 250


def _day_weight(params: Mapping[str, str]) -> int:
    if "symbol" in params:
        return 2
    number = params["symbols"].count(",") + 1 if "symbols" in params else _MOST_SYMBOLS + 1
    return 2 if number <= 20 else 40 if number <= _MOST_SYMBOLS else 80


def _ticker_weight(params: Mapping[str, str]) -> int:
    return 2 if "symbol" in params else 4


__all__ = (
    "ORDER_TYPES",
    "aggregate_trades",
    "book_ticker",
    "day_ticker",
    "depth",
    "klines",
    "levels",
    "market_routes",
    "price_ticker",
    "statistics",
    "trades",
)
