"""Binance USD-M futures: market streams from two endpoints, and account events from a third.

Facts and limits are from the Binance USD-M futures API documentation, "Websocket Market Streams" and "User Data
Streams", and from its "Important WebSocket Change Notice" of 2026-03-06. Since 2026-04-23 a connection carries the
streams of one endpoint only: the book's (``/public``), the others (``/market``) or an account's (``/private``). The
old addresses still accept connections, and stay silent.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode, urlsplit, urlunsplit

import attrs
from typing_extensions import override

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.security import Secret
from bt_api_base.venues.binance import usdm_private
from bt_api_base.venues.binance.control import read_control, read_event, unrecognized
from bt_api_base.venues.binance.listen_key import UsdmListenKeyLease
from bt_api_base.venues.binance.malformed import FieldError
from bt_api_base.venues.binance.private import USER, login_refused
from bt_api_base.venues.binance.streams import BinanceStreamAdapter, encode_request
from bt_api_base.venues.binance.usdm_convert import EXCHANGE_NAME
from bt_api_base.venues.binance.usdm_symbols import ContractTable, parse_contract
from bt_api_base.venues.binance.usdm_topics import MARKET, TABLE
from bt_api_base.websocket.adapter import Ack, Channel, Control, Decoded, LeaseExpired, Notice, Refusal, StreamLimits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bt_api_base.venues.binance.listen_key import ClientFactory
    from bt_api_base.venues.binance.table import Topic

__all__ = ("BinanceUsdmAdapter",)

_ROOT = re.compile(r"^(?P<prefix>.*?)(?:/(?:public|market|private))?(?:/(?:ws|stream))?/?$")
"""What stands before the parts of a path that say which endpoint and which form."""

_REST_HOSTS = {
    "fstream.binance.com": "https://fapi.binance.com",
    "fstream.binancefuture.com": "https://demo-fapi.binance.com",
    "demo-fstream.binance.com": "https://demo-fapi.binance.com",
}
"""Where listen keys come from, by the host of the streams ("General Info")."""

_NO_SUCH_LISTEN_KEY = -1125

_NOTICES = {
    "MARGIN_CALL": "the margin of a position is nearly used up",
    "ACCOUNT_CONFIG_UPDATE": "leverage or the margin mode of the account was changed",
}

# "Websocket Market Streams", "Connect": 1024 streams a connection, 10 incoming messages a second, 24 hours. Some
# clients keep to the 200 streams of an older edition. The limit of connections is the spot market's, of the same hosts.
_MARKET_LIMITS = StreamLimits(
    max_channels_per_connection=1024,
    max_channels_per_request=200,
    messages_per_second=10.0,
    max_connects=300,
    connect_window=300.0,
    max_connection_age=86_400.0,
)
_PRIVATE_LIMITS = attrs.evolve(_MARKET_LIMITS, max_channels_per_connection=1, max_channels_per_request=1)


@attrs.define(eq=False)
class BinanceUsdmAdapter(BinanceStreamAdapter):
    """Stream adapter of Binance USD-M futures.

    Topics: ``ticker`` (best bid and ask), ``ticker_24h``, ``mini_ticker``, ``agg_trade`` (``trade`` is the same),
    ``depth`` (best levels; ``levels`` 5, 10 or 20, ``speed`` 250, 100 or 500 ms), ``depth_diff`` (``speed``), ``kline``
    (``interval`` from ``1m`` to ``1M``), ``mark_price`` and ``funding_rate`` (one stream; ``speed`` 1000 or 3000 ms),
    ``liquidation``. All but trades, books and bars take the empty symbol for all symbols at once; coin-margined
    contracts, which the venue mixes in, are left out.

    Private topics, with credentials and the empty symbol: ``order``, ``fill``, ``balance``, ``position``, ``income``,
    ``account`` (balances, positions and income), ``user`` (everything). They share one stream, which takes a listen
    key.

    Attributes:
        listen_key_in_url: Whether the listen key goes into the URL, which starts the events at once, instead of being
            subscribed to as a stream. The venue documents both.
        private_events: The events to ask for in the URL; without names, the venue sends none.
        rest_url: Where listen keys come from; by default it follows from the configured URL.
        client: Makes the HTTP client to ask for them; by default it goes the way of the streams.
    """

    exchange_name = EXCHANGE_NAME
    default_url = "wss://fstream.binance.com"
    endpoint_name = MARKET  # unless the pool says otherwise
    table = TABLE
    private_topics = usdm_private.TOPICS

    listen_key_in_url: bool = attrs.field(default=False, kw_only=True)
    private_events: tuple[str, ...] = attrs.field(
        default=("ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "MARGIN_CALL", "listenKeyExpired"), kw_only=True
    )
    rest_url: str | None = attrs.field(default=None, kw_only=True)
    client: ClientFactory | None = attrs.field(default=None, kw_only=True, repr=False)
    _lease_key: Secret = attrs.field(init=False, factory=partial(Secret, ""))

    @property
    def limits(self) -> StreamLimits:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        """The venue's limits, at `endpoint_name`."""
        return _PRIVATE_LIMITS if self._is_private else _MARKET_LIMITS

    @staticmethod
    @override
    def new_symbol_table() -> ContractTable:
        return ContractTable()

    @override
    def endpoint(self, url: str, lease_key: str = "") -> str:
        """Return the URL to connect to: the endpoint's combined streams at the configured host.

        A URL that names streams itself (``/market/ws/btcusdt@aggTrade``) is left as it is.
        """
        self._lease_key = Secret(lease_key)
        parts = urlsplit(url)
        name = self.endpoint_name
        if not self._is_private and ("@" in parts.path or "!" in parts.path or "streams=" in parts.query):
            return url
        found = _ROOT.match(parts.path)
        prefix = found["prefix"] if found else ""
        if self._is_private and self.listen_key_in_url:
            query = urlencode({"listenKey": lease_key, "events": "/".join(self.private_events)}, safe="/")
            return urlunsplit(parts._replace(path=f"{prefix}/{name}/ws", query=query))
        return urlunsplit(parts._replace(path=f"{prefix}/{name}/stream"))

    @override
    def session_lease(self, url: str) -> UsdmListenKeyLease | None:
        """Return the listen key that account events take; ``None`` for the market's endpoints."""
        if not self._is_private:
            return None
        if self.credentials is None:
            raise ConfigurationError(
                "account events need credentials: give them with the configuration", exchange_name=EXCHANGE_NAME
            )
        rest_url = self.rest_url or _rest_url(url)
        return UsdmListenKeyLease(rest_url, self.credentials, policy=self.transport_policy, client=self.client)

    @override
    def _parse_symbol(self, symbol: str) -> tuple[str, str]:
        return parse_contract(EXCHANGE_NAME, symbol)

    @override
    def _raw_topic(self, message: Mapping[str, Any]) -> Topic | None:
        topic = super()._raw_topic(message)
        if topic is None or topic.name != "depth_diff":
            return topic
        # Levels and changes look the same: what was asked for says which it is, if only one of them was.
        symbol = str(message.get("s", "")).lower()
        asked = [name for name in ("depth", "depth_diff") if (name, "", symbol) in self._keys]
        if len(asked) > 1:
            raise FieldError(
                "stream",
                "the frame does not say whether it has the best levels or changes; connect to the combined endpoint "
                "(/stream), whose frames name their stream",
            )
        return TABLE.topics[asked[0]] if asked else topic

    # -- account events ------------------------------------------------------------------------

    @override
    def subscribe_frame(self, request_id: int, channels: Sequence[Channel]) -> str:
        """Build the frame that subscribes to ``channels``.

        With the listen key in the URL there is nothing to subscribe to: then it asks for the list of subscriptions,
        whose answer confirms that the connection works.
        """
        if not self._is_private:
            return super().subscribe_frame(request_id, channels)
        return self._private_request("SUBSCRIBE", request_id)

    @override
    def unsubscribe_frame(self, request_id: int, channels: Sequence[Channel]) -> str:
        if not self._is_private:
            return super().unsubscribe_frame(request_id, channels)
        return self._private_request("UNSUBSCRIBE", request_id)

    def _private_request(self, method: str, request_id: int) -> str:
        if self.listen_key_in_url:
            return encode_request("LIST_SUBSCRIPTIONS", request_id)
        return encode_request(method, request_id, [self._lease_key.reveal()])

    @override
    def _decode_private(self, frame: bytes, message: dict[str, Any], local_time: int) -> Decoded:
        event: dict[str, Any] | None = message if "e" in message else None
        decoders = usdm_private.DECODERS
        if "stream" in message:
            if not isinstance(message.get("data"), dict):
                raise FieldError("data", "a frame of a combined stream has data")
            event, decoders = cast("dict[str, Any]", message["data"]), usdm_private.COMBINED_DECODERS
            if "e" not in event:
                return None, (unrecognized("account event without a name"),)  # the stream's name would be the key
        if event is None:
            return None, (self._answer(message),)
        name = event["e"]
        if name == "listenKeyExpired":
            return None, (LeaseExpired(),)
        events = decoders.decode(name, frame, self._symbols, local_time)
        if events is not None:
            return USER, events
        text = _NOTICES.get(name) if isinstance(name, str) else None
        return None, (read_event(event) if text is None else Notice(cast("str", name), text),)

    @staticmethod
    def _answer(message: dict[str, Any]) -> Control:
        answer = read_control(message)
        if isinstance(answer, Ack):
            return Ack(answer.request_id)  # a list of subscriptions has the listen key in it
        if not isinstance(answer, Refusal):
            return answer
        if answer.code == _NO_SUCH_LISTEN_KEY:
            return LeaseExpired()
        return login_refused(answer, logging_in=False) or answer


def _rest_url(url: str) -> str:
    """Return where listen keys come from, for the URL of the streams."""
    parts = urlsplit(url)
    known = _REST_HOSTS.get(parts.hostname or "")
    scheme = "https" if parts.scheme == "wss" else "http"
    return known or urlunsplit((scheme, parts.netloc, "", "", ""))
