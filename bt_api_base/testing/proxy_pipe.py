"""One connection through a faulty proxy, and the two ways in it.

Sockets are used directly, because only so is it known what has been sent, and only so is a reset a reset: an event
loop's own streams say goodbye first.
"""

from __future__ import annotations

import math
import random
import socket
import struct
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

import anyio
import anyio.lowlevel
import attrs

from bt_api_base.testing.proxy_faults import Corrupt, CutFrame, Direction, Drop, Duplicate, ProxyEventKind, Reorder
from bt_api_base.testing.proxy_frames import FrameCutter, Handshake, Piece

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from bt_api_base.testing.proxy_faults import FrameFault

_MAX_BUFFER_BYTES: Final = 1 << 20
"""What one way may hold before nothing more is read from its source."""

_RECEIVE_BYTES: Final = 65_536

_THROTTLE_SLICE: Final = 0.02
"""Seconds' worth of bytes that a throttled way sends at once."""

_LINGER_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, zero seconds: closing such a socket resets the connection."""


class PipeWatcher(Protocol):
    """What one way asks and tells the proxy it belongs to."""

    def frame_fault(self, pipe: Pipe) -> FrameFault | None:
        """Return what is to become of the next data frame; None if nothing is armed for it."""

    def corruption(self, pipe: Pipe) -> Corrupt | None:
        """Return what is to be flipped in the next bytes; None if nothing is armed."""

    def room_bytes(self, pipe: Pipe) -> int | None:
        """Return how many bytes may pass before a moment of the script; None if there is none to come."""

    def passed(self, pipe: Pipe, count: int) -> None:
        """Take note that bytes came."""

    def framed(self, pipe: Pipe) -> None:
        """Take note that a data frame came."""

    def note(
        self,
        kind: ProxyEventKind,
        connection: int,
        direction: Direction | None = None,
        *,
        frame: int | None = None,
        payload: bytes = b"",
        detail: str = "",
    ) -> None:
        """Add a line to the log."""


@attrs.define
class Pace:
    """How fast one way is, and whether at all. Times are on the event loop's clock."""

    stalled_until: float = -math.inf
    bytes_per_second: float | None = None
    delay: float = 0.0
    jitter: float = 0.0


@attrs.define(eq=False)
class _Item:
    """Something that waits to be sent, or to be done once all before it has been."""

    due: float
    data: bytes
    then: Callable[[], object] | None = None


@attrs.define(eq=False)
class _Held:
    """A frame that later ones overtake."""

    data: bytes
    left: int
    deadline: float


@attrs.define(eq=False)
class Pipe:
    """One way of a connection."""

    number: int
    """Its connection's."""
    direction: Direction
    source: socket.socket
    sink: socket.socket
    watcher: PipeWatcher
    pace: Pace
    cutter: FrameCutter | None
    abort: Callable[[], object]
    """Resets the connection."""
    seed: str
    finished: bool = attrs.field(default=False, init=False)
    """Whether the sink has been told that nothing more comes."""
    frames: int = attrs.field(default=0, init=False)
    """Data frames that came."""
    rng: random.Random = attrs.field(init=False)
    """Chances of frames and bytes, which do not depend on how bytes happen to arrive."""
    _jitter: random.Random = attrs.field(init=False)
    _queue: deque[_Item] = attrs.field(factory=deque[_Item], init=False)
    _held: list[_Held] = attrs.field(factory=list[_Held], init=False)
    _flips: list[tuple[bool, list[int]]] = attrs.field(factory=list[tuple[bool, list[int]]], init=False)
    """For each corruption: whether only payloads count, and how many bytes to each byte that is flipped."""
    _buffered: int = attrs.field(default=0, init=False)
    _ending: bool = attrs.field(default=False, init=False)
    _not_before: float = attrs.field(default=-math.inf, init=False)
    _changed: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    _drained: anyio.Event = attrs.field(factory=anyio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self.rng = random.Random(self.seed)  # noqa: S311  # repeatable, no secret
        self._jitter = random.Random(f"{self.seed}/jitter")  # noqa: S311

    def changed(self) -> None:
        """Have the writer look again."""
        self._changed.set()

    def end(self) -> None:
        """End this way once everything before has been sent; whatever comes later is thrown away."""
        if self._ending:
            return
        self._ending = True
        self._release(self._held)
        self._held = []
        self._queue.append(_Item(-math.inf, b"", self._finish))
        self.changed()

    def do(self, then: Callable[[], object]) -> None:
        """Do something once everything before has been sent."""
        self._queue.append(_Item(-math.inf, b"", then))
        self.changed()

    # Reading.

    async def read(self) -> None:
        """Take what the source sends, until it has finished."""
        while True:
            while self._buffered > _MAX_BUFFER_BYTES:
                self._drained = anyio.Event()
                await self._drained.wait()
            await anyio.wait_readable(self.source)
            try:
                data = self.source.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                continue
            if not data:
                break
            self._feed(data)
        if self.cutter is not None:
            self._pass_all(self.cutter.finish())
        self.end()

    def _feed(self, data: bytes) -> None:
        while data:
            room = self.watcher.room_bytes(self)
            part, data = (data, b"") if room is None else (data[:room], data[room:])
            if self.cutter is None:
                self._pass(Piece(part))
            else:
                self._pass_all(self.cutter.feed(part))
            self.watcher.passed(self, len(part))

    def _pass_all(self, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            self._pass(piece)

    def _pass(self, piece: Piece) -> None:
        if self._ending:
            return
        corruption = self.watcher.corruption(self)
        if corruption is not None:
            places = sorted(self.rng.sample(range(corruption.span_bytes), corruption.count))
            self._flips.append((corruption.payload, places))
        if not piece.is_data:
            if piece.is_close:  # nothing may follow it
                self._release(self._held)
                self._held = []
            self._put(self._corrupted(piece, None))
            return
        number = self.frames
        self.frames += 1
        self._pass_frame(number, piece, self.watcher.frame_fault(self))
        self.watcher.framed(self)

    def _pass_frame(self, number: int, piece: Piece, fault: FrameFault | None) -> None:
        data = self._corrupted(piece, number)
        held, self._held = self._held, []
        if isinstance(fault, Drop):
            self._note("dropped", number, piece)
        elif isinstance(fault, Duplicate):
            self._note("duplicated", number, piece)
            self._put(data)
            self._put(data)
        elif isinstance(fault, Reorder):
            self._note("reordered", number, piece, f"behind {fault.distance} later")
            self._held.append(_Held(data, fault.distance + 1, anyio.current_time() + fault.patience))
        elif isinstance(fault, CutFrame):
            keep = self.rng.randrange(1, len(data)) if fault.keep_bytes is None else fault.keep_bytes
            self._note("cut", number, piece, f"after {min(keep, len(data))} of {len(data)} bytes")
            self._put(data[:keep])
            self.do(self.abort if fault.reset else self._finish)
            self._ending = True
        else:
            self._put(data)
        # What this one has overtaken.
        self._held = held + self._held
        for one in self._held:
            one.left -= 1
        self._release([one for one in self._held if one.left <= 0])
        self._held = [one for one in self._held if one.left > 0]
        self.changed()  # there may be something new to be patient about

    def _note(self, kind: ProxyEventKind, frame: int | None, piece: Piece, detail: str = "") -> None:
        self.watcher.note(kind, self.number, self.direction, frame=frame, payload=piece.payload, detail=detail)

    def _corrupted(self, piece: Piece, frame: int | None) -> bytes:
        if not self._flips:
            return piece.data
        data = bytearray(piece.data)
        left: list[tuple[bool, list[int]]] = []
        for payload_only, places in self._flips:
            begin = piece.payload_at if payload_only else 0
            length = len(data) - begin if piece.is_data or not payload_only else 0
            for place in places:
                if place < length:
                    data[begin + place] ^= 1 << self.rng.randrange(8)
                    self._note("corrupted", frame, piece, f"byte {begin + place} of {len(data)}")
            later = [place - length for place in places if place >= length]
            if later:
                left.append((payload_only, later))
        self._flips = left
        return bytes(data)

    def _release(self, held: list[_Held]) -> None:
        for one in held:
            self._put(one.data)

    def _put(self, data: bytes) -> None:
        due = -math.inf
        if self.pace.delay or self.pace.jitter:
            due = anyio.current_time() + self.pace.delay + self._jitter.uniform(0.0, self.pace.jitter)
            if self._queue:
                due = max(due, self._queue[-1].due)  # a line keeps the order
        self._queue.append(_Item(due, data))
        self._buffered += len(data)
        self.changed()

    # Writing.

    async def write(self) -> None:
        """Send what is due, until this way has ended."""
        while not self.finished:
            self._changed = anyio.Event()
            now = anyio.current_time()
            turn = self._next_turn(now)
            if turn > now:
                with anyio.move_on_after(turn - now):
                    await self._changed.wait()
            elif self._queue:
                await self._send_next()

    def _next_turn(self, now: float) -> float:
        """Return when there is something to do."""
        overdue = [one for one in self._held if one.deadline <= now]
        if overdue:
            self._release(overdue)
            self._held = [one for one in self._held if one.deadline > now]
        if self.pace.stalled_until > now:
            return self.pace.stalled_until
        if self._queue:
            return max(self._queue[0].due, self._not_before)
        return min((one.deadline for one in self._held), default=math.inf)

    async def _send_next(self) -> None:
        item = self._queue[0]
        if item.then is not None:
            self._queue.popleft()
            item.then()
            await anyio.lowlevel.checkpoint()  # a reset cancels this task: nothing is sent after it
            return
        rate = self.pace.bytes_per_second
        if rate is None:
            data, item.data = item.data, b""
        else:
            count = max(1, int(rate * _THROTTLE_SLICE))
            data, item.data = item.data[:count], item.data[count:]
            self._not_before = anyio.current_time() + len(data) / rate
        if not item.data:
            self._queue.popleft()
        await _send_all(self.sink, data)
        self._buffered -= len(data)
        self._drained.set()

    def _finish(self) -> None:
        self.finished = True
        with suppress(OSError):  # it is gone already
            self.sink.shutdown(socket.SHUT_WR)


@attrs.define(eq=False)
class ProxyConnection:
    """One connection: its two sockets, which are closed when it ends, and the two ways between them."""

    number: int
    client: socket.socket
    server: socket.socket
    watcher: PipeWatcher
    paces: dict[Direction, Pace]
    seed: int
    frames: bool
    pipes: tuple[Pipe, ...] = attrs.field(init=False)
    _scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope, init=False)
    _reason: str = attrs.field(default="", init=False)

    def __attrs_post_init__(self) -> None:
        handshake = Handshake()
        self.pipes = tuple(
            Pipe(
                self.number,
                direction,
                source,
                sink,
                self.watcher,
                attrs.evolve(self.paces[direction]),
                FrameCutter(direction, handshake) if self.frames else None,
                self.reset,
                f"{self.seed}/{self.number}/{direction}",
            )
            for direction, source, sink in (
                (Direction.TO_CLIENT, self.server, self.client),
                (Direction.TO_SERVER, self.client, self.server),
            )
        )

    def reset(self, reason: str = "by the proxy") -> None:
        """Reset the connection on both sides, now."""
        if self._reason:
            return
        self._reason = reason
        for end in (self.client, self.server):
            reset_when_closed(end)
        self._scope.cancel()

    async def run(self) -> None:
        """Pass bytes until both ways have ended, or until the connection breaks or is reset."""
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    for pipe in self.pipes:
                        tasks.start_soon(self._guard, pipe.read, str(pipe.direction))
                    async with anyio.create_task_group() as writers:
                        for pipe in self.pipes:
                            writers.start_soon(self._guard, pipe.write, str(pipe.direction))
                    tasks.cancel_scope.cancel()
        finally:
            self.client.close()
            self.server.close()
            self.watcher.note("reset" if self._reason else "closed", self.number, detail=self._reason)

    async def _guard(self, work: Callable[[], Awaitable[None]], way: str) -> None:
        try:
            await work()
        except OSError as error:  # one side broke, and the other one is to learn of it
            self.reset(f"{way}: {error.strerror or type(error).__name__}")


def reset_when_closed(end: socket.socket) -> None:
    """Have a socket reset its connection when it is closed."""
    with suppress(OSError):  # it is gone already
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)


async def _send_all(sink: socket.socket, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[sink.send(view) :]
        except BlockingIOError:
            await anyio.wait_writable(sink)


__all__ = ("Pace", "Pipe", "PipeWatcher", "ProxyConnection", "reset_when_closed")
