"""Binance USD-M futures over REST."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec.structs import replace
from typing_extensions import override

from bt_api_base.containers import OrderType, TimeInForce
from bt_api_base.exceptions import BtApiError, OrderUnknownError
from bt_api_base.feeds.capability import Capability
from bt_api_base.venues.binance import rest_convert, rest_usdm_convert as convert
from bt_api_base.venues.binance.rest_common import BinanceApi, Parameters
from bt_api_base.venues.binance.rest_endpoints import (
    USDM,
    USDM_OPEN_ORDERS_WEIGHT,
    usdm_depth_limit,
    usdm_depth_weight,
    usdm_klines_weight,
)
from bt_api_base.venues.binance.rest_errors import USDM_ERRORS
from bt_api_base.venues.binance.rest_limits import USDM_RULES
from bt_api_base.venues.binance.topics import INTERVALS
from bt_api_base.venues.binance.usdm_convert import EXCHANGE_NAME
from bt_api_base.venues.binance.usdm_private import POSITION_SIDES
from bt_api_base.venues.binance.usdm_symbols import ContractTable, parse_contract

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bt_api_base.containers import Account, Balance, Fill, Instrument, Order, OrderBook, Position, Tick
    from bt_api_base.feeds.order_request import OrderRequest
    from bt_api_base.venues.binance import rest_wire as wire

__all__ = ("BinanceUsdmApi",)

_WEEK_MS = 7 * 86_400_000
_MOST_ROWS = 1000
_SIDE_WORDS = {side: word for word, side in POSITION_SIDES.items()}


class BinanceUsdmApi(BinanceApi):
    """Binance USD-M futures over REST; see `BinanceApi` for the arguments, and `VenueApi` for the methods.

    Orders: ``LIMIT`` (with ``GTC``, ``IOC``, ``FOK``, ``GTX``), ``MARKET``, and ``LIMIT_MAKER``, here a ``LIMIT`` with
    ``GTX``. Stops, take-profits and trailing stops are placed at other endpoints of the venue (``algoOrder``), which
    this class does not have.
    """

    exchange_name = EXCHANGE_NAME
    rest_url = "https://fapi.binance.com"
    demo_url = "https://demo-fapi.binance.com"
    endpoints = USDM
    errors = USDM_ERRORS
    rules = USDM_RULES
    periods: ClassVar[Mapping[str, str]] = {interval: interval for interval in INTERVALS if interval != "1s"}
    order_words: ClassVar[Mapping[OrderType, str]] = {
        OrderType.LIMIT: "LIMIT",
        OrderType.MARKET: "MARKET",
        OrderType.LIMIT_MAKER: "LIMIT",
    }
    client_order_ids = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
    max_klines = 1500
    max_depth = 1000
    open_orders_weight = USDM_OPEN_ORDERS_WEIGHT
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
        Capability.GET_POSITION,
        Capability.MARKET_STREAM,
        Capability.ACCOUNT_STREAM,
        Capability.CROSS_MARGIN,
        Capability.ISOLATED_MARGIN,
        Capability.HEDGE_MODE,
        Capability.GET_EXCHANGE_INFO,
        Capability.GET_SERVER_TIME,
    })  # fmt: skip

    @override
    def _symbol_table(self) -> ContractTable:
        return ContractTable()

    @override
    def _parse(self, symbol: str) -> tuple[str, str]:
        return parse_contract(EXCHANGE_NAME, symbol)

    @override
    def _instrument(self, data: wire.SymbolInfo, server_time: int, local_time: int) -> Instrument:
        return convert.instrument(data, local_time)

    @override
    async def ticker(self, symbol: str) -> Tick:
        """Return the best bid and ask, and the last trade and 24 hours: two calls, for the venue has no one for both.

        Cancellation: Nothing is changed.
        """
        internal, name = self._names(symbol)
        day: wire.Ticker24h = await self.client.call(self.endpoints.ticker, {"symbol": name}, symbol=internal)
        best: wire.BookTicker = await self.client.call(self.endpoints.book_ticker, {"symbol": name}, symbol=internal)
        with self._reading("Tick") as local_time:
            now = rest_convert.book_ticker(best, EXCHANGE_NAME, internal, local_time)
            return replace(
                rest_convert.ticker_24h(day, EXCHANGE_NAME, internal, local_time),
                server_time=now.server_time,
                bid_price=now.bid_price,
                ask_price=now.ask_price,
                bid_volume=now.bid_volume,
                ask_volume=now.ask_volume,
            )

    @override
    async def depth(self, symbol: str, count: int = 20) -> OrderBook:
        """Return the best levels of the book, at most 1,000.

        Cancellation: Nothing is changed.
        """
        limit = usdm_depth_limit(count)
        return await self._depth(symbol, count, limit, usdm_depth_weight(limit))

    @override
    def _klines_weight(self, count: int) -> int:
        return usdm_klines_weight(count)

    @override
    def _order(self, data: wire.OrderRow, local_time: int, *, placed: bool = False) -> Order:
        return convert.order(data, self.symbols, local_time, placed=placed)

    @override
    def _order_parameters(self, request: OrderRequest) -> Parameters:
        if request.quantity is None:
            self._refuse(request, "an order has a quantity here")
        parameters: Parameters = {
            "newOrderRespType": "RESULT",  # so that what it took on arriving is known at once
            "reduceOnly": request.reduce_only,
            "positionSide": None if request.position_side is None else _SIDE_WORDS.get(request.position_side),
        }
        if request.order_type is OrderType.LIMIT_MAKER:
            parameters["timeInForce"] = TimeInForce.GTX.value.upper()
        return parameters

    @override
    async def _cancel_symbol(self, symbol: str) -> list[Order]:
        # The venue's answer names no order.
        internal, name = self._names(symbol)
        open_ids = [order.order_id for order in await self.open_orders(symbol)]
        await self.client.call(self.endpoints.cancel_all, {"symbol": name}, symbol=internal)
        if not open_ids:
            return []
        parameters: Parameters = {"symbol": name, "orderId": min(open_ids, key=int), "limit": _MOST_ROWS}
        try:
            orders = await self._orders(self.endpoints.orders, parameters, internal)
        except BtApiError as error:
            raise OrderUnknownError(
                EXCHANGE_NAME, internal, "", "the orders were canceled, and what became of them cannot be read"
            ) from error
        wanted = frozenset(open_ids)
        return [order for order in orders if order.order_id in wanted]

    def _windows(self, since: int) -> Iterator[tuple[int, int | None]]:
        """Yield first and last milliseconds of the weeks since a time: the venue takes no longer ranges.

        The last one has no end, so that nothing is missed that comes while it is asked for.
        """
        first = -(-since // 1_000_000)
        while first + _WEEK_MS < self.clock.now_ms():
            yield first, first + _WEEK_MS - 1
            first += _WEEK_MS
        yield first, None

    @override
    async def orders(self, symbol: str, *, since: int | None = None) -> list[Order]:
        """Return orders whatever their state, oldest first; without ``since``, at most 1,000 of the last week.

        The venue forgets those that ended without a fill after three days, and all after three months.

        Cancellation: Nothing is changed.
        """
        if since is None:
            return await super().orders(symbol)
        internal, name = self._names(symbol)
        found: list[Order] = []
        for first, last in self._windows(since):
            parameters: Parameters = {"symbol": name, "startTime": first, "endTime": last, "limit": _MOST_ROWS}
            page = await self._orders(self.endpoints.orders, parameters, internal)
            if len(page) >= _MOST_ROWS:
                return found + await self._orders_onward(internal, name, page)
            found += page
        return found

    @override
    def _fill(self, row: wire.UsdmFill, local_time: int) -> Fill:
        return convert.fill(row, self.symbols, local_time)

    @override
    async def fills(self, symbol: str, *, since: int | None = None, order_id: str = "", count: int = 500) -> list[Fill]:
        """Return the account's fills, oldest first; with ``since``, the oldest of them, else those of the last week.

        Cancellation: Nothing is changed.
        """
        if since is None or order_id:
            return await super().fills(symbol, since=since, order_id=order_id, count=count)
        internal, name = self._names(symbol)
        found: list[Fill] = []
        for first, last in self._windows(since):
            parameters: Parameters = {
                "symbol": name,
                "startTime": first,
                "endTime": last,
                "limit": min(count - len(found), _MOST_ROWS),
            }
            rows: list[Any] = await self.client.call(self.endpoints.fills, parameters, symbol=internal)
            is_full = len(rows) >= _MOST_ROWS
            if is_full:
                rows = await self._fills_onward(internal, name, rows, count - len(found))
            with self._reading("Fill") as local_time:
                found += [self._fill(row, local_time) for row in rows]
            if is_full or len(found) >= count:
                break
        return found

    @override
    async def balances(self) -> list[Balance]:
        """Return what the account holds, by currency, without those it has nothing of.

        Cancellation: Nothing is changed.
        """
        rows: list[wire.UsdmBalance] = await self.client.call(self.endpoints.balances)
        with self._reading("Balance") as local_time:
            found = [convert.balance(row, local_time) for row in rows]
        return [balance for balance in found if balance.margin]

    @override
    async def account(self) -> Account:
        """Return the account as a whole, with its open positions.

        Cancellation: Nothing is changed.
        """
        data: wire.UsdmAccount = await self.client.call(self.endpoints.account)
        with self._reading("Account") as local_time:
            return convert.account(data, self.symbols, local_time)

    @override
    async def positions(self, symbol: str | None = None) -> list[Position]:
        """Return the open positions.

        Cancellation: Nothing is changed.
        """
        internal, name = ("", None) if symbol is None else self._names(symbol)
        endpoint = self.endpoints.positions
        assert endpoint is not None  # noqa: S101 - the table of this market has it
        rows: list[wire.UsdmPosition] = await self.client.call(endpoint, {"symbol": name}, symbol=internal)
        with self._reading("Position") as local_time:
            found = [convert.position(row, self.symbols, local_time) for row in rows]
        return [position for position in found if position.position_volume]
