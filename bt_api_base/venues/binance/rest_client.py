"""The client of Binance's REST APIs: how their requests are signed, limited and understood when they fail."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bt_api_base.feeds.clock import VenueClock
from bt_api_base.feeds.http_client import HttpClient
from bt_api_base.feeds.recipe_auth import RecipeAuth
from bt_api_base.rate_limiter import RateLimiter
from bt_api_base.security.recipes import binance_request

if TYPE_CHECKING:
    from bt_api_base.feeds.error_table import ErrorTable
    from bt_api_base.feeds.http_types import Transport
    from bt_api_base.rate_limiter import RateLimitRule
    from bt_api_base.security import Credentials
    from bt_api_base.transport import TransportPolicy

__all__ = ("binance_client",)


def binance_client(
    exchange_name: str,
    rest_url: str,
    credentials: Credentials | None,
    *,
    errors: ErrorTable,
    rules: tuple[RateLimitRule, ...],
    limiter: RateLimiter | None = None,
    policy: TransportPolicy | None = None,
    transport: Transport | None = None,
    recv_window_ms: int = 5000,
    timeout: float = 10.0,
    clock: VenueClock | None = None,
) -> HttpClient:
    """Return a client, not opened yet; see `BinanceApi` for the arguments.

    Every parameter goes in the query, of orders too: what is signed is then what is sent, in one piece.
    """
    clock = VenueClock() if clock is None else clock
    return HttpClient(
        exchange_name,
        timeout,
        base_url=rest_url,
        auth=RecipeAuth(
            partial(binance_request, recv_window_ms=recv_window_ms),
            credentials,
            clock,
            exchange_name=exchange_name,
            key_header="X-MBX-APIKEY",
        ),
        limiter=RateLimiter(list(rules)) if limiter is None else limiter,
        errors=errors,
        clock=clock,
        policy=policy,
        transport=transport,
    )
