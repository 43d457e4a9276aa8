"""Open a WebSocket connection.

```python
async with open_websocket("wss://stream.binance.com:9443/ws/btcusdt@trade") as ws:
    async for batch in ws.batches():
        for message in batch:
            ...
```
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Literal

import anyio
import attrs

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.transport.connectors import Connector, connector as policy_connector
from bt_api_base.transport.policy import TransportPolicy
from bt_api_base.websocket._dial import dial, parse_url, safe_url
from bt_api_base.websocket._interface import Batches, WebSocket, WebSocketState, WebSocketStatistics
from bt_api_base.websocket._stream import StreamWebSocket

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Mapping, Sequence

DEFAULT_MAX_MESSAGE_SIZE: Final = 8 * 1024 * 1024
"""Bytes of the largest message accepted, and sent, unless told otherwise."""


@asynccontextmanager
async def open_websocket(
    url: str,
    *,
    transport: Literal["anyio", "trio-websocket"] = "anyio",
    subprotocols: Sequence[str] = (),
    headers: Mapping[str, str] | None = None,
    ssl_context: ssl.SSLContext | None = None,
    compression: bool = True,
    max_message_size: int | None = DEFAULT_MAX_MESSAGE_SIZE,
    max_send_size: int | None = DEFAULT_MAX_MESSAGE_SIZE,
    connect_timeout: float | None = None,
    send_timeout: float = 10.0,
    close_timeout: float = 5.0,
    local_address: str | None = None,
    policy: TransportPolicy | None = None,
    connector: Connector | None = None,
) -> AsyncGenerator[WebSocket]:
    """Connect to a WebSocket server; leaving the block closes the connection.

    Left normally, the block closes with code 1000 and waits for the server's answer. Left by cancellation or an
    exception, it sends 1001 or 1011 if that can be done at once, and does not wait. The socket is closed in any case.
    There is no task inside: exceptions leave the block as they are.

    Args:
        url: ``ws://…`` or ``wss://…``.
        transport: ``"anyio"`` on any event loop; ``"trio-websocket"`` uses that library, on trio.
        subprotocols: Subprotocols to offer, in order of preference.
        headers: Further headers of the request, such as ``Authorization``.
        ssl_context: TLS settings for ``wss://``; ``None``: the system's certificates, host name verified.
        compression: Whether to offer permessage-deflate (RFC 7692).
        max_message_size: Largest message accepted, in bytes after decompression; a larger one ends the connection
            with code 1009. ``None``: no limit.
        max_send_size: Largest message that `WebSocket.send` takes, in bytes. ``None``: no limit.
        connect_timeout: Seconds for name look-up, TCP, proxy, TLS and the opening handshake together; ``None``: those
            of the policy, 10 without one.
        send_timeout: Seconds for which the peer may take nothing of what is being sent.
        close_timeout: Seconds that closing may take.
        local_address: IP address to connect from.
        policy: How to leave this machine: proxy, TLS, local address. What it says is not to be said again by
            ``ssl_context``, ``local_address`` or ``connector``.
        connector: Opens the byte stream in place of a TCP connection, for instance in memory.

    Raises:
        WebSocketError: No connection could be made, or the server refused it. Neither the query nor the user
            information of the URL is ever part of the text. Its cause says more: an exception of
            `bt_api_base.transport` for names, TCP and proxies, `ssl.SSLError` for TLS.
        ConfigurationError: The URL or a header is invalid, the transport does not run on this event loop, or options
            contradict each other.

    Cancellation:
        The socket is released.
    """
    uri = parse_url(url)
    if policy is None:
        policy = TransportPolicy(ssl_context=ssl_context, local_address=local_address)
    elif ssl_context is not None or local_address is not None or connector is not None:
        raise ConfigurationError("with a policy, neither ssl_context nor local_address nor connector is given")
    if connect_timeout is None:
        connect_timeout = policy.connect_timeout
    else:
        policy = attrs.evolve(policy, connect_timeout=connect_timeout)
    if connector is None:
        connector = policy_connector(policy)
    if transport == "trio-websocket":
        from bt_api_base.websocket.trio_transport import open_trio_websocket

        async with open_trio_websocket(
            uri,
            subprotocols=subprotocols,
            headers=headers,
            ssl_context=policy.ssl_context,
            max_message_size=max_message_size,
            max_send_size=max_send_size,
            connect_timeout=connect_timeout,
            send_timeout=send_timeout,
            close_timeout=close_timeout,
            connector=connector,
        ) as trio_websocket:
            yield trio_websocket
        return
    if transport != "anyio":
        raise ConfigurationError(f"unknown transport {transport!r}: choose 'anyio' or 'trio-websocket'")
    dialled = await dial(
        uri,
        subprotocols=subprotocols,
        headers=headers,
        ssl_context=policy.ssl_context,
        compression=compression,
        max_message_size=max_message_size,
        connect_timeout=connect_timeout,
        connector=connector,
    )
    websocket = StreamWebSocket(
        dialled,
        url=safe_url(uri),
        max_send_size=max_send_size,
        send_timeout=send_timeout,
        close_timeout=close_timeout,
    )
    try:
        yield websocket
    except BaseException as error:
        going_away = isinstance(error, anyio.get_cancelled_exc_class())
        await websocket.abandon(1001 if going_away else 1011)
        raise
    else:
        await websocket.close()


__all__ = (
    "DEFAULT_MAX_MESSAGE_SIZE",
    "Batches",
    "Connector",
    "WebSocket",
    "WebSocketState",
    "WebSocketStatistics",
    "open_websocket",
)
