"""A venue small enough to script: its adapter, and a fake of it at the connector seam.

`ToyAdapter` is a complete adapter for an invented protocol. `FakeVenue` stands in for the network:
its `connector` hands the supervised connection a `FakeWebSocket`, on which the test decides what
arrives, what is answered and when the connection ends. Real sockets are used elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import msgspec

from bt_api_base.containers import Event, MarkPrice, Side, Tick, Trade
from bt_api_base.exceptions import DataParseError, SubscribeError, WebSocketError
from bt_api_base.websocket.adapter import (
    Ack,
    Channel,
    Continuity,
    Decoded,
    Heartbeat,
    Notice,
    Refusal,
    StreamAdapter,
    StreamLimits,
    Unrecognized,
)

if TYPE_CHECKING:
    from bt_api_base.websocket.config import WebSocketConfig

EXCHANGE = "TOY___SPOT"
TOPICS = {
    "ticker": ("tick", Continuity.INCREASING),
    "trade": ("trade", Continuity.CONSECUTIVE),
    "mark": ("mark_price", Continuity.NONE),
}
"""Tag of the events and what their order tells, by topic."""


class ToyAdapter(StreamAdapter):
    """``{"sub": [keys], "id": n}`` is answered by ``{"ok": n}`` or ``{"no": n}``; data is ``{"ch": key, "n": 1}``."""

    exchange_name = EXCHANGE
    default_url = "wss://toy.invalid/ws"
    limits = StreamLimits(messages_per_second=1000.0, max_channels_per_request=50)

    def channel(self, topic: str, symbol: str, params: Mapping[str, Any] | None = None) -> Channel:
        """Name a ticker channel."""
        if topic not in TOPICS or params:
            raise SubscribeError(EXCHANGE, f"topics are: {', '.join(TOPICS)}", topic=topic, symbol=symbol)
        tag, continuity = TOPICS[topic]
        return Channel(topic, symbol, f"{topic}:{symbol}", f"{tag}.{EXCHANGE}.{symbol}", continuity=continuity)

    def subscribe_frame(self, request_id: int, channels: Sequence[Channel]) -> str:
        """Name the channels to begin with."""
        return msgspec.json.encode({"sub": [c.key for c in channels], "id": request_id}).decode()

    def unsubscribe_frame(self, request_id: int, channels: Sequence[Channel]) -> str:
        """Name the channels to stop."""
        return msgspec.json.encode({"unsub": [c.key for c in channels], "id": request_id}).decode()

    def decode_frame(self, frame: bytes | str, local_time: int) -> Decoded:  # noqa: PLR0911 - a line for each
        """Tell ticks, answers, pings and notices apart."""
        try:
            message = msgspec.json.decode(frame)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise DataParseError("Tick", str(error), exchange_name=EXCHANGE) from None
        match message:
            case {"ch": str(key), "n": int(n), "at": int(at)} if max(abs(n), abs(at)) < 2**63:
                return key, [toy_event(key, n, local_time, at)]
            case {"ch": str(key), "n": int(n)} if abs(n) < 2**63:
                return key, [toy_event(key, n, local_time)]
            case {"ok": reply_to}:
                return None, [Ack(request_id=reply_to)]
            case {"no": reply_to, "text": text}:
                return None, [Refusal(request_id=reply_to, code=-1, message=text)]
            case {"ping": n}:
                return None, [Heartbeat(reply=f'{{"pong":{n}}}')]
            case {"pong": _}:
                return None, [Heartbeat()]
            case {"bye": text}:
                return None, [Notice("bye", text, closing=True)]
            case {"bug": _}:
                raise KeyError("a bug in an adapter")
            case _:
                return None, [Unrecognized(str(message)[:20])]


def toy_event(key: str, number: int, local_time: int = 0, server_time: int | None = None) -> Event:
    """Return the event of a channel that has a number; a trade happened at that time if no other is told."""
    topic, _, symbol = key.partition(":")
    if topic == "trade":
        at = number if server_time is None else server_time
        return Trade(EXCHANGE, symbol, at, local_time, str(number), 1.0, 1.0, Side.BUY, number)
    if topic == "mark":
        return MarkPrice(EXCHANGE, symbol, number, local_time, float(number))
    return Tick(EXCHANGE, symbol, 0, local_time, last_price=float(number), sequence=number)


Answer = Callable[["FakeWebSocket", dict[str, Any]], None]


def acknowledge(ws: FakeWebSocket, request: dict[str, Any]) -> None:
    """Answer every request with yes."""
    if "id" in request:
        ws.push({"ok": request["id"]})


def stay_silent(ws: FakeWebSocket, request: dict[str, Any]) -> None:
    """Answer nothing."""


def refuse(text: str, *keys: str) -> Answer:
    """Answer requests that name one of ``keys`` with no."""

    def answer(ws: FakeWebSocket, request: dict[str, Any]) -> None:
        if set(keys) & set(request.get("sub", ())):
            ws.push({"no": request["id"], "text": text})
        else:
            acknowledge(ws, request)

    return answer


class FakeWebSocket:
    """The client's end of a connection that exists only in the test."""

    def __init__(self, answer: Answer, endpoint_name: str = "", url: str = "") -> None:
        self.answer = answer
        self.endpoint_name = endpoint_name
        self.url = url
        self.is_open = True
        self.sent: list[dict[str, Any]] = []
        self.subscribed: set[str] = set()
        self.answers_pings = True
        self.pings = 0
        self.close_code: int | None = None
        self.close_reason = ""
        self._send, self._receive = anyio.create_memory_object_stream["list[bytes] | anyio.Event"](math.inf)

    def push(self, *messages: Any) -> None:
        """Let messages arrive as one batch."""
        self._send.send_nowait([m if isinstance(m, bytes) else msgspec.json.encode(m) for m in messages])

    def tick(self, symbol: str, *numbers: int) -> None:
        """Let numbered ticks of one symbol arrive."""
        self.push(*({"ch": f"ticker:{symbol}", "n": n} for n in numbers))

    def cut(self, code: int = 1006) -> None:
        """End the connection, as seen by the client."""
        self.close_code = code
        self._send.close()

    async def batches(self, decode: bool | None = None) -> AsyncIterator[list[bytes]]:
        """Iterate over what the test pushes."""
        with self._receive:
            async for batch in self._receive:
                if isinstance(batch, anyio.Event):
                    batch.set()
                else:
                    yield batch
        if self.close_code not in {1000, 1001}:
            raise WebSocketError(EXCHANGE, "connection lost", close_code=self.close_code)

    async def send(self, frame: str | bytes) -> None:
        """Have the request answered as the test chose."""
        await anyio.lowlevel.checkpoint()
        request = msgspec.json.decode(frame)
        self.sent.append(request)
        self.subscribed |= set(request.get("sub", ()))
        self.subscribed -= set(request.get("unsub", ()))
        self.answer(self, request)

    async def ping(self) -> float:
        """Answer behind everything that was sent before, or never."""
        self.pings += 1
        if not self.answers_pings:
            await anyio.sleep_forever()
        pong = anyio.Event()
        self._send.send_nowait(pong)
        await pong.wait()
        return 0.0

    async def run_writer(self) -> None:
        """Do nothing, as there is nothing to write."""
        await anyio.sleep_forever()

    def close(self) -> None:
        """Release the streams."""
        self.is_open = False
        self._send.close()
        self._receive.close()


@attrs.define(eq=False)
class FakeVenue:
    """Accepts, or refuses, the connections of one supervised connection.

    Attributes:
        answer: How requests are answered on connections made from now on.
        refusing: Whether connects fail.
        connect_delay: Seconds that a connect takes.
        connections: Every connection made, oldest first.
        attempts: When connects were tried, in the loop's time.
        on_connect: Called with each new connection before the client has it.
    """

    answer: Answer = acknowledge
    refusing: bool = False
    connect_delay: float = 0.0
    connections: list[FakeWebSocket] = attrs.field(factory=list)
    attempts: list[float] = attrs.field(factory=list)
    on_connect: Callable[[FakeWebSocket], None] = lambda ws: None
    _changed: anyio.Event = attrs.field(factory=anyio.Event)

    @asynccontextmanager
    async def connector(self, config: WebSocketConfig, adapter: StreamAdapter) -> AsyncGenerator[Any]:
        """Accept or refuse a connection."""
        self.attempts.append(anyio.current_time())
        await anyio.sleep(self.connect_delay)
        if self.refusing:
            raise WebSocketError(EXCHANGE, "connection refused")
        ws = FakeWebSocket(self.answer, adapter.endpoint_name, config.url)
        self.on_connect(ws)
        self.connections.append(ws)
        self._changed.set()
        try:
            yield ws
        finally:
            ws.close()

    @property
    def now(self) -> FakeWebSocket:
        """The newest connection."""
        return self.connections[-1]

    @property
    def open(self) -> list[FakeWebSocket]:
        """The connections that the client has open."""
        return [ws for ws in self.connections if ws.is_open]

    async def wait_connections(self, number: int) -> FakeWebSocket:
        """Wait until so many connections have been made; return the newest."""
        while len(self.connections) < number:
            self._changed = anyio.Event()
            await self._changed.wait()
        return self.connections[-1]
