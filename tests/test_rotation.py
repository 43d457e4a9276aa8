"""One connection takes the place of another: when, how, and what if something goes wrong in the middle of it."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from bt_api_base.containers import Gap, GapReason
from bt_api_base.exceptions import SubscribeError, WebSocketError
from bt_api_base.testing.cancellation import sweep_cancellation
from bt_api_base.testing.leaks import assert_no_leaks
from bt_api_base.websocket import events
from bt_api_base.websocket.adapter import StreamLimits
from bt_api_base.websocket.channels import SubscriptionState
from bt_api_base.websocket.connection_stats import ConnectionState
from tests.numbered_venue import number_of
from tests.toy_manager import Desk, limited, managed, settle
from tests.toy_venue import EXCHANGE, FakeVenue, FakeWebSocket, acknowledge, refuse, stay_silent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from anyio.abc import TaskGroup

    from bt_api_base.websocket_manager import Subscription

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]

TOPICS = ("trade", "ticker", "mark")
"""One topic for each kind of continuity."""


class MovingVenue(FakeVenue):
    """A venue whose markets move four times a second, and which takes its time to answer.

    Attributes:
        ack_delay: Seconds until a request is answered; it is obeyed at once.
        numbers: The last number of each channel.
        behind: What a connection that lags has yet to be sent of a channel.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(self._answer, **settings)
        self.ack_delay = 0.0
        self.numbers: dict[str, int] = {}
        self.time = 0
        self.behind: dict[tuple[FakeWebSocket, str], list[Any]] = {}
        self.tasks: TaskGroup | None = None

    def _answer(self, ws: FakeWebSocket, request: dict[str, Any]) -> None:
        if self.tasks is not None:
            self.tasks.start_soon(self._answer_later, ws, request)

    async def _answer_later(self, ws: FakeWebSocket, request: dict[str, Any]) -> None:
        await anyio.sleep(self.ack_delay)
        if ws.is_open:
            acknowledge(ws, request)

    def send(self, key: str) -> None:
        """Let something happen in a channel, and tell whoever has subscribed."""
        self.numbers[key] = self.numbers.get(key, 0) + 1
        self.time += 1
        message = {"ch": key, "n": self.numbers[key], "at": self.time}
        for ws in self.open:
            if key in ws.subscribed and ws.close_code is None:
                if (ws, key) in self.behind:
                    self.behind[ws, key].append(message)
                else:
                    ws.push(message)

    def hold_back(self, ws: FakeWebSocket, key: str) -> None:
        """Let a channel lag behind on a connection, from now on."""
        self.behind[ws, key] = []

    def catch_up(self, ws: FakeWebSocket, key: str) -> None:
        """Send what it lags behind, and lag no more."""
        behind = self.behind.pop((ws, key))
        if ws.is_open and ws.close_code is None:
            ws.push(*behind)

    async def run(self) -> None:
        """Let the markets move."""
        while True:
            await anyio.sleep(0.25)
            for key in sorted({key for ws in self.open for key in ws.subscribed} | set(self.numbers)):
                self.send(key)


@asynccontextmanager
async def moving(venue: MovingVenue | None = None, **settings: Any) -> AsyncGenerator[Desk]:
    """Run a manager, and the venue's markets."""
    venue = MovingVenue() if venue is None else venue
    async with managed(venue, **settings) as desk, anyio.create_task_group() as tasks:
        venue.tasks = tasks
        tasks.start_soon(venue.run)
        try:
            yield desk
        finally:
            venue.tasks = None
            tasks.cancel_scope.cancel()


def venue_of(desk: Desk) -> MovingVenue:
    """Return the venue, by its own type."""
    assert isinstance(desk.venue, MovingVenue)
    return desk.venue


async def taken(subscription: Subscription) -> list[Any]:
    """Return what a subscription has, up to now."""
    await settle()
    return await subscription.receive_batch() if subscription.pending else []


def assert_whole(items: Sequence[Any], last: int) -> None:
    """Every number up to the last, once, in order, and no gap."""
    assert [] == [item for item in items if isinstance(item, Gap)]
    numbers = [number_of(item) for item in items]
    assert list(range(numbers[0], last + 1)) == numbers


def assert_told(items: Sequence[Any], last: int) -> None:
    """Every number up to the last, once, in order, or a gap in its place."""
    before: int | None = None
    for at, item in enumerate(items):
        if not isinstance(item, Gap):
            number = number_of(item)
            assert before is None or number == before + 1 or (number > before and isinstance(items[at - 1], Gap))
            before = number
    assert last == before


class TestByAge:
    """A connection is replaced before the venue closes it."""

    async def test_within_the_last_tenth_of_its_time_and_never_at_the_same_age(self) -> None:
        """Connections that were made together are not replaced together."""
        async with moving(max_connection_age=100.0, rotation_overlap=0.1) as desk:
            subscription = await desk.subscribe("A", "trade")
            await anyio.sleep(2000.0)
            begun = desk.venue.attempts
            ages = [later - earlier for earlier, later in pairwise(begun)]
            assert all(89.9 <= age <= 100.5 for age in ages)
            assert max(ages) - min(ages) > 1.0
            assert {"age"} == {event.reason for event in desk.of(events.Rotated)}
            assert_whole(await taken(subscription), venue_of(desk).numbers["trade:A"])
            assert (1, []) == (len(desk.venue.open), desk.of(events.Disconnected))

    async def test_of_the_venues_limit_some_is_left(self) -> None:
        """The limit is the venue's; it is not tried out."""
        make = limited(StreamLimits(max_connection_age=1000.0))
        async with managed(make=make) as desk:
            await desk.subscribe("A")
            await desk.venue.wait_connections(2)
            assert 850.0 <= anyio.current_time() <= 950.0

    async def test_without_a_limit_a_connection_may_grow_old(self) -> None:
        """There is no reason to replace it."""
        async with managed() as desk:
            await desk.subscribe("A")
            await anyio.sleep(3 * 3600.0)
            assert 1 == len(desk.venue.connections)


class TestOnNotice:
    """The venue says that it will close a connection."""

    async def test_it_is_replaced_before_that(self) -> None:
        """Nothing is lost, nothing comes twice; who watches the bus is told why."""
        async with moving() as desk:
            subscriptions = [await desk.subscribe("A", topic) for topic in TOPICS]
            await anyio.sleep(5.0)
            desk.venue.now.push({"bye": "maintenance"})
            rotated = await desk.wait_for(events.Rotated)
            await anyio.sleep(5.0)
            assert ("the venue announced bye", 3, 2) == (rotated.reason, rotated.channels, rotated.generation)
            for topic, subscription in zip(TOPICS, subscriptions, strict=True):
                assert_whole(await taken(subscription), venue_of(desk).numbers[f"{topic}:A"])
            assert (1, 0) == (desk.stats[0].rotations, desk.stats[0].reconnects)

    async def test_one_that_comes_to_the_new_connection_is_no_help(self) -> None:
        """It is about to be closed as well: another is made, after a while, and the old one goes on until then."""
        venue = MovingVenue(on_connect=lambda ws: ws.push({"bye": "soon"}) if 1 < len(venue.attempts) < 4 else None)
        async with moving(venue) as desk:
            subscription = await desk.subscribe("A", "trade")
            venue.now.push({"bye": "maintenance"})
            await desk.wait_for(events.Rotated)
            await anyio.sleep(1.0)
            assert (4, 2) == (len(venue.attempts), len(desk.of(events.RotationFailed)))
            assert_whole(await taken(subscription), venue.numbers["trade:A"])


class TestOnDemand:
    """`WebSocketManager.rotate`."""

    async def test_returns_when_the_new_connection_has_taken_over(self) -> None:
        """Both were open for a while, and then the old one is closed."""
        async with moving(rotation_overlap=2.0) as desk:
            subscriptions = [await desk.subscribe("A", topic) for topic in TOPICS]
            started = anyio.current_time()
            await desk.manager.rotate(EXCHANGE)
            assert 2.0 <= anyio.current_time() - started < 2.5
            await settle()
            assert [False, True] == [ws.is_open for ws in desk.venue.connections]
            assert {SubscriptionState.ACTIVE} == {subscription.state for subscription in subscriptions}
            for topic, subscription in zip(TOPICS, subscriptions, strict=True):
                assert_whole(await taken(subscription), venue_of(desk).numbers[f"{topic}:A"])

    async def test_several_who_ask_at_once_get_one(self) -> None:
        """There is one connection to replace."""
        async with moving() as desk:
            await desk.subscribe("A")
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(desk.manager.rotate, EXCHANGE)
            assert (2, 1) == (len(desk.venue.connections), desk.stats[0].rotations)

    async def test_whoever_stops_waiting_does_not_stop_it(self) -> None:
        """The rotation is the connection's."""
        async with moving() as desk:
            await desk.subscribe("A")
            with anyio.move_on_after(0.1):
                await desk.manager.rotate(EXCHANGE)
            await desk.wait_for(events.Rotated)

    async def test_nobody_waits_for_a_connection_that_is_lost_before_it_begins(self) -> None:
        """The reconnection does what the rotation was to do."""
        async with moving() as desk:
            await desk.subscribe("A")
            with anyio.fail_after(100.0):
                async with anyio.create_task_group() as tasks:

                    async def rotate() -> None:
                        with suppress(WebSocketError):  # it may have begun by then
                            await desk.manager.rotate(EXCHANGE)

                    desk.venue.now.cut()
                    tasks.start_soon(rotate)

    async def test_nobody_waits_for_one_that_is_lost_while_another_attempt_is_due(self) -> None:
        """A rotation has failed and the next is to come later; then there is nothing left to rotate."""
        async with moving(reconnect_interval=60.0) as desk:
            await desk.subscribe("A")
            desk.venue.refusing = True
            with pytest.raises(WebSocketError, match="connection refused"):
                await desk.manager.rotate(EXCHANGE)
            desk.venue.refusing = False
            with anyio.fail_after(200.0):
                async with anyio.create_task_group() as tasks:

                    async def rotate() -> None:
                        with pytest.raises(WebSocketError, match="lost"):
                            await desk.manager.rotate(EXCHANGE)

                    tasks.start_soon(rotate)
                    await settle()
                    desk.venue.now.cut()

    async def test_nobody_waits_for_a_manager_that_is_left(self) -> None:
        """Who waits in a task of its own is let go."""
        async with anyio.create_task_group() as tasks, moving(rotation_overlap=50.0) as desk:
            await desk.subscribe("A")

            async def rotate() -> None:
                with pytest.raises(WebSocketError, match="closed"):
                    await desk.manager.rotate(EXCHANGE)

            tasks.start_soon(rotate)
            await anyio.sleep(1.0)


class TestFailing:
    """The new connection can fail at no cost."""

    async def test_it_is_tried_again_with_growing_delays(self) -> None:
        """Consumers notice nothing, and the venue is not hammered."""
        async with moving() as desk:
            subscriptions = [await desk.subscribe("A", topic) for topic in TOPICS]
            desk.venue.refusing = True
            desk.venue.now.push({"bye": "maintenance"})
            await anyio.sleep(60.0)
            assert 2 < len(desk.venue.attempts) < 20
            assert "connection refused" in desk.of(events.RotationFailed)[-1].reason
            desk.venue.refusing = False
            await desk.wait_for(events.Rotated)
            await anyio.sleep(1.0)
            for topic, subscription in zip(TOPICS, subscriptions, strict=True):
                assert_whole(await taken(subscription), venue_of(desk).numbers[f"{topic}:A"])
            assert (1, []) == (len(desk.venue.open), desk.of(events.Disconnected))

    async def test_a_channel_that_is_refused_on_it_keeps_the_old_one(self) -> None:
        """The old connection has it: its consumer is not failed for the sake of a rotation."""
        async with moving() as desk:
            gone, other = await desk.subscribe("GONE", "trade"), await desk.subscribe("A", "trade")
            desk.venue.answer = refuse("delisted", "trade:GONE")
            with pytest.raises(SubscribeError, match="delisted"):
                await desk.manager.rotate(EXCHANGE)
            await anyio.sleep(1.0)
            assert [True] + [False] * (len(desk.venue.connections) - 1) == [ws.is_open for ws in desk.venue.connections]
            for subscription, key in ((gone, "trade:GONE"), (other, "trade:A")):
                assert SubscriptionState.ACTIVE is subscription.state
                assert_whole(await taken(subscription), venue_of(desk).numbers[key])

    async def test_one_that_is_not_ready_in_time_is_given_up(self) -> None:
        """It is closed, and what it held is counted."""
        async with moving(rotation_timeout=20.0, subscribe_timeout=300.0) as desk:
            subscription = await desk.subscribe("A", "mark")
            desk.venue.answer = stay_silent
            with pytest.raises(WebSocketError, match="not ready within 20 s"):
                await desk.manager.rotate(EXCHANGE)
            await settle()
            assert [True, False] == [ws.is_open for ws in desk.venue.connections]
            assert desk.stats[0].abandoned > 70
            assert_whole(await taken(subscription), venue_of(desk).numbers["mark:A"])

    async def test_lost_channels_make_no_difference_to_the_next_attempt(self) -> None:
        """After failures of all kinds a rotation is as whole as the first."""
        async with moving(rotation_timeout=5.0, reconnect_interval=0.1, subscribe_timeout=60.0) as desk:
            subscriptions = [await desk.subscribe("A", topic) for topic in TOPICS]
            for answer in (stay_silent, refuse("no", "trade:A"), refuse("no", "mark:A")):
                desk.venue.answer = answer
                with pytest.raises((SubscribeError, WebSocketError)):
                    await desk.manager.rotate(EXCHANGE)
            desk.venue.answer = venue_of(desk)._answer
            await desk.manager.rotate(EXCHANGE)
            await anyio.sleep(10.0)
            for topic, subscription in zip(TOPICS, subscriptions, strict=True):
                assert_whole(await taken(subscription), venue_of(desk).numbers[f"{topic}:A"])


STAGES = {"before it is up": 0.5, "before it is confirmed": 1.5, "while both are open": 3.1, "at the last moment": 3.9}
"""When something happens in a rotation whose new connection takes a second to be made, one to be confirmed, and two
beside the old one."""


@asynccontextmanager
async def rotating(topic: str = "trade", **settings: Any) -> AsyncGenerator[tuple[Desk, Subscription]]:
    """Run a manager in the first moment of a slow rotation."""
    async with moving(rotation_overlap=2.0, **settings) as desk:
        subscription = await desk.subscribe("A", topic)
        await anyio.sleep(2.1)
        desk.venue.connect_delay = 1.0
        venue_of(desk).ack_delay = 1.0
        desk.manager._exchanges[EXCHANGE].pool.connections[0].request_rotation("test")
        await settle()
        yield desk, subscription


class TestOldConnectionDies:
    """It may, at any moment: then the new one takes over as far as it has got."""

    @pytest.mark.parametrize("topic", TOPICS)
    @pytest.mark.parametrize("stage", STAGES)
    async def test_what_is_missing_is_told_and_nothing_comes_twice(self, stage: str, topic: str) -> None:
        """Where both carried the channel already, nothing is missing."""
        async with rotating(topic) as (desk, subscription):
            await anyio.sleep(STAGES[stage])
            desk.venue.connections[0].cut()
            await anyio.sleep(30.0)
            items = await taken(subscription)
            last = venue_of(desk).numbers[f"{topic}:A"]
            if STAGES[stage] > 2.0:
                assert_whole(items, last)
            else:
                assert_told(items, last)
                assert 1 >= sum(isinstance(item, Gap) for item in items)
            assert (2, 1) == (len(desk.venue.connections), len(desk.venue.open))
            assert (1, 0, 1) == (desk.stats[0].reconnects, desk.stats[0].rotations, len(desk.of(events.Disconnected)))
            assert (SubscriptionState.ACTIVE, ConnectionState.CONNECTED) == (subscription.state, desk.stats[0].state)

    @pytest.mark.parametrize("stage", STAGES)
    async def test_afterwards_all_is_as_usual(self, stage: str) -> None:
        """Subscribing, rotating and losing the connection work, and what was needed to compare is forgotten."""
        async with rotating("mark") as (desk, subscription):
            await anyio.sleep(STAGES[stage])
            desk.venue.connections[0].cut()
            await anyio.sleep(0.1)
            venue_of(desk).ack_delay = 0.0
            later = await desk.subscribe("B", "mark")
            await anyio.sleep(30.0)
            (connection,) = desk.manager._exchanges[EXCHANGE].pool.connections
            assert {None} == {entry.route.guard for entry in connection.channels}
            await taken(subscription)
            await desk.manager.rotate(EXCHANGE)
            await anyio.sleep(10.0)
            for symbol, stream in (("A", subscription), ("B", later)):
                assert_whole(await taken(stream), venue_of(desk).numbers[f"mark:{symbol}"])
            desk.venue.now.cut()
            await desk.wait_for(events.Disconnected, 2)
            await anyio.sleep(2.0)
            assert 1 == sum(isinstance(item, Gap) for item in await taken(later))

    @pytest.mark.parametrize("stage", STAGES)
    async def test_both_may_die(self, stage: str) -> None:
        """A third one is made, at once or after a while."""
        async with rotating() as (desk, subscription):
            await anyio.sleep(STAGES[stage])
            for ws in desk.venue.open:
                ws.cut()
            await anyio.sleep(60.0)
            assert_told(await taken(subscription), venue_of(desk).numbers["trade:A"])
            assert 1 == len(desk.venue.open)


class TestNewConnectionDies:
    """It may, at any moment before it has taken over: the old one has not noticed."""

    @pytest.mark.parametrize("topic", TOPICS)
    @pytest.mark.parametrize("stage", [stage for stage in STAGES if STAGES[stage] > 1.0])
    async def test_nothing_is_missing(self, stage: str, topic: str) -> None:
        """And the next attempt succeeds."""
        async with rotating(topic) as (desk, subscription):
            await anyio.sleep(STAGES[stage])
            desk.venue.connections[1].cut()
            await desk.wait_for(events.Rotated)
            await anyio.sleep(1.0)
            assert_whole(await taken(subscription), venue_of(desk).numbers[f"{topic}:A"])
            assert ([], 1) == (desk.of(events.Disconnected), len(desk.venue.open))


class TestMeanwhile:
    """Consumers come and go while one connection takes over from another."""

    @pytest.mark.parametrize("topic", TOPICS)
    @pytest.mark.parametrize("stage", STAGES)
    async def test_a_channel_that_is_subscribed_is_whole(self, stage: str, topic: str) -> None:
        """Both connections carry it, and it comes once."""
        async with rotating(topic) as (desk, subscription):
            await anyio.sleep(STAGES[stage])
            venue_of(desk).ack_delay = 0.0
            later = await desk.subscribe("B", topic)
            await desk.wait_for(events.Rotated)
            await anyio.sleep(10.0)
            for symbol, stream in (("A", subscription), ("B", later)):
                assert_whole(await taken(stream), venue_of(desk).numbers[f"{topic}:{symbol}"])

    @pytest.mark.parametrize("topic", TOPICS)
    async def test_also_when_the_old_one_is_being_waited_for(self, topic: str) -> None:
        """The new connection is ready and the old one has yet to send what the new one begins after."""
        async with moving(rotation_overlap=0.5) as desk:
            lagging = await desk.subscribe("LAG", "trade")
            await anyio.sleep(2.0)
            old = desk.venue.now
            venue_of(desk).hold_back(old, "trade:LAG")
            await anyio.sleep(1.0)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(desk.manager.rotate, EXCHANGE)
                await anyio.sleep(5.0)
                later = await desk.subscribe("B", topic)
                await anyio.sleep(5.0)
                assert (2, []) == (len(desk.venue.open), desk.of(events.Rotated))
                venue_of(desk).catch_up(old, "trade:LAG")
            await anyio.sleep(10.0)
            assert_whole(await taken(lagging), venue_of(desk).numbers["trade:LAG"])
            assert_whole(await taken(later), venue_of(desk).numbers[f"{topic}:B"])

    @pytest.mark.parametrize("stage", STAGES)
    async def test_a_channel_that_is_given_up_is_given_up_on_both(self, stage: str) -> None:
        """The venue keeps nothing that nobody wants."""
        async with rotating() as (desk, subscription):
            venue_of(desk).ack_delay = 0.0
            other = await desk.subscribe("B", "trade")
            await anyio.sleep(STAGES[stage])
            await subscription.aclose()
            await desk.wait_for(events.Rotated)
            await anyio.sleep(1.0)
            assert [{"trade:B"}] == [ws.subscribed for ws in desk.venue.open]
            assert_whole(await taken(other), venue_of(desk).numbers["trade:B"])

    @pytest.mark.parametrize("topic", TOPICS)
    async def test_one_that_is_given_up_and_wanted_again_begins_anew(self, topic: str) -> None:
        """Nothing from before comes after what is new."""
        async with rotating(topic) as (desk, subscription):
            await anyio.sleep(1.6)
            venue_of(desk).ack_delay = 0.0
            await anyio.sleep(1.0)
            await subscription.aclose()
            before = venue_of(desk).numbers[f"{topic}:A"]
            again = await desk.subscribe("A", topic)
            await desk.wait_for(events.Rotated)
            await anyio.sleep(10.0)
            items = await taken(again)
            assert number_of(items[0]) > before
            assert_whole(items, venue_of(desk).numbers[f"{topic}:A"])

    async def test_data_that_only_the_old_one_had_under_way_is_waited_for(self) -> None:
        """It lags behind the new one: nothing is lost all the same."""
        async with moving(rotation_overlap=0.5) as desk:
            subscription = await desk.subscribe("A", "trade")
            await anyio.sleep(2.0)
            old = desk.venue.now
            venue_of(desk).hold_back(old, "trade:A")
            await anyio.sleep(1.0)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(desk.manager.rotate, EXCHANGE)
                await anyio.sleep(5.0)
                assert [] == desk.of(events.Rotated)
                venue_of(desk).catch_up(old, "trade:A")
            assert_whole(await taken(subscription), venue_of(desk).numbers["trade:A"])

    @pytest.mark.parametrize("lags", [False, True])
    @pytest.mark.parametrize("stage", STAGES)
    async def test_a_count_that_begins_anew_is_told_once_and_nothing_comes_twice(self, stage: str, lags: bool) -> None:
        """Also where the old connection learns of it only after the new one."""
        async with rotating() as (desk, subscription):
            venue = venue_of(desk)
            await anyio.sleep(STAGES[stage])
            last, venue.numbers["trade:A"] = venue.numbers["trade:A"], 0
            if lags:
                venue.hold_back(desk.venue.connections[0], "trade:A")
                await anyio.sleep(1.0)
                venue.catch_up(desk.venue.connections[0], "trade:A")
            await desk.wait_for(events.Rotated)
            await anyio.sleep(10.0)
            items = await taken(subscription)
            told = [item.reason if isinstance(item, Gap) else number_of(item) for item in items]
            assert [*range(told[0], last + 1), GapReason.RESET, *range(1, venue.numbers["trade:A"] + 1)] == told
            times = [item.server_time for item in items if not isinstance(item, Gap)]
            assert list(range(times[0], venue.time + 1)) == times
            assert anyio.current_time() < 20.0

    async def test_what_the_old_one_never_sends_is_a_gap_in_the_end(self) -> None:
        """Nobody waits for ever: the new connection takes over, and the numbers tell what is missing."""
        async with moving(rotation_overlap=0.5, rotation_timeout=10.0) as desk:
            subscription = await desk.subscribe("A", "trade")
            await anyio.sleep(2.1)
            venue_of(desk).hold_back(desk.venue.now, "trade:A")
            await anyio.sleep(1.0)
            await desk.manager.rotate(EXCHANGE)
            await anyio.sleep(1.0)
            items = await taken(subscription)
            (gap,) = [item for item in items if isinstance(item, Gap)]
            assert (GapReason.SEQUENCE, 4) == (gap.reason, gap.missing)
            assert_told(items, venue_of(desk).numbers["trade:A"])


@pytest.mark.parametrize("seed", range(40))
async def test_whatever_happens_each_event_comes_once_in_order_or_a_gap_tells(seed: int) -> None:
    """Rotations, cuts, connections that lag, and counts that begin anew, at any moment."""
    rng = random.Random(seed)
    venue = MovingVenue(connect_delay=0.1)
    async with moving(venue, rotation_overlap=0.5, reconnect_interval=0.5) as desk:
        venue.numbers["trade:A"] = count = 1_000_000
        subscription = await desk.subscribe("A", "trade")
        (connection,) = desk.manager._exchanges[EXCHANGE].pool.connections
        for _ in range(25):
            await anyio.sleep(rng.uniform(0.0, 2.0))
            match rng.choice(("rotate", "rotate", "cut", "lag", "catch up", "renumber")):
                case "rotate":
                    connection.request_rotation("test")
                case "cut" if venue.open:
                    rng.choice(venue.open).cut()
                case "lag" if venue.open:
                    venue.behind.setdefault((venue.open[0], "trade:A"), [])
                case "catch up":
                    for ws, key in tuple(venue.behind):
                        venue.catch_up(ws, key)
                case "renumber":
                    count -= 10_000  # lower than ever before, lest numbers go on as if nothing had been
                    venue.numbers["trade:A"] = count
        for ws, key in tuple(venue.behind):
            venue.catch_up(ws, key)
        await anyio.sleep(90.0)
        items = await taken(subscription)
        assert SubscriptionState.ACTIVE is subscription.state
    time, gap = 0, False
    for item in items:
        if isinstance(item, Gap):
            gap = True
            continue
        assert item.server_time > time, "an event came twice, or too late"
        assert gap or item.server_time == time + 1 or not time, "something is missing, and no gap tells"
        time, gap = item.server_time, False
    assert venue.time == time


class TestCancelling:
    """Wherever it is cancelled, nothing is left open."""

    async def test_at_any_await_of_who_asked_for_it(self) -> None:
        """The rotation goes on, and the subscription with it."""

        @asynccontextmanager
        async def scenario() -> AsyncGenerator[Any]:
            async with moving(rotation_overlap=0.1) as desk:
                subscription = await desk.subscribe("A", "trade")

                async def operation() -> None:
                    await desk.manager.rotate(EXCHANGE)

                yield operation
                await anyio.sleep(3.0)
                assert 1 == len(desk.venue.open)
                assert_whole(await taken(subscription), venue_of(desk).numbers["trade:A"])
            assert [] == desk.venue.open

        await sweep_cancellation(scenario)

    async def test_at_any_await_of_the_rotation_itself(self) -> None:
        """As when the manager is left: both connections are closed."""

        @asynccontextmanager
        async def scenario() -> AsyncGenerator[Any]:
            async with moving(rotation_overlap=0.1) as desk:
                await desk.subscribe("A", "trade")
                (connection,) = desk.manager._exchanges[EXCHANGE].pool.connections

                async def operation() -> None:
                    await connection._rotator._rotate("test", anyio.current_time())

                yield operation
            assert [] == desk.venue.open

        await sweep_cancellation(scenario)

    async def test_in_any_step_of_all_tasks_together(self) -> None:
        """The manager is left after one, two, three … turns of the event loop."""
        for turns in range(0, 400, 3):
            async with assert_no_leaks():
                async with moving(rotation_overlap=0.04) as desk:
                    subscription = await desk.subscribe("A", "trade")
                    desk.manager._exchanges[EXCHANGE].pool.connections[0].request_rotation("test")
                    for _ in range(turns):
                        await anyio.lowlevel.checkpoint()
                    for _ in range(turns // 10):
                        await anyio.sleep(0.005)
                assert ([], SubscriptionState.CLOSED) == (desk.venue.open, subscription.state)
