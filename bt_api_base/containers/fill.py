"""One fill of an order of ours."""

from __future__ import annotations

from decimal import Decimal

from bt_api_base.containers._base import MoneyEventBase
from bt_api_base.containers.enums import LiquidityType, Offset, PositionSide, Side

__all__ = ("Fill",)


class Fill(MoneyEventBase, frozen=True, gc=False):
    """An execution: a part of an order, or all of it, was traded.

    Attributes:
        trade_id: The venue's id of the trade.
        order_id: The venue's id of the order.
        trade_side: Our side.
        trade_price: Price in the quote currency.
        trade_volume: Quantity in the venue's quantity unit.
        trade_time: When it was matched, nanoseconds since the epoch (UTC).
        client_order_id: The id we gave the order.
        trade_fee: What it cost; negative for a rebate.
        trade_fee_symbol: Currency of the fee.
        trade_type: Whether we were the maker or the taker.
        trade_offset: Whether it opened or closed, where orders must say so.
        trade_accumulate_volume: Filled quantity of the order so far, this fill included.
        position_side: The position it belongs to.
        realized_pnl: Profit that it realized, before fees, in the settlement currency.
    """

    trade_id: str
    order_id: str
    trade_side: Side
    trade_price: Decimal
    trade_volume: Decimal
    trade_time: int
    client_order_id: str | None = None
    trade_fee: Decimal | None = None
    trade_fee_symbol: str | None = None
    trade_type: LiquidityType | None = None
    trade_offset: Offset | None = None
    trade_accumulate_volume: Decimal | None = None
    position_side: PositionSide | None = None
    realized_pnl: Decimal | None = None
