"""Wrong from the start: the caller has to ask for something else, or change a setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bt_api_base.exceptions.base import BtApiError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Unpack

    from bt_api_base.exceptions.base import ErrorContext

__all__ = (
    "ConfigurationError",
    "CurrencyNotFoundError",
    "ExchangeNotFoundError",
    "InvalidSymbolError",
    "NotSupportedError",
)


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
