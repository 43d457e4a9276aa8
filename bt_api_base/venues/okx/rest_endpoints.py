"""OKX's REST endpoints, and their limits as rules of a `RateLimiter`.

Source, as of September 2026: https://www.okx.com/docs-v5/en/, the section of each endpoint. There are no weights: each
endpoint has a limit of its own, in calls within two seconds, by address where it is public, by user where it is
private, and by user and instrument (the ``limit_key`` of a call) where it trades. The venue reports no usage.
"""

from __future__ import annotations

from typing import Any, Final

from bt_api_base.feeds.endpoint import Endpoint, Security
from bt_api_base.rate_limiter import Priority, RateLimitRule, RateLimitScope, RateLimitType, RateLimitUnit
from bt_api_base.venues.okx import private_wire, rest_wire, wire
from bt_api_base.venues.okx.rest_wire import Envelope

__all__ = (
    "BALANCE",
    "BOOKS",
    "BOOKS_FULL",
    "CANCEL",
    "CANCEL_BATCH",
    "CANDLES",
    "CONFIG",
    "FILLS",
    "FILLS_HISTORY",
    "HISTORY_CANDLES",
    "INSTRUMENTS",
    "OKX_RULES",
    "ORDERS_ARCHIVE",
    "ORDERS_HISTORY",
    "ORDERS_PENDING",
    "PLACE",
    "POSITIONS",
    "QUERY",
    "SERVER_TIME",
    "TICKER",
    "TRADES",
    "UNDERLYINGS",
)

_WINDOW: Final = 2.0

_ORDERS: Final = Envelope[private_wire.OrderData]
_ANSWERS: Final = Envelope[rest_wire.OrderAnswer]
_FILLS: Final = Envelope[rest_wire.FillRow]
_CANDLES: Final = Envelope[wire.Candle]


def _public(path: str, result: Any, priority: Priority = Priority.SNAPSHOT) -> Endpoint[Any]:  # noqa: ANN401
    return Endpoint(method="GET", path=f"/api/v5/{path}", result=result, priority=priority)


def _private(path: str, result: Any) -> Endpoint[Any]:  # noqa: ANN401 - a type, as a value
    return Endpoint(method="GET", path=f"/api/v5/{path}", result=result, security=Security.SIGNED)


def _change(path: str, priority: Priority) -> Endpoint[Envelope[rest_wire.OrderAnswer]]:
    return Endpoint(
        method="POST",
        path=f"/api/v5/{path}",
        result=_ANSWERS,
        security=Security.SIGNED,
        priority=priority,
        repeatable=False,
        changes_order=True,
    )


SERVER_TIME: Final[Endpoint[Envelope[rest_wire.ServerTime]]] = _public(
    "public/time", Envelope[rest_wire.ServerTime], Priority.QUERY
)
INSTRUMENTS: Final[Endpoint[Envelope[rest_wire.InstrumentRow]]] = _public(
    "public/instruments", Envelope[rest_wire.InstrumentRow]
)
UNDERLYINGS: Final[Endpoint[Envelope[list[str]]]] = _public("public/underlying", Envelope[list[str]])
TICKER: Final[Endpoint[Envelope[wire.Ticker]]] = _public("market/ticker", Envelope[wire.Ticker])
BOOKS: Final[Endpoint[Envelope[wire.BookData]]] = _public("market/books", Envelope[wire.BookData])
BOOKS_FULL: Final[Endpoint[Envelope[wire.BookData]]] = _public("market/books-full", Envelope[wire.BookData])
CANDLES: Final[Endpoint[Envelope[wire.Candle]]] = _public("market/candles", _CANDLES)
HISTORY_CANDLES: Final[Endpoint[Envelope[wire.Candle]]] = _public("market/history-candles", _CANDLES)
TRADES: Final[Endpoint[Envelope[wire.Trade]]] = _public("market/trades", Envelope[wire.Trade])
BALANCE: Final[Endpoint[Envelope[private_wire.AccountData]]] = _private(
    "account/balance", Envelope[private_wire.AccountData]
)
POSITIONS: Final[Endpoint[Envelope[private_wire.PositionData]]] = _private(
    "account/positions", Envelope[private_wire.PositionData]
)
CONFIG: Final[Endpoint[Envelope[rest_wire.Config]]] = _private("account/config", Envelope[rest_wire.Config])
PLACE: Final = _change("trade/order", Priority.ORDER)
CANCEL: Final = _change("trade/cancel-order", Priority.CANCEL)
CANCEL_BATCH: Final = _change("trade/cancel-batch-orders", Priority.CANCEL)
QUERY: Final[Endpoint[Envelope[private_wire.OrderData]]] = _private("trade/order", _ORDERS)
ORDERS_PENDING: Final[Endpoint[Envelope[private_wire.OrderData]]] = _private("trade/orders-pending", _ORDERS)
ORDERS_HISTORY: Final[Endpoint[Envelope[private_wire.OrderData]]] = _private("trade/orders-history", _ORDERS)
ORDERS_ARCHIVE: Final[Endpoint[Envelope[private_wire.OrderData]]] = _private("trade/orders-history-archive", _ORDERS)
FILLS: Final[Endpoint[Envelope[rest_wire.FillRow]]] = _private("trade/fills", _FILLS)
FILLS_HISTORY: Final[Endpoint[Envelope[rest_wire.FillRow]]] = _private("trade/fills-history", _FILLS)


def _rule(
    endpoint: Endpoint[Any],
    limit: int,
    *,
    per_instrument: bool = False,
    counts: RateLimitUnit = RateLimitUnit.REQUESTS,
) -> RateLimitRule:
    call = f"{endpoint.method} {endpoint.path}"
    return RateLimitRule(
        call,
        RateLimitType.SLIDING_WINDOW,
        _WINDOW,
        limit,
        RateLimitScope.IP if endpoint.security is Security.PUBLIC else RateLimitScope.ENDPOINT,
        call,
        counts=counts,
        per_key=per_instrument,
    )


OKX_RULES: Final[tuple[RateLimitRule, ...]] = (
    _rule(SERVER_TIME, 10),
    _rule(INSTRUMENTS, 20),
    _rule(UNDERLYINGS, 20),
    _rule(TICKER, 20),
    _rule(BOOKS, 40),
    _rule(BOOKS_FULL, 10),
    _rule(CANDLES, 40),
    _rule(HISTORY_CANDLES, 20),
    _rule(TRADES, 100),
    _rule(BALANCE, 10),
    _rule(POSITIONS, 10),
    _rule(CONFIG, 5),
    _rule(PLACE, 60, per_instrument=True),
    _rule(CANCEL, 60, per_instrument=True),
    _rule(CANCEL_BATCH, 300, per_instrument=True, counts=RateLimitUnit.ORDERS),
    _rule(QUERY, 60, per_instrument=True),
    _rule(ORDERS_PENDING, 60),
    _rule(ORDERS_HISTORY, 40),
    _rule(ORDERS_ARCHIVE, 20),
    _rule(FILLS, 60),
    _rule(FILLS_HISTORY, 10),
    RateLimitRule(
        "new and amended orders of a sub-account",  # error 50061; spot is exempt, and counted here all the same
        RateLimitType.SLIDING_WINDOW,
        _WINDOW,
        1000,
        RateLimitScope.GLOBAL,
        f"{PLACE.method} {PLACE.path}",
        counts=RateLimitUnit.ORDERS,
    ),
)
"""All of OKX."""
