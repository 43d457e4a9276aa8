"""From OKX's private payloads to events about orders, balances and positions.

As the public ones (`bt_api_base.venues.okx.convert`), but exact: numbers become decimals, and what is no number is an
error that names its field. Sizes are in the venue's quantity unit: contracts for derivatives.
"""

# ruff: noqa: ARG001 - one signature for all converters
from __future__ import annotations

from typing import TYPE_CHECKING

from bt_api_base._redaction import excerpt
from bt_api_base.containers import (
    Account,
    Balance,
    Event,
    Fill,
    LiquidityType,
    MarginType,
    Order,
    OrderStatus,
    OrderType,
    Position,
    PositionSide,
    TimeInForce,
    TriggerPriceType,
    to_decimal,
)
from bt_api_base.venues.okx.malformed import FieldError

if TYPE_CHECKING:
    from decimal import Decimal

    from bt_api_base.venues.okx import private_wire as wire

__all__ = (
    "ORDER_TYPES",
    "ROLES",
    "account_of",
    "accounts",
    "balance",
    "balances_and_positions",
    "decimal_of",
    "nanoseconds",
    "negated",
    "order",
    "orders",
    "position",
    "positions",
    "required",
)

_MS = 1_000_000

_STATES = {
    "live": OrderStatus.ACCEPTED,
    "partially_filled": OrderStatus.PARTIAL,
    "filled": OrderStatus.COMPLETED,
    "canceled": OrderStatus.CANCELED,
    "mmp_canceled": OrderStatus.MMP_CANCELED,
}

ORDER_TYPES: dict[str, tuple[OrderType, TimeInForce | None]] = {
    "market": (OrderType.MARKET, None),
    "limit": (OrderType.LIMIT, TimeInForce.GTC),
    "post_only": (OrderType.LIMIT_MAKER, TimeInForce.GTX),
    "fok": (OrderType.LIMIT, TimeInForce.FOK),
    "op_fok": (OrderType.LIMIT, TimeInForce.FOK),
    "ioc": (OrderType.LIMIT, TimeInForce.IOC),
    "optimal_limit_ioc": (OrderType.MARKET, TimeInForce.IOC),
    "mmp": (OrderType.LIMIT, TimeInForce.GTC),
    "mmp_and_post_only": (OrderType.LIMIT_MAKER, TimeInForce.GTX),
}
""""Place order", ``ordType``; the time in force is part of it."""

_BY_THE_VENUE = ("full_liquidation", "partial_liquidation", "adl")
"""Categories of orders that the venue itself sends."""

ROLES = {"M": LiquidityType.MAKER, "T": LiquidityType.TAKER}

_AT_MARKET = "-1"
"""What stands for the price of a stop that becomes a market order."""

_TOTALS = "USD"
"""Currency in which an account's totals are given."""


def decimal_of(text: str, field: str) -> Decimal | None:
    """Read a number; ``None`` where none applies.

    Raises:
        FieldError: It is no number.
    """
    if text == "":
        return None
    try:
        return to_decimal(text)
    except ValueError as error:
        raise FieldError(field, str(error)) from None


def required(text: str, field: str) -> Decimal:
    """Read a number that has to be there.

    Raises:
        FieldError: It is no number.
    """
    number = decimal_of(text, field)
    if number is None:
        raise FieldError(field, "expected a number")
    return number


def _not_zero(text: str, field: str) -> Decimal | None:
    """Read a number that the venue gives as zero where there is none."""
    return decimal_of(text, field) or None


def negated(text: str, field: str) -> Decimal | None:
    """Read a fee: the venue's is negative where it is charged, ours where it is a rebate."""
    number = decimal_of(text, field)
    return None if number is None else number.copy_negate() if number else number


def nanoseconds(value: int | str) -> int | None:
    """Convert one of the venue's times; ``None`` where none applies."""
    return None if isinstance(value, str) else value * _MS


def _price(text: str, field: str) -> Decimal | None:
    return None if text == _AT_MARKET else decimal_of(text, field)


def orders(
    frame: wire.PrivateFrame[wire.OrderData], exchange_name: str, symbol: str, local_time: int
) -> tuple[Event, ...]:
    """Each order after a change, and after it its fill where there was one.

    The venue may send a message twice, and repeats an order's last fill when something else about the order changes:
    a fill is told by its instrument, order and trade id, which stay the same.
    """
    events: list[Event] = []
    for data in frame.data:
        events.append(order(data, exchange_name, local_time))
        if data.trade_id and _not_zero(data.fill_size, "fillSz") is not None:
            events.append(_fill(data, exchange_name, local_time))
    return tuple(events)


def order(data: wire.OrderData, exchange_name: str, local_time: int) -> Order:
    """Convert an order, whether it came by itself or was asked for.

    Raises:
        FieldError: Its state is a word that nobody knows, or what should be a number is none.
    """
    status = _STATES.get(data.state)
    if status is None:
        raise FieldError("state", f"unknown state of an order: {excerpt(data.state, 40)!r}")
    order_type, time_in_force = ORDER_TYPES.get(data.order_type, (OrderType.UNKNOWN, None))
    executed = decimal_of(data.filled_size, "accFillSz")
    return Order(
        exchange_name,
        data.symbol,
        nanoseconds(data.updated_at) or 0,
        local_time,
        data.order_id,
        data.side,
        OrderType.LIQUIDATION if data.category in _BY_THE_VENUE else order_type,
        status,
        None if _is_by_amount(data) else decimal_of(data.size, "sz"),
        _price(data.price, "px"),
        _not_zero(data.average_price, "avgPx"),
        executed,
        None,
        data.client_order_id or None,
        data.trade_id or None,
        nanoseconds(data.created_at),
        time_in_force,
        position_side=PositionSide(data.position_side) if data.position_side else None,
        reduce_only=None if data.reduce_only == "" else data.reduce_only,
        stop_loss_price=_price(data.stop_loss_price, "slOrdPx"),
        stop_loss_trigger_price=decimal_of(data.stop_loss_trigger_price, "slTriggerPx"),
        stop_loss_trigger_price_type=_trigger(data.stop_loss_trigger_price, data.stop_loss_trigger_type),
        take_profit_price=_price(data.take_profit_price, "tpOrdPx"),
        take_profit_trigger_price=decimal_of(data.take_profit_trigger_price, "tpTriggerPx"),
        take_profit_trigger_price_type=_trigger(data.take_profit_trigger_price, data.take_profit_trigger_type),
    )


def _trigger(price: str, price_type: str) -> TriggerPriceType | None:
    """Return which price is watched; the venue names one even where nothing is."""
    return TriggerPriceType(price_type) if price and price_type else None


def _is_by_amount(data: wire.OrderData) -> bool:
    """Whether the size is an amount of the quote currency: market buys of spot, unless they say otherwise."""
    if data.size_currency:
        return data.size_currency == "quote_ccy"
    return data.order_type == "market" and data.side == "buy" and data.instrument_type in ("SPOT", "MARGIN")


def _fill(data: wire.OrderData, exchange_name: str, local_time: int) -> Fill:
    time = nanoseconds(data.fill_time) or nanoseconds(data.updated_at) or 0
    return Fill(
        exchange_name,
        data.symbol,
        nanoseconds(data.updated_at) or 0,
        local_time,
        data.trade_id,
        data.order_id,
        data.side,
        required(data.fill_price, "fillPx"),
        required(data.fill_size, "fillSz"),
        time,
        data.client_order_id or None,
        negated(data.fill_fee, "fillFee"),
        data.fill_fee_currency or None,
        ROLES.get(data.fill_role),
        None,
        decimal_of(data.filled_size, "accFillSz"),
        PositionSide(data.position_side) if data.position_side else None,
        decimal_of(data.fill_profit, "fillPnl"),
    )


def balance(
    data: wire.BalanceDetail, exchange_name: str, local_time: int, account: str | None, pushed_at: int | str = ""
) -> Balance:
    """Convert what an account holds of one currency."""
    return Balance(
        exchange_name,
        data.currency,
        nanoseconds(data.updated_at) or nanoseconds(pushed_at) or 0,
        local_time,
        required(data.cash, "cashBal"),
        decimal_of(data.available or data.available_equity, "availBal"),
        decimal_of(data.frozen, "frozenBal"),
        decimal_of(data.unrealized_profit, "upl"),
        decimal_of(data.maintenance_margin, "mmr"),
        decimal_of(data.order_margin, "ordFrozen"),
        interest=decimal_of(data.interest, "interest"),
        account_id=account,
    )


def account_of(data: wire.AccountData, exchange_name: str, local_time: int, account: str | None) -> Account:
    """Convert an account, with the balances that came with it. Its totals are in dollars."""
    return Account(
        exchange_name,
        _TOTALS,
        nanoseconds(data.updated_at) or 0,
        local_time,
        account,
        total_margin=decimal_of(data.equity, "totalEq"),
        total_used_margin=decimal_of(data.initial_margin, "imr"),
        total_maintain_margin=decimal_of(data.maintenance_margin, "mmr"),
        total_available_margin=decimal_of(data.available_equity, "availEq"),
        total_open_order_initial_margin=decimal_of(data.order_margin, "ordFroz"),
        total_unrealized_profit=decimal_of(data.unrealized_profit, "upl"),
        balances=tuple([balance(detail, exchange_name, local_time, account) for detail in data.details]),
    )


def accounts(
    frame: wire.PrivateFrame[wire.AccountData], exchange_name: str, symbol: str, local_time: int
) -> tuple[Event, ...]:
    """The account with the balances that the message has, and after it each of these balances by itself."""
    events: list[Event] = []
    for data in frame.data:
        account = account_of(data, exchange_name, local_time, frame.arg.uid or None)
        events += [account, *account.balances]
    return tuple(events)


def position(
    data: wire.PositionData, exchange_name: str, local_time: int, account: str | None, pushed_at: int | str = ""
) -> Position:
    """Convert a position; a volume of zero is one that was closed."""
    return Position(
        exchange_name,
        data.symbol,
        nanoseconds(data.updated_at) or nanoseconds(data.pushed_at) or nanoseconds(pushed_at) or 0,
        local_time,
        PositionSide(data.side),
        required(data.size, "pos"),
        decimal_of(data.average_price, "avgPx"),
        decimal_of(data.mark_price, "markPx"),
        decimal_of(data.liquidation_price, "liqPx"),
        decimal_of(data.unrealized_profit, "upl"),
        decimal_of(data.realized_profit, "realizedPnl"),
        negated(data.fee, "fee"),
        decimal_of(data.funding, "fundingFee"),
        decimal_of(data.leverage, "lever"),
        MarginType(data.margin_mode) if data.margin_mode else None,
        initial_margin=decimal_of(data.initial_margin or data.isolated_margin, "imr"),
        maintain_margin=decimal_of(data.maintenance_margin, "mmr"),
        position_id=data.position_id or None,
        account_id=account,
    )


def positions(
    frame: wire.PrivateFrame[wire.PositionData], exchange_name: str, symbol: str, local_time: int
) -> tuple[Event, ...]:
    """Positions; a volume of zero is one that was closed."""
    account = frame.arg.uid or None
    return tuple([position(data, exchange_name, local_time, account) for data in frame.data])


def balances_and_positions(
    frame: wire.PrivateFrame[wire.BalanceAndPosition], exchange_name: str, symbol: str, local_time: int
) -> tuple[Event, ...]:
    """The balances that an event changed, then the positions. The channel tells little more than their sizes."""
    account = frame.arg.uid or None
    events: list[Event] = []
    for data in frame.data:
        events += [balance(item, exchange_name, local_time, account, data.pushed_at) for item in data.balances]
        events += [position(item, exchange_name, local_time, account, data.pushed_at) for item in data.positions]
    return tuple(events)
