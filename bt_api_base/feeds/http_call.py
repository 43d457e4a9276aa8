"""A call on its way: who asks for what, and whether any of it has left."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
import httpx
from typing_extensions import override

from bt_api_base.feeds.endpoint import Security
from bt_api_base.rate_limiter import Priority

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bt_api_base.exceptions import BtApiError
    from bt_api_base.feeds.endpoint import Endpoint

__all__ = ("CallInfo", "CallLimiter", "CallPermit", "NotingTransport", "PendingCall", "Wire", "request_extensions")

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

    def give_back(self) -> object:
        """Say that it was not sent."""
        ...

    def report(self, headers: Mapping[str, str]) -> object:
        """Say what its answer says about what is used."""
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
        orders: int = 1,
    ) -> CallPermit:
        """Wait until a request may be sent."""
        ...

    def close_gate(self, seconds: float, *, banned: bool = False, reason: str = "") -> object:
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


def request_extensions(info: CallInfo, wire: Wire, timeouts: Mapping[str, float | None]) -> dict[str, Any]:
    """Return the extensions of a request: ours, and those of httpcore."""
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


@attrs.define(kw_only=True, eq=False)
class PendingCall:
    """A call on its way, over all its attempts.

    Attributes:
        info: What it is about.
        method: The HTTP method.
        url: The whole URL, unsigned.
        plain_url: The same without its query, as errors show it.
        timeout: How long all of it may take, seconds.
        content: The body.
        headers: What is sent besides the headers of every request.
        weight: What it costs.
        limit_key: What limits are counted by that are per instrument or account.
        orders: How many orders it places.
        priority: Its lane where calls wait for the rate limit.
        deadline: When it has to be over, by the event loop's clock.
        wire: Whether the present attempt has left.
        answered: Whether it is known what came of the present attempt.
        hopeless: Whether another attempt would only fail again.
        retry_after: How long the venue wants to be left alone, seconds.
        failure: What the attempt before raised.
        signed_at: How often the venue's clock had been synchronized when the request was signed.
    """

    info: CallInfo
    method: str
    url: str
    plain_url: str
    timeout: float
    content: bytes | None = None
    headers: Mapping[str, str] | None = None
    weight: int | None = None
    limit_key: str = ""
    orders: int = 1
    priority: Priority = Priority.QUERY
    deadline: float = math.inf
    wire: Wire = attrs.field(factory=Wire)
    answered: bool = False
    hopeless: bool = False
    retry_after: float | None = None
    failure: BtApiError | None = None
    signed_at: int = 0

    def begin_attempt(self) -> Wire:
        """Forget how the attempt before went."""
        self.wire = Wire()
        self.answered = self.hopeless = False
        self.retry_after = None
        return self.wire

    @property
    def fate_is_open(self) -> bool:
        """Whether an order is on its way, and nobody here knows what the venue made of it."""
        return self.info.changes_order and self.wire.may_have_left and not self.answered
