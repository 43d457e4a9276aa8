"""Typed events (msgspec Structs)."""
from __future__ import annotations
from typing import Union
from bt_api_base.containers.bar import Bar
from bt_api_base.containers.enums import Side
from bt_api_base.containers.order_book import Level, OrderBook, OrderBookDelta
from bt_api_base.containers.tick import Tick
from bt_api_base.containers.trade import Trade
Event = Union[Tick, Trade, Bar, OrderBook, OrderBookDelta]
