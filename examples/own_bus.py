"""A bus of one's own: names, patterns and types, coroutines, bounded streams, and events from another thread.

Run it with ``python examples/own_bus.py``.
"""

from __future__ import annotations

import threading

import anyio
import msgspec

from bt_api_base import ErrorHandlerMode, EventBus, Overflow


class Signal(msgspec.Struct, frozen=True):
    """Something a strategy has to say. Any object can be an event; containers are not required."""

    symbol: str
    strength: float


async def record(signal: Signal) -> None:
    """Stand for what takes time: a database, a network."""
    await anyio.sleep(0.001)
    print(f"recorded  {signal.symbol} {signal.strength:+.1f}")


async def take_batches(bus: EventBus) -> None:
    """Take what another thread emits, as it comes."""
    async with bus.open_stream("price.*", max_buffer_size=1_000, overflow=Overflow.DROP_OLDEST) as prices:
        vendor = threading.Thread(target=call_back, args=(bus,))
        vendor.start()
        taken = 0
        async for batch in prices.batches():
            taken += len(batch)
            if taken == 300:
                break
        vendor.join()
        print(f"threads   {taken} prices from another thread, {prices.dropped} dropped")


def call_back(bus: EventBus) -> None:
    """Stand for a vendor's library, which calls back in a thread of its own."""
    for number in range(300):
        bus.emit("price.BTC-USDT", 68_000.0 + number)


async def main() -> None:
    """Show each way to hand an event over."""
    async with EventBus(error_mode=ErrorHandlerMode.COLLECT) as bus:
        bus.on(Signal, lambda signal: print(f"by type   {signal}"))
        bus.on("signal.*", lambda signal: print(f"by name   {signal.symbol}"))
        bus.on("signal.BTC-USDT", record)
        bus.on("signal.BTC-USDT", lambda signal: 1 / signal.strength)

        await bus.publish("signal.BTC-USDT", Signal("BTC-USDT", 0.5))
        errors = await bus.publish("signal.BTC-USDT", Signal("BTC-USDT", 0.0))
        print(f"errors    {errors}")

        await take_batches(bus)
        statistics = bus.statistics()
        print(f"bus       {statistics.emitted} events, {statistics.delivered} deliveries, {statistics.errors} errors")


if __name__ == "__main__":
    anyio.run(main)
