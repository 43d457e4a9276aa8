"""Order books: full (or top-n) snapshots and the differences between them."""

from __future__ import annotations

from bt_api_base.containers._base import EventBase

__all__ = ("Level", "OrderBook", "OrderBookDelta")

Level = tuple[float, float]
"""One price level: ``(price, volume)``."""


class OrderBook(EventBase, frozen=True, gc=False):
    """The best levels of a book at one moment.

    Attributes:
        bids: Levels with the highest price first.
        asks: Levels with the lowest price first.
        sequence: The venue's id of the last update contained; ``None`` where it gives none.
    """

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    sequence: int | None = None

    @property
    def bid_price_list(self) -> list[float]:
        """Bid prices, best first."""
        return [price for price, _ in self.bids]

    @property
    def bid_volume_list(self) -> list[float]:
        """Bid volumes, best first."""
        return [volume for _, volume in self.bids]

    @property
    def ask_price_list(self) -> list[float]:
        """Ask prices, best first."""
        return [price for price, _ in self.asks]

    @property
    def ask_volume_list(self) -> list[float]:
        """Ask volumes, best first."""
        return [volume for _, volume in self.asks]


class OrderBookDelta(EventBase, frozen=True, gc=False):
    """Levels that changed. Volumes are absolute; a volume of zero removes the level.

    Attributes:
        bids: Changed bid levels, in the venue's order.
        asks: Changed ask levels, in the venue's order.
        first_sequence: Id of the first update contained.
        last_sequence: Id of the last update contained.
        previous_sequence: Id of the last update of the delta before, where the venue gives it.
    """

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    first_sequence: int
    last_sequence: int
    previous_sequence: int | None = None
