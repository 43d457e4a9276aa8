"""The bodies of Binance's REST answers, field by field as they are on the wire.

Source: Binance spot API documentation, "REST API"; USD-M futures API documentation, "REST API". Only fields that a
container needs are declared. Numbers of the market become floats while they are decoded; numbers about money stay text
until they become decimals, so that no digit is lost.

One struct serves both markets where they tell the same; what only one of them sends has a default.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from bt_api_base.venues.binance.private import Amount
from bt_api_base.venues.binance.wire import Identifier, Level, Number, Timestamp

__all__ = (
    "AccountInfo",
    "AggregateTrade",
    "AssetBalance",
    "BookTicker",
    "CanceledList",
    "CommissionRates",
    "Depth",
    "Done",
    "ExchangeInfo",
    "FillRow",
    "Filter",
    "KlineRow",
    "OrderFill",
    "OrderRow",
    "ServerTime",
    "SymbolInfo",
    "Ticker24h",
    "Trade",
    "UsdmAccount",
    "UsdmAsset",
    "UsdmBalance",
    "UsdmFill",
    "UsdmPosition",
)

_Time = Annotated[int, Meta(ge=-1, le=(2**63 - 1) // 1000)]
"""A timestamp, or -1 for none."""


class ServerTime(Struct, rename="camel"):
    """``GET /time``."""

    server_time: Timestamp


class Filter(Struct, rename="camel"):
    """One of a symbol's filters. Each type has some of the fields; those of other types are at their defaults."""

    filter_type: str
    min_price: Amount = "0"
    max_price: Amount = "0"
    tick_size: Amount = "0"
    min_qty: Amount = "0"
    max_qty: Amount = "0"
    step_size: Amount = "0"
    min_notional: Amount = "0"
    max_notional: Amount = "0"
    notional: Amount = "0"


class SymbolInfo(Struct, rename="camel"):
    """A symbol in ``GET /exchangeInfo``. The last six are of contracts."""

    symbol: str
    status: str
    base_asset: str
    quote_asset: str
    filters: tuple[Filter, ...] = ()
    pair: str = ""
    contract_type: str = ""
    margin_asset: str = ""
    delivery_date: Timestamp | None = None
    onboard_date: Timestamp | None = None


class ExchangeInfo(Struct, rename="camel"):
    """``GET /exchangeInfo``. On USD-M its time means nothing."""

    symbols: tuple[SymbolInfo, ...]
    server_time: Timestamp = 0


class Ticker24h(Struct, rename="camel"):
    """``GET /ticker/24hr``. USD-M tells neither bid nor ask here."""

    symbol: str
    last_price: Number
    last_qty: Number
    open_price: Number
    high_price: Number
    low_price: Number
    volume: Number
    quote_volume: Number
    close_time: Timestamp
    bid_price: Number | None = None
    bid_qty: Number | None = None
    ask_price: Number | None = None
    ask_qty: Number | None = None


class BookTicker(Struct, rename="camel"):
    """``GET /ticker/bookTicker``. Spot tells no time."""

    symbol: str
    bid_price: Number
    bid_qty: Number
    ask_price: Number
    ask_qty: Number
    time: Timestamp = 0


class Depth(Struct, rename={"update_id": "lastUpdateId", "event_time": "E"}):
    """``GET /depth``. Spot tells no time."""

    update_id: Identifier
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    event_time: Timestamp = 0


class KlineRow(Struct, array_like=True):
    """A row of ``GET /klines``; its twelfth element is retired."""

    open_time: Timestamp
    open_price: Number
    high_price: Number
    low_price: Number
    close_price: Number
    volume: Number
    close_time: Timestamp
    turnover: Number
    trade_count: Identifier
    taker_buy_volume: Number
    taker_buy_turnover: Number


class Trade(Struct, rename={"trade_id": "id", "buyer_is_maker": "isBuyerMaker", "volume": "qty"}):
    """A trade in ``GET /trades`` and ``GET /historicalTrades``."""

    trade_id: Identifier
    price: Number
    volume: Number
    time: Timestamp
    buyer_is_maker: bool


class AggregateTrade(
    Struct,
    rename={
        "aggregate_id": "a",
        "price": "p",
        "volume": "q",
        "first_trade_id": "f",
        "last_trade_id": "l",
        "time": "T",
        "buyer_is_maker": "m",
    },
):
    """A row of ``GET /aggTrades``."""

    aggregate_id: Identifier
    price: Number
    volume: Number
    first_trade_id: Identifier
    last_trade_id: Identifier
    time: Timestamp
    buyer_is_maker: bool


class OrderFill(Struct, rename="camel"):
    """A fill in the answer to a new order. It tells no time and no role: it has just taken."""

    price: Amount
    qty: Amount
    commission: Amount
    commission_asset: str
    trade_id: Identifier


class OrderRow(
    Struct,
    rename={
        "order_id": "orderId",
        "client_id": "clientOrderId",
        "original_client_id": "origClientOrderId",
        "order_type": "type",
        "time_in_force": "timeInForce",
        "quantity": "origQty",
        "filled_quantity": "executedQty",
        "filled_quote": "cummulativeQuoteQty",
        "usdm_filled_quote": "cumQuote",
        "average_price": "avgPrice",
        "stop_price": "stopPrice",
        "trailing_delta": "trailingDelta",
        "order_time": "time",
        "updated_at": "updateTime",
        "transacted_at": "transactTime",
        "reduce_only": "reduceOnly",
        "close_position": "closePosition",
        "position_side": "positionSide",
        "working_type": "workingType",
        "original_type": "origType",
        "activation_price": "activatePrice",
        "callback_rate": "priceRate",
    },
):
    """An order, as it is answered to whoever places, cancels or asks.

    On a cancel the id of the *order* is ``origClientOrderId``; the other one is the cancel request's.
    """

    symbol: str
    order_id: Identifier
    client_id: str
    side: str
    order_type: str
    status: str
    price: Amount
    quantity: Amount
    filled_quantity: Amount
    time_in_force: str = ""
    filled_quote: Amount | None = None
    original_client_id: str | None = None
    stop_price: Amount = "0"
    trailing_delta: int | None = None
    order_time: _Time = -1
    updated_at: _Time = -1
    transacted_at: _Time = -1
    fills: tuple[OrderFill, ...] = ()
    usdm_filled_quote: Amount | None = None
    average_price: Amount = "0"
    reduce_only: bool | None = None
    close_position: bool | None = None
    position_side: str = ""
    working_type: str = ""
    original_type: str = ""
    activation_price: Amount = "0"
    callback_rate: Amount | None = None


class CanceledList(Struct, rename={"reports": "orderReports"}):
    """An order list among what ``DELETE /openOrders`` canceled."""

    reports: tuple[OrderRow, ...]


class Done(Struct):
    """The answer to what has no other: ``{"code": 200, "msg": "The operation … is done."}``."""

    code: int = 200
    msg: str = ""


class FillRow(Struct, rename="camel"):
    """A row of ``GET /myTrades``."""

    symbol: str
    id: Identifier
    order_id: Identifier
    price: Amount
    qty: Amount
    commission: Amount
    commission_asset: str
    time: Timestamp
    is_buyer: bool
    is_maker: bool


class AssetBalance(Struct):
    """One asset in ``GET /account``."""

    asset: str
    free: Amount
    locked: Amount


class CommissionRates(Struct):
    """What trading costs, as fractions of the amount."""

    maker: Amount
    taker: Amount


class AccountInfo(Struct, rename="camel"):
    """``GET /account``. Answers of former years have no rates and no ``uid``."""

    balances: tuple[AssetBalance, ...]
    update_time: _Time = -1
    account_type: str = ""
    can_trade: bool | None = None
    can_withdraw: bool | None = None
    can_deposit: bool | None = None
    commission_rates: CommissionRates | None = None
    uid: int | None = None


class UsdmFill(Struct, rename="camel"):
    """A row of ``GET /fapi/v1/userTrades``."""

    symbol: str
    id: Identifier
    order_id: Identifier
    side: str
    price: Amount
    qty: Amount
    commission: Amount
    commission_asset: str
    time: Timestamp
    maker: bool
    position_side: str = "BOTH"
    realized_pnl: Amount | None = None


class UsdmBalance(
    Struct,
    rename={
        "wallet": "balance",
        "unrealized": "crossUnPnl",
        "available": "availableBalance",
        "max_withdraw": "maxWithdrawAmount",
        "update_time": "updateTime",
    },
):
    """A row of ``GET /fapi/v3/balance``."""

    asset: str
    wallet: Amount
    available: Amount
    unrealized: Amount | None = None
    max_withdraw: Amount | None = None
    update_time: _Time = -1


class UsdmAsset(Struct, rename="camel"):
    """An asset in ``GET /fapi/v3/account``."""

    asset: str
    wallet_balance: Amount
    available_balance: Amount
    unrealized_profit: Amount | None = None
    maint_margin: Amount | None = None
    initial_margin: Amount | None = None
    open_order_initial_margin: Amount | None = None
    max_withdraw_amount: Amount | None = None
    update_time: _Time = -1


class UsdmPosition(Struct, rename="camel"):
    """A row of ``GET /fapi/v3/positionRisk``, or a position in ``GET /fapi/v3/account``, which tells less."""

    symbol: str
    position_side: str
    position_amt: Amount
    entry_price: Amount | None = None
    mark_price: Amount | None = None
    liquidation_price: Amount | None = None
    initial_margin: Amount | None = None
    maint_margin: Amount | None = None
    position_initial_margin: Amount | None = None
    open_order_initial_margin: Amount | None = None
    unrealized_profit: Amount | None = None
    un_realized_profit: Amount | None = None
    isolated_margin: Amount | None = None
    isolated_wallet: Amount | None = None
    update_time: _Time = -1


class UsdmAccount(Struct, rename="camel"):
    """``GET /fapi/v3/account``. The totals are in dollars."""

    assets: tuple[UsdmAsset, ...]
    positions: tuple[UsdmPosition, ...]
    total_initial_margin: Amount
    total_maint_margin: Amount
    total_wallet_balance: Amount
    total_unrealized_profit: Amount
    total_margin_balance: Amount
    total_position_initial_margin: Amount
    total_open_order_initial_margin: Amount
    available_balance: Amount
    max_withdraw_amount: Amount
