"""A WebSocket over any byte stream: the default transport, on asyncio, uvloop and trio alike."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel
from anyio.streams.tls import TLSStream
from typing_extensions import override
from websockets.protocol import State

from bt_api_base.exceptions import WebSocketError
from bt_api_base.websocket._ending import Ending, check_close
from bt_api_base.websocket._inbox import Inbox
from bt_api_base.websocket._interface import WebSocket, WebSocketState, WebSocketStatistics
from bt_api_base.websocket._pings import Pings, ping_payload
from bt_api_base.websocket._writer import WriteError, Writer
from bt_api_base.websocket.frames import Decode, FrameReader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bt_api_base.websocket._dial import Dialled

_READ: Final = 64 * 1024
"""Bytes asked for in one read. A buffer is allocated for each: up to this size from memory at hand (3 us with the read
itself), beyond it from the kernel, page by page (30-60 us). In a flood, four times as much makes receiving alone 5 %
quicker, but what becomes of so many messages at once does not fit in the processor's cache: receiving, decoding and
delivering them takes 8 % longer (``benchmarks/pipeline.py``)."""

_LINGER: Final = 1.0
"""Seconds for the server to close TCP first once all is said, as RFC 6455, 7.1.1 wants it to."""

_ITEMS_PER_CHECKPOINT: Final = 64
"""Messages at hand that `receive` returns before it lets other tasks run."""

_LOST: Final = (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


class StreamWebSocket(WebSocket):
    """A WebSocket over an anyio byte stream; see `WebSocket` for what its methods promise."""

    def __init__(
        self,
        dialled: Dialled,
        *,
        url: str,
        max_send_size: int | None,
        send_timeout: float,
        close_timeout: float,
    ) -> None:
        self._url = url
        self._max_send_size = max_send_size
        self._close_timeout = close_timeout
        self._stream = dialled.stream
        # Decrypted data at hand is returned without a turn of the event loop.
        self._needs_checkpoint = isinstance(dialled.stream, TLSStream)
        self._protocol = dialled.protocol
        self._response_headers = dialled.response_headers
        self._unread = dialled.first_bytes
        self._frames = FrameReader(dialled.protocol)
        self._writer = Writer(dialled.stream, send_timeout=send_timeout, on_failure=self._on_write_failure)
        self._inbox = Inbox()
        self._since_checkpoint = 0
        self._reading = False
        self._reader_left = anyio.Event()
        self._closing = False
        self._closed_here = False
        self._closed = anyio.Event()
        self._lost: tuple[str, BaseException | None] | None = None
        self._ending: Ending | None = None
        self._stuck = False
        self._pings = Pings()
        self._reads = self._bytes_received = self._messages_sent = 0

    # What it is and how it does

    @property
    @override
    def url(self) -> str:
        return self._url

    @property
    @override
    def subprotocol(self) -> str | None:
        return self._protocol.subprotocol

    @property
    @override
    def response_headers(self) -> Mapping[str, str]:
        return self._response_headers

    @property
    @override
    def state(self) -> WebSocketState:
        if self._ending is not None:
            return WebSocketState.CLOSED
        if self._protocol.state is State.OPEN and not self._writer.failed:
            return WebSocketState.OPEN
        return WebSocketState.CLOSING

    @property
    @override
    def close_code(self) -> int | None:
        return None if self._ending is None else self._ending.code

    @property
    @override
    def close_reason(self) -> str:
        return "" if self._ending is None else self._ending.reason

    @override
    def statistics(self) -> WebSocketStatistics:
        frames, writer = self._frames, self._writer
        return WebSocketStatistics(
            messages_received=frames.fast_messages + frames.slow_messages,
            messages_received_fast=frames.fast_messages,
            bytes_received=self._bytes_received,
            reads=self._reads,
            messages_sent=self._messages_sent,
            bytes_sent=writer.bytes_sent,
            pings_received=frames.pings,
            pings_sent=self._pings.count,
            pongs_received=self._pings.answers,
            pongs_dropped=writer.pongs_dropped,
        )

    # Receiving

    @override
    async def receive(self, decode: Decode = None) -> str | bytes:  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
        inbox = self._inbox
        if inbox.decode is decode and inbox and not self._reading:
            # At hand as it is wanted: nothing to wait for, but once in a while others get their turn.
            self._since_checkpoint += 1
            if self._since_checkpoint < _ITEMS_PER_CHECKPOINT:
                return inbox.pop()
            self._since_checkpoint = 0
        self._start_reading()
        try:
            if self._at_hand(decode):
                await anyio.lowlevel.checkpoint()
                return inbox.pop()
            batch = await self._read_batch(decode)
            if not batch:
                raise self._closed_error()
            inbox.put(batch, decode, self._frames.binary_at)
            return inbox.pop()
        finally:
            self._stop_reading()

    @override
    async def _next_batch(self, decode: Decode) -> list[str | bytes]:
        self._start_reading()
        try:
            if self._at_hand(decode):
                await anyio.lowlevel.checkpoint()
                return self._inbox.pop_all()
            return await self._read_batch(decode)
        finally:
            self._stop_reading()

    @override
    def _end_error(self) -> WebSocketError | None:
        ending = self._ending
        if ending is None or ending.normal or (self._closed_here and not ending.failed):
            return None
        return ending.error(self._url)

    def _start_reading(self) -> None:
        if self._reading:
            raise anyio.BusyResourceError("reading from")
        self._reading = True

    def _stop_reading(self) -> None:
        self._reading = False
        if self._closing:
            self._reader_left.set()
            self._reader_left = anyio.Event()

    def _at_hand(self, decode: Decode) -> bool:
        inbox = self._inbox
        if inbox and inbox.decode is not decode:
            failure = inbox.convert(decode)
            if failure is not None:
                self._frames.refuse_text(failure)
                self._writer.queue(self._protocol.data_to_send())
        return bool(inbox)

    async def _read_batch(self, decode: Decode) -> list[str | bytes]:
        """Read until messages come, or return none once the connection has ended; the inbox is empty."""
        while self._ending is None:
            if self._frames.ended:
                await self._wind_up()
                break
            if self._writer.pending:
                await self._flush()
            batch = await self._read(decode)
            if self._writer.pending:
                # They are safe in the inbox while the answers they brought about go out.
                self._inbox.put(batch, decode, self._frames.binary_at)
                await self._flush()
                batch = self._inbox.pop_all()
            if batch:
                return batch
        return []

    async def _receive(self) -> bytes:
        """Wait for the next bytes; cancellable however fast they come."""
        if self._needs_checkpoint:
            await anyio.lowlevel.checkpoint()
        else:
            # Not left to the stream: on uvloop, anyio delivers a cancellation only in a turn of the loop in which no
            # bytes arrived, so a peer that sends all the time would never be left.
            await anyio.lowlevel.checkpoint_if_cancelled()
        if self._unread:
            chunk, self._unread = self._unread, b""
            return chunk
        return await self._stream.receive(_READ)

    async def _read(self, decode: Decode) -> list[str | bytes]:
        """Do one read and take in what it brings."""
        try:
            chunk = await self._receive()
        except (anyio.EndOfStream, *_LOST) as error:
            await self._end(error)
            return []
        self._reads += 1
        self._bytes_received += len(chunk)
        frames = self._frames
        batch = frames.feed(chunk, decode)
        if frames.pongs:
            self._pings.answered(frames.pongs)
            frames.pongs.clear()
        if self._protocol.writes:
            self._writer.queue(self._protocol.data_to_send())
        return batch

    # Sending

    @override
    async def send(self, message: str | bytes) -> None:
        is_text = isinstance(message, str)
        data = message.encode() if isinstance(message, str) else bytes(memoryview(message))
        if self._max_send_size is not None and len(data) > self._max_send_size:
            raise ValueError(f"a message of {len(data)} bytes exceeds max_send_size={self._max_send_size}")
        async with self._writer.lock:
            self._check_open()
            if is_text:
                self._protocol.send_text(data)
            else:
                self._protocol.send_binary(data)
            self._messages_sent += 1
            await self._write_out()

    @override
    async def ping(self, payload: bytes | None = None) -> float:
        payload = ping_payload(payload)
        async with self._writer.lock:
            self._check_open()
            self._protocol.send_ping(payload)
            ping = self._pings.sent(payload)
            try:
                await self._write_out()
            except BaseException:
                self._pings.forget(ping)
                raise
        round_trip = await self._pings.wait(ping)
        if round_trip is None:
            raise self._closed_error()
        return round_trip

    def _check_open(self) -> None:
        if self.state is WebSocketState.OPEN:
            return
        if self._ending is None and self._lost is None and self._protocol.close_rcvd is None:
            raise WebSocketError("", "the connection is being closed", url=self._url)
        raise self._closed_error()

    async def _write_out(self) -> None:
        """Write what the protocol made; the caller holds the writer's lock."""
        self._writer.queue(self._protocol.data_to_send())
        try:
            await self._writer.write_queued()
        except WriteError as error:
            raise self._closed_error() from error.__cause__
        finally:
            await self._give_up_if_stuck()

    async def _flush(self) -> None:
        """Send what reading brought about; a failure shows at the next read."""
        try:
            with suppress(WriteError):
                await self._writer.flush()
        finally:
            await self._give_up_if_stuck()

    @override
    async def run_writer(self) -> None:
        try:
            with suppress(WriteError):
                await self._writer.run()
        finally:
            await self._give_up_if_stuck()

    def _on_write_failure(self, cause: BaseException) -> None:
        if isinstance(cause, TimeoutError):
            self._stuck = True
            self._note(cause, "the peer takes nothing")
        elif isinstance(cause, Exception):
            # What the peer said before it went may still be there to be read: the reader finds out.
            self._note(cause, "connection lost while sending")
        else:
            self._stuck = True
            self._note(None, "a frame was cut off by cancellation")

    async def _give_up_if_stuck(self) -> None:
        if self._stuck and self._ending is None:
            await self._abort()

    # Ending

    @override
    async def close(self, code: int = 1000, reason: str = "") -> None:
        check_close(code, reason)
        if self._ending is not None:
            return
        if self._closing:
            # Another task is at it, and releases the socket in any case.
            await self._closed.wait()
            return
        self._closing = True
        try:
            with anyio.move_on_after(self._close_timeout):
                await self._say_close(code, reason)
                await self._wait_end()
        finally:
            await self._abort()

    async def abandon(self, code: int) -> None:
        """Release the socket, after a word of farewell if it can be said at once; for the way out on an error."""
        if self._ending is None:
            with anyio.move_on_after(min(self._close_timeout, _LINGER), shield=True):
                await self._say_close(code, "")
        await self._abort()

    async def _say_close(self, code: int, reason: str) -> None:
        async with self._writer.lock:
            if self._protocol.state is not State.OPEN or self._writer.failed:
                return
            self._protocol.send_close(code, reason)
            self._closed_here = True
            self._writer.queue(self._protocol.data_to_send())
            with suppress(WriteError):
                await self._writer.write_queued()

    async def _wait_end(self) -> None:
        """Wait until the peer has closed; read for it if no other task does."""
        while self._ending is None:
            if self._reading:
                await self._reader_left.wait()
                continue
            self._reading = True
            try:
                while self._ending is None:
                    if self._frames.ended:
                        await self._wind_up()
                    else:
                        await self._read(decode=False)
                        await self._flush()
            finally:
                self._stop_reading()

    async def _wind_up(self) -> None:
        """All is said: let the server close TCP first (RFC 6455, 7.1.1), but do not wait for it long."""
        with anyio.move_on_after(min(self._close_timeout, _LINGER)):
            await self._flush()
            with suppress(anyio.EndOfStream, *_LOST):
                while self._ending is None:
                    await self._receive()
        await self._end(None)

    async def _end(self, cause: BaseException | None) -> None:
        """The stream has ended, or is to: tell the protocol, and release it."""
        if self._ending is None:
            self._frames.feed_eof()
            self._note(cause, "connection lost")
            await self._abort()

    async def _abort(self) -> None:
        """Settle why the connection ended, wake who waits, and release the socket."""
        if self._ending is None:
            self._settle()
        with anyio.CancelScope(shield=True):
            with suppress(*_LOST):
                await anyio.aclose_forcefully(self._stream)

    def _note(self, cause: BaseException | None, detail: str) -> None:
        """Keep the first cause of the connection's end."""
        if self._lost is None:
            self._lost = detail, cause

    def _settle(self) -> None:
        self._ending = Ending.of(self._protocol, self._frames.invalid_text, lost=self._lost)
        self._writer.fail(anyio.ClosedResourceError())
        self._closed.set()
        self._reader_left.set()
        self._pings.end()

    def _closed_error(self) -> WebSocketError:
        ending = self._ending or Ending.of(self._protocol, self._frames.invalid_text, lost=self._lost)
        return ending.error(self._url)


__all__ = ("StreamWebSocket",)
