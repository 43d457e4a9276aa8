"""The order book of a simulated market: two sides of price levels under one counter of updates.

Prices and quantities are whole numbers of `ATOMS_PER_UNIT`-ths, so that a book which is changed a million times is
still exact, and its text form is what a venue prints.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Final

import attrs
import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

ATOMS_PER_UNIT: Final = 100_000_000
"""Prices and quantities are integers in this fraction of a unit: eight decimals, as venues print them."""

Level = tuple[int, int]
"""One price level: price and quantity, in atoms."""


def decimal_text(atoms: int) -> str:
    """Return a price or quantity with eight decimals.

    Args:
        atoms: The number in atoms, not negative.

    Returns:
        For example "61837.63000000".
    """
    return f"{atoms // ATOMS_PER_UNIT}.{atoms % ATOMS_PER_UNIT:08d}"


class DepthSnapshot(msgspec.Struct, frozen=True, gc=False):
    """The best levels of a book.

    Attributes:
        last_update_id: Number of the last update contained.
        bids: Levels with the highest price first.
        asks: Levels with the lowest price first.
    """

    last_update_id: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class DepthChange(msgspec.Struct, frozen=True, gc=False):
    """The levels that changed over a range of updates. Quantities are absolute; zero removes the level.

    Attributes:
        first_update_id: Number of the first update contained.
        last_update_id: Number of the last update contained.
        bids: Changed levels with the highest price first.
        asks: Changed levels with the lowest price first.
    """

    first_update_id: int
    last_update_id: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class BookSide:
    """One side of a book, best price last.

    Args:
        sign: +1 for bids, where a higher price is better; -1 for asks.
    """

    __slots__ = ("_keys", "quantities", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.quantities: dict[int, int] = {}
        """Quantity by price, in atoms."""
        self._keys: list[int] = []  # sign * price, ascending: the best is last on both sides

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def best(self) -> int:
        """The best price."""
        return self.sign * self._keys[-1]

    @property
    def worst(self) -> int:
        """The price farthest from the other side."""
        return self.sign * self._keys[0]

    def price(self, rank: int) -> int:
        """Return the price at a rank, 0 being the best."""
        return self.sign * self._keys[-1 - rank]

    def levels(self, limit: int) -> Iterator[Level]:
        """Yield at most `limit` levels, the best first."""
        for key in reversed(self._keys[-limit:]):
            price = self.sign * key
            yield price, self.quantities[price]

    def put(self, price: int, quantity: int) -> None:
        """Set the quantity at a price; zero removes the level."""
        key = self.sign * price
        if quantity:
            if price not in self.quantities:
                insort(self._keys, key)
            self.quantities[price] = quantity
        elif self.quantities.pop(price, 0):
            del self._keys[bisect_left(self._keys, key)]


@attrs.define(eq=False)
class DepthRecorder:
    """Collects which levels of a book change, for a stream of differences at its own pace."""

    _book: Book
    next_update_id: int
    """Number of the first update that the next change contains."""
    bid_prices: set[int] = attrs.field(factory=set[int])
    ask_prices: set[int] = attrs.field(factory=set[int])

    def take(self) -> DepthChange | None:
        """Return what changed since the last call, or None. Changes follow each other without a gap in the numbers."""
        book = self._book
        first, self.next_update_id = self.next_update_id, book.update_id + 1
        if first > book.update_id:
            return None
        bids, asks = book.bids.quantities, book.asks.quantities
        change = DepthChange(
            first,
            book.update_id,
            tuple((price, bids.get(price, 0)) for price in sorted(self.bid_prices, reverse=True)),
            tuple((price, asks.get(price, 0)) for price in sorted(self.ask_prices)),
        )
        self.bid_prices.clear()
        self.ask_prices.clear()
        return change


class Book:
    """Both sides of a market.

    Args:
        update_id: Number of the last update before the first one.
    """

    __slots__ = ("_recorders", "asks", "bids", "update_id")

    def __init__(self, update_id: int) -> None:
        self.update_id = update_id
        """Number of the last update; each change of a level is one."""
        self.bids = BookSide(1)
        self.asks = BookSide(-1)
        self._recorders: list[DepthRecorder] = []

    def put(self, side: BookSide, price: int, quantity: int) -> None:
        """Change one level and number the update.

        Args:
            side: `bids` or `asks` of this book.
            price: The level's price in atoms.
            quantity: The quantity that is there from now on, in atoms; zero removes the level.
        """
        self.update_id += 1
        side.put(price, quantity)
        for recorder in self._recorders:
            (recorder.bid_prices if side.sign > 0 else recorder.ask_prices).add(price)

    def renumber(self, first_id: int) -> None:
        """Let the numbers of updates begin anew. What recorders have collected comes with their next change.

        Args:
            first_id: Number of the next update.
        """
        self.update_id = first_id - 1
        for recorder in self._recorders:
            recorder.next_update_id = first_id

    def snapshot(self, limit: int) -> DepthSnapshot:
        """Return the best levels.

        Args:
            limit: The most levels of each side.
        """
        return DepthSnapshot(self.update_id, tuple(self.bids.levels(limit)), tuple(self.asks.levels(limit)))

    def record(self) -> DepthRecorder:
        """Start to collect changes.

        It collects until it is forgotten, so `DepthRecorder.take` what it has now and then.
        """
        recorder = DepthRecorder(self, self.update_id + 1)
        self._recorders.append(recorder)
        return recorder

    def forget(self, recorder: DepthRecorder) -> None:
        """Let a recorder collect no more.

        Args:
            recorder: One that `record` returned; no other, and not twice.
        """
        self._recorders.remove(recorder)


__all__ = (
    "ATOMS_PER_UNIT",
    "Book",
    "BookSide",
    "DepthChange",
    "DepthRecorder",
    "DepthSnapshot",
    "Level",
    "decimal_text",
)
