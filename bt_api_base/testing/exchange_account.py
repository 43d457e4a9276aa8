"""The account of a simulated exchange, and what things are worth to it."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING, Final

from bt_api_base.containers.decimals import quantize, to_decimal
from bt_api_base.containers.enums import AssetType, Side
from bt_api_base.testing.exchange_orders import ATOM, ExchangeOrder, ExchangePosition, Holding
from bt_api_base.testing.exchange_rules import units

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bt_api_base.containers.instrument import Instrument
    from bt_api_base.testing.market import Market

__all__ = ("ExchangeAccount",)

_ZERO: Final = Decimal(0)
_OWNED: Final = frozenset({AssetType.SPOT, AssetType.MARGIN})
"""What is owned once it is bought."""


class ExchangeAccount:
    """What an account holds, and what it pays.

    Args:
        markets: The crowd's markets by internal symbol.
        instruments: Their rules, by the same.
        balances: What the account has, by currency.
        derivatives: Whether these are contracts; None: each instrument says so by itself.
        maker_fee: What a maker pays.
        taker_fee: What a taker pays.
        leverage: Value of a position over the margin that it locks.

    Raises:
        ValueError: The leverage is less than 1.
    """

    def __init__(
        self,
        markets: Mapping[str, Market],
        instruments: Mapping[str, Instrument],
        *,
        balances: Mapping[str, Decimal | str],
        derivatives: bool | None,
        maker_fee: Decimal | str,
        taker_fee: Decimal | str,
        leverage: int,
    ) -> None:
        if leverage < 1:
            raise ValueError(f"leverage is {leverage}, must be at least 1")
        self.markets = markets
        """The crowd's markets by internal symbol."""
        self.instruments = instruments
        """Their rules, by the same."""
        self.derivatives = derivatives
        """Whether these are contracts; None: each instrument says so by itself."""
        self.maker_fee = to_decimal(maker_fee)
        """Part of what is received, or of a contract's value, that a maker pays."""
        self.taker_fee = to_decimal(taker_fee)
        """The same for a taker."""
        self.leverage = leverage
        """Value of a position over the margin that it locks."""
        self.balances = {currency: Holding(to_decimal(amount)) for currency, amount in balances.items()}
        """What the account holds, by currency."""
        self.crowd: dict[str, Decimal] = {}
        """What the others in the markets got of the account, by currency; negative: gave it."""
        self.fees: dict[str, Decimal] = {}
        """What the exchange got, by currency."""
        self.positions: dict[str, ExchangePosition] = {}
        """By symbol, from the first fill on; closed ones have no volume."""

    def holding(self, currency: str) -> Holding:
        """Return what there is of a currency, to be changed."""
        return self.balances.setdefault(currency, Holding())

    def is_derivative(self, symbol: str) -> bool:
        """Tell whether a market's quantities are contracts."""
        if self.derivatives is not None:
            return self.derivatives
        return self.instruments[symbol].asset_type not in _OWNED

    def settle_currency(self, symbol: str) -> str:
        """Return what a contract's profits are paid in."""
        instrument = self.instruments[symbol]
        return instrument.settle_currency or instrument.quote_currency

    def reference_price(self, symbol: str) -> Decimal:
        """Return the middle of the crowd's best prices: what positions are valued at."""
        best = self.markets[symbol].best
        return units(best.bid_price + best.ask_price) / 2

    def notional(self, symbol: str, price: Decimal, quantity: Decimal) -> Decimal:
        """Return what a quantity is worth: in the quote currency, or for an inverse contract in its base currency."""
        instrument = self.instruments[symbol]
        if not self.is_derivative(symbol):
            return price * quantity
        if instrument.is_inverse:
            return quantize(quantity * instrument.contract_multiplier / price, ATOM, ROUND_DOWN)
        return price * quantity * instrument.contract_multiplier

    def unrealized(self, symbol: str) -> Decimal:
        """Return what closing a position at the reference price would bring, without fees."""
        position = self.positions.get(symbol)
        if position is None or not position.volume:
            return _ZERO
        worth = self.notional(symbol, self.reference_price(symbol), abs(position.volume))
        gains = (position.volume > 0) is not self.instruments[symbol].is_inverse
        return worth - position.value if gains else position.value - worth

    def reducible(self, order: ExchangeOrder) -> Decimal:
        """Return how much an order could make the position smaller by."""
        position = self.positions.get(order.symbol)
        if position is None or (position.volume > 0) == (order.side is Side.BUY):
            return _ZERO
        return abs(position.volume)

    def executable(self, order: ExchangeOrder) -> Decimal:
        """Return how much of an order may be executed now."""
        return min(order.remaining, self.reducible(order)) if order.reduce_only else order.remaining
