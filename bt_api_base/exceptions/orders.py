"""Orders: refused, not found, or of unknown fate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bt_api_base.exceptions.base import BtApiError, bracketed

if TYPE_CHECKING:
    from decimal import Decimal

    from typing_extensions import Unpack

    from bt_api_base.exceptions.base import ErrorContext

__all__ = (
    "DuplicateOrderError",
    "InsufficientBalanceError",
    "InvalidOrderError",
    "OrderError",
    "OrderNotFoundError",
    "OrderUnknownError",
)


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
        return f"insufficient balance{_for(self.symbol)}{bracketed(amounts)}"


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


def _for(symbol: str) -> str:
    return f" for {symbol}" if symbol else ""
