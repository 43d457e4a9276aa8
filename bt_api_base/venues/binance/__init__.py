"""Binance: its spot market streams."""

from __future__ import annotations

from bt_api_base.venues.binance.spot import BinanceSpotAdapter

__all__ = ("BinanceSpotAdapter",)
