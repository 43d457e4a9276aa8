"""The union of all events, and their names on the bus."""

from __future__ import annotations

from typing import TypeAlias, get_args

from bt_api_base.containers.account import Account
from bt_api_base.containers.balance import Balance
from bt_api_base.containers.bar import Bar
from bt_api_base.containers.fill import Fill
from bt_api_base.containers.funding_rate import FundingRate
from bt_api_base.containers.gap import Gap
from bt_api_base.containers.greeks import Greeks
from bt_api_base.containers.income import Income
from bt_api_base.containers.instrument import Instrument
from bt_api_base.containers.liquidation import Liquidation
from bt_api_base.containers.mark_price import MarkPrice
from bt_api_base.containers.order import Order
from bt_api_base.containers.order_book import OrderBook, OrderBookDelta
from bt_api_base.containers.position import Position
from bt_api_base.containers.tick import Tick
from bt_api_base.containers.trade import Trade

__all__ = ("EVENT_TYPES", "MONEY_TYPES", "Event", "event_name", "event_tag")

Event: TypeAlias = (
    Tick
    | Trade
    | Bar
    | OrderBook
    | OrderBookDelta
    | FundingRate
    | MarkPrice
    | Liquidation
    | Greeks
    | Order
    | Fill
    | Position
    | Balance
    | Account
    | Income
    | Instrument
    | Gap
)
"""Everything that a venue reports; on the wire, the field ``type`` says which."""

EVENT_TYPES: tuple[type[Event], ...] = get_args(Event)
"""The members of `Event`."""

MONEY_TYPES: frozenset[type[Event]] = frozenset({Order, Fill, Position, Balance, Account, Income, Instrument})
"""The members of `Event` whose numbers are `Decimal`."""

_PREFIXES = {member: f"{member.__struct_config__.tag}." for member in EVENT_TYPES}


def event_tag(event_type: type[Event]) -> str:
    """Return the tag of an event type, its ``type`` on the wire: ``"order_book_delta"`` for `OrderBookDelta`."""
    return _PREFIXES[event_type][:-1]


def event_name(event: Event) -> str:
    """Return the name under which an event goes over the bus: ``"tick.BINANCE___SPOT.BTC-USDT"``."""
    return f"{_PREFIXES[type(event)]}{event.exchange_name}.{event.symbol}"
