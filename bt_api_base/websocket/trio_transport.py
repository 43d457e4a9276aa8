"""The same interface over trio-websocket: an independent implementation of the protocol, on trio only.

It is there to be compared with, and for programs that run trio-websocket anyway. What differs from the default
transport: every message is parsed (about a fortieth of the speed) and each batch holds one; there is no compression;
``max_message_size`` counts characters of text; messages that were read ahead are lost when a too large one comes; a
server that hangs up in the opening handshake shows only by ``connect_timeout``.
"""

from __future__ import annotations

import ssl
import sys
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, cast

import anyio
import anyio.lowlevel
import attrs
import trio
import trio_websocket
from typing_extensions import override

from bt_api_base._redaction import redact_text
from bt_api_base.exceptions import ConfigurationError, WebSocketError
from bt_api_base.transport.policy import default_ssl_context
from bt_api_base.websocket._dial import checked_headers, connect_error, refusal_error, safe_url, tls_error
from bt_api_base.websocket._ending import Ending, check_close
from bt_api_base.websocket._interface import WebSocket, WebSocketState, WebSocketStatistics
from bt_api_base.websocket._pings import ping_payload

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterable, Mapping, Sequence

    from anyio.abc import ByteStream
    from websockets.uri import WebSocketURI

    from bt_api_base.transport.connectors import Connector
    from bt_api_base.websocket.frames import Decode

_QUEUE_SIZE = 1024
"""Messages that trio-websocket reads ahead; full, it stops reading, and answering pings."""

_REFUSED = frozenset({1002, 1007, 1009})
"""Codes with which the library fails a connection because of what the peer sent."""

_FAREWELL = 0.1
"""Seconds to send a close frame on the way out; the library then waits for an answer that nobody reads any more."""


class TrioWebSocket(WebSocket):
    """A WebSocket over a `trio_websocket.WebSocketConnection`; see `WebSocket` for what its methods promise."""

    def __init__(
        self,
        connection: trio_websocket.WebSocketConnection,
        stream: trio.abc.Stream,
        *,
        url: str,
        max_send_size: int | None,
        send_timeout: float,
        close_timeout: float,
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._url = url
        self._max_send_size = max_send_size
        self._send_timeout = send_timeout
        self._close_timeout = close_timeout
        self._reading = False
        self._closing = False
        self._closed_here = False
        self._ending: Ending | None = None
        self._closed = anyio.Event()
        self._received = self._sent = self._pings = self._pongs = 0

    @property
    @override
    def url(self) -> str:
        return self._url

    @property
    @override
    def subprotocol(self) -> str | None:
        return self._connection.subprotocol

    @property
    @override
    def response_headers(self) -> Mapping[str, str]:
        headers: dict[str, str] = {}
        for raw_name, raw_value in self._connection.handshake_headers:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return headers

    @property
    @override
    def state(self) -> WebSocketState:
        if self._ending is not None:
            return WebSocketState.CLOSED
        return WebSocketState.OPEN if self._connection.closed is None else WebSocketState.CLOSING

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
        """Return the counters that can be kept from outside the library."""
        return WebSocketStatistics(
            messages_received=self._received,
            reads=self._received,
            messages_sent=self._sent,
            pings_sent=self._pings,
            pongs_received=self._pongs,
        )

    @override
    async def receive(self, decode: Decode = None) -> str | bytes:  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
        batch = await self._next_batch(decode)
        if not batch:
            raise self._closed_error()
        return batch[0]

    @override
    async def _next_batch(self, decode: Decode) -> list[str | bytes]:
        if self._reading:
            raise anyio.BusyResourceError("reading from")
        self._reading = True
        try:
            if self._ending is not None:
                return []
            message = await self._connection.get_message()
        except trio_websocket.ConnectionClosed:
            if self._closing:
                # The library ends reading before the peer has answered; `close` will know how it ended.
                await self._closed.wait()
            else:
                await self._abort()
            return []
        finally:
            self._reading = False
        self._received += 1
        return [message.encode() if decode is False and isinstance(message, str) else message]

    @override
    def _end_error(self) -> WebSocketError | None:
        ending = self._ending
        return None if ending is None or ending.normal or self._closed_here else ending.error(self._url)

    @override
    async def send(self, message: str | bytes) -> None:
        size = len(message.encode()) if isinstance(message, str) else len(message)
        if self._max_send_size is not None and size > self._max_send_size:
            raise ValueError(f"a message of {size} bytes exceeds max_send_size={self._max_send_size}")
        await anyio.lowlevel.checkpoint_if_cancelled()
        self._check_open()
        try:
            with anyio.fail_after(self._send_timeout):
                await self._connection.send_message(message)
        except trio_websocket.ConnectionClosed:
            raise self._closed_error() from None
        except TimeoutError as error:
            await self._abort("the peer takes nothing", error)
            raise self._closed_error() from error
        except trio.Cancelled:
            # trio: a cancelled send leaves a stream in an unknown state.
            await self._abort("a frame was cut off by cancellation")
            raise
        self._sent += 1

    @override
    async def ping(self, payload: bytes | None = None) -> float:
        payload = ping_payload(payload)
        await anyio.lowlevel.checkpoint_if_cancelled()
        self._check_open()
        started = anyio.current_time()
        failure: Exception | None = None
        answered = False
        # The library's own ping waits on for ever when the connection ends.
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._cancel_when_closed, tasks.cancel_scope)
            self._pings += 1
            try:
                await self._connection.ping(payload)
                answered = True
            except (trio_websocket.ConnectionClosed, ValueError) as error:
                failure = error
            tasks.cancel_scope.cancel()
        if isinstance(failure, ValueError):
            raise failure
        if not answered:
            raise self._closed_error()
        self._pongs += 1
        return anyio.current_time() - started

    async def _cancel_when_closed(self, scope: anyio.CancelScope) -> None:
        await self._closed.wait()
        scope.cancel()

    @override
    async def close(self, code: int = 1000, reason: str = "") -> None:
        check_close(code, reason)
        if self._ending is not None:
            return
        if self._closing:
            await self._closed.wait()
            return
        self._closing = True
        detail = ""
        try:
            with anyio.move_on_after(self._close_timeout) as scope:
                self._closed_here = self._connection.closed is None
                await self._connection.aclose(code, reason or None)
            if scope.cancelled_caught:
                detail = "closed without an answer from the peer"
        finally:
            await self._abort(detail)

    async def abandon(self, code: int) -> None:
        """Release the socket, after a word of farewell if it can be said at once; for the way out on an error."""
        if self._ending is None:
            with anyio.move_on_after(min(self._close_timeout, _FAREWELL), shield=True):
                await self._connection.aclose(code)
        await self._abort()

    @override
    async def run_writer(self) -> None:
        """Wait for the connection's end: trio-websocket has a task that answers."""
        await self._closed.wait()

    def _check_open(self) -> None:
        if self.state is not WebSocketState.OPEN:
            raise self._closed_error()

    async def _abort(self, detail: str = "", cause: BaseException | None = None) -> None:
        """Settle why the connection ended, wake who waits, and release the socket."""
        if self._ending is None:
            self._ending = Ending(1006, "", detail, cause) if detail else self._ending_by_library()
            self._closed.set()
        with anyio.CancelScope(shield=True):
            await trio.aclose_forcefully(self._stream)

    def _ending_by_library(self) -> Ending:
        reason = self._connection.closed
        if reason is None or reason.code == 1006:
            return Ending(1006, "", "connection lost", None)
        return Ending(int(reason.code), redact_text(str(reason.reason or "")), "", None, failed=reason.code in _REFUSED)

    def _closed_error(self) -> WebSocketError:
        return (self._ending or self._ending_by_library()).error(self._url)


@asynccontextmanager
async def open_trio_websocket(
    uri: WebSocketURI,
    *,
    subprotocols: Sequence[str],
    headers: Mapping[str, str] | None,
    ssl_context: ssl.SSLContext | None,
    max_message_size: int | None,
    max_send_size: int | None,
    connect_timeout: float,
    send_timeout: float,
    close_timeout: float,
    connector: Connector,
) -> AsyncGenerator[TrioWebSocket]:
    """Connect over trio-websocket; see `bt_api_base.websocket.open_websocket`.

    Raises:
        ConfigurationError: The event loop is not trio.
        WebSocketError: No connection could be made.
    """
    if not trio.lowlevel.in_trio_run():
        raise ConfigurationError("transport 'trio-websocket' runs on trio only; use 'anyio' on asyncio")
    extra_headers = [(name.encode(), value.encode("latin-1")) for name, value in checked_headers(headers)]
    dialled = _Dialling()
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            with anyio.move_on_after(connect_timeout):
                stream = await _connect(dialled, uri, ssl_context=ssl_context, connector=connector)
                dialled.connection = await trio_websocket.wrap_client_stream(
                    nursery,
                    cast("trio.SocketStream", stream),  # it needs no more than a trio.abc.Stream
                    f"{uri.host}:{uri.port}",
                    uri.resource_name,
                    subprotocols=list(subprotocols),
                    extra_headers=extra_headers,
                    message_queue_size=_QUEUE_SIZE,
                    max_message_size=sys.maxsize if max_message_size is None else max_message_size,
                    receive_buffer_size=None,
                )
            if dialled.stream is None or dialled.connection is None:
                detail = f"no answer within {connect_timeout:g} s while {dialled.phase}"
                raise WebSocketError("", detail, url=safe_url(uri)) from TimeoutError()
            _forget_request(dialled.connection)
            websocket = TrioWebSocket(
                dialled.connection,
                dialled.stream,
                url=safe_url(uri),
                max_send_size=max_send_size,
                send_timeout=send_timeout,
                close_timeout=close_timeout,
            )
            try:
                yield websocket
            except BaseException as error:  # noqa: BLE001  # raised again below, outside the nursery that would wrap it
                failure = error
                await websocket.abandon(1001 if isinstance(error, trio.Cancelled) else 1011)
            else:
                await websocket.close()
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if failure is None:
            failure = _translated(uri, dialled.phase, group, headers or {})
    finally:
        if dialled.stream is not None:
            with anyio.CancelScope(shield=True):
                await trio.aclose_forcefully(dialled.stream)
    if failure is not None:
        # Here, because the group would stay in sight as the context, with a refusal that may repeat a secret in it.
        raise failure


def _forget_request(connection: trio_websocket.WebSocketConnection) -> None:
    """Let a connection not keep what it was made with: the path and the headers, which may be secret.

    The libraries have no other way to it. Where they have changed, nothing is forgotten, and nothing breaks.
    """
    handshake = getattr(getattr(connection, "_wsproto", None), "handshake", None)
    for owner, name, value in (
        (connection, "_initial_request", None),
        (connection, "_path", ""),
        (handshake, "_initiating_request", None),
    ):
        if name in getattr(owner, "__dict__", ()):
            setattr(owner, name, value)


@attrs.define
class _Dialling:
    """How far connecting has come, for whoever has to clean up or to tell."""

    phase: str = "connecting"
    stream: trio.abc.Stream | None = None
    connection: trio_websocket.WebSocketConnection | None = None


class _TrioStream(trio.abc.Stream):
    """A stream of anyio's as one of trio's, so that every connector serves this transport too."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    @override
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        with _as_trio_raises():
            await self._stream.send(bytes(data))

    @override
    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    @override
    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        with _as_trio_raises():
            try:
                return await self._stream.receive(65_536 if max_bytes is None else max_bytes)
            except anyio.EndOfStream:
                return b""

    @override
    async def aclose(self) -> None:
        await self._stream.aclose()


@contextmanager
def _as_trio_raises() -> Generator[None]:
    try:
        yield
    except anyio.ClosedResourceError as error:
        raise trio.ClosedResourceError(*error.args) from error
    except anyio.BrokenResourceError as error:
        raise trio.BrokenResourceError(*error.args) from error
    except anyio.BusyResourceError as error:
        raise trio.BusyResourceError(*error.args) from error


async def _connect(
    dialled: _Dialling, uri: WebSocketURI, *, ssl_context: ssl.SSLContext | None, connector: Connector
) -> trio.abc.Stream:
    """Open a byte stream, and TLS on it."""
    plain = dialled.stream = _TrioStream(await connector(uri.host, uri.port))
    if uri.secure:
        dialled.phase = "in the TLS handshake"
        context = ssl_context or default_ssl_context()
        tls = dialled.stream = trio.SSLStream(plain, context, server_hostname=uri.host, https_compatible=True)
        await tls.do_handshake()
    dialled.phase = "in the opening handshake"
    return dialled.stream


def _translated(
    uri: WebSocketURI, phase: str, group: BaseExceptionGroup[BaseException], sent: Mapping[str, str]
) -> BaseException:
    """Return what a nursery wrapped, as one of our exceptions where it is about the connection."""
    leaves = [leaf for leaf in _leaves(group) if not isinstance(leaf, trio.Cancelled)]
    if not leaves:
        return next(iter(_leaves(group)))
    error = leaves[0]
    if isinstance(error, trio_websocket.ConnectionRejected):
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in error.headers or ()}
        return refusal_error(uri, error.status_code, "", error.body or b"", headers, sent)
    if isinstance(error, trio.BrokenResourceError) and isinstance(error.__cause__, ssl.SSLError):
        failure = tls_error(uri, error.__cause__)
        failure.__cause__ = error.__cause__
        return failure
    # trio's own of this name comes from TLS and from the library's use of the stream.
    broken = isinstance(error, trio.BrokenResourceError)
    translated = connect_error(uri, phase, anyio.BrokenResourceError(str(error)) if broken else error)
    if translated is not None:
        translated.__cause__ = error
        return translated
    return error


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterable[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(cast("BaseExceptionGroup[BaseException]", error))
        else:
            yield error


__all__ = ("TrioWebSocket", "open_trio_websocket")
