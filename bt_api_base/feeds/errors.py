"""From what a venue answers to the exceptions of this package."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, Protocol

import attrs
import msgspec

from bt_api_base._redaction import excerpt
from bt_api_base.exceptions import (
    AuthenticationError,
    BannedError,
    BtApiError,
    DuplicateOrderError,
    ExchangeConnectionError,
    InsufficientBalanceError,
    InvalidOrderError,
    InvalidSymbolError,
    OrderError,
    OrderNotFoundError,
    OrderUnknownError,
    RateLimitError,
    RequestFailedError,
    RequestTimeoutError,
    TimestampError,
)
from bt_api_base.feeds.error_table import ErrorKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bt_api_base.feeds.error_table import ErrorTable

__all__ = ("ErrorReader", "VenueError", "make_error", "read_json_error", "retry_after", "wait_of", "words_of")


class ErrorReader(Protocol):
    """Finds the venue's error in an answer, also in one with status 200."""

    def __call__(self, status: int, body: bytes, /) -> tuple[str, str] | None:
        """Return the venue's code and its words; ``None`` if there is no error in it, or none of the venue's."""
        ...


class _JsonError(msgspec.Struct):
    code: int | str = ""
    msg: str | None = None
    message: str | None = None


_decoder: Final = msgspec.json.Decoder(_JsonError)


def read_json_error(status: int, body: bytes) -> tuple[str, str] | None:
    """Read ``{"code": ..., "msg": ...}`` from an answer whose status says that it is an error.

    It is the `ErrorReader` of venues that answer so, such as Binance.
    """
    if 200 <= status < 300:
        return None
    try:
        found = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    message = found.msg if found.msg is not None else found.message
    return None if found.code == "" and message is None else (str(found.code), message or "")


@attrs.frozen(kw_only=True)
class VenueError:
    """An answer that is an error, and what was asked.

    Attributes:
        kind: What it means.
        exchange_name: The venue.
        url: What was asked, without its query.
        status: The HTTP status.
        code: The venue's code; empty if it gave none.
        message: The venue's words, or the beginning of what came instead.
        symbol: Which instrument it was about.
        client_order_id: Which order it was about, by our id.
        order_id: The same by the venue's id, if that is all there is.
        changes_order: Whether an order was to be placed or changed.
        retry_after: For how long nobody is to ask again, seconds; ``None`` if that is not known.
        offset_ns: The venue's clock minus ours, nanoseconds.
    """

    kind: ErrorKind
    exchange_name: str = ""
    url: str = ""
    status: int = 0
    code: str = ""
    message: str = ""
    symbol: str = ""
    client_order_id: str = ""
    order_id: str = ""
    changes_order: bool = False
    retry_after: float | None = None
    offset_ns: int | None = None


def make_error(error: VenueError) -> BtApiError:
    """Return the exception for an error of a venue."""
    made = _MAKERS[error.kind](error)
    # Codes that are numbers stay the numbers of the venue's documentation.
    made.venue_code = int(error.code) if _is_number(error.code) else error.code or None
    return made


def _is_number(code: str) -> bool:
    digits = code.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) < 10


def _detail(error: VenueError) -> str:
    return error.message or f"status {error.status}"


def _timeout(error: VenueError) -> BtApiError:
    if error.changes_order:
        detail = f"the venue does not know either: {_detail(error)}"
        return OrderUnknownError(error.exchange_name, error.symbol, error.client_order_id, detail)
    return RequestTimeoutError(error.exchange_name, error.url, detail=f"status {error.status}: {_detail(error)}")


_MAKERS: Final[Mapping[ErrorKind, Callable[[VenueError], BtApiError]]] = {
    ErrorKind.AUTHENTICATION: lambda error: AuthenticationError(error.exchange_name, _detail(error)),
    ErrorKind.TIMESTAMP: lambda error: TimestampError(
        error.exchange_name,
        error.url,
        _detail(error),
        offset=None if error.offset_ns is None else error.offset_ns / 1e9,
    ),
    ErrorKind.RATE_LIMIT: lambda error: RateLimitError(error.exchange_name, error.retry_after, _detail(error)),
    ErrorKind.BAN: lambda error: BannedError(error.exchange_name, error.retry_after, _detail(error)),
    ErrorKind.OVERLOAD: lambda error: RequestFailedError(
        error.exchange_name, error.url, _detail(error), status_code=error.status, retryable=True
    ),
    ErrorKind.MAINTENANCE: lambda error: ExchangeConnectionError(error.exchange_name, _detail(error)),
    ErrorKind.FATE_UNKNOWN: _timeout,
    ErrorKind.REQUEST: lambda error: RequestFailedError(
        error.exchange_name, error.url, _detail(error), status_code=error.status, retryable=False
    ),
    ErrorKind.SYMBOL: lambda error: InvalidSymbolError(error.exchange_name, error.symbol, _detail(error)),
    ErrorKind.ORDER: lambda error: InvalidOrderError(error.exchange_name, error.symbol, _detail(error)),
    ErrorKind.FUNDS: lambda error: InsufficientBalanceError(error.exchange_name, error.symbol, detail=_detail(error)),
    ErrorKind.ORDER_NOT_FOUND: lambda error: OrderNotFoundError(
        error.exchange_name, error.client_order_id or error.order_id, error.symbol, _detail(error)
    ),
    ErrorKind.DUPLICATE: lambda error: DuplicateOrderError(
        error.exchange_name, error.symbol, error.client_order_id, _detail(error)
    ),
    ErrorKind.REFUSED: lambda error: OrderError(error.exchange_name, error.symbol, _detail(error)),
}


def words_of(body: bytes) -> str:
    """Return the beginning of a body that is no error of the venue's, such as a firewall's page, for a message."""
    return excerpt(body).strip() if body else ""


def retry_after(headers: Mapping[str, str], now_ns: int) -> float | None:
    """Return what ``Retry-After`` says, seconds from now; ``None`` if there is no such header, or nonsense in it.

    Args:
        headers: The headers of an answer, found in whatever case.
        now_ns: The venue's time, nanoseconds since the epoch (UTC), where the answer does not tell its ``Date``.
    """
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    # RFC 9110, section 10.2.3: a number of seconds, or a date.
    try:
        seconds = float(text)
    except ValueError:
        moment = _date(text)
        if moment is None:
            return None
        told = _date(headers.get("Date", ""))
        seconds = moment - (now_ns / 1e9 if told is None else told)
    return min(max(seconds, 0.0), _LONGEST) if seconds == seconds else None  # noqa: PLR0124 - not a number


_LONGEST: Final = 7 * 86_400.0
"""Seconds that a venue can silence us for; more is taken for an error of its own."""


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


def wait_of(table: ErrorTable, error: VenueError, headers: Mapping[str, str], now_ns: int) -> float | None:
    """Return for how long nobody is to ask again, seconds; ``None`` where nothing is known about it.

    Limits and bans always have one: what the headers say, else what the venue's words say, else what its table does.

    Args:
        table: The venue's table.
        error: What it answered.
        headers: The headers of the answer.
        now_ns: The venue's time, nanoseconds since the epoch (UTC).
    """
    told = retry_after(headers, now_ns)
    if told is None and table.until is not None:
        match = table.until.search(error.message)
        if match is not None:
            told = min(max(int(match[1]) / 1e3 - now_ns / 1e9, 0.0), _LONGEST)
    if told is None:
        told = table.waits.get(error.code)
    if told is None and error.kind is ErrorKind.RATE_LIMIT:
        told = table.limit_wait
    if told is None and error.kind is ErrorKind.BAN:
        told = table.ban_wait
    return told
