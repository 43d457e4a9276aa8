"""Balances and accounts in one form, whatever form a venue gives them in."""

from __future__ import annotations

from bt_api_base.balance_utils.handlers import nested_balance_handler, simple_balance_handler
from bt_api_base.balance_utils.normalization import normalize_account, normalize_balances
from bt_api_base.balance_utils.totals import combine_accounts, combine_balances, exact_sum

__all__ = (
    "combine_accounts",
    "combine_balances",
    "exact_sum",
    "nested_balance_handler",
    "normalize_account",
    "normalize_balances",
    "simple_balance_handler",
)
