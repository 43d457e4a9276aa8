"""What programs are shown of requests and answers: enough to see what happens, and no secret."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

import attrs

from bt_api_base._redaction import excerpt, redact, redact_text
from bt_api_base.feeds.http_call import CallInfo
from bt_api_base.logging_factory import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    import httpx

__all__ = ("Hooks", "RequestDetails", "ResponseDetails")

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class RequestDetails:
    """A request as it is sent, signed; its secrets are masked.

    Attributes:
        exchange_name: The venue.
        info: What it is about.
        method: The HTTP method.
        url: The whole URL.
        headers: The headers.
        body: The beginning of the body.
    """

    exchange_name: str
    info: CallInfo
    method: str
    url: str
    headers: Mapping[str, str]
    body: str

    @classmethod
    def of(cls, exchange_name: str, request: httpx.Request) -> RequestDetails:
        """Return the details of a request."""
        return cls(
            exchange_name=exchange_name,
            info=CallInfo.of(request),
            method=request.method,
            url=redact_text(str(request.url)),
            headers=_shown(request.headers),
            body=excerpt(request.content),
        )


@attrs.frozen(kw_only=True)
class ResponseDetails:
    """An answer; its secrets are masked.

    Attributes:
        exchange_name: The venue.
        info: What was asked.
        method: The HTTP method of the request.
        url: The whole URL of the request.
        status: The HTTP status.
        headers: The headers.
        body: The beginning of the body.
        size_bytes: How long the body is, decompressed.
        elapsed: From sending to the last byte, seconds.
    """

    exchange_name: str
    info: CallInfo
    method: str
    url: str
    status: int
    headers: Mapping[str, str]
    body: str
    size_bytes: int
    elapsed: float

    @classmethod
    def of(cls, exchange_name: str, response: httpx.Response, body: bytes, elapsed: float) -> ResponseDetails:
        """Return the details of an answer."""
        request = response.request
        return cls(
            exchange_name=exchange_name,
            info=CallInfo.of(request),
            method=request.method,
            url=redact_text(str(request.url)),
            status=response.status_code,
            headers=_shown(response.headers),
            body=excerpt(body),
            size_bytes=len(body),
            elapsed=elapsed,
        )


class Hooks:
    """Calls what programs want to be called.

    Args:
        exchange_name: The venue.
        on_request: Called with each request that is sent.
        on_response: Called with each answer.
    """

    def __init__(
        self,
        exchange_name: str,
        on_request: Callable[[RequestDetails], object] | None,
        on_response: Callable[[ResponseDetails], object] | None,
    ) -> None:
        self._exchange_name = exchange_name
        self._on_request = on_request
        self._on_response = on_response
        self._logger = get_logger("http")

    def of_httpx(self) -> dict[str, list[Callable[[httpx.Request], Awaitable[None]]]]:
        """Return what httpx is to call: it knows the request as it is signed."""
        return {} if self._on_request is None else {"request": [self._show_request]}

    async def _show_request(self, request: httpx.Request) -> None:
        if self._on_request is not None:
            self.show(self._on_request, RequestDetails.of(self._exchange_name, request))

    def show_response(self, response: httpx.Response, body: bytes, elapsed: float) -> None:
        """Show an answer."""
        if self._on_response is not None:
            self.show(self._on_response, ResponseDetails.of(self._exchange_name, response, body, elapsed))

    def show(self, hook: Callable[[T], object], details: T) -> None:
        """Call a hook. What it raises is logged, and does not change what becomes of a call."""
        try:
            hook(details)
        except Exception:
            self._logger.exception("a hook raised", exchange_name=self._exchange_name)


def _shown(headers: httpx.Headers) -> Mapping[str, str]:
    shown: dict[str, str] = redact(dict(headers))
    return MappingProxyType(shown)
