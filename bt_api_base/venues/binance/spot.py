"""Binance spot: market streams, and account events over its WebSocket API.

Facts and limits are from the Binance spot API documentation: "WebSocket Streams" for the market,
"WebSocket API" and "User Data Streams" for the account.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit, urlunsplit

import attrs
from typing_extensions import override

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.security.recipes import binance_websocket_payload
from bt_api_base.security.signing import ed25519_base64, hmac_hex, is_private_key, private_key_base64
from bt_api_base.venues.binance import spot_private
from bt_api_base.venues.binance.control import read_control, read_event
from bt_api_base.venues.binance.convert import EXCHANGE_NAME
from bt_api_base.venues.binance.private import USER, login_refused
from bt_api_base.venues.binance.streams import BinanceStreamAdapter, encode_request
from bt_api_base.venues.binance.symbols import parse_symbol
from bt_api_base.venues.binance.topics import TABLE
from bt_api_base.websocket.adapter import Ack, Channel, Decoded, Notice, Refusal, StreamLimits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bt_api_base.security import Credentials
    from bt_api_base.venues.binance.table import Topic

__all__ = ("BinanceSpotAdapter",)

_PRIVATE_PATH = "/ws-api/v3"

_ALREADY_ACTIVE = -2035
"""Code of a request for the account's events on a connection that has them."""

_PRIVATE_HOSTS = {
    "stream.binance.com": "ws-api.binance.com:443",
    "data-stream.binance.vision": "ws-api.binance.com:443",
    "stream.testnet.binance.vision": "ws-api.testnet.binance.vision",
    "demo-stream.binance.com": "demo-ws-api.binance.com",
}
"""Where the WebSocket API is, by the host of the market streams ("General API information" of each)."""

# "WebSocket Streams", section "General WSS information" and "WebSocket Limits": 1024 streams a connection,
# 5 incoming messages a second, 300 connections every 5 minutes an address, 24 hours.
_MARKET_LIMITS = StreamLimits(
    max_channels_per_connection=1024,
    max_channels_per_request=200,
    messages_per_second=5.0,
    max_connects=300,
    connect_window=300.0,
    max_connection_age=86_400.0,
)

# "WebSocket API", sections "General API information" and "User Data Stream subscribe": one subscription for an
# account and connection, 24 hours, 300 connections every 5 minutes. Requests are limited by weight, 6000 a minute,
# of which a subscription takes 2; the pace is that of the market streams.
_PRIVATE_LIMITS = attrs.evolve(_MARKET_LIMITS, max_channels_per_connection=1, max_channels_per_request=1)


@attrs.define(eq=False)
class BinanceSpotAdapter(BinanceStreamAdapter):
    """Stream adapter of Binance spot.

    Topics: ``ticker`` (best bid and ask), ``ticker_24h``, ``mini_ticker``, ``ticker_1h``, ``ticker_4h``,
    ``ticker_1d``, ``trade``, ``agg_trade``, ``depth`` (best levels; ``levels`` 5, 10 or 20, ``speed`` 1000 or
    100 ms), ``depth_diff`` (``speed``), ``kline`` (``interval`` from ``1s`` to ``1M``, ``timezone`` UTC or
    +08:00). Binance's own stream names (``"aggTrade"``, ``"depth5@100ms"``, ``"kline_4h"``) are understood too.
    ``mini_ticker`` and the windowed tickers take the empty symbol for all symbols at once.

    Private topics, with credentials and the empty symbol: ``order``, ``fill``, ``balance``, ``income``, ``account``
    (balances and income), ``user`` (everything). They share one subscription. An Ed25519 key logs the connection in;
    with any other the subscription is signed.

    Attributes:
        private_url: Where account events come from; by default it follows from the configured URL.
    """

    exchange_name = EXCHANGE_NAME
    default_url = "wss://stream.binance.com:9443/stream"
    table = TABLE
    private_topics = spot_private.TOPICS

    private_url: str | None = attrs.field(default=None, kw_only=True)
    _subscription_id: int | None = attrs.field(init=False, default=None)
    _signed_requests: set[int] = attrs.field(init=False, factory=set[int])

    @property
    def limits(self) -> StreamLimits:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        """The venue's limits, at `endpoint_name`."""
        return _PRIVATE_LIMITS if self._is_private else _MARKET_LIMITS

    @override
    def endpoint(self, url: str, lease_key: str = "") -> str:
        """Return the URL to connect to.

        For the market, ``/ws`` becomes ``/stream``, whose frames name their stream. For the account it is `private_url`
        or else the WebSocket API that belongs to the configured URL: production, testnet and demo are known, and of
        any other host it is assumed that it stands in for both.
        """
        parts = urlsplit(url)
        if not self._is_private:
            return urlunsplit(parts._replace(path="/stream")) if parts.path in ("/ws", "/ws/") else url
        if self.private_url is not None:
            return self.private_url
        if parts.path.startswith("/ws-api/"):
            return url
        host = _PRIVATE_HOSTS.get(parts.hostname or "", parts.netloc)
        query = "&".join(part for part in parts.query.split("&") if not part.startswith("streams="))
        return urlunsplit(parts._replace(netloc=host, path=_PRIVATE_PATH, query=query))

    @override
    def _parse_symbol(self, symbol: str) -> tuple[str, str]:
        return parse_symbol(EXCHANGE_NAME, symbol)

    @override
    def _raw_topic(self, message: Mapping[str, Any]) -> Topic | None:
        if "e" in message:
            return super()._raw_topic(message)
        if "lastUpdateId" in message:
            return TABLE.topics["depth"]
        return TABLE.topics["ticker"] if "u" in message and "s" in message else None

    # -- account events ------------------------------------------------------------------------

    @override
    def login_frame(self, request_id: int) -> str | None:
        """Build ``session.logon``, which the venue has for Ed25519 keys; others sign the subscription instead."""
        if not self._is_private or not _is_ed25519(self._own_credentials):
            return None
        return self._signed_request("session.logon", request_id)

    @override
    def subscribe_frame(self, request_id: int, channels: Sequence[Channel]) -> str:
        if not self._is_private:
            return super().subscribe_frame(request_id, channels)
        if _is_ed25519(self._own_credentials):
            return encode_request("userDataStream.subscribe", request_id)
        return self._signed_request("userDataStream.subscribe.signature", request_id)

    @override
    def unsubscribe_frame(self, request_id: int, channels: Sequence[Channel]) -> str:
        if not self._is_private:
            return super().unsubscribe_frame(request_id, channels)
        subscription_id, self._subscription_id = self._subscription_id, None
        # Without an id it ends every subscription of the connection, of which there is only one.
        params = None if subscription_id is None else {"subscriptionId": subscription_id}
        return encode_request("userDataStream.unsubscribe", request_id, params)

    @override
    def probe_frame(self, request_id: int, channel: Channel) -> str:
        """Build a request for the list of subscriptions, which changes nothing."""
        if not self._is_private:
            return super().probe_frame(request_id, channel)
        return encode_request("session.subscriptions", request_id)

    @property
    def _own_credentials(self) -> Credentials:
        if self.credentials is None:
            raise ConfigurationError(
                "account events need credentials: give them with the configuration", exchange_name=EXCHANGE_NAME
            )
        return self.credentials

    def _signed_request(self, method: str, request_id: int) -> str:
        credentials = self._own_credentials
        params: dict[str, str | int] = {
            "apiKey": credentials.api_key.reveal(),
            "timestamp": self.now_ns() // 1_000_000,
        }
        payload = binance_websocket_payload(params)
        if is_private_key(credentials.secret):
            params["signature"] = private_key_base64(credentials.secret, payload, password=credentials.passphrase)
        else:
            params["signature"] = hmac_hex(credentials.secret, payload)
        self._signed_requests.add(request_id)
        return encode_request(method, request_id, params)

    @override
    def _decode_private(self, frame: bytes, message: dict[str, Any], local_time: int) -> Decoded:
        if isinstance(message.get("event"), dict):
            event = cast("dict[str, Any]", message["event"])
            events = spot_private.DECODERS.decode(event.get("e"), frame, self._symbols, local_time)
            if events is not None:
                return USER, events
            if event.get("e") == "eventStreamTerminated":
                # It also follows when we unsubscribe, and then nobody is to be moved to another connection.
                is_ours = self._subscription_id is not None and message.get("subscriptionId") == self._subscription_id
                text = "the venue ended the subscription to account events" if is_ours else "a subscription has ended"
                return None, (Notice("eventStreamTerminated", text, closing=is_ours),)
            return None, (read_event(event),)
        answer = read_control(message)
        if isinstance(answer, Refusal) and answer.code == _ALREADY_ACTIVE:
            # What was asked for is there: the answer that said so was late, or came after we had given it up.
            answer = Ack(answer.request_id)
        if isinstance(answer, Refusal):
            logging_in = answer.request_id in self._signed_requests
            return None, (login_refused(answer, logging_in=logging_in) or answer,)
        if isinstance(answer, Ack):
            result = answer.result
            subscription_id = cast("dict[str, Any]", result).get("subscriptionId") if isinstance(result, dict) else None
            if isinstance(subscription_id, int):
                self._subscription_id = subscription_id
            return None, (Ack(answer.request_id),)  # the result of a log-in has the API key in it
        return None, (answer,)


def _is_ed25519(credentials: Credentials) -> bool:
    if not is_private_key(credentials.secret):
        return False
    try:
        ed25519_base64(credentials.secret, "", password=credentials.passphrase)
    except ConfigurationError:
        return False  # an RSA key; one that cannot be read at all is reported when it is to sign
    return True
