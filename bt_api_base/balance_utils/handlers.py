"""The two balance handlers that plugins register: worth and cash by currency, as plain dictionaries.

They take what plugins have, objects with getters, and the containers `Account` and `Balance` as well. Numbers keep the
type they come in: decimals add up exactly, floats as floats do. Text becomes a decimal. An amount that is missing
counts as 0.0 here, which is the contract; `normalize_balances` keeps it ``None``.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from bt_api_base.balance_utils.totals import exact_sum
from bt_api_base.containers import Account, Balance
from bt_api_base.containers.decimals import to_decimal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ("nested_balance_handler", "simple_balance_handler")

_Number = Decimal | float
_Row = tuple[str, Any, Any, Any]
"""Currency, margin, available margin, unrealized profit."""


def simple_balance_handler(
    accounts: Iterable[Any],
) -> tuple[dict[str, dict[str, _Number]], dict[str, dict[str, _Number]]]:
    """Return worth and cash by currency, of accounts that hold one currency each.

    Args:
        accounts: Objects with ``get_account_type()``, which is the currency, ``get_margin()``,
            ``get_available_margin()`` and ``get_unrealized_profit()``; their ``init_data()`` is called first. Or
            containers.

    Returns:
        ``{currency: {"value": margin + unrealized profit}}`` and ``{currency: {"cash": available margin}}``, added up
        where several accounts hold the same currency.
    """
    return _added_up(row for account in accounts for row in _rows(account, _simple_rows))


def nested_balance_handler(
    accounts: Iterable[Any],
) -> tuple[dict[str, dict[str, _Number]], dict[str, dict[str, _Number]]]:
    """Return worth and cash by currency, of accounts that hold a balance for each currency.

    Args:
        accounts: Objects with ``get_balances()``, a list of objects with ``get_symbol_name()``, which is the currency,
            ``get_margin()``, ``get_available_margin()`` and ``get_unrealized_profit()``; ``init_data()`` of each is
            called first. Or containers.

    Returns:
        As `simple_balance_handler`.
    """
    return _added_up(row for account in accounts for row in _rows(account, _nested_rows))


def _rows(account: Any, rows_of_getters: Any) -> Iterator[_Row]:  # noqa: ANN401 - a container, or a plugin's object
    if isinstance(account, Balance):
        yield account.symbol, account.margin, account.available_margin, account.unrealized_profit
    elif not isinstance(account, Account):
        yield from rows_of_getters(account)
    elif account.balances:
        for balance in account.balances:
            yield from _rows(balance, None)
    elif account.total_wallet_balance is not None:
        profit = account.total_unrealized_profit
        yield account.symbol, account.total_wallet_balance, account.total_available_margin, profit
    else:  # the total of an account includes the profit
        yield account.symbol, account.total_margin, account.total_available_margin, None


def _simple_rows(account: Any) -> Iterator[_Row]:  # noqa: ANN401 - a plugin's object
    account.init_data()
    yield account.get_account_type(), *_amounts(account)


def _nested_rows(account: Any) -> Iterator[_Row]:  # noqa: ANN401 - a plugin's object
    account.init_data()
    for balance in account.get_balances() or ():
        balance.init_data()
        yield balance.get_symbol_name(), *_amounts(balance)


def _amounts(holder: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401 - a plugin's object
    return holder.get_margin(), holder.get_available_margin(), holder.get_unrealized_profit()


def _added_up(rows: Iterable[_Row]) -> tuple[dict[str, dict[str, _Number]], dict[str, dict[str, _Number]]]:
    values: dict[str, list[Any]] = {}
    cash: dict[str, list[Any]] = {}
    for currency, margin, available, profit in rows:
        values.setdefault(currency or "", []).extend((margin, profit))
        cash.setdefault(currency or "", []).append(available)
    return (
        {currency: {"value": _sum(amounts)} for currency, amounts in values.items()},
        {currency: {"cash": _sum(amounts)} for currency, amounts in cash.items()},
    )


def _sum(amounts: list[Any]) -> _Number:
    known = [
        to_decimal(amount) if isinstance(amount, str) else amount
        for amount in amounts
        if amount is not None and amount != ""
    ]
    if not known:
        return 0.0
    if any(isinstance(amount, Decimal) for amount in known):
        return exact_sum(to_decimal(amount) for amount in known)
    return float(sum(known))
