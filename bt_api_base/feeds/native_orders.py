"""Orders over REST: sent once, and followed until it is known what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from bt_api_base.containers import Offset, Order, OrderType
from bt_api_base.exceptions import InvalidOrderError
from bt_api_base.feeds.capability import Capability
from bt_api_base.feeds.native_core import FeedCore
from bt_api_base.feeds.order_check import OrderCheck, checked
from bt_api_base.feeds.order_words import order_request

if TYPE_CHECKING:
    from decimal import Decimal

    from bt_api_base.feeds.order_request import OrderRequest
    from bt_api_base.feeds.orders_tracker import OrderTracker, TrackedOrder

__all__ = ("OrderMethods",)


class OrderMethods(FeedCore):
    """The calls of a native feed about orders. What they return also goes to ``data_queue``, if there is one.

    Attributes:
        tracker: What is known of the feed's orders.
        order_check: What is done about orders that break a rule of their instrument.
    """

    tracker: OrderTracker
    order_check: OrderCheck

    @property
    def unknown_orders(self) -> tuple[TrackedOrder, ...]:
        """Orders that were sent, and of which it is not known whether they were placed; the oldest first."""
        return self.tracker.unknown

    def new_client_order_id(self) -> str:
        """Return an id that no other order has, in the form that the venue allows."""
        return self.api.new_client_order_id()

    async def async_make_order(  # noqa: PLR0917 - the order of older programs
        self,
        symbol: str,
        volume: Decimal | str | float | None,
        price: Decimal | str | float | None,
        order_type: OrderType | str,
        offset: Offset | str = Offset.OPEN,
        post_only: bool = False,  # noqa: FBT001, FBT002 - the order of older programs
        client_order_id: str | None = None,
        extra_data: Any = None,  # noqa: ANN401, ARG002 - passed along by older programs
        *,
        check: OrderCheck | str | None = None,
        resolve: bool = True,
        resolve_timeout: float | None = None,
        **kwargs: Any,  # noqa: ANN401 - see `order_request`
    ) -> Order:
        """Place an order, once, and return it as the venue knows it.

        Where the answer is lost, the venue is asked what became of the order. Nothing is ever sent again.

        Args:
            symbol: Internal symbol.
            volume: In the venue's quantity unit; ``None`` with ``quote_quantity=``.
            price: In the quote currency; not looked at for a market order.
            order_type: ``"buy-limit"``, ``"sell-market"``, …; or an `OrderType` together with ``side=``.
            offset: ``"open"`` or ``"close"``: where there are positions, a closing order is reduce-only.
            post_only: Whether it is to be refused rather than take.
            client_order_id: The id by which it is found again; ``None``: a new one.
            extra_data: Not looked at.
            check: What is done if it breaks a rule of its instrument; ``None``: as the feed was told (refuse).
            resolve: Whether to wait, where the answer is lost, until it is known what became of the order. Otherwise
                `OrderUnknownError` comes at once, and it is found out in the background.
            resolve_timeout: For how long, seconds; ``None``: as the feed was told.
            **kwargs: ``side``, ``time_in_force``, ``reduce_only``, ``position_side``, ``quote_quantity``, and
                ``parameters`` in the venue's own names; see `OrderRequest`.

        Raises:
            InvalidOrderError: It breaks a rule; nothing was sent, or the venue refused it.
            DuplicateOrderError: An order with this client order id is open, or may be.
            OrderUnknownError: It was sent, and it was not found out in time what became of it. See `unknown_orders`.
            OrderError: It was refused; or its answer was lost, and it was not placed.
            BtApiError: Nothing was sent, or the venue refused for another reason.

        Cancellation: Where it was sent, or may have been, its fate is unknown: it is among `unknown_orders`, and is
        found out in the background. Otherwise nothing was done.
        """
        api = self._require(Capability.MAKE_ORDER)
        desk = self._orders
        request = order_request(
            self.exchange_name,
            symbol,
            volume,
            price,
            order_type,
            offset,
            post_only=post_only,
            client_order_id=api.new_client_order_id() if client_order_id is None else client_order_id,
            has_positions=Capability.GET_POSITION in self.capabilities,
            **kwargs,
        )
        request = await self._checked(request, self.order_check if check is None else OrderCheck(check))
        order = await desk.place(request, resolve=resolve, timeout=resolve_timeout)
        self._hand_over((order,))
        return order

    async def _checked(self, request: OrderRequest, check: OrderCheck) -> OrderRequest:
        """Check an order by its instrument, where the venue says what its instruments are."""
        if not request.client_order_id:
            raise InvalidOrderError(self.exchange_name, request.symbol, "the client order id is empty")
        if check is OrderCheck.NONE or Capability.GET_EXCHANGE_INFO not in self.capabilities:
            return request
        return checked(request, await self.async_get_instrument(request.symbol), check)

    async def async_cancel_order(
        self,
        symbol: str,
        order_id: str | int | None = None,
        extra_data: Any = None,  # noqa: ANN401, ARG002 - passed along by older programs
        *,
        client_order_id: str | None = None,
        resolve_timeout: float | None = None,
        **_kwargs: Any,  # noqa: ANN401
    ) -> Order:
        """Cancel an order, and return it when it is done: canceled, or filled before that. Its status says which.

        "No such order" usually means that it has just been filled, so the venue is asked before that is said. An order
        of unknown fate can be canceled as well: if it turns up after all, it is canceled then.

        Args:
            symbol: Internal symbol.
            order_id: The venue's id, or ``None`` with ``client_order_id``.
            extra_data: Not looked at.
            client_order_id: Ours.
            resolve_timeout: For how long to find out what became of it, seconds; ``None``: as the feed was told.

        Raises:
            OrderNotFoundError: The venue has no such order, open or done.
            OrderUnknownError: It was not found out in time whether the order is done.
            BtApiError: Nothing was done.

        Cancellation: The order may have been canceled, or not; what is known of it is in `tracker`.
        """
        self._require(Capability.CANCEL_ORDER)
        known = self._ids(symbol, order_id, client_order_id)
        order = await self._orders.cancel(symbol, *known, timeout=resolve_timeout)
        self._hand_over((order,))
        return order

    async def async_cancel_all(
        self,
        symbol: str | None = None,
        extra_data: Any = None,  # noqa: ANN401, ARG002 - passed along by older programs
        *,
        resolve_timeout: float | None = None,
        **_kwargs: Any,  # noqa: ANN401
    ) -> list[Order]:
        """Cancel all open orders of an instrument, or of all, and return those that were canceled.

        Orders of unknown fate may turn up afterwards: `resolve_unknown` first where that matters.

        Raises:
            OrderUnknownError: It was not found out in time whether they are canceled.
            BtApiError: Nothing was done.

        Cancellation: Some, all or none of the orders may have been canceled.
        """
        can = self.capabilities
        symbols: list[str | None] = [symbol or None]
        if not symbol and Capability.CANCEL_ALL not in can:
            self._require(Capability.CANCEL_ALL_SYMBOL)
            symbols = list({order.symbol: None for order in await self.api.open_orders()})
        elif Capability.CANCEL_ALL_SYMBOL not in can:
            self._require(Capability.CANCEL_ALL)
        canceled: list[Order] = []
        for each in symbols:
            canceled += await self._orders.cancel_all(each, timeout=resolve_timeout)
        self._hand_over(canceled)
        return canceled

    async def async_query_order(
        self,
        symbol: str,
        order_id: str | int | None = None,
        extra_data: Any = None,  # noqa: ANN401, ARG002 - passed along by older programs
        *,
        client_order_id: str | None = None,
        **_kwargs: Any,  # noqa: ANN401
    ) -> Order:
        """Return an order, open or done, by either id: the latest state that is known.

        Raises:
            OrderNotFoundError: The venue has no such order.
            BtApiError: The venue could not be asked, or refused.

        Cancellation: Nothing is lost.
        """
        self._require(Capability.QUERY_ORDER)
        order = await self._orders.query(symbol, *self._ids(symbol, order_id, client_order_id))
        self._hand_over((order,))
        return order

    async def async_get_open_orders(
        self,
        symbol: str | None = None,
        extra_data: Any = None,  # noqa: ANN401, ARG002 - passed along by older programs
        **_kwargs: Any,  # noqa: ANN401
    ) -> list[Order]:
        """Return the orders of an instrument, or of all, that can still be filled.

        Raises:
            BtApiError: The venue could not be asked, or refused.

        Cancellation: Nothing is lost.
        """
        api = self._require(Capability.QUERY_OPEN_ORDERS)
        latest = [self._orders.noted(order) for order in await api.open_orders(symbol or None)]
        orders = [order for order in latest if not order.order_status.is_final]  # some were done meanwhile
        self._hand_over(orders)
        return orders

    async def resolve_unknown(self, timeout: float | None = None) -> tuple[TrackedOrder, ...]:  # noqa: ASYNC109 - the answer tells what is left
        """Wait until it is known of every order whether it was placed; return those of which it is not, in the end.

        Args:
            timeout: For how long, seconds; ``None``: as long as it takes.

        Cancellation: Nothing is lost: it is found out in the background all the same.
        """
        with anyio.move_on_after(timeout):
            await self._orders.wait_resolved()
        return self.tracker.unknown

    def _ids(self, symbol: str, order_id: str | int | None, client_order_id: str | None) -> tuple[str, str]:
        venue_id, own_id = "" if order_id is None else str(order_id), client_order_id or ""
        if not venue_id and not own_id:
            raise InvalidOrderError(self.exchange_name, symbol, "name the order: by order_id or client_order_id")
        return venue_id, own_id
