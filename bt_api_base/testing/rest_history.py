"""What a simulated market did before it was made: bars for any time, from a seed, without having been there.

Prices follow a curve that can be asked for at any hour, and each hour one of a few shapes. So a bar of a month costs
no more than its hours, and bars of all lengths agree: a longer one is what its minutes add up to.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, NamedTuple

from bt_api_base.testing.market_bars import MarketBar, MarketTrade
from bt_api_base.testing.market_book import ATOMS_PER_UNIT

if TYPE_CHECKING:
    from bt_api_base.testing.market import MarketSpec

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
LISTED_US: Final = 1_502_942_400 * SECOND_US
"""When every market was listed, 2017-08-17: there is nothing before."""

TRADE_US: Final = 500_000
"""From one trade of the past to the next."""

_UNITS: Final = 4_000
"""The curve moves in this fraction of the market's first price."""
_WAVES: Final = ((7, 60), (31, 140), (173, 350), (997, 650))
"""Hours from one turning point to the next, and the most it moves by, in units: in sum less than a third of a price."""
_SHAPES: Final = 4


class _Shape(NamedTuple):
    """How an hour goes, minute by minute; prices in wiggles around the line from its open to its close."""

    prices: tuple[int, ...]
    above: tuple[int, ...]
    below: tuple[int, ...]
    lots: tuple[int, ...]
    taker_lots: tuple[int, ...]
    counts: tuple[int, ...]


class _Sums(NamedTuple):
    """A part of an hour; prices in ticks from the hour's level on the curve, quantities in lots."""

    open: int
    high: int
    low: int
    close: int
    lots: int
    ticks: int
    taker_lots: int
    taker_ticks: int
    trades: int


class MarketHistory:
    """The past of a market.

    Args:
        spec: What it trades in.
        seed: What the past follows from, together with the symbol.
        end_us: Where it ends, microseconds since the epoch: the beginning of a minute. The last close is the first
            price of the market.
    """

    def __init__(self, spec: MarketSpec, seed: int, end_us: int) -> None:
        self.end_us = end_us
        """Where it ends, microseconds since the epoch."""
        self._spec = spec
        rng = random.Random(f"{seed}/{spec.symbol}/history")  # noqa: S311  # repeatable, as promised
        self._salt = rng.getrandbits(64)
        typical = max(20, 20_000 * ATOMS_PER_UNIT**2 // (spec.price * spec.lot))
        self._shapes = tuple(_shape(rng, typical) for _ in range(_SHAPES))
        self._unit = max(1, spec.price // spec.tick // _UNITS)
        self._wiggle = max(1, self._unit // 4)
        self._turns: dict[tuple[int, int], int] = {}
        self._hours: dict[tuple[int, int], _Sums] = {}
        self._origin = 0
        self._origin = spec.price // spec.tick - self._ticks(end_us // MINUTE_US)

    def price(self, time_us: int) -> int:
        """Return the price at the beginning of a minute, in atoms.

        Args:
            time_us: Microseconds since the epoch.
        """
        return self._ticks(time_us // MINUTE_US) * self._spec.tick

    def bar(self, begin_us: int, end_us: int) -> MarketBar:
        """Return all trades of a time as one bar.

        Args:
            begin_us: Its beginning, microseconds since the epoch: that of a minute, or of a second.
            end_us: Its end; of a second, the next one.
        """
        if end_us - begin_us < MINUTE_US:
            return self._second(begin_us, end_us)
        total: MarketBar | None = None
        minute, last = begin_us // MINUTE_US, end_us // MINUTE_US
        while minute < last:
            hour, within = divmod(minute, 60)
            until = min(60, within + last - minute)
            part = self._part(hour, within, until)
            if total is None:
                total = part
            else:
                total.merge(part)
            minute += until - within
        if total is None:
            raise ValueError("a bar has at least a minute, or a second")
        total.open_time_us, total.end_time_us = begin_us, end_us
        return total

    def trade(self, back: int, first_id: int) -> MarketTrade:
        """Return a trade of the past.

        Args:
            back: Which: 1 is the last one before the market was made.
            first_id: Number of the first trade of the market itself.
        """
        time_us = self.end_us - back * TRADE_US
        draw = self._draw(9, back)
        quantity = (1 + draw % 97) * self._spec.lot
        price = self._ticks(time_us // MINUTE_US) + (draw >> 8) % 3
        return MarketTrade(first_id - back, time_us, price * self._spec.tick, quantity, bool(draw >> 16 & 1))

    def _second(self, begin_us: int, end_us: int) -> MarketBar:
        """Return a second of a minute: all of them on the line from its open to its close, with as much each."""
        minute, tick = begin_us // MINUTE_US, self._spec.tick
        second = begin_us % MINUTE_US // SECOND_US
        before, after = self._ticks(minute), self._ticks(minute + 1)
        opened = (before + (after - before) * second // 60) * tick
        closed = (before + (after - before) * (second + 1) // 60) * tick
        bar = MarketBar.flat((begin_us, end_us), opened)
        bar.close, bar.high, bar.low, bar.count = closed, max(opened, closed), min(opened, closed), 1
        bar.volume = (1 + self._draw(8, begin_us // SECOND_US) % 50) * self._spec.lot
        bar.quote_volume = bar.volume * opened // ATOMS_PER_UNIT
        return bar

    def _part(self, hour: int, begin: int, end: int) -> MarketBar:
        """Return some minutes of an hour as a bar."""
        level, rise, shape = self._level(hour), self._level(hour + 1) - self._level(hour), self._shape(hour)
        sums = self._sums(rise, shape, begin, end)
        base = self._origin + level * self._unit
        busy = 1 + self._draw(5, hour) % 4
        tick, lot, worth = self._spec.tick, self._spec.lot, self._spec.tick * self._spec.lot // ATOMS_PER_UNIT
        return MarketBar(
            hour * HOUR_US + begin * MINUTE_US,
            hour * HOUR_US + end * MINUTE_US,
            (base + sums.open) * tick,
            (base + sums.high) * tick,
            (base + sums.low) * tick,
            (base + sums.close) * tick,
            busy * sums.lots * lot,
            busy * (sums.lots * base + sums.ticks) * worth,
            busy * sums.taker_lots * lot,
            busy * (sums.taker_lots * base + sums.taker_ticks) * worth,
            busy * sums.trades,
        )

    def _sums(self, rise: int, number: int, begin: int, end: int) -> _Sums:
        is_hour = end - begin == 60
        known = self._hours.get((rise, number)) if is_hour else None
        if known is not None:
            return known
        shape, wiggle = self._shapes[number], self._wiggle
        line = [rise * self._unit * i // 60 + shape.prices[i] * wiggle for i in range(begin, end + 1)]
        steps = range(end - begin)
        middles = [(line[i] + line[i + 1]) // 2 for i in steps]
        sums = _Sums(
            open=line[0],
            high=max(max(line[i], line[i + 1]) + shape.above[begin + i] * wiggle for i in steps),
            low=min(min(line[i], line[i + 1]) - shape.below[begin + i] * wiggle for i in steps),
            close=line[-1],
            lots=sum(shape.lots[begin:end]),
            ticks=sum(shape.lots[begin + i] * middles[i] for i in steps),
            taker_lots=sum(shape.taker_lots[begin:end]),
            taker_ticks=sum(shape.taker_lots[begin + i] * middles[i] for i in steps),
            trades=sum(shape.counts[begin:end]),
        )
        if is_hour:
            self._hours[rise, number] = sums
        return sums

    def _ticks(self, minute: int) -> int:
        """Return the price at the beginning of a minute, in ticks."""
        hour, within = divmod(minute, 60)
        level = self._level(hour)
        rise = (self._level(hour + 1) - level) * self._unit * within // 60
        wiggle = self._shapes[self._shape(hour)].prices[within] * self._wiggle
        return self._origin + level * self._unit + rise + wiggle

    def _shape(self, hour: int) -> int:
        return self._draw(4, hour) % _SHAPES

    def _level(self, hour: int) -> int:
        """Return where the curve is at the beginning of an hour, in units."""
        level = 0
        for wave, (hours, most) in enumerate(_WAVES):
            turn, within = divmod(hour, hours)
            before, after = self._turn(wave, turn, most), self._turn(wave, turn + 1, most)
            level += before + (after - before) * within // hours
        return level

    def _turn(self, wave: int, turn: int, most: int) -> int:
        known = self._turns.get((wave, turn))
        if known is None:
            known = self._turns[wave, turn] = self._draw(wave, turn) % (2 * most + 1) - most
        return known

    def _draw(self, purpose: int, number: int) -> int:
        """Return 64 bits that belong to a number, the same whenever they are asked for."""
        bits = (self._salt + purpose * 0x9E3779B97F4A7C15 + number * 0xD1B54A32D192ED03) & 0xFFFFFFFFFFFFFFFF
        bits = ((bits ^ bits >> 30) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        bits = ((bits ^ bits >> 27) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        return bits ^ bits >> 31


def _shape(rng: random.Random, typical: int) -> _Shape:
    prices = [0]
    for left in range(60, 0, -1):  # a walk that is pulled back to where it began
        prices.append(prices[-1] + rng.randint(-2, 2) - round(prices[-1] / left))
    prices[-1] = 0
    lots = tuple(rng.randint(2, typical) for _ in range(60))
    return _Shape(
        tuple(prices),
        tuple(rng.randint(0, 2) for _ in range(60)),
        tuple(rng.randint(0, 2) for _ in range(60)),
        lots,
        tuple(rng.randint(1, count) for count in lots),
        tuple(rng.randint(1, 40) for _ in range(60)),
    )


__all__ = ("HOUR_US", "LISTED_US", "MINUTE_US", "SECOND_US", "TRADE_US", "MarketHistory")
