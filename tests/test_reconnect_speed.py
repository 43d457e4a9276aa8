"""Coming back: at once after a clean cut, and never so often that a venue would mind."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from bt_api_base.containers import Tick
from bt_api_base.testing.simulated_venue import SimulatedVenue
from bt_api_base.websocket import events
from bt_api_base.websocket_manager import WebSocketConfig, WebSocketManager
from tests.toy_manager import managed, settle
from tests.toy_venue import FakeVenue, FakeWebSocket, acknowledge

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = pytest.mark.anyio

EXCHANGE = "BINANCE___SPOT"
SYMBOLS = tuple(f"S{number:03}-USDT" for number in range(200))


def close_at_once(ws: FakeWebSocket) -> None:
    """Accept and close."""
    ws.cut(1001)


def close_when_asked(ws: FakeWebSocket) -> None:
    """Accept, acknowledge, and close."""

    def answer(ws: FakeWebSocket, request: dict[str, Any]) -> None:
        acknowledge(ws, request)
        ws.cut(1001)

    ws.answer = answer


def close_after_a_little(ws: FakeWebSocket) -> None:
    """Accept, acknowledge, send something, and close."""

    def answer(ws: FakeWebSocket, request: dict[str, Any]) -> None:
        acknowledge(ws, request)
        ws.tick("A", 1, 2, 3)
        ws.cut(1001)

    ws.answer = answer


@pytest.mark.virtual_time
class TestNotHammering:
    """In a minute there are fewer than twenty attempts."""

    @pytest.mark.parametrize("peer", [close_at_once, close_when_asked, close_after_a_little])
    @pytest.mark.parametrize("attempt", range(10))
    async def test_a_peer_that_accepts_and_closes(self, peer: Any, attempt: int) -> None:
        """Whatever it does before: only data that flows for a while is a reason to begin anew."""
        async with managed(FakeVenue(on_connect=peer), subscribe_timeout=3600.0) as desk:
            with anyio.move_on_after(60.0):
                await desk.subscribe("A")
                await anyio.sleep(60.0)
            assert 2 < len(desk.venue.attempts) < 20

    @pytest.mark.parametrize("attempt", range(10))
    async def test_a_peer_that_is_not_there(self, attempt: int) -> None:
        """The same for one that refuses; in an hour there are no more than a few each minute."""
        async with managed(FakeVenue(refusing=True)) as desk:
            await anyio.sleep(60.0)
            assert 2 < len(desk.venue.attempts) < 20
            await anyio.sleep(3540.0)
            assert 60 < len(desk.venue.attempts) < 300

    async def test_the_first_attempt_after_a_loss_is_made_at_once(self) -> None:
        """And all is restored in the same moment, as far as the venue's limits allow."""
        async with managed() as desk:
            await desk.subscribe_many(list(SYMBOLS))
            lost_at = anyio.current_time()
            desk.venue.now.cut(1001)
            ws = await desk.venue.wait_connections(2)
            while not desk.of(events.Resubscribed):
                await settle()
            assert (lost_at, 200) == (anyio.current_time(), len(ws.subscribed))


@asynccontextmanager
async def busy_market() -> AsyncGenerator[tuple[SimulatedVenue, dict[str, float]]]:
    """Two hundred subscriptions over one connection, and when each was last heard."""
    heard: dict[str, float] = {}

    def note(event: Any) -> None:
        if isinstance(event, Tick):
            heard[event.symbol] = time.perf_counter()

    async with SimulatedVenue(SYMBOLS, paused=True) as venue, WebSocketManager() as manager:
        await manager.add_exchange(WebSocketConfig(venue.url, EXCHANGE, reconnect_interval=0.01))
        await manager.subscribe_many(EXCHANGE, "ticker", SYMBOLS, note)
        yield venue, heard


@pytest.mark.parametrize("abort", [False, True])
async def test_after_a_cut_everything_is_back_soon(abort: bool) -> None:
    """The first message of each of two hundred subscriptions; benchmarks/reconnect.py says how soon."""
    async with busy_market() as (venue, heard):
        cut = time.perf_counter()
        await venue.disconnect_all(abort=abort)
        with anyio.fail_after(10.0):
            while len(heard) < len(SYMBOLS):
                await venue.step()
                await anyio.sleep(0.001)
        assert max(heard.values()) - cut < 5.0  # a bound that says "not after a pause", on a machine that is busy
        assert [2, 200] == [len(venue.sessions), len(venue.sessions[-1].streams)]
