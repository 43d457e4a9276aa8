"""One open position."""

from __future__ import annotations

from decimal import Decimal

from bt_api_base.containers._base import MoneyEventBase
from bt_api_base.containers.enums import MarginType, PositionSide

__all__ = ("Position",)


class Position(MoneyEventBase, frozen=True, gc=False):
    """A position after a change, or in answer to a query.

    Prices are in the quote currency, amounts in the settlement currency. What the venue does not tell is ``None``.

    Attributes:
        position_side: Long, short, or net.
        position_volume: Size in the venue's quantity unit; negative for a short net position, zero once closed.
        avg_price: Average entry price.
        mark_price: Mark price that the venue used.
        liquidation_price: Price at which the venue liquidates.
        position_unrealized_pnl: Profit at the mark price.
        position_realized_pnl: Profit realized so far.
        position_fee: Fees paid so far.
        position_funding_value: Funding received (positive) or paid (negative) so far.
        leverage: Leverage set for it.
        margin_type: What secures it.
        is_auto_add_margin: Whether the venue adds margin by itself.
        initial_margin: Margin needed to hold it and its open orders.
        maintain_margin: Margin below which it is liquidated.
        position_initial_margin: Part of ``initial_margin`` due to the position.
        open_order_initial_margin: Part of ``initial_margin`` due to open orders.
        max_notional_value: Largest amount allowed at this leverage.
        trade_num: Number of trades in it.
        position_id: The venue's id.
        account_id: The account it is in.
    """

    position_side: PositionSide
    position_volume: Decimal
    avg_price: Decimal | None = None
    mark_price: Decimal | None = None
    liquidation_price: Decimal | None = None
    position_unrealized_pnl: Decimal | None = None
    position_realized_pnl: Decimal | None = None
    position_fee: Decimal | None = None
    position_funding_value: Decimal | None = None
    leverage: Decimal | None = None
    margin_type: MarginType | None = None
    is_auto_add_margin: bool | None = None
    initial_margin: Decimal | None = None
    maintain_margin: Decimal | None = None
    position_initial_margin: Decimal | None = None
    open_order_initial_margin: Decimal | None = None
    max_notional_value: Decimal | None = None
    trade_num: int | None = None
    position_id: str | None = None
    account_id: str | None = None

    @property
    def is_isolated(self) -> bool | None:
        """Whether only its own margin secures it; ``None`` where the venue does not tell."""
        return None if self.margin_type is None else self.margin_type is MarginType.ISOLATED
