"""A real WebSocket server for tests, on any event loop: websockets' Sans-I/O server protocol over anyio TCP.

It does what a handler says, breaches of the protocol included. It also runs over any byte stream, for tests in memory.
"""

from __future__ import annotations

import socket
import struct
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio
import attrs
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from anyio.streams.tls import TLSStream
from websockets.extensions.permessage_deflate import enable_server_permessage_deflate
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    Handler = Callable[["ServerConnection"], Awaitable[object]]


class PeerClosedError(Exception):
    """The client closed the connection, with or without saying so."""


@attrs.define(eq=False)
class ServerConnection:
    """The server's end of one connection.

    Attributes:
        stream: What it runs over.
        request: The client's handshake request.
        frames: All frames received so far, control frames included.
    """

    stream: ByteStream
    protocol: ServerProtocol
    request: Request | None = None
    frames: list[Frame] = attrs.field(factory=list)
    _messages: list[str | bytes] = attrs.field(factory=list)
    _parts: list[bytes] = attrs.field(factory=list)
    _is_text: bool = False

    @property
    def close_code(self) -> int | None:
        """The code in the client's close frame."""
        received = self.protocol.close_rcvd
        return None if received is None else int(received.code)

    @property
    def close_reason(self) -> str | None:
        """The reason in the client's close frame."""
        received = self.protocol.close_rcvd
        return None if received is None else received.reason

    async def handshake(self) -> None:
        """Read the request and accept it."""
        while self.request is None:
            await self.read()
        await self.flush()

    async def read(self) -> None:
        """Do one read from the stream and process it, answers included."""
        if self.protocol.reader.eof:
            raise PeerClosedError
        try:
            self.protocol.receive_data(await self.stream.receive())
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            self.protocol.receive_eof()
        for event in self.protocol.events_received():
            if isinstance(event, Request):
                self.request = event
                self.protocol.send_response(self.protocol.accept(event))
            elif isinstance(event, Frame):
                self.frames.append(event)
                self._assemble(event)
        await self.flush()

    def _assemble(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if frame.opcode is not Opcode.CONT:
                self._is_text = frame.opcode is Opcode.TEXT
            self._parts.append(bytes(frame.data))
            if frame.fin:
                payload = b"".join(self._parts)
                self._parts.clear()
                self._messages.append(payload.decode() if self._is_text else payload)

    async def flush(self) -> None:
        """Send what the protocol made; a client that has gone is none of this method's business."""
        data = b"".join(self.protocol.data_to_send())
        if data:
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await self.stream.send(data)

    async def receive(self) -> str | bytes:
        """Return the client's next message.

        Raises:
            PeerClosedError: There is none.
        """
        while not self._messages:
            if self.protocol.state is not State.OPEN:
                raise PeerClosedError
            await self.read()
        return self._messages.pop(0)

    async def send(self, message: str | bytes) -> None:
        """Send a message."""
        if isinstance(message, str):
            self.protocol.send_text(message.encode())
        else:
            self.protocol.send_binary(message)
        await self.flush()

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are, behind the protocol's back."""
        await self.stream.send(data)

    async def ping(self, payload: bytes = b"") -> None:
        """Send a ping."""
        self.protocol.send_ping(payload)
        await self.flush()

    async def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Say close, wait for the client's answer, and hang up."""
        self.protocol.send_close(code, reason)
        await self.flush()
        await self.wait_closed()

    async def wait_closed(self) -> None:
        """Read until the closing handshake is done or the client has gone."""
        while self.protocol.close_rcvd is None and not self.protocol.reader.eof:
            await self.read()

    async def hang_up(self) -> None:
        """Close the socket without a word."""
        await self.stream.aclose()

    async def reset(self) -> None:
        """Close the socket such that the client gets a reset instead of an end."""
        raw = self.stream.extra(SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await anyio.aclose_forcefully(self.stream)


async def echo(connection: ServerConnection) -> None:
    """Send every message back, until the client closes."""
    try:
        while True:
            await connection.send(await connection.receive())
    except PeerClosedError:
        pass


async def run_connection(
    stream: ByteStream,
    handler: Handler,
    *,
    compression: bool = False,
    subprotocols: Sequence[str] = (),
    max_size: int | None = 2**24,
) -> None:
    """Serve one connection over ``stream``: handshake, handler, and then the end of the stream."""
    protocol = ServerProtocol(
        extensions=enable_server_permessage_deflate(None) if compression else None,
        subprotocols=list(subprotocols) or None,  # type: ignore[arg-type]
        max_size=max_size,
    )
    connection = ServerConnection(stream, protocol)
    try:
        await connection.handshake()
        await handler(connection)
    except PeerClosedError:
        pass
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.aclose_forcefully(stream)


@attrs.frozen
class Server:
    """A server that listens on loopback.

    Attributes:
        host: Its address.
        port: Its port.
        scheme: ``"ws"`` or ``"wss"``.
    """

    host: str
    port: int
    scheme: str = "ws"

    @property
    def url(self) -> str:
        """Where to connect to."""
        return f"{self.scheme}://{self.host}:{self.port}/"


@asynccontextmanager
async def serve_streams(
    handler: Callable[[ByteStream], Awaitable[object]], *, ssl_context: ssl.SSLContext | None = None
) -> AsyncGenerator[Server]:
    """Listen on loopback and hand each accepted byte stream to ``handler``, which closes it."""

    async def accepted(stream: SocketStream) -> None:
        if ssl_context is None:
            await handler(stream)
            return
        try:
            secured = await TLSStream.wrap(stream, server_side=True, ssl_context=ssl_context, standard_compatible=False)
            await handler(secured)
        except (OSError, anyio.BrokenResourceError, anyio.EndOfStream):
            pass  # the client would have none of it
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(stream)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, accepted, tasks)
        host, port = listener.extra(SocketAttribute.local_address)
        if ssl_context is not None:
            host = "localhost"
        yield Server(host, port, "ws" if ssl_context is None else "wss")
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def serve(
    handler: Handler,
    *,
    ssl_context: ssl.SSLContext | None = None,
    compression: bool = False,
    subprotocols: Sequence[str] = (),
) -> AsyncGenerator[Server]:
    """Listen on loopback and run ``handler`` for each WebSocket connection."""

    async def accepted(stream: ByteStream) -> None:
        await run_connection(stream, handler, compression=compression, subprotocols=subprotocols)

    async with serve_streams(accepted, ssl_context=ssl_context) as server:
        yield server
