"""The private endpoints of the simulated OKX's REST side: orders, fills and the account."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING, Final

from bt_api_base.containers.decimals import quantize
from bt_api_base.containers.enums import OrderStatus, OrderType, Side, TimeInForce
from bt_api_base.testing.exchange_orders import NewOrder, Rejection, RejectReason
from bt_api_base.testing.okx_frames import instrument_type
from bt_api_base.testing.okx_rest_calls import OkxFields, RefusalError
from bt_api_base.testing.okx_rows import OkxRows, OrderDetails, Row, order_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bt_api_base.testing.exchange import Exchange
    from bt_api_base.testing.exchange_orders import ExchangeFill, ExchangeOrder
    from bt_api_base.testing.rest_venue import TradingVenue

_TYPES: Final = {
    "market": (OrderType.MARKET, TimeInForce.GTC),
    "limit": (OrderType.LIMIT, TimeInForce.GTC),
    "post_only": (OrderType.LIMIT_MAKER, TimeInForce.GTC),
    "ioc": (OrderType.LIMIT, TimeInForce.IOC),
    "fok": (OrderType.LIMIT, TimeInForce.FOK),
}
_CODES: Final = {
    RejectReason.FUNDS: "51008",
    RejectReason.WOULD_MATCH: "51000",
    RejectReason.DUPLICATE_ID: "51016",
    RejectReason.UNKNOWN_ORDER: "51603",
    RejectReason.SYMBOL: "51022",
    RejectReason.PRICE: "51000",
    RejectReason.QUANTITY: "51000",
    RejectReason.NOTIONAL: "51020",
    RejectReason.REDUCE_ONLY: "51169",
    RejectReason.ORDER_TYPE: "51000",
}
_MOST_ROWS: Final = 100


class OkxTradeCalls:
    """Answers what the account's owner asks.

    Args:
        venue: The venue.
        rows: Prints what its exchange has.
        uid: The account's number.
    """

    def __init__(self, venue: TradingVenue, rows: OkxRows, uid: str) -> None:
        self._venue = venue
        self._rows = rows
        self._uid = uid
        self.queries: Mapping[str, Callable[[OkxFields], list[Row]]] = {
            "/api/v5/account/balance": self._balance,
            "/api/v5/account/config": self._config,
            "/api/v5/account/positions": self._positions,
            "/api/v5/trade/order": self._order,
            "/api/v5/trade/orders-pending": self._pending,
            "/api/v5/trade/orders-history": self._history,
            "/api/v5/trade/orders-history-archive": self._history,
            "/api/v5/trade/fills": self._fills,
            "/api/v5/trade/fills-history": self._fills_history,
        }
        """What is asked for with GET, by path."""
        self.commands: Mapping[str, Callable[[OkxFields], Row]] = {
            "/api/v5/trade/order": self._place,
            "/api/v5/trade/cancel-order": self._cancel,
            "/api/v5/trade/amend-order": self._amend,
        }
        """What is done to one order with POST, by path."""
        self.batches: Mapping[str, str] = {
            "/api/v5/trade/batch-orders": "/api/v5/trade/order",
            "/api/v5/trade/cancel-batch-orders": "/api/v5/trade/cancel-order",
            "/api/v5/trade/amend-batch-orders": "/api/v5/trade/amend-order",
        }
        """The same done to several."""

    @property
    def _exchange(self) -> Exchange:
        return self._venue.exchange

    # What is done.

    def run(self, path: str, fields: OkxFields) -> Row:
        """Do what an item asks for.

        Args:
            path: A key of `commands`.
            fields: The item.

        Returns:
            What the venue says of it, done or refused.
        """
        head: Row = {"clOrdId": fields.get("clOrdId"), "ordId": fields.get("ordId")}
        if path == "/api/v5/trade/order":
            head = {"clOrdId": fields.get("clOrdId"), "ordId": "", "tag": fields.get("tag")}
        elif path == "/api/v5/trade/amend-order":
            head["reqId"] = fields.get("reqId")
        now = str(self._venue.rest.now_ns() // 1_000_000)
        try:
            done = self.commands[path](fields)
        except RefusalError as error:
            return {**head, "ts": now, "sCode": error.code, "sMsg": str(error)}
        return {**head, **done, "ts": now, "sCode": "0", "sMsg": ""}

    def _place(self, fields: OkxFields) -> Row:
        symbol = self._instrument(fields)
        client_order_id = fields.client_id()
        is_derivative = self._exchange.is_derivative(symbol)
        mode = fields.choice("tdMode", *(("cross", "isolated") if is_derivative else ("cash", "cross")))
        fields.choice("posSide", "", "net")
        side = Side(fields.choice("side", "buy", "sell"))
        kind, time_in_force = _TYPES[fields.choice("ordType", *_TYPES)]
        size = fields.amount("sz")
        if size is None or size <= 0:
            raise RefusalError("51000", "sz")
        price = fields.amount("px") if kind is not OrderType.MARKET else None
        if price is None and kind is not OrderType.MARKET:
            raise RefusalError("51000", "px")
        by_quote, size_currency = self._size_currency(fields, side, kind, is_derivative=is_derivative)
        if not by_quote:
            self._check_size(symbol, size, kind)
        self._rows.placing = OrderDetails(fields.get("sz"), mode, size_currency, fields.get("tag"))
        new = NewOrder(
            symbol,
            side,
            kind,
            None if by_quote else size,
            price,
            time_in_force,
            size if by_quote else None,
            reduce_only=fields.flag("reduceOnly") and is_derivative,
            client_order_id=client_order_id,
        )
        try:
            order = self._exchange.place(new)
        except Rejection as rejection:
            raise self._refused(rejection, new) from None
        finally:
            self._rows.placing = OrderDetails()
        return {"clOrdId": order.client_order_id, "ordId": str(order.order_id)}

    def _cancel(self, fields: OkxFields) -> Row:
        order = self._wanted(fields, "51400")
        if order.is_open:
            self._exchange.cancel(order.symbol, order_id=order.order_id)
        else:
            raise RefusalError("51402" if order.status is OrderStatus.COMPLETED else "51401")
        return {"clOrdId": order.client_order_id, "ordId": str(order.order_id)}

    def _amend(self, fields: OkxFields) -> Row:
        order = self._wanted(fields, "51503")
        if not order.is_open:
            raise RefusalError("51510" if order.status is OrderStatus.COMPLETED else "51509")
        size, price = fields.amount("newSz"), fields.amount("newPx")
        if size is None and price is None:
            raise RefusalError("50014", "newSz or newPx")
        if size is not None:
            self._check_size(order.symbol, size, order.order_type)
        try:
            self._rows.amended(order)
            self._exchange.amend(order.symbol, order_id=order.order_id, quantity=size, price=price)
        except Rejection as rejection:
            raise self._refused(rejection, order) from None
        return {"clOrdId": order.client_order_id, "ordId": str(order.order_id)}

    def _size_currency(
        self, fields: OkxFields, side: Side, kind: OrderType, *, is_derivative: bool
    ) -> tuple[bool, str]:
        """Return whether a size is in the quote currency, and how the venue prints that."""
        if is_derivative or kind is not OrderType.MARKET:
            return False, ""
        usual = "quote_ccy" if side is Side.BUY else "base_ccy"
        chosen = fields.choice("tgtCcy", "", "base_ccy", "quote_ccy") or usual
        return chosen == "quote_ccy", chosen

    def _check_size(self, symbol: str, size: Decimal, kind: OrderType) -> None:
        """Go on if a size is one that the instrument has; the exchange would refuse it, and not say so exactly."""
        instrument = self._exchange.instruments[symbol]
        if instrument.min_qty and size < instrument.min_qty:
            raise RefusalError("51020")
        if instrument.step_size and quantize(size, instrument.step_size, ROUND_DOWN) != size:
            raise RefusalError("51121")
        if instrument.max_qty and size > instrument.max_qty:
            raise RefusalError("51201" if kind is OrderType.MARKET else "51005")

    def _refused(self, rejection: Rejection, order: NewOrder | ExchangeOrder) -> RefusalError:
        """Return the venue's words for a refusal of the exchange."""
        reason = rejection.reason
        instrument = self._exchange.instruments[order.symbol]
        subject = {RejectReason.PRICE: "px", RejectReason.QUANTITY: "sz", RejectReason.ORDER_TYPE: "ordType"}
        if reason is RejectReason.PRICE and order.price is not None:
            highest, lowest = instrument.max_price, instrument.min_price
            if (highest and order.price > highest) or (lowest and order.price < lowest):
                return RefusalError("51006")
        if reason is RejectReason.FUNDS:
            if self._exchange.is_derivative(order.symbol):
                return RefusalError("51008", instrument.settle_currency)
            is_buy = order.side is Side.BUY
            return RefusalError("51008", instrument.quote_currency if is_buy else instrument.base_currency)
        return RefusalError(_CODES[reason], subject.get(reason, ""))

    def _instrument(self, fields: OkxFields) -> str:
        symbol = fields.get("instId")
        if not symbol:
            raise RefusalError("51000", "instId")
        if symbol not in self._venue.markets:
            raise RefusalError("51001")
        return symbol

    def _wanted(self, fields: OkxFields, code: str) -> ExchangeOrder:
        """Return the order that an item is about: by the venue's id, where there are both."""
        symbol = self._instrument(fields)
        order_id, client_order_id = fields.whole("ordId"), fields.get("clOrdId")
        if order_id is None and not client_order_id:
            raise RefusalError("51000", "ordId")
        try:
            if order_id is not None:
                return self._exchange.order(symbol, order_id=order_id)
            return self._exchange.order(symbol, client_order_id=client_order_id)
        except Rejection:
            raise RefusalError(code) from None

    # What is asked for.

    def _balance(self, fields: OkxFields) -> list[Row]:
        wanted = fields.get("ccy")
        return [self._rows.account(wanted.split(",") if wanted else None)]

    def _positions(self, fields: OkxFields) -> list[Row]:
        kinds, symbols = {"", fields.get("instType")}, [name for name in fields.get("instId").split(",") if name]
        return [
            self._rows.position(one)
            for one in self._rows.open_positions()
            if (kinds == {""} or instrument_type(one.symbol) in kinds) and (not symbols or one.symbol in symbols)
        ]

    def _config(self, fields: OkxFields) -> list[Row]:  # noqa: ARG002
        return [
            {
                "acctLv": "2",
                "acctStpMode": "cancel_maker",
                "autoLoan": False,
                "ctIsoMode": "automatic",
                "greeksType": "PA",
                "level": "Lv1",
                "levelTmp": "",
                "mgnIsoMode": "automatic",
                "posMode": "net_mode",
                "spotOffsetType": "",
                "uid": self._uid,
                "label": "simulated",
                "roleType": "0",
                "traderInsts": [],
                "spotRoleType": "0",
                "spotTraderInsts": [],
                "opAuth": "0",
                "kycLv": "3",
                "ip": "",
                "perm": "read_only,trade",
                "mainUid": self._uid,
            }
        ]

    def _order(self, fields: OkxFields) -> list[Row]:
        return [self._rows.order(self._wanted(fields, "51603"))]

    def _pending(self, fields: OkxFields) -> list[Row]:
        return self._page(fields, [order for order in self._exchange.open_orders() if self._fits(fields, order)])

    def _history(self, fields: OkxFields) -> list[Row]:
        fields.choice("instType", "SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION")
        done = [order for order in self._exchange.orders.values() if not order.is_open and self._fits(fields, order)]
        begin, end = fields.whole("begin"), fields.whole("end")
        return self._page(fields, [order for order in done if _is_within(order.created_ns, begin, end)])

    def _fits(self, fields: OkxFields, order: ExchangeOrder) -> bool:
        row = {"instType": instrument_type(order.symbol), "instId": order.symbol, "ordType": order_type(order)}
        return all(fields.get(name) in {"", value} for name, value in row.items())

    def _page(self, fields: OkxFields, orders: list[ExchangeOrder]) -> list[Row]:
        """Return the orders that a page asks for, the newest first."""
        state = fields.get("state")
        after, before = fields.whole("after"), fields.whole("before")
        chosen = [order for order in reversed(orders) if _is_between(order.order_id, after, before)]
        rows = [self._rows.order(order) for order in chosen]
        return [row for row in rows if state in {"", row["state"]}][: fields.number("limit", _MOST_ROWS, _MOST_ROWS)]

    def _fills_history(self, fields: OkxFields) -> list[Row]:
        fields.choice("instType", "SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION")
        return self._fills(fields)

    def _fills(self, fields: OkxFields) -> list[Row]:
        after, before = fields.whole("after"), fields.whole("before")
        begin, end = fields.whole("begin"), fields.whole("end")

        def fits(fill: ExchangeFill) -> bool:
            row = {
                "instType": instrument_type(fill.symbol),
                "instId": fill.symbol,
                "ordId": str(fill.order_id),
            }
            return (
                all(fields.get(name) in {"", value} for name, value in row.items())
                and _is_between(fill.trade_id, after, before)
                and _is_within(fill.time_ns, begin, end)
            )

        limit = fields.number("limit", _MOST_ROWS, _MOST_ROWS)
        return [self._rows.fill(fill) for fill in reversed(self._exchange.fills) if fits(fill)][:limit]


def _is_between(number: int, after: int | None, before: int | None) -> bool:
    """Tell whether a row is on a page: older than one, and newer than another."""
    return (after is None or number < after) and (before is None or number > before)


def _is_within(time_ns: int, begin: int | None, end: int | None) -> bool:
    time_ms = time_ns // 1_000_000
    return (begin is None or time_ms >= begin) and (end is None or time_ms <= end)


__all__ = ("OkxTradeCalls",)
