"""The ledger of a derivatives market: one position for each symbol, and margin instead of payment.

What is locked follows from what there is: for each symbol the value of the position, plus the value of the open orders
that would make it larger, over the leverage; plus what these orders can cost in fees. Orders against the position close
it first, the ones that are executed first before the others. Losses that are not realized lock nothing, and there is no
liquidation: losses, and fees of closing, can make what is free negative.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Final

import attrs

from bt_api_base.containers.decimals import decimal_text, quantize
from bt_api_base.containers.enums import Side
from bt_api_base.testing.exchange_ledger import Settlement, add_amount
from bt_api_base.testing.exchange_orders import (
    ATOM,
    ExchangePosition,
    Holding,
    Rejection,
    RejectReason,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bt_api_base.testing.exchange_account import ExchangeAccount
    from bt_api_base.testing.exchange_book import MarketBook, Take
    from bt_api_base.testing.exchange_orders import ExchangeOrder

__all__ = ("MarginLedger",)

_ZERO: Final = Decimal(0)

_Order = tuple[Side, Decimal, Decimal, bool]
"""Of an open order: side, price, quantity, and whether it is reduce-only."""


class MarginLedger:
    """The account of a derivatives market.

    Args:
        account: Whose ledger it is.
        books: The account's view of the markets, by symbol.
        clock_ns: Returns nanoseconds since the epoch.
    """

    def __init__(self, account: ExchangeAccount, books: Mapping[str, MarketBook], clock_ns: Callable[[], int]) -> None:
        self._account = account
        self._books = books
        self._clock_ns = clock_ns
        self._locked: dict[str, Decimal] = {}
        """By symbol."""
        self._incoming: tuple[ExchangeOrder, Decimal] | None = None
        """An order that is on its way to the book, and how much of it is going to rest there."""

    def admit(self, order: ExchangeOrder, takes: Sequence[Take], rest: Decimal) -> None:
        """See `bt_api_base.testing.exchange_ledger.Ledger`."""
        symbol = order.symbol
        position = attrs.evolve(self._account.positions.get(symbol, ExchangePosition(symbol)))
        change = _ZERO
        for take in takes:
            if take.maker is not None:
                change += self._apply(position, take.maker.side, take.price, take.quantity)
                change -= self._fee(symbol, take.price, take.quantity, is_maker=True)
            change += self._apply(position, order.side, take.price, take.quantity)
            change -= self._fee(symbol, take.price, take.quantity, is_maker=False)
        met = {take.maker.order_id: take.quantity for take in takes if take.maker is not None}
        orders = [
            (one.side, one.price or _ZERO, one.remaining - met.get(one.order_id, _ZERO), one.reduce_only)
            for one in self._resting(symbol)
            if one is not order
        ]
        if rest and order.price is not None:
            orders.append((order.side, order.price, rest, order.reduce_only))
        needed, locked = self._margin(position, orders), self._locked.get(symbol, _ZERO)
        holding = self._account.balances.get(self._account.settle_currency(symbol), Holding())
        available = holding.free + locked + change
        if needed > available and needed > locked:
            raise Rejection(
                RejectReason.FUNDS, f"margin of {decimal_text(needed)} needed, {decimal_text(available)} available"
            )

    def open(self, order: ExchangeOrder, takes: Sequence[Take], rest: Decimal) -> tuple[str, ...]:  # noqa: ARG002
        """See `bt_api_base.testing.exchange_ledger.Ledger`. What is taken at once locks margin when it is filled."""
        self._incoming = (order, rest)
        return self._lock(order.symbol)

    def settle(self, order: ExchangeOrder, price: Decimal, quantity: Decimal, *, is_maker: bool) -> Settlement:
        """See `bt_api_base.testing.exchange_ledger.Ledger`."""
        symbol, now = order.symbol, self._clock_ns()
        position = self._account.positions.setdefault(symbol, ExchangePosition(symbol))
        was_flat = not position.volume
        realized = self._apply(position, order.side, price, quantity)
        position.realized += realized
        position.updated_ns = now
        if was_flat:
            position.opened_ns = now
        fee = self._fee(symbol, price, quantity, is_maker=is_maker)
        position.fees += fee
        currency = self._account.settle_currency(symbol)
        self._account.holding(currency).free += realized - fee
        add_amount(self._account.fees, currency, fee)
        add_amount(self._account.crowd, currency, -realized)
        return Settlement(fee, currency, realized, (currency,))

    def update(self, order: ExchangeOrder) -> tuple[str, ...]:
        """See `bt_api_base.testing.exchange_ledger.Ledger`."""
        return self._lock(order.symbol)

    def _lock(self, symbol: str) -> tuple[str, ...]:
        """Lock what there is for a symbol now."""
        position = self._account.positions.get(symbol, ExchangePosition(symbol))
        resting = self._resting(symbol)
        orders = [(one.side, one.price or _ZERO, one.remaining, one.reduce_only) for one in resting]
        if self._incoming is not None:
            order, rest = self._incoming
            if not order.is_open or any(one is order for one in resting):
                self._incoming = None
            elif order.symbol == symbol and order.price is not None:
                orders.append((order.side, order.price, rest, order.reduce_only))
        needed = self._margin(position, orders)
        more = needed - self._locked.get(symbol, _ZERO)
        self._locked[symbol] = needed
        currency = self._account.settle_currency(symbol)
        if not more:
            return ()
        holding = self._account.holding(currency)
        holding.free -= more
        holding.locked += more
        return (currency,)

    def _margin(self, position: ExchangePosition, orders: Sequence[_Order]) -> Decimal:
        """Return what a position and the open orders of its symbol lock."""
        opening = _ZERO
        for side in Side:
            is_buy = side is Side.BUY
            closing = abs(position.volume) if (position.volume > 0) is not is_buy else _ZERO
            for _, price, quantity, reduce_only in sorted(
                (order for order in orders if order[0] is side), key=lambda order: order[1], reverse=is_buy
            ):
                part = min(closing, quantity)
                closing -= part
                if not reduce_only:
                    opening += self._account.notional(position.symbol, price, quantity - part)
        margin = (position.value + opening) / self._account.leverage + opening * self._account.taker_fee
        return quantize(margin, ATOM, ROUND_CEILING)

    def _apply(self, position: ExchangePosition, side: Side, price: Decimal, quantity: Decimal) -> Decimal:
        """Change a position by a fill, and return what closing brought."""
        account, symbol = self._account, position.symbol
        signed = quantity if side is Side.BUY else -quantity
        realized = _ZERO
        if position.volume * signed < 0:
            closed = min(quantity, abs(position.volume))
            is_all = closed == abs(position.volume)
            share = position.value * closed / abs(position.volume)
            opened_for = position.value if is_all else quantize(share, ATOM, ROUND_DOWN)
            closed_for = account.notional(symbol, price, closed)
            # An inverse contract is worth less of its currency the higher the price is.
            gains = (position.volume > 0) is not account.instruments[symbol].is_inverse
            realized = closed_for - opened_for if gains else opened_for - closed_for
            position.value -= opened_for
            quantity -= closed
        position.value += account.notional(symbol, price, quantity)
        position.volume += signed
        position.avg_price = self._average(position)
        return realized

    def _average(self, position: ExchangePosition) -> Decimal:
        if not position.volume or not position.value:
            return _ZERO
        instrument = self._account.instruments[position.symbol]
        contracts = abs(position.volume) * instrument.contract_multiplier
        average = contracts / position.value if instrument.is_inverse else position.value / contracts
        return quantize(average, ATOM, ROUND_HALF_EVEN)

    def _fee(self, symbol: str, price: Decimal, quantity: Decimal, *, is_maker: bool) -> Decimal:
        rate = self._account.maker_fee if is_maker else self._account.taker_fee
        return quantize(self._account.notional(symbol, price, quantity) * rate, ATOM, ROUND_DOWN)

    def _resting(self, symbol: str) -> list[ExchangeOrder]:
        return [order for side in Side for order in self._books[symbol].resting(side)]
