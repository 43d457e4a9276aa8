"""The client of OKX's REST API: how its requests are signed, limited and understood when they fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bt_api_base.feeds.clock import VenueClock
from bt_api_base.feeds.http_client import HttpClient
from bt_api_base.feeds.http_encoding import BodyStyle
from bt_api_base.feeds.recipe_auth import RecipeAuth
from bt_api_base.rate_limiter import RateLimiter
from bt_api_base.security.recipes import okx_request
from bt_api_base.venues.okx.rest_endpoints import OKX_RULES
from bt_api_base.venues.okx.rest_errors import OKX_ERRORS, read_okx_error

if TYPE_CHECKING:
    from bt_api_base.feeds.http_types import Transport
    from bt_api_base.security import Credentials
    from bt_api_base.transport import TransportPolicy

__all__ = ("okx_client",)


def okx_client(
    exchange_name: str,
    rest_url: str,
    credentials: Credentials | None,
    *,
    limiter: RateLimiter | None = None,
    policy: TransportPolicy | None = None,
    transport: Transport | None = None,
    timeout: float = 10.0,
    demo: bool = False,
    clock: VenueClock | None = None,
) -> HttpClient:
    """Return a client, not opened yet; see `OkxMarketApi` for the arguments."""
    clock = VenueClock() if clock is None else clock
    return HttpClient(
        exchange_name,
        timeout,
        base_url=rest_url,
        auth=RecipeAuth(okx_request, credentials, clock, exchange_name=exchange_name, key_header="OK-ACCESS-KEY"),
        limiter=RateLimiter(list(OKX_RULES)) if limiter is None else limiter,
        errors=OKX_ERRORS,
        read_error=read_okx_error,
        clock=clock,
        policy=policy,
        transport=transport,
        headers={"x-simulated-trading": "1"} if demo else None,
        body=BodyStyle.JSON,
    )
