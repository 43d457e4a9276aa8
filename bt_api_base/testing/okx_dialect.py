"""What OKX's stream endpoints make of a URL, of log-ins and of the requests a client sends, in the venue's own words.

The texts are those of the venue's documentation; where that is silent, the comment beside it says what was assumed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast
from urllib.parse import urlsplit

import anyio
import attrs
import msgspec
from typing_extensions import override

from bt_api_base.security import Credentials
from bt_api_base.testing.dialect import Answer, Dialect, DialectClient, Reply, ReplyKind
from bt_api_base.testing.okx_frames import (
    BUSINESS_CHANNELS,
    PRIVATE_CHANNELS,
    VIP_CHANNELS,
    instrument_type,
    parse_stream_name,
    stream_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from bt_api_base.testing.garbage import GarbageKind
    from bt_api_base.testing.venue_faults import RequestFaults
    from bt_api_base.testing.venue_options import VenueOptions

CREDENTIALS: Final = Credentials(*(f"okx-{part}-{secrets.token_hex(12)}" for part in ("key", "secret", "passphrase")))
"""What simulated venues accept: other values in each process, which are found where they should not be."""

UID: Final = "1000001"
"""The account's number."""

MAX_REQUESTS_PER_HOUR: Final = 480
"""Log-ins, subscriptions and unsubscriptions that a connection has in an hour."""

_HOUR: Final = 3_600.0
_MOST_REQUEST_BYTES: Final = 65_536
_LOGIN_WINDOW_MS: Final = 30_000
_ENDPOINTS: Final = ("public", "business", "private")

_WORDS: Final = {
    "60004": "Invalid timestamp",
    "60005": "Invalid apiKey",
    "60006": "Timestamp request expired",
    "60007": "Invalid sign",
    "60009": "Login failed.",
    "60011": "Please log in",
    "60012": "Invalid request: {request}",
    "60014": "Requests too frequent",
    "60018": "Wrong URL or {request} doesn't exist. Please use the correct URL, channel and parameters referring to "
    "API document.",
    "60024": "Wrong passphrase",
    "60031": "The WebSocket endpoint does not allow multiple or repeated logins.",
    "64003": "Your trading fee tier doesn't meet the requirement to access this channel",
    "64008": "The connection will soon be closed for a service upgrade. Please reconnect.",
}


class RequestError(Exception):
    """A request, or a part of one, that the venue refuses.

    Args:
        code: The venue's code.
        message: The venue's words; empty for the usual ones.
        request: What it is about, where the words say so.
    """

    def __init__(self, code: str, message: str = "", request: str = "") -> None:
        super().__init__(message or _WORDS.get(code, "").replace("{request}", request))
        self.code = code


@attrs.define(eq=False, kw_only=True)
class OkxClient(DialectClient):
    """One connection: what it has subscribed to, and whether it has logged in."""

    dialect: OkxDialect
    endpoint: str
    """The last part of its URL."""
    connection_id: str
    faults: RequestFaults
    max_streams: int
    clock_ns: Callable[[], int]
    is_logged_in: bool = False
    _streams: dict[str, None] = attrs.field(factory=dict[str, None])
    _requests: deque[float] = attrs.field(factory=deque[float])

    @property
    @override
    def streams(self) -> tuple[str, ...]:
        return tuple(self._streams)

    @override
    def answer(self, message: bytes) -> Answer:
        if message == b"ping":
            return Answer((Reply(b"pong", ReplyKind.HEARTBEAT),))
        request_id: object = None
        try:
            request = _parse(message)
            request_id = request.get("id")
            operation = request["op"]
            if operation not in ("login", "subscribe", "unsubscribe"):
                raise RequestError("60012", request=message.decode())
            self._count_request()
            arguments = cast("list[dict[str, object]]", request["args"])
            if operation == "login":
                return self._log_in(arguments[0] if arguments else {})
            return self._change(operation, request_id, arguments)
        except RequestError as error:
            return Answer((self._refusal(error, request_id),))

    def event(self, name: str, request_id: object = None, **fields: object) -> bytes:
        """Return the payload of a message that is no data."""
        head = {} if request_id is None else {"id": request_id}
        return msgspec.json.encode({**head, "event": name, **fields, "connId": self.connection_id})

    def _refusal(self, error: RequestError, request_id: object = None) -> Reply:
        return Reply(self.event("error", request_id, code=error.code, msg=str(error)), ReplyKind.REFUSAL)

    def _count_request(self) -> None:
        now = anyio.current_time()
        while self._requests and self._requests[0] <= now - _HOUR:
            self._requests.popleft()
        if len(self._requests) >= self.dialect.max_requests_per_hour:
            raise RequestError("60014")
        self._requests.append(now)

    def _log_in(self, argument: dict[str, object]) -> Answer:
        try:
            self._check_login(argument)
        except RequestError as error:
            # Assumed: the documentation has the close code, and not when it comes.
            return Answer((self._refusal(error),), close=None if error.code == "60031" else (4001, "Login failed"))
        self.is_logged_in = True
        return Answer((Reply(self.event("login", code="0", msg=""), ReplyKind.LOGIN),))

    def _check_login(self, argument: dict[str, object]) -> None:
        credentials = self.dialect.credentials
        refused = self.faults.login_refusal()
        if refused is not None:
            raise RequestError(str(refused.code or "60009"), refused.message)
        if self.is_logged_in:
            raise RequestError("60031")
        timestamp = argument.get("timestamp")
        if not isinstance(timestamp, str) or not timestamp.isdecimal() or len(timestamp) != 10:
            raise RequestError("60004")
        if abs(int(timestamp) * 1_000 - self.clock_ns() // 1_000_000) > _LOGIN_WINDOW_MS:
            raise RequestError("60006")
        if argument.get("apiKey") != credentials.api_key.reveal():
            raise RequestError("60005")
        digest = hmac.digest(
            credentials.secret.reveal().encode(), f"{timestamp}GET/users/self/verify".encode(), hashlib.sha256
        )
        if argument.get("sign") != base64.b64encode(digest).decode():
            raise RequestError("60007")
        if credentials.passphrase is None or argument.get("passphrase") != credentials.passphrase.reveal():
            raise RequestError("60024")

    def _change(self, operation: str, request_id: object, arguments: list[dict[str, object]]) -> Answer:
        """Subscribe or unsubscribe, each argument by itself."""
        replies: list[Reply] = []
        changed: list[str] = []
        close = None
        for argument in arguments:
            try:
                name = self._stream(argument)
                if self.faults.is_ignored(name):
                    continue
                refused = self.faults.stream_refusal(name)
                if refused is not None:
                    code = str(refused.code or "60018")
                    raise RequestError(code, refused.message, _described(argument))
            except RequestError as error:
                replies.append(self._refusal(error, request_id))
                continue
            if operation == "subscribe":
                if name not in self._streams and len(self._streams) >= self.max_streams:
                    close = (4008, "The number of subscribed channels exceeds the maximum limit.")
                    break
                self._streams[name] = None
            else:
                self._streams.pop(name, None)
            changed.append(name)
            replies.append(Reply(self.event(operation, request_id, arg=argument), ReplyKind.ACK))
            if name.partition(":")[0] in PRIVATE_CHANNELS and operation == "subscribe":
                channel = argument["channel"]
                replies.append(Reply(self.event("channel-conn-count", channel=channel, connCount="1")))
        subscribed = operation == "subscribe"
        names = tuple(dict.fromkeys(changed))
        return Answer(tuple(replies), names if subscribed else (), () if subscribed else names, close)

    def _stream(self, argument: dict[str, object]) -> str:
        """Return the name of the stream that an argument asks for.

        Raises:
            RequestError: There is no such stream here, or not for this client.
        """
        name = stream_name(argument)
        if name is None:
            raise RequestError("60012", request=msgspec.json.encode(argument).decode())
        channel = name.partition(":")[0]
        if channel in PRIVATE_CHANNELS:
            endpoint = "private"
        else:
            endpoint = "business" if channel in BUSINESS_CHANNELS else "public"
        if endpoint != self.endpoint:
            raise RequestError("60018", request=_described(argument))
        if channel in VIP_CHANNELS:
            raise RequestError("64003" if self.is_logged_in else "60011")
        stream = parse_stream_name(name)
        if stream is None or (stream.symbol and stream.symbol not in self.dialect.symbols):
            raise RequestError("60018", request=_described(argument))
        if endpoint == "private" and not self.is_logged_in:
            raise RequestError("60011")
        return name


class OkxDialect(Dialect):
    """The streams of OKX, version 5. An event is a whole frame, or what makes one.

    Args:
        symbols: The instruments there are.
        credentials: What log-ins are checked against.
        max_requests_per_hour: Log-ins, subscriptions and unsubscriptions that a connection has in an hour.
    """

    default_options: ClassVar[VenueOptions] = {
        "max_messages_per_second": None,
        "max_streams": 10_000,  # the documentation has a close code for too many, and no number
        "max_connects": 3,
        "connect_window": 1.0,
        "max_connection_age": None,
        "idle_timeout": 30.0,
        "ping_interval": 1e9,  # the venue sends no pings
        "pong_timeout": 1e9,
    }
    path: ClassVar[str] = "/ws/v5/public"
    idle_close: ClassVar[tuple[int, str]] = (4004, "No data received in 30s.")

    def __init__(
        self,
        symbols: tuple[str, ...],
        credentials: Credentials = CREDENTIALS,
        max_requests_per_hour: int = MAX_REQUESTS_PER_HOUR,
    ) -> None:
        self.symbols = symbols
        self.types = frozenset(map(instrument_type, symbols))
        self.credentials = credentials
        self.max_requests_per_hour = max_requests_per_hour
        self._numbers = count(0xA4D3AE55)

    @override
    def client(self, target: str, options: VenueOptions, faults: RequestFaults) -> OkxClient | None:
        head, _, endpoint = urlsplit(target).path.rstrip("/").rpartition("/")
        if head != "/ws/v5" or endpoint not in _ENDPOINTS:
            return None
        return OkxClient(
            dialect=self,
            endpoint=endpoint,
            connection_id=f"{next(self._numbers):x}",
            faults=faults,
            max_streams=options.get("max_streams", 10_000),
            clock_ns=options.get("clock_ns", time.time_ns),
        )

    @override
    def shutdown_notice(self, client: DialectClient, time_us: int) -> bytes:
        return cast("OkxClient", client).event("notice", code="64008", msg=_WORDS["64008"])

    @override
    def garbage(self, client: DialectClient, kind: GarbageKind) -> bytes:
        arg = argument_text(next(iter(client.streams), "trades:BTC-USDT"))
        if kind == "types":
            return f'{{"arg":{arg},"action":7,"data":[{{"instId":[],"ts":"soon","tradeId":{{}},"px":null}}]}}'.encode()
        frame = f'{{"arg":{arg},"data":[{{"instId":"BTC-USDT","tradeId":"1","px":"0.001"}}]}}'.encode()
        if kind == "text":
            return b"<html><body>502 Bad Gateway</body></html>"
        if kind == "truncated":
            return frame[: 2 * len(frame) // 3]
        if kind == "utf8":
            return frame[:-8] + b"\xff\xfe\xc3\x28" + frame[-8:]
        return b'[[{"unexpected":[]}],null,3.5]'


def argument_text(name: str) -> str:
    """Return the ``arg`` of a stream's frames, as JSON text: with the account's number where it is private."""
    channel, *values = name.split(":")
    argument = {"channel": channel}
    if channel in PRIVATE_CHANNELS:
        argument["uid"] = UID
    by_type = channel in ("orders", "positions", "liquidation-orders")
    fields = ("instType", "instId") if by_type else ("ccy",) if channel == "account" else ("instId",)
    argument.update(zip(fields, values, strict=False))
    return msgspec.json.encode(argument).decode()


def _parse(message: bytes) -> dict[str, Any]:
    words = message.decode(errors="replace")
    try:
        request: object = msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RequestError("60012", request=words) from None
    if not isinstance(request, dict) or len(message) > _MOST_REQUEST_BYTES:
        raise RequestError("60012", request=words[:200])
    request = cast("dict[str, Any]", request)
    arguments = request.get("args")
    if not isinstance(request.get("op"), str) or not isinstance(arguments, list):
        raise RequestError("60012", request=words)
    if not all(isinstance(argument, dict) for argument in cast("list[object]", arguments)):
        raise RequestError("60012", request=words)
    return request


def _described(argument: dict[str, object]) -> str:
    return ",".join(f"{name}:{value}" for name, value in argument.items())


__all__ = (
    "CREDENTIALS",
    "MAX_REQUESTS_PER_HOUR",
    "UID",
    "OkxClient",
    "OkxDialect",
    "RequestError",
    "argument_text",
)
