"""What type checkers make of the public API. Never run: mypy and pyright read it in the ``types`` session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import assert_type

from bt_api_base import (
    EventBus,
    Overflow,
    Tick,
    Trade,
    WebSocketConfig,
    WebSocketManager,
    open_websocket,
    stream_adapter,
)
from bt_api_base.containers import Event, decode_json, encode_json, event_name
from bt_api_base.event_bus import Registration, Subscription as BusSubscription
from bt_api_base.websocket.connection_stats import ConnectionStats
from bt_api_base.websocket_manager import Subscription

if TYPE_CHECKING:
    from bt_api_base.event_stream import EventStream
    from bt_api_base.websocket.adapter import StreamAdapter


async def subscriptions(manager: WebSocketManager, config: WebSocketConfig) -> None:
    """Subscriptions are streams of events."""
    await manager.add_exchange(config)
    subscription = await manager.subscribe("BINANCE___SPOT", "ticker", "BTC-USDT", overflow=Overflow.CONFLATE)
    assert_type(subscription, Subscription)
    async for event in subscription:
        assert_type(event, Event)
        if isinstance(event, Tick):
            assert_type(event.bid_price, float | None)
    async for batch in subscription.batches():
        assert_type(batch, list[Event])
    assert_type(manager.get_stats(), dict[str, list[ConnectionStats]])


async def bus(events: EventBus, tick: Tick) -> None:
    """A stream opened for a type yields that type."""
    assert_type(events.on("tick.*", print), Registration)
    assert_type(events.emit(tick), list[Exception])
    assert_type(await events.publish("done", 1), list[Exception])
    with events.open_stream(Trade) as trades:
        assert_type(trades, BusSubscription[Trade])
        async for trade in trades:
            assert_type(trade, Trade)

    @events.on("tick.*")
    def handler(data: Tick) -> float | None:
        return data.last_price

    assert_type(handler(tick), float | None)


async def streams(stream: EventStream[int]) -> None:
    """A stream of one type."""
    stream.offer(1)
    assert_type(await stream.receive(), int)
    assert_type(stream.receive_nowait(), int)
    assert_type(await stream.receive_batch(), list[int])


async def websocket(url: str) -> None:
    """What is received depends on how it is asked for."""
    async with open_websocket(url) as ws:
        assert_type(await ws.receive(), str | bytes)
        assert_type(await ws.receive(decode=False), bytes)
        async for batch in ws.batches():
            assert_type(batch, list[str | bytes])
        async for raw in ws.batches(decode=False):
            assert_type(raw, list[bytes])
        assert_type(await ws.ping(), float)


def codec(event: Event) -> None:
    """Events go to bytes and come back."""
    assert_type(encode_json(event), bytes)
    assert_type(decode_json(b""), Event)
    assert_type(event_name(event), str)
    adapter: StreamAdapter = stream_adapter("BINANCE___SPOT")
    adapter.decode(b"")
