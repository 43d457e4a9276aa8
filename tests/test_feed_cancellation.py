"""Any call of a feed can be cancelled at any await: no connection, permit, waiter or task is left behind."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest

from bt_api_base.feeds import venue_feed
from bt_api_base.feeds.clock import VenueClock
from bt_api_base.instrument_manager import InstrumentManager
from bt_api_base.rate_limiter import RateLimiter
from bt_api_base.security import Credentials
from bt_api_base.testing import sweep_cancellation
from bt_api_base.testing.rest_clock import LoopClock
from bt_api_base.testing.rest_log import RestEnding
from bt_api_base.websocket_manager import WebSocketConfig, WebSocketManager
from tests.order_script_venues import BINANCE, OKX, USDM, Market, at_venue_time, in_memory

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from bt_api_base.feeds import NativeFeed
    from bt_api_base.testing import PlantedSecret

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]

MARKETS = {"binance": BINANCE, "okx": OKX, "usdm": USDM}


@attrs.define
class Ground:
    """A feed, its venue, and what the feed's calls go through.

    Attributes:
        market: Where.
        venue: The venue.
        feed: The feed.
        limiter: What its calls wait for.
        resting: The venue's id of an order that rests.
    """

    market: Market
    venue: Any
    feed: NativeFeed
    limiter: RateLimiter
    resting: str = ""

    @property
    def symbol(self) -> str:
        """What is traded."""
        return self.market.symbols[0]

    async def place(self, price_part: str = "0.9", **options: Any) -> Any:
        """Buy the least there is to buy, below the market."""
        instrument = self.venue.instruments[self.symbol]
        best = self.venue.markets[self.symbol].best
        tick = instrument.tick_size
        price = best.bid_price * Decimal("1e-8") * Decimal(price_part) // tick * tick
        volume = instrument.step_size * (1 + 200 // (price * instrument.step_size * instrument.contract_multiplier))
        return await self.feed.async_make_order(self.symbol, volume, price, "buy-limit", **options)

    @property
    def used(self) -> dict[str, float]:
        """How much of each limit is used."""
        return {name: status["current"] for name, status in self.limiter.get_status().items()}


@asynccontextmanager
async def trading(market: Market, *, streams: bool = False, **options: Any) -> AsyncGenerator[Ground]:
    """Run a venue in memory, and a feed that has placed an order."""
    now_ns = LoopClock()
    now_ns()
    limiter = RateLimiter(market.rules, clock=anyio.current_time, wall_clock=lambda: now_ns() / 1e9)
    async with AsyncExitStack() as stack:
        venue = await stack.enter_async_context(
            market.venue(market.symbols, listen=False, paused=True, clock_ns=now_ns, max_connects=None, **options)
        )
        manager = None
        if streams and market.adapter is not None:
            manager = await stack.enter_async_context(WebSocketManager())
            url = f"ws://memory.invalid{market.stream_path}"
            await manager.add_exchange(
                WebSocketConfig(url, market.exchange_name, credentials=venue.credentials),
                adapter=at_venue_time(market.adapter, now_ns),
                connector=in_memory(venue.connect_in_memory),
            )
        feed: NativeFeed = await stack.enter_async_context(
            venue_feed(
                market.exchange_name,
                venue.credentials,
                rest_url="https://venue.invalid",
                transport=venue.rest_transport(),
                limiter=limiter,
                manager=manager,
                instruments=InstrumentManager(),
                api_options={"clock": VenueClock(monotonic_ns=now_ns, wall_ns=now_ns)},
            )
        )
        ground = Ground(market, venue, feed, limiter)
        ground.resting = (await ground.place(client_order_id="resting")).order_id
        yield ground


CALLS: dict[str, Callable[[Ground], Awaitable[Any]]] = {
    "make_order": lambda on: on.place(client_order_id="mine"),
    "make_order that takes": lambda on: on.place("1.05", client_order_id="mine"),
    "cancel_order": lambda on: on.feed.async_cancel_order(on.symbol, on.resting),
    "cancel_all": lambda on: on.feed.async_cancel_all(on.symbol),
    "query_order": lambda on: on.feed.async_query_order(on.symbol, on.resting),
    "open_orders": lambda on: on.feed.async_get_open_orders(),
    "balance": lambda on: on.feed.async_get_balance(),
    "account": lambda on: on.feed.async_get_account(),
    "deals": lambda on: on.feed.async_get_deals(on.symbol),
    "tick": lambda on: on.feed.async_get_tick(on.symbol),
    "depth": lambda on: on.feed.async_get_depth(on.symbol),
    "kline": lambda on: on.feed.async_get_kline(on.symbol, "1m"),
    "exchange_info": lambda on: on.feed.async_get_exchange_info(refresh=True),
    "server_time": lambda on: on.feed.async_get_server_time(),
}

TROUBLES: dict[str, Callable[[Ground], object]] = {
    "": lambda on: None,
    "slow": lambda on: on.venue.rest.delay(3.0, None),
    "lost": lambda on: on.venue.rest.lose_replies(2),
    "limited": lambda on: on.limiter.close_gate(3.0),
}


@asynccontextmanager
async def a_call(market: Market, call: str, trouble: str) -> AsyncGenerator[Callable[[], Awaitable[object]]]:
    """Make one call in some trouble; afterwards nothing of it is there, and client and venue know the same."""
    async with trading(market) as ground:
        await anyio.sleep(1.0)  # the limits' windows have begun, on anybody's clock
        before, requests = ground.used, ground.venue.rest.log.total
        TROUBLES[trouble](ground)
        yield lambda: CALLS[call](ground)
        assert {} == ground.limiter.waiting
        assert 0 == ground.feed.api.client.get_stats().in_flight
        is_sent = ground.venue.rest.connections or requests != ground.venue.rest.log.total
        if not is_sent:
            kept = {name: used for name, used in ground.used.items() if used > before.get(name, 0)}
            assert {} == kept, "a permit was kept for what was never sent"
        ground.venue.rest.clear()
        assert () == await ground.feed.resolve_unknown(200.0)
        await anyio.sleep(4.0)  # what the venue was asked it does, whether or not anybody waits for that
        assert 0 == ground.venue.rest.connections
        assert RestEnding.OPEN not in {record.ending for record in ground.venue.rest.log.records}
        assert ground.venue.rest.log.placed("mine") <= 1
        placed = [order for order in ground.venue.exchange.orders.values() if order.client_order_id == "mine"]
        known = ground.feed.tracker.get("mine")
        assert [str(order.order_id) for order in placed] == (
            [] if known is None or not known.order else [known.order.order_id]
        )


@pytest.mark.thorough
@pytest.mark.timeout(120)
@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("market", MARKETS)
async def test_any_call_can_be_cancelled_at_any_await(market: str, call: str, trouble: str) -> None:
    """In quiet, with slow and lost answers, and where it waits for a limit."""
    sweep = await sweep_cancellation(partial(a_call, MARKETS[market], call, trouble), time_limit=100.0)
    assert sweep.suspensions >= 1


@pytest.mark.parametrize("call", ["make_order", "cancel_order", "balance"])
async def test_a_call_can_be_cancelled_at_any_await(call: str) -> None:
    """Some of those of the longer search, in every run."""
    sweep = await sweep_cancellation(partial(a_call, BINANCE, call, "slow"), time_limit=100.0)
    assert sweep.suspensions >= 2


@asynccontextmanager
async def a_stream(market: Market, trouble: str) -> AsyncGenerator[Callable[[], Awaitable[object]]]:
    """Listen to the account; afterwards nobody listens, and somebody else can."""
    async with trading(market, streams=True) as ground:
        TROUBLES[trouble](ground)

        async def operation() -> None:
            async with ground.feed.user_data(recheck_after=None) as stream:
                await stream.receive()
                await ground.place("1.05", client_order_id="mine")
                await stream.receive()
                await stream.reconcile()

        yield operation
        ground.venue.rest.clear()
        assert () == await ground.feed.resolve_unknown(200.0)
        await anyio.sleep(30.0)
        assert () == ground.venue.subscriptions
        async with ground.feed.user_data() as stream:
            await stream.receive()
        assert {} == ground.limiter.waiting


@pytest.mark.thorough
@pytest.mark.timeout(120)
@pytest.mark.parametrize("trouble", ["", "slow", "limited"])
@pytest.mark.parametrize("market", ["binance", "okx"])
async def test_an_accounts_stream_can_be_given_up_at_any_await(market: str, trouble: str) -> None:
    """While it is opened, in the midst of what it tells, and while it compares with the venue."""
    sweep = await sweep_cancellation(partial(a_stream, MARKETS[market], trouble), time_limit=1_000.0)
    assert sweep.suspensions > 10


@asynccontextmanager
async def a_whole_feed(market: Market) -> AsyncGenerator[Callable[[], Awaitable[object]]]:
    """Enter a feed, trade and leave it; afterwards nothing of it is there."""
    now_ns = LoopClock()
    now_ns()
    async with market.venue(market.symbols, listen=False, paused=True, clock_ns=now_ns) as venue:

        async def operation() -> None:
            async with venue_feed(
                market.exchange_name,
                venue.credentials,
                rest_url="https://venue.invalid",
                transport=venue.rest_transport(),
                limiter=RateLimiter(market.rules, clock=anyio.current_time, wall_clock=lambda: now_ns() / 1e9),
                instruments=InstrumentManager(),
                api_options={"clock": VenueClock(monotonic_ns=now_ns, wall_ns=now_ns)},
            ) as feed:
                await feed.async_get_balance()

        yield operation
        await anyio.sleep(20.0)
        assert 0 == venue.rest.connections


@pytest.mark.parametrize("market", MARKETS)
async def test_a_feed_can_be_given_up_while_it_is_entered_and_left(market: str) -> None:
    """At each of its awaits; the sweep looks for tasks, sockets and threads."""
    sweep = await sweep_cancellation(partial(a_whole_feed, MARKETS[market]), time_limit=100.0)
    assert sweep.suspensions >= 2


# -- no secret shows -------------------------------------------------------------------------------------


async def test_no_secret_shows_from_orders_whatever_goes_wrong(planted_secret: PlantedSecret) -> None:
    """Refused, lost, late, limited, cancelled: neither errors nor feeds nor what is known of orders show a key."""
    credentials = Credentials(planted_secret.credentials.api_key, planted_secret.credentials.secret)
    async with trading(BINANCE, streams=True, credentials=credentials) as ground:
        errors: list[Any] = []
        forged = '{"code":-1022,"msg":"Signature for this request is not valid."}'
        troubles = (
            lambda: ground.venue.rest.lose_replies(3),
            lambda: ground.venue.rest.fail(502, 2, done=True),
            lambda: ground.venue.rest.fail(400, 1, body=forged),
            lambda: ground.venue.rest.limit(2.0),
            lambda: ground.venue.rest.delay(12.0, 2),
        )  # fmt: skip
        for number, trouble in enumerate(troubles):
            trouble()
            try:
                await ground.place(client_order_id=f"n{number}", resolve=number % 2 == 0)
            except Exception as error:  # noqa: BLE001 - each of them is looked at
                errors.append(error)
            await anyio.sleep(5.0)
        with anyio.move_on_after(1.0):
            ground.venue.rest.delay(5.0)
            await ground.place(client_order_id="given-up")
        ground.venue.rest.clear()
        assert () == await ground.feed.resolve_unknown(200.0)
        assert errors
        planted_secret.check(*errors, ground.feed, ground.feed.tracker.all(), ground.limiter.get_status())
        planted_secret.check(ground.feed.api, ground.feed.api.client, ground.feed.api.client.get_stats())
