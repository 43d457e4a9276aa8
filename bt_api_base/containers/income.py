"""Money that came or went other than by a trade's price."""

from __future__ import annotations

from decimal import Decimal

from bt_api_base.containers._base import MoneyEventBase
from bt_api_base.containers.enums import IncomeType

__all__ = ("Income",)


class Income(MoneyEventBase, frozen=True, gc=False):
    """One entry of an account's ledger. ``symbol`` is empty where no instrument caused it.

    Attributes:
        income_type: Why.
        income_value: How much; negative when it was paid.
        income_asset: In which currency.
        income_id: The venue's id of the entry.
        trade_id: The trade that caused it, if one did.
    """

    income_type: IncomeType
    income_value: Decimal
    income_asset: str
    income_id: str | None = None
    trade_id: str | None = None
