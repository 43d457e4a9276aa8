"""What came of a request: a result, or an exception that says what it means for whoever asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs
import httpx

from bt_api_base.exceptions import (
    BtApiError,
    NetworkError,
    OrderUnknownError,
    RequestFailedError,
    RequestTimeoutError,
)
from bt_api_base.feeds.error_table import ErrorKind
from bt_api_base.feeds.errors import VenueError, make_error, wait_of, words_of
from bt_api_base.feeds.http_decoding import BodyTooLongError, decode_body

if TYPE_CHECKING:
    from bt_api_base.feeds.clock import VenueClock
    from bt_api_base.feeds.error_table import ErrorTable
    from bt_api_base.feeds.errors import ErrorReader
    from bt_api_base.feeds.http_call import CallLimiter, PendingCall

__all__ = ("Outcomes",)

_NOT_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
"""Failures of httpx that come before the venue gets a byte."""


@attrs.frozen(eq=False)
class Outcomes:
    """Tells what answers and failures mean.

    Attributes:
        exchange_name: The venue.
        table: What its errors mean.
        read_error: Finds them in its answers.
        clock: Its clock.
        limiter: Is told to let nobody ask when the venue says so.
    """

    exchange_name: str
    table: ErrorTable
    read_error: ErrorReader
    clock: VenueClock
    limiter: CallLimiter | None

    def of_answer(self, call: PendingCall, response: httpx.Response, body: bytes) -> Any:  # noqa: ANN401 - any type
        """Return the result of a call.

        Raises:
            BtApiError: There is none.
        """
        status = response.status_code
        found = self.read_error(status, body)
        if found is not None or not 200 <= status < 300:
            raise self._refused(call, response, *(found or ("", words_of(body))))
        endpoint = call.info.endpoint
        what = f"{call.method} {call.info.path}"
        result_type = bytes if endpoint is None else endpoint.result
        try:
            result = decode_body(body, result_type, exchange_name=self.exchange_name, what=what)
        except BtApiError as error:
            if not call.info.changes_order:
                raise
            # It was done, most likely; what became of it, the answer does not tell.
            raise self.unknown(call, f"the answer cannot be read: {error}") from error
        call.answered = True
        return result

    def _refused(self, call: PendingCall, response: httpx.Response, code: str, message: str) -> BtApiError:
        kind = self.table.kind(response.status_code, code, message)
        found = VenueError(
            kind=kind,
            exchange_name=self.exchange_name,
            url=call.plain_url,
            status=response.status_code,
            code=code,
            message=message,
            symbol=call.info.symbol,
            client_order_id=call.info.client_order_id,
            changes_order=call.info.changes_order,
            offset_ns=self.clock.offset_ns,
        )
        wait = call.retry_after = wait_of(self.table, found, response.headers, self.clock.now_ns())
        if wait and kind in {ErrorKind.RATE_LIMIT, ErrorKind.BAN} and self.limiter is not None:
            self.limiter.close_gate(wait, banned=kind is ErrorKind.BAN, reason=message)
        call.answered = kind is not ErrorKind.FATE_UNKNOWN
        return make_error(attrs.evolve(found, retry_after=wait))

    def of_failure(self, call: PendingCall, failure: Exception) -> BtApiError:
        """Return what a failure of the transport, or of reading the body, means."""
        # httpx's own exception is not kept as the cause: it holds the request, signature and all.
        reason = failure.__cause__ if isinstance(failure.__cause__, BtApiError) else None
        text = f"{type(failure).__name__}: {failure}" if reason is None else str(reason)
        error: BtApiError
        if self.is_unsent(call, failure):
            call.answered = True  # there is nothing to find out
            error = NetworkError(self.exchange_name, f"nothing was sent: {text}")
        elif call.info.changes_order:
            error = self.unknown(call, text)
        elif isinstance(failure, httpx.TimeoutException):
            error = RequestTimeoutError(self.exchange_name, call.plain_url, call.timeout, text)
        elif isinstance(failure, BodyTooLongError):
            error = RequestFailedError(self.exchange_name, call.plain_url, text)
        else:
            error = NetworkError(self.exchange_name, f"the answer was lost: {text}")
        if reason is not None and not isinstance(error, OrderUnknownError):
            error.retryable = reason.retryable
        error.__cause__ = reason
        return error

    @staticmethod
    def is_unsent(call: PendingCall, failure: Exception) -> bool:
        """Return whether the venue got nothing, so that nothing counts either."""
        return not call.wire.may_have_left or isinstance(failure, _NOT_SENT)

    def of_deadline(self, call: PendingCall) -> BtApiError:
        """Return what it means that the deadline has passed."""
        error: BtApiError
        if call.fate_is_open:
            error = self.unknown(call, f"no answer within {call.timeout:g} s")
        else:
            detail = "" if call.wire.may_have_left else "nothing was sent"
            error = RequestTimeoutError(self.exchange_name, call.plain_url, call.timeout, detail)
        error.__cause__ = call.failure
        return error

    def unknown(self, call: PendingCall, detail: str) -> OrderUnknownError:
        """Return what is raised when an order has left and its fate is not known."""
        return OrderUnknownError(self.exchange_name, call.info.symbol, call.info.client_order_id, detail)
