"""What the event bus costs: a callback, against pyee; a stream, against a memory object stream; another thread.

python benchmarks/bus.py [--items 200000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import gc
import statistics
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
from _report import Report
from pyee import EventEmitter

from bt_api_base.containers import Tick
from bt_api_base.event_bus import EventBus
from bt_api_base.event_stream import Overflow

LOOPS: dict[str, tuple[str, dict[str, Any]]] = {
    "asyncio": ("asyncio", {}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}
TICK = Tick("BINANCE___SPOT", "BTC-USDT", 1, 2, 68_000.1, 68_000.2, 1.5, 2.5)
NAME = "tick.BINANCE___SPOT.BTC-USDT"
BURST = 100  # items between two checkpoints of the producer: about what one read from a socket brings
BUFFER = 10_000

Measure = Callable[[int], float]
AsyncMeasure = Callable[[int], Awaitable[float]]


def nothing(_: object) -> None:
    """Take an event and do nothing with it."""


# -- callbacks -------------------------------------------------------------------------------------


def emit_pyee(count: int) -> float:
    """Return the seconds that pyee takes to emit to one callback."""
    emitter = EventEmitter()
    emitter.on(NAME, nothing)
    emit = emitter.emit
    start = time.perf_counter()
    for _ in range(count):
        emit(NAME, TICK)
    return time.perf_counter() - start


def emit_ours(count: int, *keys: str | type, whole: bool = False) -> float:
    """Return the seconds that the bus takes to emit to a callback per key, by name or by the data alone."""
    bus = EventBus()
    for key in keys:
        bus.on(key, nothing)
    emit = bus.emit
    start = time.perf_counter()
    if whole:
        for _ in range(count):
            emit(TICK)
    else:
        for _ in range(count):
            emit(NAME, TICK)
    return time.perf_counter() - start


# -- streams ---------------------------------------------------------------------------------------


async def plain_stream(count: int) -> float:
    """Return the seconds from a producer through a memory object stream to an ``async for``."""
    send, receive = anyio.create_memory_object_stream[Tick](BUFFER)

    async def produce() -> None:
        with send:
            for _ in range(count):
                await send.send(TICK)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(produce)
        start = time.perf_counter()
        with receive:
            async for _ in receive:
                pass
        return time.perf_counter() - start


async def _produce(bus: EventBus, count: int) -> None:
    emit = bus.emit
    for _ in range(count // BURST):
        for _ in range(BURST):
            emit(NAME, TICK)
        await anyio.lowlevel.checkpoint()
    bus.clear()


async def bus_stream(count: int, *, batches: bool, overflow: Overflow = Overflow.BLOCK) -> float:
    """Return the seconds from ``emit`` through a stream to its consumer, who looks at every item."""
    bus = EventBus()
    with bus.open_stream("tick.*", BUFFER, overflow=overflow) as ticks:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_produce, bus, count)
            start = time.perf_counter()
            if batches:
                async for batch in ticks.batches():
                    for _ in batch:
                        pass
            else:
                async for _ in ticks:
                    pass
            seconds = time.perf_counter() - start
    if ticks.delivered + ticks.conflated != count:
        raise AssertionError(f"{count} items were emitted: {ticks.statistics()}")
    return seconds


async def thread_bursts(count: int) -> float:
    """Return the seconds from another thread's ``emit`` to a consumer in the event loop."""
    bus = EventBus(thread_buffer_size=count)
    taken = 0

    def call_back() -> None:
        for _ in range(count):
            bus.emit(NAME, TICK)

    async with bus, bus.open_stream("tick.*", count, overflow=Overflow.BLOCK) as ticks:
        thread = threading.Thread(target=call_back)
        start = time.perf_counter()
        thread.start()
        async for batch in ticks.batches():
            taken += len(batch)
            if taken == count:
                break
        seconds = time.perf_counter() - start
        thread.join()
    return seconds


# -- tables ----------------------------------------------------------------------------------------


def rates(measures: dict[str, Measure], counts: dict[str, int], rounds: int) -> dict[str, float]:
    """Return the median rate of each measure. Rounds go through all of them, so that a busy moment hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            gc.collect()
            gc.disable()
            try:
                seconds[name].append(measure(counts[name]))
            finally:
                gc.enable()
    return {name: counts[name] / statistics.median(taken) for name, taken in seconds.items()}


def show_callbacks(items: int, rounds: int) -> None:
    """Measure and print what a callback costs."""
    measures: dict[str, Measure] = {
        "pyee, one callback": emit_pyee,
        "emit(name, data), one callback": lambda count: emit_ours(count, NAME),
        "the same, by type": lambda count: emit_ours(count, Tick),
        "emit(data), by pattern": lambda count: emit_ours(count, "tick.*", whole=True),
        "nobody listens": emit_ours,
    }
    found = rates(measures, dict.fromkeys(measures, items), rounds)
    baseline = found["pyee, one callback"]
    report = Report("emit to a callback")
    for name, rate in found.items():
        target = 2 if name == "emit(name, data), one callback" else None
        report.row(name, rate, baseline=baseline, target=target)
    report.show()


def show_streams(loop: str, items: int, rounds: int) -> None:
    """Measure and print what a stream costs on an event loop."""
    backend, options = LOOPS[loop]

    def run(function: AsyncMeasure) -> Measure:
        return lambda count: anyio.run(function, count, backend=backend, backend_options=options)

    plain = "memory object stream, async for"
    measures = {
        plain: run(plain_stream),
        "emit -> stream -> batches()": run(partial(bus_stream, batches=True)),
        "emit -> stream -> async for": run(partial(bus_stream, batches=False)),
        "the same, conflated": run(partial(bus_stream, batches=True, overflow=Overflow.CONFLATE)),
        "another thread's emit -> batches()": run(thread_bursts),
    }
    counts = dict.fromkeys(measures, items) | {plain: items // 5}
    found = rates(measures, counts, rounds)
    report = Report(f"a stream of the bus, {loop}")
    for name, rate in found.items():
        # uvloop is quicker at everything that waits, the baseline included.
        target = 10 if name == "emit -> stream -> batches()" and loop != "uvloop" else None
        report.row(name, rate, baseline=found[plain], target=target)
    report.show()


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000, help="items per measurement (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each kind (default: %(default)s)")
    options, _ = parser.parse_known_args()  # `nox -s bench` gives every script the same arguments
    items = max(BURST, options.items // BURST * BURST)
    show_callbacks(items, options.rounds)
    for loop in LOOPS:
        show_streams(loop, items, options.rounds)


if __name__ == "__main__":
    main()
