"""A market that never was: one symbol's book, trades and statistics from a seed, one step at a time.

A step is a change of a level, a new best price, a withdrawn level, or a taker who trades through the touch. It depends
on the seed and the steps before it only; the time of a step is the caller's and stamps what happens in it. So the same
seed yields the same prices on every machine, as fast or as slowly as one likes.

Example:
    ```python
    market = Market("BTC-USDT", seed=1)
    step = market.step(time_us=1_700_000_000_000_000)
    for trade in step.trades:
        print(decimal_text(trade.price), decimal_text(trade.quantity))
    ```
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import attrs
import msgspec

from bt_api_base.testing.market_bars import (
    ClosedBar,
    DayStatistics,
    MarketBar,
    MarketBars,
    MarketTrade,
)
from bt_api_base.testing.market_book import ATOMS_PER_UNIT, Book, BookSide, DepthRecorder, DepthSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEVELS: Final = 60
_FEWEST_LEVELS: Final = 20
"""The ranks that steps change lie among as many levels."""
_GAP_FRACTION: Final = 30_000
"""Neighbouring levels are at most this fraction of the price apart: what makes the market move."""
_SPREAD_FRACTION: Final = 20_000
"""A spread wider than this fraction of the price is narrowed at once."""
_TYPICAL_ORDER: Final = 20_000
"""Quote currency in a typical level."""

_KNOWN_MARKETS: Final[dict[str, tuple[int, int, int]]] = {
    # price, tick and lot, in atoms
    "BTC-USDT": (61_837_63000000, 1_000_000, 1_000),
    "ETH-USDT": (2_683_40000000, 1_000_000, 10_000),
    "BNB-USDT": (514_20000000, 10_000_000, 100_000),
    "SOL-USDT": (162_35000000, 1_000_000, 100_000),
    "XRP-USDT": (61270000, 10_000, 10_000_000),
    "DOGE-USDT": (10652000, 1_000, 100_000_000),
    "ETH-BTC": (4339000, 1_000, 10_000_000),
}


@attrs.frozen
class MarketSpec:
    """What a market trades in. All numbers are in atoms: hundred-millionths of a unit.

    Attributes:
        symbol: Internal symbol, for example "BTC-USDT".
        price: Where the market starts and what it stays around, at least 1,000 ticks.
        tick: Prices are multiples of it.
        lot: Quantities are multiples of it.
        levels: The fewest levels of each side of the book, at least 20; there are up to two thirds more. Fewer make a
            market that takes less memory, for thousands of them.
    """

    symbol: str
    price: int
    tick: int
    lot: int
    levels: int = _LEVELS

    def __attrs_post_init__(self) -> None:
        if min(self.price, self.tick, self.lot) < 1 or self.price < 1_000 * self.tick:
            raise ValueError(f"{self.symbol}: the price must be at least 1000 ticks, and tick and lot positive")
        if self.levels < _FEWEST_LEVELS:
            raise ValueError(f"{self.symbol}: the book must have at least {_FEWEST_LEVELS} levels")
        if self.price % self.tick:
            raise ValueError(f"{self.symbol}: the price is no multiple of the tick")
        if self.tick * self.lot % ATOMS_PER_UNIT:
            raise ValueError(f"{self.symbol}: tick times lot must be a whole number of atoms")

    @classmethod
    def of(cls, symbol: str, *, levels: int = _LEVELS) -> MarketSpec:
        """Return the specification of a symbol: some well-known ones have their own, any other gets one of its name.

        Args:
            symbol: Internal symbol.
            levels: The fewest levels of each side of the book.
        """
        known = _KNOWN_MARKETS.get(symbol)
        if known is not None:
            return cls(symbol, *known, levels)
        ticks = random.Random(symbol).randrange(2_000, 200_000)  # noqa: S311  # a price, not a secret
        return cls(symbol, ticks * 100_000, 100_000, 1_000_000, levels)


class AggregateTrade(msgspec.Struct, frozen=True, gc=False):
    """The fills of one taker at one price.

    Attributes:
        id: Number of the aggregate; they follow each other without a gap.
        time_us: Microseconds since the epoch.
        price: In atoms.
        quantity: Sum of the fills, in atoms.
        first_trade_id: Number of the first fill.
        last_trade_id: Number of the last fill.
        buyer_is_maker: True when the taker sold.
    """

    id: int
    time_us: int
    price: int
    quantity: int
    first_trade_id: int
    last_trade_id: int
    buyer_is_maker: bool


class BestQuote(msgspec.Struct, frozen=True, gc=False):
    """The touch: best prices and what is there, in atoms."""

    update_id: int
    bid_price: int
    bid_quantity: int
    ask_price: int
    ask_quantity: int


class MarketStep(msgspec.Struct, frozen=True):
    """What happened in a step.

    Attributes:
        time_us: Its time in microseconds since the epoch.
        best_changed: Whether a best price, or the quantity at it, is another than before.
        trades: The fills, in order.
        aggregates: The same by taker and price.
        closed_bars: Bars whose time had passed when the step began.
    """

    time_us: int
    best_changed: bool
    trades: tuple[MarketTrade, ...]
    aggregates: tuple[AggregateTrade, ...]
    closed_bars: tuple[ClosedBar, ...]


class Market:
    """One symbol's market. See the module for what it promises.

    Args:
        symbol: Internal symbol, for example "BTC-USDT", or a specification.
        seed: What prices, quantities and numbers follow from, together with the symbol.
    """

    def __init__(self, symbol: str | MarketSpec, *, seed: int = 1) -> None:
        self.spec = MarketSpec.of(symbol) if isinstance(symbol, str) else symbol
        # Seeded by text, as its hash is the same in every process.
        rng = random.Random(f"{seed}/{self.spec.symbol}")  # noqa: S311  # repeatable, as promised
        self._random = rng.random
        self._pressure = 0.0
        self._time_us = 0
        self._bars = MarketBars()
        self._next_trade_id = rng.randrange(10_000_000, 99_000_000)
        self._next_aggregate_id = self._next_trade_id * 3 // 4
        self._typical_lots = max(20, _TYPICAL_ORDER * ATOMS_PER_UNIT**2 // (self.spec.price * self.spec.lot))
        self.book = Book(rng.randrange(1_000_000_000, 9_000_000_000))
        """The book as it is after the last step. It is for looking at: changing it is the market's."""
        self._open_book()
        self.best = self._touch()
        """The touch after the last step."""

    @property
    def symbol(self) -> str:
        """Internal symbol."""
        return self.spec.symbol

    @property
    def last_trade_id(self) -> int:
        """Number of the last trade; before the first one, the number before its."""
        return self._next_trade_id - 1

    @property
    def time_us(self) -> int:
        """Time of the last step, in microseconds since the epoch; 0 before the first."""
        return self._time_us

    def step(self, time_us: int) -> MarketStep:
        """Let one thing happen.

        Args:
            time_us: When, in microseconds since the epoch. A time before the last step's counts as that one: no
                market's time runs backwards.
        """
        closed_bars = self.advance(time_us)
        self._pressure = 0.99 * self._pressure + 0.2 * (self._random() - 0.5)
        trades: tuple[MarketTrade, ...] = ()
        aggregates: tuple[AggregateTrade, ...] = ()
        draw = self._random()
        if draw < 0.25:
            trades, aggregates = self._take()
        elif draw < 0.45:
            self._improve()
        elif draw < 0.9:
            self._requote()
        else:
            self._withdraw()
        self._narrow()
        self._refill(self.book.bids)
        self._refill(self.book.asks)
        before, best = self.best, self._touch()
        best_changed = (
            best.bid_price != before.bid_price
            or best.ask_price != before.ask_price
            or best.bid_quantity != before.bid_quantity
            or best.ask_quantity != before.ask_quantity
        )
        if best_changed:
            self.best = best
        return MarketStep(self._time_us, best_changed, trades, aggregates, closed_bars)

    def advance(self, time_us: int) -> tuple[ClosedBar, ...]:
        """Let time pass without anything happening.

        Args:
            time_us: Now, in microseconds since the epoch.

        Returns:
            The bars that ended.
        """
        self._time_us = max(self._time_us, time_us)
        return self._bars.advance(self._time_us)

    def renumber(self, first_id: int) -> None:
        """Let the numbers of trades, aggregates and book updates begin anew, as after a failure of the venue.

        Args:
            first_id: The next number of each kind.
        """
        self._next_trade_id = self._next_aggregate_id = first_id
        self.book.renumber(first_id)

    def depth(self, limit: int = 1_000) -> DepthSnapshot:
        """Return the best levels of the book.

        Args:
            limit: The most levels of each side.
        """
        return self.book.snapshot(limit)

    def record_depth(self) -> DepthRecorder:
        """Start to collect the levels that change; take them from the recorder regularly."""
        return self.book.record()

    def bar(self, interval: str) -> MarketBar | None:
        """Return the bar that is being formed, or None before the first trade.

        Args:
            interval: A key of `bt_api_base.testing.market_bars.INTERVALS_US`, or what `shifted_interval` there returns.
        """
        return self._bars.current(interval)

    def day(self) -> DayStatistics | None:
        """Return the statistics of the last 24 hours, or None before the first trade."""
        return self._bars.day(self._time_us)

    def window(self, length_us: int) -> DayStatistics | None:
        """Return the statistics of the time up to now, or None before the first trade.

        Args:
            length_us: How long, in microseconds, at most 24 hours; it begins with a minute.
        """
        return self._bars.window(length_us, self._time_us)

    # What happens in a step. Each way leaves both sides with levels and the bids below the asks.

    def _take(self) -> tuple[tuple[MarketTrade, ...], tuple[AggregateTrade, ...]]:
        """Let a taker buy or sell, through one level or into the second."""
        buys = self._is_upward()
        side = self.book.asks if buys else self.book.bids
        trades: list[MarketTrade] = []
        aggregates: list[AggregateTrade] = []
        emptied = self._random() < 0.4
        self._fill(side, side.quantities[side.best] if emptied else self._part_of_best(side), trades, aggregates)
        if emptied and self._random() < 0.2:
            self._fill(side, self._part_of_best(side), trades, aggregates)
        return tuple(trades), tuple(aggregates)

    def _fill(self, side: BookSide, quantity: int, trades: list[MarketTrade], aggregates: list[AggregateTrade]) -> None:
        """Trade a quantity at the best price of a side, with one to three makers."""
        price, buyer_is_maker, first = side.best, side.sign > 0, self._next_trade_id
        for part in self._split(quantity):
            trade = MarketTrade(self._next_trade_id, self._time_us, price, part, buyer_is_maker)
            self._next_trade_id += 1
            self._bars.add(trade)
            trades.append(trade)
        aggregates.append(
            AggregateTrade(
                self._next_aggregate_id, self._time_us, price, quantity, first, self._next_trade_id - 1, buyer_is_maker
            )
        )
        self._next_aggregate_id += 1
        self.book.put(side, price, side.quantities[price] - quantity)

    def _improve(self) -> None:
        """Quote a better price inside the spread, or change a level where there is no room."""
        book, tick = self.book, self.spec.tick
        room = (book.asks.best - book.bids.best) // tick - 1
        if room < 1:
            self._requote()
            return
        side = book.bids if self._is_upward() else book.asks
        book.put(side, side.best + side.sign * tick * (1 + int(self._random() * room)), self._order_quantity())

    def _requote(self) -> None:
        """Change the quantity of a level, most often of the best."""
        side = self.book.bids if self._random() < 0.5 else self.book.asks
        price = side.price(int(self._random() ** 4 * 20))
        quantity = self._order_quantity()
        if quantity == side.quantities[price]:
            quantity += self.spec.lot
        self.book.put(side, price, quantity)

    def _withdraw(self) -> None:
        """Remove a level, sometimes the best."""
        side = self.book.asks if self._is_upward() else self.book.bids
        self.book.put(side, side.price(int(self._random() ** 2 * 20)), 0)

    def _narrow(self) -> None:
        """Quote inside a spread that a taker or a withdrawal has left too wide."""
        book = self.book
        while book.asks.best - book.bids.best > max(2 * self.spec.tick, book.bids.best // _SPREAD_FRACTION):
            self._improve()

    def _refill(self, side: BookSide) -> None:
        """Keep the number of levels within its bounds: new ones anywhere behind the best, fewer at the far end."""
        while len(side) < self.spec.levels:
            price = side.price(int(self._random() * len(side))) - side.sign * self._gap()
            if price in side.quantities:
                price = side.worst - side.sign * self._gap()
            self.book.put(side, price, self._order_quantity())
        while len(side) > self.spec.levels * 5 // 3:
            self.book.put(side, side.worst, 0)

    def _open_book(self) -> None:
        book, price = self.book, self.spec.price
        book.put(book.bids, price, self._order_quantity())
        book.put(book.asks, price + self.spec.tick, self._order_quantity())
        self._refill(book.bids)
        self._refill(book.asks)

    # What the draws are made of.

    def _is_upward(self) -> bool:
        """Draw a direction: it has a memory, and prices far from home tend to come back."""
        home, now = self.spec.price, self.book.bids.best
        if now > 3 * home // 2:
            return False
        if now < home // 2:
            return True
        return self._random() < 0.5 + 0.3 * self._pressure + (home - now) / home

    def _gap(self) -> int:
        """Draw a distance between two neighbouring levels."""
        tick = self.spec.tick
        return tick * (1 + int(self._random() * (self.book.bids.best // (tick * _GAP_FRACTION))))

    def _order_quantity(self) -> int:
        return self.spec.lot * (1 + int(3 * self._typical_lots * self._random() ** 2))

    def _part_of_best(self, side: BookSide) -> int:
        """Draw a quantity, at least a lot, that the best level of a side has."""
        lot = self.spec.lot
        lots = side.quantities[side.best] // lot
        return lot * (1 + int((lots - 1) * self._random() ** 3))

    def _split(self, quantity: int) -> Iterator[int]:
        """Yield one to three quantities that add up to one."""
        lot = self.spec.lot
        for _ in range(int(self._random() ** 2 * 3)):
            part = lot * int(self._random() * (quantity // lot))
            if part:
                yield part
                quantity -= part
        yield quantity

    def _touch(self) -> BestQuote:
        bids, asks = self.book.bids, self.book.asks
        bid, ask = bids.best, asks.best
        return BestQuote(self.book.update_id, bid, bids.quantities[bid], ask, asks.quantities[ask])


__all__ = ("AggregateTrade", "BestQuote", "Market", "MarketSpec", "MarketStep")
