"""What every WebSocket transport offers: the interface, its states, its counters and its batches."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, cast, overload

import attrs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from typing_extensions import Self

    from bt_api_base.exceptions import WebSocketError
    from bt_api_base.websocket.frames import Decode

NORMAL_CLOSE_CODES = frozenset({1000, 1001})
"""Close codes that end an iteration without an error: done, and going away (RFC 6455, 7.4.1)."""

PayloadT_co = TypeVar("PayloadT_co", covariant=True)


class WebSocketState(enum.Enum):
    """Where a connection is in its life; it only moves forward."""

    OPEN = "open"
    """Messages go both ways."""
    CLOSING = "closing"
    """A close frame was sent or received, or the connection failed; nothing can be sent any more."""
    CLOSED = "closed"
    """The socket is closed."""


@attrs.frozen(kw_only=True)
class WebSocketStatistics:
    """Counters of one connection, as of the moment they were taken.

    Attributes:
        messages_received: Data messages received.
        messages_received_fast: Those of them that never went through the protocol's parser.
        bytes_received: Bytes read from the stream, headers included.
        reads: Reads from the stream; ``messages_received / reads`` is the average batch.
        messages_sent: Data messages sent.
        bytes_sent: Bytes written to the stream, headers included.
        pings_received: Ping frames received; each is answered, unless a newer one came before its answer could go.
        pings_sent: Ping frames sent.
        pongs_received: Pong frames received, unsolicited ones included.
        pongs_dropped: Answers that were never sent because newer ones waited already.
    """

    messages_received: int = 0
    messages_received_fast: int = 0
    bytes_received: int = 0
    reads: int = 0
    messages_sent: int = 0
    bytes_sent: int = 0
    pings_received: int = 0
    pings_sent: int = 0
    pongs_received: int = 0
    pongs_dropped: int = 0


class WebSocket(ABC):
    """One open WebSocket connection, as `bt_api_base.websocket.open_websocket` yields it.

    It has no task of its own: frames are read, and pings answered, while some task is inside `receive`, an iteration
    over `batches`, or `close`. One task reads at a time; any number may send.
    """

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it is connected to, without user name, password and query, which may be secret."""

    @property
    @abstractmethod
    def subprotocol(self) -> str | None:
        """The subprotocol the server chose, if any."""

    @property
    @abstractmethod
    def response_headers(self) -> Mapping[str, str]:
        """Headers of the handshake's response; names in lower case, repeated ones joined by ", "."""

    @property
    @abstractmethod
    def state(self) -> WebSocketState:
        """Whether it is open, closing or closed."""

    @property
    @abstractmethod
    def close_code(self) -> int | None:
        """Why the connection ended (RFC 6455, 7.4), ``None`` until it has.

        The code the peer sent; 1006 if the connection was lost without one; or, if this side failed the connection
        because of what the peer sent, the code that told the peer so (1002, 1007, 1009).
        """

    @property
    @abstractmethod
    def close_reason(self) -> str:
        """The text that goes with `close_code`."""

    @abstractmethod
    def statistics(self) -> WebSocketStatistics:
        """Return the connection's counters."""

    @overload
    async def receive(self, decode: None = None) -> str | bytes: ...
    @overload
    async def receive(self, decode: Literal[False]) -> bytes: ...
    @abstractmethod
    async def receive(self, decode: Decode = None) -> str | bytes:
        """Receive the next message.

        Args:
            decode: ``None``: text messages as `str`, checked to be UTF-8, and binary ones as `bytes`.
                ``False``: all as `bytes`, and text is not checked.

        Raises:
            WebSocketError: The connection has ended, normally or not; its ``close_code`` tells.
            anyio.BusyResourceError: Another task is reading.

        Cancellation:
            No message is lost: it is returned by the next call. Where the answer to a ping was just being written,
            to a peer that takes nothing, the connection is lost as with `send`; `run_writer` avoids that.
        """

    @overload
    def batches(self, decode: None = None) -> Batches[str | bytes]: ...
    @overload
    def batches(self, decode: Literal[False]) -> Batches[bytes]: ...
    def batches(self, decode: Decode = None) -> Batches[str | bytes] | Batches[bytes]:
        """Iterate over lists of messages, one list for each read from the socket that brought any.

        The iteration ends when the connection is closed with code 1000 or 1001, by either side. May be mixed with
        `receive`, left, and started again.

        Args:
            decode: As for `receive`.

        Raises:
            WebSocketError: Out of the iteration: the connection ended otherwise.
            anyio.BusyResourceError: Out of the iteration: another task is reading.
        """
        return Batches[bytes](self._next_batch, self._end_error, decode)

    @abstractmethod
    async def _next_batch(self, decode: Decode) -> list[str | bytes]:
        """Return the messages at hand, or else those of the next read that brings any."""

    @abstractmethod
    def _end_error(self) -> WebSocketError | None:
        """Return the error that ends an iteration after the connection has ended; ``None``: it ended normally."""

    @abstractmethod
    async def send(self, message: str | bytes) -> None:
        """Send one message.

        Args:
            message: `str` is sent as text, `bytes` as binary.

        Raises:
            ValueError: The message is larger than ``max_send_size``.
            WebSocketError: The connection has ended, or the peer took nothing for ``send_timeout`` seconds.

        Cancellation:
            Before its first byte is written (while another task writes, for instance), nothing is sent. Later, half
            a frame may be out, which cannot be taken back: the connection is then lost.
        """

    @abstractmethod
    async def ping(self, payload: bytes | None = None) -> float:
        """Send a ping and wait for its answer, which some task must read.

        Args:
            payload: At most 125 bytes; ``None``: four random ones.

        Returns:
            Seconds from sending to the answer.

        Raises:
            ValueError: The payload is too long.
            WebSocketError: The connection ended before the answer came.

        Cancellation:
            As for `send`; the answer to an abandoned ping is ignored.
        """

    @abstractmethod
    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection: say so, wait for the peer to agree, and release the socket.

        Takes at most ``close_timeout`` seconds. Messages that arrive meanwhile are dropped
        if no other task reads them. Closing what is closed does nothing.

        Args:
            code: RFC 6455, 7.4: 1000-1003, 1007-1014, or 3000-4999 (the application's own).
            reason: At most 123 bytes in UTF-8.

        Raises:
            ValueError: The code may not be sent, or the reason is too long.

        Cancellation:
            The socket is released at once.
        """

    @abstractmethod
    async def run_writer(self) -> None:
        """Send the answers that reading produces, until the connection ends; for a task beside the reader's.

        Without it, the reader sends them itself and waits while the peer takes nothing, at most ``send_timeout``.

        Cancellation:
            The reader sends them again.
        """


class Batches(Generic[PayloadT_co]):
    """An iteration over a connection's messages, a list at a time; see `WebSocket.batches`.

    It is an object and no generator: leaving the loop early leaves nothing behind to be finalized.
    """

    __slots__ = ("_decode", "_end_error", "_next_batch")

    def __init__(
        self,
        next_batch: Callable[[Decode], Awaitable[list[str | bytes]]],
        end_error: Callable[[], WebSocketError | None],
        decode: Decode,
    ) -> None:
        self._next_batch = next_batch
        self._end_error = end_error
        self._decode: Decode = decode

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[PayloadT_co]:
        """Return the next list of messages; it is never empty.

        Cancellation:
            Nothing is lost: the messages are returned by the next call.
        """
        batch = await self._next_batch(self._decode)
        if batch:
            return cast("list[PayloadT_co]", batch)
        error = self._end_error()
        if error is None:
            raise StopAsyncIteration
        raise error


__all__ = ("NORMAL_CLOSE_CODES", "Batches", "WebSocket", "WebSocketState", "WebSocketStatistics")
