"""What a simulated market's trades add up to: bars of every interval, and the statistics of the last 24 hours."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timezone
from itertools import islice
from typing import TYPE_CHECKING, Final

import attrs
import msgspec

from bt_api_base.testing.market_book import ATOMS_PER_UNIT

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECOND: Final = 1_000_000
_DAY: Final = 86_400 * _SECOND
_SHIFT: Final = 8 * 3_600 * _SECOND
_MONDAY: Final = 4 * _DAY
"""The first Monday after the epoch, which was a Thursday."""

INTERVALS_US: Final[dict[str, int]] = {
    "1s": _SECOND,
    "1m": 60 * _SECOND,
    "3m": 180 * _SECOND,
    "5m": 300 * _SECOND,
    "15m": 900 * _SECOND,
    "30m": 1_800 * _SECOND,
    "1h": 3_600 * _SECOND,
    "2h": 7_200 * _SECOND,
    "4h": 14_400 * _SECOND,
    "6h": 21_600 * _SECOND,
    "8h": 28_800 * _SECOND,
    "12h": 43_200 * _SECOND,
    "1d": _DAY,
    "3d": 3 * _DAY,
    "1w": 7 * _DAY,
    "1M": 31 * _DAY,
}
"""Length of each interval in microseconds; a month's is the longest it can be."""

_SHIFTED: Final = "@+08:00"
"""Ends the name of an interval whose bars begin on the boundaries of UTC+8, for example "1d@+08:00"."""

_BARS: Final = (*INTERVALS_US, *(interval + _SHIFTED for interval in ("6h", "12h", "1d", "3d", "1w", "1M")))
"""All bars that are kept."""


def shifted_interval(interval: str) -> str:
    """Return the name of an interval's bars in UTC+8: the same where the boundaries are, as for hours.

    Args:
        interval: A key of `INTERVALS_US`.
    """
    return interval + _SHIFTED if interval + _SHIFTED in _BARS else interval


_MOST_EMPTY_BARS: Final = 60
"""Bars without trades that are made up for one step of the clock: a suspended machine must not yield a million."""


class MarketTrade(msgspec.Struct, frozen=True, gc=False):
    """One fill.

    Attributes:
        id: Number of the trade; they follow each other without a gap.
        time_us: Microseconds since the epoch.
        price: In atoms.
        quantity: In atoms.
        buyer_is_maker: True when the taker sold.
    """

    id: int
    time_us: int
    price: int
    quantity: int
    buyer_is_maker: bool


def interval_bounds(interval: str, time_us: int) -> tuple[int, int]:
    """Return when the bar that contains a time begins and when the next one does.

    Args:
        interval: A key of `INTERVALS_US`, or what `shifted_interval` returned.
        time_us: Microseconds since the epoch.

    Returns:
        Both in microseconds since the epoch, on UTC boundaries; weeks begin on Monday.
    """
    if interval.endswith(_SHIFTED):
        begin, following_begin = interval_bounds(interval[: -len(_SHIFTED)], time_us + _SHIFT)
        return begin - _SHIFT, following_begin - _SHIFT
    if interval == "1M":
        month = datetime.fromtimestamp(time_us // _SECOND, timezone.utc).replace(
            day=1, hour=0, minute=0, second=0, microsecond=0
        )
        following = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
        return int(month.timestamp()) * _SECOND, int(following.timestamp()) * _SECOND
    length = INTERVALS_US[interval]
    offset = _MONDAY if interval == "1w" else 0
    begin = (time_us - offset) // length * length + offset
    return begin, begin + length


@attrs.define(eq=False)
class MarketBar:
    """Open, high, low, close and sums over some trades. Prices, volumes and quote volumes are in atoms.

    A bar without trades has the close before it as all four prices, and -1 as its trade ids.
    """

    open_time_us: int
    end_time_us: int
    """When the next bar begins."""
    open: int
    high: int
    low: int
    close: int
    volume: int = 0
    quote_volume: int = 0
    taker_volume: int = 0
    """Volume that takers bought."""
    taker_quote_volume: int = 0
    count: int = 0
    first_trade_id: int = -1
    last_trade_id: int = -1

    @classmethod
    def flat(cls, bounds: tuple[int, int], price: int) -> MarketBar:
        """Return a bar without trades.

        Args:
            bounds: As `interval_bounds` returns them.
            price: The last price before it.
        """
        return cls(*bounds, price, price, price, price)

    def add(self, trade: MarketTrade) -> None:
        """Count a trade."""
        price, quantity = trade.price, trade.quantity
        quote = price * quantity // ATOMS_PER_UNIT
        if not self.count:
            self.open = self.high = self.low = price
            self.first_trade_id = trade.id
        elif price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.close = price
        self.volume += quantity
        self.quote_volume += quote
        if not trade.buyer_is_maker:
            self.taker_volume += quantity
            self.taker_quote_volume += quote
        self.count += 1
        self.last_trade_id = trade.id

    def merge(self, later: MarketBar) -> None:
        """Count the trades of another bar, all of them later than those counted here."""
        if not later.count:
            return
        if not self.count:
            self.open, self.high, self.low = later.open, later.high, later.low
            self.first_trade_id = later.first_trade_id
        else:
            self.high = max(self.high, later.high)
            self.low = min(self.low, later.low)
        self.close = later.close
        self.volume += later.volume
        self.quote_volume += later.quote_volume
        self.taker_volume += later.taker_volume
        self.taker_quote_volume += later.taker_quote_volume
        self.count += later.count
        self.last_trade_id = later.last_trade_id


class ClosedBar(msgspec.Struct, frozen=True):
    """A bar whose time has passed.

    Attributes:
        interval: Its length, a key of `INTERVALS_US`, or what `shifted_interval` returns for it.
        bar: The bar; it does not change any more.
    """

    interval: str
    bar: MarketBar


class DayStatistics(msgspec.Struct, frozen=True):
    """The last 24 hours, or another time up to now, to the minute.

    Attributes:
        bar: All trades of the window as one bar.
        previous_close: The last price before the window; the first trade's while the market is younger than it.
        last_quantity: Quantity of the last trade, in atoms.
        last_time_us: Time of the last trade, in microseconds since the epoch.
    """

    bar: MarketBar
    previous_close: int
    last_quantity: int
    last_time_us: int = 0


class MarketBars:
    """Keeps the current bar of every interval.

    A trade is added to one short bar only, which is merged into the others once a second or when one of them is asked
    for: all intervals cost a trade no more than one.
    """

    __slots__ = ("_current", "_last_quantity", "_last_time_us", "_minutes", "_pending", "_previous_close")

    def __init__(self) -> None:
        self._pending: MarketBar | None = None
        self._current: dict[str, MarketBar] = {}
        self._minutes: deque[MarketBar] = deque()
        self._previous_close = 0
        self._last_quantity = 0
        self._last_time_us = 0

    def add(self, trade: MarketTrade) -> None:
        """Count a trade; `advance` to its time first."""
        if self._pending is None:
            bounds = interval_bounds("1s", trade.time_us)
            self._pending = MarketBar.flat(bounds, trade.price)
            if not self._current:
                self._previous_close = trade.price
                for interval in _BARS:
                    self._current[interval] = MarketBar.flat(interval_bounds(interval, trade.time_us), trade.price)
        self._pending.add(trade)
        self._last_quantity = trade.quantity
        self._last_time_us = trade.time_us

    def advance(self, time_us: int) -> tuple[ClosedBar, ...]:
        """Let time pass.

        Args:
            time_us: Microseconds since the epoch.

        Returns:
            The bars that ended, in the order of their intervals and times.
        """
        if not self._current or time_us < self._current["1s"].end_time_us:
            return ()
        self._fold()
        return tuple(ClosedBar(interval, bar) for interval in _BARS for bar in self._close_before(interval, time_us))

    def current(self, interval: str) -> MarketBar | None:
        """Return the bar that is being formed, or None before the first trade.

        Args:
            interval: A key of `INTERVALS_US`, or what `shifted_interval` returned.
        """
        self._fold()
        return self._current.get(interval)

    def day(self, time_us: int) -> DayStatistics | None:
        """Return the statistics of the last 24 hours, or None before the first trade.

        Args:
            time_us: Now, in microseconds since the epoch.
        """
        return self._statistics(time_us - _DAY, time_us)

    def window(self, length_us: int, time_us: int) -> DayStatistics | None:
        """Return the statistics of a time up to now, or None before the first trade.

        Args:
            length_us: How long, at most 24 hours; it is made longer so that it begins with a minute.
            time_us: Now, in microseconds since the epoch.
        """
        minute = 60 * _SECOND
        return self._statistics((time_us - length_us) // minute * minute, time_us)

    def _statistics(self, begin: int, time_us: int) -> DayStatistics | None:
        minute = self.current("1m")
        if minute is None:
            return None
        while self._minutes and self._minutes[0].end_time_us <= time_us - _DAY - 60 * _SECOND:
            self._previous_close = self._minutes.popleft().close
        previous_close, first = self._previous_close, 0
        for bar in self._minutes:
            if bar.end_time_us > begin:
                break
            previous_close, first = bar.close, first + 1
        total = MarketBar.flat((begin, time_us), previous_close)
        for bar in islice(self._minutes, first, None):
            total.merge(bar)
        total.merge(minute)
        return DayStatistics(total, previous_close, self._last_quantity, self._last_time_us)

    def _fold(self) -> None:
        if self._pending is not None:
            for bar in self._current.values():
                bar.merge(self._pending)
            self._pending = None

    def _close_before(self, interval: str, time_us: int) -> Iterator[MarketBar]:
        for _ in range(_MOST_EMPTY_BARS):
            bar = self._current[interval]
            if time_us < bar.end_time_us:
                return
            if interval == "1m" and bar.count:
                self._minutes.append(bar)
            self._current[interval] = MarketBar.flat(interval_bounds(interval, bar.end_time_us), bar.close)
            yield bar
        bounds = interval_bounds(interval, time_us)
        self._current[interval] = MarketBar.flat(bounds, self._current[interval].close)


__all__ = (
    "INTERVALS_US",
    "ClosedBar",
    "DayStatistics",
    "MarketBar",
    "MarketBars",
    "MarketTrade",
    "interval_bounds",
    "shifted_interval",
)
