"""On the way to the venue: sessions, networks and requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bt_api_base._redaction import redact_text
from bt_api_base.exceptions.base import BtApiError

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from bt_api_base.exceptions.base import ErrorContext

__all__ = (
    "AuthenticationError",
    "BannedError",
    "ExchangeConnectionAlias",
    "ExchangeConnectionError",
    "NetworkError",
    "RateLimitError",
    "RequestError",
    "RequestFailedError",
    "RequestTimeoutError",
    "TimestampError",
    "WebSocketError",
)


class ExchangeConnectionError(BtApiError):
    """A session with the venue cannot be had: it is down, in maintenance, or turns us away."""

    retryable = True

    def __init__(self, exchange_name: str, detail: str = "", **context: Unpack[ErrorContext]) -> None:
        super().__init__(detail, exchange_name=exchange_name, **context)

    def _summary(self) -> str:
        return "connection failed"


ExchangeConnectionAlias = ExchangeConnectionError
"""Another name of `ExchangeConnectionError`, which plugins use."""


class AuthenticationError(ExchangeConnectionError):
    """The venue refused the credentials: key, signature, passphrase, permission or address.

    Venues lock out who goes on trying, so it is not retryable.
    """

    retryable = False
    user_recoverable = True

    def _summary(self) -> str:
        return "authentication failed"


class NetworkError(BtApiError):
    """Name resolution, connection, TLS or transfer failed on the way."""

    retryable = True

    def __init__(self, exchange_name: str = "", detail: str = "", **context: Unpack[ErrorContext]) -> None:
        super().__init__(detail, exchange_name=exchange_name, **context)

    def _summary(self) -> str:
        return "network failure"


class RequestTimeoutError(NetworkError):
    """The venue did not answer in time.

    Raised for requests that may be repeated. An order whose answer is missing is an `OrderUnknownError`.

    Args:
        exchange_name: The venue.
        url: What was asked; its secrets are masked.
        timeout: How long the answer was waited for, seconds.
        detail: More about it.
        **context: See `BtApiError`.
    """

    def __init__(
        self,
        exchange_name: str,
        url: str = "",
        timeout: float = 0,
        detail: str = "",
        **context: Unpack[ErrorContext],
    ) -> None:
        self.url = redact_text(str(url))
        self.timeout = timeout
        super().__init__(exchange_name, detail, **context)

    def _summary(self) -> str:
        return f"no answer{_after(self.timeout, ' within')}{_from(self.url)}"


class WebSocketError(NetworkError):
    """A stream connection could not be made, or broke.

    Args:
        exchange_name: The venue.
        detail: What happened.
        close_code: The peer's close code (RFC 6455, section 7.4); ``None`` if it sent none.
        close_reason: The peer's reason; its secrets are masked.
        url: Where the connection led; its secrets are masked.
        retry_after: When the server, which refused the connection, wants to be asked again, seconds from then on;
            ``None`` if it did not say.
        **context: See `BtApiError`.
    """

    def __init__(
        self,
        exchange_name: str = "",
        detail: str = "",
        *,
        close_code: int | None = None,
        close_reason: str = "",
        url: str = "",
        retry_after: float | None = None,
        **context: Unpack[ErrorContext],
    ) -> None:
        self.retry_after = retry_after
        self.close_code = close_code
        self.close_reason = redact_text(str(close_reason))
        self.url = redact_text(str(url))
        super().__init__(exchange_name, detail, **context)

    def _summary(self) -> str:
        code = "" if self.close_code is None else f" {self.close_code}"
        reason = f" {self.close_reason!r}" if self.close_reason else ""
        outcome = f"closed with{code}{reason}" if code or reason else "failed"
        return f"WebSocket{_from(self.url, ' to')} {outcome}{_after(self.retry_after, ', retry after')}"


class RequestError(BtApiError):
    """A request did not succeed.

    Args:
        exchange_name: The venue.
        url: What was asked; its secrets are masked.
        detail: What happened.
        **context: See `BtApiError`.
    """

    def __init__(
        self, exchange_name: str | None, url: str = "", detail: str = "", **context: Unpack[ErrorContext]
    ) -> None:
        self.url = redact_text(str(url))
        super().__init__(detail, exchange_name=exchange_name, **context)

    def _summary(self) -> str:
        return f"request failed{_from(self.url, ' at')}"


class RequestFailedError(RequestError):
    """The venue answered with an error that has no class of its own.

    Args:
        exchange_name: The venue.
        url: What was asked; its secrets are masked.
        detail: What happened.
        venue: The venue, where ``exchange_name`` is not given.
        message: What happened, where ``detail`` is not given.
        status_code: The HTTP status. 408, 425, 429 and 5xx are retryable unless ``retryable`` says otherwise.
        **context: See `BtApiError`.
    """

    def __init__(  # noqa: PLR0917 - the order of older programs
        self,
        exchange_name: str | None = None,
        url: str = "",
        detail: str = "",
        venue: str = "",
        message: str = "",
        status_code: int | None = None,
        **context: Unpack[ErrorContext],
    ) -> None:
        self.status_code = status_code
        if context.get("retryable") is None:
            context["retryable"] = status_code is not None and (
                status_code in {408, 425, 429} or 500 <= status_code <= 599
            )
        super().__init__(exchange_name or venue, url, detail or message, **context)

    @property
    def venue(self) -> str:
        """The same as `exchange_name`."""
        return self.exchange_name

    def _summary(self) -> str:
        status = "" if self.status_code is None else f" with status {self.status_code}"
        return f"request failed{status}{_from(self.url, ' at')}"


class TimestampError(RequestError):
    """The venue refused a request because its time stamp is too far from the venue's clock.

    Nothing was executed. It can succeed when it is stamped and signed anew with the offset corrected.

    Args:
        exchange_name: The venue.
        url: What was asked; its secrets are masked.
        detail: What happened.
        offset: The venue's clock minus ours as far as known, seconds.
        **context: See `BtApiError`.
    """

    retryable = True

    def __init__(
        self,
        exchange_name: str,
        url: str = "",
        detail: str = "",
        *,
        offset: float | None = None,
        **context: Unpack[ErrorContext],
    ) -> None:
        self.offset = offset
        super().__init__(exchange_name, url, detail, **context)

    def _summary(self) -> str:
        offset = "" if self.offset is None else f" (the venue's clock is {self.offset:+g} s from ours)"
        return f"time stamp refused{offset}{_from(self.url, ' at')}"


class RateLimitError(BtApiError):
    """A limit of the venue, or one of our own that keeps us within it, is used up.

    Args:
        exchange_name: The venue.
        retry_after: When there is room again, seconds from now; ``None`` if unknown.
        detail: Which limit.
        **context: See `BtApiError`.
    """

    retryable = True

    def __init__(
        self,
        exchange_name: str,
        retry_after: float | None = None,
        detail: str = "",
        **context: Unpack[ErrorContext],
    ) -> None:
        self.retry_after = retry_after
        super().__init__(detail, exchange_name=exchange_name, **context)

    def _summary(self) -> str:
        return f"rate limit reached{_after(self.retry_after, ', retry after')}"


class BannedError(RateLimitError):
    """The venue has locked this address out, as Binance does with HTTP status 418.

    It is not retryable although it passes: bans last from minutes to days and grow with every attempt, so
    nothing but a decision should end the silence. `retry_after` says when the ban ends.
    """

    retryable = False

    def _summary(self) -> str:
        return f"banned{_after(self.retry_after, ', for')}"


def _from(url: str, preposition: str = " from") -> str:
    return f"{preposition} {url}" if url else ""


def _after(seconds: float | None, words: str) -> str:
    return f"{words} {seconds:g} s" if seconds else ""
