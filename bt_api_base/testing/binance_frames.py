"""Market events as Binance's spot market streams print them: compact JSON, byte for byte.

Each function returns the ``data`` of a frame; `combined_data` wraps it as a combined stream does. Times are in
microseconds and printed in the unit of the connection: ``divisor`` is 1000 for milliseconds, 1 for microseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from bt_api_base.testing.market_bars import INTERVALS_US, shifted_interval
from bt_api_base.testing.market_book import ATOMS_PER_UNIT, decimal_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bt_api_base.testing.market import AggregateTrade, BestQuote
    from bt_api_base.testing.market_bars import DayStatistics, MarketBar, MarketTrade
    from bt_api_base.testing.market_book import DepthChange, DepthSnapshot, Level

MILLISECONDS: Final = 1_000
"""Divisor of a connection with timestamps in milliseconds."""

MICROSECONDS: Final = 1
"""Divisor of a connection with ``timeUnit=MICROSECOND``."""

_PARTIAL_DEPTHS: Final = {"depth5": 5, "depth10": 10, "depth20": 20}
_PERIODS_MS: Final = {"": 1_000, "100ms": 100, "1000ms": 1_000}
WINDOWS_US: Final = {"1h": 3_600_000_000, "4h": 14_400_000_000, "1d": 86_400_000_000}
"""Length of the windows that tickers have, in microseconds."""

_DAY_US: Final = 86_400_000_000


class StreamName(msgspec.Struct, frozen=True):
    """What the name of a stream asks for.

    Attributes:
        symbol: The venue's symbol in lower case, "btcusdt"; empty for a stream of all of them.
        channel: "trade", "aggTrade", "bookTicker", "ticker", "windowTicker", "miniTicker", "avgPrice", "depth"
            (differences), "partialDepth" or "kline".
        levels: Number of levels of a partial depth, else 0.
        interval: Length of a bar, for example "1m", or of the window of a ticker, else "".
        period_ms: Milliseconds from one frame to the next; 0 where each event has one.
        is_shifted: Whether bars begin on the boundaries of UTC+8.
    """

    symbol: str
    channel: str
    levels: int = 0
    interval: str = ""
    period_ms: int = 0
    is_shifted: bool = False

    @property
    def bars(self) -> str:
        """The market's name of such bars."""
        return shifted_interval(self.interval) if self.is_shifted else self.interval


def parse_stream_name(name: str) -> StreamName | None:
    """Return what a stream's name asks for, or None for one that this venue has no data for.

    Args:
        name: For example "btcusdt@depth@100ms". The symbol is part of what is returned whether or not it exists.
    """
    symbol, _, rest = name.partition("@")
    if symbol.startswith("!"):
        return _parse_array_name(symbol, rest)
    kind, _, speed = rest.partition("@")
    period_ms = _PERIODS_MS.get(speed, 0)
    parsed: StreamName | None = None
    if rest in {"trade", "aggTrade", "bookTicker"}:
        parsed = StreamName(symbol, rest)
    elif rest in {"ticker", "miniTicker", "avgPrice"}:
        parsed = StreamName(symbol, rest, period_ms=1_000)
    elif rest.removeprefix("ticker_") in WINDOWS_US:
        parsed = StreamName(symbol, "windowTicker", interval=rest.removeprefix("ticker_"), period_ms=1_000)
    elif kind.startswith("kline_") and speed in {"", "+08:00"} and kind[6:] in INTERVALS_US:
        period_ms = 1_000 if kind == "kline_1s" else 2_000
        parsed = StreamName(symbol, "kline", interval=kind[6:], period_ms=period_ms, is_shifted=bool(speed))
    elif kind == "depth" and period_ms:
        parsed = StreamName(symbol, "depth", period_ms=period_ms)
    elif kind in _PARTIAL_DEPTHS and period_ms:
        parsed = StreamName(symbol, "partialDepth", levels=_PARTIAL_DEPTHS[kind], period_ms=period_ms)
    return parsed


def _parse_array_name(kind: str, rest: str) -> StreamName | None:
    """Return what the name of a stream of all symbols asks for."""
    window = kind.removeprefix("!ticker_")
    if rest != "arr":
        return None
    if kind == "!miniTicker":
        return StreamName("", "miniTicker", period_ms=1_000)
    return StreamName("", "windowTicker", interval=window, period_ms=1_000) if window in WINDOWS_US else None


def is_stream_name(name: str) -> bool:
    """Tell whether a name is formed like a stream's, known or not: ``symbol@channel`` or ``!channel``."""
    symbol, at, channel = name.partition("@")
    return not any(character.isspace() for character in name) and (
        len(name) > 1 if name.startswith("!") else bool(symbol and at and channel)
    )


def combined_data(stream: str, data: bytes) -> bytes:
    """Return data as a combined stream wraps it.

    Args:
        stream: The stream's name as the client asked for it.
        data: One of the other functions' results.
    """
    return b'{"stream":"%b","data":%b}' % (stream.encode(), data)


def trade_data(symbol: str, trade: MarketTrade, divisor: int = MILLISECONDS) -> bytes:
    """Return the data of ``<symbol>@trade``."""
    time = trade.time_us // divisor
    return (
        f'{{"e":"trade","E":{time},"s":"{symbol}","t":{trade.id},"p":"{decimal_text(trade.price)}"'
        f',"q":"{decimal_text(trade.quantity)}","T":{time},"m":{_boolean(trade.buyer_is_maker)},"M":true}}'
    ).encode()


def aggregate_trade_data(symbol: str, trade: AggregateTrade, divisor: int = MILLISECONDS) -> bytes:
    """Return the data of ``<symbol>@aggTrade``."""
    time = trade.time_us // divisor
    return (
        f'{{"e":"aggTrade","E":{time},"s":"{symbol}","a":{trade.id},"p":"{decimal_text(trade.price)}"'
        f',"q":"{decimal_text(trade.quantity)}","f":{trade.first_trade_id},"l":{trade.last_trade_id},"T":{time}'
        f',"m":{_boolean(trade.buyer_is_maker)},"M":true}}'
    ).encode()


def book_ticker_data(symbol: str, quote: BestQuote) -> bytes:
    """Return the data of ``<symbol>@bookTicker``, which has neither event type nor time."""
    return (
        f'{{"u":{quote.update_id},"s":"{symbol}","b":"{decimal_text(quote.bid_price)}"'
        f',"B":"{decimal_text(quote.bid_quantity)}","a":"{decimal_text(quote.ask_price)}"'
        f',"A":"{decimal_text(quote.ask_quantity)}"}}'
    ).encode()


def depth_data(symbol: str, change: DepthChange, time_us: int, divisor: int = MILLISECONDS) -> bytes:
    """Return the data of ``<symbol>@depth``: the differences."""
    return (
        f'{{"e":"depthUpdate","E":{time_us // divisor},"s":"{symbol}","U":{change.first_update_id}'
        f',"u":{change.last_update_id},"b":{_levels(change.bids)},"a":{_levels(change.asks)}}}'
    ).encode()


def partial_depth_data(snapshot: DepthSnapshot) -> bytes:
    """Return the data of ``<symbol>@depth<levels>``, which has neither event type, symbol nor time."""
    return (
        f'{{"lastUpdateId":{snapshot.last_update_id},"bids":{_levels(snapshot.bids)},"asks":{_levels(snapshot.asks)}}}'
    ).encode()


def kline_data(
    symbol: str, interval: str, bar: MarketBar, time_us: int, divisor: int = MILLISECONDS, *, closed: bool = False
) -> bytes:
    """Return the data of ``<symbol>@kline_<interval>``."""
    return (
        f'{{"e":"kline","E":{time_us // divisor},"s":"{symbol}","k":{{"t":{bar.open_time_us // divisor}'
        f',"T":{bar.end_time_us // divisor - 1},"s":"{symbol}","i":"{interval}","f":{bar.first_trade_id}'
        f',"L":{bar.last_trade_id},"o":"{decimal_text(bar.open)}","c":"{decimal_text(bar.close)}"'
        f',"h":"{decimal_text(bar.high)}","l":"{decimal_text(bar.low)}","v":"{decimal_text(bar.volume)}"'
        f',"n":{bar.count},"x":{_boolean(closed)},"q":"{decimal_text(bar.quote_volume)}"'
        f',"V":"{decimal_text(bar.taker_volume)}","Q":"{decimal_text(bar.taker_quote_volume)}","B":"0"}}}}'
    ).encode()


def ticker_data(symbol: str, day: DayStatistics, quote: BestQuote, time_us: int, divisor: int = MILLISECONDS) -> bytes:
    """Return the data of ``<symbol>@ticker``: rolling 24 hours."""
    bar = day.bar
    change = bar.close - bar.open
    average = bar.quote_volume * ATOMS_PER_UNIT // bar.volume if bar.volume else bar.close
    return (
        f'{{"e":"24hrTicker","E":{time_us // divisor},"s":"{symbol}","p":"{_signed(change)}"'
        f',"P":"{100 * change / bar.open:.3f}","w":"{decimal_text(average)}","x":"{decimal_text(day.previous_close)}"'
        f',"c":"{decimal_text(bar.close)}","Q":"{decimal_text(day.last_quantity)}"'
        f',"b":"{decimal_text(quote.bid_price)}","B":"{decimal_text(quote.bid_quantity)}"'
        f',"a":"{decimal_text(quote.ask_price)}","A":"{decimal_text(quote.ask_quantity)}"'
        f',"o":"{decimal_text(bar.open)}","h":"{decimal_text(bar.high)}","l":"{decimal_text(bar.low)}"'
        f',"v":"{decimal_text(bar.volume)}","q":"{decimal_text(bar.quote_volume)}"'
        f',"O":{(time_us - _DAY_US) // divisor},"C":{time_us // divisor},"F":{bar.first_trade_id}'
        f',"L":{bar.last_trade_id},"n":{bar.count}}}'
    ).encode()


def mini_ticker_data(symbol: str, day: DayStatistics, time_us: int, divisor: int = MILLISECONDS) -> bytes:
    """Return the data of ``<symbol>@miniTicker``."""
    bar = day.bar
    return (
        f'{{"e":"24hrMiniTicker","E":{time_us // divisor},"s":"{symbol}","c":"{decimal_text(bar.close)}"'
        f',"o":"{decimal_text(bar.open)}","h":"{decimal_text(bar.high)}","l":"{decimal_text(bar.low)}"'
        f',"v":"{decimal_text(bar.volume)}","q":"{decimal_text(bar.quote_volume)}"}}'
    ).encode()


def window_ticker_data(
    symbol: str, window: str, day: DayStatistics, time_us: int, divisor: int = MILLISECONDS
) -> bytes:
    """Return the data of ``<symbol>@ticker_<window>``."""
    bar = day.bar
    change = bar.close - bar.open
    average = bar.quote_volume * ATOMS_PER_UNIT // bar.volume if bar.volume else bar.close
    return (
        f'{{"e":"{window}Ticker","E":{time_us // divisor},"s":"{symbol}","p":"{_signed(change)}"'
        f',"P":"{100 * change / bar.open:.3f}","o":"{decimal_text(bar.open)}","h":"{decimal_text(bar.high)}"'
        f',"l":"{decimal_text(bar.low)}","c":"{decimal_text(bar.close)}","w":"{decimal_text(average)}"'
        f',"v":"{decimal_text(bar.volume)}","q":"{decimal_text(bar.quote_volume)}","O":{bar.open_time_us // divisor}'
        f',"C":{time_us // divisor},"F":{bar.first_trade_id},"L":{bar.last_trade_id},"n":{bar.count}}}'
    ).encode()


def average_price_data(symbol: str, recent: DayStatistics, time_us: int, divisor: int = MILLISECONDS) -> bytes:
    """Return the data of ``<symbol>@avgPrice``, from the statistics of the last five minutes."""
    bar = recent.bar
    average = bar.quote_volume * ATOMS_PER_UNIT // bar.volume if bar.volume else bar.close
    return (
        f'{{"e":"avgPrice","E":{time_us // divisor},"s":"{symbol}","i":"5m","w":"{decimal_text(average)}"'
        f',"T":{recent.last_time_us // divisor}}}'
    ).encode()


def array_data(events: Sequence[Callable[[int], bytes]], divisor: int = MILLISECONDS) -> bytes:
    """Return the data of a stream of all symbols.

    Args:
        events: What makes the data of each symbol from the divisor.
        divisor: Microseconds per unit of the timestamps.
    """
    return b"[" + b",".join([event(divisor) for event in events]) + b"]"


def shutdown_data(time_us: int, divisor: int = MILLISECONDS) -> bytes:
    """Return the notice that the server is about to go; its combined form is of the stream ``!serverShutdown``."""
    return f'{{"e":"serverShutdown","E":{time_us // divisor}}}'.encode()


def _boolean(value: bool) -> str:  # noqa: FBT001  # the value is the subject
    return "true" if value else "false"


def _signed(atoms: int) -> str:
    return decimal_text(atoms) if atoms >= 0 else "-" + decimal_text(-atoms)


def _levels(levels: tuple[Level, ...]) -> str:
    return "[" + ",".join([f'["{decimal_text(price)}","{decimal_text(quantity)}"]' for price, quantity in levels]) + "]"


__all__ = (
    "MICROSECONDS",
    "MILLISECONDS",
    "WINDOWS_US",
    "StreamName",
    "aggregate_trade_data",
    "array_data",
    "average_price_data",
    "book_ticker_data",
    "combined_data",
    "depth_data",
    "is_stream_name",
    "kline_data",
    "mini_ticker_data",
    "parse_stream_name",
    "partial_depth_data",
    "shutdown_data",
    "ticker_data",
    "trade_data",
    "window_ticker_data",
)
