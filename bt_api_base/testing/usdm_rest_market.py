"""Binance's USD-M endpoints that everybody may ask: contracts, the book, trades, bars, tickers and mark prices."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from bt_api_base.containers.enums import AssetType
from bt_api_base.testing import binance_rest_market as spot
from bt_api_base.testing.binance_rest_calls import Route, number_of
from bt_api_base.testing.binance_rest_words import RestError, milliseconds, plain
from bt_api_base.testing.market_book import decimal_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

    from bt_api_base.containers.instrument import Instrument
    from bt_api_base.testing.binance_rest_calls import BinanceRest, Call

ORDER_TYPES: Final = ("LIMIT", "MARKET")
TIMES: Final = ("GTC", "IOC", "FOK", "GTX")
_DEPTHS: Final = (5, 10, 20, 50, 100, 500, 1_000)
_EIGHT_HOURS_MS: Final = 8 * 3_600_000
_NEVER_MS: Final = 4_133_404_800_000
_LISTED_MS: Final = 1_569_398_400_000


def market_routes(rest: BinanceRest) -> dict[tuple[str, str], Route]:
    """Return the endpoints.

    Args:
        rest: Whose limits `exchangeInfo` tells.
    """
    routes = {
        "v1/ping": Route(lambda _call: {}, 1),
        "v1/time": Route(lambda call: {"serverTime": milliseconds(call.now_ns)}, 1),
        "v1/exchangeInfo": Route(lambda call: _exchange_info(call, rest), 1),
        "v1/depth": Route(_depth, _depth_weight),
        "v1/trades": Route(lambda call: spot.trades(call, 500, 1_000, is_spot=False), 5),
        "v1/aggTrades": Route(_aggregate_trades, 20),
        "v1/klines": Route(_klines, _klines_weight),
        "v1/premiumIndex": Route(lambda call: _each(call, _premium), 1),
        "v1/ticker/24hr": Route(lambda call: _each(call, _day_ticker), lambda params: _one_or(params, 1, 40)),
        "v1/ticker/price": Route(lambda call: _each(call, _price_ticker), lambda params: _one_or(params, 1, 2)),
        "v2/ticker/price": Route(lambda call: _each(call, _price_ticker), lambda params: _one_or(params, 1, 2)),
        "v1/ticker/bookTicker": Route(lambda call: _each(call, _book_ticker), lambda params: _one_or(params, 2, 5)),
    }
    return {("GET", f"/fapi/{name}"): route for name, route in routes.items()}


def _exchange_info(call: Call, rest: BinanceRest) -> dict[str, Any]:
    instruments = call.venue.instruments.values()
    weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1}
    return {
        "timezone": "UTC",
        "serverTime": milliseconds(call.now_ns),
        "futuresType": "U_MARGINED",
        "rateLimits": [{**weight, "limit": rest.weights.window.limit}, *rest.order_limits()],
        "exchangeFilters": [],
        "assets": [
            {"asset": asset, "marginAvailable": True, "autoAssetExchange": "-10000"}
            for asset in dict.fromkeys(instrument.settle_currency for instrument in instruments)
        ],
        "symbols": [_symbol_info(instrument) for instrument in instruments],
    }


def _symbol_info(instrument: Instrument) -> dict[str, Any]:
    is_perpetual = instrument.asset_type is AssetType.SWAP
    return {
        "symbol": instrument.venue_symbol,
        "pair": instrument.venue_symbol.partition("_")[0],
        "contractType": "PERPETUAL" if is_perpetual else "CURRENT_QUARTER",
        "deliveryDate": _NEVER_MS if is_perpetual else _delivery_ms(instrument.internal),
        "onboardDate": _LISTED_MS,
        "status": "TRADING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": instrument.base_currency,
        "quoteAsset": instrument.quote_currency,
        "marginAsset": instrument.settle_currency,
        "pricePrecision": _places(instrument.tick_size),
        "quantityPrecision": _places(instrument.step_size),
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": ["PoW"],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10_000,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": plain(instrument.min_price),
                "maxPrice": plain(instrument.max_price),
                "tickSize": plain(instrument.tick_size),
            },
            *(
                {
                    "filterType": name,
                    "minQty": plain(instrument.min_qty),
                    "maxQty": plain(instrument.max_qty),
                    "stepSize": plain(instrument.step_size),
                }
                for name in ("LOT_SIZE", "MARKET_LOT_SIZE")
            ),
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "MIN_NOTIONAL", "notional": plain(instrument.min_notional)},
        ],
        "orderTypes": list(ORDER_TYPES),
        "timeInForce": list(TIMES),
    }


def _places(step: Decimal | None) -> int:
    return len(plain(step).partition(".")[2])


def _delivery_ms(symbol: str) -> int:
    date = symbol.rpartition("-")[2]
    if not re.fullmatch(r"[0-9]{6}", date):
        return _NEVER_MS
    moment = datetime(2000 + int(date[:2]), int(date[2:4]), int(date[4:]), 8, tzinfo=timezone.utc)
    return int(moment.timestamp()) * 1_000


def _depth(call: Call) -> dict[str, Any]:
    limit = call.integer("limit")
    if limit is not None and limit not in _DEPTHS:
        raise RestError(-1130, name="limit")  # assumed: the documentation only lists what is valid
    symbol = call.symbol()
    snapshot = call.venue.markets[symbol].depth(500 if limit is None else limit)
    time_ms = call.venue.market_time_us() // 1_000
    return {
        "lastUpdateId": snapshot.last_update_id,
        "E": time_ms,
        "T": time_ms,
        "bids": spot.levels(snapshot.bids),
        "asks": spot.levels(snapshot.asks),
    }


def _aggregate_trades(call: Call) -> list[dict[str, Any]]:
    rows = spot.aggregate_trades(call)
    for row in rows:
        del row["M"]
    return rows


def _klines(call: Call) -> list[tuple[Any, ...]]:
    if call.params.get("interval") == "1s":
        raise RestError(-1120)
    return spot.klines(call, 500, 1_500)


def _day_ticker(call: Call, symbol: str) -> dict[str, Any]:
    ticker = spot.statistics(call, symbol)
    del ticker["prevClosePrice"]
    return ticker


def _price_ticker(call: Call, symbol: str) -> dict[str, Any]:
    return {**spot.price_ticker(call, symbol), "time": call.venue.market_time_us() // 1_000}


def _book_ticker(call: Call, symbol: str) -> dict[str, Any]:
    update_id = call.venue.markets[symbol].best.update_id
    time_ms = call.venue.market_time_us() // 1_000
    return {**spot.book_ticker(call, symbol), "time": time_ms, "lastUpdateId": update_id}


def _premium(call: Call, symbol: str) -> dict[str, Any]:
    best = call.venue.markets[symbol].best
    price = decimal_text((best.bid_price + best.ask_price) // 2)  # the same as the stream's
    time_ms = call.venue.market_time_us() // 1_000
    return {
        "symbol": call.venue.venue_symbol_of(symbol),
        "markPrice": price,
        "indexPrice": price,
        "estimatedSettlePrice": price,
        "lastFundingRate": "-0.00010000",
        "interestRate": "0.00010000",
        "nextFundingTime": (time_ms // _EIGHT_HOURS_MS + 1) * _EIGHT_HOURS_MS,
        "time": time_ms,
    }


def _each(call: Call, make: Callable[[Call, str], dict[str, Any]]) -> object:
    """Return what is asked for, of one symbol or of all."""
    symbol = call.optional_symbol()
    return [make(call, each) for each in call.venue.markets] if symbol is None else make(call, symbol)


def _one_or(params: Mapping[str, str], one: int, several: int) -> int:
    return one if "symbol" in params else several


def _depth_weight(params: Mapping[str, str]) -> int:
    limit = number_of(params, "limit", 500)
    return 2 if limit <= 50 else 5 if limit <= 100 else 10 if limit <= 500 else 20


def _klines_weight(params: Mapping[str, str]) -> int:
    limit = number_of(params, "limit", 500)
    return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1_000 else 10


__all__ = ("ORDER_TYPES", "TIMES", "market_routes")
