"""A supervised connection: subscribing, routing, liveness, reconnecting, giving up."""

from __future__ import annotations

import itertools
import random
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest

from bt_api_base.containers import Event, Gap, Tick
from bt_api_base.event_bus import ErrorHandlerMode, EventBus
from bt_api_base.exceptions import ConfigurationError, SubscribeError, WebSocketError
from bt_api_base.testing.cancellation import sweep_cancellation
from bt_api_base.websocket import events
from bt_api_base.websocket.adapter import StreamLimits
from bt_api_base.websocket.channels import SubscriptionState
from bt_api_base.websocket.config import WebSocketConfig
from bt_api_base.websocket.connection import SupervisedConnection
from bt_api_base.websocket.connection_stats import ConnectionState
from tests.toy_venue import EXCHANGE, FakeVenue, FakeWebSocket, ToyAdapter, acknowledge, refuse, stay_silent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]

URL = "ws://toy.invalid/ws"


@attrs.define(eq=False)
class Collector:
    """A consumer that keeps what it gets."""

    items: list[Event] = attrs.field(factory=list)
    error: Exception | None = None
    ended: bool = False

    def deliver(self, items: Sequence[Event], /) -> None:
        """Keep the events."""
        self.items.extend(items)

    def mark(self, gap: Gap, /) -> None:
        """Keep the gap among the events."""
        self.items.append(gap)

    def fail(self, error: Exception, /) -> None:
        """Keep the error."""
        self.error = error

    def end(self) -> None:
        """Remember the end."""
        self.ended = True

    @property
    def numbers(self) -> list[int | None]:
        """The sequence numbers of the ticks."""
        return [item.sequence for item in self.items if isinstance(item, Tick)]


@attrs.define(eq=False)
class Stage:
    """A running connection, its fake venue, and every event of the connection."""

    venue: FakeVenue
    connection: SupervisedConnection
    seen: list[events.ConnectionEvent] = attrs.field(factory=list)

    def of(self, kind: type[Any]) -> list[Any]:
        """Return the events of one kind."""
        return [event for event in self.seen if isinstance(event, kind)]

    async def subscribe(self, symbol: str) -> Collector:
        """Subscribe a new collector."""
        collector = Collector()
        await self.connection.subscribe(self.connection.adapter.channel("ticker", symbol), collector)
        return collector


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(20):
        await anyio.lowlevel.checkpoint()


def build(venue: FakeVenue, bus: EventBus | None = None, **settings: Any) -> Stage:
    """Make a connection to a fake venue, not yet running."""
    bus = EventBus() if bus is None else bus
    config = WebSocketConfig(URL, EXCHANGE, **settings)
    adapter = ToyAdapter()  # one for all connections, so that a test can change it
    stage = Stage(venue, SupervisedConnection(config, lambda: adapter, bus, "toy-1", connector=venue.connector))
    for kind in events.NAMES:
        bus.on(kind, stage.seen.append)
    return stage


@asynccontextmanager
async def running(venue: FakeVenue | None = None, **settings: Any) -> AsyncGenerator[Stage]:
    """Run a connection to a fake venue."""
    stage = build(venue or FakeVenue(), **settings)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.connection.run)
        yield stage
        tasks.cancel_scope.cancel()


class TestSubscribing:
    """From a wish to the venue's confirmation."""

    async def test_returns_once_the_venue_has_acknowledged(self) -> None:
        """Before the answer the channel is pending, afterwards active."""
        async with running(FakeVenue(stay_silent)) as stage, anyio.create_task_group() as tasks:
            tasks.start_soon(stage.subscribe, "BTC-USDT")
            ws = await stage.venue.wait_connections(1)
            await settle()
            (entry,) = stage.connection.channels
            assert SubscriptionState.PENDING is entry.state
            ws.push({"ok": ws.sent[0]["id"]})
            await settle()
            assert SubscriptionState.ACTIVE is entry.state

    async def test_wishes_of_the_same_moment_share_one_frame(self) -> None:
        """Fifty subscriptions are one request, not fifty."""
        async with running() as stage:
            await stage.venue.wait_connections(1)
            async with anyio.create_task_group() as tasks:
                for number in range(50):
                    tasks.start_soon(stage.subscribe, f"S{number}")
            assert [50] == [len(request["sub"]) for request in stage.venue.now.sent]

    async def test_a_frame_names_at_most_what_the_venue_allows(self) -> None:
        """More channels than fit a request are split over several."""
        async with running() as stage:
            await stage.venue.wait_connections(1)
            async with anyio.create_task_group() as tasks:
                for number in range(120):
                    tasks.start_soon(stage.subscribe, f"S{number}")
            assert [50, 50, 20] == [len(request["sub"]) for request in stage.venue.now.sent]

    async def test_requests_leave_room_in_the_venues_message_limit(self) -> None:
        """No second carries as many of our messages as the venue allows: pings and pongs count as well."""
        times: list[float] = []

        def answer(ws: FakeWebSocket, request: dict[str, Any]) -> None:
            times.append(anyio.current_time())
            acknowledge(ws, request)

        async with running(FakeVenue(answer), subscribe_timeout=60.0) as stage:
            stage.connection.adapter.limits = StreamLimits(messages_per_second=5.0, max_channels_per_request=1)
            async with anyio.create_task_group() as tasks:
                for number in range(12):
                    tasks.start_soon(stage.subscribe, f"S{number}")
        assert 12 == len(times)
        assert all(later - earlier >= 1.0 for earlier, later in zip(times, times[4:], strict=False))

    async def test_what_changes_while_a_request_waits_for_its_turn_is_heeded(self) -> None:
        """A refusal that comes while the unsubscription waits for its turn leaves nothing to ask, and harms nobody."""
        async with running(FakeVenue(stay_silent)) as stage:
            stage.connection.adapter.limits = StreamLimits(messages_per_second=2.0)  # one of ours a second
            ws = await stage.venue.wait_connections(1)
            with anyio.move_on_after(0.1):
                await stage.subscribe("BTC-USDT")
            await anyio.sleep(0.3)
            ws.push({"no": ws.sent[0]["id"], "text": "no such market"})
            await anyio.sleep(5.0)
            assert ([], 1) == (stage.of(events.Disconnected), len(ws.sent))

    async def test_a_wish_withdrawn_while_it_waits_for_its_turn_is_not_sent(self) -> None:
        """Nobody wants it any more, so the venue is not bothered."""
        async with running() as stage:
            stage.connection.adapter.limits = StreamLimits(messages_per_second=2.0)
            await stage.subscribe("BTC-USDT")
            with anyio.move_on_after(0.2):
                await stage.subscribe("ETH-USDT")
            await anyio.sleep(5.0)
            assert [["ticker:BTC-USDT"]] == [request.get("sub") for request in stage.venue.now.sent]

    async def test_a_refusal_is_raised_in_the_venues_words(self) -> None:
        """The error names topic and symbol, and quotes the venue."""
        async with running(FakeVenue(refuse("no such market", "ticker:XXX"))) as stage:
            with pytest.raises(SubscribeError, match="no such market") as caught:
                await stage.subscribe("XXX")
            assert ("no such market", "XXX") == (caught.value.venue_message, caught.value.symbol)
            assert 0 == len(stage.connection.channels)

    async def test_a_refusal_does_not_hit_the_others_of_the_same_frame(self) -> None:
        """A request refused as a whole is asked again channel by channel."""
        outcome: dict[str, str] = {}

        async def subscribe(stage: Stage, symbol: str) -> None:
            try:
                await stage.subscribe(symbol)
            except SubscribeError:
                outcome[symbol] = "refused"
            else:
                outcome[symbol] = "active"

        async with running(FakeVenue(refuse("no", "ticker:BAD"))) as stage:
            await stage.venue.wait_connections(1)
            async with anyio.create_task_group() as tasks:
                for symbol in ("A", "BAD", "B"):
                    tasks.start_soon(subscribe, stage, symbol)
        assert {"A": "active", "BAD": "refused", "B": "active"} == outcome

    async def test_no_answer_is_an_error_after_the_deadline(self) -> None:
        """A venue that does not answer is given ``subscribe_timeout``, then the wish is withdrawn."""
        async with running(FakeVenue(stay_silent), subscribe_timeout=3.0) as stage:
            started = anyio.current_time()
            with pytest.raises(SubscribeError, match="no acknowledgement within 3 s"):
                await stage.subscribe("BTC-USDT")
            assert pytest.approx(3.0) == anyio.current_time() - started
            assert 0 == len(stage.connection.channels)

    async def test_no_connection_is_an_error_that_says_why(self) -> None:
        """The subscriber learns what the attempts ended with."""
        async with running(FakeVenue(refusing=True), subscribe_timeout=3.0) as stage:
            with pytest.raises(SubscribeError, match=r"not connected within 3 s; .*connection refused"):
                await stage.subscribe("BTC-USDT")

    async def test_a_second_consumer_joins_without_asking_again(self) -> None:
        """One channel, two consumers, one request; both get everything."""
        async with running() as stage:
            first, second = await stage.subscribe("BTC-USDT"), await stage.subscribe("BTC-USDT")
            stage.venue.now.tick("BTC-USDT", 1, 2)
            await settle()
            assert ([1, 2], [1, 2], 1) == (first.numbers, second.numbers, len(stage.venue.now.sent))

    async def test_the_last_consumer_unsubscribes(self) -> None:
        """The venue is told to stop when nobody wants the channel any more, and not before."""
        async with running() as stage:
            channel = stage.connection.adapter.channel("ticker", "BTC-USDT")
            one, two = Collector(), Collector()
            entry = await stage.connection.subscribe(channel, one)
            await stage.connection.subscribe(channel, two)
            stage.connection.unsubscribe(entry, one)
            await settle()
            assert {"ticker:BTC-USDT"} == stage.venue.now.subscribed
            stage.connection.unsubscribe(entry, two)
            await stage.connection.wait_unsubscribed(entry)
            assert set() == stage.venue.now.subscribed

    async def test_subscribing_again_while_leaving_ends_subscribed(self) -> None:
        """A wish that comes back before the venue has let go is asked for anew, in order."""
        async with running() as stage:
            channel = stage.connection.adapter.channel("ticker", "BTC-USDT")
            for _ in range(5):
                collector = Collector()
                entry = await stage.connection.subscribe(channel, collector)
                stage.connection.unsubscribe(entry, collector)
            last = await stage.subscribe("BTC-USDT")
            await settle()
            stage.venue.now.tick("BTC-USDT", 7)
            await settle()
            assert ({"ticker:BTC-USDT"}, [7]) == (stage.venue.now.subscribed, last.numbers)

    @pytest.mark.parametrize("seed", range(40))
    async def test_whatever_happens_the_venue_ends_with_what_is_wanted(self, seed: int) -> None:
        """Subscribing, giving up, leaving, refusals, late answers and cuts in any order, under a tight limit."""
        rng = random.Random(seed)
        held: list[tuple[Any, Collector]] = []

        def answer(ws: FakeWebSocket, request: dict[str, Any]) -> None:
            refused = "ticker:BAD" in request.get("sub", ()) and {"no": request["id"], "text": "no such market"}
            late.append((ws, refused or {"ok": request["id"]}))

        async def consume(stage: Stage, symbol: str, patience: float) -> None:
            channel, collector = stage.connection.adapter.channel("ticker", symbol), Collector()
            with anyio.move_on_after(patience), suppress(SubscribeError):
                held.append((await stage.connection.subscribe(channel, collector), collector))

        late: list[tuple[FakeWebSocket, Any]] = []
        async with running(FakeVenue(answer), reconnect_interval=0.1) as stage, anyio.create_task_group() as tasks:
            stage.connection.adapter.limits = StreamLimits(messages_per_second=4.0, max_channels_per_request=3)
            await stage.venue.wait_connections(1)
            for step in range(80):
                action = rng.randrange(10) if step < 60 else 5  # and at last all answers arrive
                if action < 4:
                    tasks.start_soon(
                        consume, stage, rng.choice(["A", "B", "C", "D", "BAD"]), rng.choice([0.3, 2.0, 9.0])
                    )
                elif action < 9:
                    for ws, reply in late:
                        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
                            ws.push(reply)
                    late.clear()
                    if held and rng.random() < 0.5:
                        stage.connection.unsubscribe(*held.pop(rng.randrange(len(held))))
                else:
                    with suppress(IndexError):
                        stage.venue.now.cut()
                await anyio.sleep(rng.choice([0.0, 0.1, 0.5, 1.0]))
            for _ in range(60):
                await anyio.sleep(0.5)
                for ws, reply in late:
                    with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
                        ws.push(reply)
                late.clear()
            wanted = {entry.channel.key for entry, _ in held}
            assert wanted == {entry.channel.key for entry in stage.connection.channels}
            assert wanted == stage.venue.now.subscribed - {"ticker:BAD"}
            assert not [event for event in stage.of(events.Disconnected) if "internal failure" in event.reason]

    async def test_cancelled_at_any_await_it_leaves_no_wish_behind(self) -> None:
        """Wherever a subscriber is cancelled, the table and the venue end without the channel, or with all of it."""

        @asynccontextmanager
        async def scenario() -> AsyncGenerator[Any]:
            async with running() as stage:
                await stage.venue.wait_connections(1)
                held: list[Collector] = []

                async def operation() -> None:
                    held.append(await stage.subscribe("BTC-USDT"))

                yield operation
                await settle()
                wanted = {"ticker:BTC-USDT"} if held else set()
                assert wanted == {entry.channel.key for entry in stage.connection.channels}
                assert wanted == stage.venue.now.subscribed

        await sweep_cancellation(scenario)


class TestRouting:
    """From a frame to its consumers."""

    async def test_events_reach_their_channels_consumer_and_the_bus(self) -> None:
        """Each consumer gets its own channel, the bus gets all."""
        async with running() as stage:
            btc, eth = await stage.subscribe("BTC-USDT"), await stage.subscribe("ETH-USDT")
            on_bus: list[Tick] = []
            stage.connection.bus.on(f"tick.{EXCHANGE}.*", on_bus.append)
            stage.venue.now.tick("BTC-USDT", 1)
            stage.venue.now.tick("ETH-USDT", 2)
            await settle()
            assert ([1], [2], [1, 2]) == (btc.numbers, eth.numbers, [tick.sequence for tick in on_bus])

    @pytest.mark.parametrize("frame", [b"\xff\xfe", b"{", b"", b"[" * 5000, b'{"bug": 1}'])
    async def test_a_bad_frame_is_reported_and_skipped(self, frame: bytes) -> None:
        """Neither garbage nor a bug in the adapter ends the connection; what follows in the batch arrives."""
        async with running() as stage:
            btc = await stage.subscribe("BTC-USDT")
            stage.venue.now.push(frame, {"ch": "ticker:BTC-USDT", "n": 1})
            await settle()
            stats = stage.connection.get_stats()
            assert ([1], 1, 1) == (btc.numbers, stats.bad_frames, len(stage.of(events.BadFrame)))
            assert ConnectionState.CONNECTED is stage.connection.state

    async def test_an_adapter_whose_quick_way_fails_is_taken_at_its_slow_one(self) -> None:
        """A fault in decoding several frames at once costs none of them."""

        def fail(frames: Any, local_time: int) -> Any:
            raise AttributeError("a bug in an adapter")

        async with running() as stage:
            btc = await stage.subscribe("BTC-USDT")
            stage.connection.adapter.decode_batch = fail  # type: ignore[method-assign]
            stage.venue.now.tick("BTC-USDT", 1, 2)
            await settle()
            assert ([1, 2], ConnectionState.CONNECTED) == (btc.numbers, stage.connection.state)

    async def test_every_frame_is_accounted_for(self) -> None:
        """Frames are data, control, unrouted or bad: nothing else, and nothing twice."""
        async with running() as stage:
            await stage.subscribe("BTC-USDT")
            stage.venue.now.push({"ch": "ticker:BTC-USDT", "n": 1}, {"ch": "ticker:OLD", "n": 1}, b"{", {"what": 1})
            await settle()
            s = stage.connection.get_stats()
            assert (1, 2, 1, 1, 1) == (s.data_frames, s.control_frames, s.unrouted_frames, s.bad_frames, s.unrecognized)
            assert s.frames == s.data_frames + s.control_frames + s.unrouted_frames + s.bad_frames

    async def test_a_handler_that_raises_does_not_end_the_connection(self) -> None:
        """Even a bus that raises is not the connection's failure."""
        bus = EventBus(error_mode=ErrorHandlerMode.RAISE)
        async with running(bus=bus) as stage:
            bus.on(Tick, lambda tick: 1 / 0)
            btc = await stage.subscribe("BTC-USDT")
            stage.venue.now.tick("BTC-USDT", 1)
            stage.venue.now.tick("BTC-USDT", 2)
            await settle()
            assert ([1, 2], 2) == (btc.numbers, bus.statistics().errors)

    async def test_an_application_ping_is_answered(self) -> None:
        """A venue's own heartbeat message gets its reply."""
        async with running() as stage:
            ws = await stage.venue.wait_connections(1)
            ws.push({"ping": 42})
            await settle()
            assert [{"pong": 42}] == ws.sent


class TestReconnecting:
    """From a lost connection to the next."""

    async def test_subscriptions_are_restored(self) -> None:
        """After a cut every channel is asked for again and delivers again, and the bus tells the story."""
        async with running() as stage:
            btc, eth = await stage.subscribe("BTC-USDT"), await stage.subscribe("ETH-USDT")
            stage.venue.now.tick("BTC-USDT", 1)
            await settle()
            stage.venue.now.cut()
            ws = await stage.venue.wait_connections(2)
            await settle()
            ws.tick("BTC-USDT", 2)
            ws.tick("ETH-USDT", 3)
            await settle()
            assert ([1, 2], [3]) == (btc.numbers, eth.numbers)
            (resubscribed,) = stage.of(events.Resubscribed)
            assert (2, 2, 2) == (resubscribed.restored, resubscribed.total, resubscribed.generation)
            assert [1006] == [event.close_code for event in stage.of(events.Disconnected)]

    async def test_the_first_attempt_is_made_at_once(self) -> None:
        """No delay before the first attempt after a loss."""
        async with running() as stage:
            ws = await stage.venue.wait_connections(1)
            ws.cut()
            await stage.venue.wait_connections(2)
            assert stage.venue.attempts[0] == stage.venue.attempts[1]

    async def test_a_peer_that_accepts_and_closes_is_not_hammered(self) -> None:
        """The back-off goes on as long as no data flows, however well the handshakes go."""
        venue = FakeVenue(on_connect=lambda ws: ws.cut())
        async with running(venue):
            await anyio.sleep(60.0)
            assert 2 < len(venue.attempts) < 20

    async def test_data_that_flows_for_a_while_starts_the_back_off_anew(self) -> None:
        """After a healthy spell the next attempt is again made at once."""

        async def carry(ws: FakeWebSocket, seconds: int) -> None:
            for number in range(seconds):
                ws.tick("BTC-USDT", number)
                await anyio.sleep(1.0)

        venue = FakeVenue(refusing=True)
        async with running(venue, healthy_after=5.0, subscribe_timeout=1000.0) as stage:
            await anyio.sleep(100.0)
            venue.refusing = False
            ws = await venue.wait_connections(1)
            await stage.subscribe("BTC-USDT")
            await carry(ws, 8)
            lost_at = anyio.current_time()
            ws.cut()
            await venue.wait_connections(2)
            assert lost_at == venue.attempts[-1]

    async def test_a_short_spell_of_data_does_not(self) -> None:
        """A venue that drops everybody after two seconds of data is met with growing delays."""
        venue = FakeVenue()
        async with running(venue, healthy_after=5.0) as stage:
            with anyio.move_on_after(60.0):
                for generation in itertools.count(1):
                    ws = await venue.wait_connections(generation)
                    ws.tick("BTC-USDT", 1)
                    await anyio.sleep(2.0)
                    ws.tick("BTC-USDT", 2)
                    ws.cut()
            assert max(event.attempt for event in stage.of(events.Reconnecting)) > 3

    async def test_a_spell_of_anything_but_data_does_not_either(self) -> None:
        """Heartbeats, however many, do not make a connection healthy that carries no data."""

        async def beat() -> None:
            for generation in itertools.count(1):
                ws = await venue.wait_connections(generation)
                for _ in range(6):
                    ws.push({"ping": 1})
                    await anyio.sleep(1.0)
                ws.cut()

        venue = FakeVenue()
        async with running(venue, healthy_after=5.0) as stage:
            with anyio.move_on_after(100.0):
                await beat()
            assert max(event.attempt for event in stage.of(events.Reconnecting)) > 3

    async def test_a_subscriber_waits_through_failed_attempts(self) -> None:
        """Subscribing while the venue is away succeeds when it comes back."""
        venue = FakeVenue(refusing=True)
        async with (
            running(venue, reconnect_interval=1.0, subscribe_timeout=300.0) as stage,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(stage.subscribe, "BTC-USDT")
            await anyio.sleep(10.0)
            venue.refusing = False
            await venue.wait_connections(1)
        assert {"ticker:BTC-USDT"} == venue.now.subscribed

    async def test_a_restored_channel_the_venue_now_refuses_fails_its_consumer_only(self) -> None:
        """A delisted symbol ends its own consumer with the venue's words; the others go on."""
        async with running() as stage:
            gone, btc = await stage.subscribe("GONE"), await stage.subscribe("BTC-USDT")
            stage.venue.answer = refuse("delisted", "ticker:GONE")
            stage.venue.now.cut()
            ws = await stage.venue.wait_connections(2)
            await settle()
            ws.tick("BTC-USDT", 1)
            await settle()
            assert isinstance(gone.error, SubscribeError)
            assert ("delisted", None, [1]) == (gone.error.venue_message, btc.error, btc.numbers)

    async def test_restored_channels_that_are_not_acknowledged_cost_the_connection(self) -> None:
        """Nobody waits for a restored channel's answer, so its absence is taken up with the connection."""
        async with running(subscribe_timeout=5.0) as stage:
            await stage.subscribe("BTC-USDT")
            stage.venue.answer = stay_silent
            stage.venue.now.cut()
            await stage.venue.wait_connections(2)
            stage.venue.answer = acknowledge
            await stage.venue.wait_connections(3)
            await settle()
            assert {"ticker:BTC-USDT"} == stage.venue.now.subscribed
            assert "not acknowledged within 5 s" in stage.of(events.Disconnected)[-1].reason

    async def test_a_shutdown_notice_is_passed_on_and_acted_upon(self) -> None:
        """The venue says it will close: the client leaves first and comes back."""
        async with running() as stage:
            ws = await stage.venue.wait_connections(1)
            ws.push({"bye": "maintenance"})
            await stage.venue.wait_connections(2)
            (notice,) = stage.of(events.VenueNotice)
            assert ("bye", "maintenance", True) == (notice.kind, notice.message, notice.closing)


class TestLiveness:
    """Telling silence from quiet, and a dead peer from a live one."""

    async def test_an_unanswered_ping_ends_the_connection(self) -> None:
        """A peer that is gone without a word is noticed by the heartbeat."""
        venue = FakeVenue(on_connect=lambda ws: setattr(ws, "answers_pings", False))
        async with running(venue, heartbeat_interval=10.0, heartbeat_timeout=5.0) as stage:
            await venue.wait_connections(2)
            assert pytest.approx(15.0) == venue.attempts[1] - venue.attempts[0]
            assert "no pong within 5 s" in stage.of(events.Disconnected)[0].reason

    async def test_answered_pings_do_not_hide_missing_data(self) -> None:
        """An open connection that carries nothing, not even an answer, is replaced after ``stale_after``."""
        async with running(heartbeat_interval=1.0, stale_after=30.0, subscribe_timeout=3.0) as stage:
            await stage.subscribe("BTC-USDT")
            stage.venue.now.tick("BTC-USDT", 1)
            stage.venue.now.answer = stay_silent
            await settle()
            started = anyio.current_time()
            await stage.venue.wait_connections(2)
            assert pytest.approx(33.0) == anyio.current_time() - started
            assert (1, True) == (len(stage.of(events.Stale)), stage.venue.connections[0].pings > 20)

    async def test_answers_to_application_pings_do_not_either(self) -> None:
        """A venue's pong in an ordinary message says that it is there, not that data flows."""
        async with running(stale_after=30.0, subscribe_timeout=3.0) as stage:
            await stage.subscribe("BTC-USDT")
            stage.venue.now.answer = stay_silent
            for _ in range(6):
                await anyio.sleep(5.0)
                stage.venue.now.push({"pong": 1})
            await anyio.sleep(4.0)
            assert 1 == len(stage.of(events.Stale))

    async def test_a_quiet_market_never_costs_a_connection(self) -> None:
        """A venue that answers when it is asked is there, however long nothing happens."""
        async with running(stale_after=30.0) as stage:
            await stage.subscribe("BTC-USDT")
            await anyio.sleep(2 * 3600.0)
            assert (1, []) == (len(stage.venue.connections), stage.of(events.Stale))

    async def test_a_connection_without_subscriptions_may_be_silent(self) -> None:
        """Nothing was asked for, so nothing is missing."""
        async with running(stale_after=5.0) as stage:
            await anyio.sleep(300.0)
            assert 1 == len(stage.venue.connections)

    async def test_data_keeps_the_connection(self) -> None:
        """One frame every now and then is enough."""
        async with running(stale_after=5.0) as stage:
            await stage.subscribe("BTC-USDT")
            for number in range(20):
                await anyio.sleep(4.0)
                stage.venue.now.tick("BTC-USDT", number)
            assert 1 == len(stage.venue.connections)


class TestGivingUp:
    """When no further attempt is made."""

    async def test_consumers_get_the_error_after_so_many_failures(self) -> None:
        """The last consecutive failure ends in FAILED, an event, and an error at every consumer."""
        async with running(max_reconnect_attempts=3, reconnect_interval=1.0) as stage:
            btc = await stage.subscribe("BTC-USDT")
            stage.venue.refusing = True
            stage.venue.now.cut()
            await anyio.sleep(60.0)
            assert ConnectionState.FAILED is stage.connection.state
            assert isinstance(btc.error, WebSocketError)
            assert "given up after 4 attempts" in str(btc.error)
            assert (1, 4) == (len(stage.of(events.Failed)), len(stage.venue.attempts))
            with pytest.raises(WebSocketError, match="given up"):
                await stage.subscribe("ETH-USDT")

    async def test_a_waiting_subscriber_gets_the_error(self) -> None:
        """Nobody waits for a connection that will not come."""
        venue = FakeVenue(refusing=True)
        async with running(venue, max_reconnect_attempts=2, reconnect_interval=0.1) as stage:
            with pytest.raises(WebSocketError, match="given up"):
                await stage.subscribe("BTC-USDT")

    async def test_wrong_settings_are_not_tried_again(self) -> None:
        """What another attempt cannot mend ends at the first."""

        @asynccontextmanager
        async def misconfigured(config: Any, adapter: Any) -> AsyncGenerator[Any]:
            raise ConfigurationError("no such transport")
            yield

        stage = build(FakeVenue())
        stage.connection._dialler.connector = misconfigured
        await stage.connection.run()
        assert ConnectionState.FAILED is stage.connection.state

    async def test_cancellation_closes_and_ends_the_consumers(self) -> None:
        """Leaving the owner's task group is a clean end, not an error."""
        async with running() as stage:
            btc = await stage.subscribe("BTC-USDT")
        assert (ConnectionState.CLOSED, True, None) == (stage.connection.state, btc.ended, btc.error)


class TestConfiguration:
    """Settings are checked when they are made."""

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"url": "https://x.invalid"}, "must start with ws:// or wss://, got 'https'"),
            ({"heartbeat_interval": 0}, "heartbeat_interval must be greater than 0"),
            ({"stale_after": -1.0}, "stale_after must be greater than 0"),
            ({"reconnect_interval": -0.1}, "reconnect_interval must not be negative"),
        ],
    )
    async def test_a_wrong_value_is_named(self, settings: dict[str, Any], words: str) -> None:
        """The error says which setting, and what it must be."""
        with pytest.raises(ConfigurationError, match=words):
            WebSocketConfig(**{"url": URL, "exchange_name": EXCHANGE, **settings})

    async def test_no_secret_shows(self) -> None:
        """Neither a token in the URL nor a header appears in the repr."""
        config = WebSocketConfig(f"{URL}?listenKey=planted", EXCHANGE, headers={"X-Key": "planted"})
        assert "planted" not in repr(config)
