"""OKX v5 streams: public, business and private.

Facts and limits are from the OKX v5 API documentation, "WebSocket". The venue has three endpoints, whose URLs differ in
their last part only: ``/ws/v5/public``, ``/ws/v5/business`` (candles and single trades) and ``/ws/v5/private``.
A channel says by which of them it comes, and a configured URL may be any of the three.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, cast
from urllib.parse import urlsplit, urlunsplit

import attrs
import msgspec
from typing_extensions import override

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.security.signing import hmac_base64
from bt_api_base.venues.okx.control import read_answer, read_event, unrecognized
from bt_api_base.venues.okx.convert import Converter
from bt_api_base.venues.okx.malformed import MALFORMED, FieldError, parse_error
from bt_api_base.venues.okx.naming import ChannelNames
from bt_api_base.venues.okx.topics import (
    CHANNELS,
    LOGGED_IN,
    PRIVATE,
    PUBLIC,
    TOPICS,
    channel_key,
    channel_name,
)
from bt_api_base.websocket.adapter import (
    Channel,
    Decoded,
    Heartbeat,
    LoggedIn,
    LoginRefused,
    StreamAdapter,
    StreamLimits,
)

__all__ = ("OkxAdapter", "OkxFuturesAdapter", "OkxOptionAdapter", "OkxSpotAdapter", "OkxSwapAdapter")

_Route = tuple[Callable[[bytes], Any], Converter, str, str]
"""How to decode a frame: its decoder, its converter, its channel's key, its symbol."""

_END_OF_ARG = b'},"'
"""What stands between a frame's channel and the rest."""

_DECODE_ALIKE = {topic.decode: topic.decode_alike for topic in TOPICS.values()}
"""By the decoder of one frame, the decoder of several of the same kind."""

_FEW = 8
"""Frames in a batch below which it is not worth looking whether they are alike."""

_MOST_ROUTES = 4096
"""Routes learned from frames, at most: several times the channels one connection may carry."""

_LOGIN_PATH = "GET/users/self/verify"
_PATHS = ("public", "private", "business")

_PONG = Heartbeat()

# A number that is out of range is infinite here, so that the typed decoder gets to say which field it is in.
_decode_json = msgspec.json.Decoder(float_hook=float).decode
_encode_json = msgspec.json.Encoder().encode


@attrs.define(eq=False)
class OkxAdapter(StreamAdapter):
    """Stream adapter of OKX, for one type of instrument; see its subclasses.

    Topics: ``ticker`` (best bid and ask, last trade, 24 hours), ``trade`` (by taker order and price), ``trade_all``
    (singly), ``depth`` (best levels; ``levels`` 1 or 5), ``depth_diff`` (a snapshot and what changes; ``levels`` 400,
    or 50 with ``speed`` 10 ms, which needs a log-in and a VIP level), ``kline`` (``interval`` from ``1s`` to ``3M``,
    ``timezone`` UTC or +08:00), ``mark_price``, ``funding_rate``, ``liquidation`` (of all instruments: no symbol).
    Private: ``order``, ``fill`` and ``position`` (with a symbol, or the empty one for all), ``account`` and ``balance``
    (with a currency as symbol, or the empty one for all), ``balance_and_position``. OKX's own channel names
    (``"books5"``, ``"candle6Hutc"``) are understood too.

    The books' channel of ``depth_diff`` delivers `OrderBook` for its snapshots and `OrderBookDelta` for the rest, all
    of them under the name of the differences.
    """

    default_url = "wss://ws.okx.com:8443/ws/v5/public"
    endpoint_name = PUBLIC
    instrument_type: ClassVar[str]
    account_types: ClassVar[tuple[str, ...]]
    """Types that its orders and positions may have at the venue; see `ChannelNames`."""
    # "WebSocket", "Connect": 3 connections a second and address; log-ins, subscriptions and unsubscriptions together
    # 480 an hour and connection; closed after 30 s without a message. Not documented: a limit of channels (there are
    # at most as many here as could be subscribed to one by one in an hour) and of messages a second. A request must not
    # be longer than 64 KB: 200 channels are 20.
    limits = StreamLimits(
        max_channels_per_connection=480,
        max_channels_per_request=200,
        messages_per_second=5.0,
        max_requests=480,
        request_window=3600.0,
        max_connects=3,
        connect_window=1.0,
        max_idle=30.0,
    )

    _names: ChannelNames = attrs.field(init=False)
    _routes: dict[bytes, _Route] = attrs.field(init=False, factory=dict[bytes, _Route])
    _routes_by_key: dict[str, _Route] = attrs.field(init=False, factory=dict[str, _Route])
    _asked: dict[str, None] = attrs.field(init=False, factory=dict[str, None])
    _logging_in: bool = attrs.field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self._names = ChannelNames(self.exchange_name, self.instrument_type, self.account_types)

    # -- connecting ----------------------------------------------------------------------------

    @override
    def endpoint(self, url: str, lease_key: str = "") -> str:
        """Return the URL of `endpoint_name`, beside that of the endpoint in ``url`` if it names one."""
        name = self.endpoint_name.partition("+")[0]
        parts = urlsplit(url)
        head, _, last = parts.path.rstrip("/").rpartition("/")
        if not name:
            return url
        if last in _PATHS:
            path = f"{head}/{name}"
        elif last == "v5":
            path = f"{head}/v5/{name}"
        elif not last:
            path = f"/ws/v5/{name}"
        else:
            return url  # somebody's own, who knows where it leads
        return urlunsplit(parts._replace(path=path))

    @override
    def ping_frame(self) -> str:
        """Return the text that keeps a connection alive: the venue wants no WebSocket pings."""
        return "ping"

    @override
    def login_frame(self, request_id: int) -> str | None:
        """Build the log-in of the private endpoint, and of the public one for books of every change.

        Raises:
            ConfigurationError: There are no credentials, or none of OKX's form.
        """
        if self.endpoint_name not in (PRIVATE, LOGGED_IN):
            return None
        credentials = self.credentials
        if credentials is None or credentials.passphrase is None:
            raise ConfigurationError(
                f"{self.exchange_name}: a log-in takes credentials with a key, a secret and a passphrase"
            )
        self._logging_in = True
        timestamp = str(self.now_ns() // 1_000_000_000)
        arguments = {
            "apiKey": credentials.api_key.reveal(),
            "passphrase": credentials.passphrase.reveal(),
            "timestamp": timestamp,
            "sign": hmac_base64(credentials.secret, timestamp + _LOGIN_PATH),
        }
        return _encode_json({"op": "login", "args": [arguments]}).decode()

    # -- asking for channels -------------------------------------------------------------------

    @override
    def channel(self, topic: str, symbol: str, params: Mapping[str, Any] | None = None) -> Channel:
        return self._names.channel(topic, symbol, params)

    @override
    def subscribe_frame(self, request_id: int, channels: Sequence[Channel]) -> str:
        for channel in channels:
            self._asked[channel.key] = None
            self._learn(_head(channel.key), self._route(channel.key))
        return _request("subscribe", request_id, channels)

    @override
    def unsubscribe_frame(self, request_id: int, channels: Sequence[Channel]) -> str:
        for channel in channels:
            self._asked.pop(channel.key, None)
            self._routes.pop(_head(channel.key), None)
            self._routes_by_key.pop(channel.key, None)
        return _request("unsubscribe", request_id, channels)

    # -- decoding ------------------------------------------------------------------------------

    @override
    def decode_frame(self, frame: bytes | str, local_time: int) -> Decoded:
        try:
            encoded = frame if type(frame) is bytes else _encoded(frame)
            decode, convert, key, symbol = self._routes[encoded.partition(_END_OF_ARG)[0]]
            return key, convert(decode(encoded), self.exchange_name, symbol, local_time)
        except (KeyError, *MALFORMED):
            pass  # anything but well-formed data of a known channel
        return self._decode_any(frame, local_time)

    @override
    def decode_batch(self, frames: Sequence[bytes | str], local_time: int) -> Sequence[Decoded]:
        """Decode a batch of frames, on the hot path.

        In a flood most batches hold frames of one kind: those are decoded as one JSON array, which spares a call of the
        decoder for each of them.
        """
        decoded = self._decode_alike(frames, local_time) if len(frames) >= _FEW else None
        return super().decode_batch(frames, local_time) if decoded is None else decoded

    def _decode_alike(self, frames: Sequence[bytes | str], local_time: int) -> list[Decoded] | None:
        """Decode frames that are all of one kind; ``None`` if they are not, or if anything is wrong with any."""
        try:
            batch = cast("Sequence[bytes]", frames)
            routes = self._routes
            found = [routes[frame.partition(_END_OF_ARG)[0]] for frame in batch]
            decode = found[0][0]
            for route in found:
                if route[0] is not decode:
                    return None
            messages = _DECODE_ALIKE[decode](b"[" + b",".join(batch) + b"]")
            if len(messages) != len(found):
                return None
            name = self.exchange_name
            return [
                (key, convert(message, name, symbol, local_time))
                for message, (_, convert, key, symbol) in zip(messages, found, strict=True)
            ]
        except (KeyError, TypeError, *MALFORMED):
            return None  # a control frame, a channel not seen before, text, or a bad frame: one by one finds out

    def _decode_any(self, frame: bytes | str, local_time: int) -> Decoded:
        """Decode a frame of any kind, in its own time, and say precisely what is wrong with a bad one."""
        try:
            encoded = _encoded(frame)
            if encoded == b"pong":
                return None, (_PONG,)
            message = _decode_json(encoded)
            if not isinstance(message, dict):
                raise FieldError("", "expected a JSON object")
            return self._decode_object(encoded, cast("dict[str, Any]", message), local_time)
        except MALFORMED as error:
            failure = parse_error(self.exchange_name, frame, error)
        # Outside of the handler: a decoder's exception quotes the frame, and would stay in sight as the cause.
        raise failure

    def _decode_object(self, frame: bytes, message: dict[str, Any], local_time: int) -> Decoded:
        if "event" in message:
            control = read_event(message, self._asked_for, logging_in=self._logging_in)
            if isinstance(control, (LoggedIn, LoginRefused)):
                self._logging_in = False
            return None, (control,)
        if "op" in message and ("code" in message or "data" in message):
            return None, (read_answer(message),)
        arg = message.get("arg")
        if arg is None:
            return None, (unrecognized("object with " + ", ".join(message) if message else "empty object"),)
        if not isinstance(arg, dict):
            raise FieldError("arg", "expected an object that names a channel")
        arg = cast("dict[str, Any]", arg)
        key = channel_key(arg)
        if key is None:
            return None, (unrecognized(str(arg.get("channel", "arg without a channel"))),)
        route = self._route(key)
        decode, convert, _, symbol = route
        events = convert(decode(frame), self.exchange_name, symbol, local_time)
        head = frame.partition(_END_OF_ARG)[0]
        if len(self._routes) < _MOST_ROUTES and _is_arg(head, arg):
            self._learn(head, route)
        return key, events

    def _asked_for(self, name: str) -> str | None:
        """Return the key that was asked for, given itself or its channel's name; ``None`` if it is not exactly one."""
        if name in self._asked:
            return name
        keys = [key for key in self._asked if key.partition(":")[0] == name]
        return keys[0] if len(keys) == 1 else None

    def _route(self, key: str) -> _Route:
        """Return how to decode the frames of a channel of the table."""
        route = self._routes_by_key.get(key)
        if route is None:
            arg = channel_name(key)
            topic, chosen = CHANNELS[arg["channel"]]
            route = topic.decode, topic.converter(chosen), key, arg.get("instId", "")
            if len(self._routes_by_key) < _MOST_ROUTES:
                self._routes_by_key[key] = route
        return route

    def _learn(self, head: bytes, route: _Route) -> None:
        self._routes[head] = self._routes_by_key[route[2]] = route


class OkxSpotAdapter(OkxAdapter):
    """Stream adapter of OKX spot. Orders may be of spot or margin (``instrument_type``), positions are of margin."""

    exchange_name = "OKX___SPOT"
    instrument_type = "SPOT"
    account_types: ClassVar[tuple[str, ...]] = ("SPOT", "MARGIN")


class OkxSwapAdapter(OkxAdapter):
    """Stream adapter of OKX perpetual swaps. Quantities are contracts."""

    exchange_name = "OKX___SWAP"
    instrument_type = "SWAP"
    account_types: ClassVar[tuple[str, ...]] = ("SWAP",)


class OkxFuturesAdapter(OkxAdapter):
    """Stream adapter of OKX futures with an expiry. Quantities are contracts."""

    exchange_name = "OKX___FUTURES"
    instrument_type = "FUTURES"
    account_types: ClassVar[tuple[str, ...]] = ("FUTURES",)


class OkxOptionAdapter(OkxAdapter):
    """Stream adapter of OKX options. Quantities are contracts."""

    exchange_name = "OKX___OPTION"
    instrument_type = "OPTION"
    account_types: ClassVar[tuple[str, ...]] = ("OPTION",)


def _request(operation: str, request_id: int, channels: Sequence[Channel]) -> str:
    request = {"id": str(request_id), "op": operation, "args": [channel_name(channel.key) for channel in channels]}
    return _encode_json(request).decode()


def _encoded(frame: bytes | str) -> bytes:
    return frame.encode() if isinstance(frame, str) else bytes(frame)


def _head(key: str) -> bytes:
    """Return how the venue begins the frames of a channel, up to the end of its ``arg``."""
    return b'{"arg":' + _encode_json(channel_name(key))[:-1]


def _is_arg(head: bytes, arg: dict[str, Any]) -> bool:
    """Whether the beginning of a frame is its ``arg`` and nothing else, so that it tells the frame's channel."""
    try:
        return bool(_decode_json(head + b"}}") == {"arg": arg})
    except MALFORMED:
        return False
