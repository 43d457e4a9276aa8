"""Placing and canceling orders so that each is sent once and none is lost sight of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import attrs

from bt_api_base.exceptions import BtApiError, OrderError, OrderNotFoundError, OrderUnknownError
from bt_api_base.feeds.order_resolver import (
    ResolvePolicy,
    Resolver,
    surely_not_done,
    venue_time,
    wait_before_asking,
)
from bt_api_base.feeds.orders_tracker import OrderFate, OrderTracker
from bt_api_base.logging_factory import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from bt_api_base.containers import Order
    from bt_api_base.feeds.http_call import CallInfo
    from bt_api_base.feeds.order_request import OrderRequest
    from bt_api_base.feeds.orders_tracker import TrackedOrder
    from bt_api_base.feeds.venue_api import VenueApi

__all__ = ("OrderDesk",)


@attrs.define(eq=False)
class OrderDesk:
    """Sends orders and cancellations for a feed, and finds out what became of them.

    Attributes:
        api: The venue.
        tracker: What is known of the feed's orders.
        policy: How the fate of an order is found out.
        start_soon: Starts a coroutine function with one argument in a task that lives as long as the feed does.
        hears_of_sent: Whether `sent` is called for every order that was sent, or may have been, and not answered. Then
            one that was given up before that was not placed.
    """

    api: VenueApi
    tracker: OrderTracker
    policy: ResolvePolicy
    start_soon: Callable[[Callable[[TrackedOrder], Coroutine[Any, Any, None]], TrackedOrder], object]
    hears_of_sent: bool = False
    _sent: set[str] = attrs.field(factory=set[str], init=False, repr=False)
    _resolver: Resolver = attrs.field(init=False, repr=False)
    _resolving: set[str] = attrs.field(factory=set[str], init=False, repr=False)
    _log: Any = attrs.field(factory=lambda: get_logger("feed"), init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._resolver = Resolver(self.api, self.tracker, self.policy)

    # -- placing -----------------------------------------------------------------------------------

    async def place(self, request: OrderRequest, *, resolve: bool = True, timeout: float | None = None) -> Order:  # noqa: ASYNC109 - how long to wait for what is unknown, not for the request
        """Send an order, once.

        Args:
            request: What is asked for; with a client order id.
            resolve: Whether to wait, where the answer is lost, until it is known what became of the order.
            timeout: For how long, seconds; ``None``: as the policy says.

        Raises:
            OrderUnknownError: It was sent, and what became of it is not known (yet). It is found out in the background.
            DuplicateOrderError: The client order id is taken.
            OrderError: It was refused; or its answer was lost, and it was not placed.
            BtApiError: Nothing was done, for another reason.

        Cancellation: Where it was sent, or may have been, its fate is unknown, and found out in the background.
        """
        entry = self.tracker.begin(request, self.api.exchange_name)
        entry.sent_ns = venue_time(self.api)
        try:
            order = await self.api.place(request)
        except Exception as error:
            if surely_not_done(error):
                self.tracker.not_placed(entry, error)
                raise
            self.lost(entry, error)
            if not resolve and not entry.is_settled:
                if isinstance(error, OrderUnknownError):
                    raise
                raise self._unknown(entry, "it was sent, and its answer is of no use") from error
            cause: Exception = error
        except BaseException:
            if self.hears_of_sent and entry.client_order_id not in self._sent:
                self.tracker.not_placed(entry)
            else:
                self.lost(entry)
            raise
        else:
            return self.tracker.placed(entry, order)
        finally:
            self._sent.discard(entry.client_order_id)
        with anyio.move_on_after(self.policy.timeout if timeout is None else timeout):
            await entry.wait_settled()
        if entry.fate is OrderFate.PLACED and entry.order is not None:
            return entry.order
        if entry.fate is OrderFate.NOT_PLACED:
            detail = (
                f"order {entry.client_order_id} was not placed: its answer was lost, and the venue has no such order"
            )
            raise OrderError(self.api.exchange_name, entry.symbol, detail) from cause
        raise self._unknown(entry, "the venue has been asked, and has not told so far") from cause

    def sent(self, client_order_id: str) -> None:
        """Note that an order was sent, or may have been, and not answered."""
        entry = self.tracker.get(client_order_id)
        if entry is not None and entry.fate is OrderFate.SENDING:
            self._sent.add(client_order_id)

    def hear_of(self, info: CallInfo) -> None:
        """Note what an `HttpClient` says about a call that was sent, or may have been, and not answered."""
        self.sent(info.client_order_id)

    def lost(self, entry: TrackedOrder, error: Exception | None = None) -> None:
        """Note that an order was sent and not answered, and have its fate found out."""
        self.tracker.lost(entry, error)
        self.resolve(entry)

    def resolve(self, entry: TrackedOrder) -> None:
        """Have the fate of an order found out in the background, if it is unknown."""
        own_id = entry.client_order_id
        if entry.fate is OrderFate.UNKNOWN and own_id not in self._resolving:
            self._resolving.add(own_id)
            self.start_soon(self._resolve, entry)

    async def _resolve(self, entry: TrackedOrder) -> None:
        try:
            await self._resolver.run(entry)
        finally:
            self._resolving.discard(entry.client_order_id)

    def _unknown(self, entry: TrackedOrder, detail: str) -> OrderUnknownError:
        return OrderUnknownError(self.api.exchange_name, entry.symbol, entry.client_order_id, detail)

    # -- canceling ---------------------------------------------------------------------------------

    async def cancel(
        self,
        symbol: str,
        order_id: str = "",
        client_order_id: str = "",
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - how long to wait for what is unknown, not for the request
    ) -> Order:
        """Cancel an order and return it once it is done, canceled or filled; its status says which.

        A cancellation may be sent again: it can only end what is to be ended.

        Args:
            symbol: Internal symbol.
            order_id: The venue's id.
            client_order_id: Ours, where the venue's is not known.
            timeout: For how long to find out what became of it, seconds; ``None``: as the policy says.

        Raises:
            OrderNotFoundError: The venue has no such order, canceled, filled or open.
            OrderUnknownError: It was not found out in time whether the order is done.
            BtApiError: Nothing was done, for another reason.

        Cancellation: The cancellation may have been sent. The order's state is learned as that of any other.
        """
        deadline = anyio.current_time() + (self.policy.timeout if timeout is None else timeout)
        entry = self.tracker.find(symbol, order_id, client_order_id)
        if entry is not None and entry.order is not None and entry.order.order_status.is_final:
            return entry.order
        problem: Exception | None = None
        for delay in self.policy.delays():
            now = anyio.current_time()
            wait = max(delay, wait_before_asking(problem))
            if delay and now + wait > deadline:
                break
            await anyio.sleep(wait)
            if entry is not None and entry.order is not None:
                order_id = entry.order.order_id or order_id
            try:
                order = await self._cancel_once(symbol, order_id, client_order_id)
            except OrderNotFoundError as error:
                if entry is None or not self._may_turn_up(entry):
                    raise
                problem = error  # it may arrive after all
            except BtApiError as error:
                if problem is None and not isinstance(error, OrderUnknownError):
                    raise
                problem = error
            else:
                if order.order_status.is_final:
                    return order
                problem = None
        own_id = client_order_id or ("" if entry is None else entry.client_order_id)
        detail = f"whether order {order_id or own_id} was canceled was not found out in time"
        raise OrderUnknownError(self.api.exchange_name, symbol, own_id, detail) from problem

    def _may_turn_up(self, entry: TrackedOrder) -> bool:
        """Tell whether an order that the venue does not find may be there all the same, or come."""
        is_new = anyio.current_time() < entry.sent_at + self.policy.settle_time
        return not entry.is_settled or (entry.is_open and is_new)

    async def _cancel_once(self, symbol: str, order_id: str, client_order_id: str) -> Order:
        """Send a cancellation, and ask for the order unless the answer says that it is done."""
        known = {"order_id": order_id} if order_id else {"client_order_id": client_order_id}
        problem: Exception
        try:
            order = self._noted(await self.api.cancel(symbol, **known))
        except OrderNotFoundError as error:
            problem = error
        except Exception as error:
            if surely_not_done(error):
                raise
            problem = error
        else:
            if order.order_status.is_final:
                return order
            problem = OrderUnknownError(self.api.exchange_name, symbol, client_order_id, "it is being canceled")
        try:
            return self._noted(await self.api.query(symbol, **known))
        except OrderNotFoundError as error:
            if isinstance(problem, OrderNotFoundError):
                raise problem from error
            raise
        except Exception as error:
            detail = "whether it was canceled is not known, and could not be asked"
            raise OrderUnknownError(self.api.exchange_name, symbol, client_order_id, detail) from error

    async def cancel_all(self, symbol: str | None, *, timeout: float | None = None) -> list[Order]:  # noqa: ASYNC109 - as above
        """Cancel the open orders of a symbol, or of all, and return those that were canceled.

        Raises:
            OrderUnknownError: It was not found out in time whether they are canceled.
            BtApiError: Nothing was done.

        Cancellation: Some, all or none of them may have been canceled.
        """
        deadline = anyio.current_time() + (self.policy.timeout if timeout is None else timeout)
        problem: Exception | None = None
        for delay in self.policy.delays():
            wait = max(delay, wait_before_asking(problem))
            if delay and anyio.current_time() + wait > deadline:
                break
            await anyio.sleep(wait)
            try:
                canceled = [self._noted(order) for order in await self.api.cancel_all(symbol)]
                if problem is None:
                    return canceled
                if not await self.api.open_orders(symbol):
                    return canceled
            except Exception as error:
                if problem is None and surely_not_done(error):
                    raise
                problem = error
        detail = "whether all orders were canceled was not found out in time"
        raise OrderUnknownError(self.api.exchange_name, symbol or "", "", detail) from problem

    # -- asking ------------------------------------------------------------------------------------

    async def query(self, symbol: str, order_id: str = "", client_order_id: str = "") -> Order:
        """Ask the venue for an order, and return the latest state that is known.

        Raises:
            OrderNotFoundError: There is no such order.
            BtApiError: The venue could not be asked.

        Cancellation: Nothing is lost.
        """
        known = {"order_id": order_id} if order_id else {"client_order_id": client_order_id}
        return self._noted(await self.api.query(symbol, **known))

    def noted(self, order: Order) -> Order:
        """Take a state that the venue told, and return the latest one that is known of that order."""
        return self._noted(order)

    def _noted(self, order: Order) -> Order:
        entry = self.tracker.note(order)
        return order if entry is None or entry.order is None else entry.order

    async def wait_resolved(self) -> None:
        """Wait until no order is of unknown fate.

        Cancellation: Nothing is lost.
        """
        while unknown := self.tracker.unknown:
            for entry in unknown:
                self.resolve(entry)
            await unknown[0].wait_settled()
