"""Feeds: everything between a strategy and a venue's REST API. Names are loaded when they are first used.

`venue_feed` makes a feed for a venue by its name, as `bt_api_base.venues.stream_adapter` does for streams.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from bt_api_base._lazy import lazy_names
from bt_api_base.exceptions import ExchangeNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bt_api_base.feeds.abstract_feed import (
        AbstractVenueFeed as AbstractVenueFeed,
        AsyncWrapperMixin as AsyncWrapperMixin,
        BlockingWrapperMixin as BlockingWrapperMixin,
        check_protocol_compliance as check_protocol_compliance,
    )
    from bt_api_base.feeds.capability import (
        Capability as Capability,
        CapabilityMixin as CapabilityMixin,
        NotSupportedError as NotSupportedError,
    )
    from bt_api_base.feeds.connection_mixin import ConnectionMixin as ConnectionMixin
    from bt_api_base.feeds.connection_state import FeedConnectionState as FeedConnectionState
    from bt_api_base.feeds.http_client import HttpClient as HttpClient
    from bt_api_base.feeds.native import NativeFeed as NativeFeed
    from bt_api_base.feeds.order_check import OrderCheck as OrderCheck
    from bt_api_base.feeds.order_request import OrderRequest as OrderRequest
    from bt_api_base.feeds.order_resolver import ResolvePolicy as ResolvePolicy
    from bt_api_base.feeds.orders_tracker import (
        OrderFate as OrderFate,
        OrderTracker as OrderTracker,
        TrackedOrder as TrackedOrder,
    )
    from bt_api_base.feeds.user_data import UserData as UserData
    from bt_api_base.feeds.venue_api import VenueApi as VenueApi
    from bt_api_base.security import Credentials

_MODULES = {
    "AbstractVenueFeed": "abstract_feed",
    "AsyncWrapperMixin": "abstract_feed",
    "BlockingWrapperMixin": "abstract_feed",
    "Capability": "capability",
    "CapabilityMixin": "capability",
    "ConnectionMixin": "connection_mixin",
    "FeedConnectionState": "connection_state",
    "HttpClient": "http_client",
    "NativeFeed": "native",
    "NotSupportedError": "capability",
    "OrderCheck": "order_check",
    "OrderFate": "orders_tracker",
    "OrderRequest": "order_request",
    "OrderTracker": "orders_tracker",
    "ResolvePolicy": "order_resolver",
    "TrackedOrder": "orders_tracker",
    "UserData": "user_data",
    "VenueApi": "venue_api",
    "check_protocol_compliance": "abstract_feed",
}
"""The module that each lazy name comes from."""

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _MODULES)

_feeds: dict[str, str | Callable[..., Any]] = {
    "BINANCE___SPOT": "bt_api_base.venues.binance.feed:BinanceSpotFeed",
    "BINANCE___SWAP": "bt_api_base.venues.binance.feed:BinanceUsdmFeed",
    "OKX___FUTURES": "bt_api_base.venues.okx.feed:OkxFuturesFeed",
    "OKX___OPTION": "bt_api_base.venues.okx.feed:OkxOptionFeed",
    "OKX___SPOT": "bt_api_base.venues.okx.feed:OkxSpotFeed",
    "OKX___SWAP": "bt_api_base.venues.okx.feed:OkxSwapFeed",
}


_BuiltIn: TypeAlias = Literal[
    "BINANCE___SPOT", "BINANCE___SWAP", "OKX___FUTURES", "OKX___OPTION", "OKX___SPOT", "OKX___SWAP"
]


@overload
def venue_feed(
    exchange_name: _BuiltIn,
    credentials: Credentials | None = None,
    **options: Any,  # noqa: ANN401 - the feed's own
) -> NativeFeed: ...
@overload
def venue_feed(exchange_name: str, credentials: Credentials | None = None, **options: Any) -> Any: ...  # noqa: ANN401 - plugins' need be no `NativeFeed`
def venue_feed(exchange_name: str, credentials: Credentials | None = None, **options: Any) -> Any:
    """Return a new feed for a venue.

    Args:
        exchange_name: Venue and asset type, such as ``"BINANCE___SPOT"``; upper and lower case are the same.
        credentials: Of the account; ``None``: market data only.
        **options: The feed's own; see `bt_api_base.venues.native_feed.VenueFeed` for the built-in ones.

    Raises:
        ExchangeNotFoundError: There is no such feed; the error lists what there is.
    """
    name = exchange_name.upper()
    factory = _feeds.get(name)
    if factory is None:
        raise ExchangeNotFoundError(exchange_name, venue_feed_names())
    if isinstance(factory, str):
        module_name, _, attribute = factory.partition(":")
        factory = _feeds[name] = getattr(import_module(module_name), attribute)
    return factory(credentials=credentials, **options)


def register_venue_feed(exchange_name: str, factory: str | Callable[..., Any]) -> None:
    """Make a feed known under a name, in place of what the name stood for.

    Args:
        exchange_name: Venue and asset type, such as ``"BYBIT___SPOT"``; upper and lower case are the same.
        factory: A class or function that makes a new feed, with ``credentials=`` and its own options, or
            ``"module:name"`` of one, which is imported when first asked for.
    """
    _feeds[exchange_name.upper()] = factory


def venue_feed_names() -> tuple[str, ...]:
    """Return the names that `venue_feed` knows, in alphabetical order."""
    return tuple(sorted(_feeds))


__all__ = (
    "AbstractVenueFeed",
    "AsyncWrapperMixin",
    "BlockingWrapperMixin",
    "Capability",
    "CapabilityMixin",
    "ConnectionMixin",
    "FeedConnectionState",
    "HttpClient",
    "NativeFeed",
    "NotSupportedError",
    "OrderCheck",
    "OrderFate",
    "OrderRequest",
    "OrderTracker",
    "ResolvePolicy",
    "TrackedOrder",
    "UserData",
    "VenueApi",
    "check_protocol_compliance",
    "register_venue_feed",
    "venue_feed",
    "venue_feed_names",
)
