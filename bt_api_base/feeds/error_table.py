"""What a venue's error codes mean, as data."""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
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


@attrs.frozen
class ErrorTable:
    """What the errors of one venue mean. The most particular rule wins: message, then code, then HTTP status.

    Attributes:
        codes: Kinds by the venue's code, as text.
        messages: By code, patterns of the venue's words and what they mean, where the code alone does not tell.
        statuses: Kinds by HTTP status, for answers without a known code. Without a row, 401 means `AUTHENTICATION`,
            403 and 418 `BAN`, 429 `RATE_LIMIT`, 408 and 5xx `FATE_UNKNOWN`, and other 4xx `REQUEST`.
    """

    codes: Mapping[str, ErrorKind]
    messages: Mapping[str, tuple[tuple[re.Pattern[str], ErrorKind], ...]] = attrs.field(factory=dict)
    statuses: Mapping[int, ErrorKind] = attrs.field(factory=dict)
