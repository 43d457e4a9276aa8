"""Best prices and the last trade of one instrument."""

from __future__ import annotations

from bt_api_base.containers._base import EventBase

__all__ = ("Tick",)


class Tick(EventBase, frozen=True, gc=False):
    """A ticker: best bid and ask, and where the venue sends them the last trade and 24-hour figures.

    Prices are in the quote currency, volumes in the venue's quantity unit (base currency on spot).
    A field the venue's channel does not carry is ``None``, never zero.

    Attributes:
        bid_price: Best bid.
        ask_price: Best ask.
        bid_volume: Quantity at the best bid.
        ask_volume: Quantity at the best ask.
        last_price: Price of the last trade.
        last_volume: Quantity of the last trade.
        open_price: First price of the rolling window (24 h on most venues).
        high_price: Highest price of the window.
        low_price: Lowest price of the window.
        volume: Traded quantity of the window.
        turnover: Traded quote amount of the window.
        sequence: The venue's update id, for ordering and deduplication.
    """

    bid_price: float | None = None
    ask_price: float | None = None
    bid_volume: float | None = None
    ask_volume: float | None = None
    last_price: float | None = None
    last_volume: float | None = None
    open_price: float | None = None
    high_price: float | None = None
    low_price: float | None = None
    volume: float | None = None
    turnover: float | None = None
    sequence: int | None = None
