"""What a venue's error codes mean, as data."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

__all__ = ("ErrorKind", "ErrorTable")


class ErrorKind(enum.Enum):
    """What an error of a venue means to whoever asked. Each kind becomes one class of `bt_api_base.exceptions`."""

    AUTHENTICATION = "authentication"
    """Key, signature, passphrase, permission or address were refused: `AuthenticationError`."""
    TIMESTAMP = "timestamp"
    """The clocks differ; nothing was done: `TimestampError`."""
    RATE_LIMIT = "rate_limit"
    """Too much, too fast; nothing was done: `RateLimitError`."""
    BAN = "ban"
    """Locked out: `BannedError`."""
    OVERLOAD = "overload"
    """The venue cannot at the moment, and did nothing: `RequestFailedError`, retryable."""
    MAINTENANCE = "maintenance"
    """The venue is closed for now, and did nothing: `ExchangeConnectionError`."""
    FATE_UNKNOWN = "fate_unknown"
    """Whether it was done is not known: `OrderUnknownError` for orders, else `RequestTimeoutError`."""
    REQUEST = "request"
    """The request is wrong: `RequestFailedError`, not retryable."""
    SYMBOL = "symbol"
    """No such instrument, or not now: `InvalidSymbolError`."""
    ORDER = "order"
    """The order breaks a rule: `InvalidOrderError`."""
    FUNDS = "funds"
    """Not enough balance or margin: `InsufficientBalanceError`."""
    ORDER_NOT_FOUND = "order_not_found"
    """No such order, or done already: `OrderNotFoundError`."""
    DUPLICATE = "duplicate"
    """The client order id is taken: `DuplicateOrderError`."""
    REFUSED = "refused"
    """The order was refused for another reason: `OrderError`."""


_STATUSES: Final = {
    401: ErrorKind.AUTHENTICATION,
    403: ErrorKind.BAN,
    408: ErrorKind.FATE_UNKNOWN,
    418: ErrorKind.BAN,
    429: ErrorKind.RATE_LIMIT,
}


@attrs.frozen
class ErrorTable:
    """What the errors of one venue mean. The most particular rule wins: message, then code, then HTTP status.

    Attributes:
        codes: Kinds by the venue's code, as text.
        messages: By code, patterns of the venue's words and what they mean, where the code alone does not tell.
        statuses: Kinds by HTTP status, for answers without a known code. Without a row, 401 means `AUTHENTICATION`,
            403 and 418 `BAN`, 429 `RATE_LIMIT`, 408 and 5xx `FATE_UNKNOWN`, and the others `REQUEST`.
        waits: By code, seconds for which nobody asks again where the answer does not say how long (no ``Retry-After``).
        limit_wait: The same for the other codes of `RATE_LIMIT`.
        ban_wait: The same for the other codes of `BAN`.
        until: Finds in the venue's words until when a limit or a ban lasts: its first group is a number of
            milliseconds since the epoch.
    """

    codes: Mapping[str, ErrorKind] = attrs.field(factory=dict[str, ErrorKind])
    messages: Mapping[str, tuple[tuple[re.Pattern[str], ErrorKind], ...]] = attrs.field(
        factory=dict[str, "tuple[tuple[re.Pattern[str], ErrorKind], ...]"]
    )
    statuses: Mapping[int, ErrorKind] = attrs.field(factory=dict[int, ErrorKind])
    waits: Mapping[str, float] = attrs.field(factory=dict[str, float])
    limit_wait: float = 1.0
    ban_wait: float = 120.0
    until: re.Pattern[str] | None = None

    def kind(self, status: int, code: str = "", message: str = "") -> ErrorKind:
        """Return what an answer means.

        Args:
            status: The HTTP status.
            code: The venue's code; empty if it gave none, and then `messages` are looked up under ``""``.
            message: The venue's words, or those of whoever answered in its place.
        """
        for pattern, kind in self.messages.get(code, ()):
            if pattern.search(message) is not None:
                return kind
        kind_of_code = self.codes.get(code)
        if kind_of_code is not None:
            return kind_of_code
        kind_of_status = self.statuses.get(status) or _STATUSES.get(status)
        if kind_of_status is not None:
            return kind_of_status
        return ErrorKind.FATE_UNKNOWN if status >= 500 else ErrorKind.REQUEST
