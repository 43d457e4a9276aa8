"""Settings of an exchange's WebSocket connections."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from bt_api_base._redaction import LONG_SEGMENT, MASK, redact_text
from bt_api_base.exceptions import ConfigurationError
from bt_api_base.security import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bt_api_base.security import Credentials
    from bt_api_base.transport import TransportPolicy

__all__ = ("WebSocketConfig",)

_LONGEST_SCHEME: Final = 10
_HARMLESS_HEADERS: Final = frozenset({"accept", "accept-language", "host", "origin", "user-agent"})


def _positive(instance: WebSocketConfig, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not value > 0:
        msg = f"WebSocketConfig.{attribute.name} must be greater than 0, got {value!r} ({instance.exchange_name})"
        raise ConfigurationError(msg)


def _not_negative(instance: WebSocketConfig, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not value >= 0:
        msg = f"WebSocketConfig.{attribute.name} must not be negative, got {value!r} ({instance.exchange_name})"
        raise ConfigurationError(msg)


def _websocket_url(instance: WebSocketConfig, _: attrs.Attribute[Any], value: str) -> None:
    if not value.startswith(("ws://", "wss://")):
        # The URL itself may carry a token, so the message shows its scheme only, where it has one.
        scheme, mark, _rest = value.partition("://")
        got = repr(scheme) if mark and scheme.isalpha() and len(scheme) <= _LONGEST_SCHEME else "something else"
        msg = f"WebSocketConfig.url must start with ws:// or wss://, got {got} ({instance.exchange_name})"
        raise ConfigurationError(msg)


def _shown_url(url: str) -> str:
    """Return a URL without its query and whatever else in it may be secret: user, password, keys in the path."""
    scheme, mark, rest = redact_text(re.split(r"[?#]", url, maxsplit=1)[0]).partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host}{LONG_SEGMENT.sub(MASK, slash + path)}"


def _has_secrets(url: str) -> bool:
    return redact_text(url) != url or not url.startswith(_shown_url(url))


def _as_secrets(headers: Mapping[str, str | Secret] | None) -> Mapping[str, str | Secret] | None:
    if headers is None:
        return None
    return {
        name: value if name.lower() in _HARMLESS_HEADERS or isinstance(value, Secret) else Secret(value)
        for name, value in headers.items()
    }


@attrs.frozen
class WebSocketConfig:
    """How to reach one exchange's streams. All durations are seconds.

    It cannot be pickled with credentials in it, with headers, or with a secret in its URL.

    Attributes:
        url: Endpoint, ``ws://`` or ``wss://``. Of what may be secret in it, such as a password, nothing shows in a
            repr.
        exchange_name: Venue and asset type, such as ``"BINANCE___SPOT"``.
        max_connections: Most connections to spread subscriptions over.
        heartbeat_interval: Time between pings; a ping unanswered for ``heartbeat_timeout`` ends the connection.
        reconnect_interval: Upper bound of the first reconnection delay; later ones double (see `reconnect_delays`).
        max_reconnect_attempts: Consecutive failures after which the connection is given up;
            ``None``: never.
        message_queue_size: Default buffer of a subscription, in events.
        compression: Whether to offer permessage-deflate.
        subscription_limits: Most channels per topic; topics not named are bounded by the venue only.
        max_reconnect_interval: Upper bound of every reconnection delay.
        healthy_after: How long data must have flowed before a lost connection counts as healthy,
            which starts the back-off anew.
        connect_timeout: Limit for DNS, TCP, TLS and the handshake together.
        subscribe_timeout: Limit for a venue's acknowledgement.
        heartbeat_timeout: Limit for the answer to a ping.
        stale_after: A connection with subscriptions that carries no application frame for this long, and no answer
            when the venue is asked, is replaced; pongs do not count. ``None``: never.
        close_timeout: Limit for the closing handshake.
        max_connection_age: Age at which a connection is replaced, make before break
            (`bt_api_base.websocket.rotation`), less up to a tenth of it at random; ``None``: well before the venue's
            own limit, if it has one.
        rotation_overlap: How long the old and the new connection both stay subscribed before the new one takes over.
        rotation_timeout: Limit for the new connection to get so far.
        quiet_after: Longest silence that is expected of a subscription, by topic; for topics not named it is the
            venue's documented pace, or else learned. ``0``: a subscription to that topic is never suspected.
        max_channels_per_connection: Most channels that one connection carries; ``None``: the venue's limit.
        credentials: What private channels are signed with. Never shown in a repr.
        max_message_size: Largest message accepted, bytes; ``None``: the adapter's limit.
        transport: ``"anyio"``, or on trio also ``"trio-websocket"``.
        transport_policy: Proxy, TLS settings, local address; ``None``: directly, with the system's certificates.
        headers: Extra HTTP headers of the handshake. They may hold a token, so their values, given as texts, become
            `Secret`, but for those of headers such as ``User-Agent``.
    """

    url: str = attrs.field(validator=_websocket_url, repr=lambda url: repr(_shown_url(url)))
    exchange_name: str
    max_connections: int = attrs.field(default=5, validator=_positive)
    heartbeat_interval: float = attrs.field(default=30.0, validator=_positive)
    reconnect_interval: float = attrs.field(default=5.0, validator=_not_negative)
    max_reconnect_attempts: int | None = attrs.field(default=None, validator=_not_negative)
    message_queue_size: int = attrs.field(default=10_000, validator=_positive)
    compression: bool = True
    subscription_limits: Mapping[str, int] = attrs.field(factory=dict[str, int])
    max_reconnect_interval: float = attrs.field(default=60.0, kw_only=True, validator=_positive)
    healthy_after: float = attrs.field(default=5.0, kw_only=True, validator=_not_negative)
    connect_timeout: float = attrs.field(default=10.0, kw_only=True, validator=_positive)
    subscribe_timeout: float = attrs.field(default=10.0, kw_only=True, validator=_positive)
    heartbeat_timeout: float = attrs.field(default=10.0, kw_only=True, validator=_positive)
    stale_after: float | None = attrs.field(default=60.0, kw_only=True, validator=_positive)
    close_timeout: float = attrs.field(default=2.0, kw_only=True, validator=_positive)
    max_connection_age: float | None = attrs.field(default=None, kw_only=True, validator=_positive)
    rotation_overlap: float = attrs.field(default=1.0, kw_only=True, validator=_not_negative)
    rotation_timeout: float = attrs.field(default=60.0, kw_only=True, validator=_positive)
    quiet_after: Mapping[str, float] = attrs.field(factory=dict[str, float], kw_only=True)
    max_channels_per_connection: int | None = attrs.field(default=None, kw_only=True, validator=_positive)
    credentials: Credentials | None = attrs.field(default=None, kw_only=True, repr=False)
    max_message_size: int | None = attrs.field(default=None, kw_only=True, validator=_positive)
    transport: Literal["anyio", "trio-websocket"] = attrs.field(default="anyio", kw_only=True)
    transport_policy: TransportPolicy | None = attrs.field(default=None, kw_only=True)
    headers: Mapping[str, str | Secret] | None = attrs.field(
        default=None, kw_only=True, repr=False, converter=_as_secrets
    )

    def __getstate__(self) -> dict[str, Any]:
        state = {field.name: getattr(self, field.name) for field in attrs.fields(type(self))}
        if _has_secrets(self.url):
            state["url"] = Secret(self.url)  # which can be copied, but not pickled
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            is_wrapped = name == "url" and isinstance(value, Secret)
            object.__setattr__(self, name, value.reveal() if is_wrapped else value)
