"""A small WebSocket server on loopback, with the faults a client has to live through.

It listens (or refuses), accepts connections and runs each as a `Peer` in its own task group. It can also serve a
connection over a byte stream in memory, which works under virtual time.
"""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio
from anyio import AsyncContextManagerMixin
from anyio.abc import SocketAttribute, SocketListener
from typing_extensions import Self, override

from bt_api_base.logging_factory import get_logger
from bt_api_base.testing.peer import Ending, HandshakeRefusal, Peer, PeerHandler, ServerSettings
from bt_api_base.testing.streams import MemoryByteStream, memory_stream_pair

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from anyio.abc import ByteStream, TaskGroup

_logger = get_logger(__name__)

_BACKLOG: Final = 128


class WebSocketServer(AsyncContextManagerMixin):
    """Accepts WebSocket connections for as long as its block lasts.

    Leaving the block closes all of them, with code 1001 and bounded by the close timeout, or at once when the block
    raises.

    Args:
        accept: Called with a new connection and its request target; returns its handler, why it gets none, or None for
            HTTP 404.
        host: Address to listen at.
        port: Port to listen at; 0 lets the system choose.
        listen: Whether to listen at all; without it connections are made by `connect_in_memory` only.
        settings: What the connections have in common.
    """

    def __init__(
        self,
        accept: Callable[[Peer, str], PeerHandler | HandshakeRefusal | None],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        listen: bool = True,
        settings: ServerSettings | None = None,
    ) -> None:
        self.settings = settings or ServerSettings()
        """What the connections have in common."""
        self._accept = accept
        self._host = host
        self._port = port
        self._listen = listen
        self._peers: dict[Peer, None] = {}
        self._reserved: socket.socket | None = None
        self._listening: anyio.CancelScope | None = None
        self._refusing = False
        self._unbound: anyio.Event | None = None  # set once the last listener is closed
        self._refusal = 0
        self._stalled_until = -1.0
        self._stall: anyio.Event | None = None
        self._handshake_delay = 0.0
        self._delayed_handshakes: int | None = 0
        self._tasks: TaskGroup | None = None

    @property
    def host(self) -> str:
        """The address it listens at."""
        return self._host

    @property
    def port(self) -> int:
        """The port it listens at, also while it refuses connections; 0 before the block is entered."""
        return self._port

    @property
    def is_listening(self) -> bool:
        """Whether connections are accepted."""
        return self._listening is not None

    @property
    def is_stalled(self) -> bool:
        """Whether connections are silent."""
        return self._stall is not None

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The connections there are, the oldest first, those in their handshake or closing included."""
        return tuple(self._peers)

    @asynccontextmanager
    @override
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                self._refusing = False
                if self._listen:
                    await self.listen()
                yield self
                await self.refuse()
                await self.close_all(1001, "Server shutting down")
                tasks.cancel_scope.cancel()
        finally:
            self._tasks = self._listening = self._unbound = self._stall = None
            self._stalled_until = -1.0
            if self._reserved is not None:
                self._reserved.close()
                self._reserved = None

    async def listen(self) -> None:
        """Accept connections, again or for the first time, at the port they were accepted at before.

        A server that is not to listen at all accepts those in memory.

        Raises:
            OSError: The port is taken.

        Cancellation:
            Either it listens or it does not; the port stays reserved.
        """
        self._refusal += 1
        self._refusing = False
        if not self._listen:
            return
        if self._listening is None and self._unbound is not None:
            await self._unbound.wait()
        if self._listening is not None:
            return
        raw_socket = self._reserved or self._bind()
        self._reserved = None
        try:
            raw_socket.listen(_BACKLOG)
            self._listening = anyio.CancelScope()
            listener = await SocketListener.from_socket(raw_socket)
        except BaseException:
            self._listening = None
            self._reserved = raw_socket
            raise
        self._unbound = anyio.Event()
        self._task_group.start_soon(self._serve, listener, self._listening, self._unbound)
        _logger.debug("listening", host=self._host, port=self._port)

    async def refuse(self, seconds: float | None = None) -> None:
        """Accept no connections: attempts to connect are refused by the system, or in memory. Those there are go on.

        Args:
            seconds: For how long; None until `listen` is called.

        Cancellation:
            Refused all the same, for as long.
        """
        self._refusal += 1
        self._refusing = True
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None
        if seconds is not None:
            self._task_group.start_soon(self._listen_later, seconds, self._refusal)
        if self._unbound is not None:
            await self._unbound.wait()

    def stall(self, seconds: float) -> None:
        """Keep connections open and silent: nothing is answered, not even a handshake, a ping or a close frame.

        Args:
            seconds: For how long, from now; a longer stall that is under way goes on.
        """
        self._stalled_until = max(self._stalled_until, anyio.current_time() + seconds)
        if self._stall is None:
            self._stall = anyio.Event()
            self._task_group.start_soon(self._end_stall)

    def slow_handshakes(self, seconds: float, count: int | None = None) -> None:
        """Answer handshakes late.

        Args:
            seconds: How late; 0 for no more of it.
            count: How many; None for all from now on.
        """
        self._handshake_delay, self._delayed_handshakes = seconds, count

    async def wait_unstalled(self) -> None:
        """Wait until the connections are not silent.

        Cancellation:
            Safe.
        """
        while self._stall is not None:
            await self._stall.wait()

    def connect_in_memory(self) -> MemoryByteStream:
        """Serve a new connection in memory.

        Returns:
            The client's end, to speak WebSocket over.

        Raises:
            ConnectionRefusedError: No connections are accepted.
        """
        if self._refusing:
            raise ConnectionRefusedError("the venue accepts no connections")
        ours, theirs = memory_stream_pair()
        self._task_group.start_soon(self._run, ours)
        return theirs

    async def close_all(self, code: int, reason: str = "") -> None:
        """Close every connection with a close frame and wait until they have ended, at most the close timeout.

        Args:
            code: The close code.
            reason: The reason.

        Cancellation:
            The connections go on closing.
        """
        peers = self.peers
        for peer in peers:
            if peer.opened:
                peer.close(code, reason)
            else:
                peer.cut()
        for peer in peers:
            await peer.ended.wait()

    async def cut_all(self) -> None:
        """Reset every connection and wait until they have ended.

        Cancellation:
            The connections are reset all the same.
        """
        peers = self.peers
        for peer in peers:
            peer.cut()
        for peer in peers:
            await peer.ended.wait()

    async def drain(self) -> None:
        """Wait until everything sent so far has been handed to the operating system.

        A client that does not read makes this wait until it is cut off.

        Cancellation:
            Safe.
        """
        for peer in self.peers:
            await peer.drain()

    @property
    def _task_group(self) -> TaskGroup:
        if self._tasks is None:
            raise RuntimeError("the server is not running: use it in an async with block")
        return self._tasks

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        raw_socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            raw_socket.bind((self._host, self._port))
            self._port = raw_socket.getsockname()[1]
        except BaseException:
            raw_socket.close()
            raise
        return raw_socket

    async def _serve(self, listener: SocketListener, scope: anyio.CancelScope, unbound: anyio.Event) -> None:
        try:
            with scope:
                await listener.serve(self._run, self._task_group)
        finally:
            with anyio.CancelScope(shield=True):
                await listener.aclose()
            # Bound and not listening: nobody else gets the port, and who connects is refused.
            self._reserved = self._bind()
            unbound.set()

    async def _run(self, stream: ByteStream) -> None:
        if self.settings.send_buffer_bytes is not None:
            raw_socket: socket.socket | None = stream.extra(SocketAttribute.raw_socket, None)
            if raw_socket is not None:
                raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.settings.send_buffer_bytes)
        peer = Peer(stream, self.settings, self._accept, self._next_delay)
        self._peers[peer] = None
        try:
            await peer.run(lambda: self._stall)
        finally:
            del self._peers[peer]
            if peer.ending in {Ending.OVERFLOW, Ending.LOST}:
                _logger.debug("connection ended", ending=peer.ending.value, reason=peer.close_reason)

    def _next_delay(self) -> float:
        if self._delayed_handshakes is None:
            return self._handshake_delay
        if not self._delayed_handshakes:
            return 0.0
        self._delayed_handshakes -= 1
        return self._handshake_delay

    async def _listen_later(self, seconds: float, refusal: int) -> None:
        await anyio.sleep(seconds)
        if refusal == self._refusal:
            await self.listen()

    async def _end_stall(self) -> None:
        while anyio.current_time() < self._stalled_until:  # noqa: ASYNC110  # a longer one may have begun meanwhile
            await anyio.sleep_until(self._stalled_until)
        stall, self._stall = self._stall, None
        if stall is not None:
            stall.set()


__all__ = ("WebSocketServer",)
