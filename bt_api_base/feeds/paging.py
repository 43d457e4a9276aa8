"""Bars over any time range, a page after the other: none twice, none missing at a border."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from bt_api_base.containers import Bar
    from bt_api_base.feeds.venue_api import VenueApi

__all__ = ("KlinePages", "PagingProgress", "newest_bars", "period_ns")

_SECOND: Final = 1_000_000_000
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "M": 28 * 86_400, "y": 365 * 86_400}
_PERIOD: Final = re.compile(r"([1-9][0-9]{0,3})([smhdwMyHDWY])")


def period_ns(period: str) -> int:
    """Return the shortest that a bar of a period can be, in nanoseconds; a month has at least 28 days.

    Returns:
        The length; a millisecond, the venues' own unit, for a period in other words than ``"1m"``, ``"4h"``, ``"1M"``.
    """
    match = _PERIOD.fullmatch(period)
    if match is None:
        return 1_000_000
    unit = match[2] if match[2] in _UNITS else match[2].lower()
    return int(match[1]) * _UNITS[unit] * _SECOND


@attrs.frozen(kw_only=True)
class PagingProgress:
    """How far a download of bars has got.

    Attributes:
        pages: Pages so far.
        bars: Bars so far.
        position: Open time up to which they are complete, nanoseconds since the epoch (UTC).
        fraction: How much of the time range that is, from 0.0 to 1.0.
    """

    pages: int
    bars: int
    position: int
    fraction: float


@attrs.define(eq=False)
class KlinePages:
    """An async iterator over pages of bars, the oldest first, each a list that is not empty.

    Leaving the loop at any time is fine; a page is asked for when it is wanted.

    Attributes:
        api: The venue.
        symbol: Internal symbol.
        period: Such as ``"1m"``.
        start: Earliest open time, included, nanoseconds since the epoch (UTC).
        end: Open times before this, excluded.
        on_progress: Called after each page.
        page_size: Bars asked for at once; ``None``: as many as the venue gives.
    """

    api: VenueApi
    symbol: str
    period: str
    start: int
    end: int
    on_progress: Callable[[PagingProgress], object] | None = None
    page_size: int | None = None
    _next: int = attrs.field(init=False)
    _pages: int = attrs.field(default=0, init=False)
    _bars: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._next = self.start

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Bar]:
        """Return the next page.

        Raises:
            StopAsyncIteration: The range is complete, or the venue has no more.
            BtApiError: The venue could not be asked; the same page is asked for next time.

        Cancellation: The same page is asked for next time.
        """
        if self._next >= self.end:
            raise StopAsyncIteration
        most = self.api.max_klines if self.page_size is None else min(self.page_size, self.api.max_klines)
        page = await self.api.klines(self.symbol, self.period, start=self._next, end=self.end, count=most)
        bars = _in_order([bar for bar in page if self._next <= bar.open_time < self.end])
        if not bars:
            # Nothing from here on; what a venue leaves out, it leaves out inside of a page.
            self._report(self.end)
            self._next = self.end
            raise StopAsyncIteration
        # No bar begins before the last one is over, so nothing can be missed between the two pages.
        self._next = bars[-1].open_time + period_ns(self.period)
        self._pages += 1
        self._bars += len(bars)
        self._report(min(self._next, self.end))
        return bars

    def _report(self, position: int) -> None:
        if self.on_progress is not None:
            fraction = (position - self.start) / (self.end - self.start)
            self.on_progress(
                PagingProgress(pages=self._pages, bars=self._bars, position=position, fraction=min(1.0, fraction))
            )


async def newest_bars(api: VenueApi, symbol: str, period: str, count: int, end: int | None = None) -> list[Bar]:
    """Return the newest bars, the oldest of them first, in as many pages as it takes.

    Args:
        api: The venue.
        symbol: Internal symbol.
        period: Such as ``"1m"``.
        count: How many; fewer if the venue has no more.
        end: Open times before this, nanoseconds since the epoch (UTC); ``None``: up to now.

    Raises:
        BtApiError: The venue could not be asked.

    Cancellation: Nothing is kept.
    """
    bars: list[Bar] = []
    while len(bars) < count:
        wanted = min(count - len(bars), api.max_klines)
        page = await api.klines(symbol, period, end=end, count=wanted)
        older = _in_order([bar for bar in page if end is None or bar.open_time < end])[-wanted:]
        if not older:
            break
        bars = older + bars
        end = older[0].open_time
    return bars


def _in_order(bars: list[Bar]) -> list[Bar]:
    """Return bars by time, each once; of two for the same time, the later one."""
    by_time = {bar.open_time: bar for bar in bars}
    return [by_time[open_time] for open_time in sorted(by_time)]
