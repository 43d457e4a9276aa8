"""Byte streams as a policy wants them: direct, through HTTP CONNECT, or through SOCKS5."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.transport.errors import ConnectError, NameResolutionError, TlsError
from bt_api_base.transport.policy import TransportPolicy, default_ssl_context

if TYPE_CHECKING:
    from bt_api_base.transport.policy import Proxy

__all__ = ("Connector", "connector", "release_stream", "tls_failure")

Connector: TypeAlias = Callable[[str, int], Awaitable[ByteStream]]
"""Opens a byte stream to a host and port; TLS, if it is wanted, is done on top of it."""


def connector(policy: TransportPolicy | None = None) -> Connector:
    """Return a function that opens byte streams as a policy wants them.

    What it raises, and what is retryable: `NameResolutionError` (yes), `ConnectError` (yes; also out of time),
    `TlsError` towards a proxy (not for its certificate), `ProxyError` (as its answer says), `ProxyAuthenticationError`
    (no) and `ConfigurationError` (no). The socket is closed in each case, and when the function is cancelled.

    Args:
        policy: The policy; ``None``: a direct connection.
    """
    chosen = TransportPolicy() if policy is None else policy

    async def connect(host: str, port: int) -> ByteStream:
        with anyio.move_on_after(chosen.connect_timeout):
            return await _open(chosen, host, port)
        proxy = chosen.proxy_for(host)
        through = "" if proxy is None else f" through {proxy}"
        detail = f"{host}:{port} not reached{through} within {chosen.connect_timeout:g} s"
        raise ConnectError("", detail) from TimeoutError()

    return connect


async def _open(policy: TransportPolicy, host: str, port: int) -> ByteStream:
    if not _is_host(host):
        raise ConfigurationError(f"not the name of a host: {host!r}")
    proxy = policy.proxy_for(host)
    if proxy is None:
        return await _connect_tcp(policy, host, port)
    if proxy.scheme == "socks5":
        from bt_api_base.transport._socks import open_through_socks

        return await open_through_socks(policy, proxy, host, port)
    from bt_api_base.transport._http_connect import open_tunnel

    stream = await _connect_tcp(policy, proxy.host, proxy.port, proxy)
    try:
        if proxy.scheme == "https":
            stream = await _wrap_tls(policy, proxy, stream)
        return await open_tunnel(stream, proxy, host, port)
    except BaseException:
        await release_stream(stream)
        raise


def _is_host(host: str) -> bool:
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False


async def _connect_tcp(policy: TransportPolicy, host: str, port: int, proxy: Proxy | None = None) -> ByteStream:
    place = f"{host}:{port}" if proxy is None else f"the proxy {proxy}"
    try:
        return await anyio.connect_tcp(
            host, port, local_host=policy.local_address, happy_eyeballs_delay=policy.happy_eyeballs_delay
        )
    except OSError as error:
        raise _connect_failure(place, error) from error


def _connect_failure(place: str, error: OSError) -> NameResolutionError | ConnectError:
    """Describe why there is no TCP connection to a place."""
    if isinstance(error, socket.gaierror):
        return NameResolutionError("", f"{place}: {error.strerror or error}")
    # With several addresses anyio's text is that all have failed, and the cause is a group.
    return ConnectError("", f"{place}: {error.__cause__ if isinstance(error.__cause__, OSError) else error}")


async def _wrap_tls(policy: TransportPolicy, proxy: Proxy, stream: ByteStream) -> ByteStream:
    context = policy.proxy_ssl_context or default_ssl_context()
    try:
        return await TLSStream.wrap(
            stream, server_side=False, hostname=proxy.host, ssl_context=context, standard_compatible=False
        )
    except (OSError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
        raise tls_failure(f"the proxy {proxy}", error) from error


def tls_failure(place: str, error: BaseException) -> TlsError:
    """Describe a TLS handshake that failed."""
    if not isinstance(error, ssl.SSLError):
        return TlsError("", f"{place}: hung up in the handshake")
    # A certificate that does not fit now will not fit in a minute.
    hopeless = isinstance(error, ssl.SSLCertVerificationError)
    reason = getattr(error, "verify_message", "") or error.reason or error
    return TlsError("", f"{place}: {reason}", retryable=not hopeless)


async def release_stream(stream: ByteStream) -> None:
    """Close a stream at once, also in a task that is being cancelled."""
    with anyio.CancelScope(shield=True):
        with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            await anyio.aclose_forcefully(stream)
