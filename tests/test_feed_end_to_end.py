"""The built-in feeds against the simulated venues, over real sockets: REST, streams, and what breaks in between."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from bt_api_base.containers import Fill, Order, OrderStatus, Position
from bt_api_base.exceptions import OrderError, OrderUnknownError
from bt_api_base.feeds import venue_feed
from bt_api_base.feeds.order_resolver import ResolvePolicy
from bt_api_base.instrument_manager import InstrumentManager
from bt_api_base.testing import SimulatedOkxVenue, SimulatedVenue
from bt_api_base.testing.usdm_venue import SimulatedUsdmVenue

if TYPE_CHECKING:
    from bt_api_base.feeds.native import NativeFeed

pytestmark = pytest.mark.anyio

POLICY = ResolvePolicy(settle_time=0.1, timeout=5.0, first_delay=0.01, max_delay=0.05)
VENUES = [
    pytest.param(SimulatedVenue, "BINANCE___SPOT", "BTC-USDT", id="binance-spot"),
    pytest.param(SimulatedUsdmVenue, "BINANCE___SWAP", "BTC-USDT-SWAP", id="binance-usdm"),
    pytest.param(SimulatedOkxVenue, "OKX___SPOT", "BTC-USDT", id="okx-spot", marks=pytest.mark.thorough),
    pytest.param(SimulatedOkxVenue, "OKX___SWAP", "BTC-USDT-SWAP", id="okx-swap"),
]


def make_feed(venue: Any, exchange_name: str) -> NativeFeed:
    """Return a feed of a simulated venue."""
    feed: NativeFeed = venue_feed(
        exchange_name,
        venue.credentials,
        rest_url=venue.rest_url,
        stream_url=venue.url,
        policy=POLICY,
        instruments=InstrumentManager(),
        stream_options={"reconnect_interval": 0.05, "max_reconnect_interval": 0.05},
    )
    return feed


async def terms(feed: NativeFeed, symbol: str) -> tuple[Decimal, Decimal]:
    """Return a quantity that can be ordered, and a price at which an order to buy rests."""
    instrument = await feed.async_get_instrument(symbol)
    tick = await feed.async_get_tick(symbol)
    assert tick.bid_price is not None
    price = instrument.quantize_price(tick.bid_price * 0.98, "ROUND_FLOOR")
    smallest = instrument.min_qty or Decimal(1)
    needed = (instrument.min_notional or Decimal(0)) / price / instrument.contract_multiplier * 2
    return max(smallest, instrument.quantize_quantity(needed, "ROUND_CEILING")), price


@pytest.mark.parametrize(("make_venue", "exchange_name", "symbol"), VENUES)
async def test_a_trading_session(make_venue: Any, exchange_name: str, symbol: str) -> None:
    """Market data, orders, an answer that is lost, a cut stream; in the end both books are the same."""
    told: list[Any] = []
    async with make_venue((symbol,), seed=1, paused=True) as venue:
        await venue.step(20)
        async with make_feed(venue, exchange_name) as feed:
            assert 5 == len((await feed.async_get_depth(symbol, 5)).bids)
            assert 3 == len(await feed.async_get_kline(symbol, "1m", 3))
            quantity, price = await terms(feed, symbol)
            async with feed.user_data((Order, Fill, Position), recheck_after=None) as user:
                venue.rest.lose_replies(1, match=lambda request: request.method == "POST")
                resting = await feed.async_make_order(symbol, quantity, price, "buy-limit")
                taken = await feed.async_make_order(symbol, quantity, None, "buy-market")
                assert [resting.order_id] == [order.order_id for order in await feed.async_get_open_orders(symbol)]
                taken = await feed.async_query_order(symbol, taken.order_id)
                assert OrderStatus.COMPLETED is taken.order_status
                await venue.disconnect_all()
                canceled = await feed.async_cancel_order(symbol, resting.order_id)
                assert OrderStatus.CANCELED is canceled.order_status
                sold = await feed.async_make_order(symbol, quantity, None, "sell-market", offset="close")
                while user.get_stats().reconciliations < 2:  # noqa: ASYNC110 - it is counted, not told
                    await anyio.sleep(0.01)
                await user.reconcile()
                with anyio.move_on_after(0.05):
                    while True:
                        told.append(await user.receive())
            assert () == feed.unknown_orders
            assert {"done"} == {
                "done" if entry.order is not None and entry.order.order_status.is_final else entry.client_order_id
                for entry in feed.tracker.all()
            }
        assert {1} == set(venue.rest.log.placements.values())
        fills = [event.trade_id for event in told if isinstance(event, Fill)]
        assert sorted(str(fill.trade_id) for fill in venue.exchange.fills) == sorted(fills)
        states = {event.order_id: event.order_status for event in told if isinstance(event, Order)}
        assert {str(order.order_id): order.status for order in venue.exchange.orders.values()} == states
        assert sold.order_id in states
        if exchange_name.endswith("SWAP"):
            assert 0 == next(event for event in reversed(told) if isinstance(event, Position)).position_volume


async def test_an_order_lost_on_its_way_is_told_as_not_placed() -> None:
    """The connection breaks before the venue reads the order."""
    async with SimulatedVenue(("BTC-USDT",), seed=1, paused=True) as venue:
        await venue.step(20)
        async with make_feed(venue, "BINANCE___SPOT") as feed:
            quantity, price = await terms(feed, "BTC-USDT")
            venue.rest.lose_requests(1, match=lambda request: request.method == "POST")
            with pytest.raises(OrderError, match="was not placed") as caught:
                await feed.async_make_order("BTC-USDT", quantity, price, "buy-limit")
            assert not isinstance(caught.value, OrderUnknownError)
        assert {} == venue.exchange.orders


async def test_an_order_that_never_left_is_no_unknown_order() -> None:
    """Its caller is cancelled while it waits for a connection: the client knows that nothing was sent."""
    async with SimulatedVenue(("BTC-USDT",), seed=1, paused=True) as venue:
        await venue.step(20)
        async with make_feed(venue, "BINANCE___SPOT") as feed:
            quantity, price = await terms(feed, "BTC-USDT")
            with anyio.CancelScope() as scope:
                scope.cancel()
                await feed.async_make_order("BTC-USDT", quantity, price, "buy-limit", client_order_id="gone")
            assert () == feed.unknown_orders
            venue.rest.delay(5.0, match=lambda request: request.method == "POST")
            with anyio.move_on_after(0.1):
                await feed.async_make_order("BTC-USDT", quantity, price, "buy-limit", client_order_id="sent")
            assert ["sent"] == [entry.client_order_id for entry in feed.unknown_orders]
            assert () == await feed.resolve_unknown(5.0)
            assert ["sent"] == [entry.client_order_id for entry in feed.tracker.open]


def test_a_program_without_an_event_loop() -> None:
    """The blocking methods of the same feed."""
    with start_blocking_portal() as portal:
        venue = SimulatedVenue(("BTC-USDT",), seed=1, paused=True)
        with portal.wrap_async_context_manager(venue):
            portal.call(venue.step, 20)
            with make_feed(_Seen(venue, portal.call(lambda: venue.rest_url)), "BINANCE___SPOT") as feed:
                order = feed.make_order("BTC-USDT", "0.01", None, "buy-market")
                assert OrderStatus.COMPLETED is order.order_status
                assert [] == feed.get_open_orders("BTC-USDT")
                assert Decimal(10) < next(b.margin for b in feed.get_balance() if b.currency == "BTC")


class _Seen:
    """A venue as it is seen from another thread."""

    def __init__(self, venue: Any, rest_url: str) -> None:
        self.credentials, self.url, self.rest_url = venue.credentials, venue.url, rest_url
