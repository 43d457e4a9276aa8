"""From a venue's bytes to typed events, all parts together, over real sockets."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from bt_api_base.containers import Bar, OrderBook, OrderBookDelta, Tick, Trade
from bt_api_base.event_bus import ErrorHandlerMode, EventBus
from bt_api_base.event_stream import Overflow
from bt_api_base.exceptions import SubscribeError, WebSocketError
from bt_api_base.testing.leaks import assert_no_leaks
from bt_api_base.testing.recorded_frames import recorded_frames
from bt_api_base.testing.replay_venue import ReplayVenue
from bt_api_base.testing.simulated_venue import SimulatedVenue
from bt_api_base.venues import stream_adapter
from bt_api_base.websocket import events
from bt_api_base.websocket.connection_stats import ConnectionState
from bt_api_base.websocket_manager import WebSocketConfig, WebSocketManager
from tests.corpora import corpora_path
from tests.test_binance_fuzz import SEED, mutate, sources

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

EXCHANGE = "BINANCE___SPOT"


def config(url: str, **settings: Any) -> WebSocketConfig:
    """Return settings for a venue on loopback."""
    return WebSocketConfig(url, EXCHANGE, **{"reconnect_interval": 0.05, **settings})


async def test_every_topic_delivers_its_container() -> None:
    """One subscription for each topic of the first venue, against the simulated one."""
    topics: tuple[tuple[str, type, dict[str, Any] | None], ...] = (
        ("ticker", Tick, None),
        ("ticker_24h", Tick, None),
        ("trade", Trade, None),
        ("agg_trade", Trade, None),
        ("depth", OrderBook, {"levels": 5, "speed": "100ms"}),
        ("depth_diff", OrderBookDelta, {"speed": "100ms"}),
        ("kline", Bar, {"interval": "1s"}),
    )
    async with assert_no_leaks(), SimulatedVenue(("BTC-USDT",), rate=200.0) as venue, WebSocketManager() as manager:
        await manager.add_exchange(config(venue.url))
        subscriptions = [
            (container, await manager.subscribe(EXCHANGE, topic, "BTC-USDT", params=params))
            for topic, container, params in topics
        ]
        for container, subscription in subscriptions:
            event = await subscription.receive()
            assert (container, EXCHANGE, "BTC-USDT") == (type(event), event.exchange_name, event.symbol)
            assert event.local_time > 0


@pytest.mark.parametrize("abort", [False, True])
async def test_after_a_cut_every_stream_comes_back(abort: bool) -> None:
    """The venue drops everybody, politely or not: every subscription is restored and delivers again."""
    symbols = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
    bus = EventBus()
    async with SimulatedVenue(symbols, rate=200.0) as venue, WebSocketManager(bus) as manager:
        await manager.add_exchange(config(venue.url))
        subscriptions = [await manager.subscribe(EXCHANGE, "ticker", symbol) for symbol in symbols]
        with bus.open_stream("ws.resubscribed") as resubscribed:
            for generation in (2, 3):
                await venue.disconnect_all(abort=abort)
                with anyio.fail_after(5):
                    event = await resubscribed.receive()
                assert (3, 3, generation) == (event.restored, event.total, event.generation)
                for subscription in subscriptions:
                    while subscription.pending:
                        subscription.receive_nowait()
                    with anyio.fail_after(5):
                        await subscription.receive()


async def test_a_venue_that_is_not_there_is_a_clear_error() -> None:
    """Nobody listens: with a limit of attempts the subscriber learns why."""
    async with SimulatedVenue() as venue:
        url = venue.url
    async with WebSocketManager() as manager:
        await manager.add_exchange(config(url, max_reconnect_attempts=1))
        with pytest.raises(WebSocketError, match="given up after 2 attempts"):
            await manager.subscribe(EXCHANGE, "ticker", "BTC-USDT")


async def test_the_venues_own_words_reach_the_subscriber() -> None:
    """The simulated venue refuses more streams than a connection may have."""
    async with SimulatedVenue(("BTC-USDT", "ETH-USDT"), max_streams=1) as venue, WebSocketManager() as manager:
        await manager.add_exchange(config(venue.url))
        await manager.subscribe(EXCHANGE, "ticker", "BTC-USDT")
        with pytest.raises(SubscribeError, match="too many parameters") as caught:
            await manager.subscribe(EXCHANGE, "ticker", "ETH-USDT")
        assert (2, "Invalid request: too many parameters") == (caught.value.venue_code, caught.value.venue_message)


async def test_a_shutdown_notice_moves_the_connection() -> None:
    """The venue announces that it will close: another connection takes over before, and nothing is missing."""
    bus = EventBus()
    async with SimulatedVenue(("BTC-USDT",), rate=200.0) as venue, WebSocketManager(bus) as manager:
        await manager.add_exchange(config(venue.url, rotation_overlap=0.05))
        subscription = await manager.subscribe(EXCHANGE, "trade", "BTC-USDT", overflow=Overflow.BLOCK)
        with bus.open_stream("ws.*") as seen:
            venue.shutdown_notice()
            kinds = []
            with anyio.fail_after(10):
                while events.Rotated not in kinds:
                    kinds.append(type(await seen.receive()))
        await anyio.sleep(0.1)
        trades = await subscription.receive_batch()
        numbers = [int(trade.trade_id) for trade in trades if isinstance(trade, Trade)]
        assert list(range(numbers[0], numbers[0] + len(trades))) == numbers
        assert events.Disconnected not in kinds


def captures() -> list[Path]:
    """Return the files of real frames."""
    folder = corpora_path("public", "ws", "binance_spot")
    return [
        path for path in sorted(folder.glob("*.jsonl")) if ".meta." not in path.name and ".examples." not in path.name
    ]


async def test_recorded_frames_go_all_the_way_and_each_is_accounted_for() -> None:
    """13,000 real frames through socket, decoder, routing and bus: each is an event, in the recorded order."""
    paths = captures()
    frames = [frame.payload for frame in recorded_frames(*paths)]
    adapter = stream_adapter(EXCHANGE)
    names = Counter(adapter.decode_frame(frame, 0)[0] for frame in frames)
    bus = EventBus()
    async with ReplayVenue(frames, start_after=len(names)) as venue, WebSocketManager(bus) as manager:
        await manager.add_exchange(config(venue.url, reconnect_interval=60.0))
        with bus.open_stream("*", max_buffer_size=100_000) as everything:
            async with anyio.create_task_group() as tasks:
                for name in names:
                    assert name is not None
                    symbol, _, stream = name.partition("@")
                    tasks.start_soon(manager.subscribe, EXCHANGE, stream, symbol.upper())
            seen: list[Any] = []
            with anyio.fail_after(15):
                async for batch in everything.batches():
                    seen += [event for event in batch if not isinstance(event, events.ConnectionEvent)]
                    if len(seen) >= len(frames):
                        break
                await venue.wait_finished()
            (stats,) = manager.get_stats()[EXCHANGE]
    assert len(frames) == venue.frames_sent == stats.data_frames == stats.events
    assert (0, 0) == (stats.bad_frames, stats.unrouted_frames)
    expected = [event for frame in frames for event in adapter.decode(frame)]
    assert [type(event) for event in expected] == [type(event) for event in seen]
    last_asks = [event.ask_price for event in expected if isinstance(event, Tick)]
    assert last_asks == [event.ask_price for event in seen if isinstance(event, Tick)]


async def test_a_connection_fed_with_damaged_frames_stays_up() -> None:
    """Thousands of damaged frames cost themselves, never the connection; the ones between them arrive."""
    good = b'{"stream":"btcusdt@bookTicker","data":{"u":%d,"s":"BTCUSDT","b":"1.0","B":"1.0","a":"2.0","A":"1.0"}}'
    rng, undamaged = random.Random(SEED), sources()
    mutations = (mutate(undamaged, rng) for _ in range(3_000))
    damaged = [bad.encode("utf-8", "surrogateescape") if isinstance(bad, str) else bad for bad in mutations]
    damaged = [bad for bad in damaged if b"serverShutdown" not in bad]  # which is obeyed
    frames = [frame for number, bad in enumerate(damaged) for frame in (bad, good % number)]
    bus = EventBus()
    async with ReplayVenue(frames, start_after=1) as venue, WebSocketManager(bus) as manager:
        await manager.add_exchange(config(venue.url, reconnect_interval=60.0))
        subscription = await manager.subscribe(EXCHANGE, "ticker", "BTC-USDT", overflow=Overflow.BLOCK)
        with anyio.fail_after(15):
            last = None
            async for event in subscription:
                assert isinstance(event, Tick)
                last = event.sequence
                if last == len(damaged) - 1:
                    break
        (stats,) = manager.get_stats()[EXCHANGE]
    assert (len(damaged) - 1, 1) == (last, stats.generation)
    assert stats.bad_frames > 0


class TestSnippets:
    """The programs that the design promises, word by word where they say something."""

    async def test_bus(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A callback by name; emit is synchronous and returns the errors."""
        bus = EventBus(error_mode=ErrorHandlerMode.LOG)
        bus.on("order_filled", lambda data: print(f"Order filled: {data}"))  # noqa: T201
        errors = bus.emit("order_filled", {"order_id": "123", "filled": 0.5})
        assert ([], "Order filled: {'order_id': '123', 'filled': 0.5}\n") == (errors, capsys.readouterr().out)

    async def test_manager(self) -> None:
        """An exchange may be added before the manager is entered."""
        config = WebSocketConfig(
            url="wss://stream.binance.com:9443/ws",
            exchange_name="BINANCE___SPOT",
            max_connections=5,
            heartbeat_interval=30.0,
        )
        manager = WebSocketManager()
        await manager.add_exchange(config)
        (stats,) = manager.get_stats()["BINANCE___SPOT"]
        assert ConnectionState.DISCONNECTED is stats.state
