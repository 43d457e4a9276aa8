"""What goes with a request on its way: who asks for what, and whether any of it has left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
import httpx
from typing_extensions import override

from bt_api_base.feeds.endpoint import Security

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bt_api_base.feeds.endpoint import Endpoint
    from bt_api_base.rate_limiter import Priority

__all__ = ("CallInfo", "CallLimiter", "CallPermit", "NotingTransport", "Wire")

_INFO: Final = "bt_api"
_WIRE: Final = "bt_api_wire"


@attrs.frozen(kw_only=True)
class CallInfo:
    """What a call is about, for those who see its request: the venue's `httpx.Auth`, hooks, transports.

    Attributes:
        endpoint: What is asked for; ``None`` for a request that is no call of an endpoint.
        security: What the venue wants to know of who asks.
        path: The path that is asked for.
        symbol: Which instrument it is about, as the caller said.
        client_order_id: Which order it is about, as the caller said.
    """

    endpoint: Endpoint[Any] | None = None
    security: Security = Security.PUBLIC
    path: str = ""
    symbol: str = ""
    client_order_id: str = ""

    @property
    def changes_order(self) -> bool:
        """Whether it places or changes an order."""
        return self.endpoint is not None and self.endpoint.changes_order

    @staticmethod
    def of(request: httpx.Request) -> CallInfo:
        """Return what a request is about."""
        found = request.extensions.get(_INFO)
        return found if isinstance(found, CallInfo) else CallInfo()


class CallPermit(Protocol):
    """The right to send one request."""

    def give_back(self) -> None:
        """Say that it was not sent."""
        ...


class CallLimiter(Protocol):
    """What an `HttpClient` needs of a rate limiter; `bt_api_base.rate_limiter.RateLimiter` is one."""

    async def async_permit(
        self,
        method: str,
        path: str,
        weight: int | None = None,
        *,
        priority: Priority = ...,
        timeout: float | None = None,
        key: str = "",
    ) -> CallPermit:
        """Wait until a request may be sent."""
        ...

    def report(self, headers: Mapping[str, str]) -> None:
        """Learn from the headers of an answer."""
        ...

    def close_gate(self, seconds: float, *, banned: bool = False, reason: str = "") -> None:
        """Let nobody send for a while."""
        ...


class Wire:
    """Whether any byte of a request may have left this machine.

    httpcore, under httpx, tells each step of a request to a coroutine function in its extensions. The step before the
    first byte is what counts: from then on nobody here knows what the venue has got.
    """

    __slots__ = ("_assumed", "_sending")

    def __init__(self) -> None:
        self._sending = False
        self._assumed = False

    @property
    def may_have_left(self) -> bool:
        """Whether the venue may have got something of it."""
        return self._sending or self._assumed

    def assume(self) -> None:
        """Take it that it leaves, until a step tells better: the transport may be one that tells no steps."""
        self._assumed = True

    async def trace(self, step: str, _details: dict[str, Any]) -> None:
        """Take note of a step.

        Cancellation:
            It does not wait.
        """
        self._assumed = False
        if step.endswith("send_request_headers.started"):
            self._sending = True


def extensions(info: CallInfo, wire: Wire, timeouts: Mapping[str, float | None]) -> dict[str, Any]:
    """Return the extensions of a request."""
    return {_INFO: info, _WIRE: wire, "trace": wire.trace, "timeout": timeouts}


class NotingTransport(httpx.AsyncBaseTransport):
    """A transport of unknown make: what is given to it may have left, unless it tells steps as httpcore does.

    Args:
        inner: The transport.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        wire = request.extensions.get(_WIRE)
        if isinstance(wire, Wire):
            wire.assume()
        return await self._inner.handle_async_request(request)

    @override
    async def aclose(self) -> None:
        await self._inner.aclose()
