"""Consumers that are slow in one way or another: what they get, what they are told, and how late it is."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import attrs
import pytest

from bt_api_base.containers import Event, Gap, GapReason, Trade
from bt_api_base.event_stream import Overflow
from bt_api_base.testing.simulated_venue import SimulatedVenue
from bt_api_base.websocket_manager import Subscription, WebSocketConfig, WebSocketManager

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from anyio.abc import TaskGroup

    from bt_api_base.websocket.connection import ConnectionStats
    from bt_api_base.websocket_manager import SubscriptionStats

pytestmark = pytest.mark.anyio

EXCHANGE = "BINANCE___SPOT"
STOPPED = "S0-USDT"
"""The market whose trades the slow consumer wants."""

PINGING: dict[str, Any] = {"ping_interval": 0.05, "pong_timeout": 1.0, "max_messages_per_second": None}
"""Options of a venue that pings all the time; pongs count among a client's messages."""


def stream_of(symbol: str) -> str:
    """Return the venue's name for the trades of a symbol."""
    return f"{symbol.replace('-', '').lower()}@trade"


def numbers(items: list[Event]) -> list[int]:
    """Return the numbers of trades."""
    return [int(item.trade_id) for item in items if isinstance(item, Trade)]


@attrs.define(eq=False)
class Floor:
    """A venue that remembers what it sent, and consumers that take everything as it comes."""

    venue: SimulatedVenue
    manager: WebSocketManager
    tasks: TaskGroup
    symbols: tuple[str, ...]
    quick: dict[str, tuple[Subscription, list[Event]]] = attrs.field(factory=dict)

    async def open_quick(self, symbols: tuple[str, ...]) -> None:
        """Open subscriptions, and consume them."""
        subscriptions = await self.manager.subscribe_many(EXCHANGE, "trade", symbols, overflow=Overflow.BLOCK)
        for symbol, subscription in zip(symbols, subscriptions, strict=True):
            self.quick[symbol] = subscription, []
            self.tasks.start_soon(self._consume, *self.quick[symbol])

    @staticmethod
    async def _consume(subscription: Subscription, items: list[Event]) -> None:
        async for batch in subscription.batches():
            items += batch

    async def open_slow(self, callback: Any = None, **how: Any) -> Subscription:
        """Open the subscription whose consumer is slow."""
        return await self.manager.subscribe(EXCHANGE, "trade", STOPPED, callback, **how)

    async def trade(self, steps: int) -> None:
        """Let the markets move, and wait until everything that was sent has been handed to whoever wanted it."""
        await self.venue.step(steps)
        await self.venue.drain()
        with anyio.fail_after(20):
            while self.stats.events + self.stats.unrouted_frames < self.venue.sent_total:  # noqa: ASYNC110 - nobody tells when
                await anyio.sleep(0.002)
            while any(subscription.pending for subscription, _ in self.quick.values()):
                await anyio.lowlevel.checkpoint()

    def sent(self, symbol: str = STOPPED) -> list[int]:
        """Return the numbers of the trades that the venue has sent."""
        (ids,) = self.venue.sent_ids(stream_of(symbol)).values()
        return ids

    @property
    def stats(self) -> ConnectionStats:
        """The only connection's counters."""
        (stats,) = self.manager.get_stats()[EXCHANGE]
        return stats

    def assert_nobody_else_lost_anything(self) -> None:
        """Every quick consumer has what happened, no more and no less, over the one connection that there was."""
        got = {symbol: numbers(items) for symbol, (_, items) in self.quick.items()}
        assert {symbol: self.venue.existing_ids(stream_of(symbol)) for symbol in self.quick} == got
        assert len(self.quick) == sum(map(bool, got.values()))
        assert not [item for _, items in self.quick.values() for item in items if isinstance(item, Gap)]
        assert (1, 0, True) == (self.stats.generation, self.stats.reconnects, self.venue.sessions[0].closed_at is None)


@asynccontextmanager
async def floor(markets: int = 100, **options: Any) -> AsyncGenerator[Floor]:
    """Run a venue with so many markets, all of them but one subscribed by a quick consumer."""
    symbols = tuple(f"S{number}-USDT" for number in range(markets))
    async with (
        SimulatedVenue(symbols, keep_ids=True, paused=True, **options) as venue,
        WebSocketManager() as manager,
        anyio.create_task_group() as tasks,
    ):
        await manager.add_exchange(WebSocketConfig(venue.url, EXCHANGE))
        here = Floor(venue, manager, tasks, symbols)
        await here.open_quick(symbols[1:])
        yield here
        tasks.cancel_scope.cancel()


class TestOneThatHasStopped:
    """It takes nothing any more; see test_flow_control.py for what the others notice of that: nothing."""

    async def test_a_lossless_stream_that_failed_is_no_longer_asked_for(self) -> None:
        """Nobody can read it any more, so the venue is told to stop; another consumer can begin anew."""
        async with floor(markets=2) as here:
            await here.open_slow(overflow=Overflow.BLOCK, max_buffer_size=5)
            await here.trade(3_000)
            with anyio.fail_after(5):
                while stream_of(STOPPED) in here.venue.subscriptions:  # noqa: ASYNC110 - nobody tells when
                    await anyio.sleep(0.002)
            async with await here.open_slow(overflow=Overflow.BLOCK) as again:
                await here.trade(100)
                assert numbers(await again.receive_batch())
            here.assert_nobody_else_lost_anything()

    async def test_pings_are_answered_whatever_it_is(self) -> None:
        """The venue pings all the while and would close the connection of a client that is late."""
        async with floor(**PINGING) as here:
            for policy in Overflow:
                await here.open_slow(overflow=policy, max_buffer_size=5)
            await here.open_slow(never_return)
            deadline = anyio.current_time() + 1.3
            while anyio.current_time() < deadline:
                await here.trade(5)
            here.assert_nobody_else_lost_anything()


async def never_return(event: Event) -> None:
    """Be a callback that has stopped for good."""
    await anyio.sleep_forever()


def take(subscription: Subscription, most: int) -> list[Event]:
    """Return so many of the events that wait, gaps included."""
    taken: list[Event] = []
    with suppress(anyio.WouldBlock):
        while len(taken) < most:
            taken.append(subscription.receive_nowait())
    return taken


class TestASlowOneThatGoesOn:
    """What a consumer that comes back now and then gets."""

    @pytest.mark.parametrize("policy", [Overflow.DROP_OLDEST, Overflow.DROP_NEWEST])
    async def test_a_gap_stands_exactly_where_events_are_missing(self, policy: Overflow) -> None:
        """Whenever it takes how many: the numbers go up by one, or a gap between them counts what is missing."""
        async with floor(markets=3) as here:
            slow = await here.open_slow(overflow=policy, max_buffer_size=7)
            taken: list[Event] = []
            for turn in range(30):
                await here.trade(5 + turn % 4 * 10)
                taken += take(slow, turn % 5)
            taken += take(slow, 100)
            accounted: list[int] = []
            following = iter(here.sent())
            for item in taken:
                if isinstance(item, Gap):
                    assert (GapReason.OVERFLOW, "trade") == (item.reason, item.topic)
                    assert item.missing is not None
                    assert item.missing > 0
                    accounted += [next(following) for _ in range(item.missing)]
                else:
                    assert next(following) == numbers([item])[0]
                    accounted.append(numbers([item])[0])
            assert here.sent() == accounted
            assert slow.dropped == sum(item.missing or 0 for item in taken if isinstance(item, Gap)) > 0
            here.assert_nobody_else_lost_anything()


class TestCallbacks:
    """Functions that are called with each event."""

    async def test_a_slow_plain_one_delays_and_loses_nothing(self) -> None:
        """It is called from the reader, so everybody waits for it, pongs too; but the connection bears that."""
        seen: list[Event] = []

        def dawdle(event: Event) -> None:
            time.sleep(0.002)
            seen.append(event)

        async with floor(markets=20, **PINGING) as here:
            await here.open_slow(dawdle)
            await here.trade(200)
            assert here.sent() == numbers(seen)
            here.assert_nobody_else_lost_anything()

    async def test_a_slow_coroutine_one_is_late_and_the_others_are_not(self) -> None:
        """It has a buffer and a task of its own: what it cannot keep is told to it in its turn."""
        seen: list[Event] = []

        async def dawdle(event: Event) -> None:
            await anyio.sleep(0.01)
            seen.append(event)

        async with floor(markets=20) as here:
            slow = await here.open_slow(dawdle, max_buffer_size=4)
            await here.trade(200)
            here.assert_nobody_else_lost_anything()
            late = len(seen)
            with anyio.fail_after(5):
                while numbers(seen[-1:]) != here.sent()[-1:]:  # noqa: ASYNC110 - nobody tells when
                    await anyio.sleep(0.005)
            gaps = [item for item in seen if isinstance(item, Gap)]
            assert late < len(seen)
            assert slow.dropped == sum(gap.missing or 0 for gap in gaps) == len(here.sent()) - len(numbers(seen)) > 0

    async def test_a_coroutine_one_that_never_returns_costs_its_own_buffer(self) -> None:
        """One event is with it, the newest few wait, the rest is counted."""
        async with floor() as here:
            stopped = await here.open_slow(never_return, max_buffer_size=4)
            await here.trade(80)
            here.assert_nobody_else_lost_anything()
            assert (1, 4, len(here.sent()) - 5) == (stopped.delivered, stopped.pending, stopped.dropped)

    async def test_one_of_each_kind_that_raises_every_time_gets_everything(self) -> None:
        """A callback's failure is counted, and is nobody else's."""
        seen: dict[str, list[Event]] = {"plain": [], "coroutine": []}

        def plain(event: Event) -> None:
            seen["plain"].append(event)
            raise ValueError("of the consumer")

        async def coroutine(event: Event) -> None:
            seen["coroutine"].append(event)
            raise ValueError("of the consumer")

        async with floor(markets=5) as here:
            await here.open_slow(plain)
            await here.open_slow(coroutine)
            await here.trade(50)
            with anyio.fail_after(5):
                while len(seen["coroutine"]) < len(here.sent()):  # noqa: ASYNC110 - nobody tells when
                    await anyio.sleep(0.002)
            assert [here.sent()] * 2 == [numbers(items) for items in seen.values()]
            assert 2 * len(here.sent()) == here.stats.handler_errors
            here.assert_nobody_else_lost_anything()


class TestLag:
    """How late a subscription's events are."""

    @staticmethod
    def _of(here: Floor, subscription: Subscription) -> SubscriptionStats:
        return next(one for one in here.manager.get_subscription_stats(EXCHANGE) if one.id == subscription.id)

    async def test_is_measured_from_the_venue_to_the_socket_and_from_there_to_the_consumer(self) -> None:
        """In seconds, of samples as they are taken; on loopback both are short, and a consumer's delay is its own."""
        async with floor(markets=2) as here:
            slow = await here.open_slow(overflow=Overflow.BLOCK)
            assert None is self._of(here, slow).socket_to_delivered
            for _ in range(5):
                await here.trade(1_000)  # a sample is taken every few hundred events
                await anyio.sleep(0.02)
                await slow.receive_batch()
            lag = self._of(here, slow)
            for one in (lag.exchange_to_socket, lag.socket_to_delivered):
                assert one is not None
                assert 0.0 <= one.p50 <= one.p90 <= one.p99 <= one.max < 5.0
                assert (5, 0) == (one.count, one.negative)
            assert lag.socket_to_delivered is not None
            assert 0.02 <= lag.socket_to_delivered.p50 * 1.05

    @pytest.mark.parametrize("callback", [None, "plain", "coroutine"])
    async def test_is_corrected_by_the_clocks_offset(self, callback: str | None) -> None:
        """A clock that is an hour behind the venue's makes events an hour later than they seem; or earlier, ahead."""
        hour = 3_600 * 10**9

        async def coroutine(event: Event) -> None:
            pass

        how: Any = {"plain": lambda event: None, "coroutine": coroutine}.get(callback or "")
        async with floor(markets=2) as here:
            for offset, expected, negative in ((-hour, 3_600.0, False), (0, 0.0, False), (hour, 0.0, True)):
                here.manager.set_clock_offset(EXCHANGE, offset)
                consumer = await here.open_slow(how)
                await here.trade(40)
                if how is None:
                    await consumer.receive_batch()
                while consumer.pending:
                    await anyio.lowlevel.checkpoint()
                lag = self._of(here, consumer)
                assert lag.exchange_to_socket is not None
                assert lag.socket_to_delivered is not None
                assert expected <= lag.exchange_to_socket.max < expected + 5.0
                assert lag.exchange_to_socket.count * negative == lag.exchange_to_socket.negative
                assert 0.0 <= lag.socket_to_delivered.max < 5.0
