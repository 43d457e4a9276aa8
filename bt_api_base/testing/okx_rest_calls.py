"""A request to the simulated OKX, taken apart: its parameters, its items, and how the venue refuses it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import msgspec

from bt_api_base.containers.decimals import to_decimal

if TYPE_CHECKING:
    from decimal import Decimal

    from bt_api_base.testing.rest_messages import RestRequest

WORDS: Final = {
    "404": "Not Found",
    "50001": "Service temporarily unavailable. Try again later",
    "50002": "JSON syntax error",
    "50004": "API endpoint request timeout (does not indicate success or failure of order, please check order status)",
    "50006": "Invalid Content-Type. Use application/JSON.",
    "50011": "Too Many Requests",
    "50014": "Parameter {} cannot be empty.",
    "50026": "System error. Try again later",
    "50036": "The expTime can't be earlier than the current system time. Please adjust the expTime and try again.",
    "50102": "Timestamp request expired",
    "50103": 'Request header "OK-ACCESS-KEY" cannot be empty.',
    "50104": 'Request header "OK-ACCESS-PASSPHRASE" cannot be empty.',
    "50105": 'Request header "OK-ACCESS-PASSPHRASE" incorrect.',
    "50106": 'Request header "OK-ACCESS-SIGN" cannot be empty.',
    "50107": 'Request header "OK-ACCESS-TIMESTAMP" cannot be empty.',
    "50111": "Invalid OK-ACCESS-KEY",
    "50112": "Invalid OK-ACCESS-TIMESTAMP",
    "50113": "Invalid Sign",
    "50115": "Invalid request type.",
    "51000": "Parameter {} error",
    "51001": "Instrument ID, Instrument ID code, or Spread ID doesn't exist.",
    "51005": "Order amount exceeds the max order amount.",
    "51006": "Order price is not within the price limit",
    "51008": "Order failed. Insufficient {} balance in account",
    "51016": "Client order ID already exists.",
    "51020": "Your order should meet or exceed the minimum order amount.",
    "51022": "Contract suspended",
    "51111": "Maximum {} orders can be placed in bulk",
    "51121": "Order quantity must be a multiple of the lot size.",
    "51169": "Order failed because you don't have any positions in this direction for this contract to reduce or "
    "close.",
    "51201": "Value of per market order cannot exceed {}",
    "51400": "Cancellation failed as the order has been filled, canceled or does not exist.",
    "51401": "Cancellation failed as the order is already canceled.",
    "51402": "Cancellation failed as the order is already completed.",
    "51503": "Modification failed as the order has been filled, canceled or does not exist.",
    "51509": "Modification failed as the order has been canceled.",
    "51510": "Modification failed as the order has been completed.",
    "51603": "Order does not exist",
}
"""What the venue says with its codes."""

_STATUSES: Final = {"404": 404, "50001": 503, "50011": 429, "50026": 500, "50115": 405}
_MOST_ITEMS: Final = 20
_CLIENT_ID: Final = re.compile(r"[A-Za-z0-9]{1,32}", re.ASCII)
_DIGITS: Final = re.compile(r"\d{1,19}", re.ASCII)


class RefusalError(Exception):
    """The venue refuses a request, or one item of it.

    Args:
        code: The venue's code.
        subject: What it is about, where the words say so.
        status: The HTTP status; None for the usual one, which is 200 for an item.
    """

    def __init__(self, code: str, subject: str = "", status: int | None = None) -> None:
        super().__init__(WORDS[code].replace("{}", subject))
        self.code = code
        self.status = status


def status_of(code: str) -> int:
    """Return the HTTP status that a code usually comes with."""
    if code in _STATUSES:
        return _STATUSES[code]
    if code.startswith("501"):
        return 401
    return 400 if code.startswith("500") or code == "51000" else 200


@attrs.define(eq=False)
class OkxFields:
    """The parameters of a request, or the fields of one item in its body."""

    values: dict[str, str]

    def get(self, name: str) -> str:
        """Return a parameter, empty where there is none."""
        return self.values.get(name, "")

    def need(self, name: str) -> str:
        """Return a parameter that there must be.

        Raises:
            RefusalError: There is none.
        """
        value = self.get(name)
        if not value:
            raise RefusalError("50014", name)
        return value

    def choice(self, name: str, *choices: str) -> str:
        """Return a parameter that is one of some words.

        Raises:
            RefusalError: It is another one.
        """
        value = self.get(name)
        if value not in choices:
            raise RefusalError("51000", name)
        return value

    def number(self, name: str, most: int, default: int) -> int:
        """Return a count, at most as high as the venue takes it.

        Raises:
            RefusalError: It is no count.
        """
        value = self.get(name)
        if not value:
            return default
        if not _DIGITS.fullmatch(value) or not int(value):
            raise RefusalError("51000", name)
        return min(int(value), most)

    def whole(self, name: str) -> int | None:
        """Return a whole number, None where there is none.

        Raises:
            RefusalError: It is something else.
        """
        value = self.get(name)
        if value and not _DIGITS.fullmatch(value):
            raise RefusalError("51000", name)
        return int(value) if value else None

    def amount(self, name: str) -> Decimal | None:
        """Return a price or quantity, None where there is none.

        Raises:
            RefusalError: It is no number.
        """
        value = self.get(name)
        try:
            return to_decimal(value) if value else None
        except ValueError:
            raise RefusalError("51000", name) from None

    def flag(self, name: str) -> bool:
        """Return a truth value, false where there is none.

        Raises:
            RefusalError: It is something else.
        """
        return self.choice(name, "", "true", "false") == "true"

    def client_id(self) -> str:
        """Return the client's id of an order, empty where there is none.

        Raises:
            RefusalError: It is not formed like one.
        """
        value = self.get("clOrdId")
        if value and not _CLIENT_ID.fullmatch(value):
            raise RefusalError("51000", "clOrdId")
        return value


def query_of(request: RestRequest) -> OkxFields:
    """Return the parameters of a GET request."""
    return OkxFields(request.params())


def items_of(request: RestRequest, *, several: bool) -> list[OkxFields]:
    """Return the items of a POST request's body.

    Args:
        request: The request.
        several: Whether it is an array of them.

    Raises:
        RefusalError: The body is not formed like that.
    """
    if "json" not in request.header("content-type").lower():
        raise RefusalError("50006")
    try:
        body: object = msgspec.json.decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RefusalError("50002") from None
    if not several:
        body = [body]
    if not isinstance(body, list) or not all(isinstance(item, dict) for item in cast("list[object]", body)):
        raise RefusalError("50002")
    items = cast("list[dict[str, Any]]", body)
    if not items:
        raise RefusalError("50014", "body")
    if len(items) > _MOST_ITEMS:
        raise RefusalError("51111", str(_MOST_ITEMS))
    return [OkxFields({name: _text(value) for name, value in item.items()}) for item in items]


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


__all__ = ("WORDS", "OkxFields", "RefusalError", "items_of", "query_of", "status_of")
