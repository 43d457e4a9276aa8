"""What programs are shown of requests and answers: enough to see what happens, and no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from bt_api_base._redaction import excerpt, redact, redact_text
from bt_api_base.feeds.http_call import CallInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

__all__ = ("RequestDetails", "ResponseDetails")


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


def _shown(headers: httpx.Headers) -> dict[str, str]:
    shown: dict[str, Any] = redact(dict(headers))
    return shown
