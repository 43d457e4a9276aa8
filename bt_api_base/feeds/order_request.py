"""An order as it is asked for, the same for every venue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from bt_api_base.containers.decimals import to_decimal
from bt_api_base.containers.enums import OrderType, PositionSide, Side, TimeInForce

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

__all__ = ("OrderRequest",)


def _amount(value: Decimal | str | float | None) -> Decimal | None:
    return None if value is None else to_decimal(value)


@attrs.frozen(kw_only=True)
class OrderRequest:
    """What is asked of a venue. Numbers may be given as text, integers or floats (0.1 becomes ``Decimal("0.1")``).

    Attributes:
        symbol: Internal symbol, such as ``"BTC-USDT"``.
        side: Buy or sell.
        order_type: ``LIMIT``, ``MARKET`` or ``LIMIT_MAKER`` (post only), or another that the venue knows.
        quantity: In the venue's quantity unit; ``None`` where ``quote_quantity`` is given.
        price: In the quote currency; ``None`` for market orders.
        time_in_force: ``GTC``, ``IOC``, ``FOK``, …; ``None``: what is usual for the type.
        quote_quantity: What to spend or to get, in the quote currency, where the venue can do that.
        client_order_id: The id by which the order is found again whatever happens; never empty once it is sent.
        reduce_only: Whether it may only make a position smaller.
        position_side: The position it belongs to, where an account has one for each side.
        parameters: What only this venue knows, in its own names.
    """

    symbol: str
    side: Side = attrs.field(converter=Side)
    order_type: OrderType = attrs.field(converter=OrderType)
    quantity: Decimal | None = attrs.field(default=None, converter=_amount)
    price: Decimal | None = attrs.field(default=None, converter=_amount)
    time_in_force: TimeInForce | None = None
    quote_quantity: Decimal | None = attrs.field(default=None, converter=_amount)
    client_order_id: str = ""
    reduce_only: bool | None = None
    position_side: PositionSide | None = None
    parameters: Mapping[str, str | int | bool] = attrs.field(factory=dict[str, "str | int | bool"])
