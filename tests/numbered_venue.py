"""A fake venue that numbers everything it sends, so that nothing can be missing, twice or out of order unseen.

It stands at the connector seam, as `tests.toy_venue.FakeVenue` does, and speaks the same invented protocol. Every
connection has a delay of its own, but keeps the order: what it sends, answers and pongs, arrive one after another.
Faults and rotations follow from a seed.
"""

from __future__ import annotations

from collections import defaultdict, deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import msgspec

from bt_api_base.containers import Event, Gap, MarkPrice, Tick, Trade
from bt_api_base.event_bus import EventBus
from bt_api_base.exceptions import WebSocketError
from bt_api_base.websocket.backoff import reconnect_delays
from bt_api_base.websocket.config import WebSocketConfig
from bt_api_base.websocket.connection import SupervisedConnection
from tests.toy_venue import EXCHANGE, ToyAdapter

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

__all__ = ("Line", "NumberedVenue", "Recorder", "connect", "number_of")

TIME_STEP = 1_000_000_000
"""Nanoseconds between two numbers of a channel."""


def number_of(event: Event) -> int:
    """Return an event's number."""
    if isinstance(event, Trade):
        return int(event.trade_id)
    if isinstance(event, Tick):
        return event.sequence or 0
    assert isinstance(event, MarkPrice)
    return int(event.mark_price)


@attrs.define(eq=False, slots=False)
class Recorder:
    """A consumer that keeps everything in order."""

    items: list[Event] = attrs.field(factory=list)
    error: Exception | None = None

    def deliver(self, items: Sequence[Event], /) -> None:
        """Keep the events."""
        self.items.extend(items)

    def mark(self, gap: Gap, /) -> None:
        """Keep the gap among them."""
        self.items.append(gap)

    def fail(self, error: Exception, /) -> None:
        """Keep the error."""
        self.error = error

    def end(self) -> None:
        """Do nothing."""

    @property
    def numbers(self) -> list[int]:
        """The numbers of the events."""
        return [number_of(item) for item in self.items if not isinstance(item, Gap)]


@attrs.define(eq=False)
class Line:
    """The client's end of one connection."""

    venue: NumberedVenue
    latency: float
    subscribed: set[str] = attrs.field(factory=set)
    stalled: bool = False
    close_code: int | None = None
    close_reason: str = ""
    ended: bool = False
    _under_way: deque[tuple[float, bytes | anyio.Event]] = attrs.field(factory=deque)
    _news: anyio.Event = attrs.field(factory=anyio.Event)

    def put(self, message: bytes | anyio.Event) -> None:
        """Send something to the client: it arrives after the delay, unless the connection is cut before."""
        if self.ended:
            return
        self._under_way.append((anyio.current_time() + self.latency, message))
        self._news.set()

    def cut(self) -> None:
        """End the connection; what is under way is lost."""
        self._under_way.clear()
        self.ended = True
        self._news.set()

    async def batches(self, decode: bool | None = None) -> AsyncIterator[list[bytes]]:
        """Iterate over what has arrived."""
        while True:
            while not self._under_way or self.stalled:
                if self.ended:
                    raise WebSocketError(EXCHANGE, "connection lost", close_code=1006)
                self._news = anyio.Event()
                await self._news.wait()
            await anyio.sleep_until(self._under_way[0][0])
            if self.ended:
                continue
            batch: list[bytes] = []
            while self._under_way and self._under_way[0][0] <= anyio.current_time():
                message = self._under_way.popleft()[1]
                if isinstance(message, anyio.Event):
                    message.set()
                else:
                    batch.append(message)
            if batch:
                yield batch

    async def send(self, frame: str | bytes) -> None:
        """Subscribe, unsubscribe, and acknowledge."""
        await anyio.lowlevel.checkpoint()
        if self.ended:
            raise WebSocketError(EXCHANGE, "connection lost", close_code=1006)
        request = msgspec.json.decode(frame)
        self.subscribed |= set(request.get("sub", ()))
        self.subscribed -= set(request.get("unsub", ()))
        if self.venue.random.random() >= self.venue.lost_answers:
            self.put(msgspec.json.encode({"ok": request["id"]}))

    async def ping(self) -> float:
        """Answer behind everything that was sent before."""
        pong = anyio.Event()
        self.put(pong)
        await pong.wait()
        return 0.0

    async def run_writer(self) -> None:
        """Do nothing, as there is nothing to write."""
        await anyio.sleep_forever()


@attrs.define(eq=False, slots=False)
class NumberedVenue:
    """The venue's side: numbers go out to every connection that subscribed.

    Attributes:
        random: What everything by chance follows from.
        lost_answers: Part of the requests that are obeyed and not answered.
        refusing: Whether connects fail.
        lines: Connections that are open.
        numbers: The last number of each channel.
        cuts: How many connections were cut.
    """

    random: random.Random
    lost_answers: float = 0.0
    refusing: bool = False
    lines: list[Line] = attrs.field(factory=list)
    numbers: dict[str, int] = attrs.field(factory=lambda: defaultdict(int))
    cuts: int = 0

    @asynccontextmanager
    async def connector(self, config: WebSocketConfig, adapter: Any) -> AsyncGenerator[Any]:
        """Accept or refuse a connection."""
        await anyio.sleep(self.random.uniform(0.0, 0.3))
        if self.refusing:
            raise WebSocketError(EXCHANGE, "connection refused")
        line = Line(self, self.random.uniform(0.0, 0.4))
        self.lines.append(line)
        try:
            yield line
        finally:
            line.ended = True
            self.lines.remove(line)

    def next_message(self, key: str) -> bytes:
        """Let something happen in a channel, and return the message about it."""
        self.numbers[key] += 1
        return msgspec.json.encode({"ch": key, "n": self.numbers[key]})

    def send(self, key: str) -> None:
        """Let something happen in a channel, and tell everybody who subscribed."""
        message = self.next_message(key)
        for line in self.lines:
            if key in line.subscribed:
                line.put(message)

    def cut(self) -> None:
        """Cut one connection, or none if none is open."""
        if self.lines:
            self.cuts += 1
            self.random.choice(self.lines).cut()


@asynccontextmanager
async def connect(
    venue: NumberedVenue, keys: Sequence[str], **settings: Any
) -> AsyncGenerator[tuple[SupervisedConnection, dict[str, Recorder]]]:
    """Run a connection to the venue with a recorder at each channel."""
    config = WebSocketConfig(
        "ws://numbered.invalid", EXCHANGE, **{"reconnect_interval": 0.5, "subscribe_timeout": 5.0, **settings}
    )
    connection = SupervisedConnection(
        config,
        ToyAdapter,
        EventBus(),
        "numbered",
        connector=venue.connector,
        delays=lambda config: reconnect_delays(config.reconnect_interval, 60.0, random=venue.random.random),
    )
    recorders = {key: Recorder() for key in keys}
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.run)
        async with anyio.create_task_group() as subscribing:
            for key, recorder in recorders.items():
                channel = connection.adapter.channel(*key.split(":"))
                subscribing.start_soon(connection.subscribe, channel, recorder)
        yield connection, recorders
        tasks.cancel_scope.cancel()
