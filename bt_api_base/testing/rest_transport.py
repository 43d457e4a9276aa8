"""A simulated venue's REST side in memory, as a transport of httpx: what happens on the wire happens here without one.

A request is the venue's once it is sent: it is done in the venue's own tasks, whether or not the client waits for the
answer. Errors are those that httpx has for the same thing over sockets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.lowlevel
import attrs
import httpx
from typing_extensions import override

from bt_api_base.testing.rest_messages import RestRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bt_api_base.testing.rest_messages import RestReply


@attrs.define(eq=False)
class MemoryExchange:
    """One request on its way, and the answer to it."""

    request: RestRequest
    reply: RestReply | None = None
    """The answer; still ``None`` when it is over: the connection was cut."""
    over: anyio.Event = attrs.field(factory=anyio.Event)

    def end(self, reply: RestReply | None) -> None:
        """Answer, or cut the connection.

        Args:
            reply: The answer, or ``None``.
        """
        if not self.over.is_set():
            self.reply = reply
            self.over.set()


class RestTransport(httpx.AsyncBaseTransport):
    """Sends requests to a venue in memory.

    Args:
        send: Takes a request; returns whether the venue accepts connections.
    """

    def __init__(self, send: Callable[[MemoryExchange], bool]) -> None:
        self._send = send

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and wait for the answer.

        Args:
            request: The request.

        Raises:
            httpx.ConnectError: The venue accepts no connections; nothing was sent.
            httpx.ReadTimeout: There was no answer in time; what was asked is done all the same.
            httpx.RemoteProtocolError: The venue cut the connection.

        Cancellation:
            What was asked is done all the same, if it was sent.
        """
        body = await request.aread()
        tell = _teller(request)
        await tell("connection.connect_tcp.started")
        await anyio.lowlevel.checkpoint()
        await tell("http11.send_request_headers.started")  # from here on it is sent
        url = request.url
        exchange = MemoryExchange(
            RestRequest(
                request.method.upper(),
                url.raw_path.partition(b"?")[0].decode("ascii"),
                url.query.decode("ascii"),
                {name.lower(): value for name, value in request.headers.items()},
                body,
            )
        )
        if not self._send(exchange):
            raise httpx.ConnectError("All connection attempts failed", request=request)
        timeouts = cast("dict[str, Any]", request.extensions.get("timeout", {}))
        with anyio.move_on_after(cast("float | None", timeouts.get("read"))):
            await exchange.over.wait()
        if not exchange.over.is_set():
            raise httpx.ReadTimeout("", request=request)
        reply = exchange.reply
        if reply is None:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
        headers = [*reply.headers, ("content-length", str(len(reply.body)))]
        return httpx.Response(
            reply.status,
            headers=headers,
            stream=httpx.ByteStream(reply.body),
            request=request,
            extensions={"http_version": b"HTTP/1.1"},
        )


def _teller(request: httpx.Request) -> Callable[[str], Awaitable[None]]:
    """Return what tells whoever wants to know how far a request has come, in the words of httpcore's transports."""
    trace = cast("Callable[[str, dict[str, Any]], Awaitable[None]] | None", request.extensions.get("trace"))

    async def tell(step: str) -> None:
        if trace is not None:
            await trace(step, {})

    return tell


__all__ = ("MemoryExchange", "RestTransport")
