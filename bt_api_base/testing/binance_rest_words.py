"""Binance's errors over REST, in its own words, and its forms of numbers; for the spot market and for futures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bt_api_base.containers.enums import OrderStatus, Side, TimeInForce
from bt_api_base.testing.market_book import ATOMS_PER_UNIT, decimal_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from bt_api_base.testing.exchange_orders import ExchangeOrder

WORDS: Final[Mapping[int, str]] = {
    -1000: "An unknown error occurred while processing the request.",
    -1001: "Internal error; unable to process your request. Please try again.",
    -1003: "Too many requests; current limit is {limit} request weight per 1 MINUTE. "
    "Please use WebSocket Streams for live updates to avoid polling the API.",
    -1006: "An unexpected response was received from the message bus. Execution status unknown.",
    -1007: "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
    -1008: "Server is currently overloaded with other requests. Please try again in a few minutes.",
    -1015: "Too many new orders; current limit is {limit} orders per {window}.",
    -1021: "Timestamp for this request is outside of the recvWindow.",
    -1022: "Signature for this request is not valid.",
    -1100: "Illegal characters found in parameter '{name}'; legal range is '{legal}'.",
    -1102: "Mandatory parameter '{name}' was not sent, was empty/null, or malformed.",
    -1105: "Parameter '{name}' was empty.",
    -1106: "Parameter '{name}' sent when not required.",
    -1111: "Parameter '{name}' has too much precision.",
    -1115: "Invalid timeInForce.",
    -1116: "Invalid orderType.",
    -1117: "Invalid side.",
    -1120: "Invalid interval.",
    -1121: "Invalid symbol.",
    -1125: "This listenKey does not exist.",
    -1127: "More than {limit} hours between startTime and endTime.",
    -1128: "Combination of optional parameters invalid.",
    -1130: "Data sent for parameter '{name}' is not valid.",
    -1131: "recvWindow must be less than 60000.",
    -2010: "NEW_ORDER_REJECTED",
    -2011: "Unknown order sent.",
    -2013: "Order does not exist.",
    -2014: "API-key format invalid.",
    -2015: "Invalid API-key, IP, or permissions for action.",
    -2018: "Balance is insufficient.",
    -2019: "Margin is insufficient.",
    -2021: "Order cancel-replace partially failed.",
    -2022: "Order cancel-replace failed.",
    -4013: "Price less than min price.",
    -4014: "Price not increased by tick size.",
    -4015: "Client order id is not valid.",
    -4061: "Order's position side does not match user's setting.",
    -4116: "ClientOrderId is duplicated.",
    -4120: "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
    -4164: "Order's notional must be no smaller than {limit} (unless you choose reduce only).",
    -5022: "Due to the order could not be executed as maker, the Post Only order will be rejected. "
    "The order will not be recorded in the order history",
}
"""The usual words of each code."""

STATUSES: Final[Mapping[int, int]] = {-1003: 429, -1007: 504, -1008: 503, -1015: 429, -2014: 401, -2015: 401}
"""The HTTP status of codes where it is not 400."""

_STATUS_WORDS: Final[Mapping[OrderStatus, str]] = {
    OrderStatus.ACCEPTED: "NEW",
    OrderStatus.PARTIAL: "PARTIALLY_FILLED",
    OrderStatus.COMPLETED: "FILLED",
    OrderStatus.CANCELED: "CANCELED",
    OrderStatus.EXPIRED: "EXPIRED",
}


class RestError(Exception):
    """A request that the venue refuses.

    Args:
        code: The venue's code.
        message: The venue's words; empty for the usual ones.
        status: The HTTP status; None for the usual one.
        data: What else the answer has.
        **parts: What the usual words leave open.
    """

    def __init__(
        self, code: int, message: str = "", *, status: int | None = None, data: object = None, **parts: object
    ) -> None:
        super().__init__(message or WORDS.get(code, "").format(**parts))
        self.code = code
        self.status = STATUSES.get(code, 400) if status is None else status
        self.data = data

    def body(self) -> dict[str, object]:
        """Return what the venue answers."""
        body: dict[str, object] = {"code": self.code, "msg": str(self)}
        return body if self.data is None else {**body, "data": self.data}


def eight(value: Decimal | None) -> str:
    """Return an amount with eight decimals, as the spot market has it; none is zero."""
    return "0.00000000" if value is None else f"{value:.8f}"


def plain(value: Decimal | None) -> str:
    """Return an amount without zeros at its end, as the futures have it; none is zero."""
    if not value:
        return "0"
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def signed_text(atoms: int) -> str:
    """Return a number of atoms with eight decimals, negative ones too."""
    return decimal_text(atoms) if atoms >= 0 else "-" + decimal_text(-atoms)


def average_text(quote_volume: int, volume: int, price: int) -> str:
    """Return a volume-weighted average price; without volume the price that is given. All are in atoms."""
    return decimal_text(quote_volume * ATOMS_PER_UNIT // volume if volume else price)


def quote_text(price: int, quantity: int) -> str:
    """Return what a quantity in atoms is worth at a price in atoms."""
    return decimal_text(price * quantity // ATOMS_PER_UNIT)


def status_word(order: ExchangeOrder) -> str:
    """Return an order's status in the venue's words."""
    return _STATUS_WORDS[order.status]


def side_word(side: Side) -> str:
    """Return a side in the venue's words."""
    return "BUY" if side is Side.BUY else "SELL"


def type_word(order: ExchangeOrder) -> str:
    """Return an order's type in the venue's words."""
    return order.order_type.value.upper()


def time_word(time_in_force: TimeInForce) -> str:
    """Return a time in force in the venue's words."""
    return time_in_force.value.upper()


def milliseconds(time_ns: int) -> int:
    """Return a time in the venue's unit."""
    return time_ns // 1_000_000


__all__ = (
    "STATUSES",
    "WORDS",
    "RestError",
    "average_text",
    "eight",
    "milliseconds",
    "plain",
    "quote_text",
    "side_word",
    "signed_text",
    "status_word",
    "time_word",
    "type_word",
)
