"""One consumer of a hundred stops for good, over real sockets: the others lose nothing, and the venue is answered."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest

from bt_api_base.containers import Gap, GapReason, Tick
from bt_api_base.event_bus import EventBus
from bt_api_base.event_stream import Overflow
from bt_api_base.exceptions import SlowConsumerError
from bt_api_base.testing.peer import Ending
from bt_api_base.testing.simulated_venue import SimulatedVenue
from bt_api_base.websocket.channels import SubscriptionState
from bt_api_base.websocket_manager import WebSocketConfig, WebSocketManager

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from bt_api_base.websocket_manager import Subscription

pytestmark = pytest.mark.anyio

EXCHANGE = "BINANCE___SPOT"
SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT")
CONSUMERS = 100
BUFFER = 50
"""What the consumer that stops has room for."""


def stream_of(symbol: str) -> str:
    """Return what the venue calls a symbol's tickers."""
    return f"{symbol.replace('-', '').lower()}@bookTicker"


async def until(reached: Callable[[], bool]) -> None:
    """Wait until something has come true."""
    with anyio.fail_after(15):
        while not reached():  # noqa: ASYNC110 - nobody tells when
            await anyio.sleep(0.01)


@attrs.define(eq=False)
class Hall:
    """A hundred consumers of a few symbols: the first has stopped, the others take what comes."""

    venue: SimulatedVenue
    manager: WebSocketManager
    stopped: Subscription
    taken: dict[str, list[Any]] = attrs.field(factory=dict)
    symbols: dict[str, str] = attrs.field(factory=dict)

    async def consume(self, subscription: Subscription) -> None:
        """Take everything, as it comes."""
        taken = self.taken[subscription.id] = []
        self.symbols[subscription.id] = subscription.symbol
        async for batch in subscription.batches():
            taken += [item.sequence if isinstance(item, Tick) else item for item in batch]

    def sent(self, symbol: str) -> list[int]:
        """Return the numbers that the venue has sent of a symbol, over its only connection."""
        (ids,) = self.venue.sent_ids(stream_of(symbol)).values()
        return ids

    async def trade(self, steps: int) -> None:
        """Let the markets move, and wait until all who take anything have taken everything."""
        while steps:
            part = min(steps, 100)
            await self.venue.step(part)
            await self.venue.drain()
            steps -= part
        await until(lambda: all(taken[-1:] == self.sent(self.symbols[at])[-1:] for at, taken in self.taken.items()))


@asynccontextmanager
async def hall(overflow: Overflow) -> AsyncGenerator[Hall]:
    """Open a venue whose markets stand still, and a hundred consumers."""
    venue = SimulatedVenue(
        SYMBOLS, paused=True, keep_ids=True, ping_interval=0.05, pong_timeout=3.0, max_messages_per_second=None
    )
    async with venue, WebSocketManager() as manager, anyio.create_task_group() as tasks:
        # The venue pings all the time, and leaves three seconds for an answer; it does not answer quickly itself, as it
        # shares the event loop.
        await manager.add_exchange(WebSocketConfig(venue.url, EXCHANGE, heartbeat_interval=3.0))
        stopped = await manager.subscribe(EXCHANGE, "ticker", SYMBOLS[0], overflow=overflow, max_buffer_size=BUFFER)
        place = Hall(venue, manager, stopped)
        symbols = [SYMBOLS[number % len(SYMBOLS)] for number in range(1, CONSUMERS)]
        for subscription in await manager.subscribe_many(EXCHANGE, "ticker", symbols):
            tasks.start_soon(place.consume, subscription)
        await until(lambda: len(place.taken) == CONSUMERS - 1)
        yield place
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("overflow", list(Overflow))
async def test_one_that_stopped_costs_nobody_but_itself(overflow: Overflow) -> None:
    """The other ninety-nine get every number that was sent, in order; pings are answered; the connection goes on."""
    async with hall(overflow) as place:
        await place.trade(2000)
        for subscription_id, taken in place.taken.items():
            assert place.sent(place.symbols[subscription_id]) == taken
        assert len(place.sent(SYMBOLS[0])) > 1000
        (session,) = place.venue.sessions
        (stats,) = place.manager.get_stats()[EXCHANGE]
        assert (Ending.OPEN, 1) == (session.ending, stats.generation)
        assert session.sent == stats.data_frames
        assert_as_its_policy_says(place.stopped, place.sent(SYMBOLS[0]))


def assert_as_its_policy_says(stopped: Subscription, sent: list[int]) -> None:
    """What the one that stopped still gets, and what it is told."""
    items: list[Any] = []
    error: Exception | None = None
    try:
        while True:
            item = stopped.receive_nowait()
            items.append(item.sequence if isinstance(item, Tick) else item)
    except anyio.WouldBlock:
        pass
    except SlowConsumerError as failure:
        error = failure
    numbers = [item for item in items if not isinstance(item, Gap)]
    gaps = [item for item in items if isinstance(item, Gap)]
    lost = len(sent) - BUFFER
    if stopped.overflow is Overflow.BLOCK:
        # Lossless, far beyond its buffer, and then it is over: what it has is whole, and the error says that more came.
        assert sent[: len(numbers)] == numbers
        assert (True, SubscriptionState.FAILED, []) == (len(numbers) > 10 * BUFFER, stopped.state, gaps)
        assert error is not None
        return
    assert (None, SubscriptionState.ACTIVE) == (error, stopped.state)
    if stopped.overflow is Overflow.CONFLATE:
        assert ([sent[-1]], [], len(sent) - 1) == (numbers, gaps, stopped.conflated)
        return
    (gap,) = gaps
    assert (GapReason.OVERFLOW, lost, lost) == (gap.reason, gap.missing, stopped.dropped)
    if stopped.overflow is Overflow.DROP_OLDEST:
        assert [gap, *sent[-BUFFER:]] == items
    else:
        assert [*sent[:BUFFER], gap] == items


async def test_each_subscription_counts_for_itself() -> None:
    """What waits, what was dropped, and how late it is, is known of each."""
    async with hall(Overflow.DROP_OLDEST) as place:
        await place.trade(300)
        of = {stats.id: stats for stats in place.manager.get_subscription_stats(EXCHANGE)}
        assert CONSUMERS == len(of)
        stopped = of.pop(place.stopped.id)
        sent = len(place.sent(SYMBOLS[0]))
        assert (0, BUFFER, sent - BUFFER) == (stopped.delivered, stopped.pending, stopped.dropped)
        assert stopped.socket_to_delivered is None
        for stats in of.values():
            assert (0, 0, 0) == (stats.pending, stats.dropped, stats.conflated)
            assert len(place.sent(stats.symbol)) == stats.delivered
            assert stats.socket_to_delivered is not None


async def test_one_that_takes_up_again_goes_on_behind_the_gap() -> None:
    """What it missed is said once; what follows is whole."""
    async with hall(Overflow.DROP_OLDEST) as place:
        await place.trade(300)
        before = place.sent(SYMBOLS[0])
        assert isinstance(await place.stopped.receive(), Gap)
        rest = await place.stopped.receive_batch()
        await place.trade(50)
        more = place.sent(SYMBOLS[0])[len(before) :]
        assert 0 < len(more) <= BUFFER
        assert before[-BUFFER:] + more == [tick.sequence for tick in rest + await place.stopped.receive_batch()]


async def test_a_stream_on_the_bus_that_nobody_reads_costs_nobody_either() -> None:
    """Whoever listens to everything and stops is on its own as well."""
    bus = EventBus()
    venue = SimulatedVenue(SYMBOLS[:1], paused=True, keep_ids=True)
    async with venue, WebSocketManager(bus) as manager:
        await manager.add_exchange(WebSocketConfig(venue.url, EXCHANGE))
        subscription = await manager.subscribe(EXCHANGE, "ticker", SYMBOLS[0], overflow=Overflow.BLOCK)
        with bus.open_stream("tick.*", max_buffer_size=10, overflow=Overflow.DROP_OLDEST) as idle:
            await venue.step(300)
            await venue.drain()
            (sent,) = venue.sent_ids(stream_of(SYMBOLS[0])).values()
            await until(lambda: subscription.pending == len(sent))
            assert sent == [tick.sequence for tick in await subscription.receive_batch()]
            assert (10, len(sent) - 10) == (idle.pending, idle.dropped)


async def test_the_bus_has_gaps_in_order_with_the_data() -> None:
    """A gap has a name of its own, and stands between what came before it and what comes after."""
    bus = EventBus()
    venue = SimulatedVenue(SYMBOLS[:1], paused=True, keep_ids=True)
    seen: list[Any] = []
    async with venue, WebSocketManager(bus) as manager:
        await manager.add_exchange(WebSocketConfig(venue.url, EXCHANGE, reconnect_interval=0.01))
        bus.on(f"trade.{EXCHANGE}.BTC-USDT", lambda event: seen.append(int(event.trade_id)))
        bus.on(f"gap.{EXCHANGE}.BTC-USDT", seen.append)
        subscription = await manager.subscribe(EXCHANGE, "trade", "BTC-USDT")
        await venue.step(100)
        venue.skip("btcusdt@trade", 3)
        await venue.step(100)
        await venue.drain()
        with bus.open_stream("ws.resubscribed") as resubscribed:
            await venue.disconnect_all()
            await venue.step(100)
            with anyio.fail_after(10):
                await resubscribed.receive()
        await venue.step(100)
        await venue.drain()
        existing = venue.existing_ids("btcusdt@trade")
        await until(lambda: seen[-1:] == existing[-1:])
        items = [item if isinstance(item, Gap) else int(item.trade_id) for item in await subscription.receive_batch()]
    assert items == seen
    skipped, cut = [item for item in seen if isinstance(item, Gap)]
    assert (GapReason.SEQUENCE, 3, GapReason.DISCONNECTED) == (skipped.reason, skipped.missing, cut.reason)
    explained: list[int] = []
    for item in seen:
        explained += range(item.first_missing, item.last_missing + 1) if isinstance(item, Gap) else [item]
    assert existing == explained
