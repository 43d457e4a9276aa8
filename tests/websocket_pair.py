"""A client and the server's end of its connection, in memory, both in the test's own hands."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import attrs
from websockets.extensions.permessage_deflate import enable_server_permessage_deflate
from websockets.server import ServerProtocol

from bt_api_base.testing.streams import MemoryByteStream, memory_stream_pair
from bt_api_base.websocket import WebSocket, WebSocketState, open_websocket
from tests.websocket_server import ServerConnection

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractAsyncContextManager

    from anyio.abc import ByteStream

URL = "ws://memory.invalid/"


def open_over(stream: ByteStream, url: str = URL, **options: Any) -> AbstractAsyncContextManager[WebSocket]:
    """Open a client over a stream that is connected already."""

    async def connect(host: str, port: int) -> ByteStream:
        return stream

    return open_websocket(url, connector=connect, **options)


@attrs.frozen
class Pair:
    """A connection in memory.

    Attributes:
        client: The client.
        server: The server's end; it does what the test tells it, reading included.
        client_stream: What the client reads from and writes to.
        server_stream: The same for the server.
    """

    client: WebSocket
    server: ServerConnection
    client_stream: MemoryByteStream
    server_stream: MemoryByteStream


@asynccontextmanager
async def connected_pair(
    *, max_buffer_bytes: int = 65_536, server_compression: bool = False, **options: Any
) -> AsyncGenerator[Pair]:
    """Connect a client, given ``options``, to a server; the server answers the closing handshake at the end."""
    client_stream, server_stream = memory_stream_pair(max_buffer_bytes=max_buffer_bytes)
    extensions = enable_server_permessage_deflate(None) if server_compression else None
    server = ServerConnection(server_stream, ServerProtocol(extensions=extensions, max_size=None))
    ready = anyio.Event()

    async def shake_hands() -> None:
        await server.handshake()
        ready.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(shake_hands)
        async with open_over(client_stream, **options) as client:
            await ready.wait()
            yield Pair(client, server, client_stream, server_stream)
            if client.state is WebSocketState.OPEN:
                tasks.start_soon(_finish, server)
        await server_stream.aclose()


async def _finish(server: ServerConnection) -> None:
    await server.wait_closed()
    await server.stream.aclose()
