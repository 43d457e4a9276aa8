"""One public trade, single or aggregated."""

from __future__ import annotations

from bt_api_base.containers._base import EventBase
from bt_api_base.containers.enums import Side

__all__ = ("Trade",)


class Trade(EventBase, frozen=True, gc=False):
    """A public trade.

    Attributes:
        trade_id: The venue's id of the trade, or of the aggregate.
        trade_price: Price in the quote currency.
        trade_volume: Quantity in the venue's quantity unit.
        trade_side: Side of the taker: ``BUY`` when the buyer crossed the spread.
        trade_time: When it was matched, nanoseconds since the epoch (UTC).
        first_trade_id: For aggregates, the first trade in it; else ``None``.
        last_trade_id: For aggregates, the last trade in it; else ``None``.
    """

    trade_id: str
    trade_price: float
    trade_volume: float
    trade_side: Side
    trade_time: int
    first_trade_id: str | None = None
    last_trade_id: str | None = None
