"""OKX over REST: what an account has, and what became of its orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bt_api_base.exceptions import OrderNotFoundError
from bt_api_base.venues.okx import private, rest_convert as convert, rest_endpoints as endpoints
from bt_api_base.venues.okx.rest_market import OkxMarketApi
from bt_api_base.venues.rest_api import first_ms

if TYPE_CHECKING:
    from bt_api_base.containers import Account, Balance, Fill, Order, Position
    from bt_api_base.feeds.endpoint import Endpoint
    from bt_api_base.venues.okx.private_wire import OrderData
    from bt_api_base.venues.okx.rest_wire import Envelope, FillRow

__all__ = ("OkxAccountApi", "Parameters")

Parameters = dict[str, "str | int | bool | None"]
"""Of a call, by the venue's names; ``None`` is left out."""

_PAGE: Final = 100
_DAY_NS: Final = 86_400_000_000_000
_HISTORY_NS: Final = 7 * _DAY_NS
_FILLS_NS: Final = 3 * _DAY_NS


class OkxAccountApi(OkxMarketApi):
    """What is asked of an account without changing it; see `OkxMarketApi` for the arguments."""

    def _which(self, symbol: str, order_id: str, client_order_id: str) -> tuple[str, Parameters]:
        self._one_id(symbol, order_id, client_order_id)
        internal = self._parse(symbol)
        return internal, {
            "instId": internal,
            "ordId": order_id or None,
            "clOrdId": None if order_id else client_order_id,
        }

    async def query(self, symbol: str, *, order_id: str = "", client_order_id: str = "") -> Order:
        """Return an order, by either id, done or not; of several that had the same client order id, the latest.

        Raises:
            OrderNotFoundError: There is no such order, or it was canceled two hours ago without a fill.

        Cancellation: Nothing is changed.
        """
        internal, parameters = self._which(symbol, order_id, client_order_id)
        with self._about(order_id):
            answer = await self.client.call(
                endpoints.QUERY, parameters, limit_key=internal, symbol=internal, client_order_id=client_order_id
            )
        if not answer.data:
            raise OrderNotFoundError(self.exchange_name, order_id or client_order_id, internal)
        with self._reading("Order") as local_time:
            return private.order(answer.data[0], self.exchange_name, local_time)

    def _of_type(self, internal: str | None) -> Parameters:
        return {"instType": self.instrument_type, "instId": internal}

    async def _pages(self, endpoint: Endpoint[Any], parameters: Parameters, cursor: str, most: int | None) -> list[Any]:
        """Return the rows of all pages, newest first; or of as many pages as it takes for so many rows."""
        rows: list[Any] = []
        after: str | None = None
        while True:
            answer: Envelope[Any] = await self.client.call(
                endpoint, {**parameters, "after": after, "limit": _PAGE}, symbol=str(parameters.get("instId") or "")
            )
            rows += answer.data
            if len(answer.data) < _PAGE or (most is not None and len(rows) >= most):
                return rows
            last = getattr(answer.data[-1], cursor)
            if last == after:
                return rows  # it does not go on
            after = last

    def _converted(self, rows: list[OrderData]) -> list[Order]:
        """Return orders oldest first, each once."""
        with self._reading("Order") as local_time:
            orders = [private.order(row, self.exchange_name, local_time) for row in rows]
        latest = {order.order_id: order for order in reversed(orders)}
        return sorted(latest.values(), key=lambda order: order.order_time or 0)

    async def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Return the orders that can still be filled.

        Cancellation: Nothing is changed.
        """
        internal = None if symbol is None else self._parse(symbol)
        return self._converted(await self._pages(endpoints.ORDERS_PENDING, self._of_type(internal), "order_id", None))

    async def orders(self, symbol: str, *, since: int | None = None) -> list[Order]:
        """Return orders whatever their state, oldest first; see `VenueApi.orders`.

        The venue forgets those that were canceled without a fill after two hours, and all after three months.

        Cancellation: Nothing is changed.
        """
        internal = self._parse(symbol)
        old = since is not None and since < self.clock.now_ns() - _HISTORY_NS
        # First the open ones: an order that is done in between is then in both, and not in neither.
        pending = await self._pages(endpoints.ORDERS_PENDING, self._of_type(internal), "order_id", None)
        rows = await self._pages(
            endpoints.ORDERS_ARCHIVE if old else endpoints.ORDERS_HISTORY,
            {**self._of_type(internal), "begin": first_ms(since)},
            "order_id",
            _PAGE if since is None else None,
        )
        return [
            order for order in self._converted([*rows, *pending]) if since is None or (order.order_time or 0) >= since
        ]

    async def fills(self, symbol: str, *, since: int | None = None, order_id: str = "", count: int = 500) -> list[Fill]:
        """Return the account's fills, oldest first; with ``since``, the oldest of them. See `VenueApi.fills`.

        Cancellation: Nothing is changed.
        """
        internal = self._parse(symbol)
        old = since is not None and since < self.clock.now_ns() - _FILLS_NS
        rows: list[FillRow] = await self._pages(
            endpoints.FILLS_HISTORY if old else endpoints.FILLS,
            {**self._of_type(internal), "ordId": order_id or None, "begin": first_ms(since)},
            "bill_id",
            count if since is None else None,
        )
        with self._reading("Fill") as local_time:
            fills = [convert.fill(row, self.exchange_name, local_time) for row in reversed(rows)]
        if since is None:
            return fills[-count:]
        return [fill for fill in fills if fill.trade_time >= since][:count]

    async def balances(self) -> list[Balance]:
        """Return what the account holds, by currency, without those it has nothing of.

        Cancellation: Nothing is changed.
        """
        return [balance for balance in (await self.account()).balances if balance.margin]

    async def account(self) -> Account:
        """Return the account with its balances. Its totals are in dollars.

        Cancellation: Nothing is changed.
        """
        answer = await self.client.call(endpoints.BALANCE)
        with self._reading("Account") as local_time:
            return private.account_of(answer.data[0], self.exchange_name, local_time, None)

    async def positions(self, symbol: str | None = None) -> list[Position]:
        """Return the open positions.

        Cancellation: Nothing is changed.
        """
        internal = None if symbol is None else self._parse(symbol)
        answer = await self.client.call(endpoints.POSITIONS, self._of_type(internal), symbol=internal or "")
        with self._reading("Position") as local_time:
            found = [private.position(row, self.exchange_name, local_time, None) for row in answer.data]
        return [position for position in found if position.position_volume]
