"""What type checkers make of feeds, limits and credentials. Never run: mypy and pyright read it in ``types``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import assert_type

from bt_api_base import (
    AbstractVenueFeed,
    Account,
    Balance,
    Bar,
    Credentials,
    Fill,
    HttpClient,
    NativeFeed,
    Order,
    OrderBook,
    OrderUnknownError,
    Position,
    RateLimiter,
    SecureCredentialManager,
    Tick,
    venue_feed,
)
from bt_api_base.feeds import AsyncWrapperMixin, CapabilityMixin, ConnectionMixin, TrackedOrder, UserData
from bt_api_base.rate_limiter import Permit, RuleStatus
from bt_api_base.venues.binance.feed import BinanceSpotFeed

if TYPE_CHECKING:
    from bt_api_base.feeds.endpoint import Endpoint


async def feeds(credentials: Credentials) -> None:
    """A feed's coroutines return containers."""
    async with venue_feed("BINANCE___SPOT", credentials, timeout=5.0) as feed:
        assert_type(feed, NativeFeed)
        assert_type(await feed.async_get_tick("BTC-USDT"), Tick)
        assert_type(await feed.async_get_depth("BTC-USDT", 5), OrderBook)
        assert_type(await feed.async_get_kline("BTC-USDT", "1m"), list[Bar])
        assert_type(await feed.async_get_balance(), list[Balance])
        assert_type(await feed.async_get_account(), Account)
        assert_type(await feed.async_get_position(), list[Position])
        assert_type(await feed.async_get_deals("BTC-USDT"), list[Fill])
        try:
            order = await feed.async_make_order("BTC-USDT", "0.01", None, "buy-market")
        except OrderUnknownError as error:
            order = await feed.async_query_order("BTC-USDT", client_order_id=error.client_order_id)
        assert_type(order, Order)
        assert_type(await feed.async_cancel_all(), list[Order])
        assert_type(await feed.resolve_unknown(), tuple[TrackedOrder, ...])
        async with feed.user_data() as events:
            assert_type(events, UserData)


def blocking(credentials: Credentials) -> AbstractVenueFeed:
    """A feed is what programs written for any feed take."""
    feed = BinanceSpotFeed(credentials=credentials)
    takes_any_feed(feed)
    return feed


def takes_any_feed(feed: AbstractVenueFeed) -> None:
    """Whatever the feed is."""
    feed.connect()
    feed.get_tick("BTC-USDT")
    feed.disconnect()


class OldFeed(AsyncWrapperMixin, ConnectionMixin, CapabilityMixin):
    """A feed of blocking methods."""

    def get_tick(self, symbol: str, extra_data: object = None, **_kwargs: object) -> Tick:
        """Return nothing in particular."""
        del extra_data
        return Tick(exchange_name="OLD___SPOT", symbol=symbol, server_time=0, local_time=0)


async def client(http: HttpClient, endpoint: Endpoint[Tick]) -> None:
    """A call returns what its endpoint says."""
    assert_type(await http.call(endpoint, {"symbol": "BTCUSDT"}), Tick)


async def limits(limiter: RateLimiter) -> None:
    """With and without a loop."""
    with limiter, limiter.slot("GET", "/depth", 50):
        pass
    async with limiter, limiter.slot("GET", "/depth", 50):
        pass
    assert_type(limiter.acquire(), bool)
    assert_type(limiter.wait_and_acquire(timeout=1.0), bool)
    assert_type(await limiter.async_acquire(timeout=1.0), bool)
    assert_type(await limiter.async_permit("POST", "/order"), Permit)
    assert_type(limiter.get_status(), dict[str, RuleStatus])


async def secrets(manager: SecureCredentialManager) -> None:
    """Credentials are found with and without a loop."""
    assert_type(manager.get_exchange_credentials("BINANCE___SPOT"), Credentials)
    assert_type(await manager.async_get_exchange_credentials("BINANCE___SPOT"), Credentials)
    assert_type(manager.mask_credential("text"), str)
