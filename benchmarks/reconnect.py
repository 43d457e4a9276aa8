"""How long two hundred subscriptions are without data after their connection was cut.

The venue closes the connection, cleanly or by a reset, and accepts the next one at once; its markets move all the time.
What is measured is the time from the cut to the first ticker of the last of the subscriptions: closing, connecting, the
handshake, subscribing, the venue's answer, and the first message. Venue and client share one process and one core, so
the venue's own work is in the figure, too.

    python benchmarks/reconnect.py [--rounds 10] [--subscriptions 200]
"""

from __future__ import annotations

import argparse
import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from _report import print_environment

from bt_api_base.containers import Tick
from bt_api_base.testing.simulated_venue import SimulatedVenue
from bt_api_base.websocket_manager import WebSocketConfig, WebSocketManager

if TYPE_CHECKING:
    from collections.abc import Sequence

EXCHANGE = "BINANCE___SPOT"
TARGET = 0.5
"""Seconds within which everything is to be back."""


async def measure(symbols: Sequence[str], rounds: int, *, abort: bool) -> list[float]:
    """Return the seconds that each of several cuts cost."""
    heard: dict[str, float] = {}

    def note(event: Any) -> None:
        if isinstance(event, Tick):
            heard.setdefault(event.symbol, time.perf_counter())

    seconds: list[float] = []
    async with SimulatedVenue(symbols, paused=True) as venue, WebSocketManager() as manager:
        # Every cut is to be met by an attempt at once, however short the time since the last one.
        await manager.add_exchange(WebSocketConfig(venue.url, EXCHANGE, healthy_after=0.0))
        await manager.subscribe_many(EXCHANGE, "ticker", symbols, note)
        for _ in range(rounds):
            heard.clear()
            while len(heard) < len(symbols):
                await venue.step()
                await anyio.sleep(0.001)
            await venue.drain()
            await anyio.sleep(0.05)
            heard.clear()
            cut = time.perf_counter()
            await venue.disconnect_all(abort=abort)
            while len(heard) < len(symbols):
                await venue.step()
                await anyio.sleep(0.001)
            seconds.append(max(heard.values()) - cut)
    return seconds


def main() -> None:
    """Cut a connection a number of times, on each event loop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--subscriptions", type=int, default=200)
    arguments = parser.parse_args()
    symbols = tuple(f"S{number:03}-USDT" for number in range(arguments.subscriptions))
    print_environment()
    for name, backend, options in (
        ("asyncio", "asyncio", {}),
        ("uvloop", "asyncio", {"use_uvloop": True}),
        ("trio", "trio", {}),
    ):
        for cut, abort in (("closed", False), ("reset", True)):
            seconds = anyio.run(
                partial(measure, symbols, arguments.rounds, abort=abort), backend=backend, backend_options=options
            )
            median, worst = statistics.median(seconds), max(seconds)
            verdict = "yes" if worst < TARGET else "NO"
            print(
                f"{name:8} {cut:7} {len(symbols)} subscriptions back after {median * 1000:6.1f} ms (median),"
                f" {worst * 1000:6.1f} ms (worst of {len(seconds)}); under {TARGET:g} s: {verdict}"
            )


if __name__ == "__main__":
    main()
