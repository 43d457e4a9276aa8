"""Binance's spot endpoints for orders, fills and the account: what a request does at the exchange, and its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bt_api_base.containers.enums import OrderType, Side, TimeInForce
from bt_api_base.feeds.endpoint import Security
from bt_api_base.testing.binance_rest_calls import Route
from bt_api_base.testing.binance_rest_words import (
    RestError,
    eight,
    milliseconds,
    side_word,
    status_word,
    time_word,
    type_word,
)
from bt_api_base.testing.exchange_orders import NewOrder, Rejection, RejectReason
from bt_api_base.testing.exchange_rules import check_order

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bt_api_base.testing.binance_rest import BinanceSpotRest
    from bt_api_base.testing.binance_rest_calls import Call
    from bt_api_base.testing.exchange_orders import ExchangeFill, ExchangeOrder

_SIDES: Final = {"BUY": Side.BUY, "SELL": Side.SELL}
_TYPES: Final = {"LIMIT": OrderType.LIMIT, "MARKET": OrderType.MARKET, "LIMIT_MAKER": OrderType.LIMIT_MAKER}
_LATER_TYPES: Final = frozenset({"STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"})
_TIMES: Final = {"GTC": TimeInForce.GTC, "IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK}
_REPLIES: Final = ("ACK", "RESULT", "FULL")
_MODES: Final = ("STOP_ON_FAILURE", "ALLOW_FAILURE")
_DAY_US: Final = 86_400_000_000

_REJECTIONS: Final[Mapping[RejectReason, tuple[int, str]]] = {
    RejectReason.FUNDS: (-2010, "Account has insufficient balance for requested action."),
    RejectReason.WOULD_MATCH: (-2010, "Order would immediately match and take."),
    RejectReason.DUPLICATE_ID: (-2010, "Duplicate order sent."),
    RejectReason.UNKNOWN_ORDER: (-2011, "Unknown order sent."),
    RejectReason.SYMBOL: (-1121, "Invalid symbol."),
    RejectReason.PRICE: (-1013, "Filter failure: PRICE_FILTER"),
    RejectReason.QUANTITY: (-1013, "Filter failure: LOT_SIZE"),
    RejectReason.NOTIONAL: (-1013, "Filter failure: NOTIONAL"),
    RejectReason.REDUCE_ONLY: (-1106, "Parameter 'reduceOnly' sent when not required."),
    RejectReason.ORDER_TYPE: (-1116, "Invalid orderType."),
}


class SpotOrders:
    """The endpoints.

    Args:
        rest: The REST side they are of.
    """

    def __init__(self, rest: BinanceSpotRest) -> None:
        self._rest = rest

    def routes(self) -> dict[tuple[str, str], Route]:
        """Return the endpoints by method and path."""
        signed = Security.SIGNED
        prefix = "/api/v3/"
        routes = {
            ("POST", "order"): Route(self._place, 1, signed, is_free_when_done=True, places=True),
            ("POST", "order/test"): Route(self._test, _test_weight, signed),
            ("GET", "order"): Route(self._query, 4, signed),
            ("DELETE", "order"): Route(self._cancel, 1, signed, is_free_when_done=True),
            ("POST", "order/cancelReplace"): Route(self._replace, 1, signed, is_free_when_done=True, places=True),
            ("GET", "openOrders"): Route(self._open_orders, _open_weight, signed),
            ("DELETE", "openOrders"): Route(self._cancel_all, 1, signed, is_free_when_done=True),
            ("GET", "allOrders"): Route(self._all_orders, 20, signed),
            ("GET", "myTrades"): Route(self._fills, _fills_weight, signed),
            ("GET", "account"): Route(self._account, 20, signed),
            ("GET", "account/commission"): Route(self._commission, 20, signed),
            ("GET", "rateLimit/order"): Route(lambda call: self._rest.order_limits(call.now_ns), 40, signed),
        }
        return {(method, prefix + path): route for (method, path), route in routes.items()}

    # Orders.

    def _place(self, call: Call) -> dict[str, Any]:
        new, reply = self._new_order(call), self._reply_form(call)
        return self._do_place(call, new, reply)

    def _do_place(self, call: Call, new: NewOrder, reply: str) -> dict[str, Any]:
        try:
            with self._rest.counted_order(call.now_ns):  # before it may be filled, which takes it back
                order = call.venue.exchange.place(new)
        except Rejection as rejection:
            raise refused(rejection, new) from None
        return _placed(order, reply, call)

    def _test(self, call: Call) -> dict[str, Any]:
        new = self._new_order(call)
        self._reply_form(call)
        try:
            check_order(call.venue.instruments[new.symbol], new, call.now_ns)
        except Rejection as rejection:
            raise refused(rejection, new) from None
        if call.params.get("computeCommissionRates") != "true":
            return {}
        exchange = call.venue.exchange
        rates = {"maker": eight(exchange.maker_fee), "taker": eight(exchange.taker_fee)}
        return {"standardCommissionForOrder": rates, "taxCommissionForOrder": _NO_RATES, "discount": _DISCOUNT}

    def _query(self, call: Call) -> dict[str, Any]:
        symbol = call.symbol()
        order_id, name = _order_names(call)
        try:
            return _order(call.venue.exchange.order(symbol, order_id=order_id, client_order_id=name), call)
        except Rejection:
            raise RestError(-2013) from None

    def _cancel(self, call: Call) -> dict[str, Any]:
        symbol = call.symbol()
        order_id, name = _order_names(call)
        cancel_name = call.client_id("newClientOrderId") or self._rest.new_client_order_id()
        return self._do_cancel(call, symbol, order_id, name, cancel_name)

    def _do_cancel(
        self, call: Call, symbol: str, order_id: int | None, name: str | None, cancel_name: str
    ) -> dict[str, Any]:
        self._rest.name_cancel(cancel_name)
        try:
            order = call.venue.exchange.cancel(symbol, order_id=order_id, client_order_id=name)
        except Rejection:
            raise RestError(-2011) from None
        finally:
            self._rest.name_cancel("")
        return _canceled(order, cancel_name, call)

    def _cancel_all(self, call: Call) -> list[dict[str, Any]]:
        symbol = call.symbol()
        cancel_name = self._rest.new_client_order_id()
        self._rest.name_cancel(cancel_name)
        try:
            orders = call.venue.exchange.cancel_all(symbol)
        finally:
            self._rest.name_cancel("")
        if not orders:
            raise RestError(-2011)
        return [_canceled(order, cancel_name, call) for order in orders]

    def _replace(self, call: Call) -> dict[str, Any]:
        mode = call.text("cancelReplaceMode")
        if mode not in _MODES:
            raise RestError(-1130, name="cancelReplaceMode")
        order_id, name = call.integer("cancelOrderId"), call.client_id("cancelOrigClientOrderId")
        if order_id is None and name is None:
            raise RestError(-1102, name="cancelOrderId")
        new, reply = self._new_order(call), self._reply_form(call)
        cancel_name = call.client_id("cancelNewClientOrderId") or self._rest.new_client_order_id()
        canceled: dict[str, Any]
        placed: dict[str, Any] | None = None
        is_canceled = is_placed = False
        try:
            canceled, is_canceled = self._do_cancel(call, new.symbol, order_id, name, cancel_name), True
        except RestError as error:
            canceled = error.body()
        if is_canceled or mode == "ALLOW_FAILURE":
            try:
                placed, is_placed = self._do_place(call, new, reply), True
            except RestError as error:
                placed = error.body()
        result: dict[str, Any] = {
            "cancelResult": "SUCCESS" if is_canceled else "FAILURE",
            "newOrderResult": "SUCCESS" if is_placed else "NOT_ATTEMPTED" if placed is None else "FAILURE",
            "cancelResponse": canceled,
            "newOrderResponse": placed,
        }
        if is_canceled and is_placed:
            return result
        is_partial = is_canceled or is_placed
        raise RestError(-2021 if is_partial else -2022, status=409 if is_partial else 400, data=result)

    def _open_orders(self, call: Call) -> list[dict[str, Any]]:
        return [_order(order, call) for order in call.venue.exchange.open_orders(call.optional_symbol())]

    def _all_orders(self, call: Call) -> list[dict[str, Any]]:
        symbol, limit, first = call.symbol(), call.limit(500, 1_000), call.integer("orderId")
        start_us, end_us = _day_at_most(call)
        orders = [order for order in call.venue.exchange.orders.values() if order.symbol == symbol]
        if first is not None:
            orders = [order for order in orders if order.order_id >= first]
        else:
            orders = [order for order in orders if _within(order.created_ns, start_us, end_us)]
        is_onward = first is not None or start_us is not None
        return [_order(order, call) for order in (orders[:limit] if is_onward else orders[-limit:])]

    def _fills(self, call: Call) -> list[dict[str, Any]]:
        symbol, limit = call.symbol(), call.limit(500, 1_000)
        order_id, first = call.integer("orderId"), call.integer("fromId")
        start_us, end_us = _day_at_most(call)
        if first is not None and not start_us is end_us is None:
            raise RestError(-1128)
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

    # The account.

    def _account(self, call: Call) -> dict[str, Any]:
        exchange = call.venue.exchange
        rates = {"maker": eight(exchange.maker_fee), "taker": eight(exchange.taker_fee)}
        is_brief = call.params.get("omitZeroBalances") == "true"
        return {
            "makerCommission": int(exchange.maker_fee * 10_000),
            "takerCommission": int(exchange.taker_fee * 10_000),
            "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": {**rates, "buyer": eight(None), "seller": eight(None)},
            "canTrade": True,
            "canWithdraw": True,
            "canDeposit": True,
            "brokered": False,
            "requireSelfTradePrevention": False,
            "preventSor": False,
            "updateTime": milliseconds(call.now_ns),
            "accountType": "SPOT",
            "balances": [
                {"asset": currency, "free": eight(holding.free), "locked": eight(holding.locked)}
                for currency, holding in exchange.balances.items()
                if holding.total or not is_brief
            ],
            "permissions": ["SPOT"],
            "uid": 354937868,
        }

    def _commission(self, call: Call) -> dict[str, Any]:
        exchange = call.venue.exchange
        rates = {"maker": eight(exchange.maker_fee), "taker": eight(exchange.taker_fee)}
        sides = {"buyer": eight(None), "seller": eight(None)}
        return {
            "symbol": call.venue.venue_symbol_of(call.symbol()),
            "standardCommission": {**rates, **sides},
            "taxCommission": {**_NO_RATES, **sides},
            "discount": _DISCOUNT,
        }

    # What a request asks for.

    def _new_order(self, call: Call) -> NewOrder:
        symbol = call.symbol()
        side = _SIDES.get(call.text("side"))
        if side is None:
            raise RestError(-1117)
        type_name = call.text("type")
        if type_name in _LATER_TYPES:
            raise RestError(-1013, "Stop loss orders are not supported for this symbol.")
        order_type = _TYPES.get(type_name)
        if order_type is None:
            raise RestError(-1116)
        name = call.client_id("newClientOrderId") or self._rest.new_client_order_id()
        return NewOrder(
            symbol,
            side,
            order_type,
            client_order_id=name,
            **(_market_terms(call) if order_type is OrderType.MARKET else _limit_terms(call, order_type)),
        )

    def _reply_form(self, call: Call) -> str:
        usual = "ACK" if call.params.get("type") == "LIMIT_MAKER" else "FULL"
        reply = call.optional("newOrderRespType") or usual
        if reply not in _REPLIES:
            raise RestError(-1130, name="newOrderRespType")
        return reply


_NO_RATES: Final = {"maker": "0.00000000", "taker": "0.00000000"}
_DISCOUNT: Final = {
    "enabledForAccount": False,
    "enabledForSymbol": False,
    "discountAsset": "BNB",
    "discount": "0.00000000",
}


def _limit_terms(call: Call, order_type: OrderType) -> dict[str, Any]:
    time_in_force = TimeInForce.GTC
    if order_type is OrderType.LIMIT:
        found = _TIMES.get(call.text("timeInForce"))
        if found is None:
            raise RestError(-1115)
        time_in_force = found
    elif call.optional("timeInForce") is not None:
        raise RestError(-1106, name="timeInForce")
    quantity, price = call.amount("quantity", mandatory=True), call.amount("price", mandatory=True)
    if not quantity:
        raise RestError(-1013, "Invalid quantity.")
    if not price:
        raise RestError(-1013, "Invalid price.")
    if call.optional("quoteOrderQty") is not None:
        raise RestError(-1106, name="quoteOrderQty")
    return {"quantity": quantity, "price": price, "time_in_force": time_in_force}


def _market_terms(call: Call) -> dict[str, Any]:
    for name in ("price", "timeInForce"):
        if call.optional(name) is not None:
            raise RestError(-1106, name=name)
    quantity, quote = call.amount("quantity"), call.amount("quoteOrderQty")
    if quantity is not None and quote is not None:
        raise RestError(-1128)
    if quantity is None and quote is None:
        raise RestError(-1102, name="quantity")
    if not (quantity or quote):
        raise RestError(-1013, "Invalid quantity." if quote is None else "Invalid quote order qty.")
    return {"quantity": quantity, "quote_quantity": quote}


def _order_names(call: Call) -> tuple[int | None, str | None]:
    order_id, name = call.integer("orderId"), call.client_id("origClientOrderId")
    if order_id is None and name is None:
        raise RestError(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
    return order_id, name


def _day_at_most(call: Call) -> tuple[int | None, int | None]:
    start_us, end_us = call.time_us("startTime"), call.time_us("endTime")
    if start_us is not None and end_us is not None and end_us - start_us > _DAY_US:
        raise RestError(-1127, limit=24)
    return start_us, end_us


def _within(time_ns: int, start_us: int | None, end_us: int | None) -> bool:
    time_us = time_ns // 1_000_000 * 1_000  # what the venue says of it
    return (start_us is None or time_us >= start_us) and (end_us is None or time_us <= end_us)


def refused(rejection: Rejection, new: NewOrder) -> RestError:
    """Return how the venue says that the exchange refuses an order."""
    code, text = _REJECTIONS[rejection.reason]
    if rejection.reason is RejectReason.QUANTITY and new.order_type is OrderType.MARKET and new.quantity is None:
        text = "Filter failure: NOTIONAL"
    return RestError(code, text)


# What it answers.


def _placed(order: ExchangeOrder, reply: str, call: Call) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "symbol": call.venue.venue_symbol_of(order.symbol),
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_order_id,
        "transactTime": milliseconds(order.created_ns),
    }
    if reply == "ACK":
        return answer
    answer |= {
        **_amounts(order),
        "workingTime": milliseconds(order.created_ns),
        "selfTradePreventionMode": "NONE",
    }
    if reply == "FULL":
        answer["fills"] = [_part(fill) for fill in order.fills]
    return answer


def _part(fill: ExchangeFill) -> dict[str, Any]:
    return {
        "price": eight(fill.price),
        "qty": eight(fill.quantity),
        "commission": eight(fill.fee),
        "commissionAsset": fill.fee_currency,
        "tradeId": fill.trade_id,
    }


def _amounts(order: ExchangeOrder) -> dict[str, Any]:
    return {
        "price": eight(order.price),
        "origQty": eight(order.quantity),
        "executedQty": eight(order.executed),
        "origQuoteOrderQty": eight(order.quote_quantity),
        "cummulativeQuoteQty": eight(order.cum_quote),
        "status": status_word(order),
        "timeInForce": time_word(order.time_in_force),
        "type": type_word(order),
        "side": side_word(order.side),
    }


def _canceled(order: ExchangeOrder, cancel_name: str, call: Call) -> dict[str, Any]:
    return {
        "symbol": call.venue.venue_symbol_of(order.symbol),
        "origClientOrderId": order.client_order_id,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": cancel_name,
        "transactTime": milliseconds(order.updated_ns),
        **_amounts(order),
        "selfTradePreventionMode": "NONE",
    }


def _order(order: ExchangeOrder, call: Call) -> dict[str, Any]:
    return {
        "symbol": call.venue.venue_symbol_of(order.symbol),
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_order_id,
        **_amounts(order),
        "stopPrice": "0.00000000",
        "icebergQty": "0.00000000",
        "time": milliseconds(order.created_ns),
        "updateTime": milliseconds(order.updated_ns),
        "isWorking": True,
        "workingTime": milliseconds(order.created_ns),
        "selfTradePreventionMode": "NONE",
    }


def _fill(fill: ExchangeFill, call: Call) -> dict[str, Any]:
    return {
        "symbol": call.venue.venue_symbol_of(fill.symbol),
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "orderListId": -1,
        "price": eight(fill.price),
        "qty": eight(fill.quantity),
        "quoteQty": eight(fill.price * fill.quantity),
        "commission": eight(fill.fee),
        "commissionAsset": fill.fee_currency,
        "time": milliseconds(fill.time_ns),
        "isBuyer": fill.side is Side.BUY,
        "isMaker": fill.is_maker,
        "isBestMatch": True,
    }


# Weights.


def _test_weight(params: Mapping[str, str]) -> int:
    return 20 if params.get("computeCommissionRates") == "true" else 1


def _open_weight(params: Mapping[str, str]) -> int:
    return 6 if "symbol" in params else 80


def _fills_weight(params: Mapping[str, str]) -> int:
    return 5 if "orderId" in params else 20


__all__ = ("SpotOrders", "refused")
