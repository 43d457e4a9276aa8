"""A venue's bytes become typed events: a simulated venue, the manager, and the bus.

Run it with ``python examples/first_light.py [asyncio|uvloop|trio]``.

Two symbols are streamed. A task follows the latest quote of each from the bus, another one counts trades from a
subscription, and half-way the venue resets the connection: everything comes back, and the bus tells what happened.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import anyio

from bt_api_base import EventBus, Overflow, SimulatedVenue, Tick, WebSocketConfig, WebSocketManager

if TYPE_CHECKING:
    from bt_api_base.websocket.events import ConnectionEvent
    from bt_api_base.websocket_manager import Subscription

EXCHANGE = "BINANCE___SPOT"
SYMBOLS = ("BTC-USDT", "ETH-USDT")
TRADES = 40


async def follow_quotes(bus: EventBus) -> None:
    """Print a symbol's quote whenever it has changed; when that takes long, only the latest counts."""
    last: dict[str, tuple[float | None, float | None]] = {}
    async with bus.open_stream(Tick, max_buffer_size=100, overflow=Overflow.CONFLATE) as ticks:
        async for tick in ticks:
            quote = tick.bid_price, tick.ask_price
            if last.get(tick.symbol) != quote:
                last[tick.symbol] = quote
                print(f"{tick.symbol}  bid {tick.bid_price:>10,.2f}  ask {tick.ask_price:>10,.2f}")
            await anyio.sleep(0.02)  # a consumer that is slower than the market


async def count_trades(trades: Subscription, venue: SimulatedVenue) -> None:
    """Count trades, and have the connection cut half-way."""
    async for trade in trades:
        if trades.delivered == TRADES // 2:
            await venue.disconnect_all()
        if trades.delivered == TRADES:
            print(f"{TRADES} trades of {trade.symbol} received, {trades.dropped} dropped")
            return


def tell(event: ConnectionEvent) -> None:
    """Print what happens to the connection."""
    print(f"-- {type(event).__name__}: {event.connection_id}")


async def main() -> None:
    """Stream until enough trades have come."""
    async with SimulatedVenue(SYMBOLS, seed=1, rate=200) as venue, WebSocketManager() as manager:
        manager.bus.on("ws.*", tell)
        await manager.add_exchange(WebSocketConfig(url=venue.url, exchange_name=EXCHANGE))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow_quotes, manager.bus)
            for symbol in SYMBOLS:
                # Over the bus only: the subscription keeps nothing for itself.
                await manager.subscribe(EXCHANGE, "ticker", symbol, max_buffer_size=0)
            async with await manager.subscribe(EXCHANGE, "trade", "BTC-USDT") as trades:
                await count_trades(trades, venue)
            tasks.cancel_scope.cancel()


if __name__ == "__main__":
    loop = sys.argv[1] if len(sys.argv) > 1 else None
    if loop is None:
        anyio.run(main)
    elif loop == "uvloop":
        anyio.run(main, backend="asyncio", backend_options={"use_uvloop": True})
    else:
        anyio.run(main, backend=loop)
