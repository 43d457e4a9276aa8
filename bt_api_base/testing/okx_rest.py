"""The simulated OKX's REST side: version 5, with its signatures, its clock, its limits and its words.

Every endpoint has a limit of its own, in windows of two seconds: for an address, for the account, or for the account
and an instrument. Nothing tells how much of it is used, and nothing when it is free again: so it is at the venue.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import msgspec

from bt_api_base.containers.instrument import utc_ns
from bt_api_base.testing.exchange_rules import exact_arithmetic
from bt_api_base.testing.okx_rest_calls import WORDS, OkxFields, RefusalError, items_of, query_of, status_of
from bt_api_base.testing.okx_rest_market import OkxMarketCalls
from bt_api_base.testing.okx_rest_trade import OkxTradeCalls
from bt_api_base.testing.rest_limits import AlignedWindow
from bt_api_base.testing.rest_messages import RestReply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bt_api_base.security import Credentials
    from bt_api_base.testing.okx_rows import OkxRows
    from bt_api_base.testing.rest_messages import RestRequest
    from bt_api_base.testing.rest_venue import TradingVenue

_WINDOW: Final = 2
_REQUEST_LIFE_NS: Final = 30_000_000_000
_TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_MICROSECOND_NS: Final = 1_000
_ALL_FAILED: Final = "All operations failed"
_SOME_FAILED: Final = "Bulk operation partially succeeded."
_BY_INSTRUMENT: Final = "instrument"
_BY_TYPE: Final = "type"

LIMITS: Final[Mapping[str, tuple[int, str]]] = {
    "GET /api/v5/public/time": (10, ""),
    "GET /api/v5/public/instruments": (20, _BY_TYPE),
    "GET /api/v5/public/mark-price": (10, ""),
    "GET /api/v5/public/funding-rate": (10, _BY_INSTRUMENT),
    "GET /api/v5/market/ticker": (20, ""),
    "GET /api/v5/market/tickers": (20, ""),
    "GET /api/v5/market/books": (40, ""),
    "GET /api/v5/market/candles": (40, ""),
    "GET /api/v5/market/history-candles": (20, ""),
    "GET /api/v5/market/trades": (100, ""),
    "GET /api/v5/account/balance": (10, ""),
    "GET /api/v5/account/positions": (10, ""),
    "GET /api/v5/account/config": (5, ""),
    "GET /api/v5/trade/order": (60, _BY_INSTRUMENT),
    "GET /api/v5/trade/orders-pending": (60, ""),
    "GET /api/v5/trade/orders-history": (40, ""),
    "GET /api/v5/trade/orders-history-archive": (20, ""),
    "GET /api/v5/trade/fills": (60, ""),
    "GET /api/v5/trade/fills-history": (10, ""),
    "POST /api/v5/trade/order": (60, _BY_INSTRUMENT),
    "POST /api/v5/trade/cancel-order": (60, _BY_INSTRUMENT),
    "POST /api/v5/trade/amend-order": (60, _BY_INSTRUMENT),
    "POST /api/v5/trade/batch-orders": (300, _BY_INSTRUMENT),
    "POST /api/v5/trade/cancel-batch-orders": (300, _BY_INSTRUMENT),
    "POST /api/v5/trade/amend-batch-orders": (300, _BY_INSTRUMENT),
}
"""What there is, how often in two seconds, and what else it is counted by. Batches count their orders."""


@attrs.define(eq=False)
class _Limits:
    """How often what was asked for."""

    scale: float = 1.0
    windows: dict[tuple[str, str], AlignedWindow] = attrs.field(factory=dict[tuple[str, str], AlignedWindow])

    def count(self, route: str, key: str, cost: int, now_ns: int) -> None:
        """Count a request.

        Raises:
            RefusalError: It is too much.
        """
        window = self.windows.get((route, key))
        if window is None:
            limit = max(1, int(LIMITS[route][0] * self.scale))
            window = self.windows[route, key] = AlignedWindow(limit, _WINDOW)
        if window.used(now_ns) + cost > window.limit:
            raise RefusalError("50011")
        window.add(cost, now_ns)


class OkxRest:
    """Answers REST requests as OKX does.

    Args:
        venue: The venue.
        rows: Prints what its exchange has.
        credentials: What signatures are checked against.
        uid: The account's number.
    """

    def __init__(self, venue: TradingVenue, rows: OkxRows, credentials: Credentials, uid: str) -> None:
        self._venue = venue
        self._credentials = credentials
        self._market = OkxMarketCalls(venue)
        self._trade = OkxTradeCalls(venue, rows, uid)
        self._limits = _Limits()

    def allow(self, scale: float) -> None:
        """Change all limits.

        Args:
            scale: What they are multiplied by.
        """
        self._limits = _Limits(scale)

    def answer(self, request: RestRequest) -> RestReply:
        """Do what a request asks for, and answer it.

        Args:
            request: The request.
        """
        began = self._venue.rest.now_ns()
        try:
            with exact_arithmetic():
                if request.method == "GET":
                    return self._reply(self._answer_query(request))
                return self._command(request, began)
        except RefusalError as error:
            return _refusal(error.code, str(error), error.status)

    def limited(self, seconds: float, *, banned: bool) -> RestReply:  # noqa: ARG002
        """Return the venue's refusal of who asks too much. It has the same words for all kinds of it.

        Args:
            seconds: How long that is going to last; the venue does not say.
            banned: Whether it is a ban.
        """
        return _refusal("50011", WORDS["50011"], 403 if banned else None)

    def failed(self, status: int) -> RestReply:
        """Return how the venue says that it has a problem of its own.

        Args:
            status: The HTTP status.
        """
        code = {400: "50004", 408: "50004", 504: "50004", 503: "50001", 429: "50011"}.get(status, "50026")
        return _refusal(code, WORDS[code], status)

    def placed_ids(self, request: RestRequest) -> tuple[str, ...]:
        """Return the client's ids of the orders that a request would place.

        Args:
            request: The request.
        """
        if request.method != "POST" or request.path not in {"/api/v5/trade/order", "/api/v5/trade/batch-orders"}:
            return ()
        try:
            body: object = msgspec.json.decode(request.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ()
        items = cast("list[object]", body if isinstance(body, list) else [body])
        ids = [cast("dict[str, Any]", item).get("clOrdId") for item in items if isinstance(item, dict)]
        return tuple(one for one in ids if isinstance(one, str) and one)

    def _answer_query(self, request: RestRequest) -> object:
        path, fields = request.path, query_of(request)
        public = self._market.handlers.get(path)
        if public is not None:
            self._count(request, fields, request.host)
            return public(fields)
        private = self._trade.queries.get(path)
        if private is None:
            raise self._nowhere(request)
        self._authenticate(request)
        self._count(request, fields, "")
        return private(fields)

    def _command(self, request: RestRequest, began: int) -> RestReply:
        path = request.path
        single = self._trade.batches.get(path, path)
        if request.method != "POST" or single not in self._trade.commands:
            raise self._nowhere(request)
        self._authenticate(request)
        items = items_of(request, several=path != single)
        # A batch of one is counted as what it is.
        route = single if len(items) == 1 else path
        for symbol in dict.fromkeys(item.get("instId") for item in items):
            cost = sum(item.get("instId") == symbol for item in items)
            self._limits.count(f"POST {route}", symbol, cost, began)
        self._check_expiry(request)
        done = [self._trade.run(single, item) for item in items]
        failed = sum(row["sCode"] != "0" for row in done)
        code, words = "0", ""
        if failed:
            code, words = (
                ("1", "All operations failed") if failed == len(done) else ("2", "Bulk operation partially succeeded.")
            )
        body = {"code": code, "msg": words, "data": done}
        ended = max(self._venue.rest.now_ns(), began)
        times = {"inTime": str(began // _MICROSECOND_NS), "outTime": str(ended // _MICROSECOND_NS)}
        return RestReply.json({**body, **times})

    def _reply(self, data: object) -> RestReply:
        return RestReply.json({"code": "0", "msg": "", "data": data})

    def _nowhere(self, request: RestRequest) -> RefusalError:
        known = any(route.endswith(f" {request.path}") for route in LIMITS)
        return RefusalError("50115") if known else RefusalError("404")

    def _count(self, request: RestRequest, fields: OkxFields, who: str) -> None:
        route = f"GET {request.path}"
        by = LIMITS[route][1]
        what = fields.get("instId") if by == _BY_INSTRUMENT else fields.get("instType") if by == _BY_TYPE else ""
        self._limits.count(route, f"{who}/{what[:40]}", 1, self._venue.rest.now_ns())

    def _check_expiry(self, request: RestRequest) -> None:
        expiry = request.header("expTime")
        if expiry and (not expiry.isdecimal() or int(expiry[:19]) * 1_000_000 < self._venue.rest.now_ns()):
            raise RefusalError("50036", status=200)

    def _authenticate(self, request: RestRequest) -> None:
        """Go on if a request is signed by the account's owner, and in time.

        Raises:
            RefusalError: It is not.
        """
        headers = {name: request.header(f"OK-ACCESS-{name}") for name in ("KEY", "PASSPHRASE", "SIGN", "TIMESTAMP")}
        for (name, value), code in zip(headers.items(), ("50103", "50104", "50106", "50107"), strict=True):
            if not value:
                raise RefusalError(code, name)
        timestamp = headers["TIMESTAMP"]
        moment = _moment(timestamp)
        if moment is None:
            raise RefusalError("50112")
        if abs(moment - self._venue.rest.now_ns()) > _REQUEST_LIFE_NS:
            raise RefusalError("50102")
        known = self._credentials
        if not _is_same(headers["KEY"], known.api_key.reveal()):
            raise RefusalError("50111")
        if known.passphrase is None or not _is_same(headers["PASSPHRASE"], known.passphrase.reveal()):
            raise RefusalError("50105")
        text = f"{timestamp}{request.method}{request.target}".encode() + request.body
        digest = hmac.digest(known.secret.reveal().encode(), text, hashlib.sha256)
        if not _is_same(headers["SIGN"], base64.b64encode(digest).decode()):
            raise RefusalError("50113")


def _refusal(code: str, words: str, status: int | None) -> RestReply:
    body = {"code": code, "msg": words, "data": list[object]()}
    return RestReply.json(body, status_of(code) if status is None else status)


def _moment(timestamp: str) -> int | None:
    """Return the nanoseconds since the epoch of a time as the venue wants it, or None for another form."""
    if not _TIMESTAMP.fullmatch(timestamp):
        return None
    try:
        whole = datetime.strptime(timestamp[:-5], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return utc_ns(whole) + int(timestamp[-4:-1]) * 1_000_000


def _is_same(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode(), known.encode())


__all__ = ("LIMITS", "OkxRest")
