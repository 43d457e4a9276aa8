"""One order of ours, as the venue describes it."""

from __future__ import annotations

from decimal import Decimal

from bt_api_base.containers._base import MoneyEventBase
from bt_api_base.containers.enums import (
    Offset,
    OrderStatus,
    OrderType,
    PositionSide,
    Side,
    TimeInForce,
    TriggerPriceType,
)

__all__ = ("Order",)


class Order(MoneyEventBase, frozen=True, gc=False):
    """The state of an order after a change, or in answer to a query.

    Prices are in the quote currency, quantities in the venue's quantity unit. What the venue does not tell is
    ``None``, never zero.

    Attributes:
        order_id: The venue's id; empty while it has given none.
        order_side: Buy or sell.
        order_type: How it finds its price.
        order_status: Where it is in its life.
        order_size: Ordered quantity; ``None`` where it was ordered by amount.
        order_price: Limit price; ``None`` for market orders.
        order_avg_price: Average price of what is filled.
        executed_qty: Filled quantity.
        cum_quote: Filled amount in the quote currency.
        client_order_id: The id we gave it.
        trade_id: Id of the fill that caused this event, if one did.
        order_time: When the venue accepted it, nanoseconds since the epoch (UTC).
        order_time_in_force: How long it stays.
        order_exchange_id: Exchange behind a broker that routes to several.
        order_offset: Whether it opens or closes, where orders must say so.
        origin_order_type: Type it had before it was triggered.
        position_side: The position it belongs to.
        reduce_only: Whether it may only make a position smaller.
        close_position: Whether it closes the whole position, whatever its size.
        trailing_stop_price: Limit price of the trailing stop.
        trailing_stop_trigger_price: Price from which it trails.
        trailing_stop_callback_rate: Distance as a fraction of the price: 0.01 is one percent.
        trailing_stop_trigger_price_type: Which price is watched.
        stop_loss_price: Limit price of the attached stop loss.
        stop_loss_trigger_price: Price that sets the stop loss off.
        stop_loss_trigger_price_type: Which price is watched.
        take_profit_price: Limit price of the attached take profit.
        take_profit_trigger_price: Price that sets the take profit off.
        take_profit_trigger_price_type: Which price is watched.
    """

    order_id: str
    order_side: Side
    order_type: OrderType
    order_status: OrderStatus
    order_size: Decimal | None = None
    order_price: Decimal | None = None
    order_avg_price: Decimal | None = None
    executed_qty: Decimal | None = None
    cum_quote: Decimal | None = None
    client_order_id: str | None = None
    trade_id: str | None = None
    order_time: int | None = None
    order_time_in_force: TimeInForce | None = None
    order_exchange_id: str | None = None
    order_offset: Offset | None = None
    origin_order_type: OrderType | None = None
    position_side: PositionSide | None = None
    reduce_only: bool | None = None
    close_position: bool | None = None
    trailing_stop_price: Decimal | None = None
    trailing_stop_trigger_price: Decimal | None = None
    trailing_stop_callback_rate: Decimal | None = None
    trailing_stop_trigger_price_type: TriggerPriceType | None = None
    stop_loss_price: Decimal | None = None
    stop_loss_trigger_price: Decimal | None = None
    stop_loss_trigger_price_type: TriggerPriceType | None = None
    take_profit_price: Decimal | None = None
    take_profit_trigger_price: Decimal | None = None
    take_profit_trigger_price_type: TriggerPriceType | None = None
