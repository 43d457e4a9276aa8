"""What an order of the account can meet in one market: what the crowd displays, and the account's own orders."""

from __future__ import annotations

from bisect import bisect_left, insort
from decimal import ROUND_DOWN
from typing import TYPE_CHECKING

import attrs

from bt_api_base.containers.decimals import quantize
from bt_api_base.containers.enums import Side
from bt_api_base.testing.exchange_rules import units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from decimal import Decimal

    from bt_api_base.testing.exchange_orders import ExchangeOrder
    from bt_api_base.testing.market import Market

__all__ = ("MarketBook", "Take", "plan_takes")


@attrs.frozen
class Take:
    """What an order can take at one price: of the crowd, or of another order of the account.

    Attributes:
        price: The price.
        quantity: How much.
        maker: Whose it is; None: the crowd's.
        atoms: The price as the market counts it.
    """

    price: Decimal
    quantity: Decimal
    maker: ExchangeOrder | None = None
    atoms: int = 0


_Entry = tuple["Decimal", int, "ExchangeOrder"]
"""A resting order: the price so that less is better, and its turn."""


@attrs.define(eq=False)
class MarketBook:
    """The account's view of one market.

    Attributes:
        market: The crowd. What it displays is there to be taken.
    """

    market: Market
    _bids: list[_Entry] = attrs.field(factory=list[_Entry])
    _asks: list[_Entry] = attrs.field(factory=list[_Entry])
    _taken: dict[tuple[Side, int], tuple[int, Decimal]] = attrs.field(
        factory=dict[tuple[Side, int], "tuple[int, Decimal]"]
    )
    """What the account took of a level, and what the level displayed then: taken until the level changes."""

    def resting(self, side: Side) -> Iterator[ExchangeOrder]:
        """Yield the account's open orders of a side, the next to be executed first."""
        for _, _, order in self._bids if side is Side.BUY else self._asks:
            yield order

    @property
    def is_empty(self) -> bool:
        """Whether the account has no open order here."""
        return not self._bids and not self._asks

    def add(self, order: ExchangeOrder) -> None:
        """Let an order rest."""
        insort(self._entries(order.side), _entry(order), key=lambda entry: entry[:2])

    def remove(self, order: ExchangeOrder) -> None:
        """Take an order out, if it is in."""
        if order.price is None:
            return
        entries = self._entries(order.side)
        place = bisect_left(entries, _entry(order)[:2], key=lambda entry: entry[:2])
        if place < len(entries) and entries[place][2] is order:
            del entries[place]

    def offers(self, side: Side, limit: Decimal | None) -> Iterator[Take]:
        """Yield what an order can take, the best price first; at the same price, what the crowd has first.

        Args:
            side: The order's side.
            limit: Its limit; None for none.
        """
        opposite = Side.SELL if side is Side.BUY else Side.BUY
        own = [Take(order.price, order.remaining, order) for order in self.resting(opposite) if order.price is not None]
        own.reverse()
        for offer in self._displayed(opposite):
            while own and _is_better(own[-1].price, offer.price, side):
                if _is_beyond(own[-1].price, limit, side):
                    return
                yield own.pop()
            if _is_beyond(offer.price, limit, side):
                break
            yield offer
        while own and not _is_beyond(own[-1].price, limit, side):
            yield own.pop()

    def take(self, side: Side, take: Take) -> None:
        """Remember that an order took something of the crowd.

        Args:
            side: The order's side.
            take: What it took.
        """
        opposite = Side.SELL if side is Side.BUY else Side.BUY
        displayed = self._level(opposite, take.atoms)
        known, taken = self._taken.get((opposite, take.atoms), (displayed, units(0)))
        self._taken[opposite, take.atoms] = (displayed, (taken if known == displayed else units(0)) + take.quantity)

    def refresh(self) -> None:
        """Forget what was taken of levels that have changed."""
        for key in [key for key, (displayed, _) in self._taken.items() if self._level(*key) != displayed]:
            del self._taken[key]

    def _displayed(self, side: Side) -> Iterator[Take]:
        """Yield what the crowd has left for us, the best price first."""
        levels = self.market.book.bids if side is Side.BUY else self.market.book.asks
        for atoms, displayed in levels.levels(len(levels)):
            left = units(displayed)
            known, taken = self._taken.get((side, atoms), (0, units(0)))
            if known == displayed:
                left -= taken
            if left > 0:
                yield Take(units(atoms), left, None, atoms)

    def _level(self, side: Side, atoms: int) -> int:
        levels = self.market.book.bids if side is Side.BUY else self.market.book.asks
        return levels.quantities.get(atoms, 0)

    def _entries(self, side: Side) -> list[_Entry]:
        return self._bids if side is Side.BUY else self._asks


def plan_takes(
    book: MarketBook, order: ExchangeOrder, step: Decimal, executable: Callable[[ExchangeOrder], Decimal]
) -> list[Take]:
    """Return what an order takes now, as if nothing stood against it.

    Args:
        book: The account's view of its market.
        order: The order.
        step: What quantities are multiples of.
        executable: Returns how much of an order may be executed.
    """
    quote, left = order.quote_quantity, executable(order)
    takes: list[Take] = []
    for offer in book.offers(order.side, order.price):
        if not (left if quote is None else quote):
            break
        quantity = offer.quantity if offer.maker is None else executable(offer.maker)
        if quote is None:
            quantity = min(quantity, left)
            left -= quantity
        else:
            affordable = quantize(quote / offer.price, step, ROUND_DOWN)
            is_last = affordable < quantity
            quantity = min(quantity, affordable)
            quote = units(0) if is_last else quote - quantity * offer.price
        if quantity:
            takes.append(Take(offer.price, quantity, offer.maker, offer.atoms))
    return takes


def _entry(order: ExchangeOrder) -> _Entry:
    if order.price is None:
        raise ValueError("an order without a price cannot rest")
    return (-order.price if order.side is Side.BUY else order.price), order.priority, order


def _is_better(price: Decimal, other: Decimal, side: Side) -> bool:
    """Tell whether a price is better than another for who takes."""
    return price < other if side is Side.BUY else price > other


def _is_beyond(price: Decimal, limit: Decimal | None, side: Side) -> bool:
    return limit is not None and _is_better(limit, price, side)
