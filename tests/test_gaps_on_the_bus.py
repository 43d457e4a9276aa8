"""Where a gap is seen: on the bus, and by every kind of consumer, each time in its place among the events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from bt_api_base.containers import Event, Gap, GapReason, event_name
from bt_api_base.event_stream import Overflow
from bt_api_base.websocket import events
from tests.numbered_venue import number_of
from tests.test_login import account
from tests.toy_manager import Desk, managed, settle
from tests.toy_venue import FakeWebSocket, acknowledge, stay_silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bt_api_base.websocket_manager import Subscription

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]

TOPICS = ("trade", "ticker", "mark")
"""One topic for each kind of continuity."""


def say(ws: FakeWebSocket, *events: tuple[str, int]) -> None:
    """Let numbered events of channels arrive in one read."""
    ws.push(*({"ch": key, "n": number} for key, number in events))


def told(items: Sequence[Event]) -> list[Any]:
    """Return symbol and number of each event; of a gap the reason."""
    return [f"{item.symbol} {item.reason.value if isinstance(item, Gap) else number_of(item)}" for item in items]


def hear(desk: Desk, name: Any) -> list[Any]:
    """Return the list that goes on with everything the bus has under a name, pattern or type; connections aside."""
    heard: list[Any] = []
    desk.manager.bus.on(name, lambda event: None if isinstance(event, events.ConnectionEvent) else heard.append(event))
    return heard


async def reconnect(desk: Desk) -> FakeWebSocket:
    """Cut the connection, and return the next one when everything is confirmed."""
    number = len(desk.venue.connections)
    desk.venue.now.cut()
    ws = await desk.venue.wait_connections(number + 1)
    await settle()
    return ws


class TestOnTheBus:
    """A gap in a channel goes over the bus once, under a name of its own."""

    async def test_stands_among_the_data_that_it_concerns(self) -> None:
        """By name, by pattern, by type and as a stream: everybody sees the same order."""
        async with managed() as desk:
            everything, gaps, of_type = hear(desk, "*"), hear(desk, "gap.TOY___SPOT.A"), hear(desk, Gap)
            with desk.manager.bus.open_stream("*.TOY___SPOT.A", max_buffer_size=100) as stream:
                await desk.subscribe("A", "trade")
                say(desk.venue.now, ("trade:A", 1), ("trade:A", 4), ("trade:A", 5))
                await settle()
                say(await reconnect(desk), ("trade:A", 9))
                await settle()
                queued = [item for item in await stream.receive_batch() if not isinstance(item, events.ConnectionEvent)]
            assert ["A 1", "A sequence", "A 4", "A 5", "A disconnected", "A 9"] == told(everything)
            assert everything == queued
            assert [(2, 3, 2), (6, 8, 3)] == [(gap.first_missing, gap.last_missing, gap.missing) for gap in gaps]
            assert gaps == of_type
            assert 2 == desk.stats[0].gaps

    async def test_keeps_its_place_among_everything_of_the_same_read(self) -> None:
        """However many channels a read holds: nothing overtakes anything."""
        async with managed() as desk:
            everything = hear(desk, "*")
            for symbol in ("A", "B"):
                await desk.subscribe(symbol, "trade")
            say(desk.venue.now, ("trade:A", 1), ("trade:B", 1), ("trade:A", 3), ("trade:B", 2), ("trade:A", 4))
            say(desk.venue.now, ("trade:B", 3), ("trade:B", 5), ("trade:B", 5), ("trade:A", 9), ("trade:B", 6))
            await settle()
            first = ["A 1", "B 1", "A sequence", "A 3", "B 2", "A 4"]
            second = ["B 3", "B sequence", "B 5", "A sequence", "A 9", "B 6"]
            assert first + second == told(everything)
            assert (3, 1) == (desk.stats[0].gaps, desk.stats[0].duplicates)

    @pytest.mark.parametrize("together", [False, True])
    @pytest.mark.parametrize("topic", TOPICS)
    async def test_comes_before_the_first_event_after_a_reconnection(self, topic: str, together: bool) -> None:
        """Whether the venue's answer comes with it, in the same read, or long before."""
        async with managed() as desk:
            everything = hear(desk, "*.A")
            await desk.subscribe("A", topic)
            say(desk.venue.now, (f"{topic}:A", 1))
            await settle()
            desk.venue.answer = stay_silent if together else acknowledge
            ws = await reconnect(desk)
            if together:
                ws.push({"ok": ws.sent[0]["id"]}, {"ch": f"{topic}:A", "n": 5})
            else:
                await anyio.sleep(1.0)
                say(ws, (f"{topic}:A", 5))
            await settle()
            before, gap, after = everything
            assert (1, 5) == (number_of(before), number_of(after))
            assert (GapReason.DISCONNECTED, topic) == (gap.reason, gap.topic)
            assert before.local_time == gap.since <= gap.until <= after.local_time

    async def test_each_channel_of_a_symbol_has_its_own(self) -> None:
        """They share the name; the topic tells which of them it is."""
        async with managed() as desk:
            gaps = hear(desk, "gap.TOY___SPOT.A")
            for topic in TOPICS:
                await desk.subscribe("A", topic)
                say(desk.venue.now, (f"{topic}:A", 1))
            await settle()
            ws = await reconnect(desk)
            say(ws, *((f"{topic}:A", 7) for topic in TOPICS))
            await settle()
            assert set(TOPICS) == {gap.topic for gap in gaps}
            assert len(TOPICS) == len(gaps)

    async def test_a_new_count_is_told_of_as_one(self) -> None:
        """The venue begins anew: how much is missing cannot be known."""
        async with managed() as desk:
            everything = hear(desk, "*.A")
            await desk.subscribe("A", "trade")
            say(desk.venue.now, ("trade:A", 50_000))
            say(desk.venue.now, ("trade:A", 0), ("trade:A", 1))
            await settle()
            assert ["A 50000", "A reset", "A 0", "A 1"] == told(everything)
            assert (None, None, None) == (
                everything[1].first_missing,
                everything[1].last_missing,
                everything[1].missing,
            )

    async def test_never_ends_before_it_begins(self) -> None:
        """Of two connections, the one that takes over may have been heard before the one that was lost."""
        async with managed(rotation_overlap=10.0) as desk:
            everything = hear(desk, "*.A")
            await desk.subscribe("A", "ticker")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(desk.manager.rotate, "TOY___SPOT")
                new = await desk.venue.wait_connections(2)
                await anyio.sleep(1.0)
                say(new, ("ticker:A", 5))
                await settle()
                say(desk.venue.connections[0], ("ticker:A", 2))
                await settle()
                desk.venue.connections[0].cut()
            before, gap, after = everything
            assert (2, GapReason.DISCONNECTED, 5) == (before.sequence, gap.reason, after.sequence)
            assert after.local_time < before.local_time == gap.since == gap.until

    async def test_one_consumers_own_losses_are_its_own(self) -> None:
        """A slow consumer's gap is not everybody's: the bus has everything, and so has no gap."""
        async with managed() as desk:
            everything = hear(desk, "*.A")
            slow = await desk.subscribe("A", "trade", overflow=Overflow.DROP_OLDEST, max_buffer_size=2)
            say(desk.venue.now, *(("trade:A", number) for number in range(1, 8)))
            await settle()
            assert [f"A {number}" for number in range(1, 8)] == told(everything)
            assert ["A overflow", "A 6", "A 7"] == told(await slow.receive_batch())
            assert 0 == desk.stats[0].gaps

    async def test_a_handler_that_raises_keeps_nothing_from_the_others(self) -> None:
        """Nor from the consumers, nor from the connection."""
        async with managed() as desk:

            def fail(event: Any) -> None:
                raise ValueError("of the consumer")

            desk.manager.bus.on("gap.*", fail)
            gaps = hear(desk, Gap)
            subscription = await desk.subscribe("A", "trade")
            say(desk.venue.now, ("trade:A", 1), ("trade:A", 3))
            await settle()
            assert 1 == len(gaps)
            assert ["A 1", "A sequence", "A 3"] == told(await subscription.receive_batch())
            assert 1 == len(desk.venue.connections)


class TestAnAccount:
    """Channels that mix events, each of which goes under its own name."""

    async def test_has_gaps_without_a_symbol(self) -> None:
        """What is missing may have been of any kind and any symbol."""
        async with account() as desk:
            everything = hear(desk, "*")
            await desk.subscribe("", "account")
            desk.venue.now.push({"account": 1, "of": ["ticker", "mark"]})
            await settle()
            (await reconnect(desk)).push({"account": 2, "of": ["mark"]})
            await settle()
            names = ["tick.TOY___SPOT.A", "mark_price.TOY___SPOT.A", "gap.TOY___SPOT.", "mark_price.TOY___SPOT.A"]
            assert names == [event_name(event) for event in everything]
            assert (GapReason.DISCONNECTED, "account") == (everything[2].reason, everything[2].topic)

    async def test_tells_each_consumer_whatever_kind_it_wants(self) -> None:
        """Whoever wants orders only may have missed an order."""
        async with account() as desk:
            everything = await desk.subscribe("", "account")
            quotes, marks = await desk.subscribe("", "quotes"), await desk.subscribe("", "marks")
            desk.venue.now.push({"account": 1, "of": ["ticker", "mark"]})
            await settle()
            (await reconnect(desk)).push({"account": 2, "of": ["ticker"]})
            await settle()
            assert ["A 1", "A 1", " disconnected", "A 2"] == told(await everything.receive_batch())
            assert ["A 1", " disconnected", "A 2"] == told(await quotes.receive_batch())
            assert ["A 1", " disconnected"] == told(await marks.receive_batch())

    async def test_its_consumers_share_one_gap(self) -> None:
        """It is one channel, so the bus has one gap, and it is counted once."""
        async with account() as desk:
            gaps = hear(desk, Gap)
            await desk.subscribe("", "quotes")
            await desk.subscribe("", "marks")
            await reconnect(desk)
            assert (1, 1) == (len(gaps), desk.stats[0].gaps)


class TestConsumers:
    """Every kind of consumer gets a gap where it is."""

    @staticmethod
    async def _run(desk: Desk) -> None:
        """Let there be two gaps: one in the numbers, and one of a reconnection."""
        say(desk.venue.now, ("trade:A", 1), ("trade:A", 2), ("trade:A", 5))
        await settle()
        say(await reconnect(desk), ("trade:A", 8), ("trade:A", 9))
        await settle()

    ALL = ("A 1", "A 2", "A sequence", "A 5", "A disconnected", "A 8", "A 9")

    @pytest.mark.parametrize("policy", [Overflow.BLOCK, Overflow.DROP_OLDEST, Overflow.DROP_NEWEST])
    async def test_streams_with_room_for_it(self, policy: Overflow) -> None:
        """In order among the events, one by one as well as in lists."""
        async with managed() as desk:
            one = await desk.subscribe("A", "trade", overflow=policy)
            many = await desk.subscribe("A", "trade", overflow=policy)
            await self._run(desk)
            assert [*self.ALL] == told([await one.receive() for _ in self.ALL]) == told(await many.receive_batch())
            assert (0, 0) == (one.dropped, one.pending)

    async def test_a_stream_that_keeps_the_latest_only(self) -> None:
        """What waits before a gap stays before it: a later event does not take its place."""
        async with managed() as desk:
            latest = await desk.subscribe("A", "trade", overflow=Overflow.CONFLATE)
            await self._run(desk)
            assert ["A 2", "A sequence", "A 5", "A disconnected", "A 9"] == told(await latest.receive_batch())
            assert (2, 0) == (latest.conflated, latest.dropped)

    @pytest.mark.parametrize(
        ("policy", "expected"),
        [
            (Overflow.DROP_OLDEST, ["A overflow", "A 8", "A 9"]),
            (Overflow.DROP_NEWEST, ["A 1", "A 2", "A overflow"]),
        ],
    )
    async def test_a_stream_without_room_tells_at_least_that_something_is_missing(
        self, policy: Overflow, expected: list[str]
    ) -> None:
        """Gaps are dropped like events; the one that stands for them covers them."""
        async with managed() as desk:
            slow = await desk.subscribe("A", "trade", overflow=policy, max_buffer_size=2)
            await self._run(desk)
            assert expected == told(await self._all(slow))

    @staticmethod
    async def _all(subscription: Subscription) -> list[Event]:
        items: list[Event] = []
        with anyio.move_on_after(1.0):
            while True:
                items += await subscription.receive_batch()
        return items

    async def test_a_plain_callback(self) -> None:
        """It is called with the gap, between the events."""
        called: list[Event] = []
        async with managed() as desk:
            await desk.subscribe("A", "trade", called.append)
            await self._run(desk)
            assert [*self.ALL] == told(called)

    async def test_a_coroutine_callback(self) -> None:
        """Also when it is slow."""
        called: list[Event] = []

        async def callback(event: Event) -> None:
            await anyio.sleep(1.0)
            called.append(event)

        async with managed() as desk:
            await desk.subscribe("A", "trade", callback)
            await self._run(desk)
            await anyio.sleep(10.0)
            assert [*self.ALL] == told(called)

    async def test_nobody_but_the_bus(self) -> None:
        """A subscription without a buffer is for the bus: it has the gaps there, and nothing of its own."""
        async with managed() as desk:
            everything = hear(desk, "*.A")
            subscription = await desk.subscribe("A", "trade", max_buffer_size=0)
            await self._run(desk)
            assert [*self.ALL] == told(everything)
            assert (0, 0) == (subscription.pending, subscription.dropped)

    async def test_all_of_them_at_once_get_the_same_gap(self) -> None:
        """It is made once, and told to each."""
        called: list[Event] = []
        async with managed() as desk:
            everything = hear(desk, "*.A")
            stream = await desk.subscribe("A", "trade")
            await desk.subscribe("A", "trade", called.append)
            await self._run(desk)
            streamed = await stream.receive_batch()
            gaps = [[item for item in items if isinstance(item, Gap)] for items in (everything, streamed, called)]
            assert 2 == len(gaps[0])
            assert all(one is other for other_gaps in gaps[1:] for one, other in zip(gaps[0], other_gaps, strict=True))

    async def test_one_that_joins_later_has_not_missed_what_was_before(self) -> None:
        """A gap is told to those that were there."""
        async with managed() as desk:
            first = await desk.subscribe("A", "trade")
            say(desk.venue.now, ("trade:A", 1), ("trade:A", 3))
            await settle()
            second = await desk.subscribe("A", "trade")
            say(desk.venue.now, ("trade:A", 4), ("trade:A", 6))
            await settle()
            assert ["A 1", "A sequence", "A 3", "A 4", "A sequence", "A 6"] == told(await first.receive_batch())
            assert ["A 4", "A sequence", "A 6"] == told(await second.receive_batch())
