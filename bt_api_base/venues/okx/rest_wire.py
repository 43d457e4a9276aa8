"""The bodies of OKX's REST answers, where the streams have nothing like them.

Source: OKX v5 API documentation, the section of each endpoint. Orders, positions, balances, tickers, books, trades and
bars are as in the streams (`bt_api_base.venues.okx.wire`, `bt_api_base.venues.okx.private_wire`).
"""

from __future__ import annotations

from typing import Generic, TypeVar

from msgspec import Raw, Struct

from bt_api_base.containers import Side
from bt_api_base.venues.okx.wire import Frame, Nothing, Timestamp

__all__ = ("Config", "Envelope", "Failure", "FillRow", "InstrumentRow", "ItemFailure", "OrderAnswer", "ServerTime")

T = TypeVar("T")


class Envelope(Frame[T], Generic[T]):
    """What is around every answer, with data as in a frame: ``{"code": "0", "msg": "", "data": […]}``."""

    code: str = "0"
    msg: str = ""


class Failure(Struct):
    """An answer that may be an error; its data are looked at only then."""

    code: str | int = ""
    msg: str = ""
    data: Raw = Raw(b"[]")


class ItemFailure(Struct, rename={"code": "sCode", "msg": "sMsg"}):
    """What became of one order of a call."""

    code: str = ""
    msg: str = ""


class ServerTime(Struct, rename={"time": "ts"}):
    """``GET /api/v5/public/time``."""

    time: Timestamp


class Config(Struct, rename={"level": "acctLv", "position_mode": "posMode"}):
    """``GET /api/v5/account/config``.

    The level is 1 for spot, 2 for futures, 3 for multi-currency and 4 for portfolio margin; the mode of positions
    ``net_mode`` or ``long_short_mode``.
    """

    level: str = ""
    position_mode: str = ""
    uid: str = ""


class OrderAnswer(
    Struct,
    rename={
        "order_id": "ordId",
        "client_order_id": "clOrdId",
        "timestamp": "ts",
        "code": "sCode",
        "msg": "sMsg",
    },
):
    """What became of an order that was placed or canceled: no more than that the request was taken or not."""

    order_id: str = ""
    client_order_id: str = ""
    timestamp: Timestamp | Nothing = ""
    code: str = "0"
    msg: str = ""


class InstrumentRow(
    Struct,
    rename={
        "instrument_type": "instType",
        "symbol": "instId",
        "underlying": "uly",
        "family": "instFamily",
        "base": "baseCcy",
        "quote": "quoteCcy",
        "settle": "settleCcy",
        "contract_value": "ctVal",
        "contract_multiplier": "ctMult",
        "contract_unit": "ctValCcy",
        "contract_type": "ctType",
        "option_type": "optType",
        "strike": "stk",
        "listed_at": "listTime",
        "expires_at": "expTime",
        "tick_size": "tickSz",
        "lot_size": "lotSz",
        "min_size": "minSz",
        "max_limit_size": "maxLmtSz",
    },
):
    """A row of ``GET /api/v5/public/instruments``."""

    instrument_type: str
    symbol: str
    state: str
    underlying: str = ""
    family: str = ""
    base: str = ""
    quote: str = ""
    settle: str = ""
    contract_value: str = ""
    contract_multiplier: str = ""
    contract_unit: str = ""
    contract_type: str = ""
    option_type: str = ""
    strike: str = ""
    listed_at: Timestamp | Nothing = ""
    expires_at: Timestamp | Nothing = ""
    tick_size: str = ""
    lot_size: str = ""
    min_size: str = ""
    max_limit_size: str = ""


class FillRow(
    Struct,
    rename={
        "symbol": "instId",
        "trade_id": "tradeId",
        "order_id": "ordId",
        "client_order_id": "clOrdId",
        "bill_id": "billId",
        "price": "fillPx",
        "size": "fillSz",
        "profit": "fillPnl",
        "fee_currency": "feeCcy",
        "role": "execType",
        "position_side": "posSide",
        "filled_at": "fillTime",
        "timestamp": "ts",
    },
):
    """A row of ``GET /api/v5/trade/fills`` and of ``/fills-history``."""

    symbol: str
    trade_id: str
    order_id: str
    side: Side
    price: str
    size: str
    bill_id: str = ""
    client_order_id: str = ""
    profit: str = ""
    fee: str = ""
    fee_currency: str = ""
    role: str = ""
    position_side: str = ""
    filled_at: Timestamp | Nothing = ""
    timestamp: Timestamp | Nothing = ""
