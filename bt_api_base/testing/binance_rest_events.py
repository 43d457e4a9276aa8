"""What Binance's spot market tells of an account when its exchange tells of something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bt_api_base.testing.binance_rest_words import eight, side_word, status_word, time_word, type_word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bt_api_base.testing.exchange_orders import Holding, OrderChanged

_EXECUTIONS: Final = {
    "new": "NEW",
    "trade": "TRADE",
    "canceled": "CANCELED",
    "expired": "EXPIRED",
    "amended": "REPLACED",
}


def execution_report(event: OrderChanged, venue_symbol: str, number: int, cancel_name: str) -> dict[str, Any]:
    """Return an ``executionReport`` without its times.

    Args:
        event: What happened.
        venue_symbol: The order's symbol in the venue's spelling.
        number: The report's number.
        cancel_name: What a cancel is called.
    """
    order, fill = event.order, event.fill
    is_cancel = event.execution == "canceled"
    return {
        "s": venue_symbol,
        "c": cancel_name if is_cancel and cancel_name else order.client_order_id,
        "S": side_word(order.side),
        "o": type_word(order),
        "f": time_word(order.time_in_force),
        "q": eight(order.quantity),
        "p": eight(order.price),
        "P": "0.00000000",
        "F": "0.00000000",
        "g": -1,
        "C": order.client_order_id if is_cancel else "",
        "x": _EXECUTIONS[event.execution],
        "X": status_word(order),
        "r": "NONE",
        "i": order.order_id,
        "l": eight(fill.quantity if fill else None),
        "z": eight(order.executed),
        "L": eight(fill.price if fill else None),
        "n": eight(fill.fee) if fill else "0",
        "N": fill.fee_currency if fill else None,
        "t": fill.trade_id if fill else -1,
        "I": number,
        "w": order.is_open,
        "m": fill.is_maker if fill else False,
        "M": fill is not None,
        "Z": eight(order.cum_quote),
        "Y": eight(fill.price * fill.quantity if fill else None),
        "Q": eight(order.quote_quantity),
        "V": "NONE",
    }


def holding_rows(currencies: tuple[str, ...], balances: Mapping[str, Holding]) -> list[dict[str, str]]:
    """Return the rows of an ``outboundAccountPosition``.

    Args:
        currencies: What changed.
        balances: What the account holds.
    """
    return [
        {"a": currency, "f": eight(balances[currency].free), "l": eight(balances[currency].locked)}
        for currency in currencies
        if currency in balances
    ]


__all__ = ("execution_report", "holding_rows")
