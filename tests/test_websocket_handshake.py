"""How a connection is made, and how it is not: addresses, TLS, answers of all sorts, deadlines, secrets."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trustme
from websockets.server import ServerProtocol

import bt_api_base
from bt_api_base.exceptions import ConfigurationError, WebSocketError
from bt_api_base.testing.leaks import assert_no_leaks
from bt_api_base.testing.streams import memory_stream_pair
from bt_api_base.transport import ConnectError
from bt_api_base.websocket import open_websocket
from bt_api_base.websocket._dial import parse_url, safe_url
from tests.test_frames import close_frame, frame
from tests.websocket_pair import open_over
from tests.websocket_server import ServerConnection, echo, serve, serve_streams

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import ByteStream

pytestmark = pytest.mark.anyio

SECRET = "s3cr3t-value"


def answer(data: bytes, *, end: bool = True) -> Callable[[ByteStream], Awaitable[None]]:
    """Return a server that reads a request and answers with ``data``, whatever was asked."""

    async def handler(stream: ByteStream) -> None:
        async with stream:
            request = b""
            while b"\r\n\r\n" not in request:
                request += await stream.receive()
            await stream.send(data)
            if not end:
                await anyio.sleep(5)

    return handler


def acceptance(request: bytes) -> bytes:
    """Return the response that accepts a request."""
    protocol = ServerProtocol()
    protocol.receive_data(request)
    (event,) = protocol.events_received()
    protocol.send_response(protocol.accept(event))  # type: ignore[arg-type]
    return b"".join(protocol.data_to_send())


async def refusal(data: bytes, *, end: bool = True, path: str = "", **options: Any) -> WebSocketError:
    """Return the error of a client that is answered with ``data``."""
    async with assert_no_leaks(), serve_streams(answer(data, end=end)) as server:
        with pytest.raises(WebSocketError) as caught:
            async with open_websocket(server.url + path, **options):
                pytest.fail("connected")
    return caught.value


# The URL


@pytest.mark.parametrize(
    "url", ["", "http://localhost/", "ws://", "ws://host/#part", "ws://host:port/", "ws://host/a b", "ws://a..b/"]
)
async def test_what_is_no_websocket_url_is_refused(url: str) -> None:
    """The error does not quote it, for it may hold secrets."""
    with pytest.raises(ConfigurationError, match="not a WebSocket URL"):
        async with open_websocket(url):
            pytest.fail("connected")
    with pytest.raises(ConfigurationError) as caught:
        parse_url(f"http://host/?{SECRET}")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ws://host", "ws://host"),
        ("WSS://Host:443/path", "wss://host/path"),
        ("wss://host:9443/ws?listenKey=abc", "wss://host:9443/ws"),
        ("ws://user:password@host/", "ws://host/"),
        ("ws://[::1]:80/", "ws://[::1]/"),
        (f"wss://host/ws/{'k' * 60}", "wss://host/ws/***"),
        ("wss://host/ws/btcusdt@trade/ethusdt@trade", "wss://host/ws/btcusdt@trade/ethusdt@trade"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, expected: str) -> None:
    """User, password and query are left out, and so is what looks like a key in the path."""
    assert expected == safe_url(parse_url(url))


# The request


async def test_the_request_says_what_it_was_told_to() -> None:
    """Path, query, further headers, and who asks."""
    requests: list[Any] = []

    async def handler(connection: ServerConnection) -> None:
        requests.append(connection.request)
        await connection.wait_closed()

    async with serve(handler) as server:
        headers = {"X-Token": "abc", "Host": "example.test"}
        async with open_websocket(server.url + "a/b?c=d", headers=headers):
            pass
        async with open_websocket(server.url, headers={"User-Agent": "me"}):
            pass
    first, second = requests
    assert ("/a/b?c=d", "abc") == (first.path, first.headers["X-Token"])
    assert (["example.test"], f"bt_api_base/{bt_api_base.__version__}") == (
        first.headers.get_all("Host"),
        first.headers["User-Agent"],
    )
    assert ["me"] == second.headers.get_all("User-Agent")


@pytest.mark.parametrize(
    "headers",
    [
        {"a b": "c"},
        {"a": f"{SECRET}\r\nInjected: x"},
        {"a": f"{SECRET}€"},
        {"Upgrade": "x"},
        {"Sec-WebSocket-Key": "x"},
    ],
)
async def test_headers_that_cannot_be_sent_are_refused(headers: dict[str, str]) -> None:
    """Before anything is sent, and without a word of the value."""
    with pytest.raises(ConfigurationError) as caught:
        async with open_websocket("ws://127.0.0.1:1/", headers=headers):
            pytest.fail("connected")
    assert SECRET not in str(caught.value)


async def test_the_local_address_can_be_chosen() -> None:
    """A machine with several addresses connects from the one that is asked for."""
    peers: list[Any] = []

    async def handler(stream: ByteStream) -> None:
        peers.append(stream.extra(anyio.abc.SocketAttribute.remote_address))
        await stream.aclose()

    async with serve_streams(handler) as server:
        with pytest.raises(WebSocketError):
            async with open_websocket(server.url, local_address="127.0.0.2"):
                pytest.fail("connected")
    assert "127.0.0.2" == peers[0][0]


# The answer


async def test_frames_may_come_with_the_response() -> None:
    """Bytes after the response's end are frames, wherever the network cuts."""
    for sizes in ([], [1] * 1000, [150]):
        client_stream, server_stream = memory_stream_pair()
        client_stream.chunk(sizes)

        async def respond(stream: ByteStream = server_stream) -> None:
            response = acceptance(await stream.receive())
            await stream.send(response + frame(b"first") + frame(b"second") + close_frame(1000))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(respond)
            async with open_over(client_stream) as ws:
                assert "first" == await ws.receive()
                assert "second" == await ws.receive()
                await server_stream.aclose()
                assert [] == [batch async for batch in ws.batches()]


async def test_a_refusal_tells_status_and_the_servers_words() -> None:
    """Both are in the error, whose kind of status says whether to try again."""
    error = await refusal(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 9\r\n\r\nslow down")
    assert (429, "slow down", True) == (error.venue_code, error.venue_message, error.retryable)
    assert "HTTP 429 Too Many Requests" in str(error)
    error = await refusal(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
    assert (401, None, False) == (error.venue_code, error.venue_message, error.retryable)
    error = await refusal(b"HTTP/1.1 503 Busy\r\n\r\nuntil the end")
    assert (503, "until the end", True) == (error.venue_code, error.venue_message, error.retryable)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (b"Retry-After: 30\r\n", 30.0),
        (b"retry-after:  0 \r\n", 0.0),
        (
            b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:51:07 GMT\r\n",
            90.0,
        ),
        (b"Date: nonsense\r\nRetry-After: Sun, 06 Nov 1994 08:51:07 GMT\r\n", 0.0),
        (b"Retry-After: Sun, 06 Nov 1994 08:51:07 GMT\r\n", 0.0),
        (b"Retry-After: -1\r\n", None),
        (b"Retry-After: 1e9\r\n", None),
        (b"Retry-After: 99999999999\r\n", None),
        (b"Retry-After: soon\r\n", None),
        (b"Retry-After: Sun, 99 Nov 9999999 08:49:37 GMT\r\n", None),
        (b"Retry-After: 1\r\nRetry-After: 2\r\n", None),
        (b"", None),
    ],
)
async def test_a_refusal_tells_when_to_come_back(headers: bytes, seconds: float | None) -> None:
    """In seconds from now, also where the server gives a date, which is by its own clock."""
    error = await refusal(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n" + headers + b"\r\n")
    assert seconds == error.retry_after
    assert bool(seconds) == ("retry after" in str(error))


@pytest.mark.virtual_time
async def test_a_refusal_whose_body_never_ends_is_a_refusal() -> None:
    """The status is enough; the body is waited for shortly."""
    client_stream, _server_stream = memory_stream_pair()
    client_stream.feed(b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 100\r\n\r\npart")
    with pytest.raises(WebSocketError) as caught:
        async with open_over(client_stream):
            pytest.fail("connected")
    assert 418 == caught.value.venue_code


async def test_redirects_are_not_followed() -> None:
    """To follow one would carry credentials elsewhere."""
    error = await refusal(b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
    assert "HTTP 302 Found; redirects are not followed" in str(error)
    assert not error.retryable


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "not HTTP"),
        (b"HTTP/2.0 200 OK\r\n\r\n", "not HTTP"),
        (b"\x00" * 100_000, "has no end within"),
        (b"HTTP/1.1 101 Switching Protocols\r\n" + b"A: b\r\n" * 30_000, "has no end within"),
        (b"HTTP/1.1 101 Switching Protocols\r\nA: " + b"b" * 9000 + b"\r\n\r\n", "handshake is invalid"),
        (b"HTTP/1.1 101 Switching Protocols\r\n" + b"A: b\r\n" * 200 + b"\r\n", "handshake is invalid"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "handshake is invalid"),
        (
            (
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: wrong\r\n\r\n"
            ),
            "handshake is invalid",
        ),
        (b"HTTP/1.1 101 Switching", "hung up"),
        (b"", "hung up"),
    ],
    ids=lambda value: repr(value[:40]),
)
async def test_an_answer_that_is_no_handshake_is_an_error(data: bytes, text: str) -> None:
    """With limits on what is read, and nothing left behind."""
    error = await refusal(data)
    assert text in str(error)


async def test_secrets_of_the_url_are_in_no_error() -> None:
    """Neither the query nor the user information, also if the server repeats them."""
    body = f"no such key: {SECRET}, ?key={SECRET}".encode()
    data = b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    error = await refusal(data, path=f"ws/x?key={SECRET}&b=1")
    chain: list[BaseException | None] = [error, error.__cause__, error.__context__]
    for shown in chain:
        assert SECRET not in f"{shown!s} {shown!r}"
    assert error.venue_message is not None
    assert error.venue_message.startswith("no such key: ***")


async def test_nobody_there_is_an_error() -> None:
    """A refused TCP connection is a `WebSocketError` with its causes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(WebSocketError, match="connection failed while connecting") as caught:
        async with open_websocket(f"ws://127.0.0.1:{port}/?key={SECRET}"):
            pytest.fail("connected")
    assert isinstance(caught.value.__cause__, ConnectError)
    assert isinstance(caught.value.__cause__.__cause__, OSError)
    assert caught.value.retryable


@pytest.mark.virtual_time
@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 101 Switching Protocols\r\n"])
async def test_a_handshake_that_stalls_is_given_up(data: bytes) -> None:
    """After ``connect_timeout`` seconds in all."""
    client_stream, _server_stream = memory_stream_pair()
    client_stream.feed(data)
    started = anyio.current_time()
    with pytest.raises(WebSocketError, match="no answer within 7 s while in the opening handshake") as caught:
        async with open_over(client_stream, connect_timeout=7.0):
            pytest.fail("connected")
    assert 7.0 == pytest.approx(anyio.current_time() - started, abs=0.2)
    assert isinstance(caught.value.__cause__, TimeoutError)
    with pytest.raises(anyio.ClosedResourceError):
        await client_stream.receive()


@pytest.mark.virtual_time
async def test_connecting_that_stalls_is_given_up() -> None:
    """The limit holds for TCP, and for whatever takes its place."""

    async def connect(host: str, port: int) -> ByteStream:
        await anyio.sleep_forever()
        raise AssertionError

    with pytest.raises(WebSocketError, match="no answer within 3 s while connecting"):
        async with open_websocket("ws://host/", connector=connect, connect_timeout=3.0):
            pytest.fail("connected")


async def test_an_unknown_transport_is_refused() -> None:
    """The error names those there are."""
    with pytest.raises(ConfigurationError, match="'anyio' or 'trio-websocket'"):
        async with open_websocket("ws://host/", transport="carrier-pigeon"):  # type: ignore[arg-type]
            pytest.fail("connected")


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority of our own."""
    return trustme.CA()


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """Return the TLS settings of a server with a certificate for ``names``."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


def client_context(authority: trustme.CA) -> ssl.SSLContext:
    """Return the TLS settings of a client that trusts ``authority``."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_messages_go_through_tls(authority: trustme.CA) -> None:
    """With a certificate that the client trusts, all is as without TLS."""
    context = server_context(authority, "localhost")
    async with (
        serve(echo, ssl_context=context) as server,
        open_websocket(server.url, ssl_context=client_context(authority)) as ws,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(ws.run_writer)
        await ws.send("x" * 300_000)
        assert "x" * 300_000 == await ws.receive()
        assert server.url.startswith("wss://localhost:")
        await ws.close()
        assert 1000 == ws.close_code


@pytest.mark.parametrize("trusted", [False, True])
async def test_certificates_are_verified(authority: trustme.CA, trusted: bool) -> None:
    """Neither an unknown authority nor another host's certificate will do; there is no point in trying again."""
    name = "elsewhere.test" if trusted else "localhost"
    options = {"ssl_context": client_context(authority)} if trusted else {}
    async with serve(echo, ssl_context=server_context(authority, name)) as server:
        with pytest.raises(WebSocketError, match="TLS failed") as caught:
            async with open_websocket(server.url, **options):  # type: ignore[arg-type]
                pytest.fail("connected")
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
        assert not caught.value.retryable


async def test_a_server_without_tls_is_an_error() -> None:
    """It is not mistaken for one with."""

    async def handler(stream: ByteStream) -> None:
        async with stream:
            await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serve_streams(handler) as server:
        with pytest.raises(WebSocketError):
            async with open_websocket(f"wss://localhost:{server.port}/"):
                pytest.fail("connected")


async def test_a_connection_cut_under_tls_is_lost(authority: trustme.CA) -> None:
    """Without a close frame, the end of a TLS stream is 1006 like any other."""

    async def handler(connection: ServerConnection) -> None:
        await connection.send("last")
        await anyio.aclose_forcefully(connection.stream)

    async with (
        serve(handler, ssl_context=server_context(authority, "localhost")) as server,
        open_websocket(server.url, ssl_context=client_context(authority)) as ws,
    ):
        assert "last" == await ws.receive()
        with pytest.raises(WebSocketError) as caught:
            await ws.receive()
        assert 1006 == caught.value.close_code
