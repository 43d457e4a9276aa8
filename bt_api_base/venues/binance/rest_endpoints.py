"""Binance's REST endpoints, with what they cost.

Sources, as of September 2026: spot, https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md; USD-M
futures, https://developers.binance.com/docs/derivatives/usds-margined-futures. Weights count for a minute and an
address. Where a weight depends on parameters, the row has that of the usual call, and a function below knows the rest.

Conditional orders of USD-M (``/fapi/v1/algoOrder``) are another family of endpoints, and not in the table.
"""

from __future__ import annotations

from typing import Any, Final

import attrs
from msgspec import Raw

from bt_api_base.feeds.endpoint import Endpoint, Security
from bt_api_base.rate_limiter import Priority
from bt_api_base.venues.binance import rest_wire as wire

__all__ = (
    "SPOT",
    "SPOT_FILLS_OF_ORDER_WEIGHT",
    "SPOT_OPEN_ORDERS_WEIGHT",
    "USDM",
    "USDM_OPEN_ORDERS_WEIGHT",
    "BinanceEndpoints",
    "spot_depth_weight",
    "usdm_depth_limit",
    "usdm_depth_weight",
    "usdm_klines_weight",
)


@attrs.frozen(kw_only=True)
class BinanceEndpoints:
    """The endpoints of one market."""

    server_time: Endpoint[wire.ServerTime]
    exchange_info: Endpoint[wire.ExchangeInfo]
    ticker: Endpoint[wire.Ticker24h]
    book_ticker: Endpoint[wire.BookTicker]
    depth: Endpoint[wire.Depth]
    klines: Endpoint[list[wire.KlineRow]]
    trades: Endpoint[list[wire.Trade]]
    place: Endpoint[wire.OrderRow]
    cancel: Endpoint[wire.OrderRow]
    cancel_all: Endpoint[Any]
    query: Endpoint[wire.OrderRow]
    open_orders: Endpoint[list[wire.OrderRow]]
    orders: Endpoint[list[wire.OrderRow]]
    fills: Endpoint[Any]
    account: Endpoint[Any]
    balances: Endpoint[Any]
    positions: Endpoint[list[wire.UsdmPosition]] | None = None


def _market(path: str, result: Any, weight: int) -> Endpoint[Any]:  # noqa: ANN401 - a type, as a value
    return Endpoint(method="GET", path=path, result=result, weight=weight, priority=Priority.SNAPSHOT)


def _private(path: str, result: Any, weight: int) -> Endpoint[Any]:  # noqa: ANN401 - a type, as a value
    return Endpoint(method="GET", path=path, result=result, weight=weight, security=Security.SIGNED)


def _change(method: str, path: str, result: Any, priority: Priority, weight: int) -> Endpoint[Any]:  # noqa: ANN401
    return Endpoint(
        method=method,
        path=path,
        result=result,
        weight=weight,
        security=Security.SIGNED,
        priority=priority,
        repeatable=False,
        changes_order=True,
    )


SPOT: Final = BinanceEndpoints(
    server_time=Endpoint(method="GET", path="/api/v3/time", result=wire.ServerTime),
    exchange_info=_market("/api/v3/exchangeInfo", wire.ExchangeInfo, 20),
    ticker=_market("/api/v3/ticker/24hr", wire.Ticker24h, 2),
    book_ticker=_market("/api/v3/ticker/bookTicker", wire.BookTicker, 2),
    depth=_market("/api/v3/depth", wire.Depth, 5),
    klines=_market("/api/v3/klines", list[wire.KlineRow], 2),
    trades=_market("/api/v3/trades", list[wire.Trade], 25),
    # Free once it succeeds (since 2026-04-02): the venue's own count in the answer's header says so.
    place=_change("POST", "/api/v3/order", wire.OrderRow, Priority.ORDER, 1),
    cancel=_change("DELETE", "/api/v3/order", wire.OrderRow, Priority.CANCEL, 1),
    cancel_all=_change("DELETE", "/api/v3/openOrders", list[Raw], Priority.CANCEL, 1),
    query=_private("/api/v3/order", wire.OrderRow, 4),
    open_orders=_private("/api/v3/openOrders", list[wire.OrderRow], 6),
    orders=_private("/api/v3/allOrders", list[wire.OrderRow], 20),
    fills=_private("/api/v3/myTrades", list[wire.FillRow], 20),
    account=_private("/api/v3/account", wire.AccountInfo, 20),
    balances=_private("/api/v3/account", wire.AccountInfo, 20),
)
"""Spot."""

SPOT_OPEN_ORDERS_WEIGHT: Final = 80
"""Of ``GET /openOrders`` without a symbol."""

SPOT_FILLS_OF_ORDER_WEIGHT: Final = 5
"""Of ``GET /myTrades`` of one order."""

USDM: Final = BinanceEndpoints(
    server_time=Endpoint(method="GET", path="/fapi/v1/time", result=wire.ServerTime),
    exchange_info=_market("/fapi/v1/exchangeInfo", wire.ExchangeInfo, 1),
    ticker=_market("/fapi/v1/ticker/24hr", wire.Ticker24h, 1),
    book_ticker=_market("/fapi/v1/ticker/bookTicker", wire.BookTicker, 2),
    depth=_market("/fapi/v1/depth", wire.Depth, 2),
    klines=_market("/fapi/v1/klines", list[wire.KlineRow], 5),
    trades=_market("/fapi/v1/trades", list[wire.Trade], 5),
    place=_change("POST", "/fapi/v1/order", wire.OrderRow, Priority.ORDER, 0),
    cancel=_change("DELETE", "/fapi/v1/order", wire.OrderRow, Priority.CANCEL, 1),
    cancel_all=_change("DELETE", "/fapi/v1/allOpenOrders", wire.Done, Priority.CANCEL, 1),
    query=_private("/fapi/v1/order", wire.OrderRow, 1),
    open_orders=_private("/fapi/v1/openOrders", list[wire.OrderRow], 1),
    orders=_private("/fapi/v1/allOrders", list[wire.OrderRow], 5),
    fills=_private("/fapi/v1/userTrades", list[wire.UsdmFill], 5),
    account=_private("/fapi/v3/account", wire.UsdmAccount, 5),
    balances=_private("/fapi/v3/balance", list[wire.UsdmBalance], 5),
    positions=_private("/fapi/v3/positionRisk", list[wire.UsdmPosition], 5),
)
"""USD-M futures."""

USDM_OPEN_ORDERS_WEIGHT: Final = 40
"""Of ``GET /openOrders`` without a symbol."""

_USDM_DEPTHS: Final = (5, 10, 20, 50, 100, 500, 1000)


def spot_depth_weight(count: int) -> int:
    """Return the weight of a book with so many levels a side."""
    return 5 if count <= 100 else 25 if count <= 500 else 50 if count <= 1000 else 250


def usdm_depth_limit(count: int) -> int:
    """Return the smallest depth the venue has that is enough; at most its largest."""
    return next((depth for depth in _USDM_DEPTHS if depth >= count), _USDM_DEPTHS[-1])


def usdm_depth_weight(limit: int) -> int:
    """Return the weight of a book of a depth that the venue has."""
    return 2 if limit <= 50 else 5 if limit <= 100 else 10 if limit <= 500 else 20


def usdm_klines_weight(count: int) -> int:
    """Return the weight of so many bars."""
    return 1 if count < 100 else 2 if count < 500 else 5 if count <= 1000 else 10
