"""A venue's feed, put together from its REST API and its streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bt_api_base.feeds.native import NativeFeed
from bt_api_base.venues import stream_adapter
from bt_api_base.websocket.config import WebSocketConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bt_api_base.feeds.http_types import Transport
    from bt_api_base.feeds.native_core import DataQueue
    from bt_api_base.feeds.order_resolver import ResolvePolicy
    from bt_api_base.feeds.venue_api import VenueApi
    from bt_api_base.rate_limiter import RateLimiter
    from bt_api_base.security import Credentials
    from bt_api_base.transport import TransportPolicy
    from bt_api_base.websocket.adapter import StreamAdapter
    from bt_api_base.websocket_manager import WebSocketManager

__all__ = ("VenueFeed",)


class VenueFeed(NativeFeed):
    """Base of the built-in venues' feeds: a `NativeFeed` that knows where its venue is.

    Args:
        data_queue: See `NativeFeed`.
        credentials: Of the account; ``None``: market data only.
        rest_url: Where the REST API is; ``None``: the venue's usual host.
        stream_url: Where the streams are; ``None``: the venue's usual host.
        transport_policy: How to connect, for both; ``None``: directly.
        transport: What sends the REST requests, instead of connections that the policy wants.
        limiter: Keeps within the REST limits; ``None``: one of its own.
        recv_window_ms: How long a signed request may be under way until the venue refuses it, milliseconds.
        timeout: How long a call may take in all, seconds.
        demo: Whether to trade in the venue's demonstration environment.
        api_options: More for the venue's API, such as OKX's ``trade_mode``.
        stream_options: More for the streams' `WebSocketConfig`.
        manager: Connections for the account's events, shared with others; ``None``: the feed makes its own.
        **options: See `NativeFeed`.
    """

    api_class: ClassVar[type[Any]]
    """Its class that is made with the credentials, and what is above."""
    demo_stream_url: ClassVar[str]

    def __init__(
        self,
        data_queue: DataQueue | None = None,
        *,
        credentials: Credentials | None = None,
        rest_url: str | None = None,
        stream_url: str | None = None,
        transport_policy: TransportPolicy | None = None,
        transport: Transport | None = None,
        limiter: RateLimiter | None = None,
        recv_window_ms: int = 5000,
        timeout: float = 10.0,
        demo: bool = False,
        api_options: Mapping[str, Any] | None = None,
        stream_options: Mapping[str, Any] | None = None,
        manager: WebSocketManager | None = None,
        **options: Any,  # noqa: ANN401 - of the base class, which checks them
    ) -> None:
        def make_api() -> VenueApi:
            api: VenueApi = self.api_class(
                credentials,
                rest_url=rest_url,
                policy=transport_policy,
                transport=transport,
                limiter=limiter,
                recv_window_ms=recv_window_ms,
                timeout=timeout,
                demo=demo,
                **(api_options or {}),
            )
            return api

        name = self.api_class.exchange_name
        stream = None
        if credentials is not None:
            stream = WebSocketConfig(
                stream_url or (self.demo_stream_url if demo else stream_adapter(name).default_url),
                name,
                credentials=credentials,
                transport_policy=transport_policy,
                **(stream_options or {}),
            )
        options.setdefault("stream_adapter", self._stream_adapter(rest_url))
        if options.get("policy") is None:
            options["policy"] = self._policy(recv_window_ms)
        super().__init__(data_queue, api=make_api, manager=manager, stream=stream, **options)

    def _policy(self, recv_window_ms: int) -> ResolvePolicy:
        """Return how the fate of an order is found out where requests may be under way for so long."""
        del recv_window_ms
        return self.default_policy

    def _stream_adapter(self, rest_url: str | None) -> Callable[[str], StreamAdapter] | None:
        """Return what makes the adapter of the streams; ``None``: whatever is usual for the venue."""
        del rest_url
        return None

    def _described(self) -> Any:  # noqa: ANN401 - the API, or its class
        return self.api_class if self._api is None else self._api
