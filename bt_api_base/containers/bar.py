"""One bar (candlestick, kline)."""

from __future__ import annotations

from bt_api_base.containers._base import EventBase

__all__ = ("Bar",)


class Bar(EventBase, frozen=True, gc=False):
    """Open, high, low, close and volume of one interval.

    Attributes:
        period: Interval in the ecosystem's notation: ``"1m"``, ``"4h"``, ``"1d"``.
        open_time: Start of the interval, nanoseconds since the epoch (UTC).
        close_time: End of the interval, nanoseconds since the epoch (UTC), as the venue gives it.
        open_price: First price.
        high_price: Highest price.
        low_price: Lowest price.
        close_price: Last price, so far or final.
        volume: Traded quantity in the venue's quantity unit.
        turnover: Traded quote amount.
        trade_count: Number of trades; ``None`` where the venue does not count.
        taker_buy_volume: Part of ``volume`` bought by takers; ``None`` where unknown.
        taker_buy_turnover: Part of ``turnover`` bought by takers; ``None`` where unknown.
        is_closed: Whether the interval is over and the bar final.
    """

    period: str
    open_time: int
    close_time: int
    open_price: float
    high_price: float
    low_price: float
    close_price: float
    volume: float
    turnover: float | None = None
    trade_count: int | None = None
    taker_buy_volume: float | None = None
    taker_buy_turnover: float | None = None
    is_closed: bool = False
