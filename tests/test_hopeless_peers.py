"""Peers that cannot be reached or do not last: how rarely they are tried, and that their own wishes are heeded."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from bt_api_base.event_bus import EventBus
from bt_api_base.testing.simulated_venue import SimulatedVenue
from bt_api_base.testing.streams import memory_stream_pair
from bt_api_base.websocket import events, open_websocket
from bt_api_base.websocket.adapter import StreamLimits
from bt_api_base.websocket.backoff import reconnect_delays
from bt_api_base.websocket.config import WebSocketConfig
from bt_api_base.websocket.connection import SupervisedConnection
from bt_api_base.websocket_manager import WebSocketManager
from tests.toy_manager import limited, managed
from tests.toy_venue import EXCHANGE as TOY, FakeVenue, FakeWebSocket, ToyAdapter, acknowledge

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from anyio.abc import ByteStream

    from bt_api_base.websocket.adapter import StreamAdapter
    from bt_api_base.websocket.dialling import Connector

pytestmark = [pytest.mark.anyio, pytest.mark.thorough]

EXCHANGE = "BINANCE___SPOT"
MINUTE = 60.0


async def cut(ws: FakeWebSocket) -> None:
    """Be gone at once."""
    ws.cut()


async def close(ws: FakeWebSocket) -> None:
    """Close at once, politely."""
    ws.cut(1000)


async def close_upon_a_request(ws: FakeWebSocket) -> None:
    """Answer the first request, and close."""
    while not ws.sent:  # noqa: ASYNC110 - nobody tells when
        await anyio.sleep(0.01)
    await anyio.sleep(0.1)
    ws.cut(1000)


async def send_for_a_second(ws: FakeWebSocket) -> None:
    """Send data, but not for long."""
    for number in range(10):
        await anyio.sleep(0.1)
        ws.tick("BTC-USDT", number)
    ws.cut(1001)


async def beat_for_ten_seconds(ws: FakeWebSocket) -> None:
    """Be there for longer, but without data."""
    for number in range(10):
        ws.push({"ping": number})
        await anyio.sleep(1.0)
    ws.cut()


async def announce_the_end(ws: FakeWebSocket) -> None:
    """Say at once that the connection will be closed, and do so."""
    ws.push({"bye": "maintenance"})
    await anyio.sleep(0.2)
    ws.cut(1001)


@pytest.mark.virtual_time
class TestAPeerThatDoesNotLast:
    """A venue in trouble is not made worse: attempts become rare as long as none of them leads to lasting data."""

    @staticmethod
    async def _attempts(behave: Any, seed: int, counts: list[int], **settings: Any) -> None:
        """Count the attempts in the first minute against a peer that behaves in some way."""
        rng = random.Random(seed)
        async with anyio.create_task_group() as tasks:
            venue = FakeVenue(acknowledge, on_connect=lambda ws: tasks.start_soon(behave, ws))
            if behave is None:
                venue.refusing = True
            config = WebSocketConfig("ws://toy.invalid", TOY, subscribe_timeout=600.0, **settings)
            connection = SupervisedConnection(
                config,
                ToyAdapter,
                EventBus(),
                "toy",
                connector=venue.connector,
                delays=lambda config: reconnect_delays(
                    config.reconnect_interval, config.max_reconnect_interval, random=rng.random
                ),
            )
            tasks.start_soon(connection.run)
            tasks.start_soon(connection.subscribe, connection.adapter.channel("ticker", "BTC-USDT"), Nobody())
            await anyio.sleep(MINUTE)
            counts.append(len(venue.attempts))
            tasks.cancel_scope.cancel()

    @pytest.mark.parametrize(
        "behave", [None, cut, close, close_upon_a_request, send_for_a_second, beat_for_ten_seconds, announce_the_end]
    )
    async def test_is_tried_fewer_than_twenty_times_in_the_first_minute(self, behave: Any) -> None:
        """Whatever it does instead, and whatever chance does to the delays: forty different minutes."""
        counts: list[int] = []
        async with anyio.create_task_group() as tasks:
            for seed in range(40):
                tasks.start_soon(self._attempts, behave, seed, counts)
        assert 40 == len(counts)
        assert 2 <= min(counts)
        assert max(counts) < 20

    async def test_however_small_the_first_delay_is_chosen(self) -> None:
        """The delays double from a tenth of a second as well."""
        counts: list[int] = []
        async with anyio.create_task_group() as tasks:
            for seed in range(40):
                tasks.start_soon(lambda seed: self._attempts(cut, seed, counts, reconnect_interval=0.1), seed)
        assert max(counts) < 20

    async def test_several_connections_keep_to_the_venues_limit_together(self) -> None:
        """Five connections with their own back-off share the attempts that the venue allows."""
        venue = FakeVenue(refusing=True)
        limits = StreamLimits(
            max_channels_per_connection=1, messages_per_second=1_000.0, max_connects=8, connect_window=MINUTE
        )
        async with (
            managed(venue, limited(limits), reconnect_interval=0.1, subscribe_timeout=600.0) as desk,
            anyio.create_task_group() as tasks,
        ):
            for number in range(5):
                tasks.start_soon(desk.subscribe, f"S{number}")
            await anyio.sleep(5 * MINUTE - 1.0)
            tasks.cancel_scope.cancel()
        times = venue.attempts
        assert 5 * 8 >= len(times) > 8
        assert all(later - earlier > MINUTE - 0.001 for earlier, later in zip(times, times[8:], strict=False))


class Nobody:
    """A consumer that wants nothing but the channel."""

    deliver = None

    def mark(self, gap: Any, /) -> None:
        """Do nothing."""

    def fail(self, error: Exception, /) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""


def in_memory(connect: Callable[[], ByteStream], attempts: list[float]) -> Connector:
    """Return what opens real WebSockets over streams in memory, and notes when."""

    async def dial(host: str, port: int) -> ByteStream:
        attempts.append(anyio.current_time())
        return connect()

    @asynccontextmanager
    async def connector(config: WebSocketConfig, adapter: StreamAdapter) -> AsyncGenerator[Any]:
        async with open_websocket(config.url, connector=dial, close_timeout=config.close_timeout) as ws:
            yield ws

    return connector


@asynccontextmanager
async def memory_venue(**settings: Any) -> AsyncGenerator[tuple[SimulatedVenue, WebSocketManager, list[float]]]:
    """Run a venue and a client in memory, so that their time can be virtual; return when it was dialled as well."""
    attempts: list[float] = []
    async with SimulatedVenue(("BTC-USDT",), listen=False, paused=True) as venue, WebSocketManager() as manager:
        config = WebSocketConfig("ws://memory.invalid/stream", EXCHANGE, **settings)
        venue_connector = in_memory(venue.connect_in_memory, attempts)
        await manager.add_exchange(config, connector=venue_connector)
        yield venue, manager, attempts


@pytest.mark.virtual_time
class TestTheWholeWay:
    """The same with real handshakes, frames and close codes."""

    async def test_a_peer_that_accepts_and_closes_before_the_handshake_is_not_hammered(self) -> None:
        """As a proxy or a load balancer without a server behind it does."""

        def connect() -> ByteStream:
            client, server = memory_stream_pair()
            server.close()
            return client

        attempts: list[float] = []
        async with WebSocketManager() as manager:
            config = WebSocketConfig("ws://memory.invalid/stream", EXCHANGE)
            await manager.add_exchange(config, connector=in_memory(connect, attempts))
            await anyio.sleep(MINUTE)
        assert 2 <= len(attempts) < 20

    async def test_a_peer_that_accepts_the_handshake_and_closes_is_not_hammered(self) -> None:
        """As an overloaded server does."""
        attempts: list[float] = []
        async with (
            SimulatedVenue(("BTC-USDT",), listen=False, paused=True, max_connection_age=0.01) as venue,
            WebSocketManager() as manager,
        ):
            config = WebSocketConfig("ws://memory.invalid/stream", EXCHANGE)
            await manager.add_exchange(config, connector=in_memory(venue.connect_in_memory, attempts))
            await anyio.sleep(MINUTE)
            assert len(venue.sessions) == len(attempts)
        assert 2 <= len(attempts) < 20

    async def test_a_refused_handshake_says_when_to_come_back_and_is_heeded(self) -> None:
        """Retry-After is longer than any delay of ours would be, and is waited for."""
        async with memory_venue(subscribe_timeout=1_000.0) as (venue, manager, attempts):
            seen: list[events.Reconnecting] = []
            manager.bus.on(events.Reconnecting, seen.append)
            venue.refuse_handshakes(429, retry_after=120)
            async with await manager.subscribe(EXCHANGE, "trade", "BTC-USDT"):
                assert pytest.approx(120.0) == attempts[1] - attempts[0]
            assert [(1, 120.0)] == [(event.attempt, event.delay) for event in seen]
            assert "429" in seen[0].reason

    async def test_every_refusal_is_waited_for_on_its_own(self) -> None:
        """However often it says so, and also where it says less than the back-off has come to."""
        async with memory_venue(subscribe_timeout=10_000.0) as (venue, manager, attempts):
            waits = iter((100, 0))

            def refuse_again(event: events.Reconnecting) -> None:
                for seconds in islice(waits, 1):
                    venue.refuse_handshakes(503, retry_after=seconds)

            manager.bus.on(events.Reconnecting, refuse_again)
            venue.refuse_handshakes(503, retry_after=300)
            async with await manager.subscribe(EXCHANGE, "trade", "BTC-USDT"):
                first, second, third, fourth = attempts
                assert pytest.approx(300.0) == second - first
                assert pytest.approx(100.0) == third - second
                assert 0.0 <= fourth - third <= 10.0

    async def test_a_ban_is_sat_out(self) -> None:
        """The venue bans the address, and its handshakes say for how long: nothing is tried before."""
        async with memory_venue(subscribe_timeout=10_000.0) as (venue, manager, attempts):
            subscription = await manager.subscribe(EXCHANGE, "trade", "BTC-USDT")
            before = len(attempts)
            banned_at = anyio.current_time()
            venue.ban(500.0)
            with anyio.fail_after(1_000.0):
                while venue.connections == 0 or anyio.current_time() - banned_at < 400.0:  # noqa: ASYNC110
                    await anyio.sleep(1.0)
            assert 2 == len(attempts) - before
            assert attempts[-1] - banned_at >= 500.0
            assert subscription.error is None
