"""One connection of a simulated venue, from its server's side.

A `Peer` runs websockets' Sans-I/O protocol over a byte stream; what is said is decided by a `PeerHandler`,
synchronously. It never makes its handler wait: what is to be sent is collected and written in one go by a task of its
own, and a client that does not keep up is cut off once too much has collected.
"""

from __future__ import annotations

import enum
import math
import socket
import struct
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

import anyio
import attrs
from anyio.abc import SocketAttribute
from websockets.exceptions import WebSocketException
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import SEND_EOF, State
from websockets.server import ServerProtocol

from bt_api_base.testing.streams import MemoryByteStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import ByteStream, TaskGroup

DEFAULT_MAX_OUTGOING_BYTES: Final = 8 * 1024 * 1024
"""What may collect for a client that does not read before it is cut off."""

_LINGER_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, zero seconds: closing such a socket resets the connection."""

_TEXT: Final = 0x81
_DATA_OPCODES: Final = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


def text_frame(payload: bytes) -> bytes:
    """Return an unmasked WebSocket text frame.

    Args:
        payload: Its payload; nobody checks that it is UTF-8.
    """
    length = len(payload)
    if length < 126:
        return bytes((_TEXT, length)) + payload
    if length < 65_536:
        return struct.pack("!BBH", _TEXT, 126, length) + payload
    return struct.pack("!BBQ", _TEXT, 127, length) + payload


def _payload(frame: bytes) -> bytes:
    """Return the payload of a frame that `text_frame` made."""
    return frame[{126: 4, 127: 10}.get(frame[1], 2) :]


class Ending(enum.Enum):
    """How a connection ended."""

    OPEN = "open"
    """It has not."""
    CLOSED_BY_VENUE = "closed by venue"
    """The venue sent a close frame; `Peer.confirmed` tells whether the client answered it."""
    CLOSED_BY_CLIENT = "closed by client"
    """The client sent a close frame."""
    CUT = "cut"
    """The venue reset the connection: what was in flight may be lost."""
    OVERFLOW = "overflow"
    """The client did not read, too much collected, and the venue reset the connection."""
    LOST = "lost"
    """The client went without a close frame."""


@attrs.frozen
class HandshakeRefusal:
    """The answer to a handshake that gets no connection.

    Attributes:
        status: The HTTP status.
        reason: Text of the body.
        retry_after: Seconds of the header "Retry-After"; None for no such header.
    """

    status: int
    reason: str = ""
    retry_after: int | None = None


_NOT_FOUND: Final = HandshakeRefusal(404, "Not Found")


class PeerHandler(Protocol):
    """Decides what is said on a connection. Its methods are called in the peer's tasks and must not block."""

    def received_frame(self, frame: Frame) -> None:
        """Take note of a frame from the client, control frames and fragments included."""

    def received_message(self, message: bytes) -> None:
        """Handle a complete message from the client."""

    def sent(self, marks: list[object]) -> None:
        """Take note that frames are handed to the operating system now.

        Args:
            marks: What they were marked with when they were sent, in order; frames without a mark are not in it.
        """

    def ended(self) -> None:
        """Take note that the connection has ended: `Peer.ending` tells how."""


@attrs.define(kw_only=True)
class ServerSettings:
    """What the connections of a server have in common. Durations are seconds."""

    ping_interval: float = 20.0
    """From one ping to the next."""
    pong_timeout: float = 60.0
    """From a ping to the pong that echoes its payload, before the connection is closed."""
    close_timeout: float = 1.0
    """From a close frame to the end of the connection."""
    handshake_timeout: float = 10.0
    """From an accepted connection to its request."""
    max_outgoing_bytes: int = DEFAULT_MAX_OUTGOING_BYTES
    """What may collect for a client before it is cut off."""
    send_buffer_bytes: int | None = None
    """Size of the operating system's send buffer; None leaves it to the system."""
    compression: bool = False
    """Whether permessage-deflate is accepted when a client offers it."""
    ping_payload: Callable[[], bytes] = lambda: str(int(anyio.current_time() * 1_000)).encode()
    """Makes the payload of a ping."""


class Peer:
    """One client's connection.

    Args:
        stream: The bytes.
        settings: The server's.
        accept: Returns the handler for a request target, why there is none, or None where there is nothing (HTTP 404).
        delay: Returns how many seconds the answer to a handshake takes.
    """

    def __init__(
        self,
        stream: ByteStream,
        settings: ServerSettings,
        accept: Callable[[Peer, str], PeerHandler | HandshakeRefusal | None],
        delay: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.ending = Ending.OPEN
        self.confirmed = False
        """Whether both sides sent a close frame: then the client has received all that was sent before the venue's."""
        self.close_code: int | None = None
        """Code of the close frame that began the end, None where there was none."""
        self.close_reason = ""
        """Reason of that close frame, or what the venue had against the client."""
        self.pending_bytes = 0
        """Bytes that wait to be handed to the operating system."""
        self.opened = False
        """Whether the handshake has been completed."""
        self.ended = anyio.Event()
        """Set when the connection is gone."""
        self._stream = stream
        self._settings = settings
        self._accept = accept
        self._delay = delay
        self._handler: PeerHandler | None = None
        extensions = [ServerPerMessageDeflateFactory()] if settings.compression else None
        self._protocol = ServerProtocol(extensions=extensions)
        self._compressed = False
        self._frames: list[bytes] = []
        self._marks: list[object] = []
        self._eof_due = False
        self._writing = False
        self._unwritable = False
        self._wake = anyio.Event()
        self._drained = anyio.Event()
        self._fragments: list[bytes] = []
        self._pings: deque[tuple[bytes, float]] = deque()
        self._scope = anyio.CancelScope()

    @property
    def host(self) -> str:
        """The client's address; "memory" for a connection in memory."""
        address = self._stream.extra(SocketAttribute.remote_address, None)
        return str(address[0]) if address else "memory"

    @property
    def is_open(self) -> bool:
        """Whether frames can be sent."""
        return self._protocol.state is State.OPEN and self.ending is Ending.OPEN

    def send(self, frame: bytes, mark: object = None) -> None:
        """Have a frame sent, after those before it. Nothing is sent once the connection is closing.

        Args:
            frame: What `text_frame` made.
            mark: What `PeerHandler.sent` is told when the frame is handed to the operating system.
        """
        if not self.is_open:
            return
        if self._compressed:
            self._protocol.send_text(_payload(frame))
            frame = b"".join(self._protocol.data_to_send())
        if mark is not None:
            self._marks.append(mark)
        self._queue(frame)

    def close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake; the connection ends when the client has answered, or after a time.

        Args:
            code: The close code.
            reason: The reason.
        """
        if not self.is_open:
            return
        self.ending, self.close_code, self.close_reason = Ending.CLOSED_BY_VENUE, code, reason
        self._protocol.send_close(code, reason)
        self._queue_protocol()
        self._limit_closing()

    def cut(self, ending: Ending = Ending.CUT) -> None:
        """Reset the connection: nothing that waits is sent, and what is in flight may be lost.

        Args:
            ending: What to remember it as.
        """
        if self.ended.is_set():
            return
        if self.ending is Ending.OPEN:
            self.ending = ending
        self._frames.clear()
        self._marks.clear()
        self.pending_bytes = 0
        _prepare_reset(self._stream)
        self._scope.cancel()

    async def drain(self) -> None:
        """Wait until everything has been handed to the operating system, or the connection has ended.

        Cancellation:
            Safe: nothing is lost or sent twice.
        """
        while (self._frames or self._writing) and not self._unwritable and not self.ended.is_set():
            await self._drained.wait()

    async def run(self, gate: Callable[[], anyio.Event | None]) -> None:
        """Serve the connection to its end.

        Args:
            gate: Returns an event to wait for before anything from the client is looked at, or None.

        Cancellation:
            The connection is dropped without a close frame.
        """
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._write)
                    try:
                        await self._serve(gate, tasks)
                    except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
                        self._end(Ending.LOST)
                    tasks.cancel_scope.cancel()
        finally:
            self._end(Ending.CUT)
            self._drained.set()
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()
            if self._handler is not None:
                self._handler.ended()
            # Last, so that whoever waited for the end finds the records complete.
            self.ended.set()

    async def _serve(self, gate: Callable[[], anyio.Event | None], tasks: TaskGroup) -> None:
        protocol = self._protocol
        self._scope.deadline = anyio.current_time() + self._settings.handshake_timeout
        while True:
            try:
                data = await self._stream.receive()
            except anyio.EndOfStream:
                break
            while (event := gate()) is not None:
                await event.wait()
            protocol.receive_data(data)
            for item in protocol.events_received():
                if isinstance(item, Request):
                    delay = self._delay()
                    if delay > 0:
                        self._scope.deadline += delay
                        await anyio.sleep(delay)
                    self._handshake(item)
                    if self.opened:
                        self._scope.deadline = math.inf
                        tasks.start_soon(self._keep_alive, gate)
                elif isinstance(item, Frame):
                    self._received(item)
            self._queue_protocol()
            if protocol.close_rcvd is not None or protocol.parser_exc is not None:
                self._note_closing()
            if self.confirmed:  # a server ends the connection first, once its own close frame is out
                await self.drain()
                return
        protocol.receive_eof()
        self._note_closing()
        self._end(Ending.LOST)

    def _handshake(self, request: Request) -> None:
        protocol = self._protocol
        response = protocol.accept(request)
        handler: PeerHandler | None = None
        if response.status_code == 101:
            accepted = self._accept(self, request.path) or _NOT_FOUND
            if isinstance(accepted, HandshakeRefusal):
                response = protocol.reject(accepted.status, f"{accepted.reason}\n")
                if accepted.retry_after is not None:
                    response.headers["Retry-After"] = str(accepted.retry_after)
            else:
                handler = accepted
        protocol.send_response(response)
        self._queue_protocol()
        if handler is not None:
            self._handler = handler
            self._compressed = bool(protocol.extensions)
            self.opened = True

    def _received(self, frame: Frame) -> None:
        if self._handler is None or self.ending is not Ending.OPEN:
            return
        self._handler.received_frame(frame)
        if frame.opcode is Opcode.PONG:
            payloads = [payload for payload, _ in self._pings]
            if frame.data in payloads:
                for _ in range(payloads.index(bytes(frame.data)) + 1):
                    self._pings.popleft()
        elif frame.opcode in _DATA_OPCODES:
            self._fragments.append(bytes(frame.data))
            if frame.fin:
                message, self._fragments = b"".join(self._fragments), []
                if self.is_open:
                    self._handler.received_message(message)

    def _note_closing(self) -> None:
        """Remember who closed, once the protocol knows."""
        protocol = self._protocol
        self.confirmed = protocol.close_rcvd is not None and protocol.close_sent is not None
        if self.ending is not Ending.OPEN:
            return
        if protocol.close_rcvd is not None:
            self.ending = Ending.CLOSED_BY_CLIENT
            self.close_code, self.close_reason = protocol.close_rcvd.code, protocol.close_rcvd.reason
        elif protocol.close_sent is not None:  # the client broke the protocol
            self.ending = Ending.CLOSED_BY_VENUE
            self.close_code, self.close_reason = protocol.close_sent.code, protocol.close_sent.reason
        self._limit_closing()

    def _limit_closing(self) -> None:
        self._scope.deadline = min(self._scope.deadline, anyio.current_time() + self._settings.close_timeout)

    def _end(self, ending: Ending) -> None:
        if self.ending is Ending.OPEN:
            self.ending = ending

    async def _keep_alive(self, gate: Callable[[], anyio.Event | None]) -> None:
        """Ping regularly, and close if the pongs stay away."""
        next_ping = anyio.current_time() + self._settings.ping_interval
        while True:
            await anyio.sleep_until(min(next_ping, self._pings[0][1] if self._pings else math.inf))
            while (event := gate()) is not None:
                await event.wait()
                # Pongs that arrived meanwhile have not been looked at: the client gets its time anew.
                deadline = anyio.current_time() + self._settings.pong_timeout
                self._pings = deque((payload, deadline) for payload, _ in self._pings)
            now = anyio.current_time()
            if not self.is_open:
                return
            if self._pings and self._pings[0][1] <= now:
                self.close(1008, "Pong timeout")
                return
            if next_ping <= now:
                next_ping = now + self._settings.ping_interval
                payload = self._settings.ping_payload()
                self._pings.append((payload, now + self._settings.pong_timeout))
                self._protocol.send_ping(payload)
                self._queue_protocol()

    # Writing.

    def _queue(self, data: bytes) -> None:
        self._frames.append(data)
        self.pending_bytes += len(data)
        if self.pending_bytes > self._settings.max_outgoing_bytes:
            self.close_reason = "the client does not keep up"
            self.cut(Ending.OVERFLOW)
        elif len(self._frames) == 1:
            self._wake.set()

    def _queue_protocol(self) -> None:
        """Queue what the protocol has to say: handshake, control and close frames."""
        for data in self._protocol.data_to_send():
            if data == SEND_EOF:
                self._eof_due = True
                self._wake.set()
            else:
                self._queue(data)

    async def _write(self) -> None:
        try:
            while True:
                while self._frames:
                    frames, marks = self._frames, self._marks
                    self._frames, self._marks, self.pending_bytes = [], [], 0
                    self._writing = True
                    if self._handler is not None:
                        self._handler.sent(marks)
                    await self._stream.send(b"".join(frames))
                    self._writing = False
                self._drained.set()
                self._drained = anyio.Event()
                if self._eof_due:
                    with suppress(RuntimeError):  # uvloop's word for a connection that has gone meanwhile
                        await self._stream.send_eof()
                    return
                if not self._wake.is_set():
                    await self._wake.wait()
                self._wake = anyio.Event()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError, WebSocketException):
            self._end(Ending.LOST)  # the reading task sees the same and ends the connection
            self._unwritable = True
            self._drained.set()


def _prepare_reset(stream: ByteStream) -> None:
    """Have a stream reset its connection when it is closed."""
    if isinstance(stream, MemoryByteStream):
        stream.reset()
        return
    raw_socket: socket.socket | None = stream.extra(SocketAttribute.raw_socket, None)
    if raw_socket is not None:
        with suppress(OSError):  # it is gone already
            raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)


__all__ = (
    "DEFAULT_MAX_OUTGOING_BYTES",
    "Ending",
    "HandshakeRefusal",
    "Peer",
    "PeerHandler",
    "ServerSettings",
    "text_frame",
)
