"""From what venues say about accounts to `Balance` and `Account`.

An answer is a mapping from currencies, a list of rows, or an account with balances and positions inside, one or several
of them, in whatever wrapping. Which names mean what is in `bt_api_base.balance_utils.names`; what is here does not know
any venue. A venue's own adapter that knows its answers by heart is quicker, and stricter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar, cast

import attrs

from bt_api_base.balance_utils import names
from bt_api_base.balance_utils.totals import combine_accounts, combine_balances, exact_sum
from bt_api_base.containers import Account, Balance, Position
from bt_api_base.containers.decimals import to_decimal
from bt_api_base.containers.enums import MarginType, PositionSide
from bt_api_base.exceptions import DataParseError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bt_api_base.balance_utils.names import Tiers

__all__ = ("normalize_account", "normalize_balances")

T = TypeVar("T")

_Row = Mapping[str, Any]


def normalize_balances(
    data: object, *, exchange_name: str = "", server_time: int = 0, local_time: int = 0, account_id: str | None = None
) -> tuple[Balance, ...]:
    """Turn what a venue says about balances into one `Balance` for each currency, added up over all accounts in it.

    Amounts are exact. ``margin``, the total, is the one that is given; or what is available and locked together; or the
    equity less the unrealized profit. Everything else that is not given is ``None``.

    Args:
        data: What came, decoded: ``{"BTC": {"free": "1", "locked": "0"}}``, ``{"BTC": "1"}``, a list of rows, or one or
            several accounts with such a list. Amounts are text, decimals, integers or floats. Containers are taken as
            they are.
        exchange_name: The venue, such as ``"BINANCE___SPOT"``.
        server_time: When the venue says that it was so, nanoseconds since the epoch (UTC).
        local_time: When it came, nanoseconds since the epoch (UTC).
        account_id: The account, where the data does not say.

    Returns:
        The balances, in the order of their currencies.

    Raises:
        DataParseError: It is none of these, an amount is no number, a total cannot be made out, or two numbers that
            must agree do not. `DataParseError.field` says where.
    """
    reader = _Reader(exchange_name, "", server_time, local_time, account_id, str)
    return combine_balances(balance for account in reader.accounts(data) for balance in account.balances)


def normalize_account(
    data: object,
    *,
    exchange_name: str = "",
    symbol: str = "",
    server_time: int = 0,
    local_time: int = 0,
    account_id: str | None = None,
    to_symbol: Callable[[str], str] = str,
) -> Account:
    """Turn what a venue says about one or several accounts into one `Account`: totals, balances, open positions.

    Args:
        data: As for `normalize_balances`.
        exchange_name: The venue, such as ``"BINANCE___SWAP"``.
        symbol: The currency in which the venue gives totals.
        server_time: When the venue says that it was so, nanoseconds since the epoch (UTC).
        local_time: When it came, nanoseconds since the epoch (UTC).
        account_id: The account, where the data does not say.
        to_symbol: Translates the venue's symbols of positions into internal ones.

    Returns:
        The account. Totals are those that the venue gives, added up over its accounts, or ``None``.

    Raises:
        DataParseError: As `normalize_balances`.
    """
    return combine_accounts(
        _Reader(exchange_name, symbol, server_time, local_time, account_id, to_symbol).accounts(data)
    )


@attrs.frozen
class _Value:
    """A member of a mapping, and the name that it has there."""

    name: str
    value: Any


_Plain = dict[str, _Value]
"""A mapping by the names of the tables."""

_Placed = tuple[object, str]
"""A row, and where it is."""

_AMOUNTS = frozenset(name for tiers in names.BALANCE_NUMBERS.values() for tier in tiers for name in tier)


def _numbered(rows: Sequence[object], path: str) -> list[_Placed]:
    return [(row, f"{path}[{at}]") for at, row in enumerate(rows)]


@attrs.frozen
class _Reader:
    """Goes through what came, and knows at each place where it is."""

    exchange_name: str
    symbol: str
    server_time: int
    local_time: int
    account_id: str | None
    to_symbol: Callable[[str], str]

    def accounts(self, data: object, path: str = "$") -> list[Account]:
        """Read one or several accounts, or what is in one."""
        if isinstance(data, Account):
            return [data]
        if isinstance(data, Balance):
            return [Account(data.exchange_name, self.symbol, data.server_time, data.local_time, balances=(data,))]
        if isinstance(data, Mapping):
            return self._accounts_in(cast("_Row", data), path)
        if not isinstance(data, Sequence) or isinstance(data, (str, bytes)):
            raise self._error(f"expected balances, got {type(data).__name__}", path)
        items = cast("Sequence[object]", data)
        if all(map(self._is_row, items)):
            return [self._account({}, _numbered(items, path), path)]
        return [account for at, item in enumerate(items) for account in self.accounts(item, f"{path}[{at}]")]

    def _accounts_in(self, raw: _Row, path: str) -> list[Account]:
        data = self._plain(raw, path)
        held = {
            name: value
            for name, value in data.items()
            # There is a currency DATA, too.
            if isinstance(value.value, (Mapping, list, tuple)) and not value.name.isupper()
        }
        for name in names.WRAPPERS:
            if name in held:
                return self.accounts(held[name].value, f"{path}.{held[name].name}")
        for name in names.LISTS_OF_BALANCES:
            if name not in held:
                continue
            inner, place = held[name].value, f"{path}.{held[name].name}"
            if isinstance(inner, Mapping):
                return [self._account(data, self._by_currency(cast("_Row", inner), place), path)]
            if all(map(self._is_row, inner)):
                return [self._account(data, _numbered(inner, place), path)]
            return self.accounts(inner, place)
        if not held.keys().isdisjoint(names.LISTS_OF_POSITIONS):
            return [self._account(data, [], path)]
        return [self._account({}, [(raw, path)] if self._is_row(raw) else self._by_currency(raw, path), path)]

    def _is_row(self, item: object) -> bool:
        """Tell whether something is about one currency: it names it."""
        if not isinstance(item, Mapping):
            return False
        plain = {names.plain_name(str(name)): value for name, value in cast("_Row", item).items()}
        return any(isinstance(plain.get(name), str) for tier in names.CURRENCY for name in tier)

    def _by_currency(self, data: _Row, path: str) -> list[_Placed]:
        """Make rows of a mapping from currencies to rows, or to totals."""
        rows: list[_Placed] = []
        for currency, value in data.items():
            place = f"{path}.{currency}"
            if names.plain_name(currency) in _AMOUNTS and not currency.isupper():
                raise self._error("an amount without a currency", place)
            if isinstance(value, Mapping):
                rows.append(({**cast("_Row", value), "currency": currency}, place))
            elif isinstance(value, (str, int, float, Decimal)):
                rows.append(({"currency": currency, "total": value}, place))
            else:
                raise self._error(f"expected a balance, got {type(value).__name__}", place)
        return rows

    def _account(self, data: _Plain, rows: list[_Placed], path: str) -> Account:
        """Make an account of its totals, its rows and its positions."""
        fields: dict[str, Any] = {}
        for name, tiers in names.ACCOUNT_NUMBERS.items():
            fields[name] = self._find(data, tiers, self._number, path)
        for name, tiers in names.ACCOUNT_TEXTS.items():
            fields[name] = self._find(data, tiers, self._text, path)
        for name, tiers in names.ACCOUNT_FLAGS.items():
            fields[name] = self._find(data, tiers, self._flag, path)
        fields["account_id"] = fields["account_id"] or self.account_id
        plain = [(self._plain(row, place), place) for row, place in rows]
        return Account(
            self.exchange_name,
            self.symbol,
            self.server_time,
            self.local_time,
            balances=tuple([self._balance(row, place, fields) for row, place in self._put_together(plain)]),
            positions=tuple(self._positions(data, path, fields["account_id"])),
            **fields,
        )

    def _put_together(self, rows: Iterable[tuple[_Plain, str]]) -> Iterable[tuple[_Plain, str]]:
        """Make one row of those that hold a part of a balance each (`names.KINDS`)."""
        whole: dict[tuple[str, str], _Plain] = {}
        for row, place in rows:
            kind = row.get("type")
            part = names.KINDS.get(str(kind.value)) if kind is not None and "balance" in row else None
            if part is None:
                yield row, place
                continue
            currency = self._currency(row, place)
            key = next((key for key in whole if key[0] == currency and part not in whole[key]), (currency, place))
            whole.setdefault(key, {"currency": _Value("currency", currency)})[part] = row["balance"]
        for (_, place), row in whole.items():
            yield row, place

    def _balance(self, row: _Plain, path: str, account: Mapping[str, Any]) -> Balance:
        found = {name: self._find(row, tiers, self._number, path) for name, tiers in names.BALANCE_NUMBERS.items()}
        texts = {name: self._find(row, tiers, self._text, path) for name, tiers in names.BALANCE_TEXTS.items()}
        self._check(row, path)
        equity = found.pop("equity")
        available, used, profit = found["available_margin"], found["used_margin"], found["unrealized_profit"]
        if found["margin"] is None and available is not None and used is not None:
            found["margin"] = exact_sum((available, used))
        if found["margin"] is None and equity is not None and profit is not None:
            found["margin"] = exact_sum((equity, profit.copy_negate()))
        if found["margin"] is None:
            raise self._error("there is neither a total nor what it could be made of", path)
        return Balance(
            self.exchange_name,
            self._currency(row, path),
            self.server_time,
            self.local_time,
            **cast("dict[str, Any]", found),
            fee_tier=texts["fee_tier"] or account["fee_tier"],
            account_type=texts["account_type"] or account["account_type"],
            account_id=texts["account_id"] or account["account_id"],
        )

    def _check(self, row: _Plain, path: str) -> None:
        """Refuse a whole that is not the sum of its parts."""
        for whole, parts, tolerance in names.IDENTITIES:
            if any(_is_missing(row.get(name)) for name in (whole, *parts)):
                continue
            total = self._number(row[whole], path)
            added = exact_sum(self._number(row[name], path) for name in parts)
            if abs(exact_sum((total, added.copy_negate()))) > tolerance:
                written = " + ".join(f"{row[name].name} {row[name].value}" for name in parts)
                raise self._error(f"{row[whole].name} is {row[whole].value}, but {written} is {added}", path)

    def _positions(self, data: _Plain, path: str, account_id: str | None) -> Iterable[Position]:
        for list_name in names.LISTS_OF_POSITIONS:
            rows = data.get(list_name, _Value("", None))
            items: Any = rows.value
            if not isinstance(items, (list, tuple)):
                continue
            for at, item in enumerate(cast("Sequence[object]", items)):
                if isinstance(item, Position):
                    yield item
                    continue
                place = f"{path}.{rows.name}[{at}]"
                row = self._plain(item, place)
                numbers = {
                    name: self._find(row, tiers, self._number, place) for name, tiers in names.POSITION_NUMBERS.items()
                }
                volume = numbers.pop("position_volume")
                symbol = self._find(row, names.POSITION_SYMBOL, self._text, place)
                if volume is None or symbol is None:
                    raise self._error(f"a position without {'size' if volume is None else 'symbol'}", place)
                if not volume:
                    continue  # venues list what could be held, too
                side = self._find(row, names.POSITION_SIDE, self._text, place) or ""
                texts = {
                    name: self._find(row, tiers, self._text, place) for name, tiers in names.POSITION_TEXTS.items()
                }
                margin_type = (texts["margin_type"] or "").lower()
                yield Position(
                    self.exchange_name,
                    self.to_symbol(symbol),
                    self.server_time,
                    self.local_time,
                    names.POSITION_SIDES.get(side.lower(), PositionSide.UNKNOWN),
                    volume,
                    **cast("dict[str, Any]", numbers),
                    margin_type=names.MARGIN_TYPES.get(margin_type, MarginType.UNKNOWN) if margin_type else None,
                    position_id=texts["position_id"],
                    account_id=account_id,
                )

    def _find(self, row: _Plain, tiers: Tiers, convert: Callable[[_Value, str], T], path: str) -> T | None:
        """Return what a field is, by the first tier of its names that says anything."""
        for tier in tiers:
            given = [row[name] for name in tier if not _is_missing(row.get(name))]
            values = [convert(value, path) for value in given]
            for other, value in zip(given[1:], values[1:], strict=True):
                if value != values[0]:
                    raise self._error(f"{given[0].name} is {given[0].value}, but {other.name} is {other.value}", path)
            if values:
                return values[0]
        return None

    def _currency(self, row: _Plain, path: str) -> str:
        currency = self._find(row, names.CURRENCY, self._text, path)
        if currency is None:
            raise self._error("a balance without a currency", path)
        return currency.upper()

    def _number(self, value: _Value, path: str) -> Decimal:
        amount = value.value
        if isinstance(amount, Mapping):  # an amount that says its currency
            amount = cast("_Row", amount).get("value")
        try:
            return to_decimal(cast("Any", amount))
        except (TypeError, ValueError) as error:
            raise self._error(str(error), f"{path}.{value.name}") from None

    def _text(self, value: _Value, path: str) -> str:
        if isinstance(value.value, (str, int)) and not isinstance(value.value, bool):
            return str(value.value)
        raise self._error(f"expected text, got {type(value.value).__name__}", f"{path}.{value.name}")

    def _flag(self, value: _Value, path: str) -> bool:
        if isinstance(value.value, bool):
            return value.value
        raise self._error(f"expected true or false, got {type(value.value).__name__}", f"{path}.{value.name}")

    def _plain(self, data: object, path: str) -> _Plain:
        if not isinstance(data, Mapping):
            raise self._error(f"expected a mapping, got {type(data).__name__}", path)
        plain: _Plain = {}
        for name, value in cast("_Row", data).items():
            known = plain.setdefault(names.plain_name(str(name)), _Value(str(name), value))
            if known.value != value:
                raise self._error(f"{known.name} is {known.value}, but {name} is {value}", path)
        return plain

    def _error(self, detail: str, path: str) -> DataParseError:
        return DataParseError("Balance", detail, exchange_name=self.exchange_name, field=path)


def _is_missing(value: _Value | None) -> bool:
    """Tell whether something is not there: venues write ``""`` where they have nothing to say."""
    return value is None or value.value is None or value.value == ""
