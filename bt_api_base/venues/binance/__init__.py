"""Binance: its spot market and its USD-M futures. Each is loaded when it is first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bt_api_base._lazy import lazy_names

if TYPE_CHECKING:
    from bt_api_base.venues.binance.listen_key import UsdmListenKeyLease as UsdmListenKeyLease
    from bt_api_base.venues.binance.spot import BinanceSpotAdapter as BinanceSpotAdapter
    from bt_api_base.venues.binance.usdm import BinanceUsdmAdapter as BinanceUsdmAdapter

_MODULES = {
    "BinanceSpotAdapter": "spot",
    "BinanceUsdmAdapter": "usdm",
    "UsdmListenKeyLease": "listen_key",
}
"""The module that each lazy name comes from."""

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _MODULES)

__all__ = ("BinanceSpotAdapter", "BinanceUsdmAdapter", "UsdmListenKeyLease")
