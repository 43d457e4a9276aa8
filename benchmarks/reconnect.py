"""How long it takes after a clean cut until the first message of every one of 200 subscriptions is back.

The server, a process of its own, sends each subscription a message as soon as it has been asked for all of them, and
closes the connection then: the time is from the last message of one connection to the last first message of the next.
The end of the old connection, the new one's handshakes, the request, and 200 decoded and delivered events are in it.

The baseline is what no client can do without: a raw `websockets` client that connects, asks and reads 200 messages. It
needs not notice that a connection has ended, nor decode anything.

    python benchmarks/reconnect.py [--rounds 30] [--loops asyncio uvloop trio]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from itertools import islice, pairwise, product
from typing import TYPE_CHECKING, Any

import anyio
import uvloop
import websockets.asyncio.client
import websockets.trio.client
from _report import Report
from _server import frame_server, ticker_payloads

from bt_api_base.containers import Gap
from bt_api_base.websocket_manager import WebSocketConfig, WebSocketManager

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bt_api_base.containers import Event

EXCHANGE = "BINANCE___SPOT"
CURRENCIES = tuple(map("".join, islice(product("ABCDEFGHIJ", repeat=3), 200)))
TARGET = 0.5
"""Seconds that a reconnection may take."""


async def ours(url: str, rounds: int) -> list[float]:
    """Return the seconds of each reconnection of a manager with 200 subscriptions."""
    missing = set(CURRENCIES)
    complete: list[float] = []
    done = anyio.Event()

    def received(event: Event) -> None:
        if isinstance(event, Gap):
            return  # what is lost while the connection is not there
        missing.discard(event.symbol.removesuffix("-USDT"))
        if not missing:
            complete.append(time.perf_counter())
            missing.update(CURRENCIES)
            if len(complete) > rounds:
                done.set()

    async with WebSocketManager() as manager:
        # Data for no time at all make a connection healthy: what is measured is the first attempt, not the back-off.
        config = WebSocketConfig(url, EXCHANGE, healthy_after=0.0, compression=False)
        await manager.add_exchange(config)
        symbols = [f"{currency}-USDT" for currency in CURRENCIES]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(manager.subscribe_many, EXCHANGE, "ticker", symbols, received)
            with anyio.fail_after(60.0):
                await done.wait()
        (stats,) = manager.get_stats()[EXCHANGE]
        assert stats.reconnects >= rounds, stats
        assert not stats.bad_frames, stats
    return [later - earlier for earlier, later in pairwise(complete)]


_REQUEST = json.dumps(
    {"method": "SUBSCRIBE", "params": [f"{currency.lower()}usdt@bookTicker" for currency in CURRENCIES], "id": 1}
)


async def raw_asyncio(url: str, rounds: int) -> list[float]:
    """Return the seconds that a raw client takes each time, on asyncio."""
    taken: list[float] = []
    for _ in range(rounds):
        started = time.perf_counter()
        async with websockets.asyncio.client.connect(url, compression=None) as ws:
            await ws.send(_REQUEST)
            for _ in range(len(CURRENCIES) + 1):  # and the acknowledgement
                await ws.recv()
            taken.append(time.perf_counter() - started)
    return taken


async def raw_trio(url: str, rounds: int) -> list[float]:
    """Return the seconds that a raw client takes each time, on trio."""
    taken: list[float] = []
    for _ in range(rounds):
        started = time.perf_counter()
        async with websockets.trio.client.connect(url, compression=None) as ws:
            await ws.send(_REQUEST)
            for _ in range(len(CURRENCIES) + 1):
                await ws.recv()
            taken.append(time.perf_counter() - started)
    return taken


LOOPS: dict[str, dict[str, Any]] = {
    "asyncio": {"backend": "asyncio"},
    "uvloop": {"backend": "asyncio", "backend_options": {"loop_factory": uvloop.new_event_loop}},
    "trio": {"backend": "trio"},
}


def measure(client: Callable[[str, int], Awaitable[list[float]]], rounds: int, loop: str) -> list[float]:
    """Run a client against a server of its own."""
    payloads = ticker_payloads([f"{currency}USDT" for currency in CURRENCIES])
    with frame_server(payloads, acknowledge=True, start_after=1) as server:
        return anyio.run(client, server.url(len(CURRENCIES)), rounds, **LOOPS[loop])


def _milliseconds(taken: Sequence[float]) -> str:
    return f"{statistics.median(taken) * 1e3:.1f} ms in the median, {max(taken) * 1e3:.1f} ms at worst"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--loops", nargs="+", choices=tuple(LOOPS), default=list(LOOPS))
    options = parser.parse_args()
    for loop in options.loops:
        raw = measure(raw_trio if loop == "trio" else raw_asyncio, options.rounds, loop)
        back = measure(ours, options.rounds, loop)
        baseline = 1 / statistics.median(raw)
        report = Report(f"cut -> first message of each of 200 subscriptions, {loop}, median of {options.rounds}")
        report.row("websockets, from connect", baseline)
        report.row("bt_api_base, from the cut", 1 / statistics.median(back), baseline=baseline)
        report.show()
        verdict = "yes" if max(back) < TARGET else "NO"
        print(f"raw client: {_milliseconds(raw)}")
        print(f"200 subscriptions back: {_milliseconds(back)} (target: less than {TARGET * 1e3:g} ms: {verdict})\n")


if __name__ == "__main__":
    main()
