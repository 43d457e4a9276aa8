"""How many tickers per second get from the wire to a consumer as typed events, against the usual way of doing it.

Ours: `WebSocketManager` (supervised connection, Binance decoder, routing) -> `Tick` -> bus in queue mode -> consumer.
The baseline: a `websockets` client, `json.loads`, and a queue between the receiving and the consuming task.
The server is a process of its own; the client is this process, on one core.

    python benchmarks/pipeline.py [--frames 200000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from itertools import product
from typing import TYPE_CHECKING, Any

import anyio
import trio
import uvloop
import websockets.asyncio.client
import websockets.exceptions
import websockets.trio.client
from _report import Report
from _server import frame_server, ticker_payloads

from bt_api_base.event_bus import EventBus
from bt_api_base.event_stream import Overflow
from bt_api_base.websocket_manager import WebSocketConfig, WebSocketManager

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Pipeline = Callable[[str, int], Awaitable[float]]

EXCHANGE = "BINANCE___SPOT"
FEW = ("BTC",)
MANY = tuple("".join(letters) for letters in product("ABCDEFGHIJ", repeat=3))  # 1,000 of them


async def _ours(url: str, frames: int, currencies: Sequence[str]) -> float:
    """Return the seconds from the first event to the last, at a consumer of the bus."""
    bus = EventBus()
    first = last = 0.0
    async with WebSocketManager(bus) as manager:
        config = WebSocketConfig(url, EXCHANGE, stale_after=None, compression=False)
        received = 0
        with bus.open_stream("tick.*", max_buffer_size=1_000_000, overflow=Overflow.BLOCK) as ticks:
            await manager.add_exchange(config)
            starter = await manager.subscribe(EXCHANGE, "ticker", "GO-USDT")
            async with anyio.create_task_group() as tasks:
                for currency in currencies:
                    tasks.start_soon(_subscribe, manager, f"{currency}-USDT")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(starter.aclose)  # one more request, upon which the server begins
                async for batch in ticks.batches():
                    if not received:
                        first = time.perf_counter()
                    received += len(batch)
                    if received >= frames:
                        last = time.perf_counter()
                        break
        # The server closes when it has sent them all, and the connection comes back for more.
        (stats,) = manager.get_stats()[EXCHANGE]
        assert not stats.bad_frames, stats
    return (last - first) * frames / received


async def _subscribe(manager: WebSocketManager, symbol: str) -> None:
    await manager.subscribe(EXCHANGE, "ticker", symbol, max_buffer_size=0)


async def ours(url: str, frames: int) -> float:
    """One subscription."""
    return await _ours(url, frames, FEW)


async def ours_1000(url: str, frames: int) -> float:
    """A thousand subscriptions, each with its share of the frames."""
    return await _ours(url, frames, MANY)


async def usual_asyncio(url: str, frames: int) -> float:
    """The usual way on asyncio."""
    queue: asyncio.Queue[Any] = asyncio.Queue()

    async def produce() -> None:
        async with websockets.asyncio.client.connect(url, compression=None, max_queue=None) as ws:
            await ws.send('{"method":"SUBSCRIBE","params":["btcusdt@bookTicker"],"id":1}')
            try:
                while True:
                    queue.put_nowait(json.loads(await ws.recv()))
            except websockets.exceptions.ConnectionClosed:
                return

    producer = asyncio.create_task(produce())
    first = 0.0
    for received in range(frames + 1):
        await queue.get()
        if not received:
            first = time.perf_counter()
    last = time.perf_counter()
    await producer
    return last - first


async def usual_trio(url: str, frames: int) -> float:
    """The usual way on trio."""
    send, receive = trio.open_memory_channel[Any](10_000)
    first = 0.0

    async def produce() -> None:
        async with websockets.trio.client.connect(url, compression=None, max_queue=None) as ws:
            await ws.send('{"method":"SUBSCRIBE","params":["btcusdt@bookTicker"],"id":1}')
            try:
                while True:
                    await send.send(json.loads(await ws.recv()))
            except websockets.exceptions.ConnectionClosed:
                return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce)
        for received in range(frames + 1):
            await receive.receive()
            if not received:
                first = time.perf_counter()
        return time.perf_counter() - first


LOOPS: dict[str, dict[str, Any]] = {
    "asyncio": {"backend": "asyncio"},
    "uvloop": {"backend": "asyncio", "backend_options": {"loop_factory": uvloop.new_event_loop}},
    "trio": {"backend": "trio"},
}


def measure(pipeline: Pipeline, frames: int, currencies: Sequence[str], loop: str) -> float:
    """Return events per second. Of several rounds the best counts: whatever else runs can only make one slower."""
    gc.collect()
    # One request names at most 200 channels; the one that starts is asked for and given back.
    requests = 1 if pipeline in (usual_asyncio, usual_trio) else -(-len(currencies) // 200) + 2
    payloads = ticker_payloads([f"{currency}USDT" for currency in currencies])
    with frame_server(payloads, acknowledge=True, start_after=requests) as server:
        seconds = anyio.run(pipeline, server.url(frames), frames, **LOOPS[loop])
    return frames / seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loops", nargs="+", choices=tuple(LOOPS), default=list(LOOPS))
    options = parser.parse_args()
    for loop in options.loops:
        report = Report(f"wire -> Tick -> bus queue -> consumer, {loop}, 146-byte tickers")
        usual = usual_trio if loop == "trio" else usual_asyncio
        rows: dict[str, tuple[Pipeline, int, Sequence[str]]] = {
            "websockets + json.loads + queue": (usual, options.frames // 5, FEW),
            "bt_api_base, 1 subscription": (ours, options.frames, FEW),
            "bt_api_base, 1,000 subscriptions": (ours_1000, options.frames, MANY),
        }
        rates: dict[str, list[float]] = {name: [] for name in rows}
        for _ in range(options.rounds):
            for name, (pipeline, frames, currencies) in rows.items():
                rates[name].append(measure(pipeline, frames, currencies, loop))
        baseline, one, many = (max(values) for values in rates.values())
        for name, rate in zip(rows, (baseline, one, many), strict=True):
            report.row(name, rate, baseline=baseline, target=None if rate == baseline else 8)
        report.show()
        print(f"cost per message with 1,000 subscriptions, against one: {one / many:.2f} (target: at most 1.2)\n")


if __name__ == "__main__":
    main()
