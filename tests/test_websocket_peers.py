"""The client agrees with servers that were written by others: websockets' on asyncio, trio-websocket's on trio."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trio
import trio_websocket
import websockets.asyncio.server

from bt_api_base.exceptions import WebSocketError
from bt_api_base.websocket import open_websocket

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

pytestmark = pytest.mark.anyio

# What a server does for each message it gets; all others are sent back.
CLOSE = "close with 4003"
FRAGMENTS = "send fragments"
PING = "ping me"
ABORT = "abort"


async def serve_with_websockets(connection: websockets.asyncio.server.ServerConnection) -> None:
    """Serve a client with websockets' asyncio implementation."""
    async for message in connection:
        if message == CLOSE:
            await connection.close(4003, "as you wish")
        elif message == ABORT:
            connection.transport.abort()
        elif message == FRAGMENTS:

            async def parts() -> AsyncIterator[str]:
                for part in ("one, ", "", "zwölf, ", "three"):
                    yield part

            await connection.send(parts())
        elif message == PING:
            answered = await connection.ping(b"payload")
            await connection.send(f"{type(await answered).__name__}")
        else:
            await connection.send(message)


async def serve_with_trio_websocket(request: trio_websocket.WebSocketRequest) -> None:
    """Serve a client with trio-websocket."""
    connection = await request.accept()
    with pytest.raises(trio_websocket.ConnectionClosed):
        while True:
            message = await connection.get_message()
            if message == CLOSE:
                await connection.aclose(4003, "as you wish")
            elif message == ABORT:
                await trio.aclose_forcefully(connection._stream)
            elif message == FRAGMENTS:
                await connection.send_message("one, zwölf, three")  # it cannot send fragments
            elif message == PING:
                await connection.ping(b"payload")
                await connection.send_message("float")
            else:
                await connection.send_message(message)


@asynccontextmanager
async def foreign_server(backend: str) -> AsyncGenerator[str]:
    """Run the server that belongs to the event loop and yield its URL."""
    if backend == "asyncio":
        async with websockets.asyncio.server.serve(serve_with_websockets, "127.0.0.1", 0) as server:
            yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    else:
        async with trio.open_nursery() as nursery:
            server = await nursery.start(
                trio_websocket.serve_websocket, serve_with_trio_websocket, "127.0.0.1", 0, None
            )
            yield f"ws://127.0.0.1:{server.port}/"
            nursery.cancel_scope.cancel()


@pytest.fixture(params=["anyio", "trio-websocket"])
def transport(request: pytest.FixtureRequest, anyio_backend_name: str) -> Any:
    """Each transport, where it runs."""
    if request.param == "trio-websocket" and anyio_backend_name != "trio":
        pytest.skip("trio-websocket runs on trio")
    return request.param


async def test_messages_go_there_and_back(anyio_backend_name: str, transport: Any) -> None:
    """Text, binary, empty, large; compressed where the peer can."""
    async with foreign_server(anyio_backend_name) as url, open_websocket(url, transport=transport) as ws:
        for message in ("text", "häß€😀", b"\x00\xff", "", b"", "x" * 200_000, bytes(200_000)):
            await ws.send(message)
            assert message == await ws.receive()
        compressed = "permessage-deflate" in ws.response_headers.get("sec-websocket-extensions", "")
        assert (anyio_backend_name == "asyncio") == compressed


async def test_uncompressed_messages_take_the_fast_lane(anyio_backend_name: str) -> None:
    """Those of a foreign server too."""
    async with foreign_server(anyio_backend_name) as url, open_websocket(url, compression=False) as ws:
        for number in range(10):
            await ws.send(str(number))
        assert [str(number) for number in range(10)] == [await ws.receive() for _ in range(10)]
        assert 10 == ws.statistics().messages_received_fast


async def test_fragments_are_put_together(anyio_backend_name: str, transport: Any) -> None:
    """A message in fragments is one message."""
    async with foreign_server(anyio_backend_name) as url, open_websocket(url, transport=transport) as ws:
        await ws.send(FRAGMENTS)
        assert "one, zwölf, three" == await ws.receive()


async def test_pings_are_answered_in_both_directions(anyio_backend_name: str, transport: Any) -> None:
    """Ours by the peer, the peer's by us."""
    async with foreign_server(anyio_backend_name) as url, open_websocket(url, transport=transport) as ws:
        await ws.send(PING)
        assert "float" == await ws.receive()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ws.receive)
            assert 0 <= await ws.ping() < 5
            await ws.send("for the reader")


async def test_the_peers_close_is_understood(anyio_backend_name: str, transport: Any) -> None:
    """With its code and reason."""
    async with foreign_server(anyio_backend_name) as url, open_websocket(url, transport=transport) as ws:
        await ws.send(CLOSE)
        with pytest.raises(WebSocketError) as caught:
            await ws.receive()
        assert (4003, "as you wish") == (caught.value.close_code, caught.value.close_reason)


async def test_our_close_is_understood(anyio_backend_name: str, transport: Any) -> None:
    """The peer answers with the same code."""
    async with foreign_server(anyio_backend_name) as url, open_websocket(url, transport=transport) as ws:
        await ws.close(4004, "enough")
        assert 4004 == ws.close_code


async def test_a_connection_cut_is_1006(anyio_backend_name: str, transport: Any) -> None:
    """However the peer's library cuts it."""
    async with foreign_server(anyio_backend_name) as url, open_websocket(url, transport=transport) as ws:
        await ws.send(ABORT)
        with pytest.raises(WebSocketError) as caught:
            await ws.receive()
        assert 1006 == caught.value.close_code
