"""The account at the simulated OKX as the venue prints it: orders, fills, balances and positions of the exchange.

REST and the private channels print the same, but for an order's last fill.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING, Final

import attrs

from bt_api_base.containers.decimals import decimal_text, quantize
from bt_api_base.containers.enums import OrderStatus, OrderType, Side, TimeInForce
from bt_api_base.testing.exchange_orders import (
    ATOM,
    ExchangeFill,
    ExchangeOrder,
    ExchangePosition,
    Holding,
    RejectReason,
)
from bt_api_base.testing.okx_frames import instrument_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bt_api_base.testing.exchange import Exchange

_ZERO: Final = Decimal(0)
_DOLLARS: Final = ("USD", "USDT", "USDC")
_STATES: Final = {
    OrderStatus.ACCEPTED: "live",
    OrderStatus.PARTIAL: "partially_filled",
    OrderStatus.COMPLETED: "filled",
    OrderStatus.CANCELED: "canceled",
    OrderStatus.EXPIRED: "canceled",
}
_TIMES: Final = {TimeInForce.IOC: "ioc", TimeInForce.FOK: "fok", TimeInForce.GTX: "post_only"}
_NOT_APPLICABLE_TO_ORDERS: Final = (
    "algoClOrdId",
    "algoId",
    "attachAlgoClOrdId",
    "ccy",
    "pxType",
    "pxUsd",
    "pxVol",
    "quickMgnType",
    "slOrdPx",
    "slTriggerPx",
    "slTriggerPxType",
    "source",
    "stpId",
    "stpMode",
    "tpOrdPx",
    "tpTriggerPx",
    "tpTriggerPxType",
)
_NOT_APPLICABLE_TO_FILLS: Final = (
    "fillPxVol",
    "fillFwdPx",
    "fillPxUsd",
    "fillMarkVol",
    "fillIdxPx",
    "fillMarkPx",
)
_NOTHING_OF_A_CURRENCY: Final = (
    "borrowFroz",
    "crossLiab",
    "fixedBal",
    "interest",
    "isoEq",
    "isoLiab",
    "isoUpl",
    "liab",
    "maxLoan",
    "rewardBal",
    "spotIsoBal",
    "stgyEq",
    "twap",
    "uplLiab",
)
_NOT_APPLICABLE_TO_BALANCES: Final = (
    "mgnRatio",
    "mmr",
    "notionalLever",
    "spotInUseAmt",
    "clSpotInUseAmt",
    "maxSpotInUseAmt",
)
_NOT_APPLICABLE_TO_POSITIONS: Final = (
    "deltaBS",
    "deltaPA",
    "gammaBS",
    "gammaPA",
    "thetaBS",
    "thetaPA",
    "vegaBS",
    "vegaPA",
    "idxPx",
    "usdPx",
    "bePx",
    "liab",
    "liabCcy",
    "liqPx",
    "margin",
    "mgnRatio",
    "mmr",
    "optVal",
    "pendingCloseOrdLiabVal",
    "baseBorrowed",
    "baseInterest",
    "quoteBorrowed",
    "quoteInterest",
    "posCcy",
    "spotInUseAmt",
    "spotInUseCcy",
    "clSpotInUseAmt",
    "maxSpotInUseAmt",
    "bizRefId",
    "bizRefType",
)

Row = dict[str, object]
"""One object of the venue's JSON."""


def plain(number: Decimal | None) -> str:
    """Return a number as the venue writes it: without trailing zeros, and empty where there is none."""
    if number is None:
        return ""
    text = decimal_text(number)
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def millis(time_ns: int) -> str:
    """Return a time as the venue writes it."""
    return str(time_ns // 1_000_000)


@attrs.frozen
class OrderDetails:
    """What an order was asked for with, and means nothing to the exchange."""

    size: str = ""
    """As it was asked for; empty: the order's quantity."""
    trade_mode: str = ""
    size_currency: str = ""
    tag: str = ""


@attrs.define(eq=False)
class OkxRows:
    """Prints what an exchange has.

    Attributes:
        exchange: The exchange.
        now_ns: Its clock.
        placing: The details of the order that is being placed.
    """

    exchange: Exchange
    now_ns: Callable[[], int]
    placing: OrderDetails = OrderDetails()
    _details: dict[int, OrderDetails] = attrs.field(factory=dict[int, OrderDetails])

    def note(self, order: ExchangeOrder) -> OrderDetails:
        """Return an order's details; of one that is not known yet, those of the order that is being placed."""
        return self._details.setdefault(order.order_id, self.placing)

    def amended(self, order: ExchangeOrder) -> None:
        """Forget the size that an order was asked for with: it has another one now."""
        self._details[order.order_id] = attrs.evolve(self.note(order), size="")

    def order(self, order: ExchangeOrder) -> Row:
        """Return an order as REST prints it."""
        details = self.note(order)
        last = order.fills[-1] if order.fills else None
        paid = sum((fill.fee for fill in order.fills), _ZERO)
        won = sum((fill.realized_pnl for fill in order.fills), _ZERO)
        got, gave = self._currencies(order)
        is_derivative = self.exchange.is_derivative(order.symbol)
        return {
            **dict.fromkeys(_NOT_APPLICABLE_TO_ORDERS, ""),
            "accFillSz": plain(order.executed),
            "attachAlgoOrds": [],
            "avgPx": plain(order.avg_price),
            "cTime": millis(order.created_ns),
            "cancelSource": _cancel_source(order),
            "cancelSourceReason": "",
            "category": "normal",
            "clOrdId": order.client_order_id,
            "fee": plain(-paid),
            "feeCcy": got,
            "fillPx": "" if last is None else plain(last.price),
            "fillSz": "0" if last is None else plain(last.quantity),
            "fillTime": "" if last is None else millis(last.time_ns),
            "instId": order.symbol,
            "instType": instrument_type(order.symbol),
            "isTpLimit": "false",
            "lever": str(self.exchange.leverage) if is_derivative else "",
            "linkedAlgoOrd": {"algoId": ""},
            "ordId": str(order.order_id),
            "ordType": order_type(order),
            "pnl": plain(won),
            "posSide": "net" if is_derivative else "",
            "px": plain(order.price),
            "rebate": "0",
            "rebateCcy": gave,
            "reduceOnly": "true" if order.reduce_only else "false",
            "side": str(order.side),
            "state": _STATES[order.status],
            "sz": details.size or plain(order.quantity),
            "tag": details.tag,
            "tdMode": details.trade_mode or ("cross" if is_derivative else "cash"),
            "tgtCcy": details.size_currency,
            "tradeId": "" if last is None else str(last.trade_id),
            "uTime": millis(order.updated_ns),
        }

    def order_event(self, order: ExchangeOrder, fill: ExchangeFill | None) -> Row:
        """Return an order as the private channel prints it: with what was executed just now."""
        is_taker = fill is not None and not fill.is_maker
        return {
            **self.order(order),
            "fillPx": "" if fill is None else plain(fill.price),
            "fillSz": "0" if fill is None else plain(fill.quantity),
            "fillTime": "" if fill is None else millis(fill.time_ns),
            "tradeId": "" if fill is None else str(fill.trade_id),
            "fillFee": "0" if fill is None else plain(-fill.fee),
            "fillFeeCcy": "" if fill is None else fill.fee_currency,
            "fillPnl": "0" if fill is None else plain(fill.realized_pnl),
            "execType": "" if fill is None else "T" if is_taker else "M",
            "fillNotionalUsd": "",
            "notionalUsd": "",
            "amendResult": "",
            "reqId": "",
            "lastPx": "",
            "code": "0",
            "msg": "",
        }

    def fill(self, fill: ExchangeFill) -> Row:
        """Return a fill as REST prints it. Its bill has the fill's number: later ones have higher numbers."""
        order = self.exchange.orders[fill.order_id]
        rate = self.exchange.maker_fee if fill.is_maker else self.exchange.taker_fee
        is_derivative = self.exchange.is_derivative(fill.symbol)
        return {
            **dict.fromkeys(_NOT_APPLICABLE_TO_FILLS, ""),
            "side": str(fill.side),
            "fillSz": plain(fill.quantity),
            "fillPx": plain(fill.price),
            "fee": plain(-fill.fee),
            "fillPnl": plain(fill.realized_pnl),
            "ordId": str(fill.order_id),
            "feeRate": plain(-rate),
            "instType": instrument_type(fill.symbol),
            "instId": fill.symbol,
            "clOrdId": order.client_order_id,
            "posSide": "net" if is_derivative else "",
            "billId": str(fill.trade_id),
            "subType": "1" if fill.side is Side.BUY else "2",
            "tag": self.note(order).tag,
            "fillTime": millis(fill.time_ns),
            "execType": "M" if fill.is_maker else "T",
            "tradeId": str(fill.trade_id),
            "feeCcy": fill.fee_currency,
            "ts": millis(fill.time_ns),
        }

    def balance(self, currency: str) -> Row:
        """Return what the account has of a currency."""
        holding = self.exchange.balances.get(currency, Holding())
        unrealized = sum(
            (
                self.exchange.unrealized(position.symbol)
                for position in self.exchange.positions.values()
                if position.volume and self.exchange.settle_currency(position.symbol) == currency
            ),
            _ZERO,
        )
        equity = holding.total + unrealized
        free = plain(max(holding.free, _ZERO))
        dollars = plain(self._dollars(currency, equity))
        return {
            **dict.fromkeys(_NOTHING_OF_A_CURRENCY, "0"),
            **dict.fromkeys(_NOT_APPLICABLE_TO_BALANCES, ""),
            "availBal": free,
            "availEq": free,
            "cashBal": plain(holding.total),
            "ccy": currency,
            "disEq": dollars,
            "eq": plain(equity),
            "eqUsd": dollars,
            "frozenBal": plain(holding.locked),
            "imr": "",
            "ordFrozen": plain(holding.locked),
            "uTime": millis(self.now_ns()),
            "upl": plain(unrealized),
        }

    def account(self, currencies: Iterable[str] | None = None) -> Row:
        """Return the account, with some of its currencies, or all that there is anything of."""
        held = self.exchange.balances
        known = [currency for currency, holding in held.items() if holding.total or holding.locked]
        dollars = [self._dollars(currency, held[currency].total) for currency in known]
        unrealized = [self.exchange.unrealized(one.symbol) for one in self.exchange.positions.values() if one.volume]
        return {
            "adjEq": "",
            "borrowFroz": "",
            "details": [self.balance(currency) for currency in (known if currencies is None else currencies)],
            "imr": "",
            "isoEq": "0",
            "mgnRatio": "",
            "mmr": "",
            "notionalUsd": "",
            "ordFroz": "",
            "totalEq": plain(sum(dollars, _ZERO)),
            "uTime": millis(self.now_ns()),
            "upl": plain(sum(unrealized, _ZERO)),
        }

    def position(self, position: ExchangePosition) -> Row:
        """Return a position, open or just closed."""
        exchange, symbol = self.exchange, position.symbol
        mark = exchange.reference_price(symbol)
        unrealized = self.exchange.unrealized(position.symbol)
        last = next((fill for fill in reversed(exchange.fills) if fill.symbol == symbol), None)
        margin = position.value / exchange.leverage
        return {
            **dict.fromkeys(_NOT_APPLICABLE_TO_POSITIONS, ""),
            "adl": "1",
            "availPos": plain(position.volume),
            "avgPx": plain(position.avg_price) if position.volume else "",
            "cTime": millis(position.opened_ns),
            "ccy": self.exchange.settle_currency(symbol),
            "imr": plain(quantize(margin, ATOM, ROUND_DOWN)) if position.volume else "",
            "instId": symbol,
            "instType": instrument_type(symbol),
            "interest": "0",
            "last": plain(mark),
            "lever": str(exchange.leverage),
            "markPx": plain(mark),
            "mgnMode": "cross",
            "notionalUsd": plain(exchange.notional(symbol, mark, abs(position.volume))),
            "pTime": millis(self.now_ns()),
            "pos": plain(position.volume),
            "posId": str(1_001 + sorted(exchange.instruments).index(symbol)),
            "posSide": "net",
            "tradeId": "" if last is None else str(last.trade_id),
            "uTime": millis(position.updated_ns),
            "upl": plain(unrealized),
            "uplLastPx": plain(unrealized),
            "uplRatio": "",
            "uplRatioLastPx": "",
            "realizedPnl": plain(position.realized - position.fees),
            "pnl": plain(position.realized),
            "fee": plain(-position.fees),
            "fundingFee": "0",
            "liqPenalty": "0",
            "closeOrderAlgo": [],
        }

    def open_positions(self) -> list[ExchangePosition]:
        """Return the positions that there are."""
        return [position for position in self.exchange.positions.values() if position.volume]

    def _dollars(self, currency: str, amount: Decimal) -> Decimal:
        if currency in _DOLLARS:
            return amount
        for dollar in ("USDT", "USDC", "USD"):
            symbol = f"{currency}-{dollar}"
            if symbol in self.exchange.markets:
                return quantize(amount * self.exchange.reference_price(symbol), ATOM, ROUND_DOWN)
        return _ZERO

    def _currencies(self, order: ExchangeOrder) -> tuple[str, str]:
        """Return what an order pays its fee in, and the other one."""
        if self.exchange.is_derivative(order.symbol):
            currency = self.exchange.settle_currency(order.symbol)
            return currency, currency
        instrument = self.exchange.instruments[order.symbol]
        both = (instrument.base_currency, instrument.quote_currency)
        return both if order.side is Side.BUY else (both[1], both[0])


def order_type(order: ExchangeOrder) -> str:
    """Return the venue's word for an order's type; the time in force is a part of it."""
    if order.order_type is OrderType.MARKET:
        return "market"
    if order.order_type is OrderType.LIMIT_MAKER:
        return "post_only"
    return _TIMES.get(order.time_in_force, "limit")


def _cancel_source(order: ExchangeOrder) -> str:
    """Return the venue's number for why an order was canceled."""
    if order.status is OrderStatus.EXPIRED:
        return {"fok": "13", "ioc": "14", "market": "14"}.get(order_type(order), "9")
    if order.status is OrderStatus.CANCELED:
        return "31" if order.reason is RejectReason.WOULD_MATCH else "1"
    return ""


__all__ = ("OkxRows", "OrderDetails", "Row", "millis", "order_type", "plain")
