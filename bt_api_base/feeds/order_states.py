"""Which of two states of an order is the later one, whatever the order in which they were told.

What a venue tells about an order arrives on several ways (the answer to a request, a query, a stream) and not always in
the order in which it happened. An order only ever goes forward, though: what is filled stays filled, and what is done
stays done. So the later state can be told from the states themselves.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from bt_api_base.containers import OrderStatus

if TYPE_CHECKING:
    from bt_api_base.containers import Order

__all__ = ("filled", "is_later", "order_key", "with_known")

_RANKS: Final = {OrderStatus.UNKNOWN: 0, OrderStatus.SUBMITTED: 0, OrderStatus.ACCEPTED: 1, OrderStatus.PARTIAL: 2}
_DONE: Final = 3

_OF_A_STATE: Final = frozenset({"order_avg_price", "executed_qty", "cum_quote", "trade_id"})
"""Fields that belong to one state: an older value of them says nothing about a later state."""


def order_key(order: Order) -> tuple[str, str]:
    """Return what tells an order from all others: the symbol and the venue's id, or ours while it has given none."""
    return order.symbol, order.order_id or f"client:{order.client_order_id or ''}"


def filled(order: Order) -> Decimal:
    """Return the filled quantity, zero where it is not told."""
    return Decimal(0) if order.executed_qty is None else order.executed_qty


def is_later(known: Order, told: Order) -> bool:
    """Tell whether ``told`` is a later state of an order than ``known``, as opposed to an earlier one or the same."""
    before, after = _rank(known), _rank(told)
    if before == _DONE != after:
        return False
    if filled(told) != filled(known) and told.executed_qty is not None:
        return filled(told) > filled(known)
    if before != after:
        return after > before
    # The same progress, so only terms can differ: the venue's time tells which ones are the later.
    return before < _DONE and told.server_time > known.server_time and _terms(told) != _terms(known)


def with_known(known: Order, told: Order) -> Order:
    """Return a later state with what it does not tell and does not change taken from the state before."""
    missing = {
        name: getattr(known, name)
        for name in told.__struct_fields__
        if name not in _OF_A_STATE and getattr(told, name) is None and getattr(known, name) is not None
    }
    if told.executed_qty is None and known.executed_qty is not None:
        missing.update({name: getattr(known, name) for name in _OF_A_STATE})
    if not told.order_id and known.order_id:
        missing["order_id"] = known.order_id
    return msgspec.structs.replace(told, **missing) if missing else told


def _rank(order: Order) -> int:
    return _RANKS.get(order.order_status, _DONE)


def _terms(order: Order) -> tuple[Decimal | None, Decimal | None]:
    return order.order_size, order.order_price
