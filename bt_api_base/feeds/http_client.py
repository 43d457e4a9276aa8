"""The HTTP client of a venue: signed, limited, timed, decoded, and honest about orders."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import attrs
import httpx
from typing_extensions import Self

from bt_api_base.exceptions import (
    BtApiError,
    ConfigurationError,
    NetworkError,
    OrderUnknownError,
    RequestFailedError,
    RequestTimeoutError,
    TimestampError,
)
from bt_api_base.feeds.clock import VenueClock
from bt_api_base.feeds.endpoint import Endpoint, Security
from bt_api_base.feeds.error_table import ErrorKind, ErrorTable
from bt_api_base.feeds.errors import VenueError, make_error, read_json_error, wait_of, words_of
from bt_api_base.feeds.http_call import CallInfo, NotingTransport, Wire, extensions
from bt_api_base.feeds.http_decoding import decode_body
from bt_api_base.feeds.http_encoding import BodyStyle, Parameters, encode_json, encode_query
from bt_api_base.feeds.http_hooks import RequestDetails, ResponseDetails
from bt_api_base.feeds.http_retry import repeat_after
from bt_api_base.feeds.http_statistics import HttpCounters
from bt_api_base.logging_factory import get_logger, protect_third_party_loggers
from bt_api_base.rate_limiter import Priority
from bt_api_base.transport import TransportPolicy, httpx_transport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import TracebackType

    from bt_api_base.feeds.errors import ErrorReader
    from bt_api_base.feeds.http_call import CallLimiter, CallPermit
    from bt_api_base.feeds.http_statistics import HttpStats

__all__ = ("HttpClient",)

T = TypeVar("T")

_MAX_BODY_BYTES: Final = 64 * 1024 * 1024
_KEEPALIVE: Final = 30.0

_NOT_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
"""Failures of httpx that come before the first byte."""

_HAS_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


@attrs.define(kw_only=True)
class _Call:
    """A call on its way, over all its attempts."""

    info: CallInfo
    method: str
    url: str
    plain_url: str
    result: Any
    timeout: float
    content: bytes | None = None
    content_type: str = ""
    weight: int | None = None
    limit_key: str = ""
    priority: Priority = Priority.QUERY
    deadline: float = math.inf
    wire: Wire = attrs.field(factory=Wire)
    answered: bool = False
    noted: bool = False
    retry_after: float | None = None

    @property
    def fate_is_open(self) -> bool:
        """Whether an order is on its way, and nobody here knows what the venue made of it."""
        return self.info.changes_order and self.wire.may_have_left and not self.answered


class HttpClient:
    """Asks one venue for its endpoints.

    A call goes through all of this: the rate limiter lets it go; the venue's `httpx.Auth` signs it; the answer is
    decoded into the endpoint's type, or becomes one of the exceptions of this package; repeatable calls are made
    again when the answer was lost. One deadline is over all of it.

    A call that places or changes an order is sent once. From its first byte on, whatever goes wrong is an
    `OrderUnknownError`; before, nothing was sent, and the exception says so.

    Args:
        venue: Its name, such as ``"BINANCE___SPOT"``.
        timeout: Deadline of a call, seconds; waiting for the rate limit, retries and reading count.
        max_connections: Most connections at a time.
        max_keepalive_connections: Most connections that are kept for the next call.
        base_url: What paths are appended to.
        auth: Signs requests; ``CallInfo.of(request)`` tells it whether to. ``None``: public endpoints only.
        limiter: The venue's rate limiter.
        errors: What the venue's error codes mean.
        read_error: Finds the venue's error in an answer.
        clock: The venue's clock.
        server_time: Asks the venue for its time, nanoseconds since the epoch (UTC); for when it refuses a time stamp.
        policy: How connections leave this machine.
        transport: What requests are given to instead of a transport made by ``policy``; it is closed with the client.
        headers: What is sent with every request.
        body: Where the parameters of methods that have a body go.
        attempts: How often a repeatable call is tried, the first time included.
        max_body_bytes: The longest body that is taken, decompressed.
        keepalive_expiry: How long an unused connection is kept, seconds.
        on_request: Called with each request that is sent.
        on_response: Called with each answer.
        on_unknown: Called, at once and in the same task, when an order's fate becomes unknown, also when the call is
            cancelled.

    Raises:
        ConfigurationError: The options contradict each other.
    """

    def __init__(
        self,
        venue: str = "",
        timeout: float = 10.0,
        max_connections: int = 100,
        max_keepalive_connections: int = 20,
        *,
        base_url: str = "",
        auth: httpx.Auth | None = None,
        limiter: CallLimiter | None = None,
        errors: ErrorTable | None = None,
        read_error: ErrorReader = read_json_error,
        clock: VenueClock | None = None,
        server_time: Callable[[], Awaitable[int]] | None = None,
        policy: TransportPolicy | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        headers: Mapping[str, str] | None = None,
        body: BodyStyle | str = BodyStyle.QUERY,
        attempts: int = 3,
        max_body_bytes: int = _MAX_BODY_BYTES,
        keepalive_expiry: float = _KEEPALIVE,
        on_request: Callable[[RequestDetails], object] | None = None,
        on_response: Callable[[ResponseDetails], object] | None = None,
        on_unknown: Callable[[CallInfo], object] | None = None,
    ) -> None:
        if policy is not None and transport is not None:
            raise ConfigurationError("how to connect is said by a policy or by a transport, not by both")
        self._venue = venue
        self.timeout = timeout
        self.clock = VenueClock() if clock is None else clock
        self.server_time = server_time
        self.on_unknown = on_unknown
        self._base_url = base_url.rstrip("/")
        self._auth = httpx.Auth() if auth is None else auth
        self._has_auth = auth is not None
        self._limiter = limiter
        self._errors = ErrorTable() if errors is None else errors
        self._read_error = read_error
        self._body = BodyStyle(body)
        self._attempts = attempts
        self._max_body_bytes = max_body_bytes
        self._on_request = on_request
        self._on_response = on_response
        self._counters = HttpCounters()
        self._logger = get_logger("http")
        self._resynchronizing = anyio.Lock()
        protect_third_party_loggers()
        if transport is None:
            limits = httpx.Limits(
                max_connections=max_connections,
                max_keepalive_connections=max_keepalive_connections,
                keepalive_expiry=keepalive_expiry,
            )
            transport = httpx_transport(policy, limits=limits)
        elif not isinstance(transport, httpx.AsyncHTTPTransport):
            transport = NotingTransport(transport)
        # The deadline of the call is over all of httpx's time limits, but connecting has one of its own.
        connect_timeout = (TransportPolicy() if policy is None else policy).connect_timeout
        self._timeouts = httpx.Timeout(None, connect=connect_timeout).as_dict()
        self._client = httpx.AsyncClient(
            transport=transport,
            trust_env=False,
            headers=headers,
            event_hooks=None if on_request is None else {"request": [self._show_request]},
        )
        self._headers = self._client.headers

    def __repr__(self) -> str:
        return f"HttpClient({self._venue!r}, base_url={self._base_url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections; calls that are on their way fail.

        Cancellation:
            The connections are closed all the same.
        """
        with anyio.CancelScope(shield=True):
            await self._client.aclose()

    def get_stats(self) -> HttpStats:
        """Return what was counted so far."""
        return self._counters.snapshot()

    # -- calls ---------------------------------------------------------------------------------------

    async def call(
        self,
        endpoint: Endpoint[T],
        params: Parameters | None = None,
        *,
        path: str = "",
        timeout: float | None = None,
        weight: int | None = None,
        limit_key: str = "",
        symbol: str = "",
        client_order_id: str = "",
    ) -> T:
        """Ask for an endpoint.

        Args:
            endpoint: The endpoint.
            params: Its parameters, in the order they are sent in; those that are ``None`` are left out.
            path: The path, where the endpoint's has something to fill in.
            timeout: Deadline, seconds; ``None``: the client's.
            weight: What the call costs; ``None``: the endpoint's weight.
            limit_key: What limits are counted by that are per instrument or account.
            symbol: The instrument it is about, for exceptions.
            client_order_id: The order it is about, for exceptions and hooks.

        Returns:
            The body as the endpoint's ``result``.

        Raises:
            BtApiError: What the venue's `ErrorTable` says about its answer.
            OrderUnknownError: An order was sent, and what became of it is not known.
            NetworkError: The venue could not be reached, or the answer was lost. An order was not sent.
            RequestTimeoutError: The deadline passed. An order was not sent.
            RateLimitError: There is no room within the deadline; nothing was sent.
            DataParseError: The answer is not what the endpoint returns.
            ConfigurationError: The endpoint wants credentials, and there are none.

        Cancellation:
            The connection is given up if an answer was on its way. If an order may have been sent, ``on_unknown`` is
            called before the cancellation goes on.
        """
        call = self._prepare(endpoint, params, path, timeout, weight, limit_key, symbol, client_order_id)
        counters = self._counters
        counters.calls += 1
        counters.in_flight += 1
        try:
            with anyio.move_on_after(call.timeout) as scope:
                call.deadline = scope.deadline
                result: T = await self._run(call)
                counters.succeeded += 1
                return result
            raise self._late(call)
        except BtApiError as error:
            counters.errors[type(error).__name__] += 1
            raise
        except anyio.get_cancelled_exc_class():
            counters.errors["Cancelled"] += 1
            raise
        finally:
            counters.in_flight -= 1
            if call.fate_is_open:
                self._note_unknown(call)

    def _prepare(
        self,
        endpoint: Endpoint[T],
        params: Parameters | None,
        path: str,
        timeout: float | None,
        weight: int | None,
        limit_key: str,
        symbol: str,
        client_order_id: str,
    ) -> _Call:
        if endpoint.security is not Security.PUBLIC and not self._has_auth:
            raise ConfigurationError(
                f"{endpoint.method} {path or endpoint.path} needs credentials", exchange_name=self._venue
            )
        chosen_path = path or endpoint.path
        url = plain_url = self._base_url + chosen_path
        content: bytes | None = None
        content_type = ""
        if params:
            style = self._body if endpoint.method in _HAS_BODY else BodyStyle.QUERY
            if style is BodyStyle.QUERY:
                query = encode_query(params)
                url = f"{url}?{query}" if query else url
            elif style is BodyStyle.JSON:
                content, content_type = encode_json(params), "application/json"
            else:
                content = encode_query(params, plus=True).encode()
                content_type = "application/x-www-form-urlencoded"
        return _Call(
            info=CallInfo(
                endpoint=endpoint,
                security=endpoint.security,
                path=chosen_path,
                symbol=symbol,
                client_order_id=client_order_id,
            ),
            method=endpoint.method,
            url=url,
            plain_url=plain_url,
            result=endpoint.result,
            timeout=self.timeout if timeout is None else timeout,
            content=content,
            content_type=content_type,
            weight=endpoint.weight if weight is None else weight,
            limit_key=limit_key,
            priority=endpoint.priority,
        )

    async def _run(self, call: _Call) -> Any:  # noqa: ANN401 - the endpoint's type
        """Make the attempts that a call may have."""
        endpoint = call.info.endpoint
        try:
            return await self._attempt_with_right_time(call)
        except BtApiError as error:
            if endpoint is None or not endpoint.is_repeatable or self._attempts < 2:
                raise
            failure = error

        async def again() -> Any:  # noqa: ANN401 - the endpoint's type
            self._counters.retries += 1
            return await self._attempt_with_right_time(call)

        def wait(error: BtApiError) -> float | None:
            seconds = call.retry_after or 0.0
            return None if anyio.current_time() + seconds >= call.deadline else seconds

        return await repeat_after(failure, again, attempts=self._attempts, wait=wait)

    async def _attempt_with_right_time(self, call: _Call) -> Any:  # noqa: ANN401 - the endpoint's type
        """Make an attempt, and another one if the venue's clock turned out to be elsewhere."""
        estimates = self.clock.estimates
        try:
            return await self._attempt(call)
        except TimestampError:
            if self.server_time is None or call.info.security is not Security.SIGNED:
                raise
        await self._resynchronize(self.server_time, estimates)
        return await self._attempt(call)

    async def _resynchronize(self, server_time: Callable[[], Awaitable[int]], estimates: int) -> None:
        async with self._resynchronizing:
            # Of the calls that are refused together, one asks for all.
            if self.clock.estimates == estimates:
                self._counters.resynchronizations += 1
                offset_ns = await self.clock.synchronize(server_time)
                self._logger.warning(
                    "the venue refused a time stamp: its clock is estimated anew",
                    exchange_name=self._venue,
                    offset_ms=offset_ns / 1e6,
                )

    async def _attempt(self, call: _Call) -> Any:  # noqa: ANN401 - the endpoint's type
        """Send a request and read the answer."""
        call.wire = wire = Wire()
        call.answered = False
        call.retry_after = None
        permit = None if self._limiter is None else await self._permit(self._limiter, call)
        failure: httpx.HTTPError
        try:
            started = anyio.current_time()
            request = self._request(call, wire)
            self._counters.requests += 1
            response = await self._client.send(request, auth=self._auth, stream=True)
            try:
                body = await self._read(response)
            finally:
                await response.aclose()
            self._counters.answered(response.status_code, len(body), anyio.current_time() - started)
        except httpx.HTTPError as error:
            failure = error
        except BaseException:
            if permit is not None and not wire.may_have_left:
                permit.give_back()
            raise
        else:
            return self._finished(call, response, body, anyio.current_time() - started)
        sent = wire.may_have_left and not isinstance(failure, _NOT_SENT)
        if permit is not None and not sent:
            permit.give_back()
        # Outside of the handler: httpx's exception holds the request, signature and all.
        raise self._lost(call, failure, sent=sent)

    async def _permit(self, limiter: CallLimiter, call: _Call) -> CallPermit:
        started = anyio.current_time()
        permit = await limiter.async_permit(
            call.method,
            call.info.path,
            call.weight,
            priority=call.priority,
            timeout=None if call.deadline == math.inf else max(0.0, call.deadline - started),
            key=call.limit_key,
        )
        waited = anyio.current_time() - started
        if waited > 0.001:
            self._counters.permits_waited += 1
            self._counters.permit_seconds += waited
        return permit

    def _request(self, call: _Call, wire: Wire) -> httpx.Request:
        headers = self._headers
        if call.content_type:
            headers = headers.copy()
            headers["Content-Type"] = call.content_type
        return httpx.Request(
            call.method,
            call.url,
            headers=headers,
            content=call.content,
            extensions=extensions(call.info, wire, self._timeouts),
        )

    async def _read(self, response: httpx.Response) -> bytes:
        parts: list[bytes] = []
        size_bytes = 0
        async for part in response.aiter_bytes():
            size_bytes += len(part)
            if size_bytes > self._max_body_bytes:
                raise httpx.DecodingError(f"the body is longer than {self._max_body_bytes} bytes")
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    # -- what came of it -----------------------------------------------------------------------------

    def _finished(self, call: _Call, response: httpx.Response, body: bytes, elapsed: float) -> Any:  # noqa: ANN401
        """Return the result of an answer, or raise what it means."""
        if self._on_response is not None:
            self._show(self._on_response, ResponseDetails.of(self._venue, response, body, elapsed))
        if self._limiter is not None:
            self._limiter.report(response.headers)
        status = response.status_code
        found = self._read_error(status, body)
        if found is not None or not 200 <= status < 300:
            raise self._refused(call, response, *(found or ("", words_of(body))))
        try:
            result = decode_body(body, call.result, exchange_name=self._venue, what=f"{call.method} {call.info.path}")
        except BtApiError as error:
            if not call.info.changes_order:
                raise
            # It was done, most likely; what it was, the answer does not tell.
            raise self._unknown(call, f"the answer cannot be read: {error}") from error
        call.answered = True
        return result

    def _refused(self, call: _Call, response: httpx.Response, code: str, message: str) -> BtApiError:
        kind = self._errors.kind(response.status_code, code, message)
        wait = wait_of(self._errors, kind, code, message, response.headers, self.clock.now_ns())
        call.retry_after = wait
        if kind in {ErrorKind.RATE_LIMIT, ErrorKind.BAN} and self._limiter is not None and wait:
            self._limiter.close_gate(wait, banned=kind is ErrorKind.BAN, reason=message)
        call.answered = kind is not ErrorKind.FATE_UNKNOWN
        return make_error(
            VenueError(
                kind=kind,
                exchange_name=self._venue,
                url=call.plain_url,
                status=response.status_code,
                code=code,
                message=message,
                symbol=call.info.symbol,
                client_order_id=call.info.client_order_id,
                changes_order=call.info.changes_order,
                retry_after=wait,
                offset_ns=self.clock.offset_ns,
            )
        )

    def _lost(self, call: _Call, failure: httpx.HTTPError, *, sent: bool) -> BtApiError:
        """Return what a failure of the transport means."""
        reason = failure.__cause__ if isinstance(failure.__cause__, BtApiError) else None
        text = str(reason or failure) or type(failure).__name__
        error: BtApiError
        if not sent:
            call.answered = True  # nobody has to find out what became of it
            error = NetworkError(self._venue, f"nothing was sent: {text}")
        elif call.info.changes_order:
            error = self._unknown(call, text)
        elif isinstance(failure, httpx.TimeoutException):
            error = RequestTimeoutError(self._venue, call.plain_url, call.timeout, text)
        elif isinstance(failure, httpx.DecodingError):
            error = RequestFailedError(self._venue, call.plain_url, text)
        else:
            error = NetworkError(self._venue, f"the answer was lost: {text}")
        if reason is not None and not isinstance(error, OrderUnknownError):
            error.retryable = reason.retryable
        error.__cause__ = reason
        return error

    def _late(self, call: _Call) -> BtApiError:
        """Return what it means that the deadline has passed."""
        if call.fate_is_open:
            return self._unknown(call, f"no answer within {call.timeout:g} s")
        sent = call.wire.may_have_left
        return RequestTimeoutError(self._venue, call.plain_url, call.timeout, "" if sent else "nothing was sent")

    def _unknown(self, call: _Call, detail: str) -> OrderUnknownError:
        return OrderUnknownError(self._venue, call.info.symbol, call.info.client_order_id, detail)

    def _note_unknown(self, call: _Call) -> None:
        self._counters.unknown_orders += 1
        if self.on_unknown is not None:
            self._show(self.on_unknown, call.info)

    def _show(self, hook: Callable[[Any], object], details: object) -> None:
        try:
            hook(details)
        except Exception:  # noqa: BLE001 - a hook must not change what becomes of a call
            self._logger.exception("a hook raised", exchange_name=self._venue)

    async def _show_request(self, request: httpx.Request) -> None:
        if self._on_request is not None:
            self._show(self._on_request, RequestDetails.of(self._venue, request))
