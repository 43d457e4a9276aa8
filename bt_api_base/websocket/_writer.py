"""The sending half of a connection: whole frames, in order, and never waiting for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from anyio.abc import ByteStream

_PIECE: Final = 64 * 1024
"""Bytes handed to the socket at a time, so that progress with a large message can be seen."""

_MAX_PONGS: Final = 16
"""Answers to pings that may wait at once."""

_PONG: Final = 0x8A
"""First byte of a pong frame (RFC 6455, 5.2): FIN and opcode 10."""


class WriteError(Exception):
    """Writing failed, its cause tells why; nothing more can be sent."""


class Writer:
    """Writes queued frames to a byte stream, one task at a time.

    Frames are queued synchronously, in the order in which the protocol made them, and written by whoever holds the
    `lock`; whatever is queued meanwhile goes along before the lock is released. So a reader that has a pong to send
    while another task writes need not wait for it.

    Args:
        stream: Where to.
        send_timeout: Seconds for which the peer may take nothing before the connection counts as broken.
        on_failure: Called once with the cause when writing has failed.

    Attributes:
        lock: Held while frames are made and written.
        failed: Whether nothing can be sent any more.
        bytes_sent: Bytes written.
        pongs_dropped: Pongs that gave way to newer ones.
    """

    def __init__(self, stream: ByteStream, *, send_timeout: float, on_failure: Callable[[BaseException], None]) -> None:
        self._stream = stream
        self._send_timeout = send_timeout
        self._on_failure = on_failure
        self._queue: list[bytes] = []
        self._pongs_queued = 0
        self._wake: anyio.Event | None = None
        self.lock = anyio.Lock(fast_acquire=True)
        self.failed = False
        self.bytes_sent = 0
        self.pongs_dropped = 0

    @property
    def pending(self) -> bool:
        """Whether frames wait to be written."""
        return bool(self._queue)

    def queue(self, frames: Iterable[bytes]) -> None:
        """Queue frames; an empty one (the protocol's mark for the end of the stream) is left out."""
        if self.failed:
            return
        for frame in frames:
            if not frame:
                continue
            if frame[0] == _PONG:
                if self._pongs_queued == _MAX_PONGS:
                    # RFC 6455, 5.5.3: only the most recent ping need be answered.
                    self._queue.remove(next(queued for queued in self._queue if queued[0] == _PONG))
                    self._pongs_queued -= 1
                    self.pongs_dropped += 1
                self._pongs_queued += 1
            self._queue.append(frame)

    async def write_queued(self) -> None:
        """Write all that is queued; the caller holds the `lock`.

        Raises:
            WriteError: The stream broke, or the peer took nothing for too long.

        Cancellation:
            What has not begun stays queued. Frames cut off in the middle fail the writer.
        """
        while self._queue and not self.failed:
            await anyio.lowlevel.checkpoint_if_cancelled()
            data = b"".join(self._queue) if len(self._queue) > 1 else self._queue[0]
            self._queue.clear()
            self._pongs_queued = 0
            try:
                if len(data) <= _PIECE:
                    await self._write(data)
                else:
                    view = memoryview(data)
                    for start in range(0, len(data), _PIECE):
                        await self._write(bytes(view[start : start + _PIECE]))
            except BaseException as error:
                self.fail(error)
                if isinstance(error, (OSError, TimeoutError, anyio.BrokenResourceError, anyio.ClosedResourceError)):
                    raise WriteError from error
                raise

    async def _write(self, piece: bytes) -> None:
        with anyio.fail_after(self._send_timeout):
            await self._stream.send(piece)
        self.bytes_sent += len(piece)

    async def flush(self) -> None:
        """See to it that what is queued gets written: by another task that is at it, or by this one."""
        if not self._queue:
            return
        if self._wake is not None:
            self._wake.set()
        elif not self.lock.locked():
            async with self.lock:
                await self.write_queued()

    async def run(self) -> None:
        """Write what `flush` is called for, so that its callers need not; until the writer fails.

        Cancellation:
            `flush` writes again.
        """
        try:
            while not self.failed:
                self._wake = anyio.Event()
                if not self._queue:
                    await self._wake.wait()
                async with self.lock:
                    await self.write_queued()
        finally:
            self._wake = None

    def fail(self, cause: BaseException) -> None:
        """Give up sending."""
        if self.failed:
            return
        self.failed = True
        self._queue.clear()
        if self._wake is not None:
            self._wake.set()
        self._on_failure(cause)


__all__ = ("WriteError", "Writer")
