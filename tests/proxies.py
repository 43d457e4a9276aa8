"""Real proxies on loopback for tests, on any event loop: HTTP CONNECT and SOCKS5, with and without credentials.

A proxy resolves names by a table of its own, so a name that no name server knows proves that the proxy was asked for
it. What its clients did is written down. It can also misbehave.
"""

from __future__ import annotations

import base64
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING

import anyio
import attrs
from anyio.abc import SocketAttribute
from anyio.streams.buffered import BufferedByteStream
from anyio.streams.tls import TLSStream

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from anyio.abc import ByteStream, SocketStream

GONE = (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


class RefusedError(Exception):
    """The client is told no."""


@attrs.define(eq=False)
class Proxy:
    """A proxy that listens on loopback.

    Attributes:
        scheme: ``"http"``, ``"https"`` or ``"socks5"``.
        port: Its port.
        credentials: The user and the password it wants; ``None``: it wants none.
        names: The addresses of the names that it resolves, besides what are addresses already.
        answer: What it says in place of a right answer to a wish to connect; ``b""``: it hangs up.
        hangs: It accepts connections, and does nothing.
        connections: Connections accepted so far.
        opened: Connections open now.
        asked: The hosts and ports that were asked for, as they were named.
        authorizations: The credentials that clients have shown.
    """

    scheme: str
    port: int
    credentials: tuple[str, str] | None = None
    names: Mapping[str, str] = attrs.field(factory=dict)
    answer: bytes | None = None
    greeting: bytes = b""
    hangs: bool = False
    connections: int = 0
    opened: int = 0
    asked: list[tuple[str, int]] = attrs.field(factory=list)
    authorizations: list[tuple[str, str]] = attrs.field(factory=list)

    @property
    def address(self) -> str:
        """The host and port it listens at."""
        return f"{'localhost' if self.scheme == 'https' else '127.0.0.1'}:{self.port}"

    @property
    def url(self) -> str:
        """Its URL, without credentials."""
        return f"{self.scheme}://{self.address}"

    def url_for(self, username: str, password: str) -> str:
        """Return its URL with credentials, which are to be percent-encoded."""
        return f"{self.scheme}://{username}:{password}@{self.address}"

    async def connect(self, host: str, port: int) -> SocketStream:
        """Connect to where a client wants to."""
        self.asked.append((host, port))
        address = self.names.get(host, host)
        try:
            ip_address(address)
        except ValueError:
            raise RefusedError from None
        try:
            return await anyio.connect_tcp(address, port)
        except OSError:
            raise RefusedError from None


async def _serve_http(proxy: Proxy, client: BufferedByteStream) -> SocketStream:
    head = (await client.receive_until(b"\r\n\r\n", 65_536)).decode("latin-1")
    request, *lines = head.split("\r\n")
    method, target, _version = request.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    scheme, _, token = headers.get("proxy-authorization", "").partition(" ")
    if scheme == "Basic":
        username, _, password = base64.b64decode(token).decode().partition(":")
        proxy.authorizations.append((username, password))
    if proxy.answer is not None:
        await client.send(proxy.answer)
        raise RefusedError
    if proxy.credentials is not None and proxy.credentials not in proxy.authorizations[-1:]:
        # Some repeat the credentials in what they say.
        body = f"{headers.get('proxy-authorization', '')} {proxy.authorizations[-1:]}".encode()
        await client.send(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=x\r\n")
        await client.send(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        raise RefusedError
    if method != "CONNECT":
        await client.send(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
        raise RefusedError
    host, _, port = target.rpartition(":")
    try:
        server = await proxy.connect(host.strip("[]"), int(port))
    except RefusedError:
        await client.send(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        raise
    return await _granted(client, b"HTTP/1.1 200 Connection established\r\n\r\n" + proxy.greeting, server)


async def _serve_socks(proxy: Proxy, client: BufferedByteStream) -> SocketStream:
    _version, count = await client.receive_exactly(2)
    methods = await client.receive_exactly(count)
    wanted = 0 if proxy.credentials is None else 2
    if wanted not in methods:
        await client.send(b"\x05\xff")
        raise RefusedError
    await client.send(bytes([5, wanted]))
    if wanted:
        parts = []
        await client.receive_exactly(1)
        for _ in range(2):
            (size,) = await client.receive_exactly(1)
            parts.append((await client.receive_exactly(size)).decode())
        proxy.authorizations.append((parts[0], parts[1]))
        granted = (parts[0], parts[1]) == proxy.credentials
        await client.send(bytes([1, not granted]))
        if not granted:
            raise RefusedError
    _version, _command, _reserved, kind = await client.receive_exactly(4)
    if kind == 3:
        (size,) = await client.receive_exactly(1)
        host = (await client.receive_exactly(size)).decode()
    else:
        host = str(ip_address(await client.receive_exactly(4 if kind == 1 else 16)))
    port = int.from_bytes(await client.receive_exactly(2), "big")
    if proxy.answer is not None:
        await client.send(proxy.answer)
        raise RefusedError
    try:
        server = await proxy.connect(host, port)
    except RefusedError:
        await client.send(bytes([5, 5, 0, 1]) + bytes(6))
        raise
    return await _granted(client, bytes([5, 0, 0, 1]) + bytes(6), server)


async def _granted(client: ByteStream, answer: bytes, server: SocketStream) -> SocketStream:
    """Tell the client that it is connected."""
    try:
        await client.send(answer)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await anyio.aclose_forcefully(server)
        raise
    return server


async def _copy(source: ByteStream, target: ByteStream) -> None:
    with suppress(*GONE):
        while True:
            await target.send(await source.receive())


async def _join(client: ByteStream, server: ByteStream) -> None:
    """Carry bytes both ways until one side has gone."""
    async with anyio.create_task_group() as tasks:

        async def carry(source: ByteStream, target: ByteStream) -> None:
            await _copy(source, target)
            tasks.cancel_scope.cancel()

        tasks.start_soon(carry, client, server)
        tasks.start_soon(carry, server, client)


@asynccontextmanager
async def run_proxy(
    scheme: str,
    *,
    credentials: tuple[str, str] | None = None,
    names: Mapping[str, str] | None = None,
    answer: bytes | None = None,
    greeting: bytes = b"",
    hangs: bool = False,
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncGenerator[Proxy]:
    """Run a proxy on loopback; see `Proxy` for what the options mean."""
    serve: Callable[[Proxy, BufferedByteStream], Awaitable[SocketStream]]
    serve = _serve_socks if scheme == "socks5" else _serve_http

    async def accepted(stream: SocketStream) -> None:
        proxy.connections += 1
        proxy.opened += 1
        try:
            with suppress(RefusedError, *GONE):
                if proxy.hangs:
                    await anyio.sleep_forever()
                plain: ByteStream = stream
                if ssl_context is not None:
                    plain = await TLSStream.wrap(
                        stream, server_side=True, ssl_context=ssl_context, standard_compatible=False
                    )
                client = BufferedByteStream(plain)
                async with await serve(proxy, client) as server:
                    await _join(client, server)
        finally:
            proxy.opened -= 1
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(stream)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        _host, port = listener.extra(SocketAttribute.local_address)
        proxy = Proxy(scheme, port, credentials, names or {}, answer, greeting, hangs)
        tasks.start_soon(listener.serve, accepted, tasks)
        yield proxy
        tasks.cancel_scope.cancel()
