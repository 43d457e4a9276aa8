"""Market events as Binance's USD-M futures streams print them, where they differ from the spot market's.

See `bt_api_base.testing.binance_frames` for the form of these functions. Times are in milliseconds: this
market has no other unit, and takes a divisor only to be called as the others are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from bt_api_base.testing.binance_frames import MILLISECONDS
from bt_api_base.testing.market_bars import INTERVALS_US
from bt_api_base.testing.market_book import decimal_text

if TYPE_CHECKING:
    from bt_api_base.testing.market import BestQuote
    from bt_api_base.testing.market_bars import DayStatistics
    from bt_api_base.testing.market_book import DepthChange, Level

PUBLIC: Final = "public"
MARKET: Final = "market"
PRIVATE: Final = "private"

_PERIODS_MS: Final = {"": 250, "100ms": 100, "500ms": 500}
_MARK_PERIODS_MS: Final = {"": 3_000, "1s": 1_000}
_PARTIAL_DEPTHS: Final = {"depth5": 5, "depth10": 10, "depth20": 20}
_TICKERS: Final = ("ticker", "miniTicker")
_BOOK_CHANNELS: Final = frozenset({"bookTicker", "depth", "partialDepth"})
_EIGHT_HOURS_MS: Final = 28_800_000


class UsdmStream(msgspec.Struct, frozen=True):
    """What the name of a stream asks for.

    Attributes:
        symbol: The venue's symbol in lower case; empty for a stream of all of them.
        channel: "aggTrade", "bookTicker", "depth" (differences), "partialDepth", "kline", "ticker", "miniTicker",
            "markPrice" or "forceOrder".
        levels: Number of levels of a partial depth, else 0.
        interval: Length of a bar, else "".
        period_ms: Milliseconds from one frame to the next; 0 where each event has one.
    """

    symbol: str
    channel: str
    levels: int = 0
    interval: str = ""
    period_ms: int = 0

    @property
    def endpoint(self) -> str:
        """Which endpoint carries it."""
        return PUBLIC if self.channel in _BOOK_CHANNELS else MARKET


def parse_stream_name(name: str) -> UsdmStream | None:  # noqa: PLR0911 - one return per kind
    """Return what a stream's name asks for, or None for one that this venue has no data for.

    Args:
        name: For example "btcusdt@depth@100ms". The symbol is part of what is returned whether or not it exists.
    """
    symbol, _, rest = name.partition("@")
    if symbol.startswith("!"):
        return _parse_name_of_all(symbol[1:], rest)
    kind, _, speed = rest.partition("@")
    if rest in {"aggTrade", "bookTicker", "forceOrder"}:
        return UsdmStream(symbol, rest)
    if rest in _TICKERS:
        return UsdmStream(symbol, rest, period_ms=2_000)
    if kind == "markPrice" and speed in _MARK_PERIODS_MS:
        return UsdmStream(symbol, "markPrice", period_ms=_MARK_PERIODS_MS[speed])
    if rest.startswith("kline_") and rest[6:] in INTERVALS_US and rest != "kline_1s":
        return UsdmStream(symbol, "kline", interval=rest[6:], period_ms=250)
    if kind == "depth" and speed in _PERIODS_MS:
        return UsdmStream(symbol, "depth", period_ms=_PERIODS_MS[speed])
    if kind in _PARTIAL_DEPTHS and speed in _PERIODS_MS:
        return UsdmStream(symbol, "partialDepth", _PARTIAL_DEPTHS[kind], period_ms=_PERIODS_MS[speed])
    return None


def _parse_name_of_all(kind: str, rest: str) -> UsdmStream | None:
    """Return what the name of a stream of all symbols asks for, without its exclamation mark."""
    if kind == "markPrice" and rest in {"arr", "arr@1s"}:
        return UsdmStream("", "markPrice", period_ms=3_000 if rest == "arr" else 1_000)
    if kind in _TICKERS and rest == "arr":
        return UsdmStream("", kind, period_ms=1_000)
    return UsdmStream("", "forceOrder") if kind == "forceOrder" and rest == "arr" else None


def book_ticker_data(symbol: str, quote: BestQuote, time_us: int, divisor: int = MILLISECONDS) -> bytes:
    """Return the data of ``<symbol>@bookTicker``, which has a time here."""
    time = time_us // divisor
    return (
        f'{{"e":"bookTicker","u":{quote.update_id},"s":"{symbol}","ps":"{symbol}","b":"{decimal_text(quote.bid_price)}"'
        f',"B":"{decimal_text(quote.bid_quantity)}","a":"{decimal_text(quote.ask_price)}"'
        f',"A":"{decimal_text(quote.ask_quantity)}","T":{time},"E":{time},"st":1}}'
    ).encode()


def depth_data(symbol: str, change: DepthChange, time_us: int, divisor: int = MILLISECONDS) -> bytes:
    """Return the data of ``<symbol>@depth``: the differences, with the id of the update before."""
    ids = (change.first_update_id, change.last_update_id, change.first_update_id - 1)
    return _depth(symbol, ids, change.bids, change.asks, time_us // divisor)


def partial_depth_data(  # noqa: PLR0917 - called by position, as all of these
    symbol: str,
    update_id: int,
    bids: tuple[Level, ...],
    asks: tuple[Level, ...],
    time_us: int,
    divisor: int = MILLISECONDS,
) -> bytes:
    """Return the data of ``<symbol>@depth<levels>``: the best levels, under the name of differences."""
    return _depth(symbol, (update_id, update_id, update_id - 1), bids, asks, time_us // divisor)


def _depth(
    symbol: str, ids: tuple[int, int, int], bids: tuple[Level, ...], asks: tuple[Level, ...], time: int
) -> bytes:
    first, last, previous = ids
    return (
        f'{{"e":"depthUpdate","E":{time},"T":{time},"s":"{symbol}","U":{first},"u":{last},"pu":{previous}'
        f',"b":{_levels(bids)},"a":{_levels(asks)},"st":1}}'
    ).encode()


def ticker_data(symbol: str, day: DayStatistics, time_us: int, divisor: int = MILLISECONDS) -> bytes:
    """Return the data of ``<symbol>@ticker``: rolling 24 hours, without bid and ask."""
    bar = day.bar
    return (
        f'{{"e":"24hrTicker","E":{time_us // divisor},"s":"{symbol}","c":"{decimal_text(bar.close)}"'
        f',"Q":"{decimal_text(day.last_quantity)}","o":"{decimal_text(bar.open)}","h":"{decimal_text(bar.high)}"'
        f',"l":"{decimal_text(bar.low)}","v":"{decimal_text(bar.volume)}","q":"{decimal_text(bar.quote_volume)}"'
        f',"O":{bar.open_time_us // divisor},"C":{time_us // divisor},"F":{bar.first_trade_id}'
        f',"L":{bar.last_trade_id},"n":{bar.count},"st":1}}'
    ).encode()


def mark_price_data(symbol: str, price: int, time_us: int, divisor: int = MILLISECONDS) -> bytes:
    """Return the data of ``<symbol>@markPrice``; all its prices are the mark's, and the rate is always the same."""
    time = time_us // divisor
    due = (time // _EIGHT_HOURS_MS + 1) * _EIGHT_HOURS_MS
    text = decimal_text(price)
    return (
        f'{{"e":"markPriceUpdate","E":{time},"s":"{symbol}","p":"{text}","ap":"{text}","i":"{text}","P":"{text}"'
        f',"r":"-0.00010000","T":{due},"st":1}}'
    ).encode()


def _levels(levels: tuple[Level, ...]) -> str:
    return "[" + ",".join([f'["{decimal_text(price)}","{decimal_text(quantity)}"]' for price, quantity in levels]) + "]"


__all__ = (
    "MARKET",
    "PRIVATE",
    "PUBLIC",
    "UsdmStream",
    "book_ticker_data",
    "depth_data",
    "mark_price_data",
    "parse_stream_name",
    "partial_depth_data",
    "ticker_data",
)
