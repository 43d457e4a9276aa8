"""A price over time in a fixed amount of memory, with the times at which nothing could be known marked."""

from __future__ import annotations

from itertools import pairwise

import attrs

__all__ = ("PriceHistory", "sparkline")

_BARS = "▁▂▃▄▅▆▇█"
_NOTHING_YET = " "
_GAP = "×"


@attrs.define(eq=False)
class PriceHistory:
    """The last price of each of a row of equally long time buckets.

    When the row is full it either forgets its oldest bucket or, to cover everything since the start, joins buckets in
    pairs and makes them twice as long.

    Attributes:
        capacity: Most buckets kept; even.
        bucket_ns: Length of a bucket, nanoseconds.
        whole: Whether to cover everything since the start.
        prices: The buckets' last prices; ``None`` before the first one.
        gaps: For each bucket, whether part of it lies in a gap.
    """

    capacity: int
    bucket_ns: int
    whole: bool = attrs.field(default=False, kw_only=True)
    prices: list[float | None] = attrs.field(factory=list[float | None], init=False)
    gaps: list[bool] = attrs.field(factory=list[bool], init=False)
    _last: int = attrs.field(default=-1, init=False)

    def add(self, time_ns: int, price: float) -> None:
        """Note a price. One that comes from before the last bucket counts for the last bucket."""
        if time_ns // self.bucket_ns > self._last:
            self.advance(time_ns)
        self.prices[-1] = price

    def advance(self, time_ns: int) -> None:
        """Let time pass: buckets without a price of their own carry the one before on."""
        target = time_ns // self.bucket_ns
        if not self.prices:
            self._last = target
            self._append(1)
            return
        while (missing := target - self._last) > 0:
            room = self.capacity - len(self.prices)
            if self.whole and missing > room:
                self._append(room)
                self._last += room
                self._halve()
                target = time_ns // self.bucket_ns
            else:
                self._append(min(missing, self.capacity))
                self._last = target

    def mark_gap(self, since_ns: int, until_ns: int) -> None:
        """Mark the buckets that a gap touches, as far as they exist."""
        if not self.prices:
            return
        self.advance(until_ns)
        size = len(self.prices)
        first = max(0, size - 1 - (self._last - since_ns // self.bucket_ns))
        last = size - 1 - (self._last - until_ns // self.bucket_ns)
        for index in range(first, last + 1):
            self.gaps[index] = True

    def _append(self, count: int) -> None:
        self.prices.extend([self.prices[-1] if self.prices else None] * count)
        self.gaps.extend([False] * count)
        surplus = len(self.prices) - self.capacity
        if surplus > 0:
            del self.prices[:surplus], self.gaps[:surplus]

    def _halve(self) -> None:
        """Join buckets in pairs. Pairs are aligned to the clock, so the first bucket may stay alone."""
        first = self._last - len(self.prices) + 1
        prices: list[float | None] = []
        gaps: list[bool] = []
        previous: int | None = None
        for index, (price, gap) in enumerate(zip(self.prices, self.gaps, strict=True), first):
            if index // 2 == previous:
                prices[-1] = price
                gaps[-1] |= gap
            else:
                prices.append(price)
                gaps.append(gap)
                previous = index // 2
        self.prices, self.gaps = prices, gaps
        self.bucket_ns *= 2
        self._last //= 2


def sparkline(history: PriceHistory, width: int, *, gap: str = _GAP) -> str:
    """Draw a history in ``width`` characters or fewer: a bar per bucket, the newest on the right.

    The lowest and the highest price drawn take the lowest and the highest bar. A bucket that a gap touches is drawn
    as ``gap`` instead. A history of more buckets than fit is drawn with its end, or, if it covers everything since the
    start, with several buckets to a bar.
    """
    prices, gaps = history.prices, history.gaps
    if history.whole and len(prices) > width:
        edges = [len(prices) * i // width for i in range(width + 1)]
        gaps = [any(gaps[begin:end]) for begin, end in pairwise(edges)]
        prices = [prices[end - 1] for end in edges[1:]]
    prices, gaps = prices[-width:], gaps[-width:]
    known = [price for price in prices if price is not None]
    low = min(known, default=0.0)
    span = max(known, default=0.0) - low
    return "".join(
        gap if missing else _NOTHING_YET if price is None else _bar(price - low, span)
        for price, missing in zip(prices, gaps, strict=True)
    )


def _bar(height: float, span: float) -> str:
    if span <= 0.0:
        return _BARS[3]  # a price that did not move: a line at half height
    return _BARS[min(len(_BARS) - 1, int(height / span * len(_BARS)))]
