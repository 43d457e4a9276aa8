"""Sensitivities of an option, or of all an account's options on one currency."""

from __future__ import annotations

from bt_api_base.containers._base import EventBase

__all__ = ("Greeks",)


class Greeks(EventBase, frozen=True, gc=False):
    """Greeks in Black-Scholes terms, in the quote currency. What the venue does not tell is ``None``.

    For an account's total ``symbol`` is the currency, such as ``"BTC"``.

    Attributes:
        delta: Change of value per unit change of the underlying's price.
        gamma: Change of delta per unit change of the underlying's price.
        vega: Change of value per 0.01 change of volatility.
        theta: Change of value per day.
        rho: Change of value per 0.01 change of the interest rate.
        mark_volatility: Implied volatility at the mark price, per year, as a fraction: 0.5 is 50 %.
        bid_volatility: The same at the best bid.
        ask_volatility: The same at the best ask.
        underlying_price: Price of the underlying that the venue used.
        forward_price: Forward price that the venue used.
    """

    delta: float | None = None
    gamma: float | None = None
    vega: float | None = None
    theta: float | None = None
    rho: float | None = None
    mark_volatility: float | None = None
    bid_volatility: float | None = None
    ask_volatility: float | None = None
    underlying_price: float | None = None
    forward_price: float | None = None
