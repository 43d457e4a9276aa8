"""What Binance's USD-M futures make of URLs, listen keys and requests: three endpoints, each with its own streams.

Sources: Binance USD-M futures API documentation and its "Important WebSocket Change Notice" of 2026-03-06. A stream of
another endpoint, a listen key that is no more, and the addresses of before: all are accepted, and stay silent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal
from urllib.parse import parse_qs, unquote, urlsplit

import anyio
import attrs
import msgspec
from typing_extensions import override

from bt_api_base.testing.binance_dialect import BinanceClient, BinanceDialect
from bt_api_base.testing.binance_frames import combined_data, shutdown_data
from bt_api_base.testing.dialect import Answer, DialectClient, Reply, ReplyKind
from bt_api_base.testing.garbage import garbage
from bt_api_base.testing.usdm_frames import MARKET, PRIVATE, PUBLIC, parse_stream_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bt_api_base.security import Credentials
    from bt_api_base.testing.dialect import Event, Form
    from bt_api_base.testing.garbage import GarbageKind
    from bt_api_base.testing.venue_faults import RequestFaults
    from bt_api_base.testing.venue_options import VenueOptions

EVENTS: Final = ("ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "MARGIN_CALL", "ACCOUNT_CONFIG_UPDATE", "listenKeyExpired")
"""Account events. In the records of a venue each is a stream, called by its name and an exclamation mark."""

LISTEN_KEY_PATH: Final = "/fapi/v1/listenKey"
LISTEN_KEY_LIFETIME: Final = 3_600.0


@attrs.define(eq=False)
class ListenKeys:
    """The listen keys of one account: there is one at a time, and who asks again gets the same."""

    credentials: Credentials
    requests: list[str] = attrs.field(factory=list[str])
    """The methods of the requests so far."""
    current: str = ""
    """The valid key, or the one that was valid last."""
    _expires_at: float = 0.0
    _made: int = 0

    def is_valid(self, key: str) -> bool:
        """Tell whether events are sent to who has subscribed to a key."""
        return bool(key) and key == self.current and anyio.current_time() < self._expires_at

    def expire(self) -> None:
        """Let the key be valid no more."""
        self._expires_at = 0.0

    def answer(self, method: str, headers: Mapping[str, str]) -> tuple[int, dict[str, object]]:
        """Do what a REST request asks for; return the status and the body of the answer.

        Args:
            method: "POST", "PUT" or "DELETE".
            headers: The request's headers.
        """
        self.requests.append(method)
        if headers.get("X-MBX-APIKEY") != self.credentials.api_key.reveal():
            return 401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}
        valid = self.is_valid(self.current)
        if method == "POST":
            if not valid:
                self._made += 1
                self.current = f"listenkey{self._made:055d}"
        elif not valid:
            return 400, {"code": -1125, "msg": "This listenKey does not exist."}
        if method == "DELETE":
            self.expire()
            return 200, {}
        self._expires_at = anyio.current_time() + LISTEN_KEY_LIFETIME
        return 200, {"listenKey": self.current}


@attrs.define(eq=False)
class UsdmClient(BinanceClient):
    """One connection to the market's streams."""

    endpoint: str = attrs.field(default=PUBLIC, kw_only=True)
    """Which streams it can hear."""

    @override
    def add(self, names: Iterable[str]) -> tuple[str, ...]:
        """Subscribe to the streams of this endpoint among those named; the others are accepted, and silent."""
        here = [name for name in names if (stream := parse_stream_name(name)) and stream.endpoint == self.endpoint]
        return super().add(here)


class _Request(msgspec.Struct):
    """What a client asks for."""

    method: Literal["SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS"]
    id: int | str | None = None
    params: tuple[str, ...] = ()


_parse_request = msgspec.json.Decoder(_Request).decode


class PrivateForm(msgspec.Struct, frozen=True):
    """How a connection gets account events: wrapped with the listen key, or as they are."""

    listen_key: str


@attrs.define(eq=False, kw_only=True)
class UsdmPrivateClient(DialectClient):
    """One connection to account events."""

    keys: ListenKeys
    faults: RequestFaults
    in_url: bool = False
    """Whether the listen key came in the URL, and events are not wrapped."""
    listen_key: str = ""
    events: tuple[str, ...] = ()
    """The account events that it is sent."""

    @property
    @override
    def form(self) -> PrivateForm:
        return PrivateForm("" if self.in_url else self.listen_key)

    @property
    @override
    def streams(self) -> tuple[str, ...]:
        return tuple(f"!{name}" for name in self.events)

    @override
    def answer(self, message: bytes) -> Answer:
        try:
            request = _parse_request(message)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return Answer((Reply(b'{"error":{"code":2,"msg":"Invalid request"}}', ReplyKind.REFUSAL),))
        request_id, names = request.id, request.params
        if request.method == "LIST_SUBSCRIPTIONS":
            return Answer((_result(request_id, [self.listen_key] if self.events else []),))
        acknowledgement = _result(request_id, None, ReplyKind.ACK)
        before = self.streams
        if request.method == "UNSUBSCRIBE":
            if self.listen_key in names:
                self.events = ()
            return Answer((acknowledgement,), removed=tuple(name for name in before if name not in self.streams))
        for name in names:
            if self.keys.is_valid(name) and not self.faults.is_ignored("user"):
                self.listen_key, self.events = name, EVENTS
        return Answer((acknowledgement,), added=tuple(name for name in self.streams if name not in before))


class UsdmDialect(BinanceDialect):
    """The market streams and account events of Binance's USD-M futures.

    Args:
        keys: What account events are sent by.
    """

    default_options: ClassVar[VenueOptions] = {
        **BinanceDialect.default_options,
        "max_messages_per_second": 10,
        "ping_interval": 180.0,
        "pong_timeout": 600.0,
    }
    path: ClassVar[str] = ""

    def __init__(self, keys: ListenKeys) -> None:
        self.keys = keys

    @override
    def client(self, target: str, options: VenueOptions, faults: RequestFaults) -> Any:
        parts = urlsplit(target)
        segments = unquote(parts.path).strip("/").split("/")
        # The addresses of before carry the book, and nothing else.
        endpoint = segments.pop(0) if segments[0] in {PUBLIC, MARKET, PRIVATE} else PUBLIC
        form, names = (segments[0], segments[1:]) if segments else ("", [])
        if form not in {"ws", "stream"}:
            return None
        query = parse_qs(parts.query)
        if endpoint == PRIVATE:
            return self._private_client(form, names, query, faults)
        client = UsdmClient(form == "stream", faults=faults, endpoint=endpoint)
        client.max_streams = options.get("max_streams", client.max_streams)
        client.add([*names, *(name for text in query.get("streams", []) for name in text.split("/"))])
        return client

    def _private_client(
        self, form: str, names: list[str], query: dict[str, list[str]], faults: RequestFaults
    ) -> UsdmPrivateClient:
        client = UsdmPrivateClient(keys=self.keys, faults=faults, in_url=form == "ws")
        key = query.get("listenKey", names or [""])[0]
        if client.in_url and self.keys.is_valid(key):
            # Without names of events there are none.
            wanted = query.get("events", [""])[0].split("/")
            client.listen_key = key
            client.events = tuple(name for name in EVENTS if name in wanted)
        return client

    @override
    def payload(self, stream: str, form: Form, event: Event) -> bytes:
        if not isinstance(form, PrivateForm):
            return super().payload(stream, form, event)
        data = event if isinstance(event, bytes) else event(1_000)
        return combined_data(form.listen_key, data) if form.listen_key else data

    @override
    def shutdown_notice(self, client: DialectClient, time_us: int) -> bytes:
        if not isinstance(client, UsdmPrivateClient):
            return super().shutdown_notice(client, time_us)
        return shutdown_data(time_us)

    @override
    def garbage(self, client: DialectClient, kind: GarbageKind) -> bytes:
        if not isinstance(client, UsdmPrivateClient):
            return super().garbage(client, kind)
        return garbage(kind, "btcusdt@aggTrade", combined=False)


def _result(request_id: object, result: object, kind: ReplyKind = ReplyKind.OTHER) -> Reply:
    return Reply(msgspec.json.encode({"result": result, "id": request_id}), kind)


__all__ = (
    "EVENTS",
    "LISTEN_KEY_LIFETIME",
    "LISTEN_KEY_PATH",
    "ListenKeys",
    "PrivateForm",
    "UsdmClient",
    "UsdmDialect",
    "UsdmPrivateClient",
)
