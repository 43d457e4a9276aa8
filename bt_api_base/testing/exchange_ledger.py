"""What the account of a simulated exchange holds, and how orders and fills change it: exactly, to the last digit."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING, Final, Protocol

import attrs

from bt_api_base.containers.decimals import decimal_text, quantize
from bt_api_base.containers.enums import OrderType, Side
from bt_api_base.testing.exchange_orders import ATOM, Rejection, RejectReason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bt_api_base.testing.exchange_account import ExchangeAccount
    from bt_api_base.testing.exchange_book import Take
    from bt_api_base.testing.exchange_orders import ExchangeOrder

__all__ = ("Ledger", "Settlement", "SpotLedger", "add_amount")

_ZERO: Final = Decimal(0)


@attrs.frozen
class Settlement:
    """What a fill did to the account.

    Attributes:
        fee: What it cost.
        fee_currency: What the fee was taken of.
        realized: What closing a position brought.
        currencies: What was paid, got or locked.
    """

    fee: Decimal
    fee_currency: str
    realized: Decimal
    currencies: tuple[str, ...]


class Ledger(Protocol):
    """What holds, locks and pays."""

    def admit(self, order: ExchangeOrder, takes: Sequence[Take], rest: Decimal) -> None:
        """Go on if the account can pay for an order.

        Args:
            order: The order; not in the book.
            takes: What it is going to take.
            rest: How much of it is going to rest in the book.

        Raises:
            Rejection: It cannot.
        """
        ...

    def open(self, order: ExchangeOrder, takes: Sequence[Take], rest: Decimal) -> tuple[str, ...]:
        """Lock what an order needs, instead of what it had locked, and return the currencies that changed."""
        ...

    def settle(self, order: ExchangeOrder, price: Decimal, quantity: Decimal, *, is_maker: bool) -> Settlement:
        """Pay for a fill; called before the order counts it."""
        ...

    def update(self, order: ExchangeOrder) -> tuple[str, ...]:
        """Lock what is still needed now that an order has changed, and return the currencies that changed."""
        ...


class SpotLedger:
    """The ledger of a spot market: an order locks what it pays with, and the fee is taken of what it gets.

    Args:
        account: Whose ledger it is.
    """

    def __init__(self, account: ExchangeAccount) -> None:
        self._account = account

    def admit(self, order: ExchangeOrder, takes: Sequence[Take], rest: Decimal) -> None:
        """See `Ledger.admit`."""
        currency, needed = self._needed(order, takes, rest)
        holding = self._account.balances.get(currency)
        available = order.reserved + (holding.free if holding else _ZERO)
        if needed > available:
            raise Rejection(
                RejectReason.FUNDS, f"{decimal_text(needed)} {currency} needed, {decimal_text(available)} available"
            )

    def open(self, order: ExchangeOrder, takes: Sequence[Take], rest: Decimal) -> tuple[str, ...]:
        """See `Ledger.open`."""
        currency, needed = self._needed(order, takes, rest)
        return self._reserve(order, currency, needed)

    def settle(self, order: ExchangeOrder, price: Decimal, quantity: Decimal, *, is_maker: bool) -> Settlement:
        """See `Ledger.settle`."""
        instrument = self._account.instruments[order.symbol]
        base, quote = instrument.base_currency, instrument.quote_currency
        buys = order.side is Side.BUY
        amount = price * quantity
        paid, got = (amount, quantity) if buys else (quantity, amount)
        paid_currency, got_currency = (quote, base) if buys else (base, quote)
        rate = self._account.maker_fee if is_maker else self._account.taker_fee
        fee = quantize(got * rate, ATOM, ROUND_DOWN)
        # A limit order that buys for less than its limit has locked too much.
        used = order.price * quantity if buys and order.price is not None else paid
        holding = self._account.holding(paid_currency)
        holding.locked -= used
        holding.free += used - paid
        order.reserved -= used
        self._account.holding(got_currency).free += got - fee
        add_amount(self._account.fees, got_currency, fee)
        add_amount(self._account.crowd, paid_currency, paid)
        add_amount(self._account.crowd, got_currency, -got)
        return Settlement(fee, got_currency, _ZERO, (base, quote))

    def update(self, order: ExchangeOrder) -> tuple[str, ...]:
        """See `Ledger.update`."""
        if order.is_open:
            return ()
        instrument = self._account.instruments[order.symbol]
        currency = instrument.quote_currency if order.side is Side.BUY else instrument.base_currency
        return self._reserve(order, currency, _ZERO)

    def _reserve(self, order: ExchangeOrder, currency: str, needed: Decimal) -> tuple[str, ...]:
        more, order.reserved = needed - order.reserved, needed
        if not more:
            return ()
        holding = self._account.holding(currency)
        holding.free -= more
        holding.locked += more
        return (currency,)

    def _needed(self, order: ExchangeOrder, takes: Sequence[Take], rest: Decimal) -> tuple[str, Decimal]:
        """Return the currency that an order pays with, and how much it locks."""
        instrument = self._account.instruments[order.symbol]
        taken = sum((take.quantity for take in takes), _ZERO)
        if order.side is Side.SELL:
            return instrument.base_currency, taken + rest
        if order.order_type is OrderType.MARKET or order.price is None:
            return instrument.quote_currency, sum((take.price * take.quantity for take in takes), _ZERO)
        return instrument.quote_currency, order.price * (taken + rest)


def add_amount(amounts: dict[str, Decimal], currency: str, amount: Decimal) -> None:
    """Add to an amount by currency."""
    amounts[currency] = amounts.get(currency, _ZERO) + amount
