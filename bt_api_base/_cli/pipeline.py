"""From a venue to a model: manager, bus, and the task that empties the bus's stream into the model."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from bt_api_base._cli.model import Flow, ViewModel
from bt_api_base._cli.runtime import CommandError, wait_until
from bt_api_base.event_stream import Overflow
from bt_api_base.websocket.events import ConnectionEvent, Failed
from bt_api_base.websocket_manager import WebSocketManager

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from typing_extensions import Self

    from bt_api_base.containers import Event
    from bt_api_base.event_stream import EventStream
    from bt_api_base.websocket.adapter import StreamAdapter
    from bt_api_base.websocket.config import WebSocketConfig
    from bt_api_base.websocket_manager import Subscription

__all__ = ("Pipeline", "Wish")

_DRAIN_TIMEOUT = 5.0
_BUFFER_SIZE = 100_000


@attrs.frozen
class Wish:
    """A channel to subscribe to.

    Attributes:
        topic: What.
        symbol: Internal symbol.
        params: The topic's parameters.
    """

    topic: str
    symbol: str
    params: Mapping[str, Any] | None = None


def _seen(_: Event) -> None:
    """Take an event from a subscription: the model gets it over the bus."""


@attrs.define(eq=False)
class Pipeline:
    """One exchange's events on their way to a model. Made by `open`.

    Attributes:
        manager: Owns the connection.
        model: Is fed.
        exchange_name: Venue and asset type.
        subscriptions: The channels subscribed to.
        observe: Is shown what the model is fed with.
    """

    manager: WebSocketManager
    model: ViewModel
    exchange_name: str
    _stream: EventStream[Any]
    observe: Callable[[Sequence[Event]], object] | None = None
    subscriptions: list[Subscription] = attrs.field(factory=list["Subscription"])
    _failure: str = ""
    _failed: anyio.Event = attrs.field(factory=anyio.Event)
    _watching: bool = True

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        model: ViewModel,
        config: WebSocketConfig,
        make_adapter: Callable[[], StreamAdapter],
        *,
        observe: Callable[[Sequence[Event]], object] | None = None,
        overflow: Overflow = Overflow.DROP_OLDEST,
        buffer_size: int = _BUFFER_SIZE,
    ) -> AsyncGenerator[Self]:
        """Connect to an exchange, and feed a model until the block is left.

        Args:
            model: Is fed.
            config: How to reach the exchange.
            make_adapter: Makes the adapter, which says what frames mean, of each connection. Two connections overlap
                while one takes over from the other, so it has to be a new one every time.
            observe: Is shown what the model is fed with.
            overflow: What happens when the model is fed more slowly than events come.
            buffer_size: Events that may wait for the model.

        Cancellation: closes the connection, within the configured time.
        """
        async with WebSocketManager() as manager:
            stream = manager.bus.open_stream(
                f"*.{config.exchange_name}.*", buffer_size, overflow=overflow, hard_limit=buffer_size
            )
            pipeline = cls(manager, model, config.exchange_name, stream, observe)
            manager.bus.on("ws.*", pipeline._note)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(pipeline._pump)
                await manager.add_exchange(config, adapter=lambda _: make_adapter())
                yield pipeline
                tasks.cancel_scope.cancel()

    async def _pump(self) -> None:
        async for batch in self._stream.batches():
            self.model.feed(batch, time.time_ns())
            if self.observe is not None:
                self.observe(batch)

    def _note(self, event: ConnectionEvent) -> None:
        if not self._watching:
            return
        self.model.note(event)
        if isinstance(event, Failed):
            self._failure = f"connection given up after {event.attempts} failed attempts: {event.reason}"
            self._failed.set()

    def stop_watching(self) -> None:
        """Let the model learn no more of what happens to the connection: it is about to be taken down."""
        self._watching = False

    async def subscribe(self, wishes: Sequence[Wish]) -> None:
        """Subscribe to channels at the same time, and return once the venue has confirmed all of them.

        Raises:
            SubscribeError: The venue refused or did not answer. In an exception group, like the next.
            WebSocketError: The connection was given up.

        Cancellation: what is not confirmed is withdrawn.
        """

        async def subscribe(wish: Wish) -> None:
            subscription = await self.manager.subscribe(
                self.exchange_name, wish.topic, wish.symbol, _seen, wish.params, overflow=Overflow.DROP_OLDEST
            )
            self.subscriptions.append(subscription)

        async with anyio.create_task_group() as tasks:
            for wish in wishes:
                tasks.start_soon(subscribe, wish)

    async def wait_failed(self) -> None:
        """Wait until the connection is given up, which may be never.

        Raises:
            CommandError: It was.

        Cancellation: nothing changes.
        """
        await self._failed.wait()
        raise CommandError(f"{self.exchange_name}: {self._failure}")

    async def drain(self) -> None:
        """Wait until the model has got what has arrived, at most a few seconds.

        Cancellation: nothing is lost.
        """
        await wait_until(lambda: not self._stream.pending, _DRAIN_TIMEOUT)

    def poll(self) -> Flow:
        """Return the counters of the connection as they are now."""
        stats = self.manager.get_stats()[self.exchange_name]
        return Flow.of(stats, dropped=self._stream.dropped)
