"""Byte streams in memory that behave like the two ends of a TCP connection, faults on demand included.

They carry a protocol without sockets: fast, deterministic, and at home under virtual time. Each end can be told how
what arrives there is cut up, to stall, to end, and to break.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel
import attrs
from anyio.abc import ByteStream
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DEFAULT_BUFFER_BYTES: Final = 65_536
"""Bytes in flight in one direction before its sender has to wait."""


@attrs.define(eq=False)
class _Pipe:
    """One direction of a connection."""

    max_buffer_bytes: int
    chunk_sizes: Iterator[int]
    buffer: bytearray = attrs.field(factory=bytearray)
    ended: bool = False
    """The sender will send nothing more."""
    abandoned: bool = False
    """The receiver has gone."""
    broken: bool = False
    """The connection was reset."""
    stalled: bool = False
    """What is in flight does not arrive."""
    _changed: anyio.Event = attrs.field(factory=anyio.Event)

    def changed(self) -> None:
        """Wake who waits here: at most one sender and one receiver."""
        self._changed.set()
        self._changed = anyio.Event()

    async def wait(self) -> None:
        await self._changed.wait()

    def take(self, max_bytes: int) -> bytes | None:
        """Return the next chunk, b"" at the end, or None if there is nothing yet."""
        if self.broken:
            raise anyio.BrokenResourceError
        if self.stalled:
            return None
        if not self.buffer:
            return b"" if self.ended else None
        size = min(max_bytes, next(self.chunk_sizes, max_bytes))
        chunk = bytes(self.buffer[:size])
        del self.buffer[:size]
        self.changed()
        return chunk

    def put(self, data: memoryview) -> int:
        """Accept as much as there is room for and return how many bytes that was."""
        if self.broken or self.abandoned:
            raise anyio.BrokenResourceError
        accepted = data[: max(0, self.max_buffer_bytes - len(self.buffer))]
        if accepted:
            self.buffer += accepted
            self.changed()
        return len(accepted)


class MemoryByteStream(ByteStream):
    """One end of a connection in memory; `memory_stream_pair` makes both.

    It is used like a TCP stream: one task may receive while another sends (two at the same work raise
    `anyio.BusyResourceError`). The methods that are not anyio's script what happens to the bytes that arrive *here*.
    """

    def __init__(self, incoming: _Pipe, outgoing: _Pipe) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._closed = False
        self._receiving = False
        self._sending = False

    @override
    async def receive(self, max_bytes: int = 65_536) -> bytes:
        """Wait for bytes and return the next chunk of them.

        Args:
            max_bytes: The most bytes to return; the scripted chunk sizes may make it fewer.

        Raises:
            anyio.EndOfStream: The other end has finished, and all it sent has been returned.
            anyio.ClosedResourceError: This end is closed.
            anyio.BrokenResourceError: The connection was broken.
            anyio.BusyResourceError: Another task is receiving here.

        Cancellation:
            Safe: bytes are taken in the moment they are returned.
        """
        await anyio.lowlevel.checkpoint()
        if self._receiving:
            raise anyio.BusyResourceError("receiving from")
        self._receiving = True
        try:
            while (chunk := self._take(max_bytes)) is None:
                await self._incoming.wait()
        finally:
            self._receiving = False
        if not chunk:
            raise anyio.EndOfStream
        return chunk

    def receive_nowait(self, max_bytes: int = 65_536) -> bytes:
        """Return the next chunk if there is one.

        Args:
            max_bytes: The most bytes to return.

        Raises:
            anyio.WouldBlock: Nothing has arrived.
            anyio.EndOfStream: As `receive`.
            anyio.ClosedResourceError: As `receive`.
            anyio.BrokenResourceError: As `receive`.
        """
        chunk = self._take(max_bytes)
        if chunk is None:
            raise anyio.WouldBlock
        if not chunk:
            raise anyio.EndOfStream
        return chunk

    @override
    async def send(self, item: bytes) -> None:
        """Send bytes, waiting as long as the other end leaves no room for them.

        Args:
            item: The bytes.

        Raises:
            anyio.ClosedResourceError: This end is closed or has sent its end.
            anyio.BrokenResourceError: The other end is closed, or the connection was broken.
            anyio.BusyResourceError: Another task is sending here.

        Cancellation:
            Some of the bytes may have been sent, as with any byte stream.
        """
        await anyio.lowlevel.checkpoint_if_cancelled()
        if self._sending:
            raise anyio.BusyResourceError("sending to")
        self._sending = True
        try:
            rest = memoryview(item)
            while True:
                if self._closed or self._outgoing.ended:
                    raise anyio.ClosedResourceError
                rest = rest[self._outgoing.put(rest) :]
                if not rest:
                    break
                await self._outgoing.wait()
        finally:
            self._sending = False
        # As with a socket: a send that is done is not reported as cancelled.
        await anyio.lowlevel.cancel_shielded_checkpoint()

    @override
    async def send_eof(self) -> None:
        """Tell the other end that nothing more comes; receiving goes on.

        Raises:
            anyio.ClosedResourceError: This end is closed.

        Cancellation:
            Cancelled before it begins, it has not been sent; later it cannot be cancelled.
        """
        await anyio.lowlevel.checkpoint()
        if self._closed:
            raise anyio.ClosedResourceError
        self._end()

    @override
    async def aclose(self) -> None:
        """Close this end: the other one reads what was sent, then the end; what it sends from now on breaks.

        Closing twice is fine.

        Cancellation:
            The stream is closed all the same.
        """
        if not self._closed:
            self._closed = True
            self._incoming.abandoned = True
            self._incoming.changed()
            self._end()
        await anyio.lowlevel.checkpoint()

    def chunk(self, sizes: Iterable[int]) -> None:
        """Cut what arrives here into pieces of these sizes, one for each `receive`.

        Args:
            sizes: Sizes in bytes, each at least 1. When they are used up, pieces are as big as asked for.
        """
        self._incoming.chunk_sizes = iter(sizes)

    def stall(self) -> None:
        """Let nothing arrive here, neither bytes nor their end, until `resume`; a sender sees a full buffer at most."""
        self._incoming.stalled = True

    def resume(self) -> None:
        """Let arrive what was held up since `stall`."""
        self._incoming.stalled = False
        self._incoming.changed()

    def reset(self) -> None:
        """Break the connection as a TCP reset does: bytes in flight are lost, both ends raise `BrokenResourceError`."""
        for pipe in (self._incoming, self._outgoing):
            pipe.broken = True
            pipe.buffer.clear()
            pipe.changed()

    def feed(self, data: bytes) -> None:
        """Let bytes arrive here without a task at the other end, beyond the buffer's size if need be.

        Args:
            data: The bytes.
        """
        self._incoming.buffer += data
        self._incoming.changed()

    def feed_eof(self) -> None:
        """Let the end arrive here, after the bytes that are in flight."""
        self._incoming.ended = True
        self._incoming.changed()

    def _take(self, max_bytes: int) -> bytes | None:
        if self._closed:
            raise anyio.ClosedResourceError
        return self._incoming.take(max_bytes)

    def _end(self) -> None:
        self._outgoing.ended = True
        self._outgoing.changed()


def memory_stream_pair(*, max_buffer_bytes: int = DEFAULT_BUFFER_BYTES) -> tuple[MemoryByteStream, MemoryByteStream]:
    """Return the two ends of a connection: what one sends, the other receives.

    Args:
        max_buffer_bytes: Bytes in flight in each direction before a sender has to wait; at least 1.

    Returns:
        Both ends. They need no event loop until they are used.

    Raises:
        ValueError: The buffer has no room.
    """
    if max_buffer_bytes < 1:
        raise ValueError(f"max_buffer_bytes is {max_buffer_bytes}, must be at least 1")
    there = _Pipe(max_buffer_bytes=max_buffer_bytes, chunk_sizes=iter(()))
    back = _Pipe(max_buffer_bytes=max_buffer_bytes, chunk_sizes=iter(()))
    return MemoryByteStream(there, back), MemoryByteStream(back, there)


__all__ = ("DEFAULT_BUFFER_BYTES", "MemoryByteStream", "memory_stream_pair")
