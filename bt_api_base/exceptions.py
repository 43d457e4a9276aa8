"""What can go wrong, and what the caller can do about it.

::

    BtApiError
    ├── ConfigurationError            a setting is wrong                          fix it
    ├── ExchangeNotFoundError         no such exchange here                       fix it
    ├── NotSupportedError             the venue cannot do that                    do without
    ├── InvalidSymbolError            the venue does not list that                fix it
    ├── CurrencyNotFoundError         the account does not hold that              fix it
    ├── ExchangeConnectionError       no session with the venue                   retry
    │   └── AuthenticationError       the venue refused the credentials           fix it
    ├── NetworkError                  the way to the venue failed                 retry
    │   ├── RequestTimeoutError       no answer in time                           retry
    │   └── WebSocketError            a stream connection broke                   retry
    ├── RequestError                  a request did not succeed
    │   ├── RequestFailedError        the venue answered with an error            retry if it says so
    │   └── TimestampError            the clocks differ too much                  correct the clock, retry
    ├── RateLimitError                too much, too fast                          retry after `retry_after`
    │   └── BannedError               the venue has locked this address out       stop
    ├── OrderError                    an order was refused
    │   ├── InvalidOrderError         it breaks a rule of the venue               fix it
    │   ├── InsufficientBalanceError  there is not enough to pay for it           fix it
    │   ├── OrderNotFoundError        the venue does not know it                  fix it
    │   ├── DuplicateOrderError       its client order id is taken                reconcile
    │   └── OrderUnknownError         nobody knows whether it was placed          reconcile, never resend
    ├── DataParseError                the venue sent what cannot be read          report
    │   └── QueueNotInitializedError  a feed has nowhere to put its data          fix it
    ├── SubscribeError                the venue refused a subscription            report
    └── SlowConsumerError             a consumer fell too far behind              consume faster

`ExchangeConnectionAlias` is another name of `ExchangeConnectionError`.

Every class keeps what it was told as attributes and builds its text from them. It can be copied and
pickled, also inside an exception group. It holds no secret: free text, URLs and payloads are redacted
when the exception is made (`bt_api_base._redaction`), identifiers such as order ids are kept as they are.

The predicates at the end look into exception groups, and say yes only if every exception in them
qualifies: a group that holds a timeout *and* a refused order must not be retried.
"""

from __future__ import annotations

import errno
import socket
import ssl
import sys
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict, cast

from bt_api_base._redaction import excerpt, redact_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from decimal import Decimal

    from typing_extensions import Unpack

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

__all__ = (
    "AuthenticationError",
    "BannedError",
    "BtApiError",
    "ConfigurationError",
    "CurrencyNotFoundError",
    "DataParseError",
    "DuplicateOrderError",
    "ErrorContext",
    "ExchangeConnectionAlias",
    "ExchangeConnectionError",
    "ExchangeNotFoundError",
    "InsufficientBalanceError",
    "InvalidOrderError",
    "InvalidSymbolError",
    "NetworkError",
    "NotSupportedError",
    "OrderError",
    "OrderNotFoundError",
    "OrderUnknownError",
    "QueueNotInitializedError",
    "RateLimitError",
    "RequestError",
    "RequestFailedError",
    "RequestTimeoutError",
    "SlowConsumerError",
    "SubscribeError",
    "TimestampError",
    "WebSocketError",
    "is_auth_error",
    "is_network_error",
    "is_order_error",
    "is_rate_limit_error",
    "is_retryable",
    "is_user_recoverable",
)


class ErrorContext(TypedDict, total=False):
    """Keywords that every class takes; `BtApiError` describes them."""

    code: int | str | None
    venue_code: int | str | None
    venue_message: str | None
    retryable: bool | None


class BtApiError(Exception):
    """Base class of everything this package raises on purpose.

    Args:
        message: What happened.
        exchange_name: The venue, such as ``"BINANCE___SPOT"``; empty where none is concerned.
        code: This ecosystem's code of the error, where one has been assigned.
        venue_code: The venue's own code.
        venue_message: The venue's own words, verbatim but for secrets.
        retryable: Whether the same attempt may succeed later; ``None``: what is usual for the class.

    Attributes:
        detail: The ``message`` (the ``detail`` of the subclasses).
        exchange_name: As above.
        code: As above.
        venue_code: As above.
        venue_message: As above; ``None`` if the venue said nothing.
        retryable: Whether a retry can help.
        user_recoverable: Whether the caller can put it right: a setting, a symbol, an order, a key.
    """

    retryable: bool = False
    user_recoverable: ClassVar[bool] = False

    def __init__(
        self,
        message: str = "",
        *,
        exchange_name: str | None = "",
        code: int | str | None = None,
        venue_code: int | str | None = None,
        venue_message: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        self.detail = redact_text(str(message))
        super().__init__(self.detail)
        self.exchange_name = exchange_name or ""
        self.code = code
        self.venue_code = venue_code
        self.venue_message = None if venue_message is None else redact_text(str(venue_message))
        if retryable is not None:
            self.retryable = retryable

    def _summary(self) -> str:
        """Return what happened, from the attributes of the class and without `detail`."""
        return ""

    @property
    def message(self) -> str:
        """The whole text, as `str` gives it."""
        return str(self)

    def __str__(self) -> str:
        text = ": ".join(part for part in (self.exchange_name, self._summary(), self.detail) if part)
        venue = "" if self.venue_code is None else f"venue code {self.venue_code}"
        if self.venue_message and self.venue_message not in text:
            venue = f"{venue}: {self.venue_message}" if venue else f"venue: {self.venue_message}"
        if venue:
            text = f"{text} ({venue})" if text else venue
        return text or type(self).__name__

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if not _is_void(name, value))
        return f"{type(self).__name__}({given})"

    def __reduce__(self) -> tuple[Callable[..., BtApiError], tuple[Any, ...]]:
        # Subclasses differ in their parameters, and __init__ has redacted already: restore the state alone.
        return _restore, (type(self), self.args, dict(vars(self)))


def _is_void(name: str, value: object) -> bool:
    return name.startswith("__") or value is None or value in ("", ())


def _restore(cls: type[BtApiError], args: tuple[object, ...], state: dict[str, Any]) -> BtApiError:
    """Make an exception again from its pickled state."""
    error = cls.__new__(cls, *args)
    error.args = args
    vars(error).update(state)
    return error


# -- wrong from the start: the caller has to change something ------------------------------------------


class ConfigurationError(BtApiError):
    """A setting is missing, unknown or out of range."""

    user_recoverable = True

    def __init__(self, detail: str = "", *, exchange_name: str = "", **context: Unpack[ErrorContext]) -> None:
        super().__init__(detail, exchange_name=exchange_name, **context)


class ExchangeNotFoundError(BtApiError):
    """There is no exchange of this name.

    Args:
        exchange_name: The name that was asked for.
        available: The names there are; a generator is used up.
        **context: See `BtApiError`.
    """

    user_recoverable = True

    def __init__(
        self, exchange_name: str, available: Iterable[str] | None = None, **context: Unpack[ErrorContext]
    ) -> None:
        self.available = None if available is None else tuple(available)
        super().__init__(exchange_name=exchange_name, **context)

    def _summary(self) -> str:
        if self.available is None:
            return "no such exchange"
        return f"no such exchange; available: {', '.join(self.available) or 'none'}"


class NotSupportedError(BtApiError):
    """The venue, or our adapter for it, has no such capability.

    Args:
        capability: What was asked for, say ``"cancel_all"``, or an enum member of that value.
        venue: The venue that has none; the same as `exchange_name`.
        detail: More about it.
        **context: See `BtApiError`.
    """

    user_recoverable = True

    def __init__(
        self, capability: object = "", venue: str = "", detail: str = "", **context: Unpack[ErrorContext]
    ) -> None:
        self.capability = capability
        super().__init__(detail, exchange_name=venue, **context)

    @property
    def venue(self) -> str:
        """The same as `exchange_name`."""
        return self.exchange_name

    def _summary(self) -> str:
        name = getattr(self.capability, "value", self.capability)
        return f"{name} is not supported" if name else "not supported"


class InvalidSymbolError(BtApiError):
    """The venue does not list this symbol, or it is no symbol at all."""

    user_recoverable = True

    def __init__(self, exchange_name: str, symbol: str, detail: str = "", **context: Unpack[ErrorContext]) -> None:
        self.symbol = symbol
        super().__init__(detail, exchange_name=exchange_name, **context)

    def _summary(self) -> str:
        return f"invalid symbol {self.symbol!r}"


class CurrencyNotFoundError(BtApiError):
    """The venue, or the account, does not know this currency."""

    user_recoverable = True

    def __init__(self, exchange_name: str, currency: str, detail: str = "", **context: Unpack[ErrorContext]) -> None:
        self.currency = currency
        super().__init__(detail, exchange_name=exchange_name, **context)

    def _summary(self) -> str:
        return f"currency {self.currency!r} not found"


# -- the way to the venue -----------------------------------------------------------------------------


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
        **context: Unpack[ErrorContext],
    ) -> None:
        self.close_code = close_code
        self.close_reason = redact_text(str(close_reason))
        self.url = redact_text(str(url))
        super().__init__(exchange_name, detail, **context)

    def _summary(self) -> str:
        code = "" if self.close_code is None else f" {self.close_code}"
        reason = f" {self.close_reason!r}" if self.close_reason else ""
        outcome = f"closed with{code}{reason}" if code or reason else "failed"
        return f"WebSocket{_from(self.url, ' to')} {outcome}"


# -- requests -----------------------------------------------------------------------------------------


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


# -- orders -------------------------------------------------------------------------------------------


class OrderError(BtApiError):
    """An order, or a change of one, was refused. Nothing was executed."""

    def __init__(self, exchange_name: str, symbol: str = "", detail: str = "", **context: Unpack[ErrorContext]) -> None:
        self.symbol = symbol
        super().__init__(detail, exchange_name=exchange_name, **context)

    def _summary(self) -> str:
        return f"order refused{_for(self.symbol)}"


class InvalidOrderError(OrderError):
    """An order breaks a rule of the venue: price, quantity, notional, type or flag."""

    user_recoverable = True

    def _summary(self) -> str:
        return f"invalid order{_for(self.symbol)}"


class InsufficientBalanceError(OrderError):
    """There is not enough balance or margin for an order.

    Args:
        exchange_name: The venue.
        symbol: What was to be traded.
        required: What the order needs.
        available: What there is.
        detail: More about it.
        **context: See `BtApiError`.
    """

    user_recoverable = True

    def __init__(
        self,
        exchange_name: str,
        symbol: str = "",
        required: Decimal | float | str | None = None,
        available: Decimal | float | str | None = None,
        detail: str = "",
        **context: Unpack[ErrorContext],
    ) -> None:
        self.required = required
        self.available = available
        super().__init__(exchange_name, symbol, detail, **context)

    def _summary(self) -> str:
        amounts = [
            f"{name} {amount}"
            for name, amount in (("required", self.required), ("available", self.available))
            if amount is not None
        ]
        return f"insufficient balance{_for(self.symbol)}{_bracketed(amounts)}"


class OrderNotFoundError(OrderError):
    """The venue does not know this order: a wrong id, or one that is done and archived."""

    user_recoverable = True

    def __init__(
        self,
        exchange_name: str,
        order_id: int | str,
        symbol: str = "",
        detail: str = "",
        **context: Unpack[ErrorContext],
    ) -> None:
        self.order_id = order_id
        super().__init__(exchange_name, symbol, detail, **context)

    def _summary(self) -> str:
        return f"order {self.order_id} not found{_for(self.symbol)}"


class DuplicateOrderError(OrderError):
    """The venue already has an order with this client order id, perhaps ours from an earlier attempt.

    Not retryable, and not to be repeated under another id either before that order has been looked at.
    """

    def __init__(
        self,
        exchange_name: str,
        symbol: str = "",
        client_order_id: str = "",
        detail: str = "",
        **context: Unpack[ErrorContext],
    ) -> None:
        self.client_order_id = client_order_id
        super().__init__(exchange_name, symbol, detail, **context)

    def _summary(self) -> str:
        return f"duplicate order {self.client_order_id}".rstrip() + _for(self.symbol)


class OrderUnknownError(OrderError):
    """Nobody knows whether the order was placed: the answer was lost after the request had been sent.

    Look the order up by `client_order_id` before anything else. It is never retryable, whatever the cause
    was and whatever a caller says, because sending it again may buy twice.
    """

    def __init__(
        self,
        exchange_name: str,
        symbol: str = "",
        client_order_id: str = "",
        detail: str = "",
        **context: Unpack[ErrorContext],
    ) -> None:
        self.client_order_id = client_order_id
        context["retryable"] = False
        super().__init__(exchange_name, symbol, detail, **context)

    def _summary(self) -> str:
        return f"fate of order {self.client_order_id or '(no client order id)'} unknown{_for(self.symbol)}"


# -- data ---------------------------------------------------------------------------------------------


class DataParseError(BtApiError):
    """The venue sent something that cannot be read.

    Args:
        container_class: What it should have become, say ``"Tick"``.
        detail: What is wrong with it.
        exchange_name: The venue.
        channel: The venue's name of the channel it came by.
        field: The member that is wrong.
        payload: What came. Only an excerpt is kept, with secrets masked.
        **context: See `BtApiError`.
    """

    def __init__(
        self,
        container_class: str = "",
        detail: str = "",
        *,
        exchange_name: str = "",
        channel: str = "",
        field: str = "",
        payload: object = None,
        **context: Unpack[ErrorContext],
    ) -> None:
        self.container_class = container_class
        self.channel = redact_text(str(channel))
        self.field = field
        self.payload = None if payload is None else excerpt(payload)
        super().__init__(detail, exchange_name=exchange_name, **context)

    def _summary(self) -> str:
        what = f"cannot read {self.container_class or 'data'}"
        channel = f" from {self.channel}" if self.channel else ""
        return f"{what}{channel}{f', field {self.field!r}' if self.field else ''}"

    def __str__(self) -> str:
        return super().__str__() if self.payload is None else f"{super().__str__()} in {self.payload}"


class QueueNotInitializedError(DataParseError):
    """A feed was to deliver data before it was given a queue for it.

    It is a `DataParseError` because plugins catch it as one.
    """

    user_recoverable = True

    def __init__(self, queue_name: str = "", detail: str = "", **context: Unpack[ErrorContext]) -> None:
        self.queue_name = queue_name
        super().__init__("", detail, **context)

    def _summary(self) -> str:
        return f"queue {self.queue_name!r} is not initialized" if self.queue_name else "queue is not initialized"


class SubscribeError(BtApiError):
    """A subscription was refused, or not confirmed in time.

    Args:
        exchange_name: The venue.
        detail: What happened.
        topic: What was to be subscribed to, say ``"ticker"``.
        symbol: Of which instrument.
        **context: See `BtApiError`.
    """

    def __init__(
        self,
        exchange_name: str,
        detail: str = "",
        *,
        topic: str = "",
        symbol: str = "",
        **context: Unpack[ErrorContext],
    ) -> None:
        self.topic = topic
        self.symbol = symbol
        super().__init__(detail, exchange_name=exchange_name, **context)

    def _summary(self) -> str:
        return " ".join(part for part in ("cannot subscribe to", self.topic or "a channel", self.symbol) if part)


class SlowConsumerError(BtApiError):
    """A consumer fell so far behind that its stream was ended rather than let memory grow.

    Args:
        exchange_name: The venue.
        detail: Which stream.
        pending: Items that were waiting when the stream was ended.
        limit: How many may wait.
        **context: See `BtApiError`.
    """

    def __init__(
        self,
        exchange_name: str = "",
        detail: str = "",
        *,
        pending: int | None = None,
        limit: int | None = None,
        **context: Unpack[ErrorContext],
    ) -> None:
        self.pending = pending
        self.limit = limit
        super().__init__(detail, exchange_name=exchange_name, **context)

    def _summary(self) -> str:
        counts = [
            f"{count} {name}"
            for name, count in (("pending", self.pending), ("allowed", self.limit))
            if count is not None
        ]
        return f"consumer too slow{_bracketed(counts)}"


def _for(symbol: str) -> str:
    return f" for {symbol}" if symbol else ""


def _from(url: str, preposition: str = " from") -> str:
    return f"{preposition} {url}" if url else ""


def _after(seconds: float | None, words: str) -> str:
    return f"{words} {seconds:g} s" if seconds else ""


def _bracketed(parts: list[str]) -> str:
    return f" ({', '.join(parts)})" if parts else ""


# -- predicates ---------------------------------------------------------------------------------------

_NETWORK_ERRNO = frozenset(
    getattr(errno, name)
    for name in (
        "EADDRNOTAVAIL",
        "ECONNABORTED",
        "ECONNREFUSED",
        "ECONNRESET",
        "EHOSTDOWN",
        "EHOSTUNREACH",
        "ENETDOWN",
        "ENETRESET",
        "ENETUNREACH",
        "ENOTCONN",
        "EPIPE",
        "ETIMEDOUT",
    )
    if hasattr(errno, name)
)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions in a group of groups, or the one that is no group."""
    waiting: list[BaseException] = [error]
    while waiting:
        found = waiting.pop()
        if isinstance(found, BaseExceptionGroup):
            waiting.extend(cast("BaseExceptionGroup[BaseException]", found).exceptions)
        else:
            yield found


def _is_foreign_network_error(error: BaseException) -> bool:
    """Tell the network failures of Python and anyio from their other errors."""
    if isinstance(error, (ConnectionError, TimeoutError, socket.gaierror, socket.herror, ssl.SSLError)):
        return True
    if isinstance(error, OSError):
        # A file that is missing is an OSError too. Connecting to several addresses in vain raises one
        # without a number.
        return error.errno in _NETWORK_ERRNO or (error.errno is None and type(error) is OSError) or _is_anyio(error)
    return _is_anyio(error)


def _is_anyio(error: BaseException) -> bool:
    """Tell whether ``error`` is anyio's word for a failed or broken connection.

    Who never imported anyio cannot have one of its exceptions, so it is not imported for the comparison.
    """
    anyio = sys.modules.get("anyio")
    if anyio is None:
        return False
    kinds = (getattr(anyio, name, None) for name in ("BrokenResourceError", "ConnectionFailed"))
    return isinstance(error, tuple(kind for kind in kinds if isinstance(kind, type)))


def is_network_error(error: BaseException) -> bool:
    """Return whether the way to the venue failed: connection, name resolution, TLS, a time limit.

    Besides our own classes this knows Python's `ConnectionError`, `TimeoutError`, the `OSError` of sockets,
    `ssl.SSLError`, and anyio's `BrokenResourceError` and `ConnectionFailed`. For a group, every exception in
    it has to qualify.
    """
    return all(
        isinstance(leaf, NetworkError)
        or (isinstance(leaf, ExchangeConnectionError) and not isinstance(leaf, AuthenticationError))
        or _is_foreign_network_error(leaf)
        for leaf in _leaves(error)
    )


def is_auth_error(error: BaseException) -> bool:
    """Return whether the venue refused the credentials. For a group, every exception in it has to qualify."""
    return all(
        isinstance(leaf, AuthenticationError) or (isinstance(leaf, RequestFailedError) and leaf.status_code == 401)
        for leaf in _leaves(error)
    )


def is_rate_limit_error(error: BaseException) -> bool:
    """Return whether a limit was exceeded, bans included. For a group, every exception in it has to qualify."""
    return all(
        isinstance(leaf, RateLimitError) or (isinstance(leaf, RequestFailedError) and leaf.status_code in {418, 429})
        for leaf in _leaves(error)
    )


def is_order_error(error: BaseException) -> bool:
    """Return whether it is about an order. For a group, every exception in it has to qualify."""
    return all(isinstance(leaf, OrderError) for leaf in _leaves(error))


def is_user_recoverable(error: BaseException) -> bool:
    """Return whether the caller can put it right by changing what was asked for, or a setting.

    For a group, every exception in it has to qualify.
    """
    return all(isinstance(leaf, BtApiError) and leaf.user_recoverable for leaf in _leaves(error))


def is_retryable(error: BaseException) -> bool:
    """Return whether the same attempt may succeed later.

    An order of unknown fate never is, nor is a group that holds one. A certificate that does not verify
    is not either: the next attempt would meet the same one. For a group, every exception in it has to qualify.
    """
    return all(_is_retryable(leaf) for leaf in _leaves(error))


def _is_retryable(error: BaseException) -> bool:
    if isinstance(error, BtApiError):
        return error.retryable and not isinstance(error, OrderUnknownError)
    return _is_foreign_network_error(error) and not isinstance(error, ssl.SSLCertVerificationError)
