"""A tunnel through an HTTP proxy: the method CONNECT (RFC 9110, section 9.3.6)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

import anyio
import h11
from anyio.streams.buffered import BufferedByteStream

from bt_api_base.transport.errors import ProxyAuthenticationError, ProxyError

if TYPE_CHECKING:
    from anyio.abc import ByteStream

    from bt_api_base.transport.policy import Proxy

__all__ = ("open_tunnel",)

_MAX_HEAD: Final = 16 * 1024
"""Bytes of an answer's head."""

_MAX_INTERIM: Final = 16
"""Answers of the kind "wait" before one that counts."""

_TEMPORARY: Final = frozenset({408, 425, 429})


async def open_tunnel(stream: ByteStream, proxy: Proxy, host: str, port: int) -> ByteStream:
    """Ask a proxy for a tunnel, and return the stream that goes through it.

    Args:
        stream: A connection to the proxy; who calls closes it when this fails.
        proxy: The proxy, for its credentials and for the texts of errors.
        host: Where to; the proxy resolves the name.
        port: The port there.

    Raises:
        ProxyError: The proxy does not forward.
        ProxyAuthenticationError: It does not accept the credentials.

    Cancellation:
        The stream is of no more use.
    """
    try:
        status, first_bytes = await _ask(stream, proxy, host, port)
    except (OSError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
        raise ProxyError("", f"{proxy} hung up without an answer") from error
    if status == 407:
        wanted = "wants a user and a password" if proxy.username is None else "does not accept user and password"
        raise ProxyAuthenticationError("", f"{proxy} {wanted} (HTTP 407)")
    if status is None:
        raise ProxyError("", f"the answer of {proxy} is not HTTP", retryable=False)
    if not 200 <= status < 300:
        # Not the proxy's own words: they are for people's browsers, and may repeat what was sent.
        detail = f"{proxy} answered with HTTP {status}"
        raise ProxyError("", detail, status=status, retryable=status >= 500 or status in _TEMPORARY)
    if not first_bytes:
        return stream
    # Whoever is behind the proxy spoke first, in one read with the proxy's answer.
    buffered = BufferedByteStream(stream)
    buffered.feed_data(first_bytes)
    return buffered


async def _ask(stream: ByteStream, proxy: Proxy, host: str, port: int) -> tuple[int | None, bytes]:
    """Return the status of the proxy's answer, ``None`` if it is no answer, and the bytes that came after it."""
    name = host.encode("idna").decode()
    authority = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
    headers = [("Host", authority)]
    if proxy.username is not None:
        password = "" if proxy.password is None else proxy.password.reveal()
        token = base64.b64encode(f"{proxy.username.reveal()}:{password}".encode()).decode()
        headers.append(("Proxy-Authorization", f"Basic {token}"))
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
    request = connection.send(h11.Request(method="CONNECT", target=authority, headers=headers)) or b""
    await stream.send(request + (connection.send(h11.EndOfMessage()) or b""))
    interim = 0
    while interim <= _MAX_INTERIM:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            break
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive())
        elif isinstance(event, h11.Response):
            return event.status_code, connection.trailing_data[0]
        else:
            interim += 1
    return None, b""
