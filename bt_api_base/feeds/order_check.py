"""Whether an order keeps the rules of its instrument, before it is sent."""

from __future__ import annotations

import enum
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, Inexact
from typing import TYPE_CHECKING, Final

import attrs

from bt_api_base.containers import InstrumentStatus, Side
from bt_api_base.containers.decimals import decimal_text, quantize
from bt_api_base.exceptions import InvalidOrderError

if TYPE_CHECKING:
    from bt_api_base.containers import Instrument
    from bt_api_base.feeds.order_request import OrderRequest

__all__ = ("OrderCheck", "checked")

_EXACT: Final = Context(prec=400, traps=[Inexact])


class OrderCheck(str, enum.Enum):
    """What is done about an order that does not fit its instrument."""

    REFUSE = "refuse"
    """It is not sent: `InvalidOrderError`."""
    ROUND = "round"
    """It is made to fit, never to the disadvantage of who sends it: less quantity, a lower price to buy, a higher price
    to sell. What cannot be made to fit is refused."""
    NONE = "none"
    """It is sent as it is; the venue refuses it if it has to."""


def checked(request: OrderRequest, instrument: Instrument, check: OrderCheck = OrderCheck.REFUSE) -> OrderRequest:
    """Return an order that keeps the rules of its instrument.

    Args:
        request: What is asked for.
        instrument: What is traded.
        check: What is done about an order that does not fit.

    Raises:
        InvalidOrderError: It breaks a rule, which the error names.
    """
    if check is OrderCheck.NONE:
        return request

    def refused(detail: str) -> InvalidOrderError:
        return InvalidOrderError(instrument.venue, instrument.internal, detail)

    if instrument.status in _CANNOT_BE_TRADED:
        raise refused(f"it cannot be traded: {instrument.status.value}")

    def fit(name: str, value: Decimal | None, rule: str, step: Decimal | None, rounding: str) -> Decimal | None:
        if value is None or not step:
            return value
        rounded = quantize(value, step, rounding)
        if rounded == value:
            return value  # with the digits it was given
        if check is OrderCheck.REFUSE:
            raise refused(f"{name} {decimal_text(value)} is no multiple of the {rule}, {decimal_text(step)}")
        return rounded

    price_rounding = ROUND_FLOOR if request.side is Side.BUY else ROUND_CEILING
    price = fit("price", request.price, "tick size", instrument.tick_size, price_rounding)
    quantity = fit("quantity", request.quantity, "step size", instrument.step_size, ROUND_FLOOR)
    for name, value, least, most in (
        ("price", price, instrument.min_price, instrument.max_price),
        ("quantity", quantity, instrument.min_qty, instrument.max_qty),
    ):
        problem = "" if value is None else _out_of_bounds(value, least, most)
        if problem:
            raise refused(f"{name} {problem}")
    fitting = attrs.evolve(request, price=price, quantity=quantity)
    _check_notional(fitting, instrument)
    return fitting


def _out_of_bounds(value: Decimal, least: Decimal | None, most: Decimal | None) -> str:
    """Say what is wrong with a number, if something is."""
    text = decimal_text(value)
    if value <= 0:
        return f"{text} is not above zero"
    if least and value < least:
        return f"{text} is below the smallest, {decimal_text(least)}"
    if most and value > most:
        return f"{text} is above the largest, {decimal_text(most)}"
    return ""


_CANNOT_BE_TRADED: Final = frozenset(
    {InstrumentStatus.EXPIRED, InstrumentStatus.DELISTED, InstrumentStatus.PENDING, InstrumentStatus.SETTLING}
)


def _check_notional(request: OrderRequest, instrument: Instrument) -> None:
    """Check the amount where it can be known: of a market order the venue alone knows the price."""
    amount: Decimal | None = request.quote_quantity
    if request.price is not None and request.quantity is not None and not instrument.is_inverse:
        amount = _EXACT.multiply(_EXACT.multiply(request.price, request.quantity), instrument.contract_multiplier)
    if amount is None or request.reduce_only:
        return  # venues let the rest of a position be closed, however small it is
    for word, bound, breaks in (
        (
            "below the smallest",
            instrument.min_notional,
            bool(instrument.min_notional and amount < instrument.min_notional),
        ),
        (
            "above the largest",
            instrument.max_notional,
            bool(instrument.max_notional and amount > instrument.max_notional),
        ),
    ):
        if breaks and bound is not None:
            detail = f"amount {decimal_text(amount)} {instrument.quote_currency} is {word}, {decimal_text(bound)}"
            raise InvalidOrderError(instrument.venue, instrument.internal, detail)
