"""Sums of money, exact: of amounts, of balances by currency, of accounts.

What is not known of one part is not known of the sum: ``None`` beside 5 makes ``None``, never 5. The order of the parts
changes nothing.
"""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from bt_api_base.containers.decimals import MAX_MAGNITUDE
from bt_api_base.exceptions import DataParseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bt_api_base.containers import Account, Balance

__all__ = ("combine_accounts", "combine_balances", "exact_sum")

_EXACT = decimal.Context(prec=8 * MAX_MAGNITUDE, Emin=decimal.MIN_EMIN, Emax=decimal.MAX_EMAX, traps=[decimal.Inexact])
"""More digits than reasonable numbers can need; if that is ever wrong, it is an error and not a rounded sum."""

_IDENTITY = frozenset({"exchange_name", "symbol"})


def exact_sum(amounts: Iterable[Decimal]) -> Decimal:
    """Add amounts without rounding, whatever the ambient decimal context says. The sum of nothing is 0."""
    total = Decimal(0)
    for amount in amounts:
        total = _EXACT.add(total, amount)
    return total


def combine_balances(balances: Iterable[Balance]) -> tuple[Balance, ...]:
    """Add balances of several accounts up, by venue and currency.

    Returns:
        One balance for each venue and currency, in their order. Its times are those of the latest part; what is text,
        such as `account_id`, is there where all parts agree on it.
    """
    parts: dict[tuple[str, str], list[Balance]] = {}
    for balance in balances:
        parts.setdefault((balance.exchange_name, balance.symbol), []).append(balance)
    return tuple([_combined(parts[key]) for key in sorted(parts)])


def combine_accounts(accounts: Iterable[Account]) -> Account:
    """Add accounts up: totals, balances by currency, and all positions.

    Commission rates, rights and names are there where all accounts agree on them.

    Raises:
        DataParseError: There is none, or they are at different venues, or have their totals in different currencies.
    """
    every = list(accounts)
    if not every:
        raise DataParseError("Account", "there is no account to add up")
    first = every[0]
    for number, account in enumerate(every):
        if (account.exchange_name, account.symbol) != (first.exchange_name, first.symbol):
            raise DataParseError(
                "Account",
                f"totals of {account.exchange_name} in {account.symbol or 'no currency'} cannot be added to those of "
                f"{first.exchange_name} in {first.symbol or 'no currency'}",
                exchange_name=account.exchange_name,
                field=f"[{number}].symbol",
            )
    positions = sorted(
        (position for account in every for position in account.positions),
        key=lambda position: (position.symbol, position.position_side.value, msgspec.json.encode(position)),
    )
    total: Account = _combined(every, rates=True)
    return msgspec.structs.replace(
        total,
        balances=combine_balances(balance for account in every for balance in account.balances),
        positions=tuple(positions),
    )


def _combined(parts: Sequence[Any], *, rates: bool = False) -> Any:  # noqa: ANN401 - of the same type as its parts
    """Add up structs of one type, field by field."""
    first = parts[0]
    if len(parts) == 1:
        return first
    values: dict[str, Any] = {}
    for name in first.__struct_fields__:
        column = [getattr(part, name) for part in parts]
        if name in _IDENTITY:
            values[name] = column[0]
        elif name in {"server_time", "local_time"}:
            values[name] = max(column)
        elif name in {"balances", "positions"}:
            continue
        elif all(type(value) is Decimal for value in column) and not (rates and name.endswith("_rate")):
            values[name] = exact_sum(column)
        else:
            values[name] = column[0] if all(value == column[0] for value in column) else None
    return type(first)(**values)
