"""Funding of a perpetual swap."""

from __future__ import annotations

from bt_api_base.containers._base import EventBase

__all__ = ("FundingRate",)


class FundingRate(EventBase, frozen=True, gc=False):
    """Funding rates: fractions of the position's value per funding interval; positive when longs pay shorts.

    Times are nanoseconds since the epoch (UTC). What the venue does not tell is ``None``.

    Attributes:
        current_funding_rate: Rate of the running interval, so far or final.
        current_funding_time: When it is paid.
        next_funding_rate: Prediction for the interval after that.
        next_funding_time: When that is paid.
        pre_funding_rate: Rate of the interval before.
        pre_funding_time: When that was paid.
        settlement_funding_rate: Rate of the last settlement.
        settlement_status: The venue's word for the state of the settlement.
        max_funding_rate: Upper bound.
        min_funding_rate: Lower bound.
        method: The venue's name of the way the rate is found.
    """

    current_funding_rate: float
    current_funding_time: int | None = None
    next_funding_rate: float | None = None
    next_funding_time: int | None = None
    pre_funding_rate: float | None = None
    pre_funding_time: int | None = None
    settlement_funding_rate: float | None = None
    settlement_status: str | None = None
    max_funding_rate: float | None = None
    min_funding_rate: float | None = None
    method: str | None = None
