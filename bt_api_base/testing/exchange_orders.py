"""What a simulated exchange speaks of: orders, fills, holdings, positions, refusals, and the events that tell of them.

No venue's words are in here: a dialect translates.
"""

from __future__ import annotations

import enum
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, Literal, TypeAlias

import attrs

from bt_api_base.containers.decimals import quantize, to_decimal
from bt_api_base.containers.enums import OrderStatus, OrderType, PositionSide, Side, TimeInForce

__all__ = (
    "ATOM",
    "BalancesChanged",
    "ExchangeEvent",
    "ExchangeFill",
    "ExchangeOrder",
    "ExchangePosition",
    "Execution",
    "Holding",
    "NewOrder",
    "OrderChanged",
    "PositionChanged",
    "RejectReason",
    "Rejection",
)

ATOM: Final = Decimal("0.00000001")
"""Fees, margins and average prices are multiples of it."""
_ZERO: Final = Decimal(0)

Execution: TypeAlias = Literal["new", "trade", "canceled", "expired", "amended"]
"""What happened to an order."""


def _amount(value: Decimal | str | int | None) -> Decimal | None:
    return None if value is None else to_decimal(value)


class RejectReason(enum.Enum):
    """Why an exchange refuses."""

    FUNDS = "funds"
    """Not enough balance or margin."""
    WOULD_MATCH = "would_match"
    """A post-only order would take."""
    DUPLICATE_ID = "duplicate_id"
    """An open order has this client order id."""
    UNKNOWN_ORDER = "unknown_order"
    """There is no such order, or it is done."""
    SYMBOL = "symbol"
    """There is no such market, or it is not open."""
    PRICE = "price"
    """No price, no multiple of the tick size, or out of bounds."""
    QUANTITY = "quantity"
    """No quantity, no multiple of the step size, or out of bounds."""
    NOTIONAL = "notional"
    """Price times quantity is out of bounds."""
    REDUCE_ONLY = "reduce_only"
    """There is no position that it would make smaller."""
    ORDER_TYPE = "order_type"
    """An order type, time in force or position side that does not exist here, or a combination that does not."""


class Rejection(Exception):  # noqa: N818 - a refusal is an answer, and no error of the exchange
    """The exchange refuses; nothing has changed.

    Args:
        reason: Why.
        text: The same for people.
    """

    def __init__(self, reason: RejectReason, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


@attrs.frozen
class NewOrder:
    """An order as somebody wants it.

    Attributes:
        symbol: Internal symbol.
        side: Buy or sell.
        order_type: ``LIMIT``, ``MARKET`` or ``LIMIT_MAKER``.
        quantity: In the market's unit, contracts for derivatives; None with a quote quantity.
        price: In the quote currency; None for a market order.
        time_in_force: ``GTC``, ``IOC``, ``FOK`` or ``GTX``; market orders take what there is, whatever it says.
        quote_quantity: What a market order is to spend, or to bring.
        reduce_only: Whether it may only make a position smaller.
        position_side: ``NET`` or None: there is one position for each symbol.
        client_order_id: Whatever its owner calls it; no two open orders are called the same, unless nothing.
    """

    symbol: str
    side: Side = attrs.field(converter=Side)
    order_type: OrderType = attrs.field(converter=OrderType)
    quantity: Decimal | None = attrs.field(default=None, converter=_amount)
    price: Decimal | None = attrs.field(default=None, converter=_amount)
    time_in_force: TimeInForce = attrs.field(default=TimeInForce.GTC, converter=TimeInForce)
    quote_quantity: Decimal | None = attrs.field(default=None, converter=_amount)
    reduce_only: bool = False
    position_side: PositionSide | None = None
    client_order_id: str = ""

    @property
    def is_post_only(self) -> bool:
        """Whether it may not take."""
        return self.order_type is OrderType.LIMIT_MAKER or self.time_in_force is TimeInForce.GTX


@attrs.frozen
class ExchangeFill:
    """A part of an order that was executed at one price.

    Attributes:
        trade_id: Its number. Each fill has its own, also the two of a trade between two orders of the account.
        order_id: The order's number.
        symbol: Internal symbol.
        side: The order's side.
        price: In the quote currency.
        quantity: In the market's unit.
        fee: What it cost, not negative.
        fee_currency: What the fee was taken of: what was received, or what profits are paid in.
        is_maker: Whether the order had been waiting in the book.
        time_ns: Nanoseconds since the epoch.
        realized_pnl: What closing a position brought, without the fee; 0 at a spot market.
    """

    trade_id: int
    order_id: int
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_currency: str
    is_maker: bool
    time_ns: int
    realized_pnl: Decimal = _ZERO


@attrs.define(eq=False)
class ExchangeOrder:
    """An order at the exchange, as it is now.

    Attributes:
        order_id: Its number.
        client_order_id: What its owner calls it.
        symbol: Internal symbol.
        side: Buy or sell.
        order_type: How it finds its price.
        time_in_force: How long it stays.
        quantity: How much it is for; of a market order by quote quantity, as much as that bought.
        price: Its limit; None for a market order.
        status: ``ACCEPTED``, ``PARTIAL``, ``COMPLETED``, ``CANCELED`` or ``EXPIRED``.
        created_ns: When it was placed, nanoseconds since the epoch.
        updated_ns: When it changed last.
        executed: How much was executed.
        cum_quote: What that was worth, in the quote currency; for an inverse contract, in its base currency.
        reduce_only: Whether it may only make a position smaller.
        position_side: As it was asked for.
        quote_quantity: As it was asked for.
        fills: What was executed, in order.
        reserved: What is locked for it at a spot market, in what it pays with.
        priority: Orders at the same price are executed in the order of it; an amended order has a new one.
        reason: Why the exchange canceled it after it had accepted it, if it did.
    """

    order_id: int
    client_order_id: str
    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    price: Decimal | None
    status: OrderStatus
    created_ns: int
    updated_ns: int
    executed: Decimal = _ZERO
    cum_quote: Decimal = _ZERO
    reduce_only: bool = False
    position_side: PositionSide | None = None
    quote_quantity: Decimal | None = None
    fills: list[ExchangeFill] = attrs.field(factory=list[ExchangeFill], repr=False)
    reserved: Decimal = _ZERO
    priority: int = 0
    reason: RejectReason | None = None

    @property
    def is_open(self) -> bool:
        """Whether it can still be executed."""
        return not self.status.is_final

    @property
    def remaining(self) -> Decimal:
        """How much has not been executed."""
        return self.quantity - self.executed

    @property
    def avg_price(self) -> Decimal | None:
        """What a unit cost on average, to the `ATOM`; None before the first fill."""
        if not self.fills:
            return None
        total = sum((fill.price * fill.quantity for fill in self.fills), _ZERO)
        return quantize(total / self.executed, ATOM, ROUND_HALF_EVEN)


@attrs.define
class Holding:
    """What the account has of a currency.

    Attributes:
        free: What it can use.
        locked: What its open orders, and positions, have taken.
    """

    free: Decimal = _ZERO
    locked: Decimal = _ZERO

    @property
    def total(self) -> Decimal:
        """All of it."""
        return self.free + self.locked


@attrs.define
class ExchangePosition:
    """The position in a market of derivatives.

    Attributes:
        symbol: Internal symbol.
        volume: In the market's unit; negative: short.
        avg_price: What a unit cost on average, to the `ATOM`; 0 without a position.
        realized: What closing brought so far, without fees.
        value: What the volume was worth when it was opened, exactly, in what profits are paid in; not negative.
        fees: What trading it cost so far.
        opened_ns: When it was opened, nanoseconds since the epoch.
        updated_ns: When it changed last.
    """

    symbol: str
    volume: Decimal = _ZERO
    avg_price: Decimal = _ZERO
    realized: Decimal = _ZERO
    value: Decimal = _ZERO
    fees: Decimal = _ZERO
    opened_ns: int = 0
    updated_ns: int = 0


@attrs.frozen
class OrderChanged:
    """An order changed.

    Attributes:
        order: The order itself, as it is when the event is told; it goes on changing.
        execution: What happened.
        fill: What was executed, when that happened.
    """

    order: ExchangeOrder
    execution: Execution
    fill: ExchangeFill | None = None


@attrs.frozen
class BalancesChanged:
    """What is free or locked of some currencies changed."""

    currencies: tuple[str, ...]


@attrs.frozen
class PositionChanged:
    """A position was opened, changed or closed."""

    symbol: str


ExchangeEvent: TypeAlias = "OrderChanged | BalancesChanged | PositionChanged"
"""What an exchange tells of, in the order in which it happened."""
