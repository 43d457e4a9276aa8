"""One request and its answer: permitted, signed, sent, read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, cast

import anyio
import httpx

from bt_api_base.exceptions import ConfigurationError
from bt_api_base.feeds.http_call import request_extensions
from bt_api_base.feeds.http_decoding import ACCEPTED_ENCODINGS, BodyError, BodyTooLongError, decompress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bt_api_base.feeds.http_call import CallLimiter, CallPermit, PendingCall
    from bt_api_base.feeds.http_hooks import Hooks
    from bt_api_base.feeds.http_outcomes import Outcomes
    from bt_api_base.feeds.http_statistics import HttpCounters

__all__ = ("Exchange",)

_NOTICEABLE: Final = 0.001
"""Seconds that a permit takes when it was waited for."""


class Exchange:
    """Sends requests, one at a time for each call.

    Args:
        outcomes: Tells what failures mean.
        counters: What is counted.
        hooks: What programs want to see.
        transport: What requests are given to; it is closed with this.
        auth: Signs them.
        headers: What is sent with each of them.
        connect_timeout: How long connecting may take, seconds.
        max_body_bytes: The longest body that is taken, decompressed.
    """

    def __init__(
        self,
        outcomes: Outcomes,
        counters: HttpCounters,
        hooks: Hooks,
        transport: httpx.AsyncBaseTransport,
        *,
        auth: httpx.Auth | None,
        headers: Mapping[str, str] | None,
        connect_timeout: float,
        max_body_bytes: int,
    ) -> None:
        self._outcomes = outcomes
        self._counters = counters
        self._hooks = hooks
        self._auth = httpx.Auth() if auth is None else auth
        self._max_body_bytes = max_body_bytes
        # The deadline of the call stands for all time limits of httpx but that of connecting.
        self._timeouts = httpx.Timeout(None, connect=connect_timeout).as_dict()
        self._client = httpx.AsyncClient(
            transport=transport,
            trust_env=False,
            headers={"Accept-Encoding": ACCEPTED_ENCODINGS, **(headers or {})},
            event_hooks=hooks.of_httpx(),
        )

    async def aclose(self) -> None:
        """Close all connections.

        Cancellation:
            May leave some open.
        """
        await self._client.aclose()

    async def send(self, call: PendingCall) -> tuple[httpx.Response, bytes]:
        """Send a request and read the answer, whatever it is.

        Raises:
            BtApiError: There is no answer.
            anyio.ClosedResourceError: The client is closed.

        Cancellation:
            The permit is given back if nothing was sent, and the connection is given up.
        """
        if self._client.is_closed:
            raise anyio.ClosedResourceError("the HTTP client is closed")
        wire = call.begin_attempt()
        limiter = self._outcomes.limiter
        permit = None if limiter is None else await self._permit(limiter, call)
        failure: Exception
        try:
            request = self._request(call)
            call.signed_at = self._outcomes.clock.synchronizations
            self._counters.sent(call)
            started = anyio.current_time()
            response = await self._client.send(request, auth=self._auth, stream=True)
            try:
                body = await self._read(response)
            finally:
                await response.aclose()
            elapsed = anyio.current_time() - started
        except (httpx.HTTPError, BodyError) as error:
            failure = error
        except BaseException:
            if permit is not None and not wire.may_have_left:
                permit.give_back()
            raise
        else:
            if permit is not None:
                permit.report(response.headers)
            self._counters.answered(response.status_code, len(body), elapsed)
            self._hooks.show_response(response, body, elapsed)
            return response, body
        if permit is not None and self._outcomes.is_unsent(call, failure):
            permit.give_back()
        # Outside of the handler: httpx's exception holds the request, signature and all.
        raise self._outcomes.of_failure(call, failure)

    async def _permit(self, limiter: CallLimiter, call: PendingCall) -> CallPermit:
        started = anyio.current_time()
        left = None if call.deadline == math.inf else max(0.0, call.deadline - started)
        call.hopeless = True  # unless it is had: asking again would not make more room
        permit = await limiter.async_permit(
            call.method,
            call.info.path,
            call.weight,
            priority=call.priority,
            timeout=left,
            key=call.limit_key,
            orders=call.orders,
        )
        call.hopeless = False
        waited = anyio.current_time() - started
        if waited > _NOTICEABLE:
            self._counters.permits_waited += 1
            self._counters.permit_seconds += waited
        return permit

    def _request(self, call: PendingCall) -> httpx.Request:
        headers = self._client.headers
        if call.headers:
            headers = headers.copy()
            headers.update(call.headers)
        try:
            return httpx.Request(
                call.method,
                call.url,
                headers=headers,
                content=call.content,
                extensions=request_extensions(call.info, call.wire, self._timeouts),
            )
        except httpx.InvalidURL as error:
            problem = f"not a URL that can be asked: {error}"
        raise ConfigurationError(problem, exchange_name=self._outcomes.exchange_name)

    async def _read(self, response: httpx.Response) -> bytes:
        parts: list[bytes] = []
        size_bytes, limit_bytes = 0, self._max_body_bytes
        try:
            # Not by way of httpx's decoders, which leave generators behind where they fail.
            async for part in cast("httpx.AsyncByteStream", response.stream):
                size_bytes += len(part)
                if size_bytes <= limit_bytes:
                    parts.append(part)
                elif response.is_closed:
                    break
                else:
                    # The next read ends it from within, generators and all.
                    await response.aclose()
        except httpx.HTTPError:
            if size_bytes <= limit_bytes:
                raise
        if size_bytes > limit_bytes:
            raise BodyTooLongError(limit_bytes)
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        encoding = response.headers.get("Content-Encoding", "")
        return decompress(body, encoding, limit_bytes) if encoding and body else body
