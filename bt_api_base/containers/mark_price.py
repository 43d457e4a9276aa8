"""The price that a venue values positions at."""

from __future__ import annotations

from bt_api_base.containers._base import EventBase

__all__ = ("MarkPrice",)


class MarkPrice(EventBase, frozen=True, gc=False):
    """Mark and index price of a derivative, in the quote currency.

    Attributes:
        mark_price: Price for profit and liquidation.
        index_price: Price of the underlying on the spot markets; ``None`` where the venue does not tell.
        settlement_price: Estimate of the settlement price; ``None`` where there is none.
    """

    mark_price: float
    index_price: float | None = None
    settlement_price: float | None = None
