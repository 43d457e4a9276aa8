"""What a market's REST endpoints tell of its past: bars and trades since it was made, and its history before that."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from bt_api_base.testing.market import AggregateTrade
from bt_api_base.testing.market_bars import DayStatistics, MarketBar, interval_bounds
from bt_api_base.testing.rest_history import LISTED_US, MINUTE_US, TRADE_US, MarketHistory

if TYPE_CHECKING:
    from bt_api_base.testing.market import Market, MarketStep
    from bt_api_base.testing.market_bars import ClosedBar, MarketTrade

_MOST_MINUTES: Final = 100_000
_MOST_SECONDS: Final = 3_600
_MOST_TRADES: Final = 1_000


class MarketRecords:
    """Remembers what a market does.

    Args:
        market: The market, before its first step.
        seed: What its history follows from.
    """

    def __init__(self, market: Market, seed: int) -> None:
        self._market = market
        self._seed = seed
        self._history: MarketHistory | None = None
        self._minutes: dict[int, MarketBar] = {}
        self._seconds: dict[int, MarketBar] = {}
        self._trades: deque[MarketTrade] = deque(maxlen=_MOST_TRADES)
        self._aggregates: deque[AggregateTrade] = deque(maxlen=_MOST_TRADES)
        self._first_trade_id = market.last_trade_id + 1
        self._first_aggregate_id = self._first_trade_id * 3 // 4
        self._start_us = 0

    def begin(self, time_us: int) -> None:
        """Let the market's own time begin; again where a venue is entered again.

        Args:
            time_us: Microseconds since the epoch.
        """
        if not self._start_us:
            self._start_us = time_us // MINUTE_US * MINUTE_US

    def note_step(self, step: MarketStep) -> None:
        """Remember a step."""
        if step.trades:
            self._trades.extend(step.trades)
            self._aggregates.extend(step.aggregates)
        if step.closed_bars:
            self.note_bars(step.closed_bars)

    def note_bars(self, closed: tuple[ClosedBar, ...]) -> None:
        """Remember bars that have ended."""
        for one in closed:
            if one.interval == "1m":
                _keep(self._minutes, one.bar, _MOST_MINUTES)
            elif one.interval == "1s":
                _keep(self._seconds, one.bar, _MOST_SECONDS)

    @property
    def history(self) -> MarketHistory:
        """What was before the market."""
        if self._history is None:
            self._history = MarketHistory(self._market.spec, self._seed, self._start_us)
        return self._history

    def bars(
        self, interval: str, now_us: int, *, start_us: int | None, end_us: int | None, limit: int, shift_us: int = 0
    ) -> list[MarketBar]:
        """Return bars, the oldest first.

        Args:
            interval: A key of `bt_api_base.testing.market_bars.INTERVALS_US`.
            now_us: Now, microseconds since the epoch: the last bar is the one of now, so far.
            start_us: The first open time at the earliest; None for the newest bars.
            end_us: The last open time at the latest; None: now.
            limit: At most so many.
            shift_us: How far the boundaries' time zone is ahead of UTC.
        """

        def bounds(time_us: int) -> tuple[int, int]:
            begin, end = interval_bounds(interval, time_us + shift_us)
            return begin - shift_us, end - shift_us

        latest = now_us if end_us is None else min(end_us, now_us)
        found: list[tuple[int, int]] = []
        if start_us is None:
            span = bounds(latest)
            while len(found) < limit and span[0] >= LISTED_US:
                found.append(span)
                span = bounds(span[0] - 1)
            found.reverse()
        else:
            span = bounds(max(start_us, LISTED_US))
            if span[0] < max(start_us, LISTED_US):
                span = bounds(span[1])
            while len(found) < limit and span[0] <= latest:
                found.append(span)
                span = bounds(span[1])
        return [self._bar(begin, end, now_us) for begin, end in found]

    def trades(self, limit: int, *, from_id: int | None = None) -> list[MarketTrade]:
        """Return trades, the oldest first.

        Args:
            limit: At most so many.
            from_id: The first; None for the newest.
        """
        if from_id is None:
            recent = list(self._trades)[-limit:]
            most = min(limit - len(recent), self._most_past) if self._has_all_trades else 0
            return [self.history.trade(back, self._first_trade_id) for back in range(most, 0, -1)] + recent
        first = self._first_trade_id
        past = [
            self.history.trade(first - number, first)
            for number in range(max(from_id, first - self._most_past), min(first, from_id + limit))
        ]
        return (past + [trade for trade in self._trades if trade.id >= from_id])[:limit]

    def aggregates(
        self, limit: int, *, from_id: int | None = None, start_us: int | None = None, end_us: int | None = None
    ) -> list[AggregateTrade]:
        """Return trades by taker and price, the oldest first.

        Args:
            limit: At most so many.
            from_id: The first; None for the first of a time, or the newest.
            start_us: The time of the first at the earliest, microseconds since the epoch.
            end_us: The time of the last at the latest.
        """
        end = end_us if end_us is not None else 1 << 62
        recent = [one for one in self._aggregates if one.time_us <= end]
        origin, most = self.history.end_us, self._most_past
        if from_id is not None:
            after = self._first_aggregate_id - from_id
            recent = [one for one in recent if one.id >= from_id]
        elif start_us is not None:
            after = (origin - start_us) // TRADE_US
            recent = [one for one in recent if one.time_us >= start_us]
        else:
            newest_past = max(1, -((end - origin) // TRADE_US)) if end < origin else 1
            after = newest_past - 1 + max(0, limit - len(recent)) if len(recent) < limit else 0
            recent = recent[-limit:]
        past: list[AggregateTrade] = []
        for back in range(min(after, most), 0, -1):
            if len(past) == limit:
                break
            trade = self.history.trade(back, self._first_trade_id)
            if trade.time_us > end:
                break
            number = self._first_aggregate_id - back
            values = (trade.time_us, trade.price, trade.quantity, trade.id, trade.id, trade.buyer_is_maker)
            past.append(AggregateTrade(number, *values))
        return (past + recent)[:limit]

    def day(self, now_us: int) -> DayStatistics:
        """Return the statistics of the last 24 hours; before the first trade, of none.

        Args:
            now_us: Now, microseconds since the epoch.
        """
        known = self._market.day()
        if known is not None:
            return known
        price = self._market.spec.price
        return DayStatistics(MarketBar.flat((now_us - 86_400_000_000, now_us), price), price, 0, now_us)

    def last_price(self) -> int:
        """Return the price of the last trade, in atoms; before the first one, the market's first price."""
        bar = self._market.bar("1m")
        return self._market.spec.price if bar is None else bar.close

    @property
    def _has_all_trades(self) -> bool:
        return len(self._trades) < _MOST_TRADES

    @property
    def _most_past(self) -> int:
        return min(self._first_aggregate_id - 1, (self._start_us - LISTED_US) // TRADE_US)

    def _bar(self, begin: int, end: int, now_us: int) -> MarketBar:
        start = self._start_us
        total = self.history.bar(begin, min(end, start)) if begin < start else None
        if end > start:
            live = self._live(max(begin, start), end, now_us)
            if total is None:
                total = live
            else:
                total.merge(live)
        if total is None:  # pragma: no cover  # begin < end, so that one of them is
            raise ValueError("a bar has a length")
        total.open_time_us, total.end_time_us = begin, end
        return total

    def _live(self, begin: int, end: int, now_us: int) -> MarketBar:
        """Return the bar of a time since the market was made."""
        is_second = end - begin < MINUTE_US
        bars, step = (self._seconds, 1_000_000) if is_second else (self._minutes, MINUTE_US)
        total = MarketBar.flat((begin, end), self._close_before(begin))
        current = self._market.bar("1s" if is_second else "1m")
        for time_us in range(begin, min(end, now_us + 1), step):
            bar = bars.get(time_us)
            if bar is None and current is not None and current.open_time_us == time_us:
                bar = current
            if bar is not None:
                total.merge(bar)
        return total

    def _close_before(self, time_us: int) -> int:
        """Return the last price before a time."""
        before = time_us // MINUTE_US * MINUTE_US - MINUTE_US
        while before >= self._start_us:
            bar = self._minutes.get(before)
            if bar is not None:
                return bar.close
            before -= MINUTE_US
        return self._market.spec.price


def _keep(bars: dict[int, MarketBar], bar: MarketBar, most: int) -> None:
    bars[bar.open_time_us] = bar
    if len(bars) > most:
        del bars[next(iter(bars))]


__all__ = ("MarketRecords",)
