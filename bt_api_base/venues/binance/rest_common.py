"""What the REST APIs of Binance's markets have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from bt_api_base.containers import OrderType, TimeInForce, decimal_text
from bt_api_base.venues.binance import rest_convert as convert
from bt_api_base.venues.binance.convert import nanoseconds
from bt_api_base.venues.binance.rest_client import binance_client
from bt_api_base.venues.rest_api import RestApi, first_ms, last_ms_before

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from bt_api_base.containers import Account, Balance, Bar, Fill, Instrument, Order, OrderBook, Position, Tick, Trade
    from bt_api_base.feeds.clock import VenueClock
    from bt_api_base.feeds.endpoint import Endpoint
    from bt_api_base.feeds.error_table import ErrorTable
    from bt_api_base.feeds.http_types import Transport
    from bt_api_base.feeds.order_request import OrderRequest
    from bt_api_base.rate_limiter import RateLimiter, RateLimitRule
    from bt_api_base.security import Credentials
    from bt_api_base.transport import TransportPolicy
    from bt_api_base.venues.binance import rest_wire as wire
    from bt_api_base.venues.binance.rest_endpoints import BinanceEndpoints
    from bt_api_base.venues.binance.symbols import SymbolTable

__all__ = ("BinanceApi", "Parameters")

Parameters = dict[str, "str | int | bool | None"]
"""Of a call, by the venue's names; ``None`` is left out."""

_SIDE_WORDS = {"buy": "BUY", "sell": "SELL"}
_MOST_ROWS = 1000


class BinanceApi(RestApi):
    """Base of the REST APIs of Binance's markets; see `bt_api_base.feeds.venue_api.VenueApi` for the methods.

    Args:
        credentials: Of the account; ``None``: public endpoints only.
        rest_url: Where the API is, such as ``"https://api.binance.com"``; ``None``: the venue's usual host.
        policy: How to connect; ``None``: directly.
        transport: What sends the requests, instead of connections that the policy wants.
        limiter: Keeps within the limits; ``None``: one of its own. Whoever has several APIs at one address or for one
            account gives them the same.
        recv_window_ms: How long a signed request may be under way until the venue refuses it, milliseconds.
        timeout: How long a call may take in all, seconds.
        demo: Whether to trade in the venue's demonstration environment.
        clock: The venue's clock, which several APIs can share; ``None``: one of its own.
    """

    identifying = frozenset({"newClientOrderId", "side", "symbol"})
    rest_url: ClassVar[str]
    demo_url: ClassVar[str]
    endpoints: ClassVar[BinanceEndpoints]
    errors: ClassVar[ErrorTable]
    rules: ClassVar[tuple[RateLimitRule, ...]]
    periods: ClassVar[Mapping[str, str]]
    order_words: ClassVar[Mapping[OrderType, str]]
    max_klines: ClassVar[int]
    max_depth: ClassVar[int]
    private_channels: ClassVar[tuple[tuple[str, str], ...]] = (("user", ""),)

    def __init__(
        self,
        credentials: Credentials | None = None,
        *,
        rest_url: str | None = None,
        policy: TransportPolicy | None = None,
        transport: Transport | None = None,
        limiter: RateLimiter | None = None,
        recv_window_ms: int = 5000,
        timeout: float = 10.0,
        demo: bool = False,
        clock: VenueClock | None = None,
    ) -> None:
        self.client = binance_client(
            self.exchange_name,
            rest_url or (self.demo_url if demo else self.rest_url),
            credentials,
            errors=self.errors,
            rules=self.rules,
            limiter=limiter,
            policy=policy,
            transport=transport,
            recv_window_ms=recv_window_ms,
            timeout=timeout,
            clock=clock,
        )
        self.client.server_time = self.server_time
        self.clock = self.client.clock
        self.symbols = self._symbol_table()

    @abstractmethod
    def _symbol_table(self) -> SymbolTable:
        """Return a table of what the venue's symbols are called here."""

    @abstractmethod
    def _parse(self, symbol: str) -> tuple[str, str]:
        """Return the internal symbol and the venue's."""

    @abstractmethod
    def _instrument(self, data: wire.SymbolInfo, server_time: int, local_time: int) -> Instrument | None:
        """Convert a symbol; ``None``: it is no instrument of this market."""

    @abstractmethod
    def _order(self, data: wire.OrderRow, local_time: int, *, placed: bool = False) -> Order:
        """Convert an order."""

    @abstractmethod
    def _order_parameters(self, request: OrderRequest) -> Parameters:
        """Return what this market wants to know of an order besides what both do."""

    def _names(self, symbol: str) -> tuple[str, str]:
        """Return the internal symbol and the venue's, and remember them."""
        internal, venue_symbol = self._parse(symbol)
        self.symbols[venue_symbol] = internal
        return internal, venue_symbol

    async def server_time(self) -> int:
        """Return the venue's clock, nanoseconds since the epoch (UTC).

        Cancellation: Nothing is changed.
        """
        return nanoseconds((await self.client.call(self.endpoints.server_time)).server_time)

    async def instruments(self) -> list[Instrument]:
        """Return all that can be traded, and remember what the symbols are called.

        Cancellation: Nothing is changed.
        """
        info: wire.ExchangeInfo = await self.client.call(self.endpoints.exchange_info)
        with self._reading("Instrument") as local_time:
            server_time = self._info_time(info)
            found = [self._instrument(data, server_time, local_time) for data in info.symbols]
        instruments = [instrument for instrument in found if instrument is not None]
        for instrument in instruments:
            self.symbols[instrument.venue_symbol] = instrument.internal
        return instruments

    def _info_time(self, info: wire.ExchangeInfo) -> int:
        return nanoseconds(info.server_time)

    @abstractmethod
    async def ticker(self, symbol: str) -> Tick:
        """Return the latest prices."""

    @abstractmethod
    async def depth(self, symbol: str, count: int = 20) -> OrderBook:
        """Return the best levels of the book."""

    async def _depth(self, symbol: str, count: int, limit: int, weight: int) -> OrderBook:
        internal, name = self._names(symbol)
        data: wire.Depth = await self.client.call(
            self.endpoints.depth, {"symbol": name, "limit": limit}, weight=weight, symbol=internal
        )
        with self._reading("OrderBook") as local_time:
            return convert.order_book(data, self.exchange_name, internal, count, local_time)

    @abstractmethod
    def _klines_weight(self, count: int) -> int | None:
        """Return what so many bars cost; ``None``: what the endpoint says."""

    async def klines(
        self, symbol: str, period: str, *, start: int | None = None, end: int | None = None, count: int | None = None
    ) -> list[Bar]:
        """Return one page of bars, oldest first; see `VenueApi.klines`.

        Raises:
            ConfigurationError: The venue has no bars of this period.

        Cancellation: Nothing is changed.
        """
        internal, name = self._names(symbol)
        interval = self._period(self.periods, period)
        limit = self.max_klines if count is None else max(1, min(count, self.max_klines))
        first, last = first_ms(start), last_ms_before(end)
        if first is not None and last is not None and last < first:
            return []
        rows: list[wire.KlineRow] = await self.client.call(
            self.endpoints.klines,
            {"symbol": name, "interval": interval, "startTime": first, "endTime": last, "limit": limit},
            weight=self._klines_weight(limit),
            symbol=internal,
        )
        now_ns = self.clock.now_ns()
        with self._reading("Bar") as local_time:
            return [convert.bar(row, self.exchange_name, internal, period, local_time, now_ns=now_ns) for row in rows]

    async def trades(self, symbol: str, count: int = 100) -> list[Trade]:
        """Return the latest public trades, oldest first, at most 1,000.

        Cancellation: Nothing is changed.
        """
        internal, name = self._names(symbol)
        rows: list[wire.Trade] = await self.client.call(
            self.endpoints.trades, {"symbol": name, "limit": min(count, _MOST_ROWS)}, symbol=internal
        )
        with self._reading("Trade") as local_time:
            return [convert.trade(row, self.exchange_name, internal, local_time) for row in rows]

    async def _place(self, request: OrderRequest) -> wire.OrderRow:
        internal, name = self._names(request.symbol)
        self._check_id(request)
        word = self.order_words.get(request.order_type)
        if word is None:
            self._refuse(request, f"order type {request.order_type.value!r} is not one that can be placed here")
        parameters: Parameters = {
            "symbol": name,
            "side": _SIDE_WORDS[request.side.value],
            "type": word,
            "timeInForce": _time_in_force(request),
            "quantity": _text(request.quantity),
            "price": _text(request.price),
            "newClientOrderId": request.client_order_id,
        }
        parameters |= self._order_parameters(request)
        parameters |= request.parameters
        row: wire.OrderRow = await self.client.call(
            self.endpoints.place, parameters, symbol=internal, client_order_id=request.client_order_id
        )
        return row

    async def place(self, request: OrderRequest) -> Order:
        """Place an order.

        Raises:
            InvalidOrderError: It is none that this venue could take; nothing was sent.
            OrderUnknownError: It was sent, and whether it was placed is not known.
            BtApiError: What the venue's error means.

        Cancellation: As with a lost answer, the order may have been placed; the client tells whoever has asked it to.
        """
        row = await self._place(request)
        with self._reading("Order", changed=(request.symbol, request.client_order_id)) as local_time:
            return self._order(row, local_time, placed=True)

    async def cancel(self, symbol: str, *, order_id: str = "", client_order_id: str = "") -> Order:
        """Cancel an order, by either id.

        Raises:
            OrderNotFoundError: There is no such order, or it is done already.
            OrderUnknownError: It was sent, and whether the order was canceled is not known.

        Cancellation: As with a lost answer, the order may have been canceled.
        """
        internal, parameters = self._which(symbol, order_id, client_order_id)
        with self._about(order_id):
            row: wire.OrderRow = await self.client.call(
                self.endpoints.cancel, parameters, symbol=internal, client_order_id=client_order_id
            )
        with self._reading("Order", changed=(internal, client_order_id)) as local_time:
            return self._order(row, local_time)

    def _which(self, symbol: str, order_id: str, client_order_id: str) -> tuple[str, Parameters]:
        """Return the internal symbol, and the parameters that find an order."""
        self._one_id(symbol, order_id, client_order_id)
        internal, name = self._names(symbol)
        # The venue takes the first where both are there, and then wants the second to fit.
        return internal, {
            "symbol": name,
            "orderId": order_id or None,
            "origClientOrderId": None if order_id else client_order_id,
        }

    async def cancel_all(self, symbol: str | None = None) -> list[Order]:
        """Cancel all orders of a symbol, or of every symbol with open orders, one after the other.

        Raises:
            OrderUnknownError: Whether the orders of a symbol were canceled is not known.

        Cancellation: Some of the orders may have been canceled.
        """
        if symbol is not None:
            return await self._cancel_symbol(symbol)
        symbols = dict.fromkeys(order.symbol for order in await self.open_orders())
        return [order for each in symbols for order in await self._cancel_symbol(each)]

    @abstractmethod
    async def _cancel_symbol(self, symbol: str) -> list[Order]:
        """Cancel all orders of a symbol."""

    async def query(self, symbol: str, *, order_id: str = "", client_order_id: str = "") -> Order:
        """Return an order, by either id, done or not.

        Raises:
            OrderNotFoundError: There is no such order.

        Cancellation: Nothing is changed.
        """
        internal, parameters = self._which(symbol, order_id, client_order_id)
        with self._about(order_id):
            row: wire.OrderRow = await self.client.call(
                self.endpoints.query, parameters, symbol=internal, client_order_id=client_order_id
            )
        with self._reading("Order") as local_time:
            return self._order(row, local_time)

    async def _orders(
        self, endpoint: Endpoint[list[wire.OrderRow]], parameters: Parameters, symbol: str, weight: int | None = None
    ) -> list[Order]:
        rows: list[wire.OrderRow] = await self.client.call(endpoint, parameters, weight=weight, symbol=symbol)
        with self._reading("Order") as local_time:
            return [self._order(row, local_time) for row in rows]

    open_orders_weight: ClassVar[int]
    """What asking for the open orders of all symbols costs."""

    async def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Return the orders that can still be filled.

        Cancellation: Nothing is changed.
        """
        if symbol is None:
            return await self._orders(self.endpoints.open_orders, {}, "", self.open_orders_weight)
        internal, name = self._names(symbol)
        return await self._orders(self.endpoints.open_orders, {"symbol": name}, internal)

    async def orders(self, symbol: str, *, since: int | None = None) -> list[Order]:
        """Return orders whatever their state, oldest first; without ``since``, the latest 1,000.

        Cancellation: Nothing is changed.
        """
        internal, name = self._names(symbol)
        parameters: Parameters = {"symbol": name, "startTime": first_ms(since), "limit": _MOST_ROWS}
        orders = await self._orders(self.endpoints.orders, parameters, internal)
        return orders if since is None else await self._orders_onward(internal, name, orders)

    async def _orders_onward(self, internal: str, name: str, orders: list[Order]) -> list[Order]:
        """Return a page of orders, and all that come after it if it is full."""
        page = orders
        while len(page) >= _MOST_ROWS:
            parameters: Parameters = {"symbol": name, "orderId": int(page[-1].order_id) + 1, "limit": _MOST_ROWS}
            page = await self._orders(self.endpoints.orders, parameters, internal)
            orders += page
        return orders

    fills_of_order_weight: ClassVar[int | None] = None
    """What asking for the fills of one order costs, if it is something else."""

    @abstractmethod
    def _fill(self, row: Any, local_time: int) -> Fill:  # noqa: ANN401 - each market has its own
        """Convert a fill."""

    async def fills(self, symbol: str, *, since: int | None = None, order_id: str = "", count: int = 500) -> list[Fill]:
        """Return the account's fills, oldest first; with ``since``, the oldest of them, else at most 1,000.

        Cancellation: Nothing is changed.
        """
        internal, name = self._names(symbol)
        parameters: Parameters = {
            "symbol": name,
            "orderId": order_id or None,
            # The venue has no combination of the two.
            "startTime": None if order_id else first_ms(since),
            "limit": min(count, _MOST_ROWS),
        }
        rows: list[Any] = await self.client.call(
            self.endpoints.fills,
            parameters,
            weight=self.fills_of_order_weight if order_id else None,
            symbol=internal,
        )
        if since is not None and not order_id:
            rows = await self._fills_onward(internal, name, rows, count)
        with self._reading("Fill") as local_time:
            fills = [self._fill(row, local_time) for row in rows]
        return [fill for fill in fills if since is None or fill.trade_time >= since]

    async def _fills_onward(self, internal: str, name: str, rows: list[Any], count: int) -> list[Any]:
        """Return a page of fills, and those that come after it if it is full, until there are so many."""
        page = rows
        while len(page) >= _MOST_ROWS and len(rows) < count:
            parameters: Parameters = {
                "symbol": name,
                "fromId": page[-1].id + 1,
                "limit": min(count - len(rows), _MOST_ROWS),
            }
            page = await self.client.call(self.endpoints.fills, parameters, symbol=internal)
            rows += page
        return rows

    @abstractmethod
    async def balances(self) -> list[Balance]:
        """Return what the account holds, by currency, without those it has nothing of."""

    @abstractmethod
    async def account(self) -> Account:
        """Return the account as a whole."""

    @abstractmethod
    async def positions(self, symbol: str | None = None) -> list[Position]:
        """Return the open positions."""


def _text(value: Decimal | None) -> str | None:
    return None if value is None else decimal_text(value)


_NEEDS_TIME_IN_FORCE = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT})


def _time_in_force(request: OrderRequest) -> str | None:
    if request.time_in_force is not None:
        return request.time_in_force.value.upper()
    return TimeInForce.GTC.value.upper() if request.order_type in _NEEDS_TIME_IN_FORCE else None
