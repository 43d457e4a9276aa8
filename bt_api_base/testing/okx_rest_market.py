"""The public endpoints of the simulated OKX's REST side: what its markets are, and do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bt_api_base.containers.enums import AssetType
from bt_api_base.testing.market_bars import INTERVALS_US
from bt_api_base.testing.okx_frames import candle_interval, instrument_type, text
from bt_api_base.testing.okx_rest_calls import OkxFields, RefusalError
from bt_api_base.testing.okx_rows import Row, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bt_api_base.containers.instrument import Instrument
    from bt_api_base.testing.market_bars import MarketBar
    from bt_api_base.testing.rest_venue import TradingVenue

_MILLISECOND_US: Final = 1_000
_HONG_KONG_US: Final = 8 * 3_600_000_000
"""Days of the venue begin at its own midnight, but for the bars that say otherwise."""
_MOST_RECENT_BARS: Final = 1_440
_MOST: Final = "9999999999"


class OkxMarketCalls:
    """Answers what anybody may ask.

    Args:
        venue: The venue.
    """

    def __init__(self, venue: TradingVenue) -> None:
        self._venue = venue
        self.handlers: Mapping[str, Callable[[OkxFields], list[object]]] = {
            "/api/v5/public/time": self._time,
            "/api/v5/public/instruments": self._instruments,
            "/api/v5/public/mark-price": self._mark_price,
            "/api/v5/public/funding-rate": self._funding_rate,
            "/api/v5/market/ticker": self._ticker,
            "/api/v5/market/tickers": self._tickers,
            "/api/v5/market/books": self._books,
            "/api/v5/market/candles": self._candles,
            "/api/v5/market/history-candles": self._history_candles,
            "/api/v5/market/trades": self._trades,
        }
        """By path."""

    def _now_ms(self) -> str:
        return str(self._venue.rest.now_ns() // 1_000_000)

    def _symbol(self, fields: OkxFields) -> str:
        symbol = fields.need("instId")
        if symbol not in self._venue.markets:
            raise RefusalError("51001")
        return symbol

    def _symbols(self, fields: OkxFields) -> list[str]:
        """Return the symbols of a type that there must be, and of an instrument that there may be."""
        kind = fields.choice("instType", "SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION")
        wanted = self._symbol(fields) if fields.get("instId") else ""
        symbols = [symbol for symbol in self._venue.markets if instrument_type(symbol) == kind]
        return [symbol for symbol in symbols if wanted in {"", symbol}]

    def _time(self, fields: OkxFields) -> list[object]:  # noqa: ARG002
        return [{"ts": self._now_ms()}]

    def _instruments(self, fields: OkxFields) -> list[object]:
        return [instrument_row(self._venue.instruments[symbol]) for symbol in self._symbols(fields)]

    def _mark_price(self, fields: OkxFields) -> list[object]:
        exchange = self._venue.exchange
        return [
            {
                "instType": instrument_type(symbol),
                "instId": symbol,
                "markPx": plain(exchange.reference_price(symbol)),
                "ts": self._now_ms(),
            }
            for symbol in self._symbols(fields)
        ]

    def _funding_rate(self, fields: OkxFields) -> list[object]:
        symbol = self._symbol(fields)
        if instrument_type(symbol) != "SWAP":
            raise RefusalError("51000", "instId")
        eight_hours = 28_800_000
        due = (int(self._now_ms()) // eight_hours + 1) * eight_hours
        return [
            {
                "fundingRate": "0.0001",
                "fundingTime": str(due),
                "instId": symbol,
                "instType": "SWAP",
                "method": "current_period",
                "maxFundingRate": "0.00375",
                "minFundingRate": "-0.00375",
                "nextFundingTime": str(due + eight_hours),
                "premium": "-0.00002",
                "settFundingRate": "0.0001",
                "settState": "settled",
                "ts": self._now_ms(),
            }
        ]

    def _ticker(self, fields: OkxFields) -> list[object]:
        return [self._ticker_row(self._symbol(fields))]

    def _tickers(self, fields: OkxFields) -> list[object]:
        return [self._ticker_row(symbol) for symbol in self._symbols(fields)]

    def _ticker_row(self, symbol: str) -> Row:
        day = self._venue.records[symbol].day(self._venue.rest.now_ns() // 1_000)
        bar, best = day.bar, self._venue.markets[symbol].best
        return {
            "instType": instrument_type(symbol),
            "instId": symbol,
            "last": text(bar.close),
            "lastSz": text(day.last_quantity),
            "askPx": text(best.ask_price),
            "askSz": text(best.ask_quantity),
            "bidPx": text(best.bid_price),
            "bidSz": text(best.bid_quantity),
            "open24h": text(bar.open),
            "high24h": text(bar.high),
            "low24h": text(bar.low),
            "volCcy24h": text(bar.quote_volume),
            "vol24h": text(bar.volume),
            "sodUtc0": text(bar.open),
            "sodUtc8": text(bar.open),
            "ts": self._now_ms(),
        }

    def _books(self, fields: OkxFields) -> list[object]:
        symbol = self._symbol(fields)
        depth = self._venue.markets[symbol].depth(fields.number("sz", 400, 1))
        sides = {"asks": depth.asks, "bids": depth.bids}
        levels = {
            name: [[text(price), text(quantity), "0", "1"] for price, quantity in side] for name, side in sides.items()
        }
        return [{**levels, "ts": self._now_ms()}]

    def _candles(self, fields: OkxFields) -> list[object]:
        return self._bars(fields, _MOST_RECENT_BARS)

    def _history_candles(self, fields: OkxFields) -> list[object]:
        return self._bars(fields, None)

    def _bars(self, fields: OkxFields, most: int | None) -> list[object]:
        """Return bars, the newest first.

        Args:
            fields: The parameters.
            most: How many bars back from now there are; None for all.
        """
        symbol = self._symbol(fields)
        name = fields.get("bar") or "1m"
        found = candle_interval(name) or candle_interval(f"{name}utc")
        if found is None:
            raise RefusalError("51000", "bar")
        is_local = candle_interval(name) is None
        limit = fields.number("limit", 300, 100)
        after, before = fields.whole("after"), fields.whole("before")
        now_us = self._venue.rest.now_ns() // 1_000
        bars = self._venue.records[symbol].bars(
            found,
            now_us,
            start_us=None,
            end_us=None if after is None else after * _MILLISECOND_US - 1,
            limit=limit,
            shift_us=_HONG_KONG_US if is_local else 0,
        )
        if before is not None:
            bars = [bar for bar in bars if bar.open_time_us > before * _MILLISECOND_US]
        if most is not None:
            bars = [bar for bar in bars if bar.open_time_us > now_us - most * INTERVALS_US[found]]
        return [_candle(bar, is_closed=bar.end_time_us <= now_us) for bar in reversed(bars)]

    def _trades(self, fields: OkxFields) -> list[object]:
        symbol = self._symbol(fields)
        trades = self._venue.records[symbol].trades(fields.number("limit", 500, 100))
        return [
            {
                "instId": symbol,
                "side": "sell" if trade.buyer_is_maker else "buy",
                "sz": text(trade.quantity),
                "px": text(trade.price),
                "tradeId": str(trade.id),
                "ts": str(trade.time_us // _MILLISECOND_US),
            }
            for trade in reversed(trades)
        ]


def instrument_row(instrument: Instrument) -> Row:
    """Return an instrument as the venue prints it."""
    is_spot = instrument.asset_type is AssetType.SPOT
    family = f"{instrument.base_currency}-{instrument.quote_currency}"
    return {
        "alias": "",
        "baseCcy": instrument.base_currency if is_spot else "",
        "category": "1",
        "ctMult": "" if is_spot else "1",
        "ctType": "" if is_spot else "inverse" if instrument.is_inverse else "linear",
        "ctVal": "" if is_spot else plain(instrument.contract_multiplier),
        "ctValCcy": "" if is_spot else instrument.contract_unit,
        "expTime": "" if instrument.expiry is None else str(instrument.expiry // 1_000_000),
        "instFamily": "" if is_spot else family,
        "instId": instrument.venue_symbol,
        "instType": instrument_type(instrument.venue_symbol),
        "lever": "10" if is_spot else "100",
        "listTime": "1502942400000",
        "lotSz": plain(instrument.step_size),
        "maxIcebergSz": _MOST,
        "maxLmtAmt": "20000000",
        "maxLmtSz": plain(instrument.max_qty) or _MOST,
        "maxMktAmt": "1000000" if is_spot else "",
        "maxMktSz": "1000000" if is_spot else plain(instrument.max_qty) or _MOST,
        "maxStopSz": _MOST,
        "maxTriggerSz": _MOST,
        "maxTwapSz": _MOST,
        "minSz": plain(instrument.min_qty),
        "optType": "",
        "quoteCcy": instrument.quote_currency if is_spot else "",
        "settleCcy": instrument.settle_currency,
        "state": "live",
        "stk": "",
        "tickSz": plain(instrument.tick_size),
        "uly": "" if is_spot else family,
    }


def _candle(bar: MarketBar, *, is_closed: bool) -> list[str]:
    numbers = (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.quote_volume, bar.quote_volume)
    return [str(bar.open_time_us // _MILLISECOND_US), *map(text, numbers), str(int(is_closed))]


__all__ = ("OkxMarketCalls", "instrument_row")
