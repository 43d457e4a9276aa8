"""The HTTP client goes the same way as the WebSockets: direct, through each proxy, on every event loop."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest
import trustme
from anyio.streams.buffered import BufferedByteStream

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.testing import PlantedSecret, assert_no_leaks, sweep_cancellation
from bt_api_base.transport import (
    ConnectError,
    ProxyAuthenticationError,
    ProxyError,
    TlsError,
    TransportPolicy,
    http_client,
    httpx_transport,
)
from tests.proxies import run_proxy
from tests.test_transport import NAME, NAMES, PROXIES, client_context, free_port, proxied, server_context
from tests.websocket_server import Server, serve_streams

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from anyio.abc import ByteStream

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority of our own."""
    return trustme.CA()


@asynccontextmanager
async def serve_http(
    answer: bytes = b"", *, ssl_context: ssl.SSLContext | None = None
) -> AsyncGenerator[tuple[Server, list[str]]]:
    """Run a server that answers each request with the line it asked in, or with ``answer``; and note the lines.

    After ``/last`` it hangs up.
    """
    lines: list[str] = []

    async def handler(plain: ByteStream) -> None:
        async with plain:
            stream = BufferedByteStream(plain)
            while True:
                try:
                    head = await stream.receive_until(b"\r\n\r\n", 65_536)
                    line = head.split(b"\r\n")[0]
                    lines.append(line.decode())
                    await stream.send(answer or b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(line), line))
                except (anyio.IncompleteRead, anyio.BrokenResourceError):
                    return
                if b"/last" in line:
                    return

    async with serve_streams(handler, ssl_context=ssl_context) as server:
        yield server, lines


async def test_requests_go_directly() -> None:
    """Several over one connection; a connection that the server has closed meanwhile is not used again."""
    async with assert_no_leaks(), serve_http() as (server, lines), http_client() as client:
        url = server.url.replace("ws", "http")
        assert "GET /a?b=c HTTP/1.1" == (await client.get(f"{url}a?b=c")).text
        assert "POST /last HTTP/1.1" == (await client.post(f"{url}last")).text
        await anyio.sleep(0.01)
        assert "GET /again HTTP/1.1" == (await client.get(f"{url}again")).text
    assert 3 == len(lines)


@pytest.mark.parametrize("kind", PROXIES)
async def test_requests_go_through_every_proxy(kind: str, authority: trustme.CA) -> None:
    """Plain and with TLS, by a name that only the proxy knows."""
    context = server_context(authority, NAME)
    async with (
        assert_no_leaks(),
        serve_http() as (plain, _),
        serve_http(ssl_context=context) as (secure, _),
        proxied(kind, authority) as (proxy, policy),
    ):
        trusting = TransportPolicy(
            proxy=policy.proxy,
            proxy_ssl_context=policy.proxy_ssl_context,
            ssl_context=client_context(authority),
        )
        async with http_client(trusting) as client:
            for _ in range(2):
                assert "GET /x HTTP/1.1" == (await client.get(f"http://{NAME}:{plain.port}/x")).text
                assert "GET /y HTTP/1.1" == (await client.get(f"https://{NAME}:{secure.port}/y")).text
        assert [(NAME, plain.port), (NAME, secure.port)] == proxy.asked
        assert 2 == proxy.connections


async def test_the_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its proxies nor its certificates, nor the passwords in the home directory."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    async with serve_http() as (server, _), http_client() as client:
        assert 200 == (await client.get(server.url.replace("ws", "http"))).status_code


async def test_options_are_those_of_httpx() -> None:
    """But for those that say how to connect, which the policy does."""
    async with (
        serve_http() as (server, _),
        http_client(
            base_url=server.url.replace("ws", "http"), headers={"a": "b"}, limits=httpx.Limits(max_connections=1)
        ) as client,
    ):
        assert "b" == (await client.get("path")).request.headers["a"]
    for option in ("verify", "proxy", "trust_env", "transport", "mounts", "cert"):
        with pytest.raises(ConfigurationError, match=f"for the transport policy to say, not for {option}"):
            http_client(**{option: False})


async def test_a_transport_serves_a_client_of_ones_own() -> None:
    """With whatever else it does."""
    async with serve_http() as (server, _), run_proxy("http") as proxy:
        transport = httpx_transport(TransportPolicy(proxy=proxy.url))
        async with httpx.AsyncClient(transport=transport) as client:
            assert 200 == (await client.get(server.url.replace("ws", "http"))).status_code
        assert 1 == proxy.connections


async def test_certificates_are_verified(authority: trustme.CA) -> None:
    """By the system's authorities unless there are others."""
    async with assert_no_leaks(), serve_http(ssl_context=server_context(authority, "localhost")) as (server, _):
        url = server.url.replace("ws", "http")
        async with http_client() as client:
            with pytest.raises(httpx.ConnectError, match="TLS failed: localhost: ") as caught:
                await client.get(url)
        assert [TlsError, ssl.SSLCertVerificationError] == [type(cause) for cause in chain(caught.value)]
        async with http_client(TransportPolicy(ssl_context=client_context(authority))) as client:
            assert 200 == (await client.get(url)).status_code
            with pytest.raises(httpx.ConnectError):
                await client.get(url.replace("localhost", "127.0.0.1"))


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_errors_are_those_of_httpx(scheme: str) -> None:
    """Each with ours, which tells more, as its cause."""
    port = free_port()
    async with assert_no_leaks(), run_proxy(scheme, credentials=("user", "word"), names=NAMES) as proxy:
        for url, error, cause in (
            (proxy.url, httpx.ProxyError, ProxyAuthenticationError),
            (proxy.url_for("user", "word"), httpx.ProxyError, ProxyError),
            (f"{scheme}://127.0.0.1:{port}", httpx.ConnectError, ConnectError),
        ):
            async with http_client(TransportPolicy(proxy=url)) as client:
                with pytest.raises(error) as caught:
                    await client.get(f"http://{NAME}:{port}/")
            assert isinstance(caught.value.__cause__, cause)
        proxy.hangs = True
        async with http_client(TransportPolicy(proxy=proxy.url, connect_timeout=0.05)) as client:
            with pytest.raises(httpx.ConnectTimeout, match=r"within 0\.05 s"):
                await client.get(f"http://{NAME}:{port}/")


async def test_a_server_that_says_nothing_is_given_up() -> None:
    """Neither in its answer nor in the TLS handshake."""

    async def handler(stream: ByteStream) -> None:
        async with stream:
            await anyio.sleep(5)

    async with (
        assert_no_leaks(),
        serve_streams(handler) as server,
        http_client(timeout=0.05) as client,
    ):
        with pytest.raises(httpx.ReadTimeout):
            await client.get(f"http://127.0.0.1:{server.port}/")
        with pytest.raises(httpx.ConnectTimeout):
            await client.get(f"https://127.0.0.1:{server.port}/")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", httpx.RemoteProtocolError),
        (b"x\r\n", httpx.ProtocolError),
    ],
)
async def test_a_server_that_hangs_up_is_an_error(answer: bytes, error: type[Exception]) -> None:
    """In the middle of its answer."""
    async with assert_no_leaks(), serve_http(answer) as (server, _), http_client() as client:
        with pytest.raises(error):
            await client.get(f"http://127.0.0.1:{server.port}/last")


async def test_cancelled_anywhere_nothing_is_left(authority: trustme.CA) -> None:
    """Not in the tunnel, not in the handshake in it, not in the request."""
    context = server_context(authority, NAME)
    async with (
        serve_http(ssl_context=context) as (server, _),
        run_proxy("http", names=NAMES) as proxy,
    ):
        policy = TransportPolicy(proxy=proxy.url, ssl_context=client_context(authority))

        @asynccontextmanager
        async def scenario() -> AsyncGenerator[Callable[[], Awaitable[object]]]:
            async def ask() -> None:
                async with http_client(policy) as client:
                    await client.get(f"https://{NAME}:{server.port}/")

            yield ask

        # A socket of ours that is left open is a ResourceWarning, and so an error.
        sweep = await sweep_cancellation(scenario, leaks=False)
        assert sweep.suspensions > 8
        with anyio.fail_after(5):
            while proxy.opened:  # noqa: ASYNC110  # the other side ends in its own time
                await anyio.sleep(0.001)


async def test_secrets_show_nowhere(planted_secret: PlantedSecret, authority: trustme.CA) -> None:
    """Neither those of the proxy nor those of the request, whose URL other libraries log."""
    value = planted_secret.value
    async with serve_http() as (server, _), run_proxy("http", credentials=("user", value)) as proxy:
        url = f"http://user:{value}@127.0.0.1:{server.port}/?signature={value}"
        headers = {"X-MBX-APIKEY": value, "Authorization": f"Bearer {value}"}
        async with http_client(TransportPolicy(proxy=proxy.url_for("user", value)), headers=headers) as client:
            response = await client.get(url)
            assert 200 == response.status_code
            planted_secret.check(repr(client), repr(response), str(response.headers))
            proxy.credentials = ("user", "another")
            with pytest.raises(httpx.ProxyError) as caught:
                await client.get(f"http://127.0.0.2:{server.port}/")
            planted_secret.check(str(caught.value), repr(caught.value), *chain(caught.value))
        for error, target in ((httpx.ConnectError, "http"), (httpx.ConnectError, "socks5")):
            async with http_client(TransportPolicy(proxy=f"{target}://user:{value}@127.0.0.1:{free_port()}")) as client:
                with pytest.raises(error) as failed:
                    await client.get(f"http://127.0.0.1:1/?signature={value}", headers=headers)
                planted_secret.check(str(failed.value), *chain(failed.value))


def chain(error: BaseException) -> list[BaseException]:
    """Return the causes of an exception, the nearest first."""
    causes = []
    while error.__cause__ is not None:
        error = error.__cause__
        causes.append(error)
    return causes
