"""How Binance's simulated REST sides take a request: parameters, security, limits; the endpoints are tables.

Sources: Binance spot API documentation, "REST API" and "Errors"; USD-M futures, "General Info" and "Error Codes". Where
they are silent, the comment says what was assumed.
"""

from __future__ import annotations

import hmac
import math
import re
from abc import abstractmethod
from contextlib import contextmanager
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

import attrs

from bt_api_base.feeds.endpoint import Security
from bt_api_base.security.signing import hmac_hex, is_private_key, private_key_base64
from bt_api_base.testing.binance_rest_words import RestError
from bt_api_base.testing.rest_limits import AlignedWindow, WeightLimit
from bt_api_base.testing.rest_messages import RestReply

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from bt_api_base.security import Credentials
    from bt_api_base.testing.rest_messages import RestRequest
    from bt_api_base.testing.rest_venue import TradingVenue

_MOST_AHEAD_NS: Final = 1_000_000_000
_WINDOW_MS: Final = Decimal(5_000)
_LONGEST_WINDOW_MS: Final = Decimal(60_000)
_INTEGER: Final = re.compile(r"[0-9]{1,20}")
_DECIMAL: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
_WINDOW: Final = re.compile(r"[0-9]{1,5}(\.[0-9]{1,3})?")
_MOST_PLACES: Final = 8
_UNIT_NAMES: Final = {10: ("10S", "SECOND", 10), 60: ("1M", "MINUTE", 1), 86_400: ("1D", "DAY", 1)}


@attrs.define(eq=False)
class Call:
    """A request that is being answered."""

    request: RestRequest
    params: Mapping[str, str]
    """Of query and body, decoded."""
    venue: TradingVenue
    now_ns: int
    """The venue's clock."""
    legal_ids: re.Pattern[str]
    """What client order ids look like."""

    # What a parameter says. Wrong ones are refused in the venue's words.

    def text(self, name: str) -> str:
        """Return a mandatory parameter."""
        value = self.params.get(name, "")
        if not value:
            raise RestError(-1102, name=name)
        return value

    def optional(self, name: str) -> str | None:
        """Return a parameter, None where there is none; an empty one is wrong."""
        value = self.params.get(name)
        if value == "":
            raise RestError(-1105, name=name)
        return value

    def integer(self, name: str) -> int | None:
        """Return a whole number, not negative."""
        value = self.optional(name)
        if value is None:
            return None
        if not _INTEGER.fullmatch(value):
            raise RestError(-1100, name=name, legal="^[0-9]{1,20}$")
        return int(value)

    def limit(self, default: int, most: int) -> int:
        """Return how many rows are asked for; too many are as many as there can be."""
        value = self.integer("limit")
        if value == 0:
            raise RestError(-1130, name="limit")
        return default if value is None else min(value, most)

    def amount(self, name: str, *, mandatory: bool = False) -> Decimal | None:
        """Return a decimal number, not negative."""
        value = self.text(name) if mandatory else self.optional(name)
        if value is None:
            return None
        if not _DECIMAL.fullmatch(value):
            raise RestError(-1100, name=name, legal="^([0-9]{1,20})(\\.[0-9]{1,20})?$")
        if len(value.partition(".")[2].rstrip("0")) > _MOST_PLACES:
            raise RestError(-1111, name=name)
        return Decimal(value)

    def time_us(self, name: str) -> int | None:
        """Return a time in microseconds since the epoch; its unit is told by its size."""
        value = self.integer(name)
        return None if value is None else value if value >= 10**14 else value * 1_000

    def symbol(self) -> str:
        """Return the internal symbol of the mandatory parameter."""
        symbol = self.venue.symbol_of(self.text("symbol"))
        if symbol is None:
            raise RestError(-1121)
        return symbol

    def optional_symbol(self) -> str | None:
        """Return the internal symbol where there is one."""
        return None if self.optional("symbol") is None else self.symbol()

    def client_id(self, name: str, code: int = -1100) -> str | None:
        """Return a client order id."""
        value = self.optional(name)
        if value is not None and not self.legal_ids.fullmatch(value):
            raise RestError(code, name=name, legal=f"^{self.legal_ids.pattern}$")
        return value


Weight: TypeAlias = "int | Callable[[Mapping[str, str]], int]"
"""What a call costs, or what says it of the parameters."""


@attrs.frozen
class Route:
    """One endpoint.

    Attributes:
        handler: Makes the answer: what JSON can say, or a reply.
        weight: What a call costs.
        security: What the venue wants to know of who asks.
        is_free_when_done: Whether a call costs nothing when it succeeds.
        places: Whether it places an order, and tells the counts of orders.
    """

    handler: Callable[[Call], Any]
    weight: Weight = 1
    security: Security = Security.PUBLIC
    is_free_when_done: bool = False
    places: bool = False


class BinanceRest:
    """The REST side of one of Binance's markets.

    Args:
        venue: What it is the REST side of.
        credentials: What signatures are checked against.
        weight_limit: Weight of an address's requests in a minute.
        order_windows: What the account's orders are counted in.
    """

    legal_ids: ClassVar[re.Pattern[str]]
    place_path: ClassVar[tuple[str, ...]]
    """Paths of what places orders, with POST."""

    def __init__(
        self,
        venue: TradingVenue,
        credentials: Credentials,
        *,
        weight_limit: int,
        order_windows: tuple[AlignedWindow, AlignedWindow],
    ) -> None:
        self._venue = venue
        self._credentials = credentials
        options = venue.options
        self.weights = WeightLimit(
            AlignedWindow(options.get("weight_limit", weight_limit), 60),
            options.get("offences_until_ban", 3),
            options.get("ban_time", 120.0),
        )
        """What an address's requests weigh."""
        self.order_windows = order_windows
        """The orders of the account."""
        self._order_names = count(1)
        self.routes = self._routes()

    @abstractmethod
    def _routes(self) -> Mapping[tuple[str, str], Route]:
        """Return the endpoints by method and path."""

    # RestDialect.

    def answer(self, request: RestRequest) -> RestReply:
        """Do what a request asks for; see `bt_api_base.testing.rest_messages.RestDialect`."""
        now_ns = self._venue.rest.now_ns()
        route = self.routes.get((request.method, request.path))
        if route is None:
            return self._unknown(request)
        params = request.params()
        cost = route.weight if isinstance(route.weight, int) else _weight(route.weight, params)
        refusal = self.weights.refusal(cost, now_ns)
        if refusal is not None:
            seconds, banned = refusal
            return self.limited(seconds, banned=banned)
        call = Call(request, params, self._venue, now_ns, self.legal_ids)
        try:
            self._check_security(route.security, call)
            result = route.handler(call)
        except RestError as error:
            return RestReply.json(error.body(), error.status, self._headers(route, now_ns))
        if route.is_free_when_done:
            self.weights.window.add(-cost, now_ns)
        headers = self._headers(route, now_ns)
        return result if isinstance(result, RestReply) else RestReply.json(result, 200, headers)

    def limited(self, seconds: float, *, banned: bool) -> RestReply:
        """Refuse who asks too much; see there."""
        now_ns = self._venue.rest.now_ns()
        if banned:
            until = (now_ns + round(seconds * 1e9)) // 1_000_000
            text = (
                f"Way too much request weight used; IP banned until {until}. "
                "Please use WebSocket Streams for live updates to avoid bans."
            )
            error = RestError(-1003, text, status=418)
        else:
            error = RestError(-1003, limit=self.weights.window.limit)
        headers = (("retry-after", str(max(1, math.ceil(seconds)))), *self._weight_headers(now_ns))
        return RestReply.json(error.body(), error.status, headers)

    def failed(self, status: int) -> RestReply:
        """Say that the venue has a problem of its own; see there."""
        code = {503: -1008, 504: -1007, 502: -1006, 500: -1000}.get(status)
        if code is None or status == 503:
            # What is in front of the venue answers these.
            return RestReply(status, f"<html><body><h1>{status}</h1></body></html>".encode(), (_HTML,))
        return RestReply.json(RestError(code).body(), status)

    def placed_ids(self, request: RestRequest) -> tuple[str, ...]:
        """Return the client's ids of the orders that a request would place; see there."""
        if request.method != "POST" or request.path not in self.place_path:
            return ()
        name = request.params().get("newClientOrderId", "")
        return (name,) if name else ()

    # For the endpoints.

    def new_client_order_id(self) -> str:
        """Return an id for an order that its owner has not named."""
        return f"sim{next(self._order_names):019d}"

    @contextmanager
    def counted_order(self, now_ns: int) -> Generator[None]:
        """Count the order that is placed in the block, unless it is refused.

        Raises:
            RestError: There were too many.
        """
        for window in self.order_windows:
            if window.used(now_ns) >= window.limit:
                _, unit, number = _UNIT_NAMES[window.seconds]
                raise RestError(-1015, limit=window.limit, window=f"{number} {unit}")
        for window in self.order_windows:
            window.add(1, now_ns)
        try:
            yield
        except BaseException:
            for window in self.order_windows:
                window.add(-1, now_ns)
            raise

    def order_limits(self, now_ns: int | None = None) -> list[dict[str, object]]:
        """Return the limits of orders, with what is used of them where a time is given."""
        rows: list[dict[str, object]] = []
        for window in self.order_windows:
            _, unit, number = _UNIT_NAMES[window.seconds]
            row: dict[str, object] = {
                "rateLimitType": "ORDERS",
                "interval": unit,
                "intervalNum": number,
                "limit": window.limit,
            }
            rows.append(row if now_ns is None else {**row, "count": window.used(now_ns)})
        return rows

    # Inside.

    def _unknown(self, request: RestRequest) -> RestReply:
        del request
        return RestReply(404, b"<html><body><h2>404 Not found</h2></body></html>", (_HTML,))

    def _weight_headers(self, now_ns: int) -> tuple[tuple[str, str], ...]:
        used = str(self.weights.window.used(now_ns))
        return (("x-mbx-used-weight", used), ("x-mbx-used-weight-1m", used))

    def _headers(self, route: Route, now_ns: int) -> tuple[tuple[str, str], ...]:
        headers = self._weight_headers(now_ns)
        if not route.places:
            return headers
        counts = [
            (f"x-mbx-order-count-{_UNIT_NAMES[window.seconds][0].lower()}", str(window.used(now_ns)))
            for window in self.order_windows
        ]
        return (*headers, *counts)

    def _check_security(self, security: Security, call: Call) -> None:
        if security is Security.PUBLIC:
            return
        key = call.request.header("X-MBX-APIKEY")
        if not key:
            raise RestError(-2014)
        if not hmac.compare_digest(key.encode(), self._credentials.api_key.reveal().encode()):
            raise RestError(-2015)
        if security is not Security.SIGNED:
            return
        self._check_time(call)
        signature = call.text("signature")
        payload = _signed_text(call.request)
        if not self._is_signature(signature, payload):
            raise RestError(-1022)

    def _check_time(self, call: Call) -> None:
        stamp = call.text("timestamp")
        if not _INTEGER.fullmatch(stamp):
            raise RestError(-1100, name="timestamp", legal="^[0-9]{1,20}$")
        time_ns = int(stamp) * (1_000_000 if int(stamp) < 10**14 else 1_000)
        text = call.optional("recvWindow")
        if text is not None and not _WINDOW.fullmatch(text):
            raise RestError(-1100, name="recvWindow", legal="^[0-9]{1,5}(\\.[0-9]{1,3})?$")
        window = _WINDOW_MS if text is None else Decimal(text)
        if window > _LONGEST_WINDOW_MS:
            raise RestError(-1131)
        if time_ns >= call.now_ns + _MOST_AHEAD_NS:
            raise RestError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
        if call.now_ns // 1_000_000 * 1_000_000 - time_ns > window * 1_000_000:
            raise RestError(-1021)

    def _is_signature(self, signature: str, payload: str) -> bool:
        secret = self._credentials.secret
        if is_private_key(secret):
            wanted = private_key_base64(secret, payload, password=self._credentials.passphrase)
        else:
            wanted, signature = hmac_hex(secret, payload), signature.lower()
        return hmac.compare_digest(wanted.encode(), signature.encode())


_HTML: Final = ("content-type", "text/html")


def _signed_text(request: RestRequest) -> str:
    """Return query and body one after the other, as they came, without the signature."""
    return "".join(
        "&".join(part for part in text.split("&") if not part.startswith("signature="))
        for text in (request.query, request.body.decode("utf-8", "replace"))
    )


def _weight(function: Callable[[Mapping[str, str]], int], params: Mapping[str, str]) -> int:
    """Return what a call costs, at least 1: wrong parameters must not be free."""
    return max(1, function(params))


def number_of(params: Mapping[str, str], name: str, default: int) -> int:
    """Return a parameter as a number for the price of a call, whether or not it is right.

    Args:
        params: The parameters.
        name: Which.
        default: Instead of none, or of what is no number.
    """
    text = params.get(name, "")
    return int(text) if _INTEGER.fullmatch(text) else default


def listed(params: Mapping[str, str], name: str) -> list[str] | None:
    """Return a parameter that is a list in JSON, None where there is none.

    Args:
        params: The parameters.
        name: Which.

    Raises:
        RestError: It is no list of symbols.
    """
    text = params.get(name)
    if text is None:
        return None
    if not re.fullmatch(r'\["[^"\\]+"(,"[^"\\]+")*\]', text):
        raise RestError(-1100, name=name, legal='^\\["[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}\\]$')
    return text[2:-2].split('","')


__all__ = ("BinanceRest", "Call", "Route", "Weight", "listed", "number_of")
