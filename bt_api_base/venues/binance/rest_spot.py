"""Binance spot over REST."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

import msgspec
from typing_extensions import override

from bt_api_base.containers import OrderType, TimeInForce, decimal_text
from bt_api_base.exceptions import OrderNotFoundError
from bt_api_base.feeds.capability import Capability
from bt_api_base.venues.binance import rest_convert as convert, rest_wire as wire
from bt_api_base.venues.binance.convert import EXCHANGE_NAME
from bt_api_base.venues.binance.rest_common import BinanceApi, Parameters
from bt_api_base.venues.binance.rest_endpoints import (
    SPOT,
    SPOT_FILLS_OF_ORDER_WEIGHT,
    SPOT_OPEN_ORDERS_WEIGHT,
    spot_depth_weight,
)
from bt_api_base.venues.binance.rest_errors import SPOT_ERRORS
from bt_api_base.venues.binance.rest_limits import SPOT_RULES
from bt_api_base.venues.binance.spot_private import ORDER_TYPES
from bt_api_base.venues.binance.symbols import SymbolTable, parse_symbol
from bt_api_base.venues.binance.topics import INTERVALS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bt_api_base.containers import Account, Balance, Fill, Instrument, Order, OrderBook, Position, Tick
    from bt_api_base.feeds.order_request import OrderRequest

__all__ = ("BinanceSpotApi",)

_read_order = msgspec.json.Decoder(wire.OrderRow, strict=False).decode
_read_list = msgspec.json.Decoder(wire.CanceledList, strict=False).decode


class BinanceSpotApi(BinanceApi):
    """Binance spot over REST; see `BinanceApi` for the arguments, and `VenueApi` for the methods.

    Orders: ``LIMIT`` (with ``GTC``, ``IOC``, ``FOK``; ``GTX`` makes it a ``LIMIT_MAKER``), ``MARKET`` (by quantity or
    by amount), ``LIMIT_MAKER``; and with the venue's ``stopPrice`` or ``trailingDelta`` among the parameters, stops and
    take-profits.
    """

    exchange_name = EXCHANGE_NAME
    rest_url = "https://api.binance.com"
    demo_url = "https://demo-api.binance.com"
    endpoints = SPOT
    errors = SPOT_ERRORS
    rules = SPOT_RULES
    periods: ClassVar[Mapping[str, str]] = {interval: interval for interval in INTERVALS}
    order_words: ClassVar[Mapping[OrderType, str]] = {order_type: word for word, order_type in ORDER_TYPES.items()}
    client_order_ids = re.compile(r"[A-Za-z0-9_-]{1,36}")
    max_klines = 1000
    max_depth = 5000
    open_orders_weight = SPOT_OPEN_ORDERS_WEIGHT
    fills_of_order_weight: ClassVar[int | None] = SPOT_FILLS_OF_ORDER_WEIGHT
    capabilities: ClassVar[frozenset[Capability]] = frozenset({
        Capability.GET_TICK,
        Capability.GET_DEPTH,
        Capability.GET_KLINE,
        Capability.MAKE_ORDER,
        Capability.CANCEL_ORDER,
        Capability.CANCEL_ALL,
        Capability.CANCEL_ALL_SYMBOL,
        Capability.QUERY_ORDER,
        Capability.QUERY_OPEN_ORDERS,
        Capability.GET_DEALS,
        Capability.GET_BALANCE,
        Capability.GET_ACCOUNT,
        Capability.MARKET_STREAM,
        Capability.ACCOUNT_STREAM,
        Capability.CONDITIONAL_ORDER,
        Capability.TRAILING_STOP,
        Capability.GET_EXCHANGE_INFO,
        Capability.GET_SERVER_TIME,
    })  # fmt: skip

    @override
    def _symbol_table(self) -> SymbolTable:
        return SymbolTable()

    @override
    def _parse(self, symbol: str) -> tuple[str, str]:
        return parse_symbol(EXCHANGE_NAME, symbol)

    @override
    def _instrument(self, data: wire.SymbolInfo, server_time: int, local_time: int) -> Instrument:
        return convert.instrument(data, server_time, local_time)

    @override
    def _klines_weight(self, count: int) -> None:
        return None

    @override
    async def ticker(self, symbol: str) -> Tick:
        """Return the best bid and ask, the last trade, and the last 24 hours.

        Cancellation: Nothing is changed.
        """
        internal, name = self._names(symbol)
        data: wire.Ticker24h = await self.client.call(self.endpoints.ticker, {"symbol": name}, symbol=internal)
        with self._reading("Tick") as local_time:
            return convert.ticker_24h(data, EXCHANGE_NAME, internal, local_time)

    @override
    async def depth(self, symbol: str, count: int = 20) -> OrderBook:
        """Return the best levels of the book, at most 5,000.

        Cancellation: Nothing is changed.
        """
        limit = min(count, self.max_depth)
        return await self._depth(symbol, count, limit, spot_depth_weight(limit))

    @override
    def _order(self, data: wire.OrderRow, local_time: int, *, placed: bool = False) -> Order:
        return convert.order(data, self.symbols, local_time, placed=placed)

    @override
    def _order_parameters(self, request: OrderRequest) -> Parameters:
        if request.reduce_only or request.position_side is not None:
            self._refuse(request, "spot has no positions: reduce_only and position_side mean nothing here")
        parameters: Parameters = {
            # In full, so that what it took on arriving is known at once.
            "newOrderRespType": "FULL",
            "quoteOrderQty": None if request.quote_quantity is None else decimal_text(request.quote_quantity),
        }
        if request.time_in_force is TimeInForce.GTX and request.order_type is OrderType.LIMIT:
            parameters["type"] = self.order_words[OrderType.LIMIT_MAKER]
        if request.order_type is OrderType.LIMIT_MAKER or request.time_in_force is TimeInForce.GTX:
            parameters["timeInForce"] = None
        return parameters

    async def place_with_fills(self, request: OrderRequest) -> tuple[Order, tuple[Fill, ...]]:
        """Place an order, and return with it the fills it got on arriving; see `place`.

        The fills' time is that of the answer, to which the venue adds none.

        Cancellation: As with a lost answer, the order may have been placed.
        """
        row = await self._place(request)
        with self._reading("Order", changed=(request.symbol, request.client_order_id)) as local_time:
            order = self._order(row, local_time, placed=True)
            return order, convert.order_fills(row, self.symbols, local_time)

    @override
    async def _cancel_symbol(self, symbol: str) -> list[Order]:
        internal, name = self._names(symbol)
        try:
            answer: list[msgspec.Raw] = await self.client.call(
                self.endpoints.cancel_all, {"symbol": name}, symbol=internal
            )
        except OrderNotFoundError:
            return []  # there was none
        with self._reading("Order", changed=(internal, "")) as local_time:
            rows: list[wire.OrderRow] = []
            for item in answer:
                # Those of an order list come together, in a report on the list.
                rows += _read_list(item).reports if b'"orderReports"' in bytes(item) else (_read_order(item),)
            return [self._order(row, local_time) for row in rows]

    @override
    def _fill(self, row: wire.FillRow, local_time: int) -> Fill:
        return convert.fill(row, self.symbols, local_time)

    async def _account_info(self, *, omit_zeros: bool) -> wire.AccountInfo:
        info: wire.AccountInfo = await self.client.call(
            self.endpoints.account, {"omitZeroBalances": omit_zeros or None}
        )
        return info

    @override
    async def balances(self) -> list[Balance]:
        """Return what the account holds, by currency, without those it has nothing of.

        Cancellation: Nothing is changed.
        """
        info = await self._account_info(omit_zeros=True)
        with self._reading("Balance") as local_time:
            return convert.balances(info, local_time)

    @override
    async def account(self) -> Account:
        """Return the account as a whole.

        Cancellation: Nothing is changed.
        """
        info = await self._account_info(omit_zeros=True)
        with self._reading("Account") as local_time:
            return convert.account(info, local_time)

    @override
    async def positions(self, symbol: str | None = None) -> list[Position]:
        """Return nothing: spot has no positions.

        Cancellation: It does not wait.
        """
        return []
