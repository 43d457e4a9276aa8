"""Lose a connection a thousand times and rotate it fifty times, under load, and look at what is left behind.

The venue is a process of its own. After each cut the run waits until data flows again; resident memory, tasks and file
descriptors are noted every few cuts. They must stay flat, and every trade must have come or be named by a gap.

    python -m tests.soak.run [--loop trio] [--reconnects 1000] [--rotations 50] [--page docs/soak.md]
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import attrs
from typing_extensions import override

from bt_api_base.containers import Gap, Trade
from bt_api_base.venues.binance.spot import BinanceSpotAdapter
from bt_api_base.websocket_manager import Subscription, WebSocketConfig, WebSocketManager
from tests.soak.chart import line_charts
from tests.soak.venue import SYMBOLS

if TYPE_CHECKING:
    from bt_api_base.websocket.adapter import StreamLimits
    from bt_api_base.websocket.connection_stats import ConnectionStats

EXCHANGE = "BINANCE___SPOT"
TOPICS = ("trade", "ticker", "depth_diff")
LOOPS: dict[str, tuple[str, dict[str, Any]]] = {
    "asyncio": ("asyncio", {}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}
_WARM_UP = 0.2
"""Part of the run after which memory must be flat: before, caches and the allocator's arenas fill."""

_MOST_GROWTH = 0.03
"""Part by which memory may differ between the two halves of the rest."""


class SoakAdapter(BinanceSpotAdapter):
    """The venue's adapter, in more of a hurry: 300 connects in five minutes would make this a matter of an hour."""

    @property
    @override
    def limits(self) -> StreamLimits:
        """The venue's limits, but for connects and messages."""
        return attrs.evolve(super().limits, max_connects=100_000, messages_per_second=1_000.0)


@attrs.frozen
class Sample:
    """The process at one moment."""

    reconnects: int
    rss_mb: float
    tasks: int
    descriptors: int


@attrs.define
class Account:
    """What one stream of trades has brought."""

    first: int = 0
    last: int = 0
    received: int = 0
    missing: int = 0
    gaps: int = 0

    def take(self, event: object) -> None:
        """Count an event or a gap."""
        if isinstance(event, Gap):
            self.gaps += 1
            self.missing += event.missing or 0
        elif isinstance(event, Trade):
            self.last = int(event.trade_id)
            self.first = self.first or self.last
            self.received += 1

    @property
    def adds_up(self) -> bool:
        """Whether every trade since the first has come or is named by a gap."""
        return self.received + self.missing == self.last - self.first + 1


def _tasks() -> int:
    """Return the number of tasks of this event loop."""
    if "trio" in sys.modules:
        import sniffio

        if sniffio.current_async_library() == "trio":
            import trio

            return trio.lowlevel.current_statistics().tasks_living
    import asyncio

    return len(asyncio.all_tasks())


def _sample(reconnects: int) -> Sample:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return Sample(
        reconnects, pages * os.sysconf("SC_PAGE_SIZE") / 1e6, _tasks(), sum(1 for _ in Path("/proc/self/fd").iterdir())
    )


@attrs.define
class Soak:
    """One run against a venue."""

    venue: subprocess.Popen[str]
    manager: WebSocketManager
    samples: list[Sample] = attrs.field(factory=list)
    accounts: dict[str, Account] = attrs.field(factory=dict)

    async def count(self, subscription: Subscription) -> None:
        """Take everything from a subscription, for as long as the run takes."""
        account = self.accounts.setdefault(subscription.symbol, Account())
        async for event in subscription:
            account.take(event)

    @property
    def stats(self) -> ConnectionStats:
        """The connection's counters."""
        return self.manager.get_stats()[EXCHANGE][0]

    async def cut(self) -> None:
        """Have the connection cut, and wait until another one carries data."""
        before = self.stats
        assert self.venue.stdin is not None
        self.venue.stdin.write("cut\n")
        self.venue.stdin.flush()
        with anyio.fail_after(30):
            while self.stats.reconnects == before.reconnects:
                await anyio.sleep(0.002)
            events = self.stats.events
            while self.stats.events < events + 20:
                await anyio.sleep(0.002)

    async def run(self, reconnects: int, rotations: int) -> None:
        """Cut and rotate, and take samples."""
        every = max(1, reconnects // rotations)
        for number in range(reconnects):
            await self.cut()
            if number % 5 == 4:
                self.samples.append(_sample(number + 1))
            if number % every == every - 1:
                await self.manager.rotate(EXCHANGE)
            if number % 100 == 99:
                latest = self.samples[-1]
                print(
                    f"{latest.reconnects:5} reconnects, {self.stats.rotations:3} rotations, {latest.rss_mb:6.1f} MB,"
                    f" {latest.tasks:3} tasks, {latest.descriptors:3} descriptors",
                    flush=True,
                )


async def soak(options: argparse.Namespace) -> Soak:
    """Run it all once."""
    command = (sys.executable, "-m", "tests.soak.venue", str(options.rate))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as venue:
        assert venue.stdout is not None
        url = venue.stdout.readline().strip()
        config = WebSocketConfig(
            url, EXCHANGE, reconnect_interval=0.02, rotation_overlap=0.05, healthy_after=0.0, stale_after=None
        )
        try:
            async with WebSocketManager() as manager:
                await manager.add_exchange(config, adapter=lambda _: SoakAdapter())
                run = Soak(venue, manager)
                async with anyio.create_task_group() as tasks:
                    for topic in TOPICS:
                        for subscription in await manager.subscribe_many(EXCHANGE, topic, SYMBOLS):
                            if topic == "trade":
                                tasks.start_soon(run.count, subscription)
                            else:
                                tasks.start_soon(_discard, subscription)
                    gc.collect()
                    await run.run(options.reconnects, options.rotations)
                    tasks.cancel_scope.cancel()
        finally:
            venue.kill()
    return run


async def _discard(subscription: Subscription) -> None:
    async for _ in subscription.batches():
        pass


def verdicts(run: Soak) -> list[str]:
    """Return what is wrong, if anything."""
    wrong = []
    steady = run.samples[int(len(run.samples) * _WARM_UP) :]
    half = len(steady) // 2
    before, after = (statistics.median(s.rss_mb for s in part) for part in (steady[:half], steady[half:]))
    if after > before * (1 + _MOST_GROWTH):
        wrong.append(f"memory grew from {before:.1f} to {after:.1f} MB")
    for name in ("tasks", "descriptors"):
        early, late = (
            statistics.median(getattr(s, name) for s in part) for part in (run.samples[:10], run.samples[-10:])
        )
        if late > early:
            wrong.append(f"{name} grew from {early:g} to {late:g}")
    wrong += [f"{symbol}: {account}" for symbol, account in run.accounts.items() if not account.adds_up]
    return wrong


def page(chart: str, run: Soak, loop: str, seconds: float) -> str:
    """Return the page of the documentation."""
    first, last = run.samples[0], run.samples[-1]
    received = sum(account.received for account in run.accounts.values())
    missing = sum(account.missing for account in run.accounts.values())
    stats, gaps = run.stats, sum(account.gaps for account in run.accounts.values())
    return f"""# Soak

What a thousand lost connections leave behind. A venue in a process of its own cuts the connection again and again,
under load; every cut is followed by a reconnection with {len(SYMBOLS) * len(TOPICS)} subscriptions. Now and then the
connection is rotated. Memory, tasks and file descriptors have to stay flat, and every trade has to come or to be named
by a [gap](gaps.md).

```sh
nox -s soak                      # a minute or two; writes this page
nox -s soak -- --loop trio       # on another event loop; writes no page
```

![Memory, tasks and file descriptors over the reconnections](images/{chart})

| | after {first.reconnects} reconnections | after {last.reconnects} |
|---|---:|---:|
| resident memory | {first.rss_mb:.1f} MB | {last.rss_mb:.1f} MB |
| tasks | {first.tasks} | {last.tasks} |
| file descriptors | {first.descriptors} | {last.descriptors} |

Measured on {loop}, CPython {sys.version.split()[0]}, in {seconds:.0f} s:

* {stats.reconnects:,} reconnections, {stats.rotations} rotations, {stats.events:,} events.
* {received + missing:,} trades: {received:,} received, {missing:,} lost in the cuts and named by {gaps:,} gaps, none
  unaccounted for.
"""


def main() -> None:
    """Run, print, and fail if something is left behind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loop", choices=LOOPS, default="asyncio")
    parser.add_argument("--reconnects", type=int, default=1_000)
    parser.add_argument("--rotations", type=int, default=50)
    parser.add_argument("--rate", type=float, default=100.0, help="steps per second of each of the ten markets")
    parser.add_argument("--page", type=Path, help="write this page, and a chart into images/ beside it")
    options = parser.parse_args()
    started = time.monotonic()
    backend, backend_options = LOOPS[options.loop]
    run: Soak = anyio.run(soak, options, backend=backend, backend_options=backend_options)
    seconds = time.monotonic() - started
    wrong = verdicts(run)
    if options.page is not None and not wrong:
        lines = {
            "resident memory, MB": [sample.rss_mb for sample in run.samples],
            "tasks": [float(sample.tasks) for sample in run.samples],
            "file descriptors": [float(sample.descriptors) for sample in run.samples],
        }
        svg = line_charts("Lost and replaced", "reconnections", [float(s.reconnects) for s in run.samples], lines)
        images = options.page.parent / "images"
        images.mkdir(exist_ok=True)
        (images / "soak.svg").write_text(svg, encoding="utf-8")
        options.page.write_text(page("soak.svg", run, options.loop, seconds), encoding="utf-8")
    print(f"{run.stats.reconnects} reconnections, {run.stats.rotations} rotations, {seconds:.0f} s on {options.loop}")
    if wrong:
        sys.exit("\n".join(("left behind:", *wrong)))
    print("nothing left behind")


if __name__ == "__main__":
    main()
