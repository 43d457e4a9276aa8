"""What an account holds of one currency."""

from __future__ import annotations

from decimal import Decimal

from bt_api_base.containers._base import MoneyEventBase

__all__ = ("Balance",)


class Balance(MoneyEventBase, frozen=True, gc=False):
    """A balance after a change, or in answer to a query. ``symbol`` is the currency, such as ``"USDT"``.

    All amounts are in that currency. What the venue does not tell is ``None``.

    Attributes:
        margin: Total holding, without unrealized profit.
        available_margin: Part that can be used for new orders.
        used_margin: Part that is locked by orders and positions.
        unrealized_profit: Profit of open positions at the mark price.
        maintain_margin: Margin below which positions are liquidated.
        open_order_initial_margin: Margin locked by open orders.
        open_order_maintenance_margin: Maintenance margin of open orders.
        max_withdraw_amount: Part that can be withdrawn.
        interest: Interest owed on what is borrowed.
        fee_tier: The venue's name of the fee level.
        account_type: The venue's name of the kind of account.
        account_id: The account it is in.
    """

    margin: Decimal
    available_margin: Decimal | None = None
    used_margin: Decimal | None = None
    unrealized_profit: Decimal | None = None
    maintain_margin: Decimal | None = None
    open_order_initial_margin: Decimal | None = None
    open_order_maintenance_margin: Decimal | None = None
    max_withdraw_amount: Decimal | None = None
    interest: Decimal | None = None
    fee_tier: str | None = None
    account_type: str | None = None
    account_id: str | None = None

    @property
    def currency(self) -> str:
        """The currency: another name of ``symbol``."""
        return self.symbol
