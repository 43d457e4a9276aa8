"""``demo``: a simulated venue in the same process, streamed through manager and bus, and checked to the frame."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import anyio
import attrs

from bt_api_base._cli.chaos import Chaos, StreamWatch
from bt_api_base._cli.ledger import Ledger
from bt_api_base._cli.model import Flow, ViewModel
from bt_api_base._cli.pipeline import Pipeline, Wish
from bt_api_base._cli.reckoning import Reckoning
from bt_api_base._cli.runtime import EXIT_FAILURE, Backend, Interrupts, interrupts, wait_until
from bt_api_base._cli.screen import Screen, console
from bt_api_base._cli.tally import TallyAdapter, TallyBook, attempt_number
from bt_api_base._cli.verdict import counted, verdict
from bt_api_base._cli.view import connections_table, market_tables
from bt_api_base.testing import SimulatedVenue
from bt_api_base.venues import stream_adapter
from bt_api_base.websocket.config import WebSocketConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from bt_api_base.websocket.adapter import StreamLimits

__all__ = ("DemoOptions", "check_hand_over", "run_demo")

_EXCHANGE = "BINANCE___SPOT"
_BUCKET_NS = 250_000_000
_STALE_AFTER = 3.0
_STALE_AFTER_IN_CHAOS = 0.8
_SUBSCRIBE_TIMEOUT = 3.0
_SUBSCRIBE_TIMEOUT_IN_CHAOS = 0.5
_COMPARE_INTERVAL = 0.5
_SETTLE_TIMEOUT = 3.0
_UNDER_WAY = 0.1
_MOST_CONNECTS = 1_000_000


@attrs.frozen(kw_only=True)
class DemoOptions:
    """What to show.

    Attributes:
        symbols: Internal symbols.
        backend: The event loop, for the title.
        duration: Seconds to run; ``None``: until interrupted.
        chaos: Whether to break the connection again and again.
        rotate_every: Seconds after which another connection takes over, less up to a tenth; ``None``: never.
        plain: Whether to write lines of text.
        rate: Steps of each market per second.
        seed: What markets and faults follow from.
    """

    symbols: Sequence[str]
    backend: Backend
    duration: float | None
    chaos: bool
    rotate_every: float | None
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
    book: TallyBook
    ledger: Ledger
    reckoning: Reckoning
    watch: StreamWatch
    wishes: Sequence[Wish]
    problems: list[str] = attrs.field(factory=list[str])
    _is_subscribed: bool = False

    async def play(self) -> None:
        """Subscribe, and let it run."""
        await self.pipeline.subscribe(self.wishes)
        self._is_subscribed = True
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._compare)
            tasks.start_soon(self.pipeline.wait_failed)
            if self.options.chaos:
                silence = _STALE_AFTER_IN_CHAOS + _SUBSCRIBE_TIMEOUT_IN_CHAOS
                await Chaos(self.venue, self.watch, self.screen.model.log, self.options.seed, silence).run()

    async def _compare(self) -> None:
        while True:
            await anyio.sleep(_COMPARE_INTERVAL)
            self.ledger.compare(anyio.current_time())
            self.reckoning.compare(self.venue.take_existing_ids)

    async def settle(self) -> None:
        """Let everything come back that is on its way, and end the last connection in good order."""
        await self.venue.revive()
        if self._is_subscribed:
            await self.watch.wait_back()
            # A connection may be open and silent, or just lost: what is under way has come, and more comes.
            await anyio.sleep(_UNDER_WAY)
            streams = self.reckoning.streams.values()
            seen = {stream: stream.seen for stream in streams}
            await wait_until(lambda: all(stream.seen > seen[stream] for stream in streams), self.watch.patience)
        self.venue.pause()
        await self.venue.drain()
        self.screen.refresh()
        self.pipeline.stop_watching()
        await self.venue.refuse()
        await self.venue.close_with(1001, "the demo is over")
        # That it is about to connect again shows that the client is done with everything that was sent.
        await wait_until(self._is_disconnected, _SETTLE_TIMEOUT)
        await self.pipeline.drain()

    def _is_disconnected(self) -> bool:
        last = max((attempt_number(session.target) for session in self.venue.sessions), default=0)
        return self.book.newest > last and "connected" not in self.pipeline.poll().states

    def check(self) -> None:
        """Compare what was decoded with what the model got, and that with what happened."""
        self.screen.refresh()  # for the last time: a connection that has ended has no channels, nor counts them
        model = self.screen.model
        flow = model.flow
        self.problems += check_hand_over(self.book, flow, model)
        self.reckoning.compare(self.venue.take_existing_ids, final=True)
        if not flow.dropped:  # else it is told as such, and nobody knows what it was
            self.problems += self.reckoning.problems

    def agrees(self) -> bool:
        """Compare the rest, now that the client and the venue have ended; return whether everything agrees."""
        self.ledger.compare()
        self.problems += self.ledger.problems
        return not self.problems

    def report(self) -> Sequence[RenderableType]:
        """Draw what was compared, and the verdict."""
        total, flow, reckoning = self.ledger.total, self.screen.model.flow, self.reckoning
        told = f", all of them in one of {counted(reckoning.gaps, 'gap')} that were told" if reckoning.lost else ""
        text = verdict(
            self.problems,
            f"{total.sent:,} frames were sent over {counted(self.ledger.connections, 'connection')},"
            f" {total.received:,} arrived in order",
            f"{counted(reckoning.shown, 'event')} were shown, each once and in order",
            f"{counted(flow.rotations, 'rotation')}, {counted(flow.reconnects, 'reconnection')},"
            f" {reckoning.lost:,} events lost{told}",
        )
        return self.ledger.report(), reckoning.table(), text


class _DemoAdapter(TallyAdapter):
    @property
    def limits(self) -> StreamLimits:  # type: ignore[override]
        # Chaos needs more connections than the real venue allows.
        return attrs.evolve(super().limits, max_connects=_MOST_CONNECTS)


def check_hand_over(book: TallyBook, flow: Flow, model: ViewModel) -> list[str]:
    """Compare what was decoded with what became of it; return what does not agree, in words.

    Args:
        book: What was decoded, over all connections.
        flow: What the connections counted.
        model: What the view got.
    """
    problems: list[str] = []
    if book.frames != flow.frames:
        problems.append(f"{book.frames} frames were decoded, the connection counted {flow.frames}")
    # A frame of these topics has one event; one for nobody can come while a subscription is withdrawn.
    if book.events != flow.events + flow.duplicates + flow.abandoned + flow.unrouted_frames:
        problems.append(
            f"{book.events} events were decoded, {flow.events} delivered, {flow.duplicates} came twice,"
            f" {flow.abandoned} came over a connection that did not take over, {flow.unrouted_frames} were for nobody"
        )
    if flow.events + flow.gaps != model.events + model.gaps + flow.dropped:
        problems.append(
            f"{flow.events} events and {flow.gaps} gaps were delivered, {model.events} and {model.gaps} reached the"
            f" view, {flow.dropped} were dropped"
        )
    return problems


async def run_demo(options: DemoOptions) -> int:
    """Run the demo.

    Returns:
        The exit status: 1 if what arrived does not agree with what was sent.

    Raises:
        CommandError: A stream did not come back.

    Cancellation: ends the venue and the connection to it.
    """
    title = f"bt-api demo: simulated {_EXCHANGE} on {options.backend}" + (", with chaos" if options.chaos else "")
    model = ViewModel(title=title, bucket_ns=_BUCKET_NS)
    book = TallyBook(keep_ids=True)
    wishes = [
        Wish(topic, symbol, {"levels": 5, "speed": 100} if topic == "depth" else None)
        for symbol in options.symbols
        for topic in ("ticker", "trade", "depth")
    ]
    naming = stream_adapter(_EXCHANGE)
    channels = [naming.channel(wish.topic, wish.symbol, wish.params) for wish in wishes]
    reckoning = Reckoning(channels)
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
                max_connects=None,
            )
        )
        pipeline = await stack.enter_async_context(
            Pipeline.open(
                model,
                _config(venue.url, options),
                lambda: _DemoAdapter(stream_adapter(_EXCHANGE), book),
                observe=reckoning.observe,
            )
        )
        # A stream of a slow market takes its time to show that it is back.
        streams = frozenset(channel.key for channel in channels)
        watch = StreamWatch(book, venue.sessions, streams, patience=10.0 + 30.0 / options.rate)
        screen = Screen(model, console(), pipeline.poll, plain=options.plain)
        demo = _Demo(options, venue, pipeline, screen, book, Ledger(venue.sessions, book), reckoning, watch, wishes)
        await _play(demo, stop)
        demo.check()
        await stack.aclose()
    agrees = demo.agrees()
    screen.finish(market_tables(model, width=screen.out.width), connections_table(model), *demo.report())
    return stop.exit_status(bounded=options.duration is not None) if agrees else EXIT_FAILURE


async def _play(demo: _Demo, stop: Interrupts) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(demo.screen.run)
        await stop.run_until(demo.options.duration, demo.play)
        await demo.settle()
        tasks.cancel_scope.cancel()


def _config(url: str, options: DemoOptions) -> WebSocketConfig:
    """Return settings for a venue a few microseconds away that may die at any moment."""
    return WebSocketConfig(
        url,
        _EXCHANGE,
        heartbeat_interval=5.0,
        reconnect_interval=0.1,
        max_reconnect_interval=0.5,
        healthy_after=0.2,
        connect_timeout=3.0,
        subscribe_timeout=_SUBSCRIBE_TIMEOUT_IN_CHAOS if options.chaos else _SUBSCRIBE_TIMEOUT,
        heartbeat_timeout=3.0,
        stale_after=_STALE_AFTER_IN_CHAOS if options.chaos else _STALE_AFTER,
        close_timeout=0.3,
        max_connection_age=options.rotate_every,
        rotation_overlap=0.2,
        rotation_timeout=3.0,
    )
