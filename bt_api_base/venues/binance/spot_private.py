"""Binance spot's account events: from payloads to orders, fills, balances.

Source: Binance spot API documentation, "User Data Streams". Only fields that an event needs are
declared. Numbers about money stay text until they become decimals, so that no digit is lost.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from msgspec import Struct

from bt_api_base.containers import (
    Balance,
    Event,
    Fill,
    Income,
    IncomeType,
    LiquidityType,
    Order,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from bt_api_base.venues.binance.convert import EXCHANGE_NAME, nanoseconds
from bt_api_base.venues.binance.private import (
    Amount,
    PrivateDecoders,
    PrivateTopics,
    choose,
    exact_sum,
    optional_amount,
)
from bt_api_base.venues.binance.wire import Identifier, Timestamp

if TYPE_CHECKING:
    from bt_api_base.venues.binance.symbols import SymbolTable

__all__ = (
    "DECODERS",
    "ORDER_TYPES",
    "SIDES",
    "STATUSES",
    "STOPS",
    "TAKE_PROFITS",
    "TOPICS",
    "AccountPosition",
    "AssetBalance",
    "BalanceUpdate",
    "ExecutionReport",
    "Subscribed",
    "account_position",
    "balance_update",
    "execution_report",
)

T = TypeVar("T")


class Subscribed(Struct, Generic[T]):
    """A frame of account events: ``{"subscriptionId": 0, "event": {…}}``."""

    event: T


class ExecutionReport(
    Struct,
    rename={
        "event_time": "E",
        "symbol": "s",
        "client_id": "c",
        "original_client_id": "C",
        "side": "S",
        "order_type": "o",
        "time_in_force": "f",
        "quantity": "q",
        "price": "p",
        "stop_price": "P",
        "execution": "x",
        "status": "X",
        "order_id": "i",
        "last_quantity": "l",
        "filled_quantity": "z",
        "last_price": "L",
        "fee": "n",
        "fee_asset": "N",
        "transaction_time": "T",
        "trade_id": "t",
        "is_maker": "m",
        "order_time": "O",
        "filled_quote": "Z",
        "trailing_delta": "d",
    },
):
    """``executionReport``: an order changed."""

    event_time: Timestamp
    symbol: str
    client_id: str
    side: str
    order_type: str
    time_in_force: str
    quantity: Amount
    price: Amount
    execution: str
    status: str
    order_id: Identifier
    filled_quantity: Amount
    transaction_time: Timestamp
    last_quantity: Amount = "0"
    last_price: Amount = "0"
    filled_quote: Amount = "0"
    original_client_id: str | None = None
    stop_price: Amount = "0"
    fee: Amount | None = None
    fee_asset: str | None = None
    trade_id: int = -1
    is_maker: bool = False
    order_time: int = -1
    trailing_delta: int | None = None


class AssetBalance(Struct, rename={"asset": "a", "free": "f", "locked": "l"}):
    """One asset in an account position."""

    asset: str
    free: Amount
    locked: Amount


class AccountPosition(Struct, rename={"event_time": "E", "balances": "B"}):
    """``outboundAccountPosition``: the assets that changed, as they are now."""

    event_time: Timestamp
    balances: tuple[AssetBalance, ...]


class BalanceUpdate(Struct, rename={"event_time": "E", "asset": "a", "delta": "d"}):
    """``balanceUpdate``: a deposit, a withdrawal or a transfer."""

    event_time: Timestamp
    asset: str
    delta: Amount


SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}

STATUSES = {
    "NEW": OrderStatus.ACCEPTED,
    "PENDING_NEW": OrderStatus.ACCEPTED,  # part of an order list; it is in the book when its turn comes
    "PARTIALLY_FILLED": OrderStatus.PARTIAL,
    "FILLED": OrderStatus.COMPLETED,
    "CANCELED": OrderStatus.CANCELED,
    "PENDING_CANCEL": OrderStatus.ACCEPTED,  # documented as unused
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED_IN_MATCH,
}

ORDER_TYPES = {
    "LIMIT": OrderType.LIMIT,
    "MARKET": OrderType.MARKET,
    "LIMIT_MAKER": OrderType.LIMIT_MAKER,
    "STOP_LOSS": OrderType.STOP,
    "STOP_LOSS_LIMIT": OrderType.STOP_LIMIT,
    "TAKE_PROFIT": OrderType.TAKE_PROFIT,
    "TAKE_PROFIT_LIMIT": OrderType.TAKE_PROFIT_LIMIT,
}
STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
TAKE_PROFITS = frozenset({OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT})


def execution_report(data: ExecutionReport, symbols: SymbolTable, local_time: int) -> tuple[Event, ...]:
    """The order as it is now, and before it the fill that changed it, if one did."""
    symbol = symbols[data.symbol]
    server_time = nanoseconds(data.event_time)
    side: Side = choose(SIDES, data.side, "S")
    order_type = ORDER_TYPES.get(data.order_type, OrderType.UNKNOWN)
    stop_price = optional_amount(data.stop_price)
    # On a cancel, the client id of the order is the original one; the other is the cancel request's.
    client_id = data.original_client_id or data.client_id or None
    order_id = str(data.order_id)
    trade_id = str(data.trade_id) if data.trade_id >= 0 else None
    order = Order(
        EXCHANGE_NAME,
        symbol,
        server_time,
        local_time,
        order_id,
        side,
        order_type,
        choose(STATUSES, data.status, "X"),
        order_size=optional_amount(data.quantity),
        order_price=optional_amount(data.price),
        executed_qty=Decimal(data.filled_quantity),
        cum_quote=Decimal(data.filled_quote),
        client_order_id=client_id,
        trade_id=trade_id,
        order_time=nanoseconds(data.order_time) if data.order_time >= 0 else None,
        order_time_in_force=TimeInForce(data.time_in_force),
        # In hundredths of a percent.
        trailing_stop_callback_rate=None if data.trailing_delta is None else Decimal(data.trailing_delta).scaleb(-4),
        stop_loss_trigger_price=stop_price if order_type in STOPS else None,
        take_profit_trigger_price=stop_price if order_type in TAKE_PROFITS else None,
    )
    if data.execution != "TRADE" or trade_id is None:
        return (order,)
    fill = Fill(
        EXCHANGE_NAME,
        symbol,
        server_time,
        local_time,
        trade_id,
        order_id,
        side,
        Decimal(data.last_price),
        Decimal(data.last_quantity),
        nanoseconds(data.transaction_time),
        client_order_id=client_id,
        trade_fee=None if data.fee is None else Decimal(data.fee),
        trade_fee_symbol=data.fee_asset,
        trade_type=LiquidityType.MAKER if data.is_maker else LiquidityType.TAKER,
        trade_accumulate_volume=Decimal(data.filled_quantity),
    )
    return fill, order


def account_position(data: AccountPosition, _symbols: SymbolTable, local_time: int) -> tuple[Event, ...]:
    """The balances that changed."""
    server_time = nanoseconds(data.event_time)
    return tuple(
        Balance(
            EXCHANGE_NAME,
            row.asset,
            server_time,
            local_time,
            exact_sum(row.free, row.locked),
            Decimal(row.free),
            Decimal(row.locked),
        )
        for row in data.balances
    )


def balance_update(data: BalanceUpdate, _symbols: SymbolTable, local_time: int) -> tuple[Event, ...]:
    """Money that came or went. Whether it was deposited, withdrawn or transferred, the venue does not say."""
    return (
        Income(
            EXCHANGE_NAME,
            "",
            nanoseconds(data.event_time),
            local_time,
            IncomeType.UNKNOWN,
            Decimal(data.delta),
            data.asset,
        ),
    )


def _frame_of(payload: Any) -> Any:  # noqa: ANN401 - a type that is a value here, which type checkers cannot follow
    return Subscribed[payload]


DECODERS = PrivateDecoders(
    {
        "executionReport": (ExecutionReport, execution_report),
        "outboundAccountPosition": (AccountPosition, account_position),
        "balanceUpdate": (BalanceUpdate, balance_update),
    },
    wrap=_frame_of,
    unwrap=lambda frame: frame.event,
)
"""Account events, as the WebSocket API wraps them."""

TOPICS = PrivateTopics(EXCHANGE_NAME, (Order, Fill, Balance, Income))
"""What there is to ask for."""
