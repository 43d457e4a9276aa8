"""OKX, API version 5: market streams and private streams of spot, swaps, futures and options."""

from __future__ import annotations

from bt_api_base.venues.okx.adapter import (
    OkxAdapter,
    OkxFuturesAdapter,
    OkxOptionAdapter,
    OkxSpotAdapter,
    OkxSwapAdapter,
)

__all__ = ("OkxAdapter", "OkxFuturesAdapter", "OkxOptionAdapter", "OkxSpotAdapter", "OkxSwapAdapter")
