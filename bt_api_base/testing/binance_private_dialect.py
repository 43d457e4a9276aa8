"""What Binance's spot WebSocket API makes of log-ins and of requests for account events, in the venue's own words.

Source: Binance spot API documentation, "WebSocket API" and "User Data Streams". Where it is silent, the comment says
what was assumed. Of the API's many methods there are those that concern the session and its subscriptions.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import parse_qs, urlsplit

import attrs
import msgspec
from typing_extensions import override

from bt_api_base.security import Credentials
from bt_api_base.security.signing import is_private_key, private_key_base64
from bt_api_base.testing.binance_dialect import BinanceDialect
from bt_api_base.testing.binance_frames import MICROSECONDS, MILLISECONDS, shutdown_data
from bt_api_base.testing.dialect import Answer, DialectClient, Reply, ReplyKind
from bt_api_base.testing.garbage import garbage

if TYPE_CHECKING:
    from collections.abc import Callable

    from bt_api_base.testing.dialect import Event, Form
    from bt_api_base.testing.garbage import GarbageKind
    from bt_api_base.testing.venue_faults import RequestFaults
    from bt_api_base.testing.venue_options import VenueOptions

CREDENTIALS: Final = Credentials(*(f"binance-{part}-{secrets.token_hex(12)}" for part in ("key", "secret")))
"""What simulated venues accept: other values in each process, which are found where they should not be."""

PRIVATE_PATH: Final = "/ws-api/v3"
"""Path of the WebSocket API."""

USER: Final = "user"
"""Name of the only private stream, in the records of a venue; the venue has none."""

_MOST_AHEAD_MS: Final = 1_000
_RECEIVE_WINDOW_MS: Final = 5_000
_LONGEST_WINDOW_MS: Final = 60_000

_WORDS: Final = {
    -1020: "This operation is not supported.",
    -1021: "Timestamp for this request is outside of the recvWindow.",
    -1022: "Signature for this request is not valid.",
    -1100: "Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.",
    -1102: "Mandatory parameter '{name}' was not sent, was empty/null, or malformed.",
    -1135: "Invalid JSON Request",
    -2014: "API-key format invalid.",
    -2015: "Invalid API-key, IP, or permissions for action.",
    -2035: "User Data Stream subscription already active.",
    -2036: "User Data Stream subscription not active.",
    -4056: "HMAC_SHA256 API key is not supported.",
}
_STATUSES: Final = {-2015: 401}


class ApiError(Exception):
    """A request that the venue refuses.

    Args:
        code: The venue's code.
        message: The venue's words; empty for the usual ones.
        name: The parameter it is about.
    """

    def __init__(self, code: int, message: str = "", *, name: str = "") -> None:
        super().__init__(message or _WORDS.get(code, "").format(name=name))
        self.code = code


class PrivateForm(msgspec.Struct, frozen=True):
    """How a connection gets account events.

    Attributes:
        subscription_id: The number that they are marked with.
        divisor: Microseconds per unit of the timestamps.
    """

    subscription_id: int
    divisor: int = MILLISECONDS


@attrs.define(eq=False, kw_only=True)
class BinancePrivateClient(DialectClient):
    """One connection to the WebSocket API: whether it has logged in, and its subscription."""

    credentials: Credentials
    faults: RequestFaults
    clock_ns: Callable[[], int]
    divisor: int = MILLISECONDS
    is_logged_in: bool = False
    subscription_id: int | None = None
    """The active subscription's number."""
    _next_id: int = 0

    @property
    @override
    def form(self) -> PrivateForm:
        return PrivateForm(self.subscription_id or 0, self.divisor)

    @property
    @override
    def streams(self) -> tuple[str, ...]:
        return () if self.subscription_id is None else (USER,)

    @override
    def answer(self, message: bytes) -> Answer:
        request_id: object = None
        try:
            request = _parse(message)
            request_id = request.get("id")
            return self._do(request, request_id)
        except ApiError as error:
            reply = {
                "id": request_id,
                "status": _STATUSES.get(error.code, 400),
                "error": {"code": error.code, "msg": str(error)},
            }
            return Answer((Reply(msgspec.json.encode(reply), ReplyKind.REFUSAL),))

    def _do(self, request: dict[str, Any], request_id: object) -> Answer:
        method = request.get("method")
        params = cast("dict[str, Any]", request.get("params") or {})
        if method == "session.logon":
            return self._log_on(params, request_id)
        if method == "userDataStream.subscribe":
            if not self.is_logged_in:
                raise ApiError(-2015)  # assumed: the documentation only says that a log-on comes first
            return self._subscribe(request_id)
        if method == "userDataStream.subscribe.signature":
            self._check_signature(params)
            return self._subscribe(request_id)
        if method == "userDataStream.unsubscribe":
            return self._unsubscribe(params, request_id)
        if method == "session.subscriptions":
            active = [] if self.subscription_id is None else [{"subscriptionId": self.subscription_id}]
            return Answer((_result(request_id, active),))
        if method == "ping":
            return Answer((_result(request_id, {}),))
        raise ApiError(-1020)

    def _log_on(self, params: dict[str, Any], request_id: object) -> Answer:
        if not is_private_key(self.credentials.secret):
            raise ApiError(-4056)  # assumed: the documentation only says that Ed25519 keys can
        self._check_signature(params)
        self.is_logged_in = True
        now_ms = self.clock_ns() // 1_000_000
        result = {"apiKey": params["apiKey"], "authorizedSince": now_ms, "serverTime": now_ms, "userDataStream": False}
        return Answer((_result(request_id, result, ReplyKind.LOGIN),))

    def _check_signature(self, params: dict[str, Any]) -> None:
        """Refuse a request that is not the account's, in the order in which the venue looks."""
        for name in ("apiKey", "timestamp", "signature"):
            if not params.get(name):
                raise ApiError(-1102, name=name)
        if not isinstance(params["timestamp"], int):
            raise ApiError(-1100, name="timestamp")
        if params["apiKey"] != self.credentials.api_key.reveal():
            raise ApiError(-2015)
        refused = self.faults.login_refusal()
        if refused is not None:
            raise ApiError(refused.code if isinstance(refused.code, int) else -2015, refused.message)
        # The unit of a time stamp is told by its size.
        timestamp_ms = params["timestamp"] if params["timestamp"] < 10**14 else params["timestamp"] // 1_000
        age_ms = self.clock_ns() // 1_000_000 - timestamp_ms
        if age_ms < -_MOST_AHEAD_MS:
            raise ApiError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
        if age_ms > min(params.get("recvWindow", _RECEIVE_WINDOW_MS), _LONGEST_WINDOW_MS):
            raise ApiError(-1021)
        payload = "&".join(f"{name}={value}" for name, value in sorted(params.items()) if name != "signature")
        if not hmac.compare_digest(str(params["signature"]).encode(), self._signature(payload).encode()):
            raise ApiError(-1022)

    def _signature(self, payload: str) -> str:
        secret = self.credentials.secret
        if is_private_key(secret):
            return private_key_base64(secret, payload, password=self.credentials.passphrase)
        return hmac.digest(secret.reveal().encode(), payload.encode(), hashlib.sha256).hex()

    def _subscribe(self, request_id: object) -> Answer:
        if self.subscription_id is not None:
            raise ApiError(-2035)
        if self.faults.is_ignored(USER):
            return Answer(())
        refused = self.faults.stream_refusal(USER)
        if refused is not None:
            raise ApiError(refused.code if isinstance(refused.code, int) else -1020, refused.message)
        self.subscription_id, self._next_id = self._next_id, self._next_id + 1
        result = {"subscriptionId": self.subscription_id}
        return Answer((_result(request_id, result, ReplyKind.ACK),), added=(USER,))

    def _unsubscribe(self, params: dict[str, Any], request_id: object) -> Answer:
        ended = self.subscription_id
        if ended is None or params.get("subscriptionId", ended) != ended:
            raise ApiError(-2036)
        self.subscription_id = None
        replies = (_result(request_id, {}, ReplyKind.ACK), Reply(terminated(ended, self.clock_ns() // 1_000_000)))
        return Answer(replies, removed=(USER,))


class BinanceAccountDialect(BinanceDialect):
    """The market streams of Binance's spot market and, at the path of the WebSocket API, account events.

    An account event is the data of one, or what makes them from the divisor of a connection's timestamps.

    Args:
        credentials: What log-ins and signatures are checked against.
    """

    def __init__(self, credentials: Credentials = CREDENTIALS) -> None:
        self.credentials = credentials

    @override
    def client(self, target: str, options: VenueOptions, faults: RequestFaults) -> Any:
        parts = urlsplit(target)
        if parts.path != PRIVATE_PATH:
            return super().client(target, options, faults)
        unit = parse_qs(parts.query).get("timeUnit", [""])[-1].upper()
        return BinancePrivateClient(
            credentials=self.credentials,
            faults=faults,
            clock_ns=options.get("clock_ns", time.time_ns),
            divisor=MICROSECONDS if unit == "MICROSECOND" else MILLISECONDS,
        )

    @override
    def payload(self, stream: str, form: Form, event: Event) -> bytes:
        if not isinstance(form, PrivateForm):
            return super().payload(stream, form, event)
        data = event if isinstance(event, bytes) else event(form.divisor)
        return b'{"subscriptionId":%d,"event":%b}' % (form.subscription_id, data)

    @override
    def shutdown_notice(self, client: DialectClient, time_us: int) -> bytes:
        if not isinstance(client, BinancePrivateClient):
            return super().shutdown_notice(client, time_us)
        return b'{"event":%b}' % shutdown_data(time_us, client.divisor)

    @override
    def garbage(self, client: DialectClient, kind: GarbageKind) -> bytes:
        if not isinstance(client, BinancePrivateClient):
            return super().garbage(client, kind)
        return garbage(kind, "btcusdt@trade", combined=True)


def terminated(subscription_id: int, now_ms: int) -> bytes:
    """Return the payload that says that a subscription has ended."""
    return b'{"subscriptionId":%d,"event":{"e":"eventStreamTerminated","E":%d}}' % (subscription_id, now_ms)


def _parse(message: bytes) -> dict[str, Any]:
    try:
        request: object = msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ApiError(-1135) from None
    if not isinstance(request, dict):
        raise ApiError(-1135)
    request = cast("dict[str, Any]", request)
    if not isinstance(request.get("params", {}), dict):
        raise ApiError(-1135)
    return request


def _result(request_id: object, result: object, kind: ReplyKind = ReplyKind.OTHER) -> Reply:
    limits = [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000, "count": 4}]
    return Reply(msgspec.json.encode({"id": request_id, "status": 200, "result": result, "rateLimits": limits}), kind)


__all__ = (
    "CREDENTIALS",
    "PRIVATE_PATH",
    "USER",
    "ApiError",
    "BinanceAccountDialect",
    "BinancePrivateClient",
    "PrivateForm",
    "terminated",
)
