"""The transport over trio-websocket keeps the same promises; and what it cannot keep is written down here."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trustme

from bt_api_base.exceptions import ConfigurationError, WebSocketError
from bt_api_base.testing.cancellation import sweep_cancellation
from bt_api_base.testing.leaks import assert_no_leaks
from bt_api_base.websocket import WebSocketState, open_websocket
from tests.test_frames import frame
from tests.websocket_server import ServerConnection, echo, serve, serve_streams

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from anyio.abc import ByteStream

    from bt_api_base.websocket import WebSocket

pytestmark = pytest.mark.anyio

SECRET = "s3cr3t-value"


@pytest.fixture
def only_on_trio(anyio_backend_name: str) -> None:
    """Skip on asyncio, where this transport does not run."""
    if anyio_backend_name != "trio":
        pytest.skip("trio-websocket runs on trio")


on_trio = pytest.mark.usefixtures("only_on_trio")


def open_with_trio(url: str, **options: Any) -> AbstractAsyncContextManager[WebSocket]:
    """Open a connection over trio-websocket."""
    return open_websocket(url, transport="trio-websocket", **options)


async def collect(ws: WebSocket, decode: Any = None) -> list[str | bytes]:
    """Return all messages up to a normal close."""
    return [message async for batch in ws.batches(decode) for message in batch]


async def test_it_needs_trio(anyio_backend_name: str) -> None:
    """On asyncio the error says so; nothing is connected."""
    if anyio_backend_name == "trio":
        pytest.skip("this is about asyncio")
    with pytest.raises(ConfigurationError, match="trio only"):
        async with open_with_trio("ws://127.0.0.1:1/"):
            pytest.fail("connected")


@on_trio
@pytest.mark.parametrize("message", ["", "häß€😀", b"\x00\xff", "x" * 70_000], ids=repr)
async def test_messages_come_back_as_they_were_sent(message: str | bytes) -> None:
    """Text arrives as text, binary as binary, or both as bytes where asked for."""
    async with serve(echo) as server, open_with_trio(server.url) as ws:
        await ws.send(message)
        assert message == await ws.receive()
        await ws.send(message)
        expected = message.encode() if isinstance(message, str) else message
        assert expected == await ws.receive(decode=False)
        assert (2, 2) == (ws.statistics().messages_received, ws.statistics().messages_sent)


@on_trio
async def test_the_handshake_is_as_it_was_asked_for() -> None:
    """Subprotocol, headers, path and query."""
    requests: list[Any] = []

    async def handler(connection: ServerConnection) -> None:
        requests.append(connection.request)
        await connection.wait_closed()

    async with (
        serve(handler, subprotocols=["v1"]) as server,
        open_with_trio(server.url + "a?b=c", subprotocols=["v1"], headers={"X-Token": "abc"}) as ws,
    ):
        assert ("v1", server.url + "a") == (ws.subprotocol, ws.url)
        assert "/a?b=c" == requests[0].path
        assert "abc" == requests[0].headers["X-Token"]
        assert isinstance(ws.response_headers, dict)


@on_trio
async def test_a_normal_close_ends_the_iteration() -> None:
    """What came before it is delivered."""

    async def handler(connection: ServerConnection) -> None:
        await connection.send("last")
        await connection.close(1001, "bye")

    async with serve(handler) as server, open_with_trio(server.url) as ws:
        assert ["last"] == await collect(ws)
        assert (WebSocketState.CLOSED, 1001, "bye") == (ws.state, ws.close_code, ws.close_reason)
        assert [] == await collect(ws)
        with pytest.raises(WebSocketError):
            await ws.receive()


@on_trio
@pytest.mark.parametrize("code", [1008, 4001])
async def test_any_other_close_is_an_error(code: int) -> None:
    """It carries code and reason."""

    async def handler(connection: ServerConnection) -> None:
        await connection.close(code, "because")

    async with serve(handler) as server, open_with_trio(server.url) as ws:
        with pytest.raises(WebSocketError) as caught:
            await anext(ws.batches())
        assert (code, "because") == (caught.value.close_code, caught.value.close_reason)
        with pytest.raises(WebSocketError):
            await ws.send("too late")
        with pytest.raises(WebSocketError):
            await ws.ping()


@on_trio
async def test_a_connection_lost_is_an_error() -> None:
    """Without a close frame the code is 1006."""

    async def handler(connection: ServerConnection) -> None:
        await connection.hang_up()

    async with serve(handler) as server, open_with_trio(server.url) as ws:
        with pytest.raises(WebSocketError, match="connection lost") as caught:
            await ws.receive()
        assert 1006 == caught.value.close_code


@on_trio
async def test_a_message_too_big_fails_the_connection() -> None:
    """With 1009, as on the default transport."""

    async def handler(connection: ServerConnection) -> None:
        await connection.send("x" * 101)
        await connection.wait_closed()
        assert 1009 == connection.close_code

    async with serve(handler) as server, open_with_trio(server.url, max_message_size=100) as ws:
        with pytest.raises(WebSocketError) as caught:
            await ws.receive()
        assert 1009 == caught.value.close_code


@on_trio
@pytest.mark.parametrize(("data", "code"), [(frame(b"\xff"), 1007), (frame(b"", opcode=3), 1002)])
async def test_what_the_peer_must_not_send_fails_the_connection(data: bytes, code: int) -> None:
    """The error has the same code as on the default transport; the library does not always tell the peer."""

    async def handler(connection: ServerConnection) -> None:
        await connection.send_bytes(data)
        await connection.wait_closed()

    async with serve(handler) as server, open_with_trio(server.url) as ws:
        with pytest.raises(WebSocketError) as caught:
            await ws.receive()
        assert code == caught.value.close_code


@on_trio
async def test_pings_take_the_time_of_their_round_trip() -> None:
    """And fail when the connection ends."""
    async with serve(echo) as server, open_with_trio(server.url) as ws:
        assert 0 <= await ws.ping() < 5
        assert 0 <= await ws.ping(b"payload")
        with pytest.raises(ValueError, match="125"):
            await ws.ping(bytes(126))


@on_trio
async def test_a_ping_fails_when_the_connection_ends() -> None:
    """The library's own would wait for ever."""

    async def handler(connection: ServerConnection) -> None:
        while not connection.frames:
            connection.protocol.receive_data(await connection.stream.receive())
            connection.frames += connection.protocol.events_received()  # type: ignore[arg-type]
        await connection.hang_up()

    async with serve(handler) as server, open_with_trio(server.url) as ws, anyio.create_task_group() as tasks:
        errors: list[WebSocketError] = []

        async def ping() -> None:
            with pytest.raises(WebSocketError) as caught:
                await ws.ping()
            errors.append(caught.value)

        tasks.start_soon(ping)
        with pytest.raises(WebSocketError):
            await ws.receive()
        await anyio.wait_all_tasks_blocked()
        assert 1 == len(errors)


@on_trio
async def test_two_readers_at_once_are_one_too_many() -> None:
    """The second gets an error."""
    async with serve(echo) as server, open_with_trio(server.url) as ws, anyio.create_task_group() as tasks:
        tasks.start_soon(ws.receive)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.BusyResourceError):
            await ws.receive()
        await ws.send("a")


@on_trio
async def test_a_message_beyond_the_send_limit_is_refused() -> None:
    """It is an error of the caller's, and the connection goes on."""
    async with serve(echo) as server, open_with_trio(server.url, max_send_size=3) as ws:
        with pytest.raises(ValueError, match="4 bytes exceeds"):
            await ws.send("üü")
        await ws.send("abc")
        assert "abc" == await ws.receive()


@on_trio
async def test_a_send_that_makes_no_progress_ends_the_connection() -> None:
    """After ``send_timeout`` seconds."""

    async def handler(connection: ServerConnection) -> None:
        await anyio.sleep_forever()

    async with serve(handler) as server, open_with_trio(server.url, send_timeout=0.05) as ws:
        with pytest.raises(WebSocketError, match="the peer takes nothing"):
            await ws.send(bytes(8_000_000))
        assert WebSocketState.CLOSED is ws.state


@on_trio
async def test_closing_here_ends_a_reader_quietly() -> None:
    """Whatever the code; closing again does nothing."""
    codes: list[int | None] = []

    async def handler(connection: ServerConnection) -> None:
        await connection.wait_closed()
        codes.append(connection.close_code)

    async with serve(handler) as server, open_with_trio(server.url) as ws, anyio.create_task_group() as tasks:
        tasks.start_soon(collect, ws)
        tasks.start_soon(ws.run_writer)
        await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as closers:
            closers.start_soon(ws.close, 4000, "done")
            closers.start_soon(ws.close, 4000, "done")
        await ws.close()
        assert (WebSocketState.CLOSED, 4000) == (ws.state, ws.close_code)
    assert [4000] == codes


@on_trio
async def test_close_is_bounded() -> None:
    """A peer that does not answer holds it up for ``close_timeout`` seconds at most."""

    async def handler(connection: ServerConnection) -> None:
        await anyio.sleep_forever()

    async with serve(handler) as server, open_with_trio(server.url, close_timeout=0.05) as ws:
        await ws.close()
        assert (WebSocketState.CLOSED, 1006) == (ws.state, ws.close_code)


@on_trio
@pytest.mark.parametrize(("error", "code"), [(ZeroDivisionError, 1011), (None, 1001)])
async def test_leaving_the_block_by_an_error_tells_the_server(error: type[Exception] | None, code: int) -> None:
    """An exception leaves as it is, a cancellation too; nothing is left behind."""
    codes: list[int | None] = []

    async def handler(connection: ServerConnection) -> None:
        await connection.wait_closed()
        codes.append(connection.close_code)

    async with assert_no_leaks(), serve(handler) as server:
        if error is not None:
            with pytest.raises(error):
                async with open_with_trio(server.url):
                    raise error
        else:
            with anyio.CancelScope() as scope:
                async with open_with_trio(server.url) as ws:
                    scope.cancel()
                    await ws.receive()
            assert scope.cancelled_caught
    assert [code] == codes


@on_trio
async def test_opening_leaves_nothing_behind() -> None:
    """Cancelled anywhere, the socket is closed."""

    @asynccontextmanager
    async def scenario() -> AsyncGenerator[Callable[[], Awaitable[object]]]:
        async with serve(echo) as server:

            async def operation() -> None:
                async with open_with_trio(server.url) as ws:
                    await ws.send("a")
                    assert "a" == await ws.receive()

            yield operation

    sweep = await sweep_cancellation(scenario)
    assert sweep.suspensions > 5


# How a connection is not made


@on_trio
async def test_nobody_there_is_an_error() -> None:
    """As on the default transport."""
    async with serve(echo) as server:
        pass
    with pytest.raises(WebSocketError, match="connection failed while connecting"):
        async with open_with_trio(server.url):
            pytest.fail("connected")


@on_trio
async def test_a_refusal_tells_status_and_the_servers_words() -> None:
    """Without the secrets of the URL."""

    async def handler(stream: ByteStream) -> None:
        async with stream:
            await stream.receive()
            body = f"no key {SECRET}".encode()
            await stream.send(b"HTTP/1.1 401 No\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    async with assert_no_leaks(), serve_streams(handler) as server:
        with pytest.raises(WebSocketError) as caught:
            async with open_with_trio(f"{server.url}?key={SECRET}"):
                pytest.fail("connected")
    assert (401, False) == (caught.value.venue_code, caught.value.retryable)
    assert "no key ***" == caught.value.venue_message
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}".replace("***", "")


@on_trio
async def test_a_handshake_that_stalls_is_given_up() -> None:
    """After ``connect_timeout`` seconds, and the socket is closed."""

    async def handler(stream: ByteStream) -> None:
        async with stream:
            await anyio.sleep_forever()

    async with assert_no_leaks(), serve_streams(handler) as server:
        with pytest.raises(WebSocketError, match=r"no answer within 0.05 s while in the opening handshake"):
            async with open_with_trio(server.url, connect_timeout=0.05):
                pytest.fail("connected")


@on_trio
@pytest.mark.parametrize("trusted", [False, True])
async def test_tls_is_verified(trusted: bool) -> None:
    """A certificate of an authority that is trusted will do, and no other."""
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server_context)
    client_context = ssl.create_default_context()
    async with serve(echo, ssl_context=server_context) as server:
        if trusted:
            authority.configure_trust(client_context)
            async with open_with_trio(server.url, ssl_context=client_context) as ws:
                await ws.send("a")
                assert "a" == await ws.receive()
        else:
            with pytest.raises(WebSocketError, match="TLS failed") as caught:
                async with open_with_trio(server.url, ssl_context=client_context):
                    pytest.fail("connected")
            assert not caught.value.retryable
