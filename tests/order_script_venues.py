"""What scripts of orders are played at, and how it is reached without sockets and without real time."""

from __future__ import annotations

import types
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs

from bt_api_base.testing.okx_venue import SimulatedOkxVenue
from bt_api_base.testing.simulated_venue import SimulatedVenue
from bt_api_base.testing.usdm_venue import SimulatedUsdmVenue
from bt_api_base.venues.binance.rest_limits import SPOT_RULES, USDM_RULES
from bt_api_base.venues.binance.spot import BinanceSpotAdapter
from bt_api_base.venues.okx.adapter import OkxSpotAdapter
from bt_api_base.venues.okx.rest_endpoints import OKX_RULES
from bt_api_base.websocket import open_websocket

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator

    import anyio
    from anyio.abc import ByteStream

    from bt_api_base.rate_limiter import RateLimitRule
    from bt_api_base.websocket_manager import WebSocketConfig


@attrs.frozen
class Market:
    """A venue that a script can be played at.

    Attributes:
        exchange_name: Whose feed trades.
        venue: The simulated venue's class.
        symbols: What is traded.
        rules: The limits that the client keeps.
        adapter: Reads the account's events in memory; ``None``: they cannot be had without sockets.
        stream_path: Where those are.
    """

    exchange_name: str
    venue: type[Any]
    symbols: tuple[str, ...]
    rules: tuple[RateLimitRule, ...]
    adapter: type[Any] | None = None
    stream_path: str = ""


PAIRS = ("BTC-USDT", "ETH-USDT")
BINANCE = Market("BINANCE___SPOT", SimulatedVenue, PAIRS, SPOT_RULES, BinanceSpotAdapter, "/ws-api/v3")
OKX = Market("OKX___SPOT", SimulatedOkxVenue, PAIRS, OKX_RULES, OkxSpotAdapter, "/ws/v5/public")
USDM = Market("BINANCE___SWAP", SimulatedUsdmVenue, ("BTC-USDT-SWAP",), USDM_RULES)
MARKETS = (BINANCE, BINANCE, OKX, OKX, USDM)
"""What scripts are played at, in turn."""


class SkewedClock:
    """The clock of the client's machine, nanoseconds: the loop's, and off by as much as a script says."""

    def __init__(self, venue_ns: Callable[[], int]) -> None:
        self._venue_ns = venue_ns
        self.skew = 0.0

    def __call__(self) -> int:
        """Return nanoseconds since the epoch."""
        return self._venue_ns() + round(self.skew * 1e9)


def at_venue_time(adapter: type[Any], now_ns: Callable[[], int]) -> Callable[[str], Any]:
    """Return what makes adapters that log in with the time of a loop, whatever the manager's clock says."""

    class AtVenueTime(adapter):  # type: ignore[misc]
        @property
        def now_ns(self) -> Callable[[], int]:
            return now_ns

        @now_ns.setter
        def now_ns(self, value: Callable[[], int]) -> None:
            """Keep the loop's."""

    return lambda _name: AtVenueTime()


def in_memory(connect: Callable[[], ByteStream]) -> Any:
    """Return what opens real WebSockets over streams in memory."""

    async def dial(host: str, port: int) -> ByteStream:
        return connect()

    @asynccontextmanager
    async def connector(config: WebSocketConfig, adapter: Any) -> AsyncGenerator[Any]:
        async with open_websocket(config.url, connector=dial, close_timeout=config.close_timeout) as websocket:
            yield websocket

    return connector


@types.coroutine
def cancelled_at(
    suspension: int, scope: anyio.CancelScope, coroutine: Coroutine[Any, Any, Any]
) -> Generator[Any, Any, Any]:
    """Run a coroutine, and cancel its scope at one of its suspensions; it may be over before."""
    step: Callable[[Any], Any] = coroutine.send
    value: Any = None
    try:
        while True:
            try:
                trap = step(value)
            except StopIteration as stop:
                return stop.value
            suspension -= 1
            if not suspension:
                scope.cancel()
            try:
                value = yield trap
                step = coroutine.send
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - goes to the coroutine, which decides
                step, value = coroutine.throw, error
    finally:
        coroutine.close()
