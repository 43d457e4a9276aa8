"""The payloads of OKX's private channels, field by field as they are on the wire.

Source: OKX v5 API documentation, "WebSocket Order channel", "Account channel", "Positions channel", "Balance and
position channel". Numbers stay texts here and become exact decimals in `bt_api_base.venues.okx.private`; an account's
frames are too few for that to matter. ``""`` means "not applicable", and what is missing counts as that.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from msgspec import Struct

from bt_api_base.containers import Side
from bt_api_base.venues.okx.wire import Nothing, Timestamp

__all__ = ("AccountData", "BalanceAndPosition", "BalanceDetail", "OrderData", "Owner", "PositionData", "PrivateFrame")

T = TypeVar("T")


class Owner(Struct):
    """The part of ``arg`` that says whose data these are."""

    uid: str = ""


class PrivateFrame(Struct, Generic[T]):
    """A frame of a private channel."""

    arg: Owner
    data: list[T]


class OrderData(
    Struct,
    rename={
        "instrument_type": "instType",
        "symbol": "instId",
        "order_id": "ordId",
        "client_order_id": "clOrdId",
        "order_type": "ordType",
        "price": "px",
        "size": "sz",
        "size_currency": "tgtCcy",
        "filled_size": "accFillSz",
        "average_price": "avgPx",
        "trade_id": "tradeId",
        "fill_price": "fillPx",
        "fill_size": "fillSz",
        "fill_time": "fillTime",
        "fill_fee": "fillFee",
        "fill_fee_currency": "fillFeeCcy",
        "fill_profit": "fillPnl",
        "fill_role": "execType",
        "position_side": "posSide",
        "reduce_only": "reduceOnly",
        "stop_loss_price": "slOrdPx",
        "stop_loss_trigger_price": "slTriggerPx",
        "stop_loss_trigger_type": "slTriggerPxType",
        "take_profit_price": "tpOrdPx",
        "take_profit_trigger_price": "tpTriggerPx",
        "take_profit_trigger_type": "tpTriggerPxType",
        "created_at": "cTime",
        "updated_at": "uTime",
    },
):
    """``orders``: an order after a change, and the fill that was the change, if one was."""

    symbol: str
    order_id: str
    side: Side
    order_type: str
    state: str
    instrument_type: str = ""
    client_order_id: str = ""
    category: str = ""
    price: str = ""
    size: str = ""
    size_currency: str = ""
    filled_size: str = ""
    average_price: str = ""
    trade_id: str = ""
    fill_price: str = ""
    fill_size: str = ""
    fill_time: Timestamp | Nothing = ""
    fill_fee: str = ""
    fill_fee_currency: str = ""
    fill_profit: str = ""
    fill_role: str = ""
    position_side: str = ""
    reduce_only: bool | Nothing = ""
    stop_loss_price: str = ""
    stop_loss_trigger_price: str = ""
    stop_loss_trigger_type: str = ""
    take_profit_price: str = ""
    take_profit_trigger_price: str = ""
    take_profit_trigger_type: str = ""
    created_at: Timestamp | Nothing = ""
    updated_at: Timestamp | Nothing = ""


class BalanceDetail(
    Struct,
    rename={
        "currency": "ccy",
        "cash": "cashBal",
        "available": "availBal",
        "available_equity": "availEq",
        "frozen": "frozenBal",
        "unrealized_profit": "upl",
        "maintenance_margin": "mmr",
        "order_margin": "ordFrozen",
        "updated_at": "uTime",
    },
):
    """What an account holds of one currency."""

    currency: str
    cash: str
    available: str = ""
    available_equity: str = ""
    frozen: str = ""
    unrealized_profit: str = ""
    maintenance_margin: str = ""
    order_margin: str = ""
    interest: str = ""
    updated_at: Timestamp | Nothing = ""


class AccountData(
    Struct,
    rename={
        "equity": "totalEq",
        "initial_margin": "imr",
        "maintenance_margin": "mmr",
        "available_equity": "availEq",
        "order_margin": "ordFroz",
        "unrealized_profit": "upl",
        "updated_at": "uTime",
    },
):
    """``account``: totals in dollars, and the currencies that changed (at first: all, on several pages if many)."""

    details: list[BalanceDetail]
    equity: str = ""
    initial_margin: str = ""
    maintenance_margin: str = ""
    available_equity: str = ""
    order_margin: str = ""
    unrealized_profit: str = ""
    updated_at: Timestamp | Nothing = ""


class PositionData(
    Struct,
    rename={
        "symbol": "instId",
        "position_id": "posId",
        "side": "posSide",
        "size": "pos",
        "average_price": "avgPx",
        "mark_price": "markPx",
        "liquidation_price": "liqPx",
        "unrealized_profit": "upl",
        "realized_profit": "realizedPnl",
        "funding": "fundingFee",
        "leverage": "lever",
        "margin_mode": "mgnMode",
        "isolated_margin": "margin",
        "initial_margin": "imr",
        "maintenance_margin": "mmr",
        "updated_at": "uTime",
        "pushed_at": "pTime",
    },
):
    """``positions``, and the positions in ``balance_and_position``."""

    symbol: str
    side: str
    size: str
    position_id: str = ""
    average_price: str = ""
    mark_price: str = ""
    liquidation_price: str = ""
    unrealized_profit: str = ""
    realized_profit: str = ""
    fee: str = ""
    funding: str = ""
    leverage: str = ""
    margin_mode: str = ""
    isolated_margin: str = ""
    initial_margin: str = ""
    maintenance_margin: str = ""
    updated_at: Timestamp | Nothing = ""
    pushed_at: Timestamp | Nothing = ""


class BalanceAndPosition(Struct, rename={"balances": "balData", "positions": "posData", "pushed_at": "pTime"}):
    """``balance_and_position``: what an event (a fill, a transfer, a delivery) changed."""

    balances: list[BalanceDetail] = []
    positions: list[PositionData] = []
    pushed_at: Timestamp | Nothing = ""
