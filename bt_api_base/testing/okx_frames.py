"""Market events as OKX's streams print them: compact JSON, all numbers as text without trailing zeros.

Each function returns a whole frame of a channel; ``arg``, the last argument, is what names the channel in it, as JSON
text. Times are given in microseconds and printed in milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from bt_api_base.testing.market_bars import INTERVALS_US
from bt_api_base.testing.market_book import decimal_text

if TYPE_CHECKING:
    from bt_api_base.testing.market import AggregateTrade, BestQuote
    from bt_api_base.testing.market_bars import DayStatistics, MarketBar, MarketTrade
    from bt_api_base.testing.market_book import DepthChange, DepthSnapshot, Level

_CANDLES: Final = {
    f"candle{interval.upper() if interval[-1] in 'hdw' else interval}"
    + ("utc" if interval in {"6h", "12h", "1d", "3d", "1w", "1M"} else ""): interval
    for interval in INTERVALS_US
    if interval != "8h"
}
"""Channels of bars that the markets keep, and their intervals: days by UTC only."""

_PERIODS_MS: Final = {"tickers": 100, "books5": 100, "books": 100, "mark-price": 200, "funding-rate": 60_000}
_EVENTS: Final = ("trades", "trades-all", "bbo-tbt")
_BY_TYPE: Final = ("liquidation-orders", "orders", "positions")
_BY_ACCOUNT: Final = ("account", "balance_and_position")

BUSINESS_CHANNELS: Final = frozenset({"trades-all", *_CANDLES})
"""Channels of the business endpoint."""

PRIVATE_CHANNELS: Final = frozenset({"orders", "positions", *_BY_ACCOUNT})
"""Channels of the private endpoint."""

VIP_CHANNELS: Final = frozenset({"books-l2-tbt", "books50-l2-tbt"})
"""Channels for traders of a high level, which nobody has here."""


class OkxStream(msgspec.Struct, frozen=True):
    """What the name of a stream asks for.

    Attributes:
        symbol: The instrument; empty where there is none.
        channel: The venue's channel; ``"candle"`` for bars.
        period_ms: Milliseconds from one frame to the next; 0 where each event has one.
        interval: Length of a bar, for example "1m", else "".
    """

    symbol: str
    channel: str
    period_ms: int = 0
    interval: str = ""


def parse_stream_name(name: str) -> OkxStream | None:
    """Return what a stream's name asks for, or None for one that this venue has no data for.

    Args:
        name: For example "books:BTC-USDT" or "orders:SPOT:BTC-USDT": the channel and what else is in its ``arg``.
    """
    channel, _, symbol = name.partition(":")
    if channel in _BY_TYPE or channel in _BY_ACCOUNT:
        return OkxStream("", channel)
    if not symbol:
        return None
    if channel in _CANDLES:
        return OkxStream(symbol, "candle", 1_000, _CANDLES[channel])
    if channel in _EVENTS or channel in _PERIODS_MS:
        return OkxStream(symbol, channel, _PERIODS_MS.get(channel, 0))
    return None


def candle_interval(bar: str) -> str | None:
    """Return the interval of the venue's word for a bar, such as "1H" or "1Dutc"; None for one that is not kept."""
    return _CANDLES.get(f"candle{bar}")


def stream_name(arg: dict[str, object]) -> str | None:
    """Return the name of the stream that an ``arg`` asks for, or None if it is not formed like one."""
    channel = arg.get("channel")
    if not isinstance(channel, str) or not channel or ":" in channel:
        return None
    values = [arg.get(field) for field in ("instType", "instId", "ccy")]
    return ":".join((channel, *(value for value in values if isinstance(value, str) and value)))


def instrument_type(symbol: str) -> str:
    """Return the venue's word for what a symbol is."""
    _, _, rest = symbol.partition("-")
    _, _, kind = rest.partition("-")
    if not kind:
        return "SPOT"
    return "SWAP" if kind == "SWAP" else "OPTION" if kind.endswith(("-C", "-P")) else "FUTURES"


def text(atoms: int) -> str:
    """Return a price or quantity as the venue writes it: without trailing zeros."""
    return decimal_text(atoms).rstrip("0").rstrip(".")


def _frame(arg: str, *data: str) -> bytes:
    return f'{{"arg":{arg},"data":[{",".join(data)}]}}'.encode()


def data_frame(data: str, arg: str) -> bytes:
    """Return a frame with one payload, given as JSON text."""
    return _frame(arg, data)


def ticker_frame(symbol: str, day: DayStatistics, quote: BestQuote, time_us: int, arg: str) -> bytes:
    """Return a frame of ``tickers``."""
    bar = day.bar
    return _frame(
        arg,
        f'{{"instType":"{instrument_type(symbol)}","instId":"{symbol}","last":"{text(bar.close)}"'
        f',"lastSz":"{text(day.last_quantity)}","askPx":"{text(quote.ask_price)}","askSz":"{text(quote.ask_quantity)}"'
        f',"bidPx":"{text(quote.bid_price)}","bidSz":"{text(quote.bid_quantity)}","open24h":"{text(bar.open)}"'
        f',"high24h":"{text(bar.high)}","low24h":"{text(bar.low)}","volCcy24h":"{text(bar.quote_volume)}"'
        f',"vol24h":"{text(bar.volume)}","ts":"{time_us // 1_000}","sodUtc0":"{text(bar.open)}"'
        f',"sodUtc8":"{text(bar.open)}"}}',
    )


def trade_frame(symbol: str, trade: AggregateTrade, sequence: int, arg: str) -> bytes:
    """Return a frame of ``trades``: what a taker traded at one price."""
    count = trade.last_trade_id - trade.first_trade_id + 1
    return _frame(
        arg,
        f'{{"instId":"{symbol}","tradeId":"{trade.last_trade_id}","px":"{text(trade.price)}"'
        f',"sz":"{text(trade.quantity)}","side":"{_side(trade.buyer_is_maker)}","ts":"{trade.time_us // 1_000}"'
        f',"count":"{count}","source":"0","seqId":{sequence}}}',
    )


def single_trade_frame(symbol: str, trade: MarketTrade, arg: str) -> bytes:
    """Return a frame of ``trades-all``."""
    return _frame(
        arg,
        f'{{"instId":"{symbol}","tradeId":"{trade.id}","px":"{text(trade.price)}","sz":"{text(trade.quantity)}"'
        f',"side":"{_side(trade.buyer_is_maker)}","ts":"{trade.time_us // 1_000}","source":"0"}}',
    )


def top_frame(symbol: str, book: DepthSnapshot, time_us: int, arg: str) -> bytes:
    """Return a frame of ``bbo-tbt`` or ``books5``: the best levels."""
    return _frame(
        arg,
        f'{{"asks":{_levels(book.asks)},"bids":{_levels(book.bids)},"instId":"{symbol}","ts":"{time_us // 1_000}"'
        f',"seqId":{book.last_update_id}}}',
    )


def snapshot_frame(book: DepthSnapshot, time_us: int, arg: str) -> bytes:
    """Return the first frame of ``books``."""
    return _book_frame(arg, "snapshot", book.asks, book.bids, time_us, -1, book.last_update_id)


def update_frame(change: DepthChange, time_us: int, arg: str) -> bytes:
    """Return a later frame of ``books``."""
    previous = change.first_update_id - 1
    return _book_frame(arg, "update", change.asks, change.bids, time_us, previous, change.last_update_id)


def empty_update_frame(previous: int, sequence: int, time_us: int, arg: str) -> bytes:
    """Return the frame of ``books`` that says that no level has changed, whatever the number has become."""
    return _book_frame(arg, "update", (), (), time_us, previous, sequence)


def _book_frame(  # noqa: PLR0917
    arg: str, action: str, asks: tuple[Level, ...], bids: tuple[Level, ...], time_us: int, previous: int, sequence: int
) -> bytes:
    return (
        f'{{"arg":{arg},"action":"{action}","data":[{{"asks":{_levels(asks)},"bids":{_levels(bids)}'
        f',"ts":"{time_us // 1_000}","checksum":0,"prevSeqId":{previous},"seqId":{sequence}}}]}}'
    ).encode()


def candle_frame(bar: MarketBar, is_closed: bool, arg: str) -> bytes:  # noqa: FBT001  # handed on by position
    """Return a frame of ``candle…``."""
    numbers = (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.quote_volume, bar.quote_volume)
    values = '","'.join((str(bar.open_time_us // 1_000), *map(text, numbers), str(int(is_closed))))
    return _frame(arg, f'["{values}"]')


def mark_price_frame(symbol: str, price: int, time_us: int, arg: str) -> bytes:
    """Return a frame of ``mark-price``."""
    return _frame(
        arg,
        f'{{"instType":"{instrument_type(symbol)}","instId":"{symbol}","markPx":"{text(price)}"'
        f',"ts":"{time_us // 1_000}"}}',
    )


def funding_rate_frame(symbol: str, time_us: int, arg: str) -> bytes:
    """Return a frame of ``funding-rate``; the rate is always the same."""
    eight_hours = 28_800_000
    due = (time_us // 1_000 // eight_hours + 1) * eight_hours
    return _frame(
        arg,
        f'{{"fundingRate":"0.0001","fundingTime":"{due}","instId":"{symbol}","instType":"SWAP"'
        f',"method":"current_period","maxFundingRate":"0.00375","minFundingRate":"-0.00375","nextFundingRate":""'
        f',"nextFundingTime":"{due + eight_hours}","premium":"-0.00002","settFundingRate":"0.0001"'
        f',"settState":"settled","ts":"{time_us // 1_000}"}}',
    )


def _side(buyer_is_maker: bool) -> str:  # noqa: FBT001  # the value is the subject
    return "sell" if buyer_is_maker else "buy"


def _levels(levels: tuple[Level, ...]) -> str:
    return "[" + ",".join([f'["{text(price)}","{text(quantity)}","0","1"]' for price, quantity in levels]) + "]"


__all__ = (
    "BUSINESS_CHANNELS",
    "PRIVATE_CHANNELS",
    "VIP_CHANNELS",
    "OkxStream",
    "candle_frame",
    "candle_interval",
    "data_frame",
    "empty_update_frame",
    "funding_rate_frame",
    "instrument_type",
    "mark_price_frame",
    "parse_stream_name",
    "single_trade_frame",
    "snapshot_frame",
    "stream_name",
    "text",
    "ticker_frame",
    "top_frame",
    "trade_frame",
    "update_frame",
)
