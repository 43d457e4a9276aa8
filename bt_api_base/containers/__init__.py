"""Typed events: frozen `msgspec.Struct`s, members of one tagged union, `Event`.

Bytes from a venue become one of these in one decode, at the edge; nothing past the adapter sees a venue's own form. The
same structs go over the bus, to disk and between machines (`encode_json`, `encode_msgpack`). Market data are floats;
money (orders, fills, positions, balances, accounts, incomes) and an instrument's rules are exact decimals.

Field names follow the ecosystem's getters without ``get_``. Every event has ``exchange_name``, ``symbol``,
``server_time`` and ``local_time`` (nanoseconds since the epoch, UTC).
"""

from __future__ import annotations

from bt_api_base.containers.account import Account
from bt_api_base.containers.balance import Balance
from bt_api_base.containers.bar import Bar
from bt_api_base.containers.codec import (
    decode_json,
    decode_json_lines,
    decode_msgpack,
    decode_msgpack_batch,
    encode_json,
    encode_json_lines,
    encode_msgpack,
    encode_msgpack_batch,
)
from bt_api_base.containers.decimals import decimal_text, to_decimal
from bt_api_base.containers.enums import (
    AssetType,
    GapReason,
    IncomeType,
    InstrumentStatus,
    LiquidityType,
    MarginType,
    Offset,
    OptionType,
    OrderStatus,
    OrderType,
    PositionSide,
    Side,
    TimeInForce,
    TriggerPriceType,
)
from bt_api_base.containers.event import EVENT_TYPES, MONEY_TYPES, Event, event_name, event_tag
from bt_api_base.containers.fill import Fill
from bt_api_base.containers.funding_rate import FundingRate
from bt_api_base.containers.gap import Gap
from bt_api_base.containers.greeks import Greeks
from bt_api_base.containers.income import Income
from bt_api_base.containers.instrument import Instrument, utc_ns
from bt_api_base.containers.liquidation import Liquidation
from bt_api_base.containers.mark_price import MarkPrice
from bt_api_base.containers.order import Order
from bt_api_base.containers.order_book import Level, OrderBook, OrderBookDelta
from bt_api_base.containers.position import Position
from bt_api_base.containers.tick import Tick
from bt_api_base.containers.trade import Trade

__all__ = (
    "EVENT_TYPES",
    "MONEY_TYPES",
    "Account",
    "AssetType",
    "Balance",
    "Bar",
    "Event",
    "Fill",
    "FundingRate",
    "Gap",
    "GapReason",
    "Greeks",
    "Income",
    "IncomeType",
    "Instrument",
    "InstrumentStatus",
    "Level",
    "Liquidation",
    "LiquidityType",
    "MarginType",
    "MarkPrice",
    "Offset",
    "OptionType",
    "Order",
    "OrderBook",
    "OrderBookDelta",
    "OrderStatus",
    "OrderType",
    "Position",
    "PositionSide",
    "Side",
    "Tick",
    "TimeInForce",
    "Trade",
    "TriggerPriceType",
    "decimal_text",
    "decode_json",
    "decode_json_lines",
    "decode_msgpack",
    "decode_msgpack_batch",
    "encode_json",
    "encode_json_lines",
    "encode_msgpack",
    "encode_msgpack_batch",
    "event_name",
    "event_tag",
    "to_decimal",
    "utc_ns",
)
