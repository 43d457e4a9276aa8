"""What httpcore, the HTTP library under httpx, reads from and writes to: anyio's streams, opened by a policy."""

from __future__ import annotations

import selectors
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs
import httpcore
from anyio.abc import SocketAttribute
from anyio.streams.tls import TLSAttribute, TLSStream
from typing_extensions import override

from bt_api_base.exceptions import AuthenticationError, NetworkError
from bt_api_base.transport.connectors import connector, release_stream, tls_failure
from bt_api_base.transport.errors import ProxyError

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Generator, Iterable

    from anyio.abc import ByteStream

    from bt_api_base.transport.policy import TransportPolicy

__all__ = ("PolicyBackend", "reason_of")

_REASON: Final = "_bt_api_reason"


class PolicyBackend(httpcore.AsyncNetworkBackend):
    """Opens streams as a policy wants them.

    Args:
        policy: The policy.
    """

    def __init__(self, policy: TransportPolicy) -> None:
        self._policy = policy

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Open a stream; the address and options given here are never those of our own pools."""
        policy = self._policy if timeout is None else attrs.evolve(self._policy, connect_timeout=timeout)
        try:
            return _Stream(await connector(policy)(host, port))
        except (ProxyError, AuthenticationError) as error:
            raise _with_reason(httpcore.ProxyError, error) from error
        except NetworkError as error:
            late = isinstance(error.__cause__, TimeoutError)
            raise _with_reason(httpcore.ConnectTimeout if late else httpcore.ConnectError, error) from error

    @override
    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    """A stream of anyio's."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    @override
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _translated(httpcore.ReadError, httpcore.ReadTimeout), anyio.fail_after(timeout):
            try:
                return await self._stream.receive(max_bytes)
            except anyio.EndOfStream:
                return b""

    @override
    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if buffer:
            with _translated(httpcore.WriteError, httpcore.WriteTimeout), anyio.fail_after(timeout):
                await self._stream.send(buffer)

    @override
    async def aclose(self) -> None:
        # There is nothing to say goodbye for: HTTP tells where a response ends.
        await release_stream(self._stream)

    @override
    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            with _translated(httpcore.ConnectError, httpcore.ConnectTimeout), anyio.fail_after(timeout):
                try:
                    secured = await TLSStream.wrap(
                        self._stream,
                        server_side=False,
                        hostname=server_hostname,
                        ssl_context=ssl_context,
                        standard_compatible=False,
                    )
                except TimeoutError:
                    raise
                except (OSError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
                    raise tls_failure(server_hostname or "the server", error) from error
        except BaseException:
            await self.aclose()
            raise
        return _Stream(secured)

    @override
    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._stream.extra(TLSAttribute.ssl_object, None)
        if info == "client_addr":
            return self._stream.extra(SocketAttribute.local_address, None)
        if info == "server_addr":
            return self._stream.extra(SocketAttribute.remote_address, None)
        raw: socket.socket | None = self._stream.extra(SocketAttribute.raw_socket, None)
        if info == "socket":
            return raw
        return _is_readable(raw) if info == "is_readable" else None


def _is_readable(raw: socket.socket | None) -> bool:
    """Return whether a connection that should be silent is not: its peer has hung up while it was idle."""
    if raw is None or raw.fileno() < 0:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(raw.fileno(), selectors.EVENT_READ)
        return bool(selector.select(0))


@contextmanager
def _translated(error_type: type[Exception], timeout_type: type[Exception]) -> Generator[None]:
    """Raise httpcore's exceptions instead of anyio's and our own."""
    try:
        yield
    except TimeoutError as error:
        raise _with_reason(timeout_type, error, "no answer in time") from error
    except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, NetworkError) as error:
        raise _with_reason(error_type, error, str(error) or type(error).__name__) from error


def _with_reason(kind: type[Exception], reason: BaseException, text: str = "") -> Exception:
    """Return an exception that holds on to its cause, because httpcore raises it again "from None"."""
    error = kind(text or str(reason))
    vars(error)[_REASON] = reason
    return error


def reason_of(error: BaseException | None) -> BaseException | None:
    """Return why one of httpcore's exceptions was raised; ``None`` if it is one of its own."""
    return None if error is None else vars(error).get(_REASON)
