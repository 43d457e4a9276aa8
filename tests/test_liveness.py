"""A connection that is silent, a subscription that is silent, and a market that is quiet: each told from the others."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest

from bt_api_base.containers import Gap, GapReason
from bt_api_base.event_stream import Overflow
from bt_api_base.websocket import events
from bt_api_base.websocket.adapter import Ack, Channel, Decoded
from tests.toy_manager import Desk, managed, settle
from tests.toy_venue import FakeVenue, FakeWebSocket, ToyAdapter, acknowledge, stay_silent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

pytestmark = pytest.mark.anyio

SECOND = 1_000_000_000


class ListingAdapter(ToyAdapter):
    """Of a venue that can be asked what is subscribed."""

    def probe_frame(self, request_id: int, channel: Channel) -> str:
        """Ask for the list."""
        return f'{{"list":1,"id":{request_id}}}'

    def decode_frame(self, frame: bytes | str, local_time: int) -> Decoded:
        """Tell the list from all the rest."""
        match msgspec.json.decode(frame):
            case {"id": int(number), "subscribed": list(keys)}:
                return None, [Ack(request_id=number, result=keys)]
        return super().decode_frame(frame, local_time)


class TradingVenue(FakeVenue):
    """A venue whose markets move once a second, on every connection that has them subscribed.

    A market that is stopped is quiet. A subscription that is forgotten is silent on its connection, while its market
    moves.
    """

    def __init__(self, *symbols: str, **settings: Any) -> None:
        super().__init__(self._answer, **settings)
        self.symbols = set(symbols)
        self.number = 0
        self.forgotten: dict[int, set[str]] = {}
        self.remembers_on_request = True
        self.lists: Callable[[FakeWebSocket], list[str]] = lambda ws: sorted(ws.subscribed)

    def forget(self, symbol: str) -> None:
        """Forget a subscription on every open connection."""
        for ws in self.open:
            self.forgotten.setdefault(id(ws), set()).add(symbol)

    def _answer(self, ws: FakeWebSocket, request: dict[str, Any]) -> None:
        if self.remembers_on_request:
            asked = {key.partition(":")[2] for key in request.get("sub", ())}
            self.forgotten.setdefault(id(ws), set()).difference_update(asked)
        if "list" in request:
            ws.push({"id": request["id"], "subscribed": self.lists(ws)})
        else:
            acknowledge(ws, request)

    async def run(self) -> None:
        """Let the markets move."""
        while True:
            await anyio.sleep(1.0)
            self.number += 1
            for ws in self.open:
                for symbol in sorted(self.symbols - self.forgotten.get(id(ws), set())):
                    for topic in ("ticker", "trade"):
                        if f"{topic}:{symbol}" in ws.subscribed:
                            ws.push({"ch": f"{topic}:{symbol}", "n": self.number})


@asynccontextmanager
async def trading(venue: TradingVenue, make: Any = ToyAdapter, **settings: Any) -> AsyncGenerator[Desk]:
    """Run a manager, and the venue's markets."""
    async with managed(venue, make, **settings) as desk, anyio.create_task_group() as tasks:
        tasks.start_soon(venue.run)
        yield desk
        tasks.cancel_scope.cancel()


def actions(desk: Desk) -> list[tuple[str, str]]:
    """Return what was done about which silent subscription."""
    return [(event.symbol, event.action) for event in desk.of(events.Quiet)]


@pytest.mark.virtual_time
class TestConnection:
    """Open, and nothing comes: neither data nor an answer."""

    async def test_is_stale_and_replaced(self) -> None:
        """The venue is asked before, as a market may be quiet; consumers have a gap and then go on."""
        async with trading(TradingVenue("A"), stale_after=30.0, subscribe_timeout=5.0) as desk:
            subscription = await desk.subscribe("A")
            await anyio.sleep(3.5)
            desk.venue.forget("A")
            desk.venue.now.answer = stay_silent
            await desk.venue.wait_connections(2)
            assert pytest.approx(35.0, abs=2.0) == anyio.current_time() - 3.0
            (stale,) = desk.of(events.Stale)
            assert pytest.approx(35.0, abs=2.0) == stale.silence
            await anyio.sleep(1.5)
            reasons = [item.reason for item in await subscription.receive_batch() if isinstance(item, Gap)]
            assert [GapReason.DISCONNECTED] == reasons
            assert [] == actions(desk)

    async def test_pongs_are_no_data(self) -> None:
        """Neither those of the protocol nor those of the venue's application."""
        async with trading(TradingVenue("A"), stale_after=30.0, subscribe_timeout=5.0, heartbeat_interval=1.0) as desk:
            await desk.subscribe("A")
            await anyio.sleep(1.5)
            desk.venue.forget("A")
            ws = desk.venue.now
            ws.answer = stay_silent
            while len(desk.venue.connections) == 1:
                await anyio.sleep(1.0)
                if ws.is_open:
                    ws.push({"pong": 1})
            assert (1, True) == (len(desk.of(events.Stale)), ws.pings > 30)


@pytest.mark.virtual_time
class TestSubscription:
    """Confirmed, and then forgotten by the venue, while the connection goes on."""

    async def test_what_is_done_about_it_escalates(self) -> None:
        """Ask, subscribe again, replace the connection, report: in that order, with time in between."""
        venue = TradingVenue("A", "B")
        venue.remembers_on_request = False
        async with trading(venue, quiet_after={"ticker": 10.0}) as desk:
            lost, other = await desk.subscribe_many(["A", "B"])
            await anyio.sleep(5.5)
            venue.symbols = {"B"}
            await anyio.sleep(120.0)
            assert [("A", action) for action in ("probe", "resubscribe", "rotate", "report")] == actions(desk)
            told = desk.of(events.Quiet)
            assert pytest.approx([10.0, 15.0, 20.0, 25.0], abs=2.5) == [event.silence for event in told]
            assert ({10.0}, {False}) == ({event.limit for event in told}, {event.learned for event in told})
            assert (1, []) == (len(desk.of(events.Rotated)), desk.of(events.Disconnected))
            numbers = [item.sequence for item in await other.receive_batch()]
            assert list(range(numbers[0], numbers[0] + len(numbers))) == numbers
            assert 5 == sum(not isinstance(item, Gap) for item in await lost.receive_batch())

    async def test_subscribing_again_may_mend_it(self) -> None:
        """Then the consumer has a gap and its data, the connection goes on, and the next silence is a new one."""
        venue = TradingVenue("A", "B")
        async with trading(venue, ListingAdapter, quiet_after={"ticker": 10.0}) as desk:
            subscription, _ = await desk.subscribe_many(["A", "B"])
            await anyio.sleep(3.5)
            venue.forget("A")
            await anyio.sleep(20.0)
            assert [("A", "probe"), ("A", "resubscribe")] == actions(desk)
            assert 1 == len(venue.connections)
            items = await subscription.receive_batch()
            (gap,) = [item for item in items if isinstance(item, Gap)]
            before, after = items[items.index(gap) - 1], items[items.index(gap) + 1]
            assert (GapReason.DISCONNECTED, True) == (gap.reason, after.sequence > before.sequence + 1)
            venue.forget("A")
            await anyio.sleep(20.0)
            assert [("A", "probe"), ("A", "resubscribe")] * 2 == actions(desk)

    async def test_what_numbers_show_to_be_whole_has_no_gap(self) -> None:
        """The market was quiet after all: the next trade follows the last one."""
        venue = TradingVenue("B")
        async with trading(venue, quiet_after={"trade": 10.0}) as desk:
            subscription = await desk.subscribe("A", "trade")
            venue.now.push({"ch": "trade:A", "n": 1})
            await anyio.sleep(18.0)
            assert [("A", "probe"), ("A", "resubscribe")] == actions(desk)
            venue.now.push({"ch": "trade:A", "n": 2})
            await settle()
            assert ["1", "2"] == [item.trade_id for item in await subscription.receive_batch()]

    async def test_replacing_the_connection_may_mend_it(self) -> None:
        """Nothing is lost on the others, nor twice."""
        venue = TradingVenue("A", "B")
        venue.remembers_on_request = False
        async with trading(venue, quiet_after={"ticker": 10.0}) as desk:
            subscription, other = await desk.subscribe_many(["A", "B"])
            await anyio.sleep(3.5)
            venue.forget("A")
            await anyio.sleep(40.0)
            assert [("A", action) for action in ("probe", "resubscribe", "rotate")] == actions(desk)
            assert (2, 1) == (len(venue.connections), len(venue.open))
            assert subscription.pending > 10
            numbers = [item.sequence for item in await other.receive_batch()]
            assert list(range(numbers[0], venue.number + 1)) == numbers

    async def test_several_are_treated_together(self) -> None:
        """One question, one request and one rotation for all of them; each is told of."""
        venue = TradingVenue("C")
        async with trading(venue, ListingAdapter, quiet_after={"ticker": 10.0}) as desk:
            await desk.subscribe_many(["A", "B", "C"])
            await anyio.sleep(60.0)
            expected = ("probe", "resubscribe", "rotate", "report")
            assert [(symbol, action) for action in expected for symbol in ("A", "B")] == actions(desk)
            requests = [(len(request.get("sub", ())), "list" in request) for request in venue.connections[0].sent]
            assert [(3, False), (0, True), (2, False)] == requests
            (rotated,) = desk.of(events.Rotated)
            assert "2 subscriptions are silent" == rotated.reason

    async def test_a_connection_is_not_replaced_for_it_again_and_again(self) -> None:
        """Within some minutes of a rotation the next silence is only reported."""
        venue = TradingVenue("B")
        async with trading(venue, quiet_after={"ticker": 10.0}) as desk:
            await desk.subscribe_many(["A", "B"])
            await anyio.sleep(60.0)
            venue.symbols = {"A"}
            await anyio.sleep(60.0)
            steps = ["probe", "resubscribe", "rotate", "report"]
            assert [("A", step) for step in steps] + [("B", step) for step in ("probe", "resubscribe", "report")] == (
                actions(desk)
            )
            assert 1 == len(desk.of(events.Rotated))

    async def test_a_list_without_it_is_acted_upon_at_once(self) -> None:
        """The venue says itself that it has forgotten: there is nothing to wait for."""
        venue = TradingVenue("A", "B")
        venue.lists = lambda ws: ["ticker:B"]
        async with trading(venue, ListingAdapter, quiet_after={"ticker": 10.0}) as desk:
            await desk.subscribe_many(["A", "B"])
            await anyio.sleep(3.5)
            venue.forget("A")
            await anyio.sleep(14.0)
            probe, resubscribe = desk.of(events.Quiet)
            assert ("probe", "resubscribe") == (probe.action, resubscribe.action)
            assert resubscribe.silence - probe.silence < 2.5

    async def test_a_list_with_it_leaves_time(self) -> None:
        """The venue has it: perhaps the market is quiet."""
        async with trading(TradingVenue("B"), ListingAdapter, quiet_after={"ticker": 10.0}) as desk:
            await desk.subscribe_many(["A", "B"])
            await anyio.sleep(14.0)
            assert [("A", "probe")] == actions(desk)

    async def test_the_venues_own_pace_is_used_where_none_is_given(self) -> None:
        """And what the settings say goes before it."""

        class PacedAdapter(ToyAdapter):
            def channel(self, topic: str, symbol: str, params: Mapping[str, Any] | None = None) -> Channel:
                return msgspec.structs.replace(super().channel(topic, symbol, params), quiet_after=10.0)

        for settings, expected in (({}, 10.0), ({"quiet_after": {"ticker": 20.0}}, 20.0)):
            async with trading(TradingVenue("B"), PacedAdapter, **settings) as desk:
                await desk.subscribe("A")
                first = await desk.wait_for(events.Quiet)
                assert (expected, False) == (first.limit, first.learned)

    async def test_time_without_a_connection_does_not_count(self) -> None:
        """Silence is the subscription's only while it is confirmed."""
        venue = TradingVenue("B")
        async with trading(venue, quiet_after={"ticker": 10.0}, max_reconnect_interval=1.0) as desk:
            await desk.subscribe("A")
            await anyio.sleep(8.0)
            venue.refusing = True
            venue.now.cut()
            await anyio.sleep(30.0)
            venue.refusing = False
            await desk.wait_for(events.Resubscribed)
            await anyio.sleep(8.0)
            assert [] == actions(desk)
            await anyio.sleep(5.0)
            assert [("A", "probe")] == actions(desk)


@pytest.mark.virtual_time
class TestQuietMarket:
    """Nothing happens, and that is all there is to it."""

    async def test_never_costs_a_connection(self) -> None:
        """Nor is anything done about it, as nobody knows its pace."""
        async with trading(TradingVenue(), stale_after=30.0) as desk:
            await desk.subscribe_many(["A", "B"])
            await anyio.sleep(6 * 3600.0)
            assert (1, [], []) == (len(desk.venue.connections), actions(desk), desk.of(events.Stale))

    async def test_that_was_busy_before_is_asked_after_and_left_alone(self) -> None:
        """Its pace is learned, which is a guess: it costs two requests and no connection."""
        venue = TradingVenue("A", "B")
        async with trading(venue) as desk:
            subscription, _ = await desk.subscribe_many(["A", "B"])
            await anyio.sleep(60.5)
            venue.symbols = {"B"}
            await anyio.sleep(3600.0)
            assert [("A", action) for action in ("probe", "resubscribe", "report")] == actions(desk)
            assert {True} == {event.learned for event in desk.of(events.Quiet)}
            assert (1, [], []) == (len(venue.connections), desk.of(events.Rotated), desk.of(events.Disconnected))
            items = await subscription.receive_batch()
            assert list(range(1, 61)) == [item.sequence for item in items if not isinstance(item, Gap)]
            assert isinstance(items[-1], Gap), "whether the venue had forgotten, nobody knows"

    async def test_a_silence_that_ended_by_itself_is_expected_from_then_on(self) -> None:
        """After the market was quiet for minutes, minutes are nothing to worry about."""
        venue = TradingVenue("A", "B")
        async with trading(venue) as desk:
            await desk.subscribe_many(["A", "B"])
            await anyio.sleep(60.5)
            for _ in range(2):
                venue.symbols = {"B"}
                await anyio.sleep(300.0)
                venue.symbols = {"A", "B"}
                await anyio.sleep(5.0)
            assert 3 == len(actions(desk))

    async def test_a_silence_that_subscribing_again_ended_is_not(self) -> None:
        """The venue had forgotten: the next time it is suspected as soon as the first time."""
        venue = TradingVenue("A", "B")
        async with trading(venue, ListingAdapter) as desk:
            await desk.subscribe_many(["A", "B"])
            await anyio.sleep(60.5)
            for _ in range(2):
                venue.forget("A")
                await anyio.sleep(120.0)
            told = desk.of(events.Quiet)
            assert ["probe", "resubscribe"] * 2 == [event.action for event in told]
            assert 1 == len({event.limit for event in told})

    async def test_may_be_left_out(self) -> None:
        """A topic whose quiet period is given as zero is never suspected."""
        venue = TradingVenue("A")
        async with trading(venue, quiet_after={"ticker": 0.0}) as desk:
            await desk.subscribe("A")
            await anyio.sleep(60.5)
            venue.symbols = set()
            await anyio.sleep(3600.0)
            assert [] == actions(desk)


@pytest.mark.virtual_time
class TestSlowConsumer:
    """One's own slowness is not the venue's silence."""

    async def test_a_stream_that_nobody_reads(self) -> None:
        """Data arrives, wherever it stays."""
        async with trading(TradingVenue("A"), stale_after=10.0, quiet_after={"ticker": 5.0}) as desk:
            subscription = await desk.subscribe("A", max_buffer_size=10)
            await anyio.sleep(600.5)
            assert (1, [], []) == (len(desk.venue.connections), actions(desk), desk.of(events.Stale))
            assert (10, 590) == (subscription.pending, subscription.dropped)

    @pytest.mark.parametrize("overflow", list(Overflow))
    async def test_a_callback_that_takes_for_ever(self, overflow: Overflow) -> None:
        """Whatever happens to its events, also where its stream ends."""

        async def callback(event: Any) -> None:
            await anyio.sleep(10_000.0)

        async with trading(TradingVenue("A"), stale_after=10.0, quiet_after={"ticker": 5.0}) as desk:
            await desk.subscribe("A", callback=callback, max_buffer_size=10, overflow=overflow)
            await anyio.sleep(3600.0)
            assert (1, [], []) == (len(desk.venue.connections), actions(desk), desk.of(events.Stale))


class TestHeldUp:
    """A callback that blocks the event loop holds up everything, also the reading of what has arrived in time."""

    @pytest.mark.parametrize("kind", ["ping", "application ping", "probe"])
    async def test_an_answer_that_could_not_be_read_is_not_missing(self, kind: str) -> None:
        """The deadline passed while nobody could look: the venue is asked again before it is judged."""

        class PingingAdapter(ToyAdapter):
            def ping_frame(self) -> str | None:
                return '{"ping":1}' if kind == "application ping" else None

        def answer(ws: FakeWebSocket, request: dict[str, Any]) -> None:
            if "ping" in request:
                ws.push({"pong": 1})
            else:
                acknowledge(ws, request)

        limits: dict[str, Any] = {"heartbeat_interval": 0.03, "heartbeat_timeout": 0.01}
        if kind == "probe":
            limits = {"stale_after": 0.01, "subscribe_timeout": 0.06}
        async with managed(FakeVenue(answer), PingingAdapter, **limits) as desk:
            for _ in range(2):
                await desk.subscribe("A", callback=lambda event: time.sleep(0.05))
            for number in range(5):
                desk.venue.now.tick("A", number)
                await anyio.sleep(0.01)
            assert ([], []) == (desk.of(events.Disconnected), desk.of(events.Stale))

    async def test_a_peer_that_is_gone_is_found_all_the_same(self) -> None:
        """Nobody is asked for ever."""
        async with managed(heartbeat_interval=0.03, heartbeat_timeout=0.02) as desk:
            ws = await desk.venue.wait_connections(1)
            ws.answers_pings = False
            with anyio.fail_after(5.0):
                await desk.wait_for(events.Disconnected)
