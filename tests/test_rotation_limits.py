"""What a rotation does not do: wait for ever, hold everything, hurry, trust a connection that says nothing."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from bt_api_base.containers import Event, Gap, GapReason, Trade
from bt_api_base.event_stream import Overflow
from bt_api_base.exceptions import WebSocketError
from bt_api_base.testing.simulated_venue import SimulatedVenue
from bt_api_base.websocket import events, rotation
from bt_api_base.websocket.adapter import StreamLimits
from bt_api_base.websocket.connection_stats import ConnectionState
from bt_api_base.websocket_manager import WebSocketConfig, WebSocketManager
from tests.numbered_venue import number_of
from tests.toy_manager import Desk, limited, managed, settle
from tests.toy_venue import EXCHANGE, FakeVenue, FakeWebSocket

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

pytestmark = pytest.mark.anyio

MINUTE, HOUR = 60.0, 3_600.0
TOPICS = ("trade", "ticker", "mark")
"""One topic for each kind of continuity."""


def say(ws: FakeWebSocket, key: str, *numbers: int) -> None:
    """Let numbered events of a channel arrive, each in a frame of its own, together."""
    ws.push(*({"ch": key, "n": number} for number in numbers))


def told(items: Sequence[Event]) -> list[Any]:
    """Return numbers, and for each gap why it is there."""
    return [item.reason.value if isinstance(item, Gap) else number_of(item) for item in items]


async def listen(desk: Desk, topic: str = "trade", symbol: str = "A") -> list[Event]:
    """Subscribe, and return the list that everything goes to."""
    items: list[Event] = []
    await desk.subscribe(symbol, topic, items.append)
    return items


@asynccontextmanager
async def rotating(desk: Desk) -> AsyncGenerator[tuple[FakeWebSocket, FakeWebSocket]]:
    """Rotate around the block, in which the new connection is confirmed and has not taken over."""
    old, number = desk.venue.now, len(desk.venue.connections)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(desk.manager.rotate, EXCHANGE)
        new = await desk.venue.wait_connections(number + 1)
        await settle()
        yield old, new


@pytest.mark.virtual_time
class TestPatience:
    """When the next attempt is made."""

    async def test_a_venue_that_says_when_to_come_back_is_not_asked_before(self) -> None:
        """The handshake of the connection that was to take over is refused, with Retry-After."""
        async with managed(reconnect_interval=1.0) as desk:
            await listen(desk)

            @asynccontextmanager
            async def refuse(config: Any, adapter: Any) -> AsyncGenerator[Any]:
                desk.venue.attempts.append(anyio.current_time())
                raise WebSocketError(EXCHANGE, "HTTP 429", retry_after=300.0)
                yield

            dialler = desk.manager._exchanges[EXCHANGE].pool.connections[0]._dialler
            accept, dialler.connector = dialler.connector, refuse
            with pytest.raises(WebSocketError, match="429"):
                await desk.manager.rotate(EXCHANGE)
            dialler.connector = accept
            await desk.wait_for(events.Rotated)
            _, refused, accepted = desk.venue.attempts
            assert 300.0 <= accepted - refused < 310.0
            assert 300.0 == desk.of(events.RotationFailed)[0].delay

    async def test_a_venue_that_announces_the_end_of_each_new_connection_is_not_hammered(self) -> None:
        """Each is good for two seconds: it is left before it ends, and yet it takes time."""

        async def announce(ws: FakeWebSocket) -> None:
            await anyio.sleep(2.0)
            if ws.is_open:
                ws.push({"bye": "maintenance"})

        async with anyio.create_task_group() as tasks:
            venue = FakeVenue(on_connect=lambda ws: tasks.start_soon(announce, ws))
            async with managed(venue) as desk:
                await listen(desk)
                for minute in range(1, 11):
                    await anyio.sleep(MINUTE)
                    assert len(venue.attempts) < 20 * minute
                assert [] == desk.of(events.Disconnected)

    async def test_one_that_is_asked_for_is_made_at_once(self) -> None:
        """Nobody who wants a rotation now waits for the back-off of those before; these were short-lived, too."""
        async with managed(rotation_overlap=0.1) as desk:
            await listen(desk)
            started = anyio.current_time()
            for _ in range(5):
                await desk.manager.rotate(EXCHANGE)
            assert anyio.current_time() - started < 2.0
            desk.venue.refusing = True
            for _ in range(5):
                with pytest.raises(WebSocketError, match="connection refused"):
                    await desk.manager.rotate(EXCHANGE)
            assert anyio.current_time() - started < 3.0

    async def test_a_good_connection_makes_earlier_failures_good_though_it_was_never_lost(self) -> None:
        """It was replaced in its time; when its successor is lost soon, that is the first failure, not the sixth."""
        venue = FakeVenue(refusing=True)
        async with (
            managed(venue, max_reconnect_attempts=6, healthy_after=5.0, subscribe_timeout=HOUR) as desk,
            anyio.create_task_group() as tasks,
        ):
            items: list[Event] = []
            tasks.start_soon(desk.subscribe, "A", "trade", items.append)
            await desk.wait_for(events.Reconnecting, 5)
            venue.refusing = False
            await venue.wait_connections(1)
            await settle()
            for number in range(1, 20):
                say(venue.now, "trade:A", number)
                await anyio.sleep(1.0)
            await desk.manager.rotate(EXCHANGE)
            assert 0 == desk.stats[0].consecutive_failures
            lost_at = anyio.current_time()
            venue.now.cut()
            await venue.wait_connections(3)
            assert lost_at == venue.attempts[-1]
            assert ConnectionState.FAILED is not desk.stats[0].state

    async def test_the_connections_of_an_exchange_are_replaced_one_after_another(self) -> None:
        """Never are all of them in two minds at once, and one that cannot be replaced does not keep the others."""
        make = limited(StreamLimits(max_channels_per_connection=1, messages_per_second=1_000.0))
        async with managed(make=make, reconnect_interval=HOUR, max_reconnect_interval=HOUR) as desk:
            for symbol in ("A", "B", "C"):
                await desk.subscribe(symbol)
            most = 0

            def count(ws: FakeWebSocket) -> None:
                nonlocal most
                most = max(most, len(desk.venue.open) + 1)
                if len(desk.venue.connections) == 4:
                    ws.cut()  # that of the second connection

            desk.venue.on_connect = count
            with pytest.raises(WebSocketError, match="connection lost"):
                await desk.manager.rotate(EXCHANGE)
            assert (4, [1, 0, 1]) == (most, [stats.rotations for stats in desk.stats])


@pytest.mark.virtual_time
class TestAStalledConnection:
    """The old connection is open, and nothing comes over it any more."""

    async def test_numbers_that_never_connect_end_in_a_gap_that_names_what_is_missing(self) -> None:
        """Three and four were sent over neither: after ``rotation_timeout`` nobody waits for them any longer."""
        async with managed(rotation_timeout=20.0) as desk:
            items = await listen(desk)
            say(desk.venue.now, "trade:A", 1, 2)
            started = anyio.current_time()
            async with rotating(desk) as (_, new):
                say(new, "trade:A", 5, 6)
            assert 20.0 <= anyio.current_time() - started < 22.0
            assert [1, 2, "sequence", 5, 6] == told(items)
            gap = items[2]
            assert isinstance(gap, Gap)
            assert (3, 4, 2) == (gap.first_missing, gap.last_missing, gap.missing)
            assert (1, 1, 0) == (desk.stats[0].rotations, desk.stats[0].gaps, desk.stats[0].duplicates)

    async def test_what_it_says_at_last_counts(self) -> None:
        """It was slow, not dead: as soon as the numbers connect, the new connection takes over without a gap."""
        async with managed(rotation_timeout=20.0) as desk:
            items = await listen(desk)
            say(desk.venue.now, "trade:A", 1, 2)
            async with rotating(desk) as (old, new):
                say(new, "trade:A", 5, 6)
                await anyio.sleep(10.0)
                say(old, "trade:A", 3, 4, 5)
            assert [1, 2, 3, 4, 5, 6] == told(items)
            assert (0, 1) == (desk.stats[0].gaps, desk.stats[0].duplicates)

    @pytest.mark.parametrize("topic", ["ticker", "mark"])
    async def test_where_no_number_tells_the_missing_pong_does(self, topic: str) -> None:
        """Not even a ping comes back: what the new connection begins with may not be what follows."""
        async with managed(rotation_timeout=20.0, heartbeat_interval=HOUR, heartbeat_timeout=5.0) as desk:
            items = await listen(desk, topic)
            say(desk.venue.now, f"{topic}:A", 1)
            desk.venue.now.answers_pings = False
            async with rotating(desk) as (_, new):
                say(new, f"{topic}:A", 4)
            assert [1, "disconnected", 4] == told(items)

    @pytest.mark.parametrize("topic", ["ticker", "mark"])
    async def test_an_event_that_came_over_both_is_proof_enough(self, topic: str) -> None:
        """The new connection begins with what the old one ended with: nothing can be missing between them."""
        async with managed(rotation_timeout=20.0, heartbeat_interval=HOUR, heartbeat_timeout=5.0) as desk:
            items = await listen(desk, topic)
            desk.venue.now.answers_pings = False
            async with rotating(desk) as (old, new):
                say(old, f"{topic}:A", 1, 2)
                say(new, f"{topic}:A", 2, 3)
            assert [1, 2, 3] == told(items)

    @pytest.mark.parametrize("topic", TOPICS)
    async def test_a_quiet_market_is_no_stalled_connection(self, topic: str) -> None:
        """The pong comes, and nothing else: there is nothing to wait for, and nothing is missing."""
        async with managed() as desk:
            items = await listen(desk, topic)
            say(desk.venue.now, f"{topic}:A", 1)
            started = anyio.current_time()
            async with rotating(desk):
                pass
            assert anyio.current_time() - started < 1.1
            say(desk.venue.now, f"{topic}:A", 2)
            await settle()
            assert [1, 2] == told(items)


@pytest.mark.virtual_time
class TestASilentSuccessor:
    """The venue has confirmed a channel on the new connection, and does not send it there."""

    @pytest.mark.parametrize("topic", TOPICS)
    async def test_does_not_take_over(self, topic: str) -> None:
        """The old one has had events since, and the new one none, though it was given time: the old one goes on."""
        async with managed(rotation_timeout=20.0, reconnect_interval=1.0) as desk:
            items = await listen(desk, topic)
            error = await self._rotate(desk, topic, lambda old, new: [old])
            assert "is silent where the old one is not: 1 channels" in str(error)
            assert [True, False] == [ws.is_open for ws in desk.venue.connections[:2]]
            assert len(items) > 60
            await desk.wait_for(events.Rotated)
            assert list(range(1, len(items) + 1)) == told(items)

    async def test_is_given_time(self) -> None:
        """It only lags behind: as soon as it is heard, it takes over."""
        async with managed(rotation_timeout=20.0) as desk:
            items = await listen(desk, "mark")
            started = anyio.current_time()
            assert None is await self._rotate(
                desk, "mark", lambda old, new: [old, new] if anyio.current_time() > started + 10.0 else [old]
            )
            assert 10.0 < anyio.current_time() - started < 12.0
            assert list(range(1, len(items) + 1)) == told(items)

    async def test_takes_over_when_there_is_no_other(self) -> None:
        """The old one is lost meanwhile: the new one is all there is, and that something may be missing is told."""
        async with managed(rotation_timeout=20.0) as desk:
            items = await listen(desk, "mark")

            def cut(old: FakeWebSocket, new: FakeWebSocket | None) -> list[FakeWebSocket]:
                if len(items) == 20:
                    old.cut()
                    return []
                return [old]

            assert None is await self._rotate(desk, "mark", cut)
            assert [*range(1, 21), "disconnected"] == told(items)

    @staticmethod
    async def _rotate(desk: Desk, topic: str, hearing: Callable[..., list[FakeWebSocket]]) -> Exception | None:
        """Rotate while the market moves, on some of the connections; return why that failed, if it did."""
        error: Exception | None = None

        async def move() -> None:
            for number in range(1, 200):
                for ws in hearing(*[*desk.venue.open, None][:2]):
                    if ws is not None and ws.is_open:
                        say(ws, f"{topic}:A", number)
                await anyio.sleep(0.3)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(move)
            try:
                await desk.manager.rotate(EXCHANGE)
            except WebSocketError as failure:
                error = failure
            tasks.cancel_scope.cancel()
        await settle()
        return error


@pytest.mark.virtual_time
class TestWhatIsHeld:
    """Events of a connection that has not yet taken over wait in memory."""

    async def test_what_the_old_connection_has_delivered_is_not_held_for_long(self) -> None:
        """However long the rotation takes: numbers that are known are let go of, and counted as repetitions."""
        async with managed(rotation_timeout=50.0) as desk:
            lagging, items = await listen(desk, "trade", "LAG"), await listen(desk)
            say(desk.venue.now, "trade:LAG", 1)
            async with rotating(desk) as (old, new):
                say(new, "trade:LAG", 3)  # keeps the rotation waiting
                await anyio.sleep(1.5)
                for start in range(1, 40_000, 1_000):
                    numbers = range(start, start + 1_000)
                    say(new, "trade:A", *numbers)
                    say(old, "trade:A", *numbers)
                    await anyio.sleep(0.1)
                    assert self._held(desk, new) <= 3_000
                say(old, "trade:LAG", 2)
            assert list(range(1, 40_001)) == told(items)
            assert [1, 2, 3] == told(lagging)
            assert (40_000, 0, 0) == (desk.stats[0].duplicates, desk.stats[0].gaps, desk.stats[0].abandoned)

    async def test_there_is_an_end_to_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The old connection is too far behind: it goes on, and the new one is given up with all that it held."""
        monkeypatch.setattr(rotation, "_MOST_HELD", 5_000)
        async with managed(rotation_timeout=50.0) as desk:
            items = await listen(desk)
            say(desk.venue.now, "trade:A", 1)
            with pytest.RaisesGroup(pytest.RaisesExc(WebSocketError, match="fell behind")):
                async with rotating(desk) as (old, new):
                    for start in range(3, 6_000, 1_000):
                        say(new, "trade:A", *range(start, start + 1_000))
                        await anyio.sleep(0.5)
            say(old, "trade:A", 2, 3)
            await settle()
            assert [1, 2, 3] == told(items)
            assert (0, 6_000) == (desk.stats[0].rotations, desk.stats[0].abandoned)
            assert [True, False] == [ws.is_open for ws in desk.venue.connections]

    async def test_is_not_gone_through_all_the_time(self) -> None:
        """A busy market over a connection that lags far behind leaves the processor to those who need it."""
        async with managed(rotation_timeout=50.0) as desk:
            items = await listen(desk)
            say(desk.venue.now, "trade:A", 1)
            async with rotating(desk) as (old, new):
                for start in range(3, 20_000, 1_000):
                    say(new, "trade:A", *range(start, start + 1_000))
                await anyio.sleep(2.0)
                started = time.process_time()
                await anyio.sleep(5.0)
                assert time.process_time() - started < 2.5
                say(old, "trade:A", 2)
            assert list(range(1, 20_003)) == told(items)

    @staticmethod
    def _held(desk: Desk, new: FakeWebSocket) -> int:
        (connection,) = desk.manager._exchanges[EXCHANGE].pool.connections
        current = connection._rotator._rotation
        assert current is not None
        session = current.new.session
        assert session is not None
        assert session.ws is new
        return sum(map(len, (session.held or {}).values()))


@pytest.mark.virtual_time
class TestRepetitions:
    """Both connections carry the same, and neither keeps pace with the other."""

    @pytest.mark.parametrize("topic", TOPICS)
    async def test_of_several_rotations_in_a_row(self, topic: str) -> None:
        """Before the second connection has stopped repeating what the first delivered, a third takes over."""
        async with managed(rotation_overlap=0.5) as desk:
            items, key = await listen(desk, topic), f"{topic}:A"
            say(desk.venue.now, key, 1)
            async with rotating(desk) as (first, second):
                say(first, key, 2, 3, 4)
                say(second, key, 2)
            async with rotating(desk) as (second, third):
                say(second, key, 3, 4, 5)
                say(third, key, 4, 5, 6)
            async with rotating(desk) as (third, fourth):
                say(third, key, 7)
                say(fourth, key, 7)
            say(fourth, key, 8)
            await settle()
            assert [1, 2, 3, 4, 5, 6, 7, 8] == told(items)
            stats = desk.stats[0]
            assert (3, 6, 0, 4) == (stats.rotations, stats.duplicates, stats.gaps, stats.generation)
            assert (8, 0) == (stats.events, stats.reconnects)

    async def test_what_the_venue_says_twice_is_said_twice(self) -> None:
        """The same content may well come again; only what both connections carried is dropped."""
        async with managed() as desk:
            items = await listen(desk, "mark")
            async with rotating(desk) as (old, new):
                say(old, "mark:A", 7, 7)
                say(new, "mark:A", 7, 7, 7)
            say(desk.venue.now, "mark:A", 7)
            await settle()
            assert [7, 7, 7, 7] == told(items)

    async def test_end_after_a_while(self) -> None:
        """What comes much later is new, though the content is the same."""
        async with managed() as desk:
            items = await listen(desk, "mark")
            async with rotating(desk) as (old, _):
                say(old, "mark:A", 7)
            await anyio.sleep(10.0)
            say(desk.venue.now, "mark:A", 7)
            await settle()
            assert [7, 7] == told(items)

    async def test_every_event_of_both_connections_is_accounted_for(self) -> None:
        """Frames are delivered, repeat others, or are abandoned with the connection that was to take over."""
        async with managed() as desk:
            await listen(desk)
            async with rotating(desk) as (old, new):
                say(old, "trade:A", 1, 2, 3)
                say(new, "trade:A", 2, 3, 4)
            desk.venue.refusing = False
            with pytest.RaisesGroup(WebSocketError):
                async with rotating(desk) as (_, third):
                    say(third, "trade:A", 5, 6)
                    await settle()
                    third.cut()
            stats = desk.stats[0]
            assert (4, 2, 2, 8) == (stats.events, stats.duplicates, stats.abandoned, stats.data_frames)


class TestUnderLoad:
    """Real sockets, and a ledger of everything that happened."""

    async def test_everything_comes_once_and_in_order(self) -> None:
        """Five rotations while ten markets move: of each, what the venue's ledger says, and no gap."""
        exchange, symbols = "BINANCE___SPOT", tuple(f"S{number}-USDT" for number in range(10))
        async with SimulatedVenue(symbols, rate=300.0, keep_ids=True) as venue, WebSocketManager() as manager:
            await manager.add_exchange(WebSocketConfig(venue.url, exchange, rotation_overlap=0.05))
            subscriptions = await manager.subscribe_many(exchange, "trade", symbols, overflow=Overflow.BLOCK)
            for _ in range(5):
                with anyio.fail_after(10.0):
                    await manager.rotate(exchange)
            venue.pause()
            await venue.drain()
            ledger = [venue.existing_ids(f"s{number}usdt@trade") for number in range(10)]
            with anyio.fail_after(10.0):
                while sum(subscription.pending for subscription in subscriptions) < sum(map(len, ledger)):  # noqa: ASYNC110
                    await anyio.sleep(0.01)
            for ids, subscription in zip(ledger, subscriptions, strict=True):
                items = await subscription.receive_batch()
                assert ids == [int(item.trade_id) for item in items if isinstance(item, Trade)]
                assert len(ids) == len(items) > 20
            (stats,) = manager.get_stats()[exchange]
            assert (5, 0, 0) == (stats.rotations, stats.reconnects, stats.gaps)
            assert stats.duplicates > 0
            assert 6 == len(venue.sessions)

    async def test_an_account_of_frames_that_are_skipped_on_one_connection_only(self) -> None:
        """What one was not sent comes over the other where it can; what cannot is a gap that says so."""
        exchange, stream = "BINANCE___SPOT", "btcusdt@trade"
        async with SimulatedVenue(("BTC-USDT",), paused=True, keep_ids=True) as venue, WebSocketManager() as manager:
            await manager.add_exchange(WebSocketConfig(venue.url, exchange, rotation_overlap=0.05))
            subscription = await manager.subscribe(exchange, "trade", "BTC-USDT", overflow=Overflow.BLOCK)
            await venue.step(50)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(manager.rotate, exchange)
                with anyio.fail_after(5.0):
                    while len(venue.sessions) < 2 or stream not in venue.sessions[1].streams:  # noqa: ASYNC110
                        await anyio.sleep(0.002)
                venue.skip(stream, 3, connection=2)
                await venue.step(50)
            venue.skip(stream, 2)
            await venue.step(50)
            await venue.drain()
            existing = venue.existing_ids(stream)
            items: list[Event] = []
            with anyio.fail_after(5.0):
                while not items or not isinstance(items[-1], Trade) or int(items[-1].trade_id) != existing[-1]:
                    items += await subscription.receive_batch()
            accounted: list[int] = []
            for item in items:
                if isinstance(item, Gap):
                    assert GapReason.SEQUENCE is item.reason
                    assert item.first_missing is not None
                    assert item.last_missing is not None
                    accounted += range(item.first_missing, item.last_missing + 1)
                elif isinstance(item, Trade):
                    accounted.append(int(item.trade_id))
            assert existing == accounted
            assert 1 == sum(isinstance(item, Gap) for item in items)
