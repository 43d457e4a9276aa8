"""A position that a venue closed by force, as it tells everybody."""

from __future__ import annotations

from bt_api_base.containers._base import EventBase
from bt_api_base.containers.enums import OrderStatus, PositionSide, Side

__all__ = ("Liquidation",)


class Liquidation(EventBase, frozen=True, gc=False):
    """A public liquidation. What the venue does not tell is ``None``.

    Attributes:
        liquidation_side: Side of the closing order: ``SELL`` when a long was closed.
        liquidation_price: Price of the closing order (on some venues the bankruptcy price).
        liquidation_volume: Quantity in the venue's quantity unit.
        liquidation_time: When it happened, nanoseconds since the epoch (UTC).
        position_side: The position that was closed.
        avg_price: Average price at which it was filled.
        executed_qty: Quantity filled so far.
        order_status: State of the closing order.
    """

    liquidation_side: Side
    liquidation_price: float
    liquidation_volume: float
    liquidation_time: int
    position_side: PositionSide | None = None
    avg_price: float | None = None
    executed_qty: float | None = None
    order_status: OrderStatus | None = None
