"""The manager: exchanges, subscriptions, callbacks, sharing, shutdown."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from bt_api_base.containers import Gap, GapReason, Tick
from bt_api_base.event_bus import EventBus
from bt_api_base.event_stream import Overflow
from bt_api_base.exceptions import (
    ConfigurationError,
    ExchangeNotFoundError,
    RateLimitError,
    SlowConsumerError,
    SubscribeError,
    WebSocketError,
)
from bt_api_base.testing.cancellation import sweep_cancellation
from bt_api_base.testing.leaks import assert_no_leaks
from bt_api_base.websocket.channels import SubscriptionState
from bt_api_base.websocket_manager import Subscription, WebSocketConfig, WebSocketManager
from tests.toy_venue import EXCHANGE, FakeVenue, ToyAdapter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]


def toy(exchange_name: str) -> ToyAdapter:
    """Make a toy adapter."""
    return ToyAdapter()


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(20):
        await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def managed(venue: FakeVenue, **settings: Any) -> AsyncGenerator[WebSocketManager]:
    """Run a manager with a fake venue behind its only exchange."""
    async with WebSocketManager() as manager:
        config = WebSocketConfig("ws://toy.invalid/ws", EXCHANGE, **settings)
        await manager.add_exchange(config, adapter=toy, connector=venue.connector)
        yield manager


class TestExchanges:
    """Adding exchanges."""

    async def test_works_before_entering_and_inside(self) -> None:
        """An exchange added early is connected when the manager starts."""
        venue = FakeVenue()
        manager = WebSocketManager()
        config = WebSocketConfig("ws://toy.invalid/ws", EXCHANGE)
        await manager.add_exchange(config, adapter=toy, connector=venue.connector)
        assert [] == venue.connections
        async with manager:
            await venue.wait_connections(1)

    async def test_subscribing_outside_is_a_clear_error(self) -> None:
        """The error says what to write."""
        manager = WebSocketManager()
        with pytest.raises(ConfigurationError, match="async with WebSocketManager"):
            await manager.subscribe(EXCHANGE, "ticker", "BTC-USDT")

    async def test_an_unknown_exchange_is_named_with_what_there_is(self) -> None:
        """A wrong name is answered with the right ones."""
        async with managed(FakeVenue()) as manager:
            with pytest.raises(ExchangeNotFoundError, match=EXCHANGE):
                await manager.subscribe("NOWHERE___SPOT", "ticker", "BTC-USDT")

    async def test_adding_twice_is_an_error(self) -> None:
        """Settings of a live connection do not change behind its back."""
        async with managed(FakeVenue()) as manager:
            with pytest.raises(ConfigurationError, match="added already"):
                await manager.add_exchange(WebSocketConfig("ws://toy.invalid/ws", EXCHANGE), adapter=toy)

    async def test_one_venue_that_fails_does_not_end_the_other(self) -> None:
        """A connection given up is its own consumers' error."""
        dead, alive = FakeVenue(refusing=True), FakeVenue()
        async with managed(dead, max_reconnect_attempts=0) as manager:
            other = WebSocketConfig("ws://toy.invalid/ws", "OTHER___SPOT")
            await manager.add_exchange(other, adapter=toy, connector=alive.connector)
            with pytest.raises(WebSocketError, match="given up after 1 attempt"):
                await manager.subscribe(EXCHANGE, "ticker", "BTC-USDT")
            subscription = await manager.subscribe("OTHER___SPOT", "ticker", "BTC-USDT")
            alive.now.tick("BTC-USDT", 1)
            assert 1 == (await subscription.receive()).sequence


class TestSubscriptions:
    """From `subscribe` to `aclose`."""

    async def test_is_an_async_iterator_over_containers(self) -> None:
        """Events arrive typed, in order, one by one or in lists."""
        venue = FakeVenue()
        async with managed(venue) as manager:
            subscription = await manager.subscribe(EXCHANGE, "ticker", "BTC-USDT")
            venue.now.tick("BTC-USDT", 1, 2, 3)
            seen = []
            async for tick in subscription:
                assert isinstance(tick, Tick)
                seen.append(tick.sequence)
                if tick.sequence == 2:
                    break
            async for batch in subscription.batches():
                seen += [tick.sequence for tick in batch]
                break
            assert ([1, 2, 3], SubscriptionState.ACTIVE) == (seen, subscription.state)

    async def test_a_topic_there_is_not_is_refused_before_anything_is_sent(self) -> None:
        """The adapter says what there is."""
        venue = FakeVenue()
        async with managed(venue) as manager:
            await venue.wait_connections(1)
            with pytest.raises(SubscribeError, match="topics are: ticker"):
                await manager.subscribe(EXCHANGE, "weather", "BTC-USDT")
            assert [] == venue.now.sent

    async def test_a_plain_callback_is_called_with_each_event(self) -> None:
        """And one that raises gets the next event all the same."""
        venue, seen = FakeVenue(), []

        def callback(tick: Any) -> None:
            seen.append(tick.sequence)
            if tick.sequence == 1:
                raise ValueError("of the consumer")

        async with managed(venue) as manager:
            await manager.subscribe(EXCHANGE, "ticker", "BTC-USDT", callback)
            venue.now.tick("BTC-USDT", 1, 2)
            await settle()
            (stats,) = manager.get_stats()[EXCHANGE]
            assert ([1, 2], 1) == (seen, stats.handler_errors)

    async def test_a_coroutine_callback_is_awaited_in_order(self) -> None:
        """It may wait; the connection does not wait for it."""
        venue, seen = FakeVenue(), []

        async def callback(tick: Any) -> None:
            await anyio.sleep(1.0)
            if tick.sequence == 1:
                raise ValueError("of the consumer")
            seen.append(tick.sequence)

        async with managed(venue) as manager:
            await manager.subscribe(EXCHANGE, "ticker", "BTC-USDT", callback)
            venue.now.tick("BTC-USDT", 1, 2, 3)
            await anyio.sleep(3.5)
            assert [2, 3] == seen

    async def test_data_also_goes_over_the_bus(self) -> None:
        """Handlers of the bus need not know who subscribed."""
        venue, bus, seen = FakeVenue(), EventBus(), []
        bus.on("tick.*", lambda tick: seen.append(tick.sequence))
        async with WebSocketManager(bus) as manager:
            config = WebSocketConfig("ws://toy.invalid/ws", EXCHANGE)
            await manager.add_exchange(config, adapter=toy, connector=venue.connector)
            await manager.subscribe(EXCHANGE, "ticker", "BTC-USDT")
            venue.now.tick("BTC-USDT", 1, 2)
            await settle()
        assert [1, 2] == seen

    async def test_two_consumers_share_a_channel(self) -> None:
        """Closing one leaves the other; closing the last unsubscribes; closing again does nothing."""
        venue = FakeVenue()
        async with managed(venue) as manager:
            one = await manager.subscribe(EXCHANGE, "ticker", "BTC-USDT")
            two = await manager.subscribe(EXCHANGE, "ticker", "BTC-USDT")
            assert one.id != two.id
            await one.aclose()
            venue.now.tick("BTC-USDT", 1)
            assert 1 == (await two.receive()).sequence
            await manager.unsubscribe(EXCHANGE, two.id)
            await manager.unsubscribe(EXCHANGE, two.id)
            await manager.unsubscribe(EXCHANGE, two)
            assert set() == venue.now.subscribed
            assert [1, 1] == [len(request.get("sub", request.get("unsub"))) for request in venue.now.sent]

    async def test_leaving_its_context_unsubscribes(self) -> None:
        """``async with`` is the short form."""
        venue = FakeVenue()
        async with managed(venue) as manager:
            async with await manager.subscribe(EXCHANGE, "ticker", "BTC-USDT"):
                assert {"ticker:BTC-USDT"} == venue.now.subscribed
            assert set() == venue.now.subscribed

    async def test_a_slow_consumer_loses_its_own_oldest_events_only(self) -> None:
        """Market data is dropped, oldest first and counted; another consumer loses nothing."""
        venue = FakeVenue()
        async with managed(venue) as manager:
            slow = await manager.subscribe(EXCHANGE, "ticker", "BTC-USDT", max_buffer_size=2)
            quick = await manager.subscribe(EXCHANGE, "ticker", "BTC-USDT")
            venue.now.tick("BTC-USDT", *range(10))
            await settle()
            assert (8, 2, 0, 10) == (slow.dropped, slow.pending, quick.dropped, quick.pending)
            gap = await slow.receive()
            assert isinstance(gap, Gap)
            assert (GapReason.OVERFLOW, 8) == (gap.reason, gap.missing)
            assert 8 == (await slow.receive()).sequence

    async def test_a_lossless_consumer_that_stops_gets_an_error_and_no_gap(self) -> None:
        """BLOCK holds back its own buffer; past the hard limit that stream ends, and the connection goes on."""
        venue = FakeVenue()
        async with managed(venue) as manager:
            stopped = await manager.subscribe(
                EXCHANGE, "ticker", "BTC-USDT", overflow=Overflow.BLOCK, max_buffer_size=10
            )
            quick = await manager.subscribe(EXCHANGE, "ticker", "BTC-USDT")
            venue.now.tick("BTC-USDT", *range(2000))
            await settle()
            got = []
            with pytest.raises(SlowConsumerError):
                async for batch in stopped.batches():
                    got += [tick.sequence for tick in batch]
            assert (list(range(len(got))), 2000) == (got, quick.pending)

    async def test_subscription_limits_are_kept_before_anything_is_sent(self) -> None:
        """An excess is an error at once; a channel that is carried already is no excess."""
        venue = FakeVenue()
        async with managed(venue, subscription_limits={"ticker": 1}) as manager:
            await manager.subscribe(EXCHANGE, "ticker", "BTC-USDT")
            await manager.subscribe(EXCHANGE, "ticker", "BTC-USDT")
            with pytest.raises(RateLimitError, match="allow 1 'ticker'"):
                await manager.subscribe(EXCHANGE, "ticker", "ETH-USDT")
            assert 1 == len(venue.now.sent)


class TestEnding:
    """What consumers see at the end."""

    async def test_iteration_ends_when_the_manager_is_left(self) -> None:
        """What has arrived is still handed out, then the iteration is over."""
        venue = FakeVenue()
        async with managed(venue) as manager:
            subscription = await manager.subscribe(EXCHANGE, "ticker", "BTC-USDT")
            venue.now.tick("BTC-USDT", 1, 2)
            await settle()
        assert [1, 2] == [tick.sequence async for tick in subscription]

    async def test_a_failed_connection_raises_at_its_consumers(self) -> None:
        """Nobody waits for ever for a connection that was given up."""
        venue = FakeVenue()
        async with managed(venue, max_reconnect_attempts=1, reconnect_interval=0.1) as manager:
            subscription = await manager.subscribe(EXCHANGE, "ticker", "BTC-USDT")
            venue.refusing = True
            venue.now.cut()
            with pytest.raises(WebSocketError, match="given up after 2 attempts"):
                await subscription.receive()

    async def test_nothing_is_left_behind(self) -> None:
        """No task, socket or thread survives the block."""
        async with assert_no_leaks(), managed(FakeVenue()) as manager:
            await manager.subscribe(EXCHANGE, "ticker", "BTC-USDT")

    @pytest.mark.parametrize("method", ["subscribe", "receive", "aclose", "add_exchange"])
    async def test_cancelled_at_any_await_no_wish_is_left_at_the_venue(self, method: str) -> None:
        """Whatever was cancelled, what the venue has subscribed is what some consumer still holds."""

        @asynccontextmanager
        async def scenario() -> AsyncGenerator[Any]:
            venue, held = FakeVenue(), []
            async with managed(venue) as manager:

                async def subscribe() -> None:
                    held.append(await manager.subscribe(EXCHANGE, "ticker", "BTC-USDT"))

                async def receive() -> None:
                    venue.now.tick("BTC-USDT", 1)
                    await held[0].receive()

                async def aclose() -> None:
                    await held.pop().aclose()

                async def add_exchange() -> None:
                    config = WebSocketConfig("ws://toy.invalid/ws", "OTHER___SPOT")
                    await manager.add_exchange(config, adapter=toy, connector=FakeVenue().connector)

                if method != "subscribe":
                    await subscribe()
                else:
                    await venue.wait_connections(1)
                yield locals()[method]
                await settle()
                assert ({"ticker:BTC-USDT"} if held else set()) == venue.now.subscribed
                subscriptions: list[Subscription] = held
                assert all(subscription.state is SubscriptionState.ACTIVE for subscription in subscriptions)

        await sweep_cancellation(scenario)
