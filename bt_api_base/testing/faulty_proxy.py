"""A TCP proxy on loopback that breaks connections on request: between a client and a venue, simulated or real.

Everything random follows from a seed, which the proxy shows and chooses itself where none is given; what it did is in
its log, frame by frame, so that a test can tell what must have arrived.

Example:
    ```python
    async with FaultyProxy("127.0.0.1", venue.port, seed=7) as proxy:
        config = WebSocketConfig(url=proxy.url_for(venue.url), exchange_name=venue.exchange_name)
        ...
        proxy.drop(3)
        proxy.stall(0.5)
        proxy.reset()
        print(proxy.seed, [event.frame for event in proxy.log if event.kind == "dropped"])
    ```
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
import sys
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

import anyio
from anyio import AsyncContextManagerMixin
from typing_extensions import Self, assert_never, override

from bt_api_base.logging_factory import get_logger
from bt_api_base.testing.proxy_board import FaultBoard, Script
from bt_api_base.testing.proxy_calls import FaultCalls
from bt_api_base.testing.proxy_faults import (
    Accept,
    AcceptThenClose,
    Corrupt,
    CutFrame,
    Delay,
    Direction,
    Drop,
    Duplicate,
    HalfClose,
    ProxyEvent,
    Refuse,
    Reorder,
    Reset,
    Stall,
    Step,
    Throttle,
)
from bt_api_base.testing.proxy_pipe import Pace, Pipe, ProxyConnection, reset_when_closed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from anyio.abc import TaskGroup

    from bt_api_base.testing.proxy_faults import Fault, ProxyEventKind

_logger = get_logger(__name__)

_BACKLOG: Final = 128
_ONE_WAY: Final = (Direction.TO_CLIENT, Direction.TO_SERVER)


class FaultyProxy(FaultCalls, AsyncContextManagerMixin):
    """Passes connections on to a server, and does to them what it is told.

    Leaving the block ends every connection at once. Where the connections are WebSockets without TLS, single frames can
    be dropped, repeated, displaced and cut; control frames and fragmented messages are left alone. The offer of
    compression is taken out of the handshake for that.

    Args:
        target_host: Where to.
        target_port: Its port.
        seed: What everything random follows from; None chooses one.
        frames: Whether to look for WebSocket frames at all.
        script: What is to happen when, besides what the methods are called for.
        max_log: How many events the log keeps: the latest.
    """

    def __init__(
        self,
        target_host: str,
        target_port: int,
        *,
        seed: int | None = None,
        frames: bool = True,
        script: Iterable[Step] = (),
        max_log: int = 100_000,
    ) -> None:
        self.seed = secrets.randbelow(1 << 32) if seed is None else seed
        """What everything random follows from."""
        self.log: deque[ProxyEvent] = deque(maxlen=max_log)
        """What it did, the earliest first."""
        self._target = (target_host, target_port)
        self._frames = frames
        self._script = Script(list(script))
        self._board = FaultBoard(self._script, self.log, self._apply)
        self._paces = {direction: Pace() for direction in _ONE_WAY}
        self._connections: dict[int, ProxyConnection] = {}
        self._closing = 0
        """How many of the next connections are closed at once; -1 for all."""
        self._listener: socket.socket | None = None
        self._reserved: socket.socket | None = None
        self._refusal = 0
        self._port = 0
        self._accepted = anyio.Event()
        self._tasks: TaskGroup | None = None

    def __repr__(self) -> str:
        host, port = self._target
        return (
            f"<FaultyProxy {self.host}:{self.port} -> {host}:{port} seed={self.seed}"
            f" connections={self.connections} open={len(self._connections)}>"
        )

    @property
    def host(self) -> str:
        """The address it listens at."""
        return "127.0.0.1"

    @property
    def port(self) -> int:
        """The port it listens at, also while it refuses connections; 0 before the block is entered."""
        return self._port

    @property
    def connections(self) -> int:
        """Connections accepted so far, which are numbered from 1."""
        return self._script.connections

    @property
    def open_connections(self) -> tuple[int, ...]:
        """Numbers of the connections there are, the oldest first."""
        return tuple(self._connections)

    @property
    def bytes_to_client(self) -> int:
        """Bytes that came from the server so far."""
        return self._script.bytes[Direction.TO_CLIENT]

    @property
    def frames_to_client(self) -> int:
        """Data frames that came from the server so far."""
        return self._script.frames[Direction.TO_CLIENT]

    def url_for(self, url: str) -> str:
        """Return the server's URL as it is to be used through the proxy: with the proxy's host and port."""
        return urlunsplit(urlsplit(url)._replace(netloc=f"{self.host}:{self.port}"))

    @asynccontextmanager
    @override
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        self._board.started = anyio.current_time()
        self._reserved = self._bind()
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                self._listen()
                tasks.start_soon(self._follow_script)
                self._board.advance()
                _logger.debug("faulty proxy", port=self._port, seed=self.seed)
                yield self
                self._stop_listening()
                tasks.cancel_scope.cancel()
        except BaseException as error:
            if sys.version_info >= (3, 11):
                error.add_note(repr(self))
            raise
        finally:
            self._tasks = None
            for left in (self._listener, self._reserved):
                if left is not None:
                    left.close()
            self._listener = self._reserved = None

    async def wait_connections(self, count: int) -> None:
        """Wait until so many connections have been accepted, counted from the start.

        Args:
            count: How many.

        Cancellation:
            Safe.
        """
        while self.connections < count:
            await self._accepted.wait()

    @override
    def apply(self, fault: Fault) -> None:
        """Do what a fault says, at once.

        Args:
            fault: What to do.

        Raises:
            RuntimeError: The proxy is not running.
        """
        if self._tasks is None:
            raise RuntimeError("the proxy is not running: use it in an async with block")
        self._apply(fault, None)

    def heal(self) -> None:
        """Do nothing more to connections: take back what is armed, and let everything through at full speed.

        What the script has for later comes all the same.
        """
        self._board.disarm()
        self.apply(Accept())
        self.apply(Delay(0))
        self.apply(Throttle(None))
        for pace in self._all_paces(Direction.BOTH, None):
            pace.stalled_until = self._board.started
        self._wake_pipes()

    # -- what faults do ------------------------------------------------------------------------

    def _apply(self, fault: Fault, origin: Pipe | None) -> None:
        """Do what a fault says.

        Args:
            fault: What to do.
            origin: Where a script's moment came, if it was one of bytes or frames: what came before is still sent.
        """
        match fault:
            case Drop() | Duplicate() | Reorder() | CutFrame() | Corrupt():
                self._board.arm(fault)
            case Reset():
                self._reset(fault, origin)
            case HalfClose():
                self._half_close(fault)
            case Stall() | Throttle() | Delay():
                self._set_pace(fault)
            case Refuse():
                self._refuse(fault.seconds)
            case Accept():
                self._closing = 0
                self._listen()
            case AcceptThenClose():
                self._board.note("accept-then-close", detail=f"{fault.connections or 'all'}")
                self._closing = -1 if fault.connections is None else fault.connections
            case _:
                assert_never(fault)

    def _reset(self, fault: Reset, origin: Pipe | None) -> None:
        for connection in self._selected(fault.connection):
            if origin is not None and origin in connection.pipes:
                origin.do(connection.reset)
            else:
                connection.reset()

    def _half_close(self, fault: HalfClose) -> None:
        for connection in self._selected(fault.connection):
            for pipe in connection.pipes:
                if pipe.direction in fault.direction:
                    self._board.note("half-closed", connection.number, pipe.direction)
                    pipe.end()

    def _set_pace(self, fault: Stall | Throttle | Delay) -> None:
        for pace in self._all_paces(fault.direction, fault.connection):
            if isinstance(fault, Stall):
                pace.stalled_until = max(pace.stalled_until, anyio.current_time() + fault.seconds)
            elif isinstance(fault, Throttle):
                pace.bytes_per_second = fault.bytes_per_second
            else:
                pace.delay, pace.jitter = fault.seconds, fault.jitter
        kind: ProxyEventKind
        if isinstance(fault, Stall):
            kind, detail = "stalled", f"{fault.seconds} s"
        elif isinstance(fault, Throttle):
            kind, detail = "throttled", f"{fault.bytes_per_second} bytes a second"
        else:
            kind, detail = "delayed", f"{fault.seconds} s and up to {fault.jitter} s more"
        self._board.note(kind, fault.connection or 0, fault.direction, detail=detail)
        self._wake_pipes()

    def _all_paces(self, direction: Direction, connection: int | None) -> Iterable[Pace]:
        if connection is None:
            yield from (pace for way, pace in self._paces.items() if way in direction)
        for one in self._selected(connection):
            yield from (pipe.pace for pipe in one.pipes if pipe.direction in direction)

    def _wake_pipes(self) -> None:
        for connection in self._connections.values():
            for pipe in connection.pipes:
                pipe.changed()

    def _selected(self, connection: int | None) -> list[ProxyConnection]:
        return [one for number, one in self._connections.items() if connection in {None, number}]

    async def _follow_script(self) -> None:
        for seconds, step in self._script.timed():
            await anyio.sleep_until(self._board.started + seconds)
            self._apply(step.fault, None)

    # -- accepting -----------------------------------------------------------------------------

    def _bind(self) -> socket.socket:
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            bound.setblocking(False)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((self.host, self._port))
            self._port = bound.getsockname()[1]
        except BaseException:
            bound.close()
            raise
        return bound

    def _listen(self) -> None:
        self._refusal += 1
        if self._tasks is None or self._reserved is None:
            return
        self._listener, self._reserved = self._reserved, None
        self._listener.listen(_BACKLOG)
        self._tasks.start_soon(self._accept, self._listener)
        self._board.note("accepting")

    def _stop_listening(self) -> None:
        self._refusal += 1
        if self._listener is not None:
            anyio.notify_closing(self._listener)
            self._listener.close()
            self._listener = None

    def _refuse(self, seconds: float | None) -> None:
        self._board.note("refusing", detail="" if seconds is None else f"{seconds} s")
        self._stop_listening()
        if self._reserved is None:
            # Bound and not listening: nobody else gets the port, and who connects is refused.
            self._reserved = self._bind()
        if seconds is not None and self._tasks is not None:
            self._tasks.start_soon(self._listen_later, seconds, self._refusal)

    async def _listen_later(self, seconds: float, refusal: int) -> None:
        await anyio.sleep(seconds)
        if refusal == self._refusal:
            self._listen()

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                await anyio.wait_readable(listener)
                client, _ = listener.accept()
            except BlockingIOError:
                continue
            except (anyio.ClosedResourceError, OSError):  # it refuses connections now
                return
            client.setblocking(False)
            self._script.connections += 1
            self._accepted.set()
            self._accepted = anyio.Event()
            self._board.note("accepted", self.connections)
            self._board.advance()
            if self._closing:
                self._closing = max(-1, self._closing - 1)
                client.close()
                self._board.note("closed", self.connections, detail="at once")
            elif self._tasks is not None:
                self._tasks.start_soon(self._serve, self.connections, client)

    async def _serve(self, number: int, client: socket.socket) -> None:
        try:
            server = await _connect(*self._target)
        except OSError as error:
            self._board.note("upstream-failed", number, detail=str(error))
            reset_when_closed(client)
            client.close()
            return
        except BaseException:
            client.close()
            raise
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = ProxyConnection(number, client, server, self._board, self._paces, self.seed, self._frames)
        self._connections[number] = connection
        try:
            await connection.run()
        finally:
            del self._connections[number]


async def _connect(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
        address: tuple[object, ...] = (host, port)
    except ValueError:
        family, _, _, _, address = (await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
    connected = socket.socket(family, socket.SOCK_STREAM)
    try:
        connected.setblocking(False)
        try:
            connected.connect(address)
        except BlockingIOError:
            await anyio.wait_writable(connected)
            code = connected.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, "cannot connect") from None
    except BaseException:
        connected.close()
        raise
    return connected


__all__ = ("FaultyProxy",)
