"""The rules of a simulated exchange's instruments: what an order may ask for, and what a market's instrument is."""

from __future__ import annotations

import decimal
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING, Final

from bt_api_base.containers.decimals import decimal_text, quantize
from bt_api_base.containers.enums import AssetType, OrderType, PositionSide, TimeInForce
from bt_api_base.containers.instrument import Instrument
from bt_api_base.testing.exchange_orders import ATOM, NewOrder, Rejection, RejectReason
from bt_api_base.testing.market_book import ATOMS_PER_UNIT

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from bt_api_base.testing.market import MarketSpec

__all__ = ("check_notional", "check_order", "exact_arithmetic", "market_instrument", "units")

_TYPES: Final = frozenset({OrderType.LIMIT, OrderType.MARKET, OrderType.LIMIT_MAKER})
_TIMES: Final = frozenset({TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTX})
_PRECISION: Final = 1_000
"""Digits that no sum or product here comes near."""
_NET: Final = frozenset({None, PositionSide.NET})


def exact_arithmetic() -> AbstractContextManager[object]:
    """Return a context in which no sum, difference or product of decimals is rounded."""
    return decimal.localcontext(decimal.Context(prec=_PRECISION))


def units(atoms: int) -> Decimal:
    """Return a market's price or quantity as a decimal, exactly.

    Args:
        atoms: The number in atoms, see `bt_api_base.testing.market_book`.
    """
    return Decimal(atoms).scaleb(-8)


def check_order(instrument: Instrument, order: NewOrder, now_ns: int) -> None:
    """Go on if an order keeps the rules of an instrument, as far as they do not depend on the book.

    Args:
        instrument: What is to be traded.
        order: The order.
        now_ns: Nanoseconds since the epoch.

    Raises:
        Rejection: It does not.
    """
    if not instrument.is_active(now_ns):
        raise Rejection(RejectReason.SYMBOL, f"{order.symbol} cannot be traded at the moment")
    if order.order_type not in _TYPES:
        raise Rejection(RejectReason.ORDER_TYPE, f"order type {order.order_type} does not exist here")
    if order.time_in_force not in _TIMES:
        raise Rejection(RejectReason.ORDER_TYPE, f"time in force {order.time_in_force} does not exist here")
    if order.position_side not in _NET:
        raise Rejection(RejectReason.ORDER_TYPE, "the account has one position for each symbol")
    if order.order_type is OrderType.LIMIT_MAKER and order.time_in_force in {TimeInForce.IOC, TimeInForce.FOK}:
        raise Rejection(RejectReason.ORDER_TYPE, "a post-only order cannot be immediate")
    _check_price(instrument, order)
    _check_quantity(instrument, order)


def check_notional(instrument: Instrument, notional: Decimal) -> None:
    """Go on if price times quantity is within an instrument's bounds.

    Raises:
        Rejection: It is not.
    """
    lowest, highest = instrument.min_notional, instrument.max_notional
    if (lowest and notional < lowest) or (highest and notional > highest):
        raise Rejection(RejectReason.NOTIONAL, f"the amount {decimal_text(notional)} is out of bounds")


def _check_price(instrument: Instrument, order: NewOrder) -> None:
    price = order.price
    if order.order_type is OrderType.MARKET:
        if price is not None:
            raise Rejection(RejectReason.PRICE, "a market order has no price")
        return
    if price is None or price <= 0:
        raise Rejection(RejectReason.PRICE, "a limit order has a price, greater than 0")
    lowest, highest = instrument.min_price, instrument.max_price
    if (lowest and price < lowest) or (highest and price > highest):
        raise Rejection(RejectReason.PRICE, f"the price {decimal_text(price)} is out of bounds")
    if not _is_multiple(price, instrument.tick_size):
        raise Rejection(RejectReason.PRICE, f"the price {decimal_text(price)} is no multiple of the tick size")


def _check_quantity(instrument: Instrument, order: NewOrder) -> None:
    quantity, quote = order.quantity, order.quote_quantity
    if (quantity is None) == (quote is None):
        raise Rejection(RejectReason.QUANTITY, "an order has either a quantity or a quote quantity")
    if quote is not None:
        if order.order_type is not OrderType.MARKET:
            raise Rejection(RejectReason.QUANTITY, "only a market order can have a quote quantity")
        if quote <= 0 or not _is_multiple(quote, ATOM):
            raise Rejection(RejectReason.QUANTITY, "a quote quantity is greater than 0, and not finer than the ledger")
        return
    if quantity is None or quantity <= 0:
        raise Rejection(RejectReason.QUANTITY, "a quantity is greater than 0")
    lowest, highest = instrument.min_qty, instrument.max_qty
    if (lowest and quantity < lowest) or (highest and quantity > highest):
        raise Rejection(RejectReason.QUANTITY, f"the quantity {decimal_text(quantity)} is out of bounds")
    if not _is_multiple(quantity, instrument.step_size):
        raise Rejection(RejectReason.QUANTITY, f"the quantity {decimal_text(quantity)} is no multiple of the step size")


def _is_multiple(number: Decimal, step: Decimal | None) -> bool:
    return not step or quantize(number, step, ROUND_DOWN) == number


def market_instrument(
    spec: MarketSpec,
    exchange_name: str,
    venue_symbol: str = "",
    *,
    min_notional: Decimal | str | None = None,
    contract_multiplier: Decimal | str = "1",
) -> Instrument:
    """Return the instrument that a simulated market is: what its internal symbol and specification say.

    Args:
        spec: The market's specification.
        exchange_name: Venue and asset type.
        venue_symbol: What the venue calls it; empty: the internal symbol.
        min_notional: Smallest amount of an order, in the quote currency.
        contract_multiplier: What a contract stands for, of a derivative.
    """
    base, quote, *rest = (*spec.symbol.split("-"), "")
    kind = AssetType.SPOT
    if rest[0]:
        kind = AssetType.SWAP if rest[0] == "SWAP" else AssetType.FUTURE
    is_inverse = kind is not AssetType.SPOT and quote == "USD"
    return Instrument(
        spec.symbol,
        exchange_name,
        venue_symbol or spec.symbol,
        kind,
        base,
        quote,
        tick_size=Decimal(spec.tick) / ATOMS_PER_UNIT,
        min_qty=Decimal(spec.lot) / ATOMS_PER_UNIT,
        step_size=Decimal(spec.lot) / ATOMS_PER_UNIT,
        min_notional=None if min_notional is None else Decimal(min_notional),
        settle_currency="" if kind is AssetType.SPOT else base if is_inverse else quote,
        contract_multiplier=Decimal(contract_multiplier),
        contract_unit="" if kind is AssetType.SPOT else quote if is_inverse else base,
        is_inverse=is_inverse,
    )
