"""The HTTP client of a venue: signed, limited, timed, decoded, and honest about orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import anyio.to_thread
import httpx

from bt_api_base.exceptions import (
    BtApiError,
    ConfigurationError,
    NetworkError,
    RequestFailedError,
    TimestampError,
)
from bt_api_base.feeds.clock import VenueClock
from bt_api_base.feeds.endpoint import Endpoint, Security
from bt_api_base.feeds.error_table import ErrorTable
from bt_api_base.feeds.errors import read_json_error
from bt_api_base.feeds.http_blocking import BlockingTwin
from bt_api_base.feeds.http_call import CallInfo, NotingTransport, PendingCall
from bt_api_base.feeds.http_encoding import BodyStyle, Parameters, encode_json, encode_query
from bt_api_base.feeds.http_exchange import Exchange
from bt_api_base.feeds.http_hooks import Hooks
from bt_api_base.feeds.http_outcomes import Outcomes
from bt_api_base.feeds.http_plain import plain_call, plain_reply, policy_of
from bt_api_base.feeds.http_retry import repeat_after
from bt_api_base.feeds.http_statistics import HttpCounters
from bt_api_base.logging_factory import get_logger, protect_third_party_loggers
from bt_api_base.transport import TransportPolicy, httpx_transport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import TracebackType

    from typing_extensions import Self

    from bt_api_base.feeds.errors import ErrorReader
    from bt_api_base.feeds.http_call import CallLimiter
    from bt_api_base.feeds.http_hooks import RequestDetails, ResponseDetails
    from bt_api_base.feeds.http_statistics import HttpStats

__all__ = ("HttpClient",)

T = TypeVar("T")

_MAX_BODY_BYTES: Final = 64 * 1024 * 1024
_KEEPALIVE: Final = 30.0
_HAS_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


class HttpClient:
    """Asks one venue for its endpoints.

    A call goes through all of this: the rate limiter lets it go; the venue's `httpx.Auth` signs it; the answer is
    decoded into the endpoint's type, or becomes one of the exceptions of this package; repeatable calls are made
    again when the answer was lost. One deadline is over all of it.

    A call that places or changes an order is sent once. From its first byte on, whatever goes wrong without an answer
    is an `OrderUnknownError`; before, nothing was sent, and the exception says so.

    Args:
        venue: Its name, such as ``"BINANCE___SPOT"``.
        timeout: Deadline of a call, seconds; waiting for the rate limit, retries and reading count.
        max_connections: Most connections at a time.
        max_keepalive_connections: Most connections that are kept for the next call.
        verify: Has to be true: certificates are always verified.
        proxies: The URL of a proxy, or a mapping to one, for older programs; new ones give a ``policy``.
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

    def __init__(  # noqa: PLR0917 - the order of older programs
        self,
        venue: str = "",
        timeout: float = 10.0,
        max_connections: int = 100,
        max_keepalive_connections: int = 20,
        verify: bool = True,  # noqa: FBT001, FBT002 - the same
        proxies: str | Mapping[str, str] | None = None,
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
        policy = policy_of(policy, verify=verify, proxies=proxies)
        if policy is not None and transport is not None:
            raise ConfigurationError("how to connect is said by a policy or by a transport, not by both")
        self._venue = venue
        self.timeout = timeout
        self.clock = VenueClock() if clock is None else clock
        self.server_time = server_time
        self.on_unknown = on_unknown
        self._base_url = base_url.rstrip("/")
        self._has_auth = auth is not None
        self._outcomes = Outcomes(venue, ErrorTable() if errors is None else errors, read_error, self.clock, limiter)
        self._body = BodyStyle(body)
        self._attempts = attempts
        self._hooks = Hooks(venue, on_request, on_response)
        self._counters = HttpCounters()
        self._logger = get_logger("http")
        self._synchronizing = anyio.Lock()
        protect_third_party_loggers()
        self._twin = BlockingTwin(
            lambda: HttpClient(
                venue, timeout, max_connections, max_keepalive_connections, policy=policy, transport=transport,
                base_url=base_url, limiter=limiter, headers=headers, max_body_bytes=max_body_bytes,
                keepalive_expiry=keepalive_expiry, on_request=on_request, on_response=on_response,
            )
        )  # fmt: skip
        if transport is None:
            limits = httpx.Limits(
                max_connections=max_connections,
                max_keepalive_connections=max_keepalive_connections,
                keepalive_expiry=keepalive_expiry,
            )
            carrier: httpx.AsyncBaseTransport = httpx_transport(policy, limits=limits)
        else:
            carrier = transport if isinstance(transport, httpx.AsyncHTTPTransport) else NotingTransport(transport)
        self._exchange = Exchange(
            self._outcomes,
            self._counters,
            self._hooks,
            carrier,
            auth=auth,
            headers=headers,
            connect_timeout=(TransportPolicy() if policy is None else policy).connect_timeout,
            max_body_bytes=max_body_bytes,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._venue!r}, base_url={self._base_url!r})"

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
        timeout: float | None = None,  # noqa: ASYNC109 - not the same as cancelling: it tells what became of an order
        weight: int | None = None,
        limit_key: str = "",
        orders: int = 1,
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
            orders: How many orders it places, for limits that count them.
            symbol: The instrument it is about, for exceptions.
            client_order_id: The order it is about, for exceptions and hooks.

        Returns:
            The body as the endpoint's ``result``.

        Raises:
            BtApiError: What the venue's `ErrorTable` says about its answer.
            OrderUnknownError: An order was sent, and what became of it is not known.
            NetworkError: The venue could not be reached, or the answer was lost. An order was not sent.
            RequestTimeoutError: The deadline passed. An order was not sent.
            RateLimitError: There is no room within the deadline, and nothing was sent; or the venue says so.
            DataParseError: The answer is not what the endpoint returns.
            ConfigurationError: The endpoint wants credentials, and there are none.

        Cancellation:
            The connection is given up if an answer was on its way. If an order may have been sent, ``on_unknown`` is
            called before the cancellation goes on.
        """
        if endpoint.security is not Security.PUBLIC and not self._has_auth:
            raise ConfigurationError(
                f"{endpoint.method} {path or endpoint.path} needs credentials", exchange_name=self._venue
            )
        info = CallInfo(
            endpoint=endpoint,
            security=endpoint.security,
            path=path or endpoint.path,
            symbol=symbol,
            client_order_id=client_order_id,
        )
        url = self._base_url + info.path
        call = PendingCall(
            info=info,
            method=endpoint.method,
            url=url,
            plain_url=url,
            timeout=self.timeout if timeout is None else timeout,
            weight=endpoint.weight if weight is None else weight,
            limit_key=limit_key,
            orders=orders,
            priority=endpoint.priority,
        )
        if params:
            self._add_parameters(call, params)
        result: T = await self._within_deadline(call, self._call)
        return result

    def _add_parameters(self, call: PendingCall, params: Parameters) -> None:
        style = self._body if call.method in _HAS_BODY else BodyStyle.QUERY
        if style is BodyStyle.QUERY:
            query = encode_query(params)
            if query:
                call.url = f"{call.url}?{query}"
        elif style is BodyStyle.JSON:
            call.content, call.headers = encode_json(params), {"Content-Type": "application/json"}
        else:
            call.content = encode_query(params, plus=True).encode()
            call.headers = {"Content-Type": "application/x-www-form-urlencoded"}

    async def _within_deadline(self, call: PendingCall, run: Callable[[PendingCall], Awaitable[Any]]) -> Any:  # noqa: ANN401
        counters = self._counters
        counters.calls += 1
        counters.in_flight += 1
        try:
            with anyio.move_on_after(call.timeout) as scope:
                call.deadline = scope.deadline
                result = await run(call)
                counters.succeeded += 1
                return result
            raise self._outcomes.of_deadline(call)
        except BtApiError as error:
            counters.errors[type(error).__name__] += 1
            raise
        except Exception as error:
            counters.errors[type(error).__name__] += 1
            if call.fate_is_open:
                raise self._outcomes.unknown(call, f"{type(error).__name__}: {error}") from error
            raise
        except BaseException:
            counters.errors["Cancelled"] += 1
            raise
        finally:
            counters.in_flight -= 1
            if call.fate_is_open:
                counters.unknown_orders += 1
                if self.on_unknown is not None:
                    self._hooks.show(self.on_unknown, call.info)

    async def _call(self, call: PendingCall) -> Any:  # noqa: ANN401 - the endpoint's type
        """Make the attempts that a call may have."""
        try:
            return await self._attempt_in_time(call)
        except BtApiError as error:
            endpoint = call.info.endpoint
            if endpoint is None or not endpoint.is_repeatable or self._attempts < 2:
                raise
            failure = error

        async def again() -> Any:  # noqa: ANN401 - the endpoint's type
            self._counters.retries += 1
            return await self._attempt_in_time(call)

        def wait(error: BtApiError) -> float | None:
            call.failure = error
            seconds = call.retry_after or 0.0
            return None if call.hopeless or anyio.current_time() + seconds >= call.deadline else seconds

        return await repeat_after(failure, again, attempts=self._attempts, wait=wait)

    async def _attempt_in_time(self, call: PendingCall) -> Any:  # noqa: ANN401 - the endpoint's type
        """Make an attempt, and another one if the venue's clock turned out to be elsewhere."""
        try:
            return await self._attempt(call)
        except TimestampError as error:
            if self.server_time is None or call.info.security is not Security.SIGNED:
                raise
            try:
                await self._synchronize(self.server_time, call)
            except BtApiError as reason:
                raise error from reason
        return await self._attempt(call)

    async def _synchronize(self, server_time: Callable[[], Awaitable[int]], call: PendingCall) -> None:
        async with self._synchronizing:
            # Of the calls that are refused together, one asks for all.
            if self.clock.synchronizations == call.signed_at:
                self._counters.resynchronizations += 1
                offset_ns = await self.clock.synchronize(server_time)
                self._logger.warning(
                    "the venue refused a time stamp: its clock is estimated anew",
                    exchange_name=self._venue,
                    offset_ms=offset_ns / 1e6,
                )

    async def _attempt(self, call: PendingCall) -> Any:  # noqa: ANN401 - the endpoint's type
        response, body = await self._exchange.send(call)
        return self._outcomes.of_answer(call, response, body)

    # -- as plugins ask ------------------------------------------------------------------------------

    async def async_request(  # noqa: PLR0917 - the order of older programs
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        params: Any = None,  # noqa: ANN401 - whatever httpx takes
        json_data: Any = None,  # noqa: ANN401 - whatever is JSON
        data: Any = None,  # noqa: ANN401 - text, bytes or a form
        timeout: float | None = None,  # noqa: ASYNC109 - the older name
        cookies: Mapping[str, str] | None = None,
    ) -> Any:  # noqa: ANN401 - JSON
        """Make a request of one's own, unsigned, and return the JSON of the answer.

        It is made once, without redirects. A JSON body is returned also with a status of 4xx other than 404 and 410.

        Args:
            method: The HTTP method.
            url: The URL, or a path that is appended to the base URL.
            headers: Headers besides those of the client.
            params: Parameters of the query, besides those in the URL.
            json_data: The body, as JSON.
            data: The body: text, bytes, or the fields of a form.
            timeout: Deadline, seconds; ``None``: the client's.
            cookies: Cookies to send.

        Returns:
            The JSON of the answer; for a success that is none, its ``text`` and ``status_code``.

        Raises:
            RateLimitError: Status 429 without JSON.
            AuthenticationError: Status 401 or 403 without JSON.
            RequestFailedError: Another error without JSON, any status from 500 on, 404 and 410, and every failure on
                the way; its cause is the `NetworkError` then.
            ConfigurationError: It is not the URL of anything.

        Cancellation:
            The connection is given up.
        """
        whole_url = url if "://" in url else f"{self._base_url}{url}"
        deadline = self.timeout if timeout is None else timeout
        call = plain_call(method, whole_url, headers, params, json_data, data, cookies, deadline)
        try:
            return await self._within_deadline(call, self._plain)
        except NetworkError as error:
            raise RequestFailedError(self._venue, call.plain_url, error.detail, retryable=error.retryable) from error

    async def _plain(self, call: PendingCall) -> Any:  # noqa: ANN401 - JSON
        response, body = await self._exchange.send(call)
        return plain_reply(self._venue, call, response, body, now_ns=self.clock.now_ns())

    def request(  # noqa: PLR0917 - the order of older programs
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        params: Any = None,  # noqa: ANN401 - whatever httpx takes
        json_data: Any = None,  # noqa: ANN401 - whatever is JSON
        data: Any = None,  # noqa: ANN401 - text, bytes or a form
        timeout: float | None = None,
        cookies: Mapping[str, str] | None = None,
    ) -> Any:  # noqa: ANN401 - JSON
        """Do as `async_request`, for programs without an event loop: the calling thread waits."""
        return self._twin.run(
            lambda client: client.async_request(method, url, headers, params, json_data, data, timeout, cookies)
        )

    # -- the end -------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close what `request` has opened. What calls have opened is closed by `aclose`."""
        self._twin.close()

    async def aclose(self) -> None:
        """Close all connections; calls that are on their way fail, and later ones raise `anyio.ClosedResourceError`.

        Cancellation:
            The connections are closed all the same.
        """
        with anyio.CancelScope(shield=True):
            if self._twin.is_running:
                await anyio.to_thread.run_sync(self._twin.close)
            await self._exchange.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
