"""A small HTTP/1.1 server on loopback: a simulated venue's REST side over real sockets.

It keeps connections alive, bounds what it reads, and resets a connection where its handler has no reply. It starts when
its port is asked for, and belongs to the task group of its venue.
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import anyio
import attrs
import h11
from anyio.abc import SocketAttribute, SocketListener

from bt_api_base.testing.rest_messages import RestReply, RestRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import ByteStream, TaskGroup

_BACKLOG: Final = 128
_CHUNK: Final = 65_536
_MOST_HEADER_BYTES: Final = 32_768
_MOST_BODY_BYTES: Final = 1_048_576
_LINGER_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, zero seconds: closing such a socket resets the connection."""


class _TooLargeError(Exception):
    """A body is longer than this server reads."""


class RestServer:
    """Answers HTTP requests at a port of its own.

    Args:
        handle: Makes the reply to a request; ``None`` resets the connection.
        tasks: Where its connections live; whoever owns it ends them.
        host: Address to listen at.
        port: Port to listen at; 0 lets the system choose.
    """

    def __init__(
        self,
        handle: Callable[[RestRequest], Awaitable[RestReply | None]],
        tasks: TaskGroup,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._handle = handle
        self._tasks = tasks
        self._host = host
        self._port = port
        self._connections: dict[_Connection, None] = {}
        self._reserved: socket.socket | None = None
        self._listening: anyio.CancelScope | None = None
        self._unbound = anyio.Event()

    @property
    def port(self) -> int:
        """The port it listens at, also while it refuses connections."""
        return self._port

    @property
    def connections(self) -> int:
        """Number of connections that are open."""
        return len(self._connections)

    def listen(self) -> None:
        """Accept connections, from now on or again.

        Raises:
            OSError: The port is taken.
        """
        if self._listening is not None:
            return
        if self._reserved is None:
            self.reserve()
        raw_socket, self._reserved = self._reserved, None
        if raw_socket is None:  # pragma: no cover  # it was reserved above
            return
        raw_socket.listen(_BACKLOG)  # whoever connects from now on waits for the task below at most
        self._listening, self._unbound = anyio.CancelScope(), anyio.Event()
        self._tasks.start_soon(self._serve, raw_socket, self._listening, self._unbound)

    async def refuse(self) -> None:
        """Accept no more connections, and keep the port. Those there are go on.

        Cancellation:
            Refused all the same.
        """
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None
            with anyio.CancelScope(shield=True):  # a matter of turns of the loop
                await self._unbound.wait()

    async def cut_all(self) -> int:
        """Reset all connections, and wait until they are gone; what is being done for them is given up.

        Returns:
            Their number.

        Cancellation:
            They are reset all the same.
        """
        connections = tuple(self._connections)
        for connection in connections:
            connection.cut()
        for connection in connections:
            await connection.ended.wait()
        return len(connections)

    def close(self) -> None:
        """Give the port back. The connections end with the task group."""
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None

    def reserve(self) -> None:
        """Bind without listening: nobody else gets the port, and who connects is refused."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        raw_socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            raw_socket.setblocking(False)
            raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            raw_socket.bind((self._host, self._port))
            self._port = raw_socket.getsockname()[1]
        except BaseException:
            raw_socket.close()
            raise
        self._reserved = raw_socket

    async def _serve(self, raw_socket: socket.socket, scope: anyio.CancelScope, unbound: anyio.Event) -> None:
        try:
            with scope:
                listener = await SocketListener.from_socket(raw_socket)
                await listener.serve(self._run, self._tasks)
        finally:
            raw_socket.close()
            if scope.cancelled_caught:
                self.reserve()
            unbound.set()

    async def _run(self, stream: ByteStream) -> None:
        connection = _Connection(stream, self._handle)
        self._connections[connection] = None
        try:
            await connection.run()
        finally:
            del self._connections[connection]


@attrs.define(eq=False)
class _Connection:
    """One connection, and one request after the other."""

    stream: ByteStream
    handle: Callable[[RestRequest], Awaitable[RestReply | None]]
    _scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope)
    _http: h11.Connection = attrs.field(
        factory=lambda: h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST_HEADER_BYTES)
    )
    _host: str = ""
    ended: anyio.Event = attrs.field(factory=anyio.Event)

    def cut(self) -> None:
        """Reset it."""
        self._scope.cancel()

    async def run(self) -> None:
        """Answer until either side has enough."""
        address = self.stream.extra(SocketAttribute.remote_address, ("",))
        self._host = str(address[0])
        is_reset = True
        try:
            with self._scope, suppress(anyio.BrokenResourceError, anyio.EndOfStream):
                is_reset = not await self._converse()
        finally:
            if is_reset:
                raw_socket: socket.socket = self.stream.extra(SocketAttribute.raw_socket)
                with suppress(OSError):
                    raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
            await anyio.aclose_forcefully(self.stream)
            self.ended.set()

    async def _converse(self) -> bool:
        """Answer requests; return whether the connection ended as HTTP has it."""
        while True:
            try:
                request = await self._next_request()
            except h11.RemoteProtocolError as error:
                await self._refuse(error.error_status_hint)
                return True
            except _TooLargeError:
                await self._refuse(413)
                return True
            if request is None:
                return True
            reply = await self.handle(request)
            if reply is None:
                return False
            await self._send(reply)
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return True
            self._http.start_next_cycle()

    async def _next_request(self) -> RestRequest | None:
        head: h11.Request | None = None
        body = bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    await self._write(h11.InformationalResponse(status_code=100, headers=[]))
                self._http.receive_data(await self._read())
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > _MOST_BODY_BYTES:
                    raise _TooLargeError
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                path, _, query = head.target.decode("ascii", "replace").partition("?")
                headers = {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}
                return RestRequest(head.method.decode("ascii"), path, query, headers, bytes(body), self._host)
            else:
                return None  # the client is done

    async def _read(self) -> bytes:
        try:
            return await self.stream.receive(_CHUNK)
        except anyio.EndOfStream:
            return b""

    async def _refuse(self, status: int) -> None:
        if self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            await self._send(RestReply(status, b"", (("connection", "close"),)))

    async def _send(self, reply: RestReply) -> None:
        headers = [*reply.headers, ("content-length", str(len(reply.body)))]
        response = h11.Response(status_code=reply.status, headers=headers)
        data = (self._http.send(response) or b"") + (self._http.send(h11.Data(data=reply.body)) or b"")
        await self.stream.send(data + (self._http.send(h11.EndOfMessage()) or b""))

    async def _write(self, event: h11.InformationalResponse) -> None:
        await self.stream.send(self._http.send(event) or b"")


__all__ = ("RestReply", "RestRequest", "RestServer")
