"""Binance's feeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import attrs
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
_USUAL_WINDOW_MS: Final = 5000


class _BinanceFeed(VenueFeed):
    default_policy: ClassVar[ResolvePolicy] = _POLICY

    @override
    def _policy(self, recv_window_ms: int) -> ResolvePolicy:
        longer = max(0, recv_window_ms - _USUAL_WINDOW_MS) / 1000
        policy = self.default_policy
        return attrs.evolve(policy, settle_time=policy.settle_time + longer, timeout=policy.timeout + longer)


class BinanceSpotFeed(_BinanceFeed):
    """Binance spot; see `VenueFeed`."""

    api_class = BinanceSpotApi
    demo_stream_url = "wss://demo-stream.binance.com:9443/stream"


class BinanceUsdmFeed(_BinanceFeed):
    """Binance USD-M futures; see `VenueFeed`."""

    api_class = BinanceUsdmApi
    demo_stream_url = "wss://demo-fstream.binance.com"

    @override
    def _stream_adapter(self, rest_url: str | None) -> Callable[[str], StreamAdapter] | None:
        """Return an adapter whose listen keys come from the same host as everything else, where that was given."""
        if rest_url is None:
            return None
        from bt_api_base.venues.binance.usdm import BinanceUsdmAdapter

        return lambda _name: BinanceUsdmAdapter(rest_url=rest_url)
