"""Binance's USD-M endpoints for orders and fills: what a request does at the exchange, and its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bt_api_base.containers.enums import OrderType, Side, TimeInForce
from bt_api_base.feeds.endpoint import Security
from bt_api_base.testing.binance_rest_calls import Route
from bt_api_base.testing.binance_rest_words import (
    RestError,
    eight,
    milliseconds,
    plain,
    side_word,
    status_word,
    time_word,
    type_word,
)
from bt_api_base.testing.exchange_orders import NewOrder, Rejection, RejectReason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bt_api_base.testing.binance_rest_calls import Call
    from bt_api_base.testing.exchange_orders import ExchangeFill, ExchangeOrder
    from bt_api_base.testing.usdm_rest import UsdmRest

_SIDES: Final = {"BUY": Side.BUY, "SELL": Side.SELL}
_TYPES: Final = {"LIMIT": OrderType.LIMIT, "MARKET": OrderType.MARKET}
_ALGO_TYPES: Final = frozenset({"STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"})
_TIMES: Final = {
    "GTC": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
    "GTX": TimeInForce.GTX,
}
_WEEK_US: Final = 7 * 86_400_000_000

_REJECTIONS: Final[Mapping[RejectReason, tuple[int, str]]] = {
    RejectReason.FUNDS: (-2019, "Margin is insufficient."),
    RejectReason.WOULD_MATCH: (-5022, ""),
    RejectReason.DUPLICATE_ID: (-4116, ""),
    RejectReason.UNKNOWN_ORDER: (-2013, ""),
    RejectReason.SYMBOL: (-1121, ""),
    RejectReason.PRICE: (-4014, ""),
    RejectReason.QUANTITY: (-1111, "Precision is over the maximum defined for this asset."),
    RejectReason.REDUCE_ONLY: (-2022, "ReduceOnly Order is rejected."),
    RejectReason.ORDER_TYPE: (-1116, ""),
}


class UsdmOrders:
    """The endpoints.

    Args:
        rest: The REST side they are of.
    """

    def __init__(self, rest: UsdmRest) -> None:
        self._rest = rest

    def routes(self) -> dict[tuple[str, str], Route]:
        """Return the endpoints by method and path."""
        signed = Security.SIGNED
        routes = {
            ("POST", "order"): Route(self._place, 0, signed, places=True),
            ("PUT", "order"): Route(self._amend, 0, signed, places=True),
            ("POST", "order/test"): Route(self._test, 0, signed),
            ("GET", "order"): Route(self._query, 1, signed),
            ("GET", "openOrder"): Route(lambda call: self._query(call, is_open=True), 1, signed),
            ("DELETE", "order"): Route(self._cancel, 1, signed),
            ("GET", "openOrders"): Route(self._open_orders, _open_weight, signed),
            ("DELETE", "allOpenOrders"): Route(self._cancel_all, 1, signed),
            ("GET", "allOrders"): Route(self._all_orders, 5, signed),
            ("GET", "userTrades"): Route(self._fills, 5, signed),
        }
        return {(method, f"/fapi/v1/{path}"): route for (method, path), route in routes.items()}

    def _place(self, call: Call) -> dict[str, Any]:
        new = self._new_order(call)
        reply = call.optional("newOrderRespType") or "ACK"
        if reply not in {"ACK", "RESULT"}:
            raise RestError(-1130, name="newOrderRespType")
        try:
            with self._rest.counted_order(call.now_ns):
                order = call.venue.exchange.place(new)
        except Rejection as rejection:
            raise refused(rejection, new, call) from None
        return _acknowledgement(order, call) if reply == "ACK" else _order(order, call, is_answer=True)

    def _test(self, call: Call) -> dict[str, Any]:
        self._new_order(call)
        return {}

    def _amend(self, call: Call) -> dict[str, Any]:
        symbol = call.symbol()
        order_id, name = _order_names(call)
        quantity, price = call.amount("quantity", mandatory=True), call.amount("price", mandatory=True)
        try:
            with self._rest.counted_order(call.now_ns):
                order = call.venue.exchange.amend(
                    symbol, order_id=order_id, client_order_id=name, quantity=quantity, price=price
                )
        except Rejection as rejection:
            new = NewOrder(symbol, Side.BUY, OrderType.LIMIT, quantity, price)
            raise refused(rejection, new, call) from None
        return _order(order, call, is_answer=True)

    def _query(self, call: Call, *, is_open: bool = False) -> dict[str, Any]:
        symbol = call.symbol()
        order_id, name = _order_names(call)
        try:
            order = call.venue.exchange.order(symbol, order_id=order_id, client_order_id=name)
        except Rejection:
            raise RestError(-2013) from None
        if is_open and not order.is_open:
            raise RestError(-2013)
        return _order(order, call)

    def _cancel(self, call: Call) -> dict[str, Any]:
        symbol = call.symbol()
        order_id, name = _order_names(call)
        try:
            order = call.venue.exchange.cancel(symbol, order_id=order_id, client_order_id=name)
        except Rejection:
            raise RestError(-2011) from None
        return _order(order, call, is_answer=True)

    def _cancel_all(self, call: Call) -> dict[str, Any]:
        call.venue.exchange.cancel_all(call.symbol())
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def _open_orders(self, call: Call) -> list[dict[str, Any]]:
        return [_order(order, call) for order in call.venue.exchange.open_orders(call.optional_symbol())]

    def _all_orders(self, call: Call) -> list[dict[str, Any]]:
        symbol, limit, first = call.symbol(), call.limit(500, 1_000), call.integer("orderId")
        start_us, end_us = _week(call)
        orders = [
            order
            for order in call.venue.exchange.orders.values()
            if order.symbol == symbol
            and (order.order_id >= first if first is not None else _within(order.created_ns, start_us, end_us))
        ]
        is_onward = first is not None or start_us is not None
        return [_order(order, call) for order in (orders[:limit] if is_onward else orders[-limit:])]

    def _fills(self, call: Call) -> list[dict[str, Any]]:
        symbol, limit = call.symbol(), call.limit(500, 1_000)
        order_id, first = call.integer("orderId"), call.integer("fromId")
        if first is not None and not call.time_us("startTime") is call.time_us("endTime") is None:
            raise RestError(-1128)
        start_us, end_us = _week(call)
        fills = [
            fill
            for fill in call.venue.exchange.fills
            if fill.symbol == symbol
            and order_id in {None, fill.order_id}
            and (first is None or fill.trade_id >= first)
            and _within(fill.time_ns, start_us, end_us)
        ]
        is_onward = first is not None or start_us is not None
        return [_fill(fill, call) for fill in (fills[:limit] if is_onward else fills[-limit:])]

    def _new_order(self, call: Call) -> NewOrder:
        symbol = call.symbol()
        side, type_name = _SIDES.get(call.text("side")), call.text("type")
        if side is None:
            raise RestError(-1117)
        if type_name in _ALGO_TYPES:
            raise RestError(-4120)
        order_type = _TYPES.get(type_name)
        if order_type is None:
            raise RestError(-1116)
        if call.optional("positionSide") not in {None, "BOTH"}:
            raise RestError(-4061)
        terms: dict[str, Any] = {"quantity": call.amount("quantity", mandatory=True)}
        if order_type is OrderType.LIMIT:
            terms["price"] = call.amount("price", mandatory=True)
            terms["time_in_force"] = _TIMES.get(call.text("timeInForce"))
            if terms["time_in_force"] is None:
                raise RestError(-1115)
        else:
            for name in ("price", "timeInForce"):
                if call.optional(name) is not None:
                    raise RestError(-1106, name=name)
        return NewOrder(
            symbol,
            side,
            order_type,
            reduce_only=(call.optional("reduceOnly") or "false").lower() == "true",
            client_order_id=call.client_id("newClientOrderId", -4015) or self._rest.new_client_order_id(),
            **terms,
        )


def refused(rejection: Rejection, new: NewOrder, call: Call) -> RestError:
    """Return how the venue says that the exchange refuses an order."""
    instrument, reason = call.venue.instruments[new.symbol], rejection.reason
    if reason is RejectReason.NOTIONAL:
        return RestError(-4164, limit=plain(instrument.min_notional))
    if reason is RejectReason.PRICE and new.price is not None:
        if instrument.min_price and new.price < instrument.min_price:
            return RestError(-4013)
        if instrument.max_price and new.price > instrument.max_price:
            return RestError(-4002, "Price greater than max price.")
    if reason is RejectReason.QUANTITY and new.quantity is not None:
        if not new.quantity or (instrument.min_qty and new.quantity < instrument.min_qty):
            return RestError(-4003, "Quantity less than or equal to zero.")
        if instrument.max_qty and new.quantity > instrument.max_qty:
            return RestError(-4005, "Quantity greater than max quantity.")
    code, text = _REJECTIONS[reason]
    return RestError(code, text)


def _order_names(call: Call) -> tuple[int | None, str | None]:
    order_id, name = call.integer("orderId"), call.client_id("origClientOrderId", -4015)
    if order_id is None and name is None:
        raise RestError(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
    return order_id, name


def _week(call: Call) -> tuple[int | None, int | None]:
    """Return the time that is asked for, at most a week; all there is where nothing is said of it."""
    start_us, end_us = call.time_us("startTime"), call.time_us("endTime")
    if start_us is not None and end_us is not None and end_us - start_us > _WEEK_US:
        raise RestError(-1127, limit=168)  # assumed: the documentation only says that it is not possible
    if start_us is None and end_us is not None:
        return end_us - _WEEK_US, end_us
    if start_us is not None and end_us is None:
        return start_us, start_us + _WEEK_US
    return start_us, end_us


def _within(time_ns: int, start_us: int | None, end_us: int | None) -> bool:
    time_us = time_ns // 1_000_000 * 1_000  # what the venue says of it
    return (start_us is None or time_us >= start_us) and (end_us is None or time_us <= end_us)


# What it answers.


def _terms(order: ExchangeOrder, call: Call) -> dict[str, Any]:
    return {
        "orderId": order.order_id,
        "symbol": call.venue.venue_symbol_of(order.symbol),
        "clientOrderId": order.client_order_id,
        "price": plain(order.price),
        "origQty": plain(order.quantity),
        "timeInForce": time_word(order.time_in_force),
        "type": type_word(order),
        "reduceOnly": order.reduce_only,
        "closePosition": False,
        "side": side_word(order.side),
        "positionSide": "BOTH",
        "stopPrice": "0",
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "origType": type_word(order),
        "priceMatch": "NONE",
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "goodTillDate": 0,
    }


def _acknowledgement(order: ExchangeOrder, call: Call) -> dict[str, Any]:
    """Return that an order was taken in: of what happens to it at once it says nothing."""
    state = {"status": "NEW", "executedQty": "0", "updateTime": milliseconds(order.created_ns)}
    return {**_terms(order, call), **state}


def _order(order: ExchangeOrder, call: Call, *, is_answer: bool = False) -> dict[str, Any]:
    """Return an order as it is; an answer to a change has not its time, and another name of a sum besides."""
    row = {
        **_terms(order, call),
        "status": status_word(order),
        "avgPrice": plain(order.avg_price),
        "executedQty": plain(order.executed),
        "cumQuote": plain(order.cum_quote),
        "updateTime": milliseconds(order.updated_ns),
    }
    extra = {"cumQty": plain(order.executed)} if is_answer else {"time": milliseconds(order.created_ns)}
    return {**row, **extra}


def _fill(fill: ExchangeFill, call: Call) -> dict[str, Any]:
    worth = call.venue.exchange.notional(fill.symbol, fill.price, fill.quantity)
    return {
        "symbol": call.venue.venue_symbol_of(fill.symbol),
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "side": side_word(fill.side),
        "price": plain(fill.price),
        "qty": plain(fill.quantity),
        "realizedPnl": eight(fill.realized_pnl),
        "quoteQty": plain(worth),
        "commission": eight(fill.fee),
        "commissionAsset": fill.fee_currency,
        "time": milliseconds(fill.time_ns),
        "positionSide": "BOTH",
        "buyer": fill.side is Side.BUY,
        "maker": fill.is_maker,
    }


def _open_weight(params: Mapping[str, str]) -> int:
    return 1 if "symbol" in params else 40


__all__ = ("UsdmOrders", "refused")
