"""A simulated venue over seeded markets: their pace, and which of a market's streams are listened to.

Turning what happens into events is a subclass's, and so is saying what a stream's name means.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Final

import anyio
import anyio.lowlevel
from typing_extensions import Unpack, override

from bt_api_base.testing.market import Market, MarketSpec, MarketStep
from bt_api_base.testing.market_hub import Feeds, Hub
from bt_api_base.testing.venue import Venue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anyio.abc import TaskGroup

    from bt_api_base.testing.dialect import Dialect
    from bt_api_base.testing.market_bars import ClosedBar
    from bt_api_base.testing.market_hub import StreamKey
    from bt_api_base.testing.venue_connection import Feed
    from bt_api_base.testing.venue_options import VenueOptions

_NANOSECONDS: Final = 1_000_000_000
_TICK: Final = 0.005
"""Seconds between two turns of the market at high rates: what happens in one goes out in one write."""
_MOST_BACKLOG_NS: Final = 250_000_000
"""How far the markets may fall behind their rate; beyond it they slow down."""
_STEPS_PER_TURN: Final = 256
"""Steps without letting other tasks run."""


class MarketVenue(Venue):
    """Markets of one's own behind a dialect.

    Args:
        dialect: How it speaks.
        symbols: Internal symbols, for example "BTC-USDT", or specifications of markets.
        seed: What everything the markets do, and random faults, follow from.
        rate: Steps per second of each market, more than 0; a step is a change of the book or a taker's trade and makes
            between none and a handful of frames. Up to some tens of thousands; beyond what the machine can do, the
            markets slow down.
        paused: Whether to begin without moving, for `step` or `resume`.
        start_time_ns: Nanoseconds since the epoch that timestamps begin at, from where they follow the markets' own
            time; then the same seed and steps give the same frames, byte for byte. None stamps with the clock.
        exchange_name: Venue and asset type it stands in for.
        **options: See `bt_api_base.testing.venue_options.VenueOptions`.

    Raises:
        ValueError: There are no symbols or the same twice, or the rate is not positive.
    """

    period_ms: ClassVar[int] = 100
    """Milliseconds between two calls of `_follow_period`; the shortest period of a stream."""

    def __init__(
        self,
        dialect: Dialect,
        symbols: Sequence[str | MarketSpec],
        *,
        exchange_name: str,
        seed: int = 1,
        rate: float = 20.0,
        paused: bool = False,
        start_time_ns: int | None = None,
        **options: Unpack[VenueOptions],
    ) -> None:
        super().__init__(dialect, exchange_name=exchange_name, seed=seed, **options)
        markets = [Market(symbol, seed=seed) for symbol in symbols]
        self._hubs = {
            self._market_key(name): Hub(market, name)
            for market in markets
            for name in [self._venue_symbol(market.symbol)]
        }
        """The markets by the symbol in a stream's key."""
        if not markets or len(self._hubs) != len(markets):
            raise ValueError("symbols must be at least one, and different")
        if not (rate > 0 and math.isfinite(rate)):
            raise ValueError(f"rate is {rate}, must be greater than 0")
        self.markets: Mapping[str, Market] = {market.symbol: market for market in markets}
        """The markets by internal symbol, to look at."""
        self._all_markets = Feeds()
        """The feeds of streams that are of all markets."""
        self._order = tuple(self._hubs.values())
        self._periodic: dict[Hub, int] = {}
        """The markets with streams that do not follow what happens, and how many."""
        self._rate = rate * len(markets)
        self._start_time_ns = start_time_ns
        self._steps = 0
        self._periods = 0
        self._period_ns = self.period_ms * 1_000_000
        self._market_ns = 0
        self._running: anyio.Event | None = None
        self._paused = paused

    @property
    def symbols(self) -> tuple[str, ...]:
        """Internal symbols of its markets."""
        return tuple(self.markets)

    @property
    def is_paused(self) -> bool:
        """Whether the markets stand still."""
        return self._paused

    @property
    def market_time(self) -> float:
        """Seconds that the markets have lived."""
        return self._market_ns / _NANOSECONDS

    def pause(self) -> None:
        """Let the markets stand still; connections go on. With `drain`, all that was sent is out."""
        self._paused = True

    def resume(self) -> None:
        """Let the markets go on after a pause, from where they stood."""
        self._paused = False
        if self._running is not None:
            self._running.set()
            self._running = None

    def reset_sequence(self, symbol: str, first_id: int = 1) -> None:
        """Let the numbers of a market begin anew: of its trades, aggregates and book updates.

        Nothing else changes: the next event follows the last one, under a lower number.

        Args:
            symbol: Internal symbol.
            first_id: The next number of each kind.
        """
        self.markets[symbol].renumber(first_id)

    async def step(self, steps: int = 1) -> None:
        """Let each market take steps, and their time pass, whether or not the venue is paused.

        Args:
            steps: How many, for each market.

        Cancellation:
            Some of the steps may have been taken.
        """
        goal = self._steps + steps * len(self._order)
        while self._steps < goal:
            self._advance(self._step_due(min(goal - 1, self._steps + _STEPS_PER_TURN)))
            await anyio.lowlevel.checkpoint()

    # What a subclass says.

    def _venue_symbol(self, symbol: str) -> str:
        """Return an internal symbol in the venue's spelling."""
        return symbol

    def _market_key(self, venue_symbol: str) -> str:
        """Return a venue's symbol as the keys of its streams have it."""
        return venue_symbol

    def _parse_stream(self, name: str) -> StreamKey | None:
        """Return what a stream's name means, or None for one that there are no data for."""
        raise NotImplementedError

    def _follow_step(self, hub: Hub, step: MarketStep) -> None:
        """Publish what happened in a market's step.

        Args:
            hub: The market, and who listens.
            step: What happened.
        """

    def _note_bars(self, hub: Hub, closed: tuple[ClosedBar, ...]) -> None:
        """Take note of bars that have ended between steps, whoever listens.

        Args:
            hub: The market.
            closed: The bars, in the order of their intervals and times.
        """

    def _follow_bars(self, hub: Hub, closed: tuple[ClosedBar, ...]) -> None:
        """Publish bars that have ended; called before what came after them.

        Args:
            hub: The market, and who listens.
            closed: The bars, in the order of their intervals and times.
        """

    def _follow_period(self, hub: Hub, number: int) -> None:
        """Publish what does not follow what happens, for a market that has listeners of such.

        Args:
            hub: The market, and who listens.
            number: Counts the periods, from 1.
        """

    def _follow_all_markets(self, number: int) -> None:
        """Publish the streams of all markets, while `_all_markets` has any; after the markets' own.

        Args:
            number: Counts the periods, from 1.
        """

    def _stream_opened(self, hub: Hub, key: StreamKey) -> None:
        """Take note that a stream of a market has its first listener.

        Args:
            hub: The market, and who listens.
            key: The stream.
        """

    def _stream_closed(self, hub: Hub, key: StreamKey) -> None:
        """Take note that a stream of a market has lost its last listener.

        Args:
            hub: The market, and who listens.
            key: The stream.
        """

    # Pace.

    @override
    def _start(self, tasks: TaskGroup) -> None:
        tasks.start_soon(self._pace)

    async def _pace(self) -> None:
        """Keep the markets' time with the event loop's."""
        origin_ns = self._loop_ns()
        while True:
            if self._paused:
                self._running = anyio.Event()
                await self._running.wait()
                origin_ns = self._loop_ns() - self._market_ns
                continue
            behind = self._loop_ns() - origin_ns - self._market_ns
            if behind > _MOST_BACKLOG_NS:
                origin_ns += behind - _MOST_BACKLOG_NS
            end_ns = min(self._loop_ns() - origin_ns, self._step_due(self._steps + _STEPS_PER_TURN))
            self._advance(end_ns)
            due = min(self._step_due(self._steps), (self._periods + 1) * self._period_ns)
            now = self._loop_ns()
            if origin_ns + due > now:
                await anyio.sleep(max(_TICK, (origin_ns + due - now) / _NANOSECONDS))
            else:
                await anyio.lowlevel.checkpoint()

    @staticmethod
    def _loop_ns() -> int:
        return int(anyio.current_time() * _NANOSECONDS)

    def _step_due(self, step: int) -> int:
        """Return when a step is due, in nanoseconds of the markets' time; the first one is step 0."""
        return int((step + 1) * _NANOSECONDS / self._rate)

    def _advance(self, end_ns: int) -> None:
        """Do all that is due by a time, in order."""
        while True:
            step_ns, period_ns = self._step_due(self._steps), (self._periods + 1) * self._period_ns
            due = min(step_ns, period_ns)
            if due > end_ns:
                break
            self._market_ns = max(self._market_ns, due)
            if step_ns <= period_ns:
                self._take_step(self._order[self._steps % len(self._order)])
            else:
                self._pass_period()
        self._market_ns = max(self._market_ns, end_ns)

    def _take_step(self, hub: Hub) -> MarketStep:
        self._steps += 1
        step = hub.market.step(self._stamp_us())
        if hub.feeds.by_channel:
            if step.closed_bars:
                self._follow_bars(hub, step.closed_bars)
            self._follow_step(hub, step)
        return step

    def _pass_period(self) -> None:
        self._periods += 1
        for hub in self._periodic:
            closed = hub.market.advance(self._stamp_us())
            if closed:
                self._note_bars(hub, closed)
                self._follow_bars(hub, closed)
            self._follow_period(hub, self._periods)
        if self._all_markets.by_channel:
            self._follow_all_markets(self._periods)

    def _stamp_us(self) -> int:
        if self._start_time_ns is None:
            return self._clock_ns() // 1_000
        return (self._start_time_ns + self._market_ns) // 1_000

    # Who listens.

    @override
    def _feed_opened(self, feed: Feed) -> None:
        key = self._parse_stream(feed.name)
        if key is None:
            return
        if not key.symbol:
            self._all_markets.add(key, feed)
            return
        hub = self._hubs.get(key.symbol)
        if hub is not None:
            hub.feeds.add(key, feed)
            if key.period_ms:
                self._periodic[hub] = self._periodic.get(hub, 0) + 1
            self._stream_opened(hub, key)

    @override
    def _feed_closed(self, feed: Feed) -> None:
        key = self._parse_stream(feed.name)
        if key is None:
            return
        if not key.symbol:
            self._all_markets.remove(key, feed)
            return
        hub = self._hubs.get(key.symbol)
        if hub is not None:
            hub.feeds.remove(key, feed)
            if key.period_ms:
                self._periodic[hub] -= 1
                if not self._periodic[hub]:
                    del self._periodic[hub]
            self._stream_closed(hub, key)


__all__ = ("MarketVenue",)
