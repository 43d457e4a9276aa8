"""Each operation of a connection is cancelled at each of its suspensions, and what it promises is checked."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from websockets.frames import Opcode

from bt_api_base.exceptions import WebSocketError
from bt_api_base.testing.cancellation import sweep_cancellation
from bt_api_base.testing.streams import memory_stream_pair
from bt_api_base.websocket import WebSocketState, open_websocket
from tests.test_frames import frame
from tests.websocket_pair import connected_pair, open_over
from tests.websocket_server import echo, run_connection, serve

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    Operation = Callable[[], Awaitable[object]]

pytestmark = pytest.mark.anyio

PING_AND_TEXT = frame(b"p", opcode=Opcode.PING) + frame(b"a") + frame(b"b")


async def test_opening_over_tcp_leaves_nothing_behind() -> None:
    """Cancelled anywhere from the look-up to the closing handshake, the socket is closed."""

    @asynccontextmanager
    async def scenario() -> AsyncGenerator[Operation]:
        async with serve(echo) as server:

            async def operation() -> None:
                async with open_websocket(server.url) as ws:
                    await ws.send("a")
                    assert "a" == await ws.receive()

            yield operation

    sweep = await sweep_cancellation(scenario)
    assert sweep.suspensions > 5


async def test_opening_in_memory_closes_its_stream() -> None:
    """A connector's stream is closed, wherever the handshake was cancelled."""

    @asynccontextmanager
    async def scenario() -> AsyncGenerator[Operation]:
        client_stream, server_stream = memory_stream_pair()
        handed_over = False

        async def connect(host: str, port: int) -> Any:
            nonlocal handed_over
            await anyio.lowlevel.checkpoint()
            handed_over = True
            return client_stream

        async def operation() -> None:
            async with open_websocket("ws://memory.invalid/", connector=connect):
                pass

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run_connection, server_stream, echo)
            yield operation
            if handed_over:
                with pytest.raises(anyio.ClosedResourceError):
                    await client_stream.receive()
            else:
                await client_stream.aclose()

    sweep = await sweep_cancellation(scenario)
    assert sweep.suspensions > 3


@pytest.mark.parametrize("way", ["receive", "receive_bytes", "batches"])
async def test_receiving_loses_and_doubles_nothing(way: str) -> None:
    """What a cancelled call had read, answers to pings included, is there for the next one."""

    @asynccontextmanager
    async def scenario() -> AsyncGenerator[Operation]:
        received: list[Any] = []
        async with connected_pair() as pair:
            await pair.server.send_bytes(PING_AND_TEXT)

            async def operation() -> None:
                if way == "batches":
                    received.extend(await anext(pair.client.batches()))
                elif way == "receive":
                    received.append(await pair.client.receive())
                else:
                    received.append((await pair.client.receive(decode=False)).decode())

            yield operation
            while len(received) < 2:
                received.append(await pair.client.receive())
            assert ["a", "b"] == received
            await pair.server.read()
            assert [Opcode.PONG] == [received_frame.opcode for received_frame in pair.server.frames]

    sweep = await sweep_cancellation(scenario)
    assert sweep.cancelled
    assert sweep.suspensions >= 1


async def test_sending_sends_all_or_nothing() -> None:
    """A message that goes out at once is sent or not, and the connection goes on; it is never sent by half."""

    @asynccontextmanager
    async def scenario() -> AsyncGenerator[Operation]:
        async with connected_pair() as pair:
            sent = False

            async def operation() -> None:
                nonlocal sent
                await pair.client.send("a")
                sent = True

            yield operation
            if pair.client.state is WebSocketState.OPEN:
                await pair.client.send("b")
                messages = [await pair.server.receive() for _ in range(2 if sent else 1)]
                assert (["a", "b"] if sent else ["b"]) == messages
            else:
                assert not sent
                with pytest.raises(WebSocketError, match="cut off"):
                    await pair.client.receive()

    await sweep_cancellation(scenario)


async def test_sending_over_tcp_never_loses_the_connection_in_vain() -> None:
    """Where the socket takes a message at once, a cancelled send leaves the connection as it was."""

    @asynccontextmanager
    async def scenario() -> AsyncGenerator[Operation]:
        async with serve(echo) as server, open_websocket(server.url) as ws:

            async def operation() -> None:
                await ws.send("a")

            yield operation
            await ws.send("b")
            last = await ws.receive()
            assert "b" == (last if last == "b" else await ws.receive())

    sweep = await sweep_cancellation(scenario)
    assert sweep.suspensions >= 1


async def test_a_cancelled_ping_is_forgotten() -> None:
    """Its answer, when it comes after all, does no harm; the next ping works."""

    @asynccontextmanager
    async def scenario() -> AsyncGenerator[Operation]:
        client_stream, server_stream = memory_stream_pair()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run_connection, server_stream, echo)
            async with open_over(client_stream) as ws, anyio.create_task_group() as readers:

                async def read() -> None:
                    try:
                        await ws.receive()
                    except WebSocketError:
                        return

                readers.start_soon(read)
                await anyio.wait_all_tasks_blocked()

                async def operation() -> None:
                    assert 0 <= await ws.ping()

                yield operation
                if ws.state is WebSocketState.OPEN:
                    assert 0 <= await ws.ping()
                readers.cancel_scope.cancel()

    sweep = await sweep_cancellation(scenario)
    assert sweep.suspensions >= 2


@pytest.mark.parametrize("reading", [False, True])
async def test_closing_releases_the_socket(reading: bool) -> None:
    """A cancelled close closes all the same, and wakes the reader."""

    @asynccontextmanager
    async def scenario() -> AsyncGenerator[Operation]:
        client_stream, server_stream = memory_stream_pair()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run_connection, server_stream, echo)
            async with open_over(client_stream) as ws:

                async def read() -> None:
                    try:
                        async for _ in ws.batches():
                            pass
                    except WebSocketError:
                        return

                if reading:
                    tasks.start_soon(read)
                    await anyio.wait_all_tasks_blocked()

                async def operation() -> None:
                    await ws.close()

                yield operation
                if ws.state is WebSocketState.OPEN:  # cancelled before it began
                    await ws.close()
                assert WebSocketState.CLOSED is ws.state
                with pytest.raises(anyio.ClosedResourceError):
                    await client_stream.receive()

    sweep = await sweep_cancellation(scenario)
    assert sweep.suspensions >= 2


async def test_the_writer_hands_its_work_back() -> None:
    """After a cancelled `run_writer`, the reader sends the answers, and none is lost."""

    @asynccontextmanager
    async def scenario() -> AsyncGenerator[Operation]:
        async with connected_pair() as pair:

            async def operation() -> None:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(pair.client.run_writer)
                    await pair.server.send_bytes(PING_AND_TEXT)
                    assert ["a", "b"] == await anext(pair.client.batches())
                    await anyio.wait_all_tasks_blocked()
                    tasks.cancel_scope.cancel()

            yield operation
            if pair.client.state is WebSocketState.OPEN:
                await pair.server.send_bytes(frame(b"q", opcode=Opcode.PING) + frame(b"end"))
                while "end" not in await anext(pair.client.batches()):
                    pass
                while b"q" not in [bytes(received.data) for received in pair.server.frames]:
                    await pair.server.read()
                assert all(received.opcode is Opcode.PONG for received in pair.server.frames)

    await sweep_cancellation(scenario, leaks=False)
