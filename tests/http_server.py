"""A real HTTP/1.1 server for tests, on any event loop: h11 over anyio TCP. It does what a script says, or worse.

```python
async with run_http_server() as server:
    server.answer("/time", Reply(b'{"serverTime": 1}'))
    server.answer("/order", Reply(cut="after request"), Reply(b"{}"))  # one after the other; the last one stays
```
"""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Literal

import anyio
import attrs
import h11
from anyio.abc import SocketAttribute
from anyio.streams.tls import TLSListener

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator

    from anyio.abc import ByteStream


@attrs.frozen
class Reply:
    """What the server does with a request.

    Attributes:
        body: The body of the answer.
        status: Its status.
        headers: Its headers, besides those that frame it.
        cut: When to cut the connection: instead of the answer, in the middle of its head, or of its body.
        stall: Wait for this long before the answer; ``True``: for ever.
        chunked: Send the body in chunks: two, or as many as are listed.
        raw: Send this instead of an answer.
        close: Say that the connection ends with the answer, and end it.
    """

    body: bytes = b"{}"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    cut: Literal["", "after request", "in head", "in body"] = ""
    stall: float | bool = False
    chunked: bool = False
    raw: bytes = b""
    close: bool = False


@attrs.frozen
class Seen:
    """A request that the server has got."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@attrs.define(eq=False)
class HttpServer:
    """A running server.

    Attributes:
        url: Where it is.
        port: The same, on loopback.
        requests: What it has got so far, in order.
        connections: Connections that were opened so far.
        open_connections: Connections that are open now.
        is_mute: Accept connections, and do not even read from them.
        arrived: Set with each request.
    """

    url: str = ""
    port: int = 0
    requests: list[Seen] = attrs.field(factory=list)
    connections: int = 0
    open_connections: int = 0
    is_mute: bool = False
    arrived: anyio.Event = attrs.field(factory=anyio.Event)
    _replies: dict[str, list[Reply]] = attrs.field(factory=dict)

    def answer(self, path: str, *replies: Reply) -> None:
        """Say what happens to requests of a path: one reply after the other, and the last one from then on."""
        self._replies[path] = list(replies)

    async def serve(self, stream: ByteStream) -> None:
        """Serve one connection."""
        self.connections += 1
        self.open_connections += 1
        try:
            async with stream:
                if self.is_mute:
                    await anyio.sleep_forever()
                with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream):
                    await self._serve(stream)
        finally:
            self.open_connections -= 1

    async def _serve(self, stream: ByteStream) -> None:
        connection = h11.Connection(h11.SERVER)
        while True:
            seen = await self._request(connection, stream)
            if seen is None:
                return
            replies = self._replies.get(seen.path, [Reply(status=404)])
            reply = replies.pop(0) if len(replies) > 1 else replies[0]
            self.requests.append(seen)
            self.arrived.set()
            self.arrived = anyio.Event()
            if not await _reply(connection, stream, reply):
                return
            connection.start_next_cycle()

    async def _request(self, connection: h11.Connection, stream: ByteStream) -> Seen | None:
        head: h11.Request | None = None
        body = b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                try:
                    connection.receive_data(await stream.receive())
                except anyio.EndOfStream:
                    connection.receive_data(b"")
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                path, _, query = head.target.decode().partition("?")
                headers = {name.decode(): value.decode() for name, value in head.headers}
                return Seen(head.method.decode(), path, query, headers, body)
            else:
                return None


async def _reply(connection: h11.Connection, stream: ByteStream, reply: Reply) -> bool:
    """Do what a reply says; tell whether the connection goes on."""
    if reply.stall is True:
        await anyio.sleep_forever()
    await anyio.sleep(reply.stall)
    if reply.raw:
        await stream.send(reply.raw)
        return False
    if reply.cut == "after request":
        return False
    framing = ("transfer-encoding", "chunked") if reply.chunked else ("content-length", str(len(reply.body)))
    closing = [("connection", "close")] if reply.close else []
    headers = [*reply.headers, framing, *closing]
    data = connection.send(h11.Response(status_code=reply.status, headers=headers))
    assert data is not None
    half = len(reply.body) // 2
    if reply.cut == "in head":
        await stream.send(data[:20])
        return False
    if reply.cut == "in body":
        await stream.send(data + (connection.send(h11.Data(reply.body[:half])) or b""))
        return False
    for part in (reply.body[:half], reply.body[half:]):
        data += (connection.send(h11.Data(part)) or b"") if part else b""
        if reply.chunked:
            await stream.send(data)
            data = b""
    await stream.send(data + (connection.send(h11.EndOfMessage()) or b""))
    return not reply.close


@asynccontextmanager
async def run_http_server(ssl_context: ssl.SSLContext | None = None) -> AsyncGenerator[HttpServer]:
    """Run a server on loopback, and end all of its connections at the end of the block."""
    server = HttpServer()
    failure: BaseException | None = None
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        server.port = listener.extra(SocketAttribute.local_port)
        if ssl_context is None:
            server.url = f"http://127.0.0.1:{server.port}"
            tasks.start_soon(listener.serve, server.serve)
        else:
            server.url = f"https://localhost:{server.port}"
            secure = TLSListener(listener, ssl_context, standard_compatible=False)
            tasks.start_soon(secure.serve, server.serve)
        try:
            yield server
        except Exception as error:  # noqa: BLE001 - raised again, but in no group
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
