"""A running manager with the toy venue behind its only exchange, and everything that the bus tells of it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import attrs

from bt_api_base.event_bus import EventBus
from bt_api_base.websocket import events
from bt_api_base.websocket_manager import WebSocketConfig, WebSocketManager
from tests.toy_venue import EXCHANGE, FakeVenue, ToyAdapter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from bt_api_base.event_stream import Overflow
    from bt_api_base.websocket.adapter import StreamAdapter, StreamLimits
    from bt_api_base.websocket.connection_stats import ConnectionStats
    from bt_api_base.websocket_manager import Subscription

__all__ = ("Desk", "limited", "managed", "settle")


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(30):
        await anyio.lowlevel.checkpoint()


def limited(limits: StreamLimits, make: Callable[[], StreamAdapter] = ToyAdapter) -> Callable[[], StreamAdapter]:
    """Return what makes toy adapters of a venue with other limits."""

    def limit() -> StreamAdapter:
        adapter = make()
        adapter.limits = limits
        return adapter

    return limit


@attrs.define(eq=False)
class Desk:
    """A manager, its venue, and the connection events in the order in which they came."""

    manager: WebSocketManager
    venue: FakeVenue
    seen: list[events.ConnectionEvent] = attrs.field(factory=list)

    def of(self, kind: type[Any]) -> list[Any]:
        """Return the events of one kind."""
        return [event for event in self.seen if isinstance(event, kind)]

    async def wait_for(self, kind: type[Any], number: int = 1) -> Any:
        """Wait until so many events of a kind have come; return the last of them."""
        with anyio.fail_after(600.0):
            while len(self.of(kind)) < number:  # noqa: ASYNC110 - nobody tells when
                await anyio.sleep(0.05)
        return self.of(kind)[number - 1]

    async def subscribe(self, symbol: str, topic: str = "ticker", callback: Any = None, **how: Any) -> Subscription:
        """Subscribe at the toy exchange."""
        return await self.manager.subscribe(EXCHANGE, topic, symbol, callback, **how)

    async def subscribe_many(
        self, symbols: list[str], topic: str = "ticker", overflow: Overflow | None = None
    ) -> list[Subscription]:
        """Subscribe to a topic for many symbols at the toy exchange."""
        return await self.manager.subscribe_many(EXCHANGE, topic, symbols, overflow=overflow)

    @property
    def stats(self) -> list[ConnectionStats]:
        """Every connection's state and counters."""
        return self.manager.get_stats()[EXCHANGE]


@asynccontextmanager
async def managed(
    venue: FakeVenue | None = None, make: Callable[[], StreamAdapter] = ToyAdapter, **settings: Any
) -> AsyncGenerator[Desk]:
    """Run a manager with a fake venue behind its only exchange."""
    venue = FakeVenue() if venue is None else venue
    bus = EventBus()
    async with WebSocketManager(bus) as manager:
        desk = Desk(manager, venue)
        for kind in events.NAMES:
            bus.on(kind, desk.seen.append)
        config = WebSocketConfig("ws://toy.invalid/ws", EXCHANGE, **settings)
        await manager.add_exchange(config, adapter=lambda _: make(), connector=venue.connector)
        yield desk
