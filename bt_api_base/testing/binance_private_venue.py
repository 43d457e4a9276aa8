"""A venue that never was, with an account: another name for `bt_api_base.testing.simulated_venue.SimulatedVenue`.

Example:
    ```python
    async with SimulatedAccountVenue(("BTC-USDT",), seed=1) as venue:
        config = WebSocketConfig(venue.url, venue.exchange_name, credentials=venue.credentials)
        ...
        venue.push_order(x="TRADE", X="FILLED", l="1.0", z="1.0", L="60000.1", t=7, n="0.001", N="BTC")
    ```
"""

from __future__ import annotations

from typing import TypeAlias

from bt_api_base.testing.simulated_venue import SimulatedVenue

SimulatedAccountVenue: TypeAlias = SimulatedVenue
"""From the time when only some venues had an account."""

__all__ = ("SimulatedAccountVenue",)
