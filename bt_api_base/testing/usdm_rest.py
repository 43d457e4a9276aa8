"""Binance's USD-M REST API in front of a simulated venue: ``/fapi``.

Sources: Binance USD-M futures API documentation, "REST API", "Error Codes". Not there: batches, conditional (algo)
orders, hedge mode, changes of leverage and margin type; what is, answers in the documented forms.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Final

from typing_extensions import override

from bt_api_base.feeds.endpoint import Security
from bt_api_base.testing.binance_rest_calls import BinanceRest, Route
from bt_api_base.testing.binance_rest_words import RestError
from bt_api_base.testing.rest_limits import AlignedWindow
from bt_api_base.testing.rest_messages import RestReply
from bt_api_base.testing.usdm_dialect import LISTEN_KEY_PATH
from bt_api_base.testing.usdm_rest_account import UsdmState
from bt_api_base.testing.usdm_rest_market import market_routes
from bt_api_base.testing.usdm_rest_orders import UsdmOrders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bt_api_base.testing.binance_rest_calls import Call
    from bt_api_base.testing.rest_messages import RestRequest
    from bt_api_base.testing.usdm_venue import SimulatedUsdmVenue

_WEIGHT_LIMIT: Final = 2_400


class UsdmRest(BinanceRest):
    """See `bt_api_base.testing.rest_messages.RestDialect`.

    Args:
        venue: What it is the REST side of.
    """

    legal_ids: ClassVar[re.Pattern[str]] = re.compile(r"[\.A-Z\:/a-z0-9_-]{1,36}")
    place_path: ClassVar[tuple[str, ...]] = ("/fapi/v1/order",)

    def __init__(self, venue: SimulatedUsdmVenue) -> None:
        self._keys = venue.listen_keys
        self.state = UsdmState(venue)
        """What follows from what the exchange holds."""
        first, second = venue.options.get("order_limits", (300, 1_200))
        windows = (AlignedWindow(first, 10), AlignedWindow(second, 60))
        super().__init__(venue, venue.credentials, weight_limit=_WEIGHT_LIMIT, order_windows=windows)

    @override
    def _routes(self) -> Mapping[tuple[str, str], Route]:
        signed = Security.SIGNED
        account = {
            ("GET", "/fapi/v3/account"): Route(lambda call: self.state.account(call.now_ns), 5, signed),
            ("GET", "/fapi/v3/balance"): Route(lambda call: self.state.balance_rows(call.now_ns), 5, signed),
            ("GET", "/fapi/v3/positionRisk"): Route(self._positions, 5, signed),
            ("GET", "/fapi/v1/positionSide/dual"): Route(lambda _call: {"dualSidePosition": False}, 30, signed),
        }
        keys = {(method, LISTEN_KEY_PATH): Route(self._listen_key, 1) for method in ("POST", "PUT", "DELETE")}
        return {**market_routes(self), **UsdmOrders(self).routes(), **account, **keys}

    @override
    def failed(self, status: int) -> RestReply:
        if status == 503:  # of the three kinds the one that says nothing of what was done
            error = RestError(-1000, "Unknown error, please check your request or try again later.")
            return RestReply.json(error.body(), status)
        return super().failed(status)

    def _positions(self, call: Call) -> list[dict[str, Any]]:
        symbol = call.optional_symbol()
        return self.state.position_rows(call.venue.markets if symbol is None else (symbol,))

    def _listen_key(self, call: Call) -> RestReply:
        request = call.request
        status, body = self._keys.answer(request.method, {"X-MBX-APIKEY": request.header("X-MBX-APIKEY")})
        return RestReply.json(body, status)

    @override
    def _unknown(self, request: RestRequest) -> RestReply:
        error = RestError(-5000, f"Path {request.path}, Method {request.method} is invalid")
        return RestReply.json(error.body(), 404)


__all__ = ("UsdmRest",)
