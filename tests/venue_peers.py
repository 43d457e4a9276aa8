"""Clients for tests of a venue that share no code with this package's own client."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
import msgspec
import trio
import trio_websocket
import websockets
from anyio.lowlevel import checkpoint
from websockets.asyncio.client import connect
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from bt_api_base.testing.streams import MemoryByteStream
    from bt_api_base.testing.venue import Venue
    from bt_api_base.testing.venue_records import VenueSession

RECEIVE_TIMEOUT = 5.0
"""Seconds that no frame of a test takes; it only turns a hang into a failure."""


class PeerClosedError(Exception):
    """The connection is closed, with this code and reason; 1006 where there was no close frame."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Client:
    """What both libraries' clients can do."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._is_trio = trio.lowlevel.in_trio_run()

    async def send(self, message: str) -> None:
        """Send a text message."""
        try:
            await (self._socket.send_message(message) if self._is_trio else self._socket.send(message))
        except (trio_websocket.ConnectionClosed, websockets.ConnectionClosed) as error:
            raise _closed(error) from error

    async def request(self, method: str, params: list[Any] | None = None, request_id: Any = 1) -> dict[str, Any]:
        """Send a request and return the reply to it; data that come before it are lost."""
        request = {"method": method, "params": params, "id": request_id}
        await self.send(
            msgspec.json.encode({key: value for key, value in request.items() if value is not None}).decode()
        )
        while True:
            reply = await self.receive_json()
            if "result" in reply or "code" in reply:
                return reply

    async def receive(self) -> str | bytes:
        """Return the next message."""
        with anyio.fail_after(RECEIVE_TIMEOUT):
            try:
                return await (self._socket.get_message() if self._is_trio else self._socket.recv())
            except (trio_websocket.ConnectionClosed, websockets.ConnectionClosed) as error:
                raise _closed(error) from error

    async def receive_json(self) -> Any:
        """Return the next message, decoded."""
        return msgspec.json.decode(await self.receive())

    async def messages(self) -> AsyncIterator[Any]:
        """Yield decoded messages until the connection is closed."""
        try:
            while True:
                yield await self.receive_json()
        except PeerClosedError:
            return

    async def pong(self) -> None:
        """Send a pong that nobody asked for."""
        await self._socket.pong()

    async def wait_closed(self) -> PeerClosedError:
        """Read to the end of the connection and return how it was closed."""
        while True:
            try:
                await self.receive()
            except PeerClosedError as error:
                return error

    async def close(self) -> None:
        """Close with code 1000."""
        await (self._socket.aclose() if self._is_trio else self._socket.close())


def _closed(error: Any) -> PeerClosedError:
    if isinstance(error, trio_websocket.ConnectionClosed):
        # trio-websocket takes a reset for a close without a code.
        return PeerClosedError(
            error.reason.code if error.reason else 1006, (error.reason and error.reason.reason) or ""
        )
    return PeerClosedError(error.rcvd.code if error.rcvd else 1006, error.rcvd.reason if error.rcvd else "")


@asynccontextmanager
async def open_client(url: str) -> AsyncGenerator[Client]:
    """Connect with trio-websocket on trio, with websockets on asyncio."""
    if trio.lowlevel.in_trio_run():
        async with _open_trio(url) as connection:
            yield Client(connection)
    else:
        async with connect(url, compression=None, ping_interval=None, max_queue=None) as connection:
            yield Client(connection)


@asynccontextmanager
async def _open_trio(url: str) -> AsyncGenerator[trio_websocket.WebSocketConnection]:
    """Connect with trio-websocket over a stream of our own, as it leaves its own open when the other side closes."""
    parts = urlsplit(url)
    assert parts.port is not None
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    failure: Exception | None = None
    async with await trio.open_tcp_stream("127.0.0.1", parts.port) as stream, trio.open_nursery() as nursery:
        connection = await trio_websocket.wrap_client_stream(
            nursery, stream, "127.0.0.1", target, message_queue_size=100_000
        )
        try:
            async with connection:
                yield connection
        except Exception as error:  # noqa: BLE001  # raised below, not within the nursery's group
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


class MemoryClient:
    """A client over bytes in memory, for virtual time: websockets' Sans-I/O protocol and nothing else."""

    def __init__(
        self,
        stream: MemoryByteStream,
        *,
        target: str = "/stream",
        answers_pings: bool = True,
        compression: bool = False,
    ) -> None:
        self._stream = stream
        self._protocol = ClientProtocol(
            parse_uri(f"ws://memory{target}"), extensions=[ClientPerMessageDeflateFactory()] if compression else None
        )
        self._answers_pings = answers_pings
        self._frames: list[Frame] = []
        self.pings: list[bytes] = []
        self.closed: tuple[int, str] | None = None

    @property
    def is_compressed(self) -> bool:
        """Whether permessage-deflate was agreed upon."""
        return bool(self._protocol.extensions)

    async def handshake(self) -> None:
        """Open the connection, or raise websockets' error of a handshake that is refused."""
        self._protocol.send_request(self._protocol.connect())
        await self._flush()
        while self._protocol.state.name == "CONNECTING":
            await self._read()
            if self._protocol.handshake_exc is not None:
                raise self._protocol.handshake_exc

    async def request(self, method: str, params: list[str], request_id: int = 1) -> dict[str, Any]:
        """Send a request and return the reply to it; data that come before it are lost."""
        await self.send(msgspec.json.encode({"method": method, "params": params, "id": request_id}))
        while True:
            reply = msgspec.json.decode(await self.receive())
            if "result" in reply or "code" in reply:
                return reply

    async def send(self, message: bytes) -> None:
        """Send a text message."""
        self._protocol.send_text(message)
        await self._flush()

    async def receive(self) -> bytes:
        """Return the next message; raise EndOfStream when there are no more."""
        while not self._frames:
            await self._read()
        return bytes(self._frames.pop(0).data)

    async def receive_json(self) -> Any:
        """Return the next message, decoded."""
        return msgspec.json.decode(await self.receive())

    async def messages(self) -> list[Any]:
        """Read to the end and return all messages, decoded."""
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                await self._read()
        return [msgspec.json.decode(bytes(frame.data)) for frame in self._frames]

    async def wait_closed(self) -> tuple[int, str]:
        """Read to the end and return close code and reason."""
        try:
            while True:
                await self._read()
        except anyio.EndOfStream:
            pass
        assert self.closed is not None
        return self.closed

    async def aclose(self) -> None:
        """Drop the connection."""
        await self._stream.aclose()

    async def _read(self) -> None:
        self._protocol.receive_data(await self._stream.receive())
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                if event.opcode is Opcode.PING:
                    self.pings.append(bytes(event.data))
                elif event.opcode is Opcode.TEXT:
                    self._frames.append(event)
                elif event.opcode is Opcode.CLOSE:
                    assert self._protocol.close_rcvd is not None
                    self.closed = (self._protocol.close_rcvd.code, self._protocol.close_rcvd.reason)
        await self._flush()

    async def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if not data:
                await self._stream.send_eof()
            elif self._answers_pings or (data[0] & 0x0F) != Opcode.PONG:
                await self._stream.send(data)


async def end_of(session: VenueSession) -> VenueSession:
    """Wait until a session has been recorded as ended."""
    with anyio.fail_after(RECEIVE_TIMEOUT):
        while session.closed_at is None:
            await checkpoint()
    return session


async def memory_client(venue: Venue, **options: Any) -> MemoryClient:
    """Connect to a venue in memory."""
    client = MemoryClient(venue.connect_in_memory(), **options)
    await client.handshake()
    return client
