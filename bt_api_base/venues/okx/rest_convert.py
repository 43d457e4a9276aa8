"""From OKX's REST answers to containers, where the streams have nothing like them."""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import TYPE_CHECKING

from bt_api_base.containers import (
    AssetType,
    Fill,
    Instrument,
    InstrumentStatus,
    OptionType,
    Order,
    OrderStatus,
    PositionSide,
)
from bt_api_base.venues.okx.malformed import FieldError
from bt_api_base.venues.okx.private import ROLES, decimal_of, nanoseconds, negated, required

if TYPE_CHECKING:
    from bt_api_base.feeds.order_request import OrderRequest
    from bt_api_base.venues.okx import rest_wire as wire

__all__ = ("fill", "instrument", "placed_order")

_ASSET_TYPES = {
    "SPOT": AssetType.SPOT,
    "MARGIN": AssetType.MARGIN,
    "SWAP": AssetType.SWAP,
    "FUTURES": AssetType.FUTURE,
    "OPTION": AssetType.OPTION,
}

_STATES = {
    "live": InstrumentStatus.ACTIVE,
    "suspend": InstrumentStatus.HALTED,
    "preopen": InstrumentStatus.PENDING,
}

_OPTION_TYPES = {"C": OptionType.CALL, "P": OptionType.PUT}

_DOLLAR_MARGINED = "_UM"
"""What the underlying of a contract that is margined in dollars ends with: ``BTC-USD_UM``."""

_EXACT = decimal.Context(prec=130, traps=[])


def instrument(data: wire.InstrumentRow, exchange_name: str, local_time: int) -> Instrument:
    """Convert an instrument.

    Raises:
        FieldError: What should be a number is none.
    """
    base, _, quote = (data.underlying or data.family).removesuffix(_DOLLAR_MARGINED).partition("-")
    size = decimal_of(data.contract_value, "ctVal")
    times = decimal_of(data.contract_multiplier, "ctMult")
    return Instrument(
        data.symbol,
        exchange_name,
        data.symbol,
        _ASSET_TYPES.get(data.instrument_type, AssetType.UNKNOWN),
        data.base or base,
        data.quote or quote,
        decimal_of(data.tick_size, "tickSz"),
        decimal_of(data.min_size, "minSz"),
        decimal_of(data.max_limit_size, "maxLmtSz"),
        nanoseconds(data.expires_at),
        _STATES.get(data.state, InstrumentStatus.UNKNOWN),
        decimal_of(data.lot_size, "lotSz"),
        settle_currency=data.settle,
        contract_multiplier=_EXACT.multiply(size or Decimal(1), times or Decimal(1)),
        contract_unit=data.contract_unit,
        is_inverse=data.contract_type == "inverse",
        strike_price=decimal_of(data.strike, "stk"),
        option_type=_OPTION_TYPES.get(data.option_type, OptionType.UNKNOWN) if data.option_type else None,
        listing_time=nanoseconds(data.listed_at),
        local_time=local_time,
    )


def placed_order(answer: wire.OrderAnswer, request: OrderRequest, exchange_name: str, local_time: int) -> Order:
    """Describe an order that the venue has just taken: it tells its id, and nothing about fills.

    Raises:
        FieldError: It tells no id.
    """
    if not answer.order_id:
        raise FieldError("ordId", "expected the id of an order")
    time = nanoseconds(answer.timestamp)
    return Order(
        exchange_name,
        request.symbol,
        time or 0,
        local_time,
        answer.order_id,
        request.side,
        request.order_type,
        OrderStatus.ACCEPTED,
        request.quantity,
        request.price,
        client_order_id=answer.client_order_id or request.client_order_id,
        order_time=time,
        position_side=request.position_side,
        reduce_only=request.reduce_only,
    )


def fill(data: wire.FillRow, exchange_name: str, local_time: int) -> Fill:
    """Convert a fill. The venue's fee is negative where it is charged, ours where it is a rebate.

    Raises:
        FieldError: What should be a number is none.
    """
    told = nanoseconds(data.timestamp) or 0
    return Fill(
        exchange_name,
        data.symbol,
        told,
        local_time,
        data.trade_id,
        data.order_id,
        data.side,
        required(data.price, "fillPx"),
        required(data.size, "fillSz"),
        nanoseconds(data.filled_at) or told,
        data.client_order_id or None,
        negated(data.fee, "fee"),
        data.fee_currency or None,
        ROLES.get(data.role),
        position_side=PositionSide(data.position_side) if data.position_side else None,
        realized_pnl=decimal_of(data.profit, "fillPnl"),
    )
