"""How connections leave this machine: what a policy says, and streams and WebSockets through real proxies."""

from __future__ import annotations

import socket
import ssl
import sys
import traceback
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest
import trustme
from anyio.abc import SocketAttribute

from bt_api_base.exceptions import AuthenticationError, ConfigurationError, NetworkError, WebSocketError
from bt_api_base.testing import assert_no_leaks, sweep_cancellation
from bt_api_base.transport import (
    ConnectError,
    NameResolutionError,
    Proxy,
    ProxyAuthenticationError,
    ProxyError,
    TlsError,
    TransportPolicy,
    connector,
)
from bt_api_base.websocket import open_websocket
from tests.proxies import run_proxy
from tests.websocket_server import echo, serve, serve_streams

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from anyio.abc import ByteStream

    from bt_api_base.websocket import WebSocket

NAME = "venue.test"
"""A name that no name server knows: it is reserved for tests (RFC 6761)."""

NAMES = {NAME: "127.0.0.1"}
USER = ("user", "p:ss w0rd/@")
QUOTED = ("user", "p%3Ass%20w0rd%2F%40")


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


async def echo_stream(stream: ByteStream) -> None:
    """Send back what comes."""
    async with stream:
        while True:
            try:
                await stream.send(await stream.receive())
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return


async def check_echo(stream: ByteStream) -> None:
    """Assert that bytes go through a stream and come back."""
    async with stream:
        await stream.send(b"there")
        assert b"there" == await stream.receive()


async def check_websocket(ws: WebSocket) -> None:
    """Assert that messages go through a WebSocket and come back."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ws.run_writer)
        await ws.send("there")
        assert "there" == await ws.receive()
        await ws.close()


class TestProxyUrl:
    """What is read of the URL of a proxy."""

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("http://host:3128", ("http", "host", 3128, None, None)),
            ("http://host", ("http", "host", 80, None, None)),
            ("https://host/", ("https", "host", 443, None, None)),
            ("HTTP://Host:1", ("http", "host", 1, None, None)),
            ("socks5://host", ("socks5", "host", 1080, None, None)),
            ("socks5h://[::1]:9050", ("socks5", "::1", 9050, None, None)),
            ("http://user:pass@host:1", ("http", "host", 1, "user", "pass")),
            ("http://user@host:1", ("http", "host", 1, "user", "")),
            ("socks5://us%20er:p%40ss@host:1", ("socks5", "host", 1, "us er", "p@ss")),
            ("http://user:p%C3%A9@host:1", ("http", "host", 1, "user", "pé")),
        ],
    )
    def test_is_read(self, url: str, expected: tuple[object, ...]) -> None:
        """Default ports by scheme, percent signs decoded, and the two names of SOCKS5 mean the same."""
        proxy = Proxy.from_url(url)
        credentials = [None if part is None else part.reveal() for part in (proxy.username, proxy.password)]
        assert expected == (proxy.scheme, proxy.host, proxy.port, *credentials)

    @pytest.mark.parametrize(
        ("url", "problem"),
        [
            ("ftp://host", "begins with none of"),
            ("socks4://host", "begins with none of"),
            ("host:3128", "begins with none of"),
            ("", "begins with none of"),
            ("http://", "no host"),
            ("http://host:0", "port 0"),
            ("http://host:port", "ValueError"),
            ("http://host:99999", "ValueError"),
            ("http://a..b", r"Unicode\w*Error"),
            ("http://host/path", "something follows"),
            ("http://host?a", "something follows"),
            ("http://host#a", "something follows"),
            ("http://ho st", "white space"),
            ("http://user:%00@host", "control characters in user"),
            ("http://us%3Aer:a@host", "a colon in the user"),
            ("http://:password@host", "a password without a user"),
            ("socks5://user@host", "a user without a password"),
            ("socks5://user:%C3%A9@host", "in ASCII"),
            (f"socks5://user:{'x' * 256}@host", "255 characters"),
        ],
    )
    def test_what_is_none_is_refused(self, url: str, problem: str) -> None:
        """With what is wrong with it."""
        with pytest.raises(ConfigurationError, match=f"not the URL of a proxy: .*{problem}"):
            TransportPolicy(proxy=url)

    def test_its_text_is_the_url_without_credentials(self) -> None:
        """For logs and errors."""
        assert "http://host:3128" == str(Proxy.from_url("http://user:password@host:3128"))
        assert "socks5://[::1]:1080" == str(Proxy.from_url("socks5h://[::1]"))
        assert "password'" not in repr(TransportPolicy(proxy="http://user:password@host"))


class TestPolicy:
    """What a policy takes, and what it makes of it."""

    def test_by_default_the_way_is_direct_and_verified(self) -> None:
        """Whatever the environment says."""
        policy = TransportPolicy()
        assert (None, None, None) == (policy.proxy, policy.ssl_context, policy.local_address)

    @pytest.mark.parametrize(
        "options",
        [
            {"connect_timeout": 0},
            {"connect_timeout": float("inf")},
            {"happy_eyeballs_delay": -1.0},
            {"happy_eyeballs_delay": float("nan")},
            {"local_address": "localhost"},
            {"local_address": ""},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, options: dict[str, Any]) -> None:
        """When the policy is made, not when it is used."""
        (name,) = options
        with pytest.raises(ConfigurationError, match=f"{name} has to be"):
            TransportPolicy(**options)

    def test_verification_has_no_switch(self) -> None:
        """A context without it is the program's own, and shows."""
        assert not [name for name in attrs.fields_dict(TransportPolicy) if "verif" in name]
        assert "ssl_context=<SSLContext CERT_REQUIRED, host name checked>" in repr(
            TransportPolicy(ssl_context=ssl.create_default_context())
        )
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        assert "ssl_context=<SSLContext CERT_NONE>" in repr(TransportPolicy(ssl_context=context))

    @pytest.mark.parametrize(
        ("environ", "expected"),
        [
            ({}, "None"),
            ({"HTTPS_PROXY": "http://a:1"}, "http://a:1"),
            ({"HTTPS_PROXY": "http://a:1", "https_proxy": "http://b:2"}, "http://b:2"),
            ({"ALL_PROXY": "socks5://a", "HTTPS_PROXY": "http://b:2"}, "http://b:2"),
            ({"ALL_PROXY": "socks5://a", "HTTPS_PROXY": " "}, "socks5://a:1080"),
            ({"all_proxy": "a:3128"}, "http://a:3128"),
            ({"HTTP_PROXY": "http://a:1"}, "None"),
        ],
    )
    def test_the_environment_is_read_when_asked_for(self, environ: dict[str, str], expected: str) -> None:
        """What is for plain HTTP is not for venues: anybody who sends a CGI program a header can set it."""
        assert expected == str(TransportPolicy.from_environment(environ).proxy)

    def test_the_process_environment_is_the_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """And what is read of it can be added to."""
        monkeypatch.setenv("https_proxy", "http://a:1")
        monkeypatch.setenv("no_proxy", "localhost, .internal ,127.0.0.1")
        assert TransportPolicy().proxy is None
        policy = attrs.evolve(TransportPolicy.from_environment(), connect_timeout=3.0)
        assert ("http://a:1", ("localhost", "internal", "127.0.0.1"), 3.0) == (
            str(policy.proxy),
            policy.no_proxy,
            policy.connect_timeout,
        )

    @pytest.mark.parametrize(
        ("host", "direct"),
        [
            ("localhost", True),
            ("LOCALHOST.", True),
            ("a.internal", True),
            ("internal", True),
            ("ainternal", False),
            ("127.0.0.1", True),
            ("127.0.0.2", False),
            ("venue.test", False),
        ],
    )
    def test_some_hosts_are_reached_without_the_proxy(self, host: str, direct: bool) -> None:
        """Names with what is below them, and addresses."""
        policy = TransportPolicy(proxy="http://a:1", no_proxy="localhost,.internal,127.0.0.1")
        assert direct == (policy.proxy_for(host) is None)
        assert TransportPolicy(proxy="http://a:1", no_proxy=["*"]).proxy_for(host) is None


@pytest.mark.anyio
class TestDirect:
    """Streams without a proxy."""

    async def test_connects(self) -> None:
        """By address and by name."""
        async with assert_no_leaks(), serve_streams(echo_stream) as server:
            for host in ("127.0.0.1", "localhost"):
                await check_echo(await connector()(host, server.port))

    async def test_from_the_local_address(self) -> None:
        """A machine with several addresses connects from the one that is asked for."""
        policy = TransportPolicy(local_address="127.0.0.2")
        async with serve_streams(echo_stream) as server:
            stream = await connector(policy)("127.0.0.1", server.port)
            assert "127.0.0.2" == stream.extra(SocketAttribute.local_address)[0]
            await stream.aclose()

    async def test_nobody_there_is_retried(self) -> None:
        """A refused connection is a `ConnectError` that says where."""
        port = free_port()
        with pytest.raises(ConnectError, match=rf"^127\.0\.0\.1:{port}: ") as caught:
            await connector()("127.0.0.1", port)
        assert caught.value.retryable
        assert isinstance(caught.value.__cause__, OSError)
        assert "ConnectionRefusedError" in "".join(traceback.format_exception(caught.value))

    async def test_a_name_that_is_not_resolved_is_retried(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is told from a refused connection, and so in a WebSocket's error."""

        async def connect_tcp(*args: object, **options: object) -> ByteStream:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(anyio, "connect_tcp", connect_tcp)
        with pytest.raises(NameResolutionError, match=r"name resolution failed: venue\.test:1: Name or") as caught:
            await connector()(NAME, 1)
        assert caught.value.retryable
        with pytest.raises(WebSocketError, match="name resolution failed") as websocket_error:
            async with open_websocket(f"ws://{NAME}/"):
                pytest.fail("connected")
        assert isinstance(websocket_error.value.__cause__, NameResolutionError)
        assert websocket_error.value.retryable
        with pytest.raises(NameResolutionError, match=r"the proxy http://venue\.test:80: Name"):
            await connector(TransportPolicy(proxy=f"http://{NAME}"))("127.0.0.1", 1)

    async def test_what_is_no_host_is_refused(self) -> None:
        """Before anybody is asked to resolve it."""
        for host in ("a..b", "", "x" * 64):
            with pytest.raises(ConfigurationError, match="not the name of a host"):
                await connector()(host, 1)


PROXIES = ["http", "http+user", "https+user", "socks5", "socks5+user"]


@asynccontextmanager
async def proxied(kind: str, authority: trustme.CA, **options: Any) -> AsyncGenerator[tuple[Any, TransportPolicy]]:
    """Run a proxy of a kind, and yield it with the policy that leads through it."""
    scheme, _, user = kind.partition("+")
    context = server_context(authority, "localhost") if scheme == "https" else None
    async with run_proxy(
        scheme, credentials=USER if user else None, names=NAMES, ssl_context=context, **options
    ) as proxy:
        url = proxy.url_for(*QUOTED) if user else proxy.url
        yield proxy, TransportPolicy(proxy=url, proxy_ssl_context=client_context(authority), connect_timeout=5.0)


@pytest.fixture(params=["anyio", "trio-websocket"])
def transport(request: pytest.FixtureRequest, anyio_backend_name: str) -> Any:
    """Each transport that there is."""
    if request.param == "trio-websocket" and anyio_backend_name != "trio":
        pytest.skip("trio-websocket runs on trio")
    return request.param


@pytest.mark.anyio
@pytest.mark.parametrize("kind", PROXIES)
class TestThroughEveryProxy:
    """What holds for HTTP CONNECT and SOCKS5 alike."""

    async def test_bytes_go_through(self, kind: str, authority: trustme.CA) -> None:
        """In one connection to the proxy, with the credentials it wants."""
        async with assert_no_leaks(), serve_streams(echo_stream) as server, proxied(kind, authority) as (proxy, policy):
            await check_echo(await connector(policy)(NAME, server.port))
            assert (1, [(NAME, server.port)]) == (proxy.connections, proxy.asked)
            assert ([USER] if "+" in kind else []) == proxy.authorizations

    async def test_the_proxy_resolves_names(self, kind: str, authority: trustme.CA, transport: Any) -> None:
        """A name that only it knows is reached; addresses are passed on as they are."""
        async with serve(echo) as server, proxied(kind, authority) as (proxy, policy):
            async with open_websocket(f"ws://{NAME}:{server.port}/", policy=policy, transport=transport) as ws:
                await check_websocket(ws)
            await (await connector(policy)("127.0.0.1", server.port)).aclose()
            assert [(NAME, server.port), ("127.0.0.1", server.port)] == proxy.asked

    async def test_tls_is_with_the_venue(self, kind: str, authority: trustme.CA, transport: Any) -> None:
        """Its certificate is verified for its own name, through the proxy."""
        context = server_context(authority, NAME)
        async with serve(echo, ssl_context=context) as server, proxied(kind, authority) as (_, plain):
            policy = attrs.evolve(plain, ssl_context=client_context(authority))
            async with open_websocket(f"wss://{NAME}:{server.port}/", policy=policy, transport=transport) as ws:
                await check_websocket(ws)
            with pytest.raises(WebSocketError, match="TLS failed") as caught:
                async with open_websocket(f"wss://127.0.0.1:{server.port}/", policy=policy, transport=transport):
                    pytest.fail("connected")
            assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
            assert not caught.value.retryable

    async def test_a_host_that_is_not_there_is_retried(self, kind: str, authority: trustme.CA) -> None:
        """It is the proxy that says so."""
        async with assert_no_leaks(), proxied(kind, authority) as (_, policy):
            for host, port in ((NAME, free_port()), ("elsewhere.test", 1)):
                with pytest.raises(ProxyError, match=r"the proxy does not forward: .* answered") as caught:
                    await connector(policy)(host, port)
                assert caught.value.retryable
                assert caught.value.status in {502, 5}

    async def test_a_proxy_that_is_not_there_is_retried(self, kind: str, authority: trustme.CA) -> None:
        """The error names it, not the venue."""
        async with proxied(kind, authority) as (_, policy):
            pass
        with pytest.raises(ConnectError, match=f"^the proxy {policy.proxy}: ") as caught:
            await connector(policy)(NAME, 1)
        assert caught.value.retryable

    async def test_a_proxy_that_hangs_is_given_up(self, kind: str, authority: trustme.CA, transport: Any) -> None:
        """After ``connect_timeout`` seconds, and the socket is closed."""
        async with assert_no_leaks(), proxied(kind, authority, hangs=True) as (proxy, policy):
            with pytest.raises(ConnectError, match=f"not reached through {policy.proxy} within 0.05 s") as caught:
                await connector(attrs.evolve(policy, connect_timeout=0.05))(NAME, 1)
            assert isinstance(caught.value.__cause__, TimeoutError)
            with pytest.raises(WebSocketError, match=r"within 0\.05 s"):
                async with open_websocket(f"ws://{NAME}/", policy=policy, connect_timeout=0.05, transport=transport):
                    pytest.fail("connected")
            assert 2 == proxy.connections

    async def test_a_proxy_that_hangs_up_is_retried(self, kind: str, authority: trustme.CA) -> None:
        """Before it has answered."""
        async with assert_no_leaks(), proxied(kind, authority, answer=b"") as (proxy, policy):
            with pytest.raises(ProxyError, match="hung up") as caught:
                await connector(policy)(NAME, 1)
            assert caught.value.retryable
            assert 1 == proxy.connections

    async def test_cancelled_anywhere_nothing_is_left(
        self, kind: str, authority: trustme.CA, anyio_backend_name: str
    ) -> None:
        """Neither a socket here nor a connection at the proxy."""
        async with serve_streams(echo_stream) as server, proxied(kind, authority) as (_, policy):

            @asynccontextmanager
            async def scenario() -> AsyncGenerator[Callable[[], Awaitable[object]]]:
                async def connect() -> None:
                    await (await connector(policy)(NAME, server.port)).aclose()

                yield connect

            # Leaks of this side only: the server's tasks end in their own time.
            sweep = await sweep_cancellation(scenario, leaks=False)
            assert sweep.suspensions >= 4
            assert 0 in sweep.cancelled
            with anyio.fail_after(5):  # the other side ends in its own time
                proxy_port = 0 if policy.proxy is None else policy.proxy.port
                while open_sockets(server.port) or open_sockets(proxy_port):  # noqa: ASYNC110  # nothing tells
                    await anyio.sleep(0.001)


@pytest.mark.anyio
@pytest.mark.parametrize("scheme", ["http", "socks5"])
class TestProxyCredentials:
    """A proxy that wants to know who asks."""

    async def test_wrong_ones_are_not_tried_again(self, scheme: str, transport: Any) -> None:
        """Nor missing ones; the error says which of the two."""
        async with assert_no_leaks(), run_proxy(scheme, credentials=USER) as proxy:
            for url, text in (
                (proxy.url_for("user", "wrong"), "does not accept user and password"),
                (proxy.url_for("other", "p%3Ass%20w0rd%2F%40"), "does not accept user and password"),
                (proxy.url, "wants a user and a password"),
            ):
                policy = TransportPolicy(proxy=url)
                with pytest.raises(ProxyAuthenticationError, match=text) as caught:
                    await connector(policy)("127.0.0.1", 1)
                assert isinstance(caught.value, AuthenticationError)
                assert not caught.value.retryable
                with pytest.raises(WebSocketError, match=text) as websocket_error:
                    async with open_websocket("ws://127.0.0.1:1/", policy=policy, transport=transport):
                        pytest.fail("connected")
                assert isinstance(websocket_error.value.__cause__, ProxyAuthenticationError)
                assert not websocket_error.value.retryable
            assert [] == proxy.asked


@pytest.mark.anyio
class TestHttpConnect:
    """Answers of HTTP proxies."""

    @pytest.mark.parametrize(
        ("answer", "status", "retryable"),
        [
            (b"HTTP/1.1 403 Forbidden\r\n\r\n", 403, False),
            (b"HTTP/1.1 429 Slow\r\n\r\n", 429, True),
            (b"HTTP/1.0 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", 503, True),
            (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", 302, False),
            (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", None, False),
            (b"HTTP/1.1 100 Continue\r\n\r\n" * 20, None, False),
            (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", None, False),
            (b"\x05\x00", None, False),
            (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 10_000, None, False),
            (b"HTTP/1.1 200 OK\r\n", None, True),
        ],
        ids=lambda value: repr(value)[:30],
    )
    async def test_an_answer_that_is_no_consent(self, answer: bytes, status: int | None, retryable: bool) -> None:
        """With its status, and within limits."""
        async with assert_no_leaks(), run_proxy("http", answer=answer) as proxy:
            with pytest.raises(ProxyError) as caught:
                await connector(TransportPolicy(proxy=proxy.url))(NAME, 1)
        assert (status, retryable) == (caught.value.status, caught.value.retryable)

    async def test_waiting_is_allowed(self) -> None:
        """Answers that say "wait" are passed over, up to the one that counts."""
        answer = b"HTTP/1.1 103 Early Hints\r\na: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\nfirst"

        async with run_proxy("http", answer=answer) as proxy:
            stream = await connector(TransportPolicy(proxy=proxy.url))(NAME, 1)
            assert b"first" == await stream.receive()
            await stream.aclose()

    async def test_bytes_that_come_with_the_answer_are_not_lost(self) -> None:
        """A server may speak first, in one read with the proxy's answer."""
        async with (
            assert_no_leaks(),
            serve_streams(echo_stream) as server,
            run_proxy("http", greeting=b"welcome", names=NAMES) as proxy,
            await connector(TransportPolicy(proxy=proxy.url))(NAME, server.port) as stream,
        ):
            assert b"wel" == await stream.receive(3)
            await stream.send(b"there")
            assert b"comethere" == await stream.receive() + await stream.receive()
            assert proxy.port == stream.extra(SocketAttribute.remote_port)

    async def test_names_are_asked_for_in_ascii(self) -> None:
        """And addresses of IPv6 in brackets."""
        async with run_proxy("http") as proxy:
            for host in ("bücher.test", "::1"):
                with pytest.raises(ProxyError):
                    await connector(TransportPolicy(proxy=proxy.url))(host, 1)
        assert [("xn--bcher-kva.test", 1), ("::1", 1)] == proxy.asked

    async def test_the_certificate_of_the_proxy_is_verified(self, authority: trustme.CA) -> None:
        """One that does not fit now will not fit in a minute."""
        async with assert_no_leaks(), run_proxy("https", ssl_context=server_context(authority, "localhost")) as proxy:
            for policy in (
                TransportPolicy(proxy=proxy.url),
                TransportPolicy(proxy=proxy.url, ssl_context=client_context(authority)),
                TransportPolicy(
                    proxy=proxy.url.replace("localhost", "127.0.0.1"), proxy_ssl_context=client_context(authority)
                ),
            ):
                with pytest.raises(TlsError, match="TLS failed: the proxy https://") as caught:
                    await connector(policy)(NAME, 1)
                assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
                assert not caught.value.retryable

    async def test_a_proxy_that_speaks_no_tls_is_an_error(self) -> None:
        """It is not mistaken for one that does."""

        async def handler(stream: ByteStream) -> None:
            async with stream:
                await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        async with assert_no_leaks(), serve_streams(handler) as server:
            with pytest.raises(NetworkError):
                await connector(TransportPolicy(proxy=f"https://127.0.0.1:{server.port}"))(NAME, 1)


@pytest.mark.anyio
class TestSocks:
    """Answers of SOCKS5 proxies."""

    @pytest.mark.parametrize(
        ("answer", "status", "retryable"),
        [
            (b"\x05\x02\x00\x01" + bytes(6), 2, False),
            (b"\x05\x04\x00\x01" + bytes(6), 4, True),
            (b"\x05\x08\x00\x01" + bytes(6), 8, False),
            (b"\x05\x63\x00\x01" + bytes(6), None, True),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", None, True),
            (b"\x05\x00\x00\x03\x02\xff\xff\x00\x01", None, True),
            (b"\x05\x00\x00", None, True),
        ],
    )
    async def test_an_answer_that_is_no_consent(self, answer: bytes, status: int | None, retryable: bool) -> None:
        """With its code, where it has one."""
        async with assert_no_leaks(), run_proxy("socks5", answer=answer) as proxy:
            with pytest.raises(ProxyError) as caught:
                await connector(TransportPolicy(proxy=proxy.url))(NAME, 1)
        assert (status, retryable) == (caught.value.status, caught.value.retryable)

    async def test_addresses_of_both_kinds_go_as_addresses(self) -> None:
        """Not as names that look like them."""
        async with run_proxy("socks5") as proxy:
            for host in ("127.0.0.1", "::1"):
                with pytest.raises(ProxyError):
                    await connector(TransportPolicy(proxy=proxy.url))(host, free_port())
        assert ["127.0.0.1", "::1"] == [host for host, _ in proxy.asked]

    async def test_a_missing_library_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With the command that installs it; the other proxies need none."""
        monkeypatch.setitem(sys.modules, "python_socks", None)
        with pytest.raises(ConfigurationError, match=r"pip install bt_api_base\[proxy\]"):
            await connector(TransportPolicy(proxy="socks5://127.0.0.1"))(NAME, 1)
        with pytest.raises(ConfigurationError, match=r"pip install bt_api_base\[proxy\]"):
            async with open_websocket("ws://127.0.0.1/", policy=TransportPolicy(proxy="socks5://127.0.0.1")):
                pytest.fail("connected")
        async with serve_streams(echo_stream) as server, run_proxy("http") as proxy:
            await check_echo(await connector(TransportPolicy(proxy=proxy.url))("127.0.0.1", server.port))


@pytest.mark.anyio
class TestOpenWebsocket:
    """The policy of a WebSocket."""

    async def test_what_a_policy_says_is_not_said_again(self) -> None:
        """Two answers to one question are a mistake of somebody's."""

        async def connect(host: str, port: int) -> ByteStream:
            raise AssertionError

        for options in (
            {"ssl_context": ssl.create_default_context()},
            {"local_address": "127.0.0.1"},
            {"connector": connect},
        ):
            with pytest.raises(ConfigurationError, match="with a policy, neither"):
                async with open_websocket("ws://host/", policy=TransportPolicy(), **options):  # type: ignore[arg-type]
                    pytest.fail("connected")

    async def test_the_time_for_connecting_is_the_policys(self, transport: Any) -> None:
        """Unless it is given."""

        async def handler(stream: ByteStream) -> None:
            async with stream:
                await anyio.sleep(5)

        policy = TransportPolicy(connect_timeout=0.05)
        async with serve_streams(handler) as server:
            with pytest.raises(WebSocketError, match=r"within 0\.05 s while in the opening handshake"):
                async with open_websocket(server.url, policy=policy, transport=transport):
                    pytest.fail("connected")
            with pytest.raises(WebSocketError, match=r"within 0\.02 s"):
                async with open_websocket(server.url, policy=policy, transport=transport, connect_timeout=0.02):
                    pytest.fail("connected")

    async def test_any_stream_serves_any_transport(self, transport: Any) -> None:
        """A connector of one's own is given the host and the port."""
        asked: list[tuple[str, int]] = []

        async with serve(echo) as server:

            async def connect(host: str, port: int) -> ByteStream:
                asked.append((host, port))
                return await anyio.connect_tcp("127.0.0.1", server.port)

            async with open_websocket(f"ws://{NAME}/", connector=connect, transport=transport) as ws:
                await check_websocket(ws)
        assert [(NAME, 80)] == asked

    async def test_from_the_local_address(self, transport: Any) -> None:
        """As it says."""
        peers: list[Any] = []

        async def handler(stream: ByteStream) -> None:
            peers.append(stream.extra(SocketAttribute.remote_address))
            await stream.aclose()

        async with serve_streams(handler) as server:
            policy = TransportPolicy(local_address="127.0.0.2", connect_timeout=0.05)
            with pytest.raises(WebSocketError):
                async with open_websocket(server.url, policy=policy, transport=transport):
                    pytest.fail("connected")
        assert "127.0.0.2" == peers[0][0]


def free_port() -> int:
    """Return a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def open_sockets(port: int) -> int:
    """Return how many sockets of this process are connected to a port here."""
    import gc

    count = 0
    for found in gc.get_objects():
        if issubclass(type(found), socket.socket) and found.fileno() >= 0:
            try:
                count += found.getpeername()[1] == port
            except (OSError, IndexError, TypeError):
                continue
    return count
