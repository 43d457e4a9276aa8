"""Binance's feeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from typing_extensions import override

from bt_api_base.feeds.order_resolver import ResolvePolicy
from bt_api_base.venues.binance.rest_spot import BinanceSpotApi
from bt_api_base.venues.binance.rest_usdm import BinanceUsdmApi
from bt_api_base.venues.native_feed import VenueFeed

if TYPE_CHECKING:
    from collections.abc import Callable

    from bt_api_base.websocket.adapter import StreamAdapter

__all__ = ("BinanceSpotFeed", "BinanceUsdmFeed")

# A request is refused when it is older than its receive window (5 s), and the venue gives itself 10 s to do it
# ("General API Information", -1007): afterwards an order that is not there does not turn up any more.
_POLICY: Final = ResolvePolicy(settle_time=15.0, confirmations=2, timeout=25.0)


class BinanceSpotFeed(VenueFeed):
    """Binance spot; see `VenueFeed`."""

    api_class = BinanceSpotApi
    demo_stream_url = "wss://demo-stream.binance.com:9443/stream"
    default_policy: ClassVar[ResolvePolicy] = _POLICY


class BinanceUsdmFeed(VenueFeed):
    """Binance USD-M futures; see `VenueFeed`."""

    api_class = BinanceUsdmApi
    demo_stream_url = "wss://demo-fstream.binance.com"
    default_policy: ClassVar[ResolvePolicy] = _POLICY

    @override
    def _stream_adapter(self, rest_url: str | None) -> Callable[[str], StreamAdapter] | None:
        """Return an adapter whose listen keys come from the same host as everything else, where that was given."""
        if rest_url is None:
            return None
        from bt_api_base.venues.binance.usdm import BinanceUsdmAdapter

        return lambda _name: BinanceUsdmAdapter(rest_url=rest_url)
