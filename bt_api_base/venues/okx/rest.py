"""OKX over REST: placing and canceling orders, one class for each type of instrument."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Final

import anyio
from msgspec.structs import replace
from typing_extensions import override

from bt_api_base.containers import OrderType, TimeInForce, decimal_text
from bt_api_base.exceptions import BtApiError, OrderNotFoundError, OrderUnknownError
from bt_api_base.feeds.capability import Capability
from bt_api_base.feeds.errors import VenueError, make_error
from bt_api_base.feeds.http_call import CallInfo
from bt_api_base.venues.okx import private, rest_convert as convert, rest_endpoints as endpoints
from bt_api_base.venues.okx.rest_account import OkxAccountApi, Parameters
from bt_api_base.venues.okx.rest_errors import OKX_ERRORS

if TYPE_CHECKING:
    from bt_api_base.containers import Order, Position
    from bt_api_base.feeds.clock import VenueClock
    from bt_api_base.feeds.http_types import Transport
    from bt_api_base.feeds.order_request import OrderRequest
    from bt_api_base.rate_limiter import RateLimiter
    from bt_api_base.security import Credentials
    from bt_api_base.transport import TransportPolicy
    from bt_api_base.venues.okx.rest_wire import OrderAnswer

__all__ = ("OKX_APIS", "OkxApi", "OkxFuturesApi", "OkxOptionApi", "OkxSpotApi", "OkxSwapApi")

_BATCH: Final = 20

_UNTIL_SETTLED: Final = (0.05, 0.2, 0.5)
"""Seconds before each further look at an order that is being canceled."""

_KINDS: Final = {
    TimeInForce.GTC: "limit",
    TimeInForce.IOC: "ioc",
    TimeInForce.FOK: "fok",
    TimeInForce.GTX: "post_only",
}
"""Limit orders, whose time in force is part of their type here."""

_CAPABILITIES: Final = frozenset({
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
    Capability.GET_EXCHANGE_INFO,
    Capability.GET_SERVER_TIME,
})  # fmt: skip

_DERIVATIVES: Final = _CAPABILITIES | {
    Capability.GET_POSITION,
    Capability.CROSS_MARGIN,
    Capability.ISOLATED_MARGIN,
    Capability.HEDGE_MODE,
}


class OkxApi(OkxAccountApi):
    """Base of OKX's REST APIs, one for each type of instrument; see `OkxMarketApi` for the other arguments.

    The venue answers to an order or a cancellation that it has taken it, and no more. So an order that was placed is
    returned as accepted, without fills; one that was canceled is asked for, and returned as it is then.

    Quantities of derivatives are contracts.

    Args:
        credentials: Of the account, with the passphrase; ``None``: public endpoints only.
        trade_mode: What pays for orders: ``"cash"``, ``"cross"`` or ``"isolated"``; ``None``: cash for spot, else
            cross. Spot in an account of multi-currency or portfolio margin needs ``"cross"``. An order's parameter
            ``tdMode`` goes first.
    """

    client_order_ids: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z0-9]{1,32}")
    identifying = frozenset({"clOrdId", "instId", "side"})
    default_trade_mode: ClassVar[str] = "cross"
    private_channels: ClassVar[tuple[tuple[str, str], ...]] = (
        ("order", ""),
        ("fill", ""),
        ("account", ""),
        ("position", ""),
    )
    capabilities: ClassVar[frozenset[Capability]] = _DERIVATIVES

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
        trade_mode: str | None = None,
    ) -> None:
        super().__init__(
            credentials,
            rest_url=rest_url,
            policy=policy,
            transport=transport,
            limiter=limiter,
            recv_window_ms=recv_window_ms,
            timeout=timeout,
            demo=demo,
            clock=clock,
        )
        self.trade_mode = trade_mode or self.default_trade_mode

    def _order_parameters(self, request: OrderRequest, internal: str) -> Parameters:
        return {
            "instId": internal,
            "tdMode": self.trade_mode,
            "clOrdId": request.client_order_id,
            "side": request.side.value,
            "posSide": None if request.position_side is None else request.position_side.value,
            "ordType": self._order_type(request),
            "px": None if request.price is None else decimal_text(request.price),
            "reduceOnly": request.reduce_only,
            **self._size(request),
            **request.parameters,
        }

    def _order_type(self, request: OrderRequest) -> str:
        if request.order_type is OrderType.MARKET:
            return "market"
        if request.order_type is OrderType.LIMIT_MAKER:
            return "post_only"
        if request.order_type is not OrderType.LIMIT:
            self._refuse(request, f"order type {request.order_type.value!r} is not one that can be placed here")
        kind = _KINDS.get(request.time_in_force or TimeInForce.GTC)
        if kind is None:
            self._refuse(request, "the time in force is one of GTC, IOC, FOK and GTX")
        return kind

    def _size(self, request: OrderRequest) -> Parameters:
        if request.quantity is None:
            self._refuse(request, "an order has a quantity here: a number of contracts")
        return {"sz": decimal_text(request.quantity)}

    async def place(self, request: OrderRequest) -> Order:
        """Place an order.

        Raises:
            InvalidOrderError: It is none that this venue could take; nothing was sent.
            OrderUnknownError: It was sent, and whether it was placed is not known.
            BtApiError: What the venue's error means.

        Cancellation: As with a lost answer, the order may have been placed; the client tells whoever has asked it to.
        """
        internal = self._parse(request.symbol)
        self._check_id(request)
        answer = await self.client.call(
            endpoints.PLACE,
            self._order_parameters(request, internal),
            limit_key=internal,
            symbol=internal,
            client_order_id=request.client_order_id,
        )
        failure = self._failure(answer.data[0], internal) if answer.data else None
        if failure is not None:
            raise failure
        with self._reading("Order", changed=(internal, request.client_order_id)) as local_time:
            placed = convert.placed_order(answer.data[0], request, self.exchange_name, local_time)
            kind = private.ORDER_TYPES[self._order_type(request)]
            return replace(placed, symbol=internal, order_time_in_force=kind[1])

    async def cancel(self, symbol: str, *, order_id: str = "", client_order_id: str = "") -> Order:
        """Cancel an order, by either id, and return it as it is then: canceled, or soon so.

        Raises:
            OrderNotFoundError: There is no such order, or it is done already.
            OrderUnknownError: It was sent, and whether the order was canceled is not known.

        Cancellation: As with a lost answer, the order may have been canceled.
        """
        internal, parameters = self._which(symbol, order_id, client_order_id)
        with self._about(order_id):
            await self.client.call(
                endpoints.CANCEL, parameters, limit_key=internal, symbol=internal, client_order_id=client_order_id
            )
        return await self._settled(internal, order_id, client_order_id)

    async def _settled(self, internal: str, order_id: str, client_order_id: str) -> Order:
        """Return an order whose cancellation the venue has taken: once it is done, or after a second as it is."""
        try:
            order = await self.query(internal, order_id=order_id, client_order_id=client_order_id)
            for delay in _UNTIL_SETTLED:
                if order.order_status.is_final:
                    break
                await anyio.sleep(delay)
                order = await self.query(internal, order_id=order_id, client_order_id=client_order_id)
        except BtApiError as error:
            raise OrderUnknownError(
                self.exchange_name,
                internal,
                client_order_id,
                "the venue has taken the cancellation, and does not tell what became of the order",
            ) from error
        except anyio.get_cancelled_exc_class():
            if self.client.on_unknown is not None:
                self.client.on_unknown(
                    CallInfo(endpoint=endpoints.CANCEL, symbol=internal, client_order_id=client_order_id)
                )
            raise
        return order

    async def cancel_all(self, symbol: str | None = None) -> list[Order]:
        """Cancel all orders that were open when it began, of a symbol or of this type of instrument, by twenty.

        The venue has no such call. What was done already is left out of what is returned.

        Raises:
            OrderUnknownError: Whether some of the orders were canceled is not known; those of later batches were not.
            BtApiError: What the venue's error for one of them means; the others were canceled.

        Cancellation: Some of the orders may have been canceled.
        """
        by_symbol: dict[str, list[str]] = {}
        for order in await self.open_orders(symbol):
            by_symbol.setdefault(order.symbol, []).append(order.order_id)
        canceled: list[tuple[str, str]] = []
        failures: list[BtApiError] = []
        for internal, ids in by_symbol.items():
            for index in range(0, len(ids), _BATCH):
                for answer in await self._cancel_batch(internal, ids[index : index + _BATCH]):
                    failure = self._failure(answer, internal)
                    if failure is None:
                        canceled.append((internal, answer.order_id))
                    elif not isinstance(failure, OrderNotFoundError):
                        failures.append(failure)
        if failures:
            raise next((failure for failure in failures if isinstance(failure, OrderUnknownError)), failures[0])
        return [await self._settled(internal, order_id, "") for internal, order_id in canceled]

    async def _cancel_batch(self, internal: str, ids: list[str]) -> list[OrderAnswer]:
        items: list[Parameters] = [{"instId": internal, "ordId": order_id} for order_id in ids]
        try:
            answer = await self.client.call(
                endpoints.CANCEL_BATCH, items, limit_key=internal, orders=len(items), symbol=internal
            )
        except OrderNotFoundError:
            return []  # one alone, done already
        return answer.data

    def _failure(self, answer: OrderAnswer, internal: str) -> BtApiError | None:
        """Return what the venue's error for one order of several means; ``None`` if there is none."""
        if answer.code in ("", "0"):
            return None
        return make_error(
            VenueError(
                kind=OKX_ERRORS.kind(200, answer.code, answer.msg),
                exchange_name=self.exchange_name,
                status=200,
                code=answer.code,
                message=answer.msg,
                symbol=internal,
                client_order_id=answer.client_order_id,
                order_id=answer.order_id,
                changes_order=True,
            )
        )


class OkxSpotApi(OkxApi):
    """OKX spot over REST. Orders at the market may be by quantity or by amount."""

    exchange_name = "OKX___SPOT"
    instrument_type = "SPOT"
    default_trade_mode = "cash"
    capabilities: ClassVar[frozenset[Capability]] = _CAPABILITIES
    private_channels: ClassVar[tuple[tuple[str, str], ...]] = (("order", ""), ("fill", ""), ("account", ""))

    @override
    def _size(self, request: OrderRequest) -> Parameters:
        # Of buys at the market the venue takes the size for an amount, unless it is told.
        at_market = request.order_type is OrderType.MARKET
        if request.quantity is not None:
            return {"sz": decimal_text(request.quantity), "tgtCcy": "base_ccy" if at_market else None}
        if request.quote_quantity is None or not at_market:
            self._refuse(request, "an order has a quantity; one at the market may have an amount instead")
        return {"sz": decimal_text(request.quote_quantity), "tgtCcy": "quote_ccy"}

    @override
    async def positions(self, symbol: str | None = None) -> list[Position]:
        """Return nothing: spot has no positions.

        Cancellation: It does not wait.
        """
        return []


class OkxSwapApi(OkxApi):
    """OKX perpetual swaps over REST."""

    exchange_name = "OKX___SWAP"
    instrument_type = "SWAP"


class OkxFuturesApi(OkxApi):
    """OKX futures with an expiry over REST."""

    exchange_name = "OKX___FUTURES"
    instrument_type = "FUTURES"


class OkxOptionApi(OkxApi):
    """OKX options over REST."""

    exchange_name = "OKX___OPTION"
    instrument_type = "OPTION"


OKX_APIS: Final[dict[str, type[OkxApi]]] = {
    api.exchange_name: api for api in (OkxSpotApi, OkxSwapApi, OkxFuturesApi, OkxOptionApi)
}
"""By the exchange's name."""
