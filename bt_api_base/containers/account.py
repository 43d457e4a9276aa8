"""A whole account: totals, balances, positions."""

from __future__ import annotations

from decimal import Decimal

from bt_api_base.containers._base import MoneyEventBase
from bt_api_base.containers.balance import Balance
from bt_api_base.containers.position import Position

__all__ = ("Account",)


class Account(MoneyEventBase, frozen=True, gc=False):
    """An account at one moment. ``symbol`` is empty, or the currency in which the totals are given.

    What the venue does not tell is ``None``. Commission rates are fractions of the traded amount: 0.001 is ten basis
    points; negative for a rebate.

    Attributes:
        account_id: The venue's id.
        account_type: The venue's name of the kind of account.
        can_deposit: Whether deposits are allowed.
        can_trade: Whether trading is allowed.
        can_withdraw: Whether withdrawals are allowed.
        fee_tier: The venue's name of the fee level.
        max_withdraw_amount: Amount that can be withdrawn.
        total_margin: All margin, unrealized profit included.
        total_used_margin: Margin locked by orders and positions.
        total_maintain_margin: Margin below which positions are liquidated.
        total_available_margin: Margin that can be used for new orders.
        total_open_order_initial_margin: Margin locked by open orders.
        total_position_initial_margin: Margin locked by positions.
        total_unrealized_profit: Profit of open positions at mark prices.
        total_wallet_balance: All holdings, without unrealized profit.
        spot_maker_commission_rate: Spot, as maker.
        spot_taker_commission_rate: Spot, as taker.
        future_maker_commission_rate: Futures and swaps, as maker.
        future_taker_commission_rate: Futures and swaps, as taker.
        option_maker_commission_rate: Options, as maker.
        option_taker_commission_rate: Options, as taker.
        balances: What it holds, by currency.
        positions: Its open positions.
    """

    account_id: str | None = None
    account_type: str | None = None
    can_deposit: bool | None = None
    can_trade: bool | None = None
    can_withdraw: bool | None = None
    fee_tier: str | None = None
    max_withdraw_amount: Decimal | None = None
    total_margin: Decimal | None = None
    total_used_margin: Decimal | None = None
    total_maintain_margin: Decimal | None = None
    total_available_margin: Decimal | None = None
    total_open_order_initial_margin: Decimal | None = None
    total_position_initial_margin: Decimal | None = None
    total_unrealized_profit: Decimal | None = None
    total_wallet_balance: Decimal | None = None
    spot_maker_commission_rate: Decimal | None = None
    spot_taker_commission_rate: Decimal | None = None
    future_maker_commission_rate: Decimal | None = None
    future_taker_commission_rate: Decimal | None = None
    option_maker_commission_rate: Decimal | None = None
    option_taker_commission_rate: Decimal | None = None
    balances: tuple[Balance, ...] = ()
    positions: tuple[Position, ...] = ()
