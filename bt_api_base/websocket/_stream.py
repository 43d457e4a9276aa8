"""A WebSocket over any byte stream: the default transport, on asyncio, uvloop and trio alike."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

import anyio
import anyio.lowlevel
import attrs
from anyio.streams.tls import TLSStream
from typing_extensions import override
from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import CLOSE_CODE_EXPLANATIONS
from websockets.protocol import State

from bt_api_base.exceptions import WebSocketError
from bt_api_base.websocket._interface import NORMAL_CLOSE_CODES, WebSocket, WebSocketState, WebSocketStatistics
from bt_api_base.websocket._writer import WriteError, Writer
from bt_api_base.websocket.frames import Decode, FrameReader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bt_api_base.websocket._dial import Dialled

_READ_SIZE: Final = 256 * 1024
"""Bytes asked for in one read: what asyncio reads at most, so that nothing it read is cut up again."""

_LINGER: Final = 1.0
"""Seconds for the server to close TCP first once all is said, as RFC 6455, 7.1.1 wants it to."""

_ITEMS_PER_CHECKPOINT: Final = 64
"""Messages at hand that `receive` returns before it lets other tasks run."""

_LOST: Final = (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


def check_close(code: int, reason: str) -> None:
    """Check what is to go into a close frame (RFC 6455, 5.5.1, 7.4).

    Raises:
        ValueError: The code must not be sent, or the reason does not fit.
    """
    if not (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) and not 3000 <= code <= 4999:
        raise ValueError(f"close code {code} may not be sent: use 1000-1003, 1007-1014 or 3000-4999")
    if len(reason.encode()) > 123:
        raise ValueError("the reason of a close must fit into 123 bytes of UTF-8")


@attrs.define(eq=False)
class _Ping:
    payload: bytes
    sent_at: float
    answered: anyio.Event = attrs.field(factory=anyio.Event)
    round_trip: float | None = None


@attrs.define(eq=False)
class _Inbox:
    """Messages that were read but not returned: the rest of a read's messages, or those of a cancelled call."""

    payloads: list[str | bytes] = attrs.field(factory=list[str | bytes])
    position: int = 0
    decode: Decode = None
    binary_at: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return self.position < len(self.payloads)

    def put(self, payloads: list[str | bytes], decode: Decode, binary_at: list[int]) -> None:
        """Fill an empty inbox with what `FrameReader.feed` returned."""
        self.payloads, self.position, self.decode, self.binary_at = payloads, 0, decode, frozenset(binary_at)

    def pop(self) -> str | bytes:
        payload = self.payloads[self.position]
        self.position += 1
        return payload

    def pop_all(self) -> list[str | bytes]:
        rest = self.payloads[self.position :] if self.position else self.payloads
        self.payloads, self.position = [], 0
        return rest

    def convert(self, decode: Decode) -> UnicodeDecodeError | None:
        """Bring the rest into the form that another reader wants; what follows invalid text is dropped."""
        if decode is self.decode:
            return None
        converted: list[str | bytes] = []
        binary_at: set[int] = set()
        failure: UnicodeDecodeError | None = None
        for index in range(self.position, len(self.payloads)):
            payload = self.payloads[index]
            if decode is None:
                if index not in self.binary_at:
                    try:
                        payload = cast("bytes", payload).decode()
                    except UnicodeDecodeError as error:
                        failure = error
                        break
            elif isinstance(payload, str):
                payload = payload.encode()
            else:
                binary_at.add(len(converted))
            converted.append(payload)
        self.payloads, self.position, self.decode, self.binary_at = converted, 0, decode, frozenset(binary_at)
        return failure


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
        self._inbox = _Inbox()
        self._since_checkpoint = 0
        self._reading = False
        self._reader_left = anyio.Event()
        self._closing = False
        self._closed_here = False
        self._closed = anyio.Event()
        self._is_closed = False
        self._cause: BaseException | None = None
        self._detail = ""
        self._close_code: int | None = None
        self._close_reason = ""
        self._failed = False
        self._pings: list[_Ping] = []
        self._reads = self._bytes_received = self._messages_sent = self._pings_sent = self._pongs_received = 0

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
        if self._is_closed:
            return WebSocketState.CLOSED
        if self._protocol.state is State.OPEN and not self._writer.failed:
            return WebSocketState.OPEN
        return WebSocketState.CLOSING

    @property
    @override
    def close_code(self) -> int | None:
        return self._close_code

    @property
    @override
    def close_reason(self) -> str:
        return self._close_reason

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
            pings_sent=self._pings_sent,
            pongs_received=self._pongs_received,
            pongs_dropped=writer.pongs_dropped,
        )

    # Receiving

    @override
    async def receive(self, decode: Decode = None) -> str | bytes:  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
        self._start_reading()
        try:
            if self._at_hand(decode):
                self._since_checkpoint += 1
                if self._since_checkpoint >= _ITEMS_PER_CHECKPOINT:
                    self._since_checkpoint = 0
                    await anyio.lowlevel.checkpoint()
                return self._inbox.pop()
            batch = await self._read_batch(decode)
            if not batch:
                raise self._closed_error()
            self._inbox.put(batch, decode, self._frames.binary_at)
            self._since_checkpoint = 0
            return self._inbox.pop()
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
        if not self._failed and (self._closed_here or self._close_code in NORMAL_CLOSE_CODES):
            return None
        return self._closed_error()

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
        while not self._is_closed:
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

    async def _read(self, decode: Decode) -> list[str | bytes]:
        """Do one read and take in what it brings."""
        if self._needs_checkpoint:
            await anyio.lowlevel.checkpoint()
        if self._unread:
            chunk, self._unread = self._unread, b""
        else:
            try:
                chunk = await self._stream.receive(_READ_SIZE)
            except anyio.EndOfStream as error:
                await self._end(error)
                return []
            except _LOST as error:
                await self._end(error)
                return []
        self._reads += 1
        self._bytes_received += len(chunk)
        frames = self._frames
        batch = frames.feed(chunk, decode)
        if frames.pongs:
            self._settle_pings()
        if self._protocol.writes:
            self._writer.queue(self._protocol.data_to_send())
        return batch

    def _settle_pings(self) -> None:
        now = anyio.current_time()
        for payload in self._frames.pongs:
            self._pongs_received += 1
            for index, ping in enumerate(self._pings):
                if ping.payload == payload:
                    # RFC 6455, 5.5.3: a peer may answer only the most recent of several pings.
                    for settled in self._pings[: index + 1]:
                        settled.round_trip = now - settled.sent_at
                        settled.answered.set()
                    del self._pings[: index + 1]
                    break
        self._frames.pongs.clear()

    # Sending

    @override
    async def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            is_text, data = True, message.encode()
        else:
            is_text, data = False, bytes(message)
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
        if payload is None:
            payload = secrets.token_bytes(4)
        elif len(payload) > 125:
            raise ValueError("a ping's payload must fit into 125 bytes")
        async with self._writer.lock:
            self._check_open()
            self._protocol.send_ping(payload)
            ping = _Ping(payload, anyio.current_time())
            self._pings.append(ping)
            self._pings_sent += 1
            try:
                await self._write_out()
            except BaseException:
                self._forget(ping)
                raise
        try:
            await ping.answered.wait()
        finally:
            self._forget(ping)
        if ping.round_trip is None:
            raise self._closed_error()
        return ping.round_trip

    def _forget(self, ping: _Ping) -> None:
        if ping in self._pings:
            self._pings.remove(ping)

    def _check_open(self) -> None:
        if self._is_closed:
            raise self._closed_error()
        if self._protocol.state is not State.OPEN or self._writer.failed:
            raise WebSocketError("", f"the connection is closing ({self._url})", url=self._url) from self._cause

    async def _write_out(self) -> None:
        """Write what the protocol made; the caller holds the writer's lock."""
        writer = self._writer
        writer.queue(self._protocol.data_to_send())
        try:
            await writer.write_queued()
        except WriteError as error:
            raise WebSocketError(
                "", f"{self._detail} ({self._url})", close_code=1006, url=self._url
            ) from error.__cause__
        finally:
            if writer.failed:
                await self._abort()

    async def _flush(self) -> None:
        """Send what reading brought about; a failure shows at the next read."""
        try:
            await self._writer.flush()
        except WriteError:
            await self._abort()

    @override
    async def run_writer(self) -> None:
        try:
            await self._writer.run()
        except WriteError:
            await self._abort()

    def _on_write_failure(self, cause: BaseException) -> None:
        if isinstance(cause, TimeoutError):
            detail = "the peer takes nothing"
        elif isinstance(cause, Exception):
            detail = "connection lost while sending"
        else:
            detail = "a frame was cut off by cancellation"
        self._note(cause if isinstance(cause, Exception) else None, detail)

    # Ending

    @override
    async def close(self, code: int = 1000, reason: str = "") -> None:
        check_close(code, reason)
        if self._is_closed:
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
        if not self._is_closed:
            with anyio.move_on_after(min(self._close_timeout, _LINGER), shield=True):
                await self._say_close(code, "")
        await self._abort()

    async def _say_close(self, code: int, reason: str) -> None:
        async with self._writer.lock:
            if self._protocol.state is not State.OPEN or self._writer.failed:
                return
            self._protocol.send_close(code, reason)
            self._closed_here = True
            try:
                self._writer.queue(self._protocol.data_to_send())
                await self._writer.write_queued()
            except WriteError:
                pass

    async def _wait_end(self) -> None:
        """Wait until the peer has closed; read for it if no other task does."""
        while not self._is_closed:
            if self._reading:
                await self._reader_left.wait()
                continue
            self._reading = True
            try:
                while not self._is_closed:
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
                while not self._is_closed:
                    await self._stream.receive(_READ_SIZE)
        await self._end(None)

    async def _end(self, cause: BaseException | None) -> None:
        """The stream has ended, or is to: tell the protocol, and release it."""
        if not self._is_closed:
            self._frames.feed_eof()
            self._note(cause, "connection lost")
            await self._abort()

    async def _abort(self) -> None:
        """Settle why the connection ended, wake who waits, and release the socket."""
        if not self._is_closed:
            self._settle()
        with anyio.CancelScope(shield=True):
            with suppress(*_LOST):
                await anyio.aclose_forcefully(self._stream)

    def _note(self, cause: BaseException | None, detail: str) -> None:
        """Keep the first cause of the connection's end."""
        if not self._detail:
            self._cause, self._detail = cause, detail

    def _settle(self) -> None:
        self._is_closed = True
        protocol = self._protocol
        failure = self._frames.invalid_text or protocol.parser_exc
        received = protocol.close_rcvd
        if failure is not None and not isinstance(failure, EOFError):
            # RFC 6455, 7.4.1
            self._failed = True
            self._cause = failure
            if isinstance(failure, UnicodeDecodeError):
                self._close_code, self._close_reason = 1007, f"{failure.reason} at position {failure.start}"
            elif isinstance(failure, PayloadTooBig):
                self._close_code, self._close_reason = 1009, str(failure)
            elif isinstance(failure, ProtocolError):
                self._close_code, self._close_reason = 1002, str(failure)
            else:
                self._close_code = 1011
            self._detail = f"connection failed with {self._close_code}: {self._close_reason}"
        elif received is not None:
            self._close_code, self._close_reason = int(received.code), received.reason
            meaning = CLOSE_CODE_EXPLANATIONS.get(received.code, "")
            self._detail = f"connection closed with {self._close_code} {meaning}".rstrip()
            if received.reason:
                self._detail += f": {received.reason}"
        else:
            self._close_code = 1006
            self._note(None, "closed without an answer from the peer")
        self._writer.fail(anyio.ClosedResourceError())
        self._closed.set()
        self._reader_left.set()
        for ping in self._pings:
            ping.answered.set()
        self._pings.clear()

    def _closed_error(self) -> WebSocketError:
        error = WebSocketError(
            "",
            f"{self._detail} ({self._url})",
            close_code=self._close_code,
            close_reason=self._close_reason,
            url=self._url,
        )
        error.__cause__ = self._cause
        return error


__all__ = ("StreamWebSocket", "check_close")
