"""``demo``: a simulated venue in the same process, streamed through manager and bus, and checked to the frame."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import anyio
import attrs

from bt_api_base._cli.chaos import Chaos, StreamWatch
from bt_api_base._cli.ledger import Ledger
from bt_api_base._cli.model import ViewModel
from bt_api_base._cli.pipeline import Pipeline, Wish
from bt_api_base._cli.runtime import EXIT_FAILURE, Backend, Interrupts, interrupts, wait_until
from bt_api_base._cli.screen import Screen, console
from bt_api_base._cli.tally import TallyAdapter
from bt_api_base._cli.view import connections_table, market_tables
from bt_api_base.testing import SimulatedVenue
from bt_api_base.venues import stream_adapter
from bt_api_base.websocket.config import WebSocketConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("DemoOptions", "run_demo")

_EXCHANGE = "BINANCE___SPOT"
_BUCKET_NS = 250_000_000
_STALE_AFTER = 3.0
_STALE_AFTER_IN_CHAOS = 0.8
_COMPARE_INTERVAL = 0.5
_SETTLE_TIMEOUT = 3.0


@attrs.frozen(kw_only=True)
class DemoOptions:
    """What to show.

    Attributes:
        symbols: Internal symbols.
        backend: The event loop, for the title.
        duration: Seconds to run; ``None``: until interrupted.
        chaos: Whether to break the connection again and again.
        plain: Whether to write lines of text.
        rate: Steps of each market per second.
        seed: What markets and faults follow from.
    """

    symbols: Sequence[str]
    backend: Backend
    duration: float | None
    chaos: bool
    plain: bool
    rate: float
    seed: int


@attrs.define(eq=False)
class _Demo:
    """The parts of a running demo."""

    options: DemoOptions
    venue: SimulatedVenue
    pipeline: Pipeline
    screen: Screen
    ledger: Ledger
    watch: StreamWatch
    wishes: Sequence[Wish]

    _is_subscribed: bool = False

    async def play(self) -> None:
        """Subscribe, and let it run."""
        await self.pipeline.subscribe(self.wishes)
        self._is_subscribed = True
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._compare)
            tasks.start_soon(self.pipeline.wait_failed)
            if self.options.chaos:
                chaos = Chaos(self.venue, self.watch, self.screen.model.log, self.options.seed, _STALE_AFTER_IN_CHAOS)
                await chaos.run()

    async def _compare(self) -> None:
        while True:
            await anyio.sleep(_COMPARE_INTERVAL)
            self.ledger.compare()

    async def settle(self) -> None:
        """Let everything come back that is on its way, and end the last connection in good order."""
        await self.venue.revive()
        if self._is_subscribed:
            await self.watch.wait_back()
        self.venue.pause()
        await self.venue.drain()
        self.screen.refresh()
        self.pipeline.stop_watching()
        attempt = self.watch.tally.current.number
        await self.venue.refuse()
        await self.venue.close_with(1001, "the demo is over")
        # Its next attempt to connect shows that the client is done with everything that was sent.
        await wait_until(lambda: self.watch.tally.current.number > attempt, _SETTLE_TIMEOUT)
        await self.pipeline.drain()

    def check_hand_over(self) -> None:
        """Compare what was decoded with what the model got."""
        flow, model, attempts = self.pipeline.poll(), self.screen.model, self.watch.tally.attempts
        decoded = sum(attempt.events for attempt in attempts)
        # A frame of these topics has one event; one for nobody can come while a subscription is withdrawn.
        if decoded != model.events + flow.dropped + flow.unrouted_frames:
            self.ledger.problem(
                f"{decoded} events were decoded, {model.events} reached the view, {flow.dropped} were dropped,"
                f" {flow.unrouted_frames} were for nobody"
            )
        frames = sum(attempt.frames for attempt in attempts)
        if frames != flow.frames:
            self.ledger.problem(f"{frames} frames were decoded, the connection counted {flow.frames}")


async def run_demo(options: DemoOptions) -> int:
    """Run the demo.

    Returns:
        The exit status: 1 if what arrived does not agree with what was sent.

    Raises:
        CommandError: A stream did not come back.

    Cancellation: ends the venue and the connection to it.
    """
    silence = _STALE_AFTER_IN_CHAOS if options.chaos else _STALE_AFTER
    title = f"bt-api demo: simulated {_EXCHANGE} on {options.backend}" + (", with chaos" if options.chaos else "")
    model = ViewModel(title=title, bucket_ns=_BUCKET_NS)
    tally = TallyAdapter(stream_adapter(_EXCHANGE), keep_ids=True)
    wishes = [
        Wish(topic, symbol, {"levels": 5, "speed": 100} if topic == "depth" else None)
        for symbol in options.symbols
        for topic in ("ticker", "trade", "depth")
    ]
    channels = [tally.channel(wish.topic, wish.symbol, wish.params) for wish in wishes]
    for channel in channels:
        model.add_symbol(_EXCHANGE, channel.symbol)
    async with AsyncExitStack() as stack:
        stop = await stack.enter_async_context(interrupts())
        venue = await stack.enter_async_context(
            SimulatedVenue(
                [symbol for _, symbol in model.symbols],
                seed=options.seed,
                rate=options.rate,
                keep_ids=True,
                close_timeout=0.5,
            )
        )
        pipeline = await stack.enter_async_context(Pipeline.open(model, _config(venue.url, silence), tally))
        # A stream of a slow market takes its time to show that it is back.
        watch = StreamWatch(tally, frozenset(c.key for c in channels), patience=10.0 + 30.0 / options.rate)
        screen = Screen(model, console(), pipeline.poll, plain=options.plain)
        demo = _Demo(options, venue, pipeline, screen, Ledger(venue.sessions, tally), watch, wishes)
        await _play(demo, stop)
        demo.check_hand_over()
        await stack.aclose()
    demo.ledger.compare(final=True)
    screen.refresh()
    screen.finish(market_tables(model, width=screen.out.width), connections_table(model), demo.ledger.report())
    return stop.exit_status(bounded=options.duration is not None) if demo.ledger.agrees else EXIT_FAILURE


async def _play(demo: _Demo, stop: Interrupts) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(demo.screen.run)
        await stop.run_until(demo.options.duration, demo.play)
        await demo.settle()
        tasks.cancel_scope.cancel()


def _config(url: str, stale_after: float) -> WebSocketConfig:
    """Return settings for a venue a few microseconds away that may die at any moment."""
    return WebSocketConfig(
        url,
        _EXCHANGE,
        heartbeat_interval=5.0,
        reconnect_interval=0.1,
        max_reconnect_interval=0.5,
        healthy_after=0.2,
        connect_timeout=3.0,
        subscribe_timeout=3.0,
        heartbeat_timeout=3.0,
        stale_after=stale_after,
        close_timeout=0.3,
    )
