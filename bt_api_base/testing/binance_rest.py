"""Binance's spot REST API in front of a simulated venue: ``/api/v3``.

Sources: Binance spot API documentation, "REST API", "Errors", "Filters". Not there: order lists, conditional orders,
amending, sub-accounts; what is, answers in the recorded forms.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Final

from typing_extensions import override

from bt_api_base.testing.binance_rest_calls import BinanceRest
from bt_api_base.testing.binance_rest_market import market_routes
from bt_api_base.testing.binance_rest_orders import SpotOrders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bt_api_base.testing.binance_rest_calls import Route
    from bt_api_base.testing.binance_rest_venue import BinanceSpotVenue

_WEIGHT_LIMIT: Final = 6_000


class BinanceSpotRest(BinanceRest):
    """See `bt_api_base.testing.rest_messages.RestDialect`.

    Args:
        venue: What it is the REST side of.
    """

    legal_ids: ClassVar[re.Pattern[str]] = re.compile(r"[a-zA-Z0-9-_]{1,36}")
    place_path: ClassVar[tuple[str, ...]] = ("/api/v3/order", "/api/v3/order/cancelReplace")

    def __init__(self, venue: BinanceSpotVenue) -> None:
        self._spot_venue = venue
        super().__init__(venue, venue.credentials, weight_limit=_WEIGHT_LIMIT, order_windows=venue.order_windows)

    def name_cancel(self, name: str) -> None:
        """Say what the cancel that is being done is called; empty once it is."""
        self._spot_venue.cancel_name = name

    @override
    def _routes(self) -> Mapping[tuple[str, str], Route]:
        return {**market_routes(self), **SpotOrders(self).routes()}


__all__ = ("BinanceSpotRest",)
