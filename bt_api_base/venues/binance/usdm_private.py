"""Binance USD-M futures' account events: from payloads to orders, fills, balances, positions.

Source: Binance USD-M futures API documentation, "User Data Streams". Only fields that an event needs
are declared. Numbers about money stay text until they become decimals, so that no digit is lost.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from bt_api_base.containers import (
    Balance,
    Event,
    Fill,
    Income,
    IncomeType,
    LiquidityType,
    MarginType,
    Order,
    OrderType,
    Position,
    PositionSide,
    Side,
    TimeInForce,
    TriggerPriceType,
)
from bt_api_base.venues.binance.convert import nanoseconds
from bt_api_base.venues.binance.private import Amount, PrivateDecoders, PrivateTopics, choose, optional_amount
from bt_api_base.venues.binance.spot_private import SIDES
from bt_api_base.venues.binance.usdm_convert import EXCHANGE_NAME, STATUSES
from bt_api_base.venues.binance.wire import Combined, Identifier, Timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bt_api_base.venues.binance.private import PrivateConverter
    from bt_api_base.venues.binance.symbols import SymbolTable

__all__ = (
    "COMBINED_DECODERS",
    "DECODERS",
    "MARGIN_TYPES",
    "ORDER_TYPES",
    "POSITION_SIDES",
    "STOPS",
    "TAKE_PROFITS",
    "TOPICS",
    "TRIGGERS",
    "AccountBody",
    "AccountUpdate",
    "OrderBody",
    "OrderUpdate",
    "PositionRow",
    "WalletRow",
    "account_update",
    "order_update",
)


class OrderBody(
    Struct,
    rename={
        "symbol": "s",
        "client_id": "c",
        "side": "S",
        "order_type": "o",
        "time_in_force": "f",
        "quantity": "q",
        "price": "p",
        "average_price": "ap",
        "stop_price": "sp",
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
        "reduce_only": "R",
        "working_type": "wt",
        "original_type": "ot",
        "position_side": "ps",
        "close_position": "cp",
        "activation_price": "AP",
        "callback_rate": "cr",
        "realized_profit": "rp",
    },
):
    """The order in an ``ORDER_TRADE_UPDATE``."""

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
    average_price: Amount = "0"
    stop_price: Amount = "0"
    last_quantity: Amount = "0"
    last_price: Amount = "0"
    fee: Amount | None = None
    fee_asset: str | None = None
    trade_id: int = 0
    is_maker: bool = False
    reduce_only: bool | None = None
    working_type: str = ""
    original_type: str = ""
    position_side: str = "BOTH"
    close_position: bool | None = None
    activation_price: Amount = "0"
    callback_rate: Amount | None = None
    realized_profit: Amount | None = None


class OrderUpdate(Struct, rename={"event_time": "E", "body": "o"}):
    """``ORDER_TRADE_UPDATE``: an order changed."""

    event_time: Timestamp
    body: OrderBody


class WalletRow(Struct, rename={"asset": "a", "wallet_balance": "wb", "change": "bc"}):
    """One asset in an account update; ``change`` is without profit, loss and fees."""

    asset: str
    wallet_balance: Amount
    change: Amount = "0"


class PositionRow(
    Struct,
    rename={
        "symbol": "s",
        "volume": "pa",
        "entry_price": "ep",
        "realized": "cr",
        "unrealized": "up",
        "margin_type": "mt",
        "side": "ps",
    },
):
    """One position in an account update."""

    symbol: str
    volume: Amount
    entry_price: Amount
    realized: Amount | None = None
    unrealized: Amount | None = None
    margin_type: str = ""
    side: str = "BOTH"


class AccountBody(Struct, rename={"reason": "m", "balances": "B", "positions": "P"}):
    """What an account update is about: only what changed."""

    reason: str = ""
    balances: tuple[WalletRow, ...] = ()
    positions: tuple[PositionRow, ...] = ()


class AccountUpdate(Struct, rename={"event_time": "E", "body": "a"}):
    """``ACCOUNT_UPDATE``: balances and positions changed."""

    event_time: Timestamp
    body: AccountBody


POSITION_SIDES = {"BOTH": PositionSide.NET, "LONG": PositionSide.LONG, "SHORT": PositionSide.SHORT}

ORDER_TYPES = {
    "LIMIT": OrderType.LIMIT,
    "MARKET": OrderType.MARKET,
    "STOP": OrderType.STOP_LIMIT,
    "STOP_MARKET": OrderType.STOP,
    "TAKE_PROFIT": OrderType.TAKE_PROFIT_LIMIT,
    "TAKE_PROFIT_MARKET": OrderType.TAKE_PROFIT,
    "TRAILING_STOP_MARKET": OrderType.TRAILING_STOP,
    "LIQUIDATION": OrderType.LIQUIDATION,
}
STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
TAKE_PROFITS = frozenset({OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT})
TRIGGERS = {"CONTRACT_PRICE": TriggerPriceType.LAST, "MARK_PRICE": TriggerPriceType.MARK}
MARGIN_TYPES = {"cross": MarginType.CROSS, "crossed": MarginType.CROSS, "isolated": MarginType.ISOLATED}

_INCOME_TYPES = {
    "FUNDING_FEE": IncomeType.FUNDING_FEE,
    "DEPOSIT": IncomeType.DEPOSIT,
    "ADMIN_DEPOSIT": IncomeType.DEPOSIT,
    "WITHDRAW": IncomeType.WITHDRAWAL,
    "ADMIN_WITHDRAW": IncomeType.WITHDRAWAL,
    "MARGIN_TRANSFER": IncomeType.TRANSFER,
    "ASSET_TRANSFER": IncomeType.TRANSFER,
    "COIN_SWAP_DEPOSIT": IncomeType.TRANSFER,
    "COIN_SWAP_WITHDRAW": IncomeType.TRANSFER,
}


def order_update(data: OrderUpdate, symbols: SymbolTable, local_time: int) -> tuple[Event, ...]:
    """The order as it is now, and before it the fill that changed it, if one did."""
    body = data.body
    symbol = symbols[body.symbol]
    server_time = nanoseconds(data.event_time)
    side: Side = choose(SIDES, body.side, "o.S")
    position_side = POSITION_SIDES.get(body.position_side, PositionSide.UNKNOWN)
    order_id = str(body.order_id)
    last_quantity = optional_amount(body.last_quantity)
    # A liquidation is executed without being called a trade.
    is_fill = body.execution == "TRADE" or (body.execution == "CALCULATED" and last_quantity is not None)
    trade_id = str(body.trade_id) if is_fill else None
    order = _order(data, symbol, trade_id, local_time)
    if trade_id is None:
        return (order,)
    fill = Fill(
        EXCHANGE_NAME,
        symbol,
        server_time,
        local_time,
        trade_id,
        order_id,
        side,
        Decimal(body.last_price),
        Decimal(body.last_quantity),
        nanoseconds(body.transaction_time),
        client_order_id=body.client_id or None,
        trade_fee=None if body.fee is None else Decimal(body.fee),
        trade_fee_symbol=body.fee_asset,
        trade_type=LiquidityType.MAKER if body.is_maker else LiquidityType.TAKER,
        trade_accumulate_volume=Decimal(body.filled_quantity),
        position_side=position_side,
        realized_pnl=None if body.realized_profit is None else Decimal(body.realized_profit),
    )
    return fill, order


def _order(data: OrderUpdate, symbol: str, trade_id: str | None, local_time: int) -> Order:
    body = data.body
    order_type = ORDER_TYPES.get(body.order_type, OrderType.UNKNOWN)
    origin = ORDER_TYPES.get(body.original_type, OrderType.UNKNOWN) if body.original_type else None
    kind = order_type if origin is None else origin
    stop_price = optional_amount(body.stop_price)
    trigger = TRIGGERS.get(body.working_type, TriggerPriceType.UNKNOWN) if body.working_type else None
    return Order(
        EXCHANGE_NAME,
        symbol,
        nanoseconds(data.event_time),
        local_time,
        str(body.order_id),
        choose(SIDES, body.side, "o.S"),
        order_type,
        choose(STATUSES, body.status, "o.X"),
        order_size=optional_amount(body.quantity),
        order_price=optional_amount(body.price),
        order_avg_price=optional_amount(body.average_price),
        executed_qty=Decimal(body.filled_quantity),
        client_order_id=body.client_id or None,
        trade_id=trade_id,
        # The venue gives the time of the change; only the first one is of the order itself.
        order_time=nanoseconds(body.transaction_time) if body.execution == "NEW" else None,
        order_time_in_force=TimeInForce(body.time_in_force),
        origin_order_type=origin,
        position_side=POSITION_SIDES.get(body.position_side, PositionSide.UNKNOWN),
        reduce_only=body.reduce_only,
        close_position=body.close_position,
        trailing_stop_trigger_price=optional_amount(body.activation_price) if kind is OrderType.TRAILING_STOP else None,
        trailing_stop_callback_rate=_percent(body.callback_rate) if kind is OrderType.TRAILING_STOP else None,
        trailing_stop_trigger_price_type=trigger if kind is OrderType.TRAILING_STOP else None,
        stop_loss_trigger_price=stop_price if kind in STOPS else None,
        stop_loss_trigger_price_type=trigger if kind in STOPS else None,
        take_profit_trigger_price=stop_price if kind in TAKE_PROFITS else None,
        take_profit_trigger_price_type=trigger if kind in TAKE_PROFITS else None,
    )


def _percent(text: str | None) -> Decimal | None:
    value = None if text is None else Decimal(text)
    return None if value is None or not value else value.scaleb(-2)


def account_update(data: AccountUpdate, symbols: SymbolTable, local_time: int) -> tuple[Event, ...]:
    """The balances and positions that changed, and where money came or went other than by trading, how much."""
    body, server_time = data.body, nanoseconds(data.event_time)
    events: list[Event] = []
    for row in body.balances:
        events.append(Balance(EXCHANGE_NAME, row.asset, server_time, local_time, Decimal(row.wallet_balance)))
        change = optional_amount(row.change)
        if change is not None:
            events.append(
                Income(
                    EXCHANGE_NAME,
                    # With funding of an isolated position comes that position; of cross ones, none.
                    symbols[body.positions[0].symbol] if len(body.positions) == 1 else "",
                    server_time,
                    local_time,
                    _INCOME_TYPES.get(body.reason, IncomeType.UNKNOWN),
                    change,
                    row.asset,
                )
            )
    events += (
        Position(
            EXCHANGE_NAME,
            symbols[row.symbol],
            server_time,
            local_time,
            choose(POSITION_SIDES, row.side, "a.P[].ps"),
            Decimal(row.volume),
            optional_amount(row.entry_price),
            position_unrealized_pnl=None if row.unrealized is None else Decimal(row.unrealized),
            position_realized_pnl=None if row.realized is None else Decimal(row.realized),
            margin_type=MARGIN_TYPES.get(row.margin_type, MarginType.UNKNOWN) if row.margin_type else None,
        )
        for row in body.positions
    )
    return tuple(events)


def _combined(payload: Any) -> Any:  # noqa: ANN401 - a type that is a value here, which type checkers cannot follow
    return Combined[payload]


_ROWS: Mapping[str, tuple[type[Struct], PrivateConverter]] = {
    "ORDER_TRADE_UPDATE": (OrderUpdate, order_update),
    "ACCOUNT_UPDATE": (AccountUpdate, account_update),
}

COMBINED_DECODERS = PrivateDecoders(_ROWS, wrap=_combined, unwrap=lambda frame: frame.data)
"""Account events, wrapped with the name of a stream."""

DECODERS = PrivateDecoders(_ROWS, wrap=lambda payload: payload, unwrap=lambda frame: frame)
"""Account events as they are."""

TOPICS = PrivateTopics(EXCHANGE_NAME, (Order, Fill, Balance, Position, Income))
"""What there is to ask for."""
