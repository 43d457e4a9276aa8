"""Acknowledgements that are partial, late or missing, and everything that is asked for again after a reconnection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest

from bt_api_base.containers import Gap, GapReason
from bt_api_base.exceptions import SubscribeError
from bt_api_base.websocket import events
from bt_api_base.websocket.adapter import Ack, Decoded, Refusal, StreamLimits
from bt_api_base.websocket.channels import SubscriptionState
from tests.toy_manager import Desk, limited, managed, settle
from tests.toy_venue import FakeVenue, FakeWebSocket, ToyAdapter, acknowledge, refuse, stay_silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from bt_api_base.websocket_manager import Subscription

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]

P, A, F = SubscriptionState.PENDING, SubscriptionState.ACTIVE, SubscriptionState.FAILED


class KeyAdapter(ToyAdapter):
    """Of a venue that answers for each channel: ``{"on": key}`` or ``{"off": key, "text": why}``."""

    def decode_frame(self, frame: bytes | str, local_time: int) -> Decoded:
        """Tell the answers by channel from all the rest."""
        match msgspec.json.decode(frame):
            case {"on": str(key)}:
                return None, [Ack(key=key)]
            case {"off": str(key), "text": str(text)}:
                return None, [Refusal(key=key, code=-1, message=text)]
        return super().decode_frame(frame, local_time)


def confirm_only(*symbols: str) -> Callable[[FakeWebSocket, dict[str, Any]], None]:
    """Answer for the tickers of some symbols, and for every unsubscription."""

    def answer(ws: FakeWebSocket, request: dict[str, Any]) -> None:
        for key in [*request.get("sub", ()), *request.get("unsub", ())]:
            if "unsub" in request or key.partition(":")[2] in symbols:
                ws.push({"on": key})

    return answer


def ask_of(ws: FakeWebSocket) -> list[list[str]]:
    """Return the symbols of each subscribe request, in order."""
    return [sorted(key.partition(":")[2] for key in request["sub"]) for request in ws.sent if "sub" in request]


class TestPartialAnswers:
    """A venue may answer for the channels of a request one by one."""

    async def test_each_channel_has_its_own_state(self) -> None:
        """One is active, one is refused, and one still waits."""
        async with managed(FakeVenue(stay_silent), KeyAdapter, subscribe_timeout=5.0) as desk:
            many: list[Subscription] = []

            async def subscribe() -> None:
                many.extend(await desk.subscribe_many(["A", "B", "C"]))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(subscribe)
                ws = await desk.venue.wait_connections(1)
                await settle()
                ws.push({"on": "ticker:A"}, {"off": "ticker:B", "text": "no such market"})
                await settle()
                (connection,) = desk.manager._exchanges["TOY___SPOT"].pool.connections
                assert {"ticker:A": A, "ticker:C": P} == {e.channel.key: e.state for e in connection.channels}
                assert [] == many
            assert [A, F, F] == [subscription.state for subscription in many]
            assert ["no such market", None] == [getattr(s.error, "venue_message", "?") for s in many[1:]]

    async def test_a_channel_that_the_venue_takes_back_fails(self) -> None:
        """It had confirmed it, and then thinks better of it: the consumer is told."""
        async with managed(FakeVenue(confirm_only("A", "B")), KeyAdapter) as desk:
            one, two = await desk.subscribe_many(["A", "B"])
            desk.venue.now.push({"off": "ticker:A", "text": "delisted"})
            await settle()
            assert (F, A) == (one.state, two.state)
            with pytest.raises(SubscribeError, match="delisted"):
                await one.receive()


async def reconnected(desk: Desk, answer: Callable[[FakeWebSocket, dict[str, Any]], None]) -> FakeWebSocket:
    """Cut the connection, and return the next one, which answers in another way."""
    desk.venue.answer = answer
    number = len(desk.venue.connections)
    desk.venue.now.cut()
    ws = await desk.venue.wait_connections(number + 1)
    await settle()
    return ws


class TestMissingAnswers:
    """After a reconnection nobody waits for a channel's answer but the connection itself."""

    async def test_what_is_not_answered_is_asked_for_again(self) -> None:
        """Only that, and as often as it takes, within reason."""
        async with managed(FakeVenue(confirm_only("A", "B", "C")), KeyAdapter, subscribe_timeout=5.0) as desk:
            subscriptions = await desk.subscribe_many(["A", "B", "C"])
            ws = await reconnected(desk, confirm_only("A"))
            assert ([A, P, P], []) == ([s.state for s in subscriptions], desk.of(events.Resubscribed))
            await anyio.sleep(6.0)
            assert [["A", "B", "C"], ["B", "C"]] == ask_of(ws)
            ws.answer = confirm_only("B", "C")
            await anyio.sleep(5.0)
            assert [["A", "B", "C"], ["B", "C"], ["B", "C"]] == ask_of(ws)
            assert [A, A, A] == [subscription.state for subscription in subscriptions]
            assert [(3, 3)] == [(event.restored, event.total) for event in desk.of(events.Resubscribed)]

    async def test_what_is_never_answered_fails_its_own_consumers(self) -> None:
        """Others were confirmed, so it is the channel and not the connection: that goes on."""
        async with managed(FakeVenue(confirm_only("A", "B")), KeyAdapter, subscribe_timeout=5.0) as desk:
            one, two = await desk.subscribe_many(["A", "B"])
            ws = await reconnected(desk, confirm_only("A"))
            await anyio.sleep(20.0)
            assert [["A", "B"], ["B"], ["B"]] == ask_of(ws)
            assert (A, F, 2) == (one.state, two.state, len(desk.venue.connections))
            with pytest.raises(SubscribeError, match=r"not acknowledged within 5 s, 3 times"):
                await two.receive()
            assert [(1, 2)] == [(event.restored, event.total) for event in desk.of(events.Resubscribed)]

    async def test_when_nothing_is_answered_it_is_the_connection(self) -> None:
        """Another one is made, and the consumers wait."""
        async with managed(subscribe_timeout=5.0) as desk:
            subscriptions = await desk.subscribe_many(["A", "B"])
            await reconnected(desk, stay_silent)
            desk.venue.answer = acknowledge
            await desk.wait_for(events.Resubscribed)
            assert ([A, A], 3) == ([s.state for s in subscriptions], len(desk.venue.connections))

    async def test_an_answer_that_is_late_counts(self) -> None:
        """The request it belongs to has been repeated, and the venue has obeyed the first."""
        async with managed(subscribe_timeout=5.0) as desk:
            (one,) = await desk.subscribe_many(["A"])
            ws = await reconnected(desk, stay_silent)
            await anyio.sleep(6.0)
            assert (P, 2) == (one.state, len(ws.sent))
            ws.push({"ok": ws.sent[0]["id"]})
            await anyio.sleep(60.0)
            assert (A, 2, 2) == (one.state, len(ws.sent), len(desk.venue.connections))

    async def test_data_is_as_good_as_an_answer(self) -> None:
        """The venue sends what it has not confirmed: it is subscribed."""
        async with managed(subscribe_timeout=5.0) as desk:
            (one,) = await desk.subscribe_many(["A"])
            ws = await reconnected(desk, stay_silent)
            ws.tick("A", 1)
            await anyio.sleep(6.0)
            assert (A, 1, 2) == (one.state, len(ws.sent), len(desk.venue.connections))
            assert 1 == len(desk.of(events.Resubscribed))

    async def test_an_answer_missed_long_ago_does_not_undo_a_later_one(self) -> None:
        """The consumer left and came back before the first request was overdue."""
        async with managed(FakeVenue(stay_silent), subscribe_timeout=5.0) as desk:
            ws = await desk.venue.wait_connections(1)
            with anyio.move_on_after(1.0):
                await desk.subscribe("A")
            ws.answer = acknowledge
            ws.push({"ok": ws.sent[-1]["id"]})  # that it has stopped
            await settle()
            subscription = await desk.subscribe("A")
            sent = len(ws.sent)
            await anyio.sleep(10.0)
            assert (sent, A, {"ticker:A"}) == (len(ws.sent), subscription.state, ws.subscribed)


class TestRestoring:
    """`ws.resubscribed` says how many of how many."""

    async def test_those_refused_are_counted_among_all(self) -> None:
        """What the venue no longer has is not restored, and is not forgotten in the count."""
        async with managed() as desk:
            one, two = await desk.subscribe_many(["A", "B"])
            await reconnected(desk, refuse("delisted", "ticker:B"))
            await anyio.sleep(1.0)
            assert (A, F) == (one.state, two.state)
            assert [(1, 2)] == [(event.restored, event.total) for event in desk.of(events.Resubscribed)]

    async def test_none_of_all_is_told_as_well(self) -> None:
        """A venue that refuses everything has answered for everything."""
        async with managed() as desk:
            await desk.subscribe_many(["A", "B"])
            await reconnected(desk, refuse("delisted", "ticker:A", "ticker:B"))
            await anyio.sleep(1.0)
            assert [(0, 2)] == [(event.restored, event.total) for event in desk.of(events.Resubscribed)]

    async def test_those_whose_consumers_left_meanwhile_are_not(self) -> None:
        """Nobody misses them."""
        async with managed(FakeVenue(confirm_only("A", "B")), KeyAdapter) as desk:
            one, _ = await desk.subscribe_many(["A", "B"])
            ws = await reconnected(desk, confirm_only("B"))
            with anyio.move_on_after(1.0):
                await one.aclose()
            await settle()
            assert [(1, 1)] == [(event.restored, event.total) for event in desk.of(events.Resubscribed)]
            assert {"ticker:B"} == ws.subscribed

    async def test_those_that_were_never_active_are_not(self) -> None:
        """What was asked for and not yet confirmed is asked for again, but there is nothing to restore."""
        async with managed(FakeVenue(confirm_only("A")), KeyAdapter, subscribe_timeout=60.0) as desk:
            await desk.subscribe("A")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(desk.subscribe, "B")
                await settle()
                await reconnected(desk, confirm_only("A", "B"))
            assert [(1, 1)] == [(event.restored, event.total) for event in desk.of(events.Resubscribed)]

    async def test_is_paced(self) -> None:
        """Hundreds of channels come back as quickly as the venue allows, and no quicker."""
        limits = StreamLimits(max_channels_per_request=10, messages_per_second=5.0)
        times: list[float] = []

        def answer(ws: FakeWebSocket, request: dict[str, Any]) -> None:
            times.append(anyio.current_time())
            acknowledge(ws, request)

        async with managed(make=limited(limits)) as desk:
            await desk.subscribe_many([f"S{number}" for number in range(200)])
            ws = await reconnected(desk, answer)
            event = await desk.wait_for(events.Resubscribed)
            assert ((200, 200), [10] * 20) == ((event.restored, event.total), [len(r["sub"]) for r in ws.sent])
            assert pytest.approx([second for second in range(5) for _ in range(4)]) == [t - times[0] for t in times]

    async def test_is_begun_anew_when_the_connection_is_lost_again(self) -> None:
        """The next connection asks for everything, whatever the last one had got."""
        async with managed(FakeVenue(confirm_only("A", "B")), KeyAdapter) as desk:
            subscriptions = await desk.subscribe_many(["A", "B"])
            await reconnected(desk, confirm_only("A"))
            ws = await reconnected(desk, confirm_only("A", "B"))
            assert ([["A", "B"]], [A, A]) == (ask_of(ws), [s.state for s in subscriptions])
            assert [(2, 2, 3)] == [(e.restored, e.total, e.generation) for e in desk.of(events.Resubscribed)]

    async def test_the_consumer_sees_the_gap_before_what_follows(self) -> None:
        """Also on the bus, where it has a name of its own."""
        seen: list[Any] = []
        async with managed() as desk:
            desk.manager.bus.on("tick.TOY___SPOT.A", seen.append)
            desk.manager.bus.on("gap.TOY___SPOT.A", seen.append)
            subscription = await desk.subscribe("A")
            desk.venue.now.tick("A", 1)
            await settle()
            ws = await reconnected(desk, acknowledge)
            ws.tick("A", 5)
            await settle()
            before, gap, after = await subscription.receive_batch()
            assert isinstance(gap, Gap)
            assert (1, GapReason.DISCONNECTED, 5) == (before.sequence, gap.reason, after.sequence)
            assert before.local_time == gap.since <= gap.until <= after.local_time
            assert [before, gap, after] == seen

    async def test_each_channel_has_a_gap_of_its_own(self) -> None:
        """Of several consumers of one channel each sees it, also one that is called back."""
        called: list[Any] = []
        async with managed() as desk:
            subscriptions = [await desk.subscribe(symbol) for symbol in ("A", "A", "B")]
            await desk.subscribe("A", callback=called.append)
            await reconnected(desk, acknowledge)
            gaps = [await subscription.receive() for subscription in subscriptions]
            assert [("A", "ticker"), ("A", "ticker"), ("B", "ticker")] == [(gap.symbol, gap.topic) for gap in gaps]
            assert [gaps[0]] == called
