"""A venue that never was: Binance's spot market streams on loopback, over seeded markets, with faults on request.

It answers requests, numbers its updates and trades without a gap, and remembers what it sent, so that a client can be
tested, demonstrated and reconciled without an exchange. What the markets do depends on the seed only.

Example:
    ```python
    async with SimulatedVenue(("BTC-USDT",), seed=1, rate=100) as venue:
        config = WebSocketConfig(url=venue.url, exchange_name=venue.exchange_name)
        ...
        await venue.kill(seconds=0.5)
    ```
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel
import attrs
from typing_extensions import Unpack, override

from bt_api_base.testing.binance_frames import (
    StreamName,
    aggregate_trade_data,
    book_ticker_data,
    depth_data,
    kline_data,
    mini_ticker_data,
    parse_stream_name,
    partial_depth_data,
    ticker_data,
    trade_data,
)
from bt_api_base.testing.binance_venue import BinanceVenue
from bt_api_base.testing.market import Market, MarketSpec, MarketStep
from bt_api_base.testing.venue_connection import Feed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anyio.abc import TaskGroup

    from bt_api_base.testing.market_bars import ClosedBar, MarketBar
    from bt_api_base.testing.market_book import DepthRecorder
    from bt_api_base.testing.venue_options import VenueOptions

_NANOSECONDS: Final = 1_000_000_000
_PERIOD_NS: Final = 100_000_000
"""The shortest period of a stream that does not follow each event."""
_TICK: Final = 0.005
"""Seconds between two turns of the market at high rates: what happens in one goes out in one write."""
_MOST_BACKLOG_NS: Final = 250_000_000
"""How far the markets may fall behind their rate; beyond it they slow down."""
_STEPS_PER_TURN: Final = 256
"""Steps without letting other tasks run."""


@attrs.define(eq=False)
class _Hub:
    """One market and the feeds of its streams."""

    market: Market
    venue_symbol: str
    recorders: dict[int, DepthRecorder] = attrs.field(init=False)
    """Collected differences, by their period in milliseconds."""
    feeds: dict[str, dict[StreamName, list[Feed]]] = attrs.field(factory=dict[str, dict[StreamName, list[Feed]]])
    """By channel; two names can mean the same stream, hence the list."""

    def __attrs_post_init__(self) -> None:
        self.recorders = {period: self.market.record_depth() for period in (100, 1_000)}


class SimulatedVenue(BinanceVenue):
    """Markets of one's own behind Binance's spot market streams.

    Args:
        symbols: Internal symbols, for example "BTC-USDT", or specifications of markets.
        seed: What everything the markets do follows from.
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

    def __init__(
        self,
        symbols: Sequence[str | MarketSpec] = ("BTC-USDT", "ETH-USDT"),
        *,
        seed: int = 1,
        rate: float = 20.0,
        paused: bool = False,
        start_time_ns: int | None = None,
        exchange_name: str = "BINANCE___SPOT",
        **options: Unpack[VenueOptions],
    ) -> None:
        super().__init__(exchange_name=exchange_name, **options)
        markets = [Market(symbol, seed=seed) for symbol in symbols]
        self._hubs = {name.lower(): _Hub(market, name) for market in markets for name in [_venue_symbol(market.symbol)]}
        if not markets or len(self._hubs) != len(markets):
            raise ValueError("symbols must be at least one, and different")
        if not (rate > 0 and math.isfinite(rate)):
            raise ValueError(f"rate is {rate}, must be greater than 0")
        self.markets: Mapping[str, Market] = {market.symbol: market for market in markets}
        """The markets by internal symbol, to look at."""
        self._order = tuple(self._hubs.values())
        self._rate = rate * len(markets)
        self._start_time_ns = start_time_ns
        self._steps = 0
        self._periods = 0
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
            due = min(self._step_due(self._steps), (self._periods + 1) * _PERIOD_NS)
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
            step_ns, period_ns = self._step_due(self._steps), (self._periods + 1) * _PERIOD_NS
            due = min(step_ns, period_ns)
            if due > end_ns:
                break
            self._market_ns = max(self._market_ns, due)
            if step_ns <= period_ns:
                hub = self._order[self._steps % len(self._order)]
                self._steps += 1
                self._follow_step(hub, hub.market.step(self._stamp_us()))
            else:
                self._periods += 1
                for hub in self._order:
                    self._follow_period(hub)
        self._market_ns = max(self._market_ns, end_ns)

    def _stamp_us(self) -> int:
        if self._start_time_ns is None:
            return self._clock_ns() // 1_000
        return (self._start_time_ns + self._market_ns) // 1_000

    # From market events to frames. Nothing is encoded that nobody listens to.

    def _follow_step(self, hub: _Hub, step: MarketStep) -> None:
        feeds, symbol = hub.feeds, hub.venue_symbol
        if step.closed_bars:
            self._publish_closed(hub, step.closed_bars)
        if step.trades:
            for feed in _all(feeds, "trade"):
                for trade in step.trades:
                    self._publish(feed, trade.id, partial(trade_data, symbol, trade))
            for feed in _all(feeds, "aggTrade"):
                for fill in step.aggregates:
                    self._publish(feed, fill.id, partial(aggregate_trade_data, symbol, fill))
        if step.best_changed:
            best = hub.market.best
            for feed in _all(feeds, "bookTicker"):
                self._publish(feed, best.update_id, book_ticker_data(symbol, best))

    def _follow_period(self, hub: _Hub) -> None:
        market = hub.market
        closed = market.advance(self._stamp_us())
        if closed:
            self._publish_closed(hub, closed)
        self._publish_depth(hub, 100)
        if self._periods % 10 == 0:
            self._publish_depth(hub, 1_000)
            self._publish_tickers(hub)
            for name, feeds in hub.feeds.get("kline", {}).items():
                bar = market.bar(name.interval)
                if bar is not None and (name.period_ms == 1_000 or self._periods % 20 == 0):
                    self._publish_bar(hub, feeds, name.interval, bar, closed=False)

    def _publish_depth(self, hub: _Hub, period_ms: int) -> None:
        change = hub.recorders[period_ms].take()  # also when nobody listens: it must not collect for ever
        if change is None:
            return
        encode = partial(depth_data, hub.venue_symbol, change, hub.market.time_us)
        for feed in _all(hub.feeds, "depth", period_ms):
            self._publish(feed, change.last_update_id, encode)
        for name, feeds in hub.feeds.get("partialDepth", {}).items():
            if name.period_ms == period_ms:
                snapshot = hub.market.depth(name.levels)
                for feed in feeds:
                    self._publish(feed, snapshot.last_update_id, partial_depth_data(snapshot))

    def _publish_tickers(self, hub: _Hub) -> None:
        market, symbol, time_us = hub.market, hub.venue_symbol, hub.market.time_us
        tickers, mini_tickers = _all(hub.feeds, "ticker"), _all(hub.feeds, "miniTicker")
        day = market.day() if tickers or mini_tickers else None
        if day is None:
            return
        for feed in tickers:
            self._publish(feed, time_us, partial(ticker_data, symbol, day, market.best, time_us))
        for feed in mini_tickers:
            self._publish(feed, time_us, partial(mini_ticker_data, symbol, day, time_us))

    def _publish_closed(self, hub: _Hub, closed_bars: tuple[ClosedBar, ...]) -> None:
        for name, feeds in hub.feeds.get("kline", {}).items():
            for closed in closed_bars:
                if closed.interval == name.interval:
                    self._publish_bar(hub, feeds, closed.interval, closed.bar, closed=True)

    def _publish_bar(self, hub: _Hub, feeds: list[Feed], interval: str, bar: MarketBar, *, closed: bool) -> None:
        time_us = hub.market.time_us
        for feed in feeds:
            self._publish(feed, time_us, partial(kline_data, hub.venue_symbol, interval, bar, time_us, closed=closed))

    @override
    def _feed_opened(self, feed: Feed) -> None:
        name = parse_stream_name(feed.name)
        hub = self._hubs.get(name.symbol) if name is not None else None
        if name is not None and hub is not None:
            hub.feeds.setdefault(name.channel, {}).setdefault(name, []).append(feed)

    @override
    def _feed_closed(self, feed: Feed) -> None:
        name = parse_stream_name(feed.name)
        hub = self._hubs.get(name.symbol) if name is not None else None
        if name is not None and hub is not None:
            feeds = hub.feeds[name.channel]
            feeds[name].remove(feed)
            if not feeds[name]:
                del feeds[name]


def _venue_symbol(symbol: str) -> str:
    return symbol.replace("-", "").upper()


def _all(feeds: dict[str, dict[StreamName, list[Feed]]], channel: str, period_ms: int | None = None) -> list[Feed]:
    named = feeds.get(channel)
    if not named:
        return []
    return [feed for name, same in named.items() if period_ms in {None, name.period_ms} for feed in same]


__all__ = ("SimulatedVenue",)
