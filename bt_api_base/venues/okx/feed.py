"""OKX's feeds, one for each type of instrument."""

from __future__ import annotations

from typing import ClassVar, Final

from bt_api_base.feeds.order_resolver import ResolvePolicy
from bt_api_base.venues.native_feed import VenueFeed
from bt_api_base.venues.okx.rest import OkxFuturesApi, OkxOptionApi, OkxSpotApi, OkxSwapApi

__all__ = ("OkxFeed", "OkxFuturesFeed", "OkxOptionFeed", "OkxSpotFeed", "OkxSwapFeed")

# A request is refused when its time stamp is 30 s old ("REST Authentication", 50102): afterwards an order that is not
# there does not turn up any more.
_POLICY: Final = ResolvePolicy(settle_time=30.0, confirmations=2, timeout=40.0)


class OkxFeed(VenueFeed):
    """Base of OKX's feeds; see `VenueFeed`."""

    demo_stream_url = "wss://wspap.okx.com:8443/ws/v5/public"
    default_policy: ClassVar[ResolvePolicy] = _POLICY


class OkxSpotFeed(OkxFeed):
    """OKX spot."""

    api_class = OkxSpotApi


class OkxSwapFeed(OkxFeed):
    """OKX perpetual swaps. Quantities are contracts."""

    api_class = OkxSwapApi


class OkxFuturesFeed(OkxFeed):
    """OKX futures with an expiry. Quantities are contracts."""

    api_class = OkxFuturesApi


class OkxOptionFeed(OkxFeed):
    """OKX options. Quantities are contracts."""

    api_class = OkxOptionApi
