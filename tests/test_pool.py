"""Several connections to one exchange: what goes where, what is refused, and what happens when one is lost for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest

from bt_api_base.containers import Gap, GapReason
from bt_api_base.event_bus import EventBus
from bt_api_base.exceptions import RateLimitError, SubscribeError, WebSocketError
from bt_api_base.websocket import events
from bt_api_base.websocket.adapter import Channel, StreamLimits
from bt_api_base.websocket.channels import SubscriptionState
from bt_api_base.websocket.config import WebSocketConfig
from bt_api_base.websocket.connection_stats import ConnectionState
from bt_api_base.websocket.pool import ConnectionPool
from tests.toy_manager import Desk, limited, managed, settle
from tests.toy_venue import EXCHANGE, FakeVenue, FakeWebSocket, ToyAdapter, acknowledge, stay_silent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bt_api_base.websocket_manager import Subscription

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]

NARROW = limited(StreamLimits(max_channels_per_connection=2, messages_per_second=1000.0))
"""Makes adapters of a venue whose connections carry two channels each."""


class SplitAdapter(ToyAdapter):
    """Of a venue with an endpoint for each topic."""

    def channel(self, topic: str, symbol: str, params: Mapping[str, Any] | None = None) -> Channel:
        """Name a channel and its endpoint."""
        return msgspec.structs.replace(super().channel(topic, symbol, params), endpoint=topic)

    def endpoint(self, url: str, lease_key: str = "") -> str:
        """Each endpoint has its own path."""
        return f"{url}/{self.endpoint_name}"


def keys(*symbols: str) -> set[str]:
    """Return what the venue calls the tickers of some symbols."""
    return {f"ticker:{symbol}" for symbol in symbols}


class TestSpreading:
    """Which connection carries a channel."""

    async def test_another_connection_is_opened_only_when_all_are_full(self) -> None:
        """Channels fill one connection after another, as many as the venue lets one carry."""
        async with managed(make=NARROW) as desk:
            for number, connections in ((1, 1), (2, 1), (3, 2), (4, 2), (5, 3)):
                await desk.subscribe(f"S{number}")
                assert connections == len(desk.venue.connections)
            assert [keys("S1", "S2"), keys("S3", "S4"), keys("S5")] == [ws.subscribed for ws in desk.venue.open]

    async def test_the_settings_may_allow_a_connection_less_than_the_venue_does(self) -> None:
        """The smaller of both limits holds."""
        async with managed(max_channels_per_connection=1) as desk:
            for symbol in ("A", "B", "C"):
                await desk.subscribe(symbol)
            assert [1, 1, 1] == [len(ws.subscribed) for ws in desk.venue.open]

    async def test_room_that_was_given_back_is_used_again(self) -> None:
        """A channel goes to the first connection with room, however it came by it."""
        async with managed(make=NARROW) as desk:
            first = await desk.subscribe("A")
            for symbol in ("B", "C"):
                await desk.subscribe(symbol)
            await first.aclose()
            await desk.subscribe("D")
            assert [keys("B", "D"), keys("C")] == [ws.subscribed for ws in desk.venue.open]

    async def test_a_channel_that_is_carried_is_joined_where_it_is(self) -> None:
        """It is asked for once, and given up when the last of its consumers has left."""
        async with managed(make=NARROW) as desk:
            for symbol in ("A", "B"):
                await desk.subscribe(symbol)
            one, two = await desk.subscribe("C"), await desk.subscribe("C")
            ws = desk.venue.now
            assert [["ticker:C"]] == [request.get("sub") for request in ws.sent]
            await one.aclose()
            ws.tick("C", 1)
            assert (1, keys("C")) == ((await two.receive()).sequence, ws.subscribed)
            await two.aclose()
            assert set() == ws.subscribed

    async def test_each_endpoint_has_connections_of_its_own(self) -> None:
        """Every connection's adapter knows which endpoint it serves, from the handshake on."""

        def make() -> ToyAdapter:
            adapter = SplitAdapter()
            adapter.endpoint_name = "ticker"
            return adapter

        async with managed(make=make) as desk:
            for topic in ("trade", "ticker", "trade"):
                await desk.subscribe("A", topic)
            carried = {ws.endpoint_name: (ws.url, ws.subscribed) for ws in desk.venue.open}
            assert {
                "ticker": ("ws://toy.invalid/ws/ticker", {"ticker:A"}),
                "trade": ("ws://toy.invalid/ws/trade", {"trade:A"}),
            } == carried
            assert 2 == len(desk.venue.connections)

    async def test_max_connections_is_for_each_endpoint(self) -> None:
        """A full endpoint does not take another one's connections."""

        def make() -> ToyAdapter:
            adapter = SplitAdapter()
            adapter.endpoint_name = "ticker"
            adapter.limits = StreamLimits(max_channels_per_connection=1, messages_per_second=1000.0)
            return adapter

        async with managed(make=make, max_connections=2) as desk:
            for topic in ("ticker", "trade"):
                for symbol in ("A", "B"):
                    await desk.subscribe(symbol, topic)
                with pytest.raises(RateLimitError):
                    await desk.subscribe("C", topic)
            assert 4 == len(desk.venue.open)


class TestRefusing:
    """What there is no room for, before the venue has to say so."""

    async def test_when_all_connections_are_full_nothing_is_sent(self) -> None:
        """The error says which limits stand in the way; a channel that is carried can still be joined."""
        async with managed(make=NARROW, max_connections=2) as desk:
            for symbol in ("A", "B", "C", "D"):
                await desk.subscribe(symbol)
            with pytest.raises(RateLimitError, match=r"2 connections carry 2 channels each.*max_connections"):
                await desk.subscribe("E")
            await desk.subscribe("D")
            assert [2, 2] == [len(ws.sent) for ws in desk.venue.connections]

    async def test_subscription_limits_are_for_a_topic_over_all_connections(self) -> None:
        """Channels of other topics, and those that are carried already, do not count."""
        async with managed(make=NARROW, subscription_limits={"ticker": 3}) as desk:
            for symbol in ("A", "B", "C", "C"):
                await desk.subscribe(symbol)
            await desk.subscribe("A", "trade")
            with pytest.raises(RateLimitError, match=r"allow 3 'ticker' channels; 3 are subscribed, 1 more"):
                await desk.subscribe("D")

    async def test_what_was_given_up_counts_no_longer(self) -> None:
        """A limit is on what there is at one moment."""
        async with managed(subscription_limits={"ticker": 1}) as desk:
            await (await desk.subscribe("A")).aclose()
            assert SubscriptionState.ACTIVE is (await desk.subscribe("B")).state

    async def test_many_at_once_are_refused_as_a_whole(self) -> None:
        """Not the first few are subscribed, but none; the same channel twice is one channel."""
        async with managed(subscription_limits={"ticker": 3}) as desk:
            await desk.venue.wait_connections(1)
            with pytest.raises(RateLimitError, match=r"allow 3 'ticker' channels; 0 are subscribed, 4 more"):
                await desk.subscribe_many(["A", "B", "C", "D"])
            await settle()
            assert ([], 0) == (desk.venue.now.sent, desk.stats[0].subscriptions)
            assert 4 == len(await desk.subscribe_many(["A", "B", "C", "A"]))

    async def test_many_at_once_that_do_not_fit_the_connections_are_refused_as_a_whole(self) -> None:
        """The venue hears nothing of them, and no connection is opened for them."""
        async with managed(make=NARROW, max_connections=3) as desk:
            await desk.subscribe("A")
            with pytest.raises(RateLimitError, match="max_connections"):
                await desk.subscribe_many(["A", *(f"S{number}" for number in range(6))])
            await settle()
            assert ([1], 1) == (
                [len(ws.sent) for ws in desk.venue.connections],
                sum(s.subscriptions for s in desk.stats),
            )
            assert 6 == len(await desk.subscribe_many(["A", *(f"S{number}" for number in range(5))]))


class TestPacing:
    """No venue is met with more than it allows."""

    async def test_connects_wait_for_the_venues_window(self) -> None:
        """The limit is on all connections together: the third of two in ten seconds waits."""
        make = limited(
            StreamLimits(max_channels_per_connection=1, max_connects=2, connect_window=10.0, messages_per_second=1000.0)
        )
        async with managed(make=make, subscribe_timeout=60.0) as desk:
            for symbol in ("A", "B", "C", "D", "E"):
                await desk.subscribe(symbol)
            assert pytest.approx([0.0, 0.0, 10.0, 10.0, 20.0]) == desk.venue.attempts

    async def test_reconnects_and_rotations_wait_for_it_as_well(self) -> None:
        """Connecting is connecting, whatever for."""
        make = limited(StreamLimits(max_connects=2, connect_window=10.0, messages_per_second=1000.0))
        async with managed(make=make, rotation_timeout=60.0) as desk:
            await desk.subscribe("A")
            await desk.manager.rotate(EXCHANGE)
            desk.venue.now.cut()
            await desk.venue.wait_connections(3)
            assert pytest.approx(10.0) == desk.venue.attempts[2]

    async def test_messages_are_paced_for_each_connection_by_itself(self) -> None:
        """One that is busy does not hold up another."""
        make = limited(StreamLimits(messages_per_second=3.0, max_channels_per_request=1, max_channels_per_connection=6))
        times: dict[int, list[float]] = {}

        def answer(ws: FakeWebSocket, request: dict[str, Any]) -> None:
            times.setdefault(id(ws), []).append(anyio.current_time())
            acknowledge(ws, request)

        async with managed(FakeVenue(answer), make) as desk:
            await desk.subscribe_many([f"S{number}" for number in range(12)])
            assert [pytest.approx([0, 0, 1, 1, 2, 2])] * 2 == list(times.values())


async def lose_the_first(desk: Desk) -> None:
    """Cut the first connection, and let it be given up."""
    desk.venue.refusing = True
    desk.venue.connections[0].cut()
    await desk.wait_for(events.Failed)
    await settle()


class TestLosingAConnectionForGood:
    """When one is given up, the others take what it carried."""

    async def test_its_channels_move_to_those_with_room(self) -> None:
        """Consumers see a gap where the connection was lost, and then the data that another one brings."""
        make = limited(StreamLimits(max_channels_per_connection=3, messages_per_second=1000.0))
        async with managed(make=make, max_reconnect_attempts=1) as desk:
            subscriptions = [await desk.subscribe(symbol, "mark") for symbol in ("A", "B", "C", "D")]
            first, second = desk.venue.connections
            first.push({"ch": "mark:A", "n": 1})
            await settle()
            await lose_the_first(desk)
            assert {"mark:D", "mark:A", "mark:B"} == second.subscribed
            assert [(2, 1)] == [(moved.moved, moved.failed) for moved in desk.of(events.Moved)]
            second.push({"ch": "mark:A", "n": 2})
            await settle()
            before, gap, after = await subscriptions[0].receive_batch()
            assert isinstance(gap, Gap)
            assert (1.0, GapReason.DISCONNECTED, 2.0) == (before.mark_price, gap.reason, after.mark_price)
            assert gap.since == before.local_time
            with pytest.raises(WebSocketError, match="given up"):
                await subscriptions[2].receive()
            states = [subscription.state for subscription in subscriptions]
            assert [SubscriptionState.ACTIVE] * 2 + [SubscriptionState.FAILED, SubscriptionState.ACTIVE] == states

    async def test_numbered_channels_tell_exactly_what_was_missed(self) -> None:
        """The gap names the numbers, and there is none where the next one follows."""
        make = limited(StreamLimits(max_channels_per_connection=3, messages_per_second=1000.0))
        async with managed(make=make, max_reconnect_attempts=1) as desk:
            lucky, unlucky = [await desk.subscribe(symbol, "trade") for symbol in ("A", "B")]
            for symbol in ("C", "D"):
                await desk.subscribe(symbol)
            first, second = desk.venue.connections
            first.push({"ch": "trade:A", "n": 1}, {"ch": "trade:B", "n": 1})
            await settle()
            await lose_the_first(desk)
            second.push({"ch": "trade:A", "n": 2}, {"ch": "trade:B", "n": 5})
            await settle()
            assert ["1", "2"] == [trade.trade_id for trade in await lucky.receive_batch()]
            _, gap, trade = await unlucky.receive_batch()
            assert isinstance(gap, Gap)
            assert (GapReason.DISCONNECTED, 2, 4, "5") == (
                gap.reason, gap.first_missing, gap.last_missing, trade.trade_id,
            )  # fmt: skip

    async def test_moved_channels_are_given_up_where_they_are_now(self) -> None:
        """A consumer that leaves afterwards unsubscribes at the connection that carries its channel."""
        make = limited(StreamLimits(max_channels_per_connection=3, messages_per_second=1000.0))
        async with managed(make=make, max_reconnect_attempts=1) as desk:
            subscriptions = [await desk.subscribe(symbol) for symbol in ("A", "B", "C", "D")]
            await lose_the_first(desk)
            await subscriptions[0].aclose()
            assert keys("D", "B") == desk.venue.connections[1].subscribed

    async def test_new_subscriptions_go_to_those_that_live(self) -> None:
        """One that was given up is not asked again, and does not count among the most there may be."""
        async with managed(make=NARROW, max_reconnect_attempts=1, max_connections=2) as desk:
            for symbol in ("A", "B", "C"):
                await desk.subscribe(symbol)
            await lose_the_first(desk)
            desk.venue.refusing = False
            subscription = await desk.subscribe("E")
            assert (3, keys("E")) == (len(desk.venue.connections), desk.venue.now.subscribed)
            assert SubscriptionState.ACTIVE is subscription.state
            assert [ConnectionState.FAILED, ConnectionState.CONNECTED, ConnectionState.CONNECTED] == [
                stats.state for stats in desk.stats
            ]

    async def test_a_subscriber_that_was_waiting_goes_along(self) -> None:
        """What was asked of the connection before it was given up is answered on another one."""
        make = limited(StreamLimits(max_channels_per_connection=3, messages_per_second=1000.0))
        async with managed(make=make, max_reconnect_attempts=1) as desk:
            one, two, *_ = [await desk.subscribe(symbol) for symbol in ("A", "B", "C", "D")]
            await one.aclose()
            await two.aclose()
            first, second = desk.venue.connections
            first.answer = stay_silent
            waiting: list[Subscription] = []

            async def wait() -> None:
                waiting.append(await desk.subscribe("W"))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await settle()
                assert ("ticker:W" in first.subscribed, []) == (True, waiting)
                await lose_the_first(desk)
            assert "ticker:W" in second.subscribed
            assert [SubscriptionState.ACTIVE] == [subscription.state for subscription in waiting]

    async def test_with_no_other_connection_all_consumers_get_the_error(self) -> None:
        """There is nowhere to go, and nobody tells of a move; each later attempt gets an error of its own."""
        async with managed(max_reconnect_attempts=1) as desk:
            subscription = await desk.subscribe("A")
            await lose_the_first(desk)
            with pytest.raises(WebSocketError, match="given up after 2 attempts"):
                await subscription.receive()
            errors: list[Exception] = []
            for _ in range(2):
                with pytest.raises(WebSocketError, match="given up after 2 attempts") as caught:
                    await desk.subscribe("B")
                errors.append(caught.value)
            assert errors[0] is not errors[1]
            assert [] == desk.of(events.Moved)


class TestRotatingAll:
    """`WebSocketManager.rotate` is for all of an exchange's connections."""

    async def test_each_is_replaced_and_carries_on(self) -> None:
        """One after another, each with its own channels."""
        async with managed(make=NARROW) as desk:
            subscriptions = [await desk.subscribe(symbol) for symbol in ("A", "B", "C")]
            await desk.manager.rotate(EXCHANGE)
            await settle()
            assert [keys("A", "B"), keys("C")] == [ws.subscribed for ws in desk.venue.open]
            assert ([1, 1], [0, 0]) == ([s.rotations for s in desk.stats], [s.reconnects for s in desk.stats])
            assert {SubscriptionState.ACTIVE} == {subscription.state for subscription in subscriptions}

    async def test_one_that_cannot_be_replaced_does_not_keep_the_others_from_it(self) -> None:
        """The error is raised when all have had their turn, whatever it is."""

        def answer(ws: FakeWebSocket, request: dict[str, Any]) -> None:
            if "ticker:A" in request.get("sub", ()):
                ws.push({"no": request["id"], "text": "delisted"})
            else:
                acknowledge(ws, request)

        async with managed(make=limited(StreamLimits(max_channels_per_connection=1))) as desk:
            for symbol in ("A", "B"):
                await desk.subscribe(symbol)
            desk.venue.answer = answer
            with pytest.raises((SubscribeError, WebSocketError), match="delisted"):
                await desk.manager.rotate(EXCHANGE)
            assert [0, 1] == [stats.rotations for stats in desk.stats]

    async def test_without_a_connection_it_says_so(self) -> None:
        """There is nothing to replace."""
        async with managed(FakeVenue(refusing=True)) as desk:
            with pytest.raises(WebSocketError, match="nothing to rotate"):
                await desk.manager.rotate(EXCHANGE)


class TestEstimating:
    """How long opening takes, as far as the venue's limits tell."""

    def pool(self, limits: StreamLimits, **settings: Any) -> ConnectionPool:
        """Return a pool that is not running."""
        config = WebSocketConfig("ws://toy.invalid/ws", EXCHANGE, **settings)
        return ConnectionPool(config, limited(limits), EventBus(), FakeVenue().connector)

    async def test_counts_the_requests_of_the_busiest_connection(self) -> None:
        """Messages of different connections do not wait for each other."""
        pool = self.pool(
            StreamLimits(max_channels_per_connection=100, max_channels_per_request=10, messages_per_second=3.0)
        )
        for number in range(150):
            channel = pool.naming.channel("ticker", f"S{number}")
            pool.connection_for(channel).channels.add(channel, Deaf())
        assert 5.0 == pool.estimate_remaining()

    async def test_heeds_a_venue_that_takes_less_than_a_message_a_second(self) -> None:
        """Ten requests at one in four seconds are not ten seconds."""
        pool = self.pool(StreamLimits(max_channels_per_request=1, messages_per_second=0.25))
        for number in range(10):
            channel = pool.naming.channel("ticker", f"S{number}")
            pool.connection_for(channel).channels.add(channel, Deaf())
        assert 40.0 == pool.estimate_remaining()

    async def test_does_not_wait_for_connections_that_were_given_up(self) -> None:
        """They will not be connected any more."""
        limits = StreamLimits(max_channels_per_connection=1, max_connects=1, connect_window=60.0)
        pool = self.pool(limits)
        for symbol in ("A", "B", "C"):
            channel = pool.naming.channel("ticker", symbol)
            pool.connection_for(channel).channels.add(channel, Deaf())
        before = pool.estimate_remaining()
        pool.connections[2].state = ConnectionState.FAILED
        assert 60.0 == pytest.approx(before - pool.estimate_remaining(), abs=2.0)


class Deaf:
    """A consumer that wants nothing."""

    deliver = None

    def mark(self, gap: Gap, /) -> None:
        """Ignore it."""

    def fail(self, error: Exception, /) -> None:
        """Ignore it."""

    def end(self) -> None:
        """Ignore it."""
